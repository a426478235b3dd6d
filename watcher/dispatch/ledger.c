/*
 * ledger: SQLite behind a few dozen fixed statements, all prepared when the file is opened, so that a schema
 * that is not ours shows at once and nothing is parsed while files wait.
 *
 * WAL, because a commit is then one append and one fsync, and because others may look on while we write. With
 * synchronous=FULL each commit is synced; NORMAL leaves that to checkpoints: a killed process loses nothing,
 * a power cut may lose everything since the file was made (measured).
 *
 * SQLite gives a transaction up by itself on some errors (disk full, I/O). Anything written after that would
 * be committed alone, so every write first looks whether its transaction is still there.
 *
 * A key is (watch, directory, relative path); directories are few and long, so rows hold their number. The
 * newest row of a key is the one with the highest id.
 */
#include "dispatch/ledger.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/crash.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/filetype.h"
#include "core/request.h"
#include "core/wire.h"

#define LEDGER_APPLICATION_ID 0x62726b77 /* "brkw" */
#define LEDGER_SCHEMA ((int64_t)ARRAY_SIZE(schema_steps))
#define LEDGER_BUSY_MS 2000 /* somebody with sqlite3(1) in the file */
#define SCHEMA_SQL_BYTES (16u * 1024)
#define LEDGER_LINE_BYTES (1024u * 1024)
#define LEDGER_URI_BYTES (64u * 1024)

/* Each step makes one schema out of the one before it; a new ledger takes all of them. A step is never
 * changed once a program with it was handed out. */
static const char *const schema_steps[] = {
	/* 1 */
	"CREATE TABLE root (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);"
	"CREATE TABLE version ("
	" id INTEGER PRIMARY KEY,"
	" watch TEXT NOT NULL, root INTEGER NOT NULL, relpath BLOB NOT NULL,"
	" size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, seen_mtime_ns INTEGER NOT NULL, ino INTEGER NOT "
	"NULL,"
	" ends TEXT NOT NULL, owner INTEGER NOT NULL, mime TEXT NOT NULL, evidence TEXT NOT NULL,"
	" first_seen INTEGER NOT NULL, completed INTEGER NOT NULL,"
	" state TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, rules_hash TEXT NOT NULL,"
	" changed INTEGER NOT NULL,"
	" token TEXT UNIQUE, generation INTEGER NOT NULL,"
	" workspace TEXT NOT NULL, host TEXT NOT NULL, job_id INTEGER NOT NULL, uri BLOB NOT NULL, request "
	"BLOB,"
	" run_id INTEGER, previous_run_id INTEGER, principal TEXT NOT NULL DEFAULT '',"
	" sent INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,"
	" first_failed INTEGER NOT NULL DEFAULT 0, last_failed INTEGER NOT NULL DEFAULT 0,"
	" next_attempt INTEGER NOT NULL DEFAULT 0, tried INTEGER NOT NULL DEFAULT 0,"
	" retryings INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0);"
	/* with what a glance at a listed file needs, so that a million known files cost one look-up each */
	"CREATE INDEX version_key ON version (root, relpath, watch, size, seen_mtime_ns, rules_hash);"
	"CREATE INDEX version_pending ON version (watch, host, next_attempt) WHERE state = 'pending';"
	"CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, line BLOB NOT NULL);"
	"CREATE TABLE baseline (watch TEXT NOT NULL, root INTEGER NOT NULL, fs_type TEXT NOT NULL, mode TEXT "
	"NOT NULL,"
	" closed INTEGER NOT NULL, PRIMARY KEY (watch, root, fs_type)) WITHOUT ROWID;"
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	/* for people with sqlite3(1) */
	"CREATE VIEW files AS SELECT v.id, v.watch, CAST(r.path AS TEXT) || '/' || CAST(v.relpath AS TEXT) "
	"AS path,"
	" v.state, v.reason, v.run_id, v.attempts, v.size, v.token,"
	" datetime(v.completed / 1000000, 'unixepoch') AS completed, datetime(v.changed / 1000000, "
	"'unixepoch') AS changed"
	" FROM version v JOIN root r ON r.id = v.root;",
	/* 2: runs to be verified, releases without a look at the file, runs that were skipped, listings that
	 * missed a file, versions found again; finding a row by inode (moved files); baselines that have
	 * begun (closed = 0) */
	"ALTER TABLE version ADD COLUMN verify_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE version ADD COLUMN unchecked INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE version ADD COLUMN skips INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE version ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE version ADD COLUMN revived INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE version ADD COLUMN birth_ns INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE version ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX version_ino ON version (ino, size);"
	"CREATE INDEX version_verify ON version (verify_at) WHERE verify_at > 0;"
	"CREATE INDEX version_state ON version (state, watch) WHERE state IN ('held', 'failed');"
	/* rows that are sent without a look at the file, among a million that are not */
	"CREATE INDEX version_certain ON version (watch, host, next_attempt)"
	" WHERE state = 'pending' AND (sent OR unchecked);",
};

enum query {
	Q_BEGIN,
	Q_COMMIT,
	Q_ROLLBACK,
	Q_ROOT,
	Q_ROOT_ADD,
	Q_GLANCE,
	Q_NEWEST,
	Q_LAST_RUN,
	Q_TOKEN,
	Q_TOKEN_CLEAR,
	Q_UNSENT_OF,
	Q_REVIVE,
	Q_BY_INODE,
	Q_RENAME,
	Q_INSERT,
	Q_SEEN,
	Q_STATE,
	Q_MOVE,
	Q_ROW,
	Q_REQUEST,
	Q_LINES,
	Q_FRESH_CERTAIN,
	Q_FRESH_YOUNG,
	Q_FRESH_OLD,
	Q_DUE_CERTAIN,
	Q_DUE_YOUNG,
	Q_DUE_OLD,
	Q_NEXT_DUE,
	Q_CLAMP,
	Q_POSTPONE,
	Q_SENT,
	Q_STARTED,
	Q_RETRY,
	Q_FAILED,
	Q_OUT_ADD,
	Q_OUT_NEXT,
	Q_OUT_FIND,
	Q_OUT_DELETE,
	Q_BASELINE,
	Q_BASELINE_CLOSED,
	Q_BASELINE_SET,
	Q_BASELINE_CLOSE,
	Q_BASELINE_SEEDED,
	Q_HAS_ROWS,
	Q_COUNT_HELD,
	Q_ACCEPTED,
	Q_SWEEP,
	Q_MISSED,
	Q_COUNT,
	Q_COUNT_PENDING,
	Q_UNSENT,
	Q_HELD,
	Q_RENEW,
	Q_META,
	Q_META_SET,
	Q_META_CLEAR,
	Q_NEWEST_ID,
	Q_SELECT,
	Q_SELECT_PATH,
	Q_TALLY,
	Q_NOTE,
	Q_REQUEUE,
	Q_REMOVE,
	Q_VERIFY,
	Q_VERIFY_DUE,
	Q_VERIFY_NEXT,
	Q_VERIFY_CLAMP,
	Q_SKIPPED,
	QUERIES,
};

#define KEY_IS " root = ?1 AND relpath = ?2 AND watch = ?3 "
#define LINE_IS " state = 'pending' AND watch = ?1 AND host = ?2 AND (sent OR unchecked OR NOT ?3) "
#define IS_CERTAIN                                                                                           \
	" INDEXED BY version_certain WHERE state = 'pending' AND (sent OR unchecked) AND watch = ?1 AND "    \
	"host = ?2 "
#define IS_YOUNG " WHERE state = 'pending' AND watch = ?1 AND host = ?2 AND id > ?3 AND skips = 0 "
#define IS_OLD                                                                                               \
	" WHERE state = 'pending' AND watch = ?1 AND host = ?2 AND (id <= ?3 OR skips > 0) AND NOT sent "    \
	"AND NOT unchecked "
#define IS_FRESH "AND next_attempt = 0 ORDER BY id LIMIT ?5"
#define IS_DUE "AND next_attempt > 0 AND next_attempt <= ?4 ORDER BY next_attempt, id LIMIT ?5"

