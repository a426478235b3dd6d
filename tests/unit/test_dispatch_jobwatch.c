#include "dispatch/jobwatch.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fake_jobs.h"

#define NOW INT64_C(1700000000000000)
#define BIG INT64_C(9223372036854775807)

struct bench {
	struct loop *loop;
	struct conf *conf;
	struct ledger *ledger;
	struct scribe scribe;
	struct sender *sender;
	struct jobwatch *jobwatch;
	char known[64]; /* names of watches that were let start */
	int64_t outbox_seq;
	int rows;
};

static const char *const settings[][3] = {
	{"workspace", "host", "https://prod.example"},
	{"workspace", "token_file", "/etc/token"},
	{"workspace", "rate", "1000000/s"},
	{"workspace", "burst", "1000"},
	{"watch:a", "directory", "/a"},
	{"watch:a", "job_id", "1"},
	{"watch:n", "directory", "/n"},
	{"watch:n", "job_name", "load"},
};

/* What the workspace has. */
static int64_t load_id;	      /* of the job "load"; 0 none */
static const char *parameter; /* of each job */
static bool down;	      /* nobody answers */

static void workspace(const char *path, struct jobs_page *page)
{
	static char body[300];

	if (down)
		return;
	page->outcome = (struct outcome){.kind = OUTCOME_STARTED, .reason = "started"};
	page->body = body;
	if (strstr(path, "jobs/list") && load_id > 0)
		snprintf(body, sizeof(body),
			"{\"jobs\":[{\"job_id\":%" PRId64 ",\"settings\":{\"name\":\"load\"}}]}", load_id);
	else if (strstr(path, "jobs/list"))
		snprintf(body, sizeof(body), "{}");
	else
		snprintf(body, sizeof(body),
			"{\"job_id\":%s,\"settings\":{\"parameters\":[{\"name\":\"%s\"}]}}",
			strchr(path, '=') + 1, parameter);
}

static void on_known(const char *watch, void *arg)
{
	struct bench *b = arg;

	strncat(b->known, watch, sizeof(b->known) - strlen(b->known) - 1);
}

static void begin(struct bench *b, const char *hash)
{
	struct sender_options so = {.loop = b->loop,
		.conf = b->conf,
		.ledger = b->ledger,
		.scribe = &b->scribe,
		.only_watch = ""};
	struct jobwatch_options jo = {.loop = b->loop,
		.conf = b->conf,
		.hash = hash,
		.ledger = b->ledger,
		.scribe = &b->scribe,
		.only_watch = "",
		.known = on_known,
		.arg = b};
	struct err err = ERR_INIT;

	b->known[0] = '\0';
	assert_int_equal(jobwatch_recall(b->conf, b->ledger, &err), 0);
	b->sender = sender_new(&so, &err);
	assert_non_null(b->sender);
	jo.sender = b->sender;
	b->jobwatch = jobwatch_new(&jo, &err);
	assert_non_null(b->jobwatch);
}

static void end(struct bench *b)
{
	sender_free(b->sender);
	jobwatch_free(b->jobwatch);
	b->sender = NULL;
	b->jobwatch = NULL;
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct conf_mistakes mistakes = {.n = 0};

	log_init("test", LOG_LEVEL_ERROR, false);
	fake_page = workspace;
	load_id = BIG;
	parameter = "path";
	down = false;
	b->loop = loop_new(NULL);
	b->conf = conf_new();
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		conf_set(b->conf, settings[i][0], settings[i][1], settings[i][2], "f", (int)i, &mistakes);
	assert_int_equal(mistakes.n, 0);
	conf_resolve(b->conf);
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	scribe_init(&b->scribe, b->ledger, false);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	end(b);
	scribe_done(&b->scribe);
	ledger_close(b->ledger);
	conf_free(b->conf);
	loop_free(b->loop);
	free(b);
	return 0;
}

static void round_of(struct bench *b)
{
	struct err err = ERR_INIT;

	while (jobwatch_has_work(b->jobwatch) || sender_has_work(b->sender)) {
		if (jobwatch_apply(b->jobwatch, &err) < 0 || sender_apply(b->sender, &err) < 0 ||
			ledger_commit(b->ledger, &err) < 0)
			fail_msg("%s", err.text);
		(void)jobwatch_committed(b->jobwatch);
		sender_committed(b->sender);
	}
}

static bool asked(struct bench *b, size_t i)
{
	struct jobwatch_view view;

	jobwatch_view(b->jobwatch, i, &view);
	return view.asked;
}

