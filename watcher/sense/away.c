/*
 * away: what a directory was on when it was met first counts as what it should be on. A directory that is on
 * the file system of its parent again has lost its mount: it is not listed until something is mounted there.
 * One that had none and gets one is listed, since mounts may come late; but of names that are missing there,
 * and of those that are missing where a mount was taken off again, nothing is said any more.
 */
#include "sense/away.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fs.h"
#include "sense/roster.h"

bool away_is_mount_point(const struct tree_dir *d)
{
	return d->parent && d->mount && d->parent->mount && d->mount != d->parent->mount;
}

/* What was watched and known there is forgotten; the directory itself stays. */
static void away_forget(struct sense *s, struct tree_dir *d)
{
	while (!list_is_empty(&d->children))
		sense_drop_directory(s, LIST_OF(d->children.next, struct tree_dir, sibling));
	unsettled_drop_directory(s->unsettled, d);
	if (d->wd != TREE_NO_WD && tree_by_wd(s->tree, d->wd) == d && !d->same)
		inotify_unwatch(s->inotify, d->wd);
	tree_set_wd(s->tree, d, TREE_NO_WD);
	roster_free(d->roster);
	d->roster = NULL;
}

/* Is d as it was met first: a mount of that type, or none? */
static bool away_is_right(const struct tree_dir *d, bool bare)
{
	return bare ? !d->mounted : d->mounted && strcmp(d->mount->kind.type, d->meant->kind.type) == 0;
}

bool away_meet(struct sense *s, struct tree_dir *d, const struct mount *was, const char *path)
{
	bool bare = d->mount == d->parent->mount, was_away = d->away;

	if (!was) {
		d->mounted = !bare;
		d->meant = d->mount;
		return false;
	}
	s->roots[d->root].cut_short |= d->mounted && bare;
	if (d->mount == was)
		return d->away;
	away_forget(s, d);
	d->away = d->mounted && bare;
	d->hides = !away_is_right(d, bare) || (d->hides && !d->mounted);
	if (d->away)
		sense_trouble(s, "away", path, 0,
			"what was mounted here is gone; nothing in it is forgotten, and it is listed again "
			"when "
			"something is mounted");
	else if (was_away)
		sense_trouble(s, "back", path, 0, "something is mounted here again; listing it");
	else if (!bare && d->hides)
		sense_trouble(s, "away", path, 0,
			"something was mounted over this directory: what it shows now is taken, and what was "
			"in "
			"it waits until it is seen again");
	return d->away;
}

/* 1: it is another one than was met, 0: it is not, -errno */
static int away_is_other(struct sense *s, const struct tree_dir *d, int root_fd)
{
	CLEANUP_BUF struct buf path = BUF_INIT(2 * WIRE_PATH_BYTES);
	CLEANUP_FD int fd = -1;
	struct stat st;
	int rc;

	tree_path(d, &path);
	wire_page_enter(s->page, "open", buf_str(&path));
	fd = fs_open_beneath(root_fd, buf_str(&path), O_PATH | O_DIRECTORY, false);
	rc = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : 0;
	wire_page_leave(s->page);
	return rc < 0 ? rc : d->mount && st.st_dev != d->mount->dev;
}

bool away_may_hide(struct sense *s, size_t root, int root_fd, const char *relpath)
{
	struct tree_dir *d = s->roots[root].dir;

	if (root_fd < 0)
		return true;
	for (size_t at = 0; d; at++) {
		int rc = 0;

		if (d->away || d->hides)
			return true;
		if (d->parent)
			rc = away_is_other(s, d, root_fd);
		if (rc != 0)
			return rc > 0 || (rc != -ENOENT && rc != -ENOTDIR && rc != -ELOOP);
		at += strcspn(relpath + at, "/");
		if (relpath[at] == '\0')
			return false;
		d = tree_resolve(s->tree, s->roots[root].dir, relpath, at);
	}
	return false;
}

const struct tree_dir *away_above(const struct sense *s, size_t root, const char *relpath)
{
	const struct tree_dir *d = s->roots[root].dir;

	for (size_t at = 0; d && !d->away; at++) {
		at += strcspn(relpath + at, "/");
		d = relpath[at] ? tree_resolve(s->tree, s->roots[root].dir, relpath, at) : NULL;
	}
	return d;
}
