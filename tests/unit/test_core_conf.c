/* core/conf with its schema, values, hosts, checks and printing: what a user may write, and what he is told.
 */
#include "core/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/conf_host.h"
#include "core/conf_schema.h"
#include "core/conf_value.h"
#include "core/rules.h"
#include "patience.h"

#define KIB INT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define S US_PER_S
#define HOUR (3600 * S)
#define DAY (24 * HOUR)

/* ---- helpers ---- */

/* "[section]" and "key = value" lines, nothing else: the real reader is keep/conffile. */
static void feed(struct conf *c, const char *text, struct conf_mistakes *m)
{
	char section[256] = "";
	int line = 0;

	while (*text) {
		char copy[4096];
		size_t len = strcspn(text, "\n");
		char *equals;

		line++;
		assert_true(len < sizeof(copy));
		memcpy(copy, text, len);
		copy[len] = '\0';
		text += len + (text[len] ? 1 : 0);
		equals = strstr(copy, " = ");
		if (copy[0] == '[') {
			copy[len - 1] = '\0';
			memcpy(section, copy + 1, len - 1);
			conf_section(c, section, "f", line, m);
		} else if (equals) {
			*equals = '\0';
			conf_set(c, section, copy, equals + 3, "f", line, m);
		} else {
			assert_int_equal(len, 0);
		}
	}
}

/* Every line told must begin with the line expected, and there are as many. */
static void expect_lines(const char *told, const char *expected, const char *of)
{
	const char *t = told, *e = expected;

	while (*t || *e) {
		size_t tn = strcspn(t, "\n"), en = strcspn(e, "\n");

		if (!*t || !*e || tn < en || memcmp(t, e, en) != 0)
			fail_msg("of:\n%s\nexpected:\n%s\ntold:\n%s", of, expected, told);
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

static struct conf *good(const char *text)
{
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};

	feed(c, text, &m);
	expect_mistakes(&m, "", text);
	conf_resolve(c);
	return c;
}

/* ---- one value ---- */

struct value_row {
	const char *section, *key, *value;
	const char *shown; /* as it is written back; NULL: refused */
	const char *told;  /* the mistake begins so */
};

static const struct value_row value_rows[] = {
	/* paths */
	{"service", "state_directory", "/var/lib/x", "/var/lib/x", NULL},
	{"service", "state_directory", "//var/./lib//x/", "/var/lib/x", NULL},
	{"service", "state_directory", "/", "/", NULL},
	{"service", "state_directory", "\"/a b\"", "/a b", NULL},
	{"service", "state_directory", "/a\xff", "/a\xff", NULL},
	{"service", "state_directory", "var/lib", NULL,
		"state_directory: \"var/lib\" is not an absolute path"},
	{"service", "state_directory", "/a/../b", NULL, "state_directory: \"/a/../b\" must not hold \"..\""},
	{"service", "state_directory", "\"\"", NULL, "state_directory: the value is empty"},
	{"service", "state_directory", "\"", NULL,
		"state_directory: the value begins with a double quote but"},
	{"service", "state_directory", "\"/a\" b", NULL,
		"state_directory: the value begins with a double quote but"},
	{"service", "state_directory", "", NULL, "state_directory: the value is empty"},
	{"service", "state_directory", "/a\nb", NULL,
		"state_directory: the value holds a control character (0x0a)"},
	{"service", "state_directory", "/a\x7f", NULL,
		"state_directory: the value holds a control character (0x7f)"},
	/* words */
	{"service", "log_level", "debug", "debug", NULL},
	{"service", "log_level", "Debug", NULL,
		"log_level: \"Debug\" is none of error, warning, info, debug; did you mean debug?"},
	{"service", "log_level", "loud", NULL, "log_level: \"loud\" is none of error, warning, info, debug"},
	{"service", "durability", "process", "process", NULL},
	{"service", "durability", "powr", NULL,
		"durability: \"powr\" is none of power, process; did you mean power?"},
	{"workspace", "auth", "oauth-m2m", "oauth-m2m", NULL},
	{"workspace", "auth", "\"\"", NULL, "auth: the value is empty"},
	{"workspace", "auth", "pat", NULL,
		"auth: \"pat\" is none of token, oauth-m2m, azure-client-secret, "},
	{"workspace", "api_version", "2.1", "2.1", NULL},
	{"workspace", "api_version", "2.3", NULL, "api_version: \"2.3\" is none of 2.0, 2.1, 2.2"},
	{"workspace", "tls_min", "1.1", NULL, "tls_min: \"1.1\" is none of 1.2, 1.3"},
	{"watch:w", "job_type", "spark_submit", "spark_submit", NULL},
	{"watch:w", "method", "fanotify", NULL, "method: \"fanotify\" is none of auto, inotify, poll"},
	{"watch:w", "version", "size + mtime", NULL,
		"version: \"size + mtime\" is none of size+mtime, size, name; did you mean size+mtime?"},
	{"watch:w", "existing", "hold", "hold", NULL},
	{"watch:w", "on_failure", "dead-letter", NULL,
		"on_failure: \"dead-letter\" is none of dead_letter, discard, pause; did you mean "
		"dead_letter?"},
	/* switches */
	{"watch:w", "queue", "no", "no", NULL},
	{"watch:w", "queue", "YES", "yes", NULL},
	{"watch:w", "queue", "maybe", NULL, "queue: yes or no is wanted here"},
	/* sizes */
	{"events", "max_size", "64MiB", "64MiB", NULL},
	{"events", "max_size", "1GiB", "1GiB", NULL},
	{"events", "max_size", "5MB", "5MB", NULL},
	{"events", "max_size", "4095", NULL, "max_size: \"4095\" is out of range; 4KiB to 1TiB is allowed"},
	{"events", "max_size", "4096", "4KiB", NULL},
	{"events", "max_size", "2TiB", NULL, "max_size: \"2TiB\" is out of range"},
	{"events", "max_size", "64M", NULL,
		"max_size: \"64M\" is not a size, for instance 512, 64KiB, 5MB or 1GiB"},
	{"events", "max_size", "64 MiB", NULL, "max_size: \"64 MiB\" is not a size"},
	{"events", "max_size", "-1", NULL, "max_size: \"-1\" is "},
	{"events", "max_size", "99999999999999999999", NULL,
		"max_size: \"99999999999999999999\" is out of range"},
	{"watch:w", "min_size", "0", "0", NULL},
	{"watch:w", "max_size", "0", NULL, "max_size: \"0\" is out of range; 1 to 1024TiB is allowed"},
	{"watch:w", "type_bytes", "4KiB", "4KiB", NULL},
	{"watch:w", "type_bytes", "64MiB", "64MiB", NULL},
	{"watch:w", "type_bytes", "65MiB", NULL,
		"type_bytes: \"65MiB\" is out of range; 4KiB to 64MiB is allowed"},
	{"watch:w", "type_bytes", "1", NULL, "type_bytes: \"1\" is out of range"},
	/* durations */
	{"events", "max_age", "1d", "1d", NULL},
	{"events", "max_age", "24h", "1d", NULL},
	{"events", "max_age", "90m", "90m", NULL},
	{"events", "max_age", "1w", NULL,
		"max_age: \"1w\" is not a duration, for instance 250ms, 10s, 5m, 24h or 7d"},
	{"events", "max_age", "0", NULL, "max_age: \"0\" is out of range; 1s to 365d is allowed"},
	{"events", "max_age", "10", NULL, "max_age: \"10\" is not a duration"},
	{"events", "max_age", "1.5h", NULL, "max_age: \"1.5h\" is not a duration"},
	{"events", "max_age", "off", NULL, "max_age: \"off\" is not a duration"},
	{"watch:w", "settle", "0", "0", NULL},
	{"watch:w", "settle", "250ms", "250ms", NULL},
	{"watch:w", "settle", "25h", NULL, "settle: \"25h\" is out of range; 0 to 24h is allowed"},
	{"watch:w", "rescan", "8d", NULL, "rescan: \"8d\" is out of range; 1s to 7d is allowed"},
	{"watch:w", "type_deadline", "9ms", NULL,
		"type_deadline: \"9ms\" is out of range; 10ms to 60s is allowed"},
	{"watch:w", "type_deadline", "61s", NULL, "type_deadline: \"61s\" is out of range"},
	{"watch:w", "overdue", "off", "off", NULL},
	{"watch:w", "overdue", "none", NULL,
		"overdue: \"none\" is not a duration, for instance 250ms, 10s, 5m, 24h or 7d, and not off"},
	/* counts and ids */
	{"workspace", "burst", "1000000", "1000000", NULL},
	{"workspace", "burst", "0", NULL, "burst: \"0\" is out of range; 1 to 1000000 is allowed"},
	{"workspace", "burst", "many", NULL, "burst: \"many\" is not a whole number"},
	{"workspace", "max_requests", "257", NULL,
		"max_requests: \"257\" is out of range; 1 to 256 is allowed"},
	{"watch:w", "job_id", "1", "1", NULL},
	{"watch:w", "job_id", "9007199254740993", "9007199254740993", NULL},
	{"watch:w", "job_id", "9223372036854775807", "9223372036854775807", NULL},
	{"watch:w", "job_id", "9223372036854775808", NULL, "job_id: \"9223372036854775808\" is out of range"},
	{"watch:w", "job_id", "0", NULL,
		"job_id: \"0\" is out of range; 1 to 9223372036854775807 is allowed"},
	{"watch:w", "job_id", "-5", NULL, "job_id: \"-5\" is out of range"},
	{"watch:w", "job_id", "12a", NULL, "job_id: \"12a\" is not a whole number"},
	{"watch:w", "job_id", "1e9", NULL, "job_id: \"1e9\" is not a whole number"},
	/* rates */
	{"workspace", "rate", "5/s", "5/s", NULL},
	{"workspace", "rate", "1000000/s", "1000000/s", NULL},
	{"workspace", "rate", "1000001/s", NULL,
		"rate: \"1000001/s\" is out of range; 1/365d to 1000000/s is allowed"},
	{"workspace", "rate", "2/1ms", "2/ms", NULL},
	{"workspace", "rate", "1001/1ms", NULL, "rate: \"1001/1ms\" is out of range"},
	{"workspace", "rate", "0/s", NULL, "rate: \"0/s\" is "},
	{"workspace", "rate", "5", NULL, "rate: \"5\" is not a count per time, for instance 5/s or 10000/1h"},
	{"workspace", "rate", "off", NULL, "rate: \"off\" is not a count per time"},
	{"watch:w", "brake", "off", "off", NULL},
	{"watch:w", "brake", "10000/1h", "10000/h", NULL},
	{"watch:w", "brake", "1/366d", NULL,
		"brake: \"1/366d\" is out of range; 1/365d to 1000000/s is allowed, or off"},
	/* secrets are paths or names of credentials */
	{"workspace", "token_file", "/etc/t", "/etc/t", NULL},
	{"workspace", "token_file", "credential:token", "credential:token", NULL},
	{"workspace", "token_file", "credential:", NULL,
		"token_file: credential:NAME needs the name of a systemd credential"},
	{"workspace", "token_file", "credential:../x", NULL, "token_file: credential:NAME needs"},
	{"workspace", "azure_authority_host", "HTTPS://Login.Example:443/", "https://login.example", NULL},
	{"workspace", "azure_authority_host", "http://login.example", NULL,
		"azure_authority_host: http:// would send the credential in clear"},
	{"workspace", "azure_metadata_host", "http://127.0.0.1:40342", "http://127.0.0.1:40342", NULL},
	{"workspace", "token_file", "credential:..", NULL, "token_file: credential:NAME needs"},
	{"workspace", "token_file", "dapi0123456789", NULL,
		"token_file: must be the absolute path of the file that holds the secret, or credential:NAME "
		"(the value is not "
		"shown here, in case it is the secret itself)"},
	/* texts */
	{"workspace", "username", "J\xc3\xbcrgen", "J\xc3\xbcrgen", NULL},
	{"workspace", "username", "J\xfcrgen", NULL,
		"username: \"J\\xfcrgen\" is not UTF-8; only paths and patterns may"},
	{"watch:w", "workspace", "a b", NULL, "workspace: \"a b\" cannot be a name"},
	{"watch:w", "marker", "${name}.done", "${name}.done", NULL},
};

static void one_value(const struct value_row *row)
{
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct buf b = BUF_INIT(65536);

	conf_set(c, row->section, row->key, row->value, NULL, 0, &m);
	if (row->shown) {
		const struct conf_section *s = conf_section_find(c, row->section);
		const struct conf_key *k = conf_schema_find((enum conf_kind)s->kind, row->key);

		expect_mistakes(&m, "", row->value);
		assert_true(conf_value_format(k, s->object, &b));
		if (strcmp(buf_str(&b), row->shown) != 0)
			fail_msg("%s = %s came back as %s", row->key, row->value, buf_str(&b));
		assert_non_null(conf_entry_find(c, row->section, row->key));
	} else {
		expect_mistakes(&m, row->told, row->value);
		assert_int_equal(m.errors, 1);
		assert_null(conf_entry_find(c, row->section, row->key));
		assert_int_equal(c->entries_n, 0);
	}
	buf_done(&b);
	conf_mistakes_done(&m);
	conf_free(c);
}

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(value_rows); i++)
		one_value(&value_rows[i]);
}

