/*
 * doubt: what is known about the files of a line's rows that must not be sent before their watcher has looked
 * at them: which are asked about, what the answers were, and when to ask again. In memory only: whoever
 * starts anew asks anew.
 *
 * At most DOUBT_ASKED_MAX rows are asked about and as many are confirmed and not sent yet, so that a long
 * backlog is looked at a little ahead of its sending.
 */
#ifndef DISPATCH_DOUBT_H
#define DISPATCH_DOUBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/wire.h"

#define DOUBT_ASKED_MAX 64
#define DOUBT_GOOD_FOR_US INT64_C(60000000) /* so long a confirmation counts */

struct doubt;

struct doubt *doubt_new(void);
void doubt_free(struct doubt *d); /* takes NULL */

/* How many rows may be asked about now: none while answers are out, so that a folder nobody can look into is
 * asked once in a while and not row after row. */
size_t doubt_room(const struct doubt *d, int64_t now_us);
/* When there will be room although nothing else happens: now_us, a pause's end, or INT64_MAX. */
int64_t doubt_room_us(const struct doubt *d, int64_t now_us);
bool doubt_has(const struct doubt *d, int64_t id); /* is asked about, or answered and not forgotten */
size_t doubt_count(const struct doubt *d);
/* It could not be asked just now, and may be a moment later. */
void doubt_busy(struct doubt *d, int64_t now_us);
void doubt_asked(struct doubt *d, int64_t id);
/* Takes an answer; one that was not asked for is dropped. */
void doubt_answered(struct doubt *d, int64_t id, enum wire_verdict verdict, int64_t now_us);
void doubt_forget(struct doubt *d, int64_t id);

/* The confirmed row that was asked for first; 0: none. Those whose confirmation is too old are forgotten. */
int64_t doubt_confirmed(struct doubt *d, int64_t now_us);
bool doubt_is_confirmed(const struct doubt *d, int64_t id, int64_t now_us);
/* Answers that something follows from: gone, replaced, unsure. */
size_t doubt_refused(const struct doubt *d);
/* Calls fn for each of them, until it fails. 0 or what fn returned. */
int doubt_each_refused(
	const struct doubt *d, int (*fn)(int64_t id, enum wire_verdict verdict, void *arg), void *arg);
void doubt_forget_refused(struct doubt *d);
/* How many times in a row nothing could be told about anything that was asked. */
unsigned doubt_failures(const struct doubt *d);

#endif
