/*
 * What epoll hands back is never a pointer: it is a slot number and the slot's generation. A registration
 * that is removed frees its slot at once and the generation moves on, so an event of the same round that was
 * already fetched for it, or one that comes late because somebody closed the descriptor too early, finds
 * nobody and is dropped.
 *
 * A parked registration (events 0) is taken out of the epoll set, since epoll reports errors and hang-ups
 * without being asked and would turn the loop in circles.
 *
 * Timers that are due are moved from the heap to a list before the first callback of a round runs. So a
 * callback may still clear or set again any of them, and one set for the past waits for the next round: no
 * timer can keep the loop from its other work.
 *
 * Waiting has microseconds by epoll_pwait2(2) (Linux 5.11). Where that is missing or filtered, milliseconds
 * rounded up: late by less than one, and never waking up too early only to wait again.
 */
#include "base/loop.h"

#include <linux/time_types.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

#define EVENTS_PER_ROUND 64
#define SIGNALS_PER_READ 8
#define NOT_IN_HEAP SIZE_MAX
#define WAIT_MAX_US (INT64_C(86400) * 1000000) /* longer waits are done in pieces */

_Static_assert(LOOP_IN == EPOLLIN && LOOP_PRI == EPOLLPRI && LOOP_OUT == EPOLLOUT, "events are epoll's");
_Static_assert(LOOP_ERR == EPOLLERR && LOOP_HUP == EPOLLHUP, "events are epoll's");

struct loop_io {
	struct loop *loop;
	int fd;
	uint32_t events;
	uint32_t slot;
	loop_io_fn fn;
	void *arg;
};

struct loop_timer {
	struct loop *loop;
	struct list in_all;
	struct list in_due; /* linked: due in this round and not yet called */
	int64_t at_us;
	uint64_t order;	 /* of the call that set it: among equals the first set comes first */
	size_t heap_pos; /* or NOT_IN_HEAP */
	loop_timer_fn fn;
	void *arg;
};

struct io_slot {
	struct loop_io *io;
	uint32_t generation;
};

struct call {
	loop_fn fn; /* NULL: cancelled */
	void *arg;
};

struct calls {
	struct call *items;
	size_t n, cap;
};

struct loop {
	int epoll_fd;
	int64_t now_us;
	bool in_round;
	bool stopping;
	int result;
	bool no_pwait2;

	struct io_slot *slots;
	size_t n_slots;

	struct list timers;
	struct list due;
	struct loop_timer **heap;
	size_t heap_n, heap_cap;
	uint64_t timer_order;

	struct calls deferred; /* for the next deferred part */
	struct calls running;  /* the one being worked on */
	struct calls hooks;

	int signal_fd;
	struct loop_io *signal_io;
	loop_signal_fn signal_fn;
	void *signal_arg;
};

/* ---- timers ---- */

static bool timer_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_place(struct loop *l, size_t pos, struct loop_timer *t)
{
	l->heap[pos] = t;
	t->heap_pos = pos;
}

