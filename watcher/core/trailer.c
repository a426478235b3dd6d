/*
 * trailer: each format is told by its first bytes, since a name says nothing about what was written so far.
 *
 * A bounded look at the last bytes is all for zip, Parquet and ORC: their readers begin there, too. A mark
 * alone could also stand in the middle (a zip archive within one, stored, whose writer pauses behind it), so
 * what the mark says about the file must fit: sizes and offsets in it lead back to where they should.
 *
 * gzip has no mark: its last eight bytes are a checksum and a length that look like any others. Unpacking
 * tells, and nothing else does. BGZF (blocked gzip, of bgzip and samtools) is an exception: it is written
 * block by block, each a gzip file by itself, and ends with an empty one that is always the same.
 */
#include "core/trailer.h"

#include <stdbool.h>
#include <string.h>
#include "base/mem.h"
#include "core/textform.h"

#define GZIP_LEAST 18 /* header, an empty block, checksum and length: RFC 1952, section 2.3 */
#define ZIP_END_BYTES 22
#define ZIP64_LOCATOR_BYTES 20
#define ZIP64_END_BYTES 56
#define ORC_POSTSCRIPT_MAX 255

static uint32_t little16(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t little32(const uint8_t *p)
{
	return little16(p) | little16(p + 2) << 16;
}

static uint64_t little64(const uint8_t *p)
{
	return little32(p) | (uint64_t)little32(p + 4) << 32;
}

/* Begins with these n bytes, or with as many of them (least at least) as there are. */
static bool begins(const struct trailer_bytes *b, const char *mark, size_t n, size_t least)
{
	size_t len = b->head_len < n ? b->head_len : n;

	return len >= least && memcmp(b->head, mark, len) == 0;
}

static bool ends(const struct trailer_bytes *b, const void *mark, size_t n)
{
	return b->tail_len >= n && memcmp(b->tail + b->tail_len - n, mark, n) == 0;
}

/* "ORC" and "PARE" may also begin a table's first heading. A file of no more than the mark has just been
 * begun. */
static bool is_text(const struct trailer_bytes *b, size_t mark)
{
	struct textform t;

	if (b->head_len <= mark)
		return false;
	textform_init(&t, b->head, b->head_len, b->tail, b->tail_len, b->size);
	return t.is_text;
}

/* ---- gzip ---- */

/* Method 8 is the only one, the three upper flag bits are zero. */
static bool is_gzip(const struct trailer_bytes *b)
{
	return begins(b, "\x1f\x8b\x08", 3, 2) && (b->head_len < 4 || (b->head[3] & 0xe0) == 0);
}

/* https://samtools.github.io/hts-specs/SAMv1.pdf , section 4.1: an extra field "BC" in each block's header;
 * section 4.1.2: the block at the end. */
static bool is_bgzf(const struct trailer_bytes *b)
{
	return b->head_len >= 18 && (b->head[3] & 4) && memcmp(b->head + 12, "BC\x02", 4) == 0;
}

static enum trailer_verdict judge_gzip(const struct trailer_bytes *b)
{
	static const uint8_t bgzf_end[28] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 'B', 'C', 2, 0,
		0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0};

	if (is_bgzf(b))
		return ends(b, bgzf_end, sizeof(bgzf_end)) ? TRAILER_THERE : TRAILER_MISSING;
	return b->size < GZIP_LEAST ? TRAILER_MISSING : TRAILER_UNPACK;
}

/* ---- zip: PKWARE APPNOTE 6.3.10 ---- */

/* 4.3.7; 4.3.16: an empty archive; 8.5.4: one that could have been split and was not. What begins with a
 * program is a self-extracting one, and with PK 7 8 the first of several volumes: not judged. */
static bool is_zip(const struct trailer_bytes *b)
{
	return begins(b, "PK\x03\x04", 4, 3) || begins(b, "PK\x05\x06", 4, 3) ||
	       begins(b, "PK00PK\x03\x04", 8, 8);
}

