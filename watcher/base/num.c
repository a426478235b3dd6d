/*
 * Everything is read as "digits, then one of a table of units", so that what is accepted can be seen in the
 * tables. strtoll and its relatives are not used: they skip blanks, take signs and octal, and stop where they
 * like.
 *
 * Writing picks from the same tables the shortest spelling that gives back the very same number; of two
 * equally short ones the unit wins over none, and powers of two over powers of ten.
 */
#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* Powers of two first: the earlier one wins where two spellings are equally short. */
static const struct unit byte_units[] = {
	{"KiB", INT64_C(1) << 10},
	{"MiB", INT64_C(1) << 20},
	{"GiB", INT64_C(1) << 30},
	{"TiB", INT64_C(1) << 40},
	{"KB", INT64_C(1000)},
	{"MB", INT64_C(1000000)},
	{"GB", INT64_C(1000000000)},
	{"TB", INT64_C(1000000000000)},
};

static const struct unit time_units[] = {
	{"us", INT64_C(1)},
	{"ms", INT64_C(1000)},
	{"s", INT64_C(1000000)},
	{"m", INT64_C(60000000)},
	{"h", INT64_C(3600000000)},
	{"d", INT64_C(86400000000)},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads the digits at the start of text; at least one. *ret_rest is what follows them. */
static int parse_digits(const char *text, const char **ret_rest, uint64_t *ret)
{
	uint64_t v = 0;
	bool overflow = false;

	if (!is_digit(*text))
		return -EINVAL;
	for (; is_digit(*text); text++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
			__builtin_add_overflow(v, (unsigned)(*text - '0'), &v))
			overflow = true;
	}
	*ret_rest = text;
	if (overflow)
		return -ERANGE;
	*ret = v;
	return 0;
}

static const struct unit *find_unit(const struct unit *units, size_t n, const char *name, bool any_case)
{
	for (size_t i = 0; i < n; i++)
		if ((any_case ? strcasecmp(units[i].name, name) : strcmp(units[i].name, name)) == 0)
			return &units[i];
	return NULL;
}

/* Digits and a unit. A number too large is told from one that is none only when the rest is right. */
static int parse_quantity(
	const char *text, const struct unit *units, size_t n_units, bool any_case, bool bare, int64_t *ret)
{
	const char *rest;
	uint64_t v = 0;
	int r = parse_digits(text, &rest, &v);

	if (r == -EINVAL)
		return r;

	int64_t factor = 1;

	if (*rest != '\0') {
		const struct unit *u = find_unit(units, n_units, rest, any_case);

		if (u == NULL)
			return -EINVAL;
		factor = u->factor;
	} else if (!bare && (r < 0 || v != 0)) {
		return -EINVAL;
	}
	int64_t product;

	if (r < 0 || __builtin_mul_overflow(v, factor, &product))
		return -ERANGE;
	*ret = product;
	return 0;
}

/* The shortest of "N", if bare, and "NUNIT" that is exactly v >= 0. */
static void format_quantity(
	int64_t v, const struct unit *units, size_t n_units, bool bare, char text[NUM_TEXT_BYTES])
{
	size_t best = bare || v == 0 ? (size_t)snprintf(text, NUM_TEXT_BYTES, "%" PRId64, v) : SIZE_MAX;
	bool best_is_bare = true;

	if (v == 0)
		return;
	for (size_t i = 0; i < n_units; i++) {
		char t[NUM_TEXT_BYTES];

		if (v % units[i].factor != 0)
			continue;

		size_t n =
			(size_t)snprintf(t, sizeof(t), "%" PRId64 "%s", v / units[i].factor, units[i].name);

		if (n < best || (n == best && best_is_bare)) {
			memcpy(text, t, n + 1);
			best = n;
			best_is_bare = false;
		}
	}
}

int num_parse_i64(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	const char *rest;
	uint64_t v = 0;
	int r = parse_digits(text + negative, &rest, &v);

	if (r == -EINVAL || *rest != '\0')
		return -EINVAL;
	if (r < 0 || v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	if (!negative)
		*ret = (int64_t)v;
	else
		*ret = v == 0 ? 0 : -(int64_t)(v - 1) - 1;
	return 0;
}

int num_parse_u64(const char *text, uint64_t *ret)
{
	const char *rest;
	uint64_t v = 0;
	int r = parse_digits(text, &rest, &v);

	if (r == -EINVAL || *rest != '\0')
		return -EINVAL;
	if (r < 0)
		return r;
	*ret = v;
	return 0;
}

int num_parse_id(const char *text, size_t len, int64_t *ret)
{
	uint64_t v = 0;

	if (len < 1 || text[0] == '0')
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (!is_digit(text[i]))
			return -EINVAL;
	if (len > 19)
		return -ERANGE;
	for (size_t i = 0; i < len; i++)
		v = v * 10 + (unsigned)(text[i] - '0'); /* 19 digits fit in 64 bits */
	if (v > INT64_MAX)
		return -ERANGE;
	*ret = (int64_t)v;
	return 0;
}

int num_parse_bool(const char *text, bool *ret)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"yes", true},
		{"no", false},
		{"true", true},
		{"false", false},
		{"on", true},
		{"off", false},
		{"1", true},
		{"0", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(text, words[i].word) == 0) {
			*ret = words[i].value;
			return 0;
		}
	return -EINVAL;
}

int num_parse_bytes(const char *text, int64_t *ret)
{
	return parse_quantity(text, byte_units, ARRAY_SIZE(byte_units), true, true, ret);
}

int num_parse_duration(const char *text, int64_t *ret_us)
{
	return parse_quantity(text, time_units, ARRAY_SIZE(time_units), false, false, ret_us);
}

int num_parse_rate(const char *text, int64_t *ret_count, int64_t *ret_per_us)
{
	const char *slash;
	uint64_t count = 0;
	int r = parse_digits(text, &slash, &count);

	if (r == -EINVAL || *slash != '/')
		return -EINVAL;

	const struct unit *u = find_unit(time_units, ARRAY_SIZE(time_units), slash + 1, false);
	int64_t per = u != NULL ? u->factor : 0;
	int r_per = u != NULL ? 0 : num_parse_duration(slash + 1, &per);

	if (r_per == -EINVAL)
		return r_per;
	if (r < 0 || r_per < 0 || count < 1 || count > INT64_MAX || per < 1)
		return -ERANGE;
	*ret_count = (int64_t)count;
	*ret_per_us = per;
	return 0;
}

const char *num_format_bytes(int64_t bytes, char text[NUM_TEXT_BYTES])
{
	if (bytes < 0)
		snprintf(text, NUM_TEXT_BYTES, "%" PRId64, bytes);
	else
		format_quantity(bytes, byte_units, ARRAY_SIZE(byte_units), true, text);
	return text;
}

const char *num_format_duration(int64_t us, char text[NUM_TEXT_BYTES])
{
	if (us < 0)
		snprintf(text, NUM_TEXT_BYTES, "%" PRId64 "us", us);
	else
		format_quantity(us, time_units, ARRAY_SIZE(time_units), false, text);
	return text;
}

const char *num_format_rate(int64_t count, int64_t per_us, char text[NUM_TEXT_BYTES * 2])
{
	char per[NUM_TEXT_BYTES];
	const char *shown = num_format_duration(per_us, per);

	if (shown[0] == '1' && !is_digit(shown[1]))
		shown++; /* "5/s", not "5/1s" */
	snprintf(text, NUM_TEXT_BYTES * 2, "%" PRId64 "/%s", count, shown);
	return text;
}
