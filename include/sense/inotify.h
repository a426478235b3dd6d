/*
 * inotify: one inotify descriptor on the loop, decoded. It knows watch numbers and names, not directories or
 * files. Overflow and vanished watches are reported like everything else: they are facts of life.
 */
#ifndef SENSE_INOTIFY_H
#define SENSE_INOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/loop.h"

enum inotify_kind {
	INOTIFY_CREATED,
	INOTIFY_CLOSED, /* CLOSE_WRITE */
	INOTIFY_MOVED_FROM,
	INOTIFY_MOVED_TO,
	INOTIFY_DELETED,
	INOTIFY_SELF_GONE, /* the directory itself was deleted, moved or unmounted */
	INOTIFY_IGNORED,   /* the watch number means nothing any more */
	INOTIFY_OVERFLOW,  /* wd is -1: events were lost */
};

struct inotify_note {
	enum inotify_kind kind;
	int wd;
	bool is_directory;
	uint32_t cookie;  /* MOVED_FROM, MOVED_TO */
	const char *name; /* "" for events of the directory itself; borrowed */
};

struct inotify;
typedef void (*inotify_fn)(const struct inotify_note *note, void *arg);

/* Events come through fn, from the loop. NULL with *err. Where no instance (or no descriptor) is left it
 * works without: each inotify_watch() tries again to get one, at most once a second. */
struct inotify *inotify_new(struct loop *loop, inotify_fn fn, void *arg, struct err *err);
void inotify_free(struct inotify *in); /* takes NULL */
/* Watches the directory open as fd. Returns the watch number, or -errno (ENOSPC: no watch left; EMFILE,
 * ENFILE: no instance, or no descriptor). */
int inotify_watch(struct inotify *in, int fd);
void inotify_unwatch(struct inotify *in, int wd);
/* Reads until the kernel's queue is empty (at most one queue full), calling fn. 0 or -errno. */
int inotify_drain(struct inotify *in);
/* Stops reading (the kernel's queue fills, and may overflow), or goes on. */
void inotify_pause(struct inotify *in, bool pause);

#endif
