#include "dispatch/sender.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "fake_jobs.h"

#define NOW INT64_C(1700000000000000)

struct bench {
	struct loop *loop;
	struct conf *conf;
	struct ledger *ledger;
	struct scribe scribe;
	struct sender *sender;
	int64_t outbox_seq;
	int rows;
	/* the watchers, if they can be asked */
	bool asking, watcher;
	int64_t asked[128];
	size_t asked_n;
};

static const char *const settings[][3] = {
	{"service", "state_directory", "/var/lib/x"},
	{"workspace:prod", "host", "https://prod.example"},
	{"workspace:prod", "token_file", "/etc/token"},
	{"workspace:prod", "rate", "1000000/s"},
	{"workspace:prod", "burst", "1000"},
	{"workspace:prod", "max_requests", "3"},
	{"workspace:test", "host", "https://test.example"},
	{"workspace:test", "token_file", "/etc/token"},
	{"watch:a", "directory", "/a"},
	{"watch:a", "job_id", "1"},
	{"watch:a", "workspace", "prod"},
	{"watch:b", "directory", "/b"},
	{"watch:b", "job_id", "2"},
	{"watch:b", "workspace", "prod"},
};

static bool may_ask(const char *watch, void *arg)
{
	const struct bench *b = arg;

	(void)watch;
	return b->watcher;
}

static int ask(const char *watch, const char *root, int64_t id, const struct wire_known *known, void *arg)
{
	struct bench *b = arg;

	assert_int_equal(root[0], '/');
	assert_string_equal(root + 1, watch);
	assert_int_equal(known->size, 5);
	assert_int_equal(known->mtime_ns, 7);
	assert_int_equal(known->ino, 8);
	assert_true(b->asked_n < ARRAY_SIZE(b->asked));
	b->asked[b->asked_n++] = id;
	return 0;
}

static void start(struct bench *b, const char *only_watch)
{
	struct sender_options o = {.loop = b->loop,
		.conf = b->conf,
		.ledger = b->ledger,
		.scribe = &b->scribe,
		.only_watch = only_watch,
		.asker = {.may_ask = may_ask, .ask = b->asking ? ask : NULL, .arg = b}};
	struct err err = ERR_INIT;

	b->sender = sender_new(&o, &err);
	if (!b->sender)
		fail_msg("%s", err.text);
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct conf_mistakes mistakes = {.n = 0};

	log_init("test", LOG_LEVEL_ERROR, false);
	fake_sent = 0;
	fake_looks_n = 0;
	fake_refuse = fake_no_client = 0;
	b->loop = loop_new(NULL);
	b->conf = conf_new();
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		conf_set(b->conf, settings[i][0], settings[i][1], settings[i][2], "test", (int)i + 1,
			&mistakes);
	if (mistakes.n > 0)
		fail_msg("%s", mistakes.items[0].text);
	conf_resolve(b->conf);
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	scribe_init(&b->scribe, b->ledger, false);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	sender_free(b->sender);
	scribe_done(&b->scribe);
	ledger_close(b->ledger);
	conf_free(b->conf);
	loop_free(b->loop);
	free(b);
	return 0;
}

static struct conf_workspace *prod(struct bench *b)
{
	return b->conf->workspaces[0];
}

static int insert_token; /* 0: the number of the row */

/* A pending row of a watch, not committed; its body is "WATCH-NUMBER". Returns its id. */
static int64_t insert_row_at(struct bench *b, const char *watch, const char *host, bool with_request)
{
	CLEANUP_FREE char *body = mem_printf("%s-%d", watch, ++b->rows);
	CLEANUP_FREE char *root = mem_printf("/%s", watch);
	char token[TOKEN_BYTES];
	struct ledger_new v = {
		.key = {.watch = watch, .relpath = body},
		.version = {.size = 5, .mtime_ns = 7, .ino = 8},
		.mime = "",
		.evidence = "",
		.first_seen_us = NOW,
		.completed_us = clock_wall_us() - 250 * US_PER_MS,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.generation = 1,
		.workspace = "prod",
		.host = host,
		.job_id = 1,
		.uri = "/Volumes/x",
		.request = body,
		.request_len = with_request ? strlen(body) : 0,
		.now_us = NOW,
	};
	struct err err = ERR_INIT;
	int64_t id = 0;

	snprintf(token, sizeof(token), "%064x", (unsigned)(insert_token ? insert_token : b->rows));
	assert_int_equal(ledger_root(b->ledger, root, true, &v.key.root_id, NULL), 1);
	if (ledger_insert(b->ledger, &v, &id, &err) < 0)
		fail_msg("%s", err.text);
	return id;
}

/* A row of the file that insert_row_at would make next, with a token of its own. */
static int64_t insert_again(struct bench *b, const char *watch, int token)
{
	int64_t id;

	insert_token = token;
	id = insert_row_at(b, watch, "prod.example", true);
	insert_token = 0;
	return id;
}

static int64_t add_row_at(struct bench *b, const char *watch, const char *host, bool with_request)
{
	int64_t id = insert_row_at(b, watch, host, with_request);

	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	if (b->sender)
		sender_accepted(b->sender, watch);
	return id;
}

static int64_t add_row(struct bench *b, const char *watch)
{
	return add_row_at(b, watch, "prod.example", true);
}

/* What the dispatcher does at the end of a round. */
static void round_of(struct bench *b)
{
	struct err err = ERR_INIT;

	while (sender_has_work(b->sender)) {
		if (sender_apply(b->sender, &err) < 0 || ledger_commit(b->ledger, &err) < 0)
			fail_msg("%s", err.text);
		sender_committed(b->sender);
	}
}

/* Nothing is on its way but this, if even that (a retry may be due at once). */
static void expect_at_most(const char *body)
{
	for (size_t i = 0; i < fake_calls_n; i++)
		assert_string_equal(fake_calls[i].body, body);
}

/* Waits as the loop does until n requests are on their way. */
static void wait_for_calls(struct bench *b, size_t n)
{
	int64_t until_us = clock_mono_us() + 20 * US_PER_S;

	round_of(b);
	while (fake_calls_n < n) {
		assert_true(clock_mono_us() < until_us);
		assert_true(loop_run_once(b->loop, US_PER_S, NULL) >= 0);
		round_of(b);
	}
}

static void expect_calls(const char *bodies)
{
	CLEANUP_BUF struct buf all = BUF_INIT(10000);

	for (size_t i = 0; i < fake_calls_n; i++)
		(void)buf_addf(&all, "%s%s", i > 0 ? " " : "", fake_calls[i].body);
	assert_string_equal(buf_str(&all), bodies);
}

static struct ledger_row row(struct bench *b, int64_t id)
{
	struct ledger_row r;

	assert_int_equal(ledger_row(b->ledger, id, &r, NULL), 1);
	return r;
}

