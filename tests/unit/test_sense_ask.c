/*
 * sense/ask against a sniffer of our own: this program again, executed as "bw-sniff" just as the real one is.
 * What it does with a question is the question's name; how it starts is the name of its file. The real
 * sniffer has its own tests, and the two meet in the scenarios.
 */
#include "sense/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/filetype.h"
#include "core/wire.h"

#define END_BYTES (INT64_C(5) << 40) /* of the file whose end is asked for */
#define PATIENCE_US (60 * US_PER_S)  /* only a failing test waits that long */

/* ==== the sniffer ==== */

static const char *sniffer_count_fds(void)
{
	static char text[32];
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' && strtol(entry->d_name, NULL, 10) != dirfd(dir);
	closedir(dir);
	(void)snprintf(text, sizeof(text), "x/%d", n);
	return text;
}

static const char *sniffer_inherited(void)
{
	sigset_t blocked;

	sigprocmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, SIGTERM))
		return "x/blocked";
	if (!getenv("LD_LIBRARY_PATH"))
		return "x/loader";
	for (char **entry = environ; *entry; entry++)
		if (!text_starts_with(*entry, "LD_LIBRARY_PATH=") && !strstr(*entry, "SAN_OPTIONS="))
			return "x/environment";
	return "x/clean";
}

