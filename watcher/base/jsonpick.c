/*
 * One pass with a cursor; a value is stepped over by counting brackets outside of strings. That lets some
 * texts through which are no JSON ("[1 2}" is not, "[1 2]" is): harmless, since a value that is wanted is
 * read by rules of its own.
 */
#include "base/jsonpick.h"

#include <stdbool.h>
#include <string.h>
#include "base/num.h"

#define DIGITS_BYTES 24

struct cursor {
	const char *p, *end;
};

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
		c->p++;
}

static bool take(struct cursor *c, char what)
{
	skip_blanks(c);
	if (c->p == c->end || *c->p != what)
		return false;
	c->p++;
	return true;
}

/* From the opening quote to behind the closing one. */
static bool skip_string(struct cursor *c)
{
	if (!take(c, '"'))
		return false;
	while (c->p < c->end && *c->p != '"') {
		if ((unsigned char)*c->p < 0x20)
			return false;
		c->p += *c->p == '\\' && c->end - c->p > 1 ? 2 : 1;
	}
	return take(c, '"');
}

/* A number, true, false, null: whatever stands up to the next sign. */
static bool skip_word(struct cursor *c)
{
	const char *from = c->p;

	while (c->p < c->end && ((*c->p >= '0' && *c->p <= '9') || (*c->p >= 'a' && *c->p <= 'z') ||
					*c->p == 'E' || *c->p == '+' || *c->p == '-' || *c->p == '.'))
		c->p++;
	return c->p > from;
}

/* An object or array with all that is in it. */
static bool skip_nested(struct cursor *c)
{
	char closing[JSONPICK_DEPTH_MAX];
	size_t depth = 0;

	do {
		skip_blanks(c);
		if (c->p == c->end)
			return false;
		if (*c->p == '"') {
			if (!skip_string(c))
				return false;
			continue;
		}
		if (*c->p == '{' || *c->p == '[') {
			if (depth == JSONPICK_DEPTH_MAX)
				return false;
			closing[depth++] = *c->p == '{' ? '}' : ']';
		} else if (*c->p == '}' || *c->p == ']') {
			if (closing[--depth] != *c->p)
				return false;
		} else if (*c->p != ',' && *c->p != ':') {
			if (!skip_word(c))
				return false;
			continue;
		}
		c->p++;
	} while (depth > 0);
	return true;
}

static bool skip_value(struct cursor *c, struct jsonpick *ret)
{
	bool good;

	skip_blanks(c);
	ret->s = c->p;
	if (c->p == c->end)
		return false;
	if (*c->p == '"')
		good = skip_string(c);
	else if (*c->p == '{' || *c->p == '[')
		good = skip_nested(c);
	else
		good = skip_word(c);
	ret->len = (size_t)(c->p - ret->s);
	return good;
}

static bool is_named(const struct jsonpick *quoted, const char *name)
{
	size_t len = strlen(name);

	return quoted->len == len + 2 && memcmp(quoted->s + 1, name, len) == 0;
}

int jsonpick_find(const char *text, size_t len, const char *name, struct jsonpick *ret)
{
	struct cursor c = {text, text + len};
	struct jsonpick found = {NULL, 0}, key, value;
	bool more;

	if (!take(&c, '{'))
		return -EBADMSG;
	more = !take(&c, '}');
	while (more) {
		skip_blanks(&c);
		key.s = c.p;
		if (!skip_string(&c))
			return -EBADMSG;
		key.len = (size_t)(c.p - key.s);
		if (!take(&c, ':') || !skip_value(&c, &value))
			return -EBADMSG;
		if (found.s == NULL && is_named(&key, name))
			found = value;
		more = take(&c, ',');
		if (!more && !take(&c, '}'))
			return -EBADMSG;
	}
	skip_blanks(&c);
	if (c.p != c.end)
		return -EBADMSG;
	if (found.s == NULL)
		return -ENOENT;
	*ret = found;
	return 0;
}

/* ---- what a value means ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four digits at p (before end); -1: there are none. */
static long read_unit(const char *p, const char *end)
{
	long unit = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

static int add_utf8(struct secret *s, long cp)
{
	char out[4];
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	int r;

	for (size_t i = n; i-- > 1; cp >>= 6)
		out[i] = (char)(0x80 | (cp & 0x3f));
	out[0] = (char)(n == 1 ? cp : (0xf00 >> n & 0xff) | cp); /* as many ones as bytes, a zero, the rest */
	r = secret_add(s, out, n);
	explicit_bzero(out, sizeof(out));
	return r;
}

/* *p stands behind "\u". */
static int add_unit(const char **p, const char *end, struct secret *s)
{
	long unit = read_unit(*p, end), low;

	if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff))
		return -EINVAL;
	*p += 4;
	if (unit < 0xd800 || unit > 0xdbff)
		return add_utf8(s, unit);
	if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return -EINVAL;
	low = read_unit(*p + 2, end);
	if (low < 0xdc00 || low > 0xdfff)
		return -EINVAL;
	*p += 6;
	return add_utf8(s, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
}

/* *p stands behind the backslash. */
static int add_escape(const char **p, const char *end, struct secret *s)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *at;

	if (*p == end)
		return -EINVAL;
	if (**p == 'u') {
		(*p)++;
		return add_unit(p, end, s);
	}
	at = memchr(letters, **p, sizeof(letters) - 1);
	if (at == NULL)
		return -EINVAL;
	(*p)++;
	return secret_add(s, meanings + (at - letters), 1);
}

int jsonpick_add_string(const struct jsonpick *value, struct secret *s)
{
	const char *p = value->s + 1, *end = value->s + value->len - 1;
	int r = 0;

	if (value->len < 2 || *value->s != '"')
		return -EINVAL;
	while (r == 0 && p < end) {
		const char *escape = memchr(p, '\\', (size_t)(end - p));
		const char *to = escape != NULL ? escape : end;

		r = secret_add(s, p, (size_t)(to - p));
		p = to;
		if (r == 0 && escape != NULL) {
			p++;
			r = add_escape(&p, end, s);
		}
	}
	return r;
}

static bool is_fraction(const char *p, size_t len)
{
	for (size_t i = 1; i < len; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return len >= 2 && p[0] == '.';
}

int jsonpick_get_i64(const struct jsonpick *value, int64_t *ret)
{
	char digits[DIGITS_BYTES];
	const char *p = value->s;
	size_t len = value->len, n = 0;

	if (len >= 2 && *p == '"') {
		p++;
		len -= 2;
	}
	while (n < len && (p[n] == '-' || (p[n] >= '0' && p[n] <= '9')))
		n++;
	if (n < len && !is_fraction(p + n, len - n))
		return -EINVAL;
	if (n >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, p, n);
	digits[n] = '\0';
	return num_parse_i64(digits, ret);
}
