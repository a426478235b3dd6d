/*
 * unsettled: a map over (directory, name) and a binary heap over the due time. Files without a due time
 * (unreadable ones, the one being judged) are only in the map.
 */
#include "sense/unsettled.h"

#include <string.h>
#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "core/wire.h"

#define UNSETTLED_CROWD 1000 /* so many leave memory behind that is worth giving back */

struct unsettled {
	struct map *by_name;
	struct unsettled_file **heap;
	size_t heap_n, heap_cap;
	size_t most; /* files at once, since it was empty last */
	unsettled_drop_fn dropped;
	void *arg;
};

static void unsettled_key(const struct tree_dir *dir, const char *name, struct buf *b)
{
	(void)buf_add(b, &dir, sizeof(const struct tree_dir *));
	(void)buf_adds(b, name);
}

struct unsettled *unsettled_new(unsettled_drop_fn dropped, void *arg)
{
	struct unsettled *u = mem_alloc(sizeof(*u));

	u->by_name = map_new();
	u->dropped = dropped;
	u->arg = arg;
	return u;
}

size_t unsettled_count(const struct unsettled *u)
{
	return map_count(u->by_name);
}

bool unsettled_is_full(const struct unsettled *u)
{
	return map_count(u->by_name) >= UNSETTLED_MAX;
}

struct unsettled_file *unsettled_find(const struct unsettled *u, const struct tree_dir *dir, const char *name)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);

	unsettled_key(dir, name, &key);
	return map_get(u->by_name, buf_str(&key), key.len);
}

struct unsettled_file *unsettled_add(struct unsettled *u, struct tree_dir *dir, const char *name)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);
	struct unsettled_file *f = mem_alloc(sizeof(*f));
	const void *before;

	f->dir = dir;
	f->name = mem_strdup(name);
	unsettled_key(dir, name, &key);
	before = map_put(u->by_name, key.data, key.len, f);
	BUG_ON(before);
	dir->unsettled++;
	if (map_count(u->by_name) > u->most)
		u->most = map_count(u->by_name);
	return f;
}

static void unsettled_place(struct unsettled *u, size_t at, struct unsettled_file *f)
{
	u->heap[at] = f;
	f->heap_at = at + 1;
}

static void unsettled_up(struct unsettled *u, size_t at)
{
	struct unsettled_file *f = u->heap[at];

	while (at > 0) {
		size_t parent = (at - 1) / 2;

		if (u->heap[parent]->settle.due_us <= f->settle.due_us)
			break;
		unsettled_place(u, at, u->heap[parent]);
		at = parent;
	}
	unsettled_place(u, at, f);
}

static void unsettled_down(struct unsettled *u, size_t at)
{
	struct unsettled_file *f = u->heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= u->heap_n)
			break;
		if (child + 1 < u->heap_n &&
			u->heap[child + 1]->settle.due_us < u->heap[child]->settle.due_us)
			child++;
		if (u->heap[child]->settle.due_us >= f->settle.due_us)
			break;
		unsettled_place(u, at, u->heap[child]);
		at = child;
	}
	unsettled_place(u, at, f);
}

void unsettled_unschedule(struct unsettled *u, struct unsettled_file *f)
{
	size_t at = f->heap_at;
	struct unsettled_file *last;

	if (at == 0)
		return;
	f->heap_at = 0;
	last = u->heap[--u->heap_n];
	if (last == f)
		return;
	unsettled_place(u, at - 1, last);
	unsettled_up(u, at - 1);
	unsettled_down(u, last->heap_at - 1);
}

void unsettled_schedule(struct unsettled *u, struct unsettled_file *f)
{
	unsettled_unschedule(u, f);
	if (u->heap_n == u->heap_cap) {
		u->heap_cap = u->heap_cap ? u->heap_cap * 2 : 64;
		u->heap = mem_resize(u->heap, u->heap_cap, sizeof(struct unsettled_file *));
	}
	unsettled_place(u, u->heap_n++, f);
	unsettled_up(u, u->heap_n - 1);
}

void unsettled_set_lacks(struct unsettled_file *f, const char *lacks, int64_t now_us)
{
	if (lacks && f->lacks && strcmp(lacks, f->lacks) == 0)
		return;
	free(f->lacks);
	f->lacks = lacks ? mem_strdup(lacks) : NULL;
	f->lacks_since_us = now_us;
}

bool unsettled_end_holds(const struct unsettled_file *f)
{
	return f->end.looked_us > 0 && f->end.looked_us >= f->settle.changed_us &&
	       f->end.looked_us >= f->settle.equal_us;
}

bool unsettled_is_unended(const struct unsettled_file *f)
{
	return f->end.missing && unsettled_end_holds(f);
}

struct unsettled_file *unsettled_first(const struct unsettled *u)
{
	return u->heap_n > 0 ? u->heap[0] : NULL;
}

static void unsettled_release(struct unsettled_file *f)
{
	free(f->name);
	free(f->lacks);
	free(f->marker); /* at the end, of one that still waits for it */
	free(f);
}

/* The table is empty: what a burst took goes back to the system, so that a watcher is small between bursts.
 */
static void unsettled_rest(struct unsettled *u)
{
	if (map_count(u->by_name) > 0 || u->most < UNSETTLED_CROWD)
		return;
	free(u->heap);
	u->heap = NULL;
	u->heap_n = u->heap_cap = 0;
	u->most = 0;
	mem_trim();
}

void unsettled_drop(struct unsettled *u, struct unsettled_file *f)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);

	u->dropped(f, u->arg);
	unsettled_unschedule(u, f);
	unsettled_key(f->dir, f->name, &key);
	(void)map_remove(u->by_name, key.data, key.len);
	f->dir->unsettled--;
	unsettled_release(f);
	unsettled_rest(u);
}

struct unsettled_below {
	struct unsettled *u;
	const struct tree_dir *dir;
};

static bool unsettled_drop_below(const void *key, size_t key_len, void *value, void *arg)
{
	const struct unsettled_below *below = arg;
	struct unsettled_file *f = value;

	(void)key;
	(void)key_len;
	if (f->dir == below->dir)
		unsettled_drop(below->u, f);
	return true;
}

void unsettled_drop_directory(struct unsettled *u, const struct tree_dir *dir)
{
	struct unsettled_below below = {.u = u, .dir = dir};

	if (dir->unsettled == 0)
		return; /* the usual case, and the whole table is a lot to look through */
	map_each(u->by_name, unsettled_drop_below, &below);
}

struct unsettled_call {
	void (*fn)(struct unsettled_file *f, void *arg);
	void *arg;
};

static bool unsettled_call(const void *key, size_t key_len, void *value, void *arg)
{
	const struct unsettled_call *call = arg;

	(void)key;
	(void)key_len;
	call->fn(value, call->arg);
	return true;
}

void unsettled_each(struct unsettled *u, void (*fn)(struct unsettled_file *f, void *arg), void *arg)
{
	struct unsettled_call call = {.fn = fn, .arg = arg};

	map_each(u->by_name, unsettled_call, &call);
}

static bool unsettled_free_one(const void *key, size_t key_len, void *value, void *arg)
{
	(void)key;
	(void)key_len;
	(void)arg;
	unsettled_release(value);
	return true;
}

void unsettled_free(struct unsettled *u)
{
	if (!u)
		return;
	map_each(u->by_name, unsettled_free_one, NULL);
	map_free(u->by_name);
	free(u->heap);
	free(u);
}
