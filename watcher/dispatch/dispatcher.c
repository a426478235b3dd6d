/*
 * dispatcher: facts, one transaction a round, then acts.
 *
 * During a round of the loop messages of watchers and answers of the Jobs API are only collected. At its end
 * all of them are applied to the ledger in one transaction, together with the choice of what is sent next;
 * after the commit the acts follow: requests go out, event lines go to the log, watchers get their answers.
 * So everything that arrived in one round shares one fsync, and nothing is done that is not recorded.
 *
 * When the ledger cannot be written (disk full), the round is given up and its facts are kept; nothing more
 * is read from watchers, and the same facts are applied again, with growing pauses, until it works.
 */
#include "dispatch/dispatcher.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/sock.h"
#include "confine/limits.h"
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/confirm.h"
#include "dispatch/control.h"
#include "dispatch/desk.h"
#include "dispatch/intake.h"
#include "dispatch/ledger.h"
#include "dispatch/link.h"
#include "dispatch/moved.h"
#include "dispatch/outbox.h"
#include "dispatch/rebuild.h"
#include "dispatch/renew.h"
#include "dispatch/scribe.h"
#include "dispatch/sender.h"
#include "dispatch/verbs.h"

#define LOCK_FILE "lock"
#define LOCK_WAIT_US (5 * US_PER_S)
#define LOCK_STEP_MS 50
#define FACTS_BYTES_MAX (4u * 1024 * 1024) /* read in one round */
#define FACTS_MAX 2048
#define LEDGER_RETRY_FIRST_US (1 * US_PER_S)
#define LEDGER_RETRY_LAST_US (30 * US_PER_S)
#define STOP_WAIT_US (5 * US_PER_S)
#define STATE_EVERY_US (1 * US_PER_S)

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_UNREACHABLE = 69, EXIT_CONFIGURATION = 78 };

struct dispatcher;

struct watch_state {
	struct dispatcher *d;
	struct intake_peer peer;
	struct link *link; /* NULL: no watcher is attached, or its socket has ended */
	struct confirm *confirm;
	uint64_t epoch; /* which of its watchers; facts of an earlier one get no answer */
	bool ever_attached;
	bool scanned; /* listed completely since it was attached */
	bool lost;    /* its folder is gone */
	bool is_done; /* scan: has nothing left to wait for */
	struct desk_watch desk;
};

struct fact { /* a message of a watcher */
	struct list in;
	struct watch_state *watch;
	uint64_t epoch;
	struct intake_result result;
	char *fault; /* the watcher is at fault */
	size_t len;
	char bytes[];
};

/* A reload: asked for; the new configuration comes in; what is on its way is let finish, then the new one
 * takes the place of the old; its event is written. */
enum reload_phase { RELOAD_NONE, RELOAD_ASKED, RELOAD_RECEIVING, RELOAD_DRAINING, RELOAD_DONE };

struct reload {
	enum reload_phase phase;
	struct conf *conf;
	struct conf_mistakes mistakes;
	int64_t watches; /* that will be attached */
	char *hash;
	char user[64]; /* who asked */
	char *reason;
	int64_t by_us; /* draining ends then */
};

struct dispatcher {
	int keeper_fd;
	struct wire_page *page;
	struct conf *conf;
	int mode; /* enum wire_mode */
	bool dry;
	int64_t expected; /* watchers that will be attached */
	int64_t wait_us;
	char *only_watch, *hash;

	int lock_fd;
	struct loop *loop;
	struct loop_io *keeper_io;
	struct ledger *ledger, *behind; /* behind: the real one of a dry run */
	struct scribe scribe;
	struct intake *intake;
	struct sender *sender;	 /* NULL in a dry run */
	struct outbox *outbox;	 /* likewise */
	struct control *control; /* NULL: a dry run, a scan, or it cannot be made */
	struct desk desk;
	struct reload reload;

	struct watch_state *watches; /* as conf->watches */
	struct moved *moved;
	struct list facts;
	size_t facts_n, facts_bytes;

	bool broken; /* the last commit failed */
	int64_t retry_us, retry_at_us;
	bool service_started; /* still to be written */
	bool stopping;	      /* told to stop, or a scan is through: finish what is on its way */
	bool ended;
	int64_t started_us;
	int64_t failed, rejected;
	bool ready;
	char *state_sent;
	int64_t state_sent_us;
	struct loop_timer *wake; /* retry, deadline of a stop, end of a scan's patience, state line */
	int64_t stop_by_us;
	struct wire_message in;	     /* from the keeper and the watchers */
	struct wire_message scratch; /* a fact being applied */
};

static int exit_status_of(const struct err *err)
{
	return err->class == ERR_CONF ? EXIT_CONFIGURATION : EXIT_FAILED;
}

/* Nothing can be recorded, and what is read may be wrong: going on would lose or double runs. The ledger is
 * set aside, and the next start makes a new one. */
static int give_up_ledger(const struct dispatcher *d, const struct err *damage)
{
	struct err err = ERR_INIT;

	log_error("%s", damage->text);
	if (d->dry || d->lock_fd < 0) /* it is not ours */
		return EXIT_CONFIGURATION;
	if (rebuild_set_aside(d->conf, &err) == 0)
		return WIRE_EXIT_AGAIN;
	log_error("%s", err.text);
	return EXIT_CONFIGURATION;
}

/* ---- the configuration ---- */

static int take_configured(struct dispatcher *d, const struct wire_configured *m)
{
	d->mode = (int)m->mode;
	d->dry = m->dry_run != 0;
	d->expected = m->watches;
	d->wait_us = m->wait_us;
	d->only_watch = mem_strdup(m->only_watch);
	d->hash = mem_strdup(m->hash);
	return 0;
}

static int check_configuration(struct conf *conf, const struct conf_mistakes *mistakes, struct err *err)
{
	conf_resolve(conf);
	for (size_t i = 0; i < mistakes->n; i++)
		if (!mistakes->items[i].warning)
			return err_set(err, ERR_CONF, EINVAL, "%s", mistakes->items[i].text);
	for (size_t i = 0; i < conf->watches_n; i++) {
		const struct conf_watch *w = conf->watches[i];

		if (!w->workspace || !w->workspace->host_token)
			return err_set(err, ERR_CONF, EINVAL, "watch %s has no workspace", w->name);
		if (w->job_id <= 0)
			return err_set(err, ERR_CONF, EINVAL,
				"watch %s: job_name is not there yet, give its job_id", w->name);
	}
	return 0;
}

