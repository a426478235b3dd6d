#include "core/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static const uint64_t key[2] = {3, 4};

static void add(struct summary *s, int day, const char *type, const char *watch, const char *id,
	const char *path, int64_t latency_ms)
{
	struct summary_event e = {.day = day,
		.type = type,
		.watch = watch,
		.id = id,
		.path = path,
		.size = "1",
		.mtime = "m",
		.latency_ms = latency_ms};
	struct err err = ERR_INIT;

	assert_int_equal(summary_add(s, &e, &err), 0);
}

/* "DAY WATCH files/runs/failed/rejected/skipped/vanished/superseded p50 p95\n" */
static void tell(const struct summary_row *row, void *arg)
{
	char *text = arg;
	size_t n = strlen(text);

	(void)snprintf(text + n, 4096 - n,
		"%d %s %" PRId64 "/%" PRId64 "/%" PRId64 "/%" PRId64 "/%" PRId64 "/%" PRId64 "/%" PRId64
		" %" PRId64 " %" PRId64 "\n",
		row->day, row->watch ? row->watch : "-", row->counts[0], row->counts[1], row->counts[2],
		row->counts[3], row->counts[4], row->counts[5], row->counts[6], row->p50_ms, row->p95_ms);
}

static void check(struct summary *s, const char *expected)
{
	char text[4096] = "";
	struct summary_row total = summary_total(s);

	summary_each(s, tell, text);
	tell(&total, text);
	assert_string_equal(text, expected);
}

static void test_by_day_and_watch(void **state)
{
	struct summary *s = summary_new(key);

	(void)state;
	check(s, "0 - 0/0/0/0/0/0/0 -1 -1\n");
	add(s, 20260102, "run.started", "b", "1", "/1", 10);
	add(s, 20260102, "run.started", "a", "2", "/2", 20);
	add(s, 20260101, "run.started", "b", "3", "/3", 30);
	add(s, 20260102, "run.started", "b", "4", "/4", 50);
	add(s, 20260102, "start.failed", "b", "5", "/5", -1);
	add(s, 20260102, "file.rejected", "a", "6", "/6", -1);
	add(s, 20260102, "run.skipped", "a", "7", "/2", -1);
	add(s, 20260102, "file.vanished", "a", "8", "/8", -1);
	add(s, 20260102, "file.superseded", "a", "9", "/9", -1);
	check(s, "20260101 b 1/1/0/0/0/0/0 30 30\n"
		 "20260102 a 4/1/0/1/1/1/1 20 20\n"
		 "20260102 b 3/2/1/0/0/0/0 10 50\n"
		 "0 - 8/4/1/1/1/1/1 20 50\n");
	summary_free(s);
	summary_free(NULL);
}

static void test_what_does_not_count(void **state)
{
	struct summary *s = summary_new(key);

	(void)state;
	add(s, 1, "watch.ready", "a", "1", NULL, -1);
	add(s, 1, "start.retrying", "a", "2", "/2", -1);
	add(s, 1, "file.waiting", "a", "3", "/3", -1);
	add(s, 1, "service.started", NULL, "4", NULL, -1);
	add(s, 1, NULL, "a", "5", NULL, -1);
	add(s, 1, "run.started", NULL, "6", NULL, -1);
	check(s, "0 - 0/0/0/0/0/0/0 -1 -1\n");
	summary_free(s);
}

static void test_a_line_that_comes_again(void **state)
{
	struct summary *s = summary_new(key);

	(void)state;
	add(s, 1, "run.started", "a", "1", "/1", 10);
	add(s, 1, "run.started", "a", "2", "/2", 20);
	add(s, 1, "run.started", "a", "1", "/1", 10);
	add(s, 2, "run.started", "a", "2", "/2", 20); /* told again after midnight */
	assert_int_equal(summary_repeated(s), 2);
	check(s, "1 a 2/2/0/0/0/0/0 10 20\n"
		 "0 - 2/2/0/0/0/0/0 10 20\n");
	summary_free(s);
}

static void test_a_file_counts_at_its_first_event(void **state)
{
	struct summary *s = summary_new(key);
	struct summary_event newer = {.day = 2,
		.type = "run.started",
		.watch = "a",
		.id = "4",
		.path = "/1",
		.size = "2",
		.mtime = "m",
		.latency_ms = -1};
	struct err err = ERR_INIT;

	(void)state;
	add(s, 1, "start.failed", "a", "1", "/1", -1);
	add(s, 2, "run.started", "a", "2", "/1", 5); /* retried */
	add(s, 2, "run.started", "a", "3", "/1", 5); /* run again */
	assert_int_equal(summary_add(s, &newer, &err), 0);
	add(s, 2, "run.started", "b", "5", "/1", 5); /* another watch */
	check(s, "1 a 1/0/1/0/0/0/0 -1 -1\n"
		 "2 a 1/3/0/0/0/0/0 5 5\n"
		 "2 b 1/1/0/0/0/0/0 5 5\n"
		 "0 - 3/4/1/0/0/0/0 5 5\n");
	summary_free(s);
}

static void test_too_many_rows(void **state)
{
	struct summary *s = summary_new(key);
	struct summary_event e = {.type = "run.started", .watch = "a", .latency_ms = -1};
	struct err err = ERR_INIT;

	(void)state;
	for (e.day = 0; e.day < SUMMARY_ROWS_MAX; e.day++)
		assert_int_equal(summary_add(s, &e, &err), 0);
	assert_int_equal(summary_add(s, &e, &err), -E2BIG);
	e.day = 0; /* one that is there goes on */
	assert_int_equal(summary_add(s, &e, &err), 0);
	assert_int_equal(summary_total(s).counts[SUMMARY_RUNS], SUMMARY_ROWS_MAX + 1);
	summary_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_day_and_watch),
		cmocka_unit_test(test_what_does_not_count),
		cmocka_unit_test(test_a_line_that_comes_again),
		cmocka_unit_test(test_a_file_counts_at_its_first_event),
		cmocka_unit_test(test_too_many_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
