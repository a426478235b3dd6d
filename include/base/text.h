/*
 * text: UTF-8 and words. A file name is bytes; these say what may be shown and how.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"

/* Strict UTF-8 (RFC 3629: no overlong forms, no surrogates, <= U+10FFFF). NUL is allowed inside len. */
bool text_is_utf8(const char *s, size_t len);
/* Length (1..4) of the valid sequence at s (len > 0 bytes there), 0 when there is none. */
size_t text_utf8_next(const char *s, size_t len);
/* Adds s with each byte that is not part of valid UTF-8 replaced by U+FFFD. */
int text_add_utf8_repaired(struct buf *b, const char *s, size_t len);
/* Adds s fit for a terminal or log line: control characters (C0, DEL, C1) and bad bytes as \n \t \xNN,
 * backslash as it is. Characters that end a line or turn the direction of writing count as control
 * characters. */
int text_add_printable(struct buf *b, const char *s, size_t len);
/* The same into a fixed space, cut with "…" when it does not fit. Returns out. */
const char *text_printable(const char *s, size_t len, char *out, size_t out_bytes);
/* Levenshtein distance in bytes, both at most 63 (longer: SIZE_MAX). */
size_t text_distance(const char *a, const char *b);
/* The nearest of n words within distance 3 and less than half of the word's length + 1 (the first of equals),
 * or NULL. Borrowed. */
const char *text_nearest(const char *word, const char *const *words, size_t n);
bool text_starts_with(const char *s, const char *prefix);
bool text_ends_with(const char *s, const char *suffix);
/* Standard base64 with padding (RFC 4648 section 4). */
int text_add_base64(struct buf *b, const void *p, size_t n);
/* The bytes of such a text, appended. -EINVAL: it is none; b may have got some. */
int text_from_base64(struct buf *b, const char *s, size_t n) MUST_CHECK;
int text_add_hex(struct buf *b, const void *p, size_t n); /* lower case */
/* Cuts blanks and tabs at both ends in place; returns the first byte that counts. */
char *text_trim(char *s);

#endif
