/*
 * findings: a sorted array. Texts are made printable and cut when they come in, since names in them are
 * chosen by strangers.
 */
#include "core/findings.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

void findings_done(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->items[i].text);
	*f = (struct findings){.n = 0};
}

const char *finding_level_name(enum finding_level level)
{
	static const char *const names[] = {
		[FINDING_NOTE] = "note", [FINDING_WARNING] = "warning", [FINDING_ERROR] = "error"};

	BUG_ON((size_t)level >= ARRAY_SIZE(names));
	return names[level];
}

const struct finding *findings_error(const struct findings *f)
{
	return f->n > 0 && f->items[0].level == FINDING_ERROR ? &f->items[0] : NULL;
}

/* In its place among those of the same level; the least of a full list gives way. */
static void insert(struct findings *f, const struct finding *one)
{
	size_t at = f->n;

	while (at > 0 && f->items[at - 1].level < one->level)
		at--;
	if (f->n == FINDINGS_MAX) {
		f->more++;
		if (at == f->n) {
			free(one->text);
			return;
		}
		free(f->items[--f->n].text);
	}
	memmove(&f->items[at + 1], &f->items[at], (f->n - at) * sizeof(f->items[0]));
	f->items[at] = *one;
	f->n++;
}

void findings_add(struct findings *f, enum finding_level level, const char *code, const char *fmt, ...)
{
	CLEANUP_BUF struct buf raw = BUF_INIT(16 * FINDINGS_TEXT_BYTES);
	struct finding one = {.level = level, .code = code};
	char shown[FINDINGS_TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)buf_vaddf(&raw, fmt, ap);
	va_end(ap);
	one.text = mem_strdup(text_printable(buf_str(&raw), raw.len, shown, sizeof(shown)));
	insert(f, &one);
}

void findings_add_json(struct json_writer *w, const struct findings *f)
{
	json_begin_array(w, "findings");
	for (size_t i = 0; i < f->n; i++) {
		json_begin_object(w, NULL);
		json_add_string(w, "level", finding_level_name(f->items[i].level));
		json_add_string(w, "code", f->items[i].code);
		json_add_string(w, "text", f->items[i].text);
		json_end_object(w);
	}
	json_end_array(w);
}
