/* dispatch/confirm: questions go out in batches, verdicts come back to those who asked, nobody is left
 * waiting. */
#include "dispatch/confirm.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/mem.h"

#define ASKED_MAX 200

struct bench {
	struct loop *loop;
	struct link *link;
	struct confirm *confirm;
	struct wire_message in, out;
	int watcher; /* the other end */
	char verdicts[ASKED_MAX];
	bool again; /* ask anew from inside the answer */
};

static bool on_link(struct link *l, const struct wire_message *m, const char *why, void *arg)
{
	(void)l;
	(void)m;
	(void)why;
	(void)arg;
	return true;
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	int pair[2];

	assert_int_equal(sock_pair(pair, NULL), 0);
	b->loop = loop_new(NULL);
	b->watcher = pair[0];
	b->link = link_new(b->loop, pair[1], &b->in, on_link, b, NULL);
	b->confirm = confirm_new();
	confirm_attach(b->confirm, b->link);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	confirm_free(b->confirm);
	link_free(b->link);
	loop_free(b->loop);
	fs_close(&b->watcher);
	free(b);
	return 0;
}

static int ask(struct bench *b, int64_t id, const char *root);

static void on_verdict(int64_t id, enum wire_verdict verdict, void *arg)
{
	struct bench *b = arg;

	assert_int_equal(b->verdicts[id], 0); /* once */
	b->verdicts[id] = (char)verdict;
	if (b->again && id < 100)
		assert_int_equal(ask(b, id + 100, "/drop"), 0);
}

static int ask(struct bench *b, int64_t id, const char *root)
{
	char name[32];
	const struct wire_known k = {.relpath = name, .size = id, .mtime_ns = 1, .ino = 2, .ends = ""};

	snprintf(name, sizeof(name), "f%d", (int)id);
	return confirm_ask(b->confirm, id, root, &k, on_verdict, b);
}

/* The watcher's side: takes the message, answers with these verdicts. Returns how many were asked for. */
static size_t answer(struct bench *b, const char *verdicts, int64_t serial_off)
{
	struct wire_confirmed m = {.verdicts = verdicts, .verdicts_len = strlen(verdicts)};
	struct wire_known k;
	size_t pos = 0, n = 0;

	assert_int_equal(wire_recv(b->watcher, &b->out, NULL), 1);
	assert_int_equal(b->out.type, WIRE_CONFIRM);
	while (wire_knowns_next(&b->out.as.confirm, &pos, &k) > 0)
		n++;
	m.serial = b->out.as.confirm.serial + serial_off;
	assert_int_equal(confirm_take(b->confirm, &m), serial_off == 0 && m.verdicts_len == n ? 0 : -EBADMSG);
	return n;
}

static bool is_trusted(const char *root, void *arg)
{
	return strcmp(root, "/drop") == 0 || *(const bool *)arg;
}

/* Nothing is told of a directory whose mount is missing, though it went only after the question. */
static void test_not_trusted(void **state)
{
	struct bench *b = *state;
	bool other = false;

	confirm_set_trust(b->confirm, is_trusted, &other);
	assert_int_equal(ask(b, 0, "/other"), 0);
	confirm_flush(b->confirm);
	assert_int_equal(wire_recv(b->watcher, &b->out, NULL), -EAGAIN);
	assert_int_equal(b->verdicts[0], WIRE_UNSURE);
	assert_int_equal(ask(b, 1, "/drop"), 0);
	confirm_flush(b->confirm);
	assert_int_equal(answer(b, "-", 0), 1);
	assert_int_equal(b->verdicts[1], WIRE_GONE);
	other = true;
	assert_int_equal(ask(b, 2, "/other"), 0);
	confirm_flush(b->confirm);
	other = false;
	assert_int_equal(answer(b, "-", 0), 1);
	assert_int_equal(b->verdicts[2], WIRE_UNSURE);
}

static void test_verdicts(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(b, i, "/drop"), 0);
	assert_int_equal(wire_recv(b->watcher, &b->out, NULL), -EAGAIN); /* only confirm_flush sends */
	confirm_flush(b->confirm);
	assert_int_equal(answer(b, "=~!-?", 0), 5);
	assert_memory_equal(b->verdicts, "=~!-?", 5);
	confirm_flush(b->confirm);
	assert_int_equal(wire_recv(b->watcher, &b->out, NULL), -EAGAIN);
}

