/*
 * terminal: how wide it is, and text that fits. Text is UTF-8 without control characters (base/text makes it
 * so).
 */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

#include <stddef.h>
#include "base/buf.h"

#define TERMINAL_COLUMNS 80 /* of one that does not say */

/* Columns of the terminal that fd is; 0: it is none. */
size_t terminal_columns(int fd);
/* How many columns s takes. Wide and combining characters are known by their blocks. */
size_t terminal_width(const char *s);
/* Adds s, cut to so many columns (at least 1) with "…" at its end, or in front where the end matters more. */
int terminal_add_cut(struct buf *b, const char *s, size_t columns);
int terminal_add_cut_front(struct buf *b, const char *s, size_t columns);

#endif
