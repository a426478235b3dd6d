/*
 * noproxy: which hosts are reached without the proxy. Pure; asks no name server, so a name never matches an
 * address.
 */
#ifndef CORE_NOPROXY_H
#define CORE_NOPROXY_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

/* Is this an entry? `NAME` or `.NAME` (that host and all beneath it), an IPv4 or IPv6 address, a network
 * `ADDRESS/BITS`, or `*` (all hosts). -EINVAL with a sentence that quotes it. */
int noproxy_check(const char *entry, struct err *err) MUST_CHECK;
/* Does one of the entries stand for this host? authority: NAME[:PORT] of a URL, len bytes, an IPv6 address in
 * brackets. What is no entry matches nothing. */
bool noproxy_matches(const char *const *entries, size_t n, const char *authority, size_t len);

#endif
