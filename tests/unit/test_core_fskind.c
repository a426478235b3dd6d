#include "core/fskind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void by_number(void **state)
{
	static const struct {
		int64_t magic;
		const char *type;
		enum fskind_how how;
		bool remote, sees_writers, inodes_stable, lists_inodes;
	} rows[] = {
		{0xef53, "ext4", FSKIND_INOTIFY, false, true, true, true},
		{0x58465342, "xfs", FSKIND_INOTIFY, false, true, true, true},
		{INT64_C(0x9123683e), "btrfs", FSKIND_INOTIFY, false, true, true, true},
		{INT64_C(0xffffffff9123683e), "btrfs", FSKIND_INOTIFY, false, true, true, true},
		{0x01021994, "tmpfs", FSKIND_INOTIFY, false, true, true, true},
		{0x4d44, "vfat", FSKIND_INOTIFY, false, true, false, false},
		{0x794c7630, "overlay", FSKIND_INOTIFY, false, false, false, false},
		{0x6969, "nfs", FSKIND_BOTH, true, false, false, true},
		{INT64_C(0xff534d42), "cifs", FSKIND_BOTH, true, false, false, false},
		{-(INT64_C(1) << 32) + INT64_C(0xfe534d42), "smb2", FSKIND_BOTH, true, false, false, false},
		{0x65735546, "fuse", FSKIND_BOTH, true, false, false, false},
		{0x01021997, "9p", FSKIND_BOTH, true, false, false, false},
		{0x00c36400, "ceph", FSKIND_BOTH, true, false, false, true},
		{0x0bd00bd0, "lustre", FSKIND_BOTH, true, false, false, true},
		{0x47504653, "gpfs", FSKIND_BOTH, true, false, false, true},
		{0x5346414f, "afs", FSKIND_BOTH, true, false, false, false},
		/* nobody knows them: polled, nothing trusted, but no reason to refuse the state directory */
		{0x12345678, "0x12345678", FSKIND_BOTH, false, false, false, false},
		{0, "0x0", FSKIND_BOTH, false, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fskind k;

		fskind_decide(rows[i].magic, "", &k);
		assert_string_equal(k.type, rows[i].type);
		assert_string_equal(k.name, rows[i].type);
		assert_int_equal(k.how, rows[i].how);
		assert_int_equal(k.remote, rows[i].remote);
		assert_int_equal(k.sees_writers, rows[i].sees_writers);
		assert_int_equal(k.inodes_stable, rows[i].inodes_stable);
		assert_int_equal(k.lists_inodes, rows[i].lists_inodes);
	}
}

static void the_mount_names_what_the_number_does_not(void **state)
{
	struct fskind k;

	(void)state;
	fskind_decide(0x65735546, "fuse.bindfs", &k);
	assert_string_equal(k.type, "fuse");
	assert_string_equal(k.name, "fuse.bindfs");
	fskind_decide(0x65735546, "virtiofs", &k);
	assert_string_equal(k.name, "virtiofs");
	fskind_decide(0x12345678, "newfs", &k);
	assert_string_equal(k.type, "0x12345678");
	assert_string_equal(k.name, "newfs");
	fskind_decide(0x6969, "nfs4", &k); /* the number says enough */
	assert_string_equal(k.name, "nfs");
	assert_true(fskind_wants_mount_type(0x65735546));
	assert_true(fskind_wants_mount_type(0x12345678));
	assert_false(fskind_wants_mount_type(0x6969));
}

static void mountinfo_is_read(void **state)
{
	static const char text[] =
		"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		"98 22 0:45 / /mnt/a rw,nosuid shared:5 master:2 - fuse.bindfs /low rw,user_id=0\n"
		"99 22 0:4 / /mnt/b rw - tmpfs none rw\n"
		"100 22 0:45 / /mnt/with\\040-\\040dash rw - fuse.other /low rw\n"
		"torn 0:77";
	char type[FSKIND_NAME_BYTES] = "untouched";

	(void)state;
	assert_false(fskind_mount_type(text, 0, 77, type));
	assert_false(fskind_mount_type(text, 0, 5, type));
	assert_false(fskind_mount_type("", 0, 4, type));
	assert_string_equal(type, "untouched");
	assert_true(fskind_mount_type(text, 8, 1, type));
	assert_string_equal(type, "ext4");
	assert_true(fskind_mount_type(text, 0, 4, type));
	assert_string_equal(type, "tmpfs");
	assert_true(fskind_mount_type(text, 0, 45, type)); /* mounted later: on top */
	assert_string_equal(type, "fuse.other");
}

static void odd_lines_are_passed_over(void **state)
{
	static const char *const lines[] = {"", "\n\n", " - ", "1 2 0:4", "1 2 0:4 ", "1 2 0:4 / /x rw - ",
		"1 2 0:4 / /x rw -", "1 2 0:44 / /x rw - tmpfs", "1 2 0:4/ /x rw - tmpfs none",
		"1 2 0:4 / /x rw - a-name-of-a-type-that-is-longer-than-any-other none"};
	char type[FSKIND_NAME_BYTES] = "untouched";

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(fskind_mount_type(lines[i], 0, 4, type));
	assert_string_equal(type, "untouched");
	assert_true(fskind_mount_type("1 2 0:4 / /x rw - b\033d none", 0, 4, type));
	assert_null(__builtin_strchr(type, '\033'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_number),
		cmocka_unit_test(the_mount_names_what_the_number_does_not),
		cmocka_unit_test(mountinfo_is_read),
		cmocka_unit_test(odd_lines_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
