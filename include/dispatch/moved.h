/*
 * moved: files that look like one which the ledger knows under another name. Their messages wait here until
 * the watcher has said whether the old name is gone. In memory only, and bounded: what is lost here is found
 * again by the next listing.
 */
#ifndef DISPATCH_MOVED_H
#define DISPATCH_MOVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/list.h"
#include "core/wire.h"
#include "dispatch/confirm.h"
#include "dispatch/intake.h"

#define MOVED_MAX 4096 /* messages, of some 1 KiB each */

struct moved;

struct moved_item {
	struct list in;
	int64_t serial;
	struct intake_peer *peer; /* whose file it is */
	int64_t row_id;
	char *root, *old_relpath;
	struct version version; /* of that row */
	bool asked, answered;
	enum wire_verdict verdict;
	struct intake_result result; /* the caller's */
	size_t len;
	char bytes[]; /* the message */
};

struct moved *moved_new(void);
void moved_free(struct moved *m); /* takes NULL */
/* Takes the question out of what intake said about the message. It is dropped when there are too many. */
void moved_add(struct moved *m, struct intake_peer *peer, const struct intake_result *r, const char *bytes,
	size_t len);
/* The watcher is gone. */
void moved_forget(struct moved *m, const struct intake_peer *peer);
/* Asks what has not been asked yet, as far as there is room. */
void moved_ask(struct moved *m, const struct intake_peer *peer, struct confirm *c);
bool moved_is_empty(const struct moved *m);
bool moved_has_answers(const struct moved *m);
/* The answered item after this one (NULL: the first), or NULL. */
struct moved_item *moved_next(struct moved *m, struct moved_item *after);
/* Drops an item. */
void moved_done(struct moved *m, struct moved_item *item);

#endif
