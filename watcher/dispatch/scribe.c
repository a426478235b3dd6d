/*
 * scribe: the glue between core/event, which builds lines, and the ledger, which keeps them until they are in
 * the log.
 */
#include "dispatch/scribe.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "base/clock.h"
#include "core/notice.h"
#include "dispatch/notices.h"

static struct event_head head_of(struct scribe *s, const char *watch, int64_t now_us)
{
	s->watch = watch;
	s->now_us = now_us;
	return (struct event_head){.time_us = now_us, .id = s->id, .host = s->host, .watch = watch};
}

static struct event_head random_head(struct scribe *s, const char *watch, int64_t now_us)
{
	uint8_t random[16];

	/* up to 256 bytes come whole and without waiting once the system is up (getrandom(2)) */
	BUG_ON(getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random));
	event_id_random(random, s->id);
	return head_of(s, watch, now_us);
}

static struct event_head token_head(struct scribe *s, const char *token, enum event_type type,
	int64_t ordinal, const char *watch, int64_t now_us)
{
	event_id_make(token, type, ordinal, s->id);
	return head_of(s, watch, now_us);
}

static int tell_consumers(struct scribe *s, enum event_type type, struct err *err)
{
	struct notices_row r = {.made_us = s->now_us};
	int rc = 0;

	(void)snprintf(r.id, sizeof(r.id), "%s", s->id);
	(void)snprintf(r.type, sizeof(r.type), "%s", event_type_name(type));
	(void)snprintf(r.watch, sizeof(r.watch), "%s", s->watch ? s->watch : "");
	for (size_t i = 0; s->conf && rc == 0 && i < s->conf->notifies_n; i++) {
		const struct conf_notify *n = s->conf->notifies[i];

		if (!notice_wants(n, r.type, r.watch))
			continue;
		rc = notices_add(s->ledger, n->name, &r, buf_str(&s->line), s->line.len, err);
		s->notices++;
	}
	return rc;
}

/* built: what the builder of the line returned */
static int put(struct scribe *s, enum event_type type, int built, struct err *err)
{
	int rc;

	if (built < 0)
		return built;
	rc = ledger_outbox_add(s->ledger, s->id, buf_str(&s->line), s->line.len, err);
	return rc < 0 ? rc : tell_consumers(s, type, err);
}

void scribe_init(struct scribe *s, struct ledger *ledger, bool silent)
{
	*s = (struct scribe){.ledger = ledger, .silent = silent, .line = BUF_INIT(EVENT_LINE_BYTES)};
	if (gethostname(s->host, sizeof(s->host)) < 0)
		snprintf(s->host, sizeof(s->host), "localhost");
	s->host[sizeof(s->host) - 1] = '\0';
}

void scribe_done(struct scribe *s)
{
	buf_done(&s->line);
}

void scribe_set_consumers(struct scribe *s, const struct conf *conf)
{
	s->conf = conf;
}

struct event_file scribe_file_of(const struct ledger_row *r)
{
	return (struct event_file){
		.root = r->root,
		.relpath = r->relpath,
		.uri = r->uri,
		.size = r->version.size,
		.mtime_ns = r->version.mtime_ns,
		.owner = r->owner,
		.ends = r->version.ends,
		.mime = r->mime,
		.first_seen_us = r->first_seen_us,
		.completed_us = r->completed_us,
	};
}

static struct event_run run_of(
	const struct ledger_row *r, int64_t attempts, const char *principal, int64_t run_id, int64_t now_us)
{
	return (struct event_run){
		.workspace = r->workspace[0] ? r->workspace : r->host,
		.job_id = r->job_id,
		.run_id = run_id,
		.token = r->token,
		.generation = r->generation,
		.attempts = attempts,
		.latency_ms = now_us > r->completed_us ? (now_us - r->completed_us) / US_PER_MS : 0,
		.principal = principal,
		.previous_run_id = r->previous_run_id,
	};
}

int scribe_run_started(struct scribe *s, const struct ledger_row *r, int64_t attempts, const char *principal,
	int64_t run_id, int64_t now_us, struct err *err)
{
	struct event_head h;
	struct event_file f = scribe_file_of(r);
	struct event_run run = run_of(r, attempts, principal, run_id, now_us);

	if (s->silent)
		return 0;
	h = token_head(s, r->token, EVENT_RUN_STARTED, 1, r->watch, now_us);
	return put(s, EVENT_RUN_STARTED, event_run_started(&s->line, &h, &f, &run, err), err);
}

