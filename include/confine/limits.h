/*
 * limits: what a process gives up for good before it looks at anything foreign.
 *
 * No core files and no reading of its memory by others, no new privileges by exec, the capabilities it has no
 * use for; the sniffer also gives up almost all descriptors, writing to files and all but a bounded piece of
 * address space. Not here: which files and system calls remain (confine/walls).
 *
 * A process calls this once, after it has opened what it needs. Nothing here can be undone, nothing is owned.
 */
#ifndef CONFINE_LIMITS_H
#define CONFINE_LIMITS_H

#include <stdbool.h>
#include "base/err.h"

enum limits_kind { LIMITS_KEEPER, LIMITS_DISPATCHER, LIMITS_WATCHER, LIMITS_SNIFFER };

#define LIMITS_SNIFFER_FILES 16 /* open descriptors: 0 to 3, the file, room for libmagic's own */
#define LIMITS_SNIFFER_BYTES (512LL * 1024 * 1024) /* address space */

/*
 * 0, or -errno with *err (what could not be given up, by name): the process must not go on then. What was
 * given up before the failure stays given up. Does not block.
 *
 * Under a checking tool (limits_is_checked) the sniffer's address space and file size stay unlimited: the
 * tool could not work, or not write its report.
 *
 * As an ordinary user a process has no capabilities but CAP_LEASE, and only a watcher keeps that. As root a
 * watcher also keeps CAP_DAC_READ_SEARCH, to read what root may read, and the dispatcher what root's rights
 * on files are; both are kept, too, when the unit gives them to an ordinary user.
 *
 * Sources: setrlimit(2), prctl(2), capabilities(7). PR_SET_NO_NEW_PRIVS leaves ambient capabilities alone, so
 * a watcher keeps CAP_LEASE.
 */
int limits_apply(enum limits_kind kind, struct err *err) MUST_CHECK;

/* Does a checking tool (AddressSanitizer, valgrind) run this process? Told by what was mapped when it was
 * asked first: such tools need to map, open, trace and execute what we would give up. The one place that
 * decides that. */
bool limits_is_checked(void);

#endif
