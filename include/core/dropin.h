/*
 * dropin: a systemd drop-in that fits the shipped unit (ProtectSystem=strict, ProtectHome, PrivateTmp) to a
 * configuration. Pure: who may read what is looked up by the caller.
 */
#ifndef CORE_DROPIN_H
#define CORE_DROPIN_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "core/conf.h"

#define DROPIN_BYTES (4u * 1024 * 1024) /* longest one */

/* A directory that the service may not read, or pass on the way to one. */
struct dropin_denied {
	const char *path;
	const char *group; /* that may, and that its user is not in; NULL: none that helps */
	bool above;	   /* it is only to be passed */
};

struct dropin_question {
	const struct conf *conf;
	const char *config; /* where it was read from */
	const char *usual;  /* where the unit's program reads it from */
	const char *user;   /* who runs the service */
	bool looked;	    /* whether he can read the folders */
	const struct dropin_denied *denied;
	size_t denied_n;
};

/* Adds the drop-in to b. Returns how many paths (bytes that are not UTF-8, control characters) and names of
 * credentials cannot stand in a unit; a comment names each. */
size_t dropin_print(const struct dropin_question *q, struct buf *b);
/* May the unit write there by itself? */
bool dropin_is_usual(const char *path);
/* Adds a path as a word of RequiresMountsFor=, ReadWritePaths= and the like. -EINVAL: it cannot be written;
 * nothing was added. */
int dropin_add_path(struct buf *b, const char *path);

#endif
