/*
 * explain: the same questions as judge asks, each answered in words. It runs in a watcher process of its own,
 * so that `explain` needs no more trust than watching does, and nobody but a watcher touches a drop folder.
 */
#include "sense/explain.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "core/filetype.h"
#include "core/rules.h"
#include "sense/away.h"
#include "sense/markers.h"
#include "sense/probe.h"
#include "sense/symlink.h"
#include "sense/verifier.h"
#include "sense/waiting.h"

struct explain {
	struct sense *s;
	int fd;
	int file_fd;
	size_t root;
	char relpath[WIRE_PATH_BYTES];
	const struct mount *mount;	/* what the file is on … */
	const struct mount *root_mount; /* … and its directory; NULL: not known */
	struct probe_stat st;
	struct probe_bytes bytes;
	struct filetype type;
	enum rules_verdict verdict;
	bool missing; /* there is no such file */
	bool asked;   /* the sniffer has a question */
	char why[RULES_WHY_BYTES];
	void (*done)(void *arg);
	void *arg;
};

static void explain_send(struct explain *x, enum wire_type type, const void *m)
{
	if (x->fd < 0)
		outlet_send(x->s->outlet, type, m);
	else if (wire_send_wait(x->fd, type, m, NULL, 0) < 0)
		trace(TRACE_CONTROL, "nobody reads the explanation any more");
}

static void explain_step(struct explain *x, const char *step, int ok, const char *fmt, ...) PRINTF_LIKE(4, 5);
static void explain_step(struct explain *x, const char *step, int ok, const char *fmt, ...)
{
	char text[4096];
	struct wire_explained m = {.step = step, .ok = ok, .text = text};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	explain_send(x, WIRE_EXPLAINED, &m);
}

static void explain_end(struct explain *x, const char *ends, int64_t size)
{
	const struct sense *s = x->s;
	struct wire_file m = {
		.root = s->roots[x->root].path,
		.relpath = x->relpath,
		.size = size,
		.mtime_ns = x->st.look.mtime_ns,
		.ino = (int64_t)x->st.look.ino,
		.birth_ns = x->st.inode.birth_ns,
		.owner = x->st.owner,
		.ends = ends,
		.mime = x->type.mime,
		.groups = x->type.groups,
		.by_listing = 1,
		.first_seen_us = clock_wall_us(),
		.completed_us = clock_wall_us(),
		.evidence = x->root_mount ? x->root_mount->kind.type : "",
		.rule = x->verdict == RULES_ACCEPT ? "" : rules_verdict_word(x->verdict),
		.detail = x->why,
		.dead_letter = rules_verdict_is_dead_letter(x->verdict),
		.rules_hash = s->rules_hash,
	};

	fs_close(&x->file_fd);
	explain_send(x, WIRE_EXPLAINED_FILE, &m);
	x->done(x->arg);
}

static bool explain_find_root(struct explain *x, const char *path)
{
	const struct sense *s = x->s;
	size_t best = 0;
	bool found = false;

	for (size_t i = 0; i < s->roots_n; i++) {
		size_t n = strlen(s->roots[i].path);

		if (!fs_is_beneath(s->roots[i].path, path) || (found && n <= best))
			continue;
		best = n;
		x->root = i;
		found = true;
		(void)snprintf(x->relpath, sizeof(x->relpath), "%s", path[n] == '/' ? path + n + 1 : "");
	}
	return found;
}

