/*
 * watchdog: what was counted by the last tick is compared at the next, so an answer has a quarter of the
 * time.
 */
#include "keep/watchdog.h"

#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "keep/notify.h"

#define WATCHDOG_TICKS 4
#define WATCHDOG_LEAST_US (4 * US_PER_MS)

struct watchdog {
	struct loop_timer *timer;
	int64_t every_us, seen;
	watchdog_ask_fn ask;
	void *arg;
};

static void watchdog_on_timer(struct loop_timer *t, void *arg)
{
	struct watchdog *w = arg;
	int64_t now = w->ask(w->arg);

	if (now < 0 || now != w->seen)
		notify_systemd("WATCHDOG=1");
	w->seen = now;
	loop_timer_set(t, clock_mono_us() + w->every_us);
}

static int64_t watchdog_number(const char *name)
{
	const char *text = getenv(name);
	int64_t n = 0;

	return text && num_parse_i64(text, &n) == 0 ? n : 0;
}

struct watchdog *watchdog_new(struct loop *loop, watchdog_ask_fn ask, void *arg)
{
	int64_t time_us = watchdog_number("WATCHDOG_USEC"), pid = watchdog_number("WATCHDOG_PID");
	struct watchdog *w;

	if (time_us < WATCHDOG_LEAST_US || (pid > 0 && pid != getpid()))
		return NULL;
	w = mem_alloc(sizeof(*w));
	w->every_us = time_us / WATCHDOG_TICKS;
	w->seen = -1;
	w->ask = ask;
	w->arg = arg;
	w->timer = loop_timer_add(loop, watchdog_on_timer, w);
	loop_timer_set(w->timer, clock_mono_us());
	return w;
}

void watchdog_free(struct watchdog *w)
{
	if (!w)
		return;
	loop_timer_remove(w->timer);
	free(w);
}
