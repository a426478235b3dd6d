/*
 * start: all that is sent for one version of one file: remote path, token, body. Pure; the one recipe for
 * whoever needs the whole.
 */
#ifndef CORE_START_H
#define CORE_START_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "core/token.h"

struct start_facts {
	const struct conf_watch *watch; /* with its workspace */
	const char *path;		/* absolute */
	const char *relpath;
	int64_t size, mtime_ns;
	const char *mime; /* "" not asked for */
	int64_t generation;
	int64_t now_us;
};

struct start {
	bool mapped; /* a path_map fits */
	struct buf uri;
	char token[TOKEN_BYTES];
	struct buf body;
};

void start_init(struct start *s);
void start_done(struct start *s);
/* Fills s, uri and token in any case. 0, or -errno of core/request with *err and *ret_reason (the dead
 * letter's word). */
int start_make(
	const struct start_facts *f, struct start *s, const char **ret_reason, struct err *err) MUST_CHECK;

#endif
