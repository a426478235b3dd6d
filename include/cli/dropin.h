/*
 * dropin: `check --print-dropin`: what the unit needs for this configuration, on standard output.
 */
#ifndef CLI_DROPIN_H
#define CLI_DROPIN_H

#include <sys/types.h>
#include "core/conf.h"

/* service: the user that will run it, or (uid_t)-1. config: where c was read from. Returns the exit status: 1
 * when something cannot be written into a unit. */
int dropin_write(const struct conf *c, const char *config, uid_t service);

#endif
