/*
 * trailer: is the end of the file there? For formats that end with a mark of their own (`verify = yes`).
 * Pure.
 *
 * It tests completeness, neither type nor soundness: a file whose end is missing is not finished yet, and
 * what cannot be judged (other formats, self-extracting archives, volumes of a split one) is not held back.
 * For people: doc/completeness.md.
 */
#ifndef CORE_TRAILER_H
#define CORE_TRAILER_H

#include <stddef.h>
#include <stdint.h>
#include "base/gzip.h"

#define TRAILER_HEAD_BYTES 4096 /* leading bytes handed in */
/* zip: a comment of 65,535 bytes behind the end record, before that the locator and the record of zip64 */
#define TRAILER_TAIL_BYTES (22 + 65535 + 20 + 56)

struct trailer_bytes {	     /* all borrowed */
	const uint8_t *head; /* the first min(size, TRAILER_HEAD_BYTES) bytes */
	size_t head_len;
	const uint8_t *tail; /* the last trailer_wants() bytes */
	size_t tail_len;
	int64_t size;
};

enum trailer_verdict {
	TRAILER_NOT_JUDGED = 0,
	TRAILER_THERE,
	TRAILER_MISSING,
	TRAILER_UNPACK, /* gzip: only unpacking all of it tells */
};

struct trailer {
	enum trailer_verdict verdict;
	const char *format; /* "gzip", …; NULL when not judged; constant */
	const char *lacks;  /* "gzip: the end of the stream is missing"; NULL unless missing; constant */
};

/* How many of the last bytes are needed to judge a file that begins so; 0: none. At most TRAILER_TAIL_BYTES
 * and size. */
size_t trailer_wants(const uint8_t *head, size_t head_len, int64_t size);
void trailer_judge(const struct trailer_bytes *b, struct trailer *ret);

/* The verdict after a gzip file was unpacked. */
void trailer_take_unpacked(enum gzip_end end, struct trailer *ret);

#endif
