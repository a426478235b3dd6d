/*
 * baseline: the ledger's table has a row for each (watch, directory, type) that was begun; closed = 0 until
 * the listing is through. Which type a directory is meant to have is a small fact in the ledger
 * ("type:WATCH:DIRECTORY"), written when it changes rightly; an older ledger has none and believes what it
 * sees. So is its place among the mounts ("place:…", core/mountinfo): a disk that is missing leaves a mount
 * point behind that may well be on a file system of the same type. A place whose baseline is closed is
 * written down, too ("listed:…"): a mount that was listed, goes while no file is known and comes back has had
 * its turn.
 *
 * Only memory knows that a listing is still the one that has begun the baseline: when that memory is gone, so
 * is the certainty.
 */
#include "dispatch/baseline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/crash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "core/mountinfo.h"

#define MODE_LOST "lost"
#define TYPE_UNKNOWN "?"

struct root {
	int64_t id; /* in the ledger; 0: not looked up */
	char type[BASELINE_TYPE_BYTES], had[BASELINE_TYPE_BYTES];
	char place[MOUNTINFO_PLACE_BYTES], was[MOUNTINFO_PLACE_BYTES];
	bool loaded;
	bool begun;	   /* its row is there */
	bool fresh;	   /* begun by the listing under way */
	bool lost;	   /* the ledger before this one is */
	bool elsewhere;	   /* suspended */
	bool said;	   /* … which was said */
	bool lost_said;	   /* that it is missing was said, and it was not listed since */
	int64_t closed_us; /* 0: open */
};

struct baseline {
	const struct conf *conf;
	struct ledger *ledger, *behind;
	struct root **roots; /* as conf->watches and their directories */
};

static struct root *root_of(const struct baseline *b, const struct conf_watch *w, size_t i)
{
	for (size_t n = 0; n < b->conf->watches_n; n++)
		if (b->conf->watches[n] == w)
			return &b->roots[n][i];
	BUG_ON(true);
	return NULL;
}

/* A type that nobody could tell is taken to be the one it was. */
static const char *type_of(const struct root *r)
{
	return r->type[0] ? r->type : r->had[0] ? r->had : TYPE_UNKNOWN;
}

struct baseline *baseline_new(const struct conf *conf, struct ledger *ledger, struct ledger *behind)
{
	struct baseline *b = mem_alloc(sizeof(*b));

	b->conf = conf;
	b->ledger = ledger;
	b->behind = behind;
	b->roots = mem_array(conf->watches_n + 1, sizeof(struct root *));
	for (size_t i = 0; i < conf->watches_n; i++)
		b->roots[i] = mem_array(conf->watches[i]->directory.n + 1, sizeof(struct root));
	return b;
}

void baseline_free(struct baseline *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->conf->watches_n; i++)
		free(b->roots[i]);
	free(b->roots);
	free(b);
}

void baseline_undo(struct baseline *b)
{
	for (size_t i = 0; i < b->conf->watches_n; i++) {
		for (size_t n = 0; n < b->conf->watches[i]->directory.n; n++) {
			struct root *r = &b->roots[i][n];

			/* fresh stays: a row that was not committed is begun anew, one that was is its own */
			r->id = 0;
			r->loaded = r->said = r->lost_said = false;
		}
	}
}

void baseline_carry(struct baseline *to, const struct baseline *from)
{
	for (size_t i = 0; i < from->conf->watches_n; i++) {
		const struct conf_watch *old = from->conf->watches[i],
					*w = conf_watch_find(to->conf, old->name);

		for (size_t n = 0; w && n < w->directory.n; n++) {
			for (size_t k = 0; k < old->directory.n; k++) {
				if (strcmp(w->directory.items[n], old->directory.items[k]) != 0)
					continue;
				*root_of(to, w, n) = from->roots[i][k];
				root_of(to, w, n)->loaded = false;
			}
		}
	}
}

