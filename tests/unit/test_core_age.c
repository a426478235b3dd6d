#include "core/age.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define S INT64_C(1000000)

static void test_what_was_there_is_old(void **state)
{
	struct age a;

	(void)state;
	age_init(&a, 7);
	assert_int_equal(a.old_id, 7);
	assert_false(age_note(&a, 7, 0));
	assert_false(age_note(&a, 8, 1));
	assert_int_equal(a.old_id, 7);
}

/* A row becomes old a minute after it came, however often and however seldom it is asked. */
static void test_rows_become_old(void **state)
{
	struct age a;

	(void)state;
	age_init(&a, 0);
	assert_false(age_note(&a, 1, 0));
	assert_false(age_note(&a, 2, 10 * S));
	assert_false(age_note(&a, 2, 59 * S));
	assert_int_equal(a.old_id, 0);
	assert_true(age_note(&a, 2, 60 * S));
	assert_int_equal(a.old_id, 1);
	/* quiet for hours, then a new one: that one is young */
	assert_true(age_note(&a, 3, 20000 * S));
	assert_int_equal(a.old_id, 2);
	assert_false(age_note(&a, 3, 20059 * S));
	assert_true(age_note(&a, 3, 20060 * S));
	assert_int_equal(a.old_id, 3);
}

/* A stream of rows, told at any pace: none is young for more than a minute, none is old before 55 s. */
static void test_a_stream(void **state)
{
	struct age a;

	(void)state;
	age_init(&a, 0);
	for (int64_t id = 1; id < 20000; id++) { /* row number id came at id * 37 ms */
		int64_t now_us = id * 37000;

		(void)age_note(&a, id, now_us);
		if (a.old_id > 0)
			assert_true(a.old_id * 37000 <= now_us - AGE_YOUNG_US + AGE_STEP_US);
		if (now_us > AGE_YOUNG_US)
			assert_true((a.old_id + 1) * 37000 + AGE_YOUNG_US + AGE_STEP_US > now_us);
		assert_true(a.marks_n < AGE_MARKS);
	}
}

/* A transaction that was given up: its numbers come again. */
static void test_numbers_that_come_again(void **state)
{
	struct age a;

	(void)state;
	age_init(&a, 0);
	(void)age_note(&a, 9, 0);
	(void)age_note(&a, 5, 10 * S);
	(void)age_note(&a, 9, 20 * S);
	(void)age_note(&a, 10, 30 * S);
	assert_true(age_note(&a, 10, 60 * S));
	assert_int_equal(a.old_id, 9); /* taken for older than it is, never for younger */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_there_is_old),
		cmocka_unit_test(test_rows_become_old),
		cmocka_unit_test(test_a_stream),
		cmocka_unit_test(test_numbers_that_come_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
