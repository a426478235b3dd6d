/*
 * A call is one run-now, runs/get or other question from its begin to the answer; the answer is read by
 * dispatch/answer, judged by core/outcome, and made fit to be shown here.
 *
 * A call that finds no header to go out with waits for one, and so does one whose credential was refused:
 * its answer is kept meanwhile, and counts after all if there is nothing to try. It is sent once more,
 * whether the credential became another one or not: a gateway's hiccup passes that way too. A 403 that does
 * not speak of the credential (services have answered expired tokens so) is repeated only when the call was
 * sent with another credential than the one that is there now.
 *
 * The message of an answer that never came is core/mishap's, which names the host.
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
#include "dispatch/http.h"
#include "dispatch/transport.h"
#include "dispatch/words.h"

#define MESSAGE_BYTES 501 /* with the NUL */

struct jobs {
	const struct conf_workspace *conf;
	struct transport *transport;
	struct http *http;
	struct auth *auth;
	char *run_now_url, *get_run_url;
	struct list calls;
	size_t n_calls;
	jobs_answer_fn fn;
	void *arg;
};

/* What came back, and what it means. */
struct reply {
	struct outcome outcome;
	int status; /* 0: no answer */
	int64_t retry_after_us;
	struct answer answer;
	struct answer_state state; /* of a run, when it was asked for and told */
	enum answer_form form;
	const char *body; /* of another question, borrowed while the answer is here; a refusal has none */
	size_t body_len;
};

