/*
 * confined: which paths are the dispatcher's own, by the configuration, and the walls around them
 * (confine/walls): state, event log, control socket, metrics, and the directories of secrets and
 * certificates. Drop folders are none of them.
 *
 * The walls stay as they are for the life of the process. So another configuration that needs other paths,
 * and a path that leads elsewhere, need another process.
 */
#ifndef DISPATCH_CONFINED_H
#define DISPATCH_CONFINED_H

#include <stdbool.h>
#include <stdint.h>
#include "confine/walls.h"
#include "core/conf.h"

struct confined;

/* Raises the walls; to be called when all directories are made and no thread runs. What does not work is
 * logged, and the process goes on. Never NULL. May block on a hung mount. */
struct confined *confined_raise(const struct conf *conf);
void confined_free(struct confined *c); /* takes NULL; the walls stay */
/* Can another configuration be worked with behind these walls? */
bool confined_suits(const struct confined *c, const struct conf *conf);
/* Must another process take over, since one of the paths leads elsewhere? Then which (borrowed), else NULL.
 * Not the state directory: the ledger is in the one that was opened, and waits for it to be back. Looks no
 * more often than every two seconds. */
const char *confined_moved(struct confined *c, int64_t now_us);

#endif
