#include "base/buf.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_builds_and_terminates(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(100);

	(void)state;
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_add(&b, "ab\0c", 4), 0);
	assert_int_equal(buf_adds(&b, "def"), 0);
	assert_int_equal(buf_addc(&b, 'g'), 0);
	assert_int_equal(buf_addf(&b, "%d-%s", 12, "x"), 0);
	assert_int_equal(b.len, 12);
	assert_memory_equal(b.data, "ab\0cdefg12-x", 13);
}

/* Every ceiling, every size of piece: what fits is added whole, what does not is not added at all. */
static void test_ceiling(void **state)
{
	static const char piece[] = "0123456789abcdef";

	(void)state;
	for (size_t max = 0; max < 200; max++)
		for (size_t n = 1; n <= 16; n++) {
			CLEANUP_BUF struct buf b = BUF_INIT(max);

			for (size_t i = 0; i < max / n; i++)
				assert_int_equal(buf_add(&b, piece, n), 0);
			assert_int_equal(b.len, max / n * n);
			assert_true(b.cap <= max + 1);
			assert_int_equal(buf_add(&b, piece, n), -ENOBUFS);
			assert_int_equal(b.len, max / n * n);
			assert_true(b.failed);
			if (b.data != NULL)
				assert_int_equal(b.data[b.len], '\0');
		}
}

static void test_failure_sticks_until_reset(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(3);

	(void)state;
	assert_int_equal(buf_adds(&b, "abc"), 0);
	assert_int_equal(buf_addf(&b, "%d", 1), -ENOBUFS);
	assert_int_equal(buf_add(&b, "", 0), -ENOBUFS);
	assert_string_equal(buf_str(&b), "abc");
	buf_truncate(&b, 0);
	assert_int_equal(buf_addc(&b, 'x'), -ENOBUFS);
	buf_reset(&b);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_adds(&b, "xyz"), 0);
	assert_string_equal(buf_str(&b), "xyz");
}

static void test_sizes_that_overflow(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(SIZE_MAX);

	(void)state;
	assert_int_equal(buf_adds(&b, "abc"), 0);
	assert_int_equal(buf_add(&b, "abc", SIZE_MAX - 3), -ENOBUFS);
	buf_reset(&b);
	assert_int_equal(buf_add(&b, "abc", SIZE_MAX), -ENOBUFS);
}

static void test_cut_and_truncate(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(100);

	(void)state;
	buf_cut_front(&b, 0);
	buf_truncate(&b, 0);
	buf_adds(&b, "abcdef");
	buf_cut_front(&b, 2);
	assert_string_equal(buf_str(&b), "cdef");
	buf_cut_front(&b, 0);
	buf_truncate(&b, 3);
	assert_string_equal(buf_str(&b), "cde");
	buf_cut_front(&b, 3);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.len, 0);
}

static void test_take(void **state)
{
	struct buf b = BUF_INIT(10);
	size_t len = 99;
	char *s = buf_take(&b, &len);

	(void)state;
	assert_string_equal(s, "");
	assert_int_equal(len, 0);
	free(s);
	buf_add(&b, "a\0b", 3);
	s = buf_take(&b, &len);
	assert_memory_equal(s, "a\0b", 4);
	assert_int_equal(len, 3);
	free(s);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.max, 10);
	buf_adds(&b, "again");
	s = buf_take(&b, NULL);
	assert_string_equal(s, "again");
	free(s);
	buf_done(&b);
}

static void test_done_and_init(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	buf_adds(&b, "abcd");
	buf_done(&b);
	buf_done(&b);
	assert_int_equal(buf_addc(&b, 'x'), -ENOBUFS); /* no ceiling named, nothing fits */
	buf_init(&b, 4);
	assert_int_equal(buf_adds(&b, "abcd"), 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builds_and_terminates),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_failure_sticks_until_reset),
		cmocka_unit_test(test_sizes_that_overflow),
		cmocka_unit_test(test_cut_and_truncate),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_done_and_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
