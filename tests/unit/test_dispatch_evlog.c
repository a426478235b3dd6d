#include "dispatch/evlog.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/gzip.h"
#include "base/mem.h"
#include "base/text.h"
#include "patience.h"

#define DAY_US (INT64_C(86400) * US_PER_S)
#define NOW (INT64_C(20000) * DAY_US + 3600 * US_PER_S) /* 2024-10-04T01:00:00Z */
#define NAME "events.jsonl"
#define LOCK "." NAME ".lock" /* test_dispatch_loglock's business */

struct place {
	char directory[64];
	char *file;
	struct conf_events conf;
};

static int set_up(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));

	snprintf(p->directory, sizeof(p->directory), "/tmp/test-evlog-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	p->file = fs_join(p->directory, NAME);
	p->conf = (struct conf_events){.file = p->file, .compress = CONF_COMPRESS_NONE};
	*state = p;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char *items[64];
	size_t n;
};

static void names_done(struct names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->items[i]);
}

#define CLEANUP_NAMES __attribute__((cleanup(names_done)))

/* What is in the directory, in order. */
static void list(const struct place *p, struct names *names)
{
	DIR *d = opendir(p->directory);
	struct dirent *entry;

	assert_non_null(d);
	names->n = 0;
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			strcmp(entry->d_name, LOCK) != 0) {
			assert_true(names->n < ARRAY_SIZE(names->items));
			names->items[names->n++] = mem_strdup(entry->d_name);
		}
	closedir(d);
	qsort(names->items, names->n, sizeof(names->items[0]), compare_names);
}

static void clear(const struct place *p)
{
	CLEANUP_NAMES struct names names = {.n = 0};
	CLEANUP_FREE char *lock = fs_join(p->directory, LOCK);

	(void)unlink(lock);
	list(p, &names);
	for (size_t i = 0; i < names.n; i++) {
		CLEANUP_FREE char *path = fs_join(p->directory, names.items[i]);

		assert_int_equal(unlink(path), 0);
	}
}

static int tear_down(void **state)
{
	struct place *p = *state;

	clear(p);
	assert_int_equal(rmdir(p->directory), 0);
	free(p->file);
	free(p);
	return 0;
}

static void expect_names(const struct place *p, const char *expected)
{
	CLEANUP_NAMES struct names names = {.n = 0};
	CLEANUP_BUF struct buf all = BUF_INIT(10000);

	list(p, &names);
	for (size_t i = 0; i < names.n; i++)
		(void)buf_addf(&all, "%s%s", i > 0 ? " " : "", names.items[i]);
	assert_string_equal(buf_str(&all), expected);
}

static void expect_bytes(const struct place *p, const char *name, const char *expected)
{
	CLEANUP_FREE char *path = fs_join(p->directory, name);
	CLEANUP_BUF struct buf b = BUF_INIT(1u << 20);

	assert_int_equal(fs_read_file(path, 1u << 20, &b, NULL), 0);
	assert_string_equal(buf_str(&b), expected);
}

static void put_file(const struct place *p, const char *name, const char *bytes)
{
	CLEANUP_FREE char *path = fs_join(p->directory, name);

	assert_int_equal(fs_replace_file(path, bytes, strlen(bytes), 0640, NULL), 0);
}

static struct evlog *open_log(const struct place *p)
{
	struct evlog *e = evlog_new(&p->conf, true);
	struct err err = ERR_INIT;

	if (evlog_open(e, &err) < 0)
		fail_msg("%s", err.text);
	return e;
}

