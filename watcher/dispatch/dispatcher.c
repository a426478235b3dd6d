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

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/trace.h"
#include "confine/limits.h"
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/configure.h"
#include "dispatch/confined.h"
#include "dispatch/confirm.h"
#include "dispatch/control.h"
#include "dispatch/courier.h"
#include "dispatch/desk.h"
#include "dispatch/facts.h"
#include "dispatch/intake.h"
#include "dispatch/jobwatch.h"
#include "dispatch/ledger.h"
#include "dispatch/loglock.h"
#include "dispatch/metrics.h"
#include "dispatch/moved.h"
#include "dispatch/outbox.h"
#include "dispatch/readiness.h"
#include "dispatch/rebuild.h"
#include "dispatch/reload.h"
#include "dispatch/renew.h"
#include "dispatch/scribe.h"
#include "dispatch/sender.h"
#include "dispatch/statedir.h"
#include "dispatch/verbs.h"
#include "dispatch/watches.h"

#define LEDGER_RETRY_FIRST_US (1 * US_PER_S)
#define LEDGER_RETRY_LAST_US (30 * US_PER_S)
#define STOP_WAIT_US (5 * US_PER_S)
#define LEAVE_WAIT_US (1 * US_PER_S)

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_UNREACHABLE = 69, EXIT_CONFIGURATION = 78 };

struct dispatcher {
	int keeper_fd;
	struct wire_page *page;
	int64_t look_at_us; /* at the pages of the watchers */
	struct conf *conf;
	struct configured as; /* … and what came with it */

	int lock_fd;
	struct loop *loop;
	struct loop_io *keeper_io;
	struct ledger *ledger, *behind; /* behind: the real one of a dry run */
	struct scribe scribe;
	struct intake *intake;
	struct sender *sender;	      /* NULL in a dry run */
	struct sender_counts carried; /* of the senders before it */
	struct jobwatch *jobwatch;    /* likewise */
	struct outbox *outbox;	      /* likewise */
	struct couriers *couriers;    /* likewise */
	struct control *control;      /* NULL: a dry run, a scan, or it cannot be made */
	struct metrics *metrics;      /* likewise */
	struct desk desk;
	struct reload reload;
	struct confined *confined;

	struct watches watches;

	bool broken;			 /* the last commit failed … */
	char broken_why[ERR_TEXT_BYTES]; /* … for this */
	int64_t retry_us, retry_at_us;
	bool service_started; /* still to be written */
	bool stopping;	      /* told to stop, or a scan is through: finish what is on its way */
	bool ended;
	int64_t leave_by_us; /* another process takes over: until then answers may still go out; 0: no */
	int64_t started_us;
	struct readiness readiness;
	struct loop_timer *wake; /* retry, deadline of a stop, end of a scan's patience, state line */
	int64_t stop_by_us;
	struct wire_message in;	     /* from the keeper and the watchers */
	struct wire_message scratch; /* a fact being applied */
};

static int exit_status_of(const struct err *err)
{
	return err->class == ERR_CONF ? EXIT_CONFIGURATION : EXIT_FAILED;
}

/* Nothing can be recorded, and what is read may be wrong: going on would lose or double runs. A ledger that
 * is damaged indeed is set aside, and the next start makes a new one. */
static int give_up_ledger(const struct dispatcher *d, const struct err *damage)
{
	struct err err = ERR_INIT;

	log_error("%s", damage->text);
	if (d->as.dry || d->lock_fd < 0) /* it is not ours */
		return EXIT_CONFIGURATION;
	if (damage->class != ERR_LIMIT && ledger_is_whole(d->conf->service.state_directory)) {
		log_error("all of the ledger can be read now, so it is not set aside");
		return WIRE_EXIT_AGAIN;
	}
	if (rebuild_set_aside(d->conf, &err) == 0)
		return WIRE_EXIT_AGAIN;
	log_error("%s", err.text);
	return EXIT_CONFIGURATION;
}

/* ---- the state directory ---- */

