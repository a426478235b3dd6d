/*
 * The address may stand in a file of its own, and the key of the signature always does. Both are read at the
 * start, and again after a delivery that failed, so a mended file needs no reload.
 *
 * A client of its own for each consumer: its timeouts and its connection are nobody else's.
 */
#include "dispatch/webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/sha256.h"
#include "base/text.h"
#include "core/conf_notify.h"
#include "core/event_text.h"
#include "dispatch/outgoing.h"
#include "dispatch/secretfile.h"

#define CONNECT_TIMEOUT_US (INT64_C(10) * 1000000)
#define BODY_BYTES (1024u * 1024)
#define SAID_BYTES 200	    /* of the receiver's words */
#define SECRET_WORD_BYTES 8 /* in an address or a header line: so long a word may be a key */
#define BODY_WORD_BYTES 16  /* in webhook_body, most of which is no secret */
#define OWN_HEADERS 5
#define HEADER_BYTES 256

struct webhook {
	const struct conf_notify *conf;
	const char *credentials;
	struct conf_workspace certificates; /* nothing but ca_file, borrowed */
	struct transport *transport;	    /* NULL: the system's authorities */
	struct http *http;
	struct secret *url; /* the whole address */
	struct secret *key; /* of the signature; NULL: none */
	char *place;
	bool doubt; /* the last delivery failed: the files may be others now */
	struct buf body;
	char own[OWN_HEADERS][HEADER_BYTES];
	const char *headers[OWN_HEADERS + CONF_NOTIFY_HEADERS_MAX + 1];
	courier_answer_fn fn;
	void *arg;
};

/* ---- files ---- */

static int read_url(const struct webhook *w, struct secret **ret, struct err *err)
{
	CLEANUP_SECRET struct secret *s = secret_new(SECRETFILE_ROOM_BYTES);
	int rc;

	if (!conf_notify_is_file(w->conf->webhook))
		rc = secret_add(s, w->conf->webhook, strlen(w->conf->webhook));
	else
		rc = secretfile_add(w->conf->webhook, w->credentials, SECRETFILE_WORD, s, err);
	if (rc == 0 && conf_notify_check_url(secret_bytes(s), err) < 0)
		rc = err_prefix(err, "what %s holds", w->conf->webhook);
	if (rc < 0)
		return rc;
	*ret = secret_ref(s);
	return 0;
}

static int read_key(const struct webhook *w, struct secret **ret, struct err *err)
{
	CLEANUP_SECRET struct secret *s = NULL;
	int rc;

	*ret = NULL;
	if (!w->conf->webhook_secret_file)
		return 0;
	s = secret_new(SECRETFILE_ROOM_BYTES);
	rc = secretfile_add(w->conf->webhook_secret_file, w->credentials, SECRETFILE_LINE, s, err);
	if (rc == 0)
		*ret = secret_ref(s);
	return rc;
}

/* On failure everything stays as it was. */
static int read_files(struct webhook *w, struct err *err)
{
	CLEANUP_BUF struct buf place = BUF_INIT(CONF_NOTIFY_URL_BYTES);
	struct secret *url, *key;
	int rc = read_url(w, &url, err);

	if (rc < 0)
		return err_prefix(err, "webhook");
	rc = read_key(w, &key, err);
	if (rc < 0) {
		secret_free(url);
		return err_prefix(err, "webhook_secret_file");
	}
	secret_free(w->url);
	secret_free(w->key);
	free(w->place);
	w->url = url;
	w->key = key;
	conf_notify_add_place(secret_bytes(url), &place);
	w->place = mem_strdup(buf_str(&place));
	w->doubt = false;
	return 0;
}

/* ---- life ---- */

static void webhook_free(void *way)
{
	struct webhook *w = way;

	if (!w)
		return;
	http_free(w->http);
	transport_free(w->transport);
	secret_free(w->url);
	secret_free(w->key);
	free(w->place);
	buf_done(&w->body);
	free(w);
}

