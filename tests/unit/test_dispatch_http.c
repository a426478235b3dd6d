#include "dispatch/http.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http_client.h"

/* One POST to the server, to its end. */
static void post(const char *body)
{
	struct http_request q = {.url = url_of(server.port, "/x"), .body = body, .body_len = strlen(body)};

	must_send(&q);
	wait_for(got.calls + 1);
}

/* ---- the good path ---- */

static enum tiny_next hello(const struct tiny_request *q)
{
	return tiny_reply(q, "200 All Right", "X-One:  eins \r\nx-two: zwei\r\n", "{\"run_id\":1}");
}

static void post_and_answer(void **state)
{
	static const char *const headers[] = {
		"Content-Type: application/json", "Accept: application/json", NULL};
	struct secret *s = secret_new(100);
	struct http_request q = {.headers = headers, .authorization = s, .body = "{\"a\":1}", .body_len = 7};
	struct http_response r;
	size_t len;

	(void)state;
	assert_int_equal(secret_add(s, "Authorization: Bearer dapi1234", 30), 0);
	start_server(hello);
	start_client(2, S_TO_US(5), S_TO_US(5), NULL);
	q.url = url_of(server.port, "/api/2.2/jobs/run-now");
	must_send(&q);
	assert_int_equal(got.calls, 0); /* never from inside */
	assert_int_equal(http_in_flight(client), 1);
	wait_for(1);
	assert_int_equal(http_in_flight(client), 0);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_OK);
	assert_int_equal(got.status, 200);
	assert_string_equal(got.body, "{\"run_id\":1}");
	assert_string_equal(got.reason, "All Right");
	assert_string_equal(got.error, "");
	assert_int_equal(got.retry_after_us, 0);

	r = (struct http_response){.head = got.head};
	assert_memory_equal(http_header_get(&r, "x-one", &len), "eins", 4);
	assert_int_equal(len, 4);
	assert_memory_equal(http_header_get(&r, "X-TWO", &len), "zwei", 4);
	assert_null(http_header_get(&r, "X-T", &len));
	assert_null(http_header_get(&r, "zwei", &len));

	const char *seen = server.seen->last;

	assert_ptr_equal(strstr(seen, "POST /api/2.2/jobs/run-now HTTP/1.1\r\n"), seen);
	assert_non_null(strstr(seen, "\r\nAuthorization: Bearer dapi1234\r\n"));
	assert_non_null(strstr(seen, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(seen, "\r\nUser-Agent: brickwatch/" BW_VERSION " libcurl/"));
	assert_null(strcasestr(seen, "Accept-Encoding"));
	assert_null(strcasestr(seen, "Cookie"));
	assert_string_equal(strstr(seen, "\r\n\r\n") + 4, "{\"a\":1}");
	secret_free(s);
}

static void get_has_no_body(void **state)
{
	struct http_request q = {0};

	(void)state;
	start_server(hello);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	post("first a POST on the same handle");
	q.url = url_of(server.port, "/jobs/get?job_id=7");
	must_send(&q);
	wait_for(2);
	assert_int_equal(got.status, 200);
	assert_ptr_equal(strstr(server.seen->last, "GET /jobs/get?job_id=7 HTTP/1.1\r\n"), server.seen->last);
	assert_string_equal(strstr(server.seen->last, "\r\n\r\n"), "\r\n\r\n");
	assert_null(strcasestr(server.seen->last, "Content-"));
}

static enum tiny_next interim(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 102 Processing\r\nX-Early: yes\r\n\r\n");
	return tiny_reply(q, "201 Made", "", "x");
}

static void interim_answers_are_skipped(void **state)
{
	struct http_response r = {.head = got.head};
	size_t len;

	(void)state;
	start_server(interim);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	post("");
	assert_int_equal(got.status, 201);
	assert_string_equal(got.reason, "Made");
	assert_null(http_header_get(&r, "X-Early", &len));
}

/* The server counts the bytes of the body, so a large one need not be kept. */
static enum tiny_next measure(const struct tiny_request *q)
{
	char text[64];

