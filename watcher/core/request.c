/*
 * request: one table of parameter fields with their limits, one pass that expands and writes, and a body that
 * is put together only when everything in it is known to be good.
 *
 * The parameters are written as an object of their own, {"notebook_params":{...}}, since that is the text
 * whose bytes the service counts; the body then takes over what is between its braces. Values are sent as raw
 * UTF-8: a 4,096-byte path would not fit as \uXXXX.
 */
#include "core/request.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

/* Source: Jobs API, run-now. For job_parameters, python_named_params and sql_params no limit is documented.
 */
static const struct field {
	const char *name;
	bool is_list;
	bool is_ascii;
	size_t max_bytes; /* 0: only the body's limit */
} fields[] = {
	[CONF_JOB_JOB] = {"job_parameters", false, false, 0},
	[CONF_JOB_NOTEBOOK] = {"notebook_params", false, false, REQUEST_FIELD_BYTES},
	[CONF_JOB_JAR] = {"jar_params", true, false, REQUEST_FIELD_BYTES},
	[CONF_JOB_PYTHON] = {"python_params", true, true, REQUEST_FIELD_BYTES},
	[CONF_JOB_WHEEL] = {"python_named_params", false, false, 0},
	[CONF_JOB_SPARK_SUBMIT] = {"spark_submit_params", true, true, REQUEST_FIELD_BYTES},
	[CONF_JOB_SQL] = {"sql_params", false, false, 0},
};

struct build {
	const struct field *field;
	const struct template_facts *facts;
	struct json_writer json; /* the parameters, an object of their own */
	struct buf value;	 /* the one being expanded */
	const char *reason;
	struct err *err;
};

static const struct field *field_of(const struct conf_watch *w)
{
	BUG_ON(w->job_type < 0 || (size_t)w->job_type >= ARRAY_SIZE(fields));
	if (w->job_type == CONF_JOB_WHEEL && w->param.n == 0 && w->arg.n > 0)
		return &fields[CONF_JOB_PYTHON];
	return &fields[w->job_type];
}

static int refuse(struct build *b, const char *reason, const char *which, const char *why)
{
	char shown[80];

	b->reason = reason;
	return err_set(b->err, ERR_INPUT, EINVAL, "parameter %s: %s",
		text_printable(which, strlen(which), shown, sizeof(shown)), why);
}

static bool is_ascii(const struct buf *b)
{
	for (size_t i = 0; i < b->len; i++) {
		if ((unsigned char)b->data[i] >= 0x80)
			return false;
	}
	return true;
}

/* Expands text into b->value and judges it. which: the parameter in words. */
static int expand(struct build *b, const char *which, const char *text)
{
	bool braces = false;
	int r;

	buf_reset(&b->value);
	r = template_expand_braces(text, b->facts, &b->value, &braces, b->err);
	if (r < 0) {
		b->reason = r == -ENOBUFS ? "request_too_large" : "template_invalid";
		err_prefix(b->err, "parameter %s", which);
		return r;
	}
	if (!text_is_utf8(buf_str(&b->value), b->value.len))
		return refuse(b, "parameter_not_utf8", which, "not UTF-8, so it cannot be sent as JSON");
	if (b->field->is_ascii && !is_ascii(&b->value))
		return refuse(b, "parameter_not_ascii", which, "the Jobs API takes only ASCII in this field");
	if (braces)
		return refuse(b, "name_has_braces", which,
			"the file brings in \"{{\", which Databricks would expand");
	return 0;
}

static int add_map(struct build *b, const struct conf_pairs *params)
{
	json_begin_object(&b->json, b->field->name);
	for (size_t i = 0; i < params->n; i++) {
		int r = expand(b, params->items[i].key, params->items[i].value);

		if (r < 0)
			return r;
		json_add_bytes(&b->json, params->items[i].key, buf_str(&b->value), b->value.len);
	}
	json_end_object(&b->json);
	return 0;
}

