/*
 * mountinfo: the text of /proc/self/mountinfo (proc_pid_mountinfo(5)), for three questions: where in its file
 * system does a directory lie, did anything change about the mounts at or below it, and is it a mount of
 * which something must be known. Pure: the caller reads the text.
 *
 * The *place* of a directory is what stays the same over reboots, remounts and bind mounts (systemd makes one
 * of every path that a unit names), and differs when its mount is missing: the path within the file system,
 * and the mount point.
 */
#ifndef CORE_MOUNTINFO_H
#define CORE_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOUNTINFO_PLACE_BYTES 224

/* The place of path (absolute, resolved), which is on the mount with that number, as "HASH MOUNTPOINT":
 * printable but for bytes of the mount point, which is as the kernel escapes it and cut at its end. false:
 * the text does not tell. */
bool mountinfo_place(const char *text, int64_t mount_id, const char *path, char ret[MOUNTINFO_PLACE_BYTES]);
/* Are both of this form, and do both parts differ? One alone is a bind mount, or a directory moved within
 * its file system. */
bool mountinfo_is_elsewhere(const char *was, const char *now);
/* The mount point in a place, "" when it is none. */
const char *mountinfo_point(const char *place);
/* A number that changes when a mount at or below path (absolute, resolved) comes, goes or is exchanged. */
uint64_t mountinfo_below(const char *text, const char *path);
/* Is path (absolute, resolved) on NFS version 3 without locks? So is the NFS gateway of HDFS mounted, which
 * keeps a file open for ten minutes after its last write (Apache Hadoop, "HDFS NFS Gateway":
 * nfs.stream.timeout). */
bool mountinfo_is_nfs3_nolock(const char *text, const char *path);

#endif
