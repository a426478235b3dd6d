/*
 * census: idle -> counting (a listing is under way) -> sweeping (through the rows of the watch, a few in each
 * round) -> idle. Ids of rows that were met are bits in blocks, since ids are dense but need not begin at
 * one.
 *
 * What a round changes here is kept apart until its transaction is committed.
 */
#include "dispatch/census.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/crash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"

#define PERIODS 10
#define BLOCK_BITS 15
#define BLOCK_BYTES ((1u << BLOCK_BITS) / 8)
#define BLOCKS_MAX 4096	  /* 16 MiB: 134 million rows */
#define ROWS_A_ROUND 1024 /* of the table, whoever's they are */
#define ASKS_MAX 64	  /* rows asked about at a time */

enum phase { IDLE, COUNTING, SWEEPING };

struct question {
	int64_t id;
	bool asked, answered;
	enum wire_verdict verdict;
};

struct one { /* a watch */
	struct census *census;
	const struct conf_watch *watch;
	enum phase phase;
	struct map *met;
	int64_t last_mono_us; /* of the census before in this process; 0: none */
	int64_t cursor, next_cursor, last_id;
	struct question asks[ASKS_MAX];
	size_t asks_n, new_n; /* committed, and of this round */
	int64_t forgotten;
};

struct census {
	const struct conf *conf;
	struct ledger *ledger;
	struct one *ones; /* as conf->watches */
};

static bool drop_block(const void *key, size_t key_len, void *value, void *arg)
{
	(void)key;
	(void)key_len;
	(void)arg;
	free(value);
	return true;
}

static void clear_met(struct one *o)
{
	if (o->met)
		map_each(o->met, drop_block, NULL);
	map_free(o->met);
	o->met = NULL;
}

struct census *census_new(const struct conf *conf, struct ledger *ledger)
{
	struct census *c = mem_alloc(sizeof(*c));

	c->conf = conf;
	c->ledger = ledger;
	c->ones = mem_array(conf->watches_n + 1, sizeof(c->ones[0]));
	for (size_t i = 0; i < conf->watches_n; i++) {
		c->ones[i].census = c;
		c->ones[i].watch = conf->watches[i];
	}
	return c;
}

void census_free(struct census *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->conf->watches_n; i++)
		clear_met(&c->ones[i]);
	free(c->ones);
	free(c);
}

static struct one *find_one(const struct census *c, const struct conf_watch *w)
{
	for (size_t i = 0; i < c->conf->watches_n; i++)
		if (c->conf->watches[i] == w)
			return &c->ones[i];
	BUG_ON(true);
	return NULL;
}

/* ---- counting ---- */

static char *fact_of(const struct conf_watch *w)
{
	return mem_printf("census:%s", w->name);
}

static int64_t period_of(const struct census *c)
{
	return c->conf->service.forget_gone_after_us / PERIODS;
}

static int set_last(struct census *c, const struct conf_watch *w, int64_t wall_us, struct err *err)
{
	CLEANUP_FREE char *fact = fact_of(w);
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, wall_us);
	return ledger_set_meta(c->ledger, fact, text, err);
}

/* 1: it is time, 0: not yet, -errno */
static int is_due(struct census *c, const struct one *o, int64_t wall_us, int64_t mono_us, struct err *err)
{
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	CLEANUP_FREE char *fact = fact_of(o->watch);
	int64_t last_us;
	int rc = ledger_meta(c->ledger, fact, &value, err);

	if (rc < 0)
		return rc;
	/* the first time begins now; so does one whose last time is still to come: the clock was set back */
	if (rc == 0 || num_parse_i64(buf_str(&value), &last_us) < 0 || last_us > wall_us)
		return set_last(c, o->watch, wall_us, err);
	if (o->last_mono_us > 0 && mono_us - o->last_mono_us < period_of(c))
		return 0;
	return wall_us - last_us >= period_of(c);
}

int census_begin(
	struct census *c, const struct conf_watch *w, int64_t wall_us, int64_t mono_us, struct err *err)
{
	struct one *o = find_one(c, w);
	int rc;

	if (o->phase == SWEEPING)
		return 0;
	clear_met(o);
	o->phase = IDLE;
	rc = is_due(c, o, wall_us, mono_us, err);
	if (rc <= 0)
		return rc;
	o->phase = COUNTING;
	o->met = map_new();
	return 0;
}

