/*
 * outbox: carries event lines from the ledger's outbox into the event log, in order, and looks after the
 * log's old files. Owns the evlog.
 *
 * A line is written after the commit that put it into the outbox, and taken out of it by a later one. When
 * the log cannot be written the lines stay where they are; this says so once and tries again, with growing
 * pauses.
 *
 * The caller brings the transactions: outbox_apply() inside one, then outbox_committed() or outbox_undo().
 */
#ifndef DISPATCH_OUTBOX_H
#define DISPATCH_OUTBOX_H

#include <stdbool.h>
#include "base/err.h"
#include "base/loop.h"
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/ledger.h"

struct outbox;

/* All borrowed; page may be NULL. */
struct outbox *outbox_new(struct loop *loop, struct ledger *ledger, const struct conf_events *conf, bool sync,
	struct wire_page *page);
void outbox_free(struct outbox *o); /* takes NULL; writes nothing more */

/* The log is ours, or another service's: -EBUSY. May wait 5 s; -EPIPE: the keeper has gone meanwhile. */
int outbox_claim(struct outbox *o, int keeper_fd, struct err *err) MUST_CHECK;
/* Is there something that only a commit can finish, and has it waited long enough? */
bool outbox_wants_commit(const struct outbox *o);
/* Removes from the outbox what is in the log. 0 or -errno (of the ledger). */
int outbox_apply(struct outbox *o, struct err *err) MUST_CHECK;
void outbox_committed(struct outbox *o);
void outbox_undo(struct outbox *o);
/* Writes what is there; some of it when it is much, the rest in later rounds. May block for disk. */
void outbox_flush(struct outbox *o);
/* Writes all of it if the log can be written; for the end. */
void outbox_drain(struct outbox *o);
/* SIGHUP: the file is closed, the next write opens what then has its name. */
void outbox_reopen(struct outbox *o);
bool outbox_is_failing(const struct outbox *o);

#endif
