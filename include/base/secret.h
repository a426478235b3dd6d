/*
 * secret: bytes that must not get out: tokens, passwords.
 *
 * A type of its own, so that no format, log or JSON writer takes one by mistake; there is no function that
 * prints it. The bytes stand in pages of their own, kept out of core dumps and, where the limits allow it,
 * out of swap, and are wiped when the last owner lets go. They are always followed by a NUL that is not
 * counted.
 *
 * Shared by counting: who wants to keep one takes a reference. It is filled by whoever made it, before it is
 * shared, and not changed afterwards.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

#define SECRET_BYTES_MAX (1024u * 1024) /* largest room */

struct secret;

/* An empty one with room for so many bytes (at most SECRET_BYTES_MAX). Never NULL. */
struct secret *secret_new(size_t room);
/* One more reference to the same; returns s. */
struct secret *secret_ref(struct secret *s);
/* Gives one reference back; the last one wipes and frees. Takes NULL. */
void secret_free(struct secret *s);
static inline void secret_free_cleanup(struct secret **s)
{
	secret_free(*s);
}
#define CLEANUP_SECRET __attribute__((cleanup(secret_free_cleanup)))

/* Adds n bytes at the end: 0 or -ENOBUFS (nothing was added). */
int secret_add(struct secret *s, const void *p, size_t n) MUST_CHECK;
/* The same in base64 with padding (RFC 4648 section 4): 4 bytes for each 3 begun. */
int secret_add_base64(struct secret *s, const void *p, size_t n) MUST_CHECK;
/* The same as a value of a form (application/x-www-form-urlencoded, as the URL standard's serialiser): up to
 * 3 bytes for each. */
int secret_add_form(struct secret *s, const void *p, size_t n) MUST_CHECK;
/* Adds what the descriptor gives up to its end, straight into the pages: 0, -EFBIG (there is more than fits)
 * or -errno; on failure the secret is as before. */
int secret_read(struct secret *s, int fd) MUST_CHECK;
/* Shortens to len bytes (len <= secret_len) and wipes the rest. */
void secret_truncate(struct secret *s, size_t len);

size_t secret_len(const struct secret *s);
/* Borrowed, NUL-terminated, valid as long as the reference. For handing on only. */
const char *secret_bytes(const struct secret *s);
/* In a time that tells nothing about where they differ. */
bool secret_is_equal(const struct secret *a, const struct secret *b);

#endif
