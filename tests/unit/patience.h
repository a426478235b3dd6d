/*
 * patience: valgrind takes thirty times as long, and sees as much in the first turns of a long loop as in all
 * of them. The whole loop is for the usual build and the one with sanitizers.
 */
#ifndef TESTS_PATIENCE_H
#define TESTS_PATIENCE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool patience_is_short(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

/* How many of n turns to make. */
static inline int patience_turns(int n)
{
	return patience_is_short() ? (n + 9) / 10 : n;
}

#endif
