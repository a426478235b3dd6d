#include "dispatch/remake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define NOW INT64_C(1767323045123456)
#define MTIME INT64_C(1700000000123456789)

struct bench {
	struct conf *conf;
	struct ledger *ledger;
	struct start start;
};

static void set(struct bench *b, const char *section, const char *key, const char *value)
{
	struct conf_mistakes mistakes = {.n = 0};

	conf_set(b->conf, section, key, value, "f", 1, &mistakes);
	if (mistakes.n > 0)
		fail_msg("%s", mistakes.items[0].text);
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	b->conf = conf_new();
	set(b, "workspace", "host", "https://new.example");
	set(b, "watch:in", "directory", "/drop");
	set(b, "watch:in", "job_id", "42");
	set(b, "watch:in", "path_map", "none");
	conf_resolve(b->conf);
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	start_init(&b->start);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	start_done(&b->start);
	ledger_close(b->ledger);
	conf_free(b->conf);
	free(b);
	return 0;
}

/* A row as the configuration of former days made it. */
static struct ledger_row add_row(struct bench *b, const char *watch, const char *relpath, const char *token)
{
	struct ledger_new v = {
		.key = {.watch = watch, .relpath = relpath},
		.version = {.size = 5, .mtime_ns = MTIME, .ino = 8},
		.owner = 1000,
		.mime = "text/csv",
		.evidence = "closed",
		.first_seen_us = NOW - 2,
		.completed_us = NOW - 1,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.generation = 3,
		.workspace = "",
		.host = "old.example",
		.job_id = 1,
		.uri = "/old/x",
		.request = "{}",
		.request_len = 2,
		.now_us = NOW,
	};
	struct ledger_row row;
	int64_t id;

