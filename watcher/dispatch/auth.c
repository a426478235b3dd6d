/*
 * Idle -> (for tokens of the workspace: discovering ->) asking -> idle. Every pass begins with reading the
 * credential's file anew, so a changed secret, a rotated identity token, an edited profile need no restart.
 * Kinds without a token endpoint are through when the file is read.
 *
 * Who waits stands in `waiting` while a pass is under way, and in `ready` from its end to the deferred call
 * that serves them; so nobody is called from inside of anything, and a pass that is begun by one of them
 * concerns the others no more.
 *
 * The life of a token is kept on two clocks. The monotonic one cannot be set, but stands still while the
 * machine sleeps; the other one goes on. The one that says "over" first counts: asking once too often is
 * harmless.
 *
 * A renewal ahead of time that fails is nobody's trouble while the old token is good: it is logged once and
 * tried again after a back-off. When the old one is over, requests wait, and get the trouble.
 *
 * The endpoint is looked up in every pass: one small request an hour, and no memory of where it used to be.
 */
#include "dispatch/auth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/trace.h"
#include "core/backoff.h"
#include "core/signin.h"
#include "dispatch/credential.h"
#include "dispatch/oauth.h"
#include "dispatch/secretfile.h"
#include "dispatch/words.h"

#define TIMED_FROM_S 60 /* tokens of less are renewed when they are used, not by the clock */
#define HINT_BYTES 512
#define SHOWN_BYTES 600

enum step { STEP_IDLE, STEP_DISCOVERING, STEP_ASKING };

struct auth {
	struct loop *loop;
	const struct conf_workspace *conf;
	struct http_options options;
	char *credentials_directory; /* or NULL */
	struct credential credential;
	char name[CREDENTIAL_NAME_BYTES], hint[HINT_BYTES];
	struct secret *header; /* NULL: none yet */
	struct signin_life mono, wall;

	enum step step;
	struct http *http; /* to who hands out tokens; for one pass, since the next one is an hour away */
	struct oauth_request request;
	struct secret *answer;
	int64_t asked_mono_us, asked_wall_us;

	struct list waiting, ready;
	size_t waiters;
	struct auth_trouble trouble; /* of the last pass that failed */
	struct loop_timer *timer;
	unsigned failures;     /* in a row */
	int64_t not_before_us; /* monotonic: no renewal ahead of time before that */
	bool told;	       /* that one has failed */
};

/* ---- the header ---- */

static bool is_static(const struct auth *a)
{
	return a->credential.kind == CONF_AUTH_TOKEN || a->credential.kind == CONF_AUTH_BASIC;
}

static enum signin_state header_state(const struct auth *a)
{
	enum signin_state mono = signin_state(&a->mono, clock_mono_us());
	enum signin_state wall = signin_state(&a->wall, clock_wall_us());

	return mono > wall ? mono : wall;
}

/* Owns fresh from now on. The same one as before stays, so that who compares sees no change. */
static void take_header(struct auth *a, struct secret *fresh)
{
	if (a->header != NULL && secret_is_equal(a->header, fresh)) {
		secret_free(fresh);
		return;
	}
	secret_free(a->header);
	a->header = fresh;
}

static void take_token(struct auth *a, const struct oauth_token *t)
{
	take_header(a, t->header);
	a->mono = signin_life(a->asked_mono_us, t->seconds);
	a->wall = signin_life(a->asked_wall_us, t->seconds);
	if (t->seconds >= TIMED_FROM_S)
		loop_timer_set(a->timer, a->mono.renew_us);
}

static void take_static(struct auth *a, struct secret *header)
{
	take_header(a, header);
	a->mono = a->wall = (struct signin_life){.end_us = 0};
	loop_timer_clear(a->timer);
}

static void describe(struct auth *a)
{
	const struct credential *c = &a->credential;

	credential_name(c, a->conf, a->name);
	a->hint[0] = '\0';
	if (c->file != NULL && secretfile_is_handed_over(c->file))
		snprintf(a->hint, sizeof(a->hint),
			"systemd copied %s when the service started: restart it after a change", c->file);
}

/* Reads the file anew; on failure everything is as before. */
static int read_credential(struct auth *a, struct err *err)
{
	struct credential fresh;
	int r = credential_load(a->conf, a->credentials_directory, &fresh, err);

	if (r < 0)
		return r;
	credential_done(&a->credential);
	a->credential = fresh;
	describe(a);
	return 0;
}

