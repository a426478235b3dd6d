/*
 * report: a record at a time, made when the client's socket has room for it.
 */
#include "dispatch/report.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "dispatch/consumers.h"
#include "dispatch/desk.h"
#include "dispatch/standing.h"
#include "dispatch/waits.h"

#define COUNT_PATIENCE_US US_PER_S
#define DETAIL_BYTES 2048 /* shown of what a server or watcher has said */

static void add_time(struct json_writer *w, const char *key, int64_t at_us)
{
	char text[CLOCK_TEXT_BYTES];

	if (at_us > 0)
		json_add_string(w, key, clock_format_us(at_us, 6, text));
	else
		json_add_null(w, key);
}

void report_add_path(struct json_writer *w, const char *root, const char *relpath)
{
	CLEANUP_FREE char *path = relpath[0] ? fs_join(root, relpath) : mem_strdup(root);
	CLEANUP_BUF struct buf base64 = BUF_INIT(2 * CONTROL_RECORD_BYTES);

	json_add_string(w, "path", path);
	if (text_is_utf8(path, strlen(path)))
		return;
	(void)text_add_base64(&base64, path, strlen(path));
	json_add_string(w, "path_base64", buf_str(&base64));
}

/* ---- rows ---- */

/* A workspace that has asked for a pause is known to the running service only. */
static void describe_pause(const struct desk *d, const struct ledger_row *r, struct buf *text)
{
	struct sender_place p;
	char span[CLOCK_TEXT_BYTES];

	for (size_t i = 0; sender_place(d->sender, i, &p); i++) {
		int64_t left_us = p.until_us - clock_mono_us();

		if (p.watch || !p.slow || left_us <= 0 || strcmp(p.host, r->host) != 0)
			continue;
		(void)buf_addf(text, "; workspace %s has asked to wait, for %s more%s",
			p.workspace[0] ? p.workspace : p.host, clock_format_span(left_us, span),
			p.why ? ": " : "");
		if (p.why)
			(void)text_add_printable(text, p.why, strnlen(p.why, DETAIL_BYTES));
	}
}

static void describe_retry(const struct ledger_row *r, const struct ledger_note *n, struct buf *text)
{
	char at[CLOCK_TEXT_BYTES];

	if (r->attempts == 0 || r->next_attempt_us <= clock_wall_us())
		return;
	(void)buf_addf(text, "; tried %" PRId64 " time%s, again at %s", r->attempts,
		r->attempts == 1 ? "" : "s", clock_format_us(r->next_attempt_us, 0, at));
	if (n->detail && n->detail[0]) {
		(void)buf_adds(text, ": ");
		(void)text_add_printable(text, n->detail, strnlen(n->detail, DETAIL_BYTES));
	}
}

/* Why it is not sent, or nothing. 0 or -errno */
static int describe_wait(const struct report_rows *all, struct ledger *l, const struct ledger_row *r,
	const struct ledger_note *n, struct buf *text, struct err *err)
{
	int rc = r->state == LEDGER_PENDING ? waits_describe(l, all->conf, r, text, err) : 0;

	if (rc < 0 || r->state != LEDGER_PENDING)
		return rc;
	if (all->desk)
		describe_pause(all->desk, r, text);
	if (text->len == 0)
		describe_retry(r, n, text);
	return 0;
}

