/*
 * mishap: why an exchange did not come about, in a sentence that names what is wrong, the key or file it
 * hangs on, and the next step. Pure and table-driven: the facts are libcurl's and OpenSSL's.
 */
#ifndef CORE_MISHAP_H
#define CORE_MISHAP_H

#include <stdbool.h>
#include <stddef.h>

#define MISHAP_TEXT_BYTES                                                                                    \
	1024 /* enough for every sentence with names of usual length; longer ones are cut                    \
	      */

enum mishap_kind {
	MISHAP_OTHER = 0,
	MISHAP_NO_ADDRESS,	 /* no address for the host's name */
	MISHAP_NO_PROXY_ADDRESS, /* none for the proxy's */
	MISHAP_NO_CONNECTION,	 /* TCP; with a proxy: to the proxy */
	MISHAP_TIMEOUT,		 /* `words` say in what */
	MISHAP_TLS,		 /* the handshake failed */
	MISHAP_CERTIFICATE,	 /* the certificate shown is not good */
	MISHAP_CA_FILE,		 /* our file of authorities */
	MISHAP_CLIENT_FILE,	 /* our client certificate, or its key */
	MISHAP_CIPHERS,		 /* our cipher lists */
};

struct mishap {
	enum mishap_kind kind;
	const char *words;  /* libcurl's own, "" for none */
	const char *host;   /* NAME[:PORT] */
	const char *key;    /* of the configuration, with that name; NULL: "host" */
	const char *proxy;  /* what was asked for the way to it, "http://…"; NULL: none was */
	int connect_status; /* what the proxy answered to CONNECT; 0: nothing (yet) */
	long verify;	    /* X509_V_ERR_… of the certificate; 0: none */
	/* what is configured; NULL: nothing */
	const char *ca_file, *proxy_ca_file;
	const char *client_certificate;
	const char *proxy_username;
	const char *tls_min, *tls_max;
	const char *ciphers; /* of either kind */
};

/* Returns out, cut to size. */
const char *mishap_explain(const struct mishap *m, char *out, size_t size);
/* Do these words of OpenSSL's say that the server refused the handshake by an alert? With TLS 1.3 it may come
 * when the request has been written already; it then was not read. Source: RFC 8446 sections 4.4.2.4 and 6.2:
 * these alerts end the connection, and nobody reads data of a client before its handshake is complete. */
bool mishap_is_refused_handshake(const char *words);

#endif
