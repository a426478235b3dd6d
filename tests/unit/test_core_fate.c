#include "core/fate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct {
	const char *status, *code, *life_cycle, *result;
	enum fate fate;
} rows[] = {
	/* as the service answers today */
	{"RUNNING", "", "RUNNING", "", FATE_RUNS},
	{"QUEUED", "", "QUEUED", "", FATE_RUNS},
	{"TERMINATING", "", "", "", FATE_RUNS},
	{"TERMINATED", "SUCCESS", "TERMINATED", "SUCCESS", FATE_RUNS},
	{"TERMINATED", "RUN_EXECUTION_ERROR", "INTERNAL_ERROR", "FAILED", FATE_RUNS},
	{"TERMINATED", "USER_CANCELED", "TERMINATED", "CANCELED", FATE_RUNS},
	{"TERMINATED", "A_WORD_OF_TOMORROW", "", "", FATE_RUNS},
	{"TERMINATED", "SKIPPED", "SKIPPED", "", FATE_SKIPPED},
	{"TERMINATED", "MAX_CONCURRENT_RUNS_EXCEEDED", "SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED",
		FATE_SKIPPED},
	{"TERMINATED", "MAX_JOB_QUEUE_SIZE_EXCEEDED", "", "", FATE_SKIPPED},
	{"TERMINATED", "WORKSPACE_RUN_LIMIT_EXCEEDED", "", "", FATE_SKIPPED},
	{"TERMINATED", "CLUSTER_REQUEST_LIMIT_EXCEEDED", "", "", FATE_SKIPPED},
	{"TERMINATED", "CLOUD_FAILURE", "", "", FATE_SKIPPED},
	/* too early */
	{"PENDING", "", "PENDING", "", FATE_UNKNOWN},
	{"BLOCKED", "", "", "", FATE_UNKNOWN},
	{"WAITING", "", "", "", FATE_UNKNOWN},
	{"TERMINATED", "", "", "", FATE_UNKNOWN},
	{"SOMETHING_NEW", "", "", "", FATE_UNKNOWN},
	{"", "", "", "", FATE_UNKNOWN},
	/* the older view */
	{"", "", "SKIPPED", "", FATE_SKIPPED},
	{"", "", "TERMINATED", "MAXIMUM_CONCURRENT_RUNS_REACHED", FATE_SKIPPED},
	{"", "", "TERMINATED", "FAILED", FATE_RUNS},
	{"", "", "INTERNAL_ERROR", "FAILED", FATE_RUNS},
	{"", "", "WAITING_FOR_RETRY", "", FATE_RUNS},
	{"", "", "PENDING", "", FATE_UNKNOWN},
	{"", "", "running", "", FATE_UNKNOWN},
	{"SOMETHING_NEW", "", "SKIPPED", "", FATE_SKIPPED},
};

static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct fate_words w = {.status = rows[i].status,
			.code = rows[i].code,
			.life_cycle = rows[i].life_cycle,
			.result = rows[i].result};

		if (fate_decide(&w) != rows[i].fate)
			fail_msg("row %zu: %d", i, fate_decide(&w));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
