/*
 * outcome: from an answer of the Jobs API (or none) to what happens next. Pure, table-driven. Sources: the
 * Jobs API's error table and the retry rules of the official clients.
 */
#ifndef CORE_OUTCOME_H
#define CORE_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum outcome_transport { /* what became of the exchange below HTTP */
	OUTCOME_TRANSPORT_OK = 0,
	OUTCOME_TRANSPORT_NOT_SENT, /* name, connect, TLS failed: the request cannot have arrived */
	OUTCOME_TRANSPORT_PROXY,    /* the proxy wants another password: likewise */
	OUTCOME_TRANSPORT_LOST,	    /* sent wholly or partly, no full answer: a run may exist */
};

enum outcome_kind {
	OUTCOME_STARTED = 0, /* 200 with a run id */
	OUTCOME_RETRY,	     /* try again later, the same bytes */
	OUTCOME_CREDENTIAL,  /* refresh the credential once, then the workspace is suspended */
	OUTCOME_JOB,	     /* this job cannot be started now: missing, forbidden, parameter not defined */
	OUTCOME_DEAD,	     /* this request can never succeed */
	OUTCOME_UNREACHABLE, /* no server: counts towards suspension of the workspace */
};

struct outcome {
	enum outcome_kind kind;
	bool sure_not_started; /* false: an earlier or this attempt may have made a run */
	const char *reason;    /* constant word for the event: "bad_request", "job_missing", … */
};

struct outcome_answer {
	enum outcome_transport transport;
	int http_status; /* 0 when none */
	bool has_run_id;
	const char *error_code; /* "" unknown */
	const char *message;	/* "" unknown */
};

/* A row of the table, for who wants to show or check it. */
struct outcome_rule {
	int from, to;	  /* statuses; 0: there was no answer */
	const char *code; /* error code, or NULL for any */
	const char *text; /* what the message must have, or NULL for any: '^' only at its start, '*' anything
			     in between, '#' digits, '@' letters; upper and lower case are the same */
	struct outcome outcome;
};

/* The i-th, in the order in which they are tried. False: there are no more. */
bool outcome_rule_at(size_t i, struct outcome_rule *ret);
struct outcome outcome_decide(const struct outcome_answer *a);
/* Of a dead letter: may there be a run nevertheless? */
bool outcome_may_have_run(const char *reason);
const char *outcome_kind_name(enum outcome_kind kind);

#endif
