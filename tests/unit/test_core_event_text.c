/*
 * event_text: every field in both forms, what is missing, what has to be escaped, and templates that cannot
 * make JSON.
 */
#include "core/event_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"
#include "base/mem.h"
#include "core/event.h"

/* A template and what becomes of it stand on a line. */
/* clang-format off */
#define EVENT \
	"{\"time\":\"2026-01-02T03:04:05.123456Z\",\"type\":\"run.started\",\"watch\":null," \
	"\"path\":\"/in/a \\\"b\\\"\\n\xc3\xbc\xe2\x80\xae.csv\",\"size\":9223372036854775807," \
	"\"run_id\":-9223372036854775808,\"http_status\":null,\"header\":{\"sdc.event.type\":\"A\\\"B\"},\"message\":\"\"}"

static const struct {
	enum event_text_form form;
	const char *text, *value;
} rows[] = {
	{EVENT_TEXT_PLAIN, "", ""},
	{EVENT_TEXT_PLAIN, "no } { field", "no } { field"},
	{EVENT_TEXT_PLAIN, "${type} at ${time}", "run.started at 2026-01-02T03:04:05.123456Z"},
	{EVENT_TEXT_PLAIN, "$$${type}$$", "$run.started$"},
	{EVENT_TEXT_PLAIN, "$${type}", "${type}"},
	{EVENT_TEXT_PLAIN, "${path}", "/in/a \"b\"\\n\xc3\xbc\\xe2\\x80\\xae.csv"},
	{EVENT_TEXT_PLAIN, "${size} ${run_id}", "9223372036854775807 -9223372036854775808"},
	{EVENT_TEXT_PLAIN, "<${watch}${http_status}${message}${job_id}>", "<>"},
	{EVENT_TEXT_PLAIN, "${header}", "{\"sdc.event.type\":\"A\\\"B\"}"},
	{EVENT_TEXT_PLAIN, "${event}", EVENT},
	{EVENT_TEXT_JSON, "{}", "{}"},
	{EVENT_TEXT_JSON, "{\"a\":\"in ${path}!\"}", "{\"a\":\"in /in/a \\\"b\\\"\\n\xc3\xbc\xe2\x80\xae.csv!\"}"},
	{EVENT_TEXT_JSON, "{\"a\":${path}}", "{\"a\":\"/in/a \\\"b\\\"\\n\xc3\xbc\xe2\x80\xae.csv\"}"},
	{EVENT_TEXT_JSON, "[${size},\"${size}\",${run_id}]",
		"[9223372036854775807,\"9223372036854775807\",-9223372036854775808]"},
	{EVENT_TEXT_JSON, "[${job_id},\"${job_id}\",${watch},\"${watch}\"]", "[null,\"\",null,\"\"]"},
	{EVENT_TEXT_JSON, "[${header},\"${header}\"]",
		"[{\"sdc.event.type\":\"A\\\"B\"},\"{\\\"sdc.event.type\\\":\\\"A\\\\\\\"B\\\"}\"]"},
	{EVENT_TEXT_JSON, "{\"all\":${event}}", "{\"all\":" EVENT "}"},
	{EVENT_TEXT_JSON, "[\"\\\"${type}\\\\\",${type}]", "[\"\\\"run.started\\\\\",\"run.started\"]"},
	{EVENT_TEXT_JSON, "[\"$$ \\\\\",${type},\"$$\"]", "[\"$ \\\\\",\"run.started\",\"$\"]"},
	{EVENT_TEXT_JSON, "{\"${type}\":1}", "{\"run.started\":1}"},
};
/* clang-format on */

static void expect(const char *text, enum event_text_form form, const char *line, const char *value)
{
	CLEANUP_BUF struct buf b = BUF_INIT(4096);
	struct err err = ERR_INIT;

	if (event_text_check(text, form, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(event_text_expand(text, form, line, strlen(line), &b, &err), 0);
	assert_string_equal(buf_str(&b), value);
	if (form != EVENT_TEXT_JSON)
		return;

	struct json *j = json_parse(buf_str(&b), b.len, &err);

	assert_non_null(j);
	json_free(j);
}

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		expect(rows[i].text, rows[i].form, EVENT, rows[i].value);
		expect(rows[i].text, rows[i].form, EVENT "\n", rows[i].value);
	}
}

