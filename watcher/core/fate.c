/*
 * fate: lists of words. What is in none of them is not known, since more words may come.
 */
#include "core/fate.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

/* Ends that say nothing about the file or the job. */
static const char *const skipped_codes[] = {
	"SKIPPED",
	"MAX_CONCURRENT_RUNS_EXCEEDED",
	"MAX_JOB_QUEUE_SIZE_EXCEEDED",
	"WORKSPACE_RUN_LIMIT_EXCEEDED",
	"CLUSTER_REQUEST_LIMIT_EXCEEDED",
	"CLOUD_FAILURE",
	NULL,
};

/* A run that is only PENDING, BLOCKED or WAITING may still be skipped. */
static const char *const going[] = {"QUEUED", "RUNNING", "TERMINATING", "WAITING_FOR_RETRY", NULL};

static enum fate decide_by_status(const struct fate_words *w)
{
	if (strcmp(w->status, "TERMINATED") == 0 && w->code[0])
		return is_one_of(w->code, skipped_codes) ? FATE_SKIPPED : FATE_RUNS;
	return is_one_of(w->status, going) ? FATE_RUNS : FATE_UNKNOWN;
}

static enum fate decide_by_life_cycle(const struct fate_words *w)
{
	static const char *const ends[] = {"TERMINATED", "INTERNAL_ERROR", NULL};

	if (strcmp(w->life_cycle, "SKIPPED") == 0)
		return FATE_SKIPPED;
	if (is_one_of(w->life_cycle, ends))
		return strcmp(w->result, "MAXIMUM_CONCURRENT_RUNS_REACHED") == 0 ? FATE_SKIPPED : FATE_RUNS;
	return is_one_of(w->life_cycle, going) ? FATE_RUNS : FATE_UNKNOWN;
}

enum fate fate_decide(const struct fate_words *w)
{
	enum fate fate = w->status[0] ? decide_by_status(w) : FATE_UNKNOWN;

	return fate != FATE_UNKNOWN ? fate : decide_by_life_cycle(w);
}
