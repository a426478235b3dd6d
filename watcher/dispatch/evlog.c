/*
 * evlog: at every moment each line is in exactly one file that a reader takes into account.
 *
 * Rotating is one rename; a crash before the new file is made leaves only that to do. Those who follow the
 * log by its name see a file only if they look while it has the name, so each has it for min_age at least:
 * max_size is where a file ends that is old enough.
 *
 * An append that fails half-way is cut back to whole lines at once; only a crash can leave a torn line, and
 * the next start completes or cuts it. Nobody else writes to the file: the lock beside it (dispatch/loglock)
 * sees to that.
 *
 * The file may be renamed or removed under us, which is looked at before each append. Renamed in its folder
 * (logrotate) we go on in it until we are told to reopen, as everybody expects, or until another one has its
 * name. Removed it would swallow lines, and in a folder that is not where it was nobody would look for them:
 * then a new one is made at once.
 */
#include "dispatch/evlog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/event.h"
#include "dispatch/attic.h"
#include "dispatch/loglock.h"

#define TAIL_MAX_BYTES (4 * 1024 * 1024) /* where a line must begin, or it is no event log */
#define TAIL_STEP_BYTES (64 * 1024)

struct evlog {
	const struct conf_events *conf;
	bool sync;
	char *directory;
	int fd;		  /* -1: closed */
	dev_t folder_dev; /* where it was opened */
	ino_t folder_ino;
	int64_t size;
	int64_t torn;	 /* bytes behind the last line feed */
	int64_t born_us; /* time of the first line; 0: there is none */
	struct loglock lock;
	struct attic *attic;
};

/* ---- opening, and what stands at both ends ---- */

static int read_at(int fd, void *p, size_t n, int64_t at)
{
	char *to = p;

	while (n > 0) {
		ssize_t r = pread(fd, to, n, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO; /* shorter than a moment ago */
		to += r;
		n -= (size_t)r;
		at += r;
	}
	return 0;
}

/* Where the line ends that ends before `before`: the offset behind the last line feed in [0, before).
 * -EBADMSG: none within TAIL_MAX_BYTES. */
static int64_t find_feed(int fd, int64_t before)
{
	CLEANUP_FREE char *chunk = mem_alloc(TAIL_STEP_BYTES);
	int64_t limit = before > TAIL_MAX_BYTES ? before - TAIL_MAX_BYTES : 0;

	while (before > limit) {
		size_t n = before - limit > TAIL_STEP_BYTES ? TAIL_STEP_BYTES : (size_t)(before - limit);
		const char *feed;
		int rc = read_at(fd, chunk, n, before - (int64_t)n);

		if (rc < 0)
			return rc;
		before -= (int64_t)n;
		feed = memrchr(chunk, '\n', n);
		if (feed)
			return before + (feed - chunk) + 1;
	}
	return limit == 0 ? 0 : -EBADMSG;
}

/* The time of the first line; any line of ours begins with it. */
static int64_t read_birth(int fd, const struct stat *st)
{
	static const char start[] = "{\"time\":\"";
	char head[64] = "";
	size_t n = st->st_size < (int64_t)sizeof(head) - 1 ? (size_t)st->st_size : sizeof(head) - 1;
	int64_t born_us;
	char *quote;

	if (n == 0)
		return 0;
	if (read_at(fd, head, n, 0) == 0 && text_starts_with(head, start)) {
		quote = strchr(head + sizeof(start) - 1, '"');
		if (quote) {
			*quote = '\0';
			if (clock_parse_rfc3339(head + sizeof(start) - 1, &born_us) == 0)
				return born_us;
		}
	}
	return (int64_t)st->st_mtim.tv_sec * US_PER_S + 1;
}

static int create_log(struct evlog *e, struct err *err)
{
	const char *path = e->conf->file;
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, EVLOG_MODE);
	int rc;

	if (fd < 0)
		return err_errno(err, errno, "cannot make the event log %s", path);
	if (fchmod(fd, EVLOG_MODE) < 0) { /* whatever the umask is */
		rc = err_errno(err, errno, "cannot set the mode of the event log %s", path);
		fs_close(&fd);
		return rc;
	}
	CRASH_POINT("evlog-created");
	if (e->sync) {
		rc = fs_sync_parent(path, err);
		if (rc < 0) {
			fs_close(&fd);
			return rc;
		}
	}
	return fd;
}

static int open_log(struct evlog *e, struct err *err)
{
	const char *path = e->conf->file;
	int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return create_log(e, err);
	if (fd < 0)
		return err_errno(err, errno, "cannot open the event log %s", path);
	return fd;
}

