/*
 * http: requests over HTTPS, on dispatch/exchange, and those that wait for a connection. It knows URLs,
 * header lines and what became of a request; not the Jobs API, not when to try again.
 *
 * What it never does: follow a redirect, ask a proxy that is not configured, read a netrc or cookie file,
 * take a setting from the environment, speak anything but HTTP/1.1 over TLS 1.2 or later (plain HTTP to this
 * machine's loopback and to Azure's metadata service only), or leave the verification of the server's
 * certificate out. doc/transport.md has the whole list.
 *
 * The process ignores SIGPIPE from the first http_new() on.
 */
#ifndef DISPATCH_HTTP_H
#define DISPATCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/loop.h"
#include "base/secret.h"
#include "core/outcome.h"
#include "dispatch/exchange.h"
#include "dispatch/transport.h"

#define HTTP_REQUESTS_MAX 256		      /* at once, of one client: each has a connection of its own */
#define HTTP_WAITING_MAX 4096		      /* requests that wait for one of these */
#define HTTP_BODY_BYTES EXCHANGE_BODY_BYTES   /* of an answer: larger ones are cut off and count as lost */
#define HTTP_HEAD_BYTES EXCHANGE_HEAD_BYTES   /* header lines of an answer, interim answers included */
#define HTTP_HEADERS_MAX EXCHANGE_HEADERS_MAX /* of a request */
#define HTTP_URL_BYTES 8192
#define HTTP_LIFE_S                                                                                          \
	EXCHANGE_LIFE_S /* of a connection, and 60 of an address: so a change in the name service is seen */
#define HTTP_RETRY_AFTER_MAX_US EXCHANGE_RETRY_AFTER_MAX_US

struct http; /* a client: connections, limits, waiting requests */

struct http_options {
	/* Borrowed; refreshed from here after a failure that this may mend. NULL: the system's authorities,
	 * no proxy, no client certificate. */
	struct transport *transport;
	int64_t connect_timeout_us; /* name, TCP and TLS */
	int64_t request_timeout_us; /* all of it; waiting for a free connection does not count */
	size_t max_requests;	    /* 1..HTTP_REQUESTS_MAX; others are taken as the nearest */
	long connection_life_s;	    /* a connection is not used again when it is older; 0: HTTP_LIFE_S */
};

/* Everything is borrowed until the callback; but url is copied, and of authorization a reference is taken. */
struct http_request {
	const char *url;
	const char *const *headers;   /* "Name: value", NULL at the end; or NULL */
	struct secret *authorization; /* a whole header line, or NULL */
	const char *body;	      /* POST; NULL: GET */
	size_t body_len;
	bool hides_url;	       /* what comes behind the host is secret: traces leave it out */
	struct secret *answer; /* NULL, or an empty one that takes the answer's body, whatever the status: no
				  copy is made elsewhere. What does not fit counts as too large. */
};

/* What became of it. Borrowed, valid during the callback. */
struct http_response {
	enum outcome_transport transport;
	bool resent; /* it went out more than once (or, before curl 7.80, may have): the answer is about the
			last time only */
	int status;  /* 0 unless transport is OUTCOME_TRANSPORT_OK */
	const char *body; /* "" unless transport is OK; a NUL that is not counted follows */
	size_t body_len;
	const char *head;	/* status line and header lines of the last answer, NUL-terminated */
	int64_t retry_after_us; /* from Retry-After, seconds or date; 0: none */
	const char *error;	/* one sentence when transport is not OK, else "" */
};

typedef void (*http_response_fn)(const struct http_response *response, void *arg);

/* NULL with *err. */
struct http *http_new(struct loop *loop, const struct http_options *options, struct err *err);
/* Takes NULL. What is on its way or waits is given up without callback. Not from inside a callback of this
 * client. */
void http_free(struct http *h);
/* Sends, or waits for a free connection. fn is called once, later, never from inside. -EINVAL (URL or header
 * line that must not be sent), -EAGAIN (HTTP_WAITING_MAX are waiting already), with *err: then fn is not
 * called. Does not block. */
int http_send(struct http *h, const struct http_request *request, http_response_fn fn, void *arg,
	struct err *err) MUST_CHECK;
/* Requests without answer, those that wait for a connection included. */
size_t http_in_flight(const struct http *h);
/* Connections made since http_new(): to see that they are used again. */
uint64_t http_connections(const struct http *h);

/* The value of the first header line of that name (any case) in r->head, without blanks around it: length in
 * *ret_len. NULL: none. Borrowed, not NUL-terminated. */
const char *http_header_get(const struct http_response *r, const char *name, size_t *ret_len);
/* The reason phrase of the status line, likewise; "" with length 0 when there is none. */
const char *http_reason_get(const struct http_response *r, size_t *ret_len);

#endif
