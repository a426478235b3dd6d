/*
 * start: pathmap, then token, then request, since each needs what comes before it.
 */
#include "core/start.h"

#include <string.h>
#include "core/pathmap.h"
#include "core/request.h"
#include "core/template.h"

#define START_URI_BYTES (64u * 1024)

void start_init(struct start *s)
{
	*s = (struct start){.uri = BUF_INIT(START_URI_BYTES), .body = BUF_INIT(REQUEST_BODY_BYTES)};
}

void start_done(struct start *s)
{
	buf_done(&s->uri);
	buf_done(&s->body);
}

static void start_parent(const char *path, struct buf *b)
{
	const char *slash = strrchr(path, '/');

	(void)buf_add(b, path, slash == path ? 1 : (size_t)(slash - path));
}

int start_make(const struct start_facts *f, struct start *s, const char **ret_reason, struct err *err)
{
	CLEANUP_BUF struct buf directory = BUF_INIT(START_URI_BYTES), dir_uri = BUF_INIT(START_URI_BYTES);
	const struct conf_workspace *ws = f->watch->workspace;
	struct template_facts facts = {
		.path = f->path,
		.relpath = f->relpath,
		.size = f->size,
		.mtime_ns = f->mtime_ns,
		.type = f->mime,
		.watch = f->watch->name,
		.host = ws->host_token,
		.job_id = f->watch->job_id,
		.token = s->token,
		.now_us = f->now_us,
	};

	buf_reset(&s->uri);
	buf_reset(&s->body);
	s->mapped = pathmap_apply(f->watch, f->path, &s->uri);
	start_parent(f->path, &directory);
	(void)pathmap_apply(f->watch, buf_str(&directory), &dir_uri);
	token_make(ws->host_token, f->watch->job_id, f->size, f->mtime_ns, f->generation, buf_str(&s->uri),
		(enum conf_version)f->watch->version, s->token);
	facts.uri = buf_str(&s->uri);
	facts.dir_uri = buf_str(&dir_uri);
	return request_build(f->watch, &facts, &s->body, ret_reason, err);
}
