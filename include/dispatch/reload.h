/*
 * reload: asked for; the new configuration comes in; what is on its way is let finish, then the new one takes
 * the place of the old (by the dispatcher); its event is written. One that needs other paths than this
 * process may open (dispatch/confined) is tried by a process of the keeper's, and taken over by the next
 * dispatcher.
 */
#ifndef DISPATCH_RELOAD_H
#define DISPATCH_RELOAD_H

#include <stdbool.h>
#include <stdint.h>
#include "core/conf.h"
#include "core/wire.h"
#include "dispatch/desk.h"

enum reload_phase {
	RELOAD_NONE,
	RELOAD_ASKED,
	RELOAD_RECEIVING,
	RELOAD_TRYING,
	RELOAD_DRAINING,
	RELOAD_DONE
};

struct reload {
	int keeper_fd;
	struct desk *desk; /* told how it ends */
	enum reload_phase phase;
	struct conf *conf;
	struct conf_mistakes mistakes;
	bool anew;	 /* it needs paths that this process may not open: another one takes over */
	int64_t watches; /* that will be attached */
	char *hash;
	char user[64]; /* who asked */
	char *reason;
	int64_t by_us; /* draining ends then */
};

void reload_init(struct reload *r, int keeper_fd, struct desk *desk);
/* Back to the beginning. */
void reload_done(struct reload *r);
/* Has the keeper read the files anew. -EBUSY: it is being done already; -errno */
int reload_ask(struct reload *r, const struct control_request *request);
/* The keeper has read the files, or could not. */
void reload_begin(struct reload *r, const struct wire_reloaded *m);
void reload_set(struct reload *r, const struct wire_configure *m);
/* All of it is there. */
void reload_take_end(struct reload *r, const struct wire_configured *m);
/* It can only be tried, and worked with, by another process: the keeper starts one that tries. */
void reload_try(struct reload *r);
/* That one has ended: can it be worked with? Else the reload has ended. */
bool reload_tried(struct reload *r, const struct wire_reloaded *m);
/* It can be worked with: until by_us what is on its way may finish. */
void reload_drain(struct reload *r, int64_t by_us);
/* It was read, and cannot be used: the running one stays. */
void reload_refuse(struct reload *r, const char *why);
void reload_tell_keeper(struct reload *r, int status);
/* Tells those who wait for it how the reload has ended. */
void reload_end(struct reload *r, int64_t status, const char *text);

#endif
