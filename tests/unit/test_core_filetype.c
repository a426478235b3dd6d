/*
 * filetype: what libmagic said, the first and last bytes and the name, and what comes of it. libmagic's
 * answers are those of 5.44 for such files, and where it matters what older and newer ones say. The same is
 * asked of the real libmagic elsewhere.
 */
#include "core/filetype.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "patience.h"

#define B(s) s, sizeof(s) - 1
#define WHOLE NULL, 0, 0 /* the head is all there is */
#define LIST(...)                                                                                            \
	((struct conf_list){(char **)(const char *[]){__VA_ARGS__},                                          \
		sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)})

#define CSV (FILETYPE_CSV | FILETYPE_TEXT)
#define JSON (FILETYPE_JSON | FILETYPE_TEXT)
#define NDJSON (FILETYPE_NDJSON | FILETYPE_TEXT)
#define XML (FILETYPE_XML | FILETYPE_TEXT)
#define TEXT FILETYPE_TEXT

#define OCTETS "application/octet-stream"
#define TSV_MIME "text/tab-separated-values"
#define PARQUET_MIME "application/vnd.apache.parquet"
#define ORC_MIME "application/vnd.apache.orc"
#define ARROW_MIME "application/vnd.apache.arrow.file"
#define STREAM_MIME "application/vnd.apache.arrow.stream"
#define XLSX_MIME "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#define UNKNOWN NULL

/* A smallest Schema message: length 40, table at 16, vtable at 4. */
#define STREAM_HEAD                                                                                          \
	"\xff\xff\xff\xff\x28\0\0\0\x10\0\0\0\x0c\0\x10\0\x04\0\x06\0\x08\0\0\0\x0c\0\0\0\x04\0\x01\0\0\0\0" \
	"\0"                                                                                                 \
	"\0\0\0\0\0\0\0\0\0\0\0\0"

