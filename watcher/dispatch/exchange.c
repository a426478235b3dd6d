/*
 * Each client has a fixed set of places, one easy handle each, made and configured at the start: what must
 * never fail later (an option that cannot be set) fails there. The multi handle tells by two callbacks which
 * descriptors and which time it wants; these go straight to base/loop and nothing else happens in them. The
 * callbacks for header lines and body only collect. Results are given out after curl has returned, from the
 * list of finished transfers.
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
 * A line to a mail server is made with CURLOPT_CONNECT_ONLY: connection, TLS by STARTTLS or from the first
 * byte, greeting, signing in, all without waiting. The mail itself is not given to curl, since its multi
 * interface waits inside of one call for the server's word on it (smtp_done(), still in 8.x): a mail server
 * that thinks, or hangs, would stop everything else.
 *
 * Rejected: HTTP/2 (several requests on one connection stand or fall together), connections shared between
 * clients, CURLOPT_COPYPOSTFIELDS (the caller keeps the body for a second attempt anyway).
 */
#include "dispatch/exchange.h"

#include <curl/curl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "core/mishap.h"

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

struct exchange {
	struct exchanges *client;
	struct list in_places; /* idle or busy */
	CURL *easy;
	bool in_multi;
	bool is_line, is_made; /* a line; it stands */
	char *host;	       /* NAME[:PORT], for sentences */
	exchange_fn fn;
	void *arg;
	struct secret *answer; /* borrowed, or NULL */
	struct curl_slist
		lines[EXCHANGE_HEADERS_MAX + 2]; /* nodes of ours: "Expect:", the credential, the caller's */
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

struct exchanges {
	struct loop *loop;
	struct loop_timer *timer;
	CURLM *multi;
	struct exchange *places;
	size_t n;
	struct list idle, busy;
	struct list watches;
	uint64_t n_connections;
	struct exchanges_options options;
	bool doubt;   /* something failed that a change of the transport's files may have mended */
	bool calling; /* a user's callback is running */
};

/* ---- what curl calls: record, nothing else ---- */

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	size_t len = size * n;

	x->head_bytes += len;
	if (x->head_bytes > EXCHANGE_HEAD_BYTES) {
		x->too_large = true;
		return 0;
	}
	if (!x->is_line && len >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		buf_reset(&x->head); /* the answer before this one was an interim one */
		x->head_complete = false;
	}
	if (len > 0 && (p[0] == '\n' || (len > 1 && p[0] == '\r' && p[1] == '\n')))
		x->head_complete = true;
	return buf_add(&x->head, p, len) == 0 ? len : 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct secret *into = x->answer;

