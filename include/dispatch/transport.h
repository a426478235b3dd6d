/*
 * transport: what the connections to a workspace are made with, besides its address: certificates to trust, a
 * client certificate, a proxy, versions and ciphers of TLS. It finds, reads and checks the files that the
 * configuration names, and knows nothing of libcurl.
 */
#ifndef DISPATCH_TRANSPORT_H
#define DISPATCH_TRANSPORT_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/secret.h"
#include "core/conf.h"

struct transport;

/* Borrowed until the next transport_refresh(); of the secrets take a reference. NULL: not configured. */
struct transport_values {
	const char *ca_file; /* paths */
	const char *client_certificate, *client_key;
	bool pkcs12; /* that is what client_certificate is, not PEM */
	struct secret *key_password;
	const char *tls_min, *tls_max; /* "1.2", "1.3" */
	const char *ciphers, *tls13_ciphers;
	const char *proxy, *proxy_username;
	const char *proxy_ca_file;
	struct secret *proxy_line; /* "Proxy-Authorization: Basic …" */
	const struct conf_list *no_proxy;
	unsigned generation; /* another one after each refresh */
};

/* Reads and checks everything. conf stays the caller's and must outlive it. credentials_directory:
 * $CREDENTIALS_DIRECTORY as it was at the start, or NULL; copied. NULL with *err (class ERR_CONF). May block
 * on the files. */
struct transport *transport_new(
	const struct conf_workspace *conf, const char *credentials_directory, struct err *err);
void transport_free(struct transport *t); /* takes NULL */
/* The same again, after a failure that a change of the files may have mended. On failure the old values stay.
 */
int transport_refresh(struct transport *t, struct err *err) MUST_CHECK;
const struct transport_values *transport_values(const struct transport *t);

enum transport_sight {
	TRANSPORT_MISTAKE, /* it cannot work, whoever runs the service and whenever */
	TRANSPORT_REFUSED, /* the service would not start with the file as it is, or is not */
	TRANSPORT_UNSURE,  /* the one who asks may not read it, or the service could not */
};

/* For `check`: what can be known now. service: who will run the service, or SECRETFILE_ANYBODY. Calls tell
 * for each fault. Credentials of systemd are taken as good. */
void transport_look(const struct conf_workspace *conf, uid_t service,
	void (*tell)(enum transport_sight sight, const char *sentence, void *arg), void *arg);

#endif
