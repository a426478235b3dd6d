/*
 * flood: the brakes of all watches: which accepted file is held because too many came at once, and the events
 * about that and about other files that are held one by one. The decision itself is core/brake.
 */
#ifndef DISPATCH_FLOOD_H
#define DISPATCH_FLOOD_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/brake.h"
#include "core/conf.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

#define FLOOD_HELD "brake"	    /* reason of such held rows */
#define FLOOD_RULES "rules_changed" /* rejected before, and would pass now */

struct flood;

/* All borrowed. */
struct flood *flood_new(const struct conf *conf, struct ledger *ledger, struct scribe *scribe);
void flood_free(struct flood *f); /* takes NULL */
/* Windows under way go on, where the limit is the same. */
void flood_carry(struct flood *to, const struct flood *from);
/* A file is about to be accepted. *ret_hold: it is to be held instead. *ret_say: a line for people when that
 * begins, or NULL; owned by the caller. 0 or -errno of the ledger. */
int flood_take(struct flood *f, const struct conf_watch *w, int64_t now_us, bool *ret_hold, char **ret_say,
	struct err *err) MUST_CHECK;
/* A file of w is being held because the rules were changed: soon an event tells how many there are, and then
 * at most one a minute. */
void flood_note_rules(struct flood *f, const struct conf_watch *w);
/* The monotonic time when flood_apply has something to do; INT64_MAX: never. */
int64_t flood_due_us(const struct flood *f);
/* Writes the event about each window that is over. 0 or -errno. */
int flood_apply(struct flood *f, int64_t now_us, struct err *err) MUST_CHECK;
/* The transaction was committed, or given up. */
void flood_committed(struct flood *f);
void flood_undo(struct flood *f);

#endif
