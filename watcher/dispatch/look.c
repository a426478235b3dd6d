/*
 * look: an answer changes what is in memory at once, and is written in the round's transaction.
 *
 * meta: `job:HOST:NAME` the number of a name; `job_good:WATCH` the configuration (its hash) under which
 * nothing was wrong; `job_moving:WATCH` the former number (0: none) while waiting rows are gone through
 * (dispatch/jobgone). A new number counts from the moment its answer came; what is written in the same round
 * is written with it, and nothing else goes out before its rows have been gone through.
 */
#include "dispatch/look.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "core/backoff.h"
#include "core/jobcheck.h"

#define EVERY_US (3600 * US_PER_S)
#define META_NAME "job:"
#define META_GOOD "job_good:"
#define META_MOVING "job_moving:"

/* ---- what the ledger has ---- */

static char *name_meta(const struct conf_watch *w)
{
	return mem_printf(META_NAME "%s:%s", w->workspace->host_token, w->job_name);
}

/* 1, 0: there is none, -errno */
static int recall_number(struct ledger *l, const char *meta, int64_t *ret, struct err *err)
{
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	int rc = ledger_meta(l, meta, &value, err);

	if (rc <= 0)
		return rc;
	return num_parse_i64(buf_str(&value), ret) == 0 && *ret >= 0; /* else it is asked for anew */
}

int look_recall_id(const struct conf_watch *w, struct ledger *l, int64_t *ret, struct err *err)
{
	CLEANUP_FREE char *meta = name_meta(w);
	int64_t id = 0;
	int rc = recall_number(l, meta, &id, err);

	if (rc < 0)
		return rc;
	*ret = rc > 0 ? id : 0;
	return 0;
}

int look_recall(struct look *l, struct err *err)
{
	CLEANUP_FREE char *good = mem_printf(META_GOOD "%s", l->watch->name);
	CLEANUP_FREE char *moving = mem_printf(META_MOVING "%s", l->watch->name);
	CLEANUP_BUF struct buf hash = BUF_INIT(LEDGER_META_BYTES);
	struct ledger *ledger = l->o->ledger;
	int rc = ledger_meta(ledger, good, &hash, err);

	if (rc < 0)
		return rc;
	l->good = rc > 0 && strcmp(buf_str(&hash), l->o->hash) == 0;
	l->first = !l->good;
	rc = recall_number(ledger, moving, &l->gone.gone_id, err);
	l->moving = rc > 0 && l->watch->job_name;
	return rc < 0 ? rc : 0;
}

/* ---- what follows from what is known ---- */

static bool is_of_two_watches(const struct look *l)
{
	for (size_t i = 0; i < l->findings.n; i++)
		if (strcmp(l->findings.items[i].code, JOBCHECK_SAME_JOB) == 0)
			return true;
	return false;
}

/* Are there waiting rows to be gone through? */
bool look_is_moving(const struct look *l)
{
	return l->moving && l->watch->job_id > 0;
}

/* Would rows find out better than looks whether the job can be started? */
static bool is_for_rows_to_try(const struct look *l)
{
	return l->end == LOOKUP_REFUSED && !l->watch->job_name;
}

static void update_hold(struct look *l)
{
	bool error = findings_error(&l->findings) && !is_for_rows_to_try(l);

	sender_set_held(l->o->sender, l->watch->name,
		l->first || l->watch->job_id == 0 || look_is_moving(l) || error);
}

static void let_start(struct look *l)
{
	if (l->started || !l->watch->job_name || l->watch->job_id == 0 || l->write_id || is_of_two_watches(l))
		return;
	l->started = true;
	l->o->known(l->watch->name, l->o->arg);
}

/* ---- answers ---- */

static bool has_text(const struct findings *f, const char *text)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->items[i].text, text) == 0)
			return true;
	return false;
}

