/*
 * rebuild: the new ledger is made in a folder beside and gets its name when it is complete, so whoever is
 * killed in the middle begins again.
 *
 * A damaged ledger is not repaired: what can be read of it would be believed. It is kept, since a person may
 * still get something out of it.
 */
#include "dispatch/rebuild.h"

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
#include "base/log.h"
#include "base/logfiles.h"
#include "base/mem.h"
#include "base/text.h"
#include "dispatch/adopt.h"
#include "dispatch/ledger.h"

#define ASIDE ".damaged-"
#define ASIDE_MOST 10
#define FOLDER "rebuild"
#define LINE_BYTES (1024 * 1024)
#define LINES_A_COMMIT 4096
#define EVENT_LINE_BEGIN "{\"time\":\"" /* of every event: brickwatch-events(5) */

static const char *const suffixes[] = {"", "-wal", "-shm"};

struct rebuild {
	const struct conf *conf;
	struct ledger *ledger;
	int64_t lines, started, damaged;
};

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* ---- a damaged one ---- */

static int count_aside(const char *state, size_t *ret, struct err *err)
{
	DIR *d = opendir(state);
	const struct dirent *e;
	size_t n = 0;

	if (!d)
		return err_errno(err, errno, "cannot read the state directory %s", state);
	while ((e = readdir(d))) {
		size_t len = strlen(LEDGER_FILE ASIDE);

		n += strncmp(e->d_name, LEDGER_FILE ASIDE, len) == 0 && !strchr(e->d_name + len, '-');
	}
	closedir(d);
	*ret = n;
	return 0;
}

int rebuild_set_aside(const struct conf *conf, struct err *err)
{
	const char *state = conf->service.state_directory;
	CLEANUP_FREE char *from = fs_join(state, LEDGER_FILE);
	char stamp[CLOCK_TEXT_BYTES];
	CLEANUP_FREE char *to =
		mem_printf("%s" ASIDE "%s", from, clock_format_compact(clock_wall_us(), stamp));
	size_t n;
	int rc = count_aside(state, &n, err);

	if (rc < 0)
		return rc;
	if (n >= ASIDE_MOST || is_there(to))
		return err_set(err, ERR_CONF, EEXIST,
			"%s was damaged again and again; look at its disk, and remove " LEDGER_FILE ASIDE
			"* there",
			from);
	/* the log last: a ledger without its log is an older one, and would be believed */
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		CLEANUP_FREE char *a = mem_printf("%s%s", from, suffixes[i]);
		CLEANUP_FREE char *b = mem_printf("%s%s", to, suffixes[i]);

		if (rename(a, b) < 0 && errno != ENOENT)
			return err_errno(err, errno, "cannot set the damaged ledger %s aside", a);
		CRASH_POINT("rebuild-one-aside");
	}
	rc = fs_sync_parent(from, err);
	if (rc == 0)
		log_error("the damaged ledger is set aside as %s; a new one is made from the event log, and "
			  "what "
			  "that does not tell is held. To go back to a copy of your own, stop the service "
			  "and put "
			  "it in the place of %s",
			to, from);
	return rc;
}

