/*
 * Compressing goes in steps of the caller's size, because the dispatcher does it between two requests: 64 MiB
 * of log in one go would keep it from its work for a second.
 *
 * Reading feeds one line at a time from a plain file or from gzip. What inflate has given out is used before
 * the next bytes are read, so everything before a damaged place is delivered. A member's checksum stands at
 * its end: lines before it are delivered without having been checked yet.
 *
 * Whether a file is whole can only be told by unpacking it: the checksum and the length at the end look like
 * any other bytes, and where a stream ends is known to who has read it from its beginning.
 */
#include "base/gzip.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "base/fs.h"
#include "base/mem.h"

#define CHUNK 65536
#define GZIP_WINDOW (15 + 16) /* the largest window, with the gzip header (zlib.h, deflateInit2) */
#define MEM_LEVEL 8	      /* zlib's default */

enum job_state { JOB_RUNNING, JOB_DONE, JOB_FAILED };

struct gzip_job {
	enum job_state state;
	int code; /* of JOB_FAILED, negative */
	char *from, *to;
	int in_fd, out_fd;
	z_stream z;
	unsigned char in[CHUNK], out[CHUNK];
};

struct gzip_reader {
	char *path;
	int fd;
	bool compressed;
	bool z_ready;
	bool at_end; /* of the bytes in the file */
	bool in_member;
	int code; /* sticks, negative */
	const char *why;
	z_stream z;
	size_t in_pos, in_len;
	size_t out_pos, out_len;
	unsigned char in[CHUNK], out[CHUNK];
};

