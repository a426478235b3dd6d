#define _GNU_SOURCE 1
#include "base/fs.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <dirent.h>
#include <cmocka.h>
#include "base/mem.h"

static char top[64]; /* a scratch directory, ours alone */
static int top_fd;

/* Removes what is in the directory fd. */
static void empty_directory(int fd)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) == 0)
			continue;
		empty_directory(openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		assert_int_equal(unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR), 0);
	}
	closedir(d);
}

static int make_top(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/test_base_fs.XXXXXX");
	if (mkdtemp(top) == NULL)
		return -1;
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top_fd < 0;
}

static int remove_top(void **state)
{
	(void)state;
	fs_force_openat(false);
	empty_directory(dup(top_fd));
	close(top_fd);
	return rmdir(top);
}

static const char *in_top(const char *rel)
{
	static char paths[4][4400];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", top, rel);
	return path;
}

static void make_file(const char *rel, const char *content)
{
	int fd = openat(top_fd, rel, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, content, strlen(content)), 0);
	close(fd);
}

static void expect_file(const char *rel, const char *content)
{
	CLEANUP_BUF struct buf b = BUF_INIT(10000);

	assert_int_equal(fs_read_file(in_top(rel), 10000, &b, NULL), 0);
	assert_string_equal(buf_str(&b), content);
}

