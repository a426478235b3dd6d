#include "dispatch/pause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "core/backoff.h"

#define S INT64_C(1000000)

static void test_grows(void **state)
{
	struct pause p = {.failures = 0};

	(void)state;
	assert_false(pause_is_on(&p, 0));
	assert_int_equal(pause_until(&p), 0);
	pause_longer(&p, 10 * S, 11 * S);
	assert_int_equal(pause_until(&p), 11 * S + backoff_ceiling_us(1));
	assert_true(pause_is_on(&p, p.until_us - 1));
	assert_false(pause_is_on(&p, p.until_us));
	pause_longer(&p, 20 * S, 21 * S);
	assert_int_equal(p.failures, 2);
	assert_int_equal(pause_until(&p), 21 * S + backoff_ceiling_us(2));
	(void)pause_end(&p);
	assert_false(pause_is_on(&p, 0));
	assert_int_equal(pause_until(&p), 0);
	pause_done(&p);
}

/* What was on its way together with the one that failed says nothing new. */
static void test_together(void **state)
{
	struct pause p = {.failures = 0};

	(void)state;
	pause_longer(&p, 10 * S, 11 * S);
	pause_longer(&p, 10 * S, 12 * S);
	assert_int_equal(p.failures, 1);
	pause_longer(&p, 11 * S, 13 * S);
	assert_int_equal(p.failures, 2);
	pause_done(&p);
}

static void test_as_asked(void **state)
{
	static const struct {
		int64_t wait_us, until_us;
	} cases[] = {
		{7 * S, 107 * S},
		{BACKOFF_RETRY_AFTER_MAX_US, 100 * S + BACKOFF_RETRY_AFTER_MAX_US},
		{INT64_MAX, 100 * S + BACKOFF_RETRY_AFTER_MAX_US},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pause p = {.failures = 0};

		assert_null(pause_why(&p));
		pause_as_asked(&p, "rate_limited", "too many", 100 * S, cases[i].wait_us);
		assert_int_equal(p.failures, 1);
		assert_int_equal(pause_until(&p), cases[i].until_us);
		assert_true(pause_is_quiet(&p));
		assert_string_equal(pause_why(&p), "rate_limited: too many");
		assert_false(pause_end(&p)); /* nobody was told */
		assert_null(pause_why(&p));
		pause_done(&p);
	}
}

static void test_at_least(void **state)
{
	struct pause p = {.failures = 0};

	(void)state;
	pause_at_least(&p, 2 * S, 30 * S);
	assert_int_equal(pause_until(&p), 0); /* it does not wait */
	pause_longer(&p, 1 * S, 2 * S);
	pause_at_least(&p, 2 * S, 30 * S);
	assert_int_equal(pause_until(&p), 32 * S);
	pause_at_least(&p, 2 * S, 10 * S); /* never sooner */
	assert_int_equal(pause_until(&p), 32 * S);
	pause_at_least(&p, 2 * S, INT64_MAX);
	assert_int_equal(pause_until(&p), 2 * S + BACKOFF_RETRY_AFTER_MAX_US);
	pause_done(&p);
}

static void test_told(void **state)
{
	struct pause p = {.failures = 0};

	(void)state;
	assert_false(pause_has_news(&p));
	pause_longer(&p, 1 * S, 2 * S);
	assert_false(pause_has_news(&p));
	pause_tell(&p, OUTCOME_UNREACHABLE, "unreachable", "no route", "");
	assert_string_equal(p.words, "unreachable: no route");
	assert_true(pause_has_news(&p));
	pause_recorded(&p);
	assert_false(pause_has_news(&p));
	pause_tell(&p, OUTCOME_CREDENTIAL, "refused", "who are you", "look"); /* another reason is news */
	assert_string_equal(p.words, "refused: who are you; look");
	assert_true(pause_has_news(&p));
	pause_recorded(&p);
	assert_true(pause_end(&p));
	assert_true(pause_has_news(&p));
	pause_recorded(&p);
	assert_false(pause_has_news(&p));
	assert_false(pause_end(&p));
	pause_done(&p);
}

