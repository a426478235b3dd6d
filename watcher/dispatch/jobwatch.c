/*
 * jobwatch: for each watch a look that is due at some time; for each workspace one look at a time, with a
 * pause between two, since the workspace allows everyone together 20 such calls a second.
 *
 * Files are held back until the first look is answered, or for FIRST_PATIENCE_US, unless this configuration
 * was found good before (meta `job_good:WATCH`): a parameter that the job does not define is to be found out
 * before the first file and not with it. A look that finds nothing out lets them go.
 *
 * meta: `job:HOST:NAME` the id of a name; `job_moving:WATCH` the former id (0: none) while waiting rows are
 * gone through (dispatch/jobgone). A new id counts from the moment its answer came; what is written in the
 * same round is written with it, and nothing else goes out before its rows have been gone through.
 */
#include "dispatch/jobwatch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "core/backoff.h"
#include "dispatch/jobgone.h"
#include "dispatch/lookup.h"

#define EVERY_US (3600 * US_PER_S)
#define BETWEEN_US (50 * US_PER_MS)
#define FIRST_PATIENCE_US (5 * US_PER_S)
#define GIVE_UP_AFTER 3 /* looks that found nothing out */
#define META_NAME "job:"
#define META_GOOD "job_good:"
#define META_MOVING "job_moving:"

struct look { /* of a watch */
	struct jobwatch *all;
	struct conf_watch *watch;
	struct lookup *open;
	bool wanted;	 /* is of a chosen watch */
	bool first;	 /* nothing is known yet, and files are held for that */
	bool started;	 /* its watcher may run */
	unsigned failed; /* looks in a row that found nothing out, or an error */
	int64_t next_us; /* monotonic */
	enum lookup_end end;
	bool asked;
	int64_t checked_us;
	char *job_name;
	struct jobcheck_findings findings;
	char *unknown;
	/* to be written */
	bool write_id, write_good, good;
	bool moving;
	struct jobgone gone;
};

struct place { /* a workspace */
	const struct conf_workspace *conf;
	bool busy;
	int64_t next_us;
};

struct jobwatch {
	struct jobwatch_options o;
	char *hash;
	struct look *looks;   /* as conf->watches */
	struct place *places; /* as conf->workspaces */
	struct loop_timer *timer;
	int64_t patience_us; /* monotonic: the end of it */
	bool stopping;
};

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

int jobwatch_recall(struct conf *conf, struct ledger *l, struct err *err)
{
	for (size_t i = 0; i < conf->watches_n; i++) {
		struct conf_watch *w = conf->watches[i];
		CLEANUP_FREE char *meta = w->job_name && w->workspace ? name_meta(w) : NULL;
		int64_t id = 0;
		int rc = meta ? recall_number(l, meta, &id, err) : 0;

		if (rc < 0)
			return rc;
		if (meta)
			w->job_id = rc > 0 ? id : 0;
	}
	return 0;
}

static int recall_look(struct look *l, struct err *err)
{
	CLEANUP_FREE char *good = mem_printf(META_GOOD "%s", l->watch->name);
	CLEANUP_FREE char *moving = mem_printf(META_MOVING "%s", l->watch->name);
	CLEANUP_BUF struct buf hash = BUF_INIT(LEDGER_META_BYTES);
	struct ledger *ledger = l->all->o.ledger;
	int rc = ledger_meta(ledger, good, &hash, err);

	if (rc < 0)
		return rc;
	l->good = rc > 0 && strcmp(buf_str(&hash), l->all->hash) == 0;
	l->first = !l->good;
	rc = recall_number(ledger, moving, &l->gone.gone_id, err);
	l->moving = rc > 0;
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
static bool is_moving(const struct look *l)
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
	bool error = jobcheck_error(&l->findings) && !is_for_rows_to_try(l);

	sender_set_held(
		l->all->o.sender, l->watch->name, l->first || l->watch->job_id == 0 || is_moving(l) || error);
}

static void let_start(struct look *l)
{
	if (l->started || !l->watch->job_name || l->watch->job_id == 0 || l->write_id || is_of_two_watches(l))
		return;
	l->started = true;
	l->all->o.known(l->watch->name, l->all->o.arg);
}

static void set_timer(struct jobwatch *j);

/* ---- answers ---- */

