#include "base/crash.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#ifdef BW_CRASH_POINTS

static int counter_fd;

/* How a child ends that comes to the place "here" so many times, when BW_CRASH is set so. */
static int end_of_child(const char *place, const char *nth, int times)
{
	char setting[128];
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)snprintf(setting, sizeof(setting), "%s:%s:/proc/self/fd/%d", place, nth, counter_fd);
		(void)setenv("BW_CRASH", setting, 1);
		crash_init();
		for (int i = 0; i < times; i++) {
			CRASH_POINT_AFTER("here", (void)!write(counter_fd, "", 0));
			if (i == 2)
				CRASH_POINT("there");
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int set_up(void **state)
{
	(void)state;
	counter_fd = memfd_create("counter", 0);
	return ftruncate(counter_fd, CRASH_FILE_BYTES);
}

static int tear_down(void **state)
{
	(void)state;
	return close(counter_fd);
}

static void the_nth_of_all_lives_is_killed(void **state)
{
	int64_t hits = 0;

	(void)state;
	assert_int_equal(end_of_child("here", "3", 2), 0);
	assert_int_equal(WTERMSIG(end_of_child("here", "3", 2)), SIGKILL);
	assert_int_equal(end_of_child("here", "3", 2), 0); /* who comes later goes on */
	assert_int_equal(pread(counter_fd, &hits, sizeof(hits), 0), sizeof(hits));
	assert_int_equal(hits, 5);
}

static void another_name_is_none(void **state)
{
	(void)state;
	assert_int_equal(end_of_child("elsewhere", "1", 5), 0);
}

static void only_after_another_place(void **state)
{
	int64_t hits = 0;

	(void)state;
	assert_int_equal(end_of_child("there>here", "1", 3), 0);
	assert_int_equal(WTERMSIG(end_of_child("there>here", "1", 4)), SIGKILL);
	assert_int_equal(pread(counter_fd, &hits, sizeof(hits), 0), sizeof(hits));
	assert_int_equal(hits, 1);
	assert_int_equal(end_of_child("nowhere>here", "1", 5), 0);
}

static void a_setting_that_is_none_ends_the_process(void **state)
{
	(void)state;
	assert_int_equal(WEXITSTATUS(end_of_child("here", "0", 1)), 2);
	assert_int_equal(WEXITSTATUS(end_of_child("here", "x", 1)), 2);
	assert_int_equal(ftruncate(counter_fd, 0), 0);
	assert_int_equal(WEXITSTATUS(end_of_child("here", "1", 1)), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_nth_of_all_lives_is_killed),
		TEST(another_name_is_none),
		TEST(only_after_another_place),
		TEST(a_setting_that_is_none_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void an_ordinary_build_has_none(void **state)
{
	int steps = 0;

	(void)state;
	(void)setenv("BW_CRASH", "here:1:/nowhere", 1);
	crash_init();
	CRASH_POINT_AFTER("here", steps++);
	assert_int_equal(steps, 0);
	assert_string_equal(CRASH_BUILD, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(an_ordinary_build_has_none)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
