/*
 * Two tables: the young one is filled, and when it holds n it becomes the old one, whose place the next young
 * one takes. What is met in the old one is noted in the young one, too. So nothing is ever taken out of a
 * table, and what came among the last n is in one of the two.
 */
#include "core/recent.h"

#include <stdlib.h>
#include <string.h>
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"

struct recent {
	uint64_t key[2];
	size_t n, slots;       /* slots: a power of two, at least twice n */
	size_t used;	       /* of the young one */
	uint64_t *young, *old; /* 0: empty */
};

struct recent *recent_new(size_t n, const uint64_t key[2])
{
	struct recent *r = mem_alloc(sizeof(*r));

	BUG_ON(n == 0 || n > SIZE_MAX / 64);
	r->key[0] = key[0];
	r->key[1] = key[1];
	r->n = n;
	for (r->slots = 2; r->slots < 2 * n; r->slots *= 2)
		;
	r->young = mem_array(r->slots, sizeof(*r->young));
	r->old = mem_array(r->slots, sizeof(*r->old));
	return r;
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	free(r->young);
	free(r->old);
	free(r);
}

/* Where it is, or where it would stand. */
static uint64_t *find(const struct recent *r, uint64_t *table, uint64_t hash)
{
	size_t i = (size_t)hash & (r->slots - 1);

	while (table[i] != 0 && table[i] != hash)
		i = (i + 1) & (r->slots - 1);
	return &table[i];
}

static void turn(struct recent *r)
{
	uint64_t *former = r->old;

	r->old = r->young;
	r->young = former;
	memset(former, 0, r->slots * sizeof(*former));
	r->used = 0;
}

bool recent_meet(struct recent *r, const void *p, size_t len)
{
	uint64_t hash = map_hash_bytes(r->key, p, len), *slot;
	bool known;

	hash = hash != 0 ? hash : 1;
	slot = find(r, r->young, hash);
	if (*slot != 0)
		return true;
	known = *find(r, r->old, hash) != 0;
	*slot = hash;
	if (++r->used == r->n)
		turn(r);
	return known;
}
