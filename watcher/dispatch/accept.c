/*
 * accept: a token that somebody has is not an error by itself: the same file has it for an older version, or
 * a watch that was renamed has left it. Only another file under the same remote path is one.
 */
#include "dispatch/accept.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "core/jobcheck.h"
#include "core/pathmap.h"
#include "core/request.h"
#include "core/template.h"
#include "core/token.h"
#include "dispatch/elsewhere.h"
#include "dispatch/renew.h"
#include "dispatch/supersede.h"

#define GENERATIONS_MAX 100000 /* of one token text: a file that alternates between two versions */
#define MOVED_LOOK 8	       /* rows with the same inode, size and time: more than one is rare */

/* Rows of a watch that is no longer configured, for the same file: the watch was renamed. */
static bool is_left_over(const struct intake *in, const struct incoming *f, const struct ledger_owner *o)
{
	return o->root_id == f->key.root_id && o->same_relpath && !conf_watch_find(in->conf, o->watch);
}

static bool is_same_key(const struct incoming *f, const struct ledger_owner *o)
{
	return o->root_id == f->key.root_id && (o->same_relpath || o->moved) &&
	       strcmp(o->watch, f->watch->name) == 0;
}

enum token_found { TOKEN_FREE, TOKEN_UNUSED, TOKEN_TAKEN, TOKEN_LEFT_OVER };

/* The first generation from *generation on whose token no run of this file itself can have. Fills token and,
 * unless it is free, who has it. UNUSED: an older row of this file that was never sent. */
static int find_token(struct intake *in, const struct incoming *f, int64_t *generation,
	char token[TOKEN_BYTES], struct ledger_owner *ret_owner, enum token_found *ret, struct err *err)
{
	const struct conf_watch *w = f->watch;

	for (int64_t n = 0; n < GENERATIONS_MAX; n++, ++*generation) {
		int rc;

		token_make(w->workspace->host_token, w->job_id, f->version.size, f->version.mtime_ns,
			*generation, buf_str(&f->uri), (enum conf_version)w->version, token);
		rc = ledger_find_token(in->ledger, token, f->key.relpath, ret_owner, err);
		if (rc < 0)
			return rc;
		if (rc > 0 && is_same_key(f, ret_owner) && !ret_owner->unused)
			continue;
		if (rc == 0)
			*ret = TOKEN_FREE;
		else if (is_same_key(f, ret_owner))
			*ret = TOKEN_UNUSED;
		else
			*ret = is_left_over(in, f, ret_owner) ? TOKEN_LEFT_OVER : TOKEN_TAKEN;
		return 0;
	}
	*ret = TOKEN_TAKEN;
	return 0;
}

static char *directory_uri(const struct incoming *f)
{
	CLEANUP_BUF struct buf b = BUF_INIT(INCOMING_URI_BYTES);
	const char *slash = strrchr(f->path, '/');
	CLEANUP_FREE char *directory =
		slash == f->path ? mem_strdup("/") : mem_strndup(f->path, (size_t)(slash - f->path));

	(void)pathmap_apply(f->watch, directory, &b);
	return mem_strdup(buf_str(&b));
}

/* The body, into in->request. *ret_reason: NULL, or why this file can never be sent (with *err). */
static void build_request(struct intake *in, const struct incoming *f, const char *token, int64_t now_us,
	const char **ret_reason, struct err *err)
{
	CLEANUP_FREE char *dir_uri = directory_uri(f);
	struct template_facts facts = {
		.path = f->path,
		.uri = buf_str(&f->uri),
		.relpath = f->wire->relpath,
		.dir_uri = dir_uri,
		.size = f->wire->size,
		.mtime_ns = f->wire->mtime_ns,
		.type = f->wire->mime,
		.watch = f->watch->name,
		.host = f->watch->workspace->host_token,
		.job_id = f->watch->job_id,
		.token = token,
		.now_us = now_us,
	};

	*ret_reason = NULL;
	buf_reset(&in->request);
	if (request_build(f->watch, &facts, &in->request, ret_reason, err) == 0)
		*ret_reason = NULL;
	else if (!*ret_reason)
		*ret_reason = "request_not_built";
}

static bool has_reason(const char *reason, const char *word)
{
	return reason && strcmp(reason, word) == 0;
}

