/*
 * The way to the server: proxies, names, how long a connection is used. The C library's getaddrinfo() is
 * replaced by one that the test holds in its hand.
 */
#include "dispatch/http.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "http_client.h"

#define SILENT "silent.example" /* a name for which no name server ever answers */
#define MOVING "moving.example"

static int silence[2] = {-1, -1}; /* closed to let those go who wait */
static const char *_Atomic moving_to;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	char c;

	if (real == NULL)
		real = (int (*)(const char *, const char *, const struct addrinfo *,
			struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
	if (name != NULL && strcmp(name, SILENT) == 0) {
		(void)!read(silence[0], &c, 1);
		return EAI_AGAIN;
	}
	if (name != NULL && strcmp(name, MOVING) == 0)
		name = moving_to;
	return real(name, service, hints, ret);
}

/* ---- proxies ---- */

static enum tiny_next hello(const struct tiny_request *q)
{
	return tiny_reply(q, "200 OK", "", "{\"run_id\":1}");
}

static enum tiny_next wants_password(const struct tiny_request *q)
{
	return tiny_reply(q, "407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"x\"\r\n",
		"who are you?");
}

static enum tiny_next forbids(const struct tiny_request *q)
{
	return tiny_reply(q, "403 Forbidden", "", "no");
}

static enum tiny_next fails(const struct tiny_request *q)
{
	return tiny_reply(q, "503 Service Unavailable", "", "no");
}

static enum tiny_next hangs_up(const struct tiny_request *q)
{
	(void)q;
	return TINY_CLOSE;
}

/* a tunnel to somebody who does not speak TLS */
static enum tiny_next connects_to_nonsense(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 200 Connection established\r\n\r\n220 mail.example ESMTP ready\r\n");
	return TINY_KEEP;
}

static enum tiny_next speaks_slowly(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 200 OK\r\nX-Filler: ");
	while (tiny_say(q, "x"))
		poll(NULL, 0, 5);
	return TINY_CLOSE;
}

static enum tiny_next speaks_without_end(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 200 OK\r\n");
	while (tiny_say(
		q, "X-Filler: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n"))
		;
	return TINY_CLOSE;
}

static void start_proxy(tiny_fn answer)
{
	static char proxy[64];

	start_server(answer);
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", server.port);
	workspace.proxy = proxy;
}

/* A POST to the workspace with its credential. */
static void post_through(void)
{
	struct secret *s = secret_new(100);
	struct http_request q = {
		.url = "https://adb.example:8443/x", .authorization = s, .body = "{}", .body_len = 2};

	assert_int_equal(secret_add(s, "Authorization: Bearer dapi1234", 30), 0);
	must_send(&q);
	secret_free(s);
	wait_for(got.calls + 1);
	if (server.seen->requests > 0) {
		assert_ptr_equal(strstr(server.seen->last, "CONNECT adb.example:8443 HTTP/1.1\r\n"),
			server.seen->last);
		assert_null(strstr(server.seen->last, "dapi1234"));
	}
}

static void a_proxy_that_refuses_is_not_sent(void **state)
{
	static const struct {
		tiny_fn answer;
		const char *part;
	} rows[] = {
		{wants_password,
			"wants a user name and password: set proxy_username and proxy_password_file"},
		{forbids, "does not let us through to adb.example:8443 (HTTP 403)"},
		{fails, "cannot reach adb.example:8443 (HTTP 503)"},
		{hangs_up, "adb.example:8443 through the proxy http://127.0.0.1:"},
		{connects_to_nonsense, "adb.example:8443 does not speak TLS at this port: is host right?"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start_proxy(rows[i].answer);
		start_client(1, S_TO_US(10), S_TO_US(10), NULL);
		post_through();
		check_failed_by(rows[i].answer == wants_password ? OUTCOME_TRANSPORT_PROXY
								 : OUTCOME_TRANSPORT_NOT_SENT,
			rows[i].part);
		assert_int_equal(server.seen->requests, 1);
		tear_down(state);
		set_up(state);
	}
}

static void a_proxy_that_takes_its_time_is_not_sent(void **state)
{
	int64_t began_us = clock_mono_us();

	(void)state;
	start_proxy(speaks_slowly);
	start_client(1, 200 * MS, S_TO_US(30), NULL);
	post_through();
	check_not_sent("makes no connection to adb.example:8443 in time");
	assert_in_range(clock_mono_us() - began_us, 150 * MS, S_TO_US(20));
}

static void a_proxy_that_never_ends_is_not_sent(void **state)
{
	(void)state;
	start_proxy(speaks_without_end);
	start_client(1, S_TO_US(20), S_TO_US(20), NULL);
	post_through();
	check_not_sent("adb.example:8443");
	assert_in_range(server.seen->sent_bytes, 0, 16 * 1024 * 1024);
}

static void write_password(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void a_refused_password_is_read_again(void **state)
{
	char path[] = "/tmp/test_http.XXXXXX";

	(void)state;
	close(mkstemp(path));
	write_password(path, "one");
	workspace.proxy_username = (char *)"me";
	workspace.proxy_password_file = path;
	start_proxy(wants_password);
	start_client(1, S_TO_US(10), S_TO_US(10), NULL);
	post_through();
	check_failed_by(OUTCOME_TRANSPORT_PROXY,
		"does not take the password of me: see proxy_username and proxy_password_file");
	assert_non_null(strstr(server.seen->last, "\r\nProxy-Authorization: Basic bWU6b25l\r\n"));

	write_password(path, "two");
	post_through();
	assert_non_null(strstr(server.seen->last, "\r\nProxy-Authorization: Basic bWU6dHdv\r\n"));
	assert_int_equal(server.seen->requests, 2);

	/* what cannot be read is said, and nobody asked */
	assert_int_equal(chmod(path, 0644), 0);
	post_through();
	check_not_sent("is open to others (mode 0644); run: chmod 600 /tmp/");
	assert_int_equal(server.seen->requests, 2);
	assert_int_equal(chmod(path, 0600), 0);
	post_through();
	check_failed_by(OUTCOME_TRANSPORT_PROXY, "does not take the password");
	assert_int_equal(server.seen->requests, 3);
	unlink(path);
}

static void an_unknown_proxy_is_not_sent(void **state)
{
	/* a label that is too long for a name: no name server is asked */
	(void)state;
	workspace.proxy =
		(char *)"http://xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx."
			"invalid:3128";
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	get_from("https", "adb.example", 443);
	check_not_sent("no name server knows the proxy http://xxx");
}

static void what_is_not_encrypted_does_not_see_the_proxy(void **state)
{
	struct tiny direct = {.answer = hello};

	(void)state;
	assert_true(tiny_start(&direct));
	start_proxy(forbids);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	get_from("http", "127.0.0.1", direct.port);
	assert_int_equal(got.status, 200);
	assert_int_equal(direct.seen->requests, 1);
	assert_int_equal(server.seen->connections, 0);
	tiny_stop(&direct);
}

static void no_proxy_is_obeyed(void **state)
{
	static char *const hosts[] = {(char *)"10.0.0.0/8", (char *)"127.0.0.0/8"};
	struct tiny direct = {.answer = hello};

	(void)state;
	assert_true(tiny_start(&direct));
	workspace.no_proxy = (struct conf_list){.items = (char **)(void *)hosts, .n = 2};
	start_proxy(forbids);
	start_client(1, 300 * MS, S_TO_US(5), NULL);
	get_from("https", "127.0.0.1", direct.port);
	check_not_sent("127.0.0.1"); /* it got there, where nobody speaks TLS */
	assert_int_equal(direct.seen->connections, 1);
	assert_int_equal(server.seen->connections, 0);
	/* and the environment has no say in it */
	setenv("no_proxy", "*", 1);
	get_from("https", "adb.example", 443);
	unsetenv("no_proxy");
	check_not_sent("HTTP 403");
	assert_int_equal(server.seen->connections, 1);
	tiny_stop(&direct);
}

/* ---- names ---- */

static int silent_set_up(void **state)
{
	return set_up(state) != 0 || pipe2(silence, O_CLOEXEC) != 0 ? -1 : 0;
}

static int silent_tear_down(void **state)
{
	close(silence[1]); /* the threads that still wait go on, and end */
	silence[1] = -1;
	return tear_down(state);
}

static void a_silent_name_server_stops_nobody(void **state)
{
	struct http_request q = {.url = "https://" SILENT "/"};
	int64_t began_us;

	(void)state;
	start_server(hello);
	start_client(2, S_TO_US(50), S_TO_US(50), NULL);
	must_send(&q);
	get_from("http", "127.0.0.1", server.port);
	assert_int_equal(got.status, 200);
	assert_int_equal(http_in_flight(client), 1);

	began_us = clock_mono_us();
	http_free(client);
	client = NULL;
	assert_in_range(clock_mono_us() - began_us, 0, S_TO_US(20));
	assert_int_equal(got.calls, 1);
}

static void a_silent_name_server_is_told(void **state)
{
	int64_t began_us = clock_mono_us();

	(void)state;
	start_client(1, 200 * MS, S_TO_US(50), NULL);
	get_from("https", SILENT, 443);
	check_not_sent("the name servers do not answer in time for " SILENT);
	assert_in_range(clock_mono_us() - began_us, 150 * MS, S_TO_US(20));
}

static void a_name_that_moves_is_followed(void **state)
{
	int port = 0, fd = tiny_listen(&port);

	(void)state;
	assert_true(fd >= 0); /* there connections are taken, and nothing more */
	moving_to = "127.0.0.1";
	connection_life_s = 1;
	start_client(1, 100 * MS, S_TO_US(5), NULL);
	get_from("https", MOVING, port);
	check_not_sent("does not answer in time");
	moving_to = "127.0.0.2"; /* there they are not */
	while (strstr(got.error, "cannot be reached") == NULL)
		get_from("https", MOVING, port);
	close(fd);
}

static void a_connection_does_not_live_for_ever(void **state)
{
	int64_t began_us = clock_mono_us();

	(void)state;
	start_server(hello);
	connection_life_s = 1;
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	while (server.seen->connections < 2) {
		get_from("http", "127.0.0.1", server.port);
		assert_int_equal(got.status, 200);
		poll(NULL, 0, 50); /* time has to pass */
	}
	assert_in_range(clock_mono_us() - began_us, S_TO_US(1), S_TO_US(30));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SILENT_TEST(name) cmocka_unit_test_setup_teardown(name, silent_set_up, silent_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_proxy_that_refuses_is_not_sent),
		TEST(a_proxy_that_takes_its_time_is_not_sent),
		TEST(a_proxy_that_never_ends_is_not_sent),
		TEST(a_refused_password_is_read_again),
		TEST(an_unknown_proxy_is_not_sent),
		TEST(what_is_not_encrypted_does_not_see_the_proxy),
		TEST(no_proxy_is_obeyed),
		SILENT_TEST(a_silent_name_server_stops_nobody),
		SILENT_TEST(a_silent_name_server_is_told),
		TEST(a_name_that_moves_is_followed),
		TEST(a_connection_does_not_live_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
