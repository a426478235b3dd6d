/*
 * glob: rows that git check-ignore(1) was asked about too (for the path itself, not its parents), a
 * comparison with a slow and simple matcher over every small pattern and path, and names that make
 * exponential matchers hang.
 */
#include "core/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static const struct row {
	const char *pattern, *path;
	bool is_directory, match;
} rows[] = {
	/* without a slash: the name, at any depth */
	{"a.csv", "a.csv", false, true},
	{"a.csv", "x/y/a.csv", false, true},
	{"a.csv", "ba.csv", false, false},
	{"a.csv", "a.csv/b", false, false},
	{"*.csv", "a.csv", false, true},
	{"*.csv", "x/.csv", false, true},
	{"*.csv", "a.csv.gz", false, false},
	{"*", "a/b", false, true},
	{"**", "a/b", false, true},
	{"a**b", "axxb", false, true},
	{"a?c", "abc", false, true},
	{"a?c", "ac", false, false},
	{"A.csv", "a.csv", false, false},
	{".*", ".a", false, true},
	{"*", ".a", false, true},
	/* anchored */
	{"/a", "a", false, true},
	{"/a", "x/a", false, false},
	{"x/a", "x/a", false, true},
	{"x/a", "y/x/a", false, false},
	{"x/*", "x/a", false, true},
	{"x/*", "x/a/b", false, false},
	{"x?a", "x/a", false, false},
	{"*/a", "x/a", false, true},
	{"*/a", "a", false, false},
	{"*/a", "x/y/a", false, false},
	/* any depth */
	{"**/a", "a", false, true},
	{"**/a", "x/y/a", false, true},
	{"**/a/b", "x/a/b", false, true},
	{"**/a/b", "a/x/b", false, false},
	{"x/**", "x/a", false, true},
	{"x/**", "x/a/b", false, true},
	{"x/**", "x", true, false},
	{"x/**/a", "x/a", false, true},
	{"x/**/a", "x/y/z/a", false, true},
	{"x/**/a", "xa", false, false},
	{"x/**/**/a", "x/a", false, true},
	{"**/x/**/a", "q/x/x/p/a", false, true},
	{"x/a**b", "x/a/b", false, false},
	{"/**", "a", false, true},
	/* directories only */
	{"a/", "a", true, true},
	{"a/", "a", false, false},
	{"a/", "x/a", true, true},
	{"/a/", "x/a", true, false},
	{"x/**/", "x/a", true, true},
	{"x/**/", "x/a", false, false},
	/* classes */
	{"[ab]", "a", false, true},
	{"[ab]", "c", false, false},
	{"[!ab]", "c", false, true},
	{"[^ab]", "a", false, false},
	{"[a-c]x", "bx", false, true},
	{"[]a]", "]", false, true},
	{"[!]a]", "]", false, false},
	{"[a-]", "-", false, true},
	{"[\\]]", "]", false, true},
	{"[a\\-c]", "b", false, false},
	{"[[:digit:]]", "7", false, true},
	{"[[:digit:]]", "x", false, false},
	{"[![:alpha:]_]", "_", false, false},
	{"[*]", "*", false, true},
	{"[*]", "x", false, false},
	{"x[!a]y", "x/y", false, false},
	/* backslash */
	{"\\*", "*", false, true},
	{"\\*", "a", false, false},
	{"\\a", "a", false, true},
	{"\\\\", "\\", false, true},
	{"\\!x", "!x", false, true},
	{"#x#", "#x#", false, true},
};

/* Here we mean characters where git means bytes. */
static const struct row utf8_rows[] = {
	{"?", "\xc3\xa4", false, true}, {"??", "\xc3\xa4", false, false},
	{"*??", "\xe2\x82\xac", false, false}, {"*?", "\xe2\x82\xac", false, true},
	{"[\xc3\xa4\xc3\xb6]", "\xc3\xb6", false, true}, {"[\xc3\xa4\xc3\xb6]", "\xc3", false, false},
	{"[\xce\xb1-\xcf\x89]", "\xce\xbb", false, true}, /* alpha to omega */
	{"[!a]", "\xf0\x9f\x98\x80", false, true},
	{"x?z", "x\xffz", false, true}, /* a byte that is no character */
	{"x??z", "x\xff\xfez", false, true}, {"[\xff]", "\xff", false, true},
	{"[!\xff]", "\xfe", false, true}, {"*\xa4", "\xc3\xa4", false, true}, /* literals are bytes */
};

