/*
 * confine/limits: each kind applied in a process of its own, which then tries what it must not be able to do
 * any more.
 */
#include "confine/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The address sanitizer maps terabytes: then address space and file size stay as they are. */
#if defined(__SANITIZE_ADDRESS__)
#define CHECKED_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECKED_BUILD 1
#endif
#endif
#ifndef CHECKED_BUILD
#define CHECKED_BUILD 0
#endif

typedef const char *(*inside_fn)(enum limits_kind kind); /* NULL: all is well, else what is not */

#define EXPECT(cond)                                                                                         \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			return #cond;                                                                        \
	} while (0)

/* Runs fn in a child and fails with what it says. */
static void run_inside(enum limits_kind kind, inside_fn fn)
{
	char said[256] = "";
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		const char *wrong = fn(kind);

		(void)!write(fds[1], wrong ? wrong : "", wrong ? strlen(wrong) : 0);
		_exit(wrong ? 1 : 0);
	}
	close(fds[1]);
	n = read(fds[0], said, sizeof(said) - 1);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("kind %d, status 0x%x: %s", (int)kind, (unsigned)status, n > 0 ? said : "it died");
}

static void run_all(inside_fn fn)
{
	run_inside(LIMITS_KEEPER, fn);
	run_inside(LIMITS_DISPATCHER, fn);
	run_inside(LIMITS_WATCHER, fn);
	run_inside(LIMITS_SNIFFER, fn);
}

static rlim_t hard_limit(int resource)
{
	struct rlimit r;

	return getrlimit(resource, &r) == 0 && r.rlim_cur <= r.rlim_max ? r.rlim_max : 4711;
}

/* ---- what all give up */

static const char *inside_common(enum limits_kind kind)
{
	struct err err = ERR_INIT;

	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(hard_limit(RLIMIT_CORE) == 0);
	EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	EXPECT(limits_apply(kind, &err) == 0); /* once more does no harm */
	return NULL;
}

static void test_common(void **state)
{
	(void)state;
	run_all(inside_common);
}

/* ---- what only the sniffer gives up */

static const char *inside_others(enum limits_kind kind)
{
	rlim_t files = hard_limit(RLIMIT_NOFILE), bytes = hard_limit(RLIMIT_AS),
	       size = hard_limit(RLIMIT_FSIZE);
	int signal_at_death = -1;
	struct err err = ERR_INIT;

	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(hard_limit(RLIMIT_NOFILE) == files);
	EXPECT(hard_limit(RLIMIT_AS) == bytes);
	EXPECT(hard_limit(RLIMIT_FSIZE) == size);
	EXPECT(prctl(PR_GET_PDEATHSIG, &signal_at_death) == 0 && signal_at_death == 0);
	return NULL;
}

