/*
 * watcher: ties events, listing and judging together.
 *
 * An event is only a hint to look. What it says about one name goes to that file's settle machine; what it
 * says about a directory makes the walk list it; whatever was lost (overflow, a watch that vanished) is
 * healed by listing. A renamed directory is dropped and listed anew under its new name, with the evidence of
 * closes carried by inode.
 */
#include "sense/watcher.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/trace.h"
#include "confine/landlock.h"
#include "confine/limits.h"
#include "confine/walls.h"
#include "core/filetype.h"
#include "core/rules.h"
#include "sense/away.h"
#include "sense/explain.h"
#include "sense/inventory.h"
#include "sense/judge.h"
#include "sense/markers.h"
#include "sense/mounttable.h"
#include "sense/poll.h"
#include "sense/probe.h"
#include "sense/recheck.h"
#include "sense/roots.h"
#include "sense/roster.h"
#include "sense/symlink.h"
#include "sense/verifier.h"
#include "sense/waiting.h"
#include "sense/walk.h"

#define WATCHER_CONFIGURE_MS 30000
#define WATCHER_RECENT_LINKS 8

struct watcher {
	struct sense s;
	int keeper_fd;
	struct loop_io *keeper_io;
	struct loop_timer *rescan_timer;
	bool started; /* the first pass has been asked for */
	bool waiting_said;
	bool unfiltered_said; /* sniffers run without their filter */
	bool done_said;	      /* scan: counts with done = 1 are out */
	uint64_t notes;	      /* events so far */
	/* Files that came by CREATE alone, newest last, each with the number of that event: one of them may
	 * be the other half of a link + unlink rename. */
	struct watcher_link {
		struct unsettled_file *file;
		uint64_t note;
	} recent_links[WATCHER_RECENT_LINKS];
	size_t next_link;
	struct buf path;
	struct buf question; /* of an `explain` that waits for its turn; empty: none */
	struct wire_message in;
};

/* ---- what the parts ask for
 * ------------------------------------------------------------------------------------------------------ */

const struct settle_policy *sense_policy(const struct sense *s, const struct tree_dir *d)
{
	return d->mount ? &d->mount->policy : mounts_policy(s->mounts);
}

struct settle_look sense_look(const struct tree_dir *d, const struct settle_look *look)
{
	struct settle_look ret = *look;

	if (d->mount && !d->mount->kind.inodes_stable && !d->mount->kind.lists_inodes)
		ret.ino = 0;
	return ret;
}

void sense_overlook(const struct tree_dir *d, const char *name, uint64_t ino)
{
	if (!d->roster)
		return;
	roster_forget(d->roster, roster_id(name, 0));
	roster_forget(d->roster, roster_id(name, ino));
}

void sense_absolute(const struct sense *s, size_t root, const char *relpath, struct buf *b)
{
	buf_reset(b);
	(void)buf_adds(b, s->roots[root].path);
	if (relpath[0] != '\0')
		(void)buf_addf(b, "/%s", relpath);
}

static void watcher_trouble(
	struct sense *s, const char *kind, const char *path, int64_t count, const char *detail)
{
	struct wire_trouble m = {.kind = kind, .path = path, .detail = detail, .count = count};

	if (s->outlet && !outlet_is_blocked(s->outlet))
		outlet_send(s->outlet, WIRE_TROUBLE, &m);
	else
		log_warning("%s: %s", path, detail);
}

void sense_trouble(struct sense *s, const char *kind, const char *path, int64_t count, const char *fmt, ...)
{
	char detail[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	watcher_trouble(s, kind, path, count, detail);
}

void sense_denied(struct sense *s, const char *path, const char *fmt, ...)
{
	char detail[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	watcher_trouble(s, s->denied_said ? "unreadable" : "denied", path, 0, detail);
	s->denied_said = true;
}

static void watcher_key(const struct tree_dir *dir, const char *name, struct buf *b)
{
	(void)buf_add(b, &dir->id, sizeof(dir->id));
	(void)buf_adds(b, name);
}

static uint64_t watcher_under(const struct tree_dir *dir, const char *name)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);

	watcher_key(dir, name, &key);
	return closes_under(key.data, key.len);
}

static void watcher_remember_closed(struct unsettled_file *f, void *arg)
{
	struct sense *s = arg;

	if (f->settle.closed)
		closes_add(s->closes, &f->inode, watcher_under(f->dir, f->name));
}

