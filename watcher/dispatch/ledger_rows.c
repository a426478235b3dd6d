/*
 * ledger: versions of files, a row each.
 */
#include "dispatch/ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include "core/filetype.h"
#include "core/request.h"
#include "core/wire.h"
#include "dispatch/db.h"
#include "dispatch/queries.h"

#define LEDGER_URI_BYTES (64u * 1024)

int ledger_glance(struct ledger *l, const struct ledger_key *key, struct ledger_glance *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_GLANCE);
	struct db_columns c = {.s = s};
	struct ledger_glance newest = {.id = 0};
	int rc;

	queries_bind_key(l, s, key);
	while ((rc = db_step(&l->db, s, err)) > 0) {
		int64_t id = db_get_i64(&c, 0, 1);

		if (id > newest.id) {
			newest.id = id;
			newest.size = db_get_i64(&c, 1, 0);
			newest.mtime_ns = db_get_i64(&c, 2, INT64_MIN);
			db_get_text(&c, 3, newest.rules_hash, sizeof(newest.rules_hash));
		}
		if (c.bad)
			return db_finish(&l->db, &c, err);
	}
	if (rc < 0 || newest.id == 0)
		return rc;
	*ret = newest;
	return 1;
}

int ledger_newest(struct ledger *l, const struct ledger_key *key, struct ledger_known *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_NEWEST);
	struct db_columns c = {.s = s};
	struct ledger_known k;
	int rc;

	queries_bind_key(l, s, key);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	k.id = db_get_i64(&c, 0, 1);
	k.state = queries_get_state(&c, 1);
	k.version.size = db_get_i64(&c, 2, 0);
	k.version.mtime_ns = db_get_i64(&c, 3, INT64_MIN);
	k.version.ino = (uint64_t)db_get_i64(&c, 4, INT64_MIN);
	db_get_hex(&c, 5, k.version.ends, sizeof(k.version.ends));
	k.generation = db_get_i64(&c, 6, 0);
	db_get_text(&c, 7, k.rules_hash, sizeof(k.rules_hash));
	db_get_text(&c, 8, k.reason, sizeof(k.reason));
	k.has_token = db_get_i64(&c, 9, 0) != 0;
	k.version.birth_ns = db_get_i64(&c, 10, INT64_MIN);
	k.marker.mtime_ns = db_get_i64(&c, 11, INT64_MIN);
	k.marker.ino = db_get_i64(&c, 12, INT64_MIN);
	rc = db_finish(&l->db, &c, err);
	if (rc > 0)
		*ret = k;
	return rc;
}

int ledger_last_run(struct ledger *l, const struct ledger_key *key, int64_t *ret_run_id, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_LAST_RUN);

	queries_bind_key(l, s, key);
	return db_get_one(&l->db, s, 1, ret_run_id, err);
}

int ledger_find_token(
	struct ledger *l, const char *token, const char *relpath, struct ledger_owner *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_TOKEN);
	struct db_columns c = {.s = s};
	struct ledger_owner o;
	int rc;

	db_bind_text(&l->db, s, 1, token);
	db_bind_path(&l->db, s, 2, relpath);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	o.id = db_get_i64(&c, 0, 1);
	o.root_id = db_get_i64(&c, 1, 1);
	db_get_text(&c, 2, o.watch, sizeof(o.watch));
	o.same_relpath = db_get_i64(&c, 3, 0) != 0;
	o.unused = db_get_i64(&c, 4, 0) != 0;
	o.revived = db_get_i64(&c, 5, 0);
	o.moved = db_get_i64(&c, 6, 0) != 0;
	rc = db_finish(&l->db, &c, err);
	if (rc > 0)
		*ret = o;
	return rc;
}

static void bind_new(struct ledger *l, struct sqlite3_stmt *s, const struct ledger_new *v)
{
	queries_bind_key(l, s, &v->key);
	db_bind_i64(&l->db, s, 4, v->version.size);
	db_bind_i64(&l->db, s, 5, v->version.mtime_ns);
	db_bind_i64(&l->db, s, 6, (int64_t)v->version.ino);
	db_bind_text(&l->db, s, 7, v->version.ends);
	db_bind_i64(&l->db, s, 8, v->owner);
	db_bind_text(&l->db, s, 9, v->mime);
	db_bind_text(&l->db, s, 10, v->evidence);
	db_bind_i64(&l->db, s, 11, v->first_seen_us);
	db_bind_i64(&l->db, s, 12, v->completed_us);
	db_bind_text(&l->db, s, 13, ledger_state_name(v->state));
	db_bind_text(&l->db, s, 14, v->reason);
	db_bind_text(&l->db, s, 15, v->detail);
	db_bind_text(&l->db, s, 16, v->rules_hash);
	db_bind_i64(&l->db, s, 17, v->now_us);
	if (v->token[0])
		db_bind_text(&l->db, s, 18, v->token);
	db_bind_i64(&l->db, s, 19, v->generation);
	db_bind_text(&l->db, s, 20, v->workspace);
	db_bind_text(&l->db, s, 21, v->host);
	db_bind_i64(&l->db, s, 22, v->job_id);
	db_bind_path(&l->db, s, 23, v->uri);
	if (v->request_len > 0)
		db_bind_bytes(&l->db, s, 24, v->request, v->request_len);
	if (v->previous_run_id > 0)
		db_bind_i64(&l->db, s, 25, v->previous_run_id);
	db_bind_i64(&l->db, s, 26, v->failures);
	db_bind_i64(&l->db, s, 27, v->revived);
	db_bind_i64(&l->db, s, 28, l->removed + 1);
	db_bind_i64(&l->db, s, 29, v->version.birth_ns);
	db_bind_i64(&l->db, s, 30, v->marker.mtime_ns);
	db_bind_i64(&l->db, s, 31, v->marker.ino);
}

