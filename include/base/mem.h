/*
 * mem: allocation that either works or ends the program (small fixed sizes; sizes that come from outside are
 * bounded by the caller first). Memory is released with free().
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_array(size_t n, size_t bytes)
	__attribute__((malloc, returns_nonnull)); /* zeroed, checked for overflow */
void *mem_resize(void *p, size_t n, size_t bytes)
	__attribute__((returns_nonnull)); /* realloc, checked; new part not zeroed */
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull)); /* s must not be NULL */
char *mem_strndup(const char *s, size_t n)
	__attribute__((malloc, returns_nonnull)); /* at most n bytes, NUL added */
void *mem_dup(const void *p, size_t n)
	__attribute__((malloc, returns_nonnull)); /* n bytes + a NUL after them */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));
/* Gives what was freed back to the system, as far as the C library can. After a crowd, not after a file. */
void mem_trim(void);

static inline void mem_free_cleanup(void *p)
{
	free(*(void **)p);
}
#define CLEANUP_FREE __attribute__((cleanup(mem_free_cleanup)))

#endif
