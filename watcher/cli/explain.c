/*
 * explain: why would this file start a run, or not? Every watch whose folder holds the path is asked: the
 * running watcher, which has seen what happened, or without a service one of its own (nobody else touches
 * drop folders); path mapping, version, token and request are then worked out here by the same functions as
 * the dispatcher uses.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sock.h"
#include "base/text.h"
#include "base/trace.h"
#include "core/filetype.h"
#include "core/jobcheck.h"
#include "core/request.h"
#include "core/rules.h"
#include "core/start.h"
#include "cli/client.h"
#include "cli/history.h"
#include "cli/pending.h"
#include "cli/trialwatch.h"
#include "dispatch/jobwatch.h"
#include "dispatch/ledger.h"

#define EXPLAIN_ANSWER_MS 60000 /* type_deadline and a slow mount together */
#define EXPLAIN_REASON_BYTES 8192
#define EXPLAIN_TEXT_BYTES (32u * 1024 * 1024)

/* What one watch makes of the path. */
struct explain_watch {
	const struct conf *conf;
	const struct conf_watch *watch;
	const char *path;
	struct json_writer *json; /* NULL: text for people */
	struct buf *out;
	struct wire_message *in;
	bool starts; /* it would start a run */
	bool never;  /* its name is not looked at, or no folder of the watch holds it */
	struct history history;
	const char *root;
	struct client *client; /* of the running service; NULL: none */
	bool has_file;
	struct buf no_watcher; /* why the running service has none for it; "" it has */
	struct explain_told {  /* what the watcher says of the file itself */
		struct wire_file file;
		char ends[VERSION_ENDS_HEX], mime[FILETYPE_MIME_BYTES], rule[LEDGER_WORD_BYTES],
			detail[RULES_WHY_BYTES], file_system[LEDGER_WORD_BYTES];
	} told;
};

static void explain_text(struct buf *b, const char *text)
{
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");

		(void)text_add_printable(b, p, n);
		p += n;
		if (*p == '\n' && p[1])
			(void)buf_adds(b, "\n                        ");
		p += *p == '\n';
	}
}

/* ok: 1 passes, 0 does not, 2 neither. */
static void explain_step(struct explain_watch *e, const char *step, int64_t ok, const char *text)
{
	static const char *const marks[] = {"NO", "yes", "-"};

	if (e->json) {
		json_begin_object(e->json, NULL);
		json_add_string(e->json, "step", step);
		if (ok == 2)
			json_add_null(e->json, "passes");
		else
			json_add_bool(e->json, "passes", ok == 1);
		json_add_string(e->json, "text", text);
		json_end_object(e->json);
		return;
	}
	(void)buf_addf(e->out, "  %-4s%-16s  ", marks[ok == 0 || ok == 1 ? ok : 2], step);
	explain_text(e->out, text);
	(void)buf_addc(e->out, '\n');
}

static void explain_fact(struct explain_watch *e, const char *key, const char *text)
{
	if (e->json)
		json_add_string(e->json, key, text);
	else {
		(void)buf_addf(e->out, "  %-20s  ", key);
		explain_text(e->out, text);
		(void)buf_addc(e->out, '\n');
	}
}

static void explain_step_of(struct explain_watch *e, const struct wire_explained *m)
{
	char group[TRIALWATCH_GROUP_BYTES];

	if (m->ok == 0 && (strcmp(m->step, "name") == 0 || strcmp(m->step, "watch") == 0))
		e->never = true;
	explain_step(e, m->step, m->ok, trialwatch_group(m, group));
}

static void explain_on_step(const struct wire_explained *m, void *arg)
{
	explain_step_of(arg, m);
}

static void explain_copy(char *to, size_t room, const struct json *j, const char *key)
{
	const char *text = json_get_text(j, key);

	(void)snprintf(to, room, "%s", text ? text : "");
}

static int64_t explain_number(const struct json *j, const char *key)
{
	int64_t v;

	return json_get_i64(j, key, &v) < 0 ? 0 : v;
}

