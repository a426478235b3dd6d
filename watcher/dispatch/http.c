/*
 * Each client has a fixed set of slots, one easy handle each, made and configured at the start: what must
 * never fail later (an option that cannot be set) fails there. A request takes an idle slot or waits in a
 * queue for one. The multi handle tells by two callbacks which descriptors and which time it wants; these go
 * straight to base/loop and nothing else happens in them. The callbacks for header lines and body only
 * collect. Answers are given out after curl has returned, from the list of finished transfers, so a user's
 * callback may send the next request at once.
 *
 * Sent or not: curl calls on_ready() when the connection stands and the request comes next (before 7.80: it
 * says how many bytes it wrote, those for a proxy included, and when the connection was ready). If it did
 * not, the request cannot have arrived; in every other failure it may have, but for a server that refuses the
 * handshake of TLS 1.3 late. curl sends a request again by itself when a kept connection turns out to be
 * closed by the server; the idempotency token makes that harmless.
 *
 * An answer that is not complete (cut off, too large, too slow) is no answer, even when its status is known:
 * half of an error message could be taken for another one.
 *
 * The header line with the credential is given to curl as it stands in its secret, by a list node of ours, so
 * that there is no copy of ours to wipe. curl builds each request in a buffer of its own, which it frees when
 * it is sent.
 *
 * Rejected: HTTP/2 (several requests on one connection stand or fall together), connections shared between
 * clients, CURLOPT_COPYPOSTFIELDS (the caller keeps the body for a second attempt anyway).
 */
#include "dispatch/http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/trace.h"
#include "core/mishap.h"
#include "core/noproxy.h"
#include "dispatch/outgoing.h"

#ifndef BW_VERSION
#error "BW_VERSION must be defined"
#endif

#define BODY_KEPT_BYTES (64u * 1024) /* memory a slot keeps for the next answer */
#define KEEPALIVE_IDLE_S 30L
#define KEEPALIVE_INTERVAL_S 15L
#define LOW_SPEED_BYTES 1L /* a second */
#define ADDRESS_LIFE_S 60L
#define AUTHORITIES_LIFE_S                                                                                   \
	60L /* of the system's: a hundred certificates, read for each connection without it */
#define PROTOCOLS "http,https"

struct call {
	struct list in_queue; /* waiting or failed; while under way its slot has it */
	struct http_request request;
	http_response_fn fn;
	void *arg;
	char *url; /* what request.url is */
	char *why; /* failed: for what reason */
};

struct slot {
	struct http *http;
	struct list in_slots; /* idle or busy */
	CURL *easy;
	struct call *call;
	struct curl_slist
		lines[HTTP_HEADERS_MAX + 2]; /* nodes of ours: "Expect:", the credential, the caller's */
	struct buf head, body;
	size_t head_bytes;
	bool head_complete; /* the empty line was there: curl takes a head that ends in the middle for a whole
			       one */
	bool too_large;
	int readies;  /* how often a connection stood, and the request was about to be written */
	bool proxied; /* the way is through the proxy */
	char error[CURL_ERROR_SIZE];
	char sentence[MISHAP_TEXT_BYTES]; /* what is made of it */
	unsigned generation;		  /* of the transport's values it is set up with */
	struct secret *proxy_line;	  /* what the node below points into */
	struct curl_slist proxy_lines[1];
};

struct watch { /* a descriptor of curl's */
	struct list in_watches;
	struct loop_io *io;
};

struct http {
	struct loop *loop;
	struct loop_timer *timer;
	CURLM *multi;
	struct slot *slots;
	size_t n_slots;
	struct list idle, busy;
	struct list waiting, failed;
	struct list watches;
	size_t n_waiting;
	size_t n_in_flight;
	uint64_t n_connections;
	struct transport *transport; /* or NULL */
	bool doubt;   /* something failed that a change of the transport's files may have mended */
	bool calling; /* a user's callback is running */
};

