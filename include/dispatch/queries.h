/*
 * queries: the inside of the ledger, shared by its parts only: its statements, and what several of them bind
 * or read.
 *
 * The parts: db (SQLite), schema, queries, ledger (opening and transactions), ledger_rows (versions of
 * files), ledger_send (what is pending, sent and verified), ledger_look (for people, and counting),
 * ledger_counts (counts that are kept), notices (events that wait for consumers), ledger_notes (what is not
 * about files: outbox, baselines, small facts).
 */
#ifndef DISPATCH_QUERIES_H
#define DISPATCH_QUERIES_H

#include <stdint.h>
#include "dispatch/db.h"
#include "dispatch/ledger.h"

enum query {
	Q_ROOT,
	Q_ROOT_ADD,
	Q_GLANCE,
	Q_NEWEST,
	Q_LAST_RUN,
	Q_TOKEN,
	Q_TOKEN_CLEAR,
	Q_UNSENT_OF,
	Q_HAS_NEWER,
	Q_ELSEWHERE,
	Q_REVIVE,
	Q_BY_INODE,
	Q_RENAME,
	Q_INSERT,
	Q_SEEN,
	Q_STATE,
	Q_MOVE,
	Q_ROW,
	Q_REQUEST,
	Q_LINES,
	Q_FRESH_CERTAIN,
	Q_FRESH_YOUNG,
	Q_FRESH_OLD,
	Q_DUE_CERTAIN,
	Q_DUE_YOUNG,
	Q_DUE_OLD,
	Q_NEXT_DUE,
	Q_CLAMP,
	Q_POSTPONE,
	Q_SENT,
	Q_STARTED,
	Q_RETRY,
	Q_FAILED,
	Q_OUT_ADD,
	Q_OUT_NEXT,
	Q_OUT_FIND,
	Q_OUT_DELETE,
	Q_BASELINE,
	Q_BASELINE_CLOSED,
	Q_BASELINE_SET,
	Q_BASELINE_CLOSE,
	Q_BASELINE_SEEDED,
	Q_HAS_ROWS,
	Q_COUNT_HELD,
	Q_HELD_WATCH,
	Q_HELD_REASON,
	Q_PENDING_LINE,
	Q_COUNT_LINE,
	Q_COUNT_SENT,
	Q_ACCEPTED,
	Q_SWEEP,
	Q_MISSED,
	Q_COUNT,
	Q_COUNT_PENDING,
	Q_UNSENT,
	Q_HELD,
	Q_RENEW,
	Q_META,
	Q_META_SET,
	Q_META_CLEAR,
	Q_NEWEST_ID,
	Q_SELECT,
	Q_SELECT_PATH,
	Q_TALLY,
	Q_NOTE,
	Q_REQUEUE,
	Q_REMOVE,
	Q_VERIFY,
	Q_VERIFY_DUE,
	Q_VERIFY_NEXT,
	Q_VERIFY_CLAMP,
	Q_VERIFY_HOSTS,
	Q_SKIPPED,
	Q_COUNTS_ADD,
	Q_COUNTS_AT,
	Q_COUNTS_SET_AT,
	Q_COUNTS,
	Q_OLDEST_PENDING,
	Q_OUTBOX_ROWS,
	Q_NOTICE_ADD,
	Q_NOTICE_NEXT,
	Q_NOTICE_NTH,
	Q_NOTICE_TALLY,
	Q_NOTICE_SPAN,
	Q_NOTICE_LATE,
	Q_NOTICE_REMOVE,
	Q_CONSUMER,
	Q_CONSUMER_ADDED,
	Q_CONSUMER_REMOVED,
	Q_CONSUMER_PARCEL,
	Q_CONSUMER_NEXT,
	Q_CONSUMER_FORGET,
	QUERIES,
};

/* What ledger_counts keeps, of this connection only. Made before statements are prepared. */
#define LEDGER_COUNTS_SQL                                                                                    \
	"CREATE TEMP TABLE counts (watch TEXT, state TEXT, rows INTEGER NOT NULL, last INTEGER NOT NULL,"    \
	" PRIMARY KEY (watch, state)) WITHOUT ROWID;"                                                        \
	"CREATE TEMP TABLE counts_at (through INTEGER NOT NULL);"                                            \
	"INSERT INTO counts_at VALUES (0);"

struct ledger {
	struct db db;
	int64_t removed; /* highest number of a row that was removed since it was opened */
};

extern const char *const queries_sql[QUERIES];

/* ?1 to ?3 */
void queries_bind_key(struct ledger *l, struct sqlite3_stmt *s, const struct ledger_key *key);
enum ledger_state queries_get_state(struct db_columns *c, int i);

#endif
