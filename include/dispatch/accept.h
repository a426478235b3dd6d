/*
 * accept: a version that has passed the rules: is it new, known, or another file that has moved? A new one
 * gets its token, its request and its row.
 */
#ifndef DISPATCH_ACCEPT_H
#define DISPATCH_ACCEPT_H

#include <stdint.h>
#include "base/err.h"
#include "dispatch/incoming.h"

/* f: opened. 0 or -errno; *ret says what became of it, or (moved_row) what is to be asked first. */
int accept_new(struct intake *in, const struct intake_peer *peer, struct incoming *f, int64_t now_us,
	struct intake_result *ret, struct err *err) MUST_CHECK;
/* A file that is not known under its name: is it perhaps another one that has moved? Then *ret says which. */
int accept_find_moved(struct intake *in, const struct intake_peer *peer, const struct incoming *f,
	struct intake_result *ret, struct err *err) MUST_CHECK;

#endif
