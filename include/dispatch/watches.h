/*
 * watches: one state for each watch of the configuration: its watcher, if one is attached, and the messages
 * that it has sent in this round of the loop (facts). Messages are only collected here; what they do is in
 * dispatch/facts.
 */
#ifndef DISPATCH_WATCHES_H
#define DISPATCH_WATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/list.h"
#include "base/loop.h"
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/confirm.h"
#include "dispatch/desk.h"
#include "dispatch/intake.h"
#include "dispatch/link.h"
#include "dispatch/moved.h"
#include "dispatch/stall.h"

struct watches;

#define WATCHES_WHY_BYTES 1024

struct watch_state {
	struct watches *all;
	struct intake_peer peer;
	struct link *link; /* NULL: no watcher is attached, or its socket has ended */
	struct confirm *confirm;
	uint64_t epoch; /* which of its watchers; facts of an earlier one get no answer */
	bool ever_attached;
	bool scanned;			  /* listed completely since it was attached */
	bool lost;			  /* its folder is gone */
	char lost_why[WATCHES_WHY_BYTES]; /* in words */
	bool is_done;			  /* scan: has nothing left to wait for */
	struct stall stall;
	struct desk_watch desk;
};

struct fact { /* a message of a watcher */
	struct list in;
	struct watch_state *watch;
	uint64_t epoch;
	struct intake_result result;
	char *fault; /* the watcher is at fault */
	size_t len;
	char bytes[];
};

struct watches {
	struct loop *loop;
	const struct conf *conf;
	struct desk *desk;	   /* with the sender */
	struct wire_message *in;   /* lent to links */
	struct watch_state *items; /* as conf->watches */
	struct moved *moved;
	struct list facts;
	size_t facts_n, facts_bytes;
	int64_t failed, rejected; /* files, since the start */
	bool closed;		  /* nothing is read */
};

void watches_init(struct watches *ws, struct loop *loop, const struct conf *conf, struct desk *desk,
	struct wire_message *in);
/* Also of one that was never made. */
void watches_done(struct watches *ws);
struct watch_state *watches_find(struct watches *ws, const char *name);
/* Its watcher is let go. */
void watches_detach(struct watch_state *w);
/* The keeper has started a watcher. Takes its socket out of m. */
void watches_attach(struct watches *ws, struct wire_message *m);
/* It has said hello, and may be asked about files: before, it cannot tell which mounts are missing. */
void watches_greeted(struct watch_state *w);
/* It has ended. */
void watches_gone(struct watches *ws, const char *name);
/* Whether watchers are listened to. */
void watches_set_reading(struct watches *ws, bool on);
/* What watchers still said before they end. */
void watches_read_rest(struct watches *ws);
void watches_drop_fact(struct watches *ws, struct fact *f);
/* For struct sender_asker; arg is the struct watches. */
bool watches_may_ask(const char *watch, void *arg);
int watches_ask(const char *watch, const char *root, int64_t id, const struct wire_known *known, void *arg);
/* For the verbs. */
struct desk_watch *watches_lend(struct watches *ws, size_t i);
/* Nobody waits any more for the answers to what watchers were asked. */
void watches_forget_questions(struct watches *ws);
/* Another configuration takes the place of this one, which the caller frees: a changed watch gets a new
 * watcher, an unchanged one keeps what it has. */
void watches_replace(struct watches *ws, const struct conf *next);

#endif
