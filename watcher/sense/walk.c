/*
 * walk: a queue of directories, one of them open, and one batch of candidates being filled while another may
 * be out for an answer.
 *
 * A pass lists every directory. Directories that a listing of their parent no longer shows are dropped,
 * unless an event made them meanwhile: each directory carries the serial of the listing that met it last.
 *
 * A poll round lists the polled directories only, and of their names looks at those only that were not in the
 * listing before (sense/roster.h). A pass that begins meanwhile takes its place, since it sees more.
 */
#include "sense/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "core/rules.h"
#include "sense/away.h"
#include "sense/inventory.h"
#include "sense/judge.h"
#include "sense/markers.h"
#include "sense/poll.h"
#include "sense/probe.h"
#include "sense/roster.h"
#include "sense/symlink.h"

#define WALK_ENTRIES_A_STEP 512

struct walk {
	struct sense *s;
	struct list queue; /* of tree_dir.queued */
	struct tree_dir *current;
	DIR *dir; /* of current */
	uint64_t serial;
	/* the pass */
	const char *why;   /* of the pass under way; NULL: none */
	const char *again; /* another was asked for meanwhile */
	int64_t passes, began_us, files, directories;
	bool ended;	  /* one has */
	struct buf roots; /* of `scanned` */
	/* the poll round */
	bool polling;
	int64_t cost_us; /* time spent on it … */
	int64_t step_us; /* … without the step that began then */
	/* candidates */
	struct buf batch, sent;
	size_t batch_n, batch_root, sent_root;
	int64_t seq;
	bool outstanding;
	bool too_long_said;
	bool denied;	    /* something in current may not be looked at */
	bool stepping;	    /* a step is deferred */
	bool stopped;	    /* for lack of room in the table or the socket */
	int64_t listing_us; /* when that of current began */
	bool quick;	    /* of current only the names are wanted that are not on its roster */
	struct buf path, absolute;
	struct buf place; /* the path of current, for the state page */
};

static void walk_step(void *arg);

struct walk *walk_new(struct sense *s)
{
	struct walk *w = mem_alloc(sizeof(*w));

	w->s = s;
	list_init(&w->queue);
	buf_init(&w->batch, WIRE_CANDIDATES_BYTES);
	buf_init(&w->sent, WIRE_CANDIDATES_BYTES);
	buf_init(&w->path, 2 * WIRE_PATH_BYTES);
	buf_init(&w->absolute, 2 * WIRE_PATH_BYTES);
	buf_init(&w->place, 2 * WIRE_PATH_BYTES);
	buf_init(&w->roots, WIRE_MESSAGE_BYTES / 2);
	return w;
}

static void walk_close_current(struct walk *w)
{
	if (w->dir) {
		wire_page_enter(w->s->page, "close", buf_str(&w->place));
		closedir(w->dir);
		wire_page_leave(w->s->page);
	}
	w->dir = NULL;
	w->current = NULL;
}

void walk_free(struct walk *w)
{
	if (!w)
		return;
	loop_defer_cancel(w->s->loop, walk_step, w);
	walk_close_current(w);
	while (!list_is_empty(&w->queue))
		list_remove(w->queue.next); /* the directories live longer */
	buf_done(&w->batch);
	buf_done(&w->sent);
	buf_done(&w->path);
	buf_done(&w->absolute);
	buf_done(&w->place);
	buf_done(&w->roots);
	free(w);
}

uint64_t walk_serial(const struct walk *w)
{
	return w->serial;
}

bool walk_is_idle(const struct walk *w)
{
	return w->passes > 0 && !w->why && !w->again && !w->current && list_is_empty(&w->queue) &&
	       w->batch_n == 0 && !w->outstanding;
}

bool walk_has_listed(const struct walk *w)
{
	return w->ended;
}

static void walk_kick(struct walk *w)
{
	if (w->stepping)
		return;
	w->stepping = true;
	loop_defer(w->s->loop, walk_step, w);
}

void walk_resume(struct walk *w)
{
	if (!w->stopped || outlet_is_blocked(w->s->outlet) || unsettled_is_full(w->s->unsettled))
		return;
	w->stopped = false;
	walk_kick(w);
}

void walk_directory(struct walk *w, struct tree_dir *d)
{
	if (d == w->current)
		walk_close_current(w); /* from the beginning */
	d->quick = false;
	if (!list_is_linked(&d->queued))
		list_add_tail(&w->queue, &d->queued);
	walk_kick(w);
}