/* The last record: the file as the watcher knows it. Its place is known here, byte by byte. */
static void explain_take_file(struct explain_watch *e, const struct json *j)
{
	struct explain_told *t = &e->told;
	const char *relpath = e->path + strlen(e->root);

	explain_copy(t->ends, sizeof(t->ends), j, "ends");
	explain_copy(t->mime, sizeof(t->mime), j, "mime");
	explain_copy(t->rule, sizeof(t->rule), j, "rule");
	explain_copy(t->detail, sizeof(t->detail), j, "detail");
	explain_copy(t->file_system, sizeof(t->file_system), j, "file_system");
	t->file = (struct wire_file){
		.root = e->root,
		.relpath = relpath + (*relpath == '/'),
		.size = explain_number(j, "size"),
		.mtime_ns = explain_number(j, "mtime_ns"),
		.ino = explain_number(j, "ino"),
		.ends = t->ends,
		.mime = t->mime,
		.rule = t->rule,
		.detail = t->detail,
		.evidence = t->file_system,
		.dead_letter = json_is_true(json_get(j, "dead_letter")),
	};
	e->has_file = true;
}

static void explain_record(const struct wire_record *raw, const struct json *j, void *arg)
{
	struct explain_watch *e = arg;
	const char *step = json_get_text(j, "step"), *text = json_get_text(j, "text");
	const struct wire_explained m = {
		.step = step ? step : "?", .ok = explain_number(j, "ok"), .text = text ? text : ""};

	(void)raw;
	if (json_get_text(j, "no_watcher"))
		(void)buf_adds(&e->no_watcher, json_get_text(j, "no_watcher"));
	else if (json_get(j, "file"))
		explain_take_file(e, json_get(j, "file"));
	else
		explain_step_of(e, &m);
}

/* Asks the watcher of the running service. 1: answered, 0: it has none for this watch, or is just ending;
 * -errno
 */
static int explain_ask_service(struct explain_watch *e, struct err *err)
{
	const char *const operands[] = {e->path};
	struct client_command q = {
		.command = {.verb = "explain", .watch = e->watch->name},
		.operands = operands,
		.operands_n = 1,
		.looks = true,
		.record = explain_record,
		.arg = e,
	};
	CLEANUP_FREE char *text = NULL;
	struct err none = ERR_INIT;
	int rc = client_ask(e->client, &q, &text, &none);

	if (rc == CLI_USAGE || rc == -ECONNRESET)
		return 0;
	if (rc == CLI_DONE && e->no_watcher.len > 0)
		return 0;
	if (rc == CLI_DONE && e->has_file)
		return 1;
	return err_set(err, ERR_SYSTEM, EIO, "%s",
		rc < 0		  ? none.text
		: text && text[0] ? text
				  : "the service's answer is not whole");
}

/* The request with everything that is sent but the credential. */
static void explain_request(
	struct explain_watch *e, const char *host, const char *api_version, const char *body)
{
	CLEANUP_BUF struct buf text = BUF_INIT(REQUEST_BODY_BYTES + 4096);

	if (e->json) {
		json_begin_object(e->json, NULL);
		json_add_string(e->json, "step", "request");
		json_add_bool(e->json, "passes", true);
		(void)buf_addf(&text, "%s/api/%s/jobs/run-now", host, api_version);
		json_add_string(e->json, "url", buf_str(&text));
		json_add_raw(e->json, "body", body, strlen(body));
		json_end_object(e->json);
		return;
	}
	(void)buf_addf(&text, "POST %s/api/%s/jobs/run-now\nAuthorization: Bearer ****\n%s", host,
		api_version, body);
	explain_step(e, "request", 1, buf_str(&text));
}

/* What the ledger knows. */
static void explain_history(struct explain_watch *e, const struct wire_file *f)
{
	CLEANUP_BUF struct buf text = BUF_INIT(4096);
	struct version now = {.size = f->size, .mtime_ns = f->mtime_ns, .ino = (uint64_t)f->ino};

	const struct history_question q = {
		.conf = e->conf,
		.watch = e->watch,
		.root = f->root,
		.relpath = f->relpath,
		.file_system = f->evidence,
		.now = f->size >= 0 ? &now : NULL,
	};

	memcpy(now.ends, f->ends, strnlen(f->ends, sizeof(now.ends) - 1));
	history_find(&q, &e->history, &text);
	if (e->history.kind == HISTORY_SAME && e->history.state == LEDGER_PENDING) {
		CLEANUP_FREE char *path = fs_join(f->root, f->relpath);

		pending_ask(e->conf, path, &e->history.waits);
	}
	explain_step(e, "ledger", e->history.kind == HISTORY_UNREADABLE ? 0 : 2, buf_str(&text));
	if (!e->history.mount_had[0])
		return;
	buf_reset(&text);
	(void)buf_addf(&text,
		"the directory is on %s, and was on %s: its mount is missing; nothing in it is judged until "
		"it is back, or until brickwatch resume %s says that this is meant",
		f->evidence, e->history.mount_had, e->watch->name);
	explain_step(e, "mount", 0, buf_str(&text));
	e->starts = false;
}

