#define _GNU_SOURCE 1
#include "base/gzip.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/mem.h"
#include "patience.h"

#define LINE_MAX_BYTES 100000

static char top[64];
static char plain_path[96], gz_path[96];

static int make_top(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/test_base_gzip.XXXXXX");
	if (mkdtemp(top) == NULL)
		return -1;
	snprintf(plain_path, sizeof(plain_path), "%s/plain", top);
	snprintf(gz_path, sizeof(gz_path), "%s/file.gz", top);
	return 0;
}

static int remove_top(void **state)
{
	(void)state;
	unlink(plain_path);
	unlink(gz_path);
	return rmdir(top); /* fails when anything else was left */
}

static void write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, p, n), 0);
	close(fd);
}

/* The same bytes every time; compress well in parts only. */
static char *make_data(size_t n)
{
	char *data = mem_alloc(n + 1);
	uint32_t seed = 9;

	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		data[i] = i / 5000 % 2 ? (char)(seed >> 24) : (char)("0123456789\n"[i % 11]);
	}
	return data;
}

/* Compresses plain_path in steps; the number of steps. */
static int compress(size_t step_bytes)
{
	struct err e = ERR_INIT;
	struct gzip_job *j = gzip_job_new(plain_path, gz_path, 0640, &e);
	int steps = 0, r = 1;

	assert_non_null(j);
	while (r == 1) {
		r = gzip_job_step(j, step_bytes, &e);
		steps++;
	}
	assert_int_equal(r, 0);
	assert_int_equal(gzip_job_step(j, step_bytes, &e), 0);
	gzip_job_free(j);
	return steps;
}

/* All the lines joined again, with the result of the last call. */
static int read_all(const char *path, struct buf *all, bool *ret_torn)
{
	CLEANUP_BUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
	struct err e = ERR_INIT;
	struct gzip_reader *r = gzip_reader_open(path, &e);
	bool torn = false;
	int x;

	assert_non_null(r);
	while ((x = gzip_reader_line(r, &line, &torn, &e)) > 0) {
		buf_add(all, line.data, line.len);
		if (!torn)
			buf_addc(all, '\n');
	}
	if (x < 0) {
		assert_non_null(strstr(e.text, path));
		assert_int_equal(gzip_reader_line(r, &line, NULL, &e), x);
	}
	assert_int_equal(line.len, 0);
	gzip_reader_close(r);
	*ret_torn = torn;
	return x;
}

static void expect_content(const char *path, const void *p, size_t n)
{
	CLEANUP_BUF struct buf all = BUF_INIT(n + 100);
	bool torn;

	assert_int_equal(read_all(path, &all, &torn), 0);
	assert_int_equal(all.len, n);
	if (n > 0) {
		assert_memory_equal(all.data, p, n);
		assert_int_equal(torn, ((const char *)p)[n - 1] != '\n');
	}
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 10, 65535, 65536, 65537, 131072, 300000};
	static const size_t steps[] = {1000, 65536, 100000, 10000000};
	CLEANUP_FREE char *data = make_data(300000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		write_file(plain_path, data, sizes[i]);
		expect_content(plain_path, data, sizes[i]);
		for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
			struct stat st;
			int n = compress(steps[k]);

			assert_true((size_t)n >= sizes[i] / steps[k]);
			assert_true((size_t)n <= sizes[i] / steps[k] + 1);
			expect_content(gz_path, data, sizes[i]);
			assert_int_equal(stat(gz_path, &st), 0);
			assert_int_equal(st.st_mode & 07777, 0640);
			unlink(gz_path);
		}
	}
}

/* What cannot be compressed comes out longer than it went in: more than one turn of the output. The umask
 * must not matter. */
