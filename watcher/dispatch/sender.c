/*
 * sender: a row's way is chosen -> (commit) -> out -> answered -> (commit) -> gone. A `slot` is a row on that
 * way; there are at most as many as requests may be on their way.
 *
 * Waiting has three levels. A row waits by itself after an answer that promises nothing for others (5xx, lost
 * answers). A lane (workspace) waits when nobody can be reached or the credential is refused; a line waits
 * when its job cannot be started. While a lane or line waits, one request at a time probes it, and after an
 * error it is the same row again, so that an outage of hours costs one row its attempts and not all.
 *
 * Time: rows keep the wall-clock time of their next try. To stay independent of somebody setting the clock,
 * "now" is the wall clock of the start plus what the monotonic clock has counted since.
 *
 * A row that was not sent within a minute, or was there before the start, is old: its watcher must have
 * looked at the file again before it goes out (dispatch/doubt), unless it may be out already or a person has
 * released it unchecked. How old a row is tell the highest row numbers of the last minute, not a clock.
 *
 * How long a row was tried (retry_for) is the sum of the pauses that were really waited for, so neither being
 * stopped nor an outage of the network eats it up.
 */
#include "dispatch/sender.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/age.h"
#include "core/backoff.h"
#include "core/rate.h"
#include "core/request.h"
#include "dispatch/doubt.h"
#include "dispatch/jobs.h"
#include "dispatch/verify.h"

#define PAGE_ROWS 64
#define REPLACED_PAUSE_US (30 * US_PER_S)
#define UNSURE_FIRST_US (2 * US_PER_S)
#define UNSURE_LAST_US (60 * US_PER_S)
#define LOOK_EVERY_US                                                                                        \
	(50 * US_PER_MS)      /* runs/get: 20 a second of the 100 that the workspace allows everyone */
#define LEFT_OUT_MAX 4096     /* rows that cannot be read, before the ledger counts as damaged */
#define SUSPEND_AFTER 3	      /* transport failures in a row */
#define GIVE_UP_AFTER 3	      /* probes without success: enough for a scan to end */
#define META_PAUSED "paused:" /* and the watch */
#define SHOWN_BYTES 1024
#define WORDS_BYTES 512

/* Why a lane or line waits. */
struct pause {
	unsigned failures; /* in a row; 0: it does not wait */
	int64_t since_us;  /* monotonic: when the last failure was answered */
	int64_t until_us;  /* monotonic */
	bool told;
	enum outcome_kind told_kind;
	char *words; /* what was told */
	/* what the ledger has been told, by an event */
	bool recorded;
	enum outcome_kind recorded_kind;
	bool open; /* by a former process, and nothing is known yet */
};

struct lane { /* a workspace */
	struct sender *sender;
	const struct conf_workspace *conf;
	struct jobs *jobs;
	struct rate rate;
	struct pause pause;
	struct list lines; /* the next one to serve is at the front */
	struct verify *verify;
	int64_t look_us; /* monotonic: not before is another run looked at */
	int64_t out;
};

struct line { /* a watch at a host */
	struct list in_lane;
	struct lane *lane;
	char *watch;
	const struct conf_watch
		*conf; /* NULL: no longer configured; then only what may be out already is sent */
	bool paused;   /* likewise */
	bool pausing;  /* it will be, by this transaction */
	struct rate rate;
	int64_t max_out;
	struct pause pause;
	int64_t out;
	int64_t pending;	/* of a configured watch */
	int64_t ids[PAGE_ROWS]; /* fetched, not yet served; never old ones */
	int n, pos;
	bool fresh;	     /* they were never tried, and old ones that are confirmed go first */
	bool look;	     /* the ledger may have more */
	bool look_old;	     /* of old ones */
	struct doubt *doubt; /* about those; NULL: nobody can be asked */
	int64_t vanished;    /* rows of this transaction */
	int64_t due_us;	     /* monotonic: when to look again; INT64_MAX: never */
};

enum slot_state { SLOT_CHOSEN, SLOT_OUT, SLOT_ANSWERED };

struct slot { /* a row on its way */
	struct list in;
	struct sender *sender;
	enum slot_state state;
	struct line *line;
	int64_t id;
	bool was_sent; /* before: an earlier attempt may have made a run */
	bool old_job;  /* it asks for another job than the watch does now: says nothing about that one */
	char *body;
	size_t len;
	int64_t out_us; /* monotonic */
	/* the answer */
	struct outcome outcome;
	int64_t run_id;
	int http_status;
	char *error_code, *message, *principal;
	int64_t retry_after_us, answered_us; /* monotonic */
	/* what the answer made of the row, for after the commit */
	bool gone; /* no longer pending */
	enum log_level level;
	char *say;
};

struct sender {
	struct loop *loop;
	const struct conf *conf;
	struct sender_asker asker;
	struct age age;
	struct map *left_out; /* rows that cannot be read */
	struct ledger *ledger;
	struct scribe *scribe;
	int64_t wall_us, mono_us; /* of the start */
	struct lane **lanes;
	size_t lanes_n;
	struct line **lines;
	size_t lines_n;
	struct list slots;
	struct map *by_id; /* slots */
	size_t answered;
	bool stopping;
	int64_t started, failed;
	struct loop_timer *timer;
	struct buf body;
};

/* ---- time ---- */

static int64_t steady_wall_us(const struct sender *s, int64_t mono_us)
{
	return s->wall_us + (mono_us - s->mono_us);
}

static int64_t mono_of(const struct sender *s, int64_t wall_us)
{
	return s->mono_us + (wall_us - s->wall_us);
}

static uint64_t random_bits(void)
{
	uint64_t v;

	BUG_ON(getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v));
	return v;
}

/* ---- waiting of lanes and lines ---- */

static bool is_waiting(const struct pause *p, int64_t now_us)
{
	return p->failures > 0 && now_us < p->until_us;
}

/* One more failure, unless this attempt went out before the last one was known. */
static void pause_longer(struct pause *p, const struct slot *slot)
{
	if (p->failures > 0 && slot->out_us < p->since_us)
		return;
	p->failures++;
	p->since_us = slot->answered_us;
	p->until_us = slot->answered_us + backoff_ceiling_us(p->failures);
}

/* Whether somebody was told that it waits. */
static bool pause_end(struct pause *p)
{
	bool told = p->told || p->open;

	p->failures = 0;
	p->since_us = p->until_us = 0;
	p->told = p->open = false;
	return told;
}

static void pause_tell(struct pause *p, const struct slot *slot)
{
	p->told = true;
	p->open = false;
	p->told_kind = slot->outcome.kind;
	free(p->words);
	p->words = mem_printf("%s: %s", slot->outcome.reason, slot->message);
}

static const char *lane_name(const struct lane *lane)
{
	return lane->conf->name[0] ? lane->conf->name : lane->conf->host_token;
}

static void tell_lane(struct lane *lane, const struct slot *slot)
{
	char words[WORDS_BYTES];

	if (lane->pause.told && lane->pause.told_kind == slot->outcome.kind)
		return;
	pause_tell(&lane->pause, slot);
	text_printable(slot->message, strlen(slot->message), words, sizeof(words));
	log_error("workspace %s %s: %s; its files wait, trying again every minute at the latest",
		lane_name(lane),
		slot->outcome.kind == OUTCOME_CREDENTIAL ? "refuses the credential" : "cannot be reached",
		words);
}

static void tell_line(struct line *line, const struct slot *slot)
{
	char words[WORDS_BYTES];

	if (line->pause.told)
		return;
	pause_tell(&line->pause, slot);
	text_printable(slot->message, strlen(slot->message), words, sizeof(words));
	log_error("watch %s: its job cannot be started: %s; its files wait, trying again every minute at the "
		  "latest",
		line->watch, words);
}

