/*
 * incoming: a watcher is believed about the files of its folder, and about nothing else: directories that are
 * not its own, paths that climb, numbers and texts that cannot be are its fault and end the connection.
 */
#include "dispatch/incoming.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/advice.h"
#include "core/filetype.h"
#include "core/pathmap.h"

void incoming_done(struct incoming *f)
{
	free(f->path);
	buf_done(&f->uri);
}

/* ---- what is to be said afterwards ---- */

const char *incoming_show(const char *s, char out[INCOMING_SHOWN_BYTES])
{
	return text_printable(s, strlen(s), out, INCOMING_SHOWN_BYTES);
}

void incoming_copy_words(char *to, size_t room, const char *from)
{
	text_printable(from, strlen(from), to, room);
}

void incoming_say(struct intake_result *r, enum log_level level, char *text)
{
	free(r->text);
	r->level = level;
	r->text = text;
}

void incoming_say_plain(struct intake_result *r, char *text)
{
	incoming_say(r, LOG_LEVEL_INFO, text);
	r->text_is_plain = true;
}

int incoming_blame(struct err *err, const struct intake_peer *peer, enum wire_type type, const char *what)
{
	(void)err_set(err, ERR_INPUT, EBADMSG, "watch %s sent a message \"%s\" with %s", peer->watch->name,
		wire_type_name(type), what);
	return 1;
}

/* ---- checks ---- */

