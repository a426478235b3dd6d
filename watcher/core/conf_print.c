/*
 * The configuration as it works, written so that it can be read back: what was given first, each with its
 * origin in a comment above it, then the defaults. Only lines that the loader takes are written: at most 199
 * bytes, values in double quotes where the bare text would mean something else, longer ones continued by `\`.
 *
 * Values that were given are written from the entries, so that each value of a list keeps its own origin.
 */
#include "core/conf.h"

#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "core/conf_schema.h"
#include "core/conf_value.h"

#define LINE_BYTES 199

/* ---- one value as a line ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool needs_quotes(const struct conf_key *k, const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || strchr("\" \t;#", text[0]) || text[len - 1] == '\\' || is_blank(text[len - 1]))
		return true;
	if ((k->flags & CONF_COMMA) && strchr(text, ','))
		return true;
	for (size_t i = 1; i < len; i++) {
		if (is_blank(text[i - 1]) && (text[i] == ';' || text[i] == '#'))
			return true;
	}
	return false;
}

/* How much of rest fits into room bytes so that the next line does not begin with what would be cut off or
 * taken for a comment there. rest is longer than room. */
static size_t piece_of(const char *rest, size_t room)
{
	for (size_t n = room; n > 0; n--) {
		if (!strchr(" \t;#", rest[n]))
			return n;
	}
	return room;
}

/* KEY = VALUE, over several lines when it does not fit into one. */
static void add_line(const struct conf_key *k, const char *key, const char *value, struct buf *b)
{
	size_t room = LINE_BYTES - strlen(key) - strlen(" = ");
	struct buf text = BUF_INIT(CONF_TEXT_BYTES);

	(void)buf_addf(&text, needs_quotes(k, value) ? "\"%s\"" : "%s", value);
	(void)buf_addf(b, "%s = ", key);
	for (const char *rest = buf_str(&text); *rest;) {
		size_t len = strlen(rest);
		size_t n = len <= room ? len : piece_of(rest, room - 1);

		(void)buf_add(b, rest, n);
		(void)buf_adds(b, n < len ? "\\\n\t" : "\n");
		rest += n;
		room = LINE_BYTES - 1;
	}
	buf_done(&text);
}

/* What is not shown as it is cannot be read back either. */
static void add_shown_line(const struct conf_key *k, const char *key, const char *value, struct buf *b)
{
	struct buf shown = BUF_INIT(CONF_TEXT_BYTES);

	if (conf_value_add_shown(k, value, &shown))
		add_line(k, key, buf_str(&shown), b);
	else
		(void)buf_addf(b, "# not shown: %s = %s\n", key, buf_str(&shown));
	buf_done(&shown);
}

/* ---- one section ---- */

struct printer {
	const struct conf *c;
	struct buf *b;
	struct json_writer *w; /* NULL: as INI */
	const char *name;      /* of the section: "watch:orders" */
	enum conf_kind kind;
	const void *object;
};

static bool is_given(const struct printer *p, const struct conf_key *k)
{
	return conf_entry_find(p->c, p->name, k->name) != NULL;
}

static void add_origin(const struct conf_entry *e, struct buf *b)
{
	(void)text_add_printable(b, e->file, strlen(e->file));
	if (e->line > 0)
		(void)buf_addf(b, ":%d", e->line);
	if (!e->file[0])
		(void)buf_adds(b, "given");
}

/* The values of one entry, as they work. */
static int entry_values(
	const struct printer *p, const struct conf_key *k, const struct conf_entry *e, struct conf_list *ret)
{
	struct conf_list raw;
	struct buf text = BUF_INIT(CONF_TEXT_BYTES);

	if (conf_value_split(k, e->value, &raw, NULL) < 0)
		return -EINVAL;
	for (size_t i = 0; i < raw.n; i++) {
		buf_reset(&text);
		if ((k->flags & CONF_MULTI) || k->type == CONF_TYPE_PARAM)
			conf_value_add_canonical(k, raw.items[i], &text);
		else
			(void)conf_value_format(k, p->object, &text);
		conf_list_add(ret, buf_str(&text), text.len);
	}
	buf_done(&text);
	conf_list_done(&raw);
	return 0;
}

/* Calls fn for each entry that gave k in this section. */
static void each_given(const struct printer *p, const struct conf_key *k,
	void (*fn)(const struct printer *p, const struct conf_key *k, const struct conf_entry *e))
{
	const struct conf_entry *first = conf_entry_find(p->c, p->name, k->name);

	for (const struct conf_entry *e = first; e && e < p->c->entries + p->c->entries_n; e++) {
		if (strcmp(e->section, p->name) == 0 && conf_schema_find(p->kind, e->key) == k)
			fn(p, k, e);
	}
}

