/*
 * poll: when the polled directories are listed again. How is the walk's business.
 */
#ifndef SENSE_POLL_H
#define SENSE_POLL_H

#include <stdint.h>
#include "sense/state.h"

struct poll *poll_new(struct sense *s);
void poll_free(struct poll *p); /* takes NULL */
/* There are polled directories. Cheap: called for each. */
void poll_wake(struct poll *p);
/* A round has ended, after so much time spent on listing. */
void poll_ended(struct poll *p, int64_t cost_us);

#endif
