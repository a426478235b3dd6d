/*
 * One row a kind of process, one function a thing to give up, all walked in the same order: rows can be
 * compared at a glance.
 *
 * Capabilities: the unit hands CAP_LEASE to all by the ambient set, since the keeper must pass it on to the
 * watchers. Everybody who has no use for it drops it here. As root a watcher must still read what root may
 * read; it never writes, so CAP_DAC_READ_SEARCH is enough. The dispatcher writes into directories and reads
 * credentials whose owner may be the service's user while root runs a scan by hand, and SQLite then gives
 * its files to the ledger's owner. The sniffer opens nothing and keeps none. The keeper keeps all: what it
 * has not got it could not pass on.
 */
#include "confine/limits.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/fs.h"

#define LIMITS_NONE (-1LL)
#define LIMITS_MOST (-2LL)
#define LIMITS_ALL_CAPABILITIES UINT64_MAX
#define LIMITS_CAPABILITY(number) (UINT64_C(1) << (number))
#define LIMITS_OF_WATCHER (LIMITS_CAPABILITY(CAP_LEASE) | LIMITS_CAPABILITY(CAP_DAC_READ_SEARCH))
#define LIMITS_OF_DISPATCHER                                                                                 \
	(LIMITS_CAPABILITY(CAP_CHOWN) | LIMITS_CAPABILITY(CAP_DAC_OVERRIDE) |                                \
		LIMITS_CAPABILITY(CAP_DAC_READ_SEARCH) | LIMITS_CAPABILITY(CAP_FOWNER))

struct limits_row {
	long long files; /* RLIMIT_NOFILE; LIMITS_MOST: as many as there may be, for all that it starts */
	long long file_bytes;  /* RLIMIT_FSIZE */
	long long bytes;       /* RLIMIT_AS */
	uint64_t capabilities; /* to keep, of those there are */
	bool dies_with_parent;
};

static const struct limits_row limits_rows[] = {
	[LIMITS_KEEPER] = {LIMITS_MOST, LIMITS_NONE, LIMITS_NONE, LIMITS_ALL_CAPABILITIES, false},
	[LIMITS_DISPATCHER] = {LIMITS_NONE, LIMITS_NONE, LIMITS_NONE, LIMITS_OF_DISPATCHER, false},
	[LIMITS_WATCHER] = {LIMITS_NONE, LIMITS_NONE, LIMITS_NONE, LIMITS_OF_WATCHER, false},
	[LIMITS_SNIFFER] = {LIMITS_SNIFFER_FILES, 0, LIMITS_SNIFFER_BYTES, 0, true},
};

/* Lowers soft and hard limit to at most max; LIMITS_MOST raises the soft one to the hard one, LIMITS_NONE
 * leaves both. */
static int limits_lower(int resource, const char *name, long long max, struct err *err)
{
	struct rlimit now;

	if (max == LIMITS_NONE)
		return 0;
	if (getrlimit(resource, &now) < 0)
		return err_errno(err, errno, "cannot read the limit %s", name);
	if (max != LIMITS_MOST && (now.rlim_max == RLIM_INFINITY || now.rlim_max > (rlim_t)max))
		now.rlim_max = (rlim_t)max;
	now.rlim_cur = now.rlim_max;
	if (setrlimit(resource, &now) < 0)
		return err_errno(err, errno, "cannot lower the limit %s", name);
	return 0;
}

/* Bytes of address space in use, 0 when it cannot be told. */
static long long limits_mapped_bytes(void)
{
	CLEANUP_FD int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[64];
	long long pages = 0;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9' && pages < INT64_MAX / 1000000; i++)
		pages = pages * 10 + (text[i] - '0');
	return pages * sysconf(_SC_PAGESIZE);
}

bool limits_is_checked(void)
{
	static bool is_known, is_checked;

	if (!is_known)
		is_checked = limits_mapped_bytes() > LIMITS_SNIFFER_BYTES / 2;
	is_known = true;
	return is_checked;
}

static int limits_lower_memory_and_files(const struct limits_row *row, struct err *err)
{
	int rc = limits_lower(RLIMIT_NOFILE, "RLIMIT_NOFILE", row->files, err);

	if (rc < 0 || limits_is_checked())
		return rc;
	/* Our own stderr may be a file: its lines get lost then, but nobody dies of them. */
	if (row->file_bytes != LIMITS_NONE && signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
		return err_errno(err, errno, "cannot ignore SIGXFSZ");
	rc = limits_lower(RLIMIT_FSIZE, "RLIMIT_FSIZE", row->file_bytes, err);
	return rc < 0 ? rc : limits_lower(RLIMIT_AS, "RLIMIT_AS", row->bytes, err);
}

static int limits_set_process(const struct limits_row *row, struct err *err)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(err, errno, "cannot forbid core dumps (PR_SET_DUMPABLE)");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, errno, "cannot give up new privileges (PR_SET_NO_NEW_PRIVS)");
	if (row->dies_with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_errno(err, errno, "cannot bind its life to its parent's (PR_SET_PDEATHSIG)");
	return 0;
}

/* Out of the permitted set means out of the ambient set, too. */
static int limits_keep_capabilities(uint64_t mask, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (mask == LIMITS_ALL_CAPABILITIES)
		return 0;
	if (syscall(SYS_capget, &head, data) < 0)
		return err_errno(err, errno, "cannot read the capabilities");
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		uint32_t keep = (uint32_t)(mask >> (32 * i));

		data[i].effective &= keep;
		data[i].permitted &= keep;
		data[i].inheritable &= keep;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_errno(err, errno, "cannot drop capabilities");
	return 0;
}

int limits_apply(enum limits_kind kind, struct err *err)
{
	const struct limits_row *row = &limits_rows[kind];
	int rc = limits_lower(RLIMIT_CORE, "RLIMIT_CORE", 0, err);

	if (rc == 0)
		rc = limits_set_process(row, err);
	if (rc == 0)
		rc = limits_lower_memory_and_files(row, err);
	return rc < 0 ? rc : limits_keep_capabilities(row->capabilities, err);
}
