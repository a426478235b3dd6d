/*
 * explain: what this watcher would make of one path, step by step, without changing anything.
 */
#ifndef SENSE_EXPLAIN_H
#define SENSE_EXPLAIN_H

#include "sense/state.h"

#define EXPLAIN_TAG UINT64_MAX /* of its question to the sniffer */

/* Answers on fd (-1: to the dispatcher, through the outlet) with WIRE_EXPLAINED steps and, last,
 * WIRE_EXPLAINED_FILE (rule "" when the file would be reported ready; size -1 when there is no such file).
 * Of a watched directory itself it says only whether it can be listed (size -1: it is missing): steps
 * "directory" and, if it is closed to us, "closed" (the folder that is) and "group" (the number of its group,
 * if that would help).
 * With a type to ask for, the last message comes later, from the loop; done(arg) is called after it. */
void explain_path(struct sense *s, int fd, const char *path, void (*done)(void *arg), void *arg);
/* The sniffer's answer. */
void explain_answer(struct sense *s, const struct ask_result *r);
/* Ends a question that waits for a sniffer when none can be started (sense.ask_trouble). */
void explain_check_ask(struct sense *s);
void explain_free(struct explain *x); /* takes NULL */

#endif
