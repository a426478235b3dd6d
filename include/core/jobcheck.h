/*
 * jobcheck: from a job as the workspace shows it and the watch that is to start it to what a person should
 * know: what is wrong, what may surprise, whose rights its runs have. Pure. Source: jobs/get and jobs/list of
 * the Jobs API, and Databricks' pages about parameters of tasks.
 *
 * A finding of level error says that starting the job is of no use now; the others only tell. Seeing a job
 * proves nothing about the right to start it: who may only view it sees the same.
 */
#ifndef CORE_JOBCHECK_H
#define CORE_JOBCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/conf.h"
#include "core/findings.h"
#include "core/outcome.h"

#define JOBCHECK_TASKS_MAX 1000	     /* of a job; the service allows as many */
#define JOBCHECK_PARAMETERS_MAX 1000 /* of a job */
#define JOBCHECK_REFERENCES_MAX 64   /* of a task */
#define JOBCHECK_WORD_BYTES 256	     /* of a task's key, a parameter's name, a trigger, with NUL */
#define JOBCHECK_NAME_BYTES 4097     /* of a job's name, with NUL */
#define JOBCHECK_STARTERS_MAX 4
#define JOBCHECK_MATCHES_MAX 8

/* ---- a job, as jobs/get has it ---- */

enum jobcheck_kind { /* of a task, by how a parameter gets there */
	FINDING_NOTEBOOK = 0,
	JOBCHECK_PYTHON,
	JOBCHECK_WHEEL_NAMED, /* takes keyword arguments */
	JOBCHECK_WHEEL_LIST,  /* takes a list */
	JOBCHECK_JAR,
	JOBCHECK_SPARK_SUBMIT,
	JOBCHECK_SQL,
	JOBCHECK_SQL_ALERT,
	JOBCHECK_RUN_JOB,
	JOBCHECK_DBT,
	JOBCHECK_PIPELINE,
	JOBCHECK_FOR_EACH,
	JOBCHECK_OTHER,
};

struct jobcheck_task {
	char key[JOBCHECK_WORD_BYTES]; /* "" a job of one task in the shape of API 2.0 */
	enum jobcheck_kind kind;
	struct conf_list references; /* NAME of each {{job.parameters.NAME}} in it */
	bool references_cut;	     /* there were more than are kept */
};

enum jobcheck_queue { JOBCHECK_QUEUE_UNKNOWN = 0, JOBCHECK_QUEUE_ON, JOBCHECK_QUEUE_OFF };

struct jobcheck_job {
	int64_t id;
	char *name; /* owned; NULL unknown */
	int64_t max_concurrent_runs;
	enum jobcheck_queue queue; /* UNKNOWN: not said, which means off */
	struct conf_list parameters;
	struct jobcheck_task *tasks;
	size_t tasks_n;
	char starters[JOBCHECK_STARTERS_MAX][JOBCHECK_WORD_BYTES]; /* what starts it besides us, in words */
	size_t starters_n;
	char run_as[JOBCHECK_WORD_BYTES]; /* "" unknown */
	bool cut;			  /* there was more than is kept here: absence proves nothing */
};

void jobcheck_job_init(struct jobcheck_job *job);
void jobcheck_job_done(struct jobcheck_job *job);

/* ---- a name, looked up with jobs/list ---- */

struct jobcheck_search {
	int64_t ids[JOBCHECK_MATCHES_MAX]; /* of the jobs of exactly this name */
	size_t n;			   /* of those kept */
	int64_t near_id;		   /* one whose name differs in upper and lower case only; 0 none */
	char *near;			   /* its name; owned */
	bool cut;			   /* there were more pages than are read */
};

void jobcheck_search_done(struct jobcheck_search *s);

/* ---- judging ---- */

#define JOBCHECK_SAME_JOB "same_job"

/* Adds all there is to say about a job that was found. */
void jobcheck_judge(const struct jobcheck_job *job, const struct conf_watch *w, struct findings *f);
/* What was found for the watch's job_name. Returns the id, or 0 with a finding. */
int64_t jobcheck_judge_name(const struct jobcheck_search *s, const struct conf_watch *w, struct findings *f);
/* With the ids of names known in c: an error if another watch starts the same job for the same files. */
void jobcheck_judge_others(const struct conf *c, const struct conf_watch *w, struct findings *f);
/* The job could not be read: why is what core/outcome makes of the answer, words the server's. An error if it
 * is about the job itself, else a warning: nothing is known. */
void jobcheck_judge_refusal(const struct outcome *why, const char *words, struct findings *f);
/* "job 5", "job "ingest" (5)", "job "ingest"", as far as it is known; job_id 0, name NULL. Returns out. */
const char *jobcheck_call(int64_t job_id, const char *name, char out[JOBCHECK_WORD_BYTES]);

/* Adds the NAME of each {{job.parameters.NAME}} in text that is not there yet. */
void jobcheck_add_references(struct jobcheck_task *task, const char *text);

#endif
