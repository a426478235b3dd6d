/*
 * dropin: looks up who may read the drop folders, as far as modes tell; where there is an access control list
 * nothing is said.
 */
#include "cli/dropin.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "core/dropin.h"

#define DROPIN_USER "brickwatch" /* of the shipped unit */

struct dropin_looked {
	uid_t uid;
	gid_t gid;
	struct dropin_denied *items; /* texts owned */
	size_t n;
};

static void dropin_service_user(struct dropin_looked *l, uid_t service)
{
	const struct passwd *pw = service == (uid_t)-1 ? getpwnam(DROPIN_USER) : getpwuid(service);

	l->uid = pw ? pw->pw_uid : service;
	l->gid = pw ? pw->pw_gid : (gid_t)-1;
}

/* need: 5 to list it, 1 to pass it. */
static bool dropin_may(const struct dropin_looked *l, const struct stat *st, mode_t need)
{
	unsigned shift = st->st_uid == l->uid ? 6 : st->st_gid == l->gid ? 3 : 0;

	return l->uid == 0 || ((st->st_mode >> shift) & need) == need;
}

static void dropin_look(struct dropin_looked *l, const char *path, mode_t need)
{
	const struct group *group;
	struct stat st;

	if (stat(path, &st) < 0 || dropin_may(l, &st, need) ||
		getxattr(path, "system.posix_acl_access", NULL, 0) > 0)
		return;
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->items[i].path, path) == 0)
			return;
	group = st.st_uid != l->uid && ((st.st_mode >> 3) & need) == need ? getgrgid(st.st_gid) : NULL;
	l->items = mem_resize(l->items, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = (struct dropin_denied){
		.path = mem_strdup(path), .group = group ? mem_strdup(group->gr_name) : NULL};
}

/* The directory, and those on the way to it. */
static void dropin_look_through(struct dropin_looked *l, const char *directory)
{
	CLEANUP_FREE char *path = mem_strdup(directory);

	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		dropin_look(l, path, 1);
		*p = '/';
	}
	dropin_look(l, path, 5);
}

int dropin_write(const struct conf *c, const char *config, uid_t service)
{
	CLEANUP_BUF struct buf b = BUF_INIT(DROPIN_BYTES);
	struct dropin_looked l = {0};
	struct dropin_question q = {.conf = c, .config = config, .usual = CONFFILE_PATH};
	size_t bad;

	dropin_service_user(&l, service);
	for (size_t i = 0; i < c->watches_n; i++)
		for (size_t j = 0; j < c->watches[i]->directory.n; j++)
			dropin_look_through(&l, c->watches[i]->directory.items[j]);
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
