/*
 * mailbox: addresses that are taken, and what becomes of them; and all that is refused.
 */
#include "core/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static const struct {
	const char *text, *address, *name;
} good[] = {
	{"ops@example.com", "ops@example.com", ""},
	{"<ops@example.com>", "ops@example.com", ""},
	{"o.p+s_1@a.b-c.example", "o.p+s_1@a.b-c.example", ""},
	{"root@localhost", "root@localhost", ""},
	{"a@[127.0.0.1]", "a@[127.0.0.1]", ""},
	{"a@[IPv6:::1]", "a@[IPv6:::1]", ""},
	{"a@xn--mnchen-3ya.example", "a@xn--mnchen-3ya.example", ""},
	{"Night shift <n@example.com>", "n@example.com", "Night shift"},
	{"Gr\xc3\xbc\xc3\x9f"
	 "e  <n@example.com>",
		"n@example.com",
		"Gr\xc3\xbc\xc3\x9f"
		"e"},
	{"\"Shift, night\" <n@example.com>", "n@example.com", "Shift, night"},
	{"\"a \\\"b\\\" \\\\ <c>\" <n@example.com>", "n@example.com", "a \"b\" \\ <c>"},
};

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "is not an address"},
	{"ops", "is not an address"},
	{"@example.com", "is not an address"},
	{"ops@", "is not an address"},
	{"a b@example.com", "is not an address"},
	{".a@example.com", "is not an address"},
	{"a.@example.com", "is not an address"},
	{"a..b@example.com", "is not an address"},
	{"\"a b\"@example.com", "is not an address"},
	{"a@b@example.com", "is not an address"},
	{"a@-b.example", "is not an address"},
	{"a@b..example", "is not an address"},
	{"a@b_c.example", "is not an address"},
	{"a@example.com.", "is not an address"},
	{"a@[127.0.0.256]", "is not an address"},
	{"a@[]", "is not an address"},
	{"a@example.com>", "is not an address"},
	{"<<a@example.com>", "has a name with"},
	{"x <a@example.com", "is not an address"},
	{"a,b@example.com", "is not an address"},
	{"a@b.example\r\nRCPT TO:<c@d.example>", "\"a@b.example\\x0d\\nRCPT TO:<c@d.example>\""},
	{"x\ny <a@b.example>", "has a control character"},
	{"x\xff <a@b.example>", "has a name that is not UTF-8"},
	{"a \"b\" c <a@b.example>", "has a name with"},
	{"gr\xc3\xbc\xc3\x9f"
	 "e@example.com",
		"are not ASCII"},
	{"a@m\xc3\xbcnchen.example", "are not ASCII"},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct mailbox m;
		struct err err = ERR_INIT;

		if (mailbox_parse(good[i].text, &m, &err) < 0)
			fail_msg("%s", err.text);
		assert_string_equal(m.address, good[i].address);
		assert_string_equal(m.name, good[i].name);
	}
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct mailbox m = {.name = "as before"};
		struct err err = ERR_INIT;

		if (mailbox_parse(bad[i].text, &m, &err) != -EINVAL)
			fail_msg("%s is taken", bad[i].text);
		assert_string_equal(m.name, "as before");
		assert_int_equal(err.class, ERR_CONF);
		if (strstr(err.text, bad[i].why) == NULL)
			fail_msg("%s: %s", bad[i].text, err.text);
	}
}

static void test_lengths(void **state)
{
	static const struct {
		int local, label, labels, name;
		bool is_good;
	} rows[] = {
		{64, 7, 1, 0, true},
		{65, 7, 1, 0, false},
		{1, 63, 1, 0, true},
		{1, 64, 1, 0, false},
		{3, 49, 5, 0, true},  /* 3 + 1 + 5 * 49 + 4 = 253 */
		{5, 49, 5, 0, false}, /* 255 */
		{1, 7, 1, 255, true},
		{1, 7, 1, 256, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[1024] = "";
		struct mailbox m;
		struct err err = ERR_INIT;
		size_t n = 0;

		for (int k = 0; k < rows[i].name; k++)
			text[n++] = 'n';
		text[n++] = '<';
		for (int k = 0; k < rows[i].local; k++)
			text[n++] = 'l';
		for (int d = 0; d < rows[i].labels; d++) {
			text[n++] = d == 0 ? '@' : '.';
			for (int k = 0; k < rows[i].label; k++)
				text[n++] = 'd';
		}
		text[n] = '>';
		if ((mailbox_parse(text, &m, &err) == 0) != rows[i].is_good)
			fail_msg("%s", text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
