/*
 * desk: what the verbs of the control socket see and use of the dispatcher, and the questions that they ask
 * of watchers.
 *
 * The dispatcher fills it in and keeps it up to date; after a reload everything in it is new, so verbs name
 * watches by their place or name and look each time.
 *
 * A watcher is asked one question of each kind at a time. Who asks while one is open waits for its turn.
 */
#ifndef DISPATCH_DESK_H
#define DISPATCH_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/control.h"
#include "dispatch/courier.h"
#include "dispatch/intake.h"
#include "dispatch/jobwatch.h"
#include "dispatch/ledger.h"
#include "dispatch/link.h"
#include "dispatch/outbox.h"
#include "dispatch/scribe.h"
#include "dispatch/sender.h"

#define DESK_PATIENCE_US (5 * INT64_C(1000000)) /* with a watcher that does not answer */
#define DESK_STALLED_US (30 * INT64_C(1000000)) /* in one call */

enum desk_kind { DESK_COUNT, DESK_LIST, DESK_EXPLAIN, DESK_KINDS };

/* watch: its place. m: one message of the answer, borrowed; NULL: there will be none, the watcher has gone.
 */
typedef void (*desk_fn)(struct control_job *j, size_t watch, const struct wire_message *m);

struct desk_question {
	bool open;		   /* its answer is still to come */
	struct control_job *asker; /* NULL: who asked has gone */
	desk_fn fn;
};

struct desk_watch { /* the dispatcher's, one a watch */
	struct desk_question questions[DESK_KINDS];
	struct wire_page *page;	     /* of the watcher, or NULL */
	struct wire_scanned listing; /* the last complete one; texts are not kept */
	int64_t listed_us;	     /* wall clock; 0: not yet */
	/* looked at by verbs, set by the dispatcher before it lends the watch */
	const struct intake_peer *peer;
	struct link *link; /* NULL: its watcher does not run */
	bool scanned, lost;
	const char *lost_why; /* in words */
};

struct desk {
	const struct conf *conf;
	struct ledger *ledger;
	struct scribe *scribe;
	struct sender *sender;
	const struct jobwatch *jobwatch;
	struct intake *intake;
	const struct outbox *outbox;
	const struct couriers *couriers;
	struct control *control;
	const char *hash;   /* of the configuration */
	int64_t started_us; /* of the service, wall clock */
	/* the i-th watch of conf, up to date */
	struct desk_watch *(*watch)(struct desk *d, size_t i);
	bool (*ledger_is_failing)(struct desk *d);
	/* why it cannot be written, in words (borrowed); NULL: it can */
	const char *(*ledger_trouble)(struct desk *d);
	/* Has the configuration read anew; when that is over reloads counts on, and control_wake comes.
	 * -EBUSY: it is being done already. */
	int (*reload)(struct desk *d, const struct control_request *request);
	int64_t reloads;	/* how many have come to an end … */
	int64_t reload_status;	/* … and how the last one did, */
	int64_t reload_watches; /* with so many watches */
	char *reload_text;	/* mistakes, a line each */
	/* why the last try to write the metrics failed, in words; "" it did not */
	char metrics_trouble[ERR_TEXT_BYTES];
};

/* Where a watch of this name is, or -1. */
int desk_find(const struct desk *d, const char *name);

/* Asks. -EBUSY: not now, control_wake comes when it may be tried again; -ENOTCONN: its watcher does not run;
 * -errno of link_send. */
int desk_ask(struct desk *d, size_t watch, enum desk_kind kind, struct control_job *j, enum wire_type type,
	const void *msg, desk_fn fn) MUST_CHECK;
/* The job does not wait any more (whatever it had asked). */
void desk_forget(struct desk *d, const struct control_job *j);
/* A message of a watcher that answers a question. False: it is none. */
bool desk_take(struct desk *d, struct desk_watch *w, const struct wire_message *m);
/* The watcher has gone: its open questions are answered with NULL. */
void desk_detached(struct desk *d, struct desk_watch *w);
/* Why a watch has no watcher, in words: its job is not known yet (true), or it is just being started. */
bool desk_describe_absence(const struct desk *d, size_t watch, struct buf *text);
/* How a watch is, in the word of `status`: "ready", "listing", "lost", "stalled", "down", "no_job".
 * stalled_us: as desk_describe_stall() says. */
const char *desk_state(struct desk *d, size_t watch, int64_t stalled_us);
/* In which call the watcher is for more than a second, in words ("statx of /mnt/x for 40 s"), and how long,
 * or 0 with "". */
int64_t desk_describe_stall(const struct desk_watch *w, struct buf *text);

#endif
