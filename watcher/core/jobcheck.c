/*
 * jobcheck: a table of how each kind of task gets a parameter, and one function for each question.
 *
 * What the service does with a parameter that the job does not define is not published; the official client
 * refuses to send it. Here it is an error, since a run without its path is worse than none. What is only
 * unwise, or known from the official client alone, is a warning.
 *
 * Names come from the workspace, where anybody may choose them: every text is made printable and cut.
 */
#include "core/jobcheck.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/conf_value.h"
#include "core/request.h"

#define LISTED_MAX 5 /* names in one sentence */
#define REFERENCE "job.parameters."

/* ---- owning ---- */

static bool list_has(const struct conf_list *l, const char *word)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i], word) == 0)
			return true;
	return false;
}

void jobcheck_job_init(struct jobcheck_job *job)
{
	*job = (struct jobcheck_job){.max_concurrent_runs = 1};
}

void jobcheck_job_done(struct jobcheck_job *job)
{
	for (size_t i = 0; i < job->tasks_n; i++)
		conf_list_done(&job->tasks[i].references);
	free(job->tasks);
	conf_list_done(&job->parameters);
	free(job->name);
	jobcheck_job_init(job);
}

void jobcheck_search_done(struct jobcheck_search *s)
{
	free(s->near);
	*s = (struct jobcheck_search){.n = 0};
}

/* ---- references ---- */

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* p stands behind "{{". The name, or NULL; *ret_len its length. Names with other characters than letters,
 * digits and _ stand in backticks; they are taken without, too. */
static const char *reference_at(const char *p, size_t *ret_len)
{
	const char *name;
	bool quoted;

	p = skip_blanks(p);
	if (strncmp(p, REFERENCE, strlen(REFERENCE)) != 0)
		return NULL;
	p += strlen(REFERENCE);
	quoted = *p == '`';
	name = p += quoted;
	while (is_name_char(*p))
		p++;
	*ret_len = (size_t)(p - name);
	if (quoted && *p++ != '`')
		return NULL;
	p = skip_blanks(p);
	return *ret_len > 0 && p[0] == '}' && p[1] == '}' ? name : NULL;
}

void jobcheck_add_references(struct jobcheck_task *task, const char *text)
{
	struct conf_list *l = &task->references;

	for (const char *p = text; (p = strstr(p, "{{")); p += 2) {
		size_t len;
		const char *name = reference_at(p + 2, &len);
		CLEANUP_FREE char *word = name && len < JOBCHECK_WORD_BYTES ? mem_strndup(name, len) : NULL;

		if (!word || list_has(l, word))
			continue;
		if (l->n == JOBCHECK_REFERENCES_MAX) {
			task->references_cut = true;
			return;
		}
		l->items = mem_resize(l->items, l->n + 1, sizeof(l->items[0]));
		l->items[l->n++] = word;
		word = NULL;
	}
}

/* ---- words ---- */

const char *jobcheck_call(int64_t job_id, const char *name, char out[JOBCHECK_WORD_BYTES])
{
	char shown[JOBCHECK_WORD_BYTES - 40];

	if (name)
		text_printable(name, strlen(name), shown, sizeof(shown));
	if (name && job_id > 0)
		(void)snprintf(out, JOBCHECK_WORD_BYTES, "job \"%s\" (%" PRId64 ")", shown, job_id);
	else if (name)
		(void)snprintf(out, JOBCHECK_WORD_BYTES, "job \"%s\"", shown);
	else
		(void)snprintf(out, JOBCHECK_WORD_BYTES, "job %" PRId64, job_id);
	return out;
}

/* Adds "a", "b" and 3 more. i: how many were added already. */
static void list_one(struct buf *b, size_t i, const char *word)
{
	if (i < LISTED_MAX)
		(void)buf_addf(b, "%s\"%.100s\"", i > 0 ? ", " : "", word);
}

static void list_end(struct buf *b, size_t n)
{
	if (n > LISTED_MAX)
		(void)buf_addf(b, " and %zu more", n - LISTED_MAX);
}

