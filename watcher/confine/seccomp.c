/*
 * Calls are named by text: those that the library or the architecture does not know are passed over.
 *
 * The sniffer's list was measured with strace over all kinds of sample files. abort(3) is on it, so that a
 * crash of libmagic is told as what it is, and clock_gettime, which is no system call only where the vDSO
 * has the clock.
 *
 * What a list cannot judge: paths (pointers). Those are Landlock's. Modes, owners, times and attributes of
 * files, which Landlock does not know, are on the watcher's list.
 */
#include "confine/seccomp.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/mem.h"

#define IOCTL_SET_FLAGS 0x40086602u /* FS_IOC_SETFLAGS */
#define IOCTL_SET_XATTR 0x401c5820u /* FS_IOC_FSSETXATTR */

static const char *const sniffer_calls[] = {"read", "pread64", "lseek", "_llseek", "fstat", "fstat64",
	"recvmsg", "sendmsg", "close", "munmap", "mremap", "brk", "madvise", "futex", "getrandom",
	"rt_sigreturn", "sigreturn", "restart_syscall", "exit", "exit_group", "clock_gettime",
	"clock_gettime64", "gettimeofday", "rt_sigprocmask", "rt_sigaction", "getpid", "gettid"};

/* Nobody after the keeper needs these. */
static const char *const nobodys_calls[] = {"ptrace", "process_vm_readv", "process_vm_writev", "kcmp",
	"pidfd_getfd", "process_madvise", "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen",
	"fsconfig", "fsmount", "fspick", "mount_setattr", "pivot_root", "chroot", "unshare", "setns", "bpf",
	"perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "init_module", "finit_module",
	"delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl",
	"quotactl_fd", "settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime",
	"clock_adjtime64", "adjtimex", "sethostname", "setdomainname", "syslog", "nfsservctl", "iopl",
	"ioperm", "modify_ldt", "vhangup", "mknod", "mknodat", "name_to_handle_at", "open_by_handle_at",
	"fanotify_init", "lookup_dcookie", "personality", "setuid", "setuid32", "setgid", "setgid32",
	"setreuid", "setreuid32", "setregid", "setregid32", "setresuid", "setresuid32", "setresgid",
	"setresgid32", "setfsuid", "setfsuid32", "setfsgid", "setfsgid32", "setgroups", "setgroups32",
	"memfd_secret", "migrate_pages", "move_pages", "mbind", "set_mempolicy"};

/* A library tries these, and does without when they are not there. */
static const char *const missing_calls[] = {
	"io_uring_setup", "io_uring_enter", "io_uring_register", "clone3"};

static const char *const watchers_calls[] = {"socket", "socketcall", "connect", "bind", "listen", "accept",
	"accept4", "chown", "chown32", "lchown", "lchown32", "fchown", "fchown32", "fchownat", "chmod",
	"fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "futimesat", "utimensat", "utimensat_time64",
	"setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr",
	"removexattrat", "truncate", "truncate64", "ftruncate", "ftruncate64", "fallocate", "shmget", "shmat",
	"semget", "msgget", "mq_open", "mq_unlink"};

static const char *const dispatchers_calls[] = {"execve", "execveat", "inotify_init", "inotify_init1"};

/* With conditions on its arguments. */
static int seccomp_add_if(scmp_filter_ctx ctx, uint32_t action, const char *name,
	const struct scmp_arg_cmp *conditions, unsigned n)
{
	int number = seccomp_syscall_resolve_name(name), rc;

	if (number == __NR_SCMP_ERROR)
		return 0;
	rc = seccomp_rule_add_array(ctx, action, number, n, conditions);
	return rc == -EDOM ? 0 : rc; /* not of this architecture */
}

static int seccomp_add(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = seccomp_add_if(ctx, action, names[i], NULL, 0);
	return rc;
}

