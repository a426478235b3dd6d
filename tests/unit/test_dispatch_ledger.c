#include "dispatch/ledger.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/mem.h"
#include "dispatch/notices.h"

#define ENDS_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TOKEN_A "1111111111111111111111111111111111111111111111111111111111111111"
#define TOKEN_B "2222222222222222222222222222222222222222222222222222222222222222"
#define HASH "0123456789abcdef"
#define NOW INT64_C(1700000000000000)
#define AHEAD (NOW + 365 * INT64_C(86400000000))

struct place {
	char directory[64];
};

static int set_up(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));

	snprintf(p->directory, sizeof(p->directory), "/tmp/test-ledger-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm"};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_FREE char *path = fs_join(p->directory, names[i]);

		(void)unlink(path);
	}
	assert_int_equal(rmdir(p->directory), 0);
	free(p);
	return 0;
}

static struct ledger *open_ledger(const struct place *p, bool power)
{
	struct ledger *l = NULL;
	struct err err = ERR_INIT;

	if (ledger_open(p->directory, power, &l, &err) < 0)
		fail_msg("%s", err.text);
	return l;
}

static struct ledger *memory(void)
{
	struct ledger *l = NULL;

	assert_int_equal(ledger_open_memory(&l, NULL), 0);
	return l;
}

static void commit(struct ledger *l)
{
	struct err err = ERR_INIT;

	if (ledger_commit(l, &err) < 0)
		fail_msg("%s", err.text);
}

static struct ledger_key key_in(struct ledger *l, const char *watch, const char *root, const char *relpath)
{
	struct ledger_key k = {.watch = watch, .relpath = relpath};

	assert_int_equal(ledger_root(l, root, true, &k.root_id, NULL), 1);
	return k;
}

static struct ledger_new new_row(struct ledger *l, const char *relpath, const char *token)
{
	return (struct ledger_new){
		.key = key_in(l, "orders", "/drop", relpath),
		.version = {.size = 5, .mtime_ns = 7, .ino = UINT64_MAX, .ends = ENDS_A},
		.owner = 1000,
		.mime = "text/csv",
		.evidence = "closed by its writer",
		.first_seen_us = NOW,
		.completed_us = NOW + 1,
		.state = LEDGER_PENDING,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = token,
		.generation = 1,
		.workspace = "prod",
		.host = "adb.example",
		.job_id = 42,
		.uri = "/Volumes/x",
		.request = "{\"job_id\":42}",
		.request_len = 13,
		.now_us = NOW,
	};
}

static int64_t insert(struct ledger *l, const struct ledger_new *v)
{
	struct err err = ERR_INIT;
	int64_t id = 0;

	if (ledger_insert(l, v, &id, &err) < 0)
		fail_msg("%s", err.text);
	return id;
}

/* A token of 64 digits with the number in it. */
static const char *token_of(int n, char token[TOKEN_BYTES])
{
	snprintf(token, TOKEN_BYTES, "%064x", (unsigned)n);
	return token;
}

static int64_t count(struct ledger *l, enum ledger_state state)
{
	int64_t n = -1;

	assert_int_equal(ledger_count(l, state, &n, NULL), 0);
	return n;
}

/* What goes in comes out, after a commit and opening anew. */
static void test_row_round_trip(void **state)
{
	struct place *p = *state;
	struct ledger *l = open_ledger(p, true);
	struct ledger_new v = new_row(l, "a\nb\xff/c.csv", TOKEN_A);
	CLEANUP_BUF struct buf body = BUF_INIT(1000);
	struct ledger_row r;
	int64_t id;

	v.previous_run_id = INT64_MAX;
	id = insert(l, &v);
	assert_true(ledger_is_open(l));
	commit(l);
	assert_false(ledger_is_open(l));
	ledger_close(l);
	l = open_ledger(p, false);
	assert_int_equal(ledger_row(l, id, &r, NULL), 1);
	assert_string_equal(r.watch, "orders");
	assert_string_equal(r.root, "/drop");
	assert_string_equal(r.relpath, "a\nb\xff/c.csv");
	assert_string_equal(r.uri, "/Volumes/x");
	assert_string_equal(r.mime, "text/csv");
	assert_int_equal(r.version.size, 5);
	assert_int_equal(r.version.mtime_ns, 7);
	assert_true(r.version.ino == UINT64_MAX);
	assert_string_equal(r.version.ends, ENDS_A);
	assert_int_equal(r.owner, 1000);
	assert_int_equal(r.state, LEDGER_PENDING);
	assert_string_equal(r.token, TOKEN_A);
	assert_int_equal(r.generation, 1);
	assert_string_equal(r.workspace, "prod");
	assert_string_equal(r.host, "adb.example");
	assert_int_equal(r.job_id, 42);
	assert_int_equal(r.run_id, 0);
	assert_true(r.previous_run_id == INT64_MAX);
	assert_false(r.sent);
	ledger_row_done(&r);
	assert_int_equal(ledger_request(l, id, &body, NULL), 1);
	assert_string_equal(buf_str(&body), "{\"job_id\":42}");
	assert_int_equal(ledger_row(l, id + 1, &r, NULL), 0);
	assert_int_equal(ledger_request(l, id + 1, &body, NULL), 0);
	ledger_close(l);
}

