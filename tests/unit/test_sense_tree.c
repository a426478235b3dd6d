/* sense/tree: places, numbers, removal. */
#include "sense/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static int gone_count, gone_numbers;

static void test_gone(struct tree_dir *d, int wd, void *arg)
{
	(void)d;
	(void)arg;
	gone_count++;
	gone_numbers += wd != TREE_NO_WD;
}

static void test_paths(void **state)
{
	struct tree *t = tree_new();
	struct tree_dir *root = tree_add_root(t, 3), *a, *b;
	struct buf path = BUF_INIT(8192);
	bool is_new;

	(void)state;
	a = tree_add(t, root, "a", &is_new);
	assert_true(is_new);
	b = tree_add(t, a, "b\n", &is_new);
	assert_ptr_equal(tree_add(t, root, "a", &is_new), a);
	assert_false(is_new);
	assert_int_equal(b->root, 3);
	tree_path(root, &path);
	assert_string_equal(buf_str(&path), "");
	tree_path_of(root, "x", &path);
	assert_string_equal(buf_str(&path), "x");
	tree_path_of(b, "x.csv", &path);
	assert_string_equal(buf_str(&path), "a/b\n/x.csv");
	assert_ptr_equal(tree_resolve(t, root, "a/b\n", 4), b);
	assert_ptr_equal(tree_resolve(t, root, "", 0), root);
	assert_null(tree_resolve(t, root, "a/c", 3));
	assert_ptr_equal(tree_child(t, a, "b\n"), b);
	assert_null(tree_child(t, root, "b\n"));
	buf_done(&path);
	tree_free(t);
}

/* Two directories with one number: both are found, and the number is free only when both are gone. */
static void test_shared_number(void **state)
{
	struct tree *t = tree_new();
	struct tree_dir *one = tree_add_root(t, 0), *two = tree_add_root(t, 1);

	(void)state;
	tree_set_wd(t, one, 5);
	tree_set_wd(t, two, 5);
	assert_ptr_equal(tree_by_wd(t, 5), two);
	assert_ptr_equal(two->same, one);
	gone_count = gone_numbers = 0;
	tree_remove(t, two, test_gone, NULL);
	assert_int_equal(gone_count, 1);
	assert_int_equal(gone_numbers, 0);
	assert_ptr_equal(tree_by_wd(t, 5), one);
	tree_set_wd(t, one, 6);
	assert_null(tree_by_wd(t, 5));
	assert_null(tree_by_wd(t, -1));
	tree_remove(t, one, test_gone, NULL);
	assert_int_equal(gone_numbers, 1);
	assert_int_equal(tree_count(t), 0);
	tree_free(t);
}

static void test_each(struct tree_dir *d, void *arg)
{
	(void)d;
	(*(int *)arg)++;
}

/* A deep and a wide tree: nothing recurses, everything is met and removed. */
static void test_remove_below(void **state)
{
	struct tree *t = tree_new();
	struct tree_dir *root = tree_add_root(t, 0), *top, *d;
	char name[16];
	bool is_new;
	int n = 0;

	(void)state;
	top = tree_add(t, root, "top", &is_new);
	d = top;
	for (int i = 0; i < 100000; i++)
		d = tree_add(t, d, "d", &is_new);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "w%d", i);
		tree_set_wd(t, tree_add(t, top, name, &is_new), i);
	}
	tree_each(t, test_each, &n);
	assert_int_equal(n, 101002);
	gone_count = gone_numbers = 0;
	tree_remove(t, top, test_gone, NULL);
	assert_int_equal(gone_count, 101001);
	assert_int_equal(gone_numbers, 1000);
	assert_int_equal(tree_count(t), 1);
	assert_null(tree_child(t, root, "top"));
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_shared_number),
		cmocka_unit_test(test_remove_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
