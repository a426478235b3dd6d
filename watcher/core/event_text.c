/*
 * event_text: core/template's scanner over names of fields. Whether a value stands inside a string of a JSON
 * template is seen from the template's own text: quotation marks that are not escaped. What a value holds
 * never changes that, since it is escaped.
 *
 * That the result of a template is JSON for every event is tried with three: each field a text that has to be
 * escaped, each a number, none there.
 */
#include "core/event_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/json.h"
#include "base/jsonpick.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/event.h"
#include "core/template.h"

#define NAME_MAX_BYTES 32
#define WHOLE "event"
#define SAMPLE_RESULT_BYTES (8u * 1024 * 1024)

static const char *const names[] = {
	/* each event */
	"time",
	"type",
	"id",
	"host",
	"watch",
	WHOLE,
	/* file fields */
	"path",
	"path_base64",
	"relpath",
	"uri",
	"size",
	"mtime",
	"ends",
	"owner",
	"mime",
	"first_seen",
	"completed",
	/* run fields */
	"workspace",
	"job_id",
	"run_id",
	"token",
	"generation",
	"attempts",
	"latency_ms",
	"principal",
	"previous_run_id",
	"header",
	"app_id",
	/* why not */
	"reason",
	"http_status",
	"error_code",
	"message",
	"next_attempt",
	"advice",
	"rule",
	"detail",
	"waiting_for",
	"since",
	/* a watch */
	"method",
	"file_system",
	"count",
	"directories",
	"files",
	"unsettled",
	"took_ms",
	/* operator, service, consumer */
	"verb",
	"arguments",
	"user",
	"version",
	"configuration",
	"watches",
	"pending",
	"started",
	"failed",
	"rejected",
	"consumer",
	"events",
	"first_id",
	"last_id",
};

/* An event, and where in a template we are. */
struct place {
	enum event_text_form form;
	const char *line;
	size_t len;
	const struct json *event;
	bool in_string, escaped; /* JSON: inside a string, behind a backslash */
};

static bool piece_is(const struct template_piece *p, const char *name)
{
	return strlen(name) == p->len && memcmp(p->text, name, p->len) == 0;
}

/* The name in the table, or NULL. */
static const char *known_name(const struct template_piece *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (piece_is(p, names[i]))
			return names[i];
	}
	return NULL;
}

static int unknown(const struct template_piece *p, size_t column, struct err *err)
{
	const char *nearest = NULL;
	char word[NAME_MAX_BYTES], shown[64];

	if (p->len < sizeof(word)) {
		memcpy(word, p->text, p->len);
		word[p->len] = '\0';
		nearest = text_nearest(word, names, ARRAY_SIZE(names));
	}
	text_printable(p->text, p->len, shown, sizeof(shown));
	return err_set(err, ERR_CONF, EINVAL, "column %zu: no event has a field ${%s}%s%s%s", column, shown,
		nearest ? ", did you mean ${" : "", nearest ? nearest : "", nearest ? "}?" : "");
}

static int malformed(const char *text, const char *at, struct err *err)
{
	return err_set(err, ERR_CONF, EINVAL, "column %zu: %s", (size_t)(at - text) + 1,
		at[1] == '{' ? "\"${\" without \"}\"" : "a lone \"$\"; write \"$$\" for a dollar sign");
}

/* ---- values ---- */

/* Inside a string of JSON: as json_add_quoted has it, without the quotes. */
static int add_escaped(struct buf *b, const char *s, size_t len)
{
	CLEANUP_BUF struct buf quoted = BUF_INIT(b->max);

	if (json_add_quoted(&quoted, s, len) < 0)
		return -ENOBUFS;
	return buf_add(b, quoted.data + 1, quoted.len - 2);
}

static int add_words(struct buf *b, const struct place *at, const char *s, size_t len, bool is_json)
{
	if (at->form == EVENT_TEXT_PLAIN)
		return is_json ? buf_add(b, s, len) : text_add_printable(b, s, len);
	if (at->in_string)
		return add_escaped(b, s, len);
	return is_json ? buf_add(b, s, len) : json_add_quoted(b, s, len);
}

static size_t len_without_end(const char *line, size_t len)
{
	return len > 0 && line[len - 1] == '\n' ? len - 1 : len;
}

