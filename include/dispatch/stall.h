/*
 * stall: watchers that are stuck in a call. A stuck process says nothing, so the dispatcher looks at its page
 * now and then: often where other hosts' file systems are watched, and hardly ever where only local ones are,
 * so that an idle service sleeps.
 */
#ifndef DISPATCH_STALL_H
#define DISPATCH_STALL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "dispatch/scribe.h"

struct watches;

struct stall {		  /* of a watch */
	bool is_on;	  /* it is stuck for long */
	int64_t since_us; /* monotonic: in the call that it was stuck in last … */
	bool due;	  /* … which is to be said */
};

/* Another process, or none. */
void stall_reset(struct stall *s);
/* Looks at all pages. Returns when to look again (monotonic, INT64_MAX: no more). */
int64_t stalls_look(struct watches *ws, int64_t now_us);
bool stalls_have_work(const struct watches *ws);
/* watch.stalled where it is due. 0 or -errno of the ledger. */
int stalls_apply(struct watches *ws, struct scribe *scribe, struct err *err) MUST_CHECK;
/* After the commit. */
void stalls_act(struct watches *ws);

#endif
