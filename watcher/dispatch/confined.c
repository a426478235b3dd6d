/*
 * Files that others replace by rename are allowed by their directory. A drop folder that lies beneath one of
 * these directories (a token beside the data, the event log in it) is open with it; Landlock cannot take a
 * part out again, so that is said.
 *
 * Paths are looked at when the loop turns anyway: an idle service needs none of them, and one that is in
 * trouble with its log, its ledger or its credentials tries again.
 */
#include "dispatch/confined.h"

#include <stdlib.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "confine/landlock.h"
#include "core/conf_notify.h"
#include "dispatch/secretfile.h"

#define CONFINED_LOOK_US (2 * US_PER_S)
#define CONFINED_FILES (LANDLOCK_READ | LANDLOCK_LIST | LANDLOCK_WRITE | LANDLOCK_MAKE)

struct confined {
	struct walls *walls;
	char *state;	 /* directory */
	int64_t look_us; /* next time */
};

static void own_parent(struct walls *w, const char *file, unsigned may)
{
	CLEANUP_FREE char *parent = file ? fs_parent(file) : NULL;

	if (parent)
		walls_own(w, parent, may);
}

/* "credential:NAME" lies where systemd has put it. */
static void own_secret(struct walls *w, const char *file)
{
	if (file && !secretfile_is_handed_over(file))
		walls_own_file(w, file);
}

static void own_workspace(struct walls *w, const struct conf_workspace *ws)
{
	const char *const files[] = {ws->token_file, ws->password_file, ws->client_secret_file,
		ws->oidc_token_file, ws->config_file, ws->proxy_password_file, ws->proxy_ca_file, ws->ca_file,
		ws->client_certificate, ws->client_key, ws->client_key_password_file};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		own_secret(w, files[i]);
}

static struct walls *confined_plan(const struct conf *conf)
{
	struct walls *w = walls_new(LIMITS_DISPATCHER);
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");

	walls_own(w, conf->service.state_directory, CONFINED_FILES | LANDLOCK_FOLDERS);
	own_parent(w, conf->events.file, CONFINED_FILES);
	walls_own(w, conf->service.runtime_directory, LANDLOCK_LIST | LANDLOCK_MAKE_SOCKET);
	own_parent(w, conf->service.metrics_file, CONFINED_FILES);
	if (credentials && credentials[0] == '/')
		walls_own(w, credentials, LANDLOCK_READ);
	for (size_t i = 0; i < conf->workspaces_n; i++)
		own_workspace(w, conf->workspaces[i]);
	for (size_t i = 0; i < conf->notifies_n; i++) {
		own_secret(w, conf->notifies[i]->smtp_password_file);
		own_secret(w, conf->notifies[i]->ca_file);
		own_secret(w, conf->notifies[i]->webhook_secret_file);
		if (conf->notifies[i]->webhook && conf_notify_is_file(conf->notifies[i]->webhook))
			own_secret(w, conf->notifies[i]->webhook);
	}
	return w;
}

static void tell_open_folders(const struct walls *w, const struct conf *conf)
{
	for (size_t i = 0; i < conf->watches_n; i++)
		for (size_t k = 0; k < conf->watches[i]->directory.n; k++) {
			const char *folder = conf->watches[i]->directory.items[k];
			const char *own = walls_hold(w, folder);

			if (own)
				log_warning("the folder %s of watch %s lies in %s, where the dispatcher has "
					    "files of its own: so nothing keeps it out of there",
					folder, conf->watches[i]->name, own);
		}
}

struct confined *confined_raise(const struct conf *conf)
{
	struct confined *c = mem_alloc(sizeof(*c));
	struct err err = ERR_INIT;

	c->walls = confined_plan(conf);
	c->state = mem_strdup(conf->service.state_directory);
	if (walls_raise(c->walls, false, &err) < 0)
		log_warning("not fully confined: %s; going on without", err.text);
	tell_open_folders(c->walls, conf);
	return c;
}

void confined_free(struct confined *c)
{
	if (!c)
		return;
	walls_free(c->walls);
	free(c->state);
	free(c);
}

bool confined_suits(const struct confined *c, const struct conf *conf)
{
	struct walls *other = confined_plan(conf);
	bool suits = walls_cover(c->walls, other);

	walls_free(other);
	return suits;
}

const char *confined_moved(struct confined *c, int64_t now_us)
{
	if (now_us < c->look_us)
		return NULL;
	c->look_us = now_us + CONFINED_LOOK_US;
	return walls_first_moved(c->walls, c->state);
}