static const char *const query_sql[QUERIES] = {
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",
	[Q_ROOT] = "SELECT id FROM root WHERE path = ?1",
	[Q_ROOT_ADD] = "INSERT INTO root (path) VALUES (?1)",
	/* in no order, which would cost a sort: nearly always there is just one row */
	[Q_GLANCE] = "SELECT id, size, seen_mtime_ns, rules_hash FROM version WHERE" KEY_IS,
	[Q_NEWEST] =
		"SELECT id, state, size, seen_mtime_ns, ino, ends, generation, rules_hash, reason, token IS "
		"NOT NULL, birth_ns FROM version "
		"WHERE" KEY_IS "ORDER BY id DESC LIMIT 1",
	[Q_LAST_RUN] =
		"SELECT run_id FROM version WHERE" KEY_IS "AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1",
	[Q_TOKEN] = "SELECT id, root, watch, relpath = ?2, state IN ('superseded', 'vanished') AND sent = 0 "
		    "AND run_id IS NULL, revived, moved FROM version WHERE token = ?1",
	[Q_TOKEN_CLEAR] = "UPDATE version SET token = NULL WHERE id = ?1",
	[Q_BY_INODE] =
		"SELECT id FROM version WHERE ino = ?1 AND size = ?2 AND (mtime_ns = ?3 OR seen_mtime_ns = "
		"?3) AND root = ?4 AND watch = ?5 AND state NOT IN ('superseded', 'vanished') "
		"ORDER BY id DESC LIMIT ?6",
	[Q_RENAME] = "UPDATE version SET relpath = ?2, moved = 1, missed = 0 WHERE id = ?1",
	[Q_UNSENT_OF] = "SELECT id FROM version WHERE" KEY_IS
			"AND state = 'pending' AND sent = 0 ORDER BY id LIMIT ?4",
	[Q_REVIVE] = "UPDATE version SET state = 'pending', reason = '', detail = '', rules_hash = '', "
		     "changed = ?2, next_attempt = 0, revived = revived + 1 WHERE id = ?1 AND state IN "
		     "('superseded', 'vanished') AND token IS NOT NULL AND request IS NOT NULL",
	/* the number of a row that was removed is not given again: who pages by number would pass over it */
	[Q_INSERT] =
		"INSERT INTO version (id, root, relpath, watch, size, mtime_ns, seen_mtime_ns, ino, ends, "
		"owner, mime,"
		" evidence, first_seen, completed, state, reason, detail, rules_hash, changed, token, "
		"generation,"
		" workspace, host, job_id, uri, request, previous_run_id, failures, revived, birth_ns)"
		" VALUES (max(?28, (SELECT ifnull(max(id), 0) + 1 FROM version)), ?1, ?2, ?3, ?4, ?5, ?5, "
		"?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
		"?17, ?18,"
		" ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?29)",
	[Q_SEEN] = "UPDATE version SET seen_mtime_ns = ?2, ino = ?3, birth_ns = ?4 WHERE id = ?1",
	[Q_STATE] = "UPDATE version SET state = ?2, reason = ?3, detail = ?4, rules_hash = ?5, changed = ?6 "
		    "WHERE id = ?1",
	[Q_MOVE] = "UPDATE version SET watch = ?4 WHERE" KEY_IS,
	[Q_ROW] = "SELECT v.id, watch, r.path, relpath, uri, mime, size, mtime_ns, ino, ends, owner, "
		  "first_seen,"
		  " completed, state, token, generation, workspace, host, job_id, run_id, previous_run_id, "
		  "sent,"
		  " attempts, first_failed, last_failed, next_attempt, tried, retryings, failures,"
		  " unchecked, skips, verify_at, principal, revived, reason, birth_ns"
		  " FROM version v JOIN root r ON r.id = v.root WHERE v.id = ?1",
	[Q_REQUEST] = "SELECT request FROM version WHERE id = ?1 AND request IS NOT NULL",
	[Q_LINES] = "SELECT watch, host, count(*) FROM version WHERE state = 'pending' GROUP BY watch, host",
	[Q_FRESH_CERTAIN] = "SELECT id FROM version" IS_CERTAIN IS_FRESH,
	[Q_FRESH_YOUNG] = "SELECT id FROM version" IS_YOUNG IS_FRESH,
	[Q_FRESH_OLD] = "SELECT id FROM version" IS_OLD IS_FRESH,
	[Q_DUE_CERTAIN] = "SELECT id FROM version" IS_CERTAIN IS_DUE,
	[Q_DUE_YOUNG] = "SELECT id FROM version" IS_YOUNG IS_DUE,
	[Q_DUE_OLD] = "SELECT id FROM version" IS_OLD IS_DUE,
	[Q_NEXT_DUE] = "SELECT next_attempt FROM version WHERE" LINE_IS
		       "AND next_attempt > ?4 ORDER BY next_attempt LIMIT 1",
	[Q_CLAMP] = "UPDATE version SET next_attempt = ?4 WHERE" LINE_IS "AND next_attempt > ?4",
	/* the time between the last failure and the next attempt counts as trying, and stays what it was */
	[Q_POSTPONE] =
		"UPDATE version SET next_attempt = ?2,"
		" last_failed = CASE last_failed WHEN 0 THEN 0 ELSE last_failed + ?2 - next_attempt END"
		" WHERE id = ?1 AND state = 'pending'",
	[Q_SENT] = "UPDATE version SET sent = 1 WHERE id = ?1",
	[Q_STARTED] = "UPDATE version SET state = 'started', reason = '', run_id = ?2, attempts = ?3, "
		      "principal = ?4,"
		      " changed = ?5 WHERE id = ?1",
	[Q_RETRY] = "UPDATE version SET sent = ?2, attempts = ?3, first_failed = ?4, last_failed = ?5, "
		    "next_attempt = ?6,"
		    " tried = ?7, retryings = ?8 WHERE id = ?1",
	[Q_FAILED] = "UPDATE version SET state = ?7, attempts = ?2, failures = ?3, reason = ?4, detail = ?5,"
		     " changed = ?6 WHERE id = ?1",
	[Q_OUT_ADD] = "INSERT INTO outbox (id, line) VALUES (?1, ?2)",
	[Q_OUT_NEXT] = "SELECT seq, line FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT 1",
	[Q_OUT_FIND] = "SELECT seq FROM outbox WHERE line = ?1 ORDER BY seq DESC LIMIT 1",
	[Q_OUT_DELETE] = "DELETE FROM outbox WHERE seq <= ?1",
	[Q_BASELINE] =
		"SELECT root, mode, closed FROM baseline WHERE watch = ?1 AND root = ?2 AND fs_type = ?3",
	[Q_BASELINE_CLOSED] = "SELECT closed FROM baseline WHERE watch = ?1 AND root = ?2 AND closed > 0 "
			      "ORDER BY closed LIMIT 1",
	[Q_BASELINE_SET] = "INSERT OR IGNORE INTO baseline (watch, root, fs_type, mode, closed) VALUES "
			   "(?1, ?2, ?3, ?4, ?5)",
	[Q_BASELINE_CLOSE] =
		"UPDATE baseline SET closed = ?4 WHERE watch = ?1 AND root = ?2 AND fs_type = ?3",
	[Q_BASELINE_SEEDED] = "DELETE FROM baseline WHERE watch = ?1 AND root = ?2 AND fs_type = ''",
	[Q_HAS_ROWS] = "SELECT 1 FROM version WHERE root = ?2 AND watch = ?1 LIMIT 1",
	[Q_COUNT_HELD] = "SELECT count(*) FROM version WHERE state = 'held' AND watch = ?1 AND reason = ?2",
	[Q_SWEEP] =
		"SELECT id, missed FROM version WHERE id > ?2 AND id <= ?3 AND watch = ?1 AND verify_at = 0 "
		"AND state NOT IN ('pending', 'held', 'failed') ORDER BY id",
	[Q_MISSED] = "UPDATE version SET missed = ?2 WHERE id = ?1",
	[Q_ACCEPTED] =
		"SELECT count(*), coalesce(min(completed), 0) FROM version WHERE id > (SELECT "
		"coalesce(max(id), 0) FROM version) - ?3 AND watch = ?1 AND completed >= ?2 AND token IS "
		"NOT NULL AND state <> 'held'",
	[Q_COUNT] = "SELECT count(*) FROM version WHERE state = ?1",
	[Q_COUNT_PENDING] = "SELECT count(*) FROM version WHERE state = 'pending'",
	[Q_UNSENT] = "SELECT id FROM version WHERE state = 'pending' AND sent = 0 AND id > ?1 ORDER BY id "
		     "LIMIT ?2",
	[Q_HELD] = "SELECT id FROM version WHERE state = 'held' AND watch = ?1 AND reason = ?2 AND id > ?3 "
		   "ORDER BY id LIMIT ?4",
	[Q_RENEW] = "UPDATE version SET workspace = ?2, host = ?3, job_id = ?4, uri = ?5, token = ?6, "
		    "request = ?7,"
		    " next_attempt = 0 WHERE id = ?1 AND state = 'pending' AND sent = 0",
	[Q_META] = "SELECT value FROM meta WHERE name = ?1",
	[Q_META_SET] = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)",
	[Q_META_CLEAR] = "DELETE FROM meta WHERE name = ?1",
	[Q_NEWEST_ID] = "SELECT ifnull(max(id), 0) FROM version",
	/* NOT INDEXED: in the order of ids, so that a stretch of them costs no more than that stretch */
	[Q_SELECT] =
		"SELECT id FROM version NOT INDEXED WHERE id > ?1 AND id <= ?2 AND (?3 = '' OR state = ?3)"
		" AND (?4 = '' OR watch = ?4) AND changed >= ?5 AND (?6 = 0 OR changed < ?6)"
		" ORDER BY id LIMIT ?7",
	/* every directory that is the beginning of the path, and what is left of the path behind it */
	[Q_SELECT_PATH] = "SELECT v.id FROM root r JOIN version v ON v.root = r.id AND v.relpath ="
			  " substr(?1, length(r.path) + 2 - (r.path = x'2f'))"
			  " WHERE substr(?1, 1, length(r.path) + 1 - (r.path = x'2f')) ="
			  " CASE r.path WHEN x'2f' THEN r.path ELSE CAST(r.path || x'2f' AS BLOB) END"
			  " AND v.id > ?2 ORDER BY v.id LIMIT ?3",
	[Q_TALLY] = "SELECT state, count(*), min(changed) FROM version NOT INDEXED WHERE id > ?1 AND id <= ?2"
		    " GROUP BY state",
	[Q_NOTE] = "SELECT id, reason, detail, principal, changed, request IS NOT NULL AND token IS NOT NULL"
		   " FROM version WHERE id = ?1",
	[Q_REQUEUE] =
		"UPDATE version SET state = 'pending', reason = '', detail = '', sent = ?2, unchecked = ?3,"
		" attempts = 0, first_failed = 0, last_failed = 0, next_attempt = 0, tried = 0, changed = ?4"
		" WHERE id = ?1 AND request IS NOT NULL AND token IS NOT NULL",
	[Q_REMOVE] = "DELETE FROM version WHERE id = ?1",
	[Q_VERIFY] = "UPDATE version SET verify_at = ?2 WHERE id = ?1",
	[Q_VERIFY_DUE] = "SELECT id FROM version WHERE verify_at > 0 AND verify_at <= ?2 AND host = ?1 "
			 "ORDER BY verify_at LIMIT 1",
	[Q_VERIFY_NEXT] = "SELECT verify_at FROM version WHERE verify_at > 0 AND host = ?1 "
			  "ORDER BY verify_at LIMIT 1",
	[Q_VERIFY_CLAMP] =
		"UPDATE version SET verify_at = ?2 WHERE verify_at > ?2 AND verify_at > 0 AND host = ?1",
	[Q_SKIPPED] = "UPDATE version SET skips = ?2, next_attempt = ?3 WHERE id = ?1",
};

