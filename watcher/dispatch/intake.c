/*
 * intake: every message can be taken twice, because a transaction that is given up brings all of its messages
 * again. So nothing is kept here but what can be read from the ledger anew (intake_undo forgets it), and what
 * a message leads to outside the ledger is only written down in its result.
 */
#include "dispatch/intake.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "core/request.h"
#include "dispatch/accept.h"
#include "dispatch/baseline.h"
#include "dispatch/bulletin.h"
#include "dispatch/candidates.h"
#include "dispatch/census.h"
#include "dispatch/flood.h"
#include "dispatch/incoming.h"
#include "dispatch/supersede.h"

/* ---- moved files ---- */

/* The old name of that row means something else now, or nothing: it is this file. 1: go on with f; 0: not
 * now; -errno */
static int follow_move(struct intake *in, struct incoming *f, struct ledger_row *row, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	int rc;

	if (row->state == LEDGER_PENDING && row->sent)
		return 0; /* once it is answered a listing finds it again */
	if (row->state == LEDGER_PENDING) {
		ret->gone += strcmp(row->host, f->watch->workspace->host_token) == 0;
		rc = supersede_row(in->ledger, in->scribe, row, "the file was moved", now_us, err);
	} else if (row->state == LEDGER_HELD) { /* its request names the old path */
		f->hold = row->reason;
		f->hold_detail = "it was held under another name";
		rc = ledger_remove(in->ledger, row->id, err);
	} else if (row->state == LEDGER_VANISHED || row->state == LEDGER_SUPERSEDED) {
		rc = 0;
	} else {
		char from[INCOMING_SHOWN_BYTES], to[INCOMING_SHOWN_BYTES];

		incoming_say(ret, LOG_LEVEL_INFO,
			mem_printf("moved: %s is now %s; it is known", incoming_show(row->relpath, from),
				incoming_show(f->path, to)));
		rc = ledger_rename(in->ledger, row->id, f->key.relpath, err);
	}
	return rc < 0 ? rc : 1;
}

/* What lies where the mount is missing says nothing about the files of the mount; it is found by a listing
 * when a person says that it is meant. */
int intake_is_suspended(struct intake *in, const struct conf_watch *w, size_t i, bool *ret, struct err *err)
{
	enum baseline_stage stage;
	int rc = baseline_stage(in->baseline, w, i, false, &stage, err);

	*ret = rc == 0 && stage == BASELINE_SUSPENDED;
	return rc;
}

/* ---- rejected files ---- */

static int insert_rejected(
	struct intake *in, struct incoming *f, int64_t now_us, struct intake_result *ret, struct err *err)
{
	struct ledger_new row = incoming_row(f, now_us);
	struct event_file ef = incoming_event_file(f);
	char path[INCOMING_SHOWN_BYTES];
	int64_t id;
	int rc;

	rc = supersede_waiting(
		in->ledger, in->scribe, &f->key, f->watch->workspace->host_token, now_us, &ret->gone, err);
	if (rc < 0)
		return rc;
	row.rules_hash = f->wire->rules_hash;
	if (f->wire->dead_letter)
		return incoming_insert_failed(in, f, &row, f->wire->rule, f->detail, now_us, ret, err);
	row.state = LEDGER_REJECTED;
	row.reason = f->wire->rule;
	row.detail = f->detail;
	rc = ledger_insert(in->ledger, &row, &id, err);
	if (rc == 0 && in->conf->events.rejected)
		rc = scribe_rejected(in->scribe, f->watch->name, &ef, f->wire->rule, f->detail, now_us, err);
	if (rc < 0)
		return rc;
	ret->rejected = true;
	if (in->dry)
		incoming_say_plain(
			ret, mem_printf("would reject %s: %s", incoming_show(f->path, path), f->detail));
	else
		incoming_say(ret, LOG_LEVEL_INFO,
			mem_printf("rejected: %s: %s (%s)", incoming_show(f->path, path), f->detail,
				f->wire->rule));
	return 0;
}

static int reject_file(struct intake *in, const struct intake_peer *peer, struct incoming *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	int rc = incoming_compare(in, peer, f, err);

	if (rc == 0)
		rc = accept_find_moved(in, peer, f, ret, err);
	if (rc < 0 || ret->moved_row > 0)
		return rc;
	ret->stale = incoming_is_marker_stale(f);
	if (ret->stale)
		return 0;
	if (f->relation == VERSION_SAME && f->known_is_here && incoming_is_placeholder(&f->known)) {
		bool take;

		rc = incoming_judge_placeholder(in, f, &take, err);
		if (rc == 0 && take)
			rc = ledger_remove(in->ledger, f->known.id, err);
		if (rc < 0 || !take)
			return rc;
		f->relation = VERSION_NEW;
	}
	if (f->relation != VERSION_SAME)
		return insert_rejected(in, f, now_us, ret, err);
	if (!f->known_is_here || f->known.state != LEDGER_REJECTED ||
		strcmp(f->known.rules_hash, f->wire->rules_hash) == 0)
		return 0;
	/* again, by other rules: the row says which, so that it is not asked about once more */
	return ledger_set_state(in->ledger, f->known.id, LEDGER_REJECTED, f->wire->rule, f->detail,
		f->wire->rules_hash, now_us, err);
}

/* ---- messages ---- */

