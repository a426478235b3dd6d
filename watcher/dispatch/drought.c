/*
 * drought: a workspace that answers, but never as it should, suspends nothing: each row waits by itself. What
 * is said to people must not depend on that.
 */
#include "dispatch/drought.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

void drought_hear(struct drought *d, const char *reason, const char *message, int64_t at_us)
{
	if (d->failures++ == 0)
		d->since_us = at_us;
	free(d->words);
	d->words = mem_printf("%s%s%s", reason, message && message[0] ? ": " : "", message ? message : "");
}

bool drought_is_long(const struct drought *d, int64_t now_us)
{
	return d->failures >= DROUGHT_FAILURES && now_us - d->since_us >= DROUGHT_AFTER_US;
}

void drought_end(struct drought *d)
{
	free(d->words);
	memset(d, 0, sizeof(*d));
}
