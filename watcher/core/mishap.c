/*
 * Rows are read from the top; the first one that fits speaks. Words of OpenSSL are looked for in pieces that
 * have been the same from 1.1.1 to 3.4 ("sslv3 alert handshake failure" has become "ssl/tls alert …").
 *
 * What libcurl said itself follows in brackets: it is what one can search for.
 */
#include "core/mishap.h"

#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

#define WITH_PROXY 1u	 /* a proxy was asked */
#define WITH_CA 2u	 /* authorities are configured for whom TLS was made with */
#define WITH_CLIENT 4u	 /* a client certificate is configured */
#define WITH_USER 8u	 /* a user name at the proxy is configured */
#define WITH_CIPHERS 16u /* ciphers are configured */

struct row {
	enum mishap_kind kind;
	int from, to;	   /* connect_status of MISHAP_OTHER, verify of MISHAP_CERTIFICATE; 0, 0: any */
	unsigned with;	   /* all of these must hold */
	const char *words; /* one of these pieces, separated by |, is in libcurl's words; NULL: any */
	const char *text;  /* {who}, {host}, … : see add_sentence() */
};

#define CERT MISHAP_CERTIFICATE
#define UNKNOWN_SIGNER 18, 21 /* X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT … UNABLE_TO_VERIFY_LEAF_SIGNATURE */
#define WEAK 66, 68	      /* X509_V_ERR_EE_KEY_TOO_SMALL … CA_MD_TOO_WEAK */
#define ANY 0, 0

#define SIGNER_WANTED "alert certificate required"
#define CLIENT_REFUSED                                                                                       \
	"alert unknown ca|alert bad certificate|alert certificate unknown|alert unsupported certificate|"    \
	"alert certificate expired|alert certificate revoked|alert access denied"

