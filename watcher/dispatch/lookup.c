/*
 * lookup: list (only for a name) -> get, page after page -> judged.
 *
 * An answer that is none (cut off, another service's page) ends it as unknown: what cannot be read proves
 * nothing about the job. Pages are bounded, so that a server that always has another one does not keep us.
 */
#include "dispatch/lookup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "dispatch/jobpage.h"

#define PAGES_MAX 12 /* of 100 entries: the service allows 1,000 tasks */
#define PATH_BYTES 8000
#define ME_PATH "/api/2.0/preview/scim/v2/Me"

struct lookup {
	struct jobs *jobs;
	const struct conf_watch *watch;
	lookup_fn fn;
	lookup_identity_fn identity_fn;
	void *arg;
	int64_t job_id; /* 0: its name is being looked for */
	struct jobcheck_search search;
	struct jobcheck_job job;
	struct findings findings;
	struct buf next; /* token of the next page */
	int pages;
};

static void on_page(const struct jobs_page *page, void *arg);

void lookup_free(struct lookup *l)
{
	if (!l)
		return;
	jobcheck_search_done(&l->search);
	jobcheck_job_done(&l->job);
	findings_done(&l->findings);
	buf_done(&l->next);
	free(l);
}

/* ---- asking ---- */

/* As RFC 3986 has it: everything but unreserved characters. */
static void add_encoded(struct buf *b, const char *text)
{
	for (const char *p = text; *p; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			strchr("-._~", *p))
			(void)buf_addc(b, *p);
		else
			(void)buf_addf(b, "%%%02X", (unsigned)(unsigned char)*p);
	}
}

static int ask(struct lookup *l, struct err *err)
{
	CLEANUP_BUF struct buf path = BUF_INIT(PATH_BYTES);

	(void)buf_addf(&path, "/api/%s/jobs/", jobs_workspace(l->jobs)->api_version);
	if (l->job_id > 0) {
		(void)buf_addf(&path, "get?job_id=%" PRId64, l->job_id);
	} else {
		(void)buf_adds(&path, "list?limit=100&name=");
		add_encoded(&path, l->watch->job_name ? l->watch->job_name : "");
	}
	if (l->next.len > 0) {
		(void)buf_adds(&path, "&page_token=");
		add_encoded(&path, buf_str(&l->next));
	}
	if (path.failed)
		return err_set(err, ERR_LIMIT, ENOBUFS, "the question about the job is too long");
	return jobs_get(l->jobs, buf_str(&path), on_page, l, err);
}

/* ---- ending ---- */

static void end(struct lookup *l, enum lookup_end how, const struct outcome *outcome)
{
	const struct lookup_answer a = {
		.end = how,
		.job_id = l->job_id,
		.job_name = l->job.name,
		.findings = &l->findings,
		.outcome = *outcome,
	};

	l->fn(&a, l->arg);
	lookup_free(l);
}

static void end_refused(struct lookup *l, const struct outcome *outcome, const char *words)
{
	jobcheck_judge_refusal(outcome, words, &l->findings);
	end(l, outcome->kind == OUTCOME_JOB ? LOOKUP_REFUSED : LOOKUP_UNKNOWN, outcome);
}

/* An answer came that says nothing; words: what it says instead. */
static void end_unknown(struct lookup *l, const char *words)
{
	const struct outcome nothing = {
		.kind = OUTCOME_RETRY, .sure_not_started = true, .reason = "not_understood"};

	end_refused(l, &nothing, words);
}

static void end_not_understood(struct lookup *l, const struct jobs_page *page, const struct err *why)
{
	CLEANUP_FREE char *words =
		mem_printf("HTTP %d without JSON: %.300s", page->http_status, page->message);

	end_unknown(l, page->form == ANSWER_JSON || page->message[0] == '\0' ? why->text : words);
}

/* ---- pages ---- */

static void ask_again(struct lookup *l)
{
	struct err err = ERR_INIT;

	if (ask(l, &err) < 0)
		end_unknown(l, err.text);
}

/* Is there another page, and may it be asked for? */
static bool has_next(struct lookup *l, bool *cut)
{
	if (l->next.len == 0)
		return false;
	if (++l->pages < PAGES_MAX)
		return true;
	*cut = true;
	return false;
}

static void take_list(struct lookup *l, const struct jobs_page *page)
{
	struct err err = ERR_INIT;

	if (jobpage_add_list(page->body, page->body_len, l->watch->job_name, &l->search, &l->next, &err) <
		0) {
		end_not_understood(l, page, &err);
		return;
	}
	if (has_next(l, &l->search.cut)) {
		ask_again(l);
		return;
	}
	l->job_id = jobcheck_judge_name(&l->search, l->watch, &l->findings);
	if (l->job_id == 0) {
		end(l, LOOKUP_REFUSED, &page->outcome);
		return;
	}
	l->pages = 0;
	buf_reset(&l->next);
	ask_again(l);
}

static void take_job(struct lookup *l, const struct jobs_page *page)
{
	struct err err = ERR_INIT;

	if (jobpage_add_job(page->body, page->body_len, l->job_id, &l->job, &l->next, &err) < 0) {
		end_not_understood(l, page, &err);
		return;
	}
	if (has_next(l, &l->job.cut)) {
		ask_again(l);
		return;
	}
	jobcheck_judge(&l->job, l->watch, &l->findings);
	end(l, LOOKUP_SEEN, &page->outcome);
}

static void on_page(const struct jobs_page *page, void *arg)
{
	struct lookup *l = arg;

	if (page->outcome.kind != OUTCOME_STARTED)
		end_refused(l, &page->outcome, page->message);
	else if (l->job_id == 0)
		take_list(l, page);
	else
		take_job(l, page);
}

static struct lookup *lookup_new(struct jobs *jobs, void *arg)
{
	struct lookup *l = mem_alloc(sizeof(*l));

	l->jobs = jobs;
	l->arg = arg;
	jobcheck_job_init(&l->job);
	buf_init(&l->next, JOBPAGE_TOKEN_BYTES);
	return l;
}

struct lookup *lookup_job(
	struct jobs *jobs, const struct conf_watch *w, lookup_fn fn, void *arg, struct err *err)
{
	struct lookup *l = lookup_new(jobs, arg);

	l->watch = w;
	l->fn = fn;
	BUG_ON(!w->job_name && w->job_id <= 0); /* a configuration without either is refused */
	l->job_id = w->job_name ? 0 : w->job_id;
	if (ask(l, err) == 0)
		return l;
	lookup_free(l);
	return NULL;
}

/* ---- who asks ---- */

static void on_me(const struct jobs_page *page, void *arg)
{
	struct lookup *l = arg;
	char who[JOBCHECK_WORD_BYTES] = "";
	struct lookup_identity identity = {
		.outcome = page->outcome,
		.who = who,
		.http_status = page->http_status,
		.form = page->form,
		.message = page->message,
		.principal = page->principal,
	};

	if (page->outcome.kind == OUTCOME_STARTED)
		identity.signed_in = jobpage_read_me(page->body, page->body_len, who);
	l->identity_fn(&identity, l->arg);
	lookup_free(l);
}

struct lookup *lookup_me(struct jobs *jobs, lookup_identity_fn fn, void *arg, struct err *err)
{
	struct lookup *l = lookup_new(jobs, arg);

	l->identity_fn = fn;
	if (jobs_get(jobs, ME_PATH, on_me, l, err) == 0)
		return l;
	lookup_free(l);
	return NULL;
}
