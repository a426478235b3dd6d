/*
 * fuzz: what each fuzz target defines; the shape is libFuzzer's (https://llvm.org/docs/LibFuzzer.html).
 *
 * A target is one file, tests/fuzz/fuzz_NAME.c, with its corpus in tests/fuzz/corpus/NAME/. Built with
 * --enable-fuzzers it is a libFuzzer program; otherwise replay.c gives it a main() that runs the corpus once.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Takes any bytes. Returns 0; a finding is a crash, a sanitizer's report or abort(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