/* What works without having been given, one value; NULL when there is nothing. The text is added to b. */
static bool default_value(const struct printer *p, const struct conf_key *k, struct buf *b)
{
	const struct conf_watch *w = p->object;

	if (k->type == CONF_TYPE_PARAM) {
		if (w->param.n > 0)
			(void)buf_adds(b, w->param.items[0].value);
		return w->param.n > 0;
	}
	if (k->flags & CONF_MULTI) { /* arg, after conf_resolve(), is the only list that fills itself */
		if (k->type == CONF_TYPE_TEMPLATE && w->arg.n > 0)
			(void)buf_adds(b, w->arg.items[0]);
		return k->type == CONF_TYPE_TEMPLATE && w->arg.n > 0;
	}
	if (k->type == CONF_TYPE_NAME && p->kind == CONF_KIND_WATCH) {
		if (w->workspace)
			(void)buf_adds(b, w->workspace->name);
		return w->workspace && w->workspace->name[0];
	}
	return conf_value_format(k, p->object, b);
}

static const char *default_key(const struct printer *p, const struct conf_key *k, struct buf *b)
{
	if (k->type != CONF_TYPE_PARAM)
		return k->name;
	(void)buf_addf(b, "param.%s", ((const struct conf_watch *)p->object)->param.items[0].key);
	return buf_str(b);
}

/* ---- as INI ---- */

static void print_entry(const struct printer *p, const struct conf_key *k, const struct conf_entry *e)
{
	struct conf_list values = {.n = 0};

	if (entry_values(p, k, e, &values) < 0)
		return;
	(void)buf_adds(p->b, "# ");
	add_origin(e, p->b);
	(void)buf_addc(p->b, '\n');
	for (size_t i = 0; i < values.n; i++)
		add_shown_line(k, e->key, values.items[i], p->b);
	conf_list_done(&values);
}

static void print_default(const struct printer *p, const struct conf_key *k, struct buf *unset)
{
	struct buf value = BUF_INIT(CONF_TEXT_BYTES), key = BUF_INIT(CONF_TEXT_BYTES);

	if (default_value(p, k, &value))
		add_line(k, default_key(p, k, &key), buf_str(&value), p->b);
	else
		(void)buf_addf(unset, k->note ? "# %s: %s\n" : "# %s: none\n", k->name, k->note);
	buf_done(&value);
	buf_done(&key);
}

static void print_ini_section(const struct printer *p)
{
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);
	struct buf unset = BUF_INIT(CONF_TEXT_BYTES);

	(void)buf_addf(p->b, "%s[%s]\n", p->b->len ? "\n" : "", p->name);
	for (size_t i = 0; i < n; i++) {
		if (keys[i].kind == p->kind)
			each_given(p, &keys[i], print_entry);
	}
	(void)buf_adds(p->b, "# default\n");
	for (size_t i = 0; i < n; i++) {
		if (keys[i].kind == p->kind && !is_given(p, &keys[i]))
			print_default(p, &keys[i], &unset);
	}
	(void)buf_adds(p->b, buf_str(&unset));
	buf_done(&unset);
}

/* ---- as JSON: {"SECTION": {"KEY": {"value": …, "origin": …}}}, arrays for keys that take several ---- */

static void write_json_value(
	const struct printer *p, const struct conf_key *k, const char *key, const char *value)
{
	int64_t number;

	if (k->type == CONF_TYPE_BOOL)
		json_add_bool(p->w, key, strcmp(value, "yes") == 0);
	else if ((k->type == CONF_TYPE_COUNT || k->type == CONF_TYPE_ID) &&
		 num_parse_i64(value, &number) == 0)
		json_add_i64(p->w, key, number);
	else
		json_add_string(p->w, key, value);
}

static void write_json_origin(const struct printer *p, const char *key, const struct conf_entry *e)
{
	struct buf origin = BUF_INIT(CONF_TEXT_BYTES);

	add_origin(e, &origin);
	json_add_string(p->w, key, buf_str(&origin));
	buf_done(&origin);
}

/* As far as it may be shown. */
static void write_json_shown(
	const struct printer *p, const struct conf_key *k, const char *key, const char *value)
{
	struct buf shown = BUF_INIT(CONF_TEXT_BYTES);

	(void)conf_value_add_shown(k, value, &shown);
	write_json_value(p, k, key, buf_str(&shown));
	buf_done(&shown);
}

