/* keep/conffile and keep/conftrust: no line of a configuration is ever changed silently. */
#include "keep/conffile.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/conf_schema.h"
#include "core/conf_value.h"
#include "keep/conftrust.h"

/* ---- helpers ---- */

static void expect_lines(const char *told, const char *expected, const char *of)
{
	const char *t = told, *e = expected;

	while (*t || *e) {
		size_t tn = strcspn(t, "\n"), en = strcspn(e, "\n");

		if (!*t || !*e || tn < en || memcmp(t, e, en) != 0)
			fail_msg("of:\n%s\nexpected:\n%s\ngot:\n%s", of, expected, told);
		t += tn + (t[tn] ? 1 : 0);
		e += en + (e[en] ? 1 : 0);
	}
}

static void expect_mistakes(const struct conf_mistakes *m, const char *expected, const char *of)
{
	struct buf b = BUF_INIT(1024 * 1024);

	conf_mistakes_print(m, &b);
	expect_lines(buf_str(&b), expected, of);
	buf_done(&b);
}

/* "LINE SECTION KEY=VALUE" of every entry. */
static void show_entries(const struct conf *c, struct buf *b)
{
	for (size_t i = 0; i < c->entries_n; i++) {
		const struct conf_entry *e = &c->entries[i];

		(void)buf_addf(b, "%d %s %s=%s\n", e->line, e->section, e->key, e->value);
	}
}

static void parse_row(const char *text, size_t len, const char *told, const char *entries)
{
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct buf b = BUF_INIT(1024 * 1024);

	conffile_parse("f", text, len, c, &m);
	expect_mistakes(&m, told, text);
	show_entries(c, &b);
	if (entries && strcmp(buf_str(&b), entries) != 0)
		fail_msg("of:\n%s\nexpected entries:\n%s\ngot:\n%s", text, entries, buf_str(&b));
	buf_done(&b);
	conf_mistakes_done(&m);
	conf_free(c);
}

#define A10 "aaaaaaaaaa"
#define A50 A10 A10 A10 A10 A10
#define A100 A50 A50

/* ---- one text, what is told, what is taken ---- */

struct row {
	const char *text, *told, *entries;
};

