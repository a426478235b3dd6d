#include "dispatch/census.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"

#define NOW INT64_C(1767323045123456)
#define DAY (24 * 3600 * US_PER_S)
#define PERIOD (9 * DAY) /* a tenth of 90 days */

struct bench {
	struct conf *conf;
	const struct conf_watch *watch;
	struct ledger *ledger;
	struct census *census;
	int64_t wall_us, mono_us;
};

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct conf_mistakes mistakes = {.n = 0};

	b->conf = conf_new();
	conf_set(b->conf, "workspace", "host", "https://adb.example", "f", 1, &mistakes);
	conf_set(b->conf, "watch:in", "directory", "/drop", "f", 2, &mistakes);
	conf_set(b->conf, "watch:in", "job_id", "42", "f", 3, &mistakes);
	assert_int_equal(mistakes.n, 0);
	conf_resolve(b->conf);
	b->watch = b->conf->watches[0];
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	b->census = census_new(b->conf, b->ledger);
	b->wall_us = NOW;
	b->mono_us = US_PER_S;
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	census_free(b->census);
	ledger_close(b->ledger);
	conf_free(b->conf);
	free(b);
	return 0;
}

static int64_t insert(struct bench *b, const char *root, const char *relpath, enum ledger_state state)
{
	struct ledger_new row = {.key = {.watch = "in", .relpath = relpath},
		.mime = "",
		.evidence = "",
		.state = state,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = "",
		.generation = 1,
		.workspace = "prod",
		.host = "adb.example",
		.job_id = 42,
		.uri = ""};
	int64_t id;

	assert_int_equal(ledger_root(b->ledger, root, true, &row.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &row, &id, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	return id;
}

static bool is_there(struct bench *b, int64_t id)
{
	struct ledger_row r;
	int rc = ledger_row(b->ledger, id, &r, NULL);

	assert_true(rc >= 0);
	if (rc > 0)
		ledger_row_done(&r);
	return rc > 0;
}

static void work(struct bench *b)
{
	for (int i = 0; census_has_work(b->census); i++) {
		assert_true(i < 100);
		assert_int_equal(census_apply(b->census, NULL), 0);
		if (i == 0) { /* the first time it cannot be committed */
			ledger_rollback(b->ledger);
			census_undo(b->census);
			continue;
		}
		assert_int_equal(ledger_commit(b->ledger, NULL), 0);
		census_committed(b->census);
	}
}

static void pass_time(struct bench *b, int64_t us)
{
	b->wall_us += us;
	b->mono_us += us;
}

/* A listing from beginning to end, which meets this row (0: none). */
static void list(struct bench *b, int64_t met, bool complete)
{
	if (met > 0)
		census_met(b->census, b->watch, met);
	assert_int_equal(census_end(b->census, b->watch, complete, b->wall_us, b->mono_us, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	work(b);
}

static void begin(struct bench *b)
{
	assert_int_equal(census_begin(b->census, b->watch, b->wall_us, b->mono_us, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
}

/* One that counts: time passes, a listing notices, and the next one is it. */
static void count(struct bench *b, int64_t met)
{
	pass_time(b, PERIOD);
	list(b, met, true);
	list(b, met, true);
}

static void test_forgotten_after_long(void **state)
{
	struct bench *b = *state;
	int64_t gone = insert(b, "/drop", "gone", LEDGER_STARTED);
	int64_t there = insert(b, "/drop", "there", LEDGER_STARTED);
	int64_t old = insert(b, "/drop", "rewritten", LEDGER_STARTED);
	int64_t held = insert(b, "/drop", "held", LEDGER_HELD);
	int64_t other = insert(b, "/elsewhere", "x", LEDGER_STARTED);

	(void)old;
	begin(b);
	for (int i = 0; i < CENSUS_MISSED - 1; i++)
		count(b, there);
	assert_true(is_there(b, gone));
	count(b, there);
	assert_true(is_there(b, gone)); /* asked about */
	census_answered(b->census, b->watch, gone, WIRE_GONE);
	census_answered(b->census, b->watch, old, WIRE_REPLACED); /* its folder could not be read meanwhile */
	work(b);
	assert_false(is_there(b, gone));
	assert_true(is_there(b, there));
	assert_true(is_there(b, old));
	assert_true(is_there(b, held));	 /* waits for a person */
	assert_true(is_there(b, other)); /* is not listed at all */
	/* and that one begins at nothing again */
	count(b, there);
	assert_false(census_has_work(b->census));
	assert_true(is_there(b, old));
}

/* A file with several versions is there as long as one of them is. */
static void test_older_versions_stay(void **state)
{
	struct bench *b = *state;
	int64_t first = insert(b, "/drop", "a", LEDGER_STARTED);
	int64_t second = insert(b, "/drop", "a", LEDGER_STARTED);

	begin(b);
	for (int i = 0; i < CENSUS_MISSED + 2; i++)
		count(b, second);
	census_answered(b->census, b->watch, first, WIRE_GONE); /* was not asked */
	work(b);
	assert_true(is_there(b, first));
}

static int64_t missed(struct bench *b, int64_t id)
{
	struct ledger_swept rows[16];
	int n = ledger_sweep(b->ledger, "in", 0, 16, rows, NULL);

	for (int i = 0; i < n; i++)
		if (rows[i].id == id)
			return rows[i].missed;
	return -1;
}

static void test_what_does_not_count(void **state)
{
	struct bench *b = *state;
	int64_t id = insert(b, "/drop", "a", LEDGER_SKIPPED);

	begin(b);
	for (int i = 0; i < 20; i++) /* ordinary listings */
		list(b, 0, true);
	assert_int_equal(missed(b, id), 0);
	pass_time(b, PERIOD);
	list(b, 0, true);
	for (int i = 0; i < 20; i++) /* the folder is missing, or was cut short */
		list(b, 0, false);
	assert_int_equal(missed(b, id), 0);
	list(b, 0, true);
	assert_int_equal(missed(b, id), 1);
	/* the clock jumps: that is one at the most, in this process or the next */
	b->wall_us += 1000 * DAY;
	for (int i = 0; i < 20; i++)
		list(b, 0, true);
	assert_int_equal(missed(b, id), 1);
	census_free(b->census);
	b->census = census_new(b->conf, b->ledger);
	begin(b);
	for (int i = 0; i < 20; i++)
		list(b, 0, true);
	assert_int_equal(missed(b, id), 2);
	b->wall_us -= 2000 * DAY;
	pass_time(b, PERIOD);
	for (int i = 0; i < 20; i++)
		list(b, 0, true);
	assert_int_equal(missed(b, id), 2);
	/* it is back */
	pass_time(b, PERIOD);
	list(b, 0, true);
	list(b, id, true);
	assert_int_equal(missed(b, id), 0);
}

/* More are gone than are asked about at a time. */
static void test_many(void **state)
{
	struct bench *b = *state;
	int64_t ids[300];
	size_t left = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%zu", i);
		ids[i] = insert(b, "/drop", name, LEDGER_STARTED);
	}
	begin(b);
	for (int i = 0; i < CENSUS_MISSED; i++)
		count(b, 0);
	for (int i = 0; i < 10; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ids); k++)
			census_answered(b->census, b->watch, ids[k], k == 7 ? WIRE_UNSURE : WIRE_GONE);
		work(b);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		left += is_there(b, ids[i]);
	assert_int_equal(left, 1);
	/* nobody could tell about that one: it is asked again the next time */
	count(b, 0);
	census_answered(b->census, b->watch, ids[7], WIRE_GONE);
	work(b);
	assert_false(is_there(b, ids[7]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_forgotten_after_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_older_versions_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_does_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
