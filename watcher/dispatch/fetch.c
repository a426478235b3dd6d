/*
 * fetch: the backlog stays in the ledger; a page of row numbers per line is all that is in memory.
 */
#include "dispatch/fetch.h"

#include "base/log.h"
#include "base/mem.h"

#define LEFT_OUT_MAX 4096 /* rows that cannot be read, before the ledger counts as damaged */

/* Rows that come along with a page and are dropped from it. */
static size_t in_the_way(const struct sender *s, const struct line *line)
{
	return (size_t)line->out + map_count(s->left_out) + (line->doubt ? doubt_count(line->doubt) : 0);
}

static bool is_in_the_way(const struct sender *s, const struct line *line, int64_t id)
{
	return map_get_u64(s->by_id, (uint64_t)id) || map_get_u64(s->left_out, (uint64_t)id) ||
	       (line->doubt && doubt_has(line->doubt, id));
}

int64_t fetch_old_id(const struct sender *s, const struct line *line)
{
	return line->doubt ? s->age.old_id : 0;
}

int fetch_part(struct sender *s, const struct line *line, enum ledger_part part, bool due, int64_t now_us,
	int64_t ids[LANES_PAGE], struct err *err)
{
	struct ledger_line key = line_key(line);
	int room = LANES_PAGE + (int)in_the_way(s, line), kept = 0;
	CLEANUP_FREE int64_t *found = mem_array((size_t)room, sizeof(*found));
	int n = due ? ledger_due(s->ledger, &key, part, fetch_old_id(s, line), lanes_wall_us(s, now_us),
			      found, room, err)
		    : ledger_fresh(s->ledger, &key, part, fetch_old_id(s, line), found, room, err);

	for (int i = 0; i < n && kept < LANES_PAGE; i++)
		if (!is_in_the_way(s, line, found[i]))
			ids[kept++] = found[i];
	return n < 0 ? n : kept;
}

/* Fetches a page of a line. 0 or -errno */
static int fetch_page(
	struct sender *s, struct line *line, enum ledger_part part, bool due, int64_t now_us, struct err *err)
{
	int n = fetch_part(s, line, part, due, now_us, line->ids, err);

	line->pos = 0;
	line->n = n > 0 ? n : 0;
	line->fresh = part == LEDGER_YOUNG && !due;
	return n < 0 ? n : 0;
}

/* Those that were never tried. */
static int fetch_untried(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	int rc = fetch_page(s, line, LEDGER_CERTAIN, false, now_us, err);

	if (rc == 0 && line->n == 0 && !line_is_certain_only(line))
		rc = fetch_page(s, line, LEDGER_YOUNG, false, now_us, err);
	return rc;
}

int fetch_urgent(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	int rc = line_tries_another(line) ? fetch_untried(s, line, now_us, err) : 0;

	if (rc < 0 || line->n > line->pos)
		return rc;
	rc = fetch_page(s, line, LEDGER_CERTAIN, true, now_us, err);
	if (rc == 0 && line->n == 0 && !line_is_certain_only(line))
		rc = fetch_page(s, line, LEDGER_YOUNG, true, now_us, err);
	if (rc == 0 && line->n == 0)
		rc = fetch_page(s, line, LEDGER_CERTAIN, false, now_us, err);
	return rc;
}

int fetch_fresh(struct sender *s, struct line *line, int64_t now_us, struct err *err)
{
	struct ledger_line key = line_key(line);
	int64_t due_us;
	int rc = 0;

	if (!line_is_certain_only(line))
		rc = fetch_page(s, line, LEDGER_YOUNG, false, now_us, err);
	if (rc < 0 || line->n > 0)
		return rc;
	line->look = false;
	rc = ledger_next_due(s->ledger, &key, lanes_wall_us(s, now_us), &due_us, err);
	line->due_us = rc > 0 ? lanes_mono_us(s, due_us) : INT64_MAX;
	return rc < 0 ? rc : 0;
}

int fetch_leave_out(struct sender *s, int64_t id, struct err *err)
{
	if (map_count(s->left_out) >= LEFT_OUT_MAX)
		return err_set(err, ERR_LIMIT, EUCLEAN, "the ledger has too many rows that cannot be read");
	log_error("%s; it is left out", err->text);
	(void)map_put_u64(s->left_out, (uint64_t)id, s);
	return 0;
}
