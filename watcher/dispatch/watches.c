/*
 * watches: a message is kept as its bytes, since it may have to be applied more than once. How much is read
 * in a round is limited; the rest waits in the sockets, and then in the watchers.
 */
#include "dispatch/watches.h"

#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dispatch/sender.h"

#define FACTS_BYTES_MAX (4u * 1024 * 1024) /* read in one round */
#define FACTS_MAX 2048

/* Where a mount is missing nothing can be told about its files. */
static bool is_trusted(const char *root, void *arg)
{
	struct watch_state *w = arg;
	const struct conf_watch *conf = w->peer.watch;
	struct err err = ERR_INIT;
	bool suspended = false;

	for (size_t i = 0; i < conf->directory.n; i++)
		if (strcmp(conf->directory.items[i], root) == 0 &&
			intake_is_suspended(w->all->desk->intake, conf, i, &suspended, &err) < 0)
			return false; /* the ledger cannot be read: asked again later */
	return !suspended;
}

static void init_watch(struct watch_state *w, struct watches *ws, const struct conf_watch *conf)
{
	w->all = ws;
	w->peer.watch = conf;
	w->confirm = confirm_new();
	confirm_set_trust(w->confirm, is_trusted, w);
}

struct watch_state *watches_find(struct watches *ws, const char *name)
{
	for (size_t i = 0; i < ws->conf->watches_n; i++)
		if (strcmp(ws->conf->watches[i]->name, name) == 0)
			return &ws->items[i];
	return NULL;
}

void watches_detach(struct watch_state *w)
{
	link_free(w->link);
	w->link = NULL;
	confirm_attach(w->confirm, NULL);
	desk_detached(w->all->desk, &w->desk);
	moved_forget(w->all->moved, &w->peer);
}

/* Kept for as long as the process may be there: it may hang, and cannot even be killed then. */
static void release_page(struct watch_state *w)
{
	wire_page_unmap(w->desk.page);
	w->desk.page = NULL;
	stall_reset(&w->stall);
}

/* ---- what a watcher says ---- */

/* Keeps a copy of the message until the end of the round. */
static void add_fact(struct watch_state *w, const struct wire_message *m)
{
	struct watches *ws = w->all;
	CLEANUP_BUF struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	struct fact *f;

	BUG_ON(wire_encode(m->type, &m->as, &b) < 0); /* it was decoded from no more */
	f = mem_alloc(sizeof(*f) + b.len);
	f->watch = w;
	f->epoch = w->epoch;
	f->len = b.len;
	memcpy(f->bytes, b.data, b.len);
	intake_result_init(&f->result);
	list_add_tail(&ws->facts, &f->in);
	ws->facts_n++;
	ws->facts_bytes += f->len;
}

void watches_drop_fact(struct watches *ws, struct fact *f)
{
	list_remove(&f->in);
	ws->facts_n--;
	ws->facts_bytes -= f->len;
	intake_result_done(&f->result);
	free(f->fault);
	free(f);
}

static bool may_read(const struct watches *ws)
{
	return !ws->closed && ws->facts_n < FACTS_MAX && ws->facts_bytes < FACTS_BYTES_MAX;
}

/* For `status`. */
static void note_listing(struct watch_state *w, const struct wire_scanned *m)
{
	if (!m->complete)
		return;
	w->desk.listing = *m;
	w->desk.listing.why = NULL;
	w->desk.listed_us = clock_wall_us();
}

/* The page of a watcher: what it is doing. */
static void map_page(struct watch_state *w, struct wire_message *m)
{
	struct err err = ERR_INIT;

	if (m->n_fds < 2)
		return;
	w->desk.page = wire_page_map(m->fds[1], false, &err);
	if (!w->desk.page)
		log_warning("watch %s: %s; where it hangs cannot be shown", w->peer.watch->name, err.text);
}

static bool on_link(struct link *l, const struct wire_message *m, const char *why, void *arg)
{
	struct watch_state *w = arg;

	(void)l;
	if (!m) {
		if (why)
			log_error("watch %s: %s; its watcher is let go and started again",
				w->peer.watch->name, why);
		watches_detach(w);
		return false;
	}
	/* verdicts are remembered only, which needs no transaction; what was not asked for is a fault */
	if (m->type == WIRE_CONFIRMED && confirm_take(w->confirm, &m->as.confirmed) == 0)
		return may_read(w->all);
	if (w->all->desk->control && desk_take(w->all->desk, &w->desk, m))
		return may_read(w->all);
	if (m->type == WIRE_SCANNED)
		note_listing(w, &m->as.scanned);
	add_fact(w, m);
	return may_read(w->all);
}

/* ---- asking a watcher for the sender ---- */

bool watches_may_ask(const char *watch, void *arg)
{
	struct watch_state *w = watches_find(arg, watch);

	return w && confirm_may_ask(w->confirm);
}

static void on_verdict(int64_t id, enum wire_verdict verdict, void *arg)
{
	struct watch_state *w = arg;

	sender_confirmed(w->all->desk->sender, w->peer.watch->name, id, verdict);
}

int watches_ask(const char *watch, const char *root, int64_t id, const struct wire_known *known, void *arg)
{
	struct watch_state *w = watches_find(arg, watch);

	for (size_t i = 0; w && i < w->peer.watch->directory.n; i++)
		if (strcmp(w->peer.watch->directory.items[i], root) == 0)
			return confirm_ask(
				w->confirm, id, w->peer.watch->directory.items[i], known, on_verdict, w);
	return -ENOENT;
}

