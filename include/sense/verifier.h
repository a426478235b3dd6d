/*
 * verifier: verify = yes. Is the end of a settled file there (core/trailer)? What the last bytes tell is told
 * at once. A gzip file is unpacked for it by a sniffer of its own, one file at a time in the order in which
 * they settled, while everything else goes on; that sniffer is there only as long as there is something to
 * unpack.
 *
 * What was found is kept with the file (unsettled_file.end) and holds for the state that was looked at: a
 * file that changes is asked about again. Checking one file that is not finished takes at most a tenth of the
 * time, so that one which grows in many steps is not unpacked from its beginning after each.
 */
#ifndef SENSE_VERIFIER_H
#define SENSE_VERIFIER_H

#include <stdbool.h>
#include <stdint.h>
#include "core/trailer.h"
#include "sense/probe.h"
#include "sense/state.h"

struct verifier *verifier_new(struct sense *s);
void verifier_free(struct verifier *v); /* takes NULL */

enum verifier_says {
	VERIFIER_PASS,	  /* its end is there, or cannot be judged */
	VERIFIER_MISSING, /* f->end.missing says what */
	VERIFIER_ASKED,	  /* it is being unpacked, or will be: f is scheduled when that is known */
	VERIFIER_UNREAD,  /* it could not be read */
};
/* f is settled and open as fd, st is how it was looked at just now. VERIFIER_MISSING: *ret_again_us is when
 * it is worth another look, 0: when a listing meets it or an event tells of it. May block on a dead mount. */
enum verifier_says verifier_look(struct verifier *v, struct unsettled_file *f, int fd, const char *relpath,
	const struct probe_stat *st, int64_t *ret_again_us);
/* Is something unpacked, or about to be? */
bool verifier_is_busy(const struct verifier *v);
/* f is about to leave the table. */
void verifier_forget(struct verifier *v, struct unsettled_file *f);

/* What the last bytes of fd say, for `explain` and verifier_look. 0 or -errno. */
int verifier_judge(
	struct verifier *v, int fd, int64_t size, const char *path, struct trailer *ret) MUST_CHECK;

#endif
