/*
 * A call is one run-now or runs/get from its begin to the answer; the answer is read by dispatch/answer,
 * judged by core/outcome, and made fit to be shown here.
 *
 * A refused credential: each call reads the file again and is sent once more, whether the file changed or
 * not: of several calls that were refused together only the first sees the change, and a gateway's hiccup
 * passes that way too. A 403 that does not speak of the credential (services have answered expired tokens so)
 * is repeated only when the call was sent with another credential than the one that is there now.
 *
 * The message of an answer that never came is curl's; the address is not in all of them, so it is put in
 * front.
 */
#include "dispatch/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/list.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/request.h"
#include "dispatch/answer.h"
#include "dispatch/auth.h"
#include "dispatch/http.h"

#define MESSAGE_BYTES 501 /* with the NUL */
#define LOCATION_SHOWN_BYTES 300
#define MASK_FROM_BYTES 8 /* shorter words are no credential, and would be found everywhere */
#define MASK_COMPARED_BYTES 16
#define PRIVATE_LINK "private-link-validation-error"

struct jobs {
	const struct conf_workspace *conf;
	struct http *http;
	struct auth *auth;
	char *run_now_url, *get_run_url;
	struct list calls;
	size_t n_calls;
	jobs_answer_fn fn;
	void *arg;
};

struct jobs_call {
	struct jobs *jobs;
	struct list in_calls;
	void *tag;
	struct secret *header; /* what it was sent with last */
	bool repeated;
	int64_t run_id; /* runs/get; 0: run-now */
	jobs_run_fn fn;
	void *arg;
	size_t len;
	char body[];
};

static const char *const run_now_headers[] = {
	"Accept: application/json",
	"Content-Type: application/json",
	NULL,
};

static const char *const get_headers[] = {
	"Accept: application/json",
	NULL,
};

static void on_response(const struct http_response *r, void *arg);

static void call_free(struct jobs_call *c)
{
	list_remove(&c->in_calls);
	c->jobs->n_calls--;
	secret_free(c->header);
	free(c);
}

static int call_send(struct jobs_call *c, struct err *err)
{
	struct jobs *j = c->jobs;
	CLEANUP_FREE char *get_url =
		c->run_id > 0 ? mem_printf("%s%" PRId64, j->get_run_url, c->run_id) : NULL;
	struct http_request q = {
		.url = get_url ? get_url : j->run_now_url,
		.headers = get_url ? get_headers : run_now_headers,
		.authorization = auth_header(j->auth),
		.body = get_url ? NULL : c->body,
		.body_len = c->len,
	};

	secret_free(c->header);
	c->header = secret_ref(auth_header(j->auth));
	return http_send(j->http, &q, on_response, c, err);
}

/* ---- what the answer says ---- */

static void set_message(struct answer *a, const char *text, size_t len)
{
	if (len >= sizeof(a->message))
		len = sizeof(a->message) - 1;
	memcpy(a->message, text, len);
	a->message[len] = '\0';
}

/* The words for an answer that has none of its own. */
static void explain_by_head(const struct http_response *r, struct answer *a)
{
	size_t len;
	const char *text = http_header_get(r, "X-Databricks-Reason-Phrase", &len);

	if (text == NULL || len == 0)
		text = http_reason_get(r, &len);
	set_message(a, text, len);
}

static void explain_redirect(const struct http_response *r, struct answer *a)
{
	size_t len = 0;
	const char *to = http_header_get(r, "Location", &len);
	bool private_link = to != NULL && memmem(to, len, PRIVATE_LINK, strlen(PRIVATE_LINK)) != NULL;
	const char *why = private_link ? "the workspace takes requests from its private network only "
					 "(private link), and this host is not in it"
				       : "redirects are not followed; is this the host of the workspace?";

	if (len > LOCATION_SHOWN_BYTES)
		len = LOCATION_SHOWN_BYTES;
	snprintf(a->message, sizeof(a->message), "%s (HTTP %d to %.*s)", why, r->status, (int)len,
		to != NULL ? to : "");
	if (private_link)
		snprintf(a->code, sizeof(a->code), PRIVATE_LINK);
}

/* 2xx, but what came is not what run-now answers: a portal's page, perhaps. */
static void explain_no_run(const struct http_response *r, struct answer *a)
{
	struct answer other;

	answer_read_error(r->body, r->body_len, &other);
	snprintf(a->message, sizeof(a->message), "HTTP %d without a usable run_id: %.300s", r->status,
		other.message[0] != '\0' ? other.message : "nothing that explains it");
}

