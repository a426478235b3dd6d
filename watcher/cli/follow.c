/*
 * follow: the file that has the log's name is read through an open descriptor. When another one has the name,
 * the old one is read to its end, then the rotated files that are younger than it, then the new one. Which
 * files were rotated before a descriptor was opened is known for sure by listing before and after: the
 * listing must be the same.
 */
#include "cli/follow.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/gzip.h"
#include "base/log.h"
#include "base/logfiles.h"
#include "base/mem.h"

#define FOLLOW_LINE_BYTES (1024 * 1024)
#define FOLLOW_STAMP_BYTES 17

/* Which rotated file: its time stamp and number. */
struct follow_mark {
	char stamp[FOLLOW_STAMP_BYTES]; /* "": before all */
	unsigned long number;
};

struct follow {
	const char *file;
	follow_fn fn;
	void *arg;
	int fd; /* the file that has the name, or had it; -1 */
	struct stat st;
	struct follow_mark mark; /* the youngest rotated file when fd was opened */
	struct buf line;
	int inotify_fd;
	unsigned long damaged;
};

struct follow *follow_new(const char *file, follow_fn fn, void *arg)
{
	struct follow *f = mem_alloc(sizeof(*f));

	f->file = file;
	f->fn = fn;
	f->arg = arg;
	f->fd = f->inotify_fd = -1;
	buf_init(&f->line, FOLLOW_LINE_BYTES);
	return f;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	fs_close(&f->fd);
	fs_close(&f->inotify_fd);
	buf_done(&f->line);
	free(f);
}

unsigned long follow_damaged(const struct follow *f)
{
	return f->damaged;
}

static struct follow_mark follow_mark_of(const char *file, const char *path)
{
	struct follow_mark m = {.number = 0};
	const char *stamp;
	bool gz;

	if (logfiles_parse(fs_basename(file), fs_basename(path), &stamp, &m.number, &gz))
		memcpy(m.stamp, stamp, FOLLOW_STAMP_BYTES - 1);
	return m;
}

static bool follow_is_younger(const struct follow_mark *a, const struct follow_mark *than)
{
	int order = strcmp(a->stamp, than->stamp);

	return order != 0 ? order > 0 : a->number > than->number;
}

/* The rotated files only (the list may also hold the log itself, which comes last). */
static size_t follow_rotated(const struct follow *f, const struct logfiles *l)
{
	return l->n > 0 && strcmp(l->paths[l->n - 1], f->file) == 0 ? l->n - 1 : l->n;
}

static struct follow_mark follow_youngest(const struct follow *f, const struct logfiles *l)
{
	size_t n = follow_rotated(f, l);

	return n > 0 ? follow_mark_of(f->file, l->paths[n - 1]) : (struct follow_mark){.number = 0};
}

/* A list that is true for the moment when the descriptor (-1: no such file) was opened. */
static int follow_open(struct follow *f, struct logfiles *ret, int *ret_fd, struct err *err)
{
	for (;;) {
		struct logfiles before, after;
		struct follow_mark a, b;
		int rc = logfiles_list(f->file, &before, err), fd;

		if (rc < 0 && rc != -ENOENT)
			return rc;
		fd = open(f->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 && errno != ENOENT) {
			rc = err_errno(err, errno, "cannot read %s", f->file);
			logfiles_done(&before);
			return rc;
		}
		rc = logfiles_list(f->file, &after, err);
		a = follow_youngest(f, &before);
		b = follow_youngest(f, &after);
		logfiles_done(&before);
		if ((rc == 0 || rc == -ENOENT) && !follow_is_younger(&b, &a)) {
			*ret = after;
			*ret_fd = fd;
			return 0;
		}
		logfiles_done(&after);
		fs_close(&fd);
		if (rc < 0 && rc != -ENOENT)
			return rc;
	}
}

/* It may have been compressed since it was listed. */
static struct gzip_reader *follow_open_file(const char *path, struct err *err)
{
	struct gzip_reader *r = gzip_reader_open(path, err);
	CLEANUP_FREE char *compressed = NULL;

