#include "core/event.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"
#include "base/mem.h"

#define TOKEN "a22401002a571f660b8359b2be8a2ede3bd87c8f1188f0bc935b4b3da0654793"
#define NOW INT64_C(1767323045123456) /* 2026-01-02T03:04:05.123456Z */

static const struct event_head head = {
	.time_us = NOW, .id = "0123456789abcdef0123456789abcdef", .host = "h1", .watch = "orders"};

#define HEAD(type)                                                                                           \
	"{\"time\":\"2026-01-02T03:04:05.123456Z\",\"type\":\"" type                                         \
	"\",\"id\":\"0123456789abcdef0123456789abcdef\",\"host\":\"h1\",\"watch\":\"orders\","

static const struct event_file file = {
	.root = "/srv/drop",
	.relpath = "a/b.csv",
	.uri = "/Volumes/raw/a/b.csv",
	.size = 2048,
	.mtime_ns = INT64_C(1767323045000000001),
	.owner = 1000,
	.ends = "00ff",
	.mime = "text/csv",
	.first_seen_us = NOW - 2000000,
	.completed_us = NOW - 1000000,
};

#define FILE_FIELDS                                                                                          \
	"\"path\":\"/srv/drop/a/b.csv\",\"relpath\":\"a/b.csv\",\"uri\":\"/Volumes/raw/a/"                   \
	"b.csv\",\"size\":2048,"                                                                             \
	"\"mtime\":\"2026-01-02T03:04:05.000000001Z\",\"ends\":\"00ff\",\"owner\":1000,\"mime\":\"text/"     \
	"csv\","                                                                                             \
	"\"first_seen\":\"2026-01-02T03:04:03.123456Z\",\"completed\":\"2026-01-02T03:04:04.123456Z\","

static const struct event_run run = {
	.workspace = "prod",
	.job_id = INT64_MAX,
	.run_id = INT64_C(9007199254740993), /* a double cannot hold it */
	.token = TOKEN,
	.generation = 2,
	.attempts = 3,
	.latency_ms = 1000,
	.principal = "token",
};

static void check_line(const struct buf *b, const char *expected)
{
	struct err err = ERR_INIT;
	struct json *j = json_parse(buf_str(b), b->len, &err);

	assert_string_equal(buf_str(b), expected);
	assert_non_null(j);
	json_free(j);
}

static void test_run_started(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);
	struct event_run second = run;

	(void)state;
	assert_int_equal(event_run_started(&b, &head, &file, &run, NULL), 0);
	check_line(&b, HEAD("run.started") FILE_FIELDS
		"\"workspace\":\"prod\",\"job_id\":9223372036854775807,\"run_id\":9007199254740993,\"token\":"
		"\"" TOKEN "\","
		"\"generation\":2,\"attempts\":3,\"latency_ms\":1000,\"principal\":\"token\","
		"\"header\":{\"sdc.event.type\":\"AppSubmittedEvent\",\"sdc.event.version\":\"1\","
		"\"sdc.event.creation_timestamp\":\"1767323045123\"},\"app_id\":\"9007199254740993\"}\n");
	second.previous_run_id = 17;
	assert_int_equal(event_run_started(&b, &head, &file, &second, NULL), 0);
	assert_non_null(strstr(buf_str(&b), "\"principal\":\"token\",\"previous_run_id\":17,\"header\""));
}

static void test_start(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);
	struct event_failure x = {.reason = "bad_request",
		.http_status = 400,
		.error_code = "INVALID_PARAMETER_VALUE",
		.message = "no \"such\" thing\n",
		.attempts = 1,
		.next_attempt_us = NOW + 500000,
		.workspace = "prod",
		.job_id = INT64_C(9223372036854775807)};

	(void)state;
	assert_int_equal(event_start(&b, EVENT_START_FAILED, &head, &file, &x, NULL), 0);
	check_line(&b, HEAD("start.failed") FILE_FIELDS
		"\"reason\":\"bad_request\",\"http_status\":400,\"error_code\":\"INVALID_PARAMETER_VALUE\","
		"\"message\":\"no \\\"such\\\" thing\\n\",\"attempts\":1,\"workspace\":\"prod\",\"job_id\":"
		"9223372036854775807,\"advice\":\"mend the parameters of the watch, then `brickwatch "
		"rerun`\"}\n");
	x = (struct event_failure){.reason = "no_answer",
		.error_code = "",
		.message = "",
		.attempts = 2,
		.next_attempt_us = NOW + 500000};
	assert_int_equal(event_start(&b, EVENT_START_RETRYING, &head, &file, &x, NULL), 0);
	check_line(&b,
		HEAD("start.retrying") FILE_FIELDS "\"reason\":\"no_answer\",\"http_status\":null,\"error_"
						   "code\":null,\"message\":\"\",\"attempts\":2,"
						   "\"next_attempt\":\"2026-01-02T03:04:05.623456Z\"}\n");
}

