/*
 * elsewhere: is a version, which its watch does not know, known under a watch that is not configured any
 * more? Then the watch was renamed, or another one has taken over its directory.
 *
 * If the new watch makes the same token for it, its rows go over (accept does that): it is the same run. If
 * not, because job, workspace or remote path were changed, nobody but a person can say whether another run of
 * it is wanted: it is held.
 */
#ifndef DISPATCH_ELSEWHERE_H
#define DISPATCH_ELSEWHERE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/version.h"
#include "dispatch/intake.h"
#include "dispatch/ledger.h"

enum elsewhere {
	ELSEWHERE_NO,
	ELSEWHERE_REJECTED, /* turned away there, and never more than that */
	ELSEWHERE_SAME,	    /* with the token that this watch makes */
	ELSEWHERE_OTHER,    /* with another one, or none */
};

/* key: of this watch, root: its directory; now: as it was found. */
int elsewhere_find(struct intake *in, const struct intake_peer *peer, const struct ledger_key *key,
	const char *root, const struct version *now, bool by_listing, enum elsewhere *ret,
	struct err *err) MUST_CHECK;
/* What waits there of this file and was never sent is superseded: it has a row of this watch now. */
int elsewhere_supersede(
	struct intake *in, const struct ledger_key *key, int64_t now_us, struct err *err) MUST_CHECK;

#endif