static const struct row {
	const char *said, *name;
	const char *head;
	size_t head_len;
	const char *tail;
	size_t tail_len;
	int64_t size;
	unsigned groups;
	const char *mime; /* NULL: not known */
} rows[] = {
	/* Parquet, ORC, Arrow: both ends */
	{OCTETS, "a.parquet", B("PAR1\x15\x04"), B("\x01\0\0PAR1"), 5000, FILETYPE_PARQUET, PARQUET_MIME},
	{OCTETS, "part-0", B("PAR1\x15\x04"), B("\x01\0\0PAR1"), 5000, FILETYPE_PARQUET, PARQUET_MIME},
	{NULL, "a", B("PAR1\x15\x04"), B("PAR1"), 5000, FILETYPE_PARQUET, PARQUET_MIME},
	{OCTETS, "a", B("PARE\x15\x04"), B("PARE"), 5000, FILETYPE_PARQUET, PARQUET_MIME},
	{OCTETS, "a", B("PARE\x15\x04"), B("PAR1"), 5000, 0, OCTETS},
	{OCTETS, "a.parquet", B("PAR1\x15\x04"), B("PAR"), 5000, 0, OCTETS},
	{OCTETS, "a.parquet", B("PAR1\x15\x04"), B("xPAR1\0"), 5000, 0, OCTETS},
	{OCTETS, "a.parquet", B("PAR1\x15\x04"), NULL, 0, 5000, 0, OCTETS},
	{PARQUET_MIME, "a.parquet", B("PAR1\x15\x04"), B("xyz"), 5000, 0, OCTETS}, /* a newer libmagic */
	{NULL, "a.parquet", B("PAR1\x15\x04"), B("xyz"), 5000, 0, UNKNOWN},
	{OCTETS, "a", B("PAR1\0PAR1"), B("PAR1\0PAR1"), 9, 0, OCTETS}, /* too short to be one */
	{OCTETS, "a.orc", B("ORC\x0a\x02"), B("\x82\xf4\x03\x03ORC\x17"), 5000, FILETYPE_ORC, ORC_MIME},
	{OCTETS, "a.orc", B("ORC\x0a\x02"), B("ORC"), 5000, 0, OCTETS},
	{NULL, "x", B("ORC\x0a\x02"), B("ORC\x17"), 5000, FILETYPE_ORC, ORC_MIME},
	{OCTETS, "a.arrow", B("ARROW1\0\0"), B("ARROW1"), 5000, FILETYPE_ARROW, ARROW_MIME},
	{OCTETS, "a.arrow", B("ARROW1\0\0"), B("ARROW"), 5000, 0, OCTETS},
	{OCTETS, "a.avro", B("Obj\x01\x04"), B("x"), 5000, FILETYPE_AVRO, "application/avro"},
	{OCTETS, "a.avro", B("Obj\x02\x04"), B("x"), 5000, 0, OCTETS},
	{OCTETS, "a.arrows", B(STREAM_HEAD), B("x"), 5000, FILETYPE_ARROW, STREAM_MIME},
	{"text/plain", "a.csv", B(STREAM_HEAD), B("x"), 5000, FILETYPE_ARROW, STREAM_MIME},
	{OCTETS, "a", B(STREAM_HEAD), B("x"), 40, 0, OCTETS}, /* shorter than it says */
	{OCTETS, "a", B("\xff\xff\xff\xff\x28\0\0\0"), B("x"), 5000, 0, OCTETS},
	{OCTETS, "a", B("\xff\xff\xff\xff\x28\0\0\0\xff\xff\xff\xff\x04\0\x08\0\0\0\0\0"), B("x"), 5000, 0,
		OCTETS},
	{OCTETS, "a", B("\xff\xff\xff\xff\x28\0\0\0\x04\0\0\0\x04\0\0\x80\0\0\0\0"), B("x"), 5000, 0, OCTETS},
	{"text/plain", "a", B("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), WHOLE,
		TEXT, "text/plain"},
	/* what begins like one of them and is a table */
	{"text/csv", "trees.csv", B("ORCHARD,TREES\nA,1\nB,2\n"), WHOLE, CSV, "text/csv"},
	{OCTETS, "trees.csv", B("ORC,TREES\nA,1\nB,2\n"), WHOLE, CSV, "text/csv"},
	{ORC_MIME, "trees.csv", B("ORC,TREES\nA,1\nB,2\n"), WHOLE, CSV, "text/csv"},
	{"application/x-orc", "trees.txt", B("ORCHARD\n"), WHOLE, TEXT, "text/plain"},
	{"text/plain", "x.txt", B("PAR1 is a course\n"), WHOLE, TEXT, "text/plain"},
	/* compressed */
	{"application/gzip", "a.csv.gz", B("\x1f\x8b\x08\0\0\0"), B("x"), 5000, FILETYPE_GZIP,
		"application/gzip"},
	{"application/x-gzip", "a", B("\x1f\x8b\x08\x08\0"), B("x"), 5000, FILETYPE_GZIP, "application/gzip"},
	{NULL, "a", B("\x1f\x8b\x08\0\0\0"), B("x"), 5000, FILETYPE_GZIP, "application/gzip"},
	{"application/gzip", "a", B("\x1f\x8b"), WHOLE, FILETYPE_GZIP, "application/gzip"},
	{OCTETS, "a.gz", B("\x1f\x8b\x08\xe0"), B("x"), 5000, 0, OCTETS},
	{OCTETS, "a.gz", B("\x1f\x8b\x07\0"), B("x"), 5000, 0, OCTETS},
	{"application/zstd", "a", B("\x28\xb5\x2f\xfd\x20"), B("x"), 5000, FILETYPE_ZSTD, "application/zstd"},
	{"application/x-zstd", "a", B("\x28\xb5\x2f\xfd"), WHOLE, FILETYPE_ZSTD, "application/zstd"},
	{OCTETS, "a", B("\x50\x2a\x4d\x18\x02\0\0\0ab\x5f\x2a\x4d\x18\0\0\0\0\x28\xb5\x2f\xfd\x20\0\0\0"),
		WHOLE, FILETYPE_ZSTD, "application/zstd"},
	{"application/x-lz4", "a", B("\x50\x2a\x4d\x18\x02\0\0\0ab\x04\x22\x4d\x18\0\0\0\0"), WHOLE, 0,
		"application/x-lz4"},
	{OCTETS, "a", B("\x50\x2a\x4d\x18\xff\xff\xff\xff"), B("x"), 5000, 0, OCTETS},
	{"application/zip", "a.zip", B("PK\x03\x04\x14\0"), B("x"), 5000, FILETYPE_ZIP, "application/zip"},
	{"application/x-zip-compressed", "a", B("PK\x03\x04\x14\0"), B("x"), 5000, FILETYPE_ZIP,
		"application/zip"},
	{OCTETS, "a", B("PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.csv"), B("x"),
		5000, FILETYPE_ZIP, "application/zip"},
	{OCTETS, "a",
		B("PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x13\0\0\0[Content_Types].xml"),
		B("x"), 5000, 0, OCTETS},
	{XLSX_MIME, "a.zip", B("PK\x03\x04\x14\0"), B("x"), 5000, 0, XLSX_MIME},
	{NULL, "a.zip", B("PK\x03\x04\x14\0"), B("x"), 5000, 0, UNKNOWN}, /* could be a spreadsheet */
	/* JSON */
	{"application/json", "a.json", B("{\"a\":1}"), WHOLE, JSON, "application/json"},
	{"application/json", "a", B("[1,2]"), WHOLE, JSON, "application/json"},
	{"text/plain", "a.json", B("[{\"a\":1},{\"b"), B("3}]\n"), 5000, JSON,
		"application/json"}, /* cut by type_bytes */
	{"text/plain", "a", B("[{\"a\":1},{\"b"), B("3}]\n"), 5000, JSON, "application/json"},
	{"text/plain", "A.JSON", B("[{\"a\":1},{\"b"), B("3}"), 5000, JSON,
		"application/json"}, /* torn, but named so */
	{"text/plain", "a", B("[{\"a\":1},{\"b"), B("3}"), 5000, TEXT, "text/plain"},
	{NULL, "a.json", B("[{\"a\":1},{\"b"), B("3}"), 5000, 0, UNKNOWN},
	{NULL, "a.json", B("[{\"a\":1},{\"b"), B("3}]"), 5000, JSON, "application/json"},
	{NULL, "a", B("{\"a\":1}"), WHOLE, JSON, "application/json"},
	{"text/plain", "a.geojson", B("{\"type\":\"Feature\",\"x"), B("}"), 5000, JSON, "application/json"},
	{"text/plain", "a.json", B("{\n// c\na:1,}\n"), WHOLE, JSON, "application/json"},
	{"text/plain", "a.txt", B("{\n// c\na:1,}\n"), WHOLE, TEXT, "text/plain"},
	{NULL, "a.json", B("{\n// c\na:1,}\n"), WHOLE, 0, UNKNOWN},
	{"text/plain", "a.json", B("[section]\nkey=1\n"), WHOLE, TEXT, "text/plain"},
	{"text/plain", "a.json", B("function(){}\n"), WHOLE, TEXT, "text/plain"},
	{"text/plain", "a.json", B("\xef\xbb\xbf{\"a\":1}"), WHOLE, JSON, "application/json"},
	{"text/plain", "a.json", B("\xff\xfe{\0}\0"), WHOLE, JSON, "application/json"},
	{"model/gltf+json", "a", B("{\"asset\":1}"), WHOLE, JSON, "model/gltf+json"},
	{"application/json; charset=us-ascii", "a", B("{\"a\":1}"), WHOLE, JSON, "application/json"},
	{"text/json", "a", B("{\"a\":1}"), WHOLE, JSON, "application/json"},
	{"text/rtf", "a.rtf", B("{\\rtf1 x}"), WHOLE, TEXT, "text/rtf"},
	{"application/x-lz4+json", "a", B("mozLz40\0"), WHOLE, 0, "application/x-lz4+json"},
	/* lines of JSON */
	{"application/x-ndjson", "a.ndjson", B("{\"a\":1}\n{\"a\":2}\n"), WHOLE, NDJSON,
		"application/x-ndjson"},
	{"application/x-ndjson", "a", B("{\"a\":1}\n{\"a\":2}\n"), WHOLE, NDJSON, "application/x-ndjson"},
	{"application/json", "a", B("{\"a\":1}\n{\"a\":2}\n"), WHOLE, NDJSON,
		"application/x-ndjson"}, /* an older libmagic */
	{"text/plain", "a", B("{\"a\":1}\n{\"a\":2}\n"), WHOLE, NDJSON, "application/x-ndjson"},
	{"text/csv", "a", B("{\"a\":1,\"b\":2}\n{\"a\":2,\"b\":3}\n"), WHOLE, NDJSON, "application/x-ndjson"},
	{"application/x-ndjson", "part-0.json", B("{\"a\":1}\n{\"a\":2}\n"), WHOLE, NDJSON | FILETYPE_JSON,
		"application/x-ndjson"},
	{"application/json", "a.jsonl", B("{\"a\":1}\n"), WHOLE, NDJSON | FILETYPE_JSON,
		"application/x-ndjson"},
	{"application/json", "a.jsonl", B("{\n\"a\":1}\n"), WHOLE, JSON, "application/json"},
	{"text/plain", "a.jsonl", B("{\"a\":\"long"), B("\"}\n"), 5000, NDJSON, "application/x-ndjson"},
	{"application/x-ndjson", "a", B("{\"a\":\"long"), B("\"}\n"), 5000, NDJSON, "application/x-ndjson"},
	{NULL, "a", B("{\"a\":1}\n{\"a\":2}\n"), WHOLE, NDJSON, "application/x-ndjson"},
	/* XML */
	{"text/xml", "a.xml", B("<?xml version=\"1.0\"?><a/>"), WHOLE, XML, "text/xml"},
	{"application/xml", "a", B("<?xml version=\"1.0\"?><a/>"), WHOLE, XML, "text/xml"},
	{NULL, "a", B("<?xml version=\"1.0\"?><a"), B("/>"), 5000, XML, "text/xml"},
	{"text/plain", "a", B("<orders>\n<order/>\n"), B("</orders>\n"), 5000, XML, "text/xml"},
	{"text/plain", "a", B("<orders>\n<order/>\n"), B("</ord"), 5000, TEXT, "text/plain"},
	{"text/plain", "a.xml", B("<orders>\n<order/>\n"), B("</ord"), 5000, XML, "text/xml"},
	{NULL, "a.xml", B("<orders>\n"), B("</orders>\n"), 5000, 0, UNKNOWN},
	{"text/html", "a", B("<html><body>"), B("</html>\n"), 5000, TEXT, "text/html"},
	{"text/html", "a", B("<article>x</article>"), WHOLE, TEXT, "text/html"},
	{"text/plain", "a", B("<div>x</div>"), WHOLE, TEXT, "text/plain"},
	{"text/html", "a.xml", B("<table><row/></table>"), WHOLE, XML, "text/xml"},
	{"text/html", "a.html", B("<!DOCTYPE html><html/>"), WHOLE, TEXT, "text/html"},
	{"image/svg+xml", "a.svg", B("<svg/>"), WHOLE, XML, "image/svg+xml"},
	{"text/xml", "a", B("\xff\xfe<\0?\0x\0m\0l\0 \0"), WHOLE, XML, "text/xml"},
	{"application/vnd.ms-visio.drawing.main+xml", "a.vsdx", B("PK\x03\x04\x14\0"), B("x"), 5000, 0,
		"application/vnd.ms-visio.drawing.main+xml"},
	{"text/plain", "a", B("<a@b.c> wrote:\n>"), WHOLE, TEXT, "text/plain"},
	/* separated values */
	{"text/csv", "a.csv", B("id,name\n1,a\n2,b\n"), WHOLE, CSV, "text/csv"},
	{"text/csv", "a", B("id,name\n1,a\n2,b\n"), WHOLE, CSV, "text/csv"},
	{"application/csv", "a", B("id,name\n1,a\n2,b\n"), WHOLE, CSV, "text/csv"}, /* 5.39 */
	{"text/plain", "a.tsv", B("id\tname\n1\ta\n"), WHOLE, CSV, TSV_MIME},
	{"text/csv", "a.tsv", B("id\tname\n1\ta\n"), WHOLE, CSV, TSV_MIME},
	{"text/plain", "A.CSV", B("id;name\n1;\xfc\n2;b\n"), WHOLE, CSV, "text/csv"},
	{"text/plain", "a.csv", B("id\tname\n1\ta\n"), WHOLE, CSV, TSV_MIME},
	{"text/plain", "a.psv", B("id|name\n1|a\n"), WHOLE, CSV, "text/csv"},
	{"text/plain", "a.txt", B("id\tname\n1\ta\n"), WHOLE, TEXT,
		"text/plain"}, /* nothing says that it is a table */
	{"text/plain", "a.c", B("int a;\nint b;\n"), WHOLE, TEXT, "text/plain"},
	{"text/plain", "a.csv", B("id\n1\n2\n"), WHOLE, CSV, "text/csv"},
	{"text/plain", "a.csv", B("id,name\n"), WHOLE, CSV, "text/csv"},
	{"text/plain", "a.csv", B("# export\nid,name,x\n1,2,3\n4,5,6\n"), WHOLE, CSV, "text/csv"},
	{"text/plain", "a.csv", B("Dear all,\nplease, as agreed, see, here.\nBest\nX\n;\n"), WHOLE, TEXT,
		"text/plain"},
	{"text/plain", "a.csv", B("\n \n\n"), WHOLE, TEXT, "text/plain"},
	{"text/x-Algol68", "a.csv", B("a,b\n\"proc\",1\n"), WHOLE, CSV,
		"text/csv"}, /* libmagic is wrong now and then */
	{"message/news", "a.csv", B("From;To\na;b\n"), WHOLE, CSV, "text/csv"},
	{"text/x-shellscript", "a.csv", B("#!/bin/sh\necho\n"), WHOLE, TEXT, "text/x-shellscript"},
	{OCTETS, "a.csv", B("id,name\n1,a\n"), B("\0\0"), 5000, 0, OCTETS},
	{OCTETS, "a.csv", B("id,name\n1,a\n"), B("1,a\n"), 9000, 0, OCTETS}, /* libmagic saw more than we */
	{OCTETS, "a.csv", B("id,name\r\n1,a\r\n\x1a"), WHOLE, CSV,
		"text/csv"}, /* but for this, which DOS adds */
	{"image/png", "a.csv", B("\x89PNG\r\n\x1a\n\0\0"), B("x"), 5000, 0, "image/png"},
	{"image/png", "a.json", B("\x89PNG\r\n\x1a\n\0\0"), B("}"), 5000, 0, "image/png"},
	{"image/x-xpmi", "a.csv", B("a,b\n1,2\n"), WHOLE, 0, "image/x-xpmi"},
	{"application/pdf", "a.csv", B("%PDF-1.4\n1 0 obj\n"), WHOLE, 0, "application/pdf"},
	{NULL, "a.csv", B("id,name\n1,a\n"), WHOLE, CSV, "text/csv"},
	{NULL, "a.csv", B("id\n1\n"), WHOLE, 0, UNKNOWN},
	{NULL, "a.txt", B("id,name\n1,a\n"), WHOLE, 0, UNKNOWN},
	{"text/csv", "a.csv", B("\xff\xfei\0,\0n\0\n\0\x31\0,\0\x32\0"), WHOLE, CSV, "text/csv"},
	/* text */
	{"text/plain", "a.txt", B("hello\n"), WHOLE, TEXT, "text/plain"},
	{"text/x-shellscript", "a", B("#!/bin/sh\n"), WHOLE, TEXT, "text/x-shellscript"},
	{"application/javascript", "a.js", B("var a;\n"), WHOLE, TEXT, "application/javascript"},
	{"message/rfc822", "a.eml", B("From: a\n"), WHOLE, TEXT, "message/rfc822"},
	{"text/plain", "newlines", B("\n\n\n\n"), B("\n\n"), 65536, TEXT, "text/plain"},
	{NULL, "newlines", B("\n\n\n\n"), B("\n\n"), 65536, 0, UNKNOWN},
	{NULL, "a.txt", B("hello\n"), WHOLE, 0, UNKNOWN},
	/* anything else */
	{"image/jpeg", "a.jpg", B("\xff\xd8\xff\xe0"), B("x"), 5000, 0, "image/jpeg"},
	{OCTETS, "a", B("\0\0\0"), WHOLE, 0, OCTETS},
	{NULL, "a", B("\0\0\0"), WHOLE, 0, UNKNOWN},
	{OCTETS OCTETS, "a", B("\0\0\0"), WHOLE, 0, OCTETS}, /* a bug that libmagic had */
	{"cannot open `x' (No such file)", "a", B("\0\0\0"), WHOLE, 0, UNKNOWN},
	{"", "a", B("\0\0\0"), WHOLE, 0, UNKNOWN},
	{"text/", "a", B("\0\0\0"), WHOLE, 0, UNKNOWN},
	{"/plain", "a", B("\0\0\0"), WHOLE, 0, UNKNOWN},
	{"a/b/c", "a", B("\0\0\0"), WHOLE, 0, UNKNOWN},
	{"application/x-empty", "a", B("\0\0\0"), WHOLE, 0, UNKNOWN}, /* it did not see the bytes */
	{"application/x-empty", "a.csv", B("a,b\n1,2\n"), WHOLE, CSV, "text/csv"},
	{"text/plain", NULL, B("hello\n"), WHOLE, TEXT, "text/plain"},
	{"text/plain", ".csv", B("a\n1\n"), WHOLE, TEXT, "text/plain"}, /* a hidden file, not an extension */
	{"text/plain", "in.csv/a", B("a\n1\n"), WHOLE, TEXT, "text/plain"},
};

static struct filetype_voices voices_of(const struct row *r)
{
	size_t tail_len = r->head_len < FILETYPE_TAIL_BYTES ? r->head_len : FILETYPE_TAIL_BYTES;
	bool is_whole = r->size == 0;

	return (struct filetype_voices){
		.mime = r->said,
		.name = r->name,
		.head = (const uint8_t *)r->head,
		.head_len = r->head_len,
		.tail = is_whole ? (const uint8_t *)r->head + r->head_len - tail_len
				 : (const uint8_t *)r->tail,
		.tail_len = is_whole ? tail_len : r->tail_len,
		.size = is_whole ? (int64_t)r->head_len : r->size,
	};
}

static void test_decide(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct filetype_voices v = voices_of(&rows[i]);
		CLEANUP_BUF struct buf got = BUF_INIT(256), want = BUF_INIT(256);
		struct filetype t;

		filetype_decide(&v, &t);
		filetype_add_groups(&got, t.groups);
		filetype_add_groups(&want, rows[i].groups);
		if (t.known != (rows[i].mime != NULL) || t.groups != rows[i].groups ||
			strcmp(t.mime, rows[i].mime ? rows[i].mime : "") != 0)
			fail_msg("row %zu (%s, %s): %s %s [%s], not %s [%s]", i, rows[i].said, rows[i].name,
				t.known ? "known" : "unknown", t.mime, buf_str(&got), rows[i].mime,
				buf_str(&want));
	}
}

