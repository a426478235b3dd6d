/*
 * probe: what the file system says about one name: who it is, whether somebody has it open for writing, its
 * ends. Every call may block on a dead mount; the state page says which and on what path.
 */
#ifndef SENSE_PROBE_H
#define SENSE_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/filetype.h"
#include "core/settle.h"
#include "core/version.h"
#include "core/wire.h"
#include "sense/closes.h"

struct probe_stat {
	struct settle_look look; /* lease: unknown */
	struct closes_inode inode;
	bool is_regular, is_directory, is_symlink;
	int64_t owner;
};

/* statx of relpath beneath root_fd, a symbolic link not followed. 0 or -errno. On a network mount its answer
 * may come from a cache of the client. */
int probe_name(int root_fd, const char *relpath, struct wire_page *page, struct probe_stat *ret) MUST_CHECK;
/* The same, and the server is asked (AT_STATX_FORCE_SYNC). probe_fd always does. */
int probe_name_now(
	int root_fd, const char *relpath, struct wire_page *page, struct probe_stat *ret) MUST_CHECK;
int probe_fd(int fd, const char *path, struct wire_page *page, struct probe_stat *ret) MUST_CHECK;
/* Opens for reading beneath root_fd, never through a symbolic link, never waiting for a FIFO's writer. The
 * descriptor or -errno. */
int probe_open(int root_fd, const char *relpath, struct wire_page *page);
/* Asks for a read lease on fd and gives it back at once. Holds nothing; SIGIO must be ignored by the process.
 * Source: fcntl(2). trusted: does this file system know of every writer (else a granted lease says nothing).
 */
enum settle_lease probe_lease(int fd, bool trusted);
/* May this process ask for leases on files of other users (CAP_LEASE, capabilities(7))? */
bool probe_may_lease(void);
/* Hex SHA-256 over the first and last 64 KiB (all of it, once, when it is smaller). 0 or -errno; -ESTALE when
 * it became shorter meanwhile. */
int probe_ends(int fd, int64_t size, const char *path, struct wire_page *page,
	char out[VERSION_ENDS_HEX]) MUST_CHECK;
/* Exactly n bytes at `at`. 0, -ESTALE when the file ends before, -errno. */
int probe_read(int fd, void *p, size_t n, int64_t at, const char *path, struct wire_page *page) MUST_CHECK;
/* Leading and trailing bytes for core/filetype. */
struct probe_bytes {
	uint8_t head[FILETYPE_HEAD_BYTES];
	size_t head_len;
	uint8_t tail[FILETYPE_TAIL_BYTES];
	size_t tail_len;
};
int probe_bytes(
	int fd, int64_t size, const char *path, struct wire_page *page, struct probe_bytes *ret) MUST_CHECK;

#endif
