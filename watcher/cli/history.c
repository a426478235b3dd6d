/*
 * history: the newest row of the file, compared as a listing would compare it.
 */
#include "cli/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/advice.h"
#include "core/request.h"
#include "dispatch/baseline.h"
#include "dispatch/remake.h"
#include "dispatch/waits.h"

#define HISTORY_PAGE 64
#define HISTORY_DETAIL_BYTES 1024 /* shown of what a server has said */

/* What a person can do about it. */
static const char *history_way_out(const struct ledger_row *row)
{
	const char *advice = advice_for(row->reason);

	if (row->state == LEDGER_HELD)
		return "brickwatch release PATH lets it go";
	if (row->state == LEDGER_FAILED)
		return advice[0] ? advice : "brickwatch retry PATH tries it again";
	return "";
}

/* Why, in the words of whoever has said so. */
static void history_add_reason(const struct ledger_row *row, const char *detail, struct buf *text)
{
	if (!row->reason[0] && !detail[0])
		return;
	(void)buf_addf(text, " (%s%s", row->state == LEDGER_PENDING ? "last answer: " : row->reason,
		row->reason[0] && detail[0] ? ": " : "");
	(void)text_add_printable(text, detail, strnlen(detail, HISTORY_DETAIL_BYTES));
	(void)buf_addc(text, ')');
}

static void history_describe(
	const struct ledger_row *row, const char *detail, const char *which, struct buf *text)
{
	const char *way_out = history_way_out(row);
	char when[CLOCK_TEXT_BYTES];

	(void)buf_addf(text, "%s is %s", which, ledger_state_name(row->state));
	if (row->run_id > 0)
		(void)buf_addf(text, ", run %" PRId64, row->run_id);
	if (row->attempts > 0)
		(void)buf_addf(text, ", %" PRId64 " attempt%s", row->attempts, row->attempts == 1 ? "" : "s");
	history_add_reason(row, detail, text);
	(void)buf_addf(text, "; complete since %s%s%s; more: brickwatch events PATH",
		clock_format_us(row->completed_us, 0, when), way_out[0] ? "; " : "", way_out);
}

/* What went out for it, or will, is fixed; the configuration may have been changed since. */
static int history_keep_request(struct ledger *l, const struct conf *conf, const struct ledger_row *row,
	struct history *ret, struct err *err)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	int rc = ledger_request(l, row->id, &body, err);

	if (rc <= 0)
		return rc;
	ret->host = mem_strdup(row->host);
	ret->uri = mem_strdup(row->uri);
	ret->job_id = row->job_id;
	ret->request = mem_strndup(buf_str(&body), body.len);
	ret->request_len = body.len;
	ret->stranded = row->state == LEDGER_PENDING && remake_is_stranded(conf, row);
	return 0;
}

/* The row, in words, and for a waiting one why it waits. 1, 0: no such row, -errno */
static int history_row(struct ledger *l, const struct conf *conf, int64_t id, const char *which,
	struct ledger_row *row, struct buf *text, struct buf *waits, struct err *err)
{
	struct ledger_note note = {.detail = NULL};
	int rc = ledger_row(l, id, row, err);

	if (rc <= 0)
		return rc;
	rc = ledger_note(l, id, &note, err);
	if (rc > 0)
		history_describe(row, note.detail, which, text);
	if (rc > 0 && row->state == LEDGER_PENDING && waits_describe(l, conf, row, waits, err) < 0)
		rc = -err->code;
	ledger_note_done(&note);
	if (rc <= 0)
		ledger_row_done(row);
	return rc;
}

/* Does the directory show another file system than it had? Judged as the dispatcher does. */
static int history_mount(struct ledger *l, const struct conf *conf, const struct conf_watch *w,
	const char *root, const char *file_system, struct history *ret, struct err *err)
{
	CLEANUP_BUF struct buf types = BUF_INIT(LEDGER_META_BYTES * CONF_WATCHES_MAX);
	enum baseline_stage stage = BASELINE_CLOSED;
	struct baseline *b = baseline_new(conf, l, NULL);
	struct wire_hello hello = {.method = ""};
	size_t at = 0;
	int rc;

	for (size_t i = 0; i < w->directory.n; i++) {
		bool is_it = strcmp(w->directory.items[i], root) == 0;

		at = is_it ? i : at;
		(void)buf_addf(&types, "%s", is_it ? file_system : "");
		(void)buf_addc(&types, '\0');
	}
	hello.types = buf_str(&types);
	hello.types_len = types.len;
	baseline_types(b, w, &hello, true);
	rc = baseline_stage(b, w, at, false, &stage, err);
	if (rc == 0 && stage == BASELINE_SUSPENDED)
		(void)snprintf(ret->mount_had, sizeof(ret->mount_had), "%s", baseline_had(b, w, at));
	baseline_free(b);
	return rc;
}

