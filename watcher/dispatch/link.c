/*
 * link: a watcher asks one question at a time (`candidates`), so one slot for the answer is enough. Other
 * messages need none.
 */
#include "dispatch/link.h"

#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "base/mem.h"

#define MESSAGES_PER_ROUND 64 /* then others have their turn */

struct link {
	int fd;
	struct loop_io *io;
	struct wire_message *in;
	link_fn fn;
	void *arg;
	bool reading;
	bool owing; /* the slot is full */
	int64_t seq;
	size_t bits_len;
	uint8_t bits[WIRE_CANDIDATES_MAX / 8];
};

static void set_events(struct link *l)
{
	(void)loop_io_set(l->io, (l->reading ? LOOP_IN : 0) | (l->owing ? LOOP_OUT : 0));
}

/* 0, -EAGAIN, -errno */
static int send_owed(struct link *l)
{
	struct wire_wanted m = {.seq = l->seq, .bits = l->bits, .bits_len = l->bits_len};
	int rc = wire_send(l->fd, WIRE_WANTED, &m, NULL, 0);

	if (rc != -EAGAIN)
		l->owing = false; /* a watcher that is gone is noticed by reading */
	set_events(l);
	return rc;
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
	if (events & LOOP_OUT && l->owing)
		(void)send_owed(l);
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
	fs_close(&l->fd);
	free(l);
}

void link_set_reading(struct link *l, bool on)
{
	l->reading = on;
	set_events(l);
}

void link_read(struct link *l)
{
	read_some(l, MESSAGES_PER_ROUND);
}

int link_answer(struct link *l, int64_t seq, const void *bits, size_t len)
{
	int rc;

	BUG_ON(len > sizeof(l->bits));
	if (l->owing)
		return -EBUSY;
	l->owing = true;
	l->seq = seq;
	l->bits_len = len;
	memcpy(l->bits, bits, len);
	rc = send_owed(l);
	return rc == -EAGAIN || rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
}
