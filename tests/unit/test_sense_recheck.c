/* sense/recheck, in a real watcher process over a real folder: this test is its keeper and its dispatcher. */
#include "sense/recheck.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
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
#include "sense/watcher.h"

#define WAIT_MS 20000

struct bench {
	char directory[64];
	pid_t pid;
	int keeper, dispatch; /* our ends */
	struct wire_message in;
	struct buf known; /* items of the next `confirm` */
	int64_t serial;
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
		if (b->in.type == type)
			return;
		if (b->in.type == WIRE_CANDIDATES) {
			struct wire_wanted none = {.seq = b->in.as.candidates.seq, .bits = ""};

			assert_int_equal(wire_send(b->dispatch, WIRE_WANTED, &none, NULL, 0), 0);
		}
	}
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));
	int control[2], data[2];

	snprintf(b->directory, sizeof(b->directory), "/tmp/test-recheck-XXXXXX");
	assert_non_null(mkdtemp(b->directory));
	buf_init(&b->known, WIRE_CANDIDATES_BYTES);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_folder, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
