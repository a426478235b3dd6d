/*
 * audit: a column is as wide as the widest of its cells. What nothing happened of has no column, and on a
 * terminal the names of watches give way.
 */
#include "cli/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "base/text.h"
#include "core/summary.h"

#define AUDIT_LINE_BYTES (64 * 1024)
#define AUDIT_COLUMNS (SUMMARY_COUNTS + 2) /* p50 and p95 behind the counts */
#define AUDIT_WATCH_COLUMNS 8		   /* a name is not cut shorter */

struct audit {
	struct summary *summary;
	/* while it is printed */
	size_t columns;
	struct summary_row total;
	size_t watch_width, widths[AUDIT_COLUMNS]; /* 0: the column is left out */
};

struct audit *audit_new(void)
{
	struct audit *a = mem_alloc(sizeof(*a));
	uint64_t key[2] = {0};

	(void)!getrandom(key, sizeof(key), 0);
	a->summary = summary_new(key);
	return a;
}

void audit_free(struct audit *a)
{
	if (!a)
		return;
	summary_free(a->summary);
	free(a);
}

static int audit_day(const struct json *event, int *ret, struct err *err)
{
	const char *text = json_get_text(event, "time");
	int64_t at_us;
	struct tm tm;
	time_t at;

	if (!text || clock_parse_rfc3339(text, &at_us) < 0)
		return err_set(err, ERR_INPUT, EBADMSG, "an event without a time that can be read");
	at = (time_t)(at_us / US_PER_S);
	if (!localtime_r(&at, &tm))
		return err_set(err, ERR_INPUT, EBADMSG, "an event of no year that is known: %s", text);
	*ret = (tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday;
	return 0;
}

int audit_add(struct audit *a, const struct json *event, struct err *err)
{
	const char *bytes = json_get_text(event, "path_base64");
	struct summary_event e = {
		.type = json_get_text(event, "type"),
		.watch = json_get_text(event, "watch"),
		.id = json_get_text(event, "id"),
		.path = bytes ? bytes : json_get_text(event, "path"),
		.size = json_get_text(event, "size"),
		.mtime = json_get_text(event, "mtime"),
		.latency_ms = -1,
	};
	int rc = audit_day(event, &e.day, err);

	if (rc == 0 && json_get_i64(event, "latency_ms", &e.latency_ms) < 0)
		e.latency_ms = -1;
	return rc < 0 ? rc : summary_add(a->summary, &e, err);
}

/* ---- JSON ---- */

static void audit_add_latency(struct json_writer *w, const char *key, int64_t ms)
{
	if (ms < 0)
		json_add_null(w, key);
	else
		json_add_i64(w, key, ms);
}

static void audit_add_figures(struct json_writer *w, const struct summary_row *row)
{
	for (unsigned c = 0; c < SUMMARY_COUNTS; c++)
		json_add_i64(w, summary_count_name((enum summary_count)c), row->counts[c]);
	audit_add_latency(w, "latency_p50_ms", row->p50_ms);
	audit_add_latency(w, "latency_p95_ms", row->p95_ms);
}

static const char *audit_day_text(const struct summary_row *row, char text[16])
{
	(void)snprintf(text, 16, "%04u-%02u-%02u", (unsigned)row->day / 10000 % 10000,
		(unsigned)row->day / 100 % 100, (unsigned)row->day % 100);
	return text;
}

static void audit_json_row(const struct summary_row *row, void *arg)
{
	CLEANUP_BUF struct buf b = BUF_INIT(AUDIT_LINE_BYTES);
	struct json_writer w = JSON_WRITER(&b);
	char day[16];

	(void)arg;
	json_begin_object(&w, NULL);
	json_add_string(&w, "day", audit_day_text(row, day));
	json_add_string(&w, "watch", row->watch);
	audit_add_figures(&w, row);
	json_end_object(&w);
	(void)puts(buf_str(&b));
}

static void audit_json_total(const struct audit *a)
{
	CLEANUP_BUF struct buf b = BUF_INIT(AUDIT_LINE_BYTES);
	struct json_writer w = JSON_WRITER(&b);

	json_begin_object(&w, NULL);
	json_begin_object(&w, "total");
	audit_add_figures(&w, &a->total);
	json_add_i64(&w, "repeated", summary_repeated(a->summary));
	json_end_object(&w);
	json_end_object(&w);
	(void)puts(buf_str(&b));
}

/* ---- the table ---- */

static const char *audit_title(size_t column)
{
	return column < SUMMARY_COUNTS	  ? summary_count_name((enum summary_count)column)
	       : column == SUMMARY_COUNTS ? "p50"
					  : "p95";
}

static const char *audit_cell(const struct summary_row *row, size_t column, char text[CLOCK_TEXT_BYTES])
{
	int64_t ms = column == SUMMARY_COUNTS ? row->p50_ms : row->p95_ms;

	if (column >= SUMMARY_COUNTS)
		return ms < 0 ? "-" : clock_format_span(ms * US_PER_MS, text);
	(void)snprintf(text, CLOCK_TEXT_BYTES, "%" PRId64, row->counts[column]);
	return text;
}

static bool audit_is_shown(const struct audit *a, size_t column)
{
	return column >= SUMMARY_COUNTS || column <= SUMMARY_FAILED || a->total.counts[column] > 0;
}

static void audit_measure(const struct summary_row *row, void *arg)
{
	struct audit *a = arg;
	char text[CLOCK_TEXT_BYTES];

	for (size_t c = 0; c < AUDIT_COLUMNS; c++) {
		size_t width = strlen(audit_cell(row, c, text));

		if (a->widths[c] > 0 && width > a->widths[c])
			a->widths[c] = width;
	}
	if (row->watch && terminal_width(row->watch) > a->watch_width)
		a->watch_width = terminal_width(row->watch);
}

static void audit_measure_all(struct audit *a)
{
	size_t others = strlen("2026-01-31");

	a->watch_width = strlen("watch");
	for (size_t c = 0; c < AUDIT_COLUMNS; c++)
		a->widths[c] = audit_is_shown(a, c) ? strlen(audit_title(c)) : 0;
	summary_each(a->summary, audit_measure, a);
	audit_measure(&a->total, a);
	for (size_t c = 0; c < AUDIT_COLUMNS; c++)
		others += a->widths[c] > 0 ? a->widths[c] + 2 : 0;
	if (a->columns == 0 || others + 2 + a->watch_width <= a->columns)
		return;
	a->watch_width =
		others + 2 + AUDIT_WATCH_COLUMNS < a->columns ? a->columns - others - 2 : AUDIT_WATCH_COLUMNS;
}

/* row NULL: the titles. */
static void audit_print_line(
	const struct audit *a, const char *day, const char *watch, const struct summary_row *row)
{
	CLEANUP_BUF struct buf b = BUF_INIT(AUDIT_LINE_BYTES), name = BUF_INIT(AUDIT_LINE_BYTES),
			       line = BUF_INIT(AUDIT_LINE_BYTES);
	char text[CLOCK_TEXT_BYTES];

	(void)text_add_printable(&name, watch, strlen(watch));
	(void)buf_addf(&b, "%-10s  ", day);
	(void)terminal_add_cut(&b, buf_str(&name), a->watch_width);
	for (size_t n = terminal_width(buf_str(&name)); n < a->watch_width; n++)
		(void)buf_addc(&b, ' ');
	for (size_t c = 0; c < AUDIT_COLUMNS; c++)
		if (a->widths[c] > 0)
			(void)buf_addf(&b, "  %*s", (int)a->widths[c],
				row ? audit_cell(row, c, text) : audit_title(c));
	if (a->columns > 0)
		(void)terminal_add_cut(&line, buf_str(&b), a->columns);
	(void)puts(buf_str(a->columns > 0 ? &line : &b));
}

static void audit_print_row(const struct summary_row *row, void *arg)
{
	char day[16];

	audit_print_line(arg, audit_day_text(row, day), row->watch, row);
}

static void audit_print_table(struct audit *a)
{
	audit_measure_all(a);
	audit_print_line(a, "day", "watch", NULL);
	summary_each(a->summary, audit_print_row, a);
	audit_print_line(a, "all", "", &a->total);
}

static void audit_print_repeated(int64_t n)
{
	if (n == 1)
		log_info("1 line came again with the same id and is not counted twice");
	else if (n > 0)
		log_info("%" PRId64 " lines came again with the same id and are not counted twice", n);
}

void audit_print(struct audit *a, bool json, size_t columns)
{
	a->columns = columns;
	a->total = summary_total(a->summary);
	if (json) {
		summary_each(a->summary, audit_json_row, a);
		audit_json_total(a);
	} else {
		audit_print_table(a);
		audit_print_repeated(summary_repeated(a->summary));
	}
}