static const char *inside_sniffer(enum limits_kind kind)
{
	char name[] = "/tmp/test_confine_limits.XXXXXX";
	int file = mkostemp(name, O_CLOEXEC), signal_at_death = 0, n = 0;
	size_t large = (size_t)LIMITS_SNIFFER_BYTES;
	struct err err = ERR_INIT;
	void *p;

	unlink(name);
	EXPECT(file >= 0);
	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(prctl(PR_GET_PDEATHSIG, &signal_at_death) == 0 && signal_at_death == SIGKILL);
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		n++;
	EXPECT(errno == EMFILE && n < LIMITS_SNIFFER_FILES);
	if (CHECKED_BUILD)
		return NULL;
	EXPECT(write(file, "x", 1) == -1 && errno == EFBIG); /* and it has not died of SIGXFSZ */
	p = mmap(NULL, large, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(p == MAP_FAILED && errno == ENOMEM);
	p = mmap(NULL, large / 4, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(p != MAP_FAILED);
	return NULL;
}

/* Where a checking tool has taken half of the address space before us. */
static const char *inside_checked(enum limits_kind kind)
{
	rlim_t bytes = hard_limit(RLIMIT_AS), size = hard_limit(RLIMIT_FSIZE);
	void *p = mmap(NULL, (size_t)LIMITS_SNIFFER_BYTES / 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct err err = ERR_INIT;

	EXPECT(p != MAP_FAILED);
	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(hard_limit(RLIMIT_AS) == bytes);
	EXPECT(hard_limit(RLIMIT_FSIZE) == size);
	EXPECT(hard_limit(RLIMIT_NOFILE) == LIMITS_SNIFFER_FILES);
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	return NULL;
}

/* A limit that is lower already stays. */
static const char *inside_lower(enum limits_kind kind)
{
	struct rlimit few = {5, 6};
	struct err err = ERR_INIT;

	EXPECT(setrlimit(RLIMIT_NOFILE, &few) == 0);
	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(hard_limit(RLIMIT_NOFILE) == 6);
	return NULL;
}

static void test_sniffer(void **state)
{
	(void)state;
	run_inside(LIMITS_KEEPER, inside_others);
	run_inside(LIMITS_DISPATCHER, inside_others);
	run_inside(LIMITS_WATCHER, inside_others);
	run_inside(LIMITS_SNIFFER, inside_sniffer);
	run_inside(LIMITS_SNIFFER, inside_checked);
	run_inside(LIMITS_SNIFFER, inside_lower);
}

/* ---- capabilities */

static struct __user_cap_data_struct capabilities[_LINUX_CAPABILITY_U32S_3];

static bool capabilities_read(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &head, capabilities) == 0;
}

/* As the unit starts us: CAP_LEASE in the ambient set. */
static bool raise_lease(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

	if (!capabilities_read() || !(capabilities[0].permitted & (1u << CAP_LEASE)))
		return false;
	capabilities[0].inheritable |= 1u << CAP_LEASE;
	return syscall(SYS_capset, &head, capabilities) == 0 &&
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_LEASE, 0, 0) == 0;
}

static bool lease_is_ambient(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_LEASE, 0, 0) == 1;
}

static const char *inside_keeps_lease(enum limits_kind kind)
{
	struct err err = ERR_INIT;

	EXPECT(raise_lease());
	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(lease_is_ambient());
	EXPECT(capabilities_read() && (capabilities[0].effective & (1u << CAP_LEASE)));
	return NULL;
}

/* Of those there were, only these are left. */
static const char *expect_kept(const struct __user_cap_data_struct *before, uint32_t kept)
{
	EXPECT(capabilities_read());
	EXPECT(capabilities[0].permitted == (before->permitted & kept));
	EXPECT(capabilities[0].effective == (before->effective & kept));
	EXPECT(capabilities[1].permitted == 0 && capabilities[1].effective == 0);
	return NULL;
}

static const char *inside_dispatcher_keeps(enum limits_kind kind)
{
	struct __user_cap_data_struct before;
	struct err err = ERR_INIT;

	EXPECT(raise_lease());
	before = capabilities[0];
	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(!lease_is_ambient());
	return expect_kept(&before,
		1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER | 1u << CAP_CHOWN);
}

static const char *inside_watcher_keeps(enum limits_kind kind)
{
	struct __user_cap_data_struct before;
	struct err err = ERR_INIT;

	EXPECT(raise_lease());
	before = capabilities[0];
	EXPECT(limits_apply(kind, &err) == 0);
	return expect_kept(&before, 1u << CAP_LEASE | 1u << CAP_DAC_READ_SEARCH);
}

static const char *inside_drops_all(enum limits_kind kind)
{
	struct err err = ERR_INIT;

	EXPECT(raise_lease());
	EXPECT(limits_apply(kind, &err) == 0);
	EXPECT(!lease_is_ambient());
	EXPECT(capabilities_read());
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		EXPECT(capabilities[i].permitted == 0);
		EXPECT(capabilities[i].effective == 0);
		EXPECT(capabilities[i].inheritable == 0);
	}
	return NULL;
}

static void test_capabilities(void **state)
{
	(void)state;
	if (!capabilities_read() || !(capabilities[0].permitted & (1u << CAP_LEASE)))
		skip();
	run_inside(LIMITS_KEEPER, inside_keeps_lease);
	run_inside(LIMITS_WATCHER, inside_keeps_lease);
	run_inside(LIMITS_WATCHER, inside_watcher_keeps);
	run_inside(LIMITS_DISPATCHER, inside_dispatcher_keeps);
	run_inside(LIMITS_SNIFFER, inside_drops_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_common),
		cmocka_unit_test(test_sniffer),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
