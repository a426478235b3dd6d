/*
 * wire: the messages between our processes, and all that they share.
 *
 * One SOCK_SEQPACKET datagram is one message: a fixed header (version, type, length) and a bounded body.
 * Every message is a struct with a table of its fields; encoding and decoding walk the table, so both ends
 * cannot differ. Decoding never trusts: sizes, counts and terminators are checked, and the strings of a
 * decoded message point into the received bytes (borrowed, NUL-terminated, no NUL inside).
 *
 * Nothing secret is ever in a message.
 */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/sock.h"

#define WIRE_VERSION 1
#define WIRE_MESSAGE_BYTES (64 * 1024) /* largest datagram */
#define WIRE_PATH_BYTES 4096	       /* longest path in one */
#define WIRE_CANDIDATES_MAX 512	       /* files in one `candidates` */
#define WIRE_CANDIDATES_BYTES (48 * 1024)

enum wire_type {
	WIRE_NONE = 0,
	/* keeper -> dispatcher, watcher */
	WIRE_CONFIGURE,	 /* one entry of the configuration */
	WIRE_CONFIGURED, /* that was the last; start */
	WIRE_STOP,
	WIRE_REOPEN, /* keeper -> dispatcher: SIGHUP */
	WIRE_PING,   /* keeper -> dispatcher: whoever reads this makes progress, and counts it on its page */
	WIRE_ATTACH, /* keeper -> dispatcher: a watcher was started; its socket and its state page come along
		      */
	WIRE_DETACH, /* keeper -> dispatcher: a watcher is gone */
	WIRE_RELOADED, /* keeper -> dispatcher: what became of a reload. Done: CONFIGURE …, CONFIGURED follow,
			* and the dispatcher says in the same way whether it has taken them over */
	/* dispatcher -> keeper */
	WIRE_STATE,   /* readiness and a status line */
	WIRE_RELOAD,  /* read the configuration again */
	WIRE_RESTART, /* the job of this watch is known: its watcher, which waits for that, may start */
	/* watcher -> dispatcher */
	WIRE_HELLO,
	WIRE_CANDIDATES,
	WIRE_READY,
	WIRE_REJECTED,
	WIRE_WAITING,
	WIRE_SCANNED,
	WIRE_TROUBLE,
	WIRE_COUNTS,
	WIRE_CONFIRMED, /* the answer to `confirm` */
	WIRE_UNSETTLED, /* one page of files that are not complete yet */
	/* dispatcher -> watcher; one of each may be open at a time */
	WIRE_WANTED,
	WIRE_RESCAN,
	WIRE_CONFIRM, /* are these files still what they were? */
	WIRE_COUNT,
	WIRE_LIST,
	WIRE_STALE, /* the marker of that file had counted for the version before: it goes on waiting */
	/* command line -> dispatcher, over the control socket, and back */
	WIRE_COMMAND,
	WIRE_OPERAND, /* one path (or, for adopt, one line of an event log) of the command before it */
	WIRE_GO,      /* that was the last of them */
	WIRE_RECORD,  /* one JSON object of the answer */
	WIRE_DONE,    /* the end of the answer */
	/* command line -> watcher (through the dispatcher when the service runs), and back */
	WIRE_EXPLAIN,
	WIRE_EXPLAINED,	     /* one step of the answer */
	WIRE_EXPLAINED_FILE, /* the last: the file as it would be reported */
	/* watcher -> sniffer, and back */
	WIRE_ASK, /* the file's descriptor comes along */
	WIRE_ANSWER,
	WIRE_TYPES,
};

/* What a process is started for. */
enum wire_mode {
	WIRE_MODE_RUN = 0,
	WIRE_MODE_SCAN,
	WIRE_MODE_EXPLAIN,
	WIRE_MODE_TRY,	   /* a dispatcher that says only whether the configuration can be worked with */
	WIRE_MODE_TRY_LOG, /* … and its event log, which is not the one of the running dispatcher */
};

#define WIRE_EXIT_AGAIN                                                                                      \
	75 /* exit status of who is to be started anew: a dispatcher, ready or not; a watcher */

struct wire_configure {
	const char *section, *key, *value, *file;
	int64_t line;
};

