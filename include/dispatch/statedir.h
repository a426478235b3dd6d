/*
 * statedir: the state directory: made, on a local disk, and nobody else's.
 */
#ifndef DISPATCH_STATEDIR_H
#define DISPATCH_STATEDIR_H

#include "base/err.h"

/* Makes it if it is missing and takes its lock, for which it waits up to 5 s; looks for the end of the keeper
 * meanwhile. 0 with the lock in *ret_lock_fd (closing it lets go); -EBUSY: another brickwatch has it; -EPIPE:
 * the keeper has gone; -errno */
int statedir_open(const char *path, int keeper_fd, int *ret_lock_fd, struct err *err) MUST_CHECK;
/* The folder of the event log, as far as one level goes: else a first try would need root's help. */
void statedir_make_log(const char *file);

#endif
