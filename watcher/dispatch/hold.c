/*
 * hold: a refusal that was found by looking is told like one that an answer brought, and ends when looking
 * shows so. Where rows are the better judges (the job is missing or forbidden, as far as looking can tell),
 * they go on probing; a run that is started nevertheless proves the look wrong, and it is not believed again.
 */
#include "dispatch/hold.h"

#include <string.h>
#include "base/clock.h"

static bool is_of(const struct line *line, const char *watch)
{
	return line->conf && strcmp(line->watch, watch) == 0;
}

void hold_set(struct sender *s, const char *watch, bool held)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!is_of(line, watch) || line->held == held)
			continue;
		line->held = held;
		line_restart(line);
	}
}

static void refuse(struct line *line, const char *code, const char *text, bool probe)
{
	int64_t now_us = clock_mono_us();

	if (probe && line->proved)
		return;
	line->found = true;
	line->found_probe = probe;
	(void)pause_hear(&line->pause, OUTCOME_JOB, code, text, "", now_us); /* the text has the advice */
	if (probe && line->pause.failures == 0)
		pause_longer(&line->pause, now_us, now_us);
}

void hold_job_refused(struct sender *s, const char *watch, const char *code, const char *text, bool probe)
{
	for (size_t i = 0; i < s->lines_n; i++)
		if (is_of(s->lines[i], watch))
			refuse(s->lines[i], code, text, probe);
}

void hold_job_good(struct sender *s, const char *watch)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!is_of(line, watch) || !line->found)
			continue;
		line->found = false;
		(void)pause_end(&line->pause);
		line_restart(line);
	}
}

void hold_job_changed(struct sender *s, const char *watch)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!is_of(line, watch))
			continue;
		line->found = line->proved = false;
		line->started_us = 0;
		(void)pause_end(&line->pause);
		line_restart(line);
	}
	LIST_FOREACH (it, &s->slots) {
		struct slot *slot = LIST_OF(it, struct slot, in);

		slot->old_job |= is_of(slot->line, watch);
	}
}

bool hold_proved(struct line *line)
{
	if (line->found && !line->found_probe)
		return false; /* a row that may have been out before: says nothing about new ones */
	line->proved |= line->found;
	line->found = false;
	return pause_end(&line->pause);
}
