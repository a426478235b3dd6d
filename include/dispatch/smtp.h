/*
 * smtp: hands a mail to a mail server: libcurl makes the line (dispatch/exchange), core/smtp_talk says what
 * is said over it. One mail at a time; it tries nothing again.
 *
 * A password is never sent in clear, but to this machine: to any other server by smtp://, STARTTLS must be.
 * Without one, STARTTLS is used where it is offered, but on this machine, where nobody is in between and
 * certificates name something else. Wherever there is TLS the certificate is verified.
 */
#ifndef DISPATCH_SMTP_H
#define DISPATCH_SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/loop.h"
#include "base/secret.h"
#include "core/smtp_talk.h"
#include "dispatch/transport.h"

struct smtp;

struct smtp_options {
	const char *url;	     /* smtp://HOST[:PORT] or smtps://HOST[:PORT]; copied */
	const char *username;	     /* NULL: does not sign in; borrowed */
	struct transport *transport; /* borrowed; NULL: the system's authorities */
	int64_t timeout_us;	     /* of the whole delivery */
};

/* Borrowed until the answer. */
struct smtp_mail {
	const char *from; /* addresses, as core/mailbox has them */
	const char *const *to;
	size_t to_n;
	const char *bytes; /* of core/mime */
	size_t len;
	struct secret *password; /* or NULL; a reference is taken */
};

struct smtp_answer {
	enum smtp_fate fate; /* never SMTP_UNKNOWN: a lost line is SMTP_AGAIN */
	bool denied;	     /* user name or password are not taken */
	const char *words;   /* unless delivered: one sentence, without secrets */
	/* What was said about each recipient; NULL: it did not come so far. */
	const struct smtp_talk *talk;
};

/* Borrowed during the call, from inside which nothing of this may be called. */
typedef void (*smtp_answer_fn)(const struct smtp_answer *answer, void *arg);

/* NULL with *err. */
struct smtp *smtp_new(struct loop *loop, const struct smtp_options *o, struct err *err);
void smtp_free(struct smtp *s); /* takes NULL; what is under way is given up without fn */
/* None is under way. fn is called once, later, never from inside; -errno with *err: it is not. Does not
 * block. */
int smtp_send(struct smtp *s, const struct smtp_mail *mail, smtp_answer_fn fn, void *arg,
	struct err *err) MUST_CHECK;

/* Do a server's words repeat the password of the mail under way, as it is or as it was sent? Then they must
 * not be shown. (What smtp_answer has was looked at.) */
bool smtp_is_telling(const struct smtp *s, const char *words);

#endif