/* ---- what curl calls: record, nothing else ---- */

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
	struct slot *s = arg;
	size_t len = size * n;

	s->head_bytes += len;
	if (s->head_bytes > HTTP_HEAD_BYTES) {
		s->too_large = true;
		return 0;
	}
	if (len >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		buf_reset(&s->head); /* the answer before this one was an interim one */
		s->head_complete = false;
	}
	if (len > 0 && (p[0] == '\n' || (len > 1 && p[0] == '\r' && p[1] == '\n')))
		s->head_complete = true;
	return buf_add(&s->head, p, len) == 0 ? len : 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct slot *s = arg;
	struct secret *into = s->call->request.answer;

	if ((into != NULL ? secret_add(into, p, size * n) : buf_add(&s->body, p, size * n)) < 0) {
		s->too_large = true;
		return 0;
	}
	return size * n;
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* The connection stands, TLS and proxy included, and the request is written next. */
static int on_ready(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct slot *s = arg;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	s->readies++;
	return CURL_PREREQFUNC_OK;
}
#endif

/* ---- between curl and the loop ---- */

static void settle(struct http *h);

static void perform(struct http *h, curl_socket_t fd, int bits)
{
	int running;

	/* Only a descriptor that could not be watched makes this fail. Then all transfers have failed, but
	 * each has to be looked at once to be told. */
	if (curl_multi_socket_action(h->multi, fd, bits, &running) != CURLM_OK)
		curl_multi_perform(h->multi, &running);
	settle(h);
}

static void on_io(struct loop_io *io, uint32_t events, void *arg)
{
	int bits = 0;

	if (events & (LOOP_IN | LOOP_PRI | LOOP_HUP))
		bits |= CURL_CSELECT_IN;
	if (events & LOOP_OUT)
		bits |= CURL_CSELECT_OUT;
	if (events & LOOP_ERR)
		bits |= CURL_CSELECT_ERR;
	perform(arg, loop_io_fd(io), bits);
}

static void on_timer(struct loop_timer *timer, void *arg)
{
	(void)timer;
	perform(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout_change(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *h = arg;

	(void)multi;
	if (timeout_ms < 0)
		loop_timer_clear(h->timer);
	else
		loop_timer_set(h->timer, timeout_ms == 0 ? 0 : clock_mono_us() + timeout_ms * US_PER_MS);
	return 0;
}

static void watch_free(struct watch *w)
{
	loop_io_remove(w->io);
	list_remove(&w->in_watches);
	free(w);
}

static int watch_new(struct http *h, curl_socket_t fd, uint32_t events)
{
	struct loop_io *io = loop_io_add(h->loop, fd, events, on_io, h, NULL);

	if (io == NULL)
		return -1;

	struct watch *w = mem_alloc(sizeof(*w));

	w->io = io;
	list_add_tail(&h->watches, &w->in_watches);
	curl_multi_assign(h->multi, fd, w);
	return 0;
}

static int on_socket_change(CURL *easy, curl_socket_t fd, int what, void *arg, void *watch)
{
	struct watch *w = watch;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			watch_free(w);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= LOOP_IN;
	if (what & CURL_POLL_OUT)
		events |= LOOP_OUT;
	if (w == NULL)
		return watch_new(arg, fd, events);
	return loop_io_set(w->io, events) == 0 ? 0 : -1;
}

/* ---- a request on its way ---- */

static void call_free(struct call *c)
{
	secret_free(c->request.authorization);
	free(c->url);
	free(c->why);
	free(c);
}

static struct curl_slist *build_lines(struct slot *s, const struct http_request *q)
{
	size_t n = 0;

	/* curl only reads the nodes */
	s->lines[n++].data = (char *)"Expect:"; /* without it curl would ask before it sends a large body, and
						   wait a second */
	if (q->authorization != NULL)
		s->lines[n++].data = (char *)secret_bytes(q->authorization);
	for (size_t i = 0; q->headers != NULL && q->headers[i] != NULL; i++)
		s->lines[n++].data = (char *)q->headers[i];
	for (size_t i = 0; i < n; i++)
		s->lines[i].next = i + 1 < n ? &s->lines[i + 1] : NULL;
	return s->lines;
}

static const struct transport_values *values_of(const struct http *h)
{
	static const struct transport_values none = {.generation = 1};

	return h->transport != NULL ? transport_values(h->transport) : &none;
}

/* What goes out in clear stays on this machine and does not see the proxy. */
static bool is_for_proxy(const struct transport_values *v, const char *url)
{
	size_t len;
	const char *authority = outgoing_authority(url, &len);

	return v->proxy != NULL && outgoing_is_encrypted(url) &&
	       !noproxy_matches((const char *const *)v->no_proxy->items, v->no_proxy->n, authority, len);
}

static bool set_request(struct slot *s, const struct http_request *q)
{
	CURL *e = s->easy;

	s->proxied = is_for_proxy(values_of(s->http), q->url);
	if (curl_easy_setopt(e, CURLOPT_URL, q->url) != CURLE_OK ||
		curl_easy_setopt(e, CURLOPT_NOPROXY, s->proxied ? "" : "*") != CURLE_OK ||
		curl_easy_setopt(e, CURLOPT_HTTPHEADER, build_lines(s, q)) != CURLE_OK)
		return false;
	if (q->body == NULL)
		return curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK;
	return curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_POSTFIELDS, q->body) == CURLE_OK;
}

/* The handle forgets what is not ours. */
static void drop_request(struct slot *s)
{
	curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, NULL);
	curl_easy_setopt(s->easy, CURLOPT_HTTPGET, 1L);
	s->call = NULL;
}

