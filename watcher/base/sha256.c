/*
 * EVP cannot fail here for anything that comes from outside, only for want of memory or a broken OpenSSL; so
 * there are no errors to return. The one-shot form keeps no state between calls.
 */
#include "base/sha256.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include "base/err.h"
#include "base/mem.h"

#define SHA256_BLOCK_BYTES 64

struct sha256 {
	EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *s = mem_alloc(sizeof(*s));

	s->ctx = EVP_MD_CTX_new();
	BUG_ON(s->ctx == NULL);
	BUG_ON(EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1);
	return s;
}

void sha256_add(struct sha256 *s, const void *p, size_t n)
{
	BUG_ON(EVP_DigestUpdate(s->ctx, p, n) != 1);
}

void sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES])
{
	unsigned int n = 0;

	BUG_ON(EVP_DigestFinal_ex(s->ctx, out, &n) != 1 || n != SHA256_BYTES);
	EVP_MD_CTX_free(s->ctx);
	free(s);
}

void sha256(const void *p, size_t n, uint8_t out[SHA256_BYTES])
{
	struct sha256 *s = sha256_new();

	sha256_add(s, p, n);
	sha256_end(s, out);
}

void sha256_hmac(const void *key, size_t key_len, const void *p, size_t n, uint8_t out[SHA256_BYTES])
{
	uint8_t pad[SHA256_BLOCK_BYTES] = {0};
	struct sha256 *s;

	if (key_len > sizeof(pad))
		sha256(key, key_len, pad);
	else if (key_len > 0)
		memcpy(pad, key, key_len);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	s = sha256_new();
	sha256_add(s, pad, sizeof(pad));
	sha256_add(s, p, n);
	sha256_end(s, out);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	s = sha256_new();
	sha256_add(s, pad, sizeof(pad));
	sha256_add(s, out, SHA256_BYTES);
	sha256_end(s, out);
	OPENSSL_cleanse(pad, sizeof(pad));
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_HEX_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SHA256_BYTES; i++) {
		out[2 * i] = digits[digest[i] >> 4];
		out[2 * i + 1] = digits[digest[i] & 15];
	}
	out[2 * SHA256_BYTES] = '\0';
}
