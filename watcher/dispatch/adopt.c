/*
 * adopt: a line is read like anything that comes from outside. The configured directory of a file is not in
 * it, but its path is, and its path below that directory.
 *
 * A row must not become the newest of its file when the ledger has a newer version: a listing would take that
 * one for new.
 */
#include "dispatch/adopt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "core/event.h"
#include "core/filetype.h"
#include "core/wire.h"

struct line {
	struct ledger_new row;
	char *root, *relpath;
	int64_t run_id, attempts, at_us;
	const char *principal;
};

static void line_done(struct line *x)
{
	free(x->root);
	free(x->relpath);
}

#define CLEANUP_LINE __attribute__((cleanup(line_done)))

/* ---- reading ---- */

/* RFC 3339 with nine digits behind the point. */
static int parse_ns(const char *text, int64_t *ret)
{
	const char *point = text ? strchr(text, '.') : NULL;
	char rest[4] = "";
	int64_t us, ns = 0;

	if (!text || clock_parse_rfc3339(text, &us) < 0)
		return -EINVAL;
	if (point && strspn(point + 1, "0123456789") == 9) {
		memcpy(rest, point + 7, 3);
		if (num_parse_i64(rest, &ns) < 0)
			return -EINVAL;
	}
	return __builtin_mul_overflow(us, INT64_C(1000), ret) || __builtin_add_overflow(*ret, ns, ret)
		       ? -EINVAL
		       : 0;
}

static const char *text_or_empty(const struct json *j, const char *key, size_t room)
{
	const char *s = json_get_text(j, key);

	return s && strlen(s) < room ? s : "";
}

static int64_t time_or_zero(const struct json *j, const char *key)
{
	const char *s = json_get_text(j, key);
	int64_t us;

	return s && clock_parse_rfc3339(s, &us) == 0 && us > 0 ? us : 0;
}

static bool is_hex(const char *s, size_t digits)
{
	return strlen(s) == digits && strspn(s, "0123456789abcdef") == digits;
}

/* The true bytes of the path, owned; NULL: there are none that can be. */
static char *take_path(const struct json *j)
{
	const char *path = json_get_text(j, "path"), *base64 = json_get_text(j, "path_base64");
	CLEANUP_BUF struct buf b = BUF_INIT(2 * WIRE_PATH_BYTES);

	if (!base64)
		return path && path[0] == '/' && strlen(path) < 2 * WIRE_PATH_BYTES ? mem_strdup(path) : NULL;
	if (text_from_base64(&b, base64, strlen(base64)) < 0 || b.len == 0 || b.data[0] != '/' ||
		memchr(b.data, '\0', b.len))
		return NULL;
	return mem_strdup(buf_str(&b));
}

/* Takes the path apart: by the watch's directories, or by the relative path where that is told exactly. */
static bool split_path(const struct conf *conf, const struct json *j, const char *path, struct line *x)
{
	const struct conf_watch *w = conf_watch_find(conf, x->row.key.watch);
	const char *relpath = json_get_text(j, "relpath");
	size_t n = strlen(path), m = relpath ? strlen(relpath) : 0;

	for (size_t i = 0; w && i < w->directory.n; i++) {
		const char *root = w->directory.items[i];
		size_t len = strlen(root);

		if (!fs_is_beneath(root, path) || len >= n)
			continue;
		x->root = mem_strdup(root);
		x->relpath = mem_strdup(path + len + (path[len] == '/'));
		return x->relpath[0] != '\0';
	}
	if (m == 0 || m + 1 >= n || path[n - m - 1] != '/' || strcmp(path + n - m, relpath) != 0)
		return false;
	x->root = n - m - 1 > 0 ? mem_strndup(path, n - m - 1) : mem_strdup("/");
	x->relpath = mem_strdup(relpath);
	return true;
}

/* NULL, or what cannot be. */
static const char *read_version(const struct json *j, struct line *x)
{
	struct version *v = &x->row.version;
	const char *ends = json_get_text(j, "ends");

	if (json_get_i64(j, "size", &v->size) < 0 || v->size < 0)
		return "size";
	if (parse_ns(json_get_text(j, "mtime"), &v->mtime_ns) < 0)
		return "mtime";
	if (ends && !is_hex(ends, VERSION_ENDS_HEX - 1))
		return "ends";
	(void)snprintf(v->ends, sizeof(v->ends), "%s", ends ? ends : "");
	if (json_get_i64(j, "owner", &x->row.owner) < 0)
		x->row.owner = 0;
	return NULL;
}

static const char *read_run(const struct json *j, struct line *x)
{
	const char *token = json_get_text(j, "token");

	if (!token || !is_hex(token, TOKEN_BYTES - 1))
		return "token";
	x->row.token = token;
	if (json_get_i64(j, "run_id", &x->run_id) < 0 || x->run_id < 1)
		return "run_id";
	if (json_get_i64(j, "job_id", &x->row.job_id) < 0 || x->row.job_id < 1)
		return "job_id";
	if (json_get_i64(j, "generation", &x->row.generation) < 0 || x->row.generation < 1)
		return "generation";
	if (json_get_i64(j, "attempts", &x->attempts) < 0 || x->attempts < 0)
		x->attempts = 0;
	if (json_get_i64(j, "previous_run_id", &x->row.previous_run_id) < 0 || x->row.previous_run_id < 0)
		x->row.previous_run_id = 0;
	x->at_us = time_or_zero(j, "time");
	return x->at_us > 0 ? NULL : "time";
}

