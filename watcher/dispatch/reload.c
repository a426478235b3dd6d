/*
 * reload: none -> asked -> receiving (-> trying) -> draining -> done -> none. Every way out goes through
 * reload_end(), so that nobody waits for ever.
 */
#include "dispatch/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"

#define RELOAD_REFUSED 78 /* EX_CONFIG */

void reload_init(struct reload *r, int keeper_fd, struct desk *desk)
{
	*r = (struct reload){.keeper_fd = keeper_fd, .desk = desk};
}

void reload_done(struct reload *r)
{
	conf_free(r->conf);
	conf_mistakes_done(&r->mistakes);
	free(r->hash);
	free(r->reason);
	reload_init(r, r->keeper_fd, r->desk);
}

void reload_end(struct reload *r, int64_t status, const char *text)
{
	struct desk *desk = r->desk;

	desk->reload_watches = r->watches;
	reload_done(r);
	desk->reloads++;
	desk->reload_status = status;
	free(desk->reload_text);
	desk->reload_text = mem_strdup(text);
	if (desk->control)
		control_wake(desk->control);
}

int reload_ask(struct reload *r, const struct control_request *request)
{
	static const struct wire_empty m = {0};
	int rc;

	if (r->phase != RELOAD_NONE)
		return -EBUSY;
	rc = wire_send(r->keeper_fd, WIRE_RELOAD, &m, NULL, 0);
	if (rc < 0)
		return rc;
	r->phase = RELOAD_ASKED;
	(void)snprintf(r->user, sizeof(r->user), "%s", request->user);
	r->reason = mem_strdup(request->reason);
	return 0;
}

void reload_begin(struct reload *r, const struct wire_reloaded *m)
{
	if (r->phase != RELOAD_ASKED && r->phase != RELOAD_RECEIVING)
		return;
	if (m->status != 0 || r->phase == RELOAD_RECEIVING) {
		log_error("the new configuration is refused; the running one stays");
		reload_end(r, m->status, m->text);
		return;
	}
	r->phase = RELOAD_RECEIVING;
	r->conf = conf_new();
}

void reload_set(struct reload *r, const struct wire_configure *m)
{
	if (r->phase == RELOAD_RECEIVING)
		conf_set(r->conf, m->section, m->key, m->value, m->file, (int)m->line, &r->mistakes);
}

void reload_take_end(struct reload *r, const struct wire_configured *m)
{
	r->watches = m->watches;
	free(r->hash);
	r->hash = mem_strdup(m->hash);
}

void reload_try(struct reload *r)
{
	r->phase = RELOAD_TRYING;
	r->anew = true;
	reload_tell_keeper(r, WIRE_EXIT_AGAIN);
}

bool reload_tried(struct reload *r, const struct wire_reloaded *m)
{
	if (m->status == 0)
		return true;
	log_error("the new configuration is refused: %s; the running one stays", m->text);
	reload_end(r, m->status, m->text);
	return false;
}

void reload_drain(struct reload *r, int64_t by_us)
{
	r->phase = RELOAD_DRAINING;
	r->by_us = by_us;
}

void reload_tell_keeper(struct reload *r, int status)
{
	const struct wire_reloaded m = {.status = status, .text = ""};

	if (wire_send_wait(r->keeper_fd, WIRE_RELOADED, &m, NULL, 0) < 0)
		trace(TRACE_PROCESS, "the keeper does not listen any more");
}

void reload_refuse(struct reload *r, const char *why)
{
	log_error("the new configuration is refused: %s; the running one stays", why);
	reload_tell_keeper(r, RELOAD_REFUSED);
	reload_end(r, RELOAD_REFUSED, why);
}
