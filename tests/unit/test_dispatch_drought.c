#include "dispatch/drought.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define S INT64_C(1000000)

static void test_long_and_often(void **state)
{
	struct drought d = {.failures = 0};

	(void)state;
	assert_false(drought_is_long(&d, 100 * S));
	drought_hear(&d, "server_error", "busy", 5 * S);
	drought_hear(&d, "server_error", "busier", 6 * S);
	assert_false(drought_is_long(&d, 100 * S)); /* two are no habit */
	drought_hear(&d, "no_answer", "", 8 * S);
	assert_false(drought_is_long(&d, 15 * S - 1));
	assert_true(drought_is_long(&d, 15 * S));
	assert_string_equal(d.words, "no_answer");
	drought_hear(&d, "server_error", "busy", 20 * S);
	assert_int_equal(d.since_us, 5 * S);
	assert_string_equal(d.words, "server_error: busy");
	drought_end(&d);
	assert_false(drought_is_long(&d, 100 * S));
	assert_null(d.words);
	drought_hear(&d, "server_error", NULL, 30 * S);
	assert_int_equal(d.since_us, 30 * S);
	assert_string_equal(d.words, "server_error");
	drought_end(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_and_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
