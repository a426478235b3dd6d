#include "dispatch/jobs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/text.h"
#include "core/request.h"
#include "tiny_server.h"

#define S_TO_US(s) (INT64_C(1000000) * (s))
#define PATIENCE_S 60

static char folder[64], token_path[128], host[64];
static struct conf_workspace conf;
static struct loop *loop;
static struct jobs *jobs;
static struct tiny server;

static struct {
	int calls;
	void *tag;
	struct outcome outcome;
	int64_t run_id;
	int http_status;
	char error_code[128];
	char message[1024];
	int64_t retry_after_us;
	char principal[32];
} got;

static void on_answer(void *tag, const struct jobs_answer *a, void *arg)
{
	assert_ptr_equal(arg, &got);
	got.calls++;
	got.tag = tag;
	got.outcome = a->outcome;
	got.run_id = a->run_id;
	got.http_status = a->http_status;
	got.retry_after_us = a->retry_after_us;
	snprintf(got.error_code, sizeof(got.error_code), "%s", a->error_code);
	snprintf(got.message, sizeof(got.message), "%s", a->message);
	snprintf(got.principal, sizeof(got.principal), "%s", a->principal);
}

static void write_token(const char *token, mode_t mode)
{
	int fd = open(token_path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, token, strlen(token)), strlen(token));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int set_up(void **state)
{
	(void)state;
	alarm(PATIENCE_S);
	memset(&got, 0, sizeof(got));
	server = (struct tiny){.pid = -1};
	snprintf(folder, sizeof(folder), "/tmp/test_jobs.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(token_path, sizeof(token_path), "%s/token", folder);
	write_token("dapi-token-one\n", 0600);
	conf = (struct conf_workspace){.host = host,
		.host_token = host,
		.auth = CONF_AUTH_TOKEN,
		.token_file = token_path,
		.api_version = (char *)"2.2",
		.connect_timeout_us = S_TO_US(5),
		.request_timeout_us = S_TO_US(10),
		.max_requests = 2};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	jobs_free(jobs);
	loop_free(loop);
	jobs = NULL;
	loop = NULL;
	if (server.pid > 0)
		tiny_stop(&server);
	unlink(token_path);
	rmdir(folder);
	alarm(0);
	return 0;
}

static void open_jobs(int port)
{
	struct err err = ERR_INIT;

	snprintf(host, sizeof(host), "http://127.0.0.1:%d", port);
	loop = loop_new(&err);
	assert_non_null(loop);
	jobs = jobs_new_in(loop, &conf, NULL, on_answer, &got, &err);
	if (jobs == NULL)
		fail_msg("%s", err.text);
}

static void start(tiny_fn answer)
{
	server = (struct tiny){.answer = answer};
	assert_true(tiny_start(&server));
	open_jobs(server.port);
}

static void wait_for(int calls)
{
	struct err err = ERR_INIT;

	while (got.calls < calls)
		assert_int_equal(loop_run_once(loop, -1, &err), 0);
}

static void run_now(const char *body)
{
	struct err err = ERR_INIT;
	int tag;

	assert_int_equal(jobs_run_now(jobs, body, strlen(body), &tag, &err), 0);
	assert_int_equal(jobs_in_flight(jobs), 1);
	wait_for(got.calls + 1);
	assert_ptr_equal(got.tag, &tag);
	assert_int_equal(jobs_in_flight(jobs), 0);
}

static const char *body_of(const char *request)
{
	return strstr(request, "\r\n\r\n") + 4;
}

/* ---- started ---- */

/* The answer's body is the request's body. */
static enum tiny_next echo(const struct tiny_request *q)
{
	static char body[4096];

	snprintf(body, sizeof(body), "%.*s", (int)(q->text + q->len - body_of(q->text)), body_of(q->text));
	return tiny_reply(q, "200 OK", "Content-Type: application/json\r\n", body);
}

static void started_with_the_exact_id(void **state)
{
	static const struct {
		const char *body;
		int64_t id;
	} rows[] = {
		{"{\"run_id\":8787654321987654321,\"number_in_job\":8787654321987654321}",
			INT64_C(8787654321987654321)},
		{"{\"run_id\":1234567890123450,\"number_in_job\":1234567890123450}",
			INT64_C(1234567890123450)},
		{"{\"run_id\":\"4503599627370501\"}", INT64_C(4503599627370501)},
	};

	(void)state;
	start(echo);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		run_now(rows[i].body);
		assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
		assert_true(got.run_id == rows[i].id);
		assert_int_equal(got.http_status, 200);
		assert_string_equal(got.error_code, "");
		assert_string_equal(got.message, "");
		assert_string_equal(got.principal, "token");
	}

	const char *seen = server.seen->last;

	assert_ptr_equal(strstr(seen, "POST /api/2.2/jobs/run-now HTTP/1.1\r\n"), seen);
	assert_non_null(strstr(seen, "\r\nAuthorization: Bearer dapi-token-one\r\n"));
	assert_non_null(strstr(seen, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(seen, "\r\nAccept: application/json\r\n"));
	assert_string_equal(body_of(seen), "{\"run_id\":\"4503599627370501\"}");
}

static void the_body_is_copied(void **state)
{
	char body[] = "{\"run_id\":77}";
	struct err err = ERR_INIT;

	(void)state;
	start(echo);
	assert_int_equal(jobs_run_now(jobs, body, strlen(body), NULL, &err), 0);
	memset(body, 'x', sizeof(body));
	wait_for(1);
	assert_int_equal(got.run_id, 77);
}

static void success_without_a_run_id(void **state)
{
	static const char *const bodies[] = {
		"{}", "{\"run_id\":0}", "<html><title>Please sign in</title></html>", "", "{\"run_id\":5"};

	(void)state;
	start(echo);
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		run_now(bodies[i]);
		assert_int_equal(got.outcome.kind, OUTCOME_RETRY);
		assert_false(got.outcome.sure_not_started);
		assert_string_equal(got.outcome.reason, "no_run_id");
		assert_int_equal(got.run_id, 0);
		assert_non_null(strstr(got.message, "without a usable run_id"));
		if (i == 2)
			assert_non_null(strstr(got.message, "Please sign in"));
	}
}

