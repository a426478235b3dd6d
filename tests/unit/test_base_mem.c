#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void test_zeroed(void **state)
{
	static const char zero[300];
	CLEANUP_FREE char *a = mem_alloc(sizeof(zero));
	CLEANUP_FREE char *b = mem_array(3, 100);
	CLEANUP_FREE char *none = mem_alloc(0);
	CLEANUP_FREE char *no_items = mem_array(0, 100);

	(void)state;
	assert_memory_equal(a, zero, sizeof(zero));
	assert_memory_equal(b, zero, sizeof(zero));
	assert_non_null(none);
	assert_non_null(no_items);
}

static void test_resize(void **state)
{
	char *p = mem_resize(NULL, 2, 3);

	(void)state;
	memcpy(p, "abcde", 6);
	p = mem_resize(p, 1000, 10);
	assert_string_equal(p, "abcde");
	p = mem_resize(p, 0, 10);
	assert_non_null(p);
	free(p);
}

static void test_strings(void **state)
{
	CLEANUP_FREE char *a = mem_strdup("abc");
	CLEANUP_FREE char *b = mem_strndup("abcdef", 3);
	CLEANUP_FREE char *c = mem_strndup("ab", 30);
	CLEANUP_FREE char *d = mem_dup("a\0b", 3);
	CLEANUP_FREE char *e = mem_dup(NULL, 0);
	CLEANUP_FREE char *f = mem_printf("%s-%d", "x", 12);

	(void)state;
	assert_string_equal(a, "abc");
	assert_string_equal(b, "abc");
	assert_string_equal(c, "ab");
	assert_memory_equal(d, "a\0b", 4);
	assert_string_equal(e, "");
	assert_string_equal(f, "x-12");
}

/* mem_strndup must not look behind n bytes */
static void test_strndup_reads_only_its_bytes(void **state)
{
	char *three = mem_alloc(3);

	(void)state;
	memcpy(three, "xyz", 3);

	CLEANUP_FREE char *copy = mem_strndup(three, 3);

	assert_string_equal(copy, "xyz");
	free(three);
}

static void overflow_array(void)
{
	free(mem_array(SIZE_MAX / 2, 3));
}

static void overflow_resize(void)
{
	free(mem_resize(NULL, SIZE_MAX / 2, 3));
}

static void overflow_dup(void)
{
	free(mem_dup("", SIZE_MAX));
}

static void test_overflow_ends_the_program(void **state)
{
	static void (*const calls[])(void) = {overflow_array, overflow_resize, overflow_dup};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
			calls[i]();
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_strndup_reads_only_its_bytes),
		cmocka_unit_test(test_overflow_ends_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
