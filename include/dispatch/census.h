/*
 * census: forgetting versions whose file is gone. Now and then, per watch once in a tenth of
 * `forget_gone_after`, a complete listing counts: the rows of files that it meets are noted, and the others
 * have been missed once more. A row that was missed often enough is asked about, and forgotten when its file
 * is gone.
 *
 * Nothing is forgotten by one jump of the clock (a census counts once), by a folder that is missing or cannot
 * be read (the listing is not complete, or the question has no answer), or by changed rules (the file is
 * there).
 */
#ifndef DISPATCH_CENSUS_H
#define DISPATCH_CENSUS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "dispatch/confirm.h"
#include "dispatch/ledger.h"

#define CENSUS_MISSED 11 /* so often missed: ten times the time between two */

struct census;

/* All borrowed. */
struct census *census_new(const struct conf *conf, struct ledger *ledger);
void census_free(struct census *c); /* takes NULL */

/* A listing of w begins (its watcher has come, or the one before has ended). Looks whether it is to count.
 * wall_us and mono_us: now. 0 or -errno of the ledger. */
int census_begin(struct census *c, const struct conf_watch *w, int64_t wall_us, int64_t mono_us,
	struct err *err) MUST_CHECK;
/* It has met the file of this row. */
void census_met(struct census *c, const struct conf_watch *w, int64_t id);
/* It has come to its end: with every directory seen whole, or not. 0 or -errno. */
int census_end(struct census *c, const struct conf_watch *w, bool complete, int64_t wall_us, int64_t mono_us,
	struct err *err) MUST_CHECK;

/* Is there anything for census_apply() to do now? */
bool census_has_work(const struct census *c);
/* Counts a few rows, and takes answers. 0 or -errno. */
int census_apply(struct census *c, struct err *err) MUST_CHECK;
void census_committed(struct census *c);
void census_undo(struct census *c);
/* Asks the watcher of w about rows that were missed often enough. */
void census_ask(struct census *c, const struct conf_watch *w, struct confirm *confirm);
/* What a watcher said about such a row. */
void census_answered(struct census *c, const struct conf_watch *w, int64_t id, enum wire_verdict verdict);

#endif
