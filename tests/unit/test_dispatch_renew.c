#include "dispatch/renew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/log.h"
#include "base/mem.h"

#define NOW INT64_C(1767323045123456)

struct bench {
	struct conf *conf;
	struct ledger *ledger;
	struct scribe scribe;
	int64_t seq; /* of the last event that was looked at */
	char hash[8];
};

/* Another configuration: watch `in` with this job, or (0) no watch; watch `also` at another host. */
static void configure(struct bench *b, const char *job_id)
{
	struct conf_mistakes mistakes = {.n = 0};

	conf_free(b->conf);
	b->conf = conf_new();
	conf_set(b->conf, "workspace:a", "host", "https://a.example", "f", 1, &mistakes);
	conf_set(b->conf, "watch:also", "directory", "/also", "f", 2, &mistakes);
	conf_set(b->conf, "watch:also", "workspace", "a", "f", 3, &mistakes);
	conf_set(b->conf, "watch:also", "job_id", "7", "f", 4, &mistakes);
	if (job_id) {
		conf_set(b->conf, "watch:in", "directory", "/drop", "f", 5, &mistakes);
		conf_set(b->conf, "watch:in", "workspace", "a", "f", 6, &mistakes);
		conf_set(b->conf, "watch:in", "job_id", job_id, "f", 7, &mistakes);
		conf_set(b->conf, "watch:in", "path_map", "none", "f", 8, &mistakes);
	}
	if (mistakes.n > 0)
		fail_msg("%s", mistakes.items[0].text);
	conf_resolve(b->conf);
	b->hash[0]++;
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	log_init("test", LOG_LEVEL_ERROR, false);
	b->hash[0] = 'a';
	configure(b, "42");
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	scribe_init(&b->scribe, b->ledger, false);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	scribe_done(&b->scribe);
	ledger_close(b->ledger);
	conf_free(b->conf);
	free(b);
	return 0;
}

static int64_t add_with(
	struct bench *b, const char *name, enum ledger_state state, const char *host, const char *token)
{
	struct ledger_new v = {
		.key = {.watch = "in", .relpath = name},
		.version = {.size = 5, .mtime_ns = 6},
		.mime = "",
		.evidence = "",
		.state = state,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.generation = 1,
		.workspace = "a",
		.host = host,
		.job_id = 1,
		.uri = "/drop/x",
		.request = "{\"job_id\":1}",
		.request_len = 12,
		.now_us = NOW,
	};
	int64_t id;