static void test_bad_value_leaves_the_default(void **state)
{
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};

	(void)state;
	conf_set(c, "events", "max_size", "2TiB", "f", 1, &m);
	conf_set(c, "events", "file", "x", "f", 2, &m);
	conf_set(c, "events", "max_age", "1h", "f", 3, &m);
	assert_int_equal(c->events.max_size_bytes, 64 * MIB);
	assert_string_equal(c->events.file, "/var/log/brickwatch/events.jsonl");
	assert_int_equal(c->events.max_age_us, HOUR);
	assert_int_equal(m.errors, 2);
	conf_mistakes_done(&m);
	conf_free(c);
}

/* ---- several values ---- */

static void expect_list(const struct conf_list *l, const char *expected)
{
	struct buf b = BUF_INIT(65536);

	for (size_t i = 0; i < l->n; i++)
		(void)buf_addf(&b, "<%s>", l->items[i]);
	assert_string_equal(buf_str(&b), expected);
	buf_done(&b);
}

static void test_lists(void **state)
{
	struct conf *c =
		good("[watch:w]\ndirectory = /a,b\ndirectory = /c//d/\n"
		     "include = *.csv, a b ,c\ninclude = \"x,y\"\ninclude = \";\"q\"\nexclude = \" lead\"\n"
		     "arg = a, b\narg = \"\"\narg = \"  q \"\narg = a\"b\ntypes = @csv,text/*\n"
		     "reject_names = control,globs\n");
	const struct conf_watch *w = c->watches[0];

	(void)state;
	expect_list(&w->directory, "</a,b></c/d>");
	expect_list(&w->include, "<*.csv><a b><c><x,y><;\"q>");
	expect_list(&w->exclude, "< lead>");
	expect_list(&w->arg, "<a, b><><  q ><a\"b>");
	expect_list(&w->types, "<@csv><text/*>");
	assert_int_equal(w->reject_names, CONF_REJECT_GLOBS | CONF_REJECT_CONTROL);
	conf_free(c);
}

