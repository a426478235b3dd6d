#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

/* What a decoder by arithmetic says: the independent second opinion on the table in text.c. */
static size_t reference_next(const unsigned char *u, size_t len)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = u[0] < 0x80		   ? 1
		   : (u[0] & 0xe0) == 0xc0 ? 2
		   : (u[0] & 0xf0) == 0xe0 ? 3
		   : (u[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	uint32_t v = n == 1 ? u[0] : u[0] & (0xffu >> (n + 1));

	if (n == 0 || len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (u[i] & 0x3f);
	}
	if (v < smallest[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	return n;
}

/* Every first and second byte, with third and fourth bytes at the borders, in every length. */
static void test_utf8_against_reference(void **state)
{
	static const unsigned char border[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};

	(void)state;
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++)
			for (size_t c = 0; c < ARRAY_SIZE(border); c++)
				for (size_t d = 0; d < ARRAY_SIZE(border); d++)
					for (size_t len = 1; len <= 4; len++) {
						unsigned char u[4] = {(unsigned char)a, (unsigned char)b,
							border[c], border[d]};

						if (text_utf8_next((char *)u, len) != reference_next(u, len))
							fail_msg("%02x %02x %02x %02x, %zu bytes", u[0], u[1],
								u[2], u[3], len);
					}
	assert_int_equal(text_utf8_next("", 0), 0);
}

static void test_is_utf8(void **state)
{
	(void)state;
	assert_true(text_is_utf8("", 0));
	assert_true(text_is_utf8("a\0b", 3));
	assert_true(text_is_utf8("gr\xc3\xb6\xc3\x9f"
				 "e \xe2\x82\xac \xf0\x9f\xa6\x86",
		16));
	assert_false(text_is_utf8("gr\xf6\xdf"
				  "e",
		5));
	assert_false(text_is_utf8("cut \xe2\x82", 6));
}

struct row {
	const char *in;
	const char *out;
};

static void test_repaired(void **state)
{
	static const struct row rows[] = {
		{"", ""},
		{"plain", "plain"},
		{"\xff", "\xef\xbf\xbd"},
		{"a\xff"
		 "b",
			"a\xef\xbf\xbd"
			"b"},
		{"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xc3\xa4\xc3", "\xc3\xa4\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xe2\x82\xac", "\xe2\x82\xac"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(100);

		assert_int_equal(text_add_utf8_repaired(&b, rows[i].in, strlen(rows[i].in)), 0);
		assert_string_equal(buf_str(&b), rows[i].out);
		assert_true(text_is_utf8(b.data != NULL ? b.data : "", b.len));
	}

	CLEANUP_BUF struct buf small = BUF_INIT(2);

	assert_int_equal(text_add_utf8_repaired(&small, "\xff", 1), -ENOBUFS);
}

static const struct row printable_rows[] = {
	{"a\u202eb\u2028c", "a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8c"}, /* would turn the line around, or end it */
	{"\u2066\u061c\u00e9\u20ac", "\\xe2\\x81\\xa6\\xd8\\x9c\u00e9\u20ac"},
	{"", ""},
	{"plain \\ text", "plain \\ text"},
	{"a\nb\tc\rd", "a\\nb\\tc\\x0dd"},
	{"\x1b[31m\x7f", "\\x1b[31m\\x7f"},
	{"\xc2\x85\xc2\x9f\xc2\xa0", "\\xc2\\x85\\xc2\\x9f\xc2\xa0"},
	{"\xff\xc3", "\\xff\\xc3"},
	{"\xe2\x82\xac", "\xe2\x82\xac"},
};

static void test_printable(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(printable_rows); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(100);
		const char *in = printable_rows[i].in;
		char out[100];

		assert_int_equal(text_add_printable(&b, in, strlen(in)), 0);
		assert_string_equal(buf_str(&b), printable_rows[i].out);
		assert_string_equal(text_printable(in, strlen(in), out, sizeof(out)), printable_rows[i].out);
	}

	char out[20];

	assert_string_equal(text_printable("a\0b", 3, out, sizeof(out)), "a\\x00b");
}

/* In every size of space: whole when it fits, else a beginning of whole units and the ellipsis. */
static void test_printable_in_little_space(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(printable_rows); i++) {
		const char *in = printable_rows[i].in;
		const char *whole = printable_rows[i].out;
		size_t n = strlen(whole);

		for (size_t space = 1; space <= n + 2; space++) {
			char *out = mem_alloc(space); /* exactly, so that a byte too many is seen */
			size_t made = strlen(text_printable(in, strlen(in), out, space));

			assert_true(made < space);
			if (space > n) {
				assert_string_equal(out, whole);
			} else if (space < 4) {
				assert_string_equal(out, "");
			} else {
				assert_string_equal(out + made - 3, "\xe2\x80\xa6");
				assert_memory_equal(out, whole, made - 3);
				assert_true(text_is_utf8(out, made));
				assert_true(made + 12 >= space);
			}
			free(out);
		}
	}
	assert_string_equal(text_printable("abc", 3, NULL, 0), "");

	char out[8];

	assert_string_equal(text_printable("ab\ncdef", 7, out, sizeof(out)), "ab\\n\xe2\x80\xa6");
	assert_string_equal(text_printable("abc\xff...", 7, out, sizeof(out)), "abc\xe2\x80\xa6");
}

static void test_distance(void **state)
{
	static const struct {
		const char *a, *b;
		size_t d;
	} rows[] = {
		{"", "", 0},
		{"a", "", 1},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
		{"abc", "abc", 0},
		{"settle", "setle", 1},
		{"ab", "ba", 2},
	};
	char long_word[65];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(text_distance(rows[i].a, rows[i].b), rows[i].d);
		assert_int_equal(text_distance(rows[i].b, rows[i].a), rows[i].d);
	}
	memset(long_word, 'x', 64);
	long_word[64] = '\0';
	assert_true(text_distance(long_word, "x") == SIZE_MAX);
	assert_true(text_distance("x", long_word) == SIZE_MAX);
	long_word[63] = '\0';
	assert_int_equal(text_distance(long_word, "x"), 62);
	assert_int_equal(text_distance(long_word, long_word), 0);
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"settle", "sentinel", "rate", "retry_for", "rescan"};
	static const struct row rows[] = {
		{"setle", "settle"},
		{"sentinal", "sentinel"},
		{"rtae", "rate"},
		{"retryfor", "retry_for"},
		{"rescans", "rescan"},
		{"zz", NULL},
		{"completely", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *found = text_nearest(rows[i].in, words, ARRAY_SIZE(words));

		if (rows[i].out == NULL)
			assert_null(found);
		else
			assert_string_equal(found, rows[i].out);
	}
	assert_null(text_nearest("x", words, 0));
}

