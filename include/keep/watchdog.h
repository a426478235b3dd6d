/*
 * watchdog: feeding systemd's watchdog (WatchdogSec=), by progress and not by a clock: four times in its time
 * the dispatcher is asked to go round its loop, and what it has counted on its page since the last time is
 * passed on. A dispatcher that hangs, and a keeper that does, are both noticed; a watcher that waits for a
 * mount is none of its business.
 */
#ifndef KEEP_WATCHDOG_H
#define KEEP_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/loop.h"

struct watchdog;

/* Asks whoever makes progress for some, and returns the count so far; -1: there is nobody, and that is as it
 * should be (it is about to be started). */
typedef int64_t (*watchdog_ask_fn)(void *arg);

/* NULL where systemd has asked for none: $WATCHDOG_USEC and $WATCHDOG_PID, sd_watchdog_enabled(3). */
struct watchdog *watchdog_new(struct loop *loop, watchdog_ask_fn ask, void *arg);
void watchdog_free(struct watchdog *w); /* takes NULL */

#endif
