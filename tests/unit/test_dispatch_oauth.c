#include "dispatch/oauth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "core/signin.h"

#define HOST "https://adb-1.7.azuredatabricks.net"
#define ENDPOINT HOST "/oidc/v1/token"
#define NOW_US INT64_C(1700000000000000)

static struct secret *secret_of(const char *text)
{
	struct secret *s = secret_new(strlen(text));

	assert_int_equal(secret_add(s, text, strlen(text)), 0);
	return s;
}

static bool has_header(const struct oauth_request *q, const char *line)
{
	for (size_t i = 0; q->headers[i] != NULL; i++)
		if (strcmp(q->headers[i], line) == 0)
			return true;
	return false;
}

#define FORM "Content-Type: application/x-www-form-urlencoded"

static void client_credentials_of_databricks(void **state)
{
	struct credential c = {
		.kind = CONF_AUTH_OAUTH_M2M, .user = (char *)"a b:c", .secret = secret_of("s+/~%")};
	struct oauth_request q;

	(void)state;
	assert_true(oauth_is_of_workspace(&c));
	oauth_request_init(&q, &c, ENDPOINT);
	assert_string_equal(q.url, ENDPOINT);
	/* "a+b%3Ac:s%2B%2F%7E%25": each half encoded as a form before base64, RFC 6749 section 2.3.1 */
	assert_string_equal(
		secret_bytes(q.authorization), "Authorization: Basic YStiJTNBYzpzJTJCJTJGJTdFJTI1");
	assert_string_equal(secret_bytes(q.body), "grant_type=client_credentials&scope=all-apis");
	assert_true(has_header(&q, FORM));
	oauth_request_done(&q);
	secret_free(c.secret);
}

static void token_exchange(void **state)
{
	struct credential c = {.kind = CONF_AUTH_OIDC, .secret = secret_of("eyJh.eyJi.c2ln-_")};
	struct oauth_request q;

	(void)state;
	assert_true(oauth_is_of_workspace(&c));
	for (int with_client = 0; with_client < 2; with_client++) {
		c.user = with_client ? (char *)"1f-2" : NULL;
		oauth_request_init(&q, &c, ENDPOINT);
		assert_null(q.authorization);
		assert_string_equal(secret_bytes(q.body),
			with_client ? "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
				      "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
				      "&scope=all-apis&client_id=1f-2&subject_token=eyJh.eyJi.c2ln-_"
				    : "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
				      "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
				      "&scope=all-apis&subject_token=eyJh.eyJi.c2ln-_");
		oauth_request_done(&q);
	}
	secret_free(c.secret);
}

static void client_secret_of_entra(void **state)
{
	struct credential c = {.kind = CONF_AUTH_AZURE_CLIENT_SECRET,
		.user = (char *)"1f-2",
		.tenant = (char *)"t/..",
		.authority = "https://login.example",
		.secret = secret_of("x~y&z")};
	struct oauth_request q;

	(void)state;
	assert_false(oauth_is_of_workspace(&c));
	oauth_request_init(&q, &c, NULL);
	assert_string_equal(q.url, "https://login.example/t%2F../oauth2/v2.0/token");
	assert_null(q.authorization);
	assert_string_equal(secret_bytes(q.body),
		"grant_type=client_credentials&scope=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d%2F.default"
		"&client_id=1f-2&client_secret=x%7Ey%26z");
	assert_true(has_header(&q, FORM));
	oauth_request_done(&q);
	secret_free(c.secret);
}

static void managed_identity(void **state)
{
	struct credential c = {
		.kind = CONF_AUTH_AZURE_MANAGED_IDENTITY, .metadata = "http://169.254.169.254"};
	struct oauth_request q;

	(void)state;
	for (int with_client = 0; with_client < 2; with_client++) {
		c.user = with_client ? (char *)"1f&2" : NULL;
		oauth_request_init(&q, &c, NULL);
		assert_string_equal(
			q.url, with_client ? "http://169.254.169.254/metadata/identity/oauth2/"
					     "token?api-version=2018-02-01"
					     "&resource=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d&client_id=1f%262"
					   : "http://169.254.169.254/metadata/identity/oauth2/"
					     "token?api-version=2018-02-01"
					     "&resource=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d");
		assert_true(has_header(&q, "Metadata: true"));
		assert_null(q.authorization);
		assert_null(q.body);
		oauth_request_done(&q);
	}
}

static void the_longest_of_everything_fits(void **state)
{
	static const int kinds[] = {CONF_AUTH_OAUTH_M2M, CONF_AUTH_OIDC, CONF_AUTH_AZURE_CLIENT_SECRET,
		CONF_AUTH_AZURE_MANAGED_IDENTITY};
	char *user = mem_alloc(CREDENTIAL_USER_BYTES + 1), *text = mem_alloc(16 * 1024 + 1);

	(void)state;
	memset(user, '/', CREDENTIAL_USER_BYTES);
	memset(text, '+', 16 * 1024);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct credential c = {.kind = kinds[i],
			.user = user,
			.tenant = user,
			.authority = "https://login.example",
			.metadata = "http://127.0.0.1:1",
			.secret = secret_of(text)};
		struct oauth_request q;

		oauth_request_init(&q, &c, ENDPOINT);
		assert_non_null(q.url);
		oauth_request_done(&q);
		secret_free(c.secret);
	}
	free(user);
	free(text);
}

