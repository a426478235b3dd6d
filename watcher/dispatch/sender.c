/*
 * sender: a row's way is chosen -> (commit) -> out -> answered -> (commit) -> gone. A `slot` is a row on that
 * way; there are at most as many as requests may be on their way. The parts that do the work are listed in
 * dispatch/lanes.h; here they are put in order, and requests go out.
 */
#include "dispatch/sender.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/trace.h"
#include "core/backoff.h"
#include "core/request.h"
#include "dispatch/answered.h"
#include "dispatch/choice.h"
#include "dispatch/hold.h"
#include "dispatch/inquire.h"
#include "dispatch/lanes.h"
#include "dispatch/suspend.h"

#define LOOK_EVERY_US                                                                                        \
	(50 * US_PER_MS) /* runs/get: 20 a second of the 100 that the workspace allows everyone */
#define GIVE_UP_AFTER 3	 /* probes without success: enough for a scan to end */

/* ---- runs that may have been skipped ---- */

static bool may_look(const struct lane *lane, int64_t now_us)
{
	return lane->pause.failures == 0 && !lane->sender->stopping && now_us >= lane->look_us;
}

/* Monotonic: when there is something to do about them. */
static int64_t look_time(const struct lane *lane)
{
	int64_t at_us = verify_time(lane->verify);

	if (verify_is_answered(lane->verify))
		return 0;
	if (at_us == INT64_MAX || lane->pause.failures > 0 || lane->sender->stopping)
		return INT64_MAX;
	at_us = at_us > 0 ? lanes_mono_us(lane->sender, at_us) : 0;
	return at_us > lane->look_us ? at_us : lane->look_us;
}

static int64_t looks_time(const struct sender *s)
{
	int64_t at_us = INT64_MAX;

	for (size_t i = 0; i < s->lanes_n; i++) {
		int64_t lane_us = look_time(s->lanes[i]);

		at_us = lane_us < at_us ? lane_us : at_us;
	}
	return at_us;
}

static int apply_looks(struct sender *s, int64_t now_us, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->lanes_n && rc == 0; i++) {
		struct lane *lane = s->lanes[i];
		struct verify_news news;
		const struct conf_watch *w;

		rc = verify_apply(lane->verify, may_look(lane, now_us), lanes_wall_us(s, now_us), err);
		news = verify_news(lane->verify);
		w = news.watch && !news.pending ? conf_watch_find(s->conf, news.watch) : NULL;
		if (rc == 0 && w && w->on_failure == CONF_FAIL_PAUSE)
			rc = suspend_watch(s, w->name, "a run could not be started again", err);
	}
	return rc;
}

static void on_look(void *tag, const struct jobs_run *run, void *arg)
{
	struct lane *lane = tag;

	(void)arg;
	verify_answered(lane->verify, run);
}

static void look(struct lane *lane, int64_t run_id)
{
	struct err err = ERR_INIT;
	struct jobs_run failed = {.kind = OUTCOME_RETRY, .code = "", .message = err.text};

	lane->look_us = clock_mono_us() + LOOK_EVERY_US;
	if (jobs_get_run(lane->jobs, run_id, on_look, lane, NULL, &err) < 0)
		verify_answered(lane->verify, &failed);
}

static void close_looks(struct sender *s)
{
	for (size_t i = 0; i < s->lanes_n; i++) {
		struct verify_news news = verify_news(s->lanes[i]->verify);
		int64_t run_id = verify_committed(s->lanes[i]->verify);

		if (news.watch && news.pending)
			sender_accepted(s, news.watch);
		else if (news.watch)
			s->failed++;
		if (run_id > 0)
			look(s->lanes[i], run_id);
	}
}

/* ---- waking up in time ---- */

static void set_timer(struct sender *s)
{
	int64_t rows_us = choice_time(s, clock_mono_us());
	int64_t looks_us = s->stopping ? INT64_MAX : looks_time(s);
	int64_t at_us = rows_us < looks_us ? rows_us : looks_us;

	if (at_us == INT64_MAX)
		loop_timer_clear(s->timer);
	else
		loop_timer_set(s->timer, at_us);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	(void)t;
	(void)arg; /* the round that it starts is what it is for */
}

/* ---- answers ---- */