static void watcher_directory_gone(struct tree_dir *d, int wd, void *arg)
{
	struct sense *s = arg;

	unsettled_drop_directory(s->unsettled, d);
	walk_forget(s->walk, d);
	if (wd != TREE_NO_WD)
		inotify_unwatch(s->inotify, wd);
}

void sense_drop_directory(struct sense *s, struct tree_dir *d)
{
	tree_remove(s->tree, d, watcher_directory_gone, s);
}

/* ---- events
 * ----------------------------------------------------------------------------------------------------- */

/* One event about one name of one directory. */
struct watcher_event {
	struct watcher *w;
	const struct inotify_note *note;
	struct tree_dir *dir;
	const char *relpath;
	bool looked_at; /* by its name */
	struct probe_stat st;
	bool exists;
};

static void watcher_event_probe(struct watcher_event *e)
{
	int fd = sense_root_fd(&e->w->s, e->dir->root);

	e->exists = fd >= 0 && symlink_look(&e->w->s, e->dir->root, fd, e->relpath, false, &e->st) == 0;
	if (!e->exists)
		e->st = (struct probe_stat){0};
}

static struct closes_name *watcher_temporary(struct watcher_event *e, bool make)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);

	watcher_key(e->dir, e->note->name, &key);
	return closes_name(e->w->s.closes, key.data, key.len, make);
}

static void watcher_temporary_forget(struct watcher_event *e)
{
	CLEANUP_BUF struct buf key = BUF_INIT(WIRE_PATH_BYTES);

	watcher_key(e->dir, e->note->name, &key);
	closes_name_forget(e->w->s.closes, key.data, key.len);
}

static struct unsettled_file *watcher_find(const struct watcher_event *e)
{
	return unsettled_find(e->w->s.unsettled, e->dir, e->note->name);
}

/* Takes a hint for a name that is looked at. */
static struct unsettled_file *watcher_hint(struct watcher_event *e, enum settle_hint hint)
{
	struct sense *s = &e->w->s;
	struct unsettled_file *f = watcher_find(e);
	int64_t now_us = clock_mono_us();

	if (f) {
		settle_note(&f->settle, sense_policy(s, f->dir), hint, now_us);
	} else {
		f = unsettled_add(s->unsettled, e->dir, e->note->name);
		f->first_seen_us = clock_wall_us();
		settle_begin(&f->settle, sense_policy(s, f->dir), hint, now_us);
	}
	unsettled_set_lacks(f, NULL, 0);
	f->marker_idle = false;
	if (e->exists)
		f->inode = e->st.inode;
	f->began = hint == SETTLE_CREATED || hint == SETTLE_MOVED_OPEN;
	f->note = e->w->notes;
	judge_schedule(s->judge, f);
	return f;
}

/* A name whose writer closed it (with that event) has gone, and nobody could ask for its inode in time. If
 * after the close a name came by CREATE alone, the two are the halves of OpenSSH's rename (link, then
 * unlink). What was created before is somebody else's file, and may still be written. */
static void watcher_carry_to_link(struct watcher *w, uint64_t closed_note)
{
	for (size_t i = 0; i < WATCHER_RECENT_LINKS; i++) {
		size_t at = (w->next_link + WATCHER_RECENT_LINKS - 1 - i) % WATCHER_RECENT_LINKS;
		struct unsettled_file *f = w->recent_links[at].file;

		if (!f || f->settle.closed || w->recent_links[at].note < closed_note)
			continue;
		w->recent_links[at].file = NULL;
		settle_note(&f->settle, sense_policy(&w->s, f->dir), SETTLE_CARRIED, clock_mono_us());
		f->began = false;
		judge_schedule(w->s.judge, f);
		return;
	}
}

static void watcher_created(struct watcher_event *e)
{
	struct watcher *w = e->w;
	struct unsettled_file *f;
	bool closed;

	watcher_event_probe(e);
	if (e->exists && !e->st.is_regular)
		return;
	closed = closes_created(w->s.closes, &e->st.inode, watcher_under(e->dir, e->note->name));
	if (!e->looked_at) {
		*watcher_temporary(e, true) =
			(struct closes_name){.inode = e->st.inode, .closed = closed, .note = w->notes};
		return;
	}
	if (e->exists && e->st.is_symlink) { /* nobody writes a link; what it leads to was there before */
		(void)watcher_hint(e, closed ? SETTLE_CARRIED : SETTLE_MOVED_IN);
		return;
	}
	f = watcher_hint(e, closed ? SETTLE_CARRIED : SETTLE_CREATED);
	if (!closed) {
		w->recent_links[w->next_link] = (struct watcher_link){.file = f, .note = w->notes};
		w->next_link = (w->next_link + 1) % WATCHER_RECENT_LINKS;
	}
}

