/*
 * rate: a token bucket: at most `count` per `per_us` in the long run, at most `burst` at once. Pure: the
 * caller brings the time (monotonic microseconds). The struct belongs to the caller and needs no cleaning up.
 *
 * A service that says "too many" halves the rate (and the burst), down to a 64th; each success brings a 32nd
 * of the limit back, at most four times a second.
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
	struct {
		int64_t count, per_us, burst;
	} limit;
	int64_t share; /* of the limit that is used now, in RATE_SHARES */
	int64_t slowed_us, eased_us;
};

#define RATE_SHARES 64

/* Starts full. count <= 0: no limit at all. per_us and burst below 1 count as 1. */
void rate_init(struct rate *r, int64_t count, int64_t per_us, int64_t burst, int64_t now_us);
/* New limits (after a reload). The whole tokens in the bucket stay, as far as the new burst has room for
 * them. */
void rate_set(struct rate *r, int64_t count, int64_t per_us, int64_t burst, int64_t now_us);
/* Too many, says the answer to a request that went out at sent_us. Requests that went out before the rate was
 * slowed last say nothing new. Returns whether it is slower now. */
bool rate_slow(struct rate *r, int64_t sent_us, int64_t now_us);
/* A request was taken. Returns whether it is faster now. */
bool rate_ease(struct rate *r, int64_t now_us);
bool rate_is_full(const struct rate *r);
/* Takes one token; false: there is none yet. */
bool rate_take(struct rate *r, int64_t now_us);
/* The first time at which rate_take() will work: now_us, or later. */
int64_t rate_next_us(const struct rate *r, int64_t now_us);

#endif
