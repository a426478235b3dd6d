#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define UNTOUCHED INT64_C(-4711)
#define MS INT64_C(1000)
#define S INT64_C(1000000)
#define KIB (INT64_C(1) << 10)
#define GIB (INT64_C(1) << 30)

struct row {
	const char *text;
	int result;
	int64_t value;
};

static void check_rows(const struct row *rows, size_t n, int (*parse)(const char *, int64_t *))
{
	for (size_t i = 0; i < n; i++) {
		int64_t v = UNTOUCHED;
		int r = parse(rows[i].text, &v);

		if (r != rows[i].result || v != (r == 0 ? rows[i].value : UNTOUCHED))
			fail_msg("\"%s\": %d, %lld", rows[i].text, r, (long long)v);
	}
}

static void test_i64(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"-0", 0, 0},
		{"007", 0, 7},
		{"-12", 0, -12},
		{"9223372036854775807", 0, INT64_MAX},
		{"-9223372036854775808", 0, INT64_MIN},
		{"9223372036854775808", -ERANGE, 0},
		{"-9223372036854775809", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"99999999999999999999999x", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"-", -EINVAL, 0},
		{"--1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1.0", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), num_parse_i64);
}

static void test_u64(void **state)
{
	uint64_t v = 5;

	(void)state;
	assert_int_equal(num_parse_u64("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(num_parse_u64("0", &v), 0);
	assert_true(v == 0);
	v = 5;
	assert_int_equal(num_parse_u64("18446744073709551616", &v), -ERANGE);
	assert_int_equal(num_parse_u64("-1", &v), -EINVAL);
	assert_int_equal(num_parse_u64("", &v), -EINVAL);
	assert_int_equal(num_parse_u64("1k", &v), -EINVAL);
	assert_true(v == 5);
}

static int parse_id(const char *text, int64_t *ret)
{
	return num_parse_id(text, strlen(text), ret);
}

static void test_id(void **state)
{
	static const struct row rows[] = {
		{"1", 0, 1},
		{"9223372036854775807", 0, INT64_MAX},
		{"1000000000000000000", 0, INT64_C(1000000000000000000)},
		{"9223372036854775808", -ERANGE, 0},
		{"9999999999999999999", -ERANGE, 0},
		{"10000000000000000000", -ERANGE, 0},
		{"100000000000000000000000000", -ERANGE, 0},
		{"0", -EINVAL, 0},
		{"01", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"1a", -EINVAL, 0},
		{"1000000000000000000000000000a", -EINVAL, 0},
	};
	int64_t v = UNTOUCHED;

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), parse_id);
	assert_int_equal(num_parse_id("123456", 3, &v), 0);
	assert_int_equal(v, 123);
	assert_int_equal(num_parse_id("12\0", 3, &v), -EINVAL);
}

static void test_bool(void **state)
{
	static const struct {
		const char *text;
		int result;
		bool value;
	} rows[] = {
		{"yes", 0, true},
		{"No", 0, false},
		{"TRUE", 0, true},
		{"false", 0, false},
		{"on", 0, true},
		{"oFF", 0, false},
		{"1", 0, true},
		{"0", 0, false},
		{"", -EINVAL, false},
		{"y", -EINVAL, false},
		{"yes ", -EINVAL, false},
		{"2", -EINVAL, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool v = !rows[i].value;

		assert_int_equal(num_parse_bool(rows[i].text, &v), rows[i].result);
		assert_int_equal(v, rows[i].result == 0 ? rows[i].value : !rows[i].value);
	}
}

static void test_bytes(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"64KiB", 0, 64 * KIB},
		{"64kib", 0, 64 * KIB},
		{"5MB", 0, 5000000},
		{"1GiB", 0, GIB},
		{"2TB", 0, INT64_C(2000000000000)},
		{"0KiB", 0, 0},
		{"8388607TiB", 0, INT64_MAX - (INT64_C(1) << 40) + 1},
		{"9223372036854775807", 0, INT64_MAX},
		{"8388608TiB", -ERANGE, 0},
		{"9223372036854775808", -ERANGE, 0},
		{"18446744073709551617KB", -ERANGE, 0},
		{"64K", -EINVAL, 0},
		{"64M", -EINVAL, 0},
		{"64 KiB", -EINVAL, 0},
		{"64KiBs", -EINVAL, 0},
		{"1.5MB", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"KiB", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"1PB", -EINVAL, 0},
		{"99999999999999999999999PB", -EINVAL, 0},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), num_parse_bytes);
}

static void test_duration(void **state)
{
	static const struct row rows[] = {
		{"0", 0, 0},
		{"0s", 0, 0},
		{"00", 0, 0},
		{"500us", 0, 500},
		{"250ms", 0, 250 * MS},
		{"10s", 0, 10 * S},
		{"5m", 0, 300 * S},
		{"24h", 0, 86400 * S},
		{"7d", 0, 7 * 86400 * S},
		{"106751991d", 0, INT64_C(106751991) * 86400 * S},
		{"106751992d", -ERANGE, 0},
		{"99999999999999999999999s", -ERANGE, 0},
		{"1", -EINVAL, 0},
		{"99999999999999999999999", -EINVAL, 0},
		{"1S", -EINVAL, 0},
		{"1M", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"1h30m", -EINVAL, 0},
		{"1w", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"", -EINVAL, 0},
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), num_parse_duration);
}