static void watcher_closed(struct watcher_event *e)
{
	uint64_t under = watcher_under(e->dir, e->note->name);
	struct closes_name *n;

	watcher_event_probe(e);
	if (e->looked_at) {
		(void)watcher_hint(e, SETTLE_CLOSED);
	} else {
		n = watcher_temporary(e, true);
		n->closed = true;
		n->note = e->w->notes;
		if (e->exists)
			n->inode = e->st.inode;
		closes_add(e->w->s.closes, &n->inode, under);
		return;
	}
	closes_add(e->w->s.closes, &e->st.inode, under);
}

static void watcher_moved_from(struct watcher_event *e)
{
	struct closes_move m = {.cookie = e->note->cookie};
	struct unsettled_file *f = e->looked_at ? watcher_find(e) : NULL;
	const struct closes_name *n = e->looked_at ? NULL : watcher_temporary(e, false);
	bool closed;

	watcher_event_probe(e);
	sense_overlook(e->dir, e->note->name, 0);
	if (e->looked_at && e->exists && e->st.is_regular) {
		/* The name means something else already. Exchanged (renameat2 with RENAME_EXCHANGE): no
		 * further event comes for it; created anew: it is being written. What was seen of the old one
		 * counts for neither. */
		closed = closes_has(e->w->s.closes, &e->st.inode, watcher_under(e->dir, e->note->name));
		(void)watcher_hint(e, closed ? SETTLE_CARRIED : SETTLE_CREATED);
		closes_moved_from(e->w->s.closes, &m);
		return;
	}
	if (f) {
		m.inode = f->inode;
		m.closed = f->settle.closed;
		m.open = f->began;
		waiting_gone(&e->w->s, f);
		unsettled_drop(e->w->s.unsettled, f);
	} else if (n) {
		m.inode = n->inode;
		m.closed = n->closed;
		m.open = !n->closed;
		watcher_temporary_forget(e);
	}
	closes_moved_from(e->w->s.closes, &m);
}

static void watcher_moved_to(struct watcher_event *e)
{
	struct closes_move m = {0};
	bool known = closes_moved_to(e->w->s.closes, e->note->cookie, &m);
	enum settle_hint hint = SETTLE_MOVED_IN;
	struct closes_name *n;

	watcher_event_probe(e);
	if (e->exists && !e->st.is_regular)
		return;
	if ((known && m.closed) ||
		closes_has(e->w->s.closes, &e->st.inode, watcher_under(e->dir, e->note->name)))
		hint = SETTLE_CARRIED;
	else if (known && m.open)
		hint = SETTLE_MOVED_OPEN;
	if (e->looked_at) {
		(void)watcher_hint(e, hint);
		return;
	}
	n = watcher_temporary(e, true);
	n->inode = e->exists ? e->st.inode : m.inode;
	n->closed = hint == SETTLE_CARRIED;
	n->note = e->w->notes;
}

static void watcher_deleted(struct watcher_event *e)
{
	struct unsettled_file *f = e->looked_at ? watcher_find(e) : NULL;
	const struct closes_name *n = e->looked_at ? NULL : watcher_temporary(e, false);
	bool orphan = (f && f->settle.closed && f->inode.ino == 0) || (n && n->closed && n->inode.ino == 0);
	uint64_t note = f ? f->note : n ? n->note : 0;

	sense_overlook(e->dir, e->note->name, 0);
	if (f)
		waiting_gone(&e->w->s, f);
	if (f)
		unsettled_drop(e->w->s.unsettled, f);
	if (n)
		watcher_temporary_forget(e);
	if (orphan)
		watcher_carry_to_link(e->w, note);
}

static void watcher_look_at_roots(void *arg)
{
	struct watcher *w = arg;

	sense_roots_close(&w->s); /* what was opened before has been looked at before */
	roots_look(w->s.finder);
}

