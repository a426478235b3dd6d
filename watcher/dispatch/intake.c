/*
 * intake: every message can be taken twice, because a transaction that is given up brings all of its messages
 * again. So nothing is kept here but what can be read from the ledger anew (intake_undo forgets it), and what
 * a message leads to outside the ledger is only written down in its result.
 *
 * A watcher is believed about the files of its folder, and about nothing else: directories that are not its
 * own, paths that climb, numbers and texts that cannot be are its fault and end the connection.
 */
#include "dispatch/intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/filetype.h"
#include "core/pathmap.h"
#include "core/request.h"
#include "core/template.h"
#include "core/token.h"
#include "core/version.h"
#include "dispatch/baseline.h"
#include "dispatch/census.h"
#include "dispatch/flood.h"
#include "dispatch/renew.h"
#include "dispatch/supersede.h"

#define GENERATION_FIRST 1
#define GENERATIONS_MAX 100000 /* of one token text: a file that alternates between two versions */
#define URI_BYTES (32u * 1024)
#define WORDS_BYTES 512 /* of a watcher's sentence */
#define PATH_SHOWN 1024

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
struct file {
	const struct conf_watch *watch;
	const struct wire_file *wire;
	struct ledger_key key;
	size_t root_index;
	struct version version;
	char *path; /* root and relpath */
	struct buf uri;
	char detail[WORDS_BYTES], evidence[WORDS_BYTES]; /* fit to be shown */
	struct ledger_known known;			 /* the newest row, if has_known */
	bool has_known;
	bool known_is_here; /* it is in the ledger that is written to */
	enum version_relation relation;
	const char *hold, *hold_detail; /* why it is not to be started; NULL: it is */
	bool not_moved;			/* that has been asked already */
};

static void file_done(struct file *f)
{
	free(f->path);
	buf_done(&f->uri);
}

#define CLEANUP_FILE __attribute__((cleanup(file_done)))

/* ---- what is to be said afterwards ---- */

static const char *show(const char *s, char out[PATH_SHOWN])
{
	return text_printable(s, strlen(s), out, PATH_SHOWN);
}

static void copy_words(char *to, size_t room, const char *from)
{
	text_printable(from, strlen(from), to, room);
}

static void say(struct intake_result *r, enum log_level level, char *text)
{
	free(r->text);
	r->level = level;
	r->text = text;
}

static void say_plain(struct intake_result *r, char *text)
{
	say(r, LOG_LEVEL_INFO, text);
	r->text_is_plain = true;
}

static int blame(struct err *err, const struct intake_peer *peer, enum wire_type type, const char *what)
{
	(void)err_set(err, ERR_INPUT, EBADMSG, "watch %s sent a message \"%s\" with %s", peer->watch->name,
		wire_type_name(type), what);
	return 1;
}

/* ---- directories and baselines ---- */

