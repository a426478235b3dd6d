/*
 * fs: files of our own (state, log, configuration) and the careful way into foreign folders.
 *
 * Every descriptor is CLOEXEC from birth.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

/* Opens rel beneath the directory dirfd without ever leaving it: openat2(RESOLVE_BENEATH |
 * RESOLVE_NO_MAGICLINKS and, unless follow, RESOLVE_NO_SYMLINKS), or where the kernel or a filter has no
 * openat2 (ENOSYS, EPERM) one openat with O_NOFOLLOW per path element (then a symbolic link is -ELOOP even
 * with follow). flags must not have O_CREAT or O_TMPFILE (-EINVAL) and get O_CLOEXEC | O_NOCTTY | O_NONBLOCK
 * (with O_PATH only the first) added. rel "" or "." is the directory itself; one that is absolute or has ".."
 * is -EXDEV, one with an empty element ("a//b", "a/") -EINVAL. -ELOOP: a link on the way, -EXDEV: a link that
 * leads out, -EAGAIN: renames on the way all the time, or a lease. Returns the descriptor or -errno. May
 * block on a hung mount. Source: openat2(2). */
int fs_open_beneath(int dirfd, const char *rel, int flags, bool follow);
/* For tests: use the openat walk even where openat2 works. */
void fs_force_openat(bool on);

/* 0 or -errno; EINTR and short writes are retried. */
int fs_write_all(int fd, const void *p, size_t n) MUST_CHECK;
/* Reads the whole file, at most max bytes (more, or more than b holds: -EFBIG), and adds it to b. On failure
 * b is as before. May block where the path is a pipe or on a hung mount. */
int fs_read_file(const char *path, size_t max, struct buf *b, struct err *err) MUST_CHECK;
/* The same from the descriptor's position to the end: 0, -EFBIG or -errno. */
int fs_read_fd(int fd, size_t max, struct buf *b) MUST_CHECK;
/* Like mkdir -p; new ones get exactly mode, whatever the umask is; those that are there stay as they are. */
int fs_mkdir_parents(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* As rename(2), but a name that is there is not replaced (-EEXIST). Where the file system cannot see to that
 * itself, somebody who makes the same name in the same moment loses. 0 or -errno */
int fs_rename_new(const char *from, const char *to) MUST_CHECK;
/* The directory that holds path: "." for a bare name, "/" for what is in the root; malloc'd, the caller
 * frees. */
char *fs_parent(const char *path);
/* fsync of the directory that holds path. */
int fs_sync_parent(const char *path, struct err *err) MUST_CHECK;
/* tmp beside path (".NAME.XXXXXX"), fsync, rename, fsync of the directory; the file has exactly mode. On
 * failure the old file is untouched, unless only the last fsync failed. */
int fs_replace_file(const char *path, const void *p, size_t n, mode_t mode, struct err *err) MUST_CHECK;
/* The same without any fsync, for what is written again anyway: nobody ever sees half of it, but a power cut
 * may leave it empty. */
int fs_swap_file(const char *path, const void *p, size_t n, mode_t mode, struct err *err) MUST_CHECK;
/* Joins with exactly one '/'; malloc'd, the caller frees. One of them may be "": then it is the other. */
char *fs_join(const char *a, const char *b);
/* Removes doubled and trailing slashes and "." elements of an absolute path; refuses ".." and relative ones
 * (-EINVAL). malloc'd in *ret. Looks at the text only. */
int fs_normalise(const char *path, char **ret, struct err *err) MUST_CHECK;
/* Part after the last '/' (borrowed). */
const char *fs_basename(const char *path);
/* Is it a path as a listing of a tree gives it: relative, of whole names, without "." and ".."? */
bool fs_is_relpath(const char *s);
/* Is `path` equal to or below `dir` (both normalised)? */
bool fs_is_beneath(const char *dir, const char *path);

void fs_close(int *fd); /* closes when >= 0 and sets -1; errno stays as it is */
static inline void fs_close_cleanup(int *fd)
{
	fs_close(fd);
}
#define CLEANUP_FD __attribute__((cleanup(fs_close_cleanup)))
/* The descriptor, which is somebody else's to close from now on. */
static inline int fs_hand_over(int *fd)
{
	int handed = *fd;

	*fd = -1;
	return handed;
}

#endif
