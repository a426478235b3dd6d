/*
 * roots: a root's descriptor is open for one round of the loop only; each time it is opened it must be the
 * directory that was opened first, and hold the sentinel. Else it is lost: its directories are forgotten here
 * (the ledger forgets nothing) and it is looked for by a timer, and when mounts come or go.
 *
 * Found again, or another directory at once in its place, it is watched by another process: what confines
 * this one stays with the old directory (confine/walls: opening the new one is denied, looking at it is not),
 * and so does what it remembers of its file system (device numbers are used again). The dispatcher then
 * decides whether the directory is the one that it knows (dispatch/baseline).
 */
#include "sense/roots.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"
#include "confine/walls.h"
#include "sense/mounttable.h"
#include "sense/poll.h"
#include "sense/probe.h"
#include "sense/walk.h"

#define ROOTS_RETRY_FIRST_US US_PER_S
#define ROOTS_RETRY_MOST_US (10 * US_PER_S)

struct roots {
	struct sense *s;
	struct loop_timer *timer;
	int64_t retry_us;
	bool list_again; /* something could not be opened for a shortage */
};

/* Inode numbers that are made up may be other ones tomorrow. */
static bool roots_is_other(const struct sense_root *r, const struct stat *st)
{
	bool numbered = r->mount && (r->mount->kind.inodes_stable || r->mount->kind.lists_inodes);

	return st->st_dev != r->dev || (numbered && st->st_ino != r->ino);
}

/* Is it the directory that is watched, with its sentinel? 0 or -errno */
static int roots_check_one(struct sense *s, const struct sense_root *r, int fd)
{
	struct probe_stat sentinel;
	struct stat st;
	int rc;

	wire_page_enter(s->page, "fstat", r->path);
	rc = r->dir && fstat(fd, &st) < 0 ? -errno : 0;
	wire_page_leave(s->page);
	if (rc < 0)
		return rc;
	if (r->dir && roots_is_other(r, &st))
		return -SENSE_ROOT_OTHER;
	if (!s->watch->sentinel)
		return 0;
	rc = probe_name(fd, s->watch->sentinel, s->page, &sentinel);
	return rc == -ENOENT || rc == -ENOTDIR ? -SENSE_ROOT_NO_SENTINEL : rc;
}

/* Does it lie outside of this process's walls? */
static bool roots_is_outside(struct sense *s, const struct sense_root *r)
{
	bool moved;

	wire_page_enter(s->page, "open", r->path);
	moved = walls_moved(s->walls, r->path);
	wire_page_leave(s->page);
	return moved;
}

/* It may not be opened; looking at it is never forbidden. Another one, or the one that is watched, which is
 * closed now? */
static int roots_denied(struct sense *s, const struct sense_root *r)
{
	struct stat st;
	bool other;

	wire_page_enter(s->page, "stat", r->path);
	other = r->dir && stat(r->path, &st) == 0 && roots_is_other(r, &st);
	wire_page_leave(s->page);
	return other && roots_is_outside(s, r) ? -SENSE_ROOT_OTHER : -EACCES;
}

int sense_root_fd(struct sense *s, size_t root)
{
	struct sense_root *r = &s->roots[root];
	int fd, rc;

	wire_page_set_base(s->page, r->path);
	if (r->fd >= 0)
		return r->fd;
	wire_page_enter(s->page, "open", r->path);
	fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY);
	wire_page_leave(s->page);
	if (fd < 0)
		return errno == EACCES ? roots_denied(s, r) : -errno;
	rc = roots_check_one(s, r, fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	r->fd = fd;
	return fd;
}

const char *sense_root_words(int code)
{
	return code == SENSE_ROOT_OTHER		? "another directory has taken its place"
	       : code == SENSE_ROOT_NO_SENTINEL ? "its sentinel is missing, so its mount is"
						: strerror(code);
}

void sense_roots_close(struct sense *s)
{
	for (size_t i = 0; i < s->roots_n; i++)
		fs_close(&s->roots[i].fd);
}

static void roots_retry(struct roots *f)
{
	if (!loop_timer_is_set(f->timer))
		loop_timer_set(f->timer, clock_mono_us() + f->retry_us);
}

int sense_root_try(struct sense *s, size_t root)
{
	int fd = sense_root_fd(s, root), copy, code = 0;
	DIR *dir;

	if (fd < 0)
		return fd;
	wire_page_enter(s->page, "getdents", s->roots[root].path);
	copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = copy < 0 ? NULL : fdopendir(copy);
	errno = dir ? 0 : errno;
	if (!dir || !readdir(dir))
		code = errno;
	if (dir)
		closedir(dir);
	else
		fs_close(&copy);
	wire_page_leave(s->page);
	return code ? -code : fd;
}