/* ---- watchers come and go ---- */

void watches_set_reading(struct watches *ws, bool on)
{
	ws->closed = !on;
	for (size_t i = 0; i < ws->conf->watches_n; i++)
		if (ws->items[i].link)
			link_set_reading(ws->items[i].link, on);
}

/* What a watcher still said before it ended. */
static void read_rest(struct watch_state *w)
{
	while (w->link && may_read(w->all)) {
		size_t before = w->all->facts_n;

		link_read(w->link);
		if (w->all->facts_n == before)
			return;
	}
}

void watches_read_rest(struct watches *ws)
{
	for (size_t i = 0; i < ws->conf->watches_n; i++)
		read_rest(&ws->items[i]);
}

void watches_attach(struct watches *ws, struct wire_message *m)
{
	struct watch_state *w = watches_find(ws, m->as.attach.name);
	struct err err = ERR_INIT;

	if (!w || m->n_fds < 1) {
		log_error("the keeper attached the unknown watch \"%s\"", m->as.attach.name);
		return;
	}
	read_rest(w);
	watches_detach(w);
	release_page(w);
	w->epoch++;
	w->scanned = w->is_done = w->lost = false;
	w->ever_attached = true;
	w->peer = (struct intake_peer){.watch = w->peer.watch};
	w->link = link_new(ws->loop, m->fds[0], ws->in, on_link, w, &err);
	m->fds[0] = -1;
	map_page(w, m);
	if (!w->link) {
		log_error("watch %s: %s", w->peer.watch->name, err.text);
		return;
	}
	if (ws->closed)
		link_set_reading(w->link, false);
}

void watches_greeted(struct watch_state *w)
{
	if (!w->link || confirm_is_attached(w->confirm))
		return;
	confirm_attach(w->confirm, w->link);
	if (w->all->desk->sender)
		sender_may_ask(w->all->desk->sender, w->peer.watch->name);
}

void watches_gone(struct watches *ws, const char *name)
{
	struct watch_state *w = watches_find(ws, name);

	if (!w)
		return;
	read_rest(w);
	watches_detach(w);
	release_page(w);
	w->scanned = w->is_done = false;
}

struct desk_watch *watches_lend(struct watches *ws, size_t i)
{
	struct watch_state *w = &ws->items[i];

	w->desk.peer = &w->peer;
	w->desk.link = w->link;
	w->desk.scanned = w->scanned;
	w->desk.lost = w->lost;
	w->desk.lost_why = w->lost_why;
	return &w->desk;
}

void watches_forget_questions(struct watches *ws)
{
	for (size_t i = 0; i < ws->conf->watches_n; i++)
		confirm_forget(ws->items[i].confirm);
	moved_free(ws->moved);
	ws->moved = moved_new();
}

/* The watch in its new place: a changed one gets a new watcher, an unchanged one keeps what it has. */
static void carry_watch(
	struct watch_state *to, struct watch_state *from, const struct conf_watch *conf, bool is_changed)
{
	if (is_changed) { /* what it still has to say is found again by the next one's listing */
		watches_detach(from);
		from->scanned = false;
	}
	*to = *from;
	to->peer.watch = conf;
	from->link = NULL;
	from->confirm = NULL;
	from->desk.page = NULL;
	confirm_set_trust(to->confirm, is_trusted, to);
	if (to->link)
		link_set_arg(to->link, to);
}

void watches_replace(struct watches *ws, const struct conf *next)
{
	struct watch_state *items = mem_array(next->watches_n + 1, sizeof(items[0]));
	const struct conf *old = ws->conf;

	BUG_ON(!ws->items);
	for (size_t i = 0; i < next->watches_n; i++) {
		const struct conf_watch *conf = next->watches[i];
		struct watch_state *from = watches_find(ws, conf->name);

		if (from)
			carry_watch(&items[i], from, conf, conf_watch_differs(old, next, conf->name));
		else
			init_watch(&items[i], ws, conf);
	}
	for (size_t i = 0; i < old->watches_n; i++) {
		if (!ws->items[i].confirm)
			continue; /* carried over */
		watches_detach(&ws->items[i]);
		release_page(&ws->items[i]);
		confirm_free(ws->items[i].confirm);
	}
	free(ws->items);
	ws->items = items;
	ws->conf = next;
}

void watches_init(struct watches *ws, struct loop *loop, const struct conf *conf, struct desk *desk,
	struct wire_message *in)
{
	*ws = (struct watches){.loop = loop, .conf = conf, .desk = desk, .in = in, .moved = moved_new()};
	list_init(&ws->facts);
	ws->items = mem_array(conf->watches_n + 1, sizeof(ws->items[0]));
	for (size_t i = 0; i < conf->watches_n; i++)
		init_watch(&ws->items[i], ws, conf->watches[i]);
}

void watches_done(struct watches *ws)
{
	if (!ws->items)
		return;
	for (size_t i = 0; i < ws->conf->watches_n; i++)
		watches_detach(&ws->items[i]);
	for (size_t i = 0; i < ws->conf->watches_n; i++) {
		release_page(&ws->items[i]);
		confirm_free(ws->items[i].confirm);
	}
	moved_free(ws->moved);
	LIST_FOREACH_SAFE (it, &ws->facts)
		watches_drop_fact(ws, LIST_OF(it, struct fact, in));
	free(ws->items);
	ws->items = NULL;
}
