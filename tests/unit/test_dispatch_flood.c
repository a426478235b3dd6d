#include "dispatch/flood.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"

#define HOUR (3600 * US_PER_S)

struct bench {
	struct conf *conf, *next;
	struct ledger *ledger;
	struct scribe scribe;
	struct flood *flood;
	int64_t now_us, seq;
};

static struct conf *make_conf(const char *brake)
{
	struct conf *conf = conf_new();
	struct conf_mistakes mistakes = {.n = 0};

	conf_set(conf, "workspace", "host", "https://adb.example", "f", 1, &mistakes);
	conf_set(conf, "watch:in", "directory", "/drop", "f", 2, &mistakes);
	conf_set(conf, "watch:in", "job_id", "42", "f", 3, &mistakes);
	conf_set(conf, "watch:in", "brake", brake, "f", 4, &mistakes);
	if (mistakes.n > 0)
		fail_msg("%s", mistakes.items[0].text);
	conf_resolve(conf);
	return conf;
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	b->conf = make_conf("3/1h");
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	scribe_init(&b->scribe, b->ledger, false);
	b->flood = flood_new(b->conf, b->ledger, &b->scribe);
	b->now_us = clock_wall_us();
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	flood_free(b->flood);
	scribe_done(&b->scribe);
	ledger_close(b->ledger);
	conf_free(b->conf);
	conf_free(b->next);
	free(b);
	return 0;
}

static int64_t insert(struct bench *b, enum ledger_state state, const char *token, int64_t completed_us)
{
	struct ledger_new v = {
		.key = {.watch = "in", .relpath = "x"},
		.mime = "",
		.evidence = "",
		.completed_us = completed_us,
		.state = state,
		.reason = state == LEDGER_HELD ? FLOOD_HELD : "",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.workspace = "",
		.host = "adb.example",
		.uri = "",
		.now_us = b->now_us,
	};
	int64_t id;

	assert_int_equal(ledger_root(b->ledger, "/drop", true, &v.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	return id;
}

/* How many of n files are held; *ret_said: how often that was said. */
static int take(struct bench *b, struct flood *f, const struct conf *conf, int n, int *ret_said)
{
	int held = 0;

	*ret_said = 0;
	for (int i = 0; i < n; i++) {
		char *say;
		bool hold;

		assert_int_equal(flood_take(f, conf->watches[0], b->now_us, &hold, &say, NULL), 0);
		held += hold;
		*ret_said += say != NULL;
		if (say && !strstr(say, "brickwatch release --watch in"))
			fail_msg("%s does not tell the way out", say);
		free(say);
	}
	return held;
}

static bool next_event(struct bench *b, const char *text)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 16);

	if (ledger_outbox_next(b->ledger, b->seq, &b->seq, &line, NULL) != 1)
		return false;
	if (!strstr(buf_str(&line), "\"watch.held\"") || !strstr(buf_str(&line), text))
		fail_msg("%s is not in %s", text, buf_str(&line));
	return true;
}

/* The first ones pass, the rest is held, and that is said and written once. */
static void test_held(void **state)
{
	struct bench *b = *state;
	int said;

	assert_int_equal(flood_due_us(b->flood), INT64_MAX);
	assert_int_equal(take(b, b->flood, b->conf, 3, &said), 0);
	assert_int_equal(said, 0);
	assert_int_equal(flood_due_us(b->flood), INT64_MAX);
	assert_int_equal(take(b, b->flood, b->conf, 5, &said), 5);
	assert_int_equal(said, 1);
	assert_true(next_event(b, "more than 3 files"));
	assert_false(next_event(b, ""));
	assert_in_range(
		flood_due_us(b->flood), clock_mono_us() + HOUR - 60 * US_PER_S, clock_mono_us() + HOUR);
}

/* What was counted in a transaction that is given up was not. */
static void test_undo(void **state)
{
	struct bench *b = *state;
	int said;

	assert_int_equal(take(b, b->flood, b->conf, 2, &said), 0);
	flood_committed(b->flood);
	assert_int_equal(take(b, b->flood, b->conf, 4, &said), 3);
	assert_int_equal(said, 1);
	flood_undo(b->flood);
	assert_int_equal(flood_due_us(b->flood), INT64_MAX);
	assert_int_equal(take(b, b->flood, b->conf, 4, &said), 3);
	assert_int_equal(said, 1); /* once more: the first time was given up */
}

