/*
 * keeper: supervision.
 *
 * Children are told to stop by a message, in this order: watchers, then the dispatcher (so that what they
 * still said is recorded). Who does not end in time is killed. A watcher that ends by itself is started
 * again, at once the first time, then with a growing pause. When the dispatcher is lost, the watchers end too
 * (their socket closes) and all are started anew: the ledger and the folders hold everything.
 */
#include "keep/keeper.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/sock.h"
#include "base/trace.h"
#include "confine/limits.h"
#include "confine/walls.h"
#include "keep/notify.h"
#include "keep/process.h"
#include "keep/progress.h"
#include "keep/reload.h"
#include "keep/trial.h"
#include "keep/watchdog.h"

#define KEEPER_AGAIN_FIRST_US (100 * US_PER_MS)
#define KEEPER_AGAIN_MOST_US (30 * US_PER_S)
#define KEEPER_LIVED_WELL_US (60 * US_PER_S) /* who lived that long starts again at once */
#define KEEPER_STOP_WATCHERS_US (3 * US_PER_S)
#define KEEPER_STOP_DISPATCHER_US (10 * US_PER_S)
#define KEEPER_MISTAKES_BYTES (48u * 1024) /* of a reload; a message holds them */
#define KEEPER_SCAN_STARTS 3		   /* a scan's dispatcher that is killed so often will not make it */
#define KEEPER_GIVE_UP_US                                                                                    \
	(2 * US_PER_S) /* after SIGKILL: a process in an uninterruptible call is left behind */

enum keeper_phase { KEEPER_RUNNING, KEEPER_STOPPING_WATCHERS, KEEPER_STOPPING_DISPATCHER };

struct keeper_child {
	pid_t pid; /* 0: not running */
	int fd;	   /* our end of its socket */
	struct loop_io *io;
	int64_t started_us, again_us; /* again_us: the pause before the next start */
	int64_t starts;
	struct loop_timer *again;
};

struct keeper_watch {
	struct keeper *k;
	const struct conf_watch *conf; /* of k->conf; with leaving: NULL */
	char name[CONF_NAME_BYTES];
	struct keeper_child child;
	int page_fd;  /* of that process: a dispatcher that comes while it hangs is to show where */
	bool changed; /* its process is stopping, to be started with another configuration */
	bool leaving; /* … and not to be started again */
	bool waits;   /* not to be started before the dispatcher says that its job is known */
	struct loop_timer *kill;
	bool killed; /* in vain so far */
};

struct keeper {
	const struct conf *conf; /* the running one */
	struct conf *owned;	 /* the same after a reload, else NULL */
	struct conf *next;	 /* read, and handed to the dispatcher, who has not taken it over yet */
	bool anew;		 /* … and will not: it can only be worked with by another dispatcher */
	bool agreed;		 /* … who starts when the running one has ended */
	struct trial *trial;	 /* of next */
	const struct keeper_options *options;
	struct loop *loop;
	char hash[65];
	int64_t started_us, runs_started; /* of the service, over all its dispatchers */
	enum keeper_phase phase;
	struct keeper_child dispatcher;
	struct wire_page *page;	   /* the dispatcher's */
	struct watchdog *watchdog; /* NULL: nobody asks for it */
	struct keeper_watch **watches;
	size_t watches_n;
	struct loop_timer *deadline;
	bool killed; /* the phase's children have been sent SIGKILL */
	bool ready;  /* everything was up once */
	int status;  /* of the whole program */
	struct wire_message in;
};

static void keeper_start_all(struct keeper *k);
static void keeper_reload(struct keeper *k);
static void keeper_on_known(struct keeper *k, const char *name);
static void keeper_reloaded(struct keeper *k, int status);
static void keeper_take_over(struct keeper *k);
static void keeper_forget_next(struct keeper *k);

struct keeper_sending {
	int fd;
	int rc;
};

static int keeper_send_entry(const struct conf_entry *e, void *arg)
{
	const struct keeper_sending *to = arg;
	const struct wire_configure m = {.section = e->section,
		.key = e->key,
		.value = e->value,
		.file = e->file ? e->file : "",
		.line = e->line};

	return wire_send_wait(to->fd, WIRE_CONFIGURE, &m, NULL, 0);
}

