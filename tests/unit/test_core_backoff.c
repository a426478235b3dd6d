#include "core/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define S INT64_C(1000000)

static void ceiling_doubles_up_to_a_minute(void **state)
{
	static const struct {
		unsigned failures;
		int64_t ceiling_us;
	} rows[] = {
		{0, 1 * S},
		{1, 1 * S},
		{2, 2 * S},
		{3, 4 * S},
		{6, 32 * S},
		{7, 60 * S},
		{8, 60 * S},
		{100, 60 * S},
		{UINT32_MAX, 60 * S},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(backoff_ceiling_us(rows[i].failures), rows[i].ceiling_us);
}

static void every_time_up_to_the_ceiling_can_come(void **state)
{
	(void)state;
	assert_int_equal(backoff_delay_us(1, 0, 0), 0);
	assert_int_equal(backoff_delay_us(1, 0, 1 * S), 1 * S);
	assert_int_equal(backoff_delay_us(1, 0, 1 * S + 1), 0);
	assert_int_equal(backoff_delay_us(9, 0, 60 * S), 60 * S);
	for (unsigned failures = 0; failures < 12; failures++)
		for (uint64_t random = 1, i = 0; i < 1000;
			i++, random = random * 6364136223846793005U + 1442695040888963407U) {
			int64_t delay_us = backoff_delay_us(failures, 0, random);

			assert_in_range(delay_us, 0, backoff_ceiling_us(failures));
		}
	assert_in_range(backoff_delay_us(3, 0, UINT64_MAX), 0, 4 * S);
}

static void jitter_is_even(void **state)
{
	int64_t sum_us = 0;
	uint64_t random = 42;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		random = random * 6364136223846793005U + 1442695040888963407U;
		sum_us += backoff_delay_us(5, 0, random >> 11);
	}
	assert_in_range(sum_us / 10000, 7 * S + 500000, 8 * S + 500000); /* of 0..16 s */
}

static void the_server_sets_the_lower_bound(void **state)
{
	(void)state;
	assert_int_equal(backoff_delay_us(1, 7 * S, 123), 7 * S);
	assert_int_equal(backoff_delay_us(7, 7 * S, 50 * S), 50 * S);
	assert_int_equal(backoff_delay_us(1, -5 * S, 123), 123);
	assert_int_equal(backoff_delay_us(1, INT64_MIN, 123), 123);
	assert_int_equal(backoff_delay_us(1, 3600 * S, 123), 3600 * S);
	assert_int_equal(backoff_delay_us(1, INT64_MAX, 123), BACKOFF_RETRY_AFTER_MAX_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ceiling_doubles_up_to_a_minute),
		cmocka_unit_test(every_time_up_to_the_ceiling_can_come),
		cmocka_unit_test(jitter_is_even),
		cmocka_unit_test(the_server_sets_the_lower_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
