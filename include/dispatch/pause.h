/*
 * pause: why and until when something waits that every answer failed for (a workspace, a job), whether
 * somebody was told, and whether the ledger was. A value; times are monotonic.
 */
#ifndef DISPATCH_PAUSE_H
#define DISPATCH_PAUSE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/outcome.h"

struct pause {
	unsigned failures; /* in a row; 0: it does not wait */
	bool other;	   /* the next one to try it is another row */
	int64_t since_us;  /* monotonic: when the last failure was answered */
	int64_t until_us;  /* monotonic */
	bool told;
	enum outcome_kind told_kind;
	char *words;	 /* the last ones that were heard; for status */
	char *said;	 /* what was told */
	char *former;	 /* what was told before that, in the same suspension; or NULL */
	bool again;	 /* that was told anew, and the ledger does not know yet */
	int64_t hush_us; /* monotonic: other words are told anew from then on … */
	int64_t gap_us;	 /* … and after that again so much later */
	/* what the ledger has been told, by an event */
	bool recorded;
	enum outcome_kind recorded_kind;
	bool open; /* by a former process, and nothing is known yet */
};

bool pause_is_on(const struct pause *p, int64_t now_us);
/* 0: it does not wait */
int64_t pause_until(const struct pause *p);
/* One more failure, unless this attempt went out before the last one was known. */
void pause_longer(struct pause *p, int64_t out_us, int64_t answered_us);
/* Somebody asks for a pause of wait_us, in these words. */
void pause_as_asked(
	struct pause *p, const char *reason, const char *message, int64_t answered_us, int64_t wait_us);
/* If it waits, then at least wait_us from that answer on. */
void pause_at_least(struct pause *p, int64_t answered_us, int64_t wait_us);
/* It does not wait any more. Returns whether somebody was told that it does. */
bool pause_end(struct pause *p);
/* An answer says that (and why) it waits. advice: what a person can do, or "". Returns whether that is to be
 * told: it is news, or other words than were told, but those ever more rarely, since some servers never say
 * the same twice. */
bool pause_hear(struct pause *p, enum outcome_kind kind, const char *reason, const char *message,
	const char *advice, int64_t answered_us);
/* Somebody is told why. */
void pause_tell(
	struct pause *p, enum outcome_kind kind, const char *reason, const char *message, const char *advice);
/* What a former process has told. */
void pause_recall(struct pause *p, enum outcome_kind kind, const char *words);
/* Does it wait, as far as is known, and why? NULL: it does not, or nobody was told. Borrowed. */
const char *pause_why(const struct pause *p);
/* Does it wait without anybody having been told? */
bool pause_is_quiet(const struct pause *p);
/* Is there something that the ledger has not been told? */
bool pause_has_news(const struct pause *p);
/* It has. */
void pause_recorded(struct pause *p);
void pause_done(struct pause *p);

#endif
