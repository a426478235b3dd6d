/*
 * glob: two loops of the same shape, one inside the other.
 *
 * A pattern is a list of elements between slashes. Inside an element only `*` can stand for a run, and
 * between elements only `**` can. So both levels are the old greedy match with one step back: on a mismatch
 * the last star takes one more (character, or element), and an earlier star need never be asked again,
 * because whatever it could take, the last one can take too. That gives pattern x path at worst and no
 * recursion; the textbook matchers that call themselves for every star are exponential, and names come from
 * strangers.
 *
 * A star steps by whole characters. Otherwise `*??` would match a name of one three-byte character.
 *
 * fnmatch(3) was not taken: it follows the locale, fails on bytes that are not UTF-8 and knows no `**`.
 */
#include "core/glob.h"

#include <stdint.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"

#define INVALID_BYTE 0x110000u /* a byte that is no character is this + its value: equal only to itself */

struct element {
	const char *at, *end;
};

/* A pattern without its slashes in front and at the end. */
struct shape {
	const char *at, *end;
	bool anchored;
	bool directories_only;
};

static bool shape_of(const char *pattern, struct shape *ret)
{
	size_t n = strlen(pattern);
	struct shape s = {.at = pattern, .end = pattern + n};

	if (n == 0 || n > GLOB_PATTERN_BYTES)
		return false;
	if (s.end[-1] == '/') {
		s.directories_only = true;
		s.end--;
	}
	if (s.at < s.end && s.at[0] == '/') {
		s.anchored = true;
		s.at++;
	}
	if (s.at == s.end)
		return false;
	if (memchr(s.at, '/', (size_t)(s.end - s.at)))
		s.anchored = true;
	*ret = s;
	return true;
}

static struct element element_at(const char *at, const char *end)
{
	const char *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;

	return (struct element){at, slash ? slash : end};
}

/* Start of the next element, or NULL behind the last one. */
static const char *element_next(const struct element *e, const char *end)
{
	return e->end < end ? e->end + 1 : NULL;
}

static bool element_is_any_depth(const struct element *e)
{
	return e->end - e->at == 2 && e->at[0] == '*' && e->at[1] == '*';
}

static size_t char_bytes(const char *s, const char *end)
{
	size_t n;

	if ((unsigned char)*s < 0x80)
		return 1;
	n = text_utf8_next(s, (size_t)(end - s));
	return n ? n : 1;
}

static uint32_t char_value(const char *s, size_t n)
{
	static const unsigned char lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t v = (unsigned char)*s;

	if (n == 1)
		return v < 0x80 ? v : INVALID_BYTE + v;
	v &= lead_mask[n];
	for (size_t i = 1; i < n; i++)
		v = v << 6 | ((unsigned char)s[i] & 0x3f);
	return v;
}

static bool in_range(uint32_t v, uint32_t from, uint32_t to)
{
	return v >= from && v <= to;
}

static bool is_upper(uint32_t v)
{
	return in_range(v, 'A', 'Z');
}

static bool is_lower(uint32_t v)
{
	return in_range(v, 'a', 'z');
}

static bool is_digit(uint32_t v)
{
	return in_range(v, '0', '9');
}

static bool is_alpha(uint32_t v)
{
	return is_upper(v) || is_lower(v);
}

static bool is_alnum(uint32_t v)
{
	return is_alpha(v) || is_digit(v);
}

static bool is_xdigit(uint32_t v)
{
	return is_digit(v) || in_range(v, 'a', 'f') || in_range(v, 'A', 'F');
}

static bool is_blank(uint32_t v)
{
	return v == ' ' || v == '\t';
}

static bool is_space(uint32_t v)
{
	return v == ' ' || in_range(v, '\t', '\r');
}

static bool is_cntrl(uint32_t v)
{
	return v < 0x20 || v == 0x7f;
}

static bool is_print(uint32_t v)
{
	return in_range(v, 0x20, 0x7e);
}

static bool is_graph(uint32_t v)
{
	return in_range(v, 0x21, 0x7e);
}

static bool is_punct(uint32_t v)
{
	return is_graph(v) && !is_alnum(v);
}

static const struct named_class {
	const char *name;
	bool (*holds)(uint32_t v);
} named_classes[] = {
	{"alnum", is_alnum},
	{"alpha", is_alpha},
	{"blank", is_blank},
	{"cntrl", is_cntrl},
	{"digit", is_digit},
	{"graph", is_graph},
	{"lower", is_lower},
	{"print", is_print},
	{"punct", is_punct},
	{"space", is_space},
	{"upper", is_upper},
	{"xdigit", is_xdigit},
};

