#include "dispatch/statedir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
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
	char *state;
	int keeper[2];
};

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	memcpy(b->dir, "/tmp/statedir-XXXXXX", 21);
	assert_non_null(mkdtemp(b->dir));
	b->state = fs_join(b->dir, "state");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, b->keeper), 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	CLEANUP_FREE char *lock = fs_join(b->state, "lock");

	(void)unlink(lock);
	(void)rmdir(b->state);
	(void)rmdir(b->dir);
	(void)close(b->keeper[0]);
	(void)close(b->keeper[1]);
	free(b->state);
	free(b);
	return 0;
}

static void test_made_for_us_alone(void **state)
{
	struct bench *b = *state;
	CLEANUP_FD int fd = -1;
	struct stat st;

	assert_int_equal(statedir_open(b->state, b->keeper[0], &fd, NULL), 0);
	assert_true(fd >= 0);
	assert_int_equal(stat(b->state, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

/* Who waits for the lock ends with its keeper; whoever lets go of it hands it on. */
static void test_lock(void **state)
{
	struct bench *b = *state;
	struct err err = ERR_INIT;
	int first = -1, second = -1;

	assert_int_equal(statedir_open(b->state, b->keeper[0], &first, NULL), 0);
	(void)close(b->keeper[1]);
	b->keeper[1] = -1;
	assert_int_equal(statedir_open(b->state, b->keeper[0], &second, &err), -EPIPE);
	assert_int_equal(second, -1);
	(void)close(first);
	assert_int_equal(statedir_open(b->state, b->keeper[0], &second, NULL), 0);
	(void)close(second);
}

static void test_no_parent(void **state)
{
	struct bench *b = *state;
	CLEANUP_FREE char *deep = fs_join(b->state, "deeper");
	struct err err = ERR_INIT;
	int fd = -1;

	assert_int_equal(statedir_open(deep, b->keeper[0], &fd, &err), -ENOENT);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(err.text, deep));
}

/* One level of folders is made for the event log, and not two. */
static void test_log_directory(void **state)
{
	struct bench *b = *state;
	CLEANUP_FREE char *file = fs_join(b->state, "events.jsonl");
	CLEANUP_FREE char *deep = fs_join(b->state, "a/b/events.jsonl");
	CLEANUP_FREE char *a = fs_join(b->state, "a");
	struct stat st;

	statedir_make_log(file);
	assert_int_equal(stat(b->state, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	statedir_make_log(file); /* it is there */
	statedir_make_log(deep);
	assert_int_equal(stat(a, &st), -1);
	statedir_make_log("/events.jsonl");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_for_us_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_parent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log_directory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
