/*
 * metrics: everything is looked up in the moment of writing. Only the histograms are kept here, over reloads;
 * numbers of files are kept by the ledger (ledger_counts).
 */
#include "dispatch/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "core/metrics.h"

#define METRICS_BYTES (8u * 1024 * 1024)
#define METRICS_COUNT_ROWS 4096
#define METRICS_COUNT_PAUSE_US (5 * US_PER_MS) /* the rest of the service goes on between two stretches */
#define METRICS_WATCHES 1024		       /* histograms kept, over reloads that rename */

struct metrics {
	struct loop *loop;
	struct desk *desk;
	struct wire_page *page;
	char *path; /* NULL: nothing is written */
	struct loop_timer *write, *count;
	bool started, counted; /* counting the ledger */
	bool touched, failing, stopped;
	int64_t written_us;
	struct buf text, before;
	struct map *latencies; /* watch -> struct metrics_histogram */
};

/* ---- building ---- */

static void one(struct metrics *m, enum metrics_name name, int64_t value)
{
	metrics_begin(&m->text, name);
	metrics_add(&m->text, name, NULL, 0, value);
}

static void add_service(struct metrics *m)
{
	const struct metrics_label version = {"version", BW_VERSION};
	const struct desk *d = m->desk;
	struct sender_counts c = sender_counts(d->sender);
	struct err err = ERR_INIT;
	int64_t rows;

	metrics_begin(&m->text, METRICS_BUILD_INFO);
	metrics_add(&m->text, METRICS_BUILD_INFO, &version, 1, 1);
	one(m, METRICS_RUNNING, !m->stopped);
	metrics_begin(&m->text, METRICS_START);
	metrics_add_us(&m->text, METRICS_START, NULL, 0, d->started_us);
	one(m, METRICS_LEDGER_UP, d->ledger_trouble(m->desk) == NULL);
	one(m, METRICS_EVENT_LOG_UP, !outbox_is_failing(d->outbox));
	if (ledger_outbox_rows(d->ledger, &rows, &err) == 0)
		one(m, METRICS_OUTBOX, rows);
	one(m, METRICS_IN_FLIGHT, c.in_flight);
	one(m, METRICS_RUNS, c.started);
	one(m, METRICS_FAILED, c.failed);
}

static void add_files(const char *watch, enum ledger_state state, int64_t rows, int64_t last_us, void *arg)
{
	struct metrics *m = arg;
	const struct metrics_label labels[] = {{"watch", watch}, {"state", ledger_state_name(state)}};

	(void)last_us;
	metrics_add(&m->text, METRICS_FILES, labels, 2, rows);
}

struct newest {
	const char *watch;
	int64_t us;
};

static void find_newest(const char *watch, enum ledger_state state, int64_t rows, int64_t last_us, void *arg)
{
	struct newest *n = arg;

	(void)state;
	(void)rows;
	if (strcmp(watch, n->watch) == 0 && last_us > n->us)
		n->us = last_us;
}

static void add_counts(struct metrics *m)
{
	const struct conf *conf = m->desk->conf;
	size_t before = m->text.len;
	struct err err = ERR_INIT;

	if (!m->counted)
		return; /* half a number would be a wrong one */
	metrics_begin(&m->text, METRICS_FILES);
	if (ledger_counts_each(m->desk->ledger, add_files, m, &err) < 0) {
		buf_truncate(&m->text, before);
		return;
	}
	metrics_begin(&m->text, METRICS_LAST_FILE);
	for (size_t i = 0; i < conf->watches_n; i++) {
		struct newest n = {.watch = conf->watches[i]->name};
		const struct metrics_label label = {"watch", n.watch};

		if (ledger_counts_each(m->desk->ledger, find_newest, &n, &err) == 0 && n.us > 0)
			metrics_add_us(&m->text, METRICS_LAST_FILE, &label, 1, n.us);
	}
}