	if ((into != NULL ? secret_add(into, p, size * n) : buf_add(&x->body, p, size * n)) < 0) {
		x->too_large = true;
		return 0;
	}
	return size * n;
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* The connection stands, TLS and proxy included, and the request is written next. */
static int on_ready(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct exchange *x = arg;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	x->readies++;
	return CURL_PREREQFUNC_OK;
}
#endif

/* ---- between curl and the loop ---- */

static void settle(struct exchanges *c);

static void perform(struct exchanges *c, curl_socket_t fd, int bits)
{
	int running;

	/* Only a descriptor that could not be watched makes this fail. Then all transfers have failed, but
	 * each has to be looked at once to be told. */
	if (curl_multi_socket_action(c->multi, fd, bits, &running) != CURLM_OK)
		curl_multi_perform(c->multi, &running);
	settle(c);
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
	struct exchanges *c = arg;

	(void)multi;
	if (timeout_ms < 0)
		loop_timer_clear(c->timer);
	else
		loop_timer_set(c->timer, timeout_ms == 0 ? 0 : clock_mono_us() + timeout_ms * US_PER_MS);
	return 0;
}

static void watch_free(struct watch *w)
{
	loop_io_remove(w->io);
	list_remove(&w->in_watches);
	free(w);
}

static int watch_new(struct exchanges *c, curl_socket_t fd, uint32_t events)
{
	struct loop_io *io = loop_io_add(c->loop, fd, events, on_io, c, NULL);

	if (io == NULL)
		return -1;

	struct watch *w = mem_alloc(sizeof(*w));

	w->io = io;
	list_add_tail(&c->watches, &w->in_watches);
	curl_multi_assign(c->multi, fd, w);
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

static struct curl_slist *build_lines(struct exchange *x, const struct exchange_request *q)
{
	size_t n = 0;

	/* curl only reads the nodes */
	x->lines[n++].data = (char *)"Expect:"; /* without it curl would ask before it sends a large body, and
						   wait a second */
	if (q->authorization != NULL)
		x->lines[n++].data = (char *)secret_bytes(q->authorization);
	for (size_t i = 0; q->headers != NULL && q->headers[i] != NULL && n < ARRAY_SIZE(x->lines); i++)
		x->lines[n++].data = (char *)q->headers[i];
	for (size_t i = 0; i < n; i++)
		x->lines[i].next = i + 1 < n ? &x->lines[i + 1] : NULL;
	return x->lines;
}

static const struct transport_values *values_of(const struct exchanges *c)
{
	static const struct transport_values none = {.generation = 1};

	return c->options.transport != NULL ? transport_values(c->options.transport) : &none;
}

static bool set_request(struct exchange *x, const struct exchange_request *q)
{
	CURL *e = x->easy;

	if (curl_easy_setopt(e, CURLOPT_URL, q->url) != CURLE_OK ||
		curl_easy_setopt(e, CURLOPT_NOPROXY, q->proxied ? "" : "*") != CURLE_OK ||
		curl_easy_setopt(e, CURLOPT_HTTPHEADER, build_lines(x, q)) != CURLE_OK)
		return false;
	if (q->body == NULL)
		return curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK;
	return curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_POSTFIELDS, q->body) == CURLE_OK;
}

static bool set_line(struct exchange *x, const struct exchange_line *q)
{
	static const long tls[] = {
		[EXCHANGE_TLS_NEVER] = CURLUSESSL_NONE,
		[EXCHANGE_TLS_MAY] = CURLUSESSL_TRY,
		[EXCHANGE_TLS_MUST] = CURLUSESSL_ALL,
	};
	CURL *e = x->easy;

	return curl_easy_setopt(e, CURLOPT_URL, q->url) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_USE_SSL, tls[q->tls]) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_USERNAME, q->username) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PASSWORD,
		       q->password != NULL ? secret_bytes(q->password) : NULL) == CURLE_OK;
}

/* The handle forgets what is not ours. */
static void forget(struct exchange *x)
{
	if (x->in_multi)
		curl_multi_remove_handle(x->client->multi, x->easy); /* closes a line */
	x->in_multi = x->is_made = false;
	if (x->is_line) {
		curl_easy_setopt(x->easy, CURLOPT_USERNAME, NULL);
		curl_easy_setopt(x->easy, CURLOPT_PASSWORD, NULL);
	} else {
		curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, NULL);
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, NULL);
		curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L);
	}
	x->answer = NULL;
}

static void release(struct exchange *x)
{
	list_remove(&x->in_places);
	list_add_tail(&x->client->idle, &x->in_places);
	free(x->host);
	x->host = NULL;
	if (x->body.cap > BODY_KEPT_BYTES) {
		buf_done(&x->body);
		buf_init(&x->body, EXCHANGE_BODY_BYTES);
	}
}

static CURLcode set_transport(struct exchange *x, const struct transport_values *v);

/* With what the files hold now, when something may have changed. */
static int refresh(struct exchanges *c, struct exchange *x, struct err *err)
{
	struct transport *t = c->options.transport;
	int r = c->doubt && t != NULL ? transport_refresh(t, err) : 0;

	if (r < 0)
		return r;
	c->doubt = false;
	if (x->generation == values_of(c)->generation)
		return 0;

	CURLcode code = set_transport(x, values_of(c));

	if (code != CURLE_OK)
		return err_set(err, ERR_SYSTEM, EINVAL,
			"libcurl %s does not take an option that is needed: %s",
			curl_version_info(CURLVERSION_NOW)->version, curl_easy_strerror(code));
	return 0;
}

