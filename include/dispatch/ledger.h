/*
 * ledger: what became of every file version, and the events that are not in the event log yet. One SQLite
 * database per service, described in doc/ledger.md. It stores and finds; what a row means is decided by
 * intake and sender.
 *
 * Writing: the first change opens a transaction, ledger_commit() ends it; everything in between becomes
 * durable together or not at all. After any failure of a writing call the transaction must be given up with
 * ledger_rollback(). Nothing here tries again.
 *
 * Reading: what comes out of the file is checked (kinds, lengths, ranges); a value that cannot be is
 * -EBADMSG, never a crash.
 *
 * Paths are bytes without NUL. Times are wall-clock microseconds. A ledger is used by one process; read-only
 * openers may look on beside it.
 */
#ifndef DISPATCH_LEDGER_H
#define DISPATCH_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/marker.h"
#include "core/token.h"
#include "core/version.h"

#define LEDGER_FILE "ledger.db"
#define LEDGER_RULES_HASH_BYTES 17
#define LEDGER_RULES_LOOK "look"   /* instead of a hash: a glance is not enough, look at the row */
#define LEDGER_WORD_BYTES 64	   /* reason, workspace name, … with NUL */
#define LEDGER_HOST_BYTES 320	   /* of a workspace, with NUL */
#define LEDGER_PRINCIPAL_BYTES 320 /* how we signed in, with NUL */

struct ledger;

enum ledger_state {
	LEDGER_PENDING = 0,
	LEDGER_STARTED,
	LEDGER_REJECTED,
	LEDGER_FAILED,
	LEDGER_HELD,
	LEDGER_SKIPPED,
	LEDGER_VANISHED,
	LEDGER_SUPERSEDED,
	LEDGER_DROPPED,
	LEDGER_DISCARDED,
	LEDGER_STATES,
};

const char *ledger_state_name(enum ledger_state state);

/* Opens or creates directory/ledger.db (the directory must exist). power: commits survive a power cut, not
 * only the end of the process. -errno with *err; class ERR_CONF when trying again cannot help: damaged, not a
 * ledger, or written by a newer program. */
int ledger_open(const char *directory, bool power, struct ledger **ret, struct err *err) MUST_CHECK;
/* To look only; changes nothing on disk. -ENOENT: there is none; -EACCES: this user may not read it. */
int ledger_open_read_only(const char *directory, struct ledger **ret, struct err *err) MUST_CHECK;
/* One that lives in memory and is gone at the end (dry runs, tests). */
int ledger_open_memory(struct ledger **ret, struct err *err) MUST_CHECK;
void ledger_close(struct ledger *l); /* takes NULL; an open transaction is given up */
/* A second look at a ledger that was found damaged, at all of it: SQLite takes a disk that could not be read
 * for a moment for damage, too (its documentation of SQLITE_IOERR_CORRUPTFS). May block long. */
bool ledger_is_whole(const char *directory);

bool ledger_is_open(const struct ledger *l); /* has a transaction */
/* Opens a transaction, if none is open: many questions in one cost half of what they cost alone. 0 or -errno
 */
int ledger_begin(struct ledger *l, struct err *err) MUST_CHECK;
/* May block for an fsync if there are changes. Without a transaction: does nothing. On failure the
 * transaction is given up: nothing of it is there. */
int ledger_commit(struct ledger *l, struct err *err) MUST_CHECK;
void ledger_rollback(struct ledger *l);
/* Is its file still where it was opened? What is written to one that was deleted is lost with this process,
 * so ledger_commit() asks this, too. 0; -ESTALE with *err, which says what to do. */
int ledger_check_place(struct ledger *l, struct err *err) MUST_CHECK;

/* ---- versions ---- */

struct ledger_key {
	const char *watch;
	int64_t root_id; /* from ledger_root */
	const char *relpath;
};

/* The number of a watched directory. create: gives it one. 1: found or made, 0: unknown. */
int ledger_root(struct ledger *l, const char *root, bool create, int64_t *ret_id, struct err *err) MUST_CHECK;

