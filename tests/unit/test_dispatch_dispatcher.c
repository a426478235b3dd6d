/*
 * The whole process from outside: the test is the keeper and the watchers, and the stand-in of the Jobs API
 * is linked in.
 */
#include "dispatch/dispatcher.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "core/wire.h"
#include "fake_jobs.h"

#define PATIENCE_MS 20000
#define ENDS "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define RULES "0000000000000001"

struct place {
	char directory[64];
	char *state, *logs, *events, *requests, *out;
	pid_t pid;
	int keeper;	/* our end of the keeper's socket */
	int watcher[2]; /* our ends of the watchers' sockets: a, b */
	int lock;	/* a lock that the test holds */
	struct wire_message in;
};

/* ---- the stand-in: starts every run, refuses what it is told to, writes down what it gets ---- */

static int requests_fd = -1;

static void stand_in(const char *body, struct jobs_answer *a)
{
	uint8_t digest[SHA256_BYTES];
	CLEANUP_FREE char *line = mem_printf("%s\n", body);

	(void)!write(requests_fd, line, strlen(line));
	sha256(body, strlen(body), digest); /* one run for each token, whenever it is asked for */
	a->http_status = 200;
	a->run_id = 1 + digest[0] + 256 * digest[1] + 65536 * digest[2];
	a->outcome = (struct outcome){.kind = OUTCOME_STARTED, .reason = "started"};
	if (strstr(body, "refused")) {
		a->http_status = 400;
		a->outcome = (struct outcome){
			.kind = OUTCOME_DEAD, .sure_not_started = true, .reason = "bad_request"};
	}
	if (strstr(body, "unauthorized")) {
		a->http_status = 401;
		a->outcome = (struct outcome){
			.kind = OUTCOME_CREDENTIAL, .sure_not_started = true, .reason = "credential_refused"};
	}
}

/* ---- starting and ending it ---- */

static int set_up(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));

	snprintf(p->directory, sizeof(p->directory), "/tmp/test-dispatcher-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	p->state = fs_join(p->directory, "state");
	p->logs = fs_join(p->directory, "log");
	p->events = fs_join(p->logs, "events.jsonl");
	p->requests = fs_join(p->directory, "requests");
	p->out = fs_join(p->directory, "out");
	p->keeper = p->watcher[0] = p->watcher[1] = p->lock = -1;
	*state = p;
	return 0;
}

static void close_ends(struct place *p)
{
	fs_close(&p->keeper);
	fs_close(&p->watcher[0]);
	fs_close(&p->watcher[1]);
}

static int tear_down(void **state)
{
	struct place *p = *state;
	pid_t pid;
	int status;

	close_ends(p);
	if (p->pid > 0) {
		(void)kill(p->pid, SIGKILL);
		(void)waitpid(p->pid, &status, 0);
	}
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", p->directory, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(p->state);
	free(p->logs);
	free(p->events);
	free(p->requests);
	free(p->out);
	free(p);
	return 0;
}

static int open_for_child(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void start_process(struct place *p)
{
	int pair[2];

	assert_int_equal(sock_pair(pair, NULL), 0);
	(void)fflush(NULL);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		int out = open_for_child(p->out);

		fs_close(&pair[0]);
		fs_close(&p->lock); /* else it would hold it too */
		close_ends(p);
		log_init("bw-dispatch", LOG_LEVEL_INFO, false);
		(void)dup2(out, STDOUT_FILENO);
		(void)dup2(out, STDERR_FILENO);
		requests_fd = open_for_child(p->requests);
		fake_auto = stand_in;
		_exit(dispatcher_main(pair[1], -1));
	}
	fs_close(&pair[1]);
	p->keeper = pair[0];
}

static void configure(struct place *p, const char *section, const char *key, const char *value)
{
	struct wire_configure m = {.section = section, .key = key, .value = value, .file = "test", .line = 1};

	assert_int_equal(wire_send_wait(p->keeper, WIRE_CONFIGURE, &m, NULL, 0), 0);
}

