/*
 * facts: a fact remembers which of a watch's watchers has said it, since that one may have ended meanwhile;
 * the next one must not get its answer.
 */
#include "dispatch/facts.h"

#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"
#include "dispatch/sender.h"

bool facts_are_there(const struct watches *ws)
{
	return !list_is_empty(&ws->facts) || moved_has_answers(ws->moved);
}

/* ---- apply ---- */

static int apply_fact(struct watches *ws, struct wire_message *scratch, struct fact *f, struct err *err)
{
	int rc;

	intake_result_done(&f->result);
	memcpy(scratch->bytes, f->bytes, f->len);
	scratch->n_fds = 0;
	rc = wire_decode(scratch, f->len, err);
	BUG_ON(rc < 0); /* we have encoded it */
	rc = intake_take(ws->desk->intake, &f->watch->peer, scratch, clock_wall_us(), &f->result, err);
	CRASH_POINT("dispatcher-fact-taken");
	if (rc > 0 && !f->fault)
		f->fault = mem_strdup(err->text);
	if (rc == 0 && f->result.accepted && ws->desk->sender)
		sender_look(ws->desk->sender, f->watch->peer.watch->name);
	if (rc == 0 && f->result.failed && ws->desk->sender &&
		f->watch->peer.watch->on_failure == CONF_FAIL_PAUSE)
		rc = sender_pause(ws->desk->sender, f->watch->peer.watch->name,
			"a file became a dead letter before it was sent", err);
	return rc < 0 ? rc : 0;
}

/* Files that were asked about: are they moved ones? */
static int apply_moved(
	struct watches *ws, struct wire_message *scratch, struct moved_item *item, struct err *err)
{
	int rc;

	intake_result_done(&item->result);
	memcpy(scratch->bytes, item->bytes, item->len);
	scratch->n_fds = 0;
	rc = wire_decode(scratch, item->len, err);
	BUG_ON(rc < 0); /* we have encoded it */
	rc = intake_take_moved(ws->desk->intake, item->peer, scratch, item->row_id, item->verdict,
		clock_wall_us(), &item->result, err);
	BUG_ON(rc > 0); /* it was found to be good before */
	CRASH_POINT("facts-moved");
	return rc;
}

int facts_apply(struct watches *ws, struct wire_message *scratch, struct err *err)
{
	int rc = 0;

	LIST_FOREACH (it, &ws->facts) {
		if (rc == 0)
			rc = apply_fact(ws, scratch, LIST_OF(it, struct fact, in), err);
	}
	for (struct moved_item *item = NULL; rc == 0 && (item = moved_next(ws->moved, item));)
		rc = apply_moved(ws, scratch, item, err);
	return rc;
}

void facts_undo(struct watches *ws)
{
	LIST_FOREACH (it, &ws->facts) {
		struct fact *f = LIST_OF(it, struct fact, in);

		if (f->result.announced)
			f->watch->peer.announced = false;
	}
}

/* ---- act ---- */

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

/* Its file goes on waiting. When very many come at once some are left to the next listing. */
static void answer_stale(const struct fact *f)
{
	struct wire_message *m = mem_alloc(sizeof(*m));
	struct err err = ERR_INIT;

	memcpy(m->bytes, f->bytes, f->len);
	if (wire_decode(m, f->len, &err) == 0) {
		const struct wire_file *file = &m->as.file;
		const struct wire_stale stale = {
			.root = file->root,
			.relpath = file->relpath,
			.marker_mtime_ns = file->marker_mtime_ns,
			.marker_ino = file->marker_ino,
			.by_listing = file->by_listing,
			.first_seen_us = file->first_seen_us,
		};

		if (link_send(f->watch->link, WIRE_STALE, &stale) < 0)
			trace(TRACE_SETTLE, "%s waits for a new marker, and for the next listing",
				file->relpath);
	}
	free(m);
}

/* What concerns the watcher itself; it may have been started anew meanwhile. */
static void act_on_watcher(struct fact *f)
{
	struct watch_state *w = f->watch;
	const struct intake_result *r = &f->result;
	int rc = 0;

	if (f->epoch != w->epoch)
		return;
	if (r->greeted)
		watches_greeted(w);
	w->scanned |= r->announced;
	if (r->lost) {
		w->scanned = false;
		w->lost = true;
		(void)snprintf(w->lost_why, sizeof(w->lost_why), "%s",
			r->no_mount   ? "its mount is missing"
			: r->lost_why ? r->lost_why
				      : "its folder cannot be looked at");
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
	if (r->stale && w->link)
		answer_stale(f);
	if (rc == -EBUSY && !f->fault)
		f->fault = mem_printf("watch %s asked again before it was answered", w->peer.watch->name);
	if (!f->fault || !w->link)
		return;
	log_error("%s; its watcher is let go and started again", f->fault);
	watches_detach(w);
}

/* What one message of a file has made. */
static void act_on_result(struct watches *ws, const struct intake_peer *peer, const struct intake_result *r)
{
	tell_result(r);
	ws->failed += r->failed;
	ws->rejected += r->rejected;
	if (r->accepted && ws->desk->sender)
		sender_accepted(ws->desk->sender, peer->watch->name);
	if (r->again && ws->desk->sender)
		sender_may_ask(ws->desk->sender, peer->watch->name);
	if (r->gone > 0 && ws->desk->sender)
		sender_gone(ws->desk->sender, peer->watch->name, r->gone);
}

static void act_on_moved(struct watches *ws)
{
	struct moved_item *item;

	while ((item = moved_next(ws->moved, NULL))) {
		act_on_result(ws, item->peer, &item->result);
		moved_done(ws->moved, item);
	}
}

static void act_on_facts(struct watches *ws)
{
	LIST_FOREACH_SAFE (it, &ws->facts) {
		struct fact *f = LIST_OF(it, struct fact, in);

		act_on_result(ws, &f->watch->peer, &f->result);
		if (f->result.moved_row > 0 && f->epoch == f->watch->epoch && f->watch->link)
			moved_add(ws->moved, &f->watch->peer, &f->result, f->bytes, f->len);
		act_on_watcher(f);
		watches_drop_fact(ws, f);
	}
}

void facts_act(struct watches *ws)
{
	act_on_moved(ws);
	act_on_facts(ws);
}
