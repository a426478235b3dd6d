/*
 * ledger_counts: temporary tables and triggers of SQLite. Nothing of it is in the file, so it costs no write
 * and no schema; that it is right does not depend on all places that change a row's state, and a rollback
 * takes it back with the rest.
 *
 * Rows up to `through` have been counted; triggers count a change only there, for the others are still to
 * come. At the end it is the largest number there is.
 */
#include "dispatch/ledger.h"

#include "dispatch/queries.h"

#define COUNTED " <= (SELECT through FROM counts_at)"
#define ADD                                                                                                  \
	"INSERT INTO counts VALUES (NEW.watch, NEW.state, 1, NEW.completed) ON CONFLICT (watch, state) DO"   \
	" UPDATE SET rows = rows + 1, last = max(last, excluded.last);"
#define TAKE "UPDATE counts SET rows = rows - 1 WHERE watch = OLD.watch AND state = OLD.state;"

static const char triggers[] =
	"DELETE FROM counts; UPDATE counts_at SET through = 0;"
	"CREATE TEMP TRIGGER IF NOT EXISTS counts_in AFTER INSERT ON main.version"
	" WHEN NEW.id" COUNTED " BEGIN " ADD " END;"
	"CREATE TEMP TRIGGER IF NOT EXISTS counts_out AFTER DELETE ON main.version"
	" WHEN OLD.id" COUNTED " BEGIN " TAKE " END;"
	"CREATE TEMP TRIGGER IF NOT EXISTS counts_change AFTER UPDATE OF state, watch"
	" ON main.version WHEN OLD.id" COUNTED " AND (OLD.state <> NEW.state OR OLD.watch <> NEW.watch)"
	" BEGIN " TAKE ADD " END;";

int ledger_counts_start(struct ledger *l, struct err *err)
{
	return db_exec(&l->db, triggers, err);
}

static int set_through(struct ledger *l, int64_t through, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_COUNTS_SET_AT);

	db_bind_i64(&l->db, s, 1, through);
	return db_change(&l->db, s, err);
}

static int count_stretch(struct ledger *l, int64_t after, int64_t through, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_COUNTS_ADD);
	int rc;

	db_bind_i64(&l->db, s, 1, after);
	db_bind_i64(&l->db, s, 2, through);
	rc = db_change(&l->db, s, err);
	return rc < 0 ? rc : set_through(l, through, err);
}

int ledger_counts_step(struct ledger *l, int64_t n, struct err *err)
{
	int64_t through, newest;
	int rc = db_get_one(&l->db, db_use(&l->db, Q_COUNTS_AT), 0, &through, err);

	if (rc >= 0)
		rc = ledger_newest_id(l, &newest, err);
	if (rc < 0)
		return rc;
	if (through < newest)
		return count_stretch(l, through, newest - through > n ? through + n : newest, err);
	rc = set_through(l, INT64_MAX, err);
	return rc < 0 ? rc : 1;
}

int ledger_counts_each(struct ledger *l, ledger_counts_fn fn, void *arg, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_COUNTS);
	struct db_columns c = {.s = s};
	int rc;

	while ((rc = db_step(&l->db, s, err)) > 0) {
		enum ledger_state state = queries_get_state(&c, 1);
		int64_t rows = db_get_i64(&c, 2, INT64_MIN), last_us = db_get_i64(&c, 3, INT64_MIN);
		char watch[LEDGER_WORD_BYTES];

		db_get_text(&c, 0, watch, sizeof(watch));
		if (c.bad)
			return db_finish(&l->db, &c, err);
		fn(watch, state, rows, last_us, arg);
	}
	return rc;
}

int ledger_oldest_pending(
	struct ledger *l, const char *watch, const char *host, int64_t *ret_us, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_OLDEST_PENDING);
	struct db_columns c = {.s = s};
	int64_t at_us;
	int rc;

	db_bind_text(&l->db, s, 1, watch);
	db_bind_text(&l->db, s, 2, host);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	at_us = db_is_null(&c, 0) ? 0 : db_get_i64(&c, 0, INT64_MIN);
	rc = db_finish(&l->db, &c, err);
	if (rc > 0 && at_us > 0)
		*ret_us = at_us;
	return rc > 0 && at_us <= 0 ? 0 : rc;
}

int ledger_outbox_rows(struct ledger *l, int64_t *ret, struct err *err)
{
	int rc = db_get_one(&l->db, db_use(&l->db, Q_OUTBOX_ROWS), 0, ret, err);

	return rc < 0 ? rc : 0;
}