static const struct row rows[] = {
	/* the proxy has spoken */
	{MISHAP_OTHER, 407, 407, WITH_USER, NULL,
		"the proxy {proxy} does not take the password of {user}: see proxy_username and "
		"proxy_password_file"},
	{MISHAP_OTHER, 407, 407, 0, NULL,
		"the proxy {proxy} wants a user name and password: set proxy_username and "
		"proxy_password_file"},
	{MISHAP_OTHER, 500, 599, 0, NULL, "the proxy {proxy} cannot reach {host} (HTTP {status})"},
	{MISHAP_OTHER, 300, 999, 0, NULL,
		"the proxy {proxy} does not let us through to {host} (HTTP {status}): it has to be allowed "
		"there"},

	/* the way */
	{MISHAP_NO_PROXY_ADDRESS, ANY, 0, NULL, "no name server knows the proxy {proxy}: is proxy right?"},
	{MISHAP_NO_ADDRESS, ANY, 0, NULL, "no name server knows {host}: is {key} right?"},
	{MISHAP_NO_CONNECTION, ANY, WITH_PROXY, NULL, "the proxy {proxy} cannot be reached"},
	{MISHAP_NO_CONNECTION, ANY, 0, NULL, "{host} cannot be reached"},
	{MISHAP_TIMEOUT, ANY, WITH_PROXY, "Resolving timed out",
		"the name servers do not answer in time for the proxy {proxy}"},
	{MISHAP_TIMEOUT, ANY, 0, "Resolving timed out", "the name servers do not answer in time for {host}"},
	{MISHAP_TIMEOUT, ANY, 0, "Operation timed out|Operation too slow",
		"{host} gives no complete answer in time"},
	{MISHAP_TIMEOUT, ANY, WITH_PROXY, NULL, "the proxy {proxy} makes no connection to {host} in time"},
	{MISHAP_TIMEOUT, ANY, 0, NULL, "{host} does not answer in time"},

	/* who they are */
	{CERT, 10, 10, 0, NULL,
		"the certificate of {who} has expired, or the clock of this machine is wrong: its operator "
		"has to renew it"},
	{CERT, 9, 9, 0, NULL,
		"the certificate of {who} is not valid yet, or the clock of this machine is wrong"},
	{CERT, UNKNOWN_SIGNER, WITH_CA, NULL,
		"the certificate of {who} is signed by nobody in {ca_key} = {ca}: if it is the right server, "
		"add the certificate of its authority there"},
	{CERT, UNKNOWN_SIGNER, 0, NULL,
		"the certificate of {who} is signed by nobody we know: if it is the right server, put the "
		"certificate of its authority into a file and set {ca_key}"},
	{CERT, 23, 23, 0, NULL, "the certificate of {who} is revoked"},
	{CERT, WEAK, 0, NULL, "the certificate of {who} is too weak for the security level of this system"},
	{CERT, ANY, 0, "subject name|does not match",
		"the certificate of {who} is for another name: is {key} right?"},
	{CERT, ANY, 0, NULL, "the certificate of {who} is not good"},

	/* our files */
	{MISHAP_CA_FILE, ANY, WITH_CA, NULL, "{ca_key} = {ca} cannot be used"},
	{MISHAP_CA_FILE, ANY, 0, NULL, "the system's certificates to trust cannot be read; set {ca_key}"},
	{MISHAP_CLIENT_FILE, ANY, 0, NULL,
		"the client certificate cannot be used: see client_certificate, client_key and "
		"client_key_password_file"},
	{MISHAP_CIPHERS, ANY, 0, NULL, "OpenSSL does not take ciphers or tls13_ciphers as they are"},

	/* the handshake */
	{MISHAP_TLS, ANY, WITH_CLIENT, SIGNER_WANTED "|" CLIENT_REFUSED,
		"{who} does not take the client certificate in {client}"},
	{MISHAP_TLS, ANY, 0, SIGNER_WANTED "|" CLIENT_REFUSED,
		"{who} wants a client certificate: set client_certificate"},
	{MISHAP_TLS, ANY, 0,
		"unsupported protocol|alert protocol version|no protocols available|version too low",
		"{who} does not speak {versions}: it needs a newer TLS, or see tls_min and tls_max"},
	{MISHAP_TLS, ANY, WITH_CIPHERS,
		"alert handshake failure|alert insufficient security|no cipher match|no ciphers available",
		"{who} takes none of the ciphers in ciphers and tls13_ciphers"},
	{MISHAP_TLS, ANY, WITH_CLIENT, "alert handshake failure|alert insufficient security",
		"{who} takes none of our ciphers, or not the client certificate in {client}"},
	{MISHAP_TLS, ANY, 0, "alert handshake failure|alert insufficient security",
		"{who} takes none of our ciphers, or wants a client certificate (client_certificate)"},
	{MISHAP_TLS, ANY, 0, "wrong version number|packet length too long|http request",
		"{who} does not speak TLS at this port: is {key} right?"},
	{MISHAP_TLS, ANY, 0, "unrecognized name", "{who} does not know this name: is {key} right?"},
	{MISHAP_TLS, ANY, 0, "too small|too weak|legacy",
		"{who} does TLS in a way that is too weak for the security level of this system"},
	{MISHAP_TLS, ANY, 0, "unexpected eof|SYSCALL|reset", "{who} hung up while TLS was being made"},
	{MISHAP_TLS, ANY, 0, NULL, "TLS with {who} failed"},
};

/* libcurl has written the request of TLS 1.3 when these come. */
#define LATE_ALERTS SIGNER_WANTED "|" CLIENT_REFUSED "|alert handshake failure"

static bool holds_one_of(const char *words, const char *pieces)
{
	for (const char *p = pieces; *p != '\0';) {
		size_t len = strcspn(p, "|");

		if (memmem(words, strlen(words), p, len) != NULL)
			return true;
		p += len;
		p += *p == '|';
	}
	return false;
}

/* Only a proxy that is spoken to by TLS, and before it has made the connection, can be whom TLS failed with.
 */
static bool is_at_proxy(const struct mishap *m)
{
	return m->proxy != NULL && strncmp(m->proxy, "https://", 8) == 0 && m->connect_status == 0;
}