/* ---- what a task gets ---- */

static const struct {
	const char *what;  /* in words */
	bool takes_pushed; /* job parameters come to it by themselves */
	bool takes_none;   /* no parameter can come to it at all */
} kinds[] = {
	[FINDING_NOTEBOOK] = {"a notebook", true, false},
	[JOBCHECK_PYTHON] = {"a Python script", false, false},
	[JOBCHECK_WHEEL_NAMED] = {"a Python wheel", true, false},
	[JOBCHECK_WHEEL_LIST] = {"a Python wheel with a list of arguments", false, false},
	[JOBCHECK_JAR] = {"a JAR", false, false},
	[JOBCHECK_SPARK_SUBMIT] = {"a spark-submit", false, false},
	[JOBCHECK_SQL] = {"an SQL task", true, false},
	[JOBCHECK_SQL_ALERT] = {"an SQL alert", false, true},
	[JOBCHECK_RUN_JOB] = {"another job", true, false},
	[JOBCHECK_DBT] = {"a dbt task", false, false},
	[JOBCHECK_PIPELINE] = {"a pipeline", false, false},
	[JOBCHECK_FOR_EACH] = {"a for-each task", false, false},
	[JOBCHECK_OTHER] = {"of another kind", false, false},
};

/* Kinds of tasks that the older parameter fields come to. */
#define KIND(k) (1u << (k))
static unsigned kinds_reached(const struct conf_watch *w)
{
	switch ((enum conf_job_type)w->job_type) {
	case CONF_JOB_NOTEBOOK:
		return KIND(FINDING_NOTEBOOK);
	case CONF_JOB_JAR:
		return KIND(JOBCHECK_JAR);
	case CONF_JOB_PYTHON:
		return KIND(JOBCHECK_PYTHON) | KIND(JOBCHECK_WHEEL_LIST);
	case CONF_JOB_WHEEL:
		return w->arg.n > 0 ? KIND(JOBCHECK_WHEEL_LIST) | KIND(JOBCHECK_WHEEL_NAMED)
				    : KIND(JOBCHECK_WHEEL_NAMED);
	case CONF_JOB_SPARK_SUBMIT:
		return KIND(JOBCHECK_SPARK_SUBMIT);
	case CONF_JOB_SQL:
		return KIND(JOBCHECK_SQL);
	case CONF_JOB_JOB:
		break;
	}
	return 0;
}

/* Does the parameter come to the task? name NULL: anything of what the watch sends. */
static bool is_reached(const struct jobcheck_task *t, const struct conf_watch *w, const char *name)
{
	if (w->job_type != CONF_JOB_JOB)
		return kinds_reached(w) & KIND(t->kind);
	if (kinds[t->kind].takes_pushed || t->references_cut)
		return true;
	if (name)
		return list_has(&t->references, name);
	for (size_t i = 0; i < w->param.n; i++)
		if (list_has(&t->references, w->param.items[i].key))
			return true;
	return false;
}

/* `only` names tasks, with + for those before or behind them: then any may be meant. */
static bool is_chosen(const struct jobcheck_task *t, const struct conf_watch *w)
{
	for (size_t i = 0; i < w->only.n; i++)
		if (strchr(w->only.items[i], '+') || strcmp(w->only.items[i], t->key) == 0)
			return true;
	return w->only.n == 0;
}

static bool any_chosen(const struct jobcheck_job *job, const struct conf_watch *w)
{
	for (size_t i = 0; i < job->tasks_n; i++)
		if (is_chosen(&job->tasks[i], w))
			return true;
	return false;
}

static bool any_reached(const struct jobcheck_job *job, const struct conf_watch *w, const char *name)
{
	for (size_t i = 0; i < job->tasks_n; i++)
		if (is_chosen(&job->tasks[i], w) && is_reached(&job->tasks[i], w, name))
			return true;
	return false;
}

