/* sense/unsettled: found by name, handed out in order of time, dropped with a word. */
#include "sense/unsettled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int dropped;

static void test_dropped(struct unsettled_file *f, void *arg)
{
	(void)f;
	(void)arg;
	dropped++;
}

/* Against the order that sorting would give, with random removals and new times. */
static void test_order(void **state)
{
	struct unsettled *u = unsettled_new(test_dropped, NULL);
	struct tree *t = tree_new();
	struct tree_dir *d = tree_add_root(t, 0);
	struct unsettled_file *files[500];
	int64_t last = INT64_MIN;
	char name[16];
	size_t n = 0;

	(void)state;
	srandom(7);
	dropped = 0;
	for (int i = 0; i < 500; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		files[i] = unsettled_add(u, d, name);
		files[i]->settle.due_us = random() % 1000;
		unsettled_schedule(u, files[i]);
	}
	for (int i = 0; i < 500; i += 2) {
		files[i]->settle.due_us = random() % 1000;
		unsettled_schedule(u, files[i]);
	}
	for (int i = 0; i < 500; i += 5)
		unsettled_drop(u, files[i]);
	assert_int_equal(dropped, 100);
	assert_null(unsettled_find(u, d, "f0"));
	assert_ptr_equal(unsettled_find(u, d, "f1"), files[1]);
	for (struct unsettled_file *f; (f = unsettled_first(u)); n++) {
		assert_true(f->settle.due_us >= last);
		last = f->settle.due_us;
		unsettled_unschedule(u, f);
	}
	assert_int_equal(n, 400);
	assert_int_equal(unsettled_count(u), 400); /* not due, but known */
	unsettled_free(u);
	tree_free(t);
}

static void test_drop_directory(void **state)
{
	struct unsettled *u = unsettled_new(test_dropped, NULL);
	struct tree *t = tree_new();
	struct tree_dir *a = tree_add_root(t, 0), *b = tree_add_root(t, 1);
	char name[16];

	(void)state;
	dropped = 0;
	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		unsettled_schedule(u, unsettled_add(u, i % 3 ? a : b, name));
	}
	unsettled_drop_directory(u, a);
	assert_int_equal(dropped, 200);
	assert_int_equal(unsettled_count(u), 100);
	assert_null(unsettled_find(u, a, "f1"));
	assert_non_null(unsettled_find(u, b, "f0"));
	unsettled_free(u);
	tree_free(t);
}

static void test_full(void **state)
{
	struct unsettled *u = unsettled_new(test_dropped, NULL);
	struct tree *t = tree_new();
	struct tree_dir *d = tree_add_root(t, 0);
	char name[16];

	(void)state;
	for (int i = 0; i < UNSETTLED_MAX; i++) {
		assert_false(unsettled_is_full(u));
		(void)snprintf(name, sizeof(name), "f%d", i);
		(void)unsettled_add(u, d, name);
	}
	assert_true(unsettled_is_full(u));
	unsettled_drop(u, unsettled_find(u, d, "f7"));
	assert_false(unsettled_is_full(u));
	unsettled_free(u);
	tree_free(t);
}

/* A crowd comes and goes, and the table is as good as new. */
static void test_crowds(void **state)
{
	struct unsettled *u = unsettled_new(test_dropped, NULL);
	struct tree *t = tree_new();
	struct tree_dir *d = tree_add_root(t, 0);
	char name[16];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5000; i++) {
			(void)snprintf(name, sizeof(name), "f%d", i);
			unsettled_schedule(u, unsettled_add(u, d, name));
		}
		for (struct unsettled_file *f; (f = unsettled_first(u));)
			unsettled_drop(u, f);
		assert_int_equal(unsettled_count(u), 0);
	}
	unsettled_free(u);
	tree_free(t);
}

/* What was found out about its end holds until something changes. */
static void test_end_holds(void **state)
{
	struct unsettled_file f = {.settle = {.changed_us = 100, .equal_us = 50}};

	(void)state;
	f.end.missing = "the end";
	assert_false(unsettled_end_holds(&f) || unsettled_is_unended(&f)); /* it was never looked at */
	f.end.looked_us = 100;
	assert_true(unsettled_end_holds(&f) && unsettled_is_unended(&f));
	f.settle.equal_us = 101; /* a look showed another state */
	assert_false(unsettled_end_holds(&f) || unsettled_is_unended(&f));
	f.settle.equal_us = 100;
	f.settle.changed_us = 101; /* an event */
	assert_false(unsettled_end_holds(&f) || unsettled_is_unended(&f));
	f.end.looked_us = 102;
	f.end.missing = NULL;
	assert_true(unsettled_end_holds(&f) && !unsettled_is_unended(&f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_drop_directory),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_crowds),
		cmocka_unit_test(test_end_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
