/*
 * mounttable: the kernel's table of mounts, as far as it concerns this watch: it tells when mounts come and
 * go (proc_pid_mountinfo(5): poll(2) says so by POLLPRI), which no inotify event does for a mount on top of a
 * watched directory. Where the table cannot be read, the listings find out.
 */
#ifndef SENSE_MOUNTTABLE_H
#define SENSE_MOUNTTABLE_H

#include "core/mountinfo.h"
#include "sense/state.h"

struct mounttable;
/* Watches the table: when it changes the roots are looked at, and everything is listed if the change is below
 * one. */
struct mounttable *mounttable_new(struct sense *s);
void mounttable_free(struct mounttable *t); /* takes NULL */
/* The roots are open: what is mounted below them now is as it should be. */
void mounttable_begin(struct mounttable *t);
/* Where the directory open as fd lies; "": that cannot be told. resolved (may be NULL): its path without
 * symbolic links, replaced. */
void mounttable_place(int fd, char ret[MOUNTINFO_PLACE_BYTES], struct buf *resolved);

#endif
