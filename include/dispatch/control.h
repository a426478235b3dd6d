/*
 * control: the control socket, RUNTIME_DIRECTORY/control.sock. It accepts clients, takes their commands apart
 * and together again, and carries answers to them; what a verb means is said by a table of verbs.
 *
 * A client sends `command`, any number of `operand`, and `go`; it gets any number of `record` (one JSON
 * object each) and one `done`, and may then send the next command. Whoever may connect may do everything: the
 * socket belongs to the service's user and group, mode 0660. What comes from a client is checked all the
 * same.
 *
 * Nobody waits for a client: one message for it is kept until its socket takes it, and only then the verb is
 * asked for the next. Who is silent in the middle of a command, or does not read, is dropped. A command that
 * changes something and has been received whole is carried out even if its client goes away.
 */
#ifndef DISPATCH_CONTROL_H
#define DISPATCH_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

#define CONTROL_SOCKET "control.sock"
#define CONTROL_CLIENTS_MAX 32
#define CONTROL_OPERANDS_MAX 10000		/* of one command */
#define CONTROL_OPERANDS_BYTES (1024u * 1024)	/* of one command, all together */
#define CONTROL_ALL_BYTES (8u * 1024 * 1024)	/* of all clients */
#define CONTROL_IDLE_US (30 * INT64_C(1000000)) /* silent, or not reading */
#define CONTROL_WORD_BYTES 4096			/* longest watch, glob or reason */
#define CONTROL_RECORD_BYTES (60u * 1024)	/* longest record */

struct control;

struct control_operand {
	char *bytes; /* len of them and a NUL; may hold any byte but NUL */
	size_t len;
};

struct control_request { /* a whole command; texts are never NULL, "" none */
	char *verb, *watch, *state, *glob, *reason;
	int64_t since_us, until_us; /* wall clock; 0 none */
	bool yes;
	struct control_operand *operands;
	size_t operands_n;
	char user[64]; /* who asks: name, or its number */
};

struct control_job { /* a command being carried out */
	const struct control_request *request;
	void *host;		   /* as given to control_new */
	void *state;		   /* control_verb.state_bytes of its own, zero at the beginning */
	int64_t wake_at_us;	   /* monotonic: ask `next` again then, even if nobody wakes it; 0: not */
	int64_t status;		   /* of `done`: exit status … */
	char text[ERR_TEXT_BYTES]; /* … and a sentence for people */
};

enum { CONTROL_AGAIN = 1 };

struct control_verb {
	const char *name;
	size_t state_bytes;
	/* Looks at the request. -errno with *err: refused. */
	int (*open)(struct control_job *j, struct err *err);
	/* NULL: it changes nothing. Makes one piece of the change inside the caller's transaction, which may
	 * be given up: what is to be remembered is remembered by committed. CONTROL_AGAIN: there is more to
	 * do (in the next transaction), 0: that was all, -errno: the ledger failed. */
	int (*apply)(struct control_job *j, struct err *err);
	void (*committed)(struct control_job *j);
	/* NULL: no records. Puts one JSON object into json (empty). 1: so it is, 0: no more, -EAGAIN: nothing
	 * now (control_wake, or wake_at_us), -EINPROGRESS: nothing yet, ask again in the next round,
	 * -errno with *err: the answer ends here, with failure. Called only after all of apply. */
	int (*next)(struct control_job *j, struct buf *json, struct err *err);
	void (*close)(struct control_job *j); /* may be NULL; in any case after a successful open */
};

struct control_options {
	struct loop *loop;
	const char *directory;
	const struct control_verb *const *verbs;
	size_t verbs_n;
	void *host;
	int64_t idle_us; /* 0: CONTROL_IDLE_US */
};

/* Listens. The directory is made if it is missing (one level); a socket of somebody who is gone is replaced:
 * the caller holds the lock that says that nobody else is using it. Everything borrowed. NULL with *err. */
struct control *control_new(const struct control_options *o, struct err *err);
/* Takes NULL. Clients are let go, the socket is removed. */
void control_free(struct control *c);
/* Another process is to take this one's place: the socket is left where it is, and refuses until that one
 * listens, so that who asks meanwhile knows that it is worth waiting. */
void control_leave(struct control *c);

/* The changes that wait for a transaction, as the dispatcher's other parts have it. */
bool control_has_work(const struct control *c);
int control_apply(struct control *c, struct err *err) MUST_CHECK;
void control_committed(struct control *c);
void control_undo(struct control *c);

/* What `done` will say. */
void control_say(struct control_job *j, int64_t status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A job that had nothing to say may have something now; it is asked in the next round. */
void control_wake(struct control *c);
/* Is an answer under way, or to come? */
bool control_owes(const struct control *c);

#endif
