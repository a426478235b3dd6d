/*
 * Everything is bounded here: what exceeds a bound is left out, and said to be (cut), so that nobody takes
 * its absence for a fact. A member of an unexpected type counts as absent, since members come and go with the
 * service; only what has no job_id at all is no job.
 */
#include "dispatch/jobpage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#define WALK_DEPTH 64 /* json_parse() takes no more */

static const char *text_of(const struct json *o, const char *key)
{
	const char *text = json_get_text(o, key);

	return text ? text : "";
}

static void copy_word(char out[JOBCHECK_WORD_BYTES], const char *text)
{
	text_printable(text, strlen(text), out, JOBCHECK_WORD_BYTES);
}

static int take_next(const struct json *root, struct buf *next, struct err *err)
{
	const char *token = text_of(root, "next_page_token");

	buf_reset(next);
	if (strlen(token) > JOBPAGE_TOKEN_BYTES)
		return err_set(err, ERR_INPUT, EBADMSG, "the token of the next page is too long");
	return buf_adds(next, token);
}

/* ---- tasks ---- */

/* Which kind a task is tells the member that it has. */
static const struct {
	const char *member;
	enum jobcheck_kind kind;
} task_members[] = {
	{"notebook_task", FINDING_NOTEBOOK},
	{"spark_python_task", JOBCHECK_PYTHON},
	{"python_wheel_task", JOBCHECK_WHEEL_NAMED},
	{"spark_jar_task", JOBCHECK_JAR},
	{"spark_submit_task", JOBCHECK_SPARK_SUBMIT},
	{"sql_task", JOBCHECK_SQL},
	{"run_job_task", JOBCHECK_RUN_JOB},
	{"dbt_task", JOBCHECK_DBT},
	{"pipeline_task", JOBCHECK_PIPELINE},
	{"for_each_task", JOBCHECK_FOR_EACH},
};

static enum jobcheck_kind kind_of(const struct json *task)
{
	for (size_t i = 0; i < ARRAY_SIZE(task_members); i++) {
		const struct json *m = json_get(task, task_members[i].member);

		if (!json_is_object(m))
			continue;
		if (task_members[i].kind == JOBCHECK_WHEEL_NAMED && json_count(json_get(m, "parameters")) > 0)
			return JOBCHECK_WHEEL_LIST;
		if (task_members[i].kind == JOBCHECK_SQL && json_is_object(json_get(m, "alert")))
			return JOBCHECK_SQL_ALERT;
		return task_members[i].kind;
	}
	return JOBCHECK_OTHER;
}

/* Looks into every text of the task: references may stand in lists, maps, commands. */
static void add_references(struct jobcheck_task *t, const struct json *j, int depth)
{
	if (json_is_string(j))
		jobcheck_add_references(t, json_text(j));
	if (depth == WALK_DEPTH || (!json_is_object(j) && !json_is_array(j)))
		return;
	for (const struct json *it = json_first(j); it; it = json_next(it))
		add_references(t, it, depth + 1);
}

static void add_task(struct jobcheck_job *job, const struct json *task)
{
	struct jobcheck_task *t;

	if (job->tasks_n == JOBCHECK_TASKS_MAX) {
		job->cut = true;
		return;
	}
	job->tasks = mem_resize(job->tasks, job->tasks_n + 1, sizeof(job->tasks[0]));
	t = &job->tasks[job->tasks_n++];
	*t = (struct jobcheck_task){.kind = kind_of(task)};
	copy_word(t->key, text_of(task, "task_key"));
	add_references(t, task, 0);
}

static void add_tasks(struct jobcheck_job *job, const struct json *settings)
{
	const struct json *tasks = json_get(settings, "tasks");

	for (const struct json *it = json_is_array(tasks) ? json_first(tasks) : NULL; it; it = json_next(it))
		if (json_is_object(it))
			add_task(job, it);
	if (!tasks && job->tasks_n == 0 && kind_of(settings) != JOBCHECK_OTHER)
		add_task(job, settings); /* API 2.0: the one task of a job is not in a list */
}

/* ---- the rest of a job ---- */

static void add_parameters(struct jobcheck_job *job, const struct json *settings)
{
	const struct json *list = json_get(settings, "parameters");
	struct conf_list *to = &job->parameters;

	for (const struct json *it = json_is_array(list) ? json_first(list) : NULL; it; it = json_next(it)) {
		const char *name = json_get_text(it, "name");

		if (!name || strlen(name) >= JOBCHECK_WORD_BYTES || to->n == JOBCHECK_PARAMETERS_MAX) {
			job->cut = true;
			continue;
		}
		to->items = mem_resize(to->items, to->n + 1, sizeof(to->items[0]));
		to->items[to->n++] = mem_strdup(name);
	}
}

static void add_starter(struct jobcheck_job *job, const char *what, const char *detail)
{
	CLEANUP_FREE char *text = detail[0] ? mem_printf("%s (%.120s)", what, detail) : mem_strdup(what);

	if (job->starters_n < JOBCHECK_STARTERS_MAX)
		copy_word(job->starters[job->starters_n++], text);
}

