/*
 * confirm: asks the watcher of one watch whether files are still the versions that the ledger has. It gathers
 * questions, sends them in batches with one message on its way at a time, and hands the verdicts out. It
 * knows neither why somebody asks nor what follows.
 */
#ifndef DISPATCH_CONFIRM_H
#define DISPATCH_CONFIRM_H

#include <stdbool.h>
#include <stdint.h>
#include "core/wire.h"
#include "dispatch/link.h"

struct confirm;

/* id: as given to confirm_ask. Called once a question, never from inside confirm_ask. May ask again. */
typedef void (*confirm_fn)(int64_t id, enum wire_verdict verdict, void *arg);

/* Is what the watcher says about files of this directory worth anything? root: as given to confirm_ask. */
typedef bool (*confirm_trust_fn)(const char *root, void *arg);

struct confirm *confirm_new(void);
void confirm_free(struct confirm *c); /* takes NULL; no question is answered any more */

/* The watcher has come (link: borrowed) or gone (NULL). What was asked of the one before is answered
 * WIRE_UNSURE now. */
void confirm_attach(struct confirm *c, struct link *link);
/* Nobody waits for verdicts any more: what was asked is answered to nobody. */
void confirm_forget(struct confirm *c);
/* Where trust says no everything is answered WIRE_UNSURE. NULL (as at first): it is always trusted. */
void confirm_set_trust(struct confirm *c, confirm_trust_fn trust, void *arg);
bool confirm_is_attached(const struct confirm *c);
/* Is a watcher there, and room for another question? */
bool confirm_may_ask(const struct confirm *c);
/* known is copied. root: a configured directory of the watch, kept by the caller. -EBUSY: confirm_may_ask
 * says no. */
int confirm_ask(struct confirm *c, int64_t id, const char *root, const struct wire_known *known,
	confirm_fn fn, void *arg) MUST_CHECK;
/* Sends what was gathered, if nothing is on its way. */
void confirm_flush(struct confirm *c);
/* Takes the watcher's answer and hands out its verdicts. -EBADMSG: it answers nothing that was asked, and the
 * watcher is at fault. */
int confirm_take(struct confirm *c, const struct wire_confirmed *m) MUST_CHECK;

#endif
