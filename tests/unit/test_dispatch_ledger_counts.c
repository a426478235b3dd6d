/* ledger_counts: numbers that are kept agree with those that are counted, whatever is done to rows meanwhile.
 */
#include "dispatch/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "core/token.h"

#define NOW INT64_C(1700000000000000)
#define WATCHES 2

static const char *const watches[WATCHES] = {"orders", "returns"};

struct sums {
	int64_t rows[WATCHES][LEDGER_STATES], last_us[WATCHES];
};

static struct ledger *memory(void)
{
	struct ledger *l = NULL;

	assert_int_equal(ledger_open_memory(&l, NULL), 0);
	return l;
}

static int64_t insert(struct ledger *l, int n, int watch)
{
	char token[TOKEN_BYTES], name[16];
	struct ledger_new v = {
		.key = {.watch = watches[watch], .relpath = name},
		.version = {.size = n, .mtime_ns = 7, .ends = ""},
		.mime = "",
		.evidence = "",
		.first_seen_us = NOW,
		.completed_us = NOW + n,
		.state = LEDGER_PENDING,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.generation = 1,
		.workspace = "prod",
		.host = n % 2 ? "a.example" : "b.example",
		.job_id = 42,
		.uri = "/x",
		.request = "{}",
		.request_len = 2,
		.now_us = NOW,
	};
	int64_t id = 0;
	struct err err = ERR_INIT;

	(void)snprintf(token, sizeof(token), "%064x", (unsigned)n);
	(void)snprintf(name, sizeof(name), "f%d", n);
	assert_int_equal(ledger_root(l, "/drop", true, &v.key.root_id, NULL), 1);
	if (ledger_insert(l, &v, &id, &err) < 0)
		fail_msg("%s", err.text);
	return id;
}

static void start_run(struct ledger *l, int64_t id)
{
	assert_int_equal(ledger_set_started(l, id, 1000 + id, 1, "me", NOW, NULL), 0);
}

static void add(const char *watch, enum ledger_state state, int64_t rows, int64_t last_us, void *arg)
{
	struct sums *s = arg;
	int w = strcmp(watch, watches[0]) == 0 ? 0 : 1;

	assert_string_equal(watch, watches[w]);
	s->rows[w][state] += rows;
	if (last_us > s->last_us[w])
		s->last_us[w] = last_us;
}

static void tally(const char *watch, enum ledger_state state, int64_t rows, void *arg)
{
	add(watch, state, rows, 0, arg);
}

/* What is kept, held against what is there. */
static struct sums agreed(struct ledger *l)
{
	struct sums kept = {.last_us = {0}}, there = {.last_us = {0}};
	struct ledger_tally t = {.of_watch = tally, .arg = &there};

	assert_int_equal(ledger_counts_each(l, add, &kept, NULL), 0);
	assert_int_equal(ledger_add_tally(l, 0, INT64_MAX, &t, NULL), 0);
	assert_memory_equal(kept.rows, there.rows, sizeof(kept.rows));
	return kept;
}

static void count_all(struct ledger *l, int64_t stretch)
{
	int rc;

	do
		rc = ledger_counts_step(l, stretch, NULL);
	while (rc == 0);
	assert_int_equal(rc, 1);
}

static void every_change_counts_itself(void **state)
{
	struct ledger *l = memory();
	int64_t ids[20];
	struct sums s;

	(void)state;
	for (int i = 0; i < 10; i++)
		ids[i] = insert(l, i, i % WATCHES);
	start_run(l, ids[0]);
	assert_int_equal(ledger_counts_start(l, NULL), 0);
	count_all(l, 3);
	s = agreed(l);
	assert_int_equal(s.rows[0][LEDGER_STARTED], 1);
	assert_int_equal(s.rows[0][LEDGER_PENDING], 4);
	assert_int_equal(s.last_us[1], NOW + 9);
	for (int i = 10; i < 20; i++)
		ids[i] = insert(l, i, 0);
	start_run(l, ids[1]);
	start_run(l, ids[12]);
	assert_int_equal(ledger_remove(l, ids[3], NULL), 0);
	s = agreed(l);
	assert_int_equal(s.rows[0][LEDGER_PENDING], 13);
	assert_int_equal(s.last_us[0], NOW + 19);
	ledger_close(l);
}