/* ---- errors: each request takes the next row ---- */

static const struct {
	const char *status, *lines, *body;
	enum outcome_kind kind;
	const char *reason, *code, *message;
} error_rows[] = {
	{"429 Too Many Requests", "Retry-After: 7\r\n",
		"{\"error_code\":\"REQUEST_LIMIT_EXCEEDED\",\"message\":\"slow\"}", OUTCOME_RETRY,
		"rate_limited", "REQUEST_LIMIT_EXCEEDED", "slow"},
	{"503 Service Unavailable", "", "", OUTCOME_RETRY, "server_error", "", "Service Unavailable"},
	{"502 Bad Gateway", "", "<html><title>502 nginx</title></html>", OUTCOME_RETRY, "server_error", "",
		"502 nginx"},
	{"504 ", "", "", OUTCOME_RETRY, "server_error", "", "HTTP 504"},
	{"400 Bad Request", "",
		"{\"error_code\":\"INVALID_PARAMETER_VALUE\",\"message\":\"Job 5 does not exist.\"}",
		OUTCOME_JOB, "job_missing", "INVALID_PARAMETER_VALUE", "Job 5 does not exist."},
	{"400 Bad Request", "", "MALFORMED_REQUEST: not what we want", OUTCOME_DEAD, "bad_request",
		"MALFORMED_REQUEST", "not what we want"},
	{"400 Bad Request", "", "COULD_NOT_ACQUIRE_LOCK: busy", OUTCOME_RETRY, "transient",
		"COULD_NOT_ACQUIRE_LOCK", "busy"},
	{"403 Forbidden", "X-Databricks-Reason-Phrase: No rights here\r\n", "", OUTCOME_JOB, "job_forbidden",
		"", "No rights here"},
	{"302 Found", "Location: https://x/login.html?error=private-link-validation-error:7\r\n", "",
		OUTCOME_UNREACHABLE, "private_link", "private-link-validation-error",
		"the workspace takes requests from its private network only (private link), and this host is "
		"not in it (HTTP 302 "
		"to https://x/login.html?error=private-link-validation-error:7)"},
	{"303 See Other", "", "", OUTCOME_UNREACHABLE, "redirected", "",
		"redirects are not followed (HTTP 303 to )"},
	{"400 Bad Request", "", "{\"message\":\"a\\u001b[31mb\\u0007\\u009b\"}", OUTCOME_DEAD, "bad_request",
		"", "a\\x1b[31mb\\x07\\xc2\\x9b"},
	{"400 Bad Request", "", "bytes \xff\xfe", OUTCOME_DEAD, "bad_request", "", "bytes \\xff\\xfe"},
};