static int receive_configuration(struct dispatcher *d, struct err *err)
{
	struct conf_mistakes mistakes = {.n = 0};
	bool configured = false;
	int rc = 0;

	d->conf = conf_new();
	while (!configured && rc == 0) {
		const struct wire_configure *m = &d->in.as.configure;

		rc = wire_recv(d->keeper_fd, &d->in, err);
		if (rc == -EAGAIN) {
			rc = sock_wait(d->keeper_fd, POLLIN, -1);
			continue;
		}
		if (rc == 0)
			rc = err_set(err, ERR_SYSTEM, EPIPE, "the keeper has gone away");
		if (rc < 0)
			break;
		rc = 0;
		if (d->in.type == WIRE_CONFIGURE)
			conf_set(d->conf, m->section, m->key, m->value, m->file, (int)m->line, &mistakes);
		else if (d->in.type == WIRE_CONFIGURED)
			configured = take_configured(d, &d->in.as.configured) == 0;
		else
			rc = err_set(err, ERR_INPUT, EBADMSG,
				"unexpected message \"%s\" before the configuration",
				wire_type_name(d->in.type));
		wire_message_close(&d->in);
	}
	if (rc == 0)
		rc = check_configuration(d->conf, &mistakes, err);
	conf_mistakes_done(&mistakes);
	return rc;
}

/* ---- the state directory ---- */

static int make_state_directory(const char *path, struct err *err)
{
	char text[24];
	struct statfs fs;

	if (mkdir(path, 0700) == 0) {
		int rc = fs_sync_parent(path, err);

		if (rc < 0)
			return rc;
	} else if (errno != EEXIST) {
		return err_errno(err, errno, "cannot make the state directory %s", path);
	}
	if (statfs(path, &fs) < 0)
		return err_errno(err, errno, "cannot look at the state directory %s", path);
	if (fs_type_is_remote(fs.f_type))
		return err_set(err, ERR_CONF, EINVAL,
			"the state directory %s is on a network file system (%s); the ledger needs a local "
			"disk",
			path, fs_type_name(fs.f_type, text));
	return 0;
}

/* Waits for the lock of the state directory, and looks for the end of the keeper meanwhile. */
static int take_lock(struct dispatcher *d, struct err *err)
{
	const char *directory = d->conf->service.state_directory;
	CLEANUP_FREE char *path = fs_join(directory, LOCK_FILE);
	int64_t until_us = clock_mono_us() + LOCK_WAIT_US;
	struct pollfd keeper = {.fd = d->keeper_fd};

	d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (d->lock_fd < 0)
		return err_errno(err, errno, "cannot open the lock %s", path);
	while (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(err, errno, "cannot take the lock %s", path);
		if (clock_mono_us() >= until_us)
			return err_set(err, ERR_SYSTEM, EBUSY, "another brickwatch is using %s", directory);
		if (poll(&keeper, 1, LOCK_STEP_MS) > 0)
			return err_set(err, ERR_SYSTEM, EPIPE, "the keeper has gone away");
	}
	return 0;
}

/* The folder of the event log, as far as one level goes: else a first try would need root's help. */
static void make_log_directory(const char *file)
{
	const char *slash = strrchr(file, '/');
	CLEANUP_FREE char *directory =
		slash && slash > file ? mem_strndup(file, (size_t)(slash - file)) : NULL;

	if (directory && mkdir(directory, 0750) < 0 && errno != EEXIST)
		log_debug("cannot make %s: %s", directory, strerror(errno));
}

static int open_state(struct dispatcher *d, struct err *err)
{
	const struct conf_service *s = &d->conf->service;
	bool power = s->durability == CONF_DURABILITY_POWER;
	int rc = make_state_directory(s->state_directory, err);

	if (rc == 0)
		rc = take_lock(d, err);
	if (rc == 0)
		rc = rebuild_if_lost(d->conf, power, err);
	if (rc == 0)
		rc = ledger_open(s->state_directory, power, &d->ledger, err);
	if (rc < 0)
		return rc;
	make_log_directory(d->conf->events.file);
	scribe_init(&d->scribe, d->ledger, false);
	d->outbox = outbox_new(d->loop, d->ledger, &d->conf->events, power, d->page);
	return 0;
}

static int open_dry_state(struct dispatcher *d, struct err *err)
{
	struct err none = ERR_INIT;
	int rc = ledger_open_read_only(d->conf->service.state_directory, &d->behind, &none);

	if (rc < 0 && rc != -ENOENT) {
		*err = none;
		return rc;
	}
	rc = ledger_open_memory(&d->ledger, err);
	if (rc == 0)
		scribe_init(&d->scribe, d->ledger, true);
	return rc;
}

/* ---- watchers ---- */

static void init_watch(struct watch_state *w, struct dispatcher *d, const struct conf_watch *conf)
{
	w->d = d;
	w->peer.watch = conf;
	w->confirm = confirm_new();
}

static struct watch_state *find_watch(struct dispatcher *d, const char *name)
{
	for (size_t i = 0; i < d->conf->watches_n; i++)
		if (strcmp(d->conf->watches[i]->name, name) == 0)
			return &d->watches[i];
	return NULL;
}

static void detach(struct watch_state *w)
{
	link_free(w->link);
	w->link = NULL;
	confirm_attach(w->confirm, NULL);
	wire_page_unmap(w->desk.page);
	w->desk.page = NULL;
	desk_detached(&w->d->desk, &w->desk);
	moved_forget(w->d->moved, &w->peer);
}

/* Keeps a copy of the message until the end of the round. */
static void add_fact(struct watch_state *w, const struct wire_message *m)
{
	struct dispatcher *d = w->d;
	CLEANUP_BUF struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	struct fact *f;

	BUG_ON(wire_encode(m->type, &m->as, &b) < 0); /* it was decoded from no more */
	f = mem_alloc(sizeof(*f) + b.len);
	f->watch = w;
	f->epoch = w->epoch;
	f->len = b.len;
	memcpy(f->bytes, b.data, b.len);
	intake_result_init(&f->result);
	list_add_tail(&d->facts, &f->in);
	d->facts_n++;
	d->facts_bytes += f->len;
}

