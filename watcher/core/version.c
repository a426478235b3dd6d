/*
 * version: an event and a listing are not equally good witnesses.
 *
 * An event (close, rename, link) says that somebody wrote or replaced the file just now, so any difference is
 * a new version, and so is another inode where inodes can be trusted. A listing only says what is there;
 * times move by themselves on mounts (HDFS and SMB set them late, FAT shifts them by an hour with the season)
 * and by `touch`. So a listing with the same size and another time lets the digest of both ends decide, and
 * where there is no digest to compare with, nobody but a person can.
 */
#include "core/version.h"

#include <string.h>

bool version_other_inode(const struct version *a, const struct version *b)
{
	if (a->ino == 0 || b->ino == 0)
		return false;
	return a->ino != b->ino || (a->birth_ns != 0 && b->birth_ns != 0 && a->birth_ns != b->birth_ns);
}

static enum version_relation compare_by_event(
	const struct version *known, const struct version *now, bool inodes_stable)
{
	if (known->mtime_ns != now->mtime_ns)
		return VERSION_NEW;
	if (inodes_stable && version_other_inode(known, now))
		return VERSION_GENERATION;
	/* written anew in place, and its time set back */
	if (known->ends[0] != '\0' && now->ends[0] != '\0' && strcmp(known->ends, now->ends) != 0)
		return VERSION_GENERATION;
	return VERSION_SAME;
}

static enum version_relation compare_by_listing(const struct version *known, const struct version *now)
{
	if (known->mtime_ns == now->mtime_ns)
		return VERSION_SAME;
	if (known->ends[0] == '\0')
		return VERSION_HOLD;
	if (now->ends[0] == '\0')
		return VERSION_ENDS;
	return strcmp(known->ends, now->ends) == 0 ? VERSION_SAME : VERSION_NEW;
}

enum version_relation version_compare(const struct version *known, const struct version *now,
	enum version_found found, enum conf_version mode, bool inodes_stable)
{
	if (mode == CONF_VERSION_NAME)
		return VERSION_SAME;
	if (known->size != now->size)
		return VERSION_NEW;
	if (mode == CONF_VERSION_SIZE)
		return VERSION_SAME;
	if (found == VERSION_BY_EVENT)
		return compare_by_event(known, now, inodes_stable);
	return compare_by_listing(known, now);
}

enum version_relation version_without_ends(enum version_relation relation)
{
	return relation == VERSION_ENDS || relation == VERSION_HOLD ? VERSION_NEW : relation;
}