static void add_row(struct json_writer *w, const struct ledger_row *r, const struct ledger_note *n,
	const struct buf *waits)
{
	char mtime[CLOCK_TEXT_BYTES];

	json_begin_object(w, NULL);
	json_add_string(w, "watch", r->watch);
	report_add_path(w, r->root, r->relpath);
	json_add_string(w, "state", ledger_state_name(r->state));
	json_add_string(w, "reason", n->reason[0] ? n->reason : NULL);
	json_add_bytes(w, "detail", n->detail, strnlen(n->detail, DETAIL_BYTES));
	add_time(w, "changed", n->changed_us);
	json_add_i64(w, "size", r->version.size);
	json_add_string(w, "mtime", clock_format_ns(r->version.mtime_ns, mtime));
	add_time(w, "completed", r->completed_us);
	if (r->run_id > 0)
		json_add_i64(w, "run_id", r->run_id);
	else
		json_add_null(w, "run_id");
	json_add_string(w, "workspace", r->workspace);
	json_add_i64(w, "job_id", r->job_id);
	json_add_string(w, "token", r->token[0] ? r->token : NULL);
	json_add_i64(w, "generation", r->generation);
	json_add_i64(w, "attempts", r->attempts);
	add_time(w, "next_attempt", r->state == LEDGER_PENDING ? r->next_attempt_us : 0);
	if (r->state == LEDGER_PENDING)
		json_add_string(
			w, "waiting_for", waits->len > 2 ? buf_str(waits) + 2 : NULL); /* behind "; " */
	json_end_object(w);
}

static void add_totals(struct json_writer *w, const struct report_rows *r)
{
	json_begin_object(w, NULL);
	json_begin_object(w, "totals");
	json_add_i64(w, "waiting", r->waiting);
	for (int state = 0; state < LEDGER_STATES; state++)
		json_add_i64(w, ledger_state_name((enum ledger_state)state), r->totals[state]);
	json_end_object(w);
	json_end_object(w);
}

int report_rows_next(struct report_rows *r, struct ledger *l, struct buf *json, struct err *err)
{
	CLEANUP_BUF struct buf waits = BUF_INIT(4 * LEDGER_META_BYTES);
	struct json_writer w = JSON_WRITER(json);
	bool operand_over;

	while (r->pos < r->n) {
		struct ledger_row row;
		struct ledger_note note;
		int rc = selection_load(&r->at, l, r->ids[r->pos++], &row, &note, err);

		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		rc = describe_wait(r, l, &row, &note, &waits, err);
		if (rc == 0)
			add_row(&w, &row, &note, &waits);
		r->totals[row.state]++;
		ledger_note_done(&note);
		ledger_row_done(&row);
		return rc < 0 ? rc : 1;
	}
	if (!selection_is_over(&r->at)) {
		int rc = selection_page(&r->at, l, r->ids, REPORT_PAGE, &r->n, &operand_over, err);

		r->pos = 0;
		return rc < 0 ? rc : -EINPROGRESS;
	}
	if (r->done)
		return 0;
	r->done = true;
	add_totals(&w, r);
	return 1;
}

bool report_is_empty(const struct report_rows *r)
{
	int64_t n = r->waiting;

	for (int state = 0; state < LEDGER_STATES; state++)
		n += r->totals[state];
	return n == 0;
}

/* ---- files ---- */

struct files {
	struct report_rows rows;
	bool wants_waiting, wants_rows;
	/* what the watchers have */
	size_t watch; /* the one that is asked */
	bool asked, answered;
	int64_t offset, asked_us;
	struct buf page; /* of the answer: JSON objects, a line each */
	size_t pos;
};

static int files_open(struct control_job *j, struct err *err)
{
	struct files *f = j->state;
	struct control_request r = *j->request;
	bool is_waiting = strcmp(r.state, "waiting") == 0;
	char none[] = "";
	int rc;

	if (is_waiting)
		r.state = none;
	rc = selection_init(&f->rows.at, &r, err);
	if (rc < 0)
		return rc;
	f->rows.desk = j->host;
	f->rows.conf = f->rows.desk->conf;
	f->wants_waiting = (is_waiting || !j->request->state[0]) && r.operands_n == 0;
	f->wants_rows = !is_waiting;
	buf_init(&f->page, WIRE_MESSAGE_BYTES);
	return 0;
}

static void files_close(struct control_job *j)
{
	struct files *f = j->state;

	desk_forget(j->host, j);
	buf_done(&f->page);
}

static void files_next_watch(struct files *f)
{
	f->watch++;
	f->asked = f->answered = false;
	f->offset = 0;
	f->asked_us = 0;
	buf_reset(&f->page);
	f->pos = 0;
}

