#include "dispatch/rerun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define NOW INT64_C(1767323045123456)
#define TOKEN "1111111111111111111111111111111111111111111111111111111111111111"

struct bench {
	struct conf *conf;
	struct ledger *ledger;
	struct desk desk;
	struct rerun rerun;
};

static const char *const settings[][3] = {
	{"workspace", "host", "https://new.example"},
	{"watch:in", "directory", "/drop"},
	{"watch:in", "job_id", "42"},
	{"watch:in", "path_map", "none"},
};

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	struct conf_mistakes mistakes = {.n = 0};

	b->conf = conf_new();
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		conf_set(b->conf, settings[i][0], settings[i][1], settings[i][2], "f", 1, &mistakes);
	assert_int_equal(mistakes.n, 0);
	conf_resolve(b->conf);
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	b->desk = (struct desk){.conf = b->conf, .ledger = b->ledger};
	rerun_init(&b->rerun);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	rerun_done(&b->rerun);
	ledger_close(b->ledger);
	conf_free(b->conf);
	free(b);
	return 0;
}

struct one {
	const char *watch;
	enum ledger_state state;
	const char *reason, *host;
	bool sent, request;
};

static int64_t add(struct bench *b, const struct one *o, const char *relpath)
{
	struct ledger_new v = {
		.key = {.watch = o->watch, .relpath = relpath},
		.version = {.size = 5, .mtime_ns = 7, .ino = 8},
		.mime = "",
		.evidence = "",
		.first_seen_us = NOW,
		.completed_us = NOW,
		.state = o->state,
		.reason = o->reason,
		.detail = "",
		.rules_hash = "",
		.token = o->request ? TOKEN : "",
		.generation = 1,
		.workspace = "",
		.host = o->host,
		.job_id = 42,
		.uri = "/x",
		.request = "{}",
		.request_len = o->request ? 2 : 0,
		.now_us = NOW,
	};
	int64_t id;

	assert_int_equal(ledger_root(b->ledger, "/drop", true, &v.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	if (o->sent)
		assert_int_equal(ledger_mark_sent(b->ledger, id, NULL), 0);
	return id;
}

static enum rerun_kind judge(struct bench *b, int64_t id, bool by_path)
{
	struct ledger_row row;
	struct ledger_note note;

	assert_int_equal(ledger_row(b->ledger, id, &row, NULL), 1);
	assert_int_equal(ledger_note(b->ledger, id, &note, NULL), 1);
	assert_int_equal(rerun_judge(&b->desk, &row, &note, by_path, &b->rerun, NULL), 0);
	ledger_note_done(&note);
	ledger_row_done(&row);
	return b->rerun.kind;
}

static void test_kinds(void **state)
{
	static const char here[] = "new.example", gone[] = "old.example";
	static const struct {
		struct one row;
		enum rerun_kind by_path, by_selector;
		bool unknown;
	} cases[] = {
		{{"in", LEDGER_STARTED, "", here, true, true}, RERUN_NEXT, RERUN_NEXT, false},
		{{"in", LEDGER_FAILED, "bad_request", here, false, true}, RERUN_NEXT, RERUN_NEXT, false},
		{{"in", LEDGER_FAILED, "outcome_unknown", here, true, true}, RERUN_NEXT, RERUN_NEXT, true},
		{{"in", LEDGER_FAILED, "conflict", here, true, true}, RERUN_NEXT, RERUN_NEXT, true},
		{{"in", LEDGER_FAILED, "token_refused", here, true, true}, RERUN_NEXT, RERUN_NEXT, false},
		{{"in", LEDGER_FAILED, "type_unknown", here, false, false}, RERUN_NO_REQUEST,
			RERUN_NO_REQUEST, false},
		{{"removed", LEDGER_STARTED, "", here, true, true}, RERUN_NO_WATCH, RERUN_NO_WATCH, false},
		{{"in", LEDGER_SKIPPED, "existing", here, false, false}, RERUN_FIRST, RERUN_STATE, false},
		{{"in", LEDGER_DISCARDED, "type_unknown", here, false, false}, RERUN_FIRST, RERUN_STATE,
			false},
		{{"in", LEDGER_DISCARDED, "bad_request", here, false, true}, RERUN_NEXT, RERUN_STATE, false},
		{{"in", LEDGER_DISCARDED, "outcome_unknown", here, true, true}, RERUN_NEXT, RERUN_STATE,
			true},
		{{"in", LEDGER_PENDING, "", gone, true, true}, RERUN_NEXT, RERUN_STATE, true},
		/* what goes out by itself, or was never sent, needs no other run */
		{{"in", LEDGER_PENDING, "", here, true, true}, RERUN_STATE, RERUN_STATE, false},
		{{"in", LEDGER_PENDING, "", gone, false, true}, RERUN_STATE, RERUN_STATE, false},
		{{"in", LEDGER_HELD, "brake", here, false, true}, RERUN_STATE, RERUN_STATE, false},
		{{"in", LEDGER_REJECTED, "types", here, false, false}, RERUN_STATE, RERUN_STATE, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench *b = *state;
		int64_t id = add(b, &cases[i].row, "x");

		if (judge(b, id, true) != cases[i].by_path || b->rerun.unknown != cases[i].unknown)
			fail_msg("case %zu by path: %d", i, (int)b->rerun.kind);
		if (judge(b, id, false) != cases[i].by_selector)
			fail_msg("case %zu by selector: %d", i, (int)b->rerun.kind);
		assert_int_equal(ledger_remove(b->ledger, id, NULL), 0);
	}
}

/* Only the newest version of a file. */
static void test_older(void **state)
{
	static const struct one started = {"in", LEDGER_STARTED, "", "new.example", true, true};
	static const struct one held = {"in", LEDGER_HELD, "brake", "new.example", false, false};
	struct bench *b = *state;
	int64_t first = add(b, &started, "x");

	assert_int_equal(judge(b, first, true), RERUN_NEXT);
	add(b, &held, "y");
	assert_int_equal(judge(b, first, true), RERUN_NEXT);
	add(b, &held, "x");
	assert_int_equal(judge(b, first, true), RERUN_OLDER);
}

static void insert(struct bench *b, int64_t id, enum ledger_state then, const char *reason)
{
	struct ledger_row row, next;

	assert_int_equal(judge(b, id, true), RERUN_NEXT);
	assert_int_equal(ledger_row(b->ledger, id, &row, NULL), 1);
	assert_int_equal(rerun_insert(&b->desk, &row, &b->rerun, "why", NULL), 0);
	ledger_row_done(&row);
	assert_int_equal(ledger_row(b->ledger, id, &row, NULL), 1);
	assert_int_equal(row.state, then);
	assert_string_equal(row.reason, reason);
	assert_int_equal(ledger_row(b->ledger, id + 1, &next, NULL), 1);
	assert_int_equal(next.state, LEDGER_PENDING);
	assert_int_equal(next.generation, 2);
	assert_string_equal(next.host, "new.example");
	assert_string_not_equal(next.token, row.token);
	assert_false(next.sent);
	ledger_row_done(&row);
	ledger_row_done(&next);
	/* and that one is the newest now */
	assert_int_equal(judge(b, id, true), then == LEDGER_DROPPED ? RERUN_STATE : RERUN_OLDER);
	assert_int_equal(ledger_remove(b->ledger, id, NULL), 0);
	assert_int_equal(ledger_remove(b->ledger, id + 1, NULL), 0);
}

/* What may yet be sent or tried again is closed; what is closed stays as it is. */
static void test_insert(void **state)
{
	static const struct {
		struct one row;
		enum ledger_state then;
		const char *reason;
	} cases[] = {
		{{"in", LEDGER_STARTED, "", "new.example", true, true}, LEDGER_STARTED, ""},
		{{"in", LEDGER_DISCARDED, "bad_request", "new.example", false, true}, LEDGER_DISCARDED,
			"bad_request"},
		{{"in", LEDGER_FAILED, "bad_request", "new.example", false, true}, LEDGER_DROPPED, "rerun"},
		{{"in", LEDGER_PENDING, "", "old.example", true, true}, LEDGER_DROPPED, "rerun"},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		insert(b, add(b, &cases[i].row, "x"), cases[i].then, cases[i].reason);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_older, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_insert, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