static void slot_release(struct slot *s)
{
	list_remove(&s->in_slots);
	list_add_tail(&s->http->idle, &s->in_slots);
	if (s->body.cap > BODY_KEPT_BYTES) {
		buf_done(&s->body);
		buf_init(&s->body, HTTP_BODY_BYTES);
	}
}

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
		r.error = c->why != NULL ? c->why : "not enough memory";
		deliver(h, c, &r);
	}
}

static void fail(struct http *h, struct call *c, const char *why)
{
	c->why = why != NULL ? mem_strdup(why) : NULL;
	list_add_tail(&h->failed, &c->in_queue);
	loop_defer(h->loop, deliver_failed, h);
}

static CURLcode set_transport(struct slot *s, const struct transport_values *v);

/* With what the files hold now, when something may have changed. */
static int prepare(struct http *h, struct slot *s, struct err *err)
{
	int r = h->doubt && h->transport != NULL ? transport_refresh(h->transport, err) : 0;

	if (r < 0)
		return r;
	h->doubt = false;
	if (s->generation == values_of(h)->generation)
		return 0;

	CURLcode code = set_transport(s, values_of(h));

	if (code != CURLE_OK)
		return err_set(err, ERR_SYSTEM, EINVAL,
			"libcurl %s does not take an option that is needed: %s",
			curl_version_info(CURLVERSION_NOW)->version, curl_easy_strerror(code));
	return 0;
}

/* How much of the URL a trace may show. */
static int shown_bytes(const struct http_request *q)
{
	size_t len;
	const char *authority = outgoing_authority(q->url, &len);

	return (int)(q->hides_url ? (size_t)(authority - q->url) + len : strlen(q->url));
}

/* Gives the call to an idle slot. curl only notes it: the first byte is sent from the loop. */
static void start(struct http *h, struct call *c)
{
	struct slot *s = LIST_OF(h->idle.next, struct slot, in_slots);
	struct err err = ERR_INIT;

	buf_reset(&s->head);
	buf_reset(&s->body);
	s->head_bytes = 0;
	s->head_complete = s->too_large = false;
	s->readies = 0;
	s->error[0] = '\0';
	if (prepare(h, s, &err) < 0) {
		fail(h, c, err.text);
		return;
	}
	if (!set_request(s, &c->request) || curl_multi_add_handle(h->multi, s->easy) != CURLM_OK) {
		drop_request(s);
		fail(h, c, NULL);
		return;
	}
	trace(TRACE_HTTP, "%s %.*s", c->request.body ? "POST" : "GET", shown_bytes(&c->request),
		c->request.url);
	s->call = c;
	list_remove(&s->in_slots);
	list_add_tail(&h->busy, &s->in_slots);
}

