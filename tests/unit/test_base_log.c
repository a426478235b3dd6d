#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/text.h"
#include "patience.h"

/* stderr becomes one end of a datagram pair: what comes out of the other in one piece was one write(2). */
static int saved_stderr;
static int other_end;

static int capture(void **state)
{
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	other_end = fds[0];
	log_init("brickwatch", LOG_LEVEL_INFO, false);
	return 0;
}

static int release(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(other_end);
	return 0;
}

/* The next write as a string, "" when there was none. */
static const char *written(void)
{
	static char text[8192];
	ssize_t n = recv(other_end, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_levels(void **state)
{
	(void)state;
	log_error("e %d", 1);
	assert_string_equal(written(), "brickwatch: e 1\n");
	log_warning("w");
	assert_string_equal(written(), "brickwatch: w\n");
	log_info("i");
	assert_string_equal(written(), "brickwatch: i\n");
	assert_false(log_is_on(LOG_LEVEL_DEBUG));
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_is_on(LOG_LEVEL_DEBUG));
	log_set_level(LOG_LEVEL_ERROR);
	assert_false(log_is_on(LOG_LEVEL_WARNING));
	log_warning("w");
	log_info("i");
	assert_string_equal(written(), "");
	log_error("e");
	assert_string_equal(written(), "brickwatch: e\n");
}

static void test_journal_prefix(void **state)
{
	(void)state;
	log_init("bw-watch orders", LOG_LEVEL_DEBUG, true);
	log_error("a");
	assert_string_equal(written(), "<3>bw-watch orders: a\n");
	log_warning("b");
	assert_string_equal(written(), "<4>bw-watch orders: b\n");
	log_info("c");
	assert_string_equal(written(), "<6>bw-watch orders: c\n");
	log_trace("inotify", "d");
	assert_string_equal(written(), "<7>bw-watch orders: [inotify] d\n");
}

static void test_nothing_forges_a_line(void **state)
{
	(void)state;
	log_init("a\nb", LOG_LEVEL_INFO, true);
	log_info("x\n<3>root: y\x1b[2J \xff \xc3\xa4 \xc2\x9b");
	assert_string_equal(written(), "<6>a\\nb: x\\n<3>root: y\\x1b[2J \\xff \xc3\xa4 \\xc2\\x9b\n");
	assert_string_equal(written(), "");
	log_info("%s", "");
	assert_string_equal(written(), "<6>a\\nb: \n");
}

/* Lengths around the limit, of plain bytes and of those that grow: one write, at most 4096 bytes, marked when
 * cut. */
static void test_long_lines(void **state)
{
	static char long_text[20000];

	(void)state;
	log_init("p", LOG_LEVEL_INFO, true);
	for (size_t n = 4000; n < 4200; n++) {
		memset(long_text, 'x', n);
		long_text[n] = '\0';
		log_info("%s", long_text);

		const char *line = written();
		size_t len = strlen(line);

		assert_true(len <= 4096);
		assert_int_equal(line[len - 1], '\n');
		if (n + 7 <= 4096)
			assert_int_equal(len, n + 7);
		else
			assert_string_equal(line + len - 4, "\xe2\x80\xa6\n");
		assert_string_equal(written(), "");
	}
	for (size_t n = 1; n < sizeof(long_text); n = n * 2 + 1) {
		memset(long_text, '\n', n);
		long_text[n] = '\0';
		log_info("%s", long_text);

		const char *line = written();

		assert_true(strlen(line) <= 4096);
		assert_true(text_is_utf8(line, strlen(line)));
		assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
		assert_true((strstr(line, "\xe2\x80\xa6") != NULL) == (2 * n + 7 > 4096));
	}
}

static void test_long_process(void **state)
{
	char name[200];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	log_init(name, LOG_LEVEL_INFO, false);
	log_info("x");
	assert_int_equal(strcspn(written(), ":"), 63);
}

static void test_errno_stays(void **state)
{
	(void)state;
	errno = ENOTTY;
	log_info("%m");
	assert_int_equal(errno, ENOTTY);
	assert_string_equal(written(), "brickwatch: Inappropriate ioctl for device\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_info("x");
	assert_int_equal(errno, ENOTTY);
}

/* A reader that does not read must not stop us, nor must a closed stderr. */
static void test_full_or_closed(void **state)
{
	int turns = patience_turns(100000);

	(void)state;
	for (int i = 0; i < turns; i++)
		log_info("%d", i);
	assert_string_equal(written(), "brickwatch: 0\n");

	int kept = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	errno = 0;
	log_info("x");
	assert_int_equal(errno, 0);
	dup2(kept, STDERR_FILENO);
	close(kept);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", "Error", "warn", "info ", "all"};
	enum log_level level = LOG_LEVEL_DEBUG;

	(void)state;
	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		assert_int_equal(log_level_parse(log_level_name((enum log_level)i), &level), 0);
		assert_int_equal(level, i);
	}
	assert_string_equal(log_level_name(LOG_LEVEL_WARNING), "warning");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(log_level_parse(bad[i], &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_levels, capture, release),
		cmocka_unit_test_setup_teardown(test_journal_prefix, capture, release),
		cmocka_unit_test_setup_teardown(test_nothing_forges_a_line, capture, release),
		cmocka_unit_test_setup_teardown(test_long_lines, capture, release),
		cmocka_unit_test_setup_teardown(test_long_process, capture, release),
		cmocka_unit_test_setup_teardown(test_errno_stays, capture, release),
		cmocka_unit_test_setup_teardown(test_full_or_closed, capture, release),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
