/*
 * configure: takes the configuration that the keeper has read, at the start, and says whether it can be
 * worked with (also for a reload).
 */
#ifndef DISPATCH_CONFIGURE_H
#define DISPATCH_CONFIGURE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "core/wire.h"

struct configured { /* what comes with it */
	int mode;   /* enum wire_mode */
	bool dry;
	int64_t watches; /* whose watchers will be attached */
	int64_t wait_us;
	char *only_watch, *hash;	  /* owned */
	int64_t started_us, runs_started; /* of the service */
};

/* Resolves conf; the first mistake that is no warning, or what keeps requests from being made, is the error.
 */
int configure_check(struct conf *conf, const struct conf_mistakes *mistakes, struct err *err) MUST_CHECK;
/* Waits for all of it, however long that takes. in: room for a message. conf is filled and checked. */
int configure_receive(int keeper_fd, struct wire_message *in, struct conf *conf, struct configured *ret,
	struct err *err) MUST_CHECK;
void configured_done(struct configured *c);

#endif
