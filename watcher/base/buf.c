/*
 * Each call adds all it was given or nothing, so a buffer that failed still ends at a whole piece. Capacity
 * doubles up to the ceiling, plus one byte for the NUL.
 */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

#define FIRST_CAP 64

static int fail(struct buf *b)
{
	b->failed = true;
	return -ENOBUFS;
}

/* Makes room for n more bytes and the NUL. */
static int reserve(struct buf *b, size_t n)
{
	if (b->failed || n > b->max - b->len || b->len + n == SIZE_MAX)
		return fail(b);

	size_t need = b->len + n + 1;
	size_t cap = b->cap > 0 ? b->cap : FIRST_CAP;

	if (need <= b->cap)
		return 0;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (b->max < SIZE_MAX && cap > b->max + 1)
		cap = b->max + 1;
	b->data = mem_resize(b->data, cap, 1);
	b->cap = cap;
	return 0;
}

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = BUF_INIT(max_bytes);
}

void buf_done(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

int buf_add(struct buf *b, const void *p, size_t n)
{
	int r = reserve(b, n);

	if (r < 0)
		return r;
	if (n > 0)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
	return 0;
}

int buf_adds(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_addc(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = buf_vaddf(b, fmt, ap);
	va_end(ap);
	return r;
}

int buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return fail(b);

	int r = reserve(b, (size_t)n);

	if (r < 0)
		return r;
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

void buf_cut_front(struct buf *b, size_t n)
{
	BUG_ON(n > b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

void buf_truncate(struct buf *b, size_t n)
{
	BUG_ON(n > b->len);
	if (b->data == NULL)
		return;
	b->len = n;
	b->data[n] = '\0';
}

const char *buf_str(const struct buf *b)
{
	return b->data != NULL ? b->data : "";
}

char *buf_take(struct buf *b, size_t *ret_len)
{
	char *data = b->data != NULL ? b->data : mem_strdup("");

	if (ret_len != NULL)
		*ret_len = b->len;
	*b = BUF_INIT(b->max);
	return data;
}
