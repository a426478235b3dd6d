/*
 * folders: can each drop folder be listed? A watcher is asked of each, as the user that asks here: whoever
 * wants to know what the service sees becomes its user first (cli/serviceuser).
 */
#ifndef CLI_FOLDERS_H
#define CLI_FOLDERS_H

#include <stdbool.h>
#include "base/buf.h"
#include "core/conf.h"

struct folders_found { /* a folder that cannot be listed; texts are never NULL, "" none */
	const struct conf_watch *watch;
	const char *directory;
	const char *why;    /* in words */
	bool missing;	    /* it may come yet */
	const char *closed; /* what this user may not list (the directory) or pass (one above it) */
	const char *group;  /* whose members may */
};

/* Tells of each. May wait some seconds for one on a mount that hangs. */
void folders_look(const struct conf *conf, void (*tell)(const struct folders_found *f, void *arg), void *arg);
/* Adds the command that opens what is closed to that user. */
void folders_add_remedy(const struct folders_found *f, const char *user, struct buf *b);

#endif
