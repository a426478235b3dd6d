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

struct history_question {
	const struct conf *conf;
	const struct conf_watch *watch;
	const char *root, *relpath;
	const char *file_system;   /* of root, as its watcher sees it; "" unknown */
	const struct version *now; /* the file as it is; NULL: it is not there */
};

struct history {
	enum history_kind kind;
	enum ledger_state state; /* of the newest row, when there is one */
	int64_t run_id;		 /* 0: none */
	int64_t generation;
	char token[TOKEN_BYTES]; /* of that row; "" */
	char mount_had[32];	 /* the file system that the directory had, if its mount is missing; "" */
	struct buf waits;	 /* pending: why, each with "; " in front */
	/* its request as it stands in the ledger, sent or not; owned, NULL: none was made */
	char *host, *uri;
	int64_t job_id;
	char *request;
	size_t request_len;
	bool stranded; /* nothing is sent for it: its workspace is not configured any more */
};

/* Adds a sentence to text. *ret: history_done(). */
void history_find(const struct history_question *q, struct history *ret, struct buf *text);
void history_done(struct history *h); /* also of one that is all zero */

/* Calls fn for each row of this absolute path whose watch is not configured. How many, or -errno. */
int history_of_removed(const struct conf *conf, const char *path,
	void (*fn)(const char *watch, const char *text, void *arg), void *arg, struct err *err) MUST_CHECK;

#endif