static void write_json_single(const struct printer *p, const struct conf_key *k, const struct conf_entry *e)
{
	struct conf_list values = {.n = 0};

	if (entry_values(p, k, e, &values) < 0)
		return;
	BUG_ON(values.n == 0); /* conf_set() takes no empty value */
	json_begin_object(p->w, e->key);
	write_json_shown(p, k, "value", values.items[0]);
	write_json_origin(p, "origin", e);
	json_end_object(p->w);
	conf_list_done(&values);
}

static void write_json_items(const struct printer *p, const struct conf_key *k, const struct conf_entry *e)
{
	struct conf_list values = {.n = 0};

	if (entry_values(p, k, e, &values) < 0)
		return;
	for (size_t i = 0; i < values.n; i++)
		write_json_shown(p, k, NULL, values.items[i]);
	conf_list_done(&values);
}

static void write_json_origins(const struct printer *p, const struct conf_key *k, const struct conf_entry *e)
{
	struct conf_list values = {.n = 0};

	if (entry_values(p, k, e, &values) < 0)
		return;
	for (size_t i = 0; i < values.n; i++)
		write_json_origin(p, NULL, e);
	conf_list_done(&values);
}

static void write_json_list(const struct printer *p, const struct conf_key *k)
{
	json_begin_object(p->w, k->name);
	json_begin_array(p->w, "value");
	each_given(p, k, write_json_items);
	json_end_array(p->w);
	json_begin_array(p->w, "origin");
	each_given(p, k, write_json_origins);
	json_end_array(p->w);
	json_end_object(p->w);
}

static void write_json_default(const struct printer *p, const struct conf_key *k)
{
	struct buf value = BUF_INIT(CONF_TEXT_BYTES), key = BUF_INIT(CONF_TEXT_BYTES);
	bool have = default_value(p, k, &value);

	json_begin_object(p->w, have ? default_key(p, k, &key) : k->name);
	if (have && (k->flags & CONF_MULTI)) {
		json_begin_array(p->w, "value");
		json_add_string(p->w, NULL, buf_str(&value));
		json_end_array(p->w);
	} else if (have) {
		write_json_value(p, k, "value", buf_str(&value));
	} else {
		json_add_null(p->w, "value");
	}
	json_add_string(p->w, "origin", "default");
	if (!have && k->note)
		json_add_string(p->w, "note", k->note);
	json_end_object(p->w);
	buf_done(&value);
	buf_done(&key);
}

static void print_json_section(const struct printer *p)
{
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);

	json_begin_object(p->w, p->name);
	for (size_t i = 0; i < n; i++) {
		if (keys[i].kind != p->kind)
			continue;
		if (!is_given(p, &keys[i]))
			write_json_default(p, &keys[i]);
		else if (keys[i].flags & CONF_MULTI)
			write_json_list(p, &keys[i]);
		else
			each_given(p, &keys[i], write_json_single);
	}
	json_end_object(p->w);
}

/* ---- all sections ---- */

static void print_section(struct printer *p, enum conf_kind kind, const char *name, const void *object)
{
	struct buf section = BUF_INIT(CONF_NAME_BYTES + 16);

	(void)buf_addf(&section, "%s%s%s", conf_schema_kind_name(kind), *name ? ":" : "", name);
	p->name = buf_str(&section);
	p->kind = kind;
	p->object = object;
	if (p->w)
		print_json_section(p);
	else
		print_ini_section(p);
	buf_done(&section);
}

void conf_print(const struct conf *c, bool json, struct buf *b)
{
	struct json_writer w = JSON_WRITER(b);
	struct printer p = {.c = c, .b = b, .w = json ? &w : NULL};

	if (json)
		json_begin_object(&w, NULL);
	print_section(&p, CONF_KIND_SERVICE, "", &c->service);
	print_section(&p, CONF_KIND_EVENTS, "", &c->events);
	for (size_t i = 0; i < c->workspaces_n; i++)
		print_section(&p, CONF_KIND_WORKSPACE, c->workspaces[i]->name, c->workspaces[i]);
	for (size_t i = 0; i < c->watches_n; i++)
		print_section(&p, CONF_KIND_WATCH, c->watches[i]->name, c->watches[i]);
	for (size_t i = 0; i < c->notifies_n; i++)
		print_section(&p, CONF_KIND_NOTIFY, c->notifies[i]->name, c->notifies[i]);
	if (json) {
		json_end_object(&w);
		(void)buf_addc(b, '\n');
	}
}
