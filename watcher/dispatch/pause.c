/*
 * pause: requests that were on their way together all fail when a workspace goes away; only the first of
 * them makes the pause longer.
 */
#include "dispatch/pause.h"

#include <stdlib.h>
#include "base/mem.h"
#include "core/backoff.h"

bool pause_is_on(const struct pause *p, int64_t now_us)
{
	return p->failures > 0 && now_us < p->until_us;
}

int64_t pause_until(const struct pause *p)
{
	return p->failures > 0 ? p->until_us : 0;
}

void pause_longer(struct pause *p, int64_t out_us, int64_t answered_us)
{
	if (p->failures > 0 && out_us < p->since_us)
		return;
	p->failures++;
	p->since_us = answered_us;
	p->until_us = answered_us + backoff_ceiling_us(p->failures);
}

void pause_as_asked(struct pause *p, int64_t answered_us, int64_t wait_us)
{
	if (p->failures == 0)
		p->failures = 1;
	p->since_us = answered_us;
	p->until_us =
		answered_us + (wait_us < BACKOFF_RETRY_AFTER_MAX_US ? wait_us : BACKOFF_RETRY_AFTER_MAX_US);
}

void pause_at_least(struct pause *p, int64_t answered_us, int64_t wait_us)
{
	int64_t until_us =
		answered_us + (wait_us < BACKOFF_RETRY_AFTER_MAX_US ? wait_us : BACKOFF_RETRY_AFTER_MAX_US);

	if (p->failures > 0 && p->until_us < until_us)
		p->until_us = until_us;
}

bool pause_end(struct pause *p)
{
	bool told = p->told || p->open;

	p->failures = 0;
	p->since_us = p->until_us = 0;
	p->told = p->open = false;
	return told;
}

void pause_tell(
	struct pause *p, enum outcome_kind kind, const char *reason, const char *message, const char *advice)
{
	p->told = true;
	p->open = false;
	p->told_kind = kind;
	free(p->words);
	p->words = mem_printf("%s: %s%s%s", reason, message, advice[0] ? "; " : "", advice);
}

bool pause_has_news(const struct pause *p)
{
	return !p->open && (p->told != p->recorded || (p->told && p->told_kind != p->recorded_kind));
}

void pause_recorded(struct pause *p)
{
	if (p->open)
		return;
	p->recorded = p->told;
	p->recorded_kind = p->told_kind;
}

void pause_done(struct pause *p)
{
	free(p->words);
	p->words = NULL;
}
