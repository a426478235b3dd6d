/*
 * A token is not counted as 1 but as per_us units of credit, and a microsecond brings `count` units: so 3 per
 * second needs no fraction, and a bucket that is asked a million times gives exactly what it should.
 *
 * Kept instead of one time stamp ("next free at", GCRA), because there the interval per_us / count would have
 * to be rounded.
 */
#include "core/rate.h"

#define EASE_SHARES (RATE_SHARES / 32)
#define EASE_EVERY_US INT64_C(250000)

/* Tokens to credit; a product that does not fit is as good as endless. */
static int64_t to_credit(int64_t tokens, int64_t per_us)
{
	int64_t credit;

	return __builtin_mul_overflow(tokens, per_us, &credit) ? INT64_MAX : credit;
}

/* What would be in the bucket at now_us. */
static int64_t credit_at(const struct rate *r, int64_t now_us)
{
	int64_t elapsed_us, gained, credit;

	if (now_us <= r->at_us)
		return r->credit;
	if (__builtin_sub_overflow(now_us, r->at_us, &elapsed_us) ||
		__builtin_mul_overflow(elapsed_us, r->count, &gained) ||
		__builtin_add_overflow(r->credit, gained, &credit))
		return r->full;
	return credit < r->full ? credit : r->full;
}

static void advance(struct rate *r, int64_t now_us)
{
	r->credit = credit_at(r, now_us);
	if (now_us > r->at_us)
		r->at_us = now_us;
}

/* An empty struct into a full bucket. */
static void fill(struct rate *r, int64_t count, int64_t per_us, int64_t burst, int64_t now_us)
{
	int64_t slack;

	r->count = count > 0 ? count : 0;
	r->per_us = per_us > 0 ? per_us : 1;
	r->full = to_credit(burst > 0 ? burst : 1, r->per_us);
	r->credit = r->full;
	/* A token is taken at a whole microsecond; what that brought too much must not be lost when the
	 * bucket is small. */
	slack = (r->count < r->per_us ? r->count : r->per_us) - 1;
	if (slack > 0 && __builtin_add_overflow(r->full, slack, &r->full))
		r->full = INT64_MAX;
	r->at_us = now_us;
}

/* Another bucket with the whole tokens of the one before. */
static void refill(struct rate *r, int64_t count, int64_t per_us, int64_t burst, int64_t now_us)
{
	struct rate old = *r;

	fill(r, count, per_us, burst, now_us);
	if (old.count == 0)
		return;
	advance(&old, now_us);

	int64_t kept = to_credit(old.credit / old.per_us, r->per_us);

	if (kept < r->credit)
		r->credit = kept;
	r->at_us = old.at_us;
}

/* As much as its share of the limit is. A share of a rate that is too large to be divided is the whole. */
static void use_share(struct rate *r, int64_t now_us)
{
	int64_t burst = r->limit.burst / RATE_SHARES * r->share +
			r->limit.burst % RATE_SHARES * r->share / RATE_SHARES;
	int64_t count, per_us, credit;

	if (burst < 1)
		burst = 1;
	if (r->share == RATE_SHARES || __builtin_mul_overflow(r->limit.count, r->share, &count) ||
		__builtin_mul_overflow(r->limit.per_us, RATE_SHARES, &per_us) ||
		__builtin_mul_overflow(per_us, burst, &credit))
		refill(r, r->limit.count, r->limit.per_us, r->limit.burst, now_us);
	else
		refill(r, count, per_us, burst, now_us);
}

static void set_limit(struct rate *r, int64_t count, int64_t per_us, int64_t burst)
{
	r->limit.count = count > 0 ? count : 0;
	r->limit.per_us = per_us > 0 ? per_us : 1;
	r->limit.burst = burst > 0 ? burst : 1;
}

void rate_init(struct rate *r, int64_t count, int64_t per_us, int64_t burst, int64_t now_us)
{
	*r = (struct rate){.share = RATE_SHARES, .slowed_us = INT64_MIN, .eased_us = INT64_MIN};
	set_limit(r, count, per_us, burst);
	fill(r, count, per_us, burst, now_us);
}

void rate_set(struct rate *r, int64_t count, int64_t per_us, int64_t burst, int64_t now_us)
{
	set_limit(r, count, per_us, burst);
	use_share(r, now_us);
}

bool rate_slow(struct rate *r, int64_t sent_us, int64_t now_us)
{
	if (r->limit.count == 0 || r->share == 1 || sent_us < r->slowed_us)
		return false;
	r->share /= 2;
	r->slowed_us = r->eased_us = now_us;
	use_share(r, now_us);
	return true;
}

bool rate_ease(struct rate *r, int64_t now_us)
{
	if (r->share == RATE_SHARES || now_us - r->eased_us < EASE_EVERY_US)
		return false;
	r->share = r->share + EASE_SHARES < RATE_SHARES ? r->share + EASE_SHARES : RATE_SHARES;
	r->eased_us = now_us;
	use_share(r, now_us);
	return true;
}

bool rate_is_full(const struct rate *r)
{
	return r->share == RATE_SHARES;
}

bool rate_take(struct rate *r, int64_t now_us)
{
	if (r->count == 0)
		return true;
	advance(r, now_us);
	if (r->credit < r->per_us)
		return false;
	r->credit -= r->per_us;
	return true;
}

int64_t rate_next_us(const struct rate *r, int64_t now_us)
{
	if (r->count == 0)
		return now_us;

	int64_t missing = r->per_us - credit_at(r, now_us);
	int64_t from_us = now_us > r->at_us ? now_us : r->at_us;

	return missing <= 0 ? now_us : from_us + (missing - 1) / r->count + 1;
}
