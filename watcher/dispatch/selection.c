/*
 * selection: by row number in stretches, so that no step takes longer the larger the ledger is. Rows that
 * come while it walks are not of it.
 */
#include "dispatch/selection.h"

#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/glob.h"

#define DESCRIBED_PATHS 20

int selection_state(const char *name)
{
	if (!name[0])
		return -1;
	for (int state = 0; state < LEDGER_STATES; state++)
		if (strcmp(name, ledger_state_name((enum ledger_state)state)) == 0)
			return state;
	return -2;
}

int selection_no_state(const char *name, const char *also, struct err *err)
{
	CLEANUP_BUF struct buf b = BUF_INIT(ERR_TEXT_BYTES);

	for (int state = 0; state < LEDGER_STATES; state++)
		(void)buf_addf(
			&b, "%s%s", state > 0 ? ", " : "", ledger_state_name((enum ledger_state)state));
	return err_set(err, ERR_USAGE, EINVAL, "there is no state \"%.60s\"; there are %s%s", name, also,
		buf_str(&b));
}

int selection_init(struct selection *s, const struct control_request *r, struct err *err)
{
	int state = selection_state(r->state);

	if (state < -1)
		return selection_no_state(r->state, "", err);
	if (r->glob[0] && glob_check(r->glob, err) < 0)
		return err_set(err, ERR_USAGE, EINVAL, "%s", err->text);
	*s = (struct selection){
		.filter = {.state = state,
			.watch = r->watch,
			.since_us = r->since_us,
			.until_us = r->until_us},
		.glob = r->glob,
		.operands = r->operands,
		.operands_n = r->operands_n,
		.last = -1,
	};
	return 0;
}

bool selection_is_over(const struct selection *s)
{
	if (s->operands_n > 0)
		return s->operand == s->operands_n;
	return s->last >= 0 && s->after >= s->last;
}

static int page_of_operand(struct selection *s, struct ledger *l, int64_t *ids, int n, int *ret_n,
	bool *ret_operand_over, struct err *err)
{
	int got = ledger_select_path(l, s->operands[s->operand].bytes, s->after, ids, n, err);

	if (got < 0)
		return got;
	*ret_n = got;
	*ret_operand_over = got < n;
	s->after = got < n ? 0 : ids[got - 1];
	s->operand += got < n;
	return 0;
}

int selection_page(struct selection *s, struct ledger *l, int64_t *ids, int n, int *ret_n,
	bool *ret_operand_over, struct err *err)
{
	int64_t through;
	int rc = s->last < 0 ? ledger_newest_id(l, &s->last, err) : 0;

	*ret_n = 0;
	*ret_operand_over = false;
	if (rc < 0 || selection_is_over(s))
		return rc;
	if (s->operands_n > 0)
		return page_of_operand(s, l, ids, n, ret_n, ret_operand_over, err);
	through = s->after + SELECTION_STRETCH < s->last ? s->after + SELECTION_STRETCH : s->last;
	rc = ledger_select(l, &s->filter, s->after, through, ids, n, err);
	if (rc < 0)
		return rc;
	*ret_n = rc;
	s->after = rc == n ? ids[n - 1] : through;
	return 0;
}

/* What ledger_select has not looked at already when the rows come by their path. */
static bool passes(const struct selection *s, const struct ledger_row *row, const struct ledger_note *note)
{
	const struct ledger_filter *f = &s->filter;

	return row->id <= s->last && (f->state < 0 || (int)row->state == f->state) &&
	       (!f->watch[0] || strcmp(f->watch, row->watch) == 0) && note->changed_us >= f->since_us &&
	       (f->until_us == 0 || note->changed_us < f->until_us) &&
	       selection_fits(s->glob, row->root, row->relpath);
}

int selection_load(const struct selection *s, struct ledger *l, int64_t id, struct ledger_row *row,
	struct ledger_note *note, struct err *err)
{
	int rc = ledger_row(l, id, row, err);

	if (rc <= 0)
		return rc;
	rc = ledger_note(l, id, note, err);
	if (rc > 0 && passes(s, row, note))
		return 1;
	if (rc > 0)
		ledger_note_done(note);
	ledger_row_done(row);
	return rc < 0 ? rc : 0;
}

bool selection_fits(const char *glob, const char *root, const char *relpath)
{
	CLEANUP_FREE char *path = NULL;

	if (!glob[0])
		return true;
	if (glob[0] != '/')
		return glob_match(glob, relpath, false);
	path = fs_join(root, relpath);
	return strcmp(path, glob) == 0 || glob_match(glob, path + 1, false);
}

static void describe(struct buf *b, const char *option, const char *text)
{
	if (!text[0])
		return;
	(void)buf_addf(b, "%s--%s ", b->len > 0 ? " " : "", option);
	(void)text_add_utf8_repaired(b, text, strlen(text));
}

static void describe_time(struct buf *b, const char *option, int64_t at_us)
{
	char text[CLOCK_TEXT_BYTES];

	if (at_us > 0)
		describe(b, option, clock_format_us(at_us, 0, text));
}

void selection_describe(const struct control_request *r, struct buf *b)
{
	size_t shown = r->operands_n < DESCRIBED_PATHS ? r->operands_n : DESCRIBED_PATHS;

	describe(b, "state", r->state);
	describe(b, "watch", r->watch);
	describe_time(b, "since", r->since_us);
	describe_time(b, "until", r->until_us);
	describe(b, "glob", r->glob);
	for (size_t i = 0; i < shown; i++) {
		(void)buf_adds(b, b->len > 0 ? " " : "");
		(void)text_add_utf8_repaired(b, r->operands[i].bytes, r->operands[i].len);
	}
	if (shown < r->operands_n)
		(void)buf_addf(b, " … (%zu in all)", r->operands_n);
}
