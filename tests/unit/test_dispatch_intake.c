#include "dispatch/intake.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/token.h"

#define NOW INT64_C(1767323045123456)
#define ENDS_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ENDS_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define RULES_1 "0000000000000001"
#define RULES_2 "0000000000000002"

struct bench {
	struct conf *conf;
	struct ledger *ledger;
	struct scribe scribe;
	struct intake *intake;
	struct intake_peer peer;
	struct intake_result result;
	struct err err;
	struct wire_message m;
	struct buf items;
	int64_t outbox_seq;
};

static const char *const settings[][3] = {
	{"service", "state_directory", "/var/lib/x"},
	{"workspace", "host", "https://adb.example"},
	{"workspace", "token_file", "/etc/token"},
	{"watch:orders", "directory", "/drop"},
	{"watch:orders", "directory", "/drop2"},
	{"watch:orders", "job_id", "42"},
	{"watch:orders", "path_map", "/drop => /Volumes/in"},
	{"watch:orders", "path_map", "/drop2 => /Volumes/in"},
	{"watch:skipping", "directory", "/old"},
	{"watch:skipping", "job_id", "43"},
	{"watch:skipping", "existing", "skip"},
	{"watch:skipping", "path_map", "none"},
	{"watch:holding", "directory", "/held"},
	{"watch:holding", "job_id", "45"},
	{"watch:holding", "existing", "hold"},
	{"watch:holding", "path_map", "none"},
	{"watch:braked", "directory", "/braked"},
	{"watch:braked", "job_id", "47"},
	{"watch:braked", "brake", "2/1h"},
	{"watch:braked", "path_map", "none"},
	{"watch:two", "directory", "/one"},
	{"watch:two", "directory", "/other"},
	{"watch:two", "job_id", "46"},
	{"watch:two", "existing", "skip"},
	{"watch:two", "path_map", "none"},
	{"watch:notes", "directory", "/notes"},
	{"watch:notes", "job_id", "44"},
	{"watch:notes", "job_type", "notebook"},
	{"watch:notes", "param.path", "${uri}"},
	{"watch:notes", "param.again", "${uri}${uri}${uri}"},
	{"watch:notes", "path_map", "none"},
	{"watch:notes", "ends", "no"},
};

static struct conf *make_conf(bool rejected)
{
	struct conf *c = conf_new();
	struct conf_mistakes mistakes = {.n = 0};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		conf_set(c, settings[i][0], settings[i][1], settings[i][2], "test", (int)i + 1, &mistakes);
	conf_set(c, "events", "rejected", rejected ? "yes" : "no", "test", 99, &mistakes);
	if (mistakes.n > 0)
		fail_msg("%s", mistakes.items[0].text);
	conf_resolve(c);
	return c;
}

static void use_watch(struct bench *b, const char *name)
{
	b->peer = (struct intake_peer){.watch = conf_watch_find(b->conf, name),
		.inodes_stable = true,
		.method = "inotify",
		.file_system = "ext4"};
	assert_non_null(b->peer.watch);
}

static struct bench *bench_new(struct ledger *behind, bool dry, bool rejected)
{
	struct bench *b = mem_alloc(sizeof(*b));

	b->conf = make_conf(rejected);
	assert_int_equal(ledger_open_memory(&b->ledger, NULL), 0);
	scribe_init(&b->scribe, b->ledger, dry);
	b->intake = intake_new(b->conf, b->ledger, behind, &b->scribe, dry);
	intake_result_init(&b->result);
	buf_init(&b->items, WIRE_CANDIDATES_BYTES);
	use_watch(b, "orders");
	return b;
}

static void bench_free(struct bench *b)
{
	intake_result_done(&b->result);
	intake_free(b->intake);
	scribe_done(&b->scribe);
	ledger_close(b->ledger);
	conf_free(b->conf);
	buf_done(&b->items);
	free(b);
}

static int set_up(void **state)
{
	*state = bench_new(NULL, false, true);
	return 0;
}

static int tear_down(void **state)
{
	bench_free(*state);
	return 0;
}

static struct wire_file file_of(const char *relpath)
{
	return (struct wire_file){
		.root = "/drop",
		.relpath = relpath,
		.size = 10,
		.mtime_ns = 1000000,
		.ino = 7,
		.owner = 1000,
		.ends = ENDS_A,
		.mime = "text/csv",
		.first_seen_us = NOW - 2,
		.completed_us = NOW - 1,
		.evidence = "closed by its writer",
		.rule = "",
		.detail = "",
		.rules_hash = RULES_1,
	};
}

static int try_take(struct bench *b, enum wire_type type)
{
	b->m.type = type;
	intake_result_done(&b->result);
	return intake_take(b->intake, &b->peer, &b->m, NOW, &b->result, &b->err);
}

static void take(struct bench *b, enum wire_type type)
{
	int rc = try_take(b, type);

	if (rc != 0)
		fail_msg("%s", b->err.text);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
}

static void ready(struct bench *b, const struct wire_file *f)
{
	b->m.as.file = *f;
	take(b, WIRE_READY);
}

static void rejected(struct bench *b, const struct wire_file *f)
{
	b->m.as.file = *f;
	take(b, WIRE_REJECTED);
}

static void candidates_begin(struct bench *b, const char *root, const char *rules_hash)
{
	buf_reset(&b->items);
	b->m.as.candidates = (struct wire_candidates){.seq = 5, .root = root, .rules_hash = rules_hash};
}

static void candidate(struct bench *b, const char *relpath, int64_t size, int64_t mtime_ns)
{
	struct wire_candidate c = {.relpath = relpath, .size = size, .mtime_ns = mtime_ns, .ino = 7};

	assert_int_equal(wire_candidates_add(&b->items, &c), 0);
}

static int candidates_try(struct bench *b)
{
	b->m.as.candidates.items = b->items.data;
	b->m.as.candidates.items_len = b->items.len;
	return try_take(b, WIRE_CANDIDATES);
}

/* One file of /drop: is it wanted? */
static bool is_wanted(
	struct bench *b, const char *relpath, int64_t size, int64_t mtime_ns, const char *rules_hash)
{
	candidates_begin(b, b->peer.watch->directory.items[0], rules_hash);
	candidate(b, relpath, size, mtime_ns);
	assert_int_equal(candidates_try(b), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	assert_true(b->result.wanted);
	assert_int_equal(b->result.seq, 5);
	assert_int_equal(b->result.bits.len, 1);
	return b->result.bits.data[0] & 1;
}

static void newest(struct bench *b, const char *relpath, struct ledger_known *ret)
{
	struct ledger_key key = {.watch = b->peer.watch->name, .relpath = relpath};

	assert_int_equal(
		ledger_root(b->ledger, b->peer.watch->directory.items[0], false, &key.root_id, NULL), 1);
	assert_int_equal(ledger_newest(b->ledger, &key, ret, NULL), 1);
}

static void newest_row(struct bench *b, const char *relpath, struct ledger_row *ret)
{
	struct ledger_known known;

	newest(b, relpath, &known);
	assert_int_equal(ledger_row(b->ledger, known.id, ret, NULL), 1);
}

static int64_t count(struct bench *b, enum ledger_state state)
{
	int64_t n = -1;

	assert_int_equal(ledger_count(b->ledger, state, &n, NULL), 0);
	return n;
}

/* The next event in the outbox is of this type and holds this text. */
static void expect_event(struct bench *b, const char *type, const char *text)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	struct json *j;

