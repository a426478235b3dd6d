/*
 * progress: one line on a terminal, written over and over, for as long as a scan runs. What others say
 * meanwhile takes its place (base/log, log_set_terminal), and it is gone at the end.
 */
#ifndef KEEP_PROGRESS_H
#define KEEP_PROGRESS_H

#include <stdbool.h>

/* Is standard error a terminal that can erase a line? */
bool progress_is_possible(void);
/* Cut to the terminal's width. Who calls it sees to it that it is not too often. */
void progress_show(const char *text);
/* Nothing is shown any more. */
void progress_end(void);

#endif