/* An object or array: as it stands in the line. */
static int add_raw(struct buf *b, const struct place *at, const char *name)
{
	struct jsonpick raw;

	if (jsonpick_find(at->line, at->len, name, &raw) < 0)
		return 0;
	return add_words(b, at, raw.s, raw.len, true);
}

static int add_value(struct buf *b, const struct place *at, const char *name)
{
	const struct json *value = json_get(at->event, name);
	const char *text = json_text(value);

	if (strcmp(name, WHOLE) == 0)
		return add_words(b, at, at->line, at->len, true);
	if (value == NULL || json_is_null(value))
		return at->form == EVENT_TEXT_JSON && !at->in_string ? buf_adds(b, "null") : 0;
	if (text != NULL)
		return add_words(b, at, text, strlen(text), !json_is_string(value));
	return add_raw(b, at, name);
}

/* ---- the template's own text ---- */

static void note_quotes(struct place *at, const struct template_piece *p)
{
	for (size_t i = 0; i < p->len; i++) {
		bool was_escaped = at->escaped;

		at->escaped = at->in_string && !was_escaped && p->text[i] == '\\';
		if (p->text[i] == '"' && !was_escaped)
			at->in_string = !at->in_string;
	}
}

static int add_piece(struct buf *b, struct place *at, const struct template_piece *p)
{
	const char *name;

	if (!p->is_name) {
		note_quotes(at, p);
		return buf_add(b, p->text, p->len);
	}
	name = known_name(p);
	at->escaped = false;
	return name != NULL ? add_value(b, at, name) : -EINVAL;
}

static int expand(const char *text, struct place *at, struct buf *b, struct err *err)
{
	const char *next = text;

	for (;;) {
		const char *start = next;
		struct template_piece piece;
		int r = template_next(&next, &piece);

		if (r < 0)
			return malformed(text, start, err);
		if (r == 0)
			return 0;
		r = add_piece(b, at, &piece);
		if (r == -ENOBUFS)
			return err_set(err, ERR_LIMIT, ENOBUFS, "longer than %zu bytes", b->max);
		if (r < 0)
			return unknown(&piece, (size_t)(start - text) + 1, err);
	}
}

int event_text_expand(const char *text, enum event_text_form form, const char *line, size_t len,
	struct buf *b, struct err *err)
{
	CLEANUP_JSON struct json *event = json_parse(line, len, err);
	struct place at = {.form = form, .line = line, .len = len_without_end(line, len), .event = event};

	if (event == NULL)
		return err_prefix(err, "an event");
	if (!json_is_object(event))
		return err_set(err, ERR_INPUT, EBADMSG, "an event that is no JSON object");
	return expand(text, &at, b, err);
}

/* ---- checking ---- */

enum sample { SAMPLE_WORDS = 0, SAMPLE_NUMBERS, SAMPLE_NOTHING };
#define SAMPLES 3

static void add_sample(struct buf *b, enum sample sample)
{
	struct json_writer w = JSON_WRITER(b);

	json_begin_object(&w, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(names) && sample != SAMPLE_NOTHING; i++) {
		if (sample == SAMPLE_WORDS)
			json_add_string(&w, names[i], "a \"word\"\n");
		else
			json_add_i64(&w, names[i], INT64_MAX);
	}
	json_end_object(&w);
}

static int check_sample(const char *text, enum event_text_form form, enum sample sample, struct err *err)
{
	CLEANUP_BUF struct buf line = BUF_INIT(EVENT_LINE_BYTES), result = BUF_INIT(SAMPLE_RESULT_BYTES);
	CLEANUP_JSON struct json *json = NULL;
	struct err why = ERR_INIT;
	int r;

	add_sample(&line, sample);
	r = event_text_expand(text, form, buf_str(&line), line.len, &result, err);
	if (r < 0 || form != EVENT_TEXT_JSON)
		return r;
	json = json_parse(buf_str(&result), result.len, &why);
	if (json != NULL)
		return 0;
	return err_set(err, ERR_CONF, EINVAL, "this does not make JSON%s: %s",
		sample == SAMPLE_WORDS	   ? ""
		: sample == SAMPLE_NUMBERS ? " when a field is a number"
					   : " when the event lacks a field",
		why.text);
}

int event_text_check(const char *text, enum event_text_form form, struct err *err)
{
	int r = 0;

	for (int i = 0; i < SAMPLES && r == 0; i++)
		r = check_sample(text, form, (enum sample)i, err);
	return r;
}

const char *const *event_text_names(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(names);
	return names;
}
