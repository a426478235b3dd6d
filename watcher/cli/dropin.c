/*
 * dropin: asks who may read the drop folders, as the service's user (cli/folders), and prints.
 */
#include "cli/dropin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/folders.h"
#include "cli/serviceuser.h"
#include "core/dropin.h"

struct dropin_looked {
	struct dropin_denied *items; /* texts owned */
	size_t n;
};

/* A folder above several directories is told once. */
static void dropin_on_found(const struct folders_found *f, void *arg)
{
	struct dropin_looked *l = arg;

	if (!f->closed[0])
		return;
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i].path, f->closed) == 0)
			return;
	l->items = mem_resize(l->items, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = (struct dropin_denied){.path = mem_strdup(f->closed),
		.group = f->group[0] ? mem_strdup(f->group) : NULL,
		.above = strcmp(f->closed, f->directory) != 0};
}

/* False: another user may not do it for him. */
static bool dropin_look(const struct conf *c, uid_t service, struct dropin_looked *l)
{
	struct err err = ERR_INIT;

	if (serviceuser_become(c, service, &err) < 0)
		log_warning("%s", err.text);
	if (service != SERVICEUSER_UNKNOWN && geteuid() != service)
		return false;
	(void)signal(SIGPIPE, SIG_IGN);
	folders_look(c, dropin_on_found, l);
	return true;
}

int dropin_write(const struct conf *c, const char *config, uid_t service)
{
	CLEANUP_BUF struct buf b = BUF_INIT(DROPIN_BYTES);
	struct dropin_looked l = {0};
	char user[SERVICEUSER_NAME_BYTES];
	struct dropin_question q = {.conf = c, .config = config, .usual = CONFFILE_PATH};
	size_t bad;

	q.user = service == SERVICEUSER_UNKNOWN ? "brickwatch" : serviceuser_name(service, user);
	q.looked = dropin_look(c, service, &l);
	q.denied = l.items;
	q.denied_n = l.n;
	bad = dropin_print(&q, &b);
	(void)fputs(buf_str(&b), stdout);
	for (size_t i = 0; i < l.n; i++) {
		free((void *)(uintptr_t)l.items[i].path);
		free((void *)(uintptr_t)l.items[i].group);
	}
	free(l.items);
	if (b.failed)
		log_error("the drop-in is too long");
	else if (bad > 0)
		log_error("%zu name%s of the configuration cannot stand in a unit; see the comments", bad,
			bad == 1 ? "" : "s");
	return b.failed || bad > 0 ? CLI_FAILED : CLI_DONE;
}