static void files_on_page(struct control_job *j, size_t watch, const struct wire_message *m)
{
	struct files *f = j->state;

	if (!f->asked || watch != f->watch)
		return;
	f->asked = false;
	f->answered = true;
	buf_reset(&f->page);
	f->pos = 0;
	if (m)
		(void)buf_add(&f->page, m->as.unsettled.items, m->as.unsettled.items_len);
}

/* Is the line, which a watcher has sent, what it must be, and selected? */
static bool files_takes(const struct files *f, const char *line, size_t len)
{
	struct err err = ERR_INIT;
	CLEANUP_JSON struct json *item = json_parse(line, len, &err);
	const char *path = json_get_text(item, "path"), *since = json_get_text(item, "since");
	const struct ledger_filter *filter = &f->rows.at.filter;
	const char *relpath = json_get_text(item, "relpath");
	int64_t since_us;

	if (!json_is_object(item) || !path || !relpath || !since || clock_parse_rfc3339(since, &since_us) < 0)
		return false;
	if (filter->until_us > 0 && since_us >= filter->until_us)
		return false;
	return selection_fits(f->rows.at.glob, path, "") || selection_fits(f->rows.at.glob, "", relpath);
}

/* Is it looked at because it is held, and shown as that? */
static bool files_is_held(const struct files *f, struct desk *d, const char *line, size_t len)
{
	struct err err = ERR_INIT;
	CLEANUP_JSON struct json *item = json_parse(line, len, &err);
	const char *path = json_get_text(item, "path"), *relpath = json_get_text(item, "relpath");
	size_t n = path ? strlen(path) : 0, rel = relpath ? strlen(relpath) : 0;
	CLEANUP_FREE char *root = n > rel + 1 ? mem_strndup(path, n - rel - 1) : NULL;
	struct ledger_key key = {.watch = d->conf->watches[f->watch]->name, .relpath = relpath};
	struct ledger_known known;

	return f->wants_rows && root && ledger_root(d->ledger, root, false, &key.root_id, &err) > 0 &&
	       ledger_newest(d->ledger, &key, &known, &err) > 0 && known.state == LEDGER_HELD &&
	       strcmp(known.rules_hash, LEDGER_RULES_LOOK) == 0;
}

/* The next one of the page. 1, 0 */
static int files_from_page(struct files *f, struct desk *d, struct buf *json)
{
	while (f->pos < f->page.len) {
		const char *line = buf_str(&f->page) + f->pos;
		const char *end = memchr(line, '\n', f->page.len - f->pos);
		size_t len = end ? (size_t)(end - line) : f->page.len - f->pos;

		f->pos += len + (end ? 1 : 0);
		f->offset++;
		if (!files_takes(f, line, len) || files_is_held(f, d, line, len))
			continue;
		(void)buf_add(json, line, len);
		f->rows.waiting++;
		return 1;
	}
	return 0;
}

/* Asks the watcher in turn. 0: it is asked, -EAGAIN: later, else its watcher cannot be asked */
static int files_ask(struct control_job *j)
{
	struct files *f = j->state;
	struct desk *d = j->host;
	const struct wire_list m = {.offset = f->offset};
	int rc = desk_ask(d, f->watch, DESK_LIST, j, WIRE_LIST, &m, files_on_page);

	if (f->asked_us == 0)
		f->asked_us = clock_mono_us();
	f->asked = rc == 0;
	return rc == -EBUSY ? -EAGAIN : rc;
}

/* A record about a watch whose files cannot be told. */
static int files_tell_silent(struct control_job *j, struct buf *json, const char *why)
{
	struct files *f = j->state;
	const struct desk *d = j->host;
	struct json_writer w = JSON_WRITER(json);

	json_begin_object(&w, NULL);
	json_add_string(&w, "watch", d->conf->watches[f->watch]->name);
	json_add_string(&w, "problem", why);
	json_end_object(&w);
	j->status = 1;
	desk_forget(j->host, j);
	files_next_watch(f);
	return 1;
}