static const struct conf_workspace *explain_workspace(const struct conf *conf, const char *host_token)
{
	for (size_t i = 0; i < conf->workspaces_n; i++)
		if (conf->workspaces[i]->host_token &&
			strcmp(conf->workspaces[i]->host_token, host_token) == 0)
			return conf->workspaces[i];
	return NULL;
}

/* What goes out, or went out, stands in the ledger, whatever the configuration says now. Of a host that is
 * not configured any more only the name is known, not whether it was http or https. */
static void explain_kept(struct explain_watch *e)
{
	const struct history *h = &e->history;
	const struct conf_workspace *ws = explain_workspace(e->conf, h->host);
	const char *host = ws ? ws->host : h->host;
	CLEANUP_FREE char *token = mem_printf("%s (generation %" PRId64 ")", h->token, h->generation);

	explain_step(e, "path_map", 2, h->uri);
	explain_step(e, "token", 2, token);
	if (h->stranded) {
		CLEANUP_FREE char *text = mem_printf("%s is not configured any more; it may have been sent "
						     "there, and only that workspace can "
						     "tell whether its run exists: bring it back, or "
						     "brickwatch rerun or drop it, with --reason",
			h->host);

		explain_step(e, "workspace", 0, text);
	}
	explain_request(e, host, ws ? ws->api_version : e->watch->workspace->api_version, h->request);
}

static void explain_outcome(struct explain_watch *e, const struct wire_file *f)
{
	CLEANUP_BUF struct buf text = BUF_INIT(4096);
	bool exists = f->size >= 0, known = e->history.kind == HISTORY_SAME;
	const struct start_facts facts = {
		.watch = e->watch,
		.path = e->path,
		.relpath = f->relpath,
		.size = exists ? f->size : 0,
		.mtime_ns = exists ? f->mtime_ns : 0,
		.mime = f->mime,
		.generation = known ? e->history.generation : 1,
		.now_us = clock_wall_us(),
	};
	char mtime[CLOCK_TEXT_BYTES];
	const char *reason = "";
	struct err err = ERR_INIT;
	struct start s;
	int rc;

	start_init(&s);
	rc = start_make(&facts, &s, &reason, &err);
	explain_step(e, "path_map", s.mapped ? 1 : 2,
		s.mapped ? buf_str(&s.uri) : "no path_map matches: the job gets the local path");
	(void)buf_addf(&text, "size %" PRId64 ", mtime %s%s%s", facts.size,
		clock_format_ns(facts.mtime_ns, mtime), f->ends[0] ? ", ends " : "", f->ends);
	explain_step(e, "version", 2,
		exists ? buf_str(&text)
		       : "none: the file is not there; size 0 and time 0 stand for it below");
	buf_reset(&text);
	(void)buf_addf(&text, "%s (generation %" PRId64 ")", s.token, facts.generation);
	explain_step(e, "token", 2, buf_str(&text));
	buf_reset(&text);
	if (rc == 0) {
		explain_request(
			e, e->watch->workspace->host, e->watch->workspace->api_version, buf_str(&s.body));
	} else {
		(void)buf_addf(
			&text, "cannot be made: %s (it would become a dead letter: %s)", err.text, reason);
		explain_step(e, "request", 0, buf_str(&text));
		e->starts = false;
	}
	start_done(&s);
}

/* The job of the watch in words. */
static const char *explain_job(const struct explain_watch *e, char out[JOBCHECK_WORD_BYTES])
{
	return jobcheck_call(e->watch->job_id, e->watch->job_name, out);
}

/* A job_name that was not found yet, or that the service does not take: no run before it is. */
static void explain_unknown_job(struct explain_watch *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT(8192);
	char job[JOBCHECK_WORD_BYTES];

	if (e->no_watcher.len > 0)
		(void)buf_adds(&b, buf_str(&e->no_watcher));
	else if (e->watch->job_id > 0)
		return;
	else
		(void)buf_addf(&b,
			"%s, whose number is not known yet; its files wait (brickwatch status, or check "
			"--online, "
			"tells more)",
			explain_job(e, job));
	explain_step(e, "job", 0, buf_str(&b));
	e->starts = false;
}

