/*
 * template: one scanner (template_next) that checking, expanding and looking share, and one table of names.
 *
 * "{{" is watched while expanding, because Databricks expands it in values and knows no escape: a file name
 * must not be able to bring it about, not even as two single braces in neighbouring values.
 */
#include "core/template.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

#define NS_PER_MS INT64_C(1000000)
#define ELEMENT "element:"
#define ELEMENT_MAX 4096 /* no path has more elements */
#define NAME_MAX_BYTES 32

struct span {
	const char *at;
	size_t len;
};

static struct span span_of(const char *s)
{
	return (struct span){s ? s : "", s ? strlen(s) : 0};
}

static int add_span(struct buf *b, struct span s)
{
	return buf_add(b, s.at, s.len);
}

static struct span name_of(const struct template_facts *f)
{
	struct span path = span_of(f->path);
	const char *slash = strrchr(path.at, '/');

	return slash ? span_of(slash + 1) : path;
}

/* Where the extension's dot is in a name, or the name's length when it has none. */
static size_t dot_of(struct span name)
{
	size_t first = 0, dot = name.len;

	while (first < name.len && name.at[first] == '.')
		first++; /* leading dots hide a file, they begin no extension */
	for (size_t i = first; i + 1 < name.len; i++) {
		if (name.at[i] == '.')
			dot = i;
	}
	if (dot < name.len && name.at[name.len - 1] == '.')
		return name.len; /* "a.b." ends in a dot: nothing is behind it */
	return dot;
}

static int add_path(const struct template_facts *f, struct buf *b)
{
	return add_span(b, span_of(f->path));
}

static int add_uri(const struct template_facts *f, struct buf *b)
{
	return add_span(b, span_of(f->uri));
}

static int add_relpath(const struct template_facts *f, struct buf *b)
{
	return add_span(b, span_of(f->relpath));
}

static int add_name(const struct template_facts *f, struct buf *b)
{
	return add_span(b, name_of(f));
}

static int add_stem(const struct template_facts *f, struct buf *b)
{
	struct span name = name_of(f);

	return buf_add(b, name.at, dot_of(name));
}

static int add_ext(const struct template_facts *f, struct buf *b)
{
	struct span name = name_of(f);
	size_t dot = dot_of(name);

	return dot < name.len ? buf_add(b, name.at + dot + 1, name.len - dot - 1) : 0;
}

static int add_dir(const struct template_facts *f, struct buf *b)
{
	struct span path = span_of(f->path);
	const char *slash = strrchr(path.at, '/');

	if (!slash)
		return 0;
	return buf_add(b, path.at, slash == path.at ? 1 : (size_t)(slash - path.at));
}

static int add_dir_uri(const struct template_facts *f, struct buf *b)
{
	return add_span(b, span_of(f->dir_uri));
}

static int add_size(const struct template_facts *f, struct buf *b)
{
	return buf_addf(b, "%" PRId64, f->size);
}

static int add_mtime(const struct template_facts *f, struct buf *b)
{
	char text[CLOCK_TEXT_BYTES];

	return buf_adds(b, clock_format_ns(f->mtime_ns, text));
}

static int add_mtime_ms(const struct template_facts *f, struct buf *b)
{
	int64_t ms = f->mtime_ns / NS_PER_MS - (f->mtime_ns % NS_PER_MS < 0);

	return buf_addf(b, "%" PRId64, ms);
}

static int add_type(const struct template_facts *f, struct buf *b)
{
	return add_span(b, span_of(f->type));
}

static int add_watch(const struct template_facts *f, struct buf *b)
{
	return add_span(b, span_of(f->watch));
}

static int add_host(const struct template_facts *f, struct buf *b)
{
	return add_span(b, span_of(f->host));
}

static int add_job_id(const struct template_facts *f, struct buf *b)
{
	return buf_addf(b, "%" PRId64, f->job_id);
}

static int add_token(const struct template_facts *f, struct buf *b)
{
	return add_span(b, span_of(f->token));
}

static int add_now(const struct template_facts *f, struct buf *b)
{
	char text[CLOCK_TEXT_BYTES];

	return buf_adds(b, clock_format_us(f->now_us, 6, text));
}

static const struct {
	const char *name;
	int (*add)(const struct template_facts *f, struct buf *b);
} names[] = {
	{"path", add_path},
	{"uri", add_uri},
	{"relpath", add_relpath},
	{"name", add_name},
	{"stem", add_stem},
	{"ext", add_ext},
	{"dir", add_dir},
	{"dir_uri", add_dir_uri},
	{"size", add_size},
	{"mtime", add_mtime},
	{"mtime_ms", add_mtime_ms},
	{"type", add_type},
	{"watch", add_watch},
	{"host", add_host},
	{"job_id", add_job_id},
	{"token", add_token},
	{"now", add_now},
};

static bool piece_is(const struct template_piece *p, const char *name)
{
	return strlen(name) == p->len && memcmp(p->text, name, p->len) == 0;
}

static bool piece_is_element(const struct template_piece *p)
{
	return p->len >= strlen(ELEMENT) && memcmp(p->text, ELEMENT, strlen(ELEMENT)) == 0;
}

/* N of element:N; 0 when it is none. */
static int64_t element_number(const struct template_piece *p)
{
	char digits[NAME_MAX_BYTES];
	size_t n = p->len - strlen(ELEMENT);
	int64_t v;

	if (n >= sizeof(digits))
		return 0;
	memcpy(digits, p->text + strlen(ELEMENT), n);
	digits[n] = '\0';
	if (num_parse_i64(digits, &v) < 0 || v > ELEMENT_MAX || v < -ELEMENT_MAX)
		return 0;
	return v;
}

