/*
 * conf_notify: what cannot be right in a [notify:NAME], told when the configuration is read; and what of its
 * addresses may be shown. A part of conf_check(). Pure.
 *
 * The address of a webhook is often all that somebody needs to post there, header lines hold tokens, and a
 * body may hold a key. So none of them is ever shown: of an address its host, of a header line its name.
 */
#ifndef CORE_CONF_NOTIFY_H
#define CORE_CONF_NOTIFY_H

#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"

#define CONF_NOTIFY_HEADERS_MAX 8  /* lines of webhook_header */
#define CONF_NOTIFY_URL_BYTES 4096 /* longest webhook */

/* key: of the entry that is at fault; NULL: something is missing. */
typedef void (*conf_notify_tell_fn)(bool warning, const char *key, const char *text, void *arg);

/* Calls tell for each mistake and warning. c: for the names of watches. */
void conf_notify_check(
	const struct conf *c, const struct conf_notify *n, conf_notify_tell_fn tell, void *arg);
/* Is that where a webhook can be: https://HOST[:PORT]/…, http:// on this machine only? -EINVAL with a
 * sentence that holds nothing of what comes behind the host. */
int conf_notify_check_url(const char *url, struct err *err) MUST_CHECK;
/* Does `webhook` name a file that holds the address (a path, or credential:NAME)? */
bool conf_notify_is_file(const char *webhook);
/* Of an address the host and port, for people: adds it. Of a file its name. */
void conf_notify_add_place(const char *webhook, struct buf *b);
/* How many are delivered by themselves, unless the key says so. */
struct conf_rate conf_notify_default_digest(const struct conf_notify *n);
/* How long one delivery may take, unless the key says so. */
int64_t conf_notify_default_timeout_us(const struct conf_notify *n);

#endif
