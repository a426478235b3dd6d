/*
 * ask: the watcher's side of the type check: hands a descriptor to the sniffer process and calls back with a
 * MIME type, or with how a gzip file ends, or with the reason why neither can be told. It never blocks;
 * whatever the sniffer does, the watcher's loop goes on.
 *
 * It starts the sniffer (this program again, as "bw-sniff"), kills it when a file has cost more processor
 * time than `type_deadline`, starts another one, and asks once more after a crash. Waiting for the mount
 * costs no processor time: that is a stall, shown on the state page as call "type", and never ends a
 * question.
 *
 * It is not a judge: libmagic is one voice of several, see core/filetype.h.
 *
 * One question at a time. The caller owns the ask; the loop, the page and what is handed to a callback are
 * borrowed.
 */
#ifndef SENSE_ASK_H
#define SENSE_ASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/gzip.h"
#include "base/loop.h"
#include "core/wire.h"

#define ASK_FILES_MAX 10000 /* then the sniffer is replaced: bounds what a leak in libmagic can cost */
#define ASK_ATTEMPTS 2	    /* the first time, and once more after a crash */
#define ASK_BACKOFF_MIN_US INT64_C(1000000)  /* between starts that fail: 1 s, 2 s, 4 s … */
#define ASK_BACKOFF_MAX_US INT64_C(30000000) /* … 30 s */
#define ASK_UNPACK_US_PER_MIB                                                                                \
	INT64_C(4000000) /* what unpacking may take: at the very worst it makes 1 GiB of it */
#define ASK_START_CPU_US INT64_C(10000000) /* processor time that a start may take */

struct ask;

enum ask_reason {
	ASK_OK = 0,   /* libmagic has answered; mime NULL: that it cannot tell */
	ASK_DEADLINE, /* more processor time than type_deadline; not worth another try */
	ASK_CRASH,    /* the sniffer died of this file ASK_ATTEMPTS times */
	ASK_ERROR, /* the file could not be read (not a regular one, I/O error, …): judge it again later */
};

/* Borrowed; gone after the callback. */
struct ask_result {
	uint64_t tag; /* as given to ask_start */
	enum ask_reason reason;
	const char *mime;  /* ASK_OK: "text/csv", or NULL; else NULL */
	enum gzip_end end; /* ASK_OK, of ask_start_end */
	const char *text;  /* ASK_OK: ""; else a sentence without a full stop, for people */
};

/* Called exactly once a question, from the loop, never inside ask_start. May call ask_start and ask_free. */
typedef void (*ask_fn)(struct ask *a, const struct ask_result *result, void *arg);
/*
 * err NULL: a sniffer works and ask_libmagic_version() is known. Called once for the first sniffer, for the
 * first one after a trouble, and when another version of libmagic has appeared. err not NULL: none could be
 * started; the sentence says why and when the next attempt is. Questions wait until then. May call anything,
 * ask_free too.
 */
typedef void (*ask_ready_fn)(struct ask *a, const struct err *err, void *arg);

/*
 * page may be NULL. type_bytes: how much of a file libmagic may read (1 or more). type_deadline_us: processor
 * time a file. fn may not be NULL. Starts nothing yet. NULL with *err on failure.
 */
struct ask *ask_new(struct loop *loop, struct wire_page *page, int64_t type_bytes, int64_t type_deadline_us,
	ask_fn fn, void *arg, struct err *err);
/* Kills and reaps the sniffer (waits at most a second for its end); no callback comes any more. Takes NULL.
 */
void ask_free(struct ask *a);

/* Starts the sniffer now, so that its version gets known; fn is called with the arg of ask_new. Call it once.
 */
void ask_open(struct ask *a, ask_ready_fn fn);

/*
 * Asks for the type of fd, a regular file open for reading. fd is borrowed until the callback (a second
 * attempt needs it again); its file offset is moved by the sniffer, so read it with pread only. name is
 * copied: for the state page and messages. 0, or -EBUSY with *err while another question is open. That the
 * sniffer cannot be started is no error here: the question waits.
 */
int ask_start(struct ask *a, int fd, const char *name, uint64_t tag, struct err *err) MUST_CHECK;
/* The same, and the question is how the gzip file fd of that size ends. Its offset is left alone. */
int ask_start_end(
	struct ask *a, int fd, int64_t size, const char *name, uint64_t tag, struct err *err) MUST_CHECK;
bool ask_is_busy(const struct ask *a); /* is a question open (until its callback is called)? */

/* "libmagic 544", or "" before the first sniffer was ready. Borrowed; may change just before the ready
 * callback. */
const char *ask_libmagic_version(const struct ask *a);
/* This sniffer runs without its system call filter, because one with it did not get ready: what happened to
 * it (borrowed); NULL: no. */
const char *ask_unfiltered_why(const struct ask *a);
/* Process id of the sniffer, 0 when there is none. */
pid_t ask_sniffer_pid(const struct ask *a);

/* For tests: another program than this one (borrowed; NULL: this one); other numbers than ASK_FILES_MAX and
 * ASK_START_CPU_US. */
void ask_set_program(struct ask *a, const char *path);
void ask_set_limits(struct ask *a, int64_t files, int64_t start_cpu_us);

#endif
