/*
 * markers: a map from a marker's absolute path to the files that wait for it (one marker may stand for many:
 * a
 * `_SUCCESS` for all that is in its directory). A waiting file is due at no time; it is scheduled when its
 * marker is seen. Nothing is found by asking for a name on a polled mount, where "there is no such file" may
 * come from the kernel's memory: the listing must have shown it.
 */
#include "sense/markers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "confine/walls.h"
#include "core/cadence.h"
#include "core/template.h"
#include "sense/judge.h"
#include "sense/roster.h"
#include "sense/walk.h"

#define MARKERS_UNSURE_US                                                                                    \
	US_PER_S /* a marker stays the same so long, where nobody can tell whether it is open */
#define MARKERS_PLACES_MAX 4096 /* directories outside the watch that are listed for markers */

/* A directory outside of the watch. */
struct markers_place {
	struct list in;
	char *path;
	struct roster *roster;
	int code; /* why it could not be listed, or 0 */
};

struct markers {
	struct sense *s;
	struct map *waiting; /* marker's path -> unsettled_file.marker_next … */
	struct map *places;  /* path -> markers_place */
	struct list place_list;
	struct loop_timer *timer;
};

static struct unsettled_file *markers_waiting(const struct markers *m, const char *path)
{
	return map_get(m->waiting, path, strlen(path));
}

static void markers_wait(struct markers *m, struct unsettled_file *f, const char *path)
{
	if (f->marker && strcmp(f->marker, path) == 0)
		return;
	markers_forget(m, f);
	f->marker = mem_strdup(path);
	f->marker_next = map_put(m->waiting, path, strlen(path), f);
}

void markers_forget(struct markers *m, struct unsettled_file *f)
{
	struct unsettled_file *first, **at;

	if (!f->marker)
		return;
	first = markers_waiting(m, f->marker);
	for (at = &first; *at && *at != f;)
		at = &(*at)->marker_next;
	BUG_ON(!*at);
	*at = f->marker_next;
	f->marker_next = NULL;
	if (first)
		(void)map_put(m->waiting, f->marker, strlen(f->marker), first);
	else
		(void)map_remove(m->waiting, f->marker, strlen(f->marker));
	free(f->marker);
	f->marker = NULL;
	f->marker_met = false;
}

/* A listing or an event shows this path: who waits for it looks. */
static void markers_met(struct markers *m, const char *path)
{
	for (struct unsettled_file *f = markers_waiting(m, path); f; f = f->marker_next) {
		f->marker_met = true;
		if (!f->marker_idle)
			continue; /* it is looked at anyway */
		f->marker_idle = false;
		f->settle.due_us = clock_mono_us();
		judge_schedule(m->s->judge, f);
	}
}

void markers_seen(struct markers *m, const struct tree_dir *d, const char *name)
{
	CLEANUP_BUF struct buf relpath = BUF_INIT(2 * WIRE_PATH_BYTES), path = BUF_INIT(2 * WIRE_PATH_BYTES);

	if (map_count(m->waiting) == 0)
		return;
	tree_path_of(d, name, &relpath);
	sense_absolute(m->s, d->root, buf_str(&relpath), &path);
	if (!path.failed)
		markers_met(m, buf_str(&path));
}

/* ---- where it is */

int markers_add_path(
	const struct sense *s, size_t root, const char *relpath, const struct probe_stat *st, struct buf *b)
{
	CLEANUP_BUF struct buf path = BUF_INIT(2 * WIRE_PATH_BYTES), text = BUF_INIT(2 * WIRE_PATH_BYTES);
	CLEANUP_FREE char *whole = NULL, *normal = NULL;
	const char *template = s->watch->marker;
	struct template_facts facts = {.relpath = relpath,
		.size = st->look.size,
		.mtime_ns = st->look.mtime_ns,
		.watch = s->watch->name};
	struct err err = ERR_INIT;
	const char *slash;

	sense_absolute(s, root, relpath, &path);
	facts.path = buf_str(&path);
	if (path.failed || template_expand(template, &facts, &text, &err) < 0)
		return -EINVAL;
	slash = strrchr(facts.path, '/');
	if (buf_str(&text)[0] == '/')
		whole = mem_strdup(buf_str(&text));
	else if (strncmp(template, "${relpath}", strlen("${relpath}")) == 0)
		whole = fs_join(s->roots[root].path, buf_str(&text));
	else
		whole = mem_printf("%.*s/%s", (int)(slash - facts.path), facts.path, buf_str(&text));
	if (fs_normalise(whole, &normal, &err) < 0 || strlen(normal) >= WIRE_PATH_BYTES)
		return -EINVAL;
	return buf_adds(b, normal) < 0 ? -EINVAL : 0;
}

