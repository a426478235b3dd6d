/*
 * settle: how it decides.
 *
 * A file waits from its last sign of change (a hint, or two looks that differ) for a time that depends on the
 * evidence. A change that no hint announced takes the evidence of the close away: somebody writes who is not
 * the one we saw closing. While the lease is refused the file is looked at with a growing pause, because the
 * close will normally announce itself; only a writer behind another link never does. Without evidence of the
 * close two equal looks are needed; a first one is therefore made early. `settle = 0` speaks of files whose
 * close was seen: a file that is just being created is never taken at once, since the writer's open may not
 * have reached the kernel when its CREATE has reached us.
 *
 * Where nobody tells of all writers (apart_us: a polled mount) the first look is made at once and others
 * follow while it waits, since only looks show that it grows; a hint makes what was seen before it worthless.
 */
#include "core/settle.h"

#include <errno.h>
#include <string.h>
#include "base/clock.h"

#define SETTLE_REOPEN_FIRST_US (US_PER_S / 2)
#define SETTLE_REOPEN_MOST_US (30 * US_PER_S)

#define SETTLE_LOOKS_MEANWHILE 3	/* on a polled mount, while a file must be quiet */
#define SETTLE_UNSURE_LEAST_US US_PER_S /* without evidence of the close, also when settle = 0 */
#define SETTLE_UNCLOSED_LEAST_US                                                                             \
	(30 * US_PER_S) /* a file being created, where nobody can tell whether it is open */

