/*
 * moved: one queue. Questions are asked from its front, so answers come for items near the front.
 */
#include "dispatch/moved.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/trace.h"

struct moved {
	struct list items;
	size_t n, answered;
	int64_t serial;
};

struct moved *moved_new(void)
{
	struct moved *m = mem_alloc(sizeof(*m));

	list_init(&m->items);
	return m;
}

void moved_done(struct moved *m, struct moved_item *item)
{
	list_remove(&item->in);
	m->n--;
	m->answered -= item->answered;
	free(item->root);
	free(item->old_relpath);
	intake_result_done(&item->result);
	free(item);
}

void moved_free(struct moved *m)
{
	if (!m)
		return;
	LIST_FOREACH_SAFE (it, &m->items)
		moved_done(m, LIST_OF(it, struct moved_item, in));
	free(m);
}

void moved_add(struct moved *m, struct intake_peer *peer, const struct intake_result *r, const char *bytes,
	size_t len)
{
	struct moved_item *item;

	if (m->n >= MOVED_MAX) {
		trace(TRACE_LISTING, "too many moved files at once; a listing will find %s again",
			r->moved_from);
		return;
	}
	item = mem_alloc(sizeof(*item) + len);
	item->serial = ++m->serial;
	item->peer = peer;
	item->row_id = r->moved_row;
	item->root = mem_strdup(r->moved_root);
	item->old_relpath = mem_strdup(r->moved_from);
	item->version = r->moved_version;
	item->len = len;
	memcpy(item->bytes, bytes, len);
	intake_result_init(&item->result);
	list_add_tail(&m->items, &item->in);
	m->n++;
}

void moved_forget(struct moved *m, const struct intake_peer *peer)
{
	LIST_FOREACH_SAFE (it, &m->items) {
		struct moved_item *item = LIST_OF(it, struct moved_item, in);

		if (item->peer == peer)
			moved_done(m, item);
	}
}

static void on_verdict(int64_t serial, enum wire_verdict verdict, void *arg)
{
	struct moved *m = arg;

	LIST_FOREACH (it, &m->items) {
		struct moved_item *item = LIST_OF(it, struct moved_item, in);

		if (item->serial != serial)
			continue;
		item->verdict = verdict;
		m->answered += !item->answered;
		item->answered = true;
		return;
	}
}

void moved_ask(struct moved *m, const struct intake_peer *peer, struct confirm *c)
{
	LIST_FOREACH (it, &m->items) {
		struct moved_item *item = LIST_OF(it, struct moved_item, in);
		const struct wire_known known = {.relpath = item->old_relpath,
			.size = item->version.size,
			.mtime_ns = item->version.mtime_ns,
			.ino = (int64_t)item->version.ino,
			.ends = item->version.ends};
		const char *root = NULL;

		if (item->peer != peer || item->asked)
			continue;
		for (size_t i = 0; i < peer->watch->directory.n; i++)
			if (strcmp(peer->watch->directory.items[i], item->root) == 0)
				root = peer->watch->directory.items[i];
		BUG_ON(!root); /* it was one when intake looked */
		if (!confirm_may_ask(c) || confirm_ask(c, item->serial, root, &known, on_verdict, m) < 0)
			return;
		item->asked = true;
	}
}

bool moved_is_empty(const struct moved *m)
{
	return m->n == 0;
}

bool moved_has_answers(const struct moved *m)
{
	return m->answered > 0;
}

struct moved_item *moved_next(struct moved *m, struct moved_item *after)
{
	struct list *it = after ? after->in.next : m->items.next;

	for (; it != &m->items; it = it->next) {
		struct moved_item *item = LIST_OF(it, struct moved_item, in);

		if (item->answered)
			return item;
	}
	return NULL;
}