/* ---- the end of a pass ---- */

static void serve(void *arg)
{
	struct auth *a = arg;
	struct auth_trouble trouble = a->trouble; /* the next pass may fail before all are served */

	while (!list_is_empty(&a->ready)) {
		struct auth_waiter *w = LIST_OF(a->ready.next, struct auth_waiter, in);

		list_remove(&w->in);
		a->waiters--;
		w->fn(w->failed ? &trouble : NULL, w->arg);
	}
}

static void make_ready(struct auth *a, struct auth_waiter *w, bool failed)
{
	list_remove(&w->in);
	w->failed = failed;
	list_add_tail(&a->ready, &w->in);
	loop_defer(a->loop, serve, a);
}

/* Not at once: its own callback may be what ended the pass. */
static void close_http(void *arg)
{
	struct auth *a = arg;

	if (a->step != STEP_IDLE)
		return; /* of the next pass already */
	http_free(a->http);
	a->http = NULL;
}

static void end_pass(struct auth *a, bool failed)
{
	a->step = STEP_IDLE;
	loop_defer(a->loop, close_http, a);
	oauth_request_done(&a->request);
	secret_free(a->answer);
	a->answer = NULL;
	LIST_FOREACH_SAFE (it, &a->waiting)
		make_ready(a, LIST_OF(it, struct auth_waiter, in), failed);
}

static void succeed(struct auth *a)
{
	trace(TRACE_AUTH, "workspace %s: signed in, good for %" PRId64 " s", a->conf->host_token,
		a->mono.usable_us == INT64_MAX ? -1 : (a->mono.usable_us - clock_mono_us()) / US_PER_S);
	if (a->told)
		log_info("workspace %s: signed in again", a->conf->host_token);
	a->told = false;
	a->failures = 0;
	a->not_before_us = 0;
	end_pass(a, false);
}

/* Nobody was kept waiting by it yet. */
static void tell_renewal_failed(struct auth *a)
{
	char shown[SHOWN_BYTES], span[CLOCK_TEXT_BYTES];

	if (a->told || !list_is_empty(&a->waiting))
		return;
	a->told = true;
	log_warning("workspace %s: there is no new access token yet: %s; the present one is good for %s",
		a->conf->host_token,
		text_printable(a->trouble.message, strlen(a->trouble.message), shown, sizeof(shown)),
		clock_format_span(a->mono.usable_us - clock_mono_us(), span));
}

/* a->trouble is filled. */
static void fail(struct auth *a)
{
	bool renewing = a->header != NULL && header_state(a) == SIGNIN_RENEW;

	a->not_before_us = clock_mono_us() + backoff_ceiling_us(++a->failures);
	loop_timer_clear(a->timer);
	if (renewing) {
		loop_timer_set(a->timer, a->not_before_us);
		tell_renewal_failed(a);
	}
	end_pass(a, true);
}

/* What went wrong without an answer that could be judged. */
static void fail_with(struct auth *a, enum outcome_kind kind, const char *reason, const char *message)
{
	a->trouble =
		(struct auth_trouble){.outcome = {.kind = kind, .sure_not_started = true, .reason = reason}};
	snprintf(a->trouble.message, sizeof(a->trouble.message), "%s", message);
	fail(a);
}

/* ---- asking ---- */

/* Who hands out the tokens, for messages. */
static const char *token_host(const struct auth *a)
{
	if (a->credential.kind == CONF_AUTH_AZURE_CLIENT_SECRET)
		return a->credential.authority;
	return a->credential.kind == CONF_AUTH_AZURE_MANAGED_IDENTITY ? a->credential.metadata
								      : a->conf->host;
}

/* An answer without a token. detail: what is wrong with a 2xx. */
static void refuse(struct auth *a, const struct http_response *r, const char *detail)
{
	struct answer said = {.has_run_id = false};
	struct outcome_answer o = {.transport = r->transport, .http_status = r->status};

	if (r->transport != OUTCOME_TRANSPORT_OK)
		snprintf(said.message, sizeof(said.message), "%s", r->error);
	else if (r->status < 200 || r->status > 299)
		words_read(r, &said);
	else
		snprintf(said.message, sizeof(said.message), "%s", detail);
	auth_blot(a, a->request.authorization, said.code);
	auth_blot(a, a->request.authorization, said.message);
	o.error_code = said.code;
	o.message = said.message;
	a->trouble = (struct auth_trouble){
		.outcome = signin_decide(&o), .http_status = r->status, .retry_after_us = r->retry_after_us};
	memcpy(a->trouble.code, said.code, sizeof(said.code));
	snprintf(a->trouble.message, sizeof(a->trouble.message), "sign-in at %s: %s%s%.*s", token_host(a),
		said.code, said.code[0] != '\0' ? ": " : "", SHOWN_BYTES, said.message);
	fail(a);
}