static void heap_up(struct loop *l, size_t pos)
{
	struct loop_timer *t = l->heap[pos];

	while (pos > 0 && timer_before(t, l->heap[(pos - 1) / 2])) {
		heap_place(l, pos, l->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	heap_place(l, pos, t);
}

static void heap_down(struct loop *l, size_t pos)
{
	struct loop_timer *t = l->heap[pos];

	for (;;) {
		size_t child = 2 * pos + 1;

		if (child >= l->heap_n)
			break;
		if (child + 1 < l->heap_n && timer_before(l->heap[child + 1], l->heap[child]))
			child++;
		if (!timer_before(l->heap[child], t))
			break;
		heap_place(l, pos, l->heap[child]);
		pos = child;
	}
	heap_place(l, pos, t);
}

static void heap_add(struct loop *l, struct loop_timer *t)
{
	if (l->heap_n == l->heap_cap) {
		l->heap_cap = l->heap_cap > 0 ? l->heap_cap * 2 : 16;
		l->heap = mem_resize(l->heap, l->heap_cap, sizeof(struct loop_timer *));
	}
	heap_place(l, l->heap_n++, t);
	heap_up(l, t->heap_pos);
}

static void heap_remove(struct loop *l, struct loop_timer *t)
{
	size_t pos = t->heap_pos;
	struct loop_timer *last = l->heap[--l->heap_n];

	t->heap_pos = NOT_IN_HEAP;
	if (last == t)
		return;
	heap_place(l, pos, last);
	heap_up(l, pos);
	heap_down(l, last->heap_pos);
}

static void collect_due_timers(struct loop *l)
{
	while (l->heap_n > 0 && l->heap[0]->at_us <= l->now_us) {
		struct loop_timer *t = l->heap[0];

		heap_remove(l, t);
		list_add_tail(&l->due, &t->in_due);
	}
}

static void run_due_timers(struct loop *l)
{
	while (!list_is_empty(&l->due)) {
		struct loop_timer *t = LIST_OF(l->due.next, struct loop_timer, in_due);

		list_remove(&t->in_due);
		t->fn(t, t->arg);
	}
}

/* ---- deferred calls and hooks ---- */

static void calls_add(struct calls *c, loop_fn fn, void *arg)
{
	if (c->n == c->cap) {
		c->cap = c->cap > 0 ? c->cap * 2 : 8;
		c->items = mem_resize(c->items, c->cap, sizeof(struct call));
	}
	c->items[c->n++] = (struct call){.fn = fn, .arg = arg};
}

static bool calls_have(const struct calls *c, loop_fn fn, const void *arg)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].fn == fn && c->items[i].arg == arg)
			return true;
	return false;
}

static void calls_cancel(struct calls *c, loop_fn fn, const void *arg)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].fn == fn && c->items[i].arg == arg)
			c->items[i].fn = NULL;
}

static void run_deferred(struct loop *l)
{
	struct calls todo = l->deferred;

	l->deferred = l->running; /* empty, its memory is used again */
	l->running = todo;
	for (size_t i = 0; i < l->running.n; i++) {
		struct call c = l->running.items[i];

		l->running.items[i].fn = NULL; /* from now on it may be deferred anew */
		if (c.fn != NULL)
			c.fn(c.arg);
	}
	l->running.n = 0;
}

/* A hook may add hooks; the array may move. */
static void run_hooks(struct loop *l)
{
	for (size_t i = 0; i < l->hooks.n; i++) {
		struct call c = l->hooks.items[i];

		c.fn(c.arg);
	}
}

/* ---- descriptors ---- */

static uint32_t take_slot(struct loop *l, struct loop_io *io)
{
	size_t i = 0;

	while (i < l->n_slots && l->slots[i].io != NULL)
		i++; /* a process has some dozens of descriptors in its loop */
	if (i == l->n_slots) {
		l->n_slots = l->n_slots > 0 ? l->n_slots * 2 : 16;
		l->slots = mem_resize(l->slots, l->n_slots, sizeof(*l->slots));
		memset(l->slots + i, 0, (l->n_slots - i) * sizeof(*l->slots));
	}
	l->slots[i].io = io;
	return (uint32_t)i;
}

/* What the event belongs to, or NULL when that is no longer there. */
static struct loop_io *find_io(const struct loop *l, uint64_t data)
{
	uint32_t slot = (uint32_t)data;

	if (slot >= l->n_slots || l->slots[slot].generation != (uint32_t)(data >> 32))
		return NULL;
	return l->slots[slot].io;
}

static int control(struct loop_io *io, int op, uint32_t events)
{
	struct loop *l = io->loop;
	struct epoll_event ev = {
		.events = events,
		.data.u64 = (uint64_t)l->slots[io->slot].generation << 32 | io->slot,
	};

	return epoll_ctl(l->epoll_fd, op, io->fd, &ev) < 0 ? -errno : 0;
}

static void dispatch_io(struct loop *l, const struct epoll_event *ev)
{
	struct loop_io *io = find_io(l, ev->data.u64);

	if (io == NULL || io->events == 0)
		return;

	/* another callback of this round may have changed what is asked for */
	uint32_t events = ev->events & (io->events | LOOP_ERR | LOOP_HUP);

	if (events != 0)
		io->fn(io, events, io->arg);
}

static void free_io(struct loop_io *io)
{
	struct io_slot *s = &io->loop->slots[io->slot];

	s->io = NULL;
	s->generation++;
	free(io);
}

