/*
 * conf_value: one value of the configuration: from text into its field and back, as its row of the schema
 * says.
 *
 * A raw text is what stands behind `=` in a file: blanks cut at both ends, lines ended by `\` joined, double
 * quotes still around it. Values are single texts without quotes. Pure. What is put into a field is owned by
 * the field.
 */
#ifndef CORE_CONF_VALUE_H
#define CORE_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "core/conf_schema.h"

#define CONF_LIST_MAX 1000    /* values of one key, parameters of one watch */
#define CONF_PATH_BYTES 4095  /* longest path, PATH_MAX without its NUL */
#define CONF_TEXT_BYTES 65536 /* a ceiling for one value written out */

/* Puts "key: " in front, unless the sentence begins with the key by itself. */
void conf_err_name_key(struct err *err, const char *key);

void conf_list_add(struct conf_list *l, const char *text, size_t len);
void conf_list_done(struct conf_list *l);

/* Takes quotes off and commas apart: adds the values to ret (empty before; to be freed by the caller, filled
 * only on success). -EINVAL. */
int conf_value_split(
	const struct conf_key *k, const char *raw, struct conf_list *ret, struct err *err) MUST_CHECK;
/*
 * Reads raw into the field of object (struct conf_watch, … by the kind of k); values are added to those of a
 * key that takes several. key: the name as written ("param.path"). Errors (-EINVAL) are sentences without the
 * key's name; object is as before.
 */
int conf_value_set(
	const struct conf_key *k, const char *key, const char *raw, void *object, struct err *err) MUST_CHECK;
/* Sets the default of the row, if it has one. */
void conf_value_set_default(const struct conf_key *k, void *object);
/* Adds the field in the shortest spelling that can be read back, without quotes. false: not set, nothing
 * added. Not for CONF_MULTI and params. */
bool conf_value_format(const struct conf_key *k, const void *object, struct buf *b);
/* Adds one value (of conf_value_split, known to be good) as the field holds it. */
void conf_value_add_canonical(const struct conf_key *k, const char *value, struct buf *b);
/* Adds what may be shown of one value (in the form of the two above): all of it, unless the key is
 * CONF_HIDDEN. false: it is not all, and cannot be read back. */
bool conf_value_add_shown(const struct conf_key *k, const char *value, struct buf *b);
/* Frees what the field owns. */
void conf_value_done(const struct conf_key *k, void *object);

#endif
