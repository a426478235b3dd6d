/*
 * judge: the life of one due file, all on one open descriptor:
 *
 *   open, stat, lease -> settle says wait, or complete -> name class and size -> (bytes and libmagic) -> ends
 * -> stat again, and does the name still mean this inode? -> ready or rejected
 *
 * Before each file the kernel's queue is emptied, so that a hint that has already happened is known; while
 * libmagic works the loop runs, and a hint that comes meanwhile sends the file back to settling.
 */
#include "sense/judge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"
#include "core/filetype.h"
#include "core/rules.h"
#include "sense/away.h"
#include "sense/markers.h"
#include "sense/probe.h"
#include "sense/roster.h"
#include "sense/symlink.h"
#include "sense/verifier.h"
#include "sense/waiting.h"
#include "sense/walk.h"

#define JUDGE_FILES_A_ROUND 32
#define JUDGE_COMPANION_US US_PER_S /* between looks while a companion is there */

struct judge {
	struct sense *s;
	struct loop_timer *timer;
	struct unsettled_file *current; /* the one being judged; NULL when it vanished meanwhile */
	bool busy;
	int fd; /* of current */
	struct probe_stat st;
	struct probe_bytes bytes;
	struct buf path, evidence;
	struct marker marker; /* that says it is complete */
	uint64_t tag;
	bool io_said, crowd_said;
};

/* What is reported about current. */
struct judge_report {
	enum rules_verdict verdict;
	char why[RULES_WHY_BYTES];
	char ends[VERSION_ENDS_HEX];
	struct filetype type;
	bool typed;
};

/* For traces. */
static const char *const lease_words[] = {
	[SETTLE_LEASE_UNKNOWN] = "lease not to be had",
	[SETTLE_LEASE_FREE] = "lease granted",
	[SETTLE_LEASE_OPEN] = "lease refused",
};

static void judge_due(struct judge *j);

static void judge_on_timer(struct loop_timer *t, void *arg)
{
	(void)t;
	judge_due(arg);
}

struct judge *judge_new(struct sense *s)
{
	struct judge *j = mem_alloc(sizeof(*j));

	j->s = s;
	j->fd = -1;
	buf_init(&j->path, 2 * WIRE_PATH_BYTES);
	buf_init(&j->evidence, 512);
	j->timer = loop_timer_add(s->loop, judge_on_timer, j);
	return j;
}

void judge_free(struct judge *j)
{
	if (!j)
		return;
	loop_timer_remove(j->timer);
	fs_close(&j->fd);
	buf_done(&j->path);
	buf_done(&j->evidence);
	free(j);
}

bool judge_is_busy(const struct judge *j)
{
	return j->busy;
}

static void judge_rearm(struct judge *j)
{
	const struct unsettled_file *f = unsettled_first(j->s->unsettled);

	if (f && !j->busy && !j->s->explain_turn)
		loop_timer_set(j->timer, f->settle.due_us);
	else
		loop_timer_clear(j->timer);
}

void judge_schedule(struct judge *j, struct unsettled_file *f)
{
	f->unreadable = false;
	if (f == j->current)
		return;
	unsettled_schedule(j->s->unsettled, f);
	if (unsettled_first(j->s->unsettled) == f)
		judge_rearm(j);
}

void judge_forget(struct judge *j, const struct unsettled_file *f)
{
	if (f == j->current)
		j->current = NULL;
}

void judge_kick(struct judge *j)
{
	judge_rearm(j);
}

/* How the file in hand becomes complete. */
static const struct settle_policy *judge_policy(const struct judge *j)
{
	return sense_policy(j->s, j->current->dir);
}

/* The file is finished with, or waits again. */
static void judge_end(struct judge *j)
{
	if (j->fd >= 0) {
		wire_page_enter(j->s->page, "close", buf_str(&j->path));
		fs_close(&j->fd);
		wire_page_leave(j->s->page);
	}
	j->current = NULL;
	j->busy = false;
}

static void judge_wait_again(struct judge *j)
{
	struct unsettled_file *f = j->current;

	judge_end(j);
	if (f)
		judge_schedule(j, f);
}

