#include "core/marker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void a_marker_counts_once(void **state)
{
	static const struct {
		struct marker now, used;
		int64_t file_mtime_ns;
		bool counts;
	} rows[] = {
		{{100, 7}, {100, 7}, 50, false},
		{{101, 7}, {100, 7}, 50, true},	   /* written again */
		{{99, 7}, {100, 7}, 500, true},	   /* an older time is another one, too */
		{{100, 8}, {100, 7}, 50, true},	   /* made anew, with its time kept */
		{{100, -1}, {100, -1}, 50, false}, /* inodes say nothing */
		{{100, 7}, {0, 0}, 50, true},	   /* unknown: by the file's time */
		{{100, 7}, {0, 0}, 100, true},
		{{100, 7}, {0, 0}, 101, false},
		{{0, -1}, {0, -1}, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
			marker_counts(&rows[i].now, &rows[i].used, rows[i].file_mtime_ns), rows[i].counts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_marker_counts_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
