/*
 * config: the effective configuration with the origin of each value.
 */
#include "cli/cli.h"

#include <stdio.h>
#include "base/buf.h"

#define CONFIG_TEXT_BYTES (16 * 1024 * 1024)

static int config_run(const struct cli_verb *verb, int argc, char **argv)
{
	CLEANUP_BUF struct buf b = BUF_INIT(CONFIG_TEXT_BYTES);
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, NULL, 0, NULL, NULL, &common, &rest);
	if (rc >= 0)
		return rc;
	if (rest < argc)
		return cli_usage(verb, "unexpected \"%s\"", argv[rest]);
	rc = cli_load(common.config, false, &conf);
	if (rc != 0)
		return rc;
	conf_print(conf, common.json, &b);
	(void)fputs(buf_str(&b), stdout);
	conf_free(conf);
	return CLI_DONE;
}

const struct cli_verb cli_config = {
	.name = "config",
	.usage = "[-c FILE] [--json]",
	.summary = "The effective configuration with the origin of each value.",
	.help = "  --json             as JSON\n",
	.run = config_run,
};