static void test_file(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);
	struct event_file sparse = {
		.root = "/", .relpath = "x", .uri = "", .size = -1, .ends = "", .mime = ""};

	(void)state;
	assert_int_equal(event_file_rejected(&b, &head, &file, "min_size", "0 bytes", NULL), 0);
	check_line(&b, HEAD("file.rejected") FILE_FIELDS "\"rule\":\"min_size\",\"detail\":\"0 bytes\"}\n");
	assert_int_equal(
		event_file_waiting(&b, EVENT_FILE_WAITING, &head, &sparse, "its close", NOW, NULL), 0);
	check_line(&b, HEAD("file.waiting") "\"path\":\"/x\",\"relpath\":\"x\",\"waiting_for\":\"its close\","
					    "\"since\":\"2026-01-02T03:04:05.123456Z\"}\n");
	assert_int_equal(
		event_file_waiting(&b, EVENT_FILE_VANISHED, &head, &sparse, "its close", NOW, NULL), 0);
	check_line(&b,
		HEAD("file.vanished") "\"path\":\"/x\",\"relpath\":\"x\",\"waiting_for\":\"its close\","
				      "\"since\":\"2026-01-02T03:04:05.123456Z\"}\n");
}

static void test_watch(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);
	struct event_watch x = {.method = "inotify",
		.file_system = "ext4",
		.detail = "",
		.count = -1,
		.scanned = true,
		.directories = 2,
		.files = 3,
		.unsettled = 1,
		.took_ms = 9};

	(void)state;
	assert_int_equal(event_watch(&b, EVENT_WATCH_READY, &head, &x, NULL), 0);
	check_line(&b, HEAD("watch.ready") "\"method\":\"inotify\",\"file_system\":\"ext4\",\"detail\":\"\","
					   "\"directories\":2,"
					   "\"files\":3,\"unsettled\":1,\"took_ms\":9}\n");
	x.scanned = false;
	x.count = 5;
	x.detail = "why";
	assert_int_equal(event_watch(&b, EVENT_WATCH_OVERFLOW, &head, &x, NULL), 0);
	check_line(&b, HEAD("watch.overflow") "\"method\":\"inotify\",\"file_system\":\"ext4\",\"detail\":"
					      "\"why\",\"count\":5}\n");
}

static void test_service(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);
	struct event_head h = {.time_us = NOW, .id = "ab", .host = "h1", .watch = NULL};
	struct event_service x = {.version = "1.0",
		.configuration = "cafe",
		.watches = 2,
		.pending = 3,
		.started = 4,
		.failed = 5,
		.rejected = 6};

	(void)state;
	assert_int_equal(event_service(&b, EVENT_SERVICE_STARTED, &h, &x, NULL), 0);
	check_line(&b, "{\"time\":\"2026-01-02T03:04:05.123456Z\",\"type\":\"service.started\",\"id\":\"ab\","
		       "\"host\":\"h1\","
		       "\"watch\":null,\"version\":\"1.0\",\"configuration\":\"cafe\",\"watches\":2,"
		       "\"pending\":3}\n");
	assert_int_equal(event_service(&b, EVENT_SERVICE_STOPPED, &h, &x, NULL), 0);
	assert_non_null(strstr(buf_str(&b), "\"pending\":3,\"started\":4,\"failed\":5,\"rejected\":6}\n"));
}

static void test_skipped(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);

	(void)state;
	assert_int_equal(event_run_skipped(&b, &head, &file, &run, "MAX_CONCURRENT_RUNS_EXCEEDED", NULL), 0);
	check_line(&b, HEAD("run.skipped") FILE_FIELDS
		"\"workspace\":\"prod\",\"job_id\":9223372036854775807,\"run_id\":9007199254740993,\"token\":"
		"\"" TOKEN "\","
		"\"generation\":2,\"attempts\":3,\"latency_ms\":1000,\"principal\":\"token\","
		"\"reason\":\"MAX_CONCURRENT_RUNS_EXCEEDED\"}\n");
}

static void test_place(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);
	struct event_place x = {.workspace = "prod", .detail = "name not found"};

	(void)state;
	assert_int_equal(event_place(&b, EVENT_WORKSPACE_SUSPENDED, &head, &x, NULL), 0);
	check_line(&b, HEAD("workspace.suspended") "\"workspace\":\"prod\",\"detail\":\"name not found\"}\n");
	x.job_id = INT64_MAX;
	assert_int_equal(event_place(&b, EVENT_JOB_RESUMED, &head, &x, NULL), 0);
	check_line(&b, HEAD("job.resumed") "\"workspace\":\"prod\",\"job_id\":9223372036854775807,"
					   "\"detail\":\"name not found\"}\n");
}

