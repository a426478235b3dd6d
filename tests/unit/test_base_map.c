#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "patience.h"

/* SipHash-1-3: the empty one is the first vector of Rust's own tests; b"brickwatch" is what CPython 3.11
 * makes of it with PYTHONHASHSEED=0; the others come from a second implementation that agrees with both. */
static void test_hash_vectors(void **state)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} rows[] = {
		{0, UINT64_C(0xabac0158050fc4dc)},
		{1, UINT64_C(0xc9f49bf37d57ca93)},
		{7, UINT64_C(0xd3927d989bb11140)},
		{8, UINT64_C(0x369095118d299a8e)},
		{9, UINT64_C(0x25a48eb36c063de4)},
		{15, UINT64_C(0xd320d86d2a519956)},
		{16, UINT64_C(0xcc4fdd1a7d908b66)},
		{63, UINT64_C(0x9d199062b7bbb3a8)},
	};
	static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	static const uint64_t zero[2];
	unsigned char bytes[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(map_hash_bytes(key, bytes, rows[i].n) == rows[i].hash);
	assert_true(map_hash_bytes(zero, "brickwatch", 10) == UINT64_C(2588768439002722826));
}

static void test_put_get_remove(void **state)
{
	struct map *m = map_new();
	int a, b;

	(void)state;
	assert_null(map_get(m, "x", 1));
	assert_null(map_remove(m, "x", 1));
	assert_null(map_put(m, "x", 1, &a));
	assert_ptr_equal(map_put(m, "x", 1, &b), &a);
	assert_int_equal(map_count(m), 1);
	assert_ptr_equal(map_get(m, "x", 1), &b);
	assert_null(map_get(m, "x\0", 2));
	assert_null(map_put(m, "", 0, &a));
	assert_ptr_equal(map_put(m, NULL, 0, &b), &a);
	assert_ptr_equal(map_get(m, "", 0), &b);
	assert_ptr_equal(map_remove(m, "x", 1), &b);
	assert_null(map_get(m, "x", 1));
	assert_int_equal(map_count(m), 1);
	map_free(m);
	map_free(NULL);
}

static void test_keys_are_copied(void **state)
{
	struct map *m = map_new();
	int v;

	(void)state;
	for (size_t n = 0; n <= 40; n++) {
		char key[40];

		memset(key, 'k', sizeof(key));
		assert_null(map_put(m, key, n, &v));
		memset(key, 'z', sizeof(key));
	}
	for (size_t n = 0; n <= 40; n++) {
		char key[40];

		memset(key, 'k', sizeof(key));
		assert_ptr_equal(map_get(m, key, n), &v);
	}
	assert_int_equal(map_count(m), 41);
	map_free(m);
}

static void test_numbers(void **state)
{
	struct map *m = map_new();
	static int values[5000];

	(void)state;
	for (uint64_t i = 0; i < 5000; i++)
		assert_null(map_put_u64(m, i << 32 | i, &values[i]));
	for (uint64_t i = 0; i < 5000; i++)
		assert_ptr_equal(map_get_u64(m, i << 32 | i), &values[i]);
	for (uint64_t i = 0; i < 5000; i += 2)
		assert_ptr_equal(map_remove_u64(m, i << 32 | i), &values[i]);
	for (uint64_t i = 0; i < 5000; i++)
		assert_ptr_equal(map_get_u64(m, i << 32 | i), i % 2 ? &values[i] : NULL);
	assert_int_equal(map_count(m), 2500);
	map_free(m);
}

/* A fixed sequence of our own, so that a failure comes again. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

#define MODEL_KEYS 700

static size_t model_key(uint32_t i, char key[32])
{
	return (size_t)snprintf(key, 32, i % 2 ? "%u" : "a/rather/long/name/%u", (unsigned)i);
}

/* Against a plain array: 200,000 random steps through all sizes. */
static void test_model(void **state)
{
	static char values[MODEL_KEYS * 2];
	void *model[MODEL_KEYS] = {NULL};
	struct map *m = map_new();
	uint32_t seed = 1;
	size_t count = 0;
	int steps = patience_turns(200000);

	(void)state;
	for (int step = 0; step < steps; step++) {
		uint32_t i = next_random(&seed) % MODEL_KEYS;
		void *value = &values[next_random(&seed) % sizeof(values)];
		/* fill and empty in turns */
		uint32_t puts = step / 20000 % 2 ? 2 : 6;
		char key[32];
		size_t n = model_key(i, key);

		if (next_random(&seed) % 8 < puts) {
			assert_ptr_equal(map_put(m, key, n, value), model[i]);
			count += model[i] == NULL;
			model[i] = value;
		} else {
			assert_ptr_equal(map_remove(m, key, n), model[i]);
			count -= model[i] != NULL;
			model[i] = NULL;
		}
		assert_int_equal(map_count(m), count);
		i = next_random(&seed) % MODEL_KEYS;
		n = model_key(i, key);
		assert_ptr_equal(map_get(m, key, n), model[i]);
	}
	map_free(m);
}

struct walk {
	struct map *m;
	unsigned char *seen;
	int remove_every; /* 0: none */
	int stop_after;	  /* 0: never */
	int calls;
};

static bool visit(const void *key, size_t key_len, void *value, void *arg)
{
	struct walk *w = arg;
	uint64_t k;

	assert_int_equal(key_len, sizeof(k));
	memcpy(&k, key, sizeof(k));
	assert_ptr_equal(value, &w->seen[k]);
	w->seen[k]++;
	w->calls++;
	if (w->remove_every > 0 && k % (unsigned)w->remove_every == 0)
		assert_ptr_equal(map_remove(w->m, key, key_len), value);
	return w->calls != w->stop_after;
}

/* Each entry once, whichever are removed on the way, at every filling of the table. */
static void test_each(void **state)
{
	unsigned char seen[400];

	(void)state;
	for (uint64_t n = 0; n < 400; n += n < 100 ? 1 : 37)
		for (int every = 0; every < 5; every++) {
			struct walk w = {.m = map_new(), .seen = seen, .remove_every = every};
			size_t left = 0;

			memset(seen, 0, sizeof(seen));
			for (uint64_t k = 0; k < n; k++) {
				map_put_u64(w.m, k, &seen[k]);
				left += every == 0 || k % (unsigned)every != 0;
			}
			map_each(w.m, visit, &w);
			assert_int_equal(w.calls, n);
			for (uint64_t k = 0; k < n; k++)
				assert_int_equal(seen[k], 1);
			assert_int_equal(map_count(w.m), left);
			for (uint64_t k = 0; k < n; k++)
				assert_true((map_get_u64(w.m, k) != NULL) ==
					    (every == 0 || k % (unsigned)every != 0));
			map_free(w.m);
		}
}

static void test_each_stops(void **state)
{
	unsigned char seen[50] = {0};
	struct walk w = {.m = map_new(), .seen = seen, .stop_after = 7};

	(void)state;
	for (uint64_t k = 0; k < 50; k++)
		map_put_u64(w.m, k, &seen[k]);
	map_each(w.m, visit, &w);
	assert_int_equal(w.calls, 7);
	map_free(w.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_vectors),
		cmocka_unit_test(test_put_get_remove),
		cmocka_unit_test(test_keys_are_copied),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_each_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
