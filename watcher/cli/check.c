/*
 * check: is the configuration good?
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "cli/online.h"
#include "dispatch/credential.h"
#include "dispatch/transport.h"

enum { CHECK_ONLINE = CLI_OPTION_FIRST };

/* What is wrong with the files and ciphers of a workspace's connections. */
struct transport_mistakes {
	const struct conf_workspace *workspace;
	size_t n; /* that nobody can change but by the configuration or the file */
};

static void check_tell_transport(bool certain, const char *sentence, void *arg)
{
	struct transport_mistakes *m = arg;
	const char *name = m->workspace->name;

	m->n += certain;
	(void)fprintf(stderr, "%s[workspace%s%s]: %s%s\n", certain ? "" : "warning: ", *name ? ":" : "", name,
		sentence, certain ? "" : "; the service would not start");
}

static bool check_transport(const struct conf *conf)
{
	struct transport_mistakes m = {.n = 0};

	for (size_t i = 0; i < conf->workspaces_n; i++) {
		m.workspace = conf->workspaces[i];
		transport_look(m.workspace, check_tell_transport, &m);
	}
	if (m.n > 0)
		(void)fprintf(
			stderr, "brickwatch: %zu mistake%s in the configuration\n", m.n, m.n == 1 ? "" : "s");
	return m.n == 0;
}

/* The service cannot make more than the last part of it. */
static bool check_can_be_made(const char *folder)
{
	CLEANUP_FREE char *above = mem_strdup(folder);
	char *slash = strrchr(above, '/');
	struct stat st;

	slash[slash == above] = '\0';
	return stat(above, &st) == 0 ? S_ISDIR(st.st_mode) : errno == EACCES;
}

/* fatal: without it the service does not start. */
static bool check_folder(const char *folder, bool fatal)
{
	const char *what =
		fatal ? "; the service would not start" : "; events would wait until it can be written";
	const char *level = fatal ? "error" : "warning";
	struct stat st;
	int code = stat(folder, &st) == 0 ? 0 : errno;

	if (code == 0 && S_ISDIR(st.st_mode))
		return true;
	if (code == 0) {
		(void)fprintf(stderr, "%s: %s is not a directory%s\n", level, folder, what);
		return !fatal;
	}
	if (code != ENOENT || check_can_be_made(folder)) {
		(void)fprintf(stderr,
			"warning: %s: %s; it is made at the start if the folder above it lets us\n", folder,
			strerror(code));
		return true;
	}
	(void)fprintf(stderr, "%s: %s cannot be made: there is no folder above it%s\n", level, folder, what);
	return !fatal;
}

/* Files of our own that the service will need, as far as this user can see: it may be another than the one
 * the service will run as. False: the service would not start. */
static bool check_files(const struct conf *conf)
{
	CLEANUP_FREE char *log_folder = mem_strdup(conf->events.file);
	char *slash = strrchr(log_folder, '/');
	bool good = true;

	for (size_t i = 0; i < conf->workspaces_n; i++) {
		struct err err = ERR_INIT;

		if (credential_look(conf->workspaces[i], &err) == 0)
			continue;
		(void)fprintf(stderr, "error: %s; the service would not start\n", err.text);
		good = false;
	}
	slash[slash == log_folder] = '\0';
	good &= check_folder(conf->service.state_directory, true);
	(void)check_folder(log_folder, false);
	return good;
}

static int check_take(int opt, const char *value, void *arg, struct err *err)
{
	bool *online = arg;

	(void)value;
	(void)err;
	if (opt != CHECK_ONLINE)
		return -EINVAL;
	*online = true;
	return 0;
}

static int check_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"online", no_argument, NULL, CHECK_ONLINE}};
	struct cli_common common;
	struct conf *conf;
	bool online = false, good;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), check_take, &online, &common, &rest);
	if (rc >= 0)
		return rc;
	if (rest < argc)
		return cli_usage(verb, "unexpected \"%s\"", argv[rest]);
	rc = cli_load(common.config, true, &conf);
	if (rc != 0)
		return rc;
	if (common.json && !online) {
		conf_free(conf);
		return cli_usage(verb, "--json goes with --online");
	}
	if (!check_transport(conf)) {
		conf_free(conf);
		return CLI_CONFIG;
	}
	good = check_files(conf);
	if (!good)
		(void)fprintf(stderr,
			"%s: the configuration has no mistakes, but the service would not start\n",
			common.config);
	else if (!common.json)
		(void)printf("%s: the configuration is good: %zu workspace%s, %zu watch%s\n", common.config,
			conf->workspaces_n, conf->workspaces_n == 1 ? "" : "s", conf->watches_n,
			conf->watches_n == 1 ? "" : "es");
	rc = online ? online_check(conf, common.json) : CLI_DONE;
	if (!good && rc == CLI_DONE)
		rc = CLI_FAILED;
	conf_free(conf);
	return rc;
}

const struct cli_verb cli_check = {
	.name = "check",
	.usage = "[-c FILE] [--online [--json]]",
	.summary =
		"Validates the configuration: every mistake with file and line, all at once.\n"
		"Exit status 78 if there is one, 1 if the service would not start for another reason that\n"
		"can be seen by this user: a credential that is missing, open to others or malformed, a\n"
		"state directory that cannot be.\n"
		"Drop folders are not looked at (they may be missing for now); see brickwatch scan "
		"--dry-run.",
	.help = "  --online           also signs in to each workspace and looks at the job of each watch; "
		"exit "
		"status\n"
		"                     1: a job cannot be started; 69: a workspace cannot be reached or "
		"refuses\n"
		"  --json             one JSON object for each workspace and watch\n",
	.run = check_run,
};