static int add_list(struct build *b, const struct conf_list *args)
{
	json_begin_array(&b->json, b->field->name);
	for (size_t i = 0; i < args->n; i++) {
		char which[32];
		int r;

		snprintf(which, sizeof(which), "arg %zu", i + 1);
		r = expand(b, which, args->items[i]);
		if (r < 0)
			return r;
		json_add_bytes(&b->json, NULL, buf_str(&b->value), b->value.len);
	}
	json_end_array(&b->json);
	return 0;
}

/* Leaves {"FIELD":…} in b->json.b. */
static int add_parameters(struct build *b, const struct conf_watch *w)
{
	const struct buf *out = b->json.b;
	int r;

	json_begin_object(&b->json, NULL);
	r = b->field->is_list ? add_list(b, &w->arg) : add_map(b, &w->param);
	if (r < 0)
		return r;
	json_end_object(&b->json);
	if (out->failed) {
		b->reason = "request_too_large";
		return err_set(b->err, ERR_LIMIT, ENOBUFS, "the parameters are longer than %u bytes",
			REQUEST_BODY_BYTES);
	}
	if (b->field->max_bytes == 0 || out->len <= b->field->max_bytes)
		return 0;
	b->reason = "parameters_too_long";
	return err_set(b->err, ERR_LIMIT, EINVAL, "%s takes %zu bytes as JSON, the Jobs API allows %zu",
		b->field->name, out->len, b->field->max_bytes);
}

static void add_only(struct json_writer *j, const struct conf_list *only)
{
	if (only->n == 0)
		return;
	json_begin_array(j, "only");
	for (size_t i = 0; i < only->n; i++)
		json_add_string(j, NULL, only->items[i]);
	json_end_array(j);
}

/* parameters: {"FIELD":VALUE} */
static int add_body(
	const struct conf_watch *w, struct build *b, const struct buf *parameters, struct buf *body)
{
	struct json_writer j = JSON_WRITER(body);
	size_t before = strlen(b->field->name) + strlen("{\"\":");

	json_begin_object(&j, NULL);
	json_add_i64(&j, "job_id", b->facts->job_id);
	json_add_string(&j, "idempotency_token", b->facts->token);
	if (w->queue) {
		json_begin_object(&j, "queue");
		json_add_bool(&j, "enabled", true);
		json_end_object(&j);
	}
	add_only(&j, &w->only);
	if (w->performance_target)
		json_add_string(&j, "performance_target", w->performance_target);
	json_add_raw(&j, b->field->name, parameters->data + before, parameters->len - before - 1);
	json_end_object(&j);
	if (!body->failed)
		return 0;
	b->reason = "request_too_large";
	return err_set(b->err, ERR_LIMIT, ENOBUFS, "the request is longer than %zu bytes", body->max);
}

int request_build(const struct conf_watch *w, const struct template_facts *f, struct buf *body,
	const char **ret_reason, struct err *err)
{
	CLEANUP_BUF struct buf parameters = BUF_INIT(REQUEST_BODY_BYTES);
	CLEANUP_BUF struct buf whole = BUF_INIT(REQUEST_BODY_BYTES);
	struct build b = {
		.field = field_of(w),
		.facts = f,
		.json = JSON_WRITER(&parameters),
		.value = BUF_INIT(REQUEST_BODY_BYTES),
		.err = err,
	};
	int r = add_parameters(&b, w);

	if (r == 0)
		r = add_body(w, &b, &parameters, &whole);
	if (r == 0 && buf_add(body, whole.data, whole.len) < 0) {
		b.reason = "request_too_large";
		r = err_set(err, ERR_LIMIT, ENOBUFS, "the request is longer than %zu bytes", body->max);
	}
	buf_done(&b.value);
	if (r < 0)
		*ret_reason = b.reason;
	return r;
}

const char *request_field(const struct conf_watch *w)
{
	return field_of(w)->name;
}