static void on_token(const struct http_response *r, void *arg)
{
	struct auth *a = arg;
	struct oauth_token token;
	struct err err = ERR_INIT;

	if (r->transport != OUTCOME_TRANSPORT_OK || r->status < 200 || r->status > 299) {
		refuse(a, r, "");
	} else if (oauth_read_token(r->body, r->body_len, clock_wall_us(), &token, &err) < 0) {
		refuse(a, r, err.text);
	} else {
		take_token(a, &token);
		succeed(a);
	}
}

/* Sends what a->request says. */
static int ask(struct auth *a, enum step step, http_response_fn fn, struct err *err)
{
	const struct oauth_request *o = &a->request;
	struct http_request q = {
		.url = o->url,
		.headers = o->headers,
		.authorization = o->authorization,
		.body = o->body != NULL ? secret_bytes(o->body) : NULL,
		.body_len = o->body != NULL ? secret_len(o->body) : 0,
	};

	secret_free(a->answer);
	a->answer = secret_new(OAUTH_ANSWER_BYTES);
	q.answer = a->answer;
	a->step = step;
	return http_send(a->http, &q, fn, a, err);
}

static void ask_for_token(struct auth *a, const char *endpoint)
{
	struct err err = ERR_INIT;

	oauth_request_done(&a->request);
	oauth_request_init(&a->request, &a->credential, endpoint);
	a->asked_mono_us = clock_mono_us();
	a->asked_wall_us = clock_wall_us();
	if (ask(a, STEP_ASKING, on_token, &err) < 0)
		fail_with(a, OUTCOME_UNREACHABLE, "sign_in_unavailable", err.text);
}

static void on_endpoint(const struct http_response *r, void *arg)
{
	struct auth *a = arg;
	struct err err = ERR_INIT;
	char *endpoint;

	if (r->transport != OUTCOME_TRANSPORT_OK || r->status < 200 || r->status > 299) {
		refuse(a, r, "");
	} else if (oauth_read_endpoint(a->conf->host, r->body, r->body_len, &endpoint, &err) < 0) {
		refuse(a, r, err.text);
	} else {
		ask_for_token(a, endpoint);
		free(endpoint);
	}
}

static void ask_for_endpoint(struct auth *a)
{
	static const char *const headers[] = {"Accept: application/json", NULL};
	struct err err = ERR_INIT;

	oauth_request_done(&a->request);
	a->request.url = oauth_discovery_url(a->conf->host);
	a->request.headers = headers;
	if (ask(a, STEP_DISCOVERING, on_endpoint, &err) < 0)
		fail_with(a, OUTCOME_UNREACHABLE, "sign_in_unavailable", err.text);
}

/* The metadata service is on this machine's own link: nothing that is set for the workspace holds for it. */
static struct http_options options_for(const struct auth *a)
{
	struct http_options o = a->options;

	if (a->credential.kind == CONF_AUTH_AZURE_MANAGED_IDENTITY)
		o = (struct http_options){.connect_timeout_us = a->options.connect_timeout_us,
			.request_timeout_us = a->options.request_timeout_us};
	o.max_requests = 1;
	return o;
}

static int open_http(struct auth *a, struct err *err)
{
	struct http_options o = options_for(a);

	http_free(a->http);
	a->http = http_new(a->loop, &o, err);
	return a->http != NULL ? 0 : -err->code;
}

static void begin_pass(struct auth *a)
{
	struct err err = ERR_INIT;

	trace(TRACE_AUTH, "workspace %s: the credential is read again", a->conf->host_token);
	if (read_credential(a, &err) < 0) {
		trace(TRACE_AUTH, "workspace %s: %s", a->conf->host_token, err.text);
		fail_with(a, OUTCOME_CREDENTIAL, "credential_unreadable", err.text);
		return;
	}
	if (is_static(a)) {
		take_static(a, credential_header(&a->credential));
		succeed(a);
		return;
	}
	if (open_http(a, &err) < 0)
		fail_with(a, OUTCOME_UNREACHABLE, "sign_in_unavailable", err.text);
	else if (oauth_is_of_workspace(&a->credential))
		ask_for_endpoint(a);
	else
		ask_for_token(a, NULL);
}

