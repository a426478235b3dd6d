/*
 * ledger: pending rows in the order in which they are sent, what becomes of them, and runs that are looked
 * at.
 */
#include "dispatch/ledger.h"

#include <stdlib.h>
#include "base/mem.h"
#include "core/wire.h"
#include "dispatch/db.h"
#include "dispatch/queries.h"

static void bind_line(struct ledger *l, struct sqlite3_stmt *s, const struct ledger_line *line)
{
	db_bind_text(&l->db, s, 1, line->watch);
	db_bind_text(&l->db, s, 2, line->host);
	db_bind_i64(&l->db, s, 3, line->certain_only);
}

int ledger_each_line(struct ledger *l,
	int (*fn)(const char *watch, const char *host, int64_t rows, void *arg), void *arg, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_LINES);
	struct db_columns c = {.s = s};
	int rc;

	while ((rc = db_step(&l->db, s, err)) > 0) {
		CLEANUP_FREE char *watch = db_get_copy(&c, 0, LEDGER_WORD_BYTES);
		CLEANUP_FREE char *host = db_get_copy(&c, 1, WIRE_PATH_BYTES);
		int64_t rows = db_get_i64(&c, 2, 1);

		if (c.bad)
			return db_finish(&l->db, &c, err);
		rc = fn(watch, host, rows, arg);
		if (rc < 0) {
			db_done(s);
			return rc;
		}
	}
	return rc;
}

static int get_part(struct ledger *l, enum query q, const struct ledger_line *line, int64_t old_id,
	int64_t now_us, int64_t *ids, int n, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, q);

	db_bind_text(&l->db, s, 1, line->watch);
	db_bind_text(&l->db, s, 2, line->host);
	if (q != Q_FRESH_CERTAIN && q != Q_DUE_CERTAIN)
		db_bind_i64(&l->db, s, 3, old_id);
	if (now_us > 0)
		db_bind_i64(&l->db, s, 4, now_us);
	db_bind_i64(&l->db, s, 5, n);
	return db_get_ids(&l->db, s, ids, n, err);
}

int ledger_fresh(struct ledger *l, const struct ledger_line *line, enum ledger_part part, int64_t old_id,
	int64_t *ids, int n, struct err *err)
{
	static const enum query queries[] = {[LEDGER_CERTAIN] = Q_FRESH_CERTAIN,
		[LEDGER_YOUNG] = Q_FRESH_YOUNG,
		[LEDGER_OLD] = Q_FRESH_OLD};

	return get_part(l, queries[part], line, old_id, 0, ids, n, err);
}

int ledger_due(struct ledger *l, const struct ledger_line *line, enum ledger_part part, int64_t old_id,
	int64_t now_us, int64_t *ids, int n, struct err *err)
{
	static const enum query queries[] = {
		[LEDGER_CERTAIN] = Q_DUE_CERTAIN, [LEDGER_YOUNG] = Q_DUE_YOUNG, [LEDGER_OLD] = Q_DUE_OLD};

	return get_part(l, queries[part], line, old_id, now_us, ids, n, err);
}

int ledger_next_due(
	struct ledger *l, const struct ledger_line *line, int64_t now_us, int64_t *ret_us, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_NEXT_DUE);

	bind_line(l, s, line);
	db_bind_i64(&l->db, s, 4, now_us);
	return db_get_one(&l->db, s, 0, ret_us, err);
}

int ledger_clamp_due(struct ledger *l, const struct ledger_line *line, int64_t now_us, int64_t failed_us,
	int64_t other_us, struct err *err)
{
	int64_t there;
	struct sqlite3_stmt *s;
	int rc = ledger_next_due(l, line, now_us, &there, err);

	if (rc <= 0)
		return rc;
	rc = db_begin(&l->db, err);
	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_CLAMP);
	bind_line(l, s, line);
	db_bind_i64(&l->db, s, 4, now_us);
	db_bind_i64(&l->db, s, 5, failed_us);
	db_bind_i64(&l->db, s, 6, other_us);
	return db_change(&l->db, s, err);
}

int ledger_postpone(struct ledger *l, int64_t id, int64_t until_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_POSTPONE);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_i64(&l->db, s, 2, until_us);
	return db_change(&l->db, s, err);
}

int ledger_mark_sent(struct ledger *l, int64_t id, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_SENT);
	db_bind_i64(&l->db, s, 1, id);
	return db_change_one(&l->db, s, err);
}