static void test_rollback(void **state)
{
	struct ledger *l = memory();
	struct ledger_new v = new_row(l, "a", TOKEN_A);

	(void)state;
	assert_int_equal(ledger_begin(l, NULL), 0);
	assert_int_equal(ledger_begin(l, NULL), 0); /* once is enough */
	insert(l, &v);
	assert_int_equal(count(l, LEDGER_PENDING), 1);
	ledger_rollback(l);
	assert_false(ledger_is_open(l));
	assert_int_equal(count(l, LEDGER_PENDING), 0);
	v = new_row(l, "a", TOKEN_A); /* the directory's number is gone too */
	insert(l, &v);
	commit(l);
	assert_int_equal(count(l, LEDGER_PENDING), 1);
	commit(l); /* nothing to do */
	ledger_close(l);
}

/* Tokens are unique; rows without one are as many as you like; a refused row leaves the transaction usable.
 */
static void test_tokens_are_unique(void **state)
{
	struct ledger *l = memory();
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	struct ledger_owner owner;
	struct err err = ERR_INIT;
	int64_t id = insert(l, &v), other;

	(void)state;
	v = new_row(l, "b", TOKEN_A);
	assert_int_equal(ledger_insert(l, &v, &other, &err), -EEXIST);
	v = new_row(l, "b", TOKEN_B);
	insert(l, &v);
	v = new_row(l, "c", "");
	insert(l, &v);
	insert(l, &v);
	commit(l);
	assert_int_equal(ledger_find_token(l, TOKEN_A, "a", &owner, NULL), 1);
	assert_int_equal(owner.id, id);
	assert_string_equal(owner.watch, "orders");
	assert_true(owner.same_relpath);
	assert_int_equal(ledger_find_token(l, TOKEN_A, "b", &owner, NULL), 1);
	assert_false(owner.same_relpath);
	assert_int_equal(ledger_find_token(l, ENDS_A, "a", &owner, NULL), 0);
	ledger_close(l);
}

static void test_newest_row_of_a_key(void **state)
{
	struct ledger *l = memory();
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	struct ledger_key other = key_in(l, "other", "/drop", "a");
	struct ledger_known known;
	struct ledger_glance glance;
	const struct version seen = {.mtime_ns = 1234, .ino = 5, .birth_ns = 6};
	int64_t first = insert(l, &v), second, run_id = 0;

	(void)state;
	v = new_row(l, "a", TOKEN_B);
	v.version.size = 6;
	v.state = LEDGER_REJECTED;
	v.rules_hash = HASH;
	v.generation = 9;
	second = insert(l, &v);
	v = new_row(l, "a/b", "");
	insert(l, &v);
	v = new_row(l, "a", "");
	assert_int_equal(ledger_newest(l, &v.key, &known, NULL), 1);
	assert_int_equal(known.id, second);
	assert_int_equal(known.state, LEDGER_REJECTED);
	assert_int_equal(known.version.size, 6);
	assert_int_equal(known.generation, 9);
	assert_string_equal(known.rules_hash, HASH);
	assert_int_equal(ledger_newest(l, &other, &known, NULL), 0);
	assert_int_equal(ledger_glance(l, &other, &glance, NULL), 0);
	assert_int_equal(ledger_glance(l, &v.key, &glance, NULL), 1);
	assert_int_equal(glance.id, second);
	assert_int_equal(glance.size, 6);
	assert_int_equal(glance.mtime_ns, 7);
	assert_string_equal(glance.rules_hash, HASH);
	assert_int_equal(ledger_last_run(l, &v.key, &run_id, NULL), 0);
	assert_int_equal(ledger_set_started(l, first, 77, 1, "token", NOW, NULL), 0);
	assert_int_equal(ledger_last_run(l, &v.key, &run_id, NULL), 1);
	assert_int_equal(run_id, 77);
	/* what a listing saw since is compared with, what was accepted stays */
	assert_int_equal(ledger_set_seen(l, second, &seen, NULL), 0);
	assert_int_equal(ledger_newest(l, &v.key, &known, NULL), 1);
	assert_int_equal(known.version.mtime_ns, 1234);
	assert_int_equal(known.version.ino, 5);
	assert_int_equal(known.version.birth_ns, 6);
	assert_int_equal(ledger_glance(l, &v.key, &glance, NULL), 1);
	assert_int_equal(glance.mtime_ns, 1234);
	assert_int_equal(ledger_set_seen(l, 1000, &seen, NULL), -EBADMSG);
	ledger_close(l);
}

static void test_renamed_watch(void **state)
{
	struct ledger *l = memory();
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	struct ledger_key to = key_in(l, "sales", "/drop", "a");
	struct ledger_known known;

	(void)state;
	insert(l, &v);
	assert_int_equal(ledger_move_key(l, &v.key, "sales", NULL), 0);
	assert_int_equal(ledger_newest(l, &v.key, &known, NULL), 0);
	assert_int_equal(ledger_newest(l, &to, &known, NULL), 1);
	ledger_close(l);
}

