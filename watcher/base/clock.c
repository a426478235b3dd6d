/*
 * UTC is computed here, without the C library: its functions depend on settings of the process (locale, TZ)
 * and fail in odd places. Only what a user means by local time goes through mktime().
 */
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/num.h"

#define SECONDS_PER_DAY INT64_C(86400)
#define FIRST_SECOND INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define LAST_SECOND INT64_C(253402300799)  /* 9999-12-31T23:59:59Z */

struct civil {
	int64_t year;
	int month, day; /* from 1 */
	int hour, minute, second;
};

static int64_t read_clock_us(clockid_t id)
{
	struct timespec ts;

	BUG_ON(clock_gettime(id, &ts) != 0);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
	return a % b < 0 ? a % b + b : a % b;
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from year 0, January 1 to January 1 of year (0..10000) of the Gregorian calendar continued backwards.
 */
static int64_t days_before_year(int64_t year)
{
	if (year == 0)
		return 0;

	int64_t past = year - 1; /* year 0 is a leap year itself, hence the + 1 */

	return year * 365 + past / 4 - past / 100 + past / 400 + 1;
}

static int64_t civil_to_seconds(const struct civil *c)
{
	int64_t days = days_before_year(c->year) - days_before_year(1970) + c->day - 1;

	for (int m = 1; m < c->month; m++)
		days += days_in_month(c->year, m);
	return days * SECONDS_PER_DAY + c->hour * 3600 + c->minute * 60 + c->second;
}

/* seconds: FIRST_SECOND..LAST_SECOND */
static struct civil seconds_to_civil(int64_t seconds)
{
	int64_t days = floor_div(seconds, SECONDS_PER_DAY) + days_before_year(1970);
	int rest = (int)floor_mod(seconds, SECONDS_PER_DAY);
	struct civil c = {
		.year = days / 366, .month = 1}; /* never too late a year; a few steps reach the right one */

	while (days_before_year(c.year + 1) <= days)
		c.year++;
	days -= days_before_year(c.year);
	while (days >= days_in_month(c.year, c.month))
		days -= days_in_month(c.year, c.month++);
	c.day = (int)days + 1;
	c.hour = rest / 3600;
	c.minute = rest / 60 % 60;
	c.second = rest % 60;
	return c;
}

static void format_civil(const struct civil *c, char text[CLOCK_TEXT_BYTES])
{
	snprintf(text, CLOCK_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d", (int)c->year, c->month, c->day,
		c->hour, c->minute, c->second);
}

/* Adds "." and the first digits of a fraction that has all of them ("Z" follows). */
static void format_fraction(int64_t fraction, int all, int digits, char text[CLOCK_TEXT_BYTES])
{
	size_t len = strlen(text);

	for (int i = digits; i < all; i++)
		fraction /= 10;
	if (digits > 0)
		snprintf(text + len, CLOCK_TEXT_BYTES - len, ".%0*" PRId64 "Z", digits, fraction);
	else
		snprintf(text + len, CLOCK_TEXT_BYTES - len, "Z");
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly n digits at *p, which moves on. */
static bool take_digits(const char **p, int n, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (!is_digit((*p)[i]))
			return false;
		v = v * 10 + ((*p)[i] - '0');
	}
	*p += n;
	*ret = v;
	return true;
}

static bool take_char(const char **p, const char *any_of)
{
	if (**p == '\0' || strchr(any_of, **p) == NULL)
		return false;
	(*p)++;
	return true;
}

static bool take_date(const char **p, struct civil *c)
{
	int year;

	if (!take_digits(p, 4, &year) || !take_char(p, "-") || !take_digits(p, 2, &c->month) ||
		!take_char(p, "-") || !take_digits(p, 2, &c->day))
		return false;
	c->year = year;
	return c->month >= 1 && c->month <= 12 && c->day >= 1 && c->day <= days_in_month(year, c->month);
}

/* hh:mm, and :ss if it is there or needed. A leap second is the first moment of the next minute. */
static bool take_time(const char **p, struct civil *c, bool seconds_needed)
{
	c->second = 0;
	if (!take_digits(p, 2, &c->hour) || !take_char(p, ":") || !take_digits(p, 2, &c->minute))
		return false;
	if (take_char(p, ":")) {
		if (!take_digits(p, 2, &c->second))
			return false;
	} else if (seconds_needed) {
		return false;
	}
	return c->hour <= 23 && c->minute <= 59 && c->second <= 60;
}

/* ".123": microseconds; what is finer is dropped. */
static bool take_fraction(const char **p, int64_t *ret_us)
{
	int64_t ns = 0;
	int n = 0;

	*ret_us = 0;
	if (!take_char(p, "."))
		return true;
	for (; n < 9 && is_digit(**p); n++)
		ns = ns * 10 + (*(*p)++ - '0');
	if (n == 0)
		return false;
	for (; n < 9; n++)
		ns *= 10;
	*ret_us = ns / 1000;
	return true;
}

/* Z or +hh:mm: seconds east. */
static bool take_offset(const char **p, int64_t *ret_seconds)
{
	bool west = **p == '-';
	int hour, minute;

	*ret_seconds = 0;
	if (take_char(p, "Zz"))
		return true;
	if (!take_char(p, "+-") || !take_digits(p, 2, &hour) || !take_char(p, ":") ||
		!take_digits(p, 2, &minute))
		return false;
	if (hour > 23 || minute > 59)
		return false;
	*ret_seconds = (west ? -1 : 1) * (hour * 3600 + minute * 60);
	return true;
}

/* A date, with a time or without, on the clock of the wall around the user. */
static int parse_local(const char *text, int64_t *ret_wall_us)
{
	struct civil c = {.year = 0};
	const char *p = text;

	if (!take_date(&p, &c))
		return -EINVAL;
	if (*p != '\0' && (!take_char(&p, " Tt") || !take_time(&p, &c, false)))
		return -EINVAL;
	if (*p != '\0')
		return -EINVAL;

	/* tm_isdst -1: the time zone's rules decide. Only tm_wday tells an error from the last second of
	 * 1969. */
	struct tm tm = {
		.tm_year = (int)c.year - 1900,
		.tm_mon = c.month - 1,
		.tm_mday = c.day,
		.tm_hour = c.hour,
		.tm_min = c.minute,
		.tm_sec = c.second,
		.tm_wday = -1,
		.tm_isdst = -1,
	};
	time_t t = mktime(&tm);

	if (tm.tm_wday < 0)
		return -EINVAL;
	*ret_wall_us = (int64_t)t * US_PER_S;
	return 0;
}

int64_t clock_mono_us(void)
{
	return read_clock_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
	return read_clock_us(CLOCK_REALTIME);
}

int64_t clock_timespec_ns(const struct timespec *ts)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)ts->tv_sec, NS_PER_S, &ns))
		return ts->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	if (__builtin_add_overflow(ns, (int64_t)ts->tv_nsec, &ns))
		return INT64_MAX;
	return ns;
}

