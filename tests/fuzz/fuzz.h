/*
 * fuzz: what each fuzz target defines; the shape is libFuzzer's (https://llvm.org/docs/LibFuzzer.html).
 *
 * A target is one file, tests/fuzz/fuzz_NAME.c, with its corpus in tests/fuzz/corpus/NAME/. Built with
 * --enable-fuzzers it is a libFuzzer program; otherwise replay.c gives it a main() that runs the corpus once.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Takes any bytes. Returns 0; a finding is a crash, a sanitizer's report or abort(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline int fuzz_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Is it "hex " and bytes as hex digits? So a corpus is kept that a person can read. */
static inline bool fuzz_is_hex(const uint8_t *data, size_t size)
{
	return size >= 4 && memcmp(data, "hex ", 4) == 0;
}

/* These bytes into out; how many. */
static inline size_t fuzz_unhex(const uint8_t *data, size_t size, char *out, size_t room)
{
	size_t n = 0;
	int high = -1;

	for (size_t i = 4; i < size && n < room; i++) {
		int digit = fuzz_digit(data[i]);

		if (digit < 0)
			continue;
		if (high < 0) {
			high = digit;
		} else {
			out[n++] = (char)(high * 16 + digit);
			high = -1;
		}
	}
	return n;
}

#endif
