/*
 * lanes: made when the sender is made, from the configuration and from what waits in the ledger: rows of a
 * watch or workspace that is not configured any more have a lane and line, too, since they may be out.
 *
 * Time: rows keep the wall-clock time of their next try. To stay independent of somebody setting the clock,
 * "now" is the wall clock of the start plus what the monotonic clock has counted since.
 */
#include "dispatch/lanes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "dispatch/remake.h"

int64_t lanes_wall_us(const struct sender *s, int64_t mono_us)
{
	return s->wall_us + (mono_us - s->mono_us);
}

int64_t lanes_mono_us(const struct sender *s, int64_t wall_us)
{
	return s->mono_us + (wall_us - s->wall_us);
}

const char *lane_name(const struct lane *lane)
{
	return lane->conf->name[0] ? lane->conf->name : lane->conf->host_token;
}

void line_restart(struct line *line)
{
	line->n = line->pos = 0;
	line->look = line->look_old = true;
}

bool line_is_certain_only(const struct line *line)
{
	return line->conf == NULL || line->paused || line->pausing || line->held;
}

struct ledger_line line_key(const struct line *line)
{
	return (struct ledger_line){.watch = line->watch,
		.host = line->lane->conf->host_token,
		.certain_only = line_is_certain_only(line)};
}

bool line_tries_another(const struct line *line)
{
	return line->pause.other || line->lane->pause.other;
}

/* ---- slots ---- */

void slot_new(struct sender *s, struct line *line, const struct ledger_row *row)
{
	struct slot *slot = mem_alloc(sizeof(*slot));

	slot->sender = s;
	slot->line = line;
	slot->id = row->id;
	slot->was_sent = row->sent;
	slot->tries = row->attempts;
	slot->first_failed_us = row->first_failed_us;
	slot->old_job = line->conf && line->conf->job_id != row->job_id;
	slot->body = mem_dup(buf_str(&s->body), s->body.len);
	slot->len = s->body.len;
	list_add_tail(&s->slots, &slot->in);
	(void)map_put_u64(s->by_id, (uint64_t)row->id, slot);
	line->out++;
	line->lane->out++;
}

void slot_free(struct slot *slot)
{
	struct sender *s = slot->sender;

	list_remove(&slot->in);
	(void)map_remove_u64(s->by_id, (uint64_t)slot->id);
	slot->line->out--;
	slot->line->lane->out--;
	slot->line->look = true;
	if (slot->state == SLOT_ANSWERED)
		s->answered--;
	free(slot->body);
	free(slot->error_code);
	free(slot->message);
	free(slot->principal);
	free(slot->say);
	free(slot);
}

/* ---- making ---- */

struct lane *lanes_find_host(const struct sender *s, const char *host)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		if (strcmp(s->lanes[i]->conf->host_token, host) == 0)
			return s->lanes[i];
	return NULL;
}

struct lane *lanes_find(const struct sender *s, const struct conf_workspace *conf)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		if (s->lanes[i]->conf == conf)
			return s->lanes[i];
	return NULL;
}

static int add_lane(struct sender *s, const struct conf_workspace *conf, struct err *err)
{
	struct lane *lane = mem_alloc(sizeof(*lane));

	lane->sender = s;
	lane->conf = conf;
	lane->verify = verify_new(s->conf, s->ledger, s->scribe, conf->host_token);
	list_init(&lane->lines);
	rate_init(&lane->rate, conf->rate.count, conf->rate.per_us, conf->burst, s->mono_us);
	s->lanes = mem_resize(s->lanes, s->lanes_n + 1, sizeof(struct lane *));
	s->lanes[s->lanes_n++] = lane;
	lane->jobs = jobs_new(s->loop, conf, s->on_answer, s, err);
	if (lane->jobs)
		return 0;
	return err_prefix(err, "workspace %s", lane_name(lane));
}

struct line *lanes_find_line(const struct sender *s, const char *watch, const struct lane *lane)
{
	for (size_t i = 0; i < s->lines_n; i++)
		if (s->lines[i]->lane == lane && strcmp(s->lines[i]->watch, watch) == 0)
			return s->lines[i];
	return NULL;
}

static void add_line(struct sender *s, const char *watch, const struct conf_watch *conf, struct lane *lane)
{
	struct line *line = mem_alloc(sizeof(*line));

	line->lane = lane;
	line->watch = mem_strdup(watch);
	line->conf = conf;
	line->look = line->look_old = true;
	line->due_us = INT64_MAX;
	line->doubt = conf && s->asker.ask ? doubt_new() : NULL;
	line->max_out = conf && conf->max_requests > 0 ? conf->max_requests : INT64_MAX;
	rate_init(&line->rate, conf ? conf->rate.count : 0, conf ? conf->rate.per_us : 1, 1, s->mono_us);
	list_add_tail(&lane->lines, &line->in_lane);
	s->lines = mem_resize(s->lines, s->lines_n + 1, sizeof(struct line *));
	s->lines[s->lines_n++] = line;
}

static bool is_chosen_watch(const struct sender_options *o, const char *watch)
{
	return o->only_watch[0] == '\0' || strcmp(o->only_watch, watch) == 0;
}