static const char *const malformed[] = {
	"",
	"/",
	"[",
	"[a",
	"[!",
	"[]",
	"[z-a]",
	"[[:nix:]]",
	"a\\",
	"a\\/b",
	"a/b\\",
	"a//b",
	"a//",
	"./a",
	"a/../b",
	"a/.",
	"..",
	"!a",
	"[a/b]",
	"x/[a/b]y",
	"[a-",
};

static void check_rows(const struct row *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct err err = ERR_INIT;

		if (glob_check(r[i].pattern, &err) != 0)
			fail_msg("%s: %s", r[i].pattern, err.text);
		if (glob_match(r[i].pattern, r[i].path, r[i].is_directory) != r[i].match)
			fail_msg("%s with %s: not %d", r[i].pattern, r[i].path, r[i].match);
	}
}

static void test_rows(void **state)
{
	(void)state;
	check_rows(rows, ARRAY_SIZE(rows));
	check_rows(utf8_rows, ARRAY_SIZE(utf8_rows));
}

static void test_malformed(void **state)
{
	char longest[GLOB_PATTERN_BYTES + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		struct err err = ERR_INIT;

		if (glob_check(malformed[i], &err) != -EINVAL || err.class != ERR_CONF || err.text[0] == '\0')
			fail_msg("\"%s\" passes", malformed[i]);
		/* must be harmless all the same */
		glob_match(malformed[i], "a/b", false);
		glob_may_match_below(malformed[i], "a");
	}
	assert_false(glob_match("[a", "a", false));
	assert_false(glob_match("a\\", "a", false));
	memset(longest, 'a', sizeof(longest));
	longest[GLOB_PATTERN_BYTES] = '\0';
	assert_int_equal(glob_check(longest, NULL), 0);
	assert_true(glob_match(longest, longest, false));
	longest[GLOB_PATTERN_BYTES] = 'a';
	longest[GLOB_PATTERN_BYTES + 1] = '\0';
	assert_int_equal(glob_check(longest, NULL), -EINVAL);
	assert_false(glob_match(longest, longest, false));
}

static void test_literal(void **state)
{
	(void)state;
	assert_true(glob_is_literal("_SUCCESS"));
	assert_true(glob_is_literal("/a/b c.csv"));
	assert_true(glob_is_literal("a]b"));
	assert_false(glob_is_literal(""));
	assert_false(glob_is_literal("a/"));
	assert_false(glob_is_literal("*.csv"));
	assert_false(glob_is_literal("a?"));
	assert_false(glob_is_literal("[a]"));
	assert_false(glob_is_literal("\\a"));
}

/* ---- the slow and simple matcher: gitignore(5) word by word, by recursion ---- */

static bool slow_element(const char *p, size_t pn, const char *s, size_t sn)
{
	if (pn == 0)
		return sn == 0;
	if (p[0] == '*')
		return slow_element(p + 1, pn - 1, s, sn) || (sn > 0 && slow_element(p, pn, s + 1, sn - 1));
	return sn > 0 && (p[0] == '?' || p[0] == s[0]) && slow_element(p + 1, pn - 1, s + 1, sn - 1);
}

static bool slow_path(const char *p, const char *s)
{
	size_t pn = strcspn(p, "/"), sn = strcspn(s, "/");
	const char *p_next = p[pn] ? p + pn + 1 : NULL, *s_next = s[sn] ? s + sn + 1 : NULL;

	if (pn == 2 && memcmp(p, "**", 2) == 0) {
		if (!p_next)
			return true; /* something is left: s */
		return slow_path(p_next, s) || (s_next && slow_path(p, s_next));
	}
	if (!slow_element(p, pn, s, sn))
		return false;
	if (!p_next || !s_next)
		return !p_next && !s_next;
	return slow_path(p_next, s_next);
}

static bool slow_match(const char *pattern, const char *path)
{
	bool anchored = strchr(pattern, '/');

	if (pattern[0] == '/')
		pattern++;
	if (!anchored && strrchr(path, '/'))
		path = strrchr(path, '/') + 1;
	return slow_path(pattern, path);
}