/* With what is handed over, and in memory of its own that holds no program. */
static int seccomp_fill_sniffer(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp memory[] = {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
		SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)};
	const struct scmp_arg_cmp handed = SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH);
	const struct scmp_arg_cmp flags = SCMP_A1(SCMP_CMP_EQ, F_GETFL, 0);
	const struct scmp_arg_cmp own = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
	int rc = seccomp_add(ctx, SCMP_ACT_ALLOW, sniffer_calls, ARRAY_SIZE(sniffer_calls));

	if (rc == 0)
		rc = seccomp_add_if(ctx, SCMP_ACT_ALLOW, "mmap", memory, ARRAY_SIZE(memory));
	if (rc == 0)
		rc = seccomp_add_if(ctx, SCMP_ACT_ALLOW, "mmap2", memory, ARRAY_SIZE(memory));
	if (rc == 0)
		rc = seccomp_add_if(ctx, SCMP_ACT_ALLOW, "newfstatat", &handed, 1);
	if (rc == 0)
		rc = seccomp_add_if(ctx, SCMP_ACT_ALLOW, "fcntl", &flags, 1);
	if (rc == 0)
		rc = seccomp_add_if(ctx, SCMP_ACT_ALLOW, "fcntl64", &flags, 1);
	return rc < 0 ? rc : seccomp_add_if(ctx, SCMP_ACT_ALLOW, "tgkill", &own, 1);
}

static int seccomp_fill_common(scmp_filter_ctx ctx)
{
	static const unsigned namespaces[] = {CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS,
		CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS};
	int rc = seccomp_add(ctx, SCMP_ACT_ERRNO(EPERM), nobodys_calls, ARRAY_SIZE(nobodys_calls));

	if (rc == 0)
		rc = seccomp_add(ctx, SCMP_ACT_ERRNO(ENOSYS), missing_calls, ARRAY_SIZE(missing_calls));
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(namespaces); i++) {
		const struct scmp_arg_cmp with = SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]);

		rc = seccomp_add_if(ctx, SCMP_ACT_ERRNO(EPERM), "clone", &with, 1);
	}
	return rc;
}

static int seccomp_fill_watcher(scmp_filter_ctx ctx)
{
	static const unsigned requests[] = {IOCTL_SET_FLAGS, IOCTL_SET_XATTR, TIOCSTI};
	int rc = seccomp_fill_common(ctx);

	if (rc == 0)
		rc = seccomp_add(ctx, SCMP_ACT_ERRNO(EPERM), watchers_calls, ARRAY_SIZE(watchers_calls));
	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(requests); i++) {
		const struct scmp_arg_cmp request = SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, requests[i]);

		rc = seccomp_add_if(ctx, SCMP_ACT_ERRNO(EPERM), "ioctl", &request, 1);
	}
	return rc;
}

static int seccomp_fill_dispatcher(scmp_filter_ctx ctx)
{
	int rc = seccomp_fill_common(ctx);

	return rc < 0 ? rc
		      : seccomp_add(
				ctx, SCMP_ACT_ERRNO(EPERM), dispatchers_calls, ARRAY_SIZE(dispatchers_calls));
}

static int seccomp_fill(scmp_filter_ctx ctx, enum limits_kind kind)
{
	switch (kind) {
	case LIMITS_SNIFFER:
		return seccomp_fill_sniffer(ctx);
	case LIMITS_WATCHER:
		return seccomp_fill_watcher(ctx);
	case LIMITS_DISPATCHER:
		return seccomp_fill_dispatcher(ctx);
	case LIMITS_KEEPER:
		break;
	}
	return 0;
}

/* A filter at no address: whoever could take one says that the address is bad. */
bool seccomp_is_there(void)
{
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0) < 0 && errno == EFAULT;
}

int seccomp_confine(enum limits_kind kind, struct err *err)
{
	scmp_filter_ctx ctx;
	int rc;

	if (kind == LIMITS_KEEPER)
		return 0;
	ctx = seccomp_init(kind == LIMITS_SNIFFER ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ALLOW);
	if (!ctx)
		return err_set(err, ERR_SYSTEM, ENOMEM, "cannot make a system call filter");
	/* The kernel remembers calls that are always allowed; the others are found by halving. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	rc = seccomp_fill(ctx, kind);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc < 0 ? err_errno(err, -rc, "cannot put a system call filter in force") : 0;
}
