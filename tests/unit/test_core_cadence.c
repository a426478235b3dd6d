#include "core/cadence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define S INT64_C(1000000)

static void a_quick_mount_is_listed_at_the_interval(void **state)
{
	(void)state;
	assert_int_equal(cadence_pause_us(10 * S, 0, 0), 10 * S);
	assert_int_equal(cadence_pause_us(10 * S, 1 * S, 0), 10 * S);
	assert_int_equal(cadence_pause_us(10 * S, 0, 1 * S), 9 * S);
	assert_int_equal(cadence_pause_us(10 * S, 0, 1 * S + 1), 10 * S);
	for (uint64_t random = 1; random != 0; random <<= 1) {
		int64_t pause_us = cadence_pause_us(10 * S, 0, random * 2654435761u);

		assert_true(pause_us >= 9 * S && pause_us <= 10 * S);
	}
}

static void a_slow_one_gets_nine_parts_of_rest(void **state)
{
	(void)state;
	assert_int_equal(cadence_pause_us(10 * S, 2 * S, 0), 18 * S);
	assert_int_equal(cadence_pause_us(10 * S, 2 * S, 12345), 18 * S);
	assert_int_equal(cadence_pause_us(S / 10, 3600 * S, 7), 9 * 3600 * S);
	assert_true(cadence_pause_us(S, INT64_MAX, 1) > INT64_MAX / 2);
	assert_int_equal(cadence_pause_us(0, 0, 99), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quick_mount_is_listed_at_the_interval),
		cmocka_unit_test(a_slow_one_gets_nine_parts_of_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
