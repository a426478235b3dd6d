/*
 * The kind of a file is told by its first bytes, whatever its name is: Java's own stores have a magic number,
 * PEM has its line, the rest is DER and is tried.
 *
 * Client files are read into a struct secret, because a key may be in them. OpenSSL's own copies are wiped by
 * it. Its queue of errors is one for the whole process and libcurl looks into it: each function here leaves
 * it empty.
 *
 * OpenSSL leaves out cipher names that it does not know, without a word: so each is asked for alone.
 */
#include "dispatch/tlscheck.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#define CLIENT_FILE_BYTES (128u * 1024)
#define JKS_MAGIC "\xfe\xed\xfe\xed"
#define JCEKS_MAGIC "\xce\xce\xce\xce"
#define PEM_KEY "PRIVATE KEY-----" /* the end of its line, whatever kind it is */
#define CIPHER_NAME_BYTES 100

enum kind {
	KIND_UNKNOWN,
	KIND_EMPTY,
	KIND_PEM,
	KIND_PKCS12,
	KIND_CERTIFICATE,
	KIND_KEY,
	KIND_JKS,
	KIND_JCEKS
};

/* ---- what a file is ---- */

static enum kind kind_of_der(const char *bytes, size_t len)
{
	const unsigned char *p = (const unsigned char *)bytes;
	PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)len);

	PKCS12_free(p12);
	if (p12 != NULL)
		return KIND_PKCS12;
	p = (const unsigned char *)bytes;

	X509 *x = d2i_X509(NULL, &p, (long)len);

	X509_free(x);
	if (x != NULL)
		return KIND_CERTIFICATE;
	p = (const unsigned char *)bytes;

	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)len);

	EVP_PKEY_free(key);
	return key != NULL ? KIND_KEY : KIND_UNKNOWN;
}

static enum kind kind_of(const char *bytes, size_t len)
{
	enum kind kind = KIND_UNKNOWN;

	if (len == 0)
		return KIND_EMPTY;
	if (len >= 4 && memcmp(bytes, JKS_MAGIC, 4) == 0)
		return KIND_JKS;
	if (len >= 4 && memcmp(bytes, JCEKS_MAGIC, 4) == 0)
		return KIND_JCEKS;
	if (memmem(bytes, len, "-----BEGIN ", 11) != NULL)
		return KIND_PEM;
	if (bytes[0] == 0x30)
		kind = kind_of_der(bytes, len);
	ERR_clear_error();
	return kind;
}

/* ---- reading ---- */

static int unreadable(const char *name, const char *path, int code, struct err *err)
{
	if (code == EFBIG)
		return err_set(
			err, ERR_CONF, EINVAL, "%s = %s is too large for certificates and keys", name, path);
	return err_set(err, ERR_CONF, code, "%s = %s cannot be read: %s", name, path, strerror(code));
}

/* The descriptor of a regular file. */
static int open_file(const char *name, const char *path, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0) {
		int code = errno;

		fs_close(&fd);
		return unreadable(name, path, code, err);
	}
	if (S_ISREG(st.st_mode))
		return fd;
	fs_close(&fd);
	return err_set(err, ERR_CONF, EINVAL, "%s = %s is not a regular file", name, path);
}

/* ---- authorities ---- */

static int refuse_authorities(const char *name, const char *path, enum kind kind, struct err *err)
{
	switch (kind) {
	case KIND_JKS:
	case KIND_JCEKS: {
		const char *type = kind == KIND_JKS ? "JKS" : "JCEKS";

		return err_set(err, ERR_CONF, EINVAL,
			"%s = %s is a Java keystore (%s), which is not read here; convert it with: keytool "
			"-list "
			"-rfc -storetype %s -keystore %s >%s.pem",
			name, path, type, type, path, path);
	}
	case KIND_PKCS12:
		return err_set(err, ERR_CONF, EINVAL,
			"%s = %s is PKCS#12, but certificates to trust are PEM; convert it with: openssl "
			"pkcs12 "
			"-in %s -nokeys -out %s.pem",
			name, path, path, path);
	case KIND_CERTIFICATE:
		return err_set(err, ERR_CONF, EINVAL,
			"%s = %s is DER, but certificates to trust are PEM; convert it with: openssl x509 "
			"-inform DER -in %s -out %s.pem",
			name, path, path, path);
	case KIND_EMPTY:
		return err_set(err, ERR_CONF, EINVAL, "%s = %s is empty", name, path);
	case KIND_PEM:
	case KIND_KEY:
	case KIND_UNKNOWN:
		break;
	}
	return err_set(err, ERR_CONF, EINVAL, "%s = %s holds no certificate in PEM form", name, path);
}

