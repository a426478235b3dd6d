/*
 * filetype: the voices are asked in a fixed order:
 *
 *   1. empty            application/x-empty, in no group
 *   2. signatures       gzip, zstd, Parquet, ORC, Avro, Arrow: bytes beat libmagic, whose answer for these
 * depends on its version. Formats with a mark at both ends need both: only the first means cut or not
 * finished, and the job that reads it would fail
 *   3. structured text  JSON, lines of JSON, XML, separated values, for bytes that are text
 *   4. libmagic         as it says
 *
 * Without libmagic (its deadline, a crash) only 1, 2 and the certain cases of 3 decide. "It looks like text"
 * does not: a script or a web page does too.
 *
 * Names of MIME types that changed over the years are brought to one spelling, in what libmagic says and in
 * what the user wrote, so that a new libmagic turns no file away.
 */
#include "core/filetype.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/text.h"
#include "core/template.h"
#include "core/textform.h"

#define OCTETS "application/octet-stream"
#define PLAIN "text/plain"
#define EMPTY "application/x-empty"

#define NOTE_CUT "begins like its format but does not end so: cut or not finished"
#define NOTE_JSON "begins like JSON but does not close what it opens"

/* ---- names of types ---- */

static const struct group {
	unsigned bit;
	const char *name;
} groups[] = {
	{FILETYPE_CSV, "@csv"},
	{FILETYPE_JSON, "@json"},
	{FILETYPE_NDJSON, "@ndjson"},
	{FILETYPE_XML, "@xml"},
	{FILETYPE_TEXT, "@text"},
	{FILETYPE_PARQUET, "@parquet"},
	{FILETYPE_AVRO, "@avro"},
	{FILETYPE_ORC, "@orc"},
	{FILETYPE_ARROW, "@arrow"},
	{FILETYPE_GZIP, "@gzip"},
	{FILETYPE_ZSTD, "@zstd"},
	{FILETYPE_ZIP, "@zip"},
};

static const struct {
	const char *other, *ours;
} aliases[] = {
	{"application/csv", "text/csv"},
	{"text/x-csv", "text/csv"},
	{"text/tsv", "text/tab-separated-values"},
	{"text/json", "application/json"},
	{"application/ndjson", "application/x-ndjson"},
	{"application/jsonl", "application/x-ndjson"},
	{"application/x-jsonlines", "application/x-ndjson"},
	{"application/xml", "text/xml"},
	{"application/parquet", "application/vnd.apache.parquet"},
	{"application/x-parquet", "application/vnd.apache.parquet"},
	{"application/orc", "application/vnd.apache.orc"},
	{"application/x-orc", "application/vnd.apache.orc"},
	{"application/x-avro", "application/avro"},
	{"application/vnd.apache.avro", "application/avro"},
	{"avro/binary", "application/avro"},
	{"application/x-gzip", "application/gzip"},
	{"application/x-zstd", "application/zstd"},
	{"application/x-zip", "application/zip"},
	{"application/x-zip-compressed", "application/zip"},
	{"inode/x-empty", EMPTY},
};

static const char *one_spelling(const char *mime)
{
	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (strcasecmp(aliases[i].other, mime) == 0)
			return aliases[i].ours;
	}
	return mime;
}

static bool is_mime(const char *mime, const char *which)
{
	return strcasecmp(mime, which) == 0;
}

static bool is_kind(const char *mime, const char *kind)
{
	return strncasecmp(mime, kind, strlen(kind)) == 0;
}

/* Ends with "+json" or "+xml". Not for zipped ones (application/vnd.ms-visio.drawing.main+xml): ask is_text
 * too. */
static bool has_suffix(const char *mime, const char *suffix)
{
	size_t n = strlen(mime), k = strlen(suffix);

	return n > k && strcasecmp(mime + n - k, suffix) == 0;
}

/* Characters of a MIME type's halves. Source: RFC 6838, section 4.2. */
static bool is_mime_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$&-^_.+", c));
}

/* libmagic's answer without parameters and rubbish; "" when it is no MIME type. Some versions say the same
 * twice with nothing between ("application/xapplication/x"). */
