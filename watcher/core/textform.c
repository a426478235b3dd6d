/*
 * textform: a JSON scanner that can stop anywhere, a look at the first tag, and a count of separators.
 *
 * The scanner keeps its own stack of bits, since the head is a stranger's. It answers three things: not JSON,
 * JSON as far as it goes, complete. libmagic has the same two last cases as one answer (text/plain) as soon
 * as a document is longer than it may read, which is why this exists.
 */
#include "core/textform.h"

#include <string.h>
#include <strings.h>
#include "base/mem.h"

#define DEPTH_MAX 512
#define RECORDS_MAX 1024 /* counted; more are not looked at */
#define CTRL_Z 0x1a	 /* DOS programs end a text with it */
#define OTHER '\xbf'	 /* stands for what is not ASCII in UTF-16 */

/* ---- characters ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* As libmagic sees it: BEL to CR and ESC belong to text, DEL and the other controls do not. */
static bool is_text_char(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 0x20 ? u != 0x7f : (u >= 0x07 && u <= 0x0d) || u == 0x1b;
}

static bool are_text_chars(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_text_char(s[i]))
			return false;
	}
	return true;
}

enum order { ORDER_NONE, ORDER_LITTLE, ORDER_BIG };

static enum order order_of(const uint8_t *head, size_t len)
{
	if (len < 2)
		return ORDER_NONE;
	if (head[0] == 0xff && head[1] == 0xfe) /* FF FE 00 00 is UTF-32, and no text to us */
		return len >= 4 && head[2] == 0 && head[3] == 0 ? ORDER_NONE : ORDER_LITTLE;
	return head[0] == 0xfe && head[1] == 0xff ? ORDER_BIG : ORDER_NONE;
}

static char narrow(const uint8_t *unit, enum order order)
{
	uint8_t high = unit[order == ORDER_LITTLE], low = unit[order == ORDER_BIG];

	return high == 0 && low < 0x80 ? (char)low : OTHER;
}

static void take_head(struct textform *t, const uint8_t *head, size_t len, enum order order)
{
	size_t at = 0;

	if (order != ORDER_NONE) {
		for (at = 2; at + 1 < len; at += 2)
			t->text[t->len++] = narrow(head + at, order);
		return;
	}
	if (len >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0)
		at = 3;
	t->len = len - at;
	if (t->len > 0)
		memcpy(t->text, head + at, t->len);
}

static bool is_filler(char c)
{
	return is_blank(c) || c == CTRL_Z;
}

static char last_char(const uint8_t *tail, size_t len, enum order order)
{
	size_t step = order == ORDER_NONE ? 1 : 2;

	for (; len >= step; len -= step) {
		const uint8_t *at = tail + len - step;
		char c = order == ORDER_NONE ? (char)*at : narrow(at, order);

		if (!is_filler(c))
			return c;
	}
	return 0;
}

static void cut_ctrl_z(struct textform *t, const char *s, size_t *len)
{
	while (*len > 0 && s[*len - 1] == CTRL_Z) {
		t->ends_with_ctrl_z = true;
		--*len;
	}
}

void textform_init(struct textform *t, const uint8_t *head, size_t head_len, const uint8_t *tail,
	size_t tail_len, int64_t size)
{
	size_t len = head_len < TEXTFORM_BYTES ? head_len : TEXTFORM_BYTES;
	enum order order = order_of(head, len);

	t->len = 0;
	t->ends_with_ctrl_z = false;
	t->is_cut = size > (int64_t)len;
	take_head(t, head, len, order);
	t->last = t->is_cut ? last_char(tail, tail_len, order) : last_char(head, len, order);
	if (!t->is_cut)
		cut_ctrl_z(t, t->text, &t->len);
	else
		cut_ctrl_z(t, (const char *)tail, &tail_len);
	t->is_text = t->len > 0 && are_text_chars(t->text, t->len);
	if (t->is_cut && order == ORDER_NONE)
		t->is_text = t->is_text && are_text_chars((const char *)tail, tail_len);
}

/* ---- JSON ---- */

enum scan { SCAN_BAD, SCAN_CUT, SCAN_DONE };

struct cursor {
	const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && is_blank(*c->at))
		c->at++;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* at is behind the backslash. */
static enum scan scan_escape(struct cursor *c)
{
	if (c->at == c->end)
		return SCAN_CUT;
	if (!strchr("\"\\/bfnrtu", *c->at) || *c->at == '\0')
		return SCAN_BAD;
	if (*c->at++ != 'u')
		return SCAN_DONE;
	for (int i = 0; i < 4; i++) {
		if (c->at == c->end)
			return SCAN_CUT;
		if (!is_hex(*c->at++))
			return SCAN_BAD;
	}
	return SCAN_DONE;
}

