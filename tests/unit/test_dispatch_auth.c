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

static void check_refused(const char *part)
{
	struct err err;
	struct auth *a = open_auth(&err);

	if (a != NULL)
		fail_msg("taken, though \"%s\" was expected", part);
	assert_int_equal(err.class, ERR_CONF);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
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

static void what_is_no_word_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *part;
	} rows[] = {
		{"", 0, "is empty"},
		{"\n", 1, "is empty"},
		{"dapi 1", 6, "byte 5"},
		{" dapi", 5, "byte 1"},
		{"dapi ", 5, "byte 5"},
		{"dapi\t", 5, "byte 5"},
		{"da\npi\n", 6, "byte 3"},
		{"da\rpi", 5, "byte 3"},
		{"dapi\0", 5, "byte 5"},
		{"da\0pi", 5, "byte 3"},
		{"da\x1bpi", 5, "byte 3"},
		{"da\x7fpi", 5, "byte 3"},
		{"\xef\xbb\xbf"
		 "dapi",
			7, "byte 1"},
		{"d\xc3\xa4pi", 5, "byte 2"},
		{"Bearer dapi", 11, "byte 7"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_token(rows[i].bytes, rows[i].n, 0600);
		check_refused(rows[i].part);
	}
}

static void length_to_the_byte(void **state)
{
	char *bytes = mem_alloc(AUTH_TOKEN_BYTES + 1000);
	struct err err;

	(void)state;
	memset(bytes, 'x', AUTH_TOKEN_BYTES + 1000);
	bytes[AUTH_TOKEN_BYTES] = '\n';
	write_token(bytes, AUTH_TOKEN_BYTES + 1, 0600);

	struct auth *a = open_auth(&err);

	assert_non_null(a);
	assert_int_equal(secret_len(auth_header(a)), strlen("Authorization: Bearer ") + AUTH_TOKEN_BYTES);
	auth_free(a);

	bytes[AUTH_TOKEN_BYTES] = 'x';
	write_token(bytes, AUTH_TOKEN_BYTES + 1, 0600);
	check_refused("is longer than");
	write_token(bytes, AUTH_TOKEN_BYTES + 1000, 0600);
	check_refused("is longer than");
	free(bytes);
}

static void mode_must_keep_others_out(void **state)
{
	static const struct {
		mode_t mode;
		bool good;
	} rows[] = {
		{0600, true},
		{0400, true},
		{0700, true},
		{0640, false},
		{0440, false},
		{0604, false},
		{0601, false},
		{0620, false},
		{0602, false},
		{0644, false},
	};
	CLEANUP_FREE char *command = mem_printf("run: chmod 600 %s", token_path);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_token("dapi1234", 8, rows[i].mode);
		if (rows[i].good) {
			struct err err;
			struct auth *a = open_auth(&err);

			if (a == NULL)
				fail_msg("%04o: %s", (unsigned)rows[i].mode, err.text);
			auth_free(a);
		} else {
			check_refused(command);
		}
	}
}

static void owner_must_be_root_or_us(void **state)
{
	static const struct {
		uid_t uid;
		bool good;
	} rows[] = {{0, true}, {65534, true}, {1, false}, {4711, false}};

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root can give files away */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_token("dapi1234", 8, 0600);
		assert_int_equal(chown(token_path, rows[i].uid, (gid_t)-1), 0);
		if (rows[i].good) {
			struct err err;
			struct auth *a = open_auth(&err);

			assert_non_null(a);
			auth_free(a);
		} else {
			check_refused("run: chown 0 ");
		}
	}
}

static void only_regular_files(void **state)
{
	(void)state;
	check_refused("No such file or directory");
	assert_int_equal(mkfifo(token_path, 0600), 0);
	check_refused("is not a regular file");
	unlink(token_path);
	assert_int_equal(mkdir(token_path, 0700), 0);
	check_refused("is not a regular file");
	rmdir(token_path);
	assert_int_equal(symlink("token2", token_path), 0);
	check_refused("No such file or directory");
}

static void a_link_is_judged_by_its_end(void **state)
{
	char other[128];
	struct err err;

	(void)state;
	snprintf(other, sizeof(other), "%s/other", folder);
	write_token("dapi1234", 8, 0600);
	assert_int_equal(rename(token_path, other), 0);
	assert_int_equal(symlink("other", token_path), 0);

	struct auth *a = open_auth(&err);

	assert_non_null(a);
	auth_free(a);
	assert_int_equal(chmod(other, 0644), 0);
	check_refused("chmod 600");
	unlink(other);
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
	/* systemd's access control list shows as 0440: the group's bit is the list's mask */
	for (mode_t mode = 0400; mode <= 0440; mode += 040) {
		write_token("dapi1234", 8, mode);

		struct auth *a = auth_new(&conf, folder, &err);

		assert_non_null(a);
		assert_string_equal(secret_bytes(auth_header(a)), "Authorization: Bearer dapi1234");
		auth_free(a);
	}
	write_token("dapi1234", 8, 0404);
	assert_null(auth_new(&conf, folder, &err));
	write_token("dapi1234", 8, 0460);
	assert_null(auth_new(&conf, folder, &err));

	write_token("dapi1234", 8, 0400);
	assert_null(auth_new(&conf, NULL, &err));
	assert_non_null(strstr(err.text, "LoadCredential="));
	assert_null(auth_new(&conf, "", &err));
	assert_null(auth_new(&conf, "tmp", &err));
}

static void credential_names_stay_in_their_folder(void **state)
{
	static const char *const names[] = {"credential:", "credential:.", "credential:..",
		"credential:../token", "credential:/etc/passwd", "credential:a/b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct conf_workspace conf = {.auth = CONF_AUTH_TOKEN, .token_file = (char *)names[i]};
		struct err err = ERR_INIT;

		assert_null(auth_new(&conf, folder, &err));
		assert_int_equal(err.class, ERR_CONF);
		assert_non_null(strstr(err.text, "does not name a credential"));
	}
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
		TEST(what_is_no_word_is_refused),
		TEST(length_to_the_byte),
		TEST(mode_must_keep_others_out),
		TEST(owner_must_be_root_or_us),
		TEST(only_regular_files),
		TEST(a_link_is_judged_by_its_end),
		TEST(refresh_says_whether_it_changed),
		TEST(errors_hold_nothing_of_the_token),
		TEST(credentials_of_systemd),
		TEST(credential_names_stay_in_their_folder),
		TEST(other_kinds_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
