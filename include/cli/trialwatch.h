/*
 * trialwatch: a watcher of our own that is asked about one path and then ended, where no service is asked:
 * nobody but a watcher touches a drop folder.
 */
#ifndef CLI_TRIALWATCH_H
#define CLI_TRIALWATCH_H

#include "base/err.h"
#include "core/conf.h"
#include "core/wire.h"

#define TRIALWATCH_GROUP_BYTES 256

/* Asks what the watcher makes of path, at most wait_ms from step to step; each step is told as it comes. 0:
 * *in is WIRE_EXPLAINED_FILE, the caller's; or -errno with *err (ETIMEDOUT: it hangs, and may be left
 * behind). */
int trialwatch_ask(const struct conf *conf, const struct conf_watch *watch, const char *path, int wait_ms,
	void (*step)(const struct wire_explained *m, void *arg), void *arg, struct wire_message *in,
	struct err *err) MUST_CHECK;
/* The text of a step; of "group", whose number only a watcher may look up and whose name only we may, the
 * name (or the number). */
const char *trialwatch_group(const struct wire_explained *m, char out[TRIALWATCH_GROUP_BYTES]);

#endif
