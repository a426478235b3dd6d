#include "core/outcome.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#define SURE true
#define UNSURE false

struct row {
	int status;
	const char *code;
	const char *message;
	enum outcome_kind kind;
	bool sure;
	const char *reason;
};

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct outcome_answer a = {.http_status = rows[i].status,
			.error_code = rows[i].code,
			.message = rows[i].message};
		struct outcome o = outcome_decide(&a);

		if (o.kind != rows[i].kind || o.sure_not_started != rows[i].sure ||
			strcmp(o.reason, rows[i].reason) != 0)
			fail_msg("%d %s \"%s\": %s, %d, %s", rows[i].status, rows[i].code, rows[i].message,
				outcome_kind_name(o.kind), o.sure_not_started, o.reason);
	}
}

static void without_an_answer(void **state)
{
	/* whatever the other fields hold: there was no answer */
	struct outcome_answer a = {.transport = OUTCOME_TRANSPORT_NOT_SENT,
		.http_status = 200,
		.has_run_id = true,
		.error_code = "",
		.message = "Could not resolve host"};
	struct outcome o = outcome_decide(&a);

	(void)state;
	assert_int_equal(o.kind, OUTCOME_UNREACHABLE);
	assert_true(o.sure_not_started);
	assert_string_equal(o.reason, "unreachable");

	a.transport = OUTCOME_TRANSPORT_PROXY;
	o = outcome_decide(&a);
	assert_int_equal(o.kind, OUTCOME_UNREACHABLE);
	assert_true(o.sure_not_started);
	assert_string_equal(o.reason, "proxy_refused");

	a.transport = OUTCOME_TRANSPORT_LOST;
	o = outcome_decide(&a);
	assert_int_equal(o.kind, OUTCOME_RETRY);
	assert_false(o.sure_not_started);
	assert_string_equal(o.reason, "no_answer");
}

static void success_needs_a_run_id(void **state)
{
	static const int statuses[] = {200, 201, 202, 299};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct outcome_answer a = {
			.http_status = statuses[i], .has_run_id = true, .error_code = "", .message = ""};
		struct outcome o = outcome_decide(&a);

		assert_int_equal(o.kind, OUTCOME_STARTED);
		assert_false(o.sure_not_started);
		assert_string_equal(o.reason, "started");
		a.has_run_id = false;
		a.error_code = "401";
		a.message = "Invalid access token.";
		o = outcome_decide(&a);
		assert_int_equal(o.kind, OUTCOME_RETRY);
		assert_false(o.sure_not_started);
		assert_string_equal(o.reason, "no_run_id");
	}
}

