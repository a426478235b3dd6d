/*
 * json: reading with cJSON, writing on a buf.
 *
 * cJSON must never see a number: it loses digits of 64-bit ids (its printer and parser go through double). So
 * before parsing every number outside strings is turned into a string of its own text, and the getters take
 * either. Writing is ours: a dozen lines, exact integers, invalid UTF-8 repaired to U+FFFD.
 *
 * Reading is strict: the whole text must be one JSON value (RFC 8259), depth <= 64, no trailing bytes, no NUL
 * (nor \u0000), valid UTF-8, no halves of surrogate pairs. Memory is about fifty times the text at worst: the
 * caller bounds the text. Of keys that come twice the first counts.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

struct json; /* a parsed value (owned) or a borrowed member of one */

struct json *json_parse(const char *text, size_t len, struct err *err); /* NULL with *err (-EBADMSG) */
void json_free(struct json *root); /* takes NULL; only for what json_parse returned */
#define CLEANUP_JSON __attribute__((cleanup(json_free_cleanup)))
static inline void json_free_cleanup(struct json **j)
{
	json_free(*j);
}

bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);
/* All may be asked of NULL: false. */
bool json_is_string(const struct json *j); /* a real string, not a number */
bool json_is_number(const struct json *j);
bool json_is_true(const struct json *j);
bool json_is_false(const struct json *j);
bool json_is_null(const struct json *j);
/* Case-sensitive; NULL when absent, obj NULL or no object. */
const struct json *json_get(const struct json *obj, const char *key);
size_t json_count(const struct json *array_or_object);
const struct json *json_at(const struct json *array_or_object, size_t i); /* O(i); NULL outside */
const struct json *json_first(const struct json *array_or_object);	  /* iterate with json_next */
const struct json *json_next(const struct json *item);
const char *json_key(const struct json *item); /* of an object member; borrowed or NULL */
/* Text of a string or of a number as it was written; NULL for anything else. Borrowed. */
const char *json_text(const struct json *j);
const char *json_get_text(const struct json *obj, const char *key);
/* Integer from a number or numeric string, all 64 bits exact. -ENOENT absent, -EINVAL other type (null too)
 * or not written as an integer (1.0, 1e3), -ERANGE. */
int json_get_i64(const struct json *obj, const char *key, int64_t *ret) MUST_CHECK;

/* ---- writing: appends to b; commas are put by the writer. Errors stick in b. ---- */
struct json_writer {
	struct buf *b;
	bool comma; /* the next value needs one in front */
};

#define JSON_WRITER(buffer) ((struct json_writer){.b = (buffer)})

void json_begin_object(struct json_writer *w, const char *key); /* key NULL inside arrays and at the top */
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w, const char *key);
void json_end_array(struct json_writer *w);
void json_add_string(struct json_writer *w, const char *key, const char *s); /* NULL s: null */
void json_add_bytes(struct json_writer *w, const char *key, const char *s, size_t len);
void json_add_i64(struct json_writer *w, const char *key, int64_t v);
void json_add_bool(struct json_writer *w, const char *key, bool v);
void json_add_null(struct json_writer *w, const char *key);
/* json is one JSON value, checked by the caller. */
void json_add_raw(struct json_writer *w, const char *key, const char *json, size_t len);
/* Escapes as RFC 8259 asks (", \, C0 as \n \t … or \u00XX, DEL as it is), raw UTF-8 otherwise, bad bytes
 * U+FFFD; with quotes. */
int json_add_quoted(struct buf *b, const char *s, size_t len);

#endif