/* The newest row of a key, as far as it usually needs to be known about a listed file. */
struct ledger_glance {
	int64_t id, size, mtime_ns;		  /* mtime as last seen */
	char rules_hash[LEDGER_RULES_HASH_BYTES]; /* "" but for rejected ones (and those that once were), and
						     LEDGER_RULES_LOOK */
};

/* 1, 0 (no such key), -errno. Half the cost of ledger_newest. */
int ledger_glance(struct ledger *l, const struct ledger_key *key, struct ledger_glance *ret,
	struct err *err) MUST_CHECK;

/* The newest row of a key, as far as judging needs it. */
struct ledger_known {
	int64_t id;
	enum ledger_state state;
	struct version version; /* mtime and inode as last seen */
	int64_t generation;
	char rules_hash[LEDGER_RULES_HASH_BYTES]; /* as in struct ledger_glance */
	char reason[LEDGER_WORD_BYTES];
	bool has_token;
	struct marker marker; /* that said it was complete */
};

/* 1, 0 (no such key), -errno */
int ledger_newest(
	struct ledger *l, const struct ledger_key *key, struct ledger_known *ret, struct err *err) MUST_CHECK;
/* run_id of the newest started row of a key. 1, 0, -errno */
int ledger_last_run(
	struct ledger *l, const struct ledger_key *key, int64_t *ret_run_id, struct err *err) MUST_CHECK;

struct ledger_owner {
	int64_t id, root_id;
	char watch[LEDGER_WORD_BYTES];
	bool same_relpath; /* as the one asked with */
	bool unused;	   /* a version that is gone or replaced, and was never sent: no run has this token */
	int64_t revived;
	bool moved; /* the row has another name than its token was made for */
};

/* Who has this token. 1, 0, -errno */
int ledger_find_token(struct ledger *l, const char *token, const char *relpath, struct ledger_owner *ret,
	struct err *err) MUST_CHECK;

struct ledger_new {
	struct ledger_key key;
	struct version version;
	int64_t owner;
	const char *mime, *evidence; /* "" none */
	int64_t first_seen_us, completed_us;
	enum ledger_state state;
	const char *reason, *detail, *rules_hash; /* "" none */
	const char *token;			  /* "" none */
	int64_t generation;
	const char *workspace, *host;
	int64_t job_id;
	const char *uri;
	const void *request;
	size_t request_len;
	int64_t previous_run_id; /* 0 none */
	int64_t failures;	 /* start.failed events that were written for it so far */
	int64_t revived;	 /* as in struct ledger_row */
	struct marker marker;	 /* that says it is complete; all 0: none */
	int64_t now_us;
};

/* -EEXIST: the token is taken. */
int ledger_insert(struct ledger *l, const struct ledger_new *v, int64_t *ret_id, struct err *err) MUST_CHECK;
/* A version found again under another mtime or inode, by a listing. */
int ledger_set_seen(struct ledger *l, int64_t id, const struct version *as, struct err *err) MUST_CHECK;
/* Another state for a row. Vanished and superseded ones get LEDGER_RULES_LOOK instead of rules_hash. */
int ledger_set_state(struct ledger *l, int64_t id, enum ledger_state state, const char *reason,
	const char *detail, const char *rules_hash, int64_t now_us, struct err *err) MUST_CHECK;
/* Takes the token from a row that has no use for it (struct ledger_owner.unused). */
int ledger_clear_token(struct ledger *l, int64_t id, struct err *err) MUST_CHECK;
/* Pending and held rows of a key that are not marked sent, oldest first. Returns how many (at most n) or
 * -errno. */
int ledger_unsent_of(
	struct ledger *l, const struct ledger_key *key, int64_t *ids, int n, struct err *err) MUST_CHECK;
/* Is there a newer row of the key of this one? 1, 0, -errno */
int ledger_has_newer(struct ledger *l, int64_t id, struct err *err) MUST_CHECK;
/* Rows of the key's directory and path under other watches, newest first. Returns how many (at most n) or
 * -errno. */
int ledger_elsewhere(
	struct ledger *l, const struct ledger_key *key, int64_t *ids, int n, struct err *err) MUST_CHECK;