static void renew_if_due(struct auth *a)
{
	if (a->step == STEP_IDLE && clock_mono_us() >= a->not_before_us && header_state(a) == SIGNIN_RENEW)
		begin_pass(a);
}

static void on_timer(struct loop_timer *timer, void *arg)
{
	(void)timer;
	renew_if_due(arg);
}

/* ---- public ---- */

struct auth *auth_new(struct loop *loop, const struct conf_workspace *conf, const struct http_options *http,
	const char *credentials_directory, struct err *err)
{
	struct auth *a = mem_alloc(sizeof(*a));

	a->loop = loop;
	a->conf = conf;
	a->options = *http;
	if (credentials_directory != NULL)
		a->credentials_directory = mem_strdup(credentials_directory);
	list_init(&a->waiting);
	list_init(&a->ready);
	a->timer = loop_timer_add(loop, on_timer, a);
	if (read_credential(a, err) < 0) {
		auth_free(a);
		return NULL;
	}
	if (is_static(a))
		take_static(a, credential_header(&a->credential));
	if (a->credential.kind == CONF_AUTH_BASIC && a->credential.from_profile)
		log_warning(
			"workspace %s: the profile signs in by user name and password, which Databricks took "
			"for the last time on 10 July 2024",
			conf->host_token);
	return a;
}

void auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	BUG_ON(a->waiters > 0);
	http_free(a->http); /* first: it has borrowed request and answer */
	oauth_request_done(&a->request);
	secret_free(a->answer);
	secret_free(a->header);
	credential_done(&a->credential);
	loop_timer_remove(a->timer);
	loop_defer_cancel(a->loop, serve, a);
	loop_defer_cancel(a->loop, close_http, a);
	free(a->credentials_directory);
	free(a);
}

struct secret *auth_header(struct auth *a)
{
	if (a->header == NULL || header_state(a) == SIGNIN_OVER)
		return NULL;
	renew_if_due(a);
	return a->header;
}

int auth_await(struct auth *a, struct auth_waiter *w, const struct secret *refused, bool of_credential,
	struct err *err)
{
	const struct secret *present = auth_header(a);
	bool other = refused != NULL && present != NULL && !secret_is_equal(present, refused);
	bool pointless = refused != NULL && present != NULL && !of_credential && !is_static(a);

	if (a->waiters >= AUTH_WAITERS_MAX)
		return err_set(err, ERR_LIMIT, EAGAIN, "%d requests wait for an access token already",
			AUTH_WAITERS_MAX);
	a->waiters++;
	list_add_tail(&a->waiting, &w->in);
	if (other || pointless)
		make_ready(a, w, false);
	else if (a->step == STEP_IDLE)
		begin_pass(a);
	return 0;
}

void auth_unwait(struct auth *a, struct auth_waiter *w)
{
	if (!list_is_linked(&w->in))
		return;
	list_remove(&w->in);
	a->waiters--;
}

static void blot_form(const struct secret *s, char *text)
{
	CLEANUP_SECRET struct secret *form = secret_new(3 * secret_len(s));

	if (secret_add_form(form, secret_bytes(s), secret_len(s)) == 0)
		words_blot(text, secret_bytes(form), secret_len(form));
}

void auth_blot(const struct auth *a, const struct secret *sent, char *text)
{
	const struct secret *s = a->credential.secret;

	if (text[0] == '\0')
		return;
	words_blot_header(text, sent);
	words_blot_header(text, a->header);
	if (s == NULL)
		return;
	words_blot(text, secret_bytes(s), secret_len(s));
	blot_form(s, text);
}

const char *auth_hint(const struct auth *a)
{
	return a->hint[0] != '\0' ? a->hint : NULL;
}

const char *auth_principal(const struct auth *a)
{
	return a->name;
}

void auth_state(const struct auth *a, struct auth_state *ret)
{
	*ret = (struct auth_state){
		.kind = conf_auth_name(a->credential.kind),
		.principal = a->name,
		.file = a->credential.file,
		.changed_us = a->credential.changed_us,
		.has_token = a->header != NULL && a->wall.end_us != 0,
		.token_end_us = a->wall.end_us,
	};
}
