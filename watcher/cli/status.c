/*
 * status: how the service and each of its watches is. The service tells facts; what of them is a degradation
 * is decided here, for people and for --check alike.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/client.h"

#define STATUS_TEXT_BYTES (1024u * 1024)
#define STATUS_WHY_BYTES (64u * 1024)

enum { STATUS_CHECK = CLI_OPTION_FIRST };

struct status {
	bool check, json;
	struct buf out;
	struct buf why; /* what is not as it should be, with semicolons */
	int64_t watches, ready;
};

static int status_take(int opt, const char *value, void *arg, struct err *err)
{
	struct status *s = arg;

	(void)value;
	(void)err;
	if (opt != STATUS_CHECK)
		return -EINVAL;
	s->check = true;
	return 0;
}

static void status_blame(struct status *s, const char *what, const char *name, const char *how)
{
	(void)buf_addf(&s->why, "%s%s%s", s->why.len > 0 ? "; " : "", what, what[0] ? " " : "");
	(void)text_add_printable(&s->why, name, strlen(name));
	(void)buf_addf(&s->why, "%s%s", name[0] ? " " : "", how);
}

static const char *status_text(const struct json *j, const char *key)
{
	const char *text = json_get_text(j, key);

	return text ? text : "";
}

static void status_add(struct status *s, const char *text)
{
	(void)text_add_printable(&s->out, text, strlen(text));
}

/* "3 min 20 s" since that time. */
static const char *status_age(const char *time, char text[CLOCK_TEXT_BYTES])
{
	int64_t at_us;

	if (clock_parse_rfc3339(time, &at_us) < 0)
		return "?";
	at_us = clock_wall_us() - at_us;
	return clock_format_span(at_us > 0 ? at_us : 0, text);
}

static void status_service(struct status *s, const struct json *j)
{
	bool ledger = json_is_true(json_get(j, "ledger_failing")),
	     log = json_is_true(json_get(j, "event_log_failing"));
	char age[CLOCK_TEXT_BYTES];

	if (ledger)
		status_blame(s, "", "", "the ledger cannot be written: nothing is accepted or sent");
	if (log)
		status_blame(s, "", "", "the event log cannot be written: events wait in the ledger");
	(void)buf_addf(&s->out,
		"brickwatch %s, process %s, up %s: %s runs started, %s files pending, %s on their way\n",
		status_text(j, "version"), status_text(j, "pid"), status_age(status_text(j, "started"), age),
		status_text(j, "runs_started"), status_text(j, "pending"), status_text(j, "in_flight"));
	(void)buf_addf(&s->out, "ledger %s, event log %s\n\n", ledger ? "CANNOT BE WRITTEN" : "ok",
		log ? "CANNOT BE WRITTEN" : "ok");
	(void)buf_addf(&s->out, "%-16s %-9s %-10s %-10s %9s %9s  %s\n", "WATCH", "STATE", "METHOD", "ON",
		"FILES", "WAITING", "LISTED");
}

static void status_watch(struct status *s, const struct json *j)
{
	const char *name = status_text(j, "watch"), *state = status_text(j, "state");
	const char *listed = status_text(j, "listed"), *waiting = status_text(j, "waiting");
	bool paused = json_is_true(json_get(j, "paused"));
	char age[CLOCK_TEXT_BYTES];

	s->watches++;
	if (strcmp(state, "ready") == 0)
		s->ready++;
	else
		status_blame(s, "watch", name,
			strcmp(state, "lost") == 0	? "is lost (its folder is missing)"
			: strcmp(state, "stalled") == 0 ? "is stalled"
			: strcmp(state, "down") == 0	? "has no process"
							: "is still being listed");
	(void)buf_addf(&s->out, "%-16s %-9s %-10s %-10s %9s %9s  %s%s\n", name, paused ? "paused" : state,
		status_text(j, "method"), status_text(j, "file_system"), status_text(j, "files"),
		waiting[0] ? waiting : "?", listed[0] ? status_age(listed, age) : "not yet",
		listed[0] ? " ago" : "");
	if (paused && strcmp(state, "ready") != 0)
		(void)buf_addf(&s->out, "    and it is %s\n", state);
	if (status_text(j, "busy_with")[0]) {
		(void)buf_adds(&s->out, "    it is in ");
		status_add(s, status_text(j, "busy_with"));
		(void)buf_addc(&s->out, '\n');
	}
	if (status_text(j, "limits")[0]) {
		(void)buf_adds(&s->out, "    ");
		status_add(s, status_text(j, "limits"));
		(void)buf_addc(&s->out, '\n');
	}
}

