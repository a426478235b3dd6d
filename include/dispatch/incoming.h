/*
 * incoming: the inside of intake, shared by its parts only: one message about one file, checked and compared
 * with the newest row of that file.
 *
 * The parts, each on top of incoming: accept (a version that passed the rules), candidates (which files of a
 * listing are not known), bulletin (what a watcher says about its watch as a whole), intake.
 */
#ifndef DISPATCH_INCOMING_H
#define DISPATCH_INCOMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "core/conf.h"
#include "core/version.h"
#include "core/wire.h"
#include "dispatch/baseline.h"
#include "dispatch/census.h"
#include "dispatch/flood.h"
#include "dispatch/intake.h"
#include "dispatch/ledger.h"
#include "dispatch/scribe.h"

#define INCOMING_GENERATION 1 /* the first one */
#define INCOMING_URI_BYTES (32u * 1024)
#define INCOMING_WORDS_BYTES 512 /* of a watcher's sentence */
#define INCOMING_SHOWN_BYTES 1024
/* why files are held that the first listing has found */
#define INCOMING_EXISTING "existing"
#define INCOMING_LOST "ledger_lost"

struct intake {
	const struct conf *conf;
	struct ledger *ledger, *behind;
	struct scribe *scribe;
	bool dry;
	struct baseline *baseline;
	struct flood *flood;
	struct census *census;
	struct buf request;
};

/* A message about one file, checked. */
struct incoming {
	const struct conf_watch *watch;
	const struct wire_file *wire;
	struct ledger_key key;
	size_t root_index;
	struct version version;
	char *path; /* root and relpath */
	struct buf uri;
	char detail[INCOMING_WORDS_BYTES], evidence[INCOMING_WORDS_BYTES]; /* fit to be shown */
	struct ledger_known known;					   /* the newest row, if has_known */
	bool has_known;
	bool known_is_here; /* it is in the ledger that is written to */
	enum version_relation relation;
	const char *hold, *hold_detail; /* why it is not to be started; NULL: it is */
	bool not_moved;			/* that has been asked already */
};

void incoming_done(struct incoming *f);
#define CLEANUP_INCOMING __attribute__((cleanup(incoming_done)))

/* Fills f from the message. 0, 1 (the watcher's fault), -errno. f is done by the caller whatever comes. */
int incoming_open(struct intake *in, const struct intake_peer *peer, const struct wire_message *m,
	struct incoming *f, struct err *err) MUST_CHECK;
/* … and from the ledger: the newest row, and how the version relates to it. */
int incoming_compare(
	struct intake *in, const struct intake_peer *peer, struct incoming *f, struct err *err) MUST_CHECK;
struct event_file incoming_event_file(const struct incoming *f);
/* A pending row without token and request; borrows from f. */
struct ledger_new incoming_row(const struct incoming *f, int64_t now_us);
/* Inserts the row as a dead letter, with its event. */
int incoming_insert_failed(struct intake *in, struct incoming *f, const struct ledger_new *as,
	const char *reason, const char *detail, int64_t now_us, struct intake_result *ret,
	struct err *err) MUST_CHECK;

/* ---- the newest row of a key ---- */

/* 1, 0, -errno */
int incoming_find_newest(struct intake *in, const struct ledger_key *key, const char *root,
	struct ledger_known *ret, bool *ret_is_here, struct err *err) MUST_CHECK;
enum version_relation incoming_relate(const struct intake_peer *peer, const struct version *known,
	const struct version *now, bool by_listing);
bool incoming_is_gone(enum ledger_state state);
/* Is it a row for a file that was there before the watch, and was never looked at? */
bool incoming_is_placeholder(const struct ledger_known *k);
/* Is it to be taken as if it were new? It announced itself while the first listing was under way; or it is
 * held, and was looked at now: then its row gets what it needs to be released. */
int incoming_judge_placeholder(struct intake *in, struct incoming *f, bool *ret, struct err *err) MUST_CHECK;
/* The words for INCOMING_EXISTING or _LOST. */
const char *incoming_hold_words(const char *reason);

/* Is it another version than the known one, and what says that it is complete left over from that? */
bool incoming_is_marker_stale(const struct incoming *f);

/* ---- checks ---- */

/* The place of a directory among those of the watch. */
bool incoming_find_root(const struct conf_watch *w, const char *root, size_t *ret);
bool incoming_is_relpath(const char *s);
bool incoming_is_hex(const char *s, size_t digits);
bool incoming_is_time(int64_t us);
/* The watcher is at fault: 1 */
int incoming_blame(
	struct err *err, const struct intake_peer *peer, enum wire_type type, const char *what) MUST_CHECK;

/* ---- what is to be said afterwards ---- */

const char *incoming_show(const char *s, char out[INCOMING_SHOWN_BYTES]);
void incoming_copy_words(char *to, size_t room, const char *from);
/* Takes text. */
void incoming_say(struct intake_result *r, enum log_level level, char *text);
/* For standard output. */
void incoming_say_plain(struct intake_result *r, char *text);

#endif