static void *webhook_make(const struct courier_way_options *o, struct err *err)
{
	struct http_options options = {
		.connect_timeout_us = o->conf->request_timeout_us < CONNECT_TIMEOUT_US
					      ? o->conf->request_timeout_us
					      : CONNECT_TIMEOUT_US,
		.request_timeout_us = o->conf->request_timeout_us,
		.max_requests = 1,
	};
	struct webhook *w = mem_alloc(sizeof(*w));
	int rc;

	w->conf = o->conf;
	w->credentials = o->credentials_directory;
	w->certificates.ca_file = o->conf->ca_file;
	buf_init(&w->body, BODY_BYTES);
	rc = read_files(w, err);
	if (rc == 0 && o->conf->ca_file) {
		w->transport = transport_new(&w->certificates, w->credentials, err);
		rc = w->transport ? 0 : -err->code;
	}
	options.transport = w->transport;
	if (rc == 0)
		w->http = http_new(o->loop, &options, err);
	if (w->http)
		return w;
	(void)err_prefix(err, "[notify:%s]", o->conf->name);
	webhook_free(w);
	return NULL;
}

static const char *webhook_place(const void *way)
{
	return ((const struct webhook *)way)->place;
}

/* ---- what goes out ---- */

static int make_body(struct webhook *w, const struct courier_parcel *p, struct err *err)
{
	buf_reset(&w->body);
	if (w->conf->webhook_body)
		return event_text_expand(
			w->conf->webhook_body, EVENT_TEXT_JSON, p->line, p->line_len, &w->body, err);
	return buf_add(&w->body, p->line, p->line_len);
}

static bool gives_header(const struct conf_notify *conf, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < conf->webhook_header.n; i++)
		if (strncasecmp(conf->webhook_header.items[i], name, len) == 0 &&
			conf->webhook_header.items[i][len] == ':')
			return true;
	return false;
}

static void sign(const struct webhook *w, char out[HEADER_BYTES])
{
	uint8_t mac[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_hmac(secret_bytes(w->key), secret_len(w->key), buf_str(&w->body), w->body.len, mac);
	sha256_hex(mac, hex);
	(void)snprintf(out, HEADER_BYTES, "X-Brickwatch-Signature: sha256=%s", hex);
}

static void make_headers(struct webhook *w, const struct courier_parcel *p)
{
	size_t n = 0;

	(void)snprintf(w->own[n++], HEADER_BYTES, "X-Brickwatch-Event: %s", p->type);
	(void)snprintf(w->own[n++], HEADER_BYTES, "X-Brickwatch-Id: %s", p->id);
	if (w->key)
		sign(w, w->own[n++]);
	if (!gives_header(w->conf, "Content-Type"))
		(void)snprintf(w->own[n++], HEADER_BYTES, "Content-Type: application/json");
	if (!gives_header(w->conf, "User-Agent"))
		(void)snprintf(w->own[n++], HEADER_BYTES, "User-Agent: brickwatch/%s", BW_VERSION);
	for (size_t i = 0; i < n; i++)
		w->headers[i] = w->own[i];
	for (size_t i = 0; i < w->conf->webhook_header.n && i < CONF_NOTIFY_HEADERS_MAX; i++)
		w->headers[n++] = w->conf->webhook_header.items[i];
	w->headers[n] = NULL;
}

/* ---- the answer ---- */

/* One of these words, if it is so long that it may be a key? */
static bool repeats_a_word(const char *text, size_t at_least, const char *said)
{
	static const char between[] = " \t:;,=\"'{}[]";

	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		size_t len = strcspn(text, between);
		CLEANUP_FREE char *word = mem_strndup(text, len);

		if (len >= at_least && strstr(said, word))
			return true;
		text += len;
	}
	return false;
}

