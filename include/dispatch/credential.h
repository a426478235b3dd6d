/*
 * credential: what we sign in to a workspace with, read from the files that its section names (or from a
 * profile of a .databrickscfg file). It knows files and kinds; nothing of the network.
 *
 * Nothing comes from the environment, the command line or the configuration itself. See doc/credentials.md.
 */
#ifndef DISPATCH_CREDENTIAL_H
#define DISPATCH_CREDENTIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/secret.h"
#include "core/conf.h"

#define CREDENTIAL_USER_BYTES 1024 /* longest client id, user name or tenant */
#define CREDENTIAL_NAME_BYTES 320  /* of credential_name(), with the NUL */

struct credential {
	int kind; /* enum conf_auth, never CONF_AUTH_NONE or CONF_AUTH_PROFILE */
	bool from_profile;
	char *user;	       /* client id, user name; NULL: none */
	char *tenant;	       /* Entra's; NULL: none */
	const char *authority; /* where Entra is: "https://login…"; of the configuration, or constant */
	const char *metadata;  /* where Azure's metadata service is; likewise */
	struct secret *secret; /* token, client secret, password, identity token; NULL: there is none */
	const char *file;      /* where it stands, as configured; NULL: nowhere */
	int64_t changed_us;    /* when that was changed last, wall clock */
};

/* Reads it anew. conf must outlive it. -errno with *err (class ERR_CONF, with the command that mends it). May
 * block on the file. */
int credential_load(const struct conf_workspace *conf, const char *credentials_directory,
	struct credential *ret, struct err *err) MUST_CHECK;
void credential_done(struct credential *c);

/* For `check`: is the file of the credential there, with a good mode and owner, and with a good content if
 * this user may read it? service: who will run the service, or SECRETFILE_ANYBODY. 0, then *err may say what
 * could not be looked at or is doubtful; -errno with *err: the service would not start. A credential of
 * systemd is taken as good. */
int credential_look(const struct conf_workspace *conf, uid_t service, struct err *err) MUST_CHECK;

/* The header line that needs no token endpoint: "Authorization: Bearer …" or "Basic …" of token and basic.
 * NULL: an access token has to be asked for. The caller's. */
struct secret *credential_header(const struct credential *c);
/* Who we are, for events: "token", "oauth-m2m:CLIENT_ID", "basic:USER", and " (profile NAME)" behind it. */
void credential_name(
	const struct credential *c, const struct conf_workspace *conf, char out[CREDENTIAL_NAME_BYTES]);

#endif
