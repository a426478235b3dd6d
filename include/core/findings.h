/*
 * findings: what is to be told about something, the worst first. A bounded list of sentences fit to be shown.
 */
#ifndef CORE_FINDINGS_H
#define CORE_FINDINGS_H

#include <stddef.h>
#include "base/err.h"
#include "base/json.h"

#define FINDINGS_MAX 24
#define FINDINGS_TEXT_BYTES 1200

enum finding_level { FINDING_NOTE = 0, FINDING_WARNING, FINDING_ERROR };

struct finding {
	enum finding_level level;
	const char *code; /* constant word, listed in doc/jobs.md */
	char *text;	  /* printable UTF-8, at most FINDINGS_TEXT_BYTES with NUL */
};

struct findings { /* errors first, then warnings, then notes */
	struct finding items[FINDINGS_MAX];
	size_t n;
	size_t more; /* how many were not kept */
};

void findings_done(struct findings *f);
const char *finding_level_name(enum finding_level level); /* "error" */
/* The first error; NULL: none. */
const struct finding *findings_error(const struct findings *f);

/* Adds the member "findings": an array of {"level", "code", "text"}. */
void findings_add_json(struct json_writer *w, const struct findings *f);

void findings_add(struct findings *f, enum finding_level level, const char *code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

#endif