/* A server that shows the request in its error page would bring the credential into the log. header: what was
 * sent. */
static void mask_credential(struct answer *a, const struct secret *header)
{
	const char *word = strrchr(secret_bytes(header), ' ') + 1;
	size_t len = strlen(word);

	if (len < MASK_FROM_BYTES)
		return;
	if (len > MASK_COMPARED_BYTES)
		len = MASK_COMPARED_BYTES; /* the message may end before the credential does */
	for (char *p = a->message; (p = memmem(p, strlen(p), word, len)) != NULL;)
		while (*p > ' ' && *p != '"' && *p != '<')
			*p++ = '*';
}

/* 2xx to a question about a run: nothing but this run counts. */
static void read_state(const struct jobs_call *c, const struct http_response *r, struct answer *a,
	struct answer_state *state)
{
	answer_read_state(r->body, r->body_len, state);
	a->has_run_id = state->has_run_id && state->run_id == c->run_id;
	if (a->has_run_id)
		set_message(a, state->message, strlen(state->message));
	else
		explain_no_run(r, a);
}

/* state: filled only from an answer to runs/get that tells about its run. */
static void read_answer(const struct jobs_call *c, const struct http_response *r, struct answer *a,
	struct answer_state *state)
{
	*a = (struct answer){.has_run_id = false};
	if (r->transport != OUTCOME_TRANSPORT_OK) {
		snprintf(a->message, sizeof(a->message), "%s: %s", c->jobs->conf->host, r->error);
	} else if (r->status >= 200 && r->status <= 299 && c->run_id > 0) {
		read_state(c, r, a, state);
	} else if (r->status >= 200 && r->status <= 299) {
		answer_read_run(r->body, r->body_len, a);
		if (!a->has_run_id)
			explain_no_run(r, a);
	} else if (r->status >= 300 && r->status <= 399) {
		explain_redirect(r, a);
	} else {
		answer_read_error(r->body, r->body_len, a);
		if (a->message[0] == '\0')
			explain_by_head(r, a);
		if (a->message[0] == '\0')
			snprintf(a->message, sizeof(a->message), "HTTP %d", r->status);
	}
	mask_credential(a, c->header);
}

static struct outcome judge(const struct http_response *r, const struct answer *a)
{
	struct outcome_answer o = {
		.transport = r->transport,
		.http_status = r->status,
		.has_run_id = a->has_run_id,
		.error_code = a->code,
		.message = a->message,
	};

	return outcome_decide(&o);
}

/* ---- a refused credential ---- */

/* Sends the call once more where that makes sense; false: it is answered. Adds to the message what went wrong
 * with reading the credential again. */
static bool try_again(struct jobs_call *c, const struct outcome *o, int status, struct answer *a)
{
	struct err err = ERR_INIT;
	bool changed, failed, other;
	size_t len = strlen(a->message);

	if (c->repeated || (o->kind != OUTCOME_CREDENTIAL && status != 403))
		return false;
	c->repeated = true;
	failed = auth_refresh(c->jobs->auth, &changed, &err) < 0;
	other = !secret_is_equal(c->header, auth_header(c->jobs->auth)); /* maybe read for another call */
	if (failed)
		snprintf(a->message + len, sizeof(a->message) - len, "; %s", err.text);
	if (!other && (failed || o->kind != OUTCOME_CREDENTIAL))
		return false;
	return call_send(c, &err) == 0;
}

static void hand_out_run(
	struct jobs_call *c, const struct outcome *o, const struct answer *a, const struct answer_state *s)
{
	const struct fate_words words = {
		.status = s->status, .code = s->code, .life_cycle = s->life_cycle, .result = s->result};
	char message[MESSAGE_BYTES], code[ANSWER_WORD_BYTES];
	struct jobs_run run = {
		.kind = o->kind,
		.fate = o->kind == OUTCOME_STARTED ? fate_decide(&words) : FATE_UNKNOWN,
		.code = code,
		.message = text_printable(a->message, strlen(a->message), message, sizeof(message)),
	};
	const char *word = s->code[0] ? s->code : s->result[0] ? s->result : s->life_cycle;
	jobs_run_fn fn = c->fn;
	void *tag = c->tag, *arg = c->arg;