/* How many certificates there are; -1: one of them is damaged. */
static int count_certificates(const char *bytes, size_t len)
{
	BIO *bio = BIO_new_mem_buf(bytes, (int)len);
	X509 *x;
	int n = 0;

	while ((x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
		X509_free(x);
		n++;
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		n = -1;
	BIO_free(bio);
	ERR_clear_error();
	return n;
}

int tlscheck_authorities(const char *name, const char *path, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT(TLSCHECK_FILE_BYTES);
	CLEANUP_FD int fd = open_file(name, path, err);
	int r = fd < 0 ? fd : fs_read_fd(fd, TLSCHECK_FILE_BYTES, &b);

	if (r < 0)
		return fd < 0 ? r : unreadable(name, path, -r, err);

	enum kind kind = kind_of(buf_str(&b), b.len);
	int n = kind == KIND_PEM ? count_certificates(buf_str(&b), b.len) : 0;

	if (n < 0)
		return err_set(err, ERR_CONF, EINVAL, "%s = %s: a certificate in it is damaged", name, path);
	return n > 0 ? 0 : refuse_authorities(name, path, kind, err);
}

/* ---- client certificate ---- */

/* One of the two files, read. */
struct client_file {
	const char *name; /* of the key */
	const char *path;
	struct secret *bytes;
	enum kind kind;
};

static int read_client_file(struct client_file *f, struct err *err)
{
	CLEANUP_FD int fd = open_file(f->name, f->path, err);
	CLEANUP_SECRET struct secret *s = secret_new(CLIENT_FILE_BYTES);

	if (fd < 0)
		return fd;

	int r = secret_read(s, fd);

	if (r < 0)
		return unreadable(f->name, f->path, -r, err);
	f->kind = kind_of(secret_bytes(s), secret_len(s));
	f->bytes = secret_ref(s);
	return 0;
}

static BIO *bio_of(const struct client_file *f)
{
	return BIO_new_mem_buf(secret_bytes(f->bytes), (int)secret_len(f->bytes));
}

static int refuse_client_file(const struct client_file *f, struct err *err)
{
	const char *type = f->kind == KIND_JKS ? "JKS" : "JCEKS";

	switch (f->kind) {
	case KIND_JKS:
	case KIND_JCEKS:
		return err_set(err, ERR_CONF, EINVAL,
			"%s = %s is a Java keystore (%s), which is not read here; convert it with: keytool "
			"-importkeystore -srckeystore %s -srcstoretype %s -destkeystore %s.p12 "
			"-deststoretype "
			"PKCS12",
			f->name, f->path, type, f->path, type, f->path);
	case KIND_CERTIFICATE:
		return err_set(err, ERR_CONF, EINVAL,
			"%s = %s is DER; convert it to PEM with: openssl x509 -inform DER -in %s -out %s.pem",
			f->name, f->path, f->path, f->path);
	case KIND_KEY:
		return err_set(err, ERR_CONF, EINVAL,
			"%s = %s is DER; convert it to PEM with: openssl pkey -inform DER -in %s -out %s.pem",
			f->name, f->path, f->path, f->path);
	case KIND_EMPTY:
		return err_set(err, ERR_CONF, EINVAL, "%s = %s is empty", f->name, f->path);
	case KIND_PEM:
	case KIND_PKCS12:
	case KIND_UNKNOWN:
		break;
	}
	return err_set(err, ERR_CONF, EINVAL, "%s = %s is neither PEM nor PKCS#12", f->name, f->path);
}

static int refuse_password(const char *path, bool configured, struct err *err)
{
	if (configured)
		return err_set(err, ERR_CONF, EINVAL,
			"the password in client_key_password_file does not open the key in %s", path);
	return err_set(err, ERR_CONF, EINVAL,
		"the key in %s is encrypted: put its password into a file and set client_key_password_file",
		path);
}

/* What OpenSSL has to know to ask for a password, and whether it did. */
struct asked {
	const struct secret *password; /* or NULL */
	bool asked;
};

/* Without it OpenSSL would ask the terminal. */
static int on_password(char *out, int size, int rwflag, void *arg)
{
	struct asked *a = arg;

	(void)rwflag;
	a->asked = true;
	if (a->password == NULL || secret_len(a->password) > (size_t)size)
		return -1;
	memcpy(out, secret_bytes(a->password), secret_len(a->password));
	return (int)secret_len(a->password);
}

static int check_pem_key(
	const struct client_file *f, const struct tlscheck_client *c, EVP_PKEY **ret, struct err *err)
{
	struct asked a = {.password = c->password};
	BIO *bio = bio_of(f);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, on_password, &a);

	BIO_free(bio);
	*ret = key;
	if (key != NULL)
		return 0;
	if (a.asked)
		return refuse_password(f->path, c->password != NULL, err);
	if (memmem(secret_bytes(f->bytes), secret_len(f->bytes), PEM_KEY, strlen(PEM_KEY)) != NULL)
		return err_set(err, ERR_CONF, EINVAL, "%s = %s: the key in it is damaged", f->name, f->path);
	return err_set(err, ERR_CONF, EINVAL, "%s = %s holds no private key%s", f->name, f->path,
		c->key == NULL ? "; set client_key" : "");
}

static int check_pem(const struct client_file *certificate, const struct client_file *key,
	const struct tlscheck_client *c, struct err *err)
{
	BIO *bio = bio_of(certificate);
	X509 *x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	EVP_PKEY *pkey = NULL;
	int r;

	BIO_free(bio);
	if (x == NULL)
		return err_set(err, ERR_CONF, EINVAL, "%s = %s holds no certificate, or a damaged one",
			certificate->name, certificate->path);
	ERR_clear_error();
	r = check_pem_key(key, c, &pkey, err);
	if (r == 0 && X509_check_private_key(x, pkey) != 1)
		r = err_set(err, ERR_CONF, EINVAL,
			"the key in %s does not belong to the first certificate in %s", key->path,
			certificate->path);
	EVP_PKEY_free(pkey);
	X509_free(x);
	return r;
}

static bool is_unsupported(void)
{
#ifdef ERR_R_UNSUPPORTED
	return ERR_GET_REASON(ERR_peek_error()) == ERR_R_UNSUPPORTED;
#else
	return false; /* OpenSSL before 3 reads old ciphers, too */
#endif
}

static int check_pkcs12(const struct client_file *f, const struct tlscheck_client *c, struct err *err)
{
	const char *password = c->password != NULL ? secret_bytes(c->password) : "";
	BIO *bio = bio_of(f);
	PKCS12 *p12 = d2i_PKCS12_bio(bio, NULL);
	EVP_PKEY *key = NULL;
	X509 *x = NULL;
	bool opened = p12 != NULL && PKCS12_parse(p12, password, &key, &x, NULL) == 1;
	bool right = opened || (p12 != NULL && PKCS12_verify_mac(p12, password, -1) == 1);
	int r = 0;

	BIO_free(bio);
	PKCS12_free(p12);
	if (!opened && is_unsupported())
		r = err_set(err, ERR_CONF, EINVAL,
			"%s = %s is encrypted in an old way that OpenSSL does not read any more; write it "
			"anew "
			"with: openssl pkcs12 -legacy -in %s -nodes | openssl pkcs12 -export -out %s.new",
			f->name, f->path, f->path, f->path);
	else if (!opened && !right)
		r = refuse_password(f->path, c->password != NULL, err);
	else if (!opened)
		r = err_set(err, ERR_CONF, EINVAL, "%s = %s is damaged", f->name, f->path);
	else if (key == NULL || x == NULL)
		r = err_set(err, ERR_CONF, EINVAL, "%s = %s holds no %s", f->name, f->path,
			x == NULL ? "certificate with its key" : "key");
	EVP_PKEY_free(key);
	X509_free(x);
	return r;
}

static int check_client(struct client_file *certificate, struct client_file *key,
	const struct tlscheck_client *c, bool *ret_pkcs12, struct err *err)
{
	int r = read_client_file(certificate, err);

	if (r < 0)
		return r;
	if (certificate->kind != KIND_PEM && certificate->kind != KIND_PKCS12)
		return refuse_client_file(certificate, err);
	*ret_pkcs12 = certificate->kind == KIND_PKCS12;
	if (c->key == NULL)
		return *ret_pkcs12 ? check_pkcs12(certificate, c, err)
				   : check_pem(certificate, certificate, c, err);
	if (*ret_pkcs12)
		return err_set(err, ERR_CONF, EINVAL,
			"client_certificate = %s is PKCS#12 and holds its key: take client_key out",
			c->certificate);
	r = read_client_file(key, err);
	if (r < 0)
		return r;
	if (key->kind != KIND_PEM)
		return refuse_client_file(key, err);
	return check_pem(certificate, key, c, err);
}

int tlscheck_client(const struct tlscheck_client *c, bool *ret_pkcs12, struct err *err)
{
	struct client_file certificate = {.name = "client_certificate", .path = c->certificate};
	struct client_file key = {.name = "client_key", .path = c->key};
	bool pkcs12 = false;
	int r = check_client(&certificate, &key, c, &pkcs12, err);

	secret_free(certificate.bytes);
	secret_free(key.bytes);
	ERR_clear_error();
	if (r == 0)
		*ret_pkcs12 = pkcs12;
	return r;
}

/* ---- ciphers ---- */

static SSL_CTX *new_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	BUG_ON(ctx == NULL); /* like mem_alloc: it takes a few kilobytes */
	return ctx;
}