static int files_silent(struct control_job *j, struct buf *json)
{
	struct files *f = j->state;
	struct desk *d = j->host;
	CLEANUP_BUF struct buf why = BUF_INIT(2 * WIRE_PATH_BYTES);

	(void)buf_adds(&why, "what it waits for is not shown: the watch does not answer");
	if (d->watch(d, f->watch)->page) {
		CLEANUP_BUF struct buf stall = BUF_INIT(2 * WIRE_PATH_BYTES);

		if (desk_describe_stall(d->watch(d, f->watch), &stall) > 0)
			(void)buf_addf(&why, ", it is stalled in %s", buf_str(&stall));
	}
	return files_tell_silent(j, json, buf_str(&why));
}

static int files_absent(struct control_job *j, struct buf *json)
{
	const struct files *f = j->state;
	CLEANUP_BUF struct buf why = BUF_INIT(2 * FINDINGS_TEXT_BYTES);

	(void)buf_adds(&why, "what it waits for is not shown: ");
	(void)desk_describe_absence(j->host, f->watch, &why);
	return files_tell_silent(j, json, buf_str(&why));
}

/* 1: a record, 0: no more watches, -EAGAIN */
static int files_waiting(struct control_job *j, struct buf *json)
{
	struct files *f = j->state;
	struct desk *d = j->host;

	while (f->watch < d->conf->watches_n) {
		const char *name = d->conf->watches[f->watch]->name;
		int rc = 0;

		if (f->rows.at.filter.watch[0] && strcmp(f->rows.at.filter.watch, name) != 0) {
			files_next_watch(f);
			continue;
		}
		if (files_from_page(f, d, json) > 0)
			return 1;
		if (f->answered && f->page.len == 0) {
			files_next_watch(f);
			continue;
		}
		if (!f->asked)
			rc = files_ask(j);
		if (rc < 0 && rc != -EAGAIN)
			return files_absent(j, json);
		if (clock_mono_us() >= f->asked_us + DESK_PATIENCE_US)
			return files_silent(j, json);
		j->wake_at_us = f->asked_us + DESK_PATIENCE_US;
		return -EAGAIN;
	}
	return 0;
}

static int files_next(struct control_job *j, struct buf *json, struct err *err)
{
	struct files *f = j->state;
	const struct desk *d = j->host;
	int rc = f->wants_waiting ? files_waiting(j, json) : 0;

	if (rc != 0)
		return rc;
	if (!f->wants_rows) { /* just the totals */
		f->rows.at.last = f->rows.at.after = 0;
		f->rows.at.operands_n = 0;
	}
	rc = report_rows_next(&f->rows, d->ledger, json, err);
	if (rc == 0 && report_is_empty(&f->rows) && j->request->watch[0] && j->status == 0 &&
		desk_find(j->host, j->request->watch) < 0)
		control_say(j, 2, "there is no watch \"%.60s\", and the ledger has no such files of one",
			j->request->watch);
	return rc;
}

const struct control_verb report_files = {
	.name = "files",
	.state_bytes = sizeof(struct files),
	.open = files_open,
	.next = files_next,
	.close = files_close,
};

/* ---- status ---- */

enum status_part {
	STATUS_SERVICE,
	STATUS_COUNTING,
	STATUS_WATCHES,
	STATUS_PLACES,
	STATUS_CONSUMERS,
	STATUS_STANDING,
	STATUS_COUNTS,
	STATUS_END
};

struct status {
	enum status_part part;
	size_t i;
	int64_t give_up_us;
	int64_t open; /* questions not answered yet */
	struct status_watch {
		bool told; /* by its watcher */
		struct wire_counts counts;
		int64_t rows[LEDGER_STATES];
	} watches[CONF_WATCHES_MAX + 1];
	struct ledger_tally tally;
	int64_t after, last;
	struct standing standing;
};