	if (ledger_outbox_next(b->ledger, b->outbox_seq, &b->outbox_seq, &line, NULL) != 1)
		fail_msg("no event %s", type);
	j = json_parse(buf_str(&line), line.len, NULL);
	assert_non_null(j);
	assert_string_equal(json_get_text(j, "type"), type);
	json_free(j);
	if (!strstr(buf_str(&line), text))
		fail_msg("%s is not in %s", text, buf_str(&line));
}

static void expect_no_event(struct bench *b)
{
	CLEANUP_BUF struct buf line = BUF_INIT(1u << 20);
	int64_t seq;

	if (ledger_outbox_next(b->ledger, b->outbox_seq, &seq, &line, NULL) != 0)
		fail_msg("there is %s", buf_str(&line));
}

/* ---- accepting ---- */

static void test_new_file(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a/b.csv");
	CLEANUP_BUF struct buf body = BUF_INIT(10000);
	char token[TOKEN_BYTES];
	struct ledger_row r;

	ready(b, &f);
	assert_true(b->result.accepted);
	assert_null(b->result.text);
	newest_row(b, "a/b.csv", &r);
	token_make("adb.example", 42, 10, 1000000, 1, "/Volumes/in/a/b.csv", CONF_VERSION_SIZE_MTIME, token);
	assert_string_equal(r.token, token);
	assert_string_equal(r.uri, "/Volumes/in/a/b.csv");
	assert_int_equal(r.state, LEDGER_PENDING);
	assert_int_equal(r.generation, 1);
	assert_int_equal(r.job_id, 42);
	assert_string_equal(r.host, "adb.example");
	assert_int_equal(r.completed_us, NOW - 1);
	assert_int_equal(ledger_request(b->ledger, r.id, &body, NULL), 1);
	assert_non_null(strstr(buf_str(&body), token));
	assert_non_null(strstr(buf_str(&body), "\"/Volumes/in/a/b.csv\""));
	ledger_row_done(&r);
	expect_no_event(b); /* that comes when it has started */
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
}

static void test_new_version(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_known known;
	struct ledger_row r;

	ready(b, &f);
	newest(b, "a", &known);
	assert_int_equal(ledger_set_started(b->ledger, known.id, 99, 1, "token", NOW, NULL), 0);
	f.mtime_ns += 5000000;
	ready(b, &f);
	assert_true(b->result.accepted);
	newest_row(b, "a", &r);
	assert_int_equal(r.generation, 1); /* its time makes another token */
	assert_int_equal(r.previous_run_id, 99);
	ledger_row_done(&r);
	/* the first one again: its token is taken by the same file */
	f.mtime_ns -= 5000000;
	ready(b, &f);
	newest_row(b, "a", &r);
	assert_int_equal(r.generation, 2);
	ledger_row_done(&r);
	/* replaced by one of equal size and time */
	f.ino = 8;
	ready(b, &f);
	newest_row(b, "a", &r);
	assert_int_equal(r.generation, 2); /* the one before it was never sent: no run can have its token */
	ledger_row_done(&r);
	/* where inodes tell nothing, it is the same */
	b->peer.inodes_stable = false;
	f.ino = 9;
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
	assert_int_equal(count(b, LEDGER_SUPERSEDED), 2);
}

/* A marker that counted for a version does not count for the next one, be it accepted or turned away. */
static void test_stale_marker(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_known known;

	f.marker_mtime_ns = 500;
	f.marker_ino = 3;
	ready(b, &f);
	assert_true(b->result.accepted);
	assert_false(b->result.stale);
	newest(b, "a", &known);
	assert_int_equal(known.marker.mtime_ns, 500);
	assert_int_equal(known.marker.ino, 3);
	ready(b, &f); /* told again: the same version */
	assert_false(b->result.stale);
	f.mtime_ns += 5000000;
	ready(b, &f);
	assert_true(b->result.stale);
	assert_false(b->result.accepted);
	f.rule = "types";
	rejected(b, &f);
	assert_true(b->result.stale);
	assert_false(b->result.rejected);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
	f.marker_ino = 4;
	rejected(b, &f);
	assert_false(b->result.stale);
	assert_true(b->result.rejected);
	newest(b, "a", &known);
	assert_int_equal(known.marker.ino, 4);
}

