/*
 * version: the table of architecture's "Key and version", and stories in which events and listings take
 * turns.
 */
#include "core/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define T1 INT64_C(1767323045000000000)
#define T2 (T1 + 1) /* a nanosecond is enough */
#define A "aaaa"
#define B "bbbb"
#define EVENT VERSION_BY_EVENT
#define LISTING VERSION_BY_LISTING
#define FULL CONF_VERSION_SIZE_MTIME
#define SIZE CONF_VERSION_SIZE
#define NAME CONF_VERSION_NAME

static const struct row {
	struct version known, now;
	enum version_found found;
	enum conf_version mode;
	bool inodes_stable;
	enum version_relation want;
} rows[] = {
	/* nothing differs */
	{{10, T1, 7, A, 0}, {10, T1, 7, A, 0}, EVENT, FULL, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {10, T1, 7, "", 0}, LISTING, FULL, true, VERSION_SAME},
	{{10, T1, 7, "", 0}, {10, T1, 7, "", 0}, LISTING, FULL, true, VERSION_SAME},
	/* the size differs */
	{{10, T1, 7, A, 0}, {11, T1, 7, A, 0}, EVENT, FULL, true, VERSION_NEW},
	{{10, T1, 7, A, 0}, {11, T1, 7, A, 0}, LISTING, FULL, true, VERSION_NEW},
	{{10, T1, 7, A, 0}, {11, T2, 7, A, 0}, LISTING, FULL, true, VERSION_NEW},
	{{10, T1, 7, "", 0}, {0, T1, 7, "", 0}, LISTING, FULL, false, VERSION_NEW},
	/* the time differs: an event decides by itself, whatever the ends say */
	{{10, T1, 7, A, 0}, {10, T2, 7, A, 0}, EVENT, FULL, true, VERSION_NEW},
	{{10, T1, 7, "", 0}, {10, T2, 7, "", 0}, EVENT, FULL, true, VERSION_NEW},
	{{10, T2, 7, A, 0}, {10, T1, 7, A, 0}, EVENT, FULL, true, VERSION_NEW}, /* backwards too: cp -p */
	/* the time differs in a listing: the ends decide, then a person */
	{{10, T1, 7, A, 0}, {10, T2, 7, A, 0}, LISTING, FULL, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {10, T2, 7, B, 0}, LISTING, FULL, true, VERSION_NEW},
	{{10, T1, 7, A, 0}, {10, T2, 7, "", 0}, LISTING, FULL, true, VERSION_ENDS},
	{{10, T1, 7, "", 0}, {10, T2, 7, A, 0}, LISTING, FULL, true, VERSION_HOLD},
	{{10, T1, 7, "", 0}, {10, T2, 7, "", 0}, LISTING, FULL, true, VERSION_HOLD},
	/* only the inode differs: the next generation, if an event says so and inodes mean something */
	{{10, T1, 7, A, 0}, {10, T1, 8, A, 0}, EVENT, FULL, true, VERSION_GENERATION},
	{{10, T1, 7, A, 0}, {10, T1, 8, A, 0}, EVENT, FULL, false, VERSION_SAME},
	{{10, T1, 0, A, 0}, {10, T1, 8, A, 0}, EVENT, FULL, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {10, T1, 0, A, 0}, EVENT, FULL, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {10, T1, 8, A, 0}, LISTING, FULL, true, VERSION_SAME},
	/* a number that was given to another file, which only the time of birth shows */
	{{10, T1, 7, A, 1}, {10, T1, 7, A, 2}, EVENT, FULL, true, VERSION_GENERATION},
	{{10, T1, 7, A, 1}, {10, T1, 7, A, 2}, EVENT, FULL, false, VERSION_SAME},
	{{10, T1, 7, A, 1}, {10, T1, 7, A, 0}, EVENT, FULL, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {10, T1, 7, A, 2}, EVENT, FULL, true, VERSION_SAME},
	{{10, T1, 0, A, 1}, {10, T1, 7, A, 2}, EVENT, FULL, true, VERSION_SAME},
	{{10, T1, 7, A, 1}, {10, T1, 7, A, 2}, LISTING, FULL, true, VERSION_SAME},
	/* written anew in place, and its time set back */
	{{10, T1, 7, A, 0}, {10, T1, 7, B, 0}, EVENT, FULL, true, VERSION_GENERATION},
	{{10, T1, 7, A, 0}, {10, T1, 7, B, 0}, EVENT, FULL, false, VERSION_GENERATION},
	{{10, T1, 7, A, 0}, {10, T1, 7, "", 0}, EVENT, FULL, true, VERSION_SAME},
	/* the inode is never part of the version otherwise */
	{{10, T1, 7, A, 0}, {10, T2, 8, A, 0}, LISTING, FULL, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {10, T2, 8, A, 0}, EVENT, FULL, true, VERSION_NEW},
	/* version = size */
	{{10, T1, 7, A, 0}, {10, T2, 8, B, 0}, EVENT, SIZE, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {10, T2, 8, B, 0}, LISTING, SIZE, true, VERSION_SAME},
	{{10, T1, 7, "", 0}, {10, T2, 8, "", 0}, LISTING, SIZE, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {11, T1, 7, A, 0}, EVENT, SIZE, true, VERSION_NEW},
	{{10, T1, 7, A, 0}, {11, T1, 7, A, 0}, LISTING, SIZE, true, VERSION_NEW},
	/* version = name */
	{{10, T1, 7, A, 0}, {11, T2, 8, B, 0}, EVENT, NAME, true, VERSION_SAME},
	{{10, T1, 7, A, 0}, {11, T2, 8, B, 0}, LISTING, NAME, true, VERSION_SAME},
	/* extremes */
	{{INT64_MAX, INT64_MIN, UINT64_MAX, A, 0}, {INT64_MAX, INT64_MAX, 1, A, 0}, EVENT, FULL, true,
		VERSION_NEW},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		enum version_relation got =
			version_compare(&r->known, &r->now, r->found, r->mode, r->inodes_stable);

		if (got != r->want)
			fail_msg("row %zu: %d, not %d", i, (int)got, (int)r->want);
	}
}

