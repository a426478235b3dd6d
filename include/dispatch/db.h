/*
 * db: the one place that knows SQLite: a file, prepared statements by their numbers, one transaction, and
 * values out of rows, of which nothing is believed.
 *
 * A value that cannot be bound is an error of the next step. Reading columns does not fail by itself either:
 * db_finish() says whether one of them was bad.
 */
#ifndef DISPATCH_DB_H
#define DISPATCH_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct sqlite3;
struct sqlite3_stmt;

struct db {
	struct sqlite3 *handle;
	char *path;		     /* for messages */
	bool open;		     /* a transaction was begun and not ended */
	bool unbound;		     /* a value could not be bound to the statement in hand */
	struct sqlite3_stmt **stmts; /* n of the caller, then those of transactions */
	int n;
	int changes; /* rows changed by all transactions that are over, as SQLite counts them */
};

enum db_mode { DB_WRITE, DB_READ, DB_MEMORY };

/* uri: what SQLite is to open. 0; -errno with db as db_close() left it: -ENOENT, -EUCLEAN (no database, or a
 * damaged one), -EBUSY, -ENOSPC, -EROFS, … as all functions here. */
int db_open(struct db *db, const char *path, const char *uri, enum db_mode mode, struct err *err) MUST_CHECK;
/* All statements, so that nothing is parsed later, and a schema that does not fit shows at once. */
int db_prepare(struct db *db, const char *const *sql, int n, struct err *err) MUST_CHECK;
void db_close(struct db *db); /* also half-made ones */
/* Statements without values and results. */
int db_exec(struct db *db, const char *sql, struct err *err) MUST_CHECK;
/* One integer from a statement that is not prepared: a PRAGMA. */
int db_get_pragma(struct db *db, const char *sql, int64_t *ret, struct err *err) MUST_CHECK;
/* A copy of the whole to another file, which must not be there. */
int db_copy(struct db *db, const char *to, struct err *err) MUST_CHECK;

/* ---- transactions ---- */

/* Every change comes through here first: SQLite gives a transaction up by itself on some errors. */
int db_begin(struct db *db, struct err *err) MUST_CHECK;
/* Nothing if none was begun. After an error it is rolled back. */
int db_commit(struct db *db, struct err *err) MUST_CHECK;
/* Was the file renamed or deleted since it was opened? One stat(2). */
bool db_has_moved(struct db *db);
void db_rollback(struct db *db);

/* ---- statements: use, bind, then step or change ---- */

struct sqlite3_stmt *db_use(struct db *db, int q);
void db_bind_i64(struct db *db, struct sqlite3_stmt *s, int i, int64_t v);
void db_bind_text(struct db *db, struct sqlite3_stmt *s, int i, const char *v);
void db_bind_bytes(struct db *db, struct sqlite3_stmt *s, int i, const void *v, size_t n);
void db_bind_path(struct db *db, struct sqlite3_stmt *s, int i, const char *v);
/* 1: a row (db_finish or db_done it), 0: none, -errno; for the last two the statement is done. */
int db_step(struct db *db, struct sqlite3_stmt *s, struct err *err) MUST_CHECK;
/* A change: 0 or -errno */
int db_change(struct db *db, struct sqlite3_stmt *s, struct err *err) MUST_CHECK;
/* A change of exactly one row; else -EBADMSG. */
int db_change_one(struct db *db, struct sqlite3_stmt *s, struct err *err) MUST_CHECK;
/* Rows of the last change; number of the row that was inserted last. */
int64_t db_changes(const struct db *db);
int64_t db_last_id(const struct db *db);
/* Lets go of the row and of what was bound. */
void db_done(struct sqlite3_stmt *s);

/* ---- columns of a row ---- */

struct db_columns {
	struct sqlite3_stmt *s;
	const char *bad; /* name of the first column that cannot be */
};

/* The column cannot be. */
void db_refuse(struct db_columns *c, int i);
bool db_is_null(const struct db_columns *c, int i);
int64_t db_get_i64(struct db_columns *c, int i, int64_t min);
/* 0 for NULL */
int64_t db_get_id_or_null(struct db_columns *c, int i);
/* Text or blob without NUL, shorter than room; borrowed until the row is done. */
const char *db_get_bytes(struct db_columns *c, int i, size_t room, size_t *ret_len);
void db_get_text(struct db_columns *c, int i, char *out, size_t room);
char *db_get_copy(struct db_columns *c, int i, size_t room);
/* Exactly room - 1 digits, or nothing. */
void db_get_hex(struct db_columns *c, int i, char *out, size_t room);
/* Ends reading one row: 1, or -EBADMSG. */
int db_finish(struct db *db, struct db_columns *c, struct err *err) MUST_CHECK;
/* One integer from one row. 1, 0 (no row), -errno */
int db_get_one(struct db *db, struct sqlite3_stmt *s, int64_t min, int64_t *ret, struct err *err) MUST_CHECK;
/* The first column of at most n rows, of a statement that gives no more. Returns how many or -errno. */
int db_get_ids(struct db *db, struct sqlite3_stmt *s, int64_t *ids, int n, struct err *err) MUST_CHECK;

#endif
