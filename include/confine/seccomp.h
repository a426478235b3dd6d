/*
 * seccomp: which system calls a kind of process may still make, by libseccomp; the only module that knows it.
 *
 * A sniffer may make those that reading a handed descriptor takes, and dies at any other. A watcher and the
 * dispatcher may make all but those on a list of what they never need (each gives EPERM): a filter that is
 * too tight must not stop a service whose libraries were updated.
 *
 * Filters are inherited over fork and exec and add up, the strictest answer counts. So a watcher's list has
 * nothing on it that its sniffer needs to start and to confine itself.
 */
#ifndef CONFINE_SECCOMP_H
#define CONFINE_SECCOMP_H

#include <stdbool.h>
#include "base/err.h"
#include "confine/limits.h"

/* Can this kernel filter system calls, and may we ask it to? */
bool seccomp_is_there(void);
/* From now on, for this thread and those it starts; nothing for a keeper. Needs no_new_privs. 0 or -errno. */
int seccomp_confine(enum limits_kind kind, struct err *err) MUST_CHECK;

#endif