/* What was not said before. */
static void tell_findings(const struct look *l, const struct findings *before)
{
	char job[JOBCHECK_WORD_BYTES];
	bool was_bad = before->n > 0 && before->items[0].level != FINDING_NOTE;
	const struct finding *it;

	jobcheck_call(l->watch->job_id, l->job_name ? l->job_name : l->watch->job_name, job);
	for (it = l->findings.items; it < l->findings.items + l->findings.n; it++) {
		if (has_text(before, it->text))
			continue;
		if (it->level == FINDING_ERROR)
			log_error(
				"watch %s, %s: %s; its files wait, looking again every minute at the latest",
				l->watch->name, job, it->text);
		else if (it->level == FINDING_WARNING)
			log_warning("watch %s, %s: %s", l->watch->name, job, it->text);
		else
			trace(TRACE_JOB, "watch %s, %s: %s", l->watch->name, job, it->text);
	}
	if (was_bad && (l->findings.n == 0 || l->findings.items[0].level == FINDING_NOTE))
		log_info("watch %s, %s: nothing to object any more", l->watch->name, job);
}

/* The name stands for this job now. */
static void take_id(struct look *l, int64_t id)
{
	int64_t old = l->watch->job_id;

	if (id == 0 || id == old)
		return;
	if (old == 0)
		log_info("watch %s: the job \"%s\" is job %" PRId64, l->watch->name, l->watch->job_name, id);
	else
		log_warning("watch %s: the job \"%s\" is job %" PRId64 " now and was job %" PRId64
			    "; files that wait for the former one become dead letters (%s)",
			l->watch->name, l->watch->job_name, id, old, JOBGONE_REASON);
	l->watch->job_id = id;
	l->write_id = true;
	l->moving = true;
	l->gone = (struct jobgone){.gone_id = old};
	sender_job_changed(l->o->sender, l->watch->name);
}

static void take_good(struct look *l, bool good)
{
	l->write_good |= l->good != good;
	l->good = good;
}

static void judge(struct look *l, struct findings *found)
{
	struct findings before = l->findings;
	const struct finding *error;

	l->findings = *found;
	*found = (struct findings){.n = 0};
	jobcheck_judge_others(l->o->conf, l->watch, &l->findings);
	tell_findings(l, &before);
	findings_done(&before);
	error = findings_error(&l->findings);
	if (error)
		sender_job_refused(
			l->o->sender, l->watch->name, error->code, error->text, is_for_rows_to_try(l));
	else
		sender_job_good(l->o->sender, l->watch->name);
	take_good(l, !error);
	l->failed = error ? l->failed + 1 : 0;
	l->next_us = clock_mono_us() + (error ? backoff_ceiling_us(l->failed) : EVERY_US);
}

/* Nothing was found out: what was known before still counts. */
void look_take_nothing(struct look *l, const char *words)
{
	if (!l->unknown)
		log_warning("watch %s: %s; asking again every minute at the latest", l->watch->name, words);
	free(l->unknown);
	l->unknown = mem_strdup(words);
	l->failed++;
	l->next_us = clock_mono_us() + backoff_ceiling_us(l->failed);
}

static void take_answer(struct look *l, const struct lookup_answer *a)
{
	l->end = a->end;
	l->no_entry = a->end == LOOKUP_UNKNOWN && a->outcome.kind == OUTCOME_CREDENTIAL;
	if (a->end == LOOKUP_UNKNOWN) {
		look_take_nothing(l, a->findings->n > 0 ? a->findings->items[0].text : a->outcome.reason);
		return;
	}
	if (l->unknown)
		log_info("watch %s: its job can be looked at again", l->watch->name);
	free(l->unknown);
	l->unknown = NULL;
	l->checked_us = clock_wall_us();
	trace(TRACE_JOB, "watch %s: job %" PRId64 " looked at: \"%s\", %zu notes", l->watch->name, a->job_id,
		a->job_name ? a->job_name : "", a->findings->n);
	free(l->job_name);
	l->job_name = a->job_name ? mem_strdup(a->job_name) : NULL;
	take_id(l, l->watch->job_name ? a->job_id : 0);
	judge(l, a->findings);
}

/* ---- a round ---- */