static void fact_free(struct dispatcher *d, struct fact *f)
{
	list_remove(&f->in);
	d->facts_n--;
	d->facts_bytes -= f->len;
	intake_result_done(&f->result);
	free(f->fault);
	free(f);
}

static bool may_read(const struct dispatcher *d)
{
	return !d->broken && d->facts_n < FACTS_MAX && d->facts_bytes < FACTS_BYTES_MAX;
}

/* For `status`. */
static void note_listing(struct watch_state *w, const struct wire_scanned *m)
{
	if (!m->complete)
		return;
	w->desk.listing = *m;
	w->desk.listing.why = NULL;
	w->desk.listed_us = clock_wall_us();
}

/* The page of a watcher: what it is doing. */
static void map_page(struct watch_state *w, struct wire_message *m)
{
	struct err err = ERR_INIT;

	if (m->n_fds < 2)
		return;
	w->desk.page = wire_page_map(m->fds[1], false, &err);
	if (!w->desk.page)
		log_warning("watch %s: %s; where it hangs cannot be shown", w->peer.watch->name, err.text);
}

static bool on_link(struct link *l, const struct wire_message *m, const char *why, void *arg)
{
	struct watch_state *w = arg;

	(void)l;
	if (!m) {
		if (why)
			log_error("watch %s: %s; its watcher is let go and started again",
				w->peer.watch->name, why);
		detach(w);
		return false;
	}
	/* verdicts are remembered only, which needs no transaction; what was not asked for is a fault */
	if (m->type == WIRE_CONFIRMED && confirm_take(w->confirm, &m->as.confirmed) == 0)
		return may_read(w->d);
	if (w->d->control && desk_take(&w->d->desk, &w->desk, m))
		return may_read(w->d);
	if (m->type == WIRE_SCANNED)
		note_listing(w, &m->as.scanned);
	add_fact(w, m);
	return may_read(w->d);
}

/* ---- asking a watcher for the sender ---- */

static bool may_ask(const char *watch, void *arg)
{
	struct watch_state *w = find_watch(arg, watch);

	return w && confirm_may_ask(w->confirm);
}

static void on_verdict(int64_t id, enum wire_verdict verdict, void *arg)
{
	struct watch_state *w = arg;

	sender_confirmed(w->d->sender, w->peer.watch->name, id, verdict);
}

static int ask(const char *watch, const char *root, int64_t id, const struct wire_known *known, void *arg)
{
	struct watch_state *w = find_watch(arg, watch);

	for (size_t i = 0; w && i < w->peer.watch->directory.n; i++)
		if (strcmp(w->peer.watch->directory.items[i], root) == 0)
			return confirm_ask(
				w->confirm, id, w->peer.watch->directory.items[i], known, on_verdict, w);
	return -ENOENT;
}

static void set_reading(struct dispatcher *d, bool on)
{
	for (size_t i = 0; i < d->conf->watches_n; i++)
		if (d->watches[i].link)
			link_set_reading(d->watches[i].link, on);
}

/* What a watcher still said before it ended. */
static void read_rest(struct watch_state *w)
{
	while (w->link && may_read(w->d)) {
		size_t before = w->d->facts_n;

		link_read(w->link);
		if (w->d->facts_n == before)
			return;
	}
}

static void on_attach(struct dispatcher *d, struct wire_message *m)
{
	struct watch_state *w = find_watch(d, m->as.attach.name);
	struct err err = ERR_INIT;

	if (!w || m->n_fds < 1) {
		log_error("the keeper attached the unknown watch \"%s\"", m->as.attach.name);
		return;
	}
	read_rest(w);
	detach(w);
	w->epoch++;
	w->scanned = w->is_done = w->lost = false;
	w->ever_attached = true;
	w->peer = (struct intake_peer){.watch = w->peer.watch};
	w->link = link_new(d->loop, m->fds[0], &d->in, on_link, w, &err);
	m->fds[0] = -1;
	map_page(w, m);
	if (!w->link) {
		log_error("watch %s: %s", w->peer.watch->name, err.text);
		return;
	}
	if (d->broken)
		link_set_reading(w->link, false);
	confirm_attach(w->confirm, w->link);
	if (d->sender)
		sender_may_ask(d->sender, w->peer.watch->name);
}

static void on_detach(struct dispatcher *d, const char *name)
{
	struct watch_state *w = find_watch(d, name);

	if (!w)
		return;
	read_rest(w);
	detach(w);
	w->scanned = w->is_done = false;
}

/* ---- the end ---- */

static void end(struct dispatcher *d, int status)
{
	d->ended = true;
	loop_stop(d->loop, status);
}

static void stop(struct dispatcher *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	for (size_t i = 0; i < d->conf->watches_n; i++)
		read_rest(&d->watches[i]); /* watchers are stopped first */
	if (d->sender)
		sender_stop(d->sender);
	d->stop_by_us = clock_mono_us() + STOP_WAIT_US;
}

/* ---- reload ---- */

static void reload_done(struct reload *r)
{
	conf_free(r->conf);
	conf_mistakes_done(&r->mistakes);
	free(r->hash);
	free(r->reason);
	*r = (struct reload){.phase = RELOAD_NONE};
}

/* Tells those who wait for it how the reload has ended. */
static void reload_end(struct dispatcher *d, int64_t status, const char *text)
{
	reload_done(&d->reload);
	d->desk.reloads++;
	d->desk.reload_status = status;
	free(d->desk.reload_text);
	d->desk.reload_text = mem_strdup(text);
	if (d->control)
		control_wake(d->control);
}

static void tell_keeper_reloaded(struct dispatcher *d, int status)
{
	const struct wire_reloaded m = {.status = status, .text = ""};

	if (wire_send_wait(d->keeper_fd, WIRE_RELOADED, &m, NULL, 0) < 0)
		log_debug("the keeper does not listen any more");
}

/* It was read, and cannot be used: the running one stays. */
static void reload_refuse(struct dispatcher *d, const char *why)
{
	log_error("the new configuration is refused: %s; the running one stays", why);
	tell_keeper_reloaded(d, EXIT_CONFIGURATION);
	reload_end(d, EXIT_CONFIGURATION, why);
}

