/*
 * template: every name, every way to misspell one, and "{{" however it comes about.
 */
#include "core/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static const struct template_facts facts = {
	.path = "/data/in/2026/orders.tar.gz",
	.uri = "/Volumes/main/in/2026/orders.tar.gz",
	.relpath = "2026/orders.tar.gz",
	.dir_uri = "/Volumes/main/in/2026",
	.size = 2048,
	.mtime_ns = INT64_C(1767323045120000000),
	.type = "application/gzip",
	.watch = "orders",
	.host = "adb-1.azuredatabricks.net",
	.job_id = INT64_MAX,
	.token = "abc123",
	.now_us = INT64_C(1767323046000001),
};

static const struct {
	const char *text, *value;
} rows[] = {
	{"", ""},
	{"plain } { text", "plain } { text"},
	{"${path}", "/data/in/2026/orders.tar.gz"},
	{"${uri}", "/Volumes/main/in/2026/orders.tar.gz"},
	{"${relpath}", "2026/orders.tar.gz"},
	{"${name}", "orders.tar.gz"},
	{"${stem}", "orders.tar"},
	{"${ext}", "gz"},
	{"${dir}", "/data/in/2026"},
	{"${dir_uri}", "/Volumes/main/in/2026"},
	{"${element:1}", "data"},
	{"${element:3}", "2026"},
	{"${element:4}", "orders.tar.gz"},
	{"${element:5}", ""},
	{"${element:-1}", "orders.tar.gz"},
	{"${element:-4}", "data"},
	{"${element:-5}", ""},
	{"${element:4096}", ""},
	{"${size}", "2048"},
	{"${mtime}", "2026-01-02T03:04:05.120000000Z"},
	{"${mtime_ms}", "1767323045120"},
	{"${type}", "application/gzip"},
	{"${watch}", "orders"},
	{"${host}", "adb-1.azuredatabricks.net"},
	{"${job_id}", "9223372036854775807"},
	{"${token}", "abc123"},
	{"${now}", "2026-01-02T03:04:06.000001Z"},
	{"$$", "$"},
	{"$${name}", "${name}"},
	{"$$$$", "$$"},
	{"a${name}b${size}c$$", "aorders.tar.gzb2048c$"},
	{"{{job.id}}", "{{job.id}}"},
};

