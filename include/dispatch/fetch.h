/*
 * fetch: rows of a line out of the ledger, a page at a time, without those that are on their way, cannot be
 * read, or are being asked about.
 */
#ifndef DISPATCH_FETCH_H
#define DISPATCH_FETCH_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "dispatch/lanes.h"

/* Rows up to this one are old to a line. */
int64_t fetch_old_id(const struct sender *s, const struct line *line);
/* One kind of rows into ids: due again, or never tried. Returns how many or -errno. */
int fetch_part(struct sender *s, const struct line *line, enum ledger_part part, bool due, int64_t now_us,
	int64_t ids[LANES_PAGE], struct err *err) MUST_CHECK;
/* Into the line: rows whose time has come again, and those that may be out. 0 or -errno */
int fetch_urgent(struct sender *s, struct line *line, int64_t now_us, struct err *err) MUST_CHECK;
/* Into the line: rows never tried; if there are none, it knows until when. 0 or -errno */
int fetch_fresh(struct sender *s, struct line *line, int64_t now_us, struct err *err) MUST_CHECK;
/* A row that cannot be read (*err says why): the others must not wait for it. 0, or -errno: too many */
int fetch_leave_out(struct sender *s, int64_t id, struct err *err) MUST_CHECK;

#endif
