#include "dispatch/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/mem.h"

enum { ADD, ALL, ONE, CHANGE, QUERIES };

static const char *const sql[QUERIES] = {
	[ADD] = "INSERT INTO t (n, word) VALUES (?1, ?2)",
	[ALL] = "SELECT id FROM t ORDER BY id LIMIT ?1",
	[ONE] = "SELECT id, n, word FROM t WHERE id = ?1",
	[CHANGE] = "UPDATE t SET n = ?2 WHERE id <= ?1",
};

static int set_up(void **state)
{
	struct db *db = mem_alloc(sizeof(*db));

	assert_int_equal(db_open(db, "x.db", ":memory:", DB_MEMORY, NULL), 0);
	assert_int_equal(db_exec(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, n, word)", NULL), 0);
	assert_int_equal(db_prepare(db, sql, QUERIES, NULL), 0);
	*state = db;
	return 0;
}

static int tear_down(void **state)
{
	struct db *db = *state;

	db_close(db);
	db_close(db); /* does no harm */
	free(db);
	return 0;
}

static int64_t add(struct db *db, int64_t n, const char *word)
{
	struct sqlite3_stmt *s;

	assert_int_equal(db_begin(db, NULL), 0);
	s = db_use(db, ADD);
	db_bind_i64(db, s, 1, n);
	if (word)
		db_bind_text(db, s, 2, word);
	assert_int_equal(db_change(db, s, NULL), 0);
	return db_last_id(db);
}

static int change(struct db *db, int64_t through, struct err *err)
{
	struct sqlite3_stmt *s = db_use(db, CHANGE);

	db_bind_i64(db, s, 1, through);
	db_bind_i64(db, s, 2, 7);
	return db_change_one(db, s, err);
}

static int count(struct db *db)
{
	struct sqlite3_stmt *s = db_use(db, ALL);
	int64_t ids[8];

	db_bind_i64(db, s, 1, 8);
	return db_get_ids(db, s, ids, 8, NULL);
}

static void test_transactions(void **state)
{
	struct db *db = *state;

	assert_int_equal(db_commit(db, NULL), 0); /* none was begun */
	(void)add(db, 1, "a");
	assert_true(db->open);
	assert_int_equal(db_commit(db, NULL), 0);
	assert_false(db->open);
	(void)add(db, 2, "b");
	db_rollback(db);
	assert_int_equal(count(db), 1);
	db_rollback(db); /* none was begun */
}

/* What SQLite has given up by itself is not taken up by the next change. */
static void test_given_up(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;

	(void)add(db, 1, "a");
	assert_int_equal(db_exec(db, "ROLLBACK", NULL), 0);
	assert_int_equal(db_begin(db, &err), -EIO);
	assert_non_null(strstr(err.text, "given up"));
	assert_int_equal(db_commit(db, NULL), -EIO);
	assert_int_equal(count(db), 0);
	(void)add(db, 1, "a"); /* a new one */
	assert_int_equal(db_commit(db, NULL), 0);
	assert_int_equal(count(db), 1);
}

static void test_change_one(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;

	assert_int_equal(change(db, 1, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "x.db"));
	(void)add(db, 1, "a");
	assert_int_equal(change(db, 1, NULL), 0);
	assert_int_equal(db_changes(db), 1);
	(void)add(db, 2, "b");
	assert_int_equal(change(db, 2, &err), -EBADMSG);
}

/* Columns that are not what they should be; NULL: good. */
static void test_columns(void **state)
{
	static const struct {
		int64_t n, min;
		const char *word, *bad;
	} cases[] = {
		{5, 0, "abc", NULL}, {-1, 0, "abc", "n"}, {5, 0, "abcd", "word"}, /* no room */
		{5, 0, "ab", "word"},						  /* too short for a hash */
		{5, 0, "xyz", "word"},						  /* no hexadecimal digits */
		{5, 0, "", NULL}, {5, 0, NULL, "word"}, {-1, 0, "xyz", "n"},	  /* the first one is told */
	};
	struct db *db = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;
		struct sqlite3_stmt *s;
		struct db_columns c;
		int64_t id = add(db, cases[i].n, cases[i].word);
		CLEANUP_FREE char *words =
			cases[i].bad ? mem_printf("column %s of row %d", cases[i].bad, (int)id) : NULL;
		char hex[4];

		s = db_use(db, ONE);
		c = (struct db_columns){.s = s};
		db_bind_i64(db, s, 1, id);
		assert_int_equal(db_step(db, s, NULL), 1);
		assert_int_equal(db_is_null(&c, 2), !cases[i].word);
		(void)db_get_i64(&c, 1, cases[i].min);
		db_get_hex(&c, 2, hex, sizeof(hex));
		assert_int_equal(db_finish(db, &c, &err), words ? -EBADMSG : 1);
		if (words && !strstr(err.text, words))
			fail_msg("%s is not in %s", words, err.text);
	}
}

static void test_one(void **state)
{
	struct db *db = *state;
	struct sqlite3_stmt *s = db_use(db, ONE);
	int64_t id = 99;

	db_bind_i64(db, s, 1, 1);
	assert_int_equal(db_get_one(db, s, 1, &id, NULL), 0);
	assert_int_equal(id, 99); /* untouched */
	(void)add(db, 1, "a");
	s = db_use(db, ONE);
	db_bind_i64(db, s, 1, 1);
	assert_int_equal(db_get_one(db, s, 1, &id, NULL), 1);
	assert_int_equal(id, 1);
	s = db_use(db, ONE);
	db_bind_i64(db, s, 1, 1);
	assert_int_equal(db_get_one(db, s, 2, &id, NULL), -EBADMSG); /* too small */
	assert_int_equal(id, 1);
}

/* Statements of another schema, and files that are no databases. */
static void test_cannot_be_used(void **state)
{
	static const char *const other[] = {"SELECT word FROM t"};
	static const char text[] = "This is no database, which shows when it is read.";
	char path[] = "/tmp/test-db-XXXXXX";
	struct err err = ERR_INIT;
	struct db db;
	CLEANUP_FD int fd = -1;

	(void)state;
	assert_int_equal(db_open(&db, "x.db", ":memory:", DB_MEMORY, NULL), 0);
	assert_int_equal(db_prepare(&db, other, 1, &err), -EIO);
	if (!strstr(err.text, "no such table"))
		fail_msg("%s", err.text);
	db_close(&db);
	assert_int_equal(db_open(&db, "/nowhere/x.db", "/nowhere/x.db", DB_WRITE, &err), -ENOENT);
	assert_null(db.handle);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	assert_int_equal(db_open(&db, path, path, DB_WRITE, NULL), 0); /* SQLite looks at it later */
	assert_int_equal(db_exec(&db, "SELECT count(*) FROM sqlite_master", &err), -EUCLEAN);
	assert_int_equal(err.class, ERR_INPUT);
	assert_int_equal(unlink(path), 0);
	db_close(&db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_transactions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_change_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_columns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one, set_up, tear_down),
		cmocka_unit_test(test_cannot_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