void walk_forget(struct walk *w, const struct tree_dir *d)
{
	if (d == w->current)
		walk_close_current(w);
}

static void walk_begin_pass(struct walk *w, const char *why)
{
	w->why = why;
	w->polling = false;
	w->passes++;
	w->began_us = clock_mono_us();
	w->files = w->directories = 0;
	for (size_t i = 0; i < w->s->roots_n; i++) {
		w->s->roots[i].cut_short = !w->s->roots[i].dir;
		if (w->s->roots[i].dir)
			walk_directory(w, w->s->roots[i].dir);
	}
	trace(TRACE_LISTING, "listing %" PRId64 " begins (%s)", w->passes, why);
	walk_kick(w);
}

void walk_pass(struct walk *w, const char *why)
{
	if (w->why)
		w->again = why;
	else
		walk_begin_pass(w, why);
}

void walk_cut_short(struct walk *w)
{
	for (size_t i = 0; i < w->s->roots_n; i++)
		w->s->roots[i].cut_short = true;
}

/* One byte for each root into w->roots. True when all are complete. */
static bool walk_tell_roots(struct walk *w)
{
	bool complete = true;

	buf_reset(&w->roots);
	for (size_t i = 0; i < w->s->roots_n; i++) {
		(void)buf_addc(&w->roots, w->s->roots[i].cut_short ? 0 : 1);
		complete &= !w->s->roots[i].cut_short;
	}
	return complete;
}

static void walk_end_pass(struct walk *w)
{
	bool complete = walk_tell_roots(w);
	struct wire_scanned m = {
		.pass = w->passes,
		.directories = w->directories,
		.files = w->files,
		.unsettled = (int64_t)unsettled_count(w->s->unsettled),
		.took_us = clock_mono_us() - w->began_us,
		.complete = complete,
		.roots = buf_str(&w->roots),
		.roots_len = w->roots.len,
		.why = w->why,
	};
	const char *again = w->again;

	trace(TRACE_LISTING,
		"listing %" PRId64 " (%s) ends after %" PRId64 " ms: %" PRId64 " files in %" PRId64
		" directories, %" PRId64 " unsettled%s",
		m.pass, m.why, m.took_us / 1000, m.files, m.directories, m.unsettled,
		complete ? "" : "; not complete");
	if (w->s->limit_said && inventory_is_watched(w->s)) {
		w->s->limit_said = false;
		sense_say_hello(w->s);
	}
	outlet_send(w->s->outlet, WIRE_SCANNED, &m);
	w->s->short_said &= !complete;
	if (complete && w->s->denied_said)
		w->s->denied_said = !inventory_is_readable(w->s);
	w->why = NULL;
	w->again = NULL;
	w->ended = true;
	if (again)
		walk_begin_pass(w, again);
}

/* Sends the batch when it may be sent. False: it must wait for an answer or for room. */
static bool walk_flush(struct walk *w)
{
	struct wire_candidates m;
	struct buf swap;

	if (w->batch_n == 0)
		return true;
	if (outlet_is_blocked(w->s->outlet))
		w->stopped = true;
	if (w->outstanding || w->stopped)
		return false;
	swap = w->sent;
	w->sent = w->batch;
	w->batch = swap;
	buf_reset(&w->batch);
	w->batch_n = 0;
	w->sent_root = w->batch_root;
	w->outstanding = true;
	m = (struct wire_candidates){
		.seq = ++w->seq,
		.root = w->s->roots[w->sent_root].path,
		.rules_hash = w->s->rules_hash,
		.items = w->sent.data,
		.items_len = w->sent.len,
	};
	outlet_send(w->s->outlet, WIRE_CANDIDATES, &m);
	return true;
}

void walk_found(struct walk *w, size_t root, const struct wire_candidate *c)
{
	const char *slash = strrchr(c->relpath, '/');
	const char *name = slash ? slash + 1 : c->relpath;
	struct tree_dir *top = w->s->roots[root].dir;
	struct tree_dir *d =
		top ? tree_resolve(w->s->tree, top, c->relpath, slash ? (size_t)(slash - c->relpath) : 0)
		    : NULL;
	struct settle_look look = {.size = c->size, .mtime_ns = c->mtime_ns, .ino = (uint64_t)c->ino};
	struct unsettled_file *f;

	if (!d || unsettled_find(w->s->unsettled, d, name))
		return;
	f = unsettled_add(w->s->unsettled, d, name);
	f->first_seen_us = clock_wall_us();
	f->inode.ino = look.ino;
	settle_begin(&f->settle, sense_policy(w->s, d), SETTLE_LISTED, clock_mono_us());
	look = sense_look(d, &look);
	if (!d->roster) /* else it may have been a cached answer */
		settle_listed(&f->settle, &look);
	judge_schedule(w->s->judge, f);
}

