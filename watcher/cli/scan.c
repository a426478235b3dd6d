/*
 * scan: the service's machinery, once: everything now complete is started or dead-lettered, then it ends.
 */
#include "cli/cli.h"

#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/trace.h"
#include "confine/owner.h"
#include "keep/keeper.h"
#include "keep/progress.h"

enum { SCAN_DRY_RUN = CLI_OPTION_FIRST, SCAN_WATCH, SCAN_WAIT };

#define SCAN_WAIT_DEFAULT_US (5 * 60 * US_PER_S)

static int scan_take(int opt, const char *value, void *arg, struct err *err)
{
	struct keeper_options *o = arg;

	switch (opt) {
	case SCAN_DRY_RUN:
		o->dry_run = true;
		return 0;
	case SCAN_WATCH:
		o->only_watch = value;
		return 0;
	case SCAN_WAIT:
		if (num_parse_duration(value, &o->wait_us) < 0 || o->wait_us <= 0)
			return err_set(err, ERR_USAGE, EINVAL, "--wait: \"%s\" is not a time such as 30s, 5m",
				value);
		return 0;
	default:
		return -EINVAL;
	}
}

/* What a scan by root leaves behind must be the service's. */
static int scan_become_owner(const struct conf *conf)
{
	struct err err = ERR_INIT;
	int rc = owner_become(conf->service.state_directory, &err);

	if (rc > 0)
		log_info("working as the owner of %s (user %u)", conf->service.state_directory,
			(unsigned)geteuid());
	return rc < 0 ? cli_fail(&err) : CLI_DONE;
}

static int scan_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"dry-run", no_argument, NULL, SCAN_DRY_RUN},
		{"watch", required_argument, NULL, SCAN_WATCH}, {"wait", required_argument, NULL, SCAN_WAIT}};
	struct keeper_options o = {
		.mode = WIRE_MODE_SCAN, .wait_us = SCAN_WAIT_DEFAULT_US, .journal = cli_is_journal()};
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, 3, scan_take, &o, &common, &rest);
	if (rc >= 0)
		return rc;
	if (rest < argc)
		return cli_usage(verb, "unexpected \"%s\"", argv[rest]);
	rc = cli_load(common.config, false, &conf);
	if (rc != 0)
		return rc;
	trace_set_up((enum log_level)conf->service.log_level, conf->service.trace);
	if (o.only_watch && !conf_watch_find(conf, o.only_watch)) {
		conf_free(conf);
		return cli_usage(verb, "there is no [watch:%s] in the configuration", o.only_watch);
	}
	/* what a dry run would start is told on standard output */
	o.progress = !o.dry_run && !o.journal && progress_is_possible();
	rc = scan_become_owner(conf);
	if (rc == CLI_DONE)
		rc = keeper_run(conf, &o);
	conf_free(conf);
	return rc;
}

const struct cli_verb cli_scan = {
	.name = "scan",
	.usage = "[-c FILE] [--dry-run] [--watch NAME] [--wait 5m]",
	.summary = "Once: everything now complete is started or dead-lettered, then exit.\n"
		   "For cron and batch windows. Not beside a running service, but for --dry-run.",
	.help = "  --dry-run          send and write nothing; print what would be started\n"
		"  --watch NAME       only this watch\n"
		"  --wait TIME        at most this long (default 5m); what could not be sent by then stays "
		"pending, exit 69\n",
	.run = scan_run,
};
