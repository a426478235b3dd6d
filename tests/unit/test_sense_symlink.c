/* sense/symlink: what links are followed, and what they are taken for. */
#include "sense/symlink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/mem.h"

static char top[64], real[80];
static struct conf_watch watch;
static struct sense_root root;
static struct sense s;
static int root_fd;

static void make(const char *command)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (chdir(real) == 0)
			execl("/bin/sh", "sh", "-ec", command, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The directory is configured by a path that is a link itself. */
static int set_up(void **state)
{
	CLEANUP_FREE char *path = NULL;

	(void)state;
	snprintf(top, sizeof(top), "/tmp/test-symlink-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(real, sizeof(real), "%s/real", top);
	if (mkdir(real, 0700) < 0)
		return -1;
	path = fs_join(top, "watched");
	if (symlink("real", path) < 0)
		return -1;
	memset(&s, 0, sizeof(s));
	memset(&watch, 0, sizeof(watch));
	watch.follow_symlinks = true;
	s.watch = &watch;
	s.roots = &root;
	s.roots_n = 1;
	root.path = mem_strdup(path);
	buf_init(&root.resolved, WIRE_PATH_BYTES);
	root_fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	make("mkdir -p d/e .store; echo one >.store/one; echo four >d/e/four; echo out >../out\n"
	     "ln -s .store/one plain; ln -s ../../.store/one d/e/up; ln -s plain chain; ln -s d/e dir; ln -s "
	     "dir/four through\n"
	     "ln -s \"$PWD/.store/one\" absolute; ln -s \"${PWD%/real}/watched/d/e/four\" as_configured\n"
	     "ln -s nowhere dangling; ln -s circle circle; ln -s ../out out; ln -s \"$PWD/../out\" "
	     "absolute_out; ln "
	     "-s . self; ln -s / slash\n"
	     "ln -s \"$PWD\" whole; ln -s \"$PWD/../real/.store/one\" crooked; ln -s \"$PWD//d\" double; "
	     "mkfifo "
	     "pipe; ln -s pipe to_pipe\n");
	return root_fd < 0 ? -1 : buf_adds(&root.resolved, real);
}

static int tear_down(void **state)
{
	(void)state;
	make("cd ..; rm -rf real watched out");
	close(root_fd);
	buf_done(&root.resolved);
	free((void *)(uintptr_t)root.path);
	return rmdir(top);
}

static ino_t inode_of(const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(root_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

static void expect_file(const char *name, const char *target)
{
	struct probe_stat st;

	for (int now = 0; now <= 1; now++) {
		if (symlink_look(&s, 0, root_fd, name, now, &st) < 0)
			fail_msg("%s is not followed", name);
		assert_true(st.is_regular && !st.is_directory);
		assert_true(st.is_symlink == (strcmp(name, target) != 0));
		assert_true(st.look.ino == inode_of(target) && st.inode.ino == inode_of(target));
	}
	{
		CLEANUP_FD int fd = symlink_open(&s, 0, root_fd, name);

		assert_true(fd >= 0);
		assert_int_equal(probe_fd(fd, name, NULL, &st), 0);
		assert_true(st.look.ino == inode_of(target));
	}
}

static void expect_error(const char *name, int code)
{
	struct probe_stat st = {.owner = -7};
	int fd = symlink_open(&s, 0, root_fd, name);

	if (fd != -code || symlink_look(&s, 0, root_fd, name, false, &st) != -code || st.owner != -7)
		fail_msg("%s: %d", name, fd);
}

/* Neither a file nor a directory that would be listed. */
static void expect_nothing(const char *name)
{
	struct probe_stat st;

	assert_int_equal(symlink_look(&s, 0, root_fd, name, true, &st), 0);
	assert_false(st.is_regular || st.is_directory);
}

static void test_followed(void **state)
{
	(void)state;
	expect_file(".store/one", ".store/one");
	expect_file("plain", ".store/one");
	expect_file("d/e/up", ".store/one");
	expect_file("chain", ".store/one");
	expect_file("through", "d/e/four");
	expect_file("absolute", ".store/one");
	expect_file("as_configured", "d/e/four"); /* through the link that the directory's path is */
}

static void test_not_followed(void **state)
{
	(void)state;
	expect_error("out", EXDEV);
	expect_error("absolute_out", EXDEV);
	expect_error("crooked", EXDEV);
	expect_error("slash", EXDEV);
	expect_error("circle", ELOOP);
	expect_error("dangling", ENOENT);
	expect_error("missing", ENOENT);
	assert_int_equal(symlink_open(&s, 0, root_fd, "dir/four"), -ELOOP); /* behind a link */
	assert_int_equal(symlink_open(&s, 0, root_fd, "self/plain"), -ELOOP);
	expect_nothing("dir");
	expect_nothing("self");
	expect_nothing("to_pipe");
	expect_nothing("pipe");
}

static void test_as_configured(void **state)
{
	struct probe_stat st;

	(void)state;
	watch.follow_symlinks = false;
	assert_int_equal(symlink_open(&s, 0, root_fd, "plain"), -ELOOP);
	assert_int_equal(symlink_look(&s, 0, root_fd, "plain", true, &st), 0);
	assert_true(st.is_symlink && !st.is_regular && !st.is_directory);
	expect_file(".store/one", ".store/one");
	watch.follow_symlinks = true;
}

static void test_read(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(100);

	(void)state;
	assert_int_equal(symlink_read(root_fd, "d/e/up", NULL, &b), 0);
	assert_string_equal(buf_str(&b), "../../.store/one");
	assert_int_equal(symlink_read(root_fd, "d/e/four", NULL, &b), -EINVAL);
	assert_int_equal(symlink_read(root_fd, "missing", NULL, &b), -ENOENT);
}

/* How a file becomes complete depends on where it lies. */
static void test_another_file_system(void **state)
{
	CLEANUP_FREE char *point = fs_join(real, "other"), *file = fs_join(point, "file");

	(void)state;
	make("mkdir other; ln -s other/file far");
	if (mount("none", point, "tmpfs", 0, NULL) < 0) {
		make("rmdir other; rm far");
		skip();
	}
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	make("ln -s file other/near; ln -s ../plain other/back");
	expect_error("far", EXDEV);
	expect_error("other/back", EXDEV);
	expect_file("other/near", "other/file");
	assert_int_equal(umount(point), 0);
	make("rmdir other; rm far");
}

/* Exchanged all the time for one that leads out: never is anything else opened. */
static void test_exchanged(void **state)
{
	CLEANUP_FREE char *a = fs_join(real, "a"), *b = fs_join(real, "b");
	int inside = 0;
	pid_t pid;

	(void)state;
	make("ln -s .store/one a; ln -s ../out b");
	pid = fork();
	if (pid == 0)
		for (;;)
			if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0)
				_exit(1);
	for (int i = 0; i < 20000; i++) {
		CLEANUP_FD int fd = symlink_open(&s, 0, root_fd, i % 2 ? "a" : "b");
		struct probe_stat st;

		assert_true(fd >= 0 || fd == -EXDEV || fd == -EAGAIN);
		if (fd < 0)
			continue;
		inside++;
		assert_int_equal(probe_fd(fd, "", NULL, &st), 0);
		assert_true(st.look.ino == inode_of(".store/one"));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(inside > 0);
	make("rm a b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_followed),
		cmocka_unit_test(test_not_followed),
		cmocka_unit_test(test_as_configured),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_another_file_system),
		cmocka_unit_test(test_exchanged),
	};

	if (syscall(SYS_openat2, -1, "", NULL, 0) < 0 && errno == ENOSYS)
		return 77; /* links are followed by the kernel only; valgrind does not know that call */

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