static void test_incompressible(void **state)
{
	size_t size = patience_is_short() ? 200000 : 1000000;
	CLEANUP_FREE char *data = mem_alloc(size);
	mode_t mask = umask(077);
	uint32_t seed = 11;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525u + 1013904223u;
		data[i] = i % 1000 == 999 ? '\n' : (char)(seed >> 24);
	}
	write_file(plain_path, data, size);
	/* steps that read pieces of several sizes, so that the compressor's blocks end at different places of
	 * them */
	for (size_t step = 66000; step < 130000; step += 9000) {
		compress(step);
		expect_content(gz_path, data, size);
		assert_int_equal(stat(gz_path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		unlink(gz_path);
	}
	umask(mask);
}

/* Made by gzip 1.12, so that we do not only understand ourselves: with a file name, without, an empty one. */
static const unsigned char named_gz[] = {0x1f, 0x8b, 0x08, 0x08, 0xa1, 0x24, 0x03, 0x6b, 0x02, 0x03, 0x6e,
	0x2e, 0x74, 0x78, 0x74, 0x00, 0xcb, 0xcf, 0x4b, 0xe5, 0x2a, 0x29, 0xcf, 0xe7, 0x02, 0x00, 0xe6, 0x0b,
	0xba, 0x12, 0x08, 0x00, 0x00, 0x00}; /* "one\ntwo\n" */
static const unsigned char torn_gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b,
	0x4c, 0x4a, 0x06, 0x00, 0xc2, 0x41, 0x24, 0x35, 0x03, 0x00, 0x00, 0x00}; /* "abc" */
static const unsigned char empty_gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x03,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

static void test_foreign_members(void **state)
{
	unsigned char file[200];
	size_t n = 0;

	(void)state;
	write_file(gz_path, named_gz, sizeof(named_gz));
	expect_content(gz_path, "one\ntwo\n", 8);
	write_file(gz_path, torn_gz, sizeof(torn_gz));
	expect_content(gz_path, "abc", 3);
	write_file(gz_path, empty_gz, sizeof(empty_gz));
	expect_content(gz_path, "", 0);
	/* several in one file; a line may go over the border */
	memcpy(file + n, torn_gz, sizeof(torn_gz));
	n += sizeof(torn_gz);
	memcpy(file + n, empty_gz, sizeof(empty_gz));
	n += sizeof(empty_gz);
	memcpy(file + n, named_gz, sizeof(named_gz));
	n += sizeof(named_gz);
	memcpy(file + n, torn_gz, sizeof(torn_gz));
	n += sizeof(torn_gz);
	write_file(gz_path, file, n);
	expect_content(gz_path, "abcone\ntwo\nabc", 14);
	/* other bytes behind it: told, after everything good was given out */
	for (size_t more = 1; more < 4; more++) {
		CLEANUP_BUF struct buf all = BUF_INIT(100);
		bool torn;

		memcpy(file, named_gz, sizeof(named_gz));
		memset(file + sizeof(named_gz), 0, more);
		write_file(gz_path, file, sizeof(named_gz) + more);
		assert_int_equal(read_all(gz_path, &all, &torn), -EBADMSG);
		assert_string_equal(buf_str(&all), "one\ntwo\n");
	}
}

static bool is_prefix(const struct buf *b, const char *data, size_t n)
{
	return b->len <= n && (b->len == 0 || memcmp(b->data, data, b->len) == 0);
}

/* Cut at every byte: an error at the end, and before it nothing but good whole lines. */
static void test_cut_short(void **state)
{
	CLEANUP_FREE char *data = make_data(8000);
	CLEANUP_BUF struct buf gz = BUF_INIT(20000);
	size_t longest = 0;

	(void)state;
	data[7999] = '\n';
	write_file(plain_path, data, 8000);
	compress(100000);
	assert_int_equal(fs_read_file(gz_path, 20000, &gz, NULL), 0);
	for (size_t n = 2; n < gz.len; n++) {
		CLEANUP_BUF struct buf all = BUF_INIT(10000);
		bool torn;

		write_file(gz_path, gz.data, n);
		assert_int_equal(read_all(gz_path, &all, &torn), -EBADMSG);
		assert_true(is_prefix(&all, data, 8000));
		assert_true(all.len == 0 || all.data[all.len - 1] == '\n');
		if (all.len > longest)
			longest = all.len;
	}
	/* all but the checksum is there: every line was given out */
	assert_int_equal(longest, 8000);
	/* shorter than the magic: a plain file */
	write_file(gz_path, gz.data, 1);
	expect_content(gz_path, "\x1f", 1);
	write_file(gz_path, gz.data, 0);
	expect_content(gz_path, "", 0);
}