/* An idle place, empty and up to date; or NULL. */
static struct exchange *prepare(struct exchanges *c, struct err *err)
{
	struct exchange *x;

	BUG_ON(list_is_empty(&c->idle));
	x = LIST_OF(c->idle.next, struct exchange, in_places);
	buf_reset(&x->head);
	buf_reset(&x->body);
	x->head_bytes = 0;
	x->head_complete = x->too_large = x->is_line = x->is_made = x->proxied = false;
	x->readies = 0;
	x->error[0] = '\0';
	return refresh(c, x, err) == 0 ? x : NULL;
}

/* NAME[:PORT] */
static char *host_of(const char *url)
{
	const char *p = strstr(url, "://");

	p = p != NULL ? p + 3 : url;
	return mem_printf("%.*s", (int)strcspn(p, "/?#"), p);
}

/* curl only notes it: the first byte is sent from the loop. */
static int begin(struct exchange *x, bool is_set, const char *url, exchange_fn fn, void *arg, struct err *err)
{
	struct exchanges *c = x->client;

	if (!is_set || curl_multi_add_handle(c->multi, x->easy) != CURLM_OK) {
		forget(x);
		return err_set(err, ERR_SYSTEM, ENOMEM, "not enough memory");
	}
	x->in_multi = true;
	x->host = host_of(url);
	x->fn = fn;
	x->arg = arg;
	list_remove(&x->in_places);
	list_add_tail(&c->busy, &x->in_places);
	return 0;
}

/* ---- the answer ---- */

static int64_t retry_after_us(const struct exchange *x)
{
	curl_off_t seconds = 0;

	if (curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds <= 0)
		return 0; /* a date that has passed comes out below 0 */
	return seconds < EXCHANGE_RETRY_AFTER_MAX_US / US_PER_S ? seconds * US_PER_S
								: EXCHANGE_RETRY_AFTER_MAX_US;
}

/* Was anything of the request written? What a proxy was asked does not count. */
static bool was_sent(const struct exchange *x)
{
#if LIBCURL_VERSION_NUM >= 0x075000
	return x->readies > 0;
#else
	long bytes = 0, proxy = 0;
	curl_off_t ready_us = 0;

	curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &bytes);
	curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
	curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
	return proxy >= 300 ? false : bytes > 0 || ready_us > 0;
#endif
}

