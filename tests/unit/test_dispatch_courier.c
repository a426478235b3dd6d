/* dispatch/courier with a way that the test answers for. */
#include "dispatch/courier.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/conf_notify.h"
#include "dispatch/notices.h"
#include "dispatch/queries.h"
#include "patience.h"

/* ---- a way ---- */

static struct {
	int made, sends;
	bool cannot; /* send() fails */
	bool mended; /* make() of "bad", too, works */
	char id[EVENT_ID_BYTES], type[32], watch[CONF_NAME_BYTES];
	char *line, *text;
	int64_t events;
	courier_answer_fn fn;
	void *arg;
} way;

static void *fake_make(const struct courier_way_options *o, struct err *err)
{
	if (strcmp(o->conf->name, "bad") == 0 && !way.mended) {
		(void)err_set(err, ERR_CONF, EINVAL, "its key is missing");
		return NULL;
	}
	way.made++;
	return &way;
}

static void fake_free(void *object)
{
	way.made -= object != NULL;
	way.fn = NULL;
}

static int fake_send(
	void *object, const struct courier_parcel *p, courier_answer_fn fn, void *arg, struct err *err)
{
	assert_ptr_equal(object, &way);
	assert_null(way.fn); /* one at a time */
	way.sends++;
	if (way.cannot)
		return err_set(err, ERR_SYSTEM, EIO, "it cannot begin");
	(void)snprintf(way.id, sizeof(way.id), "%s", p->id);
	(void)snprintf(way.type, sizeof(way.type), "%s", p->type);
	(void)snprintf(way.watch, sizeof(way.watch), "%s", p->watch);
	free(way.line);
	free(way.text);
	way.line = mem_strndup(p->line, p->line_len);
	assert_int_equal(strlen(p->line), p->line_len);
	way.text = p->text ? mem_strdup(p->text) : NULL;
	way.events = p->events;
	way.fn = fn;
	way.arg = arg;
	return 0;
}

static const char *fake_place(const void *object)
{
	(void)object;
	return "nowhere.example";
}

static const struct courier_way fake = {"fake", fake_make, fake_free, fake_send, fake_place};

static void answer(enum courier_verdict verdict)
{
	const struct courier_answer a = {.verdict = verdict, .words = "not today"};
	courier_answer_fn fn = way.fn;

	assert_non_null(fn);
	way.fn = NULL;
	fn(&a, way.arg);
}

/* ---- a dispatcher ---- */

struct place {
	struct loop *loop;
	struct conf *conf;
	struct ledger *ledger;
	struct scribe scribe;
	struct couriers *couriers;
	int64_t added;
};

static void start(struct place *p, bool once)
{
	const struct couriers_options o = {.loop = p->loop,
		.conf = p->conf,
		.ledger = p->ledger,
		.scribe = &p->scribe,
		.once = once,
		.way = &fake};

	p->couriers = couriers_new(&o);
}

static int set_up(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));
	struct conf_mistakes m = {.n = 0};
	struct err err = ERR_INIT;

	log_init("test", LOG_LEVEL_ERROR, false);
	memset(&way, 0, sizeof(way));
	p->loop = loop_new(&err);
	p->conf = conf_new();
	conf_set(p->conf, "notify:ops", "on", "*", "f", 1, &m);
	conf_set(p->conf, "notify:ops", "webhook", "https://x.example/", "f", 2, &m);
	conf_set(p->conf, "notify:ops", "digest", "3/1h", "f", 3, &m);
	conf_resolve(p->conf);
	assert_int_equal(ledger_open_memory(&p->ledger, &err), 0);
	scribe_init(&p->scribe, p->ledger, false);
	scribe_set_consumers(&p->scribe, p->conf);
	start(p, false);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	couriers_free(p->couriers);
	assert_int_equal(way.made, 0);
	scribe_done(&p->scribe);
	ledger_close(p->ledger);
	conf_free(p->conf);
	loop_free(p->loop);
	free(way.line);
	free(way.text);
	free(p);
	return 0;
}

