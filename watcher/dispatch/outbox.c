/*
 * outbox: at least once, and in all but a few crashes exactly once.
 *
 * The seq of the last line that is in the log (`written`) is known here, not in the ledger. After a crash it
 * is found again: the last whole line of the log, looked up in the outbox byte by byte. Lines are distinct
 * (each has an id and a time) and are written in order, so everything up to that one is in the log too, in
 * whichever file.
 *
 * The same look is taken after every failed append, since then nobody can say what reached the disk.
 */
#include "dispatch/outbox.h"

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"
#include "core/event.h"
#include "dispatch/evlog.h"

#define BATCH_BYTES (256u * 1024)
#define BATCH_LINES 512
#define BATCHES_PER_FLUSH 4 /* a backlog must not keep the loop from its work */
#define RETRY_FIRST_US (1 * US_PER_S)
#define RETRY_LAST_US (30 * US_PER_S)
#define TIDY_AFTER_US (1 * US_PER_S)	   /* an idle service spends one commit on what is in the log */
#define TURN_WAIT_MAX_US (3600 * US_PER_S) /* the wall clock may be set meanwhile */
#define CLOCK_PROVED_US (3600 * US_PER_S)  /* by then somebody has set a clock that was wrong at the start */

struct batch {
	struct buf bytes;
	size_t n;
	int64_t seq[BATCH_LINES];
	size_t end[BATCH_LINES]; /* offset behind that line */
};

struct outbox {
	struct loop *loop;
	struct ledger *ledger;
	const struct conf_events *conf;
	struct wire_page *page;
	struct evlog *log;
	int64_t mono_us, wall_us; /* both clocks at the beginning */
	int64_t written;	  /* in the log, up to this seq */
	int64_t removing;	  /* taken out in the transaction that is open */
	int64_t removed;	  /* taken out for good */
	int64_t damaged;	  /* the last line that was left out */
	bool doubt;		  /* what is in the log must be looked up */
	bool more;		  /* the last flush stopped before the end */
	bool tidy;		  /* written lines have waited long enough to be taken out */
	bool failing;
	bool work_failing;
	int64_t retry_us; /* pause after the next failure */
	int64_t retry_at_us;
	struct loop_timer *retry, *tidy_timer, *turn;
	struct buf line;
	struct batch batch;
};

static void fail_log(struct outbox *o, const struct err *err)
{
	if (!o->failing)
		log_warning("%s; events are kept in the ledger and written when that works again", err->text);
	o->failing = true;
	o->doubt = true;
	evlog_close(o->log);
	o->retry_at_us = clock_mono_us() + o->retry_us;
	loop_timer_set(o->retry, o->retry_at_us);
	o->retry_us = 2 * o->retry_us < RETRY_LAST_US ? 2 * o->retry_us : RETRY_LAST_US;
}

static void recover_log(struct outbox *o)
{
	if (o->failing)
		log_info("the event log %s is written again", o->conf->file);
	o->failing = false;
	o->retry_us = RETRY_FIRST_US;
}

static void set_turn(struct outbox *o)
{
	int64_t at_us = evlog_next_turn_us(o->log), wait_us = at_us - clock_wall_us();

	if (at_us == INT64_MAX)
		loop_timer_clear(o->turn);
	else
		loop_timer_set(
			o->turn, clock_mono_us() + (wait_us < TURN_WAIT_MAX_US ? wait_us : TURN_WAIT_MAX_US));
}

/* ---- old files, between other work ---- */

static void work_later(struct outbox *o);

/* The monotonic clock cannot be set. */
static void doubt_clock(struct outbox *o)
{
	int64_t lived_us = clock_mono_us() - o->mono_us;

	attic_doubt_clock(
		evlog_attic(o->log), clock_wall_us() - o->wall_us - lived_us, lived_us < CLOCK_PROVED_US);
}

static void do_work(void *arg)
{
	struct outbox *o = arg;
	struct err err = ERR_INIT;
	int rc;

	wire_page_enter(o->page, "compress", o->conf->file);
	doubt_clock(o);
	rc = attic_work(evlog_attic(o->log), clock_wall_us(), &err);
	wire_page_leave(o->page);
	if (rc < 0 && !o->work_failing)
		log_warning("%s; old event logs are looked after again at the next rotation", err.text);
	if (rc <= 0)
		o->work_failing = rc < 0;
	work_later(o);
}

