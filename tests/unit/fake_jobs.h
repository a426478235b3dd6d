/*
 * fake_jobs: dispatch/jobs without a network, for tests of what uses it. It is linked instead of the real one
 * because a test that defines these functions leaves nothing to look for in the archive. Calls are kept until
 * the test answers them, or, with fake_auto, answered by that function in the next round of the loop. Other
 * questions (jobs_get) are answered in the next round, by fake_page; without it nothing is known.
 */
#ifndef TESTS_FAKE_JOBS_H
#define TESTS_FAKE_JOBS_H

#include "dispatch/jobs.h"

#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define FAKE_CALLS 64

struct jobs {
	struct loop *loop;
	const struct conf_workspace *conf;
	jobs_answer_fn fn;
	void *arg;
	size_t in_flight;
};

struct fake_call {
	struct jobs *jobs;
	void *tag;
	char *body;
};

struct fake_look { /* a question about a run, not answered yet */
	struct jobs *jobs;
	int64_t run_id;
	jobs_run_fn fn;
	void *tag, *arg;
};

struct fake_question {
	struct jobs *jobs;
	char *path;
	jobs_page_fn fn;
	void *arg;
};

static struct fake_question fake_questions[FAKE_CALLS];
static size_t fake_questions_n;
static size_t fake_asked; /* questions ever asked */
static void (*fake_page)(const char *path, struct jobs_page *ret);

static struct fake_call fake_calls[FAKE_CALLS]; /* not answered yet, in order */
static size_t fake_calls_n;
static struct fake_look fake_looks[FAKE_CALLS];
static size_t fake_looks_n;
static size_t fake_sent;					     /* calls ever made */
static int fake_refuse;						     /* jobs_run_now returns this */
static int fake_no_client;					     /* jobs_new fails */
static void (*fake_auto)(const char *body, struct jobs_answer *ret); /* the stand-in of the service */

struct jobs *jobs_new(
	struct loop *loop, const struct conf_workspace *conf, jobs_answer_fn fn, void *arg, struct err *err)
{
	struct jobs *j;

	if (fake_no_client) {
		(void)err_set(err, ERR_CONF, EACCES, "the token file can be read by others");
		return NULL;
	}
	j = mem_alloc(sizeof(*j));
	j->loop = loop;
	j->conf = conf;
	j->fn = fn;
	j->arg = arg;
	return j;
}

static void fake_remove(size_t i)
{
	free(fake_calls[i].body);
	memmove(fake_calls + i, fake_calls + i + 1, (fake_calls_n - i - 1) * sizeof(fake_calls[0]));
	fake_calls_n--;
}

/* Answers the i-th call that is on its way. */
static inline void fake_answer(size_t i, const struct jobs_answer *a)
{
	struct fake_call c = fake_calls[i];

	BUG_ON(i >= fake_calls_n);
	c.body = NULL;
	fake_remove(i);
	c.jobs->in_flight--;
	c.jobs->fn(c.tag, a, c.jobs->arg);
}

static void fake_answer_all(void *arg)
{
	(void)arg;
	while (fake_calls_n > 0) {
		struct jobs_answer a = {.error_code = "", .message = "", .principal = "token"};

		fake_auto(fake_calls[0].body, &a);
		fake_answer(0, &a);
	}
}

static void fake_answer_questions(void *arg)
{
	(void)arg;
	while (fake_questions_n > 0) {
		struct fake_question q = fake_questions[0];
		struct jobs_page page = {
			.outcome = {.kind = OUTCOME_RETRY,
				.sure_not_started = true,
				.reason = "server_error"},
			.body = "",
			.message = "the server's words",
			.principal = "token",
		};

		fake_questions_n--;
		memmove(fake_questions, fake_questions + 1, fake_questions_n * sizeof(fake_questions[0]));
		if (fake_page)
			fake_page(q.path, &page);
		page.body_len = strlen(page.body);
		page.form = answer_form(page.body, page.body_len);
		free(q.path);
		q.fn(&page, q.arg);
	}
}

