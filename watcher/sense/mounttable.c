/*
 * mounttable: the table may be long and change often (containers), so a change is looked at after a moment,
 * and not more than once a second; and only a change at or below a root makes a listing.
 */
#include "sense/mounttable.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "sense/roots.h"
#include "sense/walk.h"

#define TABLE "/proc/self/mountinfo"
#define TABLE_BYTES (4u * 1024 * 1024) /* of a host with very many containers */
#define FDINFO_BYTES 4096
#define MOMENT_US (20 * US_PER_MS)
#define APART_US US_PER_S

struct mounttable {
	struct sense *s;
	int fd;
	struct loop_io *io;
	struct loop_timer *timer;
	int64_t looked_us;
	uint64_t below;
};

static uint64_t sum_below(const struct sense *s)
{
	CLEANUP_BUF struct buf text = BUF_INIT(TABLE_BYTES);
	uint64_t sum = 0;

	if (fs_read_file(TABLE, TABLE_BYTES - 1, &text, NULL) < 0)
		return 0;
	for (size_t i = 0; i < s->roots_n; i++)
		if (s->roots[i].dir && s->roots[i].resolved.len > 0)
			sum += mountinfo_below(buf_str(&text), buf_str(&s->roots[i].resolved));
	return sum;
}

static void note_away(struct tree_dir *d, void *arg)
{
	*(bool *)arg |= d->away;
}

/* Numbers of mounts are used again: one that goes and comes quickly may look as before. */
static bool is_any_away(const struct sense *s)
{
	bool any = false;

	tree_each(s->tree, note_away, &any);
	return any;
}

static void on_moment(struct loop_timer *timer, void *arg)
{
	struct mounttable *t = arg;
	uint64_t below;

	(void)timer;
	t->looked_us = clock_mono_us();
	roots_look(t->s->finder);
	below = sum_below(t->s);
	trace(TRACE_MOUNTS, "the table of mounts has changed, %s",
		below != t->below ? "at or below a directory of ours" : "elsewhere");
	if (below != t->below || is_any_away(t->s))
		walk_pass(t->s->walk, "mount");
	t->below = below;
}

static void on_change(struct loop_io *io, uint32_t events, void *arg)
{
	struct mounttable *t = arg;
	int64_t at_us = clock_mono_us() + MOMENT_US;

	(void)io;
	(void)events;
	if (loop_timer_is_set(t->timer))
		return;
	loop_timer_set(t->timer, at_us > t->looked_us + APART_US ? at_us : t->looked_us + APART_US);
}

struct mounttable *mounttable_new(struct sense *s)
{
	struct mounttable *t = mem_alloc(sizeof(*t));
	struct err err = ERR_INIT;

	t->s = s;
	t->looked_us = INT64_MIN / 2;
	t->timer = loop_timer_add(s->loop, on_moment, t);
	t->fd = open(TABLE, O_RDONLY | O_CLOEXEC);
	if (t->fd >= 0)
		t->io = loop_io_add(s->loop, t->fd, LOOP_PRI, on_change, t, &err);
	if (!t->io)
		log_warning("cannot watch " TABLE
			    " (%s): that a mount comes or goes is seen by listings only",
			t->fd < 0 ? strerror(errno) : err.text);
	return t;
}

void mounttable_free(struct mounttable *t)
{
	if (!t)
		return;
	loop_io_remove(t->io);
	loop_timer_remove(t->timer);
	fs_close(&t->fd);
	free(t);
}

void mounttable_begin(struct mounttable *t)
{
	t->below = sum_below(t->s);
}

/* The number of the mount that fd is on, from /proc/self/fdinfo (proc_pid_fdinfo(5)); -1: not told. */
static int64_t mount_of(int fd)
{
	CLEANUP_BUF struct buf text = BUF_INIT(FDINFO_BYTES);
	char path[48], *line, *end;
	int64_t id;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (fs_read_file(path, FDINFO_BYTES - 1, &text, NULL) < 0)
		return -1;
	line = strstr(buf_str(&text), "mnt_id:\t");
	if (!line)
		return -1;
	line += strlen("mnt_id:\t");
	end = strchrnul(line, '\n');
	*end = '\0';
	return num_parse_i64(line, &id) < 0 ? -1 : id;
}

void mounttable_place(int fd, char ret[MOUNTINFO_PLACE_BYTES], struct buf *resolved)
{
	CLEANUP_BUF struct buf text = BUF_INIT(TABLE_BYTES);
	char link[48], path[WIRE_PATH_BYTES];
	int64_t id = mount_of(fd);
	ssize_t n;

	ret[0] = '\0';
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return;
	path[n] = '\0';
	if (resolved) {
		buf_reset(resolved);
		(void)buf_adds(resolved, path);
	}
	if (id < 0 || fs_read_file(TABLE, TABLE_BYTES - 1, &text, NULL) < 0 ||
		!mountinfo_place(buf_str(&text), id, path, ret))
		ret[0] = '\0';
}
