/*
 * supersede: usually there is no such row, and at most a few; each makes an event, so they are taken one by
 * one.
 */
#include "dispatch/supersede.h"

#include <string.h>
#include "base/crash.h"
#include "base/log.h"

#define SUPERSEDE_PAGE 16

int supersede_row(struct ledger *l, struct scribe *s, const struct ledger_row *r, const char *detail,
	int64_t now_us, struct err *err)
{
	int rc = ledger_set_state(l, r->id, LEDGER_SUPERSEDED, "", detail, "", now_us, err);

	if (rc < 0)
		return rc;
	CRASH_POINT("supersede-marked");
	return scribe_gone(s, EVENT_FILE_SUPERSEDED, r, r->revived + 1, "its run to be started",
		r->completed_us, now_us, err);
}

/* A row that cannot be read (-EBADMSG) loses its turn only: the sender would not send it either. */
static int supersede_id(struct ledger *l, struct scribe *s, int64_t id, const char *host, int64_t now_us,
	int64_t *n, struct err *err)
{
	struct ledger_row row;
	int rc = ledger_row(l, id, &row, err);

	if (rc == -EBADMSG) {
		log_error("%s; it is not sent", err->text);
		*n += 1;
		return ledger_set_state(l, id, LEDGER_SUPERSEDED, "damaged", "", "", now_us, err);
	}
	if (rc <= 0)
		return rc;
	rc = supersede_row(l, s, &row, SUPERSEDE_NEWER, now_us, err);
	*n += row.state == LEDGER_PENDING && strcmp(row.host, host) == 0;
	ledger_row_done(&row);
	return rc;
}

int supersede_if_newer(
	struct ledger *l, struct scribe *s, const struct ledger_row *r, int64_t now_us, struct err *err)
{
	int rc = ledger_has_newer(l, r->id, err);

	if (rc <= 0)
		return rc;
	rc = supersede_row(l, s, r, SUPERSEDE_NEWER, now_us, err);
	return rc < 0 ? rc : 1;
}

int supersede_waiting(struct ledger *l, struct scribe *s, const struct ledger_key *key, const char *host,
	int64_t now_us, int64_t *n, struct err *err)
{
	int64_t ids[SUPERSEDE_PAGE];
	int found;

	while ((found = ledger_unsent_of(l, key, ids, SUPERSEDE_PAGE, err)) > 0) {
		for (int i = 0; i < found; i++) {
			int rc = supersede_id(l, s, ids[i], host, now_us, n, err);

			if (rc < 0)
				return rc;
		}
	}
	return found;
}