static void status_place(struct status *s, const struct json *j, bool is_job)
{
	const char *state = status_text(j, "state");
	const char *name = status_text(j, "workspace");
	int64_t next_ms = 0;
	char span[CLOCK_TEXT_BYTES];

	if (!name[0])
		name = status_text(j, "host");
	if (strcmp(state, "suspended") == 0)
		status_blame(s, is_job ? "the job of watch" : "workspace",
			is_job ? status_text(j, "watch") : name,
			is_job ? "cannot be started" : "cannot be reached, or refuses the credential");
	if (is_job && strcmp(state, "ok") == 0)
		return; /* nothing to say; the counts say how much waits */
	if (json_get_i64(j, "next_try_ms", &next_ms) < 0)
		next_ms = 0;
	(void)buf_addf(&s->out, "%s%s %s is %s", is_job ? "" : "\n", is_job ? "  job of watch" : "workspace",
		is_job ? status_text(j, "watch") : name, state);
	if (next_ms > 0)
		(void)buf_addf(&s->out, ", next try in %s", clock_format_span(next_ms * US_PER_MS, span));
	(void)buf_addc(&s->out, '\n');
}

static void status_counts(struct status *s, const struct json *j)
{
	const struct json *oldest = json_get(j, "oldest");
	char age[CLOCK_TEXT_BYTES];
	bool any = false;

	(void)buf_adds(&s->out, "\nfiles: ");
	for (const struct json *it = json_first(j); it; it = json_next(it)) {
		const char *text = json_text(it);

		if (!json_is_number(it) || !text || strcmp(text, "0") == 0)
			continue;
		(void)buf_addf(&s->out, "%s%s %s", any ? ", " : "", json_key(it), text);
		any = true;
	}
	(void)buf_adds(&s->out, any ? "\n" : "none yet\n");
	if (status_text(oldest, "pending")[0])
		(void)buf_addf(&s->out, "the oldest pending one waits for %s\n",
			status_age(status_text(oldest, "pending"), age));
}

static void status_record(const struct wire_record *raw, const struct json *j, void *arg)
{
	struct status *s = arg;
	const char *kind = status_text(j, "kind");

	if (s->json && !s->check)
		(void)printf("%.*s\n", (int)raw->json_len, (const char *)raw->json);
	if (strcmp(kind, "service") == 0)
		status_service(s, j);
	else if (strcmp(kind, "watch") == 0)
		status_watch(s, j);
	else if (strcmp(kind, "workspace") == 0 || strcmp(kind, "job") == 0)
		status_place(s, j, kind[0] == 'j');
	else if (strcmp(kind, "counts") == 0)
		status_counts(s, j);
}

static int status_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"check", no_argument, NULL, STATUS_CHECK}};
	struct status s = {.out = BUF_INIT(STATUS_TEXT_BYTES), .why = BUF_INIT(STATUS_WHY_BYTES)};
	struct client_command q = {.command.verb = "status", .record = status_record, .arg = &s};
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), status_take, &s, &common, &rest);
	if (rc >= 0)
		return rc;
	if (rest < argc)
		return cli_usage(verb, "unexpected \"%s\"", argv[rest]);
	rc = cli_load_for_service(common.config, &conf);
	if (rc != 0)
		return rc;
	s.json = common.json;
	q.command.yes = s.check;
	rc = client_run(conf, &q, s.json);
	if (rc == CLI_DONE && s.check) {
		(void)printf("%s: %s%s%" PRId64 " of %" PRId64 " watches ready\n",
			s.why.len > 0 ? "degraded" : "healthy", buf_str(&s.why), s.why.len > 0 ? "; " : "",
			s.ready, s.watches);
		rc = s.why.len > 0 ? CLI_FAILED : CLI_DONE;
	} else if (!s.json) {
		(void)fputs(buf_str(&s.out), stdout);
	}
	buf_done(&s.out);
	buf_done(&s.why);
	conf_free(conf);
	return rc;
}

const struct cli_verb cli_status = {
	.name = "status",
	.usage = "[-c FILE] [--check] [--json]",
	.summary =
		"How the running service is: each watch, workspace and job, and how many files are in which "
		"state.",
	.help = "  --check            one line; exit status 0 healthy, 1 degraded, 3 not running\n"
		"  --json             one JSON object a line\n",
	.run = status_run,
};
