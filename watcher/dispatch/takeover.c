/*
 * takeover: adopt: what event logs say was started becomes started rows.
 *
 * The command line sends the lines, in their order, as operands of as many commands as it takes. Lines are
 * taken a chunk a transaction; the one event of each command counts what it changed.
 */
#include "dispatch/takeover.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "dispatch/adopt.h"
#include "dispatch/desk.h"

#define TAKEOVER_CHUNK 256 /* lines in one transaction */
#define DAMAGES_SAID 5

struct takeover {
	struct takeover_progress {
		size_t at; /* operand */
		int64_t inserted, started, known, damaged;
	} now, then;
	/* of the chunk in hand: rows that do not wait any more */
	struct adopt gone[TAKEOVER_CHUNK];
	size_t gone_n;
	bool told;
};

static int takeover_open(struct control_job *j, struct err *err)
{
	struct desk *d = j->host;

	if (j->request->operands_n == 0)
		return err_set(err, ERR_USAGE, EINVAL, "no lines of an event log");
	if (d->ledger_is_failing(d))
		return err_set(err, ERR_SYSTEM, EIO, "the ledger cannot be written now; nothing was changed");
	return 0;
}

static int take_line(struct takeover *t, struct desk *d, const struct control_operand *line, struct err *err)
{
	struct adopt a = {.result = ADOPT_OTHER};
	struct err why = ERR_INIT;
	int rc = adopt_line(d->ledger, d->conf, line->bytes, line->len, clock_wall_us(), &a, &why);

	if (rc < 0) {
		*err = why;
		return rc;
	}
	t->then.inserted += a.result == ADOPT_INSERTED;
	t->then.started += a.result == ADOPT_STARTED;
	t->then.known += a.result == ADOPT_KNOWN;
	t->then.damaged += a.result == ADOPT_DAMAGED;
	if (a.result == ADOPT_DAMAGED && t->then.damaged <= DAMAGES_SAID)
		log_warning("adopt: a line of an event log is passed over: %s", why.text);
	if (a.was_pending)
		t->gone[t->gone_n++] = a;
	return 0;
}

static int write_event(const struct takeover *t, struct control_job *j, struct err *err)
{
	struct desk *d = j->host;
	const struct event_action x = {
		.verb = j->request->verb,
		.arguments = j->request->glob, /* the file's name */
		.user = j->request->user,
		.reason = j->request->reason,
		.count = t->then.inserted + t->then.started,
	};

	return x.count > 0 ? scribe_action(d->scribe, NULL, &x, clock_wall_us(), err) : 0;
}

static int takeover_apply(struct control_job *j, struct err *err)
{
	const struct control_request *r = j->request;
	struct takeover *t = j->state;
	int rc = 0;

	t->then = t->now;
	t->gone_n = 0;
	for (int i = 0; i < TAKEOVER_CHUNK && rc == 0 && t->then.at < r->operands_n; i++)
		rc = take_line(t, j->host, &r->operands[t->then.at++], err);
	if (rc == 0 && t->then.at == r->operands_n)
		rc = write_event(t, j, err);
	if (rc < 0)
		return rc;
	return t->then.at < r->operands_n ? CONTROL_AGAIN : 0;
}

static void takeover_committed(struct control_job *j)
{
	struct takeover *t = j->state;
	struct desk *d = j->host;

	t->now = t->then;
	CRASH_POINT("takeover-chunk");
	for (size_t i = 0; i < t->gone_n; i++)
		sender_gone(d->sender, t->gone[i].watch, 1);
	t->gone_n = 0;
}

/* One record: the numbers. */
static int takeover_next(struct control_job *j, struct buf *json, struct err *err)
{
	struct takeover *t = j->state;
	struct json_writer w = JSON_WRITER(json);

	(void)err;
	if (t->told)
		return 0;
	t->told = true;
	j->status = t->now.damaged > 0;
	json_begin_object(&w, NULL);
	json_add_i64(&w, "inserted", t->now.inserted);
	json_add_i64(&w, "started", t->now.started);
	json_add_i64(&w, "known", t->now.known);
	json_add_i64(&w, "damaged", t->now.damaged);
	json_end_object(&w);
	return 1;
}

const struct control_verb takeover_adopt = {
	.name = "adopt",
	.state_bytes = sizeof(struct takeover),
	.open = takeover_open,
	.apply = takeover_apply,
	.committed = takeover_committed,
	.next = takeover_next,
};
