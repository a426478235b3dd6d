/*
 * notices: each consumer has rows of its own, lines included. So whoever is slow costs disk only, and what is
 * removed for one takes nothing from another. How many wait is kept in a row of table consumer, since
 * counting a hundred thousand at each event would cost more than the events.
 */
#include "dispatch/notices.h"

#include <string.h>
#include "dispatch/db.h"
#include "dispatch/queries.h"

#define LINE_BYTES (1024u * 1024)

int notices_add(struct ledger *l, const char *consumer, const struct notices_row *r, const char *line,
	size_t len, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_NOTICE_ADD);
	db_bind_text(&l->db, s, 1, consumer);
	db_bind_text(&l->db, s, 2, r->id);
	db_bind_text(&l->db, s, 3, r->type);
	db_bind_text(&l->db, s, 4, r->watch);
	db_bind_i64(&l->db, s, 5, r->made_us);
	db_bind_bytes(&l->db, s, 6, line, len);
	rc = db_change(&l->db, s, err);
	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_CONSUMER_ADDED);
	db_bind_text(&l->db, s, 1, consumer);
	return db_change(&l->db, s, err);
}

int notices_next(struct ledger *l, const char *consumer, int64_t after, struct notices_row *ret,
	struct buf *line, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_NOTICE_NEXT);
	struct db_columns c = {.s = s};
	struct notices_row r;
	const char *p;
	size_t n;
	int rc;

	db_bind_text(&l->db, s, 1, consumer);
	db_bind_i64(&l->db, s, 2, after);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	r.seq = db_get_i64(&c, 0, 1);
	db_get_hex(&c, 1, r.id, sizeof(r.id));
	db_get_text(&c, 2, r.type, sizeof(r.type));
	db_get_text(&c, 3, r.watch, sizeof(r.watch));
	r.made_us = db_get_i64(&c, 4, INT64_MIN);
	p = db_get_bytes(&c, 5, LINE_BYTES, &n);
	buf_reset(line);
	if (n == 0 || p[n - 1] != '\n' || buf_add(line, p, n) < 0)
		db_refuse(&c, 5);
	rc = db_finish(&l->db, &c, err);
	if (rc > 0)
		*ret = r;
	else if (r.seq > after)
		ret->seq = r.seq;
	return rc;
}

/* A number that is NULL when there is none. 1, 0, -errno */
static int get_seq(struct ledger *l, struct sqlite3_stmt *s, int64_t *ret_seq, struct err *err)
{
	struct db_columns c = {.s = s};
	int rc = db_step(&l->db, s, err);
	int64_t seq;

	if (rc <= 0)
		return rc;
	seq = db_get_id_or_null(&c, 0);
	rc = db_finish(&l->db, &c, err);
	if (rc < 0 || seq == 0)
		return rc < 0 ? rc : 0;
	*ret_seq = seq;
	return 1;
}

int notices_nth(struct ledger *l, const char *consumer, int64_t n, int64_t *ret_seq, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_NOTICE_NTH);

	db_bind_text(&l->db, s, 1, consumer);
	db_bind_i64(&l->db, s, 2, n);
	return get_seq(l, s, ret_seq, err);
}

int notices_tally(struct ledger *l, const char *consumer, int64_t through,
	struct notice_group groups[NOTICE_GROUPS_MAX], size_t *ret_n, int64_t *ret_others, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_NOTICE_TALLY);
	struct db_columns c = {.s = s};
	int64_t others = 0;
	size_t n = 0;
	int rc;

	db_bind_text(&l->db, s, 1, consumer);
	db_bind_i64(&l->db, s, 2, through);
	while ((rc = db_step(&l->db, s, err)) > 0) {
		struct notice_group g;

		db_get_text(&c, 0, g.type, sizeof(g.type));
		db_get_text(&c, 1, g.watch, sizeof(g.watch));
		g.events = db_get_i64(&c, 2, 1);
		if (c.bad)
			return db_finish(&l->db, &c, err);
		if (n < NOTICE_GROUPS_MAX)
			groups[n++] = g;
		else
			others += g.events;
	}
	*ret_n = n;
	*ret_others = others;
	return rc;
}

