/*
 * rules: names that the tools of the world leave behind, names that look like them and are data, and the
 * order in which the rules are asked.
 */
#include "core/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "core/glob.h"

#define LIST(...)                                                                                            \
	((struct conf_list){(char **)(const char *[]){__VA_ARGS__},                                          \
		sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)})

static const char *const rule_names[] = {
	[RULES_LOOK] = "look",
	[RULES_HIDDEN] = "hidden",
	[RULES_IGNORED] = "ignored",
	[RULES_EXCLUDED] = "excluded",
	[RULES_NOT_INCLUDED] = "not included",
	[RULES_MARKER] = "marker",
	[RULES_SENTINEL] = "sentinel",
};

static struct conf_watch plain_watch(void)
{
	return (struct conf_watch){.recursive = true, .min_size_bytes = 1};
}

static void expect(const struct conf_watch *w, const char *relpath, enum rules_name want)
{
	char why[RULES_WHY_BYTES] = "nothing";
	enum rules_name got = rules_judge_name(w, relpath, why);

	if (got != want)
		fail_msg("%s: %s (%s), not %s", relpath, rule_names[got], why, rule_names[want]);
	assert_int_equal(rules_judge_name(w, relpath, NULL), want);
	assert_int_equal(why[0] == '\0', want == RULES_LOOK);
}

static void expect_why(const struct conf_watch *w, const char *relpath, const char *want)
{
	char why[RULES_WHY_BYTES];

	rules_judge_name(w, relpath, why);
	assert_string_equal(why, want);
}

static void expect_enter(const struct conf_watch *w, const char *relpath, bool want)
{
	char why[RULES_WHY_BYTES] = "nothing";

	if (rules_enter_directory(w, relpath, why) != want)
		fail_msg("%s: not %d (%s)", relpath, want, why);
	assert_int_equal(rules_enter_directory(w, relpath, NULL), want);
	assert_int_equal(why[0] == '\0', want);
}

/* ---- the shipped list ---- */

static const char *const temporary[] = {
	"orders.csv._COPYING_",
	"_tmp_sdc-1_0",
	"_SUCCESS",
	"_committed_123",
	"_started_123",
	"_metadata",
	"_orders.csv",
	"orders.csv.filepart",
	"orders.csv.part",
	"orders.csv.partial",
	"x.crdownload",
	"x.download",
	"x.aria2",
	"x.tmp",
	"X.TMP",
	"x.temp",
	"x.swp",
	"x.swx",
	"x.swo",
	"4913",
	"x~",
	"sedAb3dE9",
	"sed0aaaaa",
	"#x#",
	"~$report.xlsx",
	"x.PROCESSING",
	"x.COMPLETED",
	"x.inprogress",
	"x.lock",
	"x.writing",
	"x.copying",
	"x.camelLock",
	"x.lftp-pget-status",
	"Thumbs.db",
	"desktop.ini",
	"Desktop.ini",
	/* in a directory all the same */
	"in/deep/orders.csv.part",
	"in/4913",
};

/* Seen only with hidden = yes. */
static const char *const hidden_temporary[] = {
	".orders.csv.X3kd9Q",
	".orders.Ab3dE9",
	".in.orders.csv",
	".in.orders.csv.",
	".nfs000000000003a1b200000001",
	".goutputstream-ABC123",
	".fuse_hidden0000",
	".~lock.orders.ods#",
	".smbdeleteAAA4f",
	"._orders.csv",
	".DS_Store",
	".#orders.csv",
	".orders.csv.crc",
	".distcp.tmp.attempt_1",
	".orders.swp",
};