static void test_list_faults_leave_the_list(void **state)
{
	static const struct {
		const char *key, *value, *told;
	} rows[] = {
		{"include", "a,,b", "f:3: include: there is a comma with nothing beside it"},
		{"include", "a,", "f:3: include: there is a comma with nothing beside it"},
		{"include", ",a", "f:3: include: there is a comma with nothing beside it"},
		{"include", "a, \"b\"", "f:3: include: a value in double quotes needs a line of its own"},
		{"include", "\"a\", \"b\"", "f:3: include: a value in double quotes needs a line of its own"},
		{"include", "\"a\" ,\"b\"", "f:3: include: a value in double quotes needs a line of its own"},
		{"include", "\"a, \"b\"", "f:3: include: a value in double quotes needs a line of its own"},
		{"include", "\"\"", "f:3: include: the value is empty"},
		{"reject_names", "globs, contrl",
			"f:3: reject_names: \"contrl\" is none of globs, control; did you mean control?"},
		{"types", "@csv, \xff", "f:3: types: \"\\xff\" is not UTF-8"},
		{"types", "\xff, @csv, \xfe",
			"f:3: types: \"\\xff\" is not UTF-8\nf:3: types: \"\\xfe\" is not UTF-8"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf *c = good("[watch:w]\ninclude = *.csv\n");
		struct conf_mistakes m = {.n = 0};

		conf_set(c, "watch:w", rows[i].key, rows[i].value, "f", 3, &m);
		expect_mistakes(&m, rows[i].told, rows[i].value);
		expect_list(&c->watches[0]->include, "<*.csv>");
		expect_list(&c->watches[0]->types, "");
		assert_int_equal(c->watches[0]->reject_names, 0);
		conf_mistakes_done(&m);
		conf_free(c);
	}
}

static void test_limits(void **state)
{
	struct conf *c = conf_new();
	struct conf_mistakes m = {.n = 0};
	char *longest = mem_alloc(CONF_VALUE_BYTES + 2);

	(void)state;
	memset(longest, 'a', CONF_VALUE_BYTES + 1);
	conf_set(c, "watch:w", "param.x", longest, "f", 1, &m);
	longest[CONF_VALUE_BYTES] = '\0';
	conf_set(c, "watch:w", "param.x", longest, "f", 2, &m);
	longest[0] = '/';
	conf_set(c, "watch:w", "directory", longest, "f", 3, &m);
	longest[4095] = '\0';
	conf_set(c, "watch:w", "directory", longest, "f", 4, &m);
	for (int i = 0; i < CONF_LIST_MAX + 1; i++)
		conf_set(c, "watch:w", "arg", "x", "f", 5 + i, &m);
	for (int i = 1; i < CONF_WATCHES_MAX + 1; i++) {
		char section[64];

		(void)snprintf(section, sizeof(section), "watch:w%d", i);
		conf_section(c, section, "f", 2000 + i, &m);
	}
	expect_mistakes(&m,
		"f:1: param.x: the value is longer than 16384 bytes\n"
		"f:3: directory: a path has at most 4095 bytes\n"
		"f:1005: arg: there are more than 1000 values\n"
		"f:2256: there are too many sections [watch:NAME]",
		"limits");
	assert_int_equal(c->watches_n, CONF_WATCHES_MAX);
	assert_int_equal(strlen(c->watches[0]->param.items[0].value), CONF_VALUE_BYTES);
	free(longest);
	conf_mistakes_done(&m);
	conf_free(c);
}

static void test_entries_are_bounded(void **state)
{
	struct conf_mistakes m = {.n = 0};
	struct conf *c;

	(void)state;
	if (patience_is_short())
		skip();
	c = conf_new();
	for (int i = 0; i < CONF_ENTRIES_MAX + 1; i++) {
		char section[64];

		(void)snprintf(section, sizeof(section), "watch:w%d", i / CONF_LIST_MAX);
		conf_set(c, section, "arg", "x", "f", i, &m);
	}
	expect_mistakes(&m, "f:20000: arg: there are more than 20000 entries", "entries");
	assert_int_equal(c->entries_n, CONF_ENTRIES_MAX);
	conf_mistakes_done(&m);
	conf_free(c);
}

/* ---- sections and keys ---- */

static void test_names(void **state)
{
	static const struct {
		const char *text, *told;
	} rows[] = {
		{"[wach:a]", "f:1: unknown section [wach]; did you mean [watch…]?"},
		{"[servce]", "f:1: unknown section [servce]; did you mean [service…]?"},
		{"[Service]", "f:1: unknown section [Service]; did you mean [service…]?"},
		{"[database]", "f:1: unknown section [database]; there are [service], [events], [workspace], "
			       "[watch:NAME]"},
		{"[]", "f:1: unknown section []"},
		{"[ service]", "f:1: unknown section [ service]; did you mean [service…]?"},
		{"[watch]", "f:1: [watch] needs a name: [watch:NAME]"},
		{"[notify]", "f:1: [notify] needs a name: [notify:NAME]"},
		{"[service:x]", "f:1: [service] takes no name"},
		{"[events:]", "f:1: [events] takes no name"},
		{"[watch:]", "f:1: \"\" cannot be a name; letters, digits, . _ and - can, up to 47 of them, "
			     "no . or - first"},
		{"[watch:.a]", "f:1: \".a\" cannot be a name"},
		{"[watch:-a]", "f:1: \"-a\" cannot be a name"},
		{"[watch:a b]", "f:1: \"a b\" cannot be a name"},
		{"[watch:a/b]", "f:1: \"a/b\" cannot be a name"},
		{"[watch:\xc3\xa4]", "f:1: \"\xc3\xa4\" cannot be a name"},
		{"[watch:123456789012345678901234567890123456789012345678]",
			"f:1: \"123456789012345678901234567890123456789012345678\" cannot"},
		{"[watch:12345678901234567890123456789012345678901234567]", ""},
		{"[watch:A.b_c-9]\n[workspace]\n[workspace:x]\n[notify:n]\n[service]\n[events]", ""},
		{"[watch:a]\n[service]\n[watch:a]", "f:3: [watch:a] stands here a second time, first at f:1"},
		{"[service]\n[service]", "f:2: [service] stands here a second time, first at f:1"},
		{"[service]\nstate_dir = /x", "f:2: unknown key \"state_dir\" in [service]"},
		{"[service]\nloglevel = info", "f:2: unknown key \"loglevel\"; did you mean log_level?"},
		{"[service]\njob_id = 5", "f:2: job_id is a key of [watch:NAME], not of [service]"},
		{"[watch:a]\ntoken_file = /x",
			"f:2: token_file is a key of [workspace] or [workspace:NAME], not of [watch:NAME]"},
		{"[watch:a]\njobid = 5", "f:2: unknown key \"jobid\"; did you mean job_id?"},
		{"[watch:a]\nzzz = 5", "f:2: unknown key \"zzz\" in [watch:NAME]"},
		{"[watch:a]\nJOB_ID = 5", "f:2: unknown key \"JOB_ID\""},
		{"[watch:a]\nparam = 5", "f:2: unknown key \"param\""},
		{"[watch:a]\nparam. = 5", "f:2: param.KEY needs the parameter's name behind the dot"},
		{"[watch:a]\nparam.a/b = 5",
			"f:2: \"a/b\" cannot be the name of a parameter; letters, digits, _ . and - can"},
		{"[watch:a]\nparam.* = 5", "f:2: \"*\" cannot be the name of a parameter"},
		{"[watch:a]\nparam.A-b_c.9 = 5", ""},
		{"[watch:a]\nsettle = 1s\nsettle = 1s",
			"f:3: settle: given twice, first at f:2; it takes one value"},
		{"[watch:a]\nparam.x = 1\nparam.y = 2\nparam.x = 3",
			"f:4: param.x: given twice, first at f:2"},
		{"[watch:a]\nsettle = x\nsettle = 1s", "f:2: settle: \"x\" is not a duration"},
		{"[nosuch]\nkey = 1\nkey = 2",
			"f:1: unknown section [nosuch]\nf:2: unknown section\nf:3: unknown section"},
		{"[watch:a]\npath_map = /a => /b\npath_map = /a/ => /c",
			"f:3: path_map: there is a rule for /a already"},
		{"[watch:a]\npath_map = none\npath_map = /a => /c",
			"f:3: path_map: none says that there is no rule"},
		{"[watch:a]\npath_map = /a => /c\npath_map = none",
			"f:3: path_map: none says that there is no rule"},
		{"[watch:a]\npath_map = /a", "f:2: path_map must read \"LOCAL => REMOTE\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf *c = conf_new();
		struct conf_mistakes m = {.n = 0};

		feed(c, rows[i].text, &m);
		expect_mistakes(&m, rows[i].told, rows[i].text);
		conf_mistakes_done(&m);
		conf_free(c);
	}
}

/* ---- defaults of interface.md ---- */

static void test_defaults(void **state)
{
	struct conf *c = good("[workspace]\n[watch:w]\n[watch:j]\njob_type = jar\n");
	const struct conf_workspace *ws = c->workspaces[0];
	const struct conf_watch *w = c->watches[0], *jar = c->watches[1];

	(void)state;
	assert_string_equal(c->service.state_directory, "/var/lib/brickwatch");
	assert_string_equal(c->service.runtime_directory, "/run/brickwatch");
	assert_int_equal(c->service.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c->service.durability, CONF_DURABILITY_POWER);
	assert_int_equal(c->service.forget_gone_after_us, 90 * DAY);
	assert_null(c->service.metrics_file);
	assert_string_equal(c->events.file, "/var/log/brickwatch/events.jsonl");
	assert_int_equal(c->events.max_size_bytes, 64 * MIB);
	assert_int_equal(c->events.max_age_us, DAY);
	assert_int_equal(c->events.keep_for_us, 90 * DAY);
	assert_int_equal(c->events.keep_size_bytes, 4 * GIB);
	assert_int_equal(c->events.compress, CONF_COMPRESS_GZIP);
	assert_true(c->events.rejected);
	assert_int_equal(ws->auth, CONF_AUTH_NONE);
	assert_string_equal(ws->tls_min, "1.2");
	assert_string_equal(ws->api_version, "2.2");
	assert_int_equal(ws->connect_timeout_us, 10 * S);
	assert_int_equal(ws->request_timeout_us, 60 * S);
	assert_int_equal(ws->rate.count, 5);
	assert_int_equal(ws->rate.per_us, S);
	assert_int_equal(ws->burst, 20);
	assert_int_equal(ws->max_requests, 8);
	assert_int_equal(ws->retry_for_us, DAY);
	assert_int_equal(w->job_type, CONF_JOB_JOB);
	assert_int_equal(w->param.n, 1);
	assert_string_equal(w->param.items[0].key, "path");
	assert_string_equal(w->param.items[0].value, "${uri}");
	assert_int_equal(w->arg.n, 0);
	assert_int_equal(jar->param.n, 0);
	expect_list(&jar->arg, "<${uri}>");
	assert_true(w->queue && w->recursive && w->ends);
	assert_false(w->follow_symlinks || w->hidden || w->verify || w->paused || w->path_map_none ||
		     w->settle_given);
	assert_int_equal(w->method, CONF_METHOD_AUTO);
	assert_int_equal(w->poll_interval_us, 10 * S);
	assert_int_equal(w->rescan_us, 600 * S);
	assert_int_equal(w->complete, CONF_COMPLETE_AUTO);
	assert_int_equal(w->settle_closed_us, S);
	assert_int_equal(w->settle_quiet_us, 30 * S);
	assert_int_equal(w->type_bytes, MIB);
	assert_int_equal(w->type_deadline_us, S);
	assert_int_equal(w->min_size_bytes, 1);
	assert_int_equal(w->max_size_bytes, 0);
	assert_int_equal(w->existing, CONF_EXISTING_RUN);
	assert_int_equal(w->brake.count, 10000);
	assert_int_equal(w->brake.per_us, HOUR);
	assert_int_equal(w->version, CONF_VERSION_SIZE_MTIME);
	assert_int_equal(w->overdue_us, 2 * HOUR);
	assert_int_equal(w->on_failure, CONF_FAIL_DEAD_LETTER);
	assert_ptr_equal(w->workspace, ws);
	conf_free(c);
}

static void test_settle_given_is_both(void **state)
{
	struct conf *c = good("[watch:w]\nsettle = 0\n");

	(void)state;
	assert_true(c->watches[0]->settle_given);
	assert_int_equal(c->watches[0]->settle_closed_us, 0);
	assert_int_equal(c->watches[0]->settle_quiet_us, 0);
	conf_free(c);
}

static void test_resolve(void **state)
{
	struct conf *c = good(
		"[workspace:a]\nhost = https://A.example.COM:443/\ntoken_file = /t\n"
		"[workspace:b]\nclient_id = x\nclient_secret_file = /s\n"
		"[workspace:c]\nclient_id = x\nclient_secret_file = /s\nazure_tenant_id = t\n"
		"[workspace:d]\ntoken_file = /t\nusername = u\n"
		"[workspace:e]\noidc_token_file = /t\nclient_id = u\n"
		"[workspace:f]\nauth = azure-managed-identity\nclient_id = u\n"
		"[watch:w]\nworkspace = b\npath_map = /a => /1\npath_map = /a/b/c => /2\npath_map = / => /3\n"
		"path_map = /a/b => /4\n"
		"[watch:x]\n"
		"[watch:y]\njob_type = wheel\narg = a\n"
		"[watch:z]\njob_type = wheel\n");
	const struct conf_watch *w = c->watches[0];

	(void)state;
	assert_string_equal(c->workspaces[0]->host, "https://a.example.com");
	assert_string_equal(c->workspaces[0]->host_token, "a.example.com");
	assert_int_equal(c->workspaces[0]->auth, CONF_AUTH_TOKEN);
	assert_int_equal(c->workspaces[1]->auth, CONF_AUTH_OAUTH_M2M);
	assert_int_equal(c->workspaces[2]->auth, CONF_AUTH_AZURE_CLIENT_SECRET);
	assert_int_equal(c->workspaces[3]->auth, CONF_AUTH_NONE);
	assert_int_equal(c->workspaces[4]->auth, CONF_AUTH_OIDC);
	assert_int_equal(c->workspaces[5]->auth, CONF_AUTH_AZURE_MANAGED_IDENTITY);
	assert_ptr_equal(w->workspace, c->workspaces[1]);
	assert_null(c->watches[1]->workspace);
	assert_int_equal(w->path_map_n, 4);
	assert_string_equal(w->path_map[0].remote, "/2");
	assert_string_equal(w->path_map[1].remote, "/4");
	assert_string_equal(w->path_map[2].remote, "/1");
	assert_string_equal(w->path_map[3].remote, "/3");
	assert_int_equal(c->watches[2]->param.n, 0);
	assert_int_equal(c->watches[3]->param.n, 1);
	conf_free(c);
}

/* ---- hosts ---- */

static void test_hosts(void **state)
{
	static const struct {
		const char *text, *host, *token; /* NULL: refused, token is what the mistake says */
	} rows[] = {
		{"https://adb-1.7.azuredatabricks.net", "https://adb-1.7.azuredatabricks.net",
			"adb-1.7.azuredatabricks.net"},
		{"HTTPS://ADB-1.7.AzureDatabricks.Net/", "https://adb-1.7.azuredatabricks.net",
			"adb-1.7.azuredatabricks.net"},
		{"https://x.example///", "https://x.example", "x.example"},
		{"https://x.example:8443", "https://x.example:8443", "x.example:8443"},
		{"https://x.example:443", "https://x.example", "x.example"},
		{"https://x.example:0443", "https://x.example", "x.example"},
		{"https://x.example:80", "https://x.example:80", "x.example:80"},
		{"http://127.0.0.1", "http://127.0.0.1", "127.0.0.1:80"},
		{"http://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1:80"},
		{"http://127.1.2.3:8080/", "http://127.1.2.3:8080", "127.1.2.3:8080"},
		{"http://localhost:443", "http://localhost:443", "localhost"},
		{"http://LocalHost", "http://localhost", "localhost:80"},
		{"http://[::1]:9", "http://[::1]:9", "[::1]:9"},
		{"http://[0:0:0:0:0:0:0:1]", "http://[::1]", "[::1]:80"},
		{"https://[2001:DB8::0:1]", "https://[2001:db8::1]", "[2001:db8::1]"},
		{"https://10.0.0.1", "https://10.0.0.1", "10.0.0.1"},
		{"adb-1.azuredatabricks.net", NULL,
			"there is no scheme; write https://adb-1.azuredatabricks.net"},
		{"ftp://x.example", NULL, "only https:// is spoken here"},
		{"http://x.example", NULL, "http:// would send the credential in clear"},
		{"http://127.evil.example", NULL, "http:// would send"},
		{"http://localhost.example", NULL, "http:// would send"},
		{"http://127.0.0.1.example", NULL, "http:// would send"},
		{"http://128.0.0.1", NULL, "http:// would send"},
		{"http://[::2]", NULL, "http:// would send"},
		{"http://[::ffff:127.0.0.1]", NULL, "http:// would send"},
		{"http://127.1", NULL, "this is neither a host name nor an IPv4 address of four numbers"},
		{"http://2130706433", NULL, "this is neither"},
		{"http://0x7f.1", NULL, "this is neither"},
		{"http://127.0.0.0x1", NULL, "this is neither"},
		{"https://user@x.example", NULL, "no user name or password belongs here"},
		{"https://user:pw@x.example", NULL, "no user name or password belongs here"},
		{"http://127.0.0.1@x.example", NULL, "no user name or password belongs here"},
		{"http://127.0.0.1:80@x.example", NULL, "no user name or password belongs here"},
		{"http://127.0.0.1\\@x.example", NULL, "no user name or password belongs here"},
		{"https://x.example/?o=123456", NULL, "only scheme, name and port belong here"},
		{"https://x.example/api", NULL, "only scheme, name and port belong here"},
		{"https://x.example?o=1", NULL, "only scheme, name and port belong here"},
		{"https://x.example#a", NULL, "only scheme, name and port belong here"},
		{"https://x.example//x", NULL, "only scheme, name and port belong here"},
		{"https://", NULL, "the name of the host is missing"},
		{"https://:443", NULL, "the name of the host is missing"},
		{"https://x..example", NULL, "this is not the name of a host"},
		{"https://x.example.", NULL, "this is not the name of a host"},
		{"https://-x.example", NULL, "this is not the name of a host"},
		{"https://x y", NULL, "this is not the name of a host"},
		{"https://b\xc3\xbc"
		 "cher.example",
			NULL, "this is not the name of a host"},
		{"https://x.example:", NULL, "the port is a number from 1 to 65535"},
		{"https://x.example:0", NULL, "the port is a number"},
		{"https://x.example:65536", NULL, "the port is a number"},
		{"https://x.example:99999999999", NULL, "the port is a number"},
		{"https://x.example:8a", NULL, "the port is a number"},
		{"https://x.example:-1", NULL, "the port is a number"},
		{"https://[::1", NULL, "the bracket is not closed"},
		{"https://[::1]x", NULL, "the port is a number"},
		{"https://[::g]", NULL, "what stands in brackets is not an IPv6 address"},
		{"https://[]", NULL, "what stands in brackets is not an IPv6 address"},
		{"https://[fe80::1%eth0]", NULL, "what stands in brackets is not an IPv6 address"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		char *host = NULL, *token = NULL;
		int r = conf_host_parse(rows[i].text, &host, &token, &err);

		if ((r == 0) != (rows[i].host != NULL))
			fail_msg("%s: %d %s", rows[i].text, r, err.text);
		if (r == 0) {
			assert_string_equal(host, rows[i].host);
			assert_string_equal(token, rows[i].token);
			assert_int_equal(conf_host_is_loopback(host),
				strstr(host, "127.") || strstr(host, "localhost") || strstr(host, "[::1]"));
		} else {
			expect_lines(err.text, rows[i].token, rows[i].text);
		}
		free(host);
		free(token);
	}
}

static void test_clouds_of_azure(void **state)
{
	static const struct {
		const char *host, *authority;
	} rows[] = {
		{"https://adb-1.7.azuredatabricks.net", "https://login.microsoftonline.com"},
		{"https://adb-1.7.databricks.azure.us", "https://login.microsoftonline.us"},
		{"https://adb-1.7.databricks.azure.cn:8443", "https://login.partner.microsoftonline.cn"},
		{"https://azuredatabricks.net", NULL},
		{"https://adb-1.7.azuredatabricks.net.example", NULL},
		{"https://xazuredatabricks.net", NULL},
		{"https://dbc-1.cloud.databricks.com", NULL},
		{"http://127.0.0.1:80", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *found = conf_host_azure_authority(rows[i].host);

		if (rows[i].authority == NULL)
			assert_null(found);
		else
			assert_string_equal(found, rows[i].authority);
	}
}

static void test_proxies(void **state)
{
	static const struct {
		const char *text, *proxy; /* NULL: refused */
		const char *told;
	} rows[] = {
		{"http://proxy.example:3128", "http://proxy.example:3128", NULL},
		{"HTTPS://Proxy.Example:443/", "https://proxy.example:443", NULL},
		{"http://10.0.0.1:80", "http://10.0.0.1:80", NULL},
		{"http://[FD00::1]:3128", "http://[fd00::1]:3128", NULL},
		{"http://proxy.example", NULL, "the port of the proxy is missing"},
		{"proxy.example:3128", NULL, "there is no scheme; write http://proxy.example:3128"},
		{"socks5://proxy.example:1080", NULL, "a proxy begins with http:// or https://"},
		{"http://user:secret@proxy.example:3128", NULL,
			"no user name or password belongs here; see proxy_username and proxy_password_file"},
		{"user:secret@proxy.example:3128", NULL,
			"no user name or password belongs here; see proxy_username and proxy_password_file"},
		{"http://proxy.example:3128/path", NULL, "only scheme, name and port belong here"},
		{"http://proxy.example:0", NULL, "the port is a number from 1 to 65535"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		char *proxy = NULL;
		int r = conf_host_parse_proxy(rows[i].text, &proxy, &err);

		if ((r == 0) != (rows[i].proxy != NULL))
			fail_msg("%s: %d %s", rows[i].text, r, err.text);
		if (r == 0)
			assert_string_equal(proxy, rows[i].proxy);
		else
			expect_lines(err.text, rows[i].told, rows[i].text);
		assert_null(strstr(err.text, "secret"));
		free(proxy);
	}
}

static void test_host_label_lengths(void **state)
{
	char text[400] = "https://", *host = NULL, *token = NULL;

	(void)state;
	for (int i = 0; i < 64; i++)
		text[8 + i] = 'a';
	assert_int_equal(conf_host_parse(text, &host, &token, NULL), -EINVAL);
	for (int i = 0; i < 300; i++)
		text[8 + i] = i % 4 == 3 ? '.' : 'a';
	text[8 + 300 - 1] = 'a';
	assert_int_equal(conf_host_parse(text, &host, &token, NULL), -EINVAL);
	text[8 + 251] = '\0';
	assert_int_equal(conf_host_parse(text, &host, &token, NULL), 0);
	free(host);
	free(token);
}

/* ---- contradictions ---- */

#define WS "[workspace]\nhost = https://x.example\ntoken_file = /t\n"		 /* lines 1 to 3 */
#define N "[watch:w]\ndirectory = /d\npath_map = none\n"			 /* lines 4 to 6 */
#define W "[watch:w]\ndirectory = /d\njob_id = 5\npath_map = /d => /Volumes/d\n" /* lines 4 to 7 */
#define NOTE "[notify:n]\n"							 /* line 8, behind WS W */
#define HOOK "webhook = https://hooks.example/secret\n"
#define MAIL "mail_to = a@x.example\nmail_from = c@x.example\nsmtp = smtps://mail.example\n"

static const struct {
	const char *text, *told;
} check_rows[] = {
	{WS W, ""},
	/* all at once: what stands beside a mistake is judged nevertheless … */
	{WS "xx = 1\n[watch:w]\njob_id = 5\njob_name = x\nparam.a = ${foo}\npath_map = none\n",
		"f:4: unknown key \"xx\"\nf:5: [watch:w] has no directory\n"
		"f:7: job_id and job_name are both given\nf:8: param.a: "},
	{WS W "settle = soon\nmin_size = 10\nmax_size = 5\nmarker = x\n",
		"f:8: settle: \nf:10: max_size is smaller\nf:11: marker is of no use without"},
	{WS "proxy = http://p:1\nno_proxy = a b, ok, http://x\n" W,
		"f:5: no_proxy: \"a b\" \nf:5: no_proxy: \"http://x\": "},
	/* … and what only follows from it is not told */
	{WS "[watch:w]\ndirectroy = /d\njob_i = 5\npath_map = none\n",
		"f:5: unknown key \"directroy\"\nf:6: unknown key \"job_i\""},
	{"[workspace]\nhost = https://x.example\ntoken = dapi\n" W, "f:3: unknown key \"token\": a secret"},
	{"[worksapce]\nhost = https://x.example\n" W, "f:1: \nf:2: "},
	{WS "[wacth:w]\ndirectory = /d\n", "f:4: \nf:5: "},
	{WS "[workspace:a/b]\n" W "workspace = a\n", "f:4: "},
	{WS W "job_type = jarr\narg = x\n", "f:8: job_type: "},
	{WS W "complete = markr\nmarker = ${name}.ok\n", "f:8: complete: "},
	{WS W "complete = marker\nmarker = a\nmarker = b\n", "f:10: marker: given twice"},
	{WS W "min_size = x\nmax_size = 0.5\n", "f:8: min_size: \nf:9: max_size: "},
	{WS "proxy = nonsense\nproxy_username = u\nno_proxy = x\n" W, "f:4: proxy: "},
	{WS "connect_timeout = 20m\nrequest_timeout = x\n" W,
		"f:4: connect_timeout: \nf:5: request_timeout: "},
	{WS "request_timeout = 3s\nconnect_timeout = x\n" W, "f:5: connect_timeout: "},
	{WS "max_requests = x\n" W "max_requests = 200\n", "f:4: max_requests: "},
	{WS "tls_min = 1.4\ntls_max = 1.2\n" W, "f:4: tls_min: "},
	{"[workspace]\nhost = https://x.example\nauth = oicd\nclient_id = x\n" W, "f:3: auth: "},
	{"[workspace]\nhost = https://x.example\noidc_token_file = x\nclient_id = x\n" W,
		"f:3: oidc_token_file: "},
	{"[events]\nmax_size = 1TiB\nkeep_size = much\n" WS W, "f:3: keep_size: "},
	{WS W "directory = e\npath_map = /f => /g\n", "f:8: directory: "},
	{WS W WS "xx = 1\n", "f:8: [workspace] stands here a second time\nf:9: host: given twice\n"
			     "f:10: token_file: given twice\nf:11: unknown key"},
	{"", "there is no [workspace]\nthere is no [watch:NAME], so there is nothing to do"},
	{WS, "there is no [watch:NAME], so there is nothing to do"},
	{"[watch:w]\ndirectory = /d\njob_id = 5\npath_map = none\n", "there is no [workspace]"},
	/* workspace */
	{"[workspace]\n" W,
		"f:1: [workspace] has no host\nf:1: [workspace] has no credential: token_file is missing"},
	{"[workspace]\nhost = x.example\ntoken_file = x\n" W,
		"f:2: host: there is no scheme\nf:3: token_file: must be the absolute path"},
	{WS "auth = token\n" W, ""},
	{"[workspace]\nhost = https://x.example\nauth = token\n" W, "f:3: auth = token needs token_file"},
	{WS "username = u\n" W,
		"f:1: [workspace] has more than one kind of credential: token and basic; keep one"},
	{WS "client_id = u\nclient_secret_file = /s\n" W,
		"f:1: [workspace] has more than one kind of credential: token and oauth-m2m; keep one"},
	{WS "auth = token\nclient_id = u\n" W, "f:5: client_id does not belong to auth = token"},
	{WS "auth = basic\n" W,
		"f:3: token_file does not belong to auth = basic\n"
		"f:4: auth = basic needs username\nf:4: auth = basic needs password_file\n"
		"f:4: warning: Databricks took its last sign-in by user name and password on"},
	{"[workspace]\nhost = https://x.example\nusername = a:b\npassword_file = /p\n" W,
		"f:3: warning: Databricks took its last\nf:3: username cannot hold a colon"},
	{"[workspace]\nhost = https://x.example\nclient_id = u\n" W,
		"f:1: auth = oauth-m2m, as the keys given say, needs client_secret_file"},
	{"[workspace]\nhost = https://x.example\nazure_tenant_id = t\noidc_token_file = /t\n" W,
		"f:1: [workspace] has more than one kind of credential: azure-client-secret and oidc; keep "
		"one"},
	{"[workspace]\nhost = https://x.example\nauth = azure-managed-identity\n" W, ""},
	{"[workspace]\nhost = https://x.example\nazure_metadata_host = http://127.0.0.1:9\nclient_id = u\n" W,
		""},
	{"[workspace]\nhost = https://x.example\nazure_metadata_host = https://10.0.0.1\n" W,
		"f:3: azure_metadata_host must be an address of this machine"},
	{"[workspace]\nhost = https://x.example\nazure_metadata_host = http://169.254.169.254\n" W,
		"f:3: azure_metadata_host: must be an address of this machine, such as "},
	{"[workspace]\nhost = https://x.example\nprofile = p\n" W,
		"f:1: auth = profile, as the keys given say, needs config_file"},
	{"[workspace]\nhost = https://x.example\nprofile = p\nconfig_file = /c\n" W, ""},
	{"[workspace]\nhost = https://x.example\nprofile = p\nconfig_file = /c\nazure_metadata_host = "
	 "http://127.0.0.1:9\nazure_authority_host = https://login.example\n" W,
		""},
	{"[workspace]\nhost = https://x.example\noidc_token_file = /j\n" W, ""},
	{"[workspace]\nhost = https://x.example\noidc_token_file = /j\nclient_id = u\n" W, ""},
	{"[workspace]\nhost = https://x.azuredatabricks.net\nazure_tenant_id = t\nclient_id = u\n"
	 "client_secret_file = /s\n" W,
		""},
	{"[workspace]\nhost = https://x.example\nazure_tenant_id = t\nclient_id = u\nclient_secret_file = "
	 "/s\n" W,
		"f:3: the name of the host does not show its cloud; azure_authority_host says"},
	{"[workspace]\nhost = https://x.example\nazure_tenant_id = t\nclient_id = u\nclient_secret_file = "
	 "/s\nazure_authority_host = https://login.example\n" W,
		""},
	{"[workspace]\nhost = https://x.azuredatabricks.net\nazure_tenant_id = a/b\nclient_id = u\n"
	 "client_secret_file = /s\n" W,
		"f:3: azure_tenant_id is the id of a tenant or the name of its domain"},
	{WS "connect_timeout = 2m\n" W, "f:4: request_timeout is shorter than connect_timeout"},
	{WS "connect_timeout = 2m\nrequest_timeout = 90s\n" W,
		"f:5: request_timeout is shorter than connect_timeout"},
	{WS "connect_timeout = 60s\n" W, ""},
	{WS "rate = 20/s\n" W, ""},
	{WS "rate = 21/s\n" W,
		"f:4: warning: a workspace starts at most 20 runs a second for everyone together"},
	{"[workspace]\nhost = http://127.0.0.1:1\ntoken_file = /t\nrate = 1000000/s\n" W, ""},
	{WS "proxy_username = u\n" W, "f:4: proxy_username is of no use without proxy"},
	{WS "proxy = http://p:1\nproxy_username = u\nproxy_password_file = /p\n" W, ""},
	{WS "proxy = http://p:1\nproxy_password_file = /p\n" W,
		"f:5: proxy_password_file is of no use without proxy_username"},
	{WS "proxy = http://p:1\nproxy_username = u:v\n" W, "f:5: proxy_username cannot hold a colon"},
	{WS "proxy = http://p:1\nproxy_ca_file = /p\n" W,
		"f:5: proxy_ca_file is for a proxy that begins with https://"},
	{WS "proxy = https://p:1\nproxy_ca_file = /p\n" W, ""},
	{WS "no_proxy = a\n" W, "f:4: no_proxy is of no use without proxy"},
	{WS "proxy = http://p:1\nno_proxy = a.example, 10.0.0.0/8\n" W, ""},
	{WS "proxy = http://p:1\nno_proxy = a.example, .example\n" W,
		"f:5: warning: proxy is not used for https://x.example: no_proxy says so"},
	{WS "proxy = http://p:1\nno_proxy = a.example, *.example\n" W,
		"f:5: no_proxy: \"*.example\": write .example for all hosts beneath it"},
	{WS "proxy = p:1\n" W, "f:4: proxy: there is no scheme; write http://p:1"},
	{"[workspace]\nhost = http://127.0.0.1:1\ntoken_file = /t\nproxy = http://p:1\n" W,
		"f:4: warning: proxy is not used for http://127.0.0.1:1: only what is encrypted goes through "
		"it"},
	{WS "client_key = /k\n" W, "f:4: client_key is of no use without client_certificate"},
	{WS "client_certificate = /c\nclient_key = /k\nclient_key_password_file = credential:p\n" W, ""},
	{WS "tls_min = 1.2\n" W, ""},
	{WS "tls_min = 1.3\n" W, ""},
	{WS "tls_max = 1.2\ntls_min = 1.3\n" W, "f:4: tls_max is lower than tls_min"},
	{WS "tls_min = 1.3\nciphers = HIGH\n" W,
		"f:5: warning: ciphers is for TLS 1.2, which tls_min = 1.3 leaves out"},
	{WS "tls_max = 1.2\ntls13_ciphers = TLS_AES_128_GCM_SHA256\n" W,
		"f:5: warning: tls13_ciphers is for TLS 1.3, which tls_max = 1.2 leaves out"},
	{WS "[workspace:b]\nhost = https://y.example\ntoken_file = /t\n" W,
		"f:1: [workspace] needs a name because there is another one: [workspace:NAME]\n"
		"f:4: warning: [workspace:b] is used by no watch\nf:7: workspace is missing; there are "
		"several: b"},
	{"[workspace:one]\nhost = https://y.example\ntoken_file = /t\n[workspace:two]\nhost = "
	 "https://z.example\ntoken_file = /t\n" W "workspace = tow\n",
		"f:1: warning: [workspace:one] is used by no watch\nf:4: warning: [workspace:two] is used by "
		"no watch\n"
		"f:11: there is no [workspace:tow]; there are: one, two"},
	{"[workspace:production]\nhost = https://y.example\ntoken_file = /t\n" W "workspace = prodution\n",
		"f:1: warning: [workspace:production] is used by no watch\n"
		"f:8: there is no [workspace:prodution]; did you mean production?"},
	{WS W "workspace = other\n", "f:8: there is no [workspace:other]"},
	/* job */
	{WS "[watch:w]\ndirectory = /d\npath_map = none\n", "f:4: [watch:w] has no job_id"},
	{WS "[watch:w]\njob_id = 5\npath_map = none\n", "f:4: [watch:w] has no directory"},
	{WS "[watch:w]\ndirectory = d\njob_id = x\npath_map = y\n",
		"f:5: directory: \"d\" is not\nf:6: job_id: \"x\" is not\nf:7: path_map must read"},
	{WS W "job_name = x\n", "f:8: job_id and job_name are both given; keep one"},
	{WS N "job_name = x\n", ""},
	{WS "api_version = 2.0\n" N "job_name = x\njob_type = jar\n",
		"f:8: job_name cannot be looked up with api_version = 2.0; give job_id"},
	{WS W "job_type = notebook\nparam.a = 1\n", ""},
	{WS W "job_type = jar\narg = 1\n", ""},
	{WS W "job_type = jar\nparam.a = 1\n", "f:9: job_type = jar takes arg, not param.KEY"},
	{WS W "arg = 1\n", "f:8: job_type = job takes param.KEY, not arg"},
	{WS W "job_type = notebook\narg = 1\n", "f:9: job_type = notebook takes param.KEY, not arg"},
	{WS W "job_type = python\n", ""},
	{WS W "job_type = python\narg = a\narg = \xc3\xa9${uri}\n",
		"f:10: arg has other characters than ASCII, which the Jobs API does not take"},
	{WS W "job_type = spark_submit\narg = ${uri}\xc3\xa9\n", "f:9: arg has other characters than ASCII"},
	{WS W "job_type = wheel\narg = \xc3\xa9\n", "f:9: arg has other characters than ASCII"},
	{WS W "job_type = wheel\nparam.x = \xc3\xa9\n", ""},
	{WS W "job_type = jar\narg = \xc3\xa9\n", ""},
	{WS W "job_type = wheel\narg = 1\nparam.x = 1\n", "f:9: job_type = wheel takes either"},
	{WS W "job_type = spark_submit\n", ""},
	{WS W "job_type = sql\nparam.q = 1\n", ""},
	{WS "api_version = 2.0\n" W "job_type = jar\n", ""},
	{WS "api_version = 2.0\n" W,
		"f:5: warning: job_parameters came with version 2.1 of the Jobs API, and api_version is 2.0"},
	{WS "api_version = 2.0\n" W "job_type = sql\n", "f:9: warning: sql_params came with version 2.1"},
	{WS W "queue = no\n", ""},
	{WS W "only = a, +b+\n", ""},
	{WS W "only = a\nonly = +\n", "f:8: only: \"+\" is not the key of a task"},
	{WS W "only = b c\n", "f:8: only: \"b c\" is not the key of a task"},
	{WS "api_version = 2.1\n" W "only = a\n", "f:9: warning: only came with version 2.2"},
	{WS W "performance_target = STANDARD\n", ""},
	{WS W "performance_target = standard\n", "f:8: performance_target: \"standard\" is "},
	{WS "api_version = 2.1\n" W "performance_target = STANDARD\n",
		"f:9: warning: performance_target came with version 2.2"},
	/* templates */
	{WS W "param.a = ${uri} ${now} $$\n", ""},
	{WS W "param.a = ${urn}\n", "f:8: param.a: column 1: unknown ${urn}"},
	{WS W "param.a = x${uri\n", "f:8: param.a: column 2: "},
	{WS W "param.a = $\n", "f:8: param.a: column 1: a lone"},
	{WS W "param.a = \"\"\n", ""},
	{WS W "job_type = jar\narg = ${nothing}\n", "f:9: arg: column 1: unknown ${nothing}"},
	/* names */
	{WS W "include = *.csv, [\n", "f:8: include: "},
	{WS W "include = *.csv\nexclude = a//b\n", "f:9: exclude: "},
	{WS W "exclude = !*.csv\n",
		"f:8: exclude: \"!*.csv\": ! takes a pattern off the shipped list and works in ignore only"},
	{WS W "exclude = \\!*.csv\n", ""},
	{WS W "ignore = !*.tmp, *.wip\n", ""},
	{WS W "ignore = !*.tpm\n",
		"f:8: ignore: \"!*.tpm\" takes nothing off the shipped list, did you mean !*.tmp?"},
	{WS W "ignore = [\n", "f:8: ignore: "},
	{WS W "reject_names = globs, control\n", ""},
	{WS W "recursive = no\nhidden = yes\nfollow_symlinks = no\n", ""},
	{WS W "follow_symlinks = yes\n", ""},
	/* types */
	{WS W "types = @csv, text/*\nexclude_types = application/zip\n", ""},
	{WS W "types = csv\n", "f:8: types: "},
	{WS W "verify = no\n", ""},
	{WS W "verify = yes\n", ""},
	/* noticing and completing */
	{WS W "method = inotify\ncomplete = close\nrescan = 1s\nsettle = 0\n", ""},
	{WS W "method = poll\npoll_interval = 100ms\n", ""},
	{WS W "method = poll\ncomplete = close\n", "f:9: complete = close cannot be told with method = poll"},
	{WS W "complete = quiet\n", ""},
	{WS W "complete = marker\n", "f:8: complete = marker needs marker"},
	{WS W "complete = marker\nmarker = ${name}.ok\n", ""},
	{WS W "complete = marker\nmarker = /done/${relpath}\n", ""},
	{WS W "complete = marker\nmarker = ${uri}.ok\n",
		"f:9: marker cannot hold ${uri}, which is not known"},
	{WS W "complete = marker\nmarker = ${name}\n", "f:9: marker = ${name} is the file itself"},
	{WS W "complete = marker\nmarker = /done/all\n", "f:9: warning: marker is the same for all files"},
	{WS W "marker = ${name}.ok\n", "f:8: marker is of no use without complete = marker"},
	{WS W "marker = ${nam}.ok\n", "f:8: marker: column 1: unknown ${nam}\nf:8: marker is of no use"},
	{WS W "poll_interval = 10s\n", ""},
	{WS W "poll_interval = 10000ms\n", ""},
	{WS W "poll_interval = 99ms\n", "f:8: poll_interval: "},
	{WS W "poll_interval = 11s\nmethod = inotify\n",
		"f:8: warning: poll_interval is of no use with method = inotify"},
	/* the rest */
	{WS W "min_size = 10\nmax_size = 9\n", "f:9: max_size is smaller than min_size"},
	{WS W "min_size = 10\nmax_size = 10\n", ""},
	{WS W "existing = skip\nversion = name\nends = no\n", ""},
	{WS W "existing = hold\n", ""},
	{WS W "brake = off\noverdue = off\n", ""},
	{WS W "brake = 10000/h\noverdue = 120m\n", ""},
	{WS W "brake = 9/h\noverdue = 3h\n", ""},
	{WS W "on_failure = dead_letter\npaused = no\n", ""},
	{WS W "on_failure = discard\npaused = yes\n", ""},
	{WS W "on_failure = pause\n", ""},
	{WS W "max_requests = 4\nrate = 1/s\nsentinel = .in/mounted\n", ""},
	{WS W "sentinel = /x\n", "f:8: sentinel must be a name in the folder"},
	{WS W "sentinel = a/../x\n", "f:8: sentinel must be a name in the folder"},
	{WS W "sentinel = a/\n", "f:8: sentinel must be a name in the folder"},
	{WS W "max_requests = 9\n", "f:8: max_requests is more than the workspace's 8"},
	{WS W "[service]\nforget_gone_after = 2160h\n", ""},
	/* consumers */
	{WS W NOTE "on = start.failed, watch.*\n" HOOK, ""},
	{WS W NOTE "on = *\nwatch = w\n" HOOK, ""},
	{WS W NOTE HOOK, "f:8: [notify:n] has no on: which events?"},
	{WS W NOTE "on = run.*\n", "f:8: [notify:n] has no webhook and no mail_to"},
	{WS W NOTE "on = run.*\n" HOOK MAIL,
		"f:10: webhook and mail_to are both given; each takes a [notify:NAME] of its own"},
	{WS W NOTE HOOK "on = start.faild\n",
		"f:10: on: there is no event \"start.faild\"; did you mean start.failed?"},
	{WS W NOTE HOOK "on = files.*\n",
		"f:10: on: there is no event \"files.*\"; brickwatch-events(5) lists them"},
	{WS W NOTE HOOK "on = notify.dropped\n",
		"f:10: on: \"notify.dropped\": what is told about notifications"},
	{WS W NOTE HOOK "on = [\n", "f:10: on: "},
	{WS W NOTE "on = *\nwatch = v\n" HOOK, "f:10: there is no [watch:v]"},
	{WS W "[watch:orders]\ndirectory = /o\njob_id = 5\npath_map = none\n" NOTE
	      "on = *\nwatch = order\n" HOOK,
		"f:14: there is no [watch:order]; did you mean orders?"},
	{WS W NOTE "on = *\nwebhook = http://127.0.0.1:80/x?a=b&c\n", ""},
	{WS W NOTE "on = *\nwebhook = http://hooks.example/x\n", "f:10: webhook: "},
	{WS W NOTE "on = *\nwebhook = ftp://hooks.example/x\n", "f:10: webhook: "},
	{WS W NOTE "on = *\nwebhook = HTTPS://hooks.example/x\n",
		"f:10: webhook: begins with https://, in small"},
	{WS W NOTE "on = *\nwebhook = hooks.example/x\n", "f:10: webhook: is https://HOST/…, or the absolute "
							  "path of a file that holds such an address"},
	{WS W NOTE "on = *\nwebhook = https://user:secret@hooks.example/\n",
		"f:10: webhook: holds a user or password; give webhook_header"},
	{WS W NOTE "on = *\nwebhook = https://hooks.example/ä\n",
		"f:10: webhook: holds a character that an address cannot have"},
	{WS W NOTE "on = *\nwebhook = https://hooks.example/a#b\n", "f:10: webhook: holds a #"},
	{WS W NOTE "on = *\nwebhook = /etc/hook\n", ""},
	{WS W NOTE "on = *\nwebhook = credential:hook\n", ""},
	{WS W NOTE "on = *\n" HOOK "webhook_header = X-A: b\nwebhook_header = Authorization: Bearer x\n", ""},
	{WS W NOTE "on = *\n" HOOK "webhook_header = X-A\n", "f:11: webhook_header: a line is NAME: VALUE"},
	{WS W NOTE "on = *\n" HOOK "webhook_header = X A: b\n",
		"f:11: webhook_header: a line is NAME: VALUE"},
	{WS W NOTE "on = *\n" HOOK "webhook_header = host: b\n",
		"f:11: webhook_header: host is set by brickwatch itself"},
	{WS W NOTE "on = *\n" HOOK "webhook_body = {\"a\": ${run_id}, \"b\": \"${path}\"}\n", ""},
	{WS W NOTE "on = *\n" HOOK "webhook_body = {\"a\": ${run_idd}}\n", "f:11: webhook_body: "},
	{WS W NOTE "on = *\n" HOOK "webhook_body = {\"a\": }\n", "f:11: webhook_body: "},
	{WS W NOTE "on = *\n" HOOK "subject = x\n", "f:11: subject is of no use without mail_to"},
	{WS W NOTE "on = *\n" HOOK "digest = off\nretry_for = 1h\nrequest_timeout = 1s\n", ""},
	{WS W NOTE "on = *\n" HOOK "digest = 20\n", "f:11: digest: "},
	{WS W NOTE "on = *\n" MAIL, ""},
	{WS W NOTE "on = *\nmail_to = a@x.example\n",
		"f:10: mail_to is of no use without smtp\nf:10: mail_to is of no use without mail_from"},
	{WS W NOTE "on = *\n" MAIL
		   "smtp_username = u\nsmtp_password_file = /p\nsubject = ${type}\nbody = ${path}\n",
		""},
	{WS W NOTE "on = *\n" MAIL "smtp_username = u\n",
		"f:13: smtp_username is of no use without smtp_password_file"},
	{WS W NOTE "on = *\n" MAIL "subject = ${tpye}\n", "f:13: subject: "},
	{WS W NOTE "on = *\nmail_to = a@x.example, b\nmail_from = <c@x@y>\nsmtp = mail.example\n",
		"f:10: mail_to: \"b\" is not an address like ops@example.com or Night shift "
		"<ops@example.com>\n"
		"f:11: mail_from: \"<c@x@y>\" is not an address like ops@example.com or Night shift "
		"<ops@example.com>\n"
		"f:12: smtp is smtp://HOST[:PORT] or smtps://HOST[:PORT]"},
	{WS W NOTE "on = *\nmail_to = a@x.example\nmail_from = c@x.example\nsmtp = smtp://u:p@mail.example\n",
		"f:12: smtp holds a user or password"},
	{WS W NOTE "on = *\nmail_to = a@x.example\nmail_from = c@x.example\nsmtp = smtp://mail.example/x\n",
		"f:12: smtp is smtp://HOST[:PORT]"},
	/* path_map */
	{WS "[watch:w]\ndirectory = /d\njob_id = 5\n",
		"f:4: warning: [watch:w] has no path_map: jobs get local paths; path_map = none says that "
		"this is meant"},
	{WS "[watch:w]\ndirectory = /d\njob_id = 5\npath_map = none\n", ""},
	{WS "[watch:w]\ndirectory = /d\ndirectory = /e\njob_id = 5\npath_map = /d => /x\n",
		"f:8: warning: no path_map covers all of /e: jobs get local paths for the rest"},
	{WS "[watch:w]\ndirectory = /d\njob_id = 5\npath_map = /d/sub => /x\n",
		"f:7: warning: no path_map covers all of /d: jobs get local paths for the rest"},
	{WS W "path_map = /dd => /x\n",
		"f:7: warning: path_map of /dd is of no use: no directory of this watch is there"},
	{WS "[watch:w]\ndirectory = /d\njob_id = 5\npath_map = / => /x\n", ""},
	/* folders of our own, and the same folder twice */
	{WS "[watch:w]\ndirectory = /\njob_id = 5\npath_map = none\n",
		"f:5: the root directory cannot be watched"},
	{WS "[watch:w]\ndirectory = /var/lib\njob_id = 5\npath_map = none\n",
		"f:5: /var/lib holds state_directory /var/lib/brickwatch; own files must not be watched"},
	{WS "[watch:w]\ndirectory = /var/lib/brickwatch\njob_id = 5\npath_map = none\n",
		"f:5: /var/lib/brickwatch holds state_directory"},
	{WS "[watch:w]\ndirectory = /var/lib/brickwatch/in\njob_id = 5\npath_map = none\n",
		"f:5: /var/lib/brickwatch/in is inside of state_directory /var/lib/brickwatch"},
	{WS "[watch:w]\ndirectory = /var/lib/brickwatch2\njob_id = 5\npath_map = none\n", ""},
	{WS "[watch:w]\ndirectory = /run\njob_id = 5\npath_map = none\n",
		"f:5: /run holds runtime_directory /run/brickwatch"},
	{WS "[watch:w]\ndirectory = /var/log/brickwatch\njob_id = 5\npath_map = none\n",
		"f:5: /var/log/brickwatch holds the event log /var/log/brickwatch/events.jsonl"},
	{WS "[watch:w]\ndirectory = /var\njob_id = 5\npath_map = none\n",
		"f:5: /var holds state_\nf:5: /var holds the event log"},
	{WS W "[service]\nstate_directory = /d/state\n", "f:5: /d holds state_directory /d/state"},
	{WS W "[events]\nfile = /d/e.jsonl\n", "f:5: /d holds the event log /d/e.jsonl"},
	{WS W "[events]\nfile = /var/lib\n", "f:9: file = /var/lib is a directory of [service]"},
	{WS W "[events]\nkeep_size = 1MiB\n",
		"f:9: keep_size is smaller than max_size, so no rotated file could be kept"},
	{WS W "[events]\nmax_size = 5GiB\n", "f:9: keep_size is smaller than max_size"},
	{WS W "[events]\nmax_size = 4GiB\n", ""},
	{WS "[watch:w]\ndirectory = /d\ndirectory = /d/sub\njob_id = 5\npath_map = none\n",
		"f:5: directories /d and /d/sub overlap"},
	{WS "[watch:w]\ndirectory = /d\ndirectory = /d\njob_id = 5\npath_map = none\n",
		"f:5: directories /d and /d overlap"},
	{WS "[watch:w]\ndirectory = /d\ndirectory = /d/sub\njob_id = 5\npath_map = none\nrecursive = no\n",
		""},
	{WS W "[watch:v]\ndirectory = /d\njob_id = 5\npath_map = none\n",
		"f:9: [watch:w] and [watch:v] start the same job for the same files: /d and /d overlap"},
	{WS W "[watch:v]\ndirectory = /d/x\njob_id = 5\npath_map = none\n",
		"f:9: [watch:w] and [watch:v] start the same job"},
	{WS W "[watch:v]\ndirectory = /d/x\njob_id = 6\npath_map = none\n", ""},
	{WS W "[watch:v]\ndirectory = /dx\njob_id = 5\npath_map = none\n", ""},
	{WS W "recursive = no\n[watch:v]\ndirectory = /d/x\njob_id = 5\npath_map = none\n", ""},
	{WS W "[watch:v]\ndirectory = /d/x\njob_id = 5\npath_map = none\nrecursive = no\n",
		"f:9: [watch:w] and [watch:v] start the same"},
	{WS "[watch:v]\ndirectory = /d/x\njob_id = 5\npath_map = none\n" W,
		"f:9: [watch:v] and [watch:w] start the same job for the same files: /d/x and /d overlap"},
	{WS "[watch:v]\ndirectory = /d/x\njob_id = 5\npath_map = none\n" W "recursive = no\n", ""},
	{"[workspace:a]\nhost = https://x.example\ntoken_file = /t\n"
	 "[workspace:b]\nhost = https://X.example:443/\ntoken_file = /t\n"
	 "[watch:w]\ndirectory = /d\njob_id = 5\npath_map = none\nworkspace = a\n"
	 "[watch:v]\ndirectory = /d\njob_id = 5\npath_map = none\nworkspace = b\n",
		"f:13: [watch:w] and [watch:v] start the same job"},
	{"[workspace:a]\nhost = https://x.example\ntoken_file = /t\n"
	 "[workspace:b]\nhost = https://y.example\ntoken_file = /t\n"
	 "[watch:w]\ndirectory = /d\njob_id = 5\npath_map = none\nworkspace = a\n"
	 "[watch:v]\ndirectory = /d\njob_id = 5\npath_map = none\nworkspace = b\n",
		""},
};

static void test_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(check_rows); i++) {
		struct conf *c = conf_new();
		struct conf_mistakes m = {.n = 0};

		feed(c, check_rows[i].text, &m);
		conf_resolve(c);
		conf_check(c, &m);
		expect_mistakes(&m, check_rows[i].told, check_rows[i].text);
		conf_mistakes_done(&m);
		conf_free(c);
	}
}

/* ---- the table itself ---- */

static void test_schema_is_sound(void **state)
{
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const struct conf_key *k = &keys[i];
		bool number = k->type == CONF_TYPE_COUNT || k->type == CONF_TYPE_ID ||
			      k->type == CONF_TYPE_BYTES || k->type == CONF_TYPE_DURATION ||
			      k->type == CONF_TYPE_RATE || k->type == CONF_TYPE_SETTLE;
		bool words =
			k->type == CONF_TYPE_WORD || k->type == CONF_TYPE_CHOICE || k->type == CONF_TYPE_FLAG;

		assert_int_equal(conf_schema_index(k), i);
		assert_true(!k->min == !number && !k->max == !number);
		assert_true(!k->words == !words);
		assert_true(k->help && k->help[0] && strlen(k->help) < 80);
		assert_true(!k->def || !k->note);
		assert_true(!(k->flags & CONF_COMMA) || (k->flags & CONF_MULTI));
		if (k->type != CONF_TYPE_PARAM)
			assert_ptr_equal(conf_schema_find(k->kind, k->name), k);
		for (size_t j = 0; j < i; j++)
			assert_false(keys[j].kind == k->kind && strcmp(keys[j].name, k->name) == 0);
	}
	assert_ptr_equal(
		conf_schema_find(CONF_KIND_WATCH, "param.a.b"), conf_schema_find(CONF_KIND_WATCH, "param.x"));
	assert_null(conf_schema_find(CONF_KIND_WATCH, "param."));
	assert_null(conf_schema_find(CONF_KIND_SERVICE, "job_id"));
}

/* Keys of the interface that take several values, and those where a comma separates. */
static void test_multi_keys(void **state)
{
	static const char multi[] =
		" include exclude ignore types exclude_types reject_names on mail_to only directory "
		"path_map webhook_header arg no_proxy trace body ";
	static const char comma[] =
		" include exclude ignore types exclude_types reject_names on mail_to only no_proxy trace ";
	size_t n, multi_n = 0;
	const struct conf_key *keys = conf_schema_keys(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		char word[64];

		(void)snprintf(word, sizeof(word), " %s ", keys[i].name);
		assert_int_equal((keys[i].flags & CONF_MULTI) != 0, strstr(multi, word) != NULL);
		assert_int_equal((keys[i].flags & CONF_COMMA) != 0, strstr(comma, word) != NULL);
		multi_n += (keys[i].flags & CONF_MULTI) != 0;
	}
	assert_int_equal(multi_n, 16);
}

static void test_word_orders(void **state)
{
	(void)state;
	assert_string_equal(conf_auth_name(CONF_AUTH_NONE), "");
	assert_string_equal(conf_auth_name(CONF_AUTH_TOKEN), "token");
	assert_string_equal(conf_auth_name(CONF_AUTH_OAUTH_M2M), "oauth-m2m");
	assert_string_equal(conf_auth_name(CONF_AUTH_AZURE_CLIENT_SECRET), "azure-client-secret");
	assert_string_equal(conf_auth_name(CONF_AUTH_AZURE_MANAGED_IDENTITY), "azure-managed-identity");
	assert_string_equal(conf_auth_name(CONF_AUTH_OIDC), "oidc");
	assert_string_equal(conf_auth_name(CONF_AUTH_BASIC), "basic");
	assert_string_equal(conf_auth_name(CONF_AUTH_PROFILE), "profile");
	assert_string_equal(conf_job_type_name(CONF_JOB_JOB), "job");
	assert_string_equal(conf_job_type_name(CONF_JOB_NOTEBOOK), "notebook");
	assert_string_equal(conf_job_type_name(CONF_JOB_JAR), "jar");
	assert_string_equal(conf_job_type_name(CONF_JOB_PYTHON), "python");
	assert_string_equal(conf_job_type_name(CONF_JOB_WHEEL), "wheel");
	assert_string_equal(conf_job_type_name(CONF_JOB_SPARK_SUBMIT), "spark_submit");
	assert_string_equal(conf_job_type_name(CONF_JOB_SQL), "sql");
	assert_true(conf_job_type_is_list(CONF_JOB_JAR) && conf_job_type_is_list(CONF_JOB_PYTHON) &&
		    conf_job_type_is_list(CONF_JOB_SPARK_SUBMIT));
	assert_false(conf_job_type_is_list(CONF_JOB_JOB) || conf_job_type_is_list(CONF_JOB_NOTEBOOK) ||
		     conf_job_type_is_list(CONF_JOB_WHEEL) || conf_job_type_is_list(CONF_JOB_SQL));
}

static void test_words_become_enums(void **state)
{
	struct conf *c = good("[service]\nlog_level = error\ndurability = process\n[events]\ncompress = "
			      "none\nrejected = no\n"
			      "[watch:w]\nmethod = poll\ncomplete = marker\nexisting = hold\nversion = "
			      "name\non_failure = pause\n"
			      "reject_names = globs\n");
	const struct conf_watch *w = c->watches[0];

	(void)state;
	assert_int_equal(c->service.log_level, LOG_LEVEL_ERROR);
	assert_int_equal(c->service.durability, CONF_DURABILITY_PROCESS);
	assert_int_equal(c->events.compress, CONF_COMPRESS_NONE);
	assert_false(c->events.rejected);
	assert_int_equal(w->method, CONF_METHOD_POLL);
	assert_int_equal(w->complete, CONF_COMPLETE_MARKER);
	assert_int_equal(w->existing, CONF_EXISTING_HOLD);
	assert_int_equal(w->version, CONF_VERSION_NAME);
	assert_int_equal(w->on_failure, CONF_FAIL_PAUSE);
	assert_int_equal(w->reject_names, CONF_REJECT_GLOBS);
	conf_free(c);
}

/* ---- finding ---- */

static void test_watch_for_path(void **state)
{
	struct conf *c = good("[watch:a]\ndirectory = /d\n[watch:b]\ndirectory = /d/x\ndirectory = "
			      "/e\n[watch:c]\ndirectory = /d\n"
			      "[watch:e]\ndirectory = /d/x\ndirectory = /d\n");
	static const char *const order[] = {"b", "e", "a", "c"};
	static const char *const roots[] = {"/d/x", "/d/x", "/d", "/d"};
	size_t from = 0;
	const char *root = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		const struct conf_watch *w = conf_watch_for_path(c, "/d/x/y", &from, &root);

		assert_non_null(w);
		assert_string_equal(w->name, order[i]);
		assert_string_equal(root, roots[i]);
	}
	assert_null(conf_watch_for_path(c, "/d/x/y", &from, NULL));
	from = 0;
	assert_null(conf_watch_for_path(c, "/dx", &from, NULL));
	assert_string_equal(conf_watch_for_path(c, "/e", &from, &root)->name, "b");
	assert_string_equal(root, "/e");
	assert_ptr_equal(conf_watch_find(c, "c"), c->watches[2]);
	assert_null(conf_watch_find(c, "d"));
	conf_free(c);
}

static int count_entry(const struct conf_entry *e, void *arg)
{
	struct buf *b = arg;

	return buf_addf(b, "%s/%s;", e->section, e->key);
}

static int stop_at_once(const struct conf_entry *e, void *arg)
{
	(void)e;
	(*(int *)arg)++;
	return -7;
}

static void test_each_entry(void **state)
{
	struct conf *c = good("[service]\nlog_level = info\n[workspace]\ntoken_file = /t\n[watch:a]\nsettle "
			      "= 0\n[watch:ab]\nsettle = 1s\n");
	struct buf b = BUF_INIT(65536);
	int calls = 0;

	(void)state;
	assert_int_equal(conf_each_entry(c, "a", count_entry, &b), 0);
	assert_string_equal(buf_str(&b), "service/log_level;watch:a/settle;");
	buf_reset(&b);
	assert_int_equal(conf_each_entry(c, NULL, count_entry, &b), 0);
	assert_string_equal(
		buf_str(&b), "service/log_level;workspace/token_file;watch:a/settle;watch:ab/settle;");
	assert_int_equal(conf_each_entry(c, NULL, stop_at_once, &calls), -7);
	assert_int_equal(calls, 1);
	buf_done(&b);
	conf_free(c);
}

/* What a process gets over the wire makes the same values: entries are raw. */
static int hand_on(const struct conf_entry *e, void *arg)
{
	struct conf_mistakes m = {.n = 0};

	conf_set(arg, e->section, e->key, e->value, e->file, e->line, &m);
	assert_int_equal(m.n, 0);
	return 0;
}

static void test_entries_make_the_same_configuration(void **state)
{
	struct conf *c = good(
		"[watch:a]\ninclude = \"a,b\"\ninclude = c,d\nparam.x = \"  q\"\npath_map = /a => s3://b\n"
		"directory = //a//\n");
	struct conf *other = conf_new();
	char hash[65], other_hash[65];

	(void)state;
	assert_int_equal(conf_each_entry(c, "a", hand_on, other), 0);
	conf_resolve(other);
	expect_list(&other->watches[0]->include, "<a,b><c><d>");
	expect_list(&other->watches[0]->directory, "</a>");
	assert_string_equal(other->watches[0]->param.items[0].value, "  q");
	assert_string_equal(other->watches[0]->path_map[0].remote, "s3://b");
	conf_hash(c, hash);
	conf_hash(other, other_hash);
	assert_string_equal(hash, other_hash);
	conf_free(other);
	conf_free(c);
}

/* ---- hash ---- */

static void hash_of(const char *text, char out[65])
{
	struct conf *c = good(text);

	conf_hash(c, out);
	conf_free(c);
}

static void test_hash(void **state)
{
	static const char *const others[] = {"", "[watch:a]\n", "[watch:a]\nsettle = 1s\n",
		"[watch:a]\nsettle = 0\nrescan = 1m\n", "[watch:b]\nsettle = 0\n"};
	char base[65], other[65];

	(void)state;
	hash_of("[watch:a]\nsettle = 0\n", base);
	assert_int_equal(strlen(base), 64);
	assert_int_equal(strspn(base, "0123456789abcdef"), 64);
	hash_of("\n\n[watch:a]\n\nsettle = 0\n", other); /* other lines, the same configuration */
	assert_string_equal(base, other);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		hash_of(others[i], other);
		assert_string_not_equal(base, other);
	}
}

