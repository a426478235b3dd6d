/*
 * queries: a few dozen fixed statements, all prepared when the file is opened, so that a schema that is not
 * ours shows at once and nothing is parsed while files wait.
 *
 * A key is (watch, directory, relative path); directories are few and long, so rows hold their number. The
 * newest row of a key is the one with the highest id.
 */
#include "dispatch/queries.h"

#include <string.h>

#define KEY_IS " root = ?1 AND relpath = ?2 AND watch = ?3 "
#define LINE_IS " state = 'pending' AND watch = ?1 AND host = ?2 AND (sent OR unchecked OR NOT ?3) "
#define IS_CERTAIN                                                                                           \
	" INDEXED BY version_certain WHERE state = 'pending' AND (sent OR unchecked) AND watch = ?1 AND "    \
	"host = ?2 "
/* the condition of the index comes first, so that SQLite sees that it may use it */
#define IS_HELD " state IN ('held', 'failed') AND state = 'held' "
#define IS_YOUNG " WHERE state = 'pending' AND watch = ?1 AND host = ?2 AND id > ?3 AND skips = 0 "
#define IS_OLD                                                                                               \
	" WHERE state = 'pending' AND watch = ?1 AND host = ?2 AND (id <= ?3 OR skips > 0) AND NOT sent "    \
	"AND NOT unchecked "
#define IS_FRESH "AND next_attempt = 0 ORDER BY id LIMIT ?5"
#define IS_DUE "AND next_attempt > 0 AND next_attempt <= ?4 ORDER BY next_attempt, id LIMIT ?5"
#define CLAMPED                                                                                              \
	"(?4 + CASE WHEN last_failed = 0 THEN ?6 WHEN next_attempt BETWEEN last_failed AND last_failed + "   \
	"?5 THEN next_attempt - last_failed ELSE ?5 END)"