static const char *const data[] = {
	"orders.csv",
	"part-00000",
	"part-00000-c0ffee.snappy.parquet",
	"000000_0",
	"x.part1",
	"x.parts",
	"orders.tmp.csv",
	"tmp_orders.csv",
	"tmp",
	"temp",
	"orders.locked",
	"lock",
	"part",
	"4913.csv",
	"14913",
	"49130",
	"4913a",
	"sed",
	"sedAb3d",
	"sedAb3dE9.csv",
	"sedentary",
	"sediment",
	"sedAb3dE99",
	"sed-Ab3d",
	"a_SUCCESS",
	"orders_",
	"COMPLETED",
	"x.completed",
	"x.processing",
	"x.INPROGRESS",
	"#x",
	"x#",
	"~x",
	"$x",
	"thumbs.db.csv",
	"x.aria2.csv",
	"copying",
	"a~b",
	"orders.csv.bak",
	"orders.csv.1",
	"in.orders.csv",
	"nfs001",
	"x.crc",
	"x.swf",
	"x.download.csv",
	"_day=7",
	"_a=b.csv",
	"{x}.json",
	"x y.csv",
	"\xc3\xbc.csv",
	"\xff.csv",
	"'",
	"-",
	"x.json",
	"DS_Store",
	"core",
	/* directories that only look like temporary files */
	"2024.part/a.csv",
	"4913/a.csv",
	"x.lock/a.csv",
	"sedAb3dE9/a.csv",
	"old~/a.csv",
	"x.temp/a.csv",
	"#1#/a.csv",
	"_day=7/a.csv",
	"a/_day=7/b.csv",
	"tmp/a.csv",
	"temp/a.csv",
	"snapshot/a.csv",
	"recycle/a.csv",
	"Thumbs.db/a.csv",
};

static const char *const hidden_data[] = {
	".orders.csv",
	".orders.ndjson",
	".orders.backup",
	".x",
	".config",
	".a.b",
	".nfsx",
	".smb",
	".DS_Store.csv",
	".in",
	".crc",
	".a/b.csv",
};

static const char *const ignored_directories[] = {
	"_temporary",
	"_delta_log",
	"_spark_metadata",
	"__MACOSX",
	"_tmp_x",
	"x.tmp",
	"x.inprogress",
	"x.download",
	"x._COPYING_",
	"~snapshot",
	"#snapshot",
	"@Recently-Snapshot",
	"lost+found",
	"$RECYCLE.BIN",
	"System Volume Information",
	"#recycle",
	"@Recycle",
	"@eaDir",
};

static const char *const hidden_ignored_directories[] = {
	".~tmp~",
	".rsync-partial",
	".snapshot",
	".snapshots",
	".zfs",
	".Trash",
	".Trash-1000",
	".Trashes",
};

static void test_shipped_files(void **state)
{
	struct conf_watch w = plain_watch();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(temporary); i++)
		expect(&w, temporary[i], RULES_IGNORED);
	for (size_t i = 0; i < ARRAY_SIZE(hidden_temporary); i++)
		expect(&w, hidden_temporary[i], RULES_HIDDEN);
	for (size_t i = 0; i < ARRAY_SIZE(data); i++)
		expect(&w, data[i], RULES_LOOK);
	w.hidden = true;
	for (size_t i = 0; i < ARRAY_SIZE(hidden_temporary); i++)
		expect(&w, hidden_temporary[i], RULES_IGNORED);
	for (size_t i = 0; i < ARRAY_SIZE(hidden_data); i++)
		expect(&w, hidden_data[i], RULES_LOOK);
}

static void test_shipped_directories(void **state)
{
	struct conf_watch w = plain_watch(), hidden = plain_watch();
	char path[256];

	(void)state;
	hidden.hidden = true;
	for (size_t i = 0; i < ARRAY_SIZE(ignored_directories); i++) {
		snprintf(path, sizeof(path), "a/%s/b/c.csv", ignored_directories[i]);
		expect(&w, path, RULES_IGNORED);
		expect_enter(&w, ignored_directories[i], false);
		snprintf(path, sizeof(path), "a/%s/b", ignored_directories[i]);
		expect_enter(&w, path, false);
	}
	for (size_t i = 0; i < ARRAY_SIZE(hidden_ignored_directories); i++) {
		snprintf(path, sizeof(path), "%s/c.csv", hidden_ignored_directories[i]);
		expect(&w, path, RULES_HIDDEN);
		expect(&hidden, path, RULES_IGNORED);
		expect_enter(&w, hidden_ignored_directories[i], false);
		expect_enter(&hidden, hidden_ignored_directories[i], false);
	}
	expect_enter(&w, "", true);
	expect_enter(&w, "2024.part", true);
	expect_enter(&w, "_day=7", true);
	expect_enter(&w, ".git", false);
	expect_enter(&hidden, ".git", true);
	/* a file of such a name is data */
	expect(&w, "lost+found", RULES_LOOK);
	expect(&w, "a/@eaDir", RULES_LOOK);
}

