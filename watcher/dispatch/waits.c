/*
 * waits: a value is "KIND WORDS", of a job "KIND@NUMBER WORDS". Programs before this one wrote no number, and
 * the first one no words.
 */
#include "dispatch/waits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
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

char *waits_make(enum outcome_kind kind, int64_t job_id, const char *words)
{
	CLEANUP_FREE char *job = job_id >= 0 ? mem_printf("@%" PRId64, job_id) : mem_strdup("");

	return mem_printf("%s%s %.*s", outcome_kind_name(kind), job, WORDS_CHARS, words);
}

/* The number behind the kind; WAITS_ANY_JOB: there is none that can be. */
static int64_t read_job(const char *value, size_t n)
{
	CLEANUP_FREE char *number = value[0] == '@' ? mem_strndup(value + 1, n - 1) : NULL;
	int64_t job_id;

	return number && num_parse_i64(number, &job_id) == 0 && job_id >= 0 ? job_id : WAITS_ANY_JOB;
}

bool waits_read(const char *value, enum outcome_kind *ret_kind, int64_t *ret_job_id, const char **ret_words)
{
	size_t n = strcspn(value, "@ "), end = n + strcspn(value + n, " ");

	for (int k = OUTCOME_STARTED; k <= OUTCOME_UNREACHABLE; k++) {
		const char *name = outcome_kind_name((enum outcome_kind)k);

		if (strlen(name) != n || memcmp(name, value, n) != 0)
			continue;
		*ret_kind = (enum outcome_kind)k;
		*ret_job_id = read_job(value + n, end - n);
		*ret_words = value + end + (value[end] == ' ');
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

/* job_id: of the row. What was said of another job is not its trouble. */
static int describe_suspension(struct ledger *l, const char *name, int64_t job_id, const char *what,
	struct buf *text, struct err *err)
{
	CLEANUP_BUF struct buf value = BUF_INIT(LEDGER_META_BYTES);
	enum outcome_kind kind;
	const char *words;
	int64_t of;
	int rc = ledger_meta(l, name, &value, err);

	if (rc <= 0 || !waits_read(buf_str(&value), &kind, &of, &words))
		return rc < 0 ? rc : 0;
	if (of > 0 && of != job_id)
		return 0;
	(void)buf_addf(text, "; %s%s", what, words[0] ? ": " : "");
	(void)text_add_printable(text, words, strlen(words));
	return 0;
}

static void describe_paused(const struct ledger_row *row, const char *why, struct buf *text)
{
	(void)buf_addf(text, "; watch %s is paused%s%s", row->watch,
		why ? " since a file became a dead letter: " : " by a person", why ? why : "");
}

int waits_describe(struct ledger *l, const struct conf *conf, const struct ledger_row *row, struct buf *text,
	struct err *err)
{
	const struct conf_watch *w = conf ? conf_watch_find(conf, row->watch) : NULL;
	const char *place = row->workspace[0] ? row->workspace : row->host;
	CLEANUP_FREE char *workspace = waits_name_of_workspace(place);
	CLEANUP_FREE char *job = waits_name_of_job(row->watch, place);
	CLEANUP_FREE char *what = mem_printf("workspace %s is suspended", place);
	CLEANUP_FREE char *why = NULL;
	int rc = waits_paused(l, row->watch, &why, err);

	if (rc > 0)
		describe_paused(row, why, text);
	if (rc >= 0 && w && w->paused)
		(void)buf_addf(text, "; watch %s is paused by its configuration (paused = yes)", row->watch);
	if (rc >= 0)
		rc = describe_suspension(l, workspace, row->job_id, what, text, err);
	return rc < 0 ? rc : describe_suspension(l, job, row->job_id, "its job is suspended", text, err);
}
