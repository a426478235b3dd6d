/*
 * tree: the directories of a watch as we know them: their place in the tree and their inotify watch number.
 * No I/O of its own.
 *
 * A watch number may stand for several directories (the same one configured twice through a bind mount): they
 * are chained.
 */
#ifndef SENSE_TREE_H
#define SENSE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/list.h"

#define TREE_NO_WD (-1)

struct mount;
struct roster;

struct tree_dir {
	uint64_t id;		   /* never given again, unlike the address */
	struct tree_dir *parent;   /* NULL for a root */
	size_t root;		   /* index of the configured directory */
	char *name;		   /* "" for a root */
	int wd;			   /* TREE_NO_WD: not watched: only listings see it */
	const struct mount *mount; /* what it is on, since it was opened first; NULL before */
	const struct mount *meant; /* sense/away: what it was on when it was met */
	bool mounted;		   /* something was mounted there then … */
	bool away;		   /* … and is not any more */
	bool hides;		   /* names may be there and out of sight */
	int64_t listed_us;	   /* monotonic: when its last whole listing began */
	struct roster *roster;	   /* of a polled one; owned; NULL: not polled */
	bool quick;		   /* its next listing is of a poll round: only names */
	struct tree_dir *same;	   /* next with the same wd */
	struct list children;	   /* of .sibling */
	struct list sibling;
	struct list queued; /* in the walk's queue when linked */
	uint64_t met;	 /* serial of the listing that last met it (or of the latest when an event made it) */
	bool unreadable; /* it, or something in it, could not be looked at; said once */
	int64_t unreadable_us; /* since then, wall clock */
	size_t unsettled;      /* how many files of it are in that table; kept there */
};

struct tree;
struct tree *tree_new(void);
void tree_free(struct tree *t); /* takes NULL */
size_t tree_count(const struct tree *t);
struct tree_dir *tree_add_root(struct tree *t, size_t root);
/* The child of that name, made when there is none. */
struct tree_dir *tree_add(struct tree *t, struct tree_dir *parent, const char *name, bool *ret_is_new);
struct tree_dir *tree_child(
	const struct tree *t, const struct tree_dir *parent, const char *name); /* NULL: none */
void tree_set_wd(struct tree *t, struct tree_dir *d, int wd);
struct tree_dir *tree_by_wd(const struct tree *t, int wd); /* first of the chain, or NULL */
/* Forgets d and everything below it, leaves first. gone (may be NULL) is called for each just before; wd is
 * its watch number when nobody else uses that, else TREE_NO_WD. */
typedef void (*tree_gone_fn)(struct tree_dir *d, int wd, void *arg);
void tree_remove(struct tree *t, struct tree_dir *d, tree_gone_fn gone, void *arg);
/* The directory of a relative path ("" or "a/b") below a root directory, or NULL. */
struct tree_dir *tree_resolve(const struct tree *t, struct tree_dir *root, const char *relpath, size_t len);
/* The path relative to the root: "" for the root, else "a/b". Replaces what is in b. */
void tree_path(const struct tree_dir *d, struct buf *b);
/* The path of `name` in d, relative to the root. */
void tree_path_of(const struct tree_dir *d, const char *name, struct buf *b);
/* Calls fn for every directory. */
void tree_each(struct tree *t, void (*fn)(struct tree_dir *d, void *arg), void *arg);

#endif
