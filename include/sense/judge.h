/*
 * judge: one due file at a time: open it, look, and when it is complete check rules and type on that same
 * descriptor and report it.
 */
#ifndef SENSE_JUDGE_H
#define SENSE_JUDGE_H

#include <stdbool.h>
#include "sense/state.h"

/* A judged file, ready to be reported. Texts are borrowed from buffers of the judge. */
struct judge *judge_new(struct sense *s);
void judge_free(struct judge *j); /* takes NULL */
/* Puts the file among the due ones (not when it is the one being judged: that looks by itself). */
void judge_schedule(struct judge *j, struct unsettled_file *f);
/* f is about to be freed. */
void judge_forget(struct judge *j, const struct unsettled_file *f);
/* Goes on if it had stopped for lack of room. */
void judge_kick(struct judge *j);
/* The answer of the sniffer. */
void judge_answer(struct judge *j, const struct ask_result *r);
bool judge_is_busy(const struct judge *j);

#endif