static void trouble_and_overload_are_tried_again(void **state)
{
	static const struct row rows[] = {
		{408, "", "", OUTCOME_RETRY, UNSURE, "request_timeout"},
		{425, "", "", OUTCOME_RETRY, SURE, "too_early"},
		{429, "", "", OUTCOME_RETRY, SURE, "rate_limited"},
		{429, "REQUEST_LIMIT_EXCEEDED", "slow down", OUTCOME_RETRY, SURE, "rate_limited"},
		{429, "RESOURCE_EXHAUSTED", "", OUTCOME_RETRY, SURE, "rate_limited"},
		{500, "INTERNAL_ERROR", "", OUTCOME_RETRY, UNSURE, "server_error"},
		{500, "", "Invalid access token.", OUTCOME_RETRY, UNSURE, "server_error"},
		{502, "", "", OUTCOME_RETRY, UNSURE, "server_error"},
		{503, "TEMPORARILY_UNAVAILABLE", "", OUTCOME_RETRY, UNSURE, "server_error"},
		{504, "DEADLINE_EXCEEDED", "", OUTCOME_RETRY, UNSURE, "server_error"},
		{599, "", "", OUTCOME_RETRY, UNSURE, "server_error"},
		{400, "COULD_NOT_ACQUIRE_LOCK", "", OUTCOME_RETRY, UNSURE, "transient"},
		{409, "ABORTED", "", OUTCOME_RETRY, UNSURE, "transient"},
		{499, "CANCELLED", "", OUTCOME_RETRY, UNSURE, "transient"},
		{499, "", "", OUTCOME_RETRY, UNSURE, "transient"},
		{400, "REQUEST_LIMIT_EXCEEDED", "", OUTCOME_RETRY, SURE, "rate_limited"},
		{403, "RESOURCE_EXHAUSTED", "", OUTCOME_RETRY, SURE, "rate_limited"},
		{400, "QUOTA_EXCEEDED", "", OUTCOME_RETRY, SURE, "rate_limited"},
		{400, "429", "", OUTCOME_RETRY, SURE, "rate_limited"},
		{400, "", "REQUEST_LIMIT_EXCEEDED: try later", OUTCOME_RETRY, SURE, "rate_limited"},
		{400, "", "RPC token bucket limit has been exceeded", OUTCOME_RETRY, SURE, "rate_limited"},
		{400, "", "GetUserPermissionsRequest RPC token bucket limit has been exceeded.",
			OUTCOME_RETRY, SURE, "rate_limited"},
		{400, "INVALID_STATE",
			"There were already 1000 jobs created in past 3600 seconds, exceeding rate limit: "
			"1000 job creations per 3600 seconds.",
			OUTCOME_RETRY, SURE, "rate_limited"},
		{600, "", "", OUTCOME_RETRY, UNSURE, "unexpected_status"},
		{101, "", "", OUTCOME_RETRY, UNSURE, "unexpected_status"},
		{0, "", "", OUTCOME_RETRY, UNSURE, "unexpected_status"},
		{-1, "", "", OUTCOME_RETRY, UNSURE, "unexpected_status"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void transient_texts_of_the_official_clients(void **state)
{
	static const char *const texts[] = {
		"com.databricks.backend.manager.util.UnknownWorkerEnvironmentException: x",
		"com.databricks.rpc.UnknownRemoteException: Remote exception occurred: "
		"com.databricks.backend.manager.util.UnknownWorkerEnvironmentException: x",
		"Delegate unexpected exception during listing node types: "
		"com.databricks.backend.manager.util.UnknownWorkerEnvironmentException: Unknown worker "
		"environment WorkerEnvId(workerenv-3375316063940170)",
		"Workspace 1 does not have any associated worker environments",
		"There is no worker environment with id 7",
		"Unknown worker environment workerenv-7",
		"ClusterNotReadyException",
		"com.databricks.backend.manager.ClusterNotReadyException: x",
		"worker env WorkerEnvId(workerenv-12345) not found",
		"Timed out after 15 seconds",
		"context deadline exceeded",
		"deadline exceeded",
		"connection reset by peer",
		"TLS handshake timeout",
		"connection refused",
		"i/o timeout",
		"Unexpected error while handling request",
		"The service at this URL is taking too long to process your request. Please try again later "
		"or try a faster operation.",
		"Please try again later or try a faster operation.",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct row rows[] = {
			{400, "", texts[i], OUTCOME_RETRY, UNSURE, "transient"},
			{400, "INVALID_STATE", texts[i], OUTCOME_RETRY, UNSURE, "transient"},
			{404, "", texts[i], OUTCOME_RETRY, UNSURE, "transient"},
		};

		check_rows(rows, ARRAY_SIZE(rows));
	}
}

/* Seen so in the wild. */
static void a_missing_worker_is_told_as_a_wrong_parameter(void **state)
{
	static const struct row rows[] = {
		{400, "INVALID_PARAMETER_VALUE",
			"Delegate unexpected exception during listing node types: "
			"com.databricks.backend.manager.util.UnknownWorkerEnvironmentException: x",
			OUTCOME_RETRY, UNSURE, "transient"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void the_credential(void **state)
{
	static const struct row rows[] = {
		{401, "", "", OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{401, "401", "Token is expired", OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{403, "403", "Invalid access token.", OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{403, "403", "Invalid access token. [ReqId: 145ae51b]", OUTCOME_CREDENTIAL, SURE,
			"credential_refused"},
		{403, "", "Token is expiring within 30 seconds. (token expired)", OUTCOME_CREDENTIAL, SURE,
			"credential_refused"},
		{403, "", "Credential was not sent or was of an unsupported type for this API.",
			OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{403, "403", "Invalid access to Org: 1234567890123456", OUTCOME_CREDENTIAL, SURE,
			"credential_refused"},
		{400, "400", "io.jsonwebtoken.ExpiredJwtException: JWT expired at 2025-01-01",
			OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{400, "400", "io.jsonwebtoken.IncorrectClaimException: Expected iss claim to be: x",
			OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{400, "", "ExpiredJwtException", OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{400, "", "The Token Is Expired", OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{400, "", "Invalid access token", OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{400, "401", "", OUTCOME_CREDENTIAL, SURE, "credential_refused"},
		{400, "UNAUTHENTICATED", "", OUTCOME_CREDENTIAL, SURE, "credential_refused"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void the_job(void **state)
{
	static const struct row rows[] = {
		{403, "PERMISSION_DENIED",
			"User token-bot does not have Manage Run or Owner or Admin permissions on job 5",
			OUTCOME_JOB, SURE, "job_forbidden"},
		{403, "PERMISSION_DENIED", "no", OUTCOME_JOB, SURE, "job_forbidden"},
		{403, "FEATURE_DISABLED", "", OUTCOME_JOB, SURE, "job_forbidden"},
		{400, "FEATURE_DISABLED", "", OUTCOME_JOB, SURE, "job_forbidden"},
		{403, "", "", OUTCOME_JOB, SURE, "job_forbidden"},
		{404, "RESOURCE_DOES_NOT_EXIST", "", OUTCOME_JOB, SURE, "job_missing"},
		{404, "", "Not Found", OUTCOME_JOB, SURE, "job_missing"},
		{400, "RESOURCE_DOES_NOT_EXIST", "", OUTCOME_JOB, SURE, "job_missing"},
		{400, "INVALID_PARAMETER_VALUE", "Job 418823550071934 does not exist.", OUTCOME_JOB, SURE,
			"job_missing"},
		{400, "", "Job 1 does not exist.", OUTCOME_JOB, SURE, "job_missing"},
		{400, "INVALID_PARAMETER_VALUE", "Job 7 does not define the parameter 'pfad'.", OUTCOME_JOB,
			SURE, "parameter_undefined"},
		{400, "INVALID_PARAMETER_VALUE",
			"Job 7 defines job parameters and can not be run with python_params.", OUTCOME_JOB,
			SURE, "parameter_undefined"},
		{400, "INVALID_PARAMETER_VALUE",
			"job_parameters can not be used in combination with notebook_params", OUTCOME_JOB,
			SURE, "parameter_undefined"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void not_the_jobs_api(void **state)
{
	static const struct row rows[] = {
		{302, "private-link-validation-error", "", OUTCOME_UNREACHABLE, SURE, "private_link"},
		{302, "", "redirects are not followed", OUTCOME_UNREACHABLE, UNSURE, "redirected"},
		{301, "", "", OUTCOME_UNREACHABLE, UNSURE, "redirected"},
		{307, "", "", OUTCOME_UNREACHABLE, UNSURE, "redirected"},
		{399, "", "", OUTCOME_UNREACHABLE, UNSURE, "redirected"},
		{407, "", "", OUTCOME_UNREACHABLE, SURE, "proxy_refused"},
		{404, "ENDPOINT_NOT_FOUND", "No API found for 'POST /jobs/run-now'", OUTCOME_UNREACHABLE,
			SURE, "no_jobs_api"},
		{404, "", "No API found for 'POST /api/9.9/jobs/run-now'", OUTCOME_UNREACHABLE, SURE,
			"no_jobs_api"},
		{405, "", "Method Not Allowed", OUTCOME_UNREACHABLE, SURE, "no_jobs_api"},
		{501, "NOT_IMPLEMENTED", "", OUTCOME_UNREACHABLE, SURE, "no_jobs_api"},
		{403, "403", "Source IP address: 1.2.3.4 is blocked by Databricks IP ACL for workspace: 1",
			OUTCOME_UNREACHABLE, SURE, "address_blocked"},
		{400, "", "400 No required SSL certificate was sent", OUTCOME_UNREACHABLE, SURE,
			"client_certificate_refused"},
		{400, "", "400 The SSL certificate error", OUTCOME_UNREACHABLE, SURE,
			"client_certificate_refused"},
		/* a file of that name, quoted by the service */
		{400, "INVALID_PARAMETER_VALUE", "cannot take 400 The SSL certificate error", OUTCOME_DEAD,
			SURE, "bad_request"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void this_request_can_never_succeed(void **state)
{
	static const struct row rows[] = {
		{400, "INVALID_PARAMETER_VALUE", "bad", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "MALFORMED_REQUEST", "Could not parse request object", OUTCOME_DEAD, SURE,
			"bad_request"},
		{400, "", "", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "400", "Bad Request", OUTCOME_DEAD, SURE, "bad_request"},
		{402, "", "", OUTCOME_DEAD, SURE, "refused"},
		{409, "ALREADY_EXISTS", "", OUTCOME_DEAD, UNSURE, "conflict"},
		{410, "", "", OUTCOME_DEAD, SURE, "refused"},
		{413, "", "", OUTCOME_DEAD, SURE, "request_too_large"},
		{415, "", "", OUTCOME_DEAD, SURE, "refused"},
		{498, "", "", OUTCOME_DEAD, SURE, "refused"},
		{400, "INVALID_PARAMETER_VALUE", "The run of idempotency_token 'ab' was deleted.",
			OUTCOME_DEAD, UNSURE, "token_refused"},
		{400, "", "Idempotency token has expired", OUTCOME_DEAD, UNSURE, "token_refused"},
		{404, "RESOURCE_DOES_NOT_EXIST", "Run with idempotency token ab does not exist", OUTCOME_DEAD,
			UNSURE, "token_refused"},
		{409, "", "idempotency token in use", OUTCOME_DEAD, UNSURE, "token_refused"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

/* The service may quote a file name; a file may be called anything. */
static void a_file_name_decides_nothing(void **state)
{
	static const char *const names[] = {
		"access token.csv",
		"ExpiredJwtException",
		"credential",
		"Job 5 does not exist",
		"Job 5 does not define the parameter",
		"job_parameters can not be used in combination with x",
		"Unknown job parameter",
		"permission on job",
		"exceeding rate limit.csv",
		"There were already 5 jobs created in past 3600 seconds, exceeding rate limit",
		"REQUEST_LIMIT_EXCEEDED",
		"RPC token bucket limit has been exceeded",
		"a RPC token bucket limit has been exceeded",
		"Delegate unexpected exception during UnknownWorkerEnvironmentException",
		"com.databricks.UnknownWorkerEnvironmentException",
		"Workspace 1 does not have any associated worker environments",
		"There is no worker environment with id",
		"Unknown worker environment",
		"ClusterNotReadyException",
		"worker env 1 not found",
		"Timed out after 1.csv",
		"context deadline exceeded",
		"connection reset by peer",
		"TLS handshake timeout",
		"connection refused",
		"i/o timeout",
		"Unexpected error.csv",
		"Please try again later or try a faster operation",
		"The service at x is taking too long to process your request",
	};

	(void)state;
	for (size_t i = 0; i < 3 * ARRAY_SIZE(names); i++) {
		const char *name = names[i / 3];
		CLEANUP_FREE char *message = i % 3 == 0	  ? mem_printf("The value '/in/%s' is bad", name)
					     : i % 3 == 1 ? mem_printf("path: value %s is bad", name)
							  : mem_printf("/Volumes/in/%s is bad", name);
		const struct row rows[] = {
			{400, "INVALID_PARAMETER_VALUE", message, OUTCOME_DEAD, SURE, "bad_request"},
			{400, "MALFORMED_REQUEST", message, OUTCOME_DEAD, SURE, "bad_request"},
		};

		check_rows(rows, ARRAY_SIZE(rows));
	}
}

/* Neither where there is no code: at the start stands what the service says itself. The texts about
 * credentials are looked for in all of it, since they came in many ways. */
static void nor_without_a_code(void **state)
{
	static const struct row rows[] = {
		{400, "", "path: exceeding rate limit.csv is bad", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "", "/in/REQUEST_LIMIT_EXCEEDED is bad", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "", "/in/a RPC token bucket limit has been exceeded", OUTCOME_DEAD, SURE,
			"bad_request"},
		{400, "", "/in/Timed out after 1.csv is bad", OUTCOME_DEAD, SURE, "bad_request"},
		{422, "", "'/in/Unexpected error.csv' is bad", OUTCOME_DEAD, SURE, "refused"},
		{404, "", "/in/connection refused", OUTCOME_JOB, SURE, "job_missing"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

static void patterns_stop_at_the_end(void **state)
{
	static const struct row rows[] = {
		{400, "INVALID_PARAMETER_VALUE", "Job ", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "INVALID_PARAMETER_VALUE", "Job  does not exist", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "INVALID_PARAMETER_VALUE", "Job x5 does not exist", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "INVALID_PARAMETER_VALUE", "Job 5", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "", "worker env ", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "", "worker env not found", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "", "worker env  not found", OUTCOME_RETRY, UNSURE, "transient"},
		{400, "", "worker env 1 2 not not found", OUTCOME_RETRY, UNSURE, "transient"},
		{400, "", "Timed out afte", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "", " RPC token bucket limit has been exceeded", OUTCOME_DEAD, SURE, "bad_request"},
		{400, "", "a1 RPC token bucket limit has been exceeded", OUTCOME_DEAD, SURE, "bad_request"},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
}

/* doc/outcomes.md, in lower case. */
static int read_page(struct buf *page)
{
	const char *top = getenv("BW_TOP");
	CLEANUP_FREE char *path = top ? fs_join(top, "doc/outcomes.md") : NULL;

	if (!path)
		return -1;
	assert_int_equal(fs_read_file(path, 1024 * 1024, page, NULL), 0);
	for (size_t i = 0; i < page->len; i++)
		page->data[i] = (char)tolower((unsigned char)page->data[i]);
	return 0;
}

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* The words are a promise, and doc/outcomes.md is where it is given: kind, certainty, codes and texts. */
static void the_page_has_every_rule(void **state)
{
	CLEANUP_BUF struct buf page = BUF_INIT(1024 * 1024);
	struct outcome_rule r;

	(void)state;
	if (read_page(&page) < 0)
		skip();
	for (size_t i = 0; i < page.len; i++)
		if (page.data[i] == '\n')
			page.data[i] = ' '; /* texts go on in the next line */
	for (size_t i = 0; outcome_rule_at(i, &r); i++) {
		CLEANUP_FREE char *row = mem_printf("| `%s` | %s | %s |", r.outcome.reason,
			outcome_kind_name(r.outcome.kind), r.outcome.sure_not_started ? "yes" : "no");
		CLEANUP_FREE char *code = mem_strdup(r.code ? r.code : "");
		CLEANUP_FREE char *text = mem_strdup(r.text ? r.text : "");

		lower(code);
		lower(text);
		if (!strstr(buf_str(&page), row))
			fail_msg("doc/outcomes.md lacks: %s", row);
		if (!strstr(buf_str(&page), code))
			fail_msg("doc/outcomes.md lacks the code %s (%s)", r.code, r.outcome.reason);
		for (char *save = NULL, *p = strtok_r(text, "^*#@", &save); p;
			p = strtok_r(NULL, "^*#@", &save)) {
			p += strspn(p, " ");
			if (strlen(p) > 0 && p[strlen(p) - 1] == ' ')
				p[strlen(p) - 1] = '\0';
			if (!strstr(buf_str(&page), p))
				fail_msg("doc/outcomes.md lacks the text \"%s\" (%s)", p, r.outcome.reason);
		}
	}
}

static bool is_a_rule(const char *reason, size_t len, const char *kind, bool sure)
{
	struct outcome_rule r;

	for (size_t i = 0; outcome_rule_at(i, &r); i++)
		if (strlen(r.outcome.reason) == len && strncmp(r.outcome.reason, reason, len) == 0 &&
			strncmp(kind, outcome_kind_name(r.outcome.kind),
				strlen(outcome_kind_name(r.outcome.kind))) == 0 &&
			r.outcome.sure_not_started == sure)
			return true;
	return false;
}

/* And no row of its own: lines of the form | `reason` | kind | yes | … */
static void the_page_has_no_other_rule(void **state)
{
	CLEANUP_BUF struct buf page = BUF_INIT(1024 * 1024);
	size_t rows = 0;

	(void)state;
	if (read_page(&page) < 0)
		skip();
	for (const char *p = buf_str(&page); (p = strstr(p, "\n| `")); p++) {
		const char *reason = p + 4, *end = strchr(reason, '`');
		const char *kind = end ? end + strlen("` | ") : NULL,
			   *sure = kind ? strstr(kind, " | ") : NULL;

		if (!sure || (strncmp(sure, " | yes |", 8) != 0 && strncmp(sure, " | no |", 7) != 0))
			continue;
		rows++;
		if (!is_a_rule(reason, (size_t)(end - reason), kind, sure[3] == 'y'))
			fail_msg("doc/outcomes.md has a row that is no rule: %.60s", p + 1);
	}
	assert_true(rows > 20);
}

static void dead_letters_that_may_have_a_run(void **state)
{
	(void)state;
	assert_true(outcome_may_have_run("outcome_unknown"));
	assert_true(outcome_may_have_run("conflict"));
	assert_false(outcome_may_have_run("token_refused"));
	assert_false(outcome_may_have_run("bad_request"));
}

static void kinds_have_names(void **state)
{
	(void)state;
	assert_string_equal(outcome_kind_name(OUTCOME_STARTED), "started");
	assert_string_equal(outcome_kind_name(OUTCOME_RETRY), "retry");
	assert_string_equal(outcome_kind_name(OUTCOME_CREDENTIAL), "credential");
	assert_string_equal(outcome_kind_name(OUTCOME_JOB), "job");
	assert_string_equal(outcome_kind_name(OUTCOME_DEAD), "dead");
	assert_string_equal(outcome_kind_name(OUTCOME_UNREACHABLE), "unreachable");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_an_answer),
		cmocka_unit_test(success_needs_a_run_id),
		cmocka_unit_test(trouble_and_overload_are_tried_again),
		cmocka_unit_test(transient_texts_of_the_official_clients),
		cmocka_unit_test(a_missing_worker_is_told_as_a_wrong_parameter),
		cmocka_unit_test(the_credential),
		cmocka_unit_test(the_job),
		cmocka_unit_test(not_the_jobs_api),
		cmocka_unit_test(this_request_can_never_succeed),
		cmocka_unit_test(a_file_name_decides_nothing),
		cmocka_unit_test(nor_without_a_code),
		cmocka_unit_test(patterns_stop_at_the_end),
		cmocka_unit_test(the_page_has_every_rule),
		cmocka_unit_test(the_page_has_no_other_rule),
		cmocka_unit_test(dead_letters_that_may_have_a_run),
		cmocka_unit_test(kinds_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
