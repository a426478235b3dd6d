/*
 * selection: the rows that a command is about: exact paths, or all that pass its selectors. Walks through the
 * ledger a page at a time; where it stands is plain data, so a step can be tried on a copy.
 */
#ifndef DISPATCH_SELECTION_H
#define DISPATCH_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "dispatch/control.h"
#include "dispatch/ledger.h"

#define SELECTION_STRETCH 4096 /* rows looked at for one page: some milliseconds */

struct selection {
	struct ledger_filter filter;
	const char *glob; /* "" none */
	const struct control_operand *operands;
	size_t operands_n; /* exact paths; 0: all that pass */
	/* where it stands */
	size_t operand;
	int64_t after, last; /* last: the highest row number when it began; -1: not begun */
};

/* Borrows from the request. -EINVAL (ERR_USAGE): no such state, no pattern. */
int selection_init(struct selection *s, const struct control_request *r, struct err *err) MUST_CHECK;
/* Is it over? */
bool selection_is_over(const struct selection *s);
/* Up to n row numbers; *ret_n may be 0 before the end. With operands a page is of one of them,
 * s->operand, and the last page of it (which may be empty) takes *ret_operand_over. 0 or -errno. */
int selection_page(struct selection *s, struct ledger *l, int64_t *ids, int n, int *ret_n,
	bool *ret_operand_over, struct err *err) MUST_CHECK;
/* Loads a row of a page. 1: it is selected (row and note are the caller's), 0: it is not, or is gone, -errno
 */
int selection_load(const struct selection *s, struct ledger *l, int64_t id, struct ledger_row *row,
	struct ledger_note *note, struct err *err) MUST_CHECK;
/* Does a path (root and relpath) fit the pattern? "" fits all. A pattern that begins with '/' is held against
 * the whole path, others against the part below the watched directory. The path itself fits, too. */
bool selection_fits(const char *glob, const char *root, const char *relpath);
/* The number of a state, -1: "" (any), -2: unknown. */
int selection_state(const char *name);
/* What to say of a word that is no state: which there are. also: further words, with ", " behind, or "".
 * Always -errno. */
int selection_no_state(const char *name, const char *also, struct err *err);
/* "--state held --watch orders /a/b …": for operator.action, cut where it is long. */
void selection_describe(const struct control_request *r, struct buf *b);

#endif