static const char *sniffer_read(int fd)
{
	static char text[64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static _Noreturn void sniffer_burn(void)
{
	for (volatile unsigned i = 0;; i++)
		;
}

/* Of processor time. */
static void sniffer_burn_a_little(void)
{
	clock_t end = clock() + CLOCKS_PER_SEC / 20;

	while (clock() < end)
		;
}

/* The offset is shared with whoever else has the file: so the second sniffer knows that it is the second. */
static bool sniffer_is_first(int fd)
{
	bool first = lseek(fd, 0, SEEK_CUR) == 0;

	(void)lseek(fd, 1, SEEK_SET);
	return first;
}

static void sniffer_misbehave(const char *name, int fd)
{
	if (strcmp(name, "burn") == 0)
		sniffer_burn();
	if (strcmp(name, "burn a little") == 0)
		sniffer_burn_a_little();
	if (strcmp(name, "crash") == 0 || (strcmp(name, "crash once") == 0 && sniffer_is_first(fd)))
		raise(SIGKILL);
	if (strcmp(name, "exit") == 0)
		_exit(3);
	if (strcmp(name, "stop") == 0)
		raise(SIGSTOP);
	if (strcmp(name, "wait") == 0)
		while (sniffer_read(fd)[0] == '\0')
			(void)poll(NULL, 0, 1);
}

static int sniffer_send_odd(int sock, const char *name, struct wire_answer *answer)
{
	struct wire_types types = {.libmagic = "odd", .error = ""};
	static char large[1000];
	int fds[2] = {0, 1};

	memset(large, 'x', sizeof(large) - 1);
	if (strcmp(name, "other message") == 0)
		return wire_send(sock, WIRE_TYPES, &types, NULL, 0);
	if (strcmp(name, "no message") == 0)
		return sock_send(sock, "rubbish", 7, NULL, 0);
	if (strcmp(name, "other serial") == 0)
		answer->serial += 1;
	if (strcmp(name, "large type") == 0)
		answer->mime = large;
	if (strcmp(name, "blank type") == 0)
		answer->mime = "text/csv \n";
	if (strcmp(name, "no type") == 0)
		answer->mime = "";
	if (strcmp(name, "error") == 0)
		answer->error = "cannot read\n the file";
	return wire_send(sock, WIRE_ANSWER, answer, fds, strcmp(name, "descriptors") == 0 ? 2 : 0);
}

static int sniffer_answer(int sock, struct wire_message *m)
{
	const char *name = m->as.ask.name;
	struct wire_answer answer = {.serial = m->as.ask.serial, .error = ""};

	sniffer_misbehave(name, m->fds[0]);
	if (text_starts_with(name, "end "))
		answer.end = name[4] - '0';
	if (m->as.ask.question == WIRE_ASK_END && m->as.ask.max_bytes != END_BYTES)
		answer.error = "that is not its size";
	if (strcmp(name, "count descriptors") == 0)
		answer.mime = sniffer_count_fds();
	else if (strcmp(name, "inherited") == 0)
		answer.mime = sniffer_inherited();
	else if (m->as.ask.question == WIRE_ASK_END)
		answer.mime = "";
	else
		answer.mime = sniffer_read(m->fds[0]);
	return sniffer_send_odd(sock, name, &answer);
}

static void sniffer_start_as(const char *file, bool filtered, struct wire_types *types)
{
	if (strcmp(file, "start-exit") == 0)
		_exit(5);
	if (strcmp(file, "start-burn") == 0)
		sniffer_burn();
	if (strcmp(file, "start-error") == 0)
		types->error = "there is no magic";
	if (strcmp(file, "start-silent") == 0)
		types->libmagic = "";
	if (strcmp(file, "start-killed-by-filter") == 0 && filtered)
		raise(SIGSYS);
	if (strcmp(file, "start-killed-without") == 0)
		raise(filtered ? SIGSYS : SIGKILL);
	if (strcmp(file, "start-wrong-by-filter") == 0 && filtered)
		types->error = "libmagic takes a sample for another";
	if (strcmp(file, "start-other") == 0)
		types->libmagic = "libmagic 2";
}

static int sniffer(int sock, bool filtered)
{
	static struct wire_message m;
	struct wire_types types = {.libmagic = "libmagic 1", .error = ""};
	struct err err = ERR_INIT;
	char file[4096] = "";

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)!readlink("/proc/self/exe", file, sizeof(file) - 1);
	sniffer_start_as(fs_basename(file), filtered, &types);
	if (wire_send(sock, WIRE_TYPES, &types, NULL, 0) < 0)
		return 1;
	while (sock_wait(sock, POLLIN, -1) == 0 && wire_recv(sock, &m, &err) > 0) {
		if (sniffer_answer(sock, &m) < 0)
			return 1;
		wire_message_close(&m);
	}
	return 0;
}

/* ==== the tests ==== */

/* What a test has: a loop, an ask, and what came back. */
struct bench {
	struct loop *loop;
	struct ask *ask;
	struct wire_page *page;
	int n_results, n_ready;
	uint64_t tag;
	enum ask_reason reason;
	enum gzip_end end;
	char mime[FILETYPE_MIME_BYTES];
	char text[ERR_TEXT_BYTES];
	char ready[ERR_TEXT_BYTES];    /* "" ready, else the trouble */
	void (*then)(struct bench *b); /* inside the callback */
	int file;
	int fds_before;
};

static int count_fds(void)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n++;
	closedir(dir);
	return n;
}

