#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/text.h"

#define UNTOUCHED INT64_C(-4711)

static struct json *parse(const char *text)
{
	struct err e = ERR_INIT;
	struct json *j = json_parse(text, strlen(text), &e);

	if (j == NULL)
		fail_msg("%s: %s", text, e.text);
	return j;
}

static void test_accepts(void **state)
{
	static const char *const good[] = {
		"{}",
		"[]",
		" [ ] ",
		"\t\r\n{ }\n",
		"null",
		"true",
		"false",
		"0",
		"-0",
		"12",
		"-1.5e+10",
		"1E400",
		"0.0",
		"1e-999",
		"\"\"",
		"\"x\"",
		"[1,2]",
		"[ 1 , 2 ]",
		"{\"a\":1}",
		"{ \"a\" : 1 , \"b\" : [ ] }",
		"[[[[]]],{}]",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
		"\"\\ud83e\\udd86\"",
		"\"\xf0\x9f\xa6\x86\"",
		"\"\x7f\"",
		"{\"\":0}",
		"{\"a\":1,\"a\":2}",
		"[null,true,false]",
		"\"\\uFFFF\"",
		"{\"\\u0061\":1}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		json_free(parse(good[i]));
	json_free(NULL);
}

static void test_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"}",
		"[",
		"]",
		"[}",
		"{]",
		"[1",
		"[1,",
		"[1,]",
		"[,1]",
		"[1 2]",
		"[1,,2]",
		"{\"a\"",
		"{\"a\":",
		"{\"a\":1",
		"{\"a\":1,",
		"{\"a\":1,}",
		"{,}",
		"{a:1}",
		"{'a':1}",
		"{1:1}",
		"{\"a\" 1}",
		"{\"a\"::1}",
		"{null:1}",
		"[] []",
		"[]x",
		"1 2",
		"{}{}",
		"nul",
		"nulll",
		"True",
		"TRUE",
		"t",
		"NaN",
		"Infinity",
		"-Infinity",
		"undefined",
		"+1",
		"-",
		"--1",
		".5",
		"1.",
		"1.e5",
		"01",
		"-01",
		"00",
		"1e",
		"1e+",
		"1.5.5",
		"0x10",
		"1_000",
		"1a",
		"- 1",
		"\"",
		"\"a",
		"\"a\\\"",
		"\"\\x41\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"\\",
		"\"\\u",
		"\"\\a\"",
		"'a'",
		"\"a\nb\"",
		"\"a\tb\"",
		"\"\x01\"",
		"\"\x1f\"",
		"\"\xff\"",
		"\"\xc3\"",
		"\"\xed\xa0\x80\"",
		"\"\xc0\x80\"",
		"\"\xf4\x90\x80\x80\"",
		"\"\\u0000\"",
		"\"a\\u0000b\"",
		"{\"\\u0000\":1}",
		"\"\\ud800\"",
		"\"\\ud800x\"",
		"\"\\ud800\\n\"",
		"\"\\ud800\\ud800\"",
		"\"\\udc00\"",
		"\"\\udc00\\ud800\"",
		"\"\\ud83e\\u0041\"",
		"\"\\ud83e\\uffff\"",
		"\"\\ud83e\\\"",
		"\xef\xbb\xbf{}",
		"// x\n1",
		"1//",
		"/**/1",
		"\v1",
		"\f1",
		"\xc2\xa0[1]",
		"[\"a\xff\"]",
		"{\"a\xff\":1}",
		"\xff",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = ERR_INIT;
		struct json *j = json_parse(bad[i], strlen(bad[i]), &e);

		if (j != NULL)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(e.code, EBADMSG);
		assert_int_equal(e.class, ERR_INPUT);
		assert_true(e.text[0] != '\0');
		assert_null(json_parse(bad[i], strlen(bad[i]), NULL));
	}
}

static void test_says_where(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_null(json_parse("[1, x]", 6, &e));
	assert_string_equal(e.text, "not valid JSON at byte 4: a value expected");
	assert_null(json_parse("[1] x", 5, &e));
	assert_string_equal(e.text, "not valid JSON at byte 4: bytes after the end");
}

