/*
 * outlet: a queue of encoded messages that is nearly always empty. Its length is bounded by its users, who
 * look at outlet_is_blocked() before they make anything in bulk; what may still come then (a trouble, the
 * answer to one question) is a handful.
 */
#include "sense/outlet.h"

#include <string.h>
#include "base/list.h"
#include "base/mem.h"

#define OUTLET_QUEUE_MAX 256
#define OUTLET_MESSAGES_A_ROUND 64

struct outlet_item {
	struct list order;
	size_t len;
	char bytes[];
};

struct outlet {
	int fd;
	struct loop_io *io;
	struct outlet_callbacks cb;
	void *arg;
	struct list queue;
	size_t queued;
	bool lost;
	struct buf scratch;
	struct wire_message in;
};

static void outlet_tell_lost(struct outlet *o, const char *why)
{
	if (o->lost)
		return;
	o->lost = true;
	(void)loop_io_set(o->io, 0);
	o->cb.lost(o->arg, why);
}

static void outlet_flush(struct outlet *o)
{
	while (!list_is_empty(&o->queue)) {
		struct outlet_item *item = LIST_OF(o->queue.next, struct outlet_item, order);
		int rc = sock_send(o->fd, item->bytes, item->len, NULL, 0);

		if (rc == -EAGAIN)
			return;
		if (rc < 0) {
			outlet_tell_lost(o, strerror(-rc));
			return;
		}
		list_remove(&item->order);
		free(item);
		o->queued--;
	}
	(void)loop_io_set(o->io, LOOP_IN);
	o->cb.room(o->arg);
}

static void outlet_read(struct outlet *o)
{
	for (int i = 0; i < OUTLET_MESSAGES_A_ROUND && !o->lost; i++) {
		struct err err = ERR_INIT;
		int rc = wire_recv(o->fd, &o->in, &err);

		if (rc == -EAGAIN)
			return;
		if (rc <= 0) {
			outlet_tell_lost(o, rc == 0 ? "it has closed the connection" : err.text);
			return;
		}
		o->cb.message(o->arg, &o->in);
		wire_message_close(&o->in);
	}
}

static void outlet_on_io(struct loop_io *io, uint32_t events, void *arg)
{
	struct outlet *o = arg;

	(void)io;
	if (events & (LOOP_IN | LOOP_HUP | LOOP_ERR))
		outlet_read(o);
	if (!o->lost && (events & LOOP_OUT))
		outlet_flush(o);
}

struct outlet *outlet_new(
	struct loop *loop, int fd, const struct outlet_callbacks *cb, void *arg, struct err *err)
{
	struct outlet *o = mem_alloc(sizeof(*o));

	o->fd = fd;
	o->cb = *cb;
	o->arg = arg;
	list_init(&o->queue);
	buf_init(&o->scratch, WIRE_MESSAGE_BYTES);
	o->io = loop_io_add(loop, fd, LOOP_IN, outlet_on_io, o, err);
	if (o->io)
		return o;
	free(o);
	return NULL;
}

void outlet_free(struct outlet *o)
{
	if (!o)
		return;
	LIST_FOREACH_SAFE (it, &o->queue)
		free(LIST_OF(it, struct outlet_item, order));
	loop_io_remove(o->io);
	buf_done(&o->scratch);
	free(o);
}

static void outlet_queue(struct outlet *o)
{
	struct outlet_item *item;

	BUG_ON(o->queued >= OUTLET_QUEUE_MAX);
	item = mem_alloc(sizeof(*item) + o->scratch.len);
	item->len = o->scratch.len;
	memcpy(item->bytes, o->scratch.data, item->len);
	list_init(&item->order);
	list_add_tail(&o->queue, &item->order);
	o->queued++;
	(void)loop_io_set(o->io, LOOP_IN | LOOP_OUT);
}

void outlet_send(struct outlet *o, enum wire_type type, const void *msg)
{
	int rc;

	if (o->lost)
		return;
	rc = wire_encode(type, msg, &o->scratch);
	BUG_ON(rc < 0); /* every text in it is bounded by its maker */
	rc = o->queued > 0 ? -EAGAIN : sock_send(o->fd, o->scratch.data, o->scratch.len, NULL, 0);
	if (rc == -EAGAIN)
		outlet_queue(o);
	else if (rc < 0)
		outlet_tell_lost(o, strerror(-rc));
}

bool outlet_is_blocked(const struct outlet *o)
{
	return o->queued > 0 || o->lost;
}
