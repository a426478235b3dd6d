/*
 * walls: what a kind of process may still touch: Landlock for files, TCP, signals and abstract sockets,
 * seccomp for the rest. Beside confine/limits, which is called first (it gives up new privileges).
 *
 * The table of what each kind needs of the system is in walls.c; its own paths are told one by one with
 * walls_own(). What the kernel has no wall for stays open: never is that a reason not to work.
 *
 * A Landlock rule stays with what the path led to when it was made. So an own path that leads elsewhere later
 * (another directory, a mount, one that was missing) cannot be opened any more by this process, only by
 * one that is started anew: walls_moved() tells.
 *
 * The caller owns the walls; the paths are copied. Nothing is logged here.
 */
#ifndef CONFINE_WALLS_H
#define CONFINE_WALLS_H

#include <stdbool.h>
#include "base/err.h"
#include "confine/limits.h"

#define WALLS_TEXT_BYTES 512

struct walls;

struct walls *walls_new(enum limits_kind kind);
void walls_free(struct walls *w); /* takes NULL; the walls stay */
/* A directory of its own, and what may be done beneath it: LANDLOCK_READ … of confine/landlock.h; listing is
 * always allowed. */
void walls_own(struct walls *w, const char *directory, unsigned may);
/* A file to be read, which others replace by rename: its directory, and the one it lies in when links lead
 * there. file: absolute. */
void walls_own_file(struct walls *w, const char *file);

/*
 * Puts them in force, for good. The process must have one thread only. 0 also where the kernel has no such
 * wall (walls_tell); -errno with *err: something else went wrong, the other wall may stand, and going on is
 * right. Own paths that lead nowhere get no rule. May block when one is on a hung mount.
 *
 * without_seccomp: Landlock only. Under a checking tool (limits_is_checked) nothing is done.
 */
int walls_raise(struct walls *w, bool without_seccomp, struct err *err) MUST_CHECK;

/* Raised, and this own path (as told) cannot be opened for no other reason than that it leads to something
 * else than it did then, or to something for the first time. Opens it; may block on a hung mount. */
bool walls_moved(const struct walls *w, const char *path);
/* The first of all such but `except` (may be NULL); borrowed; NULL: none. */
const char *walls_first_moved(const struct walls *w, const char *except);
/* May all that `other` would own be done with what w owns? Compares what was told, not what it leads to. */
bool walls_cover(const struct walls *w, const struct walls *other);
/* The first own path beneath which path lies, by its name; NULL: none. */
const char *walls_hold(const struct walls *w, const char *path);

/* For the start-up line: "Landlock 7, seccomp" or what is missing and why. True: everything there is. */
bool walls_tell(char text[WALLS_TEXT_BYTES]);

#endif
