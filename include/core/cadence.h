/*
 * cadence: when the next poll round begins. Pure: no clock, no random source.
 */
#ifndef CORE_CADENCE_H
#define CORE_CADENCE_H

#include <stdint.h>

#define CADENCE_REST                                                                                         \
	9 /* a round is followed by a pause of so many times what it took: at most 10 % of the time */

/* The pause after a round that took cost_us: interval_us less up to a tenth of it, so that many hosts do not
 * list one server in step; longer where that would be more than a tenth of the time spent on listing. random:
 * 64 random bits. Microseconds. */
int64_t cadence_pause_us(int64_t interval_us, int64_t cost_us, uint64_t random);

#endif
