#include "dispatch/waits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

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

static void test_values(void **state)
{
	static const struct {
		const char *value, *words;
		bool known;
		enum outcome_kind kind;
		int64_t job_id;
	} rows[] = {
		{"credential refused: who are you", "refused: who are you", true, OUTCOME_CREDENTIAL,
			WAITS_ANY_JOB},
		{"unreachable", "", true, OUTCOME_UNREACHABLE, WAITS_ANY_JOB}, /* of an older program */
		{"job ", "", true, OUTCOME_JOB, WAITS_ANY_JOB},
		{"job a@1 b", "a@1 b", true, OUTCOME_JOB, WAITS_ANY_JOB},
		{"job@0 none", "none", true, OUTCOME_JOB, 0},
		{"job@9223372036854775807 no such", "no such", true, OUTCOME_JOB, INT64_MAX},
		{"job@5", "", true, OUTCOME_JOB, 5},
		{"job@-5 x", "x", true, OUTCOME_JOB, WAITS_ANY_JOB},
		{"job@ x", "x", true, OUTCOME_JOB, WAITS_ANY_JOB},
		{"", NULL, false, OUTCOME_STARTED, 0},
		{"@5 x", NULL, false, OUTCOME_STARTED, 0},
		{"credentials x", NULL, false, OUTCOME_STARTED, 0},
		{"cred", NULL, false, OUTCOME_STARTED, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum outcome_kind kind = OUTCOME_STARTED;
		const char *words = NULL;
		int64_t job_id = 0;

		assert_int_equal(waits_read(rows[i].value, &kind, &job_id, &words), rows[i].known);
		assert_int_equal(kind, rows[i].kind);
		assert_int_equal(job_id, rows[i].job_id);
		if (rows[i].known)
			assert_string_equal(words, rows[i].words);
	}
}

static void test_made_and_read(void **state)
{
	CLEANUP_BUF struct buf words = BUF_INIT(8192);
	enum outcome_kind kind = OUTCOME_STARTED;
	const char *read = NULL;
	int64_t job_id = 0;

	(void)state;
	for (int i = 0; i < 6000; i++)
		(void)buf_addc(&words, 'x');

	CLEANUP_FREE char *value = waits_make(OUTCOME_JOB, INT64_MAX, buf_str(&words));

	assert_true(strlen(value) < LEDGER_META_BYTES);
	assert_true(waits_read(value, &kind, &job_id, &read));
	assert_int_equal(kind, OUTCOME_JOB);
	assert_int_equal(job_id, INT64_MAX);
	assert_int_equal(strspn(read, "x"), strlen(read));
}

static void expect(struct ledger *l, const char *workspace, const char *expected)
{
	char watch[] = "w", host[] = "h.example", name[32] = "";
	struct ledger_row row = {.watch = watch, .workspace = name, .host = host, .job_id = 5};
	CLEANUP_BUF struct buf text = BUF_INIT(4096);

	memcpy(name, workspace, strlen(workspace) + 1);
	assert_int_equal(waits_describe(l, NULL, &row, &text, NULL), 0);
	assert_string_equal(buf_str(&text), expected);
}

static void put(struct ledger *l, char *name, const char *value)
{
	assert_int_equal(ledger_set_meta(l, name, value, NULL), 0);
	free(name);
}

static void test_described(void **state)
{
	struct ledger *l = *state;

	expect(l, "", "");
	put(l, waits_name_of_workspace("h.example"), "unreachable unreachable: no\nroute");
	expect(l, "", "; workspace h.example is suspended: unreachable: no\\nroute");
	expect(l, "prod", ""); /* a workspace with a name goes by that */
	put(l, waits_name_of_workspace("prod"), "unreachable");
	put(l, waits_name_of_job("w", "prod"), "job job_missing: none");
	expect(l, "prod", "; workspace prod is suspended; its job is suspended: job_missing: none");
	put(l, waits_name_of_job("w", "prod"), "job@5 job_missing: no such job");
	expect(l, "prod", "; workspace prod is suspended; its job is suspended: job_missing: no such job");
	put(l, waits_name_of_job("w", "prod"), "job@4 job_missing: a former one");
	expect(l, "prod", "; workspace prod is suspended");
	put(l, waits_name_of_pause("w"), "bad_request");
	expect(l, "",
		"; watch w is paused since a file became a dead letter: bad_request; "
		"workspace h.example is suspended: unreachable: no\\nroute");
}

static void test_paused_by_its_configuration(void **state)
{
	struct ledger *l = *state;
	char watch[] = "w", none[] = "";
	struct ledger_row row = {.watch = watch, .workspace = none, .host = none};
	struct conf_mistakes mistakes = {.n = 0};
	CLEANUP_BUF struct buf text = BUF_INIT(4096);
	struct conf *conf = conf_new();

	conf_set(conf, "watch:w", "paused", "yes", "f", 1, &mistakes);
	conf_set(conf, "watch:v", "paused", "no", "f", 2, &mistakes);
	assert_int_equal(mistakes.n, 0);
	assert_int_equal(waits_describe(l, conf, &row, &text, NULL), 0);
	assert_string_equal(buf_str(&text), "; watch w is paused by its configuration (paused = yes)");
	watch[0] = 'v';
	buf_reset(&text);
	assert_int_equal(waits_describe(l, conf, &row, &text, NULL), 0);
	assert_string_equal(buf_str(&text), "");
	conf_free(conf);
}

static void test_paused(void **state)
{
	struct ledger *l = *state;
	char *why = NULL;

	assert_int_equal(waits_paused(l, "w", &why, NULL), 0);
	put(l, waits_name_of_pause("w"), "2026-01-31T06:00:00Z");
	assert_int_equal(waits_paused(l, "w", &why, NULL), 1);
	assert_null(why);
	put(l, waits_name_of_pause("w"), "bad_request");
	assert_int_equal(waits_paused(l, "w", &why, NULL), 1);
	assert_string_equal(why, "bad_request");
	free(why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_made_and_read),
		cmocka_unit_test_setup_teardown(test_described, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paused_by_its_configuration, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