struct wire_configured {
	int64_t mode; /* enum wire_mode */
	int64_t dry_run;
	int64_t watches;	/* how many watchers will be attached (dispatcher only) */
	int64_t wait_us;	/* scan: at most this long; 0: no limit */
	const char *only_watch; /* scan --watch NAME, or "" */
	const char *hash;	/* of the configuration */
	/* of the service, whose dispatcher may be another one than at its start */
	int64_t started_us; /* wall clock */
	int64_t runs_started;
};

struct wire_empty {
	int64_t unused;
};

struct wire_attach {
	const char *name;
	int64_t pid;
	int64_t start; /* how often it was started, from 1 */
};

struct wire_detach {
	const char *name;
	const char *why; /* "killed by signal 9", "exited with status 3", "stopped" */
};

struct wire_state {
	int64_t ready; /* 1: everything that must be up is up */
	const char *status;
};

struct wire_reloaded {
	int64_t status;	  /* 0: a new configuration follows; 78: refused, the running one stays; 1: failed */
	const char *text; /* the mistakes, a line each, or "" */
};

struct wire_restart {
	const char *name;
};

struct wire_hello {
	const char *method;	 /* "inotify" */
	const char *file_system; /* "ext4", or several with commas */
	int64_t inodes_stable;
	int64_t pid;
	const char *limits; /* in words, or "" */
	const void *types;  /* file system of each directory in their order, each with its NUL; "" missing */
	size_t types_len;
	const void *places; /* where each lies (core/mountinfo), likewise; "" unknown */
	size_t places_len;
};

#define WIRE_SIZE_NOT_THERE (-1)  /* EXPLAINED_FILE: there is no such file */
#define WIRE_SIZE_NOT_A_FILE (-2) /* … there is something that is never looked at, or cannot be */

/* A file as a watcher knows it; READY, REJECTED, EXPLAINED_FILE. */
struct wire_file {
	const char *root; /* the configured directory */
	const char *relpath;
	int64_t size, mtime_ns, ino, owner;
	const char *ends;		     /* hex or "" */
	const char *mime;		     /* "" when the type was not asked for */
	int64_t groups;			     /* FILETYPE_… */
	int64_t by_listing;		     /* 1: found by a listing only, 0: announced by an event */
	int64_t first_seen_us, completed_us; /* wall clock */
	const char *evidence;		     /* in words: "closed by its writer, 1 s quiet, lease granted";
						EXPLAINED_FILE: the file system of its directory, "" unknown */
	const char *rule;		     /* REJECTED: rules_verdict_word; else "" */
	const char *detail;		     /* REJECTED: in words; else "" */
	int64_t dead_letter; /* REJECTED: 1: it cannot be sent or judged (start.failed), 0: file.rejected */
	const char *rules_hash;
	int64_t birth_ns;		     /* of the inode; 0 unknown */
	int64_t marker_mtime_ns, marker_ino; /* struct marker: what says that it is complete; 0 none */
};

struct wire_waiting {
	const char *root, *relpath;
	const char *waiting_for;
	int64_t since_us; /* wall clock */
	int64_t gone;	  /* 1: it is gone after it was reported waiting */
};

struct wire_scanned {
	int64_t pass;
	int64_t directories, files, unsettled, took_us;
	int64_t complete;  /* 0: cut short (a directory vanished, overflow) */
	const void *roots; /* the same for each directory in their order, one byte 0 or 1 */
	size_t roots_len;
	const char *why; /* "start", "overflow", "rescan", "mount", "shortage" */
};

struct wire_trouble {
	const char *kind; /* "overflow", "watch_limit", "lost", "back", "away" (the same of a directory
			     below), "denied" (may not be read, the
			     first of such), "unreadable" (a further one), "io", "sniffer", "degraded" */
	const char *path;
	const char *detail; /* a sentence, with what happens next */
	int64_t count;
};

struct wire_counts {
	int64_t unsettled, judging, directories, done; /* done: nothing is left to wait for (scan) */
	int64_t unreadable, closed; /* of them: files, and directories that may not be read */
	int64_t away;		    /* directories whose mount is gone */
	int64_t unwatched;	    /* directories that are polled for want of inotify watches */
	int64_t starved;	    /* 1: descriptors were lacking, and not all was listed since */
};

