/*
 * roots: the configured directories: opening them, noticing that one is not what it was, waiting for one that
 * is missing, and saying to the dispatcher what they are on. What is below them is the walk's.
 */
#ifndef SENSE_ROOTS_H
#define SENSE_ROOTS_H

#include "sense/state.h"

struct roots *roots_new(struct sense *s);
void roots_free(struct roots *r); /* takes NULL */
/* Opens all at the start and says hello. Missing ones are looked for again and again. */
void roots_open(struct roots *r);
/* Is the path of each still the directory that is watched? (A renamed parent, a mount on top: no event
 * tells.) */
void roots_check(struct roots *r);
/* The same, and are missing ones there? Mounts have come or gone. */
void roots_look(struct roots *r);

#endif