static void expect(const char *text, const struct template_facts *f, const char *value)
{
	CLEANUP_BUF struct buf b = BUF_INIT(4096);
	struct err err = ERR_INIT;

	if (template_check(text, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(template_expand(text, f, &b, &err), 0);
	assert_string_equal(buf_str(&b), value);
}

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect(rows[i].text, &facts, rows[i].value);
}

static void test_odd_paths(void **state)
{
	static const struct {
		const char *path, *name, *stem, *ext, *dir, *first, *last;
	} paths[] = {
		{"/a", "a", "a", "", "/", "a", "a"},
		{"/x/.profile", ".profile", ".profile", "", "/x", "x", ".profile"},
		{"/x/..rc", "..rc", "..rc", "", "/x", "x", "..rc"},
		{"/x/.a.csv", ".a.csv", ".a", "csv", "/x", "x", ".a.csv"},
		{"/x/a.", "a.", "a.", "", "/x", "x", "a."},
		{"/x/a.b.", "a.b.", "a.b.", "", "/x", "x", "a.b."},
		{"/x/a..b", "a..b", "a.", "b", "/x", "x", "a..b"},
		{"/x.d/a", "a", "a", "", "/x.d", "x.d", "a"},
		{"/x/\xff\n.c", "\xff\n.c", "\xff\n", "c", "/x", "x", "\xff\n.c"},
		{"/x/${name}", "${name}", "${name}", "", "/x", "x", "${name}"},
		{"", "", "", "", "", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct template_facts f = {.path = paths[i].path};

		expect("${name}", &f, paths[i].name);
		expect("${stem}", &f, paths[i].stem);
		expect("${ext}", &f, paths[i].ext);
		expect("${dir}", &f, paths[i].dir);
		expect("${element:1}", &f, paths[i].first);
		expect("${element:-1}", &f, paths[i].last);
	}
}

static void test_missing_facts_and_negative_time(void **state)
{
	struct template_facts f = {.mtime_ns = -1};

	(void)state;
	expect("<${path}${uri}${relpath}${name}${stem}${ext}${dir}${dir_uri}${type}${watch}${host}${token}${"
	       "element:1}>",
		&f, "<>");
	expect("${mtime_ms}", &f, "-1");
	expect("${mtime}", &f, "1969-12-31T23:59:59.999999999Z");
}

static void test_faults(void **state)
{
	static const struct {
		const char *text, *message;
	} faults[] = {
		{"$", "column 1: a lone \"$\"; write \"$$\" for a dollar sign"},
		{"a$b", "column 2: a lone \"$\"; write \"$$\" for a dollar sign"},
		{"$$$", "column 3: a lone \"$\"; write \"$$\" for a dollar sign"},
		{"ab${name", "column 3: \"${\" without \"}\""},
		{"${", "column 1: \"${\" without \"}\""},
		{"x${pth}", "column 2: unknown ${pth}, did you mean ${path}?"},
		{"${Name}", "column 1: unknown ${Name}, did you mean ${name}?"},
		{"${}", "column 1: unknown ${}"},
		{"${zzzzzzzz}", "column 1: unknown ${zzzzzzzz}"},
		{"${a very long name that nobody would ever use for anything at all in here}", NULL},
		{"${a\nb}", NULL},
		{"${element}", "column 1: unknown ${element}, did you mean ${element:N}?"},
		{"${element:}", NULL},
		{"${element:0}", NULL},
		{"${element:x}", NULL},
		{"${element:1x}", NULL},
		{"${element:99999}", NULL},
		{"${element:-9223372036854775808}", NULL},
		{"${element:99999999999999999999999999999999999999999999}", NULL},
		{"${name }", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(4096);
		struct err err = ERR_INIT;

		if (template_check(faults[i].text, &err) != -EINVAL)
			fail_msg("%s passes", faults[i].text);
		assert_int_equal(err.class, ERR_CONF);
		assert_null(strchr(err.text, '\n'));
		if (faults[i].message)
			assert_string_equal(err.text, faults[i].message);
		else
			assert_true(strncmp(err.text, "column 1: ", 10) == 0);
		assert_int_equal(template_expand(faults[i].text, &facts, &b, NULL), -EINVAL);
	}
}

static void test_ceiling(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(30);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(template_expand("${path}", &facts, &b, &err), 0);
	assert_int_equal(template_expand("${path}", &facts, &b, &err), -ENOBUFS);
	assert_int_equal(err.class, ERR_LIMIT);
}

static void test_uses(void **state)
{
	(void)state;
	assert_true(template_uses("a ${type} b", "type"));
	assert_true(template_uses("${name}${type}", "type"));
	assert_false(template_uses("$${type}", "type"));
	assert_false(template_uses("type", "type"));
	assert_false(template_uses("${mtime}", "time"));
	assert_false(template_uses("${mtime}", "mtime_ms"));
	assert_true(template_uses("${element:3}", "element"));
	assert_false(template_uses("${name", "name"));
	assert_false(template_uses("", "name"));
}

static void test_braces(void **state)
{
	static const struct {
		const char *text, *path;
		bool braces;
	} cases[] = {
		{"${name}", "/in/a{{job.id}}.csv", true},
		{"${name}", "/in/a{job.id}.csv", false},
		{"${name}", "/in/a}}.csv", false},
		{"{{job.id}}", "/in/a", false},
		{"{{job.id}}/${name}", "/in/a", false},
		{"{{job.id}}/${name}", "/in/a{", false},
		{"{${name}", "/in/{job.id}}", true},
		{"${name}{job.id}}", "/in/{", true},
		{"${name}{job.id}}", "/in/a", false},
		{"${stem}${ext}", "/in/a{.{job", true},
		{"${stem}.${ext}", "/in/a{.{job", false},
		{"{${ext}{job.id}}", "/in/a", true}, /* an empty value brings them together */
		{"{${ext}{job.id}}", "/in/a.csv", false},
		{"${element:-2}${element:-1}", "/in/x{/{job.id}}", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT(4096);
		struct template_facts f = {.path = cases[i].path};
		bool braces = !cases[i].braces;

		buf_adds(&b, "{"); /* not ours */
		assert_int_equal(template_expand_braces(cases[i].text, &f, &b, &braces, NULL), 0);
		if (braces != cases[i].braces)
			fail_msg("%s with %s: not %d", cases[i].text, cases[i].path, cases[i].braces);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_odd_paths),
		cmocka_unit_test(test_missing_facts_and_negative_time),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_uses),
		cmocka_unit_test(test_braces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
