/*
 * waits: a value is "KIND WORDS". A program before this one wrote the kind alone.
 */
#include "dispatch/waits.h"

#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define WORDS_CHARS 1000 /* of a value: far below what a fact may have */

char *waits_name_of_workspace(const char *workspace)
{
	return mem_printf("suspended:workspace:%s", workspace);
}

char *waits_name_of_job(const char *watch, const char *workspace)
{
	return mem_printf("suspended:job:%s:%s", watch, workspace);
}

char *waits_name_of_pause(const char *watch)
{
	return mem_printf("paused:%s", watch);
}

char *waits_make(enum outcome_kind kind, const char *words)
{
	return mem_printf("%s %.*s", outcome_kind_name(kind), WORDS_CHARS, words);
}

bool waits_read(const char *value, enum outcome_kind *ret_kind, const char **ret_words)
{
	size_t n = strcspn(value, " ");

	for (int k = OUTCOME_STARTED; k <= OUTCOME_UNREACHABLE; k++) {
		const char *name = outcome_kind_name((enum outcome_kind)k);

		if (strlen(name) != n || memcmp(name, value, n) != 0)
			continue;
		*ret_kind = (enum outcome_kind)k;
		*ret_words = value + n + (value[n] == ' ');
		return true;
	}
	return false;
}

/* A person's pause has its time as value, a dead letter's the reason. */
int waits_paused(struct ledger *l, const char *watch, char **ret_why, struct err *err)
{
	CLEANUP_FREE char *name = waits_name_of_pause(watch);
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	int64_t at_us;
	int rc = ledger_meta(l, name, &value, err);

	*ret_why = NULL;
	if (rc > 0 && clock_parse_rfc3339(buf_str(&value), &at_us) < 0)
		*ret_why = mem_strdup(buf_str(&value));
	return rc;
}

static int describe_suspension(
	struct ledger *l, const char *name, const char *what, struct buf *text, struct err *err)
{
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	enum outcome_kind kind;
	const char *words;
	int rc = ledger_meta(l, name, &value, err);

	if (rc <= 0 || !waits_read(buf_str(&value), &kind, &words))
		return rc < 0 ? rc : 0;
	(void)buf_addf(text, "; %s%s", what, words[0] ? ": " : "");
	(void)text_add_printable(text, words, strlen(words));
	return 0;
}

int waits_describe(struct ledger *l, const struct ledger_row *row, struct buf *text, struct err *err)
{
	const char *place = row->workspace[0] ? row->workspace : row->host;
	CLEANUP_FREE char *workspace = waits_name_of_workspace(place);
	CLEANUP_FREE char *job = waits_name_of_job(row->watch, place);
	CLEANUP_FREE char *what = mem_printf("workspace %s is suspended", place);
	CLEANUP_FREE char *why = NULL;
	int rc = waits_paused(l, row->watch, &why, err);

	if (rc > 0)
		(void)buf_addf(text, "; watch %s is paused%s%s", row->watch,
			why ? " since a file became a dead letter: " : " by a person", why ? why : "");
	if (rc >= 0)
		rc = describe_suspension(l, workspace, what, text, err);
	return rc < 0 ? rc : describe_suspension(l, job, "its job is suspended", text, err);
}
