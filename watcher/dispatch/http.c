/*
 * A queue in front of dispatch/exchange: a request takes a free place there or waits for one. Answers are
 * given out from the loop, so a user's callback may send the next request at once; one that cannot be begun
 * fails from the loop too.
 */
#include "dispatch/http.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/list.h"
#include "base/mem.h"
#include "base/trace.h"
#include "core/noproxy.h"
#include "dispatch/exchange.h"
#include "dispatch/outgoing.h"

struct call {
	struct http *http;
	struct list in_queue; /* waiting or failed; while under way its place has it */
	struct http_request request;
	http_response_fn fn;
	void *arg;
	char *url; /* what request.url is */
	char *why; /* failed: for what reason */
};

struct http {
	struct loop *loop;
	struct exchanges *exchanges;
	struct transport *transport; /* or NULL */
	struct list waiting, failed, under_way;
	size_t n_waiting;
	size_t n_in_flight;
	uint64_t n_connections;
	bool calling; /* a user's callback is running */
};

/* ---- a request on its way ---- */

static void call_free(struct call *c)
{
	secret_free(c->request.authorization);
	free(c->url);
	free(c->why);
	free(c);
}

/* What goes out in clear stays on this machine and does not see the proxy. */
static bool is_for_proxy(const struct http *h, const char *url)
{
	const struct transport_values *v = h->transport != NULL ? transport_values(h->transport) : NULL;
	size_t len;
	const char *authority = outgoing_authority(url, &len);

	return v != NULL && v->proxy != NULL && outgoing_is_encrypted(url) &&
	       !noproxy_matches((const char *const *)v->no_proxy->items, v->no_proxy->n, authority, len);
}

/* c is in no list any more. */
static void deliver(struct http *h, struct call *c, const struct http_response *r)
{
	h->n_in_flight--;
	h->calling = true;
	c->fn(r, c->arg);
	h->calling = false;
	call_free(c);
}

static void deliver_failed(void *arg)
{
	struct http *h = arg;
	struct http_response r = {.transport = OUTCOME_TRANSPORT_NOT_SENT, .body = "", .head = ""};

	while (!list_is_empty(&h->failed)) {
		struct call *c = LIST_OF(h->failed.next, struct call, in_queue);

		list_remove(&c->in_queue);
		r.error = c->why;
		deliver(h, c, &r);
	}
}

/* How much of the URL a trace may show. */
static int shown_bytes(const struct call *c)
{
	size_t len;
	const char *authority = outgoing_authority(c->url, &len);

	return (int)(c->request.hides_url ? (size_t)(authority - c->url) + len : strlen(c->url));
}

static void trace_answer(const struct call *c, const struct http_response *r, const struct exchange_result *x)
{
	if (!trace_is_on(TRACE_HTTP))
		return;
	trace(TRACE_HTTP, "%.*s: status %d after %" PRId64 " ms, %zu bytes, %" PRIu64 " new connection%s%s%s",
		shown_bytes(c), c->url, r->status, x->took_us / 1000, r->body_len, x->connects,
		x->connects == 1 ? "" : "s", r->error[0] ? ": " : "", r->error);
}

static void on_result(struct exchange *e, const struct exchange_result *x, void *arg)
{
	struct call *c = arg;
	struct http *h = c->http;
	struct http_response r = {
		.transport = x->ok		      ? OUTCOME_TRANSPORT_OK
			     : x->sent		      ? OUTCOME_TRANSPORT_LOST
			     : x->proxy_status == 407 ? OUTCOME_TRANSPORT_PROXY
						      : OUTCOME_TRANSPORT_NOT_SENT,
		.resent = x->resent,
		.status = x->ok ? x->status : 0,
		.body = x->body,
		.body_len = x->body_len,
		.head = x->head,
		.retry_after_us = x->retry_after_us,
		.error = x->error,
	};

	(void)e;
	trace_answer(c, &r, x);
	h->n_connections += x->connects;
	list_remove(&c->in_queue);
	deliver(h, c, &r);
}

