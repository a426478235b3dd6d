/*
 * events: reads the event log across rotated and compressed files, filtered, as a table for people, as the
 * raw lines, or in figures. With -f it goes on with what is appended, over rotations.
 */
#include "cli/cli.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/logfiles.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/terminal.h"
#include "base/text.h"
#include "cli/audit.h"
#include "cli/follow.h"
#include "core/event.h"

#define EVENTS_LINE_BYTES (1024 * 1024)
#define EVENTS_PATH_COLUMNS 24 /* a path is not cut shorter where there is room */

enum { EVENTS_SINCE = CLI_OPTION_FIRST, EVENTS_UNTIL, EVENTS_TYPE, EVENTS_WATCH, EVENTS_RUN, EVENTS_SUMMARY };

struct events {
	int64_t since_us, until_us; /* 0: no bound */
	const char *type, *watch, *run;
	char **paths;
	size_t paths_n;
	bool follow, json, summary;
	struct audit *audit; /* with summary */
	size_t columns;	     /* of the terminal that is written to; 0: none, nothing is cut */
	bool damaged;	     /* something could not be read */
};

static int events_take(int opt, const char *value, void *arg, struct err *err)
{
	struct events *e = arg;
	int64_t run_id;

	switch (opt) {
	case EVENTS_SINCE:
		return clock_parse_user(value, clock_wall_us(), &e->since_us, err);
	case EVENTS_UNTIL:
		return clock_parse_user(value, clock_wall_us(), &e->until_us, err);
	case EVENTS_TYPE:
		e->type = value;
		return event_check_pattern(value, err);
	case EVENTS_WATCH:
		e->watch = value;
		return 0;
	case EVENTS_RUN:
		e->run = value;
		if (num_parse_id(value, strlen(value), &run_id) < 0)
			return err_set(err, ERR_USAGE, EINVAL, "--run: \"%s\" is not a run id", value);
		return 0;
	case EVENTS_SUMMARY:
		e->summary = true;
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

/* The file's name is at the end of a path, and what comes behind it is to be seen, too. */
static void events_add_path(struct buf *b, const char *path, size_t columns)
{
	CLEANUP_BUF struct buf whole = BUF_INIT(EVENTS_LINE_BYTES);
	/* a column more for the sign that something was cut behind it */
	size_t used = terminal_width(buf_str(b)) + 1, room = columns > used ? columns - used : 1;
	size_t wanted = columns / 3 > EVENTS_PATH_COLUMNS ? columns / 3 : EVENTS_PATH_COLUMNS;

	events_add(&whole, path);
	(void)terminal_add_cut_front(b, buf_str(&whole), room < wanted ? room : wanted);
}

/* One line for people: time, watch, type, and what is most worth knowing. */
static void events_print(size_t columns, const struct json *j)
{
	static const struct {
		const char *key, *before;
	} shown[] = {{"verb", ""}, {"arguments", ""}, {"user", "by "}, {"path", ""}, {"run_id", "run "},
		{"job_id", "job "}, {"reason", ""}, {"rule", "rule "}, {"error_code", ""}, {"message", ""},
		{"consumer", "to "}, {"detail", ""}, {"count", "files "}, {"waiting_for", "waiting for "},
		{"method", ""}, {"file_system", "on "}};
	CLEANUP_BUF struct buf b = BUF_INIT(EVENTS_LINE_BYTES), line = BUF_INIT(EVENTS_LINE_BYTES);
	const char *time = json_get_text(j, "time"), *type = json_get_text(j, "type"),
		   *watch = json_get_text(j, "watch");
	bool is_of_events = type && strcmp(type, "notify.dropped") == 0;

	events_add(&b, time ? time : "?");
	(void)buf_addf(&b, "  %-16s  %-12s", type ? type : "?", watch ? watch : "-");
	if (columns > 0 && columns < terminal_width(buf_str(&b)) + 3 + EVENTS_PATH_COLUMNS) {
		buf_reset(&b); /* narrow: a shorter time, and no watch */
		(void)buf_addf(&b, "%.19sZ  %-16s", time ? time : "?", type ? type : "?");
	}
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		const char *text = json_get_text(j, shown[i].key);

		if (!text || !text[0])
			continue;
		(void)buf_addf(&b, "  %s",
			is_of_events && strcmp(shown[i].key, "count") == 0 ? "events " : shown[i].before);
		if (columns > 0 && strcmp(shown[i].key, "path") == 0)
			events_add_path(&b, text, columns);
		else
			events_add(&b, text);
	}
	if (columns > 0)
		(void)terminal_add_cut(&line, buf_str(&b), columns);
	(void)puts(buf_str(columns > 0 ? &line : &b));
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
	if (e->audit && audit_add(e->audit, j, &err) < 0) {
		log_warning("%s: %s; not counted", origin, err.text);
		e->damaged = true;
	}
	if (e->audit)
		return;
	if (e->json)
		(void)puts(buf_str(line));
	else
		events_print(e->columns, j);
}

static void events_on_line(const struct buf *line, const char *origin, void *arg)
{
	events_line(arg, line, origin);
}

/* Reads all there is; with -f goes on until its output is closed. */
static int events_all(struct events *e, const char *file)
{
	struct follow *f = follow_new(file, events_on_line, e);
	struct logfiles files;
	struct err err = ERR_INIT;
	int rc = logfiles_list(file, &files, &err);

	logfiles_done(&files);
	if (rc < 0 && !(rc == -ENOENT && e->follow)) {
		follow_free(f);
		return cli_fail(&err);
	}
	do {
		rc = follow_read(f, &err);
		(void)fflush(stdout);
	} while (rc == 0 && e->follow && !ferror(stdout) && (rc = follow_wait(f, &err)) == 0);
	e->damaged |= follow_damaged(f) > 0;
	follow_free(f);
	if (rc < 0)
		return cli_fail(&err);
	return e->damaged ? CLI_FAILED : CLI_DONE;
}

static int events_summary(struct events *e, const char *file)
{
	int rc;

	e->audit = audit_new();
	rc = events_all(e, file);
	if (rc == CLI_DONE || e->damaged)
		audit_print(e->audit, e->json, e->columns);
	audit_free(e->audit);
	e->audit = NULL;
	return rc;
}

/* Paths stand in the log as they are watched: absolute. Patterns are taken as they are. The program ends
 * soon: what is made here is not freed. */
static char *events_operand(char *operand)
{
	CLEANUP_FREE char *here = operand[0] == '/' || strpbrk(operand, "*?[") ? NULL : getcwd(NULL, 0);
	CLEANUP_FREE char *joined = here ? fs_join(here, operand) : NULL;
	char *path;

	return joined && fs_normalise(joined, &path, NULL) == 0 ? path : operand;
}

static int events_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"since", required_argument, NULL, EVENTS_SINCE},
		{"until", required_argument, NULL, EVENTS_UNTIL},
		{"type", required_argument, NULL, EVENTS_TYPE},
		{"watch", required_argument, NULL, EVENTS_WATCH},
		{"run", required_argument, NULL, EVENTS_RUN}, {"follow", no_argument, NULL, 'f'},
		{"summary", no_argument, NULL, EVENTS_SUMMARY}};
	struct events e = {0};
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), events_take, &e, &common, &rest);
	if (rc >= 0)
		return rc;
	if (e.summary && e.follow)
		return cli_usage(verb, "--summary reads what is there; it does not go with --follow");
	e.paths = argv + rest;
	e.paths_n = (size_t)(argc - rest);
	for (size_t i = 0; i < e.paths_n; i++)
		e.paths[i] = events_operand(e.paths[i]);
	e.json = common.json;
	e.columns = terminal_columns(STDOUT_FILENO);
	rc = cli_load(common.config, false, &conf);
	if (rc != 0)
		return rc;
	if (e.watch && !conf_watch_find(conf, e.watch))
		log_warning("there is no [watch:%s] in the configuration (any more)", e.watch);
	rc = e.summary ? events_summary(&e, conf->events.file) : events_all(&e, conf->events.file);
	conf_free(conf);
	return rc;
}

const struct cli_verb cli_events = {
	.name = "events",
	.usage = "[-c FILE] [-f] [--since T] [--until T] [--type TYPE] [--watch NAME] [--run ID] "
		 "[--summary] [--json] [PATH…]",
	.summary = "Reads the event log, across rotated and compressed files.\n"
		   "T: RFC 3339, \"2h\" (ago), or a local date.",
	.help = "  -f, --follow       go on with what is appended, over rotations\n"
		"  --since T          not before\n"
		"  --until T          before\n"
		"  --type TYPE        such as run.started, or a pattern: run.*\n"
		"  --watch NAME       of this watch\n"
		"  --run ID           about this run\n"
		"  --summary          how many files, runs and failures, and how long from complete to run, "
		"by\n"
		"                     watch and local day\n"
		"  --json             the raw lines; of a summary one JSON object a line\n"
		"  PATH               of these files (or patterns)\n",
	.run = events_run,
};