static void test_line_of_pending_rows(void **state)
{
	char principal[LEDGER_PRINCIPAL_BYTES] = ""; /* the longest there can be */
	struct ledger *l = memory();
	struct ledger_line line = {.watch = "orders", .host = "adb.example"};
	struct ledger_line elsewhere = {.watch = "orders", .host = "other.example"};
	int64_t ids[8], got[8], due = 0;
	char token[TOKEN_BYTES];
	struct ledger_row r;

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct ledger_new v = new_row(l, "a", token_of(i, token));

		ids[i] = insert(l, &v);
	}
	assert_int_equal(ledger_fresh(l, &line, LEDGER_YOUNG, 0, got, 4, NULL), 4);
	assert_memory_equal(got, ids, 4 * sizeof(ids[0]));
	assert_int_equal(ledger_fresh(l, &line, LEDGER_YOUNG, got[3], got, 4, NULL), 2);
	assert_memory_equal(got, ids + 4, 2 * sizeof(ids[0]));
	assert_int_equal(ledger_fresh(l, &elsewhere, LEDGER_YOUNG, 0, got, 4, NULL), 0);
	/* 0 and 2 failed: 2 is due first */
	for (int i = 0; i <= 2; i += 2) {
		assert_int_equal(ledger_row(l, ids[i], &r, NULL), 1);
		r.attempts = 1;
		r.sent = true;
		r.next_attempt_us = NOW + 100 - i;
		assert_int_equal(ledger_set_retry(l, &r, "", NULL), 0);
		ledger_row_done(&r);
	}
	assert_int_equal(ledger_fresh(l, &line, LEDGER_YOUNG, 0, got, 8, NULL), 4);
	assert_int_equal(ledger_due(l, &line, LEDGER_YOUNG, 0, NOW, got, 8, NULL), 0);
	assert_int_equal(ledger_next_due(l, &line, NOW, &due, NULL), 1);
	assert_int_equal(due, NOW + 98);
	assert_int_equal(ledger_due(l, &line, LEDGER_YOUNG, 0, NOW + 100, got, 8, NULL), 2);
	assert_int_equal(got[0], ids[2]);
	assert_int_equal(got[1], ids[0]);
	/* those that may be out, and by age those that are not */
	assert_int_equal(ledger_due(l, &line, LEDGER_CERTAIN, 0, NOW + 100, got, 8, NULL), 2);
	assert_int_equal(ledger_due(l, &line, LEDGER_OLD, ids[5], NOW + 100, got, 8, NULL), 0);
	assert_int_equal(ledger_fresh(l, &line, LEDGER_CERTAIN, 0, got, 8, NULL), 0);
	assert_int_equal(ledger_mark_sent(l, ids[5], NULL), 0);
	assert_int_equal(ledger_fresh(l, &line, LEDGER_CERTAIN, 0, got, 8, NULL), 1);
	assert_int_equal(got[0], ids[5]);
	assert_int_equal(ledger_fresh(l, &line, LEDGER_OLD, ids[5], got, 8, NULL), 3);
	assert_int_equal(got[0], ids[1]);
	assert_int_equal(ledger_fresh(l, &line, LEDGER_OLD, ids[3], got, 8, NULL), 2);
	assert_int_equal(ledger_fresh(l, &line, LEDGER_YOUNG, ids[3], got, 8, NULL), 2);
	assert_int_equal(ledger_newest_id(l, &due, NULL), 0);
	assert_int_equal(due, ids[5]);
	assert_int_equal(
		ledger_clamp_due(l, &line, NOW, 9, 99, NULL), 0); /* neither has failed at some time */
	assert_int_equal(ledger_due(l, &line, LEDGER_YOUNG, 0, NOW + 99, got, 8, NULL), 2);
	/* final rows are in no line */
	memset(principal, 'p', sizeof(principal) - 1);
	assert_int_equal(ledger_set_started(l, ids[0], 1, 2, principal, NOW, NULL), 0);
	assert_int_equal(ledger_row(l, ids[0], &r, NULL), 1);
	assert_string_equal(r.principal, principal);
	ledger_row_done(&r);
	assert_int_equal(ledger_row(l, ids[2], &r, NULL), 1);
	assert_int_equal(ledger_set_closed(l, &r, LEDGER_FAILED, "bad_request", "", NOW, NULL), 0);
	ledger_row_done(&r);
	assert_int_equal(ledger_due(l, &line, LEDGER_YOUNG, 0, INT64_MAX, got, 8, NULL), 0);
	assert_int_equal(count(l, LEDGER_PENDING), 4);
	assert_int_equal(count(l, LEDGER_STARTED), 1);
	assert_int_equal(count(l, LEDGER_FAILED), 1);
	ledger_close(l);
}

/* The clock was ahead by a year: who has failed waits as long as it was to wait, the others so long at most.
 */
static void test_clamp(void **state)
{
	static const struct {
		int64_t last_failed_us, next_us, then_us;
	} rows[] = {
		{AHEAD, AHEAD + 5, NOW + 5},	/* a pause of 5 */
		{AHEAD, AHEAD + 70, NOW + 50},	/* longer than any */
		{AHEAD + 7, AHEAD, NOW + 50},	/* not in this order: something else is wrong */
		{0, AHEAD, NOW + 20},		/* has not failed */
		{NOW - 3, NOW + 30, NOW + 30},	/* as it should be */
		{NOW - 30, NOW - 10, NOW - 10}, /* due */
		{0, NOW + 20, NOW + 20},
		{0, 0, 0},
	};
	struct ledger *l = memory();
	struct ledger_line line = {.watch = "orders", .host = "adb.example"};
	char token[TOKEN_BYTES];
	struct ledger_row r;
	int64_t ids[ARRAY_SIZE(rows)];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ledger_new v = new_row(l, "a", token_of((int)i, token));

		ids[i] = insert(l, &v);
		assert_int_equal(ledger_row(l, ids[i], &r, NULL), 1);
		r.last_failed_us = rows[i].last_failed_us;
		r.next_attempt_us = rows[i].next_us;
		assert_int_equal(ledger_set_retry(l, &r, "", NULL), 0);
		ledger_row_done(&r);
	}
	assert_int_equal(ledger_clamp_due(l, &line, NOW, 50, 20, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ledger_row(l, ids[i], &r, NULL), 1);
		assert_int_equal(r.next_attempt_us, rows[i].then_us);
		if (rows[i].last_failed_us > 0) /* what counts as trying is what it was */
			assert_int_equal(r.next_attempt_us - r.last_failed_us,
				rows[i].next_us - rows[i].last_failed_us);
		ledger_row_done(&r);
	}
	ledger_close(l);
}

