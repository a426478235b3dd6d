/*
 * ledger: what is not about versions: the outbox, baselines, small facts by name.
 */
#include "dispatch/ledger.h"

#include <string.h>
#include "base/buf.h"
#include "dispatch/db.h"
#include "dispatch/queries.h"

#define LEDGER_LINE_BYTES (1024u * 1024)

int ledger_outbox_add(struct ledger *l, const char *event_id, const char *line, size_t len, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_OUT_ADD);
	db_bind_text(&l->db, s, 1, event_id);
	db_bind_bytes(&l->db, s, 2, line, len);
	return db_change(&l->db, s, err);
}

int ledger_outbox_next(struct ledger *l, int64_t after, int64_t *ret_seq, struct buf *line, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_OUT_NEXT);
	struct db_columns c = {.s = s};
	const char *p;
	int64_t seq;
	size_t n;
	int rc;

	db_bind_i64(&l->db, s, 1, after);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	seq = db_get_i64(&c, 0, 1);
	p = db_get_bytes(&c, 1, LEDGER_LINE_BYTES, &n);
	if (n == 0 || memchr(p, '\n', n) != p + n - 1)
		db_refuse(&c, 1);
	buf_reset(line);
	if (buf_add(line, p, n) < 0)
		db_refuse(&c, 1);
	rc = db_finish(&l->db, &c, err);
	if (seq > after)
		*ret_seq = seq;
	return rc;
}

int ledger_outbox_find(struct ledger *l, const char *line, size_t len, int64_t *ret_seq, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_OUT_FIND);

	db_bind_bytes(&l->db, s, 1, line, len);
	return db_get_one(&l->db, s, 1, ret_seq, err);
}

int ledger_outbox_delete(struct ledger *l, int64_t seq, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_OUT_DELETE);
	db_bind_i64(&l->db, s, 1, seq);
	return db_change(&l->db, s, err);
}

/* ---- baselines ---- */

int ledger_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	struct ledger_baseline *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_BASELINE);
	struct db_columns c = {.s = s};
	struct ledger_baseline b;
	int rc;

	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, root_id);
	db_bind_text(&l->db, s, 3, fs_type);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	db_get_text(&c, 1, b.mode, sizeof(b.mode));
	b.closed_us = db_get_i64(&c, 2, 0);
	rc = db_finish(&l->db, &c, err);
	if (rc > 0)
		*ret = b;
	return rc;
}

int ledger_baseline_closed(
	struct ledger *l, const char *watch, int64_t root_id, int64_t *ret_us, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_BASELINE_CLOSED);

	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, root_id);
	return db_get_one(&l->db, s, 1, ret_us, err);
}

int ledger_set_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	const char *mode, int64_t closed_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_BASELINE_SET);
	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, root_id);
	db_bind_text(&l->db, s, 3, fs_type);
	db_bind_text(&l->db, s, 4, mode);
	db_bind_i64(&l->db, s, 5, closed_us);
	rc = db_change(&l->db, s, err);
	if (rc < 0 || fs_type[0] == '\0')
		return rc;
	s = db_use(&l->db, Q_BASELINE_SEEDED);
	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, root_id);
	return db_change(&l->db, s, err);
}

int ledger_close_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	int64_t now_us, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_BASELINE_CLOSE);
	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, root_id);
	db_bind_text(&l->db, s, 3, fs_type);
	db_bind_i64(&l->db, s, 4, now_us);
	return db_change_one(&l->db, s, err);
}

int ledger_has_rows(struct ledger *l, const char *watch, int64_t root_id, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_HAS_ROWS);
	int64_t one;

	db_bind_text(&l->db, s, 1, watch);
	db_bind_i64(&l->db, s, 2, root_id);
	return db_get_one(&l->db, s, 1, &one, err);
}

/* ---- small facts ---- */

int ledger_meta(struct ledger *l, const char *name, struct buf *value, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_META);
	struct db_columns c = {.s = s};
	const char *p;
	size_t n;
	int rc;

	db_bind_text(&l->db, s, 1, name);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	p = db_get_bytes(&c, 0, LEDGER_META_BYTES, &n);
	buf_reset(value);
	if (buf_add(value, p, n) < 0)
		db_refuse(&c, 0);
	return db_finish(&l->db, &c, err);
}

int ledger_set_meta(struct ledger *l, const char *name, const char *value, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, value ? Q_META_SET : Q_META_CLEAR);
	db_bind_text(&l->db, s, 1, name);
	if (value)
		db_bind_text(&l->db, s, 2, value);
	return db_change(&l->db, s, err);
}
