/*
 * mounts: the file systems that the directories of a watch are on, and how each is watched and judged. A tree
 * may have other mounts below it: every directory that is opened is asked for its device.
 */
#ifndef SENSE_MOUNTS_H
#define SENSE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "core/conf.h"
#include "core/fskind.h"
#include "core/settle.h"
#include "core/wire.h"

#define MOUNTS_MAX 256 /* further ones share the last entry, of which nothing is believed */

struct mount {
	uint64_t dev;
	struct fskind kind;
	bool notified; /* its directories get inotify watches */
	bool polled;   /* they are listed every poll_interval */
	struct settle_policy policy;
};

struct mounts;
struct mounts *mounts_new(const struct conf_watch *w); /* w is borrowed */
void mounts_free(struct mounts *m);		       /* takes NULL */
/* The mount of what is open as fd; path is for the state page. Never NULL; lives as long as m. May block on a
 * dead mount. */
const struct mount *mounts_of_fd(struct mounts *m, int fd, const char *path, struct wire_page *page);
size_t mounts_count(const struct mounts *m);
const struct mount *mounts_at(const struct mounts *m, size_t i);
/* "inotify", "poll" or "inotify+poll"; "" while there is none. */
const char *mounts_method(const struct mounts *m);
/* "ext4,fuse.bindfs" into b. */
void mounts_add_names(const struct mounts *m, struct buf *b);
/* Before anything is known of a directory. */
const struct settle_policy *mounts_policy(const struct mounts *m);

#endif
