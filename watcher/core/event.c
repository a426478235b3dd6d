/*
 * event: one builder per kind of event over a few shared pieces, so that the same fields come in the same
 * order everywhere. The order is a promise only for the first five; the rest is kept steady for people who
 * read with grep.
 */
#include "core/event.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "core/advice.h"

static const char *const type_names[] = {
	[EVENT_RUN_STARTED] = "run.started",
	[EVENT_RUN_SKIPPED] = "run.skipped",
	[EVENT_START_FAILED] = "start.failed",
	[EVENT_START_RETRYING] = "start.retrying",
	[EVENT_FILE_REJECTED] = "file.rejected",
	[EVENT_FILE_WAITING] = "file.waiting",
	[EVENT_FILE_VANISHED] = "file.vanished",
	[EVENT_FILE_SUPERSEDED] = "file.superseded",
	[EVENT_WATCH_READY] = "watch.ready",
	[EVENT_WATCH_LOST] = "watch.lost",
	[EVENT_WATCH_STALLED] = "watch.stalled",
	[EVENT_WATCH_OVERFLOW] = "watch.overflow",
	[EVENT_WATCH_DEGRADED] = "watch.degraded",
	[EVENT_WATCH_HELD] = "watch.held",
	[EVENT_WATCH_PAUSED] = "watch.paused",
	[EVENT_WATCH_RESUMED] = "watch.resumed",
	[EVENT_WORKSPACE_SUSPENDED] = "workspace.suspended",
	[EVENT_WORKSPACE_RESUMED] = "workspace.resumed",
	[EVENT_JOB_SUSPENDED] = "job.suspended",
	[EVENT_JOB_RESUMED] = "job.resumed",
	[EVENT_NOTIFY_DROPPED] = "notify.dropped",
	[EVENT_OPERATOR_ACTION] = "operator.action",
	[EVENT_SERVICE_STARTED] = "service.started",
	[EVENT_SERVICE_RELOADED] = "service.reloaded",
	[EVENT_SERVICE_STOPPED] = "service.stopped",
};

static void add_time(struct json_writer *w, const char *key, int64_t wall_us)
{
	char text[CLOCK_TEXT_BYTES];

	json_add_string(w, key, clock_format_us(wall_us, 6, text));
}

static void add_known_time(struct json_writer *w, const char *key, int64_t wall_us)
{
	if (wall_us != 0)
		add_time(w, key, wall_us);
}

static void add_known(struct json_writer *w, const char *key, const char *s)
{
	if (*s)
		json_add_string(w, key, s);
}

static void add_or_null(struct json_writer *w, const char *key, const char *s)
{
	json_add_string(w, key, *s ? s : NULL);
}

static void add_head(struct json_writer *w, enum event_type type, const struct event_head *h)
{
	json_begin_object(w, NULL);
	add_time(w, "time", h->time_us);
	json_add_string(w, "type", event_type_name(type));
	json_add_string(w, "id", h->id);
	json_add_string(w, "host", h->host);
	json_add_string(w, "watch", h->watch);
}

/* A path as text, and its true bytes when they are no text. */
static void add_path(struct json_writer *w, const struct event_file *f)
{
	CLEANUP_FREE char *path = fs_join(f->root, f->relpath);
	CLEANUP_BUF struct buf base64 = BUF_INIT(EVENT_LINE_BYTES);
	size_t n = strlen(path);

	json_add_bytes(w, "path", path, n);
	if (!text_is_utf8(path, n)) {
		(void)text_add_base64(&base64, path, n);
		json_add_bytes(w, "path_base64", buf_str(&base64), base64.len);
	}
	json_add_string(w, "relpath", f->relpath);
}

static void add_file(struct json_writer *w, const struct event_file *f)
{
	char text[CLOCK_TEXT_BYTES];

	add_path(w, f);
	add_known(w, "uri", f->uri);
	if (f->size >= 0) {
		json_add_i64(w, "size", f->size);
		json_add_string(w, "mtime", clock_format_ns(f->mtime_ns, text));
	}
	add_known(w, "ends", f->ends);
	if (f->size >= 0)
		json_add_i64(w, "owner", f->owner);
	add_known(w, "mime", f->mime);
	add_known_time(w, "first_seen", f->first_seen_us);
	add_known_time(w, "completed", f->completed_us);
}

