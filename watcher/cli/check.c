/*
 * check: is the configuration good?
 */
#include "cli/cli.h"

#include <stdio.h>

static int check_run(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, NULL, 0, NULL, NULL, &common, &rest);
	if (rc >= 0)
		return rc;
	if (rest < argc)
		return cli_usage(verb, "unexpected \"%s\"", argv[rest]);
	rc = cli_load(common.config, true, &conf);
	if (rc != 0)
		return rc;
	(void)printf("%s: the configuration is good: %zu workspace%s, %zu watch%s\n", common.config,
		conf->workspaces_n, conf->workspaces_n == 1 ? "" : "s", conf->watches_n,
		conf->watches_n == 1 ? "" : "es");
	conf_free(conf);
	return CLI_DONE;
}

const struct cli_verb cli_check = {
	.name = "check",
	.usage = "[-c FILE]",
	.summary = "Validates the configuration: every mistake with file and line, all at once. Exit status "
		   "78 if there is one.",
	.help = "",
	.run = check_run,
};