static int add_up(const char *watch, const char *host, int64_t rows, void *arg)
{
	int64_t *sum = arg;

	assert_string_equal(host, "adb.example");
	*sum += strcmp(watch, "orders") == 0 ? rows : 100 * rows;
	return 0;
}

static void test_each_line(void **state)
{
	struct ledger *l = memory();
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	int64_t sum = 0;

	(void)state;
	insert(l, &v);
	v = new_row(l, "b", TOKEN_B);
	insert(l, &v);
	v = new_row(l, "c", "");
	v.key.watch = "sales";
	insert(l, &v);
	v.state = LEDGER_SKIPPED;
	insert(l, &v);
	assert_int_equal(ledger_each_line(l, add_up, &sum, NULL), 0);
	assert_int_equal(sum, 102);
	ledger_close(l);
}

static void test_outbox(void **state)
{
	struct ledger *l = memory();
	CLEANUP_BUF struct buf line = BUF_INIT(100);
	int64_t seq = 0, first = 0, found = 0;

	(void)state;
	assert_int_equal(ledger_outbox_next(l, 0, &seq, &line, NULL), 0);
	assert_int_equal(ledger_outbox_add(l, "id1", "one\n", 4, NULL), 0);
	assert_int_equal(ledger_outbox_add(l, "id2", "two\n", 4, NULL), 0);
	commit(l);
	assert_int_equal(ledger_outbox_next(l, 0, &first, &line, NULL), 1);
	assert_string_equal(buf_str(&line), "one\n");
	assert_int_equal(ledger_outbox_next(l, first, &seq, &line, NULL), 1);
	assert_string_equal(buf_str(&line), "two\n");
	assert_int_equal(ledger_outbox_find(l, "two\n", 4, &found, NULL), 1);
	assert_int_equal(found, seq);
	assert_int_equal(ledger_outbox_find(l, "two", 3, &found, NULL), 0);
	assert_int_equal(ledger_outbox_delete(l, seq, NULL), 0);
	assert_int_equal(ledger_outbox_add(l, "id3", "three\n", 6, NULL), 0);
	commit(l);
	/* a number is never given twice: what was written is known by it */
	assert_int_equal(ledger_outbox_next(l, 0, &found, &line, NULL), 1);
	assert_true(found > seq);
	ledger_close(l);
}

static void test_baselines(void **state)
{
	struct ledger *l = memory();
	struct ledger_key k = key_in(l, "orders", "/drop", "a");
	struct ledger_baseline baseline;
	int64_t at;

	(void)state;
	assert_int_equal(ledger_set_baseline(l, "orders", k.root_id, "", "lost", 0, NULL), 0);
	assert_int_equal(ledger_baseline(l, "orders", k.root_id, "", &baseline, NULL), 1);
	assert_string_equal(baseline.mode, "lost");
	assert_int_equal(ledger_baseline(l, "orders", k.root_id, "ext4", &baseline, NULL), 0);
	assert_int_equal(ledger_set_baseline(l, "orders", k.root_id, "ext4", "skip", 0, NULL), 0);
	assert_int_equal(ledger_baseline(l, "orders", k.root_id, "", &baseline, NULL), 0);
	assert_int_equal(ledger_baseline_closed(l, "orders", k.root_id, &at, NULL), 0);
	assert_int_equal(ledger_close_baseline(l, "orders", k.root_id, "ext4", NOW, NULL), 0);
	assert_int_equal(ledger_set_baseline(l, "orders", k.root_id, "ext4", "run", 0, NULL), 0);
	assert_int_equal(ledger_baseline(l, "orders", k.root_id, "ext4", &baseline, NULL), 1);
	assert_string_equal(baseline.mode, "skip");
	assert_int_equal(baseline.closed_us, NOW);
	assert_int_equal(ledger_baseline_closed(l, "orders", k.root_id, &at, NULL), 1);
	assert_int_equal(at, NOW);
	assert_int_equal(ledger_baseline(l, "sales", k.root_id, "ext4", &baseline, NULL), 0);
	assert_int_equal(ledger_has_rows(l, "sales", k.root_id, NULL), 0);
	ledger_close(l);
}

/* ---- files that are not as they should be ---- */

static void write_file(const struct place *p, const char *bytes, size_t n)
{
	CLEANUP_FREE char *path = fs_join(p->directory, LEDGER_FILE);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, bytes, n), 0);
}

/* Runs SQL behind the ledger's back: only dispatch/ledger.c may use SQLite here, so another program does it.
 */