static void add_run(struct json_writer *w, const struct event_run *r)
{
	json_add_string(w, "workspace", r->workspace);
	json_add_i64(w, "job_id", r->job_id);
	json_add_i64(w, "run_id", r->run_id);
	json_add_string(w, "token", r->token);
	json_add_i64(w, "generation", r->generation);
	json_add_i64(w, "attempts", r->attempts);
	json_add_i64(w, "latency_ms", r->latency_ms);
	json_add_string(w, "principal", r->principal);
	if (r->previous_run_id != 0)
		json_add_i64(w, "previous_run_id", r->previous_run_id);
}

/* What the StreamSets executor's event carried, in its own spelling. */
static void add_submitted(struct json_writer *w, int64_t time_us, int64_t run_id)
{
	char number[24];

	json_begin_object(w, "header");
	json_add_string(w, "sdc.event.type", "AppSubmittedEvent");
	json_add_string(w, "sdc.event.version", "1");
	snprintf(number, sizeof(number), "%" PRId64, time_us / US_PER_MS);
	json_add_string(w, "sdc.event.creation_timestamp", number);
	json_end_object(w);
	snprintf(number, sizeof(number), "%" PRId64, run_id);
	json_add_string(w, "app_id", number);
}

static int finish(struct json_writer *w, enum event_type type, struct err *err)
{
	json_end_object(w);
	if (buf_addc(w->b, '\n') == 0)
		return 0;
	return err_set(err, ERR_LIMIT, ENOBUFS, "event %s does not fit into %zu bytes", event_type_name(type),
		w->b->max);
}

const char *event_type_name(enum event_type type)
{
	BUG_ON((size_t)type >= ARRAY_SIZE(type_names));
	return type_names[type];
}

const char *const *event_type_names(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(type_names);
	return type_names;
}

int event_check_pattern(const char *pattern, struct err *err)
{
	CLEANUP_BUF struct buf all = BUF_INIT(ERR_TEXT_BYTES);

	for (size_t i = 0; i < ARRAY_SIZE(type_names); i++) {
		if (fnmatch(pattern, type_names[i], 0) == 0)
			return 0;
		(void)buf_addf(&all, "%s%s", i > 0 ? ", " : "", type_names[i]);
	}
	return err_set(err, ERR_USAGE, EINVAL, "there is no type of event \"%.60s\"; there are %s", pattern,
		buf_str(&all));
}

void event_id_make(const char *token, enum event_type type, int64_t ordinal, char out[EVENT_ID_BYTES])
{
	CLEANUP_FREE char *text = mem_printf("%s %s %" PRId64, token, event_type_name(type), ordinal);
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256(text, strlen(text), digest);
	sha256_hex(digest, hex);
	memcpy(out, hex, EVENT_ID_BYTES - 1);
	out[EVENT_ID_BYTES - 1] = '\0';
}

void event_id_random(const uint8_t random[16], char out[EVENT_ID_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 16; i++) {
		out[2 * i] = digits[random[i] >> 4];
		out[2 * i + 1] = digits[random[i] & 15];
	}
	out[EVENT_ID_BYTES - 1] = '\0';
}

int event_run_started(struct buf *b, const struct event_head *h, const struct event_file *f,
	const struct event_run *r, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, EVENT_RUN_STARTED, h);
	add_file(&w, f);
	add_run(&w, r);
	add_submitted(&w, h->time_us, r->run_id);
	return finish(&w, EVENT_RUN_STARTED, err);
}

int event_start(struct buf *b, enum event_type type, const struct event_head *h, const struct event_file *f,
	const struct event_failure *x, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, type, h);
	add_file(&w, f);
	json_add_string(&w, "reason", x->reason);
	if (x->http_status > 0)
		json_add_i64(&w, "http_status", x->http_status);
	else
		json_add_null(&w, "http_status");
	add_or_null(&w, "error_code", x->error_code);
	json_add_string(&w, "message", x->message);
	json_add_i64(&w, "attempts", x->attempts);
	if (type == EVENT_START_RETRYING)
		add_time(&w, "next_attempt", x->next_attempt_us);
	if (x->workspace) {
		json_add_string(&w, "workspace", x->workspace);
		json_add_i64(&w, "job_id", x->job_id);
	}
	if (advice_for(x->reason)[0])
		json_add_string(&w, "advice", advice_for(x->reason));
	return finish(&w, type, err);
}

