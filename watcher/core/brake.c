/*
 * brake: a window and not a bucket, because what a person sees is "so many in that hour", and because all
 * that was held in it is told in one event at its end.
 */
#include "core/brake.h"

static int64_t end_of(const struct brake *b)
{
	int64_t end_us;

	return __builtin_add_overflow(b->began_us, b->per_us, &end_us) ? INT64_MAX : end_us;
}

void brake_init(struct brake *b, int64_t count, int64_t per_us)
{
	*b = (struct brake){.count = count > 0 ? count : 0, .per_us = per_us > 0 ? per_us : 1};
}

void brake_restore(struct brake *b, int64_t began_us, int64_t accepted, int64_t now_us)
{
	b->began_us = began_us < now_us ? began_us : now_us;
	b->accepted = accepted;
	b->engaged = false;
	b->running = b->count > 0 && accepted > 0 && now_us < end_of(b);
}

enum brake_verdict brake_take(struct brake *b, int64_t now_us)
{
	if (b->count == 0)
		return BRAKE_PASS;
	if (!b->running || now_us >= end_of(b)) {
		b->running = true;
		b->began_us = now_us;
		b->accepted = 0;
		b->engaged = false;
	}
	if (b->accepted < b->count) {
		b->accepted++;
		return BRAKE_PASS;
	}
	if (b->engaged)
		return BRAKE_HOLD;
	b->engaged = true;
	return BRAKE_ENGAGE;
}

int64_t brake_due_us(const struct brake *b)
{
	return b->running && b->engaged ? end_of(b) : INT64_MAX;
}

bool brake_end(struct brake *b, int64_t now_us)
{
	if (brake_due_us(b) > now_us)
		return false;
	b->running = b->engaged = false;
	return true;
}