/* The element of path that number means (from 1, or from the end), "" outside. */
static struct span path_element(struct span path, int64_t number)
{
	const char *end = path.at + path.len;
	int64_t count = 0;

	for (const char *p = path.at; p < end; p++)
		count += *p != '/' && (p == path.at || p[-1] == '/');
	if (number < 0)
		number += count + 1;
	for (const char *p = path.at; p < end && number > 0; p++) {
		if (*p == '/' || (p > path.at && p[-1] != '/') || --number > 0)
			continue;
		return (struct span){p, strcspn(p, "/")};
	}
	return (struct span){"", 0};
}

static int add_value(const struct template_piece *p, const struct template_facts *f, struct buf *b)
{
	if (piece_is_element(p)) {
		int64_t number = element_number(p);

		return number ? add_span(b, path_element(span_of(f->path), number)) : -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (piece_is(p, names[i].name))
			return names[i].add(f, b);
	}
	return -EINVAL;
}

static const char *nearest_name(const struct template_piece *p)
{
	const char *known[ARRAY_SIZE(names) + 1];
	char word[NAME_MAX_BYTES];

	if (p->len >= sizeof(word))
		return NULL;
	memcpy(word, p->text, p->len);
	word[p->len] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		known[i] = names[i].name;
	known[ARRAY_SIZE(names)] = "element:N";
	return text_nearest(word, known, ARRAY_SIZE(known));
}

static int check_name(const struct template_piece *p, size_t column, struct err *err)
{
	const char *nearest;
	char shown[64];

	if (piece_is_element(p)) {
		if (element_number(p))
			return 0;
		return err_set(err, ERR_CONF, EINVAL,
			"column %zu: ${element:N} needs a number, 1 for the first element of the path, -1 "
			"for the last",
			column);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (piece_is(p, names[i].name))
			return 0;
	}
	nearest = nearest_name(p);
	text_printable(p->text, p->len, shown, sizeof(shown));
	return err_set(err, ERR_CONF, EINVAL, "column %zu: unknown ${%s}%s%s%s", column, shown,
		nearest ? ", did you mean ${" : "", nearest ? nearest : "", nearest ? "}?" : "");
}

static bool is_braces(const struct buf *b, size_t second)
{
	return b->data[second - 1] == '{' && b->data[second] == '{';
}

/* Did the piece just added (from start on) bring about a "{{"? A value does with any that ends in it, literal
 * text only where it meets a value. What is before `first` is not ours. */
static bool piece_made_braces(
	const struct buf *b, size_t first, size_t start, bool is_value, bool after_value)
{
	size_t i = start > first ? start : start + 1;

	if (!is_value)
		return after_value && i == start && i < b->len && is_braces(b, i);
	for (; i < b->len; i++) {
		if (is_braces(b, i))
			return true;
	}
	return false;
}

static int malformed(const char *text, const char *at, struct err *err)
{
	return err_set(err, ERR_CONF, EINVAL, "column %zu: %s", (size_t)(at - text) + 1,
		at[1] == '{' ? "\"${\" without \"}\"" : "a lone \"$\"; write \"$$\" for a dollar sign");
}

int template_check(const char *text, struct err *err)
{
	const char *at = text;

	for (;;) {
		const char *start = at;
		struct template_piece piece;
		int r = template_next(&at, &piece);

		if (r < 0)
			return malformed(text, start, err);
		if (r == 0)
			return 0;
		if (piece.is_name && check_name(&piece, (size_t)(start - text) + 1, err) < 0)
			return -EINVAL;
	}
}

int template_expand(const char *text, const struct template_facts *f, struct buf *b, struct err *err)
{
	return template_expand_braces(text, f, b, NULL, err);
}

int template_expand_braces(
	const char *text, const struct template_facts *f, struct buf *b, bool *ret_braces, struct err *err)
{
	const char *at = text;
	bool braces = false, after_value = false;
	size_t first = b->len;

	for (;;) {
		const char *start = at;
		struct template_piece piece;
		size_t len = b->len;
		int r = template_next(&at, &piece);

		if (r < 0)
			return malformed(text, start, err);
		if (r == 0)
			break;
		r = piece.is_name ? add_value(&piece, f, b) : buf_add(b, piece.text, piece.len);
		if (r == -ENOBUFS)
			return err_set(err, ERR_LIMIT, ENOBUFS, "longer than %zu bytes", b->max);
		if (r < 0)
			return check_name(&piece, (size_t)(start - text) + 1, err);
		braces = braces || piece_made_braces(b, first, len, piece.is_name, after_value);
		/* An empty value leaves the neighbour before it in charge. */
		after_value = b->len > len ? piece.is_name : after_value || piece.is_name;
	}
	if (ret_braces)
		*ret_braces = braces;
	return 0;
}

bool template_uses(const char *text, const char *name)
{
	struct template_piece piece;

	while (template_next(&text, &piece) > 0) {
		if (!piece.is_name)
			continue;
		if (piece_is(&piece, name) || (piece_is_element(&piece) && strcmp(name, "element") == 0))
			return true;
	}
	return false;
}

int template_next(const char **at, struct template_piece *ret)
{
	const char *p = *at, *close;

	if (*p == '\0')
		return 0;
	if (*p != '$') {
		*ret = (struct template_piece){p, strcspn(p, "$"), false};
		*at = p + ret->len;
		return 1;
	}
	if (p[1] == '$') {
		*ret = (struct template_piece){p, 1, false};
		*at = p + 2;
		return 1;
	}
	close = p[1] == '{' ? strchr(p, '}') : NULL;
	if (!close)
		return -EINVAL;
	*ret = (struct template_piece){p + 2, (size_t)(close - p) - 2, true};
	*at = close + 1;
	return 1;
}
