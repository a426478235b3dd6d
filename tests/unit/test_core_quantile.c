#include "core/quantile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/mem.h"

static void test_empty(void **state)
{
	struct quantile q = {.count = 0};

	(void)state;
	assert_int_equal(quantile_at(&q, 50), -1);
	assert_int_equal(quantile_at(&q, 100), -1);
	quantile_done(&q);
}

static void test_one_value_is_every_quantile(void **state)
{
	static const int64_t values[] = {0, 1, 63, 64, 127};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct quantile q = {.count = 0};

		quantile_add(&q, values[i]);
		assert_int_equal(quantile_at(&q, 1), values[i]);
		assert_int_equal(quantile_at(&q, 50), values[i]);
		assert_int_equal(quantile_at(&q, 100), values[i]);
		quantile_done(&q);
	}
}

static void test_nearest_rank(void **state)
{
	struct quantile q = {.count = 0};

	(void)state;
	for (int64_t v = 100; v >= 1; v--)
		quantile_add(&q, v);
	assert_int_equal(quantile_at(&q, 1), 1);
	assert_int_equal(quantile_at(&q, 50), 50);
	assert_int_equal(quantile_at(&q, 95), 95);
	assert_int_equal(quantile_at(&q, 100), 100);
	quantile_done(&q);
	/* of three the second is the one that half of them do not exceed, and of four, too */
	for (int64_t v = 1; v <= 3; v++)
		quantile_add(&q, v);
	assert_int_equal(quantile_at(&q, 50), 2);
	quantile_add(&q, 4);
	assert_int_equal(quantile_at(&q, 50), 2);
	assert_int_equal(quantile_at(&q, 95), 4);
	quantile_done(&q);
}

static void test_the_error_has_a_bound(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 63; bit++)
		for (unsigned i = 0; i < 200; i++) {
			uint64_t low = UINT64_C(1) << bit;
			int64_t value = (int64_t)(low + low / 200 * i + i % (low < 200 ? low : 200));
			struct quantile q = {.count = 0};
			int64_t told, off;

			quantile_add(&q, value);
			told = quantile_at(&q, 50);
			off = told > value ? told - value : value - told;
			assert_true(off <= value / 128);
			quantile_done(&q);
		}
}

static void test_ends_of_the_range(void **state)
{
	struct quantile q = {.count = 0};

	(void)state;
	quantile_add(&q, INT64_MIN);
	assert_int_equal(quantile_at(&q, 50), 0);
	quantile_add(&q, INT64_MAX);
	assert_true(quantile_at(&q, 100) > INT64_MAX / 128 * 127);
	quantile_done(&q);
}

static void test_joined_is_as_if_added_to_one(void **state)
{
	struct quantile a = {.count = 0}, b = {.count = 0}, all = {.count = 0};
	uint64_t seed = 88172645463325252U;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		quantile_add(i % 3 ? &a : &b, (int64_t)(seed >> (seed % 50 + 10)));
		quantile_add(&all, (int64_t)(seed >> (seed % 50 + 10)));
	}
	quantile_join(&a, &b);
	assert_int_equal(a.count, all.count);
	for (unsigned percent = 1; percent <= 100; percent++)
		assert_int_equal(quantile_at(&a, percent), quantile_at(&all, percent));
	quantile_done(&a);
	quantile_done(&b);
	quantile_done(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_value_is_every_quantile),
		cmocka_unit_test(test_nearest_rank),
		cmocka_unit_test(test_the_error_has_a_bound),
		cmocka_unit_test(test_ends_of_the_range),
		cmocka_unit_test(test_joined_is_as_if_added_to_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
