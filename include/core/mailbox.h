/*
 * mailbox: an address of mail as people write it: ops@example.com, or Night shift <ops@example.com>. Pure.
 *
 * The address is ASCII, as SMTP without SMTPUTF8 has it: a name of a domain in letters of other scripts is
 * written as xn--…. The name in front may be any UTF-8 text.
 */
#ifndef CORE_MAILBOX_H
#define CORE_MAILBOX_H

#include "base/err.h"

#define MAILBOX_ADDRESS_BYTES 255 /* RFC 5321, 4.5.3.1.3: 256 with the brackets */
#define MAILBOX_NAME_BYTES 256

struct mailbox {
	char address[MAILBOX_ADDRESS_BYTES];
	char name[MAILBOX_NAME_BYTES]; /* "" none */
};

/* -EINVAL with a sentence (class ERR_CONF) that quotes what is wrong. Local part: a dot-atom of at most 64
 * bytes; domain: labels of letters, digits and hyphens, or [ADDRESS]. Sources: RFC 5321 4.1.2, RFC 5322 3.4.
 */
int mailbox_parse(const char *text, struct mailbox *ret, struct err *err) MUST_CHECK;

#endif
