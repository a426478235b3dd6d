/*
 * operate: the verbs that change rows: release, retry, drop, rerun. Their host is a struct desk.
 */
#ifndef DISPATCH_OPERATE_H
#define DISPATCH_OPERATE_H

#include "dispatch/control.h"

#define OPERATE_CHUNK 256 /* rows in one transaction */

extern const struct control_verb operate_release, operate_retry, operate_drop, operate_rerun;

#endif