static void start_waiting(struct http *h)
{
	while (!list_is_empty(&h->idle) && !list_is_empty(&h->waiting)) {
		struct call *c = LIST_OF(h->waiting.next, struct call, in_queue);

		list_remove(&c->in_queue);
		h->n_waiting--;
		start(h, c);
	}
}

/* ---- the answer ---- */

static int64_t retry_after_us(const struct slot *s)
{
	curl_off_t seconds = 0;

	if (curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds <= 0)
		return 0; /* a date that has passed comes out below 0 */
	return seconds < HTTP_RETRY_AFTER_MAX_US / US_PER_S ? seconds * US_PER_S : HTTP_RETRY_AFTER_MAX_US;
}

/* Was anything of the request written? What a proxy was asked does not count. */
static bool was_sent(const struct slot *s)
{
#if LIBCURL_VERSION_NUM >= 0x075000
	return s->readies > 0;
#else
	long bytes = 0, proxy = 0;
	curl_off_t ready_us = 0;

	curl_easy_getinfo(s->easy, CURLINFO_REQUEST_SIZE, &bytes);
	curl_easy_getinfo(s->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
	curl_easy_getinfo(s->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
	return proxy >= 300 ? false : bytes > 0 || ready_us > 0;
#endif
}

/* May curl have written it more than once? It does when a kept connection is closed without an answer. */
static bool may_be_resent(const struct slot *s, long connects)
{
#if LIBCURL_VERSION_NUM >= 0x075000
	(void)connects;
	return s->readies > 1;
#else
	return connects > 0 &&
	       s->http->n_connections > 0; /* not told: there was one that may have been kept */
#endif
}

static enum mishap_kind kind_of(CURLcode code, const char *words)
{
	static const struct {
		CURLcode code;
		enum mishap_kind kind;
	} kinds[] = {
		{CURLE_COULDNT_RESOLVE_HOST, MISHAP_NO_ADDRESS},
		{CURLE_COULDNT_RESOLVE_PROXY, MISHAP_NO_PROXY_ADDRESS},
		{CURLE_COULDNT_CONNECT, MISHAP_NO_CONNECTION},
		{CURLE_OPERATION_TIMEDOUT, MISHAP_TIMEOUT},
		{CURLE_SSL_CONNECT_ERROR, MISHAP_TLS},
		{CURLE_PEER_FAILED_VERIFICATION, MISHAP_CERTIFICATE},
		{CURLE_SSL_CACERT_BADFILE, MISHAP_CA_FILE},
		{CURLE_SSL_CERTPROBLEM, MISHAP_CLIENT_FILE},
		{CURLE_SSL_CIPHER, MISHAP_CIPHERS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].code == code)
			return kinds[i].kind;
	return mishap_is_refused_handshake(words) ? MISHAP_TLS : MISHAP_OTHER;
}

static const char *words_of(const struct slot *s, CURLcode code)
{
	if (s->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return "the answer is too large";
	return s->error[0] != '\0' ? s->error : curl_easy_strerror(code);
}

static const char *explain_failure(struct slot *s, CURLcode code, enum mishap_kind kind)
{
	const struct transport_values *v = values_of(s->http);
	size_t len;
	const char *authority = outgoing_authority(s->call->request.url, &len);
	CLEANUP_FREE char *host = mem_printf("%.*s", (int)len, authority);
	struct mishap m = {
		.kind = kind,
		.words = words_of(s, code),
		.host = host,
		.proxy = s->proxied ? v->proxy : NULL,
		.ca_file = v->ca_file,
		.proxy_ca_file = v->proxy_ca_file,
		.client_certificate = v->client_certificate,
		.proxy_username = v->proxy_username,
		.tls_min = v->tls_min,
		.tls_max = v->tls_max,
		.ciphers = v->ciphers != NULL ? v->ciphers : v->tls13_ciphers,
	};
	long connect_status = 0;

	curl_easy_getinfo(s->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	m.connect_status = (int)connect_status;
	if (connect_status >= 300)
		m.kind = MISHAP_OTHER; /* whatever libcurl takes that for */
	curl_easy_getinfo(s->easy,
		s->proxied && connect_status == 0 ? CURLINFO_PROXY_SSL_VERIFYRESULT
						  : CURLINFO_SSL_VERIFYRESULT,
		&m.verify);
	return mishap_explain(&m, s->sentence, sizeof(s->sentence));
}

static void read_failure(struct slot *s, CURLcode code, struct http_response *r)
{
	enum mishap_kind kind = kind_of(code, s->error);
	bool sent = was_sent(s) && kind != MISHAP_TLS;
	long connect_status = 0;

	curl_easy_getinfo(s->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	r->transport = sent		       ? OUTCOME_TRANSPORT_LOST
		       : connect_status == 407 ? OUTCOME_TRANSPORT_PROXY
					       : OUTCOME_TRANSPORT_NOT_SENT;
	r->error = explain_failure(s, code, kind);
	if (!sent)
		s->http->doubt = true;
}

static void read_response(struct slot *s, CURLcode code, struct http_response *r)
{
	const struct secret *secret = s->call->request.answer;
	long status = 0;

	*r = (struct http_response){.body = "", .head = buf_str(&s->head), .error = ""};
	if (code == CURLE_OK && !s->head_complete)
		code = CURLE_PARTIAL_FILE;
	if (code != CURLE_OK) {
		read_failure(s, code, r);
		return;
	}
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	r->transport = OUTCOME_TRANSPORT_OK;
	r->status = (int)status;
	r->body = secret != NULL ? secret_bytes(secret) : buf_str(&s->body);
	r->body_len = secret != NULL ? secret_len(secret) : s->body.len;
	r->retry_after_us = retry_after_us(s);
}

static void trace_answer(struct slot *s, const struct http_response *r, long connects)
{
	curl_off_t took_us = 0;

	if (!trace_is_on(TRACE_HTTP))
		return;
	curl_easy_getinfo(s->easy, CURLINFO_TOTAL_TIME_T, &took_us);
	trace(TRACE_HTTP, "%.*s: status %d after %" PRId64 " ms, %zu bytes, %ld new connection%s%s%s",
		shown_bytes(&s->call->request), s->call->request.url, r->status, (int64_t)took_us / 1000,
		r->body_len, connects, connects == 1 ? "" : "s", r->error[0] ? ": " : "", r->error);
}

static void finish(struct slot *s, CURLcode code)
{
	struct http *h = s->http;
	struct call *c = s->call;
	struct http_response r;
	long connects = 0;

	read_response(s, code, &r);
	curl_easy_getinfo(s->easy, CURLINFO_NUM_CONNECTS, &connects);
	r.resent = may_be_resent(s, connects);
	trace_answer(s, &r, connects);
	h->n_connections += (uint64_t)connects;
	curl_multi_remove_handle(h->multi, s->easy);
	drop_request(s);
	deliver(h, c, &r);
	slot_release(s);
}

/* Gives out what is finished and starts what waited for it. */
static void settle(struct http *h)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {
		CURLcode code = msg->data.result; /* the message is gone with its handle */
		char *slot = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &slot);
		finish((struct slot *)(void *)slot, code);
	}
	start_waiting(h);
}

/* ---- making a client ---- */

static const struct {
	CURLoption option;
	long value;
} numbers[] = {
	{CURLOPT_FOLLOWLOCATION, 0},
	{CURLOPT_UNRESTRICTED_AUTH, 0},
	{CURLOPT_NETRC, CURL_NETRC_IGNORED},
	{CURLOPT_DISALLOW_USERNAME_IN_URL, 1},
	{CURLOPT_SSL_VERIFYPEER, 1},
	{CURLOPT_SSL_VERIFYHOST, 2},
	{CURLOPT_SSL_SESSIONID_CACHE, 0}, /* each connection shows its certificates anew */
	{CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
	{CURLOPT_PROXY_SSL_VERIFYPEER, 1},
	{CURLOPT_PROXY_SSL_VERIFYHOST, 2},
	{CURLOPT_HTTPPROXYTUNNEL, 1},
	{CURLOPT_SUPPRESS_CONNECT_HEADERS, 1}, /* the answer's only */
	{CURLOPT_HEADEROPT,
		CURLHEADER_SEPARATE}, /* our lines are not for the proxy, nor the proxy's for others */
	{CURLOPT_PROXYAUTH, CURLAUTH_BASIC},
	{CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
	{CURLOPT_HTTP09_ALLOWED, 0},
	{CURLOPT_HTTP_CONTENT_DECODING, 0},
	{CURLOPT_NOSIGNAL, 1},
	{CURLOPT_NOPROGRESS, 1},
	{CURLOPT_TCP_NODELAY, 1},
	{CURLOPT_TCP_KEEPALIVE, 1},
	{CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
	{CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
	{CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES},
	{CURLOPT_MAXFILESIZE, HTTP_BODY_BYTES},
#if LIBCURL_VERSION_NUM >= 0x075700
	{CURLOPT_QUICK_EXIT, 1}, /* else a client cannot end before a name look-up under way has its answer */
	{CURLOPT_CA_CACHE_TIMEOUT, AUTHORITIES_LIFE_S},
#endif
#if LIBCURL_VERSION_NUM < 0x075500
	{CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS},
	{CURLOPT_REDIR_PROTOCOLS, CURLPROTO_HTTPS},
#endif
};

static const struct {
	CURLoption option;
	const char *value;
} words[] = {
	{CURLOPT_PROXY, ""}, /* else the environment's */
	{CURLOPT_NOPROXY, "*"},
	{CURLOPT_SSLKEYTYPE, "PEM"},
#if LIBCURL_VERSION_NUM >= 0x075500
	{CURLOPT_PROTOCOLS_STR, PROTOCOLS},
	{CURLOPT_REDIR_PROTOCOLS_STR, "https"},
#endif
};

static CURLcode set_fixed(CURL *e)
{
	CURLcode code = CURLE_OK;

	for (size_t i = 0; code == CURLE_OK && i < ARRAY_SIZE(numbers); i++)
		code = curl_easy_setopt(e, numbers[i].option, numbers[i].value);
	for (size_t i = 0; code == CURLE_OK && i < ARRAY_SIZE(words); i++)
		code = curl_easy_setopt(e, words[i].option, words[i].value);
	return code;
}

/* ---- what the transport says ---- */

/* One option after the other, up to the first that is not taken. */
static void set_text(CURL *e, CURLoption option, const char *value, CURLcode *code)
{
	if (*code == CURLE_OK)
		*code = curl_easy_setopt(e, option, value);
}

static long tls_versions(const struct transport_values *v)
{
	bool from13 = v->tls_min != NULL && strcmp(v->tls_min, "1.3") == 0;
	bool to12 = v->tls_max != NULL && strcmp(v->tls_max, "1.2") == 0;

	return (from13 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2) |
	       (to12 ? CURL_SSLVERSION_MAX_TLSv1_2 : CURL_SSLVERSION_MAX_DEFAULT);
}

static void set_client(CURL *e, const struct transport_values *v, CURLcode *code)
{
	set_text(e, CURLOPT_SSLCERT, v->client_certificate, code);
	set_text(e, CURLOPT_SSLCERTTYPE, v->pkcs12 ? "P12" : "PEM", code);
	set_text(e, CURLOPT_SSLKEY, v->client_key, code);
	/* without any OpenSSL would ask the terminal */
	set_text(e, CURLOPT_KEYPASSWD, v->key_password != NULL ? secret_bytes(v->key_password) : "", code);
}

static void set_proxy(CURL *e, struct slot *s, const struct transport_values *v, CURLcode *code)
{
	set_text(e, CURLOPT_PROXY, v->proxy, code);
	if (v->proxy_ca_file != NULL) {
		set_text(e, CURLOPT_PROXY_CAINFO, v->proxy_ca_file, code);
		set_text(e, CURLOPT_PROXY_CAPATH, NULL, code);
	}
	secret_free(s->proxy_line);
	s->proxy_line = v->proxy_line != NULL ? secret_ref(v->proxy_line) : NULL;
	if (s->proxy_line == NULL)
		return;
	s->proxy_lines[0].data = (char *)secret_bytes(s->proxy_line); /* curl only reads it */
	if (*code == CURLE_OK)
		*code = curl_easy_setopt(e, CURLOPT_PROXYHEADER, s->proxy_lines);
}

/* What was configured once is configured always, so nothing has to be taken back here. */
static CURLcode set_transport(struct slot *s, const struct transport_values *v)
{
	CURL *e = s->easy;
	CURLcode code = curl_easy_setopt(e, CURLOPT_SSLVERSION, tls_versions(v));

	if (v->ca_file != NULL) {
		set_text(e, CURLOPT_CAINFO, v->ca_file, &code);
		set_text(e, CURLOPT_CAPATH, NULL, &code); /* else the system's would be good as well */
#if LIBCURL_VERSION_NUM >= 0x075700
		if (code == CURLE_OK) /* a file of few certificates; once mended it counts */
			code = curl_easy_setopt(e, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
	}
	if (v->ciphers != NULL)
		set_text(e, CURLOPT_SSL_CIPHER_LIST, v->ciphers, &code);
	if (v->tls13_ciphers != NULL)
		set_text(e, CURLOPT_TLS13_CIPHERS, v->tls13_ciphers, &code);
	if (v->client_certificate != NULL)
		set_client(e, v, &code);
	if (v->proxy != NULL)
		set_proxy(e, s, v, &code);
	if (code == CURLE_OK)
		s->generation = v->generation;
	return code;
}

static long to_ms(int64_t us)
{
	int64_t ms = us / US_PER_MS;

	if (ms < 1)
		return 1; /* 0 would be curl's own idea */
	return ms < INT_MAX ? (long)ms : INT_MAX;
}

static CURLcode set_configured(CURL *e, const struct http_options *o, const char *agent)
{
	long request_ms = to_ms(o->request_timeout_us);
	long life_s = o->connection_life_s > 0 ? o->connection_life_s : (long)HTTP_LIFE_S;
	CURLcode code = curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, to_ms(o->connect_timeout_us));

	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, request_ms);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, request_ms / 1000 + 1);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_USERAGENT, agent);
	if (code == CURLE_OK)
		code = curl_easy_setopt(
			e, CURLOPT_DNS_CACHE_TIMEOUT, life_s < ADDRESS_LIFE_S ? life_s : ADDRESS_LIFE_S);
#if LIBCURL_VERSION_NUM >= 0x075000
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_MAXLIFETIME_CONN, life_s);
#endif
	return code;
}

static CURLcode set_callbacks(CURL *e, struct slot *s)
{
	CURLcode code = curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head);

	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_HEADERDATA, s);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_WRITEDATA, s);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->error);