static void add(struct place *p, int n)
{
	const struct event_watch x = {.method = "", .file_system = "", .detail = "", .count = -1};

	for (int i = 0; i < n; i++)
		assert_int_equal(
			scribe_watch(&p->scribe, EVENT_WATCH_LOST, "orders", &x, ++p->added * US_PER_S, NULL),
			0);
}

/* The transaction of a round; what was added in it counts. */
static void round_(struct place *p)
{
	struct err err = ERR_INIT;

	if (couriers_apply(p->couriers, &err) < 0 || ledger_commit(p->ledger, &err) < 0)
		fail_msg("%s", err.text);
	couriers_committed(p->couriers);
}

/* Rounds until it was sent once more: a back-off is at most a second at first. */
static void wait_send(struct place *p, int sends)
{
	for (int64_t end_us = clock_mono_us() + 30 * US_PER_S; way.sends < sends;) {
		assert_true(clock_mono_us() < end_us);
		assert_int_equal(loop_run_once(p->loop, 100 * US_PER_MS, NULL), 0);
		if (couriers_have_work(p->couriers))
			round_(p);
	}
}

static struct courier_view view(const struct place *p)
{
	struct courier_view v;

	assert_true(couriers_view(p->couriers, 0, &v));
	assert_false(couriers_view(p->couriers, 1, &v));
	assert_true(couriers_view(p->couriers, 0, &v));
	return v;
}

/* The last event of this type in the outbox, or NULL. */
static struct json *find_event(struct place *p, const char *type)
{
	CLEANUP_BUF struct buf line = BUF_INIT(EVENT_LINE_BYTES);
	struct json *found = NULL;
	int64_t seq = 0;

	while (ledger_outbox_next(p->ledger, seq, &seq, &line, NULL) > 0) {
		struct json *j = json_parse(buf_str(&line), line.len, NULL);

		if (strcmp(json_get_text(j, "type"), type) != 0) {
			json_free(j);
			continue;
		}
		json_free(found);
		found = j;
	}
	return found;
}

/* ---- tests ---- */

static void test_one_after_the_other(void **state)
{
	struct place *p = *state;

	add(p, 2);
	round_(p); /* in the commit of the events */
	assert_int_equal(way.sends, 1);
	assert_string_equal(way.type, "watch.lost");
	assert_string_equal(way.watch, "orders");
	assert_non_null(strstr(way.line, "\"time\":\"1970-01-01T00:00:01.000000Z\""));
	assert_non_null(strstr(way.line, way.id));
	assert_true(couriers_are_busy(p->couriers));
	round_(p); /* its answer is to come */
	assert_int_equal(way.sends, 1);
	assert_int_equal(view(p).waiting, 2);
	answer(COURIER_DELIVERED);
	assert_true(couriers_have_work(p->couriers));
	round_(p);
	assert_int_equal(way.sends, 2);
	assert_non_null(strstr(way.line, "00:00:02"));
	answer(COURIER_DELIVERED);
	round_(p);
	assert_false(couriers_have_work(p->couriers));
	assert_false(couriers_are_busy(p->couriers));
	assert_int_equal(view(p).waiting, 0);
	assert_int_equal(view(p).oldest_us, 0);
	assert_int_equal(view(p).delivered, 2);
	assert_int_equal(way.sends, 2);
}

/* A transaction that fails is made again from the same answer; nothing goes out meanwhile. */
static void test_undo(void **state)
{
	struct place *p = *state;

	add(p, 1);
	assert_int_equal(ledger_commit(p->ledger, NULL), 0);
	assert_int_equal(couriers_apply(p->couriers, NULL), 0);
	ledger_rollback(p->ledger);
	couriers_undo(p->couriers);
	assert_int_equal(way.sends, 0);
	round_(p);
	assert_int_equal(way.sends, 1);
	answer(COURIER_DELIVERED);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(couriers_apply(p->couriers, NULL), 0);
		ledger_rollback(p->ledger);
		couriers_undo(p->couriers);
	}
	assert_int_equal(view(p).delivered, 0);
	round_(p);
	assert_int_equal(view(p).delivered, 1);
}