static int look_at_log(struct evlog *e, int fd, struct err *err)
{
	const char *path = e->conf->file;
	struct stat st;
	int64_t feed;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot look at the event log %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_SYSTEM, EINVAL, "the event log %s is not a regular file", path);
	feed = find_feed(fd, st.st_size);
	if (feed == -EBADMSG)
		return err_set(err, ERR_INPUT, EBADMSG,
			"%s is not an event log: no line ends in its last %d bytes", path, TAIL_MAX_BYTES);
	if (feed < 0)
		return err_errno(err, (int)-feed, "cannot read the event log %s", path);
	e->size = st.st_size;
	e->torn = st.st_size - feed;
	e->born_us = read_birth(fd, &st);
	return 0;
}

/* Where it is, so that a folder that takes its place is known. One that does so in this moment is looked at
 * again at the next append, like any. */
static int look_at_folder(struct evlog *e, struct err *err)
{
	struct stat st;

	if (stat(e->directory, &st) < 0)
		return err_errno(err, errno, "cannot look at %s", e->directory);
	e->folder_dev = st.st_dev;
	e->folder_ino = st.st_ino;
	return 0;
}

struct evlog *evlog_new(const struct conf_events *conf, bool sync)
{
	struct evlog *e = mem_alloc(sizeof(*e));

	e->conf = conf;
	e->sync = sync;
	e->directory = fs_parent(conf->file);
	e->fd = -1;
	loglock_init(&e->lock);
	e->attic = attic_new(conf, e->directory, EVLOG_MODE, sync);
	return e;
}

void evlog_free(struct evlog *e)
{
	if (!e)
		return;
	attic_free(e->attic);
	evlog_close(e);
	loglock_done(&e->lock);
	free(e->directory);
	free(e);
}

int evlog_claim(struct evlog *e, int keeper_fd, struct err *err)
{
	return loglock_wait(&e->lock, e->conf->file, keeper_fd, err);
}

bool evlog_is_open(const struct evlog *e)
{
	return e->fd >= 0;
}

int evlog_open(struct evlog *e, struct err *err)
{
	int fd, rc;

	if (e->fd >= 0)
		return 0;
	rc = loglock_hold(&e->lock, e->conf->file, err);
	fd = rc < 0 ? rc : open_log(e, err);
	if (fd < 0)
		return fd;
	rc = look_at_folder(e, err);
	if (rc == 0)
		rc = look_at_log(e, fd, err);
	if (rc < 0) {
		fs_close(&fd);
		return rc;
	}
	e->fd = fd;
	return 0;
}

void evlog_close(struct evlog *e)
{
	fs_close(&e->fd);
	e->size = e->torn = e->born_us = 0;
}

int evlog_last_line(struct evlog *e, struct buf *line, struct err *err)
{
	int64_t end = e->size - e->torn, start;
	CLEANUP_FREE char *text = NULL;
	int rc;

	BUG_ON(e->fd < 0);
	buf_reset(line);
	if (end == 0)
		return attic_last_line(e->attic, line, err);
	start = find_feed(e->fd, end - 1);
	if (start < 0 || end - start > (int64_t)EVENT_LINE_BYTES)
		return 0; /* none of ours is that long */
	text = mem_alloc((size_t)(end - start));
	rc = read_at(e->fd, text, (size_t)(end - start), start);
	if (rc < 0)
		return err_errno(err, -rc, "cannot read the event log %s", e->conf->file);
	return buf_add(line, text, (size_t)(end - start)) == 0;
}

bool evlog_is_torn(const struct evlog *e)
{
	return e->torn > 0;
}

/* ---- writing ---- */

/* Cuts to the length, and gives the file up when that fails. */
static int cut_log(struct evlog *e, int64_t size)
{
	int rc = ftruncate(e->fd, size) < 0 ? -errno : 0;

	if (rc == 0 && e->sync && fdatasync(e->fd) < 0)
		rc = -errno;
	if (rc == 0) {
		e->size = size;
		e->torn = 0;
	}
	return rc;
}

/* Is what stands behind the last line feed the beginning of next? */
static bool is_beginning(struct evlog *e, const char *next, size_t len)
{
	CLEANUP_FREE char *text = NULL;

	if (e->torn >= (int64_t)len)
		return false;
	text = mem_alloc((size_t)e->torn);
	return read_at(e->fd, text, (size_t)e->torn, e->size - e->torn) == 0 &&
	       memcmp(text, next, (size_t)e->torn) == 0;
}