static int open_state(struct dispatcher *d, struct err *err)
{
	const struct conf_service *s = &d->conf->service;
	bool power = s->durability == CONF_DURABILITY_POWER;
	struct loglock lock;
	int rc = statedir_open(s->state_directory, d->keeper_fd, &d->lock_fd, err);

	if (rc < 0)
		return rc;
	statedir_make_log(d->conf->events.file);
	loglock_init(&lock); /* another service's log says nothing about a ledger of ours */
	rc = loglock_wait(&lock, d->conf->events.file, d->keeper_fd, err);
	loglock_done(&lock);
	if (rc == 0)
		rc = rebuild_if_lost(d->conf, power, err);
	if (rc == 0)
		rc = ledger_open(s->state_directory, power, &d->ledger, err);
	if (rc == 0)
		rc = jobwatch_recall(d->conf, d->ledger, err);
	if (rc < 0)
		return rc;
	scribe_init(&d->scribe, d->ledger, false);
	scribe_set_consumers(&d->scribe, d->conf);
	d->outbox = outbox_new(d->loop, d->ledger, &d->conf->events, power, d->page);
	return outbox_claim(d->outbox, d->keeper_fd, err);
}

static int open_dry_state(struct dispatcher *d, struct err *err)
{
	struct err none = ERR_INIT;
	int rc = ledger_open_read_only(d->conf->service.state_directory, &d->behind, &none);

	if (rc < 0 && rc != -ENOENT) {
		*err = none;
		return rc;
	}
	rc = d->behind ? jobwatch_recall(d->conf, d->behind, err) : 0;
	if (rc == 0)
		rc = ledger_open_memory(&d->ledger, err);
	if (rc == 0)
		scribe_init(&d->scribe, d->ledger, true);
	return rc;
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
	watches_read_rest(&d->watches); /* watchers are stopped first */
	if (d->jobwatch)
		jobwatch_stop(d->jobwatch);
	if (d->sender)
		sender_stop(d->sender);
	if (d->couriers)
		couriers_stop(d->couriers);
	d->stop_by_us = clock_mono_us() + STOP_WAIT_US;
}

/* ---- reload ---- */

/* Could it be worked with? Made for a look, since after the old sender was stopped there is no way back. */
static int try_configuration(struct dispatcher *d, const struct conf *conf, bool other_log, struct err *err)
{
	const struct sender_options o = {
		.loop = d->loop,
		.conf = conf,
		.ledger = d->ledger,
		.scribe = &d->scribe,
		.only_watch = d->as.only_watch,
	};
	struct loglock lock;
	struct sender *trial;
	int rc;

	loglock_init(&lock);
	rc = other_log ? loglock_hold(&lock, conf->events.file, err) : 0;
	loglock_done(&lock);
	if (rc < 0)
		return rc;
	trial = sender_new(&o, err);
	if (!trial)
		return -err->code;
	sender_free(trial);
	return couriers_try(&(struct couriers_options){.loop = d->loop, .conf = conf}, err);
}

/* No more is begun; what is on its way may finish. */
static void drain(struct dispatcher *d)
{
	reload_drain(&d->reload, clock_mono_us() + STOP_WAIT_US);
	jobwatch_stop(d->jobwatch);
	sender_stop(d->sender);
	couriers_stop(d->couriers);
}

static void on_configured(struct dispatcher *d, const struct wire_configured *m)
{
	struct reload *r = &d->reload;
	struct err err = ERR_INIT;
	int rc;

	if (r->phase != RELOAD_RECEIVING)
		return;
	rc = d->stopping || d->broken
		     ? err_set(&err, ERR_SYSTEM, EBUSY, "the service is stopping, or its ledger failing")
		     : configure_check(r->conf, &r->mistakes, &err);
	if (rc == 0)
		rc = jobwatch_recall(r->conf, d->ledger, &err);
	if (rc == 0 && !confined_suits(d->confined, r->conf)) {
		reload_take_end(r, m);
		reload_try(r);
		return;
	}
	if (rc == 0)
		rc = try_configuration(
			d, r->conf, strcmp(r->conf->events.file, d->conf->events.file) != 0, &err);
	if (rc < 0) {
		reload_refuse(r, err.text);
		return;
	}
	reload_take_end(r, m);
	drain(d);
}

static void on_reloaded(struct dispatcher *d, const struct wire_reloaded *m)
{
	if (d->reload.phase != RELOAD_TRYING)
		reload_begin(&d->reload, m);
	else if (reload_tried(&d->reload, m))
		drain(d);
}

/* ---- the keeper ---- */