/* Does the tail hold this mark at that place of the file? */
static bool zip_has(const struct trailer_bytes *b, uint64_t place, const char *mark)
{
	uint64_t first = (uint64_t)b->size - b->tail_len;

	return place >= first && place - first + 4 <= b->tail_len &&
	       memcmp(b->tail + (place - first), mark, 4) == 0;
}

/* 4.3.14, 4.3.15: before the end record at `place` a locator, that leads to the end record of zip64. */
static bool zip64_fits(const struct trailer_bytes *b, size_t at, uint64_t place)
{
	uint64_t first = (uint64_t)b->size - b->tail_len, record;

	if (at < ZIP64_LOCATOR_BYTES || memcmp(b->tail + at - ZIP64_LOCATOR_BYTES, "PK\x06\x07", 4) != 0)
		return false;
	record = little64(b->tail + at - ZIP64_LOCATOR_BYTES + 8);
	if (record > place - ZIP64_LOCATOR_BYTES || place - ZIP64_LOCATOR_BYTES - record < ZIP64_END_BYTES)
		return false;
	return record < first || zip_has(b, record, "PK\x06\x06");
}

/* The end record of the last of several volumes speaks of the others, too. */
static bool zip_is_volume(const uint8_t *p)
{
	uint32_t disk = little16(p + 4), of_directory = little16(p + 6);

	return of_directory <= disk && little16(p + 8) <= little16(p + 10);
}

/* Is what looks like an end record, at tail[at], that of this archive (4.3.16)? Its directory ends where it
 * begins, or where a signature of the directory (4.3.13) does. Some writers cut offsets over 4 GiB down
 * to 32 bits. */
static bool zip_end_fits(const struct trailer_bytes *b, size_t at)
{
	const uint8_t *p = b->tail + at;
	size_t end = at + ZIP_END_BYTES + little16(p + 20);
	uint64_t place = (uint64_t)b->size - b->tail_len + at;
	uint32_t disk = little16(p + 4), gap;

	if (end > b->tail_len)
		return false; /* its comment is cut */
	if (disk != 0 && disk != 0xffff)
		return end == b->tail_len && zip_is_volume(p);
	gap = (uint32_t)place - (little32(p + 12) + little32(p + 16));
	if (gap == 0 || (gap == 4 && b->head[2] == '0'))
		return true;
	return zip64_fits(b, at, place) || (gap <= place && zip_has(b, place - gap, "PK\x05\x05"));
}

/* Whatever is behind the end record, readers pass over it. */
static enum trailer_verdict judge_zip(const struct trailer_bytes *b)
{
	for (size_t at = b->tail_len; at-- > 0;)
		if (b->tail_len - at >= ZIP_END_BYTES && memcmp(b->tail + at, "PK\x05\x06", 4) == 0 &&
			zip_end_fits(b, at))
			return TRAILER_THERE;
	return TRAILER_MISSING;
}

/* ---- Parquet: https://parquet.apache.org/docs/file-format/ ---- */

/* PARE: the footer is encrypted. */
static bool is_parquet(const struct trailer_bytes *b)
{
	return begins(b, "PAR1", 4, 4) || begins(b, "PARE", 4, 4);
}

static enum trailer_verdict judge_parquet(const struct trailer_bytes *b)
{
	int64_t footer;

	if (is_text(b, 4))
		return TRAILER_NOT_JUDGED;
	if (b->size < 12 || b->tail_len < 8 || !ends(b, b->head, 4))
		return TRAILER_MISSING;
	footer = little32(b->tail + b->tail_len - 8);
	return footer > 0 && footer <= b->size - 12 ? TRAILER_THERE : TRAILER_MISSING;
}

/* ---- ORC: https://orc.apache.org/specification/ORCv1/ ---- */

static bool is_orc(const struct trailer_bytes *b)
{
	return begins(b, "ORC", 3, 3);
}

/* A number of a protocol buffer. False: it does not end, or is larger than 64 bits. */
static bool take_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t byte = *(*p)++;

		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* The postscript's fields: 1 and 5 are the lengths of footer and metadata; only numbers and counted bytes
 * occur. */