static int file_with(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void on_result(struct ask *a, const struct ask_result *result, void *arg)
{
	struct bench *b = arg;

	assert_ptr_equal(a, b->ask);
	assert_false(ask_is_busy(a));
	b->n_results++;
	b->tag = result->tag;
	b->reason = result->reason;
	b->end = result->end;
	(void)snprintf(b->mime, sizeof(b->mime), "%s", result->mime ? result->mime : "(none)");
	(void)snprintf(b->text, sizeof(b->text), "%s", result->text);
	if (b->then)
		b->then(b);
}

static void on_ready(struct ask *a, const struct err *err, void *arg)
{
	struct bench *b = arg;

	assert_ptr_equal(a, b->ask);
	b->n_ready++;
	(void)snprintf(b->ready, sizeof(b->ready), "%s", err ? err->text : "");
	if (b->then)
		b->then(b);
}

static void bench_init(struct bench *b, int64_t deadline_us)
{
	struct err err = ERR_INIT;
	int page;

	memset(b, 0, sizeof(*b));
	b->fds_before = count_fds();
	b->loop = loop_new(&err);
	page = wire_page_new(&err);
	b->page = wire_page_map(page, true, &err);
	close(page);
	b->ask = ask_new(b->loop, b->page, 65536, deadline_us, on_result, b, &err);
	b->file = file_with("text/csv");
	assert_non_null(b->loop);
	assert_non_null(b->page);
	assert_non_null(b->ask);
}

/* Everything must be gone: no child, no descriptor, nothing on the page. */
static void bench_done(struct bench *b)
{
	ask_free(b->ask);
	assert_int_equal(b->page->since_us, 0);
	wire_page_unmap(b->page);
	loop_free(b->loop);
	close(b->file);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(count_fds(), b->fds_before);
}

static void bench_start(struct bench *b, const char *name, uint64_t tag)
{
	struct err err = ERR_INIT;

	if (ask_start(b->ask, b->file, name, tag, &err) < 0)
		fail_msg("%s", err.text);
}

static void bench_round(struct bench *b)
{
	struct err err = ERR_INIT;

	if (loop_run_once(b->loop, 10 * US_PER_MS, &err) < 0)
		fail_msg("%s", err.text);
}

static void bench_run_until(struct bench *b, const int *counter, int n)
{
	int64_t end_us = clock_mono_us() + PATIENCE_US;

	while (*counter < n && clock_mono_us() < end_us)
		bench_round(b);
	assert_int_equal(*counter, n);
}

static void bench_wait_result(struct bench *b)
{
	bench_run_until(b, &b->n_results, b->n_results + 1);
}

static void bench_ask(struct bench *b, const char *name)
{
	static uint64_t tag;

	bench_start(b, name, ++tag);
	bench_wait_result(b);
	assert_int_equal(b->tag, tag);
}

static void assert_answer(const struct bench *b, enum ask_reason reason, const char *mime, const char *text)
{
	assert_string_equal(b->text, text);
	assert_int_equal(b->reason, reason);
	assert_string_equal(b->mime, mime);
}

static void assert_works(struct bench *b)
{
	bench_ask(b, "data.csv");
	assert_answer(b, ASK_OK, "text/csv", "");
}

/* ---- the good path */

static void test_answers(void **state)
{
	struct bench b;
	pid_t pid;

	(void)state;
	bench_init(&b, US_PER_S);
	assert_int_equal(ask_sniffer_pid(b.ask), 0);
	assert_string_equal(ask_libmagic_version(b.ask), "");
	assert_works(&b);
	assert_string_equal(ask_libmagic_version(b.ask), "libmagic 1");
	pid = ask_sniffer_pid(b.ask);
	assert_true(pid > 0);
	for (int i = 0; i < 100; i++)
		assert_works(&b);
	assert_int_equal(ask_sniffer_pid(b.ask), pid);
	bench_ask(&b, "no type");
	assert_answer(&b, ASK_OK, "(none)", "");
	bench_ask(&b, "error");
	assert_answer(&b, ASK_ERROR, "(none)", "cannot read\\n the file");
	bench_ask(&b, "");
	assert_answer(&b, ASK_OK, "text/csv", "");
	assert_int_equal(ask_sniffer_pid(b.ask), pid);
	bench_done(&b);
}

static void test_one_at_a_time(void **state)
{
	struct err err = ERR_INIT;
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_S);
	bench_start(&b, "data.csv", 1);
	assert_true(ask_is_busy(b.ask));
	assert_int_equal(ask_start(b.ask, b.file, "data.csv", 2, &err), -EBUSY);
	assert_non_null(strstr(err.text, "busy"));
	assert_int_equal(b.n_results, 0); /* never from inside ask_start */
	bench_wait_result(&b);
	assert_int_equal(b.tag, 1);
	bench_done(&b);
	assert_null(ask_new(NULL, NULL, 0, US_PER_S, on_result, NULL, &err));
	assert_null(ask_new(NULL, NULL, 4096, 0, on_result, NULL, &err));
	ask_free(NULL);
}