/* The keeper has read the files. */
static void on_reloaded(struct dispatcher *d, const struct wire_reloaded *m)
{
	if (d->reload.phase != RELOAD_ASKED && d->reload.phase != RELOAD_RECEIVING)
		return;
	if (m->status != 0 || d->reload.phase == RELOAD_RECEIVING) {
		log_error("the new configuration is refused; the running one stays");
		reload_end(d, m->status, m->text);
		return;
	}
	d->reload.phase = RELOAD_RECEIVING;
	d->reload.conf = conf_new();
}

/* Could it be worked with? Made for a look, since after the old sender was stopped there is no way back. */
static int try_configuration(struct dispatcher *d, struct err *err)
{
	const struct sender_options o = {
		.loop = d->loop,
		.conf = d->reload.conf,
		.ledger = d->ledger,
		.scribe = &d->scribe,
		.only_watch = d->only_watch,
	};
	struct sender *trial = sender_new(&o, err);

	if (!trial)
		return -err->code;
	sender_free(trial);
	return 0;
}

static void on_configured(struct dispatcher *d, const struct wire_configured *m)
{
	struct reload *r = &d->reload;
	struct err err = ERR_INIT;
	int rc = d->stopping || d->broken
			 ? err_set(&err, ERR_SYSTEM, EBUSY, "the service is stopping, or its ledger failing")
			 : check_configuration(r->conf, &r->mistakes, &err);

	if (rc == 0)
		rc = try_configuration(d, &err);
	if (rc < 0) {
		reload_refuse(d, err.text);
		return;
	}
	r->watches = m->watches;
	r->hash = mem_strdup(m->hash);
	r->phase = RELOAD_DRAINING;
	r->by_us = clock_mono_us() + STOP_WAIT_US;
	sender_stop(d->sender);
}

/* ---- the keeper ---- */

static void on_keeper(struct loop_io *io, uint32_t events, void *arg)
{
	struct dispatcher *d = arg;
	struct err err = ERR_INIT;
	/* d->in is used by links that are read from in here */
	struct wire_message *m = &d->scratch;
	int rc = wire_recv(d->keeper_fd, m, &err);

	(void)io;
	(void)events;
	if (rc == -EAGAIN)
		return;
	if (rc <= 0) {
		if (rc < 0)
			log_error("message of the keeper: %s; ending", err.text);
		end(d, EXIT_FAILED); /* what is pending is sent by the next one */
		return;
	}
	if (m->type == WIRE_ATTACH)
		on_attach(d, m);
	else if (m->type == WIRE_DETACH)
		on_detach(d, m->as.detach.name);
	else if (m->type == WIRE_STOP)
		stop(d);
	else if (m->type == WIRE_REOPEN && d->outbox)
		outbox_reopen(d->outbox);
	else if (m->type == WIRE_RELOADED)
		on_reloaded(d, &m->as.reloaded);
	else if (m->type == WIRE_CONFIGURE && d->reload.phase == RELOAD_RECEIVING)
		conf_set(d->reload.conf, m->as.configure.section, m->as.configure.key, m->as.configure.value,
			m->as.configure.file, (int)m->as.configure.line, &d->reload.mistakes);
	else if (m->type == WIRE_CONFIGURED && d->reload.phase == RELOAD_RECEIVING)
		on_configured(d, &m->as.configured);
	wire_message_close(m);
}

/* ---- telling the keeper ---- */

static bool is_up(struct dispatcher *d)
{
	int64_t up = 0;

	for (size_t i = 0; i < d->conf->watches_n; i++)
		up += d->watches[i].scanned || d->watches[i].lost;
	return up >= d->expected;
}

static char *describe_state(const struct dispatcher *d)
{
	struct sender_counts c = {.started = 0};
	int64_t watching = 0;

	if (d->sender)
		c = sender_counts(d->sender);
	for (size_t i = 0; i < d->conf->watches_n; i++)
		watching += d->watches[i].scanned;
	return mem_printf("watching %" PRId64 " of %" PRId64 " folders; started %" PRId64 ", failed %" PRId64
			  ", rejected %" PRId64 ", waiting %" PRId64 "%s%s",
		watching, d->expected, c.started, c.failed + d->failed, d->rejected, c.pending,
		d->broken ? "; the ledger cannot be written" : "",
		d->outbox && outbox_is_failing(d->outbox) ? "; the event log cannot be written" : "");
}

/* Tells when something has changed, at most once a second but for readiness. Returns when it wants to be
 * called again, or INT64_MAX. */
static int64_t send_state(struct dispatcher *d, int64_t now_us)
{
	CLEANUP_FREE char *text = describe_state(d);
	struct wire_state m = {.status = text};
	bool ready = d->ready || is_up(d);

	if (ready == d->ready && d->state_sent && strcmp(text, d->state_sent) == 0)
		return INT64_MAX;
	if (ready == d->ready && d->state_sent && now_us < d->state_sent_us + STATE_EVERY_US)
		return d->state_sent_us + STATE_EVERY_US;
	m.ready = ready;
	if (wire_send(d->keeper_fd, WIRE_STATE, &m, NULL, 0) < 0)
		return now_us + STATE_EVERY_US;
	free(d->state_sent);
	d->state_sent = mem_strdup(text);
	d->state_sent_us = now_us;
	d->ready = ready;
	return INT64_MAX;
}

/* ---- a round: apply ---- */

static int apply_fact(struct dispatcher *d, struct fact *f, struct err *err)
{
	int rc;

	intake_result_done(&f->result);
	memcpy(d->scratch.bytes, f->bytes, f->len);
	d->scratch.n_fds = 0;
	rc = wire_decode(&d->scratch, f->len, err);
	BUG_ON(rc < 0); /* we have encoded it */
	rc = intake_take(d->intake, &f->watch->peer, &d->scratch, clock_wall_us(), &f->result, err);
	CRASH_POINT("dispatcher-fact-taken");
	if (rc > 0 && !f->fault)
		f->fault = mem_strdup(err->text);
	if (rc == 0 && f->result.accepted && d->sender)
		sender_look(d->sender, f->watch->peer.watch->name);
	if (rc == 0 && f->result.failed && d->sender && f->watch->peer.watch->on_failure == CONF_FAIL_PAUSE)
		rc = sender_pause(d->sender, f->watch->peer.watch->name,
			"a file became a dead letter before it was sent", err);
	return rc < 0 ? rc : 0;
}

