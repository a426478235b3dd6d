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
#include "dispatch/auth.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

struct jobs;
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
	int64_t started, failed; /* counted on from there */
	/* NULL, or told after the commit: a run was started so long after its file was complete */
	void (*on_started)(const char *watch, int64_t latency_us, void *arg);
	void *on_started_arg;
};

struct sender_counts {
	int64_t started, failed; /* since the start of the service, as far as the caller knew */
	int64_t pending;	 /* rows that could be sent by this configuration */
	int64_t in_flight;
	int64_t stranded; /* not of pending: rows that may have been sent to a workspace that is not
			     configured any more */
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
/* A watcher has come that can be asked, or a row that it is to be asked about. */
void sender_may_ask(struct sender *s, const char *watch);
void sender_confirmed(struct sender *s, const char *watch, int64_t id, enum wire_verdict verdict);
/* In a transaction that makes rows pending which were accepted some time ago: whatever is pending now and not
 * marked sent is confirmed by its watcher before it is sent, however young it is. */
int sender_doubt_all(struct sender *s, struct err *err) MUST_CHECK;
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
/* Of a watch that is held only what may be out already is sent. The ledger is not told. */
void sender_set_held(struct sender *s, const char *watch, bool held);
/* Looking at the job of this watch has shown that it cannot be started: told as if an answer had said so
 * (code: the reason's word). probe: rows go on trying, and a run that is started proves the look wrong. */
void sender_job_refused(struct sender *s, const char *watch, const char *code, const char *text, bool probe);
/* Looking shows nothing like that any more. Nothing if it did not before. */
void sender_job_good(struct sender *s, const char *watch);
/* The watch's job_id is another one now: what was said about the former one does not count. */
void sender_job_changed(struct sender *s, const char *watch);
/* The calls to a workspace, borrowed until the sender is freed; NULL: no watch uses it. *ret_suspended:
 * nothing gets through to it now. */
struct jobs *sender_jobs(const struct sender *s, const struct conf_workspace *ws, bool *ret_suspended);
/* Chooses nothing any more; answers are still taken. */
void sender_stop(struct sender *s);
struct sender_counts sender_counts(const struct sender *s);

/* Pending rows of this watch and host were committed that sender_accepted does not tell: released, tried
 * again. They may be of a watch or workspace that nothing was sent for so far. */
void sender_released(struct sender *s, const char *watch, const char *host, int64_t rows);
/* So many rows are not pending any more that waited for a host which is not configured. */
void sender_unstranded(struct sender *s, const char *watch, const char *host, int64_t rows);
/* For `status`: a workspace, or (watch not NULL) a watch at a workspace. Borrowed. */
struct sender_place {
	const char *workspace, *host, *watch;
	int64_t job_id;	 /* 0: not configured any more */
	int64_t pending; /* of a watch: rows that this configuration can send */
	int64_t in_flight;
	bool suspended;		/* nothing gets through; it is probed */
	bool slow;		/* asked to wait by the service */
	int64_t fails_since_us; /* monotonic: of a watch: nothing was started since, each answer was a
				   failure; 0 */
	bool paused;
	bool stranded;	  /* a watch's rows for a host that is not configured any more; workspace is NULL */
	const char *why;  /* the words of the last answer (maybe to a former process), or NULL */
	int64_t until_us; /* monotonic: the next try, when suspended or slow */
	struct auth_state sign_in; /* of a workspace */
};

/* The i-th, workspaces first. False: there are no more. */
bool sender_place(const struct sender *s, size_t i, struct sender_place *ret);

#endif
