/*
 * core/trailer, with files that gzip, pigz, zip and Python made. Each is cut at every place: its end is there
 * at none of them.
 */
#include "core/trailer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#define FILE_BYTES (1u << 20)

static char folder[64];

/* What the files are. "cat" and "stored" hold whole archives within, which must not be taken for the end. */
static const char script[] =
	"set -e\n"
	"i=0; while [ $i -lt 60 ]; do echo \"$i,some text,$((i * i))\"; i=$((i + 1)); done >a.csv\n"
	"gzip -k a.csv; gzip -9c a.csv >best.gz; gzip -nc </dev/null >empty.gz; cat a.csv.gz best.gz "
	">cat.gz\n"
	"if command -v pigz >/dev/null; then pigz -c a.csv >pigz.gz; else cp a.csv.gz pigz.gz; fi\n"
	"head -c 3000 /dev/urandom | gzip -c >random.gz\n"
	"zip -q one.zip a.csv; zip -q two.zip a.csv best.gz; zip -q -P secret locked.zip a.csv\n"
	"zip -q -0 stored.zip one.zip two.zip; echo a comment | zip -q -z comment.zip a.csv\n"
	"zip -q - a.csv >streamed.zip; cat a.csv | zip -q -fz- - - >stdin.zip\n"
	"cat one.zip a.csv >junk.zip; cat a.csv one.zip >prefixed; (printf '#!/bin/sh\\n'; cat one.zip) "
	">sfx\n"
	"head -c 150000 /dev/urandom >big; zip -q -s 64k split.zip big; rm big\n"
	"python3 - <<'END'\n"
	"import io, struct, zipfile, zlib\n"
	"def save(name, data):\n"
	"    open(name, 'wb').write(data)\n"
	"def archive(name, members, comment=b'', **options):\n"
	"    with zipfile.ZipFile(name, 'w', **options) as z:\n"
	"        for member, data in members.items():\n"
	"            z.writestr(member, data)\n"
	"        z.comment = comment\n"
	"archive('none.zip', {})\n"
	"archive('book.xlsx', {'[Content_Types].xml': '<x/>', 'xl/workbook.xml': '<y/>'}, "
	"compression=zipfile.ZIP_DEFLATED)\n"
	"archive('app.jar', {'META-INF/MANIFEST.MF': 'Manifest-Version: 1.0'})\n"
	"archive('long.zip', {'a': 'b'}, comment=b'PK\\5\\6' * 16000)\n"
	"class Pipe(io.BytesIO):\n"
	"    def seekable(self):\n"
	"        return False\n"
	"pipe = Pipe()\n"
	"with zipfile.ZipFile(pipe, 'w') as z:\n"
	"    with z.open(zipfile.ZipInfo('a'), 'w', force_zip64=True) as f:\n"
	"        f.write(b'text')\n"
	"save('large_member.zip', pipe.getvalue())\n"
	"zipfile.ZIP_FILECOUNT_LIMIT = 1\n" /* so that it writes the records of zip64 */
	"archive('zip64.zip', {'a': 'b', 'c': 'd'})\n"
	"def block(data):\n"
	"    c = zlib.compressobj(6, zlib.DEFLATED, -15)\n"
	"    body = c.compress(data) + c.flush()\n"
	"    head = struct.pack('<4BI2BH2B2H', 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)\n"
	"    return head + body + struct.pack('<2I', zlib.crc32(data), len(data))\n"
	"end = bytes.fromhex('1f8b08040000000000ff0600424302001b0003000000000000000000')\n"
	"save('blocks.bgz', block(b'text' * 99) + block(b'more' * 99) + end)\n"
	"save('no_mark.bgz', block(b'text' * 99))\n"
	"body, footer = b'\\x15\\4\\x15' + b'data' * 50, b'\\x15\\2' + b'footer' * 5\n"
	"def parquet(mark, footer, length=None):\n"
	"    return mark + body + footer + struct.pack('<I', len(footer) if length is None else length) + "
	"mark\n"
	"save('plain.parquet', parquet(b'PAR1', footer))\n"
	"save('locked.parquet', parquet(b'PARE', footer))\n"
	"save('footer_too_long', parquet(b'PAR1', footer, 9999))\n"
	"save('footer_of_nothing', parquet(b'PAR1', b''))\n"
	"def orc(footer, metadata, post=b''):\n"
	"    ps = bytes([8, footer, 16, 1, 24]) + b'\\x80\\x80\\4' + bytes([34, 2, 0, 12, 40, metadata, 48, "
	"9]) + post\n"
	"    ps += b'\\x82\\xf4\\3\\3ORC'\n"
	"    return b'ORC\\n\\4\\0\\1' + b'stripes' * 10 + b'm' * metadata + b'f' * footer + ps + "
	"bytes([len(ps)])\n"
	"save('table.orc', orc(40, 20))\n"
	"save('small.orc', orc(40, 0))\n"
	"save('footer_before_start', orc(127, 127)[:7] + orc(127, 127)[-180:])\n"
	"END\n";

