/*
 * operate: rows in chunks, a transaction each, so that releasing a million files does not hold up those that
 * come. The event that says who did it is written with the last chunk and counts them all; a crash in between
 * leaves what was committed, and the same command again does the rest.
 *
 * A row without a request has never been judged (it was there before the watch, or its rules have changed).
 * It cannot be sent as it is: it is forgotten, and the watcher asked to list, so that it is judged like a new
 * file. Where it would be held or skipped again (known before, `existing = skip`), it stays, with the word
 * that it was released.
 *
 * Everything that a chunk leads to is kept apart (struct progress) until it is committed.
 */
#include "dispatch/operate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"
#include "core/outcome.h"
#include "dispatch/desk.h"
#include "dispatch/remake.h"
#include "dispatch/renew.h"
#include "dispatch/report.h"
#include "dispatch/rerun.h"
#include "dispatch/selection.h"
#include "dispatch/supersede.h"

#define EXIT_USAGE 2
#define ARGUMENTS_BYTES (128u * 1024)

enum kind { RELEASE, RETRY, DROP, RERUN };

/* Why a row was left as it is. */
enum left { LEFT_DAMAGED, LEFT_NO_WATCH, LEFT_NO_REQUEST, LEFT_UNKNOWN, LEFT_SENT, LEFT_GOES, LEFT_KINDS };

struct progress {
	struct selection at;
	bool hit; /* the operand in hand has met a row */
	int64_t changed, rejudged, superseded, left[LEFT_KINDS];
	int64_t unknown; /* of the changed ones: a run may exist */
};

struct freed { /* rows of a watch at a host */
	char *watch, *host;
	int64_t rows;	  /* that became pending */
	int64_t stranded; /* that were pending, and could not be sent there any more */
	int64_t gone;	  /* that were pending, and will not be sent */
};

struct operate {
	enum kind kind;
	bool only_ask; /* rerun without --yes */
	struct progress now, then;
	struct freed *freed; /* of the chunk in hand */
	size_t freed_n;
	bool rescan[CONF_WATCHES_MAX];
	uint8_t *missed; /* a bit for each operand that has met no row */
	bool over, totalled;
	size_t told;		 /* operands looked through for records */
	struct report_rows rows; /* rerun without --yes … */
	bool operand_over;	 /* … and its page was the last one of an operand */
};

struct kind_words {
	const char *name, *done, *nothing;
};

static const struct kind_words words[] = {
	[RELEASE] = {"release", "released", "held"},
	[RETRY] = {"retry", "tried again", "failed"},
	[DROP] = {"drop", "dropped", "failed or held"},
	[RERUN] = {"rerun", "run again", "started or failed"},
};

static const char *const left_words[] = {
	[LEFT_DAMAGED] = "damaged in the ledger",
	[LEFT_NO_WATCH] = "the watch is not configured any more",
	[LEFT_NO_REQUEST] = "no request can be made by this configuration",
	[LEFT_UNKNOWN] =
		"a run may exist in a workspace that is not configured any more, so --reason TEXT is needed",
	[LEFT_SENT] = "sent, so that a run may exist, and sent again until an answer tells",
	[LEFT_GOES] = "waiting to be started, and dropped only by PATH",
};

static bool takes_state(enum kind kind, enum ledger_state state)
{
	switch (kind) {
	case RELEASE:
		return state == LEDGER_HELD;
	case RETRY:
		return state == LEDGER_FAILED;
	case DROP:
		return state == LEDGER_FAILED || state == LEDGER_HELD || state == LEDGER_PENDING;
	case RERUN:
		return true; /* rerun_judge says more */
	}
	return false;
}

/* ---- beginning ---- */

static bool selects_nothing(const struct control_request *r)
{
	return r->operands_n == 0 && !r->state[0] && !r->watch[0] && !r->glob[0] && r->since_us == 0 &&
	       r->until_us == 0;
}

