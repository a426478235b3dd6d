/*
 * db: SQLite gives a transaction up by itself on some errors (disk full, I/O). Anything written after that
 * would be committed alone, so every write first looks whether its transaction is still there.
 */
#include "dispatch/db.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/clock.h"
#include "base/trace.h"

#define BUSY_MS 2000 /* somebody with sqlite3(1) in the file */

enum { BEGIN, COMMIT, ROLLBACK, OWN };

static const char *const own_sql[OWN] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
};

static int errno_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_PERM:
		return EACCES;
	case SQLITE_CANTOPEN:
		return ENOENT;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EUCLEAN;
	case SQLITE_CONSTRAINT:
		return EEXIST;
	case SQLITE_TOOBIG:
		return EFBIG;
	default:
		return EIO;
	}
}

static int fail(struct db *db, int rc, struct err *err)
{
	int code = errno_of(rc);
	int extended = db->handle ? sqlite3_extended_errcode(db->handle) : rc;

	return err_set(err, code == EUCLEAN ? ERR_INPUT : ERR_SYSTEM, code, "ledger %s: %s (SQLite %d)",
		db->path, db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc), extended);
}

/* ---- statements ---- */

struct sqlite3_stmt *db_use(struct db *db, int q)
{
	db->unbound = false;
	return db->stmts[q];
}

void db_bind_i64(struct db *db, struct sqlite3_stmt *s, int i, int64_t v)
{
	if (sqlite3_bind_int64(s, i, v) != SQLITE_OK)
		db->unbound = true;
}

void db_bind_text(struct db *db, struct sqlite3_stmt *s, int i, const char *v)
{
	if (sqlite3_bind_text(s, i, v, -1, SQLITE_STATIC) != SQLITE_OK)
		db->unbound = true;
}

void db_bind_bytes(struct db *db, struct sqlite3_stmt *s, int i, const void *v, size_t n)
{
	/* a NULL pointer would be SQL's NULL; no bytes are no bytes */
	if (sqlite3_bind_blob64(s, i, n > 0 ? v : "", n, SQLITE_STATIC) != SQLITE_OK)
		db->unbound = true;
}

void db_bind_path(struct db *db, struct sqlite3_stmt *s, int i, const char *v)
{
	db_bind_bytes(db, s, i, v, strlen(v));
}

void db_done(struct sqlite3_stmt *s)
{
	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
}

int db_step(struct db *db, struct sqlite3_stmt *s, struct err *err)
{
	int rc = db->unbound ? SQLITE_NOMEM : sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		rc = fail(db, rc, err);
	else
		rc = 0;
	db_done(s);
	return rc;
}

int db_change(struct db *db, struct sqlite3_stmt *s, struct err *err)
{
	int rc = db_step(db, s, err);

	BUG_ON(rc > 0);
	return rc;
}

int db_change_one(struct db *db, struct sqlite3_stmt *s, struct err *err)
{
	int rc = db_change(db, s, err);

	if (rc == 0 && sqlite3_changes(db->handle) != 1)
		return err_set(err, ERR_INPUT, EBADMSG, "ledger %s: a row has disappeared", db->path);
	return rc;
}

int64_t db_changes(const struct db *db)
{
	return sqlite3_changes(db->handle);
}