	snprintf(text, sizeof(text), "%zu", q->len - (size_t)(strstr(q->text, "\r\n\r\n") + 4 - q->text));
	return tiny_reply(q, "200 OK", "", text);
}

static void large_body_goes_out_at_once(void **state)
{
	size_t len = 9 * 1000 * 1000;
	char *body = mem_alloc(len + 1);
	struct http_request q = {.body = body, .body_len = len};

	(void)state;
	memset(body, 'x', len);
	start_server(measure);
	start_client(1, S_TO_US(5), S_TO_US(30), NULL);
	q.url = url_of(server.port, "/");
	must_send(&q);
	wait_for(1);
	assert_string_equal(got.body, "9000000");
	assert_null(strcasestr(server.seen->last, "Expect"));
	free(body);
}

/* ---- connections ---- */

static void one_connection_for_a_hundred_requests(void **state)
{
	(void)state;
	start_server(hello);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	for (int i = 0; i < 100; i++)
		post("{}");
	assert_int_equal(server.seen->requests, 100);
	assert_int_equal(server.seen->connections, 1);
	assert_int_equal(http_connections(client), 1);
}

static enum tiny_next park(const struct tiny_request *q)
{
	(void)q;
	return TINY_PARK;
}

static void no_more_at_once_than_allowed(void **state)
{
	struct http_request q = {.body = "{}", .body_len = 2};

	(void)state;
	server = (struct tiny){.answer = park, .release = hello, .park_until = 4};
	assert_true(tiny_start(&server));
	start_client(4, S_TO_US(5), S_TO_US(20), NULL);
	q.url = url_of(server.port, "/");
	for (int i = 0; i < 12; i++)
		must_send(&q);
	assert_int_equal(http_in_flight(client), 12);
	wait_for(12);
	assert_int_equal(server.seen->requests, 12);
	assert_int_equal(server.seen->parked_most, 4);
	assert_int_equal(server.seen->connections, 4);
	assert_int_equal(http_in_flight(client), 0);
}

static void waiting_requests_are_bounded(void **state)
{
	struct http_request q = {.body = "{}", .body_len = 2};
	struct err err = ERR_INIT;

	(void)state;
	server = (struct tiny){.answer = park, .release = hello, .park_until = 99};
	assert_true(tiny_start(&server));
	start_client(1, S_TO_US(5), S_TO_US(20), NULL);
	q.url = url_of(server.port, "/");
	for (int i = 0; i < 1 + HTTP_WAITING_MAX; i++)
		must_send(&q);
	assert_int_equal(http_send(client, &q, on_response, NULL, &err), -EAGAIN);
	assert_int_equal(err.class, ERR_LIMIT);
	/* and all of them are given up without a callback by tear_down() */
}

static enum tiny_next hello_and_close(const struct tiny_request *q)
{
	hello(q);
	return TINY_CLOSE;
}

/* The caller's buffer for the URL is gone when a request leaves the queue, and when it fails. */
static void the_url_is_copied(void **state)
{
	CLEANUP_FREE char *url = NULL;
	int port = 0, fd = tiny_listen(&port);

	(void)state;
	close(fd); /* nobody listens there now */
	start_server(hello);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	for (int i = 0; i < 4; i++) {
		struct http_request q = {0};

		free(url);
		url = mem_printf("http://127.0.0.1:%d/%d", i < 3 ? server.port : port, i);
		q.url = url;
		must_send(&q);
	}
	memset(url, 'x', strlen(url));
	wait_for(4);
	assert_int_equal(server.seen->requests, 3);
	assert_ptr_equal(strstr(server.seen->last, "GET /2 "), server.seen->last);
	assert_ptr_equal(strstr(got.error, "127.0.0.1:"), got.error);
}

static void closed_connection_is_replaced(void **state)
{
	(void)state;
	start_server(hello_and_close);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	for (int i = 0; i < 5; i++) {
		post("{}");
		assert_int_equal(got.transport, OUTCOME_TRANSPORT_OK);
	}
	assert_int_equal(server.seen->connections, 5);
}

static int more_from_inside;

