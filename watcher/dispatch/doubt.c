/*
 * doubt: an entry is asked -> confirmed (chosen, or too old) or refused (applied to the ledger) -> forgotten.
 *
 * A round of questions is over when all of them are answered. One without any answer that tells something
 * (the folder is missing, its mount fails) makes a pause of 1, 2, 4 … 60 s; a single file that cannot be
 * looked at makes none, else a folder without permission would slow down all others.
 */
#include "dispatch/doubt.h"

#include <stdlib.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "core/backoff.h"

#define DOUBT_MOMENT_US INT64_C(20000)

enum doubt_state { DOUBT_ASKED, DOUBT_CONFIRMED, DOUBT_REFUSED };

struct entry {
	struct list in;
	int64_t id;
	enum doubt_state state;
	enum wire_verdict verdict;
	int64_t answered_us;
};

struct doubt {
	struct list confirmed, refused; /* in the order they were answered */
	struct list asked;
	struct map *by_id;
	size_t asked_n, confirmed_n, refused_n;
	bool told; /* this round told something */
	unsigned failures;
	int64_t until_us;
};

struct doubt *doubt_new(void)
{
	struct doubt *d = mem_alloc(sizeof(*d));

	list_init(&d->confirmed);
	list_init(&d->refused);
	list_init(&d->asked);
	d->by_id = map_new();
	return d;
}

static size_t *counter_of(struct doubt *d, const struct entry *e)
{
	if (e->state == DOUBT_ASKED)
		return &d->asked_n;
	return e->state == DOUBT_CONFIRMED ? &d->confirmed_n : &d->refused_n;
}

static void entry_free(struct doubt *d, struct entry *e)
{
	(*counter_of(d, e))--;
	list_remove(&e->in);
	(void)map_remove_u64(d->by_id, (uint64_t)e->id);
	free(e);
}

static void free_all(struct doubt *d, struct list *entries)
{
	LIST_FOREACH_SAFE (it, entries)
		entry_free(d, LIST_OF(it, struct entry, in));
}

void doubt_free(struct doubt *d)
{
	if (!d)
		return;
	free_all(d, &d->asked);
	free_all(d, &d->confirmed);
	free_all(d, &d->refused);
	map_free(d->by_id);
	free(d);
}

static bool may_ask(const struct doubt *d)
{
	return d->asked_n == 0 && d->confirmed_n < DOUBT_ASKED_MAX && d->refused_n == 0;
}

size_t doubt_room(const struct doubt *d, int64_t now_us)
{
	return may_ask(d) && now_us >= d->until_us ? DOUBT_ASKED_MAX : 0;
}

int64_t doubt_room_us(const struct doubt *d, int64_t now_us)
{
	if (!may_ask(d))
		return INT64_MAX;
	return now_us >= d->until_us ? now_us : d->until_us;
}

bool doubt_has(const struct doubt *d, int64_t id)
{
	return map_get_u64(d->by_id, (uint64_t)id) != NULL;
}

size_t doubt_count(const struct doubt *d)
{
	return map_count(d->by_id);
}

void doubt_busy(struct doubt *d, int64_t now_us)
{
	if (d->until_us < now_us + DOUBT_MOMENT_US)
		d->until_us = now_us + DOUBT_MOMENT_US;
}

void doubt_asked(struct doubt *d, int64_t id)
{
	struct entry *e;

	BUG_ON(doubt_has(d, id));
	e = mem_alloc(sizeof(*e));
	e->id = id;
	e->state = DOUBT_ASKED;
	list_add_tail(&d->asked, &e->in);
	(void)map_put_u64(d->by_id, (uint64_t)id, e);
	d->asked_n++;
}

static void move_to(struct doubt *d, struct entry *e, enum doubt_state state)
{
	(*counter_of(d, e))--;
	list_remove(&e->in);
	e->state = state;
	list_add_tail(state == DOUBT_CONFIRMED ? &d->confirmed : &d->refused, &e->in);
	(*counter_of(d, e))++;
}

static void end_round(struct doubt *d, int64_t now_us)
{
	if (d->told) {
		d->failures = 0;
	} else {
		d->failures++;
		d->until_us = now_us + backoff_ceiling_us(d->failures);
	}
	d->told = false;
}

void doubt_answered(struct doubt *d, int64_t id, enum wire_verdict verdict, int64_t now_us)
{
	struct entry *e = map_get_u64(d->by_id, (uint64_t)id);
	bool same = verdict == WIRE_SAME || verdict == WIRE_SWAPPED;

	if (!e || e->state != DOUBT_ASKED)
		return;
	e->verdict = verdict;
	e->answered_us = now_us;
	move_to(d, e, same ? DOUBT_CONFIRMED : DOUBT_REFUSED);
	d->told |= verdict != WIRE_UNSURE;
	if (d->asked_n == 0)
		end_round(d, now_us);
}

void doubt_forget(struct doubt *d, int64_t id)
{
	struct entry *e = map_get_u64(d->by_id, (uint64_t)id);

	if (e)
		entry_free(d, e);
}

static bool is_good(const struct entry *e, int64_t now_us)
{
	return e->state == DOUBT_CONFIRMED && now_us - e->answered_us < DOUBT_GOOD_FOR_US;
}

int64_t doubt_confirmed(struct doubt *d, int64_t now_us)
{
	LIST_FOREACH_SAFE (it, &d->confirmed) {
		struct entry *e = LIST_OF(it, struct entry, in);

		if (is_good(e, now_us))
			return e->id;
		entry_free(d, e);
	}
	return 0;
}

bool doubt_is_confirmed(const struct doubt *d, int64_t id, int64_t now_us)
{
	const struct entry *e = map_get_u64(d->by_id, (uint64_t)id);

	return e && is_good(e, now_us);
}

size_t doubt_refused(const struct doubt *d)
{
	return d->refused_n;
}

int doubt_each_refused(
	const struct doubt *d, int (*fn)(int64_t id, enum wire_verdict verdict, void *arg), void *arg)
{
	LIST_FOREACH (it, &d->refused) {
		const struct entry *e = LIST_OF(it, struct entry, in);
		int rc = fn(e->id, e->verdict, arg);

		if (rc != 0)
			return rc;
	}
	return 0;
}

void doubt_forget_refused(struct doubt *d)
{
	free_all(d, &d->refused);
}

unsigned doubt_failures(const struct doubt *d)
{
	return d->failures;
}