static void watcher_on_file(struct watcher *w, struct tree_dir *dir, const struct inotify_note *note)
{
	struct watcher_event e = {.w = w, .note = note, .dir = dir};
	enum rules_name verdict;

	tree_path_of(dir, note->name, &w->path);
	if (w->path.failed || w->path.len >= WIRE_PATH_BYTES)
		return;
	e.relpath = buf_str(&w->path);
	verdict = rules_judge_name(w->s.watch, e.relpath, NULL);
	e.looked_at = verdict == RULES_LOOK;
	if (verdict == RULES_SENTINEL)
		loop_defer(w->s.loop, watcher_look_at_roots, w); /* not now: dir may be gone then */
	switch (note->kind) {
	case INOTIFY_CREATED:
		watcher_created(&e);
		break;
	case INOTIFY_CLOSED:
		watcher_closed(&e);
		break;
	case INOTIFY_MOVED_FROM:
		watcher_moved_from(&e);
		break;
	case INOTIFY_MOVED_TO:
		watcher_moved_to(&e);
		break;
	case INOTIFY_DELETED:
		watcher_deleted(&e);
		break;
	case INOTIFY_SELF_GONE:
	case INOTIFY_IGNORED:
	case INOTIFY_OVERFLOW:
		break;
	}
	if (!e.looked_at && w->s.markers)
		markers_seen(w->s.markers, dir, note->name);
}

/* After a directory was moved away: does its name (w->path) mean one again already? With RENAME_EXCHANGE no
 * further event comes for it. */
static bool watcher_is_directory_again(struct watcher *w, const struct tree_dir *dir, enum inotify_kind kind)
{
	int fd = kind == INOTIFY_MOVED_FROM && !w->path.failed ? sense_root_fd(&w->s, dir->root) : -1;
	struct probe_stat st;

	return fd >= 0 && probe_name(fd, buf_str(&w->path), w->s.page, &st) == 0 && st.is_directory;
}

static void watcher_on_subdirectory(struct watcher *w, struct tree_dir *dir, const struct inotify_note *note)
{
	struct tree_dir *child = tree_child(w->s.tree, dir, note->name);
	bool is_new;

	if (child)
		sense_drop_directory(&w->s, child);
	tree_path_of(dir, note->name, &w->path);
	if (note->kind != INOTIFY_CREATED && note->kind != INOTIFY_MOVED_TO &&
		!watcher_is_directory_again(w, dir, note->kind))
		return;
	if (!w->s.watch->recursive || w->path.failed || w->path.len >= WIRE_PATH_BYTES ||
		!rules_enter_directory(w->s.watch, buf_str(&w->path), NULL))
		return;
	child = tree_add(w->s.tree, dir, note->name, &is_new);
	child->met = walk_serial(w->s.walk) + 1; /* also for the listing of dir that may begin next */
	walk_directory(w->s.walk, child);
}

static void watcher_on_self(struct watcher *w, struct tree_dir *dir, enum inotify_kind kind)
{
	if (kind == INOTIFY_IGNORED) {
		tree_set_wd(w->s.tree, dir, TREE_NO_WD);
		walk_directory(w->s.walk, dir); /* watched again, or found to be gone */
	} else if (away_is_mount_point(dir)) {
		tree_set_wd(w->s.tree, dir, TREE_NO_WD);
		walk_directory(w->s.walk, dir);
	} else if (!dir->parent) {
		sense_root_gone(&w->s, dir->root, "it was deleted, renamed or unmounted");
	} else {
		/* Its name may mean something again: what was hidden by an unmounted file system, or this
		 * same directory, moved here and watched before the kernel had told of the move. */
		struct tree_dir *parent = dir->parent;

		sense_drop_directory(&w->s, dir);
		walk_directory(w->s.walk, parent);
	}
}

static void watcher_overflow(struct watcher *w)
{
	sense_trouble(&w->s, "overflow", w->s.roots[0].path, (int64_t)tree_count(w->s.tree),
		"the kernel's event queue was full and events were lost; listing everything");
	walk_cut_short(w->s.walk);
	walk_pass(w->s.walk, "overflow");
}

static void watcher_on_note(const struct inotify_note *note, void *arg)
{
	struct watcher *w = arg;
	struct tree_dir *d;

	w->notes++;
	if (note->kind == INOTIFY_OVERFLOW) {
		watcher_overflow(w);
		return;
	}
	if (note->kind == INOTIFY_SELF_GONE || note->kind == INOTIFY_IGNORED) {
		/* Each leaves the chain, and may take others of it along. */
		while ((d = tree_by_wd(w->s.tree, note->wd)))
			watcher_on_self(w, d, note->kind);
		return;
	}
	for (d = tree_by_wd(w->s.tree, note->wd); d; d = d->same) {
		if (note->is_directory)
			watcher_on_subdirectory(w, d, note);
		else
			watcher_on_file(w, d, note);
	}
	if (unsettled_is_full(w->s.unsettled))
		inotify_pause(w->s.inotify, true);
}