/* Rows of the key's watch and directory with this inode, size and time, that are not superseded or vanished;
 * newest first. Returns how many (at most n) or -errno. */
int ledger_by_inode(struct ledger *l, const struct ledger_key *key, const struct version *v, int64_t *ids,
	int n, struct err *err) MUST_CHECK;
/* The file of a row was moved within its directory. */
int ledger_rename(struct ledger *l, int64_t id, const char *relpath, struct err *err) MUST_CHECK;
/* A vanished or superseded row was found again: pending, with its old token and request. 1; 0: it is no such
 * row, or has no request; -errno */
int ledger_revive(struct ledger *l, int64_t id, int64_t now_us, struct err *err) MUST_CHECK;
/* All rows of a key go over to another watch (it was renamed). */
int ledger_move_key(
	struct ledger *l, const struct ledger_key *key, const char *to_watch, struct err *err) MUST_CHECK;

/* A whole row but for its request. Texts are owned: ledger_row_done. */
struct ledger_row {
	int64_t id;
	char *watch, *root, *relpath, *uri, *mime;
	struct version version; /* as accepted */
	int64_t owner, first_seen_us, completed_us;
	enum ledger_state state;
	char token[TOKEN_BYTES]; /* "" none */
	int64_t generation;
	char *workspace, *host;
	int64_t job_id, run_id, previous_run_id; /* 0 none */
	bool sent; /* may be out: only the token can tell whether its run exists */
	int64_t attempts, first_failed_us, last_failed_us, next_attempt_us;
	int64_t tried_us; /* how long it was tried in all, without the time we were down or suspended */
	int64_t retryings, failures; /* events of that type so far */
	bool unchecked;		     /* is sent without a look at the file */
	int64_t skips;		     /* runs of this version that were skipped, one after the other */
	int64_t verify_at_us;	     /* of a started row: when its run is looked at; 0 not */
	char *principal;
	int64_t revived; /* how often it was superseded or gone, and found again */
	char reason[LEDGER_WORD_BYTES];
};

void ledger_row_done(struct ledger_row *r);
/* 1, 0, -errno */
int ledger_row(struct ledger *l, int64_t id, struct ledger_row *ret, struct err *err) MUST_CHECK;
/* The body to send, into b (replaced). 1, 0 (no row), -errno */
int ledger_request(struct ledger *l, int64_t id, struct buf *b, struct err *err) MUST_CHECK;

/* ---- sending ---- */

/* Pending rows are lined up per watch and host of the workspace. Calls fn for every such pair. */
int ledger_each_line(struct ledger *l,
	int (*fn)(const char *watch, const char *host, int64_t rows, void *arg), void *arg,
	struct err *err) MUST_CHECK;

struct ledger_line {
	const char *watch, *host;
	bool certain_only; /* leaves the rest aside */
};

/* Pending rows of a line, by what must be known before they are sent. */
enum ledger_part {
	LEDGER_CERTAIN, /* marked sent or unchecked: go out whatever became of the file */
	LEDGER_YOUNG,	/* id > old_id, and no run of it was skipped (certain ones may be among them) */
	LEDGER_OLD,	/* neither: the file must be looked at */
};

/* Rows never tried or whose last try cost no waiting, by age. Returns how many (at most n) or -errno. */
int ledger_fresh(struct ledger *l, const struct ledger_line *line, enum ledger_part part, int64_t old_id,
	int64_t *ids, int n, struct err *err) MUST_CHECK;
/* Rows whose time to try again has come, longest due first. */
int ledger_due(struct ledger *l, const struct ledger_line *line, enum ledger_part part, int64_t old_id,
	int64_t now_us, int64_t *ids, int n, struct err *err) MUST_CHECK;
/* The earliest time after now_us. 1, 0 (none), -errno */
int ledger_next_due(struct ledger *l, const struct ledger_line *line, int64_t now_us, int64_t *ret_us,
	struct err *err) MUST_CHECK;
