/*
 * Opening in a foreign folder: the kernel's own resolver under openat2(2) is the only one that cannot be
 * raced, so it is used wherever it exists. The substitute walks element by element and follows nothing. Both
 * refuse the same spellings of a path first, so that the answer does not depend on the kernel.
 *
 * Our own files are replaced by write, fsync, rename, fsync of the directory: after a crash the old or the
 * new one is there, whole.
 */
#define _GNU_SOURCE 1 /* O_PATH, O_TMPFILE */
#include "base/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/mem.h"

/* A rename somewhere on the way makes openat2 answer EAGAIN; so does a lease somebody holds, which no trying
 * helps. */
#define OPENAT2_TRIES 8
#define READ_CHUNK 16384

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

static bool force_openat;

/* Refuses what must never be in a relative path: a leading slash, empty elements, "..". */
static int check_relative(const char *rel)
{
	if (rel[0] == '/')
		return -EXDEV;
	while (*rel != '\0') {
		size_t n = strcspn(rel, "/");

		if (n == 0)
			return -EINVAL;
		if (n == 2 && rel[0] == '.' && rel[1] == '.')
			return -EXDEV;
		rel += n;
		if (*rel == '/' && *++rel == '\0')
			return -EINVAL;
	}
	return 0;
}

static int open_by_openat2(int dirfd, const char *rel, int flags, bool follow)
{
	struct open_how how = {
		.flags = (unsigned)flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (follow ? 0 : RESOLVE_NO_SYMLINKS),
	};

	for (int i = 0; i < OPENAT2_TRIES;) {
		long fd = syscall(SYS_openat2, dirfd, rel, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		i++;
	}
	return -EAGAIN;
}

static int retry_openat(int dirfd, const char *name, int flags)
{
	int fd;

	do
		fd = openat(dirfd, name, flags);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static bool is_symlink(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* One element, no link followed. O_NOFOLLOW alone opens the link itself under O_PATH, and says ENOTDIR with
 * O_DIRECTORY. */
static int open_element(int dirfd, const char *name, int flags)
{
	int fd = retry_openat(dirfd, name, flags | O_NOFOLLOW);
	struct stat st;

	if (fd == -ENOTDIR && is_symlink(dirfd, name))
		return -ELOOP;
	if (fd < 0 || !(flags & O_PATH) || (flags & O_NOFOLLOW))
		return fd;
	if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode)) {
		fs_close(&fd);
		return -ELOOP;
	}
	return fd;
}

static int open_by_walk(int dirfd, const char *rel, int flags)
{
	CLEANUP_FD int own = -1; /* the directory reached so far, when it is not dirfd */
	int at = dirfd;

	for (;;) {
		size_t n = strcspn(rel, "/");
		char name[NAME_MAX + 1];

		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, rel, n);
		name[n] = '\0';
		if (rel[n] == '\0')
			return open_element(at, name, flags);

		int next = open_element(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (next < 0)
			return next;
		fs_close(&own);
		at = own = next;
		rel += n + 1;
	}
}

int fs_open_beneath(int dirfd, const char *rel, int flags, bool follow)
{
	int r = check_relative(rel);

	if (r < 0)
		return r;
	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		return -EINVAL;
	if (*rel == '\0')
		rel = ".";
	flags |= O_CLOEXEC;
	if (!(flags & O_PATH)) /* openat2 refuses what has no meaning there */
		flags |= O_NOCTTY | O_NONBLOCK;
	if (!force_openat) {
		r = open_by_openat2(dirfd, rel, flags, follow);
		if (r != -ENOSYS && r != -EPERM)
			return r;
	}
	return open_by_walk(dirfd, rel, flags);
}

void fs_force_openat(bool on)
{
	force_openat = on;
}

int fs_write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n > 0) {
		ssize_t w = write(fd, s, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		s += w;
		n -= (size_t)w;
	}
	return 0;
}

int fs_read_fd(int fd, size_t max, struct buf *b)
{
	char chunk[READ_CHUNK];
	size_t len_before = b->len;
	bool failed_before = b->failed;
	size_t room = max;
	int r = 0;

	while (r == 0) {
		/* one byte more than there is room for shows that the file is too long */
		ssize_t n = read(fd, chunk, room < sizeof(chunk) ? room + 1 : sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return 0;
		if (n < 0)
			r = -errno;
		else if ((size_t)n > room || buf_add(b, chunk, (size_t)n) < 0)
			r = -EFBIG;
		else
			room -= (size_t)n;
	}
	buf_truncate(b, len_before);
	b->failed = failed_before;
	return r;
}

int fs_read_file(const char *path, size_t max, struct buf *b, struct err *err)
{
	CLEANUP_FD int fd = retry_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_errno(err, -fd, "cannot open %s", path);

	int r = fs_read_fd(fd, max, b);

	if (r == -EFBIG)
		return err_set(err, ERR_LIMIT, EFBIG, "%s is longer than %zu bytes", path,
			max < b->max - b->len ? max : b->max - b->len);
	return r < 0 ? err_errno(err, -r, "cannot read %s", path) : 0;
}

/* One directory, which may exist. The mode is set once more because of the umask, and never on one that was
 * there. */
static int make_directory(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) < 0) {
		int code = errno;

		/* a mount that is read-only or whose parent is closed to us may say other things than EEXIST
		 */
		if (stat(path, &st) == 0)
			return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
		return -code;
	}

	CLEANUP_FD int fd = retry_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return fd == -EACCES ? 0 : fd; /* a mode that keeps ourselves out: mkdir has set it */
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