static const char *const state_names[LEDGER_STATES] = {
	[LEDGER_PENDING] = "pending",
	[LEDGER_STARTED] = "started",
	[LEDGER_REJECTED] = "rejected",
	[LEDGER_FAILED] = "failed",
	[LEDGER_HELD] = "held",
	[LEDGER_SKIPPED] = "skipped",
	[LEDGER_VANISHED] = "vanished",
	[LEDGER_SUPERSEDED] = "superseded",
	[LEDGER_DROPPED] = "dropped",
	[LEDGER_DISCARDED] = "discarded",
};

struct ledger {
	sqlite3 *db;
	char *path;
	bool open;	 /* a transaction was begun and not ended */
	int64_t removed; /* highest number of a row that was removed since it was opened */
	bool unbound;	 /* a value could not be bound to the statement in hand */
	sqlite3_stmt *stmts[QUERIES];
};

/* ---- errors ---- */

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

static int fail(struct ledger *l, int rc, struct err *err)
{
	int code = errno_of(rc);
	int extended = l->db ? sqlite3_extended_errcode(l->db) : rc;

	return err_set(err, code == EUCLEAN ? ERR_INPUT : ERR_SYSTEM, code, "ledger %s: %s (SQLite %d)",
		l->path, l->db ? sqlite3_errmsg(l->db) : sqlite3_errstr(rc), extended);
}

/* ---- statements ---- */

static sqlite3_stmt *use(struct ledger *l, enum query q)
{
	l->unbound = false;
	return l->stmts[q];
}

static void bind_i64(struct ledger *l, sqlite3_stmt *s, int i, int64_t v)
{
	if (sqlite3_bind_int64(s, i, v) != SQLITE_OK)
		l->unbound = true;
}

static void bind_text(struct ledger *l, sqlite3_stmt *s, int i, const char *v)
{
	if (sqlite3_bind_text(s, i, v, -1, SQLITE_STATIC) != SQLITE_OK)
		l->unbound = true;
}

static void bind_bytes(struct ledger *l, sqlite3_stmt *s, int i, const void *v, size_t n)
{
	/* a NULL pointer would be SQL's NULL; no bytes are no bytes */
	if (sqlite3_bind_blob64(s, i, n > 0 ? v : "", n, SQLITE_STATIC) != SQLITE_OK)
		l->unbound = true;
}

static void bind_path(struct ledger *l, sqlite3_stmt *s, int i, const char *v)
{
	bind_bytes(l, s, i, v, strlen(v));
}

static void bind_key(struct ledger *l, sqlite3_stmt *s, const struct ledger_key *key)
{
	bind_i64(l, s, 1, key->root_id);
	bind_path(l, s, 2, key->relpath);
	bind_text(l, s, 3, key->watch);
}

static void bind_line(struct ledger *l, sqlite3_stmt *s, const struct ledger_line *line)
{
	bind_text(l, s, 1, line->watch);
	bind_text(l, s, 2, line->host);
	bind_i64(l, s, 3, line->certain_only);
}

/* Lets go of the row and of what was bound. */
static void done(sqlite3_stmt *s)
{
	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
}

/* 1: a row (done() it), 0: none, -errno; for the last two the statement is done. */
static int step(struct ledger *l, sqlite3_stmt *s, struct err *err)
{
	int rc = l->unbound ? SQLITE_NOMEM : sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		rc = fail(l, rc, err);
	else
		rc = 0;
	done(s);
	return rc;
}

/* A change: exactly the rows it was meant for. */
static int change(struct ledger *l, sqlite3_stmt *s, struct err *err)
{
	int rc = step(l, s, err);

	BUG_ON(rc > 0);
	return rc;
}

static int change_one(struct ledger *l, sqlite3_stmt *s, struct err *err)
{
	int rc = change(l, s, err);

	if (rc == 0 && sqlite3_changes(l->db) != 1)
		return err_set(err, ERR_INPUT, EBADMSG, "ledger %s: a row has disappeared", l->path);
	return rc;
}

/* Every change comes through here first. */
static int begin(struct ledger *l, struct err *err)
{
	int rc;

	if (l->open && sqlite3_get_autocommit(l->db))
		return err_set(
			err, ERR_SYSTEM, EIO, "ledger %s: SQLite has given up the transaction", l->path);
	if (l->open)
		return 0;
	rc = change(l, use(l, Q_BEGIN), err);
	if (rc == 0)
		l->open = true;
	return rc;
}

/* ---- reading columns: nothing is believed ---- */

struct columns {
	sqlite3_stmt *s;
	const char *bad; /* name of the first column that cannot be */
};

static void refuse(struct columns *c, int i)
{
	if (!c->bad)
		c->bad = sqlite3_column_name(c->s, i);
	if (!c->bad)
		c->bad = "?";
}