static const char *read_line(const struct conf *conf, const struct json *j, struct line *x)
{
	const char *watch = json_get_text(j, "watch"), *bad;
	CLEANUP_FREE char *path = take_path(j);
	const struct conf_watch *w;

	if (!watch || watch[0] == '\0' || strlen(watch) >= LEDGER_WORD_BYTES)
		return "watch";
	x->row.key.watch = watch;
	if (!path || !split_path(conf, j, path, x) || strlen(x->relpath) >= WIRE_PATH_BYTES ||
		strlen(x->root) >= WIRE_PATH_BYTES)
		return "path";
	bad = read_version(j, x);
	if (!bad)
		bad = read_run(j, x);
	if (bad)
		return bad;
	w = conf_watch_find(conf, watch);
	x->row.key.relpath = x->relpath;
	x->row.mime = text_or_empty(j, "mime", FILETYPE_MIME_BYTES);
	x->row.evidence = "told by an event log";
	x->row.first_seen_us = time_or_zero(j, "first_seen");
	x->row.completed_us = time_or_zero(j, "completed");
	x->row.state = LEDGER_STARTED;
	x->row.reason = x->row.detail = x->row.rules_hash = "";
	x->row.workspace = text_or_empty(j, "workspace", LEDGER_WORD_BYTES);
	x->row.host = w && w->workspace && w->workspace->host_token ? w->workspace->host_token : "";
	x->row.uri = text_or_empty(j, "uri", WIRE_MESSAGE_BYTES);
	x->row.now_us = x->at_us;
	x->principal = text_or_empty(j, "principal", LEDGER_PRINCIPAL_BYTES);
	return NULL;
}

/* ---- writing ---- */

/* The ledger has the token already. */
static int adopt_row(struct ledger *l, const struct line *x, int64_t id, struct adopt *ret, struct err *err)
{
	struct ledger_row row;
	int rc = ledger_row(l, id, &row, err);

	if (rc <= 0)
		return rc;
	ret->result = ADOPT_KNOWN;
	rc = 0;
	if (row.state != LEDGER_STARTED) {
		ret->result = ADOPT_STARTED;
		ret->was_pending = row.state == LEDGER_PENDING;
		(void)snprintf(ret->watch, sizeof(ret->watch), "%s", row.watch);
		(void)snprintf(ret->host, sizeof(ret->host), "%s", row.host);
		rc = ledger_set_started(l, id, x->run_id, x->attempts, x->principal, x->at_us, err);
	}
	ledger_row_done(&row);
	return rc;
}

static int insert(struct ledger *l, const struct line *x, struct adopt *ret, struct err *err)
{
	int64_t id;
	int rc = ledger_insert(l, &x->row, &id, err);

	if (rc == 0)
		rc = ledger_set_started(l, id, x->run_id, x->attempts, x->principal, x->at_us, err);
	ret->result = ADOPT_INSERTED;
	return rc;
}

/* The ledger does not have the token; has it the file? */
static int adopt_file(struct ledger *l, struct line *x, struct adopt *ret, struct err *err)
{
	struct ledger_known known;
	struct ledger_row row;
	int64_t completed_us = 0;
	int rc = ledger_root(l, x->root, true, &x->row.key.root_id, err);

	if (rc < 0)
		return rc;
	rc = ledger_newest(l, &x->row.key, &known, err);
	if (rc > 0 && (known.state == LEDGER_HELD || known.state == LEDGER_SKIPPED) &&
		known.version.size == x->row.version.size &&
		known.version.mtime_ns == x->row.version.mtime_ns) {
		rc = ledger_remove(l, known.id, err); /* this very version, known without its run */
		if (rc == 0)
			rc = insert(l, x, ret, err);
		ret->result = ADOPT_STARTED;
		return rc;
	}
	if (rc > 0) {
		rc = ledger_row(l, known.id, &row, err);
		if (rc > 0) {
			completed_us = row.completed_us;
			ledger_row_done(&row);
		}
	}
	if (rc < 0)
		return rc;
	if (completed_us > x->at_us) {
		ret->result = ADOPT_KNOWN;
		return 0;
	}
	return insert(l, x, ret, err);
}

int adopt_line(struct ledger *l, const struct conf *conf, const char *line, size_t len, int64_t now_us,
	struct adopt *ret, struct err *err)
{
	CLEANUP_LINE struct line x = {.root = NULL};
	CLEANUP_JSON struct json *j = NULL;
	struct ledger_owner owner;
	const char *type, *bad;
	struct err why = ERR_INIT;
	int rc;

	*ret = (struct adopt){.result = ADOPT_OTHER};
	if (!memmem(line, len, "\"run.started\"",
		    strlen("\"run.started\""))) /* most lines are quickly told */
		return 0;
	j = json_parse(line, len, &why);
	type = json_get_text(j, "type");
	if (j && (!type || strcmp(type, event_type_name(EVENT_RUN_STARTED)) != 0))
		return 0;
	bad = j ? read_line(conf, j, &x) : "form";
	if (bad) {
		ret->result = ADOPT_DAMAGED;
		(void)err_set(
			err, ERR_INPUT, EBADMSG, "a line about a started run has no %s that can be", bad);
		return 0;
	}
	if (x.row.completed_us == 0)
		x.row.completed_us = x.at_us < now_us ? x.at_us : now_us;
	rc = ledger_find_token(l, x.row.token, x.relpath, &owner, err);
	if (rc < 0)
		return rc;
	return rc > 0 ? adopt_row(l, &x, owner.id, ret, err) : adopt_file(l, &x, ret, err);
}
