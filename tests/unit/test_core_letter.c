/*
 * letter: what a mail says, for events as they are; and that no type of event is without a headline.
 */
#include "core/letter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "core/event.h"

static const struct event_head head = {.time_us = INT64_C(1767323045123456),
	.id = "0123456789abcdef0123456789abcdef",
	.host = "h1",
	.watch = "orders"};

static const struct event_failure failure = {.reason = "outcome_unknown",
	.http_status = 400,
	.error_code = "INVALID_PARAMETER_VALUE",
	.message = "no\nsuch notebook",
	.attempts = 3,
	.workspace = "prod",
	.job_id = 7};

static void failed(const char *relpath, struct buf *line)
{
	const struct event_file file = {
		.root = "/in", .relpath = relpath, .uri = "", .size = -1, .ends = "", .mime = ""};

	assert_int_equal(event_start(line, EVENT_START_FAILED, &head, &file, &failure, NULL), 0);
}

static void test_subject(void **state)
{
	CLEANUP_BUF struct buf line = BUF_INIT(EVENT_LINE_BYTES), b = BUF_INIT(4096);
	struct err err = ERR_INIT;

	(void)state;
	failed("a\nb.csv", &line);
	assert_int_equal(letter_add_subject(line.data, line.len, &b, &err), 0);
	assert_string_equal(buf_str(&b), "brickwatch on h1: no run for /in/a\\nb.csv: outcome_unknown");
}

static void test_text(void **state)
{
	CLEANUP_BUF struct buf line = BUF_INIT(EVENT_LINE_BYTES), b = BUF_INIT(4096);
	struct err err = ERR_INIT;
	const char *text;

	(void)state;
	failed("a.csv", &line);
	assert_int_equal(letter_add_text(line.data, line.len, &b, &err), 0);
	text = buf_str(&b);
	assert_int_equal(strncmp(text, "no run for /in/a.csv: outcome_unknown\n\n", 39), 0);
	assert_non_null(strstr(text, "\nWhy:           no\\nsuch notebook\n"));
	assert_non_null(strstr(text, "\nHTTP status:   400\n"));
	assert_non_null(strstr(text, "\nFile:          /in/a.csv\n"));
	assert_non_null(strstr(text, "\nWatch:         orders\n"));
	assert_non_null(strstr(text, "\nWhat to do:    "));
	assert_non_null(strstr(text, "brickwatch retry FILE\n"));
	assert_non_null(strstr(text, "\nTo see more, there:\n  brickwatch explain /in/a.csv\n"));
	assert_null(strstr(text, "Remote path"));
}

/* What a shell makes of the word is the path. */
static void test_path_words(void **state)
{
	static const struct {
		const char *relpath, *word;
	} rows[] = {
		{"a.csv", "explain /in/a.csv\n"},
		{"Gr\xc3\xbc\xc3\x9f"
		 "e.csv",
			"explain /in/Gr\xc3\xbc\xc3\x9f"
			"e.csv\n"},
		{"a b$c.csv", "explain '/in/a b$c.csv'\n"},
		{"it's.csv", "explain \"$(echo L2luL2l0J3MuY3N2 | base64 -d)\"\n"},
		{"a\nb", "explain \"$(echo L2luL2EKYg== | base64 -d)\"\n"},
		{"\xff", "explain \"$(echo L2luL/8= | base64 -d)\"\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf line = BUF_INIT(EVENT_LINE_BYTES), b = BUF_INIT(4096);
		struct err err = ERR_INIT;

		failed(rows[i].relpath, &line);
		assert_int_equal(letter_add_text(line.data, line.len, &b, &err), 0);
		if (strstr(buf_str(&b), rows[i].word) == NULL)
			fail_msg("%s", buf_str(&b));
	}
}

/* A type without a headline of its own would show its bare name. */
static void test_every_type(void **state)
{
	size_t n;
	const char *const *types = event_type_names(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		CLEANUP_FREE char *line = mem_printf(
			"{\"type\":\"%s\",\"host\":\"h1\",\"watch\":null,\"path\":\"/in/a\",\"user\":\"u\"}",
			types[i]);
		CLEANUP_FREE char *bare = mem_printf("brickwatch on h1: %s", types[i]);
		CLEANUP_BUF struct buf b = BUF_INIT(4096);
		struct err err = ERR_INIT;

		assert_int_equal(letter_add_subject(line, strlen(line), &b, &err), 0);
		if (strncmp(buf_str(&b), bare, strlen(bare)) == 0)
			fail_msg("%s has no headline", types[i]);
		buf_reset(&b);
		assert_int_equal(letter_add_text(line, strlen(line), &b, &err), 0);
		assert_non_null(strstr(buf_str(&b), types[i]));
	}
}

static void test_others(void **state)
{
	static const char digest[] = "{\"type\":\"notify.digest\",\"host\":\"h1\",\"detail\":\"12 events\"}";
	static const char unknown[] = "{\"type\":\"new.type\",\"host\":\"h1\",\"watch\":\"w\"}";
	CLEANUP_BUF struct buf b = BUF_INIT(4096), small = BUF_INIT(30);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(letter_add_subject(digest, strlen(digest), &b, &err), 0);
	assert_string_equal(buf_str(&b), "brickwatch on h1: 12 events");
	buf_reset(&b);
	assert_int_equal(letter_add_subject(unknown, strlen(unknown), &b, &err), 0);
	assert_string_equal(buf_str(&b), "brickwatch on h1: new.type w ");
	buf_reset(&b);
	assert_int_equal(letter_add_text(unknown, strlen(unknown), &b, &err), 0);
	assert_non_null(strstr(buf_str(&b), "\n  brickwatch status\n"));
	assert_int_equal(letter_add_text(unknown, strlen(unknown), &small, &err), -ENOBUFS);
	assert_int_equal(letter_add_text("x", 1, &b, &err), -EBADMSG);
	assert_int_equal(letter_add_subject("x", 1, &b, &err), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subject),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_path_words),
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
