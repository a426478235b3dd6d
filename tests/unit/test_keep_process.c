/* keep/process: what a child gets: its descriptors, no others, and a short environment. The test is its own
 * child. */
#include "keep/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* The child says on descriptor 3 what it sees. */
static int child(void)
{
	static const char *const names[] = {"DATABRICKS_TOKEN", "HOME", "CREDENTIALS_DIRECTORY", "TZ"};
	char text[256];
	int n = 0, open_fds = 0;

	for (int fd = 3; fd < 100; fd++)
		open_fds += fcntl(fd, F_GETFD) >= 0 ? 1 << (fd < 10 ? fd : 10) : 0;
	n += snprintf(text, sizeof(text), "fds %x", (unsigned)open_fds);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (getenv(names[i]))
			n += snprintf(text + n, sizeof(text) - (size_t)n, " %s", names[i]);
	return write(3, text, (size_t)n) == n ? 7 : 1;
}

static const char *test_ask(bool with_credentials, int extra_fd, int *ret_status)
{
	static char text[256];
	const char *const argv[] = {"bw-child", NULL};
	struct err err = ERR_INIT;
	int fds[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = process_start(argv, (const int[]){fds[1], -1, extra_fd}, 3, with_credentials, &err);
	assert_true(pid > 0);
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, ret_status, 0), pid);
	return text;
}

static void test_child(void **state)
{
	int leaked = open("/dev/null", O_RDONLY), status; /* not CLOEXEC on purpose */
	int extra = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char text[64];

	(void)state;
	assert_true(leaked >= 0 && extra >= 0);
	assert_int_equal(setenv("DATABRICKS_TOKEN", "secret", 1), 0);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/c", 1), 0);
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	assert_string_equal(test_ask(false, extra, &status), "fds 28 TZ"); /* 3 and 5, nothing else */
	assert_string_equal(process_describe_end(status, text), "exited with status 7");
	assert_string_equal(test_ask(true, -1, &status), "fds 8 CREDENTIALS_DIRECTORY TZ");
	close(leaked);
	close(extra);
}

static void test_describe(void **state)
{
	char text[64];

	(void)state;
	assert_string_equal(process_describe_end(0, text), "exited with status 0");
	assert_string_equal(process_describe_end(9, text), "killed by signal 9 (Killed)");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_describe),
	};

	if (argc > 0 && strcmp(argv[0], "bw-child") == 0)
		return child();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
