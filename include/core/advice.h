/*
 * advice: from the reason word of a failure to what a person can do about it. Pure. The reasons are those of
 * doc/outcomes.md, core/request, core/rules and of the dispatcher's dead letters.
 */
#ifndef CORE_ADVICE_H
#define CORE_ADVICE_H

#include <stddef.h>

/* One clause without a full stop, to stand behind a semicolon; "" for a word it does not know. Constant. */
const char *advice_for(const char *reason);
/* The i-th reason there is advice for; NULL: there are no more. */
const char *advice_reason(size_t i);

#endif