static int apply_service(struct dispatcher *d, enum event_type type, struct err *err)
{
	struct sender_counts c = {.started = 0};
	struct event_service x = {.version = BW_VERSION, .configuration = d->hash, .watches = d->expected};
	int rc = ledger_count(d->ledger, LEDGER_PENDING, &x.pending, err);

	if (d->sender)
		c = sender_counts(d->sender);
	x.started = c.started;
	x.failed = c.failed + d->failed;
	x.rejected = d->rejected;
	return rc < 0 ? rc : scribe_service(&d->scribe, type, &x, clock_wall_us(), err);
}

static int apply_reload(struct dispatcher *d, struct err *err)
{
	const struct event_action x = {
		.verb = "reload",
		.arguments = "",
		.user = d->reload.user,
		.reason = d->reload.reason,
		.count = -1,
	};
	int rc = apply_service(d, EVENT_SERVICE_RELOADED, err);

	return rc < 0 ? rc : scribe_action(&d->scribe, NULL, &x, clock_wall_us(), err);
}

/* Files that were asked about: are they moved ones? */
static int apply_moved(struct dispatcher *d, struct moved_item *item, struct err *err)
{
	int rc;

	intake_result_done(&item->result);
	memcpy(d->scratch.bytes, item->bytes, item->len);
	d->scratch.n_fds = 0;
	rc = wire_decode(&d->scratch, item->len, err);
	BUG_ON(rc < 0); /* we have encoded it */
	rc = intake_take_moved(d->intake, item->peer, &d->scratch, item->row_id, item->verdict,
		clock_wall_us(), &item->result, err);
	BUG_ON(rc > 0); /* it was found to be good before */
	return rc;
}

static int apply(struct dispatcher *d, struct err *err)
{
	int rc = ledger_begin(d->ledger, err); /* also for reading: each question alone would lock the file */

	if (rc == 0 && d->outbox)
		rc = outbox_apply(d->outbox, err);
	if (rc == 0 && d->service_started)
		rc = apply_service(d, EVENT_SERVICE_STARTED, err);
	if (rc == 0 && d->reload.phase == RELOAD_DONE)
		rc = apply_reload(d, err);
	LIST_FOREACH (it, &d->facts) {
		if (rc == 0)
			rc = apply_fact(d, LIST_OF(it, struct fact, in), err);
	}
	for (struct moved_item *item = NULL; rc == 0 && (item = moved_next(d->moved, item));)
		rc = apply_moved(d, item, err);
	if (rc == 0)
		rc = intake_apply(d->intake, clock_wall_us(), err);
	if (rc == 0 && d->control)
		rc = control_apply(d->control, err);
	if (rc == 0 && d->sender)
		rc = sender_apply(d->sender, err);
	if (rc < 0)
		return rc;
	CRASH_POINT("dispatcher-before-commit");
	wire_page_enter(d->page, "commit", d->conf->service.state_directory);
	rc = ledger_commit(d->ledger, err);
	wire_page_leave(d->page);
	return rc;
}

static void undo(struct dispatcher *d)
{
	ledger_rollback(d->ledger);
	intake_undo(d->intake);
	LIST_FOREACH (it, &d->facts) {
		struct fact *f = LIST_OF(it, struct fact, in);

		if (f->result.announced)
			f->watch->peer.announced = false;
	}
	if (d->control)
		control_undo(d->control);
	if (d->sender)
		sender_undo(d->sender);
	if (d->outbox)
		outbox_undo(d->outbox);
}

static void fail_round(struct dispatcher *d, const struct err *err)
{
	undo(d);
	if (!d->broken)
		log_error("%s; nothing more is accepted or sent until the ledger can be written again",
			err->text);
	d->broken = true;
	set_reading(d, false);
	d->retry_at_us = clock_mono_us() + d->retry_us;
	d->retry_us = 2 * d->retry_us < LEDGER_RETRY_LAST_US ? 2 * d->retry_us : LEDGER_RETRY_LAST_US;
}

static void recover(struct dispatcher *d)
{
	d->retry_us = LEDGER_RETRY_FIRST_US;
	if (!d->broken)
		return;
	log_info("the ledger can be written again");
	d->broken = false;
	set_reading(d, true);
}

/* ---- a round: act ---- */

static void tell_result(const struct intake_result *r)
{
	if (!r->text)
		return;
	if (r->text_is_plain)
		(void)printf("%s\n", r->text);
	else if (r->level == LOG_LEVEL_ERROR)
		log_error("%s", r->text);
	else if (r->level == LOG_LEVEL_WARNING)
		log_warning("%s", r->text);
	else
		log_info("%s", r->text);
}

/* What concerns the watcher itself; it may have been started anew meanwhile. */
static void act_on_watcher(struct fact *f)
{
	struct watch_state *w = f->watch;
	const struct intake_result *r = &f->result;
	int rc = 0;

	if (f->epoch != w->epoch)
		return;
	w->scanned |= r->announced;
	if (r->lost) {
		w->scanned = false;
		w->lost = true;
	}
	if (r->announced)
		w->lost = false;
	if (r->counted)
		w->is_done = r->is_done;
	if (r->wanted && w->link) {
		const struct wire_wanted m = {
			.seq = r->seq, .bits = buf_str(&r->bits), .bits_len = r->bits.len};

		CRASH_POINT("dispatcher-before-wanted");
		rc = link_send(w->link, WIRE_WANTED, &m);
		CRASH_POINT("dispatcher-after-wanted");
	}
	if (rc == -EBUSY && !f->fault)
		f->fault = mem_printf("watch %s asked again before it was answered", w->peer.watch->name);
	if (!f->fault || !w->link)
		return;
	log_error("%s; its watcher is let go and started again", f->fault);
	detach(w);
}

/* What one message of a file has made. */
static void act_on_result(struct dispatcher *d, const struct intake_peer *peer, const struct intake_result *r)
{
	tell_result(r);
	d->failed += r->failed;
	d->rejected += r->rejected;
	if (r->accepted && d->sender)
		sender_accepted(d->sender, peer->watch->name);
	if (r->gone > 0 && d->sender)
		sender_gone(d->sender, peer->watch->name, r->gone);
}

static void act_on_moved(struct dispatcher *d)
{
	struct moved_item *item;

	while ((item = moved_next(d->moved, NULL))) {
		act_on_result(d, item->peer, &item->result);
		moved_done(d->moved, item);
	}
}

