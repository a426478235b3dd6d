#include "dispatch/selection.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define ROOT "/srv/landing"

static char none[] = "";

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

/* A row; changed at that time. token NULL: none, and no request. */
static int64_t add(struct ledger *l, const char *root, const char *watch, const char *relpath,
	enum ledger_state state, int64_t changed_us, const char *token)
{
	struct ledger_new v = {
		.key = {.watch = watch, .relpath = relpath},
		.version = {.size = 5, .mtime_ns = 7, .ino = 9},
		.mime = "",
		.evidence = "",
		.first_seen_us = 1,
		.completed_us = 1,
		.state = state,
		.reason = state == LEDGER_FAILED ? "outcome_unknown" : "",
		.detail = "",
		.rules_hash = "",
		.token = token ? token : "",
		.generation = 1,
		.workspace = "",
		.host = "h",
		.job_id = 1,
		.uri = "",
		.request = "{}",
		.request_len = token ? 2 : 0,
		.now_us = changed_us,
	};
	int64_t id;

	assert_int_equal(ledger_root(l, root, true, &v.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(l, &v, &id, NULL), 0);
	return id;
}

static struct control_request request_of(const char *state, const char *watch, const char *glob)
{
	return (struct control_request){.state = mem_strdup(state),
		.watch = mem_strdup(watch),
		.glob = mem_strdup(glob),
		.reason = none,
		.verb = none};
}

static void request_done(struct control_request *r)
{
	free(r->state);
	free(r->watch);
	free(r->glob);
}

/* The numbers of the selected rows, as text: "1 3 ". */
static void select_all(struct ledger *l, const struct control_request *r, char *out, size_t room)
{
	struct selection s;
	int64_t ids[3];
	bool over;
	int n;

	out[0] = '\0';
	assert_int_equal(selection_init(&s, r, NULL), 0);
	while (!selection_is_over(&s)) {
		assert_int_equal(selection_page(&s, l, ids, 3, &n, &over, NULL), 0);
		for (int i = 0; i < n; i++) {
			struct ledger_row row;
			struct ledger_note note;

			if (selection_load(&s, l, ids[i], &row, &note, NULL) == 0)
				continue;
			snprintf(out + strlen(out), room - strlen(out), "%d ", (int)row.id);
			ledger_note_done(&note);
			ledger_row_done(&row);
		}
	}
}

static void check(struct ledger *l, const char *state, const char *watch, const char *glob, int64_t since_us,
	int64_t until_us, const char *expected)
{
	struct control_request r = request_of(state, watch, glob);
	char found[256];

	r.since_us = since_us;
	r.until_us = until_us;
	select_all(l, &r, found, sizeof(found));
	assert_string_equal(found, expected);
	request_done(&r);
}

static void test_selectors(void **state)
{
	struct ledger *l = *state;

	add(l, ROOT, "a", "x.csv", LEDGER_HELD, 10, NULL);
	add(l, ROOT, "b", "x.csv", LEDGER_HELD, 20, NULL);
	add(l, ROOT, "a", "sub/y.csv", LEDGER_FAILED, 30, NULL);
	add(l, "/srv/other", "a", "z.txt", LEDGER_HELD, 40, NULL);
	check(l, "", "", "", 0, 0, "1 2 3 4 ");
	check(l, "held", "", "", 0, 0, "1 2 4 ");
	check(l, "", "a", "", 0, 0, "1 3 4 ");
	check(l, "", "", "", 20, 0, "2 3 4 ");
	check(l, "", "", "", 20, 40, "2 3 ");
	check(l, "", "", "*.csv", 0, 0, "1 2 3 ");
	check(l, "", "", "/x.csv", 0, 0, "");
	check(l, "", "", "x.csv", 0, 0, "1 2 ");
	check(l, "", "", "sub/**", 0, 0, "3 ");
	check(l, "", "", ROOT "/x.csv", 0, 0, "1 2 ");
	check(l, "", "", "/srv/*/*", 0, 0, "1 2 4 ");
	check(l, "", "", "/srv/**", 0, 0, "1 2 3 4 ");
	check(l, "held", "b", "*.csv", 20, 21, "2 ");
	check(l, "dropped", "", "", 0, 0, "");
}

static void test_faults(void **state)
{
	struct control_request r = request_of("hold", "", "");
	struct selection s;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(selection_init(&s, &r, &err), -EINVAL);
	assert_int_equal(err.class, ERR_USAGE);
	request_done(&r);
	r = request_of("held", "", "[a");
	assert_int_equal(selection_init(&s, &r, &err), -EINVAL);
	assert_int_equal(err.class, ERR_USAGE);
	request_done(&r);
}

/* An empty stretch is no end, and rows that come meanwhile are not of it. */
static void test_stretches(void **state)
{
	struct ledger *l = *state;
	struct control_request r = request_of("held", "", "");
	struct selection s;
	int64_t ids[10];
	char name[32];
	bool over;
	int n, pages = 0, found = 0;

	for (int i = 0; i < 2 * SELECTION_STRETCH; i++) {
		snprintf(name, sizeof(name), "%d", i);
		add(l, ROOT, "a", name, LEDGER_STARTED, 1, NULL);
	}
	add(l, ROOT, "a", "last", LEDGER_HELD, 1, NULL);
	assert_int_equal(selection_init(&s, &r, NULL), 0);
	while (!selection_is_over(&s)) {
		assert_int_equal(selection_page(&s, l, ids, 10, &n, &over, NULL), 0);
		found += n;
		if (pages++ == 0)
			add(l, ROOT, "a", "later", LEDGER_HELD, 1, NULL);
	}
	assert_int_equal(pages, 3);
	assert_int_equal(found, 1);
	request_done(&r);
}

static void test_paths(void **state)
{
	struct ledger *l = *state;
	struct control_operand operands[] = {{.bytes = (char *)(uintptr_t)ROOT "/x"},
		{.bytes = (char *)(uintptr_t)ROOT "/none"}, {.bytes = (char *)(uintptr_t) "/top"},
		{.bytes = (char *)(uintptr_t)ROOT "/sub/y"},
		{.bytes = (char *)(uintptr_t) "/srv/landings/x"}};
	struct control_request r = request_of("held", "", "");
	char found[256];

	for (int i = 0; i < 5; i++)
		add(l, ROOT, "a", "x", i == 1 ? LEDGER_STARTED : LEDGER_HELD, 1, NULL); /* 1 … 5 */
	add(l, "/", "a", "top", LEDGER_HELD, 1, NULL);
	add(l, ROOT, "a", "sub/y", LEDGER_HELD, 1, NULL);
	add(l, ROOT "/sub", "b", "y", LEDGER_HELD, 1, NULL);
	r.operands = operands;
	r.operands_n = ARRAY_SIZE(operands);
	select_all(l, &r, found, sizeof(found));
	assert_string_equal(found, "1 3 4 5 6 7 8 ");
	request_done(&r);
}

static void test_description(void **state)
{
	struct control_operand operands[30];
	struct control_request r = request_of("held", "orders", "*.csv");
	CLEANUP_BUF struct buf b = BUF_INIT(10000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(operands); i++)
		operands[i] = (struct control_operand){.bytes = (char *)(uintptr_t) "/x\xff", .len = 3};
	r.until_us = 1;
	selection_describe(&r, &b);
	assert_string_equal(
		buf_str(&b), "--state held --watch orders --until 1970-01-01T00:00:00Z --glob *.csv");
	r.operands = operands;
	r.operands_n = ARRAY_SIZE(operands);
	selection_describe(&r, &b);
	assert_non_null(strstr(buf_str(&b), " /x\xef\xbf\xbd "));
	assert_non_null(strstr(buf_str(&b), "(30 in all)"));
	request_done(&r);
}

/* ---- what the ledger can do for operators ---- */

static void test_tally(void **state)
{
	struct ledger *l = *state;
	struct ledger_tally t = {.rows = {0}};

	add(l, ROOT, "a", "1", LEDGER_HELD, 30, NULL);
	add(l, ROOT, "a", "2", LEDGER_HELD, 20, NULL);
	add(l, ROOT, "a", "3", LEDGER_STARTED, 10, NULL);
	assert_int_equal(ledger_add_tally(l, 0, 1, &t, NULL), 0);
	assert_int_equal(t.rows[LEDGER_HELD], 1);
	assert_int_equal(ledger_add_tally(l, 1, 3, &t, NULL), 0);
	assert_int_equal(t.rows[LEDGER_HELD], 2);
	assert_int_equal(t.oldest_us[LEDGER_HELD], 20);
	assert_int_equal(t.rows[LEDGER_STARTED], 1);
	assert_int_equal(t.oldest_us[LEDGER_FAILED], 0);
}

static void test_requeue(void **state)
{
	struct ledger *l = *state;
	int64_t id = add(l, ROOT, "a", "1", LEDGER_FAILED, 30,
		"0000000000000000000000000000000000000000000000000000000000000001");
	int64_t bare = add(l, ROOT, "a", "2", LEDGER_HELD, 30, NULL);
	struct ledger_note note;
	struct ledger_row row;

	assert_int_equal(ledger_note(l, id, &note, NULL), 1);
	assert_true(note.has_request);
	assert_string_equal(note.reason, "outcome_unknown");
	ledger_note_done(&note);
	assert_int_equal(ledger_requeue(l, id, true, true, 50, NULL), 0);
	assert_int_equal(ledger_row(l, id, &row, NULL), 1);
	assert_int_equal(row.state, LEDGER_PENDING);
	assert_true(row.sent);
	ledger_row_done(&row);
	assert_int_equal(ledger_note(l, id, &note, NULL), 1);
	assert_string_equal(note.reason, "");
	assert_int_equal(note.changed_us, 50);
	ledger_note_done(&note);
	/* without a request there is nothing that could be sent */
	assert_int_equal(ledger_note(l, bare, &note, NULL), 1);
	assert_false(note.has_request);
	ledger_note_done(&note);
	assert_int_equal(ledger_requeue(l, bare, false, false, 50, NULL), -EBADMSG);
	assert_int_equal(ledger_note(l, 99, &note, NULL), 0);
}

/* The number of a removed row is not given again. */
static void test_remove(void **state)
{
	struct ledger *l = *state;
	int64_t id = add(l, ROOT, "a", "1", LEDGER_HELD, 30, NULL);
	struct ledger_row row;

	assert_int_equal(ledger_remove(l, id, NULL), 0);
	assert_int_equal(ledger_row(l, id, &row, NULL), 0);
	assert_int_equal(ledger_remove(l, id, NULL), -EBADMSG);
	ledger_rollback(l);
	assert_true(add(l, ROOT, "a", "2", LEDGER_HELD, 30, NULL) > id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_selectors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stretches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_description, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tally, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_requeue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_remove, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