/* It leaves the table. */
static void judge_done(struct judge *j)
{
	struct unsettled_file *f = j->current;

	judge_end(j);
	if (f)
		unsettled_drop(j->s->unsettled, f);
}

/* It is not judged, and what comes under its name is another file. */
static void judge_drop(struct judge *j)
{
	if (j->current)
		sense_overlook(j->current->dir, j->current->name, j->current->inode.ino);
	judge_done(j);
}

static void judge_send(struct judge *j, const struct judge_report *r)
{
	struct unsettled_file *f = j->current;
	int64_t now_us = clock_mono_us();
	struct wire_file m = {
		.root = j->s->roots[f->dir->root].path,
		.relpath = buf_str(&j->path),
		.size = j->st.look.size,
		.mtime_ns = j->st.look.mtime_ns,
		.ino = (int64_t)j->st.look.ino,
		.birth_ns = j->st.inode.birth_ns,
		.owner = j->st.owner,
		.ends = r->ends,
		.mime = r->typed ? r->type.mime : "",
		.groups = r->type.groups,
		.by_listing = !f->settle.by_event,
		.first_seen_us = f->first_seen_us,
		.completed_us = clock_wall_us(),
		.rule = "",
		.detail = "",
		.rules_hash = j->s->rules_hash,
		.marker_mtime_ns = j->marker.mtime_ns,
		.marker_ino = j->marker.ino,
	};

	buf_reset(&j->evidence);
	(void)settle_add_evidence(&f->settle, now_us, &j->evidence);
	if (marker_is_known(&j->marker))
		(void)buf_adds(&j->evidence, ", marker seen");
	if (f->end.format)
		(void)buf_addf(&j->evidence, ", end of %s seen", f->end.format);
	m.evidence = buf_str(&j->evidence);
	if (r->verdict != RULES_ACCEPT) {
		m.rule = rules_verdict_word(r->verdict);
		m.detail = r->why;
		m.dead_letter = rules_verdict_is_dead_letter(r->verdict);
	}
	CRASH_POINT("watcher-judged");
	outlet_send(j->s->outlet, r->verdict == RULES_ACCEPT ? WIRE_READY : WIRE_REJECTED, &m);
	CRASH_POINT("watcher-told");
}

/* Is what was judged still what the name means, and did nobody touch it meanwhile? */
static bool judge_is_unchanged(struct judge *j)
{
	struct probe_stat now, named;
	int root_fd = sense_root_fd(j->s, j->current->dir->root);

	if (j->current->settle.noted || root_fd < 0)
		return false;
	if (probe_fd(j->fd, buf_str(&j->path), j->s->page, &now) < 0 || now.look.size != j->st.look.size ||
		now.look.mtime_ns != j->st.look.mtime_ns)
		return false;
	return symlink_look(j->s, j->current->dir->root, root_fd, buf_str(&j->path), true, &named) == 0 &&
	       named.look.ino == j->st.look.ino;
}

static void judge_finish(struct judge *j, struct judge_report *r)
{
	struct settle *settle = &j->current->settle;
	int rc = 0;

	wire_page_set_base(j->s->page, j->s->roots[j->current->dir->root].path);

	if (j->s->watch->ends)
		rc = probe_ends(j->fd, j->st.look.size, buf_str(&j->path), j->s->page, r->ends);
	if (rc < 0 && rc != -ESTALE) {
		settle_unlooked(settle, judge_policy(j), clock_mono_us());
		judge_wait_again(j);
		return;
	}
	if (rc < 0 || !judge_is_unchanged(j)) {
		if (!settle->noted)
			settle_changed(settle, judge_policy(j), clock_mono_us());
		judge_wait_again(j);
		return;
	}
	judge_send(j, r);
	judge_done(j);
}

