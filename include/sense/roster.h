/*
 * roster: the names that the last listing of one polled directory showed, 8 bytes each: what is on it needs
 * no look. A name that was never seen, or was missing in a listing, is new.
 *
 * Names are kept as hashes. Two names of one directory with one hash (a chance of 1 in 3·10⁹ among 100,000
 * names) cost no file: the later one is found by `rescan`, which looks at every name.
 */
#ifndef SENSE_ROSTER_H
#define SENSE_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct roster;

struct roster *roster_new(void);
void roster_free(struct roster *r); /* takes NULL */
/* The number of a name. ino: its inode as readdir(3) gives it, 0 where that means nothing; with it a file
 * that took another's name counts as new. */
uint64_t roster_id(const char *name, uint64_t ino);
/* A listing begins; one that was not ended is forgotten. Until it ends the last one counts. */
void roster_begin(struct roster *r);
/* It shows this name, and there is nothing (more) to be done about it. */
void roster_add(struct roster *r, uint64_t id);
/* It shows a name that is looked for by others: a marker, a companion (id made with ino 0). */
void roster_add_mark(struct roster *r, uint64_t id);
void roster_end(struct roster *r);
/* Has a listing been ended? */
bool roster_is_filled(const struct roster *r);
bool roster_has(const struct roster *r, uint64_t id);
bool roster_has_mark(const struct roster *r, uint64_t id);
/* The next listing is to find it new. */
void roster_forget(struct roster *r, uint64_t id);
size_t roster_count(const struct roster *r);

#endif