static enum tiny_next next_error(const struct tiny_request *q)
{
	size_t i = (size_t)q->number - 1;

	return tiny_reply(q, error_rows[i].status, error_rows[i].lines, error_rows[i].body);
}

static void errors_in_every_shape(void **state)
{
	(void)state;
	start(next_error);
	for (size_t i = 0; i < ARRAY_SIZE(error_rows); i++) {
		run_now("{}");
		if (got.outcome.kind != error_rows[i].kind ||
			strcmp(got.outcome.reason, error_rows[i].reason) != 0 ||
			strcmp(got.error_code, error_rows[i].code) != 0 ||
			strcmp(got.message, error_rows[i].message) != 0)
			fail_msg("%zu: %s %s \"%s\" \"%s\"", i, outcome_kind_name(got.outcome.kind),
				got.outcome.reason, got.error_code, got.message);
		assert_int_equal(got.http_status, strtol(error_rows[i].status, NULL, 10));
		assert_int_equal(got.retry_after_us, i == 0 ? S_TO_US(7) : 0);
	}
	assert_int_equal(server.seen->requests, ARRAY_SIZE(error_rows)); /* none was sent twice */
}

static enum tiny_next much_to_say(const struct tiny_request *q)
{
	static char body[100001];

	for (size_t i = 0; i + 4 < sizeof(body); i += 2)
		memcpy(body + i, "\xc3\xa4", 3);
	return tiny_reply(q, "400 Bad Request", "", body);
}

static void messages_are_bounded(void **state)
{
	(void)state;
	start(much_to_say);
	run_now("{}");
	assert_in_range(strlen(got.message), 490, 500);
	assert_true(text_is_utf8(got.message, strlen(got.message)));
}

/* ---- the credential ---- */

static enum tiny_next only_token_two(const struct tiny_request *q)
{
	if (strstr(q->text, "\r\nAuthorization: Bearer dapi-token-two\r\n") == NULL)
		return tiny_reply(
			q, "403 Forbidden", "", "{\"error_code\":403,\"message\":\"Invalid access token.\"}");
	return echo(q);
}

static void refused_credential_is_read_again_once(void **state)
{
	(void)state;
	start(only_token_two);
	write_token("dapi-token-two", 0600);
	run_now("{\"run_id\":5}");
	assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
	assert_int_equal(got.run_id, 5);
	assert_int_equal(server.seen->requests, 2);
	assert_string_equal(body_of(server.seen->last), "{\"run_id\":5}"); /* the same bytes */
	run_now("{\"run_id\":6}");					   /* and the new one is kept */
	assert_int_equal(server.seen->requests, 3);
}

static void several_refused_together_all_get_the_new_one(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	server = (struct tiny){.answer = only_token_two};
	assert_true(tiny_start(&server));
	open_jobs(server.port);
	for (int i = 0; i < 6; i++)
		assert_int_equal(jobs_run_now(jobs, "{\"run_id\":5}", 12, NULL, &err), 0);
	write_token("dapi-token-two", 0600);
	wait_for(6);
	assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
	assert_in_range(server.seen->requests, 7, 12);
}

static void refusal_that_persists_is_told(void **state)
{
	(void)state;
	start(only_token_two);
	run_now("{\"run_id\":5}");
	assert_int_equal(got.outcome.kind, OUTCOME_CREDENTIAL);
	assert_string_equal(got.error_code, "403");
	assert_string_equal(got.message, "Invalid access token.");
	assert_int_equal(got.http_status, 403);
	assert_int_equal(server.seen->requests, 2); /* once more, not for ever */
	run_now("{\"run_id\":5}");
	assert_int_equal(server.seen->requests, 4);
}