/* One metric of all watches. fn: false: this one has none. */
static void each_watch(struct metrics *m, enum metrics_name name,
	bool (*fn)(struct desk *d, size_t i, int64_t *ret), bool is_time)
{
	metrics_begin(&m->text, name);
	for (size_t i = 0; i < m->desk->conf->watches_n; i++) {
		const struct metrics_label label = {"watch", m->desk->conf->watches[i]->name};
		int64_t value;

		if (!fn(m->desk, i, &value))
			continue;
		if (is_time)
			metrics_add_us(&m->text, name, &label, 1, value);
		else
			metrics_add(&m->text, name, &label, 1, value);
	}
}

static bool unsettled_of(struct desk *d, size_t i, int64_t *ret)
{
	const struct wire_page *page = d->watch(d, i)->page;

	*ret = page ? __atomic_load_n(&page->unsettled, __ATOMIC_RELAXED) : 0;
	return page != NULL;
}

static bool listed_of(struct desk *d, size_t i, int64_t *ret)
{
	*ret = d->watch(d, i)->listed_us;
	return *ret > 0;
}

static bool is_up(struct desk *d, size_t i, int64_t *ret)
{
	CLEANUP_BUF struct buf stall = BUF_INIT(3 * WIRE_PATH_BYTES);
	int64_t stalled_us = desk_describe_stall(d->watch(d, i), &stall);

	*ret = strcmp(desk_state(d, i, stalled_us), "ready") == 0;
	return true;
}

static bool oldest_of(struct desk *d, size_t i, int64_t *ret)
{
	const char *watch = d->conf->watches[i]->name;
	struct sender_place p;
	struct err err = ERR_INIT;
	int64_t us;

	*ret = INT64_MAX;
	for (size_t k = 0; sender_place(d->sender, k, &p); k++)
		if (p.watch && strcmp(p.watch, watch) == 0 && p.pending > 0 &&
			ledger_oldest_pending(d->ledger, watch, p.host, &us, &err) > 0 && us < *ret)
			*ret = us;
	return *ret < INT64_MAX;
}

/* One metric of all places; of_watch: those of watches, else workspaces. fn: false: this one has none. */
static void each_place(struct metrics *m, enum metrics_name name, bool of_watch,
	bool (*fn)(const struct sender_place *p, int64_t *ret), bool is_time)
{
	struct sender_place p;

	metrics_begin(&m->text, name);
	for (size_t i = 0; sender_place(m->desk->sender, i, &p); i++) {
		const char *workspace = p.workspace && p.workspace[0] ? p.workspace : p.host;
		const struct metrics_label label = {
			of_watch ? "watch" : "workspace", of_watch ? p.watch : workspace};
		int64_t value;

		if ((p.watch != NULL) != of_watch || p.stranded || (of_watch && p.job_id == 0) ||
			!fn(&p, &value))
			continue;
		if (is_time)
			metrics_add_us(&m->text, name, &label, 1, value);
		else
			metrics_add(&m->text, name, &label, 1, value);
	}
}

static bool goes_on(const struct sender_place *p, int64_t *ret)
{
	*ret = !p->suspended;
	return true;
}

static bool is_paused(const struct sender_place *p, int64_t *ret)
{
	*ret = p->paused;
	return true;
}

static bool changed_of(const struct sender_place *p, int64_t *ret)
{
	*ret = p->sign_in.changed_us;
	return *ret > 0;
}

static bool expiry_of(const struct sender_place *p, int64_t *ret)
{
	*ret = p->sign_in.token_end_us;
	return p->sign_in.has_token && *ret > 0;
}

/* One metric of all consumers. fn: false: this one has none. */
static void each_consumer(struct metrics *m, enum metrics_name name,
	bool (*fn)(const struct courier_view *v, int64_t *ret), bool is_time)
{
	struct courier_view v;

	metrics_begin(&m->text, name);
	for (size_t i = 0; couriers_view(m->desk->couriers, i, &v); i++) {
		const struct metrics_label label = {"consumer", v.name};
		int64_t value;

		if (!fn(&v, &value))
			continue;
		if (is_time)
			metrics_add_us(&m->text, name, &label, 1, value);
		else
			metrics_add(&m->text, name, &label, 1, value);
	}
}

