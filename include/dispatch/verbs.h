/*
 * verbs: the table of all that the control socket can be asked, and those verbs that act on a watch or on the
 * service as a whole. Their host is a struct desk.
 */
#ifndef DISPATCH_VERBS_H
#define DISPATCH_VERBS_H

#include <stddef.h>
#include "dispatch/control.h"

extern const struct control_verb *const verbs_table[];
extern const size_t verbs_n;

#endif