static void credential_that_cannot_be_read_again(void **state)
{
	(void)state;
	start(only_token_two);
	write_token("dapi-token-two", 0644);
	run_now("{\"run_id\":5}");
	assert_int_equal(got.outcome.kind, OUTCOME_CREDENTIAL);
	assert_int_equal(server.seen->requests, 1);
	assert_non_null(strstr(got.message, "Invalid access token.; "));
	assert_non_null(strstr(got.message, "chmod 600 "));
	write_token("dapi-token-two", 0600);
	run_now("{\"run_id\":5}");
	assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
}

static enum tiny_next once_unauthorized(const struct tiny_request *q)
{
	return q->number == 1 ? tiny_reply(q, "401 Unauthorized", "", "")
			      : tiny_reply(q, "429 Too Many", "", "");
}

static void the_second_answer_counts(void **state)
{
	(void)state;
	start(once_unauthorized);
	run_now("{}");
	assert_int_equal(got.outcome.kind, OUTCOME_RETRY);
	assert_int_equal(got.http_status, 429);
	assert_int_equal(server.seen->requests, 2);
}

static enum tiny_next forbidden_without_words(const struct tiny_request *q)
{
	if (strstr(q->text, "dapi-token-two") != NULL)
		return echo(q);
	return tiny_reply(q, "403 Forbidden", "", "");
}

static void forbidden_is_tried_with_another_credential_only(void **state)
{
	(void)state;
	start(forbidden_without_words);
	run_now("{\"run_id\":5}");
	assert_int_equal(got.outcome.kind, OUTCOME_JOB);
	assert_int_equal(server.seen->requests, 1);
	write_token("dapi-token-two", 0600);
	run_now("{\"run_id\":5}");
	assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
	assert_int_equal(server.seen->requests, 3);
}

static enum tiny_next shows_the_request(const struct tiny_request *q)
{
	char body[4096];

	snprintf(body, sizeof(body), "Bad request: %.*s", (int)q->len, q->text);
	return tiny_reply(q, "400 Bad Request", "", body);
}

static void a_server_that_shows_the_request_tells_nothing(void **state)
{
	(void)state;
	start(shows_the_request);
	run_now("{}");
	assert_non_null(strstr(got.message, "Authorization: Bearer ****"));
	assert_null(strstr(got.message, "dapi"));
	assert_null(strstr(got.message, "token-one"));
}

static const char *const told_as_code[] = {
	"{\"error_code\":\"dapi-token-one\",\"message\":\"no\"}",
	"{\"errorCode\":\"was-dapi-token-one\",\"errorSummary\":\"no\"}",
	"{\"scimType\":\"dapi-token-one\",\"detail\":\"no\"}",
	"{\"error\":{\"code\":\"dapi-token-one\",\"message\":\"no\"}}",
	"{\"error\":\"dapi-token-one\",\"error_description\":\"no\"}",
	"{\"message\":\"no\",\"details\":[{\"reason\":\"dapi-token-one\"}]}",
	"{\"error_code\":\"\\u0064api-token-one\",\"message\":\"no\"}",
};
static size_t code_now;

static enum tiny_next tell_as_code(const struct tiny_request *q)
{
	return tiny_reply(q, "400 Bad Request", "", told_as_code[code_now]);
}

static void a_code_is_no_place_for_the_credential(void **state)
{
	for (code_now = 0; code_now < ARRAY_SIZE(told_as_code); code_now++) {
		start(tell_as_code);
		run_now("{}");
		assert_string_equal(got.message, "no");
		assert_non_null(strstr(got.error_code, "**************"));
		assert_null(strstr(got.error_code, "token-one"));
		tear_down(state);
		assert_int_equal(set_up(state), 0);
	}
}

static void on_page(const struct jobs_page *page, void *arg)
{
	assert_ptr_equal(arg, &got);
	got.calls++;
	snprintf(got.message, sizeof(got.message), "%s", page->body);
	assert_int_equal(page->body_len, strlen(page->body));
}

