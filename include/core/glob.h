/*
 * glob: patterns as in .gitignore, over the bytes of a relative path. Pure.
 *
 * `*` any run without '/', `?` one character but '/', `[a-z]` `[!a-z]` `[^a-z]` `[[:digit:]]` a class, `**`
 * any run with '/' (as a whole element), `\x` x itself. A pattern with a '/' before its end is anchored at
 * the watched directory; one without matches the name at any depth. A leading '/' anchors and is dropped. A
 * trailing '/' matches directories only. `a/` + `**` at the end is everything below a, not a itself.
 *
 * Names are bytes; where they are valid UTF-8, `?` and a class take one whole character. Classes know code
 * points, no locale; named classes are ASCII. A leading dot is nothing special. A leading '!' is not for here
 * (glob_check refuses it): what it means is the caller's business.
 *
 * Time is bounded by (length of pattern) x (length of path), without recursion. A malformed pattern matches
 * nothing. Source: gitignore(5), compared with git check-ignore.
 */
#ifndef CORE_GLOB_H
#define CORE_GLOB_H

#include <stdbool.h>
#include "base/err.h"

#define GLOB_PATTERN_BYTES 1024 /* longest pattern */

/* Is the pattern well formed (closed classes without '/', no range backwards, no lone backslash at the end of
 * an element, no empty, "." or ".." element, not empty, <= 1024 bytes)? -EINVAL with a sentence. */
int glob_check(const char *pattern, struct err *err) MUST_CHECK;
/* relpath: relative to the watched directory, no leading or doubled slash. */
bool glob_match(const char *pattern, const char *relpath, bool is_directory);
/* Could some path strictly below directory relpath match? (Used to prune walks with `include`; true when
 * unsure.) relpath "" is the watched directory itself. */
bool glob_may_match_below(const char *pattern, const char *relpath);
/* No special characters and no trailing '/': the pattern stands for one name literally. */
bool glob_is_literal(const char *pattern);

#endif
