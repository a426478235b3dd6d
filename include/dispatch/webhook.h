/*
 * webhook: a courier's way: a POST of the event as it is, or of webhook_body filled with its fields. See
 * doc/notifications.md for what a receiver gets and which answers mean what.
 */
#ifndef DISPATCH_WEBHOOK_H
#define DISPATCH_WEBHOOK_H

#include <sys/types.h>
#include "core/conf.h"
#include "dispatch/courier.h"
#include "dispatch/http.h"

extern const struct courier_way webhook_way;

/* What an answer of the receiver at url means. words: room for the words of ret; nothing of what is secret in
 * url and conf comes into them. */
void webhook_judge(const struct conf_notify *conf, const char *url, const struct http_response *r,
	struct courier_answer *ret, char words[COURIER_WORDS_BYTES]);

#endif