	if (r || err->code != ENOENT)
		return r;
	compressed = mem_printf("%s.gz", path);
	return gzip_reader_open(compressed, err);
}

static void follow_read_file(struct follow *f, const char *path)
{
	CLEANUP_BUF struct buf line = BUF_INIT(FOLLOW_LINE_BYTES);
	struct err err = ERR_INIT;
	struct gzip_reader *r = follow_open_file(path, &err);
	bool torn = false;
	int rc = r ? 1 : -EIO;

	while (rc > 0) {
		rc = gzip_reader_line(r, &line, &torn, &err);
		if (rc > 0 && !torn)
			f->fn(&line, path, f->arg);
	}
	if (rc < 0) {
		log_warning("%s: %s; going on with the next file", path, err.text);
		f->damaged++;
	}
	gzip_reader_close(r);
}

static void follow_take(struct follow *f, const char *bytes, size_t n)
{
	for (const char *p = bytes, *end = bytes + n; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));

		(void)buf_add(&f->line, p, (size_t)((newline ? newline : end) - p));
		if (!newline)
			return;
		if (f->line.len > 0 && !f->line.failed)
			f->fn(&f->line, f->file, f->arg);
		buf_reset(&f->line);
		p = newline + 1;
	}
}

/* What has been appended to the open file. */
static void follow_read_open(struct follow *f)
{
	char bytes[16 * 1024];
	ssize_t n;

	while (f->fd >= 0 && (n = read(f->fd, bytes, sizeof(bytes))) > 0)
		follow_take(f, bytes, (size_t)n);
}

static bool follow_has_its_name(const struct follow *f)
{
	struct stat st;

	return f->fd >= 0 && stat(f->file, &st) == 0 && st.st_ino == f->st.st_ino &&
	       st.st_dev == f->st.st_dev;
}

/* Rotated files younger than the mark; the first of them is the one that was open, if one was. */
static void follow_read_rotated(struct follow *f, const struct logfiles *l)
{
	bool skip = f->fd >= 0;

	for (size_t i = 0; i < follow_rotated(f, l); i++) {
		struct follow_mark m = follow_mark_of(f->file, l->paths[i]);

		if (!follow_is_younger(&m, &f->mark))
			continue;
		if (!skip)
			follow_read_file(f, l->paths[i]);
		skip = false;
	}
}

int follow_read(struct follow *f, struct err *err)
{
	struct logfiles l = {.n = 0};
	int fd = -1, rc;

	follow_read_open(f);
	if (follow_has_its_name(f))
		return 0;
	rc = follow_open(f, &l, &fd, err);
	if (rc < 0)
		return rc;
	follow_read_open(f); /* its last lines, written just before it was renamed */
	if (f->fd < 0 || fd >= 0) {
		follow_read_rotated(f, &l);
		f->mark = follow_youngest(f, &l);
		fs_close(&f->fd);
		buf_reset(&f->line);
		f->fd = fd;
		if (fd >= 0 && fstat(fd, &f->st) < 0)
			f->st = (struct stat){.st_ino = 0};
		follow_read_open(f);
	}
	logfiles_done(&l);
	return 0;
}

int follow_wait(struct follow *f, struct err *err)
{
	const char *base = fs_basename(f->file);
	_Alignas(struct inotify_event) char bytes[4096];

	if (f->inotify_fd < 0) {
		CLEANUP_FREE char *folder = mem_strndup(f->file, (size_t)(base - f->file));

		f->inotify_fd = inotify_init1(IN_CLOEXEC);
		if (f->inotify_fd < 0 || inotify_add_watch(f->inotify_fd, folder[0] ? folder : ".",
						 IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM) < 0)
			return err_errno(err, errno, "cannot watch the folder of %s", f->file);
		return 0; /* what came before the watch is to be read first */
	}
	if (read(f->inotify_fd, bytes, sizeof(bytes)) < 0 && errno != EINTR)
		return err_errno(err, errno, "cannot wait for changes of %s", f->file);
	return 0;
}
