/*
 * complete: a verb's options are read from its help, which is what a person would do, too; a lint sees to it
 * that the help has them all. What an option takes is told by the word behind it there.
 */
#include "cli/complete.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "core/event.h"
#include "dispatch/ledger.h"
#include "keep/conffile.h"

#define COMPLETE_MORE "\n                     " /* what a text goes on behind */

/* A line of a help text: "  -f, --follow       TEXT", "  --state S          TEXT". */
struct complete_option {
	const char *name, *value, *text;
	int name_len, value_len; /* value_len 0: it takes none */
	size_t text_len;	 /* over all lines of it */
	char letter[3];		 /* "-f", "" */
};

/* The next option from *at on; false: there is none. */
static bool complete_next(const char **at, struct complete_option *ret)
{
	const char *line = *at;
	size_t len;

	for (; *line && strncmp(line, "  -", 3) != 0; line += strcspn(line, "\n"), line += *line == '\n')
		;
	if (!*line)
		return false;
	len = strcspn(line, "\n");
	while (strncmp(line + len, COMPLETE_MORE, strlen(COMPLETE_MORE)) == 0)
		len += 1 + strcspn(line + len + 1, "\n");
	*at = line + len + (line[len] == '\n');
	*ret = (struct complete_option){0};
	line += 2;
	len -= 2;
	if (line[1] != '-') {
		memcpy(ret->letter, line, 2);
		line += strlen("-f, ");
		len -= strlen("-f, ");
	}
	ret->name = line;
	ret->name_len = (int)strcspn(line, " ");
	ret->value = line + ret->name_len + 1;
	ret->value_len = (int)strcspn(ret->value, " ");
	ret->text = ret->value + ret->value_len;
	ret->text += strspn(ret->text, " ");
	ret->text_len = len - (size_t)(ret->text - line);
	return true;
}

/* On one line. */
static void complete_print_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n') {
			(void)putchar(text[i]);
			continue;
		}
		while (i + 1 < len && text[i + 1] == ' ')
			i++;
		(void)putchar(' ');
	}
	(void)putchar('\n');
}

static bool complete_is(const struct complete_option *o, const char *word)
{
	return (strlen(word) == (size_t)o->name_len && memcmp(word, o->name, strlen(word)) == 0) ||
	       (o->letter[0] && strcmp(word, o->letter) == 0);
}

static bool complete_find(const struct cli_verb *verb, const char *word, struct complete_option *ret)
{
	const char *const helps[] = {verb->help, CLI_COMMON_HELP};

	for (size_t i = 0; i < ARRAY_SIZE(helps); i++)
		for (const char *at = helps[i]; complete_next(&at, ret);)
			if (complete_is(ret, word))
				return true;
	return false;
}

static void complete_options(const struct cli_verb *verb)
{
	const char *const helps[] = {verb->help, CLI_COMMON_HELP};
	struct complete_option o;

	for (size_t i = 0; i < ARRAY_SIZE(helps); i++)
		for (const char *at = helps[i]; complete_next(&at, &o);) {
			(void)printf("%.*s\t", o.name_len, o.name);
			complete_print_text(o.text, o.text_len);
		}
}

/* ---- values ---- */

static void complete_watches(const char *config)
{
	struct conf_mistakes mistakes = {0};
	struct conf *conf = conf_new();
	struct err err = ERR_INIT;

	/* one that cannot be read has no watches to offer */
	if (conffile_load(config, true, conf, &mistakes, &err) == 0)
		for (size_t i = 0; i < conf->watches_n; i++)
			(void)printf("%s\t%s\n", conf->watches[i]->name,
				conf->watches[i]->directory.n > 0 ? conf->watches[i]->directory.items[0]
								  : "");
	conf_mistakes_done(&mistakes);
	conf_free(conf);
}

static void complete_states(void)
{
	(void)printf("waiting\tnot complete yet\n");
	for (unsigned i = 0; i < LEDGER_STATES; i++)
		(void)printf("%s\t\n", ledger_state_name((enum ledger_state)i));
}

static void complete_types(void)
{
	size_t n;
	const char *const *names = event_type_names(&n);

	for (size_t i = 0; i < n; i++)
		(void)printf("%s\t\n", names[i]);
}

/* By the word that stands for it in the help or the usage. */
static void complete_value(const char *word, size_t len, const char *config)
{
	static const char *const files[] = {"FILE", "PATH", "EVENTLOG", "GLOB"};

	if (len == 4 && memcmp(word, "NAME", len) == 0)
		complete_watches(config);
	else if (len == 1 && word[0] == 'S')
		complete_states();
	else if (len == 4 && memcmp(word, "TYPE", len) == 0)
		complete_types();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strlen(files[i]) == len && memcmp(word, files[i], len) == 0)
			(void)printf(":files\n");
}

/* The operand is the usage's last word: "… [PATH…]", "… NAME", unless that belongs to an option. */
static void complete_operand(const struct cli_verb *verb, const char *config)
{
	const char *space = strrchr(verb->usage, ' '), *word = space ? space + 1 : verb->usage;
	bool optional = word[0] == '[';
	size_t len = strcspn(word + optional, "]\xe2"); /* of the "…" */

	if (strchr(word, ']') != NULL && !optional)
		return; /* "[--wait 5m]" */
	if (word[optional] != '-')
		complete_value(word + optional, len, config);
}

/* ---- the command line ---- */

static void complete_verbs(const struct cli_verb *const *verbs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)printf("%s\t%.*s\n", verbs[i]->name, (int)strcspn(verbs[i]->summary, "\n"),
			verbs[i]->summary);
	(void)printf("--help\tthe list of verbs\n--version\tthe version\n");
}

int complete_print(const struct cli_verb *const *verbs, size_t verbs_n, char **words, size_t n)
{
	const struct cli_verb *verb = NULL;
	const char *config = CONFFILE_PATH, *last = n > 0 ? words[n - 1] : "";
	struct complete_option o;
	bool options = true; /* no "--" yet */

	if (n == 0) {
		complete_verbs(verbs, verbs_n);
		return CLI_DONE;
	}
	for (size_t i = 0; i < verbs_n; i++)
		if (strcmp(verbs[i]->name, words[0]) == 0)
			verb = verbs[i];
	if (!verb)
		return CLI_DONE;
	for (size_t i = 1; i < n; i++) {
		options &= strcmp(words[i], "--") != 0;
		if (i + 1 < n && (strcmp(words[i], "-c") == 0 || strcmp(words[i], "--config") == 0))
			config = words[i + 1];
	}
	if (options && n > 1 && complete_find(verb, last, &o) && o.value_len > 0) {
		complete_value(o.value, (size_t)o.value_len, config);
		return CLI_DONE;
	}
	if (options)
		complete_options(verb);
	complete_operand(verb, config);
	return CLI_DONE;
}
