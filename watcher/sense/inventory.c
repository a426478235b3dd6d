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
#include "sense/waiting.h"

#define PAGE_BYTES (WIRE_MESSAGE_BYTES - 1024)
#define LINE_BYTES (60u * 1024) /* a path is at most 4 KiB, and six times that when escaped */

struct inventory {
	struct sense *s;
	int64_t skip;
	bool full;
	struct buf page, line, path, text;
};

static void count_file(struct unsettled_file *f, void *arg)
{
	struct wire_counts *m = arg;

	m->unreadable += f->denied;
}

static void count_directory(struct tree_dir *d, void *arg)
{
	struct wire_counts *m = arg;

	m->closed += d->unreadable;
	m->away += d->away;
	m->unwatched += d->roster && d->mount && !d->mount->polled;
}

static void count_all(struct sense *s, struct wire_counts *m)
{
	unsettled_each(s->unsettled, count_file, m);
	tree_each(s->tree, count_directory, m);
}

bool inventory_is_readable(struct sense *s)
{
	struct wire_counts m = {.unreadable = 0};

	count_all(s, &m);
	return m.unreadable == 0 && m.closed == 0;
}

bool inventory_is_watched(struct sense *s)
{
	struct wire_counts m = {.unwatched = 0};

	tree_each(s->tree, count_directory, &m);
	return m.unwatched == 0;
}

void inventory_count(struct sense *s)
{
	struct wire_counts m = {
		.unsettled = (int64_t)unsettled_count(s->unsettled),
		.judging = judge_is_busy(s->judge),
		.directories = (int64_t)tree_count(s->tree),
		.starved = s->short_said,
	};

	count_all(s, &m);
	outlet_send(s->outlet, WIRE_COUNTS, &m);
}

/* The relative path is in v->text. */
static void add_path(struct inventory *v, struct json_writer *w, size_t root)
{
	size_t relpath_at = strlen(v->s->roots[root].path) + 1;

	sense_absolute(v->s, root, buf_str(&v->text), &v->path);
	if (v->s->roots[root].path[1] == '\0')
		relpath_at = 1;
	json_add_bytes(w, "path", buf_str(&v->path), v->path.len);
	if (!text_is_utf8(buf_str(&v->path), v->path.len)) {
		buf_reset(&v->text);
		(void)text_add_base64(&v->text, buf_str(&v->path), v->path.len);
		json_add_string(w, "path_base64", buf_str(&v->text));
	}
	json_add_string(
		w, "relpath", buf_str(&v->path) + (relpath_at <= v->path.len ? relpath_at : v->path.len));
}

/* One item, whose relative path is in v->text; what it waits for comes there. */
static void begin_item(struct inventory *v, struct json_writer *w, size_t root)
{
	buf_reset(&v->line);
	json_begin_object(w, NULL);
	json_add_string(w, "watch", v->s->watch->name);
	add_path(v, w, root);
	json_add_string(w, "state", "waiting");
	buf_reset(&v->text);
}

static void end_item(struct inventory *v, struct json_writer *w, int64_t since_us)
{
	char since[CLOCK_TEXT_BYTES];

	json_add_string(w, "waiting_for", buf_str(&v->text));
	json_add_string(w, "since", clock_format_us(since_us, 6, since));
	json_end_object(w);
	(void)buf_addc(&v->line, '\n');
}

static void add_file(struct inventory *v, const struct unsettled_file *f)
{
	struct json_writer w = JSON_WRITER(&v->line);

	tree_path_of(f->dir, f->name, &v->text);
	begin_item(v, &w, f->dir->root);
	if (f->denied)
		(void)buf_adds(&v->text, "it cannot be read (permission denied); it is tried again at each "
					 "listing");
	else
		waiting_add_reason(v->s, f, &v->text);
	end_item(v, &w, f->first_seen_us);
}

static void add_directory(struct inventory *v, const struct tree_dir *d)
{
	struct json_writer w = JSON_WRITER(&v->line);

	tree_path(d, &v->text);
	begin_item(v, &w, d->root);
	(void)buf_adds(&v->text,
		"this directory, or something in it, may not be looked at; it is tried again "
		"at each listing");
	end_item(v, &w, d->unreadable_us);
}

/* Is the next one left out, for it was told before or there is no room? */
static bool is_left_out(struct inventory *v)
{
	if (v->skip == 0 && !v->full)
		return false;
	v->skip -= v->skip > 0;
	return true;
}

static void add_line(struct inventory *v)
{
	if (v->line.failed)
		return; /* longer than a path can make it */
	if (v->page.len + v->line.len > v->page.max)
		v->full = true;
	else
		(void)buf_add(&v->page, buf_str(&v->line), v->line.len);
}

static void inventory_one(struct unsettled_file *f, void *arg)
{
	struct inventory *v = arg;

	if (is_left_out(v))
		return;
	add_file(v, f);
	add_line(v);
}

static void inventory_directory(struct tree_dir *d, void *arg)
{
	struct inventory *v = arg;

	if (!d->unreadable || is_left_out(v))
		return;
	add_directory(v, d);
	add_line(v);
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
	tree_each(s->tree, inventory_directory, &v);
	answer.items = buf_str(&v.page);
	answer.items_len = v.page.len;
	outlet_send(s->outlet, WIRE_UNSETTLED, &answer);
	buf_done(&v.page);
	buf_done(&v.line);
	buf_done(&v.path);
	buf_done(&v.text);
}
