/*
 * jobwatch: the questions of `check --online`, asked by the service itself: at its start, after a reload,
 * every hour, and more often while something is wrong. It finds the ids of job names and keeps them in the
 * ledger, tells what it finds in the log, and has the sender hold back what cannot be started.
 *
 * One job of a workspace is asked about at a time. As with all of the dispatcher, answers are collected, and
 * written in the transaction of the round.
 */
#ifndef DISPATCH_JOBWATCH_H
#define DISPATCH_JOBWATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/loop.h"
#include "core/conf.h"
#include "core/jobcheck.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"
#include "dispatch/sender.h"

struct jobwatch;

struct jobwatch_options {
	struct loop *loop;
	struct conf *conf; /* the ids of names are put into it */
	const char *hash;  /* of it */
	struct ledger *ledger;
	struct scribe *scribe;
	struct sender *sender;
	const char *only_watch; /* "" all */
	/* The job of this watch is known: its watcher may start. Called once for each watch with a job_name,
	 * maybe from inside of jobwatch_new(). */
	void (*known)(const char *watch, void *arg);
	void *arg;
};

/* Puts the ids of names that the ledger has into conf. 0 or -errno */
int jobwatch_recall(struct conf *conf, struct ledger *l, struct err *err) MUST_CHECK;

/* Begins to ask. All borrowed. NULL with *err (of the ledger). */
struct jobwatch *jobwatch_new(const struct jobwatch_options *o, struct err *err);
/* Takes NULL. The sender was freed before: it has the questions that are open. */
void jobwatch_free(struct jobwatch *j);
/* Asks nothing any more. */
void jobwatch_stop(struct jobwatch *j);

/* Is there something to write? */
bool jobwatch_has_work(const struct jobwatch *j);
int jobwatch_apply(struct jobwatch *j, struct err *err) MUST_CHECK;
/* Returns how many files became dead letters. */
int64_t jobwatch_committed(struct jobwatch *j);

/* What is known about the job of a watch. Borrowed until the next round. */
struct jobwatch_view {
	bool asked;	      /* it was looked at since the start */
	bool waits;	      /* its watcher is not started, because the job is not known */
	bool given_up;	      /* … and asking has not helped */
	bool unreachable;     /* … because nobody could be asked */
	int64_t checked_us;   /* wall clock: when it was seen last; 0 not yet */
	const char *job_name; /* as the workspace has it, or NULL */
	const struct findings *findings;
	const char *unknown; /* why it could not be looked at the last time, or NULL */
	bool no_entry;	     /* … because the credential was refused */
};

/* i: of conf */
void jobwatch_view(const struct jobwatch *j, size_t i, struct jobwatch_view *ret);

#endif
