/*
 * status: how the service and each of its watches is. The service tells facts; what of them is a degradation
 * is decided here, for people and for --check alike.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "base/text.h"
#include "cli/client.h"
#include "core/jobcheck.h"

#define STATUS_TEXT_BYTES (1024u * 1024)
#define STATUS_WHY_BYTES (64u * 1024)
#define STATUS_WIDE 96		   /* columns: what the table takes when nothing is cut */
#define STATUS_LONG_MS (60 * 1000) /* a pause that somebody should know of */
#define STATUS_LONG_ROUND_MS 1000
#define STATUS_LONG_FAILURE_MS (5 * 60 * 1000) /* of a consumer */

enum { STATUS_CHECK = CLI_OPTION_FIRST };

struct status {
	bool check, json;
	size_t columns; /* of the terminal that is written to; 0: none, nothing is cut */
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
	(void)buf_addf(&s->why, "%s%s", name[0] && how[0] ? " " : "", how);
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

/* A line of further words, if there are any. */
static void status_line(struct status *s, const char *indent, const char *words, const char *text)
{
	if (!text[0])
		return;
	(void)buf_addf(&s->out, "%s%s", indent, words);
	status_add(s, text);
	(void)buf_addc(&s->out, '\n');
}

/* A row of the table of watches; on a terminal it has one line. */
static void status_row(struct status *s, const char *const cells[8])
{
	CLEANUP_BUF struct buf row = BUF_INIT(STATUS_WHY_BYTES);
	bool narrow = s->columns > 0 && s->columns < STATUS_WIDE;

	for (int i = 0; i < 8; i++) {
		static const int wide[] = {-16, -9, -10, -10, 9, 9, 9, 0},
				 small[] = {-12, -8, -7, -8, 7, 7, 7, 0};

		(void)buf_addf(&row, "%s%*s",
			i == 0	 ? ""
			: i == 7 ? "  "
				 : " ",
			narrow ? small[i] : wide[i], cells[i]);
	}
	if (s->columns > 0)
		(void)terminal_add_cut(&s->out, buf_str(&row), s->columns);
	else
		(void)buf_adds(&s->out, buf_str(&row));
	(void)buf_addc(&s->out, '\n');
}

/* "1 run", "2 runs" */
static void status_many(struct status *s, const char *n, const char *what, const char *rest)
{
	(void)buf_addf(&s->out, "%s %s%s%s", n, what, strcmp(n, "1") == 0 ? "" : "s", rest);
}

static int64_t status_number(const struct json *j, const char *key)
{
	int64_t v;

	return json_get_i64(j, key, &v) < 0 ? 0 : v;
}

static void status_service(struct status *s, const struct json *j)
{
	const char *trouble = status_text(j, "ledger_trouble"), *metrics = status_text(j, "metrics_trouble");
	bool ledger = json_is_true(json_get(j, "ledger_failing")),
	     log = json_is_true(json_get(j, "event_log_failing"));
	char age[CLOCK_TEXT_BYTES];

	if (ledger)
		status_blame(s, "the ledger cannot be written, nothing is accepted or sent:", trouble, "");
	if (log)
		status_blame(s, "", "", "the event log cannot be written: events wait in the ledger");
	if (metrics[0])
		status_blame(s, "the metrics cannot be written:", metrics, "");
	(void)buf_addf(&s->out, "brickwatch %s, process %s, up %s: ", status_text(j, "version"),
		status_text(j, "pid"), status_age(status_text(j, "started"), age));
	status_many(s, status_text(j, "runs_started"), "run", " started, ");
	status_many(s, status_text(j, "pending"), "file", " pending, ");
	(void)buf_addf(&s->out, "%s on %s way\n", status_text(j, "in_flight"),
		strcmp(status_text(j, "in_flight"), "1") == 0 ? "its" : "their");
	(void)buf_addf(&s->out, "ledger %s, event log %s%s\n", ledger ? "CANNOT BE WRITTEN" : "ok",
		log ? "CANNOT BE WRITTEN" : "ok", metrics[0] ? ", metrics CANNOT BE WRITTEN" : "");
	status_line(s, "  ", "", trouble);
	status_line(s, "  ", "", metrics);
	(void)buf_addc(&s->out, '\n');
	status_row(s, (const char *const[]){"WATCH", "STATE", "METHOD", "ON", "STARTED", "WAITING", "LISTED",
			      "LAST LISTING"});
}

static const char *status_state_words(const struct json *j, const char *state)
{
	if (strcmp(state, "lost") == 0)
		return status_text(j, "lost_why");
	return strcmp(state, "stalled") == 0  ? "it is stalled"
	       : strcmp(state, "down") == 0   ? "it has no process"
	       : strcmp(state, "no_job") == 0 ? "it waits until its job is known"
					      : "it is still being listed";
}

/* What of a watch stands still until a person acts, or slower than it could. */
static void status_watch_stands(struct status *s, const struct json *j, const char *name)
{
	const char *failure = status_text(j, "paused_by_failure");
	int64_t files = status_number(j, "unreadable_files"),
		directories = status_number(j, "unreadable_directories");
	CLEANUP_FREE char *denied = mem_printf("may not read %" PRId64 " file%s and %" PRId64 " director%s",
		files, files == 1 ? "" : "s", directories, directories == 1 ? "y" : "ies");
	static const char starved[] = "has too few descriptors (LimitNOFILE= of the unit, or ulimit -n)";
	int64_t mounts = status_number(j, "missing_mounts"),
		unwatched = status_number(j, "unwatched_directories");
	CLEANUP_FREE char *missing = mem_printf("misses what was mounted on %" PRId64 " director%s below it",
		mounts, mounts == 1 ? "y" : "ies");
	CLEANUP_FREE char *paused = mem_printf("is paused since a file became a dead letter (%s)", failure);

	if (failure[0]) {
		status_blame(s, "watch", name, paused);
		status_line(s, "    it ", paused, "; brickwatch resume lets it go on");
	}
	if (files + directories > 0) {
		status_blame(s, "watch", name, denied);
		status_line(s, "    it ", denied, "; brickwatch files --state waiting shows them");
	}
	if (mounts > 0) {
		status_blame(s, "watch", name, missing);
		status_line(s, "    it ", missing, "; brickwatch events --type watch.degraded names them");
	}
	if (json_is_true(json_get(j, "lacks_descriptors"))) {
		status_blame(s, "watch", name, starved);
		status_line(s, "    it ", starved, "; it is listed again every few seconds");
	}
	if (unwatched > 0)
		(void)buf_addf(&s->out,
			"    %" PRId64
			" director%s polled for want of inotify watches; brickwatch events --type "
			"watch.degraded names the limit\n",
			unwatched, unwatched == 1 ? "y is" : "ies are");
}

/* A mount that takes long to list is listed less often than was asked for. */
static void status_rounds(struct status *s, const struct json *j)
{
	int64_t round_ms = status_number(j, "poll_round_ms"), pause_ms = status_number(j, "poll_pause_ms");

	if (round_ms >= STATUS_LONG_ROUND_MS)
		(void)buf_addf(&s->out, "    a poll round takes %.1f s, the next begins %.0f s after it\n",
			(double)round_ms / 1000, (double)pause_ms / 1000);
}

static void status_watch(struct status *s, const struct json *j)
{
	const char *name = status_text(j, "watch"), *state = status_text(j, "state");
	const char *listed = status_text(j, "listed"), *waiting = status_text(j, "waiting");
	const char *started = status_text(json_get(j, "known"), "started");
	bool paused = json_is_true(json_get(j, "paused")), ready = strcmp(state, "ready") == 0;
	const char *words = status_state_words(j, state);
	CLEANUP_FREE char *how = mem_printf("is %s (%s)", state, words);
	char age[CLOCK_TEXT_BYTES], last[CLOCK_TEXT_BYTES + 8];

	s->watches++;
	s->ready += ready;
	if (!ready)
		status_blame(s, "watch", name, how);
	(void)snprintf(last, sizeof(last), "%s%s", listed[0] ? status_age(listed, age) : "not yet",
		listed[0] ? " ago" : "");
	status_row(s, (const char *const[]){name, paused ? "paused" : state, status_text(j, "method"),
			      status_text(j, "file_system"), started[0] ? started : "0",
			      waiting[0] ? waiting : "?", status_text(j, "listed_files"), last});
	if (paused && !ready)
		(void)buf_addf(&s->out, "    and it is %s\n", state);
	if (strcmp(state, "lost") == 0)
		status_line(s, "    ", "", words);
	status_watch_stands(s, j, name);
	status_rounds(s, j);
	status_line(s, "    ", "it is in ", status_text(j, "busy_with"));
	status_line(s, "    ", "", status_text(j, "limits"));
}

/* Held files, and those of a workspace that is no more. */
static void status_standing(struct status *s, const struct json *j)
{
	const char *name = status_text(j, "watch"),
		   *more = json_is_true(json_get(j, "or_more")) ? " or more" : "";
	bool held = strcmp(status_text(j, "state"), "held") == 0;
	int64_t n = status_number(j, "files");
	CLEANUP_FREE char *how = NULL;

	if (held)
		how = mem_printf("has %" PRId64 "%s held file%s (%s)", n, more, n == 1 ? "" : "s",
			status_text(j, "reason"));
	else
		how = mem_printf("has %" PRId64
				 "%s file%s for %s, which is no workspace of the configuration",
			n, more, n == 1 ? "" : "s", status_text(j, "host"));
	status_blame(s, "watch", name, how);
	(void)buf_adds(&s->out, "\nwatch ");
	status_add(s, name);
	(void)buf_addf(&s->out, " %s", how);
	if (held)
		(void)buf_addf(
			&s->out, "; brickwatch release --watch %s lets %s go", name, n == 1 ? "it" : "them");
	(void)buf_addc(&s->out, '\n');
}

/* With the words of the last answer. */
static void status_blame_place(
	struct status *s, const struct json *j, const char *what, const char *name, const char *how)
{
	CLEANUP_BUF struct buf b = BUF_INIT(STATUS_WHY_BYTES);
	const char *why = status_text(j, "detail");

