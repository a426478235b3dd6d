/* sense/recheck, in a real watcher process over a real folder: this test is its keeper and its dispatcher. */
#include "sense/recheck.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdint.h>
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
#include "sense/watcher.h"

#define WAIT_MS 20000

struct bench {
	char directory[64];
	pid_t pid;
	int keeper, dispatch; /* our ends */
	struct wire_message in;
	struct buf known; /* items of the next `confirm` */
	int64_t serial;
	char trouble[16]; /* kind of the last one */
	bool follow;	  /* follow_symlinks */
};

static void write_in(const struct bench *b, const char *name, const char *text)
{
	CLEANUP_FREE char *path = fs_join(b->directory, name);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
}

static void configure(const struct bench *b)
{
	const struct wire_configure entries[] = {
		{.section = "watch:w", .key = "directory", .value = b->directory, .file = "t", .line = 1},
		{.section = "watch:w", .key = "job_id", .value = "1", .file = "t", .line = 2},
		{.section = "watch:w", .key = "settle", .value = "10ms", .file = "t", .line = 3},
		{.section = "watch:w",
			.key = "follow_symlinks",
			.value = b->follow ? "yes" : "no",
			.file = "t",
			.line = 4},
	};
	const struct wire_configured last = {.mode = WIRE_MODE_RUN, .only_watch = "", .hash = ""};

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		assert_int_equal(wire_send(b->keeper, WIRE_CONFIGURE, &entries[i], NULL, 0), 0);
	assert_int_equal(wire_send(b->keeper, WIRE_CONFIGURED, &last, NULL, 0), 0);
}

/* The next message of this type; `candidates` on the way are answered: nothing is wanted. */
static void await(struct bench *b, enum wire_type type)
{
	struct pollfd p = {.fd = b->dispatch, .events = POLLIN};
	struct err err = ERR_INIT;

	for (;;) {
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		if (wire_recv(b->dispatch, &b->in, &err) != 1)
			fail_msg("the watcher is gone: %s", err.text);
		if (b->in.type == WIRE_TROUBLE)
			snprintf(b->trouble, sizeof(b->trouble), "%s", b->in.as.trouble.kind);
		if (b->in.type == type)
			return;
		if (b->in.type == WIRE_CANDIDATES) {
			struct wire_wanted none = {.seq = b->in.as.candidates.seq, .bits = ""};

			assert_int_equal(wire_send(b->dispatch, WIRE_WANTED, &none, NULL, 0), 0);
		}
	}
}

static void start(struct bench *b)
{
	int control[2], data[2];

	assert_int_equal(sock_pair(control, NULL), 0);
	assert_int_equal(sock_pair(data, NULL), 0);
	b->pid = fork();
	assert_true(b->pid >= 0);
	if (b->pid == 0) {
		close(control[0]);
		close(data[0]);
		_exit(watcher_main(control[1], data[1], -1));
	}
	close(control[1]);
	close(data[1]);
	b->keeper = control[0];
	b->dispatch = data[0];
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	snprintf(b->directory, sizeof(b->directory), "/tmp/test-recheck-XXXXXX");
	assert_non_null(mkdtemp(b->directory));
	buf_init(&b->known, WIRE_CANDIDATES_BYTES);
	start(b);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	int status = -1;

	close(b->keeper); /* which ends it */
	assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
	assert_int_equal(status, 0);
	close(b->dispatch);
	buf_done(&b->known);
	free(b);
	return 0;
}

