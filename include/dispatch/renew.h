/*
 * renew: after the configuration was changed, what waits and cannot have been sent yet is expanded anew, so
 * that a mended job id or parameter also counts for the files that were accepted under the mistaken one.
 *
 * Only rows without the mark `sent` are touched: of those no run can exist (they were never sent, or the
 * service has definitely refused them). A row that is marked stays as it is for ever, since only its token
 * can tell whether its run exists.
 *
 * Of a watch that is not configured any more (or whose workspace is not), the rows without that mark are
 * held, and go on when the watch is back.
 */
#ifndef DISPATCH_RENEW_H
#define DISPATCH_RENEW_H

#include "base/err.h"
#include "core/conf.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

#define RENEW_REMOVED "watch_removed" /* reason of such held rows */

struct renew_counts {
	int64_t renewed, held, back;
};

/* Does nothing when configuration_hash is that of the last time. Commits. May take some 20 us a row. Of each
 * watch that has such held rows at the end, an event tells how many. */
int renew_waiting(const struct conf *conf, struct ledger *l, struct scribe *scribe,
	const char *configuration_hash, struct renew_counts *ret, struct err *err) MUST_CHECK;

/* The request of a pending row that is not marked sent, made by the present configuration. 1: it is another
 * one now, 0: it stays as it is (also when none can be made), -errno. Part of the caller's transaction. */
int renew_unsent(
	const struct conf *conf, struct ledger *l, const struct ledger_row *row, struct err *err) MUST_CHECK;
/* Makes a held row pending. If it is not marked sent, its request is made by the present configuration; a row
 * that has none yet gets one. 1: it is pending; 0: it is not: there is no such row, it is not held, or no
 * request can be made (then it is held as RENEW_REMOVED); -errno. Part of the caller's transaction. */
int renew_release(
	const struct conf *conf, struct ledger *l, int64_t id, int64_t now_us, struct err *err) MUST_CHECK;

#endif