/* ---- mistakes ---- */

static void test_mistakes_in_file_order(void **state)
{
	struct conf_mistakes m = {.n = 0};

	(void)state;
	conf_mistake_add(&m, false, "b", 9, "nine");
	conf_mistake_add(&m, true, NULL, 0, "nowhere");
	conf_mistake_add(&m, false, "a", 1, "one %d", 1);
	conf_mistake_add(&m, true, "b", 2, "two\n\x1b[31m\xff");
	conf_mistake_add(&m, false, "b", 9, "nine again");
	conf_mistake_add(&m, false, "c", 0, "whole file");
	expect_mistakes(&m,
		"b:2: warning: two\\n\\x1b[31m\\xff\nb:9: nine\nb:9: nine again\na:1: one 1\nc: whole "
		"file\nwarning: nowhere",
		"order");
	assert_int_equal(m.errors, 4);
	conf_mistakes_done(&m);
	assert_int_equal(m.n, 0);
}

static void test_mistakes_are_bounded(void **state)
{
	struct conf_mistakes m = {.n = 0};
	struct buf b = BUF_INIT(1024 * 1024);

	(void)state;
	for (int i = 0; i < CONF_MISTAKES_MAX + 5; i++)
		conf_mistake_add(&m, false, "f", i + 1, "x");
	assert_int_equal(m.n, CONF_MISTAKES_MAX);
	assert_int_equal(m.errors, CONF_MISTAKES_MAX + 5);
	conf_mistakes_print(&m, &b);
	assert_non_null(strstr(buf_str(&b), "\nand 5 more\n"));
	buf_done(&b);
	conf_mistakes_done(&m);
}