/* ---- signals ---- */

static void read_signals(struct loop_io *io, uint32_t events, void *arg)
{
	struct loop *l = arg;
	struct signalfd_siginfo infos[SIGNALS_PER_READ];
	ssize_t n = read(loop_io_fd(io), infos, sizeof(infos));

	(void)events;
	/* an error is EAGAIN (somebody else took it) or EINTR: epoll comes again if there still is something
	 */
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(infos[0]); i++)
		l->signal_fn((int)infos[i].ssi_signo, l->signal_arg);
}

/* ---- the round ---- */

/* How long to wait, -1: as long as needed. limit_us: the caller's, -1: none. */
static int64_t wait_time_us(const struct loop *l, int64_t limit_us)
{
	int64_t wait_us = limit_us;

	if (l->deferred.n > 0)
		return 0;
	if (l->heap_n > 0) {
		int64_t now_us = clock_mono_us();
		int64_t at_us = l->heap[0]->at_us;
		int64_t until_us = at_us > now_us ? at_us - now_us : 0;

		if (wait_us < 0 || until_us < wait_us)
			wait_us = until_us;
	}
	return wait_us > WAIT_MAX_US ? WAIT_MAX_US : wait_us;
}

#ifdef SYS_epoll_pwait2
/* By the system call itself: the wrapper came with glibc 2.35 only. */
static int wait_precisely(struct loop *l, struct epoll_event *events, int64_t wait_us)
{
	struct __kernel_timespec ts = {.tv_sec = wait_us / US_PER_S, .tv_nsec = wait_us % US_PER_S * 1000};
	long n = syscall(SYS_epoll_pwait2, l->epoll_fd, events, EVENTS_PER_ROUND, &ts, NULL, (size_t)0);

	return n < 0 ? -errno : (int)n;
}
#else
static int wait_precisely(struct loop *l, struct epoll_event *events, int64_t wait_us)
{
	(void)l;
	(void)events;
	(void)wait_us;
	return -ENOSYS;
}
#endif

/* Number of events, or -errno. */
static int wait_for_events(struct loop *l, struct epoll_event *events, int64_t wait_us)
{
	int n;

	if (wait_us > 0 && !l->no_pwait2) {
		n = wait_precisely(l, events, wait_us);
		if (n != -ENOSYS && n != -EPERM)
			return n;
		l->no_pwait2 = true;
	}
	n = epoll_wait(l->epoll_fd, events, EVENTS_PER_ROUND,
		wait_us < 0 ? -1 : (int)((wait_us + US_PER_MS - 1) / US_PER_MS));
	return n < 0 ? -errno : n;
}

static int run_round(struct loop *l, int64_t limit_us, struct err *err)
{
	struct epoll_event events[EVENTS_PER_ROUND];

	BUG_ON(l->in_round);

	int n = wait_for_events(l, events, wait_time_us(l, limit_us));

	if (n == -EINTR)
		n = 0;
	if (n < 0)
		return err_errno(err, -n, "waiting for events");
	l->in_round = true;
	l->now_us = clock_mono_us();
	collect_due_timers(l);
	for (int i = 0; i < n; i++)
		dispatch_io(l, &events[i]);
	run_due_timers(l);
	run_deferred(l);
	run_hooks(l);
	l->in_round = false;
	return 0;
}

struct loop *loop_new(struct err *err)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0) {
		err_errno(err, errno, "cannot make an epoll set");
		return NULL;
	}

	struct loop *l = mem_alloc(sizeof(*l));

	l->epoll_fd = fd;
	l->signal_fd = -1;
	l->now_us = clock_mono_us();
	list_init(&l->timers);
	list_init(&l->due);
	return l;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	BUG_ON(l->in_round);
	for (size_t i = 0; i < l->n_slots; i++)
		if (l->slots[i].io != NULL)
			loop_io_remove(l->slots[i].io);
	LIST_FOREACH_SAFE (it, &l->timers)
		free(LIST_OF(it, struct loop_timer, in_all));
	if (l->signal_fd >= 0)
		close(l->signal_fd);
	close(l->epoll_fd);
	free(l->slots);
	free(l->heap);
	free(l->deferred.items);
	free(l->running.items);
	free(l->hooks.items);
	free(l);
}

