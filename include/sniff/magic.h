/*
 * magic: libmagic, and the only module that knows it. Gives the MIME type of what an open descriptor holds.
 *
 * It reads the magic file of the distribution by an explicit path; $MAGIC, $HOME and /etc/magic are never
 * asked, so nobody who can write elsewhere rules the parser. It does not decide what a file is: libmagic is
 * one voice of several (core/filetype.h).
 *
 * It may crash or run for seconds on hostile bytes. Only the sniffer process calls it.
 */
#ifndef SNIFF_MAGIC_H
#define SNIFF_MAGIC_H

#include <stdint.h>
#include "base/err.h"
#include "core/filetype.h"

#define MAGIC_READ_MAX (INT64_C(64) * 1024 * 1024) /* largest type_bytes */
#define MAGIC_VERSION_BYTES 32

struct magic_reader;

/*
 * Opens libmagic with the magic file `path` (compiled), or, when NULL, with the one configured at build time
 * (BW_MAGIC_FILE) or else the first there is of the places where distributions have it. NULL with *err: no
 * such file, or libmagic cannot use it (its magic file is bound to its version). Free with
 * magic_reader_close.
 */
struct magic_reader *magic_reader_open(const char *path, struct err *err);
void magic_reader_close(struct magic_reader *r); /* takes NULL */
/* The magic file in use; borrowed. */
const char *magic_reader_path(const struct magic_reader *r);

/*
 * Proves on three built-in samples that types are told, by what is in the magic file. The samples were made
 * by magic_reader_open, so this can run in the confinement that foreign files are read in; once. 0, or -errno
 * with *err.
 */
int magic_reader_prove(struct magic_reader *r, struct err *err) MUST_CHECK;

/*
 * The MIME type of the regular file fd, looking at no more than its first and last max_bytes (1 …
 * MAGIC_READ_MAX). 0: ret_mime holds it, or is "" when libmagic cannot tell. -errno with *err: not a regular
 * file (-EINVAL), or reading failed. Reads from offset 0 and moves the offset. May block on a hung mount.
 */
int magic_reader_classify(struct magic_reader *r, int fd, int64_t max_bytes,
	char ret_mime[FILETYPE_MIME_BYTES], struct err *err) MUST_CHECK;

/* What libmagic returned, made one MIME type: cut at the first character that cannot be in one, and where old
 * versions glue two together ("application/octet-streamtext/plain"), the first. "" when nothing is left or it
 * does not fit. */
void magic_clean_mime(const char *said, char ret_mime[FILETYPE_MIME_BYTES]);

/* "libmagic 544": of the library that runs, not of the header. Returns text. */
const char *magic_version_text(char text[MAGIC_VERSION_BYTES]);

#endif
