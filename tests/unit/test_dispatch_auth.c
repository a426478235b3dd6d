#include "dispatch/auth.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"
#include "tiny_server.h"

#define PATIENCE_S 60
#define SECRET "very~secret&word"
#define SECRET_IN_FORM "very%7Esecret%26word"
#define WAITERS 20

static char folder[64], path[128], host[64];
static struct conf_workspace conf;
static struct loop *loop;
static struct auth *auth;
static struct tiny server;

static struct auth_waiter waiters[WAITERS];
static struct {
	int calls, failed;
	struct auth_trouble trouble; /* the last one */
} got;

static void on_header(const struct auth_trouble *trouble, void *arg)
{
	assert_ptr_equal(arg, &got);
	got.calls++;
	if (trouble != NULL) {
		got.failed++;
		got.trouble = *trouble;
	}
}

static void write_file(const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int set_up(void **state)
{
	(void)state;
	alarm(PATIENCE_S);
	memset(&got, 0, sizeof(got));
	memset(waiters, 0, sizeof(waiters));
	server = (struct tiny){.pid = -1};
	snprintf(folder, sizeof(folder), "/tmp/test_auth.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/secret", folder);
	snprintf(host, sizeof(host), "http://127.0.0.1:1");
	conf = (struct conf_workspace){.host = host, .host_token = host + 7};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; auth != NULL && i < WAITERS; i++)
		auth_unwait(auth, &waiters[i]);
	auth_free(auth);
	loop_free(loop);
	auth = NULL;
	loop = NULL;
	if (server.pid > 0)
		tiny_stop(&server);
	unlink(path);
	rmdir(folder);
	alarm(0);
	return 0;
}

static struct auth *try_open(struct err *err)
{
	const struct http_options o = {
		.connect_timeout_us = 5 * US_PER_S, .request_timeout_us = 10 * US_PER_S, .max_requests = 8};

	*err = ERR_INIT;
	if (loop == NULL)
		loop = loop_new(err);
	assert_non_null(loop);
	return auth_new(loop, &conf, &o, folder, err);
}

static void open_auth(void)
{
	struct err err;

	auth = try_open(&err);
	if (auth == NULL)
		fail_msg("%s", err.text);
}

static void start(tiny_fn answer)
{
	server = (struct tiny){.answer = answer};
	assert_true(tiny_start(&server));
	snprintf(host, sizeof(host), "http://127.0.0.1:%d", server.port);
}

static void use_m2m(void)
{
	write_file(SECRET "\n", 0600);
	conf.auth = CONF_AUTH_OAUTH_M2M;
	conf.client_id = (char *)"client-1";
	conf.client_secret_file = path;
}

static void turn(void)
{
	struct err err = ERR_INIT;

	assert_int_equal(loop_run_once(loop, 10 * US_PER_MS, &err), 0);
}

static void await_as(size_t i, const struct secret *refused, bool of_credential)
{
	struct err err = ERR_INIT;
	int before = got.calls;

	waiters[i].fn = on_header;
	waiters[i].arg = &got;
	assert_int_equal(auth_await(auth, &waiters[i], refused, of_credential, &err), 0);
	assert_int_equal(got.calls, before); /* never from inside */
}

static void wait_calls(int calls)
{
	while (got.calls < calls)
		turn();
}

/* Waits for a header to its end. */
static void await_header(const struct secret *refused)
{
	await_as(0, refused, true);
	wait_calls(got.calls + 1);
}

static const char *header(void)
{
	struct secret *s = auth_header(auth);

	return s != NULL ? secret_bytes(s) : "none";
}

/* ---- kinds that need nobody ---- */

static void use_token(const char *token)
{
	write_file(token, 0600);
	conf.auth = CONF_AUTH_TOKEN;
	conf.token_file = path;
}

static void a_token_is_there_at_once(void **state)
{
	struct auth_state s;

	(void)state;
	use_token("dapi1\n");
	open_auth();
	assert_string_equal(header(), "Authorization: Bearer dapi1");
	assert_string_equal(auth_principal(auth), "token");
	assert_null(auth_hint(auth));
	auth_state(auth, &s);
	assert_string_equal(s.kind, "token");
	assert_string_equal(s.file, path);
	assert_false(s.has_token);
	assert_in_range(s.changed_us, clock_wall_us() - 60 * US_PER_S, clock_wall_us() + US_PER_S);
}