static bool has_text(const struct jobcheck_findings *f, const char *text)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->items[i].text, text) == 0)
			return true;
	return false;
}

/* What was not said before. */
static void tell_findings(const struct look *l, const struct jobcheck_findings *before)
{
	char job[JOBCHECK_WORD_BYTES];
	bool was_bad = before->n > 0 && before->items[0].level != JOBCHECK_NOTE;
	const struct jobcheck_finding *it;

	jobcheck_call(l->watch->job_id, l->job_name ? l->job_name : l->watch->job_name, job);
	for (it = l->findings.items; it < l->findings.items + l->findings.n; it++) {
		if (has_text(before, it->text))
			continue;
		if (it->level == JOBCHECK_ERROR)
			log_error(
				"watch %s, %s: %s; its files wait, looking again every minute at the latest",
				l->watch->name, job, it->text);
		else if (it->level == JOBCHECK_WARNING)
			log_warning("watch %s, %s: %s", l->watch->name, job, it->text);
		else
			log_debug("watch %s, %s: %s", l->watch->name, job, it->text);
	}
	if (was_bad && (l->findings.n == 0 || l->findings.items[0].level == JOBCHECK_NOTE))
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
	sender_job_changed(l->all->o.sender, l->watch->name);
}

static void take_good(struct look *l, bool good)
{
	l->write_good |= l->good != good;
	l->good = good;
}

static void judge(struct look *l, struct jobcheck_findings *found)
{
	struct jobcheck_findings before = l->findings;
	const struct jobcheck_finding *error;

	l->findings = *found;
	*found = (struct jobcheck_findings){.n = 0};
	jobcheck_judge_others(l->all->o.conf, l->watch, &l->findings);
	tell_findings(l, &before);
	jobcheck_findings_done(&before);
	error = jobcheck_error(&l->findings);
	if (error)
		sender_job_refused(
			l->all->o.sender, l->watch->name, error->code, error->text, is_for_rows_to_try(l));
	else
		sender_job_good(l->all->o.sender, l->watch->name);
	take_good(l, !error);
	l->failed = error ? l->failed + 1 : 0;
	l->next_us = clock_mono_us() + (error ? backoff_ceiling_us(l->failed) : EVERY_US);
}

/* Nothing was found out: what was known before still counts. */
static void take_nothing(struct look *l, const char *words)
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
	if (a->end == LOOKUP_UNKNOWN) {
		take_nothing(l, a->findings->n > 0 ? a->findings->items[0].text : a->outcome.reason);
		return;
	}
	if (l->unknown)
		log_info("watch %s: its job can be looked at again", l->watch->name);
	free(l->unknown);
	l->unknown = NULL;
	l->checked_us = clock_wall_us();
	free(l->job_name);
	l->job_name = a->job_name ? mem_strdup(a->job_name) : NULL;
	take_id(l, l->watch->job_name ? a->job_id : 0);
	judge(l, a->findings);
}

static struct place *place_of(struct jobwatch *j, const struct look *l)
{
	for (size_t i = 0; i < j->o.conf->workspaces_n; i++)
		if (j->places[i].conf == l->watch->workspace)
			return &j->places[i];
	BUG_ON(true);
}

static void on_look(const struct lookup_answer *a, void *arg)
{
	struct look *l = arg;
	struct place *p = place_of(l->all, l);

	l->open = NULL;
	l->asked = true;
	l->first = false;
	p->busy = false;
	p->next_us = clock_mono_us() + BETWEEN_US;
	take_answer(l, a);
	update_hold(l);
	let_start(l);
	set_timer(l->all);
}

/* ---- asking ---- */

/* Its next one, or NULL. */
static struct look *next_look(const struct jobwatch *j, const struct place *p)
{
	struct look *next = NULL;

	for (size_t i = 0; i < j->o.conf->watches_n; i++) {
		struct look *l = &j->looks[i];

		if (l->wanted && l->watch->workspace == p->conf && (!next || l->next_us < next->next_us))
			next = l;
	}
	return next;
}