int ledger_insert(struct ledger *l, const struct ledger_new *v, int64_t *ret_id, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_INSERT);
	bind_new(l, s, v);
	rc = db_change(&l->db, s, err);
	if (rc < 0)
		return rc;
	*ret_id = db_last_id(&l->db);
	return 0;
}

/* ---- changes ---- */

int ledger_set_seen(struct ledger *l, int64_t id, const struct version *as, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_SEEN);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_i64(&l->db, s, 2, as->mtime_ns);
	db_bind_i64(&l->db, s, 3, (int64_t)as->ino);
	db_bind_i64(&l->db, s, 4, as->birth_ns);
	return db_change_one(&l->db, s, err);
}

int ledger_set_state(struct ledger *l, int64_t id, enum ledger_state state, const char *reason,
	const char *detail, const char *rules_hash, int64_t now_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_STATE);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_text(&l->db, s, 2, ledger_state_name(state));
	db_bind_text(&l->db, s, 3, reason);
	db_bind_text(&l->db, s, 4, detail);
	/* what is found again must not be taken for known at a glance */
	db_bind_text(&l->db, s, 5,
		state == LEDGER_VANISHED || state == LEDGER_SUPERSEDED ? LEDGER_RULES_LOOK : rules_hash);
	db_bind_i64(&l->db, s, 6, now_us);
	return db_change_one(&l->db, s, err);
}

int ledger_clear_token(struct ledger *l, int64_t id, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_TOKEN_CLEAR);
	db_bind_i64(&l->db, s, 1, id);
	return db_change_one(&l->db, s, err);
}

int ledger_unsent_of(struct ledger *l, const struct ledger_key *key, int64_t *ids, int n, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_UNSENT_OF);

	queries_bind_key(l, s, key);
	db_bind_i64(&l->db, s, 4, n);
	return db_get_ids(&l->db, s, ids, n, err);
}

int ledger_has_newer(struct ledger *l, int64_t id, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_HAS_NEWER);
	int64_t there;

	db_bind_i64(&l->db, s, 1, id);
	return db_get_one(&l->db, s, 1, &there, err);
}

int ledger_elsewhere(struct ledger *l, const struct ledger_key *key, int64_t *ids, int n, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_ELSEWHERE);

	queries_bind_key(l, s, key);
	db_bind_i64(&l->db, s, 4, n);
	return db_get_ids(&l->db, s, ids, n, err);
}

int ledger_by_inode(struct ledger *l, const struct ledger_key *key, const struct version *v, int64_t *ids,
	int n, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_BY_INODE);

	db_bind_i64(&l->db, s, 1, (int64_t)v->ino);
	db_bind_i64(&l->db, s, 2, v->size);
	db_bind_i64(&l->db, s, 3, v->mtime_ns);
	db_bind_i64(&l->db, s, 4, key->root_id);
	db_bind_text(&l->db, s, 5, key->watch);
	db_bind_i64(&l->db, s, 6, n);
	return db_get_ids(&l->db, s, ids, n, err);
}

int ledger_rename(struct ledger *l, int64_t id, const char *relpath, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_RENAME);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_path(&l->db, s, 2, relpath);
	return db_change_one(&l->db, s, err);
}

int ledger_revive(struct ledger *l, int64_t id, int64_t now_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_REVIVE);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_i64(&l->db, s, 2, now_us);
	rc = db_change(&l->db, s, err);
	return rc < 0 ? rc : db_changes(&l->db) > 0;
}

int ledger_move_key(struct ledger *l, const struct ledger_key *key, const char *to_watch, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_MOVE);
	queries_bind_key(l, s, key);
	db_bind_text(&l->db, s, 4, to_watch);
	return db_change(&l->db, s, err);
}

int ledger_renew(struct ledger *l, int64_t id, const struct ledger_renewal *r, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_RENEW);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_text(&l->db, s, 2, r->workspace);
	db_bind_text(&l->db, s, 3, r->host);
	db_bind_i64(&l->db, s, 4, r->job_id);
	db_bind_path(&l->db, s, 5, r->uri);
	db_bind_text(&l->db, s, 6, r->token);
	db_bind_bytes(&l->db, s, 7, r->request, r->request_len);
	return db_change_one(&l->db, s, err);
}

