/*
 * smtp: with a server that follows a script, in a forked child: banner, then one answer for each line it gets
 * (and one for the mail). STARTTLS and passwords are tried with real servers, in tests/scenario.
 */
#include "dispatch/smtp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"

#define S_TO_US(s) (INT64_C(1000000) * (s))
#define PATIENCE_S 60 /* a test that hangs ends with SIGALRM */
#define HANG "hang"   /* says nothing more, and does not close */
#define CLOSE "close"

static struct loop *loop;
static struct smtp *client;
static pid_t server;
static struct seen { /* shared with the server */
	char said[65536];
	size_t len;
	bool closed; /* the client has closed the line */
} * seen;

static struct {
	int calls;
	enum smtp_fate fate;
	bool denied, has_talk;
	char words[1024];
	char second[SMTP_WORDS_BYTES];
} got;

/* ---- the server ---- */

/* A line, or a mail to the point that ends it. False: the client has closed. */
static bool serve_line(FILE *in, bool is_mail)
{
	char line[2048];

	do {
		if (fgets(line, sizeof(line), in) == NULL) {
			seen->closed = true;
			return false;
		}
		memcpy(seen->said + seen->len, line, strlen(line));
		seen->len += strlen(line);
	} while (is_mail && strcmp(line, ".\r\n") != 0);
	return true;
}

static void serve(int fd, const char *const *script)
{
	FILE *io = fdopen(fd, "r");
	bool is_mail = false;

	for (; *script != NULL; script++) {
		if (strcmp(*script, CLOSE) == 0)
			return;
		if (strcmp(*script, HANG) == 0)
			break;
		if (send(fd, *script, strlen(*script), MSG_NOSIGNAL) < 0)
			return;
		is_mail = strncmp(*script, "354", 3) == 0;
		if (!serve_line(io, is_mail))
			return;
	}
	while (serve_line(io, false))
		;
}

static int start_server(const char *const *script)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	server = fork();
	assert_true(server >= 0);
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(PATIENCE_S);
		for (;;) {
			int connection = accept(fd, NULL, NULL);

			if (connection < 0)
				_exit(1);
			serve(connection, script);
			close(connection);
		}
	}
	close(fd);
	return ntohs(a.sin_port);
}

/* ---- the client ---- */

static void on_answer(const struct smtp_answer *a, void *arg)
{
	(void)arg;
	got.calls++;
	got.fate = a->fate;
	got.denied = a->denied;
	got.has_talk = a->talk != NULL;
	snprintf(got.words, sizeof(got.words), "%s", a->words != NULL ? a->words : "");
	snprintf(got.second, sizeof(got.second), "%s",
		a->talk != NULL ? smtp_talk_recipient(a->talk, 1)->words : "");
}

static int set_up(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	alarm(PATIENCE_S);
	memset(&got, 0, sizeof(got));
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	loop = loop_new(&err);
	return seen == MAP_FAILED || loop == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	smtp_free(client);
	client = NULL;
	loop_free(loop);
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
	munmap(seen, sizeof(*seen));
	return 0;
}

static void make_client_to(const char *host, int port, const char *username, int64_t timeout_us)
{
	CLEANUP_FREE char *url = mem_printf("smtp://%s:%d", host, port);
	const struct smtp_options o = {.url = url, .username = username, .timeout_us = timeout_us};
	struct err err = ERR_INIT;

	client = smtp_new(loop, &o, &err);
	assert_non_null(client);
}

static void make_client(int port, const char *username, int64_t timeout_us)
{
	make_client_to("127.0.0.1", port, username, timeout_us);
}

#define MAIL "Subject: x\r\n\r\n.text\r\n"

static void begin(struct secret *password)
{
	static const char *const to[] = {"b@example.com", "c@example.com"};
	static struct smtp_mail m = {
		.from = "a@example.com", .to = to, .to_n = 2, .bytes = MAIL, .len = sizeof(MAIL) - 1};
	struct err err = ERR_INIT;
	int before = got.calls;

	m.password = password;
	assert_int_equal(smtp_send(client, &m, on_answer, NULL, &err), 0);
	assert_int_equal(got.calls, before); /* never from inside */
}

static void wait_for(int calls)
{
	struct err err = ERR_INIT;

	while (got.calls < calls)
		assert_true(loop_run_once(loop, S_TO_US(PATIENCE_S), &err) >= 0);
	assert_int_equal(got.calls, calls);
}

#define GREETING "220 here\r\n", "250-h\r\n250 SIZE 1000\r\n"

