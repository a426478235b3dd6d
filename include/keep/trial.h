/*
 * trial: a dispatcher that is started to say only whether a configuration can be worked with. The running one
 * may not open what is new in it (credentials, certificates, the directory of the event log), and the keeper
 * looks at no secret.
 *
 * The caller owns it, and calls trial_ended() for children that have ended.
 */
#ifndef KEEP_TRIAL_H
#define KEEP_TRIAL_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/loop.h"
#include "core/conf.h"

struct trial;

/* status 0: it can; else text says why not. Called once, from the loop or in trial_ended(); the trial has
 * freed itself then. */
typedef void (*trial_fn)(int status, const char *text, void *arg);

/* other_log: its event log is not the running one's. NULL with *err: no process could be started. */
struct trial *trial_start(struct loop *loop, const struct conf *conf, bool other_log, bool journal,
	trial_fn fn, void *arg, struct err *err);
/* Was it this process that ended? */
bool trial_ended(struct trial *t, pid_t pid, int wait_status);
void trial_free(struct trial *t); /* takes NULL; kills it, and it is reaped like an unknown child */

#endif
