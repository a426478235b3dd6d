/*
 * renew: in pages of rows, each page one transaction, and the hash of the configuration last: who is killed
 * in the middle begins again, and what was renewed already is found to be equal.
 */
#include "dispatch/renew.h"

#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/request.h"
#include "dispatch/remake.h"

#define META_CONFIGURATION "configuration" /* hash of the last one */
#define RENEW_PAGE 256

/* May the token be used for this row? */
static int renew_is_free(struct ledger *l, const struct ledger_row *row, const char *token, struct err *err)
{
	struct ledger_owner owner;
	int rc = strcmp(row->token, token) == 0 ? 0 : ledger_find_token(l, token, row->relpath, &owner, err);

	return rc < 0 ? rc : rc == 0;
}

static bool renew_is_equal(
	struct ledger *l, const struct ledger_row *row, const struct start *s, struct buf *body)
{
	struct err err = ERR_INIT;

	return strcmp(row->token, s->token) == 0 && ledger_request(l, row->id, body, &err) > 0 &&
	       body->len == s->body.len && memcmp(buf_str(body), buf_str(&s->body), body->len) == 0;
}

/* 1: renewed, 0: stays as it is, -errno */
static int renew_row(const struct conf *conf, struct ledger *l, const struct ledger_row *row, struct start *s,
	struct buf *body, struct err *err)
{
	const struct conf_watch *w = remake_watch(conf, row);
	struct ledger_renewal renewal;
	struct err why = ERR_INIT;
	const char *reason;
	int rc;

	if (!w)
		return 0;
	if (remake_same(w, row, s, &reason, &why) < 0 || renew_is_equal(l, row, s, body))
		return 0; /* cannot be made by the new configuration: the old request stays */
	rc = renew_is_free(l, row, s->token, err);
	if (rc <= 0)
		return rc;
	renewal = (struct ledger_renewal){
		.workspace = w->workspace->name,
		.host = w->workspace->host_token,
		.job_id = w->job_id,
		.uri = buf_str(&s->uri),
		.token = s->token,
		.request = s->body.data,
		.request_len = s->body.len,
	};
	rc = ledger_renew(l, row->id, &renewal, err);
	return rc < 0 ? rc : 1;
}

static int renew_hold(struct ledger *l, const struct ledger_row *row, const char *reason, const char *what,
	int64_t now_us, struct err *err)
{
	int rc = ledger_set_state(l, row->id, LEDGER_HELD, reason, what, "", now_us, err);

	return rc < 0 ? rc : RENEW_HELD;
}

/* Held for want of a request: is its watch there? */
static int renew_hold_idle(const struct conf *conf, struct ledger *l, const struct ledger_row *row,
	int64_t now_us, struct err *err)
{
	if (!conf_watch_find(conf, row->watch))
		return renew_hold(l, row, RENEW_REMOVED, "its watch is not configured any more", now_us, err);
	return renew_hold(
		l, row, RENEW_IMPOSSIBLE, "no request can be made for it by this configuration", now_us, err);
}

/* One pending row that is not marked sent: RENEW_…, -errno. Its request is for a host of former days and
 * nothing else can be made: nobody would ever send it. */
static int renew_pending(const struct conf *conf, struct ledger *l, const struct ledger_row *row,
	struct start *s, struct buf *body, struct err *err)
{
	const struct conf_watch *w = conf_watch_find(conf, row->watch);
	int rc = w && !remake_waits_for_job(w) ? renew_row(conf, l, row, s, body, err) : 0;

	if (rc != 0)
		return rc < 0 ? rc : RENEW_ANEW;
	if (w && (remake_waits_for_job(w) || strcmp(row->host, w->workspace->host_token) == 0))
		return RENEW_STAYS;
	return renew_hold_idle(conf, l, row, clock_wall_us(), err);
}

int renew_unsent(const struct conf *conf, struct ledger *l, const struct ledger_row *row, struct err *err)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	struct start s;
	int rc;

	start_init(&s);
	rc = renew_pending(conf, l, row, &s, &body, err);
	start_done(&s);
	return rc;
}

static int renew_page(const struct conf *conf, struct ledger *l, const int64_t *ids, int n,
	struct renew_counts *counts, struct err *err)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	struct start s;
	int rc = 0;

	start_init(&s);
	for (int i = 0; i < n && rc >= 0; i++) {
		struct ledger_row row;

		rc = ledger_row(l, ids[i], &row, err);
		if (rc == -EBADMSG) {
			log_error("%s; it is left as it is", err->text);
			rc = 0;
		} else if (rc > 0) {
			rc = renew_pending(conf, l, &row, &s, &body, err);
			counts->renewed += rc == RENEW_ANEW;
			counts->held += rc == RENEW_HELD;
			ledger_row_done(&row);
		}
	}
	start_done(&s);
	if (rc >= 0)
		rc = ledger_commit(l, err);
	CRASH_POINT("renew-page");
	return rc;
}

/* ---- held rows ---- */

/* Does it have a request that can be sent, or will be made anew? 1, 0, -errno */
static int renew_has_way(
	const struct conf *conf, struct ledger *l, const struct ledger_row *row, struct err *err)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	const struct conf_watch *w = conf_watch_find(conf, row->watch);
	int rc = row->token[0] ? ledger_request(l, row->id, &body, err) : 0;

	if (rc <= 0)
		return rc;
	if (!w)
		return remake_has_host(conf, row->host);
	return remake_waits_for_job(w) || strcmp(row->host, w->workspace->host_token) == 0;
}

