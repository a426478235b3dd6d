/*
 * verifier: the queue holds files, not descriptors: each is opened when its turn comes, and what is open then
 * must be what had settled. The answer is kept with the file and the file is scheduled; judge then looks at
 * it as at any other, and asks here again, which is answered from what was kept.
 *
 * The sniffer that tells types is not asked, because unpacking may take minutes, and other files must not
 * wait that long for their type. The state page shows nothing of it for the same reason: this watcher goes
 * on. A mount that hangs is met by its own calls soon.
 */
#include "sense/verifier.h"

#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "sense/judge.h"
#include "sense/symlink.h"

#define VERIFIER_REST 9			    /* times what checking took: the pause after it … */
#define VERIFIER_SHORT_US (100 * US_PER_MS) /* … unless that was short */

struct verifier {
	struct sense *s;
	struct ask *ask;		/* NULL: nothing to unpack */
	struct list queue;		/* of unsettled_file.end.queued */
	struct unsettled_file *current; /* being unpacked; NULL when it vanished meanwhile */
	int fd;				/* of what is being unpacked; -1: nothing is */
	int64_t looked_us;
	uint64_t tag;
	struct buf path;
	uint8_t head[TRAILER_HEAD_BYTES], tail[TRAILER_TAIL_BYTES];
};

struct verifier *verifier_new(struct sense *s)
{
	struct verifier *v = mem_alloc(sizeof(*v));

	v->s = s;
	v->fd = -1;
	list_init(&v->queue);
	buf_init(&v->path, 2 * WIRE_PATH_BYTES);
	return v;
}

static void verifier_pump(void *arg);

bool verifier_is_busy(const struct verifier *v)
{
	return v->fd >= 0 || !list_is_empty(&v->queue);
}

static void verifier_close(struct verifier *v)
{
	if (v->fd < 0)
		return;
	wire_page_enter(v->s->page, "close", buf_str(&v->path));
	fs_close(&v->fd);
	wire_page_leave(v->s->page);
}

/* Nobody waits for the answer any more. */
static void verifier_give_up(void *arg)
{
	struct verifier *v = arg;

	ask_free(v->ask);
	v->ask = NULL;
	verifier_close(v);
	verifier_pump(v);
}

void verifier_free(struct verifier *v)
{
	if (!v)
		return;
	loop_defer_cancel(v->s->loop, verifier_pump, v);
	loop_defer_cancel(v->s->loop, verifier_give_up, v);
	ask_free(v->ask);
	verifier_close(v);
	while (!list_is_empty(&v->queue))
		list_remove(v->queue.next);
	buf_done(&v->path);
	free(v);
}

void verifier_forget(struct verifier *v, struct unsettled_file *f)
{
	if (list_is_linked(&f->end.queued))
		list_remove(&f->end.queued);
	if (f != v->current)
		return;
	v->current = NULL;
	loop_defer(v->s->loop, verifier_give_up, v);
}

/* ---- the last bytes ---- */

int verifier_judge(struct verifier *v, int fd, int64_t size, const char *path, struct trailer *ret)
{
	struct trailer_bytes b = {.head = v->head, .tail = v->tail, .size = size};
	int rc;

	b.head_len = size < TRAILER_HEAD_BYTES ? (size_t)size : TRAILER_HEAD_BYTES;
	rc = probe_read(fd, v->head, b.head_len, 0, path, v->s->page);
	if (rc < 0)
		return rc;
	b.tail_len = trailer_wants(v->head, b.head_len, size);
	rc = probe_read(fd, v->tail, b.tail_len, size - (int64_t)b.tail_len, path, v->s->page);
	if (rc == 0)
		trailer_judge(&b, ret);
	return rc;
}

/* ---- what is kept with the file ---- */

static void verifier_keep(
	struct unsettled_file *f, const struct trailer *t, int64_t looked_us, int64_t took_us)
{
	f->end.format = t->format;
	f->end.missing = t->lacks;
	f->end.looked_us = looked_us;
	f->end.done_us = clock_mono_us();
	f->end.took_us = took_us;
}

/* Until when is it not worth asking again about a file whose end was missing? */
static int64_t verifier_rest_until_us(const struct verifier *v, const struct unsettled_file *f)
{
	int64_t rest_us = f->end.took_us > VERIFIER_SHORT_US ? VERIFIER_REST * f->end.took_us : 0;

	/* As it was: once a listing, for content that changes without size and time. */
	if (unsettled_end_holds(f) && rest_us < v->s->watch->rescan_us / 2)
		rest_us = v->s->watch->rescan_us / 2;
	return f->end.done_us + rest_us;
}

/* Nobody tells of a change on a polled directory. */
static int64_t verifier_again_us(const struct verifier *v, const struct unsettled_file *f)
{
	if (!unsettled_end_holds(f))
		return verifier_rest_until_us(v, f);
	return f->dir->roster ? clock_mono_us() + v->s->watch->poll_interval_us : 0;
}