static int64_t get_i64(struct columns *c, int i, int64_t min)
{
	int64_t v = sqlite3_column_int64(c->s, i);

	if (sqlite3_column_type(c->s, i) == SQLITE_INTEGER && v >= min)
		return v;
	refuse(c, i);
	return min > 0 ? min : 0;
}

/* 0 for NULL */
static int64_t get_id_or_null(struct columns *c, int i)
{
	return sqlite3_column_type(c->s, i) == SQLITE_NULL ? 0 : get_i64(c, i, 1);
}

/* Text or blob without NUL, shorter than room; borrowed until done(). */
static const char *get_bytes(struct columns *c, int i, size_t room, size_t *ret_len)
{
	int type = sqlite3_column_type(c->s, i);
	const char *p = sqlite3_column_blob(c->s, i);
	size_t n = (size_t)sqlite3_column_bytes(c->s, i);

	*ret_len = 0;
	if ((type != SQLITE_TEXT && type != SQLITE_BLOB) || n >= room ||
		(n > 0 && (!p || memchr(p, '\0', n)))) {
		refuse(c, i);
		return "";
	}
	*ret_len = n;
	return n > 0 ? p : "";
}

static void get_text(struct columns *c, int i, char *out, size_t room)
{
	size_t n;
	const char *p = get_bytes(c, i, room, &n);

	memcpy(out, p, n);
	out[n] = '\0';
}

static char *get_copy(struct columns *c, int i, size_t room)
{
	size_t n;
	const char *p = get_bytes(c, i, room, &n);

	return mem_strndup(p, n);
}

static bool is_hex(const char *s)
{
	for (; *s; s++)
		if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f')))
			return false;
	return true;
}

/* Exactly room - 1 digits, or nothing. */
static void get_hex(struct columns *c, int i, char *out, size_t room)
{
	get_text(c, i, out, room);
	if (out[0] && (strlen(out) != room - 1 || !is_hex(out)))
		refuse(c, i);
}

static enum ledger_state get_state(struct columns *c, int i)
{
	char name[LEDGER_WORD_BYTES];

	get_text(c, i, name, sizeof(name));
	for (int state = 0; state < LEDGER_STATES; state++)
		if (strcmp(name, state_names[state]) == 0)
			return (enum ledger_state)state;
	refuse(c, i);
	return LEDGER_FAILED;
}

/* Ends reading one row: 1, or -EBADMSG. */
static int finish(struct ledger *l, struct columns *c, struct err *err)
{
	int rc = 1;

	if (c->bad)
		rc = err_set(err, ERR_INPUT, EBADMSG, "ledger %s is damaged: column %s of row %" PRId64,
			l->path, c->bad, (int64_t)sqlite3_column_int64(c->s, 0));
	done(c->s);
	return rc;
}

/* One integer from one row. */
static int get_one(struct ledger *l, sqlite3_stmt *s, int64_t min, int64_t *ret, struct err *err)
{
	struct columns c = {.s = s};
	int rc = step(l, s, err);
	int64_t v;

	if (rc <= 0)
		return rc;
	v = get_i64(&c, 0, min);
	rc = finish(l, &c, err);
	if (rc > 0)
		*ret = v;
	return rc;
}

/* The first column of at most n rows. */
static int get_ids(struct ledger *l, sqlite3_stmt *s, int64_t *ids, int n, struct err *err)
{
	struct columns c = {.s = s};
	int have = 0, rc;

	while ((rc = step(l, s, err)) > 0) {
		BUG_ON(have == n); /* LIMIT */
		ids[have++] = get_i64(&c, 0, 1);
		if (c.bad)
			return finish(l, &c, err);
	}
	return rc < 0 ? rc : have;
}

/* ---- opening ---- */

static int exec(struct ledger *l, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(l->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(l, rc, err);
}

/* An integer PRAGMA. */
static int get_pragma(struct ledger *l, const char *sql, int64_t *ret, struct err *err)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(l->db, sql, -1, &s, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(s);
		if (rc == SQLITE_ROW)
			*ret = sqlite3_column_int64(s, 0);
		sqlite3_finalize(s);
	}
	return rc == SQLITE_ROW ? 0 : fail(l, rc, err);
}

/* From schema `from` (0: an empty file) to ours, as one transaction. */
static int make_schema(struct ledger *l, int64_t from, struct err *err)
{
	CLEANUP_BUF struct buf sql = BUF_INIT(SCHEMA_SQL_BYTES);

	(void)buf_adds(&sql, "BEGIN IMMEDIATE;");
	for (int64_t i = from; i < LEDGER_SCHEMA; i++)
		(void)buf_adds(&sql, schema_steps[i]);
	(void)buf_addf(&sql, "PRAGMA application_id = %d; PRAGMA user_version = %" PRId64 "; COMMIT",
		LEDGER_APPLICATION_ID, LEDGER_SCHEMA);
	BUG_ON(sql.failed);
	return exec(l, buf_str(&sql), err);
}