static void act_on_facts(struct dispatcher *d)
{
	LIST_FOREACH_SAFE (it, &d->facts) {
		struct fact *f = LIST_OF(it, struct fact, in);

		act_on_result(d, &f->watch->peer, &f->result);
		if (f->result.moved_row > 0 && f->epoch == f->watch->epoch && f->watch->link)
			moved_add(d->moved, &f->watch->peer, &f->result, f->bytes, f->len);
		act_on_watcher(f);
		fact_free(d, f);
	}
	if (d->dry)
		(void)fflush(stdout);
}

static void act(struct dispatcher *d)
{
	d->service_started = false;
	intake_committed(d->intake);
	if (d->reload.phase == RELOAD_DONE)
		reload_end(d, EXIT_DONE, "");
	if (d->outbox)
		outbox_committed(d->outbox);
	act_on_moved(d);
	act_on_facts(d);
	CRASH_POINT("dispatcher-between-acts");
	if (d->control)
		control_committed(d->control);
	if (d->sender)
		sender_committed(d->sender);
	for (size_t i = 0; i < d->conf->watches_n; i++) {
		moved_ask(d->moved, &d->watches[i].peer, d->watches[i].confirm);
		intake_ask(d->intake, d->conf->watches[i], d->watches[i].confirm);
		confirm_flush(d->watches[i].confirm);
	}
	if (d->outbox)
		outbox_flush(d->outbox);
}

/* ---- when it is over ---- */

static bool watchers_are_done(const struct dispatcher *d)
{
	int64_t done = 0;

	for (size_t i = 0; i < d->conf->watches_n; i++)
		done += d->watches[i].is_done;
	return done >= d->expected;
}

static bool scan_is_over(const struct dispatcher *d, int64_t now_us)
{
	struct sender_counts c = {.started = 0};

	if (d->mode != WIRE_MODE_SCAN)
		return false;
	if (d->wait_us > 0 && now_us >= d->started_us + d->wait_us)
		return true;
	if (!watchers_are_done(d) || !list_is_empty(&d->facts) || !moved_is_empty(d->moved))
		return false;
	if (d->sender)
		c = sender_counts(d->sender);
	return c.in_flight == 0 && c.pending <= c.given_up;
}

static int scan_status(const struct dispatcher *d)
{
	struct sender_counts c = {.started = 0};
	int status = EXIT_DONE;

	if (d->dry)
		return EXIT_DONE;
	if (d->sender)
		c = sender_counts(d->sender);
	for (size_t i = 0; i < d->conf->watches_n; i++) {
		const struct watch_state *w = &d->watches[i];

		if (w->lost)
			status = EXIT_FAILED; /* its folder is missing, which was said */
		if (!w->ever_attached || w->is_done || w->lost)
			continue;
		if (w->scanned) {
			log_warning(
				"watch %s: some files were not complete yet and are left for the next scan",
				w->peer.watch->name);
			continue;
		}
		log_error("watch %s could not be listed", w->peer.watch->name);
		status = EXIT_FAILED;
	}
	if (d->failed + c.failed > 0)
		status = EXIT_FAILED;
	if (c.pending > 0) {
		log_error("%" PRId64 " files could not be sent; they stay in the ledger for the next scan",
			c.pending);
		status = EXIT_UNREACHABLE;
	}
	return status;
}

/* The last things to write, while the ledger lets us. */
static void finish(struct dispatcher *d)
{
	struct err err = ERR_INIT;
	int rc = 0;

	if (!d->outbox || d->broken)
		return;
	if (d->mode == WIRE_MODE_RUN)
		rc = apply_service(d, EVENT_SERVICE_STOPPED, &err);
	if (rc == 0)
		rc = ledger_commit(d->ledger, &err);
	if (rc == 0) {
		outbox_drain(d->outbox);
		rc = outbox_apply(d->outbox, &err);
	}
	if (rc == 0)
		rc = ledger_commit(d->ledger, &err);
	if (rc < 0)
		log_error("%s; the rest is done by the next start", err.text);
}

static bool is_finished(const struct dispatcher *d, int64_t now_us)
{
	if (!d->stopping)
		return false;
	if (now_us >= d->stop_by_us)
		return true;
	return list_is_empty(&d->facts) && (!d->sender || sender_counts(d->sender).in_flight == 0);
}

static void set_wake(struct dispatcher *d, int64_t at_us)
{
	if (d->broken && d->retry_at_us < at_us)
		at_us = d->retry_at_us;
	if (!d->broken && intake_due_us(d->intake) < at_us)
		at_us = intake_due_us(d->intake);
	if (d->stopping && d->stop_by_us < at_us)
		at_us = d->stop_by_us;
	if (d->reload.phase == RELOAD_DRAINING && d->reload.by_us < at_us)
		at_us = d->reload.by_us;
	if (d->mode == WIRE_MODE_SCAN && !d->stopping && d->wait_us > 0 && d->started_us + d->wait_us < at_us)
		at_us = d->started_us + d->wait_us;
	if (at_us == INT64_MAX)
		loop_timer_clear(d->wake);
	else
		loop_timer_set(d->wake, at_us);
}

static bool has_work(const struct dispatcher *d)
{
	return d->service_started || d->reload.phase == RELOAD_DONE || !list_is_empty(&d->facts) ||
	       moved_has_answers(d->moved) || intake_due_us(d->intake) <= clock_mono_us() ||
	       (d->control && control_has_work(d->control)) || (d->sender && sender_has_work(d->sender)) ||
	       (d->outbox && outbox_wants_commit(d->outbox));
}

static void give_up(struct dispatcher *d, const struct err *err)
{
	undo(d);
	end(d, give_up_ledger(d, err));
}

static void work(struct dispatcher *d)
{
	struct err err = ERR_INIT;
	int rc = apply(d, &err);

	if (rc == -EUCLEAN) {
		give_up(d, &err);
		return;
	}
	if (rc < 0) {
		fail_round(d, &err);
		return;
	}
	CRASH_POINT("dispatcher-after-commit");
	recover(d);
	act(d);
}

/* ---- making the parts ---- */