static int make_files(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test-trailer-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	pid = fork();
	if (pid == 0) {
		if (chdir(folder) == 0)
			execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static int remove_files(void **state)
{
	DIR *d = opendir(folder);
	const struct dirent *e;

	(void)state;
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	return rmdir(folder);
}

static void read_file(const char *name, struct buf *b)
{
	CLEANUP_FREE char *path = fs_join(folder, name);
	struct err err = ERR_INIT;

	buf_init(b, FILE_BYTES);
	if (fs_read_file(path, FILE_BYTES, b, &err) < 0)
		fail_msg("%s", err.text);
}

/* As the watcher does it: what is needed of the tail, in memory of exactly that size. */
static void judge(const void *data, size_t n, struct trailer *ret)
{
	size_t head_len = n < TRAILER_HEAD_BYTES ? n : TRAILER_HEAD_BYTES;
	CLEANUP_FREE uint8_t *head = mem_alloc(head_len + 1), *tail = NULL;
	struct trailer_bytes b = {.head = head, .head_len = head_len, .size = (int64_t)n};

	if (n > 0)
		memcpy(head, data, head_len);
	b.tail_len = trailer_wants(b.head, b.head_len, b.size);
	assert_true(b.tail_len <= n && b.tail_len <= TRAILER_TAIL_BYTES);
	tail = mem_alloc(b.tail_len + 1);
	if (b.tail_len > 0)
		memcpy(tail, (const uint8_t *)data + n - b.tail_len, b.tail_len);
	b.tail = tail;
	trailer_judge(&b, ret);
	assert_true((ret->verdict == TRAILER_MISSING) == (ret->lacks != NULL));
	assert_true((ret->verdict == TRAILER_NOT_JUDGED) == (ret->format == NULL));
}

/* … and unpacks it if that is asked for. */
static enum trailer_verdict verdict_of(const void *data, size_t n, const char **ret_format)
{
	struct err err = ERR_INIT;
	struct trailer t;
	enum gzip_end end;

	judge(data, n, &t);
	if (t.verdict == TRAILER_UNPACK) {
		CLEANUP_FD int fd = memfd_create("test", MFD_CLOEXEC);

		assert_int_equal(fs_write_all(fd, data, n), 0);
		assert_int_equal(gzip_find_end(fd, (int64_t)n, &end, &err), 0);
		trailer_take_unpacked(end, &t);
	}
	if (ret_format)
		*ret_format = t.format;
	return t.verdict;
}

static void expect(const char *name, enum trailer_verdict verdict, const char *format)
{
	CLEANUP_BUF struct buf b;
	const char *found;
	enum trailer_verdict v;

	read_file(name, &b);
	v = verdict_of(b.data, b.len, &found);
	if (v != verdict || (format && (!found || strcmp(found, format) != 0)))
		fail_msg("%s: %d (%s)", name, (int)v, found ? found : "-");
}

static void expect_missing_when_cut(const char *name, size_t step, size_t least)
{
	CLEANUP_BUF struct buf b;

	read_file(name, &b);
	for (size_t n = least; n < b.len; n += step)
		if (verdict_of(b.data, n, NULL) != TRAILER_MISSING)
			fail_msg("%s: its end is there after %zu of %zu bytes", name, n, b.len);
}

static void test_whole(void **state)
{
	static const struct {
		const char *name, *format;
	} whole[] = {{"a.csv.gz", "gzip"}, {"best.gz", "gzip"}, {"empty.gz", "gzip"}, {"cat.gz", "gzip"},
		{"pigz.gz", "gzip"}, {"random.gz", "gzip"}, {"blocks.bgz", "gzip"}, {"one.zip", "zip"},
		{"two.zip", "zip"}, {"locked.zip", "zip"}, {"stored.zip", "zip"}, {"comment.zip", "zip"},
		{"streamed.zip", "zip"}, {"stdin.zip", "zip"}, {"junk.zip", "zip"}, {"none.zip", "zip"},
		{"book.xlsx", "zip"}, {"app.jar", "zip"}, {"long.zip", "zip"}, {"large_member.zip", "zip"},
		{"zip64.zip", "zip"}, {"plain.parquet", "Parquet"}, {"locked.parquet", "Parquet"},
		{"table.orc", "ORC"}, {"small.orc", "ORC"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
		expect(whole[i].name, TRAILER_THERE, whole[i].format);
}

/* From the fourth byte on: fewer tell no format from another. */
static void test_cut(void **state)
{
	static const char *const names[] = {"a.csv.gz", "best.gz", "empty.gz", "pigz.gz", "blocks.bgz",
		"one.zip", "two.zip", "locked.zip", "stored.zip", "comment.zip", "streamed.zip", "stdin.zip",
		"none.zip", "book.xlsx", "app.jar", "large_member.zip", "zip64.zip", "plain.parquet",
		"locked.parquet"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		expect_missing_when_cut(names[i], 1, 4);
	expect_missing_when_cut(
		"table.orc", 1, 5); /* what only begins with "ORC" and a line feed is a text */
	expect_missing_when_cut("small.orc", 1, 5);
	expect_missing_when_cut("random.gz", 61, 4);
	expect_missing_when_cut("long.zip", 997, 4);
}

/* Between two members nothing tells that another will come. */
static void test_members_of_gzip(void **state)
{
	CLEANUP_BUF struct buf first, both;
	CLEANUP_FREE char *padded = NULL;

	(void)state;
	read_file("a.csv.gz", &first);
	read_file("cat.gz", &both);
	for (size_t n = 4; n < both.len; n++)
		assert_int_equal(
			verdict_of(both.data, n, NULL), n == first.len ? TRAILER_THERE : TRAILER_MISSING);
	padded = mem_alloc(first.len + 70000);
	memcpy(padded, first.data, first.len);
	assert_int_equal(verdict_of(padded, first.len + 70000, NULL), TRAILER_THERE);
	memcpy(padded + first.len, "rubbish", 7);
	assert_int_equal(verdict_of(padded, first.len + 70000, NULL), TRAILER_THERE);
}

/* The size is right from the start, and the bytes come later: as aria2 and some clients of SMB do it. */
static void test_being_filled(void **state)
{
	static const char *const names[] = {"a.csv.gz", "one.zip", "plain.parquet", "table.orc"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_BUF struct buf b;

		read_file(names[i], &b);
		memset(b.data + b.len / 2, 0, b.len - b.len / 2);
		assert_int_equal(verdict_of(b.data, b.len, NULL), TRAILER_MISSING);
	}
}

static void test_a_wrong_checksum(void **state)
{
	CLEANUP_BUF struct buf b;

	(void)state;
	read_file("a.csv.gz", &b);
	b.data[b.len - 6] ^= 1;
	assert_int_equal(verdict_of(b.data, b.len, NULL), TRAILER_MISSING);
}

static void test_marks_that_do_not_fit(void **state)
{
	(void)state;
	expect("no_mark.bgz", TRAILER_MISSING, "gzip");
	expect("footer_too_long", TRAILER_MISSING, "Parquet");
	expect("footer_of_nothing", TRAILER_MISSING, "Parquet");
	expect("footer_before_start", TRAILER_MISSING, "ORC");
}

/* stored.zip is two archives, not packed, behind one another: cut behind the first one its last bytes are the
 * first one's end. expect_missing_when_cut has seen it missing there; this is that the mark really was there.
 */
static void test_an_archive_in_an_archive(void **state)
{
	CLEANUP_BUF struct buf outer, inner;
	size_t at;

	(void)state;
	read_file("stored.zip", &outer);
	read_file("one.zip", &inner);
	at = (size_t)((char *)memmem(outer.data, outer.len, inner.data, inner.len) - outer.data) + inner.len;
	assert_memory_equal(outer.data + at - 22, "PK\x05\x06", 4);
	assert_int_equal(verdict_of(outer.data, at, NULL), TRAILER_MISSING);
}

static void test_not_judged(void **state)
{
	static const char *const texts[] = {"", "P", "PK", "text", "ORC_ID,NAME\n1,a\n",
		"PARENT,CHILD\n1,2\n", "PAR1;PAR2\n1;2\n", "\x1f\x8b\x07\x00nothing that is gzip", "Obj\x01",
		"PK\x07\x08PK\x03\x04", "\x1f\x8b\x08\xff flags that are none"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(verdict_of(texts[i], strlen(texts[i]), NULL), TRAILER_NOT_JUDGED);
	expect("a.csv", TRAILER_NOT_JUDGED, NULL);
	expect("prefixed", TRAILER_NOT_JUDGED, NULL);
	expect("sfx", TRAILER_NOT_JUDGED, NULL); /* self-extracting */
	expect("split.z01", TRAILER_NOT_JUDGED, NULL);
	expect("split.zip", TRAILER_NOT_JUDGED, NULL); /* it begins in the middle of a member */
}

/* Just begun. */
static void test_first_bytes(void **state)
{
	static const char *const marks[] = {
		"PAR1", "PARE", "ORC", "PK\x03", "PK\x03\x04", "\x1f\x8b", "\x1f\x8b\x08"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		assert_int_equal(verdict_of(marks[i], strlen(marks[i]), NULL), TRAILER_MISSING);
}

/* The last of several volumes speaks of the ones before; so does one that could have been split. */
static void test_volumes(void **state)
{
	CLEANUP_BUF struct buf b;
	CLEANUP_FREE char *marked = NULL;

	(void)state;
	read_file("one.zip", &b);
	marked = mem_alloc(b.len + 4);
	memcpy(marked, "PK00", 4);
	memcpy(marked + 4, b.data, b.len);
	assert_int_equal(verdict_of(marked, b.len + 4, NULL), TRAILER_THERE);
	assert_int_equal(verdict_of(marked, b.len + 3, NULL), TRAILER_MISSING);
	b.data[b.len - 18] = 2; /* number of this disk */
	b.data[b.len - 6] ^= 0x55;
	assert_int_equal(verdict_of(b.data, b.len, NULL), TRAILER_THERE);
	assert_int_equal(verdict_of(b.data, b.len - 1, NULL), TRAILER_MISSING);
}

static void test_became_shorter(void **state)
{
	CLEANUP_BUF struct buf b;
	CLEANUP_FD int fd = memfd_create("test", MFD_CLOEXEC);
	struct err err = ERR_INIT;
	enum gzip_end end;

	(void)state;
	read_file("a.csv.gz", &b);
	assert_int_equal(fs_write_all(fd, b.data, b.len - 1), 0);
	assert_int_equal(gzip_find_end(fd, (int64_t)b.len, &end, &err), -ESTALE);
	assert_int_equal(gzip_find_end(-1, (int64_t)b.len, &end, &err), -EBADF);
	assert_true(lseek(fd, 0, SEEK_CUR) == (off_t)b.len - 1); /* it was left alone */
}

/* More than one buffer on both sides, and output that ends where a buffer does. */
static void test_large(void **state)
{
	static const size_t sizes[] = {65535, 65536, 65537, 131072, 1000000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP_FREE char *path = fs_join(folder, "large"), *gz = fs_join(folder, "large.gz");
		CLEANUP_FREE char *data = mem_alloc(sizes[i]);
		CLEANUP_BUF struct buf b;
		struct err err = ERR_INIT;
		struct gzip_job *job;
		FILE *f = fopen(path, "we");

		for (size_t k = 0; k < sizes[i]; k++)
			data[k] = (char)(i % 2 ? 'a' : (k * k) >> 7);
		assert_non_null(f);
		assert_int_equal(fwrite(data, 1, sizes[i], f), sizes[i]);
		fclose(f);
		job = gzip_job_new(path, gz, 0600, &err);
		assert_non_null(job);
		assert_int_equal(gzip_job_step(job, SIZE_MAX, &err), 0);
		gzip_job_free(job);
		read_file("large.gz", &b);
		assert_int_equal(verdict_of(b.data, b.len, NULL), TRAILER_THERE);
		for (size_t cut = 1; cut <= 9; cut++)
			assert_int_equal(verdict_of(b.data, b.len - cut, NULL), TRAILER_MISSING);
		unlink(path);
		unlink(gz);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_members_of_gzip),
		cmocka_unit_test(test_being_filled),
		cmocka_unit_test(test_a_wrong_checksum),
		cmocka_unit_test(test_marks_that_do_not_fit),
		cmocka_unit_test(test_an_archive_in_an_archive),
		cmocka_unit_test(test_not_judged),
		cmocka_unit_test(test_first_bytes),
		cmocka_unit_test(test_volumes),
		cmocka_unit_test(test_became_shorter),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
