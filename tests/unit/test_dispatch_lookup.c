#include "dispatch/lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fake_jobs.h"

#define BIG INT64_C(9223372036854775807)

/* What the workspace answers to each path that was asked, one after the other. */
static struct {
	const char *path, *body;
	struct outcome outcome; /* of kind OUTCOME_STARTED without one */
} script[16];
static size_t script_n, script_at;

/* How the lookup ended. */
static struct {
	int calls;
	enum lookup_end end;
	int64_t job_id;
	char name[64], finding[FINDINGS_TEXT_BYTES];
	size_t findings;
} got;

static void answer(const char *path, struct jobs_page *page)
{
	if (script_at == script_n)
		fail_msg("nobody expected %s", path);
	assert_string_equal(path, script[script_at].path);
	page->body = script[script_at].body ? script[script_at].body : "";
	page->outcome = script[script_at].outcome;
	script_at++;
}

static void expect(const char *path, const char *body)
{
	assert_true(script_n < ARRAY_SIZE(script));
	script[script_n].path = path;
	script[script_n].outcome = (struct outcome){.kind = OUTCOME_STARTED, .reason = "started"};
	script[script_n++].body = body;
}

static void expect_failure(const char *path, enum outcome_kind kind, const char *reason)
{
	expect(path, NULL);
	script[script_n - 1].outcome =
		(struct outcome){.kind = kind, .sure_not_started = true, .reason = reason};
}

static void on_end(const struct lookup_answer *a, void *arg)
{
	(void)arg;
	got.calls++;
	got.end = a->end;
	got.job_id = a->job_id;
	snprintf(got.name, sizeof(got.name), "%s", a->job_name ? a->job_name : "-");
	got.findings = a->findings->n;
	snprintf(
		got.finding, sizeof(got.finding), "%s", a->findings->n > 0 ? a->findings->items[0].text : "");
}

static void look_up(const char *name, int64_t id)
{
	struct conf_pair param = {.key = (char *)"path", .value = (char *)"${uri}"};
	struct conf_watch w = {.name = "w",
		.job_id = id,
		.job_name = (char *)name,
		.queue = true,
		.param = {.items = &param, .n = 1}};
	struct conf_workspace ws = {.api_version = (char *)"2.2"};
	struct loop *loop = loop_new(NULL);
	struct jobs *jobs = jobs_new(loop, &ws, NULL, NULL, NULL);
	struct err err = ERR_INIT;

	memset(&got, 0, sizeof(got));
	fake_page = answer;
	assert_non_null(lookup_job(jobs, &w, on_end, NULL, &err));
	assert_int_equal(got.calls, 0); /* never from inside */
	assert_true(loop_run_once(loop, 0, NULL) >= 0);
	assert_int_equal(got.calls, 1);
	assert_int_equal(script_at, script_n);
	script_at = script_n = 0;
	jobs_free(jobs);
	loop_free(loop);
}

static void by_number_over_pages(void **state)
{
	(void)state;
	expect("/api/2.2/jobs/get?job_id=9223372036854775807",
		"{\"job_id\":9223372036854775807,\"settings\":{\"name\":\"load\",\"parameters\":[{\"name\":"
		"\"path\"}],"
		"\"tasks\":[{\"task_key\":\"a\",\"spark_jar_task\":{}}]},\"next_page_token\":\"a b/+\"}");
	expect("/api/2.2/jobs/get?job_id=9223372036854775807&page_token=a%20b%2F%2B",
		"{\"job_id\":9223372036854775807,\"settings\":{\"tasks\":[{\"task_key\":\"b\",\"notebook_"
		"task\":{}}]}}");
	look_up(NULL, BIG);
	assert_int_equal(got.end, LOOKUP_SEEN);
	assert_true(got.job_id == BIG);
	assert_string_equal(got.name, "load");
	assert_non_null(strstr(got.finding, "\"a\" (a JAR)")); /* a note: the other task has it */
}

