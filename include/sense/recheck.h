/*
 * recheck: are files still the versions that the ledger has? The answer to the dispatcher's `confirm`. A file
 * is opened only when its time has moved and its ends must decide.
 */
#ifndef SENSE_RECHECK_H
#define SENSE_RECHECK_H

#include "sense/state.h"

/* Answers with `confirmed`. What was replaced becomes unsettled. May block on a dead mount. */
void recheck_answer(struct sense *s, const struct wire_confirm *m);

#endif
