/*
 * reload: the configuration read once more, beside the one that is running.
 */
#ifndef KEEP_RELOAD_H
#define KEEP_RELOAD_H

#include "base/buf.h"
#include "core/conf.h"

/* Reads and checks the files whole. 0: *ret is a configuration that can take the place of `running` (the
 * caller's); 78: it cannot, and the mistakes are in text, a line each, cut where text is full. May block on a
 * hung mount. */
int reload_read(const char *path, const struct conf *running, struct conf **ret, struct buf *text);

#endif
