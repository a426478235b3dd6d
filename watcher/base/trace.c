/*
 * trace: a mask of topics, and base/log for the rest.
 */
#include "base/trace.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define TRACE_LINE_BYTES 4096 /* of base/log */

#define TRACE_NAME(symbol, name, help) name,
const char *const trace_words[] = {TRACE_TOPICS(TRACE_NAME) "all", NULL};
#undef TRACE_NAME

_Static_assert(TRACE_ALL < 31, "a bit for each topic");

unsigned trace_topics;

void trace_set_up(enum log_level level, unsigned topics)
{
	log_set_level(level);
	trace_topics = level == LOG_LEVEL_DEBUG || (topics & (1u << TRACE_ALL)) ? ~0u : topics;
}

void trace_write(enum trace_topic topic, const char *fmt, ...)
{
	int saved = errno;
	char text[2 * TRACE_LINE_BYTES]; /* what is cut here is cut again there, and there marked */
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	log_trace(trace_words[topic], text);
	errno = saved;
}