int64_t db_last_id(const struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

/* ---- transactions ---- */

int db_begin(struct db *db, struct err *err)
{
	int rc;

	if (db->open && sqlite3_get_autocommit(db->handle))
		return err_set(
			err, ERR_SYSTEM, EIO, "ledger %s: SQLite has given up the transaction", db->path);
	if (db->open)
		return 0;
	rc = db_change(db, db_use(db, db->n + BEGIN), err);
	if (rc == 0)
		db->open = true;
	return rc;
}

int db_commit(struct db *db, struct err *err)
{
	int64_t began_us = trace_is_on(TRACE_LEDGER) ? clock_mono_us() : 0;
	int rc, changes = db->open ? sqlite3_total_changes(db->handle) - db->changes : 0;

	if (!db->open)
		return 0;
	rc = db_begin(db, err); /* is it still there? */
	if (rc == 0)
		rc = db_change(db, db_use(db, db->n + COMMIT), err);
	db->changes += changes;
	if (changes > 0)
		trace(TRACE_LEDGER, "%d rows changed, %s after %" PRId64 " us", changes,
			rc < 0 ? "NOT committed" : "committed", clock_mono_us() - began_us);
	if (rc < 0) {
		db_rollback(db);
		return rc;
	}
	db->open = false;
	return 0;
}

bool db_has_moved(struct db *db)
{
	int moved = 0;

	/* what is in memory has no place and says SQLITE_NOTFOUND */
	return sqlite3_file_control(db->handle, NULL, SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

void db_rollback(struct db *db)
{
	struct sqlite3_stmt *s;

	db->open = false;
	if (sqlite3_get_autocommit(db->handle))
		return;
	s = db_use(db, db->n + ROLLBACK);
	(void)sqlite3_step(s); /* there is nothing to do about an error; the next begin shows it */
	db_done(s);
}

/* ---- columns ---- */

void db_refuse(struct db_columns *c, int i)
{
	if (!c->bad)
		c->bad = sqlite3_column_name(c->s, i);
	if (!c->bad)
		c->bad = "?";
}

bool db_is_null(const struct db_columns *c, int i)
{
	return sqlite3_column_type(c->s, i) == SQLITE_NULL;
}

int64_t db_get_i64(struct db_columns *c, int i, int64_t min)
{
	int64_t v = sqlite3_column_int64(c->s, i);

	if (sqlite3_column_type(c->s, i) == SQLITE_INTEGER && v >= min)
		return v;
	db_refuse(c, i);
	return min > 0 ? min : 0;
}

int64_t db_get_id_or_null(struct db_columns *c, int i)
{
	return sqlite3_column_type(c->s, i) == SQLITE_NULL ? 0 : db_get_i64(c, i, 1);
}

const char *db_get_bytes(struct db_columns *c, int i, size_t room, size_t *ret_len)
{
	int type = sqlite3_column_type(c->s, i);
	const char *p = sqlite3_column_blob(c->s, i);
	size_t n = (size_t)sqlite3_column_bytes(c->s, i);

	*ret_len = 0;
	if ((type != SQLITE_TEXT && type != SQLITE_BLOB) || n >= room ||
		(n > 0 && (!p || memchr(p, '\0', n)))) {
		db_refuse(c, i);
		return "";
	}
	*ret_len = n;
	return n > 0 ? p : "";
}

void db_get_text(struct db_columns *c, int i, char *out, size_t room)
{
	size_t n;
	const char *p = db_get_bytes(c, i, room, &n);

	memcpy(out, p, n);
	out[n] = '\0';
}

char *db_get_copy(struct db_columns *c, int i, size_t room)
{
	size_t n;
	const char *p = db_get_bytes(c, i, room, &n);

	return mem_strndup(p, n);
}

static bool is_hex(const char *s)
{
	for (; *s; s++)
		if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f')))
			return false;
	return true;
}

void db_get_hex(struct db_columns *c, int i, char *out, size_t room)
{
	db_get_text(c, i, out, room);
	if (out[0] && (strlen(out) != room - 1 || !is_hex(out)))
		db_refuse(c, i);
}

int db_finish(struct db *db, struct db_columns *c, struct err *err)
{
	int rc = 1;

	if (c->bad)
		rc = err_set(err, ERR_INPUT, EBADMSG, "ledger %s is damaged: column %s of row %" PRId64,
			db->path, c->bad, (int64_t)sqlite3_column_int64(c->s, 0));
	db_done(c->s);
	return rc;
}

int db_get_one(struct db *db, struct sqlite3_stmt *s, int64_t min, int64_t *ret, struct err *err)
{
	struct db_columns c = {.s = s};
	int rc = db_step(db, s, err);
	int64_t v;

	if (rc <= 0)
		return rc;
	v = db_get_i64(&c, 0, min);
	rc = db_finish(db, &c, err);
	if (rc > 0)
		*ret = v;
	return rc;
}

int db_get_ids(struct db *db, struct sqlite3_stmt *s, int64_t *ids, int n, struct err *err)
{
	struct db_columns c = {.s = s};
	int have = 0, rc;

	while ((rc = db_step(db, s, err)) > 0) {
		BUG_ON(have == n); /* LIMIT */
		ids[have++] = db_get_i64(&c, 0, 1);
		if (c.bad)
			return db_finish(db, &c, err);
	}
	return rc < 0 ? rc : have;
}

/* ---- opening ---- */

int db_exec(struct db *db, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(db, rc, err);
}

int db_get_pragma(struct db *db, const char *sql, int64_t *ret, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(s);
		if (rc == SQLITE_ROW)
			*ret = sqlite3_column_int64(s, 0);
		sqlite3_finalize(s);
	}
	return rc == SQLITE_ROW ? 0 : fail(db, rc, err);
}

int db_open(struct db *db, const char *path, const char *uri, enum db_mode mode, struct err *err)
{
	static const int flags[] = {
		[DB_WRITE] = SQLITE_OPEN_READWRITE,
		[DB_READ] = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
		[DB_MEMORY] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	};
	int rc;

	*db = (struct db){.path = mem_strdup(path)};
	rc = sqlite3_open_v2(uri, &db->handle, flags[mode] | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK) {
		rc = fail(db, rc, err);
		db_close(db);
		return rc;
	}
	(void)sqlite3_extended_result_codes(db->handle, 1);
	(void)sqlite3_busy_timeout(db->handle, BUSY_MS);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return 0;
}

static int prepare(struct db *db, const char *sql, int q, struct err *err)
{
	int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &db->stmts[q], NULL);

	return rc == SQLITE_OK ? 0 : fail(db, rc, err);
}

int db_prepare(struct db *db, const char *const *sql, int n, struct err *err)
{
	int rc = 0;

	db->n = n;
	db->stmts = mem_array((size_t)n + OWN, sizeof(struct sqlite3_stmt *));
	for (int q = 0; rc == 0 && q < n; q++)
		rc = prepare(db, sql[q], q, err);
	for (int q = 0; rc == 0 && q < OWN; q++)
		rc = prepare(db, own_sql[q], n + q, err);
	return rc;
}

void db_close(struct db *db)
{
	if (db->open)
		db_rollback(db);
	for (int q = 0; db->stmts && q < db->n + OWN; q++)
		(void)sqlite3_finalize(db->stmts[q]);
	(void)sqlite3_close(db->handle);
	free(db->stmts);
	free(db->path);
	*db = (struct db){.handle = NULL};
}

int db_copy(struct db *db, const char *to, struct err *err)
{
	struct sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(db->handle, "VACUUM INTO ?1", -1, &s, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(s, 1, to, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	rc = rc == SQLITE_DONE ? 0 : fail(db, rc, err);
	(void)sqlite3_finalize(s);
	return rc;
}