static void ask(struct jobwatch *j, struct place *p, struct look *l)
{
	bool suspended;
	struct jobs *jobs = sender_jobs(j->o.sender, p->conf, &suspended);
	struct err err = ERR_INIT;

	p->next_us = clock_mono_us() + BETWEEN_US;
	if (suspended && l->watch->job_id > 0) { /* its files find out when it is back */
		l->next_us = clock_mono_us() + backoff_ceiling_us(UINT32_MAX);
		l->first = false;
		update_hold(l);
		return;
	}
	l->open = jobs ? lookup_job(jobs, l->watch, on_look, l, &err) : NULL;
	if (l->open) {
		p->busy = true;
		return;
	}
	take_nothing(l, jobs ? err.text : "its workspace is not there");
	l->first = false;
	update_hold(l);
}

static void end_patience(struct jobwatch *j)
{
	for (size_t i = 0; i < j->o.conf->watches_n; i++) {
		if (!j->looks[i].wanted || !j->looks[i].first)
			continue;
		j->looks[i].first = false;
		update_hold(&j->looks[i]);
	}
	j->patience_us = INT64_MAX;
}

static void on_timer(struct loop_timer *t, void *arg)
{
	struct jobwatch *j = arg;
	int64_t now_us = clock_mono_us();

	(void)t;
	if (now_us >= j->patience_us)
		end_patience(j);
	for (size_t i = 0; i < j->o.conf->workspaces_n && !j->stopping; i++) {
		struct place *p = &j->places[i];
		struct look *l = p->busy || now_us < p->next_us ? NULL : next_look(j, p);

		if (l && l->next_us <= now_us)
			ask(j, p, l);
	}
	set_timer(j);
}

static void set_timer(struct jobwatch *j)
{
	int64_t at_us = j->patience_us;

	for (size_t i = 0; i < j->o.conf->workspaces_n; i++) {
		const struct place *p = &j->places[i];
		const struct look *l = p->busy ? NULL : next_look(j, p);
		int64_t due_us = !l ? INT64_MAX : l->next_us > p->next_us ? l->next_us : p->next_us;

		at_us = due_us < at_us ? due_us : at_us;
	}
	for (size_t i = 0; i < j->o.conf->watches_n; i++)
		at_us = is_moving(&j->looks[i]) ? 0 : at_us; /* the next page */
	if (at_us == INT64_MAX || j->stopping)
		loop_timer_clear(j->timer);
	else
		loop_timer_set(j->timer, at_us);
}

/* ---- life ---- */

static bool is_wanted(const struct jobwatch_options *o, const struct conf_watch *w)
{
	return w->workspace && (!o->only_watch[0] || strcmp(o->only_watch, w->name) == 0);
}

/* Without asking: what another watch of the configuration says. */
static void begin_look(struct look *l)
{
	struct jobcheck_findings found = {.n = 0};

	jobcheck_judge_others(l->all->o.conf, l->watch, &found);
	if (found.n > 0)
		judge(l, &found);
	jobcheck_findings_done(&found);
	l->next_us = 0;
	update_hold(l);
	let_start(l);
}

static int begin(struct jobwatch *j, struct err *err)
{
	const struct conf *c = j->o.conf;
	int rc = 0;

	for (size_t i = 0; i < c->watches_n && rc == 0; i++) {
		j->looks[i].all = j;
		j->looks[i].watch = c->watches[i];
		j->looks[i].wanted = is_wanted(&j->o, c->watches[i]);
		rc = j->looks[i].wanted ? recall_look(&j->looks[i], err) : 0;
	}
	for (size_t i = 0; i < c->watches_n && rc == 0; i++)
		if (j->looks[i].wanted)
			begin_look(&j->looks[i]);
	return rc;
}

struct jobwatch *jobwatch_new(const struct jobwatch_options *o, struct err *err)
{
	struct jobwatch *j = mem_alloc(sizeof(*j));

	j->o = *o;
	j->hash = mem_strdup(o->hash);
	j->looks = mem_array(o->conf->watches_n + 1, sizeof(j->looks[0]));
	j->places = mem_array(o->conf->workspaces_n + 1, sizeof(j->places[0]));
	j->timer = loop_timer_add(o->loop, on_timer, j);
	j->patience_us = clock_mono_us() + FIRST_PATIENCE_US;
	for (size_t i = 0; i < o->conf->workspaces_n; i++)
		j->places[i].conf = o->conf->workspaces[i];
	if (begin(j, err) < 0) {
		jobwatch_free(j);
		return NULL;
	}
	set_timer(j);
	return j;
}

