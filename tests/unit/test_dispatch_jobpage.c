#include "dispatch/jobpage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define BIG INT64_C(9223372036854775807)

static int add(struct jobcheck_job *job, int64_t id, const char *text, struct buf *next)
{
	struct err err = ERR_INIT;

	return jobpage_add_job(text, strlen(text), id, job, next, &err);
}

static void a_job_of_many_kinds(void **state)
{
	static const char text[] =
		"{\"job_id\":9223372036854775807,\"run_as_user_name\":\"etl@example.com\",\"settings\":{"
		"\"name\":\"load\",\"max_concurrent_runs\":4,\"queue\":{\"enabled\":true},"
		"\"schedule\":{\"quartz_cron_expression\":\"0 0 * * * ?\",\"pause_status\":\"UNPAUSED\"},"
		"\"trigger\":{\"file_arrival\":{\"url\":\"s3://in/\"}},"
		"\"continuous\":{\"pause_status\":\"PAUSED\"},"
		"\"parameters\":[{\"name\":\"path\",\"default\":\"\"},{\"name\":\"size\"}],"
		"\"tasks\":[{\"task_key\":\"n\",\"notebook_task\":{\"notebook_path\":\"/x\"}},"
		"{\"task_key\":\"p\",\"spark_python_task\":{\"parameters\":[\"--in\",\"{{job.parameters.path}"
		"}\"]}},"
		"{\"task_key\":\"w\",\"python_wheel_task\":{\"named_parameters\":{\"a\":\"{{job.parameters.b}"
		"}\"}}},"
		"{\"task_key\":\"l\",\"python_wheel_task\":{\"parameters\":[\"x\"]}},"
		"{\"task_key\":\"s\",\"sql_task\":{\"query\":{}}},{\"task_key\":\"a\",\"sql_task\":{"
		"\"alert\":{}}},"
		"{\"task_key\":\"j\",\"spark_jar_task\":{}},{\"task_key\":\"u\",\"spark_submit_task\":{}},"
		"{\"task_key\":\"r\",\"run_job_task\":{}},{\"task_key\":\"d\",\"dbt_task\":{}},"
		"{\"task_key\":\"i\",\"pipeline_task\":{}},"
		"{\"task_key\":\"f\",\"for_each_task\":{\"inputs\":\"{{job.parameters.size}}\",\"task\":"
		"{\"notebook_task\":{}}}},{\"task_key\":\"c\",\"condition_task\":{}},7]}}";
	static const enum jobcheck_kind kinds[] = {FINDING_NOTEBOOK, JOBCHECK_PYTHON, JOBCHECK_WHEEL_NAMED,
		JOBCHECK_WHEEL_LIST, JOBCHECK_SQL, JOBCHECK_SQL_ALERT, JOBCHECK_JAR, JOBCHECK_SPARK_SUBMIT,
		JOBCHECK_RUN_JOB, JOBCHECK_DBT, JOBCHECK_PIPELINE, JOBCHECK_FOR_EACH, JOBCHECK_OTHER};
	struct jobcheck_job job;
	CLEANUP_BUF struct buf next = BUF_INIT(JOBPAGE_TOKEN_BYTES);

	(void)state;
	jobcheck_job_init(&job);
	assert_int_equal(add(&job, BIG, text, &next), 0);
	assert_true(job.id == BIG);
	assert_int_equal(next.len, 0);
	assert_string_equal(job.name, "load");
	assert_int_equal(job.max_concurrent_runs, 4);
	assert_int_equal(job.queue, JOBCHECK_QUEUE_ON);
	assert_string_equal(job.run_as, "etl@example.com");
	assert_int_equal(job.starters_n, 2);
	assert_string_equal(job.starters[0], "its schedule (0 0 * * * ?)");
	assert_string_equal(job.starters[1], "a file arrival trigger (s3://in/)");
	assert_int_equal(job.parameters.n, 2);
	assert_string_equal(job.parameters.items[1], "size");
	assert_int_equal(job.tasks_n, ARRAY_SIZE(kinds));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		assert_int_equal(job.tasks[i].kind, kinds[i]);
	assert_string_equal(job.tasks[1].references.items[0], "path");
	assert_string_equal(job.tasks[2].references.items[0], "b");
	assert_string_equal(job.tasks[11].references.items[0], "size");
	assert_false(job.cut);
	jobcheck_job_done(&job);
}