static const struct row rows[] = {
	/* good ones */
	{"", "", ""},
	{"\n\n", "", ""},
	{"# x\n; y\n", "", ""},
	{"[service]\nlog_level = debug\n", "", "2 service log_level=debug\n"},
	{"[service]\nlog_level = debug", "", "2 service log_level=debug\n"},
	{"[service]\r\nlog_level = debug\r\n\r\n# x\r\n", "", "2 service log_level=debug\n"},
	{"[service]\nlog_level=debug\n", "", "2 service log_level=debug\n"},
	{"[service]  \nlog_level \t = \t debug \t \n", "", "2 service log_level=debug\n"},
	{"[watch:w]\nparam.x = a=b:c=d\n", "", "2 watch:w param.x=a=b:c=d\n"},
	{"[watch:w]\nparam.x = a;b\nparam.y =;b\nparam.z = a#b\n", "",
		"2 watch:w param.x=a;b\n3 watch:w param.y=;b\n4 watch:w param.z=a#b\n"},
	{"[watch:w]\nparam.x = \" a ; b # c \"\n", "", "2 watch:w param.x=\" a ; b # c \"\n"},
	{"[watch:w]\nparam.x = \"; a\"\nparam.y = \"a\"b\"\n", "",
		"2 watch:w param.x=\"; a\"\n3 watch:w param.y=\"a\"b\"\n"},
	{"[watch:w]\nparam.x = a \"b\" c\n", "", "2 watch:w param.x=a \"b\" c\n"},
	{"[watch:w]\ninclude = a, b\n  c\n\n# x\n\td\nsettle = 1s\n", "",
		"2 watch:w include=a, b\n3 watch:w include=c\n6 watch:w include=d\n7 watch:w settle=1s\n"},
	{"[watch:w]\ninclude =\n  a\n  b\n", "", "3 watch:w include=a\n4 watch:w include=b\n"},
	{"[watch:w]\ninclude = [0-9]*.csv\n  [a-z]*.csv\n  !x\n", "",
		"2 watch:w include=[0-9]*.csv\n3 watch:w include=[a-z]*.csv\n4 watch:w include=!x\n"},
	{"[watch:w]\nignore = x\n  \"#*#\"\n  \";x\"\n", "",
		"2 watch:w ignore=x\n3 watch:w ignore=\"#*#\"\n4 watch:w ignore=\";x\"\n"},
	{"[watch:w]\ndirectory = /a\\\n  b\\\n  c\nsettle = 0\n", "",
		"2 watch:w directory=/abc\n5 watch:w settle=0\n"},
	{"[watch:w]\nparam.x = a \\\n  b\n", "", "2 watch:w param.x=a b\n"},
	{"[watch:w]\nparam.x = \\\n  b\n", "", "2 watch:w param.x=b\n"},
	{"[watch:w]\nparam.x = \" a ; \\\n  ; not first\"\n",
		"f:3: an indented line that begins with ; would be dropped", ""},
	{"[watch:w]\nparam.x = \" a ; \\\n  b ; c\"\n", "", "2 watch:w param.x=\" a ; b ; c\"\n"},
	{"[watch:w]\nparam.x = \"a\\\n  settle = 5s\"\n", "", "2 watch:w param.x=\"asettle = 5s\"\n"},
	{"[watch:w]\ninclude = a\\\n  b\n  c\n", "", "2 watch:w include=ab\n4 watch:w include=c\n"},
	{"[watch:w]\ninclude = a\n  b\\\n  c\n  d\n", "",
		"2 watch:w include=a\n3 watch:w include=bc\n5 watch:w include=d\n"},
	{"[watch:w]\nparam.x = \"a\\\"\n", "", "2 watch:w param.x=\"a\\\"\n"},
	{"[watch:w]\narg = a\n  --conf key=value\n  x=y\n  mode = fast\n", "",
		"2 watch:w arg=a\n3 watch:w arg=--conf key=value\n4 watch:w arg=x=y\n5 watch:w arg=mode = "
		"fast\n"},
	{"[watch:w]\npath_map = /a => /b\n  /c => s3://d\n", "",
		"2 watch:w path_map=/a => /b\n3 watch:w path_map=/c => s3://d\n"},
	{"[watch:w]\ndirectory = /a\xff\xfe\n", "", "2 watch:w directory=/a\xff\xfe\n"},
	{"[service]\n[events]\n[watch:w]\n", "", ""},
	{"#" A100 A100 A100 "\n[service]\nlog_level = info\n", "", "3 service log_level=info\n"},
	{"[watch:w]\nparam.x = " A100 A50 A10 A10 A10 "aaaaaaaaa\n", "",
		"2 watch:w param.x=" A100 A50 A10 A10 A10 "aaaaaaaaa\n"}, /* 199 bytes */

	/* long lines */
	{"[watch:w]\nparam.x = " A100 A50 A10 A10 A10 A10 "\nsettle = 0\n",
		"f:2: the line has 200 bytes, more than the 199 that can be read; a value that ends in \\ "
		"goes on at the next indented line",
		"3 watch:w settle=0\n"},
	{"[watch:w]\nparam.x = " A100 A100 A100 A100 "\n  y\nsettle = 0\n", "f:2: the line has 410 bytes",
		"4 watch:w settle=0\n"},
	{"[watch:w]\ninclude = a\n  " A100 A100 "\n  b\n", "f:3: the line has 202 bytes",
		"2 watch:w include=a\n4 watch:w include=b\n"},
	{"[watch:w]\nparam.x = a\\\n  " A100 A100 "\nsettle = 0\n", "f:3: the line has 202 bytes",
		"4 watch:w settle=0\n"},
	{"[watch:w" A100 A100 "]\nsettle = 0\n", "f:1: the line has 209 bytes", ""},
	{"[watch:v]\n[watch:w" A100 A100 "]\nsettle = 0\n[service]\nlog_level = info\n",
		"f:2: the line has 209 bytes", "5 service log_level=info\n"},
	{"[service]\n" A100 A100 "\n", "f:2: the line has 200 bytes", ""},
	{"[watch:w]\nparam.x = \"" A100 A100 "\"\n", "f:2: the line has 212 bytes", ""},
	{"[watch:w]\ndirectory = /" A100 "\\\n  " A100 "\\\n  " A100 "\n", "",
		"2 watch:w directory=/" A100 A100 A100 "\n"},

	/* long names */
	{"[watch:" A10 A10 A10 A10 "aaa]\nsettle = 0\n", "",
		"2 watch:" A10 A10 A10 A10 "aaa settle=0\n"}, /* 49 bytes */
	{"[watch:" A10 A10 A10 A10 "aaaa]\nsettle = 0\n",
		"f:1: the name of the section has 50 bytes, more than the 49 that can be read", ""},
	{"[watch:w]\nparam." A10 A10 A10 A10 "aaa = x\n", "",
		"2 watch:w param." A10 A10 A10 A10 "aaa=x\n"}, /* 49 bytes */
	{"[watch:w]\nparam." A10 A10 A10 A10 "aaaa = x\n  y\n",
		"f:2: the key has 50 bytes, more than the 49 that can be read", ""},

	/* comments */
	{"[watch:w]\nsettle = 5s ; five\nrescan = 1m\n",
		"f:2: settle: a blank and ; begin a comment, and comments stand on lines of their own",
		"3 watch:w rescan=1m\n"},
	{"[watch:w]\nsettle = 5s\t# five\n", "f:2: settle: a blank and # begin a comment", ""},
	{"[watch:w]\nsettle = ;5s\n", "f:2: settle: a blank and ; begin a comment", ""},
	{"[watch:w]\nsettle = # none\n", "f:2: settle: a blank and # begin a comment", ""},
	{"[watch:w]\nparam.x = a ;b;c\n", "f:2: param.x: a blank and ; begin", ""},
	{"[watch:w]\ninclude = a\n  b ; c\n  d\n", "f:3: include: a blank and ; begin",
		"2 watch:w include=a\n4 watch:w include=d\n"},
	{"[watch:w]\ninclude = a ; x\n  b\n", "f:2: include: a blank and ; begin", ""},
	{"[watch:w]\nparam.x = a\\\n  b ; c\n  d\n", "f:3: param.x: a blank and ; begin", ""},
	{"[watch:w] ; x\nsettle = 0\n",
		"f:1: nothing can follow the ] of a section; comments stand on lines of their own", ""},
	{"[watch:w] # x\n", "f:1: nothing can follow the ] of a section", ""},
	{"[watch:w]x\n", "f:1: nothing can follow the ] of a section", ""},
	{"[watch:w]\ninclude = a\n  # b\n  c\n",
		"f:3: an indented line that begins with # would be dropped; comments begin at the left edge",
		"2 watch:w include=a\n4 watch:w include=c\n"},
	{"[watch:w]\nignore = a\n  ;b\n", "f:3: an indented line that begins with ; would be dropped",
		"2 watch:w ignore=a\n"},
	{"[service]\n # x\nlog_level = info\n", "f:2: an indented line that begins with # would be dropped",
		"3 service log_level=info\n"},
	{" ; x\n", "f:1: an indented line that begins with ; would be dropped", ""},
	{"[watch:w]\nparam.x = a\\\n  #b\n  c\nsettle = 0\n",
		"f:3: an indented line that begins with # would", "5 watch:w settle=0\n"},

	/* indented lines */
	{"[watch:w]\ndirectory = /a\n  job_id = 5\n",
		"f:3: keys begin at the left edge; indented like this it would be a value of directory",
		"2 watch:w directory=/a\n3 watch:w job_id=5\n"},
	{"[watch:w]\n  directory = /a\n  job_id = 5\n",
		"f:2: keys begin at the left edge\nf:3: keys begin at the left edge; indented like this it "
		"would be a value of directory",
		"2 watch:w directory=/a\n3 watch:w job_id=5\n"},
	{"[watch:w]\ninclude = a\n  job_di = 5\n",
		"f:3: keys begin at the left edge; indented\nf:3: unknown key \"job_di\"; did you mean "
		"job_id?",
		"2 watch:w include=a\n"},
	{"[watch:w]\narg = a\n  param.x = 5\n", "f:3: keys begin at the left edge",
		"2 watch:w arg=a\n3 watch:w param.x=5\n"},
	{"[watch:w]\narg = a\n  job_id=5\n", "f:3: keys begin at the left edge",
		"2 watch:w arg=a\n3 watch:w job_id=5\n"},
	{"[watch:w]\nsettle = 1s\n  2s\n",
		"f:3: an indented line is one more value of settle, which takes only one",
		"2 watch:w settle=1s\n"},
	{"[watch:w]\nparam.x = a\n  b\n",
		"f:3: an indented line is one more value of param.x, which takes only one",
		"2 watch:w param.x=a\n"},
	{"[watch:w]\nsettle =\n  2s\n",
		"f:2: settle: the value is empty\nf:3: an indented line is one more value of settle", ""},
	{"[watch:w]\n  /a\n", "f:2: this line is indented, but there is no key above it", ""},
	{"  log_level = info\n", "f:1: this line is indented, but there is no key above it", ""},
	{"[service]\n  [watch:w]\n  directory = /a\n",
		"f:2: sections begin at the left edge\nf:3: keys begin at the left edge",
		"3 watch:w directory=/a\n"},
	{"[watch:v]\ninclude = a\n  [watch:w]\nsettle = 0\n", "f:3: sections begin at the left edge",
		"2 watch:v include=a\n4 watch:w settle=0\n"},
	{"[watch:w]\nnosuch = a\n  b\n  c\nsettle = 0\n", "f:2: unknown key \"nosuch\" in [watch:NAME]",
		"5 watch:w settle=0\n"},
	{"[watch:w]\nnosuch = a\\\n  b\nsettle = 0\n", "f:2: unknown key \"nosuch\" in [watch:NAME]",
		"4 watch:w settle=0\n"},

	/* continued values */
	{"[watch:w]\nparam.x = a\\\nsettle = 0\n",
		"f:2: param.x: the value ends in \\ but the line after it is not indented",
		"3 watch:w settle=0\n"},
	{"[watch:w]\nparam.x = a\\\n", "f:2: param.x: the value ends in \\ but", ""},
	{"[watch:w]\nparam.x = a\\", "f:2: param.x: the value ends in \\ but", ""},
	{"[watch:w]\nparam.x = a\\\n\n  b\n", "f:2: param.x: the value ends in \\ but", ""},
	{"[watch:w]\nparam.x = a\\\n# x\n  b\nsettle = 0\n", "f:2: param.x: the value ends in \\ but",
		"5 watch:w settle=0\n"},
	{"[watch:w]\nparam.x = a\\\n[service]\nlog_level = info\n", "f:2: param.x: the value ends in \\ but",
		"4 service log_level=info\n"},
	{"[watch:w]\nparam.x = a\\  \n  b\n", "", "2 watch:w param.x=ab\n"},

	/* double quotes */
	{"[watch:w]\nparam.x = \"a\n",
		"f:2: param.x: the value begins with a double quote but does not end with one", ""},
	{"[watch:w]\nparam.x = \"\n", "f:2: param.x: the value begins with a double quote", ""},
	{"[watch:w]\nparam.x = \"a\" ; b\n",
		"f:2: param.x: the value begins with a double quote but does not end with one; comments "
		"stand on lines of their own",
		""},
	{"[watch:w]\nparam.x = \"a\\\n  b\n", "f:3: param.x: the value begins with a double quote", ""},
	{"[watch:w]\ninclude = \"a\n  b\n", "f:2: include: the value begins with a double quote", ""},
	{"[watch:w]\ninclude = \"a\", \"b\"\n",
		"f:2: include: a value in double quotes needs a line of its own", ""},

	/* keys */
	{"[service]\nlog_level: info\n", "f:2: keys and values are separated by =, not by :", ""},
	{"[service]\nlog_level : info = x\n", "f:2: keys and values are separated by =, not by :", ""},
	{"[service]\nlog_level\n", "f:2: there is no = in \"log_level\"", ""},
	{"[service]\n= info\n", "f:2: there is no key in front of the =", ""},
	{"[service]\nlog level = info\n", "f:2: \"log level\" is not a key", ""},
	{"[service]\n\"log_level\" = info\n", "f:2: \"\"log_level\"\" is not a key", ""},
	{"[service]\nl\xc3\xb6g = info\n", "f:2: \"l\xc3\xb6g\" is not a key", ""},
	{"[service]\nl\xf6g = info\n", "f:2: \"l\\xf6g\" is not a key", ""},
	{"[service]\nlog_level =\n", "f:2: log_level: the value is empty", ""},
	{"[service]\nlog_level = \nruntime_directory = /r\n", "f:2: log_level: the value is empty",
		"3 service runtime_directory=/r\n"},
	{"[service]\nlog_level = info\nlog_level = debug\n",
		"f:3: log_level: given twice, first at f:2; it takes one value",
		"2 service log_level=info\n"},
	{"[service]\nlog_level = info\nlog_level = info\n", "f:3: log_level: given twice",
		"2 service log_level=info\n"},
	{"log_level = info\n[service]\n", "f:1: this key stands in no section; a [section] comes first", ""},
	{"[watch:w]\nparam.a b = x\n", "f:2: \"param.a b\" is not a key", ""},
	{"[watch:w]\nparam. = x\n", "f:2: param.KEY needs the parameter's name behind the dot", ""},

	/* sections */
	{"[service\nlog_level = info\n", "f:1: the ] of the section is missing", ""},
	{"[watch:w]\nsettle = 0\n[service\nlog_level = info\n", "f:3: the ] of the section is missing",
		"2 watch:w settle=0\n"},
	{"[nosuch]\nkey = 1\nkey = 2\n  x\n[service]\nlog_level = info\n", "f:1: unknown section [nosuch]",
		"6 service log_level=info\n"},
	{"[nosuch]\nkey 1\n", "f:1: unknown section [nosuch]\nf:2: there is no = in \"key 1\"", ""},
	{"[a;b]\n", "f:1: unknown section [a;b]", ""},
	{"[a ;b]\nx = 1\n", "f:1: unknown section [a ;b]", ""},
	{"[a]b]\n", "f:1: nothing can follow the ] of a section", ""},
	{"[]\n", "f:1: unknown section []", ""},
	{"[service]\nlog_level = info\n[events]\n[service]\nruntime_directory = /r\n",
		"f:4: [service] stands here a second time, first at f:1", "2 service log_level=info\n"},
	{"[watch:w]\n[watch:w]\nsettle = x\nnosuch = 1\nrescan = 1m\nrescan = 1m\n",
		"f:2: [watch:w] stands here a second time, first at f:1\nf:3: settle: \"x\" is not a "
		"duration\n"
		"f:4: unknown key \"nosuch\"\nf:6: rescan: given twice, first at f:5",
		""},

	/* bytes */
	{"\xEF\xBB\xBF[service]\nlog_level = info\n",
		"f:1: the file begins with a byte order mark; save it as UTF-8 without one",
		"2 service log_level=info\n"},
	{"[service]\n\xEF\xBB\xBFlog_level = info\n", "f:2: \"\xEF\xBB\xBFlog_level\" is not a key", ""},
	{"[service]\nlog_level = in\x01"
	 "fo\n",
		"f:2: there is a control character (0x01)", ""},
	{"[service]\nlog_level = in\rfo\n", "f:2: there is a control character (0x0d)", ""},
	{"[service]\rlog_level = info\r", "f:1: there is a control character (0x0d)", ""},
	{"[service]\nlog_level = info\r\r\n", "f:2: there is a control character (0x0d)", ""},
	{"[service]\nlog_level = info\x0b\n", "f:2: there is a control character (0x0b)", ""},
	{"[service]\n\x0clog_level = info\n", "f:2: there is a control character (0x0c)", ""},
	{"[service]\nlog_level = \x1b[31m\n", "f:2: there is a control character (0x1b)", ""},
	{"[watch:w]\nparam.x = a\x7f\n", "f:2: there is a control character (0x7f)", ""},
	{"[watch:w]\nparam.x = J\xfcrgen\n", "f:2: param.x: the value is not UTF-8", ""},
	{"[workspace]\nusername = J\xfcrgen\n", "f:2: username: \"J\\xfcrgen\" is not UTF-8", ""},
	{"# J\xfcrgen\n", "", ""},
	{"# bell \x07\n", "", ""},

	/* line numbers behind everything */
	{"\r\n# x\r\n[watch:w]\r\ninclude = a\\\r\n  b\r\n\r\n  c\r\nsettle = x\r\n  y\r\nnosuch = 1\r\n",
		"f:8: settle: \"x\" is not\nf:9: an indented line is one more value of settle\nf:10: unknown "
		"key \"nosuch\"",
		"4 watch:w include=ab\n7 watch:w include=c\n"},
};

