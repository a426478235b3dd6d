/*
 * serviceuser: root can read what the service cannot, and is given files that the service would refuse as
 * another's. So who is asked by root becomes that user, and then sees what the service will see.
 */
#include "cli/serviceuser.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/cli.h"
#include "confine/owner.h"

#define SERVICEUSER_OF_UNIT "brickwatch"

uid_t serviceuser_find(const struct conf *conf, const char *config)
{
	const struct passwd *pw;
	struct stat st;

	if (stat(conf->service.state_directory, &st) == 0)
		return st.st_uid;
	pw = strcmp(config, CONFFILE_PATH) == 0 ? getpwnam(SERVICEUSER_OF_UNIT) : NULL;
	return pw ? pw->pw_uid : SERVICEUSER_UNKNOWN;
}

int serviceuser_become(const struct conf *conf, uid_t service, struct err *err)
{
	int rc = owner_become(conf->service.state_directory, err);

	if (rc == 0 && service != SERVICEUSER_UNKNOWN)
		rc = owner_become_user(service, err);
	return rc < 0 ? rc : 0;
}

const char *serviceuser_name(uid_t uid, char out[SERVICEUSER_NAME_BYTES])
{
	const struct passwd *pw = getpwuid(uid);

	if (pw && strlen(pw->pw_name) < SERVICEUSER_NAME_BYTES)
		(void)snprintf(out, SERVICEUSER_NAME_BYTES, "%s", pw->pw_name);
	else
		(void)snprintf(out, SERVICEUSER_NAME_BYTES, "%" PRIu64, (uint64_t)uid);
	return out;
}
