/*
 * pathmap: local path to the path that the job understands (${uri}), by the longest matching prefix. Pure, by
 * bytes.
 */
#ifndef CORE_PATHMAP_H
#define CORE_PATHMAP_H

#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"

/* path: absolute. Adds the remote path to b (the local one when no rule matches). A rule matches whole
 * elements only; the rules may stand in any order. Returns whether a rule matched (true also with `path_map =
 * none`). */
bool pathmap_apply(const struct conf_watch *w, const char *path, struct buf *b);
/* Parses "LOCAL => REMOTE": blanks around the arrow, no second arrow. LOCAL is normalised. REMOTE loses its
 * trailing slashes, but "/", "scheme:/" and "scheme:///" stay; it must be UTF-8 without control characters
 * and without "{{" (which Databricks would expand in every value). Both malloc'd for the caller. -EINVAL with
 * a sentence. */
int pathmap_parse(const char *text, char **ret_local, char **ret_remote, struct err *err) MUST_CHECK;

#endif
