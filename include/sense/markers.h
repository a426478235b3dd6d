/*
 * markers: complete = marker. Which marker a settled file waits for, whether it is there and counts, and who
 * waits for one that has just been seen.
 *
 * Within the watched folders a marker is announced by an event or met in a listing. One that lies elsewhere
 * (an absolute path) is found by listing its directory every poll_interval, as long as somebody waits for it.
 */
#ifndef SENSE_MARKERS_H
#define SENSE_MARKERS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "core/marker.h"
#include "sense/probe.h"
#include "sense/state.h"

struct markers;
struct markers *markers_new(struct sense *s);
void markers_free(struct markers *m); /* takes NULL */
/* Is the marker of f (relpath, and as it was looked at) there, whole, and does it count? Then what it was is
 * in *ret. Else f is among those that wait for it, what is missing is added to lacks, and *ret_again_us is
 * when to ask again (0: when the marker is seen). May block on a dead mount. */
bool markers_allow(struct markers *m, struct unsettled_file *f, const char *relpath,
	const struct probe_stat *st, struct marker *ret, int64_t *ret_again_us, struct buf *lacks);
/* A name that may be a marker was seen in d: who waits for it is looked at again. */
void markers_seen(struct markers *m, const struct tree_dir *d, const char *name);
/* f is about to leave the table. */
void markers_forget(struct markers *m, struct unsettled_file *f);
/* The dispatcher: that marker had counted for the version before. */
void markers_used(struct markers *m, const struct wire_stale *stale);
/* The absolute path of the marker of a file of root into b; -EINVAL: it cannot be (a name with "..", too
 * long). */
int markers_add_path(const struct sense *s, size_t root, const char *relpath, const struct probe_stat *st,
	struct buf *b) MUST_CHECK;

#endif