void walk_wanted(struct walk *w, const struct wire_wanted *m)
{
	struct wire_candidates sent = {.items = w->sent.data, .items_len = w->sent.len};
	const uint8_t *bits = m->bits;
	struct wire_candidate c;
	size_t pos = 0;

	if (!w->outstanding || m->seq != w->seq)
		return;
	w->outstanding = false;
	for (size_t i = 0; wire_candidates_next(&sent, &pos, &c) > 0; i++)
		if (i / 8 < m->bits_len && bits[i / 8] & (1u << i % 8))
			walk_found(w, w->sent_root, &c);
	walk_kick(w);
}

/* The whole path of a directory, for messages; borrowed until the next call. */
static const char *walk_absolute(struct walk *w, const struct tree_dir *d)
{
	tree_path(d, &w->path);
	sense_absolute(w->s, d->root, buf_str(&w->path), &w->absolute);
	return buf_str(&w->absolute);
}

/* What is set now, doubled; `otherwise` where that cannot be read. */
static int64_t walk_better_limit(const char *path, int64_t otherwise)
{
	CLEANUP_BUF struct buf text = BUF_INIT(64);
	int64_t limit = 0;

	if (fs_read_file(path, 63, &text, NULL) == 0 && text.len > 0) {
		text.data[text.len - 1] = '\0';
		if (num_parse_i64(text.data, &limit) < 0)
			limit = 0;
	}
	return limit > 0 ? 2 * limit : otherwise;
}

static void walk_say_limit(struct walk *w, const struct tree_dir *d, int code)
{
	const char *what = code == ENOSPC   ? "watch"
			   : code == EMFILE ? "instance"
					    : "descriptor (of the whole system)";
	const char *key = code == ENOSPC   ? "fs.inotify.max_user_watches"
			  : code == EMFILE ? "fs.inotify.max_user_instances"
					   : "fs.file-max";
	int64_t better = code == ENOSPC	  ? walk_better_limit("/proc/sys/fs/inotify/max_user_watches", 524288)
			 : code == EMFILE ? walk_better_limit("/proc/sys/fs/inotify/max_user_instances", 1024)
					  : walk_better_limit("/proc/sys/fs/file-max", 1048576);

	if (w->s->limit_said)
		return;
	w->s->limit_said = true;
	sense_say_hello(w->s); /* another method than before */
	sense_trouble(w->s, "watch_limit", walk_absolute(w, d), (int64_t)tree_count(w->s->tree),
		"no inotify %s left: this directory and others are polled until there are some; raise the "
		"limit with: sysctl %s=%" PRId64,
		what, key, better);
}

/* The directory is polled, or not any more. */
static void walk_set_polled(struct walk *w, struct tree_dir *d, bool polled)
{
	if (polled && !d->roster)
		d->roster = roster_new();
	if (!polled) {
		roster_free(d->roster);
		d->roster = NULL;
	}
	if (polled)
		poll_wake(w->s->poll);
}

/* Or is no descriptor of any kind left to this process? */
static bool walk_is_instance(int code, int fd)
{
	int copy = code == EMFILE ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (copy >= 0)
		close(copy);
	return code != EMFILE || copy >= 0;
}

static bool walk_is_limit(int code)
{
	return code == ENOSPC || code == EMFILE || code == ENFILE;
}

static void walk_watch(struct walk *w, struct tree_dir *d, int fd)
{
	int wd = d->mount->notified ? inotify_watch(w->s->inotify, fd) : TREE_NO_WD;

	walk_set_polled(w, d, d->mount->polled || walk_is_limit(-wd));
	if (!d->mount->notified)
		return;
	if (wd >= 0) {
		tree_set_wd(w->s->tree, d, wd);
		return;
	}
	tree_set_wd(w->s->tree, d, TREE_NO_WD);
	if (walk_is_limit(-wd) && !walk_is_instance(-wd, fd))
		sense_shortage(w->s, d->root, walk_absolute(w, d), -wd);
	else if (walk_is_limit(-wd))
		walk_say_limit(w, d, -wd);
	else
		sense_trouble(w->s, "degraded", walk_absolute(w, d), 0,
			"cannot watch this directory (%s): it is only seen by the listing every `rescan`",
			strerror(-wd));
}

