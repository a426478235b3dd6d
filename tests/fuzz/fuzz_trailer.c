/*
 * fuzz_trailer: any bytes as a file whose end is looked for, and unpacked if they begin like gzip.
 *
 * Input is the file, or its bytes as fuzz_unhex takes them. Head and tail are copied into memory of exactly
 * their size, so that a read beside them is seen. What is judged to end must have a format, what is missing
 * must have words; and what is whole as gzip stays so with a byte of padding behind it.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/fs.h"
#include "base/mem.h"
#include "core/trailer.h"

#define UNPACK_BYTES 4096u /* larger ones would only be slower */

static void fuzz_claim(bool holds)
{
	if (!holds)
		abort();
}

/* Copies n bytes at p into memory of that size; NULL for none. */
static uint8_t *fuzz_copy(const uint8_t *p, size_t n)
{
	uint8_t *copy = n > 0 ? malloc(n) : NULL;

	fuzz_claim(n == 0 || copy);
	if (n > 0)
		memcpy(copy, p, n);
	return copy;
}

static void fuzz_unpack(const uint8_t *data, size_t size)
{
	CLEANUP_FD int fd = memfd_create("fuzz", MFD_CLOEXEC);
	enum gzip_end end = GZIP_END_UNKNOWN, padded = GZIP_END_UNKNOWN;
	struct err err = ERR_INIT;
	struct trailer t;

	fuzz_claim(fd >= 0 && fs_write_all(fd, data, size) == 0 && fs_write_all(fd, "", 1) == 0);
	fuzz_claim(gzip_find_end(fd, (int64_t)size, &end, &err) == 0 && end != GZIP_END_UNKNOWN);
	fuzz_claim(gzip_find_end(fd, (int64_t)size + 1, &padded, &err) == 0);
	fuzz_claim(end != GZIP_END_THERE || padded == GZIP_END_THERE);
	fuzz_claim(gzip_find_end(fd, (int64_t)size + 2, &padded, &err) == -ESTALE || padded == end ||
		   end == GZIP_END_CUT);
	trailer_take_unpacked(end, &t);
	fuzz_claim(t.format != NULL && (t.lacks != NULL) == (end != GZIP_END_THERE));
}

static void fuzz_one(const uint8_t *data, size_t size)
{
	size_t head_len = size < TRAILER_HEAD_BYTES ? size : TRAILER_HEAD_BYTES;
	uint8_t *head = fuzz_copy(data, head_len), *tail;
	struct trailer_bytes b = {.head = head, .head_len = head_len, .size = (int64_t)size};
	struct trailer t;

	b.tail_len = trailer_wants(head, head_len, b.size);
	fuzz_claim(b.tail_len <= size && b.tail_len <= TRAILER_TAIL_BYTES);
	tail = fuzz_copy(data + size - b.tail_len, b.tail_len);
	b.tail = tail;
	trailer_judge(&b, &t);
	fuzz_claim((t.format == NULL) == (t.verdict == TRAILER_NOT_JUDGED));
	fuzz_claim((t.lacks != NULL) == (t.verdict == TRAILER_MISSING));
	if (t.verdict == TRAILER_UNPACK && size <= UNPACK_BYTES)
		fuzz_unpack(data, size);
	free(head);
	free(tail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char bytes[2 * TRAILER_TAIL_BYTES];

	if (fuzz_is_hex(data, size))
		fuzz_one((const uint8_t *)bytes, fuzz_unhex(data, size, bytes, sizeof(bytes)));
	else
		fuzz_one(data, size);
	return 0;
}
