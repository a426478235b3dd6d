/*
 * rules: which names are looked at, and which files are turned away by name class or size. Pure: no file is
 * touched. Types are decided in core/filetype. For people: doc/names.md.
 *
 * Order of judging a name: sentinel, marker, hidden, ignore, exclude, include. A name that stands literally
 * in `include` beats `ignore`, nothing else. What holds for a directory holds for all that is in it, so each
 * directory of a path is judged too.
 */
#ifndef CORE_RULES_H
#define CORE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"

/* Why a name is not looked at, or is. */
enum rules_name {
	RULES_LOOK = 0,	    /* a candidate */
	RULES_HIDDEN,	    /* a leading dot (of the name or a directory) and `hidden = no` */
	RULES_IGNORED,	    /* on the shipped list or `ignore` */
	RULES_EXCLUDED,	    /* matches `exclude` */
	RULES_NOT_INCLUDED, /* `include` is given and nothing of it matches, or it is deeper than `recursive =
			       no` goes */
	RULES_MARKER,	    /* it is a marker (complete = marker), never data */
	RULES_SENTINEL,	    /* the watch's sentinel, never data */
};

#define RULES_WHY_BYTES 160

/* The shipped list of temporary names, patterns as in glob; ends with NULL. Unlike a user's pattern, one
 * without a trailing '/' is only about files, never about directories: a folder `2024.part` is data. Two are
 * narrower than they read, see doc/names.md. */
const char *const *rules_shipped_ignore(void);
/* The number of that list, for brickwatch.ini(5) and explain; grows with every change. */
int rules_shipped_ignore_version(void);
/* Is this value of `ignore` good: a pattern, or `!PATTERN` with PATTERN on the shipped list (the nearest is
 * in the message)? -EINVAL with a sentence. */
int rules_check_ignore(const char *value, struct err *err) MUST_CHECK;

/* Judges a file by its relative path (every directory of it too). why (may be NULL): the pattern or reason in
 * words, "" for RULES_LOOK. */
enum rules_name rules_judge_name(const struct conf_watch *w, const char *relpath, char why[RULES_WHY_BYTES]);
/* Should the directory relpath ("" = the root: always) be entered? Its parents are judged too. Also false
 * where nothing below could match `include`. A directory made for markers (`.done/${name}`) is entered
 * whatever the other rules say of it; what is in it is judged like any file. */
bool rules_enter_directory(const struct conf_watch *w, const char *relpath, char why[RULES_WHY_BYTES]);
/* What the files are called (NAME and this) that downloaders keep beside a final name which they are still
 * writing: ".aria2", …; ends with NULL. */
const char *const *rules_companion_suffixes(void);
/* Does it end in one of them? */
bool rules_is_companion(const char *name);

/* What turns a file away although its name is looked at. */
enum rules_verdict {
	RULES_ACCEPT = 0,
	RULES_TOO_SMALL,    /* rule "min_size" */
	RULES_TOO_LARGE,    /* rule "max_size" */
	RULES_REJECT_GLOBS, /* rule "reject_names" */
	RULES_REJECT_CONTROL,
	RULES_NOT_UTF8,	     /* dead letter "name_not_utf8": cannot be sent */
	RULES_BRACES,	     /* dead letter "name_has_braces": `{{` would be expanded by Databricks */
	RULES_TYPE,	     /* rule "types" */
	RULES_TYPE_EXCLUDED, /* rule "exclude_types" */
	RULES_TYPE_UNKNOWN,  /* dead letter "type_unknown" */
};

/* Name classes and size, in the order min_size, max_size, UTF-8, `{{`, reject_names: a name that cannot be
 * sent is a dead letter even where reject_names would turn it away too. why (may be NULL): in words, with the
 * numbers. */
enum rules_verdict rules_judge_file(
	const struct conf_watch *w, const char *relpath, int64_t size, char why[RULES_WHY_BYTES]);
/* The configuration key or reason word above ("min_size", "name_has_braces", …); "accept" for RULES_ACCEPT.
 */
const char *rules_verdict_word(enum rules_verdict v);
/* true for those that become a dead letter (start.failed) instead of file.rejected. */
bool rules_verdict_is_dead_letter(enum rules_verdict v);
/* Hash of everything that decides (name classes, sizes, types, type_bytes, libmagic_version text): 16 hex
 * digits and NUL. */
void rules_hash(const struct conf_watch *w, const char *libmagic_version, char out[17]);

#endif
