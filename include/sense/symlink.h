/*
 * symlink: follow_symlinks. Looking at and opening a name of a watched directory; with follow_symlinks = yes
 * a symbolic link to a file stands for that file.
 *
 * Followed are links, also through others, to what lies beneath the same configured directory and on the same
 * file system as the link (how a file becomes complete depends on it). A link to a directory is not: what is
 * in it is watched under its own name. Links on the way to a name are never followed.
 */
#ifndef SENSE_SYMLINK_H
#define SENSE_SYMLINK_H

#include <stdbool.h>
#include "sense/probe.h"
#include "sense/state.h"

/* As probe_name (now: probe_name_now). A link that is followed gives what its target is, and is_symlink; one
 * to a directory, and with follow_symlinks = no every link, is neither regular nor a directory. Else -errno:
 * -ENOENT it leads to nothing, -ELOOP in a circle, -EXDEV out of the directory or to another file system. May
 * block on a dead mount. */
int symlink_look(const struct sense *s, size_t root, int root_fd, const char *relpath, bool now,
	struct probe_stat *ret) MUST_CHECK;
/* As probe_open, with the same errors; with follow_symlinks = no every link is -ELOOP. */
int symlink_open(const struct sense *s, size_t root, int root_fd, const char *relpath);
/* Where the link leads to, as it says itself, for people: its length or -errno (-EINVAL: it is no link). */
int symlink_read(int root_fd, const char *relpath, struct wire_page *page, struct buf *ret) MUST_CHECK;

#endif
