/*
 * signin: decisions about access tokens: how long one is good for, and what an answer of the service that
 * hands them out means. Pure; times are the caller's.
 */
#ifndef CORE_SIGNIN_H
#define CORE_SIGNIN_H

#include <stdbool.h>
#include <stdint.h>
#include "core/outcome.h"

#define SIGNIN_AHEAD_US INT64_C(300000000) /* a token is renewed so long before its end */
#define SIGNIN_SHORT_US INT64_C(600000000) /* one that is good for less: at half of its time */
#define SIGNIN_DEFAULT_S 3600		   /* where nothing is said: what Databricks documents */
#define SIGNIN_LONGEST_S 86400		   /* more is not believed */

/* The life of one token, on the clock that started_us is of. All 0: it has no end. */
struct signin_life {
	int64_t renew_us;  /* from then on another one is wanted */
	int64_t usable_us; /* from then on it is not sent any more: services refuse tokens with seconds left
			    */
	int64_t end_us;
};

/* seconds: how long the token is good, counted from when it was asked for; above 0. */
struct signin_life signin_life(int64_t started_us, int64_t seconds);

enum signin_state {
	SIGNIN_GOOD,  /* send it */
	SIGNIN_RENEW, /* send it, and get another one */
	SIGNIN_OVER,  /* wait for another one */
};

enum signin_state signin_state(const struct signin_life *life, int64_t now_us);

/*
 * What becomes of a request that waits for a token, from an answer of the token endpoint (or of the page that
 * names it) that brought none: OUTCOME_CREDENTIAL, it refuses us; OUTCOME_UNREACHABLE, anything else. No run
 * can have been started by it, so sure_not_started is always true. a->has_run_id is not looked at.
 */
struct outcome signin_decide(const struct outcome_answer *a);

#endif
