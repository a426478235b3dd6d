/*
 * online: one chain of questions for each workspace (who are we, then watch after watch), all workspaces at
 * the same time, so that a dead one costs its time-out once. What was found is printed at the end, in the
 * order of the configuration.
 */
#include "cli/online.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"
#include "confine/limits.h"
#include "core/jobcheck.h"
#include "dispatch/jobs.h"
#include "dispatch/lookup.h"

#define ONLINE_LINE_BYTES (256u * 1024)
#define ONLINE_WORDS_BYTES 1024

enum online_sign_in {
	ONLINE_SIGNED_IN = 0,
	ONLINE_NOT_TOLD, /* it does not say who we are, and nothing against us */
	ONLINE_UNUSABLE, /* the credential cannot even be read */
	ONLINE_FOREIGN,	 /* whoever answers there is no workspace */
	ONLINE_FAILED,	 /* not reachable, or refused */
};

struct online;

struct online_place { /* a workspace */
	struct online *o;
	const struct conf_workspace *conf;
	struct jobs *jobs;
	enum online_sign_in sign_in;
	char who[JOBCHECK_WORD_BYTES];
	char *principal;
	char *words; /* why not */
	size_t next; /* watch to be asked about */
};

struct online_job { /* of a watch */
	bool asked;
	enum lookup_end end;
	char *name;
	struct findings findings;
};

struct online {
	struct conf *c;
	struct loop *loop;
	struct online_place *places; /* as c->workspaces */
	struct online_job *jobs;     /* as c->watches */
	size_t open;		     /* chains that go on */
	size_t counts[FINDING_ERROR + 1];
	int status;
};

static void online_next(struct online_place *p);

static void online_end_chain(struct online_place *p)
{
	if (--p->o->open == 0)
		loop_stop(p->o->loop, 0);
}

static void online_worsen(struct online *o, int status)
{
	if (status > o->status)
		o->status = status;
}

/* ---- asking ---- */

static void online_take(struct online_job *j, const struct lookup_answer *a)
{
	j->end = a->end;
	j->name = a->job_name ? mem_strdup(a->job_name) : NULL;
	j->findings = *a->findings;
	*a->findings = (struct findings){.n = 0};
}

static void online_on_job(const struct lookup_answer *a, void *arg)
{
	struct online_place *p = arg;
	size_t i = p->next++;

	online_take(&p->o->jobs[i], a);
	p->o->c->watches[i]->job_id = a->job_id;
	online_next(p);
}

/* Asks about the next watch of the workspace, if there is one. */
static void online_next(struct online_place *p)
{
	const struct conf *c = p->o->c;
	struct err err = ERR_INIT;

	while (p->next < c->watches_n && c->watches[p->next]->workspace != p->conf)
		p->next++;
	if (p->next == c->watches_n) {
		online_end_chain(p);
		return;
	}
	p->o->jobs[p->next].asked = true;
	if (lookup_job(p->jobs, c->watches[p->next], online_on_job, p, &err))
		return;
	p->o->jobs[p->next].end = LOOKUP_UNKNOWN;
	findings_add(&p->o->jobs[p->next].findings, FINDING_WARNING, "not_asked", "%s", err.text);
	online_end_chain(p);
}

/* A workspace that refuses just this question may still tell about jobs, and so may one behind something that
 * answers this question in its place. */
static bool online_may_ask_on(const struct lookup_identity *who)
{
	switch (who->outcome.kind) {
	case OUTCOME_CREDENTIAL:
	case OUTCOME_UNREACHABLE:
	case OUTCOME_RETRY:
		return false;
	case OUTCOME_STARTED:
	case OUTCOME_JOB:
	case OUTCOME_DEAD:
		break;
	}
	return true;
}

static void online_note_silence(struct online_place *p, const struct lookup_identity *who)
{
	const char *host = strstr(p->conf->host, "://") + 3;
	bool foreign = who->form != ANSWER_JSON || who->outcome.kind == OUTCOME_STARTED;

	p->sign_in = foreign ? ONLINE_FOREIGN : ONLINE_NOT_TOLD;
	if (!foreign)
		p->words = mem_strdup(who->message);
	else if (who->form == ANSWER_JSON)
		p->words = mem_printf("%s answers, but not as a Databricks workspace does: JSON without id "
				      "and userName (HTTP %d)",
			host, who->http_status);
	else
		p->words = mem_printf(
			"%s answers, but not as a Databricks workspace does: %s \"%.200s\" (HTTP %d)", host,
			who->form == ANSWER_HTML ? "HTML page" : "text", who->message, who->http_status);
}

static void online_on_me(const struct lookup_identity *who, void *arg)
{
	struct online_place *p = arg;

	(void)snprintf(p->who, sizeof(p->who), "%s", who->who);
	p->principal = mem_strdup(who->principal);
	if (who->signed_in) {
		online_next(p);
		return;
	}
	if (online_may_ask_on(who)) {
		online_note_silence(p, who);
		online_next(p);
		return;
	}
	p->sign_in = ONLINE_FAILED;
	p->words = mem_printf("%s (%s)", who->message, who->outcome.reason);
	online_end_chain(p);
}

