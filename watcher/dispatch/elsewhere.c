/*
 * elsewhere: asked once for each file that is new to its watch: one look into the index that has directory
 * and relative path in front. There is hardly ever a row; where there are many, the newest are enough, since
 * the version that is there now is among them, or was replaced so long ago that it is a new one.
 */
#include "dispatch/elsewhere.h"

#include <string.h>
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/pathmap.h"
#include "core/token.h"
#include "dispatch/incoming.h"
#include "dispatch/supersede.h"

#define ELSEWHERE_ROWS 64

/* The token that this watch makes for the version of that row. */
static bool has_our_token(
	const struct conf_watch *w, const char *root, const char *relpath, const struct ledger_row *row)
{
	CLEANUP_FREE char *path = fs_join(root, relpath);
	CLEANUP_BUF struct buf uri = BUF_INIT(INCOMING_URI_BYTES);
	char token[TOKEN_BYTES];

	(void)pathmap_apply(w, path, &uri);
	token_make(w->workspace->host_token, w->job_id, row->version.size, row->version.mtime_ns,
		row->generation, buf_str(&uri), (enum conf_version)w->version, token);
	return strcmp(token, row->token) == 0;
}

static enum elsewhere judge_row(struct intake *in, const struct intake_peer *peer,
	const struct ledger_key *key, const char *root, const struct version *now, bool by_listing,
	const struct ledger_row *row)
{
	enum version_relation relation;

	if (conf_watch_find(in->conf, row->watch))
		return ELSEWHERE_NO;
	/* replaced or gone without ever having been sent: there is no run, and nobody has decided anything */
	if (incoming_is_gone(row->state) && !row->sent)
		return ELSEWHERE_NO;
	relation = incoming_relate(peer, &row->version, now, by_listing);
	if (relation != VERSION_SAME && relation != VERSION_HOLD)
		return ELSEWHERE_NO;
	if (row->state == LEDGER_REJECTED)
		return ELSEWHERE_REJECTED;
	return row->token[0] && has_our_token(peer->watch, root, key->relpath, row) ? ELSEWHERE_SAME
										    : ELSEWHERE_OTHER;
}

int elsewhere_find(struct intake *in, const struct intake_peer *peer, const struct ledger_key *key,
	const char *root, const struct version *now, bool by_listing, enum elsewhere *ret, struct err *err)
{
	struct ledger *l = in->behind ? in->behind : in->ledger;
	struct ledger_key there = *key;
	enum elsewhere found = ELSEWHERE_NO;
	int64_t ids[ELSEWHERE_ROWS];
	int rc = in->behind ? ledger_root(l, root, false, &there.root_id, err) : 1;
	int n = rc > 0 ? ledger_elsewhere(l, &there, ids, ELSEWHERE_ROWS, err) : rc;

	for (int i = 0; i < n && found != ELSEWHERE_SAME; i++) {
		struct ledger_row row;
		enum elsewhere one;

		rc = ledger_row(l, ids[i], &row, err);
		if (rc < 0 && rc != -EBADMSG)
			return rc;
		if (rc <= 0) {
			log_error("%s; it is passed over", err->text);
			continue;
		}
		one = judge_row(in, peer, key, root, now, by_listing, &row);
		if (one == ELSEWHERE_SAME || one > found)
			found = one;
		ledger_row_done(&row);
	}
	if (n >= 0)
		*ret = found;
	return n < 0 ? n : 0;
}

int elsewhere_supersede(struct intake *in, const struct ledger_key *key, int64_t now_us, struct err *err)
{
	int64_t ids[ELSEWHERE_ROWS];
	int n = ledger_elsewhere(in->ledger, key, ids, ELSEWHERE_ROWS, err);

	for (int i = 0; i < n; i++) {
		struct ledger_row row;
		int rc = ledger_row(in->ledger, ids[i], &row, err);

		if (rc == -EBADMSG)
			continue; /* said above */
		if (rc > 0) {
			if ((row.state == LEDGER_PENDING || row.state == LEDGER_HELD) && !row.sent &&
				!conf_watch_find(in->conf, row.watch))
				rc = supersede_row(in->ledger, in->scribe, &row,
					"another watch has its directory now, and the file", now_us, err);
			ledger_row_done(&row);
		}
		if (rc < 0)
			return rc;
	}
	return n < 0 ? n : 0;
}