/* Files that were accepted under another configuration, and cannot have been sent yet. */
static int renew(struct dispatcher *d, struct err *err)
{
	struct renew_counts n;
	int rc = renew_waiting(d->conf, d->ledger, d->hash, &n, err);

	if (rc == 0 && n.renewed > 0)
		log_info("the configuration was changed: %" PRId64 " waiting requests were made anew",
			n.renewed);
	if (rc == 0 && n.held > 0)
		log_warning("%" PRId64
			    " waiting files are held: their watch or workspace is not configured any "
			    "more; they go on when it is back",
			n.held);
	if (rc == 0 && n.back > 0)
		log_info("%" PRId64 " files that were held go on: their watch is back", n.back);
	return rc;
}

static int start_sender(struct dispatcher *d, struct err *err)
{
	struct sender_options o = {
		.loop = d->loop,
		.conf = d->conf,
		.ledger = d->ledger,
		.scribe = &d->scribe,
		.only_watch = d->only_watch,
		.asker = {.may_ask = may_ask, .ask = ask, .arg = d},
	};

	d->sender = sender_new(&o, err);
	return d->sender ? 0 : -err->code;
}

static struct desk_watch *lend_watch(struct desk *desk, size_t i)
{
	struct dispatcher *d = LIST_OF(desk, struct dispatcher, desk);
	struct watch_state *w = &d->watches[i];

	w->desk.peer = &w->peer;
	w->desk.link = w->link;
	w->desk.scanned = w->scanned;
	w->desk.lost = w->lost;
	return &w->desk;
}

/* For the verb: asks the keeper. */
static int ask_reload(struct desk *desk, const struct control_request *request)
{
	static const struct wire_empty m = {0};
	struct dispatcher *d = LIST_OF(desk, struct dispatcher, desk);
	int rc;

	if (d->reload.phase != RELOAD_NONE)
		return -EBUSY;
	rc = wire_send(d->keeper_fd, WIRE_RELOAD, &m, NULL, 0);
	if (rc < 0)
		return rc;
	d->reload.phase = RELOAD_ASKED;
	(void)snprintf(d->reload.user, sizeof(d->reload.user), "%s", request->user);
	d->reload.reason = mem_strdup(request->reason);
	return 0;
}

static bool is_ledger_failing(struct desk *desk)
{
	return LIST_OF(desk, struct dispatcher, desk)->broken;
}

static void fill_desk(struct dispatcher *d)
{
	d->desk.conf = d->conf;
	d->desk.ledger = d->ledger;
	d->desk.scribe = &d->scribe;
	d->desk.sender = d->sender;
	d->desk.intake = d->intake;
	d->desk.outbox = d->outbox;
	d->desk.control = d->control;
	d->desk.hash = d->hash;
	d->desk.watch = lend_watch;
	d->desk.ledger_is_failing = is_ledger_failing;
	d->desk.reload = ask_reload;
}

/* ---- taking over a new configuration ---- */

/* The watch in its new place: a changed one gets a new watcher, an unchanged one keeps what it has. */
static void carry_watch(
	struct watch_state *to, struct watch_state *from, const struct conf_watch *conf, bool is_changed)
{
	if (is_changed) { /* what it still has to say is found again by the next one's listing */
		detach(from);
		from->scanned = false;
	}
	*to = *from;
	to->peer.watch = conf;
	from->link = NULL;
	from->confirm = NULL;
	if (to->link)
		link_set_arg(to->link, to);
}

static void replace_watches(struct dispatcher *d, struct conf *next)
{
	struct watch_state *watches = mem_array(next->watches_n + 1, sizeof(watches[0]));
	struct conf *old = d->conf;

	BUG_ON(!d->watches);
	for (size_t i = 0; i < next->watches_n; i++) {
		const struct conf_watch *conf = next->watches[i];
		struct watch_state *from = find_watch(d, conf->name);

		if (from)
			carry_watch(&watches[i], from, conf, conf_watch_differs(old, next, conf->name));
		else
			init_watch(&watches[i], d, conf);
	}
	for (size_t i = 0; i < old->watches_n; i++) {
		if (!d->watches[i].confirm)
			continue; /* carried over */
		detach(&d->watches[i]);
		confirm_free(d->watches[i].confirm);
	}
	free(d->watches);
	d->watches = watches;
}

/* The event lines that are written are taken out of the ledger, so that none is written again. */
static int settle_outbox(struct dispatcher *d, struct err *err)
{
	int rc;

	outbox_drain(d->outbox);
	rc = outbox_apply(d->outbox, err);
	if (rc == 0)
		rc = ledger_commit(d->ledger, err);
	if (rc < 0)
		outbox_undo(d->outbox);
	else
		outbox_committed(d->outbox);
	return rc;
}

/* Everything that borrows from the configuration is made anew, as at a start. */
static int take_over(struct dispatcher *d, struct err *err)
{
	struct reload *r = &d->reload;
	struct intake *intake;
	int rc = settle_outbox(d, err);

	if (rc < 0)
		return rc;
	tell_keeper_reloaded(d, 0); /* before links end, so that it knows why */
	for (size_t i = 0; i < d->conf->watches_n; i++)
		confirm_forget(d->watches[i].confirm); /* who has asked is no more */
	sender_free(d->sender);
	outbox_free(d->outbox);
	moved_free(d->moved);
	d->moved = moved_new();
	intake = intake_new(r->conf, d->ledger, d->behind, &d->scribe, d->dry);
	intake_carry(intake, d->intake);
	intake_free(d->intake);
	d->intake = intake;
	d->sender = NULL;
	d->outbox = NULL;
	replace_watches(d, r->conf);
	conf_free(d->conf);
	d->conf = r->conf;
	r->conf = NULL;
	free(d->hash);
	d->hash = r->hash;
	r->hash = NULL;
	d->expected = r->watches;
	log_set_level((enum log_level)d->conf->service.log_level);
	make_log_directory(d->conf->events.file);
	d->outbox = outbox_new(d->loop, d->ledger, &d->conf->events,
		d->conf->service.durability == CONF_DURABILITY_POWER, d->page);
	rc = renew(d, err);
	if (rc == 0)
		rc = start_sender(d, err);
	for (size_t i = 0; rc == 0 && i < d->conf->watches_n; i++)
		if (d->watches[i].link)
			sender_may_ask(d->sender, d->conf->watches[i]->name);
	fill_desk(d);
	return rc;
}

