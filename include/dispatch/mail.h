/*
 * mail: a courier's way: a mail about each event, or about a digest, by SMTP. See doc/notifications.md.
 */
#ifndef DISPATCH_MAIL_H
#define DISPATCH_MAIL_H

#include "dispatch/courier.h"

extern const struct courier_way mail_way;

#endif