/* Its watcher waits for that. */
static void on_known(const char *watch, void *arg)
{
	const struct dispatcher *d = arg;
	const struct wire_restart m = {.name = watch};

	if (wire_send_wait(d->keeper_fd, WIRE_RESTART, &m, NULL, 0) < 0)
		trace(TRACE_PROCESS, "the keeper does not listen any more");
}

/* Nothing is asked in a dry run: watchers do not wait for it. */
static void let_all_start(struct dispatcher *d)
{
	for (size_t i = 0; i < d->conf->watches_n; i++)
		if (d->conf->watches[i]->job_name)
			on_known(d->conf->watches[i]->name, d);
}

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
		watches_attach(&d->watches, m);
	else if (m->type == WIRE_DETACH)
		watches_gone(&d->watches, m->as.detach.name);
	else if (m->type == WIRE_STOP)
		stop(d);
	else if (m->type == WIRE_PING && d->page)
		__atomic_add_fetch(&d->page->progress, 1, __ATOMIC_RELAXED);
	else if (m->type == WIRE_REOPEN && d->outbox)
		outbox_reopen(d->outbox);
	else if (m->type == WIRE_RELOADED)
		on_reloaded(d, &m->as.reloaded);
	else if (m->type == WIRE_CONFIGURE)
		reload_set(&d->reload, &m->as.configure);
	else if (m->type == WIRE_CONFIGURED)
		on_configured(d, &m->as.configured);
	wire_message_close(m);
}

/* ---- telling the keeper ---- */

/* Its watcher is not started, because its job is not known. */
static struct jobwatch_view job_of(const struct dispatcher *d, size_t i)
{
	struct jobwatch_view view = {.waits = false};

	if (d->jobwatch)
		jobwatch_view(d->jobwatch, i, &view);
	return view;
}

static int64_t send_state(struct dispatcher *d, int64_t now_us)
{
	struct readiness_view v = {.watches = &d->watches,
		.jobwatch = d->jobwatch,
		.expected = d->as.watches,
		.ledger_fails = d->broken,
		.log_fails = d->outbox && outbox_is_failing(d->outbox)};

	if (d->sender)
		v.counts = sender_counts(d->sender);
	return readiness_tell(&d->readiness, &v, now_us);
}

/* ---- a round: apply ---- */