int keeper_send_configuration(int fd, const struct conf *conf, const char *only_watch,
	const struct wire_configured *last, struct err *err)
{
	struct keeper_sending to = {.fd = fd};
	int rc = conf_each_entry(conf, only_watch, keeper_send_entry, &to);

	if (rc == 0)
		rc = wire_send_wait(fd, WIRE_CONFIGURED, last, NULL, 0);
	return rc < 0 ? err_errno(err, -rc, "cannot hand on the configuration") : 0;
}

/* ---- children
 * --------------------------------------------------------------------------------------------------- */

static void keeper_child_forget(struct keeper_child *c)
{
	loop_io_remove(c->io);
	c->io = NULL;
	fs_close(&c->fd);
	c->pid = 0;
}

/* When may it be started again? */
static int64_t keeper_child_pause(struct keeper_child *c)
{
	int64_t pause = c->again_us;

	if (clock_mono_us() - c->started_us > KEEPER_LIVED_WELL_US)
		pause = 0;
	c->again_us = pause == 0 ? KEEPER_AGAIN_FIRST_US : pause * 2;
	if (c->again_us > KEEPER_AGAIN_MOST_US)
		c->again_us = KEEPER_AGAIN_MOST_US;
	return pause == 0 ? KEEPER_AGAIN_FIRST_US : pause;
}

static void keeper_child_started(struct keeper_child *c, pid_t pid, int fd)
{
	trace(TRACE_PROCESS, "process %d is started", (int)pid);
	c->pid = pid;
	c->fd = fd;
	c->starts++;
	c->started_us = clock_mono_us();
}

/* How a process is to write its messages. */
static const char *keeper_messages(const struct keeper *k)
{
	return k->options->journal ? "--journal" : k->options->progress ? "--terminal" : "--plain";
}

static void keeper_on_state(struct keeper *k, const struct wire_state *m)
{
	char text[512];

	if (k->options->progress)
		progress_show(m->status);
	(void)snprintf(
		text, sizeof(text), "%sSTATUS=%.400s", m->ready && !k->ready ? "READY=1\n" : "", m->status);
	for (char *p = strstr(text, "STATUS="); *p; p++)
		if (*p == '\n')
			*p = ' ';
	notify_systemd(text);
	k->ready |= m->ready != 0;
}

static void keeper_on_dispatcher(struct loop_io *io, uint32_t events, void *arg)
{
	struct keeper *k = arg;
	struct err err = ERR_INIT;
	int rc = wire_recv(k->dispatcher.fd, &k->in, &err);

	(void)events;
	if (rc == -EAGAIN)
		return;
	if (rc == 1 && k->in.type == WIRE_STATE)
		keeper_on_state(k, &k->in.as.state);
	else if (rc == 1 && k->in.type == WIRE_RELOAD)
		keeper_reload(k);
	else if (rc == 1 && k->in.type == WIRE_RELOADED && k->next)
		keeper_reloaded(k, (int)k->in.as.reloaded.status);
	else if (rc == 1 && k->in.type == WIRE_RESTART)
		keeper_on_known(k, k->in.as.restart.name);
	else if (rc == 1)
		log_error(
			"unexpected message \"%s\" from the dispatcher; ignored", wire_type_name(k->in.type));
	else
		(void)loop_io_set(io, 0); /* it is ending; SIGCHLD tells the rest */
	wire_message_close(&k->in);
}

static struct wire_configured keeper_last_of(const struct keeper *k, size_t watches_n, const char *hash)
{
	return (struct wire_configured){
		.mode = k->options->mode,
		.dry_run = k->options->dry_run,
		.watches = (int64_t)watches_n,
		.wait_us = k->options->wait_us,
		.only_watch = k->options->only_watch ? k->options->only_watch : "",
		.hash = hash,
		.started_us = k->started_us,
		.runs_started = k->runs_started,
	};
}

