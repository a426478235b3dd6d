/*
 * oauth: how an access token is asked for, as data: the requests of each kind of credential, and what their
 * answers say. Pure; nobody is asked here. What is secret in a request or an answer stays in a struct secret.
 *
 * Sources: RFC 6749 (client credentials; 2.3.1: id and secret form-encoded in the Basic header), RFC 8693
 * (token exchange), RFC 8414 (discovery); Databricks' pages on OAuth for service principals and on token
 * federation; Entra's page on the client credentials flow; Azure's page on tokens of managed identities.
 */
#ifndef DISPATCH_OAUTH_H
#define DISPATCH_OAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/secret.h"
#include "dispatch/credential.h"

#define OAUTH_ANSWER_BYTES (64u * 1024) /* room for an answer of a token endpoint */
#define OAUTH_TOKEN_BYTES (16u * 1024)	/* longest access token */
#define OAUTH_URL_BYTES 2048		/* longest token endpoint */

/* ---- requests ---- */

struct oauth_request {
	char *url;
	const char *const *headers;   /* constant, NULL at the end */
	struct secret *authorization; /* a whole header line, or NULL */
	struct secret *body;	      /* a form to POST; NULL: GET */
};

/* Does the workspace itself hand out the token, so that its endpoint has to be looked up? */
bool oauth_is_of_workspace(const struct credential *c);
/* Where the workspace at host says which endpoint it has. The caller's. */
char *oauth_discovery_url(const char *host);
/* The request for a token; c is of a kind without credential_header(). endpoint: of the workspace; else not
 * looked at. */
void oauth_request_init(struct oauth_request *q, const struct credential *c, const char *endpoint);
void oauth_request_done(struct oauth_request *q);

/* ---- answers, with a 2xx status ---- */

/* The endpoint that the workspace at host names. It must be at the same address: our secret goes there.
 * malloc'd. -errno with *err (class ERR_REMOTE or ERR_INPUT). */
int oauth_read_endpoint(
	const char *host, const char *body, size_t len, char **ret, struct err *err) MUST_CHECK;

struct oauth_token {
	struct secret *header; /* "Authorization: Bearer …"; the caller's */
	int64_t seconds;       /* how long it is good, above 0 */
};

/* body: best the bytes of a struct secret. now_us: wall clock, for answers that tell a time and no length.
 * -errno with *err (class ERR_INPUT), which shows nothing of the answer. */
int oauth_read_token(
	const char *body, size_t len, int64_t now_us, struct oauth_token *ret, struct err *err) MUST_CHECK;

#endif
