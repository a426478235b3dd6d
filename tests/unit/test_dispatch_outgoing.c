#include "dispatch/outgoing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

/* What http_send() refuses is tested there; here is what the rules give to others. */
static void the_authority_of_a_url(void **state)
{
	static const struct {
		const char *url, *authority;
	} rows[] = {
		{"https://adb.example/api", "adb.example"},
		{"https://adb.example:8443", "adb.example:8443"},
		{"https://[::1]:8443/x", "[::1]:8443"},
		{"https://adb.example?q=https://other", "adb.example"},
		{"http://127.0.0.1#x", "127.0.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len;
		const char *p = outgoing_authority(rows[i].url, &len);

		assert_int_equal(len, strlen(rows[i].authority));
		assert_memory_equal(p, rows[i].authority, len);
	}
}

static void what_is_encrypted(void **state)
{
	(void)state;
	assert_true(outgoing_is_encrypted("https://adb.example"));
	assert_false(outgoing_is_encrypted("http://127.0.0.1"));
	assert_false(outgoing_is_encrypted("HTTPS://adb.example"));
}

static void errors_hold_nothing_of_the_request(void **state)
{
	static const char *const headers[] = {"X-Secret: hidden\r\nX-Two: 2", NULL};
	struct http_request q = {.url = "https://user:hidden@adb.example/"};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(outgoing_check(&q, &err), -EINVAL);
	assert_null(strstr(err.text, "hidden"));
	q = (struct http_request){.url = "https://adb.example/", .headers = headers};
	assert_int_equal(outgoing_check(&q, &err), -EINVAL);
	assert_null(strstr(err.text, "hidden"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_authority_of_a_url),
		cmocka_unit_test(what_is_encrypted),
		cmocka_unit_test(errors_hold_nothing_of_the_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
