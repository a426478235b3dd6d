/*
 * link: of each type of message at most one may be open (an answer to the one question of a watcher, or a
 * question to it), so one slot for each is enough. Slots go out in the order in which they were filled.
 */
#include "dispatch/link.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/fs.h"
#include "base/mem.h"

#define MESSAGES_PER_ROUND 64 /* then others have their turn */
#define SLOTS 8		      /* types of messages that a dispatcher sends, and some more */

struct slot { /* a message that waits for room; used while its turn is above 0 */
	enum wire_type type;
	uint64_t turn;
	struct buf bytes;
};

struct link {
	int fd;
	struct loop_io *io;
	struct wire_message *in;
	link_fn fn;
	void *arg;
	bool reading;
	uint64_t turns;
	struct slot slots[SLOTS];
};

/* The slot whose turn it is, or NULL. */
static struct slot *next_slot(struct link *l)
{
	struct slot *next = NULL;

	for (size_t i = 0; i < SLOTS; i++)
		if (l->slots[i].turn > 0 && (!next || l->slots[i].turn < next->turn))
			next = &l->slots[i];
	return next;
}

static void set_events(struct link *l)
{
	(void)loop_io_set(l->io, (l->reading ? LOOP_IN : 0) | (next_slot(l) ? LOOP_OUT : 0));
}

static void send_owed(struct link *l)
{
	struct slot *slot;

	while ((slot = next_slot(l))) {
		int rc = sock_send(l->fd, buf_str(&slot->bytes), slot->bytes.len, NULL, 0);

		if (rc == -EAGAIN)
			break;
		/* A watcher that is gone is noticed by reading. One that is not would wait for this answer
		 * for ever (ENOBUFS, ENOMEM), so it is let go in the same way. */
		if (rc < 0)
			(void)shutdown(l->fd, SHUT_RDWR);
		slot->turn = 0;
		buf_reset(&slot->bytes);
	}
	set_events(l);
}

static void read_some(struct link *l, int max)
{
	struct err err = ERR_INIT;
	bool more = true;

	while (more && max-- > 0) {
		int rc = wire_recv(l->fd, l->in, &err);

		if (rc == -EAGAIN)
			return;
		if (rc <= 0) {
			(void)l->fn(l, NULL, rc < 0 ? err.text : NULL, l->arg);
			return;
		}
		more = l->fn(l, l->in, NULL, l->arg);
		wire_message_close(l->in);
	}
}

static void on_io(struct loop_io *io, uint32_t events, void *arg)
{
	struct link *l = arg;

	(void)io;
	if (events & LOOP_OUT)
		send_owed(l);
	if (events & (LOOP_IN | LOOP_HUP | LOOP_ERR) && l->reading)
		read_some(l, MESSAGES_PER_ROUND);
}

struct link *link_new(
	struct loop *loop, int fd, struct wire_message *in, link_fn fn, void *arg, struct err *err)
{
	struct link *l = mem_alloc(sizeof(*l));

	l->fd = fd;
	l->in = in;
	l->fn = fn;
	l->arg = arg;
	l->reading = true;
	for (size_t i = 0; i < SLOTS; i++)
		buf_init(&l->slots[i].bytes, WIRE_MESSAGE_BYTES);
	l->io = loop_io_add(loop, fd, LOOP_IN, on_io, l, err);
	if (l->io)
		return l;
	link_free(l);
	return NULL;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	loop_io_remove(l->io);
	for (size_t i = 0; i < SLOTS; i++)
		buf_done(&l->slots[i].bytes);
	fs_close(&l->fd);
	free(l);
}

void link_set_reading(struct link *l, bool on)
{
	l->reading = on;
	set_events(l);
}

void link_set_arg(struct link *l, void *arg)
{
	l->arg = arg;
}

void link_read(struct link *l)
{
	read_some(l, MESSAGES_PER_ROUND);
}

/* The slot for this type, empty or full. */
static struct slot *slot_for(struct link *l, enum wire_type type)
{
	struct slot *empty = NULL;

	for (size_t i = 0; i < SLOTS; i++) {
		if (l->slots[i].turn > 0 && l->slots[i].type == type)
			return &l->slots[i];
		if (l->slots[i].turn == 0)
			empty = &l->slots[i];
	}
	BUG_ON(!empty); /* there are fewer types */
	return empty;
}

int link_send(struct link *l, enum wire_type type, const void *msg)
{
	struct slot *slot = slot_for(l, type);
	int rc;

	if (slot->turn > 0)
		return -EBUSY;
	rc = wire_encode(type, msg, &slot->bytes);
	if (rc < 0)
		return rc;
	slot->type = type;
	slot->turn = ++l->turns;
	send_owed(l);
	return 0;
}
