#include "dispatch/secretfile.h"

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"

static char folder[64];
static char path[128];

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test_secretfile.XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/token", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

static void write_file(const char *bytes, size_t n, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* What it holds, to be freed; NULL with *err. */
static struct secret *read_as(
	const char *value, const char *directory, enum secretfile_form form, struct err *err)
{
	struct secret *s = secret_new(SECRETFILE_ROOM_BYTES);

	*err = ERR_INIT;
	if (secretfile_add(value, directory, form, s, err) == 0)
		return s;
	secret_free(s);
	return NULL;
}

static void check_is(enum secretfile_form form, const char *expected)
{
	struct err err;
	struct secret *s = read_as(path, NULL, form, &err);

	if (s == NULL)
		fail_msg("%s", err.text);
	assert_string_equal(secret_bytes(s), expected);
	secret_free(s);
}

static void check_refused_as(enum secretfile_form form, const char *part)
{
	struct err err;
	struct secret *s = read_as(path, NULL, form, &err);

	if (s != NULL)
		fail_msg("taken, though \"%s\" was expected", part);
	assert_int_equal(err.class, ERR_CONF);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void check_refused(const char *part)
{
	check_refused_as(SECRETFILE_WORD, part);
}

static void line_ends_do_not_count(void **state)
{
	static const char *const ends[] = {"", "\n", "\r\n", "\n\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		CLEANUP_FREE char *word = mem_printf("dapi0123-4_5.6~7+8/9=%s", ends[i]);
		CLEANUP_FREE char *line = mem_printf(" two  w\xc3\xb6rds %s", ends[i]);

		write_file(word, strlen(word), 0600);
		check_is(SECRETFILE_WORD, "dapi0123-4_5.6~7+8/9=");
		check_is(SECRETFILE_LINE, "dapi0123-4_5.6~7+8/9=");
		write_file(line, strlen(line), 0600);
		check_is(SECRETFILE_LINE, " two  w\xc3\xb6rds ");
	}
}

static void it_is_added_to_what_is_there(void **state)
{
	CLEANUP_SECRET struct secret *s = secret_new(5 + SECRETFILE_ROOM_BYTES);
	struct err err = ERR_INIT;

	(void)state;
	write_file("word\n", 5, 0600);
	assert_int_equal(secret_add(s, "a b\n:", 5), 0);
	assert_int_equal(secretfile_add(path, NULL, SECRETFILE_WORD, s, &err), 0);
	assert_string_equal(secret_bytes(s), "a b\n:word");
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
		{"Bearer dapi", 11, "it begins with \"Bearer\""},
		{"\"dapi\"\n", 7, "it is in quotes"},
		{"'dapi'", 6, "it is in quotes"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_file(rows[i].bytes, rows[i].n, 0600);
		check_refused(rows[i].part);
	}
}

static void what_is_no_line_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *part;
	} rows[] = {
		{"\r\n\n", 3, "is empty"},
		{"pass\nword\n", 10, "one line and nothing else: byte 5"},
		{"pass\0", 5, "byte 5"},
		{"pass\tword", 9, "byte 5"},
		{"pass\x7f", 5, "byte 5"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		write_file(rows[i].bytes, rows[i].n, 0600);
		check_refused_as(SECRETFILE_LINE, rows[i].part);
	}
}

static void length_to_the_byte(void **state)
{
	CLEANUP_FREE char *bytes = mem_alloc(SECRETFILE_BYTES + 1000);
	struct err err;

	(void)state;
	memset(bytes, 'x', SECRETFILE_BYTES + 1000);
	bytes[SECRETFILE_BYTES] = '\n';
	write_file(bytes, SECRETFILE_BYTES + 1, 0600);

	struct secret *s = read_as(path, NULL, SECRETFILE_WORD, &err);

	assert_non_null(s);
	assert_int_equal(secret_len(s), SECRETFILE_BYTES);
	secret_free(s);

	bytes[SECRETFILE_BYTES] = 'x';
	write_file(bytes, SECRETFILE_BYTES + 1, 0600);
	check_refused("is longer than");
	write_file(bytes, SECRETFILE_BYTES + 1000, 0600);
	check_refused("is longer than");
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
	CLEANUP_FREE char *command = mem_printf("run: chmod 600 %s", path);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;

		write_file("dapi1234", 8, rows[i].mode);
		if (rows[i].good)
			check_is(SECRETFILE_WORD, "dapi1234");
		else
			check_refused(command);
		assert_int_equal(secretfile_look(path, SECRETFILE_ANYBODY, &err), rows[i].good ? 1 : -EPERM);
	}
}