static int apply_service(struct dispatcher *d, enum event_type type, struct err *err)
{
	struct sender_counts c = {.started = 0};
	struct event_service x = {
		.version = BW_VERSION, .configuration = d->as.hash, .watches = d->as.watches};
	int rc = ledger_count(d->ledger, LEDGER_PENDING, &x.pending, err);

	if (d->sender)
		c = sender_counts(d->sender);
	x.started = c.started;
	x.failed = c.failed + d->watches.failed;
	x.rejected = d->watches.rejected;
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

static int apply(struct dispatcher *d, struct err *err)
{
	int rc = ledger_begin(d->ledger, err); /* also for reading: each question alone would lock the file */

	if (rc == 0 && d->outbox)
		rc = outbox_apply(d->outbox, err);
	if (rc == 0 && d->service_started)
		rc = apply_service(d, EVENT_SERVICE_STARTED, err);
	if (rc == 0 && d->reload.phase == RELOAD_DONE)
		rc = apply_reload(d, err);
	if (rc == 0 && d->jobwatch)
		rc = jobwatch_apply(d->jobwatch, err);
	if (rc == 0)
		rc = facts_apply(&d->watches, &d->scratch, err);
	if (rc == 0)
		rc = intake_apply(d->intake, clock_wall_us(), err);
	if (rc == 0)
		rc = stalls_apply(&d->watches, &d->scribe, err);
	if (rc == 0 && d->control)
		rc = control_apply(d->control, err);
	if (rc == 0 && d->sender)
		rc = sender_apply(d->sender, err);
	if (rc == 0 && d->couriers) /* the last: with the events of all others */
		rc = couriers_apply(d->couriers, err);
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
	facts_undo(&d->watches);
	if (d->control)
		control_undo(d->control);
	if (d->sender)
		sender_undo(d->sender);
	if (d->outbox)
		outbox_undo(d->outbox);
	if (d->couriers)
		couriers_undo(d->couriers);
}

static void fail_round(struct dispatcher *d, const struct err *err)
{
	undo(d);
	if (!d->broken)
		log_error("%s; nothing more is accepted or sent until the ledger can be written again",
			err->text);
	metrics_touch(d->metrics);
	d->broken = true;
	(void)snprintf(d->broken_why, sizeof(d->broken_why), "%s", err->text);
	watches_set_reading(&d->watches, false);
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
	watches_set_reading(&d->watches, true);
}

/* ---- a round: act ---- */

static void act(struct dispatcher *d)
{
	d->service_started = false;
	intake_committed(d->intake);
	if (d->reload.phase == RELOAD_DONE)
		reload_end(&d->reload, EXIT_DONE, "");
	if (d->outbox)
		outbox_committed(d->outbox);
	if (d->jobwatch)
		d->watches.failed += jobwatch_committed(d->jobwatch);
	facts_act(&d->watches);
	stalls_act(&d->watches);
	if (d->as.dry)
		(void)fflush(stdout);
	CRASH_POINT("dispatcher-between-acts");
	if (d->control)
		control_committed(d->control);
	if (d->sender)
		sender_committed(d->sender);
	if (d->couriers)
		couriers_committed(d->couriers);
	if (d->sender && d->page)
		__atomic_store_n(&d->page->runs, sender_counts(d->sender).started, __ATOMIC_RELEASE);
	for (size_t i = 0; i < d->conf->watches_n; i++) {
		moved_ask(d->watches.moved, &d->watches.items[i].peer, d->watches.items[i].confirm);
		intake_ask(d->intake, d->conf->watches[i], d->watches.items[i].confirm);
		confirm_flush(d->watches.items[i].confirm);
	}
	if (d->outbox)
		outbox_flush(d->outbox);
	metrics_touch(d->metrics);
}

/* ---- when it is over ---- */

static bool watchers_are_done(const struct dispatcher *d)
{
	int64_t done = 0;

	for (size_t i = 0; i < d->conf->watches_n; i++)
		done += d->watches.items[i].is_done || job_of(d, i).given_up;
	return done >= d->as.watches;
}

static bool scan_is_over(const struct dispatcher *d, int64_t now_us)
{
	struct sender_counts c = {.started = 0};

	if (d->as.mode != WIRE_MODE_SCAN)
		return false;
	if (d->as.wait_us > 0 && now_us >= d->started_us + d->as.wait_us)
		return true;
	if (!watchers_are_done(d) || !list_is_empty(&d->watches.facts) || !moved_is_empty(d->watches.moved))
		return false;
	if (d->sender)
		c = sender_counts(d->sender);
	return c.in_flight == 0 && c.pending <= c.given_up;
}

/* For so long must stay unchanged what a listing finds. */
static int64_t scan_needs_us(const struct watch_state *w)
{
	const struct conf_watch *conf = w->peer.watch;
	int64_t looks_us = strcmp(w->peer.method, "poll") == 0 ? 2 * conf->poll_interval_us : 0;

	return conf->settle_quiet_us > looks_us ? conf->settle_quiet_us : looks_us;
}

/* Some files are left: were they given a chance? Whoever scans with too little patience would never start
 * anything, and is told by the exit status. */
static int tell_left(const struct dispatcher *d, const struct watch_state *w)
{
	char needed[CLOCK_TEXT_BYTES], wait[CLOCK_TEXT_BYTES];
	int64_t needs_us = scan_needs_us(w);

	if (d->as.wait_us == 0 || d->as.wait_us > needs_us) {
		log_warning("watch %s: some files were not complete yet and are left for the next scan",
			w->peer.watch->name);
		return EXIT_DONE;
	}
	log_error("watch %s: some files are left: what a listing finds must stay unchanged for %s (settle), "
		  "and --wait %s is no longer than that",
		w->peer.watch->name, clock_format_span(needs_us, needed),
		clock_format_span(d->as.wait_us, wait));
	return EXIT_FAILED;
}

/* What was not looked at would be started, or not: nobody can say. */
static int dry_status(const struct dispatcher *d)
{
	for (size_t i = 0; i < d->conf->watches_n; i++)
		if (d->watches.items[i].lost)
			return EXIT_FAILED;
	return EXIT_DONE;
}

static int scan_status(const struct dispatcher *d)
{
	struct sender_counts c = {.started = 0};
	int status = EXIT_DONE;
	bool unreachable = false;

	if (d->as.dry)
		return dry_status(d);
	if (d->sender)
		c = sender_counts(d->sender);
	for (size_t i = 0; i < d->conf->watches_n; i++) {
		const struct watch_state *w = &d->watches.items[i];
		struct jobwatch_view job = job_of(d, i);

		if (job.waits) {
			log_error("watch %s was not scanned: its job is not known", w->peer.watch->name);
			unreachable |= job.unreachable || !job.asked;
			status = EXIT_FAILED;
		}
		if (w->lost)
			status = EXIT_FAILED; /* its folder is missing, which was said */
		if (!w->ever_attached || w->is_done || w->lost)
			continue;
		if (w->scanned) {
			if (tell_left(d, w) != EXIT_DONE)
				status = EXIT_FAILED;
			continue;
		}
		log_error("watch %s could not be listed", w->peer.watch->name);
		status = EXIT_FAILED;
	}
	if (d->watches.failed + c.failed > 0)
		status = EXIT_FAILED;
	if (c.pending + c.stranded > 0) {
		log_error("%" PRId64 " file%s could not be sent; %s in the ledger for the next scan",
			c.pending + c.stranded, c.pending + c.stranded == 1 ? "" : "s",
			c.pending + c.stranded == 1 ? "it stays" : "they stay");
		unreachable = true;
	}
	return unreachable ? EXIT_UNREACHABLE : status;
}

/* The last things to write, while the ledger lets us. */
static void finish(struct dispatcher *d)
{
	struct err err = ERR_INIT;
	int rc = 0;

	if (!d->outbox || d->broken)
		return;
	if (d->as.mode == WIRE_MODE_RUN)
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
	return list_is_empty(&d->watches.facts) && (!d->sender || sender_counts(d->sender).in_flight == 0) &&
	       (!d->couriers || !couriers_are_busy(d->couriers));
}

static void set_wake(struct dispatcher *d, int64_t at_us)
{
	if (d->broken && d->retry_at_us < at_us)
		at_us = d->retry_at_us;
	if (!d->broken && intake_due_us(d->intake) < at_us)
		at_us = intake_due_us(d->intake);
	if (d->look_at_us < at_us)
		at_us = d->look_at_us;
	if (d->stopping && d->stop_by_us < at_us)
		at_us = d->stop_by_us;
	if (d->reload.phase == RELOAD_DRAINING && d->reload.by_us < at_us)
		at_us = d->reload.by_us;
	if (d->leave_by_us > 0 && d->leave_by_us < at_us)
		at_us = d->leave_by_us;
	if (d->as.mode == WIRE_MODE_SCAN && !d->stopping && d->as.wait_us > 0 &&
		d->started_us + d->as.wait_us < at_us)
		at_us = d->started_us + d->as.wait_us;
	if (at_us == INT64_MAX)
		loop_timer_clear(d->wake);
	else
		loop_timer_set(d->wake, at_us);
}

static bool has_work(const struct dispatcher *d)
{
	return d->service_started || d->reload.phase == RELOAD_DONE || facts_are_there(&d->watches) ||
	       stalls_have_work(&d->watches) || intake_due_us(d->intake) <= clock_mono_us() ||
	       (d->jobwatch && jobwatch_has_work(d->jobwatch)) ||
	       (d->control && control_has_work(d->control)) || (d->sender && sender_has_work(d->sender)) ||
	       (d->couriers && couriers_have_work(d->couriers)) ||
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
	int rc = renew_waiting(d->conf, d->ledger, &d->scribe, d->as.hash, &n, err);

	if (rc == 0 && n.renewed > 0)
		log_info("the configuration was changed: %" PRId64 " waiting requests were made anew",
			n.renewed);
	if (rc == 0 && n.held > 0)
		log_warning("%" PRId64
			    " waiting files are held: their watch is not configured any more, or no request "
			    "can be made for them; they go on when the configuration lets them",
			n.held);
	if (rc == 0 && n.back > 0)
		log_info("%" PRId64 " files that were held go on: the configuration has a way for them again",
			n.back);
	return rc;
}

static int start_jobwatch(struct dispatcher *d, struct err *err)
{
	const struct jobwatch_options o = {
		.loop = d->loop,
		.conf = d->conf,
		.hash = d->as.hash,
		.ledger = d->ledger,
		.scribe = &d->scribe,
		.sender = d->sender,
		.only_watch = d->as.only_watch,
		.known = on_known,
		.arg = d,
	};

	d->jobwatch = jobwatch_new(&o, err);
	return d->jobwatch ? 0 : -err->code;
}

static void start_couriers(struct dispatcher *d)
{
	const struct couriers_options o = {
		.loop = d->loop,
		.conf = d->conf,
		.ledger = d->ledger,
		.scribe = &d->scribe,
		.once = d->as.mode == WIRE_MODE_SCAN,
	};

	d->couriers = couriers_new(&o);
}

static void on_started(const char *watch, int64_t latency_us, void *arg)
{
	metrics_started(((struct dispatcher *)arg)->metrics, watch, latency_us);
}

static int start_sender(struct dispatcher *d, struct err *err)
{
	struct sender_options o = {
		.loop = d->loop,
		.conf = d->conf,
		.ledger = d->ledger,
		.scribe = &d->scribe,
		.only_watch = d->as.only_watch,
		.asker = {.may_ask = watches_may_ask, .ask = watches_ask, .arg = &d->watches},
		.started = d->carried.started,
		.failed = d->carried.failed,
		.on_started = on_started,
		.on_started_arg = d,
	};
	int rc;

	d->sender = sender_new(&o, err);
	if (!d->sender)
		return -err->code;
	rc = start_jobwatch(d, err);
	if (rc == 0)
		start_couriers(d);
	return rc;
}

static struct desk_watch *lend_watch(struct desk *desk, size_t i)
{
	return watches_lend(&LIST_OF(desk, struct dispatcher, desk)->watches, i);
}

static int ask_reload(struct desk *desk, const struct control_request *request)
{
	return reload_ask(&LIST_OF(desk, struct dispatcher, desk)->reload, request);
}

static bool is_ledger_failing(struct desk *desk)
{
	return LIST_OF(desk, struct dispatcher, desk)->broken;
}

/* An idle service commits nothing, so this looks by itself whether the file is still there. */
static const char *tell_ledger_trouble(struct desk *desk)
{
	struct dispatcher *d = LIST_OF(desk, struct dispatcher, desk);
	struct err err = ERR_INIT;

	if (!d->broken && ledger_check_place(d->ledger, &err) == 0)
		return NULL;
	if (!d->broken)
		(void)snprintf(d->broken_why, sizeof(d->broken_why), "%s", err.text);
	return d->broken_why;
}

static void fill_desk(struct dispatcher *d)
{
	d->desk.conf = d->conf;
	d->desk.ledger = d->ledger;
	d->desk.scribe = &d->scribe;
	d->desk.sender = d->sender;
	d->desk.jobwatch = d->jobwatch;
	d->desk.intake = d->intake;
	d->desk.outbox = d->outbox;
	d->desk.couriers = d->couriers;
	d->desk.control = d->control;
	d->desk.hash = d->as.hash;
	d->desk.watch = lend_watch;
	d->desk.ledger_is_failing = is_ledger_failing;
	d->desk.ledger_trouble = tell_ledger_trouble;
	d->desk.reload = ask_reload;
}

/* ---- taking over a new configuration ---- */

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
	CRASH_POINT("dispatcher-reloading");
	reload_tell_keeper(&d->reload, 0); /* before links end, so that it knows why */
	CRASH_POINT("dispatcher-reload-told");
	watches_forget_questions(&d->watches); /* who has asked is no more */
	d->carried = sender_counts(d->sender);
	sender_free(d->sender);
	jobwatch_free(d->jobwatch);
	couriers_free(d->couriers);
	outbox_free(d->outbox);
	intake = intake_new(r->conf, d->ledger, d->behind, &d->scribe, d->as.dry);
	intake_carry(intake, d->intake);
	intake_free(d->intake);
	d->desk.intake = d->intake = intake;
	d->desk.sender = d->sender = NULL; /* until fill_desk */
	d->desk.jobwatch = d->jobwatch = NULL;
	d->desk.couriers = d->couriers = NULL;
	d->outbox = NULL;
	watches_replace(&d->watches, r->conf);
	conf_free(d->conf);
	d->conf = r->conf;
	r->conf = NULL;
	scribe_set_consumers(&d->scribe, d->conf);
	free(d->as.hash);
	d->as.hash = r->hash;
	r->hash = NULL;
	d->as.watches = r->watches;
	trace_set_up((enum log_level)d->conf->service.log_level, d->conf->service.trace);
	statedir_make_log(d->conf->events.file);
	d->outbox = outbox_new(d->loop, d->ledger, &d->conf->events,
		d->conf->service.durability == CONF_DURABILITY_POWER, d->page);
	rc = jobwatch_recall(d->conf, d->ledger, err);
	if (rc == 0)
		rc = renew(d, err);
	if (rc == 0)
		rc = start_sender(d, err);
	for (size_t i = 0; rc == 0 && i < d->conf->watches_n; i++)
		if (d->watches.items[i].link)
			sender_may_ask(d->sender, d->conf->watches[i]->name);
	fill_desk(d);
	metrics_reloaded(d->metrics);
	return rc;
}