/* READY and REJECTED. moved: the row it may be, or 0; then verdict tells what is under its old name. */
static int take_file(struct intake *in, struct intake_peer *peer, const struct wire_message *m, int64_t moved,
	enum wire_verdict verdict, int64_t now_us, struct intake_result *ret, struct err *err)
{
	CLEANUP_INCOMING struct incoming f = {.path = NULL};
	struct ledger_row row = {.id = 0};
	bool suspended = false;
	int rc = incoming_open(in, peer, m, &f, err);

	if (rc == 0)
		rc = intake_is_suspended(in, f.watch, f.root_index, &suspended, err);
	if (rc != 0 || suspended)
		return rc;
	f.not_moved = moved > 0;
	if (moved > 0 && verdict == WIRE_UNSURE)
		return 0; /* a listing finds it again */
	if (moved > 0 && verdict != WIRE_SAME) {
		rc = incoming_compare(in, peer, &f, err);
		if (rc < 0)
			goto out;
		rc = f.has_known ? 0 : ledger_row(in->ledger, moved, &row, err);
		if (rc > 0)
			rc = follow_move(in, &f, &row, now_us, ret, err);
		else if (rc == 0)
			rc = 1; /* its name or the row has changed meanwhile */
		if (rc <= 0)
			goto out;
	}
	rc = m->type == WIRE_READY ? accept_new(in, peer, &f, now_us, ret, err)
				   : reject_file(in, peer, &f, now_us, ret, err);
out:
	ledger_row_done(&row);
	return rc;
}

void intake_result_init(struct intake_result *r)
{
	*r = (struct intake_result){.bits = BUF_INIT(WIRE_CANDIDATES_MAX / 8)};
}

void intake_result_done(struct intake_result *r)
{
	free(r->text);
	free(r->lost_why);
	free(r->moved_root);
	free(r->moved_from);
	buf_done(&r->bits);
	intake_result_init(r);
}

struct intake *intake_new(const struct conf *conf, struct ledger *ledger, struct ledger *behind,
	struct scribe *scribe, bool dry)
{
	struct intake *in = mem_alloc(sizeof(*in));

	in->conf = conf;
	in->ledger = ledger;
	in->behind = behind;
	in->scribe = scribe;
	in->dry = dry;
	buf_init(&in->request, REQUEST_BODY_BYTES);
	in->baseline = baseline_new(conf, ledger, behind);
	in->flood = flood_new(conf, ledger, scribe);
	in->census = census_new(conf, ledger);
	return in;
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	baseline_free(in->baseline);
	flood_free(in->flood);
	census_free(in->census);
	buf_done(&in->request);
	free(in);
}

void intake_carry(struct intake *to, const struct intake *from)
{
	baseline_carry(to->baseline, from->baseline);
	flood_carry(to->flood, from->flood);
}

int intake_take(struct intake *in, struct intake_peer *peer, const struct wire_message *m, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	/* what is not among these never comes from a watcher */
	if (m->type == WIRE_CANDIDATES)
		return candidates_take(in, peer, m, now_us, ret, err);
	if (m->type == WIRE_READY || m->type == WIRE_REJECTED)
		return take_file(in, peer, m, 0, WIRE_SAME, now_us, ret, err);
	if (m->type == WIRE_WAITING)
		return bulletin_waiting(in, peer, m, now_us, ret, err);
	if (m->type == WIRE_SCANNED)
		return bulletin_scanned(in, peer, &m->as.scanned, now_us, ret, err);
	if (m->type == WIRE_TROUBLE)
		return bulletin_trouble(in, peer, &m->as.trouble, now_us, ret, err);
	if (m->type == WIRE_HELLO)
		return bulletin_hello(in, peer, &m->as.hello, now_us, ret, err);
	if (m->type == WIRE_COUNTS) {
		ret->counted = true;
		ret->is_done = m->as.counts.done != 0;
		return 0;
	}
	return incoming_blame(err, peer, m->type, "no business here");
}

int intake_take_moved(struct intake *in, struct intake_peer *peer, const struct wire_message *m,
	int64_t row_id, enum wire_verdict verdict, int64_t now_us, struct intake_result *ret, struct err *err)
{
	BUG_ON(row_id <= 0 || (m->type != WIRE_READY && m->type != WIRE_REJECTED));
	return take_file(in, peer, m, row_id, verdict, now_us, ret, err);
}

int64_t intake_due_us(const struct intake *in)
{
	return census_has_work(in->census) ? 0 : flood_due_us(in->flood);
}

int intake_apply(struct intake *in, int64_t now_us, struct err *err)
{
	int rc = census_apply(in->census, err);

	return rc < 0 ? rc : flood_apply(in->flood, now_us, err);
}

void intake_committed(struct intake *in)
{
	flood_committed(in->flood);
	census_committed(in->census);
}

void intake_ask(struct intake *in, const struct conf_watch *w, struct confirm *confirm)
{
	census_ask(in->census, w, confirm);
}

int intake_accept_mount(struct intake *in, const struct conf_watch *w, size_t *ret_n, struct err *err)
{
	return baseline_accept(in->baseline, w, ret_n, err);
}

void intake_undo(struct intake *in)
{
	baseline_undo(in->baseline);
	flood_undo(in->flood);
	census_undo(in->census);
}