static void judge_by_type(struct judge *j, const char *mime)
{
	struct judge_report r = {.typed = true};
	const struct filetype_voices v = {
		.mime = mime,
		.name = j->current->name,
		.head = j->bytes.head,
		.head_len = j->bytes.head_len,
		.tail = j->bytes.tail,
		.tail_len = j->bytes.tail_len,
		.size = j->st.look.size,
	};

	filetype_decide(&v, &r.type);
	r.verdict = filetype_judge(j->s->watch, &r.type, r.why);
	judge_finish(j, &r);
}

void judge_answer(struct judge *j, const struct ask_result *a)
{
	if (!j->busy || a->tag != j->tag)
		return;
	if (!j->current) {
		judge_end(j);
	} else if (a->reason == ASK_ERROR) {
		log_warning("%s: its type could not be read (%s); it is looked at again", buf_str(&j->path),
			a->text);
		settle_unlooked(&j->current->settle, judge_policy(j), clock_mono_us());
		judge_wait_again(j);
	} else {
		if (a->reason != ASK_OK)
			log_warning("%s: %s; going by its bytes and name", buf_str(&j->path), a->text);
		judge_by_type(j, a->mime);
	}
	judge_rearm(j);
}

/* Where the table is crowded with files that time alone does not complete, it has no room for those that it
 * would, and with no events read and nothing listed it would stay so. A writer's close announces itself
 * again, and every file is found by the next listing. */
static void judge_leave(struct judge *j)
{
	if (!j->crowd_said)
		log_warning(
			"very many files are open for writing or cannot be read: some are left to the next "
			"listing");
	j->crowd_said = true;
	judge_drop(j);
}

/* When a listing that was asked for may have come. */
static int64_t judge_soon_us(const struct judge *j)
{
	int64_t interval_us = j->s->watch->poll_interval_us;

	return interval_us < JUDGE_COMPANION_US ? interval_us : JUDGE_COMPANION_US;
}

/* It is settled, but something else is missing: looked at again at that time (0: when it is scheduled by who
 * brings what is missing). */