void jobwatch_free(struct jobwatch *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->o.conf->watches_n; i++) {
		lookup_free(j->looks[i].open);
		jobcheck_findings_done(&j->looks[i].findings);
		free(j->looks[i].job_name);
		free(j->looks[i].unknown);
	}
	loop_timer_remove(j->timer);
	free(j->looks);
	free(j->places);
	free(j->hash);
	free(j);
}

void jobwatch_stop(struct jobwatch *j)
{
	j->stopping = true;
	loop_timer_clear(j->timer);
}

/* ---- a round ---- */

bool jobwatch_has_work(const struct jobwatch *j)
{
	for (size_t i = 0; i < j->o.conf->watches_n; i++)
		if (j->looks[i].write_id || j->looks[i].write_good || is_moving(&j->looks[i]))
			return true;
	return false;
}

static int write_number(struct ledger *l, const char *meta, int64_t value, struct err *err)
{
	CLEANUP_FREE char *text = mem_printf("%" PRId64, value);

	return ledger_set_meta(l, meta, text, err);
}

static int write_id(const struct look *l, struct err *err)
{
	CLEANUP_FREE char *name = name_meta(l->watch);
	CLEANUP_FREE char *moving = mem_printf(META_MOVING "%s", l->watch->name);
	int rc = write_number(l->all->o.ledger, name, l->watch->job_id, err);

	return rc < 0 ? rc : write_number(l->all->o.ledger, moving, l->gone.gone_id, err);
}

static int write_good(const struct look *l, struct err *err)
{
	CLEANUP_FREE char *meta = mem_printf(META_GOOD "%s", l->watch->name);

	return ledger_set_meta(l->all->o.ledger, meta, l->good ? l->all->hash : NULL, err);
}

static int move_rows(struct look *l, struct err *err)
{
	CLEANUP_FREE char *meta = mem_printf(META_MOVING "%s", l->watch->name);
	const struct jobwatch_options *o = &l->all->o;
	int rc = jobgone_apply(&l->gone, o->conf, l->watch, o->ledger, o->scribe, o->sender, err);

	CRASH_POINT("jobwatch-moving");
	return rc < 0 || !l->gone.finished ? rc : ledger_set_meta(o->ledger, meta, NULL, err);
}

int jobwatch_apply(struct jobwatch *j, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < j->o.conf->watches_n && rc == 0; i++) {
		struct look *l = &j->looks[i];

		if (l->write_id)
			rc = write_id(l, err);
		if (rc == 0 && l->write_good)
			rc = write_good(l, err);
		if (rc == 0 && is_moving(l))
			rc = move_rows(l, err);
	}
	return rc;
}

static int64_t rows_moved(struct look *l)
{
	const char *name = l->watch->name;
	int64_t closed = l->gone.closed;

	l->moving = !jobgone_committed(&l->gone);
	if (!l->moving && l->gone.all_closed > 0)
		log_error(
			"watch %s: %" PRId64 " files that waited for job %" PRId64
			" are dead letters now (%s); `brickwatch rerun --watch %s --state failed` starts job "
			"%" PRId64 " for them",
			name, l->gone.all_closed, l->gone.gone_id, JOBGONE_REASON, name, l->watch->job_id);
	sender_gone(l->all->o.sender, name, closed);
	return closed;
}

int64_t jobwatch_committed(struct jobwatch *j)
{
	int64_t closed = 0;

	for (size_t i = 0; i < j->o.conf->watches_n; i++) {
		struct look *l = &j->looks[i];

		l->write_good = l->write_id = false;
		if (!l->wanted)
			continue;
		if (is_moving(l)) {
			closed += rows_moved(l);
			update_hold(l);
		}
		let_start(l);
	}
	set_timer(j);
	return closed;
}

void jobwatch_view(const struct jobwatch *j, size_t i, struct jobwatch_view *ret)
{
	const struct look *l = &j->looks[i];
	bool waits = l->wanted && l->watch->job_name && !l->started;

	*ret = (struct jobwatch_view){
		.asked = l->asked,
		.waits = waits,
		.given_up = waits && (l->failed >= GIVE_UP_AFTER || (l->asked && l->end != LOOKUP_UNKNOWN)),
		.unreachable = waits && l->end == LOOKUP_UNKNOWN,
		.checked_us = l->checked_us,
		.job_name = l->job_name,
		.findings = &l->findings,
		.unknown = l->unknown,
	};
}
