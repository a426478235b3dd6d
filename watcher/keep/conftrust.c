/*
 * The folders are those of the real path (symbolic links resolved) and, where the path given goes through
 * links, those of the absolute path as given. Judged by mode bits and owner alone: an access list can only
 * take rights away from what the group bits show (acl(5)).
 */
#include "keep/conftrust.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"

#define OVERFLOW_UID 65534 /* user_namespaces(7) */

struct conftrust {
	struct map *seen; /* folders */
};

static const char *who_writes(mode_t mode)
{
	if ((mode & S_IWGRP) && (mode & S_IWOTH))
		return "its group and everybody";
	return mode & S_IWGRP ? "its group" : "everybody";
}

/* Then modes say nothing (a mounted ConfigMap, a sealed image). */
static bool is_read_only(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

static void judge(const char *path, const struct stat *st, bool sticky_helps, struct conf_mistakes *m)
{
	mode_t loose = st->st_mode & (S_IWGRP | S_IWOTH);

	if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != OVERFLOW_UID)
		conf_mistake_add(m, false, path, 0,
			"belongs to user %u, who could change the configuration; do: chown root '%s'",
			(unsigned)st->st_uid, path);
	if (loose && !(sticky_helps && (st->st_mode & S_ISVTX)) && !is_read_only(path))
		conf_mistake_add(m, false, path, 0, "%s could change the configuration; do: chmod %s-w '%s'",
			who_writes(loose),
			loose == (S_IWGRP | S_IWOTH) ? "go"
			: loose == S_IWGRP	     ? "g"
						     : "o",
			path);
}

static void check_folder_once(struct conftrust *t, const char *dir, struct conf_mistakes *m)
{
	struct stat st;

	if (map_get(t->seen, dir, strlen(dir)))
		return;
	map_put(t->seen, dir, strlen(dir), t);
	if (stat(dir, &st) == 0) /* what cannot be looked at cannot be read through either */
		judge(dir, &st, true, m);
}

/* All folders above an absolute path. */
static void check_above(struct conftrust *t, const char *path, struct conf_mistakes *m)
{
	CLEANUP_FREE char *dir = mem_strdup(path);
	char *slash;

	while ((slash = strrchr(dir, '/')) != NULL && slash != dir) {
		*slash = '\0';
		check_folder_once(t, dir, m);
	}
	check_folder_once(t, "/", m);
}

static void check_path(struct conftrust *t, const char *path, struct conf_mistakes *m)
{
	char real[PATH_MAX];

	if (realpath(path, real))
		check_above(t, real, m);
	if (path[0] == '/')
		check_above(t, path, m);
}

struct conftrust *conftrust_new(void)
{
	struct conftrust *t = mem_alloc(sizeof(*t));

	t->seen = map_new();
	return t;
}

void conftrust_free(struct conftrust *t)
{
	if (!t)
		return;
	map_free(t->seen);
	free(t);
}

void conftrust_check(struct conftrust *t, const char *path, const struct stat *st, struct conf_mistakes *m)
{
	judge(path, st, false, m);
	check_path(t, path, m);
}

void conftrust_check_folder(
	struct conftrust *t, const char *path, const struct stat *st, struct conf_mistakes *m)
{
	map_put(t->seen, path, strlen(path), t);
	judge(path, st, false, m);
	check_path(t, path, m);
}
