/*
 * process: fork and exec of this same program. Between the two only async-signal-safe calls are made.
 */
#define _GNU_SOURCE 1 /* O_PATH */
#include "keep/process.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/crash.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

/* Names that are handed on: what debugging tools need. Never anything that could hold a secret. */
static const char *const process_environment[] = {"LD_PRELOAD=", "LD_LIBRARY_PATH=", "ASAN_OPTIONS=",
	"UBSAN_OPTIONS=", "LSAN_OPTIONS=", "FAKETIME", "TZ=", CRASH_ENVIRONMENT};

static bool process_hands_on(const char *entry, bool with_credentials)
{
	for (size_t i = 0; i < ARRAY_SIZE(process_environment); i++)
		if (text_starts_with(entry, process_environment[i]))
			return true;
	return with_credentials && text_starts_with(entry, "CREDENTIALS_DIRECTORY=");
}

/* Borrowed entries in a malloc'd array. */
static char **process_make_environment(bool with_credentials)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ && environ[n])
		n++;
	env = mem_array(n + 1, sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (process_hands_on(environ[i], with_credentials))
			env[kept++] = environ[i];
	return env;
}

static void process_close_from(int first)
{
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
		return;
	for (int fd = first; fd < 1024; fd++)
		close(fd);
}

/* In the child. First all away from the low numbers, then each to its place. */
static void process_place_fds(const int *fds, size_t n_fds)
{
	int moved[PROCESS_FDS_MAX];

	for (size_t i = 0; i < n_fds; i++) {
		moved[i] =
			fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, PROCESS_FIRST_FD + PROCESS_FDS_MAX);
		if (fds[i] >= 0 && moved[i] < 0)
			_exit(127);
	}
	for (size_t i = 0; i < n_fds; i++) {
		int place = PROCESS_FIRST_FD + (int)i;

		if (moved[i] < 0)
			close(place);
		else if (dup2(moved[i], place) < 0)
			_exit(127);
	}
	process_close_from(PROCESS_FIRST_FD + (int)n_fds);
}

/* Where this program is. As a path where that is known (under valgrind /proc/self/exe is valgrind itself),
 * else, when the file was replaced by an upgrade, the link that still leads to it. */
static const char *process_program(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);

	if (n <= 0 || path[0] != '/')
		return "/proc/self/exe";
	path[n] = '\0';
	return text_ends_with(path, " (deleted)") ? "/proc/self/exe" : path;
}

int process_check(struct err *err)
{
	char path[PATH_MAX];
	const char *program = process_program(path);
	CLEANUP_FD int fd = open(program, O_PATH | O_CLOEXEC);

	return fd >= 0 ? 0
		       : err_errno(err, errno,
				 "cannot start this program's processes: %s (is /proc mounted?)", program);
}

static _Noreturn void process_exec(
	const char *program, const char *const *argv, char *const *env, const int *fds, size_t n_fds)
{
	sigset_t none;

	process_place_fds(fds, n_fds);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	execve(program, (char *const *)(uintptr_t)argv, env);
	_exit(127);
}

pid_t process_start(
	const char *const *argv, const int *fds, size_t n_fds, bool with_credentials, struct err *err)
{
	CLEANUP_FREE char **env = process_make_environment(with_credentials);
	char path[PATH_MAX];
	const char *program = process_program(path);
	pid_t pid;

	BUG_ON(n_fds > PROCESS_FDS_MAX);
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start %s", argv[0]);
	if (pid == 0)
		process_exec(program, argv, env, fds, n_fds);
	return pid;
}

const char *process_describe_end(int wait_status, char text[64])
{
	if (WIFEXITED(wait_status))
		(void)snprintf(text, 64, "exited with status %d", WEXITSTATUS(wait_status));
	else if (WIFSIGNALED(wait_status))
		(void)snprintf(text, 64, "killed by signal %d (%.30s)", WTERMSIG(wait_status),
			strsignal(WTERMSIG(wait_status)));
	else
		(void)snprintf(text, 64, "ended in an unknown way");
	return text;
}
