/*
 * fuzz_event_text: any template with any values, in both forms.
 *
 * Input: the template up to a line end, then a text (to a NUL: no event has one) that is put
 * into several fields as it is. What
 * event_text_check takes must expand with every event; from a JSON template comes JSON, from a plain one with
 * one line comes one line.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/event.h"
#include "core/event_text.h"

#define EXPANDED_BYTES (4u * 1024 * 1024)

static void fuzz_claim(bool holds)
{
	if (!holds)
		abort();
}

static void fuzz_line(struct buf *line, const char *value, size_t len)
{
	struct json_writer w = JSON_WRITER(line);

	json_begin_object(&w, NULL);
	json_add_bytes(&w, "path", value, len);
	json_add_bytes(&w, "type", value, len / 2);
	json_add_i64(&w, "size", INT64_MIN);
	json_add_null(&w, "watch");
	json_begin_object(&w, "header");
	json_add_bytes(&w, "x", value, len);
	json_end_object(&w);
	json_end_object(&w);
	fuzz_claim(!line->failed);
}

static void fuzz_result(const struct buf *b, enum event_text_form form)
{
	struct err err = ERR_INIT;
	CLEANUP_JSON struct json *json = NULL;

	if (form == EVENT_TEXT_PLAIN) {
		fuzz_claim(memchr(buf_str(b), '\n', b->len) == NULL);
		return;
	}
	json = json_parse(buf_str(b), b->len, &err);
	fuzz_claim(json != NULL && text_is_utf8(buf_str(b), b->len));
}

static void fuzz_expand(const char *text, enum event_text_form form, const struct buf *line)
{
	CLEANUP_BUF struct buf b = BUF_INIT(EXPANDED_BYTES);
	struct err err = ERR_INIT;
	bool is_good = event_text_check(text, form, &err) == 0;
	int r = event_text_expand(text, form, buf_str(line), line->len, &b, &err);

	fuzz_claim(r == 0 || err.text[0] != '\0');
	fuzz_claim(!is_good || r == 0 || b.failed);
	if (is_good && r == 0)
		fuzz_result(&b, form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf line = BUF_INIT(EVENT_LINE_BYTES);
	CLEANUP_FREE char *text = mem_alloc(size + 1);
	size_t end;

	if (size > 8192)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	end = strcspn(text, "\n");
	text[end] = '\0';
	fuzz_line(&line, text + end + (end < size), end < size ? strlen(text + end + 1) : 0);
	fuzz_expand(text, EVENT_TEXT_PLAIN, &line);
	fuzz_expand(text, EVENT_TEXT_JSON, &line);
	return 0;
}
