/* core/metrics: the text format of Prometheus, byte for byte. */
#include "core/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"

static void samples_have_the_exact_format(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(4096);
	const struct metrics_label labels[] = {{"watch", "orders"}, {"state", "held"}};

	(void)state;
	metrics_begin(&b, METRICS_FILES);
	metrics_add(&b, METRICS_FILES, labels, 2, 7);
	metrics_add(&b, METRICS_RUNNING, NULL, 0, -1);
	assert_string_equal(buf_str(&b), "# HELP brickwatch_files Versions of files in the ledger\n"
					 "# TYPE brickwatch_files gauge\n"
					 "brickwatch_files{watch=\"orders\",state=\"held\"} 7\n"
					 "brickwatch_running -1\n");
}

static void values_of_labels_are_escaped(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(4096);
	const struct metrics_label label = {"workspace", "a\\b\"c\nd\xff"};

	(void)state;
	metrics_add(&b, METRICS_WORKSPACE_UP, &label, 1, 1);
	assert_string_equal(
		buf_str(&b), "brickwatch_workspace_up{workspace=\"a\\\\b\\\"c\\nd\xef\xbf\xbd\"} 1\n");
}

static void times_are_seconds_without_loss(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(4096);

	(void)state;
	metrics_add_us(&b, METRICS_START, NULL, 0, INT64_C(1769853600000001));
	metrics_add_us(&b, METRICS_START, NULL, 0, -1500000);
	metrics_add_us(&b, METRICS_START, NULL, 0, 0);
	assert_string_equal(buf_str(&b), "brickwatch_start_timestamp_seconds 1769853600.000001\n"
					 "brickwatch_start_timestamp_seconds -1.500000\n"
					 "brickwatch_start_timestamp_seconds 0.000000\n");
}

static void a_histogram_is_cumulative(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(8192);
	const struct metrics_label label = {"watch", "w"};
	struct metrics_histogram h = {.sum_us = 0};

	(void)state;
	metrics_observe(&h, -5);
	metrics_observe(&h, 50 * US_PER_MS); /* a bound belongs to its bucket */
	metrics_observe(&h, 50 * US_PER_MS + 1);
	metrics_observe(&h, 3 * 3600 * US_PER_S);
	metrics_add_histogram(&b, METRICS_LATENCY, &label, &h);
	assert_non_null(
		strstr(buf_str(&b), "brickwatch_start_latency_seconds_bucket{watch=\"w\",le=\"0.050\"} 2\n"
				    "brickwatch_start_latency_seconds_bucket{watch=\"w\",le=\"0.100\"} 3\n"));
	assert_non_null(strstr(buf_str(&b), "le=\"7200.000\"} 3\n"));
	assert_non_null(strstr(buf_str(&b), "le=\"+Inf\"} 4\n"
					    "brickwatch_start_latency_seconds_sum{watch=\"w\"} 10800.100001\n"
					    "brickwatch_start_latency_seconds_count{watch=\"w\"} 4\n"));
}

static void names_are_fit_and_unlike(void **state)
{
	(void)state;
	for (int i = 0; i < METRICS_N; i++) {
		const char *name = metrics_name((enum metrics_name)i);

		assert_int_equal(strncmp(name, "brickwatch_", 11), 0);
		assert_int_equal(name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")], 0);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, metrics_name((enum metrics_name)j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_have_the_exact_format),
		cmocka_unit_test(values_of_labels_are_escaped),
		cmocka_unit_test(times_are_seconds_without_loss),
		cmocka_unit_test(a_histogram_is_cumulative),
		cmocka_unit_test(names_are_fit_and_unlike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
