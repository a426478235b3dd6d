/*
 * Running out of memory for something small leaves nothing sensible to do: every state that matters is in the
 * ledger, so the process ends at once and is started anew. What comes from outside is bounded before it gets
 * here.
 */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/err.h"

static _Noreturn void out_of_memory(void)
{
	static const char text[] = "out of memory\n";
	ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)ignored;
	abort();
}

static size_t checked_product(size_t n, size_t bytes)
{
	size_t total;

	if (__builtin_mul_overflow(n, bytes, &total))
		out_of_memory();
	return total;
}

void *mem_alloc(size_t bytes)
{
	void *p = calloc(1, bytes > 0 ? bytes : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *mem_array(size_t n, size_t bytes)
{
	return mem_alloc(checked_product(n, bytes));
}

void *mem_resize(void *p, size_t n, size_t bytes)
{
	size_t total = checked_product(n, bytes);
	void *q = realloc(p, total > 0 ? total : 1); /* realloc(p, 0) would free p and return NULL */

	if (q == NULL)
		out_of_memory();
	return q;
}

char *mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t n)
{
	return mem_dup(s, strnlen(s, n));
}

void *mem_dup(const void *p, size_t n)
{
	if (n == SIZE_MAX)
		out_of_memory();

	char *q = malloc(n + 1);

	if (q == NULL)
		out_of_memory();
	if (n > 0)
		memcpy(q, p, n);
	q[n] = '\0';
	return q;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);

	char *s = mem_alloc((size_t)n + 1);

	va_start(ap, fmt);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}

void mem_trim(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}
