/*
 * hold: what looking at the job of a watch (dispatch/jobwatch) has shown: its files are held back, or its job
 * counts as refused, as if an answer had said so. A part of the sender.
 */
#ifndef DISPATCH_HOLD_H
#define DISPATCH_HOLD_H

#include <stdbool.h>
#include "dispatch/lanes.h"

/* As the functions of dispatch/sender that are named alike. */
void hold_set(struct sender *s, const char *watch, bool held);
void hold_job_refused(struct sender *s, const char *watch, const char *code, const char *text, bool probe);
void hold_job_good(struct sender *s, const char *watch);
void hold_job_changed(struct sender *s, const char *watch);
/* A run of the line's job was started. Returns whether that ends its pause. */
bool hold_proved(struct line *line);

#endif