/* A restart does not let another three go. Held ones and those without a request were not let go. */
static void test_restart(void **state)
{
	struct bench *b = *state;
	int said;

	(void)insert(b, LEDGER_STARTED, "t1", b->now_us - 60 * US_PER_S);
	(void)insert(b, LEDGER_PENDING, "t2", b->now_us - 50 * US_PER_S);
	(void)insert(b, LEDGER_HELD, "t3", b->now_us - 40 * US_PER_S);
	(void)insert(b, LEDGER_REJECTED, "", b->now_us - 40 * US_PER_S);
	(void)insert(b, LEDGER_STARTED, "t4", b->now_us - 2 * HOUR);
	assert_int_equal(take(b, b->flood, b->conf, 3, &said), 2);
	assert_in_range(flood_due_us(b->flood), clock_mono_us() + HOUR - 120 * US_PER_S,
		clock_mono_us() + HOUR - 55 * US_PER_S);
}

/* A reload goes on counting, unless the limit is another one. */
static void test_carry(void **state)
{
	static const struct {
		const char *brake;
		int held;
	} cases[] = {{"3/1h", 2}, {"4/1h", 0}, {"3/30m", 0}, {"off", 0}};
	struct bench *b = *state;
	int said;

	assert_int_equal(take(b, b->flood, b->conf, 2, &said), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flood *next;

		conf_free(b->next);
		b->next = make_conf(cases[i].brake);
		next = flood_new(b->next, b->ledger, &b->scribe);
		flood_carry(next, b->flood);
		assert_int_equal(take(b, next, b->next, 3, &said), cases[i].held);
		flood_free(next);
	}
}

/* At the end of the window one event says how many wait; nothing if they were let go meanwhile. */
static void test_end_of_window(void **state)
{
	for (int released = 0; released < 2; released++) {
		struct bench *b;
		int64_t id;
		int said;

		assert_int_equal(set_up(state), 0);
		b = *state;
		conf_free(b->conf);
		flood_free(b->flood);
		b->conf = make_conf("1/1s");
		b->conf->watches[0]->brake.per_us = US_PER_MS; /* over at once */
		b->flood = flood_new(b->conf, b->ledger, &b->scribe);
		do {
			b->seq = 0;
		} while (take(b, b->flood, b->conf, 2, &said) == 0);
		while (next_event(b, ""))
			;
		id = insert(b, LEDGER_HELD, "", b->now_us);
		if (released)
			assert_int_equal(ledger_remove(b->ledger, id, NULL), 0);
		while (flood_due_us(b->flood) > clock_mono_us())
			;
		assert_int_equal(flood_apply(b->flood, b->now_us, NULL), 0);
		assert_int_equal(next_event(b, "\"count\":1"), !released);
		assert_int_equal(flood_due_us(b->flood), INT64_MAX);
		assert_int_equal(flood_apply(b->flood, b->now_us, NULL), 0);
		assert_false(next_event(b, ""));
		assert_int_equal(tear_down(state), 0);
	}
}

/* Files that are held because the rules were changed: told soon, all of them in one event; the next ones not
 * within a minute. */
static void test_changed_rules(void **state)
{
	struct bench *b = *state;
	const struct conf_watch *w = b->conf->watches[0];
	int64_t now_us = clock_mono_us();

	flood_note_rules(b->flood, w);
	assert_in_range(flood_due_us(b->flood), now_us, now_us + 5 * US_PER_S);
	flood_undo(b->flood);
	assert_int_equal(flood_due_us(b->flood), INT64_MAX);
	flood_note_rules(b->flood, w);
	flood_committed(b->flood);
	assert_int_equal(ledger_set_state(b->ledger, insert(b, LEDGER_HELD, "t1", b->now_us), LEDGER_HELD,
				 FLOOD_RULES, "", "", b->now_us, NULL),
		0);
	assert_int_equal(flood_apply(b->flood, b->now_us, NULL), 0);
	assert_false(next_event(b, ""));
	while (flood_due_us(b->flood) > clock_mono_us())
		flood_note_rules(b->flood, w); /* changes nothing any more */
	assert_int_equal(flood_apply(b->flood, b->now_us, NULL), 0);
	assert_true(next_event(b, "1 file is held; brickwatch release --watch in lets it go\",\"count\":1"));
	assert_int_equal(flood_due_us(b->flood), INT64_MAX);
	flood_note_rules(b->flood, w);
	assert_in_range(flood_due_us(b->flood), clock_mono_us() + 50 * US_PER_S, INT64_MAX - 1);
	assert_false(next_event(b, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_undo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_carry, set_up, tear_down),
		cmocka_unit_test(test_end_of_window),
		cmocka_unit_test_setup_teardown(test_changed_rules, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
