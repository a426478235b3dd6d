/*
 * event: the exact line of the event log for each type of event. Pure: time, host name and random ids are
 * handed in.
 *
 * A line is one JSON object in UTF-8 and its '\n'. The first five fields are always time, type, id, host,
 * watch, in this order; what else there is is in brickwatch-events(5) and doc/event-log.md. Nothing is ever
 * left half: a builder that runs into the ceiling fails as a whole.
 *
 * All strings are borrowed. "" means "not known" for them, and the field is left out or null as the type's
 * description says.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

#define EVENT_ID_BYTES 33 /* 32 hex digits and NUL */
#define EVENT_LINE_BYTES                                                                                     \
	(256u * 1024) /* longest line: four texts of a 4 KiB path at six bytes a byte, and a server's        \
			 message */

enum event_type {
	EVENT_RUN_STARTED = 0,
	EVENT_RUN_SKIPPED,
	EVENT_START_FAILED,
	EVENT_START_RETRYING,
	EVENT_FILE_REJECTED,
	EVENT_FILE_WAITING,
	EVENT_FILE_VANISHED,
	EVENT_FILE_SUPERSEDED,
	EVENT_WATCH_READY,
	EVENT_WATCH_LOST,
	EVENT_WATCH_STALLED,
	EVENT_WATCH_OVERFLOW,
	EVENT_WATCH_DEGRADED,
	EVENT_WATCH_HELD,
	EVENT_WATCH_PAUSED,
	EVENT_WATCH_RESUMED,
	EVENT_WORKSPACE_SUSPENDED,
	EVENT_WORKSPACE_RESUMED,
	EVENT_JOB_SUSPENDED,
	EVENT_JOB_RESUMED,
	EVENT_NOTIFY_DROPPED,
	EVENT_OPERATOR_ACTION,
	EVENT_SERVICE_STARTED,
	EVENT_SERVICE_RELOADED,
	EVENT_SERVICE_STOPPED,
};

struct event_head {
	int64_t time_us; /* wall clock */
	const char *id;
	const char *host;  /* this machine */
	const char *watch; /* NULL: of no watch */
};

struct event_file {
	const char *root; /* the configured directory; path is root and relpath */
	const char *relpath;
	const char *uri; /* "" when it was never made */
	int64_t size;	 /* below 0: not known; then size, mtime and owner are left out */
	int64_t mtime_ns;
	int64_t owner;			     /* number */
	const char *ends;		     /* "" when not taken: left out */
	const char *mime;		     /* "" when not asked for: left out */
	int64_t first_seen_us, completed_us; /* wall clock; 0: left out */
};

struct event_run {
	const char *workspace;
	int64_t job_id, run_id;
	const char *token;
	int64_t generation, attempts, latency_ms;
	const char *principal;
	int64_t previous_run_id; /* 0: left out */
};

struct event_failure {
	const char *reason;
	int http_status;	/* 0: null */
	const char *error_code; /* "": null */
	const char *message;
	int64_t attempts;
	int64_t next_attempt_us; /* wall clock; start.retrying only */
	const char *workspace;	 /* which job was to be started, and at which; NULL: left out */
	int64_t job_id;
};

struct event_watch {
	const char *method, *file_system;
	const char *detail;
	int64_t count; /* overflow, degraded: how many; below 0: left out */
	bool scanned;  /* the counts of a listing follow */
	int64_t directories, files, unsettled, took_ms;
};

struct event_place { /* workspace.*, job.* */
	const char *workspace;
	int64_t job_id; /* 0: left out */
	const char *detail;
};

struct event_notify { /* notify.dropped */
	const char *consumer;
	const char *detail;		/* why, in words */
	int64_t count;			/* events that it will not get */
	const char *first_id, *last_id; /* of them; "": left out */
};

struct event_action { /* operator.action */
	const char *verb;
	const char *arguments; /* as given: selectors and paths in words, "" none */
	const char *user;      /* who asked: name, or its number */
	const char *reason;    /* "" none: null */
	int64_t count;	       /* files it changed; below 0: left out */
};

struct event_service {
	const char *version;
	const char *configuration; /* its hash */
	int64_t watches, pending;
	int64_t started, failed, rejected; /* since the start; service.stopped only */
};

/* "run.started", … */
const char *event_type_name(enum event_type type);
/* All of them. */
const char *const *event_type_names(size_t *ret_n);
/* Does a type fit this one or pattern ("run.*")? 0 or -errno: *err names all there are. */
int event_check_pattern(const char *pattern, struct err *err) MUST_CHECK;

/* Id of an event about a version with a token: the first 32 hex digits of SHA-256 over "TOKEN TYPE ORDINAL".
 * ordinal: of this type for this version, from 1. Frozen: doc/event-log.md has a test vector. */
void event_id_make(const char *token, enum event_type type, int64_t ordinal, char out[EVENT_ID_BYTES]);
/* Id of any other event from 16 random bytes. */
void event_id_random(const uint8_t random[16], char out[EVENT_ID_BYTES]);

/* Each puts its line into b (replaced; b->max should be EVENT_LINE_BYTES). 0, or -ENOBUFS with *err when it
 * does not fit. */
int event_run_started(struct buf *b, const struct event_head *h, const struct event_file *f,
	const struct event_run *r, struct err *err) MUST_CHECK;
/* type: EVENT_START_FAILED or EVENT_START_RETRYING */
int event_start(struct buf *b, enum event_type type, const struct event_head *h, const struct event_file *f,
	const struct event_failure *x, struct err *err) MUST_CHECK;
int event_file_rejected(struct buf *b, const struct event_head *h, const struct event_file *f,
	const char *rule, const char *detail, struct err *err) MUST_CHECK;
/* type: EVENT_FILE_WAITING, EVENT_FILE_VANISHED or EVENT_FILE_SUPERSEDED. since_us: wall clock */
int event_file_waiting(struct buf *b, enum event_type type, const struct event_head *h,
	const struct event_file *f, const char *waiting_for, int64_t since_us, struct err *err) MUST_CHECK;
/* r: the run that was skipped; reason: in Databricks' words */
int event_run_skipped(struct buf *b, const struct event_head *h, const struct event_file *f,
	const struct event_run *r, const char *reason, struct err *err) MUST_CHECK;
/* type: EVENT_WORKSPACE_… or EVENT_JOB_… */
int event_place(struct buf *b, enum event_type type, const struct event_head *h, const struct event_place *x,
	struct err *err) MUST_CHECK;
int event_notify_dropped(
	struct buf *b, const struct event_head *h, const struct event_notify *x, struct err *err) MUST_CHECK;
int event_action(
	struct buf *b, const struct event_head *h, const struct event_action *x, struct err *err) MUST_CHECK;
/* type: EVENT_WATCH_… */
int event_watch(struct buf *b, enum event_type type, const struct event_head *h, const struct event_watch *w,
	struct err *err) MUST_CHECK;
/* type: EVENT_SERVICE_… */
int event_service(struct buf *b, enum event_type type, const struct event_head *h,
	const struct event_service *s, struct err *err) MUST_CHECK;

#endif
