#include "base/jsonpick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define ROOM 64

static void finds_members_at_the_top(void **state)
{
	static const struct {
		const char *text, *found; /* NULL: no such member */
	} rows[] = {
		{"{\"a\":1}", "1"},
		{" \t\r\n{ \"a\" : 1 , \"b\" : 2 } \n", "1"},
		{"{\"b\":{\"a\":2},\"a\":1}", "1"},
		{"{\"b\":[{\"a\":2}],\"c\":\"\\\"a\\\":3\",\"a\":\"x\\\"y\"}", "\"x\\\"y\""},
		{"{\"a\":{\"b\":[1,{},\"}\"]},\"c\":1}", "{\"b\":[1,{},\"}\"]}"},
		{"{\"a\":true,\"a\":false}", "true"},
		{"{\"a\":-1.5E+3}", "-1.5E+3"},
		{"{\"A\":1}", NULL},
		{"{\"\\u0061\":1}", NULL},
		{"{\"aa\":1,\"\":2}", NULL},
		{"{}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct jsonpick value = {NULL, 0};
		int r = jsonpick_find(rows[i].text, strlen(rows[i].text), "a", &value);

		if (r != (rows[i].found != NULL ? 0 : -ENOENT))
			fail_msg("%s: %d", rows[i].text, r);
		if (r == 0 && (value.len != strlen(rows[i].found) ||
				      memcmp(value.s, rows[i].found, value.len) != 0))
			fail_msg("%s: %.*s", rows[i].text, (int)value.len, value.s);
	}
}

static void what_is_no_object_is_refused(void **state)
{
	static const char *const rows[] = {"", " ", "1", "\"a\"", "[\"a\"]", "{", "}", "{\"a\"}", "{\"a\":}",
		"{\"a\":1", "{\"a\":1,}", "{\"a\":1}}", "{\"a\":1}x", "{\"a\":1 \"b\":2}", "{a:1}", "{'a':1}",
		"{\"a\":\"x}", "{\"a\":\"x\ny\"}", "{\"a\":\"x\\\"}", "{\"a\":[1}}", "{\"a\":{]}",
		"{\"a\":[}", "{\"a\":@}", "{\"a\":\"x\"y}", "<html>", "{\"a\":1}\f", "{\"a\":1,,\"b\":2}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct jsonpick value;

		if (jsonpick_find(rows[i], strlen(rows[i]), "a", &value) != -EBADMSG)
			fail_msg("%s was taken", rows[i]);
	}
	assert_int_equal(jsonpick_find("{\"a\":1}\0", 8, "a", &(struct jsonpick){NULL, 0}), -EBADMSG);
}

static void depth_has_a_bound(void **state)
{
	char text[512];

	(void)state;
	for (int depth = JSONPICK_DEPTH_MAX; depth <= JSONPICK_DEPTH_MAX + 1; depth++) {
		struct jsonpick value;
		int n = snprintf(text, sizeof(text), "{\"a\":");

		memset(text + n, '[', (size_t)depth);
		memset(text + n + depth, ']', (size_t)depth);
		memcpy(text + n + 2 * depth, "}", 2);
		assert_int_equal(jsonpick_find(text, strlen(text), "a", &value),
			depth > JSONPICK_DEPTH_MAX ? -EBADMSG : 0);
	}
}

static void strings_are_resolved(void **state)
{
	static const struct {
		const char *text, *meaning; /* NULL: refused */
	} rows[] = {
		{"\"\"", ""},
		{"\"dapi-1\"", "dapi-1"},
		{"\"a\\/b\\\\c\\\"d\\n\\t\\r\\b\\f\"", "a/b\\c\"d\n\t\r\b\f"},
		{"\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00!\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!"},
		{"\"\\u0000\"", NULL},
		{"\"\\ud83d\"", NULL},
		{"\"\\ud83dx\"", NULL},
		{"\"\\ud83d\\n1234\"", NULL},
		{"\"\\ud83d\\u0041\"", NULL},
		{"\"\\ude00\"", NULL},
		{"\"\\u12\"", NULL},
		{"\"\\u12g4\"", NULL},
		{"\"\\x41\"", NULL},
		{"12", NULL},
		{"null", NULL},
		{"\"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct jsonpick value = {rows[i].text, strlen(rows[i].text)};
		CLEANUP_SECRET struct secret *s = secret_new(ROOM);
		int r = jsonpick_add_string(&value, s);

		if (r != (rows[i].meaning != NULL ? 0 : -EINVAL))
			fail_msg("%s: %d", rows[i].text, r);
		if (r == 0)
			assert_string_equal(secret_bytes(s), rows[i].meaning);
	}
}

static void strings_stay_in_their_room(void **state)
{
	static const char *const rows[] = {
		"\"12345\"", "\"1234\\n\"", "\"123\\u00e9\"", "\"1\\ud83d\\ude00\""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct jsonpick value = {rows[i], strlen(rows[i])};
		CLEANUP_SECRET struct secret *s = secret_new(4);

		assert_int_equal(jsonpick_add_string(&value, s), -ENOBUFS);
		assert_true(secret_len(s) <= 4);
	}
}

static void integers_in_every_spelling(void **state)
{
	static const struct {
		const char *text;
		int r;
		int64_t value;
	} rows[] = {
		{"3600", 0, 3600},
		{"\"3600\"", 0, 3600},
		{"3599.75", 0, 3599},
		{"\"86399.0\"", 0, 86399},
		{"-5", 0, -5},
		{"0", 0, 0},
		{"9223372036854775807", 0, INT64_MAX},
		{"9223372036854775808", -ERANGE, 0},
		{"\"111111111111111111111111111111111\"", -ERANGE, 0},
		{"\"\"", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{".5", -EINVAL, 0},
		{"1.5x", -EINVAL, 0},
		{"1-2", -EINVAL, 0},
		{"true", -EINVAL, 0},
		{"[1]", -EINVAL, 0},
		{"\" 1\"", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct jsonpick value = {rows[i].text, strlen(rows[i].text)};
		int64_t n = 0;

		if (jsonpick_get_i64(&value, &n) != rows[i].r || n != rows[i].value)
			fail_msg("%s", rows[i].text);
	}
}

/* Each byte changed to each value, and each end cut off: no crash, no byte beyond the text (the sanitizers
 * look), and what is found lies in it. */
static void every_damage_is_survived(void **state)
{
	static const char good[] =
		"{\"t\":\"x\\u00e9\\\\\",\"n\":{\"a\":[1,\"]\"]},\"a\":\"\\ud83d\\ude00\"}";

	(void)state;
	for (size_t len = 0; len < sizeof(good); len++)
		for (int byte = 0; byte < 256; byte++) {
			size_t n = len < sizeof(good) - 1 ? sizeof(good) - 1
							  : sizeof(good) - 1 - (size_t)byte % 40;
			char *text = mem_dup(good, n);
			char *exact = malloc(n > 0 ? n : 1);
			CLEANUP_SECRET struct secret *s = secret_new(ROOM);
			struct jsonpick value;

			if (len < n)
				text[len] = (char)byte;
			memcpy(exact, text, n);
			if (jsonpick_find(exact, n, "a", &value) == 0) {
				assert_true(value.s >= exact && value.s + value.len <= exact + n);
				assert_true(jsonpick_add_string(&value, s) <= 0);
			}
			free(exact);
			free(text);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_members_at_the_top),
		cmocka_unit_test(what_is_no_object_is_refused),
		cmocka_unit_test(depth_has_a_bound),
		cmocka_unit_test(strings_are_resolved),
		cmocka_unit_test(strings_stay_in_their_room),
		cmocka_unit_test(integers_in_every_spelling),
		cmocka_unit_test(every_damage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