static bool takes_events(const struct courier_view *v, int64_t *ret)
{
	*ret = v->fails_since_us == 0;
	return true;
}

static bool waiting_for(const struct courier_view *v, int64_t *ret)
{
	*ret = v->waiting;
	return true;
}

static bool oldest_for(const struct courier_view *v, int64_t *ret)
{
	*ret = v->oldest_us;
	return *ret > 0;
}

static bool delivered_to(const struct courier_view *v, int64_t *ret)
{
	*ret = v->delivered;
	return true;
}

static bool dropped_for(const struct courier_view *v, int64_t *ret)
{
	*ret = v->dropped;
	return true;
}

static void add_latencies(struct metrics *m)
{
	static const struct metrics_histogram none;

	metrics_begin(&m->text, METRICS_LATENCY);
	for (size_t i = 0; i < m->desk->conf->watches_n; i++) {
		const char *watch = m->desk->conf->watches[i]->name;
		const struct metrics_label label = {"watch", watch};
		const struct metrics_histogram *h = map_get(m->latencies, watch, strlen(watch));

		metrics_add_histogram(&m->text, METRICS_LATENCY, &label, h ? h : &none);
	}
}

static void build(struct metrics *m)
{
	buf_reset(&m->text);
	add_service(m);
	add_counts(m);
	each_watch(m, METRICS_UNSETTLED, unsettled_of, false);
	each_watch(m, METRICS_OLDEST_PENDING, oldest_of, true);
	each_watch(m, METRICS_LAST_LISTING, listed_of, true);
	each_watch(m, METRICS_WATCH_UP, is_up, false);
	each_place(m, METRICS_WATCH_PAUSED, true, is_paused, false);
	each_place(m, METRICS_WORKSPACE_UP, false, goes_on, false);
	each_place(m, METRICS_JOB_UP, true, goes_on, false);
	each_place(m, METRICS_CREDENTIAL, false, changed_of, true);
	each_place(m, METRICS_TOKEN_EXPIRY, false, expiry_of, true);
	each_consumer(m, METRICS_CONSUMER_UP, takes_events, false);
	each_consumer(m, METRICS_CONSUMER_EVENTS, waiting_for, false);
	each_consumer(m, METRICS_CONSUMER_OLDEST, oldest_for, true);
	each_consumer(m, METRICS_CONSUMER_DELIVERED, delivered_to, false);
	each_consumer(m, METRICS_CONSUMER_DROPPED, dropped_for, false);
	add_latencies(m);
}

/* ---- writing ---- */

/* The unit lets the service write to its own folders only. */
static void add_way_out(struct err *err)
{
	size_t len = strlen(err->text);

	if (err->code == EROFS || err->code == EACCES || err->code == EPERM)
		(void)snprintf(err->text + len, sizeof(err->text) - len,
			" (brickwatch check --print-dropin prints the ReadWritePaths= that the unit needs "
			"for it)");
}

static void write_file(struct metrics *m)
{
	struct err err = ERR_INIT;
	struct buf swap;
	int rc;

	m->touched = false;
	m->written_us = clock_mono_us();
	build(m);
	if (m->text.len == m->before.len && memcmp(buf_str(&m->text), buf_str(&m->before), m->text.len) == 0)
		return;
	wire_page_enter(m->page, "write", m->path);
	rc = m->text.failed ? err_set(&err, ERR_LIMIT, EFBIG, "%s would be too long", m->path)
			    : fs_swap_file(m->path, buf_str(&m->text), m->text.len, 0644, &err);
	wire_page_leave(m->page);
	if (rc < 0)
		add_way_out(&err);
	if (rc < 0 && !m->failing)
		log_warning("%s; trying again when something changes", err.text);
	m->failing = rc < 0;
	(void)snprintf(
		m->desk->metrics_trouble, sizeof(m->desk->metrics_trouble), "%s", rc < 0 ? err.text : "");
	if (rc < 0)
		return;
	swap = m->before;
	m->before = m->text;
	m->text = swap;
}