static void ask_end_of(struct bench *b, const char *name, int64_t size)
{
	struct err err = ERR_INIT;

	assert_int_equal(ask_start_end(b->ask, b->file, size, name, 7, &err), 0);
	bench_wait_result(b);
	assert_int_equal(b->tag, 7);
	assert_string_equal(b->mime, "(none)");
}

/* The other question, in turn with the first one. */
static void test_ends(void **state)
{
	struct err err = ERR_INIT;
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_S);
	for (int end = GZIP_END_THERE; end <= GZIP_END_DAMAGED; end++) {
		char name[] = "end 0";

		name[4] = (char)('0' + end);
		ask_end_of(&b, name, END_BYTES);
		assert_answer(&b, ASK_OK, "(none)", "");
		assert_int_equal(b.end, end);
		assert_works(&b);
		assert_int_equal(b.end, GZIP_END_UNKNOWN);
	}
	ask_end_of(&b, "data.gz", END_BYTES + 1);
	assert_answer(&b, ASK_ERROR, "(none)", "that is not its size");
	assert_int_equal(b.end, GZIP_END_UNKNOWN);
	bench_start(&b, "data.csv", 1);
	assert_int_equal(ask_start_end(b.ask, b.file, 1, "data.gz", 2, &err), -EBUSY);
	bench_wait_result(&b);
	bench_done(&b);
}

/* An answer to another question, or none. */
static void test_ends_that_make_no_sense(void **state)
{
	static const char *const names[] = {"end 0", "end 4", "end /"};
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_S);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ask_end_of(&b, names[i], END_BYTES);
		assert_answer(&b, ASK_CRASH, "(none)",
			"the sniffer sent a message \"answer\" that makes no sense, 2 times");
		assert_int_equal(b.end, GZIP_END_UNKNOWN);
	}
	bench_ask(&b, "end 1"); /* the type was asked for */
	assert_int_equal(b.reason, ASK_CRASH);
	assert_works(&b);
	bench_done(&b);
}

/* Unpacking may take longer than telling a type. */
static void test_deadline_of_unpacking(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_MS);
	assert_int_equal(ask_sniffer_pid(b.ask), 0);
	ask_end_of(&b, "burn a little", 1);
	assert_answer(&b, ASK_ERROR, "(none)", "that is not its size");
	bench_ask(&b, "burn a little");
	assert_int_equal(b.reason, ASK_DEADLINE);
	bench_done(&b);
}

/* The sniffer gets its socket, the file and nothing else of ours. */
static void test_nothing_is_inherited(void **state)
{
	sigset_t term, before;
	struct bench b;
	int open_wide;

	(void)state;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	setenv("PATH", "/bin", 1);
	setenv("HOME", "/", 1);
	setenv("MAGIC", "/nonexistent", 1);
	setenv("LD_LIBRARY_PATH", "/nonexistent", 1);
	bench_init(&b, US_PER_S);
	open_wide = dup2(b.file, 100); /* no CLOEXEC */
	bench_ask(&b, "count descriptors");
	assert_answer(&b, ASK_OK, "x/5", ""); /* 0, 1, 2, the socket, the file */
	bench_ask(&b, "inherited");
	assert_answer(&b, ASK_OK, "x/clean", "");
	bench_ask(&b, "count descriptors");
	assert_answer(&b, ASK_OK, "x/5", "");
	close(open_wide);
	bench_done(&b);
	unsetenv("MAGIC");
	unsetenv("LD_LIBRARY_PATH");
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void test_long_name(void **state)
{
	char *name = mem_alloc(100000);
	struct bench b;

	(void)state;
	memset(name, 'n', 99999);
	bench_init(&b, US_PER_S);
	bench_ask(&b, name);
	assert_answer(&b, ASK_OK, "text/csv", "");
	bench_done(&b);
	free(name);
}

static void test_sniffer_is_replaced(void **state)
{
	struct bench b;
	pid_t pid = 0;

	(void)state;
	bench_init(&b, US_PER_S);
	ask_set_limits(b.ask, 3, US_PER_S);
	ask_open(b.ask, on_ready);
	for (int i = 0; i < 12; i++) {
		assert_works(&b);
		if (i % 3 == 0)
			assert_int_not_equal(ask_sniffer_pid(b.ask), pid);
		if (i % 3 != 2)
			pid = ask_sniffer_pid(b.ask);
	}
	assert_int_equal(b.n_ready, 1); /* no news */
	bench_done(&b);
}

static void ask_again(struct bench *b)
{
	if (b->n_results < 50)
		bench_start(b, "data.csv", (uint64_t)b->n_results);
}

static void test_start_in_callback(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_S);
	ask_set_limits(b.ask, 20, US_PER_S);
	b.then = ask_again;
	bench_start(&b, "data.csv", 0);
	bench_run_until(&b, &b.n_results, 50);
	assert_int_equal(b.tag, 49);
	bench_done(&b);
}

