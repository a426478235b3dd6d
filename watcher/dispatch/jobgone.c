/*
 * jobgone: page by page, a page in each round of the loop, so that a large backlog holds nothing up. Who is
 * killed in the middle begins again: what was done is not pending any more, or found to be equal.
 */
#include "dispatch/jobgone.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dispatch/renew.h"

#define JOBGONE_PAGE 256

static int jobgone_close(const struct jobgone *g, const struct conf_watch *w, struct ledger *l,
	struct scribe *scribe, struct ledger_row *row, struct err *err)
{
	CLEANUP_FREE char *message = mem_printf("job_name \"%s\" stands for job %" PRId64
						" now, and this file was accepted for job %" PRId64
						"; brickwatch rerun starts the new one for it",
		w->job_name, w->job_id, g->gone_id);
	const struct event_failure x = {.reason = JOBGONE_REASON,
		.error_code = "",
		.message = message,
		.attempts = row->attempts,
		.workspace = row->workspace,
		.job_id = row->job_id};
	struct event_file f = scribe_file_of(row);
	int64_t now_us = clock_wall_us();
	int rc;

	row->failures++;
	rc = scribe_start(
		scribe, EVENT_START_FAILED, row->watch, row->token, row->failures, &f, &x, now_us, err);
	return rc < 0 ? rc
		      : ledger_set_closed(l, row,
				w->on_failure == CONF_FAIL_DISCARD ? LEDGER_DISCARDED : LEDGER_FAILED,
				JOBGONE_REASON, message, now_us, err);
}

static int jobgone_row(struct jobgone *g, const struct conf *conf, const struct conf_watch *w,
	struct ledger *l, struct scribe *scribe, struct ledger_row *row, struct err *err)
{
	int rc = 0;

	if (strcmp(row->watch, w->name) != 0)
		return 0;
	/* one for another host is of a former configuration, not of the former job */
	if (g->gone_id == 0 || strcmp(row->host, w->workspace->host_token) != 0) {
		rc = renew_unsent(conf, l, row, err);
		g->held += rc == RENEW_HELD;
	} else if (row->job_id == g->gone_id) {
		rc = jobgone_close(g, w, l, scribe, row, err);
		g->closed += rc == 0;
	}
	return rc < 0 ? rc : 0;
}

int jobgone_apply(struct jobgone *g, const struct conf *conf, const struct conf_watch *w, struct ledger *l,
	struct scribe *scribe, struct sender *sender, struct err *err)
{
	int64_t ids[JOBGONE_PAGE];
	int n = ledger_unsent(l, g->after, ids, JOBGONE_PAGE, err), rc = 0;

	g->closed = g->held = 0;
	g->finished = n < JOBGONE_PAGE;
	g->next_after = n > 0 ? ids[n - 1] : g->after;
	for (int i = 0; i < n && rc >= 0; i++) {
		struct ledger_row row;

		rc = ledger_row(l, ids[i], &row, err);
		if (rc == -EBADMSG) {
			log_error("%s; it is left as it is", err->text);
			rc = 0;
		} else if (rc > 0) {
			rc = jobgone_row(g, conf, w, l, scribe, &row, err);
			ledger_row_done(&row);
		}
	}
	if (n >= 0 && rc >= 0 && g->finished && g->all_held + g->held > 0)
		rc = renew_tell_impossible(l, scribe, w->name, err);
	if (n >= 0 && rc >= 0 && g->closed > 0 && w->on_failure == CONF_FAIL_PAUSE)
		rc = sender_pause(sender, w->name, JOBGONE_REASON, err);
	return n < 0 ? n : rc < 0 ? rc : 0;
}

bool jobgone_committed(struct jobgone *g)
{
	g->after = g->next_after;
	g->all_closed += g->closed;
	g->all_held += g->held;
	return g->finished;
}
