/*
 * exchange: libcurl, driven by base/loop. The only module that knows it: handles that are made and set up
 * once, what connections are made with (dispatch/transport), when something may be sent and what became of
 * it, with a sentence when nothing did. It has no queue and tries nothing again.
 *
 * Above are dispatch/http (requests) and dispatch/smtp (a line that libcurl makes, and that is spoken over
 * here). What is the same for all: no proxy that is not configured, no netrc, nothing from the environment,
 * TLS 1.2 or later with verified certificates, no signals. doc/transport.md has the whole list.
 *
 * The process ignores SIGPIPE from the first exchanges_new() on.
 */
#ifndef DISPATCH_EXCHANGE_H
#define DISPATCH_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/loop.h"
#include "base/secret.h"
#include "dispatch/transport.h"

#define EXCHANGE_HEADERS_MAX 16
#define EXCHANGE_BODY_BYTES (1024u * 1024) /* of an answer: larger ones are cut off and count as lost */
#define EXCHANGE_HEAD_BYTES (64u * 1024)   /* header lines of an answer, interim answers included */
#define EXCHANGE_LIFE_S                                                                                      \
	300 /* of a connection, and 60 of an address: so a change in the name service is seen */
#define EXCHANGE_RETRY_AFTER_MAX_US (INT64_C(86400) * 1000000)

struct exchanges; /* a client: a fixed number of places, each with a handle and a connection */
struct exchange;  /* one under way in such a place */

enum exchange_kind {
	EXCHANGE_HTTP, /* https:// and http:// */
	EXCHANGE_SMTP, /* smtps:// and smtp:// */
};

struct exchanges_options {
	enum exchange_kind kind;
	/* Borrowed; refreshed from here after a failure that this may mend. NULL: the system's authorities,
	 * no proxy, no client certificate. */
	struct transport *transport;
	const char *key;	    /* the configuration's key with the server's address, for sentences */
	int64_t connect_timeout_us; /* name, TCP and TLS */
	int64_t timeout_us;	    /* all of it */
	size_t places;		    /* at least 1 */
	long connection_life_s;	    /* a connection is not used again when it is older; 0: EXCHANGE_LIFE_S */
	/* Results were given out: there may be room again. */
	void (*turn)(void *arg);
	void *arg;
};

/* Borrowed until the result. */
struct exchange_request {
	const char *url;
	bool proxied;		      /* through the transport's proxy */
	const char *const *headers;   /* at most EXCHANGE_HEADERS_MAX, NULL at the end; or NULL */
	struct secret *authorization; /* a whole header line, or NULL */
	const char *body;	      /* POST; NULL: GET */
	size_t body_len;
	struct secret *answer; /* NULL, or an empty one that takes the answer's body */
};

enum exchange_tls {
	EXCHANGE_TLS_NEVER, /* smtp:// as it is */
	EXCHANGE_TLS_MAY,   /* STARTTLS where the server offers it */
	EXCHANGE_TLS_MUST,  /* STARTTLS, or nothing is said */
};

/* To a mail server. Borrowed until the result. */
struct exchange_line {
	const char *url;
	enum exchange_tls tls;	 /* of smtp://; smtps:// is TLS from the first byte */
	const char *username;	 /* NULL: does not sign in */
	struct secret *password; /* or NULL */
};

/* Borrowed, valid during the callback. */
struct exchange_result {
	bool ok;	  /* a complete answer is there; or the line is made */
	bool sent;	  /* something of the request was written, or the server may have read of it */
	bool resent;	  /* more than once (or, before curl 7.80, perhaps) */
	bool denied;	  /* the server does not take user name or password */
	bool no_starttls; /* the server does not offer what is wanted */
	int status;	  /* the server's last code; 0: none */
	int proxy_status;
	const char *body; /* "" unless ok; a NUL that is not counted follows */
	size_t body_len;
	const char *head;	/* lines of the last answer; of a line: all that the server said so far */
	int64_t retry_after_us; /* 0: none */
	const char *error;	/* one sentence unless ok, else "" */
	uint64_t connects;	/* connections that were made for it */
	int64_t took_us;
};

typedef void (*exchange_fn)(struct exchange *e, const struct exchange_result *r, void *arg);

/* NULL with *err. */
struct exchanges *exchanges_new(struct loop *loop, const struct exchanges_options *options, struct err *err);
/* Takes NULL. What is under way is given up without callback. Not from inside a callback. */
void exchanges_free(struct exchanges *x);
/* Is a place free? */
bool exchanges_have_room(const struct exchanges *x);
/* There must be room. fn is called once, later; when it returns the place is free again. -errno with *err:
 * nothing was begun. Does not block, but for the transport's files after a failure. */
int exchanges_request(struct exchanges *x, const struct exchange_request *q, exchange_fn fn, void *arg,
	struct err *err) MUST_CHECK;
/* The same for a line, in *ret at once; but when it is made (result ok), the place is in use until
 * exchange_end(). fn is told of the making only: from then on the caller waits on exchange_fd() itself. */
int exchanges_dial(struct exchanges *x, const struct exchange_line *q, exchange_fn fn, void *arg,
	struct exchange **ret, struct err *err) MUST_CHECK;

/* Of a line that is made. The descriptor stays libcurl's. */
int exchange_fd(struct exchange *e);
/* How many bytes: 0 of exchange_read() is the end; -EAGAIN: wait; -EIO: the line is broken. Reading goes on
 * until -EAGAIN: TLS may hold bytes that the descriptor does not show. */
ssize_t exchange_read(struct exchange *e, void *p, size_t n);
ssize_t exchange_write(struct exchange *e, const void *p, size_t n);
/* Closes it, made or not, without another word; fn is not called any more. Not from inside fn unless the
 * line is made. */
void exchange_end(struct exchange *e);

#endif