/* Items are put with wire_candidates_add and read with wire_candidates_next. */
struct wire_candidates {
	int64_t seq;
	const char *root;
	const char *rules_hash;
	const void *items;
	size_t items_len;
};

struct wire_candidate {
	const char *relpath;
	int64_t size, mtime_ns, ino;
};

struct wire_wanted {
	int64_t seq;
	const void *bits; /* bit i (byte i/8, bit i%8): the i-th candidate is not known: judge it */
	size_t bits_len;
};

/* `confirm`: items are put with wire_knowns_add and read with wire_knowns_next. */
struct wire_confirm {
	int64_t serial;
	const char *root;
	const void *items;
	size_t items_len;
};

#define WIRE_KNOWNS_MAX 64 /* in one `confirm` */
struct wire_known {	   /* a version as the ledger has it */
	const char *relpath;
	int64_t size, mtime_ns, ino;
	const char *ends; /* hex or "" */
};

enum wire_verdict {	     /* one byte each in `confirmed` */
	WIRE_SAME = '=',     /* still this version */
	WIRE_SWAPPED = '~',  /* the same size, time and ends in another inode (where inodes are stable) */
	WIRE_REPLACED = '!', /* another version has its name; that is judged like a new file */
	WIRE_GONE = '-',
	WIRE_UNSURE = '?', /* it cannot be told now: permission, I/O error, its folder is missing */
};

struct wire_confirmed {
	int64_t serial;
	const void *verdicts;
	size_t verdicts_len;
};

struct wire_stale {
	const char *root, *relpath;
	int64_t marker_mtime_ns, marker_ino; /* as it was reported with the file */
	int64_t by_listing, first_seen_us;
};

struct wire_list {
	int64_t serial;
	int64_t offset; /* skip so many */
};

struct wire_unsettled {
	int64_t serial;
	int64_t total;
	const void *items; /* JSON objects, a line each */
	size_t items_len;  /* 0: that was all */
};

/* What a command is about: selectors as in interface.md, "" or 0 for none. */
struct wire_command {
	int64_t protocol; /* WIRE_CONTROL_VERSION */
	const char *verb;
	const char *watch, *state, *glob;
	int64_t since_us, until_us; /* wall clock */
	const char *reason;
	int64_t yes; /* do it, do not only say what would be done */
};
#define WIRE_CONTROL_VERSION 1

struct wire_operand {
	const void *bytes;
	size_t bytes_len;
};

struct wire_record {
	const void *json;
	size_t json_len;
};

struct wire_done {
	int64_t status;	  /* exit status for the command line */
	const char *text; /* a sentence for people, or "" */
};

struct wire_explain {
	const char *path;
};

struct wire_explained {
	const char *step; /* "name", "completeness", "type", … */
	int64_t ok;	  /* 1 passes, 0 does not, 2 neither (information) */
	const char *text;
};

enum wire_question {
	WIRE_ASK_TYPE = 0, /* what type is it? */
	WIRE_ASK_END,	   /* it is gzip: how does it end? */
};

struct wire_ask {
	const char *name;  /* file name, for messages only */
	int64_t max_bytes; /* to be looked at; of WIRE_ASK_END: the size */
	int64_t serial;
	int64_t question; /* enum wire_question */
};

struct wire_answer {
	int64_t serial;
	const char *mime; /* "" : it could not tell, or was not asked for it */
	const char *error;
	int64_t end; /* enum gzip_end */
};

struct wire_types {	      /* sniffer's first message: what it is */
	const char *libmagic; /* version text, "libmagic 544" */
	const char *error;    /* "" or why it cannot work */
};

/* A received message: bytes, the decoded struct, descriptors. Large: keep one per channel, not on the stack
 * of a callback. */
