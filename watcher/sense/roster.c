/*
 * roster: sorted arrays of numbers, one being filled while the other is asked. Sorted once, at the end of a
 * listing; no hash table, which would take twice the memory.
 */
#include "sense/roster.h"

#include <stdlib.h>
#include <string.h>
#include "base/map.h"
#include "base/mem.h"

struct roster_set {
	uint64_t *ids;
	size_t n, cap;
};

struct roster {
	struct roster_set names, marks; /* of the last listing, sorted */
	struct roster_set new_names, new_marks;
	bool filled;
};

struct roster *roster_new(void)
{
	return mem_alloc(sizeof(struct roster));
}

static void roster_clear(struct roster_set *s)
{
	free(s->ids);
	*s = (struct roster_set){0};
}

void roster_free(struct roster *r)
{
	if (!r)
		return;
	roster_clear(&r->names);
	roster_clear(&r->marks);
	roster_clear(&r->new_names);
	roster_clear(&r->new_marks);
	free(r);
}

uint64_t roster_id(const char *name, uint64_t ino)
{
	/* A stranger who makes two names with one number only delays his own file. */
	const uint64_t key[2] = {0, ino};

	return map_hash_bytes(key, name, strlen(name));
}

static void roster_push(struct roster_set *s, uint64_t id)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->ids = mem_resize(s->ids, s->cap, sizeof(*s->ids));
	}
	s->ids[s->n++] = id;
}

static int roster_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The new set takes the old one's place, in exactly the memory it needs. */
static void roster_replace(struct roster_set *old, struct roster_set *new)
{
	roster_clear(old);
	if (new->n == 0) {
		roster_clear(new);
		return;
	}
	qsort(new->ids, new->n, sizeof(*new->ids), roster_compare);
	new->ids = mem_resize(new->ids, new->n, sizeof(*new->ids));
	new->cap = new->n;
	*old = *new;
	*new = (struct roster_set){0};
}

static size_t roster_find(const struct roster_set *s, uint64_t id)
{
	const uint64_t *at = s->n > 0 ? bsearch(&id, s->ids, s->n, sizeof(*s->ids), roster_compare) : NULL;

	return at ? (size_t)(at - s->ids) : s->n;
}

void roster_begin(struct roster *r)
{
	roster_clear(&r->new_names);
	roster_clear(&r->new_marks);
}

void roster_add(struct roster *r, uint64_t id)
{
	roster_push(&r->new_names, id);
}

void roster_add_mark(struct roster *r, uint64_t id)
{
	roster_push(&r->new_marks, id);
}

void roster_end(struct roster *r)
{
	roster_replace(&r->names, &r->new_names);
	roster_replace(&r->marks, &r->new_marks);
	r->filled = true;
}

bool roster_is_filled(const struct roster *r)
{
	return r->filled;
}

bool roster_has(const struct roster *r, uint64_t id)
{
	return roster_find(&r->names, id) < r->names.n;
}

bool roster_has_mark(const struct roster *r, uint64_t id)
{
	return roster_find(&r->marks, id) < r->marks.n;
}

void roster_forget(struct roster *r, uint64_t id)
{
	size_t at = roster_find(&r->names, id);

	if (at < r->names.n) {
		memmove(r->names.ids + at, r->names.ids + at + 1,
			(r->names.n - at - 1) * sizeof(*r->names.ids));
		r->names.n--;
	}
	/* the listing under way may have met it already */
	for (size_t i = 0; i < r->new_names.n; i++)
		if (r->new_names.ids[i] == id)
			r->new_names.ids[i--] = r->new_names.ids[--r->new_names.n];
}

size_t roster_count(const struct roster *r)
{
	return r->names.n;
}
