/*
 * courier: brings the notices of one consumer ([notify:NAME]) to it: at least once, in order, one delivery
 * under way. What it brings is in the ledger (table notice) since the transaction of the event; how it gets
 * there is a way's business: dispatch/webhook, dispatch/mail. The rules (what is a digest, when is it given
 * up) are core/notice's.
 *
 * Commit, then act: which notices go into the next delivery (a parcel) is fixed in a transaction before it
 * is sent, and those that arrived are taken out in a later one. So a parcel that goes out again, after a
 * failure or a crash, is the same, with the same id.
 *
 * The caller brings the transactions: courier_apply() inside one, then courier_committed() or courier_undo().
 */
#ifndef DISPATCH_COURIER_H
#define DISPATCH_COURIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/loop.h"
#include "core/conf.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

/* ---- ways ---- */

#define COURIER_WORDS_BYTES 512 /* what is kept of an answer's words */

/* One event, or a digest of many. Borrowed during courier_way.send() only. */
struct courier_parcel {
	const char *id;	   /* 32 hex digits: of the event; of a digest made of those of its first and last */
	const char *type;  /* "start.failed"; of a digest NOTICE_DIGEST, "notify.digest" */
	const char *watch; /* "" none, or several */
	/* The event as it is in the log, without the line's end; of a digest an object with the same five
	 * fields first, which doc/notifications.md describes. NUL-terminated. */
	const char *line;
	size_t line_len;
	/* NULL: one event. Else the digest for people: some lines of UTF-8 text, each with its '\n'. */
	const char *text;
	int64_t events; /* how many it stands for: 1, or those of the digest */
};

enum courier_verdict {
	COURIER_DELIVERED, /* the consumer has it */
	COURIER_AGAIN,	   /* it has not, or nobody knows: tried again until the deadline */
	/* It never takes this one, which has nothing to do with those behind it: given up after a few
	 * attempts. An address, a password, a sender that is refused is COURIER_AGAIN: somebody may mend
	 * it. */
	COURIER_REFUSED,
};

struct courier_answer {
	enum courier_verdict verdict;
	int64_t retry_after_us; /* what the consumer asked for; 0: nothing */
	const char *words;	/* unless delivered: one sentence why, without secrets, for log, status and
				   notify.dropped; borrowed during the call */
};

typedef void (*courier_answer_fn)(const struct courier_answer *answer, void *arg);

struct courier_way_options {
	struct loop *loop;		   /* borrowed, as all here, as long as the way lives */
	const struct conf_notify *conf;	   /* of a configuration that was found good */
	const char *credentials_directory; /* $CREDENTIALS_DIRECTORY, or NULL */
};

struct courier_way {
	const char *name; /* "webhook", "mail" */
	/* Reads the files that its keys name. NULL with *err (class ERR_CONF, with what mends it): the
	 * configuration is refused. May block on the files. */
	void *(*make)(const struct courier_way_options *o, struct err *err);
	/* Takes NULL. A delivery under way is given up without fn. */
	void (*free)(void *way);
	/* Begins a delivery; none is under way. fn is called once, later, never from inside. -errno with *err
	 * (no secrets): it could not begin, as if answered COURIER_AGAIN with these words, or with -ENOBUFS
	 * and -EBADMSG, which are about this parcel, COURIER_REFUSED; fn is not called.
	 * Does not block. */
	int (*send)(
		void *way, const struct courier_parcel *p, courier_answer_fn fn, void *arg, struct err *err);
	/* Where it goes to, for people: a host's name and port, never a whole URL. Borrowed. */
	const char *(*place)(const void *way);
};

/* ---- couriers: all consumers of a configuration ---- */

struct couriers;

struct couriers_options {
	struct loop *loop;
	const struct conf *conf;
	struct ledger *ledger;
	struct scribe *scribe;
	bool once;		       /* of a scan: what can be delivered is, before it ends */
	const struct courier_way *way; /* for all; NULL: what each consumer's keys ask for */
};

/* Could they be made? Nothing is sent, and no ledger looked at. 0 or -errno with *err (ERR_CONF). */
int couriers_try(const struct couriers_options *o, struct err *err) MUST_CHECK;
/* Makes a way for each consumer; one that cannot be made for now (a file is missing) is as one that fails.
 * All borrowed. What waits for consumers that are not configured (any more) is dropped by the first
 * couriers_apply(). */
struct couriers *couriers_new(const struct couriers_options *o);
void couriers_free(struct couriers *c); /* takes NULL; what is under way stays in the ledger */

/* Is there anything for couriers_apply() to do now? If not, the loop is woken when there is. */
bool couriers_have_work(const struct couriers *c);
/* Takes out what was delivered or given up, fixes what goes out next. 0 or -errno (of the ledger). */
int couriers_apply(struct couriers *c, struct err *err) MUST_CHECK;
void couriers_committed(struct couriers *c); /* sends */
void couriers_undo(struct couriers *c);
/* Begins nothing more (of a scan: but what waits for no time to come); answers are still taken. */
void couriers_stop(struct couriers *c);
/* Is a delivery under way, or (of a scan) to be begun at once? */
bool couriers_are_busy(const struct couriers *c);

/* For `status` and metrics. Borrowed until the next round. */
struct courier_view {
	const char *name, *way, *place;
	int64_t waiting;	    /* notices */
	int64_t oldest_us;	    /* when the first of them was made, wall clock; 0: none waits */
	int64_t delivered, dropped; /* events, since the ledger was made */
	int64_t delivered_us;	    /* when the last arrived, wall clock; 0: none ever */
	int64_t fails_since_us; /* monotonic: nothing arrived since, each attempt failed; 0: it does not fail
				 */
	int64_t attempts;	/* in a row that failed */
	int64_t until_us;	/* monotonic: the next attempt; 0: none is waited for */
	const char *why; /* the words of the last failure; NULL: the last attempt arrived, or none was */
};

/* The i-th, in the order of the configuration. False: there are no more. */
bool couriers_view(const struct couriers *c, size_t i, struct courier_view *ret);

#endif
