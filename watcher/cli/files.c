/*
 * files: what became of each file. The service is asked, for it also knows what is not complete yet; when
 * none runs, the ledger is read here.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "base/text.h"
#include "base/trace.h"
#include "cli/client.h"
#include "dispatch/ledger.h"
#include "dispatch/report.h"

#define FILES_PATH_COLUMNS 24 /* a path is not cut shorter */
#define FILES_OPEN_BYTES 1024

enum { FILES_STATE = CLI_OPTION_FIRST, FILES_WATCH, FILES_SINCE, FILES_UNTIL, FILES_DAY };

struct files {
	struct control_request request; /* texts borrowed */
	const char *day;
	bool json;
	size_t columns;	 /* of the terminal that is written to; 0: none, nothing is cut */
	struct buf open; /* how many files are in a state that is no end, of each */
	bool problem;
};

static int files_set_day(struct files *f, const char *value, struct err *err)
{
	time_t next;
	struct tm tm;
	int rc = clock_parse_user(value, clock_wall_us(), &f->request.since_us, err);

	if (rc < 0)
		return rc;
	next = (time_t)(f->request.since_us / US_PER_S);
	if (!localtime_r(&next, &tm) || tm.tm_hour != 0 || tm.tm_min != 0 || tm.tm_sec != 0)
		return err_set(
			err, ERR_USAGE, EINVAL, "--day: \"%s\" is not a day such as 2026-01-31", value);
	tm.tm_mday++; /* a day may have 23 or 25 hours */
	tm.tm_isdst = -1;
	next = mktime(&tm);
	f->request.until_us = (int64_t)next * US_PER_S;
	f->day = value;
	return f->request.since_us <= clock_wall_us()
		       ? 0
		       : err_set(err, ERR_USAGE, EINVAL, "--day: %s has not begun yet", value);
}

static int files_take(int opt, const char *value, void *arg, struct err *err)
{
	struct files *f = arg;

	switch (opt) {
	case FILES_STATE:
		f->request.state = (char *)(uintptr_t)value;
		if (strcmp(value, "waiting") != 0 && selection_state(value) < 0)
			return selection_no_state(value, "waiting, ", err);
		return 0;
	case FILES_WATCH:
		f->request.watch = (char *)(uintptr_t)value;
		return 0;
	case FILES_SINCE:
		return clock_parse_user(value, clock_wall_us(), &f->request.since_us, err);
	case FILES_UNTIL:
		return clock_parse_user(value, clock_wall_us(), &f->request.until_us, err);
	case FILES_DAY:
		return files_set_day(f, value, err);
	default:
		return -EINVAL;
	}
}

static bool files_is_end(const char *state)
{
	static const char *const ends[] = {
		"started", "rejected", "skipped", "superseded", "dropped", "discarded"};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (strcmp(ends[i], state) == 0)
			return true;
	return false;
}

static const char *files_text(const struct json *j, const char *key)
{
	const char *text = json_get_text(j, key);

	return text ? text : "";
}

/* Fits the terminal: the path gives way first, from its front, since the file's name is at its end; then what
 * is right of it, from its end; and on a narrow one what is left of it but the state. */
static void files_print_line(
	size_t columns, const char *state, const char *left, const char *path, const char *right)
{
	CLEANUP_BUF struct buf b = BUF_INIT(2 * CONTROL_RECORD_BYTES),
			       line = BUF_INIT(2 * CONTROL_RECORD_BYTES);
	size_t before = terminal_width(state), taken, room;
	bool narrow = columns > 0 && columns < before + terminal_width(left) + FILES_PATH_COLUMNS;

	before += narrow ? 0 : terminal_width(left);
	taken = before + terminal_width(right);
	room = columns > taken + FILES_PATH_COLUMNS ? columns - taken : FILES_PATH_COLUMNS;
	if (before + room >= columns) /* a column for the sign that something was cut behind it */
		room = columns > before + 1 ? columns - before - 1 : 1;
	(void)buf_addf(&b, "%s%s", state, narrow ? "" : left);
	if (columns > 0)
		(void)terminal_add_cut_front(&b, path, room);
	else
		(void)buf_adds(&b, path);
	(void)buf_adds(&b, right);
	if (columns > 0)
		(void)terminal_add_cut(&line, buf_str(&b), columns);
	(void)puts(buf_str(columns > 0 ? &line : &b));
}