static void take_answer(struct slot *slot, const struct jobs_answer *a)
{
	trace(TRACE_SEND,
		"row %" PRId64 " of watch %s: %s, status %d %s, run %" PRId64 ", retry after %" PRId64 " ms",
		slot->id, slot->line->watch, outcome_kind_name(a->outcome.kind), a->http_status,
		a->error_code, a->run_id, a->retry_after_us / 1000);
	slot->outcome = a->outcome;
	slot->run_id = a->run_id;
	slot->http_status = a->http_status;
	slot->error_code = mem_strdup(a->error_code);
	slot->message = mem_strdup(a->message);
	slot->principal = mem_strdup(a->principal);
	slot->retry_after_us = a->retry_after_us;
	slot->answered_us = clock_mono_us();
	slot->state = SLOT_ANSWERED;
	slot->sender->answered++;
	suspend_learn(slot);
}

static void on_answer(void *tag, const struct jobs_answer *a, void *arg)
{
	struct slot *slot = tag;

	(void)arg;
	BUG_ON(slot->state != SLOT_OUT);
	CRASH_POINT("sender-answered");
	take_answer(slot, a);
}

/* ---- making ---- */

static int clamp_due(struct sender *s, struct err *err)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct ledger_line key = line_key(s->lines[i]);
		int rc = ledger_clamp_due(
			s->ledger, &key, s->wall_us, BACKOFF_RETRY_AFTER_MAX_US, VERIFY_PAUSE_MAX_US, err);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < s->lanes_n; i++) {
		int rc = ledger_clamp_verify(
			s->ledger, s->lanes[i]->conf->host_token, s->wall_us + VERIFY_LOOK_MAX_US, err);

		if (rc < 0)
			return rc;
	}
	return ledger_commit(s->ledger, err);
}

/* They stay marked, and are looked at when the workspace is configured again. */
static int say_unverified(const char *host, int64_t rows, void *arg)
{
	const struct sender *s = arg;

	if (!lanes_find_host(s, host))
		log_warning("%" PRId64
			    " started runs at %s are not looked at (whether they were skipped): no "
			    "workspace of the configuration has this host",
			rows, host);
	return 0;
}

/* What is there at the start is old, whenever it came. */
static int begin_age(struct sender *s, struct err *err)
{
	int64_t newest;
	int rc = ledger_newest_id(s->ledger, &newest, err);

	if (rc == 0)
		age_init(&s->age, newest);
	return rc;
}

int sender_doubt_all(struct sender *s, struct err *err)
{
	int rc = begin_age(s, err);

	for (size_t i = 0; rc == 0 && i < s->lines_n; i++)
		line_restart(s->lines[i]);
	return rc;
}

struct sender *sender_new(const struct sender_options *o, struct err *err)
{
	struct sender *s = mem_alloc(sizeof(*s));
	struct lanes_lining lining = {.s = s, .o = o, .err = err};

	s->loop = o->loop;
	s->conf = o->conf;
	s->ledger = o->ledger;
	s->scribe = o->scribe;
	s->wall_us = clock_wall_us();
	s->mono_us = clock_mono_us();
	list_init(&s->slots);
	s->by_id = map_new();
	s->left_out = map_new();
	s->asker = o->asker;
	s->on_started = o->on_started;
	s->on_started_arg = o->on_started_arg;
	s->started = o->started;
	s->failed = o->failed;
	s->on_answer = on_answer;
	s->timer = loop_timer_add(o->loop, on_timer, s);
	buf_init(&s->body, REQUEST_BODY_BYTES);
	if (begin_age(s, err) < 0 || lanes_add_watches(s, o, err) < 0 || suspend_recall(s, err) < 0 ||
		ledger_each_line(o->ledger, lanes_line_up, &lining, err) < 0 || clamp_due(s, err) < 0 ||
		ledger_each_verify(o->ledger, say_unverified, s, err) < 0) {
		sender_free(s);
		return NULL;
	}
	set_timer(s);
	return s;
}

void sender_free(struct sender *s)
{
	if (!s)
		return;
	lanes_done(s);
	map_free(s->by_id);
	map_free(s->left_out);
	loop_timer_remove(s->timer);
	buf_done(&s->body);
	free(s);
}

/* ---- what happens around it ---- */

void sender_look(struct sender *s, const char *watch)
{
	for (size_t i = 0; i < s->lines_n; i++)
		if (s->lines[i]->conf && strcmp(s->lines[i]->watch, watch) == 0)
			s->lines[i]->look = true;
}

void sender_accepted(struct sender *s, const char *watch)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!line->conf || strcmp(line->watch, watch) != 0)
			continue;
		line->look = true;
		line->pending++;
	}
	set_timer(s);
}

void sender_gone(struct sender *s, const char *watch, int64_t n)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (line->conf && strcmp(line->watch, watch) == 0)
			line->pending -= n;
	}
}

int sender_pause(struct sender *s, const char *watch, const char *reason, struct err *err)
{
	return suspend_watch(s, watch, reason, err);
}