static void watcher_on_rescan(struct loop_timer *t, void *arg)
{
	struct watcher *w = arg;

	roots_check(w->s.finder);
	walk_pass(w->s.walk, "rescan");
	loop_timer_set(t, clock_mono_us() + w->s.watch->rescan_us);
}

/* ---- room
 * ------------------------------------------------------------------------------------------------------- */

/* Everything that makes messages stops when they cannot be sent, and the events wait in the kernel. */
static void watcher_throttle(struct watcher *w)
{
	bool stop = outlet_is_blocked(w->s.outlet) || unsettled_is_full(w->s.unsettled);

	inotify_pause(w->s.inotify, stop);
}

static void watcher_on_drop(struct unsettled_file *f, void *arg)
{
	struct watcher *w = arg;

	for (size_t i = 0; i < WATCHER_RECENT_LINKS; i++)
		if (w->recent_links[i].file == f)
			w->recent_links[i].file = NULL;
	watcher_remember_closed(f, &w->s);
	judge_forget(w->s.judge, f);
	if (w->s.markers)
		markers_forget(w->s.markers, f);
	if (w->s.verifier)
		verifier_forget(w->s.verifier, f);
}

static void watcher_on_room(void *arg)
{
	struct watcher *w = arg;

	if (w->started)
		judge_kick(w->s.judge);
}

static void watcher_on_lost(void *arg, const char *why)
{
	struct watcher *w = arg;

	trace(TRACE_PROCESS, "the dispatcher is gone: %s", why);
	loop_stop(w->s.loop, 0); /* the keeper starts us anew */
}

static void watcher_explained_live(void *arg)
{
	struct watcher *w = arg;

	explain_free(w->s.explain);
	w->s.explain = NULL;
	w->s.explain_turn = false;
	judge_kick(w->s.judge);
}

/* The sniffer answers one question at a time, so this waits until no file is being judged. */
static void watcher_take_explain(struct watcher *w, const char *path)
{
	if (w->s.explain_turn)
		return; /* the dispatcher asks one at a time */
	w->s.explain_turn = true;
	buf_reset(&w->question);
	(void)buf_adds(&w->question, path);
}

static void watcher_explain_in_turn(struct watcher *w)
{
	if (!w->s.explain_turn || w->s.explain || judge_is_busy(w->s.judge) || outlet_is_blocked(w->s.outlet))
		return;
	explain_path(&w->s, -1, buf_str(&w->question), watcher_explained_live, w);
}

static void watcher_on_message(void *arg, struct wire_message *m)
{
	struct watcher *w = arg;

	if (m->type == WIRE_WANTED) {
		walk_wanted(w->s.walk, &m->as.wanted);
	} else if (m->type == WIRE_RESCAN) {
		roots_check(w->s.finder);
		walk_pass(w->s.walk, "rescan");
	} else if (m->type == WIRE_CONFIRM) {
		recheck_answer(&w->s, &m->as.confirm);
	} else if (m->type == WIRE_EXPLAIN) {
		watcher_take_explain(w, m->as.explain.path);
	} else if (m->type == WIRE_STALE && w->s.markers) {
		markers_used(w->s.markers, &m->as.stale);
	} else if (m->type == WIRE_COUNT) {
		inventory_count(&w->s);
	} else if (m->type == WIRE_LIST) {
		inventory_list(&w->s, &m->as.list);
	} else {
		log_error("unexpected message \"%s\" from the dispatcher; ignored", wire_type_name(m->type));
	}
}

struct watcher_left {
	const struct sense *s;
	int64_t open, unreadable, unmarked, unended, waiting;
};

static void watcher_count_one(struct unsettled_file *f, void *arg)
{
	struct watcher_left *left = arg;

	if (f->unreadable)
		left->unreadable++;
	else if (f->marker_idle)
		left->unmarked++;
	else if (unsettled_is_unended(f))
		left->unended++;
	else if (settle_is_stuck(&f->settle, sense_policy(left->s, f->dir)))
		left->open++;
	else
		left->waiting++;
}