/* As the service's user: his own group may read what root keeps for it, and no other group. */
static void own_group_may_read(void **state)
{
	static const struct {
		uid_t uid;
		gid_t gid;
		mode_t mode;
		bool good;
	} rows[] = {{0, 4711, 0640, true}, {0, 4711, 0440, true}, {0, 4711, 0660, false},
		{0, 4711, 0644, false}, {0, 4712, 0640, false}, {0, 0, 0640, false},
		{4711, 4711, 0640, false}};

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root can become somebody else */
	assert_int_equal(chmod(folder, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		int status;
		pid_t pid;

		write_file("dapi1234", 8, rows[i].mode);
		assert_int_equal(chown(path, rows[i].uid, rows[i].gid), 0);
		pid = fork();
		if (pid == 0) {
			gid_t groups[] = {4712, 0};
			struct secret *s;

			if (setgroups(2, groups) < 0 || setresgid(4711, 4711, 4711) < 0 ||
				setresuid(4711, 4711, 4711) < 0)
				_exit(2);
			s = read_as(path, NULL, SECRETFILE_WORD, &err);
			_exit(!s == rows[i].good || (secretfile_look(path, 4711, &err) == 1) != rows[i].good);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("row %zu: 0x%x", i, (unsigned)status);
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
		struct err err = ERR_INIT;

		write_file("dapi1234", 8, 0600);
		assert_int_equal(chown(path, rows[i].uid, (gid_t)-1), 0);
		if (rows[i].good)
			check_is(SECRETFILE_WORD, "dapi1234");
		else
			check_refused("only root, who reads it here, or the service's user may own it");
		assert_int_equal(secretfile_look(path, SECRETFILE_ANYBODY, &err), 1);
		assert_int_equal(secretfile_look(path, 0, &err), rows[i].good ? 1 : -EPERM);
	}
}

static void only_regular_files(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	check_refused("No such file or directory");
	assert_int_equal(secretfile_look(path, SECRETFILE_ANYBODY, &err), -ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	check_refused("is not a regular file");
	assert_int_equal(secretfile_look(path, SECRETFILE_ANYBODY, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is not a regular file"));
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	check_refused("is not a regular file");
	assert_int_equal(secretfile_look(path, SECRETFILE_ANYBODY, &err), -EINVAL);
	rmdir(path);
	assert_int_equal(symlink("token2", path), 0);
	check_refused("No such file or directory");
}

static void a_link_is_judged_by_its_end(void **state)
{
	char other[128];

	(void)state;
	snprintf(other, sizeof(other), "%s/other", folder);
	write_file("dapi1234", 8, 0600);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink("other", path), 0);
	check_is(SECRETFILE_WORD, "dapi1234");
	assert_int_equal(chmod(other, 0644), 0);
	check_refused("chmod 600");
	unlink(other);
}

static void errors_hold_nothing_of_the_secret(void **state)
{
	struct err err;

	(void)state;
	write_file("dapi-very-secret x", 18, 0600);
	assert_null(read_as(path, NULL, SECRETFILE_WORD, &err));
	assert_null(strstr(err.text, "secret "));
	assert_null(strstr(err.text, "very"));
}

static void credentials_of_systemd(void **state)
{
	static const char *const none[] = {NULL, "", "tmp"};
	struct err err;

	(void)state;
	/* systemd's access control list shows as 0440: the group's bit is the list's mask */
	for (mode_t mode = 0400; mode <= 0440; mode += 040) {
		write_file("dapi1234", 8, mode);

		struct secret *s = read_as("credential:token", folder, SECRETFILE_WORD, &err);

		assert_non_null(s);
		assert_string_equal(secret_bytes(s), "dapi1234");
		secret_free(s);
	}
	write_file("dapi1234", 8, 0404);
	assert_null(read_as("credential:token", folder, SECRETFILE_WORD, &err));
	write_file("dapi1234", 8, 0460);
	assert_null(read_as("credential:token", folder, SECRETFILE_WORD, &err));
	assert_null(strstr(err.text, "chmod")); /* it is systemd's, and cannot be written */

	write_file("dapi1234", 8, 0400);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		assert_null(read_as("credential:token", none[i], SECRETFILE_WORD, &err));
		assert_non_null(strstr(err.text, "LoadCredential="));
	}
	assert_int_equal(secretfile_look("credential:token", SECRETFILE_ANYBODY, &err), 1);
}

static void credential_names_stay_in_their_folder(void **state)
{
	static const char *const names[] = {"credential:", "credential:.", "credential:..",
		"credential:../token", "credential:/etc/passwd", "credential:a/b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct err err;

		assert_null(read_as(names[i], folder, SECRETFILE_WORD, &err));
		assert_int_equal(err.class, ERR_CONF);
		assert_non_null(strstr(err.text, "does not name a credential"));
	}
}

static void a_look_reads_nothing(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(secretfile_look(NULL, SECRETFILE_ANYBODY, &err), 1);
	write_file("", 0, 0600);
	assert_int_equal(secretfile_look(path, SECRETFILE_ANYBODY, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is empty"));
	write_file("not one word", 12, 0600);
	assert_int_equal(secretfile_look(path, SECRETFILE_ANYBODY, &err), 1);
}

/* By any user, whoever owns the file, while nobody knows who will run the service. */
static void a_look_into_it(void **state)
{
	static const struct {
		const char *bytes, *complaint;
	} rows[] = {
		{"dapi123\n", NULL},
		{"not one word", "byte 4 cannot be part of it"},
		{"\n", "is empty"},
	};
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_SECRET struct secret *s = secret_new(SECRETFILE_ROOM_BYTES);

		write_file(rows[i].bytes, strlen(rows[i].bytes), 0600);
		if (geteuid() == 0)
			assert_int_equal(chown(path, 12345, 12345), 0);
		assert_int_equal(secretfile_look_into(path, SECRETFILE_WORD, SECRETFILE_ANYBODY, s, &err),
			rows[i].complaint ? -EINVAL : 1);
		if (rows[i].complaint)
			assert_non_null(strstr(err.text, rows[i].complaint));
		if (geteuid() != 0)
			continue;
		assert_int_equal(seteuid(65534), 0);
		assert_int_equal(secretfile_look_into(path, SECRETFILE_WORD, SECRETFILE_ANYBODY, s, &err), 0);
		assert_non_null(strstr(err.text, "cannot be read by this user, not checked"));
		assert_int_equal(secretfile_look_into(path, SECRETFILE_WORD, 65534, s, &err), -EACCES);
		assert_int_equal(seteuid(0), 0);
	}
	assert_int_equal(
		secretfile_look_into("credential:token", SECRETFILE_WORD, SECRETFILE_ANYBODY, NULL, &err), 0);
}

/* README: the file made without -o brickwatch. */
static void what_the_service_could_not_read(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_file("dapi1234", 8, 0600);
	assert_int_equal(secretfile_look(path, 0, &err), 1);
	assert_int_equal(err.class, ERR_NONE);
	assert_int_equal(secretfile_look(path, 4711, &err), 0);
	assert_non_null(strstr(err.text, "a service of user 4711"));
	assert_non_null(strstr(err.text, "run: chown 4711 "));
	assert_int_equal(chown(path, 4711, 0), 0);
	err = ERR_INIT;
	assert_int_equal(secretfile_look(path, 4711, &err), 1);
	assert_int_equal(err.class, ERR_NONE);
}

static void a_whole_file_as_it_stands(void **state)
{
	static char text[SECRETFILE_WHOLE_BYTES + 1];
	struct secret *s = secret_new(SECRETFILE_WHOLE_BYTES);
	struct err err = ERR_INIT;

	(void)state;
	write_file("[a]\r\n\0\n\n", 9, 0600);
	assert_int_equal(secretfile_add(path, NULL, SECRETFILE_WHOLE, s, &err), 0);
	assert_int_equal(secret_len(s), 9);
	assert_memory_equal(secret_bytes(s), "[a]\r\n\0\n\n", 9);
	secret_truncate(s, 0);
	memset(text, 'x', sizeof(text));
	write_file(text, SECRETFILE_WHOLE_BYTES, 0600);
	assert_int_equal(secretfile_add(path, NULL, SECRETFILE_WHOLE, s, &err), 0);
	secret_truncate(s, 0);
	write_file(text, SECRETFILE_WHOLE_BYTES + 1, 0600);
	assert_int_equal(secretfile_add(path, NULL, SECRETFILE_WHOLE, s, &err), -EFBIG);
	assert_non_null(strstr(err.text, "longer than 262144 bytes"));
	write_file("[a]\n", 4, 0640);
	assert_int_equal(secretfile_add(path, NULL, SECRETFILE_WHOLE, s, &err), -EPERM);
	secret_free(s);
}

static void it_says_when_it_was_changed(void **state)
{
	const struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000001, .tv_nsec = 5000}};
	struct secret *s = secret_new(2 * SECRETFILE_ROOM_BYTES);
	struct err err = ERR_INIT;
	int64_t changed_us = 7;

	(void)state;
	write_file("x", 1, 0600);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_int_equal(secretfile_add_dated(path, NULL, SECRETFILE_WORD, s, &changed_us, &err), 0);
	assert_int_equal(changed_us, INT64_C(1700000001000005));
	write_file("two words", 9, 0600);
	assert_int_equal(secretfile_add_dated(path, NULL, SECRETFILE_WORD, s, &changed_us, &err), -EINVAL);
	assert_int_equal(changed_us, INT64_C(1700000001000005));
	secret_free(s);
	assert_true(secretfile_is_handed_over("credential:x"));
	assert_false(secretfile_is_handed_over("/credential:x"));
}

static void where_a_file_is(void **state)
{
	struct err err = ERR_INIT;
	char *found = NULL;

	(void)state;
	write_file("-----BEGIN", 10, 0644);
	/* certificates may be read by all */
	assert_int_equal(secretfile_find(path, NULL, false, &found, &err), 0);
	assert_string_equal(found, path);
	free(found);
	found = NULL;
	assert_int_equal(secretfile_find(path, NULL, true, &found, &err), -EPERM);
	assert_null(found);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(secretfile_find("credential:token", folder, true, &found, &err), 0);
	assert_string_equal(found, path);
	free(found);
	found = NULL;
	assert_int_equal(secretfile_find("credential:token", NULL, false, &found, &err), -ENOENT);
	assert_int_equal(secretfile_find("credential:../x", folder, false, &found, &err), -EINVAL);
	unlink(path);
	assert_int_equal(secretfile_find(path, NULL, true, &found, &err), -ENOENT);
	assert_null(found);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(line_ends_do_not_count),
		TEST(it_is_added_to_what_is_there),
		TEST(what_is_no_word_is_refused),
		TEST(what_is_no_line_is_refused),
		TEST(length_to_the_byte),
		TEST(mode_must_keep_others_out),
		TEST(own_group_may_read),
		TEST(owner_must_be_root_or_us),
		TEST(only_regular_files),
		TEST(a_link_is_judged_by_its_end),
		TEST(errors_hold_nothing_of_the_secret),
		TEST(credentials_of_systemd),
		TEST(credential_names_stay_in_their_folder),
		TEST(a_look_reads_nothing),
		TEST(where_a_file_is),
		TEST(a_look_into_it),
		TEST(what_the_service_could_not_read),
		TEST(a_whole_file_as_it_stands),
		TEST(it_says_when_it_was_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
