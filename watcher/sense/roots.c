/*
 * roots: a root's descriptor is open for one round of the loop only; each time it is opened it must be the
 * directory that was opened first, else it is lost: its directories are forgotten here (the ledger forgets
 * nothing) and it is looked for by a timer.
 */
#include "sense/roots.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "sense/poll.h"
#include "sense/probe.h"
#include "sense/walk.h"

#define ROOTS_RETRY_FIRST_US US_PER_S
#define ROOTS_RETRY_MOST_US (10 * US_PER_S)

struct roots {
	struct sense *s;
	struct loop_timer *timer;
	int64_t retry_us;
};

/* Inode numbers that are made up may be other ones tomorrow. */
static bool roots_is_other(const struct sense_root *r, const struct stat *st)
{
	bool numbered = r->mount && (r->mount->kind.inodes_stable || r->mount->kind.lists_inodes);

	return st->st_dev != r->dev || (numbered && st->st_ino != r->ino);
}

int sense_root_fd(struct sense *s, size_t root)
{
	struct sense_root *r = &s->roots[root];
	struct stat st;
	int fd;

	if (r->fd >= 0)
		return r->fd;
	wire_page_enter(s->page, "open", r->path);
	fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY);
	wire_page_leave(s->page);
	if (fd < 0)
		return -errno;
	if (r->dir && (fstat(fd, &st) < 0 || roots_is_other(r, &st))) {
		close(fd);
		return -ESTALE;
	}
	r->fd = fd;
	return fd;
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

void sense_root_unopened(struct sense *s, size_t root, int code)
{
	sense_root_lost(s, root, code == ESTALE ? "another directory has taken its place" : strerror(code));
}

void sense_root_lost(struct sense *s, size_t root, const char *why)
{
	struct sense_root *r = &s->roots[root];

	if (r->dir) {
		sense_drop_directory(s, r->dir);
		r->dir = NULL;
	}
	r->mount = NULL;
	fs_close(&r->fd);
	r->cut_short = true;
	if (!r->said_lost)
		sense_trouble(s, "lost", r->path, 0,
			"%s; nothing is forgotten, and it is looked for again every few seconds", why);
	r->said_lost = true;
	s->finder->retry_us = ROOTS_RETRY_FIRST_US;
	roots_retry(s->finder);
}

/* The file systems of all directories, each once; inodes are stable when they are on all of them. */
void sense_say_hello(struct sense *s)
{
	CLEANUP_BUF struct buf names = BUF_INIT(1024), types = BUF_INIT(WIRE_MESSAGE_BYTES / 2);
	struct wire_hello m = {.method = mounts_method(s->mounts),
		.inodes_stable = 1,
		.pid = getpid(),
		.limits = probe_may_lease() ? ""
					    : "without CAP_LEASE it cannot be asked whether another user's "
					      "file is still open: "
					      "what is renamed or linked in from elsewhere waits longer"};

	for (size_t i = 0; i < s->roots_n; i++) {
		(void)buf_adds(&types, s->roots[i].mount ? s->roots[i].mount->kind.type : "");
		(void)buf_addc(&types, '\0');
	}
	for (size_t i = 0; i < mounts_count(s->mounts); i++)
		m.inodes_stable &= mounts_at(s->mounts, i)->kind.inodes_stable;
	mounts_add_names(s->mounts, &names);
	m.file_system = buf_str(&names);
	m.types = buf_str(&types);
	m.types_len = types.len;
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
	roots_say_limits(s, d->mount, path);
	sense_say_hello(s);
}

/* Opens a root that is missing. True when it is there. */
static bool roots_open_one(struct roots *f, size_t root)
{
	struct sense *s = f->s;
	struct sense_root *r = &s->roots[root];
	int fd = sense_root_fd(s, root);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		sense_root_lost(s, root, fd < 0 ? strerror(-fd) : strerror(errno));
		return false;
	}
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	r->dir = tree_add_root(s->tree, root);
	r->mount = r->dir->mount = mounts_of_fd(s->mounts, fd, r->path, s->page);
	roots_say_limits(s, r->mount, r->path);
	if (r->said_lost)
		sense_trouble(s, "back", r->path, 0, "it is there again; listing it");
	r->said_lost = false;
	return true;
}

static void roots_on_timer(struct loop_timer *t, void *arg)
{
	struct roots *f = arg;
	bool back = false, missing = false;

	(void)t;
	for (size_t i = 0; i < f->s->roots_n; i++) {
		if (f->s->roots[i].dir)
			continue;
		if (roots_open_one(f, i))
			back = true;
		else
			missing = true;
	}
	f->retry_us = f->retry_us * 2 > ROOTS_RETRY_MOST_US ? ROOTS_RETRY_MOST_US : f->retry_us * 2;
	if (missing)
		loop_timer_set(f->timer, clock_mono_us() + f->retry_us);
	if (!back)
		return;
	sense_say_hello(f->s);
	walk_pass(f->s->walk, "back");
}

void roots_open(struct roots *f)
{
	bool missing = false;

	for (size_t i = 0; i < f->s->roots_n; i++)
		missing |= !roots_open_one(f, i);
	sense_say_hello(f->s);
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