static void a_refused_file_is_read_again(void **state)
{
	struct secret *old;

	(void)state;
	use_token("dapi1");
	open_auth();
	old = secret_ref(auth_header(auth));
	await_header(old);
	assert_int_equal(got.failed, 0);
	assert_ptr_equal(auth_header(auth), old); /* the same: it has not changed */
	write_file("dapi2", 0600);
	await_as(0, old, false); /* a refusal that does not speak of it is reason enough to look */
	wait_calls(2);
	assert_int_equal(got.failed, 0);
	assert_string_equal(header(), "Authorization: Bearer dapi2");
	assert_string_equal(secret_bytes(old), "Authorization: Bearer dapi1"); /* still ours */

	write_file("dapi3", 0600); /* the header is another one than the refused: no need to look */
	await_header(old);
	assert_string_equal(header(), "Authorization: Bearer dapi2");
	secret_free(old);
}

static void a_file_that_cannot_be_read_keeps_the_old_one(void **state)
{
	(void)state;
	use_token("dapi1");
	open_auth();
	write_file("dapi-other", 0644);
	await_header(auth_header(auth));
	assert_int_equal(got.failed, 1);
	assert_int_equal(got.trouble.outcome.kind, OUTCOME_CREDENTIAL);
	assert_string_equal(got.trouble.outcome.reason, "credential_unreadable");
	assert_non_null(strstr(got.trouble.message, "chmod 600"));
	assert_string_equal(header(), "Authorization: Bearer dapi1");
}

static void nothing_to_begin_with(void **state)
{
	struct err err;

	(void)state;
	use_token("two words");
	assert_null(try_open(&err));
	assert_int_equal(err.class, ERR_CONF);
	conf.token_file = (char *)"/nonexistent/token";
	assert_null(try_open(&err));
	conf.auth = CONF_AUTH_NONE;
	assert_null(try_open(&err));
	auth_free(NULL);
}

static void what_systemd_hands_over_needs_a_restart(void **state)
{
	(void)state;
	use_token("dapi1");
	conf.token_file = (char *)"credential:secret";
	open_auth();
	assert_string_equal(header(), "Authorization: Bearer dapi1");
	assert_non_null(strstr(auth_hint(auth), "credential:secret"));
	assert_non_null(strstr(auth_hint(auth), "restart"));
}

static void user_and_password(void **state)
{
	(void)state;
	write_file("pass word\n", 0600);
	conf.auth = CONF_AUTH_BASIC;
	conf.username = (char *)"user";
	conf.password_file = path;
	open_auth();
	assert_string_equal(header(), "Authorization: Basic dXNlcjpwYXNzIHdvcmQ=");
	assert_string_equal(auth_principal(auth), "basic:user");
}

/* ---- access tokens ---- */

static int life_s = 3600; /* set before the server starts: it is another process */

static bool is_discovery(const struct tiny_request *q)
{
	return strncmp(q->text, "GET /oidc/.well-known/oauth-authorization-server ", 49) == 0;
}

static enum tiny_next say_endpoint(const struct tiny_request *q)
{
	char body[200];
	const char *at = strstr(q->text, "\r\nHost: ") + 8;

	snprintf(body, sizeof(body), "{\"token_endpoint\":\"http://%.*s/oidc/v1/token\"}",
		(int)strcspn(at, "\r"), at);
	return tiny_reply(q, "200 OK", "", body);
}

/* Hands out access-1, access-2, … */
static enum tiny_next workspace(const struct tiny_request *q)
{
	static int n;
	char body[200];

	if (is_discovery(q))
		return say_endpoint(q);
	snprintf(body, sizeof(body),
		"{\"access_token\":\"access-%d\",\"token_type\":\"Bearer\",\"expires_in\":\"%d\"}", ++n,
		life_s);
	return tiny_reply(q, "200 OK", "", body);
}

static void client_credentials(void **state)
{
	struct auth_state s;

	(void)state;
	start(workspace);
	use_m2m();
	open_auth();
	assert_string_equal(header(), "none");
	assert_int_equal(server.seen->requests, 0); /* nobody is asked before there is a reason */
	await_header(NULL);
	assert_int_equal(got.failed, 0);
	assert_string_equal(header(), "Authorization: Bearer access-1");
	assert_int_equal(server.seen->requests, 2);
	assert_ptr_equal(strstr(server.seen->last, "POST /oidc/v1/token HTTP/1.1\r\n"), server.seen->last);
	/* client-1:very%7Esecret%26word */
	assert_non_null(strstr(
		server.seen->last, "\r\nAuthorization: Basic Y2xpZW50LTE6dmVyeSU3RXNlY3JldCUyNndvcmQ=\r\n"));
	assert_non_null(strstr(server.seen->last, "\r\n\r\ngrant_type=client_credentials&scope=all-apis"));
	assert_string_equal(auth_principal(auth), "oauth-m2m:client-1");
	auth_state(auth, &s);
	assert_true(s.has_token);
	assert_in_range(s.token_end_us, clock_wall_us() + 3590 * US_PER_S, clock_wall_us() + 3600 * US_PER_S);
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(server.seen->requests, 2);
}

