/*
 * loglock: the file is never removed, since who waits for it may have it open already.
 */
#include "dispatch/loglock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

#define LOCK_MODE 0640
#define LOCK_WAIT_US (5 * US_PER_S)
#define LOCK_STEP_MS 50

void loglock_init(struct loglock *l)
{
	*l = (struct loglock){.fd = -1};
}

void loglock_done(struct loglock *l)
{
	fs_close(&l->fd);
}

static char *lock_path(const char *log)
{
	const char *name = fs_basename(log);

	return mem_printf("%.*s.%s.lock", (int)(name - log), log, name);
}

/* Is what we hold still what stands under the name? */
static bool is_there(const struct loglock *l, const char *path)
{
	struct stat held, named;

	return l->fd >= 0 && fstat(l->fd, &held) == 0 && lstat(path, &named) == 0 &&
	       held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static int go_without(struct loglock *l, const char *log, int code)
{
	if (!l->said)
		log_warning(
			"the event log %s cannot be locked: %s; going on without, no other service may write "
			"to it",
			log, strerror(code));
	l->said = true;
	return 0;
}

int loglock_hold(struct loglock *l, const char *log, struct err *err)
{
	CLEANUP_FREE char *path = lock_path(log);
	CLEANUP_FD int fd = -1;

	if (is_there(l, path))
		return 0;
	fs_close(&l->fd);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, LOCK_MODE);
	if (fd < 0)
		return errno == ENOENT ? 0 : go_without(l, log, errno); /* no folder: no log either */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return err_set(err, ERR_SYSTEM, EBUSY,
				"another brickwatch is writing to the event log %s", log);
		return go_without(l, log, errno);
	}
	l->fd = fs_hand_over(&fd);
	return 0;
}

int loglock_wait(struct loglock *l, const char *log, int keeper_fd, struct err *err)
{
	int64_t until_us = clock_mono_us() + LOCK_WAIT_US;
	struct pollfd keeper = {.fd = keeper_fd};
	int rc;

	while ((rc = loglock_hold(l, log, err)) == -EBUSY && clock_mono_us() < until_us)
		if (poll(&keeper, 1, LOCK_STEP_MS) > 0)
			return err_set(err, ERR_SYSTEM, EPIPE, "the keeper has gone away");
	return rc;
}