int notices_span(struct ledger *l, const char *consumer, int64_t through, int64_t *ret_n,
	int64_t *ret_first_us, int64_t *ret_last_us, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_NOTICE_SPAN);
	struct db_columns c = {.s = s};
	int64_t n, first_us, last_us;
	int rc;

	db_bind_text(&l->db, s, 1, consumer);
	db_bind_i64(&l->db, s, 2, through);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	n = db_get_i64(&c, 0, 0);
	first_us = db_get_i64(&c, 1, INT64_MIN);
	last_us = db_get_i64(&c, 2, INT64_MIN);
	rc = db_finish(&l->db, &c, err);
	if (rc < 0)
		return rc;
	*ret_n = n;
	*ret_first_us = first_us;
	*ret_last_us = last_us;
	return 0;
}

int notices_late(struct ledger *l, const char *consumer, int64_t before_us, int64_t *ret_seq, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_NOTICE_LATE);

	db_bind_text(&l->db, s, 1, consumer);
	db_bind_i64(&l->db, s, 2, before_us);
	return get_seq(l, s, ret_seq, err);
}

int notices_remove(struct ledger *l, const char *consumer, const struct notices_removal *r, int64_t *ret_n,
	struct err *err)
{
	struct sqlite3_stmt *s;
	int64_t n;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_NOTICE_REMOVE);
	db_bind_text(&l->db, s, 1, consumer);
	db_bind_i64(&l->db, s, 2, r->after);
	db_bind_i64(&l->db, s, 3, r->through);
	rc = db_change(&l->db, s, err);
	if (rc < 0)
		return rc;
	n = db_changes(&l->db);
	s = db_use(&l->db, Q_CONSUMER_REMOVED);
	db_bind_text(&l->db, s, 1, consumer);
	db_bind_i64(&l->db, s, 2, n);
	db_bind_i64(&l->db, s, 3, r->delivered ? n : 0);
	db_bind_i64(&l->db, s, 4, r->delivered ? 0 : n);
	db_bind_i64(&l->db, s, 5, r->delivered ? r->now_us : 0);
	db_bind_i64(&l->db, s, 6, r->ends_parcel);
	rc = db_change(&l->db, s, err);
	if (rc == 0)
		*ret_n = n;
	return rc;
}

int notices_consumer(struct ledger *l, const char *consumer, struct notices_consumer *ret, struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_CONSUMER);
	struct db_columns c = {.s = s};
	struct notices_consumer r;
	int rc;

	db_bind_text(&l->db, s, 1, consumer);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	r.waiting = db_get_i64(&c, 0, 0);
	r.through = db_get_i64(&c, 1, 0);
	r.delivered = db_get_i64(&c, 2, 0);
	r.dropped = db_get_i64(&c, 3, 0);
	r.delivered_us = db_get_i64(&c, 4, 0);
	r.oldest_us = db_get_i64(&c, 5, INT64_MIN);
	rc = db_finish(&l->db, &c, err);
	if (rc > 0)
		*ret = r;
	return rc;
}

int notices_set_parcel(struct ledger *l, const char *consumer, int64_t through, struct err *err)
{
	struct sqlite3_stmt *s;
	int rc = db_begin(&l->db, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_CONSUMER_PARCEL);
	db_bind_text(&l->db, s, 1, consumer);
	db_bind_i64(&l->db, s, 2, through);
	return db_change_one(&l->db, s, err);
}

int notices_next_consumer(struct ledger *l, char name[CONF_NAME_BYTES], struct err *err)
{
	struct sqlite3_stmt *s = db_use(&l->db, Q_CONSUMER_NEXT);
	struct db_columns c = {.s = s};
	int rc;

	db_bind_text(&l->db, s, 1, name);
	rc = db_step(&l->db, s, err);
	if (rc <= 0)
		return rc;
	db_get_text(&c, 0, name, CONF_NAME_BYTES);
	return db_finish(&l->db, &c, err);
}

int notices_forget_consumer(struct ledger *l, const char *consumer, int64_t *ret_n, struct err *err)
{
	const struct notices_removal all = {.through = INT64_MAX, .ends_parcel = true};
	struct sqlite3_stmt *s;
	int rc = notices_remove(l, consumer, &all, ret_n, err);

	if (rc < 0)
		return rc;
	s = db_use(&l->db, Q_CONSUMER_FORGET);
	db_bind_text(&l->db, s, 1, consumer);
	return db_change(&l->db, s, err);
}
