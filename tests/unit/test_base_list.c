#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

struct item {
	int before;
	struct list in;
	int value;
};

static void expect(struct list *head, const char *digits)
{
	const char *p = digits;

	LIST_FOREACH (it, head) {
		assert_int_equal(LIST_OF(it, struct item, in)->value, *p - '0');
		p++;
	}
	assert_int_equal(*p, '\0');
	for (struct list *it = head->prev; it != head; it = it->prev)
		assert_int_equal(LIST_OF(it, struct item, in)->value, *--p - '0');
	assert_ptr_equal(p, digits);
}

static void test_add_and_remove(void **state)
{
	struct list head;
	struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};

	(void)state;
	list_init(&head);
	assert_true(list_is_empty(&head));
	assert_false(list_is_linked(&items[0].in)); /* all zero */
	for (int i = 0; i < 4; i++)
		list_add_tail(&head, &items[i].in);
	assert_false(list_is_empty(&head));
	expect(&head, "0123");
	list_remove(&items[1].in);
	assert_false(list_is_linked(&items[1].in));
	assert_true(list_is_linked(&items[2].in));
	list_remove(&items[1].in); /* once more does nothing */
	expect(&head, "023");
	list_add_tail(&head, &items[1].in);
	list_remove(&items[0].in);
	expect(&head, "231");
}

static void test_free_while_walking(void **state)
{
	struct list head;

	(void)state;
	list_init(&head);
	for (int i = 0; i < 6; i++) {
		struct item *item = calloc(1, sizeof(*item));

		item->value = i;
		list_add_tail(&head, &item->in);
	}
	LIST_FOREACH_SAFE (it, &head) {
		struct item *item = LIST_OF(it, struct item, in);

		if (item->value % 2 == 0) {
			list_remove(it);
			free(item);
		}
	}
	expect(&head, "135");
	LIST_FOREACH_SAFE (it, &head) {
		list_remove(it);
		free(LIST_OF(it, struct item, in));
	}
	assert_true(list_is_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_and_remove),
		cmocka_unit_test(test_free_while_walking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
