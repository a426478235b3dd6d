/*
 * fskind: what a file system can be trusted with, by its number (statfs(2)) and, where that says too little,
 * by the mount's type in /proc/self/mountinfo. Pure: the caller asks the kernel.
 *
 * The questions: does the kernel tell us of every writer (then events and read leases are evidence), is an
 * inode number a file's for good, and does a listing show it. For people: doc/mounts.md.
 */
#ifndef CORE_FSKIND_H
#define CORE_FSKIND_H

#include <stdbool.h>
#include <stdint.h>

#define FSKIND_NAME_BYTES 40

/* How `method = auto` watches it. */
enum fskind_how {
	FSKIND_INOTIFY, /* the kernel tells, and `rescan` is the safety net */
	FSKIND_BOTH,	/* polled; events of writers on this host come on top */
};

struct fskind {
	char type[FSKIND_NAME_BYTES]; /* by number alone: "ext4", "fuse", "0x1234". Never changes: ledger rows
					 have it */
	char name[FSKIND_NAME_BYTES]; /* for people: "fuse.bindfs" */
	enum fskind_how how;
	bool remote;	    /* another host can write, or locks and caches lie */
	bool sees_writers;  /* every writer's close is told here, and a granted read lease means that nobody
			       writes */
	bool inodes_stable; /* an inode number stays a file's as long as the file is there, over a remount too
			     */
	bool lists_inodes;  /* readdir(3) gives the number that stat(2) gives, and the same each time */
};

/* magic: f_type of statfs(2). mount_type: of fskind_mount_type, or "" when it is not known. */
void fskind_decide(int64_t magic, const char *mount_type, struct fskind *ret);
/* Does the number alone say too little, so that mount_type is worth a look? */
bool fskind_wants_mount_type(int64_t magic);
/* The type of the mount of device major:minor in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)),
 * into ret; the last such line counts. false: there is none. */
bool fskind_mount_type(const char *mountinfo, unsigned major, unsigned minor, char ret[FSKIND_NAME_BYTES]);

#endif