static const struct named_class *named_class_find(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(named_classes); i++) {
		if (strlen(named_classes[i].name) == n && memcmp(named_classes[i].name, name, n) == 0)
			return &named_classes[i];
	}
	return NULL;
}

/* One character of a class, `\x` being x. Returns the place behind it, NULL when there is none. */
static const char *class_char(const char *p, const char *end, uint32_t *ret)
{
	size_t n;

	if (p < end && *p == '\\')
		p++;
	if (p >= end)
		return NULL;
	n = char_bytes(p, end);
	*ret = char_value(p, n);
	return p + n;
}

/* p is behind "[:". Returns the place behind ":]", NULL when it is not a known named class. */
static const char *class_named(const char *p, const char *end, uint32_t v, bool *hit)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));
	const struct named_class *c;

	if (!colon || colon + 1 >= end || colon[1] != ']')
		return NULL;
	c = named_class_find(p, (size_t)(colon - p));
	if (!c)
		return NULL;
	if (c->holds(v))
		*hit = true;
	return colon + 2;
}

/* p is a character of a class, or the first of a range. */
static const char *class_range(const char *p, const char *end, uint32_t v, bool *hit)
{
	uint32_t from, to;

	p = class_char(p, end, &from);
	if (!p)
		return NULL;
	to = from;
	if (p + 1 < end && p[0] == '-' && p[1] != ']') {
		p = class_char(p + 1, end, &to);
		if (!p || to < from)
			return NULL;
	}
	if (in_range(v, from, to))
		*hit = true;
	return p;
}

/* p is behind '['. Returns the place behind the closing ']', NULL when malformed. *ret: does the class hold
 * v? */
static const char *class_match(const char *p, const char *end, uint32_t v, bool *ret)
{
	bool negated = false, hit = false;
	const char *first;

	if (p < end && (*p == '!' || *p == '^')) {
		negated = true;
		p++;
	}
	first = p;
	while (p && p < end) {
		if (*p == ']' && p != first) {
			*ret = hit != negated;
			return p + 1;
		}
		if (p[0] == '[' && p + 1 < end && p[1] == ':')
			p = class_named(p + 2, end, v, &hit);
		else
			p = class_range(p, end, v, &hit);
	}
	return NULL;
}

/* Matches what stands at p (no star) with the start of [s, end). Returns the place behind it in the pattern,
 * NULL for no match; *ret_bytes is how much of the text was taken. */
static const char *match_one(
	const char *p, const char *p_end, const char *s, const char *s_end, size_t *ret_bytes)
{
	bool hit;

	*ret_bytes = 1;
	switch (*p) {
	case '?':
		*ret_bytes = char_bytes(s, s_end);
		return p + 1;
	case '[':
		*ret_bytes = char_bytes(s, s_end);
		p = class_match(p + 1, p_end, char_value(s, *ret_bytes), &hit);
		return p && hit ? p : NULL;
	case '\\':
		if (++p == p_end)
			return NULL;
		break;
	default:
		break;
	}
	return *p == *s ? p + 1 : NULL;
}

static bool has_special(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '*' || *p == '?' || *p == '[' || *p == '\\')
			return true;
	}
	return false;
}

static bool ends_with(const char *s, const char *s_end, const char *tail, const char *tail_end)
{
	size_t n = (size_t)(tail_end - tail);

	return (size_t)(s_end - s) >= n && memcmp(s_end - n, tail, n) == 0;
}

static bool match_element(const struct element *pattern, const struct element *text)
{
	const char *p = pattern->at, *s = text->at;
	const char *star = NULL, *star_took = NULL; /* behind the last star; where its run ends */

	while (s < text->end) {
		const char *next;
		size_t n;

		if (p < pattern->end && *p == '*') {
			star = ++p;
			star_took = s;
			/* Most patterns are `*.suffix`: no need to walk there. */
			if (!has_special(p, pattern->end))
				return ends_with(s, text->end, p, pattern->end);
			continue;
		}
		next = p < pattern->end ? match_one(p, pattern->end, s, text->end, &n) : NULL;
		if (next) {
			p = next;
			s += n;
		} else if (star) {
			star_took += char_bytes(star_took, text->end);
			s = star_took;
			p = star;
		} else {
			return false;
		}
	}
	while (p < pattern->end && *p == '*')
		p++;
	return p == pattern->end;
}