static void on_response_send_more(const struct http_response *r, void *arg)
{
	struct err err = ERR_INIT;

	on_response(r, arg);
	if (more_from_inside-- > 0)
		assert_int_equal(http_send(client, arg, on_response_send_more, arg, &err), 0);
}

static void next_request_from_inside_a_callback(void **state)
{
	struct http_request q = {.body = "{}", .body_len = 2};
	struct err err = ERR_INIT;

	(void)state;
	start_server(hello);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	q.url = url_of(server.port, "/");
	more_from_inside = 5;
	assert_int_equal(http_send(client, &q, on_response_send_more, &q, &err), 0);
	wait_for(6);
	assert_int_equal(server.seen->connections, 1);
}

/* ---- sent or not ---- */

static void refused_is_not_sent(void **state)
{
	struct http_request q = {.body = "{}", .body_len = 2};
	int port = 0;
	int fd = tiny_listen(&port);

	(void)state;
	assert_true(fd >= 0);
	close(fd); /* nobody listens there now */
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	q.url = url_of(port, "/");
	must_send(&q);
	wait_for(1);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_NOT_SENT);
	assert_int_equal(got.status, 0);
	assert_string_equal(got.body, "");
	assert_non_null(strstr(got.error, "connect"));
}

static void unknown_name_is_not_sent(void **state)
{
	/* a label that is too long for a name: nobody is asked, not even a name server */
	struct http_request q = {
		.url = "https://"
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.invalid/",
		.body = "{}",
		.body_len = 2};

	(void)state;
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	must_send(&q);
	wait_for(1);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_NOT_SENT);
	assert_non_null(strstr(got.error, "resolve"));
}

static void connect_timeout_is_not_sent(void **state)
{
	struct http_request q = {.body = "{}", .body_len = 2};
	int port = 0;
	int fd = tiny_listen(&port);
	char url[64];
	int64_t began_us = clock_mono_us();

	(void)state;
	/* TCP is accepted by the kernel, TLS never begins */
	assert_true(fd >= 0);
	start_client(1, 100 * MS, S_TO_US(30), NULL);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port);
	q.url = url;
	must_send(&q);
	wait_for(1);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_NOT_SENT);
	assert_in_range(clock_mono_us() - began_us, 50 * MS, S_TO_US(10));
	close(fd);
}

static enum tiny_next hang_up(const struct tiny_request *q)
{
	(void)q;
	return TINY_CLOSE;
}

static enum tiny_next tear(const struct tiny_request *q)
{
	(void)q;
	return TINY_RESET;
}

static enum tiny_next half_a_head(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 200 OK\r\nContent-Le");
	return TINY_CLOSE;
}

/* all but the empty line: it could be a whole head, were it not for the end of it */
static enum tiny_next nearly_a_head(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 400 Bad Request\r\nX-One: 1\r\n");
	return TINY_CLOSE;
}

static enum tiny_next truncated(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{\"error_code\":\"INV");
	return TINY_CLOSE;
}

static enum tiny_next truncated_chunks(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{\"run_id\":1}\r\n");
	return TINY_CLOSE;
}

static enum tiny_next nonsense(const struct tiny_request *q)
{
	tiny_say(q, "SSH-2.0-OpenSSH_9.2\r\n");
	return TINY_CLOSE;
}

static enum tiny_next endless_body(const struct tiny_request *q)
{
	static char chunk[65536 + 16];
	int n = snprintf(chunk, sizeof(chunk), "10000\r\n");

