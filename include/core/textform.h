/*
 * textform: what the first bytes of a text look like: JSON, lines of JSON, XML, separated values. Pure.
 *
 * It sees the head of a file only (and its last character), so it says "looks like", never "is valid";
 * core/filetype weighs that against the other voices.
 */
#ifndef CORE_TEXTFORM_H
#define CORE_TEXTFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXTFORM_BYTES 4096 /* of the head that are looked at */

/* The head as characters: without byte order mark, UTF-16 brought to one byte each (anything but ASCII is
 * 0xBF). */
struct textform {
	char text[TEXTFORM_BYTES];
	size_t len;
	bool is_text; /* no byte in head and tail that text does not have; false for nothing at all */
	bool is_cut;  /* the file goes on behind */
	bool ends_with_ctrl_z; /* as DOS programs end a text; not part of it */
	char last;	       /* the file's last character but white space; 0 unknown */
};

/* tail: the last bytes of the file; size: of the whole file. */
void textform_init(struct textform *t, const uint8_t *head, size_t head_len, const uint8_t *tail,
	size_t tail_len, int64_t size);

enum textform_json {
	TEXTFORM_JSON_NO = 0,
	TEXTFORM_JSON_LIKE,  /* begins with { or [, but is not JSON */
	TEXTFORM_JSON_BEGUN, /* JSON (an object or array) as far as the head goes */
	TEXTFORM_JSON_WHOLE, /* one object or array and nothing else */
	TEXTFORM_JSON_LINES, /* several, each on a line of its own */
};
/* *ret_one_line: no line feed inside the first value as far as it can be seen. Grammar: RFC 8259; at most 512
 * levels. */
enum textform_json textform_json(const struct textform *t, bool *ret_one_line);
/* Does the file close what it opens with: } for {, ] for [? */
bool textform_json_closes(const struct textform *t);

enum textform_xml {
	TEXTFORM_XML_NO = 0,
	TEXTFORM_XML_ELEMENT,  /* the first thing is an element; it could be one of HTML's */
	TEXTFORM_XML_ROOT,     /* the first thing is an element that HTML does not have */
	TEXTFORM_XML_DECLARED, /* <?xml */
};
enum textform_xml textform_xml(const struct textform *t);

struct textform_columns {
	char separator; /* ',' ';' TAB '|', the one that explains most; 0 when none occurs */
	size_t records; /* complete ones in the head, blank lines left out */
	size_t fields;	/* of most records */
	bool is_even;	/* two or more records, all with that many fields, and that is two or more */
	bool is_mostly; /* at least half of the records have it, and it is two or more */
};
/* RFC 4180's quotes are understood. */
void textform_columns(const struct textform *t, struct textform_columns *ret);

#endif
