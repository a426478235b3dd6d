/*
 * online: `check --online`: signs in to each workspace and looks at the job of each watch, in this process;
 * no service is needed or asked. Starts nothing.
 */
#ifndef CLI_ONLINE_H
#define CLI_ONLINE_H

#include <stdbool.h>
#include "core/conf.h"

/* c: checked; the ids of job names are put into it. Prints what is found to standard output. Returns the exit
 * status: 0 (there may be warnings), 1 a job cannot be started, 69 a workspace cannot be reached or refuses,
 * 78 a credential cannot be used. */
int online_check(struct conf *c, bool json);

#endif