	memset(chunk + n, 'x', 65536);
	memcpy(chunk + n + 65536, "\r\n", 2);
	tiny_say(q, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	while (tiny_send(q, chunk, (size_t)n + 65538))
		;
	return TINY_CLOSE;
}

static enum tiny_next endless_head(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 200 OK\r\n");
	while (tiny_say(
		q, "X-Filler: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n"))
		;
	return TINY_CLOSE;
}

static enum tiny_next endless_interim(const struct tiny_request *q)
{
	while (tiny_say(q, "HTTP/1.1 102 Processing\r\nX-Filler: 012345678901234567890123456789\r\n\r\n"))
		;
	return TINY_CLOSE;
}

static enum tiny_next promised_too_much(const struct tiny_request *q)
{
	tiny_say(q, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
	return TINY_CLOSE;
}

static void no_full_answer_is_lost(void **state)
{
	static const struct {
		tiny_fn answer;
		const char *error; /* part of it, or NULL */
	} rows[] = {
		{hang_up, NULL},
		{tear, NULL},
		{half_a_head, NULL},
		{nearly_a_head, NULL},
		{truncated, NULL},
		{truncated_chunks, NULL},
		{nonsense, NULL},
		{endless_body, "too large"},
		{endless_head, "too large"},
		{endless_interim, "too large"},
		{promised_too_much, "too large"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		start_server(rows[i].answer);
		start_client(1, S_TO_US(5), S_TO_US(30), NULL);
		post("{\"a\":1}");
		if (got.transport != OUTCOME_TRANSPORT_LOST || got.status != 0 || got.body_len != 0)
			fail_msg("row %zu: %d, %d, %zu, %s", i, got.transport, got.status, got.body_len,
				got.error);
		assert_int_not_equal(got.error[0], '\0');
		if (rows[i].error != NULL && strstr(got.error, rows[i].error) == NULL)
			fail_msg("row %zu: %s", i, got.error);
		/* what was sent beyond our caps filled socket buffers only */
		assert_in_range(server.seen->sent_bytes, 0, 16 * 1024 * 1024);
		if (i + 1 < ARRAY_SIZE(rows))
			tear_down(NULL);
	}
}

static enum tiny_next exactly_the_cap(const struct tiny_request *q)
{
	char head[100];
	char *body = malloc(HTTP_BODY_BYTES + 1);
	size_t n = HTTP_BODY_BYTES + (q->number == 1 ? 0 : 1);

	memset(body, 'x', n);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
	tiny_say(q, head);
	tiny_send(q, body, n);
	free(body);
	return TINY_KEEP;
}

static void the_cap_to_the_byte(void **state)
{
	(void)state;
	start_server(exactly_the_cap);
	start_client(1, S_TO_US(5), S_TO_US(30), NULL);
	post("");
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_OK);
	assert_int_equal(got.body_len, HTTP_BODY_BYTES);
	post("");
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_LOST);
}

static void silence_is_lost_at_the_deadline(void **state)
{
	int64_t began_us = clock_mono_us();

	(void)state;
	server = (struct tiny){.answer = park, .release = hello, .park_until = 99};
	assert_true(tiny_start(&server));
	start_client(1, S_TO_US(5), 200 * MS, NULL);
	post("{}");
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_LOST);
	assert_in_range(clock_mono_us() - began_us, 150 * MS, S_TO_US(20));
	assert_int_equal(server.seen->requests, 1);
}

static enum tiny_next in_pieces(const struct tiny_request *q)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"run_id\":77}";

	for (const char *p = text; *p != '\0'; p++) {
		tiny_send(q, p, 1);
		poll(NULL, 0, 2); /* this is the slow server */
	}
	return TINY_KEEP;
}

static void slow_is_not_lost(void **state)
{
	(void)state;
	start_server(in_pieces);
	start_client(1, S_TO_US(5), S_TO_US(30), NULL);
	post("{}");
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_OK);
	assert_string_equal(got.body, "{\"run_id\":77}");
}

static enum tiny_next drop_the_second(const struct tiny_request *q)
{
	return q->number == 2 ? TINY_CLOSE : hello(q);
}

static void curl_itself_repeats_on_a_kept_connection_that_died(void **state)
{
	(void)state;
	start_server(drop_the_second);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	post("{}");
	assert_false(got.resent);
	post("{\"second\":2}");
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_OK);
	assert_true(got.resent); /* and that is told */
	assert_int_equal(server.seen->requests, 3);
	assert_non_null(strstr(server.seen->last, "{\"second\":2}"));
}

/* ---- what is never done ---- */

static enum tiny_next redirect_elsewhere(const struct tiny_request *q)
{
	char line[100];