	(void)buf_addf(&b, "%s%s", how, why[0] ? " (" : "");
	(void)text_add_printable(&b, why, strlen(why));
	(void)buf_adds(&b, why[0] ? ")" : "");
	status_blame(s, what, name, buf_str(&b));
}

/* How the service signs in, and how long what it has for that is good. */
static void status_sign_in(struct status *s, const struct json *j)
{
	const char *changed = status_text(j, "credential_changed"),
		   *expires = status_text(j, "token_expires");
	const char *kind = status_text(j, "auth");
	char age[CLOCK_TEXT_BYTES], left[CLOCK_TEXT_BYTES];
	int64_t end_us;

	if (!kind[0])
		return;
	(void)buf_adds(&s->out, "  signs in as ");
	status_add(s, status_text(j, "principal"));
	if (changed[0])
		(void)buf_addf(&s->out, ", with a file that was changed %s ago", status_age(changed, age));
	if (expires[0] && clock_parse_rfc3339(expires, &end_us) == 0) {
		end_us -= clock_wall_us();
		if (end_us > 0)
			(void)buf_addf(&s->out, "; its access token is good for %s",
				clock_format_span(end_us, left));
		else
			(void)buf_adds(&s->out, "; its access token is over");
	} else if (strcmp(kind, "token") != 0 && strcmp(kind, "basic") != 0) {
		(void)buf_adds(&s->out, "; it has no access token yet");
	}
	(void)buf_addc(&s->out, '\n');
}

/* "  job "load" (5) of watch orders", "workspace prod" */
static void status_name_place(struct status *s, const struct json *j, const char *name, bool is_job)
{
	char job[JOBCHECK_WORD_BYTES];
	int64_t id = 0;

	if (!is_job) {
		(void)buf_addf(&s->out, "\nworkspace %s", name);
		return;
	}
	if (json_get_i64(j, "job_id", &id) < 0)
		id = 0;
	(void)buf_addf(&s->out, "  %s of watch %s", jobcheck_call(id, json_get_text(j, "job_name"), job),
		status_text(j, "watch"));
}

/* What looking at the job has shown; notes are for `check --online`. What it is suspended for was said. */
static void status_findings(struct status *s, const struct json *j)
{
	const struct json *all = json_get(j, "findings");

	for (const struct json *it = json_first(all); it; it = json_next(it)) {
		if (strcmp(status_text(it, "level"), "note") == 0 ||
			text_ends_with(status_text(j, "detail"), status_text(it, "text")))
			continue;
		(void)buf_addf(&s->out, "    %s: ", status_text(it, "level"));
		status_add(s, status_text(it, "text"));
		(void)buf_addc(&s->out, '\n');
	}
	status_line(s, "    ", "", status_text(j, "not_checked"));
}

static bool status_has_findings(const struct json *j)
{
	const struct json *first = json_first(json_get(j, "findings"));

	return status_text(j, "not_checked")[0] ||
	       (first && strcmp(status_text(first, "level"), "note") != 0);
}

/* What keeps files from their runs. */
static void status_judge_place(struct status *s, const struct json *j, const char *name, bool is_job)
{
	const char *state = status_text(j, "state"), *watch = status_text(j, "watch");
	CLEANUP_FREE char *refused = mem_printf("(%s)", status_text(j, "not_checked"));

	if (strcmp(state, "suspended") == 0)
		status_blame_place(s, j, is_job ? "the job of watch" : "workspace", is_job ? watch : name,
			is_job ? "cannot be started" : "cannot be reached, or refuses the credential");
	else if (strcmp(state, "slow") == 0 && status_number(j, "next_try_ms") > STATUS_LONG_MS)
		status_blame_place(s, j, "workspace", name, "asks to wait");
	else if (strcmp(state, "failing") == 0)
		status_blame_place(s, j, "the job of watch", watch, "is not started, whatever is tried");
	else if (is_job && json_is_true(json_get(j, "credential_refused")))
		status_blame(s, "the credential of watch", watch, refused);
}

static void status_place(struct status *s, const struct json *j, bool is_job)
{
	const char *state = status_text(j, "state");
	const char *name = status_text(j, "workspace");
	int64_t next_ms;
	const char *since = status_text(j, "fails_since");
	char span[CLOCK_TEXT_BYTES];

	if (!name[0])
		name = status_text(j, "host");
	status_judge_place(s, j, name, is_job);
	if (is_job && strcmp(state, "ok") == 0 && !status_has_findings(j))
		return; /* nothing to say; the counts say how much waits */
	next_ms = status_number(j, "next_try_ms");
	status_name_place(s, j, name, is_job);
	(void)buf_addf(&s->out, " is %s", state);
	if (since[0])
		(void)buf_addf(&s->out, ", no run was started for %s", status_age(since, span));
	if (next_ms > 0)
		(void)buf_addf(&s->out, ", next try in %s", clock_format_span(next_ms * US_PER_MS, span));
	(void)buf_addc(&s->out, '\n');
	status_line(s, "    ", "", status_text(j, "detail"));
	if (is_job)
		status_findings(s, j);
	else
		status_sign_in(s, j);
}

/* Files that may have been sent to a workspace that is not configured any more. */
static void status_stranded(struct status *s, const struct json *j)
{
	CLEANUP_BUF struct buf how = BUF_INIT(STATUS_WHY_BYTES);
	bool one = strcmp(status_text(j, "pending"), "1") == 0;

	(void)buf_addf(
		&how, "has %s file%s that may have been sent to ", status_text(j, "pending"), one ? "" : "s");
	(void)text_add_printable(&how, status_text(j, "host"), strlen(status_text(j, "host")));
	(void)buf_adds(&how, ", which is not configured any more");
	status_blame(s, "watch", status_text(j, "watch"), buf_str(&how));
	(void)buf_addf(&s->out, "\n%s file%s of watch %s wait%s for ", status_text(j, "pending"),
		one ? "" : "s", status_text(j, "watch"), one ? "s" : "");
	status_add(s, status_text(j, "host"));
	(void)buf_adds(&s->out,
		", a workspace that is not configured any more. They may have been sent, and\n"
		"only it can tell whether their runs exist: bring it back, or brickwatch rerun or drop "
		"--reason "
		"TEXT PATH\n");
}

static void status_judge_consumer(struct status *s, const struct json *j)
{
	char span[CLOCK_TEXT_BYTES];
	int64_t fails_ms = status_number(j, "fails_ms");
	CLEANUP_FREE char *how =
		mem_printf("has not taken its events for %s", clock_format_span(fails_ms * US_PER_MS, span));

	if (fails_ms >= STATUS_LONG_FAILURE_MS)
		status_blame_place(s, j, "consumer", status_text(j, "consumer"), how);
}

/* Who is told of events. */
static void status_consumer(struct status *s, const struct json *j)
{
	const char *last = status_text(j, "last_delivery"), *oldest = status_text(j, "oldest");
	int64_t dropped = status_number(j, "dropped"), next_ms = status_number(j, "next_try_ms");
	char span[CLOCK_TEXT_BYTES];

	status_judge_consumer(s, j);
	(void)buf_addf(&s->out, "\nconsumer %s (%s ", status_text(j, "consumer"), status_text(j, "way"));
	status_add(s, status_text(j, "place"));
	(void)buf_addf(&s->out, ") is %s, ", status_text(j, "state"));
	status_many(s, status_text(j, "waiting"), "event",
		strcmp(status_text(j, "waiting"), "1") == 0 ? " waits" : " wait");
	if (oldest[0])
		(void)buf_addf(&s->out, ", the oldest for %s", status_age(oldest, span));
	if (last[0])
		(void)buf_addf(&s->out, "; last delivery %s ago", status_age(last, span));
	else
		(void)buf_adds(&s->out, "; no delivery yet");
	if (dropped > 0)
		(void)buf_addf(&s->out, "; %" PRId64 " dropped so far", dropped);
	if (next_ms > 0)
		(void)buf_addf(&s->out, "; next try in %s", clock_format_span(next_ms * US_PER_MS, span));
	(void)buf_addc(&s->out, '\n');
	status_line(s, "    ", "", status_text(j, "detail"));
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
	else if (strcmp(kind, "stranded") == 0)
		status_stranded(s, j);
	else if (strcmp(kind, "consumer") == 0)
		status_consumer(s, j);
	else if (strcmp(kind, "standing") == 0)
		status_standing(s, j);
	else if (strcmp(kind, "counts") == 0)
		status_counts(s, j);
}

static int status_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"check", no_argument, NULL, STATUS_CHECK}};
	struct status s = {.out = BUF_INIT(STATUS_TEXT_BYTES), .why = BUF_INIT(STATUS_WHY_BYTES)};
	struct client_command q = {.command.verb = "status",
		.looks = true,
		.repeatable = true,
		.record = status_record,
		.arg = &s};
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
	s.columns = terminal_columns(STDOUT_FILENO);
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
		"How the running service is: each watch, workspace and job, and its files.\n"
		"STARTED are all files of the watch that the ledger has as started, WAITING those that are\n"
		"not complete yet, LISTED those that the last listing met.",
	.help = "  --check            one line; exit status 0 healthy, 1 degraded, 3 not running\n"
		"  --json             one JSON object a line\n",
	.run = status_run,
};