static void on_write(struct loop_timer *t, void *arg)
{
	(void)t;
	write_file(arg);
}

static void on_count(struct loop_timer *t, void *arg)
{
	struct metrics *m = arg;
	struct err err = ERR_INIT;
	int rc = m->started ? 0 : ledger_counts_start(m->desk->ledger, &err);

	m->started = true;
	if (rc == 0)
		rc = ledger_counts_step(m->desk->ledger, METRICS_COUNT_ROWS, &err);
	if (rc < 0)
		log_warning("%s; the metrics lack the numbers of files", err.text);
	m->counted = rc > 0;
	if (rc > 0)
		metrics_touch(m);
	else if (rc == 0)
		loop_timer_set(t, clock_mono_us() + METRICS_COUNT_PAUSE_US);
}

/* ---- life ---- */

/* A file that is not written any more would tell for ever what was true once. */
static void remove_old(const struct metrics *m, const char *path)
{
	if (m->path && (!path || strcmp(m->path, path) != 0))
		(void)unlink(m->path);
}

static void take_path(struct metrics *m)
{
	const char *path = m->desk->conf->service.metrics_file;

	remove_old(m, path);
	free(m->path);
	m->path = path ? mem_strdup(path) : NULL;
	buf_reset(&m->before);
	m->failing = false;
	m->desk->metrics_trouble[0] = '\0';
	if (m->path && !m->started)
		loop_timer_set(m->count, clock_mono_us());
}

struct metrics *metrics_new(struct loop *loop, struct desk *desk, struct wire_page *page)
{
	struct metrics *m = mem_alloc(sizeof(*m));

	m->loop = loop;
	m->desk = desk;
	m->page = page;
	m->write = loop_timer_add(loop, on_write, m);
	m->count = loop_timer_add(loop, on_count, m);
	m->written_us = INT64_MIN / 2;
	buf_init(&m->text, METRICS_BYTES);
	buf_init(&m->before, METRICS_BYTES);
	m->latencies = map_new();
	take_path(m);
	return m;
}

static bool free_latency(const void *key, size_t key_len, void *value, void *arg)
{
	(void)key;
	(void)key_len;
	(void)arg;
	free(value);
	return true;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	map_each(m->latencies, free_latency, NULL);
	map_free(m->latencies);
	loop_timer_remove(m->write);
	loop_timer_remove(m->count);
	buf_done(&m->text);
	buf_done(&m->before);
	free(m->path);
	free(m);
}

void metrics_touch(struct metrics *m)
{
	int64_t now_us = clock_mono_us();

	if (!m || !m->path || m->touched || m->stopped)
		return;
	m->touched = true;
	loop_timer_set(m->write,
		m->written_us + METRICS_EVERY_US > now_us ? m->written_us + METRICS_EVERY_US : now_us);
}

void metrics_started(struct metrics *m, const char *watch, int64_t latency_us)
{
	struct metrics_histogram *h = m ? map_get(m->latencies, watch, strlen(watch)) : NULL;

	if (!m || (!h && map_count(m->latencies) >= METRICS_WATCHES))
		return;
	if (!h) {
		h = mem_alloc(sizeof(*h));
		(void)map_put(m->latencies, watch, strlen(watch), h);
	}
	metrics_observe(h, latency_us);
}

void metrics_reloaded(struct metrics *m)
{
	if (!m)
		return;
	take_path(m);
	metrics_touch(m);
}

void metrics_leave(struct metrics *m, const char *next)
{
	if (!m)
		return;
	remove_old(m, next);
	free(m->path);
	m->path = NULL;
	loop_timer_clear(m->write);
}

void metrics_stop(struct metrics *m)
{
	if (!m || !m->path)
		return;
	m->stopped = true;
	write_file(m);
}
