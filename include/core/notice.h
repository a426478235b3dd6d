/*
 * notice: which event goes to which consumer ([notify:NAME]), when many become one digest, and when one is
 * given up. Pure: clocks are handed in.
 *
 * A notice is an event that waits for a consumer. As long as few come, each is delivered by itself. `digest`
 * is how many may be in its time; when more wait than are left of those, they go out together as one digest,
 * and what comes after that is gathered until the time is over. So a storm is one digest a time, and begins
 * with one at once. `digest = off`: each by itself, however many.
 */
#ifndef CORE_NOTICE_H
#define CORE_NOTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "core/event.h"

#define NOTICE_DIGEST "notify.digest" /* the type of a digest; it is never in the event log */
#define NOTICE_WAITING_MAX 100000     /* notices that wait for one consumer; the oldest are given up */
#define NOTICE_DIGEST_MAX 10000	      /* events of one digest: it is taken out of the ledger as a whole */
#define NOTICE_GROUPS_MAX 50	      /* types and watches that a digest counts by */
#define NOTICE_PATHS_MAX 10	      /* files that it names */
#define NOTICE_REFUSALS_MAX                                                                                  \
	8 /* how often one that the consumer will not take is tried before it is given up */
/* Late ones are given up only when the consumer has failed for so long: neither time during which nobody
 * tried nor a clock that is set makes a notice late. */
#define NOTICE_GRACE_US (INT64_C(600) * 1000000)
#define NOTICE_TEXT_BYTES (64u * 1024) /* ceiling of a digest's text */

/* Does an event go to this consumer? watch: NULL or "" of none. Nothing about notifications ever does. */
bool notice_wants(const struct conf_notify *n, const char *type, const char *watch);
/* Is there a type of events that this pattern of `on` stands for? Else *ret_near (may be NULL) is the nearest
 * type, or NULL. */
bool notice_is_pattern_of_use(const char *pattern, const char **ret_near);

/* ---- how many at once ---- */

struct notice_pace {	 /* all zero at the beginning */
	int64_t from_us; /* monotonic: since then deliveries are counted */
	int64_t sent;
	bool gathering; /* a digest went out: nothing more until the time is over */
};

enum notice_step {
	NOTICE_WAIT, /* until *ret_until_us */
	NOTICE_ONE,  /* the oldest by itself */
	NOTICE_MANY, /* up to NOTICE_DIGEST_MAX together */
};

/* What is to go out now of the `waiting` ones (more than 0)? now_us: monotonic. */
enum notice_step notice_next(const struct notice_pace *p, const struct conf_rate *digest, int64_t waiting,
	int64_t now_us, int64_t *ret_until_us);
/* This step is taken with so many waiting. */
void notice_note(struct notice_pace *p, const struct conf_rate *digest, enum notice_step step,
	int64_t waiting, int64_t now_us);

/* ---- when it is given up ---- */

/* made_us: notices made before that (wall clock) are late, if there is anything in it: the consumer has
 * failed for fails_us so far. False: none is. */
bool notice_late_before(int64_t retry_for_us, int64_t fails_us, int64_t now_wall_us, int64_t *ret_made_us);

/* ---- digests ---- */

struct notice_group {
	char type[32];
	char watch[CONF_NAME_BYTES]; /* "" none */
	int64_t events;
};

struct notice_digest { /* all borrowed */
	const char *consumer, *host;
	int64_t events;
	const char *first_id, *last_id;
	int64_t first_us, last_us;	   /* wall clock */
	const struct notice_group *groups; /* the largest first */
	size_t groups_n;
	int64_t others;	    /* events of groups that are not among them */
	char *const *paths; /* of the first files, "" never */
	size_t paths_n;
};

/* The same for the same events. */
void notice_digest_id(const char *first_id, const char *last_id, char out[EVENT_ID_BYTES]);
/* As an object, one line without its end, into b (replaced). 0 or -ENOBUFS. */
int notice_digest_line(const struct notice_digest *d, struct buf *b, struct err *err) MUST_CHECK;
/* For people: some lines, into b (replaced). 0 or -ENOBUFS. */
int notice_digest_text(const struct notice_digest *d, struct buf *b, struct err *err) MUST_CHECK;
/* The watch that all groups are of, or NULL. Borrowed. */
const char *notice_digest_watch(const struct notice_digest *d);

#endif
