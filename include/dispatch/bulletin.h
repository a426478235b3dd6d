/*
 * bulletin: what a watcher says about its watch as a whole: who it is, that a listing is through, what
 * troubles it, and which file keeps it waiting. Each 0, 1 (the watcher's fault) or -errno.
 */
#ifndef DISPATCH_BULLETIN_H
#define DISPATCH_BULLETIN_H

#include <stdint.h>
#include "base/err.h"
#include "dispatch/incoming.h"

int bulletin_hello(struct intake *in, struct intake_peer *peer, const struct wire_hello *h, int64_t now_us,
	struct intake_result *ret, struct err *err) MUST_CHECK;
int bulletin_scanned(struct intake *in, struct intake_peer *peer, const struct wire_scanned *s,
	int64_t now_us, struct intake_result *ret, struct err *err) MUST_CHECK;
int bulletin_trouble(struct intake *in, struct intake_peer *peer, const struct wire_trouble *t,
	int64_t now_us, struct intake_result *ret, struct err *err) MUST_CHECK;
int bulletin_waiting(struct intake *in, struct intake_peer *peer, const struct wire_message *m,
	int64_t now_us, struct intake_result *ret, struct err *err) MUST_CHECK;

#endif
