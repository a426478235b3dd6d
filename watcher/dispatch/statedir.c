/*
 * statedir: the lock belongs to the open file, so it is gone with the process, however that ends.
 */
#include "dispatch/statedir.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/trace.h"
#include "core/fskind.h"

#define LOCK_FILE "lock"
#define LOCK_WAIT_US (5 * US_PER_S)
#define LOCK_STEP_MS 50

static int make_state_directory(const char *path, struct err *err)
{
	struct statfs fs;
	struct fskind kind;

	if (mkdir(path, 0700) == 0) {
		int rc = fs_sync_parent(path, err);

		if (rc < 0)
			return rc;
	} else if (errno != EEXIST) {
		return err_errno(err, errno, "cannot make the state directory %s", path);
	}
	if (statfs(path, &fs) < 0)
		return err_errno(err, errno, "cannot look at the state directory %s", path);
	fskind_decide((int64_t)fs.f_type, "", &kind);
	if (kind.remote)
		return err_set(err, ERR_CONF, EINVAL,
			"the state directory %s is on a network file system (%s); the ledger needs a local "
			"disk",
			path, kind.name);
	return 0;
}

/* Waits for the lock of the state directory, and looks for the end of the keeper meanwhile. */
static int take_lock(const char *directory, int keeper_fd, int *ret_fd, struct err *err)
{
	CLEANUP_FREE char *path = fs_join(directory, LOCK_FILE);
	int64_t until_us = clock_mono_us() + LOCK_WAIT_US;
	struct pollfd keeper = {.fd = keeper_fd};
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);

	if (fd < 0)
		return err_errno(err, errno, "cannot open the lock %s", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(err, errno, "cannot take the lock %s", path);
		if (clock_mono_us() >= until_us)
			return err_set(err, ERR_SYSTEM, EBUSY, "another brickwatch is using %s", directory);
		if (poll(&keeper, 1, LOCK_STEP_MS) > 0)
			return err_set(err, ERR_SYSTEM, EPIPE, "the keeper has gone away");
	}
	*ret_fd = fs_hand_over(&fd);
	return 0;
}

int statedir_open(const char *path, int keeper_fd, int *ret_lock_fd, struct err *err)
{
	int rc = make_state_directory(path, err);

	return rc < 0 ? rc : take_lock(path, keeper_fd, ret_lock_fd, err);
}

void statedir_make_log(const char *file)
{
	const char *slash = strrchr(file, '/');
	CLEANUP_FREE char *directory =
		slash && slash > file ? mem_strndup(file, (size_t)(slash - file)) : NULL;

	if (directory && mkdir(directory, 0750) < 0 && errno != EEXIST)
		trace(TRACE_PROCESS, "cannot make %s: %s", directory, strerror(errno));
}