#if LIBCURL_VERSION_NUM >= 0x075000
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_ready);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_PREREQDATA, s);
#endif
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_PRIVATE, (char *)(void *)s);
	return code;
}

static int slot_init(
	struct http *h, struct slot *s, const struct http_options *o, const char *agent, struct err *err)
{
	s->http = h;
	buf_init(&s->head, HTTP_HEAD_BYTES);
	buf_init(&s->body, HTTP_BODY_BYTES);
	list_add_tail(&h->idle, &s->in_slots);
	s->easy = curl_easy_init();
	if (s->easy == NULL)
		return err_set(err, ERR_SYSTEM, ENOMEM, "cannot make a curl handle");

	CURLcode code = set_fixed(s->easy);

	if (code == CURLE_OK)
		code = set_configured(s->easy, o, agent);
	if (code == CURLE_OK)
		code = set_transport(s, values_of(h));
	if (code == CURLE_OK)
		code = set_callbacks(s->easy, s);
	if (code != CURLE_OK)
		return err_set(err, ERR_SYSTEM, EINVAL,
			"libcurl %s does not take an option that is needed: %s",
			curl_version_info(CURLVERSION_NOW)->version, curl_easy_strerror(code));
	return 0;
}

static int multi_init(struct http *h, struct err *err)
{
	long n = (long)h->n_slots;

	h->multi = curl_multi_init();
	if (h->multi == NULL)
		return err_set(err, ERR_SYSTEM, ENOMEM, "cannot make a curl multi handle");
	if (curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change) != CURLM_OK ||
		curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) != CURLM_OK ||
		curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change) != CURLM_OK ||
		curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) != CURLM_OK ||
		curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, n) != CURLM_OK ||
		curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, n) != CURLM_OK ||
		curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) != CURLM_OK)
		return err_set(err, ERR_SYSTEM, EINVAL, "libcurl does not take an option that is needed");
	return 0;
}