/* One path over its life. known becomes what was found whenever that is a version of its own. */
struct step {
	struct version now;
	enum version_found found;
	enum version_relation want;
};

static void tell(const struct step *steps, size_t n)
{
	struct version known = steps[0].now;

	for (size_t i = 1; i < n; i++) {
		enum version_relation got =
			version_compare(&known, &steps[i].now, steps[i].found, FULL, true);

		if (got != steps[i].want)
			fail_msg("step %zu: %d, not %d", i, (int)got, (int)steps[i].want);
		if (got == VERSION_NEW || got == VERSION_GENERATION)
			known = steps[i].now;
	}
}

static void test_stories(void **state)
{
	/* written, the mount sets the time late, the listing reads the ends, then really rewritten, then
	 * listed */
	static const struct step late_time[] = {
		{{10, T1, 7, A, 0}, EVENT, VERSION_NEW},
		{{10, T2, 7, "", 0}, LISTING, VERSION_ENDS},
		{{10, T2, 7, A, 0}, LISTING, VERSION_SAME},
		{{10, T2 + 5, 7, B, 0}, EVENT, VERSION_NEW},
		{{10, T2 + 5, 7, "", 0}, LISTING, VERSION_SAME},
	};
	/* replaced by a copy with the same time (cp -p and mv), listed, and back again */
	static const struct step replaced[] = {
		{{10, T1, 7, A, 0}, EVENT, VERSION_NEW},
		{{10, T1, 8, B, 0}, EVENT, VERSION_GENERATION},
		{{10, T1, 8, "", 0}, LISTING, VERSION_SAME},
		{{10, T1, 7, A, 0}, EVENT, VERSION_GENERATION},
	};
	/* a rewrite of which no event came, and its event late, behind the listing */
	static const struct step late_event[] = {
		{{10, T1, 7, A, 0}, EVENT, VERSION_NEW},
		{{10, T2, 7, "", 0}, LISTING, VERSION_ENDS},
		{{10, T2, 7, B, 0}, LISTING, VERSION_NEW},
		{{10, T2, 7, B, 0}, EVENT, VERSION_SAME},
	};
	/* known from the baseline only: no digest; touched; then somebody writes it */
	static const struct step baseline[] = {
		{{10, T1, 7, "", 0}, LISTING, VERSION_NEW},
		{{10, T1, 7, "", 0}, LISTING, VERSION_SAME},
		{{10, T2, 7, "", 0}, LISTING, VERSION_HOLD},
		{{10, T2, 7, A, 0}, LISTING, VERSION_HOLD},
		{{10, T2 + 1, 7, A, 0}, EVENT, VERSION_NEW},
		{{10, T2 + 9, 7, A, 0}, LISTING, VERSION_SAME},
	};

	(void)state;
	tell(late_time, ARRAY_SIZE(late_time));
	tell(replaced, ARRAY_SIZE(replaced));
	tell(late_event, ARRAY_SIZE(late_event));
	tell(baseline, ARRAY_SIZE(baseline));
}

static void test_without_ends(void **state)
{
	(void)state;
	assert_int_equal(version_without_ends(VERSION_SAME), VERSION_SAME);
	assert_int_equal(version_without_ends(VERSION_NEW), VERSION_NEW);
	assert_int_equal(version_without_ends(VERSION_GENERATION), VERSION_GENERATION);
	assert_int_equal(version_without_ends(VERSION_ENDS), VERSION_NEW);
	assert_int_equal(version_without_ends(VERSION_HOLD), VERSION_NEW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_without_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