/* 1: found, 0: nothing, -errno */
static int history_look(struct ledger *l, const struct history_question *q, struct history *ret,
	struct buf *text, struct err *err)
{
	struct ledger_key key = {.watch = q->watch->name, .relpath = q->relpath};
	struct ledger_known known = {.id = 0};
	struct ledger_row row;
	enum version_relation relation = VERSION_NEW;
	int rc = ledger_root(l, q->root, false, &key.root_id, err);

	if (rc > 0)
		rc = history_mount(l, q->conf, q->watch, q->root, q->file_system, ret, err) < 0 ? -err->code
												: 1;
	if (rc > 0)
		rc = ledger_newest(l, &key, &known, err);
	if (rc <= 0)
		return rc;
	if (q->now)
		relation = version_compare(&known.version, q->now, VERSION_BY_LISTING,
			(enum conf_version)q->watch->version, true);
	ret->kind = relation == VERSION_SAME ? HISTORY_SAME : HISTORY_OLDER;
	rc = history_row(l, q->conf, known.id,
		ret->kind == HISTORY_SAME ? "this version" : "an older version", &row, text, &ret->waits,
		err);
	if (rc <= 0)
		return rc;
	ret->state = row.state;
	ret->run_id = row.run_id;
	ret->generation = row.generation;
	memcpy(ret->token, row.token, sizeof(ret->token));
	rc = history_keep_request(l, q->conf, &row, ret, err);
	ledger_row_done(&row);
	return rc < 0 ? rc : 1;
}

void history_done(struct history *h)
{
	buf_done(&h->waits);
	free(h->host);
	free(h->uri);
	free(h->request);
	h->host = h->uri = h->request = NULL;
}

void history_find(const struct history_question *q, struct history *ret, struct buf *text)
{
	const char *directory = q->conf->service.state_directory;
	struct ledger *l = NULL;
	struct err err = ERR_INIT;
	int rc = ledger_open_read_only(directory, &l, &err);

	*ret = (struct history){.kind = HISTORY_NONE, .waits = BUF_INIT(LEDGER_META_BYTES * 4)};
	if (rc == -ENOENT) {
		(void)buf_addf(text, "there is no ledger in %s yet", directory);
		return;
	}
	if (rc == 0)
		rc = history_look(l, q, ret, text, &err);
	ledger_close(l);
	if (rc == 0)
		(void)buf_adds(text, "nothing is known of this file");
	if (rc >= 0)
		return;
	ret->kind = HISTORY_UNREADABLE;
	(void)buf_addf(text, "%s", err.text);
}

/* ---- watches that are not configured any more ---- */

static int history_tell_removed(struct ledger *l, const struct conf *conf, int64_t id,
	void (*fn)(const char *watch, const char *text, void *arg), void *arg, struct err *err)
{
	CLEANUP_BUF struct buf text = BUF_INIT(16384), waits = BUF_INIT(LEDGER_META_BYTES * 4);
	struct ledger_row row;
	int rc = history_row(l, conf, id, "it", &row, &text, &waits, err);

	if (rc <= 0)
		return rc;
	rc = conf_watch_find(conf, row.watch) == NULL;
	if (rc > 0) {
		(void)buf_adds(&text, buf_str(&waits));
		fn(row.watch, buf_str(&text), arg);
	}
	ledger_row_done(&row);
	return rc;
}

int history_of_removed(const struct conf *conf, const char *path,
	void (*fn)(const char *watch, const char *text, void *arg), void *arg, struct err *err)
{
	int64_t ids[HISTORY_PAGE], after = 0;
	struct ledger *l = NULL;
	int n = 0, told = 0, rc = ledger_open_read_only(conf->service.state_directory, &l, err);

	if (rc == -ENOENT)
		return 0;
	while (rc >= 0 && (n = ledger_select_path(l, path, after, ids, HISTORY_PAGE, err)) > 0) {
		for (int i = 0; i < n && rc >= 0; i++) {
			rc = history_tell_removed(l, conf, ids[i], fn, arg, err);
			told += rc > 0;
		}
		after = ids[n - 1];
	}
	ledger_close(l);
	return rc < 0 ? rc : n < 0 ? n : told;
}