static void walk_set_unreadable(struct tree_dir *d, bool unreadable)
{
	if (unreadable && !d->unreadable)
		d->unreadable_us = clock_wall_us();
	d->unreadable = unreadable;
}

static void walk_unopened(struct walk *w, struct tree_dir *d, int code)
{
	bool gone = code == ENOENT || code == ENOTDIR || code == ELOOP || code == EXDEV;
	bool denied = code == EACCES || code == EPERM;

	if (gone && d->parent) {
		sense_drop_directory(w->s, d);
		return;
	}
	if (sense_is_shortage(code)) {
		sense_shortage(w->s, d->root, walk_absolute(w, d), code);
		return;
	}
	/* A subdirectory that we may not read is said, and no reason never to be ready. */
	if (!denied || !d->parent)
		w->s->roots[d->root].cut_short = true;
	if (!d->parent) {
		sense_root_lost(w->s, d->root, strerror(code));
		return;
	}
	if (!d->unreadable && denied)
		sense_denied(w->s, walk_absolute(w, d),
			"cannot list this directory (%s): the files in it wait; tried again at each listing",
			strerror(code));
	else if (!d->unreadable)
		sense_trouble(w->s, "io", walk_absolute(w, d), 0,
			"cannot list this directory (%s); tried again at each listing", strerror(code));
	walk_set_unreadable(d, true);
}

/* Opens, watches and begins to list the next directory of the queue. */
static void walk_open_next(struct walk *w)
{
	struct tree_dir *d = LIST_OF(w->queue.next, struct tree_dir, queued);
	const struct mount *was = d->mount;
	int root_fd, fd;

	list_remove(&d->queued);
	tree_path(d, &w->path);
	root_fd = sense_root_fd(w->s, d->root);
	if (root_fd < 0) {
		sense_root_unopened(w->s, d->root, -root_fd);
		return;
	}
	wire_page_enter(w->s->page, "open", buf_str(&w->path));
	fd = fs_open_beneath(root_fd, buf_str(&w->path), O_RDONLY | O_DIRECTORY, false);
	wire_page_leave(w->s->page);
	if (fd < 0) {
		walk_unopened(w, d, -fd);
		return;
	}
	if (!d->mount || !d->quick)
		sense_meet_mount(w->s, d, fd, walk_absolute(w, d));
	if (d->parent && away_meet(w->s, d, was, walk_absolute(w, d))) {
		close(fd);
		return;
	}
	wire_page_enter(w->s->page, "inotify_add_watch", walk_absolute(w, d));
	walk_watch(w, d, fd);
	w->dir = fdopendir(fd); /* which asks for its attributes */
	wire_page_leave(w->s->page);
	if (!w->dir) {
		int code = errno;

		close(fd);
		walk_unopened(w, d, code);
		return;
	}
	w->current = d;
	w->quick = d->quick && d->roster && roster_is_filled(d->roster);
	d->quick = false;
	w->listing_us = clock_mono_us();
	if (d->roster)
		roster_begin(d->roster);
	buf_reset(&w->place);
	(void)buf_adds(&w->place, walk_absolute(w, d));
	w->denied = false;
	w->directories++;
	w->serial++;
	d->met = w->serial;
}

/* Children that this listing did not show are gone; their DELETE may have been lost. */
static void walk_drop_unmet(struct walk *w, struct tree_dir *d, uint64_t serial)
{
	struct list *it = d->children.next;

	while (it != &d->children) {
		struct tree_dir *child = LIST_OF(it, struct tree_dir, sibling);

		it = it->next;
		if (child->met < serial)
			sense_drop_directory(w->s, child);
	}
}

static void walk_close_done(struct walk *w)
{
	struct tree_dir *d = w->current;

	walk_close_current(w);
	walk_set_unreadable(d, w->denied);
	d->listed_us = w->listing_us;
	if (d->roster)
		roster_end(d->roster);
	walk_drop_unmet(w, d, d->met);
}

