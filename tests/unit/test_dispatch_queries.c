#include "dispatch/queries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "dispatch/schema.h"

#define DETAIL 3 /* column of EXPLAIN QUERY PLAN */
#define DETAIL_BYTES 256

static void set_up_ledger(struct db *db)
{
	struct err err = ERR_INIT;

	if (db_open(db, ":memory:", ":memory:", DB_MEMORY, &err) < 0 ||
		schema_set_up(db, LEDGER_COUNTS_SQL, true, &err) < 0)
		fail_msg("%s", err.text);
}

/* Through all rows, and not in the order of an index that has few of them. */
static bool goes_through_all(const char *plan)
{
	return strncmp(plan, "SCAN ", 5) == 0 && strstr(plan, "version") && !strstr(plan, "INDEX");
}

/* A ledger has a million rows: no statement looks at all of them, but for one that counts what is not
 * pending, which the service never asks. */
static void test_no_statement_goes_through_all_rows(void **state)
{
	const char *explained[QUERIES];
	struct err err = ERR_INIT;
	int bad = 0, rc;
	struct db db;

	(void)state;
	set_up_ledger(&db);
	for (int q = 0; q < QUERIES; q++)
		explained[q] = mem_printf("EXPLAIN QUERY PLAN %s", queries_sql[q]);
	assert_int_equal(db_prepare(&db, explained, QUERIES, &err), 0);
	for (int q = 0; q < QUERIES; q++) {
		struct sqlite3_stmt *s = db_use(&db, q);
		struct db_columns c = {.s = s};

		while ((rc = db_step(&db, s, &err)) > 0) {
			char plan[DETAIL_BYTES];

			db_get_text(&c, DETAIL, plan, sizeof(plan));
			assert_null(c.bad);
			if (q == Q_COUNT || !goes_through_all(plan))
				continue;
			print_error("%s: %s\n", queries_sql[q], plan);
			bad++;
		}
		assert_int_equal(rc, 0);
		free((char *)(uintptr_t)explained[q]);
	}
	db_close(&db);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_statement_goes_through_all_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