static enum ledger_state state_of(struct bench *b, int64_t id)
{
	struct ledger_row r = row(b, id);
	enum ledger_state s = r.state;

	ledger_row_done(&r);
	return s;
}

static bool is_sent(struct bench *b, int64_t id)
{
	struct ledger_row r = row(b, id);
	bool sent = r.sent;

	ledger_row_done(&r);
	return sent;
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

/* Is there such an event among those not looked at yet? */
static bool has_event(struct bench *b, const char *type)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	CLEANUP_FREE char *start_of = mem_printf("\"type\":\"%s\"", type);
	int64_t seq = b->outbox_seq;

	while (ledger_outbox_next(b->ledger, seq, &seq, &line, NULL) == 1)
		if (strstr(buf_str(&line), start_of))
			return true;
	return false;
}

static int count_events(struct bench *b, const char *text)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	int64_t seq = b->outbox_seq;
	int n = 0;

	while (ledger_outbox_next(b->ledger, seq, &seq, &line, NULL) == 1)
		n += strstr(buf_str(&line), text) != NULL;
	return n;
}

static void expect_no_event(struct bench *b)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	int64_t seq;

	if (ledger_outbox_next(b->ledger, b->outbox_seq, &seq, &line, NULL) != 0)
		fail_msg("there is %s", buf_str(&line));
}

static void test_starts_a_run(void **state)
{
	struct bench *b = *state;
	int64_t id;
	struct ledger_row r;

	start(b, "");
	id = add_row(b, "a");
	round_of(b);
	expect_calls("a-1");
	assert_true(is_sent(b, id));
	assert_int_equal(sender_counts(b->sender).in_flight, 1);
	fake_start(0, INT64_C(9007199254740993));
	expect_no_event(b);
	round_of(b);
	r = row(b, id);
	assert_int_equal(r.state, LEDGER_STARTED);
	assert_true(r.run_id == INT64_C(9007199254740993));
	assert_int_equal(r.attempts, 1);
	expect_event(b, "run.started", "\"run_id\":9007199254740993,");
	expect_no_event(b);
	ledger_row_done(&r);
	assert_int_equal(sender_counts(b->sender).started, 1);
	assert_int_equal(sender_counts(b->sender).pending, 0);
	assert_int_equal(sender_counts(b->sender).in_flight, 0);
	assert_false(sender_has_work(b->sender));
}

/* The same fact has the same id on two hosts, and the latency goes from complete to answer. */
static void test_event_of_a_run(void **state)
{
	struct bench *b = *state;
	char id[EVENT_ID_BYTES], token[TOKEN_BYTES];
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	struct json *j;
	int64_t seq, latency = 0;

	start(b, "");
	add_row(b, "a");
	round_of(b);
	fake_start(0, 5);
	round_of(b);
	snprintf(token, sizeof(token), "%064x", 1u);
	event_id_make(token, EVENT_RUN_STARTED, 1, id);
	assert_int_equal(ledger_outbox_next(b->ledger, 0, &seq, &line, NULL), 1);
	j = json_parse(buf_str(&line), line.len, NULL);
	assert_string_equal(json_get_text(j, "id"), id);
	assert_string_equal(json_get_text(j, "workspace"), "prod");
	assert_int_equal(json_get_i64(j, "latency_ms", &latency), 0);
	assert_in_range(latency, 250, 30000);
	json_free(j);
}

/* Nothing goes out that is not committed; what was given up is chosen again, once. */
static void test_commit_comes_first(void **state)
{
	struct bench *b = *state;
	int64_t id;

	start(b, "");
	id = add_row(b, "a");
	assert_int_equal(sender_apply(b->sender, NULL), 0);
	assert_int_equal(fake_sent, 0);
	ledger_rollback(b->ledger);
	sender_undo(b->sender);
	assert_false(is_sent(b, id));
	assert_int_equal(sender_counts(b->sender).in_flight, 0);
	round_of(b);
	assert_int_equal(fake_sent, 1);
	/* an answer that could not be recorded is recorded later */
	fake_start(0, 5);
	assert_int_equal(sender_apply(b->sender, NULL), 0);
	ledger_rollback(b->ledger);
	sender_undo(b->sender);
	assert_int_equal(state_of(b, id), LEDGER_PENDING);
	round_of(b);
	assert_int_equal(state_of(b, id), LEDGER_STARTED);
	assert_int_equal(fake_sent, 1);
	expect_event(b, "run.started", "");
	expect_no_event(b);
}

static void test_oldest_first_and_in_turn(void **state)
{
	struct bench *b = *state;
	static const char *const order[] = {"a-1", "b-4", "a-2", "b-5", "a-3", "b-6"};

	prod(b)->max_requests = 1;
	for (int i = 0; i < 3; i++)
		add_row(b, "a");
	for (int i = 0; i < 3; i++)
		add_row(b, "b");
	start(b, "");
	assert_int_equal(sender_counts(b->sender).pending, 6);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		round_of(b);
		expect_calls(order[i]);
		fake_start(0, 5);
	}
	round_of(b);
	assert_int_equal(sender_counts(b->sender).started, 6);
}

static void test_bounds(void **state)
{
	struct bench *b = *state;

	b->conf->watches[0]->max_requests = 1;
	for (int i = 0; i < 10; i++)
		add_row(b, "a");
	start(b, "");
	round_of(b);
	assert_int_equal(fake_calls_n, 1); /* the watch's share */
	for (int i = 0; i < 10; i++)
		add_row(b, "b");
	round_of(b);
	assert_int_equal(fake_calls_n, 3); /* the workspace's */
	fake_start(0, 1);
	round_of(b);
	assert_int_equal(fake_calls_n, 3);
}

static void test_rate(void **state)
{
	struct bench *b = *state;
	int64_t from_us;

	prod(b)->rate = (struct conf_rate){.count = 10, .per_us = US_PER_S};
	prod(b)->burst = 2;
	prod(b)->max_requests = 100;
	for (int i = 0; i < 5; i++)
		add_row(b, "a");
	start(b, "");
	from_us = clock_mono_us();
	round_of(b);
	assert_int_equal(fake_calls_n, 2);
	wait_for_calls(b, 5);
	assert_true(clock_mono_us() - from_us >= 290 * US_PER_MS);
}

/* A backlog larger than a page, all of it, in order, while more comes in. */
static void test_backlog(void **state)
{
	struct bench *b = *state;
	int expected = 0;

	for (int i = 0; i < 500; i++)
		add_row(b, "a");
	start(b, "");
	for (round_of(b); sender_counts(b->sender).pending > 0; round_of(b)) {
		CLEANUP_FREE char *body = mem_printf("a-%d", expected + 1);

		assert_in_range(fake_calls_n, 1, 3);
		assert_string_equal(fake_calls[0].body, body);
		fake_start(0, ++expected);
		for (int i = 0; expected == 300 && i < 100; i++)
			add_row(b, "a");
	}
	assert_int_equal(expected, 600);
	assert_int_equal(fake_sent, 600);
}