static void append(struct evlog *e, const char *lines, int64_t now_us)
{
	struct err err = ERR_INIT;
	size_t written = 0;

	if (evlog_open(e, &err) < 0 || evlog_append(e, lines, strlen(lines), now_us, &written, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(written, strlen(lines));
}

static void work(struct evlog *e, int64_t now_us)
{
	struct err err = ERR_INIT;
	int rc;

	while ((rc = attic_work(evlog_attic(e), now_us, &err)) > 0)
		;
	if (rc < 0)
		fail_msg("%s", err.text);
	assert_false(attic_has_work(evlog_attic(e)));
}

/* ---- appending ---- */

static void test_appends(void **state)
{
	struct place *p = *state;
	mode_t before = umask(0077);
	struct evlog *e = open_log(p);
	struct stat st;

	(void)umask(before);
	append(e, "one\n", NOW);
	append(e, "two\nthree\n", NOW);
	expect_bytes(p, NAME, "one\ntwo\nthree\n");
	assert_int_equal(stat(p->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	evlog_free(e);
	e = open_log(p);
	append(e, "four\n", NOW);
	expect_bytes(p, NAME, "one\ntwo\nthree\nfour\n");
	evlog_free(e);
}

static void test_takes_only_a_regular_file(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *victim = fs_join(p->directory, "victim");
	struct evlog *e = evlog_new(&p->conf, true);
	struct err err = ERR_INIT;

	put_file(p, "victim", "precious");
	assert_int_equal(symlink(victim, p->file), 0);
	assert_int_equal(evlog_open(e, &err), -ELOOP);
	expect_bytes(p, "victim", "precious");
	assert_int_equal(unlink(p->file), 0);
	assert_int_equal(mkfifo(p->file, 0600), 0);
	assert_int_equal(evlog_open(e, &err), -EINVAL); /* and does not wait for a reader */
	assert_false(evlog_is_open(e));
	evlog_free(e);
}

static void test_directory_comes_and_goes(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *sub = fs_join(p->directory, "sub");
	CLEANUP_FREE char *file = fs_join(sub, NAME), *lock = fs_join(sub, LOCK);
	struct conf_events conf = {.file = file};
	struct evlog *e = evlog_new(&conf, true);
	struct err err = ERR_INIT;

	assert_int_equal(evlog_open(e, &err), -ENOENT);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(evlog_open(e, &err), 0);
	append(e, "x\n", NOW);
	assert_int_equal(unlink(file), 0);
	append(e, "y\n", NOW); /* removed under us: made again */
	expect_bytes(p, "sub/" NAME, "y\n");
	assert_int_equal(unlink(file), 0);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(rmdir(sub), 0);
	{
		size_t written = 1;

		assert_int_equal(evlog_append(e, "z\n", 2, NOW, &written, &err), -ENOENT);
		assert_int_equal(written, 0);
		assert_false(evlog_is_open(e));
	}
	evlog_free(e);
}

static void test_reopens_after_foreign_rotation(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *moved = mem_printf("%s.1", p->file);
	struct evlog *e = open_log(p);

	append(e, "one\n", NOW);
	assert_int_equal(rename(p->file, moved), 0);
	append(e, "two\n", NOW);
	evlog_close(e); /* SIGHUP */
	append(e, "three\n", NOW);
	expect_bytes(p, NAME ".1", "one\ntwo\n");
	expect_bytes(p, NAME, "three\n");
	/* copytruncate */
	assert_int_equal(truncate(p->file, 0), 0);
	append(e, "four\n", NOW);
	expect_bytes(p, NAME, "four\n");
	evlog_free(e);
}

/* A disk that takes only so many bytes: whole lines stay, the torn one is cut, nothing is written twice. */
static void test_full_disk(void **state)
{
	struct place *p = *state;
	struct rlimit before, small;
	struct evlog *e = open_log(p);
	struct err err = ERR_INIT;
	size_t written = 0;

	append(e, "0123456789\n", NOW);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (rlim_t room = 0; room < 12; room++) {
		small = before;
		small.rlim_cur = 11 + room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_int_equal(evlog_open(e, &err), 0);
		assert_int_equal(evlog_append(e, "abc\ndef\nghi\n", 12, NOW, &written, &err), -EFBIG);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(written, room / 4 * 4);
		expect_bytes(p, NAME,
			written == 8   ? "0123456789\nabc\ndef\n"
			: written == 4 ? "0123456789\nabc\n"
				       : "0123456789\n");
		assert_int_equal(truncate(p->file, 11), 0);
	}
	append(e, "abc\n", NOW);
	expect_bytes(p, NAME, "0123456789\nabc\n");
	evlog_free(e);
	(void)signal(SIGXFSZ, SIG_DFL);
}

/* ---- the end of the file ---- */

static void test_torn_line(void **state)
{
	static const struct {
		const char *before, *next, *after;
		bool completed;
	} rows[] = {
		{"a\nbc", "bcd\n", "a\nbcd\n", true},
		{"bc", "bcd\n", "bcd\n", true},
		{"a\nbcd", "bcd\n", "a\nbcd\n", true}, /* only the line feed is missing */
		{"a\nbx", "bcd\n", "a\n", false},
		{"a\nbcde", "bcd\n", "a\n", false},
		{"a\nbc", "", "a\n", false},
		{"bc", "", "", false},
		{"a\n", "bcd\n", "a\n", false},
		{"", "bcd\n", "", false},
	};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct evlog *e;
		bool completed = !rows[i].completed;

		put_file(p, NAME, rows[i].before);
		e = open_log(p);
		assert_int_equal(
			evlog_is_torn(e), rows[i].before[0] && !text_ends_with(rows[i].before, "\n"));
		assert_int_equal(evlog_repair(e, rows[i].next, strlen(rows[i].next), &completed, NULL), 0);
		assert_int_equal(completed, rows[i].completed);
		assert_false(evlog_is_torn(e));
		expect_bytes(p, NAME, rows[i].after);
		append(e, "z\n", NOW);
		evlog_free(e);
	}
}

static void test_last_line(void **state)
{
	struct place *p = *state;
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	CLEANUP_FREE char *large = mem_alloc(200002);
	struct evlog *e = open_log(p);

	assert_int_equal(evlog_last_line(e, &line, NULL), 0);
	evlog_free(e);
	put_file(p, NAME, "one\ntwo\nthr");
	e = open_log(p);
	assert_int_equal(evlog_last_line(e, &line, NULL), 1);
	assert_string_equal(buf_str(&line), "two\n");
	evlog_free(e);
	put_file(p, NAME, "only\n");
	e = open_log(p);
	assert_int_equal(evlog_last_line(e, &line, NULL), 1);
	assert_string_equal(buf_str(&line), "only\n");
	evlog_free(e);
	/* longer than what is read at once */
	memset(large, 'x', 200000);
	large[0] = '\n';
	large[200000] = '\n';
	put_file(p, NAME, large);
	e = open_log(p);
	assert_int_equal(evlog_last_line(e, &line, NULL), 1);
	assert_int_equal(line.len, 200000);
	evlog_free(e);
	/* a file that is no log has none */
	{
		CLEANUP_FREE char *huge = mem_alloc(5u << 20);
		struct evlog *other = evlog_new(&p->conf, true);
		struct err err = ERR_INIT;

		memset(huge, 'x', (5u << 20) - 1);
		put_file(p, NAME, huge);
		assert_int_equal(evlog_open(other, &err), -EBADMSG);
		evlog_free(other);
	}
}

/* After a rotation the last line is in the youngest old file, compressed or not. */
static void test_last_line_of_an_old_file(void **state)
{
	struct place *p = *state;
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	CLEANUP_FREE char *youngest = mem_printf("%s.20240102T030405Z-10", p->file);
	struct evlog *e;

	put_file(p, NAME ".20240102T030405Z", "older\n");
	put_file(p, NAME ".20240102T030405Z-10", "youngest\n");
	put_file(p, NAME ".20240102T030405Z-9", "young\n");
	put_file(p, NAME ".20240102T030406", "not ours\n");
	e = open_log(p);
	assert_int_equal(evlog_last_line(e, &line, NULL), 1);
	assert_string_equal(buf_str(&line), "youngest\n");
	evlog_free(e);
	p->conf.compress = CONF_COMPRESS_GZIP;
	e = open_log(p);
	work(e, NOW);
	assert_int_equal(evlog_last_line(e, &line, NULL), 1);
	assert_string_equal(buf_str(&line), "youngest\n");
	expect_names(p, NAME " " NAME ".20240102T030405Z-10 " NAME ".20240102T030405Z-9.gz " NAME
			     ".20240102T030405Z.gz " NAME ".20240102T030406");
	assert_int_equal(unlink(youngest), 0);
	assert_int_equal(evlog_last_line(e, &line, NULL), 1);
	assert_string_equal(buf_str(&line), "young\n");
	evlog_free(e);
}

/* ---- rotating ---- */

static void test_rotates_by_size(void **state)
{
	struct place *p = *state;
	struct evlog *e;

	p->conf.max_size_bytes = 10;
	e = open_log(p);
	append(e, "abc\n", NOW);
	append(e, "def\nghi\njkl\n", NOW); /* within one append too */
	expect_bytes(p, NAME ".20241004T010000Z", "abc\ndef\n");
	expect_bytes(p, NAME, "ghi\njkl\n");
	append(e, "a line that is longer than the limit\n", NOW);
	append(e, "m\n", NOW);
	expect_names(
		p, NAME " " NAME ".20241004T010000Z " NAME ".20241004T010000Z-1 " NAME ".20241004T010000Z-2");
	expect_bytes(p, NAME ".20241004T010000Z-1", "ghi\njkl\n");
	expect_bytes(p, NAME ".20241004T010000Z-2", "a line that is longer than the limit\n");
	expect_bytes(p, NAME, "m\n");
	evlog_free(e);
}

/* Somebody who follows by name has min_age to see each file. */
static void test_a_young_file_is_not_rotated(void **state)
{
	struct place *p = *state;
	struct err err = ERR_INIT;
	struct evlog *e;

	p->conf.max_size_bytes = 8;
	p->conf.min_age_us = 10 * US_PER_S;
	e = open_log(p);
	append(e, "abc\ndef\n", NOW);
	append(e, "ghi\n", NOW + 10 * US_PER_S - 1);
	expect_names(p, NAME);
	append(e, "jkl\n", NOW + 10 * US_PER_S);
	expect_names(p, NAME " " NAME ".20241004T010010Z");
	expect_bytes(p, NAME ".20241004T010010Z", "abc\ndef\nghi\n");
	append(e, "mno\npqr\nstu\nvwx\n", NOW + 11 * US_PER_S);
	expect_names(p, NAME " " NAME ".20241004T010010Z");
	/* one from the future is of a clock that was set back */
	append(e, "yz\n", NOW);
	expect_names(p, NAME " " NAME ".20241004T010010Z " NAME ".20241004T010010Z-1");
	/* nor when its period ends */
	p->conf.max_size_bytes = 0;
	p->conf.max_age_us = US_PER_S;
	assert_true(evlog_next_turn_us(e) == NOW + 10 * US_PER_S);
	assert_int_equal(evlog_turn(e, NOW + 10 * US_PER_S - 1, &err), 0);
	append(e, "abc\n", NOW + 10 * US_PER_S - 1);
	expect_bytes(p, NAME, "yz\nabc\n");
	assert_int_equal(evlog_turn(e, NOW + 10 * US_PER_S, &err), 0);
	expect_bytes(p, NAME, "");
	evlog_free(e);
}

/* Old files sort in the order they were made, whatever was removed meanwhile and whatever the clock does. */
static void test_names_never_go_back(void **state)
{
	struct place *p = *state;
	struct evlog *e;

	p->conf.max_size_bytes = 4;
	p->conf.keep_size_bytes = 8;
	e = open_log(p);
	for (int i = 0; i < 6; i++) {
		append(e, "abc\n", NOW);
		work(e, NOW);
	}
	expect_names(p, NAME " " NAME ".20241004T010000Z-3 " NAME ".20241004T010000Z-4");
	append(e, "def\n", NOW - DAY_US);
	expect_bytes(p, NAME ".20241004T010000Z-5", "abc\n");
	evlog_free(e);
	e = open_log(p);
	append(e, "ghi\n", NOW - DAY_US);
	expect_bytes(p, NAME ".20241004T010000Z-6", "def\n");
	append(e, "jkl\n", NOW + US_PER_S);
	expect_bytes(p, NAME ".20241004T010001Z", "ghi\n");
	evlog_free(e);
}

static void test_rotates_at_midnight(void **state)
{
	struct place *p = *state;
	const int64_t midnight = (NOW / DAY_US + 1) * DAY_US;
	struct err err = ERR_INIT;
	struct evlog *e;

	p->conf.max_age_us = DAY_US;
	e = open_log(p);
	assert_true(evlog_next_turn_us(e) == INT64_MAX);
	assert_int_equal(evlog_turn(e, midnight, &err), 0); /* an empty file is not turned */
	expect_names(p, NAME);
	append(e, "{\"time\":\"2024-10-04T01:00:00.000000Z\"}\n", NOW);
	assert_true(evlog_next_turn_us(e) == midnight);
	assert_int_equal(evlog_turn(e, midnight - 1, &err), 0);
	expect_names(p, NAME);
	evlog_free(e);
	/* the first line says which day it is, after a restart too */
	e = open_log(p);
	assert_true(evlog_next_turn_us(e) == midnight);
	append(e, "x\n", midnight - 1);
	assert_int_equal(evlog_turn(e, midnight, &err), 0);
	expect_names(p, NAME " " NAME ".20241005T000000Z");
	append(e, "y\n", midnight + 5);
	append(e, "z\n", midnight + 3 * DAY_US); /* nobody called in between */
	expect_names(p, NAME " " NAME ".20241005T000000Z " NAME ".20241008T000000Z");
	expect_bytes(p, NAME ".20241008T000000Z", "y\n");
	append(e, "a\n", midnight); /* a clock that goes back turns nothing */
	expect_bytes(p, NAME, "z\na\n");
	evlog_free(e);
}

static void test_foreign_rotation_meets_ours(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *moved = mem_printf("%s.1", p->file);
	struct evlog *e;

	p->conf.max_size_bytes = 8;
	e = open_log(p);
	append(e, "one\n", NOW);
	assert_int_equal(rename(p->file, moved), 0);
	append(e, "two\nthree\n", NOW); /* "two" still fits into the renamed one */
	expect_names(p, NAME " " NAME ".1");
	expect_bytes(p, NAME ".1", "one\ntwo\n");
	expect_bytes(p, NAME, "three\n");
	evlog_free(e);
}

/* Another file has the name: logrotate's create, or a copy of the folder in its place. */
static void test_another_file_has_the_name(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *moved = mem_printf("%s.1", p->file);
	struct evlog *e = open_log(p);

	append(e, "one\n", NOW);
	assert_int_equal(rename(p->file, moved), 0);
	append(e, "two\n", NOW);
	put_file(p, NAME, "x\n");
	append(e, "three\n", NOW);
	expect_bytes(p, NAME ".1", "one\ntwo\n");
	expect_bytes(p, NAME, "x\nthree\n");
	evlog_free(e);
}

static void test_folder_is_renamed(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *moved = mem_printf("%s.old", p->directory);
	CLEANUP_FREE char *old = mem_printf("%s/" NAME, moved);
	CLEANUP_FREE char *lock = mem_printf("%s/." NAME ".lock", moved);
	struct evlog *e = open_log(p);
	struct err err = ERR_INIT;
	size_t written = 1;

	append(e, "one\n", NOW);
	assert_int_equal(rename(p->directory, moved), 0);
	assert_int_equal(evlog_append(e, "two\n", 4, NOW, &written, &err), -ENOENT);
	assert_int_equal(written, 0);
	assert_false(evlog_is_open(e));
	assert_int_equal(mkdir(p->directory, 0700), 0);
	assert_int_equal(evlog_open(e, &err), 0);
	append(e, "two\n", NOW);
	expect_bytes(p, NAME, "two\n");
	evlog_free(e);
	assert_int_equal(unlink(old), 0);
	assert_int_equal(unlink(lock), 0); /* whoever still writes there has it */
	assert_int_equal(rmdir(moved), 0);
}

static void expect_gzip(const struct place *p, const char *name, const char *expected)
{
	CLEANUP_FREE char *path = fs_join(p->directory, name);
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20), all = BUF_INIT(1u << 20);
	struct gzip_reader *r = gzip_reader_open(path, NULL);

	assert_non_null(r);
	while (gzip_reader_line(r, &line, NULL, NULL) > 0)
		(void)buf_addf(&all, "%s\n", buf_str(&line));
	gzip_reader_close(r);
	assert_string_equal(buf_str(&all), expected);
}

static void test_compresses(void **state)
{
	struct place *p = *state;
	struct evlog *e;
	struct err err = ERR_INIT;
	struct stat st;
	CLEANUP_FREE char *gz = mem_printf("%s.20241004T010000Z.gz", p->file);

	p->conf.max_size_bytes = 8;
	p->conf.compress = CONF_COMPRESS_GZIP;
	e = open_log(p);
	append(e, "abc\ndef\nghi\n", NOW);
	assert_true(attic_has_work(evlog_attic(e)));
	work(e, NOW);
	expect_names(p, NAME " " NAME ".20241004T010000Z"); /* the youngest stays as it is */
	append(e, "jkl\nmno\n", NOW);
	assert_int_equal(attic_work(evlog_attic(e), NOW, &err), 1);
	expect_names(p, "." NAME ".20241004T010000Z.gz " NAME " " NAME ".20241004T010000Z " NAME
			".20241004T010000Z-1");
	work(e, NOW);
	expect_names(p, NAME " " NAME ".20241004T010000Z-1 " NAME ".20241004T010000Z.gz");
	expect_gzip(p, NAME ".20241004T010000Z.gz", "abc\ndef\n");
	assert_int_equal(stat(gz, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	append(e, "pqr\nstu\n", NOW); /* the name is taken by the compressed one too */
	work(e, NOW);
	expect_names(p, NAME " " NAME ".20241004T010000Z-1.gz " NAME ".20241004T010000Z-2 " NAME
			     ".20241004T010000Z.gz");
	evlog_free(e);
}

static int64_t size_of_lines(const struct place *p, const char *name)
{
	CLEANUP_FREE char *path = fs_join(p->directory, name);
	CLEANUP_BUF struct buf line = BUF_INIT(100);
	struct gzip_reader *r = gzip_reader_open(path, NULL);
	int64_t n = 0;

	assert_non_null(r);
	while (gzip_reader_line(r, &line, NULL, NULL) > 0)
		n += (int64_t)line.len + 1;
	gzip_reader_close(r);
	return n;
}

/* Compressing never keeps other work for longer than a step takes: between two steps lines go on, and into
 * the next file, too. */
static void test_compresses_in_steps(void **state)
{
	struct place *p = *state;
	const size_t size = 10 * (size_t)ATTIC_STEP_BYTES;
	CLEANUP_FREE char *big = mem_alloc(size + 1);
	struct err err = ERR_INIT;
	struct evlog *e;
	int steps = 0;

	memset(big, 'x', size);
	for (size_t i = 63; i < size; i += 64)
		big[i] = '\n';
	put_file(p, NAME ".20240102T030405Z", big);
	put_file(p, NAME ".20240102T030406Z", "abc\n");
	p->conf.compress = CONF_COMPRESS_GZIP;
	p->conf.max_size_bytes = 8;
	e = open_log(p);
	for (; steps < 10; steps++) {
		assert_int_equal(attic_work(evlog_attic(e), NOW, &err), 1);
		append(e, "abc\ndef\n", NOW); /* each into a file of its own */
		assert_int_equal(size_of_lines(p, NAME ".20240102T030405Z"), size);
	}
	work(e, NOW);
	assert_int_equal(size_of_lines(p, NAME ".20240102T030405Z.gz"), size);
	expect_gzip(p, NAME ".20241004T010000Z.gz", "abc\ndef\n");
	expect_gzip(p, NAME ".20241004T010000Z-7.gz", "abc\ndef\n");
	expect_bytes(p, NAME ".20241004T010000Z-8", "abc\ndef\n");
	expect_bytes(p, NAME, "abc\ndef\n");
	evlog_free(e);
}

static void test_stops_in_the_middle_of_compressing(void **state)
{
	struct place *p = *state;
	struct evlog *e;

	put_file(p, NAME ".20240102T030405Z", "abc\n");
	put_file(p, NAME ".20240102T030406Z", "def\n");
	p->conf.compress = CONF_COMPRESS_GZIP;
	e = open_log(p);
	assert_int_equal(attic_work(evlog_attic(e), NOW, NULL), 1);
	evlog_free(e);
	expect_names(p, NAME " " NAME ".20240102T030405Z " NAME ".20240102T030406Z");
}

/* What a crash may leave is put right, and nobody else's files are touched. */
static void test_cleans_up(void **state)
{
	struct place *p = *state;
	struct evlog *e;

	put_file(p, "." NAME ".20240102T030405Z.gz", "half");
	put_file(p, "." NAME ".20240102T030405Z-3.gz", "half");
	put_file(p, "." NAME ".mine.gz", "foreign");
	put_file(p, NAME ".20240102T030405Z", "abc\n");
	put_file(p, NAME ".20240102T030405Z.gz", "half renamed");
	put_file(p, NAME ".20240102T030405Z-x", "foreign");
	put_file(p, "other.20240102T030405Z", "foreign");
	e = open_log(p);
	work(e, NOW);
	expect_names(p, "." NAME ".mine.gz " NAME " " NAME ".20240102T030405Z " NAME ".20240102T030405Z-x "
			"other.20240102T030405Z");
	evlog_free(e);
}

static void test_removes_old_files(void **state)
{
	struct place *p = *state;
	struct evlog *e;

	put_file(p, NAME ".20240902T030405Z.gz", "0123456789");
	put_file(p, NAME ".20240904T005959Z", "0123456789");
	put_file(p, NAME ".20240904T010001Z", "0123456789");
	put_file(p, NAME ".20241001T010000Z", "0123456789");
	put_file(p, NAME ".20241002T010000Z-1", "0123456789");
	p->conf.keep_for_us = 30 * DAY_US;
	e = open_log(p);
	work(e, NOW);
	expect_names(
		p, NAME " " NAME ".20240904T010001Z " NAME ".20241001T010000Z " NAME ".20241002T010000Z-1");
	evlog_free(e);
	p->conf.keep_size_bytes = 20;
	e = open_log(p);
	work(e, NOW);
	expect_names(p, NAME " " NAME ".20241001T010000Z " NAME ".20241002T010000Z-1");
	evlog_free(e);
	p->conf.keep_size_bytes = 9;
	e = open_log(p);
	work(e, NOW);
	expect_names(p, NAME);
	evlog_free(e);
}

/* A clock that was set removes nothing before its time; one that is not trusted yet, a few files at a look.
 */
static void test_a_clock_that_is_wrong(void **state)
{
	struct place *p = *state;
	struct evlog *e;

	put_file(p, NAME ".20240902T030405Z.gz", "0123456789");
	put_file(p, NAME ".20240903T005959Z", "0123456789");
	put_file(p, NAME ".20240904T005959Z", "0123456789");
	put_file(p, NAME ".20240904T010001Z", "0123456789");
	p->conf.keep_for_us = 30 * DAY_US;
	e = open_log(p);
	attic_doubt_clock(evlog_attic(e), 100 * DAY_US, false);
	work(e, NOW + 97 * DAY_US);
	expect_names(p, NAME " " NAME ".20240902T030405Z.gz " NAME ".20240903T005959Z " NAME
			     ".20240904T005959Z " NAME ".20240904T010001Z");
	evlog_free(e);
	e = open_log(p);
	attic_doubt_clock(evlog_attic(e), 0, true);
	work(e, NOW);
	expect_names(p, NAME " " NAME ".20240904T005959Z " NAME ".20240904T010001Z");
	evlog_free(e);
	e = open_log(p);
	attic_doubt_clock(evlog_attic(e), -100 * DAY_US, false);
	work(e, NOW - 100 * DAY_US);
	expect_names(p, NAME " " NAME ".20240904T010001Z");
	evlog_free(e);
}

/* ---- a crash at every system call ---- */

#define LINES 12

static void line_text(int n, char text[32])
{
	snprintf(text, 32, "line %04d\n", n);
}

/* Writes the lines from `next` on, as the outbox would: three at a time, housekeeping in between. */
static void write_lines(const struct place *p, int next)
{
	struct evlog *e = evlog_new(&p->conf, true);
	CLEANUP_BUF struct buf last = BUF_INIT(1000);
	struct err err = ERR_INIT;
	char text[32];
	bool completed = false;

	if (evlog_open(e, &err) < 0)
		fail_msg("%s", err.text);
	/* what is in the log already? */
	if (evlog_last_line(e, &last, &err) > 0)
		for (int i = 1; i <= LINES; i++) {
			line_text(i, text);
			if (strcmp(text, buf_str(&last)) == 0)
				next = i + 1;
		}
	line_text(next, text);
	if (evlog_repair(e, text, next <= LINES ? strlen(text) : 0, &completed, &err) < 0)
		fail_msg("%s", err.text);
	next += completed;
	while (next <= LINES) {
		CLEANUP_BUF struct buf batch = BUF_INIT(1000);

		for (int i = 0; i < 3 && next <= LINES; i++) {
			line_text(next++, text);
			(void)buf_adds(&batch, text);
		}
		append(e, buf_str(&batch), NOW);
		work(e, NOW);
	}
	work(e, NOW);
	evlog_free(e);
}

/* Runs write_lines in a process that is killed at its n-th system call. Returns whether it ended before. */
static bool write_until_call(const struct place *p, int n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(99);
		(void)raise(SIGSTOP);
		write_lines(p, 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		return true;
	for (int i = 0; i < n; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return true;
		}
		assert_true(WIFSTOPPED(status));
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return false;
}

/* Old file names sort by time and number here, and the log itself comes last. */
static int compare_logs(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t n = strlen(NAME ".20241004T010000Z");
	long nx = strcmp(x, NAME) == 0 ? 1000 : x[n] == '-' ? strtol(x + n + 1, NULL, 10) : 0;
	long ny = strcmp(y, NAME) == 0 ? 1000 : y[n] == '-' ? strtol(y + n + 1, NULL, 10) : 0;

	return nx < ny ? -1 : nx > ny;
}

static void expect_each_line_once(const struct place *p, int call)
{
	CLEANUP_NAMES struct names names = {.n = 0};
	CLEANUP_BUF struct buf line = BUF_INIT(1000);
	char text[32];
	int next = 1;

	list(p, &names);
	qsort(names.items, names.n, sizeof(names.items[0]), compare_logs);
	for (size_t i = 0; i < names.n; i++) {
		CLEANUP_FREE char *path = fs_join(p->directory, names.items[i]);
		struct gzip_reader *r = gzip_reader_open(path, NULL);
		bool torn = false;

		assert_non_null(r);
		assert_true(text_starts_with(names.items[i], NAME));
		while (gzip_reader_line(r, &line, &torn, NULL) > 0) {
			line_text(next++, text);
			(void)buf_addc(&line, '\n');
			if (torn || strcmp(buf_str(&line), text) != 0)
				fail_msg("killed at call %d: \"%s\" instead of \"%s\" in %s", call,
					buf_str(&line), text, names.items[i]);
		}
		gzip_reader_close(r);
	}
	if (next != LINES + 1)
		fail_msg("killed at call %d: %d lines instead of %d", call, next - 1, LINES);
}

static void test_crash_at_every_call(void **state)
{
	struct place *p = *state;
	bool ended = false;
	int call = 1;

	if (patience_is_short())
		skip(); /* valgrind's own calls would be counted */
	p->conf.max_size_bytes = 45;
	p->conf.compress = CONF_COMPRESS_GZIP;
	for (; !ended && call < 5000;
		call += 2) { /* after the return of one call is before the entry of the next */
		ended = write_until_call(p, call);
		write_lines(p, 1); /* the next start */
		expect_each_line_once(p, call);
		clear(p);
	}
	assert_true(ended);
	assert_true(call > 100); /* entry and return of some dozens of calls */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_appends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_takes_only_a_regular_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_directory_comes_and_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reopens_after_foreign_rotation, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_torn_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_last_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_last_line_of_an_old_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rotates_by_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_young_file_is_not_rotated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_never_go_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rotates_at_midnight, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_foreign_rotation_meets_ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_file_has_the_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folder_is_renamed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_compresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_compresses_in_steps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stops_in_the_middle_of_compressing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cleans_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removes_old_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_clock_that_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crash_at_every_call, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