static const struct {
	const char *script[16];
	enum smtp_fate fate;
	const char *words; /* that are among what is said */
	const char *second;
	bool has_talk;
} rows[] = {
	{{GREETING, "250 ok\r\n", "250 b\r\n", "250 c\r\n", "354 go\r\n", "250 queued\r\n", HANG},
		SMTP_DELIVERED, "", "250 c", true},
	{{GREETING, "250 ok\r\n", "250 b\r\n", "550 no c\r\n", "354 go\r\n", "250 queued\r\n", HANG},
		SMTP_DELIVERED, "", "550 no c", true},
	{{GREETING, "250 ok\r\n", "250 b\r\n", "250 c\r\n", "354 go\r\n", "554 spam\r\n", HANG}, SMTP_REFUSED,
		"refuses this mail: 554 spam", "250 c", true},
	{{GREETING, "451 later\r\n", HANG}, SMTP_AGAIN, "does not take the mail: 451 later", "", true},
	{{GREETING, "250 ok\r\n", "550 b\r\n", "550 c\r\n", HANG}, SMTP_AGAIN,
		"does not take the mail: 550 b", "550 c", true},
	{{GREETING, "250 ok\r\n", CLOSE}, SMTP_AGAIN, "closed the line before its answer to RCPT TO", "",
		true},
	{{GREETING, "250 ok\r\n", "250 b\r\n", "250 c\r\n", "354 go\r\n", CLOSE}, SMTP_AGAIN,
		"closed the line before its answer to the mail", "250 c", true},
	{{GREETING, "hello\r\n", HANG}, SMTP_AGAIN, "its answer to MAIL FROM is no SMTP: \"hello\"", "",
		true},
	{{"554 not you\r\n", HANG}, SMTP_AGAIN, "does not let us in: 554 not you", "", false},
	{{CLOSE}, SMTP_AGAIN, "127.0.0.1", "", false},
};

static void test_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (i > 0)
			assert_int_equal(set_up(state), 0);
		make_client(start_server(rows[i].script), NULL, S_TO_US(PATIENCE_S));
		begin(NULL);
		wait_for(1);
		if (got.fate != rows[i].fate || strstr(got.words, rows[i].words) == NULL)
			fail_msg("row %zu: fate %d: %s", i, (int)got.fate, got.words);
		assert_string_equal(got.second, rows[i].second);
		assert_int_equal(got.has_talk, rows[i].has_talk);
		if (i + 1 < ARRAY_SIZE(rows))
			tear_down(state);
	}
}

/* What a server sees of a mail, with a QUIT in the end whose answer is not waited for; and a second mail. */
static void test_what_is_said(void **state)
{
	static const char *const script[] = {
		GREETING, "250 ok\r\n", "250 b\r\n", "250 c\r\n", "354 go\r\n", "250 queued\r\n", HANG, NULL};
	struct err err = ERR_INIT;
	const char *said;

	(void)state;
	make_client(start_server(script), NULL, S_TO_US(PATIENCE_S));
	begin(NULL);
	wait_for(1);
	begin(NULL);
	wait_for(2);
	while (!seen->closed || strstr(seen->said, "QUIT") == strrchr(seen->said, 'Q'))
		(void)loop_run_once(loop, S_TO_US(1) / 100, &err);
	assert_int_equal(got.fate, SMTP_DELIVERED);
	said = strchr(seen->said, '\n') + 1; /* behind EHLO */
	assert_int_equal(
		strncmp(said,
			"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"
			"RCPT TO:<c@example.com>\r\nDATA\r\nSubject: x\r\n\r\n..text\r\n.\r\nQUIT\r\n"
			"EHLO ",
			strlen("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n"
			       "RCPT TO:<c@example.com>\r\nDATA\r\nSubject: x\r\n\r\n..text\r\n.\r\n"
			       "QUIT\r\nEHLO ")),
		0);
}

