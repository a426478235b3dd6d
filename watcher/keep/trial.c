/*
 * The answer counts, not the exit status; a process that ends without one, or takes too long (a secret on a
 * hung mount), is a refusal: the running configuration stays.
 */
#include "keep/trial.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sock.h"
#include "core/wire.h"
#include "keep/keeper.h"
#include "keep/process.h"

#define TRIAL_WAIT_US (10 * US_PER_S)
#define TRIAL_FAILED 1

struct trial {
	struct loop *loop;
	pid_t pid;
	int fd;
	struct loop_io *io;
	struct loop_timer *deadline;
	trial_fn fn;
	void *arg;
	struct wire_message in;
};

void trial_free(struct trial *t)
{
	if (!t)
		return;
	if (t->pid > 0)
		(void)kill(t->pid, SIGKILL);
	loop_io_remove(t->io);
	loop_timer_remove(t->deadline);
	fs_close(&t->fd);
	wire_message_close(&t->in);
	free(t);
}

static void trial_tell(struct trial *t, int status, const char *text)
{
	CLEANUP_FREE char *copy = mem_strdup(text);
	trial_fn fn = t->fn;
	void *arg = t->arg;

	trial_free(t);
	fn(status, copy, arg);
}

static void trial_on_message(struct loop_io *io, uint32_t events, void *arg)
{
	struct trial *t = arg;
	struct err err = ERR_INIT;
	int rc = wire_recv(t->fd, &t->in, &err);

	(void)events;
	if (rc == -EAGAIN)
		return;
	if (rc == 1 && t->in.type == WIRE_RELOADED)
		trial_tell(t, (int)t->in.as.reloaded.status, t->in.as.reloaded.text);
	else
		(void)loop_io_set(io, 0); /* it is ending; SIGCHLD tells the rest */
}

static void trial_on_deadline(struct loop_timer *timer, void *arg)
{
	(void)timer;
	trial_tell(arg, TRIAL_FAILED,
		"it takes too long to try the new configuration: does a file of a secret lie on a mount that "
		"hangs?");
}

bool trial_ended(struct trial *t, pid_t pid, int wait_status)
{
	char end[64], text[128];
	struct err none = ERR_INIT;

	if (!t || pid != t->pid)
		return false;
	t->pid = 0;
	if (wire_recv(t->fd, &t->in, &none) == 1 && t->in.type == WIRE_RELOADED) {
		trial_tell(t, (int)t->in.as.reloaded.status, t->in.as.reloaded.text);
		return true;
	}
	(void)snprintf(text, sizeof(text), "the process that tried the new configuration %s",
		process_describe_end(wait_status, end));
	trial_tell(t, TRIAL_FAILED, text);
	return true;
}

static int trial_begin(
	struct trial *t, const struct conf *conf, bool other_log, bool journal, struct err *err)
{
	const char *const argv[] = {"bw-dispatch", journal ? "--journal" : "--plain", NULL};
	const struct wire_configured last = {
		.mode = other_log ? WIRE_MODE_TRY_LOG : WIRE_MODE_TRY, .only_watch = "", .hash = "-"};
	int pair[2], rc = sock_pair(pair, err);
	pid_t pid;

	if (rc < 0)
		return rc;
	t->fd = pair[0];
	pid = process_start(argv, (const int[]){pair[1]}, 1, true, err);
	close(pair[1]);
	if (pid < 0)
		return (int)pid;
	t->pid = pid;
	rc = keeper_send_configuration(t->fd, conf, NULL, &last, err);
	if (rc < 0)
		return rc;
	t->io = loop_io_add(t->loop, t->fd, LOOP_IN, trial_on_message, t, err);
	return t->io ? 0 : -err->code;
}

struct trial *trial_start(struct loop *loop, const struct conf *conf, bool other_log, bool journal,
	trial_fn fn, void *arg, struct err *err)
{
	struct trial *t = mem_alloc(sizeof(*t));

	t->loop = loop;
	t->fd = -1;
	t->fn = fn;
	t->arg = arg;
	t->deadline = loop_timer_add(loop, trial_on_deadline, t);
	loop_timer_set(t->deadline, clock_mono_us() + TRIAL_WAIT_US);
	if (trial_begin(t, conf, other_log, journal, err) == 0)
		return t;
	trial_free(t);
	return NULL;
}
