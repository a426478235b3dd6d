/*
 * serviceuser: the user that runs the service, for verbs that say what the service will see and are asked by
 * root.
 */
#ifndef CLI_SERVICEUSER_H
#define CLI_SERVICEUSER_H

#include <sys/types.h>
#include "base/err.h"
#include "core/conf.h"

#define SERVICEUSER_UNKNOWN ((uid_t)-1) /* the same as SECRETFILE_ANYBODY */
#define SERVICEUSER_NAME_BYTES 64

/* The owner of the state directory; before the first start, with the unit's own configuration, the unit's
 * user; else SERVICEUSER_UNKNOWN. config: where conf was read from. */
uid_t serviceuser_find(const struct conf *conf, const char *config);
/* For good (confine/owner), when we are root and he, of serviceuser_find(), is another and known; else
 * nothing is done. */
int serviceuser_become(const struct conf *conf, uid_t service, struct err *err) MUST_CHECK;
/* His name, or his number. */
const char *serviceuser_name(uid_t uid, char out[SERVICEUSER_NAME_BYTES]);

#endif