/* What was fetched is forgotten; rows on their way are recognised by their slots. */
static void line_restart(struct line *line)
{
	line->n = line->pos = 0;
	line->look = line->look_old = true;
}

/* The server asks for a pause, and speaks for the whole workspace. */
static void pause_lane(struct lane *lane, const struct slot *slot)
{
	int64_t wait_us = slot->retry_after_us < BACKOFF_RETRY_AFTER_MAX_US ? slot->retry_after_us
									    : BACKOFF_RETRY_AFTER_MAX_US;

	if (lane->pause.failures == 0)
		lane->pause.failures = 1;
	lane->pause.since_us = slot->answered_us;
	lane->pause.until_us = slot->answered_us + wait_us;
}

/* 429 halves the pace of the workspace, and what is started brings it back. */
static void learn_pace(struct lane *lane, const struct slot *slot)
{
	if (slot->outcome.kind == OUTCOME_STARTED && rate_ease(&lane->rate, slot->answered_us) &&
		rate_is_full(&lane->rate))
		log_info("workspace %s: back at the full rate", lane_name(lane));
	if (slot->outcome.kind != OUTCOME_RETRY || strcmp(slot->outcome.reason, "rate_limited") != 0)
		return;
	if (rate_is_full(&lane->rate) && rate_slow(&lane->rate, slot->out_us, slot->answered_us))
		log_info("workspace %s has too many requests; going slower until it takes more",
			lane_name(lane));
	else
		(void)rate_slow(&lane->rate, slot->out_us, slot->answered_us);
}

/* What an answer says about the lane and the line. */
static void learn(struct slot *slot)
{
	struct line *line = slot->line;
	struct lane *lane = line->lane;
	enum outcome_kind kind = slot->outcome.kind;

	learn_pace(lane, slot);

	if (kind == OUTCOME_UNREACHABLE || kind == OUTCOME_CREDENTIAL) {
		pause_longer(&lane->pause, slot);
		if (kind == OUTCOME_CREDENTIAL || lane->pause.failures >= SUSPEND_AFTER)
			tell_lane(lane, slot);
		line_restart(line); /* so that this row is the one to probe with */
		return;
	}
	if (kind == OUTCOME_RETRY && slot->retry_after_us > 0) {
		pause_lane(lane, slot);
		return;
	}
	if (slot->http_status > 0 && pause_end(&lane->pause))
		log_info("workspace %s answers again", lane_name(lane));
	if (kind == OUTCOME_JOB && !slot->old_job) {
		pause_longer(&line->pause, slot);
		tell_line(line, slot);
		line_restart(line);
	} else if (kind == OUTCOME_STARTED && !slot->old_job && pause_end(&line->pause)) {
		log_info("watch %s: its job can be started again", line->watch);
	}
}

/* ---- slots ---- */

static void slot_free(struct slot *slot)
{
	struct sender *s = slot->sender;

	list_remove(&slot->in);
	(void)map_remove_u64(s->by_id, (uint64_t)slot->id);
	slot->line->out--;
	slot->line->lane->out--;
	slot->line->look = true;
	if (slot->state == SLOT_ANSWERED)
		s->answered--;
	free(slot->body);
	free(slot->error_code);
	free(slot->message);
	free(slot->principal);
	free(slot->say);
	free(slot);
}

static void slot_new(struct sender *s, struct line *line, const struct ledger_row *row)
{
	struct slot *slot = mem_alloc(sizeof(*slot));

	slot->sender = s;
	slot->line = line;
	slot->id = row->id;
	slot->was_sent = row->sent;
	slot->old_job = line->conf && line->conf->job_id != row->job_id;
	slot->body = mem_dup(buf_str(&s->body), s->body.len);
	slot->len = s->body.len;
	list_add_tail(&s->slots, &slot->in);
	(void)map_put_u64(s->by_id, (uint64_t)row->id, slot);
	line->out++;
	line->lane->out++;
}

static void take_answer(struct slot *slot, const struct jobs_answer *a)
{
	slot->outcome = a->outcome;
	slot->run_id = a->run_id;
	slot->http_status = a->http_status;
	slot->error_code = mem_strdup(a->error_code);
	slot->message = mem_strdup(a->message);
	slot->principal = mem_strdup(a->principal);
	slot->retry_after_us = a->retry_after_us;
	slot->answered_us = clock_mono_us();
	slot->state = SLOT_ANSWERED;
	slot->sender->answered++;
	learn(slot);
}

static void on_answer(void *tag, const struct jobs_answer *a, void *arg)
{
	struct slot *slot = tag;

	(void)arg;
	BUG_ON(slot->state != SLOT_OUT);
	CRASH_POINT("sender-answered");
	take_answer(slot, a);
}

/* ---- what an answer makes of its row ---- */

static void slot_say(struct slot *slot, enum log_level level, char *text)
{
	free(slot->say);
	slot->say = text;
	slot->level = level;
}

static char *show_row(const struct ledger_row *row, char out[SHOWN_BYTES])
{
	CLEANUP_FREE char *path = mem_printf("%s/%s", row->root, row->relpath);

	(void)text_printable(path, strlen(path), out, SHOWN_BYTES);
	return out;
}

/* May its run have been skipped? With `queue` Databricks lets it wait; but an answer to a request that was
 * out before may be about a run of any age. */
static int mark_unverified(struct slot *slot, const struct ledger_row *row, struct err *err)
{
	struct sender *s = slot->sender;
	const struct conf_watch *w = slot->line->conf;
	int64_t at_us = steady_wall_us(s, slot->answered_us) + VERIFY_AFTER_US;

	if (!w || (w->queue && !slot->was_sent))
		return 0;
	verify_expect(slot->line->lane->verify, at_us);
	return ledger_set_verify(s->ledger, row->id, at_us, err);
}

static int apply_started(struct slot *slot, struct ledger_row *row, int64_t now_us, struct err *err)
{
	struct sender *s = slot->sender;
	char path[SHOWN_BYTES];
	int rc = ledger_set_started(
		s->ledger, row->id, slot->run_id, row->attempts, slot->principal, now_us, err);

	CRASH_POINT("sender-started-not-told");
	if (rc == 0)
		rc = mark_unverified(slot, row, err);
	if (rc == 0)
		rc = scribe_run_started(
			s->scribe, row, row->attempts, slot->principal, slot->run_id, now_us, err);
	if (rc < 0)
		return rc;
	slot->gone = true;
	slot_say(slot, LOG_LEVEL_INFO,
		mem_printf("started: run %" PRId64 " of job %" PRId64 " for %s", slot->run_id, row->job_id,
			show_row(row, path)));
	return 0;
}

static struct event_failure failure_of(
	const struct slot *slot, const struct ledger_row *row, const char *reason)
{
	return (struct event_failure){
		.reason = reason,
		.http_status = slot->http_status,
		.error_code = slot->error_code,
		.message = slot->message,
		.attempts = row->attempts,
		.next_attempt_us = row->next_attempt_us,
	};
}

int sender_pause(struct sender *s, const char *watch, const char *reason, struct err *err)
{
	CLEANUP_FREE char *meta = mem_printf("%s%s", META_PAUSED, watch);
	struct event_watch x = {.method = "", .file_system = "", .detail = reason, .count = -1};
	bool news = false;
	int rc;

	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!line->conf || strcmp(line->watch, watch) != 0 || line->paused || line->pausing)
			continue;
		line->pausing = news = true;
	}
	if (!news)
		return 0;
	rc = ledger_set_meta(s->ledger, meta, reason, err);
	return rc < 0 ? rc : scribe_watch(s->scribe, EVENT_WATCH_PAUSED, watch, &x, clock_wall_us(), err);
}

