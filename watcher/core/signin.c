/*
 * That a token endpoint does not answer, is busy or talks nonsense is the same to a file that waits: the
 * workspace cannot be reached. None of it can make a dead letter. A definite "no" to our credential needs a
 * person, and says so.
 *
 * Sources: RFC 6749 section 5.2 (400 for most refusals, 401 for invalid_client); Entra answers 400 or 401
 * with the same words; the metadata service of Azure answers 400 when there is no such identity, and 404, 410
 * and 429 while it is not ready. The doc is doc/outcomes.md.
 */
#include "core/signin.h"

#include <stddef.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"

#define USABLE_BEFORE_END_US (60 * US_PER_S) /* Azure Databricks refuses the last 30 s; clocks differ */

struct signin_life signin_life(int64_t started_us, int64_t seconds)
{
	int64_t us = (seconds < SIGNIN_LONGEST_S ? seconds : SIGNIN_LONGEST_S) * US_PER_S;
	bool is_short = us < SIGNIN_SHORT_US;

	return (struct signin_life){
		.renew_us = started_us + (is_short ? us / 2 : us - SIGNIN_AHEAD_US),
		.usable_us = started_us + us - (is_short ? us / 10 : USABLE_BEFORE_END_US),
		.end_us = started_us + us,
	};
}

enum signin_state signin_state(const struct signin_life *life, int64_t now_us)
{
	if (life->end_us == 0 || now_us < life->renew_us)
		return SIGNIN_GOOD;
	return now_us < life->usable_us ? SIGNIN_RENEW : SIGNIN_OVER;
}

static const struct rule {
	int from, to;	  /* statuses */
	const char *code; /* or NULL for any */
	struct outcome outcome;
} rules[] = {
	{200, 299, NULL, {OUTCOME_UNREACHABLE, true, "sign_in_unavailable"}}, /* but no token in it */
	{300, 399, NULL, {OUTCOME_UNREACHABLE, true, "redirected"}},
	{407, 407, NULL, {OUTCOME_UNREACHABLE, true, "proxy_refused"}},
	{404, 405, NULL, {OUTCOME_UNREACHABLE, true, "no_sign_in"}},
	{410, 410, NULL, {OUTCOME_UNREACHABLE, true, "no_sign_in"}},
	{408, 408, NULL, {OUTCOME_UNREACHABLE, true, "sign_in_unavailable"}},
	{425, 425, NULL, {OUTCOME_UNREACHABLE, true, "sign_in_unavailable"}},
	{429, 429, NULL, {OUTCOME_UNREACHABLE, true, "sign_in_unavailable"}},
	{400, 499, "temporarily_unavailable", {OUTCOME_UNREACHABLE, true, "sign_in_unavailable"}},
	{400, 499, "server_error", {OUTCOME_UNREACHABLE, true, "sign_in_unavailable"}},
	{400, 499, NULL, {OUTCOME_CREDENTIAL, true, "credential_refused"}},
};

struct outcome signin_decide(const struct outcome_answer *a)
{
	static const struct outcome unreachable = {OUTCOME_UNREACHABLE, true, "unreachable"},
				    no_proxy = {OUTCOME_UNREACHABLE, true, "proxy_refused"},
				    unavailable = {OUTCOME_UNREACHABLE, true, "sign_in_unavailable"};

	if (a->transport != OUTCOME_TRANSPORT_OK)
		return a->transport == OUTCOME_TRANSPORT_PROXY ? no_proxy : unreachable;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *r = &rules[i];

		if (a->http_status >= r->from && a->http_status <= r->to &&
			(r->code == NULL || strcmp(r->code, a->error_code) == 0))
			return r->outcome;
	}
	return unavailable;
}
