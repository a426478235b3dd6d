/* sense/inotify: the rows of events a drop folder makes, decoded; overflow is told like everything else. */
#include "sense/inotify.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char seen[1 << 16];
static int overflows;
static long notes;

static void test_note(const struct inotify_note *n, void *arg)
{
	static const char *const words[] = {
		"created", "closed", "from", "to", "deleted", "self", "ignored", "overflow"};
	size_t at = strlen(seen);

	(void)arg;
	notes++;
	overflows += n->kind == INOTIFY_OVERFLOW;
	if (n->kind == INOTIFY_OVERFLOW)
		assert_int_equal(n->wd, -1);
	(void)snprintf(seen + at, sizeof(seen) - at, "%s%s%s%s%s;", words[n->kind],
		n->is_directory ? "/" : "", n->name[0] ? " " : "", n->name,
		(n->kind == INOTIFY_MOVED_FROM || n->kind == INOTIFY_MOVED_TO) && n->cookie ? "+" : "");
}

struct test {
	char dir[64];
	int fd, wd;
	struct loop *loop;
	struct inotify *in;
};

static int test_setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct err err = ERR_INIT;

	if (!t)
		return -1;
	(void)snprintf(t->dir, sizeof(t->dir), "/tmp/bw-inotify.XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	t->loop = loop_new(&err);
	t->in = inotify_new(t->loop, test_note, t, &err);
	t->fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t->wd = inotify_watch(t->in, t->fd);
	assert_true(t->wd >= 0);
	seen[0] = '\0';
	overflows = 0;
	notes = 0;
	*state = t;
	return 0;
}

static int test_teardown(void **state)
{
	struct test *t = *state;

	inotify_free(t->in);
	loop_free(t->loop);
	close(t->fd);
	(void)rmdir(t->dir);
	free(t);
	return 0;
}

static void test_make(const struct test *t, const char *name)
{
	int fd = openat(t->fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static void test_rows(void **state)
{
	const struct test *t = *state;

	test_make(t, "a");
	assert_int_equal(renameat(t->fd, "a", t->fd, "b"), 0);
	assert_int_equal(linkat(t->fd, "b", t->fd, "c", 0), 0);
	assert_int_equal(unlinkat(t->fd, "b", 0), 0);
	assert_int_equal(mkdirat(t->fd, "d", 0700), 0);
	assert_int_equal(unlinkat(t->fd, "d", AT_REMOVEDIR), 0);
	assert_int_equal(fchmodat(t->fd, "c", 0644, 0), 0); /* not asked for */
	close(openat(t->fd, "c", O_RDONLY | O_CLOEXEC));    /* our own reading makes nothing */
	assert_int_equal(unlinkat(t->fd, "c", 0), 0);
	assert_int_equal(inotify_drain(t->in), 0);
	assert_string_equal(seen,
		"created a;closed a;from a+;to b+;created c;deleted b;created/ d;deleted/ d;deleted c;");
}

static void test_self(void **state)
{
	struct test *t = *state;

	assert_int_equal(rmdir(t->dir), 0);
	close(t->fd); /* the last user: now it is really gone */
	t->fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(inotify_drain(t->in), 0);
	assert_string_equal(seen, "self;ignored;");
}

static void test_pause_and_overflow(void **state)
{
	const struct test *t = *state;
	struct err err = ERR_INIT;
	char text[16] = "";
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	long queue;

	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	(void)fclose(f);
	queue = strtol(text, NULL, 10);
	if (queue > 100000)
		skip();
	inotify_pause(t->in, true);
	for (long i = 0; i <= queue; i++) /* two names in turn: nothing is merged */
		test_make(t, i % 2 ? "a" : "b");
	assert_true(loop_run_once(t->loop, 0, &err) >= 0);
	assert_int_equal(notes, 0);
	inotify_pause(t->in, false);
	for (int i = 0; i < 100 && overflows == 0; i++)
		assert_true(loop_run_once(t->loop, 0, &err) >= 0);
	assert_int_equal(overflows, 1);
	(void)unlinkat(t->fd, "a", 0);
	(void)unlinkat(t->fd, "b", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_self, test_setup, test_teardown),
		cmocka_unit_test_setup_teardown(test_pause_and_overflow, test_setup, test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
