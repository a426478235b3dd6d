/*
 * takeover: the verb `adopt`. Its host is a struct desk.
 */
#ifndef DISPATCH_TAKEOVER_H
#define DISPATCH_TAKEOVER_H

#include "dispatch/control.h"

extern const struct control_verb takeover_adopt;

#endif
