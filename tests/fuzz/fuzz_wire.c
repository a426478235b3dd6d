/*
 * fuzz_wire: any bytes as a message. What decodes must encode to the same bytes again, its texts must end,
 * and the items of `candidates` and `confirm` must be readable to their end or refused.
 *
 * Input is the datagram, or its bytes as fuzz_unhex takes them.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "core/wire.h"

static void fuzz_candidates(const struct wire_candidates *m)
{
	struct wire_candidate c;
	size_t pos = 0, length = 0;

	while (wire_candidates_next(m, &pos, &c) > 0)
		length += strlen(c.relpath);
	if (length > m->items_len || pos > m->items_len)
		abort();
}

static void fuzz_knowns(const struct wire_confirm *m)
{
	struct wire_known k;
	size_t pos = 0, length = 0;

	while (wire_knowns_next(m, &pos, &k) > 0)
		length += strlen(k.relpath) + strlen(k.ends);
	if (length > m->items_len || pos > m->items_len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct wire_message m;
	struct buf again = BUF_INIT(WIRE_MESSAGE_BYTES);
	struct err err = ERR_INIT;
	size_t len = size;

	if (fuzz_is_hex(data, size)) {
		len = fuzz_unhex(data, size, m.bytes, sizeof(m.bytes));
	} else {
		if (len > sizeof(m.bytes))
			return 0;
		memcpy(m.bytes, data, len);
	}
	if (wire_decode(&m, len, &err) < 0) {
		if (m.type != WIRE_NONE || err.text[0] == '\0')
			abort();
		return 0;
	}
	if (wire_encode(m.type, &m.as, &again) < 0 || again.len != len ||
		memcmp(again.data, m.bytes, len) != 0)
		abort();
	if (m.type == WIRE_CANDIDATES)
		fuzz_candidates(&m.as.candidates);
	if (m.type == WIRE_CONFIRM)
		fuzz_knowns(&m.as.confirm);
	buf_done(&again);
	return 0;
}