/* Is there something to be watched, by us or another process? */
static bool roots_is_there(struct sense *s, size_t root)
{
	int rc = sense_root_try(s, root);

	return rc >= 0 || rc == -SENSE_ROOT_OTHER || (rc == -EACCES && roots_is_outside(s, &s->roots[root]));
}

static void roots_forget(struct sense *s, struct sense_root *r)
{
	if (r->dir) {
		sense_drop_directory(s, r->dir);
		r->dir = NULL;
	}
	r->mount = NULL;
	fs_close(&r->fd);
	r->cut_short = true;
}

static void roots_anew(struct sense *s, const struct sense_root *r, const char *why)
{
	log_info("%s: %s; watching it anew", r->path, why);
	loop_stop(s->loop, WIRE_EXIT_AGAIN);
}

void sense_root_lost(struct sense *s, size_t root, const char *why)
{
	struct sense_root *r = &s->roots[root];

	roots_forget(s, r);
	if (!r->said_lost)
		sense_trouble(s, "lost", r->path, 0,
			"%s; nothing is forgotten, and it is looked for again every few seconds", why);
	r->said_lost = true;
	s->finder->retry_us = ROOTS_RETRY_FIRST_US;
	roots_retry(s->finder);
}

void sense_root_gone(struct sense *s, size_t root, const char *why)
{
	roots_forget(s, &s->roots[root]);
	if (roots_is_there(s, root))
		roots_anew(s, &s->roots[root], why);
	else
		sense_root_lost(s, root, why);
}

bool sense_is_shortage(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOMEM;
}

void sense_shortage(struct sense *s, size_t root, const char *path, int code)
{
	s->roots[root].cut_short = true;
	s->finder->list_again = true;
	if (!s->short_said) {
		s->finder->retry_us = ROOTS_RETRY_FIRST_US;
		sense_trouble(s, "degraded", path, 0,
			"cannot be opened: %s; nothing is forgotten, everything is listed again in some "
			"seconds%s",
			strerror(code),
			code == EMFILE	 ? "; raise LimitNOFILE= of the unit (ulimit -n)"
			: code == ENFILE ? "; raise the limit with: sysctl fs.file-max"
					 : "");
	}
	s->short_said = true;
	roots_retry(s->finder);
}

void sense_root_unopened(struct sense *s, size_t root, int code)
{
	if (sense_is_shortage(code) && s->roots[root].dir)
		sense_shortage(s, root, s->roots[root].path, code);
	else if (code == SENSE_ROOT_OTHER)
		sense_root_gone(s, root, sense_root_words(code));
	else
		sense_root_lost(s, root, sense_root_words(code));
}

/* The file systems of all directories, each once; inodes are stable when they are on all of them. */
void sense_say_hello(struct sense *s)
{
	CLEANUP_BUF struct buf names = BUF_INIT(1024), types = BUF_INIT(WIRE_MESSAGE_BYTES / 4),
			       places = BUF_INIT(WIRE_MESSAGE_BYTES / 2);
	const char *method = mounts_method(s->mounts);
	struct wire_hello m = {
		.method = s->limit_said && strcmp(method, "inotify") == 0 ? "inotify+poll" : method,
		.inodes_stable = 1,
		.pid = getpid(),
		.limits = probe_may_lease() ? ""
					    : "without CAP_LEASE it cannot be asked whether another user's "
					      "file is still open: one whose close was not seen is taken "
					      "after the longer quiet time, open or not"};

	for (size_t i = 0; i < s->roots_n; i++) {
		(void)buf_adds(&types, s->roots[i].mount ? s->roots[i].mount->kind.type : "");
		(void)buf_addc(&types, '\0');
		(void)buf_adds(&places, s->roots[i].dir ? s->roots[i].place : "");
		(void)buf_addc(&places, '\0');
	}
	for (size_t i = 0; i < mounts_count(s->mounts); i++)
		m.inodes_stable &= mounts_at(s->mounts, i)->kind.inodes_stable;
	mounts_add_names(s->mounts, &names);
	m.file_system = buf_str(&names);
	m.types = buf_str(&types);
	m.types_len = types.len;
	m.places = buf_str(&places); /* of very many directories with long names the first */
	m.places_len = places.len;
	outlet_send(s->outlet, WIRE_HELLO, &m);
}

