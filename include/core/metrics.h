/*
 * metrics: the promised names, and Prometheus' text format (exposition format 0.0.4). Pure.
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* symbol, name, type, help. Each is described in brickwatch.ini(5); a lint compares. Times are points in
 * time, not ages: so nothing changes while nothing happens. */
#define METRICS(X)                                                                                           \
	X(BUILD_INFO, "brickwatch_build_info", "gauge", "1, with the version as label")                      \
	X(RUNNING, "brickwatch_running", "gauge", "1 while the service runs, 0 when it was stopped")         \
	X(START, "brickwatch_start_timestamp_seconds", "gauge", "When the service was started")              \
	X(LEDGER_UP, "brickwatch_ledger_up", "gauge", "0: the ledger cannot be written, nothing is sent")    \
	X(EVENT_LOG_UP, "brickwatch_event_log_up", "gauge", "0: events wait in the ledger")                  \
	X(OUTBOX, "brickwatch_outbox_events", "gauge", "Events that are not in the log yet")                 \
	X(IN_FLIGHT, "brickwatch_requests_in_flight", "gauge", "Requests for a run without answer")          \
	X(RUNS, "brickwatch_runs_started_total", "counter", "Runs started since the service was")            \
	X(FAILED, "brickwatch_starts_failed_total", "counter",                                               \
		"Files that became dead letters by an answer")                                               \
	X(FILES, "brickwatch_files", "gauge", "Versions of files in the ledger")                             \
	X(UNSETTLED, "brickwatch_files_unsettled", "gauge", "Files that are not complete yet")               \
	X(OLDEST_PENDING, "brickwatch_oldest_pending_timestamp_seconds", "gauge",                            \
		"When the file was complete that waits for its run for longest")                             \
	X(LAST_FILE, "brickwatch_last_file_timestamp_seconds", "gauge", "When the newest file was complete") \
	X(LAST_LISTING, "brickwatch_last_listing_timestamp_seconds", "gauge",                                \
		"End of the last complete listing")                                                          \
	X(WATCH_UP, "brickwatch_watch_up", "gauge",                                                          \
		"0: its folder is missing, it is stalled or not listed yet")                                 \
	X(WATCH_PAUSED, "brickwatch_watch_paused", "gauge", "1: nothing of it is sent until it is resumed")  \
	X(WORKSPACE_UP, "brickwatch_workspace_up", "gauge", "0: nothing gets through to it")                 \
	X(JOB_UP, "brickwatch_job_up", "gauge", "0: its job cannot be started")                              \
	X(CREDENTIAL, "brickwatch_credential_changed_timestamp_seconds", "gauge",                            \
		"When the file of the credential was changed last")                                          \
	X(TOKEN_EXPIRY, "brickwatch_token_expiry_timestamp_seconds", "gauge",                                \
		"Until when the access token is good")                                                       \
	X(CONSUMER_UP, "brickwatch_consumer_up", "gauge", "0: it does not take its events")                  \
	X(CONSUMER_EVENTS, "brickwatch_consumer_events", "gauge", "Events that wait for it")                 \
	X(CONSUMER_OLDEST, "brickwatch_consumer_oldest_timestamp_seconds", "gauge",                          \
		"When the first of these was made")                                                          \
	X(CONSUMER_DELIVERED, "brickwatch_consumer_delivered_total", "counter", "Events that it has got")    \
	X(CONSUMER_DROPPED, "brickwatch_consumer_dropped_total", "counter", "Events that were given up")     \
	X(LATENCY, "brickwatch_start_latency_seconds", "histogram",                                          \
		"From a complete file to the answer with its run")

#define METRICS_ENUM(symbol, name, type, help) METRICS_##symbol,
enum metrics_name { METRICS(METRICS_ENUM) METRICS_N };
#undef METRICS_ENUM

struct metrics_label {
	const char *name, *value;
};

#define METRICS_VALUE_BYTES (64u * 1024) /* longest value of a label */
#define METRICS_BUCKETS 13
struct metrics_histogram {
	int64_t counts[METRICS_BUCKETS + 1]; /* each its own; the last one is what was longer */
	int64_t sum_us;
};

const char *metrics_name(enum metrics_name m);
/* The two lines before the samples of a metric. */
void metrics_begin(struct buf *b, enum metrics_name m);
/* One sample. Bytes that are not UTF-8 become U+FFFD. */
void metrics_add(
	struct buf *b, enum metrics_name m, const struct metrics_label *labels, size_t n, int64_t value);
/* The same of microseconds, shown as seconds. */
void metrics_add_us(
	struct buf *b, enum metrics_name m, const struct metrics_label *labels, size_t n, int64_t us);
void metrics_observe(struct metrics_histogram *h, int64_t us); /* below 0 counts as 0 */
void metrics_add_histogram(struct buf *b, enum metrics_name m, const struct metrics_label *label,
	const struct metrics_histogram *h);

#endif
