#include "dispatch/control.h"

#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "core/wire.h"

#define IDLE_US (50 * US_PER_MS)
#define ROUNDS 20000

struct bench {
	char directory[64];
	char *path;
	struct loop *loop;
	struct control *control;
	struct wire_message in;
	int client;
	/* what the verbs note */
	int opened, closed, applied, committed, pieces;
	bool silent; /* `wait` has nothing to say yet */
	char seen[256];
};

/* ---- verbs ---- */

struct count {
	int64_t n;
};

static int open_any(struct control_job *j, struct err *err)
{
	struct bench *b = j->host;

	if (strcmp(j->request->reason, "refuse") == 0)
		return err_set(err, ERR_USAGE, EINVAL, "not with that reason");
	b->opened++;
	return 0;
}

static void close_any(struct control_job *j)
{
	struct bench *b = j->host;

	b->closed++;
}

/* `echo`: a record for each operand. */
static int next_echo(struct control_job *j, struct buf *json, struct err *err)
{
	struct count *c = j->state;
	struct bench *b = j->host;

	(void)err;
	if ((size_t)c->n == j->request->operands_n) {
		j->status = 5;
		snprintf(j->text, sizeof(j->text), "that was all");
		return 0;
	}
	snprintf(b->seen, sizeof(b->seen), "%s/%s/%s/%s/%d", j->request->user, j->request->watch,
		j->request->state, j->request->glob, j->request->yes);
	return buf_addf(json, "{\"operand\":\"%s\"}", j->request->operands[c->n++].bytes) == 0;
}

/* `endless`: never stops. */
static int next_endless(struct control_job *j, struct buf *json, struct err *err)
{
	struct count *c = j->state;
	char filler[2000];

	(void)err;
	memset(filler, 'x', sizeof(filler));
	c->n++;
	return buf_addf(json, "{\"n\":%d,\"x\":\"%.*s\"}", (int)c->n, (int)sizeof(filler), filler) == 0;
}

/* `wait`: one record, when somebody says so; gives up by itself after a while. */
static int next_wait(struct control_job *j, struct buf *json, struct err *err)
{
	struct count *c = j->state;
	const struct bench *b = j->host;

	if (c->n == 1)
		return 0;
	if (b->silent && j->request->yes)
		j->wake_at_us = clock_mono_us() + US_PER_MS;
	if (b->silent && j->request->yes && b->opened > 1)
		return err_set(err, ERR_SYSTEM, ETIMEDOUT, "nobody came");
	if (b->silent)
		return -EAGAIN;
	c->n = 1;
	return buf_adds(json, "{}") == 0;
}

/* `change`: as many pieces as the bench says. */
static int apply_change(struct control_job *j, struct err *err)
{
	struct bench *b = j->host;

	(void)err;
	b->applied++;
	return b->committed + 1 < b->pieces ? CONTROL_AGAIN : 0;
}

static void committed_change(struct control_job *j)
{
	struct bench *b = j->host;

	b->committed++;
	snprintf(j->text, sizeof(j->text), "%d pieces", b->committed);
}

static const struct control_verb echo = {
	.name = "echo",
	.state_bytes = sizeof(struct count),
	.open = open_any,
	.next = next_echo,
	.close = close_any,
};
static const struct control_verb endless = {
	.name = "endless",
	.state_bytes = sizeof(struct count),
	.open = open_any,
	.next = next_endless,
	.close = close_any,
};
static const struct control_verb waiting = {
	.name = "wait",
	.state_bytes = sizeof(struct count),
	.open = open_any,
	.next = next_wait,
	.close = close_any,
};
static const struct control_verb change = {
	.name = "change",
	.open = open_any,
	.apply = apply_change,
	.committed = committed_change,
	.close = close_any,
};
static const struct control_verb *const verbs[] = {&echo, &endless, &waiting, &change};

/* ---- the two ends ---- */