static bool has_suite13(SSL_CTX *ctx, const char *name)
{
	const STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const SSL_CIPHER *c = sk_SSL_CIPHER_value(all, i);

		if (strcmp(SSL_CIPHER_get_version(c), "TLSv1.3") == 0 &&
			strcmp(SSL_CIPHER_get_name(c), name) == 0)
			return true;
	}
	return false;
}

static bool is_suite13(SSL_CTX *ctx, const char *name)
{
	return SSL_CTX_set_ciphersuites(ctx, name) == 1 && has_suite13(ctx, name);
}

/* At security level 0 nothing is left out for being weak: what is not there then is not known. */
static bool is_known_cipher(SSL_CTX *ctx, const char *word)
{
	char list[CIPHER_NAME_BYTES + 20];

	word += strspn(word, "!-+");
	if (word[0] == '@')
		return true; /* a command, tried with the whole list */
	snprintf(list, sizeof(list), "%s:@SECLEVEL=0", word);
	return SSL_CTX_set_cipher_list(ctx, list) == 1;
}

/* Calls fn for each word; stops with -EINVAL at the first one that is not good. */
static int each_word(const char *name, const char *list, const char *separators, SSL_CTX *ctx,
	bool (*is_good)(SSL_CTX *ctx, const char *word), struct err *err)
{
	char word[CIPHER_NAME_BYTES];

	for (const char *p = list; *p != '\0';) {
		size_t len = strcspn(p, separators);

		if (len >= sizeof(word))
			return err_set(
				err, ERR_CONF, EINVAL, "%s: a word of it is too long for a cipher", name);
		memcpy(word, p, len);
		word[len] = '\0';
		if (len > 0 && !is_good(ctx, word))
			return err_set(err, ERR_CONF, EINVAL, "%s: OpenSSL knows no cipher called \"%s\"",
				name, word);
		p += len;
		p += strspn(p, separators);
	}
	return 0;
}

