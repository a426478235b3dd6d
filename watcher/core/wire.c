/*
 * wire: one table of fields per message; encoding and decoding walk it.
 *
 * Layout of a datagram: version u16, type u16, length of the body u32, then the fields in table order.
 * Integers are 8 bytes, text and blobs a u32 length and the bytes; text is followed by a NUL that is part of
 * the datagram, so that a decoded string can be used where it lies. Native byte order: both ends are the same
 * binary on the same machine.
 */
#include "core/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

struct wire_header {
	uint16_t version;
	uint16_t type;
	uint32_t length;
};

enum wire_field_kind { FIELD_END = 0, FIELD_I64, FIELD_TEXT, FIELD_BLOB };

struct wire_field {
	enum wire_field_kind kind;
	size_t offset;
	size_t len_offset; /* FIELD_BLOB: where its size_t length is */
};

struct wire_table {
	const char *name;
	const struct wire_field *fields;
};

#define I64(type, member)                                                                                    \
	{                                                                                                    \
		FIELD_I64, offsetof(struct type, member), 0                                                  \
	}
#define TEXT(type, member)                                                                                   \
	{                                                                                                    \
		FIELD_TEXT, offsetof(struct type, member), 0                                                 \
	}
#define BLOB(type, member)                                                                                   \
	{                                                                                                    \
		FIELD_BLOB, offsetof(struct type, member), offsetof(struct type, member##_len)               \
	}
#define END                                                                                                  \
	{                                                                                                    \
		FIELD_END, 0, 0                                                                              \
	}

static const struct wire_field fields_configure[] = {TEXT(wire_configure, section), TEXT(wire_configure, key),
	TEXT(wire_configure, value), TEXT(wire_configure, file), I64(wire_configure, line), END};
static const struct wire_field fields_configured[] = {I64(wire_configured, mode),
	I64(wire_configured, dry_run), I64(wire_configured, watches), I64(wire_configured, wait_us),
	TEXT(wire_configured, only_watch), TEXT(wire_configured, hash), I64(wire_configured, started_us),
	I64(wire_configured, runs_started), END};
static const struct wire_field fields_empty[] = {I64(wire_empty, unused), END};
static const struct wire_field fields_attach[] = {
	TEXT(wire_attach, name), I64(wire_attach, pid), I64(wire_attach, start), END};
static const struct wire_field fields_detach[] = {TEXT(wire_detach, name), TEXT(wire_detach, why), END};
static const struct wire_field fields_state[] = {I64(wire_state, ready), TEXT(wire_state, status), END};
static const struct wire_field fields_hello[] = {TEXT(wire_hello, method), TEXT(wire_hello, file_system),
	I64(wire_hello, inodes_stable), I64(wire_hello, pid), TEXT(wire_hello, limits),
	BLOB(wire_hello, types), BLOB(wire_hello, places), END};
static const struct wire_field fields_candidates[] = {I64(wire_candidates, seq), TEXT(wire_candidates, root),
	TEXT(wire_candidates, rules_hash), BLOB(wire_candidates, items), END};
static const struct wire_field fields_wanted[] = {I64(wire_wanted, seq), BLOB(wire_wanted, bits), END};
static const struct wire_field fields_file[] = {TEXT(wire_file, root), TEXT(wire_file, relpath),
	I64(wire_file, size), I64(wire_file, mtime_ns), I64(wire_file, ino), I64(wire_file, owner),
	TEXT(wire_file, ends), TEXT(wire_file, mime), I64(wire_file, groups), I64(wire_file, by_listing),
	I64(wire_file, first_seen_us), I64(wire_file, completed_us), TEXT(wire_file, evidence),
	TEXT(wire_file, rule), TEXT(wire_file, detail), I64(wire_file, dead_letter),
	TEXT(wire_file, rules_hash), I64(wire_file, birth_ns), I64(wire_file, marker_mtime_ns),
	I64(wire_file, marker_ino), END};
static const struct wire_field fields_waiting[] = {TEXT(wire_waiting, root), TEXT(wire_waiting, relpath),
	TEXT(wire_waiting, waiting_for), I64(wire_waiting, since_us), I64(wire_waiting, gone), END};
static const struct wire_field fields_scanned[] = {I64(wire_scanned, pass), I64(wire_scanned, directories),
	I64(wire_scanned, files), I64(wire_scanned, unsettled), I64(wire_scanned, took_us),
	I64(wire_scanned, complete), BLOB(wire_scanned, roots), TEXT(wire_scanned, why), END};
static const struct wire_field fields_trouble[] = {TEXT(wire_trouble, kind), TEXT(wire_trouble, path),
	TEXT(wire_trouble, detail), I64(wire_trouble, count), END};
static const struct wire_field fields_counts[] = {I64(wire_counts, unsettled), I64(wire_counts, judging),
	I64(wire_counts, directories), I64(wire_counts, done), I64(wire_counts, unreadable),
	I64(wire_counts, closed), I64(wire_counts, away), I64(wire_counts, unwatched),
	I64(wire_counts, starved), END};
static const struct wire_field fields_explain[] = {TEXT(wire_explain, path), END};
static const struct wire_field fields_explained[] = {
	TEXT(wire_explained, step), I64(wire_explained, ok), TEXT(wire_explained, text), END};
static const struct wire_field fields_reloaded[] = {
	I64(wire_reloaded, status), TEXT(wire_reloaded, text), END};
static const struct wire_field fields_restart[] = {TEXT(wire_restart, name), END};
static const struct wire_field fields_confirm[] = {
	I64(wire_confirm, serial), TEXT(wire_confirm, root), BLOB(wire_confirm, items), END};
static const struct wire_field fields_confirmed[] = {
	I64(wire_confirmed, serial), BLOB(wire_confirmed, verdicts), END};
static const struct wire_field fields_list[] = {I64(wire_list, serial), I64(wire_list, offset), END};
static const struct wire_field fields_stale[] = {TEXT(wire_stale, root), TEXT(wire_stale, relpath),
	I64(wire_stale, marker_mtime_ns), I64(wire_stale, marker_ino), I64(wire_stale, by_listing),
	I64(wire_stale, first_seen_us), END};
static const struct wire_field fields_unsettled[] = {
	I64(wire_unsettled, serial), I64(wire_unsettled, total), BLOB(wire_unsettled, items), END};
static const struct wire_field fields_command[] = {I64(wire_command, protocol), TEXT(wire_command, verb),
	TEXT(wire_command, watch), TEXT(wire_command, state), TEXT(wire_command, glob),
	I64(wire_command, since_us), I64(wire_command, until_us), TEXT(wire_command, reason),
	I64(wire_command, yes), END};
static const struct wire_field fields_operand[] = {BLOB(wire_operand, bytes), END};
static const struct wire_field fields_record[] = {BLOB(wire_record, json), END};
static const struct wire_field fields_done[] = {I64(wire_done, status), TEXT(wire_done, text), END};
static const struct wire_field fields_ask[] = {
	TEXT(wire_ask, name), I64(wire_ask, max_bytes), I64(wire_ask, serial), I64(wire_ask, question), END};
static const struct wire_field fields_answer[] = {I64(wire_answer, serial), TEXT(wire_answer, mime),
	TEXT(wire_answer, error), I64(wire_answer, end), END};
static const struct wire_field fields_types[] = {TEXT(wire_types, libmagic), TEXT(wire_types, error), END};

static const struct wire_table wire_tables[] = {
	[WIRE_CONFIGURE] = {"configure", fields_configure},
	[WIRE_CONFIGURED] = {"configured", fields_configured},
	[WIRE_STOP] = {"stop", fields_empty},
	[WIRE_REOPEN] = {"reopen", fields_empty},
	[WIRE_PING] = {"ping", fields_empty},
	[WIRE_ATTACH] = {"attach", fields_attach},
	[WIRE_DETACH] = {"detach", fields_detach},
	[WIRE_RELOADED] = {"reloaded", fields_reloaded},
	[WIRE_STATE] = {"state", fields_state},
	[WIRE_RELOAD] = {"reload", fields_empty},
	[WIRE_RESTART] = {"restart", fields_restart},
	[WIRE_HELLO] = {"hello", fields_hello},
	[WIRE_CANDIDATES] = {"candidates", fields_candidates},
	[WIRE_READY] = {"ready", fields_file},
	[WIRE_REJECTED] = {"rejected", fields_file},
	[WIRE_WAITING] = {"waiting", fields_waiting},
	[WIRE_SCANNED] = {"scanned", fields_scanned},
	[WIRE_TROUBLE] = {"trouble", fields_trouble},
	[WIRE_COUNTS] = {"counts", fields_counts},
	[WIRE_CONFIRMED] = {"confirmed", fields_confirmed},
	[WIRE_UNSETTLED] = {"unsettled", fields_unsettled},
	[WIRE_WANTED] = {"wanted", fields_wanted},
	[WIRE_RESCAN] = {"rescan", fields_empty},
	[WIRE_CONFIRM] = {"confirm", fields_confirm},
	[WIRE_COUNT] = {"count", fields_empty},
	[WIRE_LIST] = {"list", fields_list},
	[WIRE_STALE] = {"stale", fields_stale},
	[WIRE_COMMAND] = {"command", fields_command},
	[WIRE_OPERAND] = {"operand", fields_operand},
	[WIRE_GO] = {"go", fields_empty},
	[WIRE_RECORD] = {"record", fields_record},
	[WIRE_DONE] = {"done", fields_done},
	[WIRE_EXPLAIN] = {"explain", fields_explain},
	[WIRE_EXPLAINED] = {"explained", fields_explained},
	[WIRE_EXPLAINED_FILE] = {"explained-file", fields_file},
	[WIRE_ASK] = {"ask", fields_ask},
	[WIRE_ANSWER] = {"answer", fields_answer},
	[WIRE_TYPES] = {"types", fields_types},
};

static const struct wire_table *wire_table(unsigned type)
{
	if (type >= ARRAY_SIZE(wire_tables) || !wire_tables[type].fields)
		return NULL;
	return &wire_tables[type];
}

const char *wire_type_name(enum wire_type type)
{
	const struct wire_table *t = wire_table(type);

	return t ? t->name : "?";
}

static void wire_put_field(const struct wire_field *f, const char *msg, struct buf *b)
{
	int64_t number;
	uint32_t len;
	const char *text;
	size_t blob_len;

	switch (f->kind) {
	case FIELD_END:
		break;
	case FIELD_I64:
		memcpy(&number, msg + f->offset, sizeof(number));
		(void)buf_add(b, &number, sizeof(number));
		break;
	case FIELD_TEXT:
		memcpy(&text, msg + f->offset, sizeof(text));
		BUG_ON(!text);
		len = (uint32_t)strnlen(text, WIRE_MESSAGE_BYTES);
		(void)buf_add(b, &len, sizeof(len));
		(void)buf_add(b, text, len);
		(void)buf_addc(b, '\0');
		break;
	case FIELD_BLOB:
		memcpy(&text, msg + f->offset, sizeof(text));
		memcpy(&blob_len, msg + f->len_offset, sizeof(blob_len));
		len = blob_len > WIRE_MESSAGE_BYTES ? WIRE_MESSAGE_BYTES : (uint32_t)blob_len;
		(void)buf_add(b, &len, sizeof(len));
		(void)buf_add(b, text, len);
		break;
	}
}

int wire_encode(enum wire_type type, const void *msg, struct buf *b)
{
	const struct wire_table *t = wire_table(type);
	struct wire_header h = {.version = WIRE_VERSION, .type = (uint16_t)type};

	BUG_ON(!t);
	buf_reset(b);
	b->max = WIRE_MESSAGE_BYTES;
	(void)buf_add(b, &h, sizeof(h));
	for (const struct wire_field *f = t->fields; f->kind != FIELD_END; f++)
		wire_put_field(f, msg, b);
	if (b->failed)
		return -EMSGSIZE;
	h.length = (uint32_t)(b->len - sizeof(h));
	memcpy(b->data, &h, sizeof(h));
	return 0;
}

/* Where decoding stands in the bytes. */
struct wire_cursor {
	const char *p;
	size_t left;
};

static bool wire_take(struct wire_cursor *c, void *out, size_t n)
{
	if (c->left < n)
		return false;
	memcpy(out, c->p, n);
	c->p += n;
	c->left -= n;
	return true;
}

/* A length and that many bytes (and a NUL when text). */
static const char *wire_take_bytes(struct wire_cursor *c, bool text, size_t *ret_len)
{
	const char *p;
	uint32_t len;

	if (!wire_take(c, &len, sizeof(len)) || len > c->left || c->left - len < (text ? 1u : 0u))
		return NULL;
	p = c->p;
	if (text && (p[len] != '\0' || memchr(p, '\0', len)))
		return NULL;
	c->p += len + (text ? 1u : 0u);
	c->left -= len + (text ? 1u : 0u);
	*ret_len = len;
	return p;
}

static bool wire_get_field(const struct wire_field *f, struct wire_cursor *c, char *msg)
{
	int64_t number;
	size_t len;
	const char *p;

	if (f->kind == FIELD_I64) {
		if (!wire_take(c, &number, sizeof(number)))
			return false;
		memcpy(msg + f->offset, &number, sizeof(number));
		return true;
	}
	p = wire_take_bytes(c, f->kind == FIELD_TEXT, &len);
	if (!p)
		return false;
	memcpy(msg + f->offset, &p, sizeof(p));
	if (f->kind == FIELD_BLOB)
		memcpy(msg + f->len_offset, &len, sizeof(len));
	return true;
}

static int wire_decode_body(
	const struct wire_table *t, struct wire_cursor *c, struct wire_message *m, struct err *err)
{
	for (const struct wire_field *f = t->fields; f->kind != FIELD_END; f++)
		if (!wire_get_field(f, c, (char *)&m->as))
			return err_set(err, ERR_INPUT, EBADMSG, "message \"%s\" is damaged in field %td",
				t->name, f - t->fields + 1);
	if (c->left != 0)
		return err_set(
			err, ERR_INPUT, EBADMSG, "message \"%s\" has %zu bytes too many", t->name, c->left);
	return 0;
}

int wire_decode(struct wire_message *m, size_t len, struct err *err)
{
	struct wire_cursor c = {.p = m->bytes, .left = len};
	const struct wire_table *t;
	struct wire_header h;
	int rc;

	m->type = WIRE_NONE;
	if (!wire_take(&c, &h, sizeof(h)))
		return err_set(err, ERR_INPUT, EBADMSG, "message of %zu bytes is too short", len);
	if (h.version != WIRE_VERSION)
		return err_set(err, ERR_INPUT, EBADMSG, "message of version %u, expected %d", h.version,
			WIRE_VERSION);
	t = wire_table(h.type);
	if (!t)
		return err_set(err, ERR_INPUT, EBADMSG, "message of unknown type %u", h.type);
	if (h.length != c.left)
		return err_set(err, ERR_INPUT, EBADMSG, "message \"%s\" says %u bytes and has %zu", t->name,
			h.length, c.left);
	rc = wire_decode_body(t, &c, m, err);
	if (rc < 0)
		return rc;
	m->type = (enum wire_type)h.type;
	return 0;
}

int wire_send(int fd, enum wire_type type, const void *msg, const int *fds, size_t n_fds)
{
	CLEANUP_BUF struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	int rc = wire_encode(type, msg, &b);

	return rc < 0 ? rc : sock_send(fd, b.data, b.len, fds, n_fds);
}

int wire_send_wait(int fd, enum wire_type type, const void *msg, const int *fds, size_t n_fds)
{
	for (;;) {
		int rc = wire_send(fd, type, msg, fds, n_fds);

		if (rc != -EAGAIN)
			return rc;
		rc = sock_wait(fd, POLLOUT, 5000);
		if (rc < 0)
			return rc;
	}
}

int wire_recv(int fd, struct wire_message *m, struct err *err)
{
	ssize_t n = sock_recv(fd, m->bytes, sizeof(m->bytes), m->fds, &m->n_fds);
	int rc;

	m->type = WIRE_NONE;
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n < 0)
		m->n_fds = 0;
	if (n == -ECONNRESET || n == -EPIPE)
		return 0;
	if (n == -EMFILE)
		return err_set(err, ERR_SYSTEM, EMFILE,
			"cannot receive a message: no descriptor is left for what comes with it; raise "
			"LimitNOFILE= of "
			"the unit (ulimit -n)");
	if (n < 0)
		return err_errno(err, (int)-n, "cannot receive a message");
	if (n == 0)
		return 0;
	rc = wire_decode(m, (size_t)n, err);
	if (rc < 0) {
		wire_message_close(m);
		return rc;
	}
	return 1;
}

