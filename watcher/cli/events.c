/*
 * events: reads the event log across rotated and compressed files, filtered, as a table for people or as the
 * raw lines. With -f it goes on with what is appended, over rotations.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/logfiles.h"

#define EVENTS_LINE_BYTES (1024 * 1024)

enum { EVENTS_SINCE = CLI_OPTION_FIRST, EVENTS_UNTIL, EVENTS_TYPE, EVENTS_WATCH, EVENTS_RUN };

struct events {
	int64_t since_us, until_us; /* 0: no bound */
	const char *type, *watch, *run;
	char **paths;
	size_t paths_n;
	bool follow, json;
	bool damaged; /* something could not be read */
};

static int events_take(int opt, const char *value, void *arg, struct err *err)
{
	struct events *e = arg;

	switch (opt) {
	case EVENTS_SINCE:
		return clock_parse_user(value, clock_wall_us(), &e->since_us, err);
	case EVENTS_UNTIL:
		return clock_parse_user(value, clock_wall_us(), &e->until_us, err);
	case EVENTS_TYPE:
		e->type = value;
		return 0;
	case EVENTS_WATCH:
		e->watch = value;
		return 0;
	case EVENTS_RUN:
		e->run = value;
		return 0;
	case 'f':
		e->follow = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static bool events_is_path_wanted(const struct events *e, const struct json *j)
{
	const char *path = json_get_text(j, "path");

	for (size_t i = 0; i < e->paths_n; i++)
		if (path && (strcmp(path, e->paths[i]) == 0 || fnmatch(e->paths[i], path, 0) == 0))
			return true;
	return e->paths_n == 0;
}

static bool events_is_text(const char *wanted, const char *is)
{
	return !wanted || (is && strcmp(wanted, is) == 0);
}

static bool events_is_wanted(const struct events *e, const struct json *j)
{
	const char *type = json_get_text(j, "type"), *time = json_get_text(j, "time");
	int64_t at_us = 0;

	if (e->type && (!type || fnmatch(e->type, type, 0) != 0))
		return false;
	if (!events_is_text(e->watch, json_get_text(j, "watch")) ||
		!events_is_text(e->run, json_get_text(j, "run_id")))
		return false;
	if ((e->since_us || e->until_us) && (!time || clock_parse_rfc3339(time, &at_us) < 0))
		return false;
	if ((e->since_us && at_us < e->since_us) || (e->until_us && at_us >= e->until_us))
		return false;
	return events_is_path_wanted(e, j);
}

static void events_add(struct buf *b, const char *text)
{
	(void)text_add_printable(b, text, strlen(text));
}

/* One line for people: time, watch, type, and what is most worth knowing. */
static void events_print(const struct json *j)
{
	static const struct {
		const char *key, *before;
	} shown[] = {{"path", ""}, {"run_id", "run "}, {"job_id", "job "}, {"reason", ""}, {"rule", "rule "},
		{"error_code", ""}, {"message", ""}, {"detail", ""}, {"method", ""}, {"file_system", "on "}};
	CLEANUP_BUF struct buf b = BUF_INIT(EVENTS_LINE_BYTES);
	const char *time = json_get_text(j, "time"), *type = json_get_text(j, "type"),
		   *watch = json_get_text(j, "watch");

	events_add(&b, time ? time : "?");
	(void)buf_addf(&b, "  %-16s  %-12s", type ? type : "?", watch ? watch : "-");
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		const char *text = json_get_text(j, shown[i].key);

		if (!text || !text[0])
			continue;
		(void)buf_addf(&b, "  %s", shown[i].before);
		events_add(&b, text);
	}
	(void)puts(buf_str(&b));
}

static void events_line(struct events *e, const struct buf *line, const char *origin)
{
	struct err err = ERR_INIT;
	CLEANUP_JSON struct json *j = json_parse(buf_str(line), line->len, &err);

	if (!j || !json_is_object(j)) {
		log_warning("%s: a line is not JSON (%s); passed over", origin, err.text);
		e->damaged = true;
		return;
	}
	if (!events_is_wanted(e, j))
		return;
	if (e->json)
		(void)puts(buf_str(line));
	else
		events_print(j);
}

static void events_file(struct events *e, const char *path)
{
	CLEANUP_BUF struct buf line = BUF_INIT(EVENTS_LINE_BYTES);
	struct err err = ERR_INIT;
	struct gzip_reader *r = gzip_reader_open(path, &err);
	bool torn = false;
	int rc = r ? 1 : -EIO;

	while (rc > 0) {
		rc = gzip_reader_line(r, &line, &torn, &err);
		if (rc > 0 && !torn)
			events_line(e, &line, path);
	}
	if (rc < 0) {
		log_warning("%s: %s; going on with the next file", path, err.text);
		e->damaged = true;
	}
	gzip_reader_close(r);
}

/* ---- following
 * -------------------------------------------------------------------------------------------------- */

struct events_tail {
	int fd;
	uint64_t ino;
	struct buf line;
};

/* Reads what has been appended. */
static void events_tail_read(struct events *e, struct events_tail *t, const char *file)
{
	char bytes[16 * 1024];
	ssize_t n;

	while ((n = read(t->fd, bytes, sizeof(bytes))) > 0) {
		for (const char *p = bytes, *end = bytes + n; p < end;) {
			const char *newline = memchr(p, '\n', (size_t)(end - p));

			(void)buf_add(&t->line, p, (size_t)((newline ? newline : end) - p));
			if (!newline)
				break;
			if (t->line.len > 0 && !t->line.failed)
				events_line(e, &t->line, file);
			buf_reset(&t->line);
			p = newline + 1;
		}
	}
	(void)fflush(stdout);
}

/* Opens the log anew when another file has its name. What the old one still held is read first. */
static void events_tail_renew(struct events *e, struct events_tail *t, const char *file)
{
	struct stat st;
	int fd;

	if (t->fd >= 0)
		events_tail_read(e, t, file);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && t->fd >= 0 && st.st_ino == t->ino) {
		close(fd);
		return;
	}
	if (t->fd >= 0)
		close(t->fd);
	t->fd = fd;
	t->ino = st.st_ino;
	buf_reset(&t->line);
	events_tail_read(e, t, file);
}

