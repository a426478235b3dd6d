/*
 * history: the newest row of the file, compared as a listing would compare it.
 */
#include "cli/history.h"

#include <inttypes.h>
#include <string.h>
#include "base/clock.h"

/* What a person can do about it. */
static const char *history_way_out(enum ledger_state state)
{
	if (state == LEDGER_HELD)
		return "; brickwatch release PATH lets it go";
	return state == LEDGER_FAILED ? "; brickwatch retry PATH tries it again" : "";
}

static void history_describe(const struct ledger_row *row, const char *which, struct buf *text)
{
	char when[CLOCK_TEXT_BYTES];

	(void)buf_addf(text, "%s is %s", which, ledger_state_name(row->state));
	if (row->run_id > 0)
		(void)buf_addf(text, ", run %" PRId64, row->run_id);
	if (row->attempts > 0)
		(void)buf_addf(text, ", %" PRId64 " attempt%s", row->attempts, row->attempts == 1 ? "" : "s");
	if (row->reason[0])
		(void)buf_addf(text, " (%s)", row->reason);
	(void)buf_addf(text, "; complete since %s%s; more: brickwatch events PATH",
		clock_format_us(row->completed_us, 0, when), history_way_out(row->state));
}

/* 1: found, 0: nothing, -errno */
static int history_look(struct ledger *l, const struct conf_watch *w, const char *root, const char *relpath,
	const struct version *now, struct history *ret, struct buf *text, struct err *err)
{
	struct ledger_key key = {.watch = w->name, .relpath = relpath};
	struct ledger_known known = {.id = 0};
	struct ledger_row row;
	enum version_relation relation = VERSION_NEW;
	int rc = ledger_root(l, root, false, &key.root_id, err);

	if (rc > 0)
		rc = ledger_newest(l, &key, &known, err);
	if (rc > 0)
		rc = ledger_row(l, known.id, &row, err);
	if (rc <= 0)
		return rc;
	if (now)
		relation = version_compare(
			&known.version, now, VERSION_BY_LISTING, (enum conf_version)w->version, true);
	ret->kind = relation == VERSION_SAME ? HISTORY_SAME : HISTORY_OLDER;
	ret->state = row.state;
	ret->run_id = row.run_id;
	ret->generation = row.generation;
	memcpy(ret->token, row.token, sizeof(ret->token));
	history_describe(&row, ret->kind == HISTORY_SAME ? "this version" : "an older version", text);
	ledger_row_done(&row);
	return 1;
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
		rc = history_look(l, w, root, relpath, now, ret, text, &err);
	ledger_close(l);
	if (rc == 0)
		(void)buf_adds(text, "nothing is known of this file");
	if (rc >= 0)
		return;
	ret->kind = HISTORY_UNREADABLE;
	(void)buf_addf(text, "cannot be read: %s", err.text);
}
