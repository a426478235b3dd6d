#include "dispatch/credential.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"
#include "dispatch/secretfile.h"

#define HOST "https://adb-1.7.azuredatabricks.net"

static char folder[64], path[128];
static struct conf_workspace conf;

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test_credential.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/secret", folder);
	conf = (struct conf_workspace){.host = (char *)HOST};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void write_file(const char *text, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static struct credential load(void)
{
	struct credential c;
	struct err err = ERR_INIT;

	if (credential_load(&conf, NULL, &c, &err) < 0)
		fail_msg("%s", err.text);
	return c;
}

static void check_refused(const char *part)
{
	struct credential c = {.kind = 77};
	struct err err = ERR_INIT;

	assert_true(credential_load(&conf, NULL, &c, &err) < 0);
	assert_int_equal(err.class, ERR_CONF);
	assert_int_equal(c.kind, 77);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
	assert_null(strstr(err.text, "s3cret"));
}

static void check_header(const struct credential *c, const char *expected)
{
	struct secret *s = credential_header(c);

	if (expected == NULL)
		assert_null(s);
	else
		assert_string_equal(secret_bytes(s), expected);
	secret_free(s);
}

static void check_name(const struct credential *c, const char *expected)
{
	char name[CREDENTIAL_NAME_BYTES];

	credential_name(c, &conf, name);
	assert_string_equal(name, expected);
}

/* ---- by the keys of the section ---- */

static void every_kind_by_its_keys(void **state)
{
	static const struct {
		int auth;
		const char *user, *header, *name;
	} rows[] = {
		{CONF_AUTH_TOKEN, NULL, "Authorization: Bearer s3cret-1", "token"},
		{CONF_AUTH_OAUTH_M2M, "client", NULL, "oauth-m2m:client"},
		{CONF_AUTH_AZURE_CLIENT_SECRET, "client", NULL, "azure-client-secret:client"},
		{CONF_AUTH_OIDC, NULL, NULL, "oidc"},
		{CONF_AUTH_OIDC, "client", NULL, "oidc:client"},
		{CONF_AUTH_BASIC, "user", "Authorization: Basic dXNlcjpzM2NyZXQtMQ==", "basic:user"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t before_us = clock_wall_us();

		write_file("s3cret-1\n", 0600);
		conf.auth = rows[i].auth;
		conf.token_file = rows[i].auth == CONF_AUTH_TOKEN ? path : NULL;
		conf.oidc_token_file = rows[i].auth == CONF_AUTH_OIDC ? path : NULL;
		conf.password_file = rows[i].auth == CONF_AUTH_BASIC ? path : NULL;
		conf.username = rows[i].auth == CONF_AUTH_BASIC ? (char *)rows[i].user : NULL;
		conf.client_id = (char *)rows[i].user;
		conf.client_secret_file = path;
		conf.azure_tenant_id = (char *)"tenant";

		struct credential c = load();

		assert_int_equal(c.kind, rows[i].auth);
		assert_string_equal(secret_bytes(c.secret), "s3cret-1");
		assert_string_equal(c.file, path);
		assert_in_range(c.changed_us, before_us - 2 * US_PER_S, clock_wall_us() + 2 * US_PER_S);
		check_header(&c, rows[i].header);
		check_name(&c, rows[i].name);
		credential_done(&c);
	}
}

static void managed_identity_has_no_file(void **state)
{
	(void)state;
	conf.auth = CONF_AUTH_AZURE_MANAGED_IDENTITY;

	struct credential c = load();

	assert_null(c.secret);
	assert_null(c.file);
	assert_string_equal(c.metadata, "http://169.254.169.254");
	check_header(&c, NULL);
	check_name(&c, "azure-managed-identity");
	credential_done(&c);
	conf.client_id = (char *)"u";
	conf.azure_metadata_host = (char *)"http://127.0.0.1:40342";
	c = load();
	assert_string_equal(c.metadata, "http://127.0.0.1:40342");
	check_name(&c, "azure-managed-identity:u");
	credential_done(&c);
}

static void entra_is_where_the_host_or_the_configuration_says(void **state)
{
	struct credential c;

	(void)state;
	write_file("s3cret", 0600);
	conf.auth = CONF_AUTH_AZURE_CLIENT_SECRET;
	conf.client_id = (char *)"u";
	conf.azure_tenant_id = (char *)"t";
	conf.client_secret_file = path;
	c = load();
	assert_string_equal(c.authority, "https://login.microsoftonline.com");
	assert_string_equal(c.tenant, "t");
	credential_done(&c);
	conf.azure_authority_host = (char *)"https://login.example";
	c = load();
	assert_string_equal(c.authority, "https://login.example");
	credential_done(&c);
	conf.azure_authority_host = NULL;
	conf.host = (char *)"https://dbc-1.cloud.databricks.com";
	check_refused("azure_authority_host says where to sign in");
}

static void passwords_may_hold_blanks(void **state)
{
	(void)state;
	write_file("p\xc3\xa4ss w:rd\n", 0600);
	conf.auth = CONF_AUTH_BASIC;
	conf.username = (char *)"m\xc3\xbcller";
	conf.password_file = path;

	struct credential c = load();

	/* "müller:päss w:rd" */
	check_header(&c, "Authorization: Basic bcO8bGxlcjpww6RzcyB3OnJk");
	credential_done(&c);
}

static void files_that_are_refused(void **state)
{
	static char text[CREDENTIAL_USER_BYTES + 2];

	(void)state;
	conf.auth = CONF_AUTH_OAUTH_M2M;
	conf.client_id = (char *)"u";
	conf.client_secret_file = path;
	check_refused("No such file");
	write_file("s3cret", 0640);
	check_refused("chmod 600");
	write_file("two s3cret words", 0600);
	check_refused("one word");
	write_file("s3cret", 0600);
	memset(text, 'u', CREDENTIAL_USER_BYTES + 1);
	conf.client_id = text;
	check_refused("longer than 1024");
	conf.client_secret_file = NULL;
	check_refused("lacks its file");
	conf.auth = CONF_AUTH_NONE;
	check_refused("no credential");
	conf.auth = 99;
	check_refused("no credential");
}

static void a_look_at_the_file_of_the_kind(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	conf.auth = CONF_AUTH_BASIC;
	conf.password_file = path;
	assert_int_equal(credential_look(&conf, SECRETFILE_ANYBODY, &err), -ENOENT);
	write_file("s3cret", 0644);
	assert_int_equal(credential_look(&conf, SECRETFILE_ANYBODY, &err), -EPERM);
	write_file("s3cret", 0600);
	assert_int_equal(credential_look(&conf, SECRETFILE_ANYBODY, &err), 0);
	conf.auth = CONF_AUTH_PROFILE;
	conf.config_file = (char *)"/nonexistent/cfg";
	assert_int_equal(credential_look(&conf, SECRETFILE_ANYBODY, &err), -ENOENT);
	conf.auth = CONF_AUTH_AZURE_MANAGED_IDENTITY;
	assert_int_equal(credential_look(&conf, SECRETFILE_ANYBODY, &err), 0);
	conf.auth = CONF_AUTH_NONE;
	assert_int_equal(credential_look(&conf, SECRETFILE_ANYBODY, &err), 0);
}

/* ---- by a profile ---- */

static void use_profile(const char *lines)
{
	CLEANUP_FREE char *text = mem_printf("[DEFAULT]\ntoken = other\n[p]\n%s\n", lines);

	write_file(text, 0600);
	conf.auth = CONF_AUTH_PROFILE;
	conf.profile = (char *)"p";
	conf.config_file = path;
}

static void every_kind_by_a_profile(void **state)
{
	static const struct {
		const char *lines;
		int kind;
		const char *secret, *header, *name;
	} rows[] = {
		{"token = s3cret-1", CONF_AUTH_TOKEN, "s3cret-1", "Authorization: Bearer s3cret-1",
			"token (profile p)"},
		{"host = " HOST "/?o=123\nclient_id = c\nclient_secret = s3cret-2", CONF_AUTH_OAUTH_M2M,
			"s3cret-2", NULL, "oauth-m2m:c (profile p)"},
		{"host = ADB-1.7.azuredatabricks.net\nazure_tenant_id = t\nazure_client_id = a\n"
		 "azure_client_secret = s3cret~3",
			CONF_AUTH_AZURE_CLIENT_SECRET, "s3cret~3", NULL, "azure-client-secret:a (profile p)"},
		{"azure_use_msi = true\nazure_client_id = m", CONF_AUTH_AZURE_MANAGED_IDENTITY, NULL, NULL,
			"azure-managed-identity:m (profile p)"},
		{"username = user\npassword = 's3cret 4'", CONF_AUTH_BASIC, "s3cret 4",
			"Authorization: Basic dXNlcjpzM2NyZXQgNA==", "basic:user (profile p)"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		use_profile(rows[i].lines);

		struct credential c = load();

		assert_int_equal(c.kind, rows[i].kind);
		assert_true(c.from_profile);
		if (rows[i].secret != NULL)
			assert_string_equal(secret_bytes(c.secret), rows[i].secret);
		else
			assert_null(c.secret);
		assert_string_equal(c.file, path);
		check_header(&c, rows[i].header);
		check_name(&c, rows[i].name);
		credential_done(&c);
	}
}

static void profiles_that_are_refused(void **state)
{
	static const struct {
		const char *lines, *why;
	} rows[] = {
		{"host = https://else.example\ntoken = s3cret",
			"line 4: the profile is for https://else.example, not for " HOST},
		{"host = http://adb-1.7.azuredatabricks.net\ntoken = s3cret", "line 4: host: http:// would"},
		{"host = ://\ntoken = s3cret", "line 4: host: "},
		{"token = s3cret\ntoken = s3cret", "line 5 gives a key a second time"},
		{"token = s3cret in words", "line 4: token must be one word of visible ASCII"},
		{"username = a:b\npassword = s3cret", "line 4: username cannot hold a colon"},
		{"token = s3cret\nclient_id = u\nclient_secret = s3cret", "more than one kind"},
		{"auth_type = azure-cli", "auth_type that is not for a service"},
		{"", "no credential for a service"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		use_profile(rows[i].lines);
		check_refused(rows[i].why);
		check_refused(path);
	}
	conf.profile = (char *)"q";
	check_refused("there is no profile [q]");
	use_profile("token = s3cret");
	assert_int_equal(chmod(path, 0644), 0);
	check_refused("chmod 600");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_by_its_keys),
		TEST(managed_identity_has_no_file),
		TEST(entra_is_where_the_host_or_the_configuration_says),
		TEST(passwords_may_hold_blanks),
		TEST(files_that_are_refused),
		TEST(a_look_at_the_file_of_the_kind),
		TEST(every_kind_by_a_profile),
		TEST(profiles_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
