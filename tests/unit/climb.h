/*
 * For tests of confine: runs a function in a child, which confines itself and then tries to climb the walls;
 * and a filter that makes a system call fail, as on a kernel that has it not.
 */
#ifndef TESTS_UNIT_CLIMB_H
#define TESTS_UNIT_CLIMB_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIMB_SKIP "skip"
#define CLIMB_LINE_(n) #n
#define CLIMB_LINE(n) CLIMB_LINE_(n)
#define EXPECT(cond)                                                                                         \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			return CLIMB_LINE(__LINE__) ": " #cond;                                              \
	} while (0)
/* call fails with that errno */
#define EXPECT_ERRNO(call, code) EXPECT((call) < 0 && errno == (code))

typedef const char *(*climb_fn)(void *arg); /* NULL: all is well, else what is not */

/* The child's wait status; what it said in said. */
static inline int climb_run(climb_fn fn, void *arg, char said[256])
{
	int fds[2], status = -1;
	ssize_t n;
	pid_t pid;

	memset(said, 0, 256);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		const char *wrong = fn(arg);

		(void)!write(fds[1], wrong ? wrong : "", wrong ? strlen(wrong) : 0);
		_exit(wrong ? 1 : 0);
	}
	close(fds[1]);
	n = read(fds[0], said, 255);
	close(fds[0]);
	if (n < 0 || pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

/* Fails the test with what the child says, or skips it. */
static inline void climb(climb_fn fn, void *arg)
{
	char said[256];
	int status = climb_run(fn, arg, said);

	if (strcmp(said, CLIMB_SKIP) == 0)
		skip();
	if (status != 0)
		fail_msg("status 0x%x: %s", (unsigned)status, said[0] ? said : "it died");
}

/* From now on this system call fails with code. */
static inline bool climb_forbid(unsigned number, unsigned code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static inline bool climb_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool well = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return well;
}

/* 0, or -1 with errno. */
static inline int climb_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static inline int climb_remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	return remove(path);
}

/* A directory of a test, with all in it. */
static inline int climb_remove(const char *path)
{
	return nftw(path, climb_remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

#endif