/* The credential would go out in clear, or to a server that shows no certificate. */
static const char *find_naked_cipher(SSL_CTX *ctx)
{
	const STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const SSL_CIPHER *c = sk_SSL_CIPHER_value(all, i);

		if (SSL_CIPHER_get_bits(c, NULL) == 0 || SSL_CIPHER_get_auth_nid(c) == NID_auth_null)
			return SSL_CIPHER_get_name(c);
	}
	return NULL;
}

static int check_ciphers(SSL_CTX *ctx, const char *list, struct err *err)
{
	int r = each_word("ciphers", list, ":, ;", ctx, is_known_cipher, err);
	const char *naked;

	if (r < 0) {
		if (strstr(list, "TLS_") != NULL && err != NULL)
			return err_set(err, ERR_CONF, EINVAL,
				"ciphers is for TLS 1.2; what begins with TLS_ belongs to tls13_ciphers");
		return r;
	}
	if (SSL_CTX_set_cipher_list(ctx, list) != 1)
		return err_set(err, ERR_CONF, EINVAL,
			"ciphers = %s leaves no cipher that the security level of this system allows", list);
	naked = find_naked_cipher(ctx);
	if (naked != NULL)
		return err_set(err, ERR_CONF, EINVAL,
			"ciphers: %s does not encrypt, or does not show who the server is; add "
			":!eNULL:!aNULL",
			naked);
	return 0;
}

int tlscheck_ciphers(const char *list, struct err *err)
{
	SSL_CTX *ctx = new_context();
	int r = check_ciphers(ctx, list, err);

	SSL_CTX_free(ctx);
	ERR_clear_error();
	return r;
}

int tlscheck_ciphers13(const char *list, struct err *err)
{
	SSL_CTX *ctx = new_context();
	int r = each_word("tls13_ciphers", list, ":", ctx, is_suite13, err);

	SSL_CTX_free(ctx);
	ERR_clear_error();
	return r;
}
