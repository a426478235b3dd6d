/*
 * supersede: a new version of a file has got its row; what still waits of the same file would read the new
 * contents twice, so it will not be sent. A row that is marked sent is never touched: its run may exist.
 */
#ifndef DISPATCH_SUPERSEDE_H
#define DISPATCH_SUPERSEDE_H

#include <stdint.h>
#include "base/err.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

#define SUPERSEDE_NEWER "a newer version of the file has come"

/* Pending and held rows. To be called before the new row is inserted. Adds to *n how many of them were
 * pending for host (the watch's present workspace). 0 or -errno of the ledger. */
int supersede_waiting(struct ledger *l, struct scribe *s, const struct ledger_key *key, const char *host,
	int64_t now_us, int64_t *n, struct err *err) MUST_CHECK;
/* One row of which it is known that no run exists. */
int supersede_row(struct ledger *l, struct scribe *s, const struct ledger_row *r, const char *detail,
	int64_t now_us, struct err *err) MUST_CHECK;
/* The same, if there is a newer row of its file. 1: so it was; 0: it is the newest; -errno */
int supersede_if_newer(struct ledger *l, struct scribe *s, const struct ledger_row *r, int64_t now_us,
	struct err *err) MUST_CHECK;

#endif
