/*
 * drought: since when no run of a job was started although requests were answered, or lost, and what was
 * heard last. A single failure is no drought: it is tried again. A value; times are monotonic.
 */
#ifndef DISPATCH_DROUGHT_H
#define DISPATCH_DROUGHT_H

#include <stdbool.h>
#include <stdint.h>

#define DROUGHT_AFTER_US INT64_C(10000000)
#define DROUGHT_FAILURES 3

struct drought {
	unsigned failures;
	int64_t since_us; /* of the first failure after the last start */
	char *words;	  /* of the last one */
};

/* An attempt came to nothing, and is tried again. */
void drought_hear(struct drought *d, const char *reason, const char *message, int64_t at_us);
/* Has it gone on for so long that somebody should know? */
bool drought_is_long(const struct drought *d, int64_t now_us);
/* A run was started; also at the end. */
void drought_end(struct drought *d);

#endif