static enum tiny_next tell_as_name(const struct tiny_request *q)
{
	return tiny_reply(q, "200 OK", "", "{\"name\":\"dapi-token-one\",\"n\":1}");
}

static void nor_is_the_name_of_a_job(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	start(tell_as_name);
	assert_int_equal(jobs_get(jobs, "/api/2.2/jobs/get?job_id=1", on_page, &got, &err), 0);
	wait_for(1);
	assert_string_equal(got.message, "{\"name\":\"**************\",\"n\":1}");
}

static void what_systemd_handed_over_needs_a_restart(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	server = (struct tiny){.answer = only_token_two};
	assert_true(tiny_start(&server));
	snprintf(host, sizeof(host), "http://127.0.0.1:%d", server.port);
	loop = loop_new(&err);
	conf.token_file = (char *)"credential:token";
	jobs = jobs_new_in(loop, &conf, folder, on_answer, &got, &err);
	assert_non_null(jobs);
	run_now("{}");
	assert_int_equal(got.outcome.kind, OUTCOME_CREDENTIAL);
	assert_non_null(strstr(got.message, "Invalid access token.; systemd copied credential:token when the "
					    "service started: restart it after a change"));
}

/* ---- access tokens ---- */

/* Of a workspace that hands out access-1, access-2, and then no more. */
static int good_token;	     /* the number of the one it takes; set before the start */
static const char *no_token; /* status of the answer to who asks for one, or NULL */

static enum tiny_next hand_out_token(const struct tiny_request *q)
{
	static int n;
	char body[200];

	if (no_token != NULL || n == 2)
		return tiny_reply(q, no_token != NULL ? no_token : "500 No more", "",
			"{\"error\":\"invalid_client\",\"error_description\":\"No such client\"}");
	snprintf(body, sizeof(body), "{\"access_token\":\"access-%d\",\"expires_in\":3600}", ++n);
	return tiny_reply(q, "200 OK", "", body);
}

static enum tiny_next oauth_workspace(const struct tiny_request *q)
{
	char line[100];

	if (strncmp(q->text, "GET /oidc/", 10) == 0) {
		char body[200];
		const char *at = strstr(q->text, "\r\nHost: ") + 8;

		snprintf(body, sizeof(body), "{\"token_endpoint\":\"http://%.*s/oidc/v1/token\"}",
			(int)strcspn(at, "\r"), at);
		return tiny_reply(q, "200 OK", "", body);
	}
	if (strncmp(q->text, "POST /oidc/", 11) == 0)
		return hand_out_token(q);
	snprintf(line, sizeof(line), "\r\nAuthorization: Bearer access-%d\r\n", good_token);
	return strstr(q->text, line) != NULL
		       ? echo(q)
		       : tiny_reply(q, "401 Unauthorized", "", "{\"message\":\"Token is expired\"}");
}

static void start_oauth(int good, const char *refusal)
{
	good_token = good;
	no_token = refusal;
	conf.auth = CONF_AUTH_OAUTH_M2M;
	conf.client_id = (char *)"client-1";
	conf.client_secret_file = token_path;
	start(oauth_workspace);
}

static void an_access_token_is_asked_for_first(void **state)
{
	(void)state;
	start_oauth(1, NULL);
	run_now("{\"run_id\":5}");
	assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
	assert_string_equal(got.principal, "oauth-m2m:client-1");
	assert_int_equal(server.seen->requests, 3);
	run_now("{\"run_id\":6}");
	assert_int_equal(server.seen->requests, 4);
}

static void a_refused_token_is_renewed_once_for_all(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	start_oauth(2, NULL); /* the third would be refused */
	for (int i = 0; i < 20; i++)
		assert_int_equal(jobs_run_now(jobs, "{\"run_id\":5}", 12, NULL, &err), 0);
	wait_for(20);
	assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
	run_now("{\"run_id\":6}");
	assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
	assert_in_range(server.seen->requests, 2 + 1 + 2 + 21, 2 + 20 + 2 + 21);
}