/* The first folder on the way to the directory, or itself, that this process may not pass or list. */
static void explain_closed(struct explain *x)
{
	const char *root = x->s->roots[x->root].path;
	CLEANUP_FREE char *path = mem_printf("%s/.", root);
	mode_t need = S_IXGRP;
	struct stat st;
	int fd = -1;

	wire_page_enter(x->s->page, "open", root);
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		const char kept[2] = {p[1], p[2]};

		memcpy(p + 1, ".", 2); /* which can be looked up where the folder may be passed */
		fd = open(path, O_PATH | O_CLOEXEC);
		memcpy(p + 1, kept, 2);
		if (fd < 0) {
			*p = '\0';
			break;
		}
		close(fd);
	}
	if (fd >= 0)
		need = S_IRGRP | S_IXGRP; /* it is passed, so it cannot be listed */
	explain_step(x, "closed", 2, "%s", fd >= 0 ? root : path);
	if (stat(fd >= 0 ? root : path, &st) == 0 && st.st_gid != 0 && (st.st_mode & need) == need)
		explain_step(x, "group", 2, "%lu", (unsigned long)st.st_gid);
	wire_page_leave(x->s->page);
}

/* The path is a watched directory itself. */
static void explain_directory(struct explain *x)
{
	int rc = sense_root_try(x->s, x->root);

	if (rc >= 0)
		explain_step(x, "directory", 1, "it can be listed");
	else
		explain_step(x, "directory", 0, "it cannot be listed: %s", sense_root_words(-rc));
	if (rc == -EACCES)
		explain_closed(x);
	explain_step(x, "watch", 0, "this is a directory of the watch itself, not a file in it");
	explain_end(x, "", rc == -ENOENT ? WIRE_SIZE_NOT_THERE : WIRE_SIZE_NOT_A_FILE);
}

static bool explain_name(struct explain *x)
{
	const struct sense *s = x->s;
	char why[RULES_WHY_BYTES] = "";
	enum rules_name name = rules_judge_name(s->watch, x->relpath, why);

	if (!s->watch->recursive && strchr(x->relpath, '/')) {
		explain_step(x, "name", 0, "lies in a subdirectory, and recursive = no");
		return false;
	}
	explain_step(x, "name", name == RULES_LOOK, "%s",
		name == RULES_LOOK ? (why[0] ? why : "not hidden, not ignored, not excluded, included")
				   : why);
	return name == RULES_LOOK;
}

/* The file among those that this watcher waits for, or NULL. */
static const struct unsettled_file *explain_find_unsettled(const struct explain *x)
{
	const struct sense *s = x->s;
	const char *slash = strrchr(x->relpath, '/');
	size_t len = slash ? (size_t)(slash - x->relpath) : 0;
	struct tree_dir *root = s->roots[x->root].dir;
	const struct tree_dir *dir = root ? tree_resolve(s->tree, root, x->relpath, len) : NULL;

	return dir ? unsettled_find(s->unsettled, dir, slash ? slash + 1 : x->relpath) : NULL;
}

/* What a running watcher knows: it has seen the events. */
static void explain_evidence(struct explain *x)
{
	const struct unsettled_file *f = explain_find_unsettled(x);
	CLEANUP_BUF struct buf missing = BUF_INIT(512), evidence = BUF_INIT(512);
	int64_t now_us = clock_mono_us();
	char since[CLOCK_TEXT_BYTES];

	if (!f && !x->s->roots[x->root].dir)
		return; /* the whole watch waits: the dispatcher says for what */
	if (!f) {
		explain_step(x, "complete", 2,
			"the watch does not wait for it: it was judged already, or has not been noticed "
			"(yet)");
		return;
	}
	waiting_add_reason(x->s, f, &missing);
	(void)settle_add_evidence(&f->settle, now_us, &evidence);
	explain_step(x, "complete", 0, "not yet, noticed %s: %s; so far: %s",
		clock_format_us(f->first_seen_us, 0, since), buf_str(&missing), buf_str(&evidence));
}

static void explain_marker(struct explain *x)
{
	CLEANUP_BUF struct buf path = BUF_INIT(2 * WIRE_PATH_BYTES);
	struct probe_stat st;
	bool there;

	if (x->s->watch->complete != CONF_COMPLETE_MARKER)
		return;
	if (markers_add_path(x->s, x->root, x->relpath, &x->st, &path) < 0) {
		explain_step(x, "marker", 0, "the path of its marker cannot be");
		return;
	}
	there = probe_name_now(AT_FDCWD, buf_str(&path), x->s->page, &st) == 0 && st.is_regular;
	explain_step(x, "marker", there ? 2 : 0, "%s %s", buf_str(&path),
		there ? "is there; it counts for one version only" : "is not there (yet)");
}