static size_t count_entries(const char *rel)
{
	DIR *d = opendir(in_top(rel));
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

/* ---- opening beneath a directory ---- */

#define FILE_FLAGS (O_RDONLY | O_NOFOLLOW)

static const struct {
	const char *rel;
	int flags;
	bool follow;
	int by_openat2; /* 0: opens */
	int by_walk;
} open_rows[] = {
	{"file", O_RDONLY, false, 0, 0},
	{"file", FILE_FLAGS, false, 0, 0},
	{"a/b/file", O_RDONLY, false, 0, 0},
	{"a/b/file", O_RDONLY, true, 0, 0},
	{"./a/./b/file", O_RDONLY, false, 0, 0},
	{"", O_RDONLY, false, 0, 0},
	{".", O_RDONLY | O_DIRECTORY, false, 0, 0},
	{"a/b", O_RDONLY | O_DIRECTORY, false, 0, 0},
	{"a/b", O_PATH | O_DIRECTORY, false, 0, 0},
	{"a/b/file", O_PATH, false, 0, 0},
	{"fifo", O_RDONLY, false, 0, 0}, /* does not wait for a writer */
	{"...", O_RDONLY, false, 0, 0},
	{"..file", O_RDONLY, false, 0, 0},
	{"missing", O_RDONLY, false, -ENOENT, -ENOENT},
	{"missing/file", O_RDONLY, false, -ENOENT, -ENOENT},
	{"file/below", O_RDONLY, false, -ENOTDIR, -ENOTDIR},
	{"file", O_RDONLY | O_DIRECTORY, false, -ENOTDIR, -ENOTDIR},
	/* spellings that are refused before anything is looked at */
	{"/etc/passwd", O_RDONLY, true, -EXDEV, -EXDEV},
	{"/", O_RDONLY, false, -EXDEV, -EXDEV},
	{"..", O_RDONLY, true, -EXDEV, -EXDEV},
	{"../x", O_RDONLY, true, -EXDEV, -EXDEV},
	{"a/../file", O_RDONLY, true, -EXDEV, -EXDEV},
	{"a/..", O_RDONLY, true, -EXDEV, -EXDEV},
	{"a//b", O_RDONLY, false, -EINVAL, -EINVAL},
	{"a/", O_RDONLY, false, -EINVAL, -EINVAL},
	{"new", O_RDWR | O_CREAT, false, -EINVAL, -EINVAL},
	{".", O_RDWR | O_TMPFILE, false, -EINVAL, -EINVAL},
	/* links, last and on the way */
	{"to_file", O_RDONLY, false, -ELOOP, -ELOOP},
	{"to_file", FILE_FLAGS, false, -ELOOP, -ELOOP},
	{"to_file", O_PATH, false, -ELOOP, -ELOOP},
	{"to_file", O_PATH | O_NOFOLLOW, false, 0, 0}, /* the link itself was asked for */
	{"to_dir", O_RDONLY | O_DIRECTORY, false, -ELOOP, -ELOOP},
	{"to_dir/file", O_RDONLY, false, -ELOOP, -ELOOP},
	{"dangling", O_RDONLY, false, -ELOOP, -ELOOP},
	{"outside", O_RDONLY, false, -ELOOP, -ELOOP},
	{"outside_dir/passwd", O_RDONLY, false, -ELOOP, -ELOOP},
	{"loop", O_RDONLY, false, -ELOOP, -ELOOP},
	/* links that may be followed: never out */
	{"to_file", O_RDONLY, true, 0, -ELOOP},
	{"to_dir/file", O_RDONLY, true, 0, -ELOOP},
	{"a/up_and_down", O_RDONLY, true, 0, -ELOOP},
	{"dangling", O_RDONLY, true, -ENOENT, -ELOOP},
	{"loop", O_RDONLY, true, -ELOOP, -ELOOP},
	{"outside", O_RDONLY, true, -EXDEV, -ELOOP},
	{"outside_dir/passwd", O_RDONLY, true, -EXDEV, -ELOOP},
	{"above", O_RDONLY, true, -EXDEV, -ELOOP},
	{"itself_by_absolute_path", O_RDONLY, true, -EXDEV, -ELOOP},
};

static void make_open_tree(void)
{
	assert_int_equal(mkdirat(top_fd, "a", 0755), 0);
	assert_int_equal(mkdirat(top_fd, "a/b", 0755), 0);
	assert_int_equal(mkfifoat(top_fd, "fifo", 0600), 0);
	make_file("file", "top");
	make_file("...", "three dots");
	make_file("..file", "two dots");
	make_file("a/b/file", "deep");
	assert_int_equal(symlinkat("file", top_fd, "to_file"), 0);
	assert_int_equal(symlinkat("a/b", top_fd, "to_dir"), 0);
	assert_int_equal(symlinkat("nowhere", top_fd, "dangling"), 0);
	assert_int_equal(symlinkat("loop", top_fd, "loop"), 0);
	assert_int_equal(symlinkat("/etc/passwd", top_fd, "outside"), 0);
	assert_int_equal(symlinkat("/etc", top_fd, "outside_dir"), 0);
	assert_int_equal(symlinkat("..", top_fd, "above"), 0);
	assert_int_equal(symlinkat("../file", top_fd, "a/up_and_down"), 0);
	assert_int_equal(symlinkat(in_top("file"), top_fd, "itself_by_absolute_path"), 0);
}

static bool have_openat2(void)
{
	int fd = fs_open_beneath(top_fd, "to_file", O_RDONLY, true);
	bool have = fd >= 0;

	fs_close(&fd);
	return have;
}

/* The number of the first row that is not as it should be, -1 when there is none. */
static int first_wrong_row(bool walk)
{
	for (size_t i = 0; i < ARRAY_SIZE(open_rows); i++) {
		int expected = walk ? open_rows[i].by_walk : open_rows[i].by_openat2;
		int fd = fs_open_beneath(top_fd, open_rows[i].rel, open_rows[i].flags, open_rows[i].follow);

		if (fd < 0 ? fd != expected : expected != 0)
			return (int)i;
		if (fd < 0)
			continue;

		int fd_flags = fcntl(fd, F_GETFD);
		int status = fcntl(fd, F_GETFL);

		close(fd);
		if (!(fd_flags & FD_CLOEXEC) || (!(open_rows[i].flags & O_PATH) && !(status & O_NONBLOCK)))
			return (int)i;
	}
	return -1;
}

static void test_open_beneath_by_openat2(void **state)
{
	(void)state;
	make_open_tree();
	if (!have_openat2())
		skip(); /* a kernel or filter without it */
	assert_int_equal(first_wrong_row(false), -1);
}

static void test_open_beneath_by_walk(void **state)
{
	(void)state;
	make_open_tree();
	fs_force_openat(true);
	assert_int_equal(first_wrong_row(true), -1);
}

/* A child whose openat2 is refused by a filter as old kernels (ENOSYS) and some containers (EPERM) do it. */
static int run_without_openat2(unsigned code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(filter), .filter = filter};
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
			_exit(255);
		_exit(first_wrong_row(true) + 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_open_beneath_where_filtered(void **state)
{
	(void)state;
	make_open_tree();
	assert_int_equal(run_without_openat2(ENOSYS), 0);
	assert_int_equal(run_without_openat2(EPERM), 0);
}

/* What was opened is the thing named, in both ways. */
static void test_open_beneath_opens_the_right_one(void **state)
{
	(void)state;
	make_open_tree();
	for (int walk = 0; walk < 2; walk++) {
		CLEANUP_BUF struct buf b = BUF_INIT(100);
		struct stat st, expected;

		fs_force_openat(walk);

		int fd = fs_open_beneath(top_fd, "a/b/file", O_RDONLY, false);

		assert_true(fd >= 0);
		assert_int_equal(fs_read_fd(fd, 100, &b), 0);
		assert_string_equal(buf_str(&b), "deep");
		close(fd);
		fd = fs_open_beneath(top_fd, "to_file", O_PATH | O_NOFOLLOW, false);
		assert_int_equal(fstat(fd, &st), 0);
		assert_true(S_ISLNK(st.st_mode));
		close(fd);
		fd = fs_open_beneath(top_fd, "", O_RDONLY | O_DIRECTORY, false);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(fstat(top_fd, &expected), 0);
		assert_true(st.st_ino == expected.st_ino && st.st_dev == expected.st_dev);
		close(fd);
	}
}

/* A name over NAME_MAX, a path over PATH_MAX, and one as deep as the walk allows. */
static void test_open_beneath_long_names(void **state)
{
	char name[300];
	char deep[2 * 200 + 1] = "";
	int fd;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(mkdirat(top_fd, "d", 0700), 0);
	for (size_t i = 0; i < 199; i++) {
		memcpy(deep + 2 * i, "d/", 3);
		if (i > 0)
			assert_int_equal(mkdirat(top_fd, deep, 0700), 0);
	}
	memcpy(deep + 2 * 199, "f", 2);
	make_file(deep, "x");
	for (int walk = 0; walk < 2; walk++) {
		fs_force_openat(walk);
		assert_int_equal(fs_open_beneath(top_fd, name, O_RDONLY, false), -ENAMETOOLONG);
		fd = fs_open_beneath(top_fd, deep, O_RDONLY, false);
		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(fs_open_beneath(-1, "x", O_RDONLY, false), -EBADF);
	}
}

/* A lease somebody holds: the answer comes at once, whatever the number of tries. */
static void test_open_beneath_meets_a_lease(void **state)
{
	int fd;

	(void)state;
	make_file("leased", "x");
	fd = openat(top_fd, "leased", O_RDWR | O_CLOEXEC);
	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		skip(); /* a file system that has no leases */
	for (int walk = 0; walk < 2; walk++) {
		fs_force_openat(walk);
		assert_int_equal(fs_open_beneath(top_fd, "leased", O_RDONLY, false), -EAGAIN);
	}
	close(fd);
	fd = fs_open_beneath(top_fd, "leased", O_RDONLY, false);
	assert_true(fd >= 0);
	close(fd);
	signal(SIGIO, SIG_DFL);
}

/* No descriptor is left behind, whatever happens. */
static void test_open_beneath_leaks_nothing(void **state)
{
	int before = dup(0), after;

	(void)state;
	close(before);
	make_open_tree();
	assert_int_equal(first_wrong_row(!have_openat2()), -1);
	fs_force_openat(true);
	assert_int_equal(first_wrong_row(true), -1);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

/* ---- reading and writing ---- */

static void test_read_file_bounds(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	make_file("ten", "0123456789");
	make_file("empty", "");
	for (size_t max = 0; max < 20; max++)
		for (size_t ceiling = 0; ceiling < 20; ceiling++) {
			CLEANUP_BUF struct buf b = BUF_INIT(ceiling);
			int r = fs_read_file(in_top("ten"), max, &b, &e);

			assert_int_equal(r, max >= 10 && ceiling >= 10 ? 0 : -EFBIG);
			assert_int_equal(b.len, r == 0 ? 10 : 0);
			assert_false(b.failed);
			if (r < 0)
				assert_int_equal(e.class, ERR_LIMIT);
		}

	CLEANUP_BUF struct buf b = BUF_INIT(15);

	buf_adds(&b, "head:");
	assert_int_equal(fs_read_file(in_top("ten"), 10, &b, &e), 0);
	assert_string_equal(buf_str(&b), "head:0123456789");
	buf_truncate(&b, 8);
	assert_int_equal(fs_read_file(in_top("ten"), 10, &b, &e), -EFBIG);
	assert_string_equal(buf_str(&b), "head:012");
	buf_reset(&b);
	assert_int_equal(fs_read_file(in_top("empty"), 0, &b, &e), 0);
	assert_int_equal(b.len, 0);
}

static void test_read_large_file(void **state)
{
	static char data[100000];
	CLEANUP_BUF struct buf b = BUF_INIT(sizeof(data));
	int fd = openat(top_fd, "large", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 >> 3);
	assert_int_equal(fs_write_all(fd, data, sizeof(data)), 0);
	close(fd);
	assert_int_equal(fs_read_file(in_top("large"), sizeof(data), &b, NULL), 0);
	assert_int_equal(b.len, sizeof(data));
	assert_memory_equal(b.data, data, sizeof(data));
	assert_int_equal(fs_read_file(in_top("large"), sizeof(data) - 1, &b, NULL), -EFBIG);
	assert_int_equal(b.len, sizeof(data));
}

static void test_read_errors(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(10);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(fs_read_file(in_top("missing"), 10, &b, &e), -ENOENT);
	assert_int_equal(e.class, ERR_SYSTEM);
	assert_non_null(strstr(e.text, in_top("missing")));
	assert_int_equal(fs_read_file(top, 10, &b, &e), -EISDIR);
	assert_int_equal(fs_read_fd(-1, 10, &b), -EBADF);
	assert_false(b.failed);
}

static void test_write_errors(void **state)
{
	static const char data[100000];
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int fds[2];

	(void)state;
	assert_int_equal(fs_write_all(full, "x", 1), -ENOSPC);
	assert_int_equal(fs_write_all(full, "x", 0), 0);
	close(full);
	assert_int_equal(fs_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(fs_write_all(fds[1], data, sizeof(data)), -EAGAIN);
	close(fds[0]);
	close(fds[1]);
}

static void ignore_signal(int signo)
{
	(void)signo;
}

/* Each piece read is answered with a signal, so that the writer is disturbed as often as it gets on. */
static _Noreturn void check_reader(int fd, size_t expected, pid_t writer)
{
	unsigned char chunk[777];
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		kill(writer, SIGUSR1);
		for (ssize_t i = 0; i < n; i++, total++)
			if (chunk[i] != (unsigned char)(total * 7 >> 2))
				_exit(1);
	}
	_exit(n == 0 && total == expected ? 0 : 2);
}

/* Through a pipe that is emptied in odd pieces, under a hail of signals: everything arrives, once, in order.
 */
static void test_write_all_is_interrupted(void **state)
{
	static unsigned char data[3000000];
	pid_t self = getpid();
	struct sigaction sa = {.sa_handler = ignore_signal}, old;
	int fds[2], status;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7 >> 2);
	assert_int_equal(pipe(fds), 0);
	sigaction(SIGUSR1, &sa, &old);

	pid_t pid = fork();

	if (pid == 0) {
		close(fds[1]);
		check_reader(fds[0], sizeof(data), self);
	}
	close(fds[0]);
	assert_int_equal(fs_write_all(fds[1], data, sizeof(data)), 0);
	close(fds[1]);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	sigaction(SIGUSR1, &old, NULL);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- directories and replacing ---- */

static mode_t mode_of(const char *rel)
{
	struct stat st;

	assert_int_equal(lstat(in_top(rel), &st), 0);
	return st.st_mode & 07777;
}

static void test_mkdir_parents(void **state)
{
	struct err e = ERR_INIT;
	mode_t mask = umask(077);

	(void)state;
	assert_int_equal(fs_mkdir_parents(in_top("x/y//z/"), 0755, &e), 0);
	assert_int_equal(mode_of("x"), 0755);
	assert_int_equal(mode_of("x/y/z"), 0755);
	assert_int_equal(fs_mkdir_parents(in_top("x/y/z"), 0700, &e), 0);
	assert_int_equal(mode_of("x/y/z"), 0755);
	assert_int_equal(fs_mkdir_parents(in_top("x/y/w"), 0700, &e), 0);
	assert_int_equal(mode_of("x/y/w"), 0700);
	umask(mask);
	assert_int_equal(fs_mkdir_parents("/", 0700, &e), 0);
	assert_int_equal(fs_mkdir_parents("", 0700, &e), -ENOENT);
	make_file("x/file", "");
	assert_int_equal(fs_mkdir_parents(in_top("x/file"), 0700, &e), -ENOTDIR);
	assert_int_equal(fs_mkdir_parents(in_top("x/file/deeper"), 0700, &e), -ENOTDIR);
	assert_non_null(strstr(e.text, in_top("x/file")));
	assert_int_equal(symlinkat("x", top_fd, "link"), 0);
	assert_int_equal(fs_mkdir_parents(in_top("link/new"), 0700, &e), 0);
	assert_int_equal(mode_of("x/new"), 0700);
}

static void test_mkdir_parents_relative(void **state)
{
	int old = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(fchdir(top_fd), 0);
	assert_int_equal(fs_mkdir_parents("r/s", 0700, NULL), 0);
	assert_int_equal(fs_sync_parent("r/s", NULL), 0);
	assert_int_equal(fs_sync_parent("r", NULL), 0);
	assert_int_equal(fs_replace_file("plain", "x", 1, 0600, NULL), 0);
	assert_int_equal(fchdir(old), 0);
	close(old);
	assert_int_equal(mode_of("r/s"), 0700);
	expect_file("plain", "x");
}

static void test_sync_parent(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(fs_sync_parent(in_top("anything"), &e), 0);
	assert_int_equal(fs_sync_parent("/anything", &e), 0);
	assert_int_equal(fs_sync_parent(in_top("missing/anything"), &e), -ENOENT);
	assert_non_null(strstr(e.text, "missing"));
}

static void test_relpath(void **state)
{
	static const char *const good[] = {"a", "a/b", ".a", "a.", "...", "..a/b", "a/.b"};
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/../b", "../a"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(fs_is_relpath(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(fs_is_relpath(bad[i]));
}

static void test_parent(void **state)
{
	static const char *const cases[][2] = {{"/a/b", "/a"}, {"/a", "/"}, {"a", "."}, {"a/b/c", "a/b"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *parent = fs_parent(cases[i][0]);

		assert_string_equal(parent, cases[i][1]);
	}
}

static void test_rename_new(void **state)
{
	CLEANUP_FREE char *one = mem_strdup(in_top("one")), *two = mem_strdup(in_top("two"));
	struct stat st;

	(void)state;
	assert_int_equal(fs_replace_file(one, "1", 1, 0600, NULL), 0);
	assert_int_equal(fs_replace_file(two, "22", 2, 0600, NULL), 0);
	assert_int_equal(fs_rename_new(one, two), -EEXIST);
	assert_int_equal(stat(two, &st), 0);
	assert_int_equal(st.st_size, 2);
	assert_int_equal(unlink(two), 0);
	assert_int_equal(fs_rename_new(one, two), 0);
	assert_int_equal(fs_rename_new(one, two), -ENOENT);
	assert_int_equal(stat(two, &st), 0);
	assert_int_equal(st.st_size, 1);
}

static void test_replace_file(void **state)
{
	struct err e = ERR_INIT;
	mode_t mask = umask(077);

	(void)state;
	assert_int_equal(fs_replace_file(in_top("f"), "one", 3, 0644, &e), 0);
	expect_file("f", "one");
	assert_int_equal(mode_of("f"), 0644);
	assert_int_equal(fs_replace_file(in_top("f"), "2", 1, 0600, &e), 0);
	expect_file("f", "2");
	assert_int_equal(mode_of("f"), 0600);
	umask(mask);
	assert_int_equal(fs_replace_file(in_top("f"), NULL, 0, 0600, &e), 0);
	expect_file("f", "");
	assert_int_equal(count_entries("."), 1);
	assert_int_equal(fs_replace_file(in_top("missing/f"), "x", 1, 0600, &e), -ENOENT);
	assert_int_equal(mkdirat(top_fd, "d", 0700), 0);
	assert_int_equal(fs_replace_file(in_top("d"), "x", 1, 0600, &e), -EISDIR);
	assert_int_equal(count_entries("."), 2);
}

static void test_swap_file(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(fs_swap_file(in_top("f"), "one", 3, 0644, &e), 0);
	assert_int_equal(fs_swap_file(in_top("f"), "2", 1, 0640, &e), 0);
	expect_file("f", "2");
	assert_int_equal(mode_of("f"), 0640);
	assert_int_equal(fs_swap_file(in_top("missing/f"), "x", 1, 0600, &e), -ENOENT);
	assert_int_equal(count_entries("."), 1);
}

/* The disk ends in the middle: the old file is whole and nothing lies beside it. */
static void test_replace_file_that_does_not_fit(void **state)
{
	static const char data[50000];
	struct rlimit old, little;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(fs_replace_file(in_top("f"), "old", 3, 0600, &e), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	little = (struct rlimit){.rlim_cur = 10000, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);

	int r = fs_replace_file(in_top("f"), data, sizeof(data), 0600, &e);

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(e.text, in_top("f")));
	expect_file("f", "old");
	assert_int_equal(count_entries("."), 1);
}

/* ---- paths as text ---- */

static void test_join(void **state)
{
	static const struct {
		const char *a, *b, *joined;
	} rows[] = {
		{"/a", "b", "/a/b"},
		{"/a/", "b", "/a/b"},
		{"/a", "/b", "/a/b"},
		{"/a//", "//b/c", "/a/b/c"},
		{"/", "b", "/b"},
		{"/", "", "/"},
		{"/a", "", "/a"},
		{"/a/", "", "/a"},
		{"", "b", "b"},
		{"", "", ""},
		{"", "/b", "/b"},
		{"a", "b", "a/b"},
		{"//", "b", "/b"},
		{"/a", "b/", "/a/b/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_FREE char *joined = fs_join(rows[i].a, rows[i].b);

		assert_string_equal(joined, rows[i].joined);
	}
}

static void test_normalise(void **state)
{
	static const struct {
		const char *path, *normal;
	} rows[] = {
		{"/", "/"},
		{"//", "/"},
		{"/.", "/"},
		{"/./.", "/"},
		{"/a", "/a"},
		{"/a/", "/a"},
		{"//a///b//", "/a/b"},
		{"/a/./b/.", "/a/b"},
		{"/.a/..b/...", "/.a/..b/..."},
		{"", NULL},
		{"a", NULL},
		{"./a", NULL},
		{"/..", NULL},
		{"/a/../b", NULL},
		{"/a/..", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		char *out = top;
		int r = fs_normalise(rows[i].path, &out, &e);

		assert_int_equal(r, rows[i].normal != NULL ? 0 : -EINVAL);
		if (r < 0) {
			assert_ptr_equal(out, top);
			assert_non_null(strstr(e.text, rows[i].path));
			continue;
		}
		assert_string_equal(out, rows[i].normal);
		free(out);
	}
}

static void test_basename_and_beneath(void **state)
{
	(void)state;
	assert_string_equal(fs_basename("/a/b.csv"), "b.csv");
	assert_string_equal(fs_basename("b.csv"), "b.csv");
	assert_string_equal(fs_basename("/a/"), "");
	assert_true(fs_is_beneath("/a", "/a"));
	assert_true(fs_is_beneath("/a", "/a/b"));
	assert_false(fs_is_beneath("/a", "/ab"));
	assert_false(fs_is_beneath("/a/b", "/a"));
	assert_true(fs_is_beneath("/", "/"));
	assert_true(fs_is_beneath("/", "/a/b"));
}

static void test_close(void **state)
{
	int fd = dup(0);
	int none = -1;

	(void)state;
	errno = ENOTTY;
	fs_close(&fd);
	assert_int_equal(fd, -1);
	fs_close(&fd);
	fs_close(&none);
	assert_int_equal(errno, ENOTTY);
}

#define IN_SCRATCH(f) cmocka_unit_test_setup_teardown(f, make_top, remove_top)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_SCRATCH(test_open_beneath_by_openat2),
		IN_SCRATCH(test_open_beneath_by_walk),
		IN_SCRATCH(test_open_beneath_where_filtered),
		IN_SCRATCH(test_open_beneath_opens_the_right_one),
		IN_SCRATCH(test_open_beneath_long_names),
		IN_SCRATCH(test_open_beneath_meets_a_lease),
		IN_SCRATCH(test_open_beneath_leaks_nothing),
		IN_SCRATCH(test_read_file_bounds),
		IN_SCRATCH(test_read_large_file),
		IN_SCRATCH(test_read_errors),
		IN_SCRATCH(test_write_errors),
		IN_SCRATCH(test_write_all_is_interrupted),
		IN_SCRATCH(test_mkdir_parents),
		IN_SCRATCH(test_mkdir_parents_relative),
		IN_SCRATCH(test_sync_parent),
		cmocka_unit_test(test_relpath),
		cmocka_unit_test(test_parent),
		IN_SCRATCH(test_rename_new),
		IN_SCRATCH(test_replace_file),
		IN_SCRATCH(test_swap_file),
		IN_SCRATCH(test_replace_file_that_does_not_fit),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_basename_and_beneath),
		cmocka_unit_test(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