static void explain_known(const struct explain_watch *e, struct buf *b)
{
	char job[JOBCHECK_WORD_BYTES];

	if (e->history.state == LEDGER_STARTED)
		(void)buf_addf(
			b, "started already, as run %" PRId64 "; not started again", e->history.run_id);
	else if (e->history.stranded)
		(void)buf_addf(b, "accepted; may have been sent to %s, which is not configured any more",
			e->history.host);
	else if (e->history.state == LEDGER_PENDING)
		(void)buf_addf(b, "accepted; waits for %s to be started%s",
			e->history.job_id > 0 && e->history.job_id != e->watch->job_id
				? jobcheck_call(e->history.job_id, NULL, job)
				: explain_job(e, job),
			buf_str(&e->history.waits));
	else
		(void)buf_addf(b, "known as %s; no run by itself", ledger_state_name(e->history.state));
}

static void explain_close(struct explain_watch *e, const struct wire_file *f, const char *trouble)
{
	CLEANUP_BUF struct buf b = BUF_INIT(8192);
	char job[JOBCHECK_WORD_BYTES];

	if (e->json)
		json_end_array(e->json);
	if (trouble)
		(void)buf_addf(&b, "cannot tell: %s", trouble);
	else if (e->history.kind == HISTORY_SAME && e->history.state != LEDGER_REJECTED)
		explain_known(e, &b);
	else if (f->rule[0])
		(void)buf_addf(&b, "%s (%s): %s",
			f->dead_letter ? "dead letter, no run" : "turned away, no run", f->rule, f->detail);
	else if (e->never || f->size == WIRE_SIZE_NOT_A_FILE)
		(void)buf_adds(&b, "no run; see the NO above");
	else if (f->size < 0)
		(void)buf_adds(&b, "no run now; see the first NO above");
	else if (e->history.kind == HISTORY_UNREADABLE)
		(void)buf_adds(&b, "cannot tell: whether this version was started already is known to the "
				   "ledger only");
	else if (e->starts)
		(void)buf_addf(&b, "starts %s when complete", explain_job(e, job));
	else
		(void)buf_adds(&b, "no run; see the first NO above");
	explain_fact(e, "verdict", buf_str(&b));
	if (e->json)
		json_end_object(e->json);
	else
		(void)buf_addc(e->out, '\n');
}

static void explain_open(struct explain_watch *e, const char *root)
{
	CLEANUP_BUF struct buf b = BUF_INIT(8192);

	if (e->json) {
		json_begin_object(e->json, NULL);
		json_add_string(e->json, "watch", e->watch->name);
		json_add_string(e->json, "directory", root);
		json_begin_array(e->json, "steps");
		return;
	}
	(void)buf_addf(&b, "watch %s, directory ", e->watch->name);
	explain_text(&b, root);
	(void)buf_addf(e->out, "%s\n", buf_str(&b));
}

static int explain_one(struct explain_watch *e, const char *root)
{
	struct err err = ERR_INIT;
	int rc;

	e->root = root;
	explain_open(e, root);
	e->never = false;
	history_done(&e->history);
	e->history = (struct history){.kind = HISTORY_NONE};
	e->has_file = false;
	buf_reset(&e->no_watcher);
	rc = e->client ? explain_ask_service(e, &err) : 0;
	if (rc == 0 && e->client && e->no_watcher.len == 0)
		explain_step(e, "service", 2,
			"the running service does not know this watch; a watcher of its own was asked");
	if (rc == 0) {
		rc = trialwatch_ask(
			e->conf, e->watch, e->path, EXPLAIN_ANSWER_MS, explain_on_step, e, e->in, &err);
		e->told.file = e->in->as.file;
	}
	if (rc < 0) {
		explain_close(e, NULL, err.text);
		return CLI_FAILED;
	}
	e->starts = e->told.file.size >= 0 && !e->told.file.rule[0];
	if (!e->never && e->told.file.size != WIRE_SIZE_NOT_A_FILE)
		explain_history(e, &e->told.file);
	explain_unknown_job(e);
	if (!e->never && e->told.file.size != WIRE_SIZE_NOT_A_FILE && !e->told.file.rule[0] &&
		e->watch->workspace && e->watch->job_id > 0) {
		if (e->history.kind == HISTORY_SAME && e->history.request)
			explain_kept(e);
		else
			explain_outcome(e, &e->told.file);
	}
	explain_close(e, &e->told.file, NULL);
	return e->history.kind == HISTORY_UNREADABLE ? CLI_FAILED : CLI_DONE;
}