static void explain_back_end(struct explain *x)
{
	const struct mount *m = x->mount;
	char interval[CLOCK_TEXT_BYTES];

	if (!m->polled)
		explain_step(x, "back end", 2, "inotify, on %s%s", m->kind.name,
			m->kind.sees_writers ? "" : "; the kernel may not tell of every writer");
	else
		explain_step(x, "back end", 2, "%s, on %s: listed every %s; %s",
			m->notified ? "inotify+poll" : "poll", m->kind.name,
			clock_format_span(x->s->watch->poll_interval_us, interval),
			m->kind.sees_writers ? "events are not asked for"
					     : "nobody tells what other hosts write");
}

/* What can be said about completeness without having watched the file. */
static void explain_completeness(struct explain *x, enum settle_lease lease)
{
	static const char *const words[] = {
		[SETTLE_LEASE_UNKNOWN] = "nobody can tell whether a writer has it open (the read lease is "
					 "not permitted here: give the "
					 "service CAP_LEASE, or the file system does not know)",
		[SETTLE_LEASE_FREE] = "no writer has it open (read lease granted)",
		[SETTLE_LEASE_OPEN] = "a writer has it open (read lease refused): it waits for the close",
	};
	char closed[CLOCK_TEXT_BYTES], quiet[CLOCK_TEXT_BYTES];

	explain_step(x, "open",
		lease == SETTLE_LEASE_OPEN   ? 0
		: lease == SETTLE_LEASE_FREE ? 1
					     : 2,
		"%s", words[lease]);
	(void)clock_format_span(x->mount->policy.closed_us, closed);
	(void)clock_format_span(x->mount->policy.quiet_us, quiet);
	if (x->mount->policy.closed_us == x->mount->policy.quiet_us)
		explain_step(x, "settle", 2, "complete when unchanged for %s", closed);
	else
		explain_step(x, "settle", 2,
			"complete when unchanged for %s after its writer's close was seen, otherwise for %s",
			closed, quiet);
}

/* False: its end is missing, so it is not judged any further. */
static bool explain_trailer(struct explain *x)
{
	struct trailer t = {.verdict = TRAILER_NOT_JUDGED};
	int rc;

	if (!x->s->verifier)
		return true;
	rc = verifier_judge(x->s->verifier, x->file_fd, x->st.look.size, x->relpath, &t);
	if (rc < 0) {
		explain_step(x, "end", 0, "cannot be read: %s", rc == -ESTALE ? "it changes" : strerror(-rc));
		return true;
	}
	switch (t.verdict) {
	case TRAILER_NOT_JUDGED:
		explain_step(x, "end", 2, "not judged: neither gzip, zip, Parquet nor ORC (verify = yes)");
		break;
	case TRAILER_THERE:
		explain_step(x, "end", 1, "%s: its end is there", t.format);
		break;
	case TRAILER_UNPACK:
		explain_step(x, "end", 2,
			"%s: unpacking all of it tells whether its end is there; that is done when nothing "
			"else "
			"is missing",
			t.format);
		break;
	case TRAILER_MISSING:
		explain_step(x, "end", 0, "%s: it waits until that is there", t.lacks);
		return false;
	}
	return true;
}

/* Says where the link leads that this name is. True: it is one, and links are followed. */
static bool explain_link(struct explain *x, int root_fd)
{
	CLEANUP_BUF struct buf target = BUF_INIT(WIRE_PATH_BYTES);

	if (!x->s->watch->follow_symlinks || symlink_read(root_fd, x->relpath, x->s->page, &target) < 0)
		return false;
	explain_step(x, "link", 2,
		"a symbolic link to %s: size, times and content are of the file there; its changes are "
		"noticed "
		"by the listing every `rescan`",
		buf_str(&target));
	return true;
}

