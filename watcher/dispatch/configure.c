/*
 * configure: values come one by one as the keeper has read them; what they mean is found out again here,
 * since the keeper hands on no parsed state.
 */
#include "dispatch/configure.h"

#include <poll.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/sock.h"

static struct configured take_configured(const struct wire_configured *m)
{
	return (struct configured){
		.mode = (int)m->mode,
		.dry = m->dry_run != 0,
		.watches = m->watches,
		.wait_us = m->wait_us,
		.only_watch = mem_strdup(m->only_watch),
		.hash = mem_strdup(m->hash),
		.started_us = m->started_us,
		.runs_started = m->runs_started,
	};
}

void configured_done(struct configured *c)
{
	free(c->only_watch);
	free(c->hash);
	*c = (struct configured){.hash = NULL};
}

int configure_check(struct conf *conf, const struct conf_mistakes *mistakes, struct err *err)
{
	conf_resolve(conf);
	for (size_t i = 0; i < mistakes->n; i++)
		if (!mistakes->items[i].warning)
			return err_set(err, ERR_CONF, EINVAL, "%s", mistakes->items[i].text);
	for (size_t i = 0; i < conf->watches_n; i++) {
		const struct conf_watch *w = conf->watches[i];

		if (!w->workspace || !w->workspace->host_token)
			return err_set(err, ERR_CONF, EINVAL, "watch %s has no workspace", w->name);
		if (w->job_id <= 0 && !w->job_name)
			return err_set(err, ERR_CONF, EINVAL, "watch %s has no job", w->name);
	}
	return 0;
}

int configure_receive(
	int keeper_fd, struct wire_message *in, struct conf *conf, struct configured *ret, struct err *err)
{
	struct conf_mistakes mistakes = {.n = 0};
	struct configured c = {.hash = NULL};
	int rc = 0;

	while (!c.hash && rc == 0) {
		const struct wire_configure *m = &in->as.configure;

		rc = wire_recv(keeper_fd, in, err);
		if (rc == -EAGAIN) {
			rc = sock_wait(keeper_fd, POLLIN, -1);
			continue;
		}
		if (rc == 0)
			rc = err_set(err, ERR_SYSTEM, EPIPE, "the keeper has gone away");
		if (rc < 0)
			break;
		rc = 0;
		if (in->type == WIRE_CONFIGURE)
			conf_set(conf, m->section, m->key, m->value, m->file, (int)m->line, &mistakes);
		else if (in->type == WIRE_CONFIGURED)
			c = take_configured(&in->as.configured);
		else
			rc = err_set(err, ERR_INPUT, EBADMSG,
				"unexpected message \"%s\" before the configuration",
				wire_type_name(in->type));
		wire_message_close(in);
	}
	if (rc == 0)
		rc = configure_check(conf, &mistakes, err);
	conf_mistakes_done(&mistakes);
	if (rc < 0)
		configured_done(&c);
	else
		*ret = c;
	return rc;
}
