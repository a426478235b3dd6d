/*
 * A courier is idle, has a delivery under way, or waits: for its back-off after a failure, or for the time in
 * which a digest is gathered.
 *
 * Everything that a transaction decides is in its plan, made anew from what was committed before; so it can
 * be tried again as it is when the transaction fails. Only after the commit is the plan carried out.
 *
 * Rejected: a shared queue with a position for each consumer. The slowest would keep the lines of all.
 */
#include "dispatch/courier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "core/backoff.h"
#include "core/notice.h"
#include "dispatch/mail.h"
#include "dispatch/notices.h"
#include "dispatch/webhook.h"

#define BOUND_STEP                                                                                           \
	1000 /* given up at once beyond NOTICE_WAITING_MAX, so that it is not one event for each             \
	      */

#define SET_UP_AGAIN_US (60 * US_PER_S) /* while nothing waits for one that lacks a file */

struct plan {
	bool made;
	struct notices_consumer row; /* what will be after the commit */
	bool takes_answer;
	bool sends;
	bool again;	  /* something was set right: look once more in the next round */
	int64_t until_us; /* monotonic: nothing goes out before */
	int64_t wait_us;  /* monotonic: look again then; 0: no need */
	int64_t fails_since_us;
	bool fixes; /* a new parcel … */
	enum notice_step step;
	int64_t step_waiting;
	int64_t gives_up;		    /* so many … */
	char why[COURIER_WORDS_BYTES + 64]; /* … for that */
	struct notices_row first, last;	    /* of the parcel */
	int64_t events;
};

struct courier {
	struct couriers *all;
	const struct conf_notify *conf;
	const struct courier_way *way;
	void *object; /* NULL: it could not be made yet, for want of a file */
	struct loop_timer *timer;
	struct notices_consumer row; /* as it was committed last */
	struct notice_pace pace;
	bool look; /* there may be something to do */
	bool under_way, answered;
	struct courier_answer answer; /* its words are `words` */
	char words[COURIER_WORDS_BYTES];
	int64_t attempts;		  /* in a row that failed */
	int64_t refusals;		  /* of the parcel in hand */
	int64_t fails_since_us, until_us; /* monotonic, 0: no */
	struct buf line, text;		  /* of the parcel that goes out */
	struct plan plan;
};

struct couriers {
	struct couriers_options o;
	struct courier *items;
	size_t n;
	uint64_t seen;	/* scribe->notices, when they were looked at */
	bool strangers; /* notices may be there for consumers that are not configured */
	bool stopped;
};

static const struct courier_way *way_of(const struct couriers_options *o, const struct conf_notify *n)
{
	if (o->way)
		return o->way;
	return n->webhook ? &webhook_way : &mail_way;
}

/* ---- giving up ---- */

/* The notices through seq, with one event for all. */
static int give_up(struct courier *c, int64_t through, const char *why, struct err *err)
{
	const struct notices_removal r = {.through = through, .ends_parcel = true};
	struct event_notify x = {.consumer = c->conf->name, .detail = why};
	struct notices_row first = {.id = ""}, last = {.id = ""};
	int rc = notices_next(c->all->o.ledger, c->conf->name, 0, &first, &c->line, err);

	if (rc > 0)
		rc = notices_next(c->all->o.ledger, c->conf->name, through - 1, &last, &c->line, err);
	if (rc < 0 && rc != -EBADMSG) /* a damaged one goes, too */
		return rc;
	rc = notices_remove(c->all->o.ledger, c->conf->name, &r, &x.count, err);
	if (rc < 0 || x.count == 0)
		return rc;
	x.first_id = first.id;
	x.last_id = last.id;
	c->plan.gives_up += x.count;
	c->plan.row.waiting -= x.count;
	c->plan.row.dropped += x.count;
	c->plan.row.through = 0;
	(void)snprintf(c->plan.why, sizeof(c->plan.why), "%s", why);
	return scribe_notify_dropped(c->all->o.scribe, &x, clock_wall_us(), err);
}

/* ---- apply: the answer ---- */

