#include "dispatch/verify.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define NOW INT64_C(1700000000000000)
#define RUN INT64_C(9007199254740993)

struct bench {
	struct conf *conf;
	struct ledger *ledger;
	struct scribe scribe;
	struct verify *verify;
	int64_t outbox_seq;
};

static const char *const settings[][3] = {
	{"service", "state_directory", "/var/lib/x"},
	{"workspace", "host", "https://prod.example"},
	{"workspace", "token_file", "/etc/token"},
	{"watch:a", "directory", "/a"},
	{"watch:a", "job_id", "1"},
	{"watch:a", "path_map", "none"},
};

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct conf_mistakes mistakes = {.n = 0};

	log_init("test", LOG_LEVEL_ERROR, false);
	b->conf = conf_new();
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		conf_set(b->conf, settings[i][0], settings[i][1], settings[i][2], "test", (int)i + 1,
			&mistakes);
	if (mistakes.n > 0)
		fail_msg("%s", mistakes.items[0].text);
	conf_resolve(b->conf);
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	scribe_init(&b->scribe, b->ledger, false);
	b->verify = verify_new(b->conf, b->ledger, &b->scribe, "prod.example");
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	verify_free(b->verify);
	scribe_done(&b->scribe);
	ledger_close(b->ledger);
	conf_free(b->conf);
	free(b);
	return 0;
}