/* The i-th text over the letters, "" at the end of it. */
static void nth_text(unsigned i, const char *letters, char out[16])
{
	size_t n = strlen(letters), len = 0;

	for (i++; i > 0; i = (unsigned)((i - 1) / n))
		out[len++] = letters[(i - 1) % n];
	out[len] = '\0';
}

static bool is_relpath(const char *path)
{
	return path[0] != '/' && path[strlen(path) - 1] != '/' && !strstr(path, "//");
}

#define PATTERNS 19530u /* all up to six letters of five */
#define PATHS 363u	/* all up to five letters of three */

static void test_against_slow_matcher(void **state)
{
	unsigned compared = 0, matched = 0;

	(void)state;
	for (unsigned i = 0; i < PATTERNS; i++) {
		char pattern[16];

		nth_text(i, "ab*?/", pattern);
		if (pattern[strlen(pattern) - 1] == '/' || glob_check(pattern, NULL) != 0)
			continue;
		for (unsigned k = 0; k < PATHS; k++) {
			char path[16];
			bool want;

			nth_text(k, "ab/", path);
			if (!is_relpath(path))
				continue;
			want = slow_match(pattern, path);
			if (glob_match(pattern, path, false) != want)
				fail_msg("%s with %s: not %d", pattern, path, want);
			compared++;
			matched += want;
		}
	}
	assert_true(compared > 1000000 && matched > 100000);
}

/* What matches must be found by a walk that asks glob_may_match_below for each directory on the way. */
static void test_may_match_below_never_prunes_a_match(void **state)
{
	unsigned asked = 0;

	(void)state;
	for (unsigned i = 0; i < PATTERNS; i += 3) {
		char pattern[16];

		nth_text(i, "ab*?/", pattern);
		if (glob_check(pattern, NULL) != 0)
			continue;
		assert_true(glob_may_match_below(pattern, ""));
		for (unsigned k = 0; k < PATHS; k++) {
			char path[16];

			nth_text(k, "ab/", path);
			if (!is_relpath(path) || !glob_match(pattern, path, true))
				continue;
			for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
				*slash = '\0';
				if (!glob_may_match_below(pattern, path))
					fail_msg("%s prunes %s", pattern, path);
				*slash = '/';
				asked++;
			}
		}
	}
	assert_true(asked > 10000);
}

static void test_may_match_below_prunes(void **state)
{
	(void)state;
	assert_false(glob_may_match_below("in/*.csv", "out"));
	assert_false(glob_may_match_below("in/*.csv", "in/deep"));
	assert_true(glob_may_match_below("in/*.csv", "in"));
	assert_true(glob_may_match_below("in/**", "in/deep/er"));
	assert_false(glob_may_match_below("in/**", "out"));
	assert_true(glob_may_match_below("*.csv", "out"));
	assert_false(glob_may_match_below("/a.csv", "out"));
	assert_true(glob_may_match_below("2*/x/a", "24/x"));
	assert_false(glob_may_match_below("2*/x/a", "14/x"));
	assert_false(glob_may_match_below("/in/", "in"));
}

/* Recursive matchers need longer than the universe for these; ours a few million steps. */
static void test_bounded(void **state)
{
	char pattern[GLOB_PATTERN_BYTES + 1], path[4096];
	size_t n = 0;

	(void)state;
	while (n + 3 < GLOB_PATTERN_BYTES) {
		pattern[n++] = '*';
		pattern[n++] = 'a';
	}
	pattern[n++] = 'b';
	pattern[n] = '\0';
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_false(glob_match(pattern, path, false));
	path[sizeof(path) - 2] = 'b';
	assert_true(glob_match(pattern, path, false));
	for (n = 0; n + 7 < GLOB_PATTERN_BYTES; n += 5)
		memcpy(pattern + n, "**/a/", 5);
	memcpy(pattern + n, "b", 2);
	for (n = 0; n + 2 < sizeof(path); n += 2)
		memcpy(path + n, "a/", 2);
	memcpy(path + n, "a", 2);
	assert_false(glob_match(pattern, path, false));
	path[n] = 'b';
	assert_true(glob_match(pattern, path, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_literal),
		cmocka_unit_test(test_against_slow_matcher),
		cmocka_unit_test(test_may_match_below_never_prunes_a_match),
		cmocka_unit_test(test_may_match_below_prunes),
		cmocka_unit_test(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
