/*
 * confirm: two batches of the same shape: the one being gathered and the one that is out. A batch is for one
 * directory, since a message names it once; a question about another one waits until the batch has gone.
 */
#include "dispatch/confirm.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

struct question {
	int64_t id;
	confirm_fn fn;
	void *arg;
};

struct batch {
	const char *root;
	struct buf items;
	struct question questions[WIRE_KNOWNS_MAX];
	size_t n;
};

struct confirm {
	struct link *link;
	confirm_trust_fn trust;
	void *arg;
	struct batch next, out; /* out.n > 0: a message is on its way */
	int64_t serial;
};

static void batch_clear(struct batch *b)
{
	buf_reset(&b->items);
	b->n = 0;
}

/* Hands a verdict out for each question; those may ask anew. */
static void batch_answer(struct batch *b, const char *verdicts)
{
	struct question questions[WIRE_KNOWNS_MAX];
	size_t n = b->n;

	memcpy(questions, b->questions, n * sizeof(questions[0]));
	batch_clear(b);
	for (size_t i = 0; i < n; i++) {
		if (!questions[i].fn)
			continue; /* forgotten */
		questions[i].fn(questions[i].id, verdicts ? (enum wire_verdict)verdicts[i] : WIRE_UNSURE,
			questions[i].arg);
	}
}

struct confirm *confirm_new(void)
{
	struct confirm *c = mem_alloc(sizeof(*c));

	buf_init(&c->next.items, WIRE_CANDIDATES_BYTES);
	buf_init(&c->out.items, WIRE_CANDIDATES_BYTES);
	return c;
}

void confirm_free(struct confirm *c)
{
	if (!c)
		return;
	buf_done(&c->next.items);
	buf_done(&c->out.items);
	free(c);
}

void confirm_attach(struct confirm *c, struct link *link)
{
	c->link = NULL; /* nobody is to be asked by the answers */
	batch_answer(&c->out, NULL);
	batch_answer(&c->next, NULL);
	c->link = link;
}

void confirm_forget(struct confirm *c)
{
	batch_clear(&c->next);
	for (size_t i = 0; i < c->out.n; i++)
		c->out.questions[i].fn = NULL; /* the watcher answers all the same */
}

void confirm_set_trust(struct confirm *c, confirm_trust_fn trust, void *arg)
{
	c->trust = trust;
	c->arg = arg;
}

bool confirm_is_attached(const struct confirm *c)
{
	return c->link != NULL;
}

bool confirm_may_ask(const struct confirm *c)
{
	return c->link && c->next.n < WIRE_KNOWNS_MAX;
}

int confirm_ask(struct confirm *c, int64_t id, const char *root, const struct wire_known *known,
	confirm_fn fn, void *arg)
{
	struct batch *b = &c->next;

	if (!confirm_may_ask(c) || (b->n > 0 && strcmp(b->root, root) != 0) ||
		wire_knowns_add(&b->items, known) < 0)
		return -EBUSY;
	b->root = root;
	b->questions[b->n++] = (struct question){.id = id, .fn = fn, .arg = arg};
	return 0;
}

static bool is_trusted(const struct confirm *c, const struct batch *b)
{
	return !c->trust || c->trust(b->root, c->arg);
}

void confirm_flush(struct confirm *c)
{
	struct wire_confirm m;
	struct batch swap;

	if (!c->link || c->out.n > 0 || c->next.n == 0)
		return;
	swap = c->out;
	c->out = c->next;
	c->next = swap;
	m = (struct wire_confirm){.serial = ++c->serial,
		.root = c->out.root,
		.items = c->out.items.data,
		.items_len = c->out.items.len};
	if (!is_trusted(c, &c->out) || link_send(c->link, WIRE_CONFIRM, &m) < 0)
		batch_answer(&c->out, NULL); /* one has not gone out yet: only after a change of watchers */
}

static bool is_verdict(char c)
{
	return c != '\0' &&
	       strchr((const char[]){WIRE_SAME, WIRE_SWAPPED, WIRE_REPLACED, WIRE_GONE, WIRE_UNSURE, '\0'},
		       c);
}

int confirm_take(struct confirm *c, const struct wire_confirmed *m)
{
	const char *verdicts = m->verdicts;

	if (c->out.n == 0 || m->serial != c->serial || m->verdicts_len != c->out.n)
		return -EBADMSG;
	for (size_t i = 0; i < c->out.n; i++)
		if (!is_verdict(verdicts[i]))
			return -EBADMSG;
	batch_answer(&c->out, is_trusted(c, &c->out) ? verdicts : NULL);
	return 0;
}