const char *clock_format_us(int64_t wall_us, int digits, char text[CLOCK_TEXT_BYTES])
{
	int64_t seconds = floor_div(wall_us, US_PER_S);
	int64_t fraction = floor_mod(wall_us, US_PER_S);

	BUG_ON(digits < 0 || digits > 6);
	if (seconds < FIRST_SECOND) {
		seconds = FIRST_SECOND;
		fraction = 0;
	} else if (seconds > LAST_SECOND) {
		seconds = LAST_SECOND;
		fraction = US_PER_S - 1;
	}

	struct civil c = seconds_to_civil(seconds);

	format_civil(&c, text);
	format_fraction(fraction, 6, digits, text);
	return text;
}

const char *clock_format_ns(int64_t wall_ns, char text[CLOCK_TEXT_BYTES])
{
	int64_t seconds =
		floor_div(wall_ns, NS_PER_S); /* 64 bits of nanoseconds are the years 1677 to 2262 */
	struct civil c = seconds_to_civil(seconds);

	format_civil(&c, text);
	format_fraction(floor_mod(wall_ns, NS_PER_S), 9, 9, text);
	return text;
}

const char *clock_format_compact(int64_t wall_us, char text[CLOCK_TEXT_BYTES])
{
	char *to = text;

	clock_format_us(wall_us, 0, text);
	for (const char *from = text; *from != '\0'; from++)
		if (*from != '-' && *from != ':')
			*to++ = *from;
	*to = '\0';
	return text;
}