static void test_empty(void **state)
{
	static const char *const said[] = {NULL, "inode/x-empty", "application/x-empty", "text/plain"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		struct filetype_voices v = {.mime = said[i], .name = "a.csv", .size = 0};
		struct filetype t;

		filetype_decide(&v, &t);
		assert_true(t.known);
		assert_int_equal(t.groups, 0);
		assert_string_equal(t.mime, "application/x-empty");
	}
}

/* A file of which nothing could be read, and libmagic silent or not. */
static void test_no_bytes(void **state)
{
	struct filetype_voices v = {.mime = "text/plain", .name = "a.csv", .size = 100};
	struct filetype t;

	(void)state;
	filetype_decide(&v, &t);
	assert_true(t.known);
	assert_string_equal(t.mime, "text/plain");
	v.mime = NULL;
	filetype_decide(&v, &t);
	assert_false(t.known);
}

/* Whatever the bytes are, nothing outside them is read (under ASan), and the answer holds together. */
static void test_any_bytes(void **state)
{
	static const char *const said[] = {NULL, OCTETS, "text/plain", "application/json", "text/xml"};
	static const char *const names[] = {"a.csv", "a.json", "a.jsonl", "a.xml", "a"};
	uint32_t random = 1;
	int turns = patience_turns(20000);

	(void)state;
	for (int turn = 0; turn < turns; turn++) {
		const struct row *r = &rows[(size_t)turn % ARRAY_SIZE(rows)];
		size_t len = r->head_len;
		CLEANUP_FREE uint8_t *head = mem_array(len ? len : 1, 1); /* exactly as long as it is */
		struct filetype_voices v = {.head = head, .size = 5000};
		struct filetype t;

		memcpy(head, r->head, len);
		random = random * 1664525 + 1013904223;
		if (len > 0)
			head[(random >> 8) % len] = (uint8_t)(random >> 24);
		v.head_len = len ? (random >> 4) % (len + 1) : 0;
		head = mem_resize(head, v.head_len ? v.head_len : 1, 1);
		v.head = head;
		v.tail = head;
		v.tail_len = v.head_len;
		v.mime = said[turn % 5];
		v.name = names[turn / 5 % 5];
		filetype_decide(&v, &t);
		assert_int_equal(t.known, t.mime[0] != '\0');
		assert_true(t.known || t.groups == 0);
		CLEANUP_BUF struct buf b = BUF_INIT(4096);

		filetype_explain(&v, &b);
		assert_false(b.failed);
	}
}

