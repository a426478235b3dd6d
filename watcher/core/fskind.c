/*
 * fskind: one table. What is not in it is taken for a file system on which anybody may write unseen: polling
 * a local one costs little, not polling a remote one loses files.
 */
#include "core/fskind.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"

#define FUSE_MAGIC 0x65735546u

/* Other hosts write. */
#define REMOTE 1u
/* The kernel sees every writer. Not on overlays (somebody may write into a layer). */
#define SEES 2u
/* Inode numbers are kept. Not on FAT (made up when a file is looked up). */
#define INODES 4u
/* … and a listing shows them. */
#define LISTS 8u
#define LOCAL (SEES | INODES | LISTS)

/*
 * Numbers from statfs(2), linux/magic.h and, for those outside the kernel, the sources of the file systems
 * and the table of tail(1) in GNU coreutils. Written as numbers: old headers lack many names.
 */
static const struct {
	uint32_t magic;
	const char *name;
	unsigned is;
} kinds[] = {
	{0xef53, "ext4", LOCAL}, /* ext2 and ext3 have the same number */
	{0x58465342, "xfs", LOCAL},
	{0x9123683e, "btrfs", LOCAL},
	{0x01021994, "tmpfs", LOCAL},
	{0x858458f6, "ramfs", LOCAL},
	{0x794c7630, "overlay", 0},
	{0x61756673, "aufs", 0},
	{0x2fc12fc1, "zfs", LOCAL},
	{0xf2f52010, "f2fs", LOCAL},
	{0xca451a4e, "bcachefs", LOCAL},
	{0x3153464a, "jfs", LOCAL},
	{0x52654973, "reiserfs", LOCAL},
	{0x3434, "nilfs", LOCAL},
	{0x4d44, "vfat", SEES},
	{0x2011bab0, "exfat", SEES},
	{0x5346544e, "ntfs", LOCAL},
	{0x7366746e, "ntfs3", LOCAL},
	{0x482b, "hfsplus", LOCAL},
	{0x9660, "iso9660", LOCAL},
	{0x15013346, "udf", LOCAL},
	{0x73717368, "squashfs", LOCAL},
	{0xe0f5e1e2, "erofs", LOCAL},
	{0x28cd3d45, "cramfs", LOCAL},
	{0xf15f, "ecryptfs", 0}, /* a layer over another directory */
	{0x24051905, "ubifs", LOCAL},
	{0x72b6, "jffs2", LOCAL},
	{0x958458f6, "hugetlbfs", LOCAL},
	{0x9fa0, "proc", 0},
	{0x62656572, "sysfs", 0},
	{0x1373, "devfs", LOCAL},
	{0x0187, "autofs", 0},
	{0x6969, "nfs", REMOTE | LISTS}, /* numbers are file ids of the server, which uses them again */
	{0xff534d42, "cifs", REMOTE},
	{0xfe534d42, "smb2", REMOTE},
	{0x517b, "smb", REMOTE},
	{FUSE_MAGIC, "fuse", REMOTE},
	{0x01021997, "9p", REMOTE},
	{0x00c36400, "ceph", REMOTE | LISTS},
	{0x0bd00bd0, "lustre", REMOTE | LISTS},
	{0x47504653, "gpfs", REMOTE | LISTS},
	{0x5346414f, "afs", REMOTE},
	{0x6b414653, "kafs", REMOTE},
	{0x73757245, "coda", REMOTE},
	{0x564c, "ncp", REMOTE},
	{0x7461636f, "ocfs2", REMOTE},
	{0x01161970, "gfs2", REMOTE},
	{0x19830326, "beegfs", REMOTE},
	{0xaad7aaea, "panfs", REMOTE},
	{0x20030528, "orangefs", REMOTE},
	{0xbeefdead, "snfs", REMOTE},
	{0x61636673, "acfs", REMOTE},
	{0x013111a8, "ibrix", REMOTE},
	{0xa501fcf5, "vxfs", REMOTE}, /* may be the clustered one */
	{0xbacbacbc, "vmhgfs", REMOTE},
	{0x786f4256, "vboxsf", REMOTE},
	{0x7c7c6673, "prl_fs", REMOTE},
	{0x00c0ffee, "hostfs", REMOTE},
};

/* f_type is a signed long: on 32 bits the high numbers come in negative. */
static size_t fskind_find(int64_t magic)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(kinds) && kinds[i].magic != (uint32_t)magic)
		i++;
	return i;
}

bool fskind_wants_mount_type(int64_t magic)
{
	return (uint32_t)magic == FUSE_MAGIC || fskind_find(magic) == ARRAY_SIZE(kinds);
}

void fskind_decide(int64_t magic, const char *mount_type, struct fskind *ret)
{
	size_t at = fskind_find(magic);
	bool known = at < ARRAY_SIZE(kinds);
	unsigned is = known ? kinds[at].is : 0;

	*ret = (struct fskind){
		.how = known && !(is & REMOTE) ? FSKIND_INOTIFY : FSKIND_BOTH,
		.remote = (is & REMOTE) != 0,
		.sees_writers = (is & SEES) != 0,
		.inodes_stable = (is & INODES) != 0,
		.lists_inodes = (is & LISTS) != 0,
	};
	if (known)
		(void)snprintf(ret->type, sizeof(ret->type), "%s", kinds[at].name);
	else
		(void)snprintf(ret->type, sizeof(ret->type), "0x%x", (unsigned)(uint32_t)magic);
	(void)snprintf(ret->name, sizeof(ret->name), "%s",
		mount_type[0] && fskind_wants_mount_type(magic) ? mount_type : ret->type);
}

/* "98 31 0:45 / /mnt/data rw,relatime shared:1 - fuse.bindfs /low rw": the third word is the device, the
 * first one behind the lone "-" the type. */
static bool fskind_line_type(const char *line, size_t len, const char *device, char ret[FSKIND_NAME_BYTES])
{
	const char *end = line + len, *dash = memmem(line, len, " - ", 3);
	const char *third = line;
	size_t n = strlen(device);

	for (int i = 0; i < 2 && third; i++) {
		third = memchr(third, ' ', (size_t)(end - third));
		third = third ? third + 1 : NULL;
	}
	if (!dash || !third || (size_t)(end - third) <= n || memcmp(third, device, n) != 0 || third[n] != ' ')
		return false;
	dash += 3;
	n = 0;
	while (dash + n < end && dash[n] != ' ')
		n++;
	if (n == 0 || n >= FSKIND_NAME_BYTES)
		return false;
	(void)text_printable(dash, n, ret, FSKIND_NAME_BYTES);
	return true;
}

bool fskind_mount_type(const char *mountinfo, unsigned major, unsigned minor, char ret[FSKIND_NAME_BYTES])
{
	char device[32];
	bool found = false;

	(void)snprintf(device, sizeof(device), "%u:%u", major, minor);
	while (*mountinfo) {
		size_t len = strcspn(mountinfo, "\n");

		found |= fskind_line_type(mountinfo, len, device, ret);
		mountinfo += len + (mountinfo[len] == '\n');
	}
	return found;
}
