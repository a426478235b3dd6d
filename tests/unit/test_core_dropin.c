/* core/dropin: what the unit needs for a configuration. How systemd reads it is the business of
 * tests/scenario/test_dropin.py. */
#include "core/dropin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define WS "workspace", "host", "https://x.example"

static void set(struct conf *c, const char *section, const char *key, const char *value)
{
	struct conf_mistakes m = {0};

	conf_set(c, section, key, value, "f", 1, &m);
	assert_int_equal(m.errors, 0);
	conf_mistakes_done(&m);
}

static struct buf text;
static size_t bad;

/* The drop-in for pairs of section, key, value. */
static const char *dropin(
	const char *const (*entries)[3], size_t n, const struct dropin_denied *denied, size_t denied_n)
{
	struct dropin_question q = {.config = "/etc/brickwatch/brickwatch.ini",
		.usual = "/etc/brickwatch/brickwatch.ini",
		.user = "brickwatch",
		.looked = true,
		.denied = denied,
		.denied_n = denied_n};
	struct conf *c = conf_new();

	for (size_t i = 0; i < n; i++)
		set(c, entries[i][0], entries[i][1], entries[i][2]);
	conf_resolve(c);
	q.conf = c;
	buf_done(&text);
	buf_init(&text, DROPIN_BYTES);
	bad = dropin_print(&q, &text);
	conf_free(c);
	return buf_str(&text);
}

#define DROPIN(...)                                                                                          \
	dropin((const char *const[][3]){__VA_ARGS__}, ARRAY_SIZE(((const char *const[][3]){__VA_ARGS__})),   \
		NULL, 0)

static void assert_has(const char *line)
{
	CLEANUP_FREE char *whole = mem_printf("\n%s\n", line);

	if (!strstr(buf_str(&text), whole))
		fail_msg("there is no line %s in\n%s", line, buf_str(&text));
}

static void assert_lacks(const char *word)
{
	if (strstr(buf_str(&text), word))
		fail_msg("there is %s in\n%s", word, buf_str(&text));
}

static void a_usual_configuration_needs_only_its_mounts(void **state)
{
	(void)state;
	(void)DROPIN({"watch:a", "directory", "/srv/a"}, {"watch:a", "marker", "/srv/done/${relpath}.ok"},
		{"watch:b", "directory", "/srv/a"}, {"workspace", "token_file", "/etc/brickwatch/token"});
	assert_int_equal(bad, 0);
	assert_has("RequiresMountsFor=\"/srv/a\"");
	assert_has("RequiresMountsFor=\"/srv/done\"");
	assert_lacks("RequiresMountsFor=\"/srv/a\"\nRequiresMountsFor=\"/srv/a\"");
	assert_lacks("/etc/brickwatch\"");
	assert_lacks("ReadWritePaths");
	assert_lacks("ProtectHome");
	assert_lacks("PrivateTmp");
	assert_lacks("LoadCredential");
	assert_lacks("RuntimeDirectory");
	assert_lacks("/var/lib");
}

static void markers_lead_where_their_fixed_part_ends(void **state)
{
	(void)state;
	(void)DROPIN({"watch:a", "directory", "/srv/a"}, {"watch:a", "marker", "/m/x-${name}"},
		{"watch:b", "directory", "/srv/b"}, {"watch:b", "marker", "${name}.done"},
		{"watch:c", "directory", "/srv/c"}, {"watch:c", "marker", "/${name}"},
		{"watch:d", "directory", "/srv/d"}, {"watch:d", "marker", "/markers/all.done"});
	assert_has("RequiresMountsFor=\"/m\"");
	assert_has("RequiresMountsFor=\"/markers\"");
	assert_lacks("x-");
	assert_lacks("=\"\"");
	assert_lacks("=\"/\"");
}

static void moved_directories_are_written_to(void **state)
{
	(void)state;
	(void)DROPIN({"service", "state_directory", "/data/state"}, {"events", "file", "/data/log/e.jsonl"},
		{"service", "runtime_directory", "/run/bw2"}, {"watch:a", "directory", "/data/log/in"});
	assert_has("ReadWritePaths=\"/data/state\"");
	assert_has("ReadWritePaths=\"/data/log\"");
	assert_has("RequiresMountsFor=\"/data/state\"");
	assert_has("RuntimeDirectory=bw2");
	/* a drop folder below one of them stays read-only */
	assert_has("ReadOnlyPaths=\"/data/log/in\"");
	(void)DROPIN({"service", "runtime_directory", "/data/run"});
	assert_has("ReadWritePaths=\"/data/run\"");
	(void)DROPIN({"service", "state_directory", "/var/lib/brickwatch/two"});
	assert_lacks("ReadWritePaths");
}

