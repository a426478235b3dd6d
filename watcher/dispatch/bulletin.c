/*
 * bulletin: watch.ready is written once for each watcher, after its first complete listing, and not while a
 * mount is missing.
 */
#include "dispatch/bulletin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"

#define HOW_BYTES 1024

/* Says so once where a mount is missing. */
static int tell_suspended(struct intake *in, struct intake_peer *peer, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	const struct conf_watch *w = peer->watch;

	for (size_t i = 0; i < w->directory.n; i++) {
		CLEANUP_BUF struct buf how = BUF_INIT(HOW_BYTES);
		enum baseline_stage stage;
		int rc = baseline_stage(in->baseline, w, i, false, &stage, err);

		if (rc < 0)
			return rc;
		if (stage != BASELINE_SUSPENDED)
			continue;
		ret->lost = ret->no_mount = true;
		peer->announced = false;
		if (!baseline_say_suspended(in->baseline, w, i, &how))
			continue;
		CLEANUP_FREE char *detail =
			mem_printf("%s: the mount is missing: %s; nothing in it is judged until it is "
				   "back, or until brickwatch resume %s says that this is meant",
				w->directory.items[i], buf_str(&how), w->name);
		struct event_watch x = {.method = peer->method,
			.file_system = peer->file_system,
			.detail = detail,
			.count = -1};

		rc = scribe_watch(in->scribe, EVENT_WATCH_LOST, w->name, &x, now_us, err);
		if (rc < 0)
			return rc;
		incoming_say(ret, LOG_LEVEL_ERROR, mem_printf("watch %s: %s", w->name, detail));
	}
	return 0;
}

int bulletin_hello(struct intake *in, struct intake_peer *peer, const struct wire_hello *h, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	int rc = peer->greeted ? 0 : census_begin(in->census, peer->watch, now_us, clock_mono_us(), err);

	if (rc < 0)
		return rc;
	baseline_types(in->baseline, peer->watch, h, !peer->greeted);
	ret->greeted = peer->greeted = true;
	peer->inodes_stable = h->inodes_stable != 0;
	incoming_copy_words(peer->method, sizeof(peer->method), h->method);
	incoming_copy_words(peer->file_system, sizeof(peer->file_system), h->file_system);
	incoming_copy_words(peer->limits, sizeof(peer->limits), h->limits);
	return tell_suspended(in, peer, now_us, ret, err);
}

/* Files of the first listing wait for a person: once it is through, that is said, with the way out. */
static int tell_held(struct intake *in, const struct intake_peer *peer, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	static const char *const words[] = {INCOMING_EXISTING, INCOMING_LOST};
	const struct conf_watch *w = peer->watch;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct event_watch x = {.method = peer->method, .file_system = peer->file_system};
		CLEANUP_FREE char *detail = NULL;
		int rc = ledger_count_held(in->ledger, w->name, words[i], &x.count, err);

		if (rc < 0)
			return rc;
		if (x.count == 0)
			continue;
		detail = mem_printf("%" PRId64 " file%s held (%s); brickwatch release --watch %s lets %s go",
			x.count, x.count == 1 ? " is" : "s are", incoming_hold_words(words[i]), w->name,
			x.count == 1 ? "it" : "them");
		x.detail = detail;
		rc = scribe_watch(in->scribe, EVENT_WATCH_HELD, w->name, &x, now_us, err);
		if (rc < 0)
			return rc;
		incoming_say(ret, LOG_LEVEL_WARNING, mem_strdup(detail));
	}
	return 0;
}

/* Files that were known before are found by any listing, and by events between two of them. Said when there
 * are more than were told of, which the ledger remembers. */