static void test_notes(void **state)
{
	struct filetype_voices cut = {
		OCTETS, "a.parquet", (const uint8_t *)"PAR1\x15", 5, (const uint8_t *)"x", 1, 500};
	struct conf_watch w = {.types = LIST("@parquet")};
	char why[RULES_WHY_BYTES];
	struct filetype t;

	(void)state;
	filetype_decide(&cut, &t);
	assert_non_null(t.note);
	assert_int_equal(filetype_judge(&w, &t, why), RULES_TYPE);
	assert_string_equal(why,
		"application/octet-stream is none of types; it begins like its format but does not end so: "
		"cut or not finished");
}

/* ---- the verdict ---- */

static void test_judge(void **state)
{
	static const struct filetype csv = {
		.groups = CSV, .mime = TSV_MIME, .said = "text/plain", .known = true};
	static const struct filetype png = {
		.groups = 0, .mime = "image/png", .said = "image/png", .known = true};
	static const struct filetype unknown = {.known = false};
	static const struct {
		const struct filetype *t;
		const char *types, *exclude;
		enum rules_verdict want;
	} cases[] = {
		{&csv, NULL, NULL, RULES_ACCEPT},
		{&unknown, NULL, NULL, RULES_ACCEPT},
		{&csv, "@csv", NULL, RULES_ACCEPT},
		{&csv, "@CSV", NULL, RULES_ACCEPT},
		{&csv, "@text", NULL, RULES_ACCEPT},
		{&csv, "@json", NULL, RULES_TYPE},
		{&csv, "text/*", NULL, RULES_ACCEPT},
		{&csv, "*/*", NULL, RULES_ACCEPT},
		{&csv, "Text/Tab-Separated-Values", NULL, RULES_ACCEPT},
		{&csv, "text/plain", NULL, RULES_ACCEPT}, /* libmagic's own word */
		{&csv, "text/csv", NULL, RULES_TYPE},
		{&csv, "text/tsv", NULL, RULES_ACCEPT}, /* another spelling */
		{&csv, "text/tab", NULL, RULES_TYPE},
		{&csv, "text/*values", NULL, RULES_ACCEPT},
		{&csv, "*/*-*-values", NULL, RULES_ACCEPT},
		{&csv, "text/*x", NULL, RULES_TYPE},
		{&csv, NULL, "@csv", RULES_TYPE_EXCLUDED},
		{&csv, "@csv", "text/plain", RULES_TYPE_EXCLUDED},
		{&csv, "@text", "@json", RULES_ACCEPT},
		{&png, "@csv", NULL, RULES_TYPE},
		{&png, NULL, "@csv", RULES_ACCEPT},
		{&png, NULL, "image/*", RULES_TYPE_EXCLUDED},
		{&unknown, "@csv", NULL, RULES_TYPE_UNKNOWN},
		{&unknown, NULL, "@csv", RULES_TYPE_UNKNOWN},
		{&unknown, "*/*", NULL, RULES_TYPE_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *types[] = {(char *)cases[i].types};
		char *exclude[] = {(char *)"application/none", (char *)cases[i].exclude};
		struct conf_watch w = {
			.types = {types, cases[i].types ? 1 : 0},
			.exclude_types = {exclude, cases[i].exclude ? 2 : 0},
		};
		char why[RULES_WHY_BYTES] = "nothing";
		enum rules_verdict got;

		got = filetype_judge(&w, cases[i].t, why);
		if (got != cases[i].want)
			fail_msg("case %zu: %s (%s)", i, rules_verdict_word(got), why);
		assert_int_equal(why[0] == '\0', got == RULES_ACCEPT);
		assert_int_equal(filetype_judge(&w, cases[i].t, NULL), got);
	}
}

static void test_check_pattern(void **state)
{
	static const char *const good[] = {"@csv", "@NDJSON", "@zip", "text/csv", "text/*", "*/*", "*/xml",
		"image/svg+xml", "application/vnd.ms-excel", "application/*zip*", "x-world/x-3d",
		"chemical/x-pdb", "TEXT/plain", "biosig/abf2"};
	static const struct {
		const char *pattern, *in_message;
	} bad[] = {
		{"@cvs", "did you mean @csv?"},
		{"@parket", "did you mean @parquet?"},
		{"@", "unknown type group"},
		{"@nothing-like-it", "unknown type group"},
		{"csv", "@csv"},
		{"", "is no type"},
		{"text/", "is no MIME type"},
		{"/csv", "is no MIME type"},
		{"text/a/b", "is no MIME type"},
		{"text/csv; charset=utf-8", "is no MIME type"},
		{"text/c?v", "is no MIME type"},
		{"text/\xc3\xbc", "is no MIME type"},
		{"txt/plain", "did you mean text/plain?"},
		{"aplication/json", "did you mean application/json?"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err err = ERR_INIT;

		if (filetype_check_pattern(good[i], &err) != 0)
			fail_msg("%s: %s", good[i], err.text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;

		if (filetype_check_pattern(bad[i].pattern, &err) != -EINVAL)
			fail_msg("%s passes", bad[i].pattern);
		if (!strstr(err.text, bad[i].in_message))
			fail_msg("%s: %s", bad[i].pattern, err.text);
	}
}

static void test_is_needed(void **state)
{
	struct conf_pair plain = {(char *)"a", (char *)"${uri}"}, typed = {(char *)"a", (char *)"x${type}"};
	struct conf_watch w = {.param = {&plain, 1}, .arg = LIST("${path}", "$${type}")};

	(void)state;
	assert_false(filetype_is_needed(&w));
	w.types = LIST("@csv");
	assert_true(filetype_is_needed(&w));
	w.types.n = 0;
	w.exclude_types = LIST("@csv");
	assert_true(filetype_is_needed(&w));
	w.exclude_types.n = 0;
	w.param.items = &typed;
	assert_true(filetype_is_needed(&w));
	w.param.n = 0;
	assert_false(filetype_is_needed(&w));
	w.arg = LIST("${type}");
	assert_true(filetype_is_needed(&w));
}

static void test_groups(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT(256);

	(void)state;
	filetype_add_groups(&b, 0);
	assert_string_equal(buf_str(&b), "");
	filetype_add_groups(&b, FILETYPE_CSV | FILETYPE_TEXT);
	assert_string_equal(buf_str(&b), "@csv @text");
	buf_reset(&b);
	filetype_add_groups(&b, ~0u);
	assert_string_equal(
		buf_str(&b), "@csv @json @ndjson @xml @text @parquet @avro @orc @arrow @gzip @zstd @zip");
}

/* ---- explain ---- */

static void test_explain(void **state)
{
	static const struct {
		struct row row;
		const char *text;
	} cases[] = {
		{{"text/plain", "a.tsv", B("a\tb\n1\t2\n"), WHOLE, 0, NULL},
			"libmagic: text/plain\nfirst bytes: text, separated by tabs: 2 records, all of 2 "
			"fields\n"
			"last bytes: say nothing\nextension: .tsv, separated values\n"},
		{{OCTETS, "a.parquet", B("PAR1\x15"), B("PAR1"), 500, 0, NULL},
			"libmagic: application/octet-stream\nfirst bytes: Parquet\nlast bytes: the end of "
			"Parquet\n"
			"extension: .parquet, has no say\n"},
		{{NULL, "a", B("PAR1\x15"), B("x"), 500, 0, NULL},
			"libmagic: no answer\nfirst bytes: Parquet\nlast bytes: not the end of Parquet: cut "
			"or not finished\n"
			"extension: none\n"},
		{{"text/plain", "x/a\n.json", B("[1,"), B("2]"), 500, 0, NULL},
			"libmagic: text/plain\nfirst bytes: JSON as far as they go\nlast bytes: close what "
			"the first bytes open\n"
			"extension: .json, JSON\n"},
		{{"text/plain", "a.j\nx", B("[1,"), B("2"), 500, 0, NULL},
			"libmagic: text/plain\nfirst bytes: JSON as far as they go\n"
			"last bytes: do not close what the first bytes open\nextension: .j\\nx, has no "
			"say\n"},
		{{"application/zip", "a.zip", B("PK\x03\x04\0"), B("x"), 500, 0, NULL},
			"libmagic: application/zip\nfirst bytes: zip\nlast bytes: say nothing\nextension: "
			".zip, has no say\n"},
		{{"image/png", "a.png", B("\x89PNG\0"), B("x"), 500, 0, NULL},
			"libmagic: image/png\nfirst bytes: not text, no known signature\nlast bytes: say "
			"nothing\n"
			"extension: .png, has no say\n"},
		{{"text/xml", "a.xml", B("<?xml version='1.0'?>"), WHOLE, 0, NULL},
			"libmagic: text/xml\nfirst bytes: XML (declared)\nlast bytes: say "
			"nothing\nextension: .xml, XML\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct filetype_voices v = voices_of(&cases[i].row);
		CLEANUP_BUF struct buf b = BUF_INIT(4096);

		filetype_explain(&v, &b);
		assert_string_equal(buf_str(&b), cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decide),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_no_bytes),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_check_pattern),
		cmocka_unit_test(test_is_needed),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
