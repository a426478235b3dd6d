/*
 * lookup: asks the workspace about the job of one watch: finds the id of a job_name, reads the job page by
 * page, and has core/jobcheck judge it. Starts nothing, changes nothing.
 */
#ifndef DISPATCH_LOOKUP_H
#define DISPATCH_LOOKUP_H

#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "core/jobcheck.h"
#include "core/outcome.h"
#include "dispatch/jobs.h"

struct lookup;

enum lookup_end {
	LOOKUP_SEEN = 0, /* the job was found and read */
	LOOKUP_REFUSED,	 /* nothing can be started: it is not there, not visible, not unique */
	LOOKUP_UNKNOWN,	 /* no answer, or none about the job: nothing is known */
};

/* How it ended. Borrowed, valid during the callback; findings may be taken (leave an empty one). */
struct lookup_answer {
	enum lookup_end end;
	int64_t job_id;	      /* the configured one, or what the name stands for; 0: not known */
	const char *job_name; /* of the job that was found; NULL unknown */
	struct findings *findings;
	struct outcome outcome; /* of the last answer */
};

typedef void (*lookup_fn)(const struct lookup_answer *answer, void *arg);

/* Asks about the job of w; all are borrowed until the end. fn is called once, later, never from inside, and
 * frees the lookup. NULL with *err: nothing could be asked. */
struct lookup *lookup_job(
	struct jobs *jobs, const struct conf_watch *w, lookup_fn fn, void *arg, struct err *err);
/* Takes NULL. Only when no answer can come any more: the jobs it asks were freed before. */
void lookup_free(struct lookup *l);

/* Who asks, as the workspace sees it. */
struct lookup_identity {
	struct outcome outcome;
	bool signed_in;	       /* it says who we are, as a workspace does */
	const char *who;       /* "" unknown */
	int http_status;       /* as in struct jobs_page */
	enum answer_form form; /* likewise */
	const char *message;   /* likewise */
	const char *principal;
};

typedef void (*lookup_identity_fn)(const struct lookup_identity *identity, void *arg);

/* Asks for it. fn is called once, later, never from inside; a lookup of this kind is freed as the others. */
struct lookup *lookup_me(struct jobs *jobs, lookup_identity_fn fn, void *arg, struct err *err);

#endif