/* ---- the endpoint ---- */

static void the_endpoint_is_at_the_same_address(void **state)
{
	static const struct {
		const char *host, *body, *endpoint; /* NULL: refused */
	} rows[] = {
		{HOST, "{\"token_endpoint\":\"" ENDPOINT "\"}", ENDPOINT},
		{HOST,
			"{\"issuer\":1,\"token_endpoint\":\"HTTPS://ADB-1.7.AzureDatabricks.net:443/oidc/v1/"
			"token\"}",
			ENDPOINT},
		{HOST, "{\"token_endpoint\":\"" HOST "/oidc/accounts/1/v1/token?x=y\"}",
			HOST "/oidc/accounts/1/v1/token?x=y"},
		{"http://127.0.0.1:9", "{\"token_endpoint\":\"http://127.0.0.1:9/t\"}",
			"http://127.0.0.1:9/t"},
		{HOST, "{\"token_endpoint\":\"https://evil.example/oidc/v1/token\"}", NULL},
		{HOST, "{\"token_endpoint\":\"https://accounts.cloud.databricks.com/oidc/v1/token\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST ".evil.example/oidc/v1/token\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST "@evil.example/oidc/v1/token\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST "\\\\@evil.example/oidc/v1/token\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST ":8443/oidc/v1/token\"}", NULL},
		{HOST, "{\"token_endpoint\":\"http://adb-1.7.azuredatabricks.net/oidc/v1/token\"}", NULL},
		{"http://127.0.0.1:9", "{\"token_endpoint\":\"http://127.0.0.1:8/t\"}", NULL},
		{"http://127.0.0.1:9", "{\"token_endpoint\":\"http://localhost:9/t\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST "/a b\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST "/a\\r\\nX: y\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST "/a#b\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST "\"}", NULL},
		{HOST, "{\"token_endpoint\":\"" HOST "?x\"}", NULL},
		{HOST, "{\"token_endpoint\":\"/oidc/v1/token\"}", NULL},
		{HOST, "{\"token_endpoint\":\"//evil.example/t\"}", NULL},
		{HOST, "{\"token_endpoint\":\"://\"}", NULL},
		{HOST, "{\"token_endpoint\":\"\"}", NULL},
		{HOST, "{\"token_endpoint\":7}", NULL},
		{HOST, "{\"token_endpoint\":null}", NULL},
		{HOST, "{\"token_endpoint\":{\"a\":1}}", NULL},
		{HOST, "{}", NULL},
		{HOST, "[]", NULL},
		{HOST, "<html>sign in</html>", NULL},
		{HOST, "", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *endpoint = NULL;
		struct err err = ERR_INIT;
		int r = oauth_read_endpoint(
			rows[i].host, rows[i].body, strlen(rows[i].body), &endpoint, &err);

		if ((r == 0) != (rows[i].endpoint != NULL))
			fail_msg("%s: %d %s", rows[i].body, r, err.text);
		if (r == 0)
			assert_string_equal(endpoint, rows[i].endpoint);
		else
			assert_int_not_equal(err.text[0], '\0');
		free(endpoint);
	}
}

/* ---- the token ---- */

static void tokens_in_every_shape(void **state)
{
	static const struct {
		const char *body;
		const char *token; /* NULL: refused, `seconds` says nothing */
		int64_t seconds;
		const char *why;
	} rows[] = {
		{"{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_in\":3600}", "abc", 3600, ""},
		{"{\"access_token\":\"abc\",\"token_type\":\"bearer\",\"expires_in\":\"3599\"}", "abc", 3599,
			""},
		{"{\"access_token\":\"a\\/b\\u002Bc\",\"expires_in\":1.9}", "a/b+c", 1, ""},
		{"{\"access_token\":\"abc\"}", "abc", SIGNIN_DEFAULT_S, ""},
		{"{\"access_token\":\"abc\",\"expires_in\":null}", "abc", SIGNIN_DEFAULT_S, ""},
		{"{\"access_token\":\"abc\",\"expires_in\":\"soon\"}", "abc", SIGNIN_DEFAULT_S, ""},
		{"{\"access_token\":\"abc\",\"expires_in\":{\"a\":[]}}", "abc", SIGNIN_DEFAULT_S, ""},
		{"{\"access_token\":\"abc\",\"expires_in\":\"\",\"expires_on\":\"1700000099\"}", "abc", 99,
			""},
		{"{\"access_token\":\"abc\",\"expires_on\":1700086400}", "abc", 86400, ""},
		{"{\"access_token\":\"abc\",\"expires_on\":\"11/14/2030 10:13:20 PM\"}", "abc",
			SIGNIN_DEFAULT_S, ""},
		{"{\"access_token\":\"abc\",\"expires_in\":\"86399\",\"expires_on\":\"1\"}", "abc", 86399,
			""},
		{"{\"access_token\":\"abc\",\"expires_in\":9223372036854775807}", "abc", INT64_MAX, ""},
		{"{\"access_token\":\"abc\",\"expires_in\":0}", NULL, 0, "over already"},
		{"{\"access_token\":\"abc\",\"expires_in\":-5}", NULL, 0, "over already"},
		{"{\"access_token\":\"abc\",\"expires_on\":1699999999}", NULL, 0, "over already"},
		{"{\"access_token\":\"\"}", NULL, 0, "is empty"},
		{"{\"access_token\":\"a b\"}", NULL, 0, "byte 2"},
		{"{\"access_token\":\"ab\\r\\nX-Evil: 1\"}", NULL, 0, "byte 3"},
		{"{\"access_token\":\"\\u00e4\"}", NULL, 0, "byte 1"},
		{"{\"access_token\":\"ab\\u0000\"}", NULL, 0, "not a string"},
		{"{\"access_token\":\"\\ud800\"}", NULL, 0, "not a string"},
		{"{\"access_token\":123}", NULL, 0, "not a string"},
		{"{\"access_token\":null}", NULL, 0, "not a string"},
		{"{\"access_token\":[\"abc\"]}", NULL, 0, "not a string"},
		{"{\"access_token\":\"abc\",\"token_type\":\"mac\"}", NULL, 0, "token_type"},
		{"{\"access_token\":\"abc\",\"token_type\":5}", NULL, 0, "token_type"},
		{"{\"token\":{\"access_token\":\"abc\"}}", NULL, 0, "no access_token"},
		{"{\"Access_Token\":\"abc\"}", NULL, 0, "no access_token"},
		{"{}", NULL, 0, "no access_token"},
		{"[]", NULL, 0, "not an object"},
		{"{\"access_token\":\"abc\"", NULL, 0, "not an object"},
		{"{\"access_token\":\"abc\"}}", NULL, 0, "not an object"},
		{"abc", NULL, 0, "not an object"},
		{"<html><title>Sign in</title></html>", NULL, 0, "not an object"},
		{"", NULL, 0, "not an object"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct oauth_token t = {.header = NULL};
		struct err err = ERR_INIT;
		int r = oauth_read_token(rows[i].body, strlen(rows[i].body), NOW_US, &t, &err);
		CLEANUP_FREE char *line =
			mem_printf("Authorization: Bearer %s", rows[i].token != NULL ? rows[i].token : "");

		if ((r == 0) != (rows[i].token != NULL) || strstr(err.text, rows[i].why) == NULL)
			fail_msg("%s: %d %s", rows[i].body, r, err.text);
		if (r < 0)
			continue;
		assert_string_equal(secret_bytes(t.header), line);
		assert_true(t.seconds == rows[i].seconds);
		secret_free(t.header);
	}
}

static void length_of_a_token_to_the_byte(void **state)
{
	char *body = mem_alloc(OAUTH_TOKEN_BYTES + 100);

	(void)state;
	for (size_t n = OAUTH_TOKEN_BYTES; n <= OAUTH_TOKEN_BYTES + 1; n++) {
		struct oauth_token t;
		struct err err = ERR_INIT;
		int at = snprintf(body, 100, "{\"access_token\":\""), r;

		memset(body + at, 'x', n);
		memcpy(body + at + n, "\"}", 3);
		r = oauth_read_token(body, strlen(body), NOW_US, &t, &err);
		assert_int_equal(r == 0, n == OAUTH_TOKEN_BYTES);
		if (r == 0)
			secret_free(t.header);
		else
			assert_non_null(strstr(err.text, "too long"));
	}
	free(body);
}

/* Each byte changed to each value, each end cut off, in memory of exactly that size: the sanitizers look, and
 * what is taken could be sent in a header line. */
static void every_damage_is_survived(void **state)
{
	static const char good[] =
		"{\"access_token\":\"a\\u002b\",\"token_type\":\"Bearer\",\"expires_in\":\"60\"}";
	size_t len = sizeof(good) - 1;

	(void)state;
	for (size_t at = 0; at <= len; at++)
		for (int byte = 0; byte < 256; byte++) {
			size_t n = byte == 0 ? at : len;
			char *text = malloc(n > 0 ? n : 1);
			struct oauth_token t;
			struct err err = ERR_INIT;

			memcpy(text, good, n);
			if (at < n)
				text[at] = (char)byte;
			if (oauth_read_token(text, n, NOW_US, &t, &err) == 0) {
				assert_true(t.seconds > 0);
				for (const char *p = secret_bytes(t.header) + 22; *p != '\0'; p++)
					assert_true(*p > 0x20 && *p < 0x7f);
				secret_free(t.header);
			}
			free(text);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_credentials_of_databricks),
		cmocka_unit_test(token_exchange),
		cmocka_unit_test(client_secret_of_entra),
		cmocka_unit_test(managed_identity),
		cmocka_unit_test(the_longest_of_everything_fits),
		cmocka_unit_test(the_endpoint_is_at_the_same_address),
		cmocka_unit_test(tokens_in_every_shape),
		cmocka_unit_test(length_of_a_token_to_the_byte),
		cmocka_unit_test(every_damage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
