#include "core/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const uint64_t key[2] = {1, 2};

static bool meet(struct recent *r, int n)
{
	return recent_meet(r, &n, sizeof(n));
}

static void test_remembers_the_last_ones(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 100, 4096, 5000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int n = (int)sizes[i];

		for (int all = n; all < 3 * n; all += n / 3 + 1) {
			struct recent *r = recent_new(sizes[i], key);

			for (int k = 0; k < all; k++) {
				assert_false(meet(r, k));
				assert_true(meet(r, k));
			}
			for (int k = all - n; k < all; k++)
				assert_true(meet(r, k));
			recent_free(r);
		}
	}
}

static void test_forgets_old_ones(void **state)
{
	struct recent *r = recent_new(10, key);

	(void)state;
	for (int k = 0; k < 31; k++)
		assert_false(meet(r, k));
	assert_false(meet(r, 0));
	recent_free(r);
}

static void test_one_that_comes_again_and_again_stays(void **state)
{
	struct recent *r = recent_new(10, key);

	(void)state;
	assert_false(meet(r, -1));
	for (int k = 0; k < 1000; k++) {
		assert_false(meet(r, k));
		assert_true(meet(r, -1));
	}
	recent_free(r);
}

static void test_bytes_of_any_length(void **state)
{
	struct recent *r = recent_new(10, key);

	(void)state;
	assert_false(recent_meet(r, "", 0));
	assert_true(recent_meet(r, "", 0));
	assert_false(recent_meet(r, "a", 1));
	assert_false(recent_meet(r, "a\0b", 3));
	assert_true(recent_meet(r, "a", 1));
	recent_free(r);
	recent_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remembers_the_last_ones),
		cmocka_unit_test(test_forgets_old_ones),
		cmocka_unit_test(test_one_that_comes_again_and_again_stays),
		cmocka_unit_test(test_bytes_of_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