static int complete_line(struct evlog *e, const char *rest, size_t len)
{
	int rc = fs_write_all(e->fd, rest, len);

	CRASH_POINT("evlog-completed");
	if (rc == 0 && e->sync && fdatasync(e->fd) < 0)
		rc = -errno;
	if (rc == 0) {
		e->size += (int64_t)len;
		e->torn = 0;
	}
	return rc;
}

int evlog_repair(struct evlog *e, const char *next, size_t len, bool *ret_completed, struct err *err)
{
	bool complete;
	int rc;

	BUG_ON(e->fd < 0);
	*ret_completed = false;
	if (e->torn == 0)
		return 0;
	complete = is_beginning(e, next, len);
	rc = complete ? complete_line(e, next + e->torn, len - (size_t)e->torn)
		      : cut_log(e, e->size - e->torn);
	if (rc < 0) {
		evlog_close(e);
		return err_errno(err, -rc, "cannot repair the last line of the event log %s", e->conf->file);
	}
	if (e->size == 0)
		e->born_us = 0;
	*ret_completed = complete;
	return 0;
}

static int64_t period_of(const struct evlog *e, int64_t at_us)
{
	int64_t n = at_us / e->conf->max_age_us;

	return at_us % e->conf->max_age_us < 0 ? n - 1 : n;
}

/* Has it had its name for so short a time that somebody who follows may not have seen it yet? One from the
 * future is of a clock that was set back. */
static bool is_young(const struct evlog *e, int64_t now_us)
{
	return e->born_us > 0 && now_us >= e->born_us && now_us - e->born_us < e->conf->min_age_us;
}

static bool is_over(const struct evlog *e, int64_t now_us)
{
	return e->size > 0 && e->conf->max_age_us > 0 && period_of(e, now_us) > period_of(e, e->born_us) &&
	       !is_young(e, now_us);
}

static int rename_log(struct evlog *e, int64_t now_us, struct err *err)
{
	CLEANUP_FREE char *to = NULL;
	int rc = attic_next(e->attic, now_us, &to, err);

	if (rc < 0)
		return rc;
	rc = fs_rename_new(e->conf->file, to);
	return rc < 0 ? err_errno(err, -rc, "cannot rotate the event log %s to %s", e->conf->file, to) : 0;
}

/* Is our descriptor still what stands under the name? */
static bool is_ours(const struct evlog *e)
{
	struct stat open_st, named_st;

	return fstat(e->fd, &open_st) == 0 && lstat(e->conf->file, &named_st) == 0 &&
	       open_st.st_dev == named_st.st_dev && open_st.st_ino == named_st.st_ino;
}

/* Opens what should be a new file. One that somebody put there may have a torn line, which is not ours to
 * judge here. */
static int open_new(struct evlog *e, struct err *err)
{
	int rc = evlog_open(e, err);

	if (rc == 0 && e->torn > 0)
		rc = err_set(err, ERR_SYSTEM, EAGAIN,
			"the event log %s was replaced by a file with a torn line", e->conf->file);
	return rc;
}

static int rotate(struct evlog *e, int64_t now_us, struct err *err)
{
	if (is_ours(e)) {
		int rc = rename_log(e, now_us, err);

		if (rc < 0)
			return rc;
		CRASH_POINT("evlog-renamed");
		attic_wake(e->attic);
	}
	evlog_close(e); /* else somebody has renamed it already */
	return open_new(e, err);
}

/* Would nobody find in its place what is written to this descriptor? */
static bool is_misplaced(const struct evlog *e, const struct stat *own)
{
	struct stat st;

	if (own->st_nlink == 0)
		return true;
	if (lstat(e->conf->file, &st) == 0)
		return st.st_dev != own->st_dev || st.st_ino != own->st_ino;
	return stat(e->directory, &st) < 0 || st.st_dev != e->folder_dev || st.st_ino != e->folder_ino;
}

/* What happened to the file since the last append. */
static int look_again(struct evlog *e, struct err *err)
{
	struct stat st;

	if (fstat(e->fd, &st) < 0)
		return err_errno(err, errno, "cannot look at the event log %s", e->conf->file);
	if (is_misplaced(e, &st)) {
		evlog_close(e);
		return open_new(e, err);
	}
	if (st.st_size < e->size && st.st_size == 0)
		e->born_us = 0; /* emptied by logrotate's copytruncate */
	e->size = st.st_size;
	return 0;
}