static void test_rows(void **state)
{
	(void)state;
	assert_true(ARRAY_SIZE(rows) >= 100);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		parse_row(rows[i].text, strlen(rows[i].text), rows[i].told, rows[i].entries);
}

static void test_nul_bytes(void **state)
{
	static const char value[] = "[service]\nlog_level = in\0fo\nruntime_directory = /r\n";
	static const char comment[] = "# a\0b\n[service]\n";
	static const char blank[] = "[service]\n\0\nlog_level = info\n";
	static const char utf16[] = "[\0s\0e\0r\0v\0i\0c\0e\0]\0\n\0";

	(void)state;
	parse_row(value, sizeof(value) - 1, "f:2: there is a NUL byte; is this file UTF-16",
		"3 service runtime_directory=/r\n");
	parse_row(comment, sizeof(comment) - 1, "f:1: there is a NUL byte", "");
	parse_row(blank, sizeof(blank) - 1, "f:2: there is a NUL byte", "3 service log_level=info\n");
	parse_row(utf16, sizeof(utf16) - 1, "f:1: there is a NUL byte\nf:2: there is a NUL byte", "");
}

static void test_value_ceiling(void **state)
{
	struct buf b = BUF_INIT(65536);

	(void)state;
	(void)buf_adds(&b, "[watch:w]\nparam.x = a\\\n");
	for (int i = 0; i < 200; i++)
		(void)buf_adds(&b, "  " A100 "\\\n");
	(void)buf_adds(&b, "  b\nsettle = 0\n");
	parse_row(buf_str(&b), b.len, "f:2: param.x: the value is longer than 16384 bytes",
		"204 watch:w settle=0\n");
	buf_done(&b);
}

