/*
 * suspend: waiting has three levels. A row waits by itself after an answer that promises nothing for others
 * (5xx, lost answers). A lane (workspace) waits when nobody can be reached or the credential is refused; a
 * line waits when its job cannot be started. While a lane or line waits, one request at a time probes it, and
 * after an error it is the same row again, so that an outage of hours costs one row its attempts and not all.
 *
 * But what was refused may be that one request (something in front of the workspace dislikes its name). So
 * after some answers that refuse the same row, the next probe is one that was never tried; and if that one is
 * started, further refusals of the first are its own: nobody else waits for them, and its clock runs. That it
 * is so must have been seen lately, since an outage that meets only this row looks just the same.
 */
#include "dispatch/suspend.h"

#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/advice.h"
#include "core/jobcheck.h"
#include "dispatch/hold.h"
#include "dispatch/waits.h"

#define SUSPEND_AFTER 3		   /* transport failures in a row */
#define SAME_ROW 3		   /* refusals of a row, and it may be the row */
#define PROOF_US (3600 * US_PER_S) /* so long counts that others were started */
#define WORDS_BYTES 512

static void tell_lane(struct lane *lane, const struct slot *slot)
{
	char words[WORDS_BYTES];
	const char *how = slot->outcome.kind != OUTCOME_CREDENTIAL ? "cannot be reached"
			  : strcmp(slot->outcome.reason, "credential_unreadable") == 0
				  ? "cannot be signed in to"
				  : "refuses the credential";

	if (!pause_hear(&lane->pause, slot->outcome.kind, slot->outcome.reason, slot->message,
		    advice_for(slot->outcome.reason), slot->answered_us))
		return;
	text_printable(slot->message, strlen(slot->message), words, sizeof(words));
	log_error("workspace %s %s: %s (%s); its files wait, trying again every minute at the latest; %s",
		lane_name(lane), how, words, slot->outcome.reason, advice_for(slot->outcome.reason));
}

static void tell_line(struct line *line, const struct slot *slot)
{
	char words[WORDS_BYTES], job[JOBCHECK_WORD_BYTES];

	if (!pause_hear(&line->pause, slot->outcome.kind, slot->outcome.reason, slot->message,
		    advice_for(slot->outcome.reason), slot->answered_us))
		return;
	text_printable(slot->message, strlen(slot->message), words, sizeof(words));
	log_error("watch %s: %s cannot be started: %s (%s); its files wait, trying again every minute at the "
		  "latest; %s",
		line->watch,
		line->conf ? jobcheck_call(line->conf->job_id, line->conf->job_name, job) : "its job", words,
		slot->outcome.reason, advice_for(slot->outcome.reason));
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

/* Is it this row that is refused, while others are started? */
static bool is_own(const struct slot *slot)
{
	const struct line *line = slot->line;
	bool of_job = slot->outcome.kind == OUTCOME_JOB;
	bool of_lane = slot->outcome.kind == OUTCOME_UNREACHABLE || slot->outcome.kind == OUTCOME_CREDENTIAL;
	const struct pause *p = of_job ? &line->pause : &line->lane->pause;
	int64_t started_us = of_job ? line->started_us : line->lane->started_us;

	return (of_lane || (of_job && !slot->old_job)) && slot->http_status > 0 && slot->tries >= SAME_ROW &&
	       p->failures == 0 && started_us > 0 && slot->answered_us - started_us < PROOF_US &&
	       lanes_wall_us(slot->sender, started_us) > slot->first_failed_us;
}

/* Should the next probe be another row? A refusal that may have made a run marks its row so, and few rows
 * shall be. */
static bool takes_another(const struct slot *slot, const struct pause *p)
{
	bool seldom = (p->failures & (p->failures - 1)) == 0;

	return slot->http_status > 0 && slot->tries + 1 >= SAME_ROW &&
	       (slot->outcome.sure_not_started || seldom);
}

static void note_started(struct slot *slot)
{
	struct line *line = slot->line;

	drought_end(&line->drought);
	line->lane->started_us = slot->answered_us;
	if (!slot->old_job)
		line->started_us = slot->answered_us;
}

void suspend_learn(struct slot *slot)
{
	struct line *line = slot->line;
	struct lane *lane = line->lane;
	bool own = is_own(slot);
	enum outcome_kind kind = own ? OUTCOME_RETRY : slot->outcome.kind;

	slot->outcome.kind = kind;
	learn_pace(lane, slot);
	if (kind == OUTCOME_STARTED)
		note_started(slot);
	else if (kind != OUTCOME_DEAD && !own) /* that is the file's own */
		drought_hear(&line->drought, slot->outcome.reason, slot->message, slot->answered_us);

	if (kind == OUTCOME_UNREACHABLE || kind == OUTCOME_CREDENTIAL) {
		pause_longer(&lane->pause, slot->out_us, slot->answered_us);
		if (slot->retry_after_us > 0) /* who hands out access tokens is busy */
			pause_at_least(&lane->pause, slot->answered_us, slot->retry_after_us);
		if (kind == OUTCOME_CREDENTIAL || lane->pause.failures >= SUSPEND_AFTER)
			tell_lane(lane, slot);
		lane->pause.other = takes_another(slot, &lane->pause);
		line_restart(line); /* so that this row is the one to probe with */
		return;
	}
	if (kind == OUTCOME_RETRY && !own && slot->retry_after_us > 0) {
		/* the server speaks for the whole workspace */
		pause_as_asked(&lane->pause, slot->outcome.reason, slot->message, slot->answered_us,
			slot->retry_after_us);
		return;
	}
	if (slot->http_status > 0 && pause_end(&lane->pause))
		log_info("workspace %s answers again", lane_name(lane));
	if (kind == OUTCOME_JOB && !slot->old_job) {
		pause_longer(&line->pause, slot->out_us, slot->answered_us);
		tell_line(line, slot);
		line->pause.other = takes_another(slot, &line->pause);
		line_restart(line);
	} else if (kind == OUTCOME_STARTED && !slot->old_job && hold_proved(line)) {
		log_info("watch %s: its job can be started again", line->watch);
	}
}

/* ---- telling that a workspace or job waits ---- */

bool suspend_has_news(const struct sender *s)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		if (pause_has_news(&s->lanes[i]->pause))
			return true;
	for (size_t i = 0; i < s->lines_n; i++)
		if (pause_has_news(&s->lines[i]->pause))
			return true;
	return false;
}