static void clean_mime(const char *said, char out[FILETYPE_MIME_BYTES])
{
	size_t n = 0, slashes = 0;
	const char *ours;

	out[0] = '\0';
	if (!said)
		return;
	for (; is_mime_char(said[n]) || said[n] == '/'; n++)
		slashes += said[n] == '/';
	if (slashes == 2 && n % 2 == 0 && memcmp(said, said + n / 2, n / 2) == 0) {
		n /= 2;
		slashes = 1;
	}
	if (n >= FILETYPE_MIME_BYTES || slashes != 1 || said[0] == '/' || said[n - 1] == '/')
		return;
	memcpy(out, said, n);
	out[n] = '\0';
	ours = one_spelling(out);
	if (ours != out)
		snprintf(out, FILETYPE_MIME_BYTES, "%s", ours);
}

/* ---- the extension ---- */

enum extension {
	EXTENSION_NONE,
	EXTENSION_COLUMNS,
	EXTENSION_JSON,
	EXTENSION_LINES,
	EXTENSION_XML,
	EXTENSION_OTHER
};

static const struct {
	const char *text;
	enum extension means;
	const char *words;
} extensions[] = {
	{"csv", EXTENSION_COLUMNS, "separated values"},
	{"tsv", EXTENSION_COLUMNS, "separated values"},
	{"tab", EXTENSION_COLUMNS, "separated values"},
	{"psv", EXTENSION_COLUMNS, "separated values"},
	{"ssv", EXTENSION_COLUMNS, "separated values"},
	{"dsv", EXTENSION_COLUMNS, "separated values"},
	{"json", EXTENSION_JSON, "JSON"},
	{"geojson", EXTENSION_JSON, "JSON"},
	{"topojson", EXTENSION_JSON, "JSON"},
	{"ndjson", EXTENSION_LINES, "lines of JSON"},
	{"jsonl", EXTENSION_LINES, "lines of JSON"},
	{"jsonlines", EXTENSION_LINES, "lines of JSON"},
	{"ldjson", EXTENSION_LINES, "lines of JSON"},
	{"xml", EXTENSION_XML, "XML"},
	{"xsd", EXTENSION_XML, "XML"},
	{"xsl", EXTENSION_XML, "XML"},
	{"xslt", EXTENSION_XML, "XML"},
};

/* "" when there is none. */
static const char *extension_text(const char *name)
{
	const char *slash = name ? strrchr(name, '/') : NULL;
	const char *base = slash ? slash + 1 : name;
	const char *dot = base ? strrchr(base, '.') : NULL;

	return dot && dot > base ? dot + 1 : "";
}

static enum extension extension_of(const char *name, const char **ret_words)
{
	const char *text = extension_text(name);

	*ret_words = "has no say";
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
		if (strcasecmp(extensions[i].text, text) == 0) {
			*ret_words = extensions[i].words;
			return extensions[i].means;
		}
	}
	return text[0] ? EXTENSION_OTHER : EXTENSION_NONE;
}

/* ---- signatures ---- */

static bool head_has(const struct filetype_voices *v, size_t at, const char *bytes, size_t n)
{
	return v->head_len >= at + n && memcmp(v->head + at, bytes, n) == 0;
}

static bool tail_has(const struct filetype_voices *v, size_t before_end, const char *bytes, size_t n)
{
	return v->tail_len >= before_end + n && memcmp(v->tail + v->tail_len - before_end - n, bytes, n) == 0;
}

static uint32_t little32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* RFC 1952, section 2.3: method 8 is the only one, the three upper flag bits are zero. */
static bool begins_gzip(const struct filetype_voices *v)
{
	return head_has(v, 0, "\x1f\x8b\x08", 3) && v->head_len >= 4 && (v->head[3] & 0xe0) == 0;
}

/* RFC 8878, section 3.1. Skippable frames belong to LZ4 as well, so a Zstandard frame must follow in sight.
 */
static bool begins_zstd(const struct filetype_voices *v)
{
	uint64_t at = 0;

	while (v->head_len >= 8 && at <= v->head_len - 8) {
		uint32_t magic = little32(v->head + at);

		if (magic == 0xfd2fb528)
			return true;
		if ((magic & 0xfffffff0) != 0x184d2a50)
			return false;
		at += 8 + (uint64_t)little32(v->head + at + 4);
	}
	return head_has(v, 0, "\x28\xb5\x2f\xfd", 4);
}

