/*
 * inventory: each file is one JSON object, made here whole, so that the dispatcher only has to check and pass
 * it on.
 */
#include "sense/inventory.h"

#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "sense/judge.h"

#define PAGE_BYTES (WIRE_MESSAGE_BYTES - 1024)
#define LINE_BYTES (60u * 1024) /* a path is at most 4 KiB, and six times that when escaped */

struct inventory {
	struct sense *s;
	int64_t skip;
	bool full;
	struct buf page, line, path, text;
};

void inventory_count(struct sense *s)
{
	const struct wire_counts m = {
		.unsettled = (int64_t)unsettled_count(s->unsettled),
		.judging = judge_is_busy(s->judge),
		.directories = (int64_t)tree_count(s->tree),
	};

	outlet_send(s->outlet, WIRE_COUNTS, &m);
}

static void add_path(struct inventory *v, struct json_writer *w, const struct unsettled_file *f)
{
	size_t relpath_at = strlen(v->s->roots[f->dir->root].path) + 1;

	tree_path_of(f->dir, f->name, &v->text);
	sense_absolute(v->s, f->dir->root, buf_str(&v->text), &v->path);
	if (v->s->roots[f->dir->root].path[1] == '\0')
		relpath_at = 1;
	json_add_bytes(w, "path", buf_str(&v->path), v->path.len);
	if (!text_is_utf8(buf_str(&v->path), v->path.len)) {
		buf_reset(&v->text);
		(void)text_add_base64(&v->text, buf_str(&v->path), v->path.len);
		json_add_string(w, "path_base64", buf_str(&v->text));
	}
	json_add_string(w, "relpath", buf_str(&v->path) + (relpath_at <= v->path.len ? relpath_at : 0));
}

static void add_file(struct inventory *v, const struct unsettled_file *f)
{
	struct json_writer w = JSON_WRITER(&v->line);
	char since[CLOCK_TEXT_BYTES];

	buf_reset(&v->line);
	json_begin_object(&w, NULL);
	json_add_string(&w, "watch", v->s->watch->name);
	add_path(v, &w, f);
	json_add_string(&w, "state", "waiting");
	buf_reset(&v->text);
	if (f->unreadable)
		(void)buf_adds(&v->text, "it cannot be read; it is tried again at each listing");
	else
		(void)settle_add_missing(&f->settle, &v->s->policy, clock_mono_us(), &v->text);
	json_add_string(&w, "waiting_for", buf_str(&v->text));
	json_add_string(&w, "since", clock_format_us(f->first_seen_us, 6, since));
	json_end_object(&w);
	(void)buf_addc(&v->line, '\n');
}

static void inventory_one(struct unsettled_file *f, void *arg)
{
	struct inventory *v = arg;

	if (v->skip > 0 || v->full) {
		v->skip -= v->skip > 0;
		return;
	}
	add_file(v, f);
	if (v->line.failed)
		return; /* longer than a path can make it */
	if (v->page.len + v->line.len > v->page.max)
		v->full = true;
	else
		(void)buf_add(&v->page, buf_str(&v->line), v->line.len);
}

void inventory_list(struct sense *s, const struct wire_list *m)
{
	struct inventory v = {
		.s = s,
		.skip = m->offset,
		.page = BUF_INIT(PAGE_BYTES),
		.line = BUF_INIT(LINE_BYTES),
		.path = BUF_INIT(2 * WIRE_PATH_BYTES),
		.text = BUF_INIT(4 * WIRE_PATH_BYTES),
	};
	struct wire_unsettled answer = {.serial = m->serial, .total = (int64_t)unsettled_count(s->unsettled)};

	unsettled_each(s->unsettled, inventory_one, &v);
	answer.items = buf_str(&v.page);
	answer.items_len = v.page.len;
	outlet_send(s->outlet, WIRE_UNSETTLED, &answer);
	buf_done(&v.page);
	buf_done(&v.line);
	buf_done(&v.path);
	buf_done(&v.text);
}
