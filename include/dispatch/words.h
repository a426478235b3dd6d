/*
 * words: what a server says in an answer that is not the one that was hoped for, from its body, its head or
 * its status, as text for people. Pure.
 */
#ifndef DISPATCH_WORDS_H
#define DISPATCH_WORDS_H

#include <stddef.h>
#include "base/secret.h"
#include "dispatch/answer.h"
#include "dispatch/http.h"

/* Code and message of an answer with any status but 2xx; the message is never empty. r->transport is OK. */
void words_read(const struct http_response *r, struct answer *ret);

/* A server that shows the request in its error page would bring the credential into the log: overwrites each
 * place of message where these len bytes stand, or begin to before the message ends. Fewer than 8 bytes are
 * left alone: they are no credential, and would be found everywhere. */
void words_blot(char *message, const char *bytes, size_t len);
/* The same for the credential in a header line "Name: SCHEME CREDENTIAL". NULL: nothing. */
void words_blot_header(char *message, const struct secret *line);

#endif