/* Thousands are held for this reason at once, and that is said for all of them together. */
static bool is_held_with_others(const char *reason)
{
	return has_reason(reason, INCOMING_EXISTING) || has_reason(reason, INCOMING_LOST) ||
	       has_reason(reason, INTAKE_KNOWN_BEFORE) || has_reason(reason, FLOOD_HELD);
}

static void say_accepted(const struct intake *in, const struct incoming *f, const struct ledger_new *row,
	struct intake_result *ret)
{
	char path[INCOMING_SHOWN_BYTES], uri[INCOMING_SHOWN_BYTES], job[JOBCHECK_WORD_BYTES];

	ret->accepted = row->state == LEDGER_PENDING;
	if (in->dry && ret->accepted)
		incoming_say_plain(
			ret, mem_printf("would start %s (%s) %s -> %s  type %s",
				     jobcheck_call(row->job_id, f->watch->job_name, job), f->watch->name,
				     incoming_show(f->path, path), incoming_show(row->uri, uri),
				     row->mime[0] ? row->mime : "-"));
	else if (in->dry)
		incoming_say_plain(
			ret, mem_printf("would hold %s: %s", incoming_show(f->path, path), row->detail));
	else if (!ret->accepted && !is_held_with_others(row->reason))
		incoming_say(ret, LOG_LEVEL_WARNING,
			mem_printf("held: %s: %s", incoming_show(f->path, path), row->detail));
}

static int insert_version(struct intake *in, struct incoming *f, struct ledger_new *row, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	struct err why = ERR_INIT;
	const char *reason;
	int64_t id;
	int rc = ledger_last_run(in->ledger, &f->key, &row->previous_run_id, err);

	if (rc < 0)
		return rc;
	build_request(in, f, row->token, now_us, &reason, &why);
	if (reason)
		return incoming_insert_failed(in, f, row, reason, why.text, now_us, ret, err);
	row->request = buf_str(&in->request);
	row->request_len = in->request.len;
	rc = ledger_insert(in->ledger, row, &id, err);
	if (rc == 0)
		say_accepted(in, f, row, ret);
	return rc;
}

static int take_over(struct intake *in, struct incoming *f, const struct ledger_owner *owner, struct err *err)
{
	struct ledger_key key = f->key;

	key.watch = owner->watch;
	return ledger_move_key(in->ledger, &key, f->watch->name, err);
}

/* Too many at once? */
static int pull_brake(
	struct intake *in, struct incoming *f, int64_t now_us, struct intake_result *ret, struct err *err)
{
	bool hold = false;
	char *text = NULL;
	int rc = flood_take(in->flood, f->watch, now_us, &hold, &text, err);

	if (rc < 0)
		return rc;
	if (text)
		incoming_say(ret, LOG_LEVEL_WARNING, text);
	if (hold) {
		f->hold = FLOOD_HELD;
		f->hold_detail = "more files came at once than `brake` allows";
	}
	return 0;
}

/* The watch does not know the file, or only that it was known before. Is it known under a watch that is not
 * configured any more? Its token is another one, else its rows had gone over. */
static int look_elsewhere(struct intake *in, const struct intake_peer *peer, struct incoming *f,
	int64_t now_us, struct err *err)
{
	enum elsewhere elsewhere = ELSEWHERE_NO;
	int rc = 0;

	if (!f->has_known)
		rc = elsewhere_find(in, peer, &f->key, f->wire->root, &f->version, f->wire->by_listing != 0,
			&elsewhere, err);
	if (rc == 0 && !f->hold && elsewhere != ELSEWHERE_NO) {
		f->hold = INTAKE_KNOWN_BEFORE;
		f->hold_detail = incoming_hold_words(f->hold);
	}
	if (rc == 0 && (has_reason(f->hold, INTAKE_KNOWN_BEFORE) ||
			       (f->has_known && has_reason(f->known.reason, INTAKE_RELEASED))))
		rc = elsewhere_supersede(in, &f->key, now_us, err);
	return rc;
}