static void work_later(struct outbox *o)
{
	if (attic_has_work(evlog_attic(o->log)))
		loop_defer(o->loop, do_work, o);
}

/* ---- opening ---- */

/* The next line behind `after` into o->line. One that is damaged is left out: the others must not wait for
 * it. */
static int next_line(struct outbox *o, int64_t after, int64_t *ret_seq, struct err *err)
{
	for (;;) {
		int64_t seq = after;
		int rc = ledger_outbox_next(o->ledger, after, &seq, &o->line, err);

		if (rc > 0)
			*ret_seq = seq;
		if (rc != -EBADMSG || seq == after)
			return rc;
		if (seq > o->damaged)
			log_error("%s; this event is left out", err->text);
		o->damaged = seq > o->damaged ? seq : o->damaged;
		after = seq;
	}
}

/* What of the outbox is in the log already? */
static int find_written(struct outbox *o, struct err *err)
{
	int64_t seq;
	int rc = evlog_last_line(o->log, &o->line, err);

	if (rc > 0)
		rc = ledger_outbox_find(o->ledger, buf_str(&o->line), o->line.len, &seq, err);
	if (rc > 0 && seq > o->written)
		o->written = seq;
	return rc < 0 ? rc : 0;
}

static int repair(struct outbox *o, struct err *err)
{
	int64_t seq = 0;
	bool completed;
	int rc = next_line(o, o->written, &seq, err);

	if (rc == 0)
		buf_reset(&o->line);
	if (rc >= 0)
		rc = evlog_repair(o->log, buf_str(&o->line), o->line.len, &completed, err);
	if (rc < 0)
		return rc;
	log_warning("the event log %s ended in the middle of a line; it was %s", o->conf->file,
		completed ? "completed" : "cut off");
	if (completed)
		o->written = seq;
	return 0;
}

static int open_log(struct outbox *o, struct err *err)
{
	int rc;

	if (evlog_is_open(o->log))
		return 0;
	rc = evlog_open(o->log, err);
	if (rc == 0 && o->doubt)
		rc = find_written(o, err);
	if (rc == 0 && evlog_is_torn(o->log))
		rc = repair(o, err);
	if (rc == 0) {
		o->doubt = false;
		work_later(o);
	}
	return rc;
}

/* ---- writing ---- */

/* Collects lines behind `written`. 0 or -errno */
static int fill_batch(struct outbox *o, struct err *err)
{
	struct batch *b = &o->batch;
	int64_t seq = o->written;
	int rc = 0;

	buf_reset(&b->bytes);
	b->n = 0;
	while (b->n < BATCH_LINES && b->bytes.len < BATCH_BYTES) {
		rc = next_line(o, seq, &seq, err);
		if (rc <= 0)
			break;
		if (buf_add(&b->bytes, buf_str(&o->line), o->line.len) < 0)
			return err_set(err, ERR_LIMIT, ENOBUFS, "no room for an event line of %zu bytes",
				o->line.len);
		b->seq[b->n] = seq;
		b->end[b->n++] = b->bytes.len;
	}
	o->more = rc > 0;
	return rc < 0 ? rc : 0;
}

static void note_written(struct outbox *o, size_t bytes)
{
	for (size_t i = 0; i < o->batch.n && o->batch.end[i] <= bytes; i++)
		o->written = o->batch.seq[i];
	if (o->written > o->removed && !loop_timer_is_set(o->tidy_timer))
		loop_timer_set(o->tidy_timer, clock_mono_us() + TIDY_AFTER_US);
}

static int write_batch(struct outbox *o, struct err *err)
{
	size_t written = 0;
	int rc = open_log(o, err);

	/* opening may have found some of them written */
	if (rc == 0)
		rc = fill_batch(o, err);
	if (rc < 0 || o->batch.n == 0)
		return rc;
	CRASH_POINT("outbox-before-write");
	rc = evlog_append(
		o->log, buf_str(&o->batch.bytes), o->batch.bytes.len, clock_wall_us(), &written, err);
	CRASH_POINT("outbox-after-write");
	trace(TRACE_EVENTS, "%zu of %zu bytes of events written to %s%s%s", written, o->batch.bytes.len,
		o->conf->file, rc < 0 ? ": " : "", rc < 0 ? err->text : "");
	note_written(o, written);
	return rc;
}

