/*
 * Rows are found by their key in a map, and put in order when they are asked for.
 */
#include "core/summary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "core/event.h"
#include "core/quantile.h"
#include "core/recent.h"

struct one_row {
	struct summary_row row;
	struct quantile latency;
	char watch[];
};

struct summary {
	struct map *by_key; /* key_of() -> struct one_row */
	struct one_row **rows;
	size_t n, cap;
	struct recent *ids, *versions;
	struct buf key;
	int64_t repeated;
};

static const struct {
	const char *name, *type;
} kinds[SUMMARY_COUNTS] = {
	[SUMMARY_FILES] = {"files", NULL},
	[SUMMARY_RUNS] = {"runs", "run.started"},
	[SUMMARY_FAILED] = {"failed", "start.failed"},
	[SUMMARY_REJECTED] = {"rejected", "file.rejected"},
	[SUMMARY_SKIPPED] = {"skipped", "run.skipped"},
	[SUMMARY_VANISHED] = {"vanished", "file.vanished"},
	[SUMMARY_SUPERSEDED] = {"superseded", "file.superseded"},
};

const char *summary_count_name(enum summary_count c)
{
	return kinds[c].name;
}

struct summary *summary_new(const uint64_t key[2])
{
	struct summary *s = mem_alloc(sizeof(*s));

	s->by_key = map_new();
	s->ids = recent_new(SUMMARY_RECENT, key);
	s->versions = recent_new(SUMMARY_RECENT, key);
	buf_init(&s->key, 2 * EVENT_LINE_BYTES);
	return s;
}

void summary_free(struct summary *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		quantile_done(&s->rows[i]->latency);
		free(s->rows[i]);
	}
	free(s->rows);
	map_free(s->by_key);
	recent_free(s->ids);
	recent_free(s->versions);
	buf_done(&s->key);
	free(s);
}

/* SUMMARY_COUNTS: it is none of those that count. */
static enum summary_count kind_of(const struct summary_event *e)
{
	for (unsigned i = 0; e->type && e->watch && i < SUMMARY_COUNTS; i++)
		if (kinds[i].type && strcmp(kinds[i].type, e->type) == 0)
			return (enum summary_count)i;
	return SUMMARY_COUNTS;
}

static void add_text(struct buf *b, const char *text)
{
	(void)buf_adds(b, text ? text : "");
	(void)buf_addc(b, '\0');
}

static int new_row(struct summary *s, const struct summary_event *e, struct one_row **ret, struct err *err)
{
	size_t len = strlen(e->watch) + 1;
	struct one_row *r;

	if (s->n == SUMMARY_ROWS_MAX)
		return err_set(err, ERR_LIMIT, E2BIG, "more than %d watches and days", SUMMARY_ROWS_MAX);
	r = mem_alloc(sizeof(*r) + len);
	memcpy(r->watch, e->watch, len);
	r->row = (struct summary_row){.day = e->day, .watch = r->watch};
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		s->rows = mem_resize(s->rows, s->cap, sizeof(struct one_row *));
	}
	s->rows[s->n++] = *ret = r;
	return 0;
}

static int find_row(struct summary *s, const struct summary_event *e, struct one_row **ret, struct err *err)
{
	int rc;

	buf_reset(&s->key);
	(void)buf_add(&s->key, &e->day, sizeof(e->day));
	(void)buf_adds(&s->key, e->watch);
	*ret = map_get(s->by_key, buf_str(&s->key), s->key.len);
	if (*ret)
		return 0;
	rc = new_row(s, e, ret, err);
	if (rc == 0)
		(void)map_put(s->by_key, buf_str(&s->key), s->key.len, *ret);
	return rc;
}

static bool is_new_version(struct summary *s, const struct summary_event *e)
{
	buf_reset(&s->key);
	add_text(&s->key, e->watch);
	add_text(&s->key, e->size);
	add_text(&s->key, e->mtime);
	add_text(&s->key, e->path);
	return !recent_meet(s->versions, buf_str(&s->key), s->key.len);
}

int summary_add(struct summary *s, const struct summary_event *e, struct err *err)
{
	enum summary_count kind = kind_of(e);
	struct one_row *r;
	int rc;

	if (kind == SUMMARY_COUNTS)
		return 0;
	if (e->id && recent_meet(s->ids, e->id, strlen(e->id))) {
		s->repeated++;
		return 0;
	}
	rc = find_row(s, e, &r, err);
	if (rc < 0)
		return rc;
	r->row.counts[kind]++;
	r->row.counts[SUMMARY_FILES] += is_new_version(s, e);
	if (kind == SUMMARY_RUNS && e->latency_ms >= 0)
		quantile_add(&r->latency, e->latency_ms);
	return 0;
}

static int compare_rows(const void *a, const void *b)
{
	const struct one_row *const *x = a, *const *y = b;

	if ((*x)->row.day != (*y)->row.day)
		return (*x)->row.day < (*y)->row.day ? -1 : 1;
	return strcmp((*x)->watch, (*y)->watch);
}

static void measure(struct summary_row *row, const struct quantile *latency)
{
	row->p50_ms = quantile_at(latency, 50);
	row->p95_ms = quantile_at(latency, 95);
}

void summary_each(struct summary *s, void (*fn)(const struct summary_row *row, void *arg), void *arg)
{
	if (s->n > 1)
		qsort(s->rows, s->n, sizeof(struct one_row *), compare_rows);
	for (size_t i = 0; i < s->n; i++) {
		measure(&s->rows[i]->row, &s->rows[i]->latency);
		fn(&s->rows[i]->row, arg);
	}
}

struct summary_row summary_total(const struct summary *s)
{
	struct summary_row total = {.day = 0};
	struct quantile all = {.count = 0};

	for (size_t i = 0; i < s->n; i++) {
		for (unsigned c = 0; c < SUMMARY_COUNTS; c++)
			total.counts[c] += s->rows[i]->row.counts[c];
		quantile_join(&all, &s->rows[i]->latency);
	}
	measure(&total, &all);
	quantile_done(&all);
	return total;
}

int64_t summary_repeated(const struct summary *s)
{
	return s->repeated;
}