/* The watched directory that holds path; NULL with *ret_root -1: it is below none, else that it is not
 * entered. */
static const struct tree_dir *markers_directory(const struct markers *m, const char *path, ssize_t *ret_root)
{
	const struct sense *s = m->s;
	size_t best = 0;
	const char *rel, *slash;

	*ret_root = -1;
	for (size_t i = 0; i < s->roots_n; i++) {
		size_t n = strlen(s->roots[i].path);

		if (!fs_is_beneath(s->roots[i].path, path) || (*ret_root >= 0 && n <= best))
			continue;
		best = n;
		*ret_root = (ssize_t)i;
	}
	if (*ret_root < 0 || !s->roots[*ret_root].dir)
		return NULL;
	rel = path + best + (path[best] == '/');
	slash = strrchr(rel, '/');
	return tree_resolve(s->tree, s->roots[*ret_root].dir, rel, slash ? (size_t)(slash - rel) : 0);
}

/* ---- directories outside of the watch */

static void markers_place_free(struct markers *m, struct markers_place *p)
{
	(void)map_remove(m->places, p->path, strlen(p->path));
	list_remove(&p->in);
	roster_free(p->roster);
	free(p->path);
	free(p);
}

/* Closed to us, or only outside of this process's walls, as another directory than there was? The first
 * listing is not broken off. */
static void markers_denied(struct markers *m)
{
	const char *path = walk_has_listed(m->s->walk) ? walls_first_moved(m->s->walls, NULL) : NULL;

	if (!path)
		return;
	log_info("%s leads elsewhere than at the start; looking for markers anew", path);
	loop_stop(m->s->loop, WIRE_EXIT_AGAIN);
}

/* Lists it; names of markers that somebody waits for are met. */
static void markers_list_place(struct markers *m, struct markers_place *p)
{
	CLEANUP_BUF struct buf path = BUF_INIT(2 * WIRE_PATH_BYTES);
	struct dirent *e;
	DIR *dir;

	wire_page_enter(m->s->page, "getdents", p->path);
	errno = 0;
	dir = opendir(p->path);
	roster_begin(p->roster);
	while (dir && (errno = 0, e = readdir(dir))) {
		roster_add_mark(p->roster, roster_id(e->d_name, 0));
		buf_reset(&path);
		(void)buf_addf(&path, "%s/%s", strcmp(p->path, "/") == 0 ? "" : p->path, e->d_name);
		if (!path.failed)
			markers_met(m, buf_str(&path));
	}
	p->code = errno;
	if (p->code == EACCES)
		markers_denied(m);
	if (p->code == 0)
		roster_end(p->roster);
	if (dir)
		closedir(dir);
	wire_page_leave(m->s->page);
}

/* NULL: too many. */
static struct markers_place *markers_place(struct markers *m, const char *marker)
{
	const char *slash = strrchr(marker, '/');
	CLEANUP_FREE char *path =
		slash == marker ? mem_strdup("/") : mem_strndup(marker, (size_t)(slash - marker));
	struct markers_place *p = map_get(m->places, path, strlen(path));

	if (p || map_count(m->places) >= MARKERS_PLACES_MAX)
		return p;
	p = mem_alloc(sizeof(*p));
	p->path = mem_strdup(path);
	p->roster = roster_new();
	list_init(&p->in);
	list_add_tail(&m->place_list, &p->in);
	(void)map_put(m->places, path, strlen(path), p);
	markers_list_place(m, p);
	if (!loop_timer_is_set(m->timer))
		loop_timer_set(m->timer, clock_mono_us() + m->s->watch->poll_interval_us);
	return p;
}

