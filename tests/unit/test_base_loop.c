#define _GNU_SOURCE 1
#include "base/loop.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"

/* What happened, as letters in the order it did. */
static char happened[4096];
static size_t n_happened;
static struct loop *the_loop; /* for callbacks whose argument is something else */

static void note(char c)
{
	assert_true(n_happened < sizeof(happened) - 1);
	happened[n_happened++] = c;
	happened[n_happened] = '\0';
}

static struct loop *new_loop(void)
{
	struct err e = ERR_INIT;
	struct loop *l = loop_new(&e);

	assert_non_null(l);
	n_happened = 0;
	happened[0] = '\0';
	return l;
}

/* One round that does not wait; what happened in it. */
static const char *one_round(struct loop *l)
{
	n_happened = 0;
	happened[0] = '\0';
	assert_int_equal(loop_run_once(l, 0, NULL), 0);
	return happened;
}

/* ---- descriptors ---- */

#define PIPES 4

static struct {
	int read_fd, write_fd;
	struct loop_io *io;
} pipes[PIPES];

/* What the next callback is to do besides noting itself. */
static void (*on_io)(struct loop_io *io);
static uint32_t last_events;

static size_t pipe_of(const struct loop_io *io)
{
	for (size_t i = 0; i < PIPES; i++)
		if (pipes[i].io == io)
			return i;
	fail_msg("a callback for something removed");
	return 0;
}

static void io_called(struct loop_io *io, uint32_t events, void *arg)
{
	size_t i = pipe_of(io);

	assert_ptr_equal(arg, &pipes[i]);
	assert_int_equal(loop_io_fd(io), pipes[i].read_fd);
	last_events = events;
	note((char)('0' + i));
	if (on_io != NULL)
		on_io(io);
}

static void open_pipes(struct loop *l, size_t n)
{
	on_io = NULL;
	for (size_t i = 0; i < n; i++) {
		int fds[2];

		assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
		pipes[i].read_fd = fds[0];
		pipes[i].write_fd = fds[1];
		pipes[i].io = loop_io_add(l, fds[0], LOOP_IN, io_called, &pipes[i], NULL);
		assert_non_null(pipes[i].io);
	}
}

static void fill_pipes(size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(write(pipes[i].write_fd, "x", 1), 1);
}

static void close_pipes(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		close(pipes[i].read_fd);
		close(pipes[i].write_fd);
		pipes[i].io = NULL;
	}
}

static void remove_io(size_t i)
{
	struct loop_io *io = pipes[i].io;

	pipes[i].io = NULL;
	loop_io_remove(io);
}

static void test_io(void **state)
{
	struct loop *l = new_loop();
	char c;

	(void)state;
	open_pipes(l, 2);
	assert_string_equal(one_round(l), "");
	fill_pipes(1);
	assert_string_equal(one_round(l), "0");
	assert_int_equal(last_events, LOOP_IN);
	assert_string_equal(one_round(l), "0"); /* still there */
	assert_int_equal(read(pipes[0].read_fd, &c, 1), 1);
	assert_string_equal(one_round(l), "");
	assert_int_equal(loop_io_set(pipes[0].io, LOOP_OUT), 0);
	assert_string_equal(one_round(l), "");
	assert_int_equal(loop_io_set(pipes[0].io, LOOP_IN), 0);
	assert_int_equal(loop_io_set(pipes[0].io, LOOP_IN), 0);
	close(pipes[0].write_fd);
	pipes[0].write_fd = -1;
	assert_string_equal(one_round(l), "0");
	assert_int_equal(last_events, LOOP_HUP);
	loop_free(l); /* with both still in it */
	close_pipes(2);
}

/* A parked one hears nothing, not even the hang-up, and is back when asked for. */
static void test_io_parked(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	open_pipes(l, 1);
	fill_pipes(1);
	assert_int_equal(loop_io_set(pipes[0].io, 0), 0);
	assert_int_equal(loop_io_set(pipes[0].io, 0), 0);
	close(pipes[0].write_fd);
	pipes[0].write_fd = -1;
	assert_string_equal(one_round(l), "");
	assert_int_equal(loop_io_set(pipes[0].io, LOOP_IN), 0);
	assert_string_equal(one_round(l), "0");
	assert_int_equal(last_events, LOOP_IN | LOOP_HUP);
	assert_int_equal(loop_io_set(pipes[0].io, LOOP_ERR), 0);
	assert_string_equal(one_round(l), "0");
	assert_int_equal(last_events, LOOP_HUP);
	assert_int_equal(loop_io_set(pipes[0].io, 0), 0);
	remove_io(0);

	struct loop_io *parked = loop_io_add(l, pipes[0].read_fd, 0, io_called, NULL, NULL);

	assert_non_null(parked);
	assert_string_equal(one_round(l), "");
	loop_io_remove(parked);
	loop_io_remove(NULL);
	loop_free(l);
	close_pipes(1);
}

