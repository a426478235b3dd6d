/* dispatch/moved: with a real dispatch/confirm; the test answers for it by detaching (unsure) or as a
 * watcher. */
#include "dispatch/moved.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

struct bench {
	struct conf *conf;
	struct loop *loop;
	struct link *link;
	struct confirm *confirm;
	struct wire_message in, out;
	int watcher;
	struct moved *moved;
	struct intake_peer peer, other;
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
	struct conf_mistakes mistakes = {.n = 0};
	int pair[2];

	log_init("test", LOG_LEVEL_ERROR, false);
	b->conf = conf_new();
	conf_set(b->conf, "watch:in", "directory", "/drop", "f", 1, &mistakes);
	conf_set(b->conf, "watch:other", "directory", "/other", "f", 2, &mistakes);
	assert_int_equal(mistakes.n, 0);
	b->peer.watch = b->conf->watches[0];
	b->other.watch = b->conf->watches[1];
	assert_int_equal(sock_pair(pair, NULL), 0);
	b->loop = loop_new(NULL);
	b->watcher = pair[0];
	b->link = link_new(b->loop, pair[1], &b->in, on_link, b, NULL);
	b->confirm = confirm_new();
	confirm_attach(b->confirm, b->link);
	b->moved = moved_new();
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	moved_free(b->moved);
	confirm_free(b->confirm);
	link_free(b->link);
	loop_free(b->loop);
	fs_close(&b->watcher);
	conf_free(b->conf);
	free(b);
	return 0;
}

static void add(struct bench *b, struct intake_peer *peer, int64_t row_id, const char *bytes)
{
	char from[] = "old";
	char *root = mem_strdup(peer->watch->directory.items[0]);
	const struct intake_result r = {.moved_row = row_id,
		.moved_root = root,
		.moved_from = from,
		.moved_version = {.size = row_id, .mtime_ns = 7, .ino = 8}};

	moved_add(b->moved, peer, &r, bytes, strlen(bytes));
	free(root);
}

/* The watcher's side: was asked about so many, and answers. */
static void answer(struct bench *b, size_t asked, const char *verdicts)
{
	struct wire_confirmed m = {.verdicts = verdicts, .verdicts_len = strlen(verdicts)};
	struct wire_known k;
	size_t pos = 0, n = 0;

	confirm_flush(b->confirm);
	assert_int_equal(wire_recv(b->watcher, &b->out, NULL), 1);
	while (wire_knowns_next(&b->out.as.confirm, &pos, &k) > 0) {
		assert_string_equal(k.relpath, "old");
		assert_int_equal(k.ino, 8);
		n++;
	}
	assert_int_equal(n, asked);
	m.serial = b->out.as.confirm.serial;
	assert_int_equal(confirm_take(b->confirm, &m), 0);
}

static void expect_next(struct bench *b, int64_t row_id, enum wire_verdict verdict, const char *bytes)
{
	struct moved_item *item = moved_next(b->moved, NULL);

	assert_non_null(item);
	assert_int_equal(item->row_id, row_id);
	assert_int_equal(item->verdict, verdict);
	assert_int_equal(item->len, strlen(bytes));
	assert_memory_equal(item->bytes, bytes, strlen(bytes));
	moved_done(b->moved, item);
}

/* Answers come out in the order of the files, each with its message; who is not answered waits. */
static void test_answers(void **state)
{
	struct bench *b = *state;

	assert_true(moved_is_empty(b->moved));
	add(b, &b->peer, 1, "one");
	add(b, &b->peer, 2, "two");
	moved_ask(b->moved, &b->peer, b->confirm);
	add(b, &b->peer, 3, "three");
	assert_false(moved_has_answers(b->moved));
	assert_null(moved_next(b->moved, NULL));
	answer(b, 2, (const char[]){WIRE_GONE, WIRE_SAME, 0});
	assert_true(moved_has_answers(b->moved));
	expect_next(b, 1, WIRE_GONE, "one");
	expect_next(b, 2, WIRE_SAME, "two");
	assert_false(moved_has_answers(b->moved));
	assert_false(moved_is_empty(b->moved));
	moved_ask(b->moved, &b->peer, b->confirm); /* asked once each */
	answer(b, 1, (const char[]){WIRE_REPLACED, 0});
	expect_next(b, 3, WIRE_REPLACED, "three");
	assert_true(moved_is_empty(b->moved));
}

/* A round can look at them more than once before they are done. */
static void test_looked_at_again(void **state)
{
	struct bench *b = *state;
	struct moved_item *first, *second;

	add(b, &b->peer, 1, "one");
	add(b, &b->peer, 2, "two");
	moved_ask(b->moved, &b->peer, b->confirm);
	answer(b, 2, (const char[]){WIRE_GONE, WIRE_GONE, 0});
	first = moved_next(b->moved, NULL);
	second = moved_next(b->moved, first);
	assert_ptr_equal(moved_next(b->moved, NULL), first);
	assert_int_equal(second->row_id, 2);
	assert_null(moved_next(b->moved, second));
}

/* A watcher is asked about its own files only, and what it said goes with it. */
static void test_two_watches(void **state)
{
	struct bench *b = *state;

	add(b, &b->other, 1, "theirs");
	add(b, &b->peer, 2, "ours");
	moved_ask(b->moved, &b->peer, b->confirm);
	answer(b, 1, (const char[]){WIRE_GONE, 0});
	moved_forget(b->moved, &b->peer);
	assert_false(moved_has_answers(b->moved));
	assert_false(moved_is_empty(b->moved));
	moved_forget(b->moved, &b->other);
	assert_true(moved_is_empty(b->moved));
}

/* Its watcher ends before it has answered: nobody knows. */
static void test_watcher_ends(void **state)
{
	struct bench *b = *state;

	add(b, &b->peer, 1, "one");
	add(b, &b->peer, 2, "two");
	moved_ask(b->moved, &b->peer, b->confirm);
	confirm_attach(b->confirm, NULL);
	expect_next(b, 1, WIRE_UNSURE, "one");
	expect_next(b, 2, WIRE_UNSURE, "two");
}

/* Without a watcher they wait. */
static void test_nobody_to_ask(void **state)
{
	struct bench *b = *state;

	confirm_attach(b->confirm, NULL);
	add(b, &b->peer, 1, "one");
	moved_ask(b->moved, &b->peer, b->confirm);
	assert_false(moved_has_answers(b->moved));
	confirm_attach(b->confirm, b->link);
	moved_ask(b->moved, &b->peer, b->confirm);
	answer(b, 1, (const char[]){WIRE_GONE, 0});
	expect_next(b, 1, WIRE_GONE, "one");
}

static void test_bound(void **state)
{
	struct bench *b = *state;
	int64_t asked = 0;

	for (int i = 0; i < MOVED_MAX + 10; i++)
		add(b, &b->peer, i + 1, "x");
	while (!moved_is_empty(b->moved)) {
		struct moved_item *item;

		moved_ask(b->moved, &b->peer, b->confirm);
		confirm_attach(b->confirm, NULL);
		confirm_attach(b->confirm, b->link);
		while ((item = moved_next(b->moved, NULL))) {
			asked++;
			moved_done(b->moved, item);
		}
	}
	assert_int_equal(asked, MOVED_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_looked_at_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_watches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watcher_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_to_ask, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