static void configure_all(struct place *p, int mode, bool dry, int64_t wait_us)
{
	static const char *const entries[][3] = {
		{"workspace", "host", "https://adb.example"},
		{"workspace", "token_file", "/etc/token"},
		{"workspace", "rate", "1000000/s"},
		{"workspace", "burst", "1000"},
		{"watch:a", "directory", "/a"},
		{"watch:a", "job_id", "1"},
		{"watch:a", "path_map", "none"},
		{"watch:b", "directory", "/b"},
		{"watch:b", "job_id", "2"},
		{"watch:b", "path_map", "none"},
	};
	struct wire_configured last = {.mode = mode,
		.dry_run = dry,
		.watches = 2,
		.wait_us = wait_us,
		.only_watch = "",
		.hash = "cafe"};

	configure(p, "service", "state_directory", p->state);
	configure(p, "events", "file", p->events);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		configure(p, entries[i][0], entries[i][1], entries[i][2]);
	assert_int_equal(wire_send_wait(p->keeper, WIRE_CONFIGURED, &last, NULL, 0), 0);
}

static void attach(struct place *p, int i)
{
	struct wire_attach m = {.name = i == 0 ? "a" : "b", .pid = 1, .start = 1};
	struct wire_hello hello = {
		.method = "inotify", .file_system = "ext4", .inodes_stable = 1, .pid = 1, .limits = ""};
	int pair[2], page = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(sock_pair(pair, NULL), 0);
	assert_int_equal(wire_send_wait(p->keeper, WIRE_ATTACH, &m, (int[]){pair[1], page}, 2), 0);
	fs_close(&pair[1]);
	fs_close(&page);
	fs_close(&p->watcher[i]);
	p->watcher[i] = pair[0];
	assert_int_equal(wire_send_wait(p->watcher[i], WIRE_HELLO, &hello, NULL, 0), 0);
}

static void start(struct place *p, int mode, bool dry)
{
	start_process(p);
	configure_all(p, mode, dry, mode == WIRE_MODE_SCAN ? 10 * US_PER_S : 0);
	attach(p, 0);
	attach(p, 1);
}

static void tell(struct place *p, enum wire_type type)
{
	struct wire_empty m = {0};

	assert_int_equal(wire_send_wait(p->keeper, type, &m, NULL, 0), 0);
}

/* As a watcher whose files are all there still. */
static void confirm_all(struct place *p)
{
	char verdicts[WIRE_KNOWNS_MAX];
	struct wire_known k;

	for (int i = 0; i < 2; i++) {
		while (p->watcher[i] >= 0 && sock_wait(p->watcher[i], POLLIN, 0) == 0 &&
			wire_recv(p->watcher[i], &p->in, NULL) == 1) {
			struct wire_confirmed m = {.serial = p->in.as.confirm.serial, .verdicts = verdicts};
			size_t pos = 0;

			if (p->in.type != WIRE_CONFIRM)
				continue;
			while (wire_knowns_next(&p->in.as.confirm, &pos, &k) > 0)
				verdicts[m.verdicts_len++] = WIRE_SAME;
			assert_int_equal(wire_send_wait(p->watcher[i], WIRE_CONFIRMED, &m, NULL, 0), 0);
		}
	}
}

static int wait_for_end(struct place *p)
{
	int status;

	for (int64_t until_us = clock_mono_us() + PATIENCE_MS * US_PER_MS; clock_mono_us() < until_us;) {
		/* what it says must be read, and its end is seen there */
		confirm_all(p);
		if (sock_wait(p->keeper, POLLIN, 20) < 0)
			continue;
		if (wire_recv(p->keeper, &p->in, NULL) != 0)
			continue;
		assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
		p->pid = 0;
		close_ends(p);
		assert_true(WIFEXITED(status));
		return WEXITSTATUS(status);
	}
	fail_msg("it does not end");
	return -1;
}

static int stop(struct place *p)
{
	tell(p, WIRE_STOP);
	return wait_for_end(p);
}

/* ---- being a watcher ---- */

static void send_ready_as(struct place *p, int i, const char *relpath, int64_t mtime_ns)
{
	int64_t ino = 7;

	for (const char *c = relpath; *c; c++) /* another file, another inode */
		ino = 31 * ino % 1000003 + *c;

	struct wire_file f = {
		.root = i == 0 ? "/a" : "/b",
		.relpath = relpath,
		.size = 10,
		.mtime_ns = mtime_ns,
		.ino = ino,
		.owner = 1000,
		.ends = ENDS,
		.mime = "text/csv",
		.first_seen_us = 1,
		.completed_us = 2,
		.evidence = "closed by its writer",
		.rule = "",
		.detail = "",
		.rules_hash = RULES,
	};

	assert_int_equal(wire_send_wait(p->watcher[i], WIRE_READY, &f, NULL, 0), 0);
}

