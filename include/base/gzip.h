/*
 * gzip: compressing a file in steps, reading one by lines whether it is compressed or not, and telling
 * whether one is whole. zlib.
 */
#ifndef BASE_GZIP_H
#define BASE_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

struct gzip_job;

/* Starts compressing the file at from into the new file to (exactly mode; must not exist: O_EXCL). NULL with
 * *err. */
struct gzip_job *gzip_job_new(const char *from, const char *to, mode_t mode, struct err *err);
/* Does at most max_bytes of input. 1: more to do; 0: finished, `to` is complete and synced (its directory is
 * not); negative errno: failed, `to` is removed. What was answered last is answered again. */
int gzip_job_step(struct gzip_job *j, size_t max_bytes, struct err *err) MUST_CHECK;
void gzip_job_free(struct gzip_job *j); /* takes NULL; an unfinished `to` is removed */

struct gzip_reader;
/* Plain or gzip, several members too; told by the first bytes. NULL with *err. */
struct gzip_reader *gzip_reader_open(const char *path, struct err *err);
/* Next line without its '\n' into b (replaced). 1: a line; 0: end; -errno (EBADMSG: damaged or truncated;
 * what came before was good; sticks). A last line without '\n' is delivered too and *ret_torn (may be NULL)
 * set; for each other line it is cleared. A line longer than b may hold: -EFBIG, it is passed over and the
 * next call gives the next one. b is empty after a failure. A gzip file that ends within a line is truncated
 * or was written so: only the latter gives a torn line. */
int gzip_reader_line(struct gzip_reader *r, struct buf *b, bool *ret_torn, struct err *err) MUST_CHECK;
void gzip_reader_close(struct gzip_reader *r); /* takes NULL */

/* How a gzip file ends. */
enum gzip_end {
	GZIP_END_UNKNOWN = 0,
	GZIP_END_THERE,	  /* every member is whole; what is behind the last one does not count */
	GZIP_END_CUT,	  /* within a member */
	GZIP_END_DAMAGED, /* bytes that are not gzip, or a wrong checksum: also a file that has its size and
			     is still being filled */
};
/* Unpacks the first size bytes of fd to their end; nothing is kept. Does not move the offset. 0; -ESTALE:
 * the file is shorter; -errno. Takes as long as it takes: some 3 to 30 ms a MiB. */
int gzip_find_end(int fd, int64_t size, enum gzip_end *ret, struct err *err) MUST_CHECK;

#endif
