/*
 * http_client: what the tests of dispatch/http have in common: a loop, a client with its transport, a tiny
 * server, and what the last callback was given. set_up() and tear_down() stand around each test.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "dispatch/http.h"

#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"
#include "core/mishap.h"
#include "tiny_server.h"

#define MS INT64_C(1000)
#define S_TO_US(s) (INT64_C(1000000) * (s))
#define PATIENCE_S 60 /* a test that hangs ends with SIGALRM */

static struct loop *loop;
static struct http *client;
static struct conf_workspace workspace; /* what is configured for the transport */
static struct transport *transport;
static long connection_life_s; /* 0: as usual */
static struct tiny server;

/* What the last callback was given, copied. */
static struct {
	int calls;
	enum outcome_transport transport;
	bool resent;
	int status;
	char body[16384];
	size_t body_len;
	char head[8192];
	char reason[128];
	int64_t retry_after_us;
	char error[MISHAP_TEXT_BYTES];
} got;

static inline void on_response(const struct http_response *r, void *arg)
{
	size_t len;
	const char *reason = http_reason_get(r, &len);

	(void)arg;
	got.calls++;
	got.transport = r->transport;
	got.resent = r->resent;
	got.status = r->status;
	got.body_len = r->body_len;
	got.retry_after_us = r->retry_after_us;
	snprintf(got.body, sizeof(got.body), "%s", r->body);
	snprintf(got.head, sizeof(got.head), "%s", r->head);
	snprintf(got.reason, sizeof(got.reason), "%.*s", (int)len, reason);
	snprintf(got.error, sizeof(got.error), "%s", r->error);
}

static inline void wait_for(int calls)
{
	struct err err = ERR_INIT;

	while (got.calls < calls)
		assert_int_equal(loop_run_once(loop, -1, &err), 0);
}

static inline void start_client(
	size_t max_requests, int64_t connect_timeout_us, int64_t request_timeout_us, const char *ca_file)
{
	struct err err = ERR_INIT;
	struct http_options o = {.connect_timeout_us = connect_timeout_us,
		.request_timeout_us = request_timeout_us,
		.max_requests = max_requests,
		.connection_life_s = connection_life_s};

	workspace.ca_file = (char *)ca_file;
	transport = o.transport = transport_new(&workspace, NULL, &err);
	if (transport == NULL)
		fail_msg("%s", err.text);
	loop = loop_new(&err);
	assert_non_null(loop);
	client = http_new(loop, &o, &err);
	assert_non_null(client);
}

static inline void start_server(tiny_fn answer)
{
	server = (struct tiny){.answer = answer};
	assert_true(tiny_start(&server));
}

static inline int set_up(void **state)
{
	(void)state;
	memset(&got, 0, sizeof(got));
	memset(&workspace, 0, sizeof(workspace));
	connection_life_s = 0;
	server = (struct tiny){.pid = -1};
	alarm(PATIENCE_S);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	http_free(client);
	transport_free(transport);
	loop_free(loop);
	client = NULL;
	transport = NULL;
	loop = NULL;
	if (server.pid > 0)
		tiny_stop(&server);
	alarm(0);
	return 0;
}

static inline const char *url_of(int port, const char *path)
{
	static char url[512];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
	return url;
}

static inline void must_send(const struct http_request *q)
{
	struct err err = ERR_INIT;

	if (http_send(client, q, on_response, NULL, &err) != 0)
		fail_msg("%s", err.text);
}

/* One GET of SCHEME://HOST:PORT/, to its end. */
static inline void get_from(const char *scheme, const char *host, int port)
{
	char url[512];
	struct http_request q = {.url = url};

	snprintf(url, sizeof(url), "%s://%s:%d/", scheme, host, port);
	must_send(&q);
	wait_for(got.calls + 1);
}

static inline void check_failed_by(enum outcome_transport how, const char *part)
{
	if (got.transport != how || strstr(got.error, part) == NULL)
		fail_msg("%d, %s; \"%s\" was expected", got.transport, got.error, part);
	assert_int_equal(got.status, 0);
	assert_string_equal(got.body, "");
}

static inline void check_not_sent(const char *part)
{
	check_failed_by(OUTCOME_TRANSPORT_NOT_SENT, part);
}

#endif
