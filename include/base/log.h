/*
 * log: our own messages on stderr, one line each, and nothing else. It knows nothing above itself; who may
 * see what is the caller's business. Never give it a secret.
 *
 * A line is: optional journal prefix "<N>", then (when stderr is not the journal) nothing but "PROCESS:
 * text\n". Control characters and bytes that are not UTF-8 are shown as \xNN, so that a file name cannot
 * forge a line. One write(2) a line; lines longer than 4 KiB are cut with "…". errno stays as it is. What
 * cannot be written is lost.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include "base/err.h"

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* process: for instance "brickwatch", "bw-watch orders"; copied (cut at 63 bytes). journal: put <3> <4> <6>
 * <7> in front. */
void log_init(const char *process, enum log_level level, bool journal);
void log_set_level(enum log_level level);
/* Standard error is a terminal on which a line of progress may stand: erase it before each message. */
#define LOG_ERASE "\033[K" /* to the end of the line: ECMA-48, EL */
void log_set_terminal(void);
bool log_is_on(enum log_level level);
/* "error", "warning", "info", "debug" -> level; -EINVAL otherwise. */
int log_level_parse(const char *name, enum log_level *ret);
const char *log_level_name(enum log_level level);

void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A line at level debug, whatever the level is: for base/trace. */
void log_trace(const char *topic, const char *text);

#endif
