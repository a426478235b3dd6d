/*
 * run: the service, in the foreground.
 */
#include "cli/cli.h"

#include "base/trace.h"
#include "keep/keeper.h"

static int run_take(int opt, const char *value, void *arg, struct err *err)
{
	struct keeper_options *o = arg;

	(void)value;
	(void)err;
	if (opt != CLI_OPTION_FIRST)
		return -EINVAL;
	o->dry_run = true;
	return 0;
}

static int run_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"dry-run", no_argument, NULL, CLI_OPTION_FIRST}};
	struct keeper_options o = {.mode = WIRE_MODE_RUN, .journal = cli_is_journal()};
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, 1, run_take, &o, &common, &rest);
	if (rc >= 0)
		return rc;
	if (rest < argc)
		return cli_usage(verb, "unexpected \"%s\"", argv[rest]);
	rc = cli_load(common.config, true, &conf);
	if (rc != 0)
		return rc;
	trace_set_up((enum log_level)conf->service.log_level, conf->service.trace);
	o.config = common.config;
	rc = keeper_run(conf, &o);
	conf_free(conf);
	return rc;
}

const struct cli_verb cli_run = {
	.name = "run",
	.usage = "[-c FILE] [--dry-run]",
	.summary = "The service, in the foreground, until SIGTERM or SIGINT.\n"
		   "Starts one job run for every finished file.",
	.help = "  --dry-run          send and write nothing; print what would be started (also beside a "
		"running service)\n",
	.run = run_run,
};
