/*
 * terminal: wcwidth(3) depends on the locale, which this program does not set; so the few blocks that matter
 * are here (Unicode 15, East Asian Width W and F, and marks without a width).
 */
#include "base/terminal.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/text.h"

#define ELLIPSIS "…"

static const struct {
	uint32_t first, last;
	unsigned width;
} blocks[] = {{0x0300, 0x036f, 0}, {0x1100, 0x115f, 2}, {0x200b, 0x200f, 0}, {0x2e80, 0x303e, 2},
	{0x3041, 0x33ff, 2}, {0x3400, 0x4dbf, 2}, {0x4e00, 0x9fff, 2}, {0xa000, 0xa4cf, 2},
	{0xac00, 0xd7a3, 2}, {0xf900, 0xfaff, 2}, {0xfe00, 0xfe0f, 0}, {0xfe30, 0xfe6f, 2},
	{0xff00, 0xff60, 2}, {0xffe0, 0xffe6, 2}, {0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2},
	{0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2}};

size_t terminal_columns(int fd)
{
	struct winsize size = {.ws_col = 0};

	if (!isatty(fd))
		return 0;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : TERMINAL_COLUMNS;
}

static unsigned width_of(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
		if (c >= blocks[i].first && c <= blocks[i].last)
			return blocks[i].width;
	return 1;
}

/* Length and columns of the character at s. */
static size_t next_character(const char *s, size_t len, unsigned *ret_width)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = text_utf8_next(s, len);
	uint32_t c = n <= 1 ? p[0] : p[0] & (0xffu >> (n + 1));

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	*ret_width = width_of(c);
	return n > 0 ? n : 1;
}

static size_t width_of_bytes(const char *s, size_t len)
{
	size_t columns = 0;
	unsigned width;

	for (size_t i = 0; i < len; columns += width)
		i += next_character(s + i, len - i, &width);
	return columns;
}

size_t terminal_width(const char *s)
{
	return width_of_bytes(s, strlen(s));
}

int terminal_add_cut(struct buf *b, const char *s, size_t columns)
{
	size_t len = strlen(s), used = 0, i = 0;
	unsigned width;

	if (width_of_bytes(s, len) <= columns)
		return buf_adds(b, s);
	while (i < len) {
		size_t n = next_character(s + i, len - i, &width);

		if (used + width + 1 > columns)
			break;
		used += width;
		i += n;
	}
	(void)buf_add(b, s, i);
	return buf_adds(b, ELLIPSIS);
}

int terminal_add_cut_front(struct buf *b, const char *s, size_t columns)
{
	size_t len = strlen(s), left = width_of_bytes(s, len), i = 0;
	unsigned width;

	if (left <= columns)
		return buf_adds(b, s);
	while (i < len && left + 1 > columns) {
		i += next_character(s + i, len - i, &width);
		left -= width;
	}
	(void)buf_adds(b, ELLIPSIS);
	return buf_adds(b, s + i);
}
