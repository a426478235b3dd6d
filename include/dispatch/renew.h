/*
 * renew: after the configuration was changed, what waits and cannot have been sent yet is expanded anew, so
 * that a mended job id or parameter also counts for the files that were accepted under the mistaken one.
 *
 * Only rows without the mark `sent` are touched: of those no run can exist (they were never sent, or the
 * service has definitely refused them). A row that is marked stays as it is for ever, since only its token
 * can tell whether its run exists.
 *
 * Of a watch that is not configured any more, the rows without that mark are held, and go on when it is back.
 * Those of a watch whose job_name is not known yet stay as they are; dispatch/jobgone makes their requests
 * anew when it is. What has a request for a host of former days, and cannot get another one, is held, too.
 */
#ifndef DISPATCH_RENEW_H
#define DISPATCH_RENEW_H

#include "base/err.h"
#include "core/conf.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

/* reasons of such held rows */
#define RENEW_REMOVED "watch_removed"
#define RENEW_IMPOSSIBLE "no_request"

struct renew_counts {
	int64_t renewed, held, back;
};

/* When configuration_hash is that of the last time, it only has rows go on that are RENEW_REMOVED although
 * their watch is there. Commits. May take some 20 us a row. Of each watch that has such held rows at the end
 * of a change, an event tells how many. */
int renew_waiting(const struct conf *conf, struct ledger *l, struct scribe *scribe,
	const char *configuration_hash, struct renew_counts *ret, struct err *err) MUST_CHECK;

enum renew_end {
	RENEW_STAYS, /* as it is: nothing is to be changed, or can be */
	RENEW_ANEW,  /* it has another request now */
	RENEW_HELD,  /* nobody would ever send it */
};

/* A pending row that is not marked sent, by the present configuration: enum renew_end or -errno. Part of the
 * caller's transaction. */
int renew_unsent(
	const struct conf *conf, struct ledger *l, const struct ledger_row *row, struct err *err) MUST_CHECK;
/* Makes a held row pending. If it is not marked sent, its request is made by the present configuration; a row
 * that has none yet gets one. 1: it is pending; 0: it is not: there is no such row, it is not held, or no
 * request can be made (then it is held as RENEW_REMOVED or RENEW_IMPOSSIBLE); -errno. Part of the caller's
 * transaction. */
int renew_release(
	const struct conf *conf, struct ledger *l, int64_t id, int64_t now_us, struct err *err) MUST_CHECK;
/* An event about the RENEW_IMPOSSIBLE rows of this watch, if there are any. */
int renew_tell_impossible(
	struct ledger *l, struct scribe *scribe, const char *watch, struct err *err) MUST_CHECK;

#endif
