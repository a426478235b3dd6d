/*
 * answered: how long a row was tried (retry_for) is the sum of the pauses that were really waited for, so
 * neither being stopped nor an outage of the network eats it up.
 */
#include "dispatch/answered.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/advice.h"
#include "core/backoff.h"
#include "dispatch/jobgone.h"
#include "dispatch/suspend.h"

#define SHOWN_BYTES 1024
#define WORDS_BYTES 512

static uint64_t random_bits(void)
{
	uint64_t v;

	BUG_ON(getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v));
	return v;
}

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
	int64_t at_us = lanes_wall_us(s, slot->answered_us) + VERIFY_AFTER_US;

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
	slot->latency_us = now_us - row->completed_us;
	slot_say(slot, LOG_LEVEL_INFO,
		mem_printf("started: run %" PRId64 " of job %" PRId64 " for %s", slot->run_id, row->job_id,
			show_row(row, path)));
	return 0;
}

static struct event_failure failure_of(
	const struct slot *slot, const struct ledger_row *row, const char *reason, const char *message)
{
	return (struct event_failure){
		.reason = reason,
		.http_status = slot->http_status,
		.error_code = slot->error_code,
		.message = message,
		.attempts = row->attempts,
		.next_attempt_us = row->next_attempt_us,
		.workspace = row->workspace,
		.job_id = row->job_id,
	};
}

static int end_failed(struct slot *slot, struct ledger_row *row, const char *reason, const char *message,
	int64_t now_us, struct err *err)
{
	const struct conf_watch *w = slot->line->conf;
	bool discard = w && w->on_failure == CONF_FAIL_DISCARD;
	int rc = ledger_set_closed(slot->sender->ledger, row, discard ? LEDGER_DISCARDED : LEDGER_FAILED,
		reason, message, now_us, err);

	if (rc == 0 && w && w->on_failure == CONF_FAIL_PAUSE)
		rc = suspend_watch(slot->sender, w->name, reason, err);
	return rc;
}

static int apply_failed(struct slot *slot, struct ledger_row *row, const char *reason, const char *message,
	int64_t now_us, struct err *err)
{
	struct sender *s = slot->sender;
	struct event_failure x = failure_of(slot, row, reason, message);
	struct event_file f = scribe_file_of(row);
	const char *advice = advice_for(reason);
	char path[SHOWN_BYTES], words[WORDS_BYTES];
	int rc;

	row->failures++;
	rc = scribe_start(
		s->scribe, EVENT_START_FAILED, row->watch, row->token, row->failures, &f, &x, now_us, err);
	if (rc == 0)
		rc = end_failed(slot, row, reason, message, now_us, err);
	if (rc < 0)
		return rc;
	slot->gone = true;
	(void)text_printable(message, strlen(message), words, sizeof(words));
	slot_say(slot, LOG_LEVEL_ERROR,
		mem_printf("dead letter: %s: %s (%s), job %" PRId64 "%s%s", show_row(row, path), reason,
			words, row->job_id, advice[0] ? "; " : "", advice));
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
	/* a former job holds nobody else up, so nobody but the row waits for it */
	return slot->outcome.kind == OUTCOME_RETRY || (slot->outcome.kind == OUTCOME_JOB && slot->old_job);
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
	struct event_failure x = failure_of(slot, row, slot->outcome.reason, slot->message);
	struct event_file f = scribe_file_of(row);
	char path[SHOWN_BYTES], words[WORDS_BYTES], span[CLOCK_TEXT_BYTES];

	if (slot->outcome.kind == OUTCOME_CREDENTIAL || slot->outcome.kind == OUTCOME_JOB ||
		!is_power_of_two(row->attempts))
		return 0;
	row->retryings++;
	(void)text_printable(slot->message, strlen(slot->message), words, sizeof(words));
	slot_say(slot, LOG_LEVEL_WARNING,
		mem_printf("not started yet: %s: %s (%s), job %" PRId64 "; trying again in %s",
			show_row(row, path), slot->outcome.reason, words, row->job_id,
			clock_format_span(row->next_attempt_us - row->last_failed_us, span)));
	return scribe_start(
		s->scribe, EVENT_START_RETRYING, row->watch, row->token, row->retryings, &f, &x, now_us, err);
}

/* It was tried for retry_for. */
static int apply_over(struct slot *slot, struct ledger_row *row, int64_t now_us, struct err *err)
{
	CLEANUP_FREE char *message = mem_printf(
		"retry_for is over, and a run may exist: %s: %s", slot->outcome.reason, slot->message);

	return row->sent ? apply_failed(slot, row, "outcome_unknown", message, now_us, err)
			 : apply_failed(slot, row, "retry_for_over", slot->message, now_us, err);
}

static int apply_retry(struct slot *slot, struct ledger_row *row, int64_t now_us, struct err *err)
{
	struct sender *s = slot->sender;
	CLEANUP_FREE char *detail = mem_printf("%s: %s", slot->outcome.reason, slot->message);
	int rc;

	count_tried(slot, row);
	/* only what cannot have made a run may lose the mark, and only when no earlier attempt may have */
	row->sent = slot->was_sent || !slot->outcome.sure_not_started;
	row->last_failed_us = lanes_wall_us(s, slot->answered_us);
	if (row->first_failed_us == 0)
		row->first_failed_us = row->last_failed_us;
	if (slot->outcome.kind == OUTCOME_JOB && slot->old_job && !row->sent)
		return apply_failed(slot, row, JOBGONE_REASON, slot->message, now_us,
			err); /* it will never be that job again */
	if (counts_as_tried(slot) && row->tried_us >= slot->line->lane->conf->retry_for_us)
		return apply_over(slot, row, now_us, err);
	row->next_attempt_us = lanes_wall_us(s, next_try_us(slot, row));
	rc = tell_retrying(slot, row, now_us, err);
	if (!counts_as_tried(slot))
		row->last_failed_us = row->next_attempt_us; /* so that this pause is not counted */
	return rc < 0 ? rc : ledger_set_retry(s->ledger, row, detail, err);
}

/* What the refusal says of the token holds whatever became of earlier requests. */
static bool is_about_token(const char *reason)
{
	return strcmp(reason, "token_refused") == 0 || strcmp(reason, "conflict") == 0;
}

static int apply_dead(struct slot *slot, struct ledger_row *row, int64_t now_us, struct err *err)
{
	const char *reason = slot->outcome.reason;
	bool unknown = (slot->was_sent || !slot->outcome.sure_not_started) && !is_about_token(reason);
	CLEANUP_FREE char *message =
		mem_printf("an earlier request may have made a run; %s: %s", reason, slot->message);

	return unknown ? apply_failed(slot, row, "outcome_unknown", message, now_us, err)
		       : apply_failed(slot, row, reason, slot->message, now_us, err);
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

int answered_apply(struct sender *s, struct err *err)
{
	LIST_FOREACH (it, &s->slots) {
		struct slot *slot = LIST_OF(it, struct slot, in);
		int rc = slot->state == SLOT_ANSWERED ? apply_answer(slot, err) : 0;

		if (rc < 0)
			return rc;
	}
	return 0;
}

void answered_tell(const struct slot *slot)
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