/* Remembers it too, so that the end of a suspension is told although another process told its begin. */
static int record_pause(struct sender *s, const struct pause *p, const enum event_type types[2],
	const char *watch, const char *meta, struct event_place *x, struct err *err)
{
	CLEANUP_FREE char *value =
		p->told ? waits_make(p->told_kind, watch ? x->job_id : WAITS_ANY_JOB, p->words) : NULL;
	int rc;

	if (!pause_has_news(p))
		return 0;
	x->detail = p->told ? p->words : "requests are taken again";
	rc = ledger_set_meta(s->ledger, meta, value, err);
	return rc < 0 ? rc : scribe_place(s->scribe, types[p->told ? 0 : 1], watch, x, clock_wall_us(), err);
}

static char *lane_meta(const struct lane *lane)
{
	return waits_name_of_workspace(lane_name(lane));
}

static char *line_meta(const struct line *line)
{
	return waits_name_of_job(line->watch, lane_name(line->lane));
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

int suspend_record(struct sender *s, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->lanes_n && rc == 0; i++)
		rc = record_lane(s, s->lanes[i], err);
	for (size_t i = 0; i < s->lines_n && rc == 0; i++)
		rc = record_line(s, s->lines[i], err);
	return rc;
}

void suspend_recorded(struct sender *s)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		pause_recorded(&s->lanes[i]->pause);
	for (size_t i = 0; i < s->lines_n; i++)
		pause_recorded(&s->lines[i]->pause);
}

/* ---- watches that are paused ---- */

int suspend_watch(struct sender *s, const char *watch, const char *reason, struct err *err)
{
	CLEANUP_FREE char *meta = waits_name_of_pause(watch);
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

void suspend_watch_done(struct sender *s, bool done)
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

/* ---- what a former process has told ---- */

/* What was told of another job than this one is over. */
static int recall_pause(struct sender *s, struct pause *p, const char *meta, int64_t job_id, struct err *err)
{
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	enum outcome_kind kind = OUTCOME_STARTED;
	const char *words = "";
	int64_t of = WAITS_ANY_JOB;
	int rc = ledger_meta(s->ledger, meta, &value, err);

	if (rc <= 0)
		return rc;
	(void)waits_read(buf_str(&value), &kind, &of, &words);
	pause_recall(p, kind, words);
	if (of != WAITS_ANY_JOB && of != job_id)
		(void)pause_end(p);
	return 0;
}

/* A watch that was paused by a person or a failure, or is by its configuration. */
static int recall_paused(struct sender *s, struct line *line, struct err *err)
{
	CLEANUP_FREE char *meta = waits_name_of_pause(line->watch);
	CLEANUP_BUF struct buf reason = BUF_INIT(LEDGER_META_BYTES);
	int rc = ledger_meta(s->ledger, meta, &reason, err);

	line->paused = rc > 0 || (line->conf && line->conf->paused);
	if (line->paused)
		log_info("watch %s is paused: its files wait", line->watch);
	return rc < 0 ? rc : 0;
}

int suspend_recall(struct sender *s, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->lanes_n && rc == 0; i++) {
		CLEANUP_FREE char *meta = lane_meta(s->lanes[i]);

		rc = recall_pause(s, &s->lanes[i]->pause, meta, WAITS_ANY_JOB, err);
	}
	for (size_t i = 0; i < s->lines_n && rc == 0; i++) {
		struct line *line = s->lines[i];
		CLEANUP_FREE char *meta = line_meta(line);

		rc = recall_pause(s, &line->pause, meta, line->conf ? line->conf->job_id : 0, err);
		if (rc == 0)
			rc = recall_paused(s, s->lines[i], err);
	}
	return rc;
}