static void start(struct bench *b)
{
	const struct control_options o = {
		.loop = b->loop,
		.directory = b->directory,
		.verbs = verbs,
		.verbs_n = ARRAY_SIZE(verbs),
		.host = b,
		.idle_us = IDLE_US,
	};

	b->control = control_new(&o, NULL);
	assert_non_null(b->control);
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	snprintf(b->directory, sizeof(b->directory), "/tmp/test-control-XXXXXX");
	assert_non_null(mkdtemp(b->directory));
	assert_int_equal(rmdir(b->directory), 0); /* made by control */
	b->path = fs_join(b->directory, CONTROL_SOCKET);
	b->loop = loop_new(NULL);
	b->client = -1;
	b->pieces = 1;
	start(b);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	fs_close(&b->client);
	control_free(b->control);
	assert_int_equal(b->opened, b->closed);
	loop_free(b->loop);
	(void)unlink(b->path);
	assert_int_equal(rmdir(b->directory), 0);
	free(b->path);
	free(b);
	return 0;
}

static int connect_to(struct bench *b)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", b->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* One round, with the transaction that the dispatcher would make of it. */
static void round_of(struct bench *b)
{
	assert_true(loop_run_once(b->loop, US_PER_MS, NULL) >= 0);
	if (!control_has_work(b->control))
		return;
	assert_int_equal(control_apply(b->control, NULL), 0);
	control_committed(b->control);
}

/* The next message for this client: 1, 0 (the end). */
static int receive(struct bench *b, int fd)
{
	struct err err = ERR_INIT;

	for (int i = 0; i < ROUNDS; i++) {
		int rc = wire_recv(fd, &b->in, &err);

		if (rc != -EAGAIN)
			return rc;
		round_of(b);
	}
	fail_msg("no message came");
	return -1;
}

static struct wire_command command_of(const char *verb)
{
	return (struct wire_command){.protocol = WIRE_CONTROL_VERSION,
		.verb = verb,
		.watch = "",
		.state = "",
		.glob = "",
		.reason = ""};
}

static void send_command(int fd, const struct wire_command *m)
{
	assert_int_equal(wire_send(fd, WIRE_COMMAND, m, NULL, 0), 0);
}

static void send_operand(int fd, const char *bytes, size_t len)
{
	const struct wire_operand m = {.bytes = bytes, .bytes_len = len};

	assert_int_equal(wire_send_wait(fd, WIRE_OPERAND, &m, NULL, 0), 0);
}

static void send_go(int fd)
{
	const struct wire_empty m = {0};

	assert_int_equal(wire_send_wait(fd, WIRE_GO, &m, NULL, 0), 0);
}

static void ask(int fd, const char *verb)
{
	struct wire_command m = command_of(verb);

	send_command(fd, &m);
	send_go(fd);
}

static void expect_done(struct bench *b, int fd, int64_t status, const char *text)
{
	assert_int_equal(receive(b, fd), 1);
	assert_int_equal(b->in.type, WIRE_DONE);
	assert_int_equal(b->in.as.done.status, status);
	assert_non_null(strstr(b->in.as.done.text, text));
}

/* Until the other end has let this one go. */
static void expect_end(struct bench *b, int fd)
{
	struct err err = ERR_INIT;
	int rc = -EAGAIN;

	for (int i = 0; i < ROUNDS && rc != 0; i++) {
		rc = wire_recv(fd, &b->in, &err);
		if (rc == -EAGAIN)
			round_of(b);
	}
	assert_int_equal(rc, 0);
}

/* ---- tests ---- */