/* A NUL anywhere, also right at the end, and nothing behind len is looked at. */
static void test_length_counts(void **state)
{
	static const char text[] = "{\"a\": [1, \"b\", null]}";

	(void)state;
	for (size_t i = 0; i <= sizeof(text) - 1; i++) {
		char copy[sizeof(text)];

		memcpy(copy, text, sizeof(text));
		memmove(copy + i + 1, copy + i, sizeof(text) - 1 - i);
		copy[i] = '\0';
		assert_null(json_parse(copy, sizeof(text), NULL));
	}
	/* in memory that ends right there */
	for (size_t n = 0; n < sizeof(text); n++) {
		char *exact = malloc(n > 0 ? n : 1);

		memcpy(exact, text, n);

		struct json *j = json_parse(exact, n, NULL);

		assert_true((j != NULL) == (n == sizeof(text) - 1));
		json_free(j);
		free(exact);
	}
}

static void test_depth(void **state)
{
	(void)state;
	for (size_t depth = 60; depth < 70; depth++)
		for (int objects = 0; objects < 2; objects++) {
			CLEANUP_BUF struct buf b = BUF_INIT(1000);

			for (size_t i = 0; i < depth; i++)
				buf_adds(&b, !objects ? "[" : i + 1 < depth ? "{\"a\":" : "{");
			for (size_t i = 0; i < depth; i++)
				buf_addc(&b, objects ? '}' : ']');

			struct json *j = json_parse(b.data, b.len, NULL);

			assert_true((j != NULL) == (depth <= 64));
			json_free(j);
		}

	CLEANUP_BUF struct buf b = BUF_INIT(1000001);

	for (int i = 0; i < 1000000; i++)
		buf_addc(&b, '[');
	assert_null(json_parse(b.data, b.len, NULL));
}

