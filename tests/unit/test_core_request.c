/*
 * request: whole bodies as they go over the wire, and each reason for not sending one.
 */
#include "core/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define HEAD "{\"job_id\":620,\"idempotency_token\":\"0123abcd\",\"queue\":{\"enabled\":true}"

static const struct template_facts facts = {
	.path = "/data/in/a.csv",
	.uri = "/Volumes/x/a.csv",
	.relpath = "a.csv",
	.size = 12,
	.job_id = 620,
	.token = "0123abcd",
};

static struct conf_pair pairs[] = {
	{(char *)"path", (char *)"${uri}"},
	{(char *)"z.size", (char *)"${size}"},
	{(char *)"a-note", (char *)"for \"${name}\" {{job.id}}"},
};

static char *args[] = {(char *)"--path", (char *)"${uri}", (char *)"${size}"};

static struct conf_watch watch_of(int job_type)
{
	return (struct conf_watch){
		.job_type = job_type,
		.queue = true,
		.param = {pairs, ARRAY_SIZE(pairs)},
		.arg = {args, ARRAY_SIZE(args)},
	};
}

#define MAP "{\"path\":\"/Volumes/x/a.csv\",\"z.size\":\"12\",\"a-note\":\"for \\\"a.csv\\\" {{job.id}}\"}"
#define LIST "[\"--path\",\"/Volumes/x/a.csv\",\"12\"]"

static const struct {
	int job_type;
	const char *field, *body;
} types[] = {
	{CONF_JOB_JOB, "job_parameters", HEAD ",\"job_parameters\":" MAP "}"},
	{CONF_JOB_NOTEBOOK, "notebook_params", HEAD ",\"notebook_params\":" MAP "}"},
	{CONF_JOB_JAR, "jar_params", HEAD ",\"jar_params\":" LIST "}"},
	{CONF_JOB_PYTHON, "python_params", HEAD ",\"python_params\":" LIST "}"},
	{CONF_JOB_WHEEL, "python_named_params", HEAD ",\"python_named_params\":" MAP "}"},
	{CONF_JOB_SPARK_SUBMIT, "spark_submit_params", HEAD ",\"spark_submit_params\":" LIST "}"},
	{CONF_JOB_SQL, "sql_params", HEAD ",\"sql_params\":" MAP "}"},
};

static void expect_body(const struct conf_watch *w, const struct template_facts *f, const char *want)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	const char *reason = "untouched";
	struct err err = ERR_INIT;

	if (request_build(w, f, &body, &reason, &err) != 0)
		fail_msg("%s: %s", reason, err.text);
	assert_string_equal(buf_str(&body), want);
	assert_string_equal(reason, "untouched");
}

static void expect_failure(
	const struct conf_watch *w, const struct template_facts *f, int want, const char *want_reason)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	const char *reason = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(request_build(w, f, &body, &reason, &err), want);
	assert_string_equal(reason, want_reason);
	assert_true(err.text[0] != '\0');
	assert_int_equal(body.len, 0);
}

static void test_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct conf_watch w = watch_of(types[i].job_type);

		assert_string_equal(request_field(&w), types[i].field);
		expect_body(&w, &facts, types[i].body);
	}
}

static void test_wheel_with_arguments(void **state)
{
	struct conf_watch w = watch_of(CONF_JOB_WHEEL);

	(void)state;
	w.param.n = 0;
	assert_string_equal(request_field(&w), "python_params");
	expect_body(&w, &facts, HEAD ",\"python_params\":" LIST "}");
}

static void test_options(void **state)
{
	static char *only[] = {(char *)"ingest", (char *)"+report"};
	struct conf_watch w = watch_of(CONF_JOB_JAR);
	struct template_facts f = facts;

	(void)state;
	w.only = (struct conf_list){only, 2};
	w.performance_target = (char *)"STANDARD";
	expect_body(&w, &facts,
		HEAD
		",\"only\":[\"ingest\",\"+report\"],\"performance_target\":\"STANDARD\",\"jar_params\":" LIST
		"}");
	w = watch_of(CONF_JOB_JAR);
	w.queue = false;
	f.job_id = INT64_MAX; /* all 64 bits */
	expect_body(&w, &f,
		"{\"job_id\":9223372036854775807,\"idempotency_token\":\"0123abcd\",\"jar_params\":" LIST
		"}");
	w.arg.n = 0;
	expect_body(&w, &facts, "{\"job_id\":620,\"idempotency_token\":\"0123abcd\",\"jar_params\":[]}");
}

static void test_bytes_of_names(void **state)
{
	struct conf_watch w = watch_of(CONF_JOB_JOB);
	struct template_facts f = facts;

	(void)state;
	w.param.n = 1;
	f.uri = "/in/Gr\xc3\xbc\xc3\x9f"
		"e \xe2\x82\xac \xf0\x9f\x98\x80 \"q\" \\ \n\t\x01\x7f.csv";
	expect_body(&w, &f,
		HEAD ",\"job_parameters\":{\"path\":\"/in/Gr\xc3\xbc\xc3\x9f"
		     "e \xe2\x82\xac \xf0\x9f\x98\x80 \\\"q\\\" "
		     "\\\\ \\n\\t\\u0001\x7f.csv\"}}");
	f.uri = "/in/\xff.csv";
	expect_failure(&w, &f, -EINVAL, "parameter_not_utf8");
	f.uri = "/in/\xed\xa0\x80.csv"; /* a surrogate */
	expect_failure(&w, &f, -EINVAL, "parameter_not_utf8");
	f.uri = "/in/{{job.id}}.csv";
	expect_failure(&w, &f, -EINVAL, "name_has_braces");
}

