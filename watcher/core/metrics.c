/*
 * metrics: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format).
 */
#include "core/metrics.h"

#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

static const struct {
	const char *name, *type, *help;
} metrics[] = {
#define METRICS_ROW(symbol, name, type, help) {name, type, help},
	METRICS(METRICS_ROW)
#undef METRICS_ROW
};

/* From a request that is answered at once to a workspace that was away for two hours; in milliseconds. */
static const int64_t bounds_ms[METRICS_BUCKETS] = {
	50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 1800000, 7200000};

const char *metrics_name(enum metrics_name m)
{
	return metrics[m].name;
}

void metrics_begin(struct buf *b, enum metrics_name m)
{
	(void)buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", metrics[m].name, metrics[m].help, metrics[m].name,
		metrics[m].type);
}

static void add_value(struct buf *b, const char *value)
{
	CLEANUP_BUF struct buf good = BUF_INIT(METRICS_VALUE_BYTES);

	(void)text_add_utf8_repaired(&good, value, strlen(value));
	for (const char *p = buf_str(&good); *p; p++) {
		if (*p == '\n')
			(void)buf_adds(b, "\\n");
		else
			(void)buf_addf(b, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
	}
}

static void add_labels(struct buf *b, const struct metrics_label *labels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)buf_addf(b, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
		add_value(b, labels[i].value);
		(void)buf_addc(b, '"');
	}
	if (n > 0)
		(void)buf_addc(b, '}');
}

/* Shown exactly, without an exponent. */
static void add_seconds(struct buf *b, int64_t us)
{
	int64_t part = us % US_PER_S;

	(void)buf_addf(b, "%s%" PRId64 ".%06" PRId64, us < 0 ? "-" : "",
		us < 0 ? -(us / US_PER_S) : us / US_PER_S, part < 0 ? -part : part);
}

void metrics_add(
	struct buf *b, enum metrics_name m, const struct metrics_label *labels, size_t n, int64_t value)
{
	(void)buf_adds(b, metrics[m].name);
	add_labels(b, labels, n);
	(void)buf_addf(b, " %" PRId64 "\n", value);
}

void metrics_add_us(
	struct buf *b, enum metrics_name m, const struct metrics_label *labels, size_t n, int64_t us)
{
	(void)buf_adds(b, metrics[m].name);
	add_labels(b, labels, n);
	(void)buf_addc(b, ' ');
	add_seconds(b, us);
	(void)buf_addc(b, '\n');
}

void metrics_observe(struct metrics_histogram *h, int64_t us)
{
	size_t i = 0;

	if (us < 0)
		us = 0;
	while (i < METRICS_BUCKETS && us > bounds_ms[i] * US_PER_MS)
		i++;
	h->counts[i]++;
	h->sum_us += us;
}

void metrics_add_histogram(struct buf *b, enum metrics_name m, const struct metrics_label *label,
	const struct metrics_histogram *h)
{
	int64_t sum = 0;

	for (size_t i = 0; i <= METRICS_BUCKETS; i++) {
		CLEANUP_FREE char *bound = i == METRICS_BUCKETS
						   ? mem_strdup("+Inf")
						   : mem_printf("%" PRId64 ".%03" PRId64, bounds_ms[i] / 1000,
							     bounds_ms[i] % 1000);
		const struct metrics_label labels[] = {*label, {"le", bound}};

		sum += h->counts[i];
		(void)buf_addf(b, "%s_bucket", metrics[m].name);
		add_labels(b, labels, 2);
		(void)buf_addf(b, " %" PRId64 "\n", sum);
	}
	(void)buf_addf(b, "%s_sum", metrics[m].name);
	add_labels(b, label, 1);
	(void)buf_addc(b, ' ');
	add_seconds(b, h->sum_us);
	(void)buf_addf(b, "\n%s_count", metrics[m].name);
	add_labels(b, label, 1);
	(void)buf_addf(b, " %" PRId64 "\n", sum);
}