/* ---- printing ---- */

static const char *json_value(const struct json *root, const char *section, const char *key, const char *what)
{
	const struct json *k = json_get(json_get(root, section), key);

	assert_non_null(k);
	return json_get_text(k, what);
}

static void test_print_json(void **state)
{
	struct conf *c = good("[workspace]\nhost = https://X.example/\ntoken_file = credential:t\n"
			      "[watch:w]\ndirectory = /a//b\njob_id = 9223372036854775807\ninclude = a, "
			      "b\ninclude = \"c,d\"\nqueue = no\n"
			      "param.k = ${uri}\n");
	struct buf b = BUF_INIT(1024 * 1024);
	struct err err = ERR_INIT;
	int64_t id;

	(void)state;
	conf_print(c, true, &b);
	struct json *root = json_parse(buf_str(&b), b.len, &err);
	assert_non_null(root);
	assert_string_equal(json_value(root, "workspace", "host", "value"), "https://x.example");
	assert_string_equal(json_value(root, "workspace", "host", "origin"), "f:2");
	assert_string_equal(json_value(root, "workspace", "auth", "value"), "token");
	assert_string_equal(json_value(root, "workspace", "auth", "origin"), "default");
	assert_string_equal(json_value(root, "workspace", "token_file", "value"), "credential:t");
	assert_string_equal(json_value(root, "service", "log_level", "value"), "info");
	const struct json *w = json_get(root, "watch:w");
	assert_int_equal(json_get_i64(json_get(w, "job_id"), "value", &id), 0);
	assert_true(id == INT64_MAX);
	assert_true(json_is_number(json_get(json_get(w, "job_id"), "value")));
	assert_true(json_is_false(json_get(json_get(w, "queue"), "value")));
	const struct json *include = json_get(json_get(w, "include"), "value");
	assert_int_equal(json_count(include), 3);
	assert_string_equal(json_text(json_at(include, 2)), "c,d");
	assert_string_equal(json_text(json_at(json_get(json_get(w, "include"), "origin"), 2)), "f:8");
	assert_string_equal(json_text(json_at(json_get(json_get(w, "directory"), "value"), 0)), "/a/b");
	assert_true(json_is_null(json_get(json_get(w, "max_size"), "value")));
	assert_string_equal(json_value(root, "watch:w", "param.k", "value"), "${uri}");
	json_free(root);
	buf_done(&b);
	conf_free(c);
}

