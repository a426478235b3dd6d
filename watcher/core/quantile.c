/*
 * Kept instead of a sample, since a sample of a day with one slow run in a thousand may miss it, and instead
 * of all values, since a month has millions.
 */
#include "core/quantile.h"

#include <stdlib.h>
#include "base/err.h"
#include "base/mem.h"

struct place {
	unsigned octave, class;
};

/* Octave 0 is 0 to 63, octave n the values from 2^(n+5) on, in steps of 2^(n-1). */
static struct place place_of(uint64_t value)
{
	unsigned octave;

	if (value < QUANTILE_CLASSES)
		return (struct place){0, (unsigned)value};
	octave = 58 - (unsigned)__builtin_clzll(value);
	return (struct place){octave, (unsigned)(value >> (octave - 1)) - QUANTILE_CLASSES};
}

/* The middle of the class. */
static int64_t value_of(struct place p)
{
	int64_t step;

	if (p.octave == 0)
		return p.class;
	step = INT64_C(1) << (p.octave - 1);
	return (int64_t)(QUANTILE_CLASSES + p.class) * step + (step - 1) / 2;
}

static void add_to(struct quantile *q, struct place p, uint64_t n)
{
	BUG_ON(p.octave >= QUANTILE_OCTAVES || p.class >= QUANTILE_CLASSES);
	if (!q->octaves[p.octave])
		q->octaves[p.octave] = mem_array(QUANTILE_CLASSES, sizeof(*q->octaves[0]));
	q->octaves[p.octave][p.class] += n;
	q->count += n;
}

void quantile_add(struct quantile *q, int64_t value)
{
	add_to(q, place_of(value > 0 ? (uint64_t)value : 0), 1);
}

void quantile_join(struct quantile *q, const struct quantile *other)
{
	for (unsigned octave = 0; octave < QUANTILE_OCTAVES; octave++)
		for (unsigned class = 0; other->octaves[octave] && class < QUANTILE_CLASSES; class ++)
			if (other->octaves[octave][class] > 0)
				add_to(q, (struct place){octave, class}, other->octaves[octave][class]);
}

int64_t quantile_at(const struct quantile *q, unsigned percent)
{
	/* rounded up, without a product that could be too large */
	uint64_t rank = q->count / 100 * percent + (q->count % 100 * percent + 99) / 100, seen = 0;

	for (unsigned octave = 0; octave < QUANTILE_OCTAVES; octave++)
		for (unsigned class = 0; q->octaves[octave] && class < QUANTILE_CLASSES; class ++) {
			seen += q->octaves[octave][class];
			if (seen >= rank && seen > 0)
				return value_of((struct place){octave, class});
		}
	return -1;
}

void quantile_done(struct quantile *q)
{
	for (unsigned octave = 0; octave < QUANTILE_OCTAVES; octave++)
		free(q->octaves[octave]);
	*q = (struct quantile){.count = 0};
}
