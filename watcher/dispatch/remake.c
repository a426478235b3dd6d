/*
 * remake: what a row does not keep (the absolute path, the type's word) is put together as intake had it.
 */
#include "dispatch/remake.h"

#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

const struct conf_watch *remake_watch(const struct conf *conf, const struct ledger_row *row)
{
	const struct conf_watch *w = conf_watch_find(conf, row->watch);

	return w && w->workspace && w->job_id > 0 ? w : NULL;
}

bool remake_waits_for_job(const struct conf_watch *w)
{
	return w->job_name && w->job_id <= 0;
}

const char *remake_host(const struct conf *conf, const struct ledger_row *row)
{
	const struct conf_watch *w = conf_watch_find(conf, row->watch);

	return w && !row->sent && remake_waits_for_job(w) ? w->workspace->host_token : row->host;
}

bool remake_has_host(const struct conf *conf, const char *host)
{
	for (size_t i = 0; i < conf->workspaces_n; i++)
		if (conf->workspaces[i]->host_token && strcmp(conf->workspaces[i]->host_token, host) == 0)
			return true;
	return false;
}

bool remake_is_stranded(const struct conf *conf, const struct ledger_row *row)
{
	return row->state == LEDGER_PENDING && row->sent && !remake_has_host(conf, row->host);
}

static int remake_as(const struct conf_watch *w, const struct ledger_row *row, int64_t generation,
	struct start *s, const char **ret_reason, struct err *err)
{
	CLEANUP_FREE char *path = fs_join(row->root, row->relpath);
	const struct start_facts facts = {
		.watch = w,
		.path = path,
		.relpath = row->relpath,
		.size = row->version.size,
		.mtime_ns = row->version.mtime_ns,
		.mime = row->mime,
		.generation = generation,
		.now_us = clock_wall_us(),
	};

	return start_make(&facts, s, ret_reason, err);
}

int remake_same(const struct conf_watch *w, const struct ledger_row *row, struct start *s,
	const char **ret_reason, struct err *err)
{
	return remake_as(w, row, row->generation, s, ret_reason, err);
}

int remake_next(struct ledger *l, const struct conf_watch *w, const struct ledger_row *row, struct start *s,
	int64_t *ret_generation, const char **ret_reason, struct err *err)
{
	struct ledger_owner owner;

	for (int i = 1; i <= REMAKE_GENERATIONS_MAX; i++) {
		struct err why = ERR_INIT;
		int rc;

		*ret_generation = row->generation + i;
		if (remake_as(w, row, *ret_generation, s, ret_reason, &why) < 0)
			return 0;
		rc = ledger_find_token(l, s->token, row->relpath, &owner, err);
		if (rc <= 0)
			return rc < 0 ? rc : 1;
	}
	*ret_reason = "same_remote_file";
	return 0;
}

struct ledger_new remake_row(const struct conf_watch *w, const struct ledger_row *row, const struct start *s,
	int64_t root_id, int64_t generation, int64_t now_us)
{
	return (struct ledger_new){
		.key = {.watch = row->watch, .root_id = root_id, .relpath = row->relpath},
		.version = row->version,
		.owner = row->owner,
		.mime = row->mime,
		.evidence = "",
		.first_seen_us = row->first_seen_us,
		.completed_us = row->completed_us,
		.state = LEDGER_PENDING,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = s->token,
		.generation = generation,
		.workspace = w->workspace->name,
		.host = w->workspace->host_token,
		.job_id = w->job_id,
		.uri = buf_str(&s->uri),
		.request = s->body.data,
		.request_len = s->body.len,
		.previous_run_id = row->run_id,
		.now_us = now_us,
	};
}