/* The server says nothing: wherever that is, the delivery ends in time, and nothing else waits for it. */
static void test_time_is_over(void **state)
{
	static const char *const scripts[][8] = {
		{HANG},
		{"HTTP/1.1 400 Bad Request\r\n", HANG},
		{GREETING, HANG},
		{GREETING, "250 ok\r\n", "250 b\r\n", "250 c\r\n", "354 go\r\n", HANG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct err err = ERR_INIT;
		int64_t longest_us = 0;

		if (i > 0)
			assert_int_equal(set_up(state), 0);
		make_client(start_server(scripts[i]), NULL, S_TO_US(1));
		begin(NULL);
		while (got.calls == 0) {
			int64_t before_us = loop_now_us(loop);

			assert_true(loop_run_once(loop, S_TO_US(1) / 20, &err) >= 0);
			if (loop_now_us(loop) - before_us > longest_us)
				longest_us = loop_now_us(loop) - before_us;
		}
		assert_int_equal(got.fate, SMTP_AGAIN);
		assert_non_null(strstr(got.words, "in time"));
		assert_true(
			longest_us < S_TO_US(1) * 3 / 4); /* no round of the loop has waited for the server */
		if (i + 1 < ARRAY_SIZE(scripts))
			tear_down(state);
	}
}

static void test_nobody_there(void **state)
{
	static const char *const script[] = {HANG, NULL};
	int port = start_server(script);

	(void)state;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	server = 0;
	make_client(port, NULL, S_TO_US(PATIENCE_S));
	begin(NULL);
	wait_for(1);
	assert_int_equal(got.fate, SMTP_AGAIN);
	assert_non_null(strstr(got.words, "cannot be reached"));
}

/* Signing in: the password is on the line (this is loopback), and in no words. */
static void test_password(void **state)
{
	static const char *const script[] = {
		"220 here\r\n", "250-h\r\n250 AUTH PLAIN\r\n", "535 5.7.8 no\r\n", HANG, NULL};
	CLEANUP_SECRET struct secret *password = secret_new(64);

	(void)state;
	assert_int_equal(secret_add(password, "tops3cret", 9), 0);
	make_client(start_server(script), "bw", S_TO_US(PATIENCE_S));
	begin(password);
	wait_for(1);
	assert_int_equal(got.fate, SMTP_AGAIN);
	assert_true(got.denied);
	assert_non_null(strstr(got.words, "smtp_password_file (535 5.7.8 no)"));
	assert_non_null(strstr(seen->said, "AUTH PLAIN"));
	assert_null(strstr(got.words, "tops3cret"));
}

/* A server that repeats what it was told: the password, or what AUTH PLAIN made of it. */
static void test_a_password_that_is_repeated(void **state)
{
	static const char *const no[] = {"535 5.7.8 tops3cret is wrong\r\n",
		"535 5.7.8 AG1lAHRvcHMzY3JldA==\r\n", "535 dG9wczNjcmV0\r\n"};
	CLEANUP_SECRET struct secret *password = secret_new(64);

	assert_int_equal(secret_add(password, "tops3cret", 9), 0);
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		const char *const script[] = {
			"220 here\r\n", "250-h\r\n250 AUTH PLAIN\r\n", no[i], HANG, NULL};

		assert_int_equal(tear_down(state) + set_up(state), 0);
		make_client(start_server(script), "me", S_TO_US(PATIENCE_S));
		begin(password);
		wait_for(1);
		assert_true(got.denied);
		assert_string_equal(strchr(got.words, ' '), " answers with the password in its words");
	}
}

/* 0.0.0.0 leads here, but by its spelling it is another machine. Without STARTTLS the password stays here; a
 * mail without one goes. */
static void test_no_password_in_clear(void **state)
{
	static const char *const script[] = {"220 here\r\n", "250-h\r\n250 AUTH PLAIN\r\n", "250 ok\r\n",
		"250 b\r\n", "250 c\r\n", "354 go\r\n", "250 queued\r\n", HANG, NULL};
	CLEANUP_SECRET struct secret *password = secret_new(64);
	int port = start_server(script);

	(void)state;
	assert_int_equal(secret_add(password, "tops3cret", 9), 0);
	make_client_to("0.0.0.0", port, "bw", S_TO_US(PATIENCE_S));
	begin(password);
	wait_for(1);
	assert_int_equal(got.fate, SMTP_AGAIN);
	assert_non_null(strstr(got.words, "does not offer STARTTLS, and the password is not sent in clear"));
	assert_null(strstr(seen->said, "AUTH"));
	assert_null(strstr(seen->said, "MAIL"));
	smtp_free(client);
	make_client_to("0.0.0.0", port, NULL, S_TO_US(PATIENCE_S));
	begin(NULL);
	wait_for(2);
	assert_int_equal(got.fate, SMTP_DELIVERED);
}

static void test_given_up(void **state)
{
	static const char *const script[] = {GREETING, HANG, NULL};
	struct err err = ERR_INIT;

	(void)state;
	make_client(start_server(script), NULL, S_TO_US(PATIENCE_S));
	begin(NULL);
	while (strstr(seen->said, "MAIL FROM") == NULL)
		(void)loop_run_once(loop, S_TO_US(1) / 100, &err);
	smtp_free(client);
	client = NULL;
	while (!seen->closed)
		(void)loop_run_once(loop, S_TO_US(1) / 100, &err);
	assert_int_equal(got.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time_is_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_password, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_password_that_is_repeated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_password_in_clear, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_given_up, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
