/*
 * inventory: answers to the dispatcher's `count` and `list`: the files that are not complete yet.
 */
#ifndef SENSE_INVENTORY_H
#define SENSE_INVENTORY_H

#include "sense/state.h"

void inventory_count(struct sense *s);
/* Is there no file and no directory that may not be read, as far as is known? */
bool inventory_is_readable(struct sense *s);
/* Is there no directory that is polled for want of inotify watches? */
bool inventory_is_watched(struct sense *s);
/* One page from m->offset on. Files that come or go between two pages may be left out or be there twice. */
void inventory_list(struct sense *s, const struct wire_list *m);

#endif
