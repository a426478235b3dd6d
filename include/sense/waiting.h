/*
 * waiting: why a file is not complete yet, in words; and what is said about files that wait longer than
 * `overdue`.
 */
#ifndef SENSE_WAITING_H
#define SENSE_WAITING_H

#include "base/buf.h"
#include "sense/state.h"

struct waiting;
struct waiting *waiting_new(struct sense *s);
void waiting_free(struct waiting *w); /* takes NULL */
/* At the end of each round of the loop. Cheap. */
void waiting_look(struct waiting *w);
/* f is about to leave the table because its name is gone: said if its waiting was said. */
void waiting_gone(struct sense *s, const struct unsettled_file *f);
/* "unchanged for 2 s of 30 s (no sign that the writer closed)", "its marker /in/a.csv.done since 3 s", … */
void waiting_add_reason(const struct sense *s, const struct unsettled_file *f, struct buf *b);

#endif