static bool read_postscript(const uint8_t *p, const uint8_t *end, uint64_t *footer, uint64_t *metadata)
{
	uint64_t key, value;

	*footer = *metadata = 0;
	while (p < end) {
		if (!take_varint(&p, end, &key) || !take_varint(&p, end, &value) || (key & 5) != 0)
			return false;
		if ((key & 7) == 2) {
			if (value > (uint64_t)(end - p))
				return false;
			p += value;
		} else if (key >> 3 == 1) {
			*footer = value;
		} else if (key >> 3 == 5) {
			*metadata = value;
		}
	}
	return true;
}

/* Before the last byte, its length, the postscript, that ends with "ORC"; before it footer and metadata. */
static enum trailer_verdict judge_orc(const struct trailer_bytes *b)
{
	uint64_t footer, metadata, room = (uint64_t)b->size;
	const uint8_t *end;
	size_t len;

	if (is_text(b, 3))
		return TRAILER_NOT_JUDGED;
	if (b->size < 3 + 4 + 1 || b->tail_len < 1)
		return TRAILER_MISSING;
	end = b->tail + b->tail_len - 1;
	len = *end;
	if (len < 4 || len > b->tail_len - 1 || memcmp(end - 3, "ORC", 3) != 0 ||
		!read_postscript(end - len, end, &footer, &metadata))
		return TRAILER_MISSING;
	if (room < len + 4)
		return TRAILER_MISSING;
	room -= len + 4; /* the length, and "ORC" at the start */
	return footer > 0 && footer <= room && metadata <= room - footer ? TRAILER_THERE : TRAILER_MISSING;
}

/* ---- the table ---- */

static const struct format {
	const char *name, *lacks;
	size_t wants; /* bytes at the end */
	bool (*is)(const struct trailer_bytes *b);
	enum trailer_verdict (*judge)(const struct trailer_bytes *b);
} formats[] = {
	{"gzip", "gzip: the end of the stream is missing", 28, is_gzip, judge_gzip},
	{"zip", "zip: the record at the end of the archive is missing", TRAILER_TAIL_BYTES, is_zip,
		judge_zip},
	{"Parquet", "Parquet: the footer at the end is missing", 64, is_parquet, judge_parquet},
	{"ORC", "ORC: the postscript at the end is missing", ORC_POSTSCRIPT_MAX + 1, is_orc, judge_orc},
};

static const struct format *find_format(const struct trailer_bytes *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].is(b))
			return &formats[i];
	return NULL;
}

/* ---- public ---- */

size_t trailer_wants(const uint8_t *head, size_t head_len, int64_t size)
{
	struct trailer_bytes b = {.head = head, .head_len = head_len, .size = size};
	const struct format *f = find_format(&b);

	if (!f)
		return 0;
	return size < (int64_t)f->wants ? (size_t)size : f->wants;
}

void trailer_judge(const struct trailer_bytes *b, struct trailer *ret)
{
	const struct format *f = find_format(b);

	*ret = (struct trailer){.verdict = TRAILER_NOT_JUDGED};
	if (!f)
		return;
	ret->verdict = f->judge(b);
	if (ret->verdict != TRAILER_NOT_JUDGED)
		ret->format = f->name;
	if (ret->verdict == TRAILER_MISSING)
		ret->lacks = f->lacks;
}

void trailer_take_unpacked(enum gzip_end end, struct trailer *ret)
{
	*ret = (struct trailer){.verdict = TRAILER_THERE, .format = formats[0].name};
	switch (end) {
	case GZIP_END_UNKNOWN:
		*ret = (struct trailer){.verdict = TRAILER_NOT_JUDGED};
		break;
	case GZIP_END_THERE:
		break;
	case GZIP_END_CUT:
		ret->verdict = TRAILER_MISSING;
		ret->lacks = formats[0].lacks;
		break;
	case GZIP_END_DAMAGED:
		ret->verdict = TRAILER_MISSING;
		ret->lacks = "gzip: the stream is damaged before its end, or not all of it is written yet";
		break;
	}
}