static void test_io_add_fails(void **state)
{
	struct loop *l = new_loop();
	struct err e = ERR_INIT;
	FILE *regular = tmpfile();

	(void)state;
	open_pipes(l, 1);
	assert_null(loop_io_add(l, pipes[0].read_fd, LOOP_IN, io_called, NULL, &e));
	assert_int_equal(e.code, EEXIST);
	assert_null(loop_io_add(l, -1, LOOP_IN, io_called, NULL, &e));
	assert_int_equal(e.code, EBADF);
	assert_null(loop_io_add(l, fileno(regular), LOOP_IN, io_called, NULL, &e));
	assert_int_equal(e.code, EPERM);
	fill_pipes(1);
	assert_string_equal(one_round(l), "0");
	fclose(regular);
	loop_free(l);
	close_pipes(1);
}

static void remove_itself(struct loop_io *io)
{
	remove_io(pipe_of(io));
}

static void remove_all(struct loop_io *io)
{
	(void)io;
	for (size_t i = 0; i < PIPES; i++)
		remove_io(i);
}

static void park_others(struct loop_io *io)
{
	for (size_t i = 0; i < PIPES; i++)
		if (pipes[i].io != io)
			assert_int_equal(loop_io_set(pipes[i].io, 0), 0);
}

static void want_only_output(struct loop_io *io)
{
	for (size_t i = 0; i < PIPES; i++)
		if (pipes[i].io != io)
			assert_int_equal(loop_io_set(pipes[i].io, LOOP_OUT), 0);
}

/* All of them are ready in the same round; the first callback does something to the others. */
static void check_first_acts(void (*act)(struct loop_io *), size_t called)
{
	struct loop *l = new_loop();

	open_pipes(l, PIPES);
	fill_pipes(PIPES);
	on_io = act;
	assert_int_equal(strlen(one_round(l)), called);
	on_io = NULL;
	loop_free(l);
	close_pipes(PIPES);
}

static void test_io_removed_while_dispatching(void **state)
{
	(void)state;
	check_first_acts(remove_itself, PIPES);
	check_first_acts(remove_all, 1);
	check_first_acts(park_others, 1);
	check_first_acts(want_only_output, 1);
}

/* A parked one must not even hear a hang-up that was fetched before it was parked. */
static void test_io_parked_while_dispatching(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	open_pipes(l, PIPES);
	for (size_t i = 0; i < PIPES; i++) {
		close(pipes[i].write_fd);
		pipes[i].write_fd = -1;
	}
	on_io = park_others;
	assert_int_equal(strlen(one_round(l)), 1);
	assert_int_equal(last_events, LOOP_HUP);
	loop_free(l);
	close_pipes(PIPES);
}

/* Descriptor numbers and slots are used again within the round: the new one must not get the old one's event.
 */
static void replace_others(struct loop_io *io)
{
	on_io = NULL;
	for (size_t i = 0; i < PIPES; i++) {
		int fds[2];

		if (pipes[i].io == io)
			continue;
		remove_io(i);
		close(pipes[i].read_fd);
		assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
		close(pipes[i].write_fd);
		pipes[i].read_fd = fds[0];
		pipes[i].write_fd = fds[1];
		pipes[i].io = loop_io_add(the_loop, fds[0], LOOP_IN, io_called, &pipes[i], NULL);
		assert_non_null(pipes[i].io);
	}
}

static void test_io_replaced_while_dispatching(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	the_loop = l;
	open_pipes(l, PIPES);
	fill_pipes(PIPES);
	on_io = replace_others;
	assert_int_equal(strlen(one_round(l)), 1);
	assert_int_equal(strlen(one_round(l)), 1);
	fill_pipes(PIPES);
	assert_int_equal(strlen(one_round(l)), PIPES);
	loop_free(l);
	close_pipes(PIPES);
}

/* Closed before it was removed, while a copy of the descriptor lives on: the kernel goes on telling, nobody
 * is called. */