static void by_name(void **state)
{
	(void)state;
	expect("/api/2.2/jobs/list?limit=100&name=L%C3%A4d%26n%3D1",
		"{\"jobs\":[{\"job_id\":4,\"settings\":{\"name\":\"l\xc3\xa4"
		"d&n=1\"}}],\"next_page_token\":\"2\"}");
	expect("/api/2.2/jobs/list?limit=100&name=L%C3%A4d%26n%3D1&page_token=2",
		"{\"jobs\":[{\"job_id\":5,\"settings\":{\"name\":\"L\xc3\xa4"
		"d&n=1\"}}]}");
	expect("/api/2.2/jobs/get?job_id=5",
		"{\"job_id\":5,\"settings\":{\"parameters\":[{\"name\":\"path\"}]}}");
	look_up("L\xc3\xa4"
		"d&n=1",
		0);
	assert_int_equal(got.end, LOOKUP_SEEN);
	assert_true(got.job_id == 5);

	expect("/api/2.2/jobs/list?limit=100&name=x", "{}");
	look_up("x", 7); /* the number known so far does not matter */
	assert_int_equal(got.end, LOOKUP_REFUSED);
	assert_true(got.job_id == 0);
	assert_non_null(strstr(got.finding, "no job named \"x\""));
}

static void refused(void **state)
{
	(void)state;
	expect_failure("/api/2.2/jobs/get?job_id=5", OUTCOME_JOB, "job_missing");
	look_up(NULL, 5);
	assert_int_equal(got.end, LOOKUP_REFUSED);
	assert_true(got.job_id == 5);
	assert_non_null(strstr(got.finding, "the job is not there: the server's words"));

	expect_failure("/api/2.2/jobs/get?job_id=5", OUTCOME_CREDENTIAL, "credential_refused");
	look_up(NULL, 5);
	assert_int_equal(got.end, LOOKUP_UNKNOWN);

	expect("/api/2.2/jobs/list?limit=100&name=x",
		"{\"jobs\":[{\"job_id\":5,\"settings\":{\"name\":\"x\"}}]}");
	expect_failure("/api/2.2/jobs/get?job_id=5", OUTCOME_JOB, "job_forbidden");
	look_up("x", 0);
	assert_int_equal(got.end, LOOKUP_REFUSED);
	assert_true(got.job_id == 5);
}

static void not_understood(void **state)
{
	(void)state;
	expect("/api/2.2/jobs/get?job_id=5", "<html>Sign in</html>");
	look_up(NULL, 5);
	assert_int_equal(got.end, LOOKUP_UNKNOWN);
	assert_non_null(strstr(got.finding, "could not be looked at: HTTP 0 without JSON: the server"));
	expect("/api/2.2/jobs/get?job_id=5", "{\"job_id\":6,\"settings\":{}}");
	look_up(NULL, 5);
	assert_int_equal(got.end, LOOKUP_UNKNOWN);
	assert_non_null(strstr(got.finding, "describes job 6 instead"));
	expect("/api/2.2/jobs/list?limit=100&name=x", "[]");
	look_up("x", 0);
	assert_int_equal(got.end, LOOKUP_UNKNOWN);
}

/* A server that always has another page. */
static void endless(const char *path, struct jobs_page *page)
{
	(void)path;
	page->outcome = (struct outcome){.kind = OUTCOME_STARTED, .reason = "started"};
	page->body = "{\"job_id\":5,\"settings\":{},\"next_page_token\":\"again\"}";
}

static void pages_end(void **state)
{
	struct conf_watch w = {.name = "w", .job_id = 5, .queue = true};
	struct conf_workspace ws = {.api_version = (char *)"2.2"};
	struct loop *loop = loop_new(NULL);
	struct jobs *jobs = jobs_new(loop, &ws, NULL, NULL, NULL);

	(void)state;
	memset(&got, 0, sizeof(got));
	fake_asked = 0;
	fake_page = endless;
	assert_non_null(lookup_job(jobs, &w, on_end, NULL, NULL));
	while (got.calls == 0)
		assert_true(loop_run_once(loop, 0, NULL) >= 0);
	assert_int_equal(fake_asked, 12);
	assert_int_equal(got.end, LOOKUP_SEEN);
	assert_non_null(strstr(got.finding, "larger than is read here"));
	jobs_free(jobs);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_number_over_pages),
		cmocka_unit_test(by_name),
		cmocka_unit_test(refused),
		cmocka_unit_test(not_understood),
		cmocka_unit_test(pages_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