/* May curl have written it more than once? It does when a kept connection is closed without an answer. */
static bool may_be_resent(const struct exchange *x, long connects)
{
#if LIBCURL_VERSION_NUM >= 0x075000
	(void)connects;
	return x->readies > 1;
#else
	return connects > 0 &&
	       x->client->n_connections > 0; /* not told: there was one that may have been kept */
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

static const char *words_of(const struct exchange *x, CURLcode code)
{
	if (x->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return "the answer is too large";
	return x->error[0] != '\0' ? x->error : curl_easy_strerror(code);
}

static const char *explain_failure(struct exchange *x, CURLcode code, enum mishap_kind kind)
{
	const struct transport_values *v = values_of(x->client);
	struct mishap m = {
		.kind = kind,
		.words = words_of(x, code),
		.host = x->host,
		.key = x->client->options.key,
		.proxy = x->proxied ? v->proxy : NULL,
		.ca_file = v->ca_file,
		.proxy_ca_file = v->proxy_ca_file,
		.client_certificate = v->client_certificate,
		.proxy_username = v->proxy_username,
		.tls_min = v->tls_min,
		.tls_max = v->tls_max,
		.ciphers = v->ciphers != NULL ? v->ciphers : v->tls13_ciphers,
	};
	long connect_status = 0;

	curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	m.connect_status = (int)connect_status;
	if (connect_status >= 300)
		m.kind = MISHAP_OTHER; /* whatever libcurl takes that for */
	curl_easy_getinfo(x->easy,
		x->proxied && connect_status == 0 ? CURLINFO_PROXY_SSL_VERIFYRESULT
						  : CURLINFO_SSL_VERIFYRESULT,
		&m.verify);
	return mishap_explain(&m, x->sentence, sizeof(x->sentence));
}

static void read_failure(struct exchange *x, CURLcode code, struct exchange_result *r)
{
	enum mishap_kind kind = kind_of(code, x->error);
	long connect_status = 0;

	curl_easy_getinfo(x->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	r->sent = was_sent(x) && kind != MISHAP_TLS;
	r->proxy_status = (int)connect_status;
	r->denied = code == CURLE_LOGIN_DENIED;
	r->no_starttls = code == CURLE_USE_SSL_FAILED;
	r->error = explain_failure(x, code, kind);
	if (!r->sent)
		x->client->doubt = true;
}

static void read_result(struct exchange *x, CURLcode code, struct exchange_result *r)
{
	curl_off_t took_us = 0;
	long status = 0, connects = 0;

	*r = (struct exchange_result){.body = "", .head = buf_str(&x->head), .error = ""};
	curl_easy_getinfo(x->easy, CURLINFO_TOTAL_TIME_T, &took_us);
	curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	r->took_us = took_us;
	r->connects = (uint64_t)connects;
	r->resent = may_be_resent(x, connects);
	if (code == CURLE_OK && !x->head_complete && !x->is_line)
		code = CURLE_PARTIAL_FILE;
	if (code != CURLE_OK) {
		read_failure(x, code, r);
		return;
	}
	r->ok = r->sent = true;
	r->status = (int)status;
	r->body = x->answer != NULL ? secret_bytes(x->answer) : buf_str(&x->body);
	r->body_len = x->answer != NULL ? secret_len(x->answer) : x->body.len;
	r->retry_after_us = retry_after_us(x);
}

static void tell(struct exchange *x, const struct exchange_result *r)
{
	struct exchanges *c = x->client;

	c->calling = true;
	x->fn(x, r, x->arg);
	c->calling = false;
}

static void finish(struct exchange *x, CURLcode code)
{
	struct exchange_result r;

	read_result(x, code, &r);
	x->client->n_connections += r.connects;
	if (x->is_line && r.ok) { /* its user has it now, and may have ended it when he returns */
		x->is_made = true;
		tell(x, &r);
		return;
	}
	forget(x);
	tell(x, &r);
	release(x);
}

/* Gives out what is finished. */
static void settle(struct exchanges *c)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(c->multi, &left)) != NULL) {
		CURLcode code = msg->data.result; /* the message is gone with its handle */
		char *slot = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &slot);
		finish((struct exchange *)(void *)slot, code);
	}
	if (c->options.turn != NULL)
		c->options.turn(c->options.arg);
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
	{CURLOPT_MAXFILESIZE, EXCHANGE_BODY_BYTES},
#if LIBCURL_VERSION_NUM >= 0x075700
	{CURLOPT_QUICK_EXIT, 1}, /* else a client cannot end before a name look-up under way has its answer */
	{CURLOPT_CA_CACHE_TIMEOUT, AUTHORITIES_LIFE_S},
#endif
};

static const struct {
	CURLoption option;
	const char *value;
} words[] = {
	{CURLOPT_PROXY, ""}, /* else the environment's */
	{CURLOPT_NOPROXY, "*"},
	{CURLOPT_SSLKEYTYPE, "PEM"},
};

static CURLcode set_protocols(CURL *e, enum exchange_kind kind)
{
	bool is_http = kind == EXCHANGE_HTTP;
#if LIBCURL_VERSION_NUM >= 0x075500
	CURLcode code = curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, is_http ? "http,https" : "smtp,smtps");

	return code == CURLE_OK ? curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "https") : code;