static void run_sql(const struct place *p, const char *sql)
{
	static const char program[] = "import sqlite3, sys\n"
				      "c = sqlite3.connect(sys.argv[1])\n"
				      "c.executescript(sys.argv[2])\n"
				      "c.close()\n";
	const char *python = getenv("PYTHON") ? getenv("PYTHON") : "/usr/bin/python3";
	CLEANUP_FREE char *path = fs_join(p->directory, LEDGER_FILE);
	pid_t pid = fork();
	int status = -1;

	assert_true(pid >= 0);
	if (pid == 0) {
		execl(python, python, "-c", program, path, sql, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void expect_refusal(const struct place *p, const char *words)
{
	struct err err = ERR_INIT;
	struct ledger *l = NULL;

	assert_true(ledger_open(p->directory, true, &l, &err) < 0);
	assert_null(l);
	assert_int_equal(err.class, ERR_CONF);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" is not in: %s", words, err.text);
}

static void test_refuses_foreign_files(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *path = fs_join(p->directory, LEDGER_FILE);
	char bytes[8192];

	memset(bytes, 'x', sizeof(bytes));
	write_file(p, bytes, sizeof(bytes));
	expect_refusal(p, "damaged");
	assert_int_equal(unlink(path), 0);
	run_sql(p, "CREATE TABLE t (a)");
	expect_refusal(p, "not a ledger");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_refusal(p, "not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/tmp/nowhere", path), 0);
	{
		struct err err = ERR_INIT;
		struct ledger *l = NULL;

		assert_true(ledger_open(p->directory, true, &l, &err) < 0);
	}
	assert_false(is_there("/tmp/nowhere"));
}

static void test_refuses_newer_schema(void **state)
{
	struct place *p = *state;
	struct ledger *l = open_ledger(p, true);

	ledger_close(l);
	run_sql(p, "PRAGMA user_version = 5");
	expect_refusal(p, "newer brickwatch");
	run_sql(p, "PRAGMA user_version = 4");
	l = open_ledger(p, true);
	ledger_close(l);
}

/* A person's release without a look at the file makes a row certain; a row put off is no more tried than
 * before. */
static void test_unchecked_and_postponed(void **state)
{
	struct place *p = *state;
	struct ledger *l = open_ledger(p, true);
	struct ledger_line line = {.watch = "orders", .host = "adb.example", .certain_only = true};
	struct ledger_new a = new_row(l, "a", TOKEN_A), b = new_row(l, "b", TOKEN_B);
	int64_t first = insert(l, &a), second = insert(l, &b), got[4], due;
	struct ledger_row r;

	commit(l);
	ledger_close(l);
	run_sql(p, "UPDATE version SET unchecked = 1 WHERE relpath = x'62'");
	l = open_ledger(p, true);
	assert_int_equal(ledger_fresh(l, &line, LEDGER_CERTAIN, 0, got, 4, NULL), 1);
	assert_int_equal(got[0], second);
	assert_int_equal(ledger_fresh(l, &line, LEDGER_OLD, second, got, 4, NULL), 1);
	assert_int_equal(got[0], first);
	assert_int_equal(ledger_row(l, second, &r, NULL), 1);
	assert_true(r.unchecked);
	r.attempts = 1;
	r.last_failed_us = NOW;
	r.next_attempt_us = NOW + 7;
	assert_int_equal(ledger_set_retry(l, &r, "", NULL), 0);
	ledger_row_done(&r);
	assert_int_equal(ledger_postpone(l, first, NOW + 100, NULL), 0);
	assert_int_equal(ledger_postpone(l, second, NOW + 100, NULL), 0);
	assert_int_equal(ledger_row(l, first, &r, NULL), 1);
	assert_int_equal(r.next_attempt_us, NOW + 100);
	assert_int_equal(r.attempts, 0);
	assert_int_equal(r.last_failed_us, 0);
	ledger_row_done(&r);
	assert_int_equal(ledger_row(l, second, &r, NULL), 1);
	assert_int_equal(r.next_attempt_us - r.last_failed_us, 7);
	assert_int_equal(r.attempts, 1);
	ledger_row_done(&r);
	/* a line that is certain only waits for its own rows */
	assert_int_equal(ledger_next_due(l, &line, NOW, &due, NULL), 1);
	assert_int_equal(ledger_set_started(l, second, 1, 2, "token", NOW, NULL), 0);
	assert_int_equal(ledger_next_due(l, &line, NOW, &due, NULL), 0);
	assert_int_equal(
		ledger_postpone(l, second, NOW + 200, NULL), 0); /* not pending: nothing to put off */
	assert_int_equal(ledger_row(l, second, &r, NULL), 1);
	assert_int_equal(r.next_attempt_us, NOW + 100);
	ledger_row_done(&r);
	ledger_close(l);
}

/* A ledger of schema 1 is brought to the newest, with its rows, and kept as it was; not by those who only
 * look. */
static void test_migrates_older_schema(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *kept = fs_join(p->directory, "ledger.db.schema-1");
	struct ledger *l = open_ledger(p, true);
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	int64_t id = insert(l, &v);
	struct ledger_row row;
	struct err err = ERR_INIT;

	commit(l);
	ledger_close(l);
	run_sql(p,
		"DROP INDEX version_ino; DROP INDEX version_verify; DROP INDEX version_state;"
		"DROP INDEX version_certain;"
		"ALTER TABLE version DROP COLUMN verify_at; ALTER TABLE version DROP COLUMN unchecked;"
		"ALTER TABLE version DROP COLUMN skips; ALTER TABLE version DROP COLUMN missed;"
		"ALTER TABLE version DROP COLUMN birth_ns;"
		"ALTER TABLE version DROP COLUMN marker_mtime_ns; ALTER TABLE version DROP COLUMN marker_ino;"
		"ALTER TABLE version DROP COLUMN revived; ALTER TABLE version DROP COLUMN moved;"
		"DROP TABLE notice; DROP TABLE consumer;"
		"PRAGMA user_version = 1");
	l = NULL;
	assert_true(ledger_open_read_only(p->directory, &l, &err) < 0);
	assert_non_null(strstr(err.text, "older brickwatch"));
	assert_false(is_there(kept));
	for (int i = 0; i < 2; i++) { /* the second time there is nothing to do */
		l = open_ledger(p, true);
		assert_int_equal(ledger_row(l, id, &row, NULL), 1);
		assert_string_equal(row.token, TOKEN_A);
		ledger_row_done(&row);
		ledger_close(l);
	}
	assert_true(is_there(kept));
	assert_int_equal(unlink(kept), 0);
}

/* Schema 3, of the program before consumers: the ledger goes on, and what is kept beside is still one for
 * that program. */
static void test_migrates_schema_3(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *kept = fs_join(p->directory, "ledger.db.schema-3");
	CLEANUP_FREE char *now = fs_join(p->directory, LEDGER_FILE);
	const struct notices_row notice = {.id = "00112233445566778899aabbccddeeff", .type = "run.started"};
	struct ledger *l = open_ledger(p, true);
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	int64_t id = insert(l, &v), seq;
	CLEANUP_BUF struct buf line = BUF_INIT(1024);
	struct notices_consumer consumer;

	assert_int_equal(ledger_outbox_add(l, "x", "{}\n", 3, NULL), 0);
	commit(l);
	ledger_close(l);
	run_sql(p, "DROP TABLE notice; DROP TABLE consumer; PRAGMA user_version = 3");
	l = open_ledger(p, true);
	assert_int_equal(ledger_outbox_next(l, 0, &seq, &line, NULL), 1);
	assert_int_equal(notices_add(l, "ops", &notice, "{}\n", 3, NULL), 0);
	commit(l);
	ledger_close(l);
	assert_true(is_there(kept));
	/* back to the older program */
	assert_int_equal(rename(kept, now), 0);
	run_sql(p, "SELECT CASE WHEN (SELECT count(*) FROM sqlite_master WHERE name = 'notice') = 0 THEN 1 "
		   "ELSE abs(-9223372036854775808) END");
	l = open_ledger(p, true);
	assert_int_equal(notices_consumer(l, "ops", &consumer, NULL), 0);
	assert_int_equal(ledger_outbox_next(l, 0, &seq, &line, NULL), 1);
	{
		struct ledger_row row;

		assert_int_equal(ledger_row(l, id, &row, NULL), 1);
		ledger_row_done(&row);
	}
	ledger_close(l);
	assert_int_equal(unlink(kept), 0);
}

/* Every column of a row, made into something it cannot be: reading says so and goes on. */
static void test_damaged_values(void **state)
{
	static const struct {
		const char *set;
		bool newest, whole; /* who sees it: ledger_newest, ledger_row */
	} rows[] = {
		{"size = -1", true, true},
		{"size = 'x'", true, true},
		{"ends = 'xyz'", true, true},
		{"ends = x'00'", true, true},
		{"state = 'strange'", true, true},
		{"state = 7", true, true},
		{"rules_hash = '0123456789abcdef0'", true, false},
		{"generation = -1", true, true},
		{"ino = 1.5", true, true},
		{"token = 'short'", false, true},
		{"token = x'31003100'", false, true},
		{"mtime_ns = x'01'", false, true},
		{"watch = zeroblob(10)", false, true},
		{"host = zeroblob(5000)", false, true},
		{"job_id = 'many'", false, true},
		{"run_id = 0", false, true},
		{"run_id = -5", false, true},
		{"attempts = -1", false, true},
		{"next_attempt = 'soon'", false, true},
		{"relpath = CAST(zeroblob(3) AS TEXT)", false, true},
		{"uri = 17", false, true},
		{"sent = 'yes'", false, true},
	};
	struct place *p = *state;
	struct ledger *l = open_ledger(p, false);
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	struct ledger_key key = v.key;
	int64_t id = insert(l, &v);

	commit(l);
	ledger_close(l);
	run_sql(p, "CREATE TABLE copy AS SELECT * FROM version");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_FREE char *sql =
			mem_printf("DELETE FROM version; INSERT INTO version SELECT * FROM copy;"
				   "UPDATE version SET %s",
				rows[i].set);
		struct err err = ERR_INIT;
		struct ledger_known known;
		struct ledger_glance glance;
		struct ledger_row r;
		int rc;

		run_sql(p, sql);
		l = open_ledger(p, false);
		if (rows[i].whole && ledger_row(l, id, &r, &err) != -EBADMSG)
			fail_msg("%s: a whole row was read", rows[i].set);
		if (rows[i].newest && ledger_newest(l, &key, &known, &err) != -EBADMSG)
			fail_msg("%s: the newest row was read", rows[i].set);
		rc = ledger_glance(l, &key, &glance, NULL);
		assert_true(rc >= 0 || rc == -EBADMSG); /* 0: the key itself was changed */
		if (strstr(rows[i].set, "size") || strstr(rows[i].set, "rules_hash"))
			assert_int_equal(rc, -EBADMSG);
		assert_non_null(strstr(err.text, "damaged"));
		assert_int_equal(count(l, LEDGER_SKIPPED), 0); /* still usable */
		ledger_close(l);
	}
}