/* The clock was ahead when some times were made, and is set back now: no row waits longer from now_us on than
 * it was to wait then, which is known of those that have failed (at most failed_us); the others wait no
 * longer than other_us. */
int ledger_clamp_due(struct ledger *l, const struct ledger_line *line, int64_t now_us, int64_t failed_us,
	int64_t other_us, struct err *err) MUST_CHECK;

/* Another time for a row, if it is pending, that is no attempt and does not count as trying. */
int ledger_postpone(struct ledger *l, int64_t id, int64_t until_us, struct err *err) MUST_CHECK;
int ledger_mark_sent(struct ledger *l, int64_t id, struct err *err) MUST_CHECK;
int ledger_set_started(struct ledger *l, int64_t id, int64_t run_id, int64_t attempts, const char *principal,
	int64_t now_us, struct err *err) MUST_CHECK;
/* Takes sent, attempts, *_us, retryings of r. detail: why, for people. The row stays pending. */
int ledger_set_retry(
	struct ledger *l, const struct ledger_row *r, const char *detail, struct err *err) MUST_CHECK;
/* Takes id, attempts, failures of r. */
int ledger_set_closed(struct ledger *l, const struct ledger_row *r, enum ledger_state state,
	const char *reason, const char *detail, int64_t now_us, struct err *err) MUST_CHECK;

/* ---- started rows whose runs are to be looked at ---- */

/* at_us: when; 0: not (any more) */
int ledger_set_verify(struct ledger *l, int64_t id, int64_t at_us, struct err *err) MUST_CHECK;
/* The row of this host whose time came first. 1, 0, -errno */
int ledger_verify_due(
	struct ledger *l, const char *host, int64_t now_us, int64_t *ret_id, struct err *err) MUST_CHECK;
/* The earliest time of all of this host. 1, 0, -errno */
int ledger_next_verify(struct ledger *l, const char *host, int64_t *ret_us, struct err *err) MUST_CHECK;
/* Times further away than latest_us become latest_us. */
int ledger_clamp_verify(struct ledger *l, const char *host, int64_t latest_us, struct err *err) MUST_CHECK;
/* Calls fn for each host with such rows. 0, -errno, or what fn gave if it was less. */
int ledger_each_verify(struct ledger *l, int (*fn)(const char *host, int64_t rows, void *arg), void *arg,
	struct err *err) MUST_CHECK;
/* A new row for a version whose last run was skipped. */
int ledger_set_skipped(
	struct ledger *l, int64_t id, int64_t skips, int64_t next_attempt_us, struct err *err) MUST_CHECK;

/* ---- the outbox: event lines not yet known to be in the event log, in order ---- */

int ledger_outbox_add(
	struct ledger *l, const char *event_id, const char *line, size_t len, struct err *err) MUST_CHECK;
/* The first line behind seq `after`, into line (replaced). 1, 0, -errno; with -EBADMSG *ret_seq is set too if
 * it is just this line that is damaged. */
int ledger_outbox_next(
	struct ledger *l, int64_t after, int64_t *ret_seq, struct buf *line, struct err *err) MUST_CHECK;
/* The seq of exactly this line. 1, 0, -errno. Reads the whole outbox. */
int ledger_outbox_find(
	struct ledger *l, const char *line, size_t len, int64_t *ret_seq, struct err *err) MUST_CHECK;
/* Lines up to and with seq are in the log. */
int ledger_outbox_delete(struct ledger *l, int64_t seq, struct err *err) MUST_CHECK;

/* ---- baselines: `existing` was applied to this directory ---- */

struct ledger_baseline {
	char mode[16];	   /* "run", "skip", "hold", "lost" */
	int64_t closed_us; /* 0: begun, and not closed */
};

/* 1, 0: not begun, -errno. fs_type "": put there for the first type that shows, after a ledger was lost */
int ledger_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	struct ledger_baseline *ret, struct err *err) MUST_CHECK;
/* When the first one of any type was closed. 1, 0: none, -errno */
int ledger_baseline_closed(
	struct ledger *l, const char *watch, int64_t root_id, int64_t *ret_us, struct err *err) MUST_CHECK;