static int write_number(struct ledger *l, const char *meta, int64_t value, struct err *err)
{
	CLEANUP_FREE char *text = mem_printf("%" PRId64, value);

	return ledger_set_meta(l, meta, text, err);
}

static int write_moving(const struct look *l, struct err *err)
{
	CLEANUP_FREE char *moving = mem_printf(META_MOVING "%s", l->watch->name);

	return write_number(l->o->ledger, moving, l->gone.gone_id, err);
}

static int write_id(const struct look *l, struct err *err)
{
	CLEANUP_FREE char *name = name_meta(l->watch);
	int rc = write_number(l->o->ledger, name, l->watch->job_id, err);

	return rc < 0 ? rc : write_moving(l, err);
}

static int write_good(const struct look *l, struct err *err)
{
	CLEANUP_FREE char *meta = mem_printf(META_GOOD "%s", l->watch->name);

	return ledger_set_meta(l->o->ledger, meta, l->good ? l->o->hash : NULL, err);
}

static int move_rows(struct look *l, struct err *err)
{
	CLEANUP_FREE char *meta = mem_printf(META_MOVING "%s", l->watch->name);
	const struct jobwatch_options *o = l->o;
	int rc = jobgone_apply(&l->gone, o->conf, l->watch, o->ledger, o->scribe, o->sender, err);

	CRASH_POINT("jobwatch-moving");
	return rc < 0 || !l->gone.finished ? rc : ledger_set_meta(o->ledger, meta, NULL, err);
}

static int64_t rows_moved(struct look *l)
{
	const char *name = l->watch->name;
	int64_t closed = l->gone.closed, held = l->gone.held;

	l->moving = !jobgone_committed(&l->gone);
	if (!l->moving && l->gone.all_closed > 0)
		log_error(
			"watch %s: %" PRId64 " files that waited for job %" PRId64
			" are dead letters now (%s); `brickwatch rerun --watch %s --state failed` starts job "
			"%" PRId64 " for them",
			name, l->gone.all_closed, l->gone.gone_id, JOBGONE_REASON, name, l->watch->job_id);
	sender_gone(l->o->sender, name, closed + held);
	return closed;
}

bool look_has_work(const struct look *l)
{
	return l->write_id || l->write_good || l->write_moving || look_is_moving(l);
}

int look_apply(struct look *l, struct err *err)
{
	int rc = 0;

	if (l->write_id)
		rc = write_id(l, err);
	else if (l->write_moving)
		rc = write_moving(l, err);
	if (rc == 0 && l->write_good)
		rc = write_good(l, err);
	if (rc == 0 && look_is_moving(l))
		rc = move_rows(l, err);
	return rc;
}

int64_t look_committed(struct look *l)
{
	int64_t closed = 0;

	l->write_good = l->write_id = l->write_moving = false;
	if (!l->wanted)
		return 0;
	if (look_is_moving(l)) {
		closed = rows_moved(l);
		update_hold(l);
	}
	let_start(l);
	return closed;
}

/* ---- life ---- */

void look_take(struct look *l, const struct lookup_answer *a)
{
	l->asked = true;
	l->first = false;
	take_answer(l, a);
	update_hold(l);
	let_start(l);
}

void look_is_over(struct look *l)
{
	l->first = false;
	update_hold(l);
}

/* Without asking: what another watch of the configuration says. */
void look_begin(struct look *l)
{
	struct findings found = {.n = 0};

	jobcheck_judge_others(l->o->conf, l->watch, &found);
	if (found.n > 0)
		judge(l, &found);
	findings_done(&found);
	/* Rows of a former configuration wait for the number. It may come by another watch of the same name,
	 * whose answer is kept, and then this process end: so it is noted now that they do. */
	if (l->watch->job_name && l->watch->job_id == 0) {
		l->gone = (struct jobgone){.gone_id = 0};
		l->moving = l->write_moving = true;
	}
	l->next_us = 0;
	update_hold(l);
	let_start(l);
}

void look_done(struct look *l)
{
	lookup_free(l->open);
	findings_done(&l->findings);
	free(l->job_name);
	free(l->unknown);
}