static size_t keeper_count_watches(const struct keeper *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->watches_n; i++)
		n += !k->watches[i]->leaving;
	return n;
}

static int keeper_start_dispatcher(struct keeper *k, struct err *err)
{
	const char *const argv[] = {"bw-dispatch", keeper_messages(k), NULL};
	struct wire_configured last;
	int64_t runs;
	CLEANUP_FD int page_fd = wire_page_new(err);
	int pair[2], rc;
	pid_t pid;

	if (page_fd < 0)
		return page_fd;
	runs = k->page ? __atomic_load_n(&k->page->runs, __ATOMIC_ACQUIRE) : 0; /* by the one before */
	if (runs > k->runs_started)
		k->runs_started = runs;
	last = keeper_last_of(k, keeper_count_watches(k), k->hash);
	wire_page_unmap(k->page);
	k->page = wire_page_map(page_fd, false, err);
	if (!k->page)
		return -err->code;
	rc = sock_pair(pair, err);
	if (rc < 0)
		return rc;
	pid = process_start(argv, (const int[]){pair[1], page_fd}, 2, true, err);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return (int)pid;
	}
	keeper_child_started(&k->dispatcher, pid, pair[0]);
	CRASH_POINT("keeper-dispatcher-started");
	rc = keeper_send_configuration(pair[0], k->conf, NULL, &last, err);
	if (rc < 0)
		return rc;
	k->dispatcher.io = loop_io_add(k->loop, pair[0], LOOP_IN, keeper_on_dispatcher, k, err);
	return k->dispatcher.io ? 0 : -err->code;
}

/* The watcher, its socket to the dispatcher and its page. */
static int keeper_attach(struct keeper_watch *w, int socket_fd, int page_fd, struct err *err)
{
	const struct wire_attach m = {.name = w->name, .pid = w->child.pid, .start = w->child.starts};
	int rc = wire_send_wait(w->k->dispatcher.fd, WIRE_ATTACH, &m, (const int[]){socket_fd, page_fd}, 2);

	return rc < 0 ? err_errno(err, -rc, "cannot tell the dispatcher of watch %s", w->name) : 0;
}

/* It is ending, since the dispatcher that it talked to is gone, or it hangs: the new one gets its page, and a
 * socket that nobody holds the other end of. */
static void keeper_reattach(struct keeper_watch *w)
{
	struct err err = ERR_INIT;
	int pair[2], rc = sock_pair(pair, &err);

	if (rc == 0) {
		close(pair[1]);
		rc = keeper_attach(w, pair[0], w->page_fd, &err);
		close(pair[0]);
	}
	if (rc < 0)
		log_warning("watch %s: %s; where it hangs cannot be shown", w->name, err.text);
}

static int keeper_start_watch_with(
	struct keeper_watch *w, const int control[2], const int data[2], struct err *err)
{
	const char *const argv[] = {"bw-watch", keeper_messages(w->k), w->name, NULL};
	const struct wire_configured last = {.mode = w->k->options->mode,
		.dry_run = w->k->options->dry_run,
		.only_watch = "",
		.hash = w->k->hash};
	pid_t pid;
	int rc;

	w->page_fd = wire_page_new(err);
	if (w->page_fd < 0)
		return w->page_fd;
	pid = process_start(argv, (const int[]){control[1], data[1], w->page_fd}, 3, false, err);
	if (pid < 0)
		return (int)pid;
	keeper_child_started(&w->child, pid, control[0]);
	CRASH_POINT("keeper-watcher-started");
	rc = keeper_send_configuration(control[0], w->k->conf, w->name, &last, err);
	return rc < 0 ? rc : keeper_attach(w, data[0], w->page_fd, err);
}

static int keeper_start_watch(struct keeper_watch *w, struct err *err)
{
	int control[2], data[2], rc;

	rc = sock_pair(control, err);
	if (rc < 0)
		return rc;
	rc = sock_pair(data, err);
	if (rc < 0) {
		close(control[0]);
		close(control[1]);
		return rc;
	}
	rc = keeper_start_watch_with(w, control, data, err);
	close(control[1]);
	close(data[0]);
	close(data[1]);
	if (w->child.pid == 0) {
		close(control[0]);
		fs_close(&w->page_fd);
	}
	return rc;
}

