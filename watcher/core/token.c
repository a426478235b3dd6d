/*
 * token: one text, one digest. The URI stands last so that a line feed in a name cannot be taken for a field
 * end.
 */
#include "core/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "base/sha256.h"

#define NS_PER_MS INT64_C(1000000)
#define NUMBER_BYTES 24

static int64_t floor_to_ms(int64_t ns)
{
	int64_t ms = ns / NS_PER_MS;

	return ns % NS_PER_MS < 0 ? ms - 1 : ms;
}

static void add_text(struct sha256 *s, const char *text)
{
	sha256_add(s, text, strlen(text));
}

static void add_number(struct sha256 *s, int64_t v)
{
	char text[NUMBER_BYTES];

	snprintf(text, sizeof(text), "%" PRId64 "\n", v);
	add_text(s, text);
}

void token_make(const char *host, int64_t job_id, int64_t size, int64_t mtime_ns, int64_t generation,
	const char *uri, enum conf_version mode, char out[TOKEN_BYTES])
{
	struct sha256 *s = sha256_new();
	uint8_t digest[SHA256_BYTES];

	add_text(s, "brickwatch 1\n");
	add_text(s, host);
	add_text(s, "\n");
	add_number(s, job_id);
	if (mode == CONF_VERSION_NAME)
		add_text(s, "-\n");
	else
		add_number(s, size);
	if (mode == CONF_VERSION_SIZE_MTIME)
		add_number(s, floor_to_ms(mtime_ns));
	else
		add_text(s, "-\n");
	add_number(s, generation);
	add_text(s, uri);
	sha256_end(s, digest);
	sha256_hex(digest, out);
}
