/*
 * confine/seccomp: children that raise the filter of a kind of process and make calls that they should not.
 */
#include "confine/seccomp.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <cmocka.h>
#include "confine/limits.h"
#include "climb.h"

static const char *confine(enum limits_kind kind)
{
	struct err err = ERR_INIT;

	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	EXPECT(seccomp_confine(kind, &err) == 0);
	return NULL;
}

#define CONFINE(kind)                                                                                        \
	do {                                                                                                 \
		const char *wrong = confine(kind);                                                           \
		if (wrong)                                                                                   \
			return wrong;                                                                        \
	} while (0)

/* ---- the sniffer: killed by anything that is not on its list ---- */

static int handed; /* a descriptor, opened before */

static void try_open(void)
{
	(void)open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static void try_open_beneath(void)
{
	(void)openat(handed, "x", O_RDONLY | O_CLOEXEC);
}

static void try_socket(void)
{
	(void)socket(AF_INET, SOCK_STREAM, 0);
}

static void try_fork(void)
{
	if (fork() == 0)
		_exit(0);
}

static void try_execute(void)
{
	(void)execl("/bin/true", "true", NULL);
}

static void try_kill(void)
{
	(void)kill(getppid(), 0);
}

static void try_signal_others(void)
{
	(void)syscall(SYS_tgkill, getpid() + 1, getpid() + 1, 0);
}

static void try_write(void)
{
	(void)!write(STDERR_FILENO, "", 0);
}

static void try_ptrace(void)
{
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void try_code(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void try_protect(void)
{
	(void)mprotect(NULL, 4096, PROT_READ | PROT_EXEC);
}

static void try_map_file(void)
{
	(void)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, handed, 0);
}

static void try_fcntl(void)
{
	(void)fcntl(handed, F_SETFL, O_NONBLOCK);
}

static void try_ioctl(void)
{
	int n;

	(void)ioctl(handed, FIONREAD, &n);
}

static void try_limit(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 1);
}

static void try_unlink(void)
{
	(void)unlink("/nothing");
}

static void try_stat(void)
{
	struct stat st;

	(void)stat("/etc/passwd", &st);
}

static const char *inside_killed(void *arg)
{
	void (*const *tried)(void) = arg;

	CONFINE(LIMITS_SNIFFER);
	(*tried)();
	return "it goes on";
}

static void test_sniffer_dies(void **state)
{
	static void (*const tries[])(void) = {try_open, try_open_beneath, try_socket, try_fork, try_execute,
		try_kill, try_signal_others, try_write, try_ptrace, try_code, try_protect, try_map_file,
		try_fcntl, try_ioctl, try_limit, try_unlink, try_stat};
	char said[256];

	(void)state;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		void (*one)(void) = tries[i];
		int status = climb_run(inside_killed, &one, said);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("try %zu: status 0x%x: %s", i, (unsigned)status, said);
	}
}

static const char *inside_works(void *arg)
{
	struct msghdr m = {.msg_name = NULL};
	char c, *p;
	struct stat st;
	int pair[2];

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return "no pair";
	if (seccomp_confine(LIMITS_SNIFFER, NULL) < 0)
		_exit(2);
	/* what is wrong cannot be said any more, but by the status */
	if (read(handed, &c, 1) != 1 || pread(handed, &c, 1, 0) != 1 || lseek(handed, 0, SEEK_SET) != 0 ||
		fstat(handed, &st) < 0 || fcntl(handed, F_GETFL) < 0 || sendmsg(pair[0], &m, 0) != 0)
		_exit(3);
	p = malloc(64U * 1024 * 1024);
	if (!p)
		_exit(4);
	p[4096] = 1;
	p = realloc(p, 4096);
	free(p);
	_exit(0);
}

static const char *inside_aborts(void *arg)
{
	(void)arg;
	(void)signal(SIGABRT, SIG_DFL);
	CONFINE(LIMITS_SNIFFER);
	abort();
}