static void keeper_watch_again(struct keeper_watch *w)
{
	loop_timer_set(w->child.again, clock_mono_us() + keeper_child_pause(&w->child));
}

static void keeper_on_watch_again(struct loop_timer *t, void *arg)
{
	struct keeper_watch *w = arg;
	struct err err = ERR_INIT;

	(void)t;
	if (w->k->phase != KEEPER_RUNNING || w->k->dispatcher.pid == 0 || w->child.pid != 0 || w->leaving ||
		w->waits)
		return;
	if (keeper_start_watch(w, &err) == 0)
		return;
	log_error("watch %s: %s; trying again", w->name, err.text);
	if (w->child.pid != 0)
		(void)kill(w->child.pid, SIGKILL); /* half started: reaped and started again */
	else
		keeper_watch_again(w);
}

static void keeper_on_dispatcher_again(struct loop_timer *t, void *arg)
{
	struct keeper *k = arg;

	(void)t;
	if (k->phase == KEEPER_RUNNING)
		keeper_start_all(k);
}

static void keeper_start_all(struct keeper *k)
{
	struct err err = ERR_INIT;

	CRASH_POINT("keeper-before-start");
	if (keeper_start_dispatcher(k, &err) < 0) {
		log_error("%s; trying again", err.text);
		if (k->dispatcher.pid != 0)
			(void)kill(k->dispatcher.pid, SIGKILL);
		else
			loop_timer_set(
				k->dispatcher.again, clock_mono_us() + keeper_child_pause(&k->dispatcher));
		return;
	}
	for (size_t i = 0; i < k->watches_n; i++) {
		struct keeper_watch *w = k->watches[i];

		w->waits = w->conf && w->conf->job_name;
		if (w->child.pid == 0)
			keeper_on_watch_again(NULL, w);
		else
			keeper_reattach(w);
	}
}

/* ---- the end
 * ---------------------------------------------------------------------------------------------------- */

static bool keeper_any_watch_runs(const struct keeper *k)
{
	for (size_t i = 0; i < k->watches_n; i++)
		if (k->watches[i]->child.pid != 0)
			return true;
	return false;
}

static void keeper_tell(const struct keeper_child *c, enum wire_type type)
{
	const struct wire_empty m = {0};

	if (c->pid != 0)
		trace(TRACE_PROCESS, "process %d is told \"%s\"", (int)c->pid, wire_type_name(type));
	if (c->pid != 0 && wire_send(c->fd, type, &m, NULL, 0) < 0)
		trace(TRACE_PROCESS, "process %d does not listen any more", (int)c->pid);
}

static void keeper_stop_dispatcher(struct keeper *k)
{
	k->phase = KEEPER_STOPPING_DISPATCHER;
	k->killed = false;
	if (k->dispatcher.pid == 0) {
		loop_stop(k->loop, 0);
		return;
	}
	keeper_tell(&k->dispatcher, WIRE_STOP);
	loop_timer_set(k->deadline, clock_mono_us() + KEEPER_STOP_DISPATCHER_US);
}

static void keeper_stop(struct keeper *k)
{
	if (k->phase != KEEPER_RUNNING)
		return;
	notify_systemd("STOPPING=1");
	k->phase = KEEPER_STOPPING_WATCHERS;
	k->killed = false;
	for (size_t i = 0; i < k->watches_n; i++)
		keeper_tell(&k->watches[i]->child, WIRE_STOP);
	if (keeper_any_watch_runs(k))
		loop_timer_set(k->deadline, clock_mono_us() + KEEPER_STOP_WATCHERS_US);
	else
		keeper_stop_dispatcher(k);
}

static void keeper_kill_watches(struct keeper *k)
{
	for (size_t i = 0; i < k->watches_n; i++) {
		if (k->watches[i]->child.pid == 0)
			continue;
		log_warning("watch %s does not end; killed", k->watches[i]->name);
		(void)kill(k->watches[i]->child.pid, SIGKILL);
	}
}