/* https://parquet.apache.org/docs/file-format/ ; PARE: the footer is encrypted. */
static bool begins_parquet(const struct filetype_voices *v)
{
	return head_has(v, 0, "PAR1", 4) || head_has(v, 0, "PARE", 4);
}

static bool ends_parquet(const struct filetype_voices *v)
{
	return v->size >= 12 && tail_has(v, 0, (const char *)v->head, 4);
}

/* https://orc.apache.org/specification/ORCv1/ : the postscript ends with "ORC", its length is the last byte.
 */
static bool begins_orc(const struct filetype_voices *v)
{
	return head_has(v, 0, "ORC", 3);
}

static bool ends_orc(const struct filetype_voices *v)
{
	return v->size > 7 && tail_has(v, 1, "ORC", 3);
}

/* https://avro.apache.org/docs/1.11.1/specification/#object-container-files */
static bool begins_avro(const struct filetype_voices *v)
{
	return head_has(v, 0, "Obj\x01", 4);
}

/* https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format */
static bool begins_arrow_file(const struct filetype_voices *v)
{
	return head_has(v, 0, "ARROW1", 6);
}

static bool ends_arrow_file(const struct filetype_voices *v)
{
	return v->size > 12 && tail_has(v, 0, "ARROW1", 6);
}

/* https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format : FFFFFFFF, the length of
 * the metadata (a multiple of 8), a flatbuffer Message whose header_type is Schema (1): the second entry of
 * its vtable. */
static bool begins_arrow_stream(const struct filetype_voices *v)
{
	uint64_t length, table, vtable, field;
	const uint8_t *meta;
	size_t space;

	if (!head_has(v, 0, "\xff\xff\xff\xff", 4) || v->head_len < 16)
		return false;
	meta = v->head + 8;
	space = v->head_len - 8;
	length = little32(v->head + 4);
	table = little32(meta);
	if (length < 16 || length % 8 != 0 || (int64_t)length > v->size - 8 || table + 4 > space ||
		table + 4 > length)
		return false;
	/* The table begins with its distance from the vtable, which may lie on either side. */
	vtable = table - (uint64_t)(int64_t)(int32_t)little32(meta + table);
	if (vtable > space || vtable + 8 > space || meta[vtable] < 8)
		return false;
	field = table + meta[vtable + 6] + (uint64_t)meta[vtable + 7] * 256;
	return field > table && field < space && meta[field] == 1;
}

/* PKWARE APPNOTE, sections 4.3.7 and 4.3.16 (an empty archive). */
static bool begins_zip(const struct filetype_voices *v)
{
	return head_has(v, 0, "PK\x03\x04", 4) || head_has(v, 0, "PK\x05\x06", 4);
}

static const struct signature {
	unsigned group;
	const char *words, *mime;
	bool (*begins)(const struct filetype_voices *v);
	bool (*ends)(const struct filetype_voices *v); /* NULL: has no mark at its end */
} signatures[] = {
	{FILETYPE_GZIP, "gzip", "application/gzip", begins_gzip, NULL},
	{FILETYPE_ZSTD, "Zstandard", "application/zstd", begins_zstd, NULL},
	{FILETYPE_PARQUET, "Parquet", "application/vnd.apache.parquet", begins_parquet, ends_parquet},
	{FILETYPE_ORC, "ORC", "application/vnd.apache.orc", begins_orc, ends_orc},
	{FILETYPE_AVRO, "Avro", "application/avro", begins_avro, NULL},
	{FILETYPE_ARROW, "Arrow", "application/vnd.apache.arrow.file", begins_arrow_file, ends_arrow_file},
	{FILETYPE_ARROW, "Arrow stream", "application/vnd.apache.arrow.stream", begins_arrow_stream, NULL},
};

static const struct signature *find_signature(const struct filetype_voices *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++) {
		if (signatures[i].begins(v))
			return &signatures[i];
	}
	return NULL;
}

/* Office and OpenDocument files, books and Java archives are zip archives too, and some versions of libmagic
 * say application/octet-stream to them. They can be told by the name of their first member. */
static bool is_document_archive(const struct filetype_voices *v)
{
	static const char *const members[] = {"[Content_Types].xml", "_rels/", "docProps/", "customXml/",
		"word/", "xl/", "ppt/", "mimetype", "META-INF/"};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (head_has(v, 30, members[i], strlen(members[i]))) /* 30: behind the local file header */
			return true;
	}
	return false;
}

