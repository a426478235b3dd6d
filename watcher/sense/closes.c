/*
 * closes: a map and a queue of fixed length for inodes and for names, a small ring for halves of renames.
 */
#include "sense/closes.h"

#include <string.h>
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

#define CLOSES_INODES 8192
#define CLOSES_NAMES 8192
#define CLOSES_MOVES 256 /* renames whose second half has not come: normally it is the next event */

struct closes_inode_entry {
	struct list order;
	uint64_t ino, under;
	int64_t birth_ns;
};

struct closes_name_entry {
	struct list order;
	struct closes_name name;
	size_t key_len;
	char key[];
};

struct closes {
	struct map *inodes;
	struct list inode_order;
	struct map *names;
	struct list name_order;
	struct closes_move moves[CLOSES_MOVES];
	size_t next_move;
};

struct closes *closes_new(void)
{
	struct closes *c = mem_alloc(sizeof(*c));

	c->inodes = map_new();
	c->names = map_new();
	list_init(&c->inode_order);
	list_init(&c->name_order);
	return c;
}

static void closes_drop_inode(struct closes *c, struct closes_inode_entry *e)
{
	(void)map_remove_u64(c->inodes, e->ino);
	list_remove(&e->order);
	free(e);
}

static void closes_drop_name(struct closes *c, struct closes_name_entry *e)
{
	(void)map_remove(c->names, e->key, e->key_len);
	list_remove(&e->order);
	free(e);
}

void closes_free(struct closes *c)
{
	if (!c)
		return;
	while (!list_is_empty(&c->inode_order))
		closes_drop_inode(c, LIST_OF(c->inode_order.next, struct closes_inode_entry, order));
	while (!list_is_empty(&c->name_order))
		closes_drop_name(c, LIST_OF(c->name_order.next, struct closes_name_entry, order));
	map_free(c->inodes);
	map_free(c->names);
	free(c);
}

uint64_t closes_under(const void *key, size_t key_len)
{
	static const uint64_t any[2] = {0}; /* two names with one number only cost a longer wait */
	uint64_t under = map_hash_bytes(any, key, key_len);

	return under ? under : 1;
}

void closes_add(struct closes *c, const struct closes_inode *i, uint64_t under)
{
	struct closes_inode_entry *e;

	if (i->ino == 0)
		return;
	e = map_get_u64(c->inodes, i->ino);
	if (!e) {
		if (map_count(c->inodes) >= CLOSES_INODES)
			closes_drop_inode(c, LIST_OF(c->inode_order.next, struct closes_inode_entry, order));
		e = mem_alloc(sizeof(*e));
		e->ino = i->ino;
		list_init(&e->order);
		(void)map_put_u64(c->inodes, e->ino, e);
	}
	e->birth_ns = i->birth_ns;
	e->under = under;
	list_remove(&e->order);
	list_add_tail(&c->inode_order, &e->order);
}

bool closes_has(const struct closes *c, const struct closes_inode *i, uint64_t under)
{
	const struct closes_inode_entry *e = i->ino == 0 ? NULL : map_get_u64(c->inodes, i->ino);

	if (!e || e->birth_ns != i->birth_ns || e->under == under)
		return false;
	return i->birth_ns != 0 || i->links > 1;
}

bool closes_created(struct closes *c, const struct closes_inode *i, uint64_t under)
{
	struct closes_inode_entry *e = i->ino == 0 ? NULL : map_get_u64(c->inodes, i->ino);

	if (e && e->under == under)
		closes_drop_inode(c, e);
	return closes_has(c, i, under);
}

struct closes_name *closes_name(struct closes *c, const void *key, size_t key_len, bool make)
{
	struct closes_name_entry *e = map_get(c->names, key, key_len);

	if (e)
		return &e->name;
	if (!make)
		return NULL;
	if (map_count(c->names) >= CLOSES_NAMES)
		closes_drop_name(c, LIST_OF(c->name_order.next, struct closes_name_entry, order));
	e = mem_alloc(sizeof(*e) + key_len);
	e->key_len = key_len;
	memcpy(e->key, key, key_len);
	list_init(&e->order);
	list_add_tail(&c->name_order, &e->order);
	(void)map_put(c->names, key, key_len, e);
	return &e->name;
}

void closes_name_forget(struct closes *c, const void *key, size_t key_len)
{
	struct closes_name_entry *e = map_get(c->names, key, key_len);

	if (e)
		closes_drop_name(c, e);
}

void closes_moved_from(struct closes *c, const struct closes_move *m)
{
	c->moves[c->next_move] = *m;
	c->next_move = (c->next_move + 1) % CLOSES_MOVES;
}

bool closes_moved_to(struct closes *c, uint32_t cookie, struct closes_move *ret)
{
	if (cookie == 0)
		return false;
	for (size_t i = 0; i < CLOSES_MOVES; i++) {
		if (c->moves[i].cookie != cookie)
			continue;
		*ret = c->moves[i];
		c->moves[i].cookie = 0;
		return true;
	}
	return false;
}
