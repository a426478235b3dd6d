/* sense/probe: the read lease, the ends, the bytes, on real files. */
#include "sense/probe.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/sha256.h"

static char dir[64];
static int dir_fd;

static int test_setup(void **state)
{
	(void)state;
	(void)signal(SIGIO, SIG_IGN);
	(void)snprintf(dir, sizeof(dir), "/dev/shm/bw-probe.XXXXXX"); /* tmpfs: leases tell the truth there */
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

static int test_teardown(void **state)
{
	static const char *const names[] = {"f", "g", "link", "fifo", "big"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(dir_fd, names[i], 0);
	close(dir_fd);
	return rmdir(dir);
}

static int test_file(const char *name, const void *bytes, size_t n)
{
	int fd = openat(dir_fd, name, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	return fd;
}

static void test_lease(void **state)
{
	int writer = test_file("f", "x", 1), reader = probe_open(dir_fd, "f", NULL), other;
	void *map;

	(void)state;
	assert_true(reader >= 0);
	assert_int_equal(probe_lease(reader, true), SETTLE_LEASE_OPEN);
	assert_int_equal(probe_lease(reader, false), SETTLE_LEASE_OPEN); /* a refusal is always true */
	map = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);
	close(writer);
	assert_int_equal(probe_lease(reader, true), SETTLE_LEASE_OPEN); /* mapped for writing still */
	munmap(map, 1);
	assert_int_equal(probe_lease(reader, true), SETTLE_LEASE_FREE);
	assert_int_equal(probe_lease(reader, false), SETTLE_LEASE_UNKNOWN);
	assert_int_equal(linkat(dir_fd, "f", dir_fd, "g", 0), 0);
	writer = openat(dir_fd, "g",
		O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC); /* nothing is held: it opens at once */
	assert_true(writer >= 0);
	assert_int_equal(probe_lease(reader, true), SETTLE_LEASE_OPEN);
	close(writer);
	other = openat(dir_fd, "f", O_RDONLY | O_CLOEXEC);
	assert_int_equal(probe_lease(reader, true), SETTLE_LEASE_FREE); /* readers do not matter */
	close(other);
	close(reader);
}

static void test_open_is_careful(void **state)
{
	struct probe_stat st;
	int fd;

	(void)state;
	assert_int_equal(symlinkat("/etc/passwd", dir_fd, "link"), 0);
	assert_int_equal(probe_open(dir_fd, "link", NULL), -ELOOP);
	assert_int_equal(probe_name(dir_fd, "link", NULL, &st), 0);
	assert_true(st.is_symlink && !st.is_regular);
	assert_int_equal(mkfifoat(dir_fd, "fifo", 0600), 0);
	fd = probe_open(dir_fd, "fifo", NULL); /* does not wait for a writer */
	assert_true(fd >= 0);
	assert_int_equal(probe_fd(fd, "fifo", NULL, &st), 0);
	assert_false(st.is_regular);
	close(fd);
	assert_int_equal(probe_open(dir_fd, "../shm", NULL), -EXDEV);
	assert_int_equal(probe_open(dir_fd, "nothing", NULL), -ENOENT);
	assert_int_equal(probe_name(dir_fd, "nothing", NULL, &st), -ENOENT);
}

static void test_ends_of(const uint8_t *bytes, size_t n)
{
	const size_t end = VERSION_ENDS_BYTES;
	char got[VERSION_ENDS_HEX], want[SHA256_HEX_BYTES];
	uint8_t digest[SHA256_BYTES];
	struct sha256 *s = sha256_new();
	int fd = test_file("big", bytes, n);

	if (n < 2 * end) {
		sha256_add(s, bytes, n);
	} else {
		sha256_add(s, bytes, end);
		sha256_add(s, bytes + n - end, end);
	}
	sha256_end(s, digest);
	sha256_hex(digest, want);
	assert_int_equal(probe_ends(fd, (int64_t)n, "big", NULL, got), 0);
	assert_string_equal(got, want);
	assert_int_equal(
		probe_ends(fd, (int64_t)n + 1, "big", NULL, got), -ESTALE); /* it has become shorter */
	close(fd);
}

static void test_ends(void **state)
{
	static const size_t sizes[] = {0, 1, VERSION_ENDS_BYTES - 1, VERSION_ENDS_BYTES,
		VERSION_ENDS_BYTES + 1, 2 * VERSION_ENDS_BYTES - 1, 2 * VERSION_ENDS_BYTES,
		2 * VERSION_ENDS_BYTES + 1, 1000000};
	uint8_t *bytes = malloc(1000000);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < 1000000; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		test_ends_of(bytes, sizes[i]);
	free(bytes);
}

static void test_bytes(void **state)
{
	struct probe_bytes b;
	uint8_t bytes[FILETYPE_HEAD_BYTES + 100];
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	fd = test_file("f", bytes, sizeof(bytes));
	assert_int_equal(probe_bytes(fd, sizeof(bytes), "f", NULL, &b), 0);
	assert_int_equal(b.head_len, FILETYPE_HEAD_BYTES);
	assert_memory_equal(b.head, bytes, b.head_len);
	assert_int_equal(b.tail_len, FILETYPE_TAIL_BYTES);
	assert_memory_equal(b.tail, bytes + sizeof(bytes) - FILETYPE_TAIL_BYTES, b.tail_len);
	close(fd);
	fd = test_file("f", "ab", 2);
	assert_int_equal(probe_bytes(fd, 2, "f", NULL, &b), 0);
	assert_int_equal(b.head_len, 2);
	assert_int_equal(b.tail_len, 2);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lease, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_open_is_careful, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_ends, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_bytes, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