static void newest_sent(struct bench *b, const char *relpath)
{
	struct ledger_known known;

	newest(b, relpath, &known);
	assert_int_equal(ledger_mark_sent(b->ledger, known.id, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
}

/* What waits and was never sent gives way to a newer version; what may have been sent does not. */
static void test_superseded(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_known first;
	struct ledger_row r;

	ready(b, &f);
	newest(b, "a", &first);
	newest_sent(b, "a");
	f.size = 11;
	ready(b, &f);
	assert_int_equal(b->result.gone, 0);
	assert_int_equal(count(b, LEDGER_PENDING), 2);
	expect_no_event(b);
	f.size = 12;
	ready(b, &f);
	assert_int_equal(b->result.gone, 1);
	expect_event(b, "file.superseded", "\"size\":11");
	expect_no_event(b);
	assert_int_equal(count(b, LEDGER_PENDING), 2);
	assert_int_equal(count(b, LEDGER_SUPERSEDED), 1);
	assert_int_equal(ledger_row(b->ledger, first.id, &r, NULL), 1);
	assert_int_equal(r.state, LEDGER_PENDING);
	ledger_row_done(&r);
	/* a version that is turned away has replaced it, too */
	f.size = 0;
	f.rule = "min_size";
	f.detail = "it is empty";
	rejected(b, &f);
	assert_int_equal(b->result.gone, 1);
	expect_event(b, "file.superseded", "\"size\":12");
	expect_event(b, "file.rejected", "\"size\":0");
	assert_int_equal(count(b, LEDGER_PENDING), 1);
}

/* What is held of an older version gives way, too, and is no row that waited to be sent. */
static void test_superseded_while_held(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("c");

	use_watch(b, "braked");
	f.root = "/braked";
	for (int i = 0; i < 3; i++) {
		CLEANUP_FREE char *name = mem_printf("%c", 'a' + i);

		f.relpath = name;
		f.ino = 100 + i;
		ready(b, &f);
	}
	expect_event(b, "watch.held", "");
	assert_int_equal(count(b, LEDGER_HELD), 1);
	f.relpath = "c";
	f.size = 12;
	ready(b, &f);
	assert_int_equal(b->result.gone, 0);
	expect_event(b, "file.superseded", "\"size\":10");
	assert_int_equal(count(b, LEDGER_HELD), 1);
	assert_int_equal(count(b, LEDGER_SUPERSEDED), 1);
}

/* The file is under a name that is not known. Is it taken for row id, and what becomes of it then? */
static void moved(struct bench *b, enum wire_type type, const struct wire_file *f, int64_t id,
	enum wire_verdict verdict)
{
	b->m.as.file = *f;
	take(b, type);
	assert_int_equal(b->result.moved_row, id);
	assert_false(b->result.accepted || b->result.rejected);
	b->m.type = type;
	intake_result_done(&b->result);
	assert_int_equal(
		intake_take_moved(b->intake, &b->peer, &b->m, id, verdict, NOW, &b->result, &b->err), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
}

static int64_t newest_id(struct bench *b, const char *relpath)
{
	struct ledger_known known;

	newest(b, relpath, &known);
	return known.id;
}

static void test_moved_started(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_row r;
	int64_t id;

	ready(b, &f);
	id = newest_id(b, "a");
	assert_int_equal(ledger_set_started(b->ledger, id, 99, 1, "token", NOW, NULL), 0);
	f.relpath = "archive/a";
	moved(b, WIRE_READY, &f, id, WIRE_UNSURE); /* nothing happens */
	assert_int_equal(newest_id(b, "a"), id);
	moved(b, WIRE_READY, &f, id, WIRE_GONE);
	assert_false(b->result.accepted);
	assert_string_equal(b->result.text, "moved: a is now /drop/archive/a; it is known");
	assert_int_equal(newest_id(b, "archive/a"), id);
	assert_false(is_wanted(b, "archive/a", 10, 1000000, RULES_1));
	/* one that is put where it was, equal in all but the inode: its token is used up */
	f.relpath = "a";
	f.ino = 8;
	ready(b, &f);
	assert_true(b->result.accepted);
	newest_row(b, "a", &r);
	assert_int_equal(r.generation, 2);
	ledger_row_done(&r);
	/* a copy or a hard link is a file of its own */
	f.relpath = "link";
	f.ino = 7;
	moved(b, WIRE_READY, &f, id, WIRE_SAME);
	assert_true(b->result.accepted);
	/* where inodes tell nothing, nothing is moved */
	b->peer.inodes_stable = false;
	f.relpath = "other";
	ready(b, &f);
	assert_int_equal(b->result.moved_row, 0);
	assert_true(b->result.accepted);
}

/* An inode that is used again, for a file of equal size and time: its contents tell. */
static void test_moved_needs_the_same_contents(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");

	ready(b, &f);
	f.relpath = "b";
	f.ends = ENDS_B;
	ready(b, &f);
	assert_int_equal(b->result.moved_row, 0);
	assert_true(b->result.accepted);
	f.relpath = "c";
	f.ends = "";
	ready(b, &f);
	assert_int_equal(b->result.moved_row, 0);
	assert_true(b->result.accepted);
}

static void test_moved_while_it_waits(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	int64_t id;

	ready(b, &f);
	id = newest_id(b, "a");
	f.relpath = "b";
	moved(b, WIRE_READY, &f, id, WIRE_REPLACED);
	assert_true(b->result.accepted);
	assert_int_equal(b->result.gone, 1);
	expect_event(b, "file.superseded", "\"relpath\":\"a\"");
	assert_int_equal(count(b, LEDGER_PENDING), 1);
	/* one that may have been sent is answered first */
	newest_sent(b, "b");
	f.relpath = "c";
	id = newest_id(b, "b");
	moved(b, WIRE_READY, &f, id, WIRE_GONE);
	assert_false(b->result.accepted);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
	assert_int_equal(ledger_set_started(b->ledger, id, 99, 1, "token", NOW, NULL), 0);
	moved(b, WIRE_READY, &f, id, WIRE_GONE);
	assert_int_equal(newest_id(b, "c"), id);
	expect_no_event(b);
}

static void test_moved_rejected_and_held(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_row r;
	int64_t id;

	f.rule = "types";
	f.detail = "no";
	rejected(b, &f);
	expect_event(b, "file.rejected", "");
	id = newest_id(b, "a");
	f.relpath = "b";
	moved(b, WIRE_REJECTED, &f, id, WIRE_SWAPPED);
	assert_int_equal(newest_id(b, "b"), id);
	assert_false(is_wanted(b, "b", 10, 1000000, RULES_1));
	expect_no_event(b);
	/* by other rules it passes now: as without the move */
	f.relpath = "c";
	f.rule = f.detail = "";
	f.rules_hash = RULES_2;
	moved(b, WIRE_READY, &f, id, WIRE_GONE);
	newest_row(b, "c", &r);
	assert_int_equal(r.state, LEDGER_HELD);
	assert_string_equal(r.reason, "rules_changed");
	ledger_row_done(&r);
	/* held ones stay so, with a request that names the new path */
	f.relpath = "d";
	moved(b, WIRE_READY, &f, id, WIRE_GONE);
	newest_row(b, "d", &r);
	assert_int_equal(r.state, LEDGER_HELD);
	assert_string_equal(r.reason, "rules_changed");
	assert_string_equal(r.uri, "/Volumes/in/d");
	ledger_row_done(&r);
	assert_int_equal(count(b, LEDGER_HELD), 1);
}

static void test_brake(void **state)
{
	static const char *const names[] = {"a", "b"};
	struct bench *b = *state;
	struct wire_file f = file_of("");
	struct ledger_row r;

	use_watch(b, "braked");
	f.root = "/braked";
	for (int i = 0; i < 2; i++) {
		f.relpath = names[i];
		f.ino++;
		ready(b, &f);
		assert_true(b->result.accepted);
		intake_committed(b->intake);
	}
	assert_int_equal(intake_due_us(b->intake), INT64_MAX);
	f.relpath = "c";
	f.ino++;
	for (int i = 0; i < 2; i++) { /* once more after the transaction was given up */
		b->m.as.file = f;
		assert_int_equal(try_take(b, WIRE_READY), 0);
		assert_false(b->result.accepted);
		if (i == 0) {
			ledger_rollback(b->ledger);
			intake_undo(b->intake);
		}
	}
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	assert_non_null(strstr(b->result.text, "brickwatch release --watch braked"));
	expect_event(b, "watch.held", "more than 2 files in 1 h");
	newest_row(b, "c", &r);
	assert_int_equal(r.state, LEDGER_HELD);
	assert_int_equal(strlen(r.token), TOKEN_BYTES - 1);
	ledger_row_done(&r);
	f.relpath = "d";
	f.ino++;
	ready(b, &f);
	assert_int_equal(count(b, LEDGER_HELD), 2);
	assert_null(b->result.text);
	expect_no_event(b);
	assert_true(intake_due_us(b->intake) < INT64_MAX);
	assert_int_equal(intake_apply(b->intake, NOW, NULL), 0);
	expect_no_event(b); /* not over yet */
	/* another dispatcher knows */
	intake_free(b->intake);
	b->intake = intake_new(b->conf, b->ledger, NULL, &b->scribe, false);
	f.relpath = "e";
	f.ino++;
	ready(b, &f);
	assert_int_equal(count(b, LEDGER_HELD), 3);
	expect_event(b, "watch.held", "");
	/* other watches go on */
	use_watch(b, "orders");
	f.root = "/drop";
	ready(b, &f);
	assert_true(b->result.accepted);
}

/* Back and forth between two versions: a token that no run can have is used again, and each event of it has
 * an id of its own. */
static void test_back_and_forth(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	char first_token[TOKEN_BYTES], id[EVENT_ID_BYTES];
	struct ledger_row r;

	ready(b, &f);
	newest_row(b, "a", &r);
	memcpy(first_token, r.token, sizeof(first_token));
	ledger_row_done(&r);
	f.size = 11;
	ready(b, &f);
	event_id_make(first_token, EVENT_FILE_SUPERSEDED, 1, id);
	expect_event(b, "file.superseded", id);
	f.size = 10;
	ready(b, &f);
	expect_event(b, "file.superseded", "\"size\":11");
	newest_row(b, "a", &r);
	assert_int_equal(r.state, LEDGER_PENDING);
	assert_int_equal(r.generation, 1);
	assert_string_equal(r.token, first_token);
	ledger_row_done(&r);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
	f.size = 11;
	ready(b, &f);
	event_id_make(first_token, EVENT_FILE_SUPERSEDED, 2, id);
	expect_event(b, "file.superseded", id);
	/* once it may have been sent, its token is used up */
	newest_sent(b, "a");
	f.size = 10;
	ready(b, &f);
	newest_sent(b, "a");
	f.size = 11;
	ready(b, &f);
	newest_row(b, "a", &r);
	assert_int_equal(r.generation, 2);
	ledger_row_done(&r);
}

static void test_found_again(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_row before, after;

	ready(b, &f);
	newest_row(b, "a", &before);
	assert_int_equal(
		ledger_set_state(b->ledger, before.id, LEDGER_VANISHED, "gone", "it is gone", "", NOW, NULL),
		0);
	assert_true(is_wanted(b, "a", 10, 1000000, RULES_1));
	f.by_listing = 1;
	ready(b, &f);
	assert_true(b->result.accepted);
	newest_row(b, "a", &after);
	assert_int_equal(after.id, before.id);
	assert_int_equal(after.state, LEDGER_PENDING);
	assert_string_equal(after.token, before.token);
	assert_int_equal(after.revived, 1);
	ledger_row_done(&before);
	ledger_row_done(&after);
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_1));
	ready(b, &f);
	assert_false(b->result.accepted);
}

/* A listing shows another time: the ends decide, and the answer is remembered. */
static void test_time_moved(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_row r;

	ready(b, &f);
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_1));
	assert_true(is_wanted(b, "a", 10, 9000000, RULES_1));
	f.by_listing = 1;
	f.mtime_ns = 9000000;
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_false(is_wanted(b, "a", 10, 9000000, RULES_1));
	newest_row(b, "a", &r);
	assert_int_equal(r.version.mtime_ns, 1000000); /* what the token was made of */
	ledger_row_done(&r);
	f.mtime_ns = 8000000;
	f.ends = ENDS_B;
	ready(b, &f);
	assert_true(b->result.accepted);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
	/* without a digest nobody can say */
	f.mtime_ns = 7000000;
	f.ends = "";
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_int_equal(count(b, LEDGER_HELD), 1);
}