static int64_t add_row(struct bench *b, const char *watch, const char *name, int64_t generation, int64_t size)
{
	char token[TOKEN_BYTES];
	struct ledger_new v = {
		.key = {.watch = watch, .relpath = name},
		.version = {.size = size, .mtime_ns = 7, .ino = 8},
		.mime = "text/csv",
		.evidence = "",
		.first_seen_us = NOW,
		.completed_us = NOW,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.generation = generation,
		.workspace = "",
		.host = "prod.example",
		.job_id = 1,
		.uri = "/a/x",
		.request = "{}",
		.request_len = 2,
		.now_us = NOW,
	};
	CLEANUP_FREE char *uri = mem_printf("/a/%s", name);
	int64_t id = 0;

	token_make("prod.example", 1, size, 7, generation, uri, CONF_VERSION_SIZE_MTIME, token);
	assert_int_equal(ledger_root(b->ledger, "/a", true, &v.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	return id;
}

/* A started row that is to be looked at. */
static int64_t add_started(struct bench *b, const char *watch, const char *name)
{
	int64_t id = add_row(b, watch, name, 1, 5);

	assert_int_equal(ledger_set_started(b->ledger, id, RUN, 1, "token", NOW, NULL), 0);
	assert_int_equal(ledger_set_verify(b->ledger, id, NOW + 5, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	verify_expect(b->verify, NOW + 5);
	return id;
}

static int64_t round_of(struct bench *b, int64_t now_us)
{
	struct err err = ERR_INIT;

	if (verify_apply(b->verify, true, now_us, &err) < 0 || ledger_commit(b->ledger, &err) < 0)
		fail_msg("%s", err.text);
	return verify_committed(b->verify);
}

static void answer(struct bench *b, enum outcome_kind kind, enum fate fate, const char *code)
{
	struct jobs_run run = {.kind = kind, .fate = fate, .code = code, .message = "limit of 1 reached"};

	verify_answered(b->verify, &run);
}

static struct ledger_row row(struct bench *b, int64_t id)
{
	struct ledger_row r;

	assert_int_equal(ledger_row(b->ledger, id, &r, NULL), 1);
	return r;
}

static int64_t verify_at(struct bench *b, int64_t id)
{
	struct ledger_row r = row(b, id);
	int64_t at_us = r.verify_at_us;

	ledger_row_done(&r);
	return at_us;
}

static void expect_event(struct bench *b, const char *type, const char *text)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	CLEANUP_FREE char *start_of = mem_printf("\"type\":\"%s\"", type);

	if (ledger_outbox_next(b->ledger, b->outbox_seq, &b->outbox_seq, &line, NULL) != 1)
		fail_msg("no event %s", type);
	if (!strstr(buf_str(&line), start_of) || !strstr(buf_str(&line), text))
		fail_msg("%s with %s is not %s", type, text, buf_str(&line));
}

static void expect_no_event(struct bench *b)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	int64_t seq;

	if (ledger_outbox_next(b->ledger, b->outbox_seq, &seq, &line, NULL) != 0)
		fail_msg("there is %s", buf_str(&line));
}

/* A run that runs is not looked at again, and nothing is written about it. */
static void test_runs(void **state)
{
	struct bench *b = *state;
	int64_t id = add_started(b, "a", "x");

	assert_int_equal(verify_time(b->verify), 0); /* the ledger was not asked yet */
	assert_int_equal(round_of(b, NOW), 0);
	assert_int_equal(verify_time(b->verify), NOW + 5);
	assert_int_equal(round_of(b, NOW + 4), 0);
	assert_int_equal(round_of(b, NOW + 5), RUN);
	assert_int_equal(verify_time(b->verify), INT64_MAX);
	answer(b, OUTCOME_STARTED, FATE_RUNS, "SUCCESS");
	assert_true(verify_is_answered(b->verify));
	assert_int_equal(round_of(b, NOW + 6), 0);
	assert_int_equal(verify_at(b, id), 0);
	assert_int_equal(round_of(b, NOW + 6), 0);
	assert_int_equal(verify_time(b->verify), INT64_MAX);
	expect_no_event(b);
}

/* A skipped run is started again as the next generation, in one transaction that can be repeated. */
static void test_skipped(void **state)
{
	struct bench *b = *state;
	int64_t id = add_started(b, "a", "x"), next = id + 1, found;
	char token[TOKEN_BYTES];
	struct ledger_row r;

	assert_int_equal(round_of(b, NOW + 5), RUN);
	answer(b, OUTCOME_STARTED, FATE_SKIPPED, "MAX_CONCURRENT_RUNS_EXCEEDED");
	assert_int_equal(verify_apply(b->verify, true, NOW + 6, NULL), 0); /* given up */
	ledger_rollback(b->ledger);
	verify_undo(b->verify);
	assert_null(verify_news(b->verify).watch);
	assert_int_equal(verify_at(b, id), NOW + 5);
	assert_int_equal(verify_apply(b->verify, true, NOW + 6, NULL), 0);
	assert_string_equal(verify_news(b->verify).watch, "a");
	assert_true(verify_news(b->verify).pending);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	assert_int_equal(verify_committed(b->verify), 0);
	assert_null(verify_news(b->verify).watch);
	expect_event(b, "run.skipped", "\"run_id\":9007199254740993,");
	expect_no_event(b);
	assert_int_equal(verify_at(b, id), 0);
	token_make("prod.example", 1, 5, 7, 2, "/a/x", CONF_VERSION_SIZE_MTIME, token);
	r = row(b, next);
	assert_int_equal(r.state, LEDGER_PENDING);
	assert_string_equal(r.token, token);
	assert_int_equal(r.generation, 2);
	assert_int_equal(r.skips, 1);
	assert_int_equal(r.previous_run_id, RUN);
	assert_false(r.sent);
	assert_in_range(r.next_attempt_us, NOW + 6 + US_PER_S / 2, NOW + 6 + US_PER_S);
	assert_string_equal(r.mime, "text/csv");
	ledger_row_done(&r);
	r = row(b, id);
	assert_int_equal(r.state, LEDGER_STARTED);
	ledger_row_done(&r);
	/* the new one is looked at before it goes out, although it is young */
	assert_int_equal(ledger_due(b->ledger, &(struct ledger_line){.watch = "a", .host = "prod.example"},
				 LEDGER_OLD, 0, INT64_MAX, &found, 1, NULL),
		1);
	assert_int_equal(found, next);
}

/* The next token is taken: the one after it. */
static void test_generation_is_taken(void **state)
{
	struct bench *b = *state;
	int64_t other = add_row(b, "a", "x", 2, 5), id = add_started(b, "a", "x");
	struct ledger_row r;

	assert_int_equal(ledger_set_started(b->ledger, other, 7, 1, "token", NOW, NULL), 0);
	assert_int_equal(round_of(b, NOW + 5), RUN);
	answer(b, OUTCOME_STARTED, FATE_SKIPPED, "SKIPPED");
	assert_int_equal(round_of(b, NOW + 6), 0);
	r = row(b, id + 1);
	assert_int_equal(r.generation, 3);
	ledger_row_done(&r);
}

/* A newer version has come: its run reads what is there now, and one of the old version would read it too. */
static void test_a_newer_version(void **state)
{
	struct bench *b = *state;
	int64_t id = add_started(b, "a", "x"), newer = add_row(b, "a", "x", 1, 6);
	struct ledger_row r;

	assert_int_equal(round_of(b, NOW + 5), RUN);
	answer(b, OUTCOME_STARTED, FATE_SKIPPED, "SKIPPED");
	assert_int_equal(round_of(b, NOW + 6), 0);
	expect_event(b, "run.skipped", "\"reason\":\"SKIPPED: limit of 1 reached\"");
	expect_event(b, "file.superseded", "\"path\":\"/a/x\"");
	expect_no_event(b);
	r = row(b, id);
	assert_int_equal(r.state, LEDGER_SUPERSEDED);
	ledger_row_done(&r);
	assert_int_equal(ledger_row(b->ledger, newer + 1, &r, NULL), 0);
}

static void test_skipped_too_often(void **state)
{
	struct bench *b = *state;
	int64_t id = add_started(b, "a", "x");
	struct ledger_row r;

	assert_int_equal(ledger_set_skipped(b->ledger, id, VERIFY_SKIPS_MAX, 0, NULL), 0);
	assert_int_equal(round_of(b, NOW + 5), RUN);
	answer(b, OUTCOME_STARTED, FATE_SKIPPED, "SKIPPED");
	assert_int_equal(verify_apply(b->verify, true, NOW + 6, NULL), 0);
	assert_string_equal(verify_news(b->verify).watch, "a");
	assert_false(verify_news(b->verify).pending);
	assert_int_equal(verify_committed(b->verify), 0);
	expect_event(b, "run.skipped", "");
	expect_event(b, "start.failed", "\"reason\":\"skipped_too_often\"");
	r = row(b, id + 1);
	assert_int_equal(r.state, LEDGER_FAILED);
	assert_int_equal(r.failures, 1);
	assert_true(r.token[0] != '\0');
	ledger_row_done(&r);
}

/* An answer that tells nothing: a few more looks, then the run is trusted; what may pass is asked on and on.
 */
static void test_unknown(void **state)
{
	struct bench *b = *state;
	int64_t id = add_started(b, "a", "x"), now_us = NOW + 5;
	int looks = 0;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(round_of(b, now_us), RUN);
		answer(b, i % 2 ? OUTCOME_RETRY : OUTCOME_UNREACHABLE, FATE_UNKNOWN, "");
		assert_int_equal(round_of(b, now_us), 0);
		assert_true(verify_at(b, id) > now_us);
		assert_int_equal(round_of(b, now_us), 0); /* not before its time */
		now_us = verify_at(b, id);
	}
	while (verify_at(b, id) > 0) {
		now_us = verify_at(b, id);
		assert_int_equal(round_of(b, now_us), RUN);
		answer(b, looks % 2 ? OUTCOME_STARTED : OUTCOME_DEAD, FATE_UNKNOWN, "PENDING");
		assert_int_equal(round_of(b, now_us), 0);
		assert_in_range(verify_at(b, id), 0, now_us + 60 * US_PER_S);
		looks++;
	}
	assert_int_equal(looks, 7);
	expect_no_event(b);
}

/* Killed after the question: it is asked again. A row that is no started one any more is let go. */
static void test_restart_and_others(void **state)
{
	struct bench *b = *state;
	int64_t first = add_started(b, "a", "x"), gone = add_started(b, "former", "y");

	assert_int_equal(round_of(b, NOW + 5), RUN);
	verify_free(b->verify);
	b->verify = verify_new(b->conf, b->ledger, &b->scribe, "prod.example");
	assert_int_equal(ledger_set_state(b->ledger, first, LEDGER_DROPPED, "", "", "", NOW, NULL), 0);
	assert_int_equal(round_of(b, NOW + 5), RUN); /* of the other */
	assert_int_equal(verify_at(b, first), 0);
	answer(b, OUTCOME_STARTED, FATE_SKIPPED, "SKIPPED");
	assert_int_equal(round_of(b, NOW + 6), 0);
	expect_event(b, "run.skipped", "\"watch\":\"former\"");
	expect_no_event(b); /* nobody knows how its request is made */
	assert_int_equal(verify_at(b, gone), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_skipped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_generation_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_newer_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_skipped_too_often, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart_and_others, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