/* Run-now is never called here. */
static void online_on_answer(void *tag, const struct jobs_answer *answer, void *arg)
{
	(void)tag;
	(void)answer;
	(void)arg;
}

static bool online_is_used(const struct conf *c, const struct conf_workspace *ws)
{
	for (size_t i = 0; i < c->watches_n; i++)
		if (c->watches[i]->workspace == ws)
			return true;
	return c->workspaces_n == 1;
}

static void online_begin(struct online_place *p)
{
	struct err err = ERR_INIT;

	p->jobs = jobs_new(p->o->loop, p->conf, online_on_answer, NULL, &err);
	if (p->jobs && lookup_me(p->jobs, online_on_me, p, &err)) {
		p->o->open++;
		return;
	}
	p->sign_in = err.class == ERR_CONF ? ONLINE_UNUSABLE : ONLINE_FAILED;
	p->words = mem_strdup(err.text);
}

/* ---- telling ---- */

static const char *online_place_name(const struct online_place *p)
{
	return p->conf->name[0] ? p->conf->name : p->conf->host_token;
}

/* The watches of p, one after the other; at: behind the one before, 0 at first. NULL: no more. */
static struct online_job *online_each_job(const struct online_place *p, size_t *at)
{
	const struct conf *c = p->o->c;

	while (*at < c->watches_n)
		if (c->watches[(*at)++]->workspace == p->conf)
			return &p->o->jobs[*at - 1];
	return NULL;
}

/* What somebody else said about the jobs is worth nothing; and a watch that was not asked about says why. */
static void online_settle(struct online_place *p)
{
	struct online_job *j;
	size_t at = 0;

	while (p->sign_in == ONLINE_FOREIGN && (j = online_each_job(p, &at)))
		if (j->asked && j->end == LOOKUP_SEEN)
			p->sign_in = ONLINE_NOT_TOLD;
	at = 0;
	while (p->sign_in > ONLINE_NOT_TOLD && (j = online_each_job(p, &at))) {
		findings_done(&j->findings);
		j->asked = false;
		findings_add(&j->findings, FINDING_WARNING, "not_asked", "the job could not be looked at: %s",
			p->sign_in == ONLINE_UNUSABLE ? "the credential cannot be used"
			: p->sign_in == ONLINE_FAILED ? "nobody is signed in"
						      : "that is no workspace");
	}
}

static void online_judge_place(struct online *o, const struct online_place *p)
{
	if (p->sign_in == ONLINE_UNUSABLE)
		online_worsen(o, CLI_CONFIG);
	else if (p->sign_in > ONLINE_UNUSABLE)
		online_worsen(o, CLI_UNREACHABLE);
}

static void online_judge_job(struct online *o, const struct online_job *j)
{
	for (size_t i = 0; i < j->findings.n; i++)
		o->counts[j->findings.items[i].level]++;
	if (findings_error(&j->findings))
		online_worsen(o, CLI_FAILED);
	else if (j->end == LOOKUP_UNKNOWN)
		online_worsen(o, CLI_UNREACHABLE);
}

static void online_print_place(const struct online_place *p)
{
	static const char *const heads[] = {
		[ONLINE_SIGNED_IN] = "signed in",
		[ONLINE_NOT_TOLD] = "not refused, but who this is was not said: ",
		[ONLINE_UNUSABLE] = "the credential cannot be used: ",
		[ONLINE_FOREIGN] = "",
		[ONLINE_FAILED] = "cannot sign in: ",
	};
	char words[ONLINE_WORDS_BYTES];

	if (p->sign_in != ONLINE_SIGNED_IN) {
		(void)printf("workspace %s: %s%s\n", online_place_name(p), heads[p->sign_in],
			text_printable(p->words, strlen(p->words), words, sizeof(words)));
		return;
	}
	(void)printf("workspace %s: signed in%s%s with %s\n", online_place_name(p), p->who[0] ? " as " : "",
		p->who, p->principal);
}

static void online_print_job(const struct conf_watch *w, const struct online_job *j)
{
	char job[JOBCHECK_WORD_BYTES];

	jobcheck_call(w->job_id, j->name ? j->name : w->job_name, job);
	if (!j->asked) {
		(void)printf("watch %s: %s was not looked at\n", w->name, job);
	} else {
		(void)printf("watch %s: %s%s\n", w->name, job,
			j->end == LOOKUP_SEEN ? "" : " cannot be looked at");
	}
	for (size_t i = 0; i < j->findings.n; i++)
		(void)printf("  %s: %s\n", finding_level_name(j->findings.items[i].level),
			j->findings.items[i].text);
	if (j->findings.more > 0)
		(void)printf("  and %zu more\n", j->findings.more);
}

