/*
 * tree: parents by pointer, children in a list with a map over (parent, name) for the look-up. A path is put
 * together when it is needed: directories are renamed by dropping the subtree and listing it anew, so no path
 * is ever stored and can go stale.
 */
#include "sense/tree.h"

#include <string.h>
#include "base/map.h"
#include "base/mem.h"
#include "core/wire.h"
#include "sense/roster.h"

struct tree {
	struct map *by_wd;
	struct map *by_name; /* key: parent pointer bytes + name */
	struct list roots;   /* of .sibling */
	size_t count;
	uint64_t made; /* so many so far */
};

static void tree_key(const struct tree_dir *parent, const char *name, struct buf *b)
{
	(void)buf_add(b, &parent, sizeof(const struct tree_dir *));
	(void)buf_adds(b, name);
}

struct tree *tree_new(void)
{
	struct tree *t = mem_alloc(sizeof(*t));

	t->by_wd = map_new();
	t->by_name = map_new();
	list_init(&t->roots);
	return t;
}

size_t tree_count(const struct tree *t)
{
	return t->count;
}

static struct tree_dir *tree_make(struct tree *t, struct tree_dir *parent, const char *name)
{
	struct tree_dir *d = mem_alloc(sizeof(*d));

	d->id = ++t->made;
	d->parent = parent;
	d->name = mem_strdup(name);
	d->wd = TREE_NO_WD;
	list_init(&d->children);
	list_init(&d->sibling);
	list_init(&d->queued);
	t->count++;
	return d;
}

struct tree_dir *tree_add_root(struct tree *t, size_t root)
{
	struct tree_dir *d = tree_make(t, NULL, "");

	d->root = root;
	list_add_tail(&t->roots, &d->sibling);
	return d;
}

static struct tree_dir *tree_find(const struct tree *t, const struct tree_dir *parent, const char *name)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);

	tree_key(parent, name, &key);
	return map_get(t->by_name, buf_str(&key), key.len);
}

struct tree_dir *tree_add(struct tree *t, struct tree_dir *parent, const char *name, bool *ret_is_new)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);
	struct tree_dir *d = tree_find(t, parent, name);

	*ret_is_new = !d;
	if (d)
		return d;
	d = tree_make(t, parent, name);
	d->root = parent->root;
	list_add_tail(&parent->children, &d->sibling);
	tree_key(parent, name, &key);
	(void)map_put(t->by_name, key.data, key.len, d);
	return d;
}

struct tree_dir *tree_child(const struct tree *t, const struct tree_dir *parent, const char *name)
{
	return tree_find(t, parent, name);
}

struct tree_dir *tree_resolve(const struct tree *t, struct tree_dir *root, const char *relpath, size_t len)
{
	struct tree_dir *d = root;

	while (d && len > 0) {
		const char *slash = memchr(relpath, '/', len);
		size_t n = slash ? (size_t)(slash - relpath) : len;
		CLEANUP_FREE char *name = mem_strndup(relpath, n);

		d = tree_find(t, d, name);
		relpath += slash ? n + 1 : n;
		len -= slash ? n + 1 : n;
	}
	return d;
}

/* Takes d out of the chain of its number; true when the chain is empty then. */
static bool tree_clear_wd(struct tree *t, struct tree_dir *d)
{
	struct tree_dir *first = tree_by_wd(t, d->wd);
	struct tree_dir **at = &first;

	while (*at && *at != d)
		at = &(*at)->same;
	BUG_ON(!*at);
	*at = d->same;
	d->same = NULL;
	if (first)
		(void)map_put_u64(t->by_wd, (uint64_t)(unsigned)d->wd, first);
	else
		(void)map_remove_u64(t->by_wd, (uint64_t)(unsigned)d->wd);
	d->wd = TREE_NO_WD;
	return !first;
}

void tree_set_wd(struct tree *t, struct tree_dir *d, int wd)
{
	if (d->wd == wd)
		return;
	if (d->wd != TREE_NO_WD)
		(void)tree_clear_wd(t, d);
	if (wd == TREE_NO_WD)
		return;
	d->wd = wd;
	d->same = map_put_u64(t->by_wd, (uint64_t)(unsigned)wd, d);
}

struct tree_dir *tree_by_wd(const struct tree *t, int wd)
{
	return wd < 0 ? NULL : map_get_u64(t->by_wd, (uint64_t)(unsigned)wd);
}

static void tree_drop(struct tree *t, struct tree_dir *d, tree_gone_fn gone, void *arg)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);
	int wd = d->wd;

	if (wd != TREE_NO_WD && !tree_clear_wd(t, d))
		wd = TREE_NO_WD;
	if (gone)
		gone(d, wd, arg);
	if (d->parent) {
		tree_key(d->parent, d->name, &key);
		(void)map_remove(t->by_name, key.data, key.len);
	}
	list_remove(&d->sibling);
	list_remove(&d->queued);
	roster_free(d->roster);
	free(d->name);
	free(d);
	t->count--;
}

void tree_remove(struct tree *t, struct tree_dir *d, tree_gone_fn gone, void *arg)
{
	/* Without recursion, since depth comes from outside: always drop a leaf. */
	struct tree_dir *at = d;

	for (;;) {
		struct tree_dir *up;

		while (!list_is_empty(&at->children))
			at = LIST_OF(at->children.next, struct tree_dir, sibling);
		if (at == d)
			break;
		up = at->parent;
		tree_drop(t, at, gone, arg);
		at = up;
	}
	tree_drop(t, d, gone, arg);
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	while (!list_is_empty(&t->roots))
		tree_remove(t, LIST_OF(t->roots.next, struct tree_dir, sibling), NULL, NULL);
	map_free(t->by_wd);
	map_free(t->by_name);
	free(t);
}

void tree_path(const struct tree_dir *d, struct buf *b)
{
	char path[WIRE_PATH_BYTES];
	size_t at = sizeof(path);

	buf_reset(b);
	for (; d->parent; d = d->parent) {
		size_t n = strlen(d->name);

		if (n + 1 > at)
			break; /* deeper than PATH_MAX: nothing can be opened by that path; the walk refuses
				  it */
		at -= n + 1;
		memcpy(path + at, d->name, n);
		path[at + n] = '/';
	}
	if (at < sizeof(path))
		(void)buf_add(b, path + at, sizeof(path) - at - 1);
}

void tree_path_of(const struct tree_dir *d, const char *name, struct buf *b)
{
	tree_path(d, b);
	if (b->len > 0)
		(void)buf_addc(b, '/');
	(void)buf_adds(b, name);
}

void tree_each(struct tree *t, void (*fn)(struct tree_dir *d, void *arg), void *arg)
{
	LIST_FOREACH (root, &t->roots) {
		struct list *it = root;

		/* Depth first without recursion: down, else next, else up until there is a next. */
		for (;;) {
			struct tree_dir *d = LIST_OF(it, struct tree_dir, sibling);

			fn(d, arg);
			if (!list_is_empty(&d->children)) {
				it = d->children.next;
				continue;
			}
			while (d->parent && d->sibling.next == &d->parent->children)
				d = d->parent;
			if (!d->parent)
				break;
			it = d->sibling.next;
		}
	}
}