static void test_ascii(void **state)
{
	static const int ascii[] = {CONF_JOB_PYTHON, CONF_JOB_SPARK_SUBMIT};
	struct template_facts f = facts;

	(void)state;
	f.uri = "/in/\xc3\xbc.csv";
	for (size_t i = 0; i < ARRAY_SIZE(ascii); i++) {
		struct conf_watch w = watch_of(ascii[i]);

		expect_failure(&w, &f, -EINVAL, "parameter_not_ascii");
	}
	struct conf_watch jar = watch_of(CONF_JOB_JAR);

	expect_body(&jar, &f, HEAD ",\"jar_params\":[\"--path\",\"/in/\xc3\xbc.csv\",\"12\"]}");
}

/* A uri that makes {"FIELD":{"path":"URI"}} or {"FIELD":["URI"]} exactly so long. */
static char *uri_for(const char *empty, size_t total)
{
	size_t n = total - strlen(empty);
	char *uri = mem_alloc(n + 1);

	memset(uri, 'x', n);
	return uri;
}

static void test_ten_thousand_bytes(void **state)
{
	static const struct {
		int job_type;
		const char *empty;
		bool limited;
	} limits[] = {
		{CONF_JOB_NOTEBOOK, "{\"notebook_params\":{\"path\":\"\"}}", true},
		{CONF_JOB_JAR, "{\"jar_params\":[\"\"]}", true},
		{CONF_JOB_PYTHON, "{\"python_params\":[\"\"]}", true},
		{CONF_JOB_SPARK_SUBMIT, "{\"spark_submit_params\":[\"\"]}", true},
		{CONF_JOB_JOB, "{\"job_parameters\":{\"path\":\"\"}}", false},
		{CONF_JOB_SQL, "{\"sql_params\":{\"path\":\"\"}}", false},
		{CONF_JOB_WHEEL, "{\"python_named_params\":{\"path\":\"\"}}", false},
	};
	char *uri_arg[] = {(char *)"${uri}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		CLEANUP_FREE char *fits = uri_for(limits[i].empty, REQUEST_FIELD_BYTES);
		CLEANUP_FREE char *over = uri_for(limits[i].empty, REQUEST_FIELD_BYTES + 1);
		CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
		struct conf_watch w = watch_of(limits[i].job_type);
		struct template_facts f = facts;
		const char *reason;

		w.param.n = 1;
		w.arg = (struct conf_list){uri_arg, 1};
		f.uri = fits;
		assert_int_equal(request_build(&w, &f, &body, &reason, NULL), 0);
		f.uri = over;
		if (limits[i].limited)
			expect_failure(&w, &f, -EINVAL, "parameters_too_long");
		else
			assert_int_equal(request_build(&w, &f, &body, &reason, NULL), 0);
	}
}

/* The longest path there is, in three-byte characters, goes through as it is sent raw. */
static void test_longest_path_fits(void **state)
{
	struct conf_watch w = watch_of(CONF_JOB_NOTEBOOK);
	struct template_facts f = facts;
	CLEANUP_BUF struct buf uri = BUF_INIT(8192);
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	const char *reason;

	(void)state;
	while (uri.len + 3 <= 4095)
		buf_adds(&uri, "\xe2\x82\xac");
	f.uri = buf_str(&uri);
	w.param.n = 1;
	assert_int_equal(request_build(&w, &f, &body, &reason, NULL), 0);
}

static void test_too_large(void **state)
{
	struct conf_watch w = watch_of(CONF_JOB_JOB);
	struct template_facts f = facts;
	CLEANUP_FREE char *uri = mem_alloc(REQUEST_BODY_BYTES + 1);
	CLEANUP_BUF struct buf small = BUF_INIT(64);
	const char *reason = NULL;

	(void)state;
	w.param.n = 1;
	memset(uri, 'x', REQUEST_BODY_BYTES);
	f.uri = uri;
	expect_failure(&w, &f, -ENOBUFS, "request_too_large");
	uri[REQUEST_BODY_BYTES - 50] = '\0'; /* the parameters alone would fit */
	expect_failure(&w, &f, -ENOBUFS, "request_too_large");
	f.uri = "/a";
	assert_int_equal(request_build(&w, &f, &small, &reason, NULL), -ENOBUFS);
	assert_string_equal(reason, "request_too_large");
	assert_int_equal(small.len, 0);
}

static void test_template_fault(void **state)
{
	static struct conf_pair bad[] = {{(char *)"path", (char *)"${pth}"}};
	struct conf_watch w = watch_of(CONF_JOB_JOB);

	(void)state;
	w.param = (struct conf_pairs){bad, 1};
	expect_failure(&w, &facts, -EINVAL, "template_invalid");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_wheel_with_arguments),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_bytes_of_names),
		cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_ten_thousand_bytes),
		cmocka_unit_test(test_longest_path_fits),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_template_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
