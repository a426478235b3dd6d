/* dispatch/stall: when pages are looked at, and when a call lasts too long. */
#include "dispatch/stall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/clock.h"
#include "dispatch/watches.h"

#define S US_PER_S
#define NOW (1000 * S)

struct bench {
	struct conf_watch watch;
	struct conf_watch *list[1];
	struct conf conf;
	struct wire_page page;
	struct watch_state state;
	struct watches all;
};

static struct watches *begin(struct bench *b, const char *method, bool scanned)
{
	b->watch = (struct conf_watch){.settle_quiet_us = 0};
	b->list[0] = &b->watch;
	b->conf = (struct conf){.watches = b->list, .watches_n = 1};
	b->page = (struct wire_page){.since_us = 0};
	b->state = (struct watch_state){.peer = {.watch = &b->watch}, .scanned = scanned};
	(void)snprintf(b->state.peer.method, sizeof(b->state.peer.method), "%s", method);
	b->state.desk.page = &b->page;
	b->all = (struct watches){.conf = &b->conf, .items = &b->state};
	return &b->all;
}

static void looked_at_in_time(void **state)
{
	struct bench b;

	(void)state;
	assert_true(stalls_look(begin(&b, "inotify", true), NOW) == NOW + 300 * S);
	assert_true(stalls_look(begin(&b, "inotify", false), NOW) == NOW + 10 * S);
	assert_true(stalls_look(begin(&b, "", false), NOW) == NOW + 10 * S);
	assert_true(stalls_look(begin(&b, "poll", true), NOW) == NOW + 10 * S);
	assert_true(stalls_look(begin(&b, "inotify+poll", true), NOW) == NOW + 10 * S);
	/* in a call for some time: when it will be too long */
	b.page.since_us = NOW - 27 * S;
	assert_true(stalls_look(&b.all, NOW) == NOW + 3 * S);
	b.page.since_us = NOW - 1;
	assert_true(stalls_look(&b.all, NOW) == NOW + 10 * S);
	b.state.desk.page = NULL;
	assert_true(stalls_look(&b.all, NOW) == INT64_MAX);
	assert_false(stalls_have_work(&b.all));
}

static void said_once_for_a_call(void **state)
{
	struct bench b;
	struct watches *ws = begin(&b, "poll", true);

	(void)state;
	b.page.since_us = NOW;
	(void)stalls_look(ws, NOW + 30 * S - 1);
	assert_false(stalls_have_work(ws));
	(void)stalls_look(ws, NOW + 30 * S);
	assert_true(stalls_have_work(ws));
	assert_true(b.state.stall.is_on);
	(void)stalls_look(ws, NOW + 31 * S);
	assert_true(stalls_have_work(ws)); /* until it is said */
	b.state.stall.due = false;
	(void)stalls_look(ws, NOW + 60 * S);
	assert_false(stalls_have_work(ws));
	/* other calls come between, while the sniffer waits */
	b.page.since_us = 0;
	(void)stalls_look(ws, NOW + 61 * S);
	assert_false(b.state.stall.is_on);
	b.page.since_us = NOW;
	(void)stalls_look(ws, NOW + 62 * S);
	assert_true(b.state.stall.is_on);
	assert_false(stalls_have_work(ws));
	/* the next call */
	b.page.since_us = NOW + 63 * S;
	(void)stalls_look(ws, NOW + 93 * S);
	assert_true(stalls_have_work(ws));
	/* over before it could be said */
	b.page.since_us = 0;
	(void)stalls_look(ws, NOW + 94 * S);
	assert_false(stalls_have_work(ws));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looked_at_in_time),
		cmocka_unit_test(said_once_for_a_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