static void online_json_place(struct json_writer *w, const struct online_place *p)
{
	static const char *const states[] = {[ONLINE_SIGNED_IN] = "signed_in",
		[ONLINE_NOT_TOLD] = "not_told",
		[ONLINE_UNUSABLE] = "credential_unusable",
		[ONLINE_FOREIGN] = "no_workspace",
		[ONLINE_FAILED] = "failed"};

	json_begin_object(w, NULL);
	json_add_string(w, "kind", "workspace");
	json_add_string(w, "workspace", p->conf->name);
	json_add_string(w, "host", p->conf->host_token);
	json_add_string(w, "state", states[p->sign_in]);
	json_add_string(w, "identity", p->who[0] ? p->who : NULL);
	json_add_string(w, "principal", p->principal);
	json_add_string(w, "detail", p->words);
	json_end_object(w);
}

static void online_json_job(struct json_writer *w, const struct conf_watch *conf, const struct online_job *j)
{
	static const char *const states[] = {
		[LOOKUP_SEEN] = "seen", [LOOKUP_REFUSED] = "refused", [LOOKUP_UNKNOWN] = "unknown"};

	json_begin_object(w, NULL);
	json_add_string(w, "kind", "job");
	json_add_string(w, "watch", conf->name);
	json_add_string(w, "workspace", conf->workspace->name);
	if (conf->job_id > 0)
		json_add_i64(w, "job_id", conf->job_id);
	else
		json_add_null(w, "job_id");
	json_add_string(w, "job_name", j->name ? j->name : conf->job_name);
	json_add_string(w, "state", j->asked ? states[j->end] : "not_asked");
	findings_add_json(w, &j->findings);
	json_end_object(w);
}

static void online_print(struct online *o, bool json)
{
	CLEANUP_BUF struct buf b = BUF_INIT(ONLINE_LINE_BYTES);

	for (size_t i = 0; i < o->c->workspaces_n + o->c->watches_n; i++) {
		size_t k = i - o->c->workspaces_n;
		struct json_writer w = JSON_WRITER(&b);

		buf_reset(&b);
		if (i < o->c->workspaces_n && o->places[i].o && json)
			online_json_place(&w, &o->places[i]);
		else if (i < o->c->workspaces_n && o->places[i].o)
			online_print_place(&o->places[i]);
		else if (i >= o->c->workspaces_n && json)
			online_json_job(&w, o->c->watches[k], &o->jobs[k]);
		else if (i >= o->c->workspaces_n)
			online_print_job(o->c->watches[k], &o->jobs[k]);
		if (b.len > 0)
			(void)printf("%s\n", buf_str(&b));
	}
	if (!json)
		(void)printf("%zu error%s, %zu warning%s\n", o->counts[FINDING_ERROR],
			o->counts[FINDING_ERROR] == 1 ? "" : "s", o->counts[FINDING_WARNING],
			o->counts[FINDING_WARNING] == 1 ? "" : "s");
}

/* ---- the whole ---- */

static void online_done(struct online *o)
{
	for (size_t i = 0; i < o->c->workspaces_n; i++) {
		jobs_free(o->places[i].jobs);
		free(o->places[i].principal);
		free(o->places[i].words);
	}
	for (size_t i = 0; i < o->c->watches_n; i++) {
		free(o->jobs[i].name);
		findings_done(&o->jobs[i].findings);
	}
	free(o->places);
	free(o->jobs);
	loop_free(o->loop);
}

static int online_ask(struct online *o, struct err *err)
{
	int rc = limits_apply(LIMITS_DISPATCHER, err); /* a secret is read: no core file */

	if (rc < 0)
		return rc;
	o->loop = loop_new(err);
	if (!o->loop)
		return -err->code;
	for (size_t i = 0; i < o->c->workspaces_n; i++) {
		if (!online_is_used(o->c, o->c->workspaces[i]))
			continue;
		o->places[i].o = o;
		o->places[i].conf = o->c->workspaces[i];
		online_begin(&o->places[i]);
	}
	return o->open > 0 ? loop_run(o->loop, err) : 0;
}

int online_check(struct conf *c, bool json)
{
	struct online o = {.c = c};
	struct err err = ERR_INIT;

	(void)signal(SIGPIPE, SIG_IGN);
	o.places = mem_array(c->workspaces_n + 1, sizeof(o.places[0]));
	o.jobs = mem_array(c->watches_n + 1, sizeof(o.jobs[0]));
	if (online_ask(&o, &err) < 0) {
		online_done(&o);
		return cli_fail(&err);
	}
	for (size_t i = 0; i < c->workspaces_n; i++) {
		if (!o.places[i].o)
			continue;
		online_settle(&o.places[i]);
		online_judge_place(&o, &o.places[i]);
	}
	for (size_t i = 0; i < c->watches_n; i++)
		jobcheck_judge_others(c, c->watches[i], &o.jobs[i].findings);
	for (size_t i = 0; i < c->watches_n; i++)
		online_judge_job(&o, &o.jobs[i]);
	online_print(&o, json);
	online_done(&o);
	return o.status;
}
