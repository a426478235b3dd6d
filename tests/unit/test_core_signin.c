#include "core/signin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define S INT64_C(1000000)
#define START (INT64_C(7777) * S)

static void renewed_five_minutes_ahead_or_at_half_time(void **state)
{
	static const struct {
		int64_t seconds, renew_ms, usable_ms, end_ms; /* from the start */
	} rows[] = {
		{3600, 3300000, 3540000, 3600000},
		{600, 300000, 540000, 600000},
		{599, 299500, 539100, 599000},
		{60, 30000, 54000, 60000},
		{1, 500, 900, 1000},
		{86400, 86100000, 86340000, 86400000},
		{86401, 86100000, 86340000, 86400000},
		{INT64_MAX, 86100000, 86340000, 86400000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct signin_life life = signin_life(START, rows[i].seconds);

		assert_int_equal(life.renew_us - START, rows[i].renew_ms * 1000);
		assert_int_equal(life.usable_us - START, rows[i].usable_ms * 1000);
		assert_int_equal(life.end_us - START, rows[i].end_ms * 1000);
		assert_int_equal(signin_state(&life, START), SIGNIN_GOOD);
		assert_int_equal(signin_state(&life, life.renew_us - 1), SIGNIN_GOOD);
		assert_int_equal(signin_state(&life, life.renew_us), SIGNIN_RENEW);
		assert_int_equal(signin_state(&life, life.usable_us - 1), SIGNIN_RENEW);
		assert_int_equal(signin_state(&life, life.usable_us), SIGNIN_OVER);
		assert_int_equal(signin_state(&life, INT64_MAX), SIGNIN_OVER);
	}
}

static void a_life_without_end(void **state)
{
	const struct signin_life life = {0};

	(void)state;
	assert_int_equal(signin_state(&life, INT64_MAX), SIGNIN_GOOD);
}

static void answers(void **state)
{
	static const struct {
		enum outcome_transport transport;
		int status;
		const char *code;
		enum outcome_kind kind;
		const char *reason;
	} rows[] = {
		{OUTCOME_TRANSPORT_NOT_SENT, 0, "", OUTCOME_UNREACHABLE, "unreachable"},
		{OUTCOME_TRANSPORT_PROXY, 0, "", OUTCOME_UNREACHABLE, "proxy_refused"},
		{OUTCOME_TRANSPORT_LOST, 0, "", OUTCOME_UNREACHABLE, "unreachable"},
		{OUTCOME_TRANSPORT_OK, 200, "", OUTCOME_UNREACHABLE, "sign_in_unavailable"},
		{OUTCOME_TRANSPORT_OK, 302, "", OUTCOME_UNREACHABLE, "redirected"},
		{OUTCOME_TRANSPORT_OK, 400, "invalid_client", OUTCOME_CREDENTIAL, "credential_refused"},
		{OUTCOME_TRANSPORT_OK, 400, "", OUTCOME_CREDENTIAL, "credential_refused"},
		{OUTCOME_TRANSPORT_OK, 401, "invalid_client", OUTCOME_CREDENTIAL, "credential_refused"},
		{OUTCOME_TRANSPORT_OK, 403, "", OUTCOME_CREDENTIAL, "credential_refused"},
		{OUTCOME_TRANSPORT_OK, 400, "temporarily_unavailable", OUTCOME_UNREACHABLE,
			"sign_in_unavailable"},
		{OUTCOME_TRANSPORT_OK, 400, "server_error", OUTCOME_UNREACHABLE, "sign_in_unavailable"},
		{OUTCOME_TRANSPORT_OK, 404, "", OUTCOME_UNREACHABLE, "no_sign_in"},
		{OUTCOME_TRANSPORT_OK, 405, "", OUTCOME_UNREACHABLE, "no_sign_in"},
		{OUTCOME_TRANSPORT_OK, 407, "", OUTCOME_UNREACHABLE, "proxy_refused"},
		{OUTCOME_TRANSPORT_OK, 408, "", OUTCOME_UNREACHABLE, "sign_in_unavailable"},
		{OUTCOME_TRANSPORT_OK, 410, "", OUTCOME_UNREACHABLE, "no_sign_in"},
		{OUTCOME_TRANSPORT_OK, 429, "", OUTCOME_UNREACHABLE, "sign_in_unavailable"},
		{OUTCOME_TRANSPORT_OK, 500, "", OUTCOME_UNREACHABLE, "sign_in_unavailable"},
		{OUTCOME_TRANSPORT_OK, 503, "invalid_client", OUTCOME_UNREACHABLE, "sign_in_unavailable"},
		{OUTCOME_TRANSPORT_OK, 99, "", OUTCOME_UNREACHABLE, "sign_in_unavailable"},
		{OUTCOME_TRANSPORT_OK, 777, "", OUTCOME_UNREACHABLE, "sign_in_unavailable"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct outcome_answer a = {.transport = rows[i].transport,
			.http_status = rows[i].status,
			.error_code = rows[i].code,
			.message = ""};
		struct outcome o = signin_decide(&a);

		if (o.kind != rows[i].kind || strcmp(o.reason, rows[i].reason) != 0 || !o.sure_not_started)
			fail_msg("%d %s: %s %s", rows[i].status, rows[i].code, outcome_kind_name(o.kind),
				o.reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renewed_five_minutes_ahead_or_at_half_time),
		cmocka_unit_test(a_life_without_end),
		cmocka_unit_test(answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