static void status_on_counts(struct control_job *j, size_t watch, const struct wire_message *m)
{
	struct status *s = j->state;

	s->open--;
	if (!m)
		return;
	s->watches[watch].told = true;
	s->watches[watch].counts = m->as.counts;
}

static void status_on_tally(const char *watch, enum ledger_state state, int64_t rows, void *arg)
{
	struct control_job *j = arg;
	struct status *s = j->state;
	int i = desk_find(j->host, watch);

	if (i >= 0)
		s->watches[i].rows[state] += rows;
}

static int status_open(struct control_job *j, struct err *err)
{
	static const struct wire_empty question = {0};
	struct status *s = j->state;
	struct desk *d = j->host;

	(void)err;
	for (size_t i = 0; i < d->conf->watches_n; i++)
		s->open += desk_ask(d, i, DESK_COUNT, j, WIRE_COUNT, &question, status_on_counts) == 0;
	s->give_up_us = clock_mono_us() + COUNT_PATIENCE_US;
	s->tally.of_watch = status_on_tally;
	s->tally.arg = j;
	s->last = -1;
	return 0;
}

static void status_close(struct control_job *j)
{
	desk_forget(j->host, j);
}

static void add_service(struct json_writer *w, struct desk *d)
{
	struct sender_counts c = sender_counts(d->sender);

	json_begin_object(w, NULL);
	json_add_string(w, "kind", "service");
	json_add_string(w, "version", BW_VERSION);
	json_add_i64(w, "pid", getppid()); /* the keeper's: what systemd shows, too */
	add_time(w, "started", d->started_us);
	json_add_string(w, "configuration", d->hash);
	json_add_bool(w, "ledger_failing", d->ledger_trouble(d) != NULL);
	json_add_string(w, "ledger_trouble", d->ledger_trouble(d));
	json_add_bool(w, "event_log_failing", outbox_is_failing(d->outbox));
	json_add_string(w, "metrics_trouble", d->metrics_trouble[0] ? d->metrics_trouble : NULL);
	json_add_i64(w, "watches", (int64_t)d->conf->watches_n);
	json_add_i64(w, "runs_started", c.started);
	json_add_i64(w, "pending", c.pending + c.stranded);
	json_add_i64(w, "in_flight", c.in_flight);
	json_end_object(w);
}

/* Rows of each state that there are; null when they were not counted. */
static void add_known(struct json_writer *w, const struct status *s, size_t i)
{
	if (!s->tally.of_watch || s->last < 0) {
		json_add_null(w, "known");
		return;
	}
	json_begin_object(w, "known");
	for (int state = 0; state < LEDGER_STATES; state++)
		if (s->watches[i].rows[state] > 0)
			json_add_i64(
				w, ledger_state_name((enum ledger_state)state), s->watches[i].rows[state]);
	json_end_object(w);
}

static void add_told(struct json_writer *w, const struct status_watch *t)
{
	static const char *const keys[] = {"waiting", "unreadable_files", "unreadable_directories",
		"missing_mounts", "unwatched_directories"};
	const int64_t values[] = {t->counts.unsettled, t->counts.unreadable, t->counts.closed, t->counts.away,
		t->counts.unwatched};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (t->told)
			json_add_i64(w, keys[i], values[i]);
		else
			json_add_null(w, keys[i]);
	}
	json_add_bool(w, "lacks_descriptors", t->told && t->counts.starved);
}

/* How often it is listed by a watcher that polls. */
static void add_rounds(struct json_writer *w, const struct wire_page *page)
{
	int64_t pause_us = page ? page->pause_us : 0;

	if (pause_us <= 0)
		return;
	json_add_i64(w, "poll_round_ms", page->round_us / US_PER_MS);
	json_add_i64(w, "poll_pause_ms", pause_us / US_PER_MS);
}

