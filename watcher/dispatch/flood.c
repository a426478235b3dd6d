/*
 * flood: two copies of each brake, one as of the last commit, so that a transaction that is given up counts
 * nothing. After a restart what was accepted lately is counted in the ledger, in its newest rows only.
 */
#include "dispatch/flood.h"

#include <inttypes.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"

#define FLOOD_ROWS_MOST 100000 /* looked at after a restart */

#define RULES_SOON_US (1 * US_PER_S)
#define RULES_GAP_US (60 * US_PER_S)

/* Files held because the rules were changed. Times are monotonic. */
struct rules {
	int64_t due_us;	 /* when to tell of them; 0: nothing to tell */
	int64_t told_us; /* when that was done last; 0: never */
};

struct one {
	struct brake now, committed;
	struct rules rules, rules_committed;
	bool loaded;
};

struct flood {
	const struct conf *conf;
	struct ledger *ledger;
	struct scribe *scribe;
	struct one *ones; /* as conf->watches */
};

struct flood *flood_new(const struct conf *conf, struct ledger *ledger, struct scribe *scribe)
{
	struct flood *f = mem_alloc(sizeof(*f));

	f->conf = conf;
	f->ledger = ledger;
	f->scribe = scribe;
	f->ones = mem_array(conf->watches_n + 1, sizeof(f->ones[0]));
	for (size_t i = 0; i < conf->watches_n; i++) {
		const struct conf_rate *r = &conf->watches[i]->brake;

		brake_init(&f->ones[i].now, r->count, r->per_us);
		f->ones[i].committed = f->ones[i].now;
	}
	return f;
}

void flood_free(struct flood *f)
{
	if (!f)
		return;
	free(f->ones);
	free(f);
}

static struct one *find_one(const struct flood *f, const struct conf_watch *w)
{
	for (size_t i = 0; i < f->conf->watches_n; i++)
		if (f->conf->watches[i] == w)
			return &f->ones[i];
	BUG_ON(true);
	return NULL;
}

/* What was accepted before this start. */
static int load(struct flood *f, const struct conf_watch *w, struct one *o, int64_t wall_us, struct err *err)
{
	int64_t mono_us = clock_mono_us(), most = FLOOD_ROWS_MOST, n, first_us;
	int rc;

	if (o->loaded || w->brake.count == 0)
		return 0;
	if (w->brake.count < most / 4)
		most = 4 * w->brake.count; /* rows of other watches and rejected ones are among them */
	rc = ledger_accepted_since(f->ledger, w->name, wall_us - w->brake.per_us, most, &n, &first_us, err);
	if (rc < 0)
		return rc;
	if (n > 0)
		brake_restore(&o->now, mono_us - (wall_us - first_us), n, mono_us);
	o->committed = o->now;
	o->loaded = true;
	return 0;
}

static int write_event(struct flood *f, const struct conf_watch *w, const char *detail, int64_t count,
	int64_t now_us, struct err *err)
{
	struct event_watch x = {.method = "", .file_system = "", .detail = detail, .count = count};

	return scribe_watch(f->scribe, EVENT_WATCH_HELD, w->name, &x, now_us, err);
}

void flood_carry(struct flood *to, const struct flood *from)
{
	for (size_t i = 0; i < from->conf->watches_n; i++) {
		const struct conf_watch *old = from->conf->watches[i],
					*w = conf_watch_find(to->conf, old->name);

		if (w && w->brake.count == old->brake.count && w->brake.per_us == old->brake.per_us)
			*find_one(to, w) = from->ones[i];
		else if (w)
			find_one(to, w)->rules = find_one(to, w)->rules_committed = from->ones[i].rules;
	}
}

int flood_take(struct flood *f, const struct conf_watch *w, int64_t now_us, bool *ret_hold, char **ret_say,
	struct err *err)
{
	struct one *o = find_one(f, w);
	CLEANUP_FREE char *detail = NULL;
	char span[CLOCK_TEXT_BYTES];
	enum brake_verdict verdict;
	int rc = load(f, w, o, now_us, err);

	if (rc < 0)
		return rc;
	verdict = brake_take(&o->now, clock_mono_us());
	*ret_hold = verdict != BRAKE_PASS;
	*ret_say = NULL;
	if (verdict != BRAKE_ENGAGE)
		return 0;
	detail = mem_printf("brake: more than %" PRId64 " files in %s: further ones are held; "
			    "brickwatch release --watch %s lets them go",
		w->brake.count, clock_format_span(w->brake.per_us, span), w->name);
	rc = write_event(f, w, detail, -1, now_us, err);
	CRASH_POINT("flood-engaged");
	if (rc == 0)
		*ret_say = mem_printf("watch %s: %s", w->name, detail);
	return rc;
}

void flood_note_rules(struct flood *f, const struct conf_watch *w)
{
	struct rules *r = &find_one(f, w)->rules;
	int64_t now_us = clock_mono_us();

	if (r->due_us > 0)
		return;
	r->due_us = now_us + RULES_SOON_US;
	if (r->told_us > 0 && r->due_us < r->told_us + RULES_GAP_US)
		r->due_us = r->told_us + RULES_GAP_US;
}

int64_t flood_due_us(const struct flood *f)
{
	int64_t due_us = INT64_MAX;

	for (size_t i = 0; i < f->conf->watches_n; i++) {
		int64_t one_us = brake_due_us(&f->ones[i].now), rules_us = f->ones[i].rules.due_us;

		if (one_us < due_us)
			due_us = one_us;
		if (rules_us > 0 && rules_us < due_us)
			due_us = rules_us;
	}
	return due_us;
}

/* Tells how many of the watch are held for this reason, if any. */
static int tell_held(struct flood *f, const struct conf_watch *w, const char *reason, const char *words,
	int64_t now_us, struct err *err)
{
	CLEANUP_FREE char *detail = NULL;
	int64_t n;
	int rc = ledger_count_held(f->ledger, w->name, reason, &n, err);

	if (rc < 0 || n == 0)
		return rc;
	detail = mem_printf("%s: %" PRId64 " file%s held; brickwatch release --watch %s lets %s go", words, n,
		n == 1 ? " is" : "s are", w->name, n == 1 ? "it" : "them");
	return write_event(f, w, detail, n, now_us, err);
}

int flood_apply(struct flood *f, int64_t now_us, struct err *err)
{
	int64_t mono_us = clock_mono_us();
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < f->conf->watches_n; i++) {
		const struct conf_watch *w = f->conf->watches[i];
		struct rules *r = &f->ones[i].rules;

		if (brake_end(&f->ones[i].now, mono_us))
			rc = tell_held(f, w, FLOOD_HELD, "brake", now_us, err);
		if (rc < 0 || r->due_us == 0 || mono_us < r->due_us)
			continue;
		*r = (struct rules){.told_us = mono_us};
		rc = tell_held(f, w, FLOOD_RULES, "they were rejected before, and pass by the changed rules",
			now_us, err);
	}
	return rc;
}

void flood_committed(struct flood *f)
{
	for (size_t i = 0; i < f->conf->watches_n; i++) {
		f->ones[i].committed = f->ones[i].now;
		f->ones[i].rules_committed = f->ones[i].rules;
	}
}

void flood_undo(struct flood *f)
{
	for (size_t i = 0; i < f->conf->watches_n; i++) {
		f->ones[i].now = f->ones[i].committed;
		f->ones[i].rules = f->ones[i].rules_committed;
	}
}
