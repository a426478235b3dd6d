#include "sense/roster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void list(struct roster *r, const char *const *names)
{
	roster_begin(r);
	for (; *names; names++)
		roster_add(r, roster_id(*names, 0));
	roster_end(r);
}

static void what_a_listing_showed_is_known(void **state)
{
	struct roster *r = roster_new();

	(void)state;
	assert_false(roster_is_filled(r));
	assert_false(roster_has(r, roster_id("a", 0)));
	list(r, (const char *const[]){"a", "b", "c", NULL});
	assert_true(roster_is_filled(r));
	assert_int_equal(roster_count(r), 3);
	assert_true(roster_has(r, roster_id("b", 0)));
	assert_false(roster_has(r, roster_id("d", 0)));
	list(r, (const char *const[]){"a", "d", NULL});
	assert_false(roster_has(r, roster_id("b", 0))); /* was gone once: new when it comes back */
	assert_true(roster_has(r, roster_id("d", 0)));
	list(r, (const char *const[]){NULL});
	assert_int_equal(roster_count(r), 0);
	assert_true(roster_is_filled(r));
	roster_free(r);
	roster_free(NULL);
}

static void a_listing_counts_when_it_has_ended(void **state)
{
	struct roster *r = roster_new();

	(void)state;
	list(r, (const char *const[]){"a", NULL});
	roster_begin(r);
	roster_add(r, roster_id("b", 0));
	assert_true(roster_has(r, roster_id("a", 0)));
	assert_false(roster_has(r, roster_id("b", 0)));
	list(r, (const char *const[]){"c", NULL}); /* the one before was cut short */
	assert_false(roster_has(r, roster_id("b", 0)));
	assert_true(roster_has(r, roster_id("c", 0)));
	roster_free(r);
}

static void another_inode_is_another_name(void **state)
{
	(void)state;
	assert_int_not_equal(roster_id("a", 7), roster_id("a", 8));
	assert_int_not_equal(roster_id("a", 7), roster_id("b", 7));
	assert_int_equal(roster_id("a", 7), roster_id("a", 7));
}

static void forgotten_names_are_new(void **state)
{
	struct roster *r = roster_new();

	(void)state;
	list(r, (const char *const[]){"a", "b", "c", NULL});
	roster_begin(r);
	roster_add(r, roster_id("a", 0));
	roster_add(r, roster_id("b", 0));
	roster_forget(r, roster_id("b", 0));
	roster_forget(r, roster_id("never", 0));
	assert_false(roster_has(r, roster_id("b", 0)));
	assert_true(roster_has(r, roster_id("a", 0)));
	assert_true(roster_has(r, roster_id("c", 0)));
	roster_end(r);
	assert_false(roster_has(r, roster_id("b", 0)));
	assert_true(roster_has(r, roster_id("a", 0)));
	roster_free(r);
}

static void marks_are_apart(void **state)
{
	struct roster *r = roster_new();

	(void)state;
	roster_begin(r);
	roster_add_mark(r, roster_id("a.done", 0));
	assert_false(roster_has_mark(r, roster_id("a.done", 0)));
	roster_end(r);
	assert_true(roster_has_mark(r, roster_id("a.done", 0)));
	assert_false(roster_has(r, roster_id("a.done", 0)));
	roster_begin(r);
	roster_end(r);
	assert_false(roster_has_mark(r, roster_id("a.done", 0)));
	roster_free(r);
}

static void many(void **state)
{
	struct roster *r = roster_new();
	char name[32];

	(void)state;
	roster_begin(r);
	for (int i = 0; i < 50000; i++) {
		(void)snprintf(name, sizeof(name), "part-%05d.csv", i);
		roster_add(r, roster_id(name, 0));
	}
	roster_end(r);
	for (int i = 0; i < 50000; i++) {
		(void)snprintf(name, sizeof(name), "part-%05d.csv", i);
		assert_true(roster_has(r, roster_id(name, 0)));
		(void)snprintf(name, sizeof(name), "part-%05d.cs", i);
		assert_false(roster_has(r, roster_id(name, 0)));
	}
	roster_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_listing_showed_is_known),
		cmocka_unit_test(a_listing_counts_when_it_has_ended),
		cmocka_unit_test(another_inode_is_another_name),
		cmocka_unit_test(forgotten_names_are_new),
		cmocka_unit_test(marks_are_apart),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