/* Adds the chosen tasks that the parameter does not come to: "t1" (a JAR), "t2" (a notebook). How many. */
static size_t list_unreached(
	const struct jobcheck_job *job, const struct conf_watch *w, const char *name, struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < job->tasks_n; i++) {
		const struct jobcheck_task *t = &job->tasks[i];

		if (!is_chosen(t, w) || is_reached(t, w, name))
			continue;
		list_one(b, n, t->key[0] ? t->key : "its task");
		if (n < LISTED_MAX)
			(void)buf_addf(b, " (%s)", kinds[t->kind].what);
		n++;
	}
	list_end(b, n);
	return n;
}

/* How a person writes the reference. */
static const char *reference_to(const char *name, char out[JOBCHECK_WORD_BYTES])
{
	bool plain = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
		     strlen(name);

	(void)snprintf(out, JOBCHECK_WORD_BYTES,
		plain ? "{{" REFERENCE "%.100s}}" : "{{" REFERENCE "`%.100s`}}", name);
	return out;
}

/* Nothing comes to any task: then its runs are of no use, but where a task may find the files by itself (a
 * pipeline) or is of a kind that is not known here. */
static enum finding_level level_of_nothing(const struct jobcheck_job *job, const struct conf_watch *w)
{
	for (size_t i = 0; i < job->tasks_n; i++)
		if (is_chosen(&job->tasks[i], w) &&
			(job->tasks[i].kind == JOBCHECK_PIPELINE || job->tasks[i].kind == JOBCHECK_OTHER))
			return FINDING_WARNING;
	return any_reached(job, w, NULL) ? FINDING_WARNING : FINDING_ERROR;
}

static void judge_job_parameter_reach(
	const struct jobcheck_job *job, const struct conf_watch *w, const char *name, struct findings *f)
{
	CLEANUP_BUF struct buf tasks = BUF_INIT(FINDINGS_TEXT_BYTES);
	char reference[JOBCHECK_WORD_BYTES];

	(void)list_unreached(job, w, name, &tasks);
	findings_add(f, level_of_nothing(job, w), "not_reached",
		"no task gets the parameter \"%.100s\": %s; such tasks get a job parameter only where their "
		"own "
		"parameters name it: %s",
		name, buf_str(&tasks), reference_to(name, reference));
}

/* Some tasks do get it; the others may not need it. */
static void note_unreached(const struct jobcheck_job *job, const struct conf_watch *w, struct findings *f)
{
	CLEANUP_BUF struct buf tasks = BUF_INIT(FINDINGS_TEXT_BYTES);
	char reference[JOBCHECK_WORD_BYTES];

	if (list_unreached(job, w, NULL, &tasks) == 0)
		return;
	if (w->job_type == CONF_JOB_JOB && w->param.n > 0)
		findings_add(f, FINDING_NOTE, "reference_missing",
			"these tasks get no parameter: %s; if one needs it, its own parameters must name it: "
			"%s",
			buf_str(&tasks), reference_to(w->param.items[0].key, reference));
	else
		findings_add(f, FINDING_NOTE, "not_reached", "%s do not come to these tasks: %s",
			request_field(w), buf_str(&tasks));
}

static void judge_reach(const struct jobcheck_job *job, const struct conf_watch *w, struct findings *f)
{
	CLEANUP_BUF struct buf tasks = BUF_INIT(FINDINGS_TEXT_BYTES);
	bool all = true;

	if (!any_chosen(job, w) || job->cut)
		return;
	if (w->job_type != CONF_JOB_JOB) {
		if (any_reached(job, w, NULL)) {
			note_unreached(job, w, f);
			return;
		}
		(void)list_unreached(job, w, NULL, &tasks);
		findings_add(f, level_of_nothing(job, w), "not_reached",
			"no task gets the parameters: job_type = %s sends %s, and it has %s; take another "
			"job_type",
			conf_job_type_name(w->job_type), request_field(w), buf_str(&tasks));
		return;
	}
	for (size_t i = 0; i < w->param.n; i++) {
		if (any_reached(job, w, w->param.items[i].key))
			continue;
		all = false;
		judge_job_parameter_reach(job, w, w->param.items[i].key, f);
	}
	if (all)
		note_unreached(job, w, f);
}

