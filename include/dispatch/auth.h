/*
 * auth: how we sign in to one workspace: reads the credential, keeps it, reads it again when it was refused.
 * There is a table of kinds; this version has one, `token`.
 *
 * A credential comes from a file, or from one that systemd hands to the service (`credential:NAME`), never
 * from the environment or the command line. A file that others can read is refused. See doc/credentials.md.
 */
#ifndef DISPATCH_AUTH_H
#define DISPATCH_AUTH_H

#include <stdbool.h>
#include "base/err.h"
#include "base/secret.h"
#include "core/conf.h"

#define AUTH_TOKEN_BYTES (16u * 1024) /* longest token */

struct auth;

/* Reads the credential. conf stays the caller's and must outlive it. credentials_directory:
 * $CREDENTIALS_DIRECTORY as it was at the start, or NULL; copied. NULL with *err (class ERR_CONF, with the
 * command that mends it). May block on the file. */
struct auth *auth_new(const struct conf_workspace *conf, const char *credentials_directory, struct err *err);
void auth_free(struct auth *a); /* takes NULL */

/* For `check`: are the files of the credential there, with a good mode? Nothing is read; the owner is not
 * judged, since another user may be asking than the one who will run the service. 0 or -errno with *err. A
 * credential of systemd is taken as good. */
int auth_look_at_files(const struct conf_workspace *conf, struct err *err) MUST_CHECK;
/* Reads the credential again, after a refusal or when the files may have changed. *ret_changed: it is another
 * one now. On failure the old one stays. */
int auth_refresh(struct auth *a, bool *ret_changed, struct err *err) MUST_CHECK;
/* The whole header line, "Authorization: Bearer …". Borrowed until the next auth_refresh(); to keep it take a
 * reference. */
struct secret *auth_header(const struct auth *a);
/* For events and messages: how we signed in, "token". Constant. */
const char *auth_principal(const struct auth *a);

#endif