/* What the user asked for cannot be had on this mount. */
static void roots_say_limits(struct sense *s, const struct mount *x, const char *path)
{
	if (!x->polled && x->kind.remote)
		sense_trouble(s, "degraded", path, 0,
			"this is on %s: what other hosts write is not announced here, and only seen by the "
			"listing every `rescan`, since method = inotify",
			x->kind.name);
	if (x->policy.need_close && (!x->kind.sees_writers || !x->notified))
		sense_trouble(s, "degraded", path, 0,
			"complete = close is a mistake here: on %s only closes by writers on this host are "
			"told; "
			"files of others stay waiting for ever; take complete = auto, quiet or marker",
			x->kind.name);
}

void sense_meet_mount(struct sense *s, struct tree_dir *d, int fd, const char *path)
{
	size_t before = mounts_count(s->mounts);

	d->mount = mounts_of_fd(s->mounts, fd, path, s->page);
	if (mounts_count(s->mounts) == before)
		return;
	trace(TRACE_MOUNTS, "%s is on %s, %s", path, d->mount->kind.name,
		d->mount->polled ? "which is polled" : "whose events are read");
	roots_say_limits(s, d->mount, path);
	sense_say_hello(s);
}

/* Opens a root at the start. True when it is there. */
static bool roots_open_one(struct roots *f, size_t root)
{
	struct sense *s = f->s;
	struct sense_root *r = &s->roots[root];
	int fd = sense_root_try(s, root);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		sense_root_lost(s, root, sense_root_words(fd < 0 ? -fd : errno));
		return false;
	}
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	mounttable_place(fd, r->place, &r->resolved);
	r->dir = tree_add_root(s->tree, root);
	r->mount = r->dir->mount = mounts_of_fd(s->mounts, fd, r->path, s->page);
	trace(TRACE_MOUNTS, "%s is on %s, %s (%s)", r->path, r->mount->kind.name,
		r->mount->polled ? "which is polled" : "whose events are read", r->place);
	roots_say_limits(s, r->mount, r->path);
	return true;
}

/* One that was missing is there. */
static void roots_on_back(struct sense *s, const struct sense_root *r)
{
	sense_trouble(s, "back", r->path, 0, "it is there again; listing it");
	roots_anew(s, r, "it is there again");
}

static bool roots_is_missing(const struct sense *s)
{
	bool missing = false;

	for (size_t i = 0; i < s->roots_n; i++)
		missing |= !s->roots[i].dir;
	return missing;
}

static void roots_on_timer(struct loop_timer *t, void *arg)
{
	struct roots *f = arg;
	struct sense *s = f->s;

	/* The first listing of the others is not broken off: then it could not be told any more what was
	 * there before. */
	for (size_t i = 0; i < s->roots_n && walk_has_listed(s->walk); i++) {
		if (!s->roots[i].dir && roots_is_there(s, i)) {
			roots_on_back(s, &s->roots[i]);
			return;
		}
	}
	f->retry_us = f->retry_us * 2 > ROOTS_RETRY_MOST_US ? ROOTS_RETRY_MOST_US : f->retry_us * 2;
	if (f->list_again)
		walk_pass(s->walk, "shortage");
	f->list_again = false;
	if (roots_is_missing(s))
		loop_timer_set(t, clock_mono_us() + f->retry_us);
}

void roots_open(struct roots *f)
{
	bool missing = false;

	for (size_t i = 0; i < f->s->roots_n; i++)
		missing |= !roots_open_one(f, i);
	sense_say_hello(f->s);
	mounttable_begin(f->s->mounttable);
	if (missing)
		roots_retry(f);
}

void roots_check(struct roots *f)
{
	for (size_t i = 0; i < f->s->roots_n; i++) {
		int fd = f->s->roots[i].dir ? sense_root_fd(f->s, i) : 0;

		if (fd < 0)
			sense_root_unopened(f->s, i, -fd);
	}
}

void roots_look(struct roots *f)
{
	roots_check(f);
	if (loop_timer_is_set(f->timer))
		loop_timer_set(f->timer, clock_mono_us());
}

struct roots *roots_new(struct sense *s)
{
	struct roots *f = mem_alloc(sizeof(*f));

	f->s = s;
	f->retry_us = ROOTS_RETRY_FIRST_US;
	f->timer = loop_timer_add(s->loop, roots_on_timer, f);
	return f;
}

void roots_free(struct roots *f)
{
	if (!f)
		return;
	loop_timer_remove(f->timer);
	free(f);
}
