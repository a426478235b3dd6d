#include "dispatch/webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define URL "https://hooks.example/services/T00SECRET/abc?key=SECRETQUERY"

/* What an answer means, and what of it is told. */
static void test_judge(void **state)
{
	static const struct {
		enum outcome_transport transport;
		int status;
		const char *body, *head, *error;
		enum courier_verdict verdict;
		const char *words;
	} cases[] = {
		{OUTCOME_TRANSPORT_OK, 200, "ok", "HTTP/1.1 200 OK\r\n\r\n", "", COURIER_DELIVERED, ""},
		{OUTCOME_TRANSPORT_OK, 204, "", "HTTP/1.1 204 No Content\r\n\r\n", "", COURIER_DELIVERED, ""},
		{OUTCOME_TRANSPORT_OK, 299, "", "HTTP/1.1 299 x\r\n\r\n", "", COURIER_DELIVERED, ""},
		{OUTCOME_TRANSPORT_OK, 302, "", "HTTP/1.1 302 Found\r\n\r\n", "", COURIER_AGAIN,
			"HTTP 302, and redirects are not followed: Found"},
		{OUTCOME_TRANSPORT_OK, 400, " bad\nthing \r\n", "HTTP/1.1 400 x\r\n\r\n", "", COURIER_REFUSED,
			"HTTP 400: bad\\nthing"},
		{OUTCOME_TRANSPORT_OK, 401, "", "HTTP/1.1 401 Unauthorized\r\n\r\n", "", COURIER_AGAIN,
			"HTTP 401: Unauthorized"},
		{OUTCOME_TRANSPORT_OK, 404, "no_service", "HTTP/1.1 404 x\r\n\r\n", "", COURIER_AGAIN,
			"HTTP 404: no_service"},
		{OUTCOME_TRANSPORT_OK, 408, "", "HTTP/1.1 408\r\n\r\n", "", COURIER_AGAIN, "HTTP 408"},
		{OUTCOME_TRANSPORT_OK, 413, "", "HTTP/1.1 413 Too large\r\n\r\n", "", COURIER_REFUSED,
			"HTTP 413: Too large"},
		{OUTCOME_TRANSPORT_OK, 422, "", "HTTP/1.1 422\r\n\r\n", "", COURIER_REFUSED, "HTTP 422"},
		{OUTCOME_TRANSPORT_OK, 429, "slow", "HTTP/1.1 429\r\n\r\n", "", COURIER_AGAIN,
			"HTTP 429: slow"},
		{OUTCOME_TRANSPORT_OK, 500, "", "HTTP/1.1 500\r\n\r\n", "", COURIER_AGAIN, "HTTP 500"},
		/* words that repeat what is secret are left out */
		{OUTCOME_TRANSPORT_OK, 404, "no hook T00SECRET", "HTTP/1.1 404\r\n\r\n", "", COURIER_AGAIN,
			"HTTP 404"},
		{OUTCOME_TRANSPORT_OK, 403, "key=SECRETQUERY", "HTTP/1.1 403\r\n\r\n", "", COURIER_AGAIN,
			"HTTP 403"},
		{OUTCOME_TRANSPORT_OK, 403, "who is SECRETBEARER?", "HTTP/1.1 403\r\n\r\n", "", COURIER_AGAIN,
			"HTTP 403"},
		{OUTCOME_TRANSPORT_NOT_SENT, 0, "", "", "nobody listens", COURIER_AGAIN, "nobody listens"},
		{OUTCOME_TRANSPORT_LOST, 0, "", "", "it took too long", COURIER_AGAIN, "it took too long"},
	};
	char *headers[] = {(char *)"Authorization: Bearer SECRETBEARER"};
	const struct conf_notify conf = {.webhook_header = {.items = headers, .n = 1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct http_response r = {.transport = cases[i].transport,
			.status = cases[i].status,
			.body = cases[i].body,
			.body_len = strlen(cases[i].body),
			.head = cases[i].head,
			.retry_after_us = 5,
			.error = cases[i].error};
		struct courier_answer a;
		char words[COURIER_WORDS_BYTES];

		webhook_judge(&conf, URL, &r, &a, words);
		if (a.verdict != cases[i].verdict || strcmp(words, cases[i].words) != 0 || a.words != words)
			fail_msg("case %zu: %d \"%s\"", i, (int)a.verdict, words);
		if (r.status == 429)
			assert_int_equal(a.retry_after_us, 5);
	}
}

/* A long answer is cut, in the middle of nothing. */
static void test_long_words(void **state)
{
	CLEANUP_FREE char *body = mem_alloc(5000);
	const struct conf_notify conf = {.webhook = NULL};
	struct http_response r = {.status = 500, .body = body, .head = "HTTP/1.1 500\r\n\r\n", .error = ""};
	char words[COURIER_WORDS_BYTES];
	struct courier_answer a;

	(void)state;
	memset(body, 'x', 4999);
	webhook_judge(&conf, URL, &r, &a, words);
	assert_true(strlen(words) < COURIER_WORDS_BYTES && strlen(words) > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_long_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
