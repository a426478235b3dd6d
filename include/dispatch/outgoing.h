/*
 * outgoing: what may be sent, and where to: the rules for URLs and header lines, before libcurl sees them.
 */
#ifndef DISPATCH_OUTGOING_H
#define DISPATCH_OUTGOING_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "dispatch/http.h"

/* https:// to anywhere; http:// to this machine and to Azure's metadata service only; header lines without
 * control characters. 0 or -EINVAL with *err, which holds nothing of the request. */
int outgoing_check(const struct http_request *q, struct err *err) MUST_CHECK;
/* NAME[:PORT] of a URL that was found good: borrowed, *ret_len bytes. */
const char *outgoing_authority(const char *url, size_t *ret_len);
bool outgoing_is_encrypted(const char *url);
/* Is its host this machine, by an address or name that stands for nothing else? */
bool outgoing_is_here(const char *url);

#endif