/* A ledger of an older program: it is kept beside, then changed. */
static int migrate(struct ledger *l, int64_t from, struct err *err)
{
	CLEANUP_FREE char *old = mem_printf("%s.schema-%" PRId64, l->path, from);
	sqlite3_stmt *s = NULL;
	int rc;

	if (unlink(old) < 0 && errno != ENOENT) /* of a migration that did not come to its end */
		return err_errno(err, errno, "cannot replace %s", old);
	rc = sqlite3_prepare_v2(l->db, "VACUUM INTO ?1", -1, &s, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_bind_text(s, 1, old, -1, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	rc = rc == SQLITE_DONE ? 0 : fail(l, rc, err);
	(void)sqlite3_finalize(s);
	if (rc == 0 && chmod(old, 0600) < 0)
		rc = err_errno(err, errno, "cannot protect %s", old);
	if (rc < 0)
		return err_prefix(err, "the ledger of an older version cannot be kept");
	CRASH_POINT("ledger-old-kept");
	rc = make_schema(l, from, err);
	CRASH_POINT("ledger-migrated");
	if (rc == 0)
		log_info("the ledger was brought from schema %" PRId64 " to %" PRId64
			 "; as it was it is in %s",
			from, LEDGER_SCHEMA, old);
	return rc;
}

/* What this file is: the number of its schema, 0 empty, -errno. */
static int check_schema(struct ledger *l, struct err *err)
{
	int64_t application = 0, version = 0, tables = 0;
	int rc = get_pragma(l, "PRAGMA application_id", &application, err);

	if (rc == 0)
		rc = get_pragma(l, "PRAGMA user_version", &version, err);
	if (rc == 0)
		rc = get_pragma(l, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (rc < 0)
		return rc;
	if (tables == 0 && version == 0)
		return 0;
	if (application != LEDGER_APPLICATION_ID)
		return err_set(err, ERR_CONF, EBADMSG, "%s is not a ledger of brickwatch", l->path);
	if (version > LEDGER_SCHEMA)
		return err_set(err, ERR_CONF, EBADMSG,
			"ledger %s was written by a newer brickwatch (schema %" PRId64
			", this one knows %" PRId64 "): install that again",
			l->path, version, LEDGER_SCHEMA);
	if (version < 1)
		return err_set(err, ERR_CONF, EBADMSG, "ledger %s has the unknown schema %" PRId64, l->path,
			version);
	return (int)version;
}

static int prepare(struct ledger *l, struct err *err)
{
	for (int q = 0; q < QUERIES; q++) {
		int rc = sqlite3_prepare_v3(
			l->db, query_sql[q], -1, SQLITE_PREPARE_PERSISTENT, &l->stmts[q], NULL);

		if (rc != SQLITE_OK)
			return fail(l, rc, err);
	}
	return 0;
}

static int set_up(struct ledger *l, const char *pragmas, bool may_create, struct err *err)
{
	int rc, found;

	(void)sqlite3_extended_result_codes(l->db, 1);
	(void)sqlite3_busy_timeout(l->db, LEDGER_BUSY_MS);
	(void)sqlite3_db_config(l->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(l->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	found = check_schema(l, err);
	if (found < 0)
		return found;
	if (found == 0 && !may_create)
		return err_set(err, ERR_SYSTEM, ENOENT, "ledger %s is empty", l->path);
	if (found > 0 && found < LEDGER_SCHEMA && !may_create)
		return err_set(err, ERR_CONF, EBADMSG,
			"ledger %s was written by an older brickwatch; start the service once, then it can "
			"be read",
			l->path);
	rc = exec(l, pragmas, err);
	CRASH_POINT("ledger-opened");
	if (rc == 0 && found == 0)
		rc = make_schema(l, 0, err);
	else if (rc == 0 && found < LEDGER_SCHEMA)
		rc = migrate(l, found, err);
	CRASH_POINT("ledger-made");
	return rc < 0 ? rc : prepare(l, err);
}

/* A file that SQLite cannot read stays so however often it is tried. */
static int tell_damage(int rc, struct err *err)
{
	if ((rc == -EBADMSG || rc == -EUCLEAN) && err && err->class == ERR_INPUT) {
		err->class = ERR_CONF;
		(void)err_prefix(err, "the ledger is damaged and must be set aside");
	}
	return rc;
}

static int open_database(const char *path, const char *uri, int flags, const char *pragmas, bool may_create,
	struct ledger **ret, struct err *err)
{
	struct ledger *l = mem_alloc(sizeof(*l));
	int rc;

	l->path = mem_strdup(path);
	rc = sqlite3_open_v2(uri, &l->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
	rc = rc == SQLITE_OK ? set_up(l, pragmas, may_create, err) : fail(l, rc, err);
	if (rc < 0) {
		ledger_close(l);
		return tell_damage(rc, err);
	}
	*ret = l;
	return 0;
}

/* SQLite would make it for everybody to read, and follow a link. */
static int create_file(const char *path, struct err *err)
{
	CLEANUP_FD int fd =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0)
		return err_errno(err, errno, "cannot open the ledger %s", path);
	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot look at the ledger %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_CONF, EBADMSG, "the ledger %s is not a regular file", path);
	return st.st_size > 0 ? 0 : fs_sync_parent(path, err);
}

/* A file: URI with everything but the plainest characters escaped. */
static char *make_uri(const char *path, const char *options)
{
	CLEANUP_BUF struct buf b = BUF_INIT(4 * WIRE_PATH_BYTES);

	(void)buf_adds(&b, "file:");
	for (const char *p = path; *p; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			strchr("/._-", *p))
			(void)buf_addc(&b, *p);
		else
			(void)buf_addf(&b, "%%%02X", (unsigned)(unsigned char)*p);
	}
	(void)buf_adds(&b, options);
	return mem_strdup(b.failed ? "" : buf_str(&b));
}

const char *ledger_state_name(enum ledger_state state)
{
	BUG_ON((unsigned)state >= LEDGER_STATES);
	return state_names[state];
}

int ledger_open(const char *directory, bool power, struct ledger **ret, struct err *err)
{
	CLEANUP_FREE char *path = fs_join(directory, LEDGER_FILE);
	CLEANUP_FREE char *pragmas =
		mem_printf("PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;"
			   "PRAGMA journal_size_limit = 16777216; PRAGMA wal_autocheckpoint = "
			   "4000; PRAGMA temp_store = "
			   "MEMORY; PRAGMA cache_size = -4096;",
			power ? "FULL" : "NORMAL");
	int rc = create_file(path, err);

	if (rc < 0)
		return rc;
	return open_database(path, path, SQLITE_OPEN_READWRITE, pragmas, true, ret, err);
}

int ledger_open_read_only(const char *directory, struct ledger **ret, struct err *err)
{
	CLEANUP_FREE char *path = fs_join(directory, LEDGER_FILE);
	CLEANUP_FREE char *wal = mem_printf("%s-wal", path);
	struct stat st;
	/* without a log beside it nobody has it open; SQLite would make one only to read */
	CLEANUP_FREE char *uri = make_uri(path, stat(wal, &st) == 0 ? "?mode=ro" : "?mode=ro&immutable=1");

	if (stat(path, &st) < 0)
		return err_errno(err, errno, "cannot look at the ledger %s", path);
	return open_database(
		path, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, "PRAGMA query_only = 1", false, ret, err);
}

int ledger_open_memory(struct ledger **ret, struct err *err)
{
	return open_database(":memory:", ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
		"PRAGMA temp_store = MEMORY", true, ret, err);
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	if (l->open)
		ledger_rollback(l);
	for (int q = 0; q < QUERIES; q++)
		(void)sqlite3_finalize(l->stmts[q]);
	(void)sqlite3_close(l->db);
	free(l->path);
	free(l);
}

bool ledger_is_open(const struct ledger *l)
{
	return l->open;
}

int ledger_begin(struct ledger *l, struct err *err)
{
	return begin(l, err);
}

int ledger_commit(struct ledger *l, struct err *err)
{
	int rc;

	if (!l->open)
		return 0;
	rc = begin(l, err); /* is it still there? */
	if (rc == 0)
		rc = change(l, use(l, Q_COMMIT), err);
	if (rc < 0) {
		ledger_rollback(l);
		return rc;
	}
	l->open = false;
	return 0;
}

void ledger_rollback(struct ledger *l)
{
	l->open = false;
	if (!sqlite3_get_autocommit(l->db))
		(void)change(l, use(l, Q_ROLLBACK), NULL);
}

/* ---- versions ---- */

int ledger_root(struct ledger *l, const char *root, bool create, int64_t *ret_id, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_ROOT);
	int rc;

	bind_path(l, s, 1, root);
	rc = get_one(l, s, 1, ret_id, err);
	if (rc != 0 || !create)
		return rc;
	rc = begin(l, err);
	if (rc < 0)
		return rc;
	s = use(l, Q_ROOT_ADD);
	bind_path(l, s, 1, root);
	rc = change(l, s, err);
	if (rc < 0)
		return rc;
	*ret_id = sqlite3_last_insert_rowid(l->db);
	return 1;
}

int ledger_glance(struct ledger *l, const struct ledger_key *key, struct ledger_glance *ret, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_GLANCE);
	struct columns c = {.s = s};
	struct ledger_glance newest = {.id = 0};
	int rc;

	bind_key(l, s, key);
	while ((rc = step(l, s, err)) > 0) {
		int64_t id = get_i64(&c, 0, 1);

		if (id > newest.id) {
			newest.id = id;
			newest.size = get_i64(&c, 1, 0);
			newest.mtime_ns = get_i64(&c, 2, INT64_MIN);
			get_text(&c, 3, newest.rules_hash, sizeof(newest.rules_hash));
		}
		if (c.bad)
			return finish(l, &c, err);
	}
	if (rc < 0 || newest.id == 0)
		return rc;
	*ret = newest;
	return 1;
}

int ledger_newest(struct ledger *l, const struct ledger_key *key, struct ledger_known *ret, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_NEWEST);
	struct columns c = {.s = s};
	struct ledger_known k;
	int rc;

	bind_key(l, s, key);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	k.id = get_i64(&c, 0, 1);
	k.state = get_state(&c, 1);
	k.version.size = get_i64(&c, 2, 0);
	k.version.mtime_ns = get_i64(&c, 3, INT64_MIN);
	k.version.ino = (uint64_t)get_i64(&c, 4, INT64_MIN);
	get_hex(&c, 5, k.version.ends, sizeof(k.version.ends));
	k.generation = get_i64(&c, 6, 0);
	get_text(&c, 7, k.rules_hash, sizeof(k.rules_hash));
	get_text(&c, 8, k.reason, sizeof(k.reason));
	k.has_token = get_i64(&c, 9, 0) != 0;
	k.version.birth_ns = get_i64(&c, 10, INT64_MIN);
	rc = finish(l, &c, err);
	if (rc > 0)
		*ret = k;
	return rc;
}

int ledger_last_run(struct ledger *l, const struct ledger_key *key, int64_t *ret_run_id, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_LAST_RUN);

	bind_key(l, s, key);
	return get_one(l, s, 1, ret_run_id, err);
}

int ledger_find_token(
	struct ledger *l, const char *token, const char *relpath, struct ledger_owner *ret, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_TOKEN);
	struct columns c = {.s = s};
	struct ledger_owner o;
	int rc;

	bind_text(l, s, 1, token);
	bind_path(l, s, 2, relpath);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	o.id = get_i64(&c, 0, 1);
	o.root_id = get_i64(&c, 1, 1);
	get_text(&c, 2, o.watch, sizeof(o.watch));
	o.same_relpath = get_i64(&c, 3, 0) != 0;
	o.unused = get_i64(&c, 4, 0) != 0;
	o.revived = get_i64(&c, 5, 0);
	o.moved = get_i64(&c, 6, 0) != 0;
	rc = finish(l, &c, err);
	if (rc > 0)
		*ret = o;
	return rc;
}

