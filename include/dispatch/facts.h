/*
 * facts: what the messages of watchers do: applied to the ledger in the transaction of the round, acted on
 * after its commit. Among them are files that look like moved ones, whose watchers have answered.
 */
#ifndef DISPATCH_FACTS_H
#define DISPATCH_FACTS_H

#include <stdbool.h>
#include "base/err.h"
#include "core/wire.h"
#include "dispatch/watches.h"

bool facts_are_there(const struct watches *ws);
/* In the transaction; may be repeated after facts_undo(). scratch: room for a message. */
int facts_apply(struct watches *ws, struct wire_message *scratch, struct err *err) MUST_CHECK;
void facts_undo(struct watches *ws);
/* After the commit: says what there is to say, answers watchers, and drops the facts. */
void facts_act(struct watches *ws);

#endif