struct wire_message {
	enum wire_type type;
	union {
		struct wire_configure configure;
		struct wire_configured configured;
		struct wire_empty empty;
		struct wire_attach attach;
		struct wire_detach detach;
		struct wire_state state;
		struct wire_reloaded reloaded;
		struct wire_restart restart;
		struct wire_hello hello;
		struct wire_file file;
		struct wire_waiting waiting;
		struct wire_scanned scanned;
		struct wire_trouble trouble;
		struct wire_counts counts;
		struct wire_candidates candidates;
		struct wire_wanted wanted;
		struct wire_confirm confirm;
		struct wire_confirmed confirmed;
		struct wire_list list;
		struct wire_stale stale;
		struct wire_unsettled unsettled;
		struct wire_command command;
		struct wire_operand operand;
		struct wire_record record;
		struct wire_done done;
		struct wire_explain explain;
		struct wire_explained explained;
		struct wire_ask ask;
		struct wire_answer answer;
		struct wire_types types;
	} as;
	int fds[SOCK_FDS_MAX]; /* the receiver's; wire_message_close closes what was not taken (set to -1) */
	size_t n_fds;
	char bytes[WIRE_MESSAGE_BYTES];
};

/* "ready", "candidates", …; "?" for an unknown one. */
const char *wire_type_name(enum wire_type type);
/* Encodes the struct that belongs to type. b is reset first. -EMSGSIZE: larger than one datagram, -EINVAL: a
 * string is NULL or too long. */
int wire_encode(enum wire_type type, const void *msg, struct buf *b) MUST_CHECK;
/* Decodes len bytes that lie in m->bytes. -EBADMSG with a sentence, and m->type WIRE_NONE. */
int wire_decode(struct wire_message *m, size_t len, struct err *err) MUST_CHECK;

/* Encode and send. 0, -EAGAIN, -EPIPE, -errno as sock_send, or as wire_encode. */
int wire_send(int fd, enum wire_type type, const void *msg, const int *fds, size_t n_fds) MUST_CHECK;
/* The same, waiting up to five seconds for room. For start-up handshakes only. */
int wire_send_wait(int fd, enum wire_type type, const void *msg, const int *fds, size_t n_fds) MUST_CHECK;
/* Receive and decode. 1: a message; 0: the peer has closed; -EAGAIN; -EBADMSG or -errno with *err. */
int wire_recv(int fd, struct wire_message *m, struct err *err) MUST_CHECK;
void wire_message_close(struct wire_message *m);

/* Adds one candidate to items. -ENOBUFS: full (WIRE_CANDIDATES_BYTES), send first. */
int wire_candidates_add(struct buf *items, const struct wire_candidate *c) MUST_CHECK;
/* Steps through m->items; *pos starts at 0. 1: an item, 0: end, -EBADMSG. */
int wire_candidates_next(const struct wire_candidates *m, size_t *pos, struct wire_candidate *ret) MUST_CHECK;

/* The same for the items of `confirm`. */
int wire_knowns_add(struct buf *items, const struct wire_known *k) MUST_CHECK;
int wire_knowns_next(const struct wire_confirm *m, size_t *pos, struct wire_known *ret) MUST_CHECK;

/*
 * The state page: what a process is doing right now, in memory shared with whoever watches over it. The owner
 * writes, others only read; a torn read is harmless (text is cut at its end). No wake-up, no message.
 */
#define WIRE_PAGE_BYTES 8192
#define WIRE_CALL_US 1000000 /* a slow call; a longer one waits for somebody who does not answer */
struct wire_page {
	int64_t since_us;  /* monotonic; 0: waiting for something to do */
	int64_t progress;  /* counts finished pieces of work */
	int64_t runs;	   /* a dispatcher's: runs started since the service was */
	int64_t round_us;  /* a watcher's that polls: what the last round cost … */
	int64_t pause_us;  /* … and how long after it the next begins; 0: no round yet */
	int64_t unsettled; /* a watcher's: files that are not complete yet */
	int64_t hung_us;   /* a watcher's: of calls that lasted longer than WIRE_CALL_US, what was more */
	char call[64];	   /* "statx", "open", "getdents", "" */
	char path[4096];
	char base[3072]; /* of a path that is not absolute; "" */
};

int wire_page_new(
	struct err *err); /* a memfd of that size, sealed against shrinking and growing; or -errno */
struct wire_page *wire_page_map(
	int fd, bool writable, struct err *err); /* NULL with *err; checks size and seals */
void wire_page_unmap(struct wire_page *p);	 /* takes NULL */
/* p may be NULL (no page). Path is cut at its end. */
void wire_page_enter(struct wire_page *p, const char *call, const char *path);
/* Paths that come after this, and are not absolute, lie below base. */
void wire_page_set_base(struct wire_page *p, const char *base);
void wire_page_leave(struct wire_page *p);

#endif
