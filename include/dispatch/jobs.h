/*
 * jobs: the Jobs API as calls: start a run, look at one, ask for anything else. It knows requests and
 * answers; not the ledger, not when to try again.
 */
#ifndef DISPATCH_JOBS_H
#define DISPATCH_JOBS_H

#include <stdint.h>
#include "base/loop.h"
#include "core/conf.h"
#include "core/fate.h"
#include "core/outcome.h"
#include "dispatch/answer.h"
#include "dispatch/auth.h"

struct jobs; /* everything about one workspace: connections, credential */

/* One answer to one run-now. Borrowed, valid during the callback. */
struct jobs_answer {
	struct outcome outcome; /* what happens next; sure_not_started speaks of this attempt only */
	int64_t run_id;		/* OUTCOME_STARTED only */
	int http_status;	/* 0: no answer */
	const char *error_code; /* "" unknown */
	const char *message;	/* the server's or curl's words, at most 500 bytes, printable UTF-8 */
	int64_t retry_after_us; /* 0: none */
	const char *principal;	/* how we signed in: "token", … */
};

typedef void (*jobs_answer_fn)(void *tag, const struct jobs_answer *answer, void *arg);

/* One answer to one runs/get. Borrowed, valid during the callback. */
struct jobs_run {
	enum outcome_kind
		kind;	     /* OUTCOME_STARTED: it tells about this run; else what became of the question */
	enum fate fate;	     /* FATE_UNKNOWN unless it does */
	const char *code;    /* the word that decided, or the error's; "" unknown */
	const char *message; /* as in struct jobs_answer */
};

typedef void (*jobs_run_fn)(void *tag, const struct jobs_run *run, void *arg);

/* One answer to a question of another kind. Borrowed, valid during the callback. */
struct jobs_page {
	struct outcome outcome; /* kind OUTCOME_STARTED: it was answered, here is the body */
	int http_status;	/* 0: no answer */
	enum answer_form form;	/* of the body, whatever the status is */
	const char *body;	/* "" unless it was answered */
	size_t body_len;
	const char *message;   /* as in struct jobs_answer; of an answer that is no JSON too, what it says */
	const char *principal; /* likewise */
};

typedef void (*jobs_page_fn)(const struct jobs_page *page, void *arg);

/* Reads the credential (may block on its file); conf stays the caller's and must outlive it. NULL with *err
 * (credential file missing, too open, …). `credential:NAME` is looked for in $CREDENTIALS_DIRECTORY. */
struct jobs *jobs_new(
	struct loop *loop, const struct conf_workspace *conf, jobs_answer_fn fn, void *arg, struct err *err);
/* The same with that directory (or NULL) given. */
struct jobs *jobs_new_in(struct loop *loop, const struct conf_workspace *conf,
	const char *credentials_directory, jobs_answer_fn fn, void *arg, struct err *err);
/* Takes NULL; abandons what is in flight without callback. Not from inside an answer. */
void jobs_free(struct jobs *j);
/* Starts POST /api/VERSION/jobs/run-now with this exact body (copied). fn(tag) is called once, later, never
 * from inside. When the credential is refused it is read again and the same body sent once more before that.
 * -errno with *err: not sent at all (-EMSGSIZE larger than the service takes, -EAGAIN too many are waiting).
 */
int jobs_run_now(struct jobs *j, const char *body, size_t len, void *tag, struct err *err) MUST_CHECK;
/* Starts GET /api/VERSION/jobs/runs/get?run_id=RUN_ID. fn(tag, …, arg) as with jobs_run_now. */
int jobs_get_run(
	struct jobs *j, int64_t run_id, jobs_run_fn fn, void *tag, void *arg, struct err *err) MUST_CHECK;
/* Starts GET of this path ("/api/2.2/jobs/get?job_id=5") at the workspace. fn(…, arg) as with jobs_run_now.
 */
int jobs_get(struct jobs *j, const char *path, jobs_page_fn fn, void *arg, struct err *err) MUST_CHECK;
const struct conf_workspace *jobs_workspace(const struct jobs *j);
size_t jobs_in_flight(const struct jobs *j);
/* How we sign in, for `status`. Borrowed until the loop runs on. */
void jobs_sign_in(const struct jobs *j, struct auth_state *ret);

#endif