static ssize_t read_some(int fd, void *p, size_t n)
{
	ssize_t r;

	do
		r = read(fd, p, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* ---- compressing ---- */

static int fail_job(struct gzip_job *j, int code)
{
	j->state = JOB_FAILED;
	j->code = code;
	fs_close(&j->in_fd);
	fs_close(&j->out_fd);
	unlink(j->to);
	return code;
}

/* Compresses what is in z and writes what comes out. */
static int deflate_input(struct gzip_job *j, int flush)
{
	do {
		j->z.next_out = j->out;
		j->z.avail_out = CHUNK;
		if (deflate(&j->z, flush) == Z_STREAM_ERROR)
			return -EIO;

		int r = fs_write_all(j->out_fd, j->out, CHUNK - j->z.avail_out);

		if (r < 0)
			return r;
	} while (j->z.avail_out == 0);
	return 0;
}

static int finish_job(struct gzip_job *j)
{
	j->z.next_in = NULL;
	j->z.avail_in = 0;

	int r = deflate_input(j, Z_FINISH);

	if (r < 0)
		return r;
	if (fsync(j->out_fd) < 0)
		return -errno;

	int fd = j->out_fd;

	j->out_fd = -1;
	if (close(fd) < 0)
		return -errno; /* some network file systems tell of a full disk only here */
	j->state = JOB_DONE;
	fs_close(&j->in_fd);
	return 0;
}

/* 1: more to do, 0: finished, or -errno and which of the two files it was. */
static int step_job(struct gzip_job *j, size_t max_bytes, const char **ret_file)
{
	for (size_t done = 0; done < max_bytes;) {
		ssize_t n = read_some(j->in_fd, j->in, max_bytes - done < CHUNK ? max_bytes - done : CHUNK);

		*ret_file = n < 0 ? j->from : j->to;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return finish_job(j);
		j->z.next_in = j->in;
		j->z.avail_in = (uInt)n;

		int r = deflate_input(j, Z_NO_FLUSH);

		if (r < 0)
			return r;
		done += (size_t)n;
	}
	return 1;
}

static int open_job_files(struct gzip_job *j, mode_t mode, struct err *err)
{
	j->in_fd = open(j->from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (j->in_fd < 0)
		return err_errno(err, errno, "cannot open %s", j->from);
	j->out_fd = open(j->to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, mode);
	if (j->out_fd < 0)
		return err_errno(err, errno, "cannot make %s", j->to);
	if (fchmod(j->out_fd, mode) < 0) {
		int code = errno;

		unlink(j->to);
		return err_errno(err, code, "cannot set the mode of %s", j->to);
	}
	return 0;
}

struct gzip_job *gzip_job_new(const char *from, const char *to, mode_t mode, struct err *err)
{
	struct gzip_job *j = mem_alloc(sizeof(*j));

	j->in_fd = j->out_fd = -1;
	j->state = JOB_FAILED; /* until `to` is ours */
	j->from = mem_strdup(from);
	j->to = mem_strdup(to);
	BUG_ON(deflateInit2(&j->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEM_LEVEL,
		       Z_DEFAULT_STRATEGY) != Z_OK);
	if (open_job_files(j, mode, err) < 0) {
		gzip_job_free(j);
		return NULL;
	}
	j->state = JOB_RUNNING;
	return j;
}

int gzip_job_step(struct gzip_job *j, size_t max_bytes, struct err *err)
{
	const char *file = j->to;

	if (j->state == JOB_DONE)
		return 0;
	if (j->state == JOB_FAILED)
		return err_errno(err, -j->code, "cannot compress %s", j->from);

	int r = step_job(j, max_bytes > 0 ? max_bytes : 1, &file);

	if (r >= 0)
		return r;
	fail_job(j, r);
	return err_errno(err, -r, "cannot compress %s: %s", j->from, file);
}

void gzip_job_free(struct gzip_job *j)
{
	if (j == NULL)
		return;
	if (j->state == JOB_RUNNING)
		fail_job(j, -ECANCELED);
	fs_close(&j->in_fd);
	fs_close(&j->out_fd);
	deflateEnd(&j->z);
	free(j->from);
	free(j->to);
	free(j);
}

/* ---- reading ---- */

static int damaged(struct gzip_reader *r, const char *why)
{
	r->code = -EBADMSG;
	r->why = why;
	return r->code;
}

/* Moves what is left of the input to the front and reads more behind it. 0 or -errno; at_end when there is no
 * more. */
static int fill_input(struct gzip_reader *r)
{
	if (r->in_pos > 0) {
		memmove(r->in, r->in + r->in_pos, r->in_len - r->in_pos);
		r->in_len -= r->in_pos;
		r->in_pos = 0;
	}
	if (r->at_end || r->in_len == CHUNK)
		return 0;

	ssize_t n = read_some(r->fd, r->in + r->in_len, CHUNK - r->in_len);

	if (n < 0) {
		r->code = (int)n;
		return r->code;
	}
	r->at_end = n == 0;
	r->in_len += (size_t)n;
	return 0;
}

/* Two bytes at least, unless the file ends before. */
static int fill_two(struct gzip_reader *r)
{
	int x = 0;

	while (x == 0 && !r->at_end && r->in_len - r->in_pos < 2)
		x = fill_input(r);
	return x;
}

static bool has_magic(const struct gzip_reader *r)
{
	return r->in_len - r->in_pos >= 2 && r->in[r->in_pos] == 0x1f && r->in[r->in_pos + 1] == 0x8b;
}

static int next_member(struct gzip_reader *r)
{
	int x = fill_two(r);

	if (x < 0)
		return x;
	if (r->in_pos == r->in_len)
		return 0; /* the end, as it should be */
	if (!has_magic(r))
		return damaged(r, "other bytes behind the compressed ones");
	BUG_ON(inflateReset(&r->z) != Z_OK);
	r->in_member = true;
	return 0;
}

/* One call of inflate on what input there is. */
static int inflate_some(struct gzip_reader *r)
{
	r->z.next_in = r->in + r->in_pos;
	r->z.avail_in = (uInt)(r->in_len - r->in_pos);
	r->z.next_out = r->out;
	r->z.avail_out = CHUNK;

	int z = inflate(&r->z, Z_NO_FLUSH);

	r->in_pos = r->in_len - r->z.avail_in;
	r->out_pos = 0;
	r->out_len = CHUNK - r->z.avail_out;
	if (z == Z_STREAM_END)
		r->in_member = false;
	else if (z == Z_MEM_ERROR)
		r->code = -ENOMEM;
	else if (z != Z_OK && z != Z_BUF_ERROR)
		damaged(r, "damaged gzip data");
	return r->code;
}

static int fill_output_from_gzip(struct gzip_reader *r)
{
	while (r->out_pos == r->out_len) {
		int x;

		if (!r->in_member) {
			x = next_member(r);
			if (x < 0 || !r->in_member)
				return x;
		}
		if (r->in_pos == r->in_len) {
			x = fill_input(r);
			if (x < 0)
				return x;
			if (r->at_end && r->in_len == 0)
				return damaged(r, "gzip data cut short");
		}
		x = inflate_some(r);
		if (x < 0 && r->out_len == 0)
			return x; /* else what came out is used first; the code sticks */
	}
	return 0;
}

static int fill_output_from_plain(struct gzip_reader *r)
{
	if (r->in_pos == r->in_len) {
		int x = fill_input(r);

		if (x < 0)
			return x;
	}
	memcpy(r->out, r->in + r->in_pos, r->in_len - r->in_pos);
	r->out_pos = 0;
	r->out_len = r->in_len - r->in_pos;
	r->in_pos = r->in_len;
	return 0;
}

/* Makes out hold bytes. 1: it does, 0: the end, -errno. */
static int fill_output(struct gzip_reader *r)
{
	if (r->out_pos < r->out_len)
		return 1;
	if (r->code < 0)
		return r->code;

	int x = r->compressed ? fill_output_from_gzip(r) : fill_output_from_plain(r);

	if (x < 0)
		return x;
	return r->out_pos < r->out_len;
}

/* Up to the line feed or the end of out. */
static int take_line_part(struct gzip_reader *r, struct buf *b, bool *ret_feed)
{
	const unsigned char *from = r->out + r->out_pos;
	const unsigned char *feed = memchr(from, '\n', r->out_len - r->out_pos);
	size_t n = feed != NULL ? (size_t)(feed - from) : r->out_len - r->out_pos;

	*ret_feed = feed != NULL;
	r->out_pos += n + (feed != NULL);
	return buf_add(b, from, n);
}

static int tell(const struct gzip_reader *r, int code, struct err *err)
{
	if (code == -EBADMSG)
		return err_set(err, ERR_INPUT, EBADMSG, "%s: %s", r->path, r->why);
	return err_errno(err, -code, "cannot read %s", r->path);
}

struct gzip_reader *gzip_reader_open(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0) {
		err_errno(err, errno, "cannot open %s", path);
		return NULL;
	}

	struct gzip_reader *r = mem_alloc(sizeof(*r));

	r->fd = fd;
	r->path = mem_strdup(path);

	int x = fill_two(r);

	if (x < 0) {
		tell(r, x, err);
		gzip_reader_close(r);
		return NULL;
	}
	r->compressed = has_magic(r);
	if (r->compressed) {
		BUG_ON(inflateInit2(&r->z, GZIP_WINDOW) != Z_OK);
		r->z_ready = true;
		r->in_member = true;
	}
	return r;
}

int gzip_reader_line(struct gzip_reader *r, struct buf *b, bool *ret_torn, struct err *err)
{
	bool too_long = false;
	bool any = false;
	bool feed = false;

	buf_reset(b);
	while (!feed) {
		int x = fill_output(r);

		if (x < 0) {
			buf_reset(b);
			return tell(r, x, err);
		}
		if (x == 0)
			break;
		any = true;
		/* the rest of a line that is too long is passed over, so that the next call gives the next
		 * line */
		if (take_line_part(r, b, &feed) < 0)
			too_long = true;
	}
	if (too_long) {
		size_t max = b->max;

		buf_reset(b);
		return err_set(err, ERR_LIMIT, EFBIG, "%s: a line longer than %zu bytes", r->path, max);
	}
	if (any && ret_torn != NULL)
		*ret_torn = !feed;
	return any;
}

void gzip_reader_close(struct gzip_reader *r)
{
	if (r == NULL)
		return;
	if (r->z_ready)
		inflateEnd(&r->z);
	fs_close(&r->fd);
	free(r->path);
	free(r);
}

/* ---- is it whole? ---- */

struct gzip_probe {
	int fd;
	int64_t left; /* bytes of the file not read yet */
	int64_t at;
	z_stream z;
	size_t pos, len;
	unsigned char in[CHUNK], out[CHUNK];
};

/* Two bytes at least, unless the file ends before. */
static int fill_probe(struct gzip_probe *p)
{
	while (p->len - p->pos < 2 && p->left > 0) {
		ssize_t n;

		memmove(p->in, p->in + p->pos, p->len - p->pos);
		p->len -= p->pos;
		p->pos = 0;
		do
			n = pread(p->fd, p->in + p->len,
				p->left < (int64_t)(CHUNK - p->len) ? (size_t)p->left : CHUNK - p->len,
				(off_t)p->at);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return n < 0 ? -errno : -ESTALE;
		p->len += (size_t)n;
		p->at += n;
		p->left -= n;
	}
	return 0;
}

/* One member. 0 and *ret: how it ends, or -errno. */
static int unpack_member(struct gzip_probe *p, enum gzip_end *ret)
{
	int z = Z_OK;

	p->z.avail_out = CHUNK;
	while (z == Z_OK || z == Z_BUF_ERROR) {
		int x = fill_probe(p);

		if (x < 0)
			return x;
		if (p->pos == p->len && p->z.avail_out > 0) { /* else there may be more to come out */
			*ret = GZIP_END_CUT;
			return 0;
		}
		p->z.next_in = p->in + p->pos;
		p->z.avail_in = (uInt)(p->len - p->pos);
		p->z.next_out = p->out;
		p->z.avail_out = CHUNK;
		z = inflate(&p->z, Z_NO_FLUSH);
		p->pos = p->len - p->z.avail_in;
	}
	*ret = z == Z_STREAM_END ? GZIP_END_THERE : GZIP_END_DAMAGED;
	return z == Z_MEM_ERROR ? -ENOMEM : 0;
}

/* gzip(1) goes on where it finds the first two bytes of a member again, and takes anything else for padding.
 */
static int unpack_all(struct gzip_probe *p, enum gzip_end *ret)
{
	int x = 0;

	do {
		if (inflateReset(&p->z) != Z_OK)
			return -EIO;
		x = unpack_member(p, ret);
		if (x < 0 || *ret != GZIP_END_THERE)
			return x;
		x = fill_probe(p);
	} while (x == 0 && p->len - p->pos >= 2 && p->in[p->pos] == 0x1f && p->in[p->pos + 1] == 0x8b);
	if (x == 0 && p->len - p->pos == 1 && p->in[p->pos] == 0x1f)
		*ret = GZIP_END_CUT;
	return x;
}

int gzip_find_end(int fd, int64_t size, enum gzip_end *ret, struct err *err)
{
	struct gzip_probe *p = mem_alloc(sizeof(*p));
	enum gzip_end end = GZIP_END_UNKNOWN;
	int x = -ENOMEM;

	p->fd = fd;
	p->left = size;
	if (inflateInit2(&p->z, GZIP_WINDOW) == Z_OK) {
		x = unpack_all(p, &end);
		inflateEnd(&p->z);
	}
	free(p);
	if (x < 0)
		return err_errno(err, -x, "cannot unpack the file");
	*ret = end;
	return 0;
}
