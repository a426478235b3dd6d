/*
 * marker: does a marker (complete = marker) count for this version of its file? Pure.
 *
 * A marker counts for one version only: for the next one it must have changed itself. Yesterday's marker
 * beside a file that is being rewritten today says nothing.
 */
#ifndef CORE_MARKER_H
#define CORE_MARKER_H

#include <stdbool.h>
#include <stdint.h>

#define MARKER_NO_INODE (-1) /* inode numbers mean nothing on its file system */

/* What a marker was when it counted. All 0: there was none, or it is not known. */
struct marker {
	int64_t mtime_ns;
	int64_t ino; /* 0 only where there is none */
};

bool marker_is_known(const struct marker *m);
bool marker_is_same(const struct marker *a, const struct marker *b);
/* used: the marker of the newest version that is known under the name. Where that is not known (a file that
 * was there before the watch), a marker that is older than the file is an old one. */
bool marker_counts(const struct marker *now, const struct marker *used, int64_t file_mtime_ns);

#endif