/* ---- structured text ---- */

/* Everything that is asked about one file. */
struct question {
	const struct filetype_voices *v;
	const char *said; /* libmagic's type, "" when silent; "application/octet-stream" where it is not to be
			     believed */
	struct textform text;
	enum extension extension;
	struct filetype *ret;
};

static void answer(struct question *q, unsigned group_bits, const char *mime)
{
	q->ret->groups = group_bits;
	q->ret->known = true;
	snprintf(q->ret->mime, sizeof(q->ret->mime), "%s", mime);
}

/* Can it be structured text, by its bytes and by libmagic? Where libmagic saw further than the head and found
 * bytes that are no text, it is right. */
static bool may_be_structured(const struct question *q)
{
	if (!q->text.is_text || is_mime(q->said, OCTETS))
		return false;
	return q->said[0] == '\0' || is_kind(q->said, "text/") || is_kind(q->said, "message/") ||
	       is_kind(q->said, "application/") || has_suffix(q->said, "+xml") ||
	       has_suffix(q->said, "+json");
}

static bool answer_lines(struct question *q, bool is_json_too)
{
	answer(q, FILETYPE_NDJSON | (is_json_too ? FILETYPE_JSON : 0), "application/x-ndjson");
	return true;
}

static bool answer_json(struct question *q)
{
	answer(q, FILETYPE_JSON, has_suffix(q->said, "+json") ? q->said : "application/json");
	return true;
}

static bool answer_json_begun(struct question *q, bool one_line)
{
	if (one_line && q->extension == EXTENSION_LINES)
		return answer_lines(q, false);
	if (textform_json_closes(&q->text))
		return answer_json(q);
	if (q->said[0] == '\0' || q->extension != EXTENSION_JSON)
		return false;
	q->ret->note = NOTE_JSON;
	return answer_json(q);
}

static bool decide_json(struct question *q)
{
	bool one_line, named_json = q->extension == EXTENSION_JSON;
	enum textform_json json = textform_json(&q->text, &one_line);

	if (json == TEXTFORM_JSON_NO)
		return false;
	if (is_mime(q->said, "application/x-ndjson") || json == TEXTFORM_JSON_LINES)
		return answer_lines(q, named_json);
	if (json == TEXTFORM_JSON_WHOLE && one_line && q->extension == EXTENSION_LINES)
		return answer_lines(q, true); /* one line is both */
	if (json == TEXTFORM_JSON_WHOLE || is_mime(q->said, "application/json") ||
		has_suffix(q->said, "+json"))
		return answer_json(q);
	if (json == TEXTFORM_JSON_BEGUN)
		return answer_json_begun(q, one_line);
	/* Comments, NaN, a comma too many: what readers take all the same. */
	if (named_json && q->said[0] != '\0' && textform_json_closes(&q->text))
		return answer_json(q);
	return false;
}

static bool decide_xml(struct question *q)
{
	enum textform_xml xml = textform_xml(&q->text);
	bool is_xml =
		is_mime(q->said, "text/xml") || has_suffix(q->said, "+xml") || xml == TEXTFORM_XML_DECLARED;

	if (!is_xml && xml != TEXTFORM_XML_NO && q->said[0] != '\0')
		is_xml = q->extension == EXTENSION_XML ||
			 (xml == TEXTFORM_XML_ROOT && q->text.last == '>' && !is_mime(q->said, "text/html"));
	if (is_xml)
		answer(q, FILETYPE_XML, has_suffix(q->said, "+xml") ? q->said : "text/xml");
	return is_xml;
}

/* The extension says separated values: do the bytes? libmagic takes some tables for programs or letters (a
 * first column "From"), so even columns beat it; uneven ones, or a single column, only where it has nothing
 * better to say. */
static bool are_columns(const struct question *q, const struct textform_columns *c)
{
	if (c->is_even)
		return true;
	if (!is_mime(q->said, PLAIN))
		return false;
	return c->is_mostly || (c->separator == 0 && c->records > 0);
}

