/*
 * inquire: a row that was not sent within a minute, or was there before the start, is old: its watcher must
 * have looked at the file again before it goes out (dispatch/doubt keeps the answers), unless it may be out
 * already or a person has released it unchecked. How old a row is tell the highest row numbers of the last
 * minute, not a clock.
 */
#ifndef DISPATCH_INQUIRE_H
#define DISPATCH_INQUIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "dispatch/lanes.h"

/* Can the watcher of this line be asked now? */
bool inquire_may_ask(const struct sender *s, const struct line *line);
/* Asks about the next old rows of a line. 0 or -errno */
int inquire_ahead(struct sender *s, struct line *line, int64_t now_us, struct err *err) MUST_CHECK;
/* Rows that have become old have to be asked about. In the transaction. */
int inquire_note_ages(struct sender *s, int64_t now_us, struct err *err) MUST_CHECK;
/* How many answers say that a file is not what its row has. */
size_t inquire_refused(const struct sender *s);
/* In the transaction: what those answers make of rows; then inquire_committed() after the commit. */
int inquire_apply(struct sender *s, struct err *err) MUST_CHECK;
void inquire_committed(struct sender *s);

#endif