static void test_io_closed_too_early(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	open_pipes(l, 1);
	fill_pipes(1);

	int copy = dup(pipes[0].read_fd);

	close(pipes[0].read_fd);
	assert_string_equal(one_round(l), "0");
	remove_io(0);
	assert_string_equal(one_round(l), "");
	pipes[0].read_fd = copy;
	loop_free(l);
	close_pipes(1);
}

/* More descriptors than slots at first, and more ready than one round takes: nobody is left out. */
static void count_call(struct loop_io *io, uint32_t events, void *arg)
{
	char c;

	(void)events;
	assert_int_equal(read(loop_io_fd(io), &c, 1), 1);
	++*(int *)arg;
}

static void test_io_many(void **state)
{
	enum { N = 200 };
	static int fds[N][2], calls[N];
	struct loop *l = new_loop();

	(void)state;
	for (int i = 0; i < N; i++) {
		assert_int_equal(pipe2(fds[i], O_CLOEXEC), 0);
		assert_non_null(loop_io_add(l, fds[i][0], LOOP_IN, count_call, &calls[i], NULL));
		assert_int_equal(write(fds[i][1], "xx", 2), 2);
	}
	for (int round = 0; round < 10; round++)
		one_round(l);
	loop_free(l);
	for (int i = 0; i < N; i++) {
		assert_int_equal(calls[i], 2);
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

/* ---- timers ---- */

#define TIMERS 1000

static struct loop_timer *timers[TIMERS];

static void timer_called(struct loop_timer *t, void *arg)
{
	assert_false(loop_timer_is_set(t));
	note(*(const char *)arg);
}

static void test_timer_order(void **state)
{
	static const struct {
		const char *name;
		int64_t at_us;
	} rows[] = {{"c", 30}, {"a", 10}, {"d", 30}, {"b", 20}, {"0", 0}, {"e", 30}, {"1", -5}};
	struct loop *l = new_loop();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		timers[i] = loop_timer_add(l, timer_called, (void *)(uintptr_t)rows[i].name);
		assert_false(loop_timer_is_set(timers[i]));
		loop_timer_set(timers[i], rows[i].at_us);
		assert_true(loop_timer_is_set(timers[i]));
	}
	assert_string_equal(one_round(l), "10abcde");
	assert_string_equal(one_round(l), "");
	loop_timer_set(timers[0], clock_mono_us() + 3600 * US_PER_S);
	assert_string_equal(one_round(l), "");
	assert_true(loop_timer_is_set(timers[0]));
	loop_timer_clear(timers[0]);
	loop_timer_clear(timers[0]);
	assert_false(loop_timer_is_set(timers[0]));
	loop_timer_remove(timers[0]);
	loop_timer_remove(NULL);
	loop_free(l); /* with the others still in it */
}

static void act_again_at_once(struct loop_timer *t, void *arg)
{
	timer_called(t, arg);
	loop_timer_set(t, 0);
}

static void act_clear_next(struct loop_timer *t, void *arg)
{
	timer_called(t, arg);
	assert_true(loop_timer_is_set(timers[1]));
	loop_timer_clear(timers[1]);
	assert_false(loop_timer_is_set(timers[1]));
}

static void act_postpone_next(struct loop_timer *t, void *arg)
{
	timer_called(t, arg);
	loop_timer_set(timers[1], 0);
}

static void act_remove_all(struct loop_timer *t, void *arg)
{
	timer_called(t, arg);
	for (int i = 0; i < 3; i++)
		loop_timer_remove(timers[i]);
}

/* Three that are due, "a" acts: what happens in this round and in the next. */
static void check_timer_acts(loop_timer_fn act, const char *first_round, const char *second_round)
{
	static const char *const names[] = {"a", "b", "c"};
	struct loop *l = new_loop();

	for (int i = 0; i < 3; i++) {
		timers[i] = loop_timer_add(l, i == 0 ? act : timer_called, (void *)(uintptr_t)names[i]);
		loop_timer_set(timers[i], 1);
	}
	assert_string_equal(one_round(l), first_round);
	assert_string_equal(one_round(l), second_round);
	loop_free(l);
}

static void test_timers_change_while_dispatching(void **state)
{
	(void)state;
	check_timer_acts(act_again_at_once, "abc", "a");
	check_timer_acts(act_clear_next, "ac", "");
	check_timer_acts(act_postpone_next, "ac", "b");
	check_timer_acts(act_remove_all, "a", "");
}

static void set_timer_to_now(struct loop_io *io)
{
	(void)io;
	loop_timer_set(timers[0], 0);
	loop_timer_remove(timers[1]);
}

/* From an I/O callback: a due timer may be removed, and one set for the past waits for the next round. */
static void test_io_changes_due_timers(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	open_pipes(l, 1);
	fill_pipes(1);
	timers[0] = loop_timer_add(l, timer_called, "a");
	timers[1] = loop_timer_add(l, timer_called, "b");
	loop_timer_set(timers[1], 0);
	on_io = set_timer_to_now;
	assert_string_equal(one_round(l), "0");
	loop_io_set(pipes[0].io, 0);
	assert_string_equal(one_round(l), "a");
	loop_free(l);
	close_pipes(1);
}

static int64_t fire_times[TIMERS];
static int64_t last_fired;
static int n_fired;

static void timer_in_order(struct loop_timer *t, void *arg)
{
	int64_t at_us = *(int64_t *)arg;

	(void)t;
	assert_true(at_us >= last_fired);
	last_fired = at_us;
	n_fired++;
}

/* A thousand in wild order, a third set again, a third cleared or removed: the heap stays one. */
static void test_many_timers(void **state)
{
	struct loop *l = new_loop();
	uint32_t seed = 3;
	int expected = 0;

	(void)state;
	last_fired = 0;
	n_fired = 0;
	for (int i = 0; i < TIMERS; i++)
		timers[i] = loop_timer_add(l, timer_in_order, &fire_times[i]);
	for (int step = 0; step < 5 * TIMERS; step++) {
		seed = seed * 1664525u + 1013904223u;

		int i = (int)((seed >> 8) % TIMERS);

		fire_times[i] = (int64_t)(seed >> 20) + 1;
		if (step % 3 == 0)
			loop_timer_clear(timers[i]);
		else
			loop_timer_set(timers[i], fire_times[i]);
	}
	for (int i = 0; i < TIMERS; i++) {
		if (i % 7 == 0)
			loop_timer_remove(timers[i]);
		else
			expected += loop_timer_is_set(timers[i]);
	}
	assert_int_equal(loop_run_once(l, -1, NULL), 0);
	assert_int_equal(n_fired, expected);
	assert_true(expected > TIMERS / 4);
	loop_free(l);
}

static int n_rounds;

static void count_round(void *arg)
{
	(void)arg;
	n_rounds++;
}

static void stop_now(struct loop_timer *t, void *arg)
{
	(void)t;
	loop_stop(arg, 7);
}

/* Never early, and without turning in circles meanwhile. A signal may cost a round. */
static int precise_timers(void)
{
	static const int64_t waits_us[] = {0, 1, 70, 999, 1000, 1001, 2500, 20300};

	for (size_t i = 0; i < ARRAY_SIZE(waits_us); i++) {
		struct loop *l = new_loop();
		struct loop_timer *t = loop_timer_add(l, stop_now, l);
		int64_t at_us = clock_mono_us() + waits_us[i];

		loop_prepare_add(l, count_round, NULL);
		n_rounds = 0;
		loop_timer_set(t, at_us);

		int r = loop_run(l, NULL);
		bool good = r == 7 && clock_mono_us() >= at_us && loop_now_us(l) >= at_us && n_rounds <= 3;

		loop_free(l);
		if (!good)
			return (int)i + 1;
	}
	return 0;
}

static void test_timers_are_precise(void **state)
{
	(void)state;
	assert_int_equal(precise_timers(), 0);
}

/* The same where epoll_pwait2 is not there, or not allowed. */
static void test_timers_are_precise_on_old_kernels(void **state)
{
#ifdef SYS_epoll_pwait2
	static const unsigned codes[] = {ENOSYS, EPERM};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct sock_filter filter[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | codes[i]),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog prog = {.len = ARRAY_SIZE(filter), .filter = filter};
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
				prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
				_exit(255);
			_exit(precise_timers());
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
#else
	(void)state;
	skip();
#endif
}

/* The limit of run_once is kept, and a timer cuts it short. */
static void test_wait_limit(void **state)
{
	struct loop *l = new_loop();
	struct loop_timer *t = loop_timer_add(l, timer_called, "t");
	int64_t start = clock_mono_us();

	(void)state;
	loop_timer_set(t, start + 3600 * US_PER_S);
	assert_int_equal(loop_run_once(l, 3000, NULL), 0);
	assert_true(clock_mono_us() - start >= 3000);
	assert_string_equal(happened, "");
	start = clock_mono_us();
	loop_timer_set(t, start + 2000);
	assert_int_equal(loop_run_once(l, 3600 * US_PER_S, NULL), 0);
	assert_string_equal(happened, "t");
	assert_true(loop_now_us(l) >= start + 2000);
	loop_free(l);
}

/* ---- deferred calls, hooks, stopping ---- */

static void call(void *arg)
{
	note(*(const char *)arg);
}

static void call_and_defer(void *arg)
{
	note(*(const char *)arg);
	loop_defer(the_loop, call, "n");
	loop_defer(the_loop, call_and_defer, arg); /* itself, again */
}

static void test_defer(void **state)
{
	/* compared by address */
	static char a[] = "a", b[] = "b", c[] = "c";

	(void)state;
	the_loop = new_loop();
	loop_defer(the_loop, call, a);
	loop_defer(the_loop, call, b);
	loop_defer(the_loop, call, a);
	loop_defer(the_loop, call, c);
	loop_defer_cancel(the_loop, call, c);
	assert_string_equal(one_round(the_loop), "ab");
	assert_string_equal(one_round(the_loop), "");
	loop_defer(the_loop, call, c);
	loop_defer_cancel(the_loop, call, c);
	loop_defer(the_loop, call, c);
	assert_string_equal(one_round(the_loop), "c");
	loop_free(the_loop);
}

static void test_defer_from_deferred(void **state)
{
	(void)state;
	the_loop = new_loop();
	loop_defer(the_loop, call_and_defer, "x");
	assert_string_equal(one_round(the_loop), "x");
	/* must not wait although no time limit is given */
	n_happened = 0;
	assert_int_equal(loop_run_once(the_loop, -1, NULL), 0);
	assert_string_equal(happened, "nx");
	assert_string_equal(one_round(the_loop), "nx");
	loop_free(the_loop); /* with calls still waiting */
}

static char cancel_target[] = "b";

static void cancel_the_target(void *arg)
{
	note(*(const char *)arg);
	loop_defer_cancel(the_loop, call, cancel_target);
}

static void test_defer_cancel_within_the_batch(void **state)
{
	(void)state;
	the_loop = new_loop();
	loop_defer(the_loop, cancel_the_target, "a");
	loop_defer(the_loop, call, cancel_target);
	loop_defer(the_loop, call, "c");
	assert_string_equal(one_round(the_loop), "ac");
	loop_free(the_loop);
}

static void test_order_of_a_round(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	open_pipes(l, 1);
	fill_pipes(1);
	loop_prepare_add(l, call, "p");
	loop_prepare_add(l, call, "q");
	loop_defer(l, call, "d");
	timers[0] = loop_timer_add(l, timer_called, "t");
	loop_timer_set(timers[0], 0);
	assert_string_equal(one_round(l), "0tdpq");
	assert_string_equal(one_round(l), "0pq");
	loop_free(l);
	close_pipes(1);
}

static int hook_defers;

static void hook_that_defers(void *arg)
{
	note('h');
	if (hook_defers-- > 0)
		loop_defer(arg, call, "d");
	else
		loop_stop(arg, 3);
}

static void hook_that_adds(void *arg)
{
	note('+');
	if (hook_defers-- > 0)
		for (int i = 0; i < 20; i++)
			loop_prepare_add(arg, call, "p");
}

/* Runs for ever if a deferred call does not make the next wait zero, or the hooks are not called before the
 * first one. */
static void test_hooks_that_defer(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	hook_defers = 2;
	loop_prepare_add(l, hook_that_defers, l);
	assert_int_equal(loop_run(l, NULL), 3);
	assert_string_equal(happened, "hdhdh");
	loop_free(l);
	l = new_loop();
	hook_defers = 1;
	loop_prepare_add(l, hook_that_adds, l);
	assert_string_equal(one_round(l), "+pppppppppppppppppppp");
	assert_string_equal(one_round(l), "+pppppppppppppppppppp");
	loop_free(l);
}

static void stop_the_loop(void *arg)
{
	loop_stop(arg, 5);
}

static void test_stop(void **state)
{
	struct loop *l = new_loop();

	(void)state;
	loop_defer(l, stop_the_loop, l);
	loop_defer(l, call, "r"); /* the round is finished */
	assert_int_equal(loop_run(l, NULL), 5);
	assert_string_equal(happened, "r");
	/* may be run again, and a stop from before counts */
	loop_stop(l, 0);
	assert_int_equal(loop_run(l, NULL), 0);
	loop_defer(l, stop_the_loop, l);
	assert_int_equal(loop_run(l, NULL), 5);
	loop_free(l);
	loop_free(NULL);
}

static void test_broken_epoll(void **state)
{
	struct err e = ERR_INIT;
	int epoll_fd = dup(0); /* the number the loop will get */

	(void)state;
	close(epoll_fd);

	struct loop *l = new_loop();

	close(epoll_fd);
	assert_int_equal(loop_run(l, &e), -EBADF);
	assert_int_equal(e.class, ERR_SYSTEM);
	assert_int_equal(loop_run_once(l, 1000, &e), -EBADF);
	epoll_fd = dup2(0, epoll_fd);
	loop_free(l);
}

static void test_two_loops(void **state)
{
	struct loop *a = new_loop();
	struct loop *b = new_loop();

	(void)state;
	loop_defer(a, call, "a");
	loop_defer(b, call, "b");
	assert_string_equal(one_round(b), "b");
	assert_string_equal(one_round(a), "a");
	loop_free(a);
	loop_free(b);
}

/* ---- signals ---- */

static void signal_called(int signo, void *arg)
{
	assert_ptr_equal(arg, &the_loop);
	note(signo == SIGUSR1 ? '1' : signo == SIGUSR2 ? '2' : signo == SIGCHLD ? 'c' : '?');
}

static void test_signals(void **state)
{
	sigset_t set, old, now;
	struct err e = ERR_INIT;
	struct loop *l = new_loop();

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, NULL, &old);
	assert_int_equal(loop_signals(l, &set, signal_called, &the_loop, &e), 0);
	sigprocmask(SIG_SETMASK, NULL, &now);
	assert_true(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2));
	assert_string_equal(one_round(l), "");
	raise(SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR1); /* one pending at most */
	assert_string_equal(one_round(l), "12");
	assert_string_equal(one_round(l), "");

	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	n_happened = 0;
	assert_int_equal(loop_run_once(l, -1, NULL), 0);
	assert_string_equal(happened, "c");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	loop_free(l);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void realtime_called(int signo, void *arg)
{
	assert_true(signo >= SIGRTMIN);
	++*(int *)arg;
}

