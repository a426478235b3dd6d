/*
 * rerun: may this version have another run, and which? The verb itself, with its counting and its words, is
 * one of dispatch/operate.
 *
 * Only the newest version of a file counts: an older one as the newest row would make the newer one look new.
 */
#ifndef DISPATCH_RERUN_H
#define DISPATCH_RERUN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/start.h"
#include "dispatch/desk.h"
#include "dispatch/ledger.h"

enum rerun_kind {
	RERUN_STATE,	  /* it is in a state that this is not for */
	RERUN_OLDER,	  /* a newer version of its file is known; that one counts */
	RERUN_NO_WATCH,	  /* its watch is not configured any more */
	RERUN_NO_REQUEST, /* none can be made for it */
	RERUN_FIRST,	  /* it has never been judged: it is judged now, and its first run is started */
	RERUN_NEXT,	  /* the next generation */
};

struct rerun {
	enum rerun_kind kind;
	bool unknown; /* a run of it may exist that nobody knows of */
	/* of RERUN_NEXT */
	struct ledger_known known;
	int64_t root_id, generation;
	struct start start;
};

void rerun_init(struct rerun *r);
void rerun_done(struct rerun *r);
/* r: made by rerun_init, and may be used again. by_path: it was named by its path, which files need that have
 * had no run by somebody's will (skipped, discarded) or may yet get their answer. 0 or -errno. */
int rerun_judge(const struct desk *d, const struct ledger_row *row, const struct ledger_note *note,
	bool by_path, struct rerun *r, struct err *err) MUST_CHECK;
/* RERUN_NEXT: the new row. What is left of the old one is closed for `reason`, but a started or discarded row
 * stays what it is. 0 or -errno */
int rerun_insert(const struct desk *d, const struct ledger_row *row, const struct rerun *r,
	const char *reason, struct err *err) MUST_CHECK;

#endif