static bool decide_columns(struct question *q)
{
	struct textform_columns c;
	bool is_csv = is_mime(q->said, "text/csv");

	if (q->extension != EXTENSION_COLUMNS && !is_csv)
		return false;
	textform_columns(&q->text, &c);
	if (!is_csv && !are_columns(q, &c))
		return false;
	if (q->extension == EXTENSION_COLUMNS && c.separator == '\t' && c.is_mostly)
		answer(q, FILETYPE_CSV, "text/tab-separated-values");
	else
		answer(q, FILETYPE_CSV, "text/csv");
	return true;
}

/* ---- libmagic ---- */

static bool is_text_mime(const char *mime)
{
	static const char *const textual[] = {"application/javascript", "application/x-javascript",
		"application/json", "application/x-ndjson", "application/sql", "application/x-sql",
		"application/yaml", "application/x-yaml", "application/toml", "application/x-sh",
		"application/x-shellscript", "application/x-wine-extension-ini", "application/x-setupscript"};

	if (is_kind(mime, "text/") || is_kind(mime, "message/"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(textual); i++) {
		if (is_mime(mime, textual[i]))
			return true;
	}
	return false;
}

/* Groups that libmagic's word alone decides. */
static unsigned groups_of_mime(const char *mime)
{
	static const struct {
		const char *mime;
		unsigned bit;
	} table[] = {
		{"text/csv", FILETYPE_CSV},
		{"text/tab-separated-values", FILETYPE_CSV},
		{"application/json", FILETYPE_JSON},
		{"application/x-ndjson", FILETYPE_NDJSON},
		{"text/xml", FILETYPE_XML},
		{"application/gzip", FILETYPE_GZIP},
		{"application/zstd", FILETYPE_ZSTD},
		{"application/zip", FILETYPE_ZIP},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (is_mime(mime, table[i].mime))
			return table[i].bit;
	}
	return 0;
}

static void believe_libmagic(struct question *q)
{
	if (q->said[0] == '\0')
		return;
	if (is_mime(q->said, OCTETS) && begins_zip(q->v) && !is_document_archive(q->v))
		answer(q, FILETYPE_ZIP, "application/zip");
	else
		answer(q, groups_of_mime(q->said), q->said);
}

static void decide(struct question *q, const struct signature *s)
{
	if (s && (!s->ends || s->ends(q->v))) {
		answer(q, s->group, s->mime);
		return;
	}
	if (s && (is_mime(q->said, s->mime) || is_mime(q->said, OCTETS))) {
		/* A newer libmagic looks at the first mark only. "ORC" may also begin a table's first
		 * heading. */
		q->said = q->text.is_text ? PLAIN : OCTETS;
		q->ret->note = q->text.is_text ? NULL : NOTE_CUT;
	}
	if (is_mime(q->said, OCTETS) && q->text.is_text && q->text.ends_with_ctrl_z)
		q->said = PLAIN; /* all that libmagic minds */
	if (!may_be_structured(q) || !(decide_json(q) || decide_xml(q) || decide_columns(q)))
		believe_libmagic(q);
	if ((q->ret->groups & (FILETYPE_CSV | FILETYPE_JSON | FILETYPE_NDJSON | FILETYPE_XML)) ||
		is_text_mime(q->ret->mime))
		q->ret->groups |= FILETYPE_TEXT;
}

/* ---- explaining ---- */

static const char *json_words(const struct textform *t)
{
	bool one_line;

	switch (textform_json(t, &one_line)) {
	case TEXTFORM_JSON_LINES:
		return "lines of JSON";
	case TEXTFORM_JSON_WHOLE:
		return "JSON, complete";
	case TEXTFORM_JSON_BEGUN:
		return "JSON as far as they go";
	case TEXTFORM_JSON_LIKE:
		return "begin like JSON, but are not";
	case TEXTFORM_JSON_NO:
		break;
	}
	return NULL;
}

static const char *xml_words(const struct textform *t)
{
	switch (textform_xml(t)) {
	case TEXTFORM_XML_DECLARED:
		return "XML (declared)";
	case TEXTFORM_XML_ROOT:
		return "XML (by its first element)";
	case TEXTFORM_XML_ELEMENT:
		return "an element of HTML";
	case TEXTFORM_XML_NO:
		break;
	}
	return NULL;
}

static const char *separator_words(char separator)
{
	switch (separator) {
	case ',':
		return "commas";
	case ';':
		return "semicolons";
	case '\t':
		return "tabs";
	default:
		return "bars";
	}
}

static void explain_columns(const struct textform *t, struct buf *b)
{
	struct textform_columns c;

	textform_columns(t, &c);
	if (c.is_mostly)
		buf_addf(b, "text, separated by %s: %zu records, %s %zu fields", separator_words(c.separator),
			c.records, c.is_even ? "all of" : "mostly of", c.fields);
	else
		buf_adds(b, c.separator ? "text" : "text in one column");
}

static void explain_head(const struct filetype_voices *v, const struct textform *t, struct buf *b)
{
	const struct signature *s = find_signature(v);
	const char *words = s ? s->words : begins_zip(v) ? "zip" : NULL;

	if (!words && t->is_text)
		words = json_words(t);
	if (!words && t->is_text)
		words = xml_words(t);
	if (words)
		buf_adds(b, words);
	else if (t->is_text)
		explain_columns(t, b);
	else
		buf_adds(b, v->head_len == 0 ? "none" : "not text, no known signature");
}

static void explain_tail(const struct filetype_voices *v, const struct textform *t, struct buf *b)
{
	const struct signature *s = find_signature(v);
	bool one_line;

	if (s && s->ends)
		buf_addf(
			b, s->ends(v) ? "the end of %s" : "not the end of %s: cut or not finished", s->words);
	else if (!s && t->is_text && textform_json(t, &one_line) != TEXTFORM_JSON_NO)
		buf_adds(b, textform_json_closes(t) ? "close what the first bytes open"
						    : "do not close what the first bytes open");
	else
		buf_adds(b, "say nothing");
}

/* ---- patterns ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* `*` is any run; the letters' case does not count. */
static bool wild_match(const char *pattern, const char *text)
{
	const char *star = NULL, *took = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			took = text;
		} else if (lower(*pattern) == lower(*text)) {
			pattern++;
			text++;
		} else if (star) {
			text = ++took;
			pattern = star;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool pattern_match(const char *pattern, const struct filetype *t)
{
	if (pattern[0] == '@') {
		for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
			if (strcasecmp(groups[i].name, pattern) == 0)
				return t->groups & groups[i].bit;
		}
		return false;
	}
	pattern = one_spelling(pattern);
	return wild_match(pattern, t->mime) || (t->said[0] != '\0' && wild_match(pattern, t->said));
}

static const char *list_match(const struct conf_list *patterns, const struct filetype *t)
{
	for (size_t i = 0; i < patterns->n; i++) {
		if (pattern_match(patterns->items[i], t))
			return patterns->items[i];
	}
	return NULL;
}

static void explain_why(char why[RULES_WHY_BYTES], const char *fmt, ...) PRINTF_LIKE(2, 3);
static void explain_why(char why[RULES_WHY_BYTES], const char *fmt, ...)
{
	va_list ap;

	if (!why)
		return;
	va_start(ap, fmt);
	vsnprintf(why, RULES_WHY_BYTES, fmt, ap);
	va_end(ap);
}

static int check_group(const char *pattern, struct err *err)
{
	const char *names[ARRAY_SIZE(groups)], *nearest;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (strcasecmp(groups[i].name, pattern) == 0)
			return 0;
		names[i] = groups[i].name;
	}
	if (strpbrk(pattern, " \t"))
		return err_set(err, ERR_CONF, EINVAL,
			"\"%s\" has a blank in it; several types are separated by commas", pattern);
	nearest = text_nearest(pattern, names, ARRAY_SIZE(names));
	return err_set(err, ERR_CONF, EINVAL, "unknown type group \"%s\"%s%s%s", pattern,
		nearest ? ", did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

/* A first half that is nobody's, but nearly somebody's ("txt/plain"). Others may be new ones. */
static const char *misspelt_kind(const char *pattern, size_t len)
{
	static const char *const kinds[] = {"application", "audio", "font", "image", "inode", "message",
		"model", "multipart", "text", "video"};
	char kind[32];

	if (len >= sizeof(kind) || memchr(pattern, '*', len))
		return NULL;
	for (size_t i = 0; i < len; i++)
		kind[i] = lower(pattern[i]);
	kind[len] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i], kind) == 0)
			return NULL;
	}
	return text_nearest(kind, kinds, ARRAY_SIZE(kinds));
}

