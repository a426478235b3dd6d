/*
 * look: what is known of the job of one watch, and what follows from it: whether its files are held, whether
 * its watcher may start, what is written. The inside of dispatch/jobwatch, which decides when to look.
 */
#ifndef DISPATCH_LOOK_H
#define DISPATCH_LOOK_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "core/conf.h"
#include "core/findings.h"
#include "dispatch/jobgone.h"
#include "dispatch/jobwatch.h"
#include "dispatch/lookup.h"

struct look {
	const struct jobwatch_options *o;
	struct jobwatch *all; /* the caller's */
	struct conf_watch *watch;
	struct lookup *open;
	bool wanted;	 /* is of a chosen watch */
	bool first;	 /* nothing is known yet, and files are held for that */
	bool started;	 /* its watcher may run */
	unsigned failed; /* looks in a row that found nothing out, or an error */
	int64_t next_us; /* monotonic */
	enum lookup_end end;
	bool asked;
	int64_t checked_us;
	char *job_name;
	struct findings findings;
	char *unknown;
	bool no_entry; /* that was the credential */
	/* to be written */
	bool write_id, write_good, write_moving, good;
	bool moving;
	struct jobgone gone;
};

/* The number that the ledger has for the watch's job_name; 0: none. 0 or -errno */
int look_recall_id(const struct conf_watch *w, struct ledger *l, int64_t *ret, struct err *err) MUST_CHECK;
/* What the ledger has; o, watch and wanted are set. */
int look_recall(struct look *l, struct err *err) MUST_CHECK;
/* What follows without asking; all looks were recalled. */
void look_begin(struct look *l);
void look_done(struct look *l);
/* What was found out, or why nothing was. */
void look_take(struct look *l, const struct lookup_answer *a);
void look_take_nothing(struct look *l, const char *words);
/* Files need not wait for the first look any more. */
void look_is_over(struct look *l);
/* Are there waiting rows to be gone through? */
bool look_is_moving(const struct look *l);
bool look_has_work(const struct look *l);
/* In the transaction. May be repeated after it was given up. */
int look_apply(struct look *l, struct err *err) MUST_CHECK;
/* After the commit. Returns how many files became dead letters. */
int64_t look_committed(struct look *l);

#endif
