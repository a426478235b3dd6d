/*
 * outlet: what the watcher tells the dispatcher. Sending never blocks: what does not fit in the socket waits
 * here in order, and the watcher stops making more (no reading of events, no judging, no listing) until there
 * is room.
 */
#ifndef SENSE_OUTLET_H
#define SENSE_OUTLET_H

#include <stdbool.h>
#include "base/err.h"
#include "base/loop.h"
#include "core/wire.h"

struct outlet;
/* room: all that waited has been sent. lost: the dispatcher is gone. message: one came in (its strings live
 * until the callback returns). */
struct outlet_callbacks {
	void (*room)(void *arg);
	void (*lost)(void *arg, const char *why);
	void (*message)(void *arg, struct wire_message *m);
};

/* fd stays the caller's. NULL with *err. */
struct outlet *outlet_new(
	struct loop *loop, int fd, const struct outlet_callbacks *cb, void *arg, struct err *err);
void outlet_free(struct outlet *o); /* takes NULL */
void outlet_send(struct outlet *o, enum wire_type type, const void *msg);
/* Something waits: make no more. */
bool outlet_is_blocked(const struct outlet *o);

#endif