/* Looks at the file as it lies there. 0, or what SQLite says. */
static int look_at(struct place *p)
{
	struct ledger_key key = {.watch = "orders", .root_id = 1, .relpath = "file-7"};
	struct ledger *l = NULL;
	struct ledger_known known;
	struct ledger_row r;
	int rc = ledger_open(p->directory, false, &l, NULL);

	if (rc < 0)
		return rc;
	rc = ledger_newest(l, &key, &known, NULL);
	if (rc > 0)
		rc = ledger_row(l, known.id, &r, NULL);
	if (rc > 0)
		ledger_row_done(&r);
	ledger_close(l);
	return rc < 0 ? rc : 0;
}

/* Pages overwritten with rubbish: an error or a right answer, never a crash. What SQLite calls damaged is so
 * when it is looked at once more, too. */
static void test_damaged_pages(void **state)
{
	struct place *p = *state;
	struct ledger *l = open_ledger(p, false);
	CLEANUP_FREE char *path = fs_join(p->directory, LEDGER_FILE);
	CLEANUP_FREE char *whole = NULL;
	CLEANUP_BUF struct buf file = BUF_INIT(1u << 20);
	char token[TOKEN_BYTES];
	size_t len;
	int found = 0;

	for (int i = 0; i < 50; i++) {
		CLEANUP_FREE char *name = mem_printf("file-%d", i);
		struct ledger_new v = new_row(l, name, token_of(i, token));

		insert(l, &v);
	}
	commit(l);
	ledger_close(l);
	assert_int_equal(fs_read_file(path, 1u << 20, &file, NULL), 0);
	whole = buf_take(&file, &len);
	for (size_t page = 0; page < len / 4096; page++) {
		CLEANUP_FREE char *bytes = mem_dup(whole, len);

		for (size_t i = page * 4096 + (page == 0 ? 100 : 0); i < page * 4096 + 4096; i += 3)
			bytes[i] ^= 0x5a;
		write_file(p, bytes, len);
		if (look_at(p) == -EUCLEAN) {
			found++;
			assert_false(ledger_is_whole(p->directory));
		}
	}
	assert_true(found > 0);
	write_file(p, whole, len);
	assert_true(ledger_is_whole(p->directory));
	assert_int_equal(unlink(path), 0);
	assert_false(ledger_is_whole(p->directory));
	write_file(p, whole, len);
}

