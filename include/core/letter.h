/*
 * letter: what a mail about an event says when the configuration does not: what happened, to which file, why,
 * what can be done, how to see more. Pure.
 */
#ifndef CORE_LETTER_H
#define CORE_LETTER_H

#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

/* line: the event (or a digest, whose text is made elsewhere), as event_text has it. Both add to b: 0,
 * -ENOBUFS or -EBADMSG with *err. */
int letter_add_subject(const char *line, size_t len, struct buf *b, struct err *err) MUST_CHECK;
/* Lines with '\n'. */
int letter_add_text(const char *line, size_t len, struct buf *b, struct err *err) MUST_CHECK;

#endif