static void test_print_ini(void **state)
{
	struct conf *c = good("[service]\nlog_level = debug\n[watch:w]\ninclude = \"a,b\"\ninclude = c, "
			      "d\nparam.x = \" y ; z\"\n");
	struct buf b = BUF_INIT(1024 * 1024);

	(void)state;
	conf_print(c, false, &b);
	assert_non_null(strstr(buf_str(&b),
		"[service]\n# f:2\nlog_level = debug\n# default\nstate_directory = /var/lib/brickwatch\n"));
	assert_non_null(strstr(buf_str(&b), "# f:4\ninclude = \"a,b\"\n# f:5\ninclude = c\ninclude = d\n"));
	assert_non_null(strstr(buf_str(&b), "\nparam.x = \" y ; z\"\n"));
	assert_non_null(
		strstr(buf_str(&b), "\n# settle: 1s after evidence that the writer closed, else 30s\n"));
	assert_null(strstr(buf_str(&b), "\nsettle"));
	buf_done(&b);
	conf_free(c);
}

/* What may be secret is shown as far as its host or its name, and cannot be read back. */
static void test_print_hides_secrets(void **state)
{
	static const char text[] =
		"[notify:n]\non = *\nwebhook = https://hooks.example:8443/SECRET?a=SECRET\n"
		"webhook_header = X-Key: SECRET\nwebhook_body = {\"key\": \"SECRET\"}\n"
		"webhook_secret_file = /etc/key\n[notify:file]\nwebhook = /etc/hook\n";

	(void)state;
	for (int json = 0; json < 2; json++) {
		struct conf *c = conf_new();
		struct conf_mistakes m = {.n = 0};
		struct buf b = BUF_INIT(65536);

		feed(c, text, &m);
		conf_resolve(c);
		conf_print(c, json, &b);
		assert_null(strstr(buf_str(&b), "SECRET"));
		assert_non_null(strstr(buf_str(&b), "https://hooks.example:8443/..."));
		assert_non_null(strstr(buf_str(&b), "X-Key: ..."));
		if (!json) {
			assert_non_null(strstr(buf_str(&b), "\nwebhook_secret_file = /etc/key\n"));
			assert_non_null(strstr(buf_str(&b), "\nwebhook = /etc/hook\n"));
			assert_non_null(strstr(buf_str(&b), "\n# not shown: webhook_body = ...\n"));
			assert_non_null(strstr(buf_str(&b), "\ndigest = 20/10m\n"));
			assert_non_null(strstr(buf_str(&b), "\ndigest = off\n"));
		}
		conf_mistakes_done(&m);
		buf_done(&b);
		conf_free(c);
	}
}