static void test_time_moved_without_ends(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");

	use_watch(b, "notes");
	f.root = "/notes";
	f.ends = "";
	ready(b, &f);
	assert_true(is_wanted(b, "a", 10, 9000000, RULES_1));
	f.by_listing = 1;
	f.mtime_ns = 9000000;
	ready(b, &f);
	assert_true(b->result.accepted);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
}

static void test_same_remote_file(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_row r;

	ready(b, &f);
	f.root = "/drop2"; /* the same remote path by path_map */
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_true(b->result.failed);
	assert_non_null(strstr(b->result.text, "/drop2/a: same_remote_file"));
	assert_int_equal(count(b, LEDGER_FAILED), 1);
	expect_event(b, "start.failed", "\"reason\":\"same_remote_file\",\"http_status\":null");
	newest_row(b, "a", &r);
	assert_int_equal(r.state, LEDGER_PENDING); /* the first one is as it was */
	ledger_row_done(&r);
	ready(b, &f);
	assert_false(b->result.failed); /* and it is said once */
	expect_no_event(b);
}

static void test_renamed_watch(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_key key = {.watch = "orders", .relpath = "a"};
	struct ledger_known known;

	ready(b, &f);
	assert_int_equal(ledger_root(b->ledger, "/drop", false, &key.root_id, NULL), 1);
	assert_int_equal(ledger_move_key(b->ledger, &key, "sales", NULL), 0); /* no longer configured */
	ready(b, &f);
	assert_true(b->result.accepted && b->result.again); /* the line of this watch has it now */
	newest(b, "a", &known);				    /* of orders */
	assert_int_equal(count(b, LEDGER_PENDING), 1);
	assert_int_equal(count(b, LEDGER_FAILED), 0);
}

/* The file was started under a watch that is not configured any more, with another job. */
static void known_elsewhere(struct bench *b, const struct wire_file *f, enum ledger_state state, bool sent)
{
	struct ledger_new v = {
		.key = {.watch = "sales", .relpath = f->relpath},
		.version = {.size = f->size,
			.mtime_ns = f->mtime_ns,
			.ino = (uint64_t)f->ino,
			.ends = ENDS_A},
		.mime = "",
		.evidence = "",
		.first_seen_us = NOW - 9,
		.completed_us = NOW - 9,
		.state = state,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = "",
		.generation = 1,
		.workspace = "",
		.host = "adb.example",
		.job_id = 1,
		.uri = "/x",
		.now_us = NOW - 9,
	};
	int64_t id;

	assert_int_equal(ledger_root(b->ledger, "/drop", true, &v.key.root_id, NULL), 1);
	assert_int_equal(ledger_insert(b->ledger, &v, &id, NULL), 0);
	if (sent)
		assert_int_equal(ledger_mark_sent(b->ledger, id, NULL), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
}

static void newest_is(struct bench *b, const char *relpath, enum ledger_state state, const char *reason)
{
	struct ledger_known known;

	newest(b, relpath, &known);
	assert_int_equal(known.state, state);
	assert_string_equal(known.reason, reason);
}

static void scanned(struct bench *b);

/* A listing finds it: held at once, looked at for what it needs to be released, and told of. */
static void test_known_before_by_a_listing(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");

	f.by_listing = 1;
	known_elsewhere(b, &f, LEDGER_STARTED, true);
	assert_true(is_wanted(b, "a", 10, 1000000, RULES_1));
	newest_is(b, "a", LEDGER_HELD, INTAKE_KNOWN_BEFORE);
	scanned(b);
	expect_event(b, "watch.held", "brickwatch release --watch orders");
	expect_event(b, "watch.ready", "");
	ready(b, &f);
	assert_false(b->result.accepted);
	newest_is(b, "a", LEDGER_HELD, INTAKE_KNOWN_BEFORE);
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_1));
	scanned(b);
	expect_no_event(b); /* that was said */
	assert_int_equal(count(b, LEDGER_HELD), 1);
	assert_int_equal(count(b, LEDGER_STARTED), 1);
}