enum verifier_says verifier_look(struct verifier *v, struct unsettled_file *f, int fd, const char *relpath,
	const struct probe_stat *st, int64_t *ret_again_us)
{
	struct trailer t = {.verdict = TRAILER_NOT_JUDGED};
	int64_t now_us = clock_mono_us();

	if (list_is_linked(&f->end.queued) || f == v->current)
		return VERIFIER_ASKED;
	if (unsettled_end_holds(f) && !f->end.missing)
		return VERIFIER_PASS;
	if (!f->end.missing || now_us >= verifier_rest_until_us(v, f)) {
		if (verifier_judge(v, fd, st->look.size, relpath, &t) < 0)
			return VERIFIER_UNREAD;
		if (t.verdict == TRAILER_UNPACK) {
			list_add_tail(&v->queue, &f->end.queued);
			loop_defer(v->s->loop, verifier_pump, v);
			return VERIFIER_ASKED;
		}
		verifier_keep(f, &t, now_us, clock_mono_us() - now_us);
		if (t.verdict != TRAILER_MISSING)
			return VERIFIER_PASS;
	}
	*ret_again_us = verifier_again_us(v, f);
	return VERIFIER_MISSING;
}

/* ---- unpacking ---- */

/* judge looks at it (again) now. */
static void verifier_hand_back(struct verifier *v, struct unsettled_file *f)
{
	f->settle.due_us = clock_mono_us();
	judge_schedule(v->s->judge, f);
}

static void verifier_unread(struct verifier *v, struct unsettled_file *f)
{
	settle_unlooked(&f->settle, sense_policy(v->s, f->dir), clock_mono_us());
	judge_schedule(v->s->judge, f);
}

static void verifier_take_answer(struct verifier *v, struct unsettled_file *f, const struct ask_result *r)
{
	struct trailer t;

	if (r->reason == ASK_ERROR) {
		log_warning("%s: it could not be unpacked (%s); it is looked at again", buf_str(&v->path),
			r->text);
		verifier_unread(v, f);
		return;
	}
	if (r->reason != ASK_OK)
		log_warning("%s: whether its end is there cannot be told (%s); going on without",
			buf_str(&v->path), r->text);
	trailer_take_unpacked(r->end, &t);
	verifier_keep(f, &t, v->looked_us, clock_mono_us() - v->looked_us);
	verifier_hand_back(v, f);
}

static void verifier_on_answer(struct ask *a, const struct ask_result *r, void *arg)
{
	struct verifier *v = arg;
	struct unsettled_file *f = v->current;

	loop_defer_cancel(v->s->loop, verifier_give_up, v); /* it came all the same */
	v->current = NULL;
	verifier_close(v);
	if (f)
		verifier_take_answer(v, f, r);
	if (list_is_empty(&v->queue)) {
		ask_free(a);
		v->ask = NULL;
	} else {
		loop_defer(v->s->loop, verifier_pump, v);
	}
}

static void verifier_on_ready(struct ask *a, const struct err *err, void *arg)
{
	struct verifier *v = arg;

	(void)a;
	if (err)
		sense_trouble(v->s, "sniffer", v->s->roots[0].path, 0, "%s", err->text);
}

/* Opens the file whose turn it is. True: it is what had settled, and open as v->fd. */
static bool verifier_open(struct verifier *v, struct unsettled_file *f, int64_t *ret_size)
{
	size_t root = f->dir->root;
	int root_fd = sense_root_fd(v->s, root);
	struct settle_look look;
	struct probe_stat st;

	if (root_fd < 0) {
		sense_root_unopened(v->s, root, -root_fd);
		if (v->s->roots[root].dir) /* else f is forgotten with it */
			verifier_unread(v, f);
		return false;
	}
	tree_path_of(f->dir, f->name, &v->path);
	v->looked_us = clock_mono_us();
	v->fd = symlink_open(v->s, root, root_fd, buf_str(&v->path));
	if (v->fd < 0) {
		verifier_hand_back(v, f); /* judge knows what to do about it */
		return false;
	}
	if (probe_fd(v->fd, buf_str(&v->path), v->s->page, &st) < 0) {
		verifier_unread(v, f);
		return false;
	}
	look = sense_look(f->dir, &st.look);
	if (!st.is_regular || look.size != f->settle.last.size || look.mtime_ns != f->settle.last.mtime_ns ||
		look.ino != f->settle.last.ino) {
		verifier_hand_back(v, f);
		return false;
	}
	*ret_size = look.size;
	return true;
}

static bool verifier_ask(struct verifier *v, int64_t size)
{
	struct err err = ERR_INIT;

	if (!v->ask) {
		v->ask = ask_new(v->s->loop, NULL, v->s->watch->type_bytes, v->s->watch->type_deadline_us,
			verifier_on_answer, v, &err);
		if (v->ask)
			ask_open(v->ask, verifier_on_ready);
	}
	return v->ask && ask_start_end(v->ask, v->fd, size, buf_str(&v->path), ++v->tag, &err) == 0;
}

static void verifier_pump(void *arg)
{
	struct verifier *v = arg;

	while (v->fd < 0 && !list_is_empty(&v->queue)) {
		struct unsettled_file *f = LIST_OF(v->queue.next, struct unsettled_file, end.queued);
		int64_t size;

		list_remove(&f->end.queued);
		if (!verifier_open(v, f, &size)) {
			verifier_close(v);
			continue;
		}
		v->current = f;
		if (!verifier_ask(v, size)) {
			v->current = NULL;
			verifier_close(v);
			verifier_unread(v, f);
		}
	}
}