/* Begins one (closed_us 0), unless it is there; takes the place of that of type "". */
int ledger_set_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	const char *mode, int64_t closed_us, struct err *err) MUST_CHECK;
int ledger_close_baseline(struct ledger *l, const char *watch, int64_t root_id, const char *fs_type,
	int64_t now_us, struct err *err) MUST_CHECK;
/* Is there any row of this watch and directory? 1, 0, -errno */
int ledger_has_rows(struct ledger *l, const char *watch, int64_t root_id, struct err *err) MUST_CHECK;

/* ---- numbers ---- */

int ledger_count(struct ledger *l, enum ledger_state state, int64_t *ret,
	struct err *err) MUST_CHECK; /* LEDGER_PENDING is quick, others read the table */

int ledger_count_held(struct ledger *l, const char *watch, const char *reason, int64_t *ret,
	struct err *err) MUST_CHECK; /* reads the held rows of the watch */

/* Steps from one to the next, in the order of their names; quick however many there are. What is given is
 * what was met last ("" at the beginning), and is replaced. Each 1, 0 (no more), -errno. */

/* A watch with held rows. */
int ledger_held_watch(struct ledger *l, char *watch, size_t watch_bytes, struct err *err) MUST_CHECK;
/* A reason for which rows of it are held, and how many; only `most` of its rows are looked at. */
int ledger_held_reason(struct ledger *l, const char *watch, int64_t most, char *reason, size_t reason_bytes,
	int64_t *ret, struct err *err) MUST_CHECK;
/* A watch and host with pending rows. */
int ledger_pending_line(struct ledger *l, char *watch, size_t watch_bytes, char *host, size_t host_bytes,
	struct err *err) MUST_CHECK;
/* How many there are of those, counted up to `most`. 1 or -errno */
int ledger_count_line(struct ledger *l, const char *watch, const char *host, int64_t most, int64_t *ret,
	struct err *err) MUST_CHECK;
/* … those marked sent only. */
int ledger_count_sent(struct ledger *l, const char *watch, const char *host, int64_t most, int64_t *ret,
	struct err *err) MUST_CHECK;

/* ---- files that are gone for long ---- */

struct ledger_swept {
	int64_t id, missed;
};

/* Rows of the watch that wait for nobody, with id in (after, after + n], by id. Returns how many or -errno.
 */
int ledger_sweep(struct ledger *l, const char *watch, int64_t after, int n, struct ledger_swept *ret,
	struct err *err) MUST_CHECK;
int ledger_set_missed(struct ledger *l, int64_t id, int64_t missed, struct err *err) MUST_CHECK;

/* How many files of the watch were accepted and complete at since_us or later, among that many of the newest
 * rows, and when the first of them was. 0 or -errno */
int ledger_accepted_since(struct ledger *l, const char *watch, int64_t since_us, int64_t rows, int64_t *ret,
	int64_t *ret_first_us, struct err *err) MUST_CHECK;

/* The highest id there is; 0 none. Quick. */
int ledger_newest_id(struct ledger *l, int64_t *ret, struct err *err) MUST_CHECK;

/* ---- a changed configuration ---- */

/* Pending rows that are not marked sent, with id > after, by id. Returns how many (at most n) or -errno. */
int ledger_unsent(struct ledger *l, int64_t after, int64_t *ids, int n, struct err *err) MUST_CHECK;

/* Held rows of a watch, for this reason, in the same way. */
int ledger_held(struct ledger *l, const char *watch, const char *reason, int64_t after, int64_t *ids, int n,
	struct err *err) MUST_CHECK;

struct ledger_renewal {
	const char *workspace, *host;
	int64_t job_id;
	const char *uri, *token;
	const void *request;
	size_t request_len;
};

/* Another request for such a row. -EEXIST: the token is taken. */
int ledger_renew(struct ledger *l, int64_t id, const struct ledger_renewal *r, struct err *err) MUST_CHECK;

/* ---- looking through it, for people: by row number, a stretch at a time, since a look through all of a
 * large ledger takes seconds ---- */