static void all_that_wait_share_one_request(void **state)
{
	(void)state;
	start(workspace);
	use_m2m();
	open_auth();
	for (size_t i = 0; i < WAITERS; i++)
		await_as(i, NULL, true);
	auth_unwait(auth, &waiters[3]);
	auth_unwait(auth, &waiters[3]);
	wait_calls(WAITERS - 1);
	assert_int_equal(got.failed, 0);
	assert_int_equal(server.seen->requests, 2);
	turn();
	assert_int_equal(got.calls, WAITERS - 1);
}

static void one_refusal_one_renewal(void **state)
{
	struct secret *first;

	(void)state;
	start(workspace);
	use_m2m();
	open_auth();
	await_header(NULL);
	first = secret_ref(auth_header(auth));
	for (size_t i = 0; i < 8; i++)
		await_as(i, first, true);
	wait_calls(1 + 8);
	assert_string_equal(header(), "Authorization: Bearer access-2");
	await_header(first);		       /* one that comes late has another one to try already */
	await_as(0, auth_header(auth), false); /* and not every refusal is the token's fault */
	wait_calls(11);
	assert_string_equal(header(), "Authorization: Bearer access-2");
	assert_int_equal(server.seen->requests, 4);
	assert_int_equal(got.failed, 0);
	secret_free(first);
}

static void renewed_ahead_while_the_old_one_is_used(void **state)
{
	(void)state;
	life_s = 1;
	start(workspace);
	life_s = 3600;
	use_m2m();
	open_auth();
	await_header(NULL);
	while (strcmp(header(), "Authorization: Bearer access-2") != 0) {
		assert_string_equal(header(), "Authorization: Bearer access-1");
		turn();
	}
	assert_int_equal(got.calls, 1);
	assert_int_equal(server.seen->requests, 4);
}

/* The first token is good, then nobody is there. */
static enum tiny_next workspace_once(const struct tiny_request *q)
{
	return q->number <= 2 ? workspace(q) : tiny_reply(q, "503 Service Unavailable", "", "");
}

static void a_renewal_that_fails_hurts_nobody_yet(void **state)
{
	(void)state;
	life_s = 2;
	start(workspace_once);
	life_s = 3600;
	use_m2m();
	open_auth();
	await_header(NULL);
	while (server.seen->requests < 3) {
		assert_string_equal(header(), "Authorization: Bearer access-1");
		turn();
	}
	for (int i = 0; i < 50 && strcmp(header(), "none") != 0; i++) {
		assert_string_equal(header(), "Authorization: Bearer access-1");
		turn();
		assert_in_range(server.seen->requests, 3, 4); /* not again and again */
	}
	while (strcmp(header(), "none") != 0) /* over */
		turn();
	await_header(NULL);
	assert_int_equal(got.failed, 1);
	assert_int_equal(got.trouble.outcome.kind, OUTCOME_UNREACHABLE);
	assert_int_equal(got.trouble.http_status, 503);
}

static void the_secret_is_read_anew_each_time(void **state)
{
	(void)state;
	start(workspace);
	use_m2m();
	open_auth();
	await_header(NULL);
	write_file("another-one", 0600);
	await_header(auth_header(auth));
	assert_string_equal(header(), "Authorization: Bearer access-2");
	/* client-1:another-one */
	assert_non_null(strstr(server.seen->last, "Basic Y2xpZW50LTE6YW5vdGhlci1vbmU="));
	write_file("open", 0644);
	await_header(auth_header(auth));
	assert_int_equal(got.failed, 1);
	assert_string_equal(got.trouble.outcome.reason, "credential_unreadable");
	assert_int_equal(server.seen->requests, 4);
	assert_string_equal(header(), "Authorization: Bearer access-2");
}

/* ---- what can go wrong ---- */

