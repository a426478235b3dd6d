#include "core/notice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"
#include "base/mem.h"

#define S INT64_C(1000000)

static void test_wants(void **state)
{
	static const struct {
		const char *on[3], *watch, *type, *of;
		bool wanted;
	} cases[] = {
		{{"*"}, NULL, "run.started", "w", true},
		{{"*"}, NULL, "service.started", "", true},
		{{"*"}, NULL, "notify.dropped", "", false},
		{{"notify.*"}, NULL, "notify.dropped", "", false},
		{{"start.*"}, NULL, "start.failed", "w", true},
		{{"start.*"}, NULL, "run.started", "w", false},
		{{"run.started", "watch.*"}, NULL, "watch.lost", "w", true},
		{{"watch.los?"}, NULL, "watch.lost", "w", true},
		{{"*"}, "w", "run.started", "w", true},
		{{"*"}, "w", "run.started", "v", false},
		{{"*"}, "w", "workspace.suspended", "", false},
		{{"*"}, "w", "workspace.suspended", NULL, false},
		{{NULL}, NULL, "run.started", "w", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *on[3];
		struct conf_notify n = {.on = {.items = on}, .watch = (char *)cases[i].watch};

		for (; n.on.n < 3 && cases[i].on[n.on.n]; n.on.n++)
			on[n.on.n] = (char *)cases[i].on[n.on.n];
		if (notice_wants(&n, cases[i].type, cases[i].of) != cases[i].wanted)
			fail_msg("case %zu", i);
	}
}

static void test_patterns_of_use(void **state)
{
	const char *near = NULL;

	(void)state;
	assert_true(notice_is_pattern_of_use("*", NULL));
	assert_true(notice_is_pattern_of_use("job.*", NULL));
	assert_false(notice_is_pattern_of_use("notify.*", NULL));
	assert_false(notice_is_pattern_of_use("watch.lots", &near));
	assert_string_equal(near, "watch.lost");
}

/* What happens when so many wait at such times, and each step is taken. '1' one, 'D' digest, '.' wait */
static void expect_steps(const struct conf_rate *digest, const char *script)
{
	struct notice_pace p = {.from_us = 0};
	int64_t now_us = 1000 * S, until_us = 0;

	for (const char *s = script; *s; s += strcspn(s, ";") + (strchr(s, ';') != NULL)) {
		long after_s, waiting;
		char expected, *end;
		enum notice_step step;

		after_s = strtol(s, &end, 10);
		waiting = strtol(end, &end, 10);
		expected = end[1];
		now_us += after_s * S;
		step = notice_next(&p, digest, waiting, now_us, &until_us);
		if (step != (expected == '1' ? NOTICE_ONE : expected == 'D' ? NOTICE_MANY : NOTICE_WAIT))
			fail_msg("%s: at %s: %d", script, s, (int)step);
		if (step == NOTICE_WAIT)
			assert_true(until_us > now_us && until_us - now_us <= digest->per_us);
		else
			notice_note(&p, digest, step, waiting, now_us);
	}
}

static void test_pace(void **state)
{
	const struct conf_rate three = {.count = 3, .per_us = 60 * S}, off = {.count = 0};

	(void)state;
	expect_steps(&off, "0 1 1;0 50000 1;0 9 1");
	/* few, each by itself, and then the time is over */
	expect_steps(&three, "0 3 1;1 2 1;1 1 1;57 1 .;1 1 1;0 1 1;0 1 1;0 1 .");
	/* many at once: a digest at once, the others when the time is over */
	expect_steps(&three, "0 4 D;1 1 .;1 9000 .;58 9000 D;1 1 .;59 1 1");
	/* some have gone out when the storm comes */
	expect_steps(&three, "0 1 1;1 1 1;1 2 D;1 5 .;57 5 D");
	/* all have gone out by themselves, and it goes on */
	expect_steps(&three, "0 1 1;1 1 1;1 1 1;1 1 .;1 2 .;57 2 1;0 1 1;1 1 1;1 4 .");
	/* more than fit into one digest: the next comes at once */
	expect_steps(&three, "0 25000 D;0 15000 D;0 5000 D;0 5 .");
}

static void test_late(void **state)
{
	int64_t before_us = -1;

	(void)state;
	/* it has not failed for long: whatever the clock says */
	assert_false(notice_late_before(86400 * S, 599 * S, 90000000 * S, &before_us));
	assert_int_equal(before_us, -1);
	assert_true(notice_late_before(86400 * S, 600 * S, 90000000 * S, &before_us));
	assert_int_equal(before_us, (90000000 - 86400) * S);
	assert_false(notice_late_before(2 * S, 1 * S, 100 * S, &before_us));
	assert_true(notice_late_before(2 * S, 2 * S, 100 * S, &before_us));
	assert_int_equal(before_us, 98 * S);
}

static void test_digest(void **state)
{
	static const struct notice_group groups[] = {
		{"start.failed", "orders", 9990}, {"watch.lost", "orders", 9}};
	char *paths[] = {(char *)"/in/a \"b\"\n.csv", (char *)"/in/\xff"};
	struct notice_digest d = {.consumer = "ops",
		.host = "node7",
		.events = 10000,
		.first_id = "00112233445566778899aabbccddeeff",
		.last_id = "ffeeddccbbaa99887766554433221100",
		.first_us = 1800000000 * S,
		.last_us = 1800000009 * S + 5,
		.groups = groups,
		.groups_n = 2,
		.others = 1,
		.paths = paths,
		.paths_n = 2};
	CLEANUP_BUF struct buf b = BUF_INIT(NOTICE_TEXT_BYTES);
	char id[EVENT_ID_BYTES], other[EVENT_ID_BYTES];
	struct err err = ERR_INIT;
	struct json *j;

	(void)state;
	notice_digest_id(d.first_id, d.last_id, id);
	notice_digest_id(d.last_id, d.first_id, other);
	assert_int_equal(strlen(id), 32);
	assert_string_not_equal(id, other);
	assert_int_equal(notice_digest_line(&d, &b, &err), 0);
	assert_null(strchr(buf_str(&b), '\n'));
	assert_memory_equal(buf_str(&b),
		"{\"time\":\"2027-01-15T08:00:09.000005Z\",\"type\":\"notify.digest\",\"id\":\"", 67);
	j = json_parse(buf_str(&b), b.len, &err);
	assert_non_null(j);
	assert_string_equal(json_get_text(j, "id"), id);
	assert_true(json_is_null(json_get(j, "watch"))); /* there are others */
	assert_string_equal(json_get_text(j, "detail"),
		"10000 events: 9990 start.failed of orders, 9 watch.lost of orders, 1 others");
	assert_int_equal(json_count(json_get(j, "paths")), 2);
	assert_string_equal(json_text(json_at(json_get(j, "paths"), 0)), "/in/a \"b\"\n.csv");
	json_free(j);
	d.others = 0;
	assert_string_equal(notice_digest_watch(&d), "orders");
	assert_int_equal(notice_digest_text(&d, &b, &err), 0);
	assert_non_null(strstr(buf_str(&b), "    9990  start.failed of watch orders\n"));
	assert_non_null(strstr(buf_str(&b), "  /in/a \"b\"\\n.csv\n"));
	assert_non_null(strstr(buf_str(&b), d.last_id));
	buf_done(&b);
	buf_init(&b, 100);
	assert_int_equal(notice_digest_line(&d, &b, &err), -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wants),
		cmocka_unit_test(test_patterns_of_use),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
