/*
 * away: directories below a root whose file system has changed under them: unmounted, or mounted over. What
 * was there before is out of sight, and not gone.
 *
 * Known only as long as the process lives: a mount below a root that is missing at the start was never seen.
 * Who needs more has the mount point watched as a directory of its own.
 */
#ifndef SENSE_AWAY_H
#define SENSE_AWAY_H

#include <stdbool.h>
#include "sense/state.h"

/* d (not a root; path: for messages) was opened for a listing and is on d->mount; it was on `was` (NULL: it
 * was never opened before). True: its mount is missing, and it is not to be listed. Says so, the first time.
 */
bool away_meet(struct sense *s, struct tree_dir *d, const struct mount *was, const char *path);
/* Is d where something was mounted when it was met? */
bool away_is_mount_point(const struct tree_dir *d);
/* A name below a root, open as root_fd, is not found. May it be out of sight only? May block on a dead mount.
 */
bool away_may_hide(struct sense *s, size_t root, int root_fd, const char *relpath);

/* The directory on the way to relpath whose mount is gone, or NULL: as far as is known, nothing is asked. */
const struct tree_dir *away_above(const struct sense *s, size_t root, const char *relpath);

#endif
