#include "base/err.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void test_set(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(e.class, ERR_NONE);
	assert_int_equal(err_set(&e, ERR_CONF, ENOENT, "no %s in %d", "x", 7), -ENOENT);
	assert_int_equal(e.class, ERR_CONF);
	assert_int_equal(e.code, ENOENT);
	assert_string_equal(e.text, "no x in 7");
	assert_int_equal(err_set(&e, ERR_INPUT, 0, "none"), -EINVAL);
	assert_int_equal(e.code, EINVAL);
	assert_int_equal(err_set(&e, ERR_INPUT, -5, "negative"), -EINVAL);
	assert_int_equal(e.code, EINVAL);
	assert_int_equal(err_set(NULL, ERR_INPUT, EIO, "nobody listens"), -EIO);
}

static void test_errno(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_errno(&e, EACCES, "cannot open %s", "f"), -EACCES);
	assert_int_equal(e.class, ERR_SYSTEM);
	assert_int_equal(e.code, EACCES);
	assert_string_equal(e.text, "cannot open f: Permission denied");
	assert_int_equal(err_errno(NULL, EACCES, "x"), -EACCES);
	assert_int_equal(err_errno(NULL, 0, "x"), -EINVAL);
}

static void test_prefix(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_REMOTE, EPROTO, "inner");
	assert_int_equal(err_prefix(&e, "outer %d", 1), -EPROTO);
	assert_string_equal(e.text, "outer 1: inner");
	assert_int_equal(e.class, ERR_REMOTE);
	assert_int_equal(err_prefix(NULL, "x"), -EINVAL);

	struct err empty = ERR_INIT;

	assert_int_equal(err_prefix(&empty, "x"), -EINVAL);
}

static void test_own_text_as_argument(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_REMOTE, EPROTO, "inner");
	err_set(&e, ERR_SYSTEM, EIO, "it said \"%s\"", e.text);
	assert_string_equal(e.text, "it said \"inner\"");
	err_prefix(&e, "%s", e.text);
	assert_string_equal(e.text, "it said \"inner\": it said \"inner\"");
}

/* Whatever the length in front, a cut never leaves part of a character. */
static void test_cut_between_characters(void **state)
{
	static const char *const characters[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\xa6\x86"};

	(void)state;
	for (size_t c = 0; c < 4; c++) {
		size_t n = strlen(characters[c]);

		for (size_t lead = 0; lead < 8; lead++) {
			char text[3 * ERR_TEXT_BYTES];
			struct err e;

			memset(text, '-', lead);
			for (size_t i = lead; i + n < sizeof(text); i += n) {
				memcpy(text + i, characters[c], n);
				text[i + n] = '\0';
			}
			err_set(&e, ERR_INPUT, EIO, "%s", text);
			assert_true(strlen(e.text) < ERR_TEXT_BYTES);
			assert_true(strlen(e.text) >= ERR_TEXT_BYTES - 4);
			assert_int_equal((strlen(e.text) - lead) % n, 0);
			assert_memory_equal(e.text, text, strlen(e.text));
			err_prefix(&e, "%.*s", (int)lead, "=======");
			assert_int_equal((strlen(e.text) - lead - lead - 2) % n, 0);
			err_errno(&e, EIO, "%s", text);
			assert_int_equal((strlen(e.text) - strlen(": Input/output error") - lead) % n, 0);
			assert_string_equal(e.text + strlen(e.text) - 20, ": Input/output error");
		}
	}
}

/* A long path must hide neither the reason nor what was there before. */
static void test_what_tells_most_is_kept(void **state)
{
	char path[4096];
	struct err e;

	(void)state;
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	err_errno(&e, EACCES, "cannot open %s", path);
	assert_int_equal(strlen(e.text), ERR_TEXT_BYTES - 1);
	assert_string_equal(e.text + ERR_TEXT_BYTES - 1 - 19, ": Permission denied");
	err_set(&e, ERR_INPUT, EIO, "short");
	err_prefix(&e, "%s", path);
	assert_string_equal(e.text + ERR_TEXT_BYTES / 2 - 1, ": short");
}

static void test_bug_aborts_and_says_where(void **state)
{
	int fds[2];
	char said[256] = "";

	(void)state;
	assert_int_equal(pipe(fds), 0);

	pid_t pid = fork();

	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		BUG_ON(1 + 1 == 2);
		_exit(0);
	}
	close(fds[1]);

	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_true(read(fds[0], said, sizeof(said) - 1) > 0);
	assert_non_null(strstr(said, "test_base_err.c:"));
	assert_non_null(strstr(said, "1 + 1 == 2"));
	close(fds[0]);
	BUG_ON(1 + 1 == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_own_text_as_argument),
		cmocka_unit_test(test_cut_between_characters),
		cmocka_unit_test(test_what_tells_most_is_kept),
		cmocka_unit_test(test_bug_aborts_and_says_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
