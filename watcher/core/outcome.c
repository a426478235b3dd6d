/*
 * One table, read from the top; the first row that fits decides. doc/outcomes.md says the same in words and
 * must be changed with it: the reason words are a promise.
 *
 * Sending a request again is always safe, because its idempotency token makes the service answer with the run
 * that is there. Giving one up is not, so a doubt goes to RETRY. But a row must not be decided by what a
 * stranger can write: the service may quote a parameter in its message, and the parameter is a file name. So
 * a text that would suspend a job or a workspace, slow it down, or have a request tried for hours counts only
 * at the start of the message, or where the service does not look at parameters yet (401, 403), or when the
 * error code does not speak of the parameters.
 *
 * "sure" means that this attempt started no run: the request was refused before anything was done.
 *
 * Sources: the error codes and retry rules of the Databricks SDKs for Go and Python and of Airflow's
 * provider.
 */
#include "core/outcome.h"

#include <stddef.h>
#include <string.h>
#include "base/err.h"
#include "base/mem.h"

#define SURE true
#define UNSURE false

static const struct outcome not_sent = {OUTCOME_UNREACHABLE, SURE, "unreachable"};
static const struct outcome no_proxy = {OUTCOME_UNREACHABLE, SURE, "proxy_refused"};
static const struct outcome lost = {OUTCOME_RETRY, UNSURE, "no_answer"};
static const struct outcome started = {OUTCOME_STARTED, UNSURE, "started"};
static const struct outcome no_run_id = {OUTCOME_RETRY, UNSURE, "no_run_id"};
static const struct outcome unexpected = {OUTCOME_RETRY, UNSURE, "unexpected_status"};

