#include "dispatch/databrickscfg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "core/conf.h"

static int read_text(const char *text, const char *profile, struct databrickscfg *p, struct err *err)
{
	*err = ERR_INIT;
	return databrickscfg_read(text, strlen(text), profile, p, err);
}

static void check_value(const struct databrickscfg *p, enum databrickscfg_key key, const char *expected)
{
	const struct databrickscfg_value *v = &p->values[key];

	if (expected == NULL) {
		assert_null(v->s);
		return;
	}
	if (v->s == NULL || v->len != strlen(expected) || memcmp(v->s, expected, v->len) != 0)
		fail_msg("%s is not %s but %.*s", databrickscfg_key_name(key), expected, (int)v->len,
			v->s != NULL ? v->s : "");
}

static void one_profile_of_several(void **state)
{
	static const char text[] = "; made by a tool\n"
				   "# and a person\n"
				   "[DEFAULT]\n"
				   "host = https://default.example\n"
				   "token = dapi-default\n"
				   "\n"
				   "[prod]\r\n"
				   "host=https://prod.example/\r\n"
				   "Token   :  dapi-prod\r\n"
				   "cluster_id = 1234\r\n"
				   "jobs-api-version = 2.1\r\n"
				   "[ spaced name ] # with a comment\n"
				   "token = 'dapi spaced'\n"
				   "[__settings__]\n"
				   "default_profile = prod\n"
				   "[broken]\n"
				   "this is no entry\n"
				   "token = a\n"
				   "token = b\n"
				   "[last]\n"
				   "token = dapi-last";
	struct databrickscfg p;
	struct err err;

	(void)state;
	assert_int_equal(read_text(text, "DEFAULT", &p, &err), 0);
	check_value(&p, DATABRICKSCFG_HOST, "https://default.example");
	check_value(&p, DATABRICKSCFG_TOKEN, "dapi-default");
	assert_int_equal(read_text(text, "prod", &p, &err), 0);
	check_value(&p, DATABRICKSCFG_HOST, "https://prod.example/");
	check_value(&p, DATABRICKSCFG_TOKEN, "dapi-prod");
	assert_int_equal(p.values[DATABRICKSCFG_TOKEN].line, 9);
	check_value(&p, DATABRICKSCFG_CLIENT_ID, NULL);
	assert_int_equal(read_text(text, "spaced name", &p, &err), 0);
	check_value(&p, DATABRICKSCFG_TOKEN, "dapi spaced");
	check_value(&p, DATABRICKSCFG_HOST, NULL); /* nothing comes from DEFAULT */
	assert_int_equal(read_text(text, "last", &p, &err), 0);
	check_value(&p, DATABRICKSCFG_TOKEN, "dapi-last");

	assert_int_equal(read_text(text, "PROD", &p, &err), -ENOENT);
	assert_string_equal(err.text, "there is no profile [PROD]");
	assert_int_equal(read_text(text, "pro", &p, &err), -ENOENT);
	assert_int_equal(read_text("", "prod", &p, &err), -ENOENT);
	assert_int_equal(read_text("\xef\xbb\xbf[p]\ntoken=x\n", "p", &p, &err), 0);
	check_value(&p, DATABRICKSCFG_TOKEN, "x");
}

static void values_as_they_are_written(void **state)
{
	static const struct {
		const char *line, *value;
	} rows[] = {
		{"password = plain", "plain"},
		{"password =a=b:c", "a=b:c"},
		{"password = a#b;c", "a#b;c"},
		{"password = a #b", "a"},
		{"password = a\t; b", "a"},
		{"password = #hash first", "#hash first"},
		{"password = \"in quotes # kept\"", "in quotes # kept"},
		{"password = 'in quotes ; kept' # comment", "in quotes ; kept"},
		{"password = \"one side", "\"one side"},
		{"password = \"a\" b", "\"a\" b"},
		{"password = %(token)s ${HOME}", "%(token)s ${HOME}"},
		{"password = \xc3\xa4", "\xc3\xa4"},
		{"password =", NULL},
		{"password = \"\"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_FREE char *text = mem_printf("[p]\n%s\n", rows[i].line);
		struct databrickscfg p;
		struct err err;

		if (read_text(text, "p", &p, &err) != 0)
			fail_msg("%s: %s", rows[i].line, err.text);
		check_value(&p, DATABRICKSCFG_PASSWORD, rows[i].value);
	}
}

static void what_tools_read_differently_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"[p]\ntoken = dapi-secret\ntoken = dapi-secret\n", "line 3 gives a key a second time"},
		{"[p]\ntoken =\nTOKEN = dapi-secret\n", "line 3 gives a key a second time"},
		{"[p]\ntoken = dapi-secret\n[q]\n[p]\nhost = x\n", "line 4 begins the profile a second time"},
		{"[p]\nhost = x\n  token = dapi-secret\n", "line 3 is indented"},
		{"[p]\ntoken = dapi-secret\\\n", "line 2 ends in a backslash"},
		{"[p]\ndapi-secret\n", "line 2 is neither [PROFILE] nor KEY = VALUE"},
		{"[p]\n= dapi-secret\n", "line 2 is neither"},
		{"[p]\n[dapi-secret\n", "line 2 is neither"},
		{"[p]\ntoken = dapi-\x1bsecret\n", "line 2 holds a control character"},
		{"[p]\ntoken = dapi-\x7fsecret\n", "line 2 holds a control character"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct databrickscfg p;
		struct err err;

		assert_int_equal(read_text(rows[i].text, "p", &p, &err), -EINVAL);
		assert_int_equal(err.class, ERR_CONF);
		if (strstr(err.text, rows[i].why) != err.text)
			fail_msg("%s: %s", rows[i].text, err.text);
		assert_null(strstr(err.text, "secret"));
	}
}

