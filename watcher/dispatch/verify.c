/*
 * verify: idle -> chosen -> (commit) -> asked -> answered -> applied (commit) -> idle.
 *
 * A run that only waits to begin, a word nobody knows and a refusal of the question are looked at again a few
 * times, with growing pauses, and then trusted: a run was started for certain, and starting another one on a
 * guess could double it. Whatever may pass (no connection, 5xx, a refused credential) is asked about until it
 * is answered.
 *
 * If a newer version of the file has a row already, the skipped one is not started again: its run would read
 * the new contents. It counts as superseded.
 */
#include "dispatch/verify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "dispatch/remake.h"

#define LOOKS_MAX 6	   /* answers that tell nothing, before a run is trusted */
#define LOOKED_AT_MAX 1024 /* rows whose looks are counted */
#define SKIP_FIRST_US (1 * US_PER_S)
#define WORDS_BYTES 512
#define SHOWN_BYTES 1024

enum verify_state { VERIFY_IDLE, VERIFY_CHOSEN, VERIFY_ASKED, VERIFY_ANSWERED };

struct verify {
	const struct conf *conf;
	struct ledger *ledger;
	struct scribe *scribe;
	const char *host;
	enum verify_state state;
	int64_t due_us; /* wall: when the ledger is to be asked */
	int64_t id, run_id;
	/* the answer */
	enum outcome_kind kind;
	enum fate fate;
	char code[LEDGER_WORD_BYTES], message[WORDS_BYTES];
	struct map *looks; /* row -> how often it told nothing */
	/* done in this transaction */
	bool applied;
	const struct conf_watch *watch; /* has a new row */
	bool pending;
	char *say;
};

struct verify *verify_new(
	const struct conf *conf, struct ledger *ledger, struct scribe *scribe, const char *host)
{
	struct verify *v = mem_alloc(sizeof(*v));

	v->conf = conf;
	v->ledger = ledger;
	v->scribe = scribe;
	v->host = host;
	v->looks = map_new();
	return v;
}

void verify_free(struct verify *v)
{
	if (!v)
		return;
	map_free(v->looks);
	free(v->say);
	free(v);
}

void verify_expect(struct verify *v, int64_t at_us)
{
	if (at_us < v->due_us)
		v->due_us = at_us;
}

bool verify_is_answered(const struct verify *v)
{
	return v->state == VERIFY_ANSWERED;
}

int64_t verify_time(const struct verify *v)
{
	return v->state == VERIFY_IDLE ? v->due_us : INT64_MAX;
}

/* ---- the next generation ---- */

static void verify_say(struct verify *v, const struct ledger_row *row, const char *what)
{
	CLEANUP_FREE char *path = fs_join(row->root, row->relpath);
	char shown[SHOWN_BYTES];

	free(v->say);
	v->say = mem_printf("run %" PRId64 " was skipped (%s): %s; %s", row->run_id, v->code,
		text_printable(path, strlen(path), shown, sizeof(shown)), what);
}

/* Grows as long as it goes on; half of it is drawn, from the row's number, which is as good as any. */
static int64_t skip_pause_us(const struct ledger_row *row)
{
	int64_t pause_us = row->skips < 10 ? SKIP_FIRST_US << row->skips : VERIFY_PAUSE_MAX_US;

	return pause_us / 2 + (row->id * INT64_C(7919) % 64) * (pause_us / 128);
}

static int insert_failed(struct verify *v, const struct ledger_row *row, struct ledger_new *next,
	const char *reason, struct err *err)
{
	struct event_file f = scribe_file_of(row);
	struct event_failure x = {
		.reason = reason,
		.error_code = v->code,
		.message = v->message,
		.workspace = row->workspace,
		.job_id = row->job_id,
	};
	int64_t id;
	int rc;

	next->state = v->watch->on_failure == CONF_FAIL_DISCARD ? LEDGER_DISCARDED : LEDGER_FAILED;
	next->reason = reason;
	next->detail = v->message;
	next->failures = 1;
	rc = ledger_insert(v->ledger, next, &id, err);
	if (rc == 0)
		rc = ledger_set_skipped(v->ledger, id, row->skips + 1, 0, err);
	verify_say(v, row, "it is not started again");
	return rc < 0 ? rc
		      : scribe_start(v->scribe, EVENT_START_FAILED, row->watch, next->token, 1, &f, &x,
				next->now_us, err);
}

static int insert_pending(
	struct verify *v, const struct ledger_row *row, const struct ledger_new *next, struct err *err)
{
	int64_t id, at_us = next->now_us + skip_pause_us(row);
	int rc = ledger_insert(v->ledger, next, &id, err);

