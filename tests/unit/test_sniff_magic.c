/*
 * sniff/magic with the libmagic and the magic file of this machine.
 */
#include "sniff/magic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <magic.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

static int file_with(const void *p, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, p, n), 0);
	return fd;
}

static struct magic_reader *reader_open(void)
{
	struct err err = ERR_INIT;
	struct magic_reader *r = magic_reader_open(NULL, &err);

	if (!r)
		fail_msg("%s", err.text);
	return r;
}

static void assert_type(struct magic_reader *r, int fd, int64_t max_bytes, const char *mime)
{
	char got[FILETYPE_MIME_BYTES];
	struct err err = ERR_INIT;

	if (magic_reader_classify(r, fd, max_bytes, got, &err) < 0)
		fail_msg("%s: %s", mime, err.text);
	assert_string_equal(got, mime);
}

/* ---- types */

static const struct {
	const char *mime, *bytes;
	size_t n;
} known[] = {
#define ROW(mime, text)                                                                                      \
	{                                                                                                    \
		mime, text, sizeof(text) - 1                                                                 \
	}
	ROW("application/x-empty", ""),
	ROW("text/csv", "id,name,amount\n1,a,2.5\n2,b,3.5\n3,c,4.5\n"),
	ROW("application/json", "{\"a\": [1, 2, 3], \"b\": null}\n"),
	ROW("text/xml", "<?xml version=\"1.0\"?>\n<a><b>1</b></a>\n"),
	ROW("text/plain", "Nothing but words.\n"),
	ROW("application/gzip", "\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0"),
	ROW("application/octet-stream", "\x01\x02\x03\xff\xfe\x00\x07\x90\x81\xaa\x01\x02\x03\x00\x00"),
#undef ROW
};

static void test_known_types(void **state)
{
	struct magic_reader *r = reader_open();
	struct err err = ERR_INIT;

	(void)state;
	if (magic_reader_prove(r, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		int fd = file_with(known[i].bytes, known[i].n);

		assert_type(
			r, fd, 1 << 20, known[i].mime); /* the offset is at the end now: it must not matter */
		assert_type(r, fd, 1 << 20, known[i].mime);
		close(fd);
	}
	magic_reader_close(r);
}

/* A JSON document is one only as a whole: so this shows that max_bytes bounds what is read, and for each file
 * anew. */
static void test_max_bytes(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(1 << 20);
	struct magic_reader *r = reader_open();
	int fd;

	(void)state;
	buf_addc(&b, '{');
	for (int i = 0; i < 2000; i++)
		buf_addf(&b, "%s\"n%d\":\n  [%d, {}]", i ? ",\n" : "", i, i);
	assert_int_equal(buf_adds(&b, "}\n"), 0);
	fd = file_with(b.data, b.len);
	assert_type(r, fd, (int64_t)b.len, "application/json");
	assert_type(r, fd, 4096, "text/plain");
	assert_type(r, fd, MAGIC_READ_MAX, "application/json");
	close(fd);
	magic_reader_close(r);
}

/* ---- what is no file to judge */

static void assert_refused(struct magic_reader *r, int fd, int64_t max_bytes, int code, const char *words)
{
	char mime[FILETYPE_MIME_BYTES] = "untouched";
	struct err err = ERR_INIT;

	assert_int_equal(magic_reader_classify(r, fd, max_bytes, mime, &err), -code);
	assert_non_null(strstr(err.text, words));
	assert_string_equal(mime, "untouched");
}

static void test_refused(void **state)
{
	struct magic_reader *r = reader_open();
	int fds[2], fd;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_refused(r, fds[0], 4096, EINVAL, "not a regular file");
	close(fds[0]);
	close(fds[1]);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_refused(r, fd, 4096, EINVAL, "not a regular file");
	close(fd);
	assert_refused(r, fd, 4096, EBADF, "cannot look at the file");

	fd = file_with("text\n", 5);
	assert_refused(r, fd, 0, EINVAL, "cannot read 0 bytes");
	assert_refused(r, fd, -1, EINVAL, "cannot read -1 bytes");
	assert_refused(r, fd, MAGIC_READ_MAX + 1, EINVAL, "bytes of a file");
	assert_type(r, fd, 1, "application/octet-stream");
	close(fd);
	magic_reader_close(r);
}

static void test_read_error(void **state)
{
	char name[] = "/tmp/test_sniff_magic.XXXXXX";
	struct magic_reader *r = reader_open();
	int fd = mkostemp(name, O_CLOEXEC), writer;

	(void)state;
	assert_int_equal(fs_write_all(fd, "a,b\n1,2\n", 8), 0);
	writer = open(name, O_WRONLY | O_CLOEXEC);
	unlink(name);
	assert_refused(r, writer, 4096, EBADF, "cannot read the file: Bad file descriptor");
	assert_type(r, fd, 4096, "text/plain"); /* and the reader works on */
	close(writer);
	close(fd);
	magic_reader_close(r);
}

/* ---- the magic file */

static char *make_folder(void)
{
	char name[] = "/tmp/test_sniff_magic.XXXXXX";

	assert_non_null(mkdtemp(name));
	return mem_strdup(name);
}

static char *put_file(const char *folder, const char *name, const void *p, size_t n)
{
	char *path = fs_join(folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, p, n), 0);
	close(fd);
	return path;
}

static void drop_file(char *path)
{
	unlink(path);
	free(path);
}

