#include "dispatch/outbox.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/gzip.h"
#include "base/log.h"
#include "base/mem.h"
#include "patience.h"

struct place {
	char directory[64];
	char *logs, *file;
	struct conf_events conf;
	struct loop *loop;
	struct ledger *ledger;
	struct outbox *outbox;
	int64_t added;
	bool quick; /* without fsync */
};

static void remove_all(const char *directory)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		execlp("rm", "rm", "-rf", directory, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* A process starts. */
static void start(struct place *p)
{
	struct err err = ERR_INIT;

	p->loop = loop_new(&err);
	assert_non_null(p->loop);
	if (ledger_open(p->directory, !p->quick, &p->ledger, &err) < 0)
		fail_msg("%s", err.text);
	p->outbox = outbox_new(p->loop, p->ledger, &p->conf, !p->quick, NULL);
}

/* It ends, without finishing anything. */
static void end(struct place *p)
{
	outbox_free(p->outbox);
	ledger_close(p->ledger);
	loop_free(p->loop);
	p->outbox = NULL;
	p->ledger = NULL;
	p->loop = NULL;
}

static int set_up(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));

	log_init("test", LOG_LEVEL_ERROR, false);
	snprintf(p->directory, sizeof(p->directory), "/tmp/test-outbox-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	p->logs = fs_join(p->directory, "log");
	p->file = fs_join(p->logs, "events.jsonl");
	assert_int_equal(mkdir(p->logs, 0700), 0);
	p->conf = (struct conf_events){.file = p->file, .compress = CONF_COMPRESS_NONE};
	start(p);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	if (p->outbox)
		end(p);
	remove_all(p->directory);
	free(p->logs);
	free(p->file);
	free(p);
	return 0;
}

static void add(struct place *p, int n)
{
	for (int i = 0; i < n; i++) {
		char line[64];

		snprintf(line, sizeof(line), "{\"line\":%" PRId64 "}\n", ++p->added);
		assert_int_equal(ledger_outbox_add(p->ledger, "id", line, strlen(line), NULL), 0);
	}
}

static void commit(struct place *p)
{
	assert_int_equal(ledger_commit(p->ledger, NULL), 0);
	outbox_committed(p->outbox);
}

/* One round of the dispatcher: n new lines, what is written is taken out, then writing. */
static void round_with(struct place *p, int n)
{
	assert_int_equal(outbox_apply(p->outbox, NULL), 0);
	add(p, n);
	commit(p);
	outbox_flush(p->outbox);
}

static int64_t left(struct place *p)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1000);
	int64_t n = 0, seq = 0;

	while (ledger_outbox_next(p->ledger, seq, &seq, &line, NULL) > 0)
		n++;
	return n;
}

/* The log holds exactly the lines 1..n. */
static void expect_lines(const struct place *p, int64_t n)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1000);
	struct gzip_reader *r = gzip_reader_open(p->file, NULL);
	char expected[64];
	bool torn = false;
	int64_t i = 0;

	assert_non_null(r);
	while (gzip_reader_line(r, &line, &torn, NULL) > 0) {
		snprintf(expected, sizeof(expected), "{\"line\":%" PRId64 "}", ++i);
		assert_string_equal(buf_str(&line), expected);
		assert_false(torn);
	}
	gzip_reader_close(r);
	assert_int_equal(i, n);
}

static void expect_bytes(const struct place *p, const char *expected)
{
	CLEANUP_BUF struct buf b = BUF_INIT(10000);

	assert_int_equal(fs_read_file(p->file, 10000, &b, NULL), 0);
	assert_string_equal(buf_str(&b), expected);
}

static void run_for(struct place *p, int64_t us)
{
	int64_t until_us = clock_mono_us() + us;

	while (clock_mono_us() < until_us)
		assert_true(loop_run_once(p->loop, until_us - clock_mono_us(), NULL) >= 0);
}

static void append_raw(const struct place *p, const char *bytes)
{
	CLEANUP_FD int fd = open(p->file, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, bytes, strlen(bytes)), 0);
}

static void test_writes_then_removes(void **state)
{
	struct place *p = *state;

	round_with(p, 3);
	expect_lines(p, 3);
	assert_int_equal(left(p), 3);
	round_with(p, 2);
	expect_lines(p, 5);
	assert_int_equal(left(p), 2);
	/* an idle service takes the rest out by itself, once */
	assert_false(outbox_wants_commit(p->outbox));
	run_for(p, 1100 * US_PER_MS);
	assert_true(outbox_wants_commit(p->outbox));
	round_with(p, 0);
	assert_int_equal(left(p), 0);
	assert_false(outbox_wants_commit(p->outbox));
	expect_lines(p, 5);
}

static void test_transaction_given_up(void **state)
{
	struct place *p = *state;

	round_with(p, 2);
	assert_int_equal(outbox_apply(p->outbox, NULL), 0);
	ledger_rollback(p->ledger);
	outbox_undo(p->outbox);
	assert_int_equal(left(p), 2);
	round_with(p, 1);
	assert_int_equal(left(p), 1);
	expect_lines(p, 3);
}

static void test_backlog(void **state)
{
	struct place *p = *state;

	end(p);
	assert_int_equal(rmdir(p->logs), 0);
	start(p);
	round_with(p, 3000);
	assert_true(outbox_is_failing(p->outbox));
	assert_int_equal(mkdir(p->logs, 0700), 0);
	outbox_flush(p->outbox); /* not yet: it waits a second */
	assert_true(outbox_is_failing(p->outbox));
	run_for(p, 1300 * US_PER_MS);
	assert_false(outbox_is_failing(p->outbox));
	expect_lines(p, 3000);
	round_with(p, 1);
	expect_lines(p, 3001);
	assert_int_equal(left(p), 1);
}

