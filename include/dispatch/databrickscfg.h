/*
 * databrickscfg: one profile out of the text of a .databrickscfg file, as the Databricks tools write them.
 * Pure; nothing of a value ever comes into a message, only its line.
 *
 * Sections and `key = value` or `key: value`; lines that begin with # or ; are comments, and so is what
 * stands behind a blank and # or ; in a value without quotes; quotes around a whole value are taken off. Keys
 * in any case, unknown ones are left alone. DEFAULT is a profile like any other; nothing is inherited from
 * it, and nothing is replaced in values. What the tools for Go and Python would read differently (a key or
 * profile twice, a value that goes on in the next line) is refused. Source: the Databricks SDKs for Go and
 * Python.
 */
#ifndef DISPATCH_DATABRICKSCFG_H
#define DISPATCH_DATABRICKSCFG_H

#include <stddef.h>
#include "base/err.h"

enum databrickscfg_key {
	DATABRICKSCFG_HOST,
	DATABRICKSCFG_AUTH_TYPE,
	DATABRICKSCFG_TOKEN,
	DATABRICKSCFG_CLIENT_ID,
	DATABRICKSCFG_CLIENT_SECRET,
	DATABRICKSCFG_USERNAME,
	DATABRICKSCFG_PASSWORD,
	DATABRICKSCFG_AZURE_TENANT_ID,
	DATABRICKSCFG_AZURE_CLIENT_ID,
	DATABRICKSCFG_AZURE_CLIENT_SECRET,
	DATABRICKSCFG_AZURE_USE_MSI,
};
#define DATABRICKSCFG_KEYS 11

struct databrickscfg_value { /* borrowed from the text */
	const char *s;	     /* NULL: not given, or empty */
	size_t len;
	int line;
};

struct databrickscfg {
	struct databrickscfg_value values[DATABRICKSCFG_KEYS];
};

/* The values of [profile]. 0, or -errno with *err (class ERR_CONF): no such profile, or a line that cannot be
 * read in it. */
int databrickscfg_read(const char *text, size_t len, const char *profile, struct databrickscfg *ret,
	struct err *err) MUST_CHECK;
/* Which kind of credential (enum conf_auth) the values are, by auth_type or by what is there, and that all of
 * it is there. -EINVAL with *err: none, several, or one that needs a person. */
int databrickscfg_kind(const struct databrickscfg *p, int *ret_kind, struct err *err) MUST_CHECK;
const char *databrickscfg_key_name(enum databrickscfg_key key);

#endif