static size_t line_bytes(const char *p, size_t n)
{
	const char *feed = memchr(p, '\n', n);

	BUG_ON(!feed);
	return (size_t)(feed - p) + 1;
}

/* How many bytes of whole lines still go into this file; at least one line into an empty one, and all into a
 * young one. */
static size_t fitting(const struct evlog *e, const char *lines, size_t len, int64_t now_us)
{
	int64_t room = e->conf->max_size_bytes > 0 && !is_young(e, now_us) ? e->conf->max_size_bytes - e->size
									   : INT64_MAX;
	size_t n = 0;

	while (n < len) {
		size_t line = line_bytes(lines + n, len - n);

		if ((int64_t)(n + line) > room && (e->size > 0 || n > 0))
			break;
		n += line;
	}
	return n;
}

/* Returns how many bytes went out, *ret_code is 0 or the reason why not all. */
static size_t write_some(int fd, const char *p, size_t len, int *ret_code)
{
	size_t n = 0;

	*ret_code = 0;
	CRASH_POINT_AFTER("evlog-mid-line", (void)!write(fd, p, len - len / 3));
	while (n < len) {
		ssize_t w = write(fd, p + n, len - n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			*ret_code = w < 0 ? -errno : -EIO;
			break;
		}
		n += (size_t)w;
	}
	return n;
}

static size_t whole_lines(const char *p, size_t n)
{
	const char *feed = memrchr(p, '\n', n);

	return feed ? (size_t)(feed - p) + 1 : 0;
}

static int write_chunk(struct evlog *e, const char *p, size_t len, int64_t now_us, size_t *ret_written)
{
	int code, rc;
	size_t n = write_some(e->fd, p, len, &code);
	size_t good = code == 0 ? n : whole_lines(p, n);

	if (code < 0) {
		rc = cut_log(e, e->size + (int64_t)good);
		if (rc < 0) /* it is torn now; what cannot be synced does not count either */
			return code;
		*ret_written += good;
		return code;
	}
	CRASH_POINT("evlog-before-sync");
	if (e->sync && fdatasync(e->fd) < 0) {
		code = -errno;
		(void)cut_log(e, e->size);
		return code;
	}
	CRASH_POINT("evlog-after-sync");
	if (e->size == 0)
		e->born_us = now_us;
	e->size += (int64_t)n;
	*ret_written += n;
	return 0;
}

static int append_some(
	struct evlog *e, const char *lines, size_t len, int64_t now_us, size_t *ret_written, struct err *err)
{
	size_t n;
	int rc;

	if (is_over(e, now_us)) {
		rc = rotate(e, now_us, err);
		if (rc < 0)
			return rc;
	}
	n = fitting(e, lines, len, now_us);
	if (n == 0) {
		rc = rotate(e, now_us, err);
		if (rc < 0)
			return rc;
		n = fitting(e, lines, len, now_us);
		if (n == 0) /* somebody put a full file there in this moment */
			n = line_bytes(lines, len);
	}
	rc = write_chunk(e, lines, n, now_us, ret_written);
	return rc < 0 ? err_errno(err, -rc, "cannot write to the event log %s", e->conf->file) : 0;
}

int evlog_append(
	struct evlog *e, const char *lines, size_t len, int64_t now_us, size_t *ret_written, struct err *err)
{
	int rc;

	BUG_ON(e->fd < 0 || e->torn > 0 || (len > 0 && lines[len - 1] != '\n'));
	*ret_written = 0;
	rc = look_again(e, err);
	while (rc == 0 && *ret_written < len)
		rc = append_some(e, lines + *ret_written, len - *ret_written, now_us, ret_written, err);
	if (rc < 0)
		evlog_close(e);
	return rc;
}

int evlog_turn(struct evlog *e, int64_t now_us, struct err *err)
{
	int rc = 0;

	if (e->fd >= 0 && e->torn == 0 && is_over(e, now_us))
		rc = rotate(e, now_us, err);
	if (rc < 0)
		evlog_close(e);
	return rc;
}

int64_t evlog_next_turn_us(const struct evlog *e)
{
	int64_t old_us = e->born_us + e->conf->min_age_us, over_us;

	if (e->fd < 0 || e->size == 0 || e->conf->max_age_us <= 0)
		return INT64_MAX;
	over_us = (period_of(e, e->born_us) + 1) * e->conf->max_age_us;
	return over_us > old_us ? over_us : old_us;
}

struct attic *evlog_attic(struct evlog *e)
{
	return e->attic;
}