int baseline_root(struct baseline *b, const struct conf_watch *w, size_t i, int64_t *ret_id, struct err *err)
{
	struct root *r = root_of(b, w, i);

	if (r->id == 0) {
		int rc = ledger_root(b->ledger, w->directory.items[i], true, &r->id, err);

		if (rc < 0)
			return rc;
	}
	*ret_id = r->id;
	return 0;
}

/* The next of a list of texts, each with its NUL; "" when there is none, or none of that size. */
static const char *next_text(const char *list, size_t len, size_t *pos, size_t room)
{
	const char *text = *pos < len ? list + *pos : "";
	size_t n = *pos < len ? strnlen(text, len - *pos) : 0;

	if (*pos + n >= len || n >= room)
		text = "";
	*pos += n + 1;
	return text;
}

void baseline_types(struct baseline *b, const struct conf_watch *w, const struct wire_hello *h, bool is_new)
{
	size_t type_at = 0, place_at = 0;

	for (size_t i = 0; i < w->directory.n; i++) {
		struct root *r = root_of(b, w, i);
		const char *type = next_text(h->types, h->types_len, &type_at, sizeof(r->type)),
			   *place = next_text(h->places, h->places_len, &place_at, sizeof(r->place));
		bool differs = strcmp(r->type, type) != 0 || strcmp(r->place, place) != 0;

		r->said &= !differs;
		if (is_new || differs)
			r->fresh = r->loaded = false;
		(void)snprintf(r->type, sizeof(r->type), "%s", type);
		(void)snprintf(r->place, sizeof(r->place), "%s", place);
	}
}

const char *baseline_had(const struct baseline *b, const struct conf_watch *w, size_t i)
{
	return root_of(b, w, i)->had;
}

/* ---- what the ledger says ---- */

static const char type_fact[] = "type", place_fact[] = "place";

/* What the directory is meant to have, "" when that is not known. */
static int load_meant(struct ledger *l, const char *fact, const struct conf_watch *w, size_t i, char *ret,
	size_t room, struct err *err)
{
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	CLEANUP_FREE char *name = mem_printf("%s:%s:%s", fact, w->name, w->directory.items[i]);
	int rc = ledger_meta(l, name, &value, err);

	(void)snprintf(ret, room, "%s", rc > 0 ? buf_str(&value) : "");
	return rc < 0 ? rc : 0;
}

static int set_meant(struct ledger *l, const char *fact, const struct conf_watch *w, size_t i,
	const char *value, struct err *err)
{
	CLEANUP_FREE char *name = mem_printf("%s:%s:%s", fact, w->name, w->directory.items[i]);

	return ledger_set_meta(l, name, value, err);
}

/* Its type is the one that it is meant to have, as far as both are known. */
static bool is_type_right(const struct root *r)
{
	return r->had[0] == '\0' || r->type[0] == '\0' || strcmp(r->had, r->type) == 0;
}

static char *listed_name(const struct conf_watch *w, size_t i, const struct root *r)
{
	return mem_printf("listed:%s:%s:%s %s", w->name, w->directory.items[i], type_of(r), r->place);
}

/* When the baseline of this type and place was closed; 0: never. */
static int load_listed(struct ledger *l, const struct conf_watch *w, size_t i, struct root *r,
	int64_t *ret_us, struct err *err)
{
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	CLEANUP_FREE char *name = listed_name(w, i, r);
	int rc = ledger_meta(l, name, &value, err);

	if (rc <= 0 || num_parse_i64(buf_str(&value), ret_us) < 0)
		*ret_us = 0;
	return rc < 0 ? rc : 0;
}

static int set_listed(
	struct ledger *l, const struct conf_watch *w, size_t i, const struct root *r, struct err *err)
{
	CLEANUP_FREE char *name = listed_name(w, i, r), *value = mem_printf("%" PRId64, r->closed_us);

	return r->place[0] ? ledger_set_meta(l, name, value, err) : 0;
}