static bool is_template_with_type(const struct conf_watch *w)
{
	for (size_t i = 0; i < w->param.n; i++) {
		if (template_uses(w->param.items[i].value, "type"))
			return true;
	}
	for (size_t i = 0; i < w->arg.n; i++) {
		if (template_uses(w->arg.items[i], "type"))
			return true;
	}
	return false;
}

/* ---- public ---- */

void filetype_decide(const struct filetype_voices *v, struct filetype *ret)
{
	struct filetype t = {.groups = 0};
	struct question q = {.v = v, .ret = &t};
	const char *words;

	clean_mime(v->mime, t.said);
	if (v->size == 0) {
		answer(&q, 0, EMPTY);
		*ret = t;
		return;
	}
	if (is_mime(t.said, EMPTY))
		t.said[0] = '\0'; /* it has bytes, so libmagic did not see them */
	q.said = t.said;
	q.extension = extension_of(v->name, &words);
	textform_init(&q.text, v->head, v->head_len, v->tail, v->tail_len, v->size);
	decide(&q, find_signature(v));
	*ret = t;
}

void filetype_explain(const struct filetype_voices *v, struct buf *b)
{
	char said[FILETYPE_MIME_BYTES];
	const char *words, *extension = extension_text(v->name);
	struct textform text;

	clean_mime(v->mime, said);
	textform_init(&text, v->head, v->head_len, v->tail, v->tail_len, v->size);
	buf_addf(b, "libmagic: %s\nfirst bytes: ", said[0] ? said : "no answer");
	explain_head(v, &text, b);
	buf_adds(b, "\nlast bytes: ");
	explain_tail(v, &text, b);
	buf_adds(b, "\nextension: ");
	if (extension[0] == '\0') {
		buf_adds(b, "none\n");
		return;
	}
	extension_of(v->name, &words);
	buf_addc(b, '.');
	text_add_printable(b, extension, strlen(extension));
	buf_addf(b, ", %s\n", words);
}

