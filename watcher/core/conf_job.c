/*
 * The literal parts of a template come with every file: a byte in them that the service does not take would
 * make each file a dead letter. What a file brings in is judged when it is there (core/request).
 *
 * What an older version of the Jobs API lacks is a warning: its field lists are not all published.
 */
#include "core/conf_job.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "core/request.h"
#include "core/template.h"

struct telling {
	const struct conf_watch *w;
	conf_job_tell_fn fn;
	void *arg;
};

static void tell(const struct telling *t, bool warning, const char *key, char *text)
{
	t->fn(warning, key, text, t->arg);
	free(text);
}

static bool is_ascii(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] >= 0x80)
			return false;
	return true;
}

const char *conf_job_template_fault(const struct conf_watch *w, const char *template)
{
	const char *field = request_field(w);
	bool ascii_only = strcmp(field, "python_params") == 0 || strcmp(field, "spark_submit_params") == 0;
	struct template_piece piece;

	if (!ascii_only)
		return NULL;
	while (template_next(&template, &piece) > 0) {
		if (!piece.is_name && !is_ascii(piece.text, piece.len))
			return "has other characters than ASCII, which the Jobs API does not take for this "
			       "job_type";
	}
	return NULL;
}

/* KEY, +KEY, KEY+, +KEY+ */
static bool is_task_key(const char *text)
{
	size_t len;

	text += text[0] == '+';
	len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
	return len > 0 && (text[len] == '\0' || strcmp(text + len, "+") == 0);
}

static void check_only(const struct telling *t)
{
	for (size_t i = 0; i < t->w->only.n; i++)
		if (!is_task_key(t->w->only.items[i]))
			tell(t, false, "only",
				mem_printf(
					"only: \"%s\" is not the key of a task (letters, digits, _ and -), "
					"with + in front for those before it and + behind for those after it",
					t->w->only.items[i]));
}

static void check_name(const struct telling *t, const char *version)
{
	if (!t->w->job_name)
		return;
	if (strlen(t->w->job_name) > CONF_JOB_NAME_BYTES)
		tell(t, false, "job_name",
			mem_printf("job_name is longer than %d bytes; give job_id", CONF_JOB_NAME_BYTES));
	if (strcmp(version, "2.0") == 0)
		tell(t, false, "job_name",
			mem_strdup("job_name cannot be looked up with api_version = 2.0; give job_id"));
}

static void check_version(const struct telling *t, const char *version)
{
	const char *field = request_field(t->w);
	bool is_old = strcmp(version, "2.0") == 0;

	if (is_old && (t->w->job_type == CONF_JOB_JOB || t->w->job_type == CONF_JOB_SQL ||
			      strcmp(field, "python_named_params") == 0))
		tell(t, true, "job_type",
			mem_printf(
				"%s came with version 2.1 of the Jobs API, and api_version is 2.0", field));
	if (strcmp(version, "2.2") == 0)
		return;
	if (t->w->only.n > 0)
		tell(t, true, "only",
			mem_printf("only came with version 2.2 of the Jobs API, and api_version is %s",
				version));
	if (t->w->performance_target)
		tell(t, true, "performance_target",
			mem_printf("performance_target came with version 2.2 of the Jobs API, and "
				   "api_version is "
				   "%s",
				version));
}

void conf_job_check(const struct conf_watch *w, conf_job_tell_fn fn, void *arg)
{
	const struct telling t = {.w = w, .fn = fn, .arg = arg};
	const char *version = w->workspace && w->workspace->api_version ? w->workspace->api_version : "2.2";

	check_only(&t);
	check_name(&t, version);
	check_version(&t, version);
}