/* After the commit (done) or the end of the transaction that was to do it. */
static void close_pausing(struct sender *s, bool done)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (line->pausing && done) {
			log_warning("watch %s is paused, since a file became a dead letter; `brickwatch "
				    "resume %s` "
				    "lets it go on",
				line->watch, line->watch);
			line->paused = true;
			line_restart(line);
		}
		line->pausing = false;
	}
}

static int end_failed(
	struct slot *slot, struct ledger_row *row, const char *reason, int64_t now_us, struct err *err)
{
	const struct conf_watch *w = slot->line->conf;
	bool discard = w && w->on_failure == CONF_FAIL_DISCARD;
	int rc = ledger_set_closed(slot->sender->ledger, row, discard ? LEDGER_DISCARDED : LEDGER_FAILED,
		reason, slot->message, now_us, err);

	if (rc == 0 && w && w->on_failure == CONF_FAIL_PAUSE)
		rc = sender_pause(slot->sender, w->name, reason, err);
	return rc;
}

static int apply_failed(
	struct slot *slot, struct ledger_row *row, const char *reason, int64_t now_us, struct err *err)
{
	struct sender *s = slot->sender;
	struct event_failure x = failure_of(slot, row, reason);
	struct event_file f = scribe_file_of(row);
	char path[SHOWN_BYTES], words[WORDS_BYTES];
	int rc;

	row->failures++;
	rc = scribe_start(
		s->scribe, EVENT_START_FAILED, row->watch, row->token, row->failures, &f, &x, now_us, err);
	if (rc == 0)
		rc = end_failed(slot, row, reason, now_us, err);
	if (rc < 0)
		return rc;
	slot->gone = true;
	(void)text_printable(slot->message, strlen(slot->message), words, sizeof(words));
	slot_say(slot, LOG_LEVEL_ERROR,
		mem_printf("dead letter: %s: %s (%s)", show_row(row, path), reason, words));
	return 0;
}

static bool is_power_of_two(int64_t v)
{
	return v > 0 && (v & (v - 1)) == 0;
}

/* When the row may be tried again, monotonic. */
static int64_t next_try_us(const struct slot *slot, const struct ledger_row *row)
{
	const struct line *line = slot->line;

	if (slot->outcome.kind == OUTCOME_UNREACHABLE || slot->outcome.kind == OUTCOME_CREDENTIAL)
		return line->lane->pause.until_us;
	if (slot->outcome.kind == OUTCOME_JOB && !slot->old_job)
		return line->pause.until_us;
	return slot->answered_us + backoff_delay_us(row->attempts < 100 ? (unsigned)row->attempts : 100,
					   slot->retry_after_us, random_bits());
}

static bool counts_as_tried(const struct slot *slot)
{
	return slot->outcome.kind == OUTCOME_RETRY;
}

/* Adds the pause before this attempt, if it was one for the row's own sake. */
static void count_tried(const struct slot *slot, struct ledger_row *row)
{
	int64_t waited = row->next_attempt_us - row->last_failed_us;

	if (counts_as_tried(slot) && row->last_failed_us > 0 && waited > 0)
		row->tried_us += waited < BACKOFF_RETRY_AFTER_MAX_US ? waited : BACKOFF_RETRY_AFTER_MAX_US;
}

static int tell_retrying(struct slot *slot, struct ledger_row *row, int64_t now_us, struct err *err)
{
	struct sender *s = slot->sender;
	struct event_failure x = failure_of(slot, row, slot->outcome.reason);
	struct event_file f = scribe_file_of(row);
	char path[SHOWN_BYTES], words[WORDS_BYTES], span[CLOCK_TEXT_BYTES];

	if (slot->outcome.kind == OUTCOME_CREDENTIAL || slot->outcome.kind == OUTCOME_JOB ||
		!is_power_of_two(row->attempts))
		return 0;
	row->retryings++;
	(void)text_printable(slot->message, strlen(slot->message), words, sizeof(words));
	slot_say(slot, LOG_LEVEL_WARNING,
		mem_printf("not started yet: %s: %s (%s); trying again in %s", show_row(row, path),
			slot->outcome.reason, words,
			clock_format_span(row->next_attempt_us - row->last_failed_us, span)));
	return scribe_start(
		s->scribe, EVENT_START_RETRYING, row->watch, row->token, row->retryings, &f, &x, now_us, err);
}

static int apply_retry(struct slot *slot, struct ledger_row *row, int64_t now_us, struct err *err)
{
	struct sender *s = slot->sender;
	int rc;

	count_tried(slot, row);
	/* only what cannot have made a run may lose the mark, and only when no earlier attempt may have */
	row->sent = slot->was_sent || !slot->outcome.sure_not_started;
	row->last_failed_us = steady_wall_us(s, slot->answered_us);
	if (row->first_failed_us == 0)
		row->first_failed_us = row->last_failed_us;
	if (counts_as_tried(slot) && row->tried_us >= slot->line->lane->conf->retry_for_us)
		return apply_failed(slot, row, row->sent ? "outcome_unknown" : "retry_for_over", now_us, err);
	row->next_attempt_us = steady_wall_us(s, next_try_us(slot, row));
	rc = tell_retrying(slot, row, now_us, err);
	if (!counts_as_tried(slot))
		row->last_failed_us = row->next_attempt_us; /* so that this pause is not counted */
	return rc < 0 ? rc : ledger_set_retry(s->ledger, row, err);
}

static int apply_dead(struct slot *slot, struct ledger_row *row, int64_t now_us, struct err *err)
{
	bool unknown = slot->was_sent || !slot->outcome.sure_not_started;

	return apply_failed(slot, row, unknown ? "outcome_unknown" : slot->outcome.reason, now_us, err);
}

static int apply_to_row(struct slot *slot, struct ledger_row *row, struct err *err)
{
	int64_t now_us = clock_wall_us();

	row->attempts++;
	switch (slot->outcome.kind) {
	case OUTCOME_STARTED:
		return apply_started(slot, row, now_us, err);
	case OUTCOME_DEAD:
		return apply_dead(slot, row, now_us, err);
	case OUTCOME_RETRY:
	case OUTCOME_CREDENTIAL:
	case OUTCOME_JOB:
	case OUTCOME_UNREACHABLE:
		return apply_retry(slot, row, now_us, err);
	}
	BUG_ON(true);
	return 0;
}

static int apply_answer(struct slot *slot, struct err *err)
{
	struct ledger_row row;
	int rc = ledger_row(slot->sender->ledger, slot->id, &row, err);

	if (rc == 0)
		rc = err_set(
			err, ERR_INPUT, EBADMSG, "row %" PRId64 " has disappeared from the ledger", slot->id);
	if (rc == -EBADMSG) { /* the others must not wait for this one; after a restart it is sent again */
		slot_say(slot, LOG_LEVEL_ERROR, mem_printf("%s; its answer cannot be recorded", err->text));
		return 0;
	}
	if (rc < 0)
		return rc;
	rc = apply_to_row(slot, &row, err);
	ledger_row_done(&row);
	return rc;
}