int jobs_get(struct jobs *j, const char *path, jobs_page_fn fn, void *arg, struct err *err)
{
	(void)err;
	BUG_ON(fake_questions_n == FAKE_CALLS);
	fake_questions[fake_questions_n++] =
		(struct fake_question){.jobs = j, .path = mem_strdup(path), .fn = fn, .arg = arg};
	fake_asked++;
	loop_defer(j->loop, fake_answer_questions, NULL);
	return 0;
}

const struct conf_workspace *jobs_workspace(const struct jobs *j)
{
	return j->conf;
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	for (size_t i = fake_questions_n; i-- > 0;) {
		if (fake_questions[i].jobs != j)
			continue;
		free(fake_questions[i].path);
		fake_questions[i] = fake_questions[--fake_questions_n];
	}
	loop_defer_cancel(j->loop, fake_answer_questions, NULL);
	for (size_t i = fake_calls_n; i-- > 0;)
		if (fake_calls[i].jobs == j)
			fake_remove(i);
	for (size_t i = fake_looks_n; i-- > 0;)
		if (fake_looks[i].jobs == j)
			fake_looks[i] = fake_looks[--fake_looks_n];
	loop_defer_cancel(j->loop, fake_answer_all, NULL);
	free(j);
}

int jobs_run_now(struct jobs *j, const char *body, size_t len, void *tag, struct err *err)
{
	if (fake_refuse)
		return err_set(err, ERR_LIMIT, -fake_refuse, "too many wait already");
	BUG_ON(fake_calls_n == FAKE_CALLS);
	fake_calls[fake_calls_n++] =
		(struct fake_call){.jobs = j, .tag = tag, .body = mem_strndup(body, len)};
	fake_sent++;
	j->in_flight++;
	if (fake_auto)
		loop_defer(j->loop, fake_answer_all, NULL);
	return 0;
}

int jobs_get_run(struct jobs *j, int64_t run_id, jobs_run_fn fn, void *tag, void *arg, struct err *err)
{
	(void)err;
	BUG_ON(fake_looks_n == FAKE_CALLS);
	fake_looks[fake_looks_n++] =
		(struct fake_look){.jobs = j, .run_id = run_id, .fn = fn, .tag = tag, .arg = arg};
	return 0;
}

/* Answers the oldest question. */
static inline void fake_tell(enum outcome_kind kind, enum fate fate, const char *code)
{
	struct fake_look l = fake_looks[0];
	struct jobs_run run = {.kind = kind, .fate = fate, .code = code, .message = "the server's words"};

	BUG_ON(fake_looks_n == 0);
	fake_looks_n--;
	memmove(fake_looks, fake_looks + 1, fake_looks_n * sizeof(fake_looks[0]));
	l.fn(l.tag, &run, l.arg);
}

size_t jobs_in_flight(const struct jobs *j)
{
	return j->in_flight;
}

void jobs_sign_in(const struct jobs *j, struct auth_state *ret)
{
	(void)j;
	*ret = (struct auth_state){.kind = "token", .principal = "token"};
}

static inline void fake_start(size_t i, int64_t run_id)
{
	struct jobs_answer a = {
		.outcome = {.kind = OUTCOME_STARTED, .reason = "started"},
		.run_id = run_id,
		.http_status = 200,
		.error_code = "",
		.message = "",
		.principal = "token",
	};

	fake_answer(i, &a);
}

static inline void fake_fail(size_t i, enum outcome_kind kind, bool sure, int status, const char *reason)
{
	struct jobs_answer a = {
		.outcome = {.kind = kind, .sure_not_started = sure, .reason = reason},
		.http_status = status,
		.error_code = status > 0 ? "SOME_CODE" : "",
		.message = "the server's words",
		.principal = "token",
	};

	fake_answer(i, &a);
}

#endif