static const struct outcome_rule rules[] = {
	/* not the Jobs API, but something in front of it */
	{300, 399, "private-link-validation-error", NULL, {OUTCOME_UNREACHABLE, SURE, "private_link"}},
	{300, 399, NULL, NULL, {OUTCOME_UNREACHABLE, UNSURE, "redirected"}},
	{407, 407, NULL, NULL, {OUTCOME_UNREACHABLE, SURE, "proxy_refused"}},
	{404, 404, "ENDPOINT_NOT_FOUND", NULL, {OUTCOME_UNREACHABLE, SURE, "no_jobs_api"}},
	{404, 404, NULL, "^No API found", {OUTCOME_UNREACHABLE, SURE, "no_jobs_api"}},
	{405, 405, NULL, NULL, {OUTCOME_UNREACHABLE, SURE, "no_jobs_api"}},
	{501, 501, NULL, NULL, {OUTCOME_UNREACHABLE, SURE, "no_jobs_api"}},
	{403, 403, NULL, "IP ACL", {OUTCOME_UNREACHABLE, SURE, "address_blocked"}},
	/* nginx, at the start of its own pages */
	{400, 400, NULL, "^# No required SSL certificate was sent",
		{OUTCOME_UNREACHABLE, SURE, "client_certificate_refused"}},
	{400, 400, NULL, "^# The SSL certificate error",
		{OUTCOME_UNREACHABLE, SURE, "client_certificate_refused"}},

	/* the server is in trouble or busy, whatever it says */
	{500, 599, NULL, NULL, {OUTCOME_RETRY, UNSURE, "server_error"}},
	{408, 408, NULL, NULL, {OUTCOME_RETRY, UNSURE, "request_timeout"}},
	{425, 425, NULL, NULL, {OUTCOME_RETRY, SURE, "too_early"}},
	{429, 429, NULL, NULL, {OUTCOME_RETRY, SURE, "rate_limited"}},

	/* the same under another status, by error code */
	{400, 499, "REQUEST_LIMIT_EXCEEDED", NULL, {OUTCOME_RETRY, SURE, "rate_limited"}},
	{400, 499, "RESOURCE_EXHAUSTED", NULL, {OUTCOME_RETRY, SURE, "rate_limited"}},
	{400, 499, "QUOTA_EXCEEDED", NULL, {OUTCOME_RETRY, SURE, "rate_limited"}},
	{400, 499, "429", NULL, {OUTCOME_RETRY, SURE, "rate_limited"}},
	{400, 499, "COULD_NOT_ACQUIRE_LOCK", NULL, {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, "TEMPORARILY_UNAVAILABLE", NULL, {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, "DEADLINE_EXCEEDED", NULL, {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, "ABORTED", NULL, {OUTCOME_RETRY, UNSURE, "transient"}},
	{499, 499, NULL, NULL, {OUTCOME_RETRY, UNSURE, "transient"}},

	/* a worker that is not there yet: the one passing trouble that was seen under such a code */
	{400, 499, NULL, "^Delegate unexpected exception during *UnknownWorkerEnvironmentException",
		{OUTCOME_RETRY, UNSURE, "transient"}},

	/* the job, in the service's own words */
	{400, 400, NULL, "^Job # does not exist", {OUTCOME_JOB, SURE, "job_missing"}},
	{400, 400, NULL, "^Job # does not define ", {OUTCOME_JOB, SURE, "parameter_undefined"}},
	{400, 400, NULL, "^Job # defines job parameters", {OUTCOME_JOB, SURE, "parameter_undefined"}},
	{400, 400, NULL, "^Job parameter* not defined", {OUTCOME_JOB, SURE, "parameter_undefined"}},
	{400, 400, NULL, "^Undefined job parameter", {OUTCOME_JOB, SURE, "parameter_undefined"}},
	{400, 400, NULL, "^Unknown job parameter", {OUTCOME_JOB, SURE, "parameter_undefined"}},
	{400, 400, NULL, "^job_parameters can not be used in combination",
		{OUTCOME_JOB, SURE, "parameter_undefined"}},
	{400, 400, NULL, "^job_parameters cannot be used in combination",
		{OUTCOME_JOB, SURE, "parameter_undefined"}},

	/* this request, says the code: whatever the message quotes */
	{400, 400, "INVALID_PARAMETER_VALUE", "idempotency", {OUTCOME_DEAD, UNSURE, "token_refused"}},
	{400, 400, "INVALID_PARAMETER_VALUE", NULL, {OUTCOME_DEAD, SURE, "bad_request"}},
	{400, 400, "MALFORMED_REQUEST", NULL, {OUTCOME_DEAD, SURE, "bad_request"}},

	/* what the SDKs take for transient, as it was seen: at the start */
	{400, 499, NULL, "^REQUEST_LIMIT_EXCEEDED", {OUTCOME_RETRY, SURE, "rate_limited"}},
	{400, 499, NULL, "^RPC token bucket limit has been exceeded", {OUTCOME_RETRY, SURE, "rate_limited"}},
	{400, 499, NULL, "^@ RPC token bucket limit has been exceeded",
		{OUTCOME_RETRY, SURE, "rate_limited"}},
	{400, 499, NULL, "^There were already # jobs created in past # seconds, exceeding rate limit",
		{OUTCOME_RETRY, SURE, "rate_limited"}},
	{400, 499, NULL, "^com.databricks.*UnknownWorkerEnvironmentException",
		{OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^Workspace # does not have any associated worker environments",
		{OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^There is no worker environment with id", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^Unknown worker environment", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^com.databricks.*ClusterNotReadyException", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^ClusterNotReadyException", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^worker env * not found", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^Timed out after ", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^deadline exceeded", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^context deadline exceeded", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^connection reset by peer", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^TLS handshake timeout", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^connection refused", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^i/o timeout", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^Unexpected error", {OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^The service at * is taking too long to process your request",
		{OUTCOME_RETRY, UNSURE, "transient"}},
	{400, 499, NULL, "^Please try again later or try a faster operation",
		{OUTCOME_RETRY, UNSURE, "transient"}},

	/* who we are */
	{401, 401, NULL, NULL, {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{400, 499, "401", NULL, {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{400, 499, "UNAUTHENTICATED", NULL, {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},

	/* 403 comes before the parameters are looked at */
	{403, 403, NULL, "permission* job", {OUTCOME_JOB, SURE, "job_forbidden"}},
	{403, 403, NULL, "token", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{403, 403, NULL, "credential", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{403, 403, NULL, "expired", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{403, 403, NULL, "authenticat", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{403, 403, NULL, "invalid access to Org", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{403, 403, NULL, NULL, {OUTCOME_JOB, SURE, "job_forbidden"}},

	/* the run of our token was deleted; before "token" can be taken for a credential */
	{400, 499, NULL, "idempotency", {OUTCOME_DEAD, UNSURE, "token_refused"}},

	/* the job */
	{404, 404, NULL, NULL, {OUTCOME_JOB, SURE, "job_missing"}},
	{400, 499, "RESOURCE_DOES_NOT_EXIST", NULL, {OUTCOME_JOB, SURE, "job_missing"}},
	{400, 499, "PERMISSION_DENIED", NULL, {OUTCOME_JOB, SURE, "job_forbidden"}},
	{400, 499, "FEATURE_DISABLED", NULL, {OUTCOME_JOB, SURE, "job_forbidden"}},

	/* expired Entra tokens came as 400 for years */
	{400, 400, NULL, "ExpiredJwtException", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{400, 400, NULL, "io.jsonwebtoken.", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{400, 400, NULL, "token is expir", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{400, 400, NULL, "token has expired", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{400, 400, NULL, "token expired", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{400, 400, NULL, "access token", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},
	{400, 400, NULL, "credential", {OUTCOME_CREDENTIAL, SURE, "credential_refused"}},

	{400, 400, NULL, NULL, {OUTCOME_DEAD, SURE, "bad_request"}},
	{409, 409, NULL, NULL, {OUTCOME_DEAD, UNSURE, "conflict"}},
	{413, 413, NULL, NULL, {OUTCOME_DEAD, SURE, "request_too_large"}},
	{400, 499, NULL, NULL, {OUTCOME_DEAD, SURE, "refused"}},
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return lower(c) >= 'a' && lower(c) <= 'z';
}

/* Does the piece (up to '*' or its end) stand at s? *ret_end is then behind it. '#' is one or more digits,
 * '@' letters. */
static bool piece_stands_at(const char *piece, const char *s, const char **ret_end)
{
	for (; *piece != '\0' && *piece != '*'; piece++) {
		if (*piece == '#' || *piece == '@') {
			bool (*fits)(char) = *piece == '#' ? is_digit : is_letter;

			if (!fits(*s))
				return false;
			while (fits(*s))
				s++;
		} else if (lower(*piece) != lower(*s++)) {
			return false;
		}
	}
	*ret_end = s;
	return true;
}

/* Is the pattern found in the message, upper and lower case alike? '^' in front: only at its start. '*':
 * anything in between. */
static bool text_fits(const char *pattern, const char *message)
{
	bool anchored = *pattern == '^';
	const char *piece = anchored ? pattern + 1 : pattern;

	for (;;) {
		const char *end;

		while (!piece_stands_at(piece, message, &end)) {
			if (anchored || *message == '\0')
				return false;
			message++;
		}
		piece += strcspn(piece, "*");
		if (*piece++ == '\0')
			return true;
		message = end;
		anchored = false;
	}
}

static bool rule_fits(const struct outcome_rule *r, const struct outcome_answer *a)
{
	return a->http_status >= r->from && a->http_status <= r->to &&
	       (r->code == NULL || strcmp(r->code, a->error_code) == 0) &&
	       (r->text == NULL || text_fits(r->text, a->message));
}

static struct outcome decide_by_status(const struct outcome_answer *a)
{
	if (a->http_status >= 200 && a->http_status <= 299)
		return a->has_run_id ? started : no_run_id;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rule_fits(&rules[i], a))
			return rules[i].outcome;
	return unexpected;
}

bool outcome_rule_at(size_t i, struct outcome_rule *ret)
{
	const struct outcome_rule others[] = {
		{0, 0, NULL, NULL, not_sent},
		{0, 0, NULL, NULL, lost},
		{200, 299, NULL, NULL, started},
		{200, 299, NULL, NULL, no_run_id},
		{600, 999, NULL, NULL, unexpected},
	};

	if (i < ARRAY_SIZE(rules))
		*ret = rules[i];
	else if (i - ARRAY_SIZE(rules) < ARRAY_SIZE(others))
		*ret = others[i - ARRAY_SIZE(rules)];
	else
		return false;
	return true;
}

struct outcome outcome_decide(const struct outcome_answer *a)
{
	switch (a->transport) {
	case OUTCOME_TRANSPORT_OK:
		return decide_by_status(a);
	case OUTCOME_TRANSPORT_NOT_SENT:
		return not_sent;
	case OUTCOME_TRANSPORT_PROXY:
		return no_proxy;
	case OUTCOME_TRANSPORT_LOST:
		return lost;
	}
	BUG_ON(true);
}

bool outcome_may_have_run(const char *reason)
{
	return strcmp(reason, "outcome_unknown") == 0 || strcmp(reason, "conflict") == 0;
}

const char *outcome_kind_name(enum outcome_kind kind)
{
	static const char *const names[] = {
		[OUTCOME_STARTED] = "started",
		[OUTCOME_RETRY] = "retry",
		[OUTCOME_CREDENTIAL] = "credential",
		[OUTCOME_JOB] = "job",
		[OUTCOME_DEAD] = "dead",
		[OUTCOME_UNREACHABLE] = "unreachable",
	};

	BUG_ON((size_t)kind >= ARRAY_SIZE(names));
	return names[kind];
}