int ledger_requeue(struct ledger *l, int64_t id, bool sent, bool unchecked, int64_t now_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_REQUEUE);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_i64(&l->db, s, 2, sent);
	db_bind_i64(&l->db, s, 3, unchecked);
	db_bind_i64(&l->db, s, 4, now_us);
	return db_change_one(&l->db, s, err);
}

int ledger_remove(struct ledger *l, int64_t id, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	if (id > l->removed)
		l->removed = id; /* also when it is given up: a gap does no harm */
	s = db_use(&l->db, Q_REMOVE);
	db_bind_i64(&l->db, s, 1, id);
	return db_change_one(&l->db, s, err);
}

int ledger_set_missed(struct ledger *l, int64_t id, int64_t missed, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_MISSED);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_i64(&l->db, s, 2, missed);
	return db_change_one(&l->db, s, err);
}

/* ---- whole rows ---- */

void ledger_row_done(struct ledger_row *r)
{
	free(r->watch);
	free(r->root);
	free(r->relpath);
	free(r->uri);
	free(r->mime);
	free(r->workspace);
	free(r->host);
	free(r->principal);
	*r = (struct ledger_row){.id = 0};
}

static void get_row(struct db_columns *c, struct ledger_row *r)
{
	r->id = db_get_i64(c, 0, 1);
	r->watch = db_get_copy(c, 1, LEDGER_WORD_BYTES);
	r->root = db_get_copy(c, 2, WIRE_PATH_BYTES);
	r->relpath = db_get_copy(c, 3, WIRE_PATH_BYTES);
	r->uri = db_get_copy(c, 4, LEDGER_URI_BYTES);
	r->mime = db_get_copy(c, 5, FILETYPE_MIME_BYTES);
	r->version.size = db_get_i64(c, 6, 0);
	r->version.mtime_ns = db_get_i64(c, 7, INT64_MIN);
	r->version.ino = (uint64_t)db_get_i64(c, 8, INT64_MIN);
	db_get_hex(c, 9, r->version.ends, sizeof(r->version.ends));
	r->owner = db_get_i64(c, 10, INT64_MIN);
	r->first_seen_us = db_get_i64(c, 11, INT64_MIN);
	r->completed_us = db_get_i64(c, 12, INT64_MIN);
	r->state = queries_get_state(c, 13);
	if (!db_is_null(c, 14))
		db_get_hex(c, 14, r->token, sizeof(r->token));
	r->generation = db_get_i64(c, 15, 0);
	r->workspace = db_get_copy(c, 16, LEDGER_WORD_BYTES);
	r->host = db_get_copy(c, 17, WIRE_PATH_BYTES);
	r->job_id = db_get_i64(c, 18, 0);
	r->run_id = db_get_id_or_null(c, 19);
	r->previous_run_id = db_get_id_or_null(c, 20);
	r->sent = db_get_i64(c, 21, 0) != 0;
	r->attempts = db_get_i64(c, 22, 0);
	r->first_failed_us = db_get_i64(c, 23, 0);
	r->last_failed_us = db_get_i64(c, 24, 0);
	r->next_attempt_us = db_get_i64(c, 25, 0);
	r->tried_us = db_get_i64(c, 26, 0);
	r->retryings = db_get_i64(c, 27, 0);
	r->failures = db_get_i64(c, 28, 0);
	r->unchecked = db_get_i64(c, 29, 0) != 0;
	r->skips = db_get_i64(c, 30, 0);
	r->verify_at_us = db_get_i64(c, 31, 0);
	r->principal = db_get_copy(c, 32, LEDGER_PRINCIPAL_BYTES);
	r->revived = db_get_i64(c, 33, 0);
	db_get_text(c, 34, r->reason, sizeof(r->reason));
	r->version.birth_ns = db_get_i64(c, 35, INT64_MIN);
}

int ledger_row(struct ledger *l, int64_t id, struct ledger_row *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_ROW);
	struct db_columns c = {.s = s};
	struct ledger_row r = {.id = 0};
	int rc;

	db_bind_i64(&l->db, s, 1, id);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	get_row(&c, &r);
	rc = db_finish(&l->db, &c, err);
	if (rc > 0)
		*ret = r;
	else
		ledger_row_done(&r);
	return rc;
}

int ledger_request(struct ledger *l, int64_t id, struct buf *b, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_REQUEST);
	struct db_columns c = {.s = s};
	const char *p;
	size_t n;
	int rc;

	db_bind_i64(&l->db, s, 1, id);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	p = db_get_bytes(&c, 0, REQUEST_BODY_BYTES + 1, &n);
	buf_reset(b);
	if (buf_add(b, p, n) < 0)
		db_refuse(&c, 0);
	if (c.bad) {
		db_done(s);
		return err_set(err, ERR_INPUT, EBADMSG, "ledger %s is damaged: request of row %" PRId64,
			l->db.path, id);
	}
	return db_finish(&l->db, &c, err);
}