static bool flush_some(struct outbox *o, int batches)
{
	struct err err = ERR_INIT;
	int rc = 0;

	wire_page_enter(o->page, "write", o->conf->file);
	do
		rc = write_batch(o, &err);
	while (rc == 0 && o->more && --batches > 0);
	wire_page_leave(o->page);
	if (rc < 0) {
		fail_log(o, &err);
		return false;
	}
	recover_log(o);
	work_later(o);
	set_turn(o);
	return true;
}

static void flush_later(void *arg)
{
	outbox_flush(arg);
}

static void on_retry(struct loop_timer *t, void *arg)
{
	(void)t;
	outbox_flush(arg);
}

static void on_tidy(struct loop_timer *t, void *arg)
{
	struct outbox *o = arg;

	(void)t;
	o->tidy = true;
}

static void on_turn(struct loop_timer *t, void *arg)
{
	struct outbox *o = arg;
	struct err err = ERR_INIT;

	(void)t;
	if (evlog_turn(o->log, clock_wall_us(), &err) < 0) {
		fail_log(o, &err);
		return;
	}
	work_later(o);
	set_turn(o);
}

struct outbox *outbox_new(struct loop *loop, struct ledger *ledger, const struct conf_events *conf, bool sync,
	struct wire_page *page)
{
	struct outbox *o = mem_alloc(sizeof(*o));

	o->loop = loop;
	o->mono_us = clock_mono_us();
	o->wall_us = clock_wall_us();
	o->ledger = ledger;
	o->conf = conf;
	o->page = page;
	o->log = evlog_new(conf, sync);
	o->doubt = true;
	o->retry_us = RETRY_FIRST_US;
	o->retry = loop_timer_add(loop, on_retry, o);
	o->tidy_timer = loop_timer_add(loop, on_tidy, o);
	o->turn = loop_timer_add(loop, on_turn, o);
	buf_init(&o->line, EVENT_LINE_BYTES);
	buf_init(&o->batch.bytes, BATCH_BYTES + EVENT_LINE_BYTES);
	return o;
}

void outbox_free(struct outbox *o)
{
	if (!o)
		return;
	loop_defer_cancel(o->loop, do_work, o);
	loop_defer_cancel(o->loop, flush_later, o);
	loop_timer_remove(o->retry);
	loop_timer_remove(o->tidy_timer);
	loop_timer_remove(o->turn);
	evlog_free(o->log);
	buf_done(&o->line);
	buf_done(&o->batch.bytes);
	free(o);
}

int outbox_claim(struct outbox *o, int keeper_fd, struct err *err)
{
	return evlog_claim(o->log, keeper_fd, err);
}

bool outbox_wants_commit(const struct outbox *o)
{
	return o->tidy && o->written > o->removed;
}

int outbox_apply(struct outbox *o, struct err *err)
{
	int rc;

	if (o->written <= o->removed)
		return 0;
	CRASH_POINT("outbox-before-delete");
	rc = ledger_outbox_delete(o->ledger, o->written, err);
	if (rc == 0)
		o->removing = o->written;
	return rc;
}

void outbox_committed(struct outbox *o)
{
	if (o->removing == 0)
		return;
	CRASH_POINT("outbox-deleted");
	o->removed = o->removing;
	o->removing = 0;
	o->tidy = false;
	loop_timer_clear(o->tidy_timer);
}

void outbox_undo(struct outbox *o)
{
	o->removing = 0;
}

void outbox_flush(struct outbox *o)
{
	if (o->failing && clock_mono_us() < o->retry_at_us)
		return;
	BUG_ON(ledger_is_open(o->ledger)); /* lines of a transaction that may yet be given up */
	if (flush_some(o, BATCHES_PER_FLUSH) && o->more)
		loop_defer(o->loop, flush_later, o);
}

void outbox_drain(struct outbox *o)
{
	while (flush_some(o, 1) && o->more)
		;
}

void outbox_reopen(struct outbox *o)
{
	evlog_close(o->log);
	outbox_flush(o);
}

bool outbox_is_failing(const struct outbox *o)
{
	return o->failing;
}
