/*
 * candidates: of the files that a listing has found, which are not known? Nearly all of a million files are,
 * so each costs one look-up.
 */
#ifndef DISPATCH_CANDIDATES_H
#define DISPATCH_CANDIDATES_H

#include <stdint.h>
#include "base/err.h"
#include "dispatch/incoming.h"

/* *ret: the bits that answer. 0, 1 (the watcher's fault), -errno */
int candidates_take(struct intake *in, struct intake_peer *peer, const struct wire_message *m, int64_t now_us,
	struct intake_result *ret, struct err *err) MUST_CHECK;

#endif