static int add_watch(struct json_writer *w, struct desk *d, size_t i, const struct status *s, struct err *err)
{
	CLEANUP_BUF struct buf stall = BUF_INIT(3 * WIRE_PATH_BYTES);
	const struct desk_watch *watch = d->watch(d, i);
	const struct conf_watch *conf = d->conf->watches[i];
	int64_t stalled_us = desk_describe_stall(watch, &stall);
	CLEANUP_FREE char *paused_why = NULL;
	int paused = waits_paused(d->ledger, conf->name, &paused_why, err);

	if (paused < 0)
		return paused;
	json_begin_object(w, NULL);
	json_add_string(w, "kind", "watch");
	json_add_string(w, "watch", conf->name);
	json_add_string(w, "state", desk_state(d, i, stalled_us));
	json_add_string(w, "lost_why", watch->lost ? watch->lost_why : NULL);
	json_add_bool(w, "paused", paused > 0 || conf->paused);
	json_add_string(w, "paused_by_failure", paused_why);
	json_add_string(w, "method", watch->peer->method);
	json_add_string(w, "file_system", watch->peer->file_system);
	json_add_string(w, "limits", watch->peer->limits[0] ? watch->peer->limits : NULL);
	add_told(w, &s->watches[i]);
	json_add_string(w, "busy_with", stall.len > 0 ? buf_str(&stall) : NULL);
	json_add_i64(w, "busy_ms", stalled_us / US_PER_MS);
	add_time(w, "listed", watch->listed_us);
	json_add_i64(w, "listed_files", watch->listing.files);
	json_add_i64(w, "listed_directories", watch->listing.directories);
	json_add_i64(w, "listing_ms", watch->listing.took_us / US_PER_MS);
	add_rounds(w, watch->page);
	add_known(w, s, i);
	json_end_object(w);
	return 1;
}

static void add_sign_in(struct json_writer *w, const struct auth_state *a)
{
	json_add_string(w, "auth", a->kind);
	json_add_string(w, "principal", a->principal);
	json_add_string(w, "credential_file", a->file);
	add_time(w, "credential_changed", a->changed_us);
	add_time(w, "token_expires", a->has_token ? a->token_end_us : 0);
}

/* What is known of the job of a watch. */
static void add_job(struct json_writer *w, const struct desk *d, const struct sender_place *p)
{
	int i = desk_find(d, p->watch);
	const struct conf_watch *conf = i >= 0 ? d->conf->watches[i] : NULL;
	struct jobwatch_view job;

	json_add_i64(w, "job_id", p->job_id);
	json_add_i64(w, "pending", p->pending);
	if (!conf || !conf->workspace || strcmp(conf->workspace->host_token, p->host) != 0)
		return; /* of former days */
	jobwatch_view(d->jobwatch, (size_t)i, &job);
	json_add_string(w, "job_name", job.job_name ? job.job_name : conf->job_name);
	add_time(w, "checked", job.checked_us);
	json_add_string(w, "not_checked", job.unknown);
	json_add_bool(w, "credential_refused", job.no_entry);
	findings_add_json(w, job.findings);
}

static void add_place(struct json_writer *w, const struct desk *d, const struct sender_place *p)
{
	int64_t until_us = p->until_us - clock_mono_us();
	bool waits = p->suspended || p->slow;

	json_begin_object(w, NULL);
	json_add_string(w, "kind", p->watch ? "job" : "workspace");
	if (p->watch)
		json_add_string(w, "watch", p->watch);
	json_add_string(w, "workspace", p->workspace);
	json_add_string(w, "host", p->host);
	if (p->watch)
		add_job(w, d, p);
	json_add_i64(w, "in_flight", p->in_flight);
	json_add_string(w, "state",
		p->suspended		? "suspended"
		: p->slow		? "slow"
		: p->fails_since_us > 0 ? "failing"
					: "ok");
	if (p->watch)
		add_time(w, "fails_since",
			p->fails_since_us > 0 ? clock_wall_us() - (clock_mono_us() - p->fails_since_us) : 0);
	json_add_string(w, "detail", p->why);
	json_add_i64(w, "next_try_ms", waits && until_us > 0 ? until_us / US_PER_MS : 0);
	if (!p->watch)
		add_sign_in(w, &p->sign_in);
	json_end_object(w);
}