static void what_is_left_out_has_a_meaning(void **state)
{
	struct jobcheck_job job;
	CLEANUP_BUF struct buf next = BUF_INIT(JOBPAGE_TOKEN_BYTES);

	(void)state;
	jobcheck_job_init(&job);
	assert_int_equal(
		add(&job, 5,
			"{\"job_id\":\"5\",\"settings\":{\"run_as\":{\"service_principal_name\":\"sp\"}}}",
			&next),
		0);
	assert_int_equal(job.max_concurrent_runs, 1);
	assert_int_equal(job.queue, JOBCHECK_QUEUE_UNKNOWN);
	assert_string_equal(job.run_as, "sp");
	assert_int_equal(job.tasks_n, 0);
	jobcheck_job_done(&job);

	/* API 2.0: one task, not in a list */
	assert_int_equal(
		add(&job, 5,
			"{\"job_id\":5,\"settings\":{\"max_concurrent_runs\":0,\"format\":\"SINGLE_TASK\","
			"\"spark_jar_task\":{\"parameters\":[\"{{job.parameters.p}}\"]}}}",
			&next),
		0);
	assert_int_equal(job.max_concurrent_runs, 0);
	assert_int_equal(job.tasks_n, 1);
	assert_int_equal(job.tasks[0].kind, JOBCHECK_JAR);
	assert_string_equal(job.tasks[0].key, "");
	jobcheck_job_done(&job);
}

static void pages_add_up(void **state)
{
	struct jobcheck_job job;
	CLEANUP_BUF struct buf next = BUF_INIT(JOBPAGE_TOKEN_BYTES);

	(void)state;
	jobcheck_job_init(&job);
	assert_int_equal(add(&job, 5,
				 "{\"job_id\":5,\"next_page_token\":\"a "
				 "b\",\"settings\":{\"name\":\"n\",\"schedule\":{},"
				 "\"parameters\":[{\"name\":\"p\"}],\"tasks\":[{\"task_key\":\"1\"}]}}",
				 &next),
		0);
	assert_string_equal(buf_str(&next), "a b");
	assert_int_equal(
		add(&job, 5,
			"{\"job_id\":5,\"settings\":{\"name\":\"n\",\"schedule\":{},\"parameters\":[],"
			"\"tasks\":[{\"task_key\":\"2\",\"notebook_task\":{}}]}}",
			&next),
		0);
	assert_int_equal(next.len, 0);
	assert_int_equal(job.tasks_n, 2);
	assert_string_equal(job.tasks[1].key, "2");
	assert_int_equal(job.parameters.n, 1);
	assert_int_equal(job.starters_n, 1);
	jobcheck_job_done(&job);
}

static void what_is_no_job(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "null", "{\"job_id\":5}", "{\"settings\":{}}",
		"{\"job_id\":6,\"settings\":{}}", "{\"job_id\":0,\"settings\":{}}",
		"{\"job_id\":5,\"settings\":7}", "{\"job_id\":5e0,\"settings\":{}}", "<html>sign in</html>"};
	CLEANUP_BUF struct buf next = BUF_INIT(JOBPAGE_TOKEN_BYTES);
	struct jobcheck_job job;

	(void)state;
	jobcheck_job_init(&job);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(add(&job, 5, texts[i], &next), -EBADMSG);
	assert_true(job.id == 0);
	/* odd members count as absent */
	assert_int_equal(add(&job, 5,
				 "{\"job_id\":5,\"settings\":{\"name\":7,\"queue\":7,\"schedule\":[],"
				 "\"trigger\":\"x\","
				 "\"parameters\":{\"a\":1},\"tasks\":\"none\",\"run_as\":[],\"max_concurrent_"
				 "runs\":-1}}",
				 &next),
		0);
	assert_int_equal(job.max_concurrent_runs, 1);
	assert_int_equal(job.starters_n, 0);
	jobcheck_job_done(&job);
}

