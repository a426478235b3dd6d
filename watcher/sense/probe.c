/*
 * probe: thin over statx(2), openat2(2), fcntl(2), pread(2).
 */
#include "sense/probe.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/sha256.h"

#define PROBE_MASK (STATX_TYPE | STATX_NLINK | STATX_UID | STATX_MTIME | STATX_INO | STATX_SIZE | STATX_BTIME)

static int64_t probe_ns(const struct statx_timestamp *t)
{
	struct timespec ts = {.tv_sec = t->tv_sec, .tv_nsec = t->tv_nsec};

	return clock_timespec_ns(&ts);
}

static void probe_take(const struct statx *sx, struct probe_stat *ret)
{
	*ret = (struct probe_stat){
		.look = {.size = (int64_t)sx->stx_size,
			.mtime_ns = probe_ns(&sx->stx_mtime),
			.ino = sx->stx_ino},
		.inode = {.ino = sx->stx_ino,
			.birth_ns = sx->stx_mask & STATX_BTIME ? probe_ns(&sx->stx_btime) : 0,
			.links = sx->stx_nlink},
		.is_regular = S_ISREG(sx->stx_mode),
		.is_directory = S_ISDIR(sx->stx_mode),
		.is_symlink = S_ISLNK(sx->stx_mode),
		.owner = sx->stx_uid,
	};
}

static int probe_statx(
	int fd, const char *name, int flags, const char *path, struct wire_page *page, struct probe_stat *ret)
{
	struct statx sx;
	int rc;

	wire_page_enter(page, "statx", path);
	rc = statx(fd, name, flags, PROBE_MASK, &sx) < 0 ? -errno : 0;
	wire_page_leave(page);
	if (rc == 0)
		probe_take(&sx, ret);
	return rc;
}

int probe_name(int root_fd, const char *relpath, struct wire_page *page, struct probe_stat *ret)
{
	return probe_statx(root_fd, relpath, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, relpath, page, ret);
}

int probe_name_now(int root_fd, const char *relpath, struct wire_page *page, struct probe_stat *ret)
{
	return probe_statx(root_fd, relpath, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_FORCE_SYNC,
		relpath, page, ret);
}

int probe_fd(int fd, const char *path, struct wire_page *page, struct probe_stat *ret)
{
	return probe_statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, path, page, ret);
}

int probe_open(int root_fd, const char *relpath, struct wire_page *page)
{
	int fd;

	wire_page_enter(page, "open", relpath);
	fd = fs_open_beneath(root_fd, relpath, O_RDONLY, false);
	wire_page_leave(page);
	return fd;
}

enum settle_lease probe_lease(int fd, bool trusted)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		return trusted ? SETTLE_LEASE_FREE : SETTLE_LEASE_UNKNOWN;
	}
	return errno == EAGAIN ? SETTLE_LEASE_OPEN : SETTLE_LEASE_UNKNOWN;
}

bool probe_may_lease(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &head, data) == 0 &&
	       (data[CAP_LEASE / 32].effective & (1u << (CAP_LEASE % 32))) != 0;
}

/* Reads exactly n bytes at `at`. 0, -ESTALE when the file ends before, -errno. */
static int probe_pread(int fd, void *p, size_t n, int64_t at)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, (char *)p + got, n - got, at + (int64_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -ESTALE;
		got += (size_t)r;
	}
	return 0;
}

static int probe_digest(int fd, int64_t at, size_t n, struct sha256 *s)
{
	uint8_t bytes[16 * 1024];

	while (n > 0) {
		size_t now = n < sizeof(bytes) ? n : sizeof(bytes);
		int rc = probe_pread(fd, bytes, now, at);

		if (rc < 0)
			return rc;
		sha256_add(s, bytes, now);
		at += (int64_t)now;
		n -= now;
	}
	return 0;
}

int probe_ends(int fd, int64_t size, const char *path, struct wire_page *page, char out[VERSION_ENDS_HEX])
{
	uint8_t digest[SHA256_BYTES];
	struct sha256 *s = sha256_new();
	int64_t first = size < 2 * VERSION_ENDS_BYTES ? size : VERSION_ENDS_BYTES;
	int rc;

	wire_page_enter(page, "read", path);
	rc = probe_digest(fd, 0, (size_t)first, s);
	if (rc == 0 && first < size)
		rc = probe_digest(fd, size - VERSION_ENDS_BYTES, VERSION_ENDS_BYTES, s);
	wire_page_leave(page);
	sha256_end(s, digest);
	if (rc == 0)
		sha256_hex(digest, out);
	return rc;
}

int probe_read(int fd, void *p, size_t n, int64_t at, const char *path, struct wire_page *page)
{
	int rc;

	wire_page_enter(page, "read", path);
	rc = probe_pread(fd, p, n, at);
	wire_page_leave(page);
	return rc;
}

int probe_bytes(int fd, int64_t size, const char *path, struct wire_page *page, struct probe_bytes *ret)
{
	size_t head = size < FILETYPE_HEAD_BYTES ? (size_t)size : FILETYPE_HEAD_BYTES;
	size_t tail = size < FILETYPE_TAIL_BYTES ? (size_t)size : FILETYPE_TAIL_BYTES;
	int rc;

	wire_page_enter(page, "read", path);
	rc = probe_pread(fd, ret->head, head, 0);
	if (rc == 0)
		rc = probe_pread(fd, ret->tail, tail, size - (int64_t)tail);
	wire_page_leave(page);
	ret->head_len = head;
	ret->tail_len = tail;
	return rc;
}
