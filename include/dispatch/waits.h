/*
 * waits: what the ledger remembers of why files stand still: a workspace or job that nothing can be sent to,
 * a paused watch. Here are the names of these small facts and what their values mean. The sender writes them,
 * a later process and `explain` read them.
 */
#ifndef DISPATCH_WAITS_H
#define DISPATCH_WAITS_H

#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "core/outcome.h"
#include "dispatch/ledger.h"

/* Their names; malloc'd. workspace: its name, or its host if it has none. */
char *waits_name_of_workspace(const char *workspace);
char *waits_name_of_job(const char *watch, const char *workspace);
char *waits_name_of_pause(const char *watch);

#define WAITS_ANY_JOB (-1) /* of a workspace, or of an older program */

/* The value for a suspension: its kind, the number of the job (0: not known; WAITS_ANY_JOB) and the words
 * that were told. malloc'd. */
char *waits_make(enum outcome_kind kind, int64_t job_id, const char *words);
/* What is in such a value; *ret_words points into it ("" of an older program). False: no such kind. */
bool waits_read(const char *value, enum outcome_kind *ret_kind, int64_t *ret_job_id, const char **ret_words);

/* Is the watch paused? 1, 0, -errno. *ret_why (malloc'd): the reason if a dead letter has paused it; NULL: a
 * person has. */
int waits_paused(struct ledger *l, const char *watch, char **ret_why, struct err *err) MUST_CHECK;
/* Adds what is known of why this pending row is not sent, as a sentence for each; nothing if nothing is.
 * conf: for watches that are paused by it; NULL: not known. 0 or -errno */
int waits_describe(struct ledger *l, const struct conf *conf, const struct ledger_row *row, struct buf *text,
	struct err *err) MUST_CHECK;

#endif