static void test_read_only(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *wal = mem_printf("%s/ledger.db-wal", p->directory);
	struct ledger *l = NULL, *looker = NULL;
	struct ledger_new v;
	struct err err = ERR_INIT;
	int64_t id = 0;

	assert_int_equal(ledger_open_read_only(p->directory, &looker, &err), -ENOENT);
	l = open_ledger(p, false);
	v = new_row(l, "a", TOKEN_A);
	insert(l, &v);
	commit(l);
	/* beside the one that writes */
	assert_int_equal(ledger_open_read_only(p->directory, &looker, &err), 0);
	assert_int_equal(count(looker, LEDGER_PENDING), 1);
	assert_true(ledger_insert(looker, &v, &id, &err) < 0);
	v = new_row(l, "b", TOKEN_B);
	insert(l, &v);
	commit(l);
	assert_int_equal(count(looker, LEDGER_PENDING), 2);
	ledger_close(looker);
	ledger_close(l);
	/* and alone, leaving nothing behind */
	looker = NULL;
	assert_int_equal(ledger_open_read_only(p->directory, &looker, &err), 0);
	assert_int_equal(count(looker, LEDGER_PENDING), 2);
	ledger_close(looker);
	assert_false(is_there(wal));
}

static void test_is_private(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *path = fs_join(p->directory, LEDGER_FILE);
	CLEANUP_FREE char *wal = mem_printf("%s-wal", path);
	struct ledger *l = open_ledger(p, true);
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	struct stat st;

	insert(l, &v);
	commit(l);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	ledger_close(l);
}

/* ---- crashes ---- */

#define STEPS 12

/* A life in steps, ended by SIGKILL before step `last`. What is committed is told by a byte in the pipe. */
static void live(const struct place *p, int last, int told)
{
	struct ledger *l = open_ledger(p, true);
	char token[TOKEN_BYTES];

	for (int step = 0;; step++) {
		struct ledger_new v;

		if (step == last)
			(void)kill(getpid(), SIGKILL);
		switch (step % 3) {
		case 0:
			v = new_row(l, "a", token_of(step, token));
			insert(l, &v);
			break;
		case 1:
			assert_int_equal(ledger_outbox_add(l, "id", "line\n", 5, NULL), 0);
			break;
		default:
			commit(l);
			assert_int_equal(write(told, "c", 1), 1);
		}
	}
}

