/*
 * service: rescan, pause, resume, reload: what can be asked of a running service as a whole or of one watch.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/client.h"

enum { SERVICE_REASON = CLI_OPTION_FIRST };

static int service_take(int opt, const char *value, void *arg, struct err *err)
{
	struct wire_command *m = arg;

	(void)err;
	if (opt != SERVICE_REASON)
		return -EINVAL;
	m->reason = value;
	return 0;
}

/* reload: a mistake. */
static void service_record(const struct wire_record *raw, const struct json *j, void *arg)
{
	CLEANUP_BUF struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	const bool *json = arg;
	const char *text = json_get_text(j, "mistake");

	if (*json)
		(void)printf("%.*s\n", (int)raw->json_len, (const char *)raw->json);
	else if (text && text_add_printable(&b, text, strlen(text)) == 0)
		(void)fprintf(stderr, "%s\n", buf_str(&b));
}

/* operands: how many at least and at most (the name of a watch). */
static int service_ask(const struct cli_verb *verb, int argc, char **argv, int least, int most)
{
	static const struct option own[] = {{"reason", required_argument, NULL, SERVICE_REASON}};
	struct cli_common common;
	struct client_command q = {.command.verb = verb->name,
		.record = service_record,
		.arg = &common.json,
		.repeatable = true};
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), service_take, &q.command, &common, &rest);
	if (rc >= 0)
		return rc;
	if (argc - rest < least)
		return cli_usage(verb, "which watch?");
	if (argc - rest > most)
		return cli_usage(verb, "unexpected \"%s\"", argv[rest + most]);
	if (rest < argc)
		q.command.watch = argv[rest];
	rc = cli_load_for_service(common.config, &conf);
	if (rc != 0)
		return rc;
	rc = client_run(conf, &q, common.json);
	conf_free(conf);
	return rc;
}

static int service_rescan(const struct cli_verb *verb, int argc, char **argv)
{
	return service_ask(verb, argc, argv, 0, 1);
}

static int service_one(const struct cli_verb *verb, int argc, char **argv)
{
	return service_ask(verb, argc, argv, 1, 1);
}

static int service_reload(const struct cli_verb *verb, int argc, char **argv)
{
	return service_ask(verb, argc, argv, 0, 0);
}

#define SERVICE_HELP "  --reason TEXT      why; stands in the event log\n"

const struct cli_verb cli_rescan = {
	.name = "rescan",
	.usage = "[-c FILE] [--reason TEXT] [NAME]",
	.summary = "Lists the folders of a watch, or of all watches, now.",
	.help = SERVICE_HELP,
	.run = service_rescan,
};

const struct cli_verb cli_pause = {
	.name = "pause",
	.usage = "[-c FILE] [--reason TEXT] NAME",
	.summary = "Nothing of a watch is sent, also over restarts, until it is resumed.\n"
		   "Its files are accepted and wait.",
	.help = SERVICE_HELP,
	.run = service_one,
};

const struct cli_verb cli_resume = {
	.name = "resume",
	.usage = "[-c FILE] [--reason TEXT] NAME",
	.summary = "A paused watch goes on.",
	.help = SERVICE_HELP,
	.run = service_one,
};

const struct cli_verb cli_reload = {
	.name = "reload",
	.usage = "[-c FILE] [--reason TEXT] [--json]",
	.summary = "The running service reads its configuration again.\n"
		   "A mistaken one is refused whole, with every mistake and exit status 78, and the running\n"
		   "one stays; else only changed watches are restarted.",
	.help = SERVICE_HELP "  --json             one JSON object a mistake\n",
	.run = service_reload,
};