static void keeper_on_deadline(struct loop_timer *t, void *arg)
{
	struct keeper *k = arg;

	if (k->killed) {
		log_warning("a process does not even end when killed (it hangs in a system call); leaving it "
			    "behind");
		if (k->phase == KEEPER_STOPPING_WATCHERS)
			keeper_stop_dispatcher(k);
		else
			loop_stop(k->loop, 0);
		return;
	}
	k->killed = true;
	if (k->phase == KEEPER_STOPPING_WATCHERS)
		keeper_kill_watches(k);
	else if (k->dispatcher.pid != 0)
		(void)kill(k->dispatcher.pid, SIGKILL);
	loop_timer_set(t, clock_mono_us() + KEEPER_GIVE_UP_US);
}

/* ---- reaping
 * ---------------------------------------------------------------------------------------------------- */

static void keeper_watch_free(struct keeper_watch *w)
{
	struct keeper *k = w->k;
	size_t i = 0;

	while (k->watches[i] != w)
		i++;
	k->watches[i] = k->watches[--k->watches_n];
	loop_timer_remove(w->child.again);
	loop_timer_remove(w->kill);
	free(w);
}

/* It ended as a reload has told it to. */
static void keeper_watch_stopped(struct keeper_watch *w)
{
	loop_timer_clear(w->kill);
	w->killed = false;
	if (w->leaving) {
		keeper_watch_free(w);
		return;
	}
	w->changed = false;
	w->child.again_us = 0;
	keeper_watch_again(w);
}

static void keeper_watch_ended(struct keeper_watch *w, int wait_status)
{
	char text[64];
	const struct wire_detach m = {.name = w->name, .why = process_describe_end(wait_status, text)};
	struct keeper *k = w->k;

	keeper_child_forget(&w->child);
	fs_close(&w->page_fd);
	if (k->phase != KEEPER_RUNNING) {
		if (k->phase == KEEPER_STOPPING_WATCHERS && !keeper_any_watch_runs(k))
			keeper_stop_dispatcher(k);
		return;
	}
	if (k->dispatcher.pid == 0) { /* started with the dispatcher */
		loop_timer_clear(w->kill);
		w->killed = false;
		w->changed = false;
		if (w->leaving)
			keeper_watch_free(w);
		return;
	}
	if (wire_send(k->dispatcher.fd, WIRE_DETACH, &m, NULL, 0) < 0)
		trace(TRACE_PROCESS, "the dispatcher does not listen any more");
	if (w->changed || w->leaving) {
		keeper_watch_stopped(w);
		return;
	}
	/* With 0 it ends when the dispatcher has let it go; in a scan that is the end. */
	if (k->options->mode == WIRE_MODE_SCAN && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
		return;
	keeper_watch_again(w);
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == WIRE_EXIT_AGAIN)
		trace(TRACE_PROCESS, "watch %s is taken over by another process", w->name);
	else
		log_warning("watch %s %s; starting it again", w->name, text);
}

/* Did it refuse to work, in a way that another start would not change? */
static bool keeper_is_refusal(const struct keeper *k, int wait_status)
{
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == WIRE_EXIT_AGAIN)
		return k->options->mode == WIRE_MODE_SCAN && k->dispatcher.starts >= KEEPER_SCAN_STARTS;
	if (k->options->mode == WIRE_MODE_SCAN)
		return WIFEXITED(wait_status) || k->dispatcher.starts >= KEEPER_SCAN_STARTS;
	return WIFEXITED(wait_status) && (WEXITSTATUS(wait_status) == 78 || !k->ready);
}

