#include "core/jobcheck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/mem.h"

#define BIG INT64_C(9223372036854775807)

/* "job:path,name" "jar" "job:path|only=a,+b|queue" : what a watch is, in short */
struct spec {
	const char *job_type; /* as the configuration spells it */
	const char *params;   /* names with commas; list types get one arg */
	const char *only;     /* with commas */
	bool queue;
};

static void fill(struct conf_list *l, const char *words)
{
	CLEANUP_FREE char *copy = mem_strdup(words ? words : "");

	for (char *save = NULL, *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		l->items = mem_resize(l->items, l->n + 1, sizeof(l->items[0]));
		l->items[l->n++] = mem_strdup(p);
	}
}

static void empty(struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
}

static int type_of(const char *name)
{
	for (int i = CONF_JOB_JOB; i <= CONF_JOB_SQL; i++)
		if (strcmp(conf_job_type_name(i), name) == 0)
			return i;
	fail_msg("no job type %s", name);
	return 0;
}

static struct conf_watch watch_of(const struct spec *s)
{
	struct conf_watch w = {.name = "w", .job_id = 5, .job_type = type_of(s->job_type), .queue = s->queue};
	struct conf_list names = {.n = 0};

	fill(&names, s->params);
	fill(&w.only, s->only);
	if (conf_job_type_is_list(w.job_type)) {
		w.arg = names;
		return w;
	}
	w.param.items = mem_array(names.n + 1, sizeof(w.param.items[0]));
	for (size_t i = 0; i < names.n; i++)
		w.param.items[w.param.n++] =
			(struct conf_pair){.key = names.items[i], .value = (char *)"${uri}"};
	free(names.items);
	return w;
}

static void watch_done(struct conf_watch *w)
{
	for (size_t i = 0; i < w->param.n; i++)
		free(w->param.items[i].key);
	free(w->param.items);
	empty(&w->arg);
	empty(&w->only);
}

static struct jobcheck_task *add_task(
	struct jobcheck_job *job, const char *key, enum jobcheck_kind kind, const char *text)
{
	struct jobcheck_task *t;

	job->tasks = mem_resize(job->tasks, job->tasks_n + 1, sizeof(job->tasks[0]));
	t = &job->tasks[job->tasks_n++];
	*t = (struct jobcheck_task){.kind = kind};
	snprintf(t->key, sizeof(t->key), "%s", key);
	jobcheck_add_references(t, text);
	return t;
}

/* Every finding as "level code: text\n". */
static const char *show(const struct findings *f)
{
	static struct buf b;

	buf_done(&b);
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < f->n; i++)
		(void)buf_addf(&b, "%s %s: %s\n", finding_level_name(f->items[i].level), f->items[i].code,
			f->items[i].text);
	return buf_str(&b);
}

/* The judgement without the two notes that come with every job. */
static const char *judge(const struct jobcheck_job *job, const struct spec *s)
{
	struct conf_watch w = watch_of(s);
	struct findings f = {.n = 0};
	const char *shown;
	char *end;

	jobcheck_judge(job, &w, &f);
	assert_string_equal(f.items[f.n - 1].code, "not_proved");
	shown = show(&f);
	end = strstr(shown, "note not_proved");
	*end = '\0';
	findings_done(&f);
	watch_done(&w);
	return shown;
}

static void a_good_job(void **state)
{
	struct jobcheck_job job;
	const struct spec s = {"job", "path", "", true};

	(void)state;
	jobcheck_job_init(&job);
	fill(&job.parameters, "path,other");
	add_task(&job, "t", FINDING_NOTEBOOK, "");
	assert_string_equal(judge(&job, &s), "");
	snprintf(job.run_as, sizeof(job.run_as), "etl@example.com");
	assert_non_null(strstr(judge(&job, &s), "note runs_as: its runs have the rights of etl@example.com"));
	jobcheck_job_done(&job);
}

static void parameters_that_the_job_lacks(void **state)
{
	struct jobcheck_job job;
	const struct spec s = {"job", "path,size", "", true}, legacy = {"notebook", "path", "", true};

	(void)state;
	jobcheck_job_init(&job);
	add_task(&job, "t", FINDING_NOTEBOOK, "");
	assert_non_null(
		strstr(judge(&job, &s), "error parameter_undefined: the job does not define the parameters "
					"\"path\", \"size\" that this watch sends (it defines none)"));
	fill(&job.parameters, "path,b");
	assert_non_null(strstr(judge(&job, &s), "the parameter \"size\" that this watch sends (it defines "
						"\"path\", \"b\"); add it under"));
	assert_non_null(strstr(judge(&job, &legacy), "warning older_parameters: "));
	job.cut = true; /* it may be among those that were not read */
	assert_null(strstr(judge(&job, &s), "parameter_undefined"));
	assert_non_null(strstr(judge(&job, &s), "warning not_all_read"));
	jobcheck_job_done(&job);
}

