/*
 * pending: why a file waits for its run, as the running service has it: it knows more than the ledger.
 */
#ifndef CLI_PENDING_H
#define CLI_PENDING_H

#include "base/buf.h"
#include "core/conf.h"

/* Replaces text by the reason, with "; " in front, if a service runs, can be asked, and gives one. */
void pending_ask(const struct conf *conf, const char *path, struct buf *text);

#endif
