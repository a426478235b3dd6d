/*
 * readiness: a watch is up when it has listed, or when what it waits for has been said in an event or on the
 * status page. Once ready, the service stays so.
 */
#include "dispatch/readiness.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "core/wire.h"
#include "dispatch/jobwatch.h"
#include "dispatch/watches.h"

#define EVERY_US (1 * US_PER_S)
#define NAMED_MAX 3 /* watches that are not up, by name: the line is short */
#define LINE_BYTES 1024

void readiness_init(struct readiness *r, int keeper_fd, int64_t now_us)
{
	*r = (struct readiness){.keeper_fd = keeper_fd, .began_us = now_us};
}

void readiness_done(struct readiness *r)
{
	free(r->sent);
	r->sent = NULL;
}

static bool is_up(const struct readiness_view *v, size_t i)
{
	const struct watch_state *w = &v->watches->items[i];
	struct jobwatch_view job = {.waits = false};

	if (v->jobwatch)
		jobwatch_view(v->jobwatch, i, &job);
	return w->scanned || w->lost || w->stall.is_on || (job.waits && job.asked);
}

static int64_t count_up(const struct readiness_view *v)
{
	int64_t up = 0;

	for (size_t i = 0; i < v->watches->conf->watches_n; i++)
		up += is_up(v, i);
	return up;
}

static void add_names(const struct readiness_view *v, struct buf *line)
{
	int64_t named = 0;

	for (size_t i = 0; i < v->watches->conf->watches_n; i++) {
		if (v->watches->items[i].scanned)
			continue;
		if (named < NAMED_MAX)
			(void)buf_addf(line, "%s%s",
				named ? ", " : " (not yet: ", v->watches->conf->watches[i]->name);
		else if (named == NAMED_MAX)
			(void)buf_adds(line, ", …");
		named++;
	}
	(void)buf_adds(line, named ? ")" : "");
}

static void describe(const struct readiness_view *v, struct buf *line)
{
	const struct sender_counts *c = &v->counts;
	int64_t watching = 0;

	for (size_t i = 0; i < v->watches->conf->watches_n; i++)
		watching += v->watches->items[i].scanned;
	(void)buf_addf(line, "watching %" PRId64 " of %" PRId64 " folders", watching, v->expected);
	if (watching < v->expected)
		add_names(v, line);
	(void)buf_addf(line,
		"; started %" PRId64 ", failed %" PRId64 ", rejected %" PRId64 ", pending %" PRId64 "%s%s",
		c->started, c->failed + v->watches->failed, v->watches->rejected, c->pending,
		v->ledger_fails ? "; the ledger cannot be written" : "",
		v->log_fails ? "; the event log cannot be written" : "");
}

int64_t readiness_tell(struct readiness *r, const struct readiness_view *v, int64_t now_us)
{
	CLEANUP_BUF struct buf line = BUF_INIT(LINE_BYTES);
	bool ready = r->ready || count_up(v) >= v->expected || now_us >= r->began_us + READINESS_PATIENCE_US;
	int64_t again_us = ready ? INT64_MAX : r->began_us + READINESS_PATIENCE_US;
	struct wire_state m = {.ready = ready};

	describe(v, &line);
	m.status = buf_str(&line);
	if (ready == r->ready && r->sent && strcmp(m.status, r->sent) == 0)
		return again_us;
	if (ready == r->ready && r->sent && now_us < r->sent_us + EVERY_US)
		return r->sent_us + EVERY_US;
	if (wire_send(r->keeper_fd, WIRE_STATE, &m, NULL, 0) < 0)
		return now_us + EVERY_US;
	free(r->sent);
	r->sent = mem_strdup(m.status);
	r->sent_us = now_us;
	r->ready = ready;
	return again_us;
}