static void send_ready(struct place *p, int i, const char *relpath)
{
	send_ready_as(p, i, relpath, 1000000);
}

static void send_scanned(struct place *p, int i)
{
	struct wire_scanned m = {
		.pass = 1, .directories = 1, .files = 1, .took_us = 5, .complete = 1, .why = "start"};

	assert_int_equal(wire_send_wait(p->watcher[i], WIRE_SCANNED, &m, NULL, 0), 0);
}

static void send_done(struct place *p)
{
	struct wire_counts m = {.done = 1};

	for (int i = 0; i < 2; i++) {
		send_scanned(p, i);
		assert_int_equal(wire_send_wait(p->watcher[i], WIRE_COUNTS, &m, NULL, 0), 0);
	}
}

/* Asks about one file: is it wanted? */
static bool is_wanted(struct place *p, int i, const char *relpath)
{
	CLEANUP_BUF struct buf items = BUF_INIT(WIRE_CANDIDATES_BYTES);
	struct wire_candidate c = {.relpath = relpath, .size = 10, .mtime_ns = 1000000, .ino = 7};
	struct wire_candidates m = {.seq = 3, .root = i == 0 ? "/a" : "/b", .rules_hash = RULES};

	assert_int_equal(wire_candidates_add(&items, &c), 0);
	m.items = items.data;
	m.items_len = items.len;
	assert_int_equal(wire_send_wait(p->watcher[i], WIRE_CANDIDATES, &m, NULL, 0), 0);
	assert_int_equal(sock_wait(p->watcher[i], POLLIN, PATIENCE_MS), 0);
	assert_int_equal(wire_recv(p->watcher[i], &p->in, NULL), 1);
	assert_int_equal(p->in.type, WIRE_WANTED);
	assert_int_equal(p->in.as.wanted.seq, 3);
	return *(const uint8_t *)p->in.as.wanted.bits & 1;
}

/* ---- looking at what it did ---- */

static void read_all(const char *path, struct buf *b)
{
	buf_reset(b);
	if (fs_read_file(path, 1u << 22, b, NULL) < 0)
		buf_reset(b);
}

static int count_in(const char *path, const char *words)
{
	CLEANUP_BUF struct buf b = BUF_INIT(1u << 22);
	int n = 0;

	read_all(path, &b);
	for (const char *s = buf_str(&b); (s = strstr(s, words)) != NULL; s++)
		n++;
	return n;
}

/* Waits until the words stand that often in the file. */
static void wait_for(struct place *p, const char *path, const char *words, int n)
{
	for (int64_t until_us = clock_mono_us() + PATIENCE_MS * US_PER_MS; clock_mono_us() < until_us;) {
		if (count_in(path, words) >= n)
			return;
		confirm_all(p);
		(void)poll(NULL, 0, 5);
	}
	{
		CLEANUP_BUF struct buf b = BUF_INIT(1u << 22);

		read_all(p->out, &b);
		fail_msg("%d of %d \"%s\" in %s\n%s", count_in(path, words), n, words, path, buf_str(&b));
	}
}

static void expect_words(const char *path, const char *words, int n)
{
	if (count_in(path, words) != n) {
		CLEANUP_BUF struct buf b = BUF_INIT(1u << 22);

		read_all(path, &b);
		fail_msg("%d instead of %d \"%s\" in %s:\n%s", count_in(path, words), n, words, path,
			buf_str(&b));
	}
}

static void wait_until_ready(struct place *p)
{
	for (;;) {
		assert_int_equal(sock_wait(p->keeper, POLLIN, PATIENCE_MS), 0);
		assert_int_equal(wire_recv(p->keeper, &p->in, NULL), 1);
		assert_int_equal(p->in.type, WIRE_STATE);
		if (p->in.as.state.ready)
			return;
	}
}

/* Every line of the log is JSON and no id comes twice. */
static void expect_sound_log(const struct place *p)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20), ids = BUF_INIT(1u << 22);
	struct gzip_reader *r = gzip_reader_open(p->events, NULL);
	bool torn = false;

	assert_non_null(r);
	while (gzip_reader_line(r, &line, &torn, NULL) > 0) {
		struct json *j = json_parse(buf_str(&line), line.len, NULL);

		assert_false(torn);
		assert_non_null(j);
		if (strstr(buf_str(&ids), json_get_text(j, "id")))
			fail_msg("twice: %s", buf_str(&line));
		(void)buf_adds(&ids, json_get_text(j, "id"));
		json_free(j);
	}
	gzip_reader_close(r);
}

