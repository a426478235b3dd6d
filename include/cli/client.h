/*
 * client: asks the running service, over its control socket.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/json.h"
#include "core/conf.h"
#include "core/wire.h"

struct client;

/* -ENOENT: no service runs (no socket, or nobody listens on it, for as long as the next dispatcher may take);
 * -errno with *err. */
int client_open(const struct conf *conf, struct client **ret, struct err *err) MUST_CHECK;
void client_close(struct client *c); /* takes NULL */

struct client_command {
	struct wire_command command; /* client_ask fills in protocol */
	const char *const *operands;
	size_t operands_n;
	bool looks; /* changes nothing, and what there is to see is said soon: 10 s are waited for a beginning
		     */
	bool repeatable; /* may be asked again when the service has ended before it had answered */
	/* each record of the answer: its text, and parsed */
	void (*record)(const struct wire_record *raw, const struct json *j, void *arg);
	void *arg;
};

/* Texts that are NULL are sent as "". *ret_text (malloc'd, the caller's) is the service's sentence, maybe "".
 * Returns the exit status that the service tells, or -errno with *err when there was no (whole) answer. */
int client_ask(struct client *c, struct client_command *q, char **ret_text, struct err *err) MUST_CHECK;

/* The whole of a verb that only asks: waits some seconds for a service that is just being taken over, says
 * what is wrong, prints the sentence (when json: as {"done":…} if there was no record), returns the exit
 * status. */
int client_run(const struct conf *conf, struct client_command *q, bool json);
/* A path as the service knows it: absolute, without doubled slashes; no link is resolved, no folder looked
 * at. malloc'd. NULL with *err: it is empty, or cannot be. */
char *client_path(const char *operand, struct err *err);

#endif
