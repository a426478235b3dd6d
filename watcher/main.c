/*
 * brickwatch: the verb table, and the names under which the keeper starts this binary again.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/crash.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/complete.h"
#include "dispatch/dispatcher.h"
#include "sense/watcher.h"
#include "sniff/sniffer.h"

static const struct cli_verb *const verbs[] = {&cli_run, &cli_scan, &cli_check, &cli_status, &cli_files,
	&cli_release, &cli_retry, &cli_drop, &cli_rerun, &cli_rescan, &cli_pause, &cli_resume, &cli_reload,
	&cli_adopt, &cli_explain, &cli_events, &cli_config};

static void print_verbs(FILE *to)
{
	(void)fprintf(to, "usage: brickwatch VERB [-c FILE] [options]\n\n"
			  "Starts exactly one Databricks job run for every finished file of a folder.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		(void)fprintf(to, "  %-10s %.*s\n", verbs[i]->name, (int)strcspn(verbs[i]->summary, "\n"),
			verbs[i]->summary);
	(void)fprintf(to,
		"\nEach verb has --help. Manual: brickwatch(8), brickwatch.ini(5), brickwatch-events(5).\n");
}

static int unknown_verb(const char *word)
{
	const char *names[ARRAY_SIZE(verbs)];
	const char *nearest;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		names[i] = verbs[i]->name;
	nearest = text_nearest(word, names, ARRAY_SIZE(verbs));
	(void)fprintf(stderr, "brickwatch: unknown verb \"%s\"%s%s%s; see brickwatch --help\n", word,
		nearest ? " (did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?)" : "");
	return CLI_USAGE;
}

/* A descriptor that was passed on, or -1. To be asked before anything else is opened. */
static int passed_fd(int fd)
{
	return fcntl(fd, F_GETFD) < 0 ? -1 : fd;
}

/* Who starts us may have closed standard descriptors, or ignore the ends of children; both are inherited. A
 * ledger or a file of a drop folder must never be where messages are written, and the end of a child must be
 * told. */
static void set_up_process(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
	(void)signal(SIGCHLD, SIG_DFL);
}

static bool is_process(const char *name)
{
	return strcmp(name, "bw-dispatch") == 0 || strcmp(name, "bw-watch") == 0 ||
	       strcmp(name, "bw-sniff") == 0;
}

/* The keeper's children: sockets and page are at fixed numbers (keep/process.h). */
static int run_process(const char *name, int argc, char **argv)
{
	const int fds[] = {passed_fd(3), passed_fd(4), passed_fd(5)};
	bool journal = argc > 1 && strcmp(argv[1], "--journal") == 0;
	char process[64];

	(void)snprintf(
		process, sizeof(process), "%.12s%s%.48s", name, argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
	log_init(process, LOG_LEVEL_INFO, journal);
	if (argc > 1 && strcmp(argv[1], "--terminal") == 0)
		log_set_terminal();
	if (strcmp(name, "bw-dispatch") == 0)
		return dispatcher_main(fds[0], fds[1]);
	if (strcmp(name, "bw-watch") == 0)
		return watcher_main(fds[0], fds[1], fds[2]);
	return sniffer_main(fds[0], argc > 1 && strcmp(argv[1], "--without-seccomp") == 0);
}

/* What was printed must have arrived. */
static int written(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	log_error("cannot write the output");
	return status == CLI_DONE ? CLI_FAILED : status;
}

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? fs_basename(argv[0]) : "";

	set_up_process();
	crash_init();
	if (is_process(name))
		return run_process(name, argc, argv);
	log_init("brickwatch", LOG_LEVEL_INFO, cli_is_journal());
	if (argc < 2) {
		print_verbs(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_verbs(stdout);
		return written(CLI_DONE);
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("brickwatch %s%s\n", BW_VERSION, CRASH_BUILD);
		return CLI_DONE;
	}
	if (strcmp(argv[1], "--complete") == 0) {
		int skip = argc > 2 && strcmp(argv[2], "--") == 0 ? 3 : 2;

		return written(complete_print(verbs, ARRAY_SIZE(verbs), argv + skip, (size_t)(argc - skip)));
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(argv[1], verbs[i]->name) == 0)
			return written(verbs[i]->run(verbs[i], argc - 1, argv + 1));
	return unknown_verb(argv[1]);
}
