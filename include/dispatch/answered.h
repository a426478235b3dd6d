/*
 * answered: what the answer to its request makes of a row: started, to be tried again, or a dead letter.
 */
#ifndef DISPATCH_ANSWERED_H
#define DISPATCH_ANSWERED_H

#include "base/err.h"
#include "dispatch/lanes.h"

/* In the transaction: all slots that have an answer. What there is to say stays in the slot. */
int answered_apply(struct sender *s, struct err *err) MUST_CHECK;
/* After the commit: says it. */
void answered_tell(const struct slot *slot);

#endif
