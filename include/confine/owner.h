/*
 * owner: who works by hand as root in a state directory that belongs to somebody else becomes him, so that
 * what is made there is the service's, and nothing can be done that the service could not do.
 */
#ifndef CONFINE_OWNER_H
#define CONFINE_OWNER_H

#include <sys/types.h>
#include "base/err.h"

/* As root, and with a directory that is there and is not root's: this process becomes its owner for good,
 * with the owner's groups, and keeps of root's rights CAP_LEASE only, which the service has, too. 1: it did,
 * 0: there is nothing to become, -errno with *err (the process must not go on then). Reads /etc/passwd and
 * /etc/group. Sources: setresuid(2), initgroups(3), capabilities(7). */
int owner_become(const char *directory, struct err *err) MUST_CHECK;
/* The same with that user and his own group: for before there is such a directory. */
int owner_become_user(uid_t user, struct err *err) MUST_CHECK;

#endif
