/*
 * jobpage: what a page of jobs/get or jobs/list says. Pure; it takes foreign bytes. Arrays of a job come in
 * pages of 100 from API 2.2 on; each page is added to what the former ones said.
 */
#ifndef DISPATCH_JOBPAGE_H
#define DISPATCH_JOBPAGE_H

#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "core/jobcheck.h"

#define JOBPAGE_TOKEN_BYTES 2048 /* longest page token that is sent back */

/* Adds a page of jobs/get?job_id=JOB_ID. next is replaced by the token of the next page, empty: there is
 * none. -EBADMSG: it is no such answer, or of another job; job is as it was. */
int jobpage_add_job(const char *body, size_t len, int64_t job_id, struct jobcheck_job *job, struct buf *next,
	struct err *err) MUST_CHECK;
/* Adds a page of jobs/list?name=NAME: jobs of exactly this name are counted. */
int jobpage_add_list(const char *body, size_t len, const char *name, struct jobcheck_search *s,
	struct buf *next, struct err *err) MUST_CHECK;
/* Who asks, from the answer of scim/v2/Me, into out; "" when it does not say. False: it says nothing that a
 * workspace would, neither id nor userName. */
bool jobpage_read_me(const char *body, size_t len, char out[JOBCHECK_WORD_BYTES]);

#endif
