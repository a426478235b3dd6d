/*
 * recheck: compares as a listing does, because a confirmation comes late and without an event. A name that is
 * missing below a folder that is there is gone; anything else that cannot be told is said to be unsure, and
 * the dispatcher asks again later.
 */
#include "sense/recheck.h"

#include <errno.h>
#include <string.h>
#include "base/fs.h"
#include "core/rules.h"
#include "core/version.h"
#include "sense/away.h"
#include "sense/probe.h"
#include "sense/symlink.h"
#include "sense/walk.h"

static bool recheck_find_root(const struct sense *s, const char *path, size_t *ret)
{
	for (size_t i = 0; i < s->roots_n; i++) {
		if (strcmp(s->roots[i].path, path) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* What does it mean that the name cannot be looked at? */
static enum wire_verdict recheck_unseen(
	struct sense *s, size_t root, int root_fd, const struct wire_known *k, int code)
{
	bool gone = code == ENOENT || code == ENOTDIR || code == ELOOP || code == EXDEV;

	return gone && !away_may_hide(s, root, root_fd, k->relpath) ? WIRE_GONE : WIRE_UNSURE;
}

static enum version_relation recheck_compare(
	const struct sense *s, const struct version *known, const struct version *now)
{
	enum version_relation relation =
		version_compare(known, now, VERSION_BY_LISTING, (enum conf_version)s->watch->version, false);

	return s->watch->ends ? relation : version_without_ends(relation);
}

/* The size is equal, and the time is not: fills the ends. 0 or -errno */
static int recheck_ends(struct sense *s, size_t root, int root_fd, const char *relpath, struct version *now)
{
	struct probe_stat st;
	CLEANUP_FD int fd = symlink_open(s, root, root_fd, relpath);
	int rc;

	if (fd < 0)
		return fd;
	rc = probe_fd(fd, relpath, s->page, &st);
	if (rc < 0 || !st.is_regular)
		return rc < 0 ? rc : -ENOENT;
	now->size = st.look.size;
	now->mtime_ns = st.look.mtime_ns;
	return probe_ends(fd, st.look.size, relpath, s->page, now->ends);
}

static enum wire_verdict recheck_one(
	struct sense *s, size_t root, int root_fd, const struct wire_known *k, struct version *now)
{
	struct version known = {.size = k->size, .mtime_ns = k->mtime_ns, .ino = (uint64_t)k->ino};
	enum version_relation relation;
	struct probe_stat st;
	bool stable;
	int rc = symlink_look(s, root, root_fd, k->relpath, true, &st);

	if (rc < 0)
		return recheck_unseen(s, root, root_fd, k, -rc);
	if (!st.is_regular)
		return WIRE_GONE;
	*now = (struct version){.size = st.look.size, .mtime_ns = st.look.mtime_ns, .ino = st.look.ino};
	if (strlen(k->ends) < sizeof(known.ends))
		memcpy(known.ends, k->ends, strlen(k->ends) + 1);
	relation = recheck_compare(s, &known, now);
	if (relation == VERSION_ENDS) {
		rc = recheck_ends(s, root, root_fd, k->relpath, now);
		if (rc < 0)
			return recheck_unseen(s, root, root_fd, k, -rc);
		relation = recheck_compare(s, &known, now);
	}
	if (relation != VERSION_SAME)
		return WIRE_REPLACED;
	stable = s->roots[root].mount && s->roots[root].mount->kind.inodes_stable;
	return stable && known.ino != 0 && known.ino != now->ino ? WIRE_SWAPPED : WIRE_SAME;
}

void recheck_answer(struct sense *s, const struct wire_confirm *m)
{
	char verdicts[WIRE_KNOWNS_MAX];
	struct wire_confirmed answer = {.serial = m->serial, .verdicts = verdicts};
	struct wire_known k;
	size_t root = 0, pos = 0;
	bool known_root = recheck_find_root(s, m->root, &root);

	while (answer.verdicts_len < sizeof(verdicts) && wire_knowns_next(m, &pos, &k) > 0) {
		/* asked for each: the folder may go away between two files */
		int root_fd = known_root && s->roots[root].dir ? sense_root_fd(s, root) : -ESTALE;
		enum wire_verdict verdict = WIRE_UNSURE;
		struct version now;

		if (root_fd < 0 && known_root && s->roots[root].dir)
			sense_root_unopened(s, root, -root_fd);
		if (root_fd >= 0)
			verdict = recheck_one(s, root, root_fd, &k, &now);
		if (verdict == WIRE_REPLACED && rules_judge_name(s->watch, k.relpath, NULL) == RULES_LOOK)
			walk_found(s->walk, root,
				&(struct wire_candidate){.relpath = k.relpath,
					.size = now.size,
					.mtime_ns = now.mtime_ns,
					.ino = (int64_t)now.ino});
		verdicts[answer.verdicts_len++] = (char)verdict;
	}
	outlet_send(s->outlet, WIRE_CONFIRMED, &answer);
}
