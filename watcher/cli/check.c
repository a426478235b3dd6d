/*
 * check: is the configuration good?
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "dispatch/auth.h"

/* Files of our own that the service will need. Only warnings: they may be made later, or be readable for the
 * service's user alone. */
static void check_warn_of_files(const struct conf *conf)
{
	CLEANUP_FREE char *log_folder = mem_strdup(conf->events.file);
	const char *folders[] = {conf->service.state_directory, log_folder};
	struct stat st;

	for (size_t i = 0; i < conf->workspaces_n; i++) {
		struct err err = ERR_INIT;

		if (auth_look_at_files(conf->workspaces[i], &err) < 0)
			(void)fprintf(stderr, "warning: %s; the service would not start\n", err.text);
	}
	if (strrchr(log_folder, '/') != log_folder)
		*strrchr(log_folder, '/') = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (stat(folders[i], &st) < 0)
			(void)fprintf(stderr,
				"warning: %s: %s; it is made at the start if the folder above it lets us\n",
				folders[i], strerror(errno));
		else if (!S_ISDIR(st.st_mode))
			(void)fprintf(stderr, "warning: %s is not a directory\n", folders[i]);
}

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
	check_warn_of_files(conf);
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
		   "78 if there is one.\n"
		   "Drop folders are not looked at (they may be missing for now); see brickwatch scan "
		   "--dry-run.",
	.help = "",
	.run = check_run,
};
