/*
 * clock: the two clocks, never mixed, both as int64_t microseconds, and time as text.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "base/err.h"

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

int64_t clock_mono_us(void);			      /* CLOCK_MONOTONIC */
int64_t clock_wall_us(void);			      /* CLOCK_REALTIME */
int64_t clock_timespec_ns(const struct timespec *ts); /* saturates */

#define CLOCK_TEXT_BYTES 40
/* RFC 3339 in UTC with 0 to 6 digits of a second: 0 "2026-01-02T03:04:05Z", 6 "….123456Z" (finer parts are
 * cut, not rounded). Years outside 0..9999 are clamped. Returns text. */
const char *clock_format_us(int64_t wall_us, int digits, char text[CLOCK_TEXT_BYTES]);
const char *clock_format_ns(int64_t wall_ns, char text[CLOCK_TEXT_BYTES]);	/* nine digits */
const char *clock_format_compact(int64_t wall_us, char text[CLOCK_TEXT_BYTES]); /* 20260102T030405Z */
/* RFC 3339 (Z or offset, optional fraction up to 9 digits, cut to microseconds; a blank for the T; second 60
 * is the next minute) -> microseconds. 0 or -EINVAL. */
int clock_parse_rfc3339(const char *text, int64_t *ret_wall_us) MUST_CHECK;
/* What a user types after --since: RFC 3339, "2h" (ago), or a local date/time "2026-01-02" / "2026-01-02
 * 03:04[:05]" (time zone of the process; daylight saving as mktime(3) has it). now_us: wall clock. -EINVAL,
 * class ERR_USAGE. */
int clock_parse_user(const char *text, int64_t now_us, int64_t *ret_wall_us, struct err *err) MUST_CHECK;
/* "0.4 ms", "850 ms", "1.5 s", "12 s", "3 min 20 s", "2 h 5 min", "3 d 4 h": for people; cut, never rounded
 * up. Returns text. */
const char *clock_format_span(int64_t span_us, char text[CLOCK_TEXT_BYTES]);

#endif