static enum scan scan_string(struct cursor *c)
{
	c->at++;
	while (c->at < c->end) {
		char ch = *c->at++;
		enum scan s;

		if (ch == '"')
			return SCAN_DONE;
		if ((unsigned char)ch < 0x20)
			return SCAN_BAD;
		if (ch != '\\')
			continue;
		s = scan_escape(c);
		if (s != SCAN_DONE)
			return s;
	}
	return SCAN_CUT;
}

static enum scan scan_word(struct cursor *c, const char *word)
{
	for (; *word; word++) {
		if (c->at == c->end)
			return SCAN_CUT;
		if (*c->at++ != *word)
			return SCAN_BAD;
	}
	return SCAN_DONE;
}

/* One or more digits. */
static enum scan scan_digits(struct cursor *c)
{
	if (c->at == c->end)
		return SCAN_CUT;
	if (!is_digit(*c->at))
		return SCAN_BAD;
	while (c->at < c->end && is_digit(*c->at))
		c->at++;
	return c->at == c->end ? SCAN_CUT : SCAN_DONE;
}

/* A number at the very end is cut: it stands in an object or array, which goes on. */
static enum scan scan_number(struct cursor *c)
{
	enum scan s;

	if (*c->at == '-')
		c->at++;
	if (c->at < c->end && *c->at == '0') {
		c->at++;
		s = c->at == c->end ? SCAN_CUT : SCAN_DONE;
	} else {
		s = scan_digits(c);
	}
	if (s == SCAN_DONE && *c->at == '.') {
		c->at++;
		s = scan_digits(c);
	}
	if (s == SCAN_DONE && (*c->at == 'e' || *c->at == 'E')) {
		c->at++;
		if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
			c->at++;
		s = scan_digits(c);
	}
	return s;
}

static enum scan scan_scalar(struct cursor *c)
{
	switch (*c->at) {
	case '"':
		return scan_string(c);
	case 't':
		return scan_word(c, "true");
	case 'f':
		return scan_word(c, "false");
	case 'n':
		return scan_word(c, "null");
	default:
		return scan_number(c);
	}
}

enum want {
	WANT_VALUE,
	WANT_VALUE_OR_CLOSE, /* behind [ */
	WANT_KEY,
	WANT_KEY_OR_CLOSE, /* behind { */
	WANT_COLON,
	WANT_MORE, /* a comma, or the closing bracket */
};

struct nesting {
	bool is_object[DEPTH_MAX];
	size_t depth;
	enum want want;
};

static enum scan open_bracket(struct nesting *n, struct cursor *c)
{
	bool is_object = *c->at == '{';

	if (n->depth == DEPTH_MAX)
		return SCAN_BAD;
	c->at++;
	n->is_object[n->depth++] = is_object;
	n->want = is_object ? WANT_KEY_OR_CLOSE : WANT_VALUE_OR_CLOSE;
	return SCAN_DONE;
}

static enum scan close_bracket(struct nesting *n, struct cursor *c)
{
	if (n->depth == 0 || *c->at != (n->is_object[n->depth - 1] ? '}' : ']'))
		return SCAN_BAD;
	c->at++;
	n->depth--;
	n->want = WANT_MORE;
	return SCAN_DONE;
}

static enum scan scan_value(struct nesting *n, struct cursor *c)
{
	if (*c->at == '{' || *c->at == '[')
		return open_bracket(n, c);
	n->want = WANT_MORE;
	return scan_scalar(c);
}

static enum scan scan_key(struct nesting *n, struct cursor *c)
{
	if (*c->at != '"')
		return SCAN_BAD;
	n->want = WANT_COLON;
	return scan_string(c);
}

static enum scan scan_colon(struct nesting *n, struct cursor *c)
{
	n->want = WANT_VALUE;
	return *c->at++ == ':' ? SCAN_DONE : SCAN_BAD;
}

static enum scan scan_more(struct nesting *n, struct cursor *c)
{
	if (*c->at != ',')
		return close_bracket(n, c);
	c->at++;
	n->want = n->is_object[n->depth - 1] ? WANT_KEY : WANT_VALUE;
	return SCAN_DONE;
}

static enum scan scan_step(struct nesting *n, struct cursor *c)
{
	switch (n->want) {
	case WANT_VALUE_OR_CLOSE:
		return *c->at == ']' ? close_bracket(n, c) : scan_value(n, c);
	case WANT_VALUE:
		return scan_value(n, c);
	case WANT_KEY_OR_CLOSE:
		return *c->at == '}' ? close_bracket(n, c) : scan_key(n, c);
	case WANT_KEY:
		return scan_key(n, c);
	case WANT_COLON:
		return scan_colon(n, c);
	case WANT_MORE:
		return scan_more(n, c);
	}
	return SCAN_BAD;
}