static int apply_answers(struct sender *s, struct err *err)
{
	LIST_FOREACH (it, &s->slots) {
		struct slot *slot = LIST_OF(it, struct slot, in);
		int rc = slot->state == SLOT_ANSWERED ? apply_answer(slot, err) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- telling that a workspace or job waits ---- */

static bool is_to_be_recorded(const struct pause *p)
{
	return !p->open && (p->told != p->recorded || (p->told && p->told_kind != p->recorded_kind));
}

static bool has_news(const struct sender *s)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		if (is_to_be_recorded(&s->lanes[i]->pause))
			return true;
	for (size_t i = 0; i < s->lines_n; i++)
		if (is_to_be_recorded(&s->lines[i]->pause))
			return true;
	return false;
}

/* Remembers it too, so that the end of a suspension is told although another process told its begin. */
static int record_pause(struct sender *s, const struct pause *p, const enum event_type types[2],
	const char *watch, const char *meta, struct event_place *x, struct err *err)
{
	int rc;

	if (!is_to_be_recorded(p))
		return 0;
	x->detail = p->told ? p->words : "requests are taken again";
	rc = ledger_set_meta(s->ledger, meta, p->told ? outcome_kind_name(p->told_kind) : NULL, err);
	return rc < 0 ? rc : scribe_place(s->scribe, types[p->told ? 0 : 1], watch, x, clock_wall_us(), err);
}

static char *lane_meta(const struct lane *lane)
{
	return mem_printf("suspended:workspace:%s", lane_name(lane));
}

static char *line_meta(const struct line *line)
{
	return mem_printf("suspended:job:%s:%s", line->watch, lane_name(line->lane));
}

static int record_lane(struct sender *s, const struct lane *lane, struct err *err)
{
	static const enum event_type types[] = {EVENT_WORKSPACE_SUSPENDED, EVENT_WORKSPACE_RESUMED};
	CLEANUP_FREE char *meta = lane_meta(lane);
	struct event_place x = {.workspace = lane_name(lane)};

	return record_pause(s, &lane->pause, types, NULL, meta, &x, err);
}

static int record_line(struct sender *s, const struct line *line, struct err *err)
{
	static const enum event_type types[] = {EVENT_JOB_SUSPENDED, EVENT_JOB_RESUMED};
	CLEANUP_FREE char *meta = line_meta(line);
	struct event_place x = {
		.workspace = lane_name(line->lane), .job_id = line->conf ? line->conf->job_id : 0};

	return record_pause(s, &line->pause, types, line->watch, meta, &x, err);
}

static int record_pauses(struct sender *s, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->lanes_n && rc == 0; i++)
		rc = record_lane(s, s->lanes[i], err);
	for (size_t i = 0; i < s->lines_n && rc == 0; i++)
		rc = record_line(s, s->lines[i], err);
	return rc;
}

static void pause_recorded(struct pause *p)
{
	if (p->open)
		return;
	p->recorded = p->told;
	p->recorded_kind = p->told_kind;
}

static void close_pauses(struct sender *s)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		pause_recorded(&s->lanes[i]->pause);
	for (size_t i = 0; i < s->lines_n; i++)
		pause_recorded(&s->lines[i]->pause);
}

/* What a former process has told. */
static int recall_pause(struct sender *s, struct pause *p, const char *meta, struct err *err)
{
	CLEANUP_BUF struct buf kind = BUF_INIT(LEDGER_META_BYTES);
	int rc = ledger_meta(s->ledger, meta, &kind, err);

	if (rc <= 0)
		return rc;
	p->recorded = p->open = true;
	for (int k = OUTCOME_STARTED; k <= OUTCOME_UNREACHABLE; k++)
		if (strcmp(outcome_kind_name((enum outcome_kind)k), buf_str(&kind)) == 0)
			p->recorded_kind = (enum outcome_kind)k;
	return 0;
}

/* A watch that was paused by a person or a failure, or is by its configuration. */
static int recall_paused(struct sender *s, struct line *line, struct err *err)
{
	CLEANUP_FREE char *meta = mem_printf("%s%s", META_PAUSED, line->watch);
	CLEANUP_BUF struct buf reason = BUF_INIT(LEDGER_META_BYTES);
	int rc = ledger_meta(s->ledger, meta, &reason, err);

	line->paused = rc > 0 || (line->conf && line->conf->paused);
	if (line->paused)
		log_info("watch %s is paused: its files wait", line->watch);
	return rc < 0 ? rc : 0;
}

static int recall_pauses(struct sender *s, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->lanes_n && rc == 0; i++) {
		CLEANUP_FREE char *meta = lane_meta(s->lanes[i]);

		rc = recall_pause(s, &s->lanes[i]->pause, meta, err);
	}
	for (size_t i = 0; i < s->lines_n && rc == 0; i++) {
		CLEANUP_FREE char *meta = line_meta(s->lines[i]);

		rc = recall_pause(s, &s->lines[i]->pause, meta, err);
		if (rc == 0)
			rc = recall_paused(s, s->lines[i], err);
	}
	return rc;
}

/* ---- runs that may have been skipped ---- */

static bool may_look(const struct lane *lane, int64_t now_us)
{
	return lane->pause.failures == 0 && !lane->sender->stopping && now_us >= lane->look_us;
}

/* Monotonic: when there is something to do about them. */
static int64_t look_time(const struct lane *lane)
{
	int64_t at_us = verify_time(lane->verify);

	if (verify_is_answered(lane->verify))
		return 0;
	if (at_us == INT64_MAX || lane->pause.failures > 0 || lane->sender->stopping)
		return INT64_MAX;
	at_us = at_us > 0 ? mono_of(lane->sender, at_us) : 0;
	return at_us > lane->look_us ? at_us : lane->look_us;
}

static int apply_looks(struct sender *s, int64_t now_us, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->lanes_n && rc == 0; i++) {
		struct lane *lane = s->lanes[i];
		struct verify_news news;
		const struct conf_watch *w;

		rc = verify_apply(lane->verify, may_look(lane, now_us), steady_wall_us(s, now_us), err);
		news = verify_news(lane->verify);
		w = news.watch && !news.pending ? conf_watch_find(s->conf, news.watch) : NULL;
		if (rc == 0 && w && w->on_failure == CONF_FAIL_PAUSE)
			rc = sender_pause(s, w->name, "a run could not be started again", err);
	}
	return rc;
}

static void on_look(void *tag, const struct jobs_run *run, void *arg)
{
	struct lane *lane = tag;

	(void)arg;
	verify_answered(lane->verify, run);
}

static void look(struct lane *lane, int64_t run_id)
{
	struct err err = ERR_INIT;
	struct jobs_run failed = {.kind = OUTCOME_RETRY, .code = "", .message = err.text};

	lane->look_us = clock_mono_us() + LOOK_EVERY_US;
	if (jobs_get_run(lane->jobs, run_id, on_look, lane, NULL, &err) < 0)
		verify_answered(lane->verify, &failed);
}

static void close_looks(struct sender *s)
{
	for (size_t i = 0; i < s->lanes_n; i++) {
		struct verify_news news = verify_news(s->lanes[i]->verify);
		int64_t run_id = verify_committed(s->lanes[i]->verify);

		if (news.watch && news.pending)
			sender_accepted(s, news.watch);
		else if (news.watch)
			s->failed++;
		if (run_id > 0)
			look(s->lanes[i], run_id);
	}
}

/* ---- fetching ---- */

static bool certain_only(const struct line *line)
{
	return line->conf == NULL || line->paused || line->pausing;
}

static struct ledger_line key_of(const struct line *line)
{
	return (struct ledger_line){.watch = line->watch,
		.host = line->lane->conf->host_token,
		.certain_only = certain_only(line)};
}

/* Rows that come along with a page and are dropped from it. */
static size_t in_the_way(const struct sender *s, const struct line *line)
{
	return (size_t)line->out + map_count(s->left_out) + (line->doubt ? doubt_count(line->doubt) : 0);
}

static bool is_in_the_way(const struct sender *s, const struct line *line, int64_t id)
{
	return map_get_u64(s->by_id, (uint64_t)id) || map_get_u64(s->left_out, (uint64_t)id) ||
	       (line->doubt && doubt_has(line->doubt, id));
}

/* Rows up to this one are old to a line. */
static int64_t old_id_of(const struct sender *s, const struct line *line)
{
	return line->doubt ? s->age.old_id : 0;
}

