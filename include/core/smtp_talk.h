/*
 * smtp_talk: what is said to a mail server once it knows us: MAIL, RCPT for each address, DATA, the mail,
 * QUIT; and what its answers mean. Pure: bytes in, bytes out. Source: RFC 5321.
 *
 * A recipient that is refused does not keep the others from getting the mail.
 */
#ifndef CORE_SMTP_TALK_H
#define CORE_SMTP_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

#define SMTP_TALK_LINE_BYTES 2048 /* of an answer; RFC 5321 4.5.3.1.5 has 512 */
#define SMTP_TALK_LINES_MAX 200	  /* of one answer */
#define SMTP_WORDS_BYTES 256

struct smtp_reply {
	int code;		      /* 200..599; 0: none came */
	char words[SMTP_WORDS_BYTES]; /* "550 5.1.1 unknown user": fit for a log */
};

struct smtp_talk;

/* Addresses (as core/mailbox has them) and mail (CRLF lines, its end included) are borrowed. */
struct smtp_talk *smtp_talk_new(
	const char *from, const char *const *to, size_t to_n, const char *mail, size_t mail_len);
void smtp_talk_free(struct smtp_talk *t); /* takes NULL */

/* What is to be sent now: *ret_len bytes, 0: nothing. Borrowed until the next call. */
const char *smtp_talk_out(const struct smtp_talk *t, size_t *ret_len);
/* n of these bytes were sent. */
void smtp_talk_sent(struct smtp_talk *t, size_t n);
/* The server said this. -EBADMSG with *err: that is no SMTP. */
int smtp_talk_take(struct smtp_talk *t, const char *p, size_t n, struct err *err) MUST_CHECK;
/* All that matters is known: what is still to be sent is QUIT, whose answer nobody waits for. */
bool smtp_talk_is_over(const struct smtp_talk *t);
/* In words, what an answer is waited for: "MAIL FROM". */
const char *smtp_talk_stage(const struct smtp_talk *t);

enum smtp_fate {
	SMTP_UNKNOWN,	/* it has not come so far */
	SMTP_DELIVERED, /* the server has it for all recipients that it takes, and for one at least */
	SMTP_AGAIN,	/* it does not take it now; or takes no address of ours */
	SMTP_REFUSED,	/* it does not take this mail */
};

enum smtp_fate smtp_talk_fate(const struct smtp_talk *t);
/* The answer that this follows from, unless delivered. Borrowed. */
const struct smtp_reply *smtp_talk_reply(const struct smtp_talk *t);
/* Of the i-th recipient. */
const struct smtp_reply *smtp_talk_recipient(const struct smtp_talk *t, size_t i);

#endif
