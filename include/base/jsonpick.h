/*
 * jsonpick: members of a JSON object straight out of its text, for texts that hold a secret: nothing is
 * copied but into the secret that is asked for. For everything else there is base/json.
 *
 * Strict where it counts: the text must be one object to its end, with its brackets in balance; names and
 * strings must be closed and hold no bare control characters. What lies inside of a member that nobody asks
 * for is only stepped over.
 */
#ifndef BASE_JSONPICK_H
#define BASE_JSONPICK_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/secret.h"

#define JSONPICK_DEPTH_MAX 64

struct jsonpick {      /* a value in the text; borrowed */
	const char *s; /* a string's with its quotes */
	size_t len;
};

/* The member of that name (of several the first; names compared as they are written, without looking at
 * escapes). -EBADMSG: the text is no such object, -ENOENT: it has no such member. */
int jsonpick_find(const char *text, size_t len, const char *name, struct jsonpick *ret) MUST_CHECK;
/* Adds what the string means to s, escapes resolved. -EINVAL: it is no string, or not one of RFC 8259 (bad
 * escape, half of a surrogate pair, \u0000), -ENOBUFS: no room; s may then hold a part. */
int jsonpick_add_string(const struct jsonpick *value, struct secret *s) MUST_CHECK;
/* An integer that is written as a number or as a string of digits; a fraction is cut off. -EINVAL, -ERANGE.
 */
int jsonpick_get_i64(const struct jsonpick *value, int64_t *ret) MUST_CHECK;

#endif