/* False: what was mounted there is gone, so what is there now is not looked at. */
static bool explain_mount(struct explain *x)
{
	const struct tree_dir *d = away_above(x->s, x->root, x->relpath);
	CLEANUP_BUF struct buf relpath = BUF_INIT(2 * WIRE_PATH_BYTES), path = BUF_INIT(2 * WIRE_PATH_BYTES);

	if (!d)
		return true;
	tree_path(d, &relpath);
	sense_absolute(x->s, x->root, buf_str(&relpath), &path);
	explain_step(x, "mount", 0,
		"what was mounted on %s is gone: nothing below it is looked at until something is mounted "
		"there",
		buf_str(&path));
	return false;
}

static bool explain_open(struct explain *x)
{
	struct sense *s = x->s;
	int root_fd = sense_root_fd(s, x->root);
	bool followed;

	if (root_fd < 0) {
		explain_step(x, "file", 0, "the watched directory cannot be opened: %s",
			sense_root_words(-root_fd));
		return false;
	}
	x->root_mount = mounts_of_fd(s->mounts, root_fd, s->roots[x->root].path, s->page);
	followed = explain_link(x, root_fd);
	x->file_fd = symlink_open(s, x->root, root_fd, x->relpath);
	if (x->file_fd < 0) {
		int code = -x->file_fd;

		x->file_fd = -1;
		x->missing = code == ENOENT || code == ENOTDIR;
		explain_step(x, "file", 0, "%s",
			code == ENOENT && followed ? "the link leads to nothing (yet)"
			: code == ENOENT	   ? "there is no such file (yet)"
			: code == EXDEV
				? "the link leads out of the folder, or to another file system: not followed"
			: code == ELOOP && followed ? "the link leads in a circle"
			: code == ELOOP ? "it is a symbolic link (follow_symlinks = no), or lies behind one: "
					  "not followed"
			: code == EACCES ? "it cannot be read (Permission denied): it waits until it can be"
					 : strerror(code));
		return false;
	}
	if (probe_fd(x->file_fd, x->relpath, s->page, &x->st) < 0 || !x->st.is_regular) {
		explain_step(x, "file", 0, "%s",
			followed ? "the link does not lead to a regular file: never looked at (what is in a "
				   "directory is watched there)"
				 : "not a regular file: never looked at");
		return false;
	}
	return true;
}

static void explain_verdict(struct explain *x)
{
	const struct sense *s = x->s;
	char ends[VERSION_ENDS_HEX] = "";

	if (s->watch->ends && probe_ends(x->file_fd, x->st.look.size, x->relpath, s->page, ends) < 0)
		ends[0] = '\0';
	explain_end(x, ends, x->st.look.size);
}