const char *const queries_sql[QUERIES] = {
	[Q_ROOT] = "SELECT id FROM root WHERE path = ?1",
	[Q_ROOT_ADD] = "INSERT INTO root (path) VALUES (?1)",
	/* in no order, which would cost a sort: nearly always there is just one row */
	[Q_GLANCE] = "SELECT id, size, seen_mtime_ns, rules_hash FROM version WHERE" KEY_IS,
	[Q_NEWEST] =
		"SELECT id, state, size, seen_mtime_ns, ino, ends, generation, rules_hash, reason, token IS "
		"NOT NULL, birth_ns, marker_mtime_ns, marker_ino FROM version "
		"WHERE" KEY_IS "ORDER BY id DESC LIMIT 1",
	[Q_LAST_RUN] =
		"SELECT run_id FROM version WHERE" KEY_IS "AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1",
	[Q_TOKEN] = "SELECT id, root, watch, relpath = ?2, state IN ('superseded', 'vanished') AND sent = 0 "
		    "AND run_id IS NULL, revived, moved FROM version WHERE token = ?1",
	[Q_TOKEN_CLEAR] = "UPDATE version SET token = NULL WHERE id = ?1",
	[Q_BY_INODE] =
		"SELECT id FROM version WHERE ino = ?1 AND size = ?2 AND (mtime_ns = ?3 OR seen_mtime_ns = "
		"?3) AND root = ?4 AND watch = ?5 AND state NOT IN ('superseded', 'vanished') "
		"ORDER BY id DESC LIMIT ?6",
	[Q_RENAME] = "UPDATE version SET relpath = ?2, moved = 1, missed = 0 WHERE id = ?1",
	[Q_UNSENT_OF] = "SELECT id FROM version WHERE" KEY_IS
			"AND state IN ('pending', 'held') AND sent = 0 ORDER BY id LIMIT ?4",
	[Q_HAS_NEWER] = "SELECT 1 FROM version v JOIN version n ON n.root = v.root AND n.relpath = v.relpath "
			"AND n.watch = v.watch AND n.id > v.id WHERE v.id = ?1 LIMIT 1",
	[Q_ELSEWHERE] = "SELECT id FROM version WHERE root = ?1 AND relpath = ?2 AND watch <> ?3 "
			"ORDER BY id DESC LIMIT ?4",
	[Q_REVIVE] = "UPDATE version SET state = 'pending', reason = '', detail = '', rules_hash = '', "
		     "changed = ?2, next_attempt = 0, revived = revived + 1 WHERE id = ?1 AND state IN "
		     "('superseded', 'vanished') AND token IS NOT NULL AND request IS NOT NULL",
	/* the number of a row that was removed is not given again: who pages by number would pass over it */
	[Q_INSERT] =
		"INSERT INTO version (id, root, relpath, watch, size, mtime_ns, seen_mtime_ns, ino, ends, "
		"owner, mime,"
		" evidence, first_seen, completed, state, reason, detail, rules_hash, changed, token, "
		"generation,"
		" workspace, host, job_id, uri, request, previous_run_id, failures, revived, birth_ns, "
		"marker_mtime_ns, marker_ino)"
		" VALUES (max(?28, (SELECT ifnull(max(id), 0) + 1 FROM version)), ?1, ?2, ?3, ?4, ?5, ?5, "
		"?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
		"?17, ?18,"
		" ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?29, ?30, ?31)",
	[Q_SEEN] = "UPDATE version SET seen_mtime_ns = ?2, ino = ?3, birth_ns = ?4 WHERE id = ?1",
	[Q_STATE] = "UPDATE version SET state = ?2, reason = ?3, detail = ?4, rules_hash = ?5, changed = ?6 "
		    "WHERE id = ?1",
	[Q_MOVE] = "UPDATE version SET watch = ?4 WHERE" KEY_IS,
	[Q_ROW] = "SELECT v.id, watch, r.path, relpath, uri, mime, size, mtime_ns, ino, ends, owner, "
		  "first_seen,"
		  " completed, state, token, generation, workspace, host, job_id, run_id, previous_run_id, "
		  "sent,"
		  " attempts, first_failed, last_failed, next_attempt, tried, retryings, failures,"
		  " unchecked, skips, verify_at, principal, revived, reason, birth_ns"
		  " FROM version v JOIN root r ON r.id = v.root WHERE v.id = ?1",
	[Q_REQUEST] = "SELECT request FROM version WHERE id = ?1 AND request IS NOT NULL",
	[Q_LINES] = "SELECT watch, host, count(*) FROM version WHERE state = 'pending' GROUP BY watch, host",
	[Q_FRESH_CERTAIN] = "SELECT id FROM version" IS_CERTAIN IS_FRESH,
	[Q_FRESH_YOUNG] = "SELECT id FROM version" IS_YOUNG IS_FRESH,
	[Q_FRESH_OLD] = "SELECT id FROM version" IS_OLD IS_FRESH,
	[Q_DUE_CERTAIN] = "SELECT id FROM version" IS_CERTAIN IS_DUE,
	[Q_DUE_YOUNG] = "SELECT id FROM version" IS_YOUNG IS_DUE,
	[Q_DUE_OLD] = "SELECT id FROM version" IS_OLD IS_DUE,
	[Q_NEXT_DUE] = "SELECT next_attempt FROM version WHERE" LINE_IS
		       "AND next_attempt > ?4 ORDER BY next_attempt LIMIT 1",
	/* the time between the last failure and the next attempt counts as trying, and stays what it was */
	[Q_CLAMP] = "UPDATE version SET next_attempt = " CLAMPED ","
		    " last_failed = CASE last_failed WHEN 0 THEN 0 ELSE last_failed + " CLAMPED
		    " - next_attempt END"
		    " WHERE" LINE_IS "AND next_attempt > " CLAMPED,
	[Q_POSTPONE] =
		"UPDATE version SET next_attempt = ?2,"
		" last_failed = CASE last_failed WHEN 0 THEN 0 ELSE last_failed + ?2 - next_attempt END"
		" WHERE id = ?1 AND state = 'pending'",
	[Q_SENT] = "UPDATE version SET sent = 1 WHERE id = ?1",
	[Q_STARTED] =
		"UPDATE version SET state = 'started', reason = '', detail = '', run_id = ?2, attempts = ?3, "
		"principal = ?4,"
		" changed = ?5 WHERE id = ?1",
	[Q_RETRY] = "UPDATE version SET sent = ?2, attempts = ?3, first_failed = ?4, last_failed = ?5, "
		    "next_attempt = ?6,"
		    " tried = ?7, retryings = ?8, detail = ?9 WHERE id = ?1",
	[Q_FAILED] = "UPDATE version SET state = ?7, attempts = ?2, failures = ?3, reason = ?4, detail = ?5,"
		     " changed = ?6 WHERE id = ?1",
	[Q_OUT_ADD] = "INSERT INTO outbox (id, line) VALUES (?1, ?2)",
	[Q_OUT_NEXT] = "SELECT seq, line FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT 1",
	[Q_OUT_FIND] = "SELECT seq FROM outbox WHERE line = ?1 ORDER BY seq DESC LIMIT 1",
	[Q_OUT_DELETE] = "DELETE FROM outbox WHERE seq <= ?1",
	[Q_BASELINE] =
		"SELECT root, mode, closed FROM baseline WHERE watch = ?1 AND root = ?2 AND fs_type = ?3",
	[Q_BASELINE_CLOSED] = "SELECT closed FROM baseline WHERE watch = ?1 AND root = ?2 AND closed > 0 "
			      "ORDER BY closed LIMIT 1",
	[Q_BASELINE_SET] = "INSERT OR IGNORE INTO baseline (watch, root, fs_type, mode, closed) VALUES "
			   "(?1, ?2, ?3, ?4, ?5)",
	[Q_BASELINE_CLOSE] =
		"UPDATE baseline SET closed = ?4 WHERE watch = ?1 AND root = ?2 AND fs_type = ?3",
	[Q_BASELINE_SEEDED] = "DELETE FROM baseline WHERE watch = ?1 AND root = ?2 AND fs_type = ''",
	[Q_HAS_ROWS] = "SELECT 1 FROM version WHERE root = ?2 AND watch = ?1 LIMIT 1",
	[Q_COUNT_HELD] = "SELECT count(*) FROM version WHERE" IS_HELD "AND watch = ?1 AND reason = ?2",
	[Q_HELD_WATCH] = "SELECT watch FROM version WHERE" IS_HELD "AND watch > ?1 ORDER BY watch LIMIT 1",
	[Q_HELD_REASON] =
		"SELECT reason, count(*) FROM (SELECT reason FROM version WHERE" IS_HELD "AND watch = ?1"
		" LIMIT ?2) WHERE reason > ?3 GROUP BY reason ORDER BY reason LIMIT 1",
	[Q_PENDING_LINE] =
		"SELECT watch, host FROM version WHERE state = 'pending' AND (watch, host) > (?1, ?2)"
		" ORDER BY watch, host LIMIT 1",
	[Q_COUNT_LINE] = "SELECT count(*) FROM (SELECT 1 FROM version WHERE state = 'pending' AND watch = ?1"
			 " AND host = ?2 LIMIT ?3)",
	[Q_COUNT_SENT] = "SELECT count(*) FROM (SELECT 1 FROM version" IS_CERTAIN "AND sent LIMIT ?3)",
	[Q_SWEEP] =
		"SELECT id, missed FROM version WHERE id > ?2 AND id <= ?3 AND watch = ?1 AND verify_at = 0 "
		"AND state NOT IN ('pending', 'held', 'failed') ORDER BY id",
	[Q_MISSED] = "UPDATE version SET missed = ?2 WHERE id = ?1",
	[Q_ACCEPTED] =
		"SELECT count(*), coalesce(min(completed), 0) FROM version WHERE id > (SELECT "
		"coalesce(max(id), 0) FROM version) - ?3 AND watch = ?1 AND completed >= ?2 AND token IS "
		"NOT NULL AND state <> 'held'",
	[Q_COUNT] = "SELECT count(*) FROM version WHERE state = ?1",
	[Q_COUNT_PENDING] = "SELECT count(*) FROM version WHERE state = 'pending'",
	[Q_UNSENT] = "SELECT id FROM version WHERE state = 'pending' AND sent = 0 AND id > ?1 ORDER BY id "
		     "LIMIT ?2",
	[Q_HELD] = "SELECT id FROM version WHERE" IS_HELD "AND watch = ?1 AND reason = ?2 AND id > ?3 "
		   "ORDER BY id LIMIT ?4",
	[Q_RENEW] = "UPDATE version SET workspace = ?2, host = ?3, job_id = ?4, uri = ?5, token = ?6, "
		    "request = ?7,"
		    " next_attempt = 0 WHERE id = ?1 AND state = 'pending' AND sent = 0",
	[Q_META] = "SELECT value FROM meta WHERE name = ?1",
	[Q_META_SET] = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)",
	[Q_META_CLEAR] = "DELETE FROM meta WHERE name = ?1",
	[Q_NEWEST_ID] = "SELECT ifnull(max(id), 0) FROM version",
	/* NOT INDEXED: in the order of ids, so that a stretch of them costs no more than that stretch */
	[Q_SELECT] =
		"SELECT id FROM version NOT INDEXED WHERE id > ?1 AND id <= ?2 AND (?3 = '' OR state = ?3)"
		" AND (?4 = '' OR watch = ?4) AND changed >= ?5 AND (?6 = 0 OR changed < ?6)"
		" ORDER BY id LIMIT ?7",
	/* every directory that is the beginning of the path, and what is left of the path behind it */
	[Q_SELECT_PATH] = "SELECT v.id FROM root r JOIN version v ON v.root = r.id AND v.relpath ="
			  " substr(?1, length(r.path) + 2 - (r.path = x'2f'))"
			  " WHERE substr(?1, 1, length(r.path) + 1 - (r.path = x'2f')) ="
			  " CASE r.path WHEN x'2f' THEN r.path ELSE CAST(r.path || x'2f' AS BLOB) END"
			  " AND v.id > ?2 ORDER BY v.id LIMIT ?3",
	[Q_TALLY] = "SELECT state, count(*), min(changed), watch FROM version NOT INDEXED"
		    " WHERE id > ?1 AND id <= ?2 GROUP BY watch, state",
	[Q_NOTE] = "SELECT id, reason, detail, principal, changed, request IS NOT NULL AND token IS NOT NULL"
		   " FROM version WHERE id = ?1",
	[Q_REQUEUE] =
		"UPDATE version SET state = 'pending', reason = '', detail = '', sent = ?2, unchecked = ?3,"
		" attempts = 0, first_failed = 0, last_failed = 0, next_attempt = 0, tried = 0, changed = ?4"
		" WHERE id = ?1 AND request IS NOT NULL AND token IS NOT NULL",
	[Q_REMOVE] = "DELETE FROM version WHERE id = ?1",
	[Q_VERIFY] = "UPDATE version SET verify_at = ?2 WHERE id = ?1",
	[Q_VERIFY_DUE] = "SELECT id FROM version WHERE verify_at > 0 AND verify_at <= ?2 AND host = ?1 "
			 "ORDER BY verify_at LIMIT 1",
	[Q_VERIFY_NEXT] = "SELECT verify_at FROM version WHERE verify_at > 0 AND host = ?1 "
			  "ORDER BY verify_at LIMIT 1",
	[Q_VERIFY_CLAMP] =
		"UPDATE version SET verify_at = ?2 WHERE verify_at > ?2 AND verify_at > 0 AND host = ?1",
	[Q_VERIFY_HOSTS] = "SELECT host, count(*) FROM version WHERE verify_at > 0 GROUP BY host",
	[Q_SKIPPED] = "UPDATE version SET skips = ?2, next_attempt = ?3 WHERE id = ?1",
	[Q_COUNTS_ADD] =
		"INSERT INTO counts SELECT watch, state, count(*), max(completed) FROM version NOT INDEXED"
		" WHERE id > ?1 AND id <= ?2 GROUP BY watch, state"
		" ON CONFLICT (watch, state) DO UPDATE SET rows = rows + excluded.rows, last = max(last, "
		"excluded.last)",
	[Q_COUNTS_AT] = "SELECT through FROM counts_at",
	[Q_COUNTS_SET_AT] = "UPDATE counts_at SET through = ?1",
	[Q_COUNTS] = "SELECT watch, state, rows, last FROM counts ORDER BY watch, state",
	/* never tried: the first by its number; tried: as many as it is worth looking at */
	[Q_OLDEST_PENDING] =
		"SELECT min(completed) FROM (SELECT * FROM (SELECT completed FROM version WHERE state = "
		"'pending' AND watch = ?1 AND host = ?2 AND next_attempt = 0 ORDER BY id LIMIT 1)"
		" UNION ALL SELECT * FROM (SELECT completed FROM version WHERE state = 'pending' AND watch = "
		"?1"
		" AND host = ?2 AND next_attempt > 0 ORDER BY next_attempt DESC LIMIT 10000))",
	[Q_OUTBOX_ROWS] = "SELECT ifnull((SELECT seq FROM outbox ORDER BY seq DESC LIMIT 1)"
			  " - (SELECT seq FROM outbox ORDER BY seq LIMIT 1) + 1, 0)",
	[Q_NOTICE_ADD] = "INSERT INTO notice (consumer, id, type, watch, made, line) VALUES (?1, ?2, ?3, ?4, "
			 "?5, ?6)",
	[Q_NOTICE_NEXT] = "SELECT seq, id, type, watch, made, line FROM notice WHERE consumer = ?1 AND seq > "
			  "?2 ORDER BY seq LIMIT 1",
	[Q_NOTICE_NTH] = "SELECT max(seq) FROM (SELECT seq FROM notice WHERE consumer = ?1 ORDER BY seq "
			 "LIMIT ?2)",
	[Q_NOTICE_TALLY] = "SELECT type, watch, count(*) FROM notice WHERE consumer = ?1 AND seq <= ?2 GROUP "
			   "BY type, watch ORDER BY count(*) DESC, type, watch",
	[Q_NOTICE_SPAN] = "SELECT count(*), coalesce(min(made), 0), coalesce(max(made), 0) FROM notice WHERE "
			  "consumer = ?1 AND seq <= ?2",
	/* the last before the first that is not */
	[Q_NOTICE_LATE] =
		"SELECT max(seq) FROM notice WHERE consumer = ?1 AND seq < ifnull((SELECT seq FROM notice "
		"WHERE consumer = ?1 AND made >= ?2 ORDER BY seq LIMIT 1), 9223372036854775807)",
	[Q_NOTICE_REMOVE] = "DELETE FROM notice WHERE consumer = ?1 AND seq > ?2 AND seq <= ?3",
	[Q_CONSUMER] = "SELECT waiting, through, delivered, dropped, delivered_at, ifnull((SELECT made FROM "
		       "notice WHERE consumer = ?1 ORDER BY seq LIMIT 1), 0) FROM consumer WHERE name = ?1",
	[Q_CONSUMER_ADDED] = "INSERT INTO consumer (name, waiting) VALUES (?1, 1) ON CONFLICT (name) DO "
			     "UPDATE SET waiting = waiting + 1",
	[Q_CONSUMER_REMOVED] =
		"UPDATE consumer SET waiting = waiting - ?2, delivered = delivered + ?3, dropped = dropped + "
		"?4, delivered_at = max(delivered_at, ?5), through = CASE WHEN ?6 THEN 0 ELSE through END "
		"WHERE name = ?1",
	[Q_CONSUMER_PARCEL] = "UPDATE consumer SET through = ?2 WHERE name = ?1",
	[Q_CONSUMER_NEXT] = "SELECT name FROM consumer WHERE name > ?1 ORDER BY name LIMIT 1",
	[Q_CONSUMER_FORGET] = "DELETE FROM consumer WHERE name = ?1",
};

void queries_bind_key(struct ledger *l, struct sqlite3_stmt *s, const struct ledger_key *key)
{
	db_bind_i64(&l->db, s, 1, key->root_id);
	db_bind_path(&l->db, s, 2, key->relpath);
	db_bind_text(&l->db, s, 3, key->watch);
}

enum ledger_state queries_get_state(struct db_columns *c, int i)
{
	char name[LEDGER_WORD_BYTES];

	db_get_text(c, i, name, sizeof(name));
	for (int state = 0; state < LEDGER_STATES; state++)
		if (strcmp(name, ledger_state_name((enum ledger_state)state)) == 0)
			return (enum ledger_state)state;
	db_refuse(c, i);
	return LEDGER_FAILED;
}