/* The version is not known: give it a token and a row. */
static int accept_version(struct intake *in, const struct intake_peer *peer, struct incoming *f,
	int64_t now_us, struct intake_result *ret, struct err *err)
{
	struct ledger_new row = incoming_row(f, now_us);
	struct ledger_owner owner;
	enum token_found found = TOKEN_FREE;
	char token[TOKEN_BYTES];
	int rc;

	if (f->relation == VERSION_GENERATION)
		row.generation = f->known.generation; /* the next one, if a run can have this token */
	rc = supersede_waiting(
		in->ledger, in->scribe, &f->key, f->watch->workspace->host_token, now_us, &ret->gone, err);
	if (rc == 0)
		rc = find_token(in, f, &row.generation, token, &owner, &found, err);
	if (rc == 0 && found == TOKEN_UNUSED) {
		row.revived = owner.revived + 1;
		rc = ledger_clear_token(in->ledger, owner.id, err);
	}
	if (rc < 0)
		return rc;
	if (found == TOKEN_LEFT_OVER) {
		rc = take_over(in, f, &owner, err);
		if (rc == 0)
			rc = accept_new(in, peer, f, now_us, ret, err);
		if (rc == 0 && f->known.state == LEDGER_PENDING)
			ret->accepted = ret->again = true;
		return rc;
	}
	if (found == TOKEN_TAKEN)
		return incoming_insert_failed(in, f, &row, "same_remote_file",
			"another file is known under the same remote path, size and time", now_us, ret, err);
	row.token = token;
	rc = look_elsewhere(in, peer, f, now_us, err);
	if (rc < 0)
		return rc;
	if (!f->hold && (f->relation == VERSION_HOLD || f->relation == VERSION_ENDS)) {
		f->hold = "ends_unknown";
		f->hold_detail = "only its time differs from a version whose contents are not known";
	}
	if (!f->hold) {
		rc = pull_brake(in, f, now_us, ret, err);
		if (rc < 0)
			return rc;
	}
	if (f->hold) {
		row.state = LEDGER_HELD;
		row.reason = f->hold;
		row.detail = f->hold_detail;
	}
	return insert_version(in, f, &row, now_us, ret, err);
}

/* ---- known versions ---- */

/* It was gone or replaced before its run was started, and is there again: the same token, so that a run is
 * the same run. 1: so it is, 0: nothing could be done, -errno */
static int take_again(struct intake *in, const struct incoming *f, int64_t now_us, struct intake_result *ret,
	struct err *err)
{
	char path[INCOMING_SHOWN_BYTES];
	int rc = ledger_revive(in->ledger, f->known.id, now_us, err);

	if (rc <= 0)
		return rc;
	ret->accepted = ret->again = true;
	incoming_say(ret, LOG_LEVEL_INFO, mem_printf("found again: %s", incoming_show(f->path, path)));
	return 1;
}

static int take_existing(struct intake *in, const struct intake_peer *peer, struct incoming *f,
	int64_t now_us, struct intake_result *ret, struct err *err)
{
	bool take;
	int rc = incoming_judge_placeholder(in, f, &take, err);

	if (rc < 0 || !take)
		return rc;
	rc = ledger_remove(in->ledger, f->known.id, err);
	return rc < 0 ? rc : accept_version(in, peer, f, now_us, ret, err);
}

/* The version is known. */
static int take_same(struct intake *in, const struct intake_peer *peer, struct incoming *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	char path[INCOMING_SHOWN_BYTES];
	int rc = 0;

	if (!f->known_is_here)
		return 0; /* a dry run */
	if (f->known.state == LEDGER_HELD && strcmp(f->known.reason, RENEW_REMOVED) == 0) {
		/* its watch was renamed */
		rc = renew_release(in->conf, in->ledger, f->known.id, now_us, err);
		ret->accepted = ret->again = rc > 0;
		return rc < 0 ? rc : 0;
	}
	if (incoming_is_placeholder(&f->known))
		return take_existing(in, peer, f, now_us, ret, err);
	if (incoming_is_gone(f->known.state)) {
		rc = take_again(in, f, now_us, ret, err);
		if (rc == 0)
			rc = accept_version(in, peer, f, now_us, ret, err);
		if (rc < 0)
			return rc;
		rc = 0;
	}
	if (f->known.version.mtime_ns != f->version.mtime_ns)
		rc = ledger_set_seen(in->ledger, f->known.id, &f->version, err);
	if (rc < 0 || f->known.state != LEDGER_REJECTED ||
		strcmp(f->known.rules_hash, f->wire->rules_hash) == 0)
		return rc;
	/* turned away by other rules: never started by surprise */
	rc = ledger_set_state(in->ledger, f->known.id, LEDGER_HELD, FLOOD_RULES,
		"it was rejected before and passes now, after the rules were changed", f->wire->rules_hash,
		now_us, err);
	if (rc == 0)
		flood_note_rules(in->flood, f->watch);
	if (rc == 0)
		incoming_say(ret, LOG_LEVEL_WARNING,
			mem_printf("held: %s: it was rejected before and passes now",
				incoming_show(f->path, path)));
	return rc;
}