void wire_message_close(struct wire_message *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		fs_close(&m->fds[i]);
	m->n_fds = 0;
}

static void wire_put_text(struct buf *items, const char *text, uint32_t len)
{
	(void)buf_add(items, &len, sizeof(len));
	(void)buf_add(items, text, len);
	(void)buf_addc(items, '\0');
}

int wire_candidates_add(struct buf *items, const struct wire_candidate *c)
{
	uint32_t len = (uint32_t)strnlen(c->relpath, WIRE_PATH_BYTES);
	size_t room = sizeof(len) + len + 1 + 3 * sizeof(int64_t);

	if (items->len + room > WIRE_CANDIDATES_BYTES)
		return -ENOBUFS;
	wire_put_text(items, c->relpath, len);
	(void)buf_add(items, &c->size, sizeof(int64_t));
	(void)buf_add(items, &c->mtime_ns, sizeof(int64_t));
	return buf_add(items, &c->ino, sizeof(int64_t));
}

int wire_candidates_next(const struct wire_candidates *m, size_t *pos, struct wire_candidate *ret)
{
	struct wire_cursor c = {.p = (const char *)m->items + *pos, .left = m->items_len - *pos};
	size_t len;

	if (c.left == 0)
		return 0;
	ret->relpath = wire_take_bytes(&c, true, &len);
	if (!ret->relpath || !wire_take(&c, &ret->size, sizeof(int64_t)) ||
		!wire_take(&c, &ret->mtime_ns, sizeof(int64_t)) || !wire_take(&c, &ret->ino, sizeof(int64_t)))
		return -EBADMSG;
	*pos = m->items_len - c.left;
	return 1;
}