bool incoming_find_root(const struct conf_watch *w, const char *root, size_t *ret)
{
	for (size_t i = 0; i < w->directory.n; i++) {
		if (strcmp(w->directory.items[i], root) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

bool incoming_is_relpath(const char *s)
{
	return strlen(s) < WIRE_PATH_BYTES && fs_is_relpath(s);
}

bool incoming_is_hex(const char *s, size_t digits)
{
	return strlen(s) == digits && strspn(s, "0123456789abcdef") == digits;
}

bool incoming_is_time(int64_t us)
{
	return us >= 0 && us < INT64_C(253402300800) * US_PER_S; /* the year 10000 */
}

static const char *fault_of(const struct conf_watch *w, const struct wire_file *f, size_t *ret_root)
{
	if (!incoming_find_root(w, f->root, ret_root))
		return "a directory that is not watched";
	if (!incoming_is_relpath(f->relpath))
		return "a path that cannot be";
	if (f->size < 0)
		return "a negative size";
	if (f->ends[0] && !incoming_is_hex(f->ends, VERSION_ENDS_HEX - 1))
		return "a digest that is none";
	if (strlen(f->mime) >= FILETYPE_MIME_BYTES || !text_is_utf8(f->mime, strlen(f->mime)))
		return "a type that cannot be";
	if (!incoming_is_time(f->first_seen_us) || !incoming_is_time(f->completed_us))
		return "a time that cannot be";
	if (!incoming_is_hex(f->rules_hash, LEDGER_RULES_HASH_BYTES - 1))
		return "a rules hash that is none";
	if (strlen(f->rule) >= LEDGER_WORD_BYTES)
		return "a rule that is none";
	return NULL;
}

int incoming_open(struct intake *in, const struct intake_peer *peer, const struct wire_message *m,
	struct incoming *f, struct err *err)
{
	const struct wire_file *wire = &m->as.file;
	const char *fault = fault_of(peer->watch, wire, &f->root_index);
	int rc;

	if (fault)
		return incoming_blame(err, peer, m->type, fault);
	f->watch = peer->watch;
	f->wire = wire;
	f->key = (struct ledger_key){.watch = peer->watch->name, .relpath = wire->relpath};
	f->version = (struct version){.size = wire->size,
		.mtime_ns = wire->mtime_ns,
		.ino = (uint64_t)wire->ino,
		.birth_ns = wire->birth_ns};
	memcpy(f->version.ends, wire->ends, strlen(wire->ends) + 1);
	f->path = fs_join(wire->root, wire->relpath);
	if (strlen(f->path) >= WIRE_PATH_BYTES + strlen(wire->root))
		return incoming_blame(err, peer, m->type, "a path that is too long");
	incoming_copy_words(f->detail, sizeof(f->detail), wire->detail);
	incoming_copy_words(f->evidence, sizeof(f->evidence), wire->evidence);
	buf_init(&f->uri, INCOMING_URI_BYTES);
	(void)pathmap_apply(f->watch, f->path, &f->uri);
	if (f->uri.failed)
		return incoming_blame(err, peer, m->type, "a path that is too long");
	rc = baseline_root(in->baseline, f->watch, f->root_index, &f->key.root_id, err);
	return rc;
}

/* ---- the newest row of a key ---- */

const char *incoming_hold_words(const char *reason)
{
	if (strcmp(reason, INCOMING_LOST) == 0)
		return "the ledger that knew whether it was started is lost";
	if (strcmp(reason, INTAKE_KNOWN_BEFORE) == 0)
		return "known before, under a watch that is not configured any more, and with another "
		       "request";
	return "it was there before the watch";
}

int incoming_find_newest(struct intake *in, const struct ledger_key *key, const char *root,
	struct ledger_known *ret, bool *ret_is_here, struct err *err)
{
	struct ledger_key there = *key;
	int rc = ledger_newest(in->ledger, key, ret, err);

	*ret_is_here = rc > 0;
	if (rc != 0 || !in->behind)
		return rc;
	rc = ledger_root(in->behind, root, false, &there.root_id, err);
	return rc <= 0 ? rc : ledger_newest(in->behind, &there, ret, err);
}

enum version_relation incoming_relate(const struct intake_peer *peer, const struct version *known,
	const struct version *now, bool by_listing)
{
	const struct conf_watch *w = peer->watch;
	enum version_relation relation =
		version_compare(known, now, by_listing ? VERSION_BY_LISTING : VERSION_BY_EVENT,
			(enum conf_version)w->version, peer->inodes_stable);

	return w->ends ? relation : version_without_ends(relation);
}

int incoming_compare(struct intake *in, const struct intake_peer *peer, struct incoming *f, struct err *err)
{
	int rc = incoming_find_newest(in, &f->key, f->wire->root, &f->known, &f->known_is_here, err);

	if (rc < 0)
		return rc;
	f->has_known = rc > 0;
	f->relation =
		rc == 0 ? VERSION_NEW
			: incoming_relate(peer, &f->known.version, &f->version, f->wire->by_listing != 0);
	return 0;
}

bool incoming_is_gone(enum ledger_state state)
{
	return state == LEDGER_VANISHED || state == LEDGER_SUPERSEDED;
}

bool incoming_is_placeholder(const struct ledger_known *k)
{
	static const char *const reasons[] = {
		INCOMING_EXISTING, INCOMING_LOST, INTAKE_KNOWN_BEFORE, INTAKE_RELEASED};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strcmp(k->reason, reasons[i]) == 0)
			return (k->state == LEDGER_SKIPPED || k->state == LEDGER_HELD) && !k->has_token;
	return false;
}

int incoming_judge_placeholder(struct intake *in, struct incoming *f, bool *ret, struct err *err)
{
	static const char *const reasons[] = {INCOMING_LOST, INTAKE_KNOWN_BEFORE, INCOMING_EXISTING};
	bool announced = false, released = strcmp(f->known.reason, INTAKE_RELEASED) == 0;
	size_t why = 0;
	int rc = 0;

	if (released) {
		*ret = true;
		return 0;
	}
	while (why + 1 < ARRAY_SIZE(reasons) && strcmp(f->known.reason, reasons[why]) != 0)
		why++;
	/* that somebody has closed it says nothing about a version that is known, and was not changed */
	if (!f->wire->by_listing && strcmp(reasons[why], INTAKE_KNOWN_BEFORE) != 0)
		rc = baseline_was_open(
			in->baseline, f->watch, f->root_index, f->wire->first_seen_us, &announced, err);
	if (rc < 0)
		return rc;
	*ret = announced || f->known.state == LEDGER_HELD;
	if (announced || f->known.state != LEDGER_HELD)
		return 0;
	f->hold = reasons[why];
	f->hold_detail = incoming_hold_words(f->hold);
	return 0;
}

/* ---- rows ---- */

struct event_file incoming_event_file(const struct incoming *f)
{
	return (struct event_file){
		.root = f->wire->root,
		.relpath = f->wire->relpath,
		.uri = buf_str(&f->uri),
		.size = f->wire->size,
		.mtime_ns = f->wire->mtime_ns,
		.owner = f->wire->owner,
		.ends = f->wire->ends,
		.mime = f->wire->mime,
		.first_seen_us = f->wire->first_seen_us,
		.completed_us = f->wire->completed_us,
	};
}

static struct marker incoming_marker(const struct incoming *f)
{
	return (struct marker){.mtime_ns = f->wire->marker_mtime_ns, .ino = f->wire->marker_ino};
}

bool incoming_is_marker_stale(const struct incoming *f)
{
	struct marker now = incoming_marker(f);

	return f->has_known && f->relation != VERSION_SAME && marker_is_known(&now) &&
	       !marker_counts(&now, &f->known.marker, f->version.mtime_ns);
}

struct ledger_new incoming_row(const struct incoming *f, int64_t now_us)
{
	const struct conf_workspace *ws = f->watch->workspace;

	return (struct ledger_new){
		.key = f->key,
		.version = f->version,
		.owner = f->wire->owner,
		.mime = f->wire->mime,
		.evidence = f->evidence,
		.first_seen_us = f->wire->first_seen_us,
		.completed_us = f->wire->completed_us,
		.state = LEDGER_PENDING,
		.reason = "",
		.detail = "",
		.rules_hash = "",
		.token = "",
		.generation = INCOMING_GENERATION,
		.workspace = ws->name,
		.host = ws->host_token,
		.job_id = f->watch->job_id,
		.uri = buf_str(&f->uri),
		.marker = incoming_marker(f),
		.now_us = now_us,
	};
}

int incoming_insert_failed(struct intake *in, struct incoming *f, const struct ledger_new *as,
	const char *reason, const char *detail, int64_t now_us, struct intake_result *ret, struct err *err)
{
	struct ledger_new row = *as;
	struct event_file ef = incoming_event_file(f);
	const struct event_failure x = {
		.reason = reason,
		.error_code = "",
		.message = detail,
		.workspace = as->workspace,
		.job_id = as->job_id,
	};
	const char *advice = advice_for(reason);
	char path[INCOMING_SHOWN_BYTES], words[INCOMING_WORDS_BYTES];
	int64_t id;
	int rc;

	row.state = f->watch->on_failure == CONF_FAIL_DISCARD ? LEDGER_DISCARDED : LEDGER_FAILED;
	row.reason = reason;
	row.detail = detail;
	row.failures = 1;
	rc = ledger_insert(in->ledger, &row, &id, err);
	if (rc == 0)
		rc = scribe_start(
			in->scribe, EVENT_START_FAILED, f->watch->name, row.token, 1, &ef, &x, now_us, err);
	if (rc < 0)
		return rc;
	ret->failed = true;
	text_printable(detail, strlen(detail), words, sizeof(words));
	if (in->dry)
		incoming_say_plain(ret, mem_printf("would dead-letter %s: %s (%s)",
						incoming_show(f->path, path), reason, words));
	else
		incoming_say(ret, LOG_LEVEL_WARNING,
			mem_printf("dead letter: %s: %s (%s), job %" PRId64 "%s%s",
				incoming_show(f->path, path), reason, words, as->job_id,
				advice[0] ? "; " : "", advice));
	return 0;
}