/* ---- moved files ---- */

/* Do the contents say the same? What was never read has no digest; then there is no run that could
 * be lost by taking it for the same. */
static bool has_ends_of(const struct ledger_row *r, const struct incoming *f)
{
	if (r->version.ends[0] && f->version.ends[0])
		return strcmp(r->version.ends, f->version.ends) == 0;
	return r->state == LEDGER_SKIPPED || r->state == LEDGER_REJECTED || r->state == LEDGER_HELD;
}

/* The row of another name that this inode may have had. 1, 0, -errno */
static int find_other_name(struct ledger *l, const struct ledger_key *key, const struct incoming *f,
	struct ledger_row *ret, struct err *err)
{
	int64_t ids[MOVED_LOOK];
	int n = ledger_by_inode(l, key, &f->version, ids, MOVED_LOOK, err);

	for (int i = 0; i < n; i++) {
		int rc = ledger_row(l, ids[i], ret, err);

		if (rc < 0 && rc != -EBADMSG)
			return rc;
		if (rc > 0 && has_ends_of(ret, f) && !version_other_inode(&ret->version, &f->version))
			return 1;
		if (rc > 0)
			ledger_row_done(ret);
	}
	return n < 0 ? n : 0;
}

static bool may_be_moved(const struct intake_peer *peer, const struct incoming *f)
{
	return !f->has_known && !f->not_moved && peer->inodes_stable && f->version.ino != 0;
}

int accept_find_moved(struct intake *in, const struct intake_peer *peer, const struct incoming *f,
	struct intake_result *ret, struct err *err)
{
	struct ledger_row row;
	int rc = in->dry || !may_be_moved(peer, f) ? 0 : find_other_name(in->ledger, &f->key, f, &row, err);

	if (rc <= 0)
		return rc;
	ret->moved_row = row.id;
	ret->moved_root = mem_strdup(f->wire->root);
	ret->moved_from = mem_strdup(row.relpath);
	ret->moved_version = row.version;
	ret->moved_version.mtime_ns = f->version.mtime_ns;
	ledger_row_done(&row);
	return 0;
}

/* A dry run: says so, and has it known from now on. */
static int say_moved(struct intake *in, struct incoming *f, const char *old_relpath, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	char path[INCOMING_SHOWN_BYTES], old[INCOMING_SHOWN_BYTES];
	struct ledger_new row = incoming_row(f, now_us);
	int64_t id;

	incoming_say_plain(ret, mem_printf("would not start %s: it is %s, moved (unless that is there, too)",
					incoming_show(f->path, path), incoming_show(old_relpath, old)));
	row.state = LEDGER_STARTED;
	return ledger_insert(in->ledger, &row, &id, err);
}

/* A dry run asks nobody whether the old name is gone. 1: said, 0: it was not moved, -errno */
static int is_moved_dry(struct intake *in, const struct intake_peer *peer, struct incoming *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	struct ledger_key there = f->key;
	struct ledger_row row;
	int rc = in->behind && may_be_moved(peer, f);

	if (rc > 0)
		rc = ledger_root(in->behind, f->wire->root, false, &there.root_id, err);
	if (rc > 0)
		rc = find_other_name(in->behind, &there, f, &row, err);
	if (rc <= 0)
		return rc;
	/* one that waits would be started, under one name or the other */
	rc = row.state == LEDGER_PENDING ? 0 : say_moved(in, f, row.relpath, now_us, ret, err);
	if (rc == 0)
		rc = row.state != LEDGER_PENDING;
	ledger_row_done(&row);
	return rc;
}

int accept_new(struct intake *in, const struct intake_peer *peer, struct incoming *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	int rc = incoming_compare(in, peer, f, err);

	if (rc == 0)
		rc = accept_find_moved(in, peer, f, ret, err);
	if (rc < 0 || ret->moved_row > 0)
		return rc;
	if (in->dry)
		rc = is_moved_dry(in, peer, f, now_us, ret, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (f->relation == VERSION_SAME)
		return take_same(in, peer, f, now_us, ret, err);
	ret->stale = incoming_is_marker_stale(f);
	return ret->stale ? 0 : accept_version(in, peer, f, now_us, ret, err);
}
