/*
 * adopt: what an event log says was started becomes a started row of the ledger, so that it is not started
 * again. For a ledger that is lost, and for a host that joins, returns or moves.
 */
#ifndef DISPATCH_ADOPT_H
#define DISPATCH_ADOPT_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "dispatch/ledger.h"

enum adopt_result {
	ADOPT_OTHER,	/* no line about a started run */
	ADOPT_KNOWN,	/* the ledger has it as started, or a newer version of the file */
	ADOPT_INSERTED, /* a new row */
	ADOPT_STARTED,	/* a version that the ledger had otherwise; was_pending says whether it waited */
	ADOPT_DAMAGED,	/* such a line, with values that cannot be; *err says which */
};

struct adopt {
	enum adopt_result result;
	bool was_pending;
	char watch[LEDGER_WORD_BYTES], host[256]; /* of the row that waited */
};

/* One line without its '\n', as it stands in an event log. Lines are to come in their order. Part of the
 * caller's transaction. 0, or -errno of the ledger. */
int adopt_line(struct ledger *l, const struct conf *conf, const char *line, size_t len, int64_t now_us,
	struct adopt *ret, struct err *err) MUST_CHECK;

#endif