static int open_as(struct control_job *j, enum kind kind, struct err *err)
{
	const struct control_request *r = j->request;
	struct operate *o = j->state;
	struct desk *d = j->host;
	int rc = selection_init(&o->now.at, r, err);

	if (rc < 0)
		return rc;
	if (selects_nothing(r))
		return err_set(err, ERR_USAGE, EINVAL, "which files?");
	if (r->state[0] && (!takes_state(kind, (enum ledger_state)o->now.at.filter.state) ||
				   (kind == RERUN && strcmp(r->state, "started") != 0 &&
					   strcmp(r->state, "failed") != 0 && r->operands_n == 0)))
		return err_set(err, ERR_USAGE, EINVAL, "%s is for files that are %s, not %s",
			words[kind].name, words[kind].nothing, r->state);
	if (kind == RERUN && !r->reason[0])
		return err_set(err, ERR_USAGE, EINVAL, "rerun needs a reason");
	if (d->ledger_is_failing(d))
		return err_set(err, ERR_SYSTEM, EIO, "the ledger cannot be written now; nothing was changed");
	o->kind = kind;
	o->only_ask = kind == RERUN && !r->yes;
	o->rows.at = o->now.at;
	o->missed = mem_array(r->operands_n / 8 + 1, 1);
	return 0;
}

static int open_release(struct control_job *j, struct err *err)
{
	return open_as(j, RELEASE, err);
}

static int open_retry(struct control_job *j, struct err *err)
{
	return open_as(j, RETRY, err);
}

static int open_drop(struct control_job *j, struct err *err)
{
	return open_as(j, DROP, err);
}

static int open_rerun(struct control_job *j, struct err *err)
{
	return open_as(j, RERUN, err);
}

static void clear_freed(struct operate *o)
{
	for (size_t i = 0; i < o->freed_n; i++) {
		free(o->freed[i].watch);
		free(o->freed[i].host);
	}
	free(o->freed);
	o->freed = NULL;
	o->freed_n = 0;
}

static void operate_close(struct control_job *j)
{
	struct operate *o = j->state;

	clear_freed(o);
	free(o->missed);
}

/* ---- one row ---- */

static struct freed *freed_of(struct operate *o, const char *watch, const char *host)
{
	for (size_t i = 0; i < o->freed_n; i++)
		if (strcmp(o->freed[i].watch, watch) == 0 && strcmp(o->freed[i].host, host) == 0)
			return &o->freed[i];
	o->freed = mem_resize(o->freed, o->freed_n + 1, sizeof(o->freed[0]));
	o->freed[o->freed_n] = (struct freed){.watch = mem_strdup(watch), .host = mem_strdup(host)};
	return &o->freed[o->freed_n++];
}

/* Never judged: looked at again. A watch that is not configured cannot look. */
static int judge_again(
	struct operate *o, struct desk *d, const struct ledger_row *row, const char *reason, struct err *err)
{
	bool stays = row->state == LEDGER_SKIPPED || strcmp(reason, INTAKE_KNOWN_BEFORE) == 0 ||
		     strcmp(reason, INTAKE_RELEASED) == 0;
	int watch = desk_find(d, row->watch);
	int rc;

	if (watch < 0) {
		o->then.left[LEFT_NO_WATCH]++;
		return 0;
	}
	rc = stays ? ledger_set_state(d->ledger, row->id, row->state, INTAKE_RELEASED,
			     "a person has released it; it is judged by the next listing", LEDGER_RULES_LOOK,
			     clock_wall_us(), err)
		   : ledger_remove(d->ledger, row->id, err);
	if (rc < 0)
		return rc;
	o->rescan[watch] = true;
	o->then.rejudged++;
	return 0;
}

/* Its request is made by the present configuration if it cannot have been sent. 1: it goes, 0: it cannot,
 * -errno */
static int renew_held(struct desk *d, const struct ledger_row *row, struct err *err)
{
	if (row->state != LEDGER_HELD || !conf_watch_find(d->conf, row->watch))
		return 1;
	return renew_release(d->conf, d->ledger, row->id, clock_wall_us(), err);
}