/* Those for which nobody waits any more are forgotten, so that the next who waits there lists anew. */
static void markers_on_timer(struct loop_timer *t, void *arg)
{
	struct markers *m = arg;
	int64_t began_us = clock_mono_us();

	LIST_FOREACH_SAFE (it, &m->place_list) {
		struct markers_place *p = LIST_OF(it, struct markers_place, in);

		if (map_count(m->waiting) == 0)
			markers_place_free(m, p);
		else
			markers_list_place(m, p);
	}
	if (!list_is_empty(&m->place_list))
		loop_timer_set(t, clock_mono_us() + cadence_pause_us(m->s->watch->poll_interval_us,
							    clock_mono_us() - began_us, 0));
}

/* ---- is it there? */

/* Does a listing show it, or may it be asked for by name? */
static bool markers_is_shown(struct markers *m, const struct unsettled_file *f, const char *path,
	const struct mount **ret, struct buf *lacks)
{
	const char *name = strrchr(path, '/') + 1;
	ssize_t root;
	const struct tree_dir *d = markers_directory(m, path, &root);
	struct markers_place *p;

	*ret = d ? d->mount : NULL;
	if (root >= 0)
		return d && (!d->roster || f->marker_met || roster_has_mark(d->roster, roster_id(name, 0)));
	p = markers_place(m, path);
	if (!p)
		(void)buf_adds(lacks, "(too many directories to look for markers in) ");
	else if (p->code)
		(void)buf_addf(lacks, "(%s cannot be listed: %s) ", p->path, strerror(p->code));
	return p && roster_has_mark(p->roster, roster_id(name, 0));
}

/* Has somebody the marker open for writing? Where nobody has, *ret is how it is since. */
static enum settle_lease markers_lease(struct markers *m, const char *path, struct probe_stat *ret)
{
	enum settle_lease lease;
	ssize_t root;
	const struct tree_dir *d = markers_directory(m, path, &root);
	size_t skip = d ? strlen(m->s->roots[root].path) : 0;
	int fd, root_fd = d ? sense_root_fd(m->s, (size_t)root) : -1;

	if (root_fd < 0 || !d->mount || !d->mount->kind.sees_writers)
		return SETTLE_LEASE_UNKNOWN;
	fd = probe_open(root_fd, path + skip + (path[skip] == '/'), m->s->page);
	if (fd < 0)
		return SETTLE_LEASE_UNKNOWN;
	lease = probe_lease(fd, true);
	if (lease == SETTLE_LEASE_FREE && probe_fd(fd, path, m->s->page, ret) < 0)
		lease = SETTLE_LEASE_UNKNOWN;
	close(fd);
	return lease;
}

/* Has its writer closed it, or does it stay as it is? One that counted while it was being written would be
 * another one when it is finished, and count for the next version, too. */
static bool markers_is_whole(struct markers *m, struct unsettled_file *f, const struct marker *now,
	const char *path, int64_t *ret_again_us)
{
	const struct settle_policy *policy = sense_policy(m->s, f->dir);
	int64_t now_us = clock_mono_us(), needed_us = MARKERS_UNSURE_US;
	struct probe_stat closed;
	enum settle_lease lease = markers_lease(m, path, &closed);

	if (lease == SETTLE_LEASE_FREE) { /* it may have been closed after it was looked at */
		*ret_again_us = now_us;
		return closed.look.mtime_ns == now->mtime_ns &&
		       (now->ino == MARKER_NO_INODE || (int64_t)closed.look.ino == now->ino);
	}
	if (needed_us < policy->apart_us)
		needed_us = policy->apart_us;
	if (lease == SETTLE_LEASE_OPEN) {
		f->marker_now = (struct marker){0};
		*ret_again_us = now_us + needed_us;
		return false;
	}
	if (!marker_is_known(&f->marker_now) || !marker_is_same(now, &f->marker_now)) {
		f->marker_now = *now;
		f->marker_since_us = now_us;
	}
	*ret_again_us = f->marker_since_us + needed_us;
	return now_us >= *ret_again_us;
}

