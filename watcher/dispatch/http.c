/*
 * Each client has a fixed set of slots, one easy handle each, made and configured at the start: what must
 * never fail later (an option that cannot be set) fails there. A request takes an idle slot or waits in a
 * queue for one. The multi handle tells by two callbacks which descriptors and which time it wants; these go
 * straight to base/loop and nothing else happens in them. The callbacks for header lines and body only
 * collect. Answers are given out after curl has returned, from the list of finished transfers, so a user's
 * callback may send the next request at once.
 *
 * Sent or not: curl says how many bytes of requests it wrote and when the connection was ready to write the
 * first. If neither is there, the request cannot have arrived; in every other failure it may have. curl sends
 * a request again by itself when a kept connection turns out to be closed by the server; the idempotency
 * token makes that harmless.
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

#include <arpa/inet.h>
#include <curl/curl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

#ifndef BW_VERSION
#error "BW_VERSION must be defined"
#endif

#define BODY_KEPT_BYTES (64u * 1024) /* memory a slot keeps for the next answer */
#define KEEPALIVE_IDLE_S 30L
#define KEEPALIVE_INTERVAL_S 15L
#define LOW_SPEED_BYTES 1L /* a second */
#define PROTOCOLS "http,https"

struct call {
	struct list in_queue; /* waiting or failed; while under way its slot has it */
	struct http_request request;
	http_response_fn fn;
	void *arg;
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
	char error[CURL_ERROR_SIZE];
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
	bool calling; /* a user's callback is running */
};

/* ---- what may be sent ---- */

static bool is_visible(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x21 || (unsigned char)s[i] > 0x7e || s[i] == '\\')
			return false;
	return true;
}

/* Name, colon, anything without control characters: nothing that could begin another line. */
static bool is_header_line(const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);

	if (colon == NULL || colon == line || !is_visible(line, (size_t)(colon - line)))
		return false;
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
			return false;
	return true;
}

/* host[:port] of this machine only; authority is everything up to the path, without user and password. */
static bool is_loopback(const char *authority, size_t len)
{
	char host[64];
	struct in_addr v4;
	const char *colon = memchr(authority, ':', len);
	size_t host_len = colon != NULL ? (size_t)(colon - authority) : len;

	if (len >= 5 && memcmp(authority, "[::1]", 5) == 0)
		return len == 5 || authority[5] == ':';
	if (host_len >= sizeof(host))
		return false;
	memcpy(host, authority, host_len);
	host[host_len] = '\0';
	return strcasecmp(host, "localhost") == 0 ||
	       (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET);
}

static int check_url(const char *url, struct err *err)
{
	size_t len = strlen(url);
	const char *authority = url + strcspn(url, "/");

	if (len > HTTP_URL_BYTES || !is_visible(url, len))
		return err_set(
			err, ERR_INPUT, EINVAL, "the URL is too long or has bytes that a URL cannot have");
	authority += strspn(authority, "/");
	len = strcspn(authority, "/?#");
	if (memchr(authority, '@', len) != NULL)
		return err_set(err, ERR_INPUT, EINVAL, "the URL must not hold a user or password");
	if (strncmp(url, "https://", 8) == 0)
		return 0;
	if (strncmp(url, "http://", 7) != 0)
		return err_set(err, ERR_INPUT, EINVAL, "the URL must begin with https://");
	if (authority != url + 7 || !is_loopback(authority, len))
		return err_set(err, ERR_INPUT, EINVAL, "http:// is for this machine only; use https://");
	return 0;
}

static int check_request(const struct http_request *q, struct err *err)
{
	size_t n = 0;
	int r = check_url(q->url, err);

	if (r < 0)
		return r;
	for (; q->headers != NULL && q->headers[n] != NULL; n++)
		if (!is_header_line(q->headers[n], strlen(q->headers[n])))
			return err_set(err, ERR_INPUT, EINVAL, "header line %zu cannot be sent", n + 1);
	if (n > HTTP_HEADERS_MAX)
		return err_set(err, ERR_INPUT, EINVAL, "%zu header lines are too many", n);
	if (q->authorization != NULL &&
		!is_header_line(secret_bytes(q->authorization), secret_len(q->authorization)))
		return err_set(err, ERR_INPUT, EINVAL, "the credential cannot be sent in a header line");
	return 0;
}

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

	if (buf_add(&s->body, p, size * n) < 0) {
		s->too_large = true;
		return 0;
	}
	return size * n;
}

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

