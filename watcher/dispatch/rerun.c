/*
 * rerun: the request is made anew by the present configuration, with the first generation behind that of the
 * row whose token is free. So whatever a run of the old row is worth, this is another one.
 */
#include "dispatch/rerun.h"

#include <string.h>
#include "base/clock.h"
#include "core/outcome.h"
#include "dispatch/remake.h"

void rerun_init(struct rerun *r)
{
	*r = (struct rerun){.kind = RERUN_STATE};
	start_init(&r->start);
}

void rerun_done(struct rerun *r)
{
	start_done(&r->start);
}

static bool takes(const struct desk *d, const struct ledger_row *row, bool by_path)
{
	if (row->state == LEDGER_SKIPPED || row->state == LEDGER_DISCARDED)
		return by_path;
	if (row->state == LEDGER_PENDING)
		return by_path && remake_is_stranded(d->conf, row);
	return row->state == LEDGER_STARTED || row->state == LEDGER_FAILED;
}

static int is_newest(const struct desk *d, const struct ledger_row *row, struct rerun *r, struct err *err)
{
	struct ledger_key key = {.watch = row->watch, .relpath = row->relpath};
	int rc = ledger_root(d->ledger, row->root, false, &key.root_id, err);

	if (rc > 0)
		rc = ledger_newest(d->ledger, &key, &r->known, err);
	r->root_id = key.root_id;
	return rc > 0 ? r->known.id == row->id : rc;
}

/* Its next request. 1, 0: it cannot be made, -errno */
static int make_next(const struct desk *d, const struct conf_watch *w, const struct ledger_row *row,
	struct rerun *r, struct err *err)
{
	const char *reason;

	start_done(&r->start);
	start_init(&r->start);
	return remake_next(d->ledger, w, row, &r->start, &r->generation, &reason, err);
}

int rerun_judge(const struct desk *d, const struct ledger_row *row, const struct ledger_note *note,
	bool by_path, struct rerun *r, struct err *err)
{
	const struct conf_watch *w = remake_watch(d->conf, row);
	int rc;

	r->unknown = false;
	r->kind = RERUN_STATE;
	if (!takes(d, row, by_path))
		return 0;
	rc = is_newest(d, row, r, err);
	if (rc <= 0) {
		r->kind = RERUN_OLDER;
		return rc;
	}
	r->unknown = row->state == LEDGER_PENDING || outcome_may_have_run(note->reason);
	r->kind = RERUN_NO_WATCH;
	if (!w)
		return 0;
	r->kind = RERUN_NO_REQUEST;
	if (!note->has_request) {
		if (row->state == LEDGER_SKIPPED || row->state == LEDGER_DISCARDED)
			r->kind = RERUN_FIRST;
		return 0;
	}
	rc = make_next(d, w, row, r, err);
	if (rc > 0)
		r->kind = RERUN_NEXT;
	return rc < 0 ? rc : 0;
}

int rerun_insert(const struct desk *d, const struct ledger_row *row, const struct rerun *r,
	const char *reason, struct err *err)
{
	const struct conf_watch *w = conf_watch_find(d->conf, row->watch);
	struct ledger_new v = remake_row(w, row, &r->start, r->root_id, r->generation, clock_wall_us());
	int64_t id = 0;
	int rc = 0;

	if (row->state == LEDGER_FAILED || row->state == LEDGER_PENDING)
		rc = ledger_set_state(
			d->ledger, row->id, LEDGER_DROPPED, "rerun", reason, "", clock_wall_us(), err);
	v.evidence = "run again";
	if (rc == 0)
		rc = ledger_insert(d->ledger, &v, &id, err);
	/* the file as it was last seen, so that it is not taken for another version */
	return rc < 0 ? rc : ledger_set_seen(d->ledger, id, &r->known.version, err);
}