int ledger_set_started(struct ledger *l, int64_t id, int64_t run_id, int64_t attempts, const char *principal,
	int64_t now_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_STARTED);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_i64(&l->db, s, 2, run_id);
	db_bind_i64(&l->db, s, 3, attempts);
	db_bind_text(&l->db, s, 4, principal);
	db_bind_i64(&l->db, s, 5, now_us);
	return db_change_one(&l->db, s, err);
}

int ledger_set_retry(struct ledger *l, const struct ledger_row *r, const char *detail, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_RETRY);
	db_bind_i64(&l->db, s, 1, r->id);
	db_bind_i64(&l->db, s, 2, r->sent);
	db_bind_i64(&l->db, s, 3, r->attempts);
	db_bind_i64(&l->db, s, 4, r->first_failed_us);
	db_bind_i64(&l->db, s, 5, r->last_failed_us);
	db_bind_i64(&l->db, s, 6, r->next_attempt_us);
	db_bind_i64(&l->db, s, 7, r->tried_us);
	db_bind_i64(&l->db, s, 8, r->retryings);
	db_bind_text(&l->db, s, 9, detail);
	return db_change_one(&l->db, s, err);
}

int ledger_set_closed(struct ledger *l, const struct ledger_row *r, enum ledger_state state,
	const char *reason, const char *detail, int64_t now_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_FAILED);
	db_bind_i64(&l->db, s, 1, r->id);
	db_bind_i64(&l->db, s, 2, r->attempts);
	db_bind_i64(&l->db, s, 3, r->failures);
	db_bind_text(&l->db, s, 4, reason);
	db_bind_text(&l->db, s, 5, detail);
	db_bind_i64(&l->db, s, 6, now_us);
	db_bind_text(&l->db, s, 7, ledger_state_name(state));
	return db_change_one(&l->db, s, err);
}

/* ---- a changed configuration ---- */

int ledger_unsent(struct ledger *l, int64_t after, int64_t *ids, int n, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_UNSENT);

	db_bind_i64(&l->db, s, 1, after);
	db_bind_i64(&l->db, s, 2, n);
	return db_get_ids(&l->db, s, ids, n, err);
}

int ledger_held(struct ledger *l, const char *watch, const char *reason, int64_t after, int64_t *ids, int n,
	struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_HELD);

	db_bind_text(&l->db, s, 1, watch);
	db_bind_text(&l->db, s, 2, reason);
	db_bind_i64(&l->db, s, 3, after);
	db_bind_i64(&l->db, s, 4, n);
	return db_get_ids(&l->db, s, ids, n, err);
}

/* ---- runs to be looked at ---- */

int ledger_set_verify(struct ledger *l, int64_t id, int64_t at_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_VERIFY);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_i64(&l->db, s, 2, at_us);
	return db_change_one(&l->db, s, err);
}

int ledger_verify_due(struct ledger *l, const char *host, int64_t now_us, int64_t *ret_id, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_VERIFY_DUE);

	db_bind_text(&l->db, s, 1, host);
	db_bind_i64(&l->db, s, 2, now_us);
	return db_get_one(&l->db, s, 1, ret_id, err);
}

int ledger_next_verify(struct ledger *l, const char *host, int64_t *ret_us, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_VERIFY_NEXT);

	db_bind_text(&l->db, s, 1, host);
	return db_get_one(&l->db, s, 1, ret_us, err);
}

int ledger_clamp_verify(struct ledger *l, const char *host, int64_t latest_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_VERIFY_CLAMP);
	db_bind_text(&l->db, s, 1, host);
	db_bind_i64(&l->db, s, 2, latest_us);
	return db_change(&l->db, s, err);
}

int ledger_each_verify(
	struct ledger *l, int (*fn)(const char *host, int64_t rows, void *arg), void *arg, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_VERIFY_HOSTS);
	struct db_columns c = {.s = s};
	int rc;

	while ((rc = db_step(&l->db, s, err)) > 0) {
		CLEANUP_FREE char *host = db_get_copy(&c, 0, WIRE_PATH_BYTES);
		int64_t rows = db_get_i64(&c, 1, 1);

		if (c.bad)
			return db_finish(&l->db, &c, err);
		rc = fn(host, rows, arg);
		if (rc < 0) {
			db_done(s);
			return rc;
		}
	}
	return rc;
}

int ledger_set_skipped(struct ledger *l, int64_t id, int64_t skips, int64_t next_attempt_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_SKIPPED);
	db_bind_i64(&l->db, s, 1, id);
	db_bind_i64(&l->db, s, 2, skips);
	db_bind_i64(&l->db, s, 3, next_attempt_us);
	return db_change_one(&l->db, s, err);
}
