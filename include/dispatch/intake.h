/*
 * intake: what a watcher reports, judged against the ledger: which files are not known yet, which version is
 * new, and what row and event it gets. Sends nothing and waits for nothing; everything it writes is part of
 * the caller's transaction.
 *
 * A dry run uses a ledger in memory for what it accepts, and looks behind it into the real one.
 */
#ifndef DISPATCH_INTAKE_H
#define DISPATCH_INTAKE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/confirm.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

/* reasons of rows without a token: the version is known under a watch that is not configured any more; a
 * person has said that the file is to be judged and started */
#define INTAKE_KNOWN_BEFORE "known_before"
#define INTAKE_RELEASED "released"

struct intake;

/* A watcher as it described itself; one per watch, the caller's. */
struct intake_peer {
	const struct conf_watch *watch;
	bool inodes_stable;
	bool greeted;	/* it has said hello */
	bool announced; /* watch.ready was written since it was attached */
	char method[32], file_system[64], limits[160];
};

/* What one message leads to, once the transaction is committed. */
struct intake_result {
	enum log_level level;
	char *text;	    /* a line for people, or NULL; owned */
	bool text_is_plain; /* for standard output (dry run), not for the log */
	bool wanted;	    /* WIRE_WANTED is the answer: seq and bits */
	int64_t seq;
	struct buf bits;
	bool accepted, rejected, failed; /* a row was made: pending, rejected, dead letter */
	bool again;	/* accepted: it had its row before, and its watcher is asked before it is sent */
	int64_t gone;	/* pending rows that left the line of this watch: superseded */
	bool announced; /* the watch's first complete listing */
	bool greeted;	/* the watcher has said hello: it may be asked now */
	bool lost;	/* its folder is gone … */
	char *lost_why; /* … which, and why, in the watcher's words; owned; or NULL */
	bool no_mount;	/* … or rather the mount is that should be there */
	/* It looks like the file of another row that was moved: nothing was written, ask whether the old name
	 * is gone, and take the message again with intake_take_moved(). 0: it does not. Texts are owned. */
	int64_t moved_row;
	char *moved_root, *moved_from;
	struct version moved_version;
	bool stale;   /* WIRE_STALE is the answer to this READY or REJECTED: nothing was written */
	bool counted; /* WIRE_COUNTS */
	bool is_done;
};

void intake_result_init(struct intake_result *r);
void intake_result_done(struct intake_result *r);

/* All borrowed. behind: the real ledger of a dry run, or NULL. dry: results say what would be done. */
struct intake *intake_new(const struct conf *conf, struct ledger *ledger, struct ledger *behind,
	struct scribe *scribe, bool dry);
void intake_free(struct intake *in); /* takes NULL */
/* Another configuration: what watchers that go on have said to `from` counts for `to`. */
void intake_carry(struct intake *to, const struct intake *from);

/* Takes one message of a watcher. now_us: wall clock. 0; 1: the watcher is at fault (*err says why); -errno:
 * the ledger is, and the transaction must be given up (then the same message is brought again later). */
int intake_take(struct intake *in, struct intake_peer *peer, const struct wire_message *m, int64_t now_us,
	struct intake_result *ret, struct err *err) MUST_CHECK;
/* The same for a message with moved_row, now that it is known what is under the old name. */
int intake_take_moved(struct intake *in, struct intake_peer *peer, const struct wire_message *m,
	int64_t row_id, enum wire_verdict verdict, int64_t now_us, struct intake_result *ret,
	struct err *err) MUST_CHECK;
/* A person says that the directories of this watch are meant as they are now, though they were on another
 * file system. *ret_n: how many were suspended for that; the watcher is to list them again. */
int intake_accept_mount(
	struct intake *in, const struct conf_watch *w, size_t *ret_n, struct err *err) MUST_CHECK;
/* Is the mount of the i-th directory of w missing? Then nothing said about its files counts. 0 or -errno */
int intake_is_suspended(
	struct intake *in, const struct conf_watch *w, size_t i, bool *ret, struct err *err) MUST_CHECK;
/* What comes with time: when (monotonic; INT64_MAX: never), and doing it. 0 or -errno of the ledger. */
int64_t intake_due_us(const struct intake *in);
int intake_apply(struct intake *in, int64_t now_us, struct err *err) MUST_CHECK;
void intake_committed(struct intake *in);
/* After the commit: asks the watcher of w what is to be known about files. */
void intake_ask(struct intake *in, const struct conf_watch *w, struct confirm *confirm);
/* The transaction was given up. The caller also clears peer->announced where a result of it had announced. */
void intake_undo(struct intake *in);

#endif
