/*
 * crash: named places between two steps where a test may let the process be killed. Only in a build made with
 * --enable-crash-points; in any other they are nothing at all, not even a test of a flag.
 *
 * BW_CRASH=NAME:N:FILE in the environment: whoever comes to the place NAME as the N-th (of all processes of
 * the service, over all its lives) gets SIGKILL. FILE is there already and holds CRASH_FILE_BYTES bytes of
 * zeros; in it the comings are counted, so the processes that are started afterwards go on, and the test sees
 * whether the place was reached. FIRST>NAME is the place NAME after FIRST was passed by the same process: so
 * a test comes to just the commit that it is about.
 *
 * A name is MODULE-PLACE, used once. tests/faults has the table of all names.
 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

#define CRASH_FILE_BYTES 8

#ifdef BW_CRASH_POINTS

#include <stdbool.h>

#define CRASH_BUILD " (with crash points: for tests only)"
/* Entries that every process hands on, also to one that otherwise gets none of the debugging tools'. */
#define CRASH_ENVIRONMENT "BW_CRASH=", "LD_PRELOAD=",

/* Reads BW_CRASH. Once, at the start of a process, before it confines itself. What it does not understand
 * ends the process. */
void crash_init(void);
/* Counts, and says whether this is the one. */
bool crash_is_due(const char *name);
/* FILE, for walls that processes started later are behind; NULL: nobody is to be killed. Borrowed. */
const char *crash_file(void);
_Noreturn void crash_now(void);

/* step: what is done last, for instance one half of a write. */
#define CRASH_POINT_AFTER(name, step)                                                                        \
	do {                                                                                                 \
		if (crash_is_due(name)) {                                                                    \
			step;                                                                                \
			crash_now();                                                                         \
		}                                                                                            \
	} while (0)

#else

#define CRASH_BUILD ""
#define CRASH_ENVIRONMENT

static inline void crash_init(void)
{
}

static inline const char *crash_file(void)
{
	return (const char *)0;
}

#define CRASH_POINT_AFTER(name, step) ((void)0)

#endif

#define CRASH_POINT(name) CRASH_POINT_AFTER(name, (void)0)

#endif
