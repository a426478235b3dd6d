/*
 * Full jitter was chosen over "equal jitter" because what has to be spread is a crowd: thousands of rows that
 * failed in the same second. The pace of the whole is kept by core/rate, so a delay of nearly nothing does no
 * harm.
 */
#include "core/backoff.h"

int64_t backoff_ceiling_us(unsigned failures)
{
	int64_t ceiling_us = BACKOFF_FIRST_US;

	for (unsigned i = 1; i < failures && ceiling_us < BACKOFF_LAST_US; i++)
		ceiling_us *= 2;
	return ceiling_us < BACKOFF_LAST_US ? ceiling_us : BACKOFF_LAST_US;
}

int64_t backoff_delay_us(unsigned failures, int64_t retry_after_us, uint64_t random)
{
	uint64_t values = (uint64_t)backoff_ceiling_us(failures) + 1;
	int64_t delay_us =
		(int64_t)(random % values); /* 2^64 is so much larger that the remainder is as good as even */

	if (retry_after_us > BACKOFF_RETRY_AFTER_MAX_US)
		retry_after_us = BACKOFF_RETRY_AFTER_MAX_US;
	return delay_us > retry_after_us ? delay_us : retry_after_us;
}
