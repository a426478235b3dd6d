#include "core/noproxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static void what_is_an_entry(void **state)
{
	static const char *const good[] = {"*", "localhost", "example.com", ".example.com", "EXAMPLE.com.",
		"a_b-c", "10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::1", "[::1]", "fd00::/8", "[fd00::]/8",
		"2001:db8::1/128"};
	static const char *const bad[] = {"", ".", "..com", "a..b", "*.example.com", "http://example.com",
		"example.com:443", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "fd00::/129",
		"[::1", "[::1]:443", "a b", "exa*mple", "example.com/", "b\xc3\xa4r.example"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err err = ERR_INIT;

		if (noproxy_check(good[i], &err) != 0)
			fail_msg("%s: %s", good[i], err.text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;

		if (noproxy_check(bad[i], &err) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(err.class, ERR_CONF);
	}
}

static void mistakes_say_what_to_write(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(noproxy_check("*.example.com", &err), -EINVAL);
	assert_non_null(strstr(err.text, "write .example.com"));
	assert_int_equal(noproxy_check("https://example.com", &err), -EINVAL);
	assert_non_null(strstr(err.text, "only the name"));
}

static void which_hosts_match(void **state)
{
	static const struct {
		const char *entry, *authority;
		bool matches;
	} rows[] = {
		{"*", "anything.example", true},
		{"*", "[::1]:443", true},
		{"example.com", "example.com", true},
		{"example.com", "EXAMPLE.com:8443", true},
		{"example.com", "a.b.example.com", true},
		{"example.com", "notexample.com", false},
		{"example.com", "example.com.evil.example", false},
		{"example.com", "com", false},
		{".example.com", "example.com", true},
		{".example.com", "a.example.com", true},
		{".example.com", "notexample.com", false},
		{"example.com.", "example.com", true},
		{"example.com", "example.com.", true},
		{"localhost", "127.0.0.1", false},
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.3", "10.1.2.3:443", true},
		{"10.1.2.3", "10.1.2.30", false},
		{"2.3", "10.1.2.3", false}, /* a name, and names match no address */
		{"10.0.0.0/8", "10.255.0.1:443", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"10.0.0.0/8", "10.example.com", false},
		{"192.168.4.0/22", "192.168.7.255", true},
		{"192.168.4.0/22", "192.168.8.0", false},
		{"0.0.0.0/0", "203.0.113.9", true},
		{"0.0.0.0/0", "[::1]", false},
		{"::1", "[::1]:8443", true},
		{"[::1]", "[::1]", true},
		{"::1", "[0:0:0:0:0:0:0:1]", true},
		{"::1", "[::2]", false},
		{"fd00::/8", "[fdff::1]:443", true},
		{"fd00::/8", "[fc00::1]", false},
		{"nonsense/8", "nonsense", false},
		{"", "example.com", false},
		{".", "example.com", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (noproxy_matches(&rows[i].entry, 1, rows[i].authority, strlen(rows[i].authority)) !=
			rows[i].matches)
			fail_msg("%s, %s", rows[i].entry, rows[i].authority);
}

static void one_of_several_is_enough(void **state)
{
	static const char *const entries[] = {"a.example", "10.0.0.0/8", ".b.example"};

	(void)state;
	assert_true(noproxy_matches(entries, 3, "x.b.example/path", 11));
	assert_true(noproxy_matches(entries, 3, "10.1.1.1", 8));
	assert_false(noproxy_matches(entries, 3, "c.example", 9));
	assert_false(noproxy_matches(entries, 0, "a.example", 9));
	assert_false(noproxy_matches(entries, 3, "", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_an_entry),
		cmocka_unit_test(mistakes_say_what_to_write),
		cmocka_unit_test(which_hosts_match),
		cmocka_unit_test(one_of_several_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