static bool is_active(const struct json *j)
{
	return json_is_object(j) && strcmp(text_of(j, "pause_status"), "PAUSED") != 0;
}

static void read_starters(struct jobcheck_job *job, const struct json *settings)
{
	const struct json *schedule = json_get(settings, "schedule"),
			  *trigger = json_get(settings, "trigger");
	const struct json *arrival = json_get(trigger, "file_arrival");

	if (is_active(schedule))
		add_starter(job, "its schedule", text_of(schedule, "quartz_cron_expression"));
	if (is_active(trigger) && json_is_object(arrival))
		add_starter(job, "a file arrival trigger", text_of(arrival, "url"));
	else if (is_active(trigger))
		add_starter(job, "a trigger", "");
	if (is_active(json_get(settings, "continuous")))
		add_starter(job, "itself, since it is continuous", "");
}

static void read_run_as(struct jobcheck_job *job, const struct json *root, const struct json *settings)
{
	static const char *const members[] = {"user_name", "service_principal_name", "group_name"};
	const char *who = text_of(root, "run_as_user_name");
	const struct json *run_as = json_get(settings, "run_as");

	for (size_t i = 0; !who[0] && i < ARRAY_SIZE(members); i++)
		who = text_of(run_as, members[i]);
	copy_word(job->run_as, who);
}

static void read_settings(struct jobcheck_job *job, const struct json *root, const struct json *settings)
{
	const char *name = text_of(settings, "name");
	const struct json *queue = json_get(json_get(settings, "queue"), "enabled");
	int64_t n;

	free(job->name);
	job->name = name[0] && strlen(name) < JOBCHECK_NAME_BYTES ? mem_strdup(name) : NULL;
	if (json_get_i64(settings, "max_concurrent_runs", &n) == 0 && n >= 0)
		job->max_concurrent_runs = n;
	if (json_is_true(queue))
		job->queue = JOBCHECK_QUEUE_ON;
	else if (json_is_false(queue))
		job->queue = JOBCHECK_QUEUE_OFF;
	read_starters(job, settings);
	read_run_as(job, root, settings);
}

int jobpage_add_job(const char *body, size_t len, int64_t job_id, struct jobcheck_job *job, struct buf *next,
	struct err *err)
{
	CLEANUP_JSON struct json *root = json_parse(body, len, err);
	const struct json *settings = json_get(root, "settings");
	int64_t id;

	if (!root)
		return -EBADMSG;
	if (json_get_i64(root, "job_id", &id) < 0 || id <= 0 || !json_is_object(settings))
		return err_set(err, ERR_INPUT, EBADMSG, "the answer does not describe a job");
	if (id != job_id)
		return err_set(err, ERR_INPUT, EBADMSG, "the answer describes job %" PRId64 " instead", id);
	if (take_next(root, next, err) < 0)
		return -EBADMSG;
	if (job->id == 0)
		read_settings(job, root, settings);
	job->id = id;
	add_parameters(job, settings);
	add_tasks(job, settings);
	return 0;
}

/* ---- lists ---- */

static void add_match(struct jobcheck_search *s, int64_t id, const char *found, const char *name)
{
	if (strcmp(found, name) != 0) {
		if (s->near_id == 0 && strcasecmp(found, name) == 0) {
			s->near_id = id;
			s->near = mem_strdup(found);
		}
		return;
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->ids[i] == id)
			return; /* a job that was on the former page, too */
	if (s->n < JOBCHECK_MATCHES_MAX)
		s->ids[s->n++] = id;
	else
		s->cut = true;
}

int jobpage_add_list(const char *body, size_t len, const char *name, struct jobcheck_search *s,
	struct buf *next, struct err *err)
{
	CLEANUP_JSON struct json *root = json_parse(body, len, err);
	const struct json *jobs = json_get(root, "jobs");

	if (!root)
		return -EBADMSG;
	if (!json_is_object(root) || (jobs && !json_is_array(jobs)))
		return err_set(err, ERR_INPUT, EBADMSG, "the answer is not a list of jobs");
	if (take_next(root, next, err) < 0)
		return -EBADMSG;
	for (const struct json *it = json_first(jobs); it; it = json_next(it)) {
		const char *found = json_get_text(json_get(it, "settings"), "name");
		int64_t id;

		if (found && json_get_i64(it, "job_id", &id) == 0 && id > 0)
			add_match(s, id, found, name);
	}
	return 0;
}

bool jobpage_read_me(const char *body, size_t len, char out[JOBCHECK_WORD_BYTES])
{
	CLEANUP_JSON struct json *root = json_parse(body, len, NULL);
	const char *who = text_of(root, "userName");

	copy_word(out, who[0] ? who : text_of(root, "displayName"));
	return who[0] || text_of(root, "id")[0];
}
