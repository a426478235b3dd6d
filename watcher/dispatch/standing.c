/*
 * standing: steps from one watch, reason or host to the next by an index, so that what is not held costs
 * nothing.
 */
#include "dispatch/standing.h"

#include <stdio.h>
#include <string.h>
#include "dispatch/remake.h"

static void add_record(const struct standing *s, const struct conf *conf, const char *state, const char *host,
	const char *reason, int64_t n, struct json_writer *w)
{
	json_begin_object(w, NULL);
	json_add_string(w, "kind", "standing");
	json_add_string(w, "watch", s->watch);
	json_add_bool(w, "configured", conf_watch_find(conf, s->watch) != NULL);
	json_add_string(w, "state", state);
	json_add_string(w, "reason", reason);
	if (host)
		json_add_string(w, "host", host);
	json_add_i64(w, "files", n < STANDING_MOST ? n : STANDING_MOST);
	json_add_bool(w, "or_more", n >= STANDING_MOST);
	json_end_object(w);
}

static int next_held(
	struct standing *s, struct ledger *l, const struct conf *conf, struct json_writer *w, struct err *err)
{
	int64_t n = 0;
	int rc;

	for (;;) {
		rc = s->watch[0] ? ledger_held_reason(
					   l, s->watch, STANDING_MOST, s->reason, sizeof(s->reason), &n, err)
				 : 0;
		if (rc != 0)
			break;
		s->reason[0] = '\0';
		rc = ledger_held_watch(l, s->watch, sizeof(s->watch), err);
		if (rc <= 0)
			return rc;
	}
	if (rc > 0)
		add_record(s, conf, "held", NULL, s->reason, n, w);
	return rc;
}

/* The next line, and how many rows of it stand still: what was never sent may just wait for its job to be
 * known. 1, 0, -errno */
static int next_line(
	struct standing *s, struct ledger *l, const struct conf *conf, int64_t *ret_n, struct err *err)
{
	int rc = ledger_pending_line(l, s->watch, sizeof(s->watch), s->host, sizeof(s->host), err);
	const struct conf_watch *w;

	*ret_n = 0;
	if (rc <= 0 || remake_has_host(conf, s->host))
		return rc;
	w = conf_watch_find(conf, s->watch);
	rc = w && remake_waits_for_job(w)
		     ? ledger_count_sent(l, s->watch, s->host, STANDING_MOST, ret_n, err)
		     : ledger_count_line(l, s->watch, s->host, STANDING_MOST, ret_n, err);
	return rc < 0 ? rc : 1;
}

static int next_pending(
	struct standing *s, struct ledger *l, const struct conf *conf, struct json_writer *w, struct err *err)
{
	int64_t n = 0;
	int rc;

	do
		rc = next_line(s, l, conf, &n, err);
	while (rc > 0 && n == 0);
	if (rc > 0)
		add_record(s, conf, "pending", s->host, "workspace_removed", n, w);
	return rc;
}

int standing_next(
	struct standing *s, struct ledger *l, const struct conf *conf, struct json_writer *w, struct err *err)
{
	int rc = s->held_over ? 0 : next_held(s, l, conf, w, err);

	if (rc != 0)
		return rc;
	if (!s->held_over)
		s->watch[0] = '\0';
	s->held_over = true;
	return next_pending(s, l, conf, w, err);
}
