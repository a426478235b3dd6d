/*
 * standing: steps from one watch, reason or host to the next by an index, so that what is not held costs
 * nothing.
 */
#include "dispatch/standing.h"

#include <stdio.h>
#include <string.h>

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

static bool has_host(const struct conf *conf, const char *host)
{
	for (size_t i = 0; i < conf->workspaces_n; i++)
		if (conf->workspaces[i]->host_token && strcmp(conf->workspaces[i]->host_token, host) == 0)
			return true;
	return false;
}

static int next_pending(
	struct standing *s, struct ledger *l, const struct conf *conf, struct json_writer *w, struct err *err)
{
	int64_t n = 0;
	int rc;

	do
		rc = ledger_pending_line(l, s->watch, sizeof(s->watch), s->host, sizeof(s->host), err);
	while (rc > 0 && has_host(conf, s->host));
	if (rc > 0)
		rc = ledger_count_line(l, s->watch, s->host, STANDING_MOST, &n, err);
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