/* Does what the receiver says repeat what is secret? */
static bool is_telling(const struct conf_notify *conf, const char *url, const char *said)
{
	const char *path = strstr(url, "://");

	path = path ? path + 3 + strcspn(path + 3, "/?") : url;
	while (*path) { /* element by element: some say just the last one */
		size_t len = strcspn(path, "/?&=");
		CLEANUP_FREE char *element = mem_strndup(path, len);

		if (len >= SECRET_WORD_BYTES && strstr(said, element))
			return true;
		path += len + (path[len] != '\0');
	}
	for (size_t i = 0; i < conf->webhook_header.n; i++) {
		const char *value = strchr(conf->webhook_header.items[i], ':');

		if (value && repeats_a_word(value, SECRET_WORD_BYTES, said))
			return true;
	}
	return conf->webhook_body && repeats_a_word(conf->webhook_body, BODY_WORD_BYTES, said);
}

static void add_said(const struct conf_notify *conf, const char *url, const struct http_response *r,
	char words[COURIER_WORDS_BYTES])
{
	size_t used = strlen(words), len;
	const char *said = r->body;
	char shown[SAID_BYTES];
	CLEANUP_FREE char *whole = NULL;

	while (*said == ' ' || *said == '\t' || *said == '\r' || *said == '\n')
		said++;
	len = strlen(said);
	if (len == 0)
		said = http_reason_get(r, &len);
	while (len > 0 && (said[len - 1] == '\n' || said[len - 1] == '\r' || said[len - 1] == ' '))
		len--;
	text_printable(said, len, shown, sizeof(shown));
	whole = mem_strndup(said, len); /* a key may be cut off in what is shown */
	if (shown[0] && !is_telling(conf, url, whole))
		(void)snprintf(words + used, COURIER_WORDS_BYTES - used, ": %s", shown);
}

/* About this one and nothing else: another one may be taken. */
static bool is_refusal(int status)
{
	return status == 400 || status == 406 || status == 409 || status == 411 || status == 413 ||
	       status == 415 || status == 422;
}

void webhook_judge(const struct conf_notify *conf, const char *url, const struct http_response *r,
	struct courier_answer *ret, char words[COURIER_WORDS_BYTES])
{
	*ret = (struct courier_answer){.verdict = COURIER_AGAIN, .words = words};
	words[0] = '\0';
	if (r->transport != OUTCOME_TRANSPORT_OK) {
		(void)snprintf(words, COURIER_WORDS_BYTES, "%s", r->error);
		return;
	}
	if (r->status >= 200 && r->status <= 299) {
		ret->verdict = COURIER_DELIVERED;
		return;
	}
	if (is_refusal(r->status))
		ret->verdict = COURIER_REFUSED;
	ret->retry_after_us = r->retry_after_us;
	(void)snprintf(words, COURIER_WORDS_BYTES, "HTTP %d%s", r->status,
		r->status >= 300 && r->status <= 399 ? ", and redirects are not followed" : "");
	add_said(conf, url, r, words);
}

static void on_response(const struct http_response *r, void *arg)
{
	struct webhook *w = arg;
	struct courier_answer a;
	char words[COURIER_WORDS_BYTES];

	webhook_judge(w->conf, secret_bytes(w->url), r, &a, words);
	w->doubt = a.verdict != COURIER_DELIVERED;
	w->fn(&a, w->arg);
}

static int webhook_send(
	void *way, const struct courier_parcel *p, courier_answer_fn fn, void *arg, struct err *err)
{
	struct webhook *w = way;
	struct http_request q = {.headers = w->headers, .hides_url = true};
	int rc = w->doubt ? read_files(w, err) : 0;

	if (rc == 0)
		rc = make_body(w, p, err);
	if (rc < 0)
		return rc;
	make_headers(w, p);
	w->fn = fn;
	w->arg = arg;
	q.url = secret_bytes(w->url);
	q.body = buf_str(&w->body);
	q.body_len = w->body.len;
	return http_send(w->http, &q, on_response, w, err);
}

const struct courier_way webhook_way = {
	.name = "webhook",
	.make = webhook_make,
	.free = webhook_free,
	.send = webhook_send,
	.place = webhook_place,
};
