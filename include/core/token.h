/*
 * token: the idempotency token. Frozen: doc/token.md has the text and test vectors. Pure.
 *
 * The same file must get the same token on every host, in every release and after every crash; it is all that
 * keeps two senders from starting two runs. So nothing here may ever change for a given input.
 */
#ifndef CORE_TOKEN_H
#define CORE_TOKEN_H

#include <stdint.h>
#include "core/conf.h"

#define TOKEN_BYTES 65 /* 64 hex digits (the longest token the Jobs API takes) and NUL */

/* SHA-256 in lower-case hex over "brickwatch 1\nHOST\nJOB\nSIZE\nMTIME_MS\nGENERATION\nURI", no newline
 * behind it. host: conf_workspace.host_token. uri: raw bytes up to the NUL, line feeds and bad UTF-8 as they
 * are. mtime_ns is floored to milliseconds (towards minus infinity). MTIME_MS is "-" with mode `size`, SIZE
 * and MTIME_MS are with mode `name`. */
void token_make(const char *host, int64_t job_id, int64_t size, int64_t mtime_ns, int64_t generation,
	const char *uri, enum conf_version mode, char out[TOKEN_BYTES]);

#endif
