#include "base/secret.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#ifdef __has_feature
#define HAS_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#else
#define HAS_ASAN 0
#endif

static const bool mlock_is_a_dummy = HAS_ASAN; /* AddressSanitizer makes mlock(2) do nothing */

/* The VmFlags word of the mapping that holds p, as /proc/self/smaps has it: "lo" locked, "dd" do not dump. */
static bool mapping_has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[1024];
	bool inside = false, has = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		if (inside && strncmp(line, "VmFlags:", 8) == 0)
			has = strstr(line, flag) != NULL;
	}
	fclose(f);
	return has;
}

static void a_new_one_is_empty(void **state)
{
	struct secret *s = secret_new(10);

	(void)state;
	assert_int_equal(secret_len(s), 0);
	assert_string_equal(secret_bytes(s), "");
	secret_free(s);
	secret_free(NULL);
}

static void adding_stops_at_the_room(void **state)
{
	struct secret *s = secret_new(8);

	(void)state;
	assert_int_equal(secret_add(s, "12345", 5), 0);
	assert_int_equal(secret_add(s, "6789", 4), -ENOBUFS);
	assert_string_equal(secret_bytes(s), "12345");
	assert_int_equal(secret_add(s, "678", 3), 0);
	assert_int_equal(secret_add(s, "", 0), 0);
	assert_int_equal(secret_add(s, "9", 1), -ENOBUFS);
	assert_string_equal(secret_bytes(s), "12345678");
	assert_int_equal(secret_len(s), 8);
	secret_free(s);
}

static void shortening_wipes(void **state)
{
	struct secret *s = secret_new(100);
	const char *p = secret_bytes(s);

	(void)state;
	assert_int_equal(secret_add(s, "dapi-0123456789", 15), 0);
	secret_truncate(s, 4);
	assert_string_equal(p, "dapi");
	for (size_t i = 4; i < 100; i++)
		assert_int_equal(p[i], 0);
	secret_truncate(s, 4);
	secret_truncate(s, 0);
	assert_int_equal(p[0], 0);
	secret_free(s);
}

static void locked_and_not_dumped(void **state)
{
	struct rlimit limit;
	struct secret *s = secret_new(100000);

	(void)state;
	assert_true(mapping_has_flag(secret_bytes(s), " dd"));
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (!mlock_is_a_dummy && (geteuid() == 0 || limit.rlim_cur >= 1024 * 1024))
		assert_true(mapping_has_flag(secret_bytes(s), " lo"));
	secret_free(s);
}

static void gone_with_the_last_owner(void **state)
{
	struct secret *s = secret_new(4096);
	const char *p = secret_bytes(s);
	struct secret *t = secret_ref(s);

	(void)state;
	assert_ptr_equal(s, t);
	secret_free(s);
	assert_true(mapping_has_flag(p, " dd"));
	secret_free(t);
	assert_false(mapping_has_flag(p, " dd"));
}

/* A pipe with these bytes and an end. */
static int pipe_with(const char *bytes, size_t n)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], bytes, n), n);
	close(fds[1]);
	return fds[0];
}

static void reading_to_the_end(void **state)
{
	struct secret *s = secret_new(10);
	int fd = pipe_with("2345", 4);

	(void)state;
	assert_int_equal(secret_add(s, "1", 1), 0);
	assert_int_equal(secret_read(s, fd), 0);
	assert_string_equal(secret_bytes(s), "12345");
	close(fd);

	fd = pipe_with("67890", 5); /* exactly full */
	assert_int_equal(secret_read(s, fd), 0);
	assert_string_equal(secret_bytes(s), "1234567890");
	close(fd);

	fd = pipe_with("", 0);
	assert_int_equal(secret_read(s, fd), 0);
	assert_int_equal(secret_len(s), 10);
	close(fd);
	secret_free(s);
}

static void reading_too_much_leaves_nothing(void **state)
{
	struct secret *s = secret_new(10);
	const char *p = secret_bytes(s);
	int fd = pipe_with("abcdefghijklmnop", 16);

	(void)state;
	assert_int_equal(secret_add(s, "123", 3), 0);
	assert_int_equal(secret_read(s, fd), -EFBIG);
	assert_string_equal(p, "123");
	for (size_t i = 3; i <= 10; i++)
		assert_int_equal(p[i], 0);
	assert_int_equal(secret_read(s, -1), -EBADF);
	assert_string_equal(p, "123");
	close(fd);
	secret_free(s);
}

static void equality(void **state)
{
	static const struct {
		const char *a, *b;
	} rows[] = {{"", ""}, {"a", "a"}, {"a", "b"}, {"a", ""}, {"ab", "a"}, {"abc", "abd"}, {"xbc", "abc"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct secret *a = secret_new(10), *b = secret_new(20);

		assert_int_equal(secret_add(a, rows[i].a, strlen(rows[i].a)), 0);
		assert_int_equal(secret_add(b, rows[i].b, strlen(rows[i].b)), 0);
		assert_int_equal(secret_is_equal(a, b), strcmp(rows[i].a, rows[i].b) == 0);
		assert_true(secret_is_equal(a, a));
		secret_free(a);
		secret_free(b);
	}
}

static void base64_of_every_length(void **state)
{
	static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"},
		{"user:p\xc3\xa4ss", "dXNlcjpww6Rzcw=="}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t need = strlen(rows[i][1]);
		struct secret *s = secret_new(need + 1), *small = secret_new(need > 0 ? need : 1);

		assert_int_equal(secret_add(s, "=", 1), 0);
		assert_int_equal(secret_add_base64(s, rows[i][0], strlen(rows[i][0])), 0);
		assert_string_equal(secret_bytes(s) + 1, rows[i][1]);
		assert_int_equal(secret_add(small, "=", 1), 0);
		if (need > 0)
			assert_int_equal(secret_add_base64(small, rows[i][0], strlen(rows[i][0])), -ENOBUFS);
		assert_string_equal(secret_bytes(small), "=");
		secret_free(s);
		secret_free(small);
	}
}

static void forms_as_the_standard_has_them(void **state)
{
	static const char *const rows[][2] = {{"", ""}, {"azAZ09-._*", "azAZ09-._*"}, {"a b", "a+b"},
		{"+&=%~:/", "%2B%26%3D%25%7E%3A%2F"}, {"\xc3\xa4\n", "%C3%A4%0A"}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t need = strlen(rows[i][1]);
		struct secret *s = secret_new(need), *small = secret_new(need > 0 ? need - 1 : 0);

		assert_int_equal(secret_add_form(s, rows[i][0], strlen(rows[i][0])), 0);
		assert_string_equal(secret_bytes(s), rows[i][1]);
		if (need > 0)
			assert_int_equal(secret_add_form(small, rows[i][0], strlen(rows[i][0])), -ENOBUFS);
		assert_int_equal(secret_len(small), 0);
		secret_free(s);
		secret_free(small);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_one_is_empty),
		cmocka_unit_test(adding_stops_at_the_room),
		cmocka_unit_test(shortening_wipes),
		cmocka_unit_test(locked_and_not_dumped),
		cmocka_unit_test(gone_with_the_last_owner),
		cmocka_unit_test(reading_to_the_end),
		cmocka_unit_test(reading_too_much_leaves_nothing),
		cmocka_unit_test(equality),
		cmocka_unit_test(base64_of_every_length),
		cmocka_unit_test(forms_as_the_standard_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