static void test_starts_and_ends(void **state)
{
	(void)state;
	assert_true(text_starts_with("abc", ""));
	assert_true(text_starts_with("abc", "abc"));
	assert_false(text_starts_with("ab", "abc"));
	assert_true(text_ends_with("abc", ""));
	assert_true(text_ends_with("abc", "bc"));
	assert_false(text_ends_with("bc", "abc"));
	assert_false(text_ends_with("abd", "bc"));
}

/* RFC 4648, section 10 */
static void test_base64(void **state)
{
	static const struct row rows[] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff\xfe", "+//+"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(100);

		assert_int_equal(text_add_base64(&b, rows[i].in, strlen(rows[i].in)), 0);
		assert_string_equal(buf_str(&b), rows[i].out);
		buf_reset(&b);
		assert_int_equal(text_from_base64(&b, rows[i].out, strlen(rows[i].out)), 0);
		assert_string_equal(buf_str(&b), rows[i].in);
	}
}

static void test_no_base64(void **state)
{
	static const char *const rows[] = {
		"Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zm8=Zm8=", "Zm9 ", "Zg=v", "Zm9v\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(100);

		if (text_from_base64(&b, rows[i], strlen(rows[i])) != -EINVAL)
			fail_msg("%s", rows[i]);
	}
}

static void test_hex(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(8);

	(void)state;
	assert_int_equal(text_add_hex(&b, "\x00\x9f\xff", 3), 0);
	assert_string_equal(buf_str(&b), "009fff");
	assert_int_equal(text_add_hex(&b, "ab", 2), -ENOBUFS);
}

static void test_trim(void **state)
{
	static const struct row rows[] = {
		{"", ""},
		{" \t ", ""},
		{"a", "a"},
		{"  a b\t", "a b"},
		{"a\n ", "a\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_FREE char *s = mem_strdup(rows[i].in);

		assert_string_equal(text_trim(s), rows[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8_against_reference),
		cmocka_unit_test(test_is_utf8),
		cmocka_unit_test(test_repaired),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_printable_in_little_space),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_starts_and_ends),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_no_base64),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_trim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