/* The same bytes again, an event at the first failure and at each doubling. */
static void test_retries(void **state)
{
	struct bench *b = *state;
	int64_t id;
	struct ledger_row r;

	start(b, "");
	id = add_row(b, "a");
	for (int attempt = 1; attempt <= 4; attempt++) {
		wait_for_calls(b, 1);
		expect_calls("a-1");
		fake_fail(0, OUTCOME_RETRY, false, 503, "server_error");
		round_of(b);
		r = row(b, id);
		assert_int_equal(r.state, LEDGER_PENDING);
		assert_int_equal(r.attempts, attempt);
		assert_true(r.sent);
		assert_true(r.next_attempt_us > 0);
		assert_true(r.next_attempt_us - r.last_failed_us <= 8 * US_PER_S);
		ledger_row_done(&r);
		if (attempt != 3)
			expect_event(b, "start.retrying",
				"\"reason\":\"server_error\",\"http_status\":503,"
				"\"error_code\":\"SOME_CODE\",\"message\":\"the server's words\"");
		expect_no_event(b);
		if (attempt == 4)
			break;
		/* not before its time */
		assert_int_equal(fake_calls_n, 0);
	}
	assert_int_equal(sender_counts(b->sender).pending, 1);
}

/* A refusal that surely made no run takes the mark off again; anything else keeps it. */
static void test_sent_mark(void **state)
{
	struct bench *b = *state;
	int64_t id;

	start(b, "");
	id = add_row(b, "a");
	wait_for_calls(b, 1);
	assert_true(is_sent(b, id));
	fake_fail(0, OUTCOME_RETRY, true, 429, "rate_limited");
	assert_int_equal(sender_apply(b->sender, NULL), 0); /* no whole round: a retry may be due at once */
	assert_false(is_sent(b, id));
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	sender_committed(b->sender);
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_RETRY, false, 0, "no_answer");
	round_of(b);
	assert_true(is_sent(b, id));
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_RETRY, true, 429, "rate_limited");
	round_of(b);
	assert_true(is_sent(b, id)); /* the attempt before may have made one */
}

static void test_dead_letters(void **state)
{
	struct bench *b = *state;
	int64_t id;
	struct ledger_row r;

	start(b, "");
	id = add_row(b, "a");
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_DEAD, true, 400, "bad_request");
	round_of(b);
	assert_int_equal(state_of(b, id), LEDGER_FAILED);
	expect_event(b, "start.failed",
		"\"reason\":\"bad_request\",\"http_status\":400,\"error_code\":\"SOME_CODE\","
		"\"message\":\"the server's words\",\"attempts\":1");
	/* refused after an answer was lost: nobody knows */
	id = add_row(b, "a");
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_RETRY, false, 0, "no_answer");
	round_of(b);
	expect_event(b, "start.retrying", "\"reason\":\"no_answer\"");
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_DEAD, true, 400, "bad_request");
	round_of(b);
	expect_event(b, "start.failed",
		"\"reason\":\"outcome_unknown\",\"http_status\":400,\"error_code\":\"SOME_CODE\","
		"\"message\":\"an earlier request may have made a run; bad_request: the server's words\"");
	r = row(b, id);
	assert_int_equal(r.attempts, 2);
	assert_int_equal(r.failures, 1);
	ledger_row_done(&r);
	/* refused when curl had sent it twice */
	add_row(b, "a");
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_DEAD, false, 400, "bad_request");
	round_of(b);
	expect_event(b, "start.failed", "\"reason\":\"outcome_unknown\"");
	assert_int_equal(sender_counts(b->sender).failed, 3);
	assert_int_equal(sender_counts(b->sender).pending, 0);
}

/* What is said of the token is the reason, whatever became of earlier requests. */
static void test_what_is_said_of_the_token(void **state)
{
	static const char *const reasons[] = {"token_refused", "conflict"};
	struct bench *b = *state;

	start(b, "");
	for (int i = 0; i < 4; i++) {
		CLEANUP_FREE char *expected = mem_printf("\"reason\":\"%s\"", reasons[i % 2]);
		int64_t id = insert_row_at(b, "a", "prod.example", true);

		if (i >= 2)
			assert_int_equal(ledger_mark_sent(b->ledger, id, NULL), 0);
		assert_int_equal(ledger_commit(b->ledger, NULL), 0);
		sender_accepted(b->sender, "a");
		wait_for_calls(b, 1);
		fake_fail(0, OUTCOME_DEAD, false, 400, reasons[i % 2]);
		round_of(b);
		expect_event(b, "start.failed", expected);
		assert_true(is_sent(b, id));
	}
}

static void test_retry_for(void **state)
{
	struct bench *b = *state;
	int64_t id;
	struct ledger_row r;

	prod(b)->retry_for_us = 3 * US_PER_S;
	start(b, "");
	id = add_row(b, "a");
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_RETRY, true, 429, "rate_limited");
	round_of(b);
	/* as if it had waited long enough in pauses that were for its own sake */
	r = row(b, id);
	assert_int_equal(r.tried_us, 0);
	r.tried_us = 3 * US_PER_S;
	assert_int_equal(ledger_set_retry(b->ledger, &r, "", NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	ledger_row_done(&r);
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_RETRY, true, 429, "rate_limited");
	round_of(b);
	assert_int_equal(state_of(b, id), LEDGER_FAILED);
	expect_event(b, "start.retrying", "");
	expect_event(b, "start.failed", "\"reason\":\"retry_for_over\",\"http_status\":429");
}

/* One row probes a workspace that cannot be reached; the others keep their attempts; nothing is given up. */
static void test_unreachable(void **state)
{
	struct bench *b = *state;
	int64_t first, second;
	struct ledger_row r;

	prod(b)->retry_for_us = 1;
	first = add_row(b, "a");
	second = add_row(b, "a");
	prod(b)->max_requests = 1;
	start(b, "");
	for (int i = 0; i < 3; i++) {
		wait_for_calls(b, 1);
		expect_calls("a-1");
		if (i == 0)
			prod(b)->max_requests = 8;
		fake_fail(0, OUTCOME_UNREACHABLE, true, 0, "unreachable");
		assert_int_equal(sender_counts(b->sender).given_up, i == 2 ? 2 : 0);
		round_of(b);
		assert_int_equal(fake_calls_n, 0);
		if (i == 1)
			break; /* the third would take four seconds */
	}
	r = row(b, first);
	assert_int_equal(r.attempts, 2);
	assert_int_equal(r.tried_us, 0);
	assert_false(r.sent);
	ledger_row_done(&r);
	r = row(b, second);
	assert_int_equal(r.attempts, 0);
	ledger_row_done(&r);
	expect_event(
		b, "start.retrying", "\"reason\":\"unreachable\",\"http_status\":null,\"error_code\":null");
	wait_for_calls(b, 1);
	expect_calls("a-1");
	fake_start(0, 1);
	round_of(b);
	expect_calls("a-2");
	fake_start(0, 2);
	round_of(b);
	assert_int_equal(sender_counts(b->sender).started, 2);
}

