/*
 * buf: a growing run of bytes with a ceiling that must be named.
 *
 * Errors stick: after a first failure (ceiling reached) every further call fails too, so a builder can add
 * piece by piece and look once at the end. The bytes are always followed by a NUL that is not counted.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

struct buf {
	char *data; /* NULL while empty and never grown; use buf_str() for a C string */
	size_t len;
	size_t cap;
	size_t max; /* most bytes it may hold */
	bool failed;
};

#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

/* Nothing is allocated before the first byte. */
void buf_init(struct buf *b, size_t max_bytes);
void buf_done(struct buf *b);  /* frees; b may be used again after buf_init */
void buf_reset(struct buf *b); /* empty again, keeps memory, clears failed */

/* All return 0 or -ENOBUFS (ceiling; sticks). Each adds all or nothing. What is added must not lie in b
 * itself. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
int buf_vaddf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* Removes n bytes from the front (n <= len). */
void buf_cut_front(struct buf *b, size_t n);
/* Shortens to len n (n <= len). */
void buf_truncate(struct buf *b, size_t n);
/* Borrowed; never NULL. */
const char *buf_str(const struct buf *b);
/* Ownership of the bytes (NUL-terminated, len in *ret_len if not NULL) moves to the caller; b is empty
 * afterwards. */
char *buf_take(struct buf *b, size_t *ret_len);

#define CLEANUP_BUF __attribute__((cleanup(buf_done)))

#endif
