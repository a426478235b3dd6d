/*
 * complete: what a shell may offer as the next word of a command line (`brickwatch --complete -- WORDS`).
 *
 * The shells' scripts (packaging/completion) know no verb and no option: they ask the program, so they cannot
 * disagree with it, whichever version is installed.
 */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include <stddef.h>
#include "cli/cli.h"

/* words: those before the cursor, without the program. Prints a line "WORD<TAB>DESCRIPTION" for each that may
 * come next, options too, and ":files" where names of files may; the shell takes those that begin like what
 * is typed. Where nothing is known nothing is printed, and no mistake told. */
int complete_print(const struct cli_verb *const *verbs, size_t verbs_n, char **words, size_t n);

#endif
