/*
 * summary: the event log in figures: for each day and watch how many files, runs and failures, and how long
 * it took from a complete file to its run.
 *
 * Each event counts once, however often its line comes: one with an id that was among the last SUMMARY_RECENT
 * does not count again. A version of a file (watch, path, size and time) counts as a file at its first event;
 * when more than SUMMARY_RECENT others came since, it is taken for another one. Memory: at most 128 bytes for
 * each of SUMMARY_RECENT, and some 3 KiB for each watch and day. Days are the caller's: numbers in any
 * calendar.
 */
#ifndef CORE_SUMMARY_H
#define CORE_SUMMARY_H

#include <stdint.h>
#include "base/err.h"

#define SUMMARY_RECENT 250000
#define SUMMARY_ROWS_MAX 100000

struct summary_event {
	int day;
	const char *type, *watch; /* an event without either does not count */
	const char *id, *path, *size, *mtime;
	int64_t latency_ms; /* of run.started; negative: not known */
};

enum summary_count {
	SUMMARY_FILES,
	SUMMARY_RUNS,
	SUMMARY_FAILED,
	SUMMARY_REJECTED,
	SUMMARY_SKIPPED,
	SUMMARY_VANISHED,
	SUMMARY_SUPERSEDED,
	SUMMARY_COUNTS,
};

struct summary_row {
	int day;	   /* 0: all */
	const char *watch; /* borrowed; NULL: all */
	int64_t counts[SUMMARY_COUNTS];
	int64_t p50_ms, p95_ms; /* -1: no run */
};

struct summary;

/* key: see recent_new(). */
struct summary *summary_new(const uint64_t key[2]);
void summary_free(struct summary *s); /* takes NULL */
/* 0, -E2BIG: more watches and days than SUMMARY_ROWS_MAX. */
int summary_add(struct summary *s, const struct summary_event *e, struct err *err) MUST_CHECK;
/* By day, then by name. */
void summary_each(struct summary *s, void (*fn)(const struct summary_row *row, void *arg), void *arg);
struct summary_row summary_total(const struct summary *s);
int64_t summary_repeated(const struct summary *s);    /* events that were left out, having counted before */
const char *summary_count_name(enum summary_count c); /* "files" … */

#endif