static void test_action(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);
	struct event_action x = {
		.verb = "release", .arguments = "--watch orders", .user = "anna", .reason = "", .count = 3};

	(void)state;
	assert_int_equal(event_action(&b, &head, &x, NULL), 0);
	check_line(&b, HEAD("operator.action") "\"verb\":\"release\",\"arguments\":\"--watch orders\","
					       "\"user\":\"anna\",\"reason\":null,\"count\":3}\n");
	x.reason = "why";
	x.count = -1;
	assert_int_equal(event_action(&b, &head, &x, NULL), 0);
	assert_non_null(strstr(buf_str(&b), "\"user\":\"anna\",\"reason\":\"why\"}\n"));
}

/* Any byte string as a name: one line, valid JSON, the true bytes beside what can be shown. */
static void test_hostile_names(void **state)
{
	static const struct {
		const char *relpath, *shown, *base64;
	} rows[] = {
		{"x\ny", "\"/d/x\\ny\"", NULL},
		{"x\"\\", "\"/d/x\\\"\\\\\"", NULL},
		{"\x1b[31m", "\"/d/\\u001b[31m\"", NULL},
		{"\xc3\xa9", "\"/d/\xc3\xa9\"", NULL},
		{"\xff\xfe/x", "\"/d/\xef\xbf\xbd\xef\xbf\xbd/x\"", "L2Qv//4veA=="},
		{"-rf", "\"/d/-rf\"", NULL},
	};
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct event_file f = file;
		struct json *j;

		f.root = "/d";
		f.relpath = f.uri = rows[i].relpath;
		assert_int_equal(event_file_rejected(&b, &head, &f, "types", "", NULL), 0);
		assert_ptr_equal(memchr(buf_str(&b), '\n', b.len), buf_str(&b) + b.len - 1);
		assert_non_null(strstr(buf_str(&b), rows[i].shown));
		j = json_parse(buf_str(&b), b.len, NULL);
		assert_non_null(j);
		if (rows[i].base64)
			assert_string_equal(json_get_text(j, "path_base64"), rows[i].base64);
		else
			assert_null(json_get(j, "path_base64"));
		json_free(j);
	}
}

/* The longest path there is, every byte of it escaped at length, fits; what does not fit is an error and no
 * half line. */
static void test_ceiling(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EVENT_LINE_BYTES);
	CLEANUP_BUF struct buf small = BUF_INIT(300);
	CLEANUP_FREE char *path = mem_alloc(4096);
	struct event_file f = file;
	struct err err = ERR_INIT;

	(void)state;
	memset(path, 1, 4095);
	f.relpath = f.uri = f.root = path;
	assert_int_equal(event_run_started(&b, &head, &f, &run, NULL), 0);
	assert_int_equal(event_run_started(&small, &head, &file, &run, &err), -ENOBUFS);
	assert_int_equal(err.class, ERR_LIMIT);
	assert_int_equal(event_service(&small, EVENT_SERVICE_STARTED, &head,
				 &(struct event_service){.version = "1", .configuration = ""}, &err),
		0); /* usable again */
}

static void test_ids(void **state)
{
	static const uint8_t random[16] = {0, 1, 2, 0xfe, 0xff, 16};
	char id[EVENT_ID_BYTES];

	(void)state;
	event_id_make(TOKEN, EVENT_RUN_STARTED, 1, id);
	assert_string_equal(id, "c7182762bd98e56683b85cd1bb71bca6");
	event_id_make(TOKEN, EVENT_START_RETRYING, 3, id);
	assert_string_equal(id, "5213fecf6cff715b2689904bfe61cc94");
	event_id_make(TOKEN, EVENT_START_FAILED, 1, id);
	assert_string_equal(id, "b316e2322bf81775e1e84e640d0a315e");
	event_id_random(random, id);
	assert_string_equal(id, "000102feff1000000000000000000000");
}

static void test_names(void **state)
{
	static const char *const fit[] = {"run.started", "run.*", "*", "file.[vw]*", NULL};
	static const char *const none[] = {"", "run", "run.?", "started", "nonsense", NULL};
	struct err err = ERR_INIT;

	(void)state;
	assert_string_equal(event_type_name(EVENT_RUN_STARTED), "run.started");
	assert_string_equal(event_type_name(EVENT_WATCH_DEGRADED), "watch.degraded");
	assert_string_equal(event_type_name(EVENT_WATCH_STALLED), "watch.stalled");
	assert_string_equal(event_type_name(EVENT_SERVICE_STOPPED), "service.stopped");
	for (const char *const *it = fit; *it; it++)
		assert_int_equal(event_check_pattern(*it, &err), 0);
	for (const char *const *it = none; *it; it++) {
		assert_true(event_check_pattern(*it, &err) < 0);
		assert_non_null(strstr(err.text, "there are run.started, "));
		assert_non_null(strstr(err.text, ", service.stopped")); /* all of them have room */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_started),
		cmocka_unit_test(test_start),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_skipped),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_action),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
