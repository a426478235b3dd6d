/*
 * choice: a line is free when its watch, its workspace and the limits of both let a request out now.
 */
#include "dispatch/choice.h"

#include <inttypes.h>
#include "dispatch/fetch.h"
#include "dispatch/inquire.h"

static bool is_free(const struct line *line, int64_t now_us)
{
	if (pause_is_on(&line->pause, now_us) || (line->pause.failures > 0 && line->out > 0))
		return false;
	return line->out < line->max_out && rate_next_us(&line->rate, now_us) <= now_us;
}

static int64_t next_confirmed(const struct line *line, int64_t now_us)
{
	return line->doubt && !line_is_certain_only(line) ? doubt_confirmed(line->doubt, now_us) : 0;
}

static bool has_row(const struct line *line)
{
	return line->pos < line->n || line->look;
}

/* May this row go out as far as its file is concerned? */
static bool is_certain(
	const struct sender *s, const struct line *line, const struct ledger_row *row, int64_t now_us)
{
	if (row->sent || row->unchecked || line_is_certain_only(line))
		return row->sent || row->unchecked;
	return !line->doubt || (row->id > fetch_old_id(s, line) && row->skips == 0) ||
	       doubt_is_confirmed(line->doubt, row->id, now_us);
}

static bool lane_is_free(const struct lane *lane, int64_t now_us)
{
	if (pause_is_on(&lane->pause, now_us) || (lane->pause.failures > 0 && lane->out > 0))
		return false;
	return lane->out < lane->conf->max_requests && rate_next_us(&lane->rate, now_us) <= now_us;
}

/* Makes a slot of a row. 1 or -errno */
static int choose_loaded(struct sender *s, struct line *line, const struct ledger_row *row, struct err *err)
{
	int rc = ledger_request(s->ledger, row->id, &s->body, err);

	if (rc == 0 || !row->token[0])
		return err_set(err, ERR_INPUT, EBADMSG,
			"row %" PRId64 " of the ledger waits without a request", row->id);
	if (rc > 0 && !row->sent)
		rc = ledger_mark_sent(s->ledger, row->id, err);
	if (rc < 0)
		return rc;
	if (line->doubt)
		doubt_forget(line->doubt, row->id);
	slot_new(s, line, row);
	return 1;
}

/* Loads the row and makes a slot of it. 1, 0 (not this one), -errno */
static int choose_row(struct sender *s, struct line *line, int64_t id, int64_t now_us, struct err *err)
{
	struct ledger_row row;
	int rc;

	if (map_get_u64(s->by_id, (uint64_t)id))
		return 0;
	rc = ledger_row(s->ledger, id, &row, err);
	if (rc > 0) {
		rc = 0;
		if (row.state == LEDGER_PENDING && is_certain(s, line, &row, now_us))
			rc = choose_loaded(s, line, &row, err);
		ledger_row_done(&row);
	}
	return rc == -EBADMSG ? fetch_leave_out(s, id, err) : rc;
}

/* 1, 0, -errno */
static int choose_confirmed(struct sender *s, struct line *line, int64_t id, int64_t now_us, struct err *err)
{
	int rc = choose_row(s, line, id, now_us, err);

	if (rc == 0)
		doubt_forget(line->doubt, id); /* not pending any more, or damaged */
	return rc;
}

/* 1: chose one, 0: there is none, -errno */
static int choose_from_line(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	int rc = inquire_ahead(s, line, now_us, err);

	while (rc == 0) {
		int64_t confirmed = next_confirmed(line, now_us);

		if (line->pos == line->n && line->look)
			rc = fetch_urgent(s, line, now_us, err);
		if (rc < 0)
			return rc;
		if (confirmed > 0 && (line->pos == line->n || line->fresh || line_tries_another(line)))
			rc = choose_confirmed(s, line, confirmed, now_us, err);
		else if (line->pos < line->n)
			rc = choose_row(s, line, line->ids[line->pos++], now_us, err);
		else if (line->look)
			rc = fetch_fresh(s, line, now_us, err);
		else
			return 0;
	}
	return rc;
}

/* Takes from the lines of a lane in turn. 1, 0, -errno */
static int choose_from_lane(struct sender *s, struct lane *lane, int64_t now_us, struct err *err)
{
	LIST_FOREACH_SAFE (it, &lane->lines) {
		struct line *line = LIST_OF(it, struct line, in_lane);
		int rc = is_free(line, now_us) ? choose_from_line(s, line, now_us, err) : 0;

		if (rc == 0)
			continue;
		if (rc > 0) {
			(void)rate_take(&line->rate, now_us);
			(void)rate_take(&lane->rate, now_us);
			list_remove(&line->in_lane);
			list_add_tail(&lane->lines, &line->in_lane);
		}
		return rc;
	}
	return 0;
}

int choice_make(struct sender *s, int64_t now_us, struct err *err)
{
	for (size_t i = 0; i < s->lanes_n && !s->stopping; i++) {
		int rc = 1;

		while (rc > 0 && lane_is_free(s->lanes[i], now_us))
			rc = choose_from_lane(s, s->lanes[i], now_us, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- when ---- */

static int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When there may be a row to choose or to ask about. */
static int64_t row_time(const struct sender *s, const struct line *line, int64_t now_us)
{
	if (has_row(line) || next_confirmed(line, now_us) > 0)
		return now_us;
	if (line->look_old && inquire_may_ask(s, line))
		return sooner_of(line->due_us, doubt_room_us(line->doubt, now_us));
	return line->due_us;
}

/* When something may be chosen from this line; INT64_MAX: only after something else happens. */
static int64_t line_time(const struct sender *s, const struct line *line, int64_t now_us)
{
	const struct lane *lane = line->lane;
	int64_t at_us = row_time(s, line, now_us);

	if (at_us == INT64_MAX || line->out >= line->max_out || lane->out >= lane->conf->max_requests ||
		(line->out > 0 && line->pause.failures > 0) || (lane->out > 0 && lane->pause.failures > 0))
		return INT64_MAX;
	at_us = later_of(at_us, later_of(pause_until(&line->pause), pause_until(&lane->pause)));
	return later_of(
		at_us, later_of(rate_next_us(&line->rate, now_us), rate_next_us(&lane->rate, now_us)));
}

int64_t choice_time(const struct sender *s, int64_t now_us)
{
	int64_t at_us = INT64_MAX;

	for (size_t i = 0; i < s->lines_n && !s->stopping; i++)
		at_us = sooner_of(at_us, line_time(s, s->lines[i], now_us));
	return at_us;
}