	snprintf(code, sizeof(code), "%s", o->kind == OUTCOME_STARTED ? word : a->code);
	call_free(c);
	fn(tag, &run, arg);
}

static void on_response(const struct http_response *r, void *arg)
{
	struct jobs_call *c = arg;
	struct jobs *j = c->jobs;
	void *tag = c->tag;
	struct answer a;
	struct answer_state state = {.has_run_id = false};
	char message[MESSAGE_BYTES];

	read_answer(c, r, &a, &state);

	struct outcome o = judge(r, &a);

	if (try_again(c, &o, r->status, &a))
		return;
	if (c->run_id > 0) {
		hand_out_run(c, &o, &a, &state);
		return;
	}

	struct jobs_answer answer = {
		.outcome = o,
		.run_id = o.kind == OUTCOME_STARTED ? a.run_id : 0,
		.http_status = r->status,
		.error_code = a.code,
		.message = text_printable(a.message, strlen(a.message), message, sizeof(message)),
		.retry_after_us = r->retry_after_us,
		.principal = auth_principal(j->auth),
	};

	call_free(c);
	j->fn(tag, &answer, j->arg);
}

/* ---- public ---- */

struct jobs *jobs_new_in(struct loop *loop, const struct conf_workspace *conf,
	const char *credentials_directory, jobs_answer_fn fn, void *arg, struct err *err)
{
	struct http_options o = {
		.ca_file = conf->ca_file,
		.connect_timeout_us = conf->connect_timeout_us,
		.request_timeout_us = conf->request_timeout_us,
		.max_requests = conf->max_requests > 0 ? (size_t)conf->max_requests : 1,
	};
	struct jobs *j = mem_alloc(sizeof(*j));

	j->conf = conf;
	j->fn = fn;
	j->arg = arg;
	j->run_now_url = mem_printf("%s/api/%s/jobs/run-now", conf->host, conf->api_version);
	j->get_run_url = mem_printf("%s/api/%s/jobs/runs/get?run_id=", conf->host, conf->api_version);
	list_init(&j->calls);
	j->auth = auth_new(conf, credentials_directory, err);
	if (j->auth != NULL)
		j->http = http_new(loop, &o, err);
	if (j->http == NULL) {
		jobs_free(j);
		return NULL;
	}
	return j;
}

struct jobs *jobs_new(
	struct loop *loop, const struct conf_workspace *conf, jobs_answer_fn fn, void *arg, struct err *err)
{
	return jobs_new_in(loop, conf, getenv("CREDENTIALS_DIRECTORY"), fn, arg, err);
}

void jobs_free(struct jobs *j)
{
	if (j == NULL)
		return;
	http_free(j->http); /* first: it has borrowed the bodies */
	LIST_FOREACH_SAFE (it, &j->calls)
		call_free(LIST_OF(it, struct jobs_call, in_calls));
	auth_free(j->auth);
	free(j->run_now_url);
	free(j->get_run_url);
	free(j);
}

static struct jobs_call *call_new(struct jobs *j, const char *body, size_t len, void *tag)
{
	struct jobs_call *c = mem_alloc(sizeof(*c) + len);

	c->jobs = j;
	c->tag = tag;
	c->len = len;
	memcpy(c->body, body, len);
	list_add_tail(&j->calls, &c->in_calls);
	j->n_calls++;
	return c;
}

static int begin_call(struct jobs_call *c, struct err *err)
{
	int rc = call_send(c, err);

	if (rc < 0)
		call_free(c);
	return rc;
}

int jobs_run_now(struct jobs *j, const char *body, size_t len, void *tag, struct err *err)
{
	if (len > REQUEST_BODY_BYTES)
		return err_set(err, ERR_LIMIT, EMSGSIZE,
			"the request is larger than the service takes (%u bytes)", REQUEST_BODY_BYTES);

	return begin_call(call_new(j, body, len, tag), err);
}

int jobs_get_run(struct jobs *j, int64_t run_id, jobs_run_fn fn, void *tag, void *arg, struct err *err)
{
	struct jobs_call *c = call_new(j, "", 0, tag);

	c->run_id = run_id;
	c->fn = fn;
	c->arg = arg;
	return begin_call(c, err);
}

size_t jobs_in_flight(const struct jobs *j)
{
	return j->n_calls;
}