/* Has all that was on its way come to its end, or waited long enough? */
static bool is_drained(const struct dispatcher *d, int64_t now_us)
{
	return d->reload.phase == RELOAD_DRAINING && !d->broken && list_is_empty(&d->watches.facts) &&
	       ((sender_counts(d->sender).in_flight == 0 && !couriers_are_busy(d->couriers)) ||
		       now_us >= d->reload.by_us);
}

/* For another process to take over. It looks for lines that are written in its own log, which may be another
 * one: so none may be left over. */
static void leave(struct dispatcher *d)
{
	struct err err = ERR_INIT;

	if (d->outbox && !d->broken && settle_outbox(d, &err) < 0)
		log_error("%s; the next dispatcher looks what is in the log", err.text);
	CRASH_POINT("dispatcher-leaving");
	if (d->control)
		control_leave(d->control);
	end(d, WIRE_EXIT_AGAIN);
}

/*
 * The next dispatcher works with the new configuration: the keeper starts it when this one has ended. All
 * that is left to do here is in the ledger (lines of events included), but the answer to who has asked.
 */
static void hand_over(struct dispatcher *d, int64_t now_us)
{
	CRASH_POINT("dispatcher-handing-over");
	reload_tell_keeper(&d->reload, 0);
	CRASH_POINT("dispatcher-handed-over");
	metrics_leave(d->metrics, d->reload.conf->service.metrics_file);
	log_info("the configuration was reloaded; it needs other files, so a new dispatcher takes over");
	free(d->as.hash);
	d->as.hash = d->reload.hash;
	d->reload.hash = NULL;
	d->as.watches = d->reload.watches;
	d->desk.hash = d->as.hash;
	d->reload.phase = RELOAD_DONE;
	d->leave_by_us = now_us + LEAVE_WAIT_US;
	work(d);
}

