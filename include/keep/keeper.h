/*
 * keeper: the main process. It starts the dispatcher and one watcher for each watch, hands them the
 * configuration, reaps and restarts them, passes signals on, and tells systemd. It holds no secret, has no
 * network, and parses nothing but the configuration.
 */
#ifndef KEEP_KEEPER_H
#define KEEP_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "core/wire.h"

struct keeper_options {
	enum wire_mode mode; /* WIRE_MODE_RUN or WIRE_MODE_SCAN */
	bool dry_run;
	const char *only_watch; /* NULL: all */
	int64_t wait_us;	/* scan */
	bool journal;		/* log lines carry priorities */
	bool progress;		/* a line on the terminal says how far it is */
	const char *config;	/* the file, for a reload; NULL: cannot be reloaded */
};

/* Runs until a signal, or (scan) until everything is done. Returns the exit status. */
int keeper_run(const struct conf *conf, const struct keeper_options *options);

/* Sends the configuration (only_watch: just what the process of that watch needs) and WIRE_CONFIGURED on fd.
 * For processes just started. */
int keeper_send_configuration(int fd, const struct conf *conf, const char *only_watch,
	const struct wire_configured *last, struct err *err) MUST_CHECK;

#endif
