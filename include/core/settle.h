/*
 * settle: is this file complete? A pure state machine per file: it gets hints (events), looks (what a stat
 * and the lease probe say) and the time, and answers when to look next or that the file is complete. No
 * descriptor, no clock inside.
 *
 * Evidence, never one event alone (architecture, "Complete"):
 *  - the writer has closed: CLOSE_WRITE, or the file came by rename or link and we saw that inode closed;
 *  - a read lease was refused: surely still open; granted: nobody has it open for writing (where the file
 * system tells the truth);
 *  - nothing changed for `settle`: settle_closed_us after evidence that the writer closed, settle_quiet_us
 * without it.
 */
#ifndef CORE_SETTLE_H
#define CORE_SETTLE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "core/conf.h"

/* What brought the file to our notice. */
enum settle_hint {
	SETTLE_LISTED,	   /* a listing */
	SETTLE_CREATED,	   /* CREATE: a writer begins, or a link of an inode we know nothing about */
	SETTLE_CLOSED,	   /* CLOSE_WRITE under this name */
	SETTLE_CARRIED,	   /* came by rename or link, and this inode was seen closed */
	SETTLE_MOVED_IN,   /* MOVED_TO from somewhere we do not see */
	SETTLE_MOVED_OPEN, /* renamed by us knowing that its writer had not closed yet */
};

/* What the read-lease probe said (fcntl(2), F_SETLEASE). */
enum settle_lease {
	SETTLE_LEASE_UNKNOWN = 0, /* not permitted, not supported, or the file system lies */
	SETTLE_LEASE_FREE,	  /* granted: nobody has it open for writing */
	SETTLE_LEASE_OPEN,	  /* refused: somebody has */
};

struct settle_policy {
	int64_t closed_us; /* conf_watch.settle_closed_us */
	int64_t quiet_us;  /* conf_watch.settle_quiet_us */
	bool need_close;   /* complete = close: without evidence of the close (or a granted lease) it never
			      completes */
	bool quiet_only;   /* complete = quiet: closes and leases are no evidence, only time is */
	bool marked;	   /* complete = marker: that is asked for afterwards, and is the evidence */
	int64_t apart_us;  /* > 0: nobody tells of all writers; two equal looks at least so far apart are
			      needed,  whatever else there is */
};

struct settle_look {
	int64_t size, mtime_ns;
	uint64_t ino;
	enum settle_lease lease;
};

enum settle_verdict {
	SETTLE_WAIT,	 /* look again at settle.due_us */
	SETTLE_COMPLETE, /* as it was in this look */
};

struct settle {
	int64_t first_us;      /* first noticed */
	int64_t changed_us;    /* last sign of change */
	int64_t due_us;	       /* when to look */
	int64_t open_since_us; /* the lease has been refused since; 0: it is not */
	int64_t reopen_us;     /* back-off while it is held open */
	int64_t equal_us;      /* when the first of the equal looks was made */
	bool closed;	       /* evidence that the writer closed, valid for what is there now */
	bool carried;	       /* … and that came by rename or link */
	bool moved_in;	       /* came whole from elsewhere by rename */
	bool by_event;	       /* announced by an event, not only found by a listing */
	bool noted;	       /* a hint has come since the last look */
	unsigned looks;	       /* equal looks so far */
	struct settle_look last;
};

/* Begins at time now (monotonic microseconds) with a first hint. */
void settle_begin(struct settle *s, const struct settle_policy *p, enum settle_hint hint, int64_t now_us);
/* A further hint for the same name. */
void settle_note(struct settle *s, const struct settle_policy *p, enum settle_hint hint, int64_t now_us);
/* A listing showed the file so: counts as a first look, without lease. */
void settle_listed(struct settle *s, const struct settle_look *look);
/* What a look found. Call when due (an early call only waits again). */
enum settle_verdict settle_look(
	struct settle *s, const struct settle_policy *p, const struct settle_look *look, int64_t now_us);
/* The look could not be made (EBUSY, EIO, …): waits again, as long as without evidence. */
void settle_unlooked(struct settle *s, const struct settle_policy *p, int64_t now_us);
/* Will time alone not complete it? Somebody has it open, or need_close asks for a close that nobody has seen.
 */
bool settle_is_stuck(const struct settle *s, const struct settle_policy *p);
/* It changed between look and judgement: begins to wait again. */
void settle_changed(struct settle *s, const struct settle_policy *p, int64_t now_us);
/* "closed by its writer, quiet for 1 s, lease granted": the evidence there is. */
int settle_add_evidence(const struct settle *s, int64_t now_us, struct buf *b);
/* What is still missing, with since when: "open for writing since 12 s", "quiet for 2 s of 30 s (no sign that
 * the writer closed)". */
int settle_add_missing(const struct settle *s, const struct settle_policy *p, int64_t now_us, struct buf *b);

#endif