static int tell_known_before(struct intake *in, const struct intake_peer *peer, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	const struct conf_watch *w = peer->watch;
	CLEANUP_FREE char *fact = mem_printf("told:" INTAKE_KNOWN_BEFORE ":%s", w->name);
	CLEANUP_FREE char *detail = NULL, *count = NULL, *before = NULL;
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	struct event_watch x = {.method = peer->method, .file_system = peer->file_system};
	int64_t told = 0;
	int rc = ledger_count_held(in->ledger, w->name, INTAKE_KNOWN_BEFORE, &x.count, err);

	if (rc == 0)
		rc = ledger_meta(in->ledger, fact, &value, err);
	if (rc > 0 && num_parse_i64(buf_str(&value), &told) < 0)
		told = 0;
	if (rc < 0 || x.count == told)
		return rc < 0 ? rc : 0;
	count = mem_printf("%" PRId64, x.count);
	rc = ledger_set_meta(in->ledger, fact, x.count > 0 ? count : NULL, err);
	if (rc < 0 || x.count < told)
		return rc;
	detail = mem_printf("%" PRId64 " files are held (%s); brickwatch release --watch %s lets them go",
		x.count, incoming_hold_words(INTAKE_KNOWN_BEFORE), w->name);
	x.detail = detail;
	before = ret->text;
	ret->text = NULL;
	incoming_say(ret, LOG_LEVEL_WARNING,
		mem_printf("%s%swatch %s: %s", before ? before : "", before ? "; " : "", w->name, detail));
	return scribe_watch(in->scribe, EVENT_WATCH_HELD, w->name, &x, now_us, err);
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

int bulletin_scanned(struct intake *in, struct intake_peer *peer, const struct wire_scanned *s,
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
		rc = tell_known_before(in, peer, now_us, ret, err);
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
	incoming_say(ret, held ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		mem_printf("watch %s is ready: %" PRId64 " file%s in %" PRId64
			   " director%s, listed in %s (%s on %s)%s%s%s%s",
			peer->watch->name, s->files, s->files == 1 ? "" : "s", s->directories,
			s->directories == 1 ? "y" : "ies", clock_format_span(s->took_us, took), peer->method,
			peer->file_system, peer->limits[0] ? "; " : "", peer->limits, held ? "; " : "",
			held ? held : ""));
	return 0;
}

/* ---- trouble ---- */

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
	{"denied", true, EVENT_WATCH_DEGRADED, LOG_LEVEL_WARNING},
	{"away", true, EVENT_WATCH_DEGRADED, LOG_LEVEL_WARNING},
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

int bulletin_trouble(struct intake *in, struct intake_peer *peer, const struct wire_trouble *t,
	int64_t now_us, struct intake_result *ret, struct err *err)
{
	const struct trouble *what = find_trouble(t->kind);
	char detail[INCOMING_WORDS_BYTES], path[INCOMING_SHOWN_BYTES];
	CLEANUP_FREE char *named = NULL;
	struct event_watch x = {
		.method = peer->method,
		.file_system = peer->file_system,
		.detail = detail,
		.count = t->count > 0 ? t->count : -1,
	};
	bool is_said = false;
	int rc = 0;

	incoming_copy_words(detail, sizeof(detail), t->detail);
	if (strcmp(t->kind, "denied") == 0 || strcmp(t->kind, "away") == 0) {
		named = mem_printf("%s: %s", incoming_show(t->path, path), detail);
		x.detail = named;
	}
	/* what comes with the next listings may have come while nobody saw it */
	ret->lost = strcmp(t->kind, "lost") == 0;
	for (size_t i = 0; i < peer->watch->directory.n; i++) {
		bool is_it = strcmp(peer->watch->directory.items[i], t->path) == 0;

		if (what->event == EVENT_WATCH_OVERFLOW || is_it)
			baseline_cut_short(in->baseline, peer->watch, i);
		if (is_it && ret->lost && !baseline_say_lost(in->baseline, peer->watch, i))
			is_said = true; /* by the watcher before this one */
	}
	if (what->has_event && !is_said)
		rc = scribe_watch(in->scribe, what->event, peer->watch->name, &x, now_us, err);
	if (rc < 0)
		return rc;
	if (ret->lost) { /* what is said behind the semicolon is for who reads the log */
		free(ret->lost_why);
		ret->lost_why = mem_printf(
			"%s: %.*s", incoming_show(t->path, path), (int)strcspn(detail, ";"), detail);
	}
	if (ret->lost || strcmp(t->kind, "back") == 0)
		peer->announced = false;
	incoming_say(ret, is_said ? LOG_LEVEL_DEBUG : what->level,
		mem_printf("watch %s: %s%s%s", peer->watch->name,
			t->path[0] ? incoming_show(t->path, path) : "", t->path[0] ? ": " : "",
			detail[0] ? detail : t->kind));
	return 0;
}

int bulletin_waiting(struct intake *in, struct intake_peer *peer, const struct wire_message *m,
	int64_t now_us, struct intake_result *ret, struct err *err)
{
	const struct wire_waiting *x = &m->as.waiting;
	CLEANUP_FREE char *path = NULL;
	struct event_file f = {
		.root = x->root, .relpath = x->relpath, .uri = "", .size = -1, .ends = "", .mime = ""};
	char words[INCOMING_WORDS_BYTES], shown[INCOMING_SHOWN_BYTES];
	size_t i;
	int rc;

	if (!incoming_find_root(peer->watch, x->root, &i) || !incoming_is_relpath(x->relpath) ||
		!incoming_is_time(x->since_us))
		return incoming_blame(err, peer, m->type, "a file that cannot be");
	path = fs_join(x->root, x->relpath);
	incoming_copy_words(words, sizeof(words), x->waiting_for);
	rc = scribe_waiting(in->scribe, x->gone ? EVENT_FILE_VANISHED : EVENT_FILE_WAITING, peer->watch->name,
		&f, words, x->since_us, now_us, err);
	if (rc < 0)
		return rc;
	incoming_say(ret, LOG_LEVEL_WARNING,
		mem_printf("watch %s: %s %s %s", peer->watch->name, incoming_show(path, shown),
			x->gone ? "is gone; it was waiting for" : "is not complete yet: waiting for", words));
	return 0;
}