#else
	CURLcode code = curl_easy_setopt(e, CURLOPT_PROTOCOLS,
		(long)(is_http ? CURLPROTO_HTTP | CURLPROTO_HTTPS : CURLPROTO_SMTP | CURLPROTO_SMTPS));

	return code == CURLE_OK ? curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS, (long)CURLPROTO_HTTPS) : code;
#endif
}

static CURLcode set_fixed(CURL *e, enum exchange_kind kind)
{
	CURLcode code = set_protocols(e, kind);

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

static void set_proxy(CURL *e, struct exchange *x, const struct transport_values *v, CURLcode *code)
{
	set_text(e, CURLOPT_PROXY, v->proxy, code);
	if (v->proxy_ca_file != NULL) {
		set_text(e, CURLOPT_PROXY_CAINFO, v->proxy_ca_file, code);
		set_text(e, CURLOPT_PROXY_CAPATH, NULL, code);
	}
	secret_free(x->proxy_line);
	x->proxy_line = v->proxy_line != NULL ? secret_ref(v->proxy_line) : NULL;
	if (x->proxy_line == NULL)
		return;
	x->proxy_lines[0].data = (char *)secret_bytes(x->proxy_line); /* curl only reads it */
	if (*code == CURLE_OK)
		*code = curl_easy_setopt(e, CURLOPT_PROXYHEADER, x->proxy_lines);
}

/* What was configured once is configured always, so nothing has to be taken back here. */
static CURLcode set_transport(struct exchange *x, const struct transport_values *v)
{
	CURL *e = x->easy;
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
		set_proxy(e, x, v, &code);
	if (code == CURLE_OK)
		x->generation = v->generation;
	return code;
}

static long to_ms(int64_t us)
{
	int64_t ms = us / US_PER_MS;

	if (ms < 1)
		return 1; /* 0 would be curl's own idea */
	return ms < INT_MAX ? (long)ms : INT_MAX;
}

static CURLcode set_configured(CURL *e, const struct exchanges_options *o, const char *agent)
{
	long request_ms = to_ms(o->timeout_us);
	long life_s = o->connection_life_s > 0 ? o->connection_life_s : (long)EXCHANGE_LIFE_S;
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

static CURLcode set_callbacks(CURL *e, struct exchange *x)
{
	CURLcode code = curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head);

	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
#if LIBCURL_VERSION_NUM >= 0x075000
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_ready);
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
#endif
	if (code == CURLE_OK)
		code = curl_easy_setopt(e, CURLOPT_PRIVATE, (char *)(void *)x);
	return code;
}

static int place_init(struct exchanges *c, struct exchange *x, const char *agent, struct err *err)
{
	x->client = c;
	buf_init(&x->head, EXCHANGE_HEAD_BYTES);
	buf_init(&x->body, EXCHANGE_BODY_BYTES);
	list_add_tail(&c->idle, &x->in_places);
	x->easy = curl_easy_init();
	if (x->easy == NULL)
		return err_set(err, ERR_SYSTEM, ENOMEM, "cannot make a curl handle");

	CURLcode code = set_fixed(x->easy, c->options.kind);

	if (code == CURLE_OK)
		code = set_configured(x->easy, &c->options, agent);
	if (code == CURLE_OK)
		code = set_transport(x, values_of(c));
	if (code == CURLE_OK)
		code = set_callbacks(x->easy, x);
	if (code != CURLE_OK)
		return err_set(err, ERR_SYSTEM, EINVAL,
			"libcurl %s does not take an option that is needed: %s",
			curl_version_info(CURLVERSION_NOW)->version, curl_easy_strerror(code));
	return 0;
}

static int multi_init(struct exchanges *c, struct err *err)
{
	long n = (long)c->n;

	c->multi = curl_multi_init();
	if (c->multi == NULL)
		return err_set(err, ERR_SYSTEM, ENOMEM, "cannot make a curl multi handle");
	if (curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout_change) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, n) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, n) != CURLM_OK ||
		curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) != CURLM_OK)
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