/* Is w->path, a name of the current directory, too long for any system call? */
static bool walk_is_too_long(struct walk *w)
{
	CLEANUP_BUF struct buf dir = BUF_INIT(2 * WIRE_PATH_BYTES);

	if (!w->path.failed && w->path.len < WIRE_PATH_BYTES)
		return false;
	tree_path(w->current, &dir);
	if (!w->too_long_said)
		sense_trouble(w->s, "degraded", buf_str(&dir), 0,
			"a path below this directory is longer than %d bytes: it, and others like it, are "
			"never looked at",
			WIRE_PATH_BYTES - 1);
	w->too_long_said = true;
	return true;
}

static void walk_subdirectory(struct walk *w, const char *name)
{
	struct tree_dir *child;
	bool is_new;

	tree_path_of(w->current, name, &w->path);
	if (!w->s->watch->recursive || walk_is_too_long(w) ||
		!rules_enter_directory(w->s->watch, buf_str(&w->path), NULL))
		return;
	child = tree_add(w->s->tree, w->current, name, &is_new);
	child->met = w->serial;
	if (is_new || w->why)
		walk_directory(w, child);
}

/* Looks at w->path, a name of the current directory; by_force: whatever caches say. False: nothing can be
 * told of it, or it is gone again. */
static bool walk_probe(struct walk *w, bool by_force, struct probe_stat *ret)
{
	size_t root = w->current->root;
	int root_fd = sense_root_fd(w->s, root), rc;

	if (root_fd < 0) {
		sense_root_unopened(w->s, root, -root_fd); /* may close the current directory */
		return false;
	}
	rc = symlink_look(w->s, root, root_fd, buf_str(&w->path), by_force, ret);
	if (rc == -EACCES || rc == -EPERM) {
		sense_absolute(w->s, root, buf_str(&w->path), &w->absolute);
		if (!w->denied && !w->current->unreadable)
			sense_denied(w->s, buf_str(&w->absolute),
				"cannot look at this file (%s: may its directory be searched?); it and "
				"others "
				"there are tried again at each listing",
				strerror(-rc));
		w->denied = true;
	} else if (rc < 0 && rc != -ENOENT && rc != -ENOTDIR && rc != -ELOOP && rc != -EXDEV) {
		w->s->roots[root].cut_short = true;
	}
	return rc == 0;
}

/* What this name is called on the roster of the current directory. */
static uint64_t walk_id(const struct walk *w, const char *name, uint64_t ino)
{
	return roster_id(name, w->current->mount->kind.lists_inodes ? ino : 0);
}

/* Was it in the last listing already? In a poll round that is all there is to know. */
static bool walk_is_known(const struct walk *w, uint64_t id)
{
	return w->current->roster && roster_has(w->current->roster, id);
}

static void walk_remember(const struct walk *w, uint64_t id)
{
	if (w->current->roster)
		roster_add(w->current->roster, id);
}

/* A name that is not data; others may look for it. */
static void walk_mark(const struct walk *w, const char *name, bool marker)
{
	if (w->current->roster && (marker || rules_is_companion(name)))
		roster_add_mark(w->current->roster, roster_id(name, 0));
	if (marker)
		markers_seen(w->s->markers, w->current, name);
}

static void walk_file(struct walk *w, const char *name, uint64_t id)
{
	struct unsettled_file *f;
	struct wire_candidate c;
	struct probe_stat st;
	enum rules_name verdict;

	tree_path_of(w->current, name, &w->path);
	if (walk_is_too_long(w))
		return;
	verdict = rules_judge_name(w->s->watch, buf_str(&w->path), NULL);
	if (verdict != RULES_LOOK) {
		walk_mark(w, name, verdict == RULES_MARKER);
		return;
	}
	w->files++;
	f = unsettled_find(w->s->unsettled, w->current, name);
	if (f) {
		walk_remember(w, id);
		if ((f->unreadable || unsettled_is_unended(f)) && !w->polling) /* once a listing is enough */
			judge_schedule(w->s->judge, f);
		return;
	}
	if (!walk_probe(w, w->current->roster && !walk_is_known(w, id), &st) || !st.is_regular)
		return;
	walk_remember(w, id);
	c = (struct wire_candidate){.relpath = buf_str(&w->path),
		.size = st.look.size,
		.mtime_ns = st.look.mtime_ns,
		.ino = (int64_t)st.look.ino};
	w->batch_root = w->current->root;
	if (wire_candidates_add(&w->batch, &c) == 0)
		w->batch_n++;
}