/* ---- tests ---- */

static void test_a_service(void **state)
{
	struct place *p = *state;
	struct stat st;

	start(p, WIRE_MODE_RUN, false);
	assert_true(is_wanted(p, 0, "x.csv"));
	send_ready(p, 0, "x.csv");
	wait_for(p, p->events, "run.started", 1);
	assert_false(is_wanted(p, 0, "x.csv"));
	send_scanned(p, 0);
	send_scanned(p, 1);
	wait_until_ready(p);
	send_ready(p, 1, "refused.csv");
	wait_for(p, p->events, "start.failed", 1);
	assert_int_equal(stop(p), 0);
	expect_sound_log(p);
	expect_words(p->events, "\"type\":\"service.started\"", 1);
	expect_words(p->events, "\"type\":\"watch.ready\"", 2);
	expect_words(p->events,
		"\"configuration\":\"cafe\",\"watches\":2,\"pending\":0,\"started\":1,\"failed\":1,"
		"\"rejected\":0",
		1);
	expect_words(p->requests, "\n", 2);
	assert_int_equal(stat(p->state, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	/* a new life: nothing again, and a new version is new */
	start(p, WIRE_MODE_RUN, false);
	assert_false(is_wanted(p, 0, "x.csv"));
	send_ready(p, 0, "x.csv");
	send_ready_as(p, 0, "x.csv", 2000000);
	wait_for(p, p->events, "run.started", 2);
	assert_int_equal(stop(p), 0);
	expect_words(p->requests, "\n", 3);
	expect_words(p->events, "previous_run_id", 1);
	expect_sound_log(p);
}

/* Terminals signal the whole group: only the keeper's word counts. */
static void test_signals(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct place *p = *state;

	start(p, WIRE_MODE_RUN, false);
	assert_true(is_wanted(p, 0, "x"));
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		assert_int_equal(kill(p->pid, signals[i]), 0);
	send_ready(p, 0, "x");
	wait_for(p, p->events, "run.started", 1);
	assert_int_equal(stop(p), 0);
}

/* What watchers said before they were stopped is recorded. */
static void test_stop_takes_what_was_said(void **state)
{
	struct place *p = *state;

	start(p, WIRE_MODE_RUN, false);
	assert_true(is_wanted(p, 0, "x"));
	for (int i = 0; i < 50; i++) {
		CLEANUP_FREE char *name = mem_printf("f-%d", i);

		send_ready(p, 0, name);
	}
	fs_close(&p->watcher[0]);
	assert_int_equal(stop(p), 0);
	start(p, WIRE_MODE_RUN, false);
	wait_for(p, p->events, "run.started", 50);
	assert_int_equal(stop(p), 0);
	expect_words(p->events, "run.started", 50);
	expect_sound_log(p);
}

static void test_keeper_is_gone(void **state)
{
	struct place *p = *state;
	int status;

	start(p, WIRE_MODE_RUN, false);
	assert_true(is_wanted(p, 0, "x"));
	fs_close(&p->keeper);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close_ends(p);
}

static void test_lock(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *lock = fs_join(p->state, "lock");

	assert_int_equal(mkdir(p->state, 0700), 0);
	p->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(p->lock, LOCK_EX), 0);
	start_process(p);
	configure_all(p, WIRE_MODE_RUN, false, 0);
	assert_int_equal(wait_for_end(p), 1);
	expect_words(p->out, "another brickwatch is using", 1);
	/* it waits a while for one that is ending */
	start_process(p);
	configure_all(p, WIRE_MODE_RUN, false, 0);
	fs_close(&p->lock);
	attach(p, 0);
	attach(p, 1);
	assert_true(is_wanted(p, 0, "x"));
	assert_int_equal(stop(p), 0);
}

static void test_unusable_state(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *ledger = fs_join(p->state, "ledger.db");
	CLEANUP_FREE char *below = fs_join(p->state, "missing/below");
	char *good = p->state;
	struct stat st;

	assert_int_equal(mkdir(p->state, 0700), 0);
	assert_int_equal(fs_replace_file(ledger,
				 "this is no database, and long enough to be looked at as one: "
				 "0123456789012345678901234567890123456789",
				 100, 0600, NULL),
		0);
	start_process(p);
	configure_all(p, WIRE_MODE_RUN, false, 0);
	assert_int_equal(wait_for_end(p), WIRE_EXIT_AGAIN); /* it is set aside, and a new one is made */
	assert_int_equal(stat(ledger, &st), -1);
	start_process(p);
	configure_all(p, WIRE_MODE_RUN, false, 0);
	attach(p, 0);
	attach(p, 1);
	assert_true(is_wanted(p, 0, "x"));
	assert_int_equal(stop(p), 0);
	assert_int_equal(stat(ledger, &st), 0);
	p->state = below;
	start_process(p);
	configure_all(p, WIRE_MODE_RUN, false, 0);
	assert_int_equal(wait_for_end(p), 1);
	p->state = good;
}

static void test_watcher_comes_and_goes(void **state)
{
	struct place *p = *state;
	struct wire_detach gone = {.name = "a", .why = "killed by signal 9"};

	start(p, WIRE_MODE_RUN, false);
	send_scanned(p, 0);
	send_scanned(p, 1);
	wait_until_ready(p);
	/* what it said before it died counts */
	send_ready(p, 0, "last-words");
	fs_close(&p->watcher[0]);
	assert_int_equal(wire_send_wait(p->keeper, WIRE_DETACH, &gone, NULL, 0), 0);
	wait_for(p, p->events, "run.started", 1);
	attach(p, 0);
	assert_false(is_wanted(p, 0, "last-words"));
	send_scanned(p, 0);
	wait_for(p, p->events, "watch.ready", 3);
	/* one that talks rubbish is let go, the other one does not notice */
	assert_int_equal(sock_send(p->watcher[0], "rubbish!", 8, NULL, 0), 0);
	assert_int_equal(sock_wait(p->watcher[0], POLLIN, PATIENCE_MS), 0);
	assert_int_equal(wire_recv(p->watcher[0], &p->in, NULL), 0);
	send_ready(p, 1, "../../etc/passwd");
	assert_int_equal(sock_wait(p->watcher[1], POLLIN, PATIENCE_MS), 0);
	assert_int_equal(wire_recv(p->watcher[1], &p->in, NULL), 0);
	expect_words(p->out, "its watcher is let go", 2);
	attach(p, 1);
	assert_true(is_wanted(p, 1, "x"));
	assert_int_equal(stop(p), 0);
	expect_words(p->requests, "passwd", 0);
}

static void test_reopen(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *moved = mem_printf("%s.1", p->events);

	start(p, WIRE_MODE_RUN, false);
	send_ready(p, 0, "one");
	wait_for(p, p->events, "run.started", 1);
	assert_int_equal(rename(p->events, moved), 0);
	tell(p, WIRE_REOPEN);
	send_ready(p, 0, "two");
	wait_for(p, p->events, "run.started", 1);
	expect_words(p->events, "\"path\":\"/a/two\"", 1);
	expect_words(moved, "run.started", 1);
	assert_int_equal(stop(p), 0);
}

static void test_scan(void **state)
{
	struct place *p = *state;

	start(p, WIRE_MODE_SCAN, false);
	send_ready(p, 0, "x");
	send_ready(p, 1, "y");
	send_done(p);
	assert_int_equal(wait_for_end(p), 0);
	expect_words(p->events, "run.started", 2);
	expect_words(p->events, "service.", 0);
	start(p, WIRE_MODE_SCAN, false);
	send_ready(p, 0, "refused");
	send_done(p);
	assert_int_equal(wait_for_end(p), 1);
	/* a refused credential: after three tries the rest stays for the next scan */
	start(p, WIRE_MODE_SCAN, false);
	send_ready(p, 0, "unauthorized");
	send_done(p);
	assert_int_equal(wait_for_end(p), 69);
	expect_words(p->out, "1 file could not be sent", 1);
	expect_sound_log(p);
}

/* A watcher that never ends its listing does not hold a scan for ever. */
static void test_scan_has_an_end(void **state)
{
	struct place *p = *state;

	start_process(p);
	configure_all(p, WIRE_MODE_SCAN, false, US_PER_S);
	attach(p, 0);
	attach(p, 1);
	send_ready(p, 0, "x");
	assert_int_equal(wait_for_end(p), 1);
	expect_words(p->out, "could not be listed", 2);
	expect_words(p->events, "run.started", 1);
}

static void test_dry_run(void **state)
{
	struct place *p = *state;
	struct stat st;

	start(p, WIRE_MODE_SCAN, true);
	assert_true(is_wanted(p, 0, "x"));
	send_ready(p, 0, "x");
	send_done(p);
	assert_int_equal(wait_for_end(p), 0);
	expect_words(p->out, "would start job 1 (a) /a/x -> /a/x  type text/csv\n", 1);
	assert_int_equal(stat(p->state, &st), -1);
	assert_int_equal(stat(p->logs, &st), -1);
	expect_words(p->requests, "\n", 0);
	/* beside what is known */
	start(p, WIRE_MODE_SCAN, false);
	send_ready(p, 0, "x");
	send_done(p);
	assert_int_equal(wait_for_end(p), 0);
	start(p, WIRE_MODE_SCAN, true);
	assert_false(is_wanted(p, 0, "x"));
	send_ready(p, 0, "x");
	send_ready(p, 0, "y");
	send_done(p);
	assert_int_equal(wait_for_end(p), 0);
	expect_words(p->out, "would start", 2);
	expect_words(p->requests, "\n", 1);
}

/* The state disk is full: nothing is accepted that could not be recorded, and it goes on by itself. */
static void test_full_disk(void **state)
{
	struct place *p = *state;
	struct rlimit full = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY},
		      none = {RLIM_INFINITY, RLIM_INFINITY};

	start(p, WIRE_MODE_RUN, false);
	send_ready(p, 0, "before");
	wait_for(p, p->events, "run.started", 1);
	assert_int_equal(prlimit(p->pid, RLIMIT_FSIZE, &full, NULL), 0);
	send_ready(p, 1, "while-full"); /* the first of its directory: that is given up too */
	wait_for(p, p->out, "nothing more is accepted", 1);
	for (int i = 0; i < 100; i++) {
		CLEANUP_FREE char *name = mem_printf("later-%d", i);

		send_ready(p, 1, name);
	}
	(void)poll(NULL, 0, 1500); /* time enough for a second try */
	expect_words(p->requests, "\n", 1);
	expect_words(p->out, "nothing more is accepted", 1); /* said once */
	assert_int_equal(prlimit(p->pid, RLIMIT_FSIZE, &none, NULL), 0);
	wait_for(p, p->events, "run.started", 102);
	expect_words(p->out, "bw-dispatch: the ledger can be written again", 1);
	assert_int_equal(stop(p), 0);
	expect_words(p->requests, "\n", 102);
	expect_sound_log(p);
}

