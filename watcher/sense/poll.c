/*
 * poll: a timer. A round that would fall into a listing of everything is left out: that sees more.
 */
#include "sense/poll.h"

#include <stdlib.h>
#include <sys/random.h>
#include "base/clock.h"
#include "base/mem.h"
#include "core/cadence.h"
#include "sense/walk.h"

struct poll {
	struct sense *s;
	struct loop_timer *timer;
};

static void poll_arm(struct poll *p, int64_t cost_us)
{
	struct wire_page *page = p->s->page;
	uint64_t random = 0;
	int64_t pause_us;

	/* Without random numbers (a filter) there is no jitter, which only costs politeness. */
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = 0;
	pause_us = cadence_pause_us(p->s->watch->poll_interval_us, cost_us, random);
	if (page && cost_us > 0) {
		page->round_us = cost_us;
		page->pause_us = pause_us;
	}
	loop_timer_set(p->timer, clock_mono_us() + pause_us);
}

static void poll_on_timer(struct loop_timer *t, void *arg)
{
	struct poll *p = arg;

	(void)t;
	if (!walk_poll(p->s->walk))
		poll_arm(p, 0);
}

struct poll *poll_new(struct sense *s)
{
	struct poll *p = mem_alloc(sizeof(*p));

	p->s = s;
	p->timer = loop_timer_add(s->loop, poll_on_timer, p);
	return p;
}

void poll_free(struct poll *p)
{
	if (!p)
		return;
	loop_timer_remove(p->timer);
	free(p);
}

void poll_wake(struct poll *p)
{
	if (!loop_timer_is_set(p->timer) && !walk_is_polling(p->s->walk) && p->s->mode == WIRE_MODE_RUN)
		poll_arm(p, 0);
}

void poll_ended(struct poll *p, int64_t cost_us)
{
	poll_arm(p, cost_us);
}