static uint64_t random_bits(void)
{
	uint64_t v;

	/* up to 256 bytes come whole and without waiting once the system is up (getrandom(2)) */
	BUG_ON(getrandom(&v, sizeof(v), 0) != (ssize_t)sizeof(v));
	return v;
}

static int apply_delivered(struct courier *c, struct err *err)
{
	const struct notices_removal r = {.through = c->plan.row.through,
		.delivered = true,
		.ends_parcel = true,
		.now_us = clock_wall_us()};
	int64_t n;
	int rc = notices_remove(c->all->o.ledger, c->conf->name, &r, &n, err);

	CRASH_POINT("courier-delivered");
	if (rc < 0)
		return rc;
	c->plan.row.waiting -= n;
	c->plan.row.delivered += n;
	c->plan.row.delivered_us = r.now_us;
	c->plan.row.through = 0;
	c->plan.until_us = c->plan.fails_since_us = 0;
	return 0;
}

static int apply_failed(struct courier *c, int64_t now_us, struct err *err)
{
	unsigned failures = c->attempts < 64 ? (unsigned)c->attempts + 1 : 64;

	if (c->plan.fails_since_us == 0)
		c->plan.fails_since_us = now_us;
	c->plan.until_us = now_us + backoff_delay_us(failures, c->answer.retry_after_us, random_bits());
	if (c->answer.verdict != COURIER_REFUSED || c->refusals + 1 < NOTICE_REFUSALS_MAX)
		return 0;
	c->plan.until_us = 0; /* it answers: those behind this one need not wait */
	return give_up(c, c->plan.row.through, c->words, err);
}

static int apply_answer(struct courier *c, int64_t now_us, struct err *err)
{
	c->plan.takes_answer = true;
	return c->answer.verdict == COURIER_DELIVERED ? apply_delivered(c, err)
						      : apply_failed(c, now_us, err);
}

/* ---- apply: what waits too long, or is too much ---- */

static int apply_late(struct courier *c, int64_t now_us, struct err *err)
{
	char span[CLOCK_TEXT_BYTES], why[COURIER_WORDS_BYTES + 64];
	int64_t before_us, through, most;
	int rc;

	/* only behind one that was tried: those that are gathered for a digest were not */
	if (c->plan.fails_since_us == 0 || c->plan.row.through == 0 || c->plan.row.waiting == 0 ||
		!notice_late_before(
			c->conf->retry_for_us, now_us - c->plan.fails_since_us, clock_wall_us(), &before_us))
		return 0;
	rc = notices_late(c->all->o.ledger, c->conf->name, before_us, &through, err);
	if (rc <= 0)
		return rc;
	rc = notices_nth(c->all->o.ledger, c->conf->name, NOTICE_DIGEST_MAX, &most, err);
	if (rc < 0)
		return rc;
	if (rc > 0 && most < through) { /* the others in the next round */
		through = most;
		c->plan.again = true;
	}
	(void)snprintf(why, sizeof(why), "not delivered within %s: %s",
		clock_format_span(c->conf->retry_for_us, span), c->words);
	return give_up(c, through, why, err);
}

static int apply_bound(struct courier *c, struct err *err)
{
	int64_t through, more = c->plan.row.waiting - NOTICE_WAITING_MAX;
	int rc;

	if (more <= 0)
		return 0;
	rc = notices_nth(
		c->all->o.ledger, c->conf->name, more > BOUND_STEP ? more : BOUND_STEP, &through, err);
	if (rc <= 0)
		return rc;
	return give_up(c, through, "too many events wait for this consumer", err);
}

/* ---- apply: what goes out next ---- */

/* Paths of the first files of a digest: malloc'd, into paths. */
static int collect_paths(struct courier *c, char *paths[NOTICE_PATHS_MAX], size_t *ret_n, struct err *err)
{
	struct notices_row r = {.seq = 0};
	int rc = 1;

	*ret_n = 0;
	for (size_t looked = 0; rc > 0 && looked < NOTICE_PATHS_MAX; looked++) {
		rc = notices_next(c->all->o.ledger, c->conf->name, r.seq, &r, &c->line, err);
		if (rc == -EBADMSG && r.seq > 0) /* its line counts, its path is not known */
			rc = 1;
		else if (rc > 0 && r.seq <= c->plan.row.through) {
			CLEANUP_JSON struct json *j = json_parse(buf_str(&c->line), c->line.len, NULL);
			const char *path = json_get_text(j, "path");

			if (path)
				paths[(*ret_n)++] = mem_strdup(path);
		} else
			break;
	}
	return rc < 0 ? rc : 0;
}