/* A refused credential stops the workspace, a missing job only its watch; both are told, and neither makes a
 * dead letter. */
static void test_credential_and_job(void **state)
{
	struct bench *b = *state;
	int64_t a, other;

	start(b, "");
	a = add_row(b, "a");
	add_row(b, "a");
	round_of(b);
	fake_fail(0, OUTCOME_JOB, true, 404, "job_missing");
	fake_fail(0, OUTCOME_JOB, true, 404, "job_missing");
	round_of(b);
	assert_int_equal(state_of(b, a), LEDGER_PENDING);
	expect_event(b, "job.suspended",
		"\"watch\":\"a\",\"workspace\":\"prod\",\"job_id\":1,\"detail\":\"job_missing: the server's "
		"words; is the job "
		"there, in this workspace, under this number or name?\"");
	expect_no_event(b);
	assert_int_equal(fake_calls_n, 0);
	other = add_row(b, "b");
	round_of(b);
	expect_calls("b-3"); /* other jobs go on */
	fake_fail(0, OUTCOME_CREDENTIAL, true, 401, "credential_refused");
	round_of(b);
	assert_int_equal(state_of(b, other), LEDGER_PENDING);
	expect_event(b, "workspace.suspended",
		"\"watch\":null,\"workspace\":\"prod\",\"detail\":\"credential_refused: the server's "
		"words; renew the credential");
	expect_no_event(b);
	add_row(b, "b");
	round_of(b);
	assert_int_equal(fake_calls_n, 0);
	/* one at a time after the pause, both lines come back */
	wait_for_calls(b, 1);
	assert_int_equal(fake_calls_n, 1);
	fake_start(0, 1);
	while (sender_counts(b->sender).pending > 0) {
		wait_for_calls(b, 1);
		fake_start(0, 1);
		round_of(b);
	}
	assert_int_equal(sender_counts(b->sender).started, 4);
	assert_true(has_event(b, "workspace.resumed"));
	assert_true(has_event(b, "job.resumed"));
}