static unsigned what_holds(const struct mishap *m)
{
	bool at_proxy = is_at_proxy(m);
	unsigned with = 0;

	with |= m->proxy != NULL ? WITH_PROXY : 0;
	with |= (at_proxy ? m->proxy_ca_file : m->ca_file) != NULL ? WITH_CA : 0;
	with |= m->client_certificate != NULL && !at_proxy ? WITH_CLIENT : 0;
	with |= m->proxy_username != NULL ? WITH_USER : 0;
	with |= m->ciphers != NULL && !at_proxy ? WITH_CIPHERS : 0;
	return with;
}

static bool row_fits(const struct row *r, const struct mishap *m, unsigned with)
{
	long number = r->kind == MISHAP_CERTIFICATE ? m->verify : m->connect_status;

	return r->kind == m->kind && (r->with & with) == r->with &&
	       (r->to == 0 || (number >= r->from && number <= r->to)) &&
	       (r->words == NULL || holds_one_of(m->words, r->words));
}

/* What a name in braces stands for. */
struct name {
	const char *name, *value;
};

static const char *versions(const struct mishap *m, char *out, size_t size)
{
	const char *min = m->tls_min != NULL ? m->tls_min : "1.2";

	if (m->tls_max == NULL)
		snprintf(out, size, "TLS %s or later", min);
	else if (strcmp(min, m->tls_max) == 0)
		snprintf(out, size, "TLS %s", min);
	else
		snprintf(out, size, "TLS %s to %s", min, m->tls_max);
	return out;
}

static void expand(const struct name *names, const char *text, struct buf *b)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "{");

		(void)buf_add(b, text, len);
		text += len;
		if (*text == '\0')
			return;
		len = strcspn(++text, "}");
		for (const struct name *n = names; n->name != NULL; n++)
			if (strlen(n->name) == len && memcmp(n->name, text, len) == 0 && n->value != NULL)
				(void)buf_adds(b, n->value);
		text += len + 1;
	}
}

static void add_sentence(const struct mishap *m, const char *text, struct buf *b)
{
	bool at_proxy = is_at_proxy(m);
	CLEANUP_FREE char *who =
		mem_printf("%s%s", at_proxy ? "the proxy " : "", at_proxy ? m->proxy : m->host);
	char status[16], tls[64];
	const struct name names[] = {
		{"who", who},
		{"host", m->host},
		{"proxy", m->proxy},
		{"user", m->proxy_username},
		{"client", m->client_certificate},
		{"ca", at_proxy ? m->proxy_ca_file : m->ca_file},
		{"ca_key", at_proxy ? "proxy_ca_file" : "ca_file"},
		{"key", at_proxy	 ? "proxy"
			: m->key != NULL ? m->key
					 : "host"},
		{"status", status},
		{"versions", versions(m, tls, sizeof(tls))},
		{NULL, NULL},
	};

	snprintf(status, sizeof(status), "%d", m->connect_status);
	expand(names, text, b);
	if (m->words[0] != '\0')
		(void)buf_addf(b, " (%s)", m->words);
}

static void add_plain(const struct mishap *m, struct buf *b)
{
	(void)buf_adds(b, m->host);
	if (m->proxy != NULL)
		(void)buf_addf(b, " through the proxy %s", m->proxy);
	(void)buf_addf(b, ": %s", m->words[0] != '\0' ? m->words : "no answer");
}

const char *mishap_explain(const struct mishap *m, char *out, size_t size)
{
	CLEANUP_BUF struct buf b = BUF_INIT(64 * 1024);
	unsigned with = what_holds(m);
	const struct row *row = NULL;

	for (size_t i = 0; row == NULL && i < ARRAY_SIZE(rows); i++)
		if (row_fits(&rows[i], m, with))
			row = &rows[i];
	if (row != NULL)
		add_sentence(m, row->text, &b);
	else
		add_plain(m, &b);

	size_t len = b.len < size ? b.len : size - 1;

	memcpy(out, buf_str(&b), len);
	out[len] = '\0';
	return out;
}

bool mishap_is_refused_handshake(const char *words)
{
	return holds_one_of(words, LATE_ALERTS);
}