/* ---- parameters and tasks that must be there ---- */

static void list_defined(const struct jobcheck_job *job, struct buf *b)
{
	if (job->parameters.n == 0)
		(void)buf_adds(b, "it defines none");
	else
		(void)buf_adds(b, "it defines ");
	for (size_t i = 0; i < job->parameters.n; i++)
		list_one(b, i, job->parameters.items[i]);
	list_end(b, job->parameters.n);
}

static void judge_parameters(const struct jobcheck_job *job, const struct conf_watch *w, struct findings *f)
{
	CLEANUP_BUF struct buf defined = BUF_INIT(FINDINGS_TEXT_BYTES),
			       missing = BUF_INIT(FINDINGS_TEXT_BYTES);
	size_t n = 0;

	if (job->cut)
		return;
	if (w->job_type != CONF_JOB_JOB) {
		if (job->parameters.n > 0)
			findings_add(f, FINDING_WARNING, "older_parameters",
				"the job has parameters of its own, with which %s of job_type = %s is "
				"refused as "
				"a rule; take job_type = job",
				request_field(w), conf_job_type_name(w->job_type));
		return;
	}
	for (size_t i = 0; i < w->param.n; i++)
		if (!list_has(&job->parameters, w->param.items[i].key))
			list_one(&missing, n++, w->param.items[i].key);
	if (n == 0)
		return;
	list_end(&missing, n);
	list_defined(job, &defined);
	findings_add(f, FINDING_ERROR, "parameter_undefined",
		"the job does not define the parameter%s %s that this watch sends (%s); add %s under \"Job "
		"parameters\" of the job, or name in param.KEY what it defines",
		n == 1 ? "" : "s", buf_str(&missing), buf_str(&defined), n == 1 ? "it" : "them");
}

static bool has_task(const struct jobcheck_job *job, const char *key)
{
	for (size_t i = 0; i < job->tasks_n; i++)
		if (strcmp(job->tasks[i].key, key) == 0)
			return true;
	return false;
}

static void judge_only(const struct jobcheck_job *job, const struct conf_watch *w, struct findings *f)
{
	if (job->cut)
		return;
	for (size_t i = 0; i < w->only.n; i++) {
		const char *item = w->only.items[i];
		const char *from = item[0] == '+' ? item + 1 : item;
		size_t len = strlen(from);
		CLEANUP_FREE char *key = mem_strndup(from, len > 0 && from[len - 1] == '+' ? len - 1 : len);

		if (!has_task(job, key))
			findings_add(f, FINDING_ERROR, "task_undefined",
				"only names the task \"%.100s\", which the job does not have", key);
	}
}

/* ---- how it runs ---- */

static void judge_concurrency(const struct jobcheck_job *job, const struct conf_watch *w, struct findings *f)
{
	if (job->max_concurrent_runs == 0) {
		findings_add(f, FINDING_ERROR, "runs_skipped",
			"max_concurrent_runs of the job is 0: every run would be skipped");
		return;
	}
	if (w->queue || job->queue == JOBCHECK_QUEUE_ON)
		return;
	findings_add(f, job->max_concurrent_runs == 1 ? FINDING_WARNING : FINDING_NOTE, "runs_skipped",
		"the job has no queue and queue = no asks for none: while %" PRId64
		" of its runs %s going on Databricks skips further ones, and they are started anew until "
		"they run; "
		"take queue = yes, or raise max_concurrent_runs",
		job->max_concurrent_runs, job->max_concurrent_runs == 1 ? "is" : "are");
}

static void judge_starters(const struct jobcheck_job *job, struct findings *f)
{
	for (size_t i = 0; i < job->starters_n; i++)
		findings_add(f, FINDING_WARNING, "starts_by_itself",
			"the job is also started by %s, so the same data may be processed twice",
			job->starters[i]);
}