/* Each pattern is a good one, found by rules_check_ignore, and takes effect alone and no more when taken off.
 */
static void test_shipped_patterns(void **state)
{
	const char *const *list = rules_shipped_ignore();
	size_t n = 0;

	(void)state;
	for (; list[n]; n++) {
		CLEANUP_FREE char *off = mem_printf("!%s", list[n]);
		struct err err = ERR_INIT;

		if (glob_check(list[n], &err) != 0)
			fail_msg("%s", err.text);
		assert_int_equal(rules_check_ignore(off, &err), 0);
		for (size_t k = 0; k < n; k++)
			assert_string_not_equal(list[k], list[n]);
	}
	assert_true(n > 50);
	assert_true(rules_shipped_ignore_version() >= 1);
}

/* The pattern that why ends with. */
static void note_hit(const char *why, bool *hit)
{
	const char *const *list = rules_shipped_ignore();
	const char *pattern = strstr(why, "list: ");

	for (size_t i = 0; pattern && list[i]; i++)
		hit[i] = hit[i] || strcmp(pattern + 6, list[i]) == 0;
}

static void note_hits(const char *const *names, size_t n, bool is_directory, bool *hit)
{
	struct conf_watch w = plain_watch();

	w.hidden = true;
	for (size_t i = 0; i < n; i++) {
		char why[RULES_WHY_BYTES];

		if (is_directory)
			rules_enter_directory(&w, names[i], why);
		else
			rules_judge_name(&w, names[i], why);
		note_hit(why, hit);
	}
}

/* Every pattern of the list has a name above that it is the first to hit: none is dead. */
static void test_every_shipped_pattern_hits(void **state)
{
	bool hit[256] = {false};
	size_t n = 0;

	(void)state;
	while (rules_shipped_ignore()[n])
		n++;
	assert_true(n < ARRAY_SIZE(hit));
	note_hits(temporary, ARRAY_SIZE(temporary), false, hit);
	note_hits(hidden_temporary, ARRAY_SIZE(hidden_temporary), false, hit);
	note_hits(ignored_directories, ARRAY_SIZE(ignored_directories), true, hit);
	note_hits(hidden_ignored_directories, ARRAY_SIZE(hidden_ignored_directories), true, hit);
	for (size_t i = 0; i < n; i++) {
		/* their text is too long for why; test_shipped_files has names for them */
		if (!hit[i] && strlen(rules_shipped_ignore()[i]) < 60)
			fail_msg("nothing hits %s", rules_shipped_ignore()[i]);
	}
}

static void test_taking_off(void **state)
{
	struct conf_watch w = plain_watch();

	(void)state;
	w.ignore = LIST("!*.part", "!_*", "*.bad");
	expect(&w, "x.part", RULES_LOOK);
	expect(&w, "_SUCCESS", RULES_LOOK);
	expect(&w, "_tmp_x", RULES_IGNORED); /* another pattern */
	expect(&w, "_x.tmp", RULES_IGNORED); /* another pattern */
	expect(&w, "_dir/x", RULES_IGNORED); /* that is "_*" with a slash */
	expect(&w, "x.partial", RULES_IGNORED);
	expect(&w, "x.bad", RULES_IGNORED);
	expect(&w, "!*.part", RULES_LOOK); /* no pattern itself */
	w.ignore = LIST("!_*", "!_tmp_*");
	expect(&w, "_tmp_x", RULES_LOOK);
	expect_why(&w, "_x.tmp", "\"_x.tmp\" on the shipped ignore list: *.tmp");
}