void explain_path(struct sense *s, int fd, const char *path, void (*done)(void *arg), void *arg)
{
	struct explain *x = mem_alloc(sizeof(*x));
	char mtime[CLOCK_TEXT_BYTES];
	struct err err = ERR_INIT;

	BUG_ON(s->explain); /* one question at a time */
	x->s = s;
	x->fd = fd;
	x->file_fd = -1;
	x->done = done;
	x->arg = arg;
	s->explain = x;
	rules_hash(s->watch, s->ask ? ask_libmagic_version(s->ask) : "", s->rules_hash);
	if (!explain_find_root(x, path)) {
		explain_step(x, "watch", 0, "this path is not below a directory of the watch");
		explain_end(x, "", WIRE_SIZE_NOT_A_FILE);
		return;
	}
	if (!x->relpath[0]) {
		explain_directory(x);
		return;
	}
	if (!explain_name(x) || !explain_mount(x) || !explain_open(x)) {
		explain_end(x, "", x->missing ? WIRE_SIZE_NOT_THERE : WIRE_SIZE_NOT_A_FILE);
		return;
	}
	explain_step(x, "file", 1, "%lld bytes, changed %s, inode %llu, owner %lld",
		(long long)x->st.look.size, clock_format_ns(x->st.look.mtime_ns, mtime),
		(unsigned long long)x->st.look.ino, (long long)x->st.owner);
	x->mount = mounts_of_fd(s->mounts, x->file_fd, x->relpath, s->page);
	explain_back_end(x);
	explain_marker(x);
	if (fd < 0)
		explain_evidence(x);
	explain_completeness(x, probe_lease(x->file_fd, x->mount->kind.sees_writers));
	x->verdict = rules_judge_file(s->watch, x->relpath, x->st.look.size, x->why);
	explain_step(x,
		x->verdict == RULES_ACCEPT || x->verdict == RULES_TOO_SMALL || x->verdict == RULES_TOO_LARGE
			? "size"
			: "characters",
		x->verdict == RULES_ACCEPT, "%s",
		x->verdict == RULES_ACCEPT ? "size and characters of the name are accepted" : x->why);
	if (x->verdict == RULES_ACCEPT && !explain_trailer(x)) {
		explain_end(x, "", x->st.look.size);
		return;
	}
	if (x->verdict != RULES_ACCEPT || !s->ask) {
		if (!s->ask)
			explain_step(x, "type", 1, "not asked for (no types, no exclude_types, no ${type})");
		explain_verdict(x);
		return;
	}
	x->asked = s->ask_trouble[0] != '\0';
	if (x->asked) {
		explain_check_ask(s);
		return;
	}
	if (probe_bytes(x->file_fd, x->st.look.size, x->relpath, s->page, &x->bytes) == 0 &&
		ask_start(s->ask, x->file_fd, x->relpath, EXPLAIN_TAG, &err) == 0) {
		x->asked = true;
		return; /* explain_answer goes on */
	}
	explain_step(x, "type", 0, "the file cannot be read: %s", err.text[0] ? err.text : "it changes");
	explain_end(x, "", WIRE_SIZE_NOT_A_FILE);
}

void explain_answer(struct sense *s, const struct ask_result *r)
{
	CLEANUP_BUF struct buf text = BUF_INIT(3000);
	struct explain *x = s->explain;
	const char *slash = strrchr(x->relpath, '/');
	const struct filetype_voices v = {
		.mime = r->mime,
		.name = slash ? slash + 1 : x->relpath,
		.head = x->bytes.head,
		.head_len = x->bytes.head_len,
		.tail = x->bytes.tail,
		.tail_len = x->bytes.tail_len,
		.size = x->st.look.size,
	};

	x->asked = false;
	rules_hash(s->watch, ask_libmagic_version(s->ask), s->rules_hash);
	filetype_explain(&v, &text);
	explain_step(x, "voices", 2, "%s", buf_str(&text));
	if (r->reason != ASK_OK)
		explain_step(x, "voices", 2, "%s", r->text);
	filetype_decide(&v, &x->type);
	buf_reset(&text);
	filetype_add_groups(&text, x->type.groups);
	x->verdict = filetype_judge(s->watch, &x->type, x->why);
	explain_step(x, "type", x->verdict == RULES_ACCEPT, "%s%s%s%s%s",
		x->type.known ? x->type.mime : "nobody can tell", text.len > 0 ? " " : "", buf_str(&text),
		x->why[0] ? ": " : "", x->why);
	explain_verdict(x);
}

void explain_check_ask(struct sense *s)
{
	struct explain *x = s->explain;

	if (!x || !x->asked || !s->ask_trouble[0])
		return;
	x->asked = false;
	x->verdict = RULES_TYPE_UNKNOWN;
	(void)snprintf(x->why, sizeof(x->why), "no type can be told");
	explain_step(x, "type", 0, "%s", s->ask_trouble);
	explain_end(x, "", x->st.look.size);
}

void explain_free(struct explain *x)
{
	if (!x)
		return;
	fs_close(&x->file_fd);
	free(x);
}