static void a_nul_is_a_control_character(void **state)
{
	static const char text[] = "[p]\ntoken = a\0b\n";
	struct databrickscfg p;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(databrickscfg_read(text, sizeof(text) - 1, "p", &p, &err), -EINVAL);
}

static void the_kind_is_found(void **state)
{
	static const struct {
		const char *lines;
		int kind; /* CONF_AUTH_NONE: refused */
		const char *why;
	} rows[] = {
		{"token = x", CONF_AUTH_TOKEN, ""},
		{"client_id = u\nclient_secret = x", CONF_AUTH_OAUTH_M2M, ""},
		{"azure_tenant_id = t\nazure_client_id = u\nazure_client_secret = x",
			CONF_AUTH_AZURE_CLIENT_SECRET, ""},
		{"azure_use_msi = true", CONF_AUTH_AZURE_MANAGED_IDENTITY, ""},
		{"azure_use_msi = 1\nazure_client_id = u", CONF_AUTH_AZURE_MANAGED_IDENTITY, ""},
		{"username = u\npassword = x", CONF_AUTH_BASIC, ""},
		{"auth_type = pat\ntoken = x\nclient_id = u\nclient_secret = y", CONF_AUTH_TOKEN, ""},
		{"auth_type = OAuth-M2M\ntoken = x\nclient_id = u\nclient_secret = y", CONF_AUTH_OAUTH_M2M,
			""},
		{"auth_type = azure-msi", CONF_AUTH_AZURE_MANAGED_IDENTITY, ""},
		{"azure_use_msi = false\ntoken = x", CONF_AUTH_TOKEN, ""},
		{"host = https://x", CONF_AUTH_NONE, "the profile has no credential for a service"},
		{"azure_use_msi = false", CONF_AUTH_NONE, "the profile has no credential"},
		{"token = x\nclient_id = u\nclient_secret = y", CONF_AUTH_NONE,
			"the profile has more than one kind of credential: pat and oauth-m2m; auth_type can"},
		{"token = x\nusername = u\npassword = y\nazure_use_msi = true", CONF_AUTH_NONE,
			"the profile has more than one kind of credential: pat and basic and azure-msi"},
		{"client_secret = x", CONF_AUTH_NONE, "client_id is missing in the profile"},
		{"password = x", CONF_AUTH_NONE, "username is missing in the profile"},
		{"azure_client_secret = x\nazure_client_id = u", CONF_AUTH_NONE,
			"azure_tenant_id is missing in the profile"},
		{"auth_type = pat", CONF_AUTH_NONE, "token is missing in the profile"},
		{"auth_type = databricks-cli", CONF_AUTH_NONE,
			"line 2 has an auth_type that is not for a service"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_FREE char *text = mem_printf("[p]\n%s\n", rows[i].lines);
		struct databrickscfg p;
		struct err err;
		int kind = CONF_AUTH_NONE;

		assert_int_equal(read_text(text, "p", &p, &err), 0);
		assert_int_equal(
			databrickscfg_kind(&p, &kind, &err), rows[i].kind == CONF_AUTH_NONE ? -EINVAL : 0);
		if (kind != rows[i].kind || strstr(err.text, rows[i].why) != err.text)
			fail_msg("%s: %d %s", rows[i].lines, kind, err.text);
	}
}

/* In memory of exactly the text's size: the sanitizers look. */
static void every_damage_is_survived(void **state)
{
	static const char good[] = "[p] ; c\r\nhost = \"x\" # y\ntoken: 'a'\n[q]\nz\n";
	size_t len = sizeof(good) - 1;

	(void)state;
	for (size_t at = 0; at <= len; at++)
		for (int byte = 0; byte < 256; byte++) {
			size_t n = byte == 0 ? at : len;
			char *text = malloc(n > 0 ? n : 1);
			struct databrickscfg p;
			struct err err = ERR_INIT;
			int kind;

			memcpy(text, good, n);
			if (at < n)
				text[at] = (char)byte;
			if (databrickscfg_read(text, n, "p", &p, &err) == 0)
				assert_true(databrickscfg_kind(&p, &kind, &err) <= 0);
			free(text);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_profile_of_several),
		cmocka_unit_test(values_as_they_are_written),
		cmocka_unit_test(what_tools_read_differently_is_refused),
		cmocka_unit_test(a_nul_is_a_control_character),
		cmocka_unit_test(the_kind_is_found),
		cmocka_unit_test(every_damage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