/* Every bit of a member turned over: an error or the same content, never anything worse. */
static void test_damaged(void **state)
{
	(void)state;
	for (size_t i = 2; i < sizeof(named_gz); i++)
		for (int bit = 0; bit < 8; bit++) {
			CLEANUP_BUF struct buf all = BUF_INIT(10000);
			unsigned char copy[sizeof(named_gz)];
			bool torn;

			memcpy(copy, named_gz, sizeof(copy));
			copy[i] ^= (unsigned char)(1 << bit);
			write_file(gz_path, copy, sizeof(copy));

			int r = read_all(gz_path, &all, &torn);

			assert_true(r == -EBADMSG || (r == 0 && strcmp(buf_str(&all), "one\ntwo\n") == 0));
		}
}

static void test_plain_lines(void **state)
{
	static const char text[] = "one\n\nthree\0x\nlast";
	CLEANUP_BUF struct buf b = BUF_INIT(100);
	struct gzip_reader *r;
	bool torn = true;

	(void)state;
	write_file(plain_path, text, sizeof(text) - 1);
	r = gzip_reader_open(plain_path, NULL);
	assert_non_null(r);
	assert_int_equal(gzip_reader_line(r, &b, &torn, NULL), 1);
	assert_string_equal(buf_str(&b), "one");
	assert_false(torn);
	assert_int_equal(gzip_reader_line(r, &b, NULL, NULL), 1);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(gzip_reader_line(r, &b, &torn, NULL), 1);
	assert_int_equal(b.len, 7);
	assert_memory_equal(b.data, "three\0x", 7);
	assert_int_equal(gzip_reader_line(r, &b, &torn, NULL), 1);
	assert_string_equal(buf_str(&b), "last");
	assert_true(torn);
	assert_int_equal(gzip_reader_line(r, &b, &torn, NULL), 0);
	assert_int_equal(gzip_reader_line(r, &b, &torn, NULL), 0);
	gzip_reader_close(r);
	gzip_reader_close(NULL);
}

/* Lines of all lengths around the ceiling and around the size of a chunk; after one too long the next is
 * whole. */
static void test_long_lines(void **state)
{
	static const size_t lengths[] = {9, 10, 11, 65535, 65536, 65537, 131071, 131072, 131073};

	(void)state;
	for (int zip = 0; zip < 2; zip++)
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
			for (size_t max = lengths[i] - 1; max <= lengths[i] + 1; max++) {
				CLEANUP_BUF struct buf b = BUF_INIT(max);
				CLEANUP_FREE char *data = mem_alloc(lengths[i] + 6);
				struct err e = ERR_INIT;
				bool torn;

				memset(data, 'x', lengths[i]);
				memcpy(data + lengths[i], "\nnext\n", 6);
				write_file(plain_path, data, lengths[i] + 6);
				if (zip)
					compress(10000000);

				struct gzip_reader *r = gzip_reader_open(zip ? gz_path : plain_path, &e);
				int x = gzip_reader_line(r, &b, &torn, &e);

				assert_int_equal(x, max < lengths[i] ? -EFBIG : 1);
				assert_int_equal(b.len, x < 0 ? 0 : lengths[i]);
				if (x < 0)
					assert_int_equal(e.class, ERR_LIMIT);
				assert_int_equal(gzip_reader_line(r, &b, &torn, &e), 1);
				assert_string_equal(buf_str(&b), "next");
				assert_int_equal(gzip_reader_line(r, &b, &torn, &e), 0);
				gzip_reader_close(r);
				unlink(gz_path);
			}
}

/* A last line that is too long and has no end is told once, then the end. */
static void test_long_torn_line(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(3);
	struct gzip_reader *r;

	(void)state;
	write_file(plain_path, "abcdef", 6);
	r = gzip_reader_open(plain_path, NULL);
	assert_int_equal(gzip_reader_line(r, &b, NULL, NULL), -EFBIG);
	assert_int_equal(gzip_reader_line(r, &b, NULL, NULL), 0);
	gzip_reader_close(r);
}

