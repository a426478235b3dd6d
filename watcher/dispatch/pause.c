/*
 * pause: requests that were on their way together all fail when a workspace goes away; only the first of
 * them makes the pause longer.
 *
 * Two may take turns in saying why (who looks at the job, and who answers requests), each in the same words:
 * so the last two that were told are no news.
 */
#include "dispatch/pause.h"

#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "core/backoff.h"

#define PAUSE_GAP_FIRST_US (60 * US_PER_S)
#define PAUSE_GAP_LAST_US (3600 * US_PER_S)

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

static void set_words(struct pause *p, const char *reason, const char *message, const char *advice)
{
	free(p->words);
	p->words = mem_printf("%s%s%s%s%s", reason, message && message[0] ? ": " : "", message ? message : "",
		advice[0] ? "; " : "", advice);
}

void pause_as_asked(
	struct pause *p, const char *reason, const char *message, int64_t answered_us, int64_t wait_us)
{
	if (!p->told)
		set_words(p, reason, message, "");
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
	p->told = p->open = p->again = p->other = false;
	free(p->words);
	p->words = NULL;
	return told;
}

void pause_tell(
	struct pause *p, enum outcome_kind kind, const char *reason, const char *message, const char *advice)
{
	bool same = p->told && p->told_kind == kind;

	set_words(p, reason, message, advice);
	free(p->former);
	p->former = same ? p->said : NULL;
	if (!same)
		free(p->said);
	p->said = mem_strdup(p->words);
	p->told = true;
	p->open = false;
	p->told_kind = kind;
}

bool pause_hear(struct pause *p, enum outcome_kind kind, const char *reason, const char *message,
	const char *advice, int64_t answered_us)
{
	if (!p->told || p->told_kind != kind) {
		pause_tell(p, kind, reason, message, advice);
		p->hush_us = answered_us;
		p->gap_us = PAUSE_GAP_FIRST_US;
		return true;
	}
	set_words(p, reason, message, advice);
	if (strcmp(p->words, p->said) == 0 || (p->former && strcmp(p->words, p->former) == 0) ||
		answered_us < p->hush_us)
		return false;
	pause_tell(p, kind, reason, message, advice);
	p->again = true;
	p->hush_us = answered_us + p->gap_us;
	p->gap_us = 2 * p->gap_us < PAUSE_GAP_LAST_US ? 2 * p->gap_us : PAUSE_GAP_LAST_US;
	return true;
}

void pause_recall(struct pause *p, enum outcome_kind kind, const char *words)
{
	p->recorded = p->open = true;
	p->recorded_kind = kind;
	free(p->words);
	p->words = mem_strdup(words);
}

bool pause_is_quiet(const struct pause *p)
{
	return p->failures > 0 && !p->told;
}

const char *pause_why(const struct pause *p)
{
	return p->told || p->open || pause_is_quiet(p) ? p->words : NULL;
}

bool pause_has_news(const struct pause *p)
{
	return !p->open &&
	       (p->told != p->recorded || (p->told && (p->told_kind != p->recorded_kind || p->again)));
}

void pause_recorded(struct pause *p)
{
	if (p->open)
		return;
	p->recorded = p->told;
	p->recorded_kind = p->told_kind;
	p->again = false;
}

void pause_done(struct pause *p)
{
	free(p->words);
	free(p->said);
	free(p->former);
	p->words = p->said = p->former = NULL;
}