static void test_killed_at_each_step(void **state)
{
	struct place *p = *state;
	int64_t committed = 0;

	for (int last = 0; last < STEPS; last++) {
		CLEANUP_BUF struct buf line = BUF_INIT(100);
		CLEANUP_FREE char *path = fs_join(p->directory, LEDGER_FILE);
		int64_t rows, seq = 0, lines = 0;
		struct ledger *l;
		int status, told[2];
		char c;
		pid_t pid;

		assert_int_equal(pipe(told), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			live(p, last, told[1]);
		close(told[1]);
		for (committed = 0; read(told[0], &c, 1) == 1;)
			committed++;
		close(told[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		l = open_ledger(p, true);
		rows = count(l, LEDGER_PENDING);
		while (ledger_outbox_next(l, seq, &seq, &line, NULL) > 0)
			lines++;
		/* the fact and its event are there together, and all that was said to be */
		assert_int_equal(rows, committed);
		assert_int_equal(lines, committed);
		ledger_close(l);
		assert_int_equal(unlink(path), 0);
	}
	assert_true(committed > 0);
}

/* What waits of a file, pending or held, and was never sent; and whether a row is the newest of its file. */
static void test_waiting_of_a_file(void **state)
{
	struct ledger *l = memory();
	struct ledger_new v = new_row(l, "a", TOKEN_A);
	int64_t pending = insert(l, &v), held, sent, failed, ids[8];
	char token[TOKEN_BYTES];

	(void)state;
	v.token = "";
	v.state = LEDGER_HELD;
	held = insert(l, &v);
	v.state = LEDGER_PENDING;
	v.token = token_of(3, token);
	sent = insert(l, &v);
	assert_int_equal(ledger_mark_sent(l, sent, NULL), 0);
	v.state = LEDGER_FAILED;
	v.token = token_of(4, token);
	failed = insert(l, &v);
	v = new_row(l, "b", token_of(5, token));
	(void)insert(l, &v);
	v = new_row(l, "a", token_of(6, token));
	assert_int_equal(ledger_unsent_of(l, &v.key, ids, 8, NULL), 2);
	assert_int_equal(ids[0], pending);
	assert_int_equal(ids[1], held);
	assert_int_equal(ledger_has_newer(l, pending, NULL), 1);
	assert_int_equal(ledger_has_newer(l, sent, NULL), 1);
	assert_int_equal(ledger_has_newer(l, failed, NULL), 0); /* b is another file */
	v.key.watch = "other";
	(void)insert(l, &v);
	assert_int_equal(ledger_has_newer(l, failed, NULL), 0); /* and another watch has its own */
	assert_int_equal(ledger_elsewhere(l, &v.key, ids, 8, NULL), 4);
	assert_int_equal(ids[0], failed); /* newest first */
	assert_int_equal(ids[3], pending);
	v.key.watch = "orders";
	assert_int_equal(ledger_elsewhere(l, &v.key, ids, 8, NULL), 1);
	ledger_close(l);
}

/* Deleted, renamed or replaced: what is committed to it would be gone with us. */
static void test_file_is_moved(void **state)
{
	const struct place *p = *state;
	CLEANUP_FREE char *path = fs_join(p->directory, "ledger.db");
	CLEANUP_FREE char *away = fs_join(p->directory, "away");
	struct ledger *l = open_ledger(p, false), *other = NULL;
	struct err err = ERR_INIT;
	CLEANUP_BUF struct buf value = BUF_INIT(64);

	assert_int_equal(ledger_check_place(l, &err), 0);
	assert_int_equal(ledger_set_meta(l, "a", "1", &err), 0);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(ledger_check_place(l, &err), -ESTALE);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(ledger_commit(l, &err), -ESTALE);
	assert_false(ledger_is_open(l));
	assert_int_equal(ledger_meta(l, "a", &value, &err), 0); /* it was given up */
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(ledger_set_meta(l, "a", "2", &err), 0);
	assert_int_equal(ledger_commit(l, &err), 0);
	ledger_close(l);
	assert_int_equal(ledger_open_memory(&other, &err), 0);
	assert_int_equal(ledger_check_place(other, &err), 0);
	ledger_close(other);
}

static void test_read_only_without_permission(void **state)
{
	const struct place *p = *state;
	struct ledger *l = NULL;
	struct err err = ERR_INIT;

	if (geteuid() != 0)
		skip();
	assert_int_equal(ledger_open_read_only(p->directory, &l, &err), -ENOENT);
	ledger_close(open_ledger(p, false));
	assert_int_equal(chmod(p->directory, 0755), 0);
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(ledger_open_read_only(p->directory, &l, &err), -EACCES);
	assert_int_equal(seteuid(0), 0);
	assert_non_null(strstr(err.text, "not permitted to read the ledger"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_row_round_trip, set_up, tear_down),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_tokens_are_unique),
		cmocka_unit_test(test_newest_row_of_a_key),
		cmocka_unit_test(test_renamed_watch),
		cmocka_unit_test(test_waiting_of_a_file),
		cmocka_unit_test(test_line_of_pending_rows),
		cmocka_unit_test(test_clamp),
		cmocka_unit_test_setup_teardown(test_unchecked_and_postponed, set_up, tear_down),
		cmocka_unit_test(test_each_line),
		cmocka_unit_test(test_outbox),
		cmocka_unit_test(test_baselines),
		cmocka_unit_test_setup_teardown(test_refuses_foreign_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refuses_newer_schema, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_migrates_older_schema, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_migrates_schema_3, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_is_private, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_at_each_step, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_is_moved, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_only_without_permission, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