struct jobs_call {
	struct jobs *jobs;
	struct list in_calls;
	void *tag;
	struct secret *header;	   /* what it was sent with last */
	struct auth_waiter waiter; /* for another one */
	struct reply *refusal;	   /* why: NULL: it was not sent yet */
	bool repeated;
	bool resent;	/* by curl: there was an answer that nobody has read */
	int64_t run_id; /* runs/get; 0: run-now, or a page */
	jobs_run_fn fn;
	char *page_path; /* of another question */
	jobs_page_fn page_fn;
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
static void on_header(const struct auth_trouble *trouble, void *arg);

static void call_free(struct jobs_call *c)
{
	auth_unwait(c->jobs->auth, &c->waiter);
	list_remove(&c->in_calls);
	c->jobs->n_calls--;
	secret_free(c->header);
	free(c->refusal);
	free(c->page_path);
	free(c);
}

static int await_header(struct jobs_call *c, bool of_credential, struct err *err)
{
	c->waiter.fn = on_header;
	c->waiter.arg = c;
	return auth_await(c->jobs->auth, &c->waiter, c->header, of_credential, err);
}

static bool is_run_now(const struct jobs_call *c)
{
	return c->run_id == 0 && c->page_path == NULL;
}

static char *get_url_of(const struct jobs_call *c)
{
	if (c->page_path != NULL)
		return mem_printf("%s%s", c->jobs->conf->host, c->page_path);
	return is_run_now(c) ? NULL : mem_printf("%s%" PRId64, c->jobs->get_run_url, c->run_id);
}

static int call_send(struct jobs_call *c, struct err *err)
{
	struct jobs *j = c->jobs;
	struct secret *header = auth_header(j->auth);
	CLEANUP_FREE char *get_url = get_url_of(c);
	struct http_request q = {
		.url = get_url ? get_url : j->run_now_url,
		.headers = get_url ? get_headers : run_now_headers,
		.authorization = header,
		.body = get_url ? NULL : c->body,
		.body_len = c->len,
	};

	if (header == NULL)
		return await_header(c, true, err);
	secret_free(c->header);
	c->header = secret_ref(header);
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

/* Behind what is there. */
static void add_words(struct answer *a, const char *words)
{
	size_t len = strlen(a->message);

	snprintf(a->message + len, sizeof(a->message) - len, "%s%s", len > 0 ? "; " : "", words);
}

/* 2xx, but what came is not what run-now answers: a portal's page, perhaps. */
static void explain_no_run(const struct http_response *r, struct answer *a)
{
	struct answer other;

	answer_read_error(r->body, r->body_len, &other);
	snprintf(a->message, sizeof(a->message), "HTTP %d without a usable run_id: %.300s", r->status,
		other.message[0] != '\0' ? other.message : "nothing that explains it");
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

/* 2xx to another question: who asked reads it. What is no JSON is kept as the words of who answered. */
static void read_page(const struct http_response *r, struct answer *a)
{
	if (answer_form(r->body, r->body_len) != ANSWER_JSON)
		answer_read_error(r->body, r->body_len, a);
	a->code[0] = '\0';
	a->has_run_id = true;
}

/* Everything that is kept of an answer goes through here, before anybody reads it. */
static void blot_answer(const struct jobs_call *c, struct answer *a, struct answer_state *state)
{
	char *const texts[] = {a->code, a->message, state->status, state->code, state->life_cycle,
		state->result, state->message};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		auth_blot(c->jobs->auth, c->header, texts[i]);
}

/* state: filled only from an answer to runs/get that tells about its run. */
static void read_answer(const struct jobs_call *c, const struct http_response *r, struct answer *a,
	struct answer_state *state)
{
	*a = (struct answer){.has_run_id = false};
	if (r->transport != OUTCOME_TRANSPORT_OK) {
		snprintf(a->message, sizeof(a->message), "%s", r->error);
	} else if (r->status >= 200 && r->status <= 299 && c->page_path != NULL) {
		read_page(r, a);
	} else if (r->status >= 200 && r->status <= 299 && c->run_id > 0) {
		read_state(c, r, a, state);
	} else if (r->status >= 200 && r->status <= 299) {
		answer_read_run(r->body, r->body_len, a);
		if (!a->has_run_id)
			explain_no_run(r, a);
	} else {
		words_read(r, a);
	}
	blot_answer(c, a, state);
}

/* nginx completes the handshake with any client, and says by a page what it does not like. */
static void explain_client_certificate(const struct conf_workspace *conf, struct answer *a)
{
	CLEANUP_FREE char *words = mem_strdup(a->message);
	const char *host = strstr(conf->host, "://") + 3;

	if (conf->client_certificate != NULL)
		snprintf(a->message, sizeof(a->message), "%s does not take the client certificate in %s (%s)",
			host, conf->client_certificate, words);
	else
		snprintf(a->message, sizeof(a->message),
			"%s wants a client certificate: set client_certificate (%s)", host, words);
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

/* ---- the end of a call ---- */

static void hand_out_run(struct jobs_call *c, const struct reply *r)
{
	const struct answer_state *s = &r->state;
	const struct fate_words words = {
		.status = s->status, .code = s->code, .life_cycle = s->life_cycle, .result = s->result};
	bool told = r->outcome.kind == OUTCOME_STARTED;
	char message[MESSAGE_BYTES], code[ANSWER_WORD_BYTES];
	struct jobs_run run = {
		.kind = r->outcome.kind,
		.fate = told ? fate_decide(&words) : FATE_UNKNOWN,
		.code = code,
		.message = text_printable(
			r->answer.message, strlen(r->answer.message), message, sizeof(message)),
	};
	const char *word = s->code[0] ? s->code : s->result[0] ? s->result : s->life_cycle;
	jobs_run_fn fn = c->fn;
	void *tag = c->tag, *arg = c->arg;

	snprintf(code, sizeof(code), "%s", told ? word : r->answer.code);
	call_free(c);
	fn(tag, &run, arg);
}

static void hand_out_page(struct jobs_call *c, const struct reply *r)
{
	char message[MESSAGE_BYTES];
	bool answered = r->outcome.kind == OUTCOME_STARTED;
	CLEANUP_FREE char *body = mem_dup(answered ? r->body : "", answered ? r->body_len : 0);
	struct jobs_page page = {
		.outcome = r->outcome,
		.http_status = r->status,
		.form = r->form,
		.body = body,
		.body_len = answered ? r->body_len : 0,
		.message = text_printable(
			r->answer.message, strlen(r->answer.message), message, sizeof(message)),
		.principal = auth_principal(c->jobs->auth),
	};
	jobs_page_fn fn = c->page_fn;
	void *arg = c->arg;

	/* who asked keeps names and words of it; what was sent is nothing that could stand there by chance */
	words_blot_header(body, c->header);
	call_free(c);
	fn(&page, arg);
}

static void hand_out_answer(struct jobs_call *c, const struct reply *r)
{
	struct jobs *j = c->jobs;
	void *tag = c->tag;
	char message[MESSAGE_BYTES];
	struct jobs_answer answer = {
		.outcome = r->outcome,
		.run_id = r->outcome.kind == OUTCOME_STARTED ? r->answer.run_id : 0,
		.http_status = r->status,
		.error_code = r->answer.code,
		.message = text_printable(
			r->answer.message, strlen(r->answer.message), message, sizeof(message)),
		.retry_after_us = r->retry_after_us,
		.principal = auth_principal(j->auth),
	};

	if (c->resent) /* a refusal speaks of the last time; the one before may have made a run */
		answer.outcome.sure_not_started = false;
	call_free(c);
	j->fn(tag, &answer, j->arg);
}

/* r is not the call's own refusal, which goes with the call. */
static void hand_out(struct jobs_call *c, struct reply *r)
{
	const char *hint = auth_hint(c->jobs->auth);

	if (r->outcome.kind == OUTCOME_CREDENTIAL && hint != NULL)
		add_words(&r->answer, hint);
	if (c->page_path != NULL)
		hand_out_page(c, r);
	else if (!is_run_now(c))
		hand_out_run(c, r);
	else
		hand_out_answer(c, r);
}

/* ---- a refused credential ---- */

/* Keeps the answer and waits for another header, where that makes sense; false: it is answered. */
static bool try_again(struct jobs_call *c, const struct reply *r)
{
	bool of_credential = r->outcome.kind == OUTCOME_CREDENTIAL;
	struct err err = ERR_INIT;

	if (c->repeated || (!of_credential && r->status != 403))
		return false;
	c->repeated = true;
	if (await_header(c, of_credential, &err) < 0)
		return false;
	c->refusal = mem_dup(r, sizeof(*r));
	c->refusal->body = "";
	c->refusal->body_len = 0;
	return true;
}

/* There is no header to go on with: what was said before, and why. */
static void give_up(struct jobs_call *c, const struct auth_trouble *trouble)
{
	struct reply r = {.outcome = trouble->outcome,
		.status = trouble->http_status,
		.retry_after_us = trouble->retry_after_us};

	if (c->refusal != NULL) {
		r.answer = c->refusal->answer;
		r.status = c->refusal->status;
		if (c->refusal->outcome.kind != OUTCOME_CREDENTIAL ||
			trouble->outcome.kind == OUTCOME_CREDENTIAL)
			r.outcome = c->refusal->outcome;
	}
	if (r.answer.code[0] == '\0')
		snprintf(r.answer.code, sizeof(r.answer.code), "%s", trouble->code);
	add_words(&r.answer, trouble->message);
	hand_out(c, &r);
}

static void send_again(struct jobs_call *c)
{
	struct reply r = {.outcome = {OUTCOME_RETRY, true, "not_sent"}};
	struct err err = ERR_INIT;

	if (call_send(c, &err) == 0)
		return;
	if (c->refusal != NULL)
		r = *c->refusal;
	add_words(&r.answer, err.text);
	hand_out(c, &r);
}

static void on_header(const struct auth_trouble *trouble, void *arg)
{
	struct jobs_call *c = arg;
	const struct secret *header = auth_header(c->jobs->auth);
	bool other = c->header != NULL && header != NULL && !secret_is_equal(c->header, header);
	bool refused = c->refusal != NULL && c->refusal->outcome.kind == OUTCOME_CREDENTIAL;
	struct reply r;

	if (trouble != NULL && !other) {
		give_up(c, trouble);
	} else if (other || refused || c->refusal == NULL) {
		send_again(c);
	} else {
		r = *c->refusal;
		hand_out(c, &r);
	}
}

static void on_response(const struct http_response *response, void *arg)
{
	struct jobs_call *c = arg;
	struct reply r = {.status = response->status,
		.retry_after_us = response->retry_after_us,
		.body = response->body,
		.body_len = response->body_len};

	c->resent |= response->resent;
	if (c->page_path != NULL)
		r.form = answer_form(response->body, response->body_len);
	read_answer(c, response, &r.answer, &r.state);
	r.outcome = judge(response, &r.answer);
	if (strcmp(r.outcome.reason, "client_certificate_refused") == 0)
		explain_client_certificate(c->jobs->conf, &r.answer);
	if (!try_again(c, &r))
		hand_out(c, &r);
}

/* ---- public ---- */

struct jobs *jobs_new_in(struct loop *loop, const struct conf_workspace *conf,
	const char *credentials_directory, jobs_answer_fn fn, void *arg, struct err *err)
{
	struct http_options o = {
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
	j->transport = o.transport = transport_new(conf, credentials_directory, err);
	if (j->transport != NULL)
		j->auth = auth_new(loop, conf, &o, credentials_directory, err);
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
	transport_free(j->transport); /* last: the others have borrowed it */
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

int jobs_get(struct jobs *j, const char *path, jobs_page_fn fn, void *arg, struct err *err)
{
	struct jobs_call *c = call_new(j, "", 0, NULL);

	c->page_path = mem_strdup(path);
	c->page_fn = fn;
	c->arg = arg;
	return begin_call(c, err);
}

const struct conf_workspace *jobs_workspace(const struct jobs *j)
{
	return j->conf;
}

size_t jobs_in_flight(const struct jobs *j)
{
	return j->n_calls;
}

void jobs_sign_in(const struct jobs *j, struct auth_state *ret)
{
	auth_state(j->auth, ret);
}
