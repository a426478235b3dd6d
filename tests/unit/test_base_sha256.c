#include "base/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

/* FIPS 180-4 examples (NIST): empty, "abc", two blocks, a million times "a" */
static const struct {
	const char *text;
	size_t times;
	const char *hex;
} rows[] = {
	{"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	{"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sha256 *s = sha256_new();
		uint8_t digest[SHA256_BYTES];
		char hex[SHA256_HEX_BYTES];

		for (size_t k = 0; k < rows[i].times; k++)
			sha256_add(s, rows[i].text, strlen(rows[i].text));
		sha256_end(s, digest);
		sha256_hex(digest, hex);
		assert_string_equal(hex, rows[i].hex);
		if (rows[i].times == 1) {
			uint8_t once[SHA256_BYTES];

			sha256(rows[i].text, strlen(rows[i].text), once);
			assert_memory_equal(once, digest, sizeof(once));
		}
	}
}

static void test_two_at_once(void **state)
{
	struct sha256 *a = sha256_new();
	struct sha256 *b = sha256_new();
	uint8_t da[SHA256_BYTES], db[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	(void)state;
	sha256_add(a, "a", 1);
	sha256_add(b, "x", 1);
	sha256_add(a, "bc", 2);
	sha256_end(b, db);
	sha256_end(a, da);
	sha256_hex(da, hex);
	assert_string_equal(hex, rows[1].hex);
	assert_memory_not_equal(da, db, sizeof(da));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_two_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
