/*
 * logfiles: the event log as a reader sees it: the rotated files (compressed or not), oldest first, then the
 * one being written.
 */
#ifndef BASE_LOGFILES_H
#define BASE_LOGFILES_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

struct logfiles {
	char **paths; /* oldest first; the last is the log itself, if it is there */
	size_t n;
};

/* Lists FILE.YYYYMMDDTHHMMSSZ[-N][.gz] beside FILE, and FILE. Where a file is there both plain and compressed
 * (it is just being compressed), the plain one counts. The caller frees with logfiles_done. -ENOENT: nothing
 * there. */
int logfiles_list(const char *file, struct logfiles *ret, struct err *err) MUST_CHECK;
void logfiles_done(struct logfiles *l);
/* Is `name` a rotated file of the log called `base`? With its time stamp (borrowed from name, 16 bytes) and
 * number. */
bool logfiles_parse(
	const char *base, const char *name, const char **ret_stamp, unsigned long *ret_number, bool *ret_gz);

#endif
