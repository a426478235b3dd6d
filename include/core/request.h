/*
 * request: the exact body of POST /api/VERSION/jobs/run-now for one version. Pure. Source: Databricks Jobs
 * API, run-now (https://docs.databricks.com/api/workspace/jobs/runnow).
 *
 * Members in this order: job_id, idempotency_token, queue, only, performance_target, the parameters. `queue =
 * no` sends no queue member: the job's own setting holds.
 *
 * Checked before anything is sent: UTF-8, "{{" that comes from the file and not from the configuration, the
 * 10,000 bytes of the older parameter fields counted as the service counts them (JSON text of the field with
 * its name), ASCII for python_params and spark_submit_params, the 10 MB body.
 */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

#include "base/buf.h"
#include "base/err.h"
#include "core/conf.h"
#include "core/template.h"

#define REQUEST_BODY_BYTES (10u * 1000 * 1000)
#define REQUEST_FIELD_BYTES 10000u /* {"notebook_params":{...}} and its like */

/* Adds the body to `body`. f->job_id and f->token are what is sent. On failure -EINVAL/-ENOBUFS with a
 * sentence fit for the user and nothing added; *ret_reason (constant) is then the dead letter's reason word:
 * "parameters_too_long", "parameter_not_utf8", "parameter_not_ascii", "request_too_large", "name_has_braces",
 * "template_invalid" (a template that template_check would have refused). */
int request_build(const struct conf_watch *w, const struct template_facts *f, struct buf *body,
	const char **ret_reason, struct err *err) MUST_CHECK;
/* The JSON field that carries the parameters: "job_parameters", "notebook_params", "jar_params",
 * "python_params", "python_named_params", "spark_submit_params", "sql_params". A wheel takes python_params
 * when it has `arg` and no `param.KEY`. */
const char *request_field(const struct conf_watch *w);

#endif