static void a_token_that_stays_refused(void **state)
{
	(void)state;
	start_oauth(99, NULL);
	run_now("{}");
	assert_int_equal(got.outcome.kind, OUTCOME_CREDENTIAL);
	assert_string_equal(got.message, "Token is expired");
	assert_int_equal(got.http_status, 401);
	assert_int_equal(server.seen->requests, 2 + 1 + 2 + 1);
}

static void nobody_hands_out_a_token(void **state)
{
	static const struct {
		const char *status;
		enum outcome_kind kind;
		int http_status;
	} rows[] = {{"401 Unauthorized", OUTCOME_CREDENTIAL, 401}, {"503 Busy", OUTCOME_UNREACHABLE, 503}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start_oauth(1, rows[i].status);
		run_now("{}");
		assert_int_equal(got.outcome.kind, rows[i].kind);
		assert_true(got.outcome.sure_not_started);
		assert_int_equal(got.http_status, rows[i].http_status);
		assert_string_equal(got.error_code, "invalid_client");
		assert_non_null(strstr(got.message, "sign-in at http://127.0.0.1:"));
		assert_non_null(strstr(got.message, ": invalid_client: No such client"));
		assert_int_equal(server.seen->requests, 2); /* no run was asked for */
		tear_down(state);
		assert_int_equal(set_up(state), 0);
	}
}

static void refused_and_no_other_token_to_be_had(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	start_oauth(99, NULL);
	run_now("{}"); /* that was the second token */
	assert_int_equal(jobs_run_now(jobs, "{}", 2, NULL, &err), 0);
	wait_for(2);
	assert_int_equal(got.outcome.kind, OUTCOME_UNREACHABLE);
	assert_int_equal(got.http_status, 401);
	assert_ptr_equal(strstr(got.message, "Token is expired; sign-in at http://127.0.0.1:"), got.message);
}

/* ---- no answer ---- */

static enum tiny_next hang_up(const struct tiny_request *q)
{
	(void)q;
	return TINY_CLOSE;
}

static void lost_and_not_sent(void **state)
{
	(void)state;
	start(hang_up);
	run_now("{}");
	assert_int_equal(got.outcome.kind, OUTCOME_RETRY);
	assert_false(got.outcome.sure_not_started);
	assert_string_equal(got.outcome.reason, "no_answer");
	assert_int_equal(got.http_status, 0);
	assert_ptr_equal(strstr(got.message, host + strlen("http://")), got.message);

	tiny_stop(&server); /* now nobody listens */
	server.pid = -1;
	run_now("{}");
	assert_int_equal(got.outcome.kind, OUTCOME_UNREACHABLE);
	assert_true(got.outcome.sure_not_started);
	assert_int_equal(got.http_status, 0);
	assert_int_not_equal(got.message[0], '\0');
}

static enum tiny_next park(const struct tiny_request *q)
{
	(void)q;
	return TINY_PARK;
}

static void freeing_abandons(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	server = (struct tiny){.answer = park, .release = echo, .park_until = 99};
	assert_true(tiny_start(&server));
	open_jobs(server.port);
	for (int i = 0; i < 10; i++)
		assert_int_equal(jobs_run_now(jobs, "{}", 2, NULL, &err), 0);
	assert_int_equal(jobs_in_flight(jobs), 10);
	while (server.seen->requests < 2)
		assert_int_equal(loop_run_once(loop, 10000, &err), 0);
	assert_int_equal(server.seen->connections, 2); /* max_requests */
	jobs_free(jobs);
	jobs = NULL;
	assert_int_equal(loop_run_once(loop, 0, &err), 0);
	assert_int_equal(got.calls, 0);
	jobs_free(NULL);
}

/* ---- what cannot begin ---- */

static void too_large_a_body(void **state)
{
	char *body = mem_alloc(REQUEST_BODY_BYTES + 1);
	struct err err = ERR_INIT;

	(void)state;
	start(echo);
	assert_int_equal(jobs_run_now(jobs, body, REQUEST_BODY_BYTES + 1, NULL, &err), -EMSGSIZE);
	assert_int_equal(jobs_in_flight(jobs), 0);
	free(body);
}

