#include "dispatch/standing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

struct bench {
	struct conf *conf;
	struct ledger *ledger;
};

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct conf_mistakes mistakes = {.n = 0};

	b->conf = conf_new();
	conf_set(b->conf, "workspace", "host", "https://here.example", "f", 1, &mistakes);
	conf_set(b->conf, "watch:b", "directory", "/b", "f", 2, &mistakes);
	conf_set(b->conf, "watch:b", "job_id", "7", "f", 3, &mistakes);
	conf_resolve(b->conf);
	assert_int_equal(mistakes.n, 0);
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	ledger_close(b->ledger);
	conf_free(b->conf);
	free(b);
	return 0;
}

static void add(struct bench *b, const char *watch, enum ledger_state state, const char *reason,
	const char *host, int rows)
{
	struct ledger_new v = {
		.key = {.watch = watch},
		.mime = "",
		.evidence = "",
		.state = state,
		.reason = reason,
		.detail = "",
		.rules_hash = "",
		.token = "",
		.generation = 1,
		.workspace = "",
		.host = host,
		.job_id = 1,
		.uri = "",
	};
	char name[32];
	int64_t id;

	v.key.relpath = name;
	assert_int_equal(ledger_root(b->ledger, "/b", true, &v.key.root_id, NULL), 1);
	for (int i = 0; i < rows; i++) {
		(void)snprintf(name, sizeof(name), "%s%s%d", reason, host, i);
		assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	}
}

/* All records, each shortened to "watch state reason files[+][!]" (+: or more, !: not configured). */
static void expect(struct bench *b, const char *expected)
{
	CLEANUP_BUF struct buf all = BUF_INIT(4096), json = BUF_INIT(4096);
	struct standing s = {.held_over = false};
	struct json_writer w = JSON_WRITER(&json);
	struct err err = ERR_INIT;
	int rc;

	while ((rc = standing_next(&s, b->ledger, b->conf, &w, &err)) > 0) {
		CLEANUP_JSON struct json *j = json_parse(buf_str(&json), json.len, &err);
		const char *more = json_is_true(json_get(j, "or_more")) ? "+" : "";

		assert_string_equal(json_get_text(j, "kind"), "standing");
		(void)buf_addf(&all, "%s%s %s %s %s%s%s", all.len > 0 ? ", " : "", json_get_text(j, "watch"),
			json_get_text(j, "state"), json_get_text(j, "reason"), json_get_text(j, "files"),
			more, json_is_true(json_get(j, "configured")) ? "" : "!");
		buf_reset(&json);
		w = JSON_WRITER(&json);
	}
	assert_int_equal(rc, 0);
	assert_string_equal(buf_str(&all), expected);
}

static void test_nothing(void **state)
{
	struct bench *b = *state;

	expect(b, "");
	add(b, "b", LEDGER_FAILED, "bad_request", "here.example", 3);
	add(b, "b", LEDGER_STARTED, "", "gone.example", 3);
	add(b, "b", LEDGER_PENDING, "", "here.example", 3);
	expect(b, "");
}

static void test_held(void **state)
{
	struct bench *b = *state;

	add(b, "b", LEDGER_HELD, "existing", "here.example", 2);
	add(b, "b", LEDGER_HELD, "brake", "here.example", 3);
	add(b, "a", LEDGER_HELD, "watch_removed", "here.example", 1);
	expect(b, "a held watch_removed 1!, b held brake 3, b held existing 2");
}

static void test_hosts_that_are_gone(void **state)
{
	struct bench *b = *state;

	add(b, "b", LEDGER_HELD, "brake", "here.example", 1);
	add(b, "b", LEDGER_PENDING, "", "gone.example", 2);
	add(b, "b", LEDGER_PENDING, "", "here.example", 1);
	add(b, "b", LEDGER_PENDING, "", "zone.example", 1);
	add(b, "a", LEDGER_PENDING, "", "gone.example", 4);
	expect(b, "b held brake 1, a pending workspace_removed 4!, b pending workspace_removed 2, "
		  "b pending workspace_removed 1");
}

/* So many that counting them all would keep the loop from its work. */
static void test_many(void **state)
{
	struct bench *b = *state;

	add(b, "b", LEDGER_HELD, "brake", "here.example", STANDING_MOST + 5);
	add(b, "b", LEDGER_PENDING, "", "gone.example", STANDING_MOST - 1);
	expect(b, "b held brake 10000+, b pending workspace_removed 9999");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hosts_that_are_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
