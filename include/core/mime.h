/*
 * mime: a mail, byte for byte as it is handed to a server: header lines and a text, all in ASCII, lines with
 * CRLF and of at most 76 bytes (but for a long address or name of a machine). Pure: time and ids are handed
 * in.
 *
 * Whatever the texts hold, no header line comes about that is not asked for: control characters never get
 * there. Bytes that are not UTF-8 are shown as U+FFFD.
 */
#ifndef CORE_MIME_H
#define CORE_MIME_H

#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/mailbox.h"

#define MIME_SUBJECT_BYTES 998	       /* longer ones are cut, with "…" */
#define MIME_MAIL_BYTES (1024u * 1024) /* ceiling of a whole mail */

struct mime_mail {
	struct mailbox from;
	const struct mailbox *to;
	size_t to_n;
	/* "ID@HOST" makes the Message-ID: the same for the same event, so a mail that comes twice is known as
	   one. Characters that an id cannot have are left out. */
	const char *id, *host;
	const char *type;    /* of the event, for who sorts mail by rules; likewise */
	int64_t time_us;     /* wall clock: now */
	const char *subject; /* one line; control characters become blanks */
	const char *text;    /* lines with '\n'; other control characters but tab become U+FFFD */
};

/* Into b (replaced; its ceiling should be MIME_MAIL_BYTES). 0 or -ENOBUFS with *err. */
int mime_compose(struct buf *b, const struct mime_mail *m, struct err *err) MUST_CHECK;

#endif
