/*
 * adopt: reads event logs, which the service may not be able to (another host's, a copy in somebody's home),
 * and sends it the lines about started runs.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/client.h"

#define ADOPT_LINE_BYTES (60u * 1024)	 /* what one message holds; lines of ours are shorter */
#define ADOPT_LINES 2000		 /* in one command */
#define ADOPT_LINE_BEGINS "{\"time\":\"" /* every line of ours */
#define ADOPT_BYTES (800u * 1024)	 /* likewise */

enum { ADOPT_REASON = CLI_OPTION_FIRST };

struct adopt_cli {
	struct client *client;
	const char *reason, *file;
	char *lines[ADOPT_LINES];
	size_t n, bytes;
	int64_t read, events; /* lines of the file in hand */
	int64_t inserted, started, known, damaged;
};

static int adopt_take(int opt, const char *value, void *arg, struct err *err)
{
	struct adopt_cli *a = arg;

	(void)err;
	if (opt != ADOPT_REASON)
		return -EINVAL;
	a->reason = value;
	return 0;
}

static int64_t adopt_number(const struct json *j, const char *key)
{
	int64_t v;

	return json_get_i64(j, key, &v) < 0 ? 0 : v;
}

static void adopt_record(const struct wire_record *raw, const struct json *j, void *arg)
{
	struct adopt_cli *a = arg;

	(void)raw;
	a->inserted += adopt_number(j, "inserted");
	a->started += adopt_number(j, "started");
	a->known += adopt_number(j, "known");
	a->damaged += adopt_number(j, "damaged");
}

/* Sends what was gathered. */
static int adopt_send(struct adopt_cli *a, struct err *err)
{
	struct client_command q = {
		.command = {.verb = "adopt", .reason = a->reason, .glob = a->file},
		.operands = (const char *const *)a->lines,
		.operands_n = a->n,
		.record = adopt_record,
		.arg = a,
	};
	CLEANUP_FREE char *text = NULL;
	int rc = a->n > 0 ? client_ask(a->client, &q, &text, err) : 0;

	for (size_t i = 0; i < a->n; i++)
		free(a->lines[i]);
	a->n = a->bytes = 0;
	if (rc > 0 && text && text[0])
		return err_set(err, ERR_SYSTEM, EIO, "%s", text);
	return rc < 0 ? rc : 0;
}

/* Only lines that can be about a started run need to travel. */
static int adopt_line(struct adopt_cli *a, const struct buf *line, struct err *err)
{
	a->read++;
	a->events += text_starts_with(buf_str(line), ADOPT_LINE_BEGINS);
	if (!strstr(buf_str(line), "\"run.started\""))
		return 0;
	a->lines[a->n++] = mem_strdup(buf_str(line));
	a->bytes += line->len;
	return a->n == ADOPT_LINES || a->bytes > ADOPT_BYTES ? adopt_send(a, err) : 0;
}

static int adopt_file(struct adopt_cli *a, const char *path, struct err *err)
{
	CLEANUP_BUF struct buf line = BUF_INIT(ADOPT_LINE_BYTES);
	struct gzip_reader *r = gzip_reader_open(path, err);
	int rc = r ? 1 : -err->code;
	bool torn = false;

	a->file = path;
	a->read = a->events = 0;
	while (rc > 0) {
		rc = gzip_reader_line(r, &line, &torn, err);
		if (rc == -EFBIG) {
			log_warning("%s: a line is too long to be an event; passed over", path);
			a->damaged++;
			rc = 1;
		} else if (rc > 0 && !torn) { /* a torn one is still in its ledger, or was written again */
			rc = adopt_line(a, &line, err) < 0 ? -err->code : 1;
		}
	}
	gzip_reader_close(r);
	if (rc == 0 && a->read > 0 && a->events == 0)
		return err_set(err, ERR_INPUT, EINVAL,
			"%s is not an event log: none of its lines is an event", path);
	return rc == 0 ? adopt_send(a, err) : rc;
}

static int adopt_all(struct adopt_cli *a, const struct conf *conf, char **files, int n)
{
	struct err err = ERR_INIT;
	int rc = client_open(conf, &a->client, &err);

	if (rc == -ENOENT) {
		log_error("%s", err.text);
		return CLI_NOT_RUNNING;
	}
	for (int i = 0; i < n && rc == 0; i++)
		rc = adopt_file(a, files[i], &err);
	client_close(a->client);
	for (size_t i = 0; i < a->n; i++)
		free(a->lines[i]);
	if (rc < 0)
		return cli_fail(&err);
	return a->damaged > 0 ? CLI_FAILED : CLI_DONE;
}

static int adopt_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"reason", required_argument, NULL, ADOPT_REASON}};
	CLEANUP_FREE struct adopt_cli *a = mem_alloc(sizeof(*a));
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), adopt_take, a, &common, &rest);
	if (rc >= 0)
		return rc;
	if (rest == argc)
		return cli_usage(verb, "which event logs? The oldest first");
	rc = cli_load_for_service(common.config, &conf);
	if (rc != 0)
		return rc;
	rc = adopt_all(a, conf, argv + rest, argc - rest);
	conf_free(conf);
	if (rc == CLI_NOT_RUNNING)
		return rc;
	if (common.json)
		(void)printf("{\"inserted\":%" PRId64 ",\"started\":%" PRId64 ",\"known\":%" PRId64
			     ",\"damaged\":%" PRId64 "}\n",
			a->inserted, a->started, a->known, a->damaged);
	else
		(void)printf("%" PRId64 " files adopted that were not known, %" PRId64
			     " that waited, were held or skipped; %" PRId64 " were known as started; %" PRId64
			     " damaged lines\n",
			a->inserted, a->started, a->known, a->damaged);
	return rc;
}

const struct cli_verb cli_adopt = {
	.name = "adopt",
	.usage = "[-c FILE] [--reason TEXT] [--json] EVENTLOG…",
	.summary = "Marks as started what event logs say was started.\n"
		   "Compressed or not, the oldest first. For a host that joins, returns or moves, a renamed\n"
		   "watch, a lost ledger.",
	.help = "  --reason TEXT      why; stands in the event log\n"
		"  --json             the numbers as JSON\n",
	.run = adopt_run,
};