static void bind_new(struct ledger *l, sqlite3_stmt *s, const struct ledger_new *v)
{
	bind_key(l, s, &v->key);
	bind_i64(l, s, 4, v->version.size);
	bind_i64(l, s, 5, v->version.mtime_ns);
	bind_i64(l, s, 6, (int64_t)v->version.ino);
	bind_text(l, s, 7, v->version.ends);
	bind_i64(l, s, 8, v->owner);
	bind_text(l, s, 9, v->mime);
	bind_text(l, s, 10, v->evidence);
	bind_i64(l, s, 11, v->first_seen_us);
	bind_i64(l, s, 12, v->completed_us);
	bind_text(l, s, 13, state_names[v->state]);
	bind_text(l, s, 14, v->reason);
	bind_text(l, s, 15, v->detail);
	bind_text(l, s, 16, v->rules_hash);
	bind_i64(l, s, 17, v->now_us);
	if (v->token[0])
		bind_text(l, s, 18, v->token);
	bind_i64(l, s, 19, v->generation);
	bind_text(l, s, 20, v->workspace);
	bind_text(l, s, 21, v->host);
	bind_i64(l, s, 22, v->job_id);
	bind_path(l, s, 23, v->uri);
	if (v->request_len > 0)
		bind_bytes(l, s, 24, v->request, v->request_len);
	if (v->previous_run_id > 0)
		bind_i64(l, s, 25, v->previous_run_id);
	bind_i64(l, s, 26, v->failures);
	bind_i64(l, s, 27, v->revived);
	bind_i64(l, s, 28, l->removed + 1);
	bind_i64(l, s, 29, v->version.birth_ns);
}

int ledger_insert(struct ledger *l, const struct ledger_new *v, int64_t *ret_id, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_INSERT);
	bind_new(l, s, v);
	rc = change(l, s, err);
	if (rc < 0)
		return rc;
	*ret_id = sqlite3_last_insert_rowid(l->db);
	return 0;
}

int ledger_set_seen(struct ledger *l, int64_t id, const struct version *as, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_SEEN);
	bind_i64(l, s, 1, id);
	bind_i64(l, s, 2, as->mtime_ns);
	bind_i64(l, s, 3, (int64_t)as->ino);
	bind_i64(l, s, 4, as->birth_ns);
	return change_one(l, s, err);
}

int ledger_set_state(struct ledger *l, int64_t id, enum ledger_state state, const char *reason,
	const char *detail, const char *rules_hash, int64_t now_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_STATE);
	bind_i64(l, s, 1, id);
	bind_text(l, s, 2, ledger_state_name(state));
	bind_text(l, s, 3, reason);
	bind_text(l, s, 4, detail);
	/* what is found again must not be taken for known at a glance */
	bind_text(l, s, 5,
		state == LEDGER_VANISHED || state == LEDGER_SUPERSEDED ? LEDGER_RULES_LOOK : rules_hash);
	bind_i64(l, s, 6, now_us);
	return change_one(l, s, err);
}

int ledger_clear_token(struct ledger *l, int64_t id, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_TOKEN_CLEAR);
	bind_i64(l, s, 1, id);
	return change_one(l, s, err);
}

int ledger_unsent_of(struct ledger *l, const struct ledger_key *key, int64_t *ids, int n, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_UNSENT_OF);

	bind_key(l, s, key);
	bind_i64(l, s, 4, n);
	return get_ids(l, s, ids, n, err);
}

int ledger_by_inode(struct ledger *l, const struct ledger_key *key, const struct version *v, int64_t *ids,
	int n, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_BY_INODE);

	bind_i64(l, s, 1, (int64_t)v->ino);
	bind_i64(l, s, 2, v->size);
	bind_i64(l, s, 3, v->mtime_ns);
	bind_i64(l, s, 4, key->root_id);
	bind_text(l, s, 5, key->watch);
	bind_i64(l, s, 6, n);
	return get_ids(l, s, ids, n, err);
}

int ledger_rename(struct ledger *l, int64_t id, const char *relpath, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_RENAME);
	bind_i64(l, s, 1, id);
	bind_path(l, s, 2, relpath);
	return change_one(l, s, err);
}

int ledger_revive(struct ledger *l, int64_t id, int64_t now_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_REVIVE);
	bind_i64(l, s, 1, id);
	bind_i64(l, s, 2, now_us);
	rc = change(l, s, err);
	return rc < 0 ? rc : sqlite3_changes(l->db) > 0;
}

int ledger_move_key(struct ledger *l, const struct ledger_key *key, const char *to_watch, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_MOVE);
	bind_key(l, s, key);
	bind_text(l, s, 4, to_watch);
	return change(l, s, err);
}

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

static void get_row(struct columns *c, struct ledger_row *r)
{
	r->id = get_i64(c, 0, 1);
	r->watch = get_copy(c, 1, LEDGER_WORD_BYTES);
	r->root = get_copy(c, 2, WIRE_PATH_BYTES);
	r->relpath = get_copy(c, 3, WIRE_PATH_BYTES);
	r->uri = get_copy(c, 4, LEDGER_URI_BYTES);
	r->mime = get_copy(c, 5, FILETYPE_MIME_BYTES);
	r->version.size = get_i64(c, 6, 0);
	r->version.mtime_ns = get_i64(c, 7, INT64_MIN);
	r->version.ino = (uint64_t)get_i64(c, 8, INT64_MIN);
	get_hex(c, 9, r->version.ends, sizeof(r->version.ends));
	r->owner = get_i64(c, 10, INT64_MIN);
	r->first_seen_us = get_i64(c, 11, INT64_MIN);
	r->completed_us = get_i64(c, 12, INT64_MIN);
	r->state = get_state(c, 13);
	if (sqlite3_column_type(c->s, 14) != SQLITE_NULL)
		get_hex(c, 14, r->token, sizeof(r->token));
	r->generation = get_i64(c, 15, 0);
	r->workspace = get_copy(c, 16, LEDGER_WORD_BYTES);
	r->host = get_copy(c, 17, WIRE_PATH_BYTES);
	r->job_id = get_i64(c, 18, 0);
	r->run_id = get_id_or_null(c, 19);
	r->previous_run_id = get_id_or_null(c, 20);
	r->sent = get_i64(c, 21, 0) != 0;
	r->attempts = get_i64(c, 22, 0);
	r->first_failed_us = get_i64(c, 23, 0);
	r->last_failed_us = get_i64(c, 24, 0);
	r->next_attempt_us = get_i64(c, 25, 0);
	r->tried_us = get_i64(c, 26, 0);
	r->retryings = get_i64(c, 27, 0);
	r->failures = get_i64(c, 28, 0);
	r->unchecked = get_i64(c, 29, 0) != 0;
	r->skips = get_i64(c, 30, 0);
	r->verify_at_us = get_i64(c, 31, 0);
	r->principal = get_copy(c, 32, LEDGER_WORD_BYTES);
	r->revived = get_i64(c, 33, 0);
	get_text(c, 34, r->reason, sizeof(r->reason));
	r->version.birth_ns = get_i64(c, 35, INT64_MIN);
}

int ledger_row(struct ledger *l, int64_t id, struct ledger_row *ret, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_ROW);
	struct columns c = {.s = s};
	struct ledger_row r = {.id = 0};
	int rc;

	bind_i64(l, s, 1, id);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	get_row(&c, &r);
	rc = finish(l, &c, err);
	if (rc > 0)
		*ret = r;
	else
		ledger_row_done(&r);
	return rc;
}

int ledger_request(struct ledger *l, int64_t id, struct buf *b, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_REQUEST);
	struct columns c = {.s = s};
	const char *p;
	size_t n;
	int rc;

	bind_i64(l, s, 1, id);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	p = get_bytes(&c, 0, REQUEST_BODY_BYTES + 1, &n);
	buf_reset(b);
	if (buf_add(b, p, n) < 0)
		refuse(&c, 0);
	if (c.bad) {
		done(s);
		return err_set(err, ERR_INPUT, EBADMSG, "ledger %s is damaged: request of row %" PRId64,
			l->path, id);
	}
	return finish(l, &c, err);
}

