/*
 * ledger: looking through it, a stretch of row numbers at a time, and counting.
 */
#include "dispatch/ledger.h"

#include <stdlib.h>
#include "dispatch/db.h"
#include "dispatch/queries.h"

#define TEXT_BYTES (1024u * 1024)

int ledger_select(struct ledger *l, const struct ledger_filter *f, int64_t after, int64_t through,
	int64_t *ids, int n, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_SELECT);

	db_bind_i64(&l->db, s, 1, after);
	db_bind_i64(&l->db, s, 2, through);
	db_bind_text(&l->db, s, 3, f->state < 0 ? "" : ledger_state_name((enum ledger_state)f->state));
	db_bind_text(&l->db, s, 4, f->watch);
	db_bind_i64(&l->db, s, 5, f->since_us > 0 ? f->since_us : INT64_MIN);
	db_bind_i64(&l->db, s, 6, f->until_us);
	db_bind_i64(&l->db, s, 7, n);
	return db_get_ids(&l->db, s, ids, n, err);
}

int ledger_select_path(
	struct ledger *l, const char *path, int64_t after, int64_t *ids, int n, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_SELECT_PATH);

	db_bind_path(&l->db, s, 1, path);
	db_bind_i64(&l->db, s, 2, after);
	db_bind_i64(&l->db, s, 3, n);
	return db_get_ids(&l->db, s, ids, n, err);
}

int ledger_add_tally(
	struct ledger *l, int64_t after, int64_t through, struct ledger_tally *t, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_TALLY);
	struct db_columns c = {.s = s};
	int rc;

	db_bind_i64(&l->db, s, 1, after);
	db_bind_i64(&l->db, s, 2, through);
	while ((rc = db_step(&l->db, s, err)) > 0) {
		enum ledger_state state = queries_get_state(&c, 0);
		int64_t rows = db_get_i64(&c, 1, 1), oldest_us = db_get_i64(&c, 2, INT64_MIN);

		if (c.bad)
			return db_finish(&l->db, &c, err);
		if (t->of_watch) {
			char watch[LEDGER_WORD_BYTES];

			db_get_text(&c, 3, watch, sizeof(watch));
			if (c.bad)
				return db_finish(&l->db, &c, err);
			t->of_watch(watch, state, rows, t->arg);
		}
		t->rows[state] += rows;
		if (t->oldest_us[state] == 0 || oldest_us < t->oldest_us[state])
			t->oldest_us[state] = oldest_us;
	}
	return rc;
}

void ledger_note_done(struct ledger_note *n)
{
	free(n->detail);
	free(n->principal);
	*n = (struct ledger_note){.detail = NULL};
}

int ledger_note(struct ledger *l, int64_t id, struct ledger_note *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_NOTE);
	struct db_columns c = {.s = s};
	struct ledger_note n = {.detail = NULL};
	int rc;

	db_bind_i64(&l->db, s, 1, id);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	db_get_text(&c, 1, n.reason, sizeof(n.reason));
	n.detail = db_get_copy(&c, 2, TEXT_BYTES);
	n.principal = db_get_copy(&c, 3, TEXT_BYTES);
	n.changed_us = db_get_i64(&c, 4, INT64_MIN);
	n.has_request = db_get_i64(&c, 5, 0) != 0;
	rc = db_finish(&l->db, &c, err);
	if (rc > 0)
		*ret = n;
	else
		ledger_note_done(&n);
	return rc;
}

/* ---- counting ---- */

int ledger_count(struct ledger *l, enum ledger_state state, int64_t *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, state == LEDGER_PENDING ? Q_COUNT_PENDING : Q_COUNT);
	int rc;

	if (state != LEDGER_PENDING)
		db_bind_text(&l->db, s, 1, ledger_state_name(state));
	rc = db_get_one(&l->db, s, 0, ret, err);
	return rc < 0 ? rc : 0;
}