static void test_tried_again(void **state)
{
	struct place *p = *state;
	char id[EVENT_ID_BYTES];

	add(p, 1);
	round_(p);
	memcpy(id, way.id, sizeof(id));
	answer(COURIER_AGAIN);
	round_(p);
	assert_int_equal(view(p).attempts, 1);
	assert_string_equal(view(p).why, "not today");
	assert_true(view(p).fails_since_us > 0);
	add(p, 1); /* does not cut the back-off short, nor get before the first */
	way.cannot = true;
	wait_send(p, 2);
	way.cannot = false;
	round_(p);
	assert_int_equal(view(p).attempts, 2);
	assert_string_equal(view(p).why, "it cannot begin");
	wait_send(p, 3);
	assert_string_equal(way.id, id);
	answer(COURIER_DELIVERED);
	round_(p);
	assert_null(view(p).why);
	assert_int_equal(view(p).fails_since_us, 0);
	assert_non_null(strstr(way.line, "00:00:02"));
}

/* Of the next process; it knows what was on its way, and sends just that once more. */
static void test_goes_on_after_a_restart(void **state)
{
	struct place *p = *state;
	CLEANUP_FREE char *line = NULL;
	char id[EVENT_ID_BYTES];

	add(p, 4); /* more than three: a digest */
	round_(p);
	assert_string_equal(way.type, "notify.digest");
	assert_int_equal(way.events, 4);
	assert_non_null(strstr(way.text, "4  watch.lost of watch orders\n"));
	assert_string_equal(way.watch, "orders");
	memcpy(id, way.id, sizeof(id));
	line = mem_strdup(way.line);
	couriers_free(p->couriers);
	start(p, false);
	add(p, 5);
	round_(p);
	assert_string_equal(way.id, id);
	assert_string_equal(way.line, line);
	answer(COURIER_DELIVERED);
	round_(p);
	assert_int_equal(view(p).waiting, 5);
	assert_int_equal(way.events, 5);
}

static void test_gathers(void **state)
{
	struct place *p = *state;

	add(p, 4);
	round_(p);
	answer(COURIER_DELIVERED);
	round_(p);
	add(p, 2); /* the hour is not over */
	round_(p);
	assert_int_equal(way.sends, 1);
	assert_false(couriers_are_busy(p->couriers));
	assert_int_equal(view(p).waiting, 2);
}

/* Rows of a consumer that is not configured any more go, with an event. */
/* Names of files may be longer than a digest has room for: it goes without them, and nothing stands still. */
static void test_a_digest_of_long_names(void **state)
{
	struct place *p = *state;
	const struct notices_row r = {.id = "00000000000000000000000000000000",
		.type = "start.failed",
		.watch = "orders",
		.made_us = 1};
	CLEANUP_BUF struct buf line = BUF_INIT(64 * 1024);

	(void)buf_adds(&line, "{\"path\":\"");
	for (int i = 0; i < 4000; i++)
		(void)buf_adds(&line, "\xe2\x80\xae"); /* 12 bytes of text each */
	(void)buf_adds(&line, "\"}\n");
	for (int i = 0; i < 20; i++)
		assert_int_equal(notices_add(p->ledger, "ops", &r, buf_str(&line), line.len, NULL), 0);
	p->scribe.notices++;
	round_(p);
	assert_int_equal(way.sends, 1);
	assert_non_null(strstr(way.line, "\"paths\":[]"));
	assert_non_null(strstr(way.text, "20  start.failed of watch orders"));
	answer(COURIER_DELIVERED);
	round_(p);
	assert_int_equal(view(p).waiting, 0);
}

static void test_strangers(void **state)
{
	struct place *p = *state;
	const struct notices_row r = {.id = "00112233445566778899aabbccddeeff", .type = "run.started"};
	struct notices_consumer c;
	struct json *j;

	assert_int_equal(notices_add(p->ledger, "gone", &r, "{}\n", 3, NULL), 0);
	assert_int_equal(notices_add(p->ledger, "gone", &r, "{}\n", 3, NULL), 0);
	round_(p);
	assert_int_equal(notices_consumer(p->ledger, "gone", &c, NULL), 0);
	j = find_event(p, "notify.dropped");
	assert_non_null(j);
	assert_string_equal(json_get_text(j, "consumer"), "gone");
	assert_string_equal(json_get_text(j, "count"), "2");
	json_free(j);
	assert_int_equal(view(p).waiting, 0); /* nobody is told of that */
}

