/*
 * rebuild: a ledger that is lost. It is taken for lost when it is missing while an event log, or a ledger
 * that was set aside, is there; without these it is a first start. What the event log says was started is
 * known again; everything else that the first listings find is held, since nobody knows what became of it.
 */
#ifndef DISPATCH_REBUILD_H
#define DISPATCH_REBUILD_H

#include <stdbool.h>
#include "base/err.h"
#include "core/conf.h"

/* Moves a damaged ledger out of the way, to ledger.db.damaged-YYYYMMDDTHHMMSSZ (and what belongs to it). It
 * may still be open. -EEXIST: it was done too often, somebody must look at the disk. */
int rebuild_set_aside(const struct conf *conf, struct err *err) MUST_CHECK;
/* Makes a new ledger if the old one is lost. To be called before it is opened, by who has the lock of the
 * state directory. May take some 20 us for each line of the event log. 0 or -errno. */
int rebuild_if_lost(const struct conf *conf, bool power, struct err *err) MUST_CHECK;

#endif