static void free_it(struct bench *b)
{
	ask_free(b->ask);
	b->ask = NULL;
}

static void test_free_in_callback(void **state)
{
	static const char *const names[] = {"data.csv", "crash", "burn", "error"};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		bench_init(&b, 20 * US_PER_MS);
		b.then = free_it;
		bench_start(&b, names[i], 1);
		bench_wait_result(&b);
		bench_round(&b);
		bench_done(&b);
	}
	bench_init(&b, US_PER_S);
	b.then = free_it;
	bench_start(&b, "data.csv", 1);
	ask_open(b.ask, on_ready);
	bench_run_until(&b, &b.n_ready, 1);
	assert_int_equal(b.n_results, 0);
	bench_done(&b);
}

/* Freed at every step of a question's way. */
static void test_free_any_time(void **state)
{
	static const char *const names[] = {"data.csv", "stop", "burn", "crash"};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (int rounds = 0; rounds < 5; rounds++) {
			bench_init(&b, US_PER_S);
			bench_start(&b, names[i], 1);
			for (int r = 0; r < rounds; r++)
				bench_round(&b);
			bench_done(&b);
		}
}

/* ---- deadline and stall */

static void test_deadline(void **state)
{
	struct bench b;
	int64_t before_us;
	pid_t pid;

	(void)state;
	bench_init(&b, 200 * US_PER_MS);
	for (int i = 0; i < 2; i++) {
		assert_works(&b);
		pid = ask_sniffer_pid(b.ask);
		before_us = clock_mono_us();
		bench_ask(&b, "burn");
		assert_answer(
			&b, ASK_DEADLINE, "(none)", "libmagic needed more than 200 ms of processor time");
		assert_true(clock_mono_us() - before_us >= 200 * US_PER_MS);
		assert_works(&b);
		assert_int_not_equal(ask_sniffer_pid(b.ask), pid);
	}
	bench_done(&b);
}

static void run_for(struct bench *b, int64_t span_us)
{
	int64_t end_us = clock_mono_us() + span_us;

	while (clock_mono_us() < end_us)
		bench_round(b);
}

/* What the files before it have cost does not count: this one only waits, long enough to be looked at. */
static void test_deadline_is_per_file(void **state)
{
	struct bench b;
	int n;

	(void)state;
	bench_init(&b, 200 * US_PER_MS);
	for (int i = 0; i < 8; i++) {
		bench_ask(&b, "burn a little");
		assert_answer(&b, ASK_OK, "text/csv", "");
	}
	assert_int_equal(ftruncate(b.file, 0), 0);
	n = b.n_results;
	bench_start(&b, "wait", 1);
	run_for(&b, 400 * US_PER_MS);
	assert_int_equal(b.n_results, n);
	assert_int_equal(pwrite(b.file, "text/xml", 8, 0), 8);
	bench_wait_result(&b);
	assert_answer(&b, ASK_OK, "text/xml", "");
	bench_done(&b);
}