	if (rc < 0)
		return rc;
	CRASH_POINT("verify-again");
	v->pending = true;
	verify_say(v, row, "it is started again");
	return ledger_set_skipped(v->ledger, id, row->skips + 1, at_us, err);
}

static int insert_next(
	struct verify *v, const struct ledger_row *row, int64_t root_id, int64_t now_us, struct err *err)
{
	const char *reason = NULL;
	int64_t generation;
	struct ledger_new next;
	struct start s;
	int rc;

	start_init(&s);
	rc = remake_next(v->ledger, v->watch, row, &s, &generation, &reason, err);
	if (rc >= 0) {
		next = remake_row(v->watch, row, &s, root_id, generation, now_us);
		next.evidence = "again";
		if (rc == 0) {
			next.token = "";
			next.request_len = 0;
		} else if (row->skips + 1 > VERIFY_SKIPS_MAX) {
			reason = "skipped_too_often";
		}
		rc = reason ? insert_failed(v, row, &next, reason, err) : insert_pending(v, row, &next, err);
	}
	start_done(&s);
	return rc;
}

static int supersede(struct verify *v, const struct ledger_row *row, int64_t now_us, struct err *err)
{
	int rc = ledger_set_state(
		v->ledger, row->id, LEDGER_SUPERSEDED, "run_skipped", v->message, "", now_us, err);

	verify_say(v, row, "a newer version of the file has come");
	return rc < 0 ? rc
		      : scribe_gone(v->scribe, EVENT_FILE_SUPERSEDED, row, row->revived + 1,
				"its run to be started", row->completed_us, now_us, err);
}

static int tell_skipped(struct verify *v, const struct ledger_row *row, int64_t now_us, struct err *err)
{
	CLEANUP_FREE char *reason =
		v->message[0] ? mem_printf("%s: %s", v->code, v->message) : mem_strdup(v->code);
	int rc = scribe_run_skipped(v->scribe, row, row->principal, reason, now_us, err);

	return rc < 0 ? rc
		      : ledger_set_state(
				v->ledger, row->id, LEDGER_STARTED, "run_skipped", reason, "", now_us, err);
}

/* The run of this row was skipped. 0 or -errno */
static int start_again(struct verify *v, const struct ledger_row *row, int64_t now_us, struct err *err)
{
	struct ledger_key key = {.watch = row->watch, .relpath = row->relpath};
	const struct conf_watch *w = remake_watch(v->conf, row);
	struct ledger_known newest;
	int rc = tell_skipped(v, row, now_us, err);

	if (rc == 0)
		rc = ledger_root(v->ledger, row->root, true, &key.root_id, err);
	if (rc > 0)
		rc = ledger_newest(v->ledger, &key, &newest, err);
	if (rc < 0)
		return rc;
	if (rc > 0 && newest.id != row->id)
		return supersede(v, row, now_us, err);
	if (!w) {
		verify_say(v, row, "its watch is not configured any more");
		return 0;
	}
	v->watch = w;
	return insert_next(v, row, key.root_id, now_us, err);
}

/* ---- answers ---- */

static bool may_pass(enum outcome_kind kind)
{
	return kind == OUTCOME_RETRY || kind == OUTCOME_CREDENTIAL || kind == OUTCOME_UNREACHABLE;
}

/* When to look again; 0: not any more. */
static int64_t look_again_us(struct verify *v, int64_t now_us)
{
	uintptr_t looks = (uintptr_t)map_get_u64(v->looks, (uint64_t)v->id);
	int64_t pause_us = VERIFY_AFTER_US << looks;

	if (may_pass(v->kind))
		return now_us + 2 * VERIFY_AFTER_US;
	if (looks >= LOOKS_MAX || map_count(v->looks) >= LOOKED_AT_MAX)
		return 0;
	return now_us + (pause_us < VERIFY_LOOK_MAX_US ? pause_us : VERIFY_LOOK_MAX_US);
}

static int apply_to_row(struct verify *v, const struct ledger_row *row, int64_t now_us, struct err *err)
{
	bool answered = v->kind == OUTCOME_STARTED;
	int64_t at_us = 0;
	int rc;

	if (row->state != LEDGER_STARTED || row->run_id != v->run_id || row->verify_at_us == 0)
		return 0; /* somebody else was quicker */
	if (!answered || v->fate == FATE_UNKNOWN)
		at_us = look_again_us(v, now_us);
	rc = ledger_set_verify(v->ledger, row->id, at_us, err);
	if (rc == 0 && answered && v->fate == FATE_SKIPPED)
		rc = start_again(v, row, now_us, err);
	return rc;
}

