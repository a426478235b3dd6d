/*
 * standing: files that stand still until a person acts: held ones, and those that wait for a workspace which
 * is not configured any more. For `status`, as JSON records; quick also in a large ledger.
 */
#ifndef DISPATCH_STANDING_H
#define DISPATCH_STANDING_H

#include "base/err.h"
#include "base/json.h"
#include "core/conf.h"
#include "dispatch/ledger.h"

#define STANDING_MOST 10000 /* counted of a kind; "or more" behind that */

struct standing { /* where it stands; all zero at the beginning */
	bool held_over;
	char watch[LEDGER_WORD_BYTES], reason[LEDGER_WORD_BYTES], host[LEDGER_HOST_BYTES];
};

/* 1: a record was written, 0: that was all, -errno */
int standing_next(struct standing *s, struct ledger *l, const struct conf *conf, struct json_writer *w,
	struct err *err) MUST_CHECK;

#endif
