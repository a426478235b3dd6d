/*
 * recent: has this been seen lately? A set that remembers at least the last N different ones it was given,
 * and at most twice as many, in memory that does not grow with their number.
 *
 * They are known by a hash of 64 bits: that two different ones have the same among a million is as likely as
 * one in ten million.
 */
#ifndef CORE_RECENT_H
#define CORE_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recent;

/* n >= 1. key: of the hash; where strangers choose what is asked it should be random. Takes up to 64 bytes
 * for each of n. */
struct recent *recent_new(size_t n, const uint64_t key[2]);
void recent_free(struct recent *r); /* takes NULL */
/* Notes it. Was it known? */
bool recent_meet(struct recent *r, const void *p, size_t len);

#endif