static void keeper_dispatcher_ended(struct keeper *k, int wait_status)
{
	char text[64];

	keeper_child_forget(&k->dispatcher);
	if (k->agreed && k->phase == KEEPER_RUNNING) {
		CRASH_POINT("keeper-agreed");
		keeper_take_over(k);
	}
	keeper_forget_next(k); /* whoever asked for it has lost its connection, too */
	if (k->phase == KEEPER_STOPPING_DISPATCHER) {
		if (WIFEXITED(wait_status) && k->status == 0)
			k->status = WEXITSTATUS(wait_status);
		loop_stop(k->loop, 0);
		return;
	}
	process_describe_end(wait_status, text);
	if (!WIFEXITED(wait_status) && (k->phase != KEEPER_RUNNING || keeper_is_refusal(k, wait_status))) {
		log_error("the dispatcher %s", text);
		k->status = 1;
	}
	if (k->phase != KEEPER_RUNNING)
		return; /* its watches are ending, and so are we */
	if (keeper_is_refusal(k, wait_status)) {
		if (WIFEXITED(wait_status))
			k->status = WEXITSTATUS(wait_status);
		keeper_stop(k);
		return;
	}
	if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == WIRE_EXIT_AGAIN)
		log_info("starting the next dispatcher and all watches");
	else
		log_error("the dispatcher %s; starting it and all watches again", text);
	loop_timer_set(k->dispatcher.again, clock_mono_us() + keeper_child_pause(&k->dispatcher));
}

static void keeper_reap(struct keeper *k)
{
	char text[64];
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
		trace(TRACE_PROCESS, "process %d %s", (int)pid, process_describe_end(wait_status, text));
		if (trial_ended(k->trial, pid, wait_status))
			continue;
		if (pid == k->dispatcher.pid)
			keeper_dispatcher_ended(k, wait_status);
		for (size_t i = 0; i < k->watches_n; i++) {
			if (pid != k->watches[i]->child.pid)
				continue;
			keeper_watch_ended(k->watches[i], wait_status);
			break; /* it may be no more */
		}
	}
}

static void keeper_on_signal(int signo, void *arg)
{
	struct keeper *k = arg;

	if (signo == SIGCHLD)
		keeper_reap(k);
	else if (signo == SIGHUP)
		keeper_tell(&k->dispatcher, WIRE_REOPEN);
	else
		keeper_stop(k);
}

/* ---- the whole
 * -------------------------------------------------------------------------------------------------- */

static bool keeper_takes(const struct keeper *k, const struct conf_watch *w)
{
	return !k->options->only_watch || strcmp(k->options->only_watch, w->name) == 0;
}

static void keeper_on_kill(struct loop_timer *t, void *arg)
{
	struct keeper_watch *w = arg;

	if (w->child.pid == 0)
		return;
	if (w->killed) {
		log_warning("watch %s does not even end when killed (it hangs in a system call); nothing is "
			    "started in its place before it does",
			w->name);
		return;
	}
	log_warning("watch %s does not end; killed", w->name);
	(void)kill(w->child.pid, SIGKILL);
	w->killed = true;
	loop_timer_set(t, clock_mono_us() + KEEPER_GIVE_UP_US);
}

static struct keeper_watch *keeper_watch_new(struct keeper *k, const struct conf_watch *conf)
{
	struct keeper_watch *w = mem_alloc(sizeof(*w));

	w->k = k;
	w->conf = conf;
	memcpy(w->name, conf->name, sizeof(w->name));
	w->waits = conf->job_name != NULL;
	w->child.fd = w->page_fd = -1;
	w->child.again = loop_timer_add(k->loop, keeper_on_watch_again, w);
	w->kill = loop_timer_add(k->loop, keeper_on_kill, w);
	k->watches = mem_resize(k->watches, k->watches_n + 1, sizeof(struct keeper_watch *));
	k->watches[k->watches_n++] = w;
	return w;
}

/* For the watchdog. */
static int64_t keeper_ask_for_progress(void *arg)
{
	const struct keeper *k = arg;

	if (k->dispatcher.pid == 0)
		return -1;
	keeper_tell(&k->dispatcher, WIRE_PING);
	return __atomic_load_n(&k->page->progress, __ATOMIC_RELAXED);
}

static void keeper_make_watches(struct keeper *k)
{
	for (size_t i = 0; i < k->conf->watches_n; i++)
		if (keeper_takes(k, k->conf->watches[i]))
			(void)keeper_watch_new(k, k->conf->watches[i]);
}