/* One task of a kind, with a text in it; what a watch of this kind hears about it. */
static void which_task_gets_what(void **state)
{
	static const struct {
		enum jobcheck_kind kind;
		const char *text, *job_type;
		bool reached;
	} rows[] = {
		{FINDING_NOTEBOOK, "", "job", true},
		{JOBCHECK_WHEEL_NAMED, "", "job", true},
		{JOBCHECK_SQL, "", "job", true},
		{JOBCHECK_RUN_JOB, "", "job", true},
		{JOBCHECK_PYTHON, "", "job", false},
		{JOBCHECK_PYTHON, "--in={{job.parameters.p}}", "job", true},
		{JOBCHECK_PYTHON, "--in={{ job.parameters.`p` }}", "job", true},
		{JOBCHECK_PYTHON, "--in={{job.parameters.q}}", "job", false},
		{JOBCHECK_PYTHON, "--in={{job.parameters.p}", "job", false},
		{JOBCHECK_PYTHON, "--in={{job.parameters.`p}}", "job", false},
		{JOBCHECK_PYTHON, "--in={{tasks.p}}", "job", false},
		{JOBCHECK_WHEEL_LIST, "", "job", false},
		{JOBCHECK_JAR, "", "job", false},
		{JOBCHECK_JAR, "{{a}} {{job.parameters.p}}", "job", true},
		{JOBCHECK_SPARK_SUBMIT, "", "job", false},
		{JOBCHECK_DBT, "dbt run --vars {{job.parameters.p}}", "job", true},
		{JOBCHECK_FOR_EACH, "", "job", false},
		{JOBCHECK_PIPELINE, "", "job", false},
		{JOBCHECK_OTHER, "", "job", false},
		{FINDING_NOTEBOOK, "", "notebook", true},
		{FINDING_NOTEBOOK, "", "jar", false},
		{JOBCHECK_JAR, "", "jar", true},
		{JOBCHECK_JAR, "{{job.parameters.p}}", "notebook", false},
		{JOBCHECK_PYTHON, "", "python", true},
		{JOBCHECK_WHEEL_LIST, "", "python", true},
		{FINDING_NOTEBOOK, "", "python", false},
		{JOBCHECK_WHEEL_NAMED, "", "wheel", true},
		{JOBCHECK_WHEEL_LIST, "", "wheel", false},
		{JOBCHECK_SPARK_SUBMIT, "", "spark_submit", true},
		{JOBCHECK_SQL, "", "sql", true},
		{JOBCHECK_SQL_ALERT, "", "sql", false},
		{JOBCHECK_RUN_JOB, "", "jar", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct spec s = {rows[i].job_type, "p", "", true};
		struct jobcheck_job job;
		const char *shown;

		jobcheck_job_init(&job);
		if (strcmp(rows[i].job_type, "job") == 0)
			fill(&job.parameters, "p");
		add_task(&job, "t", rows[i].kind, rows[i].text);
		shown = judge(&job, &s);
		if ((strstr(shown, " not_reached: no task gets the parameter") == NULL) != rows[i].reached)
			fail_msg("row %zu: %s", i, shown);
		if (!rows[i].reached &&
			(strstr(shown, "error not_reached") == NULL) !=
				(rows[i].kind == JOBCHECK_PIPELINE || rows[i].kind == JOBCHECK_OTHER))
			fail_msg("row %zu: %s", i, shown);
		jobcheck_job_done(&job);
	}
}

static void the_missing_reference_is_spelled_out(void **state)
{
	const struct spec s = {"job", "in-path,size", "", true};
	struct jobcheck_job job;

	(void)state;
	jobcheck_job_init(&job);
	fill(&job.parameters, "in-path,size");
	add_task(&job, "load", JOBCHECK_JAR, "{{job.parameters.size}}");
	add_task(&job, "tell", JOBCHECK_PYTHON, "");
	assert_string_equal(judge(&job, &s),
		"warning not_reached: no task gets the parameter \"in-path\": \"load\" (a JAR), \"tell\" (a "
		"Python "
		"script); such tasks get a job parameter only where their own parameters name it: "
		"{{job.parameters.`in-path`}}\n");
	jobcheck_add_references(&job.tasks[0], "{{job.parameters.`in-path`}}");
	assert_string_equal(judge(&job, &s),
		"note reference_missing: these tasks get no parameter: \"tell\" (a Python script); if one "
		"needs it, "
		"its own parameters must name it: {{job.parameters.`in-path`}}\n");
	jobcheck_job_done(&job);
}

static void only_chosen_tasks_are_judged(void **state)
{
	struct jobcheck_job job;

	(void)state;
	jobcheck_job_init(&job);
	fill(&job.parameters, "p");
	add_task(&job, "a", FINDING_NOTEBOOK, "");
	add_task(&job, "b", JOBCHECK_JAR, "");
	assert_non_null(strstr(judge(&job, &(struct spec){"job", "p", "", true}), "note reference_missing"));
	assert_string_equal(judge(&job, &(struct spec){"job", "p", "a", true}), "");
	assert_non_null(strstr(judge(&job, &(struct spec){"job", "p", "b", true}), "error not_reached"));
	assert_non_null(
		strstr(judge(&job, &(struct spec){"job", "p", "+b", true}), "note reference_missing"));
	assert_non_null(strstr(judge(&job, &(struct spec){"job", "p", "a,+c+", true}),
		"error task_undefined: only names the task \"c\", which the job does not have"));
	jobcheck_job_done(&job);
}

static void runs_that_would_be_skipped(void **state)
{
	static const struct {
		int64_t max;
		enum jobcheck_queue job_queue;
		bool queue;
		const char *wanted; /* "" nothing */
	} rows[] = {
		{1, JOBCHECK_QUEUE_OFF, true, ""},
		{1, JOBCHECK_QUEUE_ON, false, ""},
		{1, JOBCHECK_QUEUE_OFF, false, "warning runs_skipped: the job has no queue"},
		{1, JOBCHECK_QUEUE_UNKNOWN, false, "warning runs_skipped: the job has no queue"},
		{5, JOBCHECK_QUEUE_OFF, false, "note runs_skipped: "},
		{0, JOBCHECK_QUEUE_ON, true, "error runs_skipped: max_concurrent_runs of the job is 0"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct spec s = {"job", "p", "", rows[i].queue};
		struct jobcheck_job job;
		const char *shown;

		jobcheck_job_init(&job);
		fill(&job.parameters, "p");
		job.max_concurrent_runs = rows[i].max;
		job.queue = rows[i].job_queue;
		shown = judge(&job, &s);
		if (rows[i].wanted[0] ? strncmp(shown, rows[i].wanted, strlen(rows[i].wanted)) != 0
				      : shown[0])
			fail_msg("row %zu: %s", i, shown);
		jobcheck_job_done(&job);
	}
}

static void other_starters_are_told(void **state)
{
	struct jobcheck_job job;
	const char *shown;

	(void)state;
	jobcheck_job_init(&job);
	fill(&job.parameters, "p");
	snprintf(job.starters[0], sizeof(job.starters[0]), "its schedule (0 0 * * * ?)");
	snprintf(job.starters[1], sizeof(job.starters[1]), "a file arrival trigger (s3://in/\x1b[2J)");
	job.starters_n = 2;
	shown = judge(&job, &(struct spec){"job", "p", "", true});
	assert_non_null(strstr(
		shown, "warning starts_by_itself: the job is also started by its schedule (0 0 * * * ?)"));
	assert_non_null(strstr(shown, "a file arrival trigger (s3://in/\\x1b[2J)"));
	jobcheck_job_done(&job);
}

static void names_must_be_unique_and_exact(void **state)
{
	struct conf_watch w = {.job_name = (char *)"load"};
	struct findings f = {.n = 0};
	struct jobcheck_search s = {.n = 1, .ids = {BIG}};

	(void)state;
	assert_true(jobcheck_judge_name(&s, &w, &f) == BIG);
	assert_int_equal(f.n, 0);

	s = (struct jobcheck_search){.n = 2, .ids = {BIG, 7}};
	assert_true(jobcheck_judge_name(&s, &w, &f) == 0);
	assert_non_null(strstr(
		show(&f), "error job_ambiguous: several jobs are named \"load\": 9223372036854775807, 7; "));
	findings_done(&f);

	s = (struct jobcheck_search){.n = 0, .cut = true};
	assert_true(jobcheck_judge_name(&s, &w, &f) == 0);
	assert_non_null(strstr(
		show(&f), "error job_missing: the workspace lists too many jobs for the name \"load\""));
	findings_done(&f);

	s = (struct jobcheck_search){.n = 0};
	assert_true(jobcheck_judge_name(&s, &w, &f) == 0);
	assert_non_null(strstr(
		show(&f), "error job_missing: there is no job named \"load\", or this identity may not"));
	findings_done(&f);

	s = (struct jobcheck_search){.near_id = 9, .near = (char *)"Load"};
	assert_true(jobcheck_judge_name(&s, &w, &f) == 0);
	assert_non_null(strstr(show(&f), "one is named \"Load\" (9)"));
	findings_done(&f);

	s = (struct jobcheck_search){
		.n = 1, .ids = {5}, .cut = true}; /* another one may be on the next page */
	assert_true(jobcheck_judge_name(&s, &w, &f) == 0);
	findings_done(&f);
}

static void two_watches_of_one_job(void **state)
{
	static const char *const lines[][2] = {{"workspace", "host = https://x.example"},
		{"watch:a", "directory = /d"}, {"watch:a", "job_id = 9007199254740993"},
		{"watch:b", "directory = /d/sub"}, {"watch:b", "job_name = load"}};
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct findings f = {.n = 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		CLEANUP_FREE char *key =
			mem_strndup(lines[i][1], (size_t)(strchr(lines[i][1], ' ') - lines[i][1]));

		conf_set(c, lines[i][0], key, strchr(lines[i][1], '=') + 2, "f", (int)i, &m);
	}
	assert_int_equal(m.n, 0);
	conf_resolve(c);
	jobcheck_judge_others(c, c->watches[1], &f);
	assert_int_equal(f.n, 0); /* not known yet */
	c->watches[1]->job_id = INT64_C(9007199254740992);
	jobcheck_judge_others(c, c->watches[1], &f);
	assert_int_equal(f.n, 0);
	c->watches[1]->job_id = INT64_C(9007199254740993);
	jobcheck_judge_others(c, c->watches[1], &f);
	assert_string_equal(show(&f),
		"error same_job: [watch:a] starts the same job (9007199254740993) for the same "
		"files: /d/sub and /d overlap\n");
	findings_done(&f);
	conf_free(c);
}

static void refusals(void **state)
{
	static const struct outcome missing = {OUTCOME_JOB, true, "job_missing"},
				    forbidden = {OUTCOME_JOB, true, "job_forbidden"},
				    down = {OUTCOME_UNREACHABLE, true, "unreachable"};
	struct findings f = {.n = 0};

	(void)state;
	jobcheck_judge_refusal(&missing, "Job 9 does not exist.", &f);
	assert_string_equal(show(&f),
		"error job_missing: the job is not there: Job 9 does not exist.; is the number "
		"right, and is it a job of this workspace?\n");
	assert_non_null(findings_error(&f));
	findings_done(&f);
	jobcheck_judge_refusal(&forbidden, "User\tu does not have View", &f);
	assert_non_null(
		strstr(show(&f), "error job_forbidden: this identity may not see the job: User\\tu does"));
	findings_done(&f);
	jobcheck_judge_refusal(&down, "no route", &f);
	assert_string_equal(
		show(&f), "warning not_asked: the job could not be looked at: no route (unreachable)\n");
	assert_null(findings_error(&f));
	findings_done(&f);
}

static void calling_a_job(void **state)
{
	char out[JOBCHECK_WORD_BYTES];

	(void)state;
	assert_string_equal(jobcheck_call(BIG, NULL, out), "job 9223372036854775807");
	assert_string_equal(jobcheck_call(BIG, "a\tb", out), "job \"a\\tb\" (9223372036854775807)");
	assert_string_equal(jobcheck_call(0, "load", out), "job \"load\"");
}

static void references_are_bounded(void **state)
{
	struct jobcheck_job job;
	char text[64];

	(void)state;
	jobcheck_job_init(&job);
	add_task(&job, "t", JOBCHECK_JAR, "");
	for (int i = 0; i < JOBCHECK_REFERENCES_MAX + 1; i++) {
		snprintf(text, sizeof(text), "{{job.parameters.n%d}} {{job.parameters.n%d}}", i, i);
		assert_false(job.tasks[0].references_cut);
		jobcheck_add_references(&job.tasks[0], text);
	}
	assert_int_equal(job.tasks[0].references.n, JOBCHECK_REFERENCES_MAX);
	assert_true(job.tasks[0].references_cut);
	fill(&job.parameters, "p"); /* it may be among those that were not kept */
	assert_string_equal(judge(&job, &(struct spec){"job", "p", "", true}), "");
	jobcheck_job_done(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_job),
		cmocka_unit_test(parameters_that_the_job_lacks),
		cmocka_unit_test(which_task_gets_what),
		cmocka_unit_test(the_missing_reference_is_spelled_out),
		cmocka_unit_test(only_chosen_tasks_are_judged),
		cmocka_unit_test(runs_that_would_be_skipped),
		cmocka_unit_test(other_starters_are_told),
		cmocka_unit_test(names_must_be_unique_and_exact),
		cmocka_unit_test(two_watches_of_one_job),
		cmocka_unit_test(refusals),
		cmocka_unit_test(calling_a_job),
		cmocka_unit_test(references_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