static void test_many_mistakes(void **state)
{
	struct buf b = BUF_INIT(1024 * 1024), told = BUF_INIT(1024 * 1024);
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};

	(void)state;
	for (int i = 0; i < 100000; i++)
		(void)buf_adds(&b, "x\n");
	conffile_parse("f", buf_str(&b), b.len, c, &m);
	assert_int_equal(m.errors, 100000);
	conf_mistakes_print(&m, &told);
	assert_non_null(strstr(buf_str(&told), "\nand 99000 more\n"));
	buf_done(&b);
	buf_done(&told);
	conf_mistakes_done(&m);
	conf_free(c);
}

/* ---- another inih ---- */

/* Debian's build of inih lets its limits be changed (others have them fixed): with it, builds that read lines
 * otherwise can be had here. What they would change must be told. */
extern bool ini_allow_multiline __attribute__((weak));
extern char *ini_inline_comment_prefixes __attribute__((weak));
extern int ini_max_line __attribute__((weak));

static void test_inih_without_continued_lines(void **state)
{
	static const char text[] = "[watch:w]\ninclude = a\n  b\n  x => y\nsettle = 0\n";

	(void)state;
	if (!&ini_allow_multiline)
		skip();
	ini_allow_multiline = false;
	parse_row(text, strlen(text),
		"f:3: include: the library that reads the configuration does not see this line as it "
		"stands\n",
		"2 watch:w include=a\n5 watch:w settle=0\n");
	ini_allow_multiline = true;
}