/* TLS by OpenSSL writes with write(2): a server that goes away would end the process. */
static void ignore_sigpipe(void)
{
	struct sigaction sa;

	if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
		sa.sa_handler = SIG_IGN;
		sigaction(SIGPIPE, &sa, NULL);
	}
}

static int init(struct http *h, const struct http_options *o, struct err *err)
{
	CLEANUP_FREE char *agent = mem_printf(
		"brickwatch/%s libcurl/%s os/linux", BW_VERSION, curl_version_info(CURLVERSION_NOW)->version);
	int r = multi_init(h, err);

	for (size_t i = 0; r == 0 && i < h->n_slots; i++)
		r = slot_init(h, &h->slots[i], o, agent, err);
	return r;
}

struct http *http_new(struct loop *loop, const struct http_options *options, struct err *err)
{
	unsetenv("SSLKEYLOGFILE"); /* libcurl would write the session keys to the file it names */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(err, ERR_SYSTEM, ENOMEM, "cannot start libcurl");
		return NULL;
	}
	ignore_sigpipe();

	struct http *h = mem_alloc(sizeof(*h));

	h->loop = loop;
	h->transport = options->transport;
	h->timer = loop_timer_add(loop, on_timer, h);
	h->n_slots = options->max_requests > HTTP_REQUESTS_MAX ? HTTP_REQUESTS_MAX : options->max_requests;
	if (h->n_slots == 0)
		h->n_slots = 1;
	h->slots = mem_array(h->n_slots, sizeof(*h->slots));
	list_init(&h->idle);
	list_init(&h->busy);
	list_init(&h->waiting);
	list_init(&h->failed);
	list_init(&h->watches);
	if (init(h, options, err) < 0) {
		http_free(h);
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

static void slot_done(struct slot *s)
{
	if (s->call != NULL) {
		struct call *c = s->call;

		curl_multi_remove_handle(s->http->multi, s->easy);
		drop_request(s);
		call_free(c);
	}
	curl_easy_cleanup(s->easy); /* takes NULL */
	secret_free(s->proxy_line);
	buf_done(&s->head);
	buf_done(&s->body);
}

void http_free(struct http *h)
{
	if (h == NULL)
		return;
	BUG_ON(h->calling);
	for (size_t i = 0; i < h->n_slots; i++)
		slot_done(&h->slots[i]);
	curl_multi_cleanup(h->multi); /* takes NULL; still talks to the timer and the watches */
	LIST_FOREACH_SAFE (it, &h->watches)
		watch_free(LIST_OF(it, struct watch, in_watches));
	free_calls(&h->waiting);
	free_calls(&h->failed);
	loop_defer_cancel(h->loop, deliver_failed, h);
	loop_timer_remove(h->timer);
	free(h->slots);
	free(h);
	curl_global_cleanup();
}

int http_send(
	struct http *h, const struct http_request *request, http_response_fn fn, void *arg, struct err *err)
{
	int r = outgoing_check(request, err);

	if (r < 0)
		return r;
	if (list_is_empty(&h->idle) && h->n_waiting >= HTTP_WAITING_MAX)
		return err_set(err, ERR_LIMIT, EAGAIN, "%d requests are waiting already", HTTP_WAITING_MAX);

	struct call *c = mem_alloc(sizeof(*c));

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