int clock_parse_rfc3339(const char *text, int64_t *ret_wall_us)
{
	struct civil c = {.year = 0};
	int64_t fraction_us, offset;
	const char *p = text;

	if (!take_date(&p, &c) || !take_char(&p, "Tt ") || !take_time(&p, &c, true) ||
		!take_fraction(&p, &fraction_us) || !take_offset(&p, &offset) || *p != '\0')
		return -EINVAL;
	*ret_wall_us = (civil_to_seconds(&c) - offset) * US_PER_S + fraction_us;
	return 0;
}

int clock_parse_user(const char *text, int64_t now_us, int64_t *ret_wall_us, struct err *err)
{
	int64_t ago_us, at_us;

	if (clock_parse_rfc3339(text, &at_us) == 0 || parse_local(text, &at_us) == 0) {
		*ret_wall_us = at_us;
		return 0;
	}
	if (num_parse_duration(text, &ago_us) == 0 && !__builtin_sub_overflow(now_us, ago_us, &at_us)) {
		*ret_wall_us = at_us;
		return 0;
	}
	return err_set(err, ERR_USAGE, EINVAL,
		"\"%s\" is not a time; write for instance 2026-01-02T03:04:05Z, 2h (ago), 2026-01-02 or "
		"\"2026-01-02 03:04\"",
		text);
}

/* "3 min 20 s", without a second part of zero */
static void format_parts(
	uint64_t big, const char *big_unit, uint64_t small, const char *small_unit, char *text, size_t n)
{
	if (small == 0)
		snprintf(text, n, "%" PRIu64 " %s", big, big_unit);
	else
		snprintf(text, n, "%" PRIu64 " %s %" PRIu64 " %s", big, big_unit, small, small_unit);
}

/* "1.5 s", "2 s": one decimal, unless it is 0 */
static void format_tenths(uint64_t tenths, const char *unit, char *text, size_t n)
{
	if (tenths % 10 == 0)
		snprintf(text, n, "%" PRIu64 " %s", tenths / 10, unit);
	else
		snprintf(text, n, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, unit);
}

const char *clock_format_span(int64_t span_us, char text[CLOCK_TEXT_BYTES])
{
	uint64_t us = span_us < 0 ? -(uint64_t)span_us : (uint64_t)span_us;
	uint64_t ms = us / 1000, s = ms / 1000, min = s / 60, h = min / 60;
	char *p = text;
	size_t n = CLOCK_TEXT_BYTES;

	if (span_us < 0) {
		*p++ = '-';
		n--;
	}
	/* always cut, never rounded up: 59.99 s is not yet a minute */
	if (ms < 10)
		format_tenths(us / 100, "ms", p, n);
	else if (s < 1)
		snprintf(p, n, "%" PRIu64 " ms", ms);
	else if (s < 10)
		format_tenths(ms / 100, "s", p, n);
	else if (min < 1)
		snprintf(p, n, "%" PRIu64 " s", s);
	else if (h < 1)
		format_parts(min, "min", s % 60, "s", p, n);
	else if (h < 24)
		format_parts(h, "h", min % 60, "min", p, n);
	else
		format_parts(h / 24, "d", h % 24, "h", p, n);
	return text;
}
