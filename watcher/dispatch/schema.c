/*
 * schema: a list of steps, each an SQL text that makes one schema out of the one before it.
 */
#include "dispatch/schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"

#define APPLICATION_ID 0x62726b77 /* "brkw" */
#define SCHEMA ((int64_t)ARRAY_SIZE(schema_steps))
#define SCHEMA_SQL_BYTES (16u * 1024)

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
	/* 3: the marker that said a version was complete */
	("ALTER TABLE version ADD COLUMN marker_mtime_ns INTEGER NOT NULL DEFAULT 0;"
	 "ALTER TABLE version ADD COLUMN marker_ino INTEGER NOT NULL DEFAULT 0;"),
	/* 4: events that wait for consumers; the index has all that a digest counts by */
	("CREATE TABLE notice (seq INTEGER PRIMARY KEY AUTOINCREMENT, consumer TEXT NOT NULL, id TEXT NOT "
	 "NULL,"
	 " type TEXT NOT NULL, watch TEXT NOT NULL, made INTEGER NOT NULL, line BLOB NOT NULL);"
	 "CREATE INDEX notice_consumer ON notice (consumer, seq, type, watch, made);"
	 "CREATE TABLE consumer (name TEXT PRIMARY KEY, waiting INTEGER NOT NULL DEFAULT 0,"
	 " through INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0,"
	 " dropped INTEGER NOT NULL DEFAULT 0, delivered_at INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"),
};

/* From schema `from` (0: an empty file) to ours, as one transaction. */
static int make_schema(struct db *db, int64_t from, struct err *err)
{
	CLEANUP_BUF struct buf sql = BUF_INIT(SCHEMA_SQL_BYTES);

	(void)buf_adds(&sql, "BEGIN IMMEDIATE;");
	for (int64_t i = from; i < SCHEMA; i++)
		(void)buf_adds(&sql, schema_steps[i]);
	(void)buf_addf(&sql, "PRAGMA application_id = %d; PRAGMA user_version = %" PRId64 "; COMMIT",
		APPLICATION_ID, SCHEMA);
	BUG_ON(sql.failed);
	return db_exec(db, buf_str(&sql), err);
}

/* A ledger of an older program: it is kept beside, then changed. */
static int migrate(struct db *db, int64_t from, struct err *err)
{
	CLEANUP_FREE char *old = mem_printf("%s.schema-%" PRId64, db->path, from);
	int rc;

	if (unlink(old) < 0 && errno != ENOENT) /* of a migration that did not come to its end */
		return err_errno(err, errno, "cannot replace %s", old);
	rc = db_copy(db, old, err);
	if (rc == 0 && chmod(old, 0600) < 0)
		rc = err_errno(err, errno, "cannot protect %s", old);
	if (rc < 0)
		return err_prefix(err, "the ledger of an older version cannot be kept");
	CRASH_POINT("ledger-old-kept");
	rc = make_schema(db, from, err);
	CRASH_POINT("ledger-migrated");
	if (rc == 0)
		log_info("the ledger was brought from schema %" PRId64 " to %" PRId64
			 "; as it was it is in %s",
			from, SCHEMA, old);
	return rc;
}

/* What this file is: the number of its schema, 0 empty, -errno. */
static int check_schema(struct db *db, struct err *err)
{
	int64_t application = 0, version = 0, tables = 0;
	int rc = db_get_pragma(db, "PRAGMA application_id", &application, err);

	if (rc == 0)
		rc = db_get_pragma(db, "PRAGMA user_version", &version, err);
	if (rc == 0)
		rc = db_get_pragma(db, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (rc < 0)
		return rc;
	if (tables == 0 && version == 0)
		return 0;
	if (application != APPLICATION_ID)
		return err_set(err, ERR_CONF, EBADMSG, "%s is not a ledger of brickwatch", db->path);
	if (version > SCHEMA)
		return err_set(err, ERR_CONF, EBADMSG,
			"ledger %s was written by a newer brickwatch (schema %" PRId64
			", this one knows %" PRId64 "): install that again",
			db->path, version, SCHEMA);
	if (version < 1)
		return err_set(err, ERR_CONF, EBADMSG, "ledger %s has the unknown schema %" PRId64, db->path,
			version);
	return (int)version;
}

int schema_set_up(struct db *db, const char *pragmas, bool may_create, struct err *err)
{
	int rc, found = check_schema(db, err);

	if (found < 0)
		return found;
	if (found == 0 && !may_create)
		return err_set(err, ERR_SYSTEM, ENOENT, "ledger %s is empty", db->path);
	if (found > 0 && found < SCHEMA && !may_create)
		return err_set(err, ERR_CONF, EBADMSG,
			"ledger %s was written by an older brickwatch; start the service once, then it can "
			"be read",
			db->path);
	rc = db_exec(db, pragmas, err);
	CRASH_POINT("ledger-opened");
	if (rc == 0 && found == 0)
		rc = make_schema(db, 0, err);
	else if (rc == 0 && found < SCHEMA)
		rc = migrate(db, found, err);
	CRASH_POINT("ledger-made");
	return rc;
}