static void test_check_ignore(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(rules_check_ignore("*.bad", &err), 0);
	assert_int_equal(rules_check_ignore("!*.tmp", &err), 0);
	assert_int_equal(rules_check_ignore("!lost+found/", &err), 0);
	assert_int_equal(rules_check_ignore("!*.tmpp", &err), -EINVAL);
	assert_non_null(strstr(err.text, "did you mean !*.tmp?"));
	assert_int_equal(rules_check_ignore("!", &err), -EINVAL);
	assert_int_equal(rules_check_ignore("!nowhere near any of them", &err), -EINVAL);
	assert_int_equal(rules_check_ignore("[a", &err), -EINVAL);
}

/* ---- ignore, include, exclude ---- */

static void test_users_ignore(void **state)
{
	struct conf_watch w = plain_watch();

	(void)state;
	w.ignore = LIST("*.log", "/cache", "old/", "deep/**/x");
	expect(&w, "a.log", RULES_IGNORED);
	expect(&w, "a/b.log", RULES_IGNORED);
	expect(&w, "a.log/b.csv",
		RULES_IGNORED); /* a user's pattern means directories too, as in .gitignore */
	expect(&w, "cache", RULES_IGNORED);
	expect(&w, "cache/a.csv", RULES_IGNORED);
	expect(&w, "a/cache/a.csv", RULES_LOOK);
	expect(&w, "old", RULES_LOOK);
	expect(&w, "old/a.csv", RULES_IGNORED);
	expect(&w, "deep/1/2/x", RULES_IGNORED);
	expect_enter(&w, "old", false);
	expect_enter(&w, "a/old/b", false);
	expect_why(&w, "a/old/b.csv", "directory \"old\" matches ignore: old/");
}

static void test_exclude(void **state)
{
	struct conf_watch w = plain_watch();

	(void)state;
	w.exclude = LIST("*.bak", "archive/", "/a/b");
	expect(&w, "x.bak", RULES_EXCLUDED);
	expect(&w, "archive/x.csv", RULES_EXCLUDED);
	expect(&w, "x/archive/y/x.csv", RULES_EXCLUDED);
	expect(&w, "archive", RULES_LOOK);
	expect(&w, "a/b", RULES_EXCLUDED);
	expect(&w, "a/b/c", RULES_EXCLUDED);
	expect(&w, "x/a/b", RULES_LOOK);
	expect_enter(&w, "x/archive", false);
	expect_enter(&w, "x", true);
	expect_why(&w, "x.bak", "\"x.bak\" matches exclude: *.bak");
	w.include = LIST("*.bak"); /* exclude is asked first */
	expect(&w, "x.bak", RULES_EXCLUDED);
}

static void test_include(void **state)
{
	struct conf_watch w = plain_watch();

	(void)state;
	w.include = LIST("*.csv", "in/**/*.json", "full/");
	expect(&w, "a.csv", RULES_LOOK);
	expect(&w, "x/y/a.csv", RULES_LOOK);
	expect(&w, "a.txt", RULES_NOT_INCLUDED);
	expect(&w, "in/a.json", RULES_LOOK);
	expect(&w, "in/x/y/a.json", RULES_LOOK);
	expect(&w, "out/a.json", RULES_NOT_INCLUDED);
	expect(&w, "full/a.txt", RULES_LOOK);
	expect(&w, "x/full/y/a.txt", RULES_LOOK);
	expect(&w, "full", RULES_NOT_INCLUDED);
	expect(&w, "out.csv/readme",
		RULES_NOT_INCLUDED); /* a pattern without '/' at its end is about files */
	expect(&w, "out.csv/a.csv", RULES_LOOK);
	expect(&w, "a.csv.tmp", RULES_IGNORED);
	expect_why(&w, "a.txt", "no pattern of include matches");
	expect_enter(&w, "anything", true); /* *.csv can be anywhere */
	w.include = LIST("in/*.csv", "/full/");
	expect_enter(&w, "in", true);
	expect_enter(&w, "in/deep", false);
	expect_enter(&w, "out", false);
	expect_enter(&w, "full", true);
	expect_enter(&w, "full/deep/er", true);
	expect_enter(&w, "", true);
}