int scribe_run_skipped(struct scribe *s, const struct ledger_row *r, const char *principal,
	const char *reason, int64_t now_us, struct err *err)
{
	struct event_head h;
	struct event_file f = scribe_file_of(r);
	struct event_run run = run_of(r, r->attempts, principal, r->run_id, now_us);

	if (s->silent)
		return 0;
	h = token_head(s, r->token, EVENT_RUN_SKIPPED, 1, r->watch, now_us);
	return put(s, EVENT_RUN_SKIPPED, event_run_skipped(&s->line, &h, &f, &run, reason, err), err);
}

int scribe_start(struct scribe *s, enum event_type type, const char *watch, const char *token,
	int64_t ordinal, const struct event_file *f, const struct event_failure *x, int64_t now_us,
	struct err *err)
{
	struct event_head h;

	if (s->silent)
		return 0;
	h = token[0] ? token_head(s, token, type, ordinal, watch, now_us) : random_head(s, watch, now_us);
	return put(s, type, event_start(&s->line, type, &h, f, x, err), err);
}

int scribe_rejected(struct scribe *s, const char *watch, const struct event_file *f, const char *rule,
	const char *detail, int64_t now_us, struct err *err)
{
	struct event_head h;

	if (s->silent)
		return 0;
	h = random_head(s, watch, now_us);
	return put(s, EVENT_FILE_REJECTED, event_file_rejected(&s->line, &h, f, rule, detail, err), err);
}

int scribe_waiting(struct scribe *s, enum event_type type, const char *watch, const struct event_file *f,
	const char *waiting_for, int64_t since_us, int64_t now_us, struct err *err)
{
	struct event_head h;

	if (s->silent)
		return 0;
	h = random_head(s, watch, now_us);
	return put(s, type, event_file_waiting(&s->line, type, &h, f, waiting_for, since_us, err), err);
}

int scribe_gone(struct scribe *s, enum event_type type, const struct ledger_row *r, int64_t ordinal,
	const char *waiting_for, int64_t since_us, int64_t now_us, struct err *err)
{
	struct event_head h;
	struct event_file f = scribe_file_of(r);

	if (s->silent)
		return 0;
	h = r->token[0] ? token_head(s, r->token, type, ordinal, r->watch, now_us)
			: random_head(s, r->watch, now_us);
	return put(s, type, event_file_waiting(&s->line, type, &h, &f, waiting_for, since_us, err), err);
}

int scribe_watch(struct scribe *s, enum event_type type, const char *watch, const struct event_watch *w,
	int64_t now_us, struct err *err)
{
	struct event_head h;

	if (s->silent)
		return 0;
	h = random_head(s, watch, now_us);
	return put(s, type, event_watch(&s->line, type, &h, w, err), err);
}

int scribe_place(struct scribe *s, enum event_type type, const char *watch, const struct event_place *x,
	int64_t now_us, struct err *err)
{
	struct event_head h;

	if (s->silent)
		return 0;
	h = random_head(s, watch, now_us);
	return put(s, type, event_place(&s->line, type, &h, x, err), err);
}

int scribe_notify_dropped(struct scribe *s, const struct event_notify *x, int64_t now_us, struct err *err)
{
	struct event_head h;

	if (s->silent)
		return 0;
	h = random_head(s, NULL, now_us);
	return put(s, EVENT_NOTIFY_DROPPED, event_notify_dropped(&s->line, &h, x, err), err);
}

int scribe_action(
	struct scribe *s, const char *watch, const struct event_action *x, int64_t now_us, struct err *err)
{
	struct event_head h;

	if (s->silent)
		return 0;
	h = random_head(s, watch, now_us);
	return put(s, EVENT_OPERATOR_ACTION, event_action(&s->line, &h, x, err), err);
}

int scribe_service(struct scribe *s, enum event_type type, const struct event_service *x, int64_t now_us,
	struct err *err)
{
	struct event_head h;

	if (s->silent)
		return 0;
	h = random_head(s, NULL, now_us);
	return put(s, type, event_service(&s->line, type, &h, x, err), err);
}