void sender_set_paused(struct sender *s, const char *watch, bool paused)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		if (strcmp(s->lines[i]->watch, watch) != 0)
			continue;
		s->lines[i]->paused = paused;
		line_restart(s->lines[i]);
	}
	set_timer(s);
}

void sender_set_held(struct sender *s, const char *watch, bool held)
{
	hold_set(s, watch, held);
	set_timer(s);
}

void sender_job_refused(struct sender *s, const char *watch, const char *code, const char *text, bool probe)
{
	hold_job_refused(s, watch, code, text, probe);
	set_timer(s);
}

void sender_job_good(struct sender *s, const char *watch)
{
	hold_job_good(s, watch);
	set_timer(s);
}

void sender_job_changed(struct sender *s, const char *watch)
{
	hold_job_changed(s, watch);
	set_timer(s);
}

struct jobs *sender_jobs(const struct sender *s, const struct conf_workspace *ws, bool *ret_suspended)
{
	const struct lane *lane = lanes_find(s, ws);

	*ret_suspended = lane && lane->pause.told;
	return lane ? lane->jobs : NULL;
}

void sender_may_ask(struct sender *s, const char *watch)
{
	for (size_t i = 0; i < s->lines_n; i++)
		if (strcmp(s->lines[i]->watch, watch) == 0)
			s->lines[i]->look_old = true;
	set_timer(s);
}

void sender_confirmed(struct sender *s, const char *watch, int64_t id, enum wire_verdict verdict)
{
	bool gone = !s->asker.may_ask(watch, s->asker.arg); /* its watcher: the next one is asked */

	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		if (!line->doubt || strcmp(line->watch, watch) != 0)
			continue;
		if (gone && verdict == WIRE_UNSURE)
			doubt_forget(line->doubt, id);
		else
			doubt_answered(line->doubt, id, verdict, clock_mono_us());
		line->look_old = true;
	}
	set_timer(s);
}

void sender_released(struct sender *s, const char *watch, const char *host, int64_t rows)
{
	const struct sender_options o = {.conf = s->conf, .only_watch = ""};
	const struct conf_watch *conf = conf_watch_find(s->conf, watch);
	struct err err = ERR_INIT;
	struct lanes_lining lining = {.s = s, .o = &o, .err = &err};
	struct lane *lane = lanes_find_host(s, host);
	struct line *line;

	if (conf && conf->workspace && strcmp(conf->workspace->host_token, host) == 0)
		lane = lanes_find(s, conf->workspace);
	line = lane ? lanes_find_line(s, watch, lane) : NULL;
	if (line) {
		line_restart(line);
		line->pending += line->conf ? rows : 0;
	} else {
		(void)lanes_line_up(watch, host, rows, &lining);
	}
	set_timer(s);
}

void sender_unstranded(struct sender *s, const char *watch, const char *host, int64_t rows)
{
	lanes_strand(s, watch, host, -rows);
}

/* ---- a round ---- */

bool sender_has_work(struct sender *s)
{
	int64_t now_us = clock_mono_us();

	if (s->answered > 0 || inquire_refused(s) > 0 || suspend_has_news(s))
		return true;
	if (choice_time(s, now_us) <= now_us || looks_time(s) <= now_us)
		return true;
	set_timer(s);
	return false;
}

int sender_apply(struct sender *s, struct err *err)
{
	int64_t now_us = clock_mono_us();
	int rc = suspend_record(s, err);

	if (rc == 0)
		rc = answered_apply(s, err);
	if (rc == 0)
		rc = inquire_apply(s, err);
	if (rc == 0)
		rc = apply_looks(s, now_us, err);
	if (rc == 0)
		rc = inquire_note_ages(s, now_us, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < s->lines_n; i++)
		if (s->lines[i]->due_us <= now_us)
			s->lines[i]->look = s->lines[i]->look_old = true;
	return choice_make(s, now_us, err);
}

/* It could not even be tried to send it: as an answer that promises nothing. */
static void fail_to_send(struct slot *slot, const struct err *err)
{
	struct jobs_answer a = {
		.outcome = {.kind = OUTCOME_RETRY, .sure_not_started = true, .reason = "not_sent"},
		.error_code = "",
		.message = err->text,
		.principal = "",
	};

	take_answer(slot, &a);
}

static void send_out(struct slot *slot)
{
	struct err err = ERR_INIT;
	int rc;

	trace(TRACE_SEND, "row %" PRId64 " of watch %s goes out to %s, attempt %" PRId64, slot->id,
		slot->line->watch, slot->line->lane->conf->host_token, slot->tries + 1);
	slot->state = SLOT_OUT;
	slot->out_us = clock_mono_us();
	CRASH_POINT("sender-before-send");
	rc = jobs_run_now(slot->line->lane->jobs, slot->body, slot->len, slot, &err);
	CRASH_POINT("sender-after-send");
	free(slot->body);
	slot->body = NULL;
	if (rc < 0)
		fail_to_send(slot, &err);
}

