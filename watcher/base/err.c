/*
 * The sentence is always built in a space of its own first, so that the old text may be an argument of the
 * new one (err_prefix is nothing else). A sentence that does not fit is cut between two characters, never
 * inside one: it may end up in the event log, which is UTF-8.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef err_set
#undef err_errno
#undef err_prefix

/* Takes off the bytes of a character that the cut at the end of text left incomplete. */
static void drop_partial_character(char *text, size_t len)
{
	size_t back = 0;

	while (back < 3 && back < len && ((unsigned char)text[len - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back >= len)
		return;

	unsigned char lead = (unsigned char)text[len - 1 - back];
	size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;

	if (want > back + 1)
		text[len - 1 - back] = '\0';
}

/* The sentence in at most room bytes with its NUL. */
static PRINTF_LIKE(3, 0) void set_text(struct err *e, size_t room, const char *fmt, va_list ap)
{
	char text[ERR_TEXT_BYTES];
	int n = vsnprintf(text, room, fmt, ap);

	if (n < 0)
		text[0] = '\0';
	else if ((size_t)n >= room)
		drop_partial_character(text, room - 1);
	memcpy(e->text, text, strlen(text) + 1);
}

static void append_text(struct err *e, const char *more)
{
	size_t len = strlen(e->text);
	size_t room = sizeof(e->text) - len;
	int n = snprintf(e->text + len, room, ": %s", more);

	if (n > 0 && (size_t)n >= room)
		drop_partial_character(e->text, sizeof(e->text) - 1);
}

int err_set(struct err *e, enum err_class class, int code, const char *fmt, ...)
{
	if (code <= 0)
		code = EINVAL;
	if (e != NULL) {
		va_list ap;

		va_start(ap, fmt);
		set_text(e, sizeof(e->text), fmt, ap);
		va_end(ap);
		e->class = class;
		e->code = code;
	}
	return -code;
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	if (code <= 0)
		code = EINVAL;
	if (e != NULL) {
		const char *reason = strerror(code);
		va_list ap;

		va_start(ap, fmt);
		set_text(e, sizeof(e->text) - strlen(reason) - 2, fmt, ap);
		va_end(ap);
		append_text(e, reason);
		e->class = ERR_SYSTEM;
		e->code = code;
	}
	return -code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT_BYTES];
	va_list ap;

	if (e == NULL)
		return -EINVAL;
	memcpy(old, e->text, strlen(e->text) + 1);
	va_start(ap, fmt);
	set_text(e, sizeof(e->text) / 2, fmt, ap);
	va_end(ap);
	append_text(e, old);
	return e->code > 0 ? -e->code : -EINVAL;
}

void err_bug(const char *file, int line, const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "BUG: %s:%d: %s\n", file, line, what);

	if (n > 0) {
		size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
		ssize_t ignored = write(STDERR_FILENO, text, len);

		(void)ignored;
	}
	abort();
}