/* Until both watches were asked about. */
static void run(struct bench *b)
{
	int64_t until_us = clock_mono_us() + 20 * US_PER_S;

	while (!asked(b, 0) || !asked(b, 1)) {
		assert_true(clock_mono_us() < until_us);
		assert_true(loop_run_once(b->loop, US_PER_S, NULL) >= 0);
		round_of(b);
	}
}

static int64_t add_row(struct bench *b, const char *watch, int64_t job_id, bool sent)
{
	CLEANUP_FREE char *body = mem_printf("%s-%d", watch, ++b->rows);
	CLEANUP_FREE char *root = mem_printf("/%s", watch);
	CLEANUP_FREE char *token = mem_printf("%064x", (unsigned)b->rows);
	struct ledger_new v = {.key = {.watch = watch, .relpath = body},
		.version = {.size = 5, .mtime_ns = 7},
		.mime = "",
		.evidence = "",
		.first_seen_us = NOW,
		.completed_us = NOW,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.generation = 1,
		.workspace = "",
		.host = "prod.example",
		.job_id = job_id,
		.uri = "/x",
		.request = body,
		.request_len = strlen(body),
		.now_us = NOW};
	int64_t id = 0;

	assert_int_equal(ledger_root(b->ledger, root, true, &v.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	if (sent)
		assert_int_equal(ledger_mark_sent(b->ledger, id, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	if (b->sender)
		sender_accepted(b->sender, watch);
	return id;
}

static struct ledger_row row_of(struct bench *b, int64_t id)
{
	struct ledger_row r;

	assert_int_equal(ledger_row(b->ledger, id, &r, NULL), 1);
	return r;
}

static void expect_state(
	struct bench *b, int64_t id, enum ledger_state state, const char *reason, int64_t job_id)
{
	struct ledger_row r = row_of(b, id);

	assert_string_equal(ledger_state_name(r.state), ledger_state_name(state));
	assert_string_equal(r.reason, reason);
	assert_true(r.job_id == job_id);
	ledger_row_done(&r);
}

static void expect_event(struct bench *b, const char *type, const char *text)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);

	if (ledger_outbox_next(b->ledger, b->outbox_seq, &b->outbox_seq, &line, NULL) != 1)
		fail_msg("no event %s", type);
	if (!strstr(buf_str(&line), type) || !strstr(buf_str(&line), text))
		fail_msg("%s with %s is not %s", type, text, buf_str(&line));
}

/* Nothing is sent before the first look; with the same configuration it is known to be good. */
static void files_wait_for_the_first_look(void **state)
{
	struct bench *b = *state;

	begin(b, "hash");
	add_row(b, "a", 1, false);
	round_of(b);
	assert_int_equal(fake_calls_n, 0);
	run(b);
	assert_int_equal(fake_calls_n, 1);
	end(b);

	begin(b, "hash");
	add_row(b, "a", 1, false);
	round_of(b);
	assert_int_equal(fake_calls_n, 2); /* the one that was out, and this */
	end(b);

	begin(b, "another");
	add_row(b, "a", 1, false);
	round_of(b);
	assert_int_equal(fake_calls_n, 2); /* marked sent: both, but not the new one */
}

static void a_look_that_finds_nothing_out_lets_them_go(void **state)
{
	struct bench *b = *state;
	struct jobwatch_view view;

	down = true;
	begin(b, "hash");
	add_row(b, "a", 1, false);
	run(b);
	assert_int_equal(fake_calls_n, 1);
	jobwatch_view(b->jobwatch, 0, &view);
	assert_non_null(strstr(view.unknown, "the job could not be looked at: the server's words"));
	jobwatch_view(b->jobwatch, 1, &view);
	assert_true(view.waits && view.unreachable);
	assert_string_equal(b->known, "");
}

static void a_parameter_that_is_not_defined(void **state)
{
	struct bench *b = *state;
	struct sender_place place;
	int64_t sent, waiting;

	parameter = "other";
	load_id = 0;
	begin(b, "hash");
	sent = add_row(b, "a", 1, true);
	waiting = add_row(b, "a", 1, false);
	run(b);
	expect_event(
		b, "job.suspended", "\"job_id\":1,\"detail\":\"parameter_undefined: the job does not define");
	assert_int_equal(fake_calls_n, 1); /* only the token can tell whether its run exists */
	assert_string_equal(fake_calls[0].body, "a-1");
	fake_start(0, 77);
	round_of(b);
	expect_event(b, "job.suspended", "\"watch\":\"n\"");
	expect_event(b, "run.started", "\"run_id\":77");
	expect_state(b, sent, LEDGER_STARTED, "", 1);
	expect_state(b, waiting, LEDGER_PENDING, "", 1);
	assert_true(sender_place(b->sender, 1, &place));
	assert_true(place.suspended);
	assert_non_null(strstr(place.why, "parameter_undefined"));
	assert_int_equal(sender_counts(b->sender).given_up, 1);
}

/* The id is kept before its watcher may start; a transaction that was given up is repeated. */
static void a_name(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	begin(b, "hash");
	while (!asked(b, 1))
		assert_true(loop_run_once(b->loop, US_PER_S, NULL) >= 0);
	assert_true(b->conf->watches[1]->job_id == BIG);
	assert_true(jobwatch_has_work(b->jobwatch));
	assert_int_equal(jobwatch_apply(b->jobwatch, &err), 0);
	ledger_rollback(b->ledger);
	assert_string_equal(b->known, "");
	round_of(b);
	assert_string_equal(b->known, "n");
	end(b);

	b->conf->watches[1]->job_id = 0;
	down = true;
	begin(b, "hash");
	assert_true(b->conf->watches[1]->job_id == BIG);
	assert_string_equal(b->known, "n");
}

static void another_job_of_that_name(void **state)
{
	struct bench *b = *state;
	int64_t rows[300], sent, other;

	begin(b, "hash");
	run(b);
	end(b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		rows[i] = add_row(b, "n", BIG, false);
	sent = add_row(b, "n", BIG, true);
	other = add_row(b, "a", BIG, false); /* of another watch */
	load_id = 9;
	begin(b, "another");
	run(b);
	round_of(b);
	assert_true(b->conf->watches[1]->job_id == 9);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect_state(b, rows[i], LEDGER_FAILED, "job_gone", BIG);
	expect_state(b, sent, LEDGER_PENDING, "", BIG);
	expect_state(b, other, LEDGER_PENDING, "", BIG);
	expect_event(b, "start.failed", "\"reason\":\"job_gone\"");
	assert_int_equal(sender_counts(b->sender).pending, 2);
	assert_false(jobwatch_has_work(b->jobwatch));
}

/* A row that is out when the answer comes is answered first; a definite refusal makes it one of the others.
 */
static void another_job_while_a_row_is_out(void **state)
{
	struct bench *b = *state;
	int64_t refused, lost;

	begin(b, "hash");
	run(b);
	end(b);
	load_id = 9;
	begin(b, "hash"); /* was good: files do not wait for the look */
	refused = add_row(b, "n", BIG, false);
	lost = add_row(b, "n", BIG, false);
	round_of(b);
	assert_int_equal(fake_calls_n, 2);
	run(b);
	expect_state(b, refused, LEDGER_PENDING, "", BIG);
	fake_fail(0, OUTCOME_JOB, true, 400, "job_missing");
	fake_fail(0, OUTCOME_RETRY, false, 500, "server_error");
	round_of(b);
	expect_state(b, refused, LEDGER_FAILED, "job_gone", BIG);
	expect_state(b, lost, LEDGER_PENDING, "", BIG);
	expect_event(b, "start.failed", "\"reason\":\"job_gone\"");
	expect_event(b, "start.retrying", "");
}

/* Killed between two pages: the next process goes on where nothing is done yet. */
static void interrupted(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	int64_t rows[300];

	begin(b, "hash");
	run(b);
	end(b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		rows[i] = add_row(b, "n", BIG, false);
	load_id = 9;
	begin(b, "hash");
	while (!asked(b, 1))
		assert_true(loop_run_once(b->loop, US_PER_S, NULL) >= 0);
	assert_int_equal(jobwatch_apply(b->jobwatch, &err), 0);
	assert_int_equal(ledger_commit(b->ledger, &err), 0);
	end(b);
	expect_state(b, rows[0], LEDGER_FAILED, "job_gone", BIG);
	expect_state(b, rows[299], LEDGER_PENDING, "", BIG);
	down = true;
	begin(b, "hash");
	add_row(b, "n", 9, false); /* of the new one */
	round_of(b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect_state(b, rows[i], LEDGER_FAILED, "job_gone", BIG);
	assert_int_equal(fake_calls_n, 1);
	assert_string_equal(fake_calls[0].body, "n-301");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_wait_for_the_first_look, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_look_that_finds_nothing_out_lets_them_go, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_parameter_that_is_not_defined, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_job_of_that_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_job_while_a_row_is_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(interrupted, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
