/*
 * conf_host: the address of a workspace or proxy as a user writes it, in its one canonical form. Pure; asks
 * no name server.
 */
#ifndef CORE_CONF_HOST_H
#define CORE_CONF_HOST_H

#include <stdbool.h>
#include "base/err.h"

/*
 * Takes https://NAME[:PORT][/], or http:// of a loopback address (127.0.0.0/8, [::1], localhost). No user,
 * path, query or fragment. *ret_host: scheme and name in lower case, the scheme's own port left out, no slash
 * behind. *ret_token: the HOST of the idempotency token: name, and the port unless it is 443. Both malloc'd
 * for the caller. IP addresses come out in the one form of inet_ntop(3), so that the same address is always
 * the same text.
 */
int conf_host_parse(const char *text, char **ret_host, char **ret_token, struct err *err) MUST_CHECK;
/* The address of a proxy in the same way: http:// or https://, and the port must be given. *ret: scheme, name
 * and port, malloc'd. */
int conf_host_parse_proxy(const char *text, char **ret, struct err *err) MUST_CHECK;
/* Is this (the *ret_host of conf_host_parse) a loopback address? */
bool conf_host_is_loopback(const char *host);
/* The server of Entra that signs in to the workspace at this host (the result above): by the cloud that its
 * name shows. NULL: it shows none. Constant. */
const char *conf_host_azure_authority(const char *host);

#endif
