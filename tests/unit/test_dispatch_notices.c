#include "dispatch/notices.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "dispatch/queries.h"

static int set_up(void **state)
{
	struct ledger *l = NULL;

	assert_int_equal(ledger_open_memory(&l, NULL), 0);
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	ledger_close(*state);
	return 0;
}

static void add(struct ledger *l, const char *consumer, const char *type, const char *watch, int64_t made_us)
{
	struct notices_row r = {.made_us = made_us};
	CLEANUP_FREE char *line = mem_printf("{\"made\":%" PRId64 "}\n", made_us);

	(void)snprintf(r.id, sizeof(r.id), "%032" PRIx64, (uint64_t)made_us);
	(void)snprintf(r.type, sizeof(r.type), "%s", type);
	(void)snprintf(r.watch, sizeof(r.watch), "%s", watch);
	assert_int_equal(notices_add(l, consumer, &r, line, strlen(line), NULL), 0);
}

static struct notices_consumer look(struct ledger *l, const char *consumer)
{
	struct notices_consumer c;

	assert_int_equal(notices_consumer(l, consumer, &c, NULL), 1);
	return c;
}

/* Each consumer has its own, in their order; what is removed for one takes nothing from another. */
static void test_each_has_its_own(void **state)
{
	struct ledger *l = *state;
	CLEANUP_BUF struct buf line = BUF_INIT(1024);
	struct notices_removal gone = {.delivered = true, .ends_parcel = true, .now_us = 77};
	struct notices_consumer c;
	struct notices_row r;
	int64_t n, seq;

	assert_int_equal(notices_consumer(l, "a", &c, NULL), 0);
	assert_int_equal(notices_next(l, "a", 0, &r, &line, NULL), 0);
	assert_int_equal(notices_nth(l, "a", 1, &seq, NULL), 0);
	for (int64_t i = 1; i <= 5; i++) {
		add(l, "a", "run.started", "w", i);
		add(l, "b", "run.started", "w", i);
	}
	assert_int_equal(notices_next(l, "a", 0, &r, &line, NULL), 1);
	assert_string_equal(buf_str(&line), "{\"made\":1}\n");
	assert_int_equal(r.made_us, 1);
	assert_string_equal(r.type, "run.started");
	assert_int_equal(notices_next(l, "a", r.seq, &r, &line, NULL), 1);
	assert_int_equal(r.made_us, 2);
	assert_int_equal(notices_nth(l, "a", 3, &gone.through, NULL), 1);
	assert_int_equal(notices_set_parcel(l, "a", gone.through, NULL), 0);
	assert_int_equal(look(l, "a").through, gone.through);
	assert_int_equal(notices_remove(l, "a", &gone, &n, NULL), 0);
	assert_int_equal(n, 3);
	c = look(l, "a");
	assert_int_equal(c.waiting, 2);
	assert_int_equal(c.through, 0);
	assert_int_equal(c.delivered, 3);
	assert_int_equal(c.dropped, 0);
	assert_int_equal(c.delivered_us, 77);
	assert_int_equal(c.oldest_us, 4);
	assert_int_equal(look(l, "b").waiting, 5);
	assert_int_equal(notices_nth(l, "a", 100, &gone.through, NULL), 1);
	gone.delivered = false;
	assert_int_equal(notices_remove(l, "a", &gone, &n, NULL), 0);
	c = look(l, "a");
	assert_int_equal(c.waiting, 0);
	assert_int_equal(c.dropped, 2);
	assert_int_equal(c.delivered_us, 77);
	assert_int_equal(c.oldest_us, 0);
}

/* A transaction that is rolled back takes its counts back. */
static void test_rolled_back(void **state)
{
	struct ledger *l = *state;

	add(l, "a", "run.started", "w", 1);
	assert_int_equal(ledger_commit(l, NULL), 0);
	add(l, "a", "run.started", "w", 2);
	assert_int_equal(look(l, "a").waiting, 2);
	ledger_rollback(l);
	assert_int_equal(look(l, "a").waiting, 1);
}