static void add_stranded(struct json_writer *w, const struct sender_place *p)
{
	json_begin_object(w, NULL);
	json_add_string(w, "kind", "stranded");
	json_add_string(w, "watch", p->watch);
	json_add_string(w, "host", p->host);
	json_add_i64(w, "pending", p->pending);
	json_end_object(w);
}

static void add_counts(struct json_writer *w, const struct ledger_tally *t)
{
	json_begin_object(w, NULL);
	json_add_string(w, "kind", "counts");
	for (int state = 0; state < LEDGER_STATES; state++)
		json_add_i64(w, ledger_state_name((enum ledger_state)state), t->rows[state]);
	json_begin_object(w, "oldest");
	for (int state = 0; state < LEDGER_STATES; state++)
		if (t->rows[state] > 0)
			add_time(w, ledger_state_name((enum ledger_state)state), t->oldest_us[state]);
	json_end_object(w);
	json_end_object(w);
}

/* Counts a stretch of the ledger. 0: that was all, -EINPROGRESS, -errno */
static int status_count(struct status *s, struct desk *d, struct err *err)
{
	int64_t through;
	int rc = s->last < 0 ? ledger_newest_id(d->ledger, &s->last, err) : 0;

	if (rc < 0)
		return rc;
	if (s->after < s->last) {
		through = s->after + SELECTION_STRETCH < s->last ? s->after + SELECTION_STRETCH : s->last;
		rc = ledger_add_tally(d->ledger, s->after, through, &s->tally, err);
		s->after = through;
		return rc < 0 ? rc : -EINPROGRESS;
	}
	return 0;
}

static int status_next(struct control_job *j, struct buf *json, struct err *err)
{
	struct status *s = j->state;
	struct desk *d = j->host;
	struct json_writer w = JSON_WRITER(json);
	struct sender_place place;
	int rc;

	if (s->open > 0 && clock_mono_us() < s->give_up_us) {
		j->wake_at_us = s->give_up_us;
		return -EAGAIN;
	}
	if (s->part == STATUS_SERVICE) { /* at once: who asks is waiting for a sign of life */
		/* counting reads the whole ledger: not for who only asks for health */
		s->part = j->request->yes ? STATUS_WATCHES : STATUS_COUNTING;
		add_service(&w, d);
		return 1;
	}
	if (s->part == STATUS_COUNTING) {
		rc = status_count(s, d, err);
		if (rc < 0)
			return rc;
		s->part = STATUS_WATCHES;
	}
	if (s->part == STATUS_WATCHES && s->i < d->conf->watches_n)
		return add_watch(&w, d, s->i++, s, err);
	if (s->part == STATUS_WATCHES) {
		s->part = STATUS_PLACES;
		s->i = 0;
	}
	while (s->part == STATUS_PLACES && sender_place(d->sender, s->i, &place)) {
		s->i++;
		if (place.stranded && place.pending <= 0)
			continue;
		if (place.stranded)
			add_stranded(&w, &place);
		else
			add_place(&w, d, &place);
		return 1;
	}
	if (s->part == STATUS_PLACES) {
		s->part = STATUS_CONSUMERS;
		s->i = 0;
	}
	if (s->part == STATUS_CONSUMERS && consumers_add_json(d->couriers, s->i++, &w))
		return 1;
	if (s->part == STATUS_CONSUMERS)
		s->part = STATUS_STANDING;
	rc = s->part == STATUS_STANDING ? standing_next(&s->standing, d->ledger, d->conf, &w, err) : 0;
	if (rc != 0)
		return rc;
	if (s->part == STATUS_STANDING)
		s->part = j->request->yes ? STATUS_END : STATUS_COUNTS;
	if (s->part == STATUS_END)
		return 0;
	s->part = STATUS_END;
	add_counts(&w, &s->tally);
	return 1;
}

const struct control_verb report_status = {
	.name = "status",
	.state_bytes = sizeof(struct status),
	.open = status_open,
	.next = status_next,
	.close = status_close,
};