/* One kind of rows into ids, those apart that are on their way already. Returns how many or -errno. */
static int fetch_part(struct sender *s, const struct line *line, enum ledger_part part, bool due,
	int64_t now_us, int64_t ids[PAGE_ROWS], struct err *err)
{
	struct ledger_line key = key_of(line);
	int room = PAGE_ROWS + (int)in_the_way(s, line), kept = 0;
	CLEANUP_FREE int64_t *found = mem_array((size_t)room, sizeof(*found));
	int n = due ? ledger_due(s->ledger, &key, part, old_id_of(s, line), steady_wall_us(s, now_us), found,
			      room, err)
		    : ledger_fresh(s->ledger, &key, part, old_id_of(s, line), found, room, err);

	for (int i = 0; i < n && kept < PAGE_ROWS; i++)
		if (!is_in_the_way(s, line, found[i]))
			ids[kept++] = found[i];
	return n < 0 ? n : kept;
}

/* Fetches a page of a line. 0 or -errno */
static int fetch_page(
	struct sender *s, struct line *line, enum ledger_part part, bool due, int64_t now_us, struct err *err)
{
	int n = fetch_part(s, line, part, due, now_us, line->ids, err);

	line->pos = 0;
	line->n = n > 0 ? n : 0;
	line->fresh = part == LEDGER_YOUNG && !due;
	return n < 0 ? n : 0;
}

/* Rows whose time has come again, and those that may be out. 0 or -errno */
static int fetch_urgent(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	int rc = fetch_page(s, line, LEDGER_CERTAIN, true, now_us, err);

	if (rc == 0 && line->n == 0 && !certain_only(line))
		rc = fetch_page(s, line, LEDGER_YOUNG, true, now_us, err);
	if (rc == 0 && line->n == 0)
		rc = fetch_page(s, line, LEDGER_CERTAIN, false, now_us, err);
	return rc;
}

static int fetch_fresh(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	struct ledger_line key = key_of(line);
	int64_t due_us;
	int rc = 0;

	if (!certain_only(line))
		rc = fetch_page(s, line, LEDGER_YOUNG, false, now_us, err);
	if (rc < 0 || line->n > 0)
		return rc;
	line->look = false;
	rc = ledger_next_due(s->ledger, &key, steady_wall_us(s, now_us), &due_us, err);
	line->due_us = rc > 0 ? mono_of(s, due_us) : INT64_MAX;
	return rc < 0 ? rc : 0;
}

/* A row that cannot be read: the others must not wait for it. */
static int leave_out(struct sender *s, int64_t id, struct err *err)
{
	if (map_count(s->left_out) >= LEFT_OUT_MAX)
		return err_set(err, ERR_INPUT, EUCLEAN, "the ledger has too many rows that cannot be read");
	log_error("%s; it is left out", err->text);
	(void)map_put_u64(s->left_out, (uint64_t)id, s);
	return 0;
}

/* ---- asking ---- */

static bool can_ask(const struct sender *s, const struct line *line)
{
	return line->doubt && !certain_only(line) && s->asker.may_ask(line->watch, s->asker.arg);
}

/* 1: asked, 0: cannot be asked now, -errno */
static int ask_about(struct sender *s, struct line *line, int64_t id, int64_t now_us, struct err *err)
{
	struct wire_known known;
	struct ledger_row row;
	int rc = ledger_row(s->ledger, id, &row, err);

	if (rc == -EBADMSG) {
		rc = leave_out(s, id, err);
		return rc < 0 ? rc : 1;
	}
	if (rc <= 0)
		return rc < 0 ? rc : 1;
	known = (struct wire_known){
		.relpath = row.relpath,
		.size = row.version.size,
		.mtime_ns = row.version.mtime_ns,
		.ino = (int64_t)row.version.ino,
		.ends = row.version.ends,
	};

	rc = s->asker.ask(line->watch, row.root, id, &known, s->asker.arg);
	ledger_row_done(&row);
	if (rc == -EBUSY) {
		doubt_busy(line->doubt, now_us);
		return 0;
	}
	doubt_asked(line->doubt, id);
	if (rc < 0) /* its directory is not watched any more */
		doubt_answered(line->doubt, id, WIRE_UNSURE, now_us);
	return 1;
}

static int ask_about_each(struct sender *s, struct line *line, const int64_t *ids, int n, int64_t now_us,
	size_t *room, struct err *err)
{
	int rc = 1;

	for (int i = 0; i<n && * room> 0 && rc > 0; i++) {
		rc = ask_about(s, line, ids[i], now_us, err);
		*room -= rc > 0;
	}
	if (rc == 0)
		*room = 0;
	return rc < 0 ? rc : 0;
}

/* Asks about the next old rows. 0 or -errno */
static int ask_ahead(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	int64_t ids[PAGE_ROWS];
	size_t room = line->look_old && can_ask(s, line) ? doubt_room(line->doubt, now_us) : 0;
	int n, rc, found;

	if (room == 0)
		return 0;
	n = found = fetch_part(s, line, LEDGER_OLD, true, now_us, ids, err);
	rc = n < 0 ? n : ask_about_each(s, line, ids, n, now_us, &room, err);
	if (rc < 0 || room == 0)
		return rc;
	n = fetch_part(s, line, LEDGER_OLD, false, now_us, ids, err);
	rc = n < 0 ? n : ask_about_each(s, line, ids, n, now_us, &room, err);
	line->look_old = found + n > 0; /* once more, when these are answered */
	return rc;
}

/* How long until an old row that nobody can tell anything about is asked about again: grows with its age. */
static int64_t unsure_pause_us(const struct sender *s, const struct ledger_row *row, int64_t now_us)
{
	int64_t age_us = steady_wall_us(s, now_us) - row->completed_us;

	if (age_us / 8 < UNSURE_FIRST_US)
		return UNSURE_FIRST_US;
	return age_us / 8 < UNSURE_LAST_US ? age_us / 8 : UNSURE_LAST_US;
}

static int apply_gone_file(struct sender *s, const struct ledger_row *row, struct err *err)
{
	int64_t now_us = clock_wall_us();
	int rc = ledger_set_state(s->ledger, row->id, LEDGER_VANISHED, "",
		"the file was gone before its run was started", "", now_us, err);

	return rc < 0 ? rc
		      : scribe_gone(s->scribe, EVENT_FILE_VANISHED, row, row->revived + 1,
				"its run to be started", row->completed_us, now_us, err);
}

static int refuse_row(struct sender *s, struct line *line, const struct ledger_row *row,
	enum wire_verdict verdict, struct err *err)
{
	int64_t now_us = clock_mono_us(), pause_us;

	if (row->state != LEDGER_PENDING || row->sent || row->unchecked)
		return 0; /* somebody else was quicker */
	if (verdict == WIRE_GONE) {
		line->vanished++;
		return apply_gone_file(s, row, err);
	}
	pause_us = verdict == WIRE_REPLACED ? REPLACED_PAUSE_US : unsure_pause_us(s, row, now_us);
	return ledger_postpone(s->ledger, row->id, steady_wall_us(s, now_us + pause_us), err);
}

struct refusing {
	struct sender *s;
	struct line *line;
	struct err *err;
};

static int refuse_id(int64_t id, enum wire_verdict verdict, void *arg)
{
	const struct refusing *x = arg;
	struct ledger_row row;
	int rc = ledger_row(x->s->ledger, id, &row, x->err);

	if (rc == -EBADMSG)
		return leave_out(x->s, id, x->err);
	if (rc <= 0)
		return rc;
	rc = refuse_row(x->s, x->line, &row, verdict, x->err);
	ledger_row_done(&row);
	return rc;
}

