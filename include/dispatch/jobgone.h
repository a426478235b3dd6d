/*
 * jobgone: the waiting rows of a watch whose job_name stands for another job now. Those of the former job
 * become dead letters (job_gone): whoever made the other job decides, by `rerun`, whether it is to have them.
 * When the name was not known before, the requests of all of them are made anew instead, whatever they were
 * for; those of which that cannot be done are held.
 *
 * Rows marked sent are left alone: only their token can tell whether their run exists.
 */
#ifndef DISPATCH_JOBGONE_H
#define DISPATCH_JOBGONE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"
#include "dispatch/sender.h"

#define JOBGONE_REASON "job_gone"

struct jobgone {	    /* one going-through; a value */
	int64_t gone_id;    /* of the former job; 0: there was none */
	int64_t after;	    /* rows up to this one are done */
	int64_t all_closed; /* rows that became dead letters */
	int64_t all_held;   /* … or were held */
	/* of the transaction under way */
	int64_t next_after, closed, held;
	bool finished;
};

/* In the transaction: a page of rows. 0 or -errno. May be repeated after the transaction was given up. */
int jobgone_apply(struct jobgone *g, const struct conf *conf, const struct conf_watch *w, struct ledger *l,
	struct scribe *scribe, struct sender *sender, struct err *err) MUST_CHECK;
/* After the commit. True: that was the last page. */
bool jobgone_committed(struct jobgone *g);

#endif
