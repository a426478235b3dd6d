/*
 * sender: gets pending rows out: which one next, when, through which workspace, and what its answer makes of
 * it. Owns a struct jobs per workspace.
 *
 * The backlog stays in the ledger; here are only the rows that are on their way and a page of row numbers per
 * line. A line is what waits for one watch at one host: the oldest row first, rows whose time to try again
 * has come before those never tried. Lines of a workspace are served in turn.
 *
 * The caller brings the transactions: sender_apply() inside one, then sender_committed() (which sends) or
 * sender_undo(). A request goes out only after the commit that marked its row sent.
 */
#ifndef DISPATCH_SENDER_H
#define DISPATCH_SENDER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/loop.h"
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

struct sender;

/* How the sender has a watcher look whether a file is still what the ledger has; ask NULL: it cannot, and
 * sends what it has. The answers come by sender_confirmed(), never from inside. */
struct sender_asker {
	bool (*may_ask)(const char *watch, void *arg); /* is a watcher there? */
	/* -EBUSY: not now. -ENOENT: the watch has no such directory. */
	int (*ask)(
		const char *watch, const char *root, int64_t id, const struct wire_known *known, void *arg);
	void *arg;
};

struct sender_options {
	struct loop *loop;
	const struct conf *conf;
	struct ledger *ledger;
	struct scribe *scribe;
	const char *only_watch; /* "" all */
	struct sender_asker asker;
};

struct sender_counts {
	int64_t started, failed; /* since the start */
	int64_t pending;	 /* rows that could be sent by this configuration */
	int64_t in_flight;
	int64_t given_up; /* of pending: rows whose workspace or job refused or could not be reached three
			     times in a row */
};

/* Reads credentials and lines up what the ledger has. Everything borrowed. NULL with *err. */
struct sender *sender_new(const struct sender_options *o, struct err *err);
void sender_free(
	struct sender *s); /* takes NULL; requests on their way are abandoned, their rows stay pending */

/* A pending row was made for this watch in the transaction under way, which may mark it sent, too: so what
 * goes out at once costs one commit. */
void sender_look(struct sender *s, const char *watch);
/* A pending row was committed for this watch. */
void sender_accepted(struct sender *s, const char *watch);
/* So many pending rows of this watch are not pending any more. */
void sender_gone(struct sender *s, const char *watch, int64_t n);
/* A watcher has come that can be asked. */
void sender_may_ask(struct sender *s, const char *watch);
void sender_confirmed(struct sender *s, const char *watch, int64_t id, enum wire_verdict verdict);
/* Is there anything for sender_apply() to do now? If not, the loop is woken when there is. */
bool sender_has_work(struct sender *s);
/* Writes the answers that came and chooses what goes out next. 0 or -errno (of the ledger). */
int sender_apply(struct sender *s, struct err *err) MUST_CHECK;
void sender_committed(struct sender *s);
void sender_undo(struct sender *s);
/* In the transaction: pauses a watch because of a failure (on_failure = pause), for as long as the ledger
 * says so; takes effect with sender_committed(). Nothing if it is paused already. */
int sender_pause(struct sender *s, const char *watch, const char *reason, struct err *err) MUST_CHECK;
/* Of a paused watch only what may be out already is sent. The ledger is not told. */
void sender_set_paused(struct sender *s, const char *watch, bool paused);
/* Chooses nothing any more; answers are still taken. */
void sender_stop(struct sender *s);
struct sender_counts sender_counts(const struct sender *s);

/* Pending rows of this watch and host were committed that sender_accepted does not tell: released, tried
 * again. They may be of a watch or workspace that nothing was sent for so far. */
void sender_released(struct sender *s, const char *watch, const char *host, int64_t rows);
/* For `status`: a workspace, or (watch not NULL) a watch at a workspace. Borrowed. */
struct sender_place {
	const char *workspace, *host, *watch;
	int64_t job_id;	 /* 0: not configured any more */
	int64_t pending; /* of a watch: rows that this configuration can send */
	int64_t in_flight;
	bool suspended; /* nothing gets through; it is probed */
	bool slow;	/* asked to wait by the service */
	bool paused;
	int64_t until_us; /* monotonic: the next try, when suspended or slow */
};

/* The i-th, workspaces first. False: there are no more. */
bool sender_place(const struct sender *s, size_t i, struct sender_place *ret);

#endif
