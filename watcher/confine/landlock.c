/*
 * The numbers of rights and structures are written here, since the headers of a build machine know less than
 * the kernel the program runs on: what a kernel does not know is masked by its ABI. The system calls have the
 * same numbers on every architecture.
 */
#include "confine/landlock.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/mem.h"

#define LANDLOCK_SYS_CREATE 444
#define LANDLOCK_SYS_ADD 445
#define LANDLOCK_SYS_RESTRICT 446
#define LANDLOCK_VERSION 1u /* flag of create: tell the ABI */
#define LANDLOCK_BENEATH 1  /* type of a rule */

enum {
	RIGHT_EXECUTE = 1 << 0,
	RIGHT_WRITE_FILE = 1 << 1,
	RIGHT_READ_FILE = 1 << 2,
	RIGHT_READ_DIR = 1 << 3,
	RIGHT_REMOVE_DIR = 1 << 4,
	RIGHT_REMOVE_FILE = 1 << 5,
	RIGHT_MAKE_DIR = 1 << 7,
	RIGHT_MAKE_REG = 1 << 8,
	RIGHT_MAKE_SOCK = 1 << 9,
	RIGHT_REFER = 1 << 13,
	RIGHT_TRUNCATE = 1 << 14,
	RIGHT_IOCTL_DEV = 1 << 15,
	RIGHTS_OF_ABI_1 = (1 << 13) - 1,
	RIGHTS_OF_A_FILE =
		RIGHT_EXECUTE | RIGHT_WRITE_FILE | RIGHT_READ_FILE | RIGHT_TRUNCATE | RIGHT_IOCTL_DEV,
	RIGHT_BIND = 1 << 0,
	RIGHT_CONNECT = 1 << 1,
	SCOPE_ABSTRACT = 1 << 0,
	SCOPE_SIGNAL = 1 << 1,
};

struct landlock_ruleset {
	uint64_t files, net, scopes;
};

struct landlock_beneath {
	uint64_t rights;
	int32_t fd;
} __attribute__((packed));

static const struct {
	unsigned may;
	uint64_t rights;
} landlock_meanings[] = {
	{LANDLOCK_READ, RIGHT_READ_FILE},
	{LANDLOCK_LIST, RIGHT_READ_DIR},
	{LANDLOCK_WRITE, RIGHT_WRITE_FILE | RIGHT_TRUNCATE},
	{LANDLOCK_MAKE, RIGHT_MAKE_REG | RIGHT_REMOVE_FILE},
	{LANDLOCK_MAKE_SOCKET, RIGHT_MAKE_SOCK | RIGHT_REMOVE_FILE},
	{LANDLOCK_FOLDERS, RIGHT_MAKE_DIR | RIGHT_REMOVE_DIR | RIGHT_REFER},
	{LANDLOCK_EXECUTE, RIGHT_EXECUTE},
};

int landlock_abi(struct err *err)
{
	long abi = syscall(LANDLOCK_SYS_CREATE, NULL, (size_t)0, LANDLOCK_VERSION);

	if (abi >= 1)
		return (int)abi;
	if (abi == 0)
		errno = ENOSYS;
	return err_set(err, ERR_SYSTEM, errno, "Landlock %s",
		errno == ENOSYS	      ? "is not in this kernel"
		: errno == EOPNOTSUPP ? "is turned off in this kernel"
		: errno == EPERM      ? "is forbidden here (by a system call filter)"
				      : "does not answer");
}

static uint64_t landlock_known_rights(int abi)
{
	uint64_t rights = RIGHTS_OF_ABI_1;

	rights |= abi >= 2 ? RIGHT_REFER : 0;
	rights |= abi >= 3 ? RIGHT_TRUNCATE : 0;
	rights |= abi >= 5 ? RIGHT_IOCTL_DEV : 0;
	return rights;
}

int landlock_begin(unsigned lacks, struct err *err)
{
	int abi = landlock_abi(err);
	struct landlock_ruleset set = {.files = landlock_known_rights(abi)};
	long fd;

	if (abi < 0)
		return abi;
	if (abi >= 4)
		set.net = (lacks & LANDLOCK_NO_BIND ? RIGHT_BIND : 0u) |
			  (lacks & LANDLOCK_NO_CONNECT ? RIGHT_CONNECT : 0u);
	if (abi >= 6 && (lacks & LANDLOCK_NO_OTHERS))
		set.scopes = SCOPE_ABSTRACT | SCOPE_SIGNAL;
	/* Fields that an older kernel does not know are zero, and it takes them so. */
	fd = syscall(LANDLOCK_SYS_CREATE, &set, sizeof(set), 0u);
	return fd < 0 ? err_errno(err, errno, "cannot make Landlock rules") : (int)fd;
}

int landlock_allow(int rules, const char *path, unsigned may, struct stat *ret, struct err *err)
{
	struct landlock_beneath beneath = {.rights = 0};
	CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);
	struct err none = ERR_INIT;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot look at %s", path);
	for (size_t i = 0; i < ARRAY_SIZE(landlock_meanings); i++)
		if (may & landlock_meanings[i].may)
			beneath.rights |= landlock_meanings[i].rights;
	beneath.rights &= landlock_known_rights(landlock_abi(&none));
	if (!S_ISDIR(st.st_mode))
		beneath.rights &= RIGHTS_OF_A_FILE;
	beneath.fd = fd;
	if (beneath.rights != 0 && syscall(LANDLOCK_SYS_ADD, rules, LANDLOCK_BENEATH, &beneath, 0u) < 0)
		return err_errno(err, errno, "cannot make a Landlock rule for %s", path);
	if (ret)
		*ret = st;
	return 0;
}

int landlock_restrict(int rules, struct err *err)
{
	if (syscall(LANDLOCK_SYS_RESTRICT, rules, 0u) < 0)
		return err_errno(err, errno, "cannot put Landlock in force");
	return 0;
}
