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

/* RFC 4231, 4.2 to 4.4 and 4.7: short, of text, and longer than a block */
static void test_hmac(void **state)
{
	static const struct {
		char fill;
		size_t key_len; /* 0: the key is "Jefe" */
		const char *data, *hex;
	} cases[] = {
		{0x0b, 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{0, 0, "what do ya want for nothing?",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{(char)0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char key[131], hex[SHA256_HEX_BYTES];
		uint8_t mac[SHA256_BYTES];
		size_t len = cases[i].key_len;

		memset(key, cases[i].fill, sizeof(key));
		sha256_hmac(
			len > 0 ? key : "Jefe", len > 0 ? len : 4, cases[i].data, strlen(cases[i].data), mac);
		sha256_hex(mac, hex);
		assert_string_equal(hex, cases[i].hex);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_two_at_once),
		cmocka_unit_test(test_hmac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
