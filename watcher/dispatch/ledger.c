/*
 * ledger: WAL, because a commit is then one append and one fsync, and because others may look on while we
 * write. With synchronous=FULL each commit is synced; NORMAL leaves that to checkpoints: a killed process
 * loses nothing, a power cut may lose everything since the file was made (measured).
 */
#include "dispatch/ledger.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fs.h"
#include "base/mem.h"
#include "core/wire.h"
#include "dispatch/db.h"
#include "dispatch/queries.h"
#include "dispatch/schema.h"

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

const char *ledger_state_name(enum ledger_state state)
{
	BUG_ON((unsigned)state >= LEDGER_STATES);
	return state_names[state];
}

/* ---- opening ---- */

/* A file that SQLite cannot read stays so however often it is tried. */
static int tell_damage(int rc, struct err *err)
{
	if ((rc == -EBADMSG || rc == -EUCLEAN) && err && err->class == ERR_INPUT) {
		err->class = ERR_CONF;
		(void)err_prefix(err, "the ledger is damaged and must be set aside");
	}
	return rc;
}

static int open_database(const char *path, const char *uri, enum db_mode mode, const char *pragmas,
	bool may_create, struct ledger **ret, struct err *err)
{
	struct ledger *l = mem_alloc(sizeof(*l));
	int rc = db_open(&l->db, path, uri, mode, err);

	if (rc == 0)
		rc = schema_set_up(&l->db, pragmas, may_create, err);
	if (rc == 0)
		rc = db_prepare(&l->db, queries_sql, QUERIES, err);
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

int ledger_open(const char *directory, bool power, struct ledger **ret, struct err *err)
{
	CLEANUP_FREE char *path = fs_join(directory, LEDGER_FILE);
	CLEANUP_FREE char *pragmas =
		mem_printf("PRAGMA journal_mode = WAL; PRAGMA synchronous = %s;"
			   "PRAGMA journal_size_limit = 16777216; PRAGMA wal_autocheckpoint = "
			   "4000; PRAGMA temp_store = "
			   "MEMORY; PRAGMA cache_size = -4096;" LEDGER_COUNTS_SQL,
			power ? "FULL" : "NORMAL");
	int rc = create_file(path, err);

	if (rc < 0)
		return rc;
	return open_database(path, path, DB_WRITE, pragmas, true, ret, err);
}

/* SQLite says the same of a file that is not there and of one that it may not open. */
static int look_at_file(const char *path, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return err_set(err, ERR_SYSTEM, EACCES,
			"not permitted to read the ledger %s: be root or the service's user", path);
	return fd < 0 ? err_errno(err, errno, "cannot look at the ledger %s", path) : 0;
}

int ledger_open_read_only(const char *directory, struct ledger **ret, struct err *err)
{
	CLEANUP_FREE char *path = fs_join(directory, LEDGER_FILE);
	CLEANUP_FREE char *wal = mem_printf("%s-wal", path);
	struct stat st;
	/* without a log beside it nobody has it open; SQLite would make one only to read */
	CLEANUP_FREE char *uri = make_uri(path, stat(wal, &st) == 0 ? "?mode=ro" : "?mode=ro&immutable=1");
	int rc = look_at_file(path, err);

	if (rc < 0)
		return rc;
	return open_database(path, uri, DB_READ,
		"PRAGMA temp_store = MEMORY;" LEDGER_COUNTS_SQL "PRAGMA query_only = 1", false, ret, err);
}

int ledger_open_memory(struct ledger **ret, struct err *err)
{
	return open_database(":memory:", ":memory:", DB_MEMORY,
		"PRAGMA temp_store = MEMORY;" LEDGER_COUNTS_SQL, true, ret, err);
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	db_close(&l->db);
	free(l);
}

bool ledger_is_whole(const char *directory)
{
	CLEANUP_FREE char *path = fs_join(directory, LEDGER_FILE);
	struct err none = ERR_INIT;
	int64_t wrong = -1;
	struct db db;
	int rc = db_open(&db, path, path, DB_WRITE, &none);

	if (rc < 0)
		return false;
	rc = db_get_pragma(&db,
		"SELECT count(*) FROM pragma_integrity_check(1) WHERE integrity_check <> 'ok'", &wrong,
		&none);
	db_close(&db);
	return rc == 0 && wrong == 0;
}

/* ---- transactions ---- */

bool ledger_is_open(const struct ledger *l)
{
	return l->db.open;
}

int ledger_begin(struct ledger *l, struct err *err)
{
	return db_begin(&l->db, err);
}

int ledger_check_place(struct ledger *l, struct err *err)
{
	if (!db_has_moved(&l->db))
		return 0;
	return err_set(err, ERR_SYSTEM, ESTALE,
		"the ledger's file %s was deleted or replaced under the running service: put it back, or "
		"stop the service; the next start makes a new ledger from the event log, and holds what that "
		"does not tell",
		l->db.path);
}

int ledger_commit(struct ledger *l, struct err *err)
{
	int rc = l->db.open ? ledger_check_place(l, err) : 0;

	if (rc < 0) {
		db_rollback(&l->db);
		return rc;
	}
	return db_commit(&l->db, err);
}

void ledger_rollback(struct ledger *l)
{
	db_rollback(&l->db);
}

/* ---- directories ---- */

int ledger_root(struct ledger *l, const char *root, bool create, int64_t *ret_id, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_ROOT);
	int rc;

	db_bind_path(&l->db, s, 1, root);
	rc = db_get_one(&l->db, s, 1, ret_id, err);
	if (rc != 0 || !create)
		return rc;
	rc = db_begin(&l->db, err);
	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_ROOT_ADD);
	db_bind_path(&l->db, s, 1, root);
	rc = db_change(&l->db, s, err);
	if (rc < 0)
		return rc;
	*ret_id = db_last_id(&l->db);
	return 1;
}
