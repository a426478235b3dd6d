/*
 * attic: compressing writes a dot file that nobody reads, renames it when it is whole and synced, then
 * removes the plain one. Where a crash left both, the plain one counts and the other is removed. A dot file
 * left over is removed.
 *
 * The youngest old file stays plain until the next one comes: whoever follows the log and was not looking
 * when it was renamed finds the rest of it under its new name, where its inode still is the same.
 */
#include "dispatch/attic.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/gzip.h"
#include "base/mem.h"
#include "base/num.h"
#include "core/event.h"

#define STAMP_CHARS 16 /* 20260102T030405Z */
#define OLD_FILES_MAX 100000
#define CAREFUL_FILES 2

struct attic {
	const struct conf_events *conf;
	const char *directory, *name; /* borrowed; name is in conf->file */
	mode_t mode;
	bool sync;
	int64_t last_us, last_n; /* stamp and number of the youngest old file so far */
	bool work;		 /* old files want looking after */
	int64_t ahead_us;	 /* the clock, from what it was */
	bool careful;
	struct gzip_job *job;
	char *job_plain, *job_hidden, *job_done; /* paths */
};

/* ---- names of old files: NAME.STAMP[-N][.gz] ---- */

struct old_file {
	char *name;
	int64_t at_us; /* of the stamp */
	int64_t n;     /* 0: without -N */
	bool gz;
	int64_t size;
};

struct old_files {
	struct old_file *items;
	size_t n, cap;
};

static void old_files_done(struct old_files *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->items[i].name);
	free(o->items);
	*o = (struct old_files){.n = 0};
}

#define CLEANUP_OLD_FILES __attribute__((cleanup(old_files_done)))