static int apply_answer(struct verify *v, int64_t now_us, struct err *err)
{
	struct ledger_row row;
	int rc = ledger_row(v->ledger, v->id, &row, err);

	if (rc == -EBADMSG) { /* it is not looked at any more */
		log_error("%s; its run is not looked at", err->text);
		return ledger_set_verify(v->ledger, v->id, 0, err);
	}
	if (rc > 0) {
		rc = apply_to_row(v, &row, now_us, err);
		ledger_row_done(&row);
	}
	return rc;
}

/* ---- questions ---- */

/* 1: chosen, 0: not this one, -errno */
static int choose_id(struct verify *v, int64_t id, struct err *err)
{
	struct ledger_row row;
	int rc = ledger_row(v->ledger, id, &row, err);

	if (rc == -EBADMSG)
		log_error("%s; its run is not looked at", err->text);
	if (rc < 0 && rc != -EBADMSG)
		return rc;
	v->id = id;
	v->run_id = rc > 0 && row.state == LEDGER_STARTED ? row.run_id : 0;
	if (rc > 0)
		ledger_row_done(&row);
	if (v->run_id > 0) {
		v->state = VERIFY_CHOSEN;
		return 1;
	}
	rc = ledger_set_verify(v->ledger, id, 0, err);
	return rc < 0 ? rc : 0;
}

static int choose(struct verify *v, int64_t now_us, struct err *err)
{
	int64_t id, next_us;
	int rc, chosen = 0;

	while ((rc = ledger_verify_due(v->ledger, v->host, now_us, &id, err)) > 0 && chosen == 0)
		chosen = choose_id(v, id, err);
	if (rc < 0 || chosen != 0)
		return rc < 0 ? rc : chosen < 0 ? chosen : 0;
	rc = ledger_next_verify(v->ledger, v->host, &next_us, err);
	v->due_us = rc > 0 ? next_us : INT64_MAX;
	return rc < 0 ? rc : 0;
}

int verify_apply(struct verify *v, bool may_look, int64_t now_us, struct err *err)
{
	if (v->state == VERIFY_ANSWERED) {
		v->watch = NULL;
		v->pending = false;
		v->applied = true;
		return apply_answer(v, now_us, err);
	}
	if (v->state == VERIFY_IDLE && may_look && v->due_us <= now_us)
		return choose(v, now_us, err);
	return 0;
}

struct verify_news verify_news(const struct verify *v)
{
	return (struct verify_news){
		.watch = v->applied && v->watch ? v->watch->name : NULL, .pending = v->pending};
}

/* Counts the answers that told nothing. */
static void count_looks(struct verify *v)
{
	uintptr_t looks = (uintptr_t)map_get_u64(v->looks, (uint64_t)v->id);

	if (may_pass(v->kind))
		return;
	if ((v->kind == OUTCOME_STARTED && v->fate != FATE_UNKNOWN) || looks >= LOOKS_MAX)
		(void)map_remove_u64(v->looks, (uint64_t)v->id);
	else if (map_count(v->looks) < LOOKED_AT_MAX)
		(void)map_put_u64(v->looks, (uint64_t)v->id, (void *)(looks + 1));
}

int64_t verify_committed(struct verify *v)
{
	if (v->state == VERIFY_CHOSEN) {
		v->state = VERIFY_ASKED;
		return v->run_id;
	}
	if (!v->applied)
		return 0;
	count_looks(v);
	if (v->say)
		log_warning("%s", v->say);
	free(v->say);
	v->say = NULL;
	v->watch = NULL;
	v->applied = false;
	v->state = VERIFY_IDLE;
	v->due_us = 0; /* the next one */
	return 0;
}

void verify_undo(struct verify *v)
{
	v->applied = false;
	v->watch = NULL;
	if (v->state == VERIFY_CHOSEN)
		v->state = VERIFY_IDLE;
	if (v->state == VERIFY_IDLE)
		v->due_us = 0;
}

void verify_answered(struct verify *v, const struct jobs_run *run)
{
	BUG_ON(v->state != VERIFY_ASKED);
	v->kind = run->kind;
	v->fate = run->fate;
	(void)text_printable(run->code, strlen(run->code), v->code, sizeof(v->code));
	(void)text_printable(run->message, strlen(run->message), v->message, sizeof(v->message));
	v->state = VERIFY_ANSWERED;
}