static int events_follow(struct events *e, struct events_tail *t, const char *file)
{
	const char *base = fs_basename(file);
	CLEANUP_FREE char *folder = mem_strndup(file, (size_t)(base - file));
	_Alignas(struct inotify_event) char bytes[4096];
	struct err err = ERR_INIT;
	int in = inotify_init1(IN_CLOEXEC);

	if (in < 0 || inotify_add_watch(in, folder[0] ? folder : ".",
			      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM) < 0) {
		(void)err_errno(&err, errno, "cannot watch the folder of %s", file);
		return cli_fail(&err);
	}
	for (;;) {
		events_tail_renew(e, t, file);
		(void)fflush(stdout);
		if (ferror(stdout) || (read(in, bytes, sizeof(bytes)) < 0 && errno != EINTR))
			break;
	}
	close(in);
	return CLI_DONE;
}

/* ---- the verb
 * --------------------------------------------------------------------------------------------------- */

static int events_all(struct events *e, const char *file)
{
	struct events_tail tail = {.fd = -1};
	struct logfiles files;
	struct err err = ERR_INIT;
	int rc = logfiles_list(file, &files, &err);

	if (rc < 0 && !(rc == -ENOENT && e->follow))
		return cli_fail(&err);
	buf_init(&tail.line, EVENTS_LINE_BYTES);
	for (size_t i = 0; rc == 0 && i < files.n; i++)
		if (!e->follow || strcmp(files.paths[i], file) != 0)
			events_file(e, files.paths[i]);
	if (rc == 0)
		logfiles_done(&files);
	(void)fflush(stdout);
	rc = e->follow ? events_follow(e, &tail, file) : CLI_DONE;
	fs_close(&tail.fd);
	buf_done(&tail.line);
	return rc == CLI_DONE && e->damaged ? CLI_FAILED : rc;
}

static int events_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"since", required_argument, NULL, EVENTS_SINCE},
		{"until", required_argument, NULL, EVENTS_UNTIL},
		{"type", required_argument, NULL, EVENTS_TYPE},
		{"watch", required_argument, NULL, EVENTS_WATCH},
		{"run", required_argument, NULL, EVENTS_RUN}, {"follow", no_argument, NULL, 'f'}};
	struct events e = {0};
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), events_take, &e, &common, &rest);
	if (rc >= 0)
		return rc;
	e.paths = argv + rest;
	e.paths_n = (size_t)(argc - rest);
	e.json = common.json;
	rc = cli_load(common.config, false, &conf);
	if (rc != 0)
		return rc;
	rc = events_all(&e, conf->events.file);
	conf_free(conf);
	return rc;
}

const struct cli_verb cli_events = {
	.name = "events",
	.usage = "[-c FILE] [-f] [--since T] [--until T] [--type TYPE] [--watch NAME] [--run ID] [--json] "
		 "[PATH…]",
	.summary = "Reads the event log, across rotated and compressed files. T: RFC 3339, \"2h\" (ago), or "
		   "a local date.",
	.help = "  -f, --follow       go on with what is appended, over rotations\n"
		"  --since T          not before\n"
		"  --until T          before\n"
		"  --type TYPE        such as run.started, or a pattern: run.*\n"
		"  --watch NAME       of this watch\n"
		"  --run ID           about this run\n"
		"  --json             the raw lines\n"
		"  PATH               of these files (or patterns)\n",
	.run = events_run,
};