static int renew_release_row(const struct conf *conf, struct ledger *l, const struct ledger_row *row,
	int64_t now_us, struct err *err)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	struct start s;
	int rc = ledger_set_state(l, row->id, LEDGER_PENDING, "", "", "", now_us, err);

	if (rc < 0 || row->sent)
		return rc < 0 ? rc : 1;
	start_init(&s);
	rc = renew_row(conf, l, row, &s, &body, err);
	start_done(&s);
	return rc != 0 ? rc : renew_has_way(conf, l, row, err);
}

int renew_release(const struct conf *conf, struct ledger *l, int64_t id, int64_t now_us, struct err *err)
{
	struct ledger_row row;
	int rc = ledger_row(l, id, &row, err);

	if (rc <= 0)
		return rc;
	rc = row.state == LEDGER_HELD ? renew_release_row(conf, l, &row, now_us, err) : 0;
	if (rc == 0 && row.state == LEDGER_HELD)
		rc = renew_hold_idle(conf, l, &row, now_us, err);
	ledger_row_done(&row);
	return rc == RENEW_HELD ? 0 : rc;
}

/* Rows that were held for this reason, which may be over. */
static int renew_bring_back(const struct conf *conf, struct ledger *l, const char *watch, const char *reason,
	int64_t *back, struct err *err)
{
	int64_t ids[RENEW_PAGE], after = 0;
	int n;

	while ((n = ledger_held(l, watch, reason, after, ids, RENEW_PAGE, err)) > 0) {
		int rc = 0;

		after = ids[n - 1];
		for (int i = 0; i < n && rc >= 0; i++) {
			rc = renew_release(conf, l, ids[i], clock_wall_us(), err);
			*back += rc > 0;
			if (rc == -EBADMSG) {
				log_error("%s; it is left as it is", err->text);
				rc = 0;
			}
		}
		if (rc >= 0)
			rc = ledger_commit(l, err);
		CRASH_POINT("renew-back");
		if (rc < 0)
			return rc;
	}
	return n;
}

static int renew_tell_reason(struct ledger *l, struct scribe *scribe, const char *watch, const char *reason,
	const char *text, struct err *err)
{
	struct event_watch x = {.method = "", .file_system = ""};
	CLEANUP_FREE char *detail = NULL;
	int rc = ledger_count_held(l, watch, reason, &x.count, err);

	if (rc < 0 || x.count == 0)
		return rc;
	detail = mem_printf("%" PRId64 " held: %s --watch %s", x.count, text, watch);
	x.detail = detail;
	return scribe_watch(scribe, EVENT_WATCH_HELD, watch, &x, clock_wall_us(), err);
}

int renew_tell_impossible(struct ledger *l, struct scribe *scribe, const char *watch, struct err *err)
{
	return renew_tell_reason(l, scribe, watch, RENEW_IMPOSSIBLE,
		"no request can be made for it by this configuration; what is held goes on by one that can, "
		"or is closed by brickwatch drop",
		err);
}

/* Also about those that were held before: who changes the configuration is reminded of them, and a crash in
 * the middle leaves nothing out. */
static int renew_tell_held(struct ledger *l, struct scribe *scribe, struct err *err)
{
	char watch[LEDGER_WORD_BYTES] = "";
	int rc;

	while ((rc = ledger_held_watch(l, watch, sizeof(watch), err)) > 0) {
		rc = renew_tell_reason(l, scribe, watch, RENEW_REMOVED,
			"the watch is not configured any more; what is held goes on when it is back, or by "
			"brickwatch release",
			err);
		if (rc == 0)
			rc = renew_tell_impossible(l, scribe, watch, err);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int renew_bring_all_back(
	const struct conf *conf, struct ledger *l, const char *reason, int64_t *back, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < conf->watches_n; i++)
		rc = renew_bring_back(conf, l, conf->watches[i]->name, reason, back, err);
	return rc;
}

int renew_waiting(const struct conf *conf, struct ledger *l, struct scribe *scribe,
	const char *configuration_hash, struct renew_counts *ret, struct err *err)
{
	int64_t ids[RENEW_PAGE], after = 0;
	struct renew_counts counts = {.renewed = 0};
	CLEANUP_BUF struct buf last = BUF_INIT(LEDGER_META_BYTES);
	int n, rc = ledger_meta(l, META_CONFIGURATION, &last, err);

	*ret = counts;
	if (rc < 0)
		return rc;
	if (rc > 0 && strcmp(buf_str(&last), configuration_hash) == 0)
		/* held by a program before this one, although their watch is there */
		return renew_bring_all_back(conf, l, RENEW_REMOVED, &ret->back, err);
	while ((n = ledger_unsent(l, after, ids, RENEW_PAGE, err)) > 0) {
		after = ids[n - 1];
		rc = renew_page(conf, l, ids, n, &counts, err);
		if (rc < 0)
			break;
	}
	if (n < 0 || rc < 0)
		return n < 0 ? n : rc;
	rc = renew_bring_all_back(conf, l, RENEW_REMOVED, &counts.back, err);
	if (rc >= 0)
		rc = renew_bring_all_back(conf, l, RENEW_IMPOSSIBLE, &counts.back, err);
	if (rc >= 0)
		rc = renew_tell_held(l, scribe, err);
	if (rc >= 0)
		rc = ledger_set_meta(l, META_CONFIGURATION, configuration_hash, err);
	if (rc == 0)
		rc = ledger_commit(l, err);
	CRASH_POINT("renew-noted");
	*ret = counts;
	return rc;
}