static void judge_lacks(struct judge *j, int64_t again_us, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void judge_lacks(struct judge *j, int64_t again_us, const char *fmt, ...)
{
	struct unsettled_file *f = j->current;
	char words[2 * WIRE_PATH_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	trace(TRACE_SETTLE, "%s: settled, but %s", buf_str(&j->path), words);
	unsettled_set_lacks(f, words, clock_mono_us());
	f->settle.due_us = again_us;
	if (again_us > 0)
		judge_wait_again(j);
	else if (unsettled_is_full(j->s->unsettled))
		judge_leave(j);
	else
		judge_end(j);
}

/* Is what its directory's last listing showed as young as this state of the file? Else a companion that came
 * with it may have been overlooked. A scan lists only once. */
static bool judge_is_listed(const struct judge *j)
{
	const struct unsettled_file *f = j->current;

	return roster_is_filled(f->dir->roster) &&
	       (j->s->mode == WIRE_MODE_SCAN || f->dir->listed_us >= f->settle.equal_us);
}

/* Names are found in listings on a polled mount: asked for by name, the kernel may answer from what it
 * remembers. Elsewhere another name of this very file is not beside it: SFTP renames by link and unlink. */
static bool judge_is_there(struct judge *j, const char *suffix)
{
	const struct unsettled_file *f = j->current;
	CLEANUP_FREE char *name = mem_printf("%s%s", f->name, suffix);
	int root_fd = sense_root_fd(j->s, f->dir->root);
	size_t len = j->path.len;
	struct probe_stat st;
	bool found;

	if (f->dir->roster)
		return roster_has_mark(f->dir->roster, roster_id(name, 0));
	(void)buf_adds(&j->path, suffix);
	found = root_fd >= 0 && probe_name(root_fd, buf_str(&j->path), j->s->page, &st) == 0 &&
		st.look.ino != j->st.look.ino;
	buf_truncate(&j->path, len);
	return found;
}

/* Downloaders that write under the final name, closing it now and then, have a file beside it until they are
 * through. True: it waits. */
static bool judge_has_companion(struct judge *j)
{
	int64_t now_us = clock_mono_us();

	if (j->current->dir->roster && !judge_is_listed(j)) {
		judge_lacks(j, now_us + judge_soon_us(j), "the next listing of its directory");
		return true;
	}
	for (const char *const *suffix = rules_companion_suffixes(); *suffix; suffix++) {
		if (!judge_is_there(j, *suffix))
			continue;
		judge_lacks(j, now_us + JUDGE_COMPANION_US, "the end of its companion %s%s", j->current->name,
			*suffix);
		return true;
	}
	return false;
}

/* True: it waits for its marker, which brings it back. */
static bool judge_lacks_marker(struct judge *j)
{
	CLEANUP_BUF struct buf lacks = BUF_INIT(3 * WIRE_PATH_BYTES);
	int64_t again_us;

	if (!j->s->markers)
		return false;
	j->marker = (struct marker){0};
	if (markers_allow(
		    j->s->markers, j->current, buf_str(&j->path), &j->st, &j->marker, &again_us, &lacks))
		return false;
	j->current->marker_idle = again_us == 0;
	judge_lacks(j, again_us, "%s", buf_str(&lacks));
	return true;
}

/* True: it waits for its end to be there, or for an answer whether it is. */
static bool judge_lacks_end(struct judge *j)
{
	struct unsettled_file *f = j->current;
	int64_t again_us = 0;

	if (!j->s->verifier)
		return false;
	switch (verifier_look(j->s->verifier, f, j->fd, buf_str(&j->path), &j->st, &again_us)) {
	case VERIFIER_PASS:
		return false;
	case VERIFIER_ASKED:
		if (!f->end.missing || !f->lacks) /* else that is still what is known */
			unsettled_set_lacks(f, "its being unpacked, which tells whether its end is there",
				clock_mono_us());
		judge_end(j);
		break;
	case VERIFIER_MISSING:
		if (unsettled_is_full(j->s->unsettled))
			judge_leave(j);
		else
			judge_lacks(j, again_us, "%s", f->end.missing);
		break;
	case VERIFIER_UNREAD:
		settle_unlooked(&f->settle, judge_policy(j), clock_mono_us());
		judge_wait_again(j);
		break;
	}
	return true;
}

/* The file is complete: what do the rules say? */
static void judge_complete(struct judge *j)
{
	const struct conf_watch *watch = j->s->watch;
	struct judge_report r = {.verdict = RULES_ACCEPT};
	struct err err = ERR_INIT;

	if (judge_has_companion(j) || judge_lacks_marker(j))
		return;
	r.verdict = rules_judge_file(watch, buf_str(&j->path), j->st.look.size, r.why);
	if (r.verdict == RULES_ACCEPT && judge_lacks_end(j))
		return;
	unsettled_set_lacks(j->current, NULL, 0);
	if (r.verdict != RULES_ACCEPT || !j->s->ask) {
		judge_finish(j, &r);
		return;
	}
	if (probe_bytes(j->fd, j->st.look.size, buf_str(&j->path), j->s->page, &j->bytes) < 0 ||
		ask_start(j->s->ask, j->fd, buf_str(&j->path), ++j->tag, &err) < 0) {
		settle_unlooked(&j->current->settle, judge_policy(j), clock_mono_us());
		judge_wait_again(j);
	}
}

/* Opening was refused. */
static void judge_unopened(struct judge *j, struct unsettled_file *f, int code)
{
	CLEANUP_BUF struct buf absolute = BUF_INIT(2 * WIRE_PATH_BYTES);
	size_t root = f->dir->root;

	switch (code) {
	case ENOENT:
	case ENOTDIR:
		if (!away_may_hide(j->s, root, sense_root_fd(j->s, root), buf_str(&j->path)))
			waiting_gone(j->s, f);
		judge_drop(j);
		return;
	case ELOOP: /* a symbolic link that is not followed */
	case EXDEV:
	case ENXIO: /* a socket */
	case ENODEV:
		judge_drop(j);
		return;
	case EACCES:
	case EPERM:
		sense_absolute(j->s, f->dir->root, buf_str(&j->path), &absolute);
		if (!f->denied)
			sense_denied(j->s, buf_str(&absolute),
				"cannot be read (%s): it waits, and is tried again at each listing; let the "
				"service's user read it",
				strerror(code));
		f->denied = true;
		if (unsettled_count(j->s->unsettled) > UNSETTLED_MAX / 2) {
			judge_leave(j);
			return;
		}
		f->unreadable = true;
		judge_end(j);
		return;
	default:
		break;
	}
	if (sense_is_shortage(code)) {
		sense_absolute(j->s, f->dir->root, buf_str(&j->path), &absolute);
		sense_shortage(j->s, f->dir->root, buf_str(&absolute), code);
	} else if (code != EAGAIN && code != EBUSY && code != ETXTBSY && !j->io_said) {
		j->io_said = true;
		sense_absolute(j->s, f->dir->root, buf_str(&j->path), &absolute);
		sense_trouble(j->s, "io", buf_str(&absolute), 0, "cannot open this file (%s); trying again",
			strerror(code));
	}
	settle_unlooked(&f->settle, judge_policy(j), clock_mono_us());
	if (unsettled_is_full(j->s->unsettled))
		judge_leave(j);
	else
		judge_wait_again(j);
}

/* It is not settled yet, or not any more. */
static void judge_wait_more(struct judge *j)
{
	unsettled_set_lacks(j->current, NULL, 0);
	if (unsettled_is_full(j->s->unsettled) && settle_is_stuck(&j->current->settle, judge_policy(j)))
		judge_leave(j);
	else
		judge_wait_again(j);
}

static void judge_look(struct judge *j, struct unsettled_file *f)
{
	int root_fd = sense_root_fd(j->s, f->dir->root);
	struct settle_look look;
	bool complete;

	unsettled_unschedule(j->s->unsettled, f);
	f->marker_idle = false;
	j->busy = true;
	j->current = f;
	if (root_fd < 0) {
		sense_root_unopened(j->s, f->dir->root, -root_fd); /* may forget f */
		if (j->current)
			settle_unlooked(&f->settle, judge_policy(j), clock_mono_us());
		judge_wait_again(j);
		return;
	}
	tree_path_of(f->dir, f->name, &j->path);
	j->fd = symlink_open(j->s, f->dir->root, root_fd, buf_str(&j->path));
	if (j->fd < 0) {
		int code = -j->fd;

		j->fd = -1;
		judge_unopened(j, f, code);
		return;
	}
	f->denied = false;
	if (probe_fd(j->fd, buf_str(&j->path), j->s->page, &j->st) < 0) {
		settle_unlooked(&f->settle, judge_policy(j), clock_mono_us());
		judge_wait_again(j);
		return;
	}
	if (!j->st.is_regular) {
		judge_drop(j);
		return;
	}
	f->inode = j->st.inode;
	j->st.look.lease = probe_lease(j->fd, f->dir->mount && f->dir->mount->kind.sees_writers);
	look = sense_look(f->dir, &j->st.look);
	complete = settle_look(&f->settle, judge_policy(j), &look, clock_mono_us()) == SETTLE_COMPLETE;
	trace(TRACE_SETTLE,
		"%s: %" PRId64 " bytes, mtime %" PRId64 " ns, %s: %s; next look in %" PRId64 " ms",
		buf_str(&j->path), look.size, look.mtime_ns, lease_words[look.lease],
		complete ? "complete" : "not settled", (f->settle.due_us - clock_mono_us()) / 1000);
	if (complete)
		judge_complete(j);
	else
		judge_wait_more(j);
}

static void judge_due(struct judge *j)
{
	for (int i = 0; i < JUDGE_FILES_A_ROUND; i++) {
		struct unsettled_file *f;

		if (j->busy || j->s->explain_turn || outlet_is_blocked(j->s->outlet))
			break;
		(void)inotify_drain(j->s->inotify);
		f = unsettled_first(j->s->unsettled);
		if (!f || f->settle.due_us > clock_mono_us())
			break;
		judge_look(j, f);
	}
	if (!outlet_is_blocked(j->s->outlet))
		judge_rearm(j);
}
