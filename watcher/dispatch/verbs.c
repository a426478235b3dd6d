/*
 * verbs: small ones. What looks is in report, what changes rows in operate.
 */
#include "dispatch/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "dispatch/desk.h"
#include "dispatch/operate.h"
#include "dispatch/report.h"
#include "dispatch/takeover.h"

/* ---- rescan, pause, resume: one watch (rescan: or all) ---- */

struct watch_verb {
	bool changes;
	size_t mounts; /* resume: directories that are meant although their mount seemed to be missing */
	int64_t asked, absent; /* watches */
};

static int watch_open(struct control_job *j, struct err *err)
{
	const struct desk *d = j->host;
	const char *name = j->request->watch;

	if (name[0] && desk_find(d, name) < 0)
		return err_set(err, ERR_USAGE, ENOENT, "the service has no watch \"%.60s\"", name);
	if (!name[0] && strcmp(j->request->verb, "rescan") != 0)
		return err_set(err, ERR_USAGE, EINVAL, "which watch?");
	return 0;
}

static int write_action(struct control_job *j, struct err *err)
{
	struct desk *d = j->host;
	const struct event_action x = {
		.verb = j->request->verb,
		.arguments = j->request->watch,
		.user = j->request->user,
		.reason = j->request->reason,
		.count = -1,
	};

	return scribe_action(
		d->scribe, j->request->watch[0] ? j->request->watch : NULL, &x, clock_wall_us(), err);
}

static void rescan_one(struct desk *d, size_t i, struct watch_verb *v)
{
	static const struct wire_empty m = {0};
	struct desk_watch *w = d->watch(d, i);

	/* one that has not gone out yet is as good */
	if (w->link && (link_send(w->link, WIRE_RESCAN, &m) != -EMSGSIZE))
		v->asked++;
	else
		v->absent++;
}

static int rescan_apply(struct control_job *j, struct err *err)
{
	return write_action(j, err);
}

static void rescan_committed(struct control_job *j)
{
	struct watch_verb *v = j->state;
	struct desk *d = j->host;

	for (size_t i = 0; i < d->conf->watches_n; i++)
		if (!j->request->watch[0] || strcmp(d->conf->watches[i]->name, j->request->watch) == 0)
			rescan_one(d, i, v);
	if (v->absent > 0)
		control_say(j, 1,
			"%" PRId64 " of %" PRId64
			" watches cannot be asked, their watchers do not run now (they list when they start)",
			v->absent, v->absent + v->asked);
	else
		control_say(j, 0, "listing %" PRId64 " watch%s", v->asked, v->asked == 1 ? "" : "es");
}

static const struct control_verb verb_rescan = {
	.name = "rescan",
	.state_bytes = sizeof(struct watch_verb),
	.open = watch_open,
	.apply = rescan_apply,
	.committed = rescan_committed,
};

static int set_paused(struct control_job *j, const char *value, enum event_type type, struct err *err)
{
	struct watch_verb *v = j->state;
	struct desk *d = j->host;
	const char *watch = j->request->watch;
	CLEANUP_FREE char *name = mem_printf("paused:%s", watch);
	CLEANUP_BUF struct buf before = BUF_INIT(LEDGER_META_BYTES);
	CLEANUP_FREE char *detail = mem_printf("by %s", j->request->user);
	const struct event_watch x = {.method = "", .file_system = "", .detail = detail, .count = -1};
	int rc = ledger_meta(d->ledger, name, &before, err);

	v->changes = rc >= 0 && (rc > 0) != (value != NULL);
	if (rc < 0 || !v->changes)
		return rc < 0 ? rc : 0;
	rc = ledger_set_meta(d->ledger, name, value, err);
	if (rc == 0)
		rc = scribe_watch(d->scribe, type, watch, &x, clock_wall_us(), err);
	return rc < 0 ? rc : write_action(j, err);
}

static int pause_apply(struct control_job *j, struct err *err)
{
	char now[CLOCK_TEXT_BYTES];

	return set_paused(j, clock_format_us(clock_wall_us(), 0, now), EVENT_WATCH_PAUSED, err);
}

static void pause_committed(struct control_job *j)
{
	const struct watch_verb *v = j->state;
	struct desk *d = j->host;

	sender_set_paused(d->sender, j->request->watch, true);
	if (v->changes)
		log_info("watch %s is paused by %s: its files are accepted and wait", j->request->watch,
			j->request->user);
	control_say(j, 0,
		v->changes ? "watch %.60s is paused: its files are accepted and wait until `resume`"
			   : "watch %.60s is paused already",
		j->request->watch);
}