/* What the answers of watchers make of rows. */
static int apply_verdicts(struct sender *s, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->lines_n && rc == 0; i++) {
		struct refusing x = {.s = s, .line = s->lines[i], .err = err};

		x.line->vanished = 0;
		if (x.line->doubt)
			rc = doubt_each_refused(x.line->doubt, refuse_id, &x);
	}
	return rc;
}

/* Rows that have become old have to be asked about. */
static int note_ages(struct sender *s, int64_t now_us, struct err *err)
{
	int64_t newest;
	int rc = ledger_newest_id(s->ledger, &newest, err);

	if (rc < 0 || !age_note(&s->age, newest, now_us))
		return rc;
	for (size_t i = 0; i < s->lines_n; i++)
		s->lines[i]->look_old = true;
	return 0;
}

/* ---- choosing ---- */

static bool is_free(const struct line *line, int64_t now_us)
{
	if (is_waiting(&line->pause, now_us) || (line->pause.failures > 0 && line->out > 0))
		return false;
	return line->out < line->max_out && rate_next_us(&line->rate, now_us) <= now_us;
}

static int64_t next_confirmed(const struct line *line, int64_t now_us)
{
	return line->doubt && !certain_only(line) ? doubt_confirmed(line->doubt, now_us) : 0;
}

static bool has_row(const struct line *line)
{
	return line->pos < line->n || line->look;
}

/* May this row go out as far as its file is concerned? */
static bool is_certain(
	const struct sender *s, const struct line *line, const struct ledger_row *row, int64_t now_us)
{
	if (row->sent || row->unchecked || certain_only(line))
		return row->sent || row->unchecked;
	return !line->doubt || (row->id > old_id_of(s, line) && row->skips == 0) ||
	       doubt_is_confirmed(line->doubt, row->id, now_us);
}

static bool lane_is_free(const struct lane *lane, int64_t now_us)
{
	if (is_waiting(&lane->pause, now_us) || (lane->pause.failures > 0 && lane->out > 0))
		return false;
	return lane->out < lane->conf->max_requests && rate_next_us(&lane->rate, now_us) <= now_us;
}

/* Makes a slot of a row. 1 or -errno */
static int choose_loaded(struct sender *s, struct line *line, const struct ledger_row *row, struct err *err)
{
	int rc = ledger_request(s->ledger, row->id, &s->body, err);

	if (rc == 0 || !row->token[0])
		return err_set(err, ERR_INPUT, EBADMSG,
			"row %" PRId64 " of the ledger waits without a request", row->id);
	if (rc > 0 && !row->sent)
		rc = ledger_mark_sent(s->ledger, row->id, err);
	if (rc < 0)
		return rc;
	if (line->doubt)
		doubt_forget(line->doubt, row->id);
	slot_new(s, line, row);
	return 1;
}

/* Loads the row and makes a slot of it. 1, 0 (not this one), -errno */
static int choose_row(struct sender *s, struct line *line, int64_t id, int64_t now_us, struct err *err)
{
	struct ledger_row row;
	int rc;

	if (map_get_u64(s->by_id, (uint64_t)id))
		return 0;
	rc = ledger_row(s->ledger, id, &row, err);
	if (rc > 0) {
		rc = 0;
		if (row.state == LEDGER_PENDING && is_certain(s, line, &row, now_us))
			rc = choose_loaded(s, line, &row, err);
		ledger_row_done(&row);
	}
	return rc == -EBADMSG ? leave_out(s, id, err) : rc;
}

/* 1, 0, -errno */
static int choose_confirmed(struct sender *s, struct line *line, int64_t id, int64_t now_us, struct err *err)
{
	int rc = choose_row(s, line, id, now_us, err);

	if (rc == 0)
		doubt_forget(line->doubt, id); /* not pending any more, or damaged */
	return rc;
}

/* 1: chose one, 0: there is none, -errno */
static int choose_from_line(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	int rc = ask_ahead(s, line, now_us, err);

	while (rc == 0) {
		int64_t confirmed = next_confirmed(line, now_us);

		if (line->pos == line->n && line->look)
			rc = fetch_urgent(s, line, now_us, err);
		if (rc < 0)
			return rc;
		if (confirmed > 0 && (line->pos == line->n || line->fresh))
			rc = choose_confirmed(s, line, confirmed, now_us, err);
		else if (line->pos < line->n)
			rc = choose_row(s, line, line->ids[line->pos++], now_us, err);
		else if (line->look)
			rc = fetch_fresh(s, line, now_us, err);
		else
			return 0;
	}
	return rc;
}

/* Takes from the lines of a lane in turn. 1, 0, -errno */
static int choose_from_lane(struct sender *s, struct lane *lane, int64_t now_us, struct err *err)
{
	LIST_FOREACH_SAFE (it, &lane->lines) {
		struct line *line = LIST_OF(it, struct line, in_lane);
		int rc = is_free(line, now_us) ? choose_from_line(s, line, now_us, err) : 0;

		if (rc == 0)
			continue;
		if (rc > 0) {
			(void)rate_take(&line->rate, now_us);
			(void)rate_take(&lane->rate, now_us);
			list_remove(&line->in_lane);
			list_add_tail(&lane->lines, &line->in_lane);
		}
		return rc;
	}
	return 0;
}