/* A document of each kind of item, asked every question. */
static void test_kinds(void **state)
{
	static const struct {
		const char *text;
		const char *is; /* o a s n t f z */
		const char *says;
	} rows[] = {
		{"{}", "o", NULL},
		{"[]", "a", NULL},
		{"\"\"", "s", ""},
		{"\"s\"", "s", "s"},
		{"\"n5\"", "s", "n5"},
		{"\"5\"", "s", "5"},
		{"5", "n", "5"},
		{"-1.50e+3", "n", "-1.50e+3"},
		{"123456789012345678901234567890", "n", "123456789012345678901234567890"},
		{"true", "t", NULL},
		{"false", "f", NULL},
		{"null", "z", NULL},
		{"\"\\u00e4\\ud83e\\udd86\\n\"", "s", "\xc3\xa4\xf0\x9f\xa6\x86\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_JSON struct json *j = parse(rows[i].text);
		char is = rows[i].is[0];

		assert_int_equal(json_is_object(j), is == 'o');
		assert_int_equal(json_is_array(j), is == 'a');
		assert_int_equal(json_is_string(j), is == 's');
		assert_int_equal(json_is_number(j), is == 'n');
		assert_int_equal(json_is_true(j), is == 't');
		assert_int_equal(json_is_false(j), is == 'f');
		assert_int_equal(json_is_null(j), is == 'z');
		if (rows[i].says == NULL)
			assert_null(json_text(j));
		else
			assert_string_equal(json_text(j), rows[i].says);
		assert_null(json_key(j));
		assert_null(json_get(j, "a"));
		assert_int_equal(json_count(j), 0);
		assert_null(json_first(j));
		assert_null(json_at(j, 0));
		assert_null(json_next(j));
	}
}

static void test_nothing(void **state)
{
	int64_t v = UNTOUCHED;

	(void)state;
	assert_false(
		json_is_object(NULL) || json_is_array(NULL) || json_is_string(NULL) || json_is_number(NULL));
	assert_false(json_is_true(NULL) || json_is_false(NULL) || json_is_null(NULL));
	assert_null(json_get(NULL, "a"));
	assert_null(json_first(NULL));
	assert_null(json_next(NULL));
	assert_null(json_at(NULL, 0));
	assert_null(json_key(NULL));
	assert_null(json_text(NULL));
	assert_null(json_get_text(NULL, "a"));
	assert_int_equal(json_count(NULL), 0);
	assert_int_equal(json_get_i64(NULL, "a", &v), -ENOENT);
	assert_true(v == UNTOUCHED);
}

static void test_members(void **state)
{
	CLEANUP_JSON struct json *j = parse("{\"run_id\": 455644833, \"Run_ID\": 1, \"state\": {\"a\": "
					    "\"x\"}, \"tasks\": [10, \"b\", [3]], \"run_id\": 2}");
	static const char *const keys[] = {"run_id", "Run_ID", "state", "tasks", "run_id"};
	const struct json *tasks = json_get(j, "tasks");
	size_t n = 0;

	(void)state;
	assert_string_equal(json_get_text(j, "run_id"), "455644833");
	assert_string_equal(json_get_text(j, "Run_ID"), "1");
	assert_null(json_get(j, "RUN_ID"));
	assert_null(json_get(j, "run_i"));
	assert_null(json_get(j, ""));
	assert_string_equal(json_get_text(json_get(j, "state"), "a"), "x");
	assert_null(json_get_text(j, "state"));
	assert_int_equal(json_count(j), 5);
	for (const struct json *it = json_first(j); it != NULL; it = json_next(it))
		assert_string_equal(json_key(it), keys[n++]);
	assert_int_equal(n, 5);
	assert_int_equal(json_count(tasks), 3);
	assert_string_equal(json_text(json_at(tasks, 0)), "10");
	assert_string_equal(json_text(json_at(tasks, 1)), "b");
	assert_string_equal(json_text(json_at(json_at(tasks, 2), 0)), "3");
	assert_null(json_at(tasks, 3));
	assert_null(json_get(tasks, "a"));
	assert_null(json_key(json_first(tasks)));
}

static void test_get_i64(void **state)
{
	static const struct {
		const char *value;
		int result;
		int64_t v;
	} rows[] = {
		{"9223372036854775807", 0, INT64_MAX},
		{"-9223372036854775808", 0, INT64_MIN},
		{"9007199254740993", 0, INT64_C(9007199254740993)}, /* 2^53 + 1: a double cannot hold it */
		{"1105138934098331", 0, INT64_C(1105138934098331)},
		{"0", 0, 0},
		{"-0", 0, 0},
		{"\"123\"", 0, 123},
		{"9223372036854775808", -ERANGE, 0},
		{"1e3", -EINVAL, 0},
		{"1.0", -EINVAL, 0},
		{"\"\"", -EINVAL, 0},
		{"\"12x\"", -EINVAL, 0},
		{"\"n12\"", -EINVAL, 0},
		{"null", -EINVAL, 0},
		{"true", -EINVAL, 0},
		{"[1]", -EINVAL, 0},
		{"{}", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_FREE char *text = mem_printf("{\"x\":0,\"id\":%s}", rows[i].value);
		CLEANUP_JSON struct json *j = parse(text);
		int64_t v = UNTOUCHED;

		assert_int_equal(json_get_i64(j, "id", &v), rows[i].result);
		assert_true(v == (rows[i].result == 0 ? rows[i].v : UNTOUCHED));
		assert_int_equal(json_get_i64(j, "ID", &v), -ENOENT);
	}
}

/* The worst growth of the second text: nothing but one-digit numbers. */
static void test_large_array(void **state)
{
	enum { N = 100000 };
	CLEANUP_BUF struct buf b = BUF_INIT(2 * N + 10);

	(void)state;
	buf_addc(&b, '[');
	for (int i = 0; i < N; i++) {
		buf_addc(&b, (char)('0' + i % 10));
		buf_addc(&b, i + 1 < N ? ',' : ']');
	}

	CLEANUP_JSON struct json *j = json_parse(b.data, b.len, NULL);
	int i = 0;

	assert_non_null(j);
	for (const struct json *it = json_first(j); it != NULL; it = json_next(it), i++)
		assert_int_equal(json_text(it)[0], '0' + i % 10);
	assert_int_equal(i, N);
}

/* Every byte of a document exchanged for every other: never more than a refusal, and where it is taken it can
 * be walked. */
static size_t count_all(const struct json *j)
{
	size_t n = 1;

	for (const struct json *it = json_first(j); it != NULL; it = json_next(it))
		n += count_all(it);
	return n;
}

static void test_damaged_documents(void **state)
{
	static const char text[] =
		"{\"a\":[1,-2.5e3,\"x\\u00e4\\ud83e\\udd86\",true,null],\"b\":{\"\xc3\xa4\":\"\\\\\"}}";
	size_t n = sizeof(text) - 1;
	int taken = 0;

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (unsigned c = 0; c < 256; c++) {
			char *exact = malloc(n); /* without a NUL behind it */

			memcpy(exact, text, n);
			exact[i] = (char)c;

			struct json *j = json_parse(exact, n, NULL);

			if (j != NULL) {
				taken++;
				assert_in_range(count_all(j), 8, 10);
			}
			json_free(j);
			free(exact);
		}
	/* a name, a digit, an escape: some changes leave it valid */
	assert_in_range(taken, 300, 5000);
}

/* ---- writing ---- */

static void test_writer(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(1000);
	struct json_writer w = JSON_WRITER(&b);

	(void)state;
	json_begin_object(&w, NULL);
	json_add_string(&w, "a", "x\"y");
	json_add_string(&w, "b", NULL);
	json_add_i64(&w, "c", INT64_MIN);
	json_add_i64(&w, "d", INT64_MAX);
	json_add_bool(&w, "e", true);
	json_add_bool(&w, "f", false);
	json_add_null(&w, "g");
	json_begin_array(&w, "h");
	json_end_array(&w);
	json_begin_array(&w, "i");
	json_add_i64(&w, NULL, 1);
	json_begin_object(&w, NULL);
	json_end_object(&w);
	json_begin_array(&w, NULL);
	json_add_string(&w, NULL, "");
	json_end_array(&w);
	json_add_bytes(&w, NULL, "p\0q", 3);
	json_end_array(&w);
	json_begin_object(&w, "k\n");
	json_add_raw(&w, "r", "[1, 2]", 6);
	json_end_object(&w);
	json_add_null(&w, "");
	json_end_object(&w);
	assert_false(b.failed);
	assert_string_equal(buf_str(&b), "{\"a\":\"x\\\"y\",\"b\":null,\"c\":-9223372036854775808,\"d\":"
					 "9223372036854775807,\"e\":true,"
					 "\"f\":false,\"g\":null,\"h\":[],\"i\":[1,{},[\"\"],\"p\\u0000q\"],"
					 "\"k\\n\":{\"r\":[1, 2]},\"\":null}");
}

static void test_writer_failure_sticks(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(5);
	struct json_writer w = JSON_WRITER(&b);

	(void)state;
	json_begin_array(&w, NULL);
	json_add_string(&w, NULL, "too long");
	json_end_array(&w);
	assert_true(b.failed);
}

static void test_quoted(void **state)
{
	static const struct {
		const char *in;
		const char *out;
	} rows[] = {
		{"", "\"\""},
		{"plain", "\"plain\""},
		{"\"\\/", "\"\\\"\\\\/\""},
		{"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
		{"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
		{"\xc3\xa4\xe2\x82\xac", "\"\xc3\xa4\xe2\x82\xac\""},
		{"a\xff"
		 "b\xc3",
			"\"a\xef\xbf\xbd"
			"b\xef\xbf\xbd\""},
		{"\xc3\"", "\"\xef\xbf\xbd\\\"\""},
		{"\xe2\x82\n", "\"\xef\xbf\xbd\xef\xbf\xbd\\n\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(100);

		assert_int_equal(json_add_quoted(&b, rows[i].in, strlen(rows[i].in)), 0);
		assert_string_equal(buf_str(&b), rows[i].out);
	}

	CLEANUP_BUF struct buf small = BUF_INIT(3);

	assert_int_equal(json_add_quoted(&small, "ab", 2), -ENOBUFS);
}

/* Whatever bytes are written as a string, they are one valid JSON value; if they were UTF-8 without NUL, the
 * same is read. */
static void test_written_is_read(void **state)
{
	uint32_t seed = 5;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(1000);
		char in[12];
		size_t n = (size_t)(i % 12);

		for (size_t k = 0; k < n; k++) {
			seed = seed * 1664525u + 1013904223u;
			/* mostly small values and lead bytes, to meet escapes and sequences often */
			in[k] = (char)(seed >> 30 == 0	 ? seed >> 24 & 0x3f
				       : seed >> 30 == 1 ? 0xc0 | (seed >> 22 & 0x3f)
							 : seed >> 20);
		}
		assert_int_equal(json_add_quoted(&b, in, n), 0);
		assert_true(text_is_utf8(b.data, b.len));

		CLEANUP_JSON struct json *j = json_parse(b.data, b.len, NULL);

		if (memchr(in, '\0', n) != NULL) {
			assert_null(j);
			continue;
		}
		assert_non_null(j);
		if (text_is_utf8(in, n)) {
			assert_int_equal(strlen(json_text(j)), n);
			assert_memory_equal(json_text(j), in, n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_says_where),
		cmocka_unit_test(test_length_counts),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_get_i64),
		cmocka_unit_test(test_large_array),
		cmocka_unit_test(test_damaged_documents),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_writer_failure_sticks),
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