/* A damaged row does not hold up those behind it. */
static void test_damaged(void **state)
{
	struct place *p = *state;

	add(p, 2);
	assert_int_equal(db_exec(&p->ledger->db, "UPDATE notice SET line = 'x' WHERE seq = 1", NULL), 0);
	round_(p);
	for (int i = 0; i < 3 && way.sends == 0; i++)
		round_(p);
	assert_int_equal(way.sends, 1);
	assert_non_null(strstr(way.line, "00:00:02"));
	assert_int_equal(view(p).dropped, 1);
}

/* The oldest go when there are too many. */
static void test_bound(void **state)
{
	struct place *p = *state;
	struct json *j;

	if (patience_is_short())
		skip();
	add(p, 1);
	round_(p);
	add(p, NOTICE_WAITING_MAX + 20);
	round_(p); /* not while one is under way */
	assert_int_equal(view(p).waiting, NOTICE_WAITING_MAX + 21);
	answer(COURIER_AGAIN);
	round_(p);
	assert_int_equal(view(p).waiting, NOTICE_WAITING_MAX + 21 - 1000);
	assert_int_equal(view(p).dropped, 1000);
	j = find_event(p, "notify.dropped");
	assert_string_equal(json_get_text(j, "count"), "1000");
	assert_string_equal(json_get_text(j, "first_id"), way.id);
	json_free(j);
}

static void test_stop(void **state)
{
	struct place *p = *state;

	add(p, 2);
	round_(p);
	couriers_stop(p->couriers);
	answer(COURIER_DELIVERED);
	round_(p);
	assert_int_equal(way.sends, 1);
	assert_false(couriers_are_busy(p->couriers));
	assert_int_equal(view(p).waiting, 1);
	/* a scan takes out what it can before it ends */
	couriers_free(p->couriers);
	start(p, true);
	round_(p);
	couriers_stop(p->couriers);
	assert_true(couriers_are_busy(p->couriers));
	answer(COURIER_DELIVERED);
	round_(p);
	assert_int_equal(view(p).waiting, 0);
	assert_false(couriers_are_busy(p->couriers));
	/* … but does not wait for one that fails */
	add(p, 1);
	round_(p);
	answer(COURIER_AGAIN);
	round_(p);
	assert_false(couriers_are_busy(p->couriers));
}

static void test_cannot_be_made(void **state)
{
	struct place *p = *state;
	struct conf *conf = conf_new();
	struct conf_mistakes m = {.n = 0};
	struct couriers_options o = {
		.loop = p->loop, .conf = p->conf, .ledger = p->ledger, .scribe = &p->scribe, .way = &fake};
	struct couriers *couriers;
	struct courier_view v;
	struct err err = ERR_INIT;

	assert_int_equal(couriers_try(&o, &err), 0);
	assert_int_equal(way.made, 1); /* that of set_up() */
	conf_set(conf, "notify:ops", "on", "*", "f", 1, &m);
	conf_set(conf, "notify:bad", "on", "*", "f", 1, &m);
	o.conf = conf;
	assert_int_equal(couriers_try(&o, &err), -EINVAL);
	assert_int_equal(err.class, ERR_CONF);
	assert_int_equal(way.made, 1);
	/* the service goes on without: what waits for it is as for one that fails */
	couriers = couriers_new(&o);
	assert_int_equal(way.made, 2);
	assert_true(couriers_view(couriers, 1, &v));
	assert_string_equal(v.why, "its key is missing");
	assert_string_equal(v.place, "not set up");
	/* when it is there: no event is needed to see that */
	way.mended = true;
	assert_int_equal(couriers_apply(couriers, &err), 0);
	couriers_committed(couriers);
	assert_true(couriers_view(couriers, 1, &v));
	assert_null(v.why);
	assert_int_equal(v.fails_since_us, 0);
	assert_int_equal(way.made, 3);
	couriers_free(couriers);
	assert_int_equal(way.made, 1);
	ledger_rollback(p->ledger);
	conf_free(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_after_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_undo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tried_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_goes_on_after_a_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gathers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_digest_of_long_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strangers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bound, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cannot_be_made, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
