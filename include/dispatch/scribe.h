/*
 * scribe: puts events into the ledger's outbox, in the transaction of the fact they tell about. It adds what
 * every event has (time, id, this machine's name); which event there is, others decide. Beside the outbox, an
 * event is put where it waits for each consumer ([notify:NAME]) that wants it.
 */
#ifndef DISPATCH_SCRIBE_H
#define DISPATCH_SCRIBE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "core/event.h"
#include "dispatch/ledger.h"

struct scribe {
	struct ledger *ledger; /* borrowed */
	bool silent;	       /* dry run: nothing is written */
	char host[256];
	char id[EVENT_ID_BYTES]; /* of the event being made */
	struct buf line;
	const char *watch;	 /* of the event being made; NULL: of none */
	int64_t now_us;		 /* its time */
	const struct conf *conf; /* whose consumers get events; NULL: nobody does */
	uint64_t notices;	 /* how many were put there, those of transactions that failed included */
};

void scribe_init(struct scribe *s, struct ledger *ledger, bool silent);
void scribe_done(struct scribe *s);
/* From now on events go to the consumers of conf (borrowed; NULL: to nobody). */
void scribe_set_consumers(struct scribe *s, const struct conf *conf);

/* A row as the file fields of an event; borrows from it. */
struct event_file scribe_file_of(const struct ledger_row *r);

/* All return 0 or -errno (of the ledger). now_us: wall clock. */
int scribe_run_started(struct scribe *s, const struct ledger_row *r, int64_t attempts, const char *principal,
	int64_t run_id, int64_t now_us, struct err *err) MUST_CHECK;
/* The run of row r was skipped (reason: Databricks' words); the next generation follows. */
int scribe_run_skipped(struct scribe *s, const struct ledger_row *r, const char *principal,
	const char *reason, int64_t now_us, struct err *err) MUST_CHECK;
/* type: start.failed or start.retrying. token "": the id is random. ordinal: of this type for this version.
 */
int scribe_start(struct scribe *s, enum event_type type, const char *watch, const char *token,
	int64_t ordinal, const struct event_file *f, const struct event_failure *x, int64_t now_us,
	struct err *err) MUST_CHECK;
int scribe_rejected(struct scribe *s, const char *watch, const struct event_file *f, const char *rule,
	const char *detail, int64_t now_us, struct err *err) MUST_CHECK;
int scribe_waiting(struct scribe *s, enum event_type type, const char *watch, const struct event_file *f,
	const char *waiting_for, int64_t since_us, int64_t now_us, struct err *err) MUST_CHECK;
/* type: file.vanished or file.superseded: row r will not be sent. ordinal: as with scribe_start. */
int scribe_gone(struct scribe *s, enum event_type type, const struct ledger_row *r, int64_t ordinal,
	const char *waiting_for, int64_t since_us, int64_t now_us, struct err *err) MUST_CHECK;
int scribe_watch(struct scribe *s, enum event_type type, const char *watch, const struct event_watch *w,
	int64_t now_us, struct err *err) MUST_CHECK;
/* watch: NULL for a whole workspace */
int scribe_place(struct scribe *s, enum event_type type, const char *watch, const struct event_place *x,
	int64_t now_us, struct err *err) MUST_CHECK;
int scribe_notify_dropped(
	struct scribe *s, const struct event_notify *x, int64_t now_us, struct err *err) MUST_CHECK;
int scribe_action(struct scribe *s, const char *watch, const struct event_action *x, int64_t now_us,
	struct err *err) MUST_CHECK;
int scribe_service(struct scribe *s, enum event_type type, const struct event_service *x, int64_t now_us,
	struct err *err) MUST_CHECK;

#endif
