/*
 * candidates: a glance at the newest row is enough for a file that is known and unchanged; only the others
 * are looked at closer.
 */
#include "dispatch/candidates.h"

#include <string.h>
#include "dispatch/elsewhere.h"

struct listing { /* one `candidates` */
	struct ledger_key key;
	const char *root;
	const char *rules_hash;
	enum baseline_stage stage;
};

/* Is a file that is not known one that was there before? */
static bool is_existing(const struct intake_peer *peer, const struct listing *l)
{
	return l->stage == BASELINE_LOST || ((l->stage == BASELINE_FIRST || l->stage == BASELINE_CONTINUED) &&
						    peer->watch->existing != CONF_EXISTING_RUN);
}

/* A file that is not to be started by this listing: recorded. 0: it is not looked at; 1: it is held, and
 * looked at now, so that it can be released; -errno */
static int insert_placeholder(struct intake *in, const struct intake_peer *peer, const char *why, bool skip,
	const struct ledger_key *key, const struct version *v, int64_t now_us, struct err *err)
{
	const struct conf_watch *w = peer->watch;
	struct ledger_new row = {
		.key = *key,
		.version = *v,
		.mime = "",
		.evidence = "",
		.first_seen_us = now_us,
		.completed_us = now_us,
		.state = skip ? LEDGER_SKIPPED : LEDGER_HELD,
		.reason = why,
		.detail = incoming_hold_words(why),
		.rules_hash = skip ? "" : LEDGER_RULES_LOOK,
		.token = "",
		.generation = INCOMING_GENERATION,
		.workspace = w->workspace->name,
		.host = w->workspace->host_token,
		.job_id = w->job_id,
		.uri = "",
		.now_us = now_us,
	};
	int64_t id;
	int rc = ledger_insert(in->ledger, &row, &id, err);

	return rc < 0 ? rc : !skip;
}

/* A file that this watch does not know. 1: wanted, 0: not, -errno */
static int judge_unknown(struct intake *in, const struct intake_peer *peer, const struct listing *l,
	const struct ledger_key *key, const struct version *now, int64_t now_us, struct err *err)
{
	bool existing = is_existing(peer, l);
	bool skip = existing && l->stage == BASELINE_FIRST && peer->watch->existing == CONF_EXISTING_SKIP;
	enum elsewhere elsewhere;
	int rc = elsewhere_find(in, peer, key, l->root, now, true, &elsewhere, err);

	if (rc < 0)
		return rc;
	if (elsewhere == ELSEWHERE_SAME && in->dry)
		return 0; /* its rows would go over */
	if (elsewhere == ELSEWHERE_SAME)
		return 1;
	if (elsewhere == ELSEWHERE_OTHER && !skip)
		return insert_placeholder(in, peer, INTAKE_KNOWN_BEFORE, false, key, now, now_us, err);
	if (!existing)
		return 1;
	return insert_placeholder(in, peer, l->stage == BASELINE_LOST ? INCOMING_LOST : INCOMING_EXISTING,
		skip, key, now, now_us, err);
}

/* Nearly all files of a listing are known and unchanged; that needs no more than a glance. 1: so it is, 0:
 * look closer, -errno */
static int is_known(struct intake *in, const struct intake_peer *peer, const struct listing *l,
	const struct ledger_key *key, const struct version *now, struct err *err)
{
	struct version known = {.size = 0};
	struct ledger_glance glance;
	int rc = ledger_glance(in->ledger, key, &glance, err);

	if (rc <= 0)
		return rc;
	census_met(in->census, peer->watch, glance.id);
	known.size = glance.size;
	known.mtime_ns = glance.mtime_ns;
	return incoming_relate(peer, &known, now, true) == VERSION_SAME &&
	       (glance.rules_hash[0] == '\0' || strcmp(glance.rules_hash, l->rules_hash) == 0);
}

/* 1: wanted, 0: not, -errno */
static int judge_candidate(struct intake *in, const struct intake_peer *peer, const struct listing *l,
	const struct wire_candidate *c, int64_t now_us, struct err *err)
{
	struct version now = {.size = c->size, .mtime_ns = c->mtime_ns, .ino = (uint64_t)c->ino};
	struct ledger_key key = l->key;
	struct ledger_known known;
	bool is_here;
	int rc;

	key.relpath = c->relpath;
	rc = is_known(in, peer, l, &key, &now, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = incoming_find_newest(in, &key, l->root, &known, &is_here, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return judge_unknown(in, peer, l, &key, &now, now_us, err);
	if (incoming_relate(peer, &known.version, &now, true) != VERSION_SAME)
		return 1;
	return incoming_is_gone(known.state) || strcmp(known.reason, INTAKE_RELEASED) == 0 ||
	       (known.state == LEDGER_HELD && incoming_is_placeholder(&known)) ||
	       (known.state == LEDGER_REJECTED && strcmp(known.rules_hash, l->rules_hash) != 0);
}

static int judge_candidates(struct intake *in, const struct intake_peer *peer, const struct wire_message *m,
	const struct listing *l, int64_t now_us, struct intake_result *ret, struct err *err)
{
	const struct wire_candidates *list = &m->as.candidates;
	uint8_t bits[WIRE_CANDIDATES_MAX / 8] = {0};
	struct wire_candidate c;
	size_t pos = 0, n = 0;
	int rc;

	while ((rc = wire_candidates_next(list, &pos, &c)) > 0) {
		if (n == WIRE_CANDIDATES_MAX)
			return incoming_blame(err, peer, m->type, "too many files");
		if (!incoming_is_relpath(c.relpath) || c.size < 0)
			return incoming_blame(err, peer, m->type, "a file that cannot be");
		rc = l->stage == BASELINE_SUSPENDED ? 0 : judge_candidate(in, peer, l, &c, now_us, err);
		if (rc < 0)
			return rc;
		if (rc > 0)
			bits[n / 8] |= (uint8_t)(1u << (n % 8));
		n++;
	}
	if (rc < 0)
		return incoming_blame(err, peer, m->type, "a damaged list");
	ret->wanted = true;
	ret->seq = list->seq;
	buf_reset(&ret->bits);
	return buf_add(&ret->bits, bits, (n + 7) / 8);
}

int candidates_take(struct intake *in, struct intake_peer *peer, const struct wire_message *m, int64_t now_us,
	struct intake_result *ret, struct err *err)
{
	const struct wire_candidates *list = &m->as.candidates;
	struct listing l = {
		.root = list->root, .rules_hash = list->rules_hash, .key.watch = peer->watch->name};
	size_t i;
	int rc;

	if (!incoming_find_root(peer->watch, list->root, &i))
		return incoming_blame(err, peer, m->type, "a directory that is not watched");
	if (!incoming_is_hex(list->rules_hash, LEDGER_RULES_HASH_BYTES - 1))
		return incoming_blame(err, peer, m->type, "a rules hash that is none");
	rc = baseline_root(in->baseline, peer->watch, i, &l.key.root_id, err);
	if (rc == 0)
		rc = baseline_stage(in->baseline, peer->watch, i, true, &l.stage, err);
	if (rc < 0)
		return rc;
	return judge_candidates(in, peer, m, &l, now_us, ret, err);
}
