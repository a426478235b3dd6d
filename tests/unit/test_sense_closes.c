/* sense/closes: which close is carried to which name, and that the memory is bounded. */
#include "sense/closes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void test_inodes(void **state)
{
	static const struct {
		struct closes_inode closed, asked;
		bool carried;
	} rows[] = {
		{{.ino = 5, .birth_ns = 7, .links = 1}, {.ino = 5, .birth_ns = 7, .links = 1}, true},
		{{.ino = 5, .birth_ns = 7, .links = 1}, {.ino = 5, .birth_ns = 8, .links = 1},
			false}, /* the number is used again */
		{{.ino = 5, .birth_ns = 7, .links = 1}, {.ino = 6, .birth_ns = 7, .links = 1}, false},
		{{.ino = 5, .links = 1}, {.ino = 5, .links = 1},
			false}, /* no birth time: could be a new file */
		{{.ino = 5, .links = 1}, {.ino = 5, .links = 2}, true}, /* … but not when it has two links */
		{{.ino = 0, .links = 1}, {.ino = 0, .links = 2}, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct closes *c = closes_new();

		closes_add(c, &rows[i].closed, 1);
		assert_int_equal(closes_has(c, &rows[i].asked, 2), rows[i].carried);
		closes_free(c);
	}
}

/* close, rename away, create anew under the old name, all before anybody looked: the close seen under that
 * name was not the new file's, wherever that goes later. */
static void test_not_to_itself(void **state)
{
	const uint64_t a = closes_under("1a", 2), b = closes_under("1b", 2);
	const struct closes_inode i = {.ino = 5, .birth_ns = 7, .links = 1};
	struct closes *c = closes_new();

	(void)state;
	assert_int_not_equal(a, b);
	assert_int_not_equal(a, 0);
	closes_add(c, &i, a);
	assert_false(closes_has(c, &i, a));
	assert_true(closes_created(c, &i, b)); /* a link of it */
	assert_true(closes_has(c, &i, b));
	assert_false(closes_created(c, &i, a));
	assert_false(closes_has(c, &i, b));
	closes_add(c, &i, b); /* closed in truth */
	assert_true(closes_has(c, &i, a));
	closes_free(c);
}

static void test_is_bounded(void **state)
{
	struct closes *c = closes_new();
	struct closes_inode i = {.birth_ns = 1};
	char name[16];
	size_t kept = 0;

	(void)state;
	for (i.ino = 1; i.ino <= 50000; i.ino++) {
		closes_add(c, &i, 1);
		(void)snprintf(name, sizeof(name), "%d", (int)i.ino);
		closes_name(c, name, strlen(name), true)->closed = true;
	}
	for (i.ino = 1; i.ino <= 50000; i.ino++) {
		(void)snprintf(name, sizeof(name), "%d", (int)i.ino);
		kept += closes_has(c, &i, 2);
		assert_int_equal(closes_has(c, &i, 2), closes_name(c, name, strlen(name), false) != NULL);
	}
	assert_int_equal(kept, 8192);
	i.ino = 50000; /* the youngest are kept */
	assert_true(closes_has(c, &i, 2));
	closes_name_forget(c, "50000", 5);
	assert_null(closes_name(c, "50000", 5, false));
	closes_free(c);
}

static void test_moves(void **state)
{
	struct closes *c = closes_new();
	struct closes_move m = {.cookie = 9, .closed = true}, got;

	(void)state;
	assert_false(closes_moved_to(c, 9, &got));
	closes_moved_from(c, &m);
	assert_true(closes_moved_to(c, 9, &got));
	assert_true(got.closed);
	assert_false(closes_moved_to(c, 9, &got)); /* once */
	assert_false(closes_moved_to(c, 0, &got));
	for (m.cookie = 1; m.cookie < 5000; m.cookie++)
		closes_moved_from(c, &m);
	assert_false(closes_moved_to(c, 1, &got));
	assert_true(closes_moved_to(c, 4999, &got));
	closes_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inodes),
		cmocka_unit_test(test_not_to_itself),
		cmocka_unit_test(test_is_bounded),
		cmocka_unit_test(test_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