static void changes_while_it_is_counted(void **state)
{
	struct ledger *l = memory();
	int64_t ids[20];

	(void)state;
	for (int i = 0; i < 10; i++)
		ids[i] = insert(l, i, i % WATCHES);
	assert_int_equal(ledger_counts_start(l, NULL), 0);
	assert_int_equal(ledger_counts_step(l, 4, NULL), 0);
	start_run(l, ids[1]); /* counted already */
	start_run(l, ids[8]); /* not yet */
	assert_int_equal(ledger_remove(l, ids[2], NULL), 0);
	assert_int_equal(ledger_remove(l, ids[7], NULL), 0);
	(void)insert(l, 10, 1);
	count_all(l, 4);
	(void)agreed(l);
	ledger_close(l);
}

static void a_rollback_takes_its_part_back(void **state)
{
	struct ledger *l = memory();
	int64_t id;

	(void)state;
	id = insert(l, 1, 0);
	assert_int_equal(ledger_commit(l, NULL), 0);
	assert_int_equal(ledger_counts_start(l, NULL), 0);
	count_all(l, 100);
	assert_int_equal(ledger_begin(l, NULL), 0);
	start_run(l, id);
	(void)insert(l, 2, 0);
	assert_int_equal(agreed(l).rows[0][LEDGER_STARTED], 1);
	ledger_rollback(l);
	assert_int_equal(agreed(l).rows[0][LEDGER_PENDING], 1);
	ledger_close(l);
}

static void an_empty_ledger_is_counted_at_once(void **state)
{
	struct ledger *l = memory();

	(void)state;
	assert_int_equal(ledger_counts_start(l, NULL), 0);
	assert_int_equal(ledger_counts_step(l, 10, NULL), 1);
	(void)insert(l, 1, 0);
	assert_int_equal(agreed(l).rows[0][LEDGER_PENDING], 1);
	ledger_close(l);
}

static void the_oldest_that_waits(void **state)
{
	struct ledger *l = memory();
	int64_t us = 0, ids[10];

	(void)state;
	assert_int_equal(ledger_oldest_pending(l, "orders", "a.example", &us, NULL), 0);
	for (int i = 1; i < 10; i++)
		ids[i] = insert(l, i, 0);
	assert_int_equal(ledger_oldest_pending(l, "orders", "b.example", &us, NULL), 1);
	assert_int_equal(us, NOW + 2);
	start_run(l, ids[2]);
	assert_int_equal(ledger_oldest_pending(l, "orders", "b.example", &us, NULL), 1);
	assert_int_equal(us, NOW + 4);
	/* one that was tried and waits for its next attempt */
	assert_int_equal(ledger_postpone(l, ids[4], NOW + 1000000, NULL), 0);
	assert_int_equal(ledger_oldest_pending(l, "orders", "b.example", &us, NULL), 1);
	assert_int_equal(us, NOW + 4);
	assert_int_equal(ledger_oldest_pending(l, "returns", "b.example", &us, NULL), 0);
	ledger_close(l);
}

static void the_outbox_is_counted_by_its_ends(void **state)
{
	struct ledger *l = memory();
	int64_t n = -1;

	(void)state;
	assert_int_equal(ledger_outbox_rows(l, &n, NULL), 0);
	assert_int_equal(n, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ledger_outbox_add(l, "0123", "{}\n", 3, NULL), 0);
	assert_int_equal(ledger_outbox_delete(l, 2, NULL), 0);
	assert_int_equal(ledger_outbox_rows(l, &n, NULL), 0);
	assert_int_equal(n, 3);
	ledger_close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_change_counts_itself),
		cmocka_unit_test(changes_while_it_is_counted),
		cmocka_unit_test(a_rollback_takes_its_part_back),
		cmocka_unit_test(an_empty_ledger_is_counted_at_once),
		cmocka_unit_test(the_oldest_that_waits),
		cmocka_unit_test(the_outbox_is_counted_by_its_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
