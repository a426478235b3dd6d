/*
 * landlock: the kernel's walls around files, TCP, abstract sockets and signals, by raw system calls, since no
 * library knows them. Which walls a process gets is not decided here but in confine/walls.
 *
 * All file rights that the running kernel knows are taken away; each landlock_allow() gives some of them back
 * beneath one directory, or for one file. What an older kernel does not know stays as it is (landlock_abi()
 * tells). Not taken away by any kernel: looking (stat, access, readlink), O_PATH, what is open already,
 * changing modes, owners and times, and connecting to a socket in a directory.
 *
 * A rule belongs to the inode that the path leads to when it is made. Another directory in its place, or a
 * mount over it, is outside; a mount beneath it is inside. It is inherited over fork and exec and can only
 * get narrower.
 *
 * Sources: landlock(7), landlock_create_ruleset(2), the kernel's Documentation/userspace-api/landlock.rst.
 */
#ifndef CONFINE_LANDLOCK_H
#define CONFINE_LANDLOCK_H

#include <sys/stat.h>
#include "base/err.h"

/* What may be done beneath a directory. */
#define LANDLOCK_READ 1u	 /* read files */
#define LANDLOCK_LIST 2u	 /* list directories */
#define LANDLOCK_WRITE 4u	 /* write and cut files that are there */
#define LANDLOCK_MAKE 8u	 /* make, rename and remove files */
#define LANDLOCK_MAKE_SOCKET 16u /* make sockets */
#define LANDLOCK_FOLDERS 32u	 /* make and remove directories, and move files between them */
#define LANDLOCK_EXECUTE 64u	 /* execute files */

/* What else is taken away, where the kernel can. */
#define LANDLOCK_NO_BIND 1u    /* of a TCP port; since ABI 4 */
#define LANDLOCK_NO_CONNECT 2u /* by TCP; since ABI 4 */
#define LANDLOCK_NO_OTHERS 4u  /* abstract sockets of, and signals to, processes outside; since ABI 6 */

/* The kernel's version of the interface, 1 or more; -errno with *err (in words) where it is missing, was
 * turned off, or is forbidden. */
int landlock_abi(struct err *err);
/* A set of rules (a descriptor, the caller's), still without an effect; or -errno. lacks: LANDLOCK_NO_…. */
int landlock_begin(unsigned lacks, struct err *err);
/* Lets the process do `may` (LANDLOCK_READ …) with what path leads to now, links followed; ret (may be NULL):
 * what that is. -errno when it leads nowhere. Opens with O_PATH: may block on a hung mount. */
int landlock_allow(int rules, const char *path, unsigned may, struct stat *ret, struct err *err) MUST_CHECK;
/* From now on, for this thread and those it starts. Needs no_new_privs. */
int landlock_restrict(int rules, struct err *err) MUST_CHECK;

#endif
