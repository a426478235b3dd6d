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

/* Each refusal halves, those of requests that were out together only once; not below a 64th. */
static void slowed_by_refusals(void **state)
{
	struct rate r;
	int64_t now_us = START;

	(void)state;
	rate_init(&r, 64, S, 16, START);
	assert_true(rate_is_full(&r));
	assert_true(rate_slow(&r, START - 2, START));
	assert_false(rate_slow(&r, START - 1, START));
	assert_false(rate_is_full(&r));
	take_all(&r, START, 8); /* what is left of the burst */
	assert_int_equal(rate_next_us(&r, START), START + S / 32);
	for (int i = 0; i < 20; i++) {
		now_us += S;
		assert_int_equal(rate_slow(&r, now_us - 1, now_us), i < 5);
	}
	now_us += 60 * S;
	take_all(&r, now_us, 1);
	assert_int_equal(rate_next_us(&r, now_us), now_us + S); /* one a second: a 64th */
}

/* Successes bring it back, in eight seconds at the earliest, and never above the limit. */
static void eased_by_successes(void **state)
{
	struct rate r;
	int64_t now_us = START;
	int steps = 0;

	(void)state;
	rate_init(&r, 64, S, 16, START);
	assert_false(rate_ease(&r, START));
	for (int i = 0; i < 6; i++)
		assert_true(rate_slow(&r, START + i, START + i));
	while (!rate_is_full(&r)) {
		now_us += 10000;
		steps += rate_ease(&r, now_us);
	}
	assert_int_equal(steps, 32);
	assert_in_range(now_us - START, 8 * S, 9 * S);
	assert_false(rate_ease(&r, now_us + S));
	now_us += 60 * S;
	take_all(&r, now_us, 16);
	assert_int_equal(rate_next_us(&r, now_us), now_us + S / 64);
	/* in the middle of it: a share of the new limit */
	assert_true(rate_slow(&r, now_us, now_us));
	rate_set(&r, 128, S, 1, now_us);
	now_us += S;
	take_all(&r, now_us, 1);
	assert_int_equal(rate_next_us(&r, now_us), now_us + S / 64);
}

static void no_limit_is_not_slowed(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 0, S, 1, START);
	assert_false(rate_slow(&r, START, START));
	assert_true(rate_take(&r, START) && rate_take(&r, START));
	rate_init(&r, INT64_MAX, INT64_MAX, INT64_MAX, START);
	assert_true(rate_slow(&r, START, START)); /* nothing overflows */
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
		cmocka_unit_test(slowed_by_refusals),
		cmocka_unit_test(eased_by_successes),
		cmocka_unit_test(no_limit_is_not_slowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
