/*
 * auth: how we sign in to one workspace. Its user sees a header line for requests, and can ask for another
 * one when that was refused or there is none. Behind it: the files of the credential (dispatch/credential),
 * and for most kinds an access token, which is asked for over the network (dispatch/oauth), renewed five
 * minutes ahead of its end, and kept in memory only. One request for a token is under way at a time.
 *
 * Nothing here blocks but the reading of the credential's file.
 */
#ifndef DISPATCH_AUTH_H
#define DISPATCH_AUTH_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/secret.h"
#include "core/conf.h"
#include "core/outcome.h"
#include "dispatch/answer.h"
#include "dispatch/http.h"

#define AUTH_WAITERS_MAX HTTP_WAITING_MAX
#define AUTH_MESSAGE_BYTES 1024

struct auth;

/* Why there is no (other) header. Borrowed, valid during the callback. */
struct auth_trouble {
	struct outcome outcome; /* what becomes of a request that waited for it */
	int http_status;	/* of who hands out tokens; 0: no answer */
	int64_t retry_after_us;
	char code[ANSWER_CODE_BYTES];
	char message[AUTH_MESSAGE_BYTES]; /* raw, without secrets */
};

typedef void (*auth_fn)(const struct auth_trouble *trouble, void *arg); /* NULL: auth_header() is there */

/* The user's storage; all zero before. */
struct auth_waiter {
	struct list in;
	bool failed;
	auth_fn fn;
	void *arg;
};

/* Reads the credential; asks nobody. conf stays the caller's and must outlive it. http: how the workspace is
 * reached; copied, what it points to is borrowed. credentials_directory: $CREDENTIALS_DIRECTORY as it was at
 * the start, or NULL; copied. NULL with *err (class ERR_CONF, with the command that mends it). */
struct auth *auth_new(struct loop *loop, const struct conf_workspace *conf, const struct http_options *http,
	const char *credentials_directory, struct err *err);
/* Takes NULL. Nobody may be waiting. */
void auth_free(struct auth *a);

/* The whole header line, "Authorization: Bearer …", good to be sent now; NULL: there is none, auth_await()
 * one. If it is time for another one, that is begun. Borrowed until the loop runs on; to keep it take a
 * reference. */
struct secret *auth_header(struct auth *a);
/* Waits for a header that is another one than `refused` (NULL: for any). of_credential: the refusal spoke of
 * it; else a file is read again, but no access token asked for. w->fn is called once, later, never from
 * inside: with NULL when there is a header, be it the same (a file has not changed). The wait is bounded by
 * the time-outs of two requests. -EAGAIN with *err: too many are waiting; then fn is not called. */
int auth_await(struct auth *a, struct auth_waiter *w, const struct secret *refused, bool of_credential,
	struct err *err) MUST_CHECK;
/* Takes it back; nothing when it does not wait. */
void auth_unwait(struct auth *a, struct auth_waiter *w);

/* Overwrites whatever of our credential a server has put into this text, be it a message, an error code or
 * any other word of an answer that is kept. sent: the header line it was given, or NULL. */
void auth_blot(const struct auth *a, const struct secret *sent, char *text);
/* A sentence about what a refused credential needs besides, or NULL. Borrowed. */
const char *auth_hint(const struct auth *a);
/* For events and messages: how we signed in, "token", "oauth-m2m:CLIENT_ID". Borrowed until the loop runs
 * on. */
const char *auth_principal(const struct auth *a);

/* For `status`. Borrowed until the loop runs on. */
struct auth_state {
	const char *kind;      /* "token", "oauth-m2m", … */
	const char *principal; /* as above */
	const char *file;      /* of the credential, as configured; NULL: none */
	int64_t changed_us;    /* when that was changed last, wall clock; 0: no file */
	bool has_token;	       /* an access token that was asked for is there */
	int64_t token_end_us;  /* its end, wall clock */
};
void auth_state(const struct auth *a, struct auth_state *ret);

#endif
