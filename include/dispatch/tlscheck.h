/*
 * tlscheck: is what is configured for TLS good, as far as can be known without a network? Looks into
 * certificate and key files and asks OpenSSL about ciphers, so that a mistake is told in words a person
 * understands, with the command that mends it. libcurl reads the same files again for each connection.
 */
#ifndef DISPATCH_TLSCHECK_H
#define DISPATCH_TLSCHECK_H

#include <stdbool.h>
#include "base/err.h"
#include "base/secret.h"

#define TLSCHECK_FILE_BYTES (4u * 1024 * 1024) /* of a file of authorities */

/* What a client certificate is made of. */
struct tlscheck_client {
	const char *certificate;       /* path; holds the key too when key is NULL */
	const char *key;	       /* path, or NULL */
	const struct secret *password; /* of the key; NULL: none is configured */
};

/* All: 0, or with *err (class ERR_CONF, the sentence names the key) -EINVAL when it cannot work, another
 * -errno when a file cannot be read. May block on the files. */

/* Certificates to trust: PEM. name: of the key, "ca_file". */
int tlscheck_authorities(const char *name, const char *path, struct err *err) MUST_CHECK;
/* Certificate and key belong together, and the password opens the key. *ret_pkcs12: which of PKCS#12 and PEM
 * it is. */
int tlscheck_client(const struct tlscheck_client *c, bool *ret_pkcs12, struct err *err) MUST_CHECK;
/* A cipher list as in openssl-ciphers(1), for TLS 1.2: every word of it is known, something is left, and
 * nothing without encryption or authentication. */
int tlscheck_ciphers(const char *list, struct err *err) MUST_CHECK;
/* Cipher suites for TLS 1.3, separated by colons: all are known. */
int tlscheck_ciphers13(const char *list, struct err *err) MUST_CHECK;

#endif