static void test_literal_include_beats_ignore(void **state)
{
	struct conf_watch w = plain_watch();

	(void)state;
	w.include = LIST("_SUCCESS", "*.csv", "/_in/a.csv");
	expect(&w, "_SUCCESS", RULES_LOOK);
	expect(&w, "x/_SUCCESS", RULES_LOOK);
	expect(&w, "_orders.csv", RULES_IGNORED); /* stands there only by a pattern */
	expect(&w, "_SUCCESS2", RULES_IGNORED);
	/* a path through an ignored directory */
	expect(&w, "_in/a.csv", RULES_LOOK);
	expect(&w, "_in/b.csv", RULES_LOOK); /* so _in is entered, and *.csv holds in it */
	expect(&w, "_out/a.csv", RULES_IGNORED);
	expect(&w, "_temporary/_SUCCESS",
		RULES_IGNORED); /* the name beats its own pattern, not its directory's */
	expect_enter(&w, "_in", true);
	expect_enter(&w, "_out", false);
	/* the user's own ignore too; hidden and exclude not */
	w.ignore = LIST("_SUCCESS");
	expect(&w, "_SUCCESS", RULES_LOOK);
	w.exclude = LIST("_SUCCESS");
	expect(&w, "_SUCCESS", RULES_EXCLUDED);
	w.include = LIST(".control");
	expect(&w, ".control", RULES_HIDDEN);
}

static void test_hidden(void **state)
{
	struct conf_watch w = plain_watch();

	(void)state;
	expect(&w, ".a", RULES_HIDDEN);
	expect(&w, ".a/b", RULES_HIDDEN);
	expect(&w, "a/.b/c", RULES_HIDDEN);
	expect(&w, "a/b/.c", RULES_HIDDEN);
	expect(&w, "a./b.c", RULES_LOOK);
	expect_why(&w, "a/.b/c", "directory \".b\" begins with a dot and hidden = no");
	w.hidden = true;
	expect(&w, "a/.b/c", RULES_LOOK);
}

static void test_not_recursive(void **state)
{
	struct conf_watch w = plain_watch();

	(void)state;
	w.recursive = false;
	expect(&w, "a.csv", RULES_LOOK);
	expect(&w, "x/a.csv", RULES_NOT_INCLUDED);
	expect(&w, "x/.a", RULES_HIDDEN);
	expect_enter(&w, "", true);
	expect_enter(&w, "x", false);
}

/* Names that would forge a line of the log, or not fit. */
static void test_why_is_printable(void **state)
{
	struct conf_watch w = plain_watch();
	char why[RULES_WHY_BYTES], path[4096];

	(void)state;
	expect_why(&w, "a\nb\x1b[1m.tmp", "\"a\\nb\\x1b[1m.tmp\" on the shipped ignore list: *.tmp");
	memset(path, 'x', sizeof(path));
	memcpy(path + sizeof(path) - 5, ".tmp", 5);
	assert_int_equal(rules_judge_name(&w, path, why), RULES_IGNORED);
	assert_true(strlen(why) < RULES_WHY_BYTES);
	assert_non_null(strstr(why, "*.tmp"));
}

/* ---- markers and the sentinel ---- */

static struct conf_watch marker_watch(const char *marker)
{
	static char *roots[] = {(char *)"/data/in", (char *)"/data/more"};
	struct conf_watch w = plain_watch();

	w.complete = CONF_COMPLETE_MARKER;
	w.marker = (char *)marker;
	w.directory = (struct conf_list){roots, 2};
	return w;
}