static void more_than_is_kept_is_told(void **state)
{
	CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
	CLEANUP_BUF struct buf next = BUF_INIT(JOBPAGE_TOKEN_BYTES);
	struct jobcheck_job job;

	(void)state;
	(void)buf_adds(&text, "{\"job_id\":5,\"settings\":{\"tasks\":[{}");
	for (int i = 0; i < JOBCHECK_TASKS_MAX; i++)
		(void)buf_adds(&text, ",{\"notebook_task\":{}}");
	(void)buf_adds(&text, "]}}");
	jobcheck_job_init(&job);
	assert_int_equal(add(&job, 5, buf_str(&text), &next), 0);
	assert_int_equal(job.tasks_n, JOBCHECK_TASKS_MAX);
	assert_true(job.cut);
	jobcheck_job_done(&job);

	buf_reset(&text);
	(void)buf_adds(&text, "{\"job_id\":5,\"settings\":{},\"next_page_token\":\"");
	for (int i = 0; i <= JOBPAGE_TOKEN_BYTES; i++)
		(void)buf_addc(&text, 'x');
	(void)buf_adds(&text, "\"}");
	assert_int_equal(add(&job, 5, buf_str(&text), &next), -EBADMSG);
	assert_true(job.id == 0);
}

static int list(struct jobcheck_search *s, const char *text, struct buf *next)
{
	struct err err = ERR_INIT;

	return jobpage_add_list(text, strlen(text), "load", s, next, &err);
}

static void lists(void **state)
{
	CLEANUP_BUF struct buf next = BUF_INIT(JOBPAGE_TOKEN_BYTES);
	struct jobcheck_search s = {.n = 0};

	(void)state;
	assert_int_equal(list(&s, "{}", &next), 0); /* nothing found: no member at all */
	assert_int_equal(s.n, 0);
	assert_int_equal(list(&s,
				 "{\"jobs\":[{\"job_id\":1,\"settings\":{\"name\":\"Load\"}},{\"job_id\":"
				 "9007199254740993,\"settings\":{\"name\":\"load\"}},{\"job_id\":3,"
				 "\"settings\":{\"name\":"
				 "\"load \"}},{\"job_id\":4},5],\"has_more\":true,\"next_page_token\":\"t\"}",
				 &next),
		0);
	assert_string_equal(buf_str(&next), "t");
	assert_int_equal(s.n, 1);
	assert_true(s.ids[0] == INT64_C(9007199254740993));
	assert_true(s.near_id == 1);
	assert_string_equal(s.near, "Load");
	/* the list moved under us: the same job again */
	assert_int_equal(
		list(&s, "{\"jobs\":[{\"job_id\":9007199254740993,\"settings\":{\"name\":\"load\"}}]}",
			&next),
		0);
	assert_int_equal(s.n, 1);
	assert_int_equal(next.len, 0);
	assert_int_equal(list(&s, "[]", &next), -EBADMSG);
	assert_int_equal(list(&s, "{\"jobs\":7}", &next), -EBADMSG);
	assert_int_equal(list(&s, "<html>", &next), -EBADMSG);
	jobcheck_search_done(&s);
}

static void who_asks(void **state)
{
	char who[JOBCHECK_WORD_BYTES];

	(void)state;
	assert_true(jobpage_read_me("{\"userName\":\"etl\",\"displayName\":\"x\"}", 36, who));
	assert_string_equal(who, "etl");
	assert_true(jobpage_read_me("{\"id\":\"5\",\"displayName\":\"x\"}", 28, who));
	assert_string_equal(who, "x");
	assert_false(jobpage_read_me("{\"hello\":1}", 11, who));
	assert_false(jobpage_read_me("<html>", 6, who));
	assert_string_equal(who, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_job_of_many_kinds),
		cmocka_unit_test(what_is_left_out_has_a_meaning),
		cmocka_unit_test(pages_add_up),
		cmocka_unit_test(what_is_no_job),
		cmocka_unit_test(more_than_is_kept_is_told),
		cmocka_unit_test(lists),
		cmocka_unit_test(who_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
