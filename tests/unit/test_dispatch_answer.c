#include "dispatch/answer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static void run_ids(void **state)
{
	static const struct {
		const char *body;
		int64_t id; /* 0: none */
	} rows[] = {
		{"{\"run_id\":8787654321987654321,\"number_in_job\":8787654321987654321}",
			INT64_C(8787654321987654321)},
		{"{\"run_id\":1234567890123450}", INT64_C(1234567890123450)},
		{"{\"run_id\":9007199254740993}", INT64_C(9007199254740993)},
		{"{\"run_id\":9223372036854775807}", INT64_MAX},
		{"{\"run_id\":1}", 1},
		{"{\"run_id\":\"8787654321987654321\"}", INT64_C(8787654321987654321)},
		{" \r\n{ \"number_in_job\" : 5 , \"run_id\" : 6 } ", 6},
		{"{\"other\":{\"run_id\":5},\"run_id\":7}", 7},
		{"{\"run_id\":9223372036854775808}", 0},
		{"{\"run_id\":0}", 0},
		{"{\"run_id\":-5}", 0},
		{"{\"run_id\":1.5}", 0},
		{"{\"run_id\":1e15}", 0},
		{"{\"run_id\":\"\"}", 0},
		{"{\"run_id\":\"12x\"}", 0},
		{"{\"run_id\":null}", 0},
		{"{\"run_id\":true}", 0},
		{"{\"run_id\":[5]}", 0},
		{"{\"run_id\":{\"run_id\":5}}", 0},
		{"{\"Run_Id\":5}", 0},
		{"{\"number_in_job\":5}", 0},
		{"{\"other\":{\"run_id\":5}}", 0},
		{"{\"run_id\":5", 0},
		{"{\"run_id\":5}x", 0},
		{"{\"run_id\":5}{\"run_id\":6}", 0},
		{"[{\"run_id\":5}]", 0},
		{"5", 0},
		{"", 0},
		{"<html>run_id 5</html>", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct answer a;

		answer_read_run(rows[i].body, strlen(rows[i].body), &a);
		if (a.has_run_id != (rows[i].id != 0) || a.run_id != rows[i].id)
			fail_msg("%s: %d %" PRId64, rows[i].body, a.has_run_id, a.run_id);
		assert_string_equal(a.code, "");
		assert_string_equal(a.message, "");
	}
}

static void error_shapes(void **state)
{
	static const struct {
		const char *body, *code, *message;
	} rows[] = {
		{"{\"error_code\":\"INVALID_PARAMETER_VALUE\",\"message\":\"Job 5 does not exist.\"}",
			"INVALID_PARAMETER_VALUE", "Job 5 does not exist."},
		{"{\"error_code\":403,\"message\":\"Invalid access to Org: 1\"}", "403",
			"Invalid access to Org: 1"},
		{"{\"error_code\":\"X\",\"message\":\"m\",\"details\":[{\"@type\":\"t\",\"message\":"
		 "\"inner\"}]}",
			"X", "m"},
		{"{\"message\":\"only words\"}", "", "only words"},
		{"{\"message\":\"m\",\"details\":[{\"@type\":\"a\"},{\"@type\":\"b\",\"reason\":\"QUOTA_"
		 "EXCEEDED\"},"
		 "{\"reason\":\"LATER\"}]}",
			"QUOTA_EXCEEDED", "m"},
		{"{\"message\":\"m\",\"details\":[7,null,{\"reason\":{}}]}", "", "m"},
		{"{\"message\":\"m\",\"details\":{\"reason\":\"NO_LIST\"}}", "", "m"},
		{"{\"error_code\":\"ONLY_CODE\"}", "ONLY_CODE", ""},
		{"{\"error\":\"api 1.2 text\"}", "", "api 1.2 text"},
		{"{\"error\":\"invalid_client\",\"error_description\":\"no such client\"}", "invalid_client",
			"no such client"},
		{"{\"errorCode\":\"E\",\"errorSummary\":\"s\"}", "E", "s"},
		{"{\"error\":{\"code\":\"Forbidden\",\"message\":\"by the gateway\"}}", "Forbidden",
			"by the gateway"},
		{"{\"detail\":\"scim words\",\"status\":\"404\",\"scimType\":\"noTarget\"}", "noTarget",
			"scim words"},
		{"{\"error_code\":\"X\",\"message\":null}", "X", ""},
		{"{\"error_code\":null,\"message\":\"m\"}", "", "m"},
		{"{\"error_code\":[1],\"message\":{\"a\":1}}", "", ""},
		{"{\"error_code\":\"bad code\\n\",\"message\":\"m\"}", "", "m"},
		{"{\"message\":\"\",\"detail\":\"d\"}", "", "d"},
		{"{\"message\":\"two\\n  lines\\t \"}", "", "two lines"},
		{"{}", "", ""},
		{"[]", "", "[]"},
		{"SOME_CODE: explanation", "SOME_CODE", "explanation"},
		{"SOME_CODE:  a: b\n", "SOME_CODE", "a: b"},
		{"Some words: explanation", "", "Some words: explanation"},
		{"X: y", "", "X: y"},
		{"SOME_CODE:", "", "SOME_CODE:"},
		{"SOME_CODE:x", "", "SOME_CODE:x"},
		{"upstream connect error", "", "upstream connect error"},
		{"<html><head><title>503 Service Unavailable</title></head><body>x</body></html>", "",
			"503 Service Unavailable"},
		{"\n <!DOCTYPE html>\n<HTML><TITLE>t</TITLE><pre class=\"x\">\n  Invalid access\n token. "
		 "</PRE></HTML>",
			"", "Invalid access token."},
		{"<html><body>only <b>body</b></body></html>", "",
			"only <b>body"}, /* up to the first end tag */
		{"<pre>cut", "", "cut"},
		{"<pre", "", "<pre"},
		{"<prefix>x</prefix>", "", "<prefix>x</prefix>"},
		{"<", "", "<"},
		{"{\"error_code\":\"INV", "", "{\"error_code\":\"INV"},
		{"", "", ""},
		{" \r\n\t", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct answer a;

		answer_read_error(rows[i].body, strlen(rows[i].body), &a);
		if (strcmp(a.code, rows[i].code) != 0 || strcmp(a.message, rows[i].message) != 0)
			fail_msg("%s: \"%s\" \"%s\"", rows[i].body, a.code, a.message);
		assert_false(a.has_run_id);
	}
}

static void bytes_that_are_no_text(void **state)
{
	static const char body[] = "\xff\xfe\0 x\0\0y\x1b[31m";
	struct answer a;

	(void)state;
	answer_read_error(body, sizeof(body) - 1, &a);
	assert_string_equal(a.message, "\xff\xfe x y\x1b[31m");
	answer_read_error("\0\0", 2, &a);
	assert_string_equal(a.message, "");
	answer_read_run("\0", 1, &a);
	assert_false(a.has_run_id);
}

static void long_texts_are_cut(void **state)
{
	size_t len = 1024 * 1024;
	char *body = mem_alloc(len + 1);
	char code[200];
	struct answer a;

	(void)state;
	memset(body, 'x', len);
	answer_read_error(body, len, &a);
	assert_in_range(strlen(a.message), ANSWER_MESSAGE_BYTES - 3, ANSWER_MESSAGE_BYTES - 1);
	for (size_t i = 0; i < len; i += 2)
		body[i] = ' ';
	answer_read_error(body, len, &a);
	assert_in_range(strlen(a.message), ANSWER_MESSAGE_BYTES - 3, ANSWER_MESSAGE_BYTES - 1);
	memset(body, '<', len);
	answer_read_error(body, len, &a); /* and in good time */
	free(body);

	snprintf(code, sizeof(code), "{\"error_code\":\"%0*d\"}", ANSWER_CODE_BYTES - 1, 7);
	answer_read_error(code, strlen(code), &a);
	assert_int_equal(strlen(a.code), ANSWER_CODE_BYTES - 1);
	snprintf(code, sizeof(code), "{\"error_code\":\"%0*d\"}", ANSWER_CODE_BYTES, 7);
	answer_read_error(code, strlen(code), &a);
	assert_string_equal(a.code, "");
}

/* Both views of a run, what is missing or no word left out; all 64 bits of its number. */
static void run_states(void **state)
{
	struct answer_state s;
	static const char full[] =
		"{\"run_id\":9007199254740993,\"status\":{\"state\":\"TERMINATED\",\"termination_details\":"
		"{\"code\":\"MAX_CONCURRENT_RUNS_EXCEEDED\",\"type\":\"CLIENT_ERROR\",\"message\":\"limit\\n "
		"of 1\"}},"
		"\"state\":{\"life_cycle_state\":\"SKIPPED\",\"result_state\":\"MAXIMUM_CONCURRENT_RUNS_"
		"REACHED\","
		"\"state_message\":\"old words\"}}";
	static const char *const odd[] = {
		"{\"run_id\":5}",
		"{\"run_id\":5,\"status\":\"TERMINATED\",\"state\":[]}",
		"{\"run_id\":5,\"status\":{\"state\":null,\"termination_details\":\"x\"},\"state\":{}}",
		"{\"run_id\":5,\"status\":{\"state\":\"low er\"},\"state\":{\"life_cycle_state\":\"A B\"}}",
	};

	(void)state;
	answer_read_state(full, strlen(full), &s);
	assert_true(s.has_run_id);
	assert_true(s.run_id == INT64_C(9007199254740993));
	assert_string_equal(s.status, "TERMINATED");
	assert_string_equal(s.code, "MAX_CONCURRENT_RUNS_EXCEEDED");
	assert_string_equal(s.life_cycle, "SKIPPED");
	assert_string_equal(s.result, "MAXIMUM_CONCURRENT_RUNS_REACHED");
	assert_string_equal(s.message, "limit of 1");
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		answer_read_state(odd[i], strlen(odd[i]), &s);
		assert_true(s.has_run_id && s.run_id == 5);
		assert_string_equal(s.status, "");
		assert_string_equal(s.life_cycle, "");
	}
	answer_read_state(full, sizeof(full) - 3, &s);
	assert_false(s.has_run_id);
	answer_read_state("<html>", 6, &s);
	assert_false(s.has_run_id);
}

static void what_form_it_has(void **state)
{
	static const struct {
		const char *body;
		enum answer_form form;
	} rows[] = {
		{"", ANSWER_OTHER},
		{"hello", ANSWER_OTHER},
		{"[1]", ANSWER_OTHER},
		{"{\"a\":", ANSWER_OTHER},
		{"{}", ANSWER_JSON},
		{" {\"a\":1}\n", ANSWER_JSON},
		{"<html>", ANSWER_HTML},
		{"\r\n <!doctype html>", ANSWER_HTML},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(answer_form(rows[i].body, strlen(rows[i].body)), rows[i].form);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_form_it_has),
		cmocka_unit_test(run_ids),
		cmocka_unit_test(run_states),
		cmocka_unit_test(error_shapes),
		cmocka_unit_test(bytes_that_are_no_text),
		cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