/* A row that was tried so often, and is due. */
static int64_t add_tried_row(struct bench *b, int64_t attempts)
{
	int64_t id = add_row(b, "a");
	struct ledger_row r = row(b, id);

	r.attempts = attempts;
	r.first_failed_us = r.last_failed_us = r.next_attempt_us = NOW;
	assert_int_equal(ledger_set_retry(b->ledger, &r, "", NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	ledger_row_done(&r);
	return id;
}

/* Its pause is over. */
static void hasten(struct bench *b, int64_t id)
{
	struct ledger_row r = row(b, id);

	r.next_attempt_us = r.last_failed_us + 1;
	assert_int_equal(ledger_set_retry(b->ledger, &r, "", NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	sender_look(b->sender, "a");
	ledger_row_done(&r);
}

static const struct refusal {
	enum outcome_kind kind;
	bool sure;
	int status;
	const char *reason;
	bool suspends;
} refusals[] = {
	{OUTCOME_JOB, true, 403, "job_forbidden", true},
	{OUTCOME_CREDENTIAL, true, 401, "credential_refused", true},
	{OUTCOME_UNREACHABLE, true, 405, "no_jobs_api", false},
	{OUTCOME_UNREACHABLE, false, 302, "redirected", false},
};

/* Nobody but itself waits for a row that is refused while others are started, and its clock runs. */
static void test_a_row_that_is_refused_alone(void **state)
{
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *x = &refusals[i];
		int64_t bad = add_tried_row(b, 2);
		struct ledger_row r;

		add_row(b, "a");
		prod(b)->max_requests = 1;
		prod(b)->retry_for_us = 1;
		start(b, "");
		wait_for_calls(b, 1);
		expect_calls("a-1");
		fake_fail(0, x->kind, x->sure, x->status, x->reason);
		round_of(b);
		assert_int_equal(fake_calls_n, 0);
		wait_for_calls(b, 1);
		expect_calls("a-2"); /* it was the third time */
		fake_start(0, 1);
		round_of(b);
		wait_for_calls(b, 1);
		expect_calls("a-1");
		fake_fail(0, x->kind, x->sure, x->status, x->reason);
		add_row(b, "a");
		round_of(b);
		expect_calls("a-3");
		fake_start(0, 2);
		round_of(b);
		assert_int_equal(count_events(b, ".suspended\""), x->suspends);
		hasten(b, bad);
		wait_for_calls(b, 1);
		expect_calls("a-1");
		fake_fail(0, x->kind, x->sure, x->status, x->reason);
		round_of(b);
		r = row(b, bad);
		assert_int_equal(r.state, LEDGER_FAILED);
		assert_string_equal(r.reason, x->sure ? "retry_for_over" : "outcome_unknown");
		ledger_row_done(&r);
		tear_down(state);
		set_up(state);
		b = *state;
	}
}

/* Without an answer nobody has seen the row: it stays the same one. */
static void test_an_outage_is_nothing_of_the_rows(void **state)
{
	struct bench *b = *state;

	add_tried_row(b, 9);
	add_row(b, "a");
	prod(b)->max_requests = 1;
	start(b, "");
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_UNREACHABLE, true, 0, "unreachable");
	wait_for_calls(b, 1);
	expect_calls("a-1");
}

/* While others are not started either, a row that is refused again and again waits for all of them. */
static void test_refused_like_all_others(void **state)
{
	struct bench *b = *state;
	int64_t id = add_tried_row(b, 2);
	struct ledger_row r;

	add_row(b, "a");
	prod(b)->max_requests = 1;
	prod(b)->retry_for_us = 1;
	start(b, "");
	for (int i = 0; i < 3; i++) {
		static const char *const tried[] = {"a-1", "a-2", "a-1"};

		wait_for_calls(b, 1);
		expect_calls(tried[i]);
		fake_fail(0, OUTCOME_JOB, true, 403, "job_forbidden");
		round_of(b);
		assert_int_equal(fake_calls_n, 0);
	}
	r = row(b, id);
	assert_int_equal(r.state, LEDGER_PENDING);
	assert_int_equal(r.tried_us, 0);
	ledger_row_done(&r);
}

/* The end of a suspension is told by whichever process sees it, and its begin once. */
static void test_suspension_over_a_restart(void **state)
{
	struct bench *b = *state;

	start(b, "");
	add_row(b, "a");
	round_of(b);
	fake_fail(0, OUTCOME_CREDENTIAL, true, 401, "credential_refused");
	assert_int_equal(sender_apply(b->sender, NULL), 0); /* a commit that fails: told with the next */
	ledger_rollback(b->ledger);
	sender_undo(b->sender);
	round_of(b);
	expect_event(b, "workspace.suspended", "credential_refused");
	expect_no_event(b);
	sender_free(b->sender);
	start(b, "");
	wait_for_calls(b, 1);
	expect_no_event(b);
	fake_fail(0, OUTCOME_CREDENTIAL, true, 401, "credential_refused");
	round_of(b);
	expect_no_event(b);
	sender_free(b->sender);
	start(b, "");
	wait_for_calls(b, 1);
	fake_start(0, 1);
	round_of(b);
	expect_event(b, "workspace.resumed", "\"workspace\":\"prod\"");
	expect_event(b, "run.started", "");
	sender_free(b->sender);
	start(b, "");
	add_row(b, "a");
	round_of(b);
	fake_start(0, 2);
	round_of(b);
	expect_event(b, "run.started", "");
	expect_no_event(b);
}

/* Whoever is told "too many" sends at half the pace, and comes back with successes. */
static void test_slows_down(void **state)
{
	struct bench *b = *state;

	prod(b)->rate = (struct conf_rate){.count = 100, .per_us = US_PER_S};
	prod(b)->burst = 2;
	prod(b)->max_requests = 64;
	start(b, "");
	add_row(b, "a");
	add_row(b, "a");
	round_of(b);
	fake_fail(0, OUTCOME_RETRY, true, 429, "rate_limited");
	fake_fail(0, OUTCOME_RETRY, true, 429, "rate_limited");
	for (int i = 0; i < 20; i++)
		add_row(b, "b");
	{
		int64_t from_us = clock_mono_us();

		for (int i = 0; i < 5; i++) {
			wait_for_calls(b, 1);
			fake_fail(0, OUTCOME_RETRY, true, 503, "server_error");
		}
		assert_true(clock_mono_us() - from_us >= 4 * 20 * US_PER_MS); /* 50/s */
	}
}

static void test_gives_up_for_a_scan(void **state)
{
	struct bench *b = *state;

	start(b, "");
	add_row(b, "a");
	add_row(b, "b");
	for (int i = 0; i < 3; i++) {
		wait_for_calls(b, 1);
		while (fake_calls_n > 0)
			fake_fail(0, OUTCOME_CREDENTIAL, true, 401, "credential_refused");
		round_of(b);
	}
	assert_int_equal(sender_counts(b->sender).given_up, 2);
	assert_int_equal(sender_counts(b->sender).in_flight, 0);
}

static void test_retry_after_is_for_all(void **state)
{
	struct bench *b = *state;
	struct jobs_answer a = {
		.outcome = {.kind = OUTCOME_RETRY, .sure_not_started = true, .reason = "rate_limited"},
		.http_status = 429,
		.error_code = "",
		.message = "",
		.retry_after_us = US_PER_S,
		.principal = "token",
	};
	int64_t from_us;

	start(b, "");
	add_row(b, "a");
	round_of(b);
	from_us = clock_mono_us();
	fake_answer(0, &a);
	round_of(b);
	add_row(b, "b");
	round_of(b);
	assert_int_equal(fake_calls_n, 0);
	wait_for_calls(b, 1);
	assert_true(clock_mono_us() - from_us >= US_PER_S);
}

/* Sent, and the process died before the answer: the same body again, and doubt about what became of it. */
static void test_restart(void **state)
{
	struct bench *b = *state;
	int64_t id, waiting;
	struct ledger_row r;

	start(b, "");
	id = add_row(b, "a");
	round_of(b);
	expect_calls("a-1");
	sender_free(b->sender);
	b->sender = NULL;
	assert_int_equal(fake_calls_n, 0);
	/* and one that waits for a time far off, since the clock was set back meanwhile */
	waiting = add_row(b, "a");
	r = row(b, waiting);
	r.next_attempt_us = clock_wall_us() + INT64_C(86400) * US_PER_S;
	assert_int_equal(ledger_set_retry(b->ledger, &r, "", NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	ledger_row_done(&r);
	start(b, "");
	round_of(b);
	expect_calls("a-1");
	fake_fail(0, OUTCOME_DEAD, true, 400, "bad_request");
	round_of(b);
	expect_event(b, "start.failed", "\"reason\":\"outcome_unknown\"");
	assert_int_equal(state_of(b, id), LEDGER_FAILED);
	r = row(b, waiting);
	assert_true(r.next_attempt_us <= clock_wall_us() + INT64_C(3601) * US_PER_S);
	ledger_row_done(&r);
}

/* Rows of a watch or workspace of former days: only what may be out is sent. */
static void test_former_watches(void **state)
{
	struct bench *b = *state;
	int64_t sent = add_row_at(b, "gone", "prod.example", true), elsewhere;
	int64_t unsent = add_row_at(b, "gone", "prod.example", true);
	struct sender_place place = {.stranded = false};

	assert_int_equal(ledger_mark_sent(b->ledger, sent, NULL), 0);
	elsewhere = add_row_at(b, "a", "former.example", true);
	assert_int_equal(ledger_mark_sent(b->ledger, elsewhere, NULL), 0);
	add_row_at(b, "a", "test.example", true); /* of a workspace that no watch uses any more */
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	start(b, "");
	round_of(b);
	expect_calls("gone-1");
	fake_start(0, 1);
	round_of(b);
	assert_int_equal(state_of(b, sent), LEDGER_STARTED);
	assert_int_equal(state_of(b, unsent), LEDGER_PENDING);
	assert_int_equal(state_of(b, elsewhere), LEDGER_PENDING);
	assert_int_equal(sender_counts(b->sender).pending, 0);
	/* nobody knows that host: it is counted, and shown */
	assert_int_equal(sender_counts(b->sender).stranded, 1);
	for (size_t i = 0; sender_place(b->sender, i, &place) && !place.stranded; i++)
		;
	assert_true(place.stranded);
	assert_string_equal(place.watch, "a");
	assert_string_equal(place.host, "former.example");
	assert_int_equal(place.pending, 1);
	sender_unstranded(b->sender, "a", "former.example", 1);
	assert_int_equal(sender_counts(b->sender).stranded, 0);
}

static void test_only_one_watch(void **state)
{
	struct bench *b = *state;

	add_row(b, "a");
	add_row(b, "b");
	start(b, "b");
	round_of(b);
	expect_calls("b-2");
	assert_int_equal(sender_counts(b->sender).pending, 1);
}

static void test_cannot_be_sent_now(void **state)
{
	struct bench *b = *state;
	int64_t id;

	start(b, "");
	fake_refuse = -EAGAIN;
	id = add_row(b, "a");
	round_of(b);
	assert_int_equal(state_of(b, id), LEDGER_PENDING);
	expect_event(b, "start.retrying", "\"reason\":\"not_sent\"");
	fake_refuse = 0;
	wait_for_calls(b, 1);
	expect_calls("a-1");
}

/* A row that cannot be sent does not stand in the way of the others. */
static void test_damaged_row(void **state)
{
	struct bench *b = *state;

	start(b, "");
	add_row_at(b, "a", "prod.example", false);
	add_row(b, "a");
	round_of(b);
	expect_calls("a-2");
}

static void test_stop(void **state)
{
	struct bench *b = *state;
	int64_t id;

	prod(b)->max_requests = 1;
	start(b, "");
	id = add_row(b, "a");
	add_row(b, "a");
	round_of(b);
	sender_stop(b->sender);
	fake_start(0, 1);
	round_of(b);
	assert_int_equal(state_of(b, id), LEDGER_STARTED);
	assert_int_equal(fake_calls_n, 0);
	assert_int_equal(sender_counts(b->sender).pending, 1);
	assert_false(sender_has_work(b->sender));
}

static void start_asking(struct bench *b)
{
	b->asking = b->watcher = true;
	start(b, "");
}

/* ---- runs that may have been skipped ---- */

static int64_t verify_at(struct bench *b, int64_t id)
{
	struct ledger_row r = row(b, id);
	int64_t at_us = r.verify_at_us;

	ledger_row_done(&r);
	return at_us;
}

/* Looked at later: runs without a queue, and those whose answer may be about an earlier request. */
static void test_which_runs_are_looked_at(void **state)
{
	struct bench *b = *state;
	int64_t plain, doubtful, unqueued;

	b->conf->watches[1]->queue = false;
	start(b, "");
	plain = add_row(b, "a");
	doubtful = add_row(b, "a");
	unqueued = add_row(b, "b");
	round_of(b);
	assert_int_equal(fake_calls_n, 3);
	expect_calls("a-1 b-3 a-2");
	fake_start(0, 1);
	fake_start(0, 3);
	fake_fail(0, OUTCOME_RETRY, false, 0, "no_answer");
	wait_for_calls(b, 1);
	fake_start(0, 2);
	round_of(b);
	assert_int_equal(verify_at(b, plain), 0);
	assert_in_range(verify_at(b, doubtful), clock_wall_us() + US_PER_S, clock_wall_us() + 5 * US_PER_S);
	assert_in_range(verify_at(b, unqueued), clock_wall_us() + US_PER_S, clock_wall_us() + 5 * US_PER_S);
	assert_int_equal(fake_looks_n, 0);
}

/* One at a time, also what a former process left; a skipped one is sent again after it was confirmed. */
static void test_skipped_run_is_sent_again(void **state)
{
	struct bench *b = *state;
	int64_t ids[2];

	for (int i = 0; i < 2; i++) {
		ids[i] = add_row(b, "a");
		assert_int_equal(ledger_set_started(b->ledger, ids[i], 70 + i, 1, "token", NOW, NULL), 0);
		assert_int_equal(ledger_set_verify(b->ledger, ids[i], NOW + i, NULL), 0);
	}
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	start_asking(b);
	round_of(b);
	assert_int_equal(fake_looks_n, 1);
	assert_int_equal(fake_looks[0].run_id, 70);
	fake_tell(OUTCOME_STARTED, FATE_SKIPPED, "SKIPPED");
	round_of(b);
	expect_event(b, "run.skipped", "\"run_id\":70,");
	assert_int_equal(sender_counts(b->sender).pending, 1);
	while (fake_looks_n == 0) {
		assert_true(loop_run_once(b->loop, US_PER_S, NULL) >= 0);
		round_of(b);
	}
	assert_int_equal(fake_looks[0].run_id, 71);
	fake_tell(OUTCOME_STARTED, FATE_RUNS, "");
	while (b->asked_n == 0) { /* the back-off of the first */
		round_of(b);
		assert_true(loop_run_once(b->loop, US_PER_S, NULL) >= 0);
		round_of(b);
	}
	assert_int_equal(fake_calls_n, 0);
	sender_confirmed(b->sender, "a", b->asked[0], WIRE_SAME);
	round_of(b);
	assert_int_equal(fake_calls_n, 1);
	assert_int_equal(verify_at(b, ids[0]), 0);
	assert_int_equal(verify_at(b, ids[1]), 0);
	expect_no_event(b);
}

/* ---- on_failure, paused ---- */

static void test_discard(void **state)
{
	struct bench *b = *state;
	int64_t id;

	b->conf->watches[0]->on_failure = CONF_FAIL_DISCARD;
	start(b, "");
	id = add_row(b, "a");
	wait_for_calls(b, 1);
	fake_fail(0, OUTCOME_DEAD, true, 400, "bad_request");
	round_of(b);
	assert_int_equal(state_of(b, id), LEDGER_DISCARDED);
	expect_event(b, "start.failed", "\"reason\":\"bad_request\"");
	expect_no_event(b);
	assert_int_equal(sender_counts(b->sender).pending, 0);
}

/* A dead letter pauses its watch, in the same transaction and over a restart; only what may be out is sent.
 */
static void test_failure_pauses(void **state)
{
	struct bench *b = *state;
	int64_t id, sent;

	b->conf->watches[0]->on_failure = CONF_FAIL_PAUSE;
	prod(b)->max_requests = 2;
	start(b, "");
	id = add_row(b, "a");
	sent = add_row(b, "a");
	add_row(b, "a");
	wait_for_calls(b, 2);
	fake_fail(1, OUTCOME_RETRY, false, 0, "no_answer");
	fake_fail(0, OUTCOME_DEAD, true, 400, "bad_request");
	assert_int_equal(sender_apply(b->sender, NULL), 0); /* given up: not paused */
	ledger_rollback(b->ledger);
	sender_undo(b->sender);
	round_of(b);
	assert_int_equal(state_of(b, id), LEDGER_FAILED);
	expect_event(b, "start.failed", "");
	expect_event(b, "watch.paused", "\"watch\":\"a\",\"detail\":\"bad_request\"");
	expect_at_most("a-2"); /* a-3 waits */
	sender_free(b->sender);
	start(b, "");
	wait_for_calls(b, 1);
	expect_calls("a-2");
	fake_start(0, 1);
	round_of(b);
	assert_int_equal(state_of(b, sent), LEDGER_STARTED);
	assert_int_equal(fake_calls_n, 0);
	add_row(b, "a");
	add_row(b, "b");
	round_of(b);
	expect_calls("b-5");
	assert_int_equal(sender_counts(b->sender).given_up, 2); /* a scan does not wait for them */
	sender_set_paused(b->sender, "a", false);
	round_of(b);
	expect_calls("b-5 a-3");
}

static void test_paused_by_configuration(void **state)
{
	struct bench *b = *state;

	b->conf->watches[0]->paused = true;
	add_row(b, "a");
	start_asking(b);
	add_row(b, "a");
	add_row(b, "b");
	round_of(b);
	expect_calls("b-3");
	assert_int_equal(b->asked_n, 0);
	sender_set_paused(b->sender, "a", false);
	round_of(b);
	expect_calls("b-3 a-2");
	assert_int_equal(b->asked_n, 1);
	sender_set_paused(b->sender, "a", true);
	sender_confirmed(b->sender, "a", b->asked[0], WIRE_SAME);
	round_of(b);
	expect_calls("b-3 a-2");
	sender_set_paused(b->sender, "a", false);
	round_of(b);
	expect_calls("b-3 a-2 a-1");
}

/* ---- rows that must be confirmed ---- */

/* The watcher's answer about the i-th row that is asked about. */
static void verdict(struct bench *b, size_t i, const char *watch, enum wire_verdict v)
{
	int64_t id = b->asked[i];

	assert_true(i < b->asked_n);
	b->asked_n--;
	memmove(b->asked + i, b->asked + i + 1, (b->asked_n - i) * sizeof(b->asked[0]));
	sender_confirmed(b->sender, watch, id, v);
}

/* What was there at the start is asked about, all at once, and goes out in its order; what may be out already
 * and what comes now is not. */
static void test_old_rows_are_confirmed(void **state)
{
	struct bench *b = *state;
	int64_t ids[3], sent, gone;

	for (int i = 0; i < 3; i++)
		ids[i] = add_row(b, "a");
	sent = add_row(b, "a");
	assert_int_equal(ledger_mark_sent(b->ledger, sent, NULL), 0);
	prod(b)->max_requests = 8;
	start_asking(b);
	round_of(b);
	expect_calls("a-4");
	assert_int_equal(b->asked_n, 3);
	add_row(b, "a");
	round_of(b);
	expect_calls("a-4 a-5");
	verdict(b, 2, "a", WIRE_SAME);
	gone = b->asked[0];
	assert_int_equal(gone, ids[0]);
	verdict(b, 0, "a", WIRE_GONE);
	verdict(b, 0, "a", WIRE_SWAPPED);
	round_of(b);
	expect_calls("a-4 a-5 a-3 a-2");
	assert_int_equal(b->asked_n, 0);
	assert_int_equal(state_of(b, gone), LEDGER_VANISHED);
	assert_false(is_sent(b, gone));
	expect_event(b, "file.vanished", "\"path\":\"/a/a-1\"");
	expect_no_event(b);
	assert_int_equal(sender_counts(b->sender).pending, 4);
}

/* The one that is tried instead of a row that is refused again and again has to be confirmed first, too. */
static void test_another_old_row_is_asked_about_first(void **state)
{
	struct bench *b = *state;
	int64_t bad = add_tried_row(b, 2), other;

	prod(b)->max_requests = 1;
	start_asking(b);
	round_of(b);
	verdict(b, 0, "a", WIRE_SAME);
	round_of(b);
	expect_calls("a-1");
	other = add_row(b, "a");
	assert_int_equal(sender_doubt_all(b->sender, NULL), 0);
	round_of(b);
	fake_fail(0, OUTCOME_JOB, true, 403, "job_forbidden");
	while (b->asked_n < 2) {
		round_of(b);
		assert_true(loop_run_once(b->loop, US_PER_S, NULL) >= 0);
	}
	assert_int_equal(b->asked[0], other);
	assert_int_equal(b->asked[1], bad);
	verdict(b, 1, "a", WIRE_SAME);
	verdict(b, 0, "a", WIRE_SAME);
	wait_for_calls(b, 1);
}

/* A transaction that was given up is applied again, and tells once. */
static void test_vanished_is_repeatable(void **state)
{
	struct bench *b = *state;
	int64_t id = add_row(b, "a");

	start_asking(b);
	round_of(b);
	verdict(b, 0, "a", WIRE_GONE);
	assert_int_equal(sender_apply(b->sender, NULL), 0);
	ledger_rollback(b->ledger);
	sender_undo(b->sender);
	assert_int_equal(state_of(b, id), LEDGER_PENDING);
	round_of(b);
	assert_int_equal(state_of(b, id), LEDGER_VANISHED);
	expect_event(b, "file.vanished", "");
	expect_no_event(b);
	assert_int_equal(sender_counts(b->sender).pending, 0);
	assert_int_equal(fake_sent, 0);
}

/* Replaced or unsure: it waits, without an attempt, and is not asked about all the time; others go on. */
static void test_unconfirmed_rows_wait(void **state)
{
	struct bench *b = *state;
	int64_t replaced = add_row(b, "a"), unsure = add_row(b, "a");
	struct ledger_row r;

	add_row(b, "a");
	start_asking(b);
	round_of(b);
	verdict(b, 0, "a", WIRE_REPLACED);
	verdict(b, 0, "a", WIRE_UNSURE);
	verdict(b, 0, "a", WIRE_SAME);
	round_of(b);
	expect_calls("a-3");
	assert_int_equal(b->asked_n, 0);
	assert_false(sender_has_work(b->sender));
	r = row(b, replaced);
	assert_int_equal(r.state, LEDGER_PENDING);
	assert_int_equal(r.attempts, 0);
	assert_in_range(r.next_attempt_us, clock_wall_us() + 25 * US_PER_S, clock_wall_us() + 30 * US_PER_S);
	ledger_row_done(&r);
	r = row(b, unsure);
	assert_in_range(r.next_attempt_us, clock_wall_us(), clock_wall_us() + 2 * US_PER_S);
	/* its time comes: it is asked about again */
	r.next_attempt_us = 1;
	assert_int_equal(ledger_set_retry(b->ledger, &r, "", NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	ledger_row_done(&r);
	sender_may_ask(b->sender, "a");
	round_of(b);
	assert_int_equal(b->asked_n, 1);
	assert_int_equal(b->asked[0], unsure);
	assert_int_equal(sender_counts(b->sender).pending, 3);
}

/* Replaced, and the newer version has its row already: nothing would take it up again, so it does not wait.
 */
static void test_replaced_and_known(void **state)
{
	struct bench *b = *state;
	int64_t older = add_row(b, "a"), newer;
	struct ledger_known known;
	struct ledger_key key = {.watch = "a", .relpath = "a-1"};

	start_asking(b);
	round_of(b);
	assert_int_equal(b->asked_n, 1);
	b->rows = 0; /* a-1 again, with another token */
	newer = insert_again(b, "a", 77);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	assert_int_equal(ledger_root(b->ledger, "/a", false, &key.root_id, NULL), 1);
	assert_int_equal(ledger_newest(b->ledger, &key, &known, NULL), 1);
	assert_int_equal(known.id, newer);
	verdict(b, 0, "a", WIRE_REPLACED);
	round_of(b);
	assert_int_equal(state_of(b, older), LEDGER_SUPERSEDED);
	expect_event(b, "file.superseded", "\"path\":\"/a/a-1\"");
	assert_int_equal(sender_counts(b->sender).pending, 0);
}

/* Of two that were there at the start the older one is not even asked about. */
static void test_older_of_a_file(void **state)
{
	struct bench *b = *state;
	int64_t older = add_row(b, "a"), newer;

	b->rows = 0; /* a-1 again, with another token */
	newer = insert_again(b, "a", 77);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	start_asking(b);
	assert_int_equal(sender_counts(b->sender).pending, 2);
	assert_int_equal(sender_apply(b->sender, NULL), 0);
	ledger_rollback(b->ledger); /* given up, and done again */
	sender_undo(b->sender);
	assert_int_equal(state_of(b, older), LEDGER_PENDING);
	b->asked_n = 0;
	sender_confirmed(b->sender, "a", newer, WIRE_SAME);
	round_of(b);
	assert_int_equal(state_of(b, older), LEDGER_SUPERSEDED);
	assert_int_equal(state_of(b, newer), LEDGER_PENDING);
	expect_event(b, "file.superseded", "\"path\":\"/a/a-1\"");
	expect_no_event(b);
	assert_int_equal(sender_counts(b->sender).pending, 1);
	assert_int_equal(fake_sent, 1);
}

/* What was released is looked at however young it is, and so is what came along with it. */
static void test_doubted(void **state)
{
	struct bench *b = *state;

	start_asking(b);
	round_of(b);
	assert_int_equal(ledger_mark_sent(b->ledger, add_row(b, "a"), NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	add_row(b, "a");
	assert_int_equal(sender_doubt_all(b->sender, NULL), 0);
	round_of(b);
	expect_calls("a-1"); /* it may be out */
	assert_int_equal(b->asked_n, 1);
	add_row(b, "a"); /* came after that */
	round_of(b);
	expect_calls("a-1 a-3");
	verdict(b, 0, "a", WIRE_SAME);
	round_of(b);
	expect_calls("a-1 a-3 a-2");
}

/* Without its watcher a watch's old rows wait, and nothing is written about that; other watches go on. */
static void test_no_watcher_to_ask(void **state)
{
	struct bench *b = *state;
	int64_t id = add_row(b, "a");
	struct ledger_row r;

	b->asking = true;
	start(b, "");
	round_of(b);
	assert_int_equal(b->asked_n, 0);
	add_row(b, "b");
	round_of(b);
	expect_calls("b-2");
	b->watcher = true;
	sender_may_ask(b->sender, "a");
	round_of(b);
	assert_int_equal(b->asked_n, 1);
	b->watcher = false; /* it is killed: dispatch/confirm answers for it */
	verdict(b, 0, "a", WIRE_UNSURE);
	round_of(b);
	r = row(b, id);
	assert_int_equal(r.next_attempt_us, 0);
	ledger_row_done(&r);
	assert_int_equal(b->asked_n, 0);
	b->watcher = true;
	sender_may_ask(b->sender, "a");
	round_of(b);
	verdict(b, 0, "a", WIRE_SAME);
	round_of(b);
	expect_calls("b-2 a-1");
}

/* A long backlog is asked about in batches, ahead of what goes out. */
static void test_backlog_is_confirmed_ahead(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 300; i++)
		add_row(b, "a");
	start_asking(b);
	round_of(b);
	while (sender_counts(b->sender).pending > 0) {
		size_t n = b->asked_n;

		assert_in_range(n, 0, 64);
		while (b->asked_n > 0)
			verdict(b, 0, "a", WIRE_SAME);
		round_of(b);
		assert_true(fake_calls_n > 0);
		while (fake_calls_n > 0)
			fake_start(0, 5);
		round_of(b);
	}
	assert_int_equal(sender_counts(b->sender).started, 300);
	assert_int_equal(fake_sent, 300);
}

/* A suspended workspace is probed with a row that needs no confirmation, or has it. */
static void test_probes_with_what_it_may_send(void **state)
{
	struct bench *b = *state;

	add_row(b, "a");
	start_asking(b);
	round_of(b);
	assert_int_equal(b->asked_n, 1);
	add_row(b, "b");
	wait_for_calls(b, 1);
	expect_calls("b-2");
	fake_fail(0, OUTCOME_UNREACHABLE, true, 0, "unreachable");
	round_of(b);
	wait_for_calls(b, 1);
	expect_calls("b-2");
	verdict(b, 0, "a", WIRE_SAME);
	fake_start(0, 1);
	round_of(b);
	expect_calls("a-1");
}

static void test_no_credential(void **state)
{
	struct bench *b = *state;
	struct sender_options o = {.loop = b->loop,
		.conf = b->conf,
		.ledger = b->ledger,
		.scribe = &b->scribe,
		.only_watch = ""};
	struct err err = ERR_INIT;

	fake_no_client = 1;
	assert_null(sender_new(&o, &err));
	assert_int_equal(err.class, ERR_CONF);
	assert_string_equal(err.text, "workspace prod: the token file can be read by others");
}

/* A row is marked sent in the transaction that makes it, and goes out after it; a transaction that is given
 * up sends nothing. */
static void test_one_commit(void **state)
{
	struct bench *b = *state;
	int64_t id;

	start(b, "");
	round_of(b);
	(void)insert_row_at(b, "a", "prod.example", true);
	sender_look(b->sender, "a");
	assert_int_equal(sender_apply(b->sender, NULL), 0);
	ledger_rollback(b->ledger);
	sender_undo(b->sender);
	round_of(b);
	assert_int_equal(fake_sent, 0);

	id = insert_row_at(b, "a", "prod.example", true);
	sender_look(b->sender, "a");
	assert_int_equal(sender_apply(b->sender, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	assert_int_equal(fake_sent, 0);
	assert_true(is_sent(b, id));
	sender_accepted(b->sender, "a");
	sender_committed(b->sender);
	assert_int_equal(fake_sent, 1);
	round_of(b);
	assert_int_equal(fake_sent, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_starts_a_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_event_of_a_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_commit_comes_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_commit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_oldest_first_and_in_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rate, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backlog, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_retries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sent_mark, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dead_letters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_said_of_the_token, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_retry_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreachable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_credential_and_job, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_row_that_is_refused_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_outage_is_nothing_of_the_rows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused_like_all_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_old_row_is_asked_about_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_suspension_over_a_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_slows_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gives_up_for_a_scan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_retry_after_is_for_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_former_watches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_only_one_watch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cannot_be_sent_now, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_which_runs_are_looked_at, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_skipped_run_is_sent_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_discard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failure_pauses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paused_by_configuration, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_old_rows_are_confirmed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_vanished_is_repeatable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unconfirmed_rows_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_watcher_to_ask, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replaced_and_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_older_of_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_doubted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backlog_is_confirmed_ahead, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_probes_with_what_it_may_send, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_credential, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
