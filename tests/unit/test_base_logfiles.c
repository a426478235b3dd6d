/* base/logfiles: which files are a log's, and in which order. */
#include "base/logfiles.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void test_parse(void **state)
{
	static const struct {
		const char *name;
		bool good;
		unsigned long number;
		bool gz;
	} rows[] = {
		{"events.jsonl.20260102T030405Z", true, 0, false},
		{"events.jsonl.20260102T030405Z.gz", true, 0, true},
		{"events.jsonl.20260102T030405Z-12", true, 12, false},
		{"events.jsonl.20260102T030405Z-12.gz", true, 12, true},
		{"events.jsonl", false, 0, false},
		{"events.jsonl.1", false, 0, false},
		{"events.jsonl.20260102T030405Z.gz.tmp", false, 0, false},
		{"events.jsonl.20260102T030405Z-.gz", false, 0, false},
		{"events.jsonl.20260102T030405", false, 0, false},
		{"events.jsonlx20260102T030405Z", false, 0, false},
		{".events.jsonl.20260102T030405Z.gz", false, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *stamp;
		unsigned long number;
		bool gz, good = logfiles_parse("events.jsonl", rows[i].name, &stamp, &number, &gz);

		assert_int_equal(good, rows[i].good);
		if (!good)
			continue;
		assert_int_equal(strncmp(stamp, "20260102T030405Z", 16), 0);
		assert_int_equal(number, rows[i].number);
		assert_int_equal(gz, rows[i].gz);
	}
}

static void test_order(void **state)
{
	static const char *const made[] = {"e.20260102T030405Z-10.gz", "e.20260102T030405Z-9.gz",
		"e.20260102T030405Z.gz", "e.20251231T235959Z", "e.20251231T235959Z.gz", "e", "other",
		".e.20260102T030405Z.gz"};
	static const char *const wanted[] = {"e.20251231T235959Z", "e.20260102T030405Z.gz",
		"e.20260102T030405Z-9.gz", "e.20260102T030405Z-10.gz", "e"};
	char dir[] = "/tmp/bw-logfiles.XXXXXX", path[64];
	struct err err = ERR_INIT;
	struct logfiles l;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/e", dir);
	assert_int_equal(logfiles_list(path, &l, &err), -ENOENT);
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, made[i]);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	(void)snprintf(path, sizeof(path), "%s/e", dir);
	assert_int_equal(logfiles_list(path, &l, &err), 0);
	assert_int_equal(l.n, sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < l.n; i++)
		assert_string_equal(l.paths[i] + sizeof(dir), wanted[i]);
	logfiles_done(&l);
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, made[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
	assert_true(logfiles_list(path, &l, &err) < 0); /* the folder is gone */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
