/*
 * quantile: which value so many percent of all values do not exceed, of any number of values in little
 * memory.
 *
 * Values are counted in classes: up to 127 each has its own, above that 64 classes from each power of two to
 * the next. So an answer is exact up to 127, and above that at most 1/128 (0.8 %) away from the true value.
 * The struct belongs to the caller: all zero is empty, quantile_done() gives its memory back.
 */
#ifndef CORE_QUANTILE_H
#define CORE_QUANTILE_H

#include <stdint.h>

#define QUANTILE_CLASSES 64
#define QUANTILE_OCTAVES 58 /* of all values that are not negative */

struct quantile {
	uint64_t *
		octaves[QUANTILE_OCTAVES]; /* QUANTILE_CLASSES counters each, from the first value in it on */
	uint64_t count;
};

void quantile_add(struct quantile *q, int64_t value); /* a negative one counts as 0 */
/* All of other's values, too. */
void quantile_join(struct quantile *q, const struct quantile *other);
/* By nearest rank: the smallest value that at least percent (1 to 100) of the values do not exceed. -1: there
 * are none. */
int64_t quantile_at(const struct quantile *q, unsigned percent);
void quantile_done(struct quantile *q);

#endif