static void test_sniffer_works(void **state)
{
	char said[256];
	int status;

	(void)state;
	if (limits_is_checked())
		skip(); /* the tool makes calls of its own */
	climb(inside_works, NULL);
	status = climb_run(inside_aborts, NULL, said);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* ---- those with a list of what they may not do ---- */

/* Not by arguments that would fail anyway: as root most of these would work. */
static const char *inside_both(void *arg)
{
	const enum limits_kind *kind = arg;
	char byte;
	struct iovec one = {.iov_base = &byte, .iov_len = 1};

	CONFINE(*kind);
	EXPECT_ERRNO(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM);
	EXPECT_ERRNO(process_vm_readv(getpid(), &one, 1, &one, 1, 0), EPERM);
	EXPECT_ERRNO(mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
	EXPECT_ERRNO(umount("/nothing"), EPERM);
	EXPECT_ERRNO(chroot("/"), EPERM);
	EXPECT_ERRNO(unshare(CLONE_NEWUSER), EPERM);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL), EPERM);
	EXPECT_ERRNO(syscall(SYS_clone3, NULL, 0), ENOSYS); /* whose flags no filter can see */
	EXPECT_ERRNO(syscall(SYS_bpf, 0, NULL, 0), EPERM);
	EXPECT_ERRNO(syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM);
	EXPECT_ERRNO(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0), EPERM);
	EXPECT_ERRNO(syscall(SYS_io_uring_setup, 1, NULL), ENOSYS);
	EXPECT_ERRNO(syscall(SYS_open_by_handle_at, -1, NULL, 0), EPERM);
	EXPECT_ERRNO(syscall(SYS_reboot, 0, 0, 0, NULL), EPERM);
	EXPECT_ERRNO(setuid(0), EPERM);
	EXPECT_ERRNO(mknod("/tmp/nothing", S_IFCHR | 0600, 0), EPERM);
	/* and what all need */
	EXPECT(climb_open("/etc/passwd", O_RDONLY) == 0);
	EXPECT(getpid() > 0);
	return NULL;
}

static const char *inside_watcher(void *arg)
{
	struct timeval tv[2] = {{0, 0}, {0, 0}};
	const char *file = arg;
	int pair[2], flags = 0, fd, status;
	pid_t pid;

	CONFINE(LIMITS_WATCHER);
	EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM, 0), EPERM);
	EXPECT_ERRNO(socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
	EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0); /* to its sniffer */
	EXPECT_ERRNO(connect(pair[0], NULL, 0), EPERM);
	EXPECT_ERRNO(bind(pair[0], NULL, 0), EPERM);
	EXPECT_ERRNO(listen(pair[0], 1), EPERM);
	EXPECT_ERRNO(accept(pair[0], NULL, NULL), EPERM);
	EXPECT_ERRNO(chmod(file, 0644), EPERM);
	EXPECT_ERRNO(chown(file, geteuid(), getegid()), EPERM);
	EXPECT_ERRNO(utimes(file, tv), EPERM);
	EXPECT_ERRNO(truncate(file, 0), EPERM);
	EXPECT_ERRNO(setxattr(file, "user.x", "x", 1, 0), EPERM);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0);
	EXPECT_ERRNO(fchmod(fd, 0644), EPERM);
	EXPECT_ERRNO(futimens(fd, NULL), EPERM);
	EXPECT_ERRNO(ioctl(fd, FS_IOC_SETFLAGS, &flags), EPERM);
	pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	return NULL;
}

static const char *inside_dispatcher(void *arg)
{
	const char *file = arg;

	CONFINE(LIMITS_DISPATCHER);
	EXPECT_ERRNO(execl("/bin/true", "true", NULL), EPERM);
	EXPECT(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	EXPECT(chmod(file, 0600) == 0);
	return NULL;
}

/* A watcher's sniffer inherits the watcher's filter and adds its own. */
static const char *inside_both_filters(void *arg)
{
	(void)arg;
	CONFINE(LIMITS_WATCHER);
	if (confine(LIMITS_SNIFFER))
		_exit(2);
	_exit(0);
}

static void test_others(void **state)
{
	static enum limits_kind watcher = LIMITS_WATCHER, dispatcher = LIMITS_DISPATCHER;
	char file[] = "/tmp/test_confine_seccomp.XXXXXX";
	int fd;

	(void)state;
	if (limits_is_checked())
		skip();
	fd = mkostemp(file, O_CLOEXEC);
	assert_true(fd >= 0);
	climb(inside_both, &watcher);
	climb(inside_both, &dispatcher);
	climb(inside_watcher, file);
	climb(inside_dispatcher, file);
	climb(inside_both_filters, NULL);
	close(fd);
	unlink(file);
}

/* ---- who has none, and where there is none ---- */

static const char *inside_keeper(void *arg)
{
	(void)arg;
	CONFINE(LIMITS_KEEPER);
	EXPECT(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0);
	return NULL;
}

static const char *inside_without(void *arg)
{
	(void)arg;
	EXPECT(climb_forbid(SYS_prctl, EINVAL));
	EXPECT(!seccomp_is_there());
	return NULL;
}

static void test_without(void **state)
{
	(void)state;
	climb(inside_keeper, NULL);
	climb(inside_without, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sniffer_dies),
		cmocka_unit_test(test_sniffer_works),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_without),
	};

	handed = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
