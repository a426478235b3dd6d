/*
 * owner: first the groups, then the group, then the user: behind that nothing more may be changed. The
 * permitted capabilities are kept over the change and then lowered to one, which the processes to come get as
 * an ambient capability, as systemd hands it to the service.
 */
#define _GNU_SOURCE 1 /* setresuid */
#include "confine/owner.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int owner_keep_lease(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	const uint32_t bit = UINT32_C(1) << (CAP_LEASE % 32);

	if (syscall(SYS_capget, &head, data) < 0)
		return err_errno(err, errno, "cannot read the capabilities");
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted &= i == CAP_LEASE / 32 ? bit : 0;
		data[i].effective = data[i].inheritable = data[i].permitted;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_errno(err, errno, "cannot drop capabilities");
	/* a kernel or container without it: files of others then wait longer, which is said */
	if (data[CAP_LEASE / 32].permitted & bit)
		(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_LEASE, 0, 0);
	return 0;
}

/* known: his account, or NULL. */
static int owner_change(uid_t uid, gid_t gid, const struct passwd *known, struct err *err)
{
	int rc = known ? initgroups(known->pw_name, gid) : setgroups(1, &gid);

	if (rc == 0)
		rc = prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (rc == 0)
		rc = setresgid(gid, gid, gid);
	if (rc == 0)
		rc = setresuid(uid, uid, uid);
	if (rc < 0)
		return err_errno(err, errno, "cannot become user %u", (unsigned)uid);
	rc = owner_keep_lease(err);
	return rc < 0 ? rc : 1;
}

int owner_become_user(uid_t user, struct err *err)
{
	const struct passwd *known;

	if (geteuid() != 0 || user == 0)
		return 0;
	known = getpwuid(user);
	return owner_change(user, known ? known->pw_gid : (gid_t)user, known, err);
}

/* With the group of his account: the directory's may well be root's. */
int owner_become(const char *directory, struct err *err)
{
	struct stat st;
	int rc = stat(directory, &st) < 0 ? 0 : owner_become_user(st.st_uid, err);

	return rc < 0 ? err_prefix(err, "the owner of %s", directory) : rc;
}