/* A pipe gives out the first bytes one by one: the magic is still seen. */
static void test_from_a_pipe(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(100);
	char path[64];
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_DIRECT), 0); /* packets: one read, one write */
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(write(fds[1], &named_gz[i], 1), 1);
	assert_int_equal(write(fds[1], named_gz + 4, sizeof(named_gz) - 4), sizeof(named_gz) - 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);

	struct gzip_reader *r = gzip_reader_open(path, NULL);

	assert_non_null(r);
	close(fds[1]);
	assert_int_equal(gzip_reader_line(r, &b, NULL, NULL), 1);
	assert_string_equal(buf_str(&b), "one");
	assert_int_equal(gzip_reader_line(r, &b, NULL, NULL), 1);
	assert_string_equal(buf_str(&b), "two");
	assert_int_equal(gzip_reader_line(r, &b, NULL, NULL), 0);
	gzip_reader_close(r);
	close(fds[0]);
}

static void test_open_errors(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_null(gzip_reader_open(plain_path, &e));
	assert_int_equal(e.code, ENOENT);
	assert_null(gzip_reader_open(top, &e));
	assert_int_equal(e.code, EISDIR);
	assert_null(gzip_job_new(plain_path, gz_path, 0600, &e));
	assert_int_equal(e.code, ENOENT);
	assert_int_equal(stat(gz_path, &st), -1);
	/* the target is there already: it is not ours, so it stays as it is */
	write_file(plain_path, "new", 3);
	write_file(gz_path, "old", 3);
	assert_null(gzip_job_new(plain_path, gz_path, 0600, &e));
	assert_int_equal(e.code, EEXIST);
	assert_non_null(strstr(e.text, gz_path));
	expect_content(gz_path, "old", 3);
}

static void test_unfinished_is_removed(void **state)
{
	struct err e = ERR_INIT;
	struct gzip_job *j;
	struct stat st;

	(void)state;
	write_file(plain_path, "0123456789", 10);
	j = gzip_job_new(plain_path, gz_path, 0600, &e);
	assert_int_equal(gzip_job_step(j, 3, &e), 1);
	assert_int_equal(stat(gz_path, &st), 0);
	gzip_job_free(j);
	assert_int_equal(stat(gz_path, &st), -1);
	gzip_job_free(NULL);
	/* the source stays */
	expect_content(plain_path, "0123456789", 10);
}

/* The disk ends in the middle. */
static void test_does_not_fit(void **state)
{
	CLEANUP_FREE char *data = make_data(300000);
	struct rlimit old, little;
	struct err e = ERR_INIT;
	struct stat st;
	int r = 1;

	(void)state;
	write_file(plain_path, data, 300000);

	struct gzip_job *j = gzip_job_new(plain_path, gz_path, 0600, &e);

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	little = (struct rlimit){.rlim_cur = 20000, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	while (r == 1)
		r = gzip_job_step(j, 50000, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(e.text, gz_path));
	assert_int_equal(stat(gz_path, &st), -1);
	assert_int_equal(gzip_job_step(j, 50000, &e), -EFBIG);
	gzip_job_free(j);
}

/* The source cannot be read (a directory can be opened, not read). */
static void test_source_fails(void **state)
{
	struct err e = ERR_INIT;
	struct stat st;
	struct gzip_job *j = gzip_job_new("/", gz_path, 0600, &e);

	(void)state;
	assert_non_null(j);
	assert_int_equal(gzip_job_step(j, 10, &e), -EISDIR);
	assert_int_equal(stat(gz_path, &st), -1);
	gzip_job_free(j);
}

#define IN_SCRATCH(f) cmocka_unit_test_setup_teardown(f, make_top, remove_top)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCRATCH(test_round_trip),
		IN_SCRATCH(test_incompressible),
		IN_SCRATCH(test_foreign_members),
		IN_SCRATCH(test_cut_short),
		IN_SCRATCH(test_damaged),
		IN_SCRATCH(test_plain_lines),
		IN_SCRATCH(test_long_lines),
		IN_SCRATCH(test_long_torn_line),
		IN_SCRATCH(test_from_a_pipe),
		IN_SCRATCH(test_open_errors),
		IN_SCRATCH(test_unfinished_is_removed),
		IN_SCRATCH(test_does_not_fit),
		IN_SCRATCH(test_source_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