/* p and t start an element, or are NULL behind the last one. */
static bool match_path(const char *p, const char *p_end, const char *t, const char *t_end)
{
	const char *deep = NULL, *deep_took = NULL; /* behind the last `**`; where its run ends */

	while (t) {
		struct element text = element_at(t, t_end);
		struct element pattern = {NULL, NULL};

		if (p) {
			pattern = element_at(p, p_end);
			if (element_is_any_depth(&pattern)) {
				p = element_next(&pattern, p_end);
				if (!p)
					return true; /* at the end it takes all that is left, and there is
							some */
				deep = p;
				deep_took = t;
				continue;
			}
		}
		if (p && match_element(&pattern, &text)) {
			p = element_next(&pattern, p_end);
			t = element_next(&text, t_end);
		} else if (deep) {
			text = element_at(deep_took, t_end);
			deep_took = element_next(&text, t_end);
			t = deep_took;
			p = deep;
		} else {
			return false;
		}
	}
	return p == NULL;
}

static const char *basename_of(const char *relpath)
{
	const char *slash = strrchr(relpath, '/');

	return slash ? slash + 1 : relpath;
}

/* ---- glob_check ---- */

static int refuse(struct err *err, const char *pattern, const char *why)
{
	char shown[80];

	return err_set(err, ERR_CONF, EINVAL, "pattern \"%s\": %s",
		text_printable(pattern, strlen(pattern), shown, sizeof(shown)), why);
}

/* What is wrong with the class that starts at p (its '['); NULL: nothing, and *ret_next is behind it. A class
 * of the whole pattern, not of one element: so that a '/' in it is found. */
static const char *class_fault(const char *p, const char *end, const char **ret_next)
{
	bool ignored;
	const char *next = class_match(p + 1, end, 0, &ignored);

	if (!next)
		return memchr(p, ']', (size_t)(end - p))
			       ? "this [class] is malformed (range backwards, unknown "
				 "[:name:], or no closing bracket)"
			       : "a [class] is not closed";
	if (memchr(p, '/', (size_t)(next - p)))
		return "a [class] cannot hold a '/'";
	*ret_next = next;
	return NULL;
}

static const char *specials_fault(const char *p, const char *end)
{
	while (p < end) {
		const char *fault;

		if (*p == '\\') {
			if (p + 1 == end || p[1] == '/')
				return "a backslash with nothing behind it";
			p += 2;
		} else if (*p == '[') {
			fault = class_fault(p, end, &p);
			if (fault)
				return fault;
		} else {
			p++;
		}
	}
	return NULL;
}

static const char *elements_fault(const char *p, const char *end)
{
	while (p) {
		struct element e = element_at(p, end);
		size_t n = (size_t)(e.end - e.at);

		if (n == 0)
			return "an empty path element (//)";
		if ((n == 1 && e.at[0] == '.') || (n == 2 && e.at[0] == '.' && e.at[1] == '.'))
			return "\".\" and \"..\" match nothing; patterns start at the watched directory";
		p = element_next(&e, end);
	}
	return NULL;
}

/* ---- public ---- */

int glob_check(const char *pattern, struct err *err)
{
	struct shape s;
	const char *fault;

	if (strlen(pattern) > GLOB_PATTERN_BYTES)
		return refuse(err, pattern, "longer than 1024 bytes");
	if (!shape_of(pattern, &s))
		return refuse(err, pattern, "empty");
	if (pattern[0] == '!')
		return refuse(
			err, pattern, "'!' has no meaning here; write \\! for a name that begins with it");
	fault = specials_fault(s.at, s.end);
	if (!fault)
		fault = elements_fault(s.at, s.end);
	return fault ? refuse(err, pattern, fault) : 0;
}

bool glob_match(const char *pattern, const char *relpath, bool is_directory)
{
	struct shape s;

	if (relpath[0] == '\0' || !shape_of(pattern, &s) || (s.directories_only && !is_directory))
		return false;
	if (!s.anchored)
		relpath = basename_of(relpath);
	return match_path(s.at, s.end, relpath, relpath + strlen(relpath));
}

bool glob_may_match_below(const char *pattern, const char *relpath)
{
	const char *p, *t = relpath[0] ? relpath : NULL, *t_end = relpath + strlen(relpath);
	struct shape s;

	if (!shape_of(pattern, &s))
		return false;
	if (!s.anchored)
		return true;
	for (p = s.at; p && t;) {
		struct element pattern_element = element_at(p, s.end), text = element_at(t, t_end);

		if (element_is_any_depth(&pattern_element))
			return true;
		if (!match_element(&pattern_element, &text))
			return false;
		p = element_next(&pattern_element, s.end);
		t = element_next(&text, t_end);
	}
	return p != NULL;
}

bool glob_is_literal(const char *pattern)
{
	size_t n = strlen(pattern);

	return n > 0 && pattern[n - 1] != '/' && !has_special(pattern, pattern + n);
}