/* scan: nothing is left that will become complete by waiting. */
static void watcher_say_done(struct watcher *w)
{
	struct watcher_left left = {.s = &w->s};
	struct wire_counts m = {.done = 1, .directories = (int64_t)tree_count(w->s.tree)};
	const struct unsettled_file *first;
	char span[CLOCK_TEXT_BYTES];

	if (w->done_said || !w->started || judge_is_busy(w->s.judge) || outlet_is_blocked(w->s.outlet))
		return;
	if (!walk_is_idle(w->s.walk) || (w->s.verifier && verifier_is_busy(w->s.verifier)))
		return;
	first = unsettled_first(w->s.unsettled);
	if (first && first->settle.due_us <= loop_now_us(w->s.loop))
		return; /* not worth counting while there is something to do */
	unsettled_each(w->s.unsettled, watcher_count_one, &left);
	if (left.waiting > 0 && !w->waiting_said)
		log_info("%" PRId64 " file%s must be unchanged for %s first (nobody saw %s close %s)",
			left.waiting, left.waiting == 1 ? "" : "s",
			clock_format_span(w->s.watch->settle_quiet_us, span),
			left.waiting == 1 ? "its writer" : "their writers",
			left.waiting == 1 ? "it" : "them");
	w->waiting_said = true;
	if (left.waiting > 0)
		return;
	m.unsettled = left.open + left.unreadable + left.unmarked + left.unended;
	if (left.open > 0)
		log_warning("%" PRId64 " file%s open for writing, or nobody saw %s closed, and %s left alone",
			left.open, left.open == 1 ? " is" : "s are", left.open == 1 ? "it" : "them",
			left.open == 1 ? "is" : "are");
	if (left.unmarked > 0)
		log_warning("%" PRId64 " file%s for %s and %s left alone", left.unmarked,
			left.unmarked == 1 ? " waits" : "s wait",
			left.unmarked == 1 ? "its marker" : "their markers",
			left.unmarked == 1 ? "is" : "are");
	if (left.unended > 0)
		log_warning("%" PRId64 " file%s without an end and %s left alone", left.unended,
			left.unended == 1 ? " is" : "s are", left.unended == 1 ? "is" : "are");
	if (left.unreadable > 0)
		log_warning("%" PRId64 " file%s cannot be read and %s left alone", left.unreadable,
			left.unreadable == 1 ? "" : "s", left.unreadable == 1 ? "is" : "are");
	outlet_send(w->s.outlet, WIRE_COUNTS, &m);
	w->done_said = true;
}

static void watcher_prepare(void *arg)
{
	struct watcher *w = arg;

	watcher_throttle(w);
	watcher_explain_in_turn(w);
	walk_resume(w->s.walk);
	waiting_look(w->s.waiting);
	if (w->s.page)
		__atomic_store_n(
			&w->s.page->unsettled, (int64_t)unsettled_count(w->s.unsettled), __ATOMIC_RELAXED);
	if (w->s.mode == WIRE_MODE_SCAN)
		watcher_say_done(w);
	sense_roots_close(&w->s);
}

/* ---- start and stop
 * --------------------------------------------------------------------------------------------- */

static void watcher_start(struct watcher *w)
{
	if (w->started)
		return;
	w->started = true;
	rules_hash(w->s.watch, w->s.ask ? ask_libmagic_version(w->s.ask) : "", w->s.rules_hash);
	roots_open(w->s.finder);
	walk_pass(w->s.walk, "start");
	loop_timer_set(w->rescan_timer, clock_mono_us() + w->s.watch->rescan_us);
}

static void watcher_on_answer(struct ask *a, const struct ask_result *r, void *arg)
{
	struct watcher *w = arg;

	(void)a;
	if (r->tag == EXPLAIN_TAG)
		explain_answer(&w->s, r);
	else
		judge_answer(w->s.judge, r);
}

static void watcher_on_ask_ready(struct ask *a, const struct err *err, void *arg)
{
	struct watcher *w = arg;

	(void)snprintf(w->s.ask_trouble, sizeof(w->s.ask_trouble), "%s", err ? err->text : "");
	if (w->s.mode == WIRE_MODE_EXPLAIN) {
		explain_check_ask(&w->s);
		return;
	}
	if (ask_unfiltered_why(a) && !w->unfiltered_said) {
		log_warning("file types are told without a system call filter, by Landlock alone, since with "
			    "it: %s",
			ask_unfiltered_why(a));
		w->unfiltered_said = true;
	}
	if (err)
		sense_trouble(&w->s, "sniffer", w->s.roots[0].path, 0, "%s", err->text);
	else
		rules_hash(w->s.watch, ask_libmagic_version(a), w->s.rules_hash);
	watcher_start(w);
}

static void watcher_explained(void *arg)
{
	struct watcher *w = arg;

	loop_stop(w->s.loop, 0);
}

