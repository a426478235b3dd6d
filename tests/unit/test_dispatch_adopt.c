#include "dispatch/adopt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "dispatch/scribe.h"

#define NOW INT64_C(1767323045123456)
#define TOKEN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ENDS "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct bench {
	struct conf *conf;
	struct ledger *ledger;
	struct scribe scribe;
	struct buf line;
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
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	buf_init(&b->line, EVENT_LINE_BYTES);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	ledger_close(b->ledger);
	conf_free(b->conf);
	buf_done(&b->line);
	free(b);
	return 0;
}

/* A line as the service itself writes it. */
static void make_line(struct bench *b, const char *root, const char *relpath)
{
	const struct event_head h = {.time_us = NOW, .id = "1", .host = "h", .watch = "in"};
	const struct event_file f = {.root = root,
		.relpath = relpath,
		.uri = "/Volumes/a",
		.size = 10,
		.mtime_ns = 1234567890123456789,
		.owner = 7,
		.ends = ENDS,
		.mime = "text/csv",
		.first_seen_us = NOW - 20,
		.completed_us = NOW - 10};
	const struct event_run r = {.workspace = "prod",
		.job_id = 42,
		.run_id = 9007199254740993,
		.token = TOKEN,
		.generation = 2,
		.attempts = 3,
		.principal = "token"};

	assert_int_equal(event_run_started(&b->line, &h, &f, &r, NULL), 0);
}

static struct adopt adopt(struct bench *b, const char *line)
{
	struct err err = ERR_INIT;
	struct adopt a;

	assert_int_equal(adopt_line(b->ledger, b->conf, line, strlen(line), NOW, &a, &err), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	return a;
}

static void newest(struct bench *b, const char *root, const char *relpath, struct ledger_row *ret)
{
	struct ledger_key key = {.watch = "in", .relpath = relpath};
	struct ledger_known known;

	assert_int_equal(ledger_root(b->ledger, root, false, &key.root_id, NULL), 1);
	assert_int_equal(ledger_newest(b->ledger, &key, &known, NULL), 1);
	assert_int_equal(ledger_row(b->ledger, known.id, ret, NULL), 1);
}

static void test_a_line_becomes_a_row(void **state)
{
	struct bench *b = *state;
	struct ledger_row r;

	make_line(b, "/drop", "x/a.csv");
	assert_int_equal(adopt(b, buf_str(&b->line)).result, ADOPT_INSERTED);
	newest(b, "/drop", "x/a.csv", &r);
	assert_int_equal(r.state, LEDGER_STARTED);
	assert_int_equal(r.run_id, 9007199254740993);
	assert_string_equal(r.token, TOKEN);
	assert_int_equal(r.generation, 2);
	assert_int_equal(r.version.size, 10);
	assert_int_equal(r.version.mtime_ns, 1234567890123456789);
	assert_string_equal(r.version.ends, ENDS);
	assert_string_equal(r.host, "adb.example");
	assert_int_equal(r.completed_us, NOW - 10);
	ledger_row_done(&r);
	/* it comes again: rotated and not yet removed, or another host's log */
	assert_int_equal(adopt(b, buf_str(&b->line)).result, ADOPT_KNOWN);
}

static void test_a_name_that_is_no_text(void **state)
{
	struct bench *b = *state;
	struct ledger_row r;

	make_line(b, "/drop", "a\xff\"b");
	assert_int_equal(adopt(b, buf_str(&b->line)).result, ADOPT_INSERTED);
	newest(b, "/drop", "a\xff\"b", &r);
	ledger_row_done(&r);
}

/* The watch has another directory now, or is gone: the path below it is told by the line. */
static void test_another_directory(void **state)
{
	struct bench *b = *state;
	struct ledger_row r;

	make_line(b, "/former", "x/a.csv");
	assert_int_equal(adopt(b, buf_str(&b->line)).result, ADOPT_INSERTED);
	newest(b, "/former", "x/a.csv", &r);
	assert_string_equal(r.root, "/former");
	ledger_row_done(&r);
}

static int64_t insert(
	struct bench *b, enum ledger_state state, const char *token, int64_t size, int64_t completed_us)
{
	struct ledger_new row = {.key = {.watch = "in", .relpath = "a"},
		.version = {.size = size, .mtime_ns = 1234567890123456789},
		.completed_us = completed_us,
		.mime = "",
		.evidence = "",
		.state = state,
		.reason = "existing",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.generation = 1,
		.workspace = "prod",
		.host = "adb.example",
		.job_id = 42,
		.uri = "",
		.now_us = NOW};
	int64_t id;