static void test_inih_with_other_comments(void **state)
{
	static const char text[] = "[watch:w]\nparam.x = a @b\nparam.y = a\\\n  c @d\n  x\nsettle = 0\n";

	(void)state;
	if (!&ini_inline_comment_prefixes)
		skip();
	char *before = ini_inline_comment_prefixes;
	char other[] = "@";
	ini_inline_comment_prefixes = other;
	parse_row(text, strlen(text),
		"f:2: param.x: the library that reads the configuration does not see this line as it stands\n"
		"f:5: an indented line is one more value of param.y",
		NULL);
	ini_inline_comment_prefixes = before;
}

static void test_inih_with_shorter_lines(void **state)
{
	static const char text[] = "[watch:w]\nparam.x = " A10 "\nparam.y = " A10 A10 "\nsettle = 0\n";

	(void)state;
	if (!&ini_max_line)
		skip();
	int before = ini_max_line;
	ini_max_line = 25;
	parse_row(text, strlen(text), "f:3: the line has 30 bytes, more than the 24 that can be read",
		"2 watch:w param.x=" A10 "\n4 watch:w settle=0\n");
	ini_max_line = before;
}

/* ---- written back and read again ---- */

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What `config` prints, without comments, in sorted order: what was a default the first time is given the
 * second time. */
static void print_sorted(const struct conf *c, struct buf *out)
{
	struct buf b = BUF_INIT(1024 * 1024);
	struct conf_list lines = {.n = 0};

	conf_print(c, false, &b);
	for (const char *p = buf_str(&b); *p;) {
		size_t len = strcspn(p, "\n");

		assert_true(len <= 199 || *p == '#');
		if (*p != '#')
			conf_list_add(&lines, p, len);
		p += len + (p[len] ? 1 : 0);
	}
	qsort(lines.items, lines.n, sizeof(*lines.items), compare_lines);
	for (size_t i = 0; i < lines.n; i++)
		(void)buf_addf(out, "%s\n", lines.items[i]);
	conf_list_done(&lines);
	buf_done(&b);
}

static void expect_readable(struct conf *c)
{
	struct conf *again = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct buf text = BUF_INIT(1024 * 1024), first = BUF_INIT(1024 * 1024),
		   second = BUF_INIT(1024 * 1024);

	conf_print(c, false, &text);
	conffile_parse("again", buf_str(&text), text.len, again, &m);
	expect_mistakes(&m, "", buf_str(&text));
	conf_resolve(again);
	print_sorted(c, &first);
	print_sorted(again, &second);
	assert_string_equal(buf_str(&first), buf_str(&second));
	buf_done(&text);
	buf_done(&first);
	buf_done(&second);
	conf_free(again);
}

static void test_print_can_be_read_back(void **state)
{
	static const char text[] =
		"[workspace]\nhost = https://x.example\ntoken_file = /t\n"
		"[watch:w]\ndirectory = /" A100 "\\\n  " A50 "\xff" A50 "\\\n  " A100 "\n"
		"job_id = 9223372036854775807\n"
		"include = a b, \"c,d\"\"\n"
		"[watch:x]\ndirectory = \"/a ; b\"\ninclude = \"a,b\"\n  c,d\n  \"#*#\"\n  \"!x \"\n"
		"param.empty = \"\"\nparam.blank = \" \"\nparam.quote = \"\"q\"\nparam.slash = "
		"\"a\\\"\nparam.hash = a#b;c\n"
		"param.long = \"" A100 "   " A50 "\\\n  " A100 " ; # ;\\\n  " A100 "\"\n"
		"param.gap = \"" A50 "                                                                       "
		"                    \\\n"
		"  x                                                                                         "
		"                \\\n"
		"  y" A100 "\"\n"
		"path_map = /a => s3://b/c\n  \"/a ; b => /x y\"\nsettle = 0\nbrake = off\noverdue = "
		"off\nmin_size = 0\nmax_size = 10MB\n"
		"[watch:y]\njob_type = jar\n[notify:n]\non = start.*\nwebhook_body = {\"a\": \"b\"}\n";
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};

	(void)state;
	conffile_parse("f", text, strlen(text), c, &m);
	expect_mistakes(&m, "f:9: include: a value in double quotes needs a line of its own", text);
	conf_mistakes_done(&m);
	conf_resolve(c);
	assert_string_equal(c->watches[1]->directory.items[0], "/a ; b");
	assert_string_equal(c->watches[1]->param.items[0].value, "");
	assert_string_equal(c->watches[1]->param.items[2].value, "\"q");
	assert_string_equal(c->watches[1]->param.items[3].value, "a\\");
	expect_readable(c);
	conf_free(c);
}

/* ---- the sample ---- */

static char *read_source(const char *path, size_t *ret_len)
{
	const char *top = getenv("srcdir"); /* set by `make check` */
	CLEANUP_FREE char *whole = fs_join(top ? top : ".", path);
	struct buf b = BUF_INIT(1024 * 1024);
	struct err err = ERR_INIT;

	if (fs_read_file(whole, 1024 * 1024, &b, &err) < 0)
		fail_msg("%s", err.text);
	return buf_take(&b, ret_len);
}

static void test_sample_works_as_it_is(void **state)
{
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	size_t len;
	CLEANUP_FREE char *text = read_source("packaging/config/brickwatch.ini", &len);

	(void)state;
	conffile_parse("sample", text, len, c, &m);
	conf_resolve(c);
	conf_check(c, &m);
	expect_mistakes(&m, "", "the sample");
	assert_int_equal(c->watches_n, 1);
	conf_free(c);
}

static bool is_setting(const char *line)
{
	return line[0] == '#' && ((line[1] >= 'a' && line[1] <= 'z') || line[1] == '[');
}

/* With the # of each "#key = value" and "#[section]" taken off. */
static void uncomment(const char *text, struct buf *b)
{
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, "\n");
		const char *from = is_setting(p) ? p + 1 : p;

		(void)buf_add(b, from, (size_t)(p + len - from));
		(void)buf_addc(b, '\n');
		p += len + (p[len] ? 1 : 0);
	}
}