static void wait_until_stopped(pid_t pid)
{
	siginfo_t info = {0};

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
	assert_int_equal(info.si_code, CLD_STOPPED);
}

static void test_stall_is_no_deadline(void **state)
{
	int64_t before_us = clock_mono_us(), end_us;
	struct bench b;
	pid_t pid;

	(void)state;
	bench_init(&b, 20 * US_PER_MS);
	assert_works(&b);
	pid = ask_sniffer_pid(b.ask);
	bench_start(&b, "stop", 7);
	assert_string_equal(b.page->call, "type");
	assert_string_equal(b.page->path, "stop");
	wait_until_stopped(pid);
	wire_page_enter(b.page, "statx", "/elsewhere");
	wire_page_leave(b.page);
	end_us = clock_mono_us() + 15 * 20 * US_PER_MS;
	run_for(&b, 15 * 20 * US_PER_MS);
	assert_int_equal(b.n_results, 1);
	assert_int_equal(ask_sniffer_pid(b.ask), pid);
	/* Shown again, and since when it really is. */
	assert_string_equal(b.page->call, "type");
	assert_string_equal(b.page->path, "stop");
	assert_true(b.page->since_us >= before_us && b.page->since_us < end_us - 10 * 20 * US_PER_MS);
	kill(pid, SIGCONT);
	bench_wait_result(&b);
	assert_answer(&b, ASK_OK, "text/csv", "");
	assert_int_equal(b.tag, 7);
	assert_int_equal(b.page->since_us, 0);
	bench_done(&b);
}

/* ---- deaths */

static void test_crash_once(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_S);
	bench_ask(&b, "crash once");
	assert_answer(&b, ASK_OK, "text/csv", "");
	assert_works(&b);
	bench_done(&b);
}

static void test_crash_twice(void **state)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{"crash", "the sniffer was ended by signal 9 (Killed), 2 times"},
		{"exit", "the sniffer exited with status 3, 2 times"},
		{"other message", "the sniffer sent a message \"types\" that makes no sense, 2 times"},
		{"other serial", "the sniffer sent a message \"answer\" that makes no sense, 2 times"},
		{"large type", "the sniffer sent a message \"answer\" that makes no sense, 2 times"},
		{"blank type", "the sniffer sent a message \"answer\" that makes no sense, 2 times"},
		{"no message", "message of 7 bytes is too short, 2 times"},
	};
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_S);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bench_ask(&b, rows[i].name);
		assert_answer(&b, ASK_CRASH, "(none)", rows[i].text);
		assert_works(&b);
	}
	bench_done(&b);
}

static void test_killed_in_a_question(void **state)
{
	struct bench b;
	pid_t pid;

	(void)state;
	bench_init(&b, US_PER_S);
	assert_works(&b);
	pid = ask_sniffer_pid(b.ask);
	assert_int_equal(ftruncate(b.file, 0), 0);
	bench_start(&b, "wait", 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (ask_sniffer_pid(b.ask) == pid)
		bench_round(&b);
	assert_int_equal(b.n_results, 1);
	assert_int_equal(pwrite(b.file, "text/csv", 8, 0), 8);
	bench_wait_result(&b);
	assert_answer(&b, ASK_OK, "text/csv", "");
	bench_done(&b);
}

/* Dead between two questions: the next file is not to blame, and gets both its attempts. */
static void test_killed_while_idle(void **state)
{
	struct bench b;
	siginfo_t info;

	(void)state;
	bench_init(&b, US_PER_S);
	assert_works(&b);
	kill(ask_sniffer_pid(b.ask), SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)ask_sniffer_pid(b.ask), &info, WEXITED | WNOWAIT), 0);
	bench_ask(&b, "crash once");
	assert_answer(&b, ASK_OK, "text/csv", "");
	kill(ask_sniffer_pid(b.ask), SIGKILL);
	while (ask_sniffer_pid(b.ask) != 0)
		bench_round(&b);
	assert_works(&b);
	bench_done(&b);
}

