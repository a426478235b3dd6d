/*
 * stall: one event for each call that lasts too long. It is over when the page shows another call, or none;
 * nothing is said of that, since what the watcher has to say comes then by itself.
 */
#include "dispatch/stall.h"

#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/watches.h"

#define LOOK_US (10 * US_PER_S)
#define LOOK_LOCAL_US (300 * US_PER_S)

void stall_reset(struct stall *s)
{
	*s = (struct stall){.is_on = false};
}

/* How long until it is looked at again while nothing is wrong: a watcher that has not listed yet, or polls,
 * may hang at any time. */
static int64_t pause_us(const struct watch_state *w)
{
	return w->scanned && !strstr(w->peer.method, "poll") ? LOOK_LOCAL_US : LOOK_US;
}

static int64_t look_at(struct watch_state *w, int64_t now_us)
{
	int64_t since_us = __atomic_load_n(&w->desk.page->since_us, __ATOMIC_ACQUIRE);
	struct stall *s = &w->stall;

	if (s->is_on && since_us != s->since_us)
		s->is_on = s->due = false;
	if (since_us <= 0 || s->is_on)
		return now_us + pause_us(w);
	if (now_us - since_us < DESK_STALLED_US)
		return since_us + DESK_STALLED_US < now_us + pause_us(w) ? since_us + DESK_STALLED_US
									 : now_us + pause_us(w);
	/* a type check that waits is on the page with pauses: other calls come between */
	*s = (struct stall){.is_on = true, .since_us = since_us, .due = since_us != s->since_us};
	return now_us + LOOK_US;
}

int64_t stalls_look(struct watches *ws, int64_t now_us)
{
	int64_t at_us = INT64_MAX;

	for (size_t i = 0; i < ws->conf->watches_n; i++) {
		int64_t one_us = ws->items[i].desk.page ? look_at(&ws->items[i], now_us) : INT64_MAX;

		at_us = one_us < at_us ? one_us : at_us;
	}
	return at_us;
}

bool stalls_have_work(const struct watches *ws)
{
	bool any = false;

	for (size_t i = 0; i < ws->conf->watches_n; i++)
		any |= ws->items[i].stall.due;
	return any;
}

/* In words; "" when it is over meanwhile. */
static void describe(const struct watch_state *w, struct buf *text)
{
	CLEANUP_BUF struct buf call = BUF_INIT(3 * WIRE_PATH_BYTES);

	if (desk_describe_stall(&w->desk, &call) > 0)
		(void)buf_addf(text,
			"stuck in %s; other watches are not held up, and this one goes on by itself",
			buf_str(&call));
}

int stalls_apply(struct watches *ws, struct scribe *scribe, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ws->conf->watches_n; i++) {
		const struct watch_state *w = &ws->items[i];
		CLEANUP_BUF struct buf detail = BUF_INIT(4 * WIRE_PATH_BYTES);
		struct event_watch x = {
			.method = w->peer.method, .file_system = w->peer.file_system, .count = -1};

		if (!w->stall.due)
			continue;
		describe(w, &detail);
		x.detail = buf_str(&detail);
		if (detail.len > 0)
			rc = scribe_watch(
				scribe, EVENT_WATCH_STALLED, w->peer.watch->name, &x, clock_wall_us(), err);
	}
	return rc;
}

void stalls_act(struct watches *ws)
{
	for (size_t i = 0; i < ws->conf->watches_n; i++) {
		struct watch_state *w = &ws->items[i];
		CLEANUP_BUF struct buf detail = BUF_INIT(4 * WIRE_PATH_BYTES);

		if (!w->stall.due)
			continue;
		w->stall.due = false;
		describe(w, &detail);
		if (detail.len > 0)
			log_error("watch %s: %s", w->peer.watch->name, buf_str(&detail));
	}
}