/* Every field of every type of event has its name here. */
static void check_names(const struct buf *line)
{
	struct err err = ERR_INIT;
	CLEANUP_JSON struct json *event = json_parse(buf_str(line), line->len, &err);

	assert_non_null(event);
	for (const struct json *x = json_first(event); x != NULL; x = json_next(x)) {
		CLEANUP_FREE char *text = mem_printf("${%s}", json_key(x));
		const char *value = json_text(x);
		CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);

		if (event_text_check(text, EVENT_TEXT_PLAIN, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(
			event_text_expand(text, EVENT_TEXT_PLAIN, line->data, line->len, &b, &err), 0);
		if (value != NULL)
			assert_string_equal(buf_str(&b), value);
	}
}

static void test_every_field_has_a_name(void **state)
{
	static const struct event_head head = {.time_us = 1, .id = "i", .host = "h", .watch = "w"};
	static const struct event_file file = {.root = "/r",
		.relpath = "\xff",
		.uri = "u",
		.owner = 1,
		.ends = "e",
		.mime = "m",
		.first_seen_us = 1,
		.completed_us = 1};
	static const struct event_run run = {.workspace = "w",
		.job_id = 1,
		.run_id = 1,
		.token = "t",
		.principal = "p",
		.previous_run_id = 1};
	static const struct event_failure failure = {.reason = "retries_exhausted",
		.http_status = 400,
		.error_code = "E",
		.message = "m",
		.next_attempt_us = 1,
		.workspace = "w",
		.job_id = 1};
	static const struct event_watch watch = {
		.method = "poll", .file_system = "nfs", .detail = "d", .count = 1, .scanned = true};
	static const struct event_place place = {.workspace = "w", .job_id = 1, .detail = "d"};
	static const struct event_action action = {
		.verb = "v", .arguments = "a", .user = "u", .reason = "r", .count = 1};
	static const struct event_service service = {.version = "v", .configuration = "c"};
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);

	(void)state;
	assert_int_equal(event_run_started(&b, &head, &file, &run, NULL), 0);
	check_names(&b);
	assert_int_equal(event_run_skipped(&b, &head, &file, &run, "r", NULL), 0);
	check_names(&b);
	assert_int_equal(event_start(&b, EVENT_START_RETRYING, &head, &file, &failure, NULL), 0);
	check_names(&b);
	assert_int_equal(event_file_rejected(&b, &head, &file, "r", "d", NULL), 0);
	check_names(&b);
	assert_int_equal(event_file_waiting(&b, EVENT_FILE_WAITING, &head, &file, "w", 1, NULL), 0);
	check_names(&b);
	assert_int_equal(event_watch(&b, EVENT_WATCH_READY, &head, &watch, NULL), 0);
	check_names(&b);
	assert_int_equal(event_place(&b, EVENT_JOB_SUSPENDED, &head, &place, NULL), 0);
	check_names(&b);
	assert_int_equal(event_action(&b, &head, &action, NULL), 0);
	check_names(&b);
	assert_int_equal(event_service(&b, EVENT_SERVICE_STOPPED, &head, &service, NULL), 0);
	check_names(&b);
}

static const struct {
	enum event_text_form form;
	const char *text, *why;
} mistakes[] = {
	{EVENT_TEXT_PLAIN, "${pth}", "column 1: no event has a field ${pth}, did you mean ${path}?"},
	{EVENT_TEXT_PLAIN, "a ${jobid}", "column 3: no event has a field ${jobid}, did you mean ${job_id}?"},
	{EVENT_TEXT_PLAIN, "${}", "column 1: no event has a field ${}"},
	{EVENT_TEXT_PLAIN, "${\033[2J}", "column 1: no event has a field ${\\x1b[2J}"},
	{EVENT_TEXT_PLAIN, "${quarterly_turnover_of_this_company}",
		"column 1: no event has a field ${quarterly_turnover_of_this_company}"},
	{EVENT_TEXT_PLAIN, "x${path", "column 2: \"${\" without \"}\""},
	{EVENT_TEXT_PLAIN, "5 $", "column 3: a lone \"$\"; write \"$$\" for a dollar sign"},
	{EVENT_TEXT_PLAIN, "$path", "column 1: a lone \"$\"; write \"$$\" for a dollar sign"},
	{EVENT_TEXT_JSON, "${pth}", "column 1: no event has a field ${pth}, did you mean ${path}?"},
	{EVENT_TEXT_JSON, "", "this does not make JSON: "},
	{EVENT_TEXT_JSON, "{\"a\":${path}", "this does not make JSON: "},
	{EVENT_TEXT_JSON, "{\"a\":\"${path}}", "this does not make JSON: "},
	{EVENT_TEXT_JSON, "{\"a\":\"\\${path}\"}", "this does not make JSON"},
	{EVENT_TEXT_JSON, "{a:1}", "this does not make JSON: "},
	{EVENT_TEXT_JSON, "{${path}:1}", "this does not make JSON when a field is a number: "},
	{EVENT_TEXT_JSON, "[1${size}]", "this does not make JSON: "},
	{EVENT_TEXT_JSON, "[-${size}]", "this does not make JSON: "},
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		struct err err = ERR_INIT;

		if (event_text_check(mistakes[i].text, mistakes[i].form, &err) != -EINVAL)
			fail_msg("%s is taken", mistakes[i].text);
		assert_int_equal(err.class, ERR_CONF);
		if (strncmp(err.text, mistakes[i].why, strlen(mistakes[i].why)) != 0)
			fail_msg("%s: %s", mistakes[i].text, err.text);
	}
}

static void test_no_event(void **state)
{
	static const char *const lines[] = {"", "{", "[]", "7", "{\"path\":\"a\"} x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(4096);
		struct err err = ERR_INIT;

		assert_int_equal(
			event_text_expand("${path}", EVENT_TEXT_PLAIN, lines[i], strlen(lines[i]), &b, &err),
			-EBADMSG);
		assert_string_not_equal(err.text, "");
	}
}

static void test_ceiling(void **state)
{
	static const char line[] = "{\"path\":\"0123456789\"}";
	static const enum event_text_form forms[] = {EVENT_TEXT_PLAIN, EVENT_TEXT_JSON};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(16);
		struct err err = ERR_INIT;

		assert_int_equal(event_text_expand("\"${path}\"", forms[i], line, strlen(line), &b, &err), 0);
		assert_int_equal(
			event_text_expand("\"${path}\"", forms[i], line, strlen(line), &b, &err), -ENOBUFS);
		assert_string_equal(err.text, "longer than 16 bytes");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_every_field_has_a_name),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_no_event),
		cmocka_unit_test(test_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
