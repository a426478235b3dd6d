/*
 * link: the dispatcher's end of a watcher's socket. Reads messages, and keeps what is to be sent, at most one
 * message of each type, until the socket takes it; so the dispatcher never waits for a watcher.
 */
#ifndef DISPATCH_LINK_H
#define DISPATCH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/loop.h"
#include "core/wire.h"

struct link;

/* m: borrowed for the call; NULL: the link has ended (why: NULL when the watcher closed it, else a sentence)
 * and is to be freed. Returns whether more may be read in this round. */
typedef bool (*link_fn)(struct link *l, const struct wire_message *m, const char *why, void *arg);

/* Takes fd over (also when it fails). in: where messages are received; may be shared by links of one loop.
 * NULL with *err. */
struct link *link_new(
	struct loop *loop, int fd, struct wire_message *in, link_fn fn, void *arg, struct err *err);
void link_free(struct link *
		l); /* takes NULL; not from inside its callback for a message, but from the one for the end */
void link_set_reading(struct link *l, bool on);
void link_set_arg(struct link *l, void *arg);
/* Reads what is there already; may call fn for the end. */
void link_read(struct link *l);
/* Sends a message, now or as soon as there is room. -EBUSY: the last one of this type has not gone out yet;
 * -errno as wire_encode. A watcher that is gone is no error here: that is noticed by reading. */
int link_send(struct link *l, enum wire_type type, const void *msg) MUST_CHECK;

#endif
