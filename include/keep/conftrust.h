/*
 * conftrust: could somebody else have written the configuration?
 *
 * A configuration says which job is started and where a credential is sent. So the file and every folder
 * above it must belong to root or to us, and be writable for nobody else (a folder with the sticky bit, like
 * /tmp, may be, for others cannot replace there what is not theirs). User 65534 is accepted as owner: in a
 * user namespace, as PrivateUsers= makes one, it stands for everybody outside.
 */
#ifndef KEEP_CONFTRUST_H
#define KEEP_CONFTRUST_H

#include <sys/stat.h>
#include "core/conf.h"

struct conftrust; /* remembers which folders have been looked at, so that each is told once */

struct conftrust *conftrust_new(void);
void conftrust_free(struct conftrust *t); /* takes NULL */
/* Judges the open file described by st, and by name the folders above path. Mistakes end with the command
 * that mends it. May block on a hung mount. */
void conftrust_check(struct conftrust *t, const char *path, const struct stat *st, struct conf_mistakes *m);
/* Judges a folder whose entries are read (no sticky bit helps there) and those above it. */
void conftrust_check_folder(
	struct conftrust *t, const char *path, const struct stat *st, struct conf_mistakes *m);

#endif
