/*
 * inquire: as many rows as there is room for are asked about ahead of their time, so that a backlog flows.
 */
#include "dispatch/inquire.h"

#include "base/clock.h"
#include "base/crash.h"
#include "dispatch/fetch.h"
#include "dispatch/supersede.h"

#define REPLACED_PAUSE_US (30 * US_PER_S)
#define UNSURE_FIRST_US (2 * US_PER_S)
#define UNSURE_LAST_US (60 * US_PER_S)

bool inquire_may_ask(const struct sender *s, const struct line *line)
{
	return line->doubt && !line_is_certain_only(line) && s->asker.may_ask(line->watch, s->asker.arg);
}

/* 1: asked, 0: cannot be asked now, -errno */
static int ask_about(struct sender *s, struct line *line, int64_t id, int64_t now_us, struct err *err)
{
	struct wire_known known;
	struct ledger_row row;
	int rc = ledger_row(s->ledger, id, &row, err);

	if (rc == -EBADMSG) {
		rc = fetch_leave_out(s, id, err);
		return rc < 0 ? rc : 1;
	}
	if (rc <= 0)
		return rc < 0 ? rc : 1;
	rc = supersede_if_newer(s->ledger, s->scribe, &row, clock_wall_us(), err);
	if (rc != 0) { /* whatever is there now, it would be read for the newer row */
		line->vanished += rc > 0;
		ledger_row_done(&row);
		return rc;
	}
	known = (struct wire_known){
		.relpath = row.relpath,
		.size = row.version.size,
		.mtime_ns = row.version.mtime_ns,
		.ino = (int64_t)row.version.ino,
		.ends = row.version.ends,
	};

	rc = s->asker.ask(line->watch, row.root, id, &known, s->asker.arg);
	ledger_row_done(&row);
	if (rc == -EBUSY) {
		doubt_busy(line->doubt, now_us);
		return 0;
	}
	doubt_asked(line->doubt, id);
	if (rc < 0) /* its directory is not watched any more */
		doubt_answered(line->doubt, id, WIRE_UNSURE, now_us);
	return 1;
}

static int ask_about_each(struct sender *s, struct line *line, const int64_t *ids, int n, int64_t now_us,
	size_t *room, struct err *err)
{
	int rc = 1;

	for (int i = 0; i<n && * room> 0 && rc > 0; i++) {
		rc = ask_about(s, line, ids[i], now_us, err);
		*room -= rc > 0;
	}
	if (rc == 0)
		*room = 0;
	return rc < 0 ? rc : 0;
}

int inquire_ahead(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	int64_t ids[LANES_PAGE];
	size_t room = line->look_old && inquire_may_ask(s, line) ? doubt_room(line->doubt, now_us) : 0;
	bool due_first = !line_tries_another(line);
	int n, rc, found;

	if (room == 0)
		return 0;
	n = found = fetch_part(s, line, LEDGER_OLD, due_first, now_us, ids, err);
	rc = n < 0 ? n : ask_about_each(s, line, ids, n, now_us, &room, err);
	if (rc < 0 || room == 0)
		return rc;
	n = fetch_part(s, line, LEDGER_OLD, !due_first, now_us, ids, err);
	rc = n < 0 ? n : ask_about_each(s, line, ids, n, now_us, &room, err);
	line->look_old = found + n > 0; /* once more, when these are answered */
	return rc;
}

/* How long until an old row that nobody can tell anything about is asked about again: grows with its age. */
static int64_t unsure_pause_us(const struct sender *s, const struct ledger_row *row, int64_t now_us)
{
	int64_t age_us = lanes_wall_us(s, now_us) - row->completed_us;

	if (age_us / 8 < UNSURE_FIRST_US)
		return UNSURE_FIRST_US;
	return age_us / 8 < UNSURE_LAST_US ? age_us / 8 : UNSURE_LAST_US;
}

static int apply_gone_file(struct sender *s, const struct ledger_row *row, struct err *err)
{
	int64_t now_us = clock_wall_us();
	int rc = ledger_set_state(s->ledger, row->id, LEDGER_VANISHED, "",
		"the file was gone before its run was started", "", now_us, err);

	CRASH_POINT("inquire-vanished");
	return rc < 0 ? rc
		      : scribe_gone(s->scribe, EVENT_FILE_VANISHED, row, row->revived + 1,
				"its run to be started", row->completed_us, now_us, err);
}

static int refuse_row(struct sender *s, struct line *line, const struct ledger_row *row,
	enum wire_verdict verdict, struct err *err)
{
	int64_t now_us = clock_mono_us(), pause_us;

	if (row->state != LEDGER_PENDING || row->sent || row->unchecked)
		return 0; /* somebody else was quicker */
	if (verdict != WIRE_UNSURE) {
		int rc = supersede_if_newer(s->ledger, s->scribe, row, clock_wall_us(), err);

		line->vanished += rc > 0;
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	if (verdict == WIRE_GONE) {
		line->vanished++;
		return apply_gone_file(s, row, err);
	}
	pause_us = verdict == WIRE_REPLACED ? REPLACED_PAUSE_US : unsure_pause_us(s, row, now_us);
	return ledger_postpone(s->ledger, row->id, lanes_wall_us(s, now_us + pause_us), err);
}

struct refusing {
	struct sender *s;
	struct line *line;
	struct err *err;
};

static int refuse_id(int64_t id, enum wire_verdict verdict, void *arg)
{
	const struct refusing *x = arg;
	struct ledger_row row;
	int rc = ledger_row(x->s->ledger, id, &row, x->err);

	if (rc == -EBADMSG)
		return fetch_leave_out(x->s, id, x->err);
	if (rc <= 0)
		return rc;
	rc = refuse_row(x->s, x->line, &row, verdict, x->err);
	ledger_row_done(&row);
	return rc;
}

size_t inquire_refused(const struct sender *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->lines_n; i++)
		n += s->lines[i]->doubt ? doubt_refused(s->lines[i]->doubt) : 0;
	return n;
}

int inquire_apply(struct sender *s, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < s->lines_n && rc == 0; i++) {
		struct refusing x = {.s = s, .line = s->lines[i], .err = err};

		x.line->vanished = 0;
		if (x.line->doubt)
			rc = doubt_each_refused(x.line->doubt, refuse_id, &x);
	}
	return rc;
}

void inquire_committed(struct sender *s)
{
	for (size_t i = 0; i < s->lines_n; i++) {
		struct line *line = s->lines[i];

		line->pending -= line->vanished;
		line->vanished = 0;
		if (!line->doubt || doubt_refused(line->doubt) == 0)
			continue;
		line->look = line->look_old = true;
		doubt_forget_refused(line->doubt);
	}
}

int inquire_note_ages(struct sender *s, int64_t now_us, struct err *err)
{
	int64_t newest;
	int rc = ledger_newest_id(s->ledger, &newest, err);

	if (rc < 0 || !age_note(&s->age, newest, now_us))
		return rc;
	for (size_t i = 0; i < s->lines_n; i++)
		s->lines[i]->look_old = true;
	return 0;
}
