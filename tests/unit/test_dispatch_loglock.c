#include "dispatch/loglock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/mem.h"

struct bench {
	char dir[32];
	char *log, *lock;
	struct loglock first, second;
	int keeper[2];
};

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	memcpy(b->dir, "/tmp/loglock-XXXXXX", 20);
	assert_non_null(mkdtemp(b->dir));
	b->log = fs_join(b->dir, "events.jsonl");
	b->lock = fs_join(b->dir, ".events.jsonl.lock");
	loglock_init(&b->first);
	loglock_init(&b->second);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b->keeper), 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	loglock_done(&b->first);
	loglock_done(&b->second);
	(void)unlink(b->log);
	(void)unlink(b->lock);
	(void)rmdir(b->lock);
	(void)rmdir(b->dir);
	(void)close(b->keeper[0]);
	(void)close(b->keeper[1]);
	free(b->log);
	free(b->lock);
	free(b);
	return 0;
}

/* One has it, whatever becomes of the log; when that one has let go, another may take it. */
static void test_one_has_it(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	struct stat st;

	assert_int_equal(loglock_hold(&b->first, b->log, NULL), 0);
	assert_int_equal(loglock_hold(&b->first, b->log, NULL), 0);
	assert_int_equal(loglock_hold(&b->second, b->log, &err), -EBUSY);
	assert_non_null(strstr(err.text, b->log));
	assert_int_equal(b->second.fd, -1);
	loglock_done(&b->first);
	assert_int_equal(loglock_hold(&b->second, b->log, NULL), 0);
	assert_int_equal(lstat(b->log, &st), -1); /* the log itself is not touched */
}

/* Who has another file has another log. */
static void test_another_log(void **state)
{
	struct bench *b = *state;
	CLEANUP_FREE char *other = fs_join(b->dir, "other.jsonl"),
			  *lock = fs_join(b->dir, ".other.jsonl.lock");

	assert_int_equal(loglock_hold(&b->first, b->log, NULL), 0);
	assert_int_equal(loglock_hold(&b->second, other, NULL), 0);
	assert_int_equal(unlink(lock), 0);
}

/* The folder was emptied under us: what stands there now is locked. */
static void test_removed(void **state)
{
	struct bench *b = *state;
	struct stat st;

	assert_int_equal(loglock_hold(&b->first, b->log, NULL), 0);
	assert_int_equal(unlink(b->lock), 0);
	assert_int_equal(loglock_hold(&b->first, b->log, NULL), 0);
	assert_int_equal(lstat(b->lock, &st), 0);
	assert_int_equal(loglock_hold(&b->second, b->log, NULL), -EBUSY);
}

/* No folder yet, or something else in its place: the log is written without a lock. */
static void test_without(void **state)
{
	struct bench *b = *state;
	CLEANUP_FREE char *deep = fs_join(b->dir, "no/folder/events.jsonl");

	assert_int_equal(loglock_hold(&b->first, deep, NULL), 0);
	assert_int_equal(b->first.fd, -1);
	assert_false(b->first.said);
	assert_int_equal(mkdir(b->lock, 0700), 0);
	assert_int_equal(loglock_hold(&b->first, b->log, NULL), 0);
	assert_int_equal(b->first.fd, -1);
	assert_true(b->first.said);
}

/* Who waits ends with its keeper. */
static void test_wait(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;

	assert_int_equal(loglock_wait(&b->first, b->log, b->keeper[0], NULL), 0);
	(void)close(b->keeper[1]);
	b->keeper[1] = -1;
	assert_int_equal(loglock_wait(&b->second, b->log, b->keeper[0], &err), -EPIPE);
	assert_non_null(strstr(err.text, "keeper"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_has_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wait, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
