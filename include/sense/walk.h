/*
 * walk: listing. A directory is first watched, then listed, then merged with what events have brought
 * meanwhile. What is found is offered to the ledger
 * ("which of these do you not know?"), and only the unknown becomes unsettled. It works in small steps and
 * stops when the table or the socket is full.
 */
#ifndef SENSE_WALK_H
#define SENSE_WALK_H

#include <stdbool.h>
#include "sense/state.h"

struct walk *walk_new(struct sense *s);
void walk_free(struct walk *w); /* takes NULL */
/* Lists one directory (and what is below it): a new one, or one that has come back. */
void walk_directory(struct walk *w, struct tree_dir *d);
/* Lists everything and reports `scanned`. why: "start", "overflow", "rescan", "mount", "shortage" (constant).
 * When one is under way already, another follows. */
void walk_pass(struct walk *w, const char *why);
/* Lists the polled directories, by names only: what was in their last listing is not looked at again.
 * poll_ended() is called when it is through. False: not now, something is being listed. */
bool walk_poll(struct walk *w);
bool walk_is_polling(const struct walk *w);
/* The dispatcher's answer to `candidates`. */
void walk_wanted(struct walk *w, const struct wire_wanted *m);
/* A file of that root that the ledger does not have in this version: it becomes unsettled, unless it is. */
void walk_found(struct walk *w, size_t root, const struct wire_candidate *c);
/* d is about to be freed. */
void walk_forget(struct walk *w, const struct tree_dir *d);
/* Events were lost: the pass under way, if any, will not be reported complete. (For one directory:
 * sense_root.cut_short.) */
void walk_cut_short(struct walk *w);
/* Goes on if it had stopped for lack of room and there is room now. Cheap: called every round. */
void walk_resume(struct walk *w);
/* Nothing to list, nothing asked, at least one pass finished. */
bool walk_is_idle(const struct walk *w);
/* Has a pass come to its end? */
bool walk_has_listed(const struct walk *w);
/* For directories made by an event: met in the listing of now. */
uint64_t walk_serial(const struct walk *w);

#endif
