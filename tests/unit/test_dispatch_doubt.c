#include "dispatch/doubt.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"

#define NOW (INT64_C(1000) * US_PER_S)

static int note(int64_t id, enum wire_verdict verdict, void *arg)
{
	char *text = arg;
	size_t n = strlen(text);

	text[n] = (char)('0' + id);
	text[n + 1] = (char)verdict;
	return 0;
}

/* Confirmed rows come in the order they were answered, count for a minute, and leave when they are chosen. */
static void test_confirmed(void **state)
{
	struct doubt *d = doubt_new();

	(void)state;
	assert_int_equal(doubt_room(d, NOW), DOUBT_ASKED_MAX);
	for (int64_t id = 1; id <= 3; id++)
		doubt_asked(d, id);
	assert_true(doubt_has(d, 2));
	assert_int_equal(doubt_room(d, NOW), 0); /* until all are answered */
	assert_int_equal(doubt_room_us(d, NOW), INT64_MAX);
	assert_int_equal(doubt_confirmed(d, NOW), 0);
	doubt_answered(d, 1, WIRE_SAME, NOW);
	doubt_answered(d, 3, WIRE_SWAPPED, NOW + 1);
	doubt_answered(d, 9, WIRE_SAME, NOW); /* nobody asked */
	assert_false(doubt_has(d, 9));
	assert_int_equal(doubt_room(d, NOW), 0);
	doubt_answered(d, 2, WIRE_SAME, NOW + 2);
	assert_int_equal(doubt_room(d, NOW), DOUBT_ASKED_MAX);
	assert_true(doubt_is_confirmed(d, 3, NOW));
	assert_int_equal(doubt_confirmed(d, NOW), 1);
	doubt_forget(d, 1);
	assert_int_equal(doubt_confirmed(d, NOW), 3);
	assert_int_equal(doubt_confirmed(d, NOW + DOUBT_GOOD_FOR_US), 3);
	assert_int_equal(doubt_confirmed(d, NOW + 1 + DOUBT_GOOD_FOR_US), 2);
	assert_false(doubt_has(d, 3)); /* to be asked about again */
	assert_int_equal(doubt_count(d), 1);
	doubt_free(d);
}

/* What was refused stays until it is applied, and nothing is asked before. */
static void test_refused(void **state)
{
	struct doubt *d = doubt_new();
	char text[16] = "";

	(void)state;
	for (int64_t id = 1; id <= 3; id++)
		doubt_asked(d, id);
	doubt_answered(d, 1, WIRE_GONE, NOW);
	doubt_answered(d, 2, WIRE_UNSURE, NOW);
	doubt_answered(d, 3, WIRE_REPLACED, NOW);
	assert_int_equal(doubt_refused(d), 3);
	assert_int_equal(doubt_each_refused(d, note, text), 0);
	assert_string_equal(text, "1-2?3!");
	assert_int_equal(doubt_room(d, NOW), 0);
	doubt_forget_refused(d);
	assert_int_equal(doubt_count(d), 0);
	assert_int_equal(doubt_room(d, NOW), DOUBT_ASKED_MAX); /* something was told: no pause */
	doubt_free(d);
}

/* A folder that cannot be looked into is asked after 1, 2, 4 … s; one good answer ends that. */
static void test_pauses_when_nothing_is_told(void **state)
{
	static const int64_t pauses_s[] = {1, 2, 4, 8, 16, 32, 60, 60};
	struct doubt *d = doubt_new();
	int64_t now_us = NOW;

	(void)state;
	for (size_t i = 0; i < sizeof(pauses_s) / sizeof(pauses_s[0]); i++) {
		doubt_asked(d, 1);
		doubt_asked(d, 2);
		doubt_answered(d, 1, WIRE_UNSURE, now_us);
		assert_int_equal(doubt_failures(d), i);
		doubt_answered(d, 2, WIRE_UNSURE, now_us);
		doubt_forget_refused(d);
		assert_int_equal(doubt_failures(d), i + 1);
		assert_int_equal(doubt_room(d, now_us), 0);
		assert_int_equal(doubt_room_us(d, now_us), now_us + pauses_s[i] * US_PER_S);
		now_us += pauses_s[i] * US_PER_S;
		assert_int_equal(doubt_room(d, now_us), DOUBT_ASKED_MAX);
	}
	doubt_asked(d, 1);
	doubt_asked(d, 2);
	doubt_answered(d, 1, WIRE_SAME, now_us);
	doubt_answered(d, 2, WIRE_UNSURE, now_us);
	doubt_forget_refused(d);
	assert_int_equal(doubt_failures(d), 0);
	assert_int_equal(doubt_room(d, now_us), DOUBT_ASKED_MAX);
	doubt_free(d);
}

/* Somebody else's questions are on their way: a moment later. */
static void test_busy(void **state)
{
	struct doubt *d = doubt_new();

	(void)state;
	doubt_busy(d, NOW);
	assert_int_equal(doubt_room(d, NOW), 0);
	assert_true(doubt_room_us(d, NOW) > NOW);
	assert_true(doubt_room_us(d, NOW) < NOW + US_PER_S);
	assert_int_equal(doubt_failures(d), 0);
	doubt_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_confirmed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pauses_when_nothing_is_told),
		cmocka_unit_test(test_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
