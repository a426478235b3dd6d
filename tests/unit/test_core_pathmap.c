/*
 * pathmap: longest prefix, whole elements, exactly one slash at the seam.
 */
#include "core/pathmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

/* Not in the order of length on purpose. */
static struct conf_map_rule rules[] = {
	{(char *)"/data", (char *)"/Volumes/main/raw"},
	{(char *)"/data/in/deep", (char *)"s3://bucket/deep"},
	{(char *)"/data/in", (char *)"abfss://c@acct.dfs.core.windows.net"},
	{(char *)"/hdfs", (char *)"dbfs:/"},
	{(char *)"/share", (char *)"/"},
	{(char *)"/f", (char *)"file:///"},
};

static struct conf_map_rule root_rules[] = {
	{(char *)"/", (char *)"/Volumes/x"},
	{(char *)"/data", (char *)"dbfs:/d"},
};

static const struct {
	const char *path, *uri;
	bool mapped;
} rows[] = {
	{"/data/a.csv", "/Volumes/main/raw/a.csv", true},
	{"/data", "/Volumes/main/raw", true},
	{"/data/in/a.csv", "abfss://c@acct.dfs.core.windows.net/a.csv", true},
	{"/data/in/deep/a.csv", "s3://bucket/deep/a.csv", true},
	{"/data/in/deeper/a.csv", "abfss://c@acct.dfs.core.windows.net/deeper/a.csv", true},
	{"/data/inn/a.csv", "/Volumes/main/raw/inn/a.csv", true},
	{"/database/a.csv", "/database/a.csv", false},
	{"/hdfs/a/b", "dbfs:/a/b", true},
	{"/hdfs", "dbfs:/", true},
	{"/share/a", "/a", true},
	{"/f/a", "file:///a", true},
	{"/data/\xff\nx", "/Volumes/main/raw/\xff\nx", true},
	{"/other", "/other", false},
};

static void check(const struct conf_watch *w, const char *path, const char *uri, bool mapped)
{
	CLEANUP_BUF struct buf b = BUF_INIT(4096);
	bool got = pathmap_apply(w, path, &b);

	assert_string_equal(buf_str(&b), uri);
	assert_int_equal(got, mapped);
}

static void test_apply(void **state)
{
	struct conf_watch w = {.path_map = rules, .path_map_n = ARRAY_SIZE(rules)};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check(&w, rows[i].path, rows[i].uri, rows[i].mapped);
}

static void test_apply_root_and_none(void **state)
{
	struct conf_watch root = {.path_map = root_rules, .path_map_n = ARRAY_SIZE(root_rules)};
	struct conf_watch nothing = {.path_map_n = 0};
	struct conf_watch none = {.path_map_none = true};

	(void)state;
	check(&root, "/a/b", "/Volumes/x/a/b", true);
	check(&root, "/data/b", "dbfs:/d/b", true);
	check(&root, "/", "/Volumes/x/", true);
	check(&nothing, "/a/b", "/a/b", false);
	check(&none, "/a/b", "/a/b", true);
}

static void test_apply_adds(void **state)
{
	struct conf_watch w = {.path_map = rules, .path_map_n = ARRAY_SIZE(rules)};
	CLEANUP_BUF struct buf b = BUF_INIT(20);

	(void)state;
	buf_adds(&b, "x");
	pathmap_apply(&w, "/f/a", &b);
	assert_string_equal(buf_str(&b), "xfile:///a");
	pathmap_apply(&w, "/data/too-long-for-twenty-bytes", &b);
	assert_true(b.failed);
}

static const struct {
	const char *text, *local, *remote; /* local NULL: refused */
} texts[] = {
	{"/data => /Volumes/x", "/data", "/Volumes/x"},
	{"  /data//in/ \t=>\t dbfs:/mnt/in/ ", "/data/in", "dbfs:/mnt/in"},
	{"/ => /", "/", "/"},
	{"/a => ///", "/a", "/"},
	{"/a => dbfs:/", "/a", "dbfs:/"},
	{"/a => file:///", "/a", "file:///"},
	{"/a => s3://bucket//", "/a", "s3://bucket"},
	{"/a=>b => s3://b", "/a=>b", "s3://b"},
	{"/with blank/x => /Volumes/with blank/x", "/with blank/x", "/Volumes/with blank/x"},
	{"/a => relative/is/fine", "/a", "relative/is/fine"},
	{"/a", NULL, NULL},
	{"", NULL, NULL},
	{"=>", NULL, NULL},
	{" => /x", NULL, NULL},
	{"/a => ", NULL, NULL},
	{"/a =>/x", NULL, NULL},
	{"a/b => /x", NULL, NULL},
	{"/a/../b => /x", NULL, NULL},
	{"/a => /b => /c", NULL, NULL},
	{"/a => s3://", NULL, NULL},
	{"/a => s3:", NULL, NULL},
	{"/a => /x/{{job.id}}", NULL, NULL},
	{"/a => /x\x01", NULL, NULL},
	{"/a => /x\xff", NULL, NULL},
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *local = NULL, *remote = NULL;
		struct err err = ERR_INIT;
		int r = pathmap_parse(texts[i].text, &local, &remote, &err);

		if ((r == 0) != (texts[i].local != NULL))
			fail_msg("\"%s\": %d %s", texts[i].text, r, err.text);
		if (r < 0) {
			assert_int_equal(r, -EINVAL);
			assert_true(strncmp(err.text, "path_map", 8) == 0);
			assert_null(local);
			assert_null(remote);
			continue;
		}
		assert_string_equal(local, texts[i].local);
		assert_string_equal(remote, texts[i].remote);
		free(local);
		free(remote);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_apply_root_and_none),
		cmocka_unit_test(test_apply_adds),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
