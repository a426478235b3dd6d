/*
 * baseline: what `existing` means for a directory right now. It is applied once per watch, directory and
 * file-system type: begun by a committed row before the first file is judged by it, closed by the first
 * complete listing, and never begun again. So a crash or an overflow in the middle cannot make files that
 * came meanwhile look like files that were there before: a listing that continues holds them.
 *
 * It also notices that a directory with known files shows another file system than it had, or lies elsewhere
 * among the mounts: then its mount is missing, and what lies in the empty mount point is not judged.
 */
#ifndef DISPATCH_BASELINE_H
#define DISPATCH_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/ledger.h"

#define BASELINE_TYPE_BYTES 24

struct baseline;

enum baseline_stage {
	BASELINE_CLOSED,    /* a file that is not known is new */
	BASELINE_FIRST,	    /* … was there before the watch: `existing` says what becomes of it */
	BASELINE_CONTINUED, /* … may have been there, or have come while nobody saw it */
	BASELINE_LOST,	    /* … may have been started by a ledger that is lost */
	BASELINE_SUSPENDED, /* the mount is missing: nothing is judged */
};

/* All borrowed. behind: the real ledger of a dry run, or NULL. */
struct baseline *baseline_new(const struct conf *conf, struct ledger *ledger, struct ledger *behind);
void baseline_free(struct baseline *b); /* takes NULL */
/* What was told about directories that both configurations have. */
void baseline_carry(struct baseline *to, const struct baseline *from);
/* The transaction was given up: what is in the ledger is read anew. */
void baseline_undo(struct baseline *b);

/* The number of the i-th directory of w in the ledger. 0 or -errno, like all of these. */
int baseline_root(struct baseline *b, const struct conf_watch *w, size_t i, int64_t *ret_id,
	struct err *err) MUST_CHECK;
/* Which file systems the directories are on, and where they lie, of `hello`. is_new: another watcher has
 * come.
 */
void baseline_types(struct baseline *b, const struct conf_watch *w, const struct wire_hello *h, bool is_new);
/* The type that it is meant to have, "" when not known; after baseline_stage. */
const char *baseline_had(const struct baseline *b, const struct conf_watch *w, size_t i);
/* begin: a file of a listing is about to be judged by it. */
int baseline_stage(struct baseline *b, const struct conf_watch *w, size_t i, bool begin,
	enum baseline_stage *ret, struct err *err) MUST_CHECK;
/* Was the i-th directory's baseline still open at that time? Files that were announced by then run. */
int baseline_was_open(struct baseline *b, const struct conf_watch *w, size_t i, int64_t wall_us, bool *ret,
	struct err *err) MUST_CHECK;
/* Its listing has come to its end, or not (events were lost, the directory has gone). */
int baseline_listed(struct baseline *b, const struct conf_watch *w, size_t i, int64_t now_us,
	bool *ret_closed, struct err *err) MUST_CHECK;
void baseline_cut_short(struct baseline *b, const struct conf_watch *w, size_t i);
/* For a directory that is suspended: in words what it had and has, added to how. True the first time only. */
bool baseline_say_suspended(struct baseline *b, const struct conf_watch *w, size_t i, struct buf *how);
/* It is missing: is that to be said? Not again before it was listed to its end. */
bool baseline_say_lost(struct baseline *b, const struct conf_watch *w, size_t i);
/* A person says that the directories of w are meant as they are now. *ret_n: how many were suspended; list
 * them again. */
int baseline_accept(
	struct baseline *b, const struct conf_watch *w, size_t *ret_n, struct err *err) MUST_CHECK;

#endif