static int requeue_renewed(
	struct operate *o, struct desk *d, const struct ledger_row *row, bool sent, struct err *err)
{
	bool unchecked = !conf_watch_find(d->conf, row->watch);
	struct ledger_row now = {.id = 0}; /* its host may be another one */
	int rc = ledger_requeue(d->ledger, row->id, sent, unchecked, clock_wall_us(), err);

	if (rc == 0)
		rc = ledger_row(d->ledger, row->id, &now, err);
	if (rc <= 0)
		return rc;
	if (now.host)
		freed_of(o, row->watch, remake_host(d->conf, &now))->rows++;
	ledger_row_done(&now);
	o->then.changed++;
	return 0;
}

static int requeue(struct operate *o, struct desk *d, const struct ledger_row *row,
	const struct ledger_note *note, struct err *err)
{
	/* of what failed for another reason it is known that no run exists */
	bool sent = row->sent && (row->state != LEDGER_FAILED || outcome_may_have_run(note->reason));
	int rc;

	if (!sent) { /* it would read what the newer version is started for */
		rc = supersede_if_newer(d->ledger, d->scribe, row, clock_wall_us(), err);
		o->then.superseded += rc > 0;
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	if (!note->has_request)
		return judge_again(o, d, row, note->reason, err);
	rc = renew_held(d, row, err);
	o->then.left[LEFT_NO_REQUEST] += rc == 0;
	return rc > 0 ? requeue_renewed(o, d, row, sent, err) : rc;
}

static bool is_by_path(const struct control_job *j)
{
	return j->request->operands_n > 0;
}

/* Why a row that waits is not dropped; LEFT_KINDS: it is. Which of those that were never sent, or surely not
 * started, is not wanted is said by name, lest one word takes away a whole backlog. */
static enum left left_waiting(const struct control_job *j, const struct ledger_row *row)
{
	const struct desk *d = j->host;

	if (remake_is_stranded(d->conf, row))
		return j->request->reason[0] ? LEFT_KINDS : LEFT_UNKNOWN;
	if (row->sent)
		return LEFT_SENT;
	return is_by_path(j) ? LEFT_KINDS : LEFT_GOES;
}

static void note_dropped(struct operate *o, const struct desk *d, const struct ledger_row *row)
{
	const struct conf_watch *w = conf_watch_find(d->conf, row->watch);
	const char *host = remake_host(d->conf, row);
	struct freed *f = freed_of(o, row->watch, host);

	if (row->sent)
		f->stranded++;
	else if (w && w->workspace && strcmp(w->workspace->host_token, host) == 0)
		f->gone++;
}

static int drop(struct operate *o, struct control_job *j, const struct ledger_row *row, struct err *err)
{
	const struct control_request *r = j->request;
	struct desk *d = j->host;
	bool waits = row->state == LEDGER_PENDING, unknown = waits && row->sent;
	enum left left = waits ? left_waiting(j, row) : LEFT_KINDS;
	int rc;

	if (left != LEFT_KINDS) {
		o->then.left[left]++;
		return 0;
	}
	rc = ledger_set_state(d->ledger, row->id, LEDGER_DROPPED, unknown ? "outcome_unknown" : "operator",
		r->reason, "", clock_wall_us(), err);
	if (rc < 0)
		return rc;
	if (waits)
		note_dropped(o, d, row);
	o->then.unknown += unknown;
	o->then.changed++;
	return 0;
}

static int rerun_next(struct operate *o, struct control_job *j, const struct ledger_row *row,
	const struct rerun *r, struct err *err)
{
	struct desk *d = j->host;
	int rc = rerun_insert(d, row, r, j->request->reason, err);

	if (rc < 0)
		return rc;
	freed_of(o, row->watch, remake_watch(d->conf, row)->workspace->host_token)->rows++;
	if (row->state == LEDGER_PENDING)
		freed_of(o, row->watch, row->host)->stranded++;
	o->then.unknown += r->unknown;
	o->then.changed++;
	return 0;
}

/* Why it is left, or that is nothing to speak of: LEFT_KINDS. */
static enum left left_by(enum rerun_kind kind)
{
	if (kind == RERUN_NO_WATCH)
		return LEFT_NO_WATCH;
	return kind == RERUN_NO_REQUEST ? LEFT_NO_REQUEST : LEFT_KINDS;
}

static int rerun(struct operate *o, struct control_job *j, const struct ledger_row *row,
	const struct ledger_note *note, struct err *err)
{
	struct rerun r;
	int rc;

	rerun_init(&r);
	rc = rerun_judge(j->host, row, note, is_by_path(j), &r, err);
	if (rc == 0) {
		o->then.hit |= r.kind != RERUN_STATE && r.kind != RERUN_OLDER;
		if (left_by(r.kind) != LEFT_KINDS)
			o->then.left[left_by(r.kind)]++;
		else if (r.kind == RERUN_FIRST)
			rc = judge_again(o, j->host, row, note->reason, err);
		else if (r.kind == RERUN_NEXT)
			rc = rerun_next(o, j, row, &r, err);
	}
	rerun_done(&r);
	return rc;
}

/* Is the row meant at all? Of those that wait only what is named, or asked for by its state, can be dropped.
 */
static bool is_meant(const struct operate *o, const struct control_job *j, const struct ledger_row *row)
{
	if (!takes_state(o->kind, row->state))
		return false;
	return o->kind != DROP || row->state != LEDGER_PENDING || is_by_path(j) || j->request->state[0];
}

static int change_row(struct operate *o, struct control_job *j, const struct ledger_row *row,
	const struct ledger_note *note, struct err *err)
{
	if (!is_meant(o, j, row))
		return 0;
	o->then.hit |= o->kind != RERUN;
	switch (o->kind) {
	case RELEASE:
	case RETRY:
		return requeue(o, j->host, row, note, err);
	case DROP:
		return drop(o, j, row, err);
	case RERUN:
		return rerun(o, j, row, note, err);
	}
	return 0;
}

/* ---- a chunk ---- */

static int change_page(struct operate *o, struct control_job *j, const int64_t *ids, int n, struct err *err)
{
	struct desk *d = j->host;

	for (int i = 0; i < n; i++) {
		struct ledger_row row;
		struct ledger_note note;
		int rc = selection_load(&o->then.at, d->ledger, ids[i], &row, &note, err);

		if (rc == -EBADMSG) { /* a damaged row is nothing that could be changed */
			log_error("%s; it is left as it is", err->text);
			o->then.left[LEFT_DAMAGED]++;
			continue;
		}
		if (rc > 0) {
			rc = change_row(o, j, &row, &note, err);
			ledger_note_done(&note);
			ledger_row_done(&row);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int write_event(const struct operate *o, struct control_job *j, struct err *err)
{
	struct desk *d = j->host;
	CLEANUP_BUF struct buf arguments = BUF_INIT(ARGUMENTS_BYTES);
	struct event_action x = {
		.verb = j->request->verb,
		.user = j->request->user,
		.reason = j->request->reason,
		.count = o->then.changed + o->then.rejudged + o->then.superseded,
	};

	if (x.count == 0)
		return 0;
	selection_describe(j->request, &arguments);
	x.arguments = buf_str(&arguments);
	return scribe_action(
		d->scribe, j->request->watch[0] ? j->request->watch : NULL, &x, clock_wall_us(), err);
}

static int operate_apply(struct control_job *j, struct err *err)
{
	struct operate *o = j->state;
	const struct desk *d = j->host;
	int64_t ids[OPERATE_CHUNK];
	int rc = 0, rows = 0;

	clear_freed(o);
	o->then = o->now;
	o->over = o->only_ask;
	for (int pages = 0; rc == 0 && !o->over && rows < OPERATE_CHUNK && pages < OPERATE_CHUNK; pages++) {
		size_t operand = o->then.at.operand;
		bool operand_over;
		int n;

		rc = selection_page(
			&o->then.at, d->ledger, ids, OPERATE_CHUNK - rows, &n, &operand_over, err);
		if (rc == 0)
			rc = change_page(o, j, ids, n, err);
		if (operand_over) {
			if (!o->then.hit)
				o->missed[operand / 8] |= (uint8_t)(1u << (operand % 8));
			o->then.hit = false;
		}
		rows += rc == 0 ? n : 0;
		o->over = selection_is_over(&o->then.at);
		if (o->then.at.operands_n == 0)
			break; /* a stretch of the ledger is enough for one round */
	}
	if (rc == 0 && o->freed_n > 0) /* the file may have gone or changed since it was accepted */
		rc = sender_doubt_all(d->sender, err);
	if (rc == 0 && o->over && !o->only_ask)
		rc = write_event(o, j, err);
	if (rc < 0)
		return rc;
	return o->over ? 0 : CONTROL_AGAIN;
}

static void ask_to_rescan(struct operate *o, struct desk *d)
{
	static const struct wire_empty m = {0};

	for (size_t i = 0; i < d->conf->watches_n; i++) {
		const struct desk_watch *w = d->watch(d, i);

		if (o->rescan[i] && w->link && link_send(w->link, WIRE_RESCAN, &m) == -EMSGSIZE)
			trace(TRACE_CONTROL, "watch %s cannot be asked to list", d->conf->watches[i]->name);
		o->rescan[i] = false;
	}
}

static const char *plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

static int64_t count_left(const struct progress *p)
{
	int64_t all = 0;

	for (int i = 0; i < LEFT_KINDS; i++)
		all += p->left[i];
	return all;
}

static void add_left(struct buf *b, const struct progress *p)
{
	for (int i = 0; i < LEFT_KINDS; i++)
		if (p->left[i] > 0)
			(void)buf_addf(b, "; %" PRId64 " left as %s: %s", p->left[i],
				p->left[i] == 1 ? "it is" : "they are", left_words[i]);
}

/* A typing error? Files of a watch that is configured no more are there as long as the ledger has some. */
static bool is_unknown_watch(const struct control_job *j)
{
	return j->request->watch[0] && desk_find(j->host, j->request->watch) < 0;
}

static void conclude(struct operate *o, struct control_job *j)
{
	const struct progress *p = &o->now;
	CLEANUP_BUF struct buf b = BUF_INIT(ERR_TEXT_BYTES);
	bool any = p->changed + p->rejudged + p->superseded > 0;

	if (!any && is_unknown_watch(j) && count_left(p) == 0) {
		control_say(j, EXIT_USAGE,
			"there is no watch \"%.60s\", and the ledger has no %s files of one",
			j->request->watch, words[o->kind].nothing);
		return;
	}
	if (p->changed > 0 || p->rejudged == 0)
		(void)buf_addf(
			&b, "%" PRId64 " file%s %s", p->changed, plural(p->changed), words[o->kind].done);
	if (p->unknown > 0)
		(void)buf_addf(&b, ", %" PRId64 " of them may have a run already", p->unknown);
	if (p->superseded > 0)
		(void)buf_addf(&b, "; %" PRId64 " superseded: a newer version of %s is known", p->superseded,
			p->superseded == 1 ? "the file" : "each file");
	if (p->rejudged > 0)
		(void)buf_addf(&b,
			"%s%" PRId64 " file%s that had never been judged %s judged now, by a listing",
			b.len > 0 ? "; " : "", p->rejudged, plural(p->rejudged),
			p->rejudged == 1 ? "is" : "are");
	add_left(&b, p);
	if (any)
		log_info("%s: %s by %s", j->request->verb, buf_str(&b), j->request->user);
	control_say(j, count_left(p) > 0 ? 1 : 0, "%s", buf_str(&b));
}

static void operate_committed(struct control_job *j)
{
	struct operate *o = j->state;
	struct desk *d = j->host;

	o->now = o->then;
	for (size_t i = 0; i < o->freed_n; i++) {
		const struct freed *f = &o->freed[i];

		if (f->gone > 0)
			sender_gone(d->sender, f->watch, f->gone);
		if (f->stranded > 0)
			sender_unstranded(d->sender, f->watch, f->host, f->stranded);
		if (f->rows > 0)
			sender_released(d->sender, f->watch, f->host, f->rows);
	}
	clear_freed(o);
	CRASH_POINT("operate-chunk");
	if (!o->over)
		return;
	ask_to_rescan(o, d);
	if (!o->only_ask)
		conclude(o, j);
}

/* ---- records ---- */

/* What there is of a path that met nothing that could be changed. */
static int tell_missed(
	struct control_job *j, const struct control_operand *operand, struct buf *json, struct err *err)
{
	const struct operate *o = j->state;
	const struct desk *d = j->host;
	struct json_writer w = JSON_WRITER(json);
	int64_t id = 0, ids[REPORT_PAGE];
	struct ledger_row row = {.id = 0};
	int n, rc = 0;

	while ((n = ledger_select_path(d->ledger, operand->bytes, id, ids, REPORT_PAGE, err)) > 0)
		id = ids[n - 1];
	if (n == 0 && id > 0)
		rc = ledger_row(d->ledger, id, &row, err);
	if (n < 0 || rc < 0)
		return n < 0 ? n : rc;
	json_begin_object(&w, NULL);
	report_add_path(&w, operand->bytes, "");
	json_add_string(&w, "state", rc > 0 ? ledger_state_name(row.state) : NULL);
	json_add_string(
		&w, "problem", rc > 0 ? "not in a state that this is for" : "the ledger knows no such file");
	json_add_string(&w, "needed", words[o->kind].nothing);
	if (rc > 0 && o->kind != RERUN && (row.state == LEDGER_SKIPPED || row.state == LEDGER_DISCARDED))
		json_add_string(&w, "way_out", "brickwatch rerun starts it");
	json_end_object(&w);
	if (rc > 0)
		ledger_row_done(&row);
	j->status = 1;
	return 1;
}

/* The last record: what was done. 1: it is there, 0: it was told */
static int tell_totals(struct control_job *j, struct buf *json)
{
	struct operate *o = j->state;
	struct json_writer w = JSON_WRITER(json);

	if (o->totalled)
		return 0;
	o->totalled = true;
	json_begin_object(&w, NULL);
	json_begin_object(&w, "totals");
	json_add_i64(&w, "changed", o->now.changed);
	json_add_i64(&w, "judged_again", o->now.rejudged);
	json_add_i64(&w, "superseded", o->now.superseded);
	json_add_i64(&w, "left", count_left(&o->now));
	json_end_object(&w);
	json_end_object(&w);
	return 1;
}

static int next_missed(struct control_job *j, struct buf *json, struct err *err)
{
	struct operate *o = j->state;
	const struct control_request *r = j->request;

	for (; o->told < r->operands_n; o->told++)
		if (o->missed[o->told / 8] & (1u << (o->told % 8)))
			return tell_missed(j, &r->operands[o->told++], json, err);
	return tell_totals(j, json);
}

/* rerun without --yes: one row of what would be done. 1: a record, 0: none for this one, -errno */
static int ask_row(struct operate *o, struct control_job *j, int64_t id, struct buf *json, struct err *err)
{
	struct desk *d = j->host;
	struct json_writer w = JSON_WRITER(json);
	struct ledger_row row;
	struct ledger_note note;
	struct rerun r;
	int rc = selection_load(&o->rows.at, d->ledger, id, &row, &note, err);

	if (rc <= 0)
		return rc;
	rerun_init(&r);
	rc = rerun_judge(d, &row, &note, is_by_path(j), &r, err);
	if (rc == 0) {
		o->now.hit |= r.kind != RERUN_STATE && r.kind != RERUN_OLDER;
		o->now.changed += r.kind == RERUN_NEXT;
		o->now.rejudged += r.kind == RERUN_FIRST;
		if (left_by(r.kind) != LEFT_KINDS)
			o->now.left[left_by(r.kind)]++;
		rc = r.kind == RERUN_NEXT && r.unknown;
		o->now.unknown += rc;
	}
	if (rc > 0) {
		CLEANUP_FREE char *problem =
			mem_printf("%s: its run may exist, another one would be a second",
				note.reason[0] ? note.reason : "outcome_unknown");

		json_begin_object(&w, NULL);
		json_add_string(&w, "watch", row.watch);
		report_add_path(&w, row.root, row.relpath);
		json_add_string(&w, "state", ledger_state_name(row.state));
		json_add_string(&w, "problem", problem);
		json_end_object(&w);
	}
	rerun_done(&r);
	ledger_note_done(&note);
	ledger_row_done(&row);
	return rc;
}

static void conclude_asked(struct operate *o, struct control_job *j)
{
	const struct progress *p = &o->now;
	CLEANUP_BUF struct buf b = BUF_INIT(ERR_TEXT_BYTES);

	(void)buf_addf(&b,
		"%" PRId64 " file%s would be run again, %" PRId64 " of them with an unknown outcome",
		p->changed, plural(p->changed), p->unknown);
	if (p->rejudged > 0)
		(void)buf_addf(&b, "; %" PRId64 " would be judged now, and have %s first run", p->rejudged,
			p->rejudged == 1 ? "its" : "their");
	add_left(&b, p);
	if (count_left(p) + p->changed + p->rejudged == 0 && j->status == 0)
		(void)buf_addf(
			&b, ": none of those selected is %s in its newest version", words[RERUN].nothing);
	control_say(j, 1, "%s; nothing was done%s", buf_str(&b),
		p->changed + p->rejudged > 0 ? ", say --yes to do it" : "");
}

static int next_asked(struct control_job *j, struct buf *json, struct err *err)
{
	struct operate *o = j->state;
	struct report_rows *r = &o->rows;
	const struct desk *d = j->host;
	int rc = 0;

	while (rc == 0 && r->pos < r->n)
		rc = ask_row(o, j, r->ids[r->pos++], json, err);
	if (rc != 0)
		return rc;
	if (o->operand_over) { /* this path is through */
		size_t operand = r->at.operand - 1;

		o->operand_over = false;
		if (!o->now.hit)
			rc = tell_missed(j, &j->request->operands[operand], json, err);
		o->now.hit = false;
		if (rc != 0)
			return rc;
	}
	if (!selection_is_over(&r->at)) {
		r->pos = 0;
		rc = selection_page(&r->at, d->ledger, r->ids, REPORT_PAGE, &r->n, &o->operand_over, err);
		return rc < 0 ? rc : -EINPROGRESS;
	}
	if (o->now.changed == 0 && is_unknown_watch(j)) {
		control_say(j, EXIT_USAGE,
			"there is no watch \"%.60s\", and the ledger has no %s files of one",
			j->request->watch, words[o->kind].nothing);
		return 0;
	}
	conclude_asked(o, j);
	return 0;
}

static int operate_next(struct control_job *j, struct buf *json, struct err *err)
{
	const struct operate *o = j->state;

	return o->only_ask ? next_asked(j, json, err) : next_missed(j, json, err);
}

#define OPERATE_VERB(kind)                                                                                   \
	{                                                                                                    \
		.name = #kind, .state_bytes = sizeof(struct operate), .open = open_##kind,                   \
		.apply = operate_apply, .committed = operate_committed, .next = operate_next,                \
		.close = operate_close                                                                       \
	}

const struct control_verb operate_release = OPERATE_VERB(release);
const struct control_verb operate_retry = OPERATE_VERB(retry);
const struct control_verb operate_drop = OPERATE_VERB(drop);
const struct control_verb operate_rerun = OPERATE_VERB(rerun);