/* As the file is now. */
static struct wire_known known_of(const struct bench *b, const char *name)
{
	CLEANUP_FREE char *path = fs_join(b->directory, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (struct wire_known){.relpath = name,
		.size = st.st_size,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		.ino = (int64_t)st.st_ino,
		.ends = ""};
}

static void add(struct bench *b, struct wire_known k)
{
	assert_int_equal(wire_knowns_add(&b->known, &k), 0);
}

static void expect(struct bench *b, const char *root, const char *verdicts)
{
	struct wire_confirm m = {
		.serial = ++b->serial, .root = root, .items = b->known.data, .items_len = b->known.len};

	assert_int_equal(wire_send(b->dispatch, WIRE_CONFIRM, &m, NULL, 0), 0);
	await(b, WIRE_CONFIRMED);
	assert_int_equal(b->in.as.confirmed.serial, b->serial);
	assert_int_equal(b->in.as.confirmed.verdicts_len, strlen(verdicts));
	assert_memory_equal(b->in.as.confirmed.verdicts, verdicts, strlen(verdicts));
	buf_reset(&b->known);
}

static void remove_in(const struct bench *b, const char *name)
{
	CLEANUP_FREE char *path = fs_join(b->directory, name);

	assert_int_equal(unlink(path), 0);
}

/* Every verdict there is, and that what was replaced is judged anew without any event. */
static void test_verdicts(void **state)
{
	/* sha256 of "12345" */
	static const char ends[] = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";
	struct bench *b = *state;
	CLEANUP_FREE char *directory = fs_join(b->directory, "d");
	struct wire_known touched, rewritten, other_inode;

	write_in(b, "same", "1");
	write_in(b, "touched", "12345");
	write_in(b, "rewritten", "12345");
	write_in(b, "grown", "12345");
	assert_int_equal(mkdir(directory, 0700), 0);
	configure(b);
	await(b, WIRE_SCANNED);

	add(b, known_of(b, "same"));
	touched = known_of(b, "touched");
	touched.mtime_ns -= 1;
	touched.ends = ends;
	add(b, touched);
	rewritten = known_of(b, "rewritten");
	rewritten.mtime_ns -= 1;
	rewritten.ends = "0000000000000000000000000000000000000000000000000000000000000000";
	add(b, rewritten);
	other_inode = known_of(b, "same");
	other_inode.ino += 1;
	add(b, other_inode);
	add(b, (struct wire_known){.relpath = "never", .ends = ""});
	add(b, (struct wire_known){.relpath = "d", .ends = ""});
	expect(b, b->directory, "==!~--");

	/* the rewritten one now becomes unsettled by itself; no event has told of it */
	await(b, WIRE_READY);
	assert_string_equal(b->in.as.file.relpath, "rewritten");

	add(b, known_of(b, "same"));
	expect(b, "/another/directory", "?");
	expect(b, b->directory, ""); /* no question, no verdict */

	remove_in(b, "same");
	remove_in(b, "touched");
	remove_in(b, "rewritten");
	remove_in(b, "grown");
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(rmdir(b->directory), 0);
}

static void link_in(const struct bench *b, const char *target, const char *name)
{
	CLEANUP_FREE char *path = fs_join(b->directory, name);

	assert_int_equal(symlink(target, path), 0);
}

/* What a link leads to is compared; one that leads nowhere, or out, is gone. */
static void check_links(struct bench *b, bool follow, const char *verdicts)
{
	/* sha256 of "12345" */
	static const char ends[] = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";
	struct wire_known touched, other;

	b->follow = follow;
	write_in(b, ".one", "12345");
	link_in(b, ".one", "link");
	link_in(b, "nowhere", "dangling");
	link_in(b, "/etc/passwd", "out");
	link_in(b, "circle", "circle");
	configure(b);
	await(b, WIRE_SCANNED);
	add(b, known_of(b, "link"));
	touched = known_of(b, "link");
	touched.mtime_ns -= 1;
	touched.ends = ends;
	add(b, touched);
	other = known_of(b, "link");
	other.ino += 1;
	add(b, other);
	add(b, known_of(b, "out"));
	add(b, (struct wire_known){.relpath = "dangling", .ends = ""});
	add(b, (struct wire_known){.relpath = "circle", .ends = ""});
	expect(b, b->directory, verdicts);
	remove_in(b, ".one");
	remove_in(b, "link");
	remove_in(b, "dangling");
	remove_in(b, "out");
	remove_in(b, "circle");
	assert_int_equal(rmdir(b->directory), 0);
}

static void test_links(void **state)
{
	/* Links are followed by the kernel only; valgrind does not know that call. */
	bool can = syscall(SYS_openat2, -1, "", NULL, 0) == 0 || errno != ENOSYS;

	check_links(*state, can, can ? "==~---" : "------");
}

static void test_links_that_are_not_followed(void **state)
{
	check_links(*state, false, "------");
}

/* A folder that is not there says nothing about its files. */
static void test_missing_folder(void **state)
{
	struct bench *b = *state;

	configure(b);
	await(b, WIRE_SCANNED);
	assert_int_equal(rmdir(b->directory), 0);
	add(b, (struct wire_known){.relpath = "a", .ends = ""});
	expect(b, b->directory, "?");
}

/* Mounts of our own, which nobody else sees. */
static bool may_mount;

static void await_trouble(struct bench *b, const char *kind)
{
	while (strcmp(b->trouble, kind) != 0) /* it may have come while something else was awaited */
		await(b, WIRE_TROUBLE);
	b->trouble[0] = '\0';
}

static void mount_on(const char *path, const char *type)
{
	assert_int_equal(mount("none", path, type, 0, NULL), 0);
}

static void expect_one(struct bench *b, const char *relpath, const char *verdict)
{
	add(b, (struct wire_known){.relpath = relpath, .ends = ""});
	expect(b, b->directory, verdict);
}

/* Where a mount below is missing, or lies on top, a name that is not found is not gone. */
static void test_mounts_below(void **state)
{
	struct bench *b = *state;
	CLEANUP_FREE char *point = fs_join(b->directory, "m"), *plain = fs_join(b->directory, "p");

	if (!may_mount)
		skip();
	assert_int_equal(mkdir(point, 0700), 0);
	assert_int_equal(mkdir(plain, 0700), 0);
	mount_on(point, "tmpfs");
	configure(b);
	await(b, WIRE_SCANNED);
	expect_one(b, "m/never", "-");
	expect_one(b, "m/n/never", "-");
	assert_int_equal(umount2(point, MNT_DETACH), 0);
	expect_one(b, "m/never", "?"); /* it need not have noticed yet */
	await_trouble(b, "away");
	expect_one(b, "m/never", "?");
	expect_one(b, "m/n/never", "?");
	expect_one(b, "p/never", "-");
	expect_one(b, "never", "-");
	mount_on(point, "tmpfs");
	await_trouble(b, "back");
	await(b, WIRE_SCANNED);
	expect_one(b, "m/never", "-");

	mount_on(plain, "tmpfs");
	expect_one(b, "p/never", "?");
	await_trouble(b, "away");
	expect_one(b, "p/never", "?");
	assert_int_equal(umount2(plain, MNT_DETACH), 0);
	await(b, WIRE_SCANNED);
	expect_one(b, "p/never", "?"); /* which of the two it was in cannot be told any more */
	assert_int_equal(umount2(point, MNT_DETACH), 0);
	assert_int_equal(rmdir(plain), 0);
	assert_int_equal(rmdir(point), 0);
	assert_int_equal(rmdir(b->directory), 0);
}

/* Another directory in the place of the watched one is another process's. */
static void test_mounted_over(void **state)
{
	struct bench *b = *state;
	int status = -1;

	if (!may_mount)
		skip();
	write_in(b, "a", "1");
	configure(b);
	await(b, WIRE_SCANNED);
	mount_on(b->directory, "tmpfs");
	assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), WIRE_EXIT_AGAIN);
	assert_int_equal(umount2(b->directory, MNT_DETACH), 0);
	close(b->keeper);
	close(b->dispatch);
	start(b);
	b->serial = 0;
	configure(b);
	await(b, WIRE_SCANNED);
	add(b, known_of(b, "a"));
	expect(b, b->directory, "=");
	remove_in(b, "a");
	assert_int_equal(rmdir(b->directory), 0);
}

int main(void)
{
	may_mount = (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
		    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_links_that_are_not_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mounts_below, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mounted_over, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