static void files_print(size_t columns, const struct json *j)
{
	CLEANUP_BUF struct buf state = BUF_INIT(CONTROL_RECORD_BYTES), left = BUF_INIT(CONTROL_RECORD_BYTES),
			       path = BUF_INIT(CONTROL_RECORD_BYTES), right = BUF_INIT(CONTROL_RECORD_BYTES);
	const char *when = files_text(j, json_get(j, "since") ? "since" : "changed");
	const char *run = files_text(j, "run_id");
	const char *why = files_text(j, files_text(j, "waiting_for")[0] ? "waiting_for" : "reason");

	(void)buf_addf(&state, "%-10s  ", files_text(j, "state"));
	/* UTC and with its zone, so that --since takes it as it stands */
	(void)buf_addf(
		&left, "%.19s%s  %-12s  ", when[0] ? when : "-", when[0] ? "Z" : "", files_text(j, "watch"));
	(void)text_add_printable(&path, files_text(j, "path"), strlen(files_text(j, "path")));
	if (run[0])
		(void)buf_addf(&right, "  run %s", run);
	if (why[0]) {
		(void)buf_adds(&right, "  (");
		(void)text_add_printable(&right, why, strlen(why));
		(void)buf_addc(&right, ')');
	}
	files_print_line(columns, buf_str(&state), buf_str(&left), buf_str(&path), buf_str(&right));
}

static void files_totals(struct files *f, const struct json *totals)
{
	CLEANUP_BUF struct buf b = BUF_INIT(4096);

	for (const struct json *it = json_first(totals); it; it = json_next(it)) {
		const char *state = json_key(it);
		int64_t n = 0;

		if (json_get_i64(totals, state, &n) < 0 || n == 0)
			continue;
		(void)buf_addf(&b, "%s%s %" PRId64, b.len > 0 ? ", " : "", state, n);
		if (!files_is_end(state))
			(void)buf_addf(&f->open, "%s%" PRId64 " %s", f->open.len > 0 ? ", " : "", n, state);
	}
	if (!f->json)
		(void)printf("%s\n", b.len > 0	  ? buf_str(&b)
				     : f->problem ? "no files that could be asked about"
						  : "no files");
}

static void files_record(const struct wire_record *raw, const struct json *j, void *arg)
{
	struct files *f = arg;
	const struct json *totals = json_get(j, "totals");

	if (f->json)
		(void)printf("%.*s\n", (int)raw->json_len, (const char *)raw->json);
	if (totals) {
		files_totals(f, totals);
	} else if (json_get(j, "problem")) {
		f->problem = true;
		log_warning("watch %s: %s", files_text(j, "watch"), files_text(j, "problem"));
	} else if (!f->json) {
		files_print(f->columns, j);
	}
}

/* 1: some, 0: there are none, -errno */
static int files_from_ledger(struct files *f, const struct conf *conf, struct ledger *l, struct err *err)
{
	CLEANUP_BUF struct buf json = BUF_INIT(CONTROL_RECORD_BYTES);
	CLEANUP_FREE struct report_rows *rows = mem_alloc(sizeof(*rows));
	int rc = selection_init(&rows->at, &f->request, err);

	rows->conf = conf;
	while (rc >= 0 || rc == -EINPROGRESS) {
		buf_reset(&json);
		rc = report_rows_next(rows, l, &json, err);
		if (rc == 0)
			return !report_is_empty(rows);
		if (rc > 0) {
			const struct wire_record raw = {.json = buf_str(&json), .json_len = json.len};
			CLEANUP_JSON struct json *j = json_parse(raw.json, raw.json_len, err);

			if (!j)
				return -EBADMSG;
			files_record(&raw, j, f);
		}
	}
	return rc;
}