static void test_the_socket(void **state)
{
	struct bench *b = *state;
	struct stat st;

	assert_int_equal(stat(b->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(stat(b->directory, &st), 0);
	assert_int_equal(st.st_mode & 0007, 0);
	control_free(b->control);
	assert_int_equal(stat(b->path, &st), -1);
	/* what a killed one has left behind is no hindrance */
	start(b);
	control_leave(b->control);
	control_free(b->control);
	assert_int_equal(stat(b->path, &st), 0); /* nor is what one has left for the next */
	start(b);
	control_free(b->control);
	assert_int_equal(mknod(b->path, S_IFSOCK | 0600, 0), 0);
	start(b);
	b->client = connect_to(b);
	ask(b->client, "echo");
	expect_done(b, b->client, 5, "that was all");
}

/* Another service with the same runtime directory keeps its socket. */
static void test_in_use(void **state)
{
	struct bench *b = *state;
	const struct control_options o = {
		.loop = b->loop, .directory = b->directory, .verbs = verbs, .verbs_n = 1};
	struct err err = ERR_INIT;

	assert_null(control_new(&o, &err));
	assert_non_null(strstr(err.text, "another service"));
	b->client = connect_to(b);
	ask(b->client, "echo");
	expect_done(b, b->client, 5, "that was all");
}

static void test_no_directory(void **state)
{
	struct bench *b = *state;
	CLEANUP_FREE char *deep = fs_join(b->directory, "no/such");
	char longer[200];
	struct control_options o = {.loop = b->loop, .directory = deep, .verbs = verbs, .verbs_n = 1};
	struct err err = ERR_INIT;

	assert_null(control_new(&o, &err));
	assert_non_null(strstr(err.text, "runtime directory"));
	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	o.directory = longer;
	assert_null(control_new(&o, &err));
	assert_int_equal(err.class, ERR_CONF);
}

static void test_answers(void **state)
{
	struct bench *b = *state;
	struct wire_command m = command_of("echo");
	const struct passwd *me = getpwuid(geteuid());
	char expected[128];

	m.watch = "w";
	m.state = "held";
	m.glob = "*.csv";
	m.yes = 7;
	b->client = connect_to(b);
	send_command(b->client, &m);
	send_operand(b->client, "one", 3);
	send_operand(b->client, "two", 3);
	send_go(b->client);
	assert_int_equal(receive(b, b->client), 1);
	assert_int_equal(b->in.type, WIRE_RECORD);
	assert_memory_equal(b->in.as.record.json, "{\"operand\":\"one\"}", b->in.as.record.json_len);
	assert_int_equal(receive(b, b->client), 1);
	assert_memory_equal(b->in.as.record.json, "{\"operand\":\"two\"}", b->in.as.record.json_len);
	expect_done(b, b->client, 5, "that was all");
	assert_non_null(me);
	snprintf(expected, sizeof(expected), "%s/w/held/*.csv/1", me->pw_name);
	assert_string_equal(b->seen, expected);
	/* and the next one, of which nothing of the first is left */
	ask(b->client, "echo");
	expect_done(b, b->client, 5, "that was all");
	assert_int_equal(b->closed, 2);
}

static void test_refusals(void **state)
{
	struct bench *b = *state;
	struct wire_command m = command_of("nonsense");
	CLEANUP_FREE char *long_word = mem_alloc(CONTROL_WORD_BYTES + 1);

	memset(long_word, 'x', CONTROL_WORD_BYTES);
	b->client = connect_to(b);
	send_command(b->client, &m);
	send_operand(b->client, "passed over", 11);
	send_go(b->client);
	expect_done(b, b->client, 2, "does not know this verb");
	m = command_of("echo");
	m.protocol = WIRE_CONTROL_VERSION + 1;
	send_command(b->client, &m);
	send_go(b->client);
	expect_done(b, b->client, 1, "another version");
	m = command_of("echo");
	m.glob = long_word;
	send_command(b->client, &m);
	send_go(b->client);
	expect_done(b, b->client, 2, "too long");
	m = command_of("echo");
	m.since_us = -1;
	send_command(b->client, &m);
	send_go(b->client);
	expect_done(b, b->client, 2, "not a time");
	m = command_of("echo");
	m.reason = "refuse";
	send_command(b->client, &m);
	send_go(b->client);
	expect_done(b, b->client, 2, "not with that reason");
	for (int i = 0; i < 2; i++) {
		m = command_of("echo");
		send_command(b->client, &m);
		send_operand(b->client, "a\0b", i == 0 ? 0 : 3);
		send_operand(b->client, "good", 4);
		send_go(b->client);
		expect_done(b, b->client, 2, "empty or holds a zero byte");
	}
	assert_int_equal(b->opened, 0);
	ask(b->client, "echo");
	expect_done(b, b->client, 5, "that was all");
}

/* Sends operands until the service has no more room for them, reading on the way. */
static void send_many(struct bench *b, int fd, size_t n, size_t len)
{
	CLEANUP_FREE char *bytes = mem_alloc(len + 1);
	const struct wire_operand m = {.bytes = bytes, .bytes_len = len};

	memset(bytes, 'x', len);
	for (size_t i = 0; i < n; i++) {
		int rc;

		while ((rc = wire_send(fd, WIRE_OPERAND, &m, NULL, 0)) == -EAGAIN)
			round_of(b);
		assert_int_equal(rc, 0);
	}
}

static void test_too_many_operands(void **state)
{
	struct bench *b = *state;
	struct wire_command m = command_of("echo");

	b->client = connect_to(b);
	send_command(b->client, &m);
	send_many(b, b->client, CONTROL_OPERANDS_MAX + 1, 4);
	send_go(b->client);
	expect_done(b, b->client, 2, "too much for one command");
	send_command(b->client, &m);
	send_many(b, b->client, 40, 30000);
	send_go(b->client);
	expect_done(b, b->client, 2, "too much for one command");
	assert_int_equal(b->opened, 0);
}

/* All clients together hold no more than that, however many they are. */
static void test_too_much_at_once(void **state)
{
	struct bench *b = *state;
	int clients[CONTROL_CLIENTS_MAX], refused = 0;
	struct wire_command m = command_of("echo");

	for (int i = 0; i < 16; i++) {
		clients[i] = connect_to(b);
		send_command(clients[i], &m);
		send_many(b, clients[i], 30, 30000);
	}
	for (int i = 0; i < 16; i++) {
		send_go(clients[i]);
		do
			assert_int_equal(receive(b, clients[i]), 1);
		while (b->in.type != WIRE_DONE);
		refused += b->in.as.done.status == 1;
	}
	assert_true(refused > 0);
	assert_true(refused < 16);
	for (int i = 0; i < 16; i++)
		fs_close(&clients[i]);
}

static void test_disorder(void **state)
{
	struct bench *b = *state;
	struct wire_command m = command_of("echo");
	const struct wire_counts counts = {.done = 1};

	for (int i = 0; i < 4; i++) {
		b->client = connect_to(b);
		if (i == 0) {
			send_go(b->client);
		} else if (i == 1) {
			send_operand(b->client, "x", 1);
		} else if (i == 2) {
			send_command(b->client, &m);
			send_command(b->client, &m);
		} else {
			assert_int_equal(wire_send(b->client, WIRE_COUNTS, &counts, NULL, 0), 0);
		}
		expect_end(b, b->client);
		fs_close(&b->client);
	}
	b->client = connect_to(b);
	assert_int_equal(send(b->client, "garbage", 7, 0), 7);
	expect_end(b, b->client);
}

static void test_half_a_command(void **state)
{
	struct bench *b = *state;
	struct wire_command m = command_of("change");

	b->client = connect_to(b);
	send_command(b->client, &m);
	expect_end(b, b->client); /* dropped, for it says no more */
	assert_int_equal(b->opened, 0);
	fs_close(&b->client);
	b->client = connect_to(b);
	expect_end(b, b->client); /* who says nothing at all, likewise */
}

static void test_who_never_reads(void **state)
{
	struct bench *b = *state;
	int other = connect_to(b);

	b->client = connect_to(b);
	ask(b->client, "endless");
	ask(other, "echo");
	expect_done(b, other, 5, "that was all");
	for (int i = 0; i < ROUNDS && b->closed < 2; i++)
		round_of(b);
	assert_int_equal(b->closed, 2); /* it was dropped */
	fs_close(&other);
}

static void test_who_reads_slowly(void **state)
{
	struct bench *b = *state;

	b->client = connect_to(b);
	ask(b->client, "endless");
	for (int i = 0; i < 2000; i++) {
		char first[32];

		assert_int_equal(receive(b, b->client), 1);
		assert_int_equal(b->in.type, WIRE_RECORD);
		snprintf(first, sizeof(first), "{\"n\":%d,", i + 1);
		assert_memory_equal(b->in.as.record.json, first, strlen(first));
	}
	fs_close(&b->client); /* gone in the middle of its answer */
	for (int i = 0; i < ROUNDS && b->closed == 0; i++)
		round_of(b);
	assert_int_equal(b->closed, 1);
}

static void test_too_many_clients(void **state)
{
	struct bench *b = *state;
	int clients[CONTROL_CLIENTS_MAX];

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		clients[i] = connect_to(b);
		ask(clients[i], "wait");
		round_of(b);
	}
	b->silent = true;
	b->client = connect_to(b);
	expect_done(b, b->client, 1, "too many clients");
	assert_int_equal(receive(b, b->client), 0);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fs_close(&clients[i]);
	fs_close(&b->client);
	for (int i = 0; i < ROUNDS && b->closed < CONTROL_CLIENTS_MAX; i++)
		round_of(b);
	b->client = connect_to(b);
	ask(b->client, "echo");
	expect_done(b, b->client, 5, "that was all");
}

static void test_waiting(void **state)
{
	struct bench *b = *state;
	int other = connect_to(b);
	struct wire_command m = command_of("wait");

	b->silent = true;
	b->client = connect_to(b);
	ask(b->client, "wait");
	ask(other, "echo");
	expect_done(b, other, 5, "that was all"); /* others are served meanwhile */
	b->silent = false;
	control_wake(b->control);
	assert_int_equal(receive(b, b->client), 1);
	assert_int_equal(b->in.type, WIRE_RECORD);
	expect_done(b, b->client, 0, "");
	/* and by itself, at its time */
	b->silent = true;
	m.yes = 1;
	send_command(other, &m);
	send_go(other);
	expect_done(b, other, 1, "nobody came");
	fs_close(&other);
}

static void test_change(void **state)
{
	struct bench *b = *state;

	b->pieces = 3;
	b->client = connect_to(b);
	ask(b->client, "change");
	while (!control_has_work(b->control))
		assert_true(loop_run_once(b->loop, US_PER_MS, NULL) >= 0);
	/* a transaction that is given up is made again */
	assert_int_equal(control_apply(b->control, NULL), 0);
	control_undo(b->control);
	assert_int_equal(b->committed, 0);
	assert_true(control_has_work(b->control));
	expect_done(b, b->client, 0, "3 pieces");
	assert_int_equal(b->applied, 4);
	assert_int_equal(b->committed, 3);
	assert_false(control_has_work(b->control));
}

/* What was received whole is carried out, whether anybody waits for it or not. */
static void test_change_without_a_client(void **state)
{
	struct bench *b = *state;

	b->pieces = 5;
	b->client = connect_to(b);
	ask(b->client, "change");
	while (!control_has_work(b->control))
		assert_true(loop_run_once(b->loop, US_PER_MS, NULL) >= 0);
	fs_close(&b->client);
	for (int i = 0; i < ROUNDS && b->closed == 0; i++)
		round_of(b);
	assert_int_equal(b->committed, 5);
	assert_int_equal(b->closed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_in_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_operands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_much_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disorder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_half_a_command, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_never_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_reads_slowly, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_clients, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waiting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_change_without_a_client, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