static void close_slot(struct sender *s, struct slot *slot)
{
	answered_tell(slot);
	if (slot->gone) {
		if (slot->line->conf)
			slot->line->pending--;
		if (slot->outcome.kind == OUTCOME_STARTED)
			s->started++;
		else
			s->failed++;
		if (slot->outcome.kind == OUTCOME_STARTED && s->on_started)
			s->on_started(slot->line->watch, slot->latency_us, s->on_started_arg);
	}
	slot_free(slot);
}

void sender_committed(struct sender *s)
{
	inquire_committed(s);
	suspend_recorded(s);
	close_looks(s);
	suspend_watch_done(s, true);
	LIST_FOREACH_SAFE (it, &s->slots) {
		struct slot *slot = LIST_OF(it, struct slot, in);

		if (slot->state == SLOT_ANSWERED)
			close_slot(s, slot);
		else if (slot->state == SLOT_CHOSEN)
			send_out(slot);
	}
	set_timer(s);
}

void sender_undo(struct sender *s)
{
	suspend_watch_done(s, false);
	for (size_t i = 0; i < s->lanes_n; i++)
		verify_undo(s->lanes[i]->verify);
	LIST_FOREACH_SAFE (it, &s->slots) {
		struct slot *slot = LIST_OF(it, struct slot, in);

		slot->gone = false;
		if (slot->state == SLOT_CHOSEN)
			slot_free(slot);
	}
	for (size_t i = 0; i < s->lines_n; i++)
		line_restart(s->lines[i]);
}

void sender_stop(struct sender *s)
{
	s->stopping = true;
	loop_timer_clear(s->timer);
}

/* ---- for people ---- */

struct sender_counts sender_counts(const struct sender *s)
{
	struct sender_counts c = {.started = s->started, .failed = s->failed};

	for (size_t i = 0; i < s->lines_n; i++) {
		const struct line *line = s->lines[i];

		c.pending += line->pending;
		c.in_flight += line->out;
		if (line->paused || line->found || line->pause.failures >= GIVE_UP_AFTER ||
			line->lane->pause.failures >= GIVE_UP_AFTER ||
			(line->doubt && doubt_failures(line->doubt) >= GIVE_UP_AFTER))
			c.given_up += line->pending;
	}
	for (size_t i = 0; i < s->stranded_n; i++)
		c.stranded += s->stranded[i].rows;
	return c;
}

static void place_of_lane(const struct lane *lane, struct sender_place *ret)
{
	*ret = (struct sender_place){
		.workspace = lane->conf->name,
		.host = lane->conf->host_token,
		.in_flight = lane->out,
		.suspended = lane->pause.told || lane->pause.open,
		.why = pause_why(&lane->pause),
		.slow = pause_is_quiet(&lane->pause),
		.until_us = lane->pause.until_us,
	};
	jobs_sign_in(lane->jobs, &ret->sign_in);
}

static void place_of_line(const struct line *line, struct sender_place *ret)
{
	const struct drought *dry = &line->drought;
	bool fails = line->pending > 0 && drought_is_long(dry, clock_mono_us());

	*ret = (struct sender_place){
		.workspace = line->lane->conf->name,
		.host = line->lane->conf->host_token,
		.watch = line->watch,
		.job_id = line->conf ? line->conf->job_id : 0,
		.pending = line->pending,
		.in_flight = line->out,
		.suspended = line->pause.failures > 0 || line->pause.open || line->found,
		.why = pause_why(&line->pause) ? pause_why(&line->pause)
		       : fails		       ? dry->words
					       : NULL,
		.fails_since_us = fails ? dry->since_us : 0,
		.paused = line->paused,
		.until_us = line->pause.until_us,
	};
}

bool sender_place(const struct sender *s, size_t i, struct sender_place *ret)
{
	size_t known = s->lanes_n + s->lines_n;

	if (i < s->lanes_n)
		place_of_lane(s->lanes[i], ret);
	else if (i < known)
		place_of_line(s->lines[i - s->lanes_n], ret);
	else if (i - known < s->stranded_n)
		*ret = (struct sender_place){.watch = s->stranded[i - known].watch,
			.host = s->stranded[i - known].host,
			.pending = s->stranded[i - known].rows,
			.stranded = true};
	else
		return false;
	return true;
}
