/*
 * inotify: the mask leaves out what would flood the queue (MODIFY, ATTRIB: stat and lease answer the same
 * question when the file is due) and what our own reading would cause (OPEN, ACCESS, CLOSE_NOWRITE).
 * Directories are watched through their open descriptor (/proc/self/fd/N), so that what was opened beneath
 * the root is what is watched, whatever happens to the names meanwhile.
 */
#include "sense/inotify.h"

#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/trace.h"

#define INOTIFY_MASK                                                                                         \
	(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |             \
		IN_MOVE_SELF | IN_EXCL_UNLINK | IN_ONLYDIR)
#define INOTIFY_AGAIN_US US_PER_S
#define INOTIFY_READ_BYTES (64 * 1024)
#define INOTIFY_DRAIN_READS 32 /* more than the default queue of 16384 events of short names */

struct inotify {
	struct loop *loop;
	int fd;		  /* -1: none is left */
	int64_t again_us; /* not to be tried before */
	bool paused;
	struct loop_io *io;
	inotify_fn fn;
	void *arg;
	bool freed; /* inotify_free came from inside fn */
	bool reading;
	_Alignas(struct inotify_event) char bytes[INOTIFY_READ_BYTES];
};

static const struct {
	uint32_t bit;
	enum inotify_kind kind;
	const char *name; /* as inotify(7) has it */
} inotify_kinds[] = {
	{IN_Q_OVERFLOW, INOTIFY_OVERFLOW, "IN_Q_OVERFLOW"}, /* before any look-up of the number: it is -1 */
	{IN_IGNORED, INOTIFY_IGNORED, "IN_IGNORED"},
	{IN_UNMOUNT, INOTIFY_SELF_GONE, "IN_UNMOUNT"},
	{IN_DELETE_SELF, INOTIFY_SELF_GONE, "IN_DELETE_SELF"},
	{IN_MOVE_SELF, INOTIFY_SELF_GONE, "IN_MOVE_SELF"},
	{IN_CREATE, INOTIFY_CREATED, "IN_CREATE"},
	{IN_CLOSE_WRITE, INOTIFY_CLOSED, "IN_CLOSE_WRITE"},
	{IN_MOVED_FROM, INOTIFY_MOVED_FROM, "IN_MOVED_FROM"},
	{IN_MOVED_TO, INOTIFY_MOVED_TO, "IN_MOVED_TO"},
	{IN_DELETE, INOTIFY_DELETED, "IN_DELETE"},
};

static void inotify_tell(struct inotify *in, const struct inotify_event *ev)
{
	struct inotify_note note = {
		.wd = ev->wd,
		.is_directory = (ev->mask & IN_ISDIR) != 0,
		.cookie = ev->cookie,
		.name = ev->len > 0 ? ev->name : "",
	};

	for (size_t i = 0; i < ARRAY_SIZE(inotify_kinds); i++) {
		if (!(ev->mask & inotify_kinds[i].bit))
			continue;
		trace(TRACE_INOTIFY, "%s of watch %d%s: %s, cookie %u", inotify_kinds[i].name, ev->wd,
			note.is_directory ? ", a directory" : "", note.name, (unsigned)ev->cookie);
		note.kind = inotify_kinds[i].kind;
		in->fn(&note, in->arg);
		return;
	}
}

/* One read(2) and its events. Returns bytes read, 0 when the queue is empty, or -errno. */
static ssize_t inotify_read_once(struct inotify *in)
{
	ssize_t n;

	do
		n = read(in->fd, in->bytes, sizeof(in->bytes));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (ssize_t at = 0; at < n && !in->freed;) {
		const struct inotify_event *ev = (const void *)(in->bytes + at);

		inotify_tell(in, ev);
		at += (ssize_t)(sizeof(*ev) + ev->len);
	}
	return n;
}

int inotify_drain(struct inotify *in)
{
	ssize_t n = 1;

	if (in->reading || in->paused || in->fd < 0)
		return 0;
	in->reading = true;
	for (int i = 0; i < INOTIFY_DRAIN_READS && n > 0 && !in->freed && !in->paused; i++)
		n = inotify_read_once(in);
	in->reading = false;
	if (in->freed)
		free(in);
	return n < 0 ? (int)n : 0;
}

static void inotify_on_io(struct loop_io *io, uint32_t events, void *arg)
{
	(void)io;
	(void)events;
	(void)inotify_drain(arg);
}

static int inotify_start(struct inotify *in, struct err *err)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot make an inotify instance");
	in->io = loop_io_add(in->loop, fd, in->paused ? 0 : LOOP_IN, inotify_on_io, in, err);
	if (!in->io) {
		close(fd);
		return -err->code;
	}
	in->fd = fd;
	return 0;
}

static bool inotify_is_shortage(int code)
{
	return code == EMFILE || code == ENFILE;
}

struct inotify *inotify_new(struct loop *loop, inotify_fn fn, void *arg, struct err *err)
{
	struct inotify *in = mem_alloc(sizeof(*in));
	int rc;

	in->loop = loop;
	in->fn = fn;
	in->arg = arg;
	in->fd = -1;
	rc = inotify_start(in, err);
	if (rc == 0 || inotify_is_shortage(-rc))
		return in;
	free(in);
	return NULL;
}

void inotify_free(struct inotify *in)
{
	if (!in)
		return;
	loop_io_remove(in->io);
	fs_close(&in->fd);
	in->freed = true;
	if (!in->reading)
		free(in);
}

int inotify_watch(struct inotify *in, int fd)
{
	struct err err = ERR_INIT;
	char path[32];
	int wd;

	if (in->fd < 0 && clock_mono_us() < in->again_us)
		return -EMFILE;
	if (in->fd < 0) {
		in->again_us = clock_mono_us() + INOTIFY_AGAIN_US;
		wd = inotify_start(in, &err);
		if (wd < 0)
			return wd;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	wd = inotify_add_watch(in->fd, path, INOTIFY_MASK);
	return wd < 0 ? -errno : wd;
}

void inotify_unwatch(struct inotify *in, int wd)
{
	if (in->fd >= 0)
		(void)inotify_rm_watch(in->fd, wd); /* gone already: nothing to do */
}

void inotify_pause(struct inotify *in, bool pause)
{
	in->paused = pause;
	if (in->io)
		(void)loop_io_set(in->io, pause ? 0 : LOOP_IN);
}