/* The baseline of this type, and of this place. */
static int load_row(struct ledger *l, const struct conf_watch *w, size_t i, struct root *r, int64_t id,
	bool moved, struct err *err)
{
	struct ledger_baseline row;
	int rc = moved ? load_listed(l, w, i, r, &row.closed_us, err)
		       : ledger_baseline(l, w->name, id, type_of(r), &row, err);

	if (moved && rc == 0 && row.closed_us > 0) {
		r->begun = true;
		r->closed_us = row.closed_us;
		return 0;
	}
	if (rc > 0) {
		r->begun = true;
		r->lost = strcmp(row.mode, MODE_LOST) == 0;
		r->closed_us = row.closed_us;
	} else if (rc == 0 && (rc = ledger_baseline(l, w->name, id, "", &row, err)) > 0) {
		r->lost = true; /* seeded for whatever type shows first */
	}
	return rc < 0 ? rc : 0;
}

/* From one ledger; what is found is added to r. */
static int load_from(
	struct ledger *l, const struct conf_watch *w, size_t i, struct root *r, int64_t id, struct err *err)
{
	bool moved;
	int rc = load_meant(l, type_fact, w, i, r->had, sizeof(r->had), err);

	if (rc == 0)
		rc = load_meant(l, place_fact, w, i, r->was, sizeof(r->was), err);
	moved = mountinfo_is_elsewhere(r->was, r->place);
	if (rc == 0)
		rc = load_row(l, w, i, r, id, moved, err);
	if (rc < 0)
		return rc;
	if (r->had[0] == '\0' && !r->begun && !r->lost) { /* of an older program, or of an unknown type */
		rc = ledger_baseline_closed(l, w->name, id, &r->closed_us, err);
		if (rc < 0)
			return rc;
	}
	if (is_type_right(r) && !moved)
		return 0;
	rc = ledger_has_rows(l, w->name, id, err);
	r->elsewhere = rc > 0;
	return rc < 0 ? rc : 0;
}

static int load(struct baseline *b, const struct conf_watch *w, size_t i, struct err *err)
{
	struct root *r = root_of(b, w, i);
	int64_t id;
	int rc = baseline_root(b, w, i, &id, err);

	if (rc < 0 || r->loaded)
		return rc;
	r->begun = r->lost = r->elsewhere = false;
	r->closed_us = 0;
	rc = load_from(b->ledger, w, i, r, id, err);
	if (rc == 0 && b->behind && r->closed_us == 0) {
		rc = ledger_root(b->behind, w->directory.items[i], false, &id, err);
		rc = rc <= 0 ? rc : load_from(b->behind, w, i, r, id, err);
	}
	r->loaded = rc == 0;
	return rc;
}

/* Writes down that it has begun, and which type and place the directory has. */
static int begin(struct baseline *b, const struct conf_watch *w, size_t i, struct err *err)
{
	static const char *const modes[] = {
		[CONF_EXISTING_RUN] = "run", [CONF_EXISTING_SKIP] = "skip", [CONF_EXISTING_HOLD] = "hold"};
	struct root *r = root_of(b, w, i);
	bool moved = mountinfo_is_elsewhere(r->was, r->place);
	int rc = 0;

	if (r->type[0] && strcmp(r->had, r->type) != 0)
		rc = set_meant(b->ledger, type_fact, w, i, r->type, err);
	if (rc == 0 && r->place[0] && strcmp(r->was, r->place) != 0)
		rc = set_meant(b->ledger, place_fact, w, i, r->place, err);
	if (rc == 0 && !r->begun)
		rc = ledger_set_baseline(b->ledger, w->name, r->id, type_of(r),
			r->lost ? MODE_LOST : modes[w->existing], r->closed_us, err);
	if (rc == 0 && !r->begun && moved) /* there is one for that type, of the empty mount point */
		rc = ledger_close_baseline(b->ledger, w->name, r->id, type_of(r), r->closed_us, err);
	if (rc < 0)
		return rc;
	CRASH_POINT("baseline-begun");
	if (r->type[0])
		memcpy(r->had, r->type, sizeof(r->had));
	if (r->place[0])
		memcpy(r->was, r->place, sizeof(r->was));
	r->fresh |= !r->begun;
	r->begun = true;
	return 0;
}