static void expect_default(const struct conf_key *k, const struct conf *c, const char *text)
{
	struct buf shown = BUF_INIT(65536), def = BUF_INIT(65536), line = BUF_INIT(65536);
	struct conf *defaults = conf_new();
	struct conf_mistakes m = {.n = 0};
	const char *section = k->kind == CONF_KIND_SERVICE     ? "service"
			      : k->kind == CONF_KIND_EVENTS    ? "events"
			      : k->kind == CONF_KIND_WORKSPACE ? "workspace"
			      : k->kind == CONF_KIND_WATCH     ? "watch:incoming"
							       : "notify:oncall";

	conf_section(defaults, section, NULL, 0, &m);
	assert_true(conf_value_format(k, conf_section_find(c, section)->object, &shown));
	assert_true(conf_value_format(k, conf_section_find(defaults, section)->object, &def));
	assert_string_equal(buf_str(&shown), buf_str(&def));
	(void)buf_addf(
		&line, "\n#%s = %s\n", k->name, k->def); /* spelled as in the table, and commented out */
	if (!strstr(text, buf_str(&line)))
		fail_msg("the sample has no line: %s", buf_str(&line));
	buf_done(&shown);
	buf_done(&def);
	buf_done(&line);
	conf_free(defaults);
}

static void test_sample_has_every_key_and_default(void **state)
{
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct buf all = BUF_INIT(1024 * 1024);
	size_t len, n;
	CLEANUP_FREE char *text = read_source("packaging/config/brickwatch.ini", &len);
	const struct conf_key *keys = conf_schema_keys(&n);

	(void)state;
	uncomment(text, &all);
	conffile_parse("sample", buf_str(&all), all.len, c, &m);
	expect_mistakes(&m, "", "the sample with every setting");
	assert_int_equal(c->sections_n, CONF_KINDS + 1); /* two ways to be told of events */
	for (size_t i = 0; i < n; i++) {
		bool found = false;

		for (size_t j = 0; j < c->sections_n; j++)
			found |= (int)keys[i].kind == c->sections[j].kind && c->sections[j].given[i] != 0;
		if (!found)
			fail_msg("%s is not in the sample", keys[i].name);
		if (keys[i].def)
			expect_default(&keys[i], c, text);
	}
	/* What is given is the example's own, or not there without being given. */
	conf_resolve(c);
	conf_free(c);
	buf_done(&all);
}

/* ---- files ---- */

struct folder {
	char path[64];
};

static int setup(void **state)
{
	struct folder *f = mem_alloc(sizeof(*f));

	(void)umask(022);
	memcpy(f->path, "/tmp/conffile-XXXXXX", sizeof("/tmp/conffile-XXXXXX"));
	if (!mkdtemp(f->path))
		return -1;
	*state = f;
	return 0;
}

