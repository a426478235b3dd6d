/*
 * letter: per type a headline and a word about what comes next, as templates of core/event_text; between them
 * every field that a person asks about, under a name a person understands, where the event has it.
 */
#include "core/letter.h"

#include <stdbool.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/event_text.h"

#define LABEL_BYTES 14

static const struct {
	const char *type, *headline, *next;
} kinds[] = {
	{"run.started", "run ${run_id} started for ${path}", ""},
	{"run.skipped", "Databricks skipped run ${run_id} for ${path}",
		"Another run is asked for by itself."},
	{"start.failed", "no run for ${path}: ${reason}",
		"Nothing more is tried by itself. When the cause is mended: brickwatch retry FILE"},
	{"start.retrying", "no run yet for ${path}: ${reason}",
		"It is tried again by itself, next at ${next_attempt}."},
	{"file.rejected", "${path} was turned away: ${rule}",
		"No run is started for it, unless the rules of the watch change."},
	{"file.waiting", "${path} is not complete: ${waiting_for}",
		"Its run is started by itself as soon as it is."},
	{"file.vanished", "${path} was gone before its run was started",
		"Its run is started if it comes back."},
	{"file.superseded", "${path} was replaced before its run was started",
		"The version that replaced it has a run of its own."},
	{"watch.ready", "watch ${watch} is ready", ""},
	{"watch.lost", "watch ${watch} has lost its folder",
		"Nothing is forgotten. The watch goes on by itself when the folder is back."},
	{"watch.stalled", "watch ${watch} hangs",
		"The mount does not answer. Other watches go on, and this one as soon as it does."},
	{"watch.overflow", "watch ${watch} lost events and lists its folder again", "No file is missed."},
	{"watch.degraded", "watch ${watch} sees less than it should", ""},
	{"watch.held", "watch ${watch} holds files back",
		"To see them: brickwatch files --state held --watch ${watch}\n"
		"To let them go: brickwatch release --watch ${watch}"},
	{"watch.paused", "watch ${watch} is paused", "To go on: brickwatch resume ${watch}"},
	{"watch.resumed", "watch ${watch} goes on", ""},
	{"workspace.suspended", "no runs are started at ${workspace}",
		"It is tried again by itself, and no file is lost. To look closer: brickwatch check "
		"--online"},
	{"workspace.resumed", "runs are started at ${workspace} again", ""},
	{"job.suspended", "no runs of job ${job_id} are started at ${workspace}",
		"It is tried again by itself, and no file is lost. To look closer: brickwatch check "
		"--online"},
	{"job.resumed", "runs of job ${job_id} are started at ${workspace} again", ""},
	{"notify.dropped", "consumer ${consumer} did not get events", ""},
	{"notify.digest", "${detail}", ""},
	{"operator.action", "${user}: brickwatch ${verb} ${arguments}", ""},
	{"service.started", "version ${version} was started", ""},
	{"service.reloaded", "the configuration was read anew", ""},
	{"service.stopped", "the service was stopped", ""},
};

static const struct {
	const char *label, *field;
} rows[] = {
	{"What", "detail"},
	{"Why", "message"},
	{"Reason", "reason"},
	{"Rule", "rule"},
	{"Waiting for", "waiting_for"},
	{"Since", "since"},
	{"What to do", "advice"},
	{"HTTP status", "http_status"},
	{"Error code", "error_code"},
	{"Attempts", "attempts"},
	{"Next attempt", "next_attempt"},
	{"File", "path"},
	{"Remote path", "uri"},
	{"Size", "size"},
	{"Modified", "mtime"},
	{"Type", "mime"},
	{"Run", "run_id"},
	{"Run before", "previous_run_id"},
	{"Job", "job_id"},
	{"Workspace", "workspace"},
	{"Watch", "watch"},
	{"Method", "method"},
	{"File system", "file_system"},
	{"Count", "count"},
	{"Consumer", "consumer"},
	{"Command", "verb"},
	{"Of", "arguments"},
	{"By", "user"},
	{"Version", "version"},
	{"Machine", "host"},
	{"Time", "time"},
	{"Event", "type"},
	{"Id", "id"},
};