/* ---- the manual ---- */

static void read_source(const char *path, struct buf *b)
{
	const char *top = getenv("srcdir"); /* set by `make check` */
	CLEANUP_FREE char *whole = fs_join(top ? top : ".", path);
	struct err err = ERR_INIT;

	if (fs_read_file(whole, 1024 * 1024, b, &err) < 0)
		fail_msg("%s", err.text);
}

/* brickwatch.ini(5) lists the patterns of the shipped list, each on a line, in their order and with their
 * version. */
static void test_manual_has_the_shipped_list(void **state)
{
	struct buf b = BUF_INIT(1024 * 1024), version = BUF_INIT(256), listed = BUF_INIT(65536),
		   shipped = BUF_INIT(65536);
	bool literal = false;

	(void)state;
	read_source("man/brickwatch.ini.5", &b);
	const char *section = strstr(buf_str(&b), "\n.Sh IGNORED NAMES\n");
	assert_non_null(section);
	(void)buf_addf(&version, "\nVersion %d of the shipped list.\n", rules_shipped_ignore_version());
	assert_non_null(strstr(section, buf_str(&version)));
	for (const char *p = section + 1; strncmp(p, ".Sh FILES", 9) != 0; p += strcspn(p, "\n") + 1) {
		bool macro = p[0] == '.';

		if (literal && !macro)
			(void)buf_add(&listed, p[0] == '\\' ? p + 2 : p,
				strcspn(p, "\n") + 1 - (p[0] == '\\' ? 2 : 0));
		if (macro)
			literal = strncmp(p, ".Bd", 3) == 0;
	}
	for (const char *const *p = rules_shipped_ignore(); *p; p++)
		(void)buf_addf(&shipped, "%s\n", *p);
	assert_string_equal(buf_str(&listed), buf_str(&shipped));
	buf_done(&b);
	buf_done(&version);
	buf_done(&listed);
	buf_done(&shipped);
}