static void test_log_goes_and_comes_back(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *away = mem_printf("%s-away", p->logs);

	round_with(p, 2);
	assert_int_equal(rename(p->logs, away), 0);
	outbox_reopen(p->outbox);
	assert_true(outbox_is_failing(p->outbox));
	round_with(p, 2);
	assert_int_equal(left(p), 2);
	assert_int_equal(rename(away, p->logs), 0);
	run_for(p, 1300 * US_PER_MS);
	assert_false(outbox_is_failing(p->outbox));
	expect_lines(p, 4);
}

static void test_drain(void **state)
{
	struct place *p = *state;

	add(p, 5000);
	commit(p);
	outbox_drain(p->outbox);
	expect_lines(p, 5000);
}

/* Written, not taken out, process gone: nothing is written twice. */
static void test_crash_after_writing(void **state)
{
	struct place *p = *state;

	round_with(p, 3);
	end(p);
	start(p);
	round_with(p, 2);
	expect_lines(p, 5);
	round_with(p, 0);
	assert_int_equal(left(p), 0);
}

/* The same with a rotation in between, so that the log itself is empty. */
static void test_crash_after_writing_and_rotating(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *old = mem_printf("%s.20240102T030405Z", p->file);

	round_with(p, 3);
	end(p);
	assert_int_equal(rename(p->file, old), 0);
	start(p);
	round_with(p, 0);
	{
		struct stat st;

		assert_int_equal(stat(p->file, &st), 0);
		assert_int_equal(st.st_size, 0);
	}
	assert_int_equal(unlink(p->file), 0);
	assert_int_equal(rename(old, p->file), 0);
}

static void test_crash_within_a_line(void **state)
{
	struct place *p = *state;

	round_with(p, 2);
	add(p, 2); /* 3 and 4 */
	commit(p);
	end(p);
	append_raw(p, "{\"line\":3}\n{\"li");
	start(p);
	round_with(p, 1);
	expect_lines(p, 5);
	end(p);
	append_raw(p, "rubbish");
	start(p);
	round_with(p, 1);
	expect_lines(p, 6);
}

/* A line that is no line any more is left out; what follows is not. */
static void test_damaged_line(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *db = fs_join(p->directory, "ledger.db");
	static const char program[] =
		"import sqlite3, sys\n"
		"c = sqlite3.connect(sys.argv[1])\n"
		"c.execute('UPDATE outbox SET line = ? WHERE seq = 2', (b'\\0A',))\n"
		"c.execute('UPDATE outbox SET line = ? WHERE seq = 4', (b'two\\nlines\\n',))\n"
		"c.commit()\n";
	const char *python = getenv("PYTHON") ? getenv("PYTHON") : "/usr/bin/python3";
	int status;
	pid_t pid;

	add(p, 4);
	commit(p);
	pid = fork();
	if (pid == 0) {
		execl(python, python, "-c", program, db, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	outbox_flush(p->outbox);
	assert_false(outbox_is_failing(p->outbox));
	p->added = 1;
	expect_bytes(p, "{\"line\":1}\n{\"line\":3}\n");
	round_with(p, 1);
	expect_bytes(p, "{\"line\":1}\n{\"line\":3}\n{\"line\":2}\n");
	round_with(p, 0);
	assert_int_equal(left(p), 0); /* the damaged ones went with it */
}

/* ---- a crash at every system call ---- */

#define ROUNDS 4
#define LINES_A_ROUND 2

static void live(struct place *p, bool finish)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1000);
	int64_t seq = 0;

	start(p);
	/* the last line that was committed says where to go on */
	p->added = 0;
	while (ledger_outbox_next(p->ledger, seq, &seq, &line, NULL) > 0)
		p->added = strtoll(buf_str(&line) + strlen("{\"line\":"), NULL, 10);
	if (finish && p->added == 0) { /* all were taken out: they must be in the log */
		CLEANUP_BUF struct buf last = BUF_INIT(1u << 20);

		if (fs_read_file(p->file, 1u << 20, &last, NULL) == 0)
			for (const char *s = buf_str(&last); *s; s++)
				p->added += *s == '\n';
	}
	do
		round_with(p, p->added < ROUNDS * LINES_A_ROUND ? LINES_A_ROUND : 0);
	while (p->added < ROUNDS * LINES_A_ROUND);
	end(p);
}

static bool live_until_call(struct place *p, int n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(99);
		(void)raise(SIGSTOP);
		live(p, false);
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
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return false;
}

static void crash_at_every_call(struct place *p)
{
	CLEANUP_FREE char *db = fs_join(p->directory, "ledger.db");
	CLEANUP_FREE char *wal = fs_join(p->directory, "ledger.db-wal");
	CLEANUP_FREE char *shm = fs_join(p->directory, "ledger.db-shm");
	bool ended = false;
	int call = 1;

	/* after the return of one call is before the entry of the next */
	for (; !ended && call < 20000; call += 2) {
		(void)unlink(db);
		(void)unlink(wal);
		(void)unlink(shm);
		(void)unlink(p->file);
		ended = live_until_call(p, call);
		live(p, true);
		expect_lines(p, ROUNDS * LINES_A_ROUND);
	}
	assert_true(ended);
	assert_true(call > 300);
}

/* Whatever was committed is in the log once, in order: from the ledger's commit to the log's fdatasync and
 * back. */
static void test_crash_at_every_call(void **state)
{
	struct place *p = *state;

	if (patience_is_short())
		skip(); /* valgrind's own calls would be counted */
	end(p);
	p->quick = true; /* a killed process loses nothing that it has written */
	crash_at_every_call(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_writes_then_removes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_transaction_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backlog, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log_goes_and_comes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crash_after_writing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crash_after_writing_and_rotating, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crash_within_a_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crash_at_every_call, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
