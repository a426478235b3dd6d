/*
 * metrics: what the service knows about itself, as a file for node_exporter's textfile collector
 * (core/metrics has the names and the format). Written by the dispatcher when something has changed, at most
 * every METRICS_EVERY_US, and at the end; an idle service is not woken for it.
 */
#ifndef DISPATCH_METRICS_H
#define DISPATCH_METRICS_H

#include <stdint.h>
#include "base/loop.h"
#include "core/wire.h"
#include "dispatch/desk.h"

#define METRICS_EVERY_US (15 * INT64_C(1000000))

struct metrics;

/* All borrowed; page may be NULL. The ledger is counted from now on, a stretch at a time, if there is a file
 * to write. */
struct metrics *metrics_new(struct loop *loop, struct desk *desk, struct wire_page *page);
void metrics_free(struct metrics *m); /* takes NULL; writes nothing */
/* Something has changed: it is written soon. All below take NULL. */
void metrics_touch(struct metrics *m);
/* A run was started so long after its file was complete. */
void metrics_started(struct metrics *m, const char *watch, int64_t latency_us);
/* The desk has another configuration. A file that is not written any more is removed. */
void metrics_reloaded(struct metrics *m);
/* Another dispatcher takes over, which writes to that path (NULL: to none): nothing is written any more, and
 * a file that nobody would write again is removed. */
void metrics_leave(struct metrics *m, const char *next);
/* Writes for the last time. */
void metrics_stop(struct metrics *m);

#endif