static void test_descriptors_are_closed(void **state)
{
	struct bench b;
	int before;

	(void)state;
	bench_init(&b, US_PER_S);
	assert_works(&b);
	before = count_fds();
	bench_ask(&b, "descriptors");
	assert_answer(&b, ASK_OK, "text/csv", "");
	assert_int_equal(count_fds(), before);
	bench_done(&b);
}

/* ---- the start */

static char *make_copy(const char *folder, const char *name)
{
	char *path = fs_join(folder, name);
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	char bytes[65536];
	ssize_t n;

	assert_true(from >= 0 && to >= 0);
	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		assert_int_equal(fs_write_all(to, bytes, (size_t)n), 0);
	close(from);
	close(to);
	return path;
}

static void test_ready(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_S);
	ask_open(b.ask, on_ready);
	assert_int_equal(b.n_ready, 0);
	bench_run_until(&b, &b.n_ready, 1);
	assert_string_equal(b.ready, "");
	assert_string_equal(ask_libmagic_version(b.ask), "libmagic 1");
	assert_works(&b);
	bench_ask(&b, "crash");
	assert_works(&b);
	assert_int_equal(b.n_ready, 1);
	bench_done(&b);
}

static void test_start_fails(void **state)
{
	static const struct {
		const char *file, *text;
	} rows[] = {
		{"start-exit",
			"cannot tell file types: the sniffer exited with status 5, trying again in 1 s"},
		{"start-error", "cannot tell file types: there is no magic, trying again in 1 s"},
		{"start-burn", "cannot tell file types: the sniffer does not get ready, trying again in 1 s"},
		{"start-silent", "cannot tell file types: the sniffer does not say what its libmagic is, "
				 "trying again in 1 s"},
	};
	char folder[] = "/tmp/test_sense_ask.XXXXXX";
	struct bench b;

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *path = make_copy(folder, rows[i].file);

		bench_init(&b, US_PER_S);
		ask_set_program(b.ask, path);
		ask_set_limits(b.ask, 1, 200 * US_PER_MS);
		ask_open(b.ask, on_ready);
		bench_run_until(&b, &b.n_ready, 1);
		assert_string_equal(b.ready, rows[i].text);
		assert_string_equal(ask_libmagic_version(b.ask), "");
		bench_done(&b);
		unlink(path);
		free(path);
	}
	rmdir(folder);
}

/* The question waits, the pauses grow, and in the end it is answered. */
static void test_start_recovers(void **state)
{
	int64_t before_us = clock_mono_us();
	struct bench b;

	(void)state;
	bench_init(&b, US_PER_S);
	ask_set_program(b.ask, "/nonexistent/program");
	ask_open(b.ask, on_ready);
	bench_start(&b, "data.csv", 1);
	bench_run_until(&b, &b.n_ready, 1);
	assert_string_equal(b.ready,
		"cannot tell file types: cannot execute /nonexistent/program: No such file or "
		"directory, trying again in 1 s");
	assert_int_equal(b.page->since_us, 0);
	bench_run_until(&b, &b.n_ready, 2);
	assert_non_null(strstr(b.ready, "trying again in 2 s"));
	ask_set_program(b.ask, NULL);
	assert_int_equal(b.n_results, 0);
	bench_run_until(&b, &b.n_results, 1);
	assert_answer(&b, ASK_OK, "text/csv", "");
	assert_int_equal(b.n_ready, 3);
	assert_string_equal(b.ready, "");
	assert_true(clock_mono_us() - before_us >= 3 * US_PER_S);
	bench_done(&b);
}