/* Names of files may be as long as can be, and longer when they are shown: then without them. */
static int write_digest(struct courier *c, struct notice_digest *d, struct err *err)
{
	int rc = notice_digest_line(d, &c->line, NULL);

	if (rc == 0)
		rc = notice_digest_text(d, &c->text, NULL);
	if (rc == 0)
		return 0;
	d->paths_n = 0;
	rc = notice_digest_line(d, &c->line, err);
	return rc < 0 ? rc : notice_digest_text(d, &c->text, err);
}

static int load_digest(struct courier *c, struct notice_digest *d, struct err *err)
{
	struct notice_group groups[NOTICE_GROUPS_MAX];
	char *paths[NOTICE_PATHS_MAX];
	size_t n = 0;
	int rc = notices_tally(
		c->all->o.ledger, c->conf->name, c->plan.row.through, groups, &d->groups_n, &d->others, err);

	if (rc == 0)
		rc = collect_paths(c, paths, &n, err);
	d->consumer = c->conf->name;
	d->host = c->all->o.scribe->host;
	d->events = c->plan.events;
	d->groups = groups;
	d->paths = paths;
	d->paths_n = n;
	d->first_id = c->plan.first.id;
	d->last_id = c->plan.last.id;
	if (rc == 0)
		rc = write_digest(c, d, err);
	if (rc == 0)
		notice_digest_id(d->first_id, d->last_id, c->plan.first.id);
	if (rc == 0)
		(void)snprintf(c->plan.first.watch, sizeof(c->plan.first.watch), "%s",
			notice_digest_watch(d) ? notice_digest_watch(d) : "");
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	d->groups = NULL;
	d->paths = NULL;
	return rc;
}

/* The notice that cannot be read is in the way of all behind it. */
static int skip_damaged(struct courier *c, int64_t seq, struct err *err)
{
	const struct err damage = *err;
	int rc = give_up(c, seq, "it is damaged in the ledger", err);

	if (rc == 0)
		log_error("%s; this event is not delivered to %s", damage.text, c->conf->name);
	c->plan.again = true;
	return rc;
}

/* What is fixed, out of the ledger; as it was the last time, if it goes out again. */
static int load_parcel(struct courier *c, struct err *err)
{
	struct notice_digest d = {.consumer = NULL};
	struct plan *p = &c->plan;
	int rc = notices_span(
		c->all->o.ledger, c->conf->name, p->row.through, &p->events, &d.first_us, &d.last_us, err);

	if (rc < 0)
		return rc;
	if (p->events == 0) { /* somebody has taken them out of the ledger */
		p->again = true;
		p->row.through = 0;
		return notices_set_parcel(c->all->o.ledger, c->conf->name, 0, err);
	}
	if (p->events > 1)
		rc = notices_next(
			c->all->o.ledger, c->conf->name, p->row.through - 1, &p->last, &c->line, err);
	if (rc >= 0)
		rc = notices_next(c->all->o.ledger, c->conf->name, 0, &p->first, &c->line, err);
	if (rc == -EBADMSG)
		return skip_damaged(c, p->events > 1 ? p->row.through : p->first.seq, err);
	if (rc > 0 && p->events > 1) {
		rc = load_digest(c, &d, err);
		if (rc == -EBADMSG)
			return skip_damaged(c, p->row.through, err);
	} else if (rc > 0)
		buf_truncate(&c->line, c->line.len - 1); /* the end of the line */
	if (rc < 0)
		return rc;
	p->sends = true;
	return 0;
}

