/*
 * template: ${…} in parameters, arguments, markers. Pure. Names: path uri relpath name stem ext dir dir_uri
 * element:N size mtime mtime_ms type watch host job_id token now, and $$ for a dollar sign.
 *
 * Values are put in as they are, bytes and all; nothing is quoted, nothing expanded twice.
 */
#ifndef CORE_TEMPLATE_H
#define CORE_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

struct template_facts {	  /* all borrowed; a NULL text counts as "" */
	const char *path; /* absolute local */
	const char *uri;  /* after path_map */
	const char *relpath;
	const char *dir_uri; /* path_map of the directory of path */
	int64_t size, mtime_ns;
	const char *type; /* MIME, "" unknown */
	const char *watch;
	const char *host; /* workspace host without scheme */
	int64_t job_id;
	const char *token; /* "" while the token itself is being made */
	int64_t now_us;	   /* wall clock */
};

/* Unknown names (with the nearest known), "${" without "}", a lone "$", element:0: -EINVAL with the column
 * (bytes, from 1). */
int template_check(const char *text, struct err *err) MUST_CHECK;
/* Expands into b (b's ceiling is the limit: -ENOBUFS). text was checked before; a faulty one is -EINVAL all
 * the same, with what was already added left in b. name, stem, ext, dir are of path. stem/ext: ext without
 * the dot, "" when there is none ("archive.tar.gz" -> stem "archive.tar", ext "gz"; ".profile" -> stem
 * ".profile"; "a." -> stem "a."). dir of
 * "/x" is "/". element:1 is the first element of the path, -1 the last; outside: "". mtime: RFC 3339 UTC,
 * nine digits; mtime_ms: floored; now: RFC 3339 UTC, six digits. */
int template_expand(
	const char *text, const struct template_facts *f, struct buf *b, struct err *err) MUST_CHECK;
/* The same, and says in *ret_braces (may be NULL) whether "{{" came about with help of an expanded value:
 * inside one, across two, or across one and the template's own text. A "{{" that the template itself spells
 * does not count. */
int template_expand_braces(const char *text, const struct template_facts *f, struct buf *b, bool *ret_braces,
	struct err *err) MUST_CHECK;
/* Does it use ${name}? ("element" for any element:N) */
bool template_uses(const char *text, const char *name);

/* The template in pieces, for who wants to know its form and not its value (markers). */
struct template_piece {
	const char *text; /* borrowed: literal bytes, or the name between the braces */
	size_t len;
	bool is_name;
};
/* Takes the next piece from *at and moves it on. 1: a piece ("$$" is the literal "$"), 0: end, -EINVAL:
 * malformed. The name is not looked up. */
int template_next(const char **at, struct template_piece *ret) MUST_CHECK;

#endif