int loop_run(struct loop *l, struct err *err)
{
	if (!l->stopping) {
		BUG_ON(l->in_round);
		l->in_round = true;
		run_hooks(l);
		l->in_round = false;
	}
	while (!l->stopping) {
		int r = run_round(l, -1, err);

		if (r < 0)
			return r;
	}
	l->stopping = false;
	return l->result;
}

int loop_run_once(struct loop *l, int64_t timeout_us, struct err *err)
{
	return run_round(l, timeout_us, err);
}

void loop_stop(struct loop *l, int result)
{
	BUG_ON(result < 0);
	l->stopping = true;
	l->result = result;
}

int64_t loop_now_us(const struct loop *l)
{
	return l->now_us;
}

struct loop_io *loop_io_add(
	struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *arg, struct err *err)
{
	struct loop_io *io = mem_alloc(sizeof(*io));

	*io = (struct loop_io){.loop = l, .fd = fd, .fn = fn, .arg = arg};
	io->slot = take_slot(l, io);

	int r = loop_io_set(io, events);

	if (r < 0) {
		err_errno(err, -r, "cannot wait for descriptor %d", fd);
		free_io(io);
		return NULL;
	}
	return io;
}

int loop_io_set(struct loop_io *io, uint32_t events)
{
	if (events == io->events)
		return 0;

	int op = io->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
	int r = control(io, op, events);

	if (r == 0)
		io->events = events;
	return r;
}

int loop_io_fd(const struct loop_io *io)
{
	return io->fd;
}

void loop_io_remove(struct loop_io *io)
{
	if (io == NULL)
		return;
	if (io->events != 0)
		(void)control(io, EPOLL_CTL_DEL, 0); /* fails only when the descriptor is closed already */
	free_io(io);
}

struct loop_timer *loop_timer_add(struct loop *l, loop_timer_fn fn, void *arg)
{
	struct loop_timer *t = mem_alloc(sizeof(*t));

	*t = (struct loop_timer){.loop = l, .heap_pos = NOT_IN_HEAP, .fn = fn, .arg = arg};
	list_init(&t->in_due);
	list_add_tail(&l->timers, &t->in_all);
	return t;
}

void loop_timer_set(struct loop_timer *t, int64_t at_mono_us)
{
	loop_timer_clear(t);
	t->at_us = at_mono_us;
	t->order = t->loop->timer_order++;
	heap_add(t->loop, t);
}

void loop_timer_clear(struct loop_timer *t)
{
	if (t->heap_pos != NOT_IN_HEAP)
		heap_remove(t->loop, t);
	list_remove(&t->in_due);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
	return t->heap_pos != NOT_IN_HEAP || list_is_linked(&t->in_due);
}

void loop_timer_remove(struct loop_timer *t)
{
	if (t == NULL)
		return;
	loop_timer_clear(t);
	list_remove(&t->in_all);
	free(t);
}

void loop_defer(struct loop *l, loop_fn fn, void *arg)
{
	if (!calls_have(&l->deferred, fn, arg))
		calls_add(&l->deferred, fn, arg);
}

void loop_defer_cancel(struct loop *l, loop_fn fn, void *arg)
{
	calls_cancel(&l->deferred, fn, arg);
	calls_cancel(&l->running, fn, arg);
}

void loop_prepare_add(struct loop *l, loop_fn fn, void *arg)
{
	calls_add(&l->hooks, fn, arg);
}

int loop_signals(struct loop *l, const sigset_t *set, loop_signal_fn fn, void *arg, struct err *err)
{
	BUG_ON(l->signal_io != NULL);
	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return err_errno(err, errno, "cannot block signals");

	int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);

	if (fd < 0)
		return err_errno(err, errno, "cannot make a signalfd");
	l->signal_io = loop_io_add(l, fd, LOOP_IN, read_signals, l, err);
	if (l->signal_io == NULL) {
		int r = err != NULL && err->code > 0 ? -err->code : -ENOMEM;

		close(fd);
		return r;
	}
	l->signal_fd = fd;
	l->signal_fn = fn;
	l->signal_arg = arg;
	return 0;
}