/* Queued ones, more than one read takes: none is lost. */
static void test_many_signals(void **state)
{
	sigset_t set, old;
	struct loop *l = new_loop();
	int calls = 0;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_SETMASK, NULL, &old);
	assert_int_equal(loop_signals(l, &set, realtime_called, &calls, NULL), 0);
	for (int i = 0; i < 30; i++)
		raise(SIGRTMIN);
	for (int i = 0; i < 10; i++)
		one_round(l);
	assert_int_equal(calls, 30);
	loop_free(l);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void ignore_signal(int signo)
{
	(void)signo;
}

/* A signal that is not ours ends the wait with EINTR: that is an empty round, no error. */
static void test_interrupted_wait(void **state)
{
	struct itimerval often = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}};
	struct itimerval never = {.it_value = {.tv_usec = 0}};
	struct sigaction sa = {.sa_handler = ignore_signal}, old;
	struct loop *l = new_loop();

	(void)state;
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 5; i++)
		assert_int_equal(loop_run_once(l, -1, NULL), 0);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_io_parked),
		cmocka_unit_test(test_io_add_fails),
		cmocka_unit_test(test_io_removed_while_dispatching),
		cmocka_unit_test(test_io_parked_while_dispatching),
		cmocka_unit_test(test_io_replaced_while_dispatching),
		cmocka_unit_test(test_io_closed_too_early),
		cmocka_unit_test(test_io_many),
		cmocka_unit_test(test_timer_order),
		cmocka_unit_test(test_timers_change_while_dispatching),
		cmocka_unit_test(test_io_changes_due_timers),
		cmocka_unit_test(test_many_timers),
		cmocka_unit_test(test_timers_are_precise),
		cmocka_unit_test(test_timers_are_precise_on_old_kernels),
		cmocka_unit_test(test_wait_limit),
		cmocka_unit_test(test_defer),
		cmocka_unit_test(test_defer_from_deferred),
		cmocka_unit_test(test_defer_cancel_within_the_batch),
		cmocka_unit_test(test_order_of_a_round),
		cmocka_unit_test(test_hooks_that_defer),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_broken_epoll),
		cmocka_unit_test(test_two_loops),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_many_signals),
		cmocka_unit_test(test_interrupted_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