static bool set_request(struct slot *s, const struct http_request *q)
{
	CURL *e = s->easy;

	if (curl_easy_setopt(e, CURLOPT_URL, q->url) != CURLE_OK ||
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
	struct http_response r = {.transport = OUTCOME_TRANSPORT_NOT_SENT,
		.body = "",
		.head = "",
		.error = "not enough memory"};

	while (!list_is_empty(&h->failed)) {
		struct call *c = LIST_OF(h->failed.next, struct call, in_queue);

		list_remove(&c->in_queue);
		deliver(h, c, &r);
	}
}

/* Gives the call to an idle slot. curl only notes it: the first byte is sent from the loop. */
static void start(struct http *h, struct call *c)
{
	struct slot *s = LIST_OF(h->idle.next, struct slot, in_slots);

	buf_reset(&s->head);
	buf_reset(&s->body);
	s->head_bytes = 0;
	s->head_complete = false;
	s->too_large = false;
	s->error[0] = '\0';
	if (!set_request(s, &c->request) || curl_multi_add_handle(h->multi, s->easy) != CURLM_OK) {
		drop_request(s);
		list_add_tail(&h->failed, &c->in_queue);
		loop_defer(h->loop, deliver_failed, h);
		return;
	}
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

static bool was_sent(const struct slot *s)
{
	long bytes = 0;
	curl_off_t ready_us = 0;

	curl_easy_getinfo(s->easy, CURLINFO_REQUEST_SIZE, &bytes);
	curl_easy_getinfo(s->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
	return bytes > 0 || ready_us > 0;
}

static const char *explain_failure(const struct slot *s, CURLcode code)
{
	if (s->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return "the answer is too large";
	return s->error[0] != '\0' ? s->error : curl_easy_strerror(code);
}

static void read_response(struct slot *s, CURLcode code, struct http_response *r)
{
	long status = 0;

	*r = (struct http_response){.body = "", .head = buf_str(&s->head), .error = ""};
	if (code == CURLE_OK && !s->head_complete)
		code = CURLE_PARTIAL_FILE;
	if (code != CURLE_OK) {
		r->transport = was_sent(s) ? OUTCOME_TRANSPORT_LOST : OUTCOME_TRANSPORT_NOT_SENT;
		r->error = explain_failure(s, code);
		return;
	}
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	r->transport = OUTCOME_TRANSPORT_OK;
	r->status = (int)status;
	r->body = buf_str(&s->body);
	r->body_len = s->body.len;
	r->retry_after_us = retry_after_us(s);
}

static void finish(struct slot *s, CURLcode code)
{
	struct http *h = s->http;
	struct call *c = s->call;
	struct http_response r;
	long connects = 0;

	read_response(s, code, &r);
	curl_easy_getinfo(s->easy, CURLINFO_NUM_CONNECTS, &connects);
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
	{CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
	{CURLOPT_SSL_VERIFYPEER, 1},
	{CURLOPT_SSL_VERIFYHOST, 2},
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
	CURLcode code = curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, to_ms(o->connect_timeout_us));

	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, request_ms);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, request_ms / 1000 + 1);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_USERAGENT, agent);
	if (code != CURLE_OK || o->ca_file == NULL)
		return code;
	code = curl_easy_setopt(e, CURLOPT_CAINFO, o->ca_file);
	if (code == CURLE_OK)
		code = curl_easy_setopt(
			e, CURLOPT_CAPATH, NULL); /* else the system's would be good as well */
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
	int r = check_request(request, err);

	if (r < 0)
		return r;
	if (list_is_empty(&h->idle) && h->n_waiting >= HTTP_WAITING_MAX)
		return err_set(err, ERR_LIMIT, EAGAIN, "%d requests are waiting already", HTTP_WAITING_MAX);

	struct call *c = mem_alloc(sizeof(*c));

	c->request = *request;
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