/* ---- sending ---- */

int ledger_each_line(struct ledger *l,
	int (*fn)(const char *watch, const char *host, int64_t rows, void *arg), void *arg, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_LINES);
	struct columns c = {.s = s};
	int rc;

	while ((rc = step(l, s, err)) > 0) {
		CLEANUP_FREE char *watch = get_copy(&c, 0, LEDGER_WORD_BYTES);
		CLEANUP_FREE char *host = get_copy(&c, 1, WIRE_PATH_BYTES);
		int64_t rows = get_i64(&c, 2, 1);

		if (c.bad)
			return finish(l, &c, err);
		rc = fn(watch, host, rows, arg);
		if (rc < 0) {
			done(s);
			return rc;
		}
	}
	return rc;
}

static int get_part(struct ledger *l, enum query q, const struct ledger_line *line, int64_t old_id,
	int64_t now_us, int64_t *ids, int n, struct err *err)
{
	sqlite3_stmt *s = use(l, q);

	bind_text(l, s, 1, line->watch);
	bind_text(l, s, 2, line->host);
	if (q != Q_FRESH_CERTAIN && q != Q_DUE_CERTAIN)
		bind_i64(l, s, 3, old_id);
	if (now_us > 0)
		bind_i64(l, s, 4, now_us);
	bind_i64(l, s, 5, n);
	return get_ids(l, s, ids, n, err);
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
	sqlite3_stmt *s = use(l, Q_NEXT_DUE);

	bind_line(l, s, line);
	bind_i64(l, s, 4, now_us);
	return get_one(l, s, 0, ret_us, err);
}

int ledger_clamp_due(struct ledger *l, const struct ledger_line *line, int64_t latest_us, struct err *err)
{
	int64_t there;
	sqlite3_stmt *s;
	int rc = ledger_next_due(l, line, latest_us, &there, err);

	if (rc <= 0)
		return rc;
	rc = begin(l, err);
	if (rc < 0)
		return rc;
	s = use(l, Q_CLAMP);
	bind_line(l, s, line);
	bind_i64(l, s, 4, latest_us);
	return change(l, s, err);
}

int ledger_postpone(struct ledger *l, int64_t id, int64_t until_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_POSTPONE);
	bind_i64(l, s, 1, id);
	bind_i64(l, s, 2, until_us);
	return change(l, s, err);
}

int ledger_mark_sent(struct ledger *l, int64_t id, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_SENT);
	bind_i64(l, s, 1, id);
	return change_one(l, s, err);
}

int ledger_set_started(struct ledger *l, int64_t id, int64_t run_id, int64_t attempts, const char *principal,
	int64_t now_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_STARTED);
	bind_i64(l, s, 1, id);
	bind_i64(l, s, 2, run_id);
	bind_i64(l, s, 3, attempts);
	bind_text(l, s, 4, principal);
	bind_i64(l, s, 5, now_us);
	return change_one(l, s, err);
}

int ledger_set_retry(struct ledger *l, const struct ledger_row *r, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_RETRY);
	bind_i64(l, s, 1, r->id);
	bind_i64(l, s, 2, r->sent);
	bind_i64(l, s, 3, r->attempts);
	bind_i64(l, s, 4, r->first_failed_us);
	bind_i64(l, s, 5, r->last_failed_us);
	bind_i64(l, s, 6, r->next_attempt_us);
	bind_i64(l, s, 7, r->tried_us);
	bind_i64(l, s, 8, r->retryings);
	return change_one(l, s, err);
}

int ledger_set_closed(struct ledger *l, const struct ledger_row *r, enum ledger_state state,
	const char *reason, const char *detail, int64_t now_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_FAILED);
	bind_i64(l, s, 1, r->id);
	bind_i64(l, s, 2, r->attempts);
	bind_i64(l, s, 3, r->failures);
	bind_text(l, s, 4, reason);
	bind_text(l, s, 5, detail);
	bind_i64(l, s, 6, now_us);
	bind_text(l, s, 7, ledger_state_name(state));
	return change_one(l, s, err);
}

/* ---- the outbox ---- */

int ledger_outbox_add(struct ledger *l, const char *event_id, const char *line, size_t len, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_OUT_ADD);
	bind_text(l, s, 1, event_id);
	bind_bytes(l, s, 2, line, len);
	return change(l, s, err);
}

int ledger_outbox_next(struct ledger *l, int64_t after, int64_t *ret_seq, struct buf *line, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_OUT_NEXT);
	struct columns c = {.s = s};
	const char *p;
	int64_t seq;
	size_t n;
	int rc;

	bind_i64(l, s, 1, after);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	seq = get_i64(&c, 0, 1);
	p = get_bytes(&c, 1, LEDGER_LINE_BYTES, &n);
	if (n == 0 || memchr(p, '\n', n) != p + n - 1)
		refuse(&c, 1);
	buf_reset(line);
	if (buf_add(line, p, n) < 0)
		refuse(&c, 1);
	rc = finish(l, &c, err);
	if (seq > after)
		*ret_seq = seq;
	return rc;
}

int ledger_outbox_find(struct ledger *l, const char *line, size_t len, int64_t *ret_seq, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_OUT_FIND);

	bind_bytes(l, s, 1, line, len);
	return get_one(l, s, 1, ret_seq, err);
}

int ledger_outbox_delete(struct ledger *l, int64_t seq, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_OUT_DELETE);
	bind_i64(l, s, 1, seq);
	return change(l, s, err);
}

/* ---- baselines ---- */

int ledger_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	struct ledger_baseline *ret, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_BASELINE);
	struct columns c = {.s = s};
	struct ledger_baseline b;
	int rc;

	bind_text(l, s, 1, watch);
	bind_i64(l, s, 2, root_id);
	bind_text(l, s, 3, fs_type);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	get_text(&c, 1, b.mode, sizeof(b.mode));
	b.closed_us = get_i64(&c, 2, 0);
	rc = finish(l, &c, err);
	if (rc > 0)
		*ret = b;
	return rc;
}

int ledger_baseline_closed(
	struct ledger *l, const char *watch, int64_t root_id, int64_t *ret_us, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_BASELINE_CLOSED);

	bind_text(l, s, 1, watch);
	bind_i64(l, s, 2, root_id);
	return get_one(l, s, 1, ret_us, err);
}

int ledger_set_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	const char *mode, int64_t closed_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_BASELINE_SET);
	bind_text(l, s, 1, watch);
	bind_i64(l, s, 2, root_id);
	bind_text(l, s, 3, fs_type);
	bind_text(l, s, 4, mode);
	bind_i64(l, s, 5, closed_us);
	rc = change(l, s, err);
	if (rc < 0 || fs_type[0] == '\0')
		return rc;
	s = use(l, Q_BASELINE_SEEDED);
	bind_text(l, s, 1, watch);
	bind_i64(l, s, 2, root_id);
	return change(l, s, err);
}

int ledger_close_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	int64_t now_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_BASELINE_CLOSE);
	bind_text(l, s, 1, watch);
	bind_i64(l, s, 2, root_id);
	bind_text(l, s, 3, fs_type);
	bind_i64(l, s, 4, now_us);
	return change_one(l, s, err);
}

int ledger_has_rows(struct ledger *l, const char *watch, int64_t root_id, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_HAS_ROWS);
	int64_t one;

	bind_text(l, s, 1, watch);
	bind_i64(l, s, 2, root_id);
	return get_one(l, s, 1, &one, err);
}

int ledger_count_held(struct ledger *l, const char *watch, const char *reason, int64_t *ret, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_COUNT_HELD);
	int rc;

	bind_text(l, s, 1, watch);
	bind_text(l, s, 2, reason);
	rc = get_one(l, s, 0, ret, err);
	return rc < 0 ? rc : 0;
}