static int resume_apply(struct control_job *j, struct err *err)
{
	struct watch_verb *v = j->state;
	struct desk *d = j->host;
	const struct conf_watch *w = conf_watch_find(d->conf, j->request->watch);
	int rc = set_paused(j, NULL, EVENT_WATCH_RESUMED, err);

	v->mounts = 0;
	if (rc == 0 && w)
		rc = intake_accept_mount(d->intake, w, &v->mounts, err);
	if (rc == 0 && v->mounts > 0 && !v->changes)
		rc = write_action(j, err);
	return rc;
}

static void resume_committed(struct control_job *j)
{
	struct watch_verb *v = j->state;
	struct desk *d = j->host;
	const struct conf_watch *conf = conf_watch_find(d->conf, j->request->watch);
	bool by_conf = conf && conf->paused;

	sender_set_paused(d->sender, j->request->watch, by_conf);
	if (v->mounts > 0) {
		log_info("watch %s: %s says that its directories are meant as they are now",
			j->request->watch, j->request->user);
		rescan_one(d, (size_t)desk_find(d, j->request->watch), v);
	}
	if (v->changes)
		log_info("watch %s is resumed by %s", j->request->watch, j->request->user);
	if (by_conf)
		control_say(j, 1,
			"watch %.60s stays paused: it has `paused = yes` in the configuration; take that "
			"out there, then brickwatch reload",
			j->request->watch);
	else
		control_say(j, 0,
			v->changes || v->mounts > 0 ? "watch %.60s goes on" : "watch %.60s is not paused",
			j->request->watch);
}

static const struct control_verb verb_pause = {
	.name = "pause",
	.state_bytes = sizeof(struct watch_verb),
	.open = watch_open,
	.apply = pause_apply,
	.committed = pause_committed,
};

static const struct control_verb verb_resume = {
	.name = "resume",
	.state_bytes = sizeof(struct watch_verb),
	.open = watch_open,
	.apply = resume_apply,
	.committed = resume_committed,
};

/* ---- explain: asks the watcher, which has seen what happened to the file ---- */

#define EXPLAIN_BYTES (256u * 1024) /* of one answer; some fifteen steps */

struct explain {
	int64_t give_up_us;
	bool asked, over;
	struct buf records; /* a line each */
	size_t pos;
};

static int explain_open(struct control_job *j, struct err *err)
{
	struct explain *x = j->state;
	const struct desk *d = j->host;

	if (desk_find(d, j->request->watch) < 0)
		return err_set(
			err, ERR_USAGE, ENOENT, "the service has no watch \"%.60s\"", j->request->watch);
	if (j->request->operands_n != 1 || j->request->operands[0].len >= WIRE_PATH_BYTES)
		return err_set(err, ERR_USAGE, EINVAL, "one path is expected");
	x->give_up_us = clock_mono_us() + DESK_PATIENCE_US;
	buf_init(&x->records, EXPLAIN_BYTES);
	return 0;
}

static void explain_close(struct control_job *j)
{
	struct explain *x = j->state;

	desk_forget(j->host, j);
	buf_done(&x->records);
}

static void add_explained_file(struct json_writer *w, const struct wire_file *f)
{
	json_begin_object(w, "file");
	json_add_string(w, "root", f->root);
	json_add_string(w, "relpath", f->relpath);
	json_add_i64(w, "size", f->size);
	json_add_i64(w, "mtime_ns", f->mtime_ns);
	json_add_i64(w, "ino", f->ino);
	json_add_string(w, "ends", f->ends);
	json_add_string(w, "mime", f->mime);
	json_add_string(w, "rule", f->rule);
	json_add_string(w, "detail", f->detail);
	json_add_string(w, "file_system", f->evidence);
	json_add_bool(w, "dead_letter", f->dead_letter != 0);
	json_end_object(w);
}

static void explain_on_answer(struct control_job *j, size_t watch, const struct wire_message *m)
{
	struct explain *x = j->state;
	struct json_writer w = JSON_WRITER(&x->records);

	(void)watch;
	if (!m) {
		x->over = true;
		control_say(j, 1, "the watcher has ended and is started again; ask again");
		return;
	}
	json_begin_object(&w, NULL);
	if (m->type == WIRE_EXPLAINED) {
		json_add_string(&w, "step", m->as.explained.step);
		json_add_i64(&w, "ok", m->as.explained.ok);
		json_add_string(&w, "text", m->as.explained.text);
	} else {
		add_explained_file(&w, &m->as.file);
		x->over = true;
	}
	json_end_object(&w);
	(void)buf_addc(&x->records, '\n');
}

/* Five seconds without an answer: why? */
static void explain_give_up(struct control_job *j, size_t watch)
{
	CLEANUP_BUF struct buf stall = BUF_INIT(2 * WIRE_PATH_BYTES);
	struct desk *d = j->host;

	if (desk_describe_stall(d->watch(d, watch), &stall) > 0)
		control_say(j, 1, "the watch is stalled in %.800s", buf_str(&stall));
	else
		control_say(j, 1, "the watch is busy and has not answered in 5 s");
}