/* One object or array; the cursor is on its bracket. */
static enum scan scan_document(struct cursor *c)
{
	struct nesting n = {.depth = 0, .want = WANT_VALUE};

	do {
		enum scan s;

		skip_blanks(c);
		if (c->at == c->end)
			return SCAN_CUT;
		s = scan_step(&n, c);
		if (s != SCAN_DONE)
			return s;
	} while (n.depth > 0);
	return SCAN_DONE;
}

static bool begins_document(const struct cursor *c)
{
	return c->at < c->end && (*c->at == '{' || *c->at == '[');
}

/* What follows the first value: the cursor is right behind it. */
static enum textform_json json_behind(const struct textform *t, struct cursor *c, bool one_line)
{
	const char *behind = c->at;
	bool new_line;

	skip_blanks(c);
	new_line = memchr(behind, '\n', (size_t)(c->at - behind)) != NULL;
	if (c->at == c->end) {
		if (!t->is_cut)
			return TEXTFORM_JSON_WHOLE;
		return one_line && (t->last == '}' || t->last == ']') ? TEXTFORM_JSON_LINES
								      : TEXTFORM_JSON_LIKE;
	}
	if (!one_line || !new_line || !begins_document(c) || scan_document(c) == SCAN_BAD)
		return TEXTFORM_JSON_LIKE;
	return TEXTFORM_JSON_LINES;
}

enum textform_json textform_json(const struct textform *t, bool *ret_one_line)
{
	struct cursor c = {t->text, t->text + t->len};
	const char *start;
	enum scan s;

	*ret_one_line = false;
	skip_blanks(&c);
	if (!begins_document(&c))
		return TEXTFORM_JSON_NO;
	start = c.at;
	s = scan_document(&c);
	if (s == SCAN_BAD || (s == SCAN_CUT && !t->is_cut))
		return TEXTFORM_JSON_LIKE;
	*ret_one_line = !memchr(start, '\n', (size_t)(c.at - start));
	return s == SCAN_CUT ? TEXTFORM_JSON_BEGUN : json_behind(t, &c, *ret_one_line);
}

bool textform_json_closes(const struct textform *t)
{
	struct cursor c = {t->text, t->text + t->len};

	skip_blanks(&c);
	return begins_document(&c) && t->last == (*c.at == '{' ? '}' : ']');
}

/* ---- XML ---- */

static bool begins_with(const struct cursor *c, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(c->end - c->at) >= n && strncasecmp(c->at, word, n) == 0;
}

/* Moves behind the next `mark`. false: there is none. */
static bool skip_behind(struct cursor *c, const char *mark)
{
	size_t n = strlen(mark);

	for (; (size_t)(c->end - c->at) >= n; c->at++) {
		if (memcmp(c->at, mark, n) == 0) {
			c->at += n;
			return true;
		}
	}
	return false;
}

/* Moves over comments, processing instructions and a document type to the first element. false: none of it,
 * or HTML. */
static bool skip_prolog(struct cursor *c)
{
	for (;;) {
		skip_blanks(c);
		if (begins_with(c, "<!doctype html"))
			return false;
		if (begins_with(c, "<!--")) {
			c->at += 4;
			if (!skip_behind(c, "-->"))
				return false;
		} else if (begins_with(c, "<?")) {
			if (!skip_behind(c, "?>"))
				return false;
		} else if (begins_with(c, "<!doctype")) {
			const char *bracket = memchr(c->at, '[', (size_t)(c->end - c->at));
			const char *angle = memchr(c->at, '>', (size_t)(c->end - c->at));

			if (bracket && angle && bracket < angle && !skip_behind(c, "]"))
				return false;
			if (!skip_behind(c, ">"))
				return false;
		} else {
			return c->at < c->end && *c->at == '<';
		}
	}
}

static bool is_name_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == ':' ||
	       (unsigned char)c >= 0x80;
}

/* Of the tag at '<'; 0: no element. */
static size_t tag_name_bytes(const struct cursor *c)
{
	const char *p = c->at + 1;

	if (p == c->end || !is_name_start(*p))
		return 0;
	while (p < c->end && (is_name_start(*p) || is_digit(*p) || *p == '-' || *p == '.'))
		p++;
	if (p == c->end || !(is_blank(*p) || *p == '>' || *p == '/'))
		return 0;
	return (size_t)(p - c->at) - 1;
}

