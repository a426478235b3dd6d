/*
 * evlog: the event log as a file: appending whole lines, repairing a torn end, rotating by size and age; what
 * becomes of rotated files is dispatch/attic. Which lines there are is the outbox's business; evlog never
 * invents, changes or remembers one. Described in doc/event-log.md.
 *
 * The file is opened when it is needed. After any failure it is closed and the next evlog_open() looks at it
 * anew.
 *
 * Time is handed in (wall-clock microseconds): rotation by age goes by UTC.
 */
#ifndef DISPATCH_EVLOG_H
#define DISPATCH_EVLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "dispatch/attic.h"

#define EVLOG_MODE 0640

struct evlog;

/* conf is borrowed. sync: what evlog_append says it has written survives a power cut. Touches nothing. */
struct evlog *evlog_new(const struct conf_events *conf, bool sync);
void evlog_free(struct evlog *e); /* takes NULL */

/* Takes the lock of the log (dispatch/loglock), and waits for it a while. Else that is done when it is
 * opened, without waiting. 0, -EBUSY: another service writes to it, -EPIPE: the keeper has gone. */
int evlog_claim(struct evlog *e, int keeper_fd, struct err *err) MUST_CHECK;
bool evlog_is_open(const struct evlog *e);
/* Opens or creates the file (no link is followed, only a regular file is taken) and looks at its end. 0 or
 * -errno. Does nothing when it is open. */
int evlog_open(struct evlog *e, struct err *err) MUST_CHECK;
void evlog_close(struct evlog *e);

/* The last whole line ever written, with its '\n', into line (replaced): of the file, or when that has none,
 * of the youngest rotated one. 1, 0 (none), -errno. The file must be open. */
int evlog_last_line(struct evlog *e, struct buf *line, struct err *err) MUST_CHECK;
/* Does the file end in the middle of a line? */
bool evlog_is_torn(const struct evlog *e);
/* Makes an end: when the torn line is the beginning of `next` (the line that should stand there, with its
 * '\n'; len 0: none) the rest is written, and *ret_completed is true; else it is cut off. */
int evlog_repair(
	struct evlog *e, const char *next, size_t len, bool *ret_completed, struct err *err) MUST_CHECK;

/* Appends whole lines (each ends in '\n'), rotating before a line that would make the file too long or
 * belongs to a later period. The file must be open and not torn. On failure *ret_written says how many bytes,
 * always whole lines, are in the log for good; 0 or -errno. May block for disk. */
int evlog_append(struct evlog *e, const char *lines, size_t len, int64_t now_us, size_t *ret_written,
	struct err *err) MUST_CHECK;
/* Rotates if the file's period is over. */
int evlog_turn(struct evlog *e, int64_t now_us, struct err *err) MUST_CHECK;
/* When that will be; INT64_MAX: not by age, or the file is empty. */
int64_t evlog_next_turn_us(const struct evlog *e);

/* Its rotated files. Borrowed. */
struct attic *evlog_attic(struct evlog *e);

#endif
