#include "core/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define S INT64_C(1000000)
#define START (INT64_C(987654321) * 1000000) /* a machine that has been up for 31 years */

/* Takes as soon as it may, n times; returns the time of the last. */
static int64_t take_all(struct rate *r, int64_t now_us, int n)
{
	for (int i = 0; i < n; i++) {
		int64_t next_us = rate_next_us(r, now_us);

		assert_true(next_us >= now_us);
		if (next_us > now_us)
			assert_false(rate_take(r, next_us - 1));
		now_us = next_us;
		assert_true(rate_take(r, now_us));
	}
	return now_us;
}

static void burst_then_pace(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 5, S, 20, START);
	assert_int_equal(take_all(&r, START, 20), START);
	assert_false(rate_take(&r, START));
	assert_int_equal(rate_next_us(&r, START), START + 200000);
	assert_int_equal(take_all(&r, START, 5), START + S);
}

static void long_run_is_exact(void **state)
{
	static const struct {
		int64_t count, per_us, burst;
		int takes;
		int64_t last_us; /* after the start */
	} rows[] = {
		{3, S, 1, 3001, 1000 * S}, /* a third of a second each */
		{7, S, 1, 7001, 1000 * S},
		{10000, 3600 * S, 10000, 20000, 3600 * S},
		{1000000, S, 1, 100001, 100000},
		{1, 7 * 86400 * S, 1, 5, 4 * 7 * 86400 * S},
		{1, S, 100, 200, 100 * S},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rate r;

		rate_init(&r, rows[i].count, rows[i].per_us, rows[i].burst, START);
		assert_int_equal(take_all(&r, START, rows[i].takes), START + rows[i].last_us);
	}
}

static void asking_often_changes_nothing(void **state)
{
	struct rate r;
	int taken = 0;

	(void)state;
	rate_init(&r, 3, S, 1, START);
	for (int64_t us = 0; us <= 10 * S; us += 7)
		if (rate_take(&r, START + us))
			taken++;
	assert_in_range(taken, 30, 31);
}

static void never_more_than_the_burst_after_a_pause(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 5, S, 3, 0);
	assert_int_equal(take_all(&r, 0, 3), 0);
	assert_int_equal(take_all(&r, INT64_MAX - 10 * S, 3), INT64_MAX - 10 * S);
	assert_false(rate_take(&r, INT64_MAX - 10 * S));
}

static void clock_that_goes_back_stands_still(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 1, S, 1, START);
	assert_true(rate_take(&r, START));
	assert_false(rate_take(&r, START - 100 * S));
	assert_int_equal(rate_next_us(&r, START - 100 * S), START + S);
	assert_false(rate_take(&r, START + S - 1));
	assert_true(rate_take(&r, START + S));
}

static void count_zero_is_no_limit(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 0, 0, 0, START);
	for (int i = 0; i < 1000; i++)
		assert_true(rate_take(&r, START));
	assert_int_equal(rate_next_us(&r, START), START);
}

static void odd_numbers_do_no_harm(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, -5, S, 1, START);
	assert_true(rate_take(&r, START) && rate_take(&r, START));
	rate_init(&r, 1, -1, -1, START);
	assert_true(rate_take(&r, START));
	assert_false(rate_take(&r, START));
	assert_true(rate_take(&r, START + 1));
	rate_init(&r, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MIN);
	assert_true(rate_take(&r, INT64_MAX));
}

static void new_limits_keep_what_is_there(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 5, S, 20, START);
	take_all(&r, START, 16);
	rate_set(&r, 1, 60 * S, 10, START);
	assert_int_equal(take_all(&r, START, 4), START);
	assert_int_equal(rate_next_us(&r, START), START + 60 * S);

	rate_init(&r, 5, S, 20, START);
	rate_set(&r, 5, S, 2, START);
	assert_int_equal(take_all(&r, START, 3), START + 200000);

	rate_init(&r, 0, S, 1, START); /* from no limit to one: full */
	rate_set(&r, 1, S, 2, START);
	assert_int_equal(take_all(&r, START, 2), START);
	assert_false(rate_take(&r, START));

	rate_set(&r, 0, S, 1, START);
	assert_true(rate_take(&r, START));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_then_pace),
		cmocka_unit_test(long_run_is_exact),
		cmocka_unit_test(asking_often_changes_nothing),
		cmocka_unit_test(never_more_than_the_burst_after_a_pause),
		cmocka_unit_test(clock_that_goes_back_stands_still),
		cmocka_unit_test(count_zero_is_no_limit),
		cmocka_unit_test(odd_numbers_do_no_harm),
		cmocka_unit_test(new_limits_keep_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