static int64_t settle_at_least(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t settle_needed_us(
	const struct settle *s, const struct settle_policy *p, enum settle_lease lease)
{
	bool created = s->by_event && !s->moved_in;

	if (p->quiet_only)
		return settle_at_least(p->quiet_us, SETTLE_UNSURE_LEAST_US);
	if (p->marked || s->closed || (s->moved_in && lease == SETTLE_LEASE_FREE))
		return p->closed_us;
	if (lease == SETTLE_LEASE_UNKNOWN)
		return settle_at_least(
			p->quiet_us, created ? SETTLE_UNCLOSED_LEAST_US : SETTLE_UNSURE_LEAST_US);
	return created ? settle_at_least(p->quiet_us, SETTLE_UNSURE_LEAST_US) : p->quiet_us;
}

static bool settle_needs_two_looks(
	const struct settle *s, const struct settle_policy *p, enum settle_lease lease)
{
	return p->apart_us > 0 || p->quiet_only || settle_needed_us(s, p, lease) > p->closed_us;
}

void settle_begin(struct settle *s, const struct settle_policy *p, enum settle_hint hint, int64_t now_us)
{
	memset(s, 0, sizeof(*s));
	s->first_us = now_us;
	settle_note(s, p, hint, now_us);
}

void settle_note(struct settle *s, const struct settle_policy *p, enum settle_hint hint, int64_t now_us)
{
	bool closes = hint == SETTLE_CLOSED || hint == SETTLE_CARRIED;

	s->noted = true;
	s->changed_us = now_us;
	if (p->apart_us > 0)
		s->looks = 0;
	if (hint != SETTLE_LISTED)
		s->by_event = true;
	if (hint == SETTLE_LISTED && p->apart_us > 0) {
		s->due_us = now_us;
		return;
	}
	if (hint == SETTLE_LISTED) {
		s->due_us = now_us + (p->marked ? p->closed_us : settle_at_least(p->closed_us, p->quiet_us));
		return;
	}
	/* A new name for whatever came: what was known about the old content does not count. */
	if (hint != SETTLE_CLOSED)
		s->moved_in = hint == SETTLE_MOVED_IN;
	s->closed = closes;
	s->carried = hint == SETTLE_CARRIED;
	s->open_since_us = 0;
	s->reopen_us = 0;
	s->due_us = now_us + (closes || s->moved_in ? p->closed_us
						    : settle_at_least(p->closed_us, SETTLE_UNSURE_LEAST_US));
}

void settle_listed(struct settle *s, const struct settle_look *look)
{
	s->last = *look;
	s->looks = 1;
	s->noted = false;
}

static bool settle_same(const struct settle_look *a, const struct settle_look *b)
{
	return a->size == b->size && a->mtime_ns == b->mtime_ns && a->ino == b->ino;
}

/* Takes the look in; tells whether it showed a change that no hint had announced. */
static void settle_take(struct settle *s, const struct settle_look *look, int64_t now_us)
{
	bool differs = s->looks > 0 && !settle_same(&s->last, look);

	if (differs && !s->noted)
		s->closed = s->carried = s->moved_in = false;
	if (differs) {
		s->changed_us = s->noted ? s->changed_us : now_us;
		s->looks = 0;
	}
	if (s->looks == 0)
		s->equal_us = now_us;
	s->last = *look;
	s->looks++;
	s->noted = false;
}

/* The next look at a file that will be ready then: on a polled mount some are made before. */
static int64_t settle_next_us(
	const struct settle_policy *p, int64_t now_us, int64_t ready_us, int64_t needed_us)
{
	int64_t step_us = settle_at_least(p->apart_us, needed_us / SETTLE_LOOKS_MEANWHILE);

	return p->apart_us > 0 && now_us + step_us < ready_us ? now_us + step_us : ready_us;
}

static enum settle_verdict settle_held_open(struct settle *s, int64_t now_us)
{
	if (s->open_since_us == 0)
		s->open_since_us = now_us;
	s->reopen_us = s->reopen_us == 0 ? SETTLE_REOPEN_FIRST_US : s->reopen_us * 2;
	if (s->reopen_us > SETTLE_REOPEN_MOST_US)
		s->reopen_us = SETTLE_REOPEN_MOST_US;
	s->changed_us = now_us;
	s->due_us = now_us + s->reopen_us;
	return SETTLE_WAIT;
}

enum settle_verdict settle_look(
	struct settle *s, const struct settle_policy *p, const struct settle_look *look, int64_t now_us)
{
	int64_t needed_us, ready_us;

	settle_take(s, look, now_us);
	if (look->lease == SETTLE_LEASE_OPEN && !p->quiet_only)
		return settle_held_open(s, now_us);
	s->open_since_us = 0;
	s->reopen_us = 0;
	needed_us = settle_needed_us(s, p, look->lease);
	ready_us =
		settle_at_least(s->changed_us + needed_us, p->apart_us > 0 ? s->equal_us + p->apart_us : 0);
	if (now_us < ready_us) {
		s->due_us = settle_next_us(p, now_us, ready_us, needed_us);
		return SETTLE_WAIT;
	}
	if (settle_needs_two_looks(s, p, look->lease) && s->looks < 2) {
		s->due_us = now_us + needed_us;
		return SETTLE_WAIT;
	}
	if (p->need_close && !s->closed && look->lease != SETTLE_LEASE_FREE) {
		s->due_us = now_us + SETTLE_REOPEN_MOST_US;
		return SETTLE_WAIT;
	}
	return SETTLE_COMPLETE;
}

void settle_unlooked(struct settle *s, const struct settle_policy *p, int64_t now_us)
{
	s->due_us = now_us + (p->quiet_us < SETTLE_REOPEN_FIRST_US ? SETTLE_REOPEN_FIRST_US : p->quiet_us);
}

bool settle_is_stuck(const struct settle *s, const struct settle_policy *p)
{
	if (s->open_since_us != 0)
		return true;
	/* The second look is one with a lease, wherever it was found first. */
	return p->need_close && !s->closed && s->looks >= 2 && s->last.lease == SETTLE_LEASE_UNKNOWN;
}

void settle_changed(struct settle *s, const struct settle_policy *p, int64_t now_us)
{
	/* Whoever changed it behind the look may still write; a hint that came meanwhile has set its own
	 * time. */
	if (!s->noted)
		s->closed = s->carried = s->moved_in = false;
	s->changed_us = now_us;
	s->looks = 0;
	s->due_us = now_us + p->closed_us;
}

int settle_add_evidence(const struct settle *s, int64_t now_us, struct buf *b)
{
	char span[CLOCK_TEXT_BYTES];

	if (s->carried)
		(void)buf_adds(b, "closed by its writer under another name");
	else if (s->closed)
		(void)buf_adds(b, "closed by its writer");
	else if (s->moved_in)
		(void)buf_adds(b, "moved in from elsewhere");
	else if (s->by_event)
		(void)buf_adds(b, "no sign that the writer closed");
	else
		(void)buf_adds(b, "found by a listing");
	(void)buf_addf(b, ", unchanged for %s", clock_format_span(now_us - s->changed_us, span));
	switch (s->last.lease) {
	case SETTLE_LEASE_FREE:
		return buf_adds(b, ", lease granted");
	case SETTLE_LEASE_OPEN:
		return buf_adds(b, ", lease refused");
	case SETTLE_LEASE_UNKNOWN:
		break;
	}
	return buf_adds(b, ", lease unknown");
}

/* On a polled mount: how many looks there are, and when the next one is. */
static void settle_add_looks(
	const struct settle *s, const struct settle_policy *p, int64_t now_us, struct buf *b)
{
	char apart[CLOCK_TEXT_BYTES], next[CLOCK_TEXT_BYTES];

	if (p->apart_us == 0)
		return;
	(void)buf_addf(b, ", %u equal look%s of 2 at least %s apart, the next in %s", s->looks,
		s->looks == 1 ? "" : "s", clock_format_span(p->apart_us, apart),
		clock_format_span(s->due_us > now_us ? s->due_us - now_us : 0, next));
}

int settle_add_missing(const struct settle *s, const struct settle_policy *p, int64_t now_us, struct buf *b)
{
	char span[CLOCK_TEXT_BYTES], need[CLOCK_TEXT_BYTES];
	int64_t needed = settle_needed_us(s, p, s->last.lease);
	bool two = settle_needs_two_looks(s, p, s->last.lease);

	if (s->open_since_us != 0)
		return buf_addf(
			b, "open for writing since %s", clock_format_span(now_us - s->open_since_us, span));
	if (now_us - s->changed_us < needed || (two && s->looks < 2) ||
		(p->apart_us > 0 && now_us - s->equal_us < p->apart_us)) {
		(void)buf_addf(b, "unchanged for %s of %s%s", clock_format_span(now_us - s->changed_us, span),
			clock_format_span(needed, need),
			p->quiet_only		 ? " (complete = quiet)"
			: s->closed || p->marked ? ""
						 : " (no sign that the writer closed)");
		settle_add_looks(s, p, now_us, b);
		return b->failed ? -ENOBUFS : 0;
	}
	if (p->need_close && !s->closed)
		return buf_adds(b, "no sign that the writer closed, which complete = close asks for");
	if (s->due_us > now_us)
		return buf_addf(b, "a look at it, in %s", clock_format_span(s->due_us - now_us, span));
	return buf_adds(b, "nothing");
}
