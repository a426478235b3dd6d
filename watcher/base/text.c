/*
 * UTF-8 is checked by the table of RFC 3629, section 4: the second byte's range depends on the first, all
 * further ones are 80..BF. So overlong forms, surrogates and everything over U+10FFFF fall out by themselves.
 */
#include "base/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

#define WORD_MAX 63
#define NEAREST_MAX 3
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS "\xe2\x80\xa6"
#define UNIT_MAX 12 /* a character of three bytes, each as \xNN */

static const struct {
	unsigned char first_low, first_high;
	unsigned char second_low, second_high;
	unsigned char len;
} utf8_forms[] = {
	{0xc2, 0xdf, 0x80, 0xbf, 2},
	{0xe0, 0xe0, 0xa0, 0xbf, 3},
	{0xe1, 0xec, 0x80, 0xbf, 3},
	{0xed, 0xed, 0x80, 0x9f, 3},
	{0xee, 0xef, 0x80, 0xbf, 3},
	{0xf0, 0xf0, 0x90, 0xbf, 4},
	{0xf1, 0xf3, 0x80, 0xbf, 4},
	{0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* Length of a multi-byte sequence at u, 0 when there is none. */
static size_t multibyte_next(const unsigned char *u, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(utf8_forms); i++) {
		size_t n = utf8_forms[i].len;

		if (u[0] < utf8_forms[i].first_low || u[0] > utf8_forms[i].first_high)
			continue;
		if (len < n || u[1] < utf8_forms[i].second_low || u[1] > utf8_forms[i].second_high)
			return 0;
		for (size_t k = 2; k < n; k++)
			if ((u[k] & 0xc0) != 0x80)
				return 0;
		return n;
	}
	return 0;
}

size_t text_utf8_next(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;

	if (len == 0)
		return 0;
	return u[0] < 0x80 ? 1 : multibyte_next(u, len);
}

bool text_is_utf8(const char *s, size_t len)
{
	while (len > 0) {
		size_t n = text_utf8_next(s, len);

		if (n == 0)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

int text_add_utf8_repaired(struct buf *b, const char *s, size_t len)
{
	size_t good = 0; /* bytes at s already found good and not yet added */
	int r = 0;

	while (good < len && r == 0) {
		size_t n = text_utf8_next(s + good, len - good);

		if (n > 0) {
			good += n;
			continue;
		}
		r = buf_add(b, s, good);
		if (r == 0)
			r = buf_adds(b, REPLACEMENT);
		s += good + 1;
		len -= good + 1;
		good = 0;
	}
	return r < 0 ? r : buf_add(b, s, good);
}

/* Characters that would change how the rest of a line is shown: C0, DEL, C1, line and paragraph separators,
 * and those that turn the direction of writing (U+061C, U+200E, U+200F, U+2028..U+202E, U+2066..U+2069). */
static bool is_control(const char *s, size_t n)
{
	unsigned char c = (unsigned char)s[0];
	unsigned second = n > 1 ? (unsigned char)s[1] : 0, third = n > 2 ? (unsigned char)s[2] : 0;

	if (n == 1)
		return c < 0x20 || c == 0x7f;
	if (n == 2)
		return (c == 0xc2 && second < 0xa0) || (c == 0xd8 && second == 0x9c);
	if (n != 3 || c != 0xe2)
		return false;
	if (second == 0x80)
		return third == 0x8e || third == 0x8f || (third >= 0xa8 && third <= 0xae);
	return second == 0x81 && third >= 0xa6 && third <= 0xa9;
}

static size_t escape_byte(unsigned char c, char *out)
{
	static const char digits[] = "0123456789abcdef";

	if (c == '\n' || c == '\t') {
		memcpy(out, c == '\n' ? "\\n" : "\\t", 2);
		return 2;
	}
	out[0] = '\\';
	out[1] = 'x';
	out[2] = digits[c >> 4];
	out[3] = digits[c & 15];
	return 4;
}

/* What is shown for the character (or bad byte) at s: its length in *ret_in, the bytes in out; returns how
 * many. */
static size_t printable_unit(const char *s, size_t len, size_t *ret_in, char out[UNIT_MAX])
{
	size_t n = text_utf8_next(s, len);
	size_t made = 0;

	*ret_in = n > 0 ? n : 1;
	if (n > 0 && !is_control(s, n)) {
		memcpy(out, s, n);
		return n;
	}
	for (size_t i = 0; i < *ret_in; i++)
		made += escape_byte((unsigned char)s[i], out + made);
	return made;
}

int text_add_printable(struct buf *b, const char *s, size_t len)
{
	char unit[UNIT_MAX];
	int r = 0;

	while (len > 0 && r == 0) {
		size_t in;
		size_t made = printable_unit(s, len, &in, unit);

		r = buf_add(b, unit, made);
		s += in;
		len -= in;
	}
	return r;
}

const char *text_printable(const char *s, size_t len, char *out, size_t out_bytes)
{
	char unit[UNIT_MAX];
	size_t mark_bytes = sizeof(ELLIPSIS) - 1;
	size_t used = 0;
	size_t cut = 0; /* last place where the ellipsis would still fit */

	if (out_bytes == 0)
		return "";
	while (len > 0) {
		size_t in;
		size_t made = printable_unit(s, len, &in, unit);

		if (used + mark_bytes < out_bytes)
			cut = used;
		if (used + made >= out_bytes) {
			used = cut;
			if (used + mark_bytes < out_bytes) {
				memcpy(out + used, ELLIPSIS, mark_bytes);
				used += mark_bytes;
			}
			break;
		}
		memcpy(out + used, unit, made);
		used += made;
		s += in;
		len -= in;
	}
	out[used] = '\0';
	return out;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

size_t text_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1];
	size_t la = strnlen(a, WORD_MAX + 1);
	size_t lb = strnlen(b, WORD_MAX + 1);

	if (la > WORD_MAX || lb > WORD_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[lb];
}

const char *text_nearest(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL;
	size_t limit = strlen(word) / 2 + 1;
	size_t best_distance = limit <= NEAREST_MAX ? limit : NEAREST_MAX + 1;

	for (size_t i = 0; i < n; i++) {
		size_t d = text_distance(word, words[i]);

		if (d < best_distance) {
			best = words[i];
			best_distance = d;
		}
	}
	return best;
}

bool text_starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_ends_with(const char *s, const char *suffix)
{
	size_t ls = strlen(s);
	size_t lx = strlen(suffix);

	return ls >= lx && memcmp(s + ls - lx, suffix, lx) == 0;
}

int text_add_base64(struct buf *b, const void *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *u = p;
	int r = 0;

	while (n > 0 && r == 0) {
		size_t have = n < 3 ? n : 3;
		uint32_t v = 0;
		char out[4];

		for (size_t k = 0; k < have; k++)
			v |= (uint32_t)u[k] << (16 - 8 * k);
		for (size_t k = 0; k < 4; k++)
			out[k] = k <= have ? digits[v >> (18 - 6 * k) & 63] : '=';
		r = buf_add(b, out, sizeof(out));
		u += have;
		n -= have;
	}
	return r;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int text_from_base64(struct buf *b, const char *s, size_t n)
{
	for (; n >= 4; s += 4, n -= 4) {
		size_t have = n > 4 || s[3] != '=' ? 3 : s[2] != '=' ? 2 : 1;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int digit = k <= have ? base64_value(s[k]) : s[k] == '=' ? 0 : -1;

			if (digit < 0)
				return -EINVAL;
			v = v << 6 | (uint32_t)digit;
		}
		for (size_t k = 0; k < have; k++)
			if (buf_addc(b, (char)(v >> (16 - 8 * k) & 0xff)) < 0)
				return -EINVAL;
	}
	return n == 0 ? 0 : -EINVAL;
}

int text_add_hex(struct buf *b, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *u = p;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		char out[2] = {digits[u[i] >> 4], digits[u[i] & 15]};

		r = buf_add(b, out, sizeof(out));
	}
	return r;
}

char *text_trim(char *s)
{
	s += strspn(s, " \t");

	size_t len = strlen(s);

	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	s[len] = '\0';
	return s;
}