/* Does libmagic, left alone, follow the environment to the poison? */
static void assert_poison_works(const char *sample, size_t n)
{
	magic_t plain = magic_open(MAGIC_MIME_TYPE);

	assert_int_equal(magic_load(plain, NULL), 0);
	assert_string_equal(magic_buffer(plain, sample, n), "application/x-poison");
	magic_close(plain);
}

static void assert_not_poisoned(const char *sample, size_t n)
{
	struct magic_reader *r = reader_open();
	int fd = file_with(sample, n);

	assert_type(r, fd, 4096, "application/pdf");
	close(fd);
	magic_reader_close(r);
}

static void test_environment_is_ignored(void **state)
{
	static const char poison[] = "0\tstring\t%PDF\tpoison\n!:mime application/x-poison\n";
	static const char sample[] = "%PDF-1.4\n1 0 obj\n";
	char *folder = make_folder();
	char *path = put_file(folder, ".magic", poison, sizeof(poison) - 1);

	(void)state;
	setenv("MAGIC", path, 1);
	assert_poison_works(sample, sizeof(sample) - 1);
	assert_not_poisoned(sample, sizeof(sample) - 1);
	unsetenv("MAGIC");
	setenv("HOME", folder, 1);
	assert_poison_works(sample, sizeof(sample) - 1);
	assert_not_poisoned(sample, sizeof(sample) - 1);
	drop_file(path);
	rmdir(folder);
	free(folder);
}

static void assert_not_opened(const char *path, const char *words)
{
	struct err err = ERR_INIT;

	assert_null(magic_reader_open(path, &err));
	if (!strstr(err.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, err.text);
}

static void assert_useless(char *path)
{
	char words[64];

	assert_not_opened(path, path);
	assert_not_opened(path, magic_version_text(words));
	assert_not_opened(path, "another version of libmagic");
	drop_file(path);
}

/* What the magic file must have done is missing here: its entries are all gone, but for what is built in. */
static void test_proof(void **state)
{
	char *folder = make_folder(), *path, *source;
	struct err err = ERR_INIT;
	struct magic_reader *r;
	magic_t compiler = magic_open(MAGIC_NONE);
	char here[4096];

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	source = put_file(folder, "little", "0\tstring\tlittle\tlittle\n!:mime application/x-little\n", 52);
	assert_int_equal(chdir(folder), 0); /* it is written there */
	assert_int_equal(magic_compile(compiler, source), 0);
	assert_int_equal(chdir(here), 0);
	magic_close(compiler);
	path = fs_join(folder, "little.mgc");
	r = magic_reader_open(path, &err);
	assert_non_null(r);
	assert_int_equal(magic_reader_prove(r, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "takes a sample of application/pdf for \"text/plain\""));
	magic_reader_close(r);
	drop_file(source);
	drop_file(path);
	rmdir(folder);
	free(folder);
}

static void test_bad_magic_files(void **state)
{
	char *folder = make_folder(), *path;
	struct magic_reader *r = reader_open();
	CLEANUP_BUF struct buf b = BUF_INIT(64 << 20);
	struct err err = ERR_INIT;

	(void)state;
	assert_not_opened(
		"/nonexistent/magic.mgc", "cannot open the magic file /nonexistent/magic.mgc: No such file");
	assert_not_opened("/", "/ is no magic file");
	path = put_file(folder, "empty.mgc", "", 0);
	assert_not_opened(path, "is no magic file");
	drop_file(path);

	/* The header is: magic number, version, both 32 bits; see libmagic's apprentice.c. */
	assert_int_equal(fs_read_file(magic_reader_path(r), b.max, &b, &err), 0);
	assert_useless(put_file(folder, "cut.mgc", b.data, b.len / 2 + 1));
	b.data[4]++;
	assert_useless(put_file(folder, "version.mgc", b.data, b.len));
	assert_useless(put_file(folder, "text:mgc", "nothing of the kind\n", 20));
	magic_reader_close(r);
	rmdir(folder);
	free(folder);
}

/* ---- small things */

static void test_clean_mime(void **state)
{
	static const struct {
		const char *said, *mime;
	} rows[] = {
		{"", ""},
		{"text/csv", "text/csv"},
		{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
			"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
		{"application/octet-streamapplication/octet-stream", "application/octet-stream"},
		{"text/plainapplication/octet-stream", "text/plain"},
		{"image/svg+xmltext/plain", "image/svg+xml"},
		{"a/b/c", "a/b"},
		{"text/plain; charset=us-ascii", "text/plain"},
		{"text/plain\\012- data", "text/plain"},
		{"cannot open `x'", "cannot"},
		{"/", "/"},
		{"//", "/"},
		{"text//text", "text/"},
	};
	char mime[FILETYPE_MIME_BYTES], large[4 * FILETYPE_MIME_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		magic_clean_mime(rows[i].said, mime);
		assert_string_equal(mime, rows[i].mime);
	}
	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	magic_clean_mime(large, mime);
	assert_string_equal(mime, "");
	large[FILETYPE_MIME_BYTES - 1] = '\0';
	magic_clean_mime(large, mime);
	assert_int_equal(strlen(mime), FILETYPE_MIME_BYTES - 1);
}

static void test_version(void **state)
{
	char text[MAGIC_VERSION_BYTES], expected[MAGIC_VERSION_BYTES];

	(void)state;
	(void)snprintf(expected, sizeof(expected), "libmagic %d", magic_version());
	assert_string_equal(magic_version_text(text), expected);
	magic_reader_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_types),
		cmocka_unit_test(test_max_bytes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_read_error),
		cmocka_unit_test(test_environment_is_ignored),
		cmocka_unit_test(test_bad_magic_files),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_clean_mime),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