static int init(struct exchanges *c, struct err *err)
{
	CLEANUP_FREE char *agent = mem_printf(
		"brickwatch/%s libcurl/%s os/linux", BW_VERSION, curl_version_info(CURLVERSION_NOW)->version);
	int r = multi_init(c, err);

	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = place_init(c, &c->places[i], agent, err);
	return r;
}

struct exchanges *exchanges_new(struct loop *loop, const struct exchanges_options *options, struct err *err)
{
	unsetenv("SSLKEYLOGFILE"); /* libcurl would write the session keys to the file it names */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(err, ERR_SYSTEM, ENOMEM, "cannot start libcurl");
		return NULL;
	}
	ignore_sigpipe();

	struct exchanges *c = mem_alloc(sizeof(*c));

	c->loop = loop;
	c->options = *options;
	c->timer = loop_timer_add(loop, on_timer, c);
	c->n = options->places;
	c->places = mem_array(c->n, sizeof(*c->places));
	list_init(&c->idle);
	list_init(&c->busy);
	list_init(&c->watches);
	if (init(c, err) < 0) {
		exchanges_free(c);
		return NULL;
	}
	return c;
}

static void place_done(struct exchange *x)
{
	if (x->in_multi)
		forget(x);
	curl_easy_cleanup(x->easy); /* takes NULL */
	secret_free(x->proxy_line);
	free(x->host);
	buf_done(&x->head);
	buf_done(&x->body);
}

void exchanges_free(struct exchanges *c)
{
	if (c == NULL)
		return;
	BUG_ON(c->calling);
	for (size_t i = 0; i < c->n; i++)
		place_done(&c->places[i]);
	curl_multi_cleanup(c->multi); /* takes NULL; still talks to the timer and the watches */
	LIST_FOREACH_SAFE (it, &c->watches)
		watch_free(LIST_OF(it, struct watch, in_watches));
	loop_timer_remove(c->timer);
	free(c->places);
	free(c);
	curl_global_cleanup();
}

bool exchanges_have_room(const struct exchanges *c)
{
	return !list_is_empty(&c->idle);
}

int exchanges_request(
	struct exchanges *c, const struct exchange_request *q, exchange_fn fn, void *arg, struct err *err)
{
	struct exchange *x = prepare(c, err);

	if (x == NULL)
		return -err->code;
	x->proxied = q->proxied;
	x->answer = q->answer;
	return begin(x, set_request(x, q), q->url, fn, arg, err);
}

/* ---- a line ---- */

int exchanges_dial(struct exchanges *c, const struct exchange_line *q, exchange_fn fn, void *arg,
	struct exchange **ret, struct err *err)
{
	struct exchange *x = prepare(c, err);
	int r;

	if (x == NULL)
		return -err->code;
	x->is_line = true;
	r = begin(x, set_line(x, q), q->url, fn, arg, err);
	if (r == 0)
		*ret = x;
	return r;
}

int exchange_fd(struct exchange *x)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	curl_easy_getinfo(x->easy, CURLINFO_ACTIVESOCKET, &fd);
	return fd;
}

ssize_t exchange_read(struct exchange *x, void *p, size_t n)
{
	size_t got = 0;
	CURLcode code = curl_easy_recv(x->easy, p, n, &got);

	return code == CURLE_OK ? (ssize_t)got : code == CURLE_AGAIN ? -EAGAIN : -EIO;
}

ssize_t exchange_write(struct exchange *x, const void *p, size_t n)
{
	size_t put = 0;
	CURLcode code = curl_easy_send(x->easy, p, n, &put);

	if (code == CURLE_OK && put > 0)
		return (ssize_t)put;
	return code == CURLE_OK || code == CURLE_AGAIN ? -EAGAIN : -EIO;
}

void exchange_end(struct exchange *x)
{
	forget(x);
	release(x);
}
