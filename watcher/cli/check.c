/*
 * check: is the configuration good?
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/dropin.h"
#include "cli/folders.h"
#include "cli/online.h"
#include "cli/serviceuser.h"
#include "core/dropin.h"
#include "core/mountinfo.h"
#include "dispatch/consumers.h"
#include "dispatch/credential.h"
#include "dispatch/secretfile.h"
#include "dispatch/transport.h"

enum { CHECK_ONLINE = CLI_OPTION_FIRST, CHECK_DROPIN };

struct check_options {
	bool online, dropin;
};

#define CHECK_REMEDY_BYTES (16u * 1024)
#define CHECK_MOUNTINFO_BYTES (16u * 1024 * 1024)
#define CHECK_GATEWAY_US (660 * US_PER_S) /* it keeps a file open for ten minutes */

/* What was found while looking at one workspace, or consumer, after the other. */
struct check_found {
	uid_t service; /* who will run it */
	char section[CONF_NAME_BYTES + 16];
	size_t mistakes; /* that nobody can change but by the configuration, or what is in a file */
	bool of_consumer;
	bool refused; /* the service would not start */
	bool deaf;    /* a consumer would get nothing */
};

/* It cannot work so. Gives what that means. */
static const char *check_blame(struct check_found *f)
{
	f->refused |= !f->of_consumer;
	f->deaf |= f->of_consumer;
	return f->of_consumer ? "; its events would wait until that is mended, and a reload is refused"
			      : "; the service would not start";
}

static void check_tell_transport(enum transport_sight sight, const char *sentence, void *arg)
{
	struct check_found *f = arg;

	f->mistakes += sight == TRANSPORT_MISTAKE;
	(void)fprintf(stderr, "%s%s: %s%s\n",
		sight == TRANSPORT_UNSURE    ? "warning: "
		: sight == TRANSPORT_REFUSED ? "error: "
					     : "",
		f->section, sentence, sight == TRANSPORT_REFUSED ? check_blame(f) : "");
}

/* rc: below 0 when it cannot work; *err: why, or what is doubtful. */
static void check_tell_files(struct check_found *f, int rc, const struct err *err)
{
	if (rc < 0) {
		(void)fprintf(stderr, "error: %s%s\n", err->text, check_blame(f));
	} else if (err->class != ERR_NONE) {
		(void)fprintf(stderr, "warning: %s\n", err->text);
	}
}

static void check_credential(struct check_found *f, const struct conf_workspace *ws)
{
	struct err err = ERR_INIT;

	check_tell_files(f, credential_look(ws, f->service, &err), &err);
}

static void check_consumer(struct check_found *f, const struct conf_notify *n)
{
	struct conf_workspace certificates = {.ca_file = n->ca_file};
	struct err err = ERR_INIT;

	(void)snprintf(f->section, sizeof(f->section), "[notify:%s]", n->name);
	transport_look(&certificates, f->service, check_tell_transport, f);
	check_tell_files(f, consumers_look(n, f->service, &err), &err);
}

/* Each once; where its file is can only be guessed. */
static void check_add_handed_over(const char *value, struct buf *b)
{
	const char *name = strchr(value, ':') + 1;
	CLEANUP_FREE char *word = mem_printf(" -p LoadCredential=%s:/etc/brickwatch/%s", name, name);
	const char *at = strstr(buf_str(b), word);

	if (!at || (at[strlen(word)] != ' ' && at[strlen(word)] != '\0'))
		(void)buf_adds(b, word);
}