int event_run_skipped(struct buf *b, const struct event_head *h, const struct event_file *f,
	const struct event_run *r, const char *reason, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, EVENT_RUN_SKIPPED, h);
	add_file(&w, f);
	add_run(&w, r);
	json_add_string(&w, "reason", reason);
	return finish(&w, EVENT_RUN_SKIPPED, err);
}

int event_file_rejected(struct buf *b, const struct event_head *h, const struct event_file *f,
	const char *rule, const char *detail, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, EVENT_FILE_REJECTED, h);
	add_file(&w, f);
	json_add_string(&w, "rule", rule);
	json_add_string(&w, "detail", detail);
	return finish(&w, EVENT_FILE_REJECTED, err);
}

int event_file_waiting(struct buf *b, enum event_type type, const struct event_head *h,
	const struct event_file *f, const char *waiting_for, int64_t since_us, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, type, h);
	add_file(&w, f);
	json_add_string(&w, "waiting_for", waiting_for);
	add_time(&w, "since", since_us);
	return finish(&w, type, err);
}

int event_watch(struct buf *b, enum event_type type, const struct event_head *h, const struct event_watch *x,
	struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, type, h);
	if (x->method[0])
		json_add_string(&w, "method", x->method);
	if (x->file_system[0])
		json_add_string(&w, "file_system", x->file_system);
	json_add_string(&w, "detail", x->detail);
	if (x->count >= 0)
		json_add_i64(&w, "count", x->count);
	if (x->scanned) {
		json_add_i64(&w, "directories", x->directories);
		json_add_i64(&w, "files", x->files);
		json_add_i64(&w, "unsettled", x->unsettled);
		json_add_i64(&w, "took_ms", x->took_ms);
	}
	return finish(&w, type, err);
}

int event_place(struct buf *b, enum event_type type, const struct event_head *h, const struct event_place *x,
	struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, type, h);
	json_add_string(&w, "workspace", x->workspace);
	if (x->job_id > 0)
		json_add_i64(&w, "job_id", x->job_id);
	json_add_string(&w, "detail", x->detail);
	return finish(&w, type, err);
}

int event_notify_dropped(
	struct buf *b, const struct event_head *h, const struct event_notify *x, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, EVENT_NOTIFY_DROPPED, h);
	json_add_string(&w, "consumer", x->consumer);
	json_add_string(&w, "detail", x->detail);
	json_add_i64(&w, "count", x->count);
	add_known(&w, "first_id", x->first_id);
	add_known(&w, "last_id", x->last_id);
	return finish(&w, EVENT_NOTIFY_DROPPED, err);
}

int event_action(struct buf *b, const struct event_head *h, const struct event_action *x, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, EVENT_OPERATOR_ACTION, h);
	json_add_string(&w, "verb", x->verb);
	json_add_string(&w, "arguments", x->arguments);
	json_add_string(&w, "user", x->user);
	add_or_null(&w, "reason", x->reason);
	if (x->count >= 0)
		json_add_i64(&w, "count", x->count);
	return finish(&w, EVENT_OPERATOR_ACTION, err);
}

int event_service(struct buf *b, enum event_type type, const struct event_head *h,
	const struct event_service *s, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);

	buf_reset(b);
	add_head(&w, type, h);
	json_add_string(&w, "version", s->version);
	json_add_string(&w, "configuration", s->configuration);
	json_add_i64(&w, "watches", s->watches);
	json_add_i64(&w, "pending", s->pending);
	if (type == EVENT_SERVICE_STOPPED) {
		json_add_i64(&w, "started", s->started);
		json_add_i64(&w, "failed", s->failed);
		json_add_i64(&w, "rejected", s->rejected);
	}
	return finish(&w, type, err);
}
