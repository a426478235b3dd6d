/*
 * backoff: how long to wait after a failure. Pure: no clock, no random source; the caller hands the random
 * number in.
 *
 * Exponential with full jitter: a time drawn evenly from 0 to a ceiling that is 1 s after the first failure
 * and doubles up to 60 s, so that many clients of one server do not come back together. What the server asked
 * for (Retry-After) is a lower bound.
 */
#ifndef CORE_BACKOFF_H
#define CORE_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_US INT64_C(1000000)
#define BACKOFF_LAST_US INT64_C(60000000)
/* A server that asks for more is asked again after this time: nobody is served by a wait of a year. */
#define BACKOFF_RETRY_AFTER_MAX_US INT64_C(3600000000)

/* The ceiling after this many failures in a row (0 counts as 1), in microseconds. */
int64_t backoff_ceiling_us(unsigned failures);
/* The delay: failures in a row so far, what the server asked for (0 or less: nothing), 64 random bits.
 * Microseconds. */
int64_t backoff_delay_us(unsigned failures, int64_t retry_after_us, uint64_t random);

#endif