/* What is not there before the start cannot be looked at. */
static void check_name_handed_over(const struct conf *conf, uid_t service, const char *config, bool online)
{
	CLEANUP_BUF struct buf load = BUF_INIT(CHECK_REMEDY_BYTES);
	char user[SERVICEUSER_NAME_BYTES];

	for (size_t i = 0; i < conf->entries_n; i++) {
		const struct conf_entry *e = &conf->entries[i];

		bool may_name = text_ends_with(e->key, "_file") || strcmp(e->key, "webhook") == 0;

		if (may_name && secretfile_is_handed_over(e->value)) {
			(void)fprintf(stderr,
				"note: [%s]: %s = %s is handed over by systemd at the start (LoadCredential= "
				"in the unit); not checked\n",
				e->section, e->key, e->value);
			check_add_handed_over(e->value, &load);
		}
	}
	if (load.len > 0 && online && !getenv("CREDENTIALS_DIRECTORY"))
		(void)fprintf(stderr,
			"note: only systemd can hand it over here, too: sudo systemd-run --pipe --wait "
			"--collect -p User=%s%s brickwatch check --online%s%s\n",
			service == SERVICEUSER_UNKNOWN ? "brickwatch" : serviceuser_name(service, user),
			buf_str(&load), strcmp(config, CONFFILE_PATH) == 0 ? "" : " -c ",
			strcmp(config, CONFFILE_PATH) == 0 ? "" : config);
}

static bool check_is_hidden(const struct conf_entry *e)
{
	if (strcmp(e->key, "webhook") == 0)
		return text_starts_with(e->value, "https://");
	return strcmp(e->key, "webhook_header") == 0 || strcmp(e->key, "webhook_body") == 0;
}

/* The address of a webhook is often all that is needed to post there; header lines and bodies hold keys. */
static void check_hidden_values(const struct conf *conf)
{
	for (size_t i = 0; i < conf->entries_n; i++) {
		const struct conf_entry *e = &conf->entries[i];
		struct stat st;

		if (check_is_hidden(e) && stat(e->file, &st) == 0 && (st.st_mode & S_IROTH))
			(void)fprintf(stderr,
				"warning: [%s]: everybody can read %s, and %s is often secret: chmod o-r "
				"it%s\n",
				e->section, e->file, e->key,
				strcmp(e->key, "webhook") != 0 ? ""
							       : ", or put the address into a file of its "
								 "own and give webhook = /PATH");
	}
}

/* What we can read says nothing about what the service can. */
static void check_who(const struct conf *conf, uid_t service, const char *config)
{
	uid_t us = geteuid();
	const struct passwd *pw = service == SERVICEUSER_UNKNOWN || service == us ? NULL : getpwuid(service);

	if (pw)
		(void)fprintf(stderr,
			"warning: %s is the service's user (it owns %s), and %s; to see what the service "
			"sees: sudo -u "
			"%s brickwatch check -c %s\n",
			pw->pw_name, conf->service.state_directory,
			us == 0 ? "root, who checks, can read more" : "who checks can read other files",
			pw->pw_name, config);
}

