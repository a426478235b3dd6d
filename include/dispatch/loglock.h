/*
 * loglock: one service writes to an event log. Two with state directories of their own would each take the
 * other's lines for its own at the next start, and rotate under each other.
 *
 * The lock is a file of its own beside the log, `.NAME.lock`, held by flock: it stays what it is when the log
 * is rotated, renamed or emptied, means nothing to who reads the log, and is free when the process has ended,
 * however it did.
 *
 * Where no lock can be made (the folder may not be written to, the file system has none) that is said once,
 * and the log is written without: files come first.
 */
#ifndef DISPATCH_LOGLOCK_H
#define DISPATCH_LOGLOCK_H

#include <stdbool.h>
#include "base/err.h"

struct loglock {
	int fd; /* -1: not held */
	bool said;
};

void loglock_init(struct loglock *l);
void loglock_done(struct loglock *l); /* lets go */

/* Holds it, also when the folder has been replaced since. 0, also where there can be none; -EBUSY: another
 * brickwatch has it. */
int loglock_hold(struct loglock *l, const char *log, struct err *err) MUST_CHECK;
/* Waits up to 5 s for who is just ending; looks for the end of the keeper meanwhile (-EPIPE). */
int loglock_wait(struct loglock *l, const char *log, int keeper_fd, struct err *err) MUST_CHECK;

#endif
