/*
 * marker: times of files are compared with each other only, never with a clock.
 */
#include "core/marker.h"

bool marker_is_known(const struct marker *m)
{
	return m->ino != 0;
}

bool marker_is_same(const struct marker *a, const struct marker *b)
{
	return a->mtime_ns == b->mtime_ns && a->ino == b->ino;
}

bool marker_counts(const struct marker *now, const struct marker *used, int64_t file_mtime_ns)
{
	if (marker_is_known(used))
		return !marker_is_same(now, used);
	return now->mtime_ns >= file_mtime_ns;
}
