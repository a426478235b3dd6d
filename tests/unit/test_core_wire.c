/* core/wire: what is encoded comes back; what is damaged is refused; descriptors and the state page. */
#include "core/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static struct wire_message message;

/* Encodes and decodes again into `message`. */
static void test_round(enum wire_type type, const void *in)
{
	struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	struct err err = ERR_INIT;

	assert_int_equal(wire_encode(type, in, &b), 0);
	memcpy(message.bytes, b.data, b.len);
	assert_int_equal(wire_decode(&message, b.len, &err), 0);
	assert_int_equal(message.type, type);
	buf_done(&b);
}

static const struct wire_file a_file = {.root = "/srv/drop",
	.relpath = "a\nb\xff.csv",
	.size = INT64_MAX,
	.mtime_ns = INT64_MIN,
	.ino = -1,
	.owner = 4294967295,
	.ends = "",
	.mime = "text/csv",
	.groups = 17,
	.by_listing = 1,
	.first_seen_us = 5,
	.completed_us = 6,
	.evidence = "e",
	.rule = "",
	.detail = "",
	.dead_letter = 0,
	.rules_hash = "0011223344556677"};

static void test_file_round_trip(void **state)
{
	(void)state;
	test_round(WIRE_READY, &a_file);
	assert_string_equal(message.as.file.root, "/srv/drop");
	assert_string_equal(message.as.file.relpath, "a\nb\xff.csv");
	assert_true(message.as.file.size == INT64_MAX && message.as.file.mtime_ns == INT64_MIN &&
		    message.as.file.ino == -1);
	assert_string_equal(message.as.file.rules_hash, "0011223344556677");
}

static void test_every_type_has_a_name(void **state)
{
	(void)state;
	for (int i = WIRE_CONFIGURE; i <= WIRE_TYPES; i++)
		assert_string_not_equal(wire_type_name((enum wire_type)i), "?");
	assert_string_equal(wire_type_name(WIRE_NONE), "?");
	assert_string_equal(wire_type_name((enum wire_type)999), "?");
}

/* Every shortening and every single changed length byte must be refused or decode to something that ends. */
static void test_damage_is_refused(void **state)
{
	struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(wire_encode(WIRE_READY, &a_file, &b), 0);
	for (size_t len = 0; len < b.len; len++) {
		memcpy(message.bytes, b.data, len);
		assert_int_equal(wire_decode(&message, len, &err), -EBADMSG);
		assert_int_equal(message.type, WIRE_NONE);
		assert_true(err.text[0] != '\0');
	}
	memcpy(message.bytes, b.data, b.len);
	message.bytes[b.len] = 0;
	assert_int_equal(wire_decode(&message, b.len + 1, &err), -EBADMSG);
	for (size_t i = 0; i < b.len; i++) {
		memcpy(message.bytes, b.data, b.len);
		message.bytes[i] = (char)(message.bytes[i] ^ 0x80);
		if (wire_decode(&message, b.len, &err) == 0 && message.type == WIRE_READY)
			assert_true(strlen(message.as.file.relpath) < b.len);
	}
	buf_done(&b);
}

static void test_nul_inside_text_is_refused(void **state)
{
	struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	struct err err = ERR_INIT;
	char *at;

	(void)state;
	assert_int_equal(wire_encode(WIRE_READY, &a_file, &b), 0);
	memcpy(message.bytes, b.data, b.len);
	at = memmem(message.bytes, b.len, "srv", 3);
	assert_non_null(at);
	*at = '\0';
	assert_int_equal(wire_decode(&message, b.len, &err), -EBADMSG);
	buf_done(&b);
}

static void test_too_large_is_refused(void **state)
{
	static char large[WIRE_MESSAGE_BYTES + 1];
	const struct wire_explain m = {.path = large};
	struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	assert_int_equal(wire_encode(WIRE_EXPLAIN, &m, &b), -EMSGSIZE);
	buf_done(&b);
}

static void test_candidates(void **state)
{
	struct buf items = BUF_INIT(WIRE_CANDIDATES_BYTES);
	struct wire_candidate c = {.relpath = "a/b", .size = 1, .mtime_ns = 2, .ino = 3};
	struct wire_candidates m = {.seq = 7, .root = "/r", .rules_hash = ""};
	size_t pos = 0, n = 0;

	(void)state;
	while (wire_candidates_add(&items, &c) == 0)
		n++;
	assert_true(n > 1000); /* full, and still consistent */
	m.items = items.data;
	m.items_len = items.len;
	test_round(WIRE_CANDIDATES, &m);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(wire_candidates_next(&message.as.candidates, &pos, &c), 1);
		assert_string_equal(c.relpath, "a/b");
		assert_true(c.size == 1 && c.mtime_ns == 2 && c.ino == 3);
	}
	assert_int_equal(wire_candidates_next(&message.as.candidates, &pos, &c), 0);
	message.as.candidates.items_len -= 1;
	pos = 0;
	while (wire_candidates_next(&message.as.candidates, &pos, &c) == 1)
		n--;
	assert_int_equal(n, 1);
	assert_int_equal(wire_candidates_next(&message.as.candidates, &pos, &c), -EBADMSG);
	buf_done(&items);
}