void filetype_add_groups(struct buf *b, unsigned group_bits)
{
	const char *between = "";

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (group_bits & groups[i].bit) {
			buf_addf(b, "%s%s", between, groups[i].name);
			between = " ";
		}
	}
}

enum rules_verdict filetype_judge(
	const struct conf_watch *w, const struct filetype *t, char why[RULES_WHY_BYTES])
{
	const char *hit;

	explain_why(why, "%s", "");
	if (w->types.n == 0 && w->exclude_types.n == 0)
		return RULES_ACCEPT;
	if (!t->known) {
		explain_why(why, "libmagic gave no answer and the bytes do not decide");
		return RULES_TYPE_UNKNOWN;
	}
	hit = list_match(&w->exclude_types, t);
	if (hit) {
		explain_why(why, "%s matches exclude_types: %s", t->mime, hit);
		return RULES_TYPE_EXCLUDED;
	}
	if (w->types.n == 0 || list_match(&w->types, t))
		return RULES_ACCEPT;
	explain_why(why, "%s is none of types%s%s", t->mime, t->note ? "; it " : "", t->note ? t->note : "");
	return RULES_TYPE;
}

int filetype_check_pattern(const char *pattern, struct err *err)
{
	const char *slash, *nearest;

	if (pattern[0] == '@')
		return check_group(pattern, err);
	slash = strchr(pattern, '/');
	if (!slash)
		return err_set(err, ERR_CONF, EINVAL,
			"\"%s\" is no type: write a MIME type such as text/csv, a pattern such as text/*, or "
			"a group "
			"such as @csv",
			pattern);
	for (const char *p = pattern; *p; p++) {
		if (p != slash && *p != '*' && !is_mime_char(*p))
			return err_set(err, ERR_CONF, EINVAL, "\"%s\" is no MIME type", pattern);
	}
	if (slash == pattern || slash[1] == '\0')
		return err_set(err, ERR_CONF, EINVAL, "\"%s\" is no MIME type", pattern);
	nearest = misspelt_kind(pattern, (size_t)(slash - pattern));
	if (nearest)
		return err_set(err, ERR_CONF, EINVAL, "no MIME type begins like \"%s\", did you mean %s%s?",
			pattern, nearest, slash);
	return 0;
}

bool filetype_is_needed(const struct conf_watch *w)
{
	return w->types.n > 0 || w->exclude_types.n > 0 || is_template_with_type(w);
}