static void test_markers(void **state)
{
	static const struct {
		const char *marker, *path;
		bool is_marker;
	} rows[] = {
		{"${name}.done", "a.csv.done", true},
		{"${name}.done", "x/y/a.csv.done", true},
		{"${name}.done", "a.csv", false},
		{"${name}.done", "a.done/b", false},
		{"${stem}.ok", "a.ok", true},
		{"_READY_${name}", "_READY_a.csv", true},
		{"_SUCCESS", "_SUCCESS", true},
		{"_SUCCESS", "out/_SUCCESS", true},
		{"_SUCCESS", "_SUCCESS2", false},
		{"_SUCCESS", "my_SUCCESS", false},
		{"${path}.done", "a.csv.done", true},
		{"${relpath}.done", "x/a.csv.done", true},
		{"${dir}/${name}.done", "a.csv.done", true},
		{"${dir}/.done/${name}", "x/.done/a.csv", true},
		{"${dir}/.done/${name}", "x/a.csv", false},
		{".done/${name}", ".done/a.csv", true},
		{".done/${name}", "x/.done/a.csv", true},
		{".done/${name}", "x/.done/y/a.csv", false},
		{".done/${name}", "done/a.csv", false},
		{"/data/in/.done/${relpath}", ".done/a.csv", true},
		{"/data/in/.done/${relpath}", ".done/x/y/a.csv", true},
		{"/data/in/.done/${relpath}", "x/.done/a.csv", false},
		{"/data/more/ok-${name}", "ok-a", true},
		{"/elsewhere/${relpath}", "a.csv", false},
		{"/data/${relpath}.ok", "a.csv.ok", true},
		{"${name}${ext}x${size}", "aax7", true},
		{"${name}a$${name}", "ba${name}", true},
		{"${broken", "a.csv", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf_watch w = marker_watch(rows[i].marker);
		enum rules_name got = rules_judge_name(&w, rows[i].path, NULL);

		if ((got == RULES_MARKER) != rows[i].is_marker)
			fail_msg("%s, %s: %s", rows[i].marker, rows[i].path, rule_names[got]);
		w.complete = CONF_COMPLETE_AUTO;
		assert_int_not_equal(rules_judge_name(&w, rows[i].path, NULL), RULES_MARKER);
	}
}

static void test_directories_for_markers(void **state)
{
	struct conf_watch beside = marker_watch("${name}.done"), below = marker_watch(".done/${name}");
	struct conf_watch absolute = marker_watch("/data/in/.ok/all/${relpath}");

	(void)state;
	expect_enter(&beside, ".done", false);
	expect_enter(&beside, "_temporary", false);
	expect_enter(&below, ".done", true);
	expect_enter(&below, "x/.done", true);
	expect_enter(&below, ".done/deeper", false);
	expect_enter(&below, ".other", false);
	expect(&below, ".done/a.csv", RULES_MARKER);
	expect_enter(&absolute, ".ok", true);
	expect_enter(&absolute, ".ok/all", true);
	expect_enter(&absolute, ".ok/all/x/y", true);
	expect_enter(&absolute, ".ok/some", false);
	expect_enter(&absolute, ".git", false);
	expect(&absolute, ".ok/other", RULES_HIDDEN); /* entered, but judged */
	below.recursive = false;
	expect_enter(&below, ".done", true);
	expect_enter(&below, "x", false);
	below.include = LIST("/x/*.csv");
	expect_enter(&below, ".done", true);
}

/* Two kinds of star must not blow up. */
static void test_marker_is_bounded(void **state)
{
	char marker[4096] = "", path[4096];
	struct conf_watch w;

	(void)state;
	for (int i = 0; i < 100; i++)
		strncat(marker, i % 2 ? "${name}a" : "${relpath}a", sizeof(marker) - strlen(marker) - 1);
	w = marker_watch(marker);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	path[sizeof(path) - 2] = 'b';
	assert_int_equal(rules_judge_name(&w, path, NULL), RULES_LOOK);
	path[sizeof(path) - 2] = 'a';
	assert_int_equal(rules_judge_name(&w, path, NULL), RULES_MARKER);
}

static void test_order(void **state)
{
	struct conf_watch w = marker_watch("${name}.tmp");

	(void)state;
	w.sentinel = (char *)".mounted.tmp";
	expect(&w, ".mounted.tmp", RULES_SENTINEL);
	expect(&w, "x/.mounted.tmp", RULES_MARKER);
	expect(&w, ".x.tmp", RULES_MARKER);
	w.complete = CONF_COMPLETE_AUTO;
	w.exclude = LIST("*.tmp");
	expect(&w, ".x.tmp", RULES_HIDDEN);
	expect(&w, "x.tmp", RULES_IGNORED);
	w.ignore = LIST("!*.tmp");
	expect(&w, "x.tmp", RULES_EXCLUDED);
	w.exclude.n = 0;
	w.include = LIST("*.csv");
	expect(&w, "x.tmp", RULES_NOT_INCLUDED);
}

/* ---- files ---- */

static void test_judge_file(void **state)
{
	static const struct {
		const char *path;
		int64_t size;
		unsigned reject;
		enum rules_verdict want;
		const char *why;
	} rows[] = {
		{"a.csv", 10, 0, RULES_ACCEPT, ""},
		{"a.csv", 9, 0, RULES_TOO_SMALL, "9 bytes, min_size is 10"},
		{"a.csv", 4096, 0, RULES_ACCEPT, ""},
		{"a.csv", 4097, 0, RULES_TOO_LARGE, "4097 bytes, max_size is 4KiB"},
		{"a.csv", INT64_MAX, 0, RULES_TOO_LARGE, NULL},
		{"a[1].csv", 10, 0, RULES_ACCEPT, ""},
		{"a[1].csv", 10, CONF_REJECT_GLOBS, RULES_REJECT_GLOBS,
			"'[' in the name, and reject_names has globs"},
		{"d*/a.csv", 10, CONF_REJECT_GLOBS, RULES_REJECT_GLOBS, NULL},
		{"a?", 10, CONF_REJECT_GLOBS, RULES_REJECT_GLOBS, NULL},
		{"a]", 10, CONF_REJECT_GLOBS, RULES_REJECT_GLOBS, NULL},
		{"a{", 10, CONF_REJECT_GLOBS, RULES_REJECT_GLOBS, NULL},
		{"a}", 10, CONF_REJECT_GLOBS, RULES_REJECT_GLOBS, NULL},
		{"a\\", 10, CONF_REJECT_GLOBS, RULES_REJECT_GLOBS, NULL},
		{"a\nb", 10, CONF_REJECT_GLOBS, RULES_ACCEPT, ""},
		{"a\nb", 10, CONF_REJECT_CONTROL, RULES_REJECT_CONTROL,
			"control character 0x0a in the name, and reject_names has control"},
		{"a\x7f", 10, CONF_REJECT_CONTROL, RULES_REJECT_CONTROL, NULL},
		{"a\xc2\x85"
		 "b",
			10, CONF_REJECT_CONTROL, RULES_REJECT_CONTROL, NULL},
		{"a\xc2\xa0"
		 "b",
			10, CONF_REJECT_CONTROL, RULES_ACCEPT, ""},
		{"a[\n", 10, 0, RULES_ACCEPT, ""},
		{"\xc3\xbc\xe2\x82\xac", 10, 3, RULES_ACCEPT, ""},
		{"a\xff", 10, 0, RULES_NOT_UTF8, NULL},
		{"\xc0\xaf/a", 10, 0, RULES_NOT_UTF8, NULL},
		{"a{{b", 10, 0, RULES_BRACES, NULL},
		{"x{{/b", 10, 0, RULES_BRACES, NULL},
		{"a{b{c", 10, 0, RULES_ACCEPT, ""},
		{"a}}", 10, 0, RULES_ACCEPT, ""},
		/* what cannot be sent is a dead letter, whatever reject_names says; size comes first */
		{"a{{b", 10, CONF_REJECT_GLOBS, RULES_BRACES, NULL},
		{"a\xff\n", 10, CONF_REJECT_CONTROL, RULES_NOT_UTF8, NULL},
		{"a{{b", 0, 0, RULES_TOO_SMALL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf_watch w = {
			.min_size_bytes = 10, .max_size_bytes = 4096, .reject_names = rows[i].reject};
		char why[RULES_WHY_BYTES] = "nothing";
		enum rules_verdict got = rules_judge_file(&w, rows[i].path, rows[i].size, why);

		if (got != rows[i].want)
			fail_msg("%s: %s (%s)", rows[i].path, rules_verdict_word(got), why);
		if (rows[i].why)
			assert_string_equal(why, rows[i].why);
		assert_int_equal(why[0] == '\0', got == RULES_ACCEPT);
		assert_int_equal(rules_judge_file(&w, rows[i].path, rows[i].size, NULL), got);
	}
}

static void test_sizes_not_set(void **state)
{
	struct conf_watch w = {.min_size_bytes = 0, .max_size_bytes = 0};

	(void)state;
	assert_int_equal(rules_judge_file(&w, "a", 0, NULL), RULES_ACCEPT);
	assert_int_equal(rules_judge_file(&w, "a", INT64_MAX, NULL), RULES_ACCEPT);
}

static void test_words(void **state)
{
	static const struct {
		enum rules_verdict verdict;
		const char *word;
		bool dead;
	} rows[] = {
		{RULES_ACCEPT, "accept", false},
		{RULES_TOO_SMALL, "min_size", false},
		{RULES_TOO_LARGE, "max_size", false},
		{RULES_REJECT_GLOBS, "reject_names", false},
		{RULES_REJECT_CONTROL, "reject_names", false},
		{RULES_NOT_UTF8, "name_not_utf8", true},
		{RULES_BRACES, "name_has_braces", true},
		{RULES_TYPE, "types", false},
		{RULES_TYPE_EXCLUDED, "exclude_types", false},
		{RULES_TYPE_UNKNOWN, "type_unknown", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(rules_verdict_word(rows[i].verdict), rows[i].word);
		assert_int_equal(rules_verdict_is_dead_letter(rows[i].verdict), rows[i].dead);
	}
}

static void test_hash(void **state)
{
	struct conf_watch all[9];
	char hash[9][17], other[17];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = plain_watch();
	all[1].min_size_bytes = 2;
	all[2].max_size_bytes = 1;
	all[3].reject_names = CONF_REJECT_GLOBS;
	all[4].types = LIST("@csv");
	all[5].exclude_types = LIST("@csv");
	all[6].types = LIST("@csv", "text/plain");
	all[7].types = LIST("@csvtext/plain");
	all[8].type_bytes = 7;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		rules_hash(&all[i], "5.44", hash[i]);
		assert_int_equal(strspn(hash[i], "0123456789abcdef"), 16);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(hash[k], hash[i]);
	}
	rules_hash(&all[0], "5.45", other);
	assert_string_not_equal(other, hash[0]);
	/* what only says which names are looked at leaves rejected rows alone */
	all[0].include = LIST("*.csv");
	all[0].hidden = true;
	all[0].type_deadline_us = 5;
	rules_hash(&all[0], "5.44", other);
	assert_string_equal(other, hash[0]);
}

static void test_companions(void **state)
{
	const char *const *suffix = rules_companion_suffixes();
	struct conf_watch w = plain_watch();
	size_t n = 0;

	(void)state;
	for (; suffix[n]; n++) {
		CLEANUP_FREE char *name = mem_printf("orders.csv%s", suffix[n]);

		expect(&w, name, RULES_IGNORED); /* a companion is never data */
	}
	assert_true(n >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped_files),
		cmocka_unit_test(test_shipped_directories),
		cmocka_unit_test(test_shipped_patterns),
		cmocka_unit_test(test_every_shipped_pattern_hits),
		cmocka_unit_test(test_taking_off),
		cmocka_unit_test(test_check_ignore),
		cmocka_unit_test(test_users_ignore),
		cmocka_unit_test(test_exclude),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_literal_include_beats_ignore),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_not_recursive),
		cmocka_unit_test(test_why_is_printable),
		cmocka_unit_test(test_markers),
		cmocka_unit_test(test_directories_for_markers),
		cmocka_unit_test(test_marker_is_bounded),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_judge_file),
		cmocka_unit_test(test_sizes_not_set),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_companions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