	assert_int_equal(ledger_root(b->ledger, "/drop", true, &v.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	assert_int_equal(ledger_row(b->ledger, id, &row, NULL), 1);
	return row;
}

static void token_of(int64_t generation, char out[TOKEN_BYTES])
{
	token_make("new.example", 42, 5, MTIME, generation, "/drop/x", CONF_VERSION_SIZE_MTIME, out);
}

static void expect_token(const struct bench *b, int64_t generation)
{
	char token[TOKEN_BYTES];

	token_of(generation, token);
	assert_string_equal(b->start.token, token);
	assert_non_null(strstr(buf_str(&b->start.body), token));
	assert_non_null(strstr(buf_str(&b->start.body), "\"job_id\":42,"));
	assert_string_equal(buf_str(&b->start.uri), "/drop/x");
}

/* Only a watch that can send. */
static void test_watch(void **state)
{
	static const struct {
		const char *watch;
		bool found;
	} cases[] = {{"in", true}, {"gone", false}, {"no_job", false}};
	struct bench *b = *state;

	set(b, "watch:no_job", "directory", "/other");
	conf_resolve(b->conf);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ledger_row row = add_row(b, cases[i].watch, "x", "");
		const struct conf_watch *w = remake_watch(b->conf, &row);

		assert_ptr_equal(w, cases[i].found ? conf_watch_find(b->conf, cases[i].watch) : NULL);
		ledger_row_done(&row);
	}
}

static void test_same(void **state)
{
	struct bench *b = *state;
	struct ledger_row row = add_row(b, "in", "x", "");
	const char *reason = NULL;

	assert_int_equal(remake_same(remake_watch(b->conf, &row), &row, &b->start, &reason, NULL), 0);
	expect_token(b, 3);
	ledger_row_done(&row);
}

/* A generation whose token another row has is passed over. */
static void test_next(void **state)
{
	struct bench *b = *state;
	char taken[TOKEN_BYTES];
	struct ledger_row row = add_row(b, "in", "x", ""), other;
	const char *reason = NULL;
	int64_t generation = 0;

	token_of(4, taken);
	other = add_row(b, "in", "x", taken);
	assert_int_equal(remake_next(b->ledger, remake_watch(b->conf, &row), &row, &b->start, &generation,
				 &reason, NULL),
		1);
	assert_int_equal(generation, 5);
	expect_token(b, 5);
	ledger_row_done(&row);
	ledger_row_done(&other);
}

/* So many others have the tokens that it is no accident. */
static void test_next_taken(void **state)
{
	struct bench *b = *state;
	struct ledger_row row = add_row(b, "in", "x", "");
	const char *reason = NULL;
	int64_t generation = 0;

	for (int i = 1; i <= REMAKE_GENERATIONS_MAX; i++) {
		char taken[TOKEN_BYTES];
		struct ledger_row other;

		token_of(3 + i, taken);
		other = add_row(b, "in", "x", taken);
		ledger_row_done(&other);
	}
	assert_int_equal(remake_next(b->ledger, remake_watch(b->conf, &row), &row, &b->start, &generation,
				 &reason, NULL),
		0);
	assert_int_equal(generation, 3 + REMAKE_GENERATIONS_MAX);
	assert_string_equal(reason, "same_remote_file");
	ledger_row_done(&row);
}

static void test_cannot_be_made(void **state)
{
	static char long_value[11000];
	struct bench *b = *state;
	struct ledger_row row = add_row(b, "in", "x", "");
	const struct conf_watch *w;
	const char *reason = NULL;
	struct err err = ERR_INIT;
	int64_t generation = 0;

	memset(long_value, 'x', sizeof(long_value) - 1);
	set(b, "watch:in", "job_type", "notebook"); /* whose parameters may have 10,000 bytes */
	set(b, "watch:in", "param.note", long_value);
	w = remake_watch(b->conf, &row);
	assert_true(remake_same(w, &row, &b->start, &reason, &err) < 0);
	assert_string_equal(reason, "parameters_too_long");
	reason = NULL;
	assert_int_equal(remake_next(b->ledger, w, &row, &b->start, &generation, &reason, &err), 0);
	assert_string_equal(reason, "parameters_too_long");
	assert_int_equal(generation, 4);
	ledger_row_done(&row);
}

/* The row that takes the place of another: what the file was stays, what is sent is new. */
static void test_row(void **state)
{
	struct bench *b = *state;
	struct ledger_row row = add_row(b, "in", "x", ""), made;
	const struct conf_watch *w = remake_watch(b->conf, &row);
	CLEANUP_BUF struct buf body = BUF_INIT(1u << 20);
	const char *reason;
	struct ledger_new v;
	int64_t generation, id, root_id;

	row.run_id = 77;
	assert_int_equal(ledger_root(b->ledger, "/drop", false, &root_id, NULL), 1);
	assert_int_equal(remake_next(b->ledger, w, &row, &b->start, &generation, &reason, NULL), 1);
	v = remake_row(w, &row, &b->start, root_id, generation, NOW + 1);
	assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	assert_int_equal(ledger_row(b->ledger, id, &made, NULL), 1);
	assert_int_equal(ledger_request(b->ledger, id, &body, NULL), 1);
	assert_string_equal(made.watch, "in");
	assert_string_equal(made.root, "/drop");
	assert_string_equal(made.relpath, "x");
	assert_string_equal(made.mime, "text/csv");
	assert_memory_equal(&made.version, &row.version, sizeof(made.version));
	assert_int_equal(made.owner, 1000);
	assert_int_equal(made.first_seen_us, NOW - 2);
	assert_int_equal(made.completed_us, NOW - 1);
	assert_int_equal(made.state, LEDGER_PENDING);
	assert_string_equal(made.token, b->start.token);
	assert_int_equal(made.generation, 4);
	assert_string_equal(made.host, "new.example");
	assert_int_equal(made.job_id, 42);
	assert_string_equal(made.uri, "/drop/x");
	assert_int_equal(made.previous_run_id, 77);
	assert_false(made.sent);
	assert_string_equal(buf_str(&body), buf_str(&b->start.body));
	ledger_row_done(&row);
	ledger_row_done(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_watch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_next_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cannot_be_made, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_row, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
