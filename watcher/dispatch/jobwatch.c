/*
 * jobwatch: for each watch a look that is due at some time; for each workspace one look at a time, with a
 * pause between two, since the workspace allows everyone together 20 such calls a second.
 *
 * Files are held back until the first look is answered, or for FIRST_PATIENCE_US, unless this configuration
 * was found good before (meta `job_good:WATCH`): a parameter that the job does not define is to be found out
 * before the first file and not with it. A look that finds nothing out lets them go.
 */
#include "dispatch/jobwatch.h"

#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "core/backoff.h"
#include "dispatch/look.h"

#define BETWEEN_US (50 * US_PER_MS)
#define FIRST_PATIENCE_US (5 * US_PER_S)
#define GIVE_UP_AFTER 3 /* looks that found nothing out */

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

int jobwatch_recall(struct conf *conf, struct ledger *l, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < conf->watches_n && rc == 0; i++)
		if (conf->watches[i]->job_name && conf->watches[i]->workspace)
			rc = look_recall_id(conf->watches[i], l, &conf->watches[i]->job_id, err);
	return rc;
}

/* ---- asking ---- */

static void set_timer(struct jobwatch *j);

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
	p->busy = false;
	p->next_us = clock_mono_us() + BETWEEN_US;
	look_take(l, a);
	set_timer(l->all);
}

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
		look_is_over(l);
		return;
	}
	l->open = jobs ? lookup_job(jobs, l->watch, on_look, l, &err) : NULL;
	if (l->open) {
		p->busy = true;
		return;
	}
	look_take_nothing(l, jobs ? err.text : "its workspace is not there");
	look_is_over(l);
}

static void end_patience(struct jobwatch *j)
{
	for (size_t i = 0; i < j->o.conf->watches_n; i++)
		if (j->looks[i].wanted && j->looks[i].first)
			look_is_over(&j->looks[i]);
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
		at_us = look_is_moving(&j->looks[i]) ? 0 : at_us; /* the next page */
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

static int begin(struct jobwatch *j, struct err *err)
{
	const struct conf *c = j->o.conf;
	int rc = 0;

	for (size_t i = 0; i < c->watches_n && rc == 0; i++) {
		j->looks[i].o = &j->o;
		j->looks[i].all = j;
		j->looks[i].watch = c->watches[i];
		j->looks[i].wanted = is_wanted(&j->o, c->watches[i]);
		rc = j->looks[i].wanted ? look_recall(&j->looks[i], err) : 0;
	}
	for (size_t i = 0; i < c->watches_n && rc == 0; i++)
		if (j->looks[i].wanted)
			look_begin(&j->looks[i]);
	return rc;
}

struct jobwatch *jobwatch_new(const struct jobwatch_options *o, struct err *err)
{
	struct jobwatch *j = mem_alloc(sizeof(*j));

	j->o = *o;
	j->o.hash = j->hash = mem_strdup(o->hash);
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
	for (size_t i = 0; i < j->o.conf->watches_n; i++)
		look_done(&j->looks[i]);
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
		if (look_has_work(&j->looks[i]))
			return true;
	return false;
}

int jobwatch_apply(struct jobwatch *j, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < j->o.conf->watches_n && rc == 0; i++)
		rc = look_apply(&j->looks[i], err);
	return rc;
}

int64_t jobwatch_committed(struct jobwatch *j)
{
	int64_t closed = 0;

	for (size_t i = 0; i < j->o.conf->watches_n; i++)
		closed += look_committed(&j->looks[i]);
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
		.no_entry = l->no_entry,
	};
}
