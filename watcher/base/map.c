/*
 * Linear probing in a table of a power of two, at most three quarters full. A removed entry leaves no mark:
 * the ones behind it in the same run of full slots move up, so a map that lives for months with files coming
 * and going stays as fast as a new one. Keys of up to eight bytes (all numbers) live in the slot itself.
 *
 * The hash is SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) under a key drawn
 * once in the process: who writes files into a folder could otherwise choose names that all fall into one
 * run.
 *
 * Walking starts behind an empty slot and so meets every run from its beginning; when the entry at hand is
 * removed, only entries not yet visited move up, into the slot that is then looked at once more.
 */
#include "base/map.h"

#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include "base/err.h"
#include "base/mem.h"

#define FIRST_SLOTS 16
#define INLINE_BYTES 8

struct slot {
	uint64_t hash;
	void *value; /* NULL: empty */
	size_t key_len;
	union {
		char near[INLINE_BYTES];
		char *far;
	} key;
};

struct map {
	struct slot *slots;
	size_t n_slots; /* a power of two */
	size_t count;
};

static uint64_t process_key[2];
static bool have_process_key;

static uint64_t rotate(uint64_t v, int by)
{
	return v << by | v >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static uint64_t load_little_endian(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint64_t map_hash_bytes(const uint64_t key[2], const void *p, size_t n)
{
	const unsigned char *u = p;
	uint64_t v[4] = {
		key[0] ^ UINT64_C(0x736f6d6570736575),
		key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261),
		key[1] ^ UINT64_C(0x7465646279746573),
	};
	size_t left = n;

	for (; left >= 8; left -= 8, u += 8) {
		uint64_t word = load_little_endian(u, 8);

		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}

	uint64_t last = load_little_endian(u, left) | (uint64_t)n << 56;

	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Where getrandom(2) is refused by a filter, the 16 bytes the kernel gave at exec (getauxval(3)) do as well.
 */
static void draw_process_key(void)
{
	ssize_t n;

	if (have_process_key)
		return;
	do
		n = getrandom(process_key, sizeof(process_key), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(process_key)) {
		const void *bytes = (const void *)getauxval(AT_RANDOM);

		BUG_ON(bytes == NULL);
		memcpy(process_key, bytes, sizeof(process_key));
	}
	have_process_key = true;
}

static const void *slot_key(const struct slot *s)
{
	return s->key_len <= INLINE_BYTES ? s->key.near : s->key.far;
}

static bool slot_is(const struct slot *s, uint64_t hash, const void *key, size_t key_len)
{
	return s->hash == hash && s->key_len == key_len &&
	       (key_len == 0 || memcmp(slot_key(s), key, key_len) == 0);
}

/* The slot of the key, or the empty one where it would go. */
static size_t find_slot(const struct map *m, uint64_t hash, const void *key, size_t key_len)
{
	size_t i = hash & (m->n_slots - 1);

	while (m->slots[i].value != NULL && !slot_is(&m->slots[i], hash, key, key_len))
		i = (i + 1) & (m->n_slots - 1);
	return i;
}

static void grow(struct map *m)
{
	size_t n = m->n_slots * 2;
	struct slot *slots = mem_array(n, sizeof(*slots));

	for (size_t i = 0; i < m->n_slots; i++) {
		if (m->slots[i].value == NULL)
			continue;

		size_t k = m->slots[i].hash & (n - 1);

		while (slots[k].value != NULL)
			k = (k + 1) & (n - 1);
		slots[k] = m->slots[i];
	}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n;
}

static void free_key(struct slot *s)
{
	if (s->key_len > INLINE_BYTES)
		free(s->key.far);
}

/* Closes the hole at i: whatever behind it may not stand in front of its own place moves up. */
static void close_hole(struct map *m, size_t i)
{
	size_t mask = m->n_slots - 1;

	for (size_t k = (i + 1) & mask; m->slots[k].value != NULL; k = (k + 1) & mask) {
		size_t home = m->slots[k].hash & mask;

		if (((k - home) & mask) < ((k - i) & mask))
			continue; /* its own place lies behind the hole */
		m->slots[i] = m->slots[k];
		i = k;
	}
	memset(&m->slots[i], 0, sizeof(m->slots[i]));
}

struct map *map_new(void)
{
	struct map *m = mem_alloc(sizeof(*m));

	draw_process_key();
	m->n_slots = FIRST_SLOTS;
	m->slots = mem_array(m->n_slots, sizeof(*m->slots));
	return m;
}

void map_free(struct map *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n_slots; i++)
		if (m->slots[i].value != NULL)
			free_key(&m->slots[i]);
	free(m->slots);
	free(m);
}

size_t map_count(const struct map *m)
{
	return m->count;
}

void *map_get(const struct map *m, const void *key, size_t key_len)
{
	return m->slots[find_slot(m, map_hash_bytes(process_key, key, key_len), key, key_len)].value;
}

void *map_put(struct map *m, const void *key, size_t key_len, void *value)
{
	uint64_t hash = map_hash_bytes(process_key, key, key_len);
	struct slot *s = &m->slots[find_slot(m, hash, key, key_len)];
	void *old = s->value;

	BUG_ON(value == NULL);
	if (old != NULL) {
		s->value = value;
		return old;
	}
	if ((m->count + 1) * 4 > m->n_slots * 3) {
		grow(m);
		s = &m->slots[find_slot(m, hash, key, key_len)];
	}
	*s = (struct slot){.hash = hash, .value = value, .key_len = key_len};
	if (key_len > INLINE_BYTES)
		s->key.far = mem_dup(key, key_len);
	else if (key_len > 0)
		memcpy(s->key.near, key, key_len);
	m->count++;
	return NULL;
}

void *map_remove(struct map *m, const void *key, size_t key_len)
{
	size_t i = find_slot(m, map_hash_bytes(process_key, key, key_len), key, key_len);
	void *value = m->slots[i].value;

	if (value == NULL)
		return NULL;
	free_key(&m->slots[i]);
	close_hole(m, i);
	m->count--;
	return value;
}

void *map_get_u64(const struct map *m, uint64_t key)
{
	return map_get(m, &key, sizeof(key));
}

void *map_put_u64(struct map *m, uint64_t key, void *value)
{
	return map_put(m, &key, sizeof(key), value);
}

void *map_remove_u64(struct map *m, uint64_t key)
{
	return map_remove(m, &key, sizeof(key));
}

void map_each(struct map *m, bool (*fn)(const void *key, size_t key_len, void *value, void *arg), void *arg)
{
	size_t mask = m->n_slots - 1;
	size_t start = 0;

	while (m->slots[start].value != NULL)
		start++; /* there always is an empty one */
	for (size_t step = 1; step <= mask;) {
		struct slot *s = &m->slots[(start + step) & mask];
		size_t count = m->count;

		if (s->value == NULL) {
			step++;
			continue;
		}
		if (!fn(slot_key(s), s->key_len, s->value, arg))
			return;
		BUG_ON(m->count > count || m->n_slots != mask + 1);
		if (m->count == count)
			step++; /* else another one stands here now */
	}
}
