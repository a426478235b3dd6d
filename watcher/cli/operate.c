/*
 * operate: release, retry, drop, rerun: what a person decides about files. The service does it; here paths
 * are made absolute and the answer is shown.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/client.h"
#include "dispatch/selection.h"

enum {
	OPERATE_STATE = CLI_OPTION_FIRST,
	OPERATE_WATCH,
	OPERATE_SINCE,
	OPERATE_UNTIL,
	OPERATE_GLOB,
	OPERATE_REASON,
	OPERATE_YES,
};

static int operate_take(int opt, const char *value, void *arg, struct err *err)
{
	struct wire_command *m = arg;

	switch (opt) {
	case OPERATE_STATE:
		m->state = value;
		return selection_state(value) < 0 ? selection_no_state(value, "", err) : 0;
	case OPERATE_WATCH:
		m->watch = value;
		return 0;
	case OPERATE_SINCE:
		return clock_parse_user(value, clock_wall_us(), &m->since_us, err);
	case OPERATE_UNTIL:
		return clock_parse_user(value, clock_wall_us(), &m->until_us, err);
	case OPERATE_GLOB:
		m->glob = value;
		return 0;
	case OPERATE_REASON:
		m->reason = value;
		return 0;
	case OPERATE_YES:
		m->yes = 1;
		return 0;
	default:
		return -EINVAL;
	}
}

static void operate_record(const struct wire_record *raw, const struct json *j, void *arg)
{
	CLEANUP_BUF struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	const bool *json = arg;
	const char *path = json_get_text(j, "path"), *problem = json_get_text(j, "problem"),
		   *state = json_get_text(j, "state"), *needed = json_get_text(j, "needed"),
		   *way_out = json_get_text(j, "way_out");

	if (*json) {
		(void)printf("%.*s\n", (int)raw->json_len, (const char *)raw->json);
		return;
	}
	if (json_get(j, "totals"))
		return; /* the sentence says it */
	if (path)
		(void)text_add_printable(&b, path, strlen(path));
	if (needed && state)
		(void)buf_addf(&b, ": it is %s, not %s%s%s", state, needed, way_out ? "; " : "",
			way_out ? way_out : "");
	else
		(void)buf_addf(&b, ": %s", problem ? problem : "?");
	(void)fprintf(stderr, "%s\n", buf_str(&b));
}

static bool operate_selects(const struct wire_command *m)
{
	return m->state || m->watch || m->glob || m->since_us || m->until_us;
}

static void operate_free_paths(char **paths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
}

/* The operands as absolute paths, owned. NULL: one cannot be. */
static char **operate_paths(char **operands, size_t n, struct err *err)
{
	char **paths = mem_array(n + 1, sizeof(*paths));

	for (size_t i = 0; i < n; i++) {
		paths[i] = client_path(operands[i], err);
		if (paths[i])
			continue;
		operate_free_paths(paths, i);
		return NULL;
	}
	return paths;
}

static int operate_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"state", required_argument, NULL, OPERATE_STATE},
		{"watch", required_argument, NULL, OPERATE_WATCH},
		{"since", required_argument, NULL, OPERATE_SINCE},
		{"until", required_argument, NULL, OPERATE_UNTIL},
		{"glob", required_argument, NULL, OPERATE_GLOB},
		{"reason", required_argument, NULL, OPERATE_REASON}, {"yes", no_argument, NULL, OPERATE_YES}};
	struct cli_common common;
	struct client_command q = {.command.verb = verb->name, .record = operate_record, .arg = &common.json};
	struct err err = ERR_INIT;
	struct conf *conf;
	char **paths;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), operate_take, &q.command, &common, &rest);
	if (rc >= 0)
		return rc;
	q.operands_n = (size_t)(argc - rest);
	if (q.operands_n == 0 && !operate_selects(&q.command))
		return cli_usage(verb,
			"which files? Give paths, or at least one of --state, --watch, --since, "
			"--until, --glob");
	if (strcmp(verb->name, "rerun") == 0 && (!q.command.reason || !q.command.reason[0]))
		return cli_usage(verb, "--reason TEXT is needed");
	paths = operate_paths(argv + rest, q.operands_n, &err);
	if (!paths)
		return cli_usage(verb, "%s", err.text);
	q.operands = (const char *const *)paths;
	rc = cli_load_for_service(common.config, &conf);
	if (rc == 0) {
		rc = client_run(conf, &q, common.json);
		conf_free(conf);
	}
	operate_free_paths(paths, q.operands_n);
	return rc;
}

#define OPERATE_USAGE "[--state S] [--watch NAME] [--since T] [--until T] [--glob GLOB] [--json]"
#define OPERATE_HELP                                                                                         \
	"  --state S          those in this state\n"                                                         \
	"  --watch NAME       of this watch\n"                                                               \
	"  --since T          whose state changed not before; T: RFC 3339, \"2h\" (ago), or a local date\n"  \
	"  --until T          … before\n"                                                                  \
	"  --glob GLOB        whose path fits, such as '*.csv'\n"                                            \
	"  --reason TEXT      why; stands in the event log\n"                                                \
	"  --json             one JSON object a line for what could not be done\n"                           \
	"  PATH               these files, exactly\n"

const struct cli_verb cli_release = {
	.name = "release",
	.usage = "[-c FILE] " OPERATE_USAGE " [--reason TEXT] [PATH…]",
	.summary = "Held files go: their runs are started.\n"
		   "Those that had never been judged are judged now.",
	.help = OPERATE_HELP,
	.run = operate_run,
};

const struct cli_verb cli_retry = {
	.name = "retry",
	.usage = "[-c FILE] " OPERATE_USAGE " [--reason TEXT] [PATH…]",
	.summary = "Failed files (dead letters) are tried again.\n"
		   "With the same request and token: a run that may exist already is not started twice.",
	.help = OPERATE_HELP,
	.run = operate_run,
};

const struct cli_verb cli_drop = {
	.name = "drop",
	.usage = "[-c FILE] " OPERATE_USAGE " [--reason TEXT] [PATH…]",
	.summary = "Failed or held files are closed for good: no run.",
	.help = OPERATE_HELP,
	.run = operate_run,
};

const struct cli_verb cli_rerun = {
	.name = "rerun",
	.usage = "[-c FILE] " OPERATE_USAGE " --reason TEXT [--yes] [PATH…]",
	.summary = "Another run for files that had one, or whose request cannot succeed.\n"
		   "The request is made anew. With PATH also the first run of skipped and discarded files.\n"
		   "Without --yes it only says how many and why not the others, and names those that may\n"
		   "have a run already.",
	.help = OPERATE_HELP "  --yes              do it\n",
	.run = operate_run,
};
