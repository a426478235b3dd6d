/*
 * rate: a token bucket: at most `count` per `per_us` in the long run, at most `burst` at once. Pure: the
 * caller brings the time (monotonic microseconds). The struct belongs to the caller and needs no cleaning up.
 *
 * The arithmetic is exact: nothing is rounded away however often it is asked. A clock that goes back is taken
 * as one that stands still.
 */
#ifndef CORE_RATE_H
#define CORE_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
	int64_t count, per_us; /* count 0: no limit */
	int64_t full;	       /* burst in the unit of credit, and less than a token more */
	int64_t credit;	       /* tokens times per_us */
	int64_t at_us;	       /* until when credit has been given */
};

/* Starts full. count <= 0: no limit at all. per_us and burst below 1 count as 1. */
void rate_init(struct rate *r, int64_t count, int64_t per_us, int64_t burst, int64_t now_us);
/* New limits (after a reload). The whole tokens in the bucket stay, as far as the new burst has room for
 * them. */
void rate_set(struct rate *r, int64_t count, int64_t per_us, int64_t burst, int64_t now_us);
/* Takes one token; false: there is none yet. */
bool rate_take(struct rate *r, int64_t now_us);
/* The first time at which rate_take() will work: now_us, or later. */
int64_t rate_next_us(const struct rate *r, int64_t now_us);

#endif