static int choose(struct sender *s, int64_t now_us, struct err *err)
{
	for (size_t i = 0; i < s->lanes_n && !s->stopping; i++) {
		int rc = 1;

		while (rc > 0 && lane_is_free(s->lanes[i], now_us))
			rc = choose_from_lane(s, s->lanes[i], now_us, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- waking up in time ---- */

static int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t pause_until(const struct pause *p)
{
	return p->failures > 0 ? p->until_us : 0;
}

/* When there may be a row to choose or to ask about. */
static int64_t row_time(const struct sender *s, const struct line *line, int64_t now_us)
{
	if (has_row(line) || next_confirmed(line, now_us) > 0)
		return now_us;
	if (line->look_old && can_ask(s, line))
		return sooner_of(line->due_us, doubt_room_us(line->doubt, now_us));
	return line->due_us;
}

/* When something may be chosen from this line; INT64_MAX: only after something else happens. */
static int64_t line_time(const struct sender *s, const struct line *line, int64_t now_us)
{
	const struct lane *lane = line->lane;
	int64_t at_us = row_time(s, line, now_us);

	if (at_us == INT64_MAX || line->out >= line->max_out || lane->out >= lane->conf->max_requests ||
		(line->out > 0 && line->pause.failures > 0) || (lane->out > 0 && lane->pause.failures > 0))
		return INT64_MAX;
	at_us = later_of(at_us, later_of(pause_until(&line->pause), pause_until(&lane->pause)));
	return later_of(
		at_us, later_of(rate_next_us(&line->rate, now_us), rate_next_us(&lane->rate, now_us)));
}

static void set_timer(struct sender *s)
{
	int64_t now_us = clock_mono_us(), at_us = INT64_MAX;

	for (size_t i = 0; i < s->lines_n && !s->stopping; i++)
		at_us = sooner_of(at_us, line_time(s, s->lines[i], now_us));
	for (size_t i = 0; i < s->lanes_n && !s->stopping; i++)
		at_us = sooner_of(at_us, look_time(s->lanes[i]));
	if (at_us == INT64_MAX)
		loop_timer_clear(s->timer);
	else
		loop_timer_set(s->timer, at_us);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	(void)t;
	(void)arg; /* the round that it starts is what it is for */
}

/* ---- making ---- */

static struct lane *find_lane(const struct sender *s, const char *host)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		if (strcmp(s->lanes[i]->conf->host_token, host) == 0)
			return s->lanes[i];
	return NULL;
}

static struct lane *lane_of(const struct sender *s, const struct conf_workspace *conf)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		if (s->lanes[i]->conf == conf)
			return s->lanes[i];
	return NULL;
}

static int add_lane(struct sender *s, const struct conf_workspace *conf, struct err *err)
{
	struct lane *lane = mem_alloc(sizeof(*lane));

	lane->sender = s;
	lane->conf = conf;
	lane->verify = verify_new(s->conf, s->ledger, s->scribe, conf->host_token);
	list_init(&lane->lines);
	rate_init(&lane->rate, conf->rate.count, conf->rate.per_us, conf->burst, s->mono_us);
	s->lanes = mem_resize(s->lanes, s->lanes_n + 1, sizeof(struct lane *));
	s->lanes[s->lanes_n++] = lane;
	lane->jobs = jobs_new(s->loop, conf, on_answer, s, err);
	if (lane->jobs)
		return 0;
	return err_prefix(err, "workspace %s", lane_name(lane));
}

static struct line *find_line(const struct sender *s, const char *watch, const struct lane *lane)
{
	for (size_t i = 0; i < s->lines_n; i++)
		if (s->lines[i]->lane == lane && strcmp(s->lines[i]->watch, watch) == 0)
			return s->lines[i];
	return NULL;
}

static void add_line(struct sender *s, const char *watch, const struct conf_watch *conf, struct lane *lane)
{
	struct line *line = mem_alloc(sizeof(*line));

	line->lane = lane;
	line->watch = mem_strdup(watch);
	line->conf = conf;
	line->look = line->look_old = true;
	line->due_us = INT64_MAX;
	line->doubt = conf && s->asker.ask ? doubt_new() : NULL;
	line->max_out = conf && conf->max_requests > 0 ? conf->max_requests : INT64_MAX;
	rate_init(&line->rate, conf ? conf->rate.count : 0, conf ? conf->rate.per_us : 1, 1, s->mono_us);
	list_add_tail(&lane->lines, &line->in_lane);
	s->lines = mem_resize(s->lines, s->lines_n + 1, sizeof(struct line *));
	s->lines[s->lines_n++] = line;
}

static bool is_chosen_watch(const struct sender_options *o, const char *watch)
{
	return o->only_watch[0] == '\0' || strcmp(o->only_watch, watch) == 0;
}

static int add_watches(struct sender *s, const struct sender_options *o, struct err *err)
{
	for (size_t i = 0; i < o->conf->watches_n; i++) {
		const struct conf_watch *w = o->conf->watches[i];

		if (!is_chosen_watch(o, w->name))
			continue;
		if (!lane_of(s, w->workspace)) {
			int rc = add_lane(s, w->workspace, err);

			if (rc < 0)
				return rc;
		}
		add_line(s, w->name, w, lane_of(s, w->workspace));
	}
	return 0;
}

struct lining {
	struct sender *s;
	const struct sender_options *o;
};

/* The lane to a host, also of a workspace that no watch uses any more. */
static struct lane *lane_to(struct sender *s, const char *host)
{
	struct lane *lane = find_lane(s, host);
	struct err err = ERR_INIT;

	for (size_t i = 0; !lane && i < s->conf->workspaces_n; i++) {
		const struct conf_workspace *ws = s->conf->workspaces[i];

		if (!ws->host_token || strcmp(ws->host_token, host) != 0)
			continue;
		if (add_lane(s, ws, &err) == 0)
			return find_lane(s, host);
		log_warning("%s", err.text);
		s->lanes_n--;
		verify_free(s->lanes[s->lanes_n]->verify);
		free(s->lanes[s->lanes_n]);
		break;
	}
	return lane;
}

/* Rows that wait since before the start. */
static int line_up(const char *watch, const char *host, int64_t rows, void *arg)
{
	const struct lining *x = arg;
	const struct conf_watch *conf = conf_watch_find(x->o->conf, watch);
	struct lane *lane;
	struct line *line;

	if (!is_chosen_watch(x->o, watch))
		return 0;
	if (conf && conf->workspace && strcmp(conf->workspace->host_token, host) == 0)
		lane = lane_of(x->s, conf->workspace);
	else
		lane = lane_to(x->s, host);
	if (!lane) {
		log_warning("watch %s: %" PRId64
			    " files wait for the workspace %s, which is not configured any more",
			watch, rows, host);
		return 0;
	}
	line = find_line(x->s, watch, lane);
	if (!line) { /* of former days: what may be out must be asked for, the rest waits */
		log_warning("watch %s is not configured for the workspace %s any more: of its %" PRId64
			    " waiting files only those are sent that may have been sent before",
			watch, host, rows);
		add_line(x->s, watch, NULL, lane);
		return 0;
	}
	line->pending = rows;
	return 0;
}

static int clamp_due(struct sender *s, struct err *err)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct ledger_line key = key_of(s->lines[i]);
		int rc = ledger_clamp_due(s->ledger, &key, s->wall_us + BACKOFF_RETRY_AFTER_MAX_US, err);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < s->lanes_n; i++) {
		int rc = ledger_clamp_verify(s->ledger, s->lanes[i]->conf->host_token,
			s->wall_us + BACKOFF_RETRY_AFTER_MAX_US, err);

		if (rc < 0)
			return rc;
	}
	return ledger_commit(s->ledger, err);
}

/* What is there at the start is old, whenever it came. */
static int begin_age(struct sender *s, struct err *err)
{
	int64_t newest;
	int rc = ledger_newest_id(s->ledger, &newest, err);

	if (rc == 0)
		age_init(&s->age, newest);
	return rc;
}

struct sender *sender_new(const struct sender_options *o, struct err *err)
{
	struct sender *s = mem_alloc(sizeof(*s));
	struct lining lining = {.s = s, .o = o};

	s->loop = o->loop;
	s->conf = o->conf;
	s->ledger = o->ledger;
	s->scribe = o->scribe;
	s->wall_us = clock_wall_us();
	s->mono_us = clock_mono_us();
	list_init(&s->slots);
	s->by_id = map_new();
	s->left_out = map_new();
	s->asker = o->asker;
	s->timer = loop_timer_add(o->loop, on_timer, s);
	buf_init(&s->body, REQUEST_BODY_BYTES);
	if (begin_age(s, err) < 0 || add_watches(s, o, err) < 0 || recall_pauses(s, err) < 0 ||
		ledger_each_line(o->ledger, line_up, &lining, err) < 0 || clamp_due(s, err) < 0) {
		sender_free(s);
		return NULL;
	}
	set_timer(s);
	return s;
}

void sender_free(struct sender *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->lanes_n; i++)
		jobs_free(s->lanes[i]->jobs);
	LIST_FOREACH_SAFE (it, &s->slots)
		slot_free(LIST_OF(it, struct slot, in));
	for (size_t i = 0; i < s->lanes_n; i++) {
		free(s->lanes[i]->pause.words);
		verify_free(s->lanes[i]->verify);
		free(s->lanes[i]);
	}
	for (size_t i = 0; i < s->lines_n; i++) {
		doubt_free(s->lines[i]->doubt);
		free(s->lines[i]->pause.words);
		free(s->lines[i]->watch);
		free(s->lines[i]);
	}
	free(s->lanes);
	free(s->lines);
	map_free(s->by_id);
	map_free(s->left_out);
	loop_timer_remove(s->timer);
	buf_done(&s->body);
	free(s);
}

void sender_look(struct sender *s, const char *watch)
{
	for (size_t i = 0; i < s->lines_n; i++)
		if (s->lines[i]->conf && strcmp(s->lines[i]->watch, watch) == 0)
			s->lines[i]->look = true;
}

void sender_accepted(struct sender *s, const char *watch)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!line->conf || strcmp(line->watch, watch) != 0)
			continue;
		line->look = true;
		line->pending++;
	}
	set_timer(s);
}

void sender_gone(struct sender *s, const char *watch, int64_t n)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (line->conf && strcmp(line->watch, watch) == 0)
			line->pending -= n;
	}
}

