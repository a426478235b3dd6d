/*
 * filetype: from several voices (libmagic's MIME type, leading and trailing bytes, the extension) to type
 * groups, and the verdict of `types` / `exclude_types`. Pure. libmagic is one voice, not the judge: cut JSON
 * is text/plain to it, Parquet is application/octet-stream. An extension alone never turns binary bytes into
 * a type. For people: doc/types.md.
 */
#ifndef CORE_FILETYPE_H
#define CORE_FILETYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "core/rules.h"

#define FILETYPE_HEAD_BYTES 4096 /* leading bytes handed in */
#define FILETYPE_TAIL_BYTES 64	 /* trailing bytes handed in */
#define FILETYPE_MIME_BYTES 128

/* Groups as bits. */
#define FILETYPE_CSV (1u << 0)
#define FILETYPE_JSON (1u << 1)
#define FILETYPE_NDJSON (1u << 2)
#define FILETYPE_XML (1u << 3)
#define FILETYPE_TEXT (1u << 4)
#define FILETYPE_PARQUET (1u << 5)
#define FILETYPE_AVRO (1u << 6)
#define FILETYPE_ORC (1u << 7)
#define FILETYPE_ARROW (1u << 8)
#define FILETYPE_GZIP (1u << 9)
#define FILETYPE_ZSTD (1u << 10)
#define FILETYPE_ZIP (1u << 11)

struct filetype_voices {     /* all borrowed */
	const char *mime;    /* libmagic's, NULL when it could not tell (deadline, crash) */
	const char *name;    /* file name */
	const uint8_t *head; /* the first min(size, FILETYPE_HEAD_BYTES) bytes; NULL with head_len 0 */
	size_t head_len;
	const uint8_t *tail; /* the last min(size, FILETYPE_TAIL_BYTES) bytes; NULL with tail_len 0 */
	size_t tail_len;
	int64_t size;
};

struct filetype {
	unsigned groups;		/* FILETYPE_… bits; 0 none */
	char mime[FILETYPE_MIME_BYTES]; /* the best MIME type: a refined one for Parquet, ORC, Avro, TSV, …;
					   "" unknown */
	char said[FILETYPE_MIME_BYTES]; /* libmagic's own, cleaned; "" when it gave no answer */
	bool known;	  /* false: libmagic gave no answer and the bytes do not decide either */
	const char *note; /* constant sentence about something odd ("begins like Parquet …"), or NULL */
};

void filetype_decide(const struct filetype_voices *v, struct filetype *ret);
/* Each voice and what it says, as lines "libmagic: …", "first bytes: …", "last bytes: …", "extension: …", for
 * `explain`. */
void filetype_explain(const struct filetype_voices *v, struct buf *b);
/* "@csv @text" of a groups value into b. */
void filetype_add_groups(struct buf *b, unsigned groups);
/* RULES_ACCEPT, RULES_TYPE, RULES_TYPE_EXCLUDED or RULES_TYPE_UNKNOWN (only when types/exclude_types are
 * given and !known). A pattern matches a group, the decided MIME type or libmagic's own, in any case of
 * letters; exclude_types is asked first. why may be NULL. */
enum rules_verdict filetype_judge(
	const struct conf_watch *w, const struct filetype *t, char why[RULES_WHY_BYTES]);
/* Is "text/csv", "text/\*" or "@csv" well formed and known (the backslash is not part of it)? Nearest known
 * group in the message. -EINVAL. */
int filetype_check_pattern(const char *pattern, struct err *err) MUST_CHECK;
/* Must the file be opened and typed for this watch (types, exclude_types, ${type} in a template)? */
bool filetype_is_needed(const struct conf_watch *w);

#endif
