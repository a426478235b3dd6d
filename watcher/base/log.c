/*
 * The line is put together on the stack and leaves in one write(2), so that lines of several processes that
 * share stderr do not mix (a pipe takes up to 4096 bytes whole, see pipe(7); so that is the length of a
 * line). Nothing here allocates, and errno is as before: a message may be the last thing that still works.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/text.h"

#define PROCESS_BYTES 64
#define LINE_BYTES 4096
#define RAW_BYTES (2 * LINE_BYTES) /* what is cut here is cut again below, and there marked */

static const struct {
	const char *name;
	char priority; /* as sd-daemon(3) has them */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", '3'},
	[LOG_LEVEL_WARNING] = {"warning", '4'},
	[LOG_LEVEL_INFO] = {"info", '6'},
	[LOG_LEVEL_DEBUG] = {"debug", '7'},
};

static struct {
	char process[PROCESS_BYTES];
	enum log_level level;
	bool journal, terminal;
} current = {.process = "brickwatch", .level = LOG_LEVEL_INFO};

/* What cannot be written is lost: there is no better place to complain. */
static void write_line(const char *line, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, line, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		line += n;
		len -= (size_t)n;
	}
}

static PRINTF_LIKE(2, 0) void log_line(enum log_level level, const char *fmt, va_list ap)
{
	int saved = errno;
	char raw[RAW_BYTES];
	char line[LINE_BYTES];
	size_t used = 0;

	if (current.journal)
		used += (size_t)snprintf(line, sizeof(line), "<%c>", levels[level].priority);
	if (current.terminal)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s", LOG_ERASE);
	used += (size_t)snprintf(line + used, sizeof(line) - used, "%s: ", current.process);
	errno = saved; /* for %m */
	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		raw[0] = '\0';
	/* the NUL's byte of the room becomes the line feed */
	text_printable(raw, strlen(raw), line + used, sizeof(line) - used);
	used += strlen(line + used);
	line[used++] = '\n';
	write_line(line, used);
	errno = saved;
}

static PRINTF_LIKE(2, 3) void log_always(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(level, fmt, ap);
	va_end(ap);
}

void log_init(const char *process, enum log_level level, bool journal)
{
	text_printable(process, strlen(process), current.process, sizeof(current.process));
	current.level = level;
	current.journal = journal;
}

void log_set_terminal(void)
{
	current.terminal = true;
}

void log_set_level(enum log_level level)
{
	current.level = level;
}

bool log_is_on(enum log_level level)
{
	return level <= current.level;
}

int log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(name, levels[i].name) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	BUG_ON((size_t)level >= ARRAY_SIZE(levels));
	return levels[level].name;
}

#define DEFINE_LOG(name, level)                                                                              \
	void name(const char *fmt, ...)                                                                      \
	{                                                                                                    \
		va_list ap;                                                                                  \
                                                                                                             \
		va_start(ap, fmt);                                                                           \
		if (log_is_on(level))                                                                        \
			log_line(level, fmt, ap);                                                            \
		va_end(ap);                                                                                  \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warning, LOG_LEVEL_WARNING)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)

void log_trace(const char *topic, const char *text)
{
	log_always(LOG_LEVEL_DEBUG, "[%s] %s", topic, text);
}
