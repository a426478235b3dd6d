/*
 * sha256: SHA-256 by OpenSSL's EVP. One-shot and in pieces; and HMAC with it.
 */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32
#define SHA256_HEX_BYTES 65 /* with the NUL */

struct sha256; /* a running digest */

struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *s, const void *p, size_t n);
/* Writes the digest and frees s. */
void sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES]);
void sha256(const void *p, size_t n, uint8_t out[SHA256_BYTES]);
/* HMAC-SHA256 (RFC 2104). */
void sha256_hmac(const void *key, size_t key_len, const void *p, size_t n, uint8_t out[SHA256_BYTES]);
void sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_HEX_BYTES]); /* lower case */

#endif
