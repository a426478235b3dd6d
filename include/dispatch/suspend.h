/*
 * suspend: what the answers say about a workspace or a job as a whole: it waits, it is slowed down, it goes
 * on; and watches that are paused for a failure. Told to the ledger and by events; remembered over a restart.
 */
#ifndef DISPATCH_SUSPEND_H
#define DISPATCH_SUSPEND_H

#include <stdbool.h>
#include "base/err.h"
#include "dispatch/lanes.h"

/* What an answer says about the lane and the line. */
void suspend_learn(struct slot *slot);
/* Is there something to tell the ledger? */
bool suspend_has_news(const struct sender *s);
/* In the transaction; then suspend_recorded() after the commit. */
int suspend_record(struct sender *s, struct err *err) MUST_CHECK;
void suspend_recorded(struct sender *s);
/* What a former process has told. */
int suspend_recall(struct sender *s, struct err *err) MUST_CHECK;

/* As sender_pause(). */
int suspend_watch(struct sender *s, const char *watch, const char *reason, struct err *err) MUST_CHECK;
/* After the commit (done) or the end of the transaction that was to do it. */
void suspend_watch_done(struct sender *s, bool done);

#endif