/* There is nobody to ask. While the job of the watch is not known that is a record of its own, the only one.
 */
static int explain_absence(struct control_job *j, size_t watch, struct buf *json, struct err *err)
{
	CLEANUP_BUF struct buf why = BUF_INIT(2 * FINDINGS_TEXT_BYTES);
	struct json_writer w = JSON_WRITER(json);
	struct explain *x = j->state;

	if (!desk_describe_absence(j->host, watch, &why))
		return err_set(err, ERR_SYSTEM, ENOTCONN, "%.900s", buf_str(&why));
	json_begin_object(&w, NULL);
	json_add_string(&w, "no_watcher", buf_str(&why));
	json_end_object(&w);
	x->over = true;
	return 1;
}

static int explain_next(struct control_job *j, struct buf *json, struct err *err)
{
	struct explain *x = j->state;
	struct desk *d = j->host;
	int watch = desk_find(d, j->request->watch), rc = 0;
	const char *line = buf_str(&x->records) + x->pos;
	size_t len = strcspn(line, "\n");

	if (x->records.failed || watch < 0)
		return err_set(
			err, ERR_INPUT, EMSGSIZE, "the watcher's answer is too long, or the watch is gone");
	if (len > 0) {
		x->pos += len + 1;
		(void)buf_add(json, line, len);
		return 1;
	}
	if (x->over)
		return 0;
	if (!x->asked) {
		const struct wire_explain m = {.path = j->request->operands[0].bytes};

		rc = desk_ask(d, (size_t)watch, DESK_EXPLAIN, j, WIRE_EXPLAIN, &m, explain_on_answer);
		x->asked = rc == 0;
	}
	if (rc < 0 && rc != -EBUSY)
		return explain_absence(j, (size_t)watch, json, err);
	if (clock_mono_us() >= x->give_up_us) {
		explain_give_up(j, (size_t)watch);
		return 0;
	}
	j->wake_at_us = x->give_up_us;
	return -EAGAIN;
}

static const struct control_verb verb_explain = {
	.name = "explain",
	.state_bytes = sizeof(struct explain),
	.open = explain_open,
	.next = explain_next,
	.close = explain_close,
};

/* ---- reload ---- */

struct reload {
	int64_t before; /* desk.reloads */
	bool over;
	char *text; /* mistakes */
	size_t pos;
};

static int reload_open(struct control_job *j, struct err *err)
{
	struct reload *r = j->state;
	struct desk *d = j->host;
	int rc = d->reload(d, j->request);

	r->before = d->reloads;
	if (rc == -EBUSY)
		return err_set(err, ERR_SYSTEM, EBUSY, "a reload is under way already");
	return rc < 0 ? err_errno(err, -rc, "cannot ask for the reload") : 0;
}

static void reload_close(struct control_job *j)
{
	struct reload *r = j->state;

	free(r->text);
}

static void reload_take(struct control_job *j)
{
	struct reload *r = j->state;
	const struct desk *d = j->host;

	r->over = true;
	r->text = mem_strdup(d->reload_text);
	if (d->reload_status == 0)
		control_say(j, 0, "reloaded: %" PRId64 " watch%s", d->reload_watches,
			d->reload_watches == 1 ? "" : "es");
	else
		control_say(j, d->reload_status, "the new configuration is refused; the running one stays");
}

static int reload_next(struct control_job *j, struct buf *json, struct err *err)
{
	struct reload *r = j->state;
	const struct desk *d = j->host;
	struct json_writer w = JSON_WRITER(json);
	size_t len;

	(void)err;
	if (!r->over && d->reloads == r->before)
		return -EAGAIN;
	if (!r->over)
		reload_take(j);
	len = strcspn(r->text + r->pos, "\n");
	if (len == 0)
		return 0;
	json_begin_object(&w, NULL);
	json_add_bytes(&w, "mistake", r->text + r->pos, len);
	json_end_object(&w);
	r->pos += len + (r->text[r->pos + len] == '\n');
	return 1;
}

static const struct control_verb verb_reload = {
	.name = "reload",
	.state_bytes = sizeof(struct reload),
	.open = reload_open,
	.next = reload_next,
	.close = reload_close,
};

/* ---- */

const struct control_verb *const verbs_table[] = {
	&operate_drop,
	&operate_release,
	&operate_rerun,
	&operate_retry,
	&report_files,
	&report_status,
	&takeover_adopt,
	&verb_explain,
	&verb_pause,
	&verb_reload,
	&verb_rescan,
	&verb_resume,
};

const size_t verbs_n = ARRAY_SIZE(verbs_table);