static void host_that_must_not_be_asked(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	loop = loop_new(&err);
	conf.host = (char *)"http://example.com";
	jobs = jobs_new_in(loop, &conf, NULL, on_answer, &got, &err);
	assert_non_null(jobs);
	assert_int_equal(jobs_run_now(jobs, "{}", 2, NULL, &err), -EINVAL);
	assert_int_equal(jobs_in_flight(jobs), 0);
}

/* A run is started and its answer lost; what comes back is a refusal of the same request, sent by curl again.
 */
static enum tiny_next lose_then_refuse(const struct tiny_request *q)
{
	if (q->number == 1)
		return tiny_reply(q, "200 OK", "", "{\"run_id\":7}");
	return q->number == 2 ? TINY_CLOSE
			      : tiny_reply(q, "400 Bad Request", "",
					"{\"error_code\":\"INVALID_PARAMETER_VALUE\",\"message\":\"no\"}");
}

static void a_refusal_of_what_curl_sent_again_is_not_sure(void **state)
{
	(void)state;
	start(lose_then_refuse);
	run_now("{}");
	assert_int_equal(got.outcome.kind, OUTCOME_STARTED);
	run_now("{}");
	assert_int_equal(server.seen->requests, 3);
	assert_int_equal(got.outcome.kind, OUTCOME_DEAD);
	assert_false(got.outcome.sure_not_started);
	run_now("{}"); /* refused, on a kept connection, the first time */
	assert_int_equal(server.seen->requests, 4);
	assert_int_equal(got.outcome.kind, OUTCOME_DEAD);
	assert_true(got.outcome.sure_not_started);
}

static void without_a_credential(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	loop = loop_new(&err);
	unlink(token_path);
	assert_null(jobs_new_in(loop, &conf, NULL, on_answer, &got, &err));
	assert_int_equal(err.class, ERR_CONF);
	assert_non_null(strstr(err.text, token_path));
}