/* The log of a ledger that is not there any more would be taken for that of the new one. */
static int set_log_aside(const char *ledger, struct err *err)
{
	char stamp[CLOCK_TEXT_BYTES];
	CLEANUP_FREE char *shm = mem_printf("%s-shm", ledger);
	CLEANUP_FREE char *wal = mem_printf("%s-wal", ledger);
	CLEANUP_FREE char *to =
		mem_printf("%s" ASIDE "%s-wal", ledger, clock_format_compact(clock_wall_us(), stamp));
	struct stat st;

	if (unlink(shm) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", shm);
	if (lstat(wal, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(err, errno, "cannot look at %s", wal);
	if ((st.st_size > 0 ? rename(wal, to) : unlink(wal)) < 0)
		return err_errno(err, errno, "cannot set %s aside", wal);
	return fs_sync_parent(ledger, err);
}

/* ---- a new one ---- */

static int take_line(struct rebuild *r, const struct buf *line, const char *path, struct err *err)
{
	struct err why = ERR_INIT;
	struct adopt a;
	int rc = adopt_line(r->ledger, r->conf, buf_str(line), line->len, clock_wall_us(), &a, &why);

	if (rc < 0) {
		*err = why;
		return rc;
	}
	if (a.result == ADOPT_DAMAGED && r->damaged++ == 0)
		log_warning("%s: %s; such lines are passed over", path, why.text);
	r->started += a.result == ADOPT_INSERTED || a.result == ADOPT_STARTED;
	CRASH_POINT("rebuild-line");
	if (++r->lines % LINES_A_COMMIT == 0)
		rc = ledger_commit(r->ledger, err);
	return rc;
}

/* Only a regular file counts: evlog takes no other, and opening a pipe would wait for its writer. */
static bool is_regular(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

/* A file that cannot be read to its end costs the rest of it: what it would have told is held. */
static int take_file(struct rebuild *r, const char *path, struct err *err)
{
	CLEANUP_BUF struct buf line = BUF_INIT(LINE_BYTES);
	struct err why = ERR_INIT;
	struct gzip_reader *reader = gzip_reader_open(path, &why);
	bool torn = false;
	int found = reader ? 1 : -EIO, rc = 0;

	while (rc == 0 && (found > 0 || found == -EFBIG)) {
		found = gzip_reader_line(reader, &line, &torn, &why);
		if (found > 0 && !torn)
			rc = take_line(r, &line, path, err);
	}
	if (rc == 0 && found < 0)
		log_warning("%s: %s; going on with the next file", path, why.text);
	gzip_reader_close(reader);
	return rc;
}

static int take_log(struct rebuild *r, struct err *err)
{
	struct logfiles files;
	struct err none = ERR_INIT;
	int rc = 0;

	if (logfiles_list(r->conf->events.file, &files, &none) < 0)
		return 0; /* there is only a ledger that was set aside */
	for (size_t i = 0; rc == 0 && i < files.n; i++)
		if (is_regular(files.paths[i]))
			rc = take_file(r, files.paths[i], err);
	logfiles_done(&files);
	return rc;
}

/* Their first listings hold what is not known. */
static int mark_directories(struct rebuild *r, struct err *err)
{
	for (size_t i = 0; i < r->conf->watches_n; i++) {
		const struct conf_watch *w = r->conf->watches[i];

		for (size_t n = 0; n < w->directory.n; n++) {
			int64_t id;
			int rc = ledger_root(r->ledger, w->directory.items[n], true, &id, err);

			if (rc >= 0)
				rc = ledger_set_baseline(r->ledger, w->name, id, "", "lost", 0, err);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int remove_files(const char *folder, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		CLEANUP_FREE char *path = mem_printf("%s/%s%s", folder, LEDGER_FILE, suffixes[i]);

		if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
			return err_errno(err, errno, "cannot remove %s", path);
	}
	return 0;
}

static int fill(struct rebuild *r, const char *folder, bool power, struct err *err)
{
	int rc = ledger_open(folder, power, &r->ledger, err);

	if (rc == 0)
		rc = take_log(r, err);
	if (rc == 0)
		rc = mark_directories(r, err);
	if (rc == 0)
		rc = ledger_commit(r->ledger, err);
	CRASH_POINT("rebuild-committed");
	ledger_close(r->ledger); /* which puts its log into it */
	CRASH_POINT("rebuild-closed");
	r->ledger = NULL;
	return rc;
}

static int put_in_place(const char *folder, const char *ledger, struct err *err)
{
	CLEANUP_FREE char *made = fs_join(folder, LEDGER_FILE);
	CLEANUP_FREE char *wal = mem_printf("%s-wal", made);

	if (is_there(wal))
		return err_set(err, ERR_SYSTEM, EIO, "the new ledger %s could not be completed", made);
	if (rename(made, ledger) < 0)
		return err_errno(err, errno, "cannot put the new ledger to %s", ledger);
	CRASH_POINT("rebuild-in-place");
	(void)rmdir(folder);
	return fs_sync_parent(ledger, err);
}

static int rebuild(const struct conf *conf, const char *ledger, bool power, struct err *err)
{
	CLEANUP_FREE char *folder = fs_join(conf->service.state_directory, FOLDER);
	struct rebuild r = {.conf = conf};
	int rc = remove_files(folder, err);

	if (rc < 0)
		return rc;
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make %s", folder);
	rc = fill(&r, folder, power, err);
	if (rc == 0)
		rc = put_in_place(folder, ledger, err);
	if (rc == 0)
		log_warning(
			"the ledger %s was lost; a new one knows the %" PRId64
			" started files that the event log tells of, and everything else that is found now "
			"is held: brickwatch release --watch NAME lets it go",
			ledger, r.started);
	return rc;
}

/* Does a line of ours stand in it? */
static bool has_event(const char *path)
{
	CLEANUP_BUF struct buf line = BUF_INIT(LINE_BYTES);
	struct gzip_reader *reader = gzip_reader_open(path, NULL);
	bool torn = false, is_event = false;
	int found = reader ? 1 : -EIO;

	while (!is_event && (found > 0 || found == -EFBIG)) {
		found = gzip_reader_line(reader, &line, &torn, NULL);
		is_event = found > 0 && text_starts_with(buf_str(&line), EVENT_LINE_BEGIN);
	}
	gzip_reader_close(reader);
	return is_event;
}

/* A rotated file tells by its name whose it is; under the name of the log there may be anything. */
static bool is_event_log_there(const struct conf *conf)
{
	const char *file = conf->events.file;
	struct logfiles files = {.n = 0};
	struct err none = ERR_INIT;
	bool found = false;

	if (logfiles_list(file, &files, &none) < 0)
		return false;
	for (size_t i = 0; !found && i < files.n; i++)
		found = is_regular(files.paths[i]) && (strcmp(files.paths[i], file) != 0 || has_event(file));
	logfiles_done(&files);
	return found;
}

int rebuild_if_lost(const struct conf *conf, bool power, struct err *err)
{
	CLEANUP_FREE char *ledger = fs_join(conf->service.state_directory, LEDGER_FILE);
	CLEANUP_FREE char *folder = fs_join(conf->service.state_directory, FOLDER);
	size_t aside = 0;
	struct stat st;
	int rc;

	if (lstat(ledger, &st) == 0 && (st.st_size > 0 || !S_ISREG(st.st_mode))) {
		(void)rmdir(folder); /* who put it there had no time for that */
		return 0;
	}
	rc = count_aside(conf->service.state_directory, &aside, err);
	if (rc == 0)
		rc = set_log_aside(ledger, err);
	if (rc < 0)
		return rc;
	return aside > 0 || is_event_log_there(conf) ? rebuild(conf, ledger, power, err) : 0;
}