static size_t refused_rows(const struct sender *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->lines_n; i++)
		n += s->lines[i]->doubt ? doubt_refused(s->lines[i]->doubt) : 0;
	return n;
}

void sender_set_paused(struct sender *s, const char *watch, bool paused)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		if (strcmp(s->lines[i]->watch, watch) != 0)
			continue;
		s->lines[i]->paused = paused;
		line_restart(s->lines[i]);
	}
	set_timer(s);
}

void sender_may_ask(struct sender *s, const char *watch)
{
	for (size_t i = 0; i < s->lines_n; i++)
		if (strcmp(s->lines[i]->watch, watch) == 0)
			s->lines[i]->look_old = true;
	set_timer(s);
}

void sender_confirmed(struct sender *s, const char *watch, int64_t id, enum wire_verdict verdict)
{
	bool gone = !s->asker.may_ask(watch, s->asker.arg); /* its watcher: the next one is asked */

	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!line->doubt || strcmp(line->watch, watch) != 0)
			continue;
		if (gone && verdict == WIRE_UNSURE)
			doubt_forget(line->doubt, id);
		else
			doubt_answered(line->doubt, id, verdict, clock_mono_us());
		line->look_old = true;
	}
	set_timer(s);
}

bool sender_has_work(struct sender *s)
{
	int64_t now_us = clock_mono_us();

	if (s->answered > 0 || refused_rows(s) > 0 || has_news(s))
		return true;
	for (size_t i = 0; i < s->lines_n && !s->stopping; i++)
		if (line_time(s, s->lines[i], now_us) <= now_us)
			return true;
	for (size_t i = 0; i < s->lanes_n; i++)
		if (look_time(s->lanes[i]) <= now_us)
			return true;
	set_timer(s);
	return false;
}

int sender_apply(struct sender *s, struct err *err)
{
	int64_t now_us = clock_mono_us();
	int rc = record_pauses(s, err);

	if (rc == 0)
		rc = apply_answers(s, err);
	if (rc == 0)
		rc = apply_verdicts(s, err);
	if (rc == 0)
		rc = apply_looks(s, now_us, err);
	if (rc == 0)
		rc = note_ages(s, now_us, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < s->lines_n; i++)
		if (s->lines[i]->due_us <= now_us)
			s->lines[i]->look = s->lines[i]->look_old = true;
	return choose(s, now_us, err);
}

/* It could not even be tried to send it: as an answer that promises nothing. */
static void fail_to_send(struct slot *slot, const struct err *err)
{
	struct jobs_answer a = {
		.outcome = {.kind = OUTCOME_RETRY, .sure_not_started = true, .reason = "not_sent"},
		.error_code = "",
		.message = err->text,
		.principal = "",
	};

	take_answer(slot, &a);
}

static void send_out(struct slot *slot)
{
	struct err err = ERR_INIT;
	int rc;

	slot->state = SLOT_OUT;
	slot->out_us = clock_mono_us();
	CRASH_POINT("sender-before-send");
	rc = jobs_run_now(slot->line->lane->jobs, slot->body, slot->len, slot, &err);
	CRASH_POINT("sender-after-send");
	free(slot->body);
	slot->body = NULL;
	if (rc < 0)
		fail_to_send(slot, &err);
}

static void tell_answer(const struct slot *slot)
{
	if (!slot->say)
		return;
	if (slot->level == LOG_LEVEL_INFO)
		log_info("%s", slot->say);
	else if (slot->level == LOG_LEVEL_WARNING)
		log_warning("%s", slot->say);
	else
		log_error("%s", slot->say);
}

static void close_slot(struct sender *s, struct slot *slot)
{
	tell_answer(slot);
	if (slot->gone) {
		if (slot->line->conf)
			slot->line->pending--;
		if (slot->outcome.kind == OUTCOME_STARTED)
			s->started++;
		else
			s->failed++;
	}
	slot_free(slot);
}

/* Verdicts that were applied. */
static void close_refused(struct sender *s)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!line->doubt || doubt_refused(line->doubt) == 0)
			continue;
		line->pending -= line->vanished;
		line->look = line->look_old = true;
		doubt_forget_refused(line->doubt);
	}
}

void sender_committed(struct sender *s)
{
	close_refused(s);
	close_pauses(s);
	close_looks(s);
	close_pausing(s, true);
	LIST_FOREACH_SAFE (it, &s->slots) {
		struct slot *slot = LIST_OF(it, struct slot, in);

		if (slot->state == SLOT_ANSWERED)
			close_slot(s, slot);
		else if (slot->state == SLOT_CHOSEN)
			send_out(slot);
	}
	set_timer(s);
}

void sender_undo(struct sender *s)
{
	close_pausing(s, false);
	for (size_t i = 0; i < s->lanes_n; i++)
		verify_undo(s->lanes[i]->verify);
	LIST_FOREACH_SAFE (it, &s->slots) {
		struct slot *slot = LIST_OF(it, struct slot, in);

		slot->gone = false;
		if (slot->state == SLOT_CHOSEN)
			slot_free(slot);
	}
	for (size_t i = 0; i < s->lines_n; i++)
		line_restart(s->lines[i]);
}

void sender_stop(struct sender *s)
{
	s->stopping = true;
	loop_timer_clear(s->timer);
}

struct sender_counts sender_counts(const struct sender *s)
{
	struct sender_counts c = {.started = s->started, .failed = s->failed};

	for (size_t i = 0; i < s->lines_n; i++) {
		const struct line *line = s->lines[i];

		c.pending += line->pending;
		c.in_flight += line->out;
		if (line->paused || line->pause.failures >= GIVE_UP_AFTER ||
			line->lane->pause.failures >= GIVE_UP_AFTER ||
			(line->doubt && doubt_failures(line->doubt) >= GIVE_UP_AFTER))
			c.given_up += line->pending;
	}
	return c;
}

void sender_released(struct sender *s, const char *watch, const char *host, int64_t rows)
{
	const struct sender_options o = {.conf = s->conf, .only_watch = ""};
	const struct conf_watch *conf = conf_watch_find(s->conf, watch);
	struct lining lining = {.s = s, .o = &o};
	struct lane *lane = find_lane(s, host);
	struct line *line;

	if (conf && conf->workspace && strcmp(conf->workspace->host_token, host) == 0)
		lane = lane_of(s, conf->workspace);
	line = lane ? find_line(s, watch, lane) : NULL;
	if (line) {
		line_restart(line);
		line->pending += line->conf ? rows : 0;
	} else {
		(void)line_up(watch, host, rows, &lining);
	}
	set_timer(s);
}

static void place_of_lane(const struct lane *lane, struct sender_place *ret)
{
	*ret = (struct sender_place){
		.workspace = lane->conf->name,
		.host = lane->conf->host_token,
		.in_flight = lane->out,
		.suspended = lane->pause.told,
		.slow = !lane->pause.told && lane->pause.failures > 0,
		.until_us = lane->pause.until_us,
	};
}

static void place_of_line(const struct line *line, struct sender_place *ret)
{
	*ret = (struct sender_place){
		.workspace = line->lane->conf->name,
		.host = line->lane->conf->host_token,
		.watch = line->watch,
		.job_id = line->conf ? line->conf->job_id : 0,
		.pending = line->pending,
		.in_flight = line->out,
		.suspended = line->pause.failures > 0,
		.paused = line->paused,
		.until_us = line->pause.until_us,
	};
}

bool sender_place(const struct sender *s, size_t i, struct sender_place *ret)
{
	if (i < s->lanes_n)
		place_of_lane(s->lanes[i], ret);
	else if (i - s->lanes_n < s->lines_n)
		place_of_line(s->lines[i - s->lanes_n], ret);
	else
		return false;
	return true;
}
