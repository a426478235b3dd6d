/*
 * state: what the parts of a watcher share: the watch it serves, its roots, and its tables. One per process,
 * but nothing here is global.
 *
 * The parts: roots finds the directories, walk lists, poll says when to list again, judge decides about
 * single files, watcher ties events to them.
 */
#ifndef SENSE_STATE_H
#define SENSE_STATE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/loop.h"
#include "core/conf.h"
#include "core/mountinfo.h"
#include "core/settle.h"
#include "core/wire.h"
#include "sense/ask.h"
#include "sense/closes.h"
#include "sense/inotify.h"
#include "sense/mounts.h"
#include "sense/outlet.h"
#include "sense/tree.h"
#include "sense/unsettled.h"

struct explain;
struct judge;
struct markers;
struct mounttable;
struct poll;
struct roots;
struct verifier;
struct waiting;
struct walk;
struct walls;

struct sense_root {
	const char *path;     /* the configured directory; borrowed from the configuration */
	struct tree_dir *dir; /* NULL while the directory is missing */
	int fd; /* open during one round of the loop only, so that nothing keeps a mount busy; -1 */
	uint64_t dev, ino;		   /* which directory that is */
	char place[MOUNTINFO_PLACE_BYTES]; /* where it lies; "" unknown */
	struct buf resolved;		   /* its path without symbolic links; empty: unknown */
	bool said_lost;
	bool cut_short;		   /* the pass under way will not have seen all of it */
	const struct mount *mount; /* what it is on; NULL while it is missing */
};

struct sense {
	struct loop *loop;
	struct conf *conf;
	const struct conf_watch *watch;
	enum wire_mode mode;
	struct wire_page *page; /* may be NULL */
	struct sense_root *roots;
	size_t roots_n;
	struct walls *walls; /* its roots may be opened only while they are what they were */
	struct mounts *mounts;
	struct tree *tree;
	struct inotify *inotify;
	struct closes *closes;
	struct unsettled *unsettled;
	struct outlet *outlet;
	struct ask *ask;		  /* NULL: this watch asks for no type */
	char ask_trouble[ERR_TEXT_BYTES]; /* why no sniffer can be started; "": none, or not known yet */
	struct judge *judge;
	struct markers *markers;   /* NULL: complete is not marker */
	struct verifier *verifier; /* NULL: verify = no */
	struct walk *walk;
	struct poll *poll;
	struct roots *finder;
	struct mounttable *mounttable;
	struct waiting *waiting;
	struct explain *explain; /* the question in hand */
	bool explain_turn;	 /* nothing is judged until it is answered: both need the sniffer */
	bool denied_said;	 /* by an event: something may not be read; until everything may be */
	bool short_said;	 /* the same of a shortage; until a whole listing */
	bool limit_said;	 /* the same of a want of inotify watches; until a listing finds none */
	char rules_hash[17];
};

/* Errors of sense_root_fd that no system call has: its path means another directory than the one that is
 * watched, or that this process may open; its sentinel is missing. */
#define SENSE_ROOT_OTHER EREMCHG
#define SENSE_ROOT_NO_SENTINEL ENOMEDIUM

/* The root open for this round: a descriptor (borrowed) or -errno. May block on a dead mount. */
int sense_root_fd(struct sense *s, size_t root);
/* Can it be opened and listed? The descriptor of this round, or -errno as above. */
int sense_root_try(struct sense *s, size_t root);
const char *sense_root_words(int code);
/* Closes what sense_root_fd opened. */
void sense_roots_close(struct sense *s);
/* How files of a directory become complete. */
const struct settle_policy *sense_policy(const struct sense *s, const struct tree_dir *d);
/* What such a look compares: no inode numbers where they say nothing. */
struct settle_look sense_look(const struct tree_dir *d, const struct settle_look *look);
/* Finds out which mount d, open as fd, is on (path: for messages); one that was not known is said. */
void sense_meet_mount(struct sense *s, struct tree_dir *d, int fd, const char *path);
/* The next poll round is to find this name new: what was there was not judged, or is gone. */
void sense_overlook(const struct tree_dir *d, const char *name, uint64_t ino);
/* Says (again) which file systems there are, and how they are watched. */
void sense_say_hello(struct sense *s);
/* Reports a trouble to the dispatcher. */
void sense_trouble(struct sense *s, const char *kind, const char *path, int64_t count, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
/* Something may not be read: an event the first time, a message each time. */
void sense_denied(struct sense *s, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The absolute path of relpath below a root into b (replaced). */
void sense_absolute(const struct sense *s, size_t root, const char *relpath, struct buf *b);
/* The root directory cannot be watched (any more, or yet): everything below it is forgotten here (the ledger
 * forgets nothing) and it is waited for. */
void sense_root_lost(struct sense *s, size_t root, const char *why);
/* It is not where it was: the same, unless its path means another directory already: then this process ends,
 * to be followed by one that watches that. */
void sense_root_gone(struct sense *s, size_t root, const char *why);
/* One of them, when sense_root_fd has said -code; in a shortage nothing is forgotten. */
void sense_root_unopened(struct sense *s, size_t root, int code);
/* Is it this machine or process that has too little left, and not the directory that is out of order? */
bool sense_is_shortage(int code);
/* path could not be opened for a shortage: says so, once, and has everything listed again soon. */
void sense_shortage(struct sense *s, size_t root, const char *path, int code);
/* Forgets a directory and all below; closes that were seen there are remembered by inode. */
void sense_drop_directory(struct sense *s, struct tree_dir *d);

#endif