/* ---- reload
 * -------------------------------------------------------------------------------------------------- */

static struct keeper_watch *keeper_find(const struct keeper *k, const char *name)
{
	for (size_t i = 0; i < k->watches_n; i++)
		if (strcmp(k->watches[i]->name, name) == 0)
			return k->watches[i];
	return NULL;
}

/* The job of this watch is known. */
static void keeper_on_known(struct keeper *k, const char *name)
{
	struct keeper_watch *w = keeper_find(k, name);

	if (!w || !w->waits)
		return;
	w->waits = false;
	if (!loop_timer_is_set(w->child.again))
		keeper_on_watch_again(NULL, w);
}

static void keeper_tell_reloaded(struct keeper *k, int status, const char *text)
{
	const struct wire_reloaded m = {.status = status, .text = text};

	if (wire_send_wait(k->dispatcher.fd, WIRE_RELOADED, &m, NULL, 0) < 0)
		trace(TRACE_PROCESS, "the dispatcher does not listen any more");
}

/* The dispatcher asks. A good configuration is handed to it, and becomes ours when it has taken it over. */
static void keeper_reload(struct keeper *k)
{
	CLEANUP_BUF struct buf text = BUF_INIT(KEEPER_MISTAKES_BYTES);
	struct wire_configured last;
	struct err err = ERR_INIT;
	char hash[65];
	int status;

	if (k->phase != KEEPER_RUNNING || k->next || !k->options->config) {
		keeper_tell_reloaded(k, 1, "the service cannot be reloaded now");
		return;
	}
	status = reload_read(k->options->config, k->conf, &k->next, &text);
	keeper_tell_reloaded(k, status, buf_str(&text));
	if (status != 0)
		return;
	conf_hash(k->next, hash);
	last = keeper_last_of(k, k->next->watches_n, hash);
	if (keeper_send_configuration(k->dispatcher.fd, k->next, NULL, &last, &err) == 0)
		return;
	log_error("%s; going on with the old one", err.text);
	keeper_forget_next(k);
	keeper_tell_reloaded(k, 1, err.text);
}

static void keeper_forget_next(struct keeper *k)
{
	trial_free(k->trial);
	k->trial = NULL;
	conf_free(k->next);
	k->next = NULL;
	k->anew = k->agreed = false;
}

static void keeper_on_tried(int status, const char *text, void *arg)
{
	struct keeper *k = arg;

	k->trial = NULL;
	keeper_tell_reloaded(k, status, text);
	if (status != 0)
		keeper_forget_next(k);
}

/* The running dispatcher may not open what is new in it. */
static void keeper_try(struct keeper *k)
{
	bool other_log = strcmp(k->conf->events.file, k->next->events.file) != 0;
	struct err err = ERR_INIT;

	if (k->anew)
		return;
	k->anew = true;
	k->trial = trial_start(k->loop, k->next, other_log, k->options->journal, keeper_on_tried, k, &err);
	if (!k->trial)
		keeper_on_tried(1, err.text, k);
}

static void keeper_stop_watch(struct keeper_watch *w)
{
	if (w->child.pid == 0)
		return;
	if (loop_timer_is_set(w->kill) || w->killed)
		return; /* by the reload before this one */
	keeper_tell(&w->child, WIRE_STOP);
	loop_timer_set(w->kill, clock_mono_us() + KEEPER_STOP_WATCHERS_US);
}

static void keeper_update_watch(struct keeper_watch *w, const struct conf *old)
{
	const struct keeper *k = w->k;

	w->conf = conf_watch_find(k->conf, w->name);
	if (!w->conf) {
		w->leaving = true;
		keeper_stop_watch(w);
	} else if (w->leaving || conf_watch_differs(old, k->conf, w->name)) {
		w->leaving = false; /* one that was taken out and is back before its process had ended */
		w->waits = w->conf->job_name != NULL;
		w->changed = w->child.pid != 0;
		if (w->child.pid != 0)
			keeper_stop_watch(w);
		else
			keeper_on_watch_again(NULL, w); /* one that waited for its job has no timer */
	}
}