/* 1: something is fixed, 0: nothing now, -errno */
static int fix_parcel(struct courier *c, int64_t now_us, struct err *err)
{
	struct plan *p = &c->plan;
	int64_t through;
	int rc;

	p->step = notice_next(&c->pace, &c->conf->digest, p->row.waiting, now_us, &p->wait_us);
	if (p->step == NOTICE_WAIT)
		return 0;
	rc = notices_nth(c->all->o.ledger, c->conf->name, p->step == NOTICE_ONE ? 1 : NOTICE_DIGEST_MAX,
		&through, err);
	if (rc <= 0)
		return rc;
	p->fixes = true;
	p->step_waiting = p->row.waiting;
	p->row.through = through;
	rc = notices_set_parcel(c->all->o.ledger, c->conf->name, through, err);
	return rc < 0 ? rc : 1;
}

static int apply_next(struct courier *c, int64_t now_us, struct err *err)
{
	struct plan *p = &c->plan;
	int rc = 1;

	if (p->row.waiting == 0 || (c->all->stopped && !c->all->o.once))
		return 0;
	if (p->until_us > now_us) {
		/* also when it asked for a longer pause than there is time */
		p->wait_us = p->until_us < now_us + c->conf->retry_for_us ? p->until_us
									  : now_us + c->conf->retry_for_us;
		return 0;
	}
	if (p->row.through == 0)
		rc = fix_parcel(c, now_us, err);
	return rc > 0 ? load_parcel(c, err) : rc;
}

/* Not while a delivery is under way: what is in it stays as it is until its answer. */
static int apply_rules(struct courier *c, int64_t now_us, struct err *err)
{
	int rc = apply_late(c, now_us, err);

	if (rc == 0)
		rc = apply_bound(c, err);
	if (rc == 0)
		rc = apply_next(c, now_us, err);
	return rc;
}

static int apply_one(struct courier *c, int64_t now_us, struct err *err)
{
	int rc;

	c->plan = (struct plan){.made = true, .until_us = c->until_us, .fails_since_us = c->fails_since_us};
	rc = notices_consumer(c->all->o.ledger, c->conf->name, &c->plan.row, err);
	if (rc > 0 && c->answered)
		rc = apply_answer(c, now_us, err);
	if (rc >= 0 && (!c->under_way || c->answered))
		rc = apply_rules(c, now_us, err);
	if (rc >= 0)
		rc = notices_consumer(c->all->o.ledger, c->conf->name, &c->plan.row, err);
	return rc < 0 ? rc : 0;
}

/* ---- apply: all ---- */

static bool is_configured(const struct couriers *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->items[i].conf->name, name) == 0)
			return true;
	return false;
}

static int forget(struct couriers *all, const char *name, struct err *err)
{
	struct event_notify x = {.consumer = name,
		.detail = "the consumer is not configured any more",
		.first_id = "",
		.last_id = ""};
	int rc = notices_forget_consumer(all->o.ledger, name, &x.count, err);

	if (rc < 0 || x.count == 0)
		return rc;
	log_warning("%" PRId64 " events that waited for %s are dropped: it is not configured any more",
		x.count, name);
	return scribe_notify_dropped(all->o.scribe, &x, clock_wall_us(), err);
}

