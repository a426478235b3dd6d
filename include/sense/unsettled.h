/*
 * unsettled: the table of files that are noticed and not yet judged, found by directory and name, and by when
 * they are due. Bounded: when it is full the watcher stops reading events and listing, and the kernel's queue
 * takes over.
 */
#ifndef SENSE_UNSETTLED_H
#define SENSE_UNSETTLED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/list.h"
#include "core/marker.h"
#include "core/settle.h"
#include "sense/closes.h"
#include "sense/tree.h"

#define UNSETTLED_MAX 30000

/* verify = yes: what is known of the end of a file; kept by verifier. */
struct unsettled_end {
	struct list queued;  /* who waits to be unpacked */
	const char *format;  /* constant; NULL: it has no end of its own */
	const char *missing; /* what, in words, constant; NULL: nothing, or not looked at */
	int64_t looked_us;   /* monotonic; holds for the state of then; 0: never */
	int64_t done_us, took_us;
};

struct unsettled_file {
	struct settle settle;
	struct tree_dir *dir;
	char *name;
	struct closes_inode inode; /* as last seen; ino 0: unknown */
	int64_t first_seen_us;	   /* wall clock */
	uint64_t note;		   /* number of the last event about it; 0: only listed */
	bool began;		   /* CREATE was seen, and no close yet */
	bool unreadable;	   /* open(2) was refused: tried again at each listing */
	bool denied;		   /* the last open(2) was; said once */
	bool overdue;		   /* that it waits for long was said */
	char *lacks;		   /* settled, but: what it waits for, in words; NULL: nothing more; owned */
	int64_t lacks_since_us;
	char *marker; /* absolute path of the one it waits for, or NULL; kept by markers, as is the next line
		       */
	struct unsettled_file *marker_next; /* who waits for the same one */
	bool marker_met;		    /* it was seen since it was asked for last */
	bool marker_idle;		    /* it waits for nothing else: scheduled when the marker is seen */
	struct unsettled_end end;
	bool has_used;
	struct marker marker_now; /* the one that is there, as it has been since marker_since_us */
	int64_t marker_since_us;
	struct marker used; /* what the marker was that counted for the version before */
	size_t heap_at;	    /* place among the due ones + 1; 0: not waiting for a time */
};

struct unsettled;
typedef void (*unsettled_drop_fn)(struct unsettled_file *f, void *arg);

/* dropped is called for each file just before it leaves the table. */
struct unsettled *unsettled_new(unsettled_drop_fn dropped, void *arg);
void unsettled_free(struct unsettled *u); /* takes NULL; without calling dropped */
size_t unsettled_count(const struct unsettled *u);
bool unsettled_is_full(const struct unsettled *u);
struct unsettled_file *unsettled_find(
	const struct unsettled *u, const struct tree_dir *dir, const char *name);
/* A new one (the name must not be in the table), not due; settle is zero. */
struct unsettled_file *unsettled_add(struct unsettled *u, struct tree_dir *dir, const char *name);
void unsettled_drop(struct unsettled *u, struct unsettled_file *f);
/* Drops all files of one directory. */
void unsettled_drop_directory(struct unsettled *u, const struct tree_dir *dir);
/* Puts f at its settle.due_us among the due ones. */
void unsettled_schedule(struct unsettled *u, struct unsettled_file *f);
void unsettled_unschedule(struct unsettled *u, struct unsettled_file *f);
/* Says what a settled file waits for (since now, when it is not the same as before); NULL: nothing more. */
void unsettled_set_lacks(struct unsettled_file *f, const char *lacks, int64_t now_us);
/* Has nothing changed since its end was looked at? */
bool unsettled_end_holds(const struct unsettled_file *f);
/* … and was it missing? */
bool unsettled_is_unended(const struct unsettled_file *f);
/* The one due first, or NULL; not removed. */
struct unsettled_file *unsettled_first(const struct unsettled *u);
void unsettled_each(struct unsettled *u, void (*fn)(struct unsettled_file *f, void *arg), void *arg);

#endif
