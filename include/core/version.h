/*
 * version: what a file is, as facts, and when two findings of one path are the same version. Pure.
 *
 * Key = watch, directory, relative path. Version = size and mtime (ns). Neither st_dev nor the inode is part
 * of it, so it is the same on every host and after every remount. See architecture: "Key and version".
 */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H

#include <stdbool.h>
#include <stdint.h>
#include "core/conf.h"

#define VERSION_ENDS_BYTES (64 * 1024) /* how much of each end is digested */
#define VERSION_ENDS_HEX 65

struct version {
	int64_t size;
	int64_t mtime_ns;
	uint64_t ino;		     /* 0: unknown or not stable */
	char ends[VERSION_ENDS_HEX]; /* hex SHA-256 over the first and last 64 KiB; "" when not taken */
	int64_t birth_ns; /* of the inode: its number is given to another file at once; 0: unknown */
};

enum version_found {
	VERSION_BY_EVENT, /* a close, a rename, a link */
	VERSION_BY_LISTING,
};

enum version_relation {
	VERSION_SAME,	    /* nothing new */
	VERSION_NEW,	    /* another version */
	VERSION_GENERATION, /* an event showed equal size and time, and another inode or other ends: next
			       generation */
	VERSION_ENDS, /* a listing showed equal size and another mtime: the ends of `now` must be read to
			 decide */
	VERSION_HOLD, /* the same question, but the known row has no digest: hold */
};

/* Are these certainly two files? Numbers and times of birth say so only where inodes are stable. */
bool version_other_inode(const struct version *a, const struct version *b);

/* known: the newest row of that key; now: what was found. mode: `version` of the watch. With VERSION_ENDS the
 * caller reads the ends, fills now->ends and asks again. */
enum version_relation version_compare(const struct version *known, const struct version *now,
	enum version_found found, enum conf_version mode, bool inodes_stable);

/* For a watch with `ends = no`: there another mtime alone decides, so what version_compare left open is new.
 */
enum version_relation version_without_ends(enum version_relation relation);

#endif