/* Without a service. */
static int files_read(struct files *f, const struct conf *conf, const char *why)
{
	struct ledger *l = NULL;
	struct err err = ERR_INIT;
	int rc;

	log_info("%s; looking into the ledger", why);
	if (strcmp(f->request.state, "waiting") == 0) {
		log_error("which files are not complete yet is known to a running service only");
		return CLI_NOT_RUNNING;
	}
	rc = ledger_open_read_only(conf->service.state_directory, &l, &err);
	if (rc == 0)
		rc = files_from_ledger(f, conf, l, &err);
	ledger_close(l);
	if (rc == 0 && f->request.watch[0] && !conf_watch_find(conf, f->request.watch)) {
		log_error("there is no watch \"%s\", and the ledger has no such files of one",
			f->request.watch);
		return CLI_USAGE;
	}
	return rc < 0 ? cli_fail(&err) : CLI_DONE;
}

static int files_ask(struct files *f, const struct conf *conf)
{
	const struct control_request *r = &f->request;
	struct client_command q = {
		.command = {.verb = "files",
			.watch = r->watch,
			.state = r->state,
			.glob = r->glob,
			.since_us = r->since_us,
			.until_us = r->until_us},
		.record = files_record,
		.arg = f,
	};
	CLEANUP_FREE char *text = NULL;
	struct client *c = NULL;
	struct err err = ERR_INIT;
	int rc = client_open(conf, &c, &err);

	if (rc == -ENOENT)
		return files_read(f, conf, err.text);
	if (rc == 0)
		rc = client_ask(c, &q, &text, &err);
	client_close(c);
	if (rc < 0)
		return cli_fail(&err);
	if (text && text[0])
		log_error("%s", text);
	return rc;
}

static int files_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"state", required_argument, NULL, FILES_STATE},
		{"watch", required_argument, NULL, FILES_WATCH},
		{"since", required_argument, NULL, FILES_SINCE},
		{"until", required_argument, NULL, FILES_UNTIL}, {"day", required_argument, NULL, FILES_DAY}};
	char none[] = "";
	struct files f = {.request = {.watch = none, .state = none, .glob = none, .reason = none},
		.open = BUF_INIT(FILES_OPEN_BYTES)};
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), files_take, &f, &common, &rest);
	if (rc >= 0)
		return rc;
	if (argc - rest > 1)
		return cli_usage(verb, "one GLOB at most (in quotes, else the shell expands it)");
	if (rest < argc)
		f.request.glob = argv[rest];
	f.json = common.json;
	f.columns = terminal_columns(STDOUT_FILENO);
	rc = cli_load_for_service(common.config, &conf);
	if (rc != 0)
		return rc;
	trace_set_up((enum log_level)conf->service.log_level, conf->service.trace);
	rc = files_ask(&f, conf);
	conf_free(conf);
	if (rc == CLI_DONE && f.day && f.open.len > 0) {
		log_error("not all files of %s are through: %s", f.day, buf_str(&f.open));
		rc = CLI_FAILED;
	}
	buf_done(&f.open);
	return rc;
}

const struct cli_verb cli_files = {
	.name = "files",
	.usage = "[-c FILE] [--state S] [--watch NAME] [--since T] [--until T] [--day D] [--json] [GLOB]",
	.summary = "What became of each file, and the totals per state.\n"
		   "States: waiting (not complete yet), pending, started, rejected, failed, held, skipped,\n"
		   "vanished, superseded, dropped, discarded. Asks the running service, or reads the ledger\n"
		   "when there is none.",
	.help = "  --state S          in this state only\n"
		"  --watch NAME       of this watch\n"
		"  --since T          whose state changed not before; T: RFC 3339, \"2h\" (ago), or a local "
		"date\n"
		"  --until T          … before\n"
		"  --day D            of this local day; exit status 1 unless all of them are started, "
		"rejected,\n"
		"                     skipped, superseded, dropped or discarded; it says what they are\n"
		"  --json             one JSON object a line\n"
		"  GLOB               such as '*.csv', 'orders/**', or a whole path (beginning with /)\n",
	.run = files_run,
};