static void judge_rights(const struct jobcheck_job *job, struct findings *f)
{
	if (job->run_as[0])
		findings_add(f, FINDING_NOTE, "runs_as",
			"its runs have the rights of %s, who must be able to read the files", job->run_as);
	findings_add(f, FINDING_NOTE, "not_proved",
		"that the job can be seen does not prove that it may be started: that takes CAN MANAGE RUN");
}

void jobcheck_judge(const struct jobcheck_job *job, const struct conf_watch *w, struct findings *f)
{
	judge_parameters(job, w, f);
	judge_only(job, w, f);
	judge_reach(job, w, f);
	judge_concurrency(job, w, f);
	judge_starters(job, f);
	if (job->cut)
		findings_add(f, FINDING_WARNING, "not_all_read",
			"the job is larger than is read here, so its parameters and tasks are not judged");
	judge_rights(job, f);
}

/* ---- a job that was not found ---- */

int64_t jobcheck_judge_name(const struct jobcheck_search *s, const struct conf_watch *w, struct findings *f)
{
	CLEANUP_BUF struct buf ids = BUF_INIT(FINDINGS_TEXT_BYTES);

	if (s->n == 1 && !s->cut)
		return s->ids[0];
	if (s->n == 0 && s->near_id > 0) {
		findings_add(f, FINDING_ERROR, "job_missing",
			"there is no job named \"%.200s\"; one is named \"%.200s\" (%" PRId64
			"): upper and lower case count",
			w->job_name, s->near, s->near_id);
		return 0;
	}
	if (s->n == 0 && s->cut) {
		findings_add(f, FINDING_ERROR, "job_missing",
			"the workspace lists too many jobs for the name \"%.200s\" to be read, and none of "
			"the "
			"first ones has exactly this name; give its job_id",
			w->job_name);
		return 0;
	}
	if (s->n == 0) {
		findings_add(f, FINDING_ERROR, "job_missing",
			"there is no job named \"%.200s\", or this identity may not see it; to start a job "
			"it "
			"needs CAN MANAGE RUN",
			w->job_name);
		return 0;
	}
	for (size_t i = 0; i < s->n; i++)
		(void)buf_addf(&ids, "%s%" PRId64, i > 0 ? ", " : "", s->ids[i]);
	findings_add(f, FINDING_ERROR, "job_ambiguous",
		"several jobs are named \"%.200s\": %s%s; give the job_id of the one that is meant, or "
		"rename the "
		"others",
		w->job_name, buf_str(&ids), s->cut ? " and perhaps more" : "");
	return 0;
}

void jobcheck_judge_others(const struct conf *c, const struct conf_watch *w, struct findings *f)
{
	const char *mine, *theirs;

	for (size_t i = 0; i < c->watches_n; i++) {
		const struct conf_watch *v = c->watches[i];

		if (v == w || v->job_id == 0 || v->job_id != w->job_id || !v->workspace || !w->workspace ||
			strcmp(v->workspace->host_token, w->workspace->host_token) != 0 ||
			!conf_watches_overlap(w, v, &mine, &theirs))
			continue;
		findings_add(f, FINDING_ERROR, JOBCHECK_SAME_JOB,
			"[watch:%s] starts the same job (%" PRId64 ") for the same files: %s and %s overlap",
			v->name, v->job_id, mine, theirs);
	}
}

void jobcheck_judge_refusal(const struct outcome *why, const char *words, struct findings *f)
{
	if (why->kind == OUTCOME_JOB && strcmp(why->reason, "job_missing") == 0)
		findings_add(f, FINDING_ERROR, "job_missing",
			"the job is not there: %s; is the number right, and is it a job of this workspace?",
			words);
	else if (why->kind == OUTCOME_JOB)
		findings_add(f, FINDING_ERROR, "job_forbidden",
			"this identity may not see the job: %s; to start it, it needs CAN MANAGE RUN", words);
	else
		findings_add(f, FINDING_WARNING, "not_asked", "the job could not be looked at: %s (%s)",
			words, why->reason);
}