bool markers_allow(struct markers *m, struct unsettled_file *f, const char *relpath,
	const struct probe_stat *st, struct marker *ret, int64_t *ret_again_us, struct buf *lacks)
{
	CLEANUP_BUF struct buf path = BUF_INIT(2 * WIRE_PATH_BYTES);
	const struct mount *on;
	struct probe_stat marker;
	struct marker now;

	*ret_again_us = 0;
	if (markers_add_path(m->s, f->dir->root, relpath, st, &path) < 0) {
		(void)buf_adds(lacks, "a marker whose path cannot be");
		return false;
	}
	markers_wait(m, f, buf_str(&path)); /* before it is asked for, so that no event is missed */
	if (!markers_is_shown(m, f, buf_str(&path), &on, lacks) ||
		probe_name_now(AT_FDCWD, buf_str(&path), m->s->page, &marker) < 0 || !marker.is_regular) {
		f->marker_met = false;
		(void)buf_addf(lacks, "its marker %s", buf_str(&path));
		return false;
	}
	f->marker_met = false;
	now.mtime_ns = marker.look.mtime_ns;
	now.ino = on && (on->kind.inodes_stable || on->kind.lists_inodes) ? (int64_t)marker.look.ino
									  : MARKER_NO_INODE;
	if (f->has_used && !marker_counts(&now, &f->used, st->look.mtime_ns)) {
		(void)buf_addf(lacks, "a new marker %s (the one there counted for an earlier version)",
			buf_str(&path));
		return false;
	}
	if (!markers_is_whole(m, f, &now, buf_str(&path), ret_again_us)) {
		(void)buf_addf(lacks, "its marker %s to stay as it is", buf_str(&path));
		return false;
	}
	*ret = now;
	return true;
}

/* The directory of a root's path below it, or NULL */
static struct tree_dir *markers_find(
	const struct sense *s, const struct wire_stale *stale, const char **ret_name)
{
	const char *slash = strrchr(stale->relpath, '/');

	*ret_name = slash ? slash + 1 : stale->relpath;
	for (size_t i = 0; i < s->roots_n; i++)
		if (strcmp(s->roots[i].path, stale->root) == 0 && s->roots[i].dir)
			return tree_resolve(s->tree, s->roots[i].dir, stale->relpath,
				slash ? (size_t)(slash - stale->relpath) : 0);
	return NULL;
}

void markers_used(struct markers *m, const struct wire_stale *stale)
{
	struct sense *s = m->s;
	const char *name;
	struct tree_dir *d = markers_find(s, stale, &name);
	struct unsettled_file *f = d && *name ? unsettled_find(s->unsettled, d, name) : NULL;

	if (!d || !*name)
		return;
	if (!f) {
		f = unsettled_add(s->unsettled, d, name);
		f->first_seen_us = stale->first_seen_us;
		settle_begin(&f->settle, sense_policy(s, d), SETTLE_LISTED, clock_mono_us());
		f->settle.by_event = !stale->by_listing;
		judge_schedule(s->judge, f);
	}
	f->used = (struct marker){.mtime_ns = stale->marker_mtime_ns, .ino = stale->marker_ino};
	f->has_used = true;
}

struct markers *markers_new(struct sense *s)
{
	struct markers *m = mem_alloc(sizeof(*m));

	m->s = s;
	m->waiting = map_new();
	m->places = map_new();
	list_init(&m->place_list);
	m->timer = loop_timer_add(s->loop, markers_on_timer, m);
	return m;
}

void markers_free(struct markers *m)
{
	if (!m)
		return;
	loop_timer_remove(m->timer);
	LIST_FOREACH_SAFE (it, &m->place_list)
		markers_place_free(m, LIST_OF(it, struct markers_place, in));
	map_free(m->waiting);
	map_free(m->places);
	free(m);
}