static void watcher_on_keeper(struct loop_io *io, uint32_t events, void *arg)
{
	struct watcher *w = arg;
	struct err err = ERR_INIT;
	int rc = wire_recv(w->keeper_fd, &w->in, &err);

	(void)events;
	if (rc == -EAGAIN)
		return;
	if (rc == 1 && w->in.type == WIRE_EXPLAIN && w->s.mode == WIRE_MODE_EXPLAIN && !w->s.explain) {
		explain_path(&w->s, w->keeper_fd, w->in.as.explain.path, watcher_explained, w);
		return;
	}
	if (rc < 0)
		log_error("from the keeper: %s; ending", err.text);
	(void)loop_io_set(io, 0);
	loop_stop(w->s.loop, 0); /* `stop`, or the keeper is gone */
}

/* Receives the configuration, before the loop runs. */
static int watcher_configure(struct watcher *w, struct err *err)
{
	struct conf_mistakes mistakes = {0};
	int rc;

	w->s.conf = conf_new();
	for (;;) {
		rc = sock_wait(w->keeper_fd, POLLIN, WATCHER_CONFIGURE_MS);
		if (rc == 0)
			rc = wire_recv(w->keeper_fd, &w->in, err);
		if (rc <= 0 && rc != -EAGAIN)
			return err_set(err, ERR_SYSTEM, EPIPE, "no configuration came from the keeper");
		if (rc != 1)
			continue;
		if (w->in.type == WIRE_CONFIGURED)
			break;
		if (w->in.type == WIRE_CONFIGURE)
			conf_set(w->s.conf, w->in.as.configure.section, w->in.as.configure.key,
				w->in.as.configure.value, w->in.as.configure.file,
				(int)w->in.as.configure.line, &mistakes);
	}
	w->s.mode = (enum wire_mode)w->in.as.configured.mode;
	conf_resolve(w->s.conf);
	rc = mistakes.errors > 0 ? err_set(err, ERR_CONF, EINVAL, "%s", mistakes.items[0].text) : 0;
	conf_mistakes_done(&mistakes);
	if (rc == 0 && (w->s.conf->watches_n != 1 || w->s.conf->watches[0]->directory.n == 0))
		return err_set(err, ERR_CONF, EINVAL, "exactly one watch with a directory is expected");
	return rc;
}

static void watcher_take_conf(struct watcher *w)
{
	w->s.watch = w->s.conf->watches[0];
	w->s.mounts = mounts_new(w->s.watch);
	w->s.roots_n = w->s.watch->directory.n;
	w->s.roots = mem_array(w->s.roots_n, sizeof(*w->s.roots));
	for (size_t i = 0; i < w->s.roots_n; i++) {
		w->s.roots[i].path = w->s.watch->directory.items[i];
		w->s.roots[i].fd = -1;
		buf_init(&w->s.roots[i].resolved, WIRE_PATH_BYTES);
	}
	trace_set_up((enum log_level)w->s.conf->service.log_level, w->s.conf->service.trace);
}

/* Where markers are, if not beside their files: the part of the path before the first placeholder. */
static void watcher_allow_marker(struct walls *walls, const char *marker)
{
	CLEANUP_FREE char *fixed = marker ? mem_strndup(marker, strcspn(marker, "$")) : NULL;
	char *slash = fixed ? strrchr(fixed, '/') : NULL;

	if (!slash || fixed[0] != '/')
		return;
	slash[slash == fixed] = '\0';
	walls_own(walls, fixed, LANDLOCK_READ | LANDLOCK_LIST);
}

/* Before anything of a directory is read. Looking for a root may take as long as a dead mount likes, so the
 * page says so. */
static void watcher_confine(struct watcher *w)
{
	struct err err = ERR_INIT;

	w->s.walls = walls_new(LIMITS_WATCHER);
	for (size_t i = 0; i < w->s.roots_n; i++)
		walls_own(w->s.walls, w->s.roots[i].path, LANDLOCK_READ | LANDLOCK_LIST);
	watcher_allow_marker(w->s.walls, w->s.watch->marker);
	wire_page_enter(w->s.page, "open", w->s.roots[0].path);
	if (walls_raise(w->s.walls, false, &err) < 0)
		log_warning("not fully confined: %s; going on without", err.text);
	wire_page_leave(w->s.page);
}