static void leave_if_answered(struct dispatcher *d, int64_t now_us)
{
	if (d->leave_by_us > 0 && d->reload.phase == RELOAD_NONE &&
		(now_us >= d->leave_by_us || !d->control || !control_owes(d->control)))
		leave(d);
}

/* A log or a token in a directory that has taken the place of the one that this process may open. */
static void leave_if_moved(struct dispatcher *d, int64_t now_us)
{
	const char *path = confined_moved(d->confined, now_us);

	if (!path || d->leave_by_us > 0)
		return;
	log_info(
		"%s leads elsewhere than at the start; a new dispatcher takes over, which may open it", path);
	leave(d);
}

static void reload_if_drained(struct dispatcher *d, int64_t now_us)
{
	struct err err = ERR_INIT;

	if (!is_drained(d, now_us))
		return;
	if (d->reload.anew) {
		hand_over(d, now_us);
		return;
	}
	if (take_over(d, &err) < 0) {
		/* the keeper starts the next dispatcher, which reads the ledger as it is */
		log_error("the new configuration cannot be taken over: %s; ending", err.text);
		if (d->control)
			control_leave(d->control);
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
	d->look_at_us = stalls_look(&d->watches, now_us);
	if ((!d->broken || now_us >= d->retry_at_us) && (d->broken || has_work(d)))
		work(d);
	if (!d->stopping && scan_is_over(d, now_us))
		stop(d);
	if (!d->stopping && !d->ended)
		reload_if_drained(d, now_us);
	if (!d->stopping && !d->ended)
		leave_if_answered(d, now_us);
	if (!d->stopping && !d->ended)
		leave_if_moved(d, now_us);
	if (d->ended)
		return;
	if (is_finished(d, now_us)) {
		finish(d);
		metrics_stop(d->metrics);
		end(d, d->as.mode == WIRE_MODE_SCAN ? scan_status(d) : EXIT_DONE);
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

	d->desk.started_us = d->as.started_us > 0 ? d->as.started_us : clock_wall_us();
	d->control = control_new(&o, &err);
	if (!d->control)
		log_warning("%s; going on without: status and the other verbs that ask the service will not "
			    "work",
			err.text);
}

static int set_up(struct dispatcher *d, struct err *err)
{
	int rc;

	d->loop = loop_new(err);
	if (!d->loop)
		return -err->code;
	d->wake = loop_timer_add(d->loop, on_wake, d);
	watches_init(&d->watches, d->loop, d->conf, &d->desk, &d->in);
	reload_init(&d->reload, d->keeper_fd, &d->desk);
	d->carried.started = d->as.runs_started;
	rc = d->as.dry ? open_dry_state(d, err) : open_state(d, err);
	if (rc == 0 && !d->as.dry)
		rc = renew(d, err);
	if (rc == 0 && !d->as.dry)
		rc = start_sender(d, err);
	if (rc < 0)
		return rc;
	d->intake = intake_new(d->conf, d->ledger, d->behind, &d->scribe, d->as.dry);
	d->service_started = d->as.mode == WIRE_MODE_RUN && !d->as.dry;
	d->started_us = clock_mono_us();
	readiness_init(&d->readiness, d->keeper_fd, d->started_us);
	if (d->as.mode == WIRE_MODE_RUN && !d->as.dry)
		start_control(d);
	fill_desk(d);
	if (d->as.mode == WIRE_MODE_RUN && !d->as.dry)
		d->metrics = metrics_new(d->loop, &d->desk, d->page);
	d->keeper_io = loop_io_add(d->loop, d->keeper_fd, LOOP_IN, on_keeper, d, err);
	if (!d->keeper_io)
		return -err->code;
	d->confined = confined_raise(d->conf);
	loop_prepare_add(d->loop, on_round, d);
	if (d->as.dry)
		let_all_start(d);
	return 0;
}

static void tear_down(struct dispatcher *d)
{
	metrics_free(d->metrics);
	d->metrics = NULL;
	control_free(d->control);
	d->control = d->desk.control = NULL;
	watches_done(&d->watches);
	sender_free(d->sender);
	jobwatch_free(d->jobwatch);
	couriers_free(d->couriers);
	outbox_free(d->outbox);
	intake_free(d->intake);
	if (d->ledger)
		scribe_done(&d->scribe);
	ledger_close(d->ledger);
	ledger_close(d->behind);
	loop_io_remove(d->keeper_io);
	loop_timer_remove(d->wake);
	loop_free(d->loop);
	configured_done(&d->as);
	readiness_done(&d->readiness);
	free(d->desk.reload_text);
	reload_done(&d->reload);
	confined_free(d->confined);
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

static int receive_configuration(struct dispatcher *d, struct err *err)
{
	d->conf = conf_new();
	return configure_receive(d->keeper_fd, &d->in, d->conf, &d->as, err);
}

/* A process that only says whether the configuration can be worked with: it touches no ledger, and starts
 * before it is confined like the dispatcher that would work with it. */
static int try_alone(struct dispatcher *d)
{
	struct err err = ERR_INIT;
	struct wire_reloaded m = {.text = err.text};
	int rc;

	d->loop = loop_new(&err);
	rc = d->loop ? ledger_open_memory(&d->ledger, &err) : -err.code;
	if (rc == 0) {
		scribe_init(&d->scribe, d->ledger, true);
		rc = try_configuration(d, d->conf, d->as.mode == WIRE_MODE_TRY_LOG, &err);
	}
	m.status = rc == 0 ? EXIT_DONE : EXIT_CONFIGURATION;
	if (wire_send_wait(d->keeper_fd, WIRE_RELOADED, &m, NULL, 0) < 0)
		return EXIT_FAILED;
	return EXIT_DONE;
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
	trace_set_up((enum log_level)d->conf->service.log_level, d->conf->service.trace);
	if (d->as.mode == WIRE_MODE_TRY || d->as.mode == WIRE_MODE_TRY_LOG)
		return try_alone(d);
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
