#include "core/brake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_holds_what_is_too_much(void **state)
{
	struct brake b;

	(void)state;
	brake_init(&b, 2, 100);
	assert_int_equal(brake_take(&b, 1000), BRAKE_PASS);
	assert_int_equal(brake_take(&b, 1099), BRAKE_PASS);
	assert_int_equal(brake_due_us(&b), INT64_MAX);
	assert_int_equal(brake_take(&b, 1099), BRAKE_ENGAGE);
	assert_int_equal(brake_take(&b, 1099), BRAKE_HOLD);
	assert_int_equal(brake_due_us(&b), 1100); /* from its first file on */
	assert_false(brake_end(&b, 1099));
	assert_true(brake_end(&b, 1100));
	assert_false(brake_end(&b, 1100));
	assert_int_equal(brake_take(&b, 1101), BRAKE_PASS);
}

/* Without anybody asking for the end: the next file begins a new window. */
static void test_a_new_window(void **state)
{
	struct brake b;

	(void)state;
	brake_init(&b, 1, 100);
	assert_int_equal(brake_take(&b, 0), BRAKE_PASS);
	assert_int_equal(brake_take(&b, 100), BRAKE_PASS);
	assert_int_equal(brake_take(&b, 199), BRAKE_ENGAGE);
	assert_int_equal(brake_take(&b, 200), BRAKE_PASS);
	assert_int_equal(brake_due_us(&b), INT64_MAX);
}

static void test_off(void **state)
{
	struct brake b;

	(void)state;
	brake_init(&b, 0, 0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(brake_take(&b, i), BRAKE_PASS);
}

static void test_restored(void **state)
{
	struct brake b;

	(void)state;
	brake_init(&b, 3, 100);
	brake_restore(&b, 950, 2, 1000);
	assert_int_equal(brake_take(&b, 1000), BRAKE_PASS);
	assert_int_equal(brake_take(&b, 1000), BRAKE_ENGAGE);
	assert_int_equal(brake_due_us(&b), 1050);
	brake_restore(&b, 850, 3, 1000); /* over since 950 */
	assert_int_equal(brake_take(&b, 1000), BRAKE_PASS);
	brake_restore(&b, 5000, 3, 1000); /* the clock was set back meanwhile */
	assert_int_equal(brake_take(&b, 1000), BRAKE_ENGAGE);
	assert_int_equal(brake_due_us(&b), 1100);
	brake_init(&b, 1, INT64_MAX); /* never over */
	assert_int_equal(brake_take(&b, 1000), BRAKE_PASS);
	assert_int_equal(brake_take(&b, INT64_MAX - 1), BRAKE_ENGAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds_what_is_too_much),
		cmocka_unit_test(test_a_new_window),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
