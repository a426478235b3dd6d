/*
 * A refresh makes all values anew beside the old ones and then takes their place, so that a failure leaves
 * everything as it was.
 *
 * The password at the proxy becomes a header line of ours instead of an option of libcurl's: it then lives in
 * a struct secret only, and is sent with the first request (Basic is the only scheme, RFC 7617). The password
 * of a client key is the one secret that libcurl has to be given a copy of.
 *
 * A private key that others can read is refused like any other secret, be it in a file of its own or with its
 * certificate.
 */
#include "dispatch/transport.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "dispatch/secretfile.h"
#include "dispatch/tlscheck.h"

#define PROXY_LINE "Proxy-Authorization: Basic "
#define USERNAME_BYTES 1024

/* Files as they were found. */
struct found {
	char *ca_file, *client_certificate, *client_key, *proxy_ca_file;
	bool pkcs12;
	struct secret *key_password, *proxy_line;
};

struct transport {
	const struct conf_workspace *conf;
	char *credentials_directory; /* or NULL */
	struct found found;
	struct transport_values values;
};

static void found_done(struct found *f)
{
	free(f->ca_file);
	free(f->client_certificate);
	free(f->client_key);
	free(f->proxy_ca_file);
	secret_free(f->key_password);
	secret_free(f->proxy_line);
}

/* ---- the password at the proxy ---- */

static int read_proxy_line(const struct transport *t, struct secret **ret, struct err *err)
{
	const struct conf_workspace *c = t->conf;
	CLEANUP_SECRET struct secret *plain = secret_new(USERNAME_BYTES + 1 + SECRETFILE_ROOM_BYTES);
	CLEANUP_SECRET struct secret *line =
		secret_new(sizeof(PROXY_LINE) + (USERNAME_BYTES + SECRETFILE_ROOM_BYTES) / 3 * 4 + 8);
	int r;

	if (strlen(c->proxy_username) > USERNAME_BYTES)
		return err_set(
			err, ERR_CONF, EINVAL, "proxy_username is longer than %d bytes", USERNAME_BYTES);
	r = secret_add(plain, c->proxy_username, strlen(c->proxy_username));
	if (r == 0)
		r = secret_add(plain, ":", 1);
	BUG_ON(r < 0); /* there is room for the longest */
	if (c->proxy_password_file != NULL)
		r = secretfile_add(
			c->proxy_password_file, t->credentials_directory, SECRETFILE_LINE, plain, err);
	if (r < 0)
		return r;
	r = secret_add(line, PROXY_LINE, strlen(PROXY_LINE));
	if (r == 0)
		r = secret_add_base64(line, secret_bytes(plain), secret_len(plain));
	BUG_ON(r < 0); /* likewise */
	*ret = secret_ref(line);
	return 0;
}

/* ---- files ---- */

static int find_authorities(
	const struct transport *t, const char *name, const char *value, char **ret, struct err *err)
{
	int r = value != NULL ? secretfile_find(value, t->credentials_directory, false, ret, err) : 0;

	return r == 0 && value != NULL ? tlscheck_authorities(name, *ret, err) : r;
}

static int find_client(const struct transport *t, struct found *f, struct err *err)
{
	const struct conf_workspace *c = t->conf;
	bool has_key_file = c->client_key != NULL;
	int r;

	if (c->client_certificate == NULL)
		return 0;
	r = secretfile_find(
		c->client_certificate, t->credentials_directory, !has_key_file, &f->client_certificate, err);
	if (r == 0 && has_key_file)
		r = secretfile_find(c->client_key, t->credentials_directory, true, &f->client_key, err);
	if (r == 0 && c->client_key_password_file != NULL) {
		f->key_password = secret_new(SECRETFILE_ROOM_BYTES);
		r = secretfile_add(c->client_key_password_file, t->credentials_directory, SECRETFILE_LINE,
			f->key_password, err);
	}
	if (r < 0)
		return r;

	const struct tlscheck_client client = {
		.certificate = f->client_certificate, .key = f->client_key, .password = f->key_password};

	return tlscheck_client(&client, &f->pkcs12, err);
}

static int find(const struct transport *t, struct found *f, struct err *err)
{
	const struct conf_workspace *c = t->conf;
	int r = find_authorities(t, "ca_file", c->ca_file, &f->ca_file, err);

	if (r == 0)
		r = find_authorities(t, "proxy_ca_file", c->proxy_ca_file, &f->proxy_ca_file, err);
	if (r == 0)
		r = find_client(t, f, err);
	if (r == 0 && c->proxy_username != NULL)
		r = read_proxy_line(t, &f->proxy_line, err);
	return r;
}

static int check_ciphers(const struct conf_workspace *c, struct err *err)
{
	int r = c->ciphers != NULL ? tlscheck_ciphers(c->ciphers, err) : 0;

	return r == 0 && c->tls13_ciphers != NULL ? tlscheck_ciphers13(c->tls13_ciphers, err) : r;
}

/* ---- public ---- */