int fs_mkdir_parents(const char *path, mode_t mode, struct err *err)
{
	CLEANUP_FREE char *part = mem_strdup(path);

	if (*path == '\0')
		return err_errno(err, ENOENT, "cannot make the directory \"\"");
	for (size_t i = 1; i <= strlen(path); i++) {
		if ((path[i] != '/' && path[i] != '\0') || path[i - 1] == '/')
			continue;
		part[i] = '\0';

		int r = make_directory(part, mode);

		if (r < 0)
			return err_errno(err, -r, "cannot make the directory %s", part);
		part[i] = path[i];
	}
	return 0;
}

int fs_sync_parent(const char *path, struct err *err)
{
	CLEANUP_FREE char *parent = fs_parent(path);
	CLEANUP_FD int fd = retry_openat(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, -fd, "cannot open the directory %s", parent);
	/* EINVAL: a file system that cannot (fsync(2)); there is nothing more that could be done */
	if (fsync(fd) < 0 && errno != EINVAL)
		return err_errno(err, errno, "cannot sync the directory %s", parent);
	return 0;
}

static int fill_file(int fd, const void *p, size_t n, mode_t mode, bool sync)
{
	int r = fs_write_all(fd, p, n);

	if (r < 0)
		return r;
	return fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0) ? -errno : 0;
}

static int replace_file(const char *path, const void *p, size_t n, mode_t mode, bool sync, struct err *err)
{
	CLEANUP_FREE char *parent = fs_parent(path);
	CLEANUP_FREE char *hidden = mem_printf(".%s.XXXXXX", fs_basename(path));
	CLEANUP_FREE char *tmp = fs_join(parent, hidden);
	CLEANUP_FD int fd = mkostemp(tmp, O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot make a file beside %s", path);

	int r = fill_file(fd, p, n, mode, sync);

	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(tmp);
		return err_errno(err, -r, "cannot write %s", path);
	}
	return sync ? fs_sync_parent(path, err) : 0;
}

int fs_replace_file(const char *path, const void *p, size_t n, mode_t mode, struct err *err)
{
	return replace_file(path, p, n, mode, true, err);
}

int fs_swap_file(const char *path, const void *p, size_t n, mode_t mode, struct err *err)
{
	return replace_file(path, p, n, mode, false, err);
}

char *fs_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_strdup(".");
	return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

int fs_rename_new(const char *from, const char *to)
{
	struct stat st;

	if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* a file system without it */
	if (lstat(to, &st) == 0)
		return -EEXIST;
	return rename(from, to) < 0 ? -errno : 0;
}

char *fs_join(const char *a, const char *b)
{
	size_t la = strlen(a);

	if (la == 0)
		return mem_strdup(b);
	while (la > 0 && a[la - 1] == '/')
		la--;
	b += strspn(b, "/");
	if (*b == '\0')
		return la == 0 ? mem_strdup("/") : mem_strndup(a, la);
	BUG_ON(la > INT_MAX);
	return mem_printf("%.*s/%s", (int)la, a, b);
}

int fs_normalise(const char *path, char **ret, struct err *err)
{
	if (path[0] != '/')
		return err_set(err, ERR_INPUT, EINVAL, "\"%s\" is not an absolute path", path);

	CLEANUP_FREE char *out = mem_alloc(strlen(path) + 2);
	size_t used = 0;

	for (const char *p = path; *p != '\0';) {
		p += strspn(p, "/");

		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return err_set(err, ERR_INPUT, EINVAL, "\"%s\" must not hold \"..\"", path);
		if (n > 0 && !(n == 1 && p[0] == '.')) {
			out[used++] = '/';
			memcpy(out + used, p, n);
			used += n;
		}
		p += n;
	}
	if (used == 0)
		out[used++] = '/';
	*ret = out;
	out = NULL;
	return 0;
}

const char *fs_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

bool fs_is_relpath(const char *s)
{
	if (*s == '\0')
		return false;
	while (*s) {
		size_t n = strcspn(s, "/");

		if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += n;
		if (*s == '/' && *++s == '\0')
			return false;
	}
	return true;
}

bool fs_is_beneath(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (n > 0 && dir[n - 1] == '/')
		n--; /* the root */
	return strncmp(dir, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

void fs_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}
