#include "dispatch/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

static void words_of_every_answer(void **state)
{
	static const struct {
		int status;
		const char *head, *body, *code, *message;
	} rows[] = {
		{401, "HTTP/1.1 401 Unauthorized\r\n\r\n",
			"{\"error\":\"invalid_client\",\"error_description\":\"No such client\"}",
			"invalid_client", "No such client"},
		{403, "HTTP/1.1 403 Forbidden\r\nX-Databricks-Reason-Phrase: No rights\r\n\r\n", "", "",
			"No rights"},
		{503, "HTTP/1.1 503 Service Unavailable\r\n\r\n", "", "", "Service Unavailable"},
		{502, "HTTP/1.1 502\r\n\r\n", "", "", "HTTP 502"},
		{302, "HTTP/1.1 302 Found\r\nLocation: https://else.example/login\r\n\r\n",
			"{\"error\":\"x\"}", "",
			"redirects are not followed (HTTP 302 to "
			"https://else.example/login)"},
		{500, "", "<html><title>Oops</title></html>", "", "Oops"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct http_response r = {.status = rows[i].status,
			.head = rows[i].head,
			.body = rows[i].body,
			.body_len = strlen(rows[i].body)};
		struct answer a;

		words_read(&r, &a);
		assert_string_equal(a.code, rows[i].code);
		assert_string_equal(a.message, rows[i].message);
	}
}

static void a_credential_is_blotted_out(void **state)
{
	static const char credential[] = "dapi0123456789abcdef";
	static const struct {
		const char *before, *after;
	} rows[] = {
		{"nothing of it here", "nothing of it here"},
		{"it is dapi0123456789abcdef!", "it is *********************"},
		{"dapi0123456789abcdef dapi0123456789abcdef", "******************** ********************"},
		{"\"dapi0123456789abcdef\" <b>dapi0123456789abcdef</b>",
			"\"********************\" <b>********************</b>"},
		{"cut: dapi0123456789ab", "cut: ****************"},
		{"not dapi012345678", "not dapi012345678"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[200];

		snprintf(text, sizeof(text), "%s", rows[i].before);
		words_blot(text, credential, strlen(credential));
		assert_string_equal(text, rows[i].after);
	}
}

static void blanks_in_a_password_end_nothing(void **state)
{
	char text[] = "user=u password=correct horse battery staple rest";

	(void)state;
	words_blot(text, "correct horse battery staple", strlen("correct horse battery staple"));
	assert_string_equal(text, "user=u password=**************************** rest");
}

static void short_words_are_left_alone(void **state)
{
	char text[] = "secret1 secret1";

	(void)state;
	words_blot(text, "secret1", 7);
	assert_string_equal(text, "secret1 secret1");
	words_blot(text, "", 0);
	assert_string_equal(text, "secret1 secret1");
}

static void of_a_header_line_the_last_word(void **state)
{
	char text[] = "GET / Authorization: Bearer abcdefgh1234 Host: x";
	CLEANUP_SECRET struct secret *s = secret_new(100);

	(void)state;
	assert_int_equal(secret_add(s, "Authorization: Bearer abcdefgh1234", 34), 0);
	words_blot_header(text, s);
	assert_string_equal(text, "GET / Authorization: Bearer ************ Host: x");
	words_blot_header(text, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_of_every_answer),
		cmocka_unit_test(a_credential_is_blotted_out),
		cmocka_unit_test(blanks_in_a_password_end_nothing),
		cmocka_unit_test(short_words_are_left_alone),
		cmocka_unit_test(of_a_header_line_the_last_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