int wire_knowns_add(struct buf *items, const struct wire_known *k)
{
	uint32_t len = (uint32_t)strnlen(k->relpath, WIRE_PATH_BYTES);
	uint32_t ends_len = (uint32_t)strnlen(k->ends, WIRE_PATH_BYTES);
	size_t room = 2 * sizeof(len) + len + ends_len + 2 + 3 * sizeof(int64_t);

	if (items->len + room > WIRE_CANDIDATES_BYTES)
		return -ENOBUFS;
	wire_put_text(items, k->relpath, len);
	(void)buf_add(items, &k->size, sizeof(int64_t));
	(void)buf_add(items, &k->mtime_ns, sizeof(int64_t));
	(void)buf_add(items, &k->ino, sizeof(int64_t));
	wire_put_text(items, k->ends, ends_len);
	return items->failed ? -ENOBUFS : 0;
}

int wire_knowns_next(const struct wire_confirm *m, size_t *pos, struct wire_known *ret)
{
	struct wire_cursor c = {.p = (const char *)m->items + *pos, .left = m->items_len - *pos};
	size_t len;

	if (c.left == 0)
		return 0;
	ret->relpath = wire_take_bytes(&c, true, &len);
	if (!ret->relpath || !wire_take(&c, &ret->size, sizeof(int64_t)) ||
		!wire_take(&c, &ret->mtime_ns, sizeof(int64_t)) || !wire_take(&c, &ret->ino, sizeof(int64_t)))
		return -EBADMSG;
	ret->ends = wire_take_bytes(&c, true, &len);
	if (!ret->ends)
		return -EBADMSG;
	*pos = m->items_len - c.left;
	return 1;
}