static const struct {
	bool at_discovery;
	const char *status, *lines, *body;
	enum outcome_kind kind;
	const char *reason, *code, *words;
} troubles[] = {
	{false, "401 Unauthorized", "",
		"{\"error\":\"invalid_client\",\"error_description\":\"Client authentication failed\"}",
		OUTCOME_CREDENTIAL, "credential_refused", "invalid_client",
		": invalid_client: Client authentication failed"},
	{false, "400 Bad Request", "", "{\"error\":\"invalid_scope\"}", OUTCOME_CREDENTIAL,
		"credential_refused", "", ": invalid_scope"},
	{false, "403 Forbidden", "", "<html><title>Not you</title></html>", OUTCOME_CREDENTIAL,
		"credential_refused", "", ": Not you"},
	{false, "503 Service Unavailable", "Retry-After: 7\r\n", "", OUTCOME_UNREACHABLE,
		"sign_in_unavailable", "", ": Service Unavailable"},
	{false, "429 Too Many Requests", "", "{\"error\":\"slow_down\",\"error_description\":\"x\"}",
		OUTCOME_UNREACHABLE, "sign_in_unavailable", "slow_down", ": slow_down: x"},
	{false, "302 Found", "Location: https://evil.example/\r\n", "", OUTCOME_UNREACHABLE, "redirected", "",
		"https://evil.example/"},
	{false, "404 Not Found", "", "", OUTCOME_UNREACHABLE, "no_sign_in", "", ": Not Found"},
	{false, "200 OK", "", "<html>Please sign in</html>", OUTCOME_UNREACHABLE, "sign_in_unavailable", "",
		": what came is not an object of JSON"},
	{false, "200 OK", "", "{\"access_token\":\"a\\nb\"}", OUTCOME_UNREACHABLE, "sign_in_unavailable", "",
		": byte 2 of the access token cannot be part of a header line"},
	{true, "404 Not Found", "", "", OUTCOME_UNREACHABLE, "no_sign_in", "", ": Not Found"},
	{true, "200 OK", "", "{\"token_endpoint\":\"https://evil.example/token\"}", OUTCOME_UNREACHABLE,
		"sign_in_unavailable", "", "https://evil.example, where the credential of "},
	{true, "200 OK", "", "Welcome", OUTCOME_UNREACHABLE, "sign_in_unavailable", "",
		": it does not say where its token endpoint is"},
	{true, "500 Oops", "", "", OUTCOME_UNREACHABLE, "sign_in_unavailable", "", ": Oops"},
};
static size_t trouble_now;

static enum tiny_next in_trouble(const struct tiny_request *q)
{
	if (is_discovery(q) && !troubles[trouble_now].at_discovery)
		return say_endpoint(q);
	return tiny_reply(
		q, troubles[trouble_now].status, troubles[trouble_now].lines, troubles[trouble_now].body);
}

static void troubles_of_every_kind(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(troubles); i++) {
		trouble_now = i;
		start(in_trouble);
		use_m2m();
		open_auth();
		await_header(NULL);
		assert_int_equal(got.failed, 1);
		assert_int_equal(server.seen->requests, troubles[i].at_discovery ? 1 : 2);
		if (got.trouble.outcome.kind != troubles[i].kind ||
			strcmp(got.trouble.outcome.reason, troubles[i].reason) != 0 ||
			strcmp(got.trouble.code, troubles[i].code) != 0 ||
			strstr(got.trouble.message, troubles[i].words) == NULL ||
			strstr(got.trouble.message, "sign-in at http://127.0.0.1:") != got.trouble.message)
			fail_msg("%zu: %d %s %s \"%s\"", i, got.trouble.outcome.kind,
				got.trouble.outcome.reason, got.trouble.code, got.trouble.message);
		assert_true(got.trouble.outcome.sure_not_started);
		assert_int_equal(got.trouble.http_status, strtol(troubles[i].status, NULL, 10));
		assert_int_equal(got.trouble.retry_after_us, i == 3 ? 7 * US_PER_S : 0);
		assert_string_equal(header(), "none");
		tear_down(state);
		assert_int_equal(set_up(state), 0);
	}
}

static enum tiny_next show_the_request(const struct tiny_request *q)
{
	char body[2048];

	if (is_discovery(q))
		return say_endpoint(q);
	snprintf(body, sizeof(body), "%.*s secret=%s form=%s", (int)q->len, q->text, SECRET, SECRET_IN_FORM);
	return tiny_reply(q, "400 Bad Request", "", body);
}

