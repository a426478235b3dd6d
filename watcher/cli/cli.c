/*
 * cli: options by getopt_long, so that they may stand before and behind the operands.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#define CLI_MISTAKES_BYTES (4 * 1024 * 1024)
#define CLI_OWN_OPTIONS_MAX 16

static void cli_help(const struct cli_verb *verb)
{
	(void)printf("usage: brickwatch %s %s\n\n%s\n\n%s" CLI_COMMON_HELP, verb->name, verb->usage,
		verb->summary, verb->help);
}

int cli_usage(const struct cli_verb *verb, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "brickwatch %s: ", verb->name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\nusage: brickwatch %s %s\n", verb->name, verb->usage);
	return CLI_USAGE;
}

/* After getopt_long() has returned '?' or ':'. */
static int cli_wrong_option(const struct cli_verb *verb, int opt, char **argv)
{
	const char *word = argv[optind - 1];
	char letter[3] = {'-', (char)optopt, '\0'};

	/* optopt is a letter, or of a long option its value, or 0 where it does not know one */
	if (optopt > 0 && optopt < CLI_OPTION_FIRST && strncmp(word, "--", 2) != 0)
		word = letter;
	return cli_usage(
		verb, opt == ':' ? "%s needs a value" : "there is no option %s, or it takes no value", word);
}

int cli_options(const struct cli_verb *verb, int argc, char **argv, const struct option *own, size_t own_n,
	int (*take)(int opt, const char *value, void *arg, struct err *err), void *arg,
	struct cli_common *ret, int *ret_rest)
{
	struct option options[CLI_OWN_OPTIONS_MAX + 4] = {{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, 'j'}};
	struct err err = ERR_INIT;
	int opt;

	BUG_ON(own_n > CLI_OWN_OPTIONS_MAX);
	opterr = 0; /* its own messages name the verb as if it were the program */
	for (size_t i = 0; i < own_n; i++)
		options[3 + i] = own[i];
	*ret = (struct cli_common){.config = CONFFILE_PATH};
	optind = 1;
	while ((opt = getopt_long(argc, argv, ":c:fh", options, NULL)) != -1) {
		if (opt == 'h') {
			cli_help(verb);
			return CLI_DONE;
		}
		if (opt == '?' || opt == ':')
			return cli_wrong_option(verb, opt, argv);
		if (opt == 'c')
			ret->config = optarg;
		else if (opt == 'j')
			ret->json = true;
		else if (!take || take(opt, optarg, arg, &err) < 0)
			return cli_usage(verb, "%s", err.text[0] ? err.text : "unknown option");
	}
	*ret_rest = optind;
	return -1;
}

int cli_fail(const struct err *err)
{
	static const int statuses[] = {
		[ERR_NONE] = CLI_FAILED,
		[ERR_USAGE] = CLI_USAGE,
		[ERR_CONF] = CLI_CONFIG,
		[ERR_SYSTEM] = CLI_FAILED,
		[ERR_REMOTE] = CLI_UNREACHABLE,
		[ERR_INPUT] = CLI_FAILED,
		[ERR_LIMIT] = CLI_FAILED,
	};

	log_error("%s", err->text);
	return statuses[err->class];
}

bool cli_is_journal(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

/* On stderr; in the journal each line carries the priority (sd-daemon(3)). */
static void cli_print_lines(const char *text, char priority)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (cli_is_journal())
			(void)fprintf(stderr, "<%c>", priority);
		(void)fprintf(stderr, "%.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void cli_print_mistakes(const struct conf_mistakes *m, bool warnings)
{
	CLEANUP_BUF struct buf b = BUF_INIT(CLI_MISTAKES_BYTES);
	struct conf_mistakes shown = {0};

	/* The lists share their texts; only what is shown is put in order. */
	shown.items = mem_array(m->n + 1, sizeof(*shown.items));
	for (size_t i = 0; i < m->n; i++)
		if (warnings || !m->items[i].warning)
			shown.items[shown.n++] = m->items[i];
	shown.errors = m->errors;
	conf_mistakes_print(&shown, &b);
	cli_print_lines(buf_str(&b), m->errors > 0 ? '3' : '4');
	free(shown.items);
}

int cli_load(const char *path, bool warnings, struct conf **ret)
{
	struct conf_mistakes mistakes = {0};
	struct conf *conf = conf_new();
	struct err err = ERR_INIT;
	size_t errors;

	if (conffile_load(path, true, conf, &mistakes, &err) < 0) {
		conf_mistakes_done(&mistakes);
		conf_free(conf);
		err.class = ERR_CONF;
		return cli_fail(&err);
	}
	conf_resolve(conf);
	conf_check(conf, &mistakes);
	cli_print_mistakes(&mistakes, warnings);
	errors = mistakes.errors;
	conf_mistakes_done(&mistakes);
	if (errors > 0) {
		conf_free(conf);
		log_error("%zu mistake%s in the configuration", errors, errors == 1 ? "" : "s");
		return CLI_CONFIG;
	}
	*ret = conf;
	return 0;
}

/* Where the first mistake is: the file itself, or one of conf.d. */
static const char *cli_first_file(const struct conf_mistakes *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++)
		if (!m->items[i].warning && m->items[i].file && m->items[i].file[0])
			return m->items[i].file;
	return path;
}

int cli_load_for_service(const char *path, struct conf **ret)
{
	struct conf_mistakes mistakes = {0};
	struct conf *conf = conf_new();
	struct err err = ERR_INIT;

	if (conffile_load(path, true, conf, &mistakes, &err) < 0) {
		conf_mistakes_done(&mistakes);
		conf_free(conf);
		err.class = ERR_CONF;
		return cli_fail(&err);
	}
	conf_resolve(conf);
	if (mistakes.errors > 0)
		log_warning("%s has mistakes; brickwatch check shows them", cli_first_file(&mistakes, path));
	conf_mistakes_done(&mistakes);
	*ret = conf;
	return 0;
}
