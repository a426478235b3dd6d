/*
 * verify: looks at runs that Databricks may have skipped, and has the file of a skipped one started again
 * with the next generation. One for each workspace, with one question at a time; the question itself is sent
 * by the sender. Which rows are to be looked at is in the ledger (verify_at), so that it survives a restart.
 *
 * The caller brings the transactions: verify_apply() inside one, then verify_committed() or verify_undo().
 */
#ifndef DISPATCH_VERIFY_H
#define DISPATCH_VERIFY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "dispatch/jobs.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

#define VERIFY_AFTER_US INT64_C(5000000)       /* a run is looked at so long after its start */
#define VERIFY_LOOK_MAX_US INT64_C(60000000)   /* longest pause between two looks */
#define VERIFY_PAUSE_MAX_US INT64_C(600000000) /* longest pause before a skipped run is started again */
#define VERIFY_SKIPS_MAX 100		       /* then it is a dead letter */

struct verify;

/* Everything borrowed; host: conf_workspace.host_token. */
struct verify *verify_new(
	const struct conf *conf, struct ledger *ledger, struct scribe *scribe, const char *host);
void verify_free(struct verify *v); /* takes NULL */

/* A row was marked to be looked at at that time (wall clock, as all times here). */
void verify_expect(struct verify *v, int64_t at_us);
/* An answer has come that verify_apply() is to apply. */
bool verify_is_answered(const struct verify *v);
/* When a question may be chosen (0: at once, INT64_MAX: not by itself). */
int64_t verify_time(const struct verify *v);
/* Applies an answer; chooses the next run to look at, if may_look. 0 or -errno (of the ledger) */
int verify_apply(struct verify *v, bool may_look, int64_t now_us, struct err *err) MUST_CHECK;

/* What verify_apply has done, valid until the commit; watch NULL: nothing that concerns others. */
struct verify_news {
	const char *watch; /* has a new row: */
	bool pending;	   /* it waits; else it is a dead letter */
};

struct verify_news verify_news(const struct verify *v);
/* Tells what was done. Returns the run to ask about now, or 0. */
int64_t verify_committed(struct verify *v);
void verify_undo(struct verify *v);
/* The answer to that question. */
void verify_answered(struct verify *v, const struct jobs_run *run);

#endif