static void a_server_that_shows_the_request_tells_nothing(void **state)
{
	(void)state;
	start(show_the_request);
	use_m2m();
	open_auth();
	await_header(NULL);
	assert_non_null(strstr(got.trouble.message, "Basic ****"));
	assert_non_null(strstr(got.trouble.message, "secret=****"));
	assert_null(strstr(got.trouble.message, "very"));
	assert_null(strstr(got.trouble.message, "Y2xpZW50"));
}

static enum tiny_next tell_the_secret_as_code(const struct tiny_request *q)
{
	if (is_discovery(q))
		return say_endpoint(q);
	return tiny_reply(q, "503 Service Unavailable", "",
		"{\"error\":\"plain-client-secret\",\"error_description\":\"d\"}");
}

static void a_code_is_no_place_for_the_secret(void **state)
{
	(void)state;
	start(tell_the_secret_as_code);
	use_m2m();
	write_file("plain-client-secret\n", 0600);
	open_auth();
	await_header(NULL);
	assert_string_equal(got.trouble.code, "*******************");
	assert_null(strstr(got.trouble.message, "plain-client-secret"));
}

static enum tiny_next hang_up(const struct tiny_request *q)
{
	(void)q;
	return TINY_CLOSE;
}

static enum tiny_next much_to_say(const struct tiny_request *q)
{
	static char body[70000];

	memset(body, 'x', sizeof(body) - 1);
	return is_discovery(q) ? say_endpoint(q) : tiny_reply(q, "200 OK", "", body);
}