int lanes_add_watches(struct sender *s, const struct sender_options *o, struct err *err)
{
	for (size_t i = 0; i < o->conf->watches_n; i++) {
		const struct conf_watch *w = o->conf->watches[i];

		if (!is_chosen_watch(o, w->name))
			continue;
		if (!lanes_find(s, w->workspace)) {
			int rc = add_lane(s, w->workspace, err);

			if (rc < 0)
				return rc;
		}
		add_line(s, w->name, w, lanes_find(s, w->workspace));
	}
	return 0;
}

/* The lane to a host, also of a workspace that no watch uses any more. */
static struct lane *lane_to(struct sender *s, const char *host)
{
	struct lane *lane = lanes_find_host(s, host);
	struct err err = ERR_INIT;

	for (size_t i = 0; !lane && i < s->conf->workspaces_n; i++) {
		const struct conf_workspace *ws = s->conf->workspaces[i];

		if (!ws->host_token || strcmp(ws->host_token, host) != 0)
			continue;
		if (add_lane(s, ws, &err) == 0)
			return lanes_find_host(s, host);
		log_warning("%s", err.text);
		s->lanes_n--;
		verify_free(s->lanes[s->lanes_n]->verify);
		free(s->lanes[s->lanes_n]);
		break;
	}
	return lane;
}

void lanes_strand(struct sender *s, const char *watch, const char *host, int64_t rows)
{
	for (size_t i = 0; i < s->stranded_n; i++) {
		if (strcmp(s->stranded[i].watch, watch) != 0 || strcmp(s->stranded[i].host, host) != 0)
			continue;
		s->stranded[i].rows += rows;
		return;
	}
	s->stranded = mem_resize(s->stranded, s->stranded_n + 1, sizeof(s->stranded[0]));
	s->stranded[s->stranded_n++] =
		(struct stranded){.watch = mem_strdup(watch), .host = mem_strdup(host), .rows = rows};
}

/* Rows for a host of former days, of a watch whose job is not known yet: those that were never sent are its
 * own, and get another request. Leaves the others. */
static int claim_own(const struct lanes_lining *x, const struct conf_watch *conf, const char *host,
	int64_t *rows, struct err *err)
{
	struct line *own = lanes_find_line(x->s, conf->name, lanes_find(x->s, conf->workspace));
	int64_t sent = 0;
	int rc = ledger_count_sent(x->s->ledger, conf->name, host, INT64_MAX, &sent, err);

	if (rc < 0)
		return rc;
	own->pending += *rows - sent;
	*rows = sent;
	return 0;
}

int lanes_line_up(const char *watch, const char *host, int64_t rows, void *arg)
{
	const struct lanes_lining *x = arg;
	const struct conf_watch *conf = conf_watch_find(x->o->conf, watch);
	struct lane *lane;
	struct line *line;

	if (!is_chosen_watch(x->o, watch))
		return 0;
	if (conf && remake_waits_for_job(conf) && strcmp(conf->workspace->host_token, host) != 0) {
		int rc = claim_own(x, conf, host, &rows, x->err);

		if (rc < 0 || rows == 0)
			return rc;
	}
	if (conf && conf->workspace && strcmp(conf->workspace->host_token, host) == 0)
		lane = lanes_find(x->s, conf->workspace);
	else
		lane = lane_to(x->s, host);
	if (!lane) {
		log_warning(
			"watch %s: %" PRId64
			" files that may have been sent wait for the workspace %s, which is not configured "
			"any more: bring it back, or brickwatch rerun or drop them",
			watch, rows, host);
		lanes_strand(x->s, watch, host, rows);
		return 0;
	}
	line = lanes_find_line(x->s, watch, lane);
	if (!line) { /* of former days: what may be out must be asked for, the rest waits */
		log_warning("watch %s is not configured for the workspace %s any more: of its %" PRId64
			    " waiting files only those are sent that may have been sent before",
			watch, host, rows);
		add_line(x->s, watch, NULL, lane);
		return 0;
	}
	line->pending += rows;
	return 0;
}

void lanes_done(struct sender *s)
{
	for (size_t i = 0; i < s->lanes_n; i++)
		jobs_free(s->lanes[i]->jobs);
	LIST_FOREACH_SAFE (it, &s->slots)
		slot_free(LIST_OF(it, struct slot, in));
	for (size_t i = 0; i < s->lanes_n; i++) {
		pause_done(&s->lanes[i]->pause);
		verify_free(s->lanes[i]->verify);
		free(s->lanes[i]);
	}
	for (size_t i = 0; i < s->lines_n; i++) {
		doubt_free(s->lines[i]->doubt);
		pause_done(&s->lines[i]->pause);
		drought_end(&s->lines[i]->drought);
		free(s->lines[i]->watch);
		free(s->lines[i]);
	}
	for (size_t i = 0; i < s->stranded_n; i++) {
		free(s->stranded[i].watch);
		free(s->stranded[i].host);
	}
	free(s->stranded);
	free(s->lanes);
	free(s->lines);
}
