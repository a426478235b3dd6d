/*
 * operate: rows in chunks, a transaction each, so that releasing a million files does not hold up those that
 * come. The event that says who did it is written with the last chunk and counts them all; a crash in between
 * leaves what was committed, and the same command again does the rest.
 *
 * A row without a request has never been judged (it was there before the watch, or its rules have changed).
 * It cannot be sent as it is: it is forgotten, and the watcher asked to list, so that it is judged like a new
 * file.
 *
 * Everything that a chunk leads to is kept apart (struct progress) until it is committed.
 */
#include "dispatch/operate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/start.h"
#include "dispatch/desk.h"
#include "dispatch/renew.h"
#include "dispatch/report.h"
#include "dispatch/selection.h"

#define ARGUMENTS_BYTES (128u * 1024)
#define GENERATIONS_MAX 1000 /* token texts that are taken already */

enum kind { RELEASE, RETRY, DROP, RERUN };

struct progress {
	struct selection at;
	bool hit; /* the operand in hand has met a row */
	int64_t changed, rejudged, left;
	int64_t unknown; /* rerun: of them, those whose run may exist */
};

struct freed { /* rows that became pending */
	char *watch, *host;
	int64_t rows;
};

struct operate {
	enum kind kind;
	bool only_ask; /* rerun without --yes */
	struct progress now, then;
	struct freed *freed; /* of the chunk in hand */
	size_t freed_n;
	bool rescan[CONF_WATCHES_MAX];
	uint8_t *missed; /* a bit for each operand that has met no row */
	bool over;
	size_t told;		 /* operands looked through for records */
	struct report_rows rows; /* rerun without --yes */
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

static bool takes_state(enum kind kind, enum ledger_state state)
{
	switch (kind) {
	case RELEASE:
		return state == LEDGER_HELD;
	case RETRY:
		return state == LEDGER_FAILED;
	case DROP:
		return state == LEDGER_FAILED || state == LEDGER_HELD;
	case RERUN:
		return state == LEDGER_STARTED || state == LEDGER_FAILED;
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
	if (r->state[0] && !takes_state(kind, (enum ledger_state)o->now.at.filter.state))
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

static void add_freed(struct operate *o, const char *watch, const char *host)
{
	for (size_t i = 0; i < o->freed_n; i++) {
		if (strcmp(o->freed[i].watch, watch) == 0 && strcmp(o->freed[i].host, host) == 0) {
			o->freed[i].rows++;
			return;
		}
	}
	o->freed = mem_resize(o->freed, o->freed_n + 1, sizeof(o->freed[0]));
	o->freed[o->freed_n++] =
		(struct freed){.watch = mem_strdup(watch), .host = mem_strdup(host), .rows = 1};
}

/* Never judged: forgotten, and looked at again. A watch that is not configured cannot look. */
static int judge_again(struct operate *o, struct desk *d, const struct ledger_row *row, struct err *err)
{
	int watch = desk_find(d, row->watch);
	int rc;

	if (watch < 0) {
		o->then.left++;
		return 0;
	}
	rc = ledger_remove(d->ledger, row->id, err);
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
		add_freed(o, row->watch, now.host);
	ledger_row_done(&now);
	o->then.changed++;
	return 0;
}

static int requeue(struct operate *o, struct desk *d, const struct ledger_row *row,
	const struct ledger_note *note, struct err *err)
{
	/* of what failed for another reason it is known that no run exists */
	bool sent =
		row->sent && (row->state != LEDGER_FAILED || strcmp(note->reason, "outcome_unknown") == 0);
	int rc;

	if (!note->has_request)
		return judge_again(o, d, row, err);
	rc = renew_held(d, row, err);
	o->then.left += rc == 0;
	return rc > 0 ? requeue_renewed(o, d, row, sent, err) : rc;
}

static int drop(struct operate *o, struct control_job *j, const struct ledger_row *row, struct err *err)
{
	struct desk *d = j->host;
	int rc = ledger_set_state(
		d->ledger, row->id, LEDGER_DROPPED, "operator", j->request->reason, "", clock_wall_us(), err);

	o->then.changed += rc == 0;
	return rc;
}

/* The request anew, under the first generation behind this one whose token is free. 1, 0: it cannot be made,
 * -errno
 */
static int expand(struct desk *d, const struct conf_watch *w, const struct ledger_row *row,
	int64_t *generation, struct start *s, struct err *err)
{
	CLEANUP_FREE char *path = fs_join(row->root, row->relpath);
	struct start_facts facts = {
		.watch = w,
		.path = path,
		.relpath = row->relpath,
		.size = row->version.size,
		.mtime_ns = row->version.mtime_ns,
		.mime = row->mime,
		.generation = row->generation,
		.now_us = clock_wall_us(),
	};
	struct ledger_owner owner;
	struct err why = ERR_INIT;
	const char *reason;

	for (int i = 0; i < GENERATIONS_MAX; i++) {
		int rc;

		facts.generation++;
		if (start_make(&facts, s, &reason, &why) < 0)
			return 0;
		rc = ledger_find_token(d->ledger, s->token, row->relpath, &owner, err);
		if (rc < 0)
			return rc;
		*generation = facts.generation;
		if (rc == 0)
			return 1;
	}
	return 0;
}

static int insert_rerun(struct desk *d, const struct conf_watch *w, const struct ledger_row *row,
	const struct ledger_known *known, int64_t root_id, int64_t generation, const struct start *s,
	struct err *err)
{
	const struct ledger_new v = {
		.key = {.watch = row->watch, .root_id = root_id, .relpath = row->relpath},
		.version = row->version,
		.owner = row->owner,
		.mime = row->mime,
		.evidence = "run again",
		.first_seen_us = row->first_seen_us,
		.completed_us = row->completed_us,
		.state = LEDGER_PENDING,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = s->token,
		.generation = generation,
		.workspace = w->workspace->name,
		.host = w->workspace->host_token,
		.job_id = w->job_id,
		.uri = buf_str(&s->uri),
		.request = s->body.data,
		.request_len = s->body.len,
		.previous_run_id = row->run_id,
		.now_us = clock_wall_us(),
	};
	int64_t id;
	int rc = ledger_insert(d->ledger, &v, &id, err);

	/* the file as it was last seen, so that it is not taken for another version */
	if (rc == 0)
		rc = ledger_set_seen(d->ledger, id, &known->version, err);
	return rc;
}

/* Is it the newest version of its file? An older one as the newest row would make the newer one look new. */
static int is_newest(struct desk *d, const struct ledger_row *row, struct ledger_known *known,
	int64_t *root_id, struct err *err)
{
	struct ledger_key key = {.watch = row->watch, .relpath = row->relpath};
	int rc = ledger_root(d->ledger, row->root, false, &key.root_id, err);

	if (rc > 0)
		rc = ledger_newest(d->ledger, &key, known, err);
	*root_id = key.root_id;
	return rc > 0 ? known->id == row->id : rc;
}

/* A dead letter is closed; a started row stays what it is. */
static int replace_row(struct operate *o, struct control_job *j, const struct ledger_row *row,
	const struct ledger_known *known, int64_t root_id, int64_t generation, const struct start *s,
	struct err *err)
{
	struct desk *d = j->host;
	const struct conf_watch *w = conf_watch_find(d->conf, row->watch);
	int rc = 0;

	if (row->state == LEDGER_FAILED)
		rc = ledger_set_state(d->ledger, row->id, LEDGER_DROPPED, "rerun", j->request->reason, "",
			clock_wall_us(), err);
	if (rc == 0)
		rc = insert_rerun(d, w, row, known, root_id, generation, s, err);
	if (rc < 0)
		return rc;
	add_freed(o, row->watch, w->workspace->host_token);
	o->then.changed++;
	return 0;
}

static int rerun(struct operate *o, struct control_job *j, const struct ledger_row *row,
	const struct ledger_note *note, struct err *err)
{
	struct desk *d = j->host;
	const struct conf_watch *w = conf_watch_find(d->conf, row->watch);
	struct ledger_known known;
	struct start s;
	int64_t root_id = 0, generation = 0;
	int rc = w && w->workspace && w->job_id > 0 && note->has_request
			 ? is_newest(d, row, &known, &root_id, err)
			 : 0;

	if (rc <= 0) {
		o->then.left += rc == 0;
		return rc;
	}
	start_init(&s);
	rc = expand(d, w, row, &generation, &s, err);
	if (rc == 0)
		o->then.left++;
	if (rc > 0)
		rc = replace_row(o, j, row, &known, root_id, generation, &s, err);
	start_done(&s);
	return rc;
}

static int change_row(struct operate *o, struct control_job *j, const struct ledger_row *row,
	const struct ledger_note *note, struct err *err)
{
	if (!takes_state(o->kind, row->state))
		return 0;
	o->then.hit = true;
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
			o->then.left++;
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
		.count = o->then.changed + o->then.rejudged,
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
			log_debug("watch %s cannot be asked to list", d->conf->watches[i]->name);
		o->rescan[i] = false;
	}
}

static const char *plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

static void conclude(struct operate *o, struct control_job *j)
{
	const struct progress *p = &o->now;
	CLEANUP_BUF struct buf b = BUF_INIT(ERR_TEXT_BYTES);
	bool any = p->changed + p->rejudged > 0;

	(void)buf_addf(&b, "%" PRId64 " file%s %s", p->changed, plural(p->changed), words[o->kind].done);
	if (p->rejudged > 0)
		(void)buf_addf(&b,
			"; %" PRId64
			" that had never been judged %s looked at again by the next listing, which was "
			"asked for",
			p->rejudged, p->rejudged == 1 ? "is" : "are");
	if (p->left > 0)
		(void)buf_addf(&b, "; %" PRId64 " left as %s: %s", p->left,
			p->left == 1 ? "it is" : "they are",
			o->kind == RERUN
				? "a newer version is known, or the watch or its request cannot be made"
				: "never judged, and the watch is not configured any more");
	if (any)
		log_info("%s: %s by %s", j->request->verb, buf_str(&b), j->request->user);
	control_say(j, p->left > 0 ? 1 : 0, "%s", buf_str(&b));
}

static void operate_committed(struct control_job *j)
{
	struct operate *o = j->state;
	struct desk *d = j->host;

	o->now = o->then;
	for (size_t i = 0; i < o->freed_n; i++)
		sender_released(d->sender, o->freed[i].watch, o->freed[i].host, o->freed[i].rows);
	clear_freed(o);
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
	json_end_object(&w);
	if (rc > 0)
		ledger_row_done(&row);
	j->status = 1;
	return 1;
}

static int next_missed(struct control_job *j, struct buf *json, struct err *err)
{
	struct operate *o = j->state;
	const struct control_request *r = j->request;

	for (; o->told < r->operands_n; o->told++)
		if (o->missed[o->told / 8] & (1u << (o->told % 8)))
			return tell_missed(j, &r->operands[o->told++], json, err);
	return 0;
}

/* rerun without --yes: one row of what would be done. 1: a record, 0: none for this one, -errno */
static int ask_row(struct operate *o, struct desk *d, int64_t id, struct buf *json, struct err *err)
{
	struct json_writer w = JSON_WRITER(json);
	struct ledger_row row;
	struct ledger_note note;
	bool unknown;
	int rc = selection_load(&o->rows.at, d->ledger, id, &row, &note, err);

	if (rc <= 0)
		return rc;
	unknown = takes_state(RERUN, row.state) && strcmp(note.reason, "outcome_unknown") == 0;
	o->now.changed += takes_state(RERUN, row.state);
	o->now.unknown += unknown;
	if (unknown) {
		json_begin_object(&w, NULL);
		json_add_string(&w, "watch", row.watch);
		report_add_path(&w, row.root, row.relpath);
		json_add_string(&w, "state", ledger_state_name(row.state));
		json_add_string(
			&w, "problem", "outcome_unknown: its run may exist, another one would be a second");
		json_end_object(&w);
	}
	ledger_note_done(&note);
	ledger_row_done(&row);
	return unknown;
}

static int next_asked(struct control_job *j, struct buf *json, struct err *err)
{
	struct operate *o = j->state;
	struct report_rows *r = &o->rows;
	const struct desk *d = j->host;
	bool operand_over;
	int rc = 0;

	while (rc == 0 && r->pos < r->n)
		rc = ask_row(o, j->host, r->ids[r->pos++], json, err);
	if (rc != 0)
		return rc;
	if (!selection_is_over(&r->at)) {
		r->pos = 0;
		rc = selection_page(&r->at, d->ledger, r->ids, REPORT_PAGE, &r->n, &operand_over, err);
		return rc < 0 ? rc : -EINPROGRESS;
	}
	control_say(j, 1,
		"%" PRId64 " file%s would be run again, %" PRId64
		" of them with an unknown outcome; nothing was done, say --yes to do it",
		o->now.changed, plural(o->now.changed), o->now.unknown);
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
