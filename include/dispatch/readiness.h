/*
 * readiness: telling the keeper (and it systemd) whether everything is up, and how it stands, in one line. A
 * watch that has not listed after ten seconds (a large tree, a mount that hangs) holds up nobody: the line
 * names it.
 */
#ifndef DISPATCH_READINESS_H
#define DISPATCH_READINESS_H

#include <stdbool.h>
#include <stdint.h>
#include "dispatch/sender.h"

struct jobwatch;
struct watches;

#define READINESS_PATIENCE_US (10 * US_PER_S)

struct readiness {
	int keeper_fd; /* borrowed */
	int64_t began_us, sent_us;
	bool ready;
	char *sent; /* the line; NULL: none yet */
};

struct readiness_view { /* all borrowed */
	const struct watches *watches;
	const struct jobwatch *jobwatch; /* NULL: no job is asked about */
	int64_t expected;		 /* so many watches */
	struct sender_counts counts;
	bool ledger_fails, log_fails;
};

void readiness_init(struct readiness *r, int keeper_fd, int64_t now_us);
void readiness_done(struct readiness *r);
/* Tells when something has changed, at most once a second but for readiness. Returns when it wants to be
 * called again (monotonic), or INT64_MAX. */
int64_t readiness_tell(struct readiness *r, const struct readiness_view *v, int64_t now_us);

#endif
