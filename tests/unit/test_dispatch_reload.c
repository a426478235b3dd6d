#include "dispatch/reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/log.h"
#include "base/mem.h"

struct bench {
	struct reload reload;
	struct desk desk;
	int fds[2]; /* ours, the keeper's */
	struct wire_message in;
};

static const struct control_request request = {.user = "root (uid 0)", .reason = "new job"};
static const struct wire_reloaded good = {.status = 0, .text = ""};
static const struct wire_configured end = {.hash = "abc", .only_watch = "", .watches = 2};

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	log_init("test", LOG_LEVEL_ERROR, false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, b->fds), 0);
	reload_init(&b->reload, b->fds[0], &b->desk);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	reload_done(&b->reload);
	free(b->desk.reload_text);
	(void)close(b->fds[0]);
	(void)close(b->fds[1]);
	free(b);
	return 0;
}

static void expect_at_keeper(struct bench *b, enum wire_type type)
{
	assert_int_equal(wire_recv(b->fds[1], &b->in, NULL), 1);
	assert_int_equal(b->in.type, type);
}

static void expect_ended(const struct bench *b, int64_t reloads, int64_t status, const char *text)
{
	assert_int_equal(b->reload.phase, RELOAD_NONE);
	assert_int_equal(b->desk.reloads, reloads);
	assert_int_equal(b->desk.reload_status, status);
	assert_string_equal(b->desk.reload_text, text);
}

static void set(struct bench *b, const char *section, const char *key, const char *value)
{
	const struct wire_configure m = {
		.section = section, .key = key, .value = value, .file = "f", .line = 7};

	reload_set(&b->reload, &m);
}

static void test_all_the_way(void **state)
{
	struct bench *b = *state;

	assert_int_equal(reload_ask(&b->reload, &request), 0);
	expect_at_keeper(b, WIRE_RELOAD);
	assert_int_equal(reload_ask(&b->reload, &request), -EBUSY);
	reload_begin(&b->reload, &good);
	assert_int_equal(b->reload.phase, RELOAD_RECEIVING);
	set(b, "watch:in", "directory", "/in");
	assert_int_equal(b->reload.conf->watches_n, 1);
	reload_take_end(&b->reload, &end);
	assert_int_equal(b->reload.phase, RELOAD_RECEIVING);
	reload_drain(&b->reload, 99);
	assert_int_equal(b->reload.phase, RELOAD_DRAINING);
	assert_int_equal(b->reload.watches, 2);
	assert_int_equal(b->reload.by_us, 99);
	assert_string_equal(b->reload.hash, "abc");
	assert_string_equal(b->reload.user, "root (uid 0)");
	assert_string_equal(b->reload.reason, "new job");
	assert_int_equal(reload_ask(&b->reload, &request), -EBUSY);
	assert_int_equal(b->desk.reloads, 0);
	reload_end(&b->reload, 0, "");
	expect_ended(b, 1, 0, "");
	assert_int_equal(b->desk.reload_watches, 2);
	assert_int_equal(reload_ask(&b->reload, &request), 0); /* and again */
}

/* The keeper found mistakes: those who wait are told, and nothing came in. */
static void test_mistakes(void **state)
{
	struct bench *b = *state;
	const struct wire_reloaded bad = {.status = 78, .text = "f:7: no"};

	assert_int_equal(reload_ask(&b->reload, &request), 0);
	reload_begin(&b->reload, &bad);
	expect_ended(b, 1, 78, "f:7: no");
}

/* The keeper gives up in the middle. */
static void test_broken_off(void **state)
{
	struct bench *b = *state;
	const struct wire_reloaded bad = {.status = 1, .text = "gone"};

	assert_int_equal(reload_ask(&b->reload, &request), 0);
	reload_begin(&b->reload, &good);
	set(b, "watch:in", "directory", "/in");
	reload_begin(&b->reload, &bad);
	expect_ended(b, 1, 1, "gone");
	assert_null(b->reload.conf);
}

static void test_refused(void **state)
{
	struct bench *b = *state;

	assert_int_equal(reload_ask(&b->reload, &request), 0);
	expect_at_keeper(b, WIRE_RELOAD);
	reload_begin(&b->reload, &good);
	reload_refuse(&b->reload, "no credential");
	expect_at_keeper(b, WIRE_RELOADED);
	assert_int_equal(b->in.as.reloaded.status, 78);
	expect_ended(b, 1, 78, "no credential");
}

/* It needs what this process may not open: another one tries, and then takes over. */
static void test_tried(void **state)
{
	struct bench *b = *state;
	const struct wire_reloaded bad = {.status = 78, .text = "no such token"};

	for (int works = 0; works < 2; works++) {
		assert_int_equal(reload_ask(&b->reload, &request), 0);
		expect_at_keeper(b, WIRE_RELOAD);
		reload_begin(&b->reload, &good);
		assert_false(b->reload.anew);
		reload_take_end(&b->reload, &end);
		reload_try(&b->reload);
		assert_int_equal(b->reload.phase, RELOAD_TRYING);
		expect_at_keeper(b, WIRE_RELOADED);
		assert_int_equal(b->in.as.reloaded.status, WIRE_EXIT_AGAIN);
		assert_true(b->reload.anew);
		if (!works) {
			assert_false(reload_tried(&b->reload, &bad));
			expect_ended(b, 1, 78, "no such token");
		}
	}
	assert_true(reload_tried(&b->reload, &good));
	reload_drain(&b->reload, 99);
	assert_int_equal(b->reload.phase, RELOAD_DRAINING);
	assert_true(b->reload.anew);
	reload_end(&b->reload, 0, "");
	assert_false(b->reload.anew);
}

/* What was not asked for changes nothing. */
static void test_not_asked_for(void **state)
{
	struct bench *b = *state;

	reload_begin(&b->reload, &good);
	set(b, "watch:in", "directory", "/in");
	assert_int_equal(b->reload.phase, RELOAD_NONE);
	assert_null(b->reload.conf);
	assert_int_equal(b->desk.reloads, 0);
}

static void test_keeper_gone(void **state)
{
	struct bench *b = *state;

	(void)close(b->fds[1]);
	b->fds[1] = -1;
	assert_true(reload_ask(&b->reload, &request) < 0);
	assert_int_equal(b->reload.phase, RELOAD_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_the_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broken_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tried, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keeper_gone, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
