/*
 * cadence: the jitter goes down from the interval and never up, so that poll_interval stays the longest pause
 * on a mount that answers quickly.
 */
#include "core/cadence.h"

int64_t cadence_pause_us(int64_t interval_us, int64_t cost_us, uint64_t random)
{
	int64_t jitter_us = (int64_t)(random % (uint64_t)(interval_us / 10 + 1));
	int64_t pause_us = interval_us - jitter_us;
	int64_t most_us = INT64_MAX / CADENCE_REST;
	int64_t rest_us = CADENCE_REST * (cost_us > most_us ? most_us : cost_us);

	return rest_us > pause_us ? rest_us : pause_us;
}