/* What a watch had of it that is not configured any more. */
static void explain_removed(const char *watch, const char *text, void *arg)
{
	struct explain_watch *e = arg;

	if (e->json) {
		json_begin_object(e->json, NULL);
		json_add_string(e->json, "watch", watch);
		json_add_bool(e->json, "configured", false);
		json_begin_array(e->json, "steps");
		explain_step(e, "ledger", 2, text);
		json_end_array(e->json);
		json_add_string(e->json, "verdict", text);
		json_end_object(e->json);
		return;
	}
	(void)buf_adds(e->out, "watch ");
	explain_text(e->out, watch);
	(void)buf_adds(e->out, ", which is not configured any more\n");
	explain_step(e, "ledger", 2, text);
	(void)buf_addc(e->out, '\n');
}

static int explain_nobody(struct explain_watch *e, const struct err *err)
{
	if (e->json)
		return CLI_FAILED;
	explain_text(e->out, e->path);
	(void)buf_adds(e->out, "\n  NO  no watch: this path is not below any configured directory\n");
	if (err->text[0])
		(void)buf_addf(e->out, "  NO  ledger: %s\n", err->text);
	return CLI_FAILED;
}

/* The numbers of job names are in the ledger; without it they are not known. */
static void explain_recall_jobs(struct conf *conf)
{
	struct ledger *l = NULL;
	struct err none = ERR_INIT;

	if (ledger_open_read_only(conf->service.state_directory, &l, &none) == 0 &&
		jobwatch_recall(conf, l, &none) < 0)
		trace(TRACE_CONTROL, "%s", none.text);
	ledger_close(l);
}

static int explain_all(const struct conf *conf, const char *path, bool json)
{
	CLEANUP_BUF struct buf out = BUF_INIT(EXPLAIN_TEXT_BYTES);
	CLEANUP_FREE struct wire_message *in = mem_alloc(sizeof(*in));
	struct json_writer w = JSON_WRITER(&out);
	struct explain_watch e = {.conf = conf,
		.path = path,
		.json = json ? &w : NULL,
		.out = &out,
		.in = in,
		.no_watcher = BUF_INIT(EXPLAIN_REASON_BYTES)};
	struct err none = ERR_INIT;
	const char *root;
	size_t from = 0;
	int status = CLI_DONE, rc, removed;
	bool found = false;

	if (client_open(conf, &e.client, &none) < 0)
		trace(TRACE_CONTROL, "%s; a watcher of its own is asked", none.text);
	if (json)
		json_begin_array(&w, NULL);
	while ((e.watch = conf_watch_for_path(conf, path, &from, &root))) {
		found = true;
		rc = explain_one(&e, root);
		if (rc != CLI_DONE)
			status = rc;
	}
	none = ERR_INIT;
	removed = history_of_removed(conf, path, explain_removed, &e, &none);
	if (!found && removed <= 0)
		status = explain_nobody(&e, &none);
	if (json) {
		json_end_array(&w);
		(void)buf_addc(&out, '\n');
	}
	client_close(e.client);
	history_done(&e.history);
	buf_done(&e.no_watcher);
	(void)fputs(buf_str(&out), stdout);
	return status;
}

static int explain_run(const struct cli_verb *verb, int argc, char **argv)
{
	CLEANUP_FREE char *path = NULL;
	struct cli_common common;
	struct err err = ERR_INIT;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, NULL, 0, NULL, NULL, &common, &rest);
	if (rc >= 0)
		return rc;
	if (argc - rest != 1)
		return cli_usage(verb, "exactly one PATH is expected");
	path = client_path(argv[rest], &err);
	if (!path)
		return cli_usage(verb, "%s", err.text);
	rc = cli_load(common.config, false, &conf);
	if (rc != 0)
		return rc;
	trace_set_up((enum log_level)conf->service.log_level, conf->service.trace);
	(void)signal(SIGPIPE, SIG_IGN);
	explain_recall_jobs(conf);
	rc = explain_all(conf, path, common.json);
	conf_free(conf);
	return rc;
}

const struct cli_verb cli_explain = {
	.name = "explain",
	.usage = "[-c FILE] [--json] PATH",
	.summary = "Why this file would start a run, or not, step by step, with the request.\n"
		   "The watch, each rule, completeness, type with each voice, version and token. The path "
		   "need not\n"
		   "exist yet. Nothing is sent or written.",
	.help = "  --json             as JSON\n",
	.run = explain_run,
};