	assert_int_equal(ledger_root(b->ledger, "/drop", true, &v.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	return id;
}

static int64_t add(struct bench *b, const char *name, enum ledger_state state, const char *host)
{
	CLEANUP_FREE char *token = mem_printf("%064d", name[0]);

	return add_with(b, name, state, host, token);
}

static int64_t add_held(struct bench *b, const char *name, const char *host, const char *reason)
{
	int64_t id = add(b, name, LEDGER_PENDING, host);

	assert_int_equal(ledger_set_state(b->ledger, id, LEDGER_HELD, reason, "", "", NOW, NULL), 0);
	return id;
}

static struct conf_watch *watch_in(struct bench *b)
{
	for (size_t i = 0; i < b->conf->watches_n; i++)
		if (strcmp(b->conf->watches[i]->name, "in") == 0)
			return b->conf->watches[i];
	fail_msg("no watch");
	return NULL;
}

/* The job of watch `in` by a name. */
static void name_job(struct bench *b)
{
	struct conf_watch *w;

	configure(b, "42");
	w = watch_in(b);
	w->job_name = mem_strdup("load");
	w->job_id = 0;
}

static void expect_unsent(struct bench *b, int64_t id, enum renew_end end)
{
	struct ledger_row r;

	assert_int_equal(ledger_row(b->ledger, id, &r, NULL), 1);
	assert_int_equal(renew_unsent(b->conf, b->ledger, &r, NULL), end);
	ledger_row_done(&r);
}

static void expect(struct bench *b, int64_t id, enum ledger_state state, const char *reason, int64_t job_id)
{
	CLEANUP_FREE char *start = mem_printf("{\"job_id\":%d", (int)job_id);
	CLEANUP_BUF struct buf body = BUF_INIT(1u << 20);
	struct ledger_row r;

	assert_int_equal(ledger_row(b->ledger, id, &r, NULL), 1);
	assert_int_equal(r.state, state);
	assert_string_equal(r.reason, reason);
	assert_int_equal(r.job_id, job_id);
	assert_int_equal(ledger_request(b->ledger, id, &body, NULL), 1);
	assert_int_equal(strncmp(buf_str(&body), start, strlen(start)), 0);
	ledger_row_done(&r);
}

static void renew(struct bench *b, int64_t renewed, int64_t held, int64_t back)
{
	struct renew_counts n;
	struct err err = ERR_INIT;

	if (renew_waiting(b->conf, b->ledger, &b->scribe, b->hash, &n, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(n.renewed, renewed);
	assert_int_equal(n.held, held);
	assert_int_equal(n.back, back);
}

/* The next event is a watch.held with this text; NULL: there is none. */
static void expect_told(struct bench *b, const char *text)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 16);
	int rc = ledger_outbox_next(b->ledger, b->seq, &b->seq, &line, NULL);

	assert_int_equal(rc, text != NULL);
	if (text && (!strstr(buf_str(&line), "\"watch.held\"") || !strstr(buf_str(&line), text)))
		fail_msg("%s is not in %s", text, buf_str(&line));
}

/* Only what waits and cannot have been sent; once for each configuration. */
static void test_renewed(void **state)
{
	struct bench *b = *state;
	int64_t waits = add(b, "a", LEDGER_PENDING, "a.example"),
		sent = add(b, "b", LEDGER_PENDING, "a.example");
	int64_t failed = add(b, "c", LEDGER_FAILED, "a.example");

	assert_int_equal(ledger_mark_sent(b->ledger, sent, NULL), 0);
	renew(b, 1, 0, 0);
	expect(b, waits, LEDGER_PENDING, "", 42);
	expect(b, sent, LEDGER_PENDING, "", 1);
	expect(b, failed, LEDGER_FAILED, "", 1);
	configure(b, "43");
	b->hash[0]--; /* said to be the same */
	renew(b, 0, 0, 0);
	expect(b, waits, LEDGER_PENDING, "", 42);
	b->hash[0]++;
	renew(b, 1, 0, 0);
	expect(b, waits, LEDGER_PENDING, "", 43);
	b->hash[0]++;
	renew(b, 0, 0, 0); /* nothing to change */
}

/* The watch is gone, and comes back with another job. */
static void test_watch_removed(void **state)
{
	struct bench *b = *state;
	int64_t waits = add(b, "a", LEDGER_PENDING, "a.example"),
		sent = add(b, "b", LEDGER_PENDING, "a.example");
	int64_t held = add(b, "c", LEDGER_HELD, "a.example");

	assert_int_equal(ledger_mark_sent(b->ledger, sent, NULL), 0);
	configure(b, NULL);
	renew(b, 0, 1, 0);
	expect_told(b, "\"watch\":\"in\",\"detail\":\"1 held: the watch is not configured");
	expect(b, waits, LEDGER_HELD, RENEW_REMOVED, 1);
	expect(b, sent, LEDGER_PENDING, "", 1);
	configure(b, "44");
	renew(b, 0, 0, 1);
	expect_told(b, NULL);
	expect(b, waits, LEDGER_PENDING, "", 44);
	expect(b, held, LEDGER_HELD, "", 1); /* for another reason */
}

/* Its request cannot be made anew, and nobody has its host any more. */
static void test_workspace_removed(void **state)
{
	static char long_value[11000];
	struct bench *b = *state;
	struct conf_mistakes mistakes = {.n = 0};
	int64_t here = add(b, "a", LEDGER_PENDING, "a.example"),
		gone = add(b, "b", LEDGER_PENDING, "old.example");

	memset(long_value, 'x', sizeof(long_value) - 1);
	conf_set(b->conf, "watch:in", "job_type", "notebook", "f", 9, &mistakes);
	conf_set(b->conf, "watch:in", "param.note", long_value, "f", 10, &mistakes);
	assert_int_equal(mistakes.n, 0);
	renew(b, 0, 1, 0);
	expect(b, here, LEDGER_PENDING, "", 1);
	expect(b, gone, LEDGER_HELD, RENEW_IMPOSSIBLE, 1);
	expect_told(b, "\"watch\":\"in\",\"detail\":\"1 held: no request can be made for it");
	b->hash[0]++;
	renew(b, 0, 0, 0); /* still not */
	expect(b, gone, LEDGER_HELD, RENEW_IMPOSSIBLE, 1);
	configure(b, "44");
	renew(b, 1, 0, 1);
	expect(b, gone, LEDGER_PENDING, "", 44);
}

/* The number of a job_name is not known yet, maybe at another host: rows that were never sent wait for that.
 */
static void test_name_not_known(void **state)
{
	struct bench *b = *state;
	int64_t here = add(b, "a", LEDGER_PENDING, "a.example"),
		there = add(b, "b", LEDGER_PENDING, "old.example"),
		sent = add(b, "c", LEDGER_PENDING, "old.example");
	int64_t held = add_held(b, "d", "old.example", RENEW_REMOVED);

	assert_int_equal(ledger_mark_sent(b->ledger, sent, NULL), 0);
	name_job(b);
	renew(b, 0, 0, 1);
	expect_told(b, NULL);
	expect(b, here, LEDGER_PENDING, "", 1);
	expect(b, there, LEDGER_PENDING, "", 1);
	expect(b, held, LEDGER_PENDING, "", 1);
	expect_unsent(b, there, RENEW_STAYS);
	watch_in(b)->job_id = 4711; /* as when its answer has come */
	expect_unsent(b, here, RENEW_ANEW);
	expect_unsent(b, there, RENEW_ANEW);
	expect_unsent(b, held, RENEW_ANEW);
	expect_unsent(b, held, RENEW_STAYS);
	expect(b, here, LEDGER_PENDING, "", 4711);
	expect(b, there, LEDGER_PENDING, "", 4711);
	expect(b, held, LEDGER_PENDING, "", 4711);
	expect(b, sent, LEDGER_PENDING, "", 1);
}

/* A program before this one held rows although their watch was there: they go on without any change. */
static void test_held_by_mistake(void **state)
{
	struct bench *b = *state;
	int64_t held, existing;

	renew(b, 0, 0, 0);
	held = add_held(b, "a", "old.example", RENEW_REMOVED);
	existing = add_held(b, "b", "a.example", "existing");
	renew(b, 0, 0, 1);
	expect(b, held, LEDGER_PENDING, "", 42);
	expect(b, existing, LEDGER_HELD, "existing", 1);
}

/* A token that another row has is not taken from it: the old request stays. */
static void test_token_is_taken(void **state)
{
	struct bench *b = *state;
	int64_t second;

	(void)add(b, "a", LEDGER_PENDING, "a.example");
	renew(b, 1, 0, 0);
	second = add_with(b, "a", LEDGER_PENDING, "a.example", "");
	b->hash[0]++;
	renew(b, 0, 0, 0);
	expect(b, second, LEDGER_PENDING, "", 1);
}

static void test_release(void **state)
{
	struct bench *b = *state;
	int64_t held = add(b, "a", LEDGER_HELD, "a.example"),
		failed = add(b, "b", LEDGER_FAILED, "a.example");
	int64_t foreign = add(b, "c", LEDGER_HELD, "old.example");

	assert_int_equal(renew_release(b->conf, b->ledger, held, NOW, NULL), 1);
	expect(b, held, LEDGER_PENDING, "", 42);
	assert_int_equal(renew_release(b->conf, b->ledger, held, NOW, NULL), 0); /* not held any more */
	assert_int_equal(renew_release(b->conf, b->ledger, failed, NOW, NULL), 0);
	expect(b, failed, LEDGER_FAILED, "", 1);
	assert_int_equal(renew_release(b->conf, b->ledger, 4711, NOW, NULL), 0);
	configure(b, NULL);
	assert_int_equal(renew_release(b->conf, b->ledger, foreign, NOW, NULL), 0);
	expect(b, foreign, LEDGER_HELD, RENEW_REMOVED, 1);
}

/* More than a page of them, in the middle of which one is damaged: the others do not wait for it. */
static void test_many(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 600; i++) {
		CLEANUP_FREE char *token = mem_printf("%064d", i);
		CLEANUP_FREE char *name = mem_printf("f%d", i);

		(void)add_with(b, name, LEDGER_PENDING, "a.example", i == 300 ? "no token" : token);
	}
	renew(b, 599, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_renewed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watch_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_workspace_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_name_not_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_held_by_mistake, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_token_is_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_release, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
