/*
 * notices: a part of the ledger: the events that wait for consumers ([notify:NAME]), and how far each
 * consumer is. Notices have a number, seq; those of one consumer are removed from the lowest on.
 *
 * All return 0 or -errno unless said otherwise.
 */
#ifndef DISPATCH_NOTICES_H
#define DISPATCH_NOTICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "core/event.h"
#include "core/notice.h"
#include "dispatch/ledger.h"

struct notices_row {
	int64_t seq;
	char id[EVENT_ID_BYTES];
	char type[32];
	char watch[CONF_NAME_BYTES]; /* "" none */
	int64_t made_us;	     /* the event's time, wall clock */
};

/* line: as it goes into the log. */
int notices_add(struct ledger *l, const char *consumer, const struct notices_row *r, const char *line,
	size_t len, struct err *err) MUST_CHECK;
/* The first one behind seq `after`, its line into line (replaced). 1, 0, -errno; with -EBADMSG ret->seq is
 * set too if it is just this one that is damaged. */
int notices_next(struct ledger *l, const char *consumer, int64_t after, struct notices_row *ret,
	struct buf *line, struct err *err) MUST_CHECK;
/* The seq of the n-th, of the last if there are fewer. 1, 0 (none), -errno */
int notices_nth(
	struct ledger *l, const char *consumer, int64_t n, int64_t *ret_seq, struct err *err) MUST_CHECK;
/* Of all through seq: how many of which type and watch, the most first, up to NOTICE_GROUPS_MAX; *ret_others:
 * how many are of none of these. */
int notices_tally(struct ledger *l, const char *consumer, int64_t through,
	struct notice_group groups[NOTICE_GROUPS_MAX], size_t *ret_n, int64_t *ret_others,
	struct err *err) MUST_CHECK;
/* Of all through seq: how many, when the first and the last were made. */
int notices_span(struct ledger *l, const char *consumer, int64_t through, int64_t *ret_n,
	int64_t *ret_first_us, int64_t *ret_last_us, struct err *err) MUST_CHECK;
/* The last of those at the front that were made before that. 1, 0 (none), -errno */
int notices_late(struct ledger *l, const char *consumer, int64_t before_us, int64_t *ret_seq,
	struct err *err) MUST_CHECK;

/* Removes those with after < seq <= through; *ret_n: how many. delivered: they have arrived (at now_us, wall
 * clock), else they are given up. ends_parcel: nothing is fixed to go out any more. */
struct notices_removal {
	int64_t after, through;
	bool delivered, ends_parcel;
	int64_t now_us;
};
int notices_remove(struct ledger *l, const char *consumer, const struct notices_removal *r, int64_t *ret_n,
	struct err *err) MUST_CHECK;

struct notices_consumer {
	int64_t waiting;
	int64_t through; /* all through this seq are what goes out next, or is out; 0: nothing is fixed */
	int64_t delivered, dropped; /* so far */
	int64_t delivered_us;	    /* when the last arrived, wall clock; 0: none */
	int64_t oldest_us;	    /* when the first that waits was made; 0: none */
};

/* 1, 0 (nothing ever waited for it), -errno */
int notices_consumer(
	struct ledger *l, const char *consumer, struct notices_consumer *ret, struct err *err) MUST_CHECK;
int notices_set_parcel(struct ledger *l, const char *consumer, int64_t through, struct err *err) MUST_CHECK;
/* Steps from one consumer to the next, by name: name is what was met last ("" at the beginning), and is
 * replaced. 1, 0 (no more), -errno */
int notices_next_consumer(struct ledger *l, char name[CONF_NAME_BYTES], struct err *err) MUST_CHECK;
/* With all that waits for it. *ret_n: how many that were. */
int notices_forget_consumer(
	struct ledger *l, const char *consumer, int64_t *ret_n, struct err *err) MUST_CHECK;

#endif