static int watcher_make_parts(struct watcher *w, int dispatch_fd, struct err *err)
{
	static const struct outlet_callbacks callbacks = {
		.room = watcher_on_room, .lost = watcher_on_lost, .message = watcher_on_message};
	struct sense *s = &w->s;

	s->tree = tree_new();
	s->closes = closes_new();
	s->unsettled = unsettled_new(watcher_on_drop, w);
	s->judge = judge_new(s);
	s->walk = walk_new(s);
	s->poll = poll_new(s);
	s->finder = roots_new(s);
	s->markers = s->watch->complete == CONF_COMPLETE_MARKER ? markers_new(s) : NULL;
	s->verifier = s->watch->verify ? verifier_new(s) : NULL;
	s->waiting = waiting_new(s);
	w->rescan_timer = loop_timer_add(s->loop, watcher_on_rescan, w);
	w->keeper_io = loop_io_add(s->loop, w->keeper_fd, LOOP_IN, watcher_on_keeper, w, err);
	if (!w->keeper_io)
		return -err->code;
	if (filetype_is_needed(s->watch)) {
		s->ask = ask_new(s->loop, s->page, s->watch->type_bytes, s->watch->type_deadline_us,
			watcher_on_answer, w, err);
		if (!s->ask)
			return -err->code;
	}
	if (s->mode == WIRE_MODE_EXPLAIN)
		return 0;
	s->mounttable = mounttable_new(s);
	s->inotify = inotify_new(s->loop, watcher_on_note, w, err);
	s->outlet = s->inotify ? outlet_new(s->loop, dispatch_fd, &callbacks, w, err) : NULL;
	if (!s->outlet)
		return -err->code;
	loop_prepare_add(s->loop, watcher_prepare, w);
	return 0;
}

static void watcher_free_parts(struct watcher *w)
{
	if (w->s.loop)
		loop_defer_cancel(w->s.loop, watcher_look_at_roots, w);
	ask_free(w->s.ask);
	verifier_free(w->s.verifier);
	outlet_free(w->s.outlet);
	inotify_free(w->s.inotify);
	judge_free(w->s.judge);
	walk_free(w->s.walk);
	explain_free(w->s.explain);
	unsettled_free(w->s.unsettled);
	closes_free(w->s.closes);
	poll_free(w->s.poll);
	roots_free(w->s.finder);
	mounttable_free(w->s.mounttable);
	markers_free(w->s.markers);
	waiting_free(w->s.waiting);
	if (w->s.tree)
		tree_free(w->s.tree);
	mounts_free(w->s.mounts);
	sense_roots_close(&w->s);
	loop_free(w->s.loop);
	walls_free(w->s.walls);
	wire_page_unmap(w->s.page);
	conf_free(w->s.conf);
	buf_done(&w->path);
	buf_done(&w->question);
	for (size_t i = 0; i < w->s.roots_n; i++)
		buf_done(&w->s.roots[i].resolved);
	free(w->s.roots);
	free(w);
}

static int watcher_run(struct watcher *w, int dispatch_fd, int page_fd, struct err *err)
{
	int rc = watcher_configure(w, err);

	if (rc < 0)
		return rc;
	watcher_take_conf(w);
	rc = limits_apply(LIMITS_WATCHER, err);
	if (rc < 0)
		return rc;
	w->s.loop = loop_new(err);
	if (!w->s.loop)
		return -err->code;
	if (page_fd >= 0) {
		w->s.page = wire_page_map(page_fd, true, err);
		if (!w->s.page)
			return -err->code;
	}
	watcher_confine(w);
	rc = watcher_make_parts(w, dispatch_fd, err);
	if (rc < 0)
		return rc;
	if (w->s.ask)
		ask_open(w->s.ask, watcher_on_ask_ready);
	else if (w->s.mode != WIRE_MODE_EXPLAIN)
		watcher_start(w);
	return loop_run(w->s.loop, err);
}

int watcher_main(int keeper_fd, int dispatch_fd, int page_fd)
{
	struct watcher *w = mem_alloc(sizeof(*w));
	struct err err = ERR_INIT;
	int rc;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGIO, SIG_IGN);  /* a broken lease */
	(void)signal(SIGINT, SIG_IGN); /* the keeper tells us when to stop */
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	w->keeper_fd = keeper_fd;
	buf_init(&w->path, 2 * WIRE_PATH_BYTES);
	buf_init(&w->question, WIRE_MESSAGE_BYTES);
	rc = watcher_run(w, dispatch_fd, page_fd, &err);
	if (rc < 0)
		log_error("%s; ending, the keeper starts this watch again", err.text);
	watcher_free_parts(w);
	return rc < 0 ? 1 : rc;
}