/* Has all that was on its way come to its end, or waited long enough? */
static bool is_drained(const struct dispatcher *d, int64_t now_us)
{
	return d->reload.phase == RELOAD_DRAINING && !d->broken && list_is_empty(&d->facts) &&
	       (sender_counts(d->sender).in_flight == 0 || now_us >= d->reload.by_us);
}

static void reload_if_drained(struct dispatcher *d, int64_t now_us)
{
	struct err err = ERR_INIT;

	if (!is_drained(d, now_us))
		return;
	if (take_over(d, &err) < 0) {
		/* the keeper starts the next dispatcher, which reads the ledger as it is */
		log_error("the new configuration cannot be taken over: %s; ending", err.text);
		end(d, EXIT_FAILED);
		return;
	}
	log_info("the configuration was reloaded");
	d->reload.phase = RELOAD_DONE;
	work(d);
}

/* ---- a round ---- */

/* The end of every round of the loop. */
static void on_round(void *arg)
{
	struct dispatcher *d = arg;
	int64_t now_us = clock_mono_us();

	if (d->ended)
		return;
	if ((!d->broken || now_us >= d->retry_at_us) && (d->broken || has_work(d)))
		work(d);
	if (!d->stopping && scan_is_over(d, now_us))
		stop(d);
	if (!d->stopping && !d->ended)
		reload_if_drained(d, now_us);
	if (is_finished(d, now_us)) {
		finish(d);
		end(d, d->mode == WIRE_MODE_SCAN ? scan_status(d) : EXIT_DONE);
		return;
	}
	set_wake(d, send_state(d, now_us));
}

static void on_wake(struct loop_timer *t, void *arg)
{
	(void)t;
	(void)arg; /* the round that it starts is what it is for */
}

/* ---- life ---- */

/* Files are more important than who asks about them: without the socket the service goes on. */
static void start_control(struct dispatcher *d)
{
	const struct control_options o = {
		.loop = d->loop,
		.directory = d->conf->service.runtime_directory,
		.verbs = verbs_table,
		.verbs_n = verbs_n,
		.host = &d->desk,
	};
	struct err err = ERR_INIT;

	d->desk.started_us = clock_wall_us();
	d->control = control_new(&o, &err);
	if (!d->control)
		log_warning("%s; going on without: status and the other verbs that ask the service will not "
			    "work",
			err.text);
}

static void make_watches(struct dispatcher *d)
{
	d->watches = mem_array(d->conf->watches_n + 1, sizeof(d->watches[0]));
	for (size_t i = 0; i < d->conf->watches_n; i++)
		init_watch(&d->watches[i], d, d->conf->watches[i]);
}

static int set_up(struct dispatcher *d, struct err *err)
{
	int rc;

	d->loop = loop_new(err);
	if (!d->loop)
		return -err->code;
	d->wake = loop_timer_add(d->loop, on_wake, d);
	d->moved = moved_new();
	make_watches(d);
	rc = d->dry ? open_dry_state(d, err) : open_state(d, err);
	if (rc == 0 && !d->dry)
		rc = renew(d, err);
	if (rc == 0 && !d->dry)
		rc = start_sender(d, err);
	if (rc < 0)
		return rc;
	d->intake = intake_new(d->conf, d->ledger, d->behind, &d->scribe, d->dry);
	d->service_started = d->mode == WIRE_MODE_RUN && !d->dry;
	d->started_us = clock_mono_us();
	if (d->mode == WIRE_MODE_RUN && !d->dry)
		start_control(d);
	fill_desk(d);
	d->keeper_io = loop_io_add(d->loop, d->keeper_fd, LOOP_IN, on_keeper, d, err);
	if (!d->keeper_io)
		return -err->code;
	loop_prepare_add(d->loop, on_round, d);
	return 0;
}

static void tear_down(struct dispatcher *d)
{
	control_free(d->control);
	d->control = d->desk.control = NULL;
	for (size_t i = 0; d->watches && i < d->conf->watches_n; i++)
		detach(&d->watches[i]);
	for (size_t i = 0; d->watches && i < d->conf->watches_n; i++)
		confirm_free(d->watches[i].confirm);
	moved_free(d->moved);
	LIST_FOREACH_SAFE (it, &d->facts)
		fact_free(d, LIST_OF(it, struct fact, in));
	sender_free(d->sender);
	outbox_free(d->outbox);
	intake_free(d->intake);
	if (d->ledger)
		scribe_done(&d->scribe);
	ledger_close(d->ledger);
	ledger_close(d->behind);
	loop_io_remove(d->keeper_io);
	loop_timer_remove(d->wake);
	loop_free(d->loop);
	free(d->watches);
	free(d->only_watch);
	free(d->hash);
	free(d->state_sent);
	free(d->desk.reload_text);
	reload_done(&d->reload);
	conf_free(d->conf);
	fs_close(&d->lock_fd);
	fs_close(&d->keeper_fd);
	wire_page_unmap(d->page);
	free(d);
}

/* Terminals and service managers signal whole groups of processes; the keeper tells us when to stop. A limit
 * on the size of files is to be an error like a full disk. */
static void ignore_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)signal(signals[i], SIG_IGN);
}

static int run(struct dispatcher *d, struct err *err)
{
	int rc;

	ignore_signals();
	rc = limits_apply(LIMITS_DISPATCHER, err);
	if (rc == 0)
		rc = receive_configuration(d, err);
	if (rc < 0)
		return rc;
	log_set_level((enum log_level)d->conf->service.log_level);
	rc = set_up(d, err);
	return rc < 0 ? rc : loop_run(d->loop, err);
}

int dispatcher_main(int keeper_fd, int page_fd)
{
	struct dispatcher *d = mem_alloc(sizeof(*d));
	struct err err = ERR_INIT;
	int rc;

	d->keeper_fd = keeper_fd;
	d->lock_fd = -1;
	d->retry_us = LEDGER_RETRY_FIRST_US;
	list_init(&d->facts);
	if (page_fd >= 0) {
		d->page = wire_page_map(page_fd, true, &err);
		if (!d->page)
			log_warning("%s; going on without", err.text);
		fs_close(&page_fd);
	}
	rc = run(d, &err);
	if (rc < 0) {
		if (err.code == EUCLEAN) {
			rc = give_up_ledger(d, &err);
		} else {
			log_error("%s", err.text);
			rc = exit_status_of(&err);
		}
	}
	tear_down(d);
	return rc;
}