/* Watches that differ are restarted, new ones started, those that are not there any more stopped. */
static void keeper_take_over(struct keeper *k)
{
	const struct conf *old = k->conf;
	struct conf *old_owned = k->owned;

	CRASH_POINT("keeper-reloaded");
	k->conf = k->owned = k->next;
	k->next = NULL;
	conf_hash(k->conf, k->hash);
	trace_set_up((enum log_level)k->conf->service.log_level, k->conf->service.trace);
	for (size_t i = k->watches_n; i-- > 0;) {
		keeper_update_watch(k->watches[i], old);
		if (k->watches[i]->leaving && k->watches[i]->child.pid == 0)
			keeper_watch_free(k->watches[i]);
	}
	for (size_t i = 0; i < k->conf->watches_n; i++)
		if (!keeper_find(k, k->conf->watches[i]->name))
			keeper_on_watch_again(NULL, keeper_watch_new(k, k->conf->watches[i]));
	conf_free(old_owned);
}

static void keeper_reloaded(struct keeper *k, int status)
{
	if (status == WIRE_EXIT_AGAIN)
		keeper_try(k);
	else if (status != 0)
		keeper_forget_next(k);
	else if (k->anew)
		k->agreed = true;
	else
		keeper_take_over(k);
}

/* Of itself a keeper gives up new privileges only: what confines it would confine all that it starts. But the
 * others find the same kernel, so it tells for all of them, once. */
static void keeper_tell_walls(const struct keeper *k)
{
	char text[WALLS_TEXT_BYTES];
	bool whole = walls_tell(text);

	if (k->options->mode != WIRE_MODE_RUN || k->options->dry_run)
		trace(TRACE_PROCESS, "confined: %s", text);
	else if (whole)
		log_info("confined: %s", text);
	else
		log_warning("confined less than could be: %s; going on with what there is", text);
}

static int keeper_begin(struct keeper *k, struct err *err)
{
	sigset_t set;
	int rc;

	k->loop = loop_new(err);
	if (!k->loop)
		return -err->code;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	rc = loop_signals(k->loop, &set, keeper_on_signal, k, err);
	if (rc < 0)
		return rc;
	k->deadline = loop_timer_add(k->loop, keeper_on_deadline, k);
	k->dispatcher.fd = -1;
	k->dispatcher.again = loop_timer_add(k->loop, keeper_on_dispatcher_again, k);
	if (k->options->mode == WIRE_MODE_RUN)
		k->watchdog = watchdog_new(k->loop, keeper_ask_for_progress, k);
	keeper_make_watches(k);
	conf_hash(k->conf, k->hash);
	return limits_apply(LIMITS_KEEPER, err);
}

static void keeper_end(struct keeper *k)
{
	keeper_child_forget(&k->dispatcher);
	for (size_t i = 0; i < k->watches_n; i++) {
		keeper_child_forget(&k->watches[i]->child);
		fs_close(&k->watches[i]->page_fd);
	}
	watchdog_free(k->watchdog);
	wire_page_unmap(k->page);
	keeper_forget_next(k);
	loop_free(k->loop);
	for (size_t i = 0; i < k->watches_n; i++)
		free(k->watches[i]);
	free(k->watches);
	conf_free(k->owned);
	free(k);
}

int keeper_run(const struct conf *conf, const struct keeper_options *options)
{
	struct keeper *k = mem_alloc(sizeof(*k));
	struct err err = ERR_INIT;
	int rc, status;

	k->conf = conf;
	k->options = options;
	k->started_us = clock_wall_us();
	(void)signal(SIGPIPE, SIG_IGN);
	if (options->progress)
		log_set_terminal();
	rc = process_check(&err);
	if (rc == 0)
		rc = keeper_begin(k, &err);
	if (rc == 0) {
		keeper_tell_walls(k);
		keeper_start_all(k);
		rc = loop_run(k->loop, &err);
	}
	if (rc < 0)
		log_error("%s; ending", err.text);
	status = rc < 0 ? 1 : k->status;
	keeper_end(k);
	progress_end();
	return status;
}
