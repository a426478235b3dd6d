/*
 * conf_schema: the one table that says which configuration keys there are.
 *
 * The parser, `brickwatch config`, the sample file, the manual page and the completion all follow it; tests
 * compare them with it. It holds texts and places only: reading and writing a value is core/conf_value,
 * contradictions between values are core/conf_check. Nothing here is owned by anybody; all is constant.
 */
#ifndef CORE_CONF_SCHEMA_H
#define CORE_CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "core/conf.h"

enum conf_kind {
	CONF_KIND_SERVICE = 0,
	CONF_KIND_EVENTS,
	CONF_KIND_WORKSPACE,
	CONF_KIND_WATCH,
	CONF_KIND_NOTIFY,
};
#define CONF_KINDS 5

/* How a value is written, and what the field in the section's struct is. With CONF_MULTI the field is a
 * struct conf_list of such values, but for the types that say otherwise. */
enum conf_type {
	CONF_TYPE_TEXT = 0, /* UTF-8; char * */
	CONF_TYPE_PATH,	    /* absolute, any bytes; char *, normalised */
	CONF_TYPE_SECRET,   /* PATH or credential:NAME; char * */
	CONF_TYPE_HOST,	    /* struct conf_workspace: host and host_token */
	CONF_TYPE_ORIGIN,   /* another server's address, written as a host; char *, canonical */
	CONF_TYPE_PROXY,    /* as conf_host_parse_proxy() takes them; char * */
	CONF_TYPE_NOPROXY,  /* as noproxy_check() takes them */
	CONF_TYPE_NAME,	    /* of a workspace or watch; char * */
	CONF_TYPE_CHOICE,   /* one of words; char * */
	CONF_TYPE_WORD,	    /* one of words; int, its index */
	CONF_TYPE_FLAG,	    /* some of words; unsigned, bit 0 for the first */
	CONF_TYPE_BOOL,	    /* bool */
	CONF_TYPE_COUNT,    /* int64_t */
	CONF_TYPE_ID,	    /* int64_t, 1 to 2^63-1 */
	CONF_TYPE_BYTES,    /* int64_t */
	CONF_TYPE_DURATION, /* int64_t microseconds */
	CONF_TYPE_RATE,	    /* struct conf_rate */
	CONF_TYPE_SETTLE,   /* struct conf_watch: settle_given, settle_closed_us, settle_quiet_us */
	CONF_TYPE_PATTERN,  /* as core/glob has them, any bytes */
	CONF_TYPE_MIME,	    /* as filetype_check_pattern() takes them */
	CONF_TYPE_TEMPLATE, /* as core/template has them, may be empty in quotes */
	CONF_TYPE_PARAM,    /* param.KEY = template; struct conf_pairs */
	CONF_TYPE_MAP, /* LOCAL => REMOTE or none; struct conf_watch: path_map, path_map_n, path_map_none */
};

#define CONF_MULTI 1u  /* takes several values: repeated, or on indented lines */
#define CONF_COMMA 2u  /* a comma separates values too */
#define CONF_OFF 4u    /* may be `off`, stored as 0 */
#define CONF_HIDDEN 8u /* may be secret: nothing shows more of it than conf_value_add_shown() does */

struct conf_key {
	enum conf_kind kind;
	const char *name; /* "settle"; "param.*" stands for every param.KEY */
	enum conf_type type;
	size_t offset;		  /* of the field in struct conf_watch, struct conf_workspace, … */
	const char *def;	  /* the default as one would write it; NULL: there is none */
	const char *min, *max;	  /* bounds as one would write them; NULL: none */
	unsigned flags;		  /* CONF_MULTI … */
	const char *const *words; /* ends with NULL; "" stands for a value that cannot be written */
	const char *note;	  /* said where there is no default */
	const char *help;	  /* one line */
};

/* All keys, by section in the order of the manual. */
const struct conf_key *conf_schema_keys(size_t *ret_n);
/* The key, "param.path" too; NULL when unknown in this kind of section. */
const struct conf_key *conf_schema_find(enum conf_kind kind, const char *key);
/* Its place in conf_schema_keys(). */
size_t conf_schema_index(const struct conf_key *k);
/* "service", "events", "workspace", "watch", "notify". */
const char *conf_schema_kind_name(enum conf_kind kind);
/* Sections of this kind as a user writes them: "[watch:NAME]". */
const char *conf_schema_kind_shape(enum conf_kind kind);
/* Takes the text between the brackets apart. *ret_name (borrowed, "" without one). -EINVAL with the nearest
 * known. */
int conf_schema_parse_section(
	const char *section, enum conf_kind *ret_kind, const char **ret_name, struct err *err) MUST_CHECK;
/* The key that was meant by an unknown one, as far as its spelling tells, or NULL. */
const struct conf_key *conf_schema_meant(enum conf_kind kind, const char *key);
/* Says that there is no such key in such a section: the nearest one, or where it belongs. Returns -ENOENT. */
int conf_schema_unknown_key(enum conf_kind kind, const char *key, struct err *err);
/* [A-Za-z0-9._-], not starting with . or -, shorter than CONF_NAME_BYTES. */
bool conf_schema_is_name(const char *name);

#endif
