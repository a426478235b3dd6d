/*
 * fuzz_template: any template with any path, expanded alone and as the parameter of a request.
 *
 * Input: a digit (the watch's job_type), the template up to a line end, the path. What template_check takes
 * must expand, twice to the same bytes; a request that is built must be JSON that holds exactly these bytes,
 * the job's id and the token; one that is refused leaves nothing behind, and says why.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/request.h"
#include "core/template.h"

#define JOB_ID INT64_C(9223372036854775807)
#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define EXPANDED_BYTES 65536u

static void fuzz_claim(bool holds)
{
	if (!holds)
		abort();
}

static bool fuzz_has(const char *p, size_t len, const char *text)
{
	return memmem(p, len, text, strlen(text)) != NULL;
}

/* The pieces must cover the template and say the same as template_check about its form. */
static void fuzz_pieces(const char *text, bool is_good)
{
	struct template_piece piece;
	const char *at = text, *before = text;
	int r;

	while ((r = template_next(&at, &piece)) > 0) {
		fuzz_claim(at > before && piece.len <= (size_t)(at - before));
		before = at;
	}
	fuzz_claim(r == 0 || !is_good);
	fuzz_claim(r < 0 || *at == '\0');
}

static void fuzz_expand(const char *text, const struct template_facts *f, bool is_good)
{
	CLEANUP_BUF struct buf once = BUF_INIT(EXPANDED_BYTES), again = BUF_INIT(EXPANDED_BYTES);
	struct err err = ERR_INIT;
	bool braces = false;
	int r = template_expand_braces(text, f, &once, &braces, &err);
	int s = template_expand(text, f, &again, &err);

	fuzz_claim(r == s && once.len == again.len && memcmp(buf_str(&once), buf_str(&again), once.len) == 0);
	fuzz_claim(r == 0 || err.text[0] != '\0');
	fuzz_claim(!is_good || r == 0 || once.failed);
	fuzz_claim(r < 0 || braces || fuzz_has(text, strlen(text), "{{") ||
		   !fuzz_has(buf_str(&once), once.len, "{{"));
	fuzz_claim(r < 0 || strchr(text, '$') != NULL || strcmp(text, buf_str(&once)) == 0);
}

static const char *fuzz_value(const struct json *root, const char *field)
{
	const struct json *parameters = json_get(root, field);

	return json_is_array(parameters) ? json_text(json_at(parameters, 0))
					 : json_get_text(parameters, "path");
}

static void fuzz_body(const struct conf_watch *w, const char *text, const struct template_facts *f)
{
	CLEANUP_BUF struct buf body = BUF_INIT(REQUEST_BODY_BYTES), value = BUF_INIT(REQUEST_BODY_BYTES);
	CLEANUP_JSON struct json *root = NULL;
	const char *reason = NULL, *sent;
	struct err err = ERR_INIT;
	int64_t id;

	if (request_build(w, f, &body, &reason, &err) < 0) {
		fuzz_claim(reason != NULL && err.text[0] != '\0' && body.len == 0);
		return;
	}
	root = json_parse(body.data, body.len, &err);
	fuzz_claim(root != NULL && text_is_utf8(body.data, body.len));
	fuzz_claim(json_get_i64(root, "job_id", &id) == 0 && id == JOB_ID);
	fuzz_claim(strcmp(json_get_text(root, "idempotency_token"), TOKEN) == 0);
	sent = fuzz_value(root, request_field(w));
	fuzz_claim(template_expand(text, f, &value, &err) == 0);
	fuzz_claim(sent != NULL && strcmp(sent, buf_str(&value)) == 0);
}

static void fuzz_request(int job_type, char *text, const struct template_facts *f)
{
	struct conf_pair pair = {.key = (char *)"path", .value = text};
	struct conf_watch w = {.job_type = job_type, .queue = true};

	if (job_type == CONF_JOB_JAR || job_type == CONF_JOB_PYTHON || job_type == CONF_JOB_SPARK_SUBMIT)
		w.arg = (struct conf_list){.items = &text, .n = 1};
	else
		w.param = (struct conf_pairs){.items = &pair, .n = 1};
	fuzz_body(&w, text, f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_alloc(size + 1);
	struct template_facts f = {.relpath = "a/b.csv",
		.dir_uri = "dbfs:/mnt/in",
		.size = 12345,
		.mtime_ns = INT64_C(1700000000123456789),
		.type = "text/csv",
		.watch = "landing",
		.host = "adb-1.azuredatabricks.net",
		.job_id = JOB_ID,
		.token = TOKEN,
		.now_us = INT64_C(1700000001000000)};
	struct err err = ERR_INIT;
	int job_type = size > 0 ? data[0] % (CONF_JOB_SQL + 1) : 0;
	char *path;
	bool is_good;

	if (size > 1)
		memcpy(text, data + 1, size - 1);
	text[size > 0 ? size - 1 : 0] = '\0';
	path = text + strcspn(text, "\n");
	if (*path != '\0')
		*path++ = '\0';
	f.path = path;
	f.uri = path;
	is_good = template_check(text, &err) == 0;
	fuzz_pieces(text, is_good);
	fuzz_expand(text, &f, is_good);
	fuzz_request(job_type, text, &f);
	free(text);
	return 0;
}