void census_met(struct census *c, const struct conf_watch *w, int64_t id)
{
	struct one *o = find_one(c, w);
	uint64_t block = (uint64_t)id >> BLOCK_BITS, bit = (uint64_t)id & ((1u << BLOCK_BITS) - 1);
	uint8_t *bits;

	if (o->phase != COUNTING)
		return;
	bits = map_get_u64(o->met, block);
	if (!bits) {
		if (map_count(o->met) >= BLOCKS_MAX) {
			clear_met(o);
			o->phase = IDLE;
			log_warning("watch %s: too many files to find out which are gone; none is forgotten",
				w->name);
			return;
		}
		bits = mem_alloc(BLOCK_BYTES);
		(void)map_put_u64(o->met, block, bits);
	}
	bits[bit / 8] |= (uint8_t)(1u << bit % 8);
}

static bool is_met(const struct one *o, int64_t id)
{
	uint64_t bit = (uint64_t)id & ((1u << BLOCK_BITS) - 1);
	const uint8_t *bits = map_get_u64(o->met, (uint64_t)id >> BLOCK_BITS);

	return bits && bits[bit / 8] & (1u << bit % 8);
}

int census_end(struct census *c, const struct conf_watch *w, bool complete, int64_t wall_us, int64_t mono_us,
	struct err *err)
{
	struct one *o = find_one(c, w);
	int rc;

	if (o->phase != COUNTING || !complete)
		return census_begin(c, w, wall_us, mono_us, err); /* perhaps the next one */
	rc = set_last(c, w, wall_us, err);
	if (rc == 0)
		rc = ledger_newest_id(c->ledger, &o->last_id, err);
	if (rc < 0)
		return rc;
	o->phase = SWEEPING;
	o->last_mono_us = mono_us;
	o->cursor = o->next_cursor = 0;
	o->forgotten = 0;
	return 0;
}

/* ---- sweeping ---- */

/* Is it in a directory that was listed, and is no other version of its file there? 1, 0, -errno */
static int is_missed(struct census *c, const struct one *o, int64_t id, struct err *err)
{
	struct ledger_known newest;
	struct ledger_row row;
	int64_t root_id;
	bool listed = false;
	int rc = ledger_row(c->ledger, id, &row, err);

	if (rc <= 0)
		return rc == -EBADMSG ? 0 : rc;
	for (size_t i = 0; i < o->watch->directory.n; i++)
		listed |= strcmp(o->watch->directory.items[i], row.root) == 0;
	rc = listed ? ledger_root(c->ledger, row.root, false, &root_id, err) : 0;
	if (rc > 0) {
		const struct ledger_key key = {
			.watch = row.watch, .root_id = root_id, .relpath = row.relpath};

		rc = ledger_newest(c->ledger, &key, &newest, err);
		if (rc > 0)
			rc = !is_met(o, newest.id);
	}
	ledger_row_done(&row);
	return rc;
}

static int sweep_row(struct census *c, struct one *o, const struct ledger_swept *row, struct err *err)
{
	int rc = is_met(o, row->id) ? 0 : is_missed(c, o, row->id, err);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return row->missed > 0 ? ledger_set_missed(c->ledger, row->id, 0, err) : 0;
	if (row->missed + 1 >= CENSUS_MISSED)
		o->asks[o->asks_n + o->new_n++] = (struct question){.id = row->id};
	return row->missed < CENSUS_MISSED ? ledger_set_missed(c->ledger, row->id, row->missed + 1, err) : 0;
}

