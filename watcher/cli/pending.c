/*
 * pending: asks what `brickwatch files --state pending PATH` asks.
 */
#include "cli/pending.h"

#include <string.h>
#include "base/mem.h"
#include "cli/client.h"

struct pending {
	const char *path;
	struct buf *text;
};

static void pending_record(const struct wire_record *raw, const struct json *j, void *arg)
{
	const struct pending *p = arg;
	const char *path = json_get_text(j, "path"), *why = json_get_text(j, "waiting_for");

	(void)raw;
	if (!path || !why || !why[0] || strcmp(path, p->path) != 0)
		return;
	buf_reset(p->text);
	(void)buf_addf(p->text, "; %s", why);
}

void pending_ask(const struct conf *conf, const char *path, struct buf *text)
{
	struct pending p = {.path = path, .text = text};
	struct client_command q = {.command = {.verb = "files", .state = "pending", .glob = path},
		.looks = true,
		.record = pending_record,
		.arg = &p};
	CLEANUP_FREE char *said = NULL;
	struct client *c = NULL;
	struct err err = ERR_INIT;

	int rc = client_open(conf, &c, &err);

	if (rc == 0)
		rc = client_ask(c, &q, &said, &err);
	client_close(c);
	(void)rc; /* without an answer there is what the ledger says */
}
