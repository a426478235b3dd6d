/*
 * history: what the ledger has on one file, looked up without changing anything, also beside a running
 * service.
 */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include <stdbool.h>
#include "base/buf.h"
#include "core/conf.h"
#include "core/token.h"
#include "core/version.h"
#include "dispatch/ledger.h"

enum history_kind {
	HISTORY_UNREADABLE, /* the ledger cannot be read (by this user) */
	HISTORY_NONE,	    /* no ledger yet, or nothing about this file */
	HISTORY_OLDER,	    /* an older version only */
	HISTORY_SAME,	    /* this version */
};

struct history {
	enum history_kind kind;
	enum ledger_state state; /* of the newest row, when there is one */
	int64_t run_id;		 /* 0: none */
	int64_t generation;
	char token[TOKEN_BYTES]; /* of that row; "" */
};

/* now: the file as it is (NULL: it is not there). Adds a sentence to text. */
void history_find(const struct conf *conf, const struct conf_watch *w, const char *root, const char *relpath,
	const struct version *now, struct history *ret, struct buf *text);

#endif