static int add(struct buf *b, const char *text, const char *line, size_t len, struct err *err)
{
	return event_text_expand(text, EVENT_TEXT_PLAIN, line, len, b, err);
}

static const char *type_of(const struct json *event)
{
	const char *type = json_get_text(event, "type");

	return type != NULL ? type : "";
}

/* Of a type that is new here: its name. */
static void find_kind(const char *type, const char **ret_headline, const char **ret_next)
{
	*ret_headline = "${type} ${watch} ${path}";
	*ret_next = "";
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].type, type) != 0)
			continue;
		*ret_headline = kinds[i].headline;
		*ret_next = kinds[i].next;
	}
}

static void add_rows(struct buf *b, const struct json *event)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *value = json_get_text(event, rows[i].field);

		if (value == NULL || value[0] == '\0')
			continue;
		(void)buf_addf(b, "%s:%*s", rows[i].label, (int)(LABEL_BYTES - strlen(rows[i].label)), "");
		(void)text_add_printable(b, value, strlen(value));
		(void)buf_addc(b, '\n');
	}
}

static bool is_plain_path(const char *path)
{
	for (; *path; path++)
		if ((unsigned char)*path <= 0x20 || (unsigned char)*path == 0x7f ||
			strchr("\"'\\$`!*?[](){}<>|&;~#", *path) != NULL)
			return false;
	return true;
}

/* As a word of a shell that stands for exactly these bytes (but for line ends at their end). */
static void add_path_word(struct buf *b, const struct json *event, const char *path)
{
	const char *bytes = json_get_text(event, "path_base64");
	CLEANUP_BUF struct buf shown = BUF_INIT(64 * 1024);

	(void)text_add_printable(&shown, path, strlen(path));
	if (bytes == NULL && is_plain_path(path) && strcmp(buf_str(&shown), path) == 0) {
		(void)buf_adds(b, path);
	} else if (bytes == NULL && strchr(path, '\'') == NULL && strcmp(buf_str(&shown), path) == 0) {
		(void)buf_addf(b, "'%s'", path);
	} else {
		(void)buf_adds(b, "\"$(echo ");
		(void)(bytes != NULL ? buf_adds(b, bytes) : text_add_base64(b, path, strlen(path)));
		(void)buf_adds(b, " | base64 -d)\"");
	}
}

static void add_more(struct buf *b, const struct json *event)
{
	const char *path = json_get_text(event, "path");

	(void)buf_adds(b, "\nTo see more, there:\n");
	if (path != NULL) {
		(void)buf_adds(b, "  brickwatch explain ");
		add_path_word(b, event, path);
	} else {
		(void)buf_adds(b, "  brickwatch status");
	}
	(void)buf_addc(b, '\n');
}

static struct json *parse(const char *line, size_t len, struct err *err)
{
	struct json *event = json_parse(line, len, err);

	if (event == NULL)
		(void)err_prefix(err, "an event");
	return event;
}

static int finish(const struct buf *b, struct err *err)
{
	return b->failed ? err_set(err, ERR_LIMIT, ENOBUFS, "longer than %zu bytes", b->max) : 0;
}

int letter_add_subject(const char *line, size_t len, struct buf *b, struct err *err)
{
	CLEANUP_JSON struct json *event = parse(line, len, err);
	const char *headline, *next;
	int r;

	if (event == NULL)
		return -EBADMSG;
	find_kind(type_of(event), &headline, &next);
	r = add(b, "brickwatch on ${host}: ", line, len, err);
	return r < 0 ? r : add(b, headline, line, len, err);
}

int letter_add_text(const char *line, size_t len, struct buf *b, struct err *err)
{
	CLEANUP_JSON struct json *event = parse(line, len, err);
	const char *headline, *next;
	int r;

	if (event == NULL)
		return -EBADMSG;
	find_kind(type_of(event), &headline, &next);
	r = add(b, headline, line, len, err);
	if (r < 0)
		return r;
	(void)buf_adds(b, "\n\n");
	add_rows(b, event);
	if (next[0]) {
		(void)buf_addc(b, '\n');
		r = add(b, next, line, len, err);
		(void)buf_addc(b, '\n');
	}
	if (r < 0)
		return r;
	add_more(b, event);
	return finish(b, err);
}
