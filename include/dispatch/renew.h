/*
 * renew: after the configuration was changed, what waits and cannot have been sent yet is expanded anew, so
 * that a mended job id or parameter also counts for the files that were accepted under the mistaken one.
 *
 * Only rows without the mark `sent` are touched: of those no run can exist (they were never sent, or the
 * service has definitely refused them). A row that is marked stays as it is for ever, since only its token
 * can tell whether its run exists.
 */
#ifndef DISPATCH_RENEW_H
#define DISPATCH_RENEW_H

#include "base/err.h"
#include "core/conf.h"
#include "dispatch/ledger.h"

/* Does nothing when configuration_hash is that of the last time. Commits. May take some 20 us a row.
 * *ret_renewed: how many. */
int renew_waiting(const struct conf *conf, struct ledger *l, const char *configuration_hash,
	int64_t *ret_renewed, struct err *err) MUST_CHECK;

#endif