/* A name of which the listing does not say what it is. */
static void walk_unknown(struct walk *w, const char *name, uint64_t id)
{
	struct probe_stat st;

	if (tree_child(w->s->tree, w->current, name)) {
		walk_subdirectory(w, name);
		return;
	}
	tree_path_of(w->current, name, &w->path);
	if (!walk_probe(w, true, &st))
		return;
	if (st.is_directory)
		walk_subdirectory(w, name);
	else if (st.is_regular)
		walk_file(w, name, id);
	else
		walk_remember(w, id);
}

static void walk_entry(struct walk *w, const struct dirent *e)
{
	uint64_t id;

	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
		return;
	id = walk_id(w, e->d_name, e->d_ino);
	if (e->d_type == DT_DIR)
		walk_subdirectory(w, e->d_name);
	else if (w->quick && walk_is_known(w, id))
		walk_remember(w, id); /* a poll round meets what was there before */
	else if (e->d_type == DT_REG || (e->d_type == DT_LNK && w->s->watch->follow_symlinks))
		walk_file(w, e->d_name, id);
	else if (e->d_type == DT_UNKNOWN)
		walk_unknown(w, e->d_name, id);
}

/* Room for one more candidate of this directory? Sends the batch when not. */
static bool walk_has_room(struct walk *w)
{
	if (outlet_is_blocked(w->s->outlet) || unsettled_is_full(w->s->unsettled)) {
		w->stopped = true;
		return false;
	}
	if (w->batch_n == 0)
		return true;
	if (w->batch_n < WIRE_CANDIDATES_MAX && w->batch.len + WIRE_PATH_BYTES + 64 < WIRE_CANDIDATES_BYTES &&
		(!w->current || w->current->root == w->batch_root))
		return true;
	return walk_flush(w);
}

/* Reads entries of the current directory. False: no room, stop for now. */
static bool walk_list_current(struct walk *w)
{
	for (int i = 0; i < WALK_ENTRIES_A_STEP && w->current; i++) {
		const struct dirent *e;

		if (!walk_has_room(w))
			return false;
		wire_page_enter(w->s->page, "getdents", buf_str(&w->place));
		errno = 0;
		e = readdir(w->dir);
		wire_page_leave(w->s->page);
		if (e) {
			walk_entry(w, e);
			continue;
		}
		if (errno != 0) {
			struct tree_dir *d = w->current;
			int code = errno;

			tree_path(d, &w->path);
			walk_close_current(w);
			walk_unopened(w, d, code);
		} else {
			walk_close_done(w);
		}
	}
	return true;
}

/* Time spent, but for what was spent on waiting for a server that did not answer: that is no work for it. */
static int64_t walk_spent_us(const struct walk *w)
{
	return clock_mono_us() - (w->s->page ? w->s->page->hung_us : 0);
}

static void walk_end_round(struct walk *w)
{
	w->polling = false;
	poll_ended(w->s->poll, w->cost_us + walk_spent_us(w) - w->step_us);
}

static void walk_go_on(struct walk *w)
{
	if (!w->current && !list_is_empty(&w->queue)) {
		if (!walk_has_room(w))
			return;
		walk_open_next(w);
	}
	if (w->current && !walk_list_current(w))
		return; /* resumed when there is room, or by the answer */
	if (w->current || !list_is_empty(&w->queue)) {
		walk_kick(w);
		return;
	}
	if (!walk_flush(w) || w->outstanding)
		return;
	if (w->why)
		walk_end_pass(w);
	else if (w->polling)
		walk_end_round(w);
}

static void walk_step(void *arg)
{
	struct walk *w = arg;

	w->stepping = false;
	w->step_us = walk_spent_us(w);
	walk_go_on(w);
	w->cost_us += walk_spent_us(w) - w->step_us;
}

static void walk_poll_one(struct tree_dir *d, void *arg)
{
	struct walk *w = arg;

	if (!d->roster || list_is_linked(&d->queued))
		return;
	d->quick = true;
	list_add_tail(&w->queue, &d->queued);
}

bool walk_poll(struct walk *w)
{
	if (w->why || w->polling || w->passes == 0 || w->current || !list_is_empty(&w->queue) ||
		w->outstanding)
		return false;
	tree_each(w->s->tree, walk_poll_one, w);
	w->polling = !list_is_empty(&w->queue);
	w->cost_us = 0;
	if (w->polling)
		walk_kick(w);
	return true;
}

bool walk_is_polling(const struct walk *w)
{
	return w->polling;
}