/* ---- anything at all ---- */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void test_any_bytes(void **state)
{
	size_t n;
	const struct conf_key *keys = conf_schema_keys(&n);
	static const char *const sections[] = {
		"service", "events", "workspace", "workspace:b", "watch:w", "watch:v", "notify:n", "x", ""};
	static const char alphabet[] = "\"\\,;#$${}[]!*?/.=>: \t\n\xff\xc3\xa4"
				       "0123456789smhdKMGiB@-+abxoff";
	uint32_t seed = 20260101;
	int rounds = patience_turns(300);

	(void)state;
	for (int round = 0; round < rounds; round++) {
		struct conf *c = conf_new();
		struct conf_mistakes m = {.n = 0};
		struct buf b = BUF_INIT(16 * 1024 * 1024);
		char hash[65];

		for (int i = 0; i < 60; i++) {
			char value[40] = "";
			size_t len = next_random(&seed) % (sizeof(value) - 1);

			for (size_t j = 0; j < len; j++)
				value[j] = alphabet[next_random(&seed) % (sizeof(alphabet) - 1)];
			if (next_random(&seed) % 3 == 0)
				value[0] = '/';
			conf_set(c, sections[next_random(&seed) % ARRAY_SIZE(sections)],
				keys[next_random(&seed) % n].name, value, "f", i, &m);
			conf_set(c, "watch:w", "param.p", value, "f", i, &m);
		}
		conf_resolve(c);
		conf_check(c, &m);
		conf_mistakes_print(&m, &b);
		buf_reset(&b);
		conf_print(c, false, &b);
		buf_reset(&b);
		conf_print(c, true, &b);
		struct json *root = json_parse(buf_str(&b), b.len, NULL);
		assert_non_null(root);
		json_free(root);
		conf_hash(c, hash);
		buf_done(&b);
		conf_mistakes_done(&m);
		conf_free(c);
	}
}

static void test_watch_differs(void **state)
{
	static const char base[] = "[service]\nlog_level = info\n[workspace]\nhost = https://h.example\n"
				   "token_file = /t\n[watch:a]\ndirectory = /a\njob_id = 1\n[watch:ab]\n"
				   "directory = /ab\njob_id = 1\n";
	static const struct {
		const char *from, *to;
		bool differs;
	} rows[] = {
		{"log_level = info", "log_level = info", false},
		{"log_level = info", "log_level = debug", true},
		{"log_level = info", "log_level = info\ntrace = http", true},
		{"token_file = /t", "token_file = /u", false}, /* no watcher sees it */
		{"directory = /a\n", "directory = /b\n", true},
		{"directory = /a\n", "directory = /a\nsettle = 5s\n", true},
		{"directory = /ab\n", "directory = /ac\n", false}, /* another watch's */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *at = strstr(base, rows[i].from);
		char *text =
			mem_printf("%.*s%s%s", (int)(at - base), base, rows[i].to, at + strlen(rows[i].from));
		struct conf *a = good(base), *b = good(text);

		assert_int_equal(conf_watch_differs(a, b, "a"), rows[i].differs);
		assert_int_equal(conf_watch_differs(b, a, "a"), rows[i].differs);
		conf_free(a);
		conf_free(b);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bad_value_leaves_the_default),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_list_faults_leave_the_list),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_entries_are_bounded),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_settle_given_is_both),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_clouds_of_azure),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_host_label_lengths),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_schema_is_sound),
		cmocka_unit_test(test_multi_keys),
		cmocka_unit_test(test_word_orders),
		cmocka_unit_test(test_words_become_enums),
		cmocka_unit_test(test_watch_for_path),
		cmocka_unit_test(test_each_entry),
		cmocka_unit_test(test_entries_make_the_same_configuration),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_watch_differs),
		cmocka_unit_test(test_mistakes_in_file_order),
		cmocka_unit_test(test_mistakes_are_bounded),
		cmocka_unit_test(test_print_json),
		cmocka_unit_test(test_print_ini),
		cmocka_unit_test(test_print_hides_secrets),
		cmocka_unit_test(test_manual_has_the_shipped_list),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
