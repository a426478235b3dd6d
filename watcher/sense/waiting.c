/*
 * waiting: one timer for all files, set to the earliest time at which one may become overdue; nothing is set
 * while no file waits. How long a file waits is measured from when it was noticed, by the monotonic clock:
 * its own times may be anything.
 */
#include "sense/waiting.h"

#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define WAITING_WORDS_BYTES 1024
#define WAITING_AGAIN_US US_PER_S /* after the socket was full */

struct waiting {
	struct sense *s;
	struct loop_timer *timer;
	int64_t next_us; /* while looking through the table */
};

void waiting_add_reason(const struct sense *s, const struct unsettled_file *f, struct buf *b)
{
	char since[CLOCK_TEXT_BYTES];

	if (f->unreadable) {
		(void)buf_adds(b, "it cannot be read; it is tried again at each listing");
	} else if (f->lacks) {
		(void)buf_addf(b, "%s, since %s", f->lacks,
			clock_format_span(clock_mono_us() - f->lacks_since_us, since));
	} else {
		(void)settle_add_missing(&f->settle, sense_policy(s, f->dir), clock_mono_us(), b);
	}
}

/* False: there is no room now. */
static bool waiting_say(struct sense *s, const struct unsettled_file *f, bool gone)
{
	CLEANUP_BUF struct buf path = BUF_INIT(2 * WIRE_PATH_BYTES), words = BUF_INIT(WAITING_WORDS_BYTES);
	struct wire_waiting m = {
		.root = s->roots[f->dir->root].path, .since_us = f->first_seen_us, .gone = gone};

	if (outlet_is_blocked(s->outlet))
		return false;
	tree_path_of(f->dir, f->name, &path);
	if (path.failed || path.len >= WIRE_PATH_BYTES)
		return true; /* nothing that can be told */
	waiting_add_reason(s, f, &words);
	m.relpath = buf_str(&path);
	m.waiting_for = buf_str(&words);
	outlet_send(s->outlet, WIRE_WAITING, &m);
	return true;
}

static void waiting_one(struct unsettled_file *f, void *arg)
{
	struct waiting *w = arg;
	int64_t now_us = clock_mono_us(), due_us = f->settle.first_us + w->s->watch->overdue_us;

	if (f->overdue)
		return;
	if (due_us <= now_us && waiting_say(w->s, f, false)) {
		f->overdue = true;
		return;
	}
	if (due_us <= now_us)
		due_us = now_us + WAITING_AGAIN_US;
	if (due_us < w->next_us)
		w->next_us = due_us;
}

static void waiting_on_timer(struct loop_timer *t, void *arg)
{
	struct waiting *w = arg;

	w->next_us = INT64_MAX;
	unsettled_each(w->s->unsettled, waiting_one, w);
	if (w->next_us < INT64_MAX)
		loop_timer_set(t, w->next_us);
}

void waiting_look(struct waiting *w)
{
	if (w->s->watch->overdue_us > 0 && unsettled_count(w->s->unsettled) > 0 &&
		!loop_timer_is_set(w->timer))
		loop_timer_set(w->timer, clock_mono_us() + w->s->watch->overdue_us);
}

void waiting_gone(struct sense *s, const struct unsettled_file *f)
{
	if (f->overdue && !waiting_say(s, f, true))
		log_warning("%s: a file that was overdue is gone", f->name);
}

struct waiting *waiting_new(struct sense *s)
{
	struct waiting *w = mem_alloc(sizeof(*w));

	w->s = s;
	w->timer = loop_timer_add(s->loop, waiting_on_timer, w);
	return w;
}

void waiting_free(struct waiting *w)
{
	if (!w)
		return;
	loop_timer_remove(w->timer);
	free(w);
}