/* ---- killed again and again ---- */

#define FILES 40
#define KILLS 40

static void test_killed_again_and_again(void **state)
{
	struct place *p = *state;
	char name[32];
	int status;

	for (int n = 0; n < KILLS; n++) {
		start_process(p);
		configure_all(p, WIRE_MODE_RUN, false, 0);
		attach(p, 0);
		attach(p, 1);
		for (int i = 0; i <= n && i < FILES; i++) {
			snprintf(name, sizeof(name), "f-%02d.csv", i);
			send_ready(p, i % 2, name); /* as after a listing: all of them again */
		}
		(void)poll(NULL, 0, n * 7 % 60);
		assert_int_equal(kill(p->pid, SIGKILL), 0);
		assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
		p->pid = 0;
		close_ends(p);
	}
	start(p, WIRE_MODE_SCAN, false);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f-%02d.csv", i);
		send_ready(p, i % 2, name);
	}
	send_done(p);
	assert_int_equal(wait_for_end(p), 0);
	expect_sound_log(p);
	expect_words(p->events, "run.started", FILES);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "/f-%02d.csv\"", i);
		assert_true(count_in(p->requests, name) >= 1);
	}
	/* sent more than once perhaps, but the same bytes: as many different ones as files */
	{
		CLEANUP_BUF struct buf all = BUF_INIT(1u << 22), seen = BUF_INIT(1u << 22);
		int different = 0;

		read_all(p->requests, &all);
		for (const char *s = buf_str(&all); *s;) {
			size_t len = strcspn(s, "\n") + 1;
			CLEANUP_FREE char *line = mem_strndup(s, len);

			if (!strstr(buf_str(&seen), line)) {
				different++;
				(void)buf_adds(&seen, line);
			}
			s += len;
		}
		assert_int_equal(different, FILES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_service, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_signals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop_takes_what_was_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keeper_is_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unusable_state, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watcher_comes_and_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reopen, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_scan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_scan_has_an_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dry_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_again_and_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
