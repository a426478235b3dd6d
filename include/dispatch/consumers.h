/*
 * consumers: how each consumer ([notify:NAME]) is, for `status`, and its files, for `check`.
 */
#ifndef DISPATCH_CONSUMERS_H
#define DISPATCH_CONSUMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/json.h"
#include "core/conf.h"
#include "dispatch/courier.h"

/* Writes the i-th as a record. False: there are no more. */
bool consumers_add_json(const struct couriers *c, size_t i, struct json_writer *w);

/* Are its files there, with a good mode and owner, and with a good content if this user may read them?
 * service: who will run the service, or SECRETFILE_ANYBODY. 0, then *err may say what could not be looked at;
 * -errno with *err: the service would not start. */
int consumers_look(const struct conf_notify *n, uid_t service, struct err *err) MUST_CHECK;

#endif