int wire_page_new(struct err *err)
{
	int fd = memfd_create("brickwatch-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int code;

	if (fd < 0)
		return err_errno(err, errno, "cannot make a state page");
	if (ftruncate(fd, WIRE_PAGE_BYTES) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	code = errno;
	close(fd);
	return err_errno(err, code, "cannot make a state page");
}

struct wire_page *wire_page_map(int fd, bool writable, struct err *err)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat st;
	void *p;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & needed) != needed || fstat(fd, &st) < 0 || st.st_size != WIRE_PAGE_BYTES) {
		(void)err_set(err, ERR_INPUT, EBADMSG, "descriptor %d is not a sealed state page", fd);
		return NULL;
	}
	p = mmap(NULL, WIRE_PAGE_BYTES, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		(void)err_errno(err, errno, "cannot map a state page");
		return NULL;
	}
	return p;
}

void wire_page_unmap(struct wire_page *p)
{
	if (p)
		munmap(p, WIRE_PAGE_BYTES);
}

static void wire_page_copy(char *to, size_t room, const char *from)
{
	size_t n = strnlen(from, room - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

void wire_page_enter(struct wire_page *p, const char *call, const char *path)
{
	if (!p)
		return;
	wire_page_copy(p->call, sizeof(p->call), call);
	wire_page_copy(p->path, sizeof(p->path), path);
	__atomic_store_n(&p->since_us, clock_mono_us(), __ATOMIC_RELEASE);
}

void wire_page_set_base(struct wire_page *p, const char *base)
{
	if (p)
		wire_page_copy(p->base, sizeof(p->base), base);
}

void wire_page_leave(struct wire_page *p)
{
	int64_t took_us;

	if (!p)
		return;
	took_us = p->since_us > 0 ? clock_mono_us() - p->since_us : 0;
	if (took_us > WIRE_CALL_US)
		p->hung_us += took_us - WIRE_CALL_US;
	__atomic_store_n(&p->since_us, 0, __ATOMIC_RELEASE);
	__atomic_add_fetch(&p->progress, 1, __ATOMIC_RELAXED);
}