static void credential_of_systemd(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	loop = loop_new(&err);
	conf.host = (char *)"https://127.0.0.1:1";
	conf.token_file = (char *)"credential:token";
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	jobs = jobs_new(loop, &conf, on_answer, &got, &err);
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_non_null(jobs);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* ---- looking at a run ---- */

static struct {
	enum outcome_kind kind;
	enum fate fate;
	char code[64], message[600];
	int calls;
} told;

static void on_run(void *tag, const struct jobs_run *run, void *arg)
{
	assert_ptr_equal(tag, &told);
	assert_ptr_equal(arg, &got);
	told.kind = run->kind;
	told.fate = run->fate;
	snprintf(told.code, sizeof(told.code), "%s", run->code);
	snprintf(told.message, sizeof(told.message), "%s", run->message);
	told.calls++;
}

static void look_at(int64_t run_id)
{
	struct err err = ERR_INIT;
	int calls = told.calls;

	assert_int_equal(jobs_get_run(jobs, run_id, on_run, &told, &got, &err), 0);
	assert_int_equal(told.calls, calls);
	while (told.calls == calls)
		assert_int_equal(loop_run_once(loop, -1, &err), 0);
	assert_int_equal(jobs_in_flight(jobs), 0);
}

static enum tiny_next answer_run(const struct tiny_request *q)
{
	if (strstr(q->text, "run_id=9007199254740993 "))
		return tiny_reply(q, "200 OK", "",
			"{\"run_id\":9007199254740993,\"status\":{\"state\":\"TERMINATED\",\"termination_"
			"details\":"
			"{\"code\":\"MAX_CONCURRENT_RUNS_EXCEEDED\",\"message\":\"limit of 1\"}}}");
	if (strstr(q->text, "run_id=2 "))
		return tiny_reply(
			q, "200 OK", "", "{\"run_id\":2,\"state\":{\"life_cycle_state\":\"RUNNING\"}}");
	if (strstr(q->text, "run_id=3 ")) /* another run: nothing is believed of it */
		return tiny_reply(
			q, "200 OK", "", "{\"run_id\":4,\"state\":{\"life_cycle_state\":\"SKIPPED\"}}");
	if (strstr(q->text, "run_id=5 "))
		return tiny_reply(q, "503 Service Unavailable", "", "later");
	if (strstr(q->text, "run_id=6 ") && !strstr(q->text, "dapi-token-two"))
		return tiny_reply(q, "401 Unauthorized", "", "");
	return tiny_reply(q, "400 Bad Request", "",
		"{\"error_code\":\"INVALID_PARAMETER_VALUE\",\"message\":\"Run 6 does not exist.\"}");
}

static enum tiny_next tell_as_state(const struct tiny_request *q)
{
	return tiny_reply(q, "200 OK", "",
		"{\"run_id\":2,\"status\":{\"state\":\"TERMINATED\",\"termination_details\":{\"code\":\"DAPI_"
		"TOKEN_ONE\",\"message\":\"of DAPI_TOKEN_ONE\"}}}");
}

static void nor_is_what_is_told_of_a_run(void **state)
{
	(void)state;
	write_token("DAPI_TOKEN_ONE\n", 0600);
	start(tell_as_state);
	look_at(2);
	assert_string_equal(told.code, "**************");
	assert_string_equal(told.message, "of **************");
}

static void a_run_is_looked_at(void **state)
{
	(void)state;
	start(answer_run);
	look_at(INT64_C(9007199254740993));
	assert_int_equal(told.kind, OUTCOME_STARTED);
	assert_int_equal(told.fate, FATE_SKIPPED);
	assert_string_equal(told.code, "MAX_CONCURRENT_RUNS_EXCEEDED");
	assert_string_equal(told.message, "limit of 1");
	{
		const char *seen = server.seen->last;

		assert_ptr_equal(
			strstr(seen, "GET /api/2.2/jobs/runs/get?run_id=9007199254740993 HTTP/1.1\r\n"),
			seen);
		assert_non_null(strstr(seen, "\r\nAuthorization: Bearer dapi-token-one\r\n"));
		assert_string_equal(body_of(seen), "");
	}
	look_at(2);
	assert_int_equal(told.fate, FATE_RUNS);
	assert_string_equal(told.code, "RUNNING");
	look_at(3);
	assert_int_equal(told.kind, OUTCOME_RETRY);
	assert_int_equal(told.fate, FATE_UNKNOWN);
	look_at(5);
	assert_int_equal(told.kind, OUTCOME_RETRY);
	write_token("dapi-token-two\n", 0600);
	look_at(6); /* a refused credential is read again here too */
	assert_int_equal(told.kind, OUTCOME_DEAD);
	assert_int_equal(told.fate, FATE_UNKNOWN);
	assert_string_equal(told.message, "Run 6 does not exist.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(started_with_the_exact_id),
		TEST(the_body_is_copied),
		TEST(a_run_is_looked_at),
		TEST(nor_is_what_is_told_of_a_run),
		TEST(success_without_a_run_id),
		TEST(errors_in_every_shape),
		TEST(messages_are_bounded),
		TEST(refused_credential_is_read_again_once),
		TEST(several_refused_together_all_get_the_new_one),
		TEST(refusal_that_persists_is_told),
		TEST(credential_that_cannot_be_read_again),
		TEST(the_second_answer_counts),
		TEST(forbidden_is_tried_with_another_credential_only),
		TEST(a_server_that_shows_the_request_tells_nothing),
		TEST(a_code_is_no_place_for_the_credential),
		TEST(nor_is_the_name_of_a_job),
		TEST(what_systemd_handed_over_needs_a_restart),
		TEST(an_access_token_is_asked_for_first),
		TEST(a_refused_token_is_renewed_once_for_all),
		TEST(a_token_that_stays_refused),
		TEST(nobody_hands_out_a_token),
		TEST(refused_and_no_other_token_to_be_had),
		TEST(lost_and_not_sent),
		TEST(a_refusal_of_what_curl_sent_again_is_not_sure),
		TEST(freeing_abandons),
		TEST(too_large_a_body),
		TEST(host_that_must_not_be_asked),
		TEST(without_a_credential),
		TEST(credential_of_systemd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