static int forget_strangers(struct couriers *all, struct err *err)
{
	char name[CONF_NAME_BYTES] = "";
	int rc;

	while ((rc = notices_next_consumer(all->o.ledger, name, err)) > 0) {
		if (!is_configured(all, name))
			rc = forget(all, name, err);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static bool is_due(const struct courier *c)
{
	return c->look || c->answered || c->all->o.scribe->notices != c->all->seen;
}

int couriers_apply(struct couriers *all, struct err *err)
{
	int64_t now_us = clock_mono_us();
	int rc = all->strangers ? forget_strangers(all, err) : 0;

	for (size_t i = 0; i < all->n; i++)
		all->items[i].plan.made = false;
	for (size_t i = 0; i < all->n && rc == 0; i++)
		if (is_due(&all->items[i]))
			rc = apply_one(&all->items[i], now_us, err);
	return rc;
}

/* ---- after the commit ---- */

static void on_answer(const struct courier_answer *answer, void *arg)
{
	struct courier *c = arg;

	c->answer = *answer;
	(void)snprintf(
		c->words, sizeof(c->words), "%s", answer->verdict == COURIER_DELIVERED ? "" : answer->words);
	c->answer.words = c->words;
	c->answered = true;
}

static const char *place_of(const struct courier *c)
{
	return c->object ? c->way->place(c->object) : "not set up";
}

static int make_way(
	const struct couriers_options *o, const struct conf_notify *n, void **ret, struct err *err)
{
	const struct courier_way *way = way_of(o, n);
	const struct courier_way_options w = {
		.loop = o->loop, .conf = n, .credentials_directory = getenv("CREDENTIALS_DIRECTORY")};

	*ret = way->make(&w, err);
	return *ret ? 0 : -err->code;
}

static void send_parcel(struct courier *c)
{
	const struct plan *p = &c->plan;
	bool many = p->events > 1;
	const struct courier_parcel parcel = {
		.id = p->first.id,
		.type = many ? NOTICE_DIGEST : p->first.type,
		.watch = p->first.watch,
		.line = buf_str(&c->line),
		.line_len = c->line.len,
		.text = many ? buf_str(&c->text) : NULL,
		.events = p->events,
	};
	struct err err = ERR_INIT;
	int rc;

	c->under_way = true;
	CRASH_POINT("courier-before-send");
	rc = c->object ? 0 : make_way(&c->all->o, c->conf, &c->object, &err);
	if (c->object)
		rc = c->way->send(c->object, &parcel, on_answer, c, &err);
	if (rc < 0) {
		const struct courier_answer a = {.verdict = c->object && (rc == -ENOBUFS || rc == -EBADMSG)
								    ? COURIER_REFUSED
								    : COURIER_AGAIN,
			.words = err.text};

		on_answer(&a, c);
	}
	CRASH_POINT("courier-after-send");
}

static void tell_failure(const struct courier *c)
{
	if (c->fails_since_us == 0)
		log_warning("consumer %s (%s) does not take its events: %s; they are kept and tried again",
			c->conf->name, place_of(c), c->words);
}

static void take_answer(struct courier *c)
{
	c->under_way = c->answered = false;
	if (c->answer.verdict == COURIER_DELIVERED) {
		if (c->fails_since_us > 0)
			log_info("consumer %s (%s) takes its events again", c->conf->name, place_of(c));
		c->attempts = c->refusals = 0;
	} else {
		tell_failure(c);
		c->attempts++;
		c->refusals += c->answer.verdict == COURIER_REFUSED;
	}
	c->until_us = c->plan.until_us;
	c->fails_since_us = c->plan.fails_since_us;
}

/* A line can be large, and there are many consumers that are idle. */
static void release_parcel(struct courier *c)
{
	buf_done(&c->line);
	buf_done(&c->text);
	buf_init(&c->line, EVENT_LINE_BYTES);
	buf_init(&c->text, NOTICE_TEXT_BYTES);
}

/* What it lacked may be there now, and perhaps no event comes that would show it. */
static void set_up_late(struct courier *c, int64_t now_us)
{
	struct err err = ERR_INIT;

	if (make_way(&c->all->o, c->conf, &c->object, &err) < 0) {
		loop_timer_set(c->timer, now_us + SET_UP_AGAIN_US);
		return;
	}
	log_info("consumer %s (%s) is set up now", c->conf->name, place_of(c));
	c->attempts = 0;
	c->fails_since_us = 0;
}

static void commit_one(struct courier *c, int64_t now_us)
{
	const struct plan *p = &c->plan;

	c->look = p->again;
	c->row = p->row;
	if (p->takes_answer)
		take_answer(c);
	if (p->gives_up > 0) {
		log_warning("%" PRId64 " event%s for consumer %s %s dropped: %s", p->gives_up,
			p->gives_up == 1 ? "" : "s", c->conf->name, p->gives_up == 1 ? "is" : "are", p->why);
		if (c->refusals >= NOTICE_REFUSALS_MAX)
			c->attempts = 0;
		c->refusals = 0;
	}
	if (p->fixes) {
		notice_note(&c->pace, &c->conf->digest, p->step, p->step_waiting, now_us);
		c->refusals = 0;
	}
	if (p->sends)
		send_parcel(c);
	if (c->look || c->answered) /* nothing else may wake us: this is the last thing before it sleeps */
		loop_timer_set(c->timer, 0);
	else if (p->wait_us > 0)
		loop_timer_set(c->timer, p->wait_us);
	else if (!c->object)
		set_up_late(c, now_us);
	release_parcel(c);
}

void couriers_committed(struct couriers *all)
{
	int64_t now_us = clock_mono_us();

	all->strangers = false;
	all->seen = all->o.scribe->notices;
	for (size_t i = 0; i < all->n; i++)
		if (all->items[i].plan.made)
			commit_one(&all->items[i], now_us);
}

void couriers_undo(struct couriers *all)
{
	for (size_t i = 0; i < all->n; i++)
		all->items[i].plan.made = false;
}

/* ---- life ---- */

static void on_timer(struct loop_timer *t, void *arg)
{
	(void)t;
	((struct courier *)arg)->look = true;
}

int couriers_try(const struct couriers_options *o, struct err *err)
{
	for (size_t i = 0; i < o->conf->notifies_n; i++) {
		void *way;
		int rc = make_way(o, o->conf->notifies[i], &way, err);

		if (rc < 0)
			return rc;
		way_of(o, o->conf->notifies[i])->free(way);
	}
	return 0;
}

static void start_one(struct couriers *all, const struct conf_notify *n)
{
	struct courier *c = &all->items[all->n];
	struct err err = ERR_INIT;

	if (make_way(&all->o, n, &c->object, &err) < 0) {
		log_warning("%s; events for it are kept, and it is tried again", err.text);
		(void)snprintf(c->words, sizeof(c->words), "%.500s", err.text);
		c->attempts = 1;
		c->fails_since_us = clock_mono_us();
	}
	c->all = all;
	c->conf = n;
	c->way = way_of(&all->o, n);
	c->timer = loop_timer_add(all->o.loop, on_timer, c);
	c->look = true;
	release_parcel(c);
	all->n++;
}

struct couriers *couriers_new(const struct couriers_options *o)
{
	struct couriers *all = mem_alloc(sizeof(*all));

	all->o = *o;
	all->strangers = true;
	all->items = mem_array(o->conf->notifies_n + 1, sizeof(*all->items));
	for (size_t i = 0; i < o->conf->notifies_n; i++)
		start_one(all, o->conf->notifies[i]);
	return all;
}

void couriers_free(struct couriers *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->n; i++) {
		struct courier *c = &all->items[i];

		if (c->object)
			c->way->free(c->object);
		loop_timer_remove(c->timer);
		buf_done(&c->line);
		buf_done(&c->text);
	}
	free(all->items);
	free(all);
}

bool couriers_have_work(const struct couriers *all)
{
	if (all->strangers)
		return true;
	for (size_t i = 0; i < all->n; i++)
		if (is_due(&all->items[i]))
			return true;
	return false;
}

void couriers_stop(struct couriers *all)
{
	all->stopped = true;
}

bool couriers_are_busy(const struct couriers *all)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct courier *c = &all->items[i];

		if (c->under_way)
			return true;
		if (all->o.once && c->row.waiting > 0 && c->fails_since_us == 0 &&
			!loop_timer_is_set(c->timer))
			return true;
	}
	return false;
}

bool couriers_view(const struct couriers *all, size_t i, struct courier_view *ret)
{
	const struct courier *c;

	if (i >= all->n)
		return false;
	c = &all->items[i];
	*ret = (struct courier_view){
		.name = c->conf->name,
		.way = c->way->name,
		.place = place_of(c),
		.waiting = c->row.waiting,
		.oldest_us = c->row.waiting > 0 ? c->row.oldest_us : 0,
		.delivered = c->row.delivered,
		.dropped = c->row.dropped,
		.delivered_us = c->row.delivered_us,
		.fails_since_us = c->fails_since_us,
		.attempts = c->attempts,
		.until_us = c->under_way ? 0 : c->until_us,
		.why = c->fails_since_us > 0 ? c->words : NULL,
	};
	return true;
}
