/*
 * attic: the rotated files of the event log, NAME.STAMP[-N][.gz] beside it: the next name, what the youngest
 * ends with, compressing, removing. Described in doc/event-log.md.
 */
#ifndef DISPATCH_ATTIC_H
#define DISPATCH_ATTIC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"

#define ATTIC_STEP_BYTES (128u * 1024) /* of input, compressed in one step: some milliseconds */

struct attic;

/* conf and directory (where conf->file is) are borrowed. mode: of compressed files. sync: a compressed file
 * is on the disk before the plain one goes. Touches nothing. */
struct attic *attic_new(const struct conf_events *conf, const char *directory, mode_t mode, bool sync);
void attic_free(struct attic *a); /* takes NULL */

/* The path of the next rotated file; the caller frees. It sorts behind all there are, and behind all that
 * were made and removed again: also within one second, and when the clock was set back. 0 or -errno */
int attic_next(struct attic *a, int64_t now_us, char **ret_path, struct err *err) MUST_CHECK;
/* The last whole line of the youngest, with its '\n', into line. 1, 0 (none), -errno */
int attic_last_line(const struct attic *a, struct buf *line, struct err *err) MUST_CHECK;

void attic_wake(struct attic *a); /* there is a new one, or there may be */
/* The wall clock may be wrong: by ahead_us, by which it was stepped since it was looked at first, and, with
 * careful, from the beginning. Ages count without the step; and being careful costs only a few files. */
void attic_doubt_clock(struct attic *a, int64_t ahead_us, bool careful);
/* One bounded step of looking after them: cleaning up what a crash left, compressing, removing. 1: there is
 * more to do, 0: done for now, -errno (with *err; the rest is tried after the next rotation). */
int attic_work(struct attic *a, int64_t now_us, struct err *err) MUST_CHECK;
bool attic_has_work(const struct attic *a);

#endif