/* A person has released it before it was looked at: it is started when it is. */
static void test_known_before_and_released(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_known known;

	f.by_listing = 1;
	known_elsewhere(b, &f, LEDGER_HELD, false);
	assert_true(is_wanted(b, "a", 10, 1000000, RULES_1));
	newest(b, "a", &known);
	assert_int_equal(ledger_set_state(b->ledger, known.id, LEDGER_HELD, INTAKE_RELEASED, "",
				 LEDGER_RULES_LOOK, NOW, NULL),
		0);
	assert_true(is_wanted(b, "a", 10, 1000000, RULES_1));
	ready(b, &f);
	assert_true(b->result.accepted);
	newest_is(b, "a", LEDGER_PENDING, "");
	expect_event(b, "file.superseded", "\"watch\":\"sales\""); /* what waited there goes nowhere */
	assert_int_equal(count(b, LEDGER_HELD), 0);
}

static void test_known_before_by_an_event(void **state)
{
	static const struct {
		enum ledger_state state;
		bool sent, held;
		int64_t superseded;
	} cases[] = {
		{LEDGER_STARTED, true, true, 0},
		{LEDGER_PENDING, true, true, 0},
		{LEDGER_HELD, false, true, 1},
		{LEDGER_REJECTED, false, true, 0},
		{LEDGER_FAILED, false, true, 0},
		{LEDGER_DROPPED, false, true, 0},
		{LEDGER_SKIPPED, false, true, 0},
		{LEDGER_VANISHED, false, false, 0}, /* no run, and nobody has decided anything */
		{LEDGER_SUPERSEDED, false, false, 1},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t superseded = count(b, LEDGER_SUPERSEDED);
		CLEANUP_FREE char *name = mem_printf("file-%zu", i);
		struct wire_file f = file_of(name);

		f.ino = (int64_t)(100 + i);
		known_elsewhere(b, &f, cases[i].state, cases[i].sent);
		ready(b, &f);
		assert_int_equal(b->result.accepted, !cases[i].held);
		newest_is(b, name, cases[i].held ? LEDGER_HELD : LEDGER_PENDING,
			cases[i].held ? INTAKE_KNOWN_BEFORE : "");
		assert_int_equal(count(b, LEDGER_SUPERSEDED), superseded + cases[i].superseded);
		/* written anew it is new, and what was held of it is nothing any more */
		f.size = 11;
		ready(b, &f);
		assert_true(b->result.accepted);
		newest_is(b, name, LEDGER_PENDING, "");
	}
	assert_int_equal(count(b, LEDGER_PENDING), (int64_t)ARRAY_SIZE(cases) + 1);
}

static void test_request_that_cannot_be(void **state)
{
	struct bench *b = *state;
	CLEANUP_FREE char *name = mem_alloc(3600);
	struct wire_file f = file_of(name);
	struct ledger_row r;

	memset(name, 'x', 3500);
	use_watch(b, "notes"); /* its four copies are more than 10,000 bytes */
	f.root = "/notes";
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_true(b->result.failed);
	newest_row(b, name, &r);
	assert_int_equal(r.state, LEDGER_FAILED);
	assert_int_equal(strlen(r.token), 64);
	ledger_row_done(&r);
	expect_event(b, "start.failed", "\"reason\":\"parameters_too_long\"");
	ready(b, &f);
	expect_no_event(b);
}

/* ---- rejecting ---- */

static void test_rejected(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");

	f.rule = "min_size";
	f.detail = "0 bytes,\nless than 1";
	rejected(b, &f);
	assert_true(b->result.rejected);
	assert_string_equal(b->result.text, "rejected: /drop/a: 0 bytes,\\nless than 1 (min_size)");
	expect_event(b, "file.rejected", "\"rule\":\"min_size\"");
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_1));
	rejected(b, &f);
	assert_false(b->result.rejected);
	expect_no_event(b);
	/* other rules: asked again, and turned away again without a word */
	assert_true(is_wanted(b, "a", 10, 1000000, RULES_2));
	f.rules_hash = RULES_2;
	f.rule = "types";
	rejected(b, &f);
	expect_no_event(b);
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_2));
	assert_int_equal(count(b, LEDGER_REJECTED), 1);
	/* it passes now: held, never started by surprise */
	f.rules_hash = RULES_1;
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_non_null(strstr(b->result.text, "held"));
	assert_int_equal(count(b, LEDGER_HELD), 1);
	assert_int_equal(count(b, LEDGER_PENDING), 0);
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_2));
	/* a new version of it is a version like any other */
	f.mtime_ns++;
	ready(b, &f);
	assert_true(b->result.accepted);
}

static void test_rejected_without_events(void **state)
{
	struct bench *b = bench_new(NULL, false, false);
	struct wire_file f = file_of("a");

	(void)state;
	f.rule = "types";
	rejected(b, &f);
	assert_true(b->result.rejected);
	expect_no_event(b);
	bench_free(b);
}

static void test_dead_letter_by_rule(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("\xff\xfe");
	struct ledger_row r;

	f.rule = "name_not_utf8";
	f.detail = "the name is not UTF-8";
	f.dead_letter = 1;
	rejected(b, &f);
	assert_true(b->result.failed);
	assert_string_equal(b->result.text, "dead letter: /drop/\\xff\\xfe: name_not_utf8 (the name is not "
					    "UTF-8), job 42; give the file another name; or "
					    "encode it in a parameter that the job decodes");
	expect_event(b, "start.failed", "\"path_base64\":\"L2Ryb3Av//4=\"");
	newest_row(b, "\xff\xfe", &r);
	assert_int_equal(r.state, LEDGER_FAILED);
	assert_string_equal(r.token, "");
	ledger_row_done(&r);
	assert_false(is_wanted(b, "\xff\xfe", 10, 1000000, RULES_2));
}

/* ---- listings ---- */

static void test_many_candidates(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("known-0");

	for (int i = 0; i < 20; i += 3) {
		char name[32];

		snprintf(name, sizeof(name), "known-%d", i);
		f.relpath = name;
		f.ino = 100 + i;
		ready(b, &f);
	}
	candidates_begin(b, "/drop", RULES_1);
	for (int i = 0; i < 20; i++) {
		char name[32];

		snprintf(name, sizeof(name), "known-%d", i);
		candidate(b, name, 10, 1000000);
	}
	assert_int_equal(candidates_try(b), 0);
	assert_int_equal(b->result.bits.len, 3);
	for (int i = 0; i < 20; i++)
		assert_int_equal(b->result.bits.data[i / 8] >> (i % 8) & 1, i % 3 != 0);
	candidates_begin(b, "/drop2", RULES_1); /* the same names in another directory */
	candidate(b, "known-0", 10, 1000000);
	assert_int_equal(candidates_try(b), 0);
	assert_int_equal(b->result.bits.data[0], 1);
	candidates_begin(b, "/drop", RULES_1);
	assert_int_equal(candidates_try(b), 0); /* none is an answer too */
	assert_int_equal(b->result.bits.len, 0);
}

