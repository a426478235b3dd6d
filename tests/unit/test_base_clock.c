#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define UNTOUCHED INT64_C(-4711)
#define MIN (60 * US_PER_S)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)

static void test_clocks(void **state)
{
	struct timespec ts;

	(void)state;

	int64_t a = clock_mono_us();
	int64_t b = clock_mono_us();

	assert_true(a > 0 && b >= a);
	clock_gettime(CLOCK_REALTIME, &ts);
	assert_true(clock_wall_us() - ((int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000) < 10 * MIN);
	assert_true(clock_wall_us() > INT64_C(1600000000) * US_PER_S);
}

static void test_timespec(void **state)
{
	static const struct {
		struct timespec ts;
		int64_t ns;
	} rows[] = {
		{{.tv_sec = 0, .tv_nsec = 0}, 0},
		{{.tv_sec = 1, .tv_nsec = 5}, NS_PER_S + 5},
		{{.tv_sec = -1, .tv_nsec = 999999999}, -1},
		{{.tv_sec = INT64_C(9223372036), .tv_nsec = 854775807}, INT64_MAX},
		{{.tv_sec = INT64_C(9223372036), .tv_nsec = 854775808}, INT64_MAX},
		{{.tv_sec = INT64_C(9223372037), .tv_nsec = 0}, INT64_MAX},
		{{.tv_sec = INT64_MAX, .tv_nsec = 999999999}, INT64_MAX},
		{{.tv_sec = INT64_MIN, .tv_nsec = 0}, INT64_MIN},
		{{.tv_sec = INT64_C(-9223372037), .tv_nsec = 0}, INT64_MIN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(clock_timespec_ns(&rows[i].ts) == rows[i].ns);
}

static void test_format(void **state)
{
	static const struct {
		int64_t us;
		int digits;
		const char *text;
	} rows[] = {
		{0, 0, "1970-01-01T00:00:00Z"},
		{0, 6, "1970-01-01T00:00:00.000000Z"},
		{1, 6, "1970-01-01T00:00:00.000001Z"},
		{-1, 6, "1969-12-31T23:59:59.999999Z"},
		{-1, 0, "1969-12-31T23:59:59Z"},
		{INT64_C(1767323045123456), 6, "2026-01-02T03:04:05.123456Z"},
		{INT64_C(1767323045123456), 3, "2026-01-02T03:04:05.123Z"},
		{INT64_C(1767323045999999), 1, "2026-01-02T03:04:05.9Z"},
		{INT64_C(951782400000000), 0, "2000-02-29T00:00:00Z"},
		{INT64_C(4107542400000000), 0, "2100-03-01T00:00:00Z"},
		{INT64_C(253402300799999999), 6, "9999-12-31T23:59:59.999999Z"},
		{INT64_C(253402300800000000), 6, "9999-12-31T23:59:59.999999Z"},
		{INT64_MAX, 6, "9999-12-31T23:59:59.999999Z"},
		{INT64_C(-62167219200000000), 6, "0000-01-01T00:00:00.000000Z"},
		{INT64_C(-62167219200000001), 6, "0000-01-01T00:00:00.000000Z"},
		{INT64_MIN, 6, "0000-01-01T00:00:00.000000Z"},
	};
	char text[CLOCK_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(clock_format_us(rows[i].us, rows[i].digits, text), rows[i].text);
	assert_string_equal(
		clock_format_ns(INT64_C(1767323045123456789), text), "2026-01-02T03:04:05.123456789Z");
	assert_string_equal(clock_format_ns(-1, text), "1969-12-31T23:59:59.999999999Z");
	assert_string_equal(clock_format_ns(INT64_MAX, text), "2262-04-11T23:47:16.854775807Z");
	assert_string_equal(clock_format_ns(INT64_MIN, text), "1677-09-21T00:12:43.145224192Z");
	assert_string_equal(clock_format_compact(INT64_C(1767323045123456), text), "20260102T030405Z");
}

/* The C library's calendar is the second opinion, here where its faults do not matter. */
static void test_against_gmtime(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);

		time_t t = (time_t)((int64_t)((seed >> 20) % UINT64_C(315569520000)) - INT64_C(62167219200));
		char text[CLOCK_TEXT_BYTES], expected[CLOCK_TEXT_BYTES];
		struct tm tm;
		int64_t back = UNTOUCHED;

		assert_non_null(gmtime_r(&t, &tm));
		snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_string_equal(clock_format_us((int64_t)t * US_PER_S, 0, text), expected);
		assert_int_equal(clock_parse_rfc3339(text, &back), 0);
		assert_true(back == (int64_t)t * US_PER_S);
	}
}

static void test_parse_rfc3339(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01t00:00:00z", 0},
		{"1970-01-01 00:00:00Z", 0},
		{"2026-01-02T03:04:05.123456Z", INT64_C(1767323045123456)},
		{"2026-01-02T03:04:05.123456789Z", INT64_C(1767323045123456)},
		{"2026-01-02T03:04:05.5Z", INT64_C(1767323045500000)},
		{"2026-01-02T05:04:05+02:00", INT64_C(1767323045000000)},
		{"2026-01-01T21:34:05-05:30", INT64_C(1767323045000000)},
		{"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
		{"1969-12-31T23:59:59.999999Z", -1},
		{"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
		{"0000-01-01T00:00:00Z", INT64_C(-62167219200000000)},
		{"9999-12-31T23:59:59Z", INT64_C(253402300799000000)},
		{"2026-01-02T03:04:05-00:00", INT64_C(1767323045000000)},
	};
	static const char *const bad[] = {
		"",
		"2026",
		"2026-01-02",
		"2026-01-02T03:04Z",
		"2026-01-02T03:04:05",
		"2026-01-02T03:04:05Z ",
		" 2026-01-02T03:04:05Z",
		"2026-01-02T03:04:05.Z",
		"2026-01-02T03:04:05.1234567890Z",
		"2026-13-02T03:04:05Z",
		"2026-00-02T03:04:05Z",
		"2026-01-32T03:04:05Z",
		"2026-01-00T03:04:05Z",
		"2026-02-29T03:04:05Z",
		"1900-02-29T03:04:05Z",
		"2026-04-31T03:04:05Z",
		"2026-01-02T24:04:05Z",
		"2026-01-02T03:60:05Z",
		"2026-01-02T03:04:61Z",
		"2026-01-02T03:04:05+24:00",
		"2026-01-02T03:04:05+02:60",
		"2026-01-02T03:04:05+0200",
		"2026-01-02T03:04:05+02",
		"26-01-02T03:04:05Z",
		"-026-01-02T03:04:05Z",
		"2026-1-2T3:4:5Z",
		"2026-01-02X03:04:05Z",
		"2026-01-02T03:04:05ZZ",
		"2026/01/02T03:04:05Z",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		int64_t us = UNTOUCHED;

		if (clock_parse_rfc3339(good[i].text, &us) != 0 || us != good[i].us)
			fail_msg("%s: %lld", good[i].text, (long long)us);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int64_t us = UNTOUCHED;

		if (clock_parse_rfc3339(bad[i], &us) != -EINVAL || us != UNTOUCHED)
			fail_msg("%s: %lld", bad[i], (long long)us);
	}
}

/* A zone written out, so that the test needs no time zone data: UTC+1, in summer UTC+2. */
#define ZONE "CET-1CEST,M3.5.0/2,M10.5.0/3"

static int64_t at(const char *rfc3339)
{
	int64_t us = UNTOUCHED;

	assert_int_equal(clock_parse_rfc3339(rfc3339, &us), 0);
	return us;
}

static void test_parse_user(void **state)
{
	static const struct {
		const char *text;
		const char *utc;
	} rows[] = {
		{"2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"},
		{"2026-01-02T03:04:05.25+01:00", "2026-01-02T02:04:05.25Z"},
		{"2026-01-02", "2026-01-01T23:00:00Z"},
		{"2026-07-02", "2026-07-01T22:00:00Z"},
		{"2026-01-02 03:04", "2026-01-02T02:04:00Z"},
		{"2026-07-02 03:04:05", "2026-07-02T01:04:05Z"},
		{"2026-07-02T03:04", "2026-07-02T01:04:00Z"},
		{"2026-03-29 01:59:59", "2026-03-29T00:59:59Z"},
		{"2026-03-29 03:00", "2026-03-29T01:00:00Z"},
		{"2026-10-25 01:59:59", "2026-10-24T23:59:59Z"},
		{"2026-10-25 03:00", "2026-10-25T02:00:00Z"},
		{"1970-01-01 00:59:59", "1969-12-31T23:59:59Z"},
		{"2h", "2026-05-05T10:00:00Z"},
		{"90s", "2026-05-05T11:58:30Z"},
		{"1d", "2026-05-04T12:00:00Z"},
		{"0", "2026-05-05T12:00:00Z"},
	};
	int64_t now = at("2026-05-05T12:00:00Z");

	(void)state;
	setenv("TZ", ZONE, 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		int64_t us = UNTOUCHED;

		assert_int_equal(clock_parse_user(rows[i].text, now, &us, &e), 0);
		if (us != at(rows[i].utc))
			fail_msg("%s: %lld", rows[i].text, (long long)us);
	}
}

/* An hour that comes twice is one of the two; one that does not come is within an hour of where it would be.
 */
static void test_parse_user_at_the_changes(void **state)
{
	int64_t us = UNTOUCHED;

	(void)state;
	setenv("TZ", ZONE, 1);
	tzset();
	assert_int_equal(clock_parse_user("2026-10-25 02:30", 0, &us, NULL), 0);
	assert_true(us == at("2026-10-25T00:30:00Z") || us == at("2026-10-25T01:30:00Z"));
	assert_int_equal(clock_parse_user("2026-03-29 02:30", 0, &us, NULL), 0);
	assert_true(us >= at("2026-03-29T00:30:00Z") && us <= at("2026-03-29T01:30:00Z"));
}

static void test_parse_user_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"yesterday",
		"2026-02-30",
		"2026-01-02 25:00",
		"2026-01-02 03",
		"2026-01-02 03:04:05 ",
		"2026-01-02 ",
		"12",
		"2x",
		"-2h",
		"999999999999999999999d",
		"2026-01-02 03:04+02:00",
		"2026-01-02 03:04:05.5",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = ERR_INIT;
		int64_t us = UNTOUCHED;

		assert_int_equal(clock_parse_user(bad[i], 0, &us, &e), -EINVAL);
		assert_true(us == UNTOUCHED);
		assert_int_equal(e.class, ERR_USAGE);
		assert_non_null(strstr(e.text, bad[i]));
	}
}

static void test_span(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} rows[] = {
		{0, "0 ms"},
		{99, "0 ms"},
		{400, "0.4 ms"},
		{1000, "1 ms"},
		{9999, "9.9 ms"},
		{10000, "10 ms"},
		{850 * US_PER_MS, "850 ms"},
		{999999, "999 ms"},
		{US_PER_S, "1 s"},
		{1500 * US_PER_MS, "1.5 s"},
		{9999 * US_PER_MS, "9.9 s"},
		{12 * US_PER_S, "12 s"},
		{MIN - 1, "59 s"},
		{MIN, "1 min"},
		{200 * US_PER_S, "3 min 20 s"},
		{HOUR - 1, "59 min 59 s"},
		{HOUR, "1 h"},
		{125 * MIN, "2 h 5 min"},
		{DAY - 1, "23 h 59 min"},
		{DAY, "1 d"},
		{3 * DAY + 4 * HOUR + 5 * MIN, "3 d 4 h"},
		{-200 * US_PER_S, "-3 min 20 s"},
		{INT64_MAX, "106751991 d 4 h"},
		{INT64_MIN, "-106751991 d 4 h"},
	};
	char text[CLOCK_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(clock_format_span(rows[i].us, text), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_timespec),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_against_gmtime),
		cmocka_unit_test(test_parse_rfc3339),
		cmocka_unit_test(test_parse_user),
		cmocka_unit_test(test_parse_user_at_the_changes),
		cmocka_unit_test(test_parse_user_refuses),
		cmocka_unit_test(test_span),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
