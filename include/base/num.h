/*
 * num: numbers and quantities as people and machines write them. The whole text must be the number: no
 * blanks, no rest. All return 0, -EINVAL (not one) or -ERANGE (too large or small), and leave *ret alone on
 * failure.
 */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

int num_parse_i64(const char *text, int64_t *ret) MUST_CHECK;  /* [-]digits */
int num_parse_u64(const char *text, uint64_t *ret) MUST_CHECK; /* digits */
/* Exactly ^[1-9][0-9]{0,18}$ and <= INT64_MAX: how the Jobs API writes its ids. */
int num_parse_id(const char *text, size_t len, int64_t *ret) MUST_CHECK;
int num_parse_bool(const char *text, bool *ret) MUST_CHECK; /* yes no (any case), true false, on off, 1 0 */
/* Bytes: "0", "512", "64KiB", "5MB" (10^6), "1GiB", "2TB"; units in any case, K/M/G/T alone are refused. */
int num_parse_bytes(const char *text, int64_t *ret) MUST_CHECK;
/* Microseconds: "500us" "250ms" "10s" "5m" "24h" "7d"; whole numbers; "0" needs no unit. */
int num_parse_duration(const char *text, int64_t *ret_us) MUST_CHECK;
/* "5/s", "10000/1h", "3/250ms": a count per time; none of them 0 (-ERANGE). */
int num_parse_rate(const char *text, int64_t *ret_count, int64_t *ret_per_us) MUST_CHECK;
#define NUM_TEXT_BYTES 32
/* The shortest of these spellings that is exact: read again it is the same number. Negative ones are written
 * too. Returns text. */
const char *num_format_bytes(int64_t bytes, char text[NUM_TEXT_BYTES]);
const char *num_format_duration(int64_t us, char text[NUM_TEXT_BYTES]);
const char *num_format_rate(int64_t count, int64_t per_us, char text[NUM_TEXT_BYTES * 2]);

#endif