static void test_existing_files_are_skipped(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("late");

	use_watch(b, "skipping");
	f.root = "/old";
	f.ino = 100;
	assert_false(is_wanted(b, "was-there", 10, 1000000, RULES_1));
	assert_int_equal(count(b, LEDGER_SKIPPED), 1);
	/* files that announce themselves run meanwhile */
	ready(b, &f);
	assert_true(b->result.accepted);
	/* a listing cut short closes nothing, and what the next one finds may have come meanwhile */
	b->m.as.scanned = (struct wire_scanned){.pass = 1, .complete = 0, .why = "start"};
	take(b, WIRE_SCANNED);
	assert_true(is_wanted(b, "was-there-too", 10, 1000000, RULES_1));
	assert_int_equal(count(b, LEDGER_HELD), 1);
	b->m.as.scanned = (struct wire_scanned){.pass = 2, .complete = 1, .why = "start"};
	take(b, WIRE_SCANNED);
	expect_event(b, "watch.held", "brickwatch release --watch skipping");
	expect_event(b, "watch.ready", "");
	assert_true(is_wanted(b, "new", 10, 1000000, RULES_1));
	assert_false(is_wanted(b, "was-there", 10, 1000000, RULES_1));
	assert_int_equal(count(b, LEDGER_SKIPPED), 1);
	/* a new version of a skipped file */
	assert_true(is_wanted(b, "was-there", 11, 1000000, RULES_1));
	/* touched only, found by a listing: nobody knows */
	f.relpath = "was-there";
	f.by_listing = 1;
	f.mtime_ns = 2000000;
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_int_equal(count(b, LEDGER_HELD), 2);
	/* a baseline is never begun again */
	intake_undo(b->intake);
	assert_true(is_wanted(b, "newer", 10, 1000000, RULES_1));
}

static void scanned(struct bench *b)
{
	b->m.as.scanned = (struct wire_scanned){.pass = 1,
		.directories = 2,
		.files = 3,
		.unsettled = 1,
		.took_us = 9500,
		.complete = 1,
		.why = "start"};
	take(b, WIRE_SCANNED);
}

/* What is held is looked at, too, so that it can be released, or turned away. */
static void test_existing_files_are_held(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");
	struct ledger_row r;

	use_watch(b, "holding");
	f.root = "/held";
	f.by_listing = 1;
	assert_true(is_wanted(b, "a", 10, 1000000, RULES_1));
	assert_true(is_wanted(b, "b", 10, 1000000, RULES_1));
	assert_true(is_wanted(b, "c", 10, 1000000, RULES_1));
	assert_true(is_wanted(b, "a", 10, 1000000, RULES_1)); /* not looked at yet */
	assert_int_equal(count(b, LEDGER_HELD), 3);
	scanned(b);
	expect_event(b, "watch.held", "\"count\":3");
	expect_event(b, "watch.ready", "");
	f.first_seen_us = NOW + 1;
	f.completed_us = NOW + 2;
	ready(b, &f);
	assert_false(b->result.accepted);
	newest_row(b, "a", &r);
	assert_int_equal(r.state, LEDGER_HELD);
	assert_int_equal(strlen(r.token), TOKEN_BYTES - 1);
	ledger_row_done(&r);
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_1));
	f.relpath = "b";
	f.rule = "types";
	f.detail = "no";
	rejected(b, &f);
	assert_int_equal(count(b, LEDGER_REJECTED), 1);
	assert_int_equal(count(b, LEDGER_HELD), 2);
	/* an event after that time is no news about the file */
	f.relpath = "c";
	f.by_listing = 0;
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_int_equal(count(b, LEDGER_HELD), 2);
}

/* A listing and an event see the same new file: the listing is asked about first. */
static void test_announced_in_the_first_listing(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");

	use_watch(b, "skipping");
	f.root = "/old";
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_1));
	assert_false(is_wanted(b, "b", 10, 1000000, RULES_1));
	scanned(b);
	ready(b, &f); /* noticed before the listing was through */
	assert_true(b->result.accepted);
	assert_int_equal(count(b, LEDGER_SKIPPED), 1);
	f.relpath = "b";
	f.first_seen_us = NOW + 1;
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_int_equal(count(b, LEDGER_SKIPPED), 1);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
}

static void hello(struct bench *b, const char *types, size_t len)
{
	b->m.as.hello = (struct wire_hello){.method = "inotify",
		.file_system = "ext4",
		.inodes_stable = 1,
		.limits = "",
		.types = types,
		.types_len = len};
	take(b, WIRE_HELLO);
}
#define HELLO(b, types) hello(b, types, sizeof(types))

/* Who has begun and was killed goes on, but not as if nothing had happened. */
static void test_baseline_after_a_crash(void **state)
{
	struct bench *b = *state;

	use_watch(b, "skipping");
	HELLO(b, "ext4");
	assert_false(is_wanted(b, "a", 10, 1000000, RULES_1));
	use_watch(b, "skipping");
	HELLO(b, "ext4"); /* another watcher */
	assert_true(is_wanted(b, "b", 10, 1000000, RULES_1));
	assert_int_equal(count(b, LEDGER_SKIPPED), 1);
	assert_int_equal(count(b, LEDGER_HELD), 1);
	intake_free(b->intake); /* another dispatcher */
	b->intake = intake_new(b->conf, b->ledger, NULL, &b->scribe, false);
	use_watch(b, "skipping");
	HELLO(b, "ext4");
	assert_true(is_wanted(b, "c", 10, 1000000, RULES_1));
	assert_int_equal(count(b, LEDGER_HELD), 2);
}

static bool wanted_in(struct bench *b, const char *root, const char *relpath)
{
	candidates_begin(b, root, RULES_1);
	candidate(b, relpath, 10, 1000000);
	assert_int_equal(candidates_try(b), 0);
	assert_int_equal(ledger_commit(b->ledger, NULL), 0);
	return b->result.bits.data[0] & 1;
}

