/*
 * choice: which row goes out next, and when there may be one. Lines of a workspace are served in turn; of a
 * line the oldest row goes first, rows whose time to try again has come before those never tried.
 */
#ifndef DISPATCH_CHOICE_H
#define DISPATCH_CHOICE_H

#include <stdint.h>
#include "base/err.h"
#include "dispatch/lanes.h"

/* In the transaction: marks as many rows sent as may go out now, and makes their slots. 0 or -errno */
int choice_make(struct sender *s, int64_t now_us, struct err *err) MUST_CHECK;
/* Monotonic: when something may be chosen or asked about; INT64_MAX: only after something else happens. */
int64_t choice_time(const struct sender *s, int64_t now_us);

#endif