int ledger_sweep(
	struct ledger *l, const char *watch, int64_t after, int n, struct ledger_swept *ret, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_SWEEP);
	struct columns c = {.s = s};
	int have = 0, rc;

	bind_text(l, s, 1, watch);
	bind_i64(l, s, 2, after);
	bind_i64(l, s, 3, after + n);
	while ((rc = step(l, s, err)) > 0) {
		BUG_ON(have == n); /* ids are unique */
		ret[have].id = get_i64(&c, 0, 1);
		ret[have++].missed = get_i64(&c, 1, 0);
		if (c.bad)
			return finish(l, &c, err);
	}
	return rc < 0 ? rc : have;
}

int ledger_set_missed(struct ledger *l, int64_t id, int64_t missed, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_MISSED);
	bind_i64(l, s, 1, id);
	bind_i64(l, s, 2, missed);
	return change_one(l, s, err);
}

int ledger_accepted_since(struct ledger *l, const char *watch, int64_t since_us, int64_t rows, int64_t *ret,
	int64_t *ret_first_us, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_ACCEPTED);
	struct columns c = {.s = s};
	int64_t n, first_us;
	int rc;

	bind_text(l, s, 1, watch);
	bind_i64(l, s, 2, since_us);
	bind_i64(l, s, 3, rows);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	n = get_i64(&c, 0, 0);
	first_us = get_i64(&c, 1, 0);
	rc = finish(l, &c, err);
	if (rc < 0)
		return rc;
	*ret = n;
	*ret_first_us = first_us;
	return 0;
}

int ledger_count(struct ledger *l, enum ledger_state state, int64_t *ret, struct err *err)
{
	sqlite3_stmt *s = use(l, state == LEDGER_PENDING ? Q_COUNT_PENDING : Q_COUNT);
	int rc;

	if (state != LEDGER_PENDING)
		bind_text(l, s, 1, ledger_state_name(state));
	rc = get_one(l, s, 0, ret, err);
	return rc < 0 ? rc : 0;
}

int ledger_unsent(struct ledger *l, int64_t after, int64_t *ids, int n, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_UNSENT);

	bind_i64(l, s, 1, after);
	bind_i64(l, s, 2, n);
	return get_ids(l, s, ids, n, err);
}

int ledger_held(struct ledger *l, const char *watch, const char *reason, int64_t after, int64_t *ids, int n,
	struct err *err)
{
	sqlite3_stmt *s = use(l, Q_HELD);

	bind_text(l, s, 1, watch);
	bind_text(l, s, 2, reason);
	bind_i64(l, s, 3, after);
	bind_i64(l, s, 4, n);
	return get_ids(l, s, ids, n, err);
}

int ledger_renew(struct ledger *l, int64_t id, const struct ledger_renewal *r, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_RENEW);
	bind_i64(l, s, 1, id);
	bind_text(l, s, 2, r->workspace);
	bind_text(l, s, 3, r->host);
	bind_i64(l, s, 4, r->job_id);
	bind_bytes(l, s, 5, r->uri, strlen(r->uri));
	bind_text(l, s, 6, r->token);
	bind_bytes(l, s, 7, r->request, r->request_len);
	return change_one(l, s, err);
}

int ledger_meta(struct ledger *l, const char *name, struct buf *value, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_META);
	struct columns c = {.s = s};
	const char *p;
	size_t n;
	int rc;

	bind_text(l, s, 1, name);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	p = get_bytes(&c, 0, LEDGER_META_BYTES, &n);
	buf_reset(value);
	if (buf_add(value, p, n) < 0)
		refuse(&c, 0);
	return finish(l, &c, err);
}

int ledger_set_meta(struct ledger *l, const char *name, const char *value, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, value ? Q_META_SET : Q_META_CLEAR);
	bind_text(l, s, 1, name);
	if (value)
		bind_text(l, s, 2, value);
	return change(l, s, err);
}

int ledger_newest_id(struct ledger *l, int64_t *ret, struct err *err)
{
	int rc = get_one(l, use(l, Q_NEWEST_ID), 0, ret, err);

	return rc < 0 ? rc : 0;
}

/* ---- looking through it ---- */

int ledger_select(struct ledger *l, const struct ledger_filter *f, int64_t after, int64_t through,
	int64_t *ids, int n, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_SELECT);

	bind_i64(l, s, 1, after);
	bind_i64(l, s, 2, through);
	bind_text(l, s, 3, f->state < 0 ? "" : ledger_state_name((enum ledger_state)f->state));
	bind_text(l, s, 4, f->watch);
	bind_i64(l, s, 5, f->since_us > 0 ? f->since_us : INT64_MIN);
	bind_i64(l, s, 6, f->until_us);
	bind_i64(l, s, 7, n);
	return get_ids(l, s, ids, n, err);
}

int ledger_select_path(
	struct ledger *l, const char *path, int64_t after, int64_t *ids, int n, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_SELECT_PATH);

	bind_path(l, s, 1, path);
	bind_i64(l, s, 2, after);
	bind_i64(l, s, 3, n);
	return get_ids(l, s, ids, n, err);
}

int ledger_add_tally(
	struct ledger *l, int64_t after, int64_t through, struct ledger_tally *t, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_TALLY);
	struct columns c = {.s = s};
	int rc;

	bind_i64(l, s, 1, after);
	bind_i64(l, s, 2, through);
	while ((rc = step(l, s, err)) > 0) {
		enum ledger_state state = get_state(&c, 0);
		int64_t rows = get_i64(&c, 1, 1), oldest_us = get_i64(&c, 2, INT64_MIN);

		if (c.bad)
			return finish(l, &c, err);
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
	sqlite3_stmt *s = use(l, Q_NOTE);
	struct columns c = {.s = s};
	struct ledger_note n = {.detail = NULL};
	int rc;

	bind_i64(l, s, 1, id);
	rc = step(l, s, err);
	if (rc <= 0)
		return rc;
	get_text(&c, 1, n.reason, sizeof(n.reason));
	n.detail = get_copy(&c, 2, LEDGER_LINE_BYTES);
	n.principal = get_copy(&c, 3, LEDGER_LINE_BYTES);
	n.changed_us = get_i64(&c, 4, INT64_MIN);
	n.has_request = get_i64(&c, 5, 0) != 0;
	rc = finish(l, &c, err);
	if (rc > 0)
		*ret = n;
	else
		ledger_note_done(&n);
	return rc;
}

/* ---- what an operator does to a row ---- */

int ledger_requeue(struct ledger *l, int64_t id, bool sent, bool unchecked, int64_t now_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_REQUEUE);
	bind_i64(l, s, 1, id);
	bind_i64(l, s, 2, sent);
	bind_i64(l, s, 3, unchecked);
	bind_i64(l, s, 4, now_us);
	return change_one(l, s, err);
}

int ledger_remove(struct ledger *l, int64_t id, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	if (id > l->removed)
		l->removed = id; /* also when it is given up: a gap does no harm */
	s = use(l, Q_REMOVE);
	bind_i64(l, s, 1, id);
	return change_one(l, s, err);
}

/* ---- runs to be looked at ---- */

int ledger_set_verify(struct ledger *l, int64_t id, int64_t at_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_VERIFY);
	bind_i64(l, s, 1, id);
	bind_i64(l, s, 2, at_us);
	return change_one(l, s, err);
}

int ledger_verify_due(struct ledger *l, const char *host, int64_t now_us, int64_t *ret_id, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_VERIFY_DUE);

	bind_text(l, s, 1, host);
	bind_i64(l, s, 2, now_us);
	return get_one(l, s, 1, ret_id, err);
}

int ledger_next_verify(struct ledger *l, const char *host, int64_t *ret_us, struct err *err)
{
	sqlite3_stmt *s = use(l, Q_VERIFY_NEXT);

	bind_text(l, s, 1, host);
	return get_one(l, s, 1, ret_us, err);
}

int ledger_clamp_verify(struct ledger *l, const char *host, int64_t latest_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_VERIFY_CLAMP);
	bind_text(l, s, 1, host);
	bind_i64(l, s, 2, latest_us);
	return change(l, s, err);
}

int ledger_set_skipped(struct ledger *l, int64_t id, int64_t skips, int64_t next_attempt_us, struct err *err)
{
	sqlite3_stmt *s;
	int rc = begin(l, err);

	if (rc < 0)
		return rc;
	s = use(l, Q_SKIPPED);
	bind_i64(l, s, 1, id);
	bind_i64(l, s, 2, skips);
	bind_i64(l, s, 3, next_attempt_us);
	return change_one(l, s, err);
}