	/* the port of the other server stands in the request's path */
	snprintf(line, sizeof(line), "Location: http://127.0.0.1:%ld/stolen\r\n",
		strtol(strchr(q->text, '/') + 1, NULL, 10));
	return tiny_reply(q, "302 Found", line, "");
}

static void redirects_are_not_followed(void **state)
{
	struct tiny other = {.answer = hello};
	struct http_request q = {.body = "{}", .body_len = 2};
	struct http_response r = {.head = got.head};
	struct secret *s = secret_new(100);
	char path[32];
	size_t len;

	(void)state;
	assert_int_equal(secret_add(s, "Authorization: Bearer dapi1234", 30), 0);
	assert_true(tiny_start(&other));
	start_server(redirect_elsewhere);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	snprintf(path, sizeof(path), "/%d", other.port);
	q.url = url_of(server.port, path);
	q.authorization = s;
	must_send(&q);
	wait_for(1);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_OK);
	assert_int_equal(got.status, 302);
	assert_non_null(http_header_get(&r, "location", &len));
	assert_int_equal(other.seen->connections, 0);
	tiny_stop(&other);
	secret_free(s);
}

static void proxies_of_the_environment_are_ignored(void **state)
{
	static const char *const names[] = {
		"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"};
	struct tiny proxy = {.answer = hello};

	(void)state;
	assert_true(tiny_start(&proxy));
	start_server(hello);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		setenv(names[i], url_of(proxy.port, ""), 1);
	unsetenv("no_proxy");
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	post("{}");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	assert_int_equal(got.status, 200);
	assert_int_equal(proxy.seen->connections, 0);
	assert_int_equal(server.seen->requests, 1);
	tiny_stop(&proxy);
}

static void session_keys_are_not_written(void **state)
{
	(void)state;
	setenv("SSLKEYLOGFILE", "/nonexistent/keys", 1);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	assert_null(getenv("SSLKEYLOGFILE"));
}

static void check_refused(const struct http_request *q)
{
	struct err err = ERR_INIT;

	if (http_send(client, q, on_response, NULL, &err) != -EINVAL)
		fail_msg("sent: %s", q->url);
	assert_int_not_equal(err.text[0], '\0');
}

static void url_must_be_safe(void **state)
{
	static const char *const urls[] = {
		"http://example.com/",
		"http://127.0.0.1.example.com/",
		"http://127.0.0.1@example.com/",
		"http://127.0.0.1:80@example.com/",
		"http://localhost@example.com/",
		"http://localhost.example.com/",
		"http://[::1]@example.com/",
		"http://[::1].example.com/",
		"http://[::2]/",
		"http://127.1/",
		"http://128.0.0.1/",
		"http://10.0.0.1/?127.0.0.1",
		"http://169.254.169.253/",
		"http://169.254.169.254.example.com/",
		"http://169.254.169.254@example.com/",
		"http://169.254.169.2540/",
		"http://example.com/169.254.169.254",
		"http://example.com\\@127.0.0.1/",
		"http:///127.0.0.1/",
		"http://",
		"HTTP://127.0.0.1/",
		"ftp://127.0.0.1/",
		"file:///etc/hostname",
		"//127.0.0.1/",
		"127.0.0.1",
		"",
		"https://example.com/\r\nX-Evil: 1",
		"https://example.com/\nX-Evil: 1",
		"https://example.com/ HTTP/1.1",
		"https://example.com/\x7f",
		"https://ex\xc3\xa4mple.com/",
		"https://user:secret@example.com/",
		"https://user@example.com?x",
		"https://example.com\\@127.0.0.1/",
	};

	(void)state;
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct http_request q = {.url = urls[i]};

		check_refused(&q);
	}

	char *longest = mem_alloc(HTTP_URL_BYTES + 2);
	struct http_request q = {.url = longest};

	memset(longest, 'x', HTTP_URL_BYTES + 1);
	memcpy(longest, "https://", 8);
	check_refused(&q);
	free(longest);
	assert_int_equal(http_in_flight(client), 0);
}

