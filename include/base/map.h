/*
 * map: byte strings (or 64-bit numbers, as 8 bytes) to pointers. Open addressing, SipHash-like keyed hash
 * (names come from strangers), grows by doubling and does not shrink. Keys are copied, values are borrowed.
 * Not ordered.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map;

struct map *map_new(void);
void map_free(struct map *m); /* takes NULL; values stay the caller's */
size_t map_count(const struct map *m);
void *map_get(const struct map *m, const void *key, size_t key_len); /* NULL when absent */
void *map_put(struct map *m, const void *key, size_t key_len,
	void *value); /* value != NULL; returns the one replaced or NULL */
void *map_remove(struct map *m, const void *key, size_t key_len); /* returns it, NULL when absent */
void *map_get_u64(const struct map *m, uint64_t key);
void *map_put_u64(struct map *m, uint64_t key, void *value);
void *map_remove_u64(struct map *m, uint64_t key);
/* Calls fn for each; fn may remove the entry it is called for (key ends with it), and put or remove nothing
 * else. Stops when fn returns false. */
void map_each(struct map *m, bool (*fn)(const void *key, size_t key_len, void *value, void *arg), void *arg);
/* SipHash-1-3 of n bytes under a key of 128 bits: what the map uses, here so that it can be held against test
 * vectors. */
uint64_t map_hash_bytes(const uint64_t key[2], const void *p, size_t n);

#endif