static bool find_root(const struct conf_watch *w, const char *root, size_t *ret)
{
	for (size_t i = 0; i < w->directory.n; i++) {
		if (strcmp(w->directory.items[i], root) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* ---- why files are held ---- */

#define WORD_EXISTING "existing"
#define WORD_LOST "ledger_lost"

static const char *hold_words(const char *reason)
{
	return strcmp(reason, WORD_LOST) == 0 ? "the ledger that knew whether it was started is lost"
					      : "it was there before the watch";
}

/* ---- the newest row of a key ---- */

static int find_newest(struct intake *in, const struct ledger_key *key, const char *root,
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

static enum version_relation relate(const struct intake_peer *peer, const struct version *known,
	const struct version *now, bool by_listing)
{
	const struct conf_watch *w = peer->watch;
	enum version_relation relation =
		version_compare(known, now, by_listing ? VERSION_BY_LISTING : VERSION_BY_EVENT,
			(enum conf_version)w->version, peer->inodes_stable);

	return w->ends ? relation : version_without_ends(relation);
}

/* ---- checking a message about a file ---- */

static bool is_relpath(const char *s)
{
	if (s[0] == '\0' || strlen(s) >= WIRE_PATH_BYTES)
		return false;
	while (*s) {
		size_t n = strcspn(s, "/");

		if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += n;
		if (*s == '/' && *++s == '\0')
			return false;
	}
	return true;
}

static bool is_hex(const char *s, size_t digits)
{
	return strlen(s) == digits && strspn(s, "0123456789abcdef") == digits;
}

static bool is_time(int64_t us)
{
	return us >= 0 && us < INT64_C(253402300800) * US_PER_S; /* the year 10000 */
}

static const char *fault_of(const struct conf_watch *w, const struct wire_file *f, size_t *ret_root)
{
	if (!find_root(w, f->root, ret_root))
		return "a directory that is not watched";
	if (!is_relpath(f->relpath))
		return "a path that cannot be";
	if (f->size < 0)
		return "a negative size";
	if (f->ends[0] && !is_hex(f->ends, VERSION_ENDS_HEX - 1))
		return "a digest that is none";
	if (strlen(f->mime) >= FILETYPE_MIME_BYTES || !text_is_utf8(f->mime, strlen(f->mime)))
		return "a type that cannot be";
	if (!is_time(f->first_seen_us) || !is_time(f->completed_us))
		return "a time that cannot be";
	if (!is_hex(f->rules_hash, LEDGER_RULES_HASH_BYTES - 1))
		return "a rules hash that is none";
	if (strlen(f->rule) >= LEDGER_WORD_BYTES)
		return "a rule that is none";
	return NULL;
}

/* Fills f from the message and the ledger. 0, 1 (the watcher's fault), -errno. f is done by the caller
 * whatever comes. */
static int open_file(struct intake *in, const struct intake_peer *peer, const struct wire_message *m,
	struct file *f, struct err *err)
{
	const struct wire_file *wire = &m->as.file;
	const char *fault = fault_of(peer->watch, wire, &f->root_index);
	int rc;

	if (fault)
		return blame(err, peer, m->type, fault);
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
		return blame(err, peer, m->type, "a path that is too long");
	copy_words(f->detail, sizeof(f->detail), wire->detail);
	copy_words(f->evidence, sizeof(f->evidence), wire->evidence);
	buf_init(&f->uri, URI_BYTES);
	(void)pathmap_apply(f->watch, f->path, &f->uri);
	if (f->uri.failed)
		return blame(err, peer, m->type, "a path that is too long");
	rc = baseline_root(in->baseline, f->watch, f->root_index, &f->key.root_id, err);
	return rc;
}

static int compare_file(struct intake *in, const struct intake_peer *peer, struct file *f, struct err *err)
{
	int rc = find_newest(in, &f->key, f->wire->root, &f->known, &f->known_is_here, err);

	if (rc < 0)
		return rc;
	f->has_known = rc > 0;
	f->relation = rc == 0 ? VERSION_NEW
			      : relate(peer, &f->known.version, &f->version, f->wire->by_listing != 0);
	return 0;
}

static struct event_file event_file_of(const struct file *f)
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

static struct ledger_new row_of(const struct file *f, int64_t now_us)
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
		.generation = GENERATION_FIRST,
		.workspace = ws->name,
		.host = ws->host_token,
		.job_id = f->watch->job_id,
		.uri = buf_str(&f->uri),
		.now_us = now_us,
	};
}

/* ---- dead letters ---- */

/* Makes the row a dead letter: inserts it, with its event. */
static int insert_failed(struct intake *in, struct file *f, const struct ledger_new *as, const char *reason,
	const char *detail, int64_t now_us, struct intake_result *ret, struct err *err)
{
	struct ledger_new row = *as;
	struct event_file ef = event_file_of(f);
	struct event_failure x = {.reason = reason, .error_code = "", .message = detail};
	char path[PATH_SHOWN], words[WORDS_BYTES];
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
		say_plain(
			ret, mem_printf("would dead-letter %s: %s (%s)", show(f->path, path), reason, words));
	else
		say(ret, LOG_LEVEL_WARNING,
			mem_printf("dead letter: %s: %s (%s)", show(f->path, path), reason, words));
	return 0;
}

/* ---- accepting a version ---- */

/* Rows of a watch that is no longer configured, for the same file: the watch was renamed. */
static bool is_left_over(const struct intake *in, const struct file *f, const struct ledger_owner *o)
{
	return o->root_id == f->key.root_id && o->same_relpath && !conf_watch_find(in->conf, o->watch);
}

static bool is_same_key(const struct file *f, const struct ledger_owner *o)
{
	return o->root_id == f->key.root_id && (o->same_relpath || o->moved) &&
	       strcmp(o->watch, f->watch->name) == 0;
}

enum token_found { TOKEN_FREE, TOKEN_UNUSED, TOKEN_TAKEN, TOKEN_LEFT_OVER };

/* The first generation from *generation on whose token no run of this file itself can have. Fills token and,
 * unless it is free, who has it. UNUSED: an older row of this file that was never sent. */
static int find_token(struct intake *in, const struct file *f, int64_t *generation, char token[TOKEN_BYTES],
	struct ledger_owner *ret_owner, enum token_found *ret, struct err *err)
{
	const struct conf_watch *w = f->watch;

	for (int64_t n = 0; n < GENERATIONS_MAX; n++, ++*generation) {
		int rc;

		token_make(w->workspace->host_token, w->job_id, f->version.size, f->version.mtime_ns,
			*generation, buf_str(&f->uri), (enum conf_version)w->version, token);
		rc = ledger_find_token(in->ledger, token, f->key.relpath, ret_owner, err);
		if (rc < 0)
			return rc;
		if (rc > 0 && is_same_key(f, ret_owner) && !ret_owner->unused)
			continue;
		if (rc == 0)
			*ret = TOKEN_FREE;
		else if (is_same_key(f, ret_owner))
			*ret = TOKEN_UNUSED;
		else
			*ret = is_left_over(in, f, ret_owner) ? TOKEN_LEFT_OVER : TOKEN_TAKEN;
		return 0;
	}
	*ret = TOKEN_TAKEN;
	return 0;
}

static char *directory_uri(const struct file *f)
{
	CLEANUP_BUF struct buf b = BUF_INIT(URI_BYTES);
	const char *slash = strrchr(f->path, '/');
	CLEANUP_FREE char *directory =
		slash == f->path ? mem_strdup("/") : mem_strndup(f->path, (size_t)(slash - f->path));

	(void)pathmap_apply(f->watch, directory, &b);
	return mem_strdup(buf_str(&b));
}

/* The body, into in->request. *ret_reason: NULL, or why this file can never be sent (with *err). */
static void build_request(struct intake *in, const struct file *f, const char *token, int64_t now_us,
	const char **ret_reason, struct err *err)
{
	CLEANUP_FREE char *dir_uri = directory_uri(f);
	struct template_facts facts = {
		.path = f->path,
		.uri = buf_str(&f->uri),
		.relpath = f->wire->relpath,
		.dir_uri = dir_uri,
		.size = f->wire->size,
		.mtime_ns = f->wire->mtime_ns,
		.type = f->wire->mime,
		.watch = f->watch->name,
		.host = f->watch->workspace->host_token,
		.job_id = f->watch->job_id,
		.token = token,
		.now_us = now_us,
	};

	*ret_reason = NULL;
	buf_reset(&in->request);
	if (request_build(f->watch, &facts, &in->request, ret_reason, err) == 0)
		*ret_reason = NULL;
	else if (!*ret_reason)
		*ret_reason = "request_not_built";
}

/* Thousands are held for this reason at once, and that is said for all of them together. */
static bool is_held_with_others(const char *reason)
{
	return strcmp(reason, WORD_EXISTING) == 0 || strcmp(reason, WORD_LOST) == 0 ||
	       strcmp(reason, FLOOD_HELD) == 0;
}

static void say_accepted(const struct intake *in, const struct file *f, const struct ledger_new *row,
	struct intake_result *ret)
{
	char path[PATH_SHOWN], uri[PATH_SHOWN];

	ret->accepted = row->state == LEDGER_PENDING;
	if (in->dry && ret->accepted)
		say_plain(ret, mem_printf("would start job %" PRId64 " (%s) %s -> %s  type %s", row->job_id,
				       f->watch->name, show(f->path, path), show(row->uri, uri),
				       row->mime[0] ? row->mime : "-"));
	else if (in->dry)
		say_plain(ret, mem_printf("would hold %s: %s", show(f->path, path), row->detail));
	else if (!ret->accepted && !is_held_with_others(row->reason))
		say(ret, LOG_LEVEL_WARNING, mem_printf("held: %s: %s", show(f->path, path), row->detail));
}

static int insert_version(struct intake *in, struct file *f, struct ledger_new *row, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	struct err why = ERR_INIT;
	const char *reason;
	int64_t id;
	int rc = ledger_last_run(in->ledger, &f->key, &row->previous_run_id, err);

	if (rc < 0)
		return rc;
	build_request(in, f, row->token, now_us, &reason, &why);
	if (reason)
		return insert_failed(in, f, row, reason, why.text, now_us, ret, err);
	row->request = buf_str(&in->request);
	row->request_len = in->request.len;
	rc = ledger_insert(in->ledger, row, &id, err);
	if (rc == 0)
		say_accepted(in, f, row, ret);
	return rc;
}

static int take_over(struct intake *in, struct file *f, const struct ledger_owner *owner, struct err *err)
{
	struct ledger_key key = f->key;

	key.watch = owner->watch;
	return ledger_move_key(in->ledger, &key, f->watch->name, err);
}

static int take_new(struct intake *in, const struct intake_peer *peer, struct file *f, int64_t now_us,
	struct intake_result *ret, struct err *err);

/* Too many at once? */
static int pull_brake(
	struct intake *in, struct file *f, int64_t now_us, struct intake_result *ret, struct err *err)
{
	bool hold = false;
	char *text = NULL;
	int rc = flood_take(in->flood, f->watch, now_us, &hold, &text, err);

	if (rc < 0)
		return rc;
	if (text)
		say(ret, LOG_LEVEL_WARNING, text);
	if (hold) {
		f->hold = FLOOD_HELD;
		f->hold_detail = "more files came at once than `brake` allows";
	}
	return 0;
}

/* The version is not known: give it a token and a row. */
static int accept_version(struct intake *in, const struct intake_peer *peer, struct file *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	struct ledger_new row = row_of(f, now_us);
	struct ledger_owner owner;
	enum token_found found = TOKEN_FREE;
	char token[TOKEN_BYTES];
	int rc;

	if (f->relation == VERSION_GENERATION)
		row.generation = f->known.generation; /* the next one, if a run can have this token */
	rc = supersede_waiting(
		in->ledger, in->scribe, &f->key, f->watch->workspace->host_token, now_us, &ret->gone, err);
	if (rc == 0)
		rc = find_token(in, f, &row.generation, token, &owner, &found, err);
	if (rc == 0 && found == TOKEN_UNUSED) {
		row.revived = owner.revived + 1;
		rc = ledger_clear_token(in->ledger, owner.id, err);
	}
	if (rc < 0)
		return rc;
	if (found == TOKEN_LEFT_OVER) {
		rc = take_over(in, f, &owner, err);
		return rc < 0 ? rc : take_new(in, peer, f, now_us, ret, err);
	}
	if (found == TOKEN_TAKEN)
		return insert_failed(in, f, &row, "same_remote_file",
			"another file is known under the same remote path, size and time", now_us, ret, err);
	row.token = token;
	if (!f->hold && (f->relation == VERSION_HOLD || f->relation == VERSION_ENDS)) {
		f->hold = "ends_unknown";
		f->hold_detail = "only its time differs from a version whose contents are not known";
	}
	if (!f->hold) {
		rc = pull_brake(in, f, now_us, ret, err);
		if (rc < 0)
			return rc;
	}
	if (f->hold) {
		row.state = LEDGER_HELD;
		row.reason = f->hold;
		row.detail = f->hold_detail;
	}
	return insert_version(in, f, &row, now_us, ret, err);
}

static bool is_gone(enum ledger_state state)
{
	return state == LEDGER_VANISHED || state == LEDGER_SUPERSEDED;
}

/* It was gone or replaced before its run was started, and is there again: the same token, so that a run is
 * the same run. 1: so it is, 0: nothing could be done, -errno */
static int take_again(
	struct intake *in, const struct file *f, int64_t now_us, struct intake_result *ret, struct err *err)
{
	char path[PATH_SHOWN];
	int rc = ledger_revive(in->ledger, f->known.id, now_us, err);

	if (rc <= 0)
		return rc;
	ret->accepted = true;
	say(ret, LOG_LEVEL_INFO, mem_printf("found again: %s", show(f->path, path)));
	return 1;
}

/* A row for a file that was there before the watch; it was never looked at. */
static bool is_placeholder(const struct ledger_known *k)
{
	return (k->state == LEDGER_SKIPPED || k->state == LEDGER_HELD) && !k->has_token &&
	       (strcmp(k->reason, WORD_EXISTING) == 0 || strcmp(k->reason, WORD_LOST) == 0);
}

/* Is it to be taken as if it were new? It announced itself while the first listing was under way; or it is
 * held, and was looked at now: then its row gets what it needs to be released. */
static int judge_placeholder(struct intake *in, struct file *f, bool *ret, struct err *err)
{
	bool announced = false;
	int rc = 0;

	if (!f->wire->by_listing)
		rc = baseline_was_open(
			in->baseline, f->watch, f->root_index, f->wire->first_seen_us, &announced, err);
	if (rc < 0)
		return rc;
	*ret = announced || f->known.state == LEDGER_HELD;
	if (announced || f->known.state != LEDGER_HELD)
		return 0;
	f->hold = strcmp(f->known.reason, WORD_LOST) == 0 ? WORD_LOST : WORD_EXISTING;
	f->hold_detail = hold_words(f->hold);
	return 0;
}

static int take_existing(struct intake *in, const struct intake_peer *peer, struct file *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	bool take;
	int rc = judge_placeholder(in, f, &take, err);

	if (rc < 0 || !take)
		return rc;
	rc = ledger_remove(in->ledger, f->known.id, err);
	return rc < 0 ? rc : accept_version(in, peer, f, now_us, ret, err);
}

/* The version is known. */
static int take_same(struct intake *in, const struct intake_peer *peer, struct file *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	char path[PATH_SHOWN];
	int rc = 0;

	if (!f->known_is_here)
		return 0; /* a dry run */
	if (f->known.state == LEDGER_HELD && strcmp(f->known.reason, RENEW_REMOVED) == 0) {
		/* its watch was renamed */
		rc = renew_release(in->conf, in->ledger, f->known.id, now_us, err);
		ret->accepted = rc > 0;
		return rc < 0 ? rc : 0;
	}
	if (is_placeholder(&f->known))
		return take_existing(in, peer, f, now_us, ret, err);
	if (is_gone(f->known.state)) {
		rc = take_again(in, f, now_us, ret, err);
		if (rc == 0)
			rc = accept_version(in, peer, f, now_us, ret, err);
		if (rc < 0)
			return rc;
		rc = 0;
	}
	if (f->known.version.mtime_ns != f->version.mtime_ns)
		rc = ledger_set_seen(in->ledger, f->known.id, &f->version, err);
	if (rc < 0 || f->known.state != LEDGER_REJECTED ||
		strcmp(f->known.rules_hash, f->wire->rules_hash) == 0)
		return rc;
	/* turned away by other rules: never started by surprise */
	rc = ledger_set_state(in->ledger, f->known.id, LEDGER_HELD, "rules_changed",
		"it was rejected before and passes now, after the rules were changed", f->wire->rules_hash,
		now_us, err);
	if (rc == 0)
		say(ret, LOG_LEVEL_WARNING,
			mem_printf("held: %s: it was rejected before and passes now", show(f->path, path)));
	return rc;
}

/* ---- moved files ---- */

#define MOVED_LOOK 8 /* rows with the same inode, size and time: more than one is rare */

/* Do the contents say the same? What was never read has no digest; then there is no run that could be lost by
 * taking it for the same. */
static bool has_ends_of(const struct ledger_row *r, const struct file *f)
{
	if (r->version.ends[0] && f->version.ends[0])
		return strcmp(r->version.ends, f->version.ends) == 0;
	return r->state == LEDGER_SKIPPED || r->state == LEDGER_REJECTED || r->state == LEDGER_HELD;
}

/* A file that is not known under its name: is it perhaps another one that has moved? Then *ret says which. */
static int find_moved(struct intake *in, const struct intake_peer *peer, const struct file *f,
	struct intake_result *ret, struct err *err)
{
	int64_t ids[MOVED_LOOK];
	int n;

	if (f->has_known || f->not_moved || in->dry || !peer->inodes_stable || f->version.ino == 0)
		return 0;
	n = ledger_by_inode(in->ledger, &f->key, &f->version, ids, MOVED_LOOK, err);
	for (int i = 0; i < n && ret->moved_row == 0; i++) {
		struct ledger_row row;
		int rc = ledger_row(in->ledger, ids[i], &row, err);

		if (rc < 0 && rc != -EBADMSG)
			return rc;
		if (rc > 0 && has_ends_of(&row, f) && !version_other_inode(&row.version, &f->version)) {
			ret->moved_row = row.id;
			ret->moved_root = mem_strdup(f->wire->root);
			ret->moved_from = mem_strdup(row.relpath);
			ret->moved_version = row.version;
			ret->moved_version.mtime_ns = f->version.mtime_ns;
		}
		if (rc > 0)
			ledger_row_done(&row);
	}
	return n < 0 ? n : 0;
}

/* The old name of that row means something else now, or nothing: it is this file. 1: go on with f; 0: not
 * now; -errno */
static int follow_move(struct intake *in, struct file *f, struct ledger_row *row, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	int rc;

	if (row->state == LEDGER_PENDING && row->sent)
		return 0; /* once it is answered a listing finds it again */
	if (row->state == LEDGER_PENDING) {
		ret->gone += strcmp(row->host, f->watch->workspace->host_token) == 0;
		rc = supersede_row(in->ledger, in->scribe, row, "the file was moved", now_us, err);
	} else if (row->state == LEDGER_HELD) { /* its request names the old path */
		f->hold = row->reason;
		f->hold_detail = "it was held under another name";
		rc = ledger_remove(in->ledger, row->id, err);
	} else if (row->state == LEDGER_VANISHED || row->state == LEDGER_SUPERSEDED) {
		rc = 0;
	} else {
		char from[PATH_SHOWN], to[PATH_SHOWN];

		say(ret, LOG_LEVEL_INFO,
			mem_printf("moved: %s is now %s; it is known", show(row->relpath, from),
				show(f->path, to)));
		rc = ledger_rename(in->ledger, row->id, f->key.relpath, err);
	}
	return rc < 0 ? rc : 1;
}

static int take_new(struct intake *in, const struct intake_peer *peer, struct file *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	int rc = compare_file(in, peer, f, err);

	if (rc == 0)
		rc = find_moved(in, peer, f, ret, err);
	if (rc < 0 || ret->moved_row > 0)
		return rc;
	if (f->relation == VERSION_SAME)
		return take_same(in, peer, f, now_us, ret, err);
	return accept_version(in, peer, f, now_us, ret, err);
}

/* What lies where the mount is missing says nothing about the files of the mount; it is found by a listing
 * when a person says that it is meant. */
static int is_suspended(struct intake *in, const struct file *f, bool *ret, struct err *err)
{
	enum baseline_stage stage;
	int rc = baseline_stage(in->baseline, f->watch, f->root_index, false, &stage, err);

	*ret = rc == 0 && stage == BASELINE_SUSPENDED;
	return rc;
}

/* ---- rejected files ---- */

static int insert_rejected(
	struct intake *in, struct file *f, int64_t now_us, struct intake_result *ret, struct err *err)
{
	struct ledger_new row = row_of(f, now_us);
	struct event_file ef = event_file_of(f);
	char path[PATH_SHOWN];
	int64_t id;
	int rc;

	rc = supersede_waiting(
		in->ledger, in->scribe, &f->key, f->watch->workspace->host_token, now_us, &ret->gone, err);
	if (rc < 0)
		return rc;
	row.rules_hash = f->wire->rules_hash;
	if (f->wire->dead_letter)
		return insert_failed(in, f, &row, f->wire->rule, f->detail, now_us, ret, err);
	row.state = LEDGER_REJECTED;
	row.reason = f->wire->rule;
	row.detail = f->detail;
	rc = ledger_insert(in->ledger, &row, &id, err);
	if (rc == 0 && in->conf->events.rejected)
		rc = scribe_rejected(in->scribe, f->watch->name, &ef, f->wire->rule, f->detail, now_us, err);
	if (rc < 0)
		return rc;
	ret->rejected = true;
	if (in->dry)
		say_plain(ret, mem_printf("would reject %s: %s", show(f->path, path), f->detail));
	else
		say(ret, LOG_LEVEL_INFO,
			mem_printf("rejected: %s: %s (%s)", show(f->path, path), f->detail, f->wire->rule));
	return 0;
}

static int reject_file(struct intake *in, const struct intake_peer *peer, struct file *f, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	int rc = compare_file(in, peer, f, err);

	if (rc == 0)
		rc = find_moved(in, peer, f, ret, err);
	if (rc < 0 || ret->moved_row > 0)
		return rc;
	if (f->relation == VERSION_SAME && f->known_is_here && is_placeholder(&f->known)) {
		bool take;

		rc = judge_placeholder(in, f, &take, err);
		if (rc == 0 && take)
			rc = ledger_remove(in->ledger, f->known.id, err);
		if (rc < 0 || !take)
			return rc;
		f->relation = VERSION_NEW;
	}
	if (f->relation != VERSION_SAME)
		return insert_rejected(in, f, now_us, ret, err);
	if (!f->known_is_here || f->known.state != LEDGER_REJECTED ||
		strcmp(f->known.rules_hash, f->wire->rules_hash) == 0)
		return 0;
	/* again, by other rules: the row says which, so that it is not asked about once more */
	return ledger_set_state(in->ledger, f->known.id, LEDGER_REJECTED, f->wire->rule, f->detail,
		f->wire->rules_hash, now_us, err);
}

/* READY and REJECTED. moved: the row it may be, or 0; then verdict tells what is under its old name. */
static int take_file(struct intake *in, struct intake_peer *peer, const struct wire_message *m, int64_t moved,
	enum wire_verdict verdict, int64_t now_us, struct intake_result *ret, struct err *err)
{
	CLEANUP_FILE struct file f = {.path = NULL};
	struct ledger_row row = {.id = 0};
	bool suspended = false;
	int rc = open_file(in, peer, m, &f, err);

	if (rc == 0)
		rc = is_suspended(in, &f, &suspended, err);
	if (rc != 0 || suspended)
		return rc;
	f.not_moved = moved > 0;
	if (moved > 0 && verdict == WIRE_UNSURE)
		return 0; /* a listing finds it again */
	if (moved > 0 && verdict != WIRE_SAME) {
		rc = compare_file(in, peer, &f, err);
		if (rc == 0 && !f.has_known)
			rc = ledger_row(in->ledger, moved, &row, err);
		if (rc > 0)
			rc = follow_move(in, &f, &row, now_us, ret, err);
		else if (rc == 0)
			rc = 1; /* its name or the row has changed meanwhile */
		if (rc <= 0)
			goto out;
	}
	rc = m->type == WIRE_READY ? take_new(in, peer, &f, now_us, ret, err)
				   : reject_file(in, peer, &f, now_us, ret, err);
out:
	ledger_row_done(&row);
	return rc;
}

/* ---- candidates ---- */

struct listing { /* one `candidates` */
	struct ledger_key key;
	const char *root;
	const char *rules_hash;
	enum baseline_stage stage;
};

/* Is a file that is not known one that was there before? */
static bool is_existing(const struct intake_peer *peer, const struct listing *l)
{
	return l->stage == BASELINE_LOST || ((l->stage == BASELINE_FIRST || l->stage == BASELINE_CONTINUED) &&
						    peer->watch->existing != CONF_EXISTING_RUN);
}

/* A file that was there before the watch: recorded. 0: it is not looked at; 1: it is held, and looked at now,
 * so that it can be released; -errno */
static int insert_existing(struct intake *in, const struct intake_peer *peer, const struct listing *l,
	const struct ledger_key *key, const struct version *v, int64_t now_us, struct err *err)
{
	const struct conf_watch *w = peer->watch;
	bool skip = w->existing == CONF_EXISTING_SKIP && l->stage == BASELINE_FIRST;
	const char *why = l->stage == BASELINE_LOST ? WORD_LOST : WORD_EXISTING;
	struct ledger_new row = {
		.key = *key,
		.version = *v,
		.mime = "",
		.evidence = "",
		.first_seen_us = now_us,
		.completed_us = now_us,
		.state = skip ? LEDGER_SKIPPED : LEDGER_HELD,
		.reason = why,
		.detail = hold_words(why),
		.rules_hash = skip ? "" : LEDGER_RULES_LOOK,
		.token = "",
		.generation = GENERATION_FIRST,
		.workspace = w->workspace->name,
		.host = w->workspace->host_token,
		.job_id = w->job_id,
		.uri = "",
		.now_us = now_us,
	};
	int64_t id;
	int rc = ledger_insert(in->ledger, &row, &id, err);

	return rc < 0 ? rc : !skip;
}

/* Nearly all files of a listing are known and unchanged; that needs no more than a glance. 1: so it is, 0:
 * look closer, -errno */
static int is_known(struct intake *in, const struct intake_peer *peer, const struct listing *l,
	const struct ledger_key *key, const struct version *now, struct err *err)
{
	struct version known = {.size = 0};
	struct ledger_glance glance;
	int rc = ledger_glance(in->ledger, key, &glance, err);

	if (rc <= 0)
		return rc;
	census_met(in->census, peer->watch, glance.id);
	known.size = glance.size;
	known.mtime_ns = glance.mtime_ns;
	return relate(peer, &known, now, true) == VERSION_SAME &&
	       (glance.rules_hash[0] == '\0' || strcmp(glance.rules_hash, l->rules_hash) == 0);
}

/* 1: wanted, 0: not, -errno */
static int judge_candidate(struct intake *in, const struct intake_peer *peer, const struct listing *l,
	const struct wire_candidate *c, int64_t now_us, struct err *err)
{
	struct version now = {.size = c->size, .mtime_ns = c->mtime_ns, .ino = (uint64_t)c->ino};
	struct ledger_key key = l->key;
	struct ledger_known known;
	bool is_here;
	int rc;

	key.relpath = c->relpath;
	rc = is_known(in, peer, l, &key, &now, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = find_newest(in, &key, l->root, &known, &is_here, err);
	if (rc < 0)
		return rc;
	if (rc == 0 && is_existing(peer, l))
		return insert_existing(in, peer, l, &key, &now, now_us, err);
	if (rc == 0 || relate(peer, &known.version, &now, true) != VERSION_SAME)
		return 1;
	return is_gone(known.state) || (known.state == LEDGER_HELD && is_placeholder(&known)) ||
	       (known.state == LEDGER_REJECTED && strcmp(known.rules_hash, l->rules_hash) != 0);
}

static int judge_candidates(struct intake *in, const struct intake_peer *peer, const struct wire_message *m,
	const struct listing *l, int64_t now_us, struct intake_result *ret, struct err *err)
{
	const struct wire_candidates *list = &m->as.candidates;
	uint8_t bits[WIRE_CANDIDATES_MAX / 8] = {0};
	struct wire_candidate c;
	size_t pos = 0, n = 0;
	int rc;

	while ((rc = wire_candidates_next(list, &pos, &c)) > 0) {
		if (n == WIRE_CANDIDATES_MAX)
			return blame(err, peer, m->type, "too many files");
		if (!is_relpath(c.relpath) || c.size < 0)
			return blame(err, peer, m->type, "a file that cannot be");
		rc = l->stage == BASELINE_SUSPENDED ? 0 : judge_candidate(in, peer, l, &c, now_us, err);
		if (rc < 0)
			return rc;
		if (rc > 0)
			bits[n / 8] |= (uint8_t)(1u << (n % 8));
		n++;
	}
	if (rc < 0)
		return blame(err, peer, m->type, "a damaged list");
	ret->wanted = true;
	ret->seq = list->seq;
	buf_reset(&ret->bits);
	return buf_add(&ret->bits, bits, (n + 7) / 8);
}

static int take_candidates(struct intake *in, struct intake_peer *peer, const struct wire_message *m,
	int64_t now_us, struct intake_result *ret, struct err *err)
{
	const struct wire_candidates *list = &m->as.candidates;
	struct listing l = {
		.root = list->root, .rules_hash = list->rules_hash, .key.watch = peer->watch->name};
	size_t i;
	int rc;

	if (!find_root(peer->watch, list->root, &i))
		return blame(err, peer, m->type, "a directory that is not watched");
	if (!is_hex(list->rules_hash, LEDGER_RULES_HASH_BYTES - 1))
		return blame(err, peer, m->type, "a rules hash that is none");
	rc = baseline_root(in->baseline, peer->watch, i, &l.key.root_id, err);
	if (rc == 0)
		rc = baseline_stage(in->baseline, peer->watch, i, true, &l.stage, err);
	if (rc < 0)
		return rc;
	return judge_candidates(in, peer, m, &l, now_us, ret, err);
}

/* ---- the watch itself ---- */

/* Says so once where a mount is missing. */
static int tell_suspended(struct intake *in, struct intake_peer *peer, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	const struct conf_watch *w = peer->watch;
	char had[BASELINE_TYPE_BYTES];

	for (size_t i = 0; i < w->directory.n; i++) {
		enum baseline_stage stage;
		int rc = baseline_stage(in->baseline, w, i, false, &stage, err);

		if (rc < 0)
			return rc;
		if (stage != BASELINE_SUSPENDED || !baseline_say_suspended(in->baseline, w, i, had))
			continue;
		CLEANUP_FREE char *detail = mem_printf(
			"%s: the mount is missing: it was %s, now %s; nothing in it is judged until it is "
			"back, or until brickwatch resume %s says that this is meant",
			w->directory.items[i], had, baseline_type(in->baseline, w, i), w->name);
		struct event_watch x = {.method = peer->method,
			.file_system = peer->file_system,
			.detail = detail,
			.count = -1};

		rc = scribe_watch(in->scribe, EVENT_WATCH_LOST, w->name, &x, now_us, err);
		if (rc < 0)
			return rc;
		ret->lost = true;
		peer->announced = false;
		say(ret, LOG_LEVEL_ERROR, mem_printf("watch %s: %s", w->name, detail));
	}
	return 0;
}

static int take_hello(struct intake *in, struct intake_peer *peer, const struct wire_hello *h, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	int rc = peer->greeted ? 0 : census_begin(in->census, peer->watch, now_us, clock_mono_us(), err);

	if (rc < 0)
		return rc;
	baseline_types(in->baseline, peer->watch, h->types, h->types_len, !peer->greeted);
	peer->greeted = true;
	peer->inodes_stable = h->inodes_stable != 0;
	copy_words(peer->method, sizeof(peer->method), h->method);
	copy_words(peer->file_system, sizeof(peer->file_system), h->file_system);
	copy_words(peer->limits, sizeof(peer->limits), h->limits);
	return tell_suspended(in, peer, now_us, ret, err);
}

/* Files of the first listing wait for a person: once it is through, that is said, with the way out. */
static int tell_held(struct intake *in, const struct intake_peer *peer, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	static const char *const words[] = {WORD_EXISTING, WORD_LOST};
	const struct conf_watch *w = peer->watch;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct event_watch x = {.method = peer->method, .file_system = peer->file_system};
		CLEANUP_FREE char *detail = NULL;
		int rc = ledger_count_held(in->ledger, w->name, words[i], &x.count, err);

		if (rc < 0)
			return rc;
		if (x.count == 0)
			continue;
		detail = mem_printf("%" PRId64
				    " files are held (%s); brickwatch release --watch %s lets them go",
			x.count, hold_words(words[i]), w->name);
		x.detail = detail;
		rc = scribe_watch(in->scribe, EVENT_WATCH_HELD, w->name, &x, now_us, err);
		if (rc < 0)
			return rc;
		say(ret, LOG_LEVEL_WARNING, mem_strdup(detail));
	}
	return 0;
}

/* Closes the baselines of the directories that were listed to their end. *ret_suspended: one cannot be. */
static int take_listings(struct intake *in, const struct intake_peer *peer, const struct wire_scanned *s,
	int64_t now_us, bool *ret_suspended, struct intake_result *ret, struct err *err)
{
	const struct conf_watch *w = peer->watch;
	const char *roots = s->roots;
	bool any_closed = false;

	*ret_suspended = false;
	for (size_t i = 0; i < w->directory.n; i++) {
		enum baseline_stage stage;
		bool closed = false;
		int rc = baseline_stage(in->baseline, w, i, false, &stage, err);

		if (rc == 0 && (s->complete || (i < s->roots_len && roots[i])))
			rc = baseline_listed(in->baseline, w, i, now_us, &closed, err);
		else
			baseline_cut_short(in->baseline, w, i);
		if (rc < 0)
			return rc;
		any_closed |= closed;
		*ret_suspended |= stage == BASELINE_SUSPENDED;
	}
	return any_closed ? tell_held(in, peer, now_us, ret, err) : 0;
}

static int take_scanned(struct intake *in, struct intake_peer *peer, const struct wire_scanned *s,
	int64_t now_us, struct intake_result *ret, struct err *err)
{
	struct event_watch x = {
		.method = peer->method,
		.file_system = peer->file_system,
		.detail = peer->limits,
		.count = -1,
		.scanned = true,
		.directories = s->directories,
		.files = s->files,
		.unsettled = s->unsettled,
		.took_ms = s->took_us / US_PER_MS,
	};
	char took[CLOCK_TEXT_BYTES];
	CLEANUP_FREE char *held = NULL;
	bool suspended;
	int rc = take_listings(in, peer, s, now_us, &suspended, ret, err);

	if (rc == 0)
		rc = census_end(
			in->census, peer->watch, s->complete && !suspended, now_us, clock_mono_us(), err);
	if (rc < 0 || peer->announced || !s->complete || suspended)
		return rc;
	rc = scribe_watch(in->scribe, EVENT_WATCH_READY, peer->watch->name, &x, now_us, err);
	if (rc < 0)
		return rc;
	ret->announced = peer->announced = true;
	held = ret->text;
	ret->text = NULL;
	say(ret, held ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		mem_printf("watch %s is ready: %" PRId64 " files in %" PRId64
			   " directories, listed in %s (%s on %s)%s%s%s%s",
			peer->watch->name, s->files, s->directories, clock_format_span(s->took_us, took),
			peer->method, peer->file_system, peer->limits[0] ? "; " : "", peer->limits,
			held ? "; " : "", held ? held : ""));
	return 0;
}

struct trouble {
	const char *kind;
	bool has_event;
	enum event_type event;
	enum log_level level;
};

static const struct trouble troubles[] = {
	{"overflow", true, EVENT_WATCH_OVERFLOW, LOG_LEVEL_WARNING},
	{"watch_limit", true, EVENT_WATCH_DEGRADED, LOG_LEVEL_WARNING},
	{"degraded", true, EVENT_WATCH_DEGRADED, LOG_LEVEL_WARNING},
	{"lost", true, EVENT_WATCH_LOST, LOG_LEVEL_ERROR},
	{"back", false, EVENT_WATCH_READY, LOG_LEVEL_INFO}, /* watch.ready comes after its listing */
};

static const struct trouble other_trouble = {"", false, EVENT_WATCH_DEGRADED, LOG_LEVEL_WARNING};

static const struct trouble *find_trouble(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(troubles); i++)
		if (strcmp(troubles[i].kind, kind) == 0)
			return &troubles[i];
	return &other_trouble;
}

static int take_trouble(struct intake *in, struct intake_peer *peer, const struct wire_trouble *t,
	int64_t now_us, struct intake_result *ret, struct err *err)
{
	const struct trouble *what = find_trouble(t->kind);
	char detail[WORDS_BYTES], path[PATH_SHOWN];
	struct event_watch x = {
		.method = peer->method,
		.file_system = peer->file_system,
		.detail = detail,
		.count = t->count > 0 ? t->count : -1,
	};
	int rc = 0;

	copy_words(detail, sizeof(detail), t->detail);
	/* what comes with the next listings may have come while nobody saw it */
	for (size_t i = 0; i < peer->watch->directory.n; i++)
		if (what->event == EVENT_WATCH_OVERFLOW ||
			strcmp(peer->watch->directory.items[i], t->path) == 0)
			baseline_cut_short(in->baseline, peer->watch, i);
	if (what->has_event)
		rc = scribe_watch(in->scribe, what->event, peer->watch->name, &x, now_us, err);
	if (rc < 0)
		return rc;
	ret->lost = strcmp(t->kind, "lost") == 0;
	if (ret->lost || strcmp(t->kind, "back") == 0)
		peer->announced = false;
	say(ret, what->level,
		mem_printf("watch %s: %s%s%s", peer->watch->name, t->path[0] ? show(t->path, path) : "",
			t->path[0] ? ": " : "", detail[0] ? detail : t->kind));
	return 0;
}

static int take_waiting(struct intake *in, struct intake_peer *peer, const struct wire_message *m,
	int64_t now_us, struct intake_result *ret, struct err *err)
{
	const struct wire_waiting *x = &m->as.waiting;
	CLEANUP_FREE char *path = NULL;
	struct event_file f = {
		.root = x->root, .relpath = x->relpath, .uri = "", .size = -1, .ends = "", .mime = ""};
	char words[WORDS_BYTES], shown[PATH_SHOWN];
	size_t i;
	int rc;

	if (!find_root(peer->watch, x->root, &i) || !is_relpath(x->relpath) || !is_time(x->since_us))
		return blame(err, peer, m->type, "a file that cannot be");
	path = fs_join(x->root, x->relpath);
	copy_words(words, sizeof(words), x->waiting_for);
	rc = scribe_waiting(in->scribe, x->gone ? EVENT_FILE_VANISHED : EVENT_FILE_WAITING, peer->watch->name,
		&f, words, x->since_us, now_us, err);
	if (rc < 0)
		return rc;
	say(ret, LOG_LEVEL_WARNING,
		mem_printf("watch %s: %s %s %s", peer->watch->name, show(path, shown),
			x->gone ? "is gone; it was waiting for" : "is not complete yet: waiting for", words));
	return 0;
}

/* ---- */

void intake_result_init(struct intake_result *r)
{
	*r = (struct intake_result){.bits = BUF_INIT(WIRE_CANDIDATES_MAX / 8)};
}

void intake_result_done(struct intake_result *r)
{
	free(r->text);
	free(r->moved_root);
	free(r->moved_from);
	buf_done(&r->bits);
	intake_result_init(r);
}

struct intake *intake_new(const struct conf *conf, struct ledger *ledger, struct ledger *behind,
	struct scribe *scribe, bool dry)
{
	struct intake *in = mem_alloc(sizeof(*in));

	in->conf = conf;
	in->ledger = ledger;
	in->behind = behind;
	in->scribe = scribe;
	in->dry = dry;
	buf_init(&in->request, REQUEST_BODY_BYTES);
	in->baseline = baseline_new(conf, ledger, behind);
	in->flood = flood_new(conf, ledger, scribe);
	in->census = census_new(conf, ledger);
	return in;
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	baseline_free(in->baseline);
	flood_free(in->flood);
	census_free(in->census);
	buf_done(&in->request);
	free(in);
}

void intake_carry(struct intake *to, const struct intake *from)
{
	baseline_carry(to->baseline, from->baseline);
	flood_carry(to->flood, from->flood);
}

int intake_take(struct intake *in, struct intake_peer *peer, const struct wire_message *m, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	/* what is not among these never comes from a watcher */
	if (m->type == WIRE_CANDIDATES)
		return take_candidates(in, peer, m, now_us, ret, err);
	if (m->type == WIRE_READY || m->type == WIRE_REJECTED)
		return take_file(in, peer, m, 0, WIRE_SAME, now_us, ret, err);
	if (m->type == WIRE_WAITING)
		return take_waiting(in, peer, m, now_us, ret, err);
	if (m->type == WIRE_SCANNED)
		return take_scanned(in, peer, &m->as.scanned, now_us, ret, err);
	if (m->type == WIRE_TROUBLE)
		return take_trouble(in, peer, &m->as.trouble, now_us, ret, err);
	if (m->type == WIRE_HELLO)
		return take_hello(in, peer, &m->as.hello, now_us, ret, err);
	if (m->type == WIRE_COUNTS) {
		ret->counted = true;
		ret->is_done = m->as.counts.done != 0;
		return 0;
	}
	return blame(err, peer, m->type, "no business here");
}

int intake_take_moved(struct intake *in, struct intake_peer *peer, const struct wire_message *m,
	int64_t row_id, enum wire_verdict verdict, int64_t now_us, struct intake_result *ret, struct err *err)
{
	BUG_ON(row_id <= 0 || (m->type != WIRE_READY && m->type != WIRE_REJECTED));
	return take_file(in, peer, m, row_id, verdict, now_us, ret, err);
}

int64_t intake_due_us(const struct intake *in)
{
	return census_has_work(in->census) ? 0 : flood_due_us(in->flood);
}

int intake_apply(struct intake *in, int64_t now_us, struct err *err)
{
	int rc = census_apply(in->census, err);

	return rc < 0 ? rc : flood_apply(in->flood, now_us, err);
}

void intake_committed(struct intake *in)
{
	flood_committed(in->flood);
	census_committed(in->census);
}

void intake_ask(struct intake *in, const struct conf_watch *w, struct confirm *confirm)
{
	census_ask(in->census, w, confirm);
}

int intake_accept_mount(struct intake *in, const struct conf_watch *w, size_t *ret_n, struct err *err)
{
	return baseline_accept(in->baseline, w, ret_n, err);
}

void intake_undo(struct intake *in)
{
	baseline_undo(in->baseline);
	flood_undo(in->flood);
	census_undo(in->census);
}