static void loopback_spellings(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost", "LOCALHOST"};
	char urls[ARRAY_SIZE(hosts)][100];
	struct err err = ERR_INIT;

	(void)state;
	start_server(hello);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct http_request q = {.url = urls[i]};

		snprintf(urls[i], sizeof(urls[i]), "http://%s:%d/x?y#z", hosts[i], server.port);
		assert_int_equal(http_send(client, &q, on_response, NULL, &err), 0);
	}
	wait_for(ARRAY_SIZE(hosts));
	assert_int_equal(server.seen->requests, ARRAY_SIZE(hosts));

	struct http_request q = {.url = "http://[::1]:1/"}; /* nobody there, but it may be asked */

	must_send(&q);
	wait_for(ARRAY_SIZE(hosts) + 1);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_NOT_SENT);
}

/* Given up before the loop sends anything: there is nobody at this address here. */
static void the_metadata_service_may_be_plain(void **state)
{
	struct http_request q = {.url = "http://169.254.169.254/metadata/identity/oauth2/token?x"};

	(void)state;
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	must_send(&q);
	assert_int_equal(http_in_flight(client), 1);
}

static void a_secret_takes_the_answer(void **state)
{
	struct secret *answer = secret_new(12), *small = secret_new(11);
	struct http_request q = {.answer = answer};

	(void)state;
	start_server(hello);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	q.url = url_of(server.port, "/x");
	must_send(&q);
	wait_for(1);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_OK);
	assert_int_equal(got.body_len, 12);
	assert_string_equal(got.body, "{\"run_id\":1}");
	assert_string_equal(secret_bytes(answer), "{\"run_id\":1}");

	q.answer = small;
	must_send(&q);
	wait_for(2);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_LOST);
	assert_non_null(strstr(got.error, "too large"));
	assert_string_equal(got.body, "");
	secret_free(answer);
	secret_free(small);
}

static void header_lines_cannot_be_smuggled(void **state)
{
	static const char *const lines[] = {
		"X-A: 1\r\nX-Evil: 1",
		"X-A: 1\nX-Evil: 1",
		"X-A: 1\r",
		"X-A\r\n: 1",
		"X-A 1",
		"X A: 1",
		": 1",
		"",
		"X-A: \x01",
		"X-A: \x7f",
		"X-A;",
	};
	static const char *const too_many[HTTP_HEADERS_MAX + 2] = {"A: 1", "A: 1", "A: 1", "A: 1", "A: 1",
		"A: 1", "A: 1", "A: 1", "A: 1", "A: 1", "A: 1", "A: 1", "A: 1", "A: 1", "A: 1", "A: 1",
		"A: 1", NULL};

	(void)state;
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *const headers[] = {"Accept: x", lines[i], NULL};
		struct secret *s = secret_new(100);
		struct http_request q = {.url = "http://127.0.0.1:1/", .headers = headers};

		check_refused(&q);
		assert_int_equal(secret_add(s, lines[i], strlen(lines[i])), 0);
		q = (struct http_request){.url = "http://127.0.0.1:1/", .authorization = s};
		check_refused(&q);
		secret_free(s);
	}

	struct http_request q = {.url = "http://127.0.0.1:1/", .headers = too_many};

	check_refused(&q);
}

/* ---- Retry-After ---- */

static enum tiny_next echo_retry_after(const struct tiny_request *q)
{
	/* the value is the request's body */
	char line[200];

	snprintf(line, sizeof(line), "Retry-After: %.*s\r\n",
		(int)(q->text + q->len - (strstr(q->text, "\r\n\r\n") + 4)), strstr(q->text, "\r\n\r\n") + 4);
	return tiny_reply(q, "429 Too Many Requests", line, "");
}