/* libmagic does not work under the filter: it is taken off, for that sniffer. */
static void test_filter_in_the_way(void **state)
{
	static const struct {
		const char *file, *why;
	} rows[] = {
		{"start-killed-by-filter", "the sniffer was ended by signal 31 (Bad system call)"},
		{"start-wrong-by-filter", "libmagic takes a sample for another"},
	};
	char folder[] = "/tmp/test_sense_ask.XXXXXX";
	struct bench b;

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *path = make_copy(folder, rows[i].file);

		bench_init(&b, US_PER_S);
		ask_open(b.ask, on_ready);
		assert_works(&b);
		assert_null(ask_unfiltered_why(b.ask));
		ask_set_program(b.ask, path);
		bench_ask(&b, "crash once");
		assert_answer(&b, ASK_OK, "text/csv", "");
		assert_string_equal(ask_unfiltered_why(b.ask), rows[i].why);
		bench_ask(&b, "crash"); /* that may be an attack */
		ask_set_program(b.ask, NULL);
		assert_works(&b);
		assert_null(ask_unfiltered_why(b.ask));
		assert_int_equal(b.n_ready, 1);
		bench_done(&b);
		unlink(path);
		free(path);
	}
	rmdir(folder);
}

/* It does not start without one either. */
static void test_filter_not_to_blame(void **state)
{
	char folder[] = "/tmp/test_sense_ask.XXXXXX", *path;
	struct bench b;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = make_copy(folder, "start-killed-without");
	bench_init(&b, US_PER_S);
	ask_set_program(b.ask, path);
	ask_open(b.ask, on_ready);
	bench_run_until(&b, &b.n_ready, 1);
	assert_non_null(strstr(b.ready, "signal 9"));
	bench_run_until(&b, &b.n_ready, 2); /* with it again, and once only */
	assert_non_null(strstr(b.ready, "signal 31"));
	ask_set_program(b.ask, NULL);
	assert_works(&b);
	assert_null(ask_unfiltered_why(b.ask));
	bench_done(&b);
	unlink(path);
	rmdir(folder);
	free(path);
}

static void test_other_version(void **state)
{
	char folder[] = "/tmp/test_sense_ask.XXXXXX", *path;
	struct bench b;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = make_copy(folder, "start-other");
	bench_init(&b, US_PER_S);
	ask_open(b.ask, on_ready);
	assert_works(&b);
	ask_set_program(b.ask, path);
	bench_ask(&b, "crash once");
	assert_answer(&b, ASK_OK, "text/csv", "");
	assert_int_equal(b.n_ready, 2);
	assert_string_equal(ask_libmagic_version(b.ask), "libmagic 2");
	bench_done(&b);
	unlink(path);
	rmdir(folder);
	free(path);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_ends_that_make_no_sense),
		cmocka_unit_test(test_deadline_of_unpacking),
		cmocka_unit_test(test_nothing_is_inherited),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_sniffer_is_replaced),
		cmocka_unit_test(test_start_in_callback),
		cmocka_unit_test(test_free_in_callback),
		cmocka_unit_test(test_free_any_time),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_deadline_is_per_file),
		cmocka_unit_test(test_stall_is_no_deadline),
		cmocka_unit_test(test_crash_once),
		cmocka_unit_test(test_crash_twice),
		cmocka_unit_test(test_killed_in_a_question),
		cmocka_unit_test(test_killed_while_idle),
		cmocka_unit_test(test_descriptors_are_closed),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_start_recovers),
		cmocka_unit_test(test_filter_in_the_way),
		cmocka_unit_test(test_filter_not_to_blame),
		cmocka_unit_test(test_other_version),
	};

	if (argc > 0 && strcmp(argv[0], "bw-sniff") == 0)
		return sniffer(3, argc < 2 || strcmp(argv[1], "--without-seccomp") != 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