/* The files and ciphers of the workspaces, and the files of the consumers. */
static struct check_found check_workspaces(
	const struct conf *conf, uid_t service, const struct cli_common *common, bool online)
{
	struct check_found f = {.service = service};

	for (size_t i = 0; i < conf->workspaces_n; i++) {
		const struct conf_workspace *ws = conf->workspaces[i];

		(void)snprintf(
			f.section, sizeof(f.section), "[workspace%s%s]", *ws->name ? ":" : "", ws->name);
		transport_look(ws, f.service, check_tell_transport, &f);
		check_credential(&f, ws);
	}
	f.of_consumer = true;
	for (size_t i = 0; i < conf->notifies_n; i++)
		check_consumer(&f, conf->notifies[i]);
	check_name_handed_over(conf, service, common->config, online);
	check_hidden_values(conf);
	if (f.mistakes > 0)
		(void)fprintf(stderr, "brickwatch: %zu mistake%s in the configuration\n", f.mistakes,
			f.mistakes == 1 ? "" : "s");
	return f;
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

/* Where the service will write, as far as this user can see. False: it would not start. */
static bool check_folders(const struct conf *conf)
{
	CLEANUP_FREE char *log_folder = mem_strdup(conf->events.file);
	char *slash = strrchr(log_folder, '/');
	bool good;

	slash[slash == log_folder] = '\0';
	good = check_folder(conf->service.state_directory, true);
	(void)check_folder(log_folder, false);
	return good;
}

/* A file without a name, which is gone when it is closed; where a file system knows none, nothing is said. */
static bool check_takes_files(const char *folder)
{
	CLEANUP_FD int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	return fd >= 0 || errno == EOPNOTSUPP || errno == EISDIR;
}

/* Without it the service works all the same, but whoever reads its metrics would not know. As the service's
 * user. */
static void check_metrics(const struct conf *conf, uid_t service, const char *config)
{
	const char *file = conf->service.metrics_file;
	CLEANUP_FREE char *folder = file ? fs_parent(file) : NULL;
	char user[SERVICEUSER_NAME_BYTES];

	if (!folder)
		return;
	if (!check_takes_files(folder) && (service == SERVICEUSER_UNKNOWN || service == geteuid()))
		(void)fprintf(stderr,
			"warning: metrics_file: %s cannot write to %s: %s; nothing would be written\n",
			serviceuser_name(geteuid(), user), folder, strerror(errno));
	if (strcmp(config, CONFFILE_PATH) == 0 && !dropin_is_usual(folder))
		(void)fprintf(stderr,
			"note: metrics_file: brickwatch.service may write to %s only with ReadWritePaths= in "
			"a drop-in, see brickwatch check --print-dropin\n",
			folder);
}

/* A file that HDFS' NFS gateway has open still shows a length that is not its last. Only the table of mounts
 * is read. */
static void check_gateways(const struct conf *conf)
{
	CLEANUP_BUF struct buf mounts = BUF_INIT(CHECK_MOUNTINFO_BYTES);

	if (fs_read_file("/proc/self/mountinfo", CHECK_MOUNTINFO_BYTES - 1, &mounts, NULL) < 0)
		return;
	for (size_t i = 0; i < conf->watches_n; i++) {
		const struct conf_watch *w = conf->watches[i];
		bool waits = w->complete == CONF_COMPLETE_MARKER || w->settle_quiet_us >= CHECK_GATEWAY_US;

		for (size_t k = 0; k < w->directory.n && !waits; k++)
			if (mountinfo_is_nfs3_nolock(buf_str(&mounts), w->directory.items[k]))
				(void)fprintf(stderr,
					"warning: [watch:%s]: %s is on NFS version 3 without locks, as the "
					"NFS gateway of "
					"HDFS is mounted, which keeps a file open for ten minutes after the "
					"last write: take "
					"settle = 11m or complete = marker, unless writers rename their "
					"files at the end\n",
					w->name, w->directory.items[k]);
	}
}

static int check_take(int opt, const char *value, void *arg, struct err *err)
{
	struct check_options *o = arg;

	(void)value;
	(void)err;
	if (opt == CHECK_ONLINE)
		o->online = true;
	else if (opt == CHECK_DROPIN)
		o->dropin = true;
	else
		return -EINVAL;
	return 0;
}

struct check_drops {
	const char *user;
	bool closed; /* to him */
};

static void check_on_drop(const struct folders_found *f, void *arg)
{
	CLEANUP_BUF struct buf remedy = BUF_INIT(CHECK_REMEDY_BYTES);
	struct check_drops *d = arg;

	if (!f->closed[0]) {
		(void)fprintf(stderr, "warning: [watch:%s]: %s: %s%s\n", f->watch->name, f->directory, f->why,
			f->missing ? "; its files are found when it is there" : "");
		return;
	}
	d->closed = true;
	folders_add_remedy(f, d->user, &remedy);
	(void)fprintf(stderr,
		"error: [watch:%s]: the service's user %s cannot list %s: %s is closed to him; run: %s "
		"(and restart the service)\n",
		f->watch->name, d->user, f->directory, f->closed, buf_str(&remedy));
}

/* What the service's user sees, if that can be told. False: a folder is closed to him. */
static bool check_drop_folders(const struct conf *conf, uid_t service)
{
	char user[SERVICEUSER_NAME_BYTES];
	struct check_drops d = {
		.user = serviceuser_name(service == SERVICEUSER_UNKNOWN ? geteuid() : service, user)};

	if (service == SERVICEUSER_UNKNOWN || service == geteuid())
		folders_look(conf, check_on_drop, &d);
	return !d.closed;
}

/* lacks: what the service would not do, or NULL. */
static void check_say(const struct conf *conf, const struct cli_common *common, const char *lacks)
{
	if (lacks)
		(void)fprintf(stderr, "%s: the configuration has no mistakes, but the service would not %s\n",
			common->config, lacks);
	else if (!common->json)
		(void)printf("%s: the configuration is good: %zu workspace%s, %zu watch%s\n", common->config,
			conf->workspaces_n, conf->workspaces_n == 1 ? "" : "s", conf->watches_n,
			conf->watches_n == 1 ? "" : "es");
}

static int check_conf(struct conf *conf, const struct cli_common *common, bool online)
{
	uid_t service = serviceuser_find(conf, common->config);
	struct check_found found;
	struct err err = ERR_INIT;
	bool starts, reads;
	const char *lacks;
	int rc;

	check_who(conf, service, common->config);
	found = check_workspaces(conf, service, common, online);
	if (found.mistakes > 0)
		return CLI_CONFIG;
	check_gateways(conf);
	starts = check_folders(conf) && !found.refused;
	if (serviceuser_become(conf, service, &err) < 0)
		return cli_fail(&err);
	(void)signal(SIGPIPE, SIG_IGN);
	reads = check_drop_folders(conf, service);
	check_metrics(conf, service, common->config);
	lacks = !starts	     ? "start"
		: !reads     ? "see the files of all its folders"
		: found.deaf ? "reach all its consumers"
			     : NULL;
	check_say(conf, common, lacks);
	rc = online ? online_check(conf, common->json) : CLI_DONE;
	return lacks && rc == CLI_DONE ? CLI_FAILED : rc;
}

static int check_run(const struct cli_verb *verb, int argc, char **argv)
{
	static const struct option own[] = {{"online", no_argument, NULL, CHECK_ONLINE},
		{"print-dropin", no_argument, NULL, CHECK_DROPIN}};
	struct check_options o = {0};
	struct cli_common common;
	struct conf *conf;
	int rest, rc;

	rc = cli_options(verb, argc, argv, own, ARRAY_SIZE(own), check_take, &o, &common, &rest);
	if (rc >= 0)
		return rc;
	if (rest < argc)
		return cli_usage(verb, "unexpected \"%s\"", argv[rest]);
	if (common.json && !o.online)
		return cli_usage(verb, "--json goes with --online");
	if (o.dropin && o.online)
		return cli_usage(verb, "either --print-dropin or --online");
	rc = cli_load(common.config, true, &conf);
	if (rc != 0)
		return rc;
	rc = o.dropin ? dropin_write(conf, common.config, serviceuser_find(conf, common.config))
		      : check_conf(conf, &common, o.online);
	conf_free(conf);
	return rc;
}

const struct cli_verb cli_check = {
	.name = "check",
	.usage = "[-c FILE] [--online [--json] | --print-dropin]",
	.summary =
		"Validates the configuration: every mistake with file and line, all at once.\n"
		"Exit status 78 if there is one, 1 if the service would not start for another reason that\n"
		"can be seen by this user: the file of a credential, password, certificate or key that is\n"
		"missing, open to others or malformed, a state directory that cannot be; or if its user\n"
		"may not list a drop folder. One that is missing is a warning, it may come yet.",
	.help = "  --online           also signs in to each workspace and looks at the job of each watch; "
		"exit "
		"status\n"
		"                     1: a job cannot be started; 69: a workspace cannot be reached or "
		"refuses\n"
		"  --json             one JSON object for each workspace and watch\n"
		"  --print-dropin     instead: a systemd drop-in with what the unit needs for these "
		"folders\n",
	.run = check_run,
};