static void test_missing_mount(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("x");
	size_t n = 9;

	use_watch(b, "two");
	/* at the first boot the mount points are empty: nothing is known, so their type means nothing */
	HELLO(b, "ext4\0ext4");
	scanned(b);
	expect_event(b, "watch.ready", "");
	HELLO(b, "nfs\0ext4");
	assert_false(wanted_in(b, "/one", "old")); /* a baseline of its own */
	/* only what was listed to its end is closed */
	b->m.as.scanned = (struct wire_scanned){.complete = 0, .roots = "\1", .roots_len = 2, .why = "back"};
	take(b, WIRE_SCANNED);
	assert_true(wanted_in(b, "/one", "new"));
	expect_no_event(b);
	/* the next boot, without the mount */
	use_watch(b, "two");
	HELLO(b, "ext4\0ext4");
	assert_true(b->result.lost);
	expect_event(b, "watch.lost", "it was nfs, now ext4");
	assert_false(wanted_in(b, "/one", "local"));
	assert_true(wanted_in(b, "/other", "file")); /* the other directory goes on */
	f.root = "/one";
	ready(b, &f);
	assert_false(b->result.accepted);
	scanned(b);
	assert_false(b->result.announced);
	assert_int_equal(count(b, LEDGER_SKIPPED), 1);
	expect_no_event(b);
	/* a reload, with the same watcher, which does not say hello again */
	struct intake *next = intake_new(b->conf, b->ledger, NULL, &b->scribe, false);

	intake_carry(next, b->intake);
	intake_free(b->intake);
	b->intake = next;
	assert_false(wanted_in(b, "/one", "local"));
	assert_int_equal(count(b, LEDGER_SKIPPED), 1);
	/* it is back */
	HELLO(b, "nfs\0ext4");
	expect_no_event(b);
	assert_true(wanted_in(b, "/one", "new"));
	scanned(b);
	expect_event(b, "watch.ready", "");
	/* gone again, and meant */
	HELLO(b, "ext4\0ext4");
	expect_event(b, "watch.lost", "");
	assert_int_equal(intake_accept_mount(b->intake, b->peer.watch, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_true(wanted_in(b, "/one", "local"));
	scanned(b);
	expect_event(b, "watch.ready", "");
	HELLO(b, "nfs\0ext4");
	expect_event(b, "watch.lost", "it was ext4, now nfs");
}

#define MOUNTED "0123456789abcdef /mnt/disk"
#define BARE "fedcba9876543210 /"
#define BOUND "0123456789abcdef /mnt/disk/in"

static void hello_at(struct bench *b, const char *place)
{
	b->m.as.hello = (struct wire_hello){.method = "inotify",
		.file_system = "ext4",
		.inodes_stable = 1,
		.limits = "",
		.types = "ext4",
		.types_len = sizeof("ext4"),
		.places = place,
		.places_len = strlen(place) + 1};
	take(b, WIRE_HELLO);
}

/* A disk whose mount point is on a file system of its type. */
static void test_missing_disk(void **state)
{
	struct bench *b = *state;
	bool suspended;
	size_t n;

	/* the first boot: it is mounted after its mount point was listed */
	use_watch(b, "skipping");
	hello_at(b, BARE);
	scanned(b);
	expect_event(b, "watch.ready", "");
	use_watch(b, "skipping");
	hello_at(b, MOUNTED);
	assert_false(wanted_in(b, "/old", "old")); /* a baseline of its own */
	assert_int_equal(count(b, LEDGER_SKIPPED), 1);
	scanned(b);
	expect_event(b, "watch.ready", "");
	assert_true(wanted_in(b, "/old", "new"));
	/* the next boot, without it */
	use_watch(b, "skipping");
	hello_at(b, BARE);
	assert_true(b->result.lost);
	assert_true(b->result.no_mount);
	expect_event(b, "watch.lost", "it was on the mount /mnt/disk, now on /");
	assert_false(wanted_in(b, "/old", "local"));
	assert_int_equal(intake_is_suspended(b->intake, b->peer.watch, 0, &suspended, NULL), 0);
	assert_true(suspended);
	/* said once, whoever watches */
	use_watch(b, "skipping");
	hello_at(b, BARE);
	assert_true(b->result.lost);
	expect_no_event(b);
	/* it is back, and then bound to its own place, which means nothing */
	hello_at(b, MOUNTED);
	assert_false(b->result.lost);
	assert_true(wanted_in(b, "/old", "new"));
	hello_at(b, BOUND);
	assert_false(b->result.lost);
	assert_true(wanted_in(b, "/old", "new"));
	assert_int_equal(intake_is_suspended(b->intake, b->peer.watch, 0, &suspended, NULL), 0);
	assert_false(suspended);
	/* a place that is not told, or is none, neither */
	hello_at(b, "");
	assert_false(b->result.lost);
	hello_at(b, "nonsense");
	assert_false(b->result.lost);
	expect_no_event(b);
	/* gone again, and meant */
	hello_at(b, BARE);
	expect_event(b, "watch.lost", "");
	assert_int_equal(intake_accept_mount(b->intake, b->peer.watch, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_true(wanted_in(b, "/old", "local"));
	hello_at(b, MOUNTED);
	expect_event(b, "watch.lost", "it was on the mount /, now on /mnt/disk");
}

/* ---- the watch ---- */

static void test_watch_events(void **state)
{
	struct bench *b = *state;

	b->m.as.hello = (struct wire_hello){.method = "inotify",
		.file_system = "xfs",
		.inodes_stable = 0,
		.pid = 1,
		.limits = "no lease"};
	take(b, WIRE_HELLO);
	assert_false(b->peer.inodes_stable);
	scanned(b);
	assert_true(b->result.announced);
	expect_event(b, "watch.ready",
		"\"method\":\"inotify\",\"file_system\":\"xfs\",\"detail\":\"no "
		"lease\",\"directories\":2,\"files\":3,"
		"\"unsettled\":1,\"took_ms\":9");
	scanned(b);
	assert_false(b->result.announced);
	expect_no_event(b);
	b->m.as.trouble =
		(struct wire_trouble){.kind = "overflow", .path = "/drop", .detail = "too much", .count = 3};
	take(b, WIRE_TROUBLE);
	expect_event(b, "watch.overflow", "\"detail\":\"too much\",\"count\":3");
	b->m.as.trouble =
		(struct wire_trouble){.kind = "watch_limit", .path = "/drop", .detail = "", .count = 0};
	take(b, WIRE_TROUBLE);
	expect_event(b, "watch.degraded", "\"detail\":\"\"}");
	b->m.as.trouble =
		(struct wire_trouble){.kind = "io", .path = "/drop/x\ny", .detail = "EIO", .count = 0};
	take(b, WIRE_TROUBLE);
	assert_string_equal(b->result.text, "watch orders: /drop/x\\ny: EIO");
	expect_no_event(b);
	b->m.as.trouble =
		(struct wire_trouble){.kind = "lost", .path = "/drop", .detail = "gone", .count = 0};
	take(b, WIRE_TROUBLE);
	assert_true(b->result.lost);
	expect_event(b, "watch.lost", "\"detail\":\"gone\"");
	take(b, WIRE_TROUBLE); /* of the next watcher */
	assert_true(b->result.lost);
	expect_no_event(b);
	b->m.as.trouble =
		(struct wire_trouble){.kind = "back", .path = "/drop", .detail = "there", .count = 0};
	take(b, WIRE_TROUBLE);
	expect_no_event(b);
	scanned(b);
	expect_event(b, "watch.ready", "");
	b->m.as.trouble =
		(struct wire_trouble){.kind = "lost", .path = "/drop", .detail = "gone", .count = 0};
	take(b, WIRE_TROUBLE);
	expect_event(b, "watch.lost", "");
	b->m.as.trouble =
		(struct wire_trouble){.kind = "away", .path = "/drop/m", .detail = "unmounted", .count = 0};
	take(b, WIRE_TROUBLE);
	expect_event(b, "watch.degraded", "/drop/m: unmounted");
}

static void test_waiting_and_counts(void **state)
{
	struct bench *b = *state;

	b->m.as.waiting = (struct wire_waiting){
		.root = "/drop", .relpath = "a", .waiting_for = "its writer", .since_us = NOW - 5, .gone = 0};
	take(b, WIRE_WAITING);
	expect_event(
		b, "file.waiting", "\"path\":\"/drop/a\",\"relpath\":\"a\",\"waiting_for\":\"its writer\"");
	b->m.as.waiting.gone = 1;
	take(b, WIRE_WAITING);
	expect_event(b, "file.vanished", "\"path\":\"/drop/a\"");
	b->m.as.counts = (struct wire_counts){.done = 1};
	take(b, WIRE_COUNTS);
	assert_true(b->result.counted && b->result.is_done);
	b->m.as.counts = (struct wire_counts){.done = 0};
	take(b, WIRE_COUNTS);
	assert_true(b->result.counted && !b->result.is_done);
}

/* ---- faults of a watcher ---- */

static void test_faults(void **state)
{
	static const struct {
		const char *words;
		const char *root, *relpath, *ends, *rules_hash, *mime;
		int64_t size, completed_us;
	} rows[] = {
		{"directory that is not watched", "/etc", "a", "", RULES_1, "", 1, NOW},
		{"directory that is not watched", "/drop/", "a", "", RULES_1, "", 1, NOW},
		{"path that cannot be", "/drop", "", "", RULES_1, "", 1, NOW},
		{"path that cannot be", "/drop", "/etc/passwd", "", RULES_1, "", 1, NOW},
		{"path that cannot be", "/drop", "../etc/passwd", "", RULES_1, "", 1, NOW},
		{"path that cannot be", "/drop", "a/../../b", "", RULES_1, "", 1, NOW},
		{"path that cannot be", "/drop", "a//b", "", RULES_1, "", 1, NOW},
		{"path that cannot be", "/drop", "a/", "", RULES_1, "", 1, NOW},
		{"path that cannot be", "/drop", "./a", "", RULES_1, "", 1, NOW},
		{"negative size", "/drop", "a", "", RULES_1, "", -1, NOW},
		{"digest that is none", "/drop", "a", "abc", RULES_1, "", 1, NOW},
		{"rules hash that is none", "/drop", "a", "", "x", "", 1, NOW},
		{"type that cannot be", "/drop", "a", "", RULES_1, "\xff", 1, NOW},
		{"time that cannot be", "/drop", "a", "", RULES_1, "", 1, -1},
		{"time that cannot be", "/drop", "a", "", RULES_1, "", 1, INT64_MAX},
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_file f = file_of(rows[i].relpath);

		f.root = rows[i].root;
		f.ends = rows[i].ends;
		f.rules_hash = rows[i].rules_hash;
		f.mime = rows[i].mime;
		f.size = rows[i].size;
		f.completed_us = rows[i].completed_us;
		b->m.as.file = f;
		assert_int_equal(try_take(b, WIRE_READY), 1);
		if (!strstr(b->err.text, rows[i].words))
			fail_msg("row %zu: %s", i, b->err.text);
		assert_int_equal(try_take(b, WIRE_REJECTED), 1);
	}
	assert_int_equal(count(b, LEDGER_PENDING), 0);
	assert_int_equal(try_take(b, WIRE_CONFIGURE), 1);
	assert_int_equal(try_take(b, WIRE_WANTED), 1);
}

static void test_faulty_candidates(void **state)
{
	struct bench *b = *state;

	candidates_begin(b, "/etc", RULES_1);
	assert_int_equal(candidates_try(b), 1);
	candidates_begin(b, "/drop", "zz");
	assert_int_equal(candidates_try(b), 1);
	candidates_begin(b, "/drop", RULES_1);
	candidate(b, "../x", 1, 1);
	assert_int_equal(candidates_try(b), 1);
	candidates_begin(b, "/drop", RULES_1);
	candidate(b, "x", -5, 1);
	assert_int_equal(candidates_try(b), 1);
	candidates_begin(b, "/drop", RULES_1);
	candidate(b, "x", 5, 1);
	buf_truncate(&b->items, b->items.len - 1);
	assert_int_equal(candidates_try(b), 1);
	candidates_begin(b, "/drop", RULES_1);
	for (int i = 0; i <= WIRE_CANDIDATES_MAX; i++)
		candidate(b, "x", 5, 1);
	assert_int_equal(candidates_try(b), 1);
}

/* ---- a transaction that is given up ---- */

static void test_undo(void **state)
{
	struct bench *b = *state;
	struct wire_file f = file_of("a");

	b->m.as.file = f;
	assert_int_equal(try_take(b, WIRE_READY), 0);
	b->m.as.scanned = (struct wire_scanned){.complete = 1, .why = "start"};
	assert_int_equal(try_take(b, WIRE_SCANNED), 0);
	assert_true(b->result.announced);
	ledger_rollback(b->ledger);
	intake_undo(b->intake);
	b->peer.announced = false;
	assert_int_equal(count(b, LEDGER_PENDING), 0);
	ready(b, &f);
	assert_true(b->result.accepted);
	scanned(b);
	expect_event(b, "watch.ready", "");
	expect_no_event(b);
	assert_int_equal(count(b, LEDGER_PENDING), 1);
}

/* ---- dry runs ---- */

static void test_dry_run(void **state)
{
	struct bench *real = *state;
	struct wire_file f = file_of("known");
	struct bench *b;

	ready(real, &f);
	f.relpath = "done";
	f.ino = 77;
	ready(real, &f);
	assert_int_equal(
		ledger_set_started(real->ledger, newest_id(real, "done"), 99, 1, "token", NOW, NULL), 0);
	assert_int_equal(ledger_commit(real->ledger, NULL), 0);
	b = bench_new(real->ledger, true, true);
	f.relpath = "archive/done";
	ready(b, &f);
	assert_false(b->result.accepted);
	assert_string_equal(b->result.text,
		"would not start /drop/archive/done: it is done, moved (unless that is there, too)");
	ready(b, &f); /* said once */
	assert_null(b->result.text);
	f = file_of("known");
	assert_false(is_wanted(b, "known", 10, 1000000, RULES_1));
	assert_true(is_wanted(b, "x\ny", 10, 1000000, RULES_1));
	ready(b, &f);
	assert_null(b->result.text);
	f.relpath = "x\ny";
	ready(b, &f);
	assert_true(b->result.text_is_plain);
	assert_string_equal(b->result.text,
		"would start job 42 (orders) /drop/x\\ny -> /Volumes/in/x\\ny  type text/csv");
	ready(b, &f); /* and is known from now on */
	assert_null(b->result.text);
	f.relpath = "z";
	f.rule = "types";
	f.detail = "text/csv is not wanted";
	rejected(b, &f);
	assert_string_equal(b->result.text, "would reject /drop/z: text/csv is not wanted");
	expect_no_event(b);
	assert_int_equal(count(real, LEDGER_PENDING), 1);
	assert_int_equal(count(real, LEDGER_REJECTED), 0);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_new_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_new_version, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stale_marker, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_brake, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_started, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_needs_the_same_contents, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_while_it_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_rejected_and_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_superseded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_superseded_while_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_back_and_forth, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_found_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time_moved, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time_moved_without_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same_remote_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_renamed_watch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_known_before_by_a_listing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_known_before_and_released, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_known_before_by_an_event, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_request_that_cannot_be, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rejected, set_up, tear_down),
		cmocka_unit_test(test_rejected_without_events),
		cmocka_unit_test_setup_teardown(test_dead_letter_by_rule, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_candidates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_existing_files_are_skipped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_existing_files_are_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_announced_in_the_first_listing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_baseline_after_a_crash, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_mount, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_missing_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watch_events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_waiting_and_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_faulty_candidates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_undo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_dry_run, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
