/*
 * desk: a question that nobody waits for any more stays open until its answer has come, so that a late answer
 * is never taken for that of the next question.
 */
#include "dispatch/desk.h"

#include <string.h>
#include "base/clock.h"
#include "base/text.h"

int desk_find(const struct desk *d, const char *name)
{
	for (size_t i = 0; i < d->conf->watches_n; i++)
		if (strcmp(d->conf->watches[i]->name, name) == 0)
			return (int)i;
	return -1;
}

int desk_ask(struct desk *d, size_t watch, enum desk_kind kind, struct control_job *j, enum wire_type type,
	const void *msg, desk_fn fn)
{
	struct desk_watch *w = d->watch(d, watch);
	struct desk_question *q = &w->questions[kind];
	int rc;

	if (!w->link)
		return -ENOTCONN;
	if (q->open)
		return -EBUSY;
	rc = link_send(w->link, type, msg);
	if (rc < 0)
		return rc;
	*q = (struct desk_question){.open = true, .asker = j, .fn = fn};
	return 0;
}

void desk_forget(struct desk *d, const struct control_job *j)
{
	for (size_t i = 0; i < d->conf->watches_n; i++) {
		struct desk_watch *w = d->watch(d, i);

		for (int kind = 0; kind < DESK_KINDS; kind++)
			if (w->questions[kind].asker == j)
				w->questions[kind].asker = NULL;
	}
}

static size_t place_of(struct desk *d, const struct desk_watch *w)
{
	size_t i = 0;

	while (d->watch(d, i) != w)
		i++;
	return i;
}

static void answer(struct desk *d, struct desk_watch *w, enum desk_kind kind, const struct wire_message *m)
{
	struct desk_question *q = &w->questions[kind];

	if (!m || m->type != WIRE_EXPLAINED)
		q->open = false; /* the last one */
	if (q->asker)
		q->fn(q->asker, place_of(d, w), m);
	if (d->control)
		control_wake(d->control); /* also for those who wait for their turn */
}

bool desk_take(struct desk *d, struct desk_watch *w, const struct wire_message *m)
{
	enum desk_kind kind;

	if (m->type == WIRE_COUNTS)
		kind = DESK_COUNT;
	else if (m->type == WIRE_UNSETTLED)
		kind = DESK_LIST;
	else if (m->type == WIRE_EXPLAINED || m->type == WIRE_EXPLAINED_FILE)
		kind = DESK_EXPLAIN;
	else
		return false;
	if (w->questions[kind].open)
		answer(d, w, kind, m);
	return true;
}

void desk_detached(struct desk *d, struct desk_watch *w)
{
	for (int kind = 0; kind < DESK_KINDS; kind++)
		if (w->questions[kind].open)
			answer(d, w, (enum desk_kind)kind, NULL);
}

bool desk_describe_absence(const struct desk *d, size_t watch, struct buf *text)
{
	const struct conf_watch *w = d->conf->watches[watch];
	char job[JOBCHECK_WORD_BYTES];
	struct jobwatch_view view;
	const struct finding *error;

	jobwatch_view(d->jobwatch, watch, &view);
	if (!view.waits) {
		(void)buf_adds(text, "its watcher does not run now; ask again");
		return false;
	}
	error = findings_error(view.findings);
	(void)buf_addf(text, "nothing is done before %s is known: %s", jobcheck_call(0, w->job_name, job),
		error		       ? error->text
		: view.unknown != NULL ? view.unknown
				       : "it is being looked up");
	return true;
}

int64_t desk_describe_stall(const struct desk_watch *w, struct buf *text)
{
	int64_t since_us = w->page ? __atomic_load_n(&w->page->since_us, __ATOMIC_ACQUIRE) : 0;
	int64_t for_us = since_us > 0 ? clock_mono_us() - since_us : 0;
	char call[sizeof(w->page->call)], path[sizeof(w->page->path)], base[sizeof(w->page->base)],
		span[CLOCK_TEXT_BYTES];

	if (for_us < US_PER_S)
		return 0;
	/* its owner may be writing: what is copied ends in any case */
	memcpy(call, w->page->call, sizeof(call));
	memcpy(path, w->page->path, sizeof(path));
	memcpy(base, w->page->base, sizeof(base));
	(void)text_add_printable(text, call, strnlen(call, sizeof(call)));
	(void)buf_adds(text, " of ");
	if (path[0] != '/' && base[0]) {
		(void)text_add_printable(text, base, strnlen(base, sizeof(base)));
		(void)buf_adds(text, path[0] ? "/" : "");
	}
	(void)text_add_printable(text, path, strnlen(path, sizeof(path)));
	(void)buf_addf(text, " for %s", clock_format_span(for_us, span));
	return for_us;
}

const char *desk_state(struct desk *d, size_t watch, int64_t stalled_us)
{
	const struct desk_watch *w = d->watch(d, watch);
	struct jobwatch_view job;

	if (stalled_us >= DESK_STALLED_US)
		return "stalled";
	if (w->link && w->lost)
		return "lost";
	if (w->link)
		return w->scanned ? "ready" : "listing";
	jobwatch_view(d->jobwatch, watch, &job);
	return job.waits ? "no_job" : "down";
}
