/*
 * loop: the only place that waits. One epoll set, a heap of monotonic timers, deferred calls, signals by
 * signalfd. A loop is an object; several can live in one process. No threads.
 *
 * Callbacks may add and remove anything, themselves included. One round is: I/O callbacks, due timers,
 * deferred calls (those added meanwhile run in the next round), then the prepare hooks (before waiting
 * again).
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct loop;
struct loop_io;
struct loop_timer;

/* events: LOOP_IN … as epoll has them. */
#define LOOP_IN 0x001u
#define LOOP_PRI 0x002u
#define LOOP_OUT 0x004u
#define LOOP_ERR 0x008u
#define LOOP_HUP 0x010u

typedef void (*loop_io_fn)(struct loop_io *io, uint32_t events, void *arg);
typedef void (*loop_timer_fn)(struct loop_timer *timer, void *arg);
typedef void (*loop_fn)(void *arg);
typedef void (*loop_signal_fn)(int signo, void *arg);

struct loop *loop_new(struct err *err); /* NULL on failure */
/* Takes NULL; frees its io, timers, hooks; descriptors stay the caller's, signals stay blocked. Not from a
 * callback. */
void loop_free(struct loop *l);
/* Calls the prepare hooks, then runs until loop_stop(); the round it is called in is finished. Returns what
 * was given to loop_stop (also when that was before), or -errno when epoll itself fails. */
int loop_run(struct loop *l, struct err *err);
/* One round; waits at most timeout_us (-1: as long as needed). For tests. */
int loop_run_once(struct loop *l, int64_t timeout_us, struct err *err);
void loop_stop(struct loop *l, int result); /* result >= 0 */
int64_t loop_now_us(const struct loop *l);  /* monotonic time at the start of this round */

/* The descriptor stays the caller's. events may be 0 (parked: not even errors and hang-ups are reported; ask
 * for LOOP_ERR to get only those). One registration a descriptor (EEXIST); regular files cannot be waited for
 * (EPERM). Returns NULL with *err set on failure. Source: epoll_ctl(2). */
struct loop_io *loop_io_add(
	struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *arg, struct err *err);
int loop_io_set(struct loop_io *io, uint32_t events); /* 0 or -errno */
int loop_io_fd(const struct loop_io *io);
/* Takes NULL; safe while dispatching; call before closing the descriptor. */
void loop_io_remove(struct loop_io *io);

/* A timer is made idle; set arms it for a monotonic time (0 or the past: next round). Fires once per set, in
 * the order of their times, then in the order they were set. The pointer is the caller's until
 * loop_timer_remove or loop_free. */
struct loop_timer *loop_timer_add(struct loop *l, loop_timer_fn fn, void *arg);
void loop_timer_set(struct loop_timer *t, int64_t at_mono_us);
void loop_timer_clear(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);
void loop_timer_remove(struct loop_timer *t); /* takes NULL */

/* Once, in this round's deferred part (or the next when called from there); the same fn and arg already
 * waiting: no more. */
void loop_defer(struct loop *l, loop_fn fn, void *arg);
void loop_defer_cancel(struct loop *l, loop_fn fn, void *arg);
/* At the end of every round, in the order added, before waiting. A hook that calls loop_defer makes the next
 * wait zero. */
void loop_prepare_add(struct loop *l, loop_fn fn, void *arg);
/* Blocks the signals of the set in this process and delivers them through fn. Once per loop. Programs started
 * later inherit the mask and must set their own. Source: signalfd(2). */
int loop_signals(
	struct loop *l, const sigset_t *set, loop_signal_fn fn, void *arg, struct err *err) MUST_CHECK;

#endif
