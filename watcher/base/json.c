/*
 * Reading is done in two steps. The first is ours: it walks the text by the grammar of RFC 8259, refuses
 * everything that is not exactly that, and writes a second text in which every string value is "s…" and every
 * number "n…" in quotes. cJSON builds its tree from the second text, so it never meets a number, a bad byte,
 * a deep nest or a NUL. The letter in front cannot collide with anything, since each value has one; keys are
 * left as they are.
 *
 * An item of cJSON's tree is a struct json by cast; nothing is allocated for it. Keys that come twice: the
 * first wins with json_get(), all are there for json_first() and json_next(). Values that are not wanted may
 * not be left out of the check: who reads a part must be able to rely on the whole.
 *
 * \u0000 and a lone half of a surrogate pair are refused: neither has a place in a C string of UTF-8.
 */
#include "base/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

#define DEPTH_MAX 64
#define MARK_STRING 's'
#define MARK_NUMBER 'n'
#define GROWTH_MAX 4 /* "1," becomes "\"n1\",": no value grows more */

struct reader {
	const char *start, *p, *end;
	struct buf *out;
	const char *why; /* NULL while all is well */
	const char *where;
};

static bool read_value(struct reader *r, int depth);

static bool refuse(struct reader *r, const char *why)
{
	r->why = why;
	r->where = r->p;
	return false;
}

static char peek(const struct reader *r)
{
	return r->p < r->end ? *r->p : '\0'; /* a NUL in the text is wrong wherever it stands */
}

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static bool copy(struct reader *r, const char *from)
{
	return buf_add(r->out, from, (size_t)(r->p - from)) == 0 || refuse(r, "too long");
}