static void start(struct http *h, struct call *c)
{
	const struct exchange_request q = {
		.url = c->url,
		.proxied = is_for_proxy(h, c->url),
		.headers = c->request.headers,
		.authorization = c->request.authorization,
		.body = c->request.body,
		.body_len = c->request.body_len,
		.answer = c->request.answer,
	};
	struct err err = ERR_INIT;

	if (exchanges_request(h->exchanges, &q, on_result, c, &err) < 0) {
		c->why = mem_strdup(err.text);
		list_add_tail(&h->failed, &c->in_queue);
		loop_defer(h->loop, deliver_failed, h);
		return;
	}
	trace(TRACE_HTTP, "%s %.*s", c->request.body ? "POST" : "GET", shown_bytes(c), c->url);
	list_add_tail(&h->under_way, &c->in_queue);
}

static void start_waiting(void *arg)
{
	struct http *h = arg;

	while (exchanges_have_room(h->exchanges) && !list_is_empty(&h->waiting)) {
		struct call *c = LIST_OF(h->waiting.next, struct call, in_queue);

		list_remove(&c->in_queue);
		h->n_waiting--;
		start(h, c);
	}
}

/* ---- a client ---- */

struct http *http_new(struct loop *loop, const struct http_options *options, struct err *err)
{
	struct http *h = mem_alloc(sizeof(*h));
	const struct exchanges_options o = {
		.kind = EXCHANGE_HTTP,
		.transport = options->transport,
		.key = "host",
		.connect_timeout_us = options->connect_timeout_us,
		.timeout_us = options->request_timeout_us,
		.places = options->max_requests > HTTP_REQUESTS_MAX ? HTTP_REQUESTS_MAX
			  : options->max_requests > 0		    ? options->max_requests
								    : 1,
		.connection_life_s = options->connection_life_s,
		.turn = start_waiting,
		.arg = h,
	};

	h->loop = loop;
	h->transport = options->transport;
	list_init(&h->waiting);
	list_init(&h->failed);
	list_init(&h->under_way);
	h->exchanges = exchanges_new(loop, &o, err);
	if (h->exchanges == NULL) {
		free(h);
		return NULL;
	}
	return h;
}

static void free_calls(struct list *calls)
{
	LIST_FOREACH_SAFE (it, calls)
		call_free(LIST_OF(it, struct call, in_queue));
	list_init(calls);
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	BUG_ON(h->calling);
	exchanges_free(h->exchanges); /* first: it has borrowed what the calls have */
	free_calls(&h->under_way);
	free_calls(&h->waiting);
	free_calls(&h->failed);
	loop_defer_cancel(h->loop, deliver_failed, h);
	free(h);
}

int http_send(
	struct http *h, const struct http_request *request, http_response_fn fn, void *arg, struct err *err)
{
	int r = outgoing_check(request, err);

	if (r < 0)
		return r;
	if (!exchanges_have_room(h->exchanges) && h->n_waiting >= HTTP_WAITING_MAX)
		return err_set(err, ERR_LIMIT, EAGAIN, "%d requests are waiting already", HTTP_WAITING_MAX);

	struct call *c = mem_alloc(sizeof(*c));

	c->http = h;
	c->request = *request;
	c->request.url = c->url = mem_strdup(request->url);
	c->fn = fn;
	c->arg = arg;
	if (request->authorization != NULL)
		secret_ref(request->authorization);
	h->n_in_flight++;
	list_add_tail(&h->waiting, &c->in_queue);
	h->n_waiting++;
	start_waiting(h);
	return 0;
}

size_t http_in_flight(const struct http *h)
{
	return h->n_in_flight;
}

uint64_t http_connections(const struct http *h)
{
	return h->n_connections;
}

/* ---- reading an answer's head ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The text up to the end of its line, without blanks around it. */
static const char *trimmed(const char *s, size_t len, size_t *ret_len)
{
	while (len > 0 && is_blank(*s)) {
		s++;
		len--;
	}
	while (len > 0 && is_blank(s[len - 1]))
		len--;
	*ret_len = len;
	return s;
}

const char *http_header_get(const struct http_response *r, const char *name, size_t *ret_len)
{
	size_t name_len = strlen(name);

	for (const char *line = strchr(r->head, '\n'); line != NULL; line = strchr(line, '\n')) {
		line++;
		if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':')
			return trimmed(line + name_len + 1, strcspn(line + name_len + 1, "\n"), ret_len);
	}
	return NULL;
}

const char *http_reason_get(const struct http_response *r, size_t *ret_len)
{
	const char *p = r->head;

	p += strcspn(p, " \n"); /* version */
	p += strspn(p, " ");
	p += strcspn(p, " \r\n"); /* status */
	return trimmed(p, strcspn(p, "\n"), ret_len);
}