struct ledger_filter {
	int state;		    /* enum ledger_state, or -1: any */
	const char *watch;	    /* "" any */
	int64_t since_us, until_us; /* last change not before, before; 0: no bound */
};

/* Rows that pass, with after < id <= through, by id. Returns how many (at most n) or -errno. */
int ledger_select(struct ledger *l, const struct ledger_filter *f, int64_t after, int64_t through,
	int64_t *ids, int n, struct err *err) MUST_CHECK;
/* Rows of this absolute path (every version, in every watch) with id > after, by id. Likewise. */
int ledger_select_path(
	struct ledger *l, const char *path, int64_t after, int64_t *ids, int n, struct err *err) MUST_CHECK;

struct ledger_tally {
	int64_t rows[LEDGER_STATES];
	int64_t oldest_us[LEDGER_STATES]; /* last change of the one unchanged for longest; 0: there is none */
	/* the same by watch, if not NULL: rows more in this state */
	void (*of_watch)(const char *watch, enum ledger_state state, int64_t rows, void *arg);
	void *arg;
};

/* Adds the rows with after < id <= through. On failure the tally is of no use. */
int ledger_add_tally(
	struct ledger *l, int64_t after, int64_t through, struct ledger_tally *t, struct err *err) MUST_CHECK;

/* Counts by watch and state that are kept up with every change, for who asks often: rows are counted once, a
 * stretch at a time, and from then on each change counts itself. They belong to this connection, and a
 * transaction that is rolled back takes its part back. */

/* Begins to count. Once for a ledger; costs each later change a few microseconds. */
int ledger_counts_start(struct ledger *l, struct err *err) MUST_CHECK;
/* Counts the next n row numbers. 1: all are counted, 0: go on, -errno */
int ledger_counts_step(struct ledger *l, int64_t n, struct err *err) MUST_CHECK;
/* last_us: when the newest of them was complete; 0: not known */
typedef void (*ledger_counts_fn)(
	const char *watch, enum ledger_state state, int64_t rows, int64_t last_us, void *arg);
/* 0 or -errno */
int ledger_counts_each(struct ledger *l, ledger_counts_fn fn, void *arg, struct err *err) MUST_CHECK;
/* When the file was complete that waits for longest of those of a watch for a host (of those that were tried
 * the 10,000 whose next attempt is last are looked at). 1, 0: none is pending, -errno */
int ledger_oldest_pending(
	struct ledger *l, const char *watch, const char *host, int64_t *ret_us, struct err *err) MUST_CHECK;
/* Lines in the outbox. 0 or -errno */
int ledger_outbox_rows(struct ledger *l, int64_t *ret, struct err *err) MUST_CHECK;

/* What people want to know of a row beside ledger_row. */
struct ledger_note {
	char reason[LEDGER_WORD_BYTES];
	char *detail, *principal; /* owned: ledger_note_done */
	int64_t changed_us;
	bool has_request;
};

void ledger_note_done(struct ledger_note *n);
/* 1, 0, -errno */
int ledger_note(struct ledger *l, int64_t id, struct ledger_note *ret, struct err *err) MUST_CHECK;

/* ---- what an operator does to a row ---- */

/* Pending again, as if it had never been tried, with the request and token it has. sent: it keeps the mark.
 * unchecked: it is sent although its watch is not configured any more. */
int ledger_requeue(
	struct ledger *l, int64_t id, bool sent, bool unchecked, int64_t now_us, struct err *err) MUST_CHECK;
/* Forgets a row. */
int ledger_remove(struct ledger *l, int64_t id, struct err *err) MUST_CHECK;

/* ---- small facts, by name: "configuration" (hash of the last one), "paused:WATCH", … ---- */

#define LEDGER_META_BYTES 4096 /* longest value, with NUL */

/* Into value (replaced). 1, 0 (none), -errno */
int ledger_meta(struct ledger *l, const char *name, struct buf *value, struct err *err) MUST_CHECK;
/* value NULL: removes it. */
int ledger_set_meta(struct ledger *l, const char *name, const char *value, struct err *err) MUST_CHECK;

#endif
