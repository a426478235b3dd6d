/* base/terminal: how many columns text takes, and that what is cut fits. */
#include "base/terminal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"

static void columns_are_not_bytes(void **state)
{
	(void)state;
	assert_int_equal(terminal_width(""), 0);
	assert_int_equal(terminal_width("abc"), 3);
	assert_int_equal(terminal_width("\xc3\xa4…"), 2);
	assert_int_equal(terminal_width("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* two ideographs */
	assert_int_equal(terminal_width("e\xcc\x81"), 1);		 /* a combining accent */
	assert_int_equal(terminal_width("\xf0\x9f\x98\x80"), 2);
}

static void what_is_cut_fits(void **state)
{
	static const struct {
		const char *s;
		size_t columns;
		const char *end, *front;
	} rows[] = {
		{"abcdef", 6, "abcdef", "abcdef"},
		{"abcdef", 5, "abcd…", "…cdef"},
		{"abcdef", 1, "…", "…"},
		{"", 1, "", ""},
		{"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, "\xe6\x97\xa5\xe6\x9c\xac…",
			"…\xe6\x9c\xac\xe8\xaa\x9e"},
		{"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4, "\xe6\x97\xa5…", "…\xe8\xaa\x9e"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf end = BUF_INIT(100), front = BUF_INIT(100);

		assert_int_equal(terminal_add_cut(&end, rows[i].s, rows[i].columns), 0);
		assert_int_equal(terminal_add_cut_front(&front, rows[i].s, rows[i].columns), 0);
		assert_string_equal(buf_str(&end), rows[i].end);
		assert_string_equal(buf_str(&front), rows[i].front);
		assert_true(terminal_width(buf_str(&end)) <= rows[i].columns);
		assert_true(terminal_width(buf_str(&front)) <= rows[i].columns);
	}
}

static void only_a_terminal_has_columns(void **state)
{
	struct winsize size = {.ws_col = 132, .ws_row = 50};
	int pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC),
	    tty;

	(void)state;
	assert_true(null >= 0);
	assert_int_equal(terminal_columns(null), 0);
	close(null);
	if (pty < 0)
		skip();
	assert_int_equal(grantpt(pty), 0);
	assert_int_equal(unlockpt(pty), 0);
	tty = open(ptsname(pty), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(tty >= 0);
	assert_int_equal(terminal_columns(tty), TERMINAL_COLUMNS); /* it does not know */
	assert_int_equal(ioctl(pty, TIOCSWINSZ, &size), 0);
	assert_int_equal(terminal_columns(tty), 132);
	close(tty);
	close(pty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_not_bytes),
		cmocka_unit_test(what_is_cut_fits),
		cmocka_unit_test(only_a_terminal_has_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