static void no_whole_answer(void **state)
{
	static const struct {
		tiny_fn answer;
		const char *words;
	} rows[] = {{hang_up, ""}, {much_to_say, "the answer is too large"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(rows[i].answer);
		use_m2m();
		open_auth();
		await_header(NULL);
		assert_int_equal(got.failed, 1);
		assert_int_equal(got.trouble.outcome.kind, OUTCOME_UNREACHABLE);
		assert_string_equal(got.trouble.outcome.reason, "unreachable");
		assert_int_equal(got.trouble.http_status, 0);
		assert_non_null(strstr(got.trouble.message, rows[i].words));
		tear_down(state);
		assert_int_equal(set_up(state), 0);
	}
	use_m2m(); /* nobody listens */
	open_auth();
	await_header(NULL);
	assert_string_equal(got.trouble.outcome.reason, "unreachable");
	await_header(NULL); /* and again, when asked for */
	assert_int_equal(got.failed, 2);
}

static enum tiny_next park(const struct tiny_request *q)
{
	(void)q;
	return TINY_PARK;
}

static void freed_in_the_middle(void **state)
{
	(void)state;
	server = (struct tiny){.answer = park, .release = workspace, .park_until = 99};
	assert_true(tiny_start(&server));
	snprintf(host, sizeof(host), "http://127.0.0.1:%d", server.port);
	use_m2m();
	open_auth();
	await_as(0, NULL, true);
	while (server.seen->requests < 1)
		turn();
	auth_unwait(auth, &waiters[0]);
	auth_free(auth);
	auth = NULL;
	turn();
	assert_int_equal(got.calls, 0);
}

static void waiting_is_bounded(void **state)
{
	struct auth_waiter *many = mem_array(AUTH_WAITERS_MAX, sizeof(*many));
	struct err err = ERR_INIT;

	(void)state;
	use_m2m();
	open_auth();
	for (size_t i = 0; i < AUTH_WAITERS_MAX; i++) {
		many[i].fn = on_header;
		many[i].arg = &got;
		assert_int_equal(auth_await(auth, &many[i], NULL, true, &err), 0);
	}
	assert_int_equal(auth_await(auth, &waiters[0], NULL, true, &err), -EAGAIN);
	assert_int_equal(err.class, ERR_LIMIT);
	for (size_t i = 0; i < AUTH_WAITERS_MAX; i++)
		auth_unwait(auth, &many[i]);
	free(many);
}

/* ---- the other kinds ---- */

static enum tiny_next entra(const struct tiny_request *q)
{
	if (strncmp(q->text, "POST /tenant/oauth2/v2.0/token ", 31) != 0)
		return tiny_reply(q, "404 Not Found", "", "");
	return tiny_reply(q, "200 OK", "",
		"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"entra-1\"}");
}

static void service_principal_of_entra(void **state)
{
	char authority[64];

	(void)state;
	start(entra);
	snprintf(authority, sizeof(authority), "%s", host);
	use_m2m();
	conf.host = (char *)"https://adb-1.azuredatabricks.net"; /* is not asked */
	conf.auth = CONF_AUTH_AZURE_CLIENT_SECRET;
	conf.azure_tenant_id = (char *)"tenant";
	conf.azure_authority_host = authority;
	open_auth();
	await_header(NULL);
	assert_string_equal(header(), "Authorization: Bearer entra-1");
	assert_non_null(strstr(server.seen->last, "&client_secret=" SECRET_IN_FORM));
	assert_null(strstr(server.seen->last, "Authorization"));
	assert_int_equal(server.seen->requests, 1);
}

static enum tiny_next metadata(const struct tiny_request *q)
{
	if (strstr(q->text, "\r\nMetadata: true\r\n") == NULL)
		return tiny_reply(q, "400 Bad Request", "", "{\"error\":\"invalid_request\"}");
	return tiny_reply(q, "200 OK", "",
		"{\"access_token\":\"msi-1\",\"expires_in\":\"86399\",\"expires_on\":\"4000000000\","
		"\"token_type\":\"Bearer\"}");
}

static void managed_identity(void **state)
{
	char relay[64];

	(void)state;
	start(metadata);
	snprintf(relay, sizeof(relay), "%s", host);
	conf.host = (char *)"https://adb-1.azuredatabricks.net";
	conf.auth = CONF_AUTH_AZURE_MANAGED_IDENTITY;
	conf.azure_metadata_host = relay;
	open_auth();
	await_header(NULL);
	assert_string_equal(header(), "Authorization: Bearer msi-1");
	assert_ptr_equal(
		strstr(server.seen->last, "GET /metadata/identity/oauth2/token?"), server.seen->last);
	/* the service gives the same token out again: that is no change */
	struct secret *old = auth_header(auth);

	await_header(old);
	assert_int_equal(got.failed, 0);
	assert_ptr_equal(auth_header(auth), old);
	assert_int_equal(server.seen->requests, 2);
}

static void an_identity_token_is_read_at_each_exchange(void **state)
{
	(void)state;
	start(workspace);
	write_file("jwt.one.x\n", 0600);
	conf.auth = CONF_AUTH_OIDC;
	conf.oidc_token_file = path;
	open_auth();
	await_header(NULL);
	assert_non_null(strstr(server.seen->last, "&subject_token=jwt.one.x"));
	assert_null(strstr(server.seen->last, "client_id"));
	assert_null(strstr(server.seen->last, "Authorization"));
	write_file("jwt.two.x\n", 0600);
	await_header(auth_header(auth));
	assert_non_null(strstr(server.seen->last, "&subject_token=jwt.two.x"));
	assert_string_equal(header(), "Authorization: Bearer access-2");
}

static void a_profile_may_become_another_kind(void **state)
{
	(void)state;
	start(workspace);
	conf.auth = CONF_AUTH_PROFILE;
	conf.profile = (char *)"p";
	conf.config_file = path;
	write_file("[p]\ntoken = dapi1\n", 0600);
	open_auth();
	assert_string_equal(header(), "Authorization: Bearer dapi1");
	assert_string_equal(auth_principal(auth), "token (profile p)");
	write_file("[p]\nclient_id = c\nclient_secret = s\n", 0600);
	await_header(auth_header(auth));
	assert_string_equal(header(), "Authorization: Bearer access-1");
	assert_string_equal(auth_principal(auth), "oauth-m2m:c (profile p)");
	write_file("[p]\ntoken = dapi2\n", 0600);
	await_header(auth_header(auth));
	assert_string_equal(header(), "Authorization: Bearer dapi2");
	assert_int_equal(server.seen->requests, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_token_is_there_at_once),
		TEST(a_refused_file_is_read_again),
		TEST(a_file_that_cannot_be_read_keeps_the_old_one),
		TEST(nothing_to_begin_with),
		TEST(what_systemd_hands_over_needs_a_restart),
		TEST(user_and_password),
		TEST(client_credentials),
		TEST(all_that_wait_share_one_request),
		TEST(one_refusal_one_renewal),
		TEST(renewed_ahead_while_the_old_one_is_used),
		TEST(a_renewal_that_fails_hurts_nobody_yet),
		TEST(the_secret_is_read_anew_each_time),
		TEST(troubles_of_every_kind),
		TEST(a_server_that_shows_the_request_tells_nothing),
		TEST(a_code_is_no_place_for_the_secret),
		TEST(no_whole_answer),
		TEST(freed_in_the_middle),
		TEST(waiting_is_bounded),
		TEST(service_principal_of_entra),
		TEST(managed_identity),
		TEST(an_identity_token_is_read_at_each_exchange),
		TEST(a_profile_may_become_another_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