static void test_bounds(void **state)
{
	struct bench *b = *state;
	char all[WIRE_KNOWNS_MAX + 1];
	int n = 0;

	while (ask(b, n, "/drop") == 0)
		n++;
	assert_int_equal(n, WIRE_KNOWNS_MAX);
	assert_false(confirm_may_ask(b->confirm));
	confirm_flush(b->confirm);
	assert_true(confirm_may_ask(b->confirm)); /* the next batch is gathered meanwhile … */
	assert_int_equal(ask(b, n, "/drop"), 0);
	confirm_flush(b->confirm); /* … and waits */
	memset(all, '=', sizeof(all) - 1);
	all[sizeof(all) - 1] = '\0';
	assert_int_equal(answer(b, all, 0), n);
	assert_int_equal(wire_recv(b->watcher, &b->out, NULL), -EAGAIN);
	confirm_flush(b->confirm);
	assert_int_equal(answer(b, "-", 0), 1);
	assert_int_equal(b->verdicts[n], '-');
}

static void test_one_directory_a_batch(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ask(b, 0, "/drop"), 0);
	assert_int_equal(ask(b, 1, "/other"), -EBUSY);
	confirm_flush(b->confirm);
	assert_int_equal(ask(b, 1, "/other"), 0);
	assert_int_equal(answer(b, "=", 0), 1);
	confirm_flush(b->confirm);
	assert_int_equal(answer(b, "=", 0), 1);
	assert_string_equal(b->out.as.confirm.root, "/other");
}

static void test_asking_from_an_answer(void **state)
{
	struct bench *b = *state;

	b->again = true;
	assert_int_equal(ask(b, 0, "/drop"), 0);
	assert_int_equal(ask(b, 1, "/drop"), 0);
	confirm_flush(b->confirm);
	assert_int_equal(answer(b, "==", 0), 2);
	confirm_flush(b->confirm);
	assert_int_equal(answer(b, "!!", 0), 2);
	assert_memory_equal(b->verdicts + 100, "!!", 2);
}

/* What a watcher did not answer is unsure, and its successor is asked nothing of it. */
static void test_watcher_changes(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ask(b, 0, "/drop"), 0);
	confirm_flush(b->confirm);
	assert_int_equal(ask(b, 1, "/drop"), 0);
	confirm_attach(b->confirm, NULL);
	assert_memory_equal(b->verdicts, "??", 2);
	assert_false(confirm_may_ask(b->confirm));
	assert_int_equal(ask(b, 2, "/drop"), -EBUSY);
	confirm_attach(b->confirm, b->link);
	assert_int_equal(ask(b, 2, "/drop"), 0);
}

static void test_wrong_answers(void **state)
{
	struct bench *b = *state;
	struct wire_confirmed m = {.serial = 0, .verdicts = "=", .verdicts_len = 1};

	assert_int_equal(confirm_take(b->confirm, &m), -EBADMSG); /* nothing was asked */
	assert_int_equal(ask(b, 0, "/drop"), 0);
	confirm_flush(b->confirm);
	assert_int_equal(answer(b, "=", 1), 1); /* to another question */
	m.serial = b->out.as.confirm.serial;
	m.verdicts_len = 0;
	assert_int_equal(confirm_take(b->confirm, &m), -EBADMSG); /* too few */
	m.verdicts = "x";
	m.verdicts_len = 1;
	assert_int_equal(confirm_take(b->confirm, &m), -EBADMSG);
	m.verdicts = "\0";
	assert_int_equal(confirm_take(b->confirm, &m), -EBADMSG);
	assert_int_equal(b->verdicts[0], 0); /* the question is still open */
	m.verdicts = "=";
	assert_int_equal(confirm_take(b->confirm, &m), 0);
	assert_int_equal(b->verdicts[0], '=');
}

/* Who has asked is no more: nobody is told, and the watcher's answer is none the less the right one. */
static void test_forgotten(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ask(b, 1, "/drop"), 0);
	confirm_flush(b->confirm);
	assert_int_equal(ask(b, 2, "/drop"), 0);
	confirm_forget(b->confirm);
	assert_int_equal(answer(b, "=", 0), 1);
	confirm_flush(b->confirm);
	assert_int_equal(wire_recv(b->watcher, &b->out, NULL), -EAGAIN);
	assert_int_equal(b->verdicts[1], 0);
	assert_int_equal(b->verdicts[2], 0);
	/* and the next one is asked as ever */
	assert_int_equal(ask(b, 3, "/drop"), 0);
	confirm_flush(b->confirm);
	assert_int_equal(answer(b, "-", 0), 1);
	assert_int_equal(b->verdicts[3], WIRE_GONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_trusted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_directory_a_batch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_asking_from_an_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watcher_changes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wrong_answers, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
