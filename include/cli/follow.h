/*
 * follow: the event log line by line, from its oldest rotated file on, and on with what is appended, over any
 * number of rotations.
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "base/buf.h"
#include "base/err.h"

struct follow;
/* One whole line without its '\n'. origin: the file it stands in. */
typedef void (*follow_fn)(const struct buf *line, const char *origin, void *arg);

/* file is borrowed. */
struct follow *follow_new(const char *file, follow_fn fn, void *arg);
void follow_free(struct follow *f); /* takes NULL */
/* Everything that is there and has not been told yet. The log may be missing (yet). 0 or -errno (of the
 * folder). What cannot be read is said with log_warning and counted. */
int follow_read(struct follow *f, struct err *err) MUST_CHECK;
unsigned long follow_damaged(const struct follow *f);
/* Waits until something happens in the log's folder. Call follow_read after it, and once before the first. 0
 * or -errno. */
int follow_wait(struct follow *f, struct err *err) MUST_CHECK;

#endif
