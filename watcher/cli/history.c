/*
 * history: the newest row of the file, compared as a listing would compare it.
 */
#include "cli/history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/advice.h"
#include "core/request.h"
#include "dispatch/remake.h"

#define HISTORY_WORDS_BYTES 1024

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

/* words: the server's, or what went wrong. */
static void history_describe(
	const struct ledger_row *row, const char *words, const char *which, struct buf *text)
{
	const char *way_out = history_way_out(row);
	char when[CLOCK_TEXT_BYTES];

	(void)buf_addf(text, "%s is %s", which, ledger_state_name(row->state));
	if (row->run_id > 0)
		(void)buf_addf(text, ", run %" PRId64, row->run_id);
	if (row->attempts > 0)
		(void)buf_addf(text, ", %" PRId64 " attempt%s", row->attempts, row->attempts == 1 ? "" : "s");
	if (row->reason[0])
		(void)buf_addf(text, " (%s%s%s)", row->reason, words[0] ? ": " : "", words);
	(void)buf_addf(text, "; complete since %s%s%s; more: brickwatch events PATH",
		clock_format_us(row->completed_us, 0, when), way_out[0] ? "; " : "", way_out);
}

void history_done(struct history *h)
{
	free(h->host);
	free(h->uri);
	free(h->request);
	*h = (struct history){.kind = HISTORY_NONE};
}

/* What goes out for it is fixed; the configuration may have been changed since. */
static int history_keep_request(struct ledger *l, const struct conf *conf, const struct ledger_row *row,
	struct history *ret, struct err *err)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES);
	int rc = row->state == LEDGER_PENDING ? ledger_request(l, row->id, &body, err) : 0;

	if (rc <= 0)
		return rc;
	ret->host = mem_strdup(row->host);
	ret->uri = mem_strdup(row->uri);
	ret->job_id = row->job_id;
	ret->request = mem_strndup(buf_str(&body), body.len);
	ret->request_len = body.len;
	ret->stranded = remake_is_stranded(conf, row);
	return 0;
}

/* 1: found, 0: nothing, -errno */
static int history_look(struct ledger *l, const struct conf *conf, const struct conf_watch *w,
	const char *root, const char *relpath, const struct version *now, struct history *ret,
	struct buf *text, struct err *err)
{
	struct ledger_key key = {.watch = w->name, .relpath = relpath};
	struct ledger_known known = {.id = 0};
	struct ledger_note note = {.detail = NULL};
	struct ledger_row row;
	char words[HISTORY_WORDS_BYTES];
	enum version_relation relation = VERSION_NEW;
	int rc = ledger_root(l, root, false, &key.root_id, err);

	if (rc > 0)
		rc = ledger_newest(l, &key, &known, err);
	if (rc > 0)
		rc = ledger_note(l, known.id, &note, err);
	if (rc > 0)
		rc = ledger_row(l, known.id, &row, err);
	if (rc <= 0) {
		ledger_note_done(&note);
		return rc;
	}
	text_printable(note.detail, strlen(note.detail), words, sizeof(words));
	ledger_note_done(&note);
	if (now)
		relation = version_compare(
			&known.version, now, VERSION_BY_LISTING, (enum conf_version)w->version, true);
	ret->kind = relation == VERSION_SAME ? HISTORY_SAME : HISTORY_OLDER;
	ret->state = row.state;
	ret->run_id = row.run_id;
	ret->generation = row.generation;
	memcpy(ret->token, row.token, sizeof(ret->token));
	rc = history_keep_request(l, conf, &row, ret, err);
	history_describe(&row, words, ret->kind == HISTORY_SAME ? "this version" : "an older version", text);
	ledger_row_done(&row);
	return rc < 0 ? rc : 1;
}

void history_find(const struct conf *conf, const struct conf_watch *w, const char *root, const char *relpath,
	const struct version *now, struct history *ret, struct buf *text)
{
	struct ledger *l = NULL;
	struct err err = ERR_INIT;
	int rc = ledger_open_read_only(conf->service.state_directory, &l, &err);

	*ret = (struct history){.kind = HISTORY_NONE};
	if (rc == -ENOENT) {
		(void)buf_addf(text, "there is no ledger in %s yet", conf->service.state_directory);
		return;
	}
	if (rc == 0)
		rc = history_look(l, conf, w, root, relpath, now, ret, text, &err);
	ledger_close(l);
	if (rc == 0)
		(void)buf_adds(text, "nothing is known of this file");
	if (rc >= 0)
		return;
	ret->kind = HISTORY_UNREADABLE;
	(void)buf_addf(text, "cannot be read: %s", err.text);
}