static void test_digest_numbers(void **state)
{
	struct ledger *l = *state;
	struct notice_group groups[NOTICE_GROUPS_MAX];
	int64_t others = -1, through, n, first_us, last_us;
	size_t groups_n = 0;

	for (int64_t i = 1; i <= 9; i++)
		add(l, "a", i % 3 == 0 ? "watch.lost" : "start.failed", i % 3 == 0 ? "" : "w", 100 * i);
	assert_int_equal(notices_nth(l, "a", 7, &through, NULL), 1);
	assert_int_equal(notices_tally(l, "a", through, groups, &groups_n, &others, NULL), 0);
	assert_int_equal(groups_n, 2);
	assert_int_equal(others, 0);
	assert_string_equal(groups[0].type, "start.failed");
	assert_string_equal(groups[0].watch, "w");
	assert_int_equal(groups[0].events, 5);
	assert_string_equal(groups[1].watch, "");
	assert_int_equal(groups[1].events, 2);
	assert_int_equal(notices_span(l, "a", through, &n, &first_us, &last_us, NULL), 0);
	assert_int_equal(n, 7);
	assert_int_equal(first_us, 100);
	assert_int_equal(last_us, 700);
	for (int64_t i = 0; i < NOTICE_GROUPS_MAX; i++) {
		CLEANUP_FREE char *watch = mem_printf("w%d", (int)i);

		add(l, "a", "run.started", watch, 1000);
	}
	assert_int_equal(notices_tally(l, "a", INT64_MAX, groups, &groups_n, &others, NULL), 0);
	assert_int_equal(groups_n, NOTICE_GROUPS_MAX);
	assert_int_equal(others, 2);
}

/* Late are those at the front, up to the first that is not. */
static void test_late(void **state)
{
	struct ledger *l = *state;
	int64_t seq = 0, third;

	for (int64_t i = 1; i <= 5; i++)
		add(l, "a", "run.started", "w", 10 * i);
	add(l, "b", "run.started", "w", 1);
	assert_int_equal(notices_nth(l, "a", 3, &third, NULL), 1);
	assert_int_equal(notices_late(l, "a", 10, &seq, NULL), 0);
	assert_int_equal(notices_late(l, "a", 31, &seq, NULL), 1);
	assert_int_equal(seq, third);
	assert_int_equal(notices_late(l, "a", 1000, &seq, NULL), 1);
	assert_int_equal(notices_nth(l, "a", 5, &third, NULL), 1);
	assert_int_equal(seq, third);
	assert_int_equal(notices_late(l, "c", 1000, &seq, NULL), 0);
}

static void test_consumers(void **state)
{
	struct ledger *l = *state;
	char name[CONF_NAME_BYTES] = "";
	int64_t n = -1;
	struct notices_consumer c;

	assert_int_equal(notices_next_consumer(l, name, NULL), 0);
	add(l, "b", "run.started", "w", 1);
	add(l, "a", "run.started", "w", 2);
	add(l, "a", "run.started", "w", 3);
	assert_int_equal(notices_next_consumer(l, name, NULL), 1);
	assert_string_equal(name, "a");
	assert_int_equal(notices_forget_consumer(l, name, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(notices_next_consumer(l, name, NULL), 1);
	assert_string_equal(name, "b");
	assert_int_equal(notices_next_consumer(l, name, NULL), 0);
	assert_int_equal(notices_consumer(l, "a", &c, NULL), 0);
	assert_int_equal(look(l, "b").waiting, 1);
}

/* What stands in a damaged row is not believed; its number is told, so that it can be passed. */
static void test_damaged(void **state)
{
	static const char *const damage[] = {"id = 'xyz'", "type = zeroblob(40)", "watch = x'00'",
		"made = 'now'", "line = ''", "line = 'no end'", "line = 7"};
	struct ledger *l = *state;
	CLEANUP_BUF struct buf line = BUF_INIT(1024);

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		CLEANUP_FREE char *sql = mem_printf("UPDATE notice SET %s", damage[i]);
		struct notices_row r = {.seq = 0};
		struct err err = ERR_INIT;

		add(l, "a", "run.started", "w", 5);
		assert_int_equal(db_exec(&l->db, sql, NULL), 0);
		if (notices_next(l, "a", 0, &r, &line, &err) != -EBADMSG || r.seq < 1)
			fail_msg("%s: %s", damage[i], err.text);
		ledger_rollback(l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_has_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rolled_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_digest_numbers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_consumers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