static bool parse_stamp(const char *s, int64_t *ret_us)
{
	char text[CLOCK_TEXT_BYTES];

	for (size_t i = 0; i < STAMP_CHARS; i++)
		if (i == 8 ? s[i] != 'T' : i == 15 ? s[i] != 'Z' : s[i] < '0' || s[i] > '9')
			return false;
	snprintf(
		text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", s, s + 4, s + 6, s + 9, s + 11, s + 13);
	return clock_parse_rfc3339(text, ret_us) == 0;
}

/* Is it one of ours? Fills all but name and size. */
static bool parse_old_name(const struct attic *a, const char *file, struct old_file *ret)
{
	size_t n = strlen(a->name);
	char number[8];
	const char *p;

	if (strncmp(file, a->name, n) != 0 || file[n] != '.' || strlen(file + n + 1) < STAMP_CHARS ||
		!parse_stamp(file + n + 1, &ret->at_us))
		return false;
	p = file + n + 1 + STAMP_CHARS;
	ret->n = 0;
	if (*p == '-') {
		size_t digits = strspn(++p, "0123456789");

		if (digits == 0 || digits >= sizeof(number))
			return false;
		memcpy(number, p, digits);
		number[digits] = '\0';
		if (num_parse_i64(number, &ret->n) < 0)
			return false;
		p += digits;
	}
	ret->gz = strcmp(p, ".gz") == 0;
	return ret->gz || *p == '\0';
}

static int compare_old(const void *one, const void *other)
{
	const struct old_file *x = one, *y = other;

	if (x->at_us != y->at_us)
		return x->at_us < y->at_us ? -1 : 1;
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return (int)x->gz - (int)y->gz; /* the plain one first */
}

static char *path_of(const struct attic *a, const char *file)
{
	return fs_join(a->directory, file);
}

static void add_old(const struct attic *a, struct old_files *o, const char *file)
{
	CLEANUP_FREE char *path = path_of(a, file);
	struct old_file f;
	struct stat st;

	if (!parse_old_name(a, file, &f) || lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	if (o->n == o->cap) {
		o->cap = o->cap ? 2 * o->cap : 64;
		o->items = mem_resize(o->items, o->cap, sizeof(o->items[0]));
	}
	f.name = mem_strdup(file);
	f.size = st.st_size;
	o->items[o->n++] = f;
}

/* A compressed file that a crash left half-made. */
static void remove_hidden(const struct attic *a, const char *file)
{
	CLEANUP_FREE char *path = path_of(a, file);
	struct old_file f;

	if (file[0] == '.' && parse_old_name(a, file + 1, &f) && f.gz)
		(void)unlink(path);
}

/* Oldest first. sweep: left-over dot files are removed by the way. */
static int list_old(const struct attic *a, bool sweep, struct old_files *o, struct err *err)
{
	DIR *d = opendir(a->directory);
	struct dirent *entry;
	int code;

	if (!d)
		return err_errno(err, errno, "cannot list %s", a->directory);
	errno = 0;
	while (o->n < OLD_FILES_MAX && (entry = readdir(d)) != NULL) {
		if (sweep)
			remove_hidden(a, entry->d_name);
		add_old(a, o, entry->d_name);
		errno = 0;
	}
	code = errno;
	(void)closedir(d);
	if (code != 0)
		return err_errno(err, code, "cannot list %s", a->directory);
	if (o->n > 0)
		qsort(o->items, o->n, sizeof(o->items[0]), compare_old);
	return 0;
}

/* ---- for the log ---- */

/* The last whole line of an old file, compressed or not. */
static int last_line_of(const char *path, struct buf *line, struct err *err)
{
	struct gzip_reader *r = gzip_reader_open(path, err);
	CLEANUP_BUF struct buf next = BUF_INIT(EVENT_LINE_BYTES);
	bool torn = false, any = false;
	int rc;

	if (!r)
		return err ? -err->code : -EIO;
	while ((rc = gzip_reader_line(r, &next, &torn, err)) > 0 && !torn) {
		any = true;
		buf_reset(line);
		(void)buf_add(line, buf_str(&next), next.len);
	}
	gzip_reader_close(r);
	if (rc < 0)
		return rc;
	return any && buf_addc(line, '\n') == 0;
}

int attic_last_line(const struct attic *a, struct buf *line, struct err *err)
{
	CLEANUP_OLD_FILES struct old_files old = {.n = 0};
	CLEANUP_FREE char *path = NULL;
	int rc = list_old(a, false, &old, err);

	if (rc < 0 || old.n == 0)
		return rc;
	path = path_of(a, old.items[old.n - 1].name);
	return last_line_of(path, line, err);
}

/* The name of the next old file sorts behind all there are, and behind all that were made and removed again:
 * also within one second, and when the clock was set back. */
static int next_stamp(struct attic *a, int64_t now_us, struct err *err)
{
	CLEANUP_OLD_FILES struct old_files old = {.n = 0};
	int rc = list_old(a, false, &old, err);

	if (rc < 0)
		return rc;
	if (old.n > 0 &&
		(old.items[old.n - 1].at_us > a->last_us ||
			(old.items[old.n - 1].at_us == a->last_us && old.items[old.n - 1].n > a->last_n))) {
		a->last_us = old.items[old.n - 1].at_us;
		a->last_n = old.items[old.n - 1].n;
	}
	now_us -= now_us % US_PER_S;
	a->last_n = now_us > a->last_us ? 0 : a->last_n + 1;
	if (now_us > a->last_us)
		a->last_us = now_us;
	return 0;
}

int attic_next(struct attic *a, int64_t now_us, char **ret_path, struct err *err)
{
	char stamp[CLOCK_TEXT_BYTES];
	int rc = next_stamp(a, now_us, err);

	if (rc < 0)
		return rc;
	clock_format_compact(a->last_us, stamp);
	*ret_path = a->last_n == 0 ? mem_printf("%s.%s", a->conf->file, stamp)
				   : mem_printf("%s.%s-%" PRId64, a->conf->file, stamp, a->last_n);
	return 0;
}

/* ---- looking after old files ---- */

static void end_job(struct attic *a)
{
	gzip_job_free(a->job);
	free(a->job_plain);
	free(a->job_hidden);
	free(a->job_done);
	a->job = NULL;
	a->job_plain = a->job_hidden = a->job_done = NULL;
}

static int remove_old(const struct attic *a, struct old_file *f, struct err *err)
{
	CLEANUP_FREE char *path = path_of(a, f->name);

	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", path);
	CRASH_POINT("attic-removed");
	f->size = -1;
	return 0;
}

/* A crash between the last two steps of compressing: the plain file is whole for sure. */
static int remove_doubles(const struct attic *a, struct old_files *o, struct err *err)
{
	for (size_t i = 1; i < o->n; i++) {
		const struct old_file *plain = &o->items[i - 1];
		struct old_file *gz = &o->items[i];
		int rc;

		if (plain->at_us != gz->at_us || plain->n != gz->n || plain->gz || !gz->gz)
			continue;
		rc = remove_old(a, gz, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Of those that are too old when nobody knows yet what the clock is worth, the oldest few go at a look. */
static bool is_too_old(const struct attic *a, const struct old_files *o, size_t i, int64_t now_us)
{
	if (a->conf->keep_for_us <= 0 || (a->careful && i >= CAREFUL_FILES))
		return false;
	return o->items[i].at_us < now_us - a->ahead_us - a->conf->keep_for_us;
}

static int remove_surplus(const struct attic *a, struct old_files *o, int64_t now_us, struct err *err)
{
	int64_t total = 0;

	for (size_t i = o->n; i-- > 0;) {
		struct old_file *f = &o->items[i];
		bool too_much;
		int rc;

		if (f->size < 0)
			continue;
		total += f->size;
		too_much = a->conf->keep_size_bytes > 0 && total > a->conf->keep_size_bytes;
		if (!too_much && !is_too_old(a, o, i, now_us))
			continue;
		rc = remove_old(a, f, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Starts compressing the oldest plain one that is not the youngest of all. 1: it runs, 0: there is none,
 * -errno. */
static int start_job(struct attic *a, const struct old_files *o, struct err *err)
{
	CLEANUP_FREE char *hidden = NULL;
	size_t i = 0;

	while (i < o->n && (o->items[i].gz || o->items[i].size < 0))
		i++;
	if (a->conf->compress != CONF_COMPRESS_GZIP || i + 1 >= o->n)
		return 0;
	hidden = mem_printf(".%s.gz", o->items[i].name);
	a->job_plain = path_of(a, o->items[i].name);
	a->job_hidden = path_of(a, hidden);
	a->job_done = mem_printf("%s.gz", a->job_plain);
	a->job = gzip_job_new(a->job_plain, a->job_hidden, a->mode, err);
	if (a->job)
		return 1;
	end_job(a);
	return err ? -err->code : -EIO;
}

static int finish_job(struct attic *a, struct err *err)
{
	int rc;

	CRASH_POINT("attic-compressed");
	rc = fs_rename_new(a->job_hidden, a->job_done);
	if (rc < 0) {
		(void)unlink(a->job_hidden);
		return err_errno(err, -rc, "cannot name %s", a->job_done);
	}
	if (a->sync) {
		rc = fs_sync_parent(a->job_done, err);
		if (rc < 0)
			return rc;
	}
	CRASH_POINT("attic-both");
	if (unlink(a->job_plain) < 0)
		return err_errno(err, errno, "cannot remove %s", a->job_plain);
	return 1;
}

static int step_job(struct attic *a, struct err *err)
{
	int rc = gzip_job_step(a->job, ATTIC_STEP_BYTES, err);

	if (rc > 0)
		return 1;
	if (rc == 0)
		rc = finish_job(a, err);
	end_job(a);
	return rc;
}

static int look_after_old(struct attic *a, int64_t now_us, struct err *err)
{
	CLEANUP_OLD_FILES struct old_files o = {.n = 0};
	int rc = list_old(a, true, &o, err);

	if (rc == 0)
		rc = remove_doubles(a, &o, err);
	if (rc == 0)
		rc = remove_surplus(a, &o, now_us, err);
	return rc < 0 ? rc : start_job(a, &o, err);
}

void attic_doubt_clock(struct attic *a, int64_t ahead_us, bool careful)
{
	a->ahead_us = ahead_us;
	a->careful = careful;
}

int attic_work(struct attic *a, int64_t now_us, struct err *err)
{
	int rc;

	if (!a->work)
		return 0;
	rc = a->job ? step_job(a, err) : look_after_old(a, now_us, err);
	if (rc <= 0)
		a->work = false;
	return rc;
}

bool attic_has_work(const struct attic *a)
{
	return a->work;
}

void attic_wake(struct attic *a)
{
	a->work = true;
}

/* ---- life ---- */

struct attic *attic_new(const struct conf_events *conf, const char *directory, mode_t mode, bool sync)
{
	struct attic *a = mem_alloc(sizeof(*a));

	a->conf = conf;
	a->directory = directory;
	a->name = fs_basename(conf->file);
	a->mode = mode;
	a->sync = sync;
	a->work = true; /* what a crash left */
	return a;
}

void attic_free(struct attic *a)
{
	if (!a)
		return;
	end_job(a);
	free(a);
}