static void remove_tree(const char *path)
{
	CLEANUP_FREE char *command = mem_printf("%s", path);
	/* Two levels are all that is made here. */
	static const char *const names[] = {"main.ini", "link.ini", "conf.d/10.ini", "conf.d/20.ini",
		"conf.d/9.ini", "conf.d/.hidden.ini", "conf.d/x.ini~", "conf.d/README", "conf.d/big.ini",
		"conf.d/bad.ini", "sub/main.ini", "fifo.ini"};
	static const char *const folders[] = {"conf.d/dir.ini", "conf.d", "sub"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *name = fs_join(command, names[i]);

		(void)unlink(name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		CLEANUP_FREE char *name = fs_join(command, folders[i]);

		(void)unlink(name);
		(void)rmdir(name);
	}
	assert_int_equal(rmdir(command), 0);
}

static int teardown(void **state)
{
	struct folder *f = *state;

	remove_tree(f->path);
	free(f);
	return 0;
}

static void put(const struct folder *f, const char *name, const char *text, mode_t mode)
{
	CLEANUP_FREE char *path = fs_join(f->path, name);

	(void)unlink(path); /* one of mode 0400 could not be written again */
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void put_folder(const struct folder *f, const char *name, mode_t mode)
{
	CLEANUP_FREE char *path = fs_join(f->path, name);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* told: "@" stands for the folder. Returns what conffile_load() does. */
static int load(
	const struct folder *f, const char *name, bool with_confd, const char *told, const char *entries)
{
	CLEANUP_FREE char *path = fs_join(f->path, name);
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct err err = ERR_INIT;
	struct buf expected = BUF_INIT(65536), b = BUF_INIT(1024 * 1024);
	int r = conffile_load(path, with_confd, c, &m, &err);

	for (const char *p = told; *p; p++)
		(void)buf_adds(&expected, *p == '@' ? f->path : (char[]){*p, '\0'});
	if (r < 0)
		expect_lines(err.text, buf_str(&expected), path);
	else
		expect_mistakes(&m, buf_str(&expected), path);
	show_entries(c, &b);
	assert_string_equal(buf_str(&b), entries);
	buf_done(&expected);
	buf_done(&b);
	conf_mistakes_done(&m);
	conf_free(c);
	return r;
}

static void test_one_file(void **state)
{
	const struct folder *f = *state;

	put(f, "main.ini", "[service]\nlog_level = info\n", 0644);
	assert_int_equal(load(f, "main.ini", true, "", "2 service log_level=info\n"), 0);
	put(f, "main.ini", "[service]\nlog_level = in\n", 0600);
	assert_int_equal(load(f, "main.ini", true, "@/main.ini:2: log_level: \"in\" is none of", ""), 0);
}

static void test_missing_file(void **state)
{
	assert_int_equal(
		load(*state, "main.ini", true, "@/main.ini: cannot be read: No such file or directory", ""),
		-ENOENT);
}

static void test_not_a_file(void **state)
{
	const struct folder *f = *state;
	CLEANUP_FREE char *fifo = fs_join(f->path, "fifo.ini");

	put_folder(f, "sub", 0755);
	assert_int_equal(load(f, "sub", true, "@/sub: is not a regular file", ""), -EISDIR);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(load(f, "fifo.ini", true, "@/fifo.ini: is not a regular file", ""), -EINVAL);
}

static void test_too_large(void **state)
{
	const struct folder *f = *state;
	CLEANUP_FREE char *path = fs_join(f->path, "main.ini");

	put(f, "main.ini", "", 0644);
	assert_int_equal(truncate(path, CONFFILE_BYTES_MAX + 1), 0);
	assert_int_equal(load(f, "main.ini", true, "@/main.ini: is larger than 4 MiB", ""), -EFBIG);
}

static void test_conf_d(void **state)
{
	const struct folder *f = *state;

	put_folder(f, "conf.d", 0755);
	put(f, "main.ini", "[service]\nlog_level = info\n", 0644);
	put(f, "conf.d/20.ini", "\n[watch:c]\nsettle = 0\n", 0644);
	put(f, "conf.d/10.ini", "[watch:b]\nsettle = 0\n", 0644);
	put(f, "conf.d/9.ini", "[watch:d]\nsettle = 0\n", 0644);
	put(f, "conf.d/.hidden.ini", "x\n", 0644);
	put(f, "conf.d/x.ini~", "x\n", 0644);
	put(f, "conf.d/README", "x\n", 0644);
	assert_int_equal(load(f, "main.ini", true, "",
				 "2 service log_level=info\n2 watch:b settle=0\n3 watch:c settle=0\n2 "
				 "watch:d settle=0\n"),
		0);
	assert_int_equal(load(f, "main.ini", false, "", "2 service log_level=info\n"), 0);
}

static void test_conf_d_mistakes(void **state)
{
	const struct folder *f = *state;
	CLEANUP_FREE char *big = fs_join(f->path, "conf.d/big.ini");

	put_folder(f, "conf.d", 0755);
	put_folder(f, "conf.d/dir.ini", 0755);
	put(f, "main.ini", "[service]\nlog_level = x\n[watch:a]\n", 0644);
	put(f, "conf.d/10.ini", "[watch:a]\nsettle = x\n[service]\n[service]\n", 0644);
	put(f, "conf.d/20.ini", "settle = 1s\n", 0644);
	put(f, "conf.d/big.ini", "", 0644);
	assert_int_equal(truncate(big, CONFFILE_BYTES_MAX + 1), 0);
	assert_int_equal(
		load(f, "main.ini", true,
			"@/main.ini:2: log_level: \"x\" is none of\n"
			"@/conf.d/10.ini:1: [watch:a] stands here a second time, first at @/main.ini:3\n"
			"@/conf.d/10.ini:2: settle: \"x\" is not a duration\n"
			"@/conf.d/10.ini:3: [service] stands here a second time, first at @/main.ini:1\n"
			"@/conf.d/10.ini:4: [service] stands here a second time, first at @/main.ini:1\n"
			"@/conf.d/20.ini:1: this key stands in no section\n"
			"@/conf.d/big.ini: is larger than 4 MiB\n"
			"@/conf.d/dir.ini: is not a regular file",
			""),
		0);
}

static void test_conf_d_that_is_no_folder(void **state)
{
	const struct folder *f = *state;
	CLEANUP_FREE char *link = fs_join(f->path, "conf.d");

	put(f, "main.ini", "[service]\n", 0644);
	put(f, "conf.d", "x", 0644);
	assert_int_equal(load(f, "main.ini", true, "", ""), 0);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("nowhere", link), 0);
	assert_int_equal(load(f, "main.ini", true, "", ""), 0);
}

static void test_relative_path(void **state)
{
	const struct folder *f = *state;
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct err err = ERR_INIT;
	CLEANUP_FD int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	put_folder(f, "conf.d", 0755);
	put(f, "main.ini", "[service]\nlog_level = info\n", 0644);
	put(f, "conf.d/10.ini", "x\n", 0644);
	assert_int_equal(chdir(f->path), 0);
	int r = conffile_load("main.ini", true, c, &m, &err);
	assert_int_equal(fchdir(here), 0);
	assert_int_equal(r, 0);
	assert_string_equal(c->entries[0].file, "main.ini");
	expect_mistakes(&m, "conf.d/10.ini:1: there is no = in \"x\"", "relative");
	conf_mistakes_done(&m);
	conf_free(c);
}

/* ---- who could have written it ---- */

static void test_loose_modes(void **state)
{
	static const struct {
		mode_t file, folder;
		const char *told;
	} modes[] = {
		{0644, 0755, ""},
		{0400, 0700, ""},
		{0664, 0755,
			"@/sub/main.ini: its group could change the configuration; do: chmod g-w "
			"'@/sub/main.ini'"},
		{0646, 0755,
			"@/sub/main.ini: everybody could change the configuration; do: chmod o-w "
			"'@/sub/main.ini'"},
		{0666, 0755,
			"@/sub/main.ini: its group and everybody could change the configuration; do: chmod "
			"go-w '@/sub/main.ini'"},
		{0644, 0775, "@/sub: its group could change the configuration; do: chmod g-w '@/sub'"},
		{0644, 0777,
			"@/sub: its group and everybody could change the configuration; do: chmod go-w "
			"'@/sub'"},
		{0644, 01777, ""},
		{0664, 0757, "@/sub/main.ini: its group could\n@/sub: everybody could"},
	};
	const struct folder *f = *state;
	CLEANUP_FREE char *sub = fs_join(f->path, "sub");

	put_folder(f, "sub", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		put(f, "sub/main.ini", "[service]\n", modes[i].file);
		assert_int_equal(chmod(sub, modes[i].folder), 0);
		assert_int_equal(load(f, "sub/main.ini", true, modes[i].told, ""), 0);
	}
}

/* Nobody can write there, whatever the modes say. */
static void test_read_only_mount(void **state)
{
	const struct folder *f = *state;
	CLEANUP_FREE char *sub = fs_join(f->path, "sub");

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	put_folder(f, "sub", 0777);
	put(f, "sub/main.ini", "[service]\n", 0666);
	assert_int_equal(mount(sub, sub, "none", MS_BIND, NULL), 0);
	assert_int_equal(load(f, "sub/main.ini", true,
				 "@/sub/main.ini: its group and everybody could\n@/sub: its", ""),
		0);
	assert_int_equal(mount(NULL, sub, "none", MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(load(f, "sub/main.ini", true, "", ""), 0);
	assert_int_equal(umount(sub), 0);
}

static void test_loose_conf_d(void **state)
{
	const struct folder *f = *state;

	put(f, "main.ini", "[service]\n", 0644);
	put_folder(f, "conf.d", 01777); /* no sticky bit helps where anybody can add a file */
	put(f, "conf.d/10.ini", "", 0644);
	put(f, "conf.d/20.ini", "", 0666);
	assert_int_equal(load(f, "main.ini", true,
				 "@/conf.d: its group and everybody could change the configuration; do: "
				 "chmod go-w '@/conf.d'\n"
				 "@/conf.d/20.ini: its group and everybody could change",
				 ""),
		0);
}

static void test_link_into_loose_folder(void **state)
{
	const struct folder *f = *state;
	CLEANUP_FREE char *link = fs_join(f->path, "link.ini");

	put_folder(f, "sub", 0777);
	put(f, "sub/main.ini", "[service]\n", 0644);
	assert_int_equal(symlink("sub/main.ini", link), 0);
	assert_int_equal(load(f, "link.ini", false, "@/sub: its group and everybody could change", ""), 0);
}

static void test_owners(void **state)
{
	static const struct {
		uid_t file, folder;
		const char *told;
	} owners[] = {
		{0, 0, ""},
		{65534, 65534, ""}, /* everybody outside of a user namespace */
		{1, 0,
			"@/sub/main.ini: belongs to user 1, who could change the configuration; do: chown "
			"root '@/sub/main.ini'"},
		{0, 1,
			"@/sub: belongs to user 1, who could change the configuration; do: chown root "
			"'@/sub'"},
	};
	const struct folder *f = *state;

	if (geteuid() != 0)
		skip(); /* only root can give files away */
	CLEANUP_FREE char *sub = fs_join(f->path, "sub");
	CLEANUP_FREE char *file = fs_join(f->path, "sub/main.ini");

	put_folder(f, "sub", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		put(f, "sub/main.ini", "[service]\n", 0644);
		assert_int_equal(chown(file, owners[i].file, 0), 0);
		assert_int_equal(chown(sub, owners[i].folder, 0), 0);
		assert_int_equal(load(f, "sub/main.ini", true, owners[i].told, ""), 0);
	}
	assert_int_equal(chown(sub, 0, 0), 0);
}

/* ---- anything at all ---- */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static struct conf_list lines_of(const char *text, size_t len)
{
	struct conf_list lines = {.n = 0};

	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len, used = n + (end ? 1 : 0);

		while (n > 0 && strchr(" \t\r", text[n - 1]))
			n--;
		conf_list_add(&lines, text, n);
		text += used;
		len -= used;
	}
	return lines;
}

/* Every value that was taken stands whole at the end of its line, and its key at the beginning of that line
 * or of one above. */
static void expect_nothing_cut(const struct conf *c, const struct conf_list *lines)
{
	for (size_t i = 0; i < c->entries_n; i++) {
		const struct conf_entry *e = &c->entries[i];

		assert_true(e->line >= 1 && (size_t)e->line <= lines->n);
		const char *line = lines->items[e->line - 1];
		bool indented = line[0] == ' ' || line[0] == '\t';

		if (!indented)
			assert_true(text_starts_with(line, e->key));
		if (!text_ends_with(line, "\\") && !text_ends_with(line, e->value))
			fail_msg("\"%s\" became %s = %s", line, e->key, e->value);
	}
}

static void parse_anything(const char *text, size_t len)
{
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct buf b = BUF_INIT(16 * 1024 * 1024);
	struct conf_list lines = lines_of(text, len);

	conffile_parse("f", text, len, c, &m);
	if (!memchr(text, '\0', len))
		expect_nothing_cut(c, &lines);
	for (size_t i = 0; i < m.n; i++)
		assert_true(m.items[i].line >= 1 && (size_t)m.items[i].line <= lines.n);
	conf_resolve(c);
	expect_readable(c);
	conf_check(c, &m);
	conf_mistakes_print(&m, &b);
	conf_list_done(&lines);
	buf_done(&b);
	conf_mistakes_done(&m);
	conf_free(c);
}

static void test_random_bytes(void **state)
{
	static const char pieces[][14] = {"[watch:w]\n", "[service]\n", "[", "]", "\n", "\r\n", " ", "\t",
		"=", ":", ";", "#", "\"", "\\\n", "\\", "include = ", "param.x = ", "settle = 1s",
		"directory = /", ",", "a", "/", "\xff", "\xc3\xa4", "  ", "\x01", "job_id = 5",
		"aaaaaaaaaaaaa", "log_level", "\xEF\xBB\xBF"};
	uint32_t seed = 4711;

	(void)state;
	for (int round = 0; round < 4000; round++) {
		struct buf b = BUF_INIT(65536);

		if (round % 2)
			(void)buf_adds(&b, "[watch:w]\n");
		for (int i = 0; i < 40; i++) {
			const char *piece = pieces[next_random(&seed) % ARRAY_SIZE(pieces)];
			char byte = (char)next_random(&seed);

			if (next_random(&seed) % 16 == 0)
				(void)buf_addc(&b, byte);
			else
				(void)buf_adds(&b, piece);
		}
		parse_anything(buf_str(&b), b.len);
		buf_done(&b);
	}
}

static void test_damaged_sample(void **state)
{
	struct buf all = BUF_INIT(1024 * 1024);
	size_t len;
	CLEANUP_FREE char *text = read_source("packaging/config/brickwatch.ini", &len);
	uint32_t seed = 42;

	(void)state;
	uncomment(text, &all);
	for (int round = 0; round < 200; round++) {
		CLEANUP_FREE char *copy = mem_dup(buf_str(&all), all.len);

		for (int i = 0; i < 12; i++)
			copy[next_random(&seed) % all.len] = "\n \\;#\"=[\x00\xff"[next_random(&seed) % 10];
		parse_anything(copy, all.len);
	}
	buf_done(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_value_ceiling),
		cmocka_unit_test(test_many_mistakes),
		cmocka_unit_test(test_inih_without_continued_lines),
		cmocka_unit_test(test_inih_with_other_comments),
		cmocka_unit_test(test_inih_with_shorter_lines),
		cmocka_unit_test(test_print_can_be_read_back),
		cmocka_unit_test(test_sample_works_as_it_is),
		cmocka_unit_test(test_sample_has_every_key_and_default),
		cmocka_unit_test_setup_teardown(test_one_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conf_d, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conf_d_mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conf_d_that_is_no_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loose_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only_mount, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loose_conf_d, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link_into_loose_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_damaged_sample),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
