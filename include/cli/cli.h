/*
 * cli: what the verbs share: their table, common options, loading the configuration, exit statuses.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "core/conf.h"
#include "keep/conffile.h"

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_RUNNING = 3,
	CLI_UNREACHABLE = 69, /* EX_UNAVAILABLE */
	CLI_CONFIG = 78,      /* EX_CONFIG */
};

struct cli_verb {
	const char *name;
	const char *usage;   /* "[-c FILE] [--dry-run]" */
	const char *summary; /* its first line is a whole sentence, short enough for the list of all verbs */
	const char *help;    /* the options, a line each */
	int (*run)(const struct cli_verb *verb, int argc, char **argv);
};

/* One file per verb: watcher/cli/NAME.c. */
extern const struct cli_verb cli_run, cli_scan, cli_check, cli_explain, cli_events, cli_config;
/* Some verbs of one kind share a file. */
extern const struct cli_verb cli_status, cli_files, cli_release, cli_retry, cli_drop, cli_rerun, cli_rescan,
	cli_pause, cli_resume, cli_reload, cli_adopt;

/* The last lines of each verb's help. */
#define CLI_COMMON_HELP                                                                                      \
	"  -c, --config FILE  configuration (default: " CONFFILE_PATH ")\n"                                  \
	"  --help             this text\n"

/* The options every verb has; a verb's own are told by `own`. */
struct cli_common {
	const char *config; /* -c FILE, or the default */
	bool json;
};

#define CLI_OPTION_FIRST 256 /* values of a verb's own long options start here */
/* Parses options: -c, --json (when allowed), --help, and the verb's own. take(opt, value, arg) is called for
 * each of those and returns 0 or a negative errno. Returns -1 to go on
 * (*ret_rest: index of the first operand), or the exit status to end with (help was printed: 0; a mistake:
 * 2). */
int cli_options(const struct cli_verb *verb, int argc, char **argv, const struct option *own, size_t own_n,
	int (*take)(int opt, const char *value, void *arg, struct err *err), void *arg,
	struct cli_common *ret, int *ret_rest);
/* Says what is wrong with the command line, and returns CLI_USAGE. */
int cli_usage(const struct cli_verb *verb, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Loads and checks the configuration. Prints every mistake (and, when warnings, every warning) on stderr.
 * *ret is the caller's. Returns 0 or the exit status to end with. */
int cli_load(const char *path, bool warnings, struct conf **ret);
/* The same for a verb that only needs to know where the service is: mistakes are not its business (the
 * running service has the configuration it was started with). Warns that there are some. */
int cli_load_for_service(const char *path, struct conf **ret);
/* Prints an error on stderr; returns the exit status that belongs to its class. */
int cli_fail(const struct err *err);
/* Are messages read by the journal? */
bool cli_is_journal(void);

#endif