static void test_rate(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t count, per_us;
	} rows[] = {
		{"5/s", 0, 5, S},
		{"10000/1h", 0, 10000, 3600 * S},
		{"3/250ms", 0, 3, 250 * MS},
		{"1000000/s", 0, 1000000, S},
		{"1/d", 0, 1, 86400 * S},
		{"0/s", -ERANGE, 0, 0},
		{"5/0s", -ERANGE, 0, 0},
		{"5/0", -ERANGE, 0, 0},
		{"9223372036854775808/s", -ERANGE, 0, 0},
		{"99999999999999999999999/s", -ERANGE, 0, 0},
		{"5/106751992d", -ERANGE, 0, 0},
		{"99999999999999999999999/x", -EINVAL, 0, 0},
		{"5", -EINVAL, 0, 0},
		{"5/", -EINVAL, 0, 0},
		{"/s", -EINVAL, 0, 0},
		{"5/10", -EINVAL, 0, 0},
		{"5/s/s", -EINVAL, 0, 0},
		{"-5/s", -EINVAL, 0, 0},
		{"5 /s", -EINVAL, 0, 0},
		{"", -EINVAL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t count = UNTOUCHED, per_us = UNTOUCHED;
		int r = num_parse_rate(rows[i].text, &count, &per_us);

		if (r != rows[i].result || count != (r == 0 ? rows[i].count : UNTOUCHED) ||
			per_us != (r == 0 ? rows[i].per_us : UNTOUCHED))
			fail_msg("\"%s\": %d, %lld, %lld", rows[i].text, r, (long long)count,
				(long long)per_us);
	}
}

struct spelling {
	int64_t value;
	const char *text;
};

static void test_format_bytes(void **state)
{
	static const struct spelling rows[] = {
		{0, "0"},
		{1, "1"},
		{512, "512"},
		{1000, "1KB"},
		{1023, "1023"},
		{1024, "1KiB"},
		{64 * KIB, "64KiB"},
		{5000000, "5MB"},
		{GIB, "1GiB"},
		{GIB + 1, "1073741825"},
		{INT64_MAX, "9223372036854775807"},
		{-3, "-3"},
		{INT64_MIN, "-9223372036854775808"},
	};
	char text[NUM_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(num_format_bytes(rows[i].value, text), rows[i].text);
}

static void test_format_duration(void **state)
{
	static const struct spelling rows[] = {
		{0, "0"},
		{1, "1us"},
		{1500, "1500us"},
		{250 * MS, "250ms"},
		{1500 * MS, "1500ms"},
		{10 * S, "10s"},
		{60 * S, "1m"},
		{90 * S, "90s"},
		{86400 * S, "1d"},
		{36 * 3600 * S, "36h"},
		{90 * 86400 * S, "90d"},
		{INT64_MAX, "9223372036854775807us"},
		{-5, "-5us"},
		{INT64_MIN, "-9223372036854775808us"},
	};
	char text[NUM_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(num_format_duration(rows[i].value, text), rows[i].text);
}

static void test_format_rate(void **state)
{
	static const struct {
		int64_t count, per_us;
		const char *text;
	} rows[] = {
		{5, S, "5/s"},
		{10000, 3600 * S, "10000/h"},
		{3, 250 * MS, "3/250ms"},
		{1, 10 * S, "1/10s"},
		{2, 100 * S, "2/100s"},
		{INT64_MAX, INT64_MAX, "9223372036854775807/9223372036854775807us"},
		{INT64_MIN, INT64_MIN, "-9223372036854775808/-9223372036854775808us"},
	};
	char text[NUM_TEXT_BYTES * 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(num_format_rate(rows[i].count, rows[i].per_us, text), rows[i].text);
}

/* What is written is read as the same number: all small ones, round ones, and a fixed sequence over all
 * sizes. */
static void check_round_trip(int64_t v)
{
	char text[NUM_TEXT_BYTES], rate[NUM_TEXT_BYTES * 2];
	int64_t back = UNTOUCHED, count = UNTOUCHED;

	assert_int_equal(num_parse_bytes(num_format_bytes(v, text), &back), 0);
	assert_true(back == v);
	assert_int_equal(num_parse_duration(num_format_duration(v, text), &back), 0);
	assert_true(back == v);
	if (v < 1)
		return;
	assert_int_equal(num_parse_rate(num_format_rate(v, v, rate), &count, &back), 0);
	assert_true(back == v && count == v);
}

static void test_round_trip(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int64_t v = 0; v < 3000; v++) {
		check_round_trip(v);
		check_round_trip(v * KIB);
		check_round_trip(v * 1000);
		check_round_trip(v * S);
		check_round_trip(v * 60 * S);
		check_round_trip(v * 3600 * S);
		check_round_trip(v * 86400 * S);
		check_round_trip(v * GIB);
		check_round_trip(INT64_MAX - v);
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		check_round_trip((int64_t)(seed >> (1 + v % 63)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_i64),
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_format_bytes),
		cmocka_unit_test(test_format_duration),
		cmocka_unit_test(test_format_rate),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