int ledger_count_held(struct ledger *l, const char *watch, const char *reason, int64_t *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_COUNT_HELD);
	int rc;

	db_bind_text(&l->db, s, 1, watch);
	db_bind_text(&l->db, s, 2, reason);
	rc = db_get_one(&l->db, s, 0, ret, err);
	return rc < 0 ? rc : 0;
}

int ledger_held_watch(struct ledger *l, char *watch, size_t watch_bytes, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_HELD_WATCH);
	struct db_columns c = {.s = s};
	int rc;

	db_bind_text(&l->db, s, 1, watch);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	db_get_text(&c, 0, watch, watch_bytes);
	return db_finish(&l->db, &c, err);
}

int ledger_held_reason(struct ledger *l, const char *watch, int64_t most, char *reason, size_t reason_bytes,
	int64_t *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_HELD_REASON);
	struct db_columns c = {.s = s};
	int64_t n;
	int rc;

	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, most);
	db_bind_text(&l->db, s, 3, reason);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	db_get_text(&c, 0, reason, reason_bytes);
	n = db_get_i64(&c, 1, 1);
	rc = db_finish(&l->db, &c, err);
	if (rc > 0)
		*ret = n;
	return rc;
}

int ledger_pending_line(
	struct ledger *l, char *watch, size_t watch_bytes, char *host, size_t host_bytes, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_PENDING_LINE);
	struct db_columns c = {.s = s};
	int rc;

	db_bind_text(&l->db, s, 1, watch);
	db_bind_text(&l->db, s, 2, host);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	db_get_text(&c, 0, watch, watch_bytes);
	db_get_text(&c, 1, host, host_bytes);
	return db_finish(&l->db, &c, err);
}

static int count_line(struct ledger *l, enum query q, const char *watch, const char *host, int64_t most,
	int64_t *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, q);

	db_bind_text(&l->db, s, 1, watch);
	db_bind_text(&l->db, s, 2, host);
	db_bind_i64(&l->db, s, 3, most);
	return db_get_one(&l->db, s, 0, ret, err);
}

int ledger_count_line(
	struct ledger *l, const char *watch, const char *host, int64_t most, int64_t *ret, struct err *err)
{
	return count_line(l, Q_COUNT_LINE, watch, host, most, ret, err);
}

int ledger_count_sent(
	struct ledger *l, const char *watch, const char *host, int64_t most, int64_t *ret, struct err *err)
{
	return count_line(l, Q_COUNT_SENT, watch, host, most, ret, err);
}

int ledger_accepted_since(struct ledger *l, const char *watch, int64_t since_us, int64_t rows, int64_t *ret,
	int64_t *ret_first_us, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_ACCEPTED);
	struct db_columns c = {.s = s};
	int64_t n, first_us;
	int rc;

	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, since_us);
	db_bind_i64(&l->db, s, 3, rows);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	n = db_get_i64(&c, 0, 0);
	first_us = db_get_i64(&c, 1, 0);
	rc = db_finish(&l->db, &c, err);
	if (rc < 0)
		return rc;
	*ret = n;
	*ret_first_us = first_us;
	return 0;
}

int ledger_newest_id(struct ledger *l, int64_t *ret, struct err *err)
{
	int rc = db_get_one(&l->db, db_use(&l->db, Q_NEWEST_ID), 0, ret, err);

	return rc < 0 ? rc : 0;
}

/* ---- a stretch of rows ---- */

int ledger_sweep(
	struct ledger *l, const char *watch, int64_t after, int n, struct ledger_swept *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_SWEEP);
	struct db_columns c = {.s = s};
	int have = 0, rc;

	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, after);
	db_bind_i64(&l->db, s, 3, after + n);
	while ((rc = db_step(&l->db, s, err)) > 0) {
		BUG_ON(have == n); /* ids are unique */
		ret[have].id = db_get_i64(&c, 0, 1);
		ret[have++].missed = db_get_i64(&c, 1, 0);
		if (c.bad)
			return db_finish(&l->db, &c, err);
	}
	return rc < 0 ? rc : have;
}
