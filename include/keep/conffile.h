/*
 * conffile: the configuration files, read with inih, into struct conf.
 *
 * inih as it is packaged is compiled with fixed limits and forgives a lot: lines are split, names cut, text
 * behind " ;" dropped, an indented line becomes one more value of the key above it. Here every such case is a
 * mistake with its file and line; nothing is ever changed silently. What a file may look like is in
 * brickwatch.ini(5).
 *
 * conffile neither resolves nor checks the whole: conf_resolve() and conf_check() come after it.
 */
#ifndef KEEP_CONFFILE_H
#define KEEP_CONFFILE_H

#include <stdbool.h>
#include "base/err.h"
#include "core/conf.h"

#define CONFFILE_PATH "/etc/brickwatch/brickwatch.ini"
#define CONFFILE_BYTES_MAX (4 * 1024 * 1024) /* of one file */
#define CONFFILE_FILES_MAX 1000		     /* in conf.d */

/*
 * Reads path, then (with_confd) the files of the folder conf.d beside it, if there is one, in name order:
 * those that end in .ini and do not begin with a dot. Mistakes of all files are added to m. A file, or a
 * folder above it, that somebody else could change is a mistake too (keep/conftrust.h). Returns 0 when the
 * first file could be read, whatever stands in it, else -errno with *err. May block on a hung mount.
 */
int conffile_load(const char *path, bool with_confd, struct conf *c, struct conf_mistakes *m,
	struct err *err) MUST_CHECK;
/* The same for text that is in memory; path is shown as its origin only. */
void conffile_parse(const char *path, const char *text, size_t len, struct conf *c, struct conf_mistakes *m);

#endif