static int sweep(struct census *c, struct one *o, struct err *err)
{
	struct ledger_swept rows[ROWS_A_ROUND];
	int n = ledger_sweep(c->ledger, o->watch->name, o->cursor, ROWS_A_ROUND, rows, err);

	if (n < 0)
		return n;
	o->next_cursor = o->cursor + ROWS_A_ROUND;
	for (int i = 0; i < n; i++) {
		int rc;

		if (o->asks_n + o->new_n == ASKS_MAX) {
			o->next_cursor = rows[i].id - 1;
			return 0;
		}
		rc = sweep_row(c, o, &rows[i], err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int take_answers(struct census *c, struct one *o, struct err *err)
{
	for (size_t i = 0; i < o->asks_n; i++) {
		const struct question *q = &o->asks[i];
		int rc = 0;

		if (!q->answered || q->verdict == WIRE_UNSURE)
			continue;
		CRASH_POINT("census-answered");
		if (q->verdict == WIRE_GONE)
			rc = ledger_remove(c->ledger, q->id, err);
		else
			rc = ledger_set_missed(c->ledger, q->id, 0, err);
		if (rc == -EBADMSG)
			rc = 0; /* somebody else has removed it */
		if (rc < 0)
			return rc;
	}
	return 0;
}

static bool one_has_work(const struct one *o)
{
	for (size_t i = 0; i < o->asks_n; i++)
		if (o->asks[i].answered)
			return true;
	return o->phase == SWEEPING && (o->cursor < o->last_id ? o->asks_n < ASKS_MAX : o->asks_n == 0);
}

bool census_has_work(const struct census *c)
{
	for (size_t i = 0; i < c->conf->watches_n; i++)
		if (one_has_work(&c->ones[i]))
			return true;
	return false;
}

int census_apply(struct census *c, struct err *err)
{
	for (size_t i = 0; i < c->conf->watches_n; i++) {
		struct one *o = &c->ones[i];
		int rc = take_answers(c, o, err);

		if (rc == 0 && o->phase == SWEEPING && o->cursor < o->last_id && o->asks_n < ASKS_MAX)
			rc = sweep(c, o, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void census_committed(struct census *c)
{
	for (size_t i = 0; i < c->conf->watches_n; i++) {
		struct one *o = &c->ones[i];
		size_t kept = 0;

		for (size_t k = 0; k < o->asks_n + o->new_n; k++) {
			if (o->asks[k].answered)
				o->forgotten += o->asks[k].verdict == WIRE_GONE;
			else
				o->asks[kept++] = o->asks[k];
		}
		o->asks_n = kept;
		o->new_n = 0;
		o->cursor = o->next_cursor;
		if (o->phase != SWEEPING || o->cursor < o->last_id || o->asks_n > 0)
			continue;
		o->phase = IDLE;
		clear_met(o);
		if (o->forgotten > 0)
			log_info("watch %s: %" PRId64
				 " versions are forgotten, their files are gone for long",
				o->watch->name, o->forgotten);
	}
}

void census_undo(struct census *c)
{
	for (size_t i = 0; i < c->conf->watches_n; i++) {
		c->ones[i].new_n = 0;
		c->ones[i].next_cursor = c->ones[i].cursor;
	}
}

/* ---- asking ---- */

void census_answered(struct census *c, const struct conf_watch *w, int64_t id, enum wire_verdict verdict)
{
	struct one *o = find_one(c, w);

	for (size_t i = 0; i < o->asks_n; i++) {
		if (o->asks[i].id != id)
			continue;
		o->asks[i].answered = true;
		o->asks[i].verdict = verdict;
	}
}

static void on_verdict(int64_t id, enum wire_verdict verdict, void *arg)
{
	struct one *o = arg;

	census_answered(o->census, o->watch, id, verdict);
}

/* 0, or -errno when it cannot be asked now. */
static int ask_row(struct one *o, struct confirm *confirm, int64_t id)
{
	struct err err = ERR_INIT;
	struct ledger_row row;
	const char *root = NULL;
	int rc = ledger_row(o->census->ledger, id, &row, &err);

	if (rc <= 0)
		return -ENOENT;
	for (size_t i = 0; i < o->watch->directory.n; i++)
		if (strcmp(o->watch->directory.items[i], row.root) == 0)
			root = o->watch->directory.items[i];
	rc = root ? confirm_ask(confirm, id, root,
			    &(struct wire_known){.relpath = row.relpath,
				    .size = row.version.size,
				    .mtime_ns = row.version.mtime_ns,
				    .ino = (int64_t)row.version.ino,
				    .ends = row.version.ends},
			    on_verdict, o)
		  : -ENOENT;
	ledger_row_done(&row);
	return rc;
}

void census_ask(struct census *c, const struct conf_watch *w, struct confirm *confirm)
{
	struct one *o = find_one(c, w);

	for (size_t i = 0; i < o->asks_n && confirm_may_ask(confirm); i++) {
		struct question *q = &o->asks[i];
		int rc = q->asked ? 0 : ask_row(o, confirm, q->id);

		if (rc == -EBUSY)
			return;
		q->asked = true;
		if (rc < 0)
			census_answered(c, w, q->id, WIRE_UNSURE);
	}
}