static void test_knowns(void **state)
{
	struct buf items = BUF_INIT(WIRE_CANDIDATES_BYTES);
	struct wire_known k = {.relpath = "a/b\xff", .size = 1, .mtime_ns = -2, .ino = 3, .ends = "00ff"};
	struct wire_confirm m = {.serial = 7, .root = "/r"};
	size_t pos = 0, n = 0;

	(void)state;
	while (wire_knowns_add(&items, &k) == 0)
		n++;
	assert_true(n > WIRE_KNOWNS_MAX); /* full, and still consistent */
	m.items = items.data;
	m.items_len = items.len;
	test_round(WIRE_CONFIRM, &m);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(wire_knowns_next(&message.as.confirm, &pos, &k), 1);
		assert_string_equal(k.relpath, "a/b\xff");
		assert_string_equal(k.ends, "00ff");
		assert_true(k.size == 1 && k.mtime_ns == -2 && k.ino == 3);
	}
	assert_int_equal(wire_knowns_next(&message.as.confirm, &pos, &k), 0);
	message.as.confirm.items_len -= 1;
	pos = 0;
	while (wire_knowns_next(&message.as.confirm, &pos, &k) == 1)
		n--;
	assert_int_equal(n, 1);
	assert_int_equal(wire_knowns_next(&message.as.confirm, &pos, &k), -EBADMSG);
	buf_done(&items);
}

static void test_send_with_descriptors(void **state)
{
	const struct wire_attach m = {.name = "orders", .pid = 5, .start = 1};
	struct err err = ERR_INIT;
	int pair[2], pipe_fds[2];
	char c = 0;

	(void)state;
	assert_int_equal(sock_pair(pair, &err), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(wire_recv(pair[0], &message, &err), -EAGAIN);
	assert_int_equal(wire_send(pair[1], WIRE_ATTACH, &m, pipe_fds, 2), 0);
	assert_int_equal(wire_recv(pair[0], &message, &err), 1);
	assert_int_equal(message.n_fds, 2);
	assert_int_equal(write(message.fds[1], "x", 1), 1);
	assert_int_equal(read(pipe_fds[0], &c, 1), 1);
	assert_int_equal(c, 'x');
	wire_message_close(&message);
	assert_int_equal(message.n_fds, 0);
	close(pair[1]);
	assert_int_equal(wire_recv(pair[0], &message, &err), 0);
	close(pair[0]);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* A full socket says so, and what had been sent stays in order. */
static void test_full_socket(void **state)
{
	struct wire_counts m = {0};
	struct err err = ERR_INIT;
	int pair[2], rc;
	int64_t n = 0;

	(void)state;
	assert_int_equal(sock_pair(pair, &err), 0);
	while ((rc = wire_send(pair[1], WIRE_COUNTS, &m, NULL, 0)) == 0)
		m.unsettled = ++n;
	assert_int_equal(rc, -EAGAIN);
	assert_true(n > 2);
	for (int64_t i = 0; i < n; i++) {
		assert_int_equal(wire_recv(pair[0], &message, &err), 1);
		assert_int_equal(message.as.counts.unsettled, i);
	}
	assert_int_equal(wire_recv(pair[0], &message, &err), -EAGAIN);
	close(pair[0]);
	assert_int_equal(wire_send(pair[1], WIRE_COUNTS, &m, NULL, 0), -EPIPE);
	close(pair[1]);
}

static void test_garbage_closes_its_descriptors(void **state)
{
	struct err err = ERR_INIT;
	int pair[2];

	(void)state;
	assert_int_equal(sock_pair(pair, &err), 0);
	assert_int_equal(sock_send(pair[1], "garbage!", 8, pair, 1), 0);
	assert_int_equal(wire_recv(pair[0], &message, &err), -EBADMSG);
	assert_int_equal(message.n_fds, 0);
	close(pair[0]);
	close(pair[1]);
}

static void test_page(void **state)
{
	struct err err = ERR_INIT;
	int fd = wire_page_new(&err), plain;
	struct wire_page *mine, *theirs;

	(void)state;
	assert_true(fd >= 0);
	mine = wire_page_map(fd, true, &err);
	theirs = wire_page_map(fd, false, &err);
	assert_non_null(mine);
	assert_non_null(theirs);
	assert_int_equal(theirs->since_us, 0);
	wire_page_enter(mine, "statx", "/srv/drop/a");
	assert_true(theirs->since_us > 0);
	assert_string_equal(theirs->call, "statx");
	assert_string_equal(theirs->path, "/srv/drop/a");
	wire_page_leave(mine);
	assert_int_equal(theirs->since_us, 0);
	assert_int_equal(theirs->progress, 1);
	assert_int_equal(ftruncate(fd, 0), -1); /* sealed: no SIGBUS for the reader */
	/* what a call lasts longer than it should is counted */
	wire_page_enter(mine, "statx", "a");
	wire_page_leave(mine);
	assert_int_equal(mine->hung_us, 0);
	wire_page_set_base(mine, "/srv/drop");
	wire_page_enter(mine, "statx", "a");
	assert_string_equal(theirs->base, "/srv/drop");
	mine->since_us -= 3 * WIRE_CALL_US;
	wire_page_leave(mine);
	assert_true(mine->hung_us >= 2 * WIRE_CALL_US && mine->hung_us < 12 * WIRE_CALL_US);
	wire_page_set_base(NULL, "x");
	wire_page_enter(NULL, "x", "y");
	wire_page_leave(NULL);
	wire_page_unmap(mine);
	wire_page_unmap(theirs);
	close(fd);
	plain = memfd_create("plain", MFD_CLOEXEC);
	assert_int_equal(ftruncate(plain, WIRE_PAGE_BYTES), 0);
	assert_null(wire_page_map(plain, true, &err));
	close(plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_round_trip),
		cmocka_unit_test(test_every_type_has_a_name),
		cmocka_unit_test(test_damage_is_refused),
		cmocka_unit_test(test_nul_inside_text_is_refused),
		cmocka_unit_test(test_too_large_is_refused),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_knowns),
		cmocka_unit_test(test_send_with_descriptors),
		cmocka_unit_test(test_full_socket),
		cmocka_unit_test(test_garbage_closes_its_descriptors),
		cmocka_unit_test(test_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
