#include "dispatch/link.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/mem.h"

struct bench {
	struct loop *loop;
	struct link *link;
	struct wire_message in, out;
	int watcher; /* the other end */
	int own;     /* the link's */
	int messages, ends;
	enum wire_type last;
	char why[ERR_TEXT_BYTES];
	int stop_after; /* messages in one round */
};

static bool on_link(struct link *l, const struct wire_message *m, const char *why, void *arg)
{
	struct bench *b = arg;

	if (!m) {
		b->ends++;
		snprintf(b->why, sizeof(b->why), "%s", why ? why : "closed");
		link_free(l);
		b->link = NULL;
		return false;
	}
	b->messages++;
	b->last = m->type;
	return b->messages % b->stop_after != 0;
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	int pair[2];

	assert_int_equal(sock_pair(pair, NULL), 0);
	b->loop = loop_new(NULL);
	b->watcher = pair[0];
	b->own = pair[1];
	b->stop_after = 1000;
	b->link = link_new(b->loop, pair[1], &b->in, on_link, b, NULL);
	assert_non_null(b->link);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	link_free(b->link);
	loop_free(b->loop);
	fs_close(&b->watcher);
	free(b);
	return 0;
}

static void round_of(struct bench *b)
{
	assert_true(loop_run_once(b->loop, 0, NULL) >= 0);
}

static void send_counts(struct bench *b, int n)
{
	struct wire_counts m = {.done = 1};

	while (n-- > 0)
		assert_int_equal(wire_send(b->watcher, WIRE_COUNTS, &m, NULL, 0), 0);
}

static void test_messages_and_the_end(void **state)
{
	struct bench *b = *state;

	send_counts(b, 3);
	round_of(b);
	assert_int_equal(b->messages, 3);
	assert_int_equal(b->last, WIRE_COUNTS);
	send_counts(b, 1);
	fs_close(&b->watcher);
	round_of(b);
	assert_int_equal(b->messages, 4); /* what it still said comes first */
	assert_int_equal(b->ends, 1);
	assert_string_equal(b->why, "closed");
}

static void test_no_more_than_wanted(void **state)
{
	struct bench *b = *state;

	b->stop_after = 2;
	send_counts(b, 5);
	round_of(b);
	assert_int_equal(b->messages, 2);
	round_of(b);
	assert_int_equal(b->messages, 4);
	link_set_reading(b->link, false);
	round_of(b);
	assert_int_equal(b->messages, 4);
	link_set_reading(b->link, true);
	round_of(b);
	assert_int_equal(b->messages, 5);
}

static void test_garbage_ends_it(void **state)
{
	struct bench *b = *state;

	assert_int_equal(sock_send(b->watcher, "garbage", 7, NULL, 0), 0);
	send_counts(b, 1);
	round_of(b);
	assert_int_equal(b->messages, 0);
	assert_int_equal(b->ends, 1);
	assert_non_null(strstr(b->why, "too short"));
}

/* Descriptors that nobody asked for do not pile up. */
static void test_foreign_descriptors_are_closed(void **state)
{
	struct bench *b = *state;
	struct wire_counts m = {.done = 1};
	int pair[2], probe;
	char c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(wire_send(b->watcher, WIRE_COUNTS, &m, &pair[0], 1), 0);
	close(pair[0]);
	probe = pair[1];
	round_of(b);
	assert_int_equal(b->messages, 1);
	assert_int_equal(read(probe, &c, 1), 0); /* nobody has the other end */
	close(probe);
}

static int receive(struct bench *b)
{
	return wire_recv(b->watcher, &b->out, NULL);
}

static int answer(struct bench *b, int64_t seq, const void *bits, size_t len)
{
	const struct wire_wanted m = {.seq = seq, .bits = bits, .bits_len = len};

	return link_send(b->link, WIRE_WANTED, &m);
}

static void test_answers(void **state)
{
	struct bench *b = *state;

	assert_int_equal(answer(b, 7, "\x05\x01", 2), 0);
	assert_int_equal(receive(b), 1);
	assert_int_equal(b->out.type, WIRE_WANTED);
	assert_int_equal(b->out.as.wanted.seq, 7);
	assert_int_equal(b->out.as.wanted.bits_len, 2);
	assert_memory_equal(b->out.as.wanted.bits, "\x05\x01", 2);
	/* to nobody */
	fs_close(&b->watcher);
	assert_int_equal(answer(b, 8, "", 0), 0);
	round_of(b);
	assert_int_equal(b->ends, 1);
}

/* A watcher that does not read: the answer waits in its slot, and the dispatcher does not. */
static void test_full_socket(void **state)
{
	struct bench *b = *state;
	int answers = 0, rc;

	while ((rc = answer(b, answers, "x", 1)) == 0)
		assert_true(++answers < 100000);
	assert_int_equal(rc, -EBUSY);
	round_of(b);
	assert_int_equal(answer(b, 0, "x", 1), -EBUSY);
	for (int i = 0; i < answers; i++) {
		rc = receive(b);
		if (rc == -EAGAIN) { /* the last one comes when there is room */
			round_of(b);
			rc = receive(b);
		}
		assert_int_equal(rc, 1);
		assert_int_equal(b->out.as.wanted.seq, i);
	}
	assert_int_equal(receive(b), -EAGAIN);
	assert_int_equal(answer(b, 0, "x", 1), 0);
}

/* Messages of other types have slots of their own, and go out in the order in which they were given. */
static void test_a_slot_for_each_type(void **state)
{
	struct bench *b = *state;
	struct wire_empty empty = {0};
	int answers = 0;

	while (answer(b, answers, "x", 1) == 0)
		answers++;
	for (int i = 0; i < answers; i++) { /* the last one waits in its slot */
		if (i == answers - 2) {
			assert_int_equal(link_send(b->link, WIRE_RESCAN, &empty), 0);
			assert_int_equal(link_send(b->link, WIRE_COUNT, &empty), 0);
		}
		if (i < answers - 1)
			assert_int_equal(receive(b), 1);
	}
	round_of(b);
	assert_int_equal(receive(b), 1);
	assert_int_equal(b->out.type, WIRE_WANTED);
	assert_int_equal(receive(b), 1);
	assert_int_equal(b->out.type, WIRE_RESCAN);
	assert_int_equal(receive(b), 1);
	assert_int_equal(b->out.type, WIRE_COUNT);
}

/* What can never go out would be waited for for ever: the watcher is let go, and asks again. */
static void test_an_answer_that_cannot_be_sent(void **state)
{
	struct bench *b = *state;
	char bits[16 * 1024] = "";
	int small = 1;

	assert_int_equal(setsockopt(b->own, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0); /* EMSGSIZE */
	assert_int_equal(answer(b, 1, bits, sizeof(bits)), 0);
	round_of(b);
	assert_int_equal(b->ends, 1);
	assert_int_equal(receive(b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages_and_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_more_than_wanted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_garbage_ends_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_foreign_descriptors_are_closed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_slot_for_each_type, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_answer_that_cannot_be_sent, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