static void retry_after_in_seconds(void **state)
{
	static const struct {
		const char *value;
		int64_t us;
	} rows[] = {
		{"0", 0},
		{"7", S_TO_US(7)},
		{"120", S_TO_US(120)},
		{"3600", S_TO_US(3600)},
		{"99999999", HTTP_RETRY_AFTER_MAX_US},
		{"99999999999999999999999999", -1}, /* anything within the bounds */
		{"soon", 0},
		{"-5", 0},
		{"", 0},
		{"Fri, 31 Dec 1999 23:59:59 GMT", 0},
		{"Fri, 31 Dec 2100 23:59:59 GMT", HTTP_RETRY_AFTER_MAX_US},
	};

	(void)state;
	start_server(echo_retry_after);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		post(rows[i].value);
		assert_int_equal(got.status, 429);
		if (rows[i].us >= 0 ? got.retry_after_us != rows[i].us
				    : got.retry_after_us < 0 || got.retry_after_us > HTTP_RETRY_AFTER_MAX_US)
			fail_msg("%s: %lld", rows[i].value, (long long)got.retry_after_us);
	}
	post("x\r\nX-None: 1"); /* and one answer's value is not the next one's */
	assert_int_equal(got.retry_after_us, 0);
}

static void retry_after_as_a_date(void **state)
{
	time_t then = time(NULL) + 90;
	struct tm tm;
	char value[64];

	(void)state;
	start_server(echo_retry_after);
	start_client(1, S_TO_US(5), S_TO_US(5), NULL);
	gmtime_r(&then, &tm);
	assert_true(strftime(value, sizeof(value), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
	post(value);
	assert_in_range(got.retry_after_us, S_TO_US(60), S_TO_US(90));
}

/* ---- ending ---- */

static void giving_up_makes_no_callback(void **state)
{
	struct http_request q = {.body = "{}", .body_len = 2};
	struct secret *s = secret_new(100);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(secret_add(s, "Authorization: x", 16), 0);
	server = (struct tiny){.answer = park, .release = hello, .park_until = 99};
	assert_true(tiny_start(&server));
	start_client(2, S_TO_US(5), S_TO_US(5), NULL);
	q.url = url_of(server.port, "/");
	q.authorization = s;
	for (int i = 0; i < 5; i++)
		must_send(&q);
	secret_free(s); /* the client has its own references */
	while (server.seen->requests < 2)
		assert_int_equal(loop_run_once(loop, 10 * MS, &err), 0);
	http_free(client);
	client = NULL;
	assert_int_equal(loop_run_once(loop, 0, &err), 0);
	assert_int_equal(got.calls, 0);
	http_free(NULL);
}

static void plain_answer_to_tls_is_not_sent(void **state)
{
	struct http_request q = {0};
	char url[64];

	(void)state;
	start_server(nonsense);
	start_client(1, S_TO_US(1), S_TO_US(5), NULL);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", server.port);
	q.url = url;
	must_send(&q);
	wait_for(1);
	assert_int_equal(got.transport, OUTCOME_TRANSPORT_NOT_SENT);
	assert_int_equal(server.seen->requests, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(post_and_answer),
		TEST(get_has_no_body),
		TEST(interim_answers_are_skipped),
		TEST(large_body_goes_out_at_once),
		TEST(one_connection_for_a_hundred_requests),
		TEST(no_more_at_once_than_allowed),
		TEST(waiting_requests_are_bounded),
		TEST(the_url_is_copied),
		TEST(closed_connection_is_replaced),
		TEST(next_request_from_inside_a_callback),
		TEST(refused_is_not_sent),
		TEST(unknown_name_is_not_sent),
		TEST(connect_timeout_is_not_sent),
		TEST(no_full_answer_is_lost),
		TEST(the_cap_to_the_byte),
		TEST(silence_is_lost_at_the_deadline),
		TEST(slow_is_not_lost),
		TEST(curl_itself_repeats_on_a_kept_connection_that_died),
		TEST(redirects_are_not_followed),
		TEST(proxies_of_the_environment_are_ignored),
		TEST(session_keys_are_not_written),
		TEST(url_must_be_safe),
		TEST(loopback_spellings),
		TEST(the_metadata_service_may_be_plain),
		TEST(a_secret_takes_the_answer),
		TEST(header_lines_cannot_be_smuggled),
		TEST(retry_after_in_seconds),
		TEST(retry_after_as_a_date),
		TEST(giving_up_makes_no_callback),
		TEST(plain_answer_to_tls_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