static void what_the_unit_hides_is_shown(void **state)
{
	(void)state;
	(void)DROPIN({"watch:a", "directory",
		"/home"
		"/alice/drop"});
	assert_has("ProtectHome=read-only");
	assert_lacks("PrivateTmp");
	(void)DROPIN({"watch:a", "directory", "/homes/drop"}, {"watch:b", "directory", "/var/tmp/x"});
	assert_lacks("ProtectHome");
	assert_has("PrivateTmp=no");
	/* a key is read, too */
	(void)DROPIN({"watch:a", "directory", "/srv/a"}, {"workspace", "ca_file",
								 "/root"
								 "/ca.pem"});
	assert_has("ProtectHome=read-only");
}

static void credentials_are_loaded_once(void **state)
{
	(void)state;
	(void)DROPIN({"workspace:a", "token_file", "credential:tok"},
		{"workspace:b", "token_file", "credential:tok"},
		{"workspace:b", "proxy_password_file", "credential:proxy-1"});
	assert_has("LoadCredential=tok:/etc/brickwatch/tok\nLoadCredential=proxy-1:/etc/brickwatch/proxy-1");
	assert_int_equal(bad, 0);
	(void)DROPIN({"workspace:a", "token_file", "credential:a:b"});
	assert_lacks("LoadCredential=a");
	assert_int_equal(bad, 1);
}

static void odd_names_are_quoted_or_told(void **state)
{
	(void)state;
	(void)DROPIN(
		{"watch:a", "directory", "/srv/100% of \\ \"all\""}, {"watch:b", "directory", "/srv/\xff"});
	assert_has("RequiresMountsFor=\"/srv/100%% of \\\\ \\\"all\\\"\"");
	assert_has("# /srv/\\xff cannot stand in a unit: its name has bytes that systemd does not take");
	assert_int_equal(bad, 1);
}

static void paths_that_cannot_be_written_add_nothing(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(dropin_add_path(&b, "/a\nb"), -EINVAL);
	assert_int_equal(dropin_add_path(&b, "/a\x7f"), -EINVAL);
	assert_int_equal(dropin_add_path(&b, "/a\xc3"), -EINVAL);
	assert_int_equal(b.len, 0);
	assert_int_equal(dropin_add_path(&b, "/\xc3\xbc"), 0);
	assert_string_equal(buf_str(&b), "\"/\xc3\xbc\"");
}

static void who_may_not_read_is_told(void **state)
{
	static const struct dropin_denied denied[] = {{"/srv/a", "uploads", false},
		{"/srv/b\x1b", NULL, false}, {"/mnt", NULL, true}, {"/m", "g", true}};

	(void)state;
	(void)dropin(NULL, 0, denied, ARRAY_SIZE(denied));
	assert_has("# Only its group may read /srv/a:\n#SupplementaryGroups=uploads");
	assert_has("# brickwatch may not read /srv/b\\x1b: setfacl -m u:brickwatch:rx, or another mode");
	assert_has("# brickwatch may not pass /mnt: setfacl -m u:brickwatch:x, or another mode");
	assert_has("# Only its group may pass /m:\n#SupplementaryGroups=g");
	assert_lacks("was not looked at");
}

static int release(void **state)
{
	(void)state;
	buf_done(&text);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_usual_configuration_needs_only_its_mounts),
		cmocka_unit_test(markers_lead_where_their_fixed_part_ends),
		cmocka_unit_test(moved_directories_are_written_to),
		cmocka_unit_test(what_the_unit_hides_is_shown),
		cmocka_unit_test(credentials_are_loaded_once),
		cmocka_unit_test(odd_names_are_quoted_or_told),
		cmocka_unit_test(paths_that_cannot_be_written_add_nothing),
		cmocka_unit_test(who_may_not_read_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, release);
}
