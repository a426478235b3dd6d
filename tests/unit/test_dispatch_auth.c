#include "dispatch/auth.h"

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
#include "base/mem.h"

static char folder[64];
static char token_path[128];

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test_auth.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(token_path, sizeof(token_path), "%s/token", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(token_path);
	return rmdir(folder);
}

static void write_token(const char *bytes, size_t n, mode_t mode)
{
	int fd;

	unlink(token_path);
	fd = open(token_path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static struct auth *open_auth(struct err *err)
{
	static struct conf_workspace conf;

	conf = (struct conf_workspace){.auth = CONF_AUTH_TOKEN, .token_file = token_path};
	*err = ERR_INIT;
	return auth_new(&conf, NULL, err);
}

static void one_word_is_the_token(void **state)
{
	static const char *const files[] = {"dapi0123-4_5.6~7+8/9=", "dapi0123-4_5.6~7+8/9=\n",
		"dapi0123-4_5.6~7+8/9=\r\n", "dapi0123-4_5.6~7+8/9=\n\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct err err;

		write_token(files[i], strlen(files[i]), 0600);

		struct auth *a = open_auth(&err);

		assert_non_null(a);
		assert_string_equal(
			secret_bytes(auth_header(a)), "Authorization: Bearer dapi0123-4_5.6~7+8/9=");
		assert_string_equal(auth_principal(a), "token");
		auth_free(a);
	}
}

static void refresh_says_whether_it_changed(void **state)
{
	struct err err;
	bool changed = false;

	(void)state;
	write_token("dapi1111\n", 9, 0600);

	struct auth *a = open_auth(&err);
	struct secret *kept = secret_ref(auth_header(a));

	assert_int_equal(auth_refresh(a, &changed, &err), 0);
	assert_false(changed);
	write_token("dapi1111", 8, 0400); /* another file, the same token */
	assert_int_equal(auth_refresh(a, &changed, &err), 0);
	assert_false(changed);
	write_token("dapi2222", 8, 0600);
	assert_int_equal(auth_refresh(a, &changed, &err), 0);
	assert_true(changed);
	assert_string_equal(secret_bytes(auth_header(a)), "Authorization: Bearer dapi2222");
	assert_string_equal(secret_bytes(kept), "Authorization: Bearer dapi1111"); /* still ours */
	secret_free(kept);

	/* on failure the old one stays, and so does what the caller had */
	write_token("dapi3333", 8, 0644);
	changed = true;
	assert_int_equal(auth_refresh(a, &changed, &err), -EPERM);
	assert_true(changed);
	assert_string_equal(secret_bytes(auth_header(a)), "Authorization: Bearer dapi2222");
	unlink(token_path);
	assert_int_equal(auth_refresh(a, &changed, &err), -ENOENT);
	assert_string_equal(secret_bytes(auth_header(a)), "Authorization: Bearer dapi2222");
	auth_free(a);
}

static void errors_hold_nothing_of_the_token(void **state)
{
	struct err err;

	(void)state;
	write_token("dapi-very-secret x", 18, 0600);
	assert_null(open_auth(&err));
	assert_null(strstr(err.text, "secret"));
}

static void credentials_of_systemd(void **state)
{
	struct conf_workspace conf = {.auth = CONF_AUTH_TOKEN, .token_file = (char *)"credential:token"};
	struct err err = ERR_INIT;

	(void)state;
	write_token("dapi1234", 8, 0440);

	struct auth *a = auth_new(&conf, folder, &err);

	assert_non_null(a);
	assert_string_equal(secret_bytes(auth_header(a)), "Authorization: Bearer dapi1234");
	auth_free(a);
	assert_null(auth_new(&conf, NULL, &err));
	assert_non_null(strstr(err.text, "LoadCredential="));
}

static void other_kinds_are_refused(void **state)
{
	static const int kinds[] = {CONF_AUTH_NONE, CONF_AUTH_OAUTH_M2M, CONF_AUTH_AZURE_CLIENT_SECRET,
		CONF_AUTH_AZURE_MANAGED_IDENTITY, CONF_AUTH_OIDC, CONF_AUTH_BASIC, CONF_AUTH_PROFILE, 99, -1};
	struct err err = ERR_INIT;

	(void)state;
	write_token("dapi1234", 8, 0600);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct conf_workspace conf = {.auth = kinds[i], .token_file = token_path};

		assert_null(auth_new(&conf, NULL, &err));
		assert_int_equal(err.class, ERR_CONF);
	}

	struct conf_workspace conf = {.auth = CONF_AUTH_TOKEN};

	assert_null(auth_new(&conf, NULL, &err));
	auth_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_word_is_the_token),
		TEST(refresh_says_whether_it_changed),
		TEST(errors_hold_nothing_of_the_token),
		TEST(credentials_of_systemd),
		TEST(other_kinds_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