static bool is_html_name(const char *name, size_t n)
{
	static const char *const html[] = {"a", "b", "blockquote", "body", "br", "button", "center", "code",
		"div", "em", "font", "form", "h1", "h2", "h3", "h4", "head", "hr", "html", "i", "iframe",
		"img", "input", "li", "link", "meta", "ol", "p", "pre", "script", "span", "strong", "style",
		"table", "tbody", "td", "th", "title", "tr", "u", "ul"};

	for (size_t i = 0; i < ARRAY_SIZE(html); i++) {
		if (strlen(html[i]) == n && strncasecmp(html[i], name, n) == 0)
			return true;
	}
	return false;
}

enum textform_xml textform_xml(const struct textform *t)
{
	struct cursor c = {t->text, t->text + t->len};
	size_t n;

	skip_blanks(&c);
	if (begins_with(&c, "<?xml") && c.end - c.at > 5 && is_blank(c.at[5]))
		return TEXTFORM_XML_DECLARED;
	if (!skip_prolog(&c))
		return TEXTFORM_XML_NO;
	n = tag_name_bytes(&c);
	if (n == 0)
		return TEXTFORM_XML_NO;
	return is_html_name(c.at + 1, n) ? TEXTFORM_XML_ELEMENT : TEXTFORM_XML_ROOT;
}

/* ---- separated values ---- */

/* Moves over one record (RFC 4180: a field that begins with a quote ends with one). false: it is not
 * complete. */
static bool next_record(struct cursor *c, char separator, bool is_cut, size_t *ret_fields)
{
	bool at_start = true, quoted = false;
	size_t fields = 1;

	for (; c->at < c->end; c->at++) {
		char ch = *c->at;

		if (quoted) {
			if (ch == '"' && c->at + 1 < c->end && c->at[1] == '"')
				c->at++;
			else if (ch == '"')
				quoted = false;
			continue;
		}
		if (ch == '\n')
			break;
		if (ch == '"' && at_start)
			quoted = true;
		at_start = ch == separator;
		fields += ch == separator;
	}
	if (c->at == c->end && (is_cut || quoted))
		return false;
	if (c->at < c->end)
		c->at++;
	*ret_fields = fields;
	return true;
}

static bool is_blank_line(const char *from, const char *to)
{
	for (; from < to; from++) {
		if (!is_blank(*from))
			return false;
	}
	return true;
}

/* Number of fields of each complete record; returns how many. */
static size_t count_fields(const struct textform *t, char separator, uint16_t fields[RECORDS_MAX])
{
	struct cursor c = {t->text, t->text + t->len};
	size_t records = 0;

	while (c.at < c.end && records < RECORDS_MAX) {
		const char *from = c.at;
		size_t n;

		if (!next_record(&c, separator, t->is_cut, &n))
			break;
		if (n > 1 || !is_blank_line(from, c.at))
			fields[records++] = (uint16_t)n; /* n <= TEXTFORM_BYTES + 1 */
	}
	return records;
}

/* The number of fields that most records have; *ret_records: how many have it. */
static size_t most_frequent(const uint16_t *fields, size_t records, size_t *ret_records)
{
	uint16_t times[TEXTFORM_BYTES + 2] = {0};
	size_t best = 0;

	for (size_t i = 0; i < records; i++) {
		if (++times[fields[i]] > times[best])
			best = fields[i];
	}
	*ret_records = times[best];
	return best;
}

static void columns_of(const struct textform *t, char separator, struct textform_columns *ret)
{
	uint16_t fields[RECORDS_MAX];
	size_t records = count_fields(t, separator, fields), same = 0;
	size_t most = most_frequent(fields, records, &same);

	*ret = (struct textform_columns){
		.separator = separator,
		.records = records,
		.fields = most,
		.is_even = records >= 2 && same == records && most >= 2,
		.is_mostly = records >= 1 && same * 2 >= records && most >= 2,
	};
}

static bool is_better(const struct textform_columns *a, const struct textform_columns *b)
{
	if (a->is_even != b->is_even)
		return a->is_even;
	if (a->is_mostly != b->is_mostly)
		return a->is_mostly;
	return a->fields > b->fields;
}

static bool occurs(const struct textform *t, char c)
{
	return memchr(t->text, c, t->len) != NULL;
}

void textform_columns(const struct textform *t, struct textform_columns *ret)
{
	static const char separators[] = {',', ';', '\t', '|'};
	struct textform_columns best = {0};
	bool any = false;

	for (size_t i = 0; i < sizeof(separators); i++) {
		struct textform_columns one;

		columns_of(t, separators[i], &one);
		any = any || occurs(t, separators[i]);
		if (i == 0 || is_better(&one, &best))
			best = one;
	}
	if (!any)
		best.separator = 0;
	*ret = best;
}
