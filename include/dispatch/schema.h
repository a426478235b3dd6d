/*
 * schema: the tables of the ledger. The schema has a number: a newer ledger is refused, an older one is kept
 * beside as it was, then brought up.
 */
#ifndef DISPATCH_SCHEMA_H
#define DISPATCH_SCHEMA_H

#include <stdbool.h>
#include "base/err.h"
#include "dispatch/db.h"

/* Looks at what the file is, runs the pragmas, and makes the tables be there. may_create: an empty or older
 * file may be changed. 0; ERR_CONF: it cannot be used by this program; -ENOENT: empty; -errno */
int schema_set_up(struct db *db, const char *pragmas, bool may_create, struct err *err) MUST_CHECK;

#endif