int transport_refresh(struct transport *t, struct err *err)
{
	const struct conf_workspace *c = t->conf;
	struct found f = {.ca_file = NULL};
	int r = find(t, &f, err);

	if (r < 0) {
		found_done(&f);
		return r;
	}
	found_done(&t->found);
	t->found = f;
	t->values = (struct transport_values){
		.ca_file = f.ca_file,
		.client_certificate = f.client_certificate,
		.client_key = f.client_key,
		.pkcs12 = f.pkcs12,
		.key_password = f.key_password,
		.tls_min = c->tls_min,
		.tls_max = c->tls_max,
		.ciphers = c->ciphers,
		.tls13_ciphers = c->tls13_ciphers,
		.proxy = c->proxy,
		.proxy_username = c->proxy_username,
		.proxy_ca_file = f.proxy_ca_file,
		.proxy_line = f.proxy_line,
		.no_proxy = &c->no_proxy,
		.generation = t->values.generation + 1,
	};
	return 0;
}

struct transport *transport_new(
	const struct conf_workspace *conf, const char *credentials_directory, struct err *err)
{
	struct transport *t;

	if (check_ciphers(conf, err) < 0)
		return NULL;
	t = mem_alloc(sizeof(*t));
	t->conf = conf;
	if (credentials_directory != NULL)
		t->credentials_directory = mem_strdup(credentials_directory);
	if (transport_refresh(t, err) < 0) {
		transport_free(t);
		return NULL;
	}
	return t;
}

void transport_free(struct transport *t)
{
	if (t == NULL)
		return;
	found_done(&t->found);
	free(t->credentials_directory);
	free(t);
}

const struct transport_values *transport_values(const struct transport *t)
{
	return &t->values;
}

/* ---- a look ---- */

/* Who is told, and of what. */
struct look {
	uid_t service;
	void (*tell)(enum transport_sight sight, const char *sentence, void *arg);
	void *arg;
};

/* Can it be looked at at all? What only systemd hands over cannot. */
static bool is_path(const char *value)
{
	return value != NULL && !secretfile_is_handed_over(value);
}

/* r: of core tlscheck, which cannot work, or of a file that could not be read. */
static void tell_of_tls(const struct look *l, int r, const struct err *err)
{
	CLEANUP_FREE char *unseen =
		mem_printf("%s; not checked, and a service of this user would not start", err->text);

	if (r == -EINVAL)
		l->tell(TRANSPORT_MISTAKE, err->text, l->arg);
	else if (r == -EACCES && l->service != geteuid())
		l->tell(TRANSPORT_UNSURE, unseen, l->arg);
	else if (r < 0)
		l->tell(TRANSPORT_REFUSED, err->text, l->arg);
}

/* r: of a secretfile_look. */
static void tell_of_secret(const struct look *l, int r, const struct err *err)
{
	if (r < 0)
		l->tell(TRANSPORT_REFUSED, err->text, l->arg);
	else if (err->class != ERR_NONE)
		l->tell(TRANSPORT_UNSURE, err->text, l->arg);
}

static void look_at_authorities(const struct look *l, const char *name, const char *value)
{
	struct err err = ERR_INIT;

	if (is_path(value))
		tell_of_tls(l, tlscheck_authorities(name, value, &err), &err);
}

/* A password, read as the service would read it. Is it there, or none needed? */
static bool look_at_password(const struct look *l, const char *value, struct secret *s)
{
	struct err err = ERR_INIT;
	int r = secretfile_look_into(value, SECRETFILE_LINE, l->service, s, &err);

	tell_of_secret(l, r, &err);
	return r > 0 || value == NULL;
}

static void look_at_client(const struct look *l, const struct conf_workspace *c)
{
	CLEANUP_SECRET struct secret *password = secret_new(SECRETFILE_ROOM_BYTES);
	const struct tlscheck_client client = {.certificate = c->client_certificate,
		.key = c->client_key,
		.password = c->client_key_password_file != NULL ? password : NULL};
	struct err err = ERR_INIT;
	bool pkcs12, has_password = look_at_password(l, c->client_key_password_file, password);
	int r = secretfile_look(
		c->client_key != NULL ? c->client_key : c->client_certificate, l->service, &err);

	tell_of_secret(l, r, &err);
	if ((r <= 0 && r != -EPERM) || !has_password || !is_path(c->client_certificate) ||
		(c->client_key != NULL && !is_path(c->client_key)))
		return; /* then there is nothing to look into, or not by this user */
	err = ERR_INIT;
	tell_of_tls(l, tlscheck_client(&client, &pkcs12, &err), &err);
}

void transport_look(const struct conf_workspace *conf, uid_t service,
	void (*fn)(enum transport_sight sight, const char *sentence, void *arg), void *arg)
{
	const struct look l = {.service = service, .tell = fn, .arg = arg};
	CLEANUP_SECRET struct secret *password = secret_new(SECRETFILE_ROOM_BYTES);
	struct err err = ERR_INIT;

	look_at_authorities(&l, "ca_file", conf->ca_file);
	look_at_authorities(&l, "proxy_ca_file", conf->proxy_ca_file);
	if (conf->client_certificate != NULL)
		look_at_client(&l, conf);
	(void)look_at_password(&l, conf->proxy_password_file, password);
	tell_of_tls(&l, check_ciphers(conf, &err), &err);
}
