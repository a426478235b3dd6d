/*
 * lanes: the inside of the sender, shared by its parts only: a lane for each workspace, in it a line for each
 * watch, and a slot for each row that is on its way.
 *
 * The parts, each on top of the ones before: lanes, hold (what looking at a job has shown), suspend (what
 * answers say about a workspace or job), answered (what an answer makes of its row), fetch (rows of a line
 * out of the ledger), inquire (old rows are asked about before they go out), choice (what goes out next, and
 * when), sender.
 */
#ifndef DISPATCH_LANES_H
#define DISPATCH_LANES_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "core/age.h"
#include "core/conf.h"
#include "core/outcome.h"
#include "core/rate.h"
#include "dispatch/doubt.h"
#include "dispatch/drought.h"
#include "dispatch/jobs.h"
#include "dispatch/ledger.h"
#include "dispatch/pause.h"
#include "dispatch/sender.h"
#include "dispatch/verify.h"

#define LANES_PAGE 64 /* rows fetched at once for a line */

struct lane { /* a workspace */
	struct sender *sender;
	const struct conf_workspace *conf;
	struct jobs *jobs;
	struct rate rate;
	struct pause pause;
	struct list lines; /* the next one to serve is at the front */
	struct verify *verify;
	int64_t look_us; /* monotonic: not before is another run looked at */
	int64_t out;
	int64_t started_us; /* monotonic: when a run was started here last; 0: never */
};

struct line { /* a watch at a host */
	struct list in_lane;
	struct lane *lane;
	char *watch;
	const struct conf_watch
		*conf;		 /* NULL: no longer configured; then only what may be out already is sent */
	bool paused;		 /* likewise */
	bool pausing;		 /* it will be, by this transaction */
	bool held;		 /* likewise: its job is not known, or is looked at */
	bool found, found_probe; /* looking at the job found it refused; rows still probe it */
	bool proved;		 /* a run was started although looking had found that it could not be */
	struct rate rate;
	int64_t max_out;
	struct pause pause;
	struct drought drought;
	int64_t out;
	int64_t pending;	 /* of a configured watch */
	int64_t ids[LANES_PAGE]; /* fetched, not yet served; never old ones */
	int n, pos;
	bool fresh;	     /* they were never tried, and old ones that are confirmed go first */
	bool look;	     /* the ledger may have more */
	bool look_old;	     /* of old ones */
	struct doubt *doubt; /* about those; NULL: nobody can be asked */
	int64_t vanished;    /* rows of this transaction: gone, or superseded */
	int64_t due_us;	     /* monotonic: when to look again; INT64_MAX: never */
	int64_t started_us;  /* monotonic: when a run of its job was started last; 0: never */
};

struct stranded { /* pending rows that nothing can be sent for: nobody knows the host */
	char *watch, *host;
	int64_t rows;
};

enum slot_state { SLOT_CHOSEN, SLOT_OUT, SLOT_ANSWERED };

struct slot { /* a row on its way */
	struct list in;
	struct sender *sender;
	enum slot_state state;
	struct line *line;
	int64_t id;
	bool was_sent;			/* before: an earlier attempt may have made a run */
	int64_t tries, first_failed_us; /* before: of the row */
	bool old_job; /* it asks for another job than the watch does now: says nothing about that one */
	char *body;
	size_t len;
	int64_t out_us; /* monotonic */
	/* the answer */
	struct outcome outcome;
	int64_t run_id;
	int http_status;
	char *error_code, *message, *principal;
	int64_t retry_after_us, answered_us; /* monotonic */
	/* what the answer made of the row, for after the commit */
	bool gone;	    /* no longer pending */
	int64_t latency_us; /* a run that was started: since the file was complete */
	enum log_level level;
	char *say;
};

struct sender {
	struct loop *loop;
	const struct conf *conf;
	struct sender_asker asker;
	void (*on_started)(const char *watch, int64_t latency_us, void *arg);
	void *on_started_arg;
	struct age age;
	struct map *left_out; /* rows that cannot be read */
	struct ledger *ledger;
	struct scribe *scribe;
	int64_t wall_us, mono_us; /* of the start */
	struct lane **lanes;
	size_t lanes_n;
	struct line **lines;
	size_t lines_n;
	struct stranded *stranded;
	size_t stranded_n;
	struct list slots;
	struct map *by_id; /* slots */
	size_t answered;
	bool stopping;
	int64_t started, failed;
	struct loop_timer *timer;
	jobs_answer_fn on_answer; /* of all lanes; the tag is the slot */
	struct buf body;
};

struct lanes_lining {
	struct sender *s;
	const struct sender_options *o;
	struct err *err;
};

/* Rows keep wall-clock times; this one is not moved by somebody who sets the clock. */
int64_t lanes_wall_us(const struct sender *s, int64_t mono_us);
int64_t lanes_mono_us(const struct sender *s, int64_t wall_us);

/* For people. */
const char *lane_name(const struct lane *lane);
/* What was fetched is forgotten; rows on their way are recognised by their slots. */
void line_restart(struct line *line);
/* Is only that sent which may be out already, or was released unchecked? */
bool line_is_certain_only(const struct line *line);
struct ledger_line line_key(const struct line *line);
/* It waits, and is to be tried by another row than the one that is refused again and again. */
bool line_tries_another(const struct line *line);

/* Takes the body that is in s->body. */
void slot_new(struct sender *s, struct line *line, const struct ledger_row *row);
void slot_free(struct slot *slot);

/* The lane to a host, or of a workspace; NULL */
struct lane *lanes_find_host(const struct sender *s, const char *host);
struct lane *lanes_find(const struct sender *s, const struct conf_workspace *conf);
struct line *lanes_find_line(const struct sender *s, const char *watch, const struct lane *lane);
/* Counts rows (or, with a negative number, discounts them) that wait for a host that is not configured. */
void lanes_strand(struct sender *s, const char *watch, const char *host, int64_t rows);
/* A line for each watch of the configuration. */
int lanes_add_watches(struct sender *s, const struct sender_options *o, struct err *err) MUST_CHECK;
/* Rows that wait since before the start; arg: struct lanes_lining. For ledger_each_line(). */
int lanes_line_up(const char *watch, const char *host, int64_t rows, void *arg);
/* Requests on their way are abandoned. */
void lanes_done(struct sender *s);

#endif