static bool emit(struct reader *r, char c)
{
	return buf_addc(r->out, c) == 0 || refuse(r, "too long");
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* XXXX; -1 when it is not that */
static int take_hex4(struct reader *r)
{
	int v = 0;

	if (r->end - r->p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int h = hex_value(r->p[i]);

		if (h < 0)
			return -1;
		v = v << 4 | h;
	}
	r->p += 4;
	return v;
}

/* Behind "\u" */
static bool check_unicode_escape(struct reader *r)
{
	int v = take_hex4(r);

	if (v < 0)
		return refuse(r, "a \\u without four hexadecimal digits");
	if (v == 0)
		return refuse(r, "a NUL in a string");
	if (v >= 0xdc00 && v <= 0xdfff)
		return refuse(r, "half of a surrogate pair");
	if (v < 0xd800 || v > 0xdbff)
		return true;
	if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
		return refuse(r, "half of a surrogate pair");
	r->p += 2;
	v = take_hex4(r);
	return (v >= 0xdc00 && v <= 0xdfff) || refuse(r, "half of a surrogate pair");
}

static bool check_string_rest(struct reader *r)
{
	for (;;) {
		if (r->p == r->end)
			return refuse(r, "a string that does not end");

		unsigned char c = (unsigned char)*r->p;
		size_t n = text_utf8_next(r->p, (size_t)(r->end - r->p));

		if (n == 0)
			return refuse(r, "bytes that are not UTF-8");
		if (c < 0x20)
			return refuse(r, "a control character in a string");
		r->p += n;
		if (c == '"')
			return true;
		if (c != '\\')
			continue;
		c = (unsigned char)peek(r);
		if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
			return refuse(r, "an unknown escape");
		r->p++;
		if (c == 'u' && !check_unicode_escape(r))
			return false;
	}
}

/* At the opening quote. mark: put inside in front, or NUL for a key. */
static bool read_string(struct reader *r, char mark)
{
	const char *inside = ++r->p;

	if (!check_string_rest(r))
		return false;
	return emit(r, '"') && (mark == '\0' || emit(r, mark)) && copy(r, inside);
}

static bool take_digits(struct reader *r)
{
	const char *first = r->p;

	while (peek(r) >= '0' && peek(r) <= '9')
		r->p++;
	return r->p > first || refuse(r, "a number that is not one");
}

static bool read_number(struct reader *r)
{
	const char *first = r->p;

	if (peek(r) == '-')
		r->p++;
	if (peek(r) == '0')
		r->p++; /* a digit that follows is refused as whatever comes next */
	else if (!take_digits(r))
		return false;
	if (peek(r) == '.') {
		r->p++;
		if (!take_digits(r))
			return false;
	}
	if (peek(r) == 'e' || peek(r) == 'E') {
		r->p++;
		if (peek(r) == '+' || peek(r) == '-')
			r->p++;
		if (!take_digits(r))
			return false;
	}
	return emit(r, '"') && emit(r, MARK_NUMBER) && copy(r, first) && emit(r, '"');
}

static bool read_word(struct reader *r, const char *word)
{
	const char *first = r->p;
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return refuse(r, "a word that is not true, false or null");
	r->p += n;
	return copy(r, first);
}

static bool read_member(struct reader *r, int depth)
{
	if (peek(r) != '"')
		return refuse(r, "a key expected");
	if (!read_string(r, '\0'))
		return false;
	skip_blanks(r);
	if (peek(r) != ':')
		return refuse(r, "a colon expected");
	r->p++;
	if (!emit(r, ':'))
		return false;
	skip_blanks(r);
	return read_value(r, depth);
}

/* At the opening bracket; depth is that of this object or array, from 1. */
static bool read_container(struct reader *r, char close, int depth)
{
	if (depth > DEPTH_MAX)
		return refuse(r, "nested too deep");
	if (!emit(r, *r->p++))
		return false;
	skip_blanks(r);
	if (peek(r) == close) {
		r->p++;
		return emit(r, close);
	}
	for (;;) {
		if (!(close == '}' ? read_member(r, depth) : read_value(r, depth)))
			return false;
		skip_blanks(r);

		char c = peek(r);

		if (c != ',' && c != close)
			return refuse(r, "a comma or the end of an object or array expected");
		r->p++;
		if (!emit(r, c))
			return false;
		if (c == close)
			return true;
		skip_blanks(r);
	}
}

/* Recursive, but never deeper than DEPTH_MAX. */
static bool read_value(struct reader *r, int depth)
{
	char c = peek(r);

	if (c == '{' || c == '[')
		return read_container(r, c == '{' ? '}' : ']', depth + 1);
	if (c == '"')
		return read_string(r, MARK_STRING);
	if (c == '-' || (c >= '0' && c <= '9'))
		return read_number(r);
	if (c == 't' || c == 'f' || c == 'n')
		return read_word(r, c == 't' ? "true" : c == 'f' ? "false" : "null");
	return refuse(r, "a value expected");
}

static bool read_text(struct reader *r)
{
	skip_blanks(r);
	if (!read_value(r, 0))
		return false;
	skip_blanks(r);
	return r->p == r->end || refuse(r, "bytes after the end");
}

static const cJSON *item_of(const struct json *j)
{
	return (const cJSON *)(const void *)j;
}

static const struct json *json_of(const cJSON *item)
{
	return (const struct json *)(const void *)item;
}

static bool is_marked(const struct json *j, char mark)
{
	return j != NULL && cJSON_IsString(item_of(j)) && item_of(j)->valuestring[0] == mark;
}

static bool is_container(const struct json *j)
{
	return json_is_object(j) || json_is_array(j);
}

struct json *json_parse(const char *text, size_t len, struct err *err)
{
	CLEANUP_BUF struct buf out =
		BUF_INIT(len < SIZE_MAX / GROWTH_MAX - 4 ? len * GROWTH_MAX + 4 : SIZE_MAX - 1);
	struct reader r = {.start = text, .p = text, .end = text + len, .out = &out};

	if (!read_text(&r)) {
		err_set(err, ERR_INPUT, EBADMSG, "not valid JSON at byte %zu: %s",
			(size_t)(r.where - r.start), r.why);
		return NULL;
	}

	cJSON *root = cJSON_ParseWithLengthOpts(buf_str(&out), out.len + 1, NULL, 1);

	if (root == NULL)
		err_set(err, ERR_INPUT, EBADMSG, "JSON that cannot be read, or no memory for it");
	return (struct json *)(void *)root;
}

void json_free(struct json *root)
{
	cJSON_Delete((cJSON *)(void *)root);
}

bool json_is_object(const struct json *j)
{
	return j != NULL && cJSON_IsObject(item_of(j));
}

bool json_is_array(const struct json *j)
{
	return j != NULL && cJSON_IsArray(item_of(j));
}

bool json_is_string(const struct json *j)
{
	return is_marked(j, MARK_STRING);
}

bool json_is_number(const struct json *j)
{
	return is_marked(j, MARK_NUMBER);
}

bool json_is_true(const struct json *j)
{
	return j != NULL && cJSON_IsTrue(item_of(j));
}

bool json_is_false(const struct json *j)
{
	return j != NULL && cJSON_IsFalse(item_of(j));
}

bool json_is_null(const struct json *j)
{
	return j != NULL && cJSON_IsNull(item_of(j));
}

const struct json *json_get(const struct json *obj, const char *key)
{
	if (!json_is_object(obj))
		return NULL;
	for (const cJSON *item = item_of(obj)->child; item != NULL; item = item->next)
		if (strcmp(item->string, key) == 0)
			return json_of(item);
	return NULL;
}

size_t json_count(const struct json *array_or_object)
{
	size_t n = 0;

	for (const struct json *j = json_first(array_or_object); j != NULL; j = json_next(j))
		n++;
	return n;
}

const struct json *json_at(const struct json *array_or_object, size_t i)
{
	const struct json *j = json_first(array_or_object);

	while (j != NULL && i-- > 0)
		j = json_next(j);
	return j;
}

const struct json *json_first(const struct json *array_or_object)
{
	return is_container(array_or_object) ? json_of(item_of(array_or_object)->child) : NULL;
}

const struct json *json_next(const struct json *item)
{
	return item != NULL ? json_of(item_of(item)->next) : NULL;
}

const char *json_key(const struct json *item)
{
	return item != NULL ? item_of(item)->string : NULL;
}

const char *json_text(const struct json *j)
{
	return json_is_string(j) || json_is_number(j) ? item_of(j)->valuestring + 1 : NULL;
}

const char *json_get_text(const struct json *obj, const char *key)
{
	return json_text(json_get(obj, key));
}

int json_get_i64(const struct json *obj, const char *key, int64_t *ret)
{
	const struct json *j = json_get(obj, key);

	if (j == NULL)
		return -ENOENT;
	return json_text(j) != NULL ? num_parse_i64(json_text(j), ret) : -EINVAL;
}

/* The comma and the key, if they are due. */
static void begin_value(struct json_writer *w, const char *key)
{
	if (w->comma)
		buf_addc(w->b, ',');
	if (key != NULL) {
		json_add_quoted(w->b, key, strlen(key));
		buf_addc(w->b, ':');
	}
	w->comma = true;
}

static void begin_container(struct json_writer *w, const char *key, char open)
{
	begin_value(w, key);
	buf_addc(w->b, open);
	w->comma = false;
}

static void end_container(struct json_writer *w, char close)
{
	buf_addc(w->b, close);
	w->comma = true;
}

void json_begin_object(struct json_writer *w, const char *key)
{
	begin_container(w, key, '{');
}

void json_end_object(struct json_writer *w)
{
	end_container(w, '}');
}

void json_begin_array(struct json_writer *w, const char *key)
{
	begin_container(w, key, '[');
}

void json_end_array(struct json_writer *w)
{
	end_container(w, ']');
}

void json_add_string(struct json_writer *w, const char *key, const char *s)
{
	if (s == NULL)
		json_add_null(w, key);
	else
		json_add_bytes(w, key, s, strlen(s));
}

void json_add_bytes(struct json_writer *w, const char *key, const char *s, size_t len)
{
	begin_value(w, key);
	json_add_quoted(w->b, s, len);
}

void json_add_i64(struct json_writer *w, const char *key, int64_t v)
{
	begin_value(w, key);
	buf_addf(w->b, "%" PRId64, v);
}

void json_add_bool(struct json_writer *w, const char *key, bool v)
{
	begin_value(w, key);
	buf_adds(w->b, v ? "true" : "false");
}

void json_add_null(struct json_writer *w, const char *key)
{
	begin_value(w, key);
	buf_adds(w->b, "null");
}

void json_add_raw(struct json_writer *w, const char *key, const char *json, size_t len)
{
	begin_value(w, key);
	buf_add(w->b, json, len);
}

static int add_escape(struct buf *b, char c)
{
	static const char from[] = "\"\\\b\f\n\r\t";
	static const char to[] = "\"\\bfnrt";
	const char *at = c != '\0' ? strchr(from, c) : NULL;

	if (at == NULL)
		return buf_addf(b, "\\u%04x", (unsigned)(unsigned char)c);

	char pair[2] = {'\\', to[at - from]};

	return buf_add(b, pair, sizeof(pair));
}

int json_add_quoted(struct buf *b, const char *s, size_t len)
{
	size_t plain = 0; /* bytes at s that go out as they are */
	int r = buf_addc(b, '"');

	while (plain < len && r == 0) {
		unsigned char c = (unsigned char)s[plain];

		if (c >= 0x20 && c != '"' && c != '\\') {
			plain++;
			continue;
		}
		r = text_add_utf8_repaired(b, s, plain);
		if (r == 0)
			r = add_escape(b, (char)c);
		s += plain + 1;
		len -= plain + 1;
		plain = 0;
	}
	if (r == 0)
		r = text_add_utf8_repaired(b, s, plain);
	return r < 0 ? r : buf_addc(b, '"');
}