/* What a former process has told: nothing is known yet, and its end is told. */
static void test_of_a_former_process(void **state)
{
	struct pause p = {.recorded = true, .open = true, .recorded_kind = OUTCOME_JOB};

	(void)state;
	assert_false(pause_has_news(&p));
	pause_recorded(&p);
	assert_true(p.recorded);
	assert_true(pause_end(&p));
	assert_true(pause_has_news(&p));
	pause_done(&p);
}

/* Other words are told again, ever more rarely; the last ones are always known. */
static void test_other_words(void **state)
{
	struct pause p = {.failures = 0};

	(void)state;
	assert_null(pause_why(&p));
	assert_true(pause_hear(&p, OUTCOME_CREDENTIAL, "refused", "a", "", 10 * S));
	pause_recorded(&p);
	assert_false(pause_hear(&p, OUTCOME_CREDENTIAL, "refused", "a", "", 20 * S));
	assert_false(pause_has_news(&p));
	assert_true(pause_hear(&p, OUTCOME_CREDENTIAL, "refused", "b", "", 21 * S));
	assert_true(pause_has_news(&p));
	pause_recorded(&p);
	assert_false(pause_has_news(&p));
	assert_false(pause_hear(&p, OUTCOME_CREDENTIAL, "refused", "c", "", 80 * S));
	assert_string_equal(pause_why(&p), "refused: c");
	assert_true(pause_hear(&p, OUTCOME_CREDENTIAL, "refused", "c", "", 81 * S));
	assert_false(pause_hear(&p, OUTCOME_CREDENTIAL, "refused", "d", "", 200 * S));
	assert_true(pause_hear(&p, OUTCOME_CREDENTIAL, "refused", "d", "", 201 * S));
	assert_true(pause_hear(&p, OUTCOME_UNREACHABLE, "unreachable", "no route", "", 202 * S));
	for (int64_t at_us = 203 * S, told = 0, i = 0; i < 1000; i++, at_us += 60 * S) {
		told += pause_hear(&p, OUTCOME_UNREACHABLE, "unreachable", i % 2 ? "x" : "y", "", at_us);
		assert_true(told <= 8 + i / 60);
	}
	assert_true(pause_end(&p));
	assert_null(pause_why(&p));
	pause_done(&p);
}

/* Two that say why by turns are heard once each. */
static void test_by_turns(void **state)
{
	struct pause p = {.failures = 0};
	int told = 0;

	(void)state;
	for (int64_t i = 0; i < 1000; i++)
		told += pause_hear(
			&p, OUTCOME_JOB, "job_missing", i % 2 ? "seen" : "answered", "", i * 60 * S);
	assert_int_equal(told, 2);
	assert_true(pause_hear(&p, OUTCOME_JOB, "job_missing", "third", "", 2000 * 60 * S));
	assert_false(pause_hear(&p, OUTCOME_JOB, "job_missing", "seen", "", 4000 * 60 * S));
	(void)pause_end(&p);
	assert_true(pause_hear(&p, OUTCOME_JOB, "job_missing", "seen", "", 4001 * 60 * S));
	pause_done(&p);
}

static void test_recalled(void **state)
{
	struct pause p = {.failures = 0};

	(void)state;
	pause_recall(&p, OUTCOME_JOB, "job_missing: none");
	assert_string_equal(pause_why(&p), "job_missing: none");
	assert_false(pause_has_news(&p));
	assert_true(
		pause_hear(&p, OUTCOME_JOB, "job_missing", "none", "", S)); /* said by this process, too */
	assert_false(pause_has_news(&p));
	assert_true(pause_end(&p));
	assert_true(pause_has_news(&p));
	pause_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_as_asked),
		cmocka_unit_test(test_at_least),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_of_a_former_process),
		cmocka_unit_test(test_other_words),
		cmocka_unit_test(test_by_turns),
		cmocka_unit_test(test_recalled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