int baseline_stage(struct baseline *b, const struct conf_watch *w, size_t i, bool begin_it,
	enum baseline_stage *ret, struct err *err)
{
	struct root *r = root_of(b, w, i);
	int rc = load(b, w, i, err);

	if (rc == 0 && begin_it && !r->elsewhere &&
		(!r->begun || (r->type[0] && strcmp(r->had, r->type) != 0) ||
			(r->place[0] && strcmp(r->was, r->place) != 0)))
		rc = begin(b, w, i, err);
	if (rc < 0)
		return rc;
	if (r->elsewhere)
		*ret = BASELINE_SUSPENDED;
	else if (r->closed_us > 0)
		*ret = BASELINE_CLOSED;
	else if (r->lost)
		*ret = BASELINE_LOST;
	else
		*ret = r->fresh || !r->begun ? BASELINE_FIRST : BASELINE_CONTINUED;
	return 0;
}

int baseline_was_open(
	struct baseline *b, const struct conf_watch *w, size_t i, int64_t wall_us, bool *ret, struct err *err)
{
	int rc = load(b, w, i, err);
	const struct root *r = root_of(b, w, i);

	if (rc == 0)
		*ret = r->closed_us == 0 || wall_us <= r->closed_us;
	return rc;
}

int baseline_listed(struct baseline *b, const struct conf_watch *w, size_t i, int64_t now_us,
	bool *ret_closed, struct err *err)
{
	struct root *r = root_of(b, w, i);
	enum baseline_stage stage;
	int rc = baseline_stage(b, w, i, true, &stage, err);

	*ret_closed = false;
	r->lost_said = false;
	if (rc < 0 || stage == BASELINE_SUSPENDED || stage == BASELINE_CLOSED)
		return rc;
	rc = ledger_close_baseline(b->ledger, w->name, r->id, type_of(r), now_us, err);
	r->closed_us = rc < 0 ? 0 : now_us;
	if (rc == 0)
		rc = set_listed(b->ledger, w, i, r, err);
	if (rc < 0)
		return rc;
	CRASH_POINT("baseline-closed");
	*ret_closed = true;
	return 0;
}

void baseline_cut_short(struct baseline *b, const struct conf_watch *w, size_t i)
{
	root_of(b, w, i)->fresh = false;
}

bool baseline_say_suspended(struct baseline *b, const struct conf_watch *w, size_t i, struct buf *how)
{
	struct root *r = root_of(b, w, i);
	char was[LEDGER_META_BYTES], now[LEDGER_META_BYTES];
	const char *was_at = mountinfo_point(r->was), *now_at = mountinfo_point(r->place);

	if (!r->elsewhere || r->said)
		return false;
	r->said = true;
	if (!is_type_right(r))
		(void)buf_addf(how, "it was %s, now %s", r->had, r->type);
	else
		(void)buf_addf(how, "it was on the mount %s, now on %s",
			text_printable(was_at, strlen(was_at), was, sizeof(was)),
			text_printable(now_at, strlen(now_at), now, sizeof(now)));
	return true;
}

bool baseline_say_lost(struct baseline *b, const struct conf_watch *w, size_t i)
{
	struct root *r = root_of(b, w, i);
	bool again = r->lost_said;

	r->lost_said = true;
	return !again;
}

int baseline_accept(struct baseline *b, const struct conf_watch *w, size_t *ret_n, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < w->directory.n; i++) {
		struct root *r = root_of(b, w, i);
		int rc = load(b, w, i, err);

		if (rc == 0 && r->elsewhere) {
			rc = set_meant(b->ledger, type_fact, w, i, r->type, err);
			if (rc == 0 && r->place[0])
				rc = set_meant(b->ledger, place_fact, w, i, r->place, err);
			r->loaded = false;
			n++;
		}
		if (rc < 0)
			return rc;
	}
	*ret_n = n;
	return 0;
}