	assert_int_equal(ledger_root(b->ledger, "/drop", true, &row.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &row, &id, NULL), 0);
	return id;
}

static void test_what_the_ledger_has(void **state)
{
	struct bench *b = *state;
	struct ledger_row r;
	struct adopt a;
	int64_t id;

	make_line(b, "/drop", "a");
	/* held, since nobody knew */
	(void)insert(b, LEDGER_HELD, "", 10, NOW + 5);
	a = adopt(b, buf_str(&b->line));
	assert_int_equal(a.result, ADOPT_STARTED);
	assert_false(a.was_pending);
	newest(b, "/drop", "a", &r);
	assert_int_equal(r.state, LEDGER_STARTED);
	assert_int_equal(ledger_remove(b->ledger, r.id, NULL), 0);
	ledger_row_done(&r);
	/* it waits here, and another host has started it */
	id = insert(b, LEDGER_PENDING, TOKEN, 10, NOW - 5);
	a = adopt(b, buf_str(&b->line));
	assert_int_equal(a.result, ADOPT_STARTED);
	assert_true(a.was_pending);
	assert_string_equal(a.watch, "in");
	assert_string_equal(a.host, "adb.example");
	assert_int_equal(ledger_row(b->ledger, id, &r, NULL), 1);
	assert_int_equal(r.state, LEDGER_STARTED);
	ledger_row_done(&r);
	assert_int_equal(ledger_remove(b->ledger, id, NULL), 0);
	/* a newer version is known: the old one must not become the newest row */
	id = insert(b, LEDGER_PENDING, "", 11, NOW + 5);
	assert_int_equal(adopt(b, buf_str(&b->line)).result, ADOPT_KNOWN);
	newest(b, "/drop", "a", &r);
	assert_int_equal(r.id, id);
	ledger_row_done(&r);
}

/* The line with one thing changed. */
static enum adopt_result changed(struct bench *b, const char *from, const char *to)
{
	const char *at = strstr(buf_str(&b->line), from);
	CLEANUP_FREE char *line = NULL;

	assert_non_null(at);
	line = mem_printf(
		"%.*s%s%s", (int)(at - buf_str(&b->line)), buf_str(&b->line), to, at + strlen(from));
	return adopt(b, line).result;
}

static void test_lines_that_cannot_be(void **state)
{
	static const char *const rows[][2] = {
		{"\"size\":10", "\"size\":-1"},
		{"\"size\":10", "\"size\":\"x\""},
		{"\"mtime\":\"2009", "\"mtime\":\"x"},
		{"\"ends\":\"aa", "\"ends\":\"zz"},
		{"\"token\":\"01", "\"token\":\"0"},
		{"\"run_id\":9", "\"run_id\":-9"},
		{"\"job_id\":42", "\"job_id\":0"},
		{"\"generation\":2", "\"generation\":null"},
		{"\"path\":\"/drop", "\"path\":\"drop"},
		{"\"path\":\"/drop/a", "\"path\":\"/drop"},
		{"\"watch\":\"in\"", "\"watch\":null"},
		{"\"time\":\"2026", "\"time\":\"yesterday"},
		{"}", ""},
	};
	struct bench *b = *state;
	int64_t n;

	make_line(b, "/drop", "a");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (changed(b, rows[i][0], rows[i][1]) != ADOPT_DAMAGED)
			fail_msg("%s", rows[i][1]);
	assert_int_equal(changed(b, "\"type\":\"run.started\"", "\"type\":\"run.skipped\""), ADOPT_OTHER);
	assert_int_equal(
		changed(b, "\"type\":\"run.started\"", "\"type\":\"x\",\"y\":\"run.started\""), ADOPT_OTHER);
	assert_int_equal(adopt(b, "").result, ADOPT_OTHER);
	assert_int_equal(ledger_count(b->ledger, LEDGER_STARTED, &n, NULL), 0);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_line_becomes_a_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_name_that_is_no_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_the_ledger_has, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lines_that_cannot_be, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
